//! One file a command: takes what was typed, calls the floor below, prints, returns an exit code.

pub mod cert;
pub mod check;
pub mod config;
pub mod serve;
pub mod version;
