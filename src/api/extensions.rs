//! The extensions of the OCI Distribution Specification (`extensions/_oci.md`, a draft): which
//! there are, and the history of a tag.
//!
//! By whom a tag was set or removed is told in an annotation of our own, to those who are logged
//! in.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::Api;
use super::access::Caller;
use super::error::{Failure, parse_digest};
use super::lists::page_size;
use super::query::Query;
use super::respond::{json_body, next_link};
use crate::clock::{parse_rfc3339, rfc3339_ms, unix_ms};
use crate::http::{Request, Response};
use crate::oci::{RepositoryName, Tag};
use crate::registry::Error;
use crate::registry::history::TagTime;
use crate::store::catalog::Ended;

/// Where the extension is described.
const URL: &str =
    "https://github.com/opencontainers/distribution-spec/blob/main/extensions/_oci.md";

/// What of it is here.
const ENDPOINTS: [&str; 2] = ["_oci/ext/discover", "_oci/tag-history/{tag}"];

/// Entries in a page without `n`.
const PAGE: usize = 100;
/// The most entries in one page.
const PAGE_MAX: usize = 1000;

/// Annotations of entries: when the tag was made or set, when it was removed, and by whom.
const CREATED: &str = "org.opencontainers.distribution.tag.created";
const DELETED: &str = "org.opencontainers.distribution.tag.deleted";
const BY: &str = "coracle.by";

/// `GET /v2/_oci/ext/discover`, `GET /v2/<name>/_oci/ext/discover`
pub fn discover(api: &Api, repository: Option<&RepositoryName>) -> Result<Response, Failure> {
    if let Some(name) = repository {
        let exists = api.registry.catalog().read(|tx| tx.repository_exists(name));
        if !exists.map_err(Error::Store)? {
            return Err(Error::NameUnknown { name: name.clone() }.into());
        }
    }
    let body = json!({ "extensions": [{
        "name": "_oci",
        "url": URL,
        "description": "which extensions there are, and the history of tags",
        "endpoints": ENDPOINTS,
    }] });
    Ok(json_body(Response::new(200), &body))
}

/// `GET /v2/<name>/_oci/tag-history/<tag>`: a descriptor each time that the tag was set to another
/// manifest or removed, the latest first.
pub fn tag_history(
    api: &Api,
    request: &Request<'_>,
    repository: &RepositoryName,
    tag: &Tag,
    caller: &Caller,
) -> Result<Response, Failure> {
    let query = Query::new(request.query.as_deref());
    let limit = page_size(query, PAGE, PAGE_MAX)?;
    let before = query.get("before").map(read_before).transpose()?;
    let last = query.get("last").map(read_place).transpose()?;
    let digest = query
        .get("digest")
        .map(|text| parse_digest(Some(text)))
        .transpose()?;
    let mut entries = entries(api.registry.tag_history(repository, tag)?);
    if let Some(digest) = digest {
        let text = digest.to_string();
        entries.retain(|entry| entry.digest == text);
        if entries.is_empty() {
            return Err(Failure::NotInHistory { digest });
        }
    }
    entries.retain(|entry| {
        let is_before = before.is_none_or(|before| entry.place.0 < before);
        is_before && last.is_none_or(|last| entry.place < last)
    });
    let more = entries.len() > limit;
    entries.truncate(limit);
    let mut response = Response::new(200);
    if let Some(last) = entries.last().filter(|_| more) {
        let path = format!("/v2/{repository}/_oci/tag-history/{tag}");
        let (n, place) = (
            limit.to_string(),
            format!("{}-{}", last.place.0, last.place.1),
        );
        let mut parameters = vec![("last", place.as_str()), ("n", n.as_str())];
        let digest = digest.map(|digest| digest.to_string());
        parameters.extend(digest.iter().map(|digest| ("digest", digest.as_str())));
        response = response.header("Link", next_link(&path, &parameters));
    }
    // Names of people are not for everybody.
    let is_known = caller.name().is_some();
    let body: Vec<Descriptor<'_>> = entries.iter().map(|own| own.told(is_known)).collect();
    Ok(json_body(response, &body))
}

/// The place of an entry in the list: its time in milliseconds since 1970, then a number that
/// counts up.
type Place = (i64, i64);

/// Something that happened to a tag.
struct Entry {
    place: Place,
    media_type: String,
    size: u64,
    digest: String,
    event: &'static str,
    by: Option<String>,
}

