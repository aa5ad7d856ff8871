//! end-4, end-5, end-6, end-11, end-13, end-14: blobs on their way in.

use super::Api;
use super::access::Caller;
use super::error::{Failure, parse_digest};
use super::owners::Owner;
use super::query::Query;
use super::respond::{blob_created, upload_headers};
use super::transfers::Transfer;
use crate::auth::Action;
use crate::http::{Request, Response};
use crate::oci::{Algorithm, Digest, RepositoryName};
use crate::registry::Error;
use crate::registry::upload::Chunk;
use crate::store::blobs::UploadKey;

/// Repositories looked at for a mount that names no source.
const MOUNT_SOURCES_MAX: usize = 16;

/// `POST`: a mount, a whole blob, or a new session, told by the query.
pub fn start(
    api: &Api,
    request: &mut Request<'_>,
    repository: &RepositoryName,
    caller: &Caller,
) -> Result<Response, Failure> {
    let text = request.query.clone();
    let query = Query::new(text.as_deref());
    if let Some(mount) = query.get("mount") {
        let digest = parse_digest(Some(mount))?;
        if mount_from(api, repository, &digest, query.get("from"), caller)? {
            api.registry.metrics().http.mounts.add_one();
            return Ok(blob_created(repository, &digest));
        }
    } else if let Some(digest) = query.get("digest") {
        let digest = parse_digest(Some(digest))?;
        let length = request.body.declared_length();
        let client = request.peer.ip();
        let transfers = &api.vitals.transfers;
        let transfer = transfers.begin(repository, client, 0, length);
        let mut body = transfer.counted(&mut request.body);
        api.registry
            .push_blob(repository, length, &mut body, &digest)?;
        return Ok(blob_created(repository, &digest));
    }
    let algorithm = match query.get("digest-algorithm") {
        None => Algorithm::Sha256,
        Some(name) => match name.parse() {
            Ok(algorithm) => algorithm,
            Err(error) => {
                return Err(Failure::DigestInvalid {
                    digest: Some(name),
                    error,
                });
            }
        },
    };
    let owner = Owner {
        client: request.peer.client(),
        identity: caller.name().map(str::to_owned),
    };
    api.owners.may_begin(&owner)?;
    let id = api.registry.start_upload(repository, algorithm)?;
    api.owners.began(&id, owner);
    let key = UploadKey {
        repository: repository.clone(),
        id,
    };
    Ok(upload_headers(Response::new(202), &key, 0))
}

/// A mount whose source is malformed, unknown, without the blob or not the caller's to read turns
/// into an upload; one of a blob that is here already needs no source.
fn mount_from(
    api: &Api,
    repository: &RepositoryName,
    digest: &Digest,
    from: Option<String>,
    caller: &Caller,
) -> Result<bool, Failure> {
    match api.registry.blob_size(repository, digest) {
        Ok(_) => return Ok(true),
        Err(Error::BlobUnknown { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let sources: Vec<RepositoryName> = match from {
        Some(from) => from.parse().into_iter().collect(),
        None => api.registry.mount_sources(digest, MOUNT_SOURCES_MAX)?,
    };
    let readable = sources.iter().filter(|own| caller.may(own, Action::Pull));
    for source in readable {
        if api.registry.mount(repository, digest, source)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `GET` and `HEAD`: how far it has come.
pub fn status(api: &Api, key: &UploadKey) -> Result<Response, Failure> {
    let offset = api.registry.upload_offset(key)?;
    Ok(upload_headers(Response::new(204), key, offset))
}

/// `PATCH`: the next chunk, or a stream of unknown length.
pub fn patch(api: &Api, request: &mut Request<'_>, key: &UploadKey) -> Result<Response, Failure> {
    let chunk = chunk(api, request, key)?;
    let transfer = transfer(api, request, key, chunk);
    let mut body = transfer.counted(&mut request.body);
    let offset = api
        .registry
        .append(key, chunk, &mut body)
        .map_err(|error| Failure::Upload {
            key: key.clone(),
            error,
        })?;
    api.owners.seen(&key.id);
    Ok(upload_headers(Response::new(202), key, offset))
}

/// `PUT`: the last chunk, which may be the whole blob or nothing.
pub fn put(api: &Api, request: &mut Request<'_>, key: &UploadKey) -> Result<Response, Failure> {
    let digest = parse_digest(Query::new(request.query.as_deref()).get("digest"))?;
    let chunk = chunk(api, request, key)?;
    let finished = if chunk.length == Some(0) {
        let body = &mut request.body;
        api.registry.finish_upload(key, chunk, body, &digest)
    } else {
        let transfer = transfer(api, request, key, chunk);
        let mut body = transfer.counted(&mut request.body);
        api.registry.finish_upload(key, chunk, &mut body, &digest)
    };
    let is_over = match &finished {
        Ok(()) | Err(Error::DigestMismatch { .. } | Error::UploadUnknown { .. }) => true,
        // Refused before its bytes or after them.
        Err(Error::QuotaExceeded(_)) => {
            let offset = api.registry.upload_offset(key);
            matches!(offset, Err(Error::UploadUnknown { .. }))
        }
        Err(_) => false,
    };
    if is_over {
        api.owners.ended(&key.id);
    }
    finished.map_err(|error| Failure::Upload {
        key: key.clone(),
        error,
    })?;
    Ok(blob_created(&key.repository, &digest))
}

/// `DELETE`: the client gives up.
pub fn cancel(api: &Api, key: &UploadKey) -> Result<Response, Failure> {
    let ended = api.registry.cancel_upload(key);
    if let Ok(()) | Err(Error::UploadUnknown { .. }) = &ended {
        api.owners.ended(&key.id);
    }
    ended?;
    Ok(Response::new(204).header("Docker-Upload-UUID", key.id.to_string()))
}

/// Has others see how far the chunk is. Only a range says what is there before it; asking the store
/// would cost more than it tells.
fn transfer<'a>(
    api: &'a Api,
    request: &Request<'_>,
    key: &UploadKey,
    chunk: Chunk,
) -> Transfer<'a> {
    let offset = chunk.range.map_or(0, |(first, _)| first);
    let transfers = &api.vitals.transfers;
    transfers.begin(&key.repository, request.peer.ip(), offset, chunk.length)
}

/// What the request says of its chunk. `Content-Range` is `<first>-<last>` in this protocol; the
/// form of RFC 9110, `bytes <first>-<last>/<total or *>`, is understood as well.
fn chunk(api: &Api, request: &Request<'_>, key: &UploadKey) -> Result<Chunk, Failure> {
    let length = request.body.declared_length();
    let Some(header) = request.headers.get("content-range") else {
        return Ok(Chunk {
            range: None,
            length,
        });
    };
    let value = header.trim();
    let value = value
        .strip_prefix("bytes")
        .map_or(value, |rest| rest.trim_start_matches([' ', '=']));
    let value = value.split('/').next().unwrap_or_default().trim();
    let number = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse::<u64>().ok())
            .flatten()
    };
    let range = value
        .split_once('-')
        .and_then(|(first, last)| Some((number(first)?, number(last)?)));
    if range.is_none() {
        return Err(Failure::RangeInvalid {
            key: key.clone(),
            offset: api.registry.upload_offset(key)?,
            found: header.to_owned(),
        });
    }
    Ok(Chunk { range, length })
}
