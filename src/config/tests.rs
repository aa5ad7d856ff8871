//! Every key from every source, precedence, and what is said about mistakes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::LevelFilter;
use proptest::prelude::*;

use super::*;
use crate::http::{Listen, ListenAddress, Scheme};
use crate::store::catalog::Durability;

/// A value that is not the key's default, as an environment variable would hold it.
fn another_value(key: &Key) -> String {
    match key.kind {
        Kind::Switch => (key.default != "true").to_string(),
        Kind::Count(bounds)
        | Kind::Bytes(bounds)
        | Kind::AutoBytes(bounds)
        | Kind::Seconds(bounds) => {
            // Large enough for the rules between keys, whichever key is changed alone.
            let number = match key.name {
                "catalog_page_default" => 7,
                "request_line_bytes_max" => bounds.min,
                _ => bounds.max,
            };
            number.to_string()
        }
        Kind::Choice(names) => names
            .iter()
            .find(|name| **name != key.default)
            .unwrap()
            .to_string(),
        Kind::Path | Kind::OptionalPath => "/else/where".to_owned(),
        Kind::Text | Kind::OptionalText => "another text".to_owned(),
        Kind::Texts | Kind::Paths => "one, two".to_owned(),
        Kind::Addresses => "[::1]:7, http://[::1]:8, unix:/run/coracle".to_owned(),
        Kind::OwnAddress => "[::1]:9".to_owned(),
    }
}

/// Keys without which this one cannot stand.
fn companions(key: &Key) -> Vec<&'static Key> {
    let names: &[&str] = match (key.section, key.name) {
        // A token server needs all of these.
        ("token", _) => &["realm", "service", "issuer", "jwks"],
        ("tls", "certificate") => &["key"],
        ("tls", "key") => &["certificate"],
        ("tls", "client_ca") => &["certificate", "key"],
        ("tls", "client_auth") => &["certificate", "key", "client_ca"],
        _ => &[],
    };
    let is_one =
        |it: &&Key| it.section == key.section && it.name != key.name && names.contains(&it.name);
    KEYS.iter().filter(is_one).collect()
}

/// The same value in TOML.
fn in_toml(key: &Key, value: &str) -> String {
    match key.kind {
        Kind::Switch | Kind::Count(_) | Kind::Bytes(_) | Kind::AutoBytes(_) | Kind::Seconds(_) => {
            value.to_owned()
        }
        Kind::Choice(_)
        | Kind::Path
        | Kind::OptionalPath
        | Kind::Text
        | Kind::OptionalText
        | Kind::OwnAddress => format!("\"{value}\""),
        Kind::Addresses | Kind::Texts | Kind::Paths => {
            let texts: Vec<String> = value.split(", ").map(|a| format!("\"{a}\"")).collect();
            format!("[{}]", texts.join(", "))
        }
    }
}

fn sources(variables: &[(&str, &str)]) -> Sources {
    let environment = variables
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Sources {
        environment: environment.collect(),
        ..Sources::default()
    }
}

fn load(variables: &[(&str, &str)]) -> Result<Settings, String> {
    Settings::load(&sources(variables)).map_err(|error| error.to_string())
}

fn toml_error(text: &str) -> String {
    parse_toml(text).unwrap_err().to_string()
}

fn entry<'a>(effective: &'a Effective, key: &Key) -> (&'a Value, &'a Origin) {
    let path = key.path();
    let (_, value, origin) = effective
        .entries()
        .find(|(key, ..)| key.path() == path)
        .unwrap();
    (value, origin)
}

#[test]
fn the_defaults_are_those_of_a_working_registry() {
    let settings = Settings::default();
    assert_eq!(
        settings.server.listen,
        [Listen::from(ListenAddress::Tcp(
            ([127, 0, 0, 1], 5000).into()
        ))]
    );
    assert_eq!(settings.server.ready_file, None);
    assert_eq!(settings.storage.data, Path::new("./coracle-data"));
    assert_eq!(settings.storage.durability, Durability::Full);
    assert_eq!(settings.storage.memory_bytes_max, 1 << 30);
    assert_eq!(settings.uploads.expire_seconds, Duration::from_secs(86_400));
    assert_eq!(settings.manifests.bytes_max, 4 << 20);
    assert_eq!(settings.limits.blob_bytes_max, 0);
    assert_eq!(settings.log.level, LevelFilter::Info);
    assert!(settings.delete.enabled && settings.log.access && !settings.storage.memory);
}

