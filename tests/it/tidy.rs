//! Rules about the source text. Each failure says what to do.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where sources are.
const FOLDERS: [&str; 5] = ["src", "tests", "benches", "fuzz", "packaging"];

/// The longest line, in characters.
const COLUMNS_MAX: usize = 100;

/// The longest function, in lines.
const FUNCTION_LINES_MAX: usize = 60;

/// Functions that are longer: file and name, each with the reason.
const LONG_FUNCTIONS: [(&str, &str); 2] = [
    // One sentence for each variant, side by side.
    ("src/registry/error.rs", "fmt"),
    ("src/registry/admin/error.rs", "fmt"),
];

/// Names that may be used in one place only: what to look for, where it may stand, and what to do
/// elsewhere.
const PLACES: [(&[&str], &[&str], &str); 8] = [
    (
        &["rusqlite", "SELECT ", "INSERT ", "DELETE FROM", "PRAGMA "],
        &["src/store/catalog/"],
        "all SQL is in the catalog: give it a query with a name",
    ),
    (
        &[
            "TcpStream",
            "TcpListener",
            "UnixStream",
            "UnixListener",
            "UdpSocket",
            "UnixDatagram",
            "ListenFd",
        ],
        &["src/http/"],
        "sockets are in the HTTP server and client: go through their types",
    ),
    (
        &["ureq::"],
        &["src/notify/client.rs", "src/notify/address.rs"],
        "requests to others are made by `notify`'s client: go through it",
    ),
    (
        &["rustls::", "rcgen::"],
        &["src/http/tls/"],
        "TLS is in `http::tls`: go through its types",
    ),
    (
        &[
            "std::fs",
            "fs::File",
            "File::open",
            "File::create",
            "OpenOptions",
        ],
        &[
            // Blobs and the folder around them.
            "src/store/",
            // The configuration file, the ready file, the log's own descriptor.
            "src/config/file.rs",
            // The htpasswd file, which an operator names.
            "src/auth/htpasswd/watch.rs",
            "src/commands/serve.rs",
            "src/logging/sink.rs",
            // Certificates and keys that were just made.
            "src/commands/cert.rs",
            // Opening the folder is part of wiring.
            "src/serve/control.rs",
            "src/serve/serving.rs",
            // The secret that signs what a webhook gets, which its operator names.
            "src/serve/webhooks.rs",
            // The keys of a token server, which its operator names.
            "src/auth/jwt/trust.rs",
            // A body that is a part of an open file; the socket's path.
            "src/http/",
            // What the kernel tells about the machine.
            "src/host/",
        ],
        "files are touched in the store: give it an operation with a name",
    ),
    (
        &[
            "SystemTime::now",
            "Timestamp::now",
            "Instant::now().elapsed",
        ],
        &["src/clock.rs", "src/http/date.rs", "src/logging/"],
        "the time of day comes from `clock`, so that a test can set it",
    ),
    (
        &["println!", "eprintln!", "print!(", "eprint!("],
        &["src/main.rs", "src/commands/"],
        "printing is the business of commands and main; below them, return a value or log",
    ),
    (
        &["process::exit", "process::abort"],
        &["src/main.rs"],
        "only main ends the process: return an error",
    ),
];

/// The floors: a module uses those below its own only (and itself). Modules beside the floors use
/// none but themselves.
const FLOORS: [(&str, u32); 21] = [
    ("oci", 0),
    ("clock", 0),
    ("host", 0),
    ("metrics", 0),
    ("der", 0),
    ("http", 0),
    ("logging", 0),
    ("systemd", 1),
    ("store", 1),
    ("auth", 2),
    ("registry", 2),
    ("notify", 3),
    ("api", 4),
    ("progress", 5),
    ("exit", 5),
    ("cli", 6),
    ("config", 6),
    ("serve", 7),
    ("commands", 8),
    ("main", 9),
    ("lib", 9),
];

/// Pairs on one floor that know each other, each with the reason.
const NEIGHBOURS: [(&str, &str); 2] = [
    // Certificates, in TLS and in tokens, are read by one reader.
    ("http", "der"),
    // A command line is a source of settings.
    ("cli", "config"),
];

