//! end-3, end-7, end-9: manifests.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Api;
use super::access::Caller;
use super::error::{Failure, parse_tag};
use super::query::Query;
use super::respond::none_match;
use crate::http::{Body, BodyError, Method, Request, Response, ResponseBody};
use crate::oci::{Digest, MediaType, Reference, RepositoryName, Tag};
use crate::registry::Error;
use crate::store::catalog::ManifestFacts;

/// A manifest longer than this is large, in bytes. Nearly all are a few kilobytes.
const LARGE_BYTES: usize = 64 << 10;

/// The most large manifests that are received and parsed at a time.
pub(super) const LARGE_MAX: usize = 8;

/// Read at once.
const READ_BYTES: usize = 8 << 10;

/// The most tags that are named by a header each; more are named by one list.
const TAG_HEADERS_MAX: usize = 16;

/// `GET` and `HEAD`: always what was pushed, whatever `Accept` says.
pub fn get(
    api: &Api,
    request: &Request<'_>,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<Response, Failure> {
    let known = request.headers.get("if-none-match");
    let registry = &api.registry;
    if request.method == Method::Head {
        let facts = registry.manifest_facts(repository, reference)?;
        let body = ResponseBody::LengthOnly { length: facts.size };
        let response = found(known, &facts.digest, &facts.media_type, body);
        // What the client has already is not pulled.
        if response.status == 200 {
            registry.manifest_pulled(repository, reference, &facts);
        }
        return Ok(response);
    }
    let row = registry.manifest(repository, reference)?;
    registry.pulled(repository, reference, &row.digest);
    let facts = ManifestFacts {
        digest: row.digest,
        media_type: row.media_type,
        size: row.bytes.len() as u64,
    };
    let body = ResponseBody::Shared(row.bytes);
    let response = found(known, &facts.digest, &facts.media_type, body);
    if response.status == 200 {
        registry.manifest_pulled(repository, reference, &facts);
    }
    Ok(response)
}

fn found(
    known: Option<&str>,
    digest: &Digest,
    media_type: &MediaType,
    body: ResponseBody,
) -> Response {
    let text = digest.to_string();
    let fresh = none_match(known, &text);
    let response = Response::new(if fresh { 304 } else { 200 })
        .header("Content-Type", media_type.to_string())
        .header("ETag", format!("\"{text}\""))
        .header("Docker-Content-Digest", text);
    if fresh { response } else { response.body(body) }
}

/// `PUT`.
pub fn put(
    api: &Api,
    request: &mut Request<'_>,
    repository: &RepositoryName,
    reference: &Reference,
    caller: &Caller,
) -> Result<Response, Failure> {
    let tags = tag_parameters(api, request, reference)?;
    let (bytes, _large) = read(api, &mut request.body)?;
    let content_type = request.headers.get("content-type");
    let pushed = api.registry.push_manifest(
        repository,
        reference,
        tags.clone(),
        content_type,
        bytes,
        caller.name(),
    )?;
    let mut response = Response::new(201)
        .header(
            "Location",
            format!("/v2/{repository}/manifests/{}", pushed.digest),
        )
        .header("Docker-Content-Digest", pushed.digest.to_string());
    if let Some(subject) = pushed.subject {
        response = response.header("OCI-Subject", subject.to_string());
    }
    // The specification allows a header for each tag and lists. Clients compare whole values, but
    // some take no more than a hundred headers.
    if tags.len() <= TAG_HEADERS_MAX {
        for tag in &tags {
            response = response.header("OCI-Tag", tag.to_string());
        }
    } else {
        let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        response = response.header("OCI-Tag", tags.join(", "));
    }
    Ok(response)
}

/// Reads a manifest. A large one takes one of few places, given back when it was dealt with, so
/// that many at a time cannot fill the memory.
fn read<'a>(
    api: &'a Api,
    body: &mut Body<'_>,
) -> Result<(Vec<u8>, Option<LargeManifest<'a>>), Failure> {
    let too_large = |error| match error {
        BodyError::TooLarge { limit } => Failure::Registry(Error::ManifestTooLarge { limit }),
        other => other.into(),
    };
    let limit = api.registry.options().manifest_bytes_max;
    body.set_limit(limit);
    // That one is too long is said by the reading, and has nothing to do with room.
    if let Some(length) = body.declared_length().filter(|length| *length <= limit) {
        api.registry.require_room(length)?;
    }
    let mut bytes = Vec::new();
    let mut place = None;
    let mut buffer = [0; READ_BYTES];
    loop {
        let count = body.read_some(&mut buffer).map_err(too_large)?;
        if count == 0 {
            return Ok((bytes, place));
        }
        if place.is_none() && bytes.len() + count > LARGE_BYTES {
            place = Some(LargeManifest::enter(&api.large_manifests)?);
        }
        bytes.extend_from_slice(&buffer[..count]);
    }
}

/// A place among the large manifests that are dealt with at this moment.
struct LargeManifest<'a>(&'a AtomicUsize);

impl<'a> LargeManifest<'a> {
    fn enter(count: &'a AtomicUsize) -> Result<Self, Failure> {
        let entered = count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
            (count < LARGE_MAX).then_some(count + 1)
        });
        match entered {
            Ok(_) => Ok(Self(count)),
            Err(_) => Err(Failure::ManifestsTooMany { limit: LARGE_MAX }),
        }
    }
}

impl Drop for LargeManifest<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The tags to set besides the reference. They belong to a push by digest; a push by tag has said
/// its tag already.
fn tag_parameters(
    api: &Api,
    request: &Request<'_>,
    reference: &Reference,
) -> Result<Vec<Tag>, Failure> {
    if matches!(reference, Reference::Tag(_)) {
        return Ok(Vec::new());
    }
    let texts: Vec<String> = Query::new(request.query.as_deref()).all("tag").collect();
    let limit = api.options.tags_max;
    if texts.len() > limit {
        return Err(Failure::TagsTooMany {
            count: texts.len(),
            limit,
        });
    }
    texts.into_iter().map(parse_tag).collect()
}

/// `DELETE`.
pub fn delete(
    api: &Api,
    repository: &RepositoryName,
    reference: &Reference,
    caller: &Caller,
) -> Result<Response, Failure> {
    api.registry
        .delete_manifest(repository, reference, caller.name())?;
    Ok(Response::new(202))
}
