//! Logins: who is let in, who is not, what is remembered, and what failures cost.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::*;
use crate::auth::accounts::{TokenView, Turned};
use crate::auth::secret::new_machine_secret;
use crate::auth::{Action, Resource, User};
use crate::clock::{MADE_AFTER, ManualClock};
use crate::store::catalog::{self, Location};

const ADA: &str = "correct horse";
const BOB: &str = "battery staple";

struct Bench {
    logins: Logins,
    clock: Arc<ManualClock>,
    start: Instant,
}

fn options() -> Options {
    Options {
        cost: 4,
        ..Options::default()
    }
}

fn open(options: Options) -> Result<Bench, OpenError> {
    let catalog = catalog::Options::new(Location::Memory);
    let catalog = Catalog::open(catalog, Box::new(|_| Ok(()))).unwrap();
    let clock = Arc::new(ManualClock::new(SystemTime::UNIX_EPOCH + MADE_AFTER));
    let logins = Logins::open(
        Arc::new(catalog),
        Arc::<ManualClock>::clone(&clock),
        options,
    )?;
    Ok(Bench {
        logins,
        clock,
        start: Instant::now(),
    })
}

/// With ada, who is in dev, and bob.
fn bench() -> Bench {
    let bench = open(options()).unwrap();
    bench.add("ada", ADA, &["dev"]);
    bench.add("bob", BOB, &[]);
    bench
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn say(result: &Result<Identity, LoginRefusal>) -> String {
    match result {
        Ok(identity) => identity.who.to_string(),
        Err(LoginRefusal::Wrong) => "wrong".to_owned(),
        Err(LoginRefusal::Throttled { .. }) => "throttled".to_owned(),
        Err(LoginRefusal::Busy { .. }) => "busy".to_owned(),
        Err(LoginRefusal::Store(error)) => error.to_string(),
    }
}

impl Bench {
    fn run(&self, command: Command) -> Reply {
        self.logins.administer(command).unwrap()
    }

    fn add(&self, name: &str, password: &str, groups: &[&str]) {
        self.run(Command::UserAdd {
            name: name.to_owned(),
            password: Some(Secret::new(password)),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        });
    }

    fn disable(&self, name: &str) {
        let name = name.to_owned();
        self.run(Command::UserDisable { name });
    }

    fn passwd(&self, name: &str, password: &str) {
        self.run(Command::UserPassword {
            name: name.to_owned(),
            password: Secret::new(password),
        });
    }

    /// What came of a login from nowhere in particular, right at the start.
    fn login(&self, user: &str, password: &str) -> String {
        say(&self.logins.verify_at(user, password, None, self.start))
    }

    /// What came of a login from an address, some seconds after the start.
    fn login_from(&self, client: &str, after: u64, user: &str, password: &str) -> String {
        let now = self.start + Duration::from_secs(after);
        say(&self
            .logins
            .verify_at(user, password, Some(address(client)), now))
    }

    fn token(&self, name: &str, owner: Option<&str>, seconds: Option<u64>) -> (Secret, TokenView) {
        let reply = self.run(Command::TokenCreate {
            name: name.to_owned(),
            owner: owner.map(str::to_owned),
            repositories: vec!["team/**".to_owned(), "home/{user}/*".to_owned()],
            actions: vec!["push".to_owned(), "pull".to_owned()],
            expires_seconds: seconds,
        });
        match reply {
            Reply::Token {
                token,
                secret: Some(secret),
                ..
            } => (secret, token),
            other => panic!("{other:?}"),
        }
    }

    fn version(&self, who: &Principal) -> Option<u64> {
        self.logins
            .resolve(who)
            .unwrap()
            .map(|(_, version)| version)
    }
}

fn user(name: &str) -> Principal {
    Principal::User(name.to_owned())
}

#[test]
fn a_password_lets_its_user_in_and_nobody_else() {
    let bench = bench();
    let identity = bench.logins.verify("ada", ADA, None).unwrap();
    let expected = User {
        name: "ada".to_owned(),
        groups: vec!["dev".to_owned()],
    };
    assert_eq!(identity, Identity::user(expected));
    for (user, password, said) in [
        ("ada", ADA, "user:ada"),
        ("bob", BOB, "user:bob"),
        ("ada", BOB, "wrong"),
        ("ada", "", "wrong"),
        ("ada", "correct horse\0", "wrong"),
        ("ada", "Correct horse", "wrong"),
        ("Ada", ADA, "wrong"),
        ("", "", "wrong"),
        ("nobody", ADA, "wrong"),
        ("ada\0", ADA, "wrong"),
        (&"x".repeat(100_000), &"y".repeat(100_000), "wrong"),
    ] {
        assert_eq!(bench.login(user, password), said, "{user:.20}");
    }
}

#[test]
fn what_changes_in_an_account_holds_for_the_next_login() {
    let bench = bench();
    assert_eq!(bench.login("ada", ADA), "user:ada");
    bench.run(Command::UserGroups {
        name: "ada".to_owned(),
        groups: vec!["ops".to_owned()],
    });
    let identity = bench.logins.verify_at("ada", ADA, None, bench.start);
    assert_eq!(identity.unwrap().who.user().unwrap().groups, ["ops"]);
    bench.passwd("ada", "another one");
    assert_eq!(bench.login("ada", ADA), "wrong", "though it was remembered");
    assert_eq!(bench.login("ada", "another one"), "user:ada");
    bench.disable("ada");
    assert_eq!(bench.login("ada", "another one"), "wrong");
    bench.run(Command::UserEnable {
        name: "ada".to_owned(),
    });
    assert_eq!(bench.login("ada", "another one"), "user:ada");
    bench.run(Command::UserRemove {
        name: "ada".to_owned(),
    });
    assert_eq!(bench.login("ada", "another one"), "wrong");
    bench.add("ada", "yet another", &[]);
    assert_eq!(bench.login("ada", "another one"), "wrong");
}

#[test]
fn a_user_without_a_password_is_not_let_in_by_one() {
    let bench = bench();
    bench.run(Command::UserAdd {
        name: "robot".to_owned(),
        password: None,
        groups: Vec::new(),
    });
    for password in ["", "robot", "....."] {
        assert_eq!(bench.login("robot", password), "wrong");
    }
    assert!(bench.version(&user("robot")).is_some());
}

#[test]
fn failures_slow_a_client_down_and_nobody_who_was_let_in_before() {
    let bench = bench();
    // One address for all, as behind a proxy.
    let proxy = "192.0.2.1";
    assert_eq!(bench.login_from(proxy, 0, "ada", ADA), "user:ada");
    let mut said: Vec<String> = (0..30)
        .map(|at| bench.login_from(proxy, 0, "bob", &format!("guess {at}")))
        .collect();
    assert_eq!(said[0], "wrong");
    said.dedup();
    assert_eq!(said, ["wrong", "throttled"]);
    // Not by the right password either, which might be the last guess.
    assert_eq!(bench.login_from(proxy, 0, "bob", BOB), "throttled");
    // Who was verified before is let in, from the memory of a minute and after it.
    for after in [0, 59, 61, 200, 80_000] {
        assert_eq!(bench.login_from(proxy, after, "ada", ADA), "user:ada");
    }
    assert_eq!(bench.login_from(proxy, 0, "ada", "guess"), "throttled");
    assert_eq!(bench.login_from("192.0.2.2", 0, "bob", BOB), "user:bob");
    assert_eq!(
        bench.login_from(proxy, 1, "bob", BOB),
        "user:bob",
        "known now"
    );
}

#[test]
fn guesses_from_everywhere_do_not_lock_a_user_out_for_long() {
    let bench = bench();
    for host in 0..60 {
        bench.login_from(&format!("192.0.2.{host}"), 0, "ada", "guess");
    }
    let fresh = "198.51.100.1";
    assert_eq!(bench.login_from(fresh, 0, "ada", ADA), "throttled");
    assert_eq!(bench.login_from(fresh, 0, "bob", BOB), "user:bob");
    assert_eq!(bench.login_from(fresh, 16, "ada", ADA), "user:ada");
    match bench
        .logins
        .verify_at("ada", "x", Some(address("192.0.2.1")), bench.start)
    {
        Err(LoginRefusal::Throttled { retry_after }) => {
            assert!((1..=15).contains(&retry_after.as_secs()));
            assert_eq!(retry_after.subsec_nanos(), 0);
        }
        other => panic!("{}", say(&other)),
    }
}

#[test]
fn a_token_is_good_as_a_password_and_alone_and_only_as_far_as_it_says() {
    let bench = bench();
    let (secret, view) = bench.token("ci", Some("ada"), None);
    assert_eq!(view.actions, ["pull", "push"]);
    let secret = secret.reveal();
    for name in ["ci", "ada", "anything", ""] {
        assert_eq!(bench.login(name, secret), "token:ci");
    }
    let identity = bench.logins.machine_token(secret).unwrap().unwrap();
    assert_eq!(identity.who.user().unwrap().groups, ["dev"]);
    let allows = |name: &str, action| {
        let resource = Resource::Repository(name.parse().unwrap());
        identity.is_within_limit(&resource, action, false)
    };
    assert!(allows("team/a/b", Action::Push) && allows("home/ada/x", Action::Pull));
    assert!(!allows("team/a", Action::Delete) && !allows("home/bob/x", Action::Pull));
    let other = new_machine_secret().unwrap();
    for wrong in [other.reveal(), "", "coracle_", ADA, &secret[..50]] {
        assert_eq!(bench.logins.machine_token(wrong).unwrap(), None);
    }
    assert_eq!(bench.login("ada", other.reveal()), "wrong");
}

#[test]
fn a_token_ends_with_its_time_with_its_owner_and_when_it_is_revoked() {
    let bench = bench();
    let (timed, _) = bench.token("timed", None, Some(3600));
    let (owned, _) = bench.token("owned", Some("ada"), None);
    let (plain, _) = bench.token("plain", None, None);
    let good = |secret: &Secret| {
        bench
            .logins
            .machine_token(secret.reveal())
            .unwrap()
            .is_some()
    };
    assert!(good(&timed) && good(&owned) && good(&plain));
    bench.clock.advance(Duration::from_millis(3_599_999));
    assert!(good(&timed));
    bench.clock.advance(Duration::from_millis(1));
    assert!(!good(&timed) && good(&plain));
    bench.disable("ada");
    assert!(!good(&owned));
    bench.run(Command::UserEnable {
        name: "ada".to_owned(),
    });
    assert!(good(&owned));
    bench.run(Command::UserRemove {
        name: "ada".to_owned(),
    });
    assert!(!good(&owned) && good(&plain));
    bench.run(Command::TokenRevoke {
        name: "plain".to_owned(),
    });
    assert!(!good(&plain));
    for name in ["timed", "owned", "plain"] {
        assert_eq!(bench.version(&Principal::Token(name.to_owned())), None);
    }
}

#[test]
fn a_credential_version_never_comes_back() {
    let bench = bench();
    let mut seen = vec![bench.version(&user("ada")).unwrap()];
    let mut changed = |what: &str| {
        let version = bench.version(&user("ada")).unwrap();
        assert!(!seen.contains(&version), "{what}");
        seen.push(version);
    };
    bench.passwd("ada", "another one");
    changed("a new password");
    bench.disable("ada");
    assert_eq!(bench.version(&user("ada")), None);
    bench.run(Command::UserEnable {
        name: "ada".to_owned(),
    });
    changed("disabled and enabled");
    bench.run(Command::UserRemove {
        name: "ada".to_owned(),
    });
    assert_eq!(bench.version(&user("ada")), None);
    bench.add("ada", ADA, &[]);
    changed("removed and made again");
    let version = bench.version(&user("ada"));
    bench.run(Command::UserGroups {
        name: "ada".to_owned(),
        groups: vec!["ops".to_owned()],
    });
    assert_eq!(bench.version(&user("ada")), version, "groups are looked up");
    let ci = Principal::Token("ci".to_owned());
    bench.token("ci", None, None);
    let first = bench.version(&ci).unwrap();
    bench.run(Command::TokenRevoke {
        name: "ci".to_owned(),
    });
    bench.token("ci", None, None);
    assert_ne!(bench.version(&ci).unwrap(), first);
    assert_eq!(bench.version(&user("nobody")), None);
}

#[test]
fn every_change_is_told_and_the_first_account_closes_the_registry() {
    let bench = open(options()).unwrap();
    assert!(!bench.logins.has_accounts());
    let mut generation = bench.logins.generation();
    assert_eq!(bench.logins.generation(), generation);
    let mut told = |what: &str| {
        let now = bench.logins.generation();
        assert!(now > generation, "{what}");
        generation = now;
    };
    let turned = |reply| match reply {
        Reply::User { turned, .. } | Reply::Token { turned, .. } => turned,
        _ => panic!("a list"),
    };
    let add = |name: &str| Command::UserAdd {
        name: name.to_owned(),
        password: None,
        groups: Vec::new(),
    };
    assert_eq!(turned(bench.run(add("ada"))), Some(Turned::Closed));
    told("a user");
    assert_eq!(turned(bench.run(add("bob"))), None);
    told("another one");
    assert!(bench.logins.has_accounts());
    assert!(bench.logins.administer(add("bob")).is_err());
    for (name, now) in [("ada", None), ("bob", Some(Turned::Open))] {
        let name = name.to_owned();
        assert_eq!(turned(bench.run(Command::UserRemove { name })), now);
        told("one less");
    }
    assert!(!bench.logins.has_accounts());
    bench.token("ci", None, None);
    told("a token");
    assert!(bench.logins.has_accounts());
}

fn write(path: &Path, lines: &[(&str, &str)]) {
    let lines = lines.iter().map(|(name, hash)| format!("{name}:{hash}\n"));
    std::fs::write(path, lines.collect::<String>()).unwrap();
}

fn hash(password: &str, cost: u32) -> String {
    PasswordHash::of(password, cost)
        .unwrap()
        .as_str()
        .to_owned()
}

#[test]
fn users_of_an_htpasswd_file_are_let_in_as_the_file_says_at_the_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    write(
        &path,
        &[
            ("carol", &hash("swordfish", 5)),
            ("ada", &hash("from the file", 4)),
        ],
    );
    let options = Options {
        htpasswd: Some(path.clone()),
        ..options()
    };
    let bench = open(options).unwrap();
    assert!(bench.logins.has_accounts());
    assert_eq!(bench.login("carol", "swordfish"), "user:carol");
    assert_eq!(bench.login("ada", "from the file"), "user:ada");
    // The catalog's users are the catalog's alone.
    bench.add("ada", ADA, &[]);
    assert_eq!(bench.login("ada", "from the file"), "wrong");
    assert_eq!(bench.login("ada", ADA), "user:ada");
    bench.disable("ada");
    assert_eq!(bench.login("ada", "from the file"), "wrong");
    let (version, generation) = (bench.version(&user("carol")), bench.logins.generation());
    assert!(version.is_some_and(|version| version >> 52 == 1));
    write(&path, &[("carol", &hash("new", 5))]);
    bench.logins.reload();
    assert!(bench.logins.generation() > generation);
    assert_ne!(bench.version(&user("carol")), version);
    assert_eq!(
        bench.login("carol", "swordfish"),
        "wrong",
        "though it was remembered"
    );
    assert_eq!(bench.login("carol", "new"), "user:carol");
    std::fs::write(&path, "carol\n").unwrap();
    bench.logins.reload();
    let problem = bench.logins.htpasswd_problem().unwrap();
    assert!(
        problem.ends_with("users:1: has no colon between a name and a hash"),
        "{problem}"
    );
    assert_eq!(bench.login("carol", "new"), "user:carol");
    write(&path, &[]);
    bench.logins.reload();
    assert_eq!(bench.logins.htpasswd_problem(), None);
    assert_eq!(bench.login("carol", "new"), "wrong");
    assert_eq!(bench.version(&user("carol")), None);
}

