//! Routes row by row, and every failure through the one table of statuses and codes.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::error::{Failure, render};
use super::refused::Refused;
use super::respond::{next_link, none_match};
use super::route::{Route, RouteError};
use crate::http::{BodyError, Method, ResponseBody};
use crate::oci::{
    Algorithm, Digest, DigestError, ErrorCode, ManifestError, Reference, RepositoryNameError,
};
use crate::registry::Error;
use crate::store::blobs::{UploadId, UploadKey};
use crate::store::{self, ErrorKind};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const UPLOAD: &str = "0123abcd-0123-4abc-8abc-0123456789ab";

/// The route in short: its name, the repository, and what follows.
fn short(method: Method, path: &str) -> String {
    let path = path.replace("DIGEST", DIGEST).replace("UPLOAD", UPLOAD);
    match Route::parse(method, &path) {
        Ok(route) => match route {
            Route::Tags(name) => format!("tags {name}"),
            Route::GetManifest(name, reference) => format!("get manifest {name} {reference}"),
            Route::PutManifest(name, reference) => format!("put manifest {name} {reference}"),
            Route::DeleteManifest(name, reference) => format!("delete manifest {name} {reference}"),
            Route::GetBlob(name, _) => format!("get blob {name}"),
            Route::DeleteBlob(name, _) => format!("delete blob {name}"),
            Route::StartUpload(name) => format!("start {name}"),
            Route::GetUpload(key) => format!("get upload {}", key.repository),
            Route::PatchUpload(key) => format!("patch upload {}", key.repository),
            Route::PutUpload(key) => format!("put upload {}", key.repository),
            Route::DeleteUpload(key) => format!("delete upload {}", key.repository),
            Route::Referrers(name, _) => format!("referrers {name}"),
            Route::Extensions(Some(name)) => format!("extensions {name}"),
            Route::TagHistory(name, tag) => format!("history {name} {tag}"),
            fixed => format!("{fixed:?}").to_lowercase(),
        },
        Err(RouteError::NotFound) => "not found".to_owned(),
        Err(RouteError::MethodNotAllowed { .. }) => "method".to_owned(),
        Err(RouteError::Encoding) => "encoding".to_owned(),
        Err(RouteError::Name { .. }) => "name".to_owned(),
        Err(RouteError::Digest { .. }) => "digest".to_owned(),
        Err(RouteError::Tag { push, .. }) => format!("tag push={push}"),
        Err(RouteError::Upload { .. }) => "upload".to_owned(),
    }
}

