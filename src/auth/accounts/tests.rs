//! Accounts: what may be made, and what is answered.
