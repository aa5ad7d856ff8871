//! Webhooks: events of the registry, delivered over HTTP.
//!
//! What happened was written down with the change itself (`registry::events`); here it is put into
//! envelopes and sent, by one thread for each webhook: at least once, in order, tried again until
//! it is taken or its bounds are passed. No SQL and no file is touched here; secrets and
//! authorities are handed in.
//!
//! In reading order: [`Endpoint`] (what an operator declares), `envelope` (what a body holds),
//! `backoff`, `address`, `sign` (pure), `client` (one delivery), `feed` (what goes next), `state`
//! (how it stands), `worker` and `bounds` (the thread), [`Notifier`] (all of them), `admin` (what
//! the command line asks).

mod address;
pub mod admin;
mod backoff;
mod bell;
mod bounds;
mod client;
mod endpoint;
mod envelope;
mod feed;
mod notifier;
mod sign;
mod state;
mod worker;

pub use address::Address;
pub use backoff::Backoff;
pub use client::Keys;
pub use endpoint::{Endpoint, EventsMediaType, Hidden, Secret};
pub use envelope::Source;
pub use notifier::{ENDPOINTS_MAX, Notifier, Options, ReloadError, listeners};
pub use sign::random_id;
pub use state::EndpointFigures;
