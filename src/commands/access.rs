//! `coracle access explain`: what is decided about somebody, and which rule decides it.

use std::io::{self, Write};

use serde::Serialize;

use crate::auth::{
    Action, Basis, Decision, Identity, Policy, Resource, Subject, User, Who, WithoutRules,
};
use crate::config::Settings;
use crate::exit::Exit;
use crate::oci::RepositoryName;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whom it is about: `anyone`, `authenticated`, `user:NAME`, `token:NAME`, `group:NAME`.
    pub who: Subject,
    /// Groups that a user is supposed to be in, beside those of the catalog.
    pub groups: Vec<String>,
    /// On which repository.
    pub repository: RepositoryName,
    /// What they want to do.
    pub action: Action,
    /// Whether to answer in JSON.
    pub json: bool,
}

/// Who somebody is, for the decision: looked up where there is an account.
pub trait Directory {
    /// The identity of the user or token of this name; `None` where there is none.
    fn find(&self, who: &Subject) -> Option<Identity>;

    /// Whether there is any account.
    fn has_accounts(&self) -> bool;
}

#[derive(Serialize)]
struct Answer {
    who: String,
    known: bool,
    repository: String,
    action: &'static str,
    allowed: bool,
    reason: String,
    rule: Option<usize>,
    r#where: Option<String>,
}

/// Prints the decision and what made it. [`Exit::Failed`] when it is a refusal.
///
/// # Errors
/// The answer could not be printed.
pub fn explain(
    settings: &Settings,
    directory: &dyn Directory,
    question: &Question,
) -> io::Result<Exit> {
    let policy = Policy {
        rules: settings.access.clone(),
        without_rules: if directory.has_accounts() {
            WithoutRules::Authenticated
        } else {
            WithoutRules::Open
        },
    };
    let found = directory.find(&question.who);
    let known = found.is_some() || matches!(question.who, Subject::Anyone);
    let identity = found.unwrap_or_else(|| supposed(question));
    let resource = Resource::Repository(question.repository.clone());
    let decision = policy.decide(&identity, &resource, question.action);
    let answer = answer(&policy, question, known, &decision);
    let mut out = io::stdout().lock();
    if question.json {
        serde_json::to_writer(&mut out, &answer)?;
        writeln!(out)?;
    } else {
        let verdict = if answer.allowed { "allowed" } else { "refused" };
        writeln!(out, "{verdict}: {}", answer.reason)?;
        if !known {
            writeln!(out, "note: there is no {} (yet)", answer.who)?;
        }
    }
    Ok(if answer.allowed { Exit::Ok } else { Exit::Failed })
}

/// Somebody of whom only the name is known.
fn supposed(question: &Question) -> Identity {
    let user = |name: &str, groups: Vec<String>| {
        let name = name.to_owned();
        Who::User(User { name, groups })
    };
    let who = match &question.who {
        Subject::Anyone => Who::Anonymous,
        // A name that nobody can have.
        Subject::Authenticated => user("", question.groups.clone()),
        Subject::User(name) => user(name, question.groups.clone()),
        Subject::Group(group) => {
            let groups = question.groups.iter().chain([group]).cloned();
            user("", groups.collect())
        }
        Subject::Token(name) => Who::Token {
            name: name.clone(),
            owner: None,
        },
    };
    Identity { who, limit: None }
}

fn answer(policy: &Policy, question: &Question, known: bool, decision: &Decision) -> Answer {
    let rule = match decision.basis {
        Basis::Rule(index) => policy.rules.get(index).map(|rule| (index, rule)),
        _ => None,
    };
    let who = question.who.to_string();
    let reason = match (&decision.basis, rule) {
        (Basis::Rule(index), Some((_, rule))) => format!(
            "rule {} ({}) lets {} do {} on {}",
            index + 1,
            rule.origin,
            list(&rule.who),
            rule.actions,
            list(&rule.repositories),
        ),
        (Basis::Rule(index), None) => format!("rule {} allows it", index + 1),
        (Basis::Open, _) => {
            "there is neither a rule nor an account, so everybody may do everything".to_owned()
        }
        (Basis::Authenticated, _) if decision.allowed => {
            "there is no rule, so whoever has an account may do everything".to_owned()
        }
        (Basis::Authenticated, _) => {
            "there is no rule, so only whoever has an account may do anything".to_owned()
        }
        (Basis::NoRule, _) => format!(
            "none of the {} rules lets {who} {} {}",
            policy.rules.len(),
            question.action,
            question.repository
        ),
        (Basis::Credential, _) => format!("{who} is limited to less than that"),
        (Basis::TokenServer, _) => "the token server decides".to_owned(),
    };
    Answer {
        who,
        known,
        repository: question.repository.to_string(),
        action: question.action.as_str(),
        allowed: decision.allowed,
        reason,
        rule: rule.map(|(index, _)| index + 1),
        r#where: rule.map(|(_, rule)| rule.origin.clone()),
    }
}

fn list(items: &[impl ToString]) -> String {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
