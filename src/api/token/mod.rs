//! The token endpoint: `GET` and `POST /v2/token` (Distribution's token authentication and `OAuth2`
//! specifications).
//!
//! Rights that are missing are no error: a token grants what of the asked may be had, perhaps
//! nothing. Scopes that mean nothing here are passed over. `service` may be left out in a GET; a
//! name that is not the registry's own is refused, for such a token would be good for nothing.

pub mod form;
mod refusal;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

pub use refusal::Refusal;

use super::credentials;
use super::error::Failure;
use super::respond::json_body;
use super::route::RouteError;
use crate::auth::{
    Accounts, Actions, CertificateUser, Credentials, Holder, Identity, Issued, Issuer,
    LoginRefusal, Principal, Scope, TokenError,
};
use crate::clock::unix_ms;
use crate::http::{Method, Request, Response};
use crate::logging::{AuditRecord, Event, audit};
use crate::registry;
use form::{Asked, Grant, Invalid};

/// The largest form, in bytes.
const FORM_BYTES_MAX: u64 = 16 << 10;

/// How often a login is repeated because the accounts were changed while it was checked.
const LOGIN_ATTEMPTS: usize = 3;

/// The part of a scope that somebody may have.
pub type Grants = Box<dyn Fn(&Identity, &Scope) -> Actions + Send + Sync>;

/// What the token endpoint needs.
pub struct Endpoint {
    /// Who makes the tokens.
    pub issuer: Arc<Issuer>,
    /// Who knows the passwords.
    pub accounts: Arc<dyn Accounts>,
    /// What may be granted: [`crate::auth::Policy::intersection`].
    pub grants: Grants,
    /// What clients call this registry.
    pub service: String,
    /// What people are told the password is for.
    pub realm: String,
}

/// Answers a request for a token. Without an endpoint there is nothing at its path.
pub fn answer(endpoint: Option<&Endpoint>, request: &mut Request<'_>) -> Result<Response, Failure> {
    let Some(endpoint) = endpoint else {
        return Err(RouteError::NotFound.into());
    };
    let body = match request.method {
        Method::Post => {
            let form = request.body.read_to_vec(FORM_BYTES_MAX)?;
            endpoint.oauth(&form, request.peer.ip())?
        }
        _ => endpoint.token(request)?,
    };
    let response = Response::new(200).header("Cache-Control", "no-store");
    Ok(json_body(response, &body))
}

impl Endpoint {
    /// GET: the credential is in the head of the request, if there is one.
    fn token(&self, request: &Request<'_>) -> Result<Value, Failure> {
        let asked = form::of_query(request.query.as_deref())?;
        self.check_service(&asked)?;
        // A token is for those who show a password: a certificate is shown with each request.
        let shown = credentials::of(request, CertificateUser::None);
        let (identity, holder) = match &shown.credentials {
            Credentials::None => (Identity::ANONYMOUS, ANONYMOUS),
            Credentials::Basic { user, password } => self.login(user, password, shown.client)?,
            // A token gets no token here, unless it is a refresh token in a form.
            Credentials::Bearer(_) | Credentials::Unreadable => return Err(self.wrong()),
        };
        let (issued, _) = self.issue(&identity, &holder, &asked.scopes);
        let mut body = json!({
            "token": issued.token,
            "access_token": issued.token,
            "expires_in": issued.lifetime.as_secs(),
            "issued_at": issued_at(&issued),
        });
        if asked.offline
            && let Some(refresh) = self.issuer.issue_refresh(&holder)
        {
            body["refresh_token"] = refresh.token.into();
        }
        Ok(body)
    }

    /// POST: the credential is in the form.
    fn oauth(&self, form: &[u8], client: Option<IpAddr>) -> Result<Value, Failure> {
        let asked = form::of_form(form)?;
        self.check_service(&asked)?;
        let (identity, holder, refresh) = match &asked.grant {
            Grant::Head => (Identity::ANONYMOUS, ANONYMOUS, None),
            Grant::Password { user, password } => {
                let (identity, holder) = self.login(user, password, client)?;
                let refresh = asked.offline.then(|| self.issuer.issue_refresh(&holder));
                (
                    identity,
                    holder,
                    refresh.flatten().map(|issued| issued.token),
                )
            }
            // It stays the same one, so that a client that does not keep a new one is not lost.
            Grant::Refresh(token) => {
                let (identity, holder) = self.refresh(token)?;
                (identity, holder, Some(token.clone()))
            }
        };
        let (issued, granted) = self.issue(&identity, &holder, &asked.scopes);
        let mut body = json!({
            "access_token": issued.token,
            "token_type": "Bearer",
            "scope": granted.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            "expires_in": issued.lifetime.as_secs(),
            "issued_at": issued_at(&issued),
        });
        if let Some(refresh) = refresh {
            body["refresh_token"] = refresh.into();
        }
        Ok(body)
    }