struct Source {
    /// The path below the project's folder, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// The code without what is only said: comment lines go, and so do tests within the file.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self
            .text
            .find("#[cfg(test)]\nmod tests {")
            .unwrap_or(self.text.len());
        self.text[..end]
            .lines()
            .zip(1..)
            .map(|(line, number)| (number, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
            || self.path.ends_with("crash_disk.rs")
    }

    /// The module below the crate: `api` of `src/api/route.rs`.
    fn module(&self) -> &str {
        let rest = self.path.trim_start_matches("src/");
        rest.split(['/', '.']).next().unwrap_or_default()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All sources below these folders.
fn sources(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(root()).unwrap();
                found.push(Source {
                    path: relative.to_str().unwrap().replace('\\', "/"),
                    text: fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {}", root().display());
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Fails with all complaints at once.
#[track_caller]
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut complaints = Vec::new();
    for source in sources(&FOLDERS) {
        let first = source.text.lines().next().unwrap_or_default();
        let is_said = first.starts_with("//! ") || first.starts_with("#![no_main]");
        if !is_said {
            complaints.push(format!(
                "{}: begin with `//! ` and what the file is for",
                source.path
            ));
        }
    }
    none(&complaints);
}

#[test]
fn lines_fit_in_their_columns() {
    let mut complaints = Vec::new();
    for source in sources(&FOLDERS) {
        for (line, number) in source.text.lines().zip(1..) {
            let is_data = source.is_test() && line.contains('"');
            let is_link = line.contains("https://");
            if line.chars().count() > COLUMNS_MAX && !is_data && !is_link {
                let path = &source.path;
                complaints.push(format!(
                    "{path}:{number}: break this line at {COLUMNS_MAX} columns"
                ));
            }
            if line.ends_with([' ', '\t', '\r']) {
                complaints.push(format!(
                    "{}:{number}: remove the blanks at the end",
                    source.path
                ));
            }
        }
    }
    none(&complaints);
}

#[test]
fn functions_fit_on_a_screen() {
    let mut complaints = Vec::new();
    for source in sources(&FOLDERS) {
        for (name, line, length) in functions(&source.text) {
            let is_known = LONG_FUNCTIONS.contains(&(source.path.as_str(), name.as_str()));
            // A table of rows is data, however long.
            let is_table = source.is_test();
            if length > FUNCTION_LINES_MAX && !is_known && !is_table {
                let path = &source.path;
                complaints.push(format!(
                    "{path}:{line}: {name} has {length} lines; take a part with a name out of it"
                ));
            }
        }
    }
    none(&complaints);
}

/// Name, first line and length of each function. Formatted code ends a function with a brace in
/// the column of its beginning.
fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    let mut open: Option<(String, usize, String)> = None;
    for (line, number) in text.lines().zip(1..) {
        let indent = &line[..line.len() - line.trim_start().len()];
        if let Some((name, start, end)) = &open {
            if line.starts_with(&end.replace('}', ")")) && line.ends_with(';') {
                // A declaration without a body.
                open = None;
            } else if line == end {
                found.push((name.clone(), *start, number - start + 1));
                open = None;
            }
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_head = words.iter().take(6).position(|word| *word == "fn");
        let Some(at) = is_head.filter(|_| !line.trim_start().starts_with("//")) else {
            continue;
        };
        if line.trim_end().ends_with(';') || line.trim_end().ends_with('}') {
            continue;
        }
        let name = words
            .get(at + 1)
            .unwrap_or(&"")
            .split(['(', '<'])
            .next()
            .unwrap_or_default();
        open = Some((name.to_owned(), number, format!("{indent}}}")));
    }
    found
}

#[test]
fn the_length_of_a_function_is_counted_right() {
    let text = "fn a() {\n}\n\nimpl X {\n    pub const fn b(\n        x: u8,\n    ) -> u8 {\n        \
        if x {\n        }\n    }\n    fn c(self);\n    fn e(\n        y: u8,\n    ) -> u8;\n}\n// fn d() {\n";
    let found: Vec<(String, usize, usize)> = functions(text);
    assert_eq!(found, [("a".to_owned(), 1, 2), ("b".to_owned(), 5, 6)]);
}

#[test]
fn names_stand_in_their_places() {
    let mut complaints = Vec::new();
    for source in sources(&["src"]).iter().filter(|source| !source.is_test()) {
        for (names, places, what_to_do) in PLACES {
            if places.iter().any(|place| source.path.starts_with(place)) {
                continue;
            }
            for (number, line) in source.code() {
                if let Some(name) = names.iter().find(|name| line.contains(**name)) {
                    let path = &source.path;
                    complaints.push(format!("{path}:{number}: {name}: {what_to_do}"));
                }
            }
        }
    }
    none(&complaints);
}

#[test]
fn a_file_uses_lower_floors_only() {
    let floors: BTreeMap<&str, u32> = FLOORS.into_iter().collect();
    let mut complaints = Vec::new();
    for source in sources(&["src"]).iter().filter(|source| !source.is_test()) {
        let own = source.module();
        let Some(floor) = floors.get(own) else {
            complaints.push(format!(
                "{}: give the module {own} a floor in FLOORS",
                source.path
            ));
            continue;
        };
        for (number, line) in source.code() {
            for used in line.split("crate::").skip(1) {
                let used = used
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next();
                let Some(used) = used.filter(|used| *used != own) else {
                    continue;
                };
                let Some(below) = floors.get(used) else {
                    continue;
                };
                let is_known = NEIGHBOURS.contains(&(own, used));
                if below >= floor && !is_known {
                    let path = &source.path;
                    complaints.push(format!(
                        "{path}:{number}: {own} (floor {floor}) uses {used} (floor {below}): move \
                         what is shared down, or hand it in from above"
                    ));
                }
            }
        }
    }
    none(&complaints);
}

/// The two halves of the store are neighbours: rows know nothing of files.
#[test]
fn the_catalog_and_the_blobs_do_not_know_each_other() {
    let mut complaints = Vec::new();
    for source in sources(&["src/store"])
        .iter()
        .filter(|source| !source.is_test())
    {
        for (own, other) in [("catalog", "blobs"), ("blobs", "catalog")] {
            if !source.path.starts_with(&format!("src/store/{own}/")) {
                continue;
            }
            for (number, line) in source.code() {
                let uses = [format!("store::{other}"), format!("super::{other}::")];
                if uses.iter().any(|used| line.contains(used.as_str())) {
                    complaints.push(format!(
                        "{}:{number}: what the catalog and the blobs share is in `store`",
                        source.path
                    ));
                }
            }
        }
    }
    none(&complaints);
}

#[test]
fn nothing_is_left_undone_or_unsaid() {
    // In two parts, so that this file does not find itself.
    let marks = [
        ("to", "do!"),
        ("unimple", "mented!"),
        ("db", "g!("),
        ("TO", "DO"),
        ("FIX", "ME"),
    ];
    let marks = marks.map(|(a, b)| format!("{a}{b}"));
    let mut complaints = Vec::new();
    for source in sources(&FOLDERS) {
        for (line, number) in source.text.lines().zip(1..) {
            let place = format!("{}:{number}", source.path);
            for mark in marks.iter().filter(|mark| line.contains(mark.as_str())) {
                complaints.push(format!(
                    "{place}: {mark}: finish it, or write it down elsewhere"
                ));
            }
            if line.trim_start().starts_with(&format!("#[{}]", "ignore")) {
                complaints.push(format!("{place}: a test that is not run checks nothing"));
            }
        }
    }
    none(&complaints);
}

#[test]
fn every_exception_to_a_lint_has_its_reason() {
    let mut complaints = Vec::new();
    for source in sources(&FOLDERS) {
        for kind in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            for (at, _) in source.text.match_indices(kind) {
                let begin = source.text[..at].rfind('\n').map_or(0, |end| end + 1);
                let rest = &source.text[at..];
                let exception = &rest[..rest.find(")]").unwrap_or(rest.len())];
                let is_code = source.text[begin..at].trim().is_empty();
                if is_code && !exception.contains("reason") {
                    let line = source.text[..at].lines().count() + 1;
                    complaints.push(format!("{}:{line}: give it a reason = \"…\"", source.path));
                }
            }
        }
    }
    none(&complaints);
}

/// A sleep is no synchronisation: tests wait for what they want to see.
#[test]
fn tests_do_not_sleep() {
    let allowed = [
        // Asks again and again.
        "tests/it/support/wait.rs",
        "tests/it/support/server.rs",
        // A client that is slow on purpose.
        "tests/it/wire/pace.rs",
        // Waits for programs that cannot be asked.
        "tests/it/clients/",
        // This rule.
        "tests/it/tidy.rs",
    ];
    let mut complaints = Vec::new();
    for source in sources(&["tests"]) {
        let is_allowed = allowed.iter().any(|path| source.path.starts_with(path));
        for (number, line) in source.code().filter(|_| !is_allowed) {
            if line.contains("sleep(") {
                let path = &source.path;
                complaints.push(format!(
                    "{path}:{number}: wait with `eventually` for what is meant"
                ));
            }
        }
    }
    none(&complaints);
}

#[test]
fn every_schema_file_is_embedded_and_numbered_without_a_gap() {
    let mut names: Vec<String> = fs::read_dir(root().join("schema"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    let embedding: String = sources(&["src/store/catalog"])
        .into_iter()
        .map(|source| source.text)
        .collect();
    for (name, number) in names.iter().zip(1..) {
        assert!(
            name.starts_with(&format!("{number:04}_")),
            "{name} should be number {number}"
        );
        assert!(
            Path::new(name).extension().is_some_and(|own| own == "sql"),
            "{name} is no SQL"
        );
        let include = format!("schema/{name}\"");
        assert!(
            embedding.contains(&include),
            "embed {name} with include_str! in the catalog"
        );
    }
}

#[test]
fn the_version_has_its_place_in_the_changelog() {
    let changelog = fs::read_to_string(root().join("CHANGELOG.md")).expect("CHANGELOG.md");
    let heading = format!("## {}", env!("CARGO_PKG_VERSION"));
    assert!(
        changelog.lines().any(|line| line.starts_with(&heading)),
        "add a section that begins with {heading:?} to CHANGELOG.md"
    );
}

/// Every dependency stands in Cargo.toml with its reason in the line above.
#[test]
fn every_dependency_has_its_reason() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut in_dependencies = false;
    let mut above = "";
    let mut complaints = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = line.contains("dependencies");
        } else if in_dependencies && line.contains('=') && !above.starts_with('#') {
            complaints.push(format!("Cargo.toml: say above why: {line}"));
        }
        above = line;
    }
    none(&complaints);
}
