//! Any text as digest, repository name, tag, reference and media type: what parses prints back.
#![no_main]

use coracle::oci::{Digest, MediaType, Reference, RepositoryName, Tag};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
    if let Ok(name) = text.parse::<RepositoryName>() {
        assert_eq!(name.as_str(), text);
        assert!(!text.contains("..") && !text.contains("//"));
    }
    if let Ok(tag) = text.parse::<Tag>() {
        assert!(tag.as_str() == text && text.len() <= Tag::LENGTH_MAX);
    }
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_string(), text);
    }
    if let Some(media_type) = MediaType::parse(text) {
        assert_eq!(MediaType::parse(media_type.as_str()), Some(media_type));
    }
});
