//! The data folder: whether it is there, whose it is, and who may read it.

use std::io::{self, ErrorKind};

use super::finding::Findings;
use crate::host::users;
use crate::store::layout::Layout;
use crate::store::look::{Looks, may_write, nearest};

const CHECK: &str = "data folder";

/// How many files of another owner are named.
const NAMED_MAX: usize = 3;

pub(super) fn check(layout: &Layout, looks: &io::Result<Looks>, findings: &mut Findings) {
    let folder = layout.root().display();
    let own = users::own_id();
    let before = findings.bad();
    match looks {
        Err(error) if error.kind() == ErrorKind::NotFound => missing(layout, findings),
        Err(error) => findings.fail(
            CHECK,
            format!("{folder} cannot be looked at: {error}"),
            "run this as the user that runs the server, or name another folder with --data",
        ),
        Ok(looks) => {
            owners(layout, looks, findings);
            if own == looks.owner && !may_write(layout.root()) {
                findings.fail(
                    CHECK,
                    format!("{folder} cannot be written by {}", users::name(own)),
                    format!("chmod 700 {folder}, and look whether its file system is read-only"),
                );
            }
            secrecy(layout, looks, findings);
            if looks.is_restoring {
                findings.fail(
                    CHECK,
                    format!("a restore into {folder} has not come to its end"),
                    "run `coracle restore` again: it goes on where it was broken off",
                );
            }
            if findings.bad() == before {
                let state = if looks.has_catalog {
                    "a registry"
                } else {
                    "no registry yet"
                };
                let owner = users::name(looks.owner);
                findings.ok(
                    CHECK,
                    format!("{folder} has {state} and belongs to {owner}"),
                );
            }
        }
    }
}

fn missing(layout: &Layout, findings: &mut Findings) {
    let folder = layout.root().display();
    let above = nearest(layout.root());
    match above.filter(|above| may_write(above)) {
        Some(_) => findings.ok(CHECK, format!("{folder} is made by the first start")),
        None => findings.fail(
            CHECK,
            format!(
                "{folder} does not exist, and {} may not make it",
                users::name(users::own_id())
            ),
            "make it for the user that runs the server, or name another folder with --data",
        ),
    }
}

fn owners(layout: &Layout, looks: &Looks, findings: &mut Findings) {
    const ROOT: u32 = 0;
    let folder = layout.root().display();
    let (own, owner) = (users::own_id(), users::name(looks.owner));
    if own != looks.owner && own != ROOT {
        findings.fail(
            CHECK,
            format!(
                "{folder} belongs to {owner}, and this is {}",
                users::name(own)
            ),
            format!("run coracle as {owner}, or give the folder to the user that runs the server"),
        );
    }
    if looks.foreign.is_empty() {
        return;
    }
    let named: Vec<String> = looks
        .foreign
        .iter()
        .take(NAMED_MAX)
        .map(|(path, id)| format!("{} ({})", path.display(), users::name(*id)))
        .collect();
    let more = looks.foreign.len() - named.len();
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let message = format!(
        "something in {folder} does not belong to {owner}, to whom the folder does: {}{more}",
        named.join(", ")
    );
    let advice = format!(
        "stop the server, then chown --recursive --reference={folder} {folder}; commands are to be \
         run as {owner}"
    );
    // The administrator can write what belongs to others.
    if looks.owner == ROOT {
        findings.warn(CHECK, message, advice);
    } else {
        findings.fail(CHECK, message, advice);
    }
}

fn secrecy(layout: &Layout, looks: &Looks, findings: &mut Findings) {
    let folder = layout.root().display();
    if looks.mode & 0o077 != 0 {
        findings.warn(
            CHECK,
            format!(
                "others than its owner may look into {folder} (mode {:03o})",
                looks.mode
            ),
            format!("chmod 700 {folder}"),
        );
    }
    if looks.is_key_open {
        let key = layout.token_key();
        findings.fail(
            CHECK,
            format!(
                "others may read {}, the key of the registry's tokens",
                key.display()
            ),
            format!(
                "chmod 600 {0}; if a stranger may have read it, remove it and start the server \
                 again: clients then log in anew",
                key.display()
            ),
        );
    }
}