#[test]
fn routes() {
    use Method::{Delete, Get, Head, Options, Other, Patch, Post, Put};
    let rows = [
        (Get, "/", "home"),
        (Get, "/healthz", "alive"),
        (Get, "/readyz", "ready"),
        (Get, "/debug/health", "checks"),
        (Get, "/metrics", "metrics"),
        (Get, "/v2", "base"),
        (Head, "/v2/", "base"),
        (Post, "/v2/", "method"),
        (Get, "/v2/_catalog", "catalog"),
        (Get, "/v2/token", "token"),
        (Post, "/v2/token", "token"),
        (Head, "/v2/token", "method"),
        (Put, "/v2/token", "method"),
        (Get, "/v2/token/", "not found"),
        (Get, "/v2/token/tags/list", "tags token"),
        (Get, "/v1/", "not found"),
        (Get, "/v2/x", "not found"),
        (Get, "/v2//tags/list", "name"),
        (Get, "/v2/a/b/tags/list", "tags a/b"),
        (Put, "/v2/a/tags/list", "method"),
        (Get, "/v2/foo/manifests/tags/list", "tags foo/manifests"),
        (Get, "/v2/a/manifests/v1", "get manifest a v1"),
        (
            Get,
            "/v2/a/blobs/uploads/manifests/v1",
            "get manifest a/blobs/uploads v1",
        ),
        (Put, "/v2/a/manifests/v1", "put manifest a v1"),
        (Delete, "/v2/a/manifests/v1", "delete manifest a v1"),
        (Patch, "/v2/a/manifests/v1", "method"),
        (Get, "/v2/a/manifests/.bad", "tag push=false"),
        (Put, "/v2/a/manifests/.bad", "tag push=true"),
        (Get, "/v2/a/manifests/sha256:bad", "digest"),
        (Get, "/v2/a/manifests/", "tag push=false"),
        (Get, "/v2/a/blobs/DIGEST", "get blob a"),
        (Head, "/v2/a%2Fb/blobs/DIGEST", "get blob a/b"),
        (Delete, "/v2/a/blobs/DIGEST", "delete blob a"),
        (Get, "/v2/a/blobs/latest", "digest"),
        (Put, "/v2/a/blobs/DIGEST", "method"),
        (Post, "/v2/a/blobs/uploads/", "start a"),
        (Post, "/v2/a/blobs/uploads", "start a"),
        (Post, "/v2/uploads/blobs/uploads/", "start uploads"),
        (Get, "/v2/a/blobs/uploads/", "method"),
        (Get, "/v2/a/blobs/uploads/UPLOAD", "get upload a"),
        (Patch, "/v2/a/blobs/uploads/UPLOAD", "patch upload a"),
        (Put, "/v2/a/blobs/uploads/UPLOAD", "put upload a"),
        (Delete, "/v2/a/blobs/uploads/UPLOAD", "delete upload a"),
        (Post, "/v2/a/blobs/uploads/UPLOAD", "method"),
        (Patch, "/v2/a/blobs/uploads/../../x", "not found"),
        (Patch, "/v2/a/blobs/uploads/nothing", "upload"),
        (Get, "/v2/a/uploads/UPLOAD", "not found"),
        (Get, "/v2/a/referrers/DIGEST", "referrers a"),
        (Get, "/v2/a/referrers/latest", "digest"),
        (Get, "/v2/_oci/ext/discover", "extensions(none)"),
        (Head, "/v2/a/b/_oci/ext/discover", "extensions a/b"),
        (Get, "/v2/ext/_oci/ext/discover", "extensions ext"),
        (Post, "/v2/a/_oci/ext/discover", "method"),
        (Get, "/v2/a/_oci/ext/other", "not found"),
        (Get, "/v2/a/ext/discover", "not found"),
        (Get, "/v2/A/_oci/ext/discover", "name"),
        (Get, "/v2/_oci/tag-history/v1", "not found"),
        (Get, "/v2/a/_oci/tag-history/v1", "history a v1"),
        (
            Get,
            "/v2/tag-history/_oci/tag-history/list",
            "history tag-history list",
        ),
        (
            Get,
            "/v2/a/_oci/tag-history/manifests",
            "history a manifests",
        ),
        (Get, "/v2/a/_oci/tag-history/.bad", "tag push=false"),
        (Get, "/v2/a/_oci/tag-history/", "tag push=false"),
        (Delete, "/v2/a/_oci/tag-history/v1", "method"),
        (Get, "/v2/a/tag-history/v1", "not found"),
        (Get, "/v2/a/_oci/tag-history/manifests/v1", "name"),
        (Get, "/v2/a/_oci/blobs/DIGEST", "name"),
        (Get, "/v2/A/manifests/v1", "name"),
        (Get, "/v2/a%zz/manifests/v1", "encoding"),
        (Get, "/v2/a%00/manifests/v1", "name"),
        (Other, "/v2/a/manifests/v1", "method"),
    ];
    for (method, path, expected) in rows {
        assert_eq!(short(method, path), expected, "{method} {path}");
    }
    assert!(matches!(
        Route::parse(Options, "/v2/a/blobs/uploads/"),
        Ok(Route::Options(_))
    ));
}

