//! Tokens of token servers: each rule of Distribution's specification, with keys and certificates
//! that the tests make, and tokens that another implementation made.

mod claims;
mod foreign;
mod hints;
mod parser;
mod reading;
pub mod support;
