//! The registry as a service: what it says to its manager, whose sockets it serves, how it reads
//! its files again and how it stops. A test is the manager here, with real sockets and signals.

mod activation;
mod manager;
mod notify;
mod reload;
mod stop;
mod units;
mod watchdog;
