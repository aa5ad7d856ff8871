//! `coracle user`: makes, changes and lists users.

use std::io::{self, Write};

use serde_json::json;

use super::admin::{Admin, Folder, print_pages, sentence};
use super::prompt::new_password;
use crate::auth::accounts::{Command, Reply, Turned, UserView};
use crate::auth::name;
use crate::cli::UserCommand;
use crate::config::Settings;
use crate::serve::Error;

/// Does what was typed, and prints what came of it.
///
/// # Errors
/// It could not be done.
pub fn run(settings: Settings, command: &UserCommand) -> Result<(), Error> {
    let json = command.common().json;
    let folder = match command {
        UserCommand::Add { .. } => Folder::MayBeMade,
        _ => Folder::MustExist,
    };
    // What can be told without the accounts is told before anybody is asked for a password.
    if let UserCommand::Add { name, .. } = command {
        name::check("user", name).map_err(io::Error::other)?;
    }
    let admin = Admin::open(settings, folder)?;
    let outcome = carry_out(&admin, command, json);
    admin.close()?;
    outcome
}

fn carry_out(admin: &Admin, command: &UserCommand, json: bool) -> Result<(), Error> {
    let (command, what) = match command.clone() {
        UserCommand::List(_) => return list(admin, json),
        UserCommand::Add {
            name,
            groups,
            password_stdin,
            no_password,
            ..
        } => {
            let password = if no_password {
                None
            } else {
                Some(new_password(password_stdin, &name)?)
            };
            let command = Command::UserAdd {
                name,
                password,
                groups,
            };
            (command, "was made")
        }
        UserCommand::Passwd {
            name,
            password_stdin,
            ..
        } => {
            admin.run(Command::UserShow { name: name.clone() })?;
            let password = new_password(password_stdin, &name)?;
            (
                Command::UserPassword { name, password },
                "has a new password",
            )
        }
        UserCommand::Disable(args) => {
            let name = args.name;
            (Command::UserDisable { name }, "is let in no more")
        }
        UserCommand::Enable(args) => (Command::UserEnable { name: args.name }, "is let in again"),
        UserCommand::Remove(args) => {
            let name = args.name;
            (
                Command::UserRemove { name },
                "was removed, with the user's tokens",
            )
        }
        UserCommand::Groups {
            name, groups, none, ..
        } if none || !groups.is_empty() => (Command::UserGroups { name, groups }, ""),
        UserCommand::Groups { name, .. } => (Command::UserShow { name }, ""),
    };
    match admin.run(command)? {
        Reply::User { user, turned } => Ok(tell(&user, what, turned, json)?),
        other => Err(unexpected(&other)),
    }
}

fn tell(user: &UserView, what: &str, turned: Option<Turned>, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", json!(user))?;
    } else if what.is_empty() {
        for group in &user.groups {
            writeln!(out, "{group}")?;
        }
    } else {
        writeln!(out, "user {} {what}", user.name)?;
    }
    out.flush()?;
    if let Some(turned) = turned {
        writeln!(io::stderr(), "{}", sentence(turned))?;
    }
    Ok(())
}

/// Prints all users, page by page.
fn list(admin: &Admin, json: bool) -> Result<(), Error> {
    let page = |after| match admin.run(Command::Users { after })? {
        Reply::Users { users, more } => Ok((users, more)),
        other => Err(unexpected(&other)),
    };
    print_pages(json, "users", page, |user| &user.name, line)
}

/// A user as a line for people: the name, then what is particular.
fn line(user: &UserView) -> String {
    let mut words = vec![user.name.clone()];
    if user.disabled {
        words.push("disabled".to_owned());
    }
    if !user.password {
        words.push("no password".to_owned());
    }
    if !user.groups.is_empty() {
        words.push(format!("in {}", user.groups.join(", ")));
    }
    words.push(format!("since {}", user.created_at));
    words.join("; ")
}

/// A server of another version answered what was not asked.
pub(super) fn unexpected(reply: &Reply) -> Error {
    // Only its kind: it may hold a secret.
    let kind = match reply {
        Reply::User { .. } => "a user",
        Reply::Users { .. } => "users",
        Reply::Token { .. } => "a token",
        Reply::Tokens { .. } => "tokens",
    };
    Error::Io(io::Error::other(format!(
        "the server answered with {kind}, which was not asked for; is it of another version?"
    )))
}
