//! `[[access]]` tables: the rules that say who may do what. Their meaning is in `auth::policy`.

use toml::Spanned;
use toml::de::DeValue;

use super::error::Problem;
use super::file::Lines;
use super::tables::{Entry, Kind, Shown};
use crate::auth::{Action, Actions, Rule, Subject};
use crate::oci::Glob;

/// These tables.
pub(super) const KIND: Kind = Kind {
    name: "access",
    keys: &["who", "repositories", "actions"],
    example: EXAMPLE,
};

const EXAMPLE: &str = "\
# Rules: who may do what to which repositories. Without a rule and without an account everybody may
# do everything; without a rule but with accounts, whoever logs in may. With rules, what none of
# them allows is refused.
#
# [[access]]
# who = [\"anyone\"]            # anyone, authenticated, user:NAME, group:NAME, token:NAME
# repositories = [\"public/**\"] # * within a component, ** over all, {user} is who asks
# actions = [\"pull\"]          # pull, push, delete, admin; * is all of them
#
# [[access]]
# who = [\"group:developers\", \"token:ci\"]
# repositories = [\"**\"]
# actions = [\"pull\", \"push\"]
";

/// Reads all rules; what is wrong goes to `problems`.
pub(super) fn read(
    value: &Spanned<DeValue<'_>>,
    lines: &Lines<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Rule> {
    KIND.read(value, lines, problems, |table| {
        let who = table.list("who", Subject::parse);
        let repositories = table.list("repositories", |text| {
            Glob::parse(text).map_err(|error| format!("{text:?} {error}"))
        });
        let actions = table.list("actions", |text| match text {
            "*" => Ok(Actions::ALL),
            _ => text
                .parse::<Action>()
                .map(Actions::of)
                .map_err(|error| format!("{text:?} is none: {error}")),
        });
        Rule {
            who,
            repositories,
            actions: actions.into_iter().fold(Actions::NONE, Actions::union),
            origin: table.origin(),
        }
    })
}

/// A rule as it is shown.
pub(super) fn show(rule: &Rule) -> Shown {
    let actions = rule.actions.names();
    Shown {
        origin: rule.origin.clone(),
        entries: vec![
            ("who", Entry::texts(&rule.who)),
            ("repositories", Entry::texts(&rule.repositories)),
            ("actions", Entry::texts(&actions)),
        ],
    }
}

#[cfg(test)]
mod tests {
    use crate::auth::{Action, Actions};
    use crate::config::parse_toml;

    #[test]
    fn rules_are_read_in_their_order() {
        let text = "[log]\nlevel = \"warn\"\n\n[[access]]\nwho = \"anyone\"\n\
                    repositories = \"public/**\"\nactions = [\"pull\"]\n\n\
                    [[access]]\nwho = [\"user:ada\", \"group:dev\", \"token:ci\"]\n\
                    repositories = [\"**\", \"home/{user}/*\"]\nactions = [\"push\", \"pull\"]\n";
        let settings = parse_toml(text).unwrap();
        let [first, second] = settings.access.as_slice() else {
            panic!("{:?}", settings.access);
        };
        assert_eq!(first.actions, Actions::of(Action::Pull));
        assert_eq!(first.origin, "coracle.toml:4");
        assert_eq!(second.actions, Actions::PULL_PUSH);
        assert_eq!(second.who.len(), 3);
        assert_eq!(second.repositories.len(), 2);
        assert_eq!(second.origin, "coracle.toml:9");
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, expected) in [
            (
                "[access]\nwho = \"anyone\"\n",
                "access in coracle.toml:1: is a list of tables; write [[access]] and the rule's \
                 keys below",
            ),
            (
                "[[access]]\nwho = \"anyone\"\nrepositories = \"**\"\n",
                "access.actions in coracle.toml:1: is missing",
            ),
            (
                "[[access]]\nwho = \"anyone\"\nrepositories = \"**\"\nactions = []\n",
                "access.actions in coracle.toml:4: must hold at least one entry",
            ),
            (
                "[[access]]\nwho = \"anyone\"\nrepository = \"**\"\nrepositories = \"**\"\n\
                 actions = \"pull\"\n",
                "access.repository in coracle.toml:3: no such key; did you mean repositories?",
            ),
            (
                "[[access]]\nwho = \"ada\"\nrepositories = \"**\"\nactions = \"pull\"\n",
                "access.who in coracle.toml:2: \"ada\" is nobody; write anyone, authenticated, \
                 user:NAME, group:NAME or token:NAME",
            ),
            (
                "[[access]]\nwho = \"anyone\"\nrepositories = \"A\"\nactions = \"pull\"\n",
                "access.repositories in coracle.toml:3: \"A\" has 'A', which no repository name \
                 has; names are of lower-case letters, digits, '.', '_', '-' and '/'",
            ),
            (
                "[[access]]\nwho = \"anyone\"\nrepositories = \"**\"\nactions = [\"write\"]\n",
                "access.actions in coracle.toml:4: \"write\" is none: an action is pull, push, \
                 delete or admin, or * for all of them",
            ),
            (
                "[[access]]\nwho = 3\nrepositories = \"**\"\nactions = \"pull\"\n",
                "access.who in coracle.toml:2: must be a list of texts",
            ),
        ] {
            assert_eq!(parse_toml(text).unwrap_err().to_string(), expected);
        }
    }
}
