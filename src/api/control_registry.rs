//! The control socket's repositories and tags: a [`Command`] goes in, a reply or a sentence comes
//! out.

use super::control::{BODY_BYTES_MAX, refuse};
use super::respond::json_body;
use crate::http::{Request, Response};
use crate::registry::admin::{AdminError, Command};
use crate::registry::{Error, Registry};
use crate::store::ErrorKind;

/// `POST /registry`.
pub(super) fn run(registry: &Registry, request: &mut Request<'_>) -> Response {
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
    match registry.administer(command) {
        Ok(reply) => json_body(Response::new(200), &reply),
        Err(error) => refuse(status_of(&error), &error.to_string()),
    }
}

/// What the command line makes its exit code of.
fn status_of(error: &AdminError) -> u16 {
    match error {
        AdminError::Unknown(_)
        | AdminError::NothingRemoved(_)
        | AdminError::ManifestGone { .. }
        | AdminError::NeverPointed { .. }
        | AdminError::NothingThen { .. }
        | AdminError::NothingBefore { .. } => 404,
        AdminError::TooMany { .. }
        | AdminError::Name(_)
        | AdminError::Expiry
        | AdminError::Clock => 400,
        AdminError::Registry(Error::Store(error)) if error.kind() == ErrorKind::Full => 507,
        AdminError::Registry(Error::Store(_)) => 500,
        AdminError::Taken(_)
        | AdminError::Exists(_)
        | AdminError::WindowOver { .. }
        | AdminError::UndoOff
        | AdminError::ManifestRemoved { .. }
        | AdminError::Registry(_) => 409,
    }
}