#[test]
fn names_are_unique_and_follow_from_section_and_name() {
    let mut paths: Vec<String> = KEYS.iter().map(Key::path).collect();
    let mut variables: Vec<String> = KEYS.iter().map(Key::variable).collect();
    let mut flags: Vec<&str> = KEYS.iter().filter_map(|key| key.flag).collect();
    let counts = (paths.len(), variables.len(), flags.len());
    paths.sort();
    paths.dedup();
    variables.sort();
    variables.dedup();
    flags.sort_unstable();
    flags.dedup();
    assert_eq!((paths.len(), variables.len(), flags.len()), counts);
    for key in KEYS {
        assert!(key.doc.ends_with('.'), "{}", key.path());
        assert!(
            !key.doc.contains("  ") && !key.doc.contains('|'),
            "{}",
            key.path()
        );
        assert_ne!(key.variable(), CONFIG_VARIABLE);
    }
}

#[test]
fn counts_fit_a_small_host() {
    for key in KEYS {
        if let Kind::Count(bounds) = key.kind {
            assert!(u32::try_from(bounds.max).is_ok(), "{}", key.path());
        }
    }
}

#[test]
fn every_key_can_be_set_by_the_file_and_by_its_variable() {
    for key in KEYS {
        let text = another_value(key);
        let mut toml = format!(
            "[{}]\n{} = {}\n",
            key.section,
            key.name,
            in_toml(key, &text)
        );
        let mut variables = vec![(key.variable(), text)];
        for other in companions(key) {
            let text = another_value(other);
            toml = format!("{toml}{} = {}\n", other.name, in_toml(other, &text));
            variables.push((other.variable(), text));
        }
        let variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        let by_file = Effective::load(&Sources {
            file: Some(written(&toml).1),
            ..Sources::default()
        });
        let by_file = by_file.unwrap_or_else(|error| panic!("{error}"));
        let by_variable = Effective::load(&sources(&variables));
        let by_variable = by_variable.unwrap_or_else(|error| panic!("{error}"));
        let default = Effective::load(&Sources::default()).unwrap();

        assert_eq!(by_file.settings, by_variable.settings, "{}", key.path());
        assert_ne!(by_file.settings, default.settings, "{}", key.path());
        assert_eq!(parse_toml(&toml).unwrap(), by_file.settings);
        assert!(matches!(
            entry(&by_file, key).1,
            Origin::File { line: 2, .. }
        ));
        let variable = key.variable();
        assert_eq!(
            entry(&by_variable, key).1,
            &Origin::Environment { variable }
        );
        assert_eq!(entry(&default, key).1, &Origin::Default);
    }
}

/// A file with this text, which stays until the process ends, and its path.
fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coracle.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn later_sources_win() {
    let (_folder, path) = written("[log]\nlevel = \"error\"\nformat = \"json\"\naccess = false\n");
    let mut all = sources(&[
        ("CORACLE_LOG_LEVEL", "warn"),
        ("CORACLE_LOG_FORMAT", "text"),
    ]);
    all.file = Some(path.clone());
    all.flags = vec![FlagValue {
        flag: "--log-level",
        values: vec!["debug".into()],
    }];
    let effective = Effective::load(&all).unwrap();
    assert_eq!(effective.settings.log.level, LevelFilter::Debug);
    assert_eq!(effective.settings.log.format, crate::logging::Format::Text);
    assert!(!effective.settings.log.access);
    let json = effective.to_json();
    assert_eq!(json["log"]["level"]["where"], "--log-level");
    assert_eq!(json["log"]["format"]["where"], "CORACLE_LOG_FORMAT");
    assert_eq!(json["log"]["access"]["from"], "file");
    assert_eq!(
        json["log"]["access"]["where"],
        format!("{}:4", path.display())
    );
    assert_eq!(json["delete"]["enabled"]["from"], "default");
}