    fn check_service(&self, asked: &Asked) -> Result<(), Failure> {
        match &asked.service {
            Some(service) if *service != self.service => {
                Err(Failure::Token(Refusal::ServiceUnknown {
                    asked: service.chars().take(200).collect(),
                    own: self.service.clone(),
                }))
            }
            _ => Ok(()),
        }
    }

    /// Who logs in, and whom the tokens are for. The two are looked up one after the other, so
    /// when the accounts were changed in between it is done again: else a refresh token for a
    /// password that was just replaced would carry the version of the new one.
    fn login(
        &self,
        user: &str,
        password: &str,
        client: Option<IpAddr>,
    ) -> Result<(Identity, Holder), Failure> {
        for _ in 0..LOGIN_ATTEMPTS {
            let before = self.accounts.generation();
            let identity = match self.accounts.verify(user, password, client) {
                Ok(identity) => identity,
                Err(refusal) => return Err(self.refused(refusal)),
            };
            let holder = self
                .issuer
                .holder(&identity)
                .map_err(registry::Error::from)?;
            if self.accounts.generation() == before {
                return holder
                    .map(|holder| (identity, holder))
                    .ok_or_else(|| self.wrong());
            }
        }
        let retry_after = Duration::from_secs(1);
        Err(Failure::Token(Refusal::Busy { retry_after }))
    }

    fn refresh(&self, token: &str) -> Result<(Identity, Holder), Failure> {
        self.issuer
            .verify_refresh(token)
            .map_err(|error| match error {
                TokenError::Store(error) => registry::Error::from(error).into(),
                error => {
                    log::info!("a refresh token was refused: {error}");
                    Failure::Token(Refusal::RefreshTokenWrong {
                        realm: self.realm.clone(),
                    })
                }
            })
    }

    /// A token that grants what of `asked` may be had, and what that is.
    fn issue(&self, identity: &Identity, holder: &Holder, asked: &[Scope]) -> (Issued, Vec<Scope>) {
        let granted = asked.iter().map(|scope| Scope {
            resource: scope.resource.clone(),
            actions: (self.grants)(identity, scope),
        });
        let granted: Vec<Scope> = granted.filter(|scope| !scope.actions.is_empty()).collect();
        record(holder, &granted);
        (self.issuer.issue_access(holder, &granted), granted)
    }

    fn wrong(&self) -> Failure {
        Failure::Token(Refusal::CredentialsWrong {
            realm: self.realm.clone(),
        })
    }

    fn refused(&self, refusal: LoginRefusal) -> Failure {
        match refusal {
            LoginRefusal::Wrong => self.wrong(),
            LoginRefusal::Throttled { retry_after } => {
                Failure::Token(Refusal::Throttled { retry_after })
            }
            LoginRefusal::Busy { retry_after } => Failure::Token(Refusal::Busy { retry_after }),
            LoginRefusal::Store(error) => registry::Error::from(error).into(),
        }
    }
}

/// Tells the audit log of a token. Those that anybody gets are not worth a line.
fn record(holder: &Holder, granted: &[Scope]) {
    if holder.principal == Principal::Anonymous {
        return;
    }
    let scopes: Vec<String> = granted.iter().map(ToString::to_string).collect();
    audit(&AuditRecord {
        actor: &holder.principal.to_string(),
        reference: &scopes.join(" "),
        ..AuditRecord::new(Event::TokenIssued)
    });
}

/// Whom a token is for that was given without a credential.
const ANONYMOUS: Holder = Holder {
    principal: Principal::Anonymous,
    version: 0,
};

/// RFC 3339 in UTC.
fn issued_at(issued: &Issued) -> String {
    let seconds = unix_ms(issued.at) / 1000;
    // Times of the clock are within jiff's bounds, which are those of the calendar.
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.to_string())
        .unwrap_or_default()
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Self::Token(match invalid {
            Invalid::Request(why) => Refusal::RequestInvalid(why),
            Invalid::Grant(kind) => Refusal::GrantUnknown(kind.chars().take(100).collect()),
        })
    }
}
