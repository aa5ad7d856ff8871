//! Manifests: what a registry must know of them, read from bytes that are never changed.
//!
//! Only structure is judged here. Whether the content that a manifest refers to exists is a
//! decision of the registry, and the bytes themselves are kept by whoever holds them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::bounded::{List, NotEmpty, Texts};
use super::media_type::{
    DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED,
    OCI_ARTIFACT_MANIFEST, OCI_IMAGE_INDEX, OCI_IMAGE_MANIFEST,
};
use super::{Descriptor, Digest, MediaType};

/// The shape of a manifest, told by its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestKind {
    /// One image or artifact: a config and layers (OCI image manifest, Docker schema 2).
    Image,
    /// A list of manifests (OCI image index, Docker manifest list).
    Index,
    /// The retired OCI artifact manifest: `blobs` and no config.
    Artifact,
}

impl ManifestKind {
    /// The shape of an accepted media type; `None` for every other.
    pub fn of(media_type: &MediaType) -> Option<Self> {
        match media_type.as_str() {
            OCI_IMAGE_MANIFEST | DOCKER_MANIFEST => Some(Self::Image),
            OCI_IMAGE_INDEX | DOCKER_MANIFEST_LIST => Some(Self::Index),
            OCI_ARTIFACT_MANIFEST => Some(Self::Artifact),
            _ => None,
        }
    }
}

/// The facts of a manifest that a registry acts on.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The type under which it is stored and served.
    pub media_type: MediaType,
    /// Its shape.
    pub kind: ManifestKind,
    /// The config of an image.
    pub config: Option<Descriptor>,
    /// The layers of an image, or the blobs of an artifact, in order.
    pub layers: Vec<Descriptor>,
    /// The manifests of an index, in order.
    pub children: Vec<Descriptor>,
    /// The manifest that this one is about; it need not exist.
    pub subject: Option<Digest>,
    /// What the referrers API lists as `artifactType`: the manifest's own, or for an image the
    /// media type of its config.
    pub artifact_type: Option<String>,
    /// The manifest's own annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Why bytes are not a manifest that can be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestError {
    /// Not the JSON of a manifest; what the parser said.
    Json(String),
    /// `schemaVersion` is missing or not 2.
    SchemaVersion,
    /// A media type that is not one of a manifest.
    MediaTypeUnsupported(String),
    /// Docker's schema 1.
    Schema1,
    /// No `Content-Type`, no `mediaType`, and no fields that tell.
    MediaTypeMissing,
    /// `Content-Type` and `mediaType` do not agree.
    MediaTypeMismatch {
        /// The request's type.
        header: String,
        /// The body's type.
        body: String,
    },
    /// The fields of an image and of an index in one document.
    Ambiguous,
    /// An image manifest without a config.
    ConfigMissing,
    /// A descriptor's digest cannot be used.
    Digest(String),
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(why) => write!(f, "the manifest is not valid JSON of its type: {why}"),
            Self::SchemaVersion => f.write_str("schemaVersion must be 2"),
            Self::MediaTypeUnsupported(found) => write!(
                f,
                "{found:?} is not a manifest type of this registry; push an OCI image manifest or \
                 index, or a Docker schema 2 manifest or list"
            ),
            Self::Schema1 => {
                f.write_str("Docker schema 1 manifests are not accepted; push schema 2 or OCI")
            }
            Self::MediaTypeMissing => f.write_str(
                "the manifest's type cannot be told; send a Content-Type or set mediaType",
            ),
            Self::MediaTypeMismatch { header, body } => {
                write!(
                    f,
                    "Content-Type is {header:?} but mediaType in the manifest is {body:?}"
                )
            }
            Self::Ambiguous => {
                f.write_str("a manifest may not hold both `manifests` and `config` or `layers`")
            }
            Self::ConfigMissing => f.write_str("an image manifest needs a config"),
            Self::Digest(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ManifestError {}

/// The fields that are read; `null` counts as absent, as Go writes empty lists so.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<RawDescriptor>,
    layers: Option<List<RawDescriptor>>,
    blobs: Option<List<RawDescriptor>>,
    manifests: Option<List<RawDescriptor>>,
    subject: Option<RawDescriptor>,
    annotations: Option<Texts>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    media_type: Option<String>,
    digest: String,
    #[serde(default)]
    size: u64,
    urls: Option<NotEmpty>,
}

