//! Hashes of passwords: bcrypt, which is what htpasswd files hold too.

use std::fmt;
use std::io;
use std::str::FromStr;

use super::super::secret::{is_machine_secret, random};

/// The cost of the hashes made here: 2^10 rounds, some 60 ms on a server, 300 ms on a small board.
pub const COST: u32 = 10;
/// The highest cost that is verified: beyond it, one login would keep a thread for seconds.
pub const COST_MAX: u32 = 16;
/// The shortest password of an account, in characters.
pub const CHARACTERS_MIN: usize = 8;
/// The longest password, in bytes: bcrypt does not look at what follows.
pub const BYTES_MAX: usize = 72;

/// Why a password cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordError {
    /// It has too few characters.
    Short(usize),
    /// It has too many bytes.
    Long(usize),
    /// It has a character that ends it for many programs.
    Nul,
    /// It would be taken for a token.
    LikeToken,
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(characters) => write!(
                f,
                "the password has {characters} characters, fewer than {CHARACTERS_MIN}; choose a \
                 longer one"
            ),
            Self::Long(bytes) => write!(
                f,
                "the password has {bytes} bytes, more than the {BYTES_MAX} that bcrypt looks at; \
                 choose a shorter one"
            ),
            Self::Nul => f.write_str(
                "the password has a NUL character, which many programs cannot send; choose one \
                 without",
            ),
            Self::LikeToken => f.write_str(
                "the password looks like the secret of a token and would be taken for one; choose \
                 another",
            ),
        }
    }
}

impl std::error::Error for PasswordError {}

/// Whether an account can have this password.
///
/// # Errors
/// It is too short or too long, or has a character that it must not have.
pub fn check(password: &str) -> Result<(), PasswordError> {
    let characters = password.chars().count();
    if password.contains('\0') {
        Err(PasswordError::Nul)
    } else if characters < CHARACTERS_MIN {
        Err(PasswordError::Short(characters))
    } else if password.len() > BYTES_MAX {
        Err(PasswordError::Long(password.len()))
    } else if is_machine_secret(password) {
        Err(PasswordError::LikeToken)
    } else {
        Ok(())
    }
}

/// A bcrypt hash as it is written: `$2b$10$…`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    text: String,
    cost: u32,
}

/// Why a text is no hash that can be verified here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashError {
    /// It is no bcrypt hash.
    Malformed,
    /// Verifying it would take too long.
    Cost(u32),
}

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("is no sound bcrypt hash"),
            Self::Cost(cost) => write!(f, "has cost {cost}, more than {COST_MAX}"),
        }
    }
}

impl PasswordHash {
    /// Hashes a password that [`check`] has found good, with a fresh salt.
    ///
    /// # Errors
    /// The system gives no random bytes, or the cost is none.
    pub fn of(password: &str, cost: u32) -> io::Result<Self> {
        let text = bcrypt::hash_with_salt(password, cost, random()?)
            .map_err(|error| io::Error::other(error.to_string()))?
            .to_string();
        Ok(Self { text, cost })
    }

    /// Reads a hash.
    ///
    /// # Errors
    /// [`HashError`].
    pub fn parse(text: &str) -> Result<Self, HashError> {
        // What `$2x$` marks was made by a program with a mistake, and is verified by none.
        let is_ours = ["$2a$", "$2b$", "$2y$"].iter().any(|version| {
            let rest = text.strip_prefix(version).unwrap_or_default();
            rest.bytes().take(2).all(|digit| digit.is_ascii_digit()) && !rest.is_empty()
        });
        let parts = bcrypt::HashParts::from_str(text).map_err(|_| HashError::Malformed)?;
        match parts.get_cost() {
            _ if !is_ours => Err(HashError::Malformed),
            0..=3 => Err(HashError::Malformed),
            cost @ 4..=COST_MAX => Ok(Self {
                text: text.to_owned(),
                cost,
            }),
            cost => Err(HashError::Cost(cost)),
        }
    }