/// Every failure there is, with the status and code it must have.
#[expect(clippy::too_many_lines, reason = "a list")]
fn failures() -> Vec<(Failure, u16, ErrorCode)> {
    use ErrorCode as Code;
    let name = || "a".parse().expect("a name");
    let digest = Digest::of(Algorithm::Sha256, b"");
    let id: UploadId = UPLOAD.parse().expect("an id");
    let key = UploadKey {
        repository: name(),
        id: id.clone(),
    };
    let of_store = |kind| Error::Store(store::Error::new(kind, "reading", "/secret/path"));
    let of_body = |error: BodyError| Error::Source(error.into());
    let route = [
        (RouteError::NotFound, 404, Code::Unsupported),
        (
            RouteError::MethodNotAllowed { allow: "GET" },
            405,
            Code::Unsupported,
        ),
        (RouteError::Encoding, 400, Code::NameInvalid),
        (
            RouteError::Name {
                name: String::new(),
                error: RepositoryNameError::Empty,
            },
            400,
            Code::NameInvalid,
        ),
        (
            RouteError::Digest {
                digest: String::new(),
                error: DigestError::Malformed,
            },
            400,
            Code::DigestInvalid,
        ),
        (
            RouteError::Tag {
                tag: ".x".to_owned(),
                push: true,
            },
            400,
            Code::ManifestInvalid,
        ),
        (
            RouteError::Tag {
                tag: ".x".to_owned(),
                push: false,
            },
            404,
            Code::ManifestUnknown,
        ),
        (
            RouteError::Upload { id: "x".to_owned() },
            404,
            Code::BlobUploadUnknown,
        ),
    ];
    let registry = [
        (Error::NameUnknown { name: name() }, 404, Code::NameUnknown),
        (Error::BlobUnknown { digest }, 404, Code::BlobUnknown),
        (
            Error::ManifestUnknown {
                reference: Reference::Digest(digest),
            },
            404,
            Code::ManifestUnknown,
        ),
        (
            Error::ManifestInvalid(ManifestError::SchemaVersion),
            400,
            Code::ManifestInvalid,
        ),
        (
            Error::ManifestReferencesMissing {
                digests: vec![digest],
            },
            400,
            Code::ManifestBlobUnknown,
        ),
        (
            Error::ManifestReferencesTooMany { count: 2, limit: 1 },
            400,
            Code::ManifestInvalid,
        ),
        (
            Error::ManifestTooLarge { limit: 1 },
            413,
            Code::ManifestInvalid,
        ),
        (
            Error::DigestMismatch {
                expected: digest,
                actual: None,
            },
            400,
            Code::DigestInvalid,
        ),
        (
            Error::UploadUnknown { id: id.clone() },
            404,
            Code::BlobUploadUnknown,
        ),
        (
            Error::UploadBusy { id: id.clone() },
            409,
            Code::BlobUploadInvalid,
        ),
        (
            Error::UploadsTooMany { limit: 1 },
            429,
            Code::TooManyRequests,
        ),
        (
            Error::SizeMismatch {
                declared: 1,
                received: 2,
            },
            400,
            Code::SizeInvalid,
        ),
        (Error::BlobTooLarge { limit: 1 }, 413, Code::SizeInvalid),
        (Error::DeleteDisabled, 405, Code::Unsupported),
        (of_body(BodyError::Truncated), 400, Code::SizeInvalid),
        (of_body(BodyError::TooSlow), 408, Code::BlobUploadInvalid),
        (
            of_body(BodyError::TooLarge { limit: 1 }),
            413,
            Code::SizeInvalid,
        ),
        (
            of_body(BodyError::BadFraming("no")),
            400,
            Code::BlobUploadInvalid,
        ),
        (of_store(ErrorKind::Full), 507, Code::Denied),
        (of_store(ErrorKind::Corrupt), 500, Code::Unknown),
        (of_store(ErrorKind::Denied), 500, Code::Unknown),
        (of_store(ErrorKind::Newer), 500, Code::Unknown),
        (of_store(ErrorKind::Io), 500, Code::Unknown),
        (of_store(ErrorKind::Closed), 503, Code::Unknown),
        (of_store(ErrorKind::Locked), 503, Code::Unknown),
    ];
    let others = [
        (
            Failure::DigestInvalid {
                digest: None,
                error: DigestError::Malformed,
            },
            400,
            Code::DigestInvalid,
        ),
        (
            Failure::TagInvalid(".x".to_owned()),
            400,
            Code::ManifestInvalid,
        ),
        (
            Failure::TagsTooMany { count: 2, limit: 1 },
            414,
            Code::ManifestInvalid,
        ),
        (
            Failure::ManifestsTooMany { limit: 1 },
            503,
            Code::TooManyRequests,
        ),
        (
            Failure::Refused(Refused::Forbidden { scopes: Vec::new() }),
            403,
            Code::Denied,
        ),
        (
            Failure::Refused(Refused::LoginsThrottled {
                retry_after: std::time::Duration::from_secs(5),
            }),
            429,
            Code::TooManyRequests,
        ),
        (
            Failure::Refused(Refused::LoginsTooMany {
                retry_after: std::time::Duration::ZERO,
            }),
            503,
            Code::TooManyRequests,
        ),
        (
            Failure::Refused(Refused::LimitReached {
                why: "too much".to_owned(),
                retry_after: std::time::Duration::from_secs(1),
            }),
            429,
            Code::TooManyRequests,
        ),
        (Failure::Refused(Refused::ReadOnly), 405, Code::Unsupported),
        (
            Failure::PlaceInvalid {
                parameter: "last",
                found: "x".to_owned(),
            },
            400,
            Code::Unsupported,
        ),
        (Failure::NotInHistory { digest }, 400, Code::ManifestUnknown),
        (
            Failure::PageSizeInvalid("x".to_owned()),
            400,
            Code::Unsupported,
        ),
        (
            Failure::RangeInvalid {
                key: key.clone(),
                offset: 0,
                found: "x".to_owned(),
            },
            416,
            Code::BlobUploadInvalid,
        ),
        (
            Failure::Upload {
                key,
                error: Error::OffsetMismatch {
                    id,
                    expected: 5,
                    found: 0,
                },
            },
            416,
            Code::BlobUploadInvalid,
        ),
    ];
    route
        .into_iter()
        .map(|(error, status, code)| (Failure::Route(error), status, code))
        .chain(
            registry
                .into_iter()
                .map(|(e, status, code)| (Failure::Registry(e), status, code)),
        )
        .chain(others)
        .collect()
}

