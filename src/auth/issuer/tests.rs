//! Tokens of our own.
