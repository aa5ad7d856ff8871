//! Which changes a webhook wants: a pure value.

use crate::oci::Glob;
use crate::registry::policy::fits;
use crate::store::catalog::{Change, ChangeAction, ChangeTarget};

/// The media type of a blob in an event.
pub const BLOB_MEDIA_TYPE: &str = "application/octet-stream";

/// What a webhook is told of: all that no part of this leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Actions that are left out.
    pub ignore_actions: Vec<ChangeAction>,
    /// Media types that are left out, compared whole.
    pub ignore_media_types: Vec<String>,
    /// The actions that are told of; all of them when empty.
    pub actions: Vec<ChangeAction>,
    /// The repositories that are told of; all of them when empty.
    pub repositories: Vec<Glob>,
}

impl Filter {
    /// Whether the change is told of.
    pub fn wants(&self, change: &Change) -> bool {
        let is_ignored = self.ignore_actions.contains(&change.action)
            || media_type(change)
                .is_some_and(|own| self.ignore_media_types.iter().any(|it| it == own));
        let is_asked_for = self.actions.is_empty() || self.actions.contains(&change.action);
        let is_there = self.repositories.is_empty() || fits(&self.repositories, &change.repository);
        !is_ignored && is_asked_for && is_there
    }
}

/// The media type that the events of a change have; none where content went.
pub fn media_type(change: &Change) -> Option<&str> {
    match (&change.target, change.action) {
        (_, ChangeAction::Delete) => None,
        (ChangeTarget::Blob(_), _) => Some(BLOB_MEDIA_TYPE),
        _ => change
            .media_type
            .as_ref()
            .map(crate::oci::MediaType::as_str),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::events::tests::{blob_change, manifest_change};

    #[test]
    fn a_filter_that_says_nothing_lets_all_pass() {
        for action in [
            ChangeAction::Pull,
            ChangeAction::Push,
            ChangeAction::Mount,
            ChangeAction::Delete,
        ] {
            assert!(Filter::default().wants(&blob_change("a", action)));
        }
    }

    #[test]
    fn each_part_alone_leaves_out() {
        let push = manifest_change("team/app", ChangeAction::Push);
        let delete = manifest_change("team/app", ChangeAction::Delete);
        let blob = blob_change("team/app", ChangeAction::Push);
        let no_blobs = Filter {
            ignore_media_types: vec![BLOB_MEDIA_TYPE.to_owned()],
            ..Filter::default()
        };
        assert!(!no_blobs.wants(&blob));
        assert!(no_blobs.wants(&push));
        // What went has no media type.
        assert!(no_blobs.wants(&blob_change("team/app", ChangeAction::Delete)));
        // Compared whole, as Distribution does.
        let part = Filter {
            ignore_media_types: vec!["application/octet".to_owned()],
            ..Filter::default()
        };
        assert!(part.wants(&blob));
        let no_pushes = Filter {
            ignore_actions: vec![ChangeAction::Push],
            ..Filter::default()
        };
        assert!(!no_pushes.wants(&push));
        assert!(no_pushes.wants(&delete));
        let only_deletes = Filter {
            actions: vec![ChangeAction::Delete],
            ..Filter::default()
        };
        assert!(!only_deletes.wants(&push));
        assert!(only_deletes.wants(&delete));
        let elsewhere = Filter {
            repositories: vec![Glob::parse_plain("other/**").unwrap()],
            ..Filter::default()
        };
        assert!(!elsewhere.wants(&push));
        assert!(elsewhere.wants(&manifest_change("other/a/b", ChangeAction::Push)));
    }
}
