//! end-1 and the probes of load balancers and supervisors.

use serde_json::json;

use super::Api;
use super::respond::json_body;
use crate::http::Response;
use crate::http::tls::TlsStatus;

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
    json_body(
        Response::new(200).header("Cache-Control", "no-cache"),
        &json!({ "status": "ok" }),
    )
}

/// `GET /readyz`: the catalog answers and the disk can be written.
pub fn ready(api: &Api) -> Response {
    let room = api.registry.space().standing().ok().flatten();
    let refused = room.filter(|room| room.is_full);
    let (status, mut body) = match (refused, api.registry.probe()) {
        // Said by the log when it began.
        (Some(room), _) => (503, not_ready(&room.to_string())),
        (None, Ok(())) => (200, json!({ "status": "ok" })),
        (None, Err(error)) => {
            log::warn!("not ready: {error}");
            (503, not_ready(reason(&error)))
        }
    };
    if let Some(tls) = api.tls.get() {
        body["tls"] = certificates(&tls.status());
    }
    // What a person should look at although requests are answered.
    let mut notes = api.auth.notes();
    notes.extend(
        room.filter(|room| room.is_low && !room.is_full)
            .map(|room| room.to_string()),
    );
    // A catalog that cannot be read is the reason above.
    notes.extend(api.registry.scrub_notes().unwrap_or_default());
    if !notes.is_empty() {
        body["notes"] = notes.into();
    }
    json_body(
        Response::new(status).header("Cache-Control", "no-cache"),
        &body,
    )
}

fn not_ready(reason: &str) -> serde_json::Value {
    json!({ "status": "not ready", "reason": reason })
}

/// How it stands with the certificates; the files are for the log alone. Old certificates are no
/// reason not to be ready: clients are served, and a restart would not help.
fn certificates(status: &TlsStatus) -> serde_json::Value {
    let state = match status.last_error {
        None => "ok",
        Some(_) => "the new certificates cannot be used, the old ones stay",
    };
    let expires = status
        .expires
        .and_then(|time| jiff::Timestamp::try_from(time).ok());
    json!({ "status": state, "expires": expires.map(|time| time.to_string()) })
}

/// Which part fails, without a path of the server.
fn reason(error: &crate::registry::Error) -> &'static str {
    use crate::store::ErrorKind;
    match error {
        crate::registry::Error::Store(error) => match error.kind() {
            ErrorKind::Full => "the disk is full",
            ErrorKind::Denied => "the data folder cannot be written",
            ErrorKind::Corrupt => "the catalog is damaged",
            ErrorKind::Closed | ErrorKind::Locked => "the store is closed",
            ErrorKind::Newer | ErrorKind::Io => "the storage fails",
        },
        _ => "the storage fails",
    }
}
