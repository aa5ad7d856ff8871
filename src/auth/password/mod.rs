//! Passwords: how they are hashed, who verifies them, and what is remembered of those verified.

pub mod hash;
pub mod known;
pub mod pool;
