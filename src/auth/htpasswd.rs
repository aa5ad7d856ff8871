//! Users of an htpasswd file, as Apache's `htpasswd -B` writes it: a name, a colon and a bcrypt
//! hash a line.

use std::collections::HashMap;
use std::fmt;

use super::password::hash::{HashError, PasswordHash};

mod watch;

pub use watch::{FileError, Htpasswd};

/// The largest file that is read, in bytes: some 50,000 users.
pub const BYTES_MAX: u64 = 4 << 20;

/// What one file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    hashes: HashMap<String, PasswordHash>,
    /// The costs of its hashes, sorted, each once.
    costs: Vec<u32>,
    /// Lines that let nobody in.
    pub ignored: Vec<Ignored>,
}

/// A line that lets nobody in, although somebody may believe that it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Counted from 1.
    pub line: usize,
    /// The user's name.
    pub user: String,
    /// Why.
    pub why: String,
}

/// A line that is none, so that the whole file is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.what)
    }
}

impl Users {
    /// Reads the text of a file. `#` lines and blank ones say nothing; of several lines with one
    /// name the last counts.
    ///
    /// # Errors
    /// A line has no colon, no name, or is no text.
    pub fn parse(text: &[u8]) -> Result<Self, LineError> {
        let mut users = Self::default();
        for (bytes, line) in text.split(|byte| *byte == b'\n').zip(1..) {
            let wrong = |what| LineError { line, what };
            let text = std::str::from_utf8(bytes).map_err(|_| wrong("is not UTF-8"))?;
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let (user, hash) = text
                .split_once(':')
                .ok_or_else(|| wrong("has no colon between a name and a hash"))?;
            if user.is_empty() {
                return Err(wrong("has no name before its colon"));
            }
            users.hashes.remove(user);
            match accept(user, hash) {
                Ok(hash) => {
                    users.hashes.insert(user.to_owned(), hash);
                }
                Err(why) => users.ignored.push(Ignored {
                    line,
                    user: user.to_owned(),
                    why,
                }),
            }
        }
        users.costs = users.hashes.values().map(PasswordHash::cost).collect();
        users.costs.sort_unstable();
        users.costs.dedup();
        Ok(users)
    }

    /// The hash of this user's password.
    pub fn get(&self, user: &str) -> Option<&PasswordHash> {
        self.hashes.get(user)
    }

    /// The costs of its hashes, sorted, each once.
    pub fn costs(&self) -> &[u32] {
        &self.costs
    }

    /// How many users can log in by it.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether nobody can.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

fn accept(user: &str, hash: &str) -> Result<PasswordHash, String> {
    if user.contains('/') {
        // `{user}` in a pattern would reach into what belongs to somebody else.
        return Err("a name with '/' is not let in".to_owned());
    }
    PasswordHash::parse(hash).map_err(|error| match error {
        HashError::Malformed => format!(
            "{} is not accepted, only bcrypt is; set the password again with `htpasswd -B`",
            kind(hash)
        ),
        HashError::Cost(_) => format!("its hash {error}, and would take too long to verify"),
    })
}

/// What kind of hash a text looks like; nothing of the text itself.
fn kind(hash: &str) -> &'static str {
    const KINDS: [(&str, &str); 9] = [
        ("$apr1$", "an MD5 hash ($apr1$)"),
        ("$1$", "an MD5 hash ($1$)"),
        ("{SHA}", "a SHA-1 hash ({SHA})"),
        ("{SSHA}", "a SHA-1 hash ({SSHA})"),
        ("$5$", "a SHA-256 crypt hash ($5$)"),
        ("$6$", "a SHA-512 crypt hash ($6$)"),
        ("$y$", "a yescrypt hash ($y$)"),
        ("$argon2", "an Argon2 hash"),
        ("$2", "a bcrypt hash that is not sound"),
    ];
    let known = KINDS.iter().find(|(prefix, _)| hash.starts_with(prefix));
    known.map_or("plain text or an old crypt hash", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuKlIPpYWBwPVcvyuhPrkHn8sGpiZoV2W";

    fn parse(text: &str) -> Result<Users, LineError> {
        Users::parse(text.as_bytes())
    }

    #[test]
    fn users_are_read_and_comments_are_not() {
        let text = format!("# users\n\nada:{HASH}\r\n  bob:{HASH}  \n#carol:{HASH}\n");
        let users = parse(&text).unwrap();
        assert_eq!(users.len(), 2);
        assert_eq!(users.get("ada").unwrap().as_str(), HASH);
        assert!(users.get("bob").is_some() && users.get("carol").is_none());
        assert_eq!((users.costs(), &users.ignored), (&[5][..], &Vec::new()));
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn the_last_of_several_lines_counts_even_when_it_lets_nobody_in() {
        let other = HASH.replace("$05$", "$06$");
        let users = parse(&format!("ada:{HASH}\nada:{other}\n")).unwrap();
        assert_eq!(users.get("ada").unwrap().as_str(), other);
        let users = parse(&format!("ada:{HASH}\nada:plain\n")).unwrap();
        assert!(users.get("ada").is_none());
    }

    #[test]
    fn other_kinds_are_told_by_name_and_line_and_never_shown() {
        for (hash, kind) in [
            ("$apr1$salt$secret", "MD5"),
            ("{SHA}secret", "SHA-1"),
            ("$6$salt$secret", "SHA-512"),
            ("secret", "plain text"),
            ("", "plain text"),
            ("$2y$05$secret", "bcrypt hash that is not sound"),
            ("$2x$05$secret", "bcrypt hash that is not sound"),
            (&HASH.replace("$05$", "$20$"), "cost 20"),
        ] {
            let users = parse(&format!("# one\nada:{hash}\nbob:{HASH}\n")).unwrap();
            assert_eq!(users.len(), 1, "{hash}");
            let [ignored] = &users.ignored[..] else {
                panic!("{users:?}")
            };
            assert_eq!((ignored.line, ignored.user.as_str()), (2, "ada"));
            assert!(ignored.why.contains(kind), "{}", ignored.why);
            assert!(!ignored.why.contains("secret"), "{}", ignored.why);
        }
        let slash = parse(&format!("ada/x:{HASH}\n")).unwrap();
        assert!(slash.is_empty() && slash.ignored.len() == 1);
    }

    #[test]
    fn a_line_that_is_none_is_told_by_its_number() {
        for (text, line) in [
            (&b"ada"[..], 1),
            (b"# x\n\nada secret\n", 3),
            (b":x\n", 1),
            (b"#\n\xff:x\n", 2),
        ] {
            let error = Users::parse(text).unwrap_err();
            assert_eq!(error.line, line);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
