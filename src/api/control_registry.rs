//! The control socket's repositories and tags: a [`Command`] goes in, a reply or a sentence comes
//! out.

use super::control::{command, refuse};
use super::respond::json_body;
use crate::http::{Request, Response};
use crate::registry::admin::{AdminError, Command};
use crate::registry::{Error, Registry};
use crate::store::ErrorKind;

/// `POST /registry`.
pub(super) fn run(registry: &Registry, request: &mut Request<'_>) -> Response {
    match command::<Command>(request).map(|command| registry.administer(command)) {
        Ok(Ok(reply)) => json_body(Response::new(200), &reply),
        Ok(Err(error)) => refuse(status_of(&error), &error.to_string()),
        Err(refused) => refused,
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
