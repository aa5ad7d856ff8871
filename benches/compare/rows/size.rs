//! The size of the program.

use super::Context;
use crate::Outcome;
use crate::measure::{Goal, real};
use crate::report::RowReport;
use crate::system::MB;

/// Bytes of the release binary, as cargo built and stripped it.
pub fn binary_size(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let path = &context.options.coracle;
    let bytes = std::fs::metadata(path)
        .map_err(|error| format!("cannot look at {}: {error}", path.display()))?
        .len();
    let megabytes = real(bytes) / MB;
    report.add("coracle", "MB", vec![megabytes]);
    if cfg!(debug_assertions) {
        report
            .notes
            .push("this is a debug build, neither optimised nor stripped".into());
    }
    report.judge("size", Some(megabytes), "MB", Goal::AtMost(8.0));
    Ok(())
}