#[test]
fn an_edit_is_seen_by_the_next_login_after_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    write(&path, &[("carol", &hash("swordfish", 4))]);
    let bench = open(Options {
        htpasswd: Some(path.clone()),
        ..options()
    })
    .unwrap();
    write(
        &path,
        &[("carol", &hash("new", 4)), ("dave", &hash("x", 4))],
    );
    assert_eq!(
        bench.login_from("192.0.2.1", 2, "carol", "new"),
        "user:carol"
    );
    assert_eq!(
        bench.login_from("192.0.2.1", 2, "carol", "swordfish"),
        "wrong"
    );
}

#[test]
fn a_file_that_cannot_be_used_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    let error = || {
        let options = Options {
            htpasswd: Some(path.clone()),
            ..options()
        };
        open(options).err().unwrap().to_string()
    };
    assert!(error().contains("users: No such file"), "{}", error());
    std::fs::write(&path, "# x\nada\n").unwrap();
    assert!(error().contains("users:2: has no colon"), "{}", error());
}

#[test]
fn a_name_that_does_not_exist_costs_what_one_that_does_costs() {
    let bench = bench();
    bench.disable("bob");
    for name in ["ada", "bob", "nobody", "", "x/y"] {
        let cost = bench.logins.candidate(name).unwrap().hash.cost();
        assert_eq!(cost, 4, "{name}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    write(&path, &[("a", &hash("x", 5)), ("b", &hash("x", 6))]);
    let bench = open(Options {
        htpasswd: Some(path),
        ..options()
    })
    .unwrap();
    let cost = |name: &str| bench.logins.candidate(name).unwrap().hash.cost();
    let costs: Vec<u32> = (0..64).map(|at| cost(&format!("nobody-{at}"))).collect();
    let again: Vec<u32> = (0..64).map(|at| cost(&format!("nobody-{at}"))).collect();
    assert_eq!(costs, again, "always the same");
    assert!(costs.contains(&5) && costs.contains(&6) && costs.iter().all(|c| [5, 6].contains(c)));
}

/// A flood from many addresses, and one login that is right: it is let in, and nobody waits
/// without a bound.
#[test]
fn a_right_login_is_served_in_a_flood_of_wrong_ones() {
    let bench = Arc::new(bench());
    let over = Arc::new(AtomicBool::new(false));
    let counts: Arc<[AtomicUsize; 3]> = Arc::default();
    let floods: Vec<_> = (0..40)
        .map(|from| {
            let (bench, over) = (Arc::clone(&bench), Arc::clone(&over));
            let counts = Arc::clone(&counts);
            thread::spawn(move || {
                let mut attempt = 0;
                while !over.load(Ordering::SeqCst) {
                    attempt += 1;
                    // Ten addresses of four threads each.
                    let client = Some(address(&format!("192.0.2.{}", from % 10)));
                    let guess = format!("guess {attempt} of {from}");
                    let said = bench.logins.verify("bob", &guess, client);
                    let at = match say(&said).as_str() {
                        "wrong" => 0,
                        "throttled" => 1,
                        "busy" => 2,
                        other => panic!("{other}"),
                    };
                    counts[at].fetch_add(1, Ordering::SeqCst);
                    thread::yield_now();
                }
            })
        })
        .collect();
    while counts[1].load(Ordering::SeqCst) + counts[2].load(Ordering::SeqCst) == 0 {
        thread::yield_now();
    }
    let quiet = Some(address("198.51.100.7"));
    let mut said = String::from("busy");
    while said == "busy" {
        said = say(&bench.logins.verify("ada", ADA, quiet));
    }
    over.store(true, Ordering::SeqCst);
    for flood in floods {
        flood.join().unwrap();
    }
    assert_eq!(said, "user:ada");
    // Each address has its burst, and the name its own; far more attempts than that were made.
    assert!(counts[0].load(Ordering::SeqCst) < 200, "{counts:?}");
    assert_eq!(bench.logins.pool.waiting(), 0);
}

#[test]
fn logins_keep_at_most_half_of_the_threads_waiting() {
    for (workers, waiting, per_client) in [(1, 1, 1), (4, 1, 1), (16, 4, 2), (128, 32, 8)] {
        let pool = options().for_workers(workers).pool;
        assert_eq!(
            (pool.waiting_max, pool.waiting_per_client_max),
            (waiting, per_client)
        );
        assert!(pool.waiting_known_max <= waiting);
        assert!(pool.waiting_max + pool.waiting_known_max <= (workers / 2).max(2));
    }
}
