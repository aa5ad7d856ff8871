//! The decisions for every edge case of the protocol, and the codes of errors, as data.
//!
//! A [`Row`] is one request into a repository of its own that holds an image under the tag `v1`.
//! What the places in braces stand for is in [`Place`]. Where registries differ, the row is what
//! this one does and why its clients can rely on it.

mod blobs;
mod codes;
mod lists;
mod manifests;
mod names;
mod uploads;

use crate::support::image::{Image, digest, digest_sha512};
use crate::support::session::with_query;
use crate::support::{Client, Response, for_each_shape};
use serde_json::Value;

/// What else must be so after a request.
type Then = Box<dyn Fn(&mut Place, &Response)>;

/// One request and what must come of it.
pub struct Row {
    /// What the row is about, for messages.
    about: &'static str,
    /// Method and target with places in braces.
    line: String,
    headers: Vec<(&'static str, String)>,
    body: Option<fn(&Image) -> Vec<u8>>,
    status: u16,
    /// The code of the first error; empty where the request succeeds.
    code: &'static str,
    then: Option<Then>,
}

/// A row: what it is about, the request, and the status that must be answered.
pub fn row(about: &'static str, line: impl Into<String>, status: u16) -> Row {
    Row {
        about,
        line: line.into(),
        headers: Vec::new(),
        body: None,
        status,
        code: "",
        then: None,
    }
}

impl Row {
    /// The error code that must be answered.
    fn code(mut self, code: &'static str) -> Row {
        self.code = code;
        self
    }

    /// A request header.
    fn header(mut self, name: &'static str, value: impl Into<String>) -> Row {
        self.headers.push((name, value.into()));
        self
    }

    /// The request's body, made from the image that the repository holds.
    fn body(mut self, body: fn(&Image) -> Vec<u8>) -> Row {
        self.body = Some(body);
        self
    }

    /// The request's body as JSON.
    fn manifest(self, media_type: &'static str, json: fn(&Image) -> Vec<u8>) -> Row {
        self.header("Content-Type", media_type).body(json)
    }

    /// What else must be so afterwards.
    fn then(mut self, then: impl Fn(&mut Place, &Response) + 'static) -> Row {
        self.then = Some(Box::new(then));
        self
    }

    fn run(&self, place: &mut Place) {
        let line = place.fill(&self.line);
        eprintln!("--- row: {}: {line}", self.about);
        let (method, target) = line.split_once(' ').expect("method and target");
        let filled = self
            .headers
            .iter()
            .map(|(name, value)| (*name, place.fill_words(value)));
        let filled: Vec<(&str, String)> = filled.collect();
        let headers: Vec<(&str, &str)> = filled
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let body = self.body.map(|body| body(&place.image));
        let response = place
            .client
            .request(method, target, &headers, body.as_deref());
        let response = match self.code {
            "" => response.expect(self.status),
            code => response.expect_error(self.status, code),
        };
        if let Some(then) = &self.then {
            then(place, &response);
        }
    }
}

/// A repository of its own for one row.
pub struct Place {
    client: Client,
    /// `{repo}`: the repository.
    repo: String,
    /// `{manifest}`, `{config}`, `{layer}`: what it holds. The layer is 100 bytes long.
    image: Image,
    /// `{session}` is a fresh upload session, `{session5}` one that has acknowledged the bytes
    /// `hello`: the location of the last that was filled in.
    session: String,
}

impl Place {
    fn new(client: Client, repo: String, seed: u64) -> Place {
        let mut place = Place {
            client,
            repo,
            image: Image::oci(seed, &[100]),
            session: String::new(),
        };
        place
            .client
            .push_image(&place.repo, "v1", &place.image.clone());
        place
    }

    fn layer(&self) -> String {
        digest(&self.image.layers[0])
    }

    fn fill(&mut self, template: &str) -> String {
        if template.contains("{session5}") {
            self.session = self.client.start_upload_with(&self.repo, b"hello");
        } else if template.contains("{session}") {
            self.session = self.client.start_upload(&self.repo);
        }
        let session = match template.split_once("}?") {
            // A location may carry a query of its own; then what follows is joined to it.
            Some((_, query)) if template.contains("{session") => {
                let method = template.split(' ').next().unwrap_or_default();
                let query = self.fill_words(query);
                return format!("{method} {}", with_query(&self.session, &query));
            }
            _ => self.session.clone(),
        };
        let line = template
            .replace("{session5}", &session)
            .replace("{session}", &session);
        self.fill_words(&line)
    }

    fn fill_words(&self, text: &str) -> String {
        text.replace("{repo}", &self.repo)
            .replace("{repo%}", &self.repo.replace('/', "%2F"))
            .replace("{layer}", &self.layer())
            .replace("{config}", &digest(&self.image.config))
            .replace("{manifest}", &self.image.digest())
            .replace("{absent}", &digest("nowhere"))
            .replace("{hello}", &digest("hello"))
            .replace("{hello512}", &digest_sha512("hello"))
    }
}

/// Runs rows against every shape of server, each in its own repository.
pub fn run(table: &str, rows: &[Row]) {
    assert!(!rows.is_empty(), "the table {table} is empty");
    for_each_shape(|server| {
        for (row, seed) in rows.iter().zip(1..) {
            let repo = format!("{table}/row-{seed}");
            let mut place = Place::new(server.client(), repo, seed);
            row.run(&mut place);
            // Whatever came of the row: the connection is usable, the image as it was pushed.
            let image = place.image.clone();
            if !row.line.starts_with("DELETE") {
                place.client.expect_image(&place.repo, "v1", &image);
            }
        }
    });
}

/// Runs rows that must change nothing, all in the same repository.
pub fn run_in_one_place(table: &str, rows: &[Row]) {
    for_each_shape(|server| {
        let mut place = Place::new(server.client(), table.to_owned(), 1);
        let image = place.image.clone();
        for row in rows {
            row.run(&mut place);
        }
        place.client.expect_image(table, "v1", &image);
        let tags = place
            .client
            .get(&format!("/v2/{table}/tags/list"))
            .expect(200);
        assert_eq!(tags.json()["tags"], serde_json::json!(["v1"]));
    });
}

/// JSON as bytes.
pub fn bytes_of(json: &Value) -> Vec<u8> {
    json.to_string().into_bytes()
}
