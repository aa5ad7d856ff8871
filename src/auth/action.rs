//! What can be done to a repository, and sets of it.

use std::fmt;
use std::str::FromStr;

/// One kind of access to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Everything else: administration over HTTP. Whoever has it has the other three as well.
    Admin,
    /// Remove tags, manifests, blobs, and uploads.
    Delete,
    /// Read.
    Pull,
    /// Write. The protocol reads while it writes, so it is of little use without pull.
    Push,
}

impl Action {
    /// Every action, in the order of their names.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Delete, Self::Pull, Self::Push];

    /// The action's name in scopes, tokens and rules.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Delete => "delete",
            Self::Pull => "pull",
            Self::Push => "push",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionError;

impl fmt::Display for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an action is pull, push, delete or admin, or * for all of them")
    }
}

impl std::error::Error for ActionError {}

impl FromStr for Action {
    type Err = ActionError;

    fn from_str(text: &str) -> Result<Self, ActionError> {
        let found = Self::ALL.into_iter().find(|action| action.as_str() == text);
        found.ok_or(ActionError)
    }
}

/// A set of actions. [`Action::Admin`] brings the others with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Actions(u8);

impl Actions {
    /// None.
    pub const NONE: Self = Self(0);
    /// All, which a scope writes as `*`.
    pub const ALL: Self = Self(0b1111);
    /// What a push needs (Distribution's token specification): `pull,push`.
    pub const PULL_PUSH: Self = Self(Action::Pull.bit() | Action::Push.bit());

    /// The action alone, or all for [`Action::Admin`].
    pub const fn of(action: Action) -> Self {
        match action {
            Action::Admin => Self::ALL,
            _ => Self(action.bit()),
        }
    }

    /// Whether `action` is in the set.
    pub const fn contains(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    /// Whether all of `others` are in the set.
    pub const fn contains_all(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The actions in it, in the order of their names.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        let all = Action::ALL.into_iter();
        all.filter(move |action| self.contains(*action))
    }

    /// The actions that these names mean; `*` means all, and a name that means nothing here is
    /// passed over, as Distribution does.
    pub fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().fold(Self::NONE, |set, name| match name {
            "*" => Self::ALL,
            _ => name
                .parse()
                .map_or(set, |action| set.union(Self::of(action))),
        })
    }

    /// The names of the actions in it, in their order; `*` alone for all.
    pub fn names(self) -> Vec<&'static str> {
        if self == Self::ALL {
            return vec!["*"];
        }
        self.iter().map(Action::as_str).collect()
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        let sets = actions.into_iter().map(Self::of);
        sets.fold(Self::NONE, Self::union)
    }
}

/// The names in their order, with commas: `pull,push`.
impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_written_sorted_and_read_back() {
        for (names, written) in [
            (&["push", "pull"][..], "pull,push"),
            (&["delete", "pull", "nonsense"], "delete,pull"),
            (&["*"], "*"),
            (&["admin"], "*"),
            (&["Pull", ""], ""),
        ] {
            let set = Actions::of_names(names.iter().copied());
            assert_eq!(set.to_string(), written);
            let again = Actions::of_names(written.split(','));
            assert_eq!(again, set, "{written}");
        }
    }

    #[test]
    fn sets_have_what_was_put_in() {
        let set: Actions = [Action::Pull, Action::Push].into_iter().collect();
        assert_eq!(set, Actions::PULL_PUSH);
        assert!(set.contains(Action::Push) && !set.contains(Action::Delete));
        assert!(Actions::ALL.contains_all(set) && !set.contains_all(Actions::ALL));
        assert_eq!(
            set.intersection(Actions::of(Action::Pull)),
            Actions::of(Action::Pull)
        );
    }
}
