//! Routes as values: what a method and a path mean, decided once.
//!
//! A component of a repository's name may be called `blobs`, `manifests` or `tags`, so a path is
//! read from its right end. Adding a route means adding a variant, and the compiler lists the
//! places to finish.

use crate::auth::TOKEN_PATH;
use crate::http::{Method, percent};
use crate::metrics::labels::Route as Label;
use crate::oci::{
    Digest, DigestError, Reference, ReferenceError, RepositoryName, RepositoryNameError, Tag,
    TagError,
};
use crate::store::blobs::{UploadId, UploadKey};

/// A request that is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `GET /`: somebody looks whether anything is here.
    Home,
    /// `GET /healthz`: the process is alive.
    Alive,
    /// `GET /readyz`: the store answers and can be written.
    Ready,
    /// `GET /debug/health`: what keeps it from being ready, as Distribution tells it.
    Checks,
    /// `GET /metrics`
    Metrics,
    /// end-1: `GET /v2/`
    Base,
    /// `GET /v2/token`, `POST /v2/token`: a token for a credential.
    Token,
    /// `GET /v2/_catalog`
    Catalog,
    /// end-8: `GET /v2/<name>/tags/list`
    Tags(RepositoryName),
    /// end-3: `GET /v2/<name>/manifests/<reference>`
    GetManifest(RepositoryName, Reference),
    /// end-7: `PUT /v2/<name>/manifests/<reference>`
    PutManifest(RepositoryName, Reference),
    /// end-9: `DELETE /v2/<name>/manifests/<reference>`
    DeleteManifest(RepositoryName, Reference),
    /// end-2: `GET /v2/<name>/blobs/<digest>`
    GetBlob(RepositoryName, Digest),
    /// end-10: `DELETE /v2/<name>/blobs/<digest>`
    DeleteBlob(RepositoryName, Digest),
    /// end-4, end-11: `POST /v2/<name>/blobs/uploads/`
    StartUpload(RepositoryName),
    /// end-13: `GET <upload>`
    GetUpload(UploadKey),
    /// end-5: `PATCH <upload>`
    PatchUpload(UploadKey),
    /// end-6: `PUT <upload>`
    PutUpload(UploadKey),
    /// end-14: `DELETE <upload>`
    DeleteUpload(UploadKey),
    /// end-12: `GET /v2/<name>/referrers/<digest>`
    Referrers(RepositoryName, Digest),
    /// `GET /v2/_oci/ext/discover`, `GET /v2/<name>/_oci/ext/discover`: which extensions there are.
    Extensions(Option<RepositoryName>),
    /// `GET /v2/<name>/_oci/tag-history/<tag>`
    TagHistory(RepositoryName, Tag),
    /// `OPTIONS` on any route: which methods there are.
    Options(&'static str),
}

/// Why a method and a path mean nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// No such path.
    NotFound,
    /// The path exists, the method does not; the `Allow` header's value.
    MethodNotAllowed {
        /// What is allowed.
        allow: &'static str,
    },
    /// The path is not percent-encoded UTF-8.
    Encoding,
    /// The repository's name breaks the grammar.
    Name {
        /// What was sent.
        name: String,
        /// Why not.
        error: RepositoryNameError,
    },
    /// A digest that is none.
    Digest {
        /// What was sent.
        digest: String,
        /// Why not.
        error: DigestError,
    },
    /// A tag that is none.
    Tag {
        /// What was sent.
        tag: String,
        /// Whether the request would have made it: then it is bad input, else it is just unknown.
        push: bool,
    },
    /// An upload session id that is none of ours.
    Upload {
        /// What was sent.
        id: String,
    },
}

const READ: &str = "GET, HEAD, OPTIONS";
const MANIFEST: &str = "GET, HEAD, PUT, DELETE, OPTIONS";
const BLOB: &str = "GET, HEAD, DELETE, OPTIONS";
const TOKEN: &str = "GET, POST, OPTIONS";
const START: &str = "POST, OPTIONS";
const UPLOAD: &str = "GET, HEAD, PATCH, PUT, DELETE, OPTIONS";

