//! Wiring of who is let in: accounts, tokens of our own, or an external token server.

use std::path::Path;
use std::sync::Arc;

use super::Error;
use crate::api::token::Endpoint;
use crate::auth::jwt::{self, Algorithm, Verifier};
use crate::auth::{Accounts, Authenticator, Issuer, Lifetimes, Logins, Verifiers};
use crate::auth::{authenticator, logins};
use crate::clock::Clock;
use crate::config::Settings;
use crate::metrics::LoginMetrics;
use crate::store::ErrorKind;
use crate::store::catalog::Catalog;
use crate::store::layout::Layout;
use crate::store::token_key;

/// The door that `settings` describe.
///
/// # Errors
/// A file that they name cannot be used, or the accounts cannot be read.
pub(super) fn open(
    settings: &Settings,
    layout: Option<&Layout>,
    catalog: &Arc<Catalog>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<LoginMetrics>,
) -> Result<Authenticator, Error> {
    let options = authenticator::Options {
        challenge: settings.auth.challenge,
        realm: settings.auth.realm.clone(),
        url: settings.server.url.clone(),
        certificate_user: settings.auth.certificate_user,
        metrics: Arc::clone(metrics),
    };
    let verifiers = if settings.token.is_used() {
        token_server(settings, clock)?
    } else {
        own(settings, layout, catalog, clock, metrics)?
    };
    Ok(Authenticator::new(
        options,
        settings.access.clone(),
        verifiers,
    ))
}

fn own(
    settings: &Settings,
    layout: Option<&Layout>,
    catalog: &Arc<Catalog>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<LoginMetrics>,
) -> Result<Verifiers, Error> {
    let options = logins::Options {
        htpasswd: settings.auth.htpasswd.clone(),
        metrics: Arc::clone(metrics),
        ..logins::Options::default()
    };
    let options = options.for_workers(settings.limits.workers_max);
    let logins = Logins::open(Arc::clone(catalog), Arc::clone(clock), options)?;
    let logins = Arc::new(logins);
    let secret = match layout {
        Some(layout) => match token_key::load_or_make(layout) {
            // Whoever may delete must be able to log in.
            Err(error) if error.kind() == ErrorKind::Full => {
                log::warn!("{error}; tokens are good until this process ends");
                token_key::random()?
            }
            key => key?,
        },
        None => token_key::random()?,
    };
    let lifetimes = Lifetimes {
        access: settings.auth.token_seconds,
        refresh: settings.auth.refresh_token_seconds,
    };
    let accounts: Arc<dyn Accounts> = Arc::<Logins>::clone(&logins);
    let issuer = Arc::new(Issuer::new(&secret, lifetimes, accounts, Arc::clone(clock)));
    Ok(Verifiers::Own { logins, issuer })
}

fn token_server(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Verifiers, Error> {
    let token = &settings.token;
    let algorithms = Algorithm::parse_list(&token.algorithms)
        .map_err(|error| Error::Setting(format!("token.algorithms: {error}")))?;
    // The settings' own rules see to it that these are there.
    let (service, issuer) = (
        token.service.clone().unwrap_or_default(),
        token.issuer.clone().unwrap_or_default(),
    );
    let options = jwt::Options {
        issuer,
        service: service.clone(),
        root_certificates: token.root_certificates.as_deref().map(Path::to_owned),
        jwks: token.jwks.as_deref().map(Path::to_owned),
        algorithms,
        leeway: token.leeway_seconds,
    };
    let verifier = Verifier::open(options, Arc::clone(clock))
        .map_err(|error| Error::Setting(error.to_string()))?;
    Ok(Verifiers::TokenServer {
        verifier: Box::new(verifier),
        realm: token.realm.clone().filter(|_| !token.autoredirect),
        path: token.autoredirect_path.clone(),
        service,
    })
}

/// Where the registry's own tokens are to be had; `None` where a token server gives them.
pub(super) fn endpoint(auth: &Arc<Authenticator>) -> Option<Endpoint> {
    let (logins, issuer) = (auth.logins()?, auth.issuer()?);
    let accounts: Arc<dyn Accounts> = Arc::<Logins>::clone(logins);
    let own = Arc::clone(auth);
    Some(Endpoint {
        issuer: Arc::clone(issuer),
        accounts,
        grants: Box::new(move |identity, scope| own.policy().intersection(identity, scope)),
        service: auth.realm().to_owned(),
        realm: auth.realm().to_owned(),
    })
}
