//! The control socket's webhooks: a [`Command`] goes in, a reply or a sentence comes out.

use super::control::{command, refuse};
use super::respond::json_body;
use crate::http::{Request, Response};
use crate::notify::Notifier;
use crate::notify::admin::{AdminError, Command};
use crate::store::ErrorKind;

/// `POST /events`.
pub(super) fn run(notifier: &Notifier, request: &mut Request<'_>) -> Response {
    match command::<Command>(request).map(|command| notifier.administer(command)) {
        Ok(Ok(reply)) => json_body(Response::new(200), &reply),
        Ok(Err(error)) => refuse(status_of(&error), &error.to_string()),
        Err(refused) => refused,
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
