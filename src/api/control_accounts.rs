//! The control socket's accounts: a [`Command`] goes in, a reply or a sentence comes out.

use super::control::{BODY_BYTES_MAX, refuse};
use super::respond::json_body;
use crate::auth::Logins;
use crate::auth::accounts::{AccountError, Command};
use crate::http::{Request, Response};
use crate::store::ErrorKind;

/// Why there are no accounts to work on.
pub const NO_ACCOUNTS_HERE: &str = "this registry leaves its accounts to a token server; make them \
                                    there, or unset token.realm in the configuration";

/// `POST /accounts`.
pub(super) fn run(logins: Option<&Logins>, request: &mut Request<'_>) -> Response {
    let Some(logins) = logins else {
        return refuse(409, NO_ACCOUNTS_HERE);
    };
    let bytes = match request.body.read_to_vec(BODY_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) => return refuse(400, &error.to_string()),
    };
    let command: Command = match serde_json::from_slice(&bytes) {
        Ok(command) => command,
        // The body may hold a password: only where it was misread is told.
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            return refuse(
                400,
                &format!(
                    "this server does not know the command (line {line}, column {column}); is it \
                     of another version?"
                ),
            );
        }
    };
    match logins.administer(command) {
        Ok(reply) => json_body(Response::new(200), &reply),
        Err(error) => refuse(status_of(&error), &error.to_string()),
    }
}

/// What the command line makes its exit code of.
fn status_of(error: &AccountError) -> u16 {
    match error {
        AccountError::Unknown { .. } => 404,
        AccountError::Taken { .. } => 409,
        AccountError::Name(_)
        | AccountError::Password(_)
        | AccountError::Pattern(..)
        | AccountError::Action(_)
        | AccountError::Bounds(_)
        | AccountError::Clock => 400,
        AccountError::Store(error) if error.kind() == ErrorKind::Full => 507,
        AccountError::Random(_) | AccountError::Store(_) => 500,
    }
}
