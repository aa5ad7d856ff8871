//! What is asked of the token endpoint: the query of a GET (Distribution's token authentication
//! specification), the form of a POST (its `OAuth2` specification, after RFC 6749).

use crate::auth::Scope;
use crate::http::percent::{self, Plus};

/// The most scopes of one request.
pub const SCOPES_MAX: usize = 100;

/// The most bytes of all of them, so that a token stays one that can be sent.
pub const SCOPE_BYTES_MAX: usize = 16 << 10;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// For which service; none where nothing was said.
    pub service: Option<String>,
    /// For what. Each resource is there once; what means nothing here is left out.
    pub scopes: Vec<Scope>,
    /// Whether a refresh token is wanted.
    pub offline: bool,
    /// By which credential.
    pub grant: Grant,
}

/// A credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// What the head of the request shows, or none.
    Head,
    /// A name and a password in the form.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A refresh token in the form.
    Refresh(String),
}

/// Why it is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// Something is missing, malformed, twice there or too much; what, for people.
    Request(String),
    /// The form asks for another kind of grant.
    Grant(String),
}

/// Reads the query of a GET.
///
/// # Errors
/// [`Invalid::Request`].
pub fn of_query(query: Option<&str>) -> Result<Asked, Invalid> {
    let form = Form::parse(query.unwrap_or_default())?;
    Ok(Asked {
        service: form.first("service"),
        scopes: form.scopes()?,
        offline: form.first("offline_token").as_deref() == Some("true"),
        grant: Grant::Head,
    })
}

/// Reads the form of a POST.
///
/// # Errors
/// [`Invalid`].
pub fn of_form(body: &[u8]) -> Result<Asked, Invalid> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Invalid::Request("the form is not UTF-8".to_owned()))?;
    let form = Form::parse(text)?;
    let kind = form.needed("grant_type")?;
    // What the client calls itself is asked for by the specification and used for nothing.
    form.needed("client_id")?;
    let service = Some(form.needed("service")?);
    let grant = match kind.as_str() {
        "password" => Grant::Password {
            user: form.needed("username")?,
            password: form.needed("password")?,
        },
        "refresh_token" => Grant::Refresh(form.needed("refresh_token")?),
        _ => return Err(Invalid::Grant(kind)),
    };
    Ok(Asked {
        service,
        scopes: form.scopes()?,
        offline: form.only("access_type")?.as_deref() == Some("offline"),
        grant,
    })
}

/// Names and values, decoded.
struct Form(Vec<(String, String)>);

impl Form {
    fn parse(text: &str) -> Result<Self, Invalid> {
        let decode = |text: &str| percent::decode_with(text, Plus::Space);
        let pairs = percent::pairs(text).map(|(name, value)| {
            decode(name).zip(decode(value)).ok_or_else(|| {
                // The value may be a password.
                let name: String = name.chars().take(100).collect();
                Invalid::Request(format!(
                    "the parameter {name:?} is not percent-encoded UTF-8"
                ))
            })
        });
        Ok(Self(pairs.collect::<Result<_, _>>()?))
    }

    /// The values that are not empty.
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(own, _)| own == name);
        named
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    fn first(&self, name: &str) -> Option<String> {
        self.all(name).next().map(str::to_owned)
    }

    /// A value that may be there once (RFC 6749 section 3.2).
    fn only(&self, name: &str) -> Result<Option<String>, Invalid> {
        let mut values = self.all(name);
        let first = values.next().map(str::to_owned);
        if values.next().is_some() {
            return Err(Invalid::Request(format!(
                "the parameter {name} is there more than once"
            )));
        }
        Ok(first)
    }

    fn needed(&self, name: &str) -> Result<String, Invalid> {
        let missing = || Invalid::Request(format!("the parameter {name} is missing"));
        self.only(name)?.ok_or_else(missing)
    }

    /// The scopes: any number of parameters, each with any number of scopes and spaces between.
    fn scopes(&self) -> Result<Vec<Scope>, Invalid> {
        let texts = self.all("scope").flat_map(|value| value.split(' '));
        let texts = texts.filter(|text| !text.is_empty());
        let (mut count, mut bytes) = (0, 0);
        let mut scopes: Vec<Scope> = Vec::new();
        for text in texts {
            count += 1;
            bytes += text.len();
            if count > SCOPES_MAX || bytes > SCOPE_BYTES_MAX {
                return Err(Invalid::Request(format!(
                    "the request has more than {SCOPES_MAX} scopes or {SCOPE_BYTES_MAX} bytes of \
                     them, the most for one token; ask for several"
                )));
            }
            let Some(scope) = Scope::parse(text) else {
                continue;
            };
            match scopes
                .iter_mut()
                .find(|known| known.resource == scope.resource)
            {
                Some(known) => known.actions = known.actions.union(scope.actions),
                None => scopes.push(scope),
            }
        }
        Ok(scopes)
    }
}
