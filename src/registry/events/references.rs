//! What a manifest refers to, as an event tells it: descriptors as they stand in the manifest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A descriptor, its fields in the order of OCI's image specification. What it holds beside them is
/// not told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// Which content.
    pub digest: String,
    /// Its length in bytes.
    pub size: i64,
    /// Where else it is to be had.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Its annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The content itself, in base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data: String,
    /// What it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The type of the artifact.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub artifact_type: String,
}

/// What an image runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// The processor.
    pub architecture: String,
    /// The system.
    pub os: String,
    /// Its version.
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// What it must be able to do.
    #[serde(rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// The variant of the processor.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// The parts of a manifest that refer to content.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Parts {
    config: Option<Descriptor>,
    layers: Vec<Descriptor>,
    blobs: Vec<Descriptor>,
    manifests: Vec<Descriptor>,
}

/// The longest list that is told, in bytes: thousands of descriptors.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// The descriptors of a manifest in JSON: the config first, then layers, blobs or children. `None`
/// where there is none, one is not as the specification has it, or they are too long together.
pub(super) fn of(manifest: &[u8]) -> Option<String> {
    let parts: Parts = serde_json::from_slice(manifest).ok()?;
    let all: Vec<Descriptor> = parts
        .config
        .into_iter()
        .chain(parts.layers)
        .chain(parts.blobs)
        .chain(parts.manifests)
        .collect();
    let text = serde_json::to_string(&all).ok()?;
    (!all.is_empty() && text.len() <= TEXT_BYTES_MAX).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_keep_their_order_and_their_fields() {
        let image = br#"{"schemaVersion":2,
            "layers":[{"size":2,"digest":"sha256:b","mediaType":"l","urls":["u"]}],
            "config":{"mediaType":"c","digest":"sha256:a","size":1,"x":5}}"#;
        let config = r#"{"mediaType":"c","digest":"sha256:a","size":1}"#;
        let layer = r#"{"mediaType":"l","digest":"sha256:b","size":2,"urls":["u"]}"#;
        assert_eq!(of(image).unwrap(), format!("[{config},{layer}]"));
        let index = br#"{"manifests":[{"mediaType":"m","digest":"sha256:c","size":3,
            "platform":{"os":"linux","architecture":"arm","variant":"v7"},
            "annotations":{"k":"v"}}]}"#;
        let child = r#"[{"mediaType":"m","digest":"sha256:c","size":3,"annotations":{"k":"v"},"#;
        let platform = r#""platform":{"architecture":"arm","os":"linux","variant":"v7"}}]"#;
        assert_eq!(of(index).unwrap(), format!("{child}{platform}"));
        for none in [&b"{}"[..], b"[]", b"", br#"{"config":3}"#] {
            assert_eq!(of(none), None);
        }
    }
}
