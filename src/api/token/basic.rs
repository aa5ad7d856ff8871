//! A name and a password in the head of a request (RFC 7617).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::http::Request;

/// The longest credential, in bytes of base64.
const BASIC_BYTES_MAX: usize = 4096;

/// There is an `Authorization` field, and no name and password can be read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// The name and the password that the request shows; `None` when it shows nothing.
///
/// # Errors
/// [`Unreadable`].
pub fn of(request: &Request<'_>) -> Result<Option<(String, String)>, Unreadable> {
    let mut fields = request.headers.get_all("authorization");
    match (fields.next(), fields.next()) {
        (None, _) => Ok(None),
        (Some(field), None) => parse(field).map(Some).ok_or(Unreadable),
        // Whatever checked the first could be led astray by the second.
        (Some(_), Some(_)) => Err(Unreadable),
    }
}

fn parse(field: &str) -> Option<(String, String)> {
    let (scheme, rest) = field.trim().split_once(' ')?;
    let rest = rest.trim();
    if !scheme.eq_ignore_ascii_case("basic") || rest.len() > BASIC_BYTES_MAX {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
