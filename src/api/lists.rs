//! end-8, end-12 and the catalog: lists, a page at a time.

use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

use super::Api;
use super::access::Caller;
use super::error::Failure;
use super::query::Query;
use super::respond::{json_body, json_typed, next_link};
use crate::http::{Request, Response};
use crate::oci::media_type::OCI_IMAGE_INDEX;
use crate::oci::{Digest, RepositoryName};
use crate::store::catalog::Referrer;

/// How many entries a page of referrers has at most, whatever their size.
const REFERRERS_MAX: usize = 10_000;

/// `GET /v2/<name>/tags/list`
pub fn tags(
    api: &Api,
    request: &Request<'_>,
    repository: &RepositoryName,
) -> Result<Response, Failure> {
    let query = Query::new(request.query.as_deref());
    let max = api.options.tags_page_max;
    let limit = page_size(query, max, max)?;
    let page = api
        .registry
        .tags(repository, query.get("last").as_deref(), limit)?;
    let response = Response::new(200);
    let body = json!({ "name": repository.as_str(), "tags": page.items });
    let path = format!("/v2/{repository}/tags/list");
    let next = page.items.last().filter(|_| page.more);
    Ok(json_body(linked(response, &path, limit, next), &body))
}

/// `GET /v2/_catalog`: what the caller may pull. Also the link to the next page names nothing else.
pub fn catalog(api: &Api, request: &Request<'_>, caller: &Caller) -> Result<Response, Failure> {
    let query = Query::new(request.query.as_deref());
    let limit = page_size(
        query,
        api.options.catalog_page_default,
        api.options.catalog_page_max,
    )?;
    let last = query.get("last");
    let page = if caller.lists_everything() {
        api.registry
            .repositories(last.as_deref(), limit, |_| true)?
    } else {
        api.registry
            .repositories(last.as_deref(), limit, caller.listed())?
    };
    let next = page.items.last().filter(|_| page.more);
    let response = linked(Response::new(200), "/v2/_catalog", limit, next);
    Ok(json_body(response, &json!({ "repositories": page.items })))
}

/// `GET /v2/<name>/referrers/<digest>`: an index, also of nothing.
pub fn referrers(
    api: &Api,
    request: &Request<'_>,
    repository: &RepositoryName,
    subject: &Digest,
) -> Result<Response, Failure> {
    let query = Query::new(request.query.as_deref());
    let types: Vec<String> = query
        .all("artifactType")
        .filter(|own| !own.is_empty())
        .collect();
    let limit = page_size(query, REFERRERS_MAX, REFERRERS_MAX)?;
    let last = query
        .get("last")
        .map(|text| super::error::parse_digest(Some(text)))
        .transpose()?;
    let page = api
        .registry
        .referrers(repository, subject, &types, last.as_ref(), limit)?;
    let mut response = Response::new(200);
    if !types.is_empty() {
        response = response.header("OCI-Filters-Applied", "artifactType");
    }
    if let Some(last) = page.items.last().filter(|_| page.more) {
        let (n, last) = (limit.to_string(), last.digest.to_string());
        let mut parameters = vec![("n", n.as_str()), ("last", last.as_str())];
        parameters.extend(types.iter().map(|own| ("artifactType", own.as_str())));
        let path = format!("/v2/{repository}/referrers/{subject}");
        response = response.header("Link", next_link(&path, &parameters));
    }
    let manifests: Vec<Entry<'_>> = page.items.iter().map(Entry::of).collect();
    let body = Index {
        schema_version: 2,
        media_type: OCI_IMAGE_INDEX,
        manifests,
    };
    Ok(json_typed(response, OCI_IMAGE_INDEX, &body))
}

/// The index that the referrers API answers with.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'p> {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Entry<'p>>,
}

/// A descriptor in that index.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'p> {
    media_type: &'p str,
    digest: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'p str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'p BTreeMap<String, String>,
}

impl<'p> Entry<'p> {
    fn of(referrer: &'p Referrer) -> Self {
        Self {
            media_type: referrer.media_type.as_str(),
            digest: referrer.digest.to_string(),
            size: referrer.size,
            artifact_type: referrer.artifact_type.as_deref(),
            annotations: &referrer.annotations,
        }
    }
}

/// `n`, or `default` without one; never more than `max`.
pub(super) fn page_size(query: Query<'_>, default: usize, max: usize) -> Result<usize, Failure> {
    let Some(text) = query.get("n").filter(|text| !text.is_empty()) else {
        return Ok(default);
    };
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Failure::PageSizeInvalid(text));
    }
    // What does not fit in a number is more than the most.
    Ok(text.parse().map_or(max, |n: usize| n.min(max)))
}

fn linked(response: Response, path: &str, limit: usize, last: Option<&String>) -> Response {
    match last {
        Some(last) => {
            let n = limit.to_string();
            response.header("Link", next_link(path, &[("last", last), ("n", &n)]))
        }
        None => response,
    }
}