#[test]
fn every_failure_has_its_status_and_code_and_a_body_of_the_right_shape() {
    let known: BTreeSet<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    for (failure, status, code) in failures() {
        let response = render(&failure, "id-1");
        let ResponseBody::Bytes(bytes) = &response.body else {
            panic!("{failure:?}")
        };
        let body: Value = serde_json::from_slice(bytes).expect("JSON");
        let first = &body["errors"][0];
        assert_eq!(response.status, status, "{failure:?}");
        assert_eq!(first["code"], code.as_str(), "{failure:?}");
        assert!(known.contains(first["code"].as_str().expect("a code")));
        assert_eq!(first["detail"]["request_id"], "id-1");
        let message = first["message"].as_str().expect("a message");
        assert!(
            !message.is_empty() && !message.contains("/secret"),
            "{message}"
        );
    }
}

#[test]
fn an_offset_mismatch_tells_where_to_go_on() {
    let id: UploadId = UPLOAD.parse().expect("an id");
    let key = UploadKey {
        repository: "a".parse().expect("a name"),
        id: id.clone(),
    };
    let error = Error::OffsetMismatch {
        id,
        expected: 5,
        found: 0,
    };
    let response = render(&Failure::Upload { key, error }, "x");
    let header = |name: &str| {
        response
            .headers
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.to_string())
    };
    assert_eq!(header("Range"), Some("0-4".to_owned()));
    assert_eq!(
        header("Location"),
        Some(format!("/v2/a/blobs/uploads/{UPLOAD}"))
    );
}

#[test]
fn entity_tags() {
    for value in ["\"d\"", "d", "W/\"d\"", "*", "\"x\", \"d\""] {
        assert!(none_match(Some(value), "d"), "{value}");
    }
    assert!(!none_match(Some("\"x\""), "d") && !none_match(None, "d"));
}

#[test]
fn links_are_encoded() {
    let link = next_link("/v2/a/tags/list", &[("last", "a b+c"), ("n", "2")]);
    assert_eq!(link, "</v2/a/tags/list?last=a%20b%2Bc&n=2>; rel=\"next\"");
}

proptest! {
    #[test]
    fn any_path_is_a_route_or_a_reason(path in "(/v2/)?[ -~]{0,80}") {
        for method in [Method::Get, Method::Put, Method::Post, Method::Delete] {
            let _ = Route::parse(method, &path);
        }
    }
}

/// Everybody may do everything.
fn open(registry: &crate::registry::Registry) -> crate::auth::Authenticator {
    use std::sync::Arc;

    use crate::auth::{
        Accounts, Authenticator, Challenge, Issuer, Lifetimes, Logins, Verifiers, authenticator,
        logins,
    };
    use crate::clock::{Clock, SystemClock};

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let catalog = Arc::clone(registry.catalog());
    let logins = Logins::open(catalog, Arc::clone(&clock), logins::Options::default());
    let logins = Arc::new(logins.expect("no accounts"));
    let accounts: Arc<dyn Accounts> = Arc::<Logins>::clone(&logins);
    let lifetimes = Lifetimes {
        access: std::time::Duration::from_secs(60),
        refresh: std::time::Duration::from_secs(60),
    };
    let issuer = Arc::new(Issuer::new(&[7; 32], lifetimes, accounts, clock));
    let options = authenticator::Options {
        challenge: Challenge::Auto,
        realm: "coracle".to_owned(),
        url: None,
        certificate_user: crate::auth::CertificateUser::None,
        metrics: Arc::default(),
    };
    Authenticator::new(options, Vec::new(), Verifiers::Own { logins, issuer })
}

