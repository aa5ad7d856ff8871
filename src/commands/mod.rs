//! One file a command: takes what was typed, calls the floor below, prints, returns an exit code.

pub mod access;
mod admin;
pub mod backup;
pub mod cert;
pub mod check;
pub mod config;
pub mod doctor;
pub mod du;
pub mod events;
pub mod gc;
mod prompt;
pub mod reload;
pub mod repo;
pub mod restore;
pub mod retention;
pub mod serve;
pub mod status;
mod table;
pub mod tag;
pub mod task;
pub mod token;
pub mod undelete;
pub mod user;
pub mod version;
