//! Backups as files: a folder with the layout of a data folder, filled from one and back.
//!
//! Which blobs belong to it the registry says, by the rows of the copied catalog; nothing here
//! looks at a row. The order of effects is what makes a backup whole at every moment: bytes and
//! names first, made durable, then the catalog takes its name in one step. In reading order:
//! [`blobs`] (one file after the other), [`target`] (the folder of a backup), [`restored`] (the
//! folder that comes of one), [`describe`] (`backup.json`), `refuse` (which folders will not do).

pub mod blobs;
pub mod describe;
mod refuse;
pub mod restored;
pub mod target;

pub use blobs::{Put, Way};
pub use describe::Description;
pub use restored::Restored;
pub use target::Target;