#[test]
fn what_each_route_needs() {
    use super::access::Need;
    use Method::{Delete, Get, Head, Patch, Post, Put};
    let rows = [
        (Get, "/", "nothing"),
        (Get, "/healthz", "nothing"),
        (Get, "/readyz", "nothing"),
        (Get, "/debug/health", "nothing"),
        (Get, "/metrics", "everything"),
        (Method::Options, "/v2/a/tags/list", "nothing"),
        (Get, "/v2/", "credential"),
        (Get, "/v2/_catalog", "catalog"),
        (Get, "/v2/a/tags/list", "pull"),
        (Head, "/v2/a/manifests/v1", "pull"),
        (Put, "/v2/a/manifests/v1", "pull,push"),
        (Delete, "/v2/a/manifests/v1", "delete"),
        (Get, "/v2/a/blobs/DIGEST", "pull"),
        (Delete, "/v2/a/blobs/DIGEST", "delete"),
        (Post, "/v2/a/blobs/uploads/", "pull,push"),
        (Get, "/v2/a/blobs/uploads/UPLOAD", "pull"),
        (Patch, "/v2/a/blobs/uploads/UPLOAD", "pull,push"),
        (Put, "/v2/a/blobs/uploads/UPLOAD", "pull,push"),
        (Delete, "/v2/a/blobs/uploads/UPLOAD", "delete"),
        (Get, "/v2/a/referrers/DIGEST", "pull"),
        (Get, "/v2/_oci/ext/discover", "credential"),
        (Get, "/v2/a/_oci/ext/discover", "pull"),
        (Get, "/v2/a/_oci/tag-history/v1", "pull"),
    ];
    for (method, path, expected) in rows {
        let full = path.replace("DIGEST", DIGEST).replace("UPLOAD", UPLOAD);
        let need = match Need::of(&Route::parse(method, &full).expect(path)) {
            Need::Nothing => "nothing".to_owned(),
            Need::Credential => "credential".to_owned(),
            Need::Any => "any".to_owned(),
            Need::Catalog => "catalog".to_owned(),
            Need::Everything => "everything".to_owned(),
            Need::Repository(name, actions) => {
                assert_eq!(name.as_str(), "a");
                actions.to_string()
            }
        };
        assert_eq!(need, expected, "{method} {path}");
    }
}

#[test]
fn a_request_without_a_credential_is_told_what_is_needed() {
    let scopes = vec![crate::auth::Scope::parse("repository:a/b:push,pull").expect("a scope")];
    let challenge = "Bearer realm=\"x\"".to_owned();
    let response = render(&Refused::Unauthorized { challenge, scopes }.into(), "id-1");
    let header = response
        .headers
        .iter()
        .find(|(name, _)| name == "WWW-Authenticate");
    assert_eq!(
        header.map(|(_, value)| value.as_ref()),
        Some("Bearer realm=\"x\"")
    );
    let bytes = response.body.into_bytes().expect("bytes");
    let body: Value = serde_json::from_slice(&bytes).expect("JSON");
    let record = |action: &str| serde_json::json!({ "Type": "repository", "Class": "", "Name": "a/b", "Action": action });
    assert_eq!(
        body["errors"],
        serde_json::json!([{
            "code": "UNAUTHORIZED",
            "message": "authentication required",
            "detail": [record("pull"), record("push")],
        }])
    );
}

#[test]
fn more_large_manifests_than_there_are_places_are_told_to_come_back() {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use crate::http::{Body, Handler, Headers, Request};

    let registry = crate::registry::tests::in_memory(crate::registry::Options::default());
    let auth = open(&registry);
    let api = super::Api::new(
        Arc::new(registry),
        Arc::new(auth),
        super::Options::default(),
    );
    let put = |length: usize| {
        let (headers, body) = (Headers::new(), Body::from_bytes(vec![b' '; length]));
        let mut request = Request::new(Method::Put, "/v2/a/manifests/v1", headers, body);
        api.handle(&mut request)
    };
    api.large_manifests
        .store(super::manifests::LARGE_MAX, Ordering::SeqCst);
    let refused = put(100_000);
    assert_eq!(refused.status, 503);
    assert!(
        refused
            .headers
            .iter()
            .any(|(name, _)| name == "Retry-After")
    );
    assert_eq!(
        put(1000).status,
        400,
        "a small one is looked at all the same"
    );
    api.large_manifests
        .store(super::manifests::LARGE_MAX - 1, Ordering::SeqCst);
    assert_eq!(put(100_000).status, 400);
    assert_eq!(put(100_000).status, 400, "the place was given back");
}