    /// A hash that no password fits, and that takes as long to find that out as any of its cost.
    pub fn dummy(cost: u32) -> Self {
        let cost = cost.clamp(4, COST_MAX);
        let text = format!("$2b${cost:02}${}", ".".repeat(53));
        Self { text, cost }
    }

    /// Whether `password` is the one. Takes its time: 2^cost rounds.
    pub fn fits(&self, password: &[u8]) -> bool {
        // A password with NUL cannot have been meant; programs in C stop reading there.
        let verified = bcrypt::verify(password, &self.text).unwrap_or(false);
        verified && !password.contains(&0)
    }

    /// The hash as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The power of two of its rounds.
    pub const fn cost(&self) -> u32 {
        self.cost
    }
}

/// A hash is no secret like a password, and yet nothing for logs.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordHash(cost {})", self.cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_fit_their_password_alone() {
        let hash = PasswordHash::of("correct horse", 4).unwrap();
        assert!(hash.fits(b"correct horse") && !hash.fits(b"correct hors") && !hash.fits(b""));
        assert!(!hash.fits(b"correct horse\0"));
        let again = PasswordHash::of("correct horse", 4).unwrap();
        assert_ne!(hash, again, "each has its salt");
        assert_eq!(PasswordHash::parse(hash.as_str()), Ok(hash));
    }

    /// Made by other programs: Apache's `htpasswd -B`, and the vectors of jBCrypt and of PHP.
    #[test]
    fn hashes_of_other_programs_are_verified() {
        for (password, text) in [
            (
                "abc",
                "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
            ),
            (
                "rasmuslerdorf",
                "$2a$07$usesomesillystringfore2uDLvp1Ii2e./U9C8sBjqp8I90dH6hi",
            ),
        ] {
            let hash = PasswordHash::parse(text).unwrap();
            assert!(hash.fits(password.as_bytes()), "{text}");
            for version in ["$2b$", "$2y$"] {
                let same = text.replace("$2a$", version);
                let hash = PasswordHash::parse(&same).unwrap();
                assert!(hash.fits(password.as_bytes()), "{same}");
            }
        }
    }

    #[test]
    fn what_is_no_hash_is_said() {
        let sound = PasswordHash::of("x", 4).unwrap().as_str().to_owned();
        for text in [
            "",
            "$2b$",
            "plain",
            "$apr1$x$y",
            &sound[..59],
            &format!("{sound}x"),
            &sound.replace("$2b$", "$2x$"),
            &sound.replace("$04$", "$03$"),
            &sound.replace("$04$", "$xx$"),
            &sound.replace("$04$", "$+4$"),
            &"é".repeat(30),
        ] {
            assert_eq!(
                PasswordHash::parse(text),
                Err(HashError::Malformed),
                "{text}"
            );
        }
        let costly = sound.replace("$04$", "$17$");
        assert_eq!(PasswordHash::parse(&costly), Err(HashError::Cost(17)));
    }

    #[test]
    fn the_dummy_is_a_hash_and_fits_nothing() {
        for cost in [4, 5] {
            let dummy = PasswordHash::dummy(cost);
            assert_eq!(PasswordHash::parse(dummy.as_str()), Ok(dummy.clone()));
            assert!(!dummy.fits(b"") && !dummy.fits(b"password"));
            assert_eq!(dummy.cost(), cost);
        }
    }

    #[test]
    fn passwords_that_cannot_be_set_are_told_why() {
        let long = "é".repeat(37);
        for (password, error) in [
            ("short", PasswordError::Short(5)),
            ("éééééé7", PasswordError::Short(7)),
            ("", PasswordError::Short(0)),
            (&long, PasswordError::Long(74)),
            ("long enough\0", PasswordError::Nul),
            (
                &format!("coracle_{}", "a".repeat(43)),
                PasswordError::LikeToken,
            ),
        ] {
            assert_eq!(check(password), Err(error));
            let said = error.to_string();
            assert!(password.len() < 5 || !said.contains(password), "{said}");
        }
        assert_eq!(check("éééééééé"), Ok(()));
        assert_eq!(check(&"x".repeat(72)), Ok(()));
    }
}
