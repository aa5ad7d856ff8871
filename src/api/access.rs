//! Which access each request needs (Distribution's token specification), and whether its sender
//! has it.
//!
//! It comes before anything is looked up, so that what is forbidden and what does not exist look
//! alike: the decision depends on names alone.

use std::sync::Arc;

use super::Api;
use super::challenge;
use super::credentials::{self, Shown};
use super::error::Failure;
use super::query::Query;
use super::refused::Refused;
use super::route::{Route, RouteError};
use crate::auth::{Action, Actions, Identity, Policy, Refusal, Resource, Scope, Who};
use crate::http::Request;
use crate::oci::RepositoryName;
use crate::registry::Error;

/// What a request needs before it is looked at any further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: whoever asks is answered.
    Nothing,
    /// A credential that is good, where there are any.
    Credential,
    /// Any right at all: enough to be told what is wrong with a request.
    Any,
    /// The list of repositories: whoever may see a part of it.
    Catalog,
    /// `admin` on all repositories there may be.
    Everything,
    /// These actions on a repository.
    Repository(RepositoryName, Actions),
}

impl Need {
    /// What a route needs.
    pub fn of(route: &Route) -> Self {
        let pull = Actions::of(Action::Pull);
        let delete = Actions::of(Action::Delete);
        match route {
            Route::Home
            | Route::Alive
            | Route::Ready
            | Route::Checks
            | Route::Token
            | Route::Options(_) => Self::Nothing,
            Route::Metrics => Self::Everything,
            Route::Base | Route::Extensions(None) => Self::Credential,
            Route::Catalog => Self::Catalog,
            Route::Tags(name)
            | Route::GetManifest(name, _)
            | Route::GetBlob(name, _)
            | Route::Extensions(Some(name))
            | Route::TagHistory(name, _)
            | Route::Referrers(name, _) => Self::Repository(name.clone(), pull),
            Route::GetUpload(key) => Self::Repository(key.repository.clone(), pull),
            Route::PutManifest(name, _) | Route::StartUpload(name) => {
                Self::Repository(name.clone(), Actions::PULL_PUSH)
            }
            Route::PatchUpload(key) | Route::PutUpload(key) => {
                Self::Repository(key.repository.clone(), Actions::PULL_PUSH)
            }
            Route::DeleteManifest(name, _) | Route::DeleteBlob(name, _) => {
                Self::Repository(name.clone(), delete)
            }
            Route::DeleteUpload(key) => Self::Repository(key.repository.clone(), delete),
        }
    }

    /// What a request that means nothing needs before it is told so. There is nothing at a path
    /// without a route, whoever asks.
    fn of_error(error: &RouteError) -> Self {
        match error {
            RouteError::NotFound | RouteError::MethodNotAllowed { .. } => Self::Nothing,
            RouteError::Encoding
            | RouteError::Name { .. }
            | RouteError::Digest { .. }
            | RouteError::Tag { .. }
            | RouteError::Upload { .. } => Self::Any,
        }
    }

    /// The scopes by which a client asks for it.
    fn scopes(&self) -> Vec<Scope> {
        match self {
            Self::Nothing | Self::Any | Self::Credential | Self::Everything => Vec::new(),
            Self::Catalog => vec![Scope::catalog()],
            Self::Repository(name, actions) => vec![Scope::repository(name, *actions)],
        }
    }
}

/// Who sent a request, and the rules that hold for it.
pub struct Caller {
    /// Who it is.
    pub identity: Arc<Identity>,
    policy: Arc<Policy>,
    name: Option<String>,
}

impl Caller {
    /// The verified name, as rules and logs write it.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether the caller may do this to the repository.
    pub fn may(&self, name: &RepositoryName, action: Action) -> bool {
        let resource = Resource::Repository(name.clone());
        self.policy
            .decide(&self.identity, &resource, action)
            .allowed
    }

    /// Whether the list of repositories is to be shown without looking at each of them: because
    /// everything is open, or because a token server has granted the list as such.
    pub fn lists_everything(&self) -> bool {
        self.policy.is_open() || matches!(self.identity.who, Who::Subject { .. })
    }