/// One entry of the answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'e> {
    media_type: &'e str,
    size: u64,
    digest: &'e str,
    annotations: BTreeMap<&'static str, String>,
}

impl Entry {
    fn told(&self, with_names: bool) -> Descriptor<'_> {
        let mut annotations = BTreeMap::from([(self.event, rfc3339_ms(self.place.0))]);
        if let Some(by) = self.by.as_ref().filter(|_| with_names) {
            annotations.insert(BY, by.clone());
        }
        Descriptor {
            media_type: &self.media_type,
            size: self.size,
            digest: &self.digest,
            annotations,
        }
    }
}

/// What happened, the latest first.
fn entries(times: Vec<TagTime>) -> Vec<Entry> {
    let mut entries = Vec::new();
    // From the first on: numbers count up with what happened at the same time, too.
    for time in times.into_iter().rev() {
        let mut entry = |event, at, by| {
            let number = i64::try_from(entries.len()).unwrap_or(i64::MAX);
            entries.push(Entry {
                place: (unix_ms(at), number),
                media_type: time.media_type.to_string(),
                size: time.size,
                digest: time.digest.to_string(),
                event,
                by,
            });
        };
        entry(CREATED, time.set_at, time.set_by);
        if let Some(end) = time.end.filter(|end| end.how != Ended::Moved) {
            entry(DELETED, end.at, end.by);
        }
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.place));
    entries
}

fn read_before(text: String) -> Result<i64, Failure> {
    parse_rfc3339(&text).ok_or(Failure::PlaceInvalid {
        parameter: "before",
        found: text,
    })
}

fn read_place(text: String) -> Result<Place, Failure> {
    let place = text.split_once('-');
    let place = place.and_then(|(at, number)| Some((at.parse().ok()?, number.parse().ok()?)));
    place.ok_or(Failure::PlaceInvalid {
        parameter: "last",
        found: text,
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::oci::{Algorithm, Digest, MediaType};
    use crate::registry::history::End;

    fn time(content: &str, set: u64, end: Option<(u64, Ended)>) -> TagTime {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        TagTime {
            id: 1,
            digest: Digest::of(Algorithm::Sha256, content.as_bytes()),
            media_type: MediaType::from("a/b"),
            size: 1,
            set_at: at(set),
            set_by: Some("user:ada".to_owned()),
            end: end.map(|(end, how)| End {
                at: at(end),
                by: None,
                how,
            }),
        }
    }

    #[test]
    fn a_move_is_one_entry_and_a_removal_another() {
        let times = vec![
            time("c", 9, None),
            time("b", 5, Some((7, Ended::Removed))),
            time("a", 1, Some((5, Ended::Moved))),
        ];
        let told: Vec<(i64, &str)> = entries(times)
            .iter()
            .map(|own| (own.place.0, own.event))
            .collect();
        let expected = [
            (9000, CREATED),
            (7000, DELETED),
            (5000, CREATED),
            (1000, CREATED),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_order_is_that_of_times_also_after_the_clock_was_set_back() {
        let times = vec![time("b", 3, None), time("a", 8, Some((3, Ended::Moved)))];
        let told: Vec<i64> = entries(times).iter().map(|own| own.place.0).collect();
        assert_eq!(told, [8000, 3000]);
        let same = vec![time("b", 3, None), time("a", 3, Some((3, Ended::Removed)))];
        let told = entries(same);
        let events: Vec<&str> = told.iter().map(|own| own.event).collect();
        assert_eq!(events, [CREATED, DELETED, CREATED]);
        assert!(told.is_sorted_by(|a, b| a.place > b.place));
    }

    #[test]
    fn names_are_told_to_those_who_are_known() {
        let entries = entries(vec![time("a", 1, None)]);
        let known = json!(entries[0].told(true));
        assert_eq!(known["annotations"][BY], "user:ada");
        assert_eq!(known["annotations"][CREATED], "1970-01-01T00:00:01.000Z");
        assert_eq!(
            json!(entries[0].told(false))["annotations"]
                .as_object()
                .expect("an object")
                .len(),
            1
        );
    }

    #[test]
    fn places_are_read_as_they_are_written() {
        assert_eq!(read_place("12-3".to_owned()).expect("a place"), (12, 3));
        for text in ["", "12", "12-", "-", "a-b", "1-2-3"] {
            assert!(read_place(text.to_owned()).is_err(), "{text}");
        }
    }
}