impl RawDescriptor {
    fn parse(self) -> Result<Descriptor, ManifestError> {
        let digest = self.digest.parse().map_err(|error| {
            ManifestError::Digest(format!("digest {:?} in the manifest: {error}", self.digest))
        })?;
        Ok(Descriptor {
            media_type: self.media_type.as_deref().and_then(MediaType::parse),
            digest,
            size: self.size,
            has_urls: self.urls.is_some_and(|urls| urls.0),
        })
    }

    fn parse_all(list: Option<List<Self>>) -> Result<Vec<Descriptor>, ManifestError> {
        let list = list.map_or_else(Vec::new, |list| list.0);
        list.into_iter().map(Self::parse).collect()
    }
}

impl Manifest {
    /// Reads the facts out of `bytes`.
    ///
    /// `content_type` is the request's `Content-Type` without parameters, when there was one. A
    /// missing `mediaType` in the body is legal for OCI types, a different one is not.
    ///
    /// # Errors
    /// [`ManifestError`], each variant a reason to refuse the manifest.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, ManifestError> {
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|error| ManifestError::Json(error.to_string()))?;
        let media_type = document.decide_media_type(content_type)?;
        let kind = ManifestKind::of(&media_type)
            .ok_or_else(|| ManifestError::MediaTypeUnsupported(media_type.to_string()))?;
        document.check(kind)?;

        let config = document.config.map(RawDescriptor::parse).transpose()?;
        let layers = match kind {
            ManifestKind::Artifact => document.blobs,
            ManifestKind::Image | ManifestKind::Index => document.layers,
        };
        let own_type = document.artifact_type.filter(|own| !own.is_empty());
        let artifact_type = own_type.or_else(|| match kind {
            ManifestKind::Image => config
                .as_ref()?
                .media_type
                .as_ref()
                .map(ToString::to_string),
            ManifestKind::Index | ManifestKind::Artifact => None,
        });
        Ok(Self {
            media_type,
            kind,
            layers: RawDescriptor::parse_all(layers)?,
            children: RawDescriptor::parse_all(document.manifests)?,
            subject: document
                .subject
                .map(RawDescriptor::parse)
                .transpose()?
                .map(|s| s.digest),
            artifact_type,
            annotations: document.annotations.map_or_else(BTreeMap::new, |own| own.0),
            config,
        })
    }
}

impl Document {
    /// The type the manifest is stored under: the header's, else the body's, else what its
    /// fields tell.
    fn decide_media_type(&self, content_type: Option<&str>) -> Result<MediaType, ManifestError> {
        let parse = |text: &str| {
            MediaType::parse(text).ok_or_else(|| ManifestError::MediaTypeUnsupported(text.into()))
        };
        let body = self.media_type.as_deref().filter(|own| !own.is_empty());
        let body = body.map(parse).transpose()?;
        let header = content_type
            .filter(|own| !own.is_empty())
            .map(parse)
            .transpose()?;
        let declared = match (header, body) {
            (Some(header), Some(body)) if header != body => {
                return Err(ManifestError::MediaTypeMismatch {
                    header: header.to_string(),
                    body: body.to_string(),
                });
            }
            (Some(declared), _) | (None, Some(declared)) => declared,
            (None, None) if self.manifests.is_some() => OCI_IMAGE_INDEX.into(),
            (None, None) if self.config.is_some() => OCI_IMAGE_MANIFEST.into(),
            (None, None) => return Err(ManifestError::MediaTypeMissing),
        };
        match declared.as_str() {
            DOCKER_SCHEMA1 | DOCKER_SCHEMA1_SIGNED => Err(ManifestError::Schema1),
            _ if self.schema_version == Some(1) => Err(ManifestError::Schema1),
            _ => Ok(declared),
        }
    }

    fn check(&self, kind: ManifestKind) -> Result<(), ManifestError> {
        let image_fields = self.config.is_some() || self.layers.is_some();
        let ambiguous = match kind {
            ManifestKind::Image | ManifestKind::Artifact => self.manifests.is_some(),
            ManifestKind::Index => image_fields,
        };
        if ambiguous {
            return Err(ManifestError::Ambiguous);
        }
        match kind {
            // The retired artifact manifest never had the field.
            ManifestKind::Artifact => Ok(()),
            _ if self.schema_version != Some(2) => Err(ManifestError::SchemaVersion),
            ManifestKind::Image if self.config.is_none() => Err(ManifestError::ConfigMissing),
            ManifestKind::Image | ManifestKind::Index => Ok(()),
        }
    }
}
