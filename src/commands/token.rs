//! `coracle token`: makes, lists and revokes tokens for machines.

use std::io::{self, Write};

use serde_json::json;

use super::admin::{Admin, Folder, print_pages, sentence};
use super::user::unexpected;
use crate::auth::accounts::{Command, Reply, TokenView, Turned};
use crate::auth::name;
use crate::auth::secret::Secret;
use crate::cli::TokenCommand;
use crate::config::Settings;
use crate::serve::Error;

/// Does what was typed, and prints what came of it.
///
/// # Errors
/// It could not be done.
pub fn run(settings: Settings, command: &TokenCommand) -> Result<(), Error> {
    let folder = match command {
        TokenCommand::Create { name, .. } => {
            name::check("token", name).map_err(io::Error::other)?;
            Folder::MayBeMade
        }
        _ => Folder::MustExist,
    };
    let admin = Admin::open(settings, folder)?;
    let outcome = carry_out(&admin, command);
    admin.close()?;
    outcome
}

fn carry_out(admin: &Admin, command: &TokenCommand) -> Result<(), Error> {
    let json = command.common().json;
    let command = match command.clone() {
        TokenCommand::List(_) => return list(admin, json),
        TokenCommand::Create {
            name,
            repositories,
            actions,
            expires,
            owner,
            ..
        } => Command::TokenCreate {
            name,
            owner,
            repositories,
            actions,
            expires_seconds: expires.map(|life| life.as_secs()),
        },
        TokenCommand::Revoke { name, .. } => Command::TokenRevoke { name },
    };
    match admin.run(command)? {
        Reply::Token {
            token,
            secret,
            turned,
        } => Ok(tell(&token, secret.as_ref(), turned, json)?),
        other => Err(unexpected(&other)),
    }
}

/// The secret stands alone on standard output, for scripts; what is said about it does not.
fn tell(
    token: &TokenView,
    secret: Option<&Secret>,
    turned: Option<Turned>,
    json: bool,
) -> io::Result<()> {
    let (mut out, mut notes) = (io::stdout().lock(), io::stderr().lock());
    if json {
        let mut object = json!(token);
        if let Some(secret) = secret {
            object["secret"] = json!(secret.reveal());
        }
        writeln!(out, "{object}")?;
    } else if let Some(secret) = secret {
        writeln!(
            notes,
            "token {} was made; send this as the password with any user name, or as a Bearer \
             token. It is not shown again:",
            token.name
        )?;
        writeln!(out, "{}", secret.reveal())?;
    } else {
        writeln!(out, "token {} was revoked", token.name)?;
    }
    out.flush()?;
    if let Some(turned) = turned {
        writeln!(notes, "{}", sentence(turned))?;
    }
    Ok(())
}

/// Prints all tokens, page by page.
fn list(admin: &Admin, json: bool) -> Result<(), Error> {
    let page = |after| match admin.run(Command::Tokens { after })? {
        Reply::Tokens { tokens, more } => Ok((tokens, more)),
        other => Err(unexpected(&other)),
    };
    print_pages(json, "tokens", page, |token| &token.name, line)
}

/// A token as a line for people.
fn line(token: &TokenView) -> String {
    let mut words = vec![
        token.name.clone(),
        format!(
            "{} on {}",
            token.actions.join(","),
            token.repositories.join(" ")
        ),
    ];
    words.extend(token.owner.iter().map(|owner| format!("for {owner}")));
    words.push(match &token.expires_at {
        None => "without an end".to_owned(),
        Some(end) if token.expired => format!("expired {end}"),
        Some(end) => format!("until {end}"),
    });
    words.join("; ")
}
