//! Pieces of responses that several resources share.

use serde::Serialize;

use crate::http::{Response, percent};
use crate::oci::{Digest, RepositoryName};
use crate::store::blobs::UploadKey;

/// The version header that every response carries.
pub const API_VERSION: (&str, &str) = ("Docker-Distribution-Api-Version", "registry/2.0");

/// Sets a JSON body.
pub fn json_body(response: Response, value: &impl Serialize) -> Response {
    json_typed(response, "application/json", value)
}

/// Sets a JSON body of a given media type.
pub fn json_typed(
    response: Response,
    media_type: &'static str,
    value: &impl Serialize,
) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => response.header("Content-Type", media_type).bytes(bytes),
        // Only a map with keys that are no strings fails; there is none.
        Err(error) => {
            log::error!("a response could not be written as JSON: {error}");
            Response::new(500)
        }
    }
}

/// The headers of an upload session: where it goes on and how far it has come. One byte and none
/// are both `0-0`: clients refuse a range that ends before it starts.
pub fn upload_headers(response: Response, key: &UploadKey, offset: u64) -> Response {
    response
        .header(
            "Location",
            format!("/v2/{}/blobs/uploads/{}", key.repository, key.id),
        )
        .header("Range", format!("0-{}", offset.saturating_sub(1)))
        .header("Docker-Upload-UUID", key.id.to_string())
}

/// 201 for a blob that can be fetched from now on.
pub fn blob_created(repository: &RepositoryName, digest: &Digest) -> Response {
    Response::new(201)
        .header("Location", format!("/v2/{repository}/blobs/{digest}"))
        .header("Docker-Content-Digest", digest.to_string())
}

/// The value of a `Link` header to the next page (RFC 8288).
pub fn next_link(path: &str, parameters: &[(&str, &str)]) -> String {
    let query: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", percent::encode(value, ":")))
        .collect();
    format!("<{path}?{}>; rel=\"next\"", query.join("&"))
}

/// Whether an `If-None-Match` value names this entity tag: a list of tags, quoted or bare, weak or
/// strong, or `*`.
pub fn none_match(header: Option<&str>, digest: &str) -> bool {
    header.is_some_and(|value| {
        value.split(',').map(str::trim).any(|tag| {
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            tag == "*" || tag.trim_matches('"') == digest
        })
    })
}
