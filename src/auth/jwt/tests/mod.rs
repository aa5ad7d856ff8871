//! Tokens of token servers.
