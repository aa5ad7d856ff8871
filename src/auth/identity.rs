//! Who asks, as far as it was verified.

use std::fmt;

use super::action::{Action, Actions};
use super::scope::{Resource, Scope};
use crate::oci::{Glob, RepositoryName};

/// Who asks, and what their credential is limited to. It is only ever made from a credential that
/// was verified, or from none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who it is.
    pub who: Who,
    /// What the credential itself allows at most; `None` when it has no limit of its own.
    pub limit: Option<Limit>,
}

/// The one who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Nobody in particular.
    Anonymous,
    /// A user: of the catalog, of an htpasswd file, or whom a client certificate names.
    User(User),
    /// A machine's token, made by `coracle token create`.
    Token {
        /// The token's name.
        name: String,
        /// On whose behalf it acts, where it was made for a user.
        owner: Option<User>,
    },
    /// Whoever an external token server says; it alone decides what they may do.
    Subject {
        /// The token's `sub`; may be empty.
        name: String,
    },
}

/// A user and the groups they are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// Names of groups, sorted.
    pub groups: Vec<String>,
}

/// What a credential allows at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    /// A Bearer token of a token server: exactly these resources.
    Scopes(Vec<Scope>),
    /// A machine's token: these actions on the repositories that fit one of the patterns.
    Repositories {
        /// Patterns; without one, nothing fits.
        globs: Vec<Glob>,
        /// Actions.
        actions: Actions,
    },
    /// A Bearer token that was given for a machine's token: what both allow.
    Both(Box<Limit>, Box<Limit>),
}

impl Identity {
    /// Nobody in particular.
    pub const ANONYMOUS: Self = Self {
        who: Who::Anonymous,
        limit: None,
    };

    /// A user whose credential has no limit of its own.
    pub const fn user(user: User) -> Self {
        Self {
            who: Who::User(user),
            limit: None,
        }
    }

    /// The same without what a token server granted: for lists, whose entries no token names one by
    /// one. What a machine's token is limited to stays.
    #[must_use]
    pub fn for_lists(&self) -> Self {
        Self {
            who: self.who.clone(),
            limit: self.limit.as_ref().and_then(Limit::without_scopes),
        }
    }

    /// Whether the credential allows `action` on `resource`, whatever the rules say. What is
    /// `public`, so that nobody needs a credential for it, a machine's token need not name: a job
    /// that logs in to push can go on pulling what it could pull before.
    pub fn is_within_limit(&self, resource: &Resource, action: Action, public: bool) -> bool {
        let user = self.who.user().map(|user| user.name.as_str());
        let limit = self.limit.as_ref();
        limit.is_none_or(|limit| limit.allows(resource, action, user, public))
    }
}

impl Who {
    /// Whether anybody in particular asks.
    pub const fn is_anonymous(&self) -> bool {
        matches!(self, Self::Anonymous)
    }

    /// The user who asks, or on whose behalf a machine asks.
    pub const fn user(&self) -> Option<&User> {
        match self {
            Self::User(user) => Some(user),
            Self::Token { owner, .. } => owner.as_ref(),
            Self::Anonymous | Self::Subject { .. } => None,
        }
    }
}

/// As rules, logs and `coracle access explain` write it: `anyone`, `user:ada`, `token:ci`,
/// `subject:…`.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anyone"),
            Self::User(user) => write!(f, "user:{}", user.name),
            Self::Token { name, .. } => write!(f, "token:{name}"),
            Self::Subject { name } => write!(f, "subject:{name}"),
        }
    }
}

impl Limit {
    fn without_scopes(&self) -> Option<Self> {
        match self {
            Self::Scopes(_) => None,
            Self::Repositories { .. } => Some(self.clone()),
            Self::Both(one, other) => match (one.without_scopes(), other.without_scopes()) {
                (Some(one), Some(other)) => Some(Self::Both(Box::new(one), Box::new(other))),
                (one, other) => one.or(other),
            },
        }
    }

    /// Whether it leaves out nothing of what an administrator may do.
    pub(super) fn is_none_for_admins(&self) -> bool {
        match self {
            Self::Scopes(_) => false,
            Self::Repositories { globs, actions } => {
                actions.contains(Action::Admin) && globs.iter().any(Glob::is_everything)
            }
            Self::Both(one, other) => one.is_none_for_admins() && other.is_none_for_admins(),
        }
    }

    fn allows(
        &self,
        resource: &Resource,
        action: Action,
        user: Option<&str>,
        public: bool,
    ) -> bool {
        match (self, resource) {
            (Self::Both(one, other), _) => {
                one.allows(resource, action, user, public)
                    && other.allows(resource, action, user, public)
            }
            (Self::Scopes(scopes), _) => scopes.iter().any(|scope| scope.grants(resource, action)),
            // The list shows only what may be pulled, entry by entry.
            (Self::Repositories { .. }, Resource::Catalog) => true,
            (Self::Repositories { globs, actions }, Resource::Repository(name)) => {
                public || (actions.contains(action) && fits(globs, name, user))
            }
        }
    }
}

/// Whether a name fits one of the patterns.
pub(super) fn fits(globs: &[Glob], name: &RepositoryName, user: Option<&str>) -> bool {
    globs.iter().any(|glob| glob.matches(name, user))
}
