//! What is counted while the registry works, and how it is told to Prometheus.
//!
//! Counting is an atomic addition or two; no lock is taken, nothing is allocated and nothing is
//! written anywhere. Labels have closed sets of values, so nothing here grows with what clients
//! send. [`list`] is the one list of all metrics: the exposition and the documentation come from
//! it. What is only known elsewhere (sizes, rooms, certificates) is asked for when somebody looks.
//!
//! In reading order: [`instruments`], [`labels`], [`http`], [`store`], [`work`], [`webhooks`]
//! (what is counted), [`list`], [`page`] (how it is told).

pub mod http;
pub mod instruments;
pub mod labels;
pub mod list;
pub mod page;
mod recent;
pub mod store;
#[cfg(test)]
mod tests;
pub mod webhooks;
pub mod work;

use std::sync::Arc;

pub use self::http::HttpMetrics;
pub use self::page::Page;
pub use self::store::{CatalogMetrics, DiskMetrics};
pub use self::work::{LoginMetrics, WorkMetrics};

/// All that one registry counts. Each part is handed to the floor that counts it.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Requests.
    pub http: HttpMetrics,
    /// The catalog's reads and commits.
    pub catalog: Arc<CatalogMetrics>,
    /// Effects on the disk beside the catalog's.
    pub disk: Arc<DiskMetrics>,
    /// Who was let in and who was not.
    pub logins: Arc<LoginMetrics>,
    /// Housekeeping, and what was refused.
    pub work: WorkMetrics,
}
