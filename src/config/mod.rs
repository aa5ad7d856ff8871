//! Settings: what an operator declares, from a file, the environment and the command line.
//!
//! One table ([`KEYS`], in `settings.rs`) names every key with its type, default, bounds, flag and
//! meaning. Reading a file or the environment, `config default`, `config show` and the README's
//! table all follow from it. Later sources win: defaults, then the TOML file, then `CORACLE_*`
//! variables, then flags; but a wrong value is an error in whichever source it stands, also when
//! a later one overrides it.
//!
//! What accrues while the registry runs (users, tokens, history) is not here but in the catalog.
//! Nothing here opens a socket or the store; the only file read is the one that was named.

mod access;
mod credentials;
mod error;
mod file;
mod key;
mod load;
mod manual;
mod number;
mod policy;
mod render;
mod rules;
mod settings;
mod suggest;
mod tables;
#[cfg(test)]
mod tests;
mod typed;
mod value;
mod webhook;

pub use error::{ConfigError, Origin, Problem};
pub use key::{Bounds, Key, Kind};
pub use load::{CONFIG_VARIABLE, Effective, FlagValue, Sources, parse_toml};
pub use manual::manual_page;
pub use number::{format_bytes, format_seconds, parse_bytes, parse_seconds};
pub use render::{default_toml, markdown_table};
pub use settings::{
    Auth, Delete, Housekeeping, KEYS, Limits, Listing, Log, Manifests, Ops, OwnAddress, Referrers,
    Server, Settings, Storage, Tls, Token, Uploads, Webhooks,
};
pub use value::Value;
