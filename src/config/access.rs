//! `[[access]]` tables: the rules that say who may do what. Their meaning is in `auth::policy`.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Problem, shorten};
use super::file::Lines;
use super::suggest::nearest;
use crate::auth::{Action, Actions, Rule, Subject};
use crate::oci::Glob;

/// The name of the tables.
pub(super) const NAME: &str = "access";
/// The most rules: each is looked at for each request.
const RULES_MAX: usize = 1000;
/// The most entries of one list in a rule.
const ENTRIES_MAX: usize = 100;

const KEYS: [&str; 3] = ["who", "repositories", "actions"];

/// What is said in the commented file about these tables.
pub(super) const EXAMPLE: &str = "\
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
    let DeValue::Array(tables) = value.get_ref() else {
        let why = "is a list of tables; write [[access]] and the rule's keys below";
        let origin = lines.origin(value.span().start);
        problems.push(Problem::of_key(NAME.to_owned(), origin, why));
        return Vec::new();
    };
    if tables.len() > RULES_MAX {
        let why = format!("has {} rules, the most is {RULES_MAX}", tables.len());
        let origin = lines.origin(value.span().start);
        problems.push(Problem::of_key(NAME.to_owned(), origin, why));
        return Vec::new();
    }
    let read = |table: &Spanned<DeValue<'_>>| {
        let start = table.span().start;
        if let DeValue::Table(keys) = table.get_ref() {
            return read_rule(keys, start, lines, problems);
        }
        let why = "must be a table; write [[access]] and the rule's keys below";
        let problem = Problem::of_key(NAME.to_owned(), lines.origin(start), why);
        problems.push(problem);
        None
    };
    tables.iter().filter_map(read).collect()
}

fn read_rule(
    table: &DeTable<'_>,
    start: usize,
    lines: &Lines<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Rule> {
    let before = problems.len();
    for key in table.keys() {
        if !KEYS.contains(&key.get_ref().as_ref()) {
            problems.push(unknown(key, lines));
        }
    }
    let mut reader = Reader {
        table,
        start,
        lines,
        problems,
    };
    let who = reader.list("who", Subject::parse);
    let repositories = reader.list("repositories", |text| {
        Glob::parse(text).map_err(|error| format!("{text:?} {error}"))
    });
    let actions = reader.list("actions", |text| match text {
        "*" => Ok(Actions::ALL),
        _ => text
            .parse::<Action>()
            .map(Actions::of)
            .map_err(|error| format!("{text:?} is none: {error}")),
    });
    (problems.len() == before).then(|| Rule {
        who,
        repositories,
        actions: actions.into_iter().fold(Actions::NONE, Actions::union),
        origin: lines.origin(start).to_string(),
    })
}

fn unknown(key: &Spanned<Cow<'_, str>>, lines: &Lines<'_>) -> Problem {
    let name = key.get_ref();
    let why = match nearest(name, KEYS.into_iter().map(str::to_owned)) {
        Some(near) => format!("no such key; did you mean {near}?"),
        None => format!("no such key; a rule has {}", KEYS.join(", ")),
    };
    let path = format!("{NAME}.{}", shorten(name));
    Problem::of_key(path, lines.origin(key.span().start), why)
}

/// Reads the keys of one rule.
struct Reader<'a> {
    table: &'a DeTable<'a>,
    start: usize,
    lines: &'a Lines<'a>,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    /// A list of texts, or one text; each of them parsed.
    fn list<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let found = self.table.iter().find(|(key, _)| key.get_ref() == name);
        let Some((_, value)) = found else {
            return self.problem(name, self.start, "is missing");
        };
        let start = value.span().start;
        let texts: Option<Vec<&str>> = match value.get_ref() {
            DeValue::String(text) => Some(vec![text]),
            DeValue::Array(items) => items.iter().map(|item| item.get_ref().as_str()).collect(),
            _ => None,
        };
        match texts {
            None => self.problem(name, start, "must be a list of texts"),
            Some(texts) if texts.is_empty() => {
                self.problem(name, start, "must hold at least one entry")
            }
            Some(texts) if texts.len() > ENTRIES_MAX => {
                let why = format!("must not hold more than {ENTRIES_MAX} entries");
                self.problem(name, start, &why)
            }
            Some(texts) => match texts.into_iter().map(parse).collect() {
                Ok(values) => values,
                Err(why) => self.problem(name, start, &why),
            },
        }
    }

    fn problem<T>(&mut self, name: &str, at: usize, why: &str) -> Vec<T> {
        let origin = self.lines.origin(at);
        let problem = Problem::of_key(format!("{NAME}.{name}"), origin, why);
        self.problems.push(problem);
        Vec::new()
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
