//! `coracle reload`: has the running registry read its configuration and files again.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::admin::{ask, is_nobody};
use crate::api::control_reload::ReloadReport;
use crate::exit::Exit;
use crate::serve::{Error, reload};
use crate::store::layout::Layout;

/// Asks the registry in `data`, and prints what it has read. What stays as it was goes to standard
/// error, with [`Exit::Configuration`] where a setting is wrong and [`Exit::Failed`] otherwise.
///
/// # Errors
/// No registry runs there.
pub fn run(data: &Path, as_json: bool) -> Result<Exit, Error> {
    let layout = Layout::new(data);
    let report: ReloadReport = match ask(&layout.control(), "/reload", &json!({})) {
        Err(Error::Io(none)) if is_nobody(&none) => {
            let why = format!(
                "no registry runs in {}; name its folder with --data or --config",
                layout.root().display()
            );
            return Err(Error::Io(io::Error::new(none.kind(), why)));
        }
        outcome => outcome?,
    };
    let exit = if report.refused().any(|it| it.part == reload::CONFIGURATION) {
        Exit::Configuration
    } else if report.refused().next().is_some() {
        Exit::Failed
    } else {
        Exit::Ok
    };
    let mut out = io::stdout().lock();
    if as_json {
        let mut value = serde_json::to_value(&report).map_err(io::Error::from)?;
        value["ok"] = (exit == Exit::Ok).into();
        writeln!(out, "{value}")?;
    } else {
        print(&mut out, &report)?;
    }
    out.flush()?;
    Ok(exit)
}

fn print(out: &mut impl Write, report: &ReloadReport) -> io::Result<()> {
    for part in report.parts.iter().filter(|part| part.taken) {
        writeln!(out, "{}: {}", part.part, part.detail)?;
    }
    for part in report.refused() {
        eprintln!("coracle: {} not taken: {}", part.part, part.detail);
    }
    if !report.restart.is_empty() {
        let keys = report.restart.join(", ");
        writeln!(out, "only after a restart: {keys}")?;
    }
    Ok(())
}
