//! end-1 and the probes of load balancers and supervisors.
//!
//! Health has parts, each with a name. A part that *fails* is a reason to send nobody here; one
//! with a *warning* is for a person to look at, while requests are answered. Reads go on when only
//! writes are impossible.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::respond::json_body;
use super::vitals::Vitals;
use crate::clock::{rfc3339, unix_ms};
use crate::http::Response;
use crate::http::tls::TlsStatus;
use crate::registry::Error;

/// What removes by age has to see of the clock before it is believed, at the most.
pub(super) const AGE: Duration = Duration::from_secs(86_400);

/// From so long before its end on a person is reminded of a certificate.
const REMIND_BEFORE: Duration = Duration::from_secs(14 * 86_400);

/// How it stands with one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// Requests are answered, and a person should look: a sentence each.
    Warning(Vec<String>),
    /// Something cannot be done: why, without a path of the server.
    Failing(String),
}

/// How closely it is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Bytes are written to the disk and removed again.
    Probe,
    /// Nothing is written, for who asks each second.
    Only,
}

/// One part: its name and how it stands with it.
pub type Part = (&'static str, State);

/// `GET /`
pub fn home() -> Response {
    let body = "Coracle, a container registry. Its API is at /v2/\n";
    Response::new(200)
        .header("Content-Type", "text/plain; charset=utf-8")
        .header("Cache-Control", "no-cache")
        .bytes(body)
}

/// `GET /v2/`
pub fn base() -> Response {
    json_body(Response::new(200), &json!({}))
}

/// `GET /healthz`: the process answers.
pub fn alive() -> Response {
    uncached(200, &json!({ "status": "ok" }))
}

/// `GET /readyz`: the catalog answers, and the disk can be written.
pub fn ready(vitals: &Vitals) -> Response {
    let parts = parts(vitals, Look::Probe);
    let failing = first_failing(&parts);
    let mut body = match failing {
        Some(reason) => json!({ "status": "not ready", "reason": reason }),
        None => json!({ "status": "ok" }),
    };
    let told = parts.iter().map(|(name, state)| {
        let told = match state {
            State::Ok => json!({ "state": "ok" }),
            State::Warning(why) => json!({ "state": "warning", "why": why }),
            State::Failing(why) => json!({ "state": "failing", "why": [why] }),
        };
        ((*name).to_owned(), told)
    });
    body["parts"] = told.collect::<Map<String, Value>>().into();
    if let Some(tls) = vitals.tls() {
        body["tls"] = certificates(&tls.status());
    }
    let notes: Vec<&String> = parts
        .iter()
        .flat_map(|(_, state)| warnings(state))
        .collect();
    if !notes.is_empty() {
        body["notes"] = json!(notes);
    }
    uncached(if failing.is_some() { 503 } else { 200 }, &body)
}

/// `GET /debug/health`: what fails, in the shape that Distribution has: nothing, or each part's
/// name and why.
pub fn checks(vitals: &Vitals) -> Response {
    let failing: Map<String, Value> = parts(vitals, Look::Probe)
        .into_iter()
        .filter_map(|(name, state)| match state {
            State::Failing(why) => Some((name.to_owned(), why.into())),
            State::Ok | State::Warning(_) => None,
        })
        .collect();
    let status = if failing.is_empty() { 200 } else { 503 };
    uncached(status, &Value::Object(failing))
}

/// Why requests should go elsewhere, if they should.
pub fn first_failing(parts: &[Part]) -> Option<&str> {
    parts.iter().find_map(|(_, state)| match state {
        State::Failing(why) => Some(why.as_str()),
        State::Ok | State::Warning(_) => None,
    })
}

/// What a person should look at.
pub fn warnings(state: &State) -> &[String] {
    match state {
        State::Warning(why) => why,
        State::Ok | State::Failing(_) => &[],
    }
}

/// How it stands with each part, the most telling first.
pub fn parts(vitals: &Vitals, look: Look) -> Vec<Part> {
    let room = room(vitals);
    let is_full = matches!(room, State::Failing(_));
    let probed = |probe: Result<(), Error>| match probe {
        Ok(()) => State::Ok,
        Err(error) => {
            // That the disk is full was said by the log when it began.
            if !is_full {
                log::warn!("not ready: {error}");
            }
            State::Failing(reason(&error).to_owned())
        }
    };
    let registry = &vitals.registry;
    let (catalog, blobs) = (
        probed(registry.probe_catalog()),
        match look {
            Look::Probe => probed(registry.probe_blobs()),
            Look::Only => State::Ok,
        },
    );
    vec![
        ("server", server(vitals)),
        ("room", room),
        ("catalog", catalog),
        ("blobs", blobs),
        ("clock", clock(vitals)),
        ("certificates", dates(vitals)),
        ("accounts", warn(vitals.auth.notes())),
        // A catalog that cannot be read is told above.
        ("scrub", warn(registry.scrub_notes().unwrap_or_default())),
        ("webhooks", webhooks(vitals)),
    ]
}

fn warn(why: Vec<String>) -> State {
    if why.is_empty() {
        State::Ok
    } else {
        State::Warning(why)
    }
}

fn server(vitals: &Vitals) -> State {
    let served = vitals.served();
    if served.is_some_and(|served| served.registry.is_stopping()) {
        State::Failing("the server is stopping".to_owned())
    } else {
        State::Ok
    }
}

fn room(vitals: &Vitals) -> State {
    match vitals.registry.space().standing() {
        Ok(Some(room)) if room.is_full => State::Failing(room.to_string()),
        Ok(Some(room)) if room.is_low => State::Warning(vec![room.to_string()]),
        // A file system that does not answer fails the probe of the blobs.
        _ => State::Ok,
    }
}

fn clock(vitals: &Vitals) -> State {
    match vitals.registry.doubt_about_ages(AGE) {
        Ok(Some(doubt)) => State::Warning(vec![format!(
            "nothing is removed by its age for now: {doubt}"
        )]),
        _ => State::Ok,
    }
}

/// Old certificates are no reason not to be ready: clients are served, and a restart would not
/// help.
fn dates(vitals: &Vitals) -> State {
    let Some(tls) = vitals.tls() else {
        return State::Ok;
    };
    let status = tls.status();
    let mut why = Vec::new();
    if status.last_error.is_some() {
        why.push(NOT_LOADED.to_owned());
    }
    if let Some(end) = status.expires {
        let (now, day) = (vitals.registry.catalog().now(), rfc3339(unix_ms(end)));
        if now > end {
            why.push(format!(
                "a certificate has expired on {day}: clients refuse it"
            ));
        } else if now + REMIND_BEFORE > end {
            why.push(format!("a certificate expires on {day}: replace it before"));
        }
    }
    warn(why)
}

fn webhooks(vitals: &Vitals) -> State {
    let endpoints = vitals.webhooks().into_iter();
    let failing = endpoints.filter(|own| own.is_backing_off).map(|own| {
        let (name, pending) = (own.name, own.pending);
        format!("webhook {name} does not take its events; {pending} wait")
    });
    warn(failing.collect())
}

const NOT_LOADED: &str = "the new certificates cannot be used, the old ones stay";

/// How it stands with the certificates; the files are for the log alone.
fn certificates(status: &TlsStatus) -> Value {
    let state = match status.last_error {
        None => "ok",
        Some(_) => NOT_LOADED,
    };
    let expires = status
        .expires
        .and_then(|time| jiff::Timestamp::try_from(time).ok());
    json!({ "status": state, "expires": expires.map(|time| time.to_string()) })
}

fn uncached(status: u16, body: &Value) -> Response {
    json_body(
        Response::new(status).header("Cache-Control", "no-cache"),
        body,
    )
}

/// Which part fails, without a path of the server.
fn reason(error: &Error) -> &'static str {
    use crate::store::ErrorKind;
    match error {
        Error::Store(error) => match error.kind() {
            ErrorKind::Full => "the disk is full",
            ErrorKind::Denied => "the data folder cannot be written",
            ErrorKind::Corrupt => "the catalog is damaged",
            ErrorKind::Closed | ErrorKind::Locked => "the store is closed",
            ErrorKind::Newer | ErrorKind::Io => "the storage fails",
        },
        _ => "the storage fails",
    }
}
