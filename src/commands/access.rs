//! `coracle access explain`: what is decided about somebody, and which rule decides it.

use std::io::{self, Write};

use super::admin::{Admin, Folder};
use crate::auth::explain::{Explanation, Question};
use crate::config::Settings;
use crate::exit::Exit;
use crate::serve::Error;

/// Prints the decision and what made it. [`Exit::Failed`] when it is a refusal.
///
/// # Errors
/// The accounts could not be read, or nothing printed.
pub fn explain(settings: Settings, question: &Question, json: bool) -> Result<Exit, Error> {
    let admin = Admin::open(settings, Folder::AsServed)?;
    let explained = admin.explain(question);
    admin.close()?;
    let explained = explained?;
    print(&explained, json)?;
    Ok(if explained.allowed {
        Exit::Ok
    } else {
        Exit::Failed
    })
}

fn print(explained: &Explanation, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, explained)?;
        return writeln!(out);
    }
    let Explanation {
        who,
        repository,
        action,
        allowed,
        reason,
        ..
    } = explained;
    let verdict = if *allowed { "may" } else { "may not" };
    writeln!(out, "{who} {verdict} {action} {repository}: {reason}")?;
    Ok(())
}