    /// Which repositories the caller finds in a list: those that they may pull.
    pub fn listed(&self) -> impl Fn(&RepositoryName) -> bool {
        let identity = self.identity.for_lists();
        move |name| {
            let resource = Resource::Repository(name.clone());
            let decision = self.policy.decide(&identity, &resource, Action::Pull);
            decision.allowed
        }
    }
}

/// Verifies who asks, and that they may have what the request needs. `actor` is who was verified,
/// also where that is not enough.
///
/// # Errors
/// [`Refused::Unauthorized`] with the challenge to answer with, [`Refused::Forbidden`],
/// [`Refused::LoginsThrottled`], [`Refused::LoginsTooMany`].
pub fn admit(
    api: &Api,
    request: &Request<'_>,
    route: Result<&Route, &RouteError>,
    actor: &mut Option<String>,
) -> Result<Caller, Failure> {
    let policy = api.auth.policy();
    let need = route.map_or_else(Need::of_error, Need::of);
    if policy.is_open() || need == Need::Nothing {
        return Ok(Caller {
            identity: Arc::new(Identity::ANONYMOUS),
            policy,
            name: None,
        });
    }
    let mut scopes = need.scopes();
    // A mount reads from its source, so that a token for both is what a client should ask for.
    scopes.extend(mount_source(request));
    let shown = credentials::of(request, api.auth.certificate_user());
    let identity = match api
        .auth
        .identify(&shown.credentials, shown.certified, shown.client)
    {
        Ok(identity) => identity,
        Err(refusal) => return Err(refused(api, request, refusal, scopes)),
    };
    let is_known = !identity.who.is_anonymous();
    *actor = is_known.then(|| identity.who.to_string());
    if is_met(&policy, &identity, &need) {
        let name = actor.clone();
        return Ok(Caller {
            identity,
            policy,
            name,
        });
    }
    Err(lacking(api, request, &shown, &identity, scopes).into())
}

fn is_met(policy: &Policy, identity: &Identity, need: &Need) -> bool {
    let decide = |resource: &Resource, action| policy.decide(identity, resource, action).allowed;
    match need {
        Need::Nothing => true,
        // Clients learn only here whether and how to log in, also those that may pull without.
        Need::Credential => !identity.who.is_anonymous() || identity.limit.is_some(),
        Need::Any => !identity.who.is_anonymous() || policy.lets_anyone(),
        Need::Catalog => decide(&Resource::Catalog, Action::Pull),
        Need::Everything => policy.lets_administer_all(identity),
        Need::Repository(name, actions) => {
            let resource = Resource::Repository(name.clone());
            actions.iter().all(|action| decide(&resource, action))
        }
    }
}

/// The credential was not good.
fn refused(api: &Api, request: &Request<'_>, refusal: Refusal, scopes: Vec<Scope>) -> Failure {
    let error = match refusal {
        Refusal::Wrong => None,
        Refusal::Token(error) => error,
        Refusal::Throttled { retry_after } => {
            return Refused::LoginsThrottled { retry_after }.into();
        }
        Refusal::Busy { retry_after } => return Refused::LoginsTooMany { retry_after }.into(),
        Refusal::Store(error) => return Failure::Registry(Error::Store(error)),
    };
    let refused = Refused::Unauthorized {
        challenge: challenge::write(&api.auth, request, &scopes, error),
        scopes,
    };
    refused.into()
}

/// The credential is good, and it is not enough.
fn lacking(
    api: &Api,
    request: &Request<'_>,
    shown: &Shown<'_>,
    identity: &Identity,
    scopes: Vec<Scope>,
) -> Refused {
    let by_token = shown.is_bearer();
    // Another password would be another user, while another token may well be enough.
    if !identity.who.is_anonymous() && !by_token {
        return Refused::Forbidden { scopes };
    }
    let error = by_token.then_some("insufficient_scope");
    Refused::Unauthorized {
        challenge: challenge::write(&api.auth, request, &scopes, error),
        scopes,
    }
}

fn mount_source(request: &Request<'_>) -> Option<Scope> {
    let from = Query::new(request.query.as_deref()).get("from")?;
    let name: RepositoryName = from.parse().ok()?;
    Some(Scope::repository(&name, Actions::of(Action::Pull)))
}