impl Route {
    /// What it is counted as.
    pub const fn label(&self) -> Label {
        match self {
            Self::Home | Self::Options(_) => Label::None,
            Self::Alive | Self::Ready | Self::Checks => Label::Health,
            Self::Metrics => Label::Metrics,
            Self::Base => Label::Base,
            Self::Token => Label::Token,
            Self::Catalog => Label::Catalog,
            Self::Tags(_) => Label::Tags,
            Self::GetManifest(..) | Self::PutManifest(..) | Self::DeleteManifest(..) => {
                Label::Manifest
            }
            Self::GetBlob(..) | Self::DeleteBlob(..) => Label::Blob,
            Self::StartUpload(_) => Label::BlobUpload,
            Self::GetUpload(_)
            | Self::PatchUpload(_)
            | Self::PutUpload(_)
            | Self::DeleteUpload(_) => Label::BlobUploadChunk,
            Self::Referrers(..) => Label::Referrers,
            Self::Extensions(_) | Self::TagHistory(..) => Label::Extension,
        }
    }

    /// Whether it changes what is stored.
    pub const fn writes(&self) -> bool {
        match self {
            Self::PutManifest(..)
            | Self::DeleteManifest(..)
            | Self::DeleteBlob(..)
            | Self::StartUpload(_)
            | Self::PatchUpload(_)
            | Self::PutUpload(_)
            | Self::DeleteUpload(_) => true,
            Self::Home
            | Self::Alive
            | Self::Ready
            | Self::Checks
            | Self::Metrics
            | Self::Base
            | Self::Token
            | Self::Catalog
            | Self::Tags(_)
            | Self::GetManifest(..)
            | Self::GetBlob(..)
            | Self::GetUpload(_)
            | Self::Referrers(..)
            | Self::Extensions(_)
            | Self::TagHistory(..)
            | Self::Options(_) => false,
        }
    }

