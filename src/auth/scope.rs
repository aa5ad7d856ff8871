//! What a request needs, what a token grants: a resource and actions on it, in the notation of
//! Distribution's token specification, `repository:team/app:pull,push`.

use std::fmt;

use super::action::{Action, Actions};
use crate::oci::RepositoryName;

/// What access is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// The list of all repositories, `registry:catalog`.
    Catalog,
    /// One repository, `repository:<name>`.
    Repository(RepositoryName),
}

/// A resource and actions on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// What it is about.
    pub resource: Resource,
    /// What is done to it.
    pub actions: Actions,
}

impl Resource {
    /// The resource's type in scopes and tokens.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Catalog => "registry",
            Self::Repository(_) => "repository",
        }
    }

    /// The resource's name in scopes and tokens.
    pub fn name(&self) -> &str {
        match self {
            Self::Catalog => "catalog",
            Self::Repository(name) => name.as_str(),
        }
    }

    /// The resource of this type and name, where there is one. A class behind the type, as in
    /// `repository(plugin)`, is deprecated and means nothing.
    pub fn parse(kind: &str, name: &str) -> Option<Self> {
        let kind = kind.split_once('(').map_or(kind, |(kind, _)| kind);
        match (kind, name) {
            ("registry", "catalog") => Some(Self::Catalog),
            ("repository", name) => name.parse().ok().map(Self::Repository),
            _ => None,
        }
    }
}

impl Scope {
    /// `actions` on a repository.
    pub fn repository(name: &RepositoryName, actions: Actions) -> Self {
        Self {
            resource: Resource::Repository(name.clone()),
            actions,
        }
    }

    /// The list of all repositories.
    pub const fn catalog() -> Self {
        Self {
            resource: Resource::Catalog,
            actions: Actions::ALL,
        }
    }

    /// Reads `type:name:action,action`. The name may hold colons (a host with its port), so it is
    /// what stands between the first colon and the last. `None` for what means nothing here.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let resource = Resource::parse(kind, name)?;
        let actions = Actions::of_names(actions.split(','));
        Some(Self { resource, actions })
    }

    /// Whether `action` on `resource` is part of it.
    pub fn grants(&self, resource: &Resource, action: Action) -> bool {
        self.resource == *resource && self.actions.contains(action)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, actions } = self;
        write!(f, "{}:{}:{actions}", resource.kind(), resource.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_from_both_ends() {
        for (text, written) in [
            ("repository:a/b:push,pull", Some("repository:a/b:pull,push")),
            ("repository(plugin):a:pull", Some("repository:a:pull")),
            ("registry:catalog:*", Some("registry:catalog:*")),
            ("repository:a:*", Some("repository:a:*")),
            ("repository:a:", Some("repository:a:")),
            // No repository here has such a name.
            ("repository:host:5000/a:pull", None),
            ("repository:UPPER:pull", None),
            ("registry:other:*", None),
            ("planet:a:pull", None),
            ("repository:a", None),
            ("", None),
            ("::", None),
        ] {
            let scope = Scope::parse(text);
            assert_eq!(
                scope.map(|scope| scope.to_string()).as_deref(),
                written,
                "{text}"
            );
        }
    }

    #[test]
    fn a_scope_grants_what_it_names_and_no_more() {
        let scope = Scope::parse("repository:a:pull").unwrap();
        let resource = |name: &str| Resource::Repository(name.parse().unwrap());
        assert!(scope.grants(&resource("a"), Action::Pull));
        assert!(!scope.grants(&resource("a"), Action::Push));
        assert!(!scope.grants(&resource("a/b"), Action::Pull));
        assert!(!scope.grants(&Resource::Catalog, Action::Pull));
    }
}
