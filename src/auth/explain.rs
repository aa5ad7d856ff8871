//! What is decided about somebody and why, in words: for `coracle access explain`.

use serde::{Deserialize, Serialize};

use super::action::Action;
use super::authenticator::Authenticator;
use super::identity::{Identity, User, Who};
use super::policy::{Basis, Decision, Policy, Subject};
use super::principal::Principal;
use super::scope::Resource;
use crate::oci::RepositoryName;
use crate::store;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whom it is about. A user or a token is looked up; of a group somebody is supposed who is in
    /// no other.
    pub who: Subject,
    /// On which repository.
    pub repository: RepositoryName,
    /// What they want to do.
    pub action: Action,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Whom it is about.
    pub who: String,
    /// Whether there is such an account, where one was named.
    pub known: bool,
    /// On which repository.
    pub repository: String,
    /// What they want to do.
    pub action: String,
    /// Whether they may.
    pub allowed: bool,
    /// Why, in a sentence.
    pub reason: String,
    /// The rule that allows it, counted from 1.
    pub rule: Option<usize>,
    /// Where that rule stands.
    pub r#where: Option<String>,
}

impl Authenticator {
    /// Decides as for a request, and says why.
    ///
    /// # Errors
    /// The accounts could not be read.
    pub fn explain(&self, question: &Question) -> Result<Explanation, store::Error> {
        let found = self.look_up(&question.who)?;
        let known = found.is_some();
        let identity = found.unwrap_or_else(|| supposed(&question.who));
        let policy = self.policy();
        let resource = Resource::Repository(question.repository.clone());
        let mut decision = policy.decide(&identity, &resource, question.action);
        if self.logins().is_none() {
            decision = Decision {
                allowed: false,
                basis: Basis::TokenServer,
            };
        }
        let mut explanation = phrase(&policy, question, known, &decision);
        if !known {
            explanation.deny();
        }
        Ok(explanation)
    }

    /// The account of this name, as its holder would be known by a request.
    fn look_up(&self, who: &Subject) -> Result<Option<Identity>, store::Error> {
        let principal = match who {
            Subject::Anyone => return Ok(Some(Identity::ANONYMOUS)),
            Subject::Authenticated | Subject::Group(_) => return Ok(Some(supposed(who))),
            Subject::User(name) => Principal::User(name.clone()),
            Subject::Token(name) => Principal::Token(name.clone()),
        };
        let Some(logins) = self.logins() else {
            return Ok(None);
        };
        Ok(logins.resolve(&principal)?.map(|(identity, _)| identity))
    }
}

/// Somebody of whom no more than this is known.
fn supposed(who: &Subject) -> Identity {
    let user = |name: &str, groups: Vec<String>| {
        let name = name.to_owned();
        Who::User(User { name, groups })
    };
    let who = match who {
        Subject::Anyone => Who::Anonymous,
        // A name that nobody can have.
        Subject::Authenticated => user("", Vec::new()),
        Subject::User(name) => user(name, Vec::new()),
        Subject::Group(group) => user("", vec![group.clone()]),
        Subject::Token(name) => Who::Token {
            name: name.clone(),
            owner: None,
        },
    };
    Identity { who, limit: None }
}

impl Explanation {
    /// Nobody has this account, whatever would be decided about them.
    fn deny(&mut self) {
        let would = if self.allowed { "would" } else { "would not" };
        self.reason = format!(
            "nobody is let in as {}; with such an account it {would} be allowed: {}",
            self.who, self.reason
        );
        self.allowed = false;
    }
}

fn phrase(policy: &Policy, question: &Question, known: bool, decision: &Decision) -> Explanation {
    let rule = match decision.basis {
        Basis::Rule(index) => policy.rules.get(index).map(|rule| (index + 1, rule)),
        _ => None,
    };
    let reason = match (&decision.basis, rule) {
        (_, Some((number, rule))) => format!(
            "rule {number} ({}): who {}, repositories {}, actions {}",
            rule.origin,
            list(&rule.who),
            list(&rule.repositories),
            rule.actions,
        ),
        (basis, None) => why(basis, policy, question, decision.allowed),
    };
    Explanation {
        who: question.who.to_string(),
        known,
        repository: question.repository.to_string(),
        action: question.action.to_string(),
        allowed: decision.allowed,
        reason,
        rule: rule.map(|(number, _)| number),
        r#where: rule.map(|(_, rule)| rule.origin.clone()),
    }
}

/// The reason where no rule is the reason.
fn why(basis: &Basis, policy: &Policy, question: &Question, allowed: bool) -> String {
    let Question {
        who,
        repository,
        action,
    } = question;
    match basis {
        Basis::Open => {
            "there is neither a rule nor an account, so everybody may do everything".to_owned()
        }
        Basis::Authenticated if allowed => {
            "there is no rule, so whoever has an account may do everything".to_owned()
        }
        Basis::Authenticated => {
            "there is no rule, so nobody may do anything without an account".to_owned()
        }
        Basis::Rule(_) | Basis::NoRule => {
            let count = policy.rules.len();
            format!("none of the {count} rules lets {who} {action} {repository}")
        }
        Basis::Credential => {
            format!("a rule allows it, but {who} is limited to less than {action} {repository}")
        }
        Basis::TokenServer => "the token server alone decides".to_owned(),
    }
}

fn list(items: &[impl ToString]) -> String {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
