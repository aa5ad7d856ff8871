//! Black-box tests: each starts the real program in a fresh folder and talks to it from outside.
//!
//! One file a resource, one a feature. `support` is the harness, `clients` are the programs that
//! people push and pull with.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod access;
mod accounts;
mod auth;
mod backup;
mod catalog;
mod cli;
mod clients;
mod config;
mod dashboard;
mod delete;
mod docs;
mod doctor;
mod du;
mod errors;
mod explain;
mod fulldisk;
mod gc;
mod heal;
mod health;
mod history;
mod immutable;
mod log;
mod metrics;
mod mount;
mod pages;
mod powercut;
mod protocol;
mod pull;
mod pulls;
mod push;
mod quota;
mod referrers;
mod repo;
mod restart;
mod retention;
mod scrub;
mod service;
mod start;
mod status;
#[allow(
    dead_code,
    reason = "a vocabulary: not every word is in use at every time"
)]
mod support;
mod tag;
mod tags;
mod tidy;
mod tls;
mod tokens;
mod undelete;
mod upload;
mod webhooks;
mod wire;
