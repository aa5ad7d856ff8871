//! Who may do what: one pure function over the rules that an operator declared.

use std::fmt;

use super::action::{Action, Actions};
use super::identity::{Identity, Limit, Who, fits};
use super::scope::{Resource, Scope};
use crate::oci::Glob;

/// The rules, and what holds without any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The rules in their order; any that matches allows.
    pub rules: Vec<Rule>,
    /// What is decided where there is no rule at all.
    pub without_rules: WithoutRules,
}

/// What holds where there is no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutRules {
    /// There are no accounts either: everybody may do everything.
    Open,
    /// Whoever was verified may do everything, as with Distribution's htpasswd.
    Authenticated,
}

/// One rule: these may do this to those repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whom it is about; one is enough.
    pub who: Vec<Subject>,
    /// Which repositories; one is enough.
    pub repositories: Vec<Glob>,
    /// What they may do.
    pub actions: Actions,
    /// Where it stands, for people: `coracle.toml:12`.
    pub origin: String,
}

/// Whom a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Everybody, also who shows no credential.
    Anyone,
    /// Everybody who was verified.
    Authenticated,
    /// The user of this name.
    User(String),
    /// Everybody in this group.
    Group(String),
    /// The machine's token of this name.
    Token(String),
}

/// What was decided, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// What decided.
    pub basis: Basis,
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// There is neither a rule nor an account.
    Open,
    /// There is no rule, and whether somebody was verified decides.
    Authenticated,
    /// This rule, counted from 0.
    Rule(usize),
    /// No rule allows it.
    NoRule,
    /// A rule allows it, and the credential itself does not.
    Credential,
    /// The token of an external token server.
    TokenServer,
}

impl Policy {
    /// Whether everything is allowed to everybody.
    pub const fn is_open(&self) -> bool {
        self.rules.is_empty() && matches!(self.without_rules, WithoutRules::Open)
    }

    /// Whether some rule is about everybody, also who shows no credential.
    pub fn lets_anyone(&self) -> bool {
        let rules = self.rules.iter();
        self.is_open()
            || rules
                .flat_map(|rule| &rule.who)
                .any(|who| *who == Subject::Anyone)
    }

    /// Decides whether `identity` may do `action` to `resource`.
    pub fn decide(&self, identity: &Identity, resource: &Resource, action: Action) -> Decision {
        let decision = |allowed, basis| Decision { allowed, basis };
        if let Who::Subject { .. } = identity.who {
            let allowed =
                identity.limit.is_some() && identity.is_within_limit(resource, action, false);
            return decision(allowed, Basis::TokenServer);
        }
        let by_rules = self.by_rules(&identity.who, resource, action);
        if by_rules.allowed && identity.limit.is_some() {
            let public = self.by_rules(&Who::Anonymous, resource, action).allowed;
            if !identity.is_within_limit(resource, action, public) {
                return decision(false, Basis::Credential);
            }
        }
        by_rules
    }

    fn by_rules(&self, who: &Who, resource: &Resource, action: Action) -> Decision {
        let decision = |allowed, basis| Decision { allowed, basis };
        if self.rules.is_empty() {
            return match self.without_rules {
                WithoutRules::Open => decision(true, Basis::Open),
                WithoutRules::Authenticated => decision(!who.is_anonymous(), Basis::Authenticated),
            };
        }
        let found = self.rules.iter().position(|rule| {
            rule.is_about(who)
                && match resource {
                    // The list shows only what may be pulled, entry by entry.
                    Resource::Catalog => rule.actions.contains(Action::Pull),
                    Resource::Repository(name) => {
                        let user = who.user().map(|user| user.name.as_str());
                        rule.actions.contains(action) && fits(&rule.repositories, name, user)
                    }
                }
        });
        match found {
            Some(index) => decision(true, Basis::Rule(index)),
            None => decision(false, Basis::NoRule),
        }
    }

    /// Whether `identity` may do everything to every repository there may be: who looks at the
    /// registry as a whole must.
    pub fn lets_administer_all(&self, identity: &Identity) -> bool {
        let by_rules = match (&identity.who, self.rules.is_empty()) {
            // Its tokens name repositories one by one.
            (Who::Subject { .. }, _) => false,
            (_, true) => {
                matches!(self.without_rules, WithoutRules::Open) || !identity.who.is_anonymous()
            }
            (who, false) => self.rules.iter().any(|rule| {
                rule.is_about(who)
                    && rule.actions.contains(Action::Admin)
                    && rule.repositories.iter().any(Glob::is_everything)
            }),
        };
        by_rules
            && identity
                .limit
                .as_ref()
                .is_none_or(Limit::is_none_for_admins)
    }

    /// The part of `scope` that `identity` may have: what a token server grants.
    pub fn intersection(&self, identity: &Identity, scope: &Scope) -> Actions {
        let asked = scope.actions.iter();
        asked
            .filter(|action| self.decide(identity, &scope.resource, *action).allowed)
            // One by one, so that `admin` which was refused does not come back with the others.
            .fold(Actions::NONE, |set, action| match action {
                Action::Admin => Actions::ALL,
                _ => set.union(Actions::of(action)),
            })
    }
}

impl Rule {
    fn is_about(&self, who: &Who) -> bool {
        self.who.iter().any(|subject| subject.is(who))
    }
}

impl Subject {
    fn is(&self, who: &Who) -> bool {
        match self {
            Self::Anyone => true,
            Self::Authenticated => !who.is_anonymous(),
            Self::User(name) => who.user().is_some_and(|user| user.name == *name),
            Self::Group(name) => who.user().is_some_and(|user| user.groups.contains(name)),
            Self::Token(name) => matches!(who, Who::Token { name: own, .. } if own == name),
        }
    }

    /// Reads `anyone`, `authenticated`, `user:NAME`, `group:NAME` or `token:NAME`.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let named = |name: &str, make: fn(String) -> Self| {
            if name.is_empty() {
                return Err(format!("{text:?} lacks a name behind its colon"));
            }
            Ok(make(name.to_owned()))
        };
        match text.split_once(':') {
            None if text == "anyone" => Ok(Self::Anyone),
            None if text == "authenticated" => Ok(Self::Authenticated),
            Some(("user", name)) => named(name, Self::User),
            Some(("group", name)) => named(name, Self::Group),
            Some(("token", name)) => named(name, Self::Token),
            _ => Err(format!(
                "{text:?} is nobody; write anyone, authenticated, user:NAME, group:NAME or \
                 token:NAME"
            )),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Authenticated => f.write_str("authenticated"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Token(name) => write!(f, "token:{name}"),
        }
    }
}

#[cfg(test)]
mod tests;