    /// Reads a method and a raw path (percent-encoded, without query).
    ///
    /// # Errors
    /// [`RouteError`].
    pub fn parse(method: Method, path: &str) -> Result<Self, RouteError> {
        let path = percent::decode(path).ok_or(RouteError::Encoding)?;
        let fixed = match path.as_str() {
            "/" => Some(Self::Home),
            "/healthz" => Some(Self::Alive),
            "/readyz" => Some(Self::Ready),
            "/debug/health" => Some(Self::Checks),
            "/metrics" => Some(Self::Metrics),
            "/v2" | "/v2/" => Some(Self::Base),
            "/v2/_catalog" => Some(Self::Catalog),
            "/v2/_oci/ext/discover" => Some(Self::Extensions(None)),
            _ => None,
        };
        if let Some(route) = fixed {
            return read_only(method, || Ok(route));
        }
        if path == TOKEN_PATH {
            // No HEAD: each answer is a new token.
            return match method {
                Method::Get | Method::Post => Ok(Self::Token),
                Method::Options => Ok(Self::Options(TOKEN)),
                _ => Err(RouteError::MethodNotAllowed { allow: TOKEN }),
            };
        }
        let rest = path.strip_prefix("/v2/").ok_or(RouteError::NotFound)?;
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return read_only(method, || Ok(Self::Tags(repository(name)?)));
        }
        if let Some(name) = rest
            .strip_suffix("/blobs/uploads/")
            .or_else(|| rest.strip_suffix("/blobs/uploads"))
        {
            return match method {
                Method::Post => Ok(Self::StartUpload(repository(name)?)),
                Method::Options => Ok(Self::Options(START)),
                _ => Err(RouteError::MethodNotAllowed { allow: START }),
            };
        }
        let (head, last) = rest.rsplit_once('/').ok_or(RouteError::NotFound)?;
        let (name, resource) = head.rsplit_once('/').ok_or(RouteError::NotFound)?;
        match resource {
            "manifests" => Self::manifest(method, name, last),
            "blobs" => Self::blob(method, name, last),
            "referrers" => read_only(method, || {
                Ok(Self::Referrers(repository(name)?, digest(last)?))
            }),
            "tag-history" | "ext" => match name.strip_suffix("/_oci") {
                Some(name) => Self::extension(method, name, resource, last),
                None => Err(RouteError::NotFound),
            },
            "uploads" => match name.strip_suffix("/blobs") {
                Some(name) => Self::upload(method, name, last),
                None => Err(RouteError::NotFound),
            },
            _ => Err(RouteError::NotFound),
        }
    }

    fn manifest(method: Method, name: &str, last: &str) -> Result<Self, RouteError> {
        let make: fn(RepositoryName, Reference) -> Self = match method {
            Method::Get | Method::Head => Self::GetManifest,
            Method::Put => Self::PutManifest,
            Method::Delete => Self::DeleteManifest,
            Method::Options => return Ok(Self::Options(MANIFEST)),
            _ => return Err(RouteError::MethodNotAllowed { allow: MANIFEST }),
        };
        let name = repository(name)?;
        let reference = last.parse().map_err(|error| match error {
            ReferenceError::Digest(error) => RouteError::Digest {
                digest: last.to_owned(),
                error,
            },
            ReferenceError::Tag(_) => RouteError::Tag {
                tag: last.to_owned(),
                push: method == Method::Put,
            },
        })?;
        Ok(make(name, reference))
    }

    fn blob(method: Method, name: &str, last: &str) -> Result<Self, RouteError> {
        match method {
            Method::Get | Method::Head => Ok(Self::GetBlob(repository(name)?, digest(last)?)),
            Method::Delete => Ok(Self::DeleteBlob(repository(name)?, digest(last)?)),
            Method::Options => Ok(Self::Options(BLOB)),
            _ => Err(RouteError::MethodNotAllowed { allow: BLOB }),
        }
    }

    /// What lies below `_oci`, which no component of a name can be.
    fn extension(
        method: Method,
        name: &str,
        resource: &str,
        last: &str,
    ) -> Result<Self, RouteError> {
        match (resource, last) {
            ("ext", "discover") => {
                read_only(method, || Ok(Self::Extensions(Some(repository(name)?))))
            }
            ("ext", _) => Err(RouteError::NotFound),
            _ => read_only(method, || {
                let name = repository(name)?;
                let tag = last.parse().map_err(|TagError| RouteError::Tag {
                    tag: last.to_owned(),
                    push: false,
                })?;
                Ok(Self::TagHistory(name, tag))
            }),
        }
    }

    fn upload(method: Method, name: &str, last: &str) -> Result<Self, RouteError> {
        let make: fn(UploadKey) -> Self = match method {
            Method::Get | Method::Head => Self::GetUpload,
            Method::Patch => Self::PatchUpload,
            Method::Put => Self::PutUpload,
            Method::Delete => Self::DeleteUpload,
            Method::Options => return Ok(Self::Options(UPLOAD)),
            _ => return Err(RouteError::MethodNotAllowed { allow: UPLOAD }),
        };
        let repository = repository(name)?;
        let id: UploadId = last.parse().map_err(|()| RouteError::Upload {
            id: last.to_owned(),
        })?;
        Ok(make(UploadKey { repository, id }))
    }
}

fn read_only(
    method: Method,
    route: impl FnOnce() -> Result<Route, RouteError>,
) -> Result<Route, RouteError> {
    match method {
        Method::Get | Method::Head => route(),
        Method::Options => Ok(Route::Options(READ)),
        _ => Err(RouteError::MethodNotAllowed { allow: READ }),
    }
}

fn repository(name: &str) -> Result<RepositoryName, RouteError> {
    name.parse().map_err(|error| RouteError::Name {
        name: name.to_owned(),
        error,
    })
}

fn digest(text: &str) -> Result<Digest, RouteError> {
    text.parse().map_err(|error| RouteError::Digest {
        digest: text.to_owned(),
        error,
    })
}
