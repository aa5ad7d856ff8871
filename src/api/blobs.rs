//! end-2 and end-10: fetching and deleting blobs.

use super::error::Failure;
use super::respond::none_match;
use super::{Api, range};
use crate::http::{Method, Request, Response, ResponseBody};
use crate::oci::{Digest, RepositoryName};
use crate::registry::blobs::Blob;
use crate::store::blobs::BlobReader;

/// How long a cache may keep a blob, in seconds: a digest never means anything else.
const CACHE: &str = "max-age=31536000";

/// `GET` and `HEAD`.
pub fn get(
    api: &Api,
    request: &Request<'_>,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Response, Failure> {
    let text = digest.to_string();
    let head = |status: u16| {
        Response::new(status)
            .header("Content-Type", "application/octet-stream")
            .header("Docker-Content-Digest", text.clone())
            .header("ETag", format!("\"{text}\""))
            .header("Cache-Control", CACHE)
            .header("Accept-Ranges", "bytes")
    };
    let is_known = none_match(request.headers.get("if-none-match"), &text);
    if is_known || request.method == Method::Head {
        // Neither answer needs the bytes.
        let length = api.registry.blob_size(repository, digest)?;
        api.registry.blob_pulled(repository, digest, length);
        return Ok(if is_known {
            head(304)
        } else {
            head(200).body(ResponseBody::LengthOnly { length })
        });
    }
    let blob = api.registry.open_blob(repository, digest)?;
    api.registry.blob_pulled(repository, digest, blob.size);
    if let Some(url) = api.registry.blob_redirect(digest) {
        return Ok(head(307).header("Location", url));
    }
    let asked = request
        .headers
        .get("range")
        .filter(|_| if_range(request, &text));
    match asked.map_or(range::Range::Whole, |value| range::parse(value, blob.size)) {
        range::Range::Whole => {
            let length = blob.size;
            Ok(head(200).body(part(blob, 0, length)))
        }
        range::Range::Part { first, last } => {
            let total = format!("bytes {first}-{last}/{}", blob.size);
            Ok(head(206)
                .header("Content-Range", total)
                .body(part(blob, first, last - first + 1)))
        }
        range::Range::Unsatisfiable => {
            Ok(head(416).header("Content-Range", format!("bytes */{}", blob.size)))
        }
    }
}

/// `DELETE`.
pub fn delete(
    api: &Api,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Response, Failure> {
    api.registry.delete_blob(repository, digest)?;
    Ok(Response::new(202))
}

/// Whether a range may be honoured: `If-Range` is absent or names this very content.
fn if_range(request: &Request<'_>, digest: &str) -> bool {
    request
        .headers
        .get("if-range")
        .is_none_or(|value| value.trim().trim_matches('"') == digest)
}

fn part(blob: Blob, offset: u64, length: u64) -> ResponseBody {
    match blob.reader {
        BlobReader::File(file) => ResponseBody::File {
            file,
            offset,
            length,
        },
        BlobReader::Memory(bytes) if length == blob.size => ResponseBody::Shared(bytes),
        BlobReader::Memory(bytes) => {
            // A blob in memory is no longer than memory, so both fit.
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let end = usize::try_from(offset + length).unwrap_or(usize::MAX);
            ResponseBody::Bytes(bytes.get(start..end).unwrap_or_default().to_vec())
        }
    }
}
