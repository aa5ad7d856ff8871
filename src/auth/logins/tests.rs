//! Logins from the outside of the floor: who is let in, who is not, and what it costs.
