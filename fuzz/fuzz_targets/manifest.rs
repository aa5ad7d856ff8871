//! Any bytes as a manifest of any type: no panic, and the facts agree with the type.
#![no_main]

use coracle::oci::{Manifest, ManifestKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Option<&str>, &[u8])| {
    let (content_type, bytes) = input;
    if let Ok(manifest) = Manifest::parse(bytes, content_type) {
        assert_eq!(ManifestKind::of(&manifest.media_type), Some(manifest.kind));
        assert!(manifest.children.is_empty() || manifest.kind == ManifestKind::Index);
    }
});