#[test]
fn a_mistake_in_a_source_that_is_overridden_is_still_one() {
    let mut all = sources(&[("CORACLE_LOG_LEVEL", "loud")]);
    all.flags = vec![FlagValue {
        flag: "--log-level",
        values: vec!["debug".into()],
    }];
    assert_eq!(
        Effective::load(&all).unwrap_err().to_string(),
        "log.level = loud in CORACLE_LOG_LEVEL: must be one of off, error, warn, info, debug, trace"
    );
}

#[test]
fn the_variable_names_the_file_unless_the_flag_does() {
    let (_one, by_variable) = written("[delete]\nenabled = false\n");
    let (_other, by_flag) = written("[log]\naccess = false\n");
    let mut all = sources(&[(CONFIG_VARIABLE, by_variable.to_str().unwrap())]);
    let settings = Settings::load(&all).unwrap();
    assert!(!settings.delete.enabled && settings.log.access);
    all.file = Some(by_flag.clone());
    let effective = Effective::load(&all).unwrap();
    assert!(effective.settings.delete.enabled && !effective.settings.log.access);
    assert_eq!(effective.file.as_deref(), Some(&*by_flag));
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let (folder, _) = written("");
    let missing = folder.path().join("missing.toml");
    let latin = folder.path().join("latin.toml");
    std::fs::write(&latin, b"# caf\xe9\n").unwrap();
    let large = folder.path().join("large.toml");
    std::fs::write(&large, vec![b'\n'; (1 << 20) + 1]).unwrap();
    let cases = [
        (missing, "cannot read the file: No such file"),
        (
            folder.path().to_owned(),
            "cannot read the file: Is a directory",
        ),
        (latin, "is not text in UTF-8"),
        (large, "is larger than 1048576 bytes"),
        (PathBuf::from("/dev/zero"), "is larger than 1048576 bytes"),
    ];
    for (path, why) in cases {
        let file = Some(path.clone());
        let error = Settings::load(&Sources {
            file,
            ..Sources::default()
        });
        let error = error.unwrap_err().to_string();
        let begin = format!("{}: {why}", path.display());
        assert!(error.starts_with(&begin), "{error}");
    }
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    let cases = [
        (
            "[limits]\nworker_max = 3\n",
            "limits.worker_max in coracle.toml:2: no such key; did you mean limits.workers_max?",
        ),
        (
            "[serverr]\n",
            "[serverr] in coracle.toml:1: no such section; did you mean [server]?",
        ),
        (
            "\nlisten = \":5000\"\n",
            "listen in coracle.toml:2: no such key; did you mean server.listen?",
        ),
        (
            "[storage]\nlevel = \"info\"\n",
            "storage.level in coracle.toml:2: no such key; did you mean log.level?",
        ),
        (
            "storage.dtaa = \"x\"\n",
            "storage.dtaa in coracle.toml:1: no such key; did you mean storage.data?",
        ),
        (
            "[log]\nzebra = 1\n",
            "log.zebra in coracle.toml:2: no such key; `coracle config default` lists all of them",
        ),
        (
            "[zebra]\n",
            "[zebra] in coracle.toml:1: no such section; the sections are server, ops, tls, \
             storage, uploads, scrub, auth, token, delete, undo, gc, housekeeping, webhooks, \
             manifests, listing, referrers, limits, log, access, retention, quota, immutable, \
             webhook",
        ),
        (
            "log = 3\n",
            "log in coracle.toml:1: is a section and not a value; write [log] and its keys below",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(toml_error(text), expected);
    }
}

/// The commented examples of tables are what they say once the comment signs are gone.
#[test]
fn the_examples_of_tables_can_be_used() {
    for kind in file::TABLES {
        let head = format!("[[{}]]", kind.name);
        let lines = kind
            .example
            .lines()
            .map(|line| line.trim_start_matches("# "));
        let table: Vec<&str> = lines.skip_while(|line| *line != head).collect();
        let text = table.join("\n").replace("\n#\n", "\n\n");
        let settings = parse_toml(&text).unwrap();
        assert_ne!(settings, Settings::default(), "{text}");
    }
}

#[test]
fn unknown_variables_are_refused_with_the_nearest_known_one() {
    let cases = [
        (
            "CORACLE_LIMITS_WORKER_MAX",
            "CORACLE_LIMITS_WORKER_MAX: no such setting; did you mean CORACLE_LIMITS_WORKERS_MAX?",
        ),
        (
            "CORACLE_CONFG",
            "CORACLE_CONFG: no such setting; did you mean CORACLE_CONFIG?",
        ),
        (
            "CORACLE_PORT",
            "CORACLE_PORT: no such setting; `coracle config default` lists the variable of each",
        ),
    ];
    for (variable, expected) in cases {
        assert_eq!(load(&[(variable, "5000")]).unwrap_err(), expected);
    }
}

#[test]
fn variables_that_are_not_settings_are_left_alone() {
    let variables = [
        ("PATH", "/bin"),
        ("CORACLE", "x"),
        ("CORACLE_TEST_SEED", "7"),
        ("CORACLE_CONFIG", ""),
        // What Kubernetes sets for a service called coracle, and one called coracle-http.
        ("CORACLE_SERVICE_HOST", "10.0.0.7"),
        ("CORACLE_SERVICE_PORT", "5000"),
        ("CORACLE_SERVICE_PORT_HTTP", "5000"),
        ("CORACLE_PORT", "tcp://10.0.0.7:5000"),
        ("CORACLE_PORT_5000_TCP", "tcp://10.0.0.7:5000"),
        ("CORACLE_PORT_5000_TCP_PROTO", "tcp"),
        ("CORACLE_PORT_5000_TCP_PORT", "5000"),
        ("CORACLE_PORT_5000_TCP_ADDR", "10.0.0.7"),
        ("CORACLE_HTTP_SERVICE_HOST", "fd00::1"),
        ("CORACLE_HTTP_PORT_5000_TCP_ADDR", "fd00::1"),
        // Set to nothing: as if not set.
        ("CORACLE_LIMITS_WORKERS_MAX", ""),
    ];
    assert_eq!(load(&variables).unwrap(), Settings::default());
    for (variable, value) in [
        ("CORACLE_PORT_5000_TCP_NAME", "x"),
        ("CORACLE_PORT_HTTP_TCP", "x"),
        ("CORACLE_SERVICE_HOST", "here"),
        ("CORACLE_SERVICE_PORT", "x"),
    ] {
        load(&[(variable, value)]).unwrap_err();
    }
}

#[test]
fn what_is_not_text_is_an_error_except_as_a_path() {
    let bytes = || OsString::from_vec(vec![b'/', 0xff]);
    let with = |name: OsString| {
        let mut sources = Sources::default();
        sources.environment.push((name, bytes()));
        Settings::load(&sources)
    };
    let settings = with("CORACLE_STORAGE_DATA".into()).unwrap();
    assert_eq!(settings.storage.data.as_os_str(), bytes());
    let error = with("CORACLE_LOG_LEVEL".into()).unwrap_err().to_string();
    assert!(error.ends_with("must be text in UTF-8"), "{error}");
    let error = with(OsString::from_vec(b"CORACLE_\xff".to_vec())).unwrap_err();
    assert!(error.to_string().contains("no such setting"), "{error}");
}

#[test]
fn wrong_types_say_what_is_wanted() {
    let cases = [
        (
            "[delete]\nenabled = \"true\"",
            "delete.enabled = \"true\" in coracle.toml:2: must be true or false, without quotes, and not of type string",
        ),
        (
            "[limits]\nworkers_max = \"4\"",
            "limits.workers_max = \"4\" in coracle.toml:2: must be a whole number, and not of type string",
        ),
        (
            "[limits]\nworkers_max = 4.5",
            "limits.workers_max = 4.5 in coracle.toml:2: must be a whole number, and not of type float",
        ),
        (
            "[storage]\ndata = 7",
            "storage.data = 7 in coracle.toml:2: must be a text in quotes, and not of type integer",
        ),
        (
            "[storage]\ndata = \"\"",
            "storage.data = \"\" in coracle.toml:2: must not be empty",
        ),
        (
            "[storage]\ndata = \"a\\u0000\"",
            "storage.data = \"a\\u0000\" in coracle.toml:2: must not contain a NUL character",
        ),
        (
            "[manifests]\nbytes_max = true",
            "manifests.bytes_max = true in coracle.toml:2: must be a number of bytes, or a text such as \"4MiB\", and not of type boolean",
        ),
        (
            "[uploads]\nsweep_seconds = \"1 week\"",
            "uploads.sweep_seconds = \"1 week\" in coracle.toml:2: must be a number of whole seconds, such as 90, 90s, 15m, 24h or 7d",
        ),
        (
            "[server]\nlisten = [1]",
            "server.listen = [1] in coracle.toml:2: must be a list of texts",
        ),
        (
            "[server]\nlisten = []",
            "server.listen = [] in coracle.toml:2: must hold at least one address",
        ),
        (
            "[server]\nlisten = [\":1\", \":1\"]",
            "server.listen = [\":1\", \":1\"] in coracle.toml:2: '[::]:1' is listed twice",
        ),
        (
            "[server]\nlisten = \"host\"",
            "server.listen = \"host\" in coracle.toml:2: 'host' is not an address; write 127.0.0.1:5000, [::1]:5000, :5000 (all addresses) or unix:/path/to/socket, the first three perhaps with http:// or https:// before them",
        ),
        (
            "[log]\nlevel = 3",
            "log.level = 3 in coracle.toml:2: must be a text in quotes, and not of type integer",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(toml_error(text), expected);
    }
    let path = "x".repeat(108);
    let error = load(&[("CORACLE_SERVER_LISTEN", &format!("unix:{path}"))]).unwrap_err();
    assert!(error.contains("must be at most 107 bytes"), "{error}");
}

#[test]
fn what_is_kept_free_is_chosen_or_said() {
    let of = |text: &str| parse_toml(text).expect("settings").storage;
    let storage = of("[storage]\n");
    assert_eq!((storage.reserve, storage.low_water), (None, None));
    let storage = of("[storage]\nreserve = \"auto\"\nlow_water = \"1GiB\"\n");
    assert_eq!((storage.reserve, storage.low_water), (None, Some(1 << 30)));
    let storage = of("[storage]\nreserve = 0\nlow_water = 1048576\n");
    assert_eq!(
        (storage.reserve, storage.low_water),
        (Some(0), Some(1 << 20))
    );
    // The mark may be switched off beside any reserve.
    let storage = of("[storage]\nreserve = \"2MiB\"\nlow_water = 0\n");
    assert_eq!(
        (storage.reserve, storage.low_water),
        (Some(2 << 20), Some(0))
    );
    let error = load(&[("CORACLE_STORAGE_RESERVE", "much")]).unwrap_err();
    assert!(error.contains("4MiB or 10GB, or auto"), "{error}");
    let error = toml_error("[storage]\nreserve = true\n");
    assert!(error.contains("\"auto\""), "{error}");
    let both = "[storage]\nreserve = \"2MiB\"\nlow_water = \"1MiB\"\n";
    let error = toml_error(both);
    assert!(
        error.contains("storage.reserve") && error.contains("storage.low_water"),
        "{error}"
    );
}

#[test]
fn every_number_is_bounded_on_both_sides() {
    for key in KEYS {
        let (Kind::Count(bounds)
        | Kind::Bytes(bounds)
        | Kind::AutoBytes(bounds)
        | Kind::Seconds(bounds)) = key.kind
        else {
            continue;
        };
        let text = |number: String| format!("[{}]\n{} = {number}\n", key.section, key.name);
        let refused = |number: i128| {
            let error = toml_error(&text(number.to_string()));
            let begin = format!(
                "{} = {number} in coracle.toml:2: must be between ",
                key.path()
            );
            assert!(error.starts_with(&begin), "{error}");
        };
        refused(i128::from(bounds.max) + 1);
        refused(i128::from(u64::MAX) + 1);
        refused(-1);
        if bounds.min > u64::from(bounds.zero.is_some()) {
            refused(i128::from(bounds.min) - 1);
        }
        if bounds.zero.is_some() {
            parse_toml(&text("0".to_owned())).unwrap();
        }
    }
    assert_eq!(
        toml_error("[limits]\nworkers_max = 0\n"),
        "limits.workers_max = 0 in coracle.toml:2: must be between 1 and 4096"
    );
    assert_eq!(
        load(&[("CORACLE_LIMITS_BLOB_BYTES_MAX", "1kB")]).unwrap_err(),
        "limits.blob_bytes_max = 1kB in CORACLE_LIMITS_BLOB_BYTES_MAX: must be between 1MiB and \
         8192TiB, or 0 for no limit"
    );
}

#[test]
fn rules_between_keys_name_both_and_where_they_stand() {
    assert_eq!(
        toml_error("[listing]\ncatalog_page_default = 2000\n"),
        "listing.catalog_page_default = 2000 in coracle.toml:2: must not be larger than \
         listing.catalog_page_max = 1000 (default)"
    );
    let error = load(&[("CORACLE_LIMITS_HEAD_BYTES_MAX", "8KiB")]).unwrap_err();
    assert_eq!(
        error,
        "limits.head_bytes_max = \"8KiB\" in CORACLE_LIMITS_HEAD_BYTES_MAX: must not be smaller \
         than limits.request_line_bytes_max = \"16KiB\" (default)"
    );
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let error = parse_toml("[server]\nzebra = 1\n[delete]\nenabled = 1\n[log]\nlevel = \"x\"\n");
    let error = error.unwrap_err();
    let keys: Vec<&str> = error
        .problems()
        .iter()
        .map(|problem| problem.key.as_deref().unwrap())
        .collect();
    assert_eq!(keys, ["server.zebra", "delete.enabled", "log.level"]);
    assert_eq!(error.to_string().lines().count(), 3);
}

#[test]
fn a_file_full_of_mistakes_is_given_up_early() {
    let keys: Vec<String> = (0..60_000)
        .map(|number| format!("levl{number} = 1\n"))
        .collect();
    let text = format!("[log]\n{}", keys.concat());
    assert_eq!(parse_toml(&text).unwrap_err().problems().len(), 20);
    let text = text.replace("[log]\n", "");
    assert_eq!(parse_toml(&text).unwrap_err().problems().len(), 20);
}

#[test]
fn syntax_errors_have_a_line_and_strange_text_is_made_harmless() {
    let error = toml_error("[log]\n\nlevel = \n");
    assert!(
        error.starts_with("coracle.toml:3: is not valid TOML: "),
        "{error}"
    );
    let error = toml_error("[log]\nlevel = \"\"\"a\nb\"\"\"\n");
    assert!(
        error.starts_with("log.level = \"\"\"a\\nb\"\"\" in coracle.toml:2: "),
        "{error}"
    );
    let error = load(&[("CORACLE_LOG_LEVEL", "\u{1b}[31m")]).unwrap_err();
    assert!(!error.contains('\u{1b}'), "{error}");
    let error = load(&[("CORACLE_LOG_LEVEL", &"x".repeat(100_000))]).unwrap_err();
    assert!(error.len() < 300, "{error}");
    let deep = format!("a = {}", "[".repeat(100_000));
    assert!(toml_error(&deep).len() < 500);
}

#[test]
fn sizes_and_durations() {
    let sizes = [
        ("0", Ok(0)),
        ("1048576", Ok(1 << 20)),
        ("4MiB", Ok(4 << 20)),
        ("4 mib", Ok(4 << 20)),
        ("10GB", Ok(10_000_000_000)),
        ("2KB", Ok(2000)),
        ("7B", Ok(7)),
        ("16777215TiB", Ok(16_777_215 << 40)),
        ("16777216TiB", Err("is larger")),
        ("99999999999999999999", Err("is larger")),
        ("", Err("must be a number of bytes")),
        ("MiB", Err("must be a number of bytes")),
        ("4M", Err("must be a number of bytes")),
        ("1.5GiB", Err("must be a number of bytes")),
        ("-1", Err("must be a number of bytes")),
        ("4MiB!", Err("must be a number of bytes")),
    ];
    for (text, expected) in sizes {
        match (parse_bytes(text), expected) {
            (Ok(bytes), Ok(expected)) => assert_eq!(bytes, expected, "{text}"),
            (Err(why), Err(begin)) => assert!(why.starts_with(begin), "{text}: {why}"),
            (got, _) => panic!("{text}: {got:?}"),
        }
    }
    let durations = [
        ("0", Some(0)),
        ("90", Some(90)),
        ("90s", Some(90)),
        ("15m", Some(900)),
        ("24h", Some(86_400)),
        ("7d", Some(604_800)),
        ("1h30m", Some(5400)),
        ("1h30", None),
        ("", None),
        ("h", None),
        ("500ms", None),
        ("1.5h", None),
        ("-1s", None),
        ("1h-1m", None),
        ("99999999999999999d", None),
        ("18446744073709551615s1s", None),
    ];
    assert_eq!(
        [0, 59, 60, 86_400, 90_000].map(format_seconds),
        ["0s", "59s", "1m", "1d", "25h"]
    );
    for (text, expected) in durations {
        assert_eq!(parse_seconds(text).ok(), expected, "{text}");
    }
}

#[test]
fn the_default_file_holds_every_key_and_parses_back_to_the_defaults() {
    let text = default_toml();
    assert_eq!(parse_toml(&text).unwrap(), Settings::default());
    for key in KEYS {
        assert!(
            text.contains(&format!("\n{} = ", key.name))
                || text.contains(&format!("\n# {} = ", key.name)),
            "{}",
            key.path()
        );
        assert!(text.contains(&key.variable()));
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
}

#[test]
fn the_effective_values_parse_back_to_themselves() {
    let effective = Effective::load(&sources(&[
        ("CORACLE_STORAGE_DATA", "/a \"quoted\"\\path\n"),
        ("CORACLE_SERVER_LISTEN", "unix:/x,127.0.0.1:0,127.0.0.1:0"),
        ("CORACLE_LIMITS_HEAD_BYTES_MAX", "65537"),
    ]))
    .unwrap();
    let text = effective.to_toml();
    assert_eq!(parse_toml(&text).unwrap(), effective.settings);
    let line = "\nhead_bytes_max = 65537                     # CORACLE_LIMITS_HEAD_BYTES_MAX\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn the_readme_table_has_one_row_for_each_key() {
    let table = markdown_table();
    assert_eq!(table, markdown_table());
    assert_eq!(table.lines().count(), KEYS.len() + 2);
    assert!(
        table.lines().all(|line| line.matches(" | ").count() == 3),
        "{table}"
    );
    assert!(table.contains(
        "| `limits.workers_max` | `128` | 1 to 4096 | The most requests that are worked on at a \
         time, each by a thread. |"
    ));
    assert!(table.contains(" Flag: `--listen`. |"));
}

#[test]
fn the_http_server_gets_every_limit() {
    let limits = Settings::default().limits.http(Duration::from_secs(9));
    assert_eq!(limits.head_bytes_max, 65_536);
    assert_eq!(limits.connections_per_client_max, 4096);
    assert_eq!(limits.body_bytes_max, i64::MAX.unsigned_abs());
    assert_eq!(limits.stop_timeout, Duration::from_secs(9));
    let text =
        "[limits]\nworkers_max = 1\nconnections_per_client_max = 0\nblob_bytes_max = \"1MiB\"\n";
    let limits = parse_toml(text).unwrap().limits.http(Duration::ZERO);
    assert_eq!((limits.workers_min, limits.workers_max), (1, 1));
    assert_eq!(limits.connections_per_client_max, limits.connections_max);
    // The registry's own bounds decide: a manifest may be larger than the largest blob.
    assert_eq!(limits.body_bytes_max, i64::MAX.unsigned_abs());
}

proptest! {
    #[test]
    fn no_text_makes_the_parsers_panic(text in "\\PC*|[0-9a-zA-Z .]*|(?s).*") {
        let _ = parse_bytes(&text);
        let _ = parse_seconds(&text);
        let _ = parse_toml(&text);
        let _ = load(&[("CORACLE_SERVER_LISTEN", &text), ("CORACLE_LOG_LEVEL", &text)]);
    }

    #[test]
    fn no_value_of_a_key_makes_the_parser_panic(
        index in 0..KEYS.len(),
        value in "-?[0-9]{1,40}|\"[0-9a-zA-Z:/., ]*\"|\\[[0-9\", ]*\\]|\\{\\}|[a-z]*|[0-9-]{10}",
    ) {
        let key = &KEYS[index];
        let _ = parse_toml(&format!("[{}]\n{} = {value}\n", key.section, key.name));
    }

    #[test]
    fn sizes_read_back_as_they_are_written(bytes: u64) {
        prop_assert_eq!(parse_bytes(&format_bytes(bytes)), Ok(bytes));
        prop_assert_eq!(parse_seconds(&format_seconds(bytes)), Ok(bytes));
    }
}

#[test]
fn an_address_may_say_what_is_spoken_there() {
    let text = "[server]\nlisten = [\"https://:1\", \"http://[::1]:2/\", \":3\", \"unix:/x\"]\n\
                [tls]\ncertificate = \"c\"\nkey = [\"k\"]\n";
    let settings = parse_toml(text).unwrap();
    let schemes: Vec<Scheme> = settings
        .server
        .listen
        .iter()
        .map(|listen| listen.scheme_or(true))
        .collect();
    let expected = [Scheme::Https, Scheme::Http, Scheme::Https, Scheme::Http];
    assert_eq!(schemes, expected);
    assert_eq!(settings.server.listen[2].scheme_or(false), Scheme::Http);
    for wrong in ["http://unix:/x", "https://host:1", "ftp://:1", "https://"] {
        let text = format!("[server]\nlisten = \"{wrong}\"");
        assert!(toml_error(&text).contains("is not an address"), "{wrong}");
    }
}

#[test]
fn nothing_that_looks_protected_is_open() {
    let cases = [
        (
            "[server]\nlisten = \"https://:1\"",
            "https:// needs a certificate",
        ),
        (
            "[ops]\nlisten = \"https://:1\"",
            "https:// needs a certificate",
        ),
        (
            "[tls]\ncertificate = \"c\"",
            "there are 1 files in tls.certificate and 0 in tls.key",
        ),
        (
            "[tls]\nkey = \"c\"",
            "tls.key in coracle.toml:2: there are 0 files",
        ),
        ("[tls]\nclient_ca = \"c\"", "over TLS only"),
        (
            "[tls]\ncertificate = \"c\"\nkey = \"k\"\nclient_auth = \"require-any-client-cert\"",
            "set tls.client_ca",
        ),
        (
            "[tls]\ncertificate = \"credential:c\"\nkey = \"k\"",
            "tls.certificate = credential:c in coracle.toml:2: names a credential",
        ),
    ];
    for (text, why) in cases {
        let error = toml_error(text);
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn credentials_are_found_where_the_environment_says() {
    let settings = load(&[
        ("CREDENTIALS_DIRECTORY", "/run/c"),
        ("CORACLE_TLS_CERTIFICATE", "/a.pem,credential:b.pem"),
        ("CORACLE_TLS_KEY", "credential:a.key, /b.key"),
    ]);
    let tls = settings.unwrap().tls;
    assert_eq!(
        tls.certificate,
        [Path::new("/a.pem"), Path::new("/run/c/b.pem")]
    );
    assert_eq!(tls.key, [Path::new("/run/c/a.key"), Path::new("/b.key")]);
}

#[test]
fn a_token_server_needs_all_of_its_keys_and_no_accounts() {
    for (text, expected) in [
        (
            "[token]\nrealm = \"https://auth/token\"\nissuer = \"auth\"\njwks = \"keys\"\n",
            "token.service in coracle.toml:2: is missing, and a token server needs it",
        ),
        (
            "[token]\nautoredirect = true\nissuer = \"auth\"\nservice = \"us\"\n",
            "token.root_certificates in coracle.toml:2: is missing, and so is token.jwks; one of \
             them says whose tokens are trusted",
        ),
        (
            "[token]\nservice = \"us\"\n",
            "token.realm in coracle.toml:2: is missing, so that no token server is used; set it \
             or remove the other token keys",
        ),
        (
            "[auth]\nhtpasswd = \"users\"\n[token]\nrealm = \"https://auth/token\"\n\
             issuer = \"auth\"\nservice = \"us\"\njwks = \"keys\"\n",
            "auth.htpasswd in coracle.toml:2: goes without a token server: remove it or \
             token.realm",
        ),
        (
            "[token]\nrealm = \"https://auth/token\"\nissuer = \"auth\"\nservice = \"us\"\n\
             jwks = \"keys\"\n[[access]]\nwho = \"anyone\"\nrepositories = \"**\"\n\
             actions = \"pull\"\n",
            "access (coracle.toml:6) in coracle.toml:2: a token server alone decides who may do \
             what: remove the rules or token.realm",
        ),
    ] {
        assert_eq!(toml_error(text), expected);
    }
}
