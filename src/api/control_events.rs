//! The control socket's webhooks: a [`Command`] goes in, a reply or a sentence comes out.

use super::control::{BODY_BYTES_MAX, refuse};
use super::respond::json_body;
use crate::http::{Request, Response};
use crate::notify::Notifier;
use crate::notify::admin::{AdminError, Command};
use crate::store::ErrorKind;

/// `POST /events`.
pub(super) fn run(notifier: &Notifier, request: &mut Request<'_>) -> Response {
    let command = match request.body.read_to_vec(BODY_BYTES_MAX) {
        Ok(bytes) => serde_json::from_slice::<Command>(&bytes),
        Err(error) => return refuse(400, &error.to_string()),
    };
    let command = match command {
        Ok(command) => command,
        Err(error) => {
            return refuse(
                400,
                &format!(
                    "this server does not know the command ({error}); is it of another version?"
                ),
            );
        }
    };
    match notifier.administer(command) {
        Ok(reply) => json_body(Response::new(200), &reply),
        Err(error) => refuse(status_of(&error), &error.to_string()),
    }
}

/// What the command line makes its exit code of.
fn status_of(error: &AdminError) -> u16 {
    match error {
        AdminError::Unknown(_) => 404,
        AdminError::Range => 400,
        AdminError::NoServer => 409,
        AdminError::Store(error) if error.kind() == ErrorKind::Full => 507,
        AdminError::Store(_) => 500,
    }
}
