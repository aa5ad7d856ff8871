//! The parts of the README that the program itself knows, and the configuration file that packages
//! install: they are written by it, and this fails when they are stale.
//! `UPDATE_DOCS=1 cargo test docs` writes them anew.

use std::fs;
use std::path::Path;

use coracle::config::{default_toml, markdown_table};
use coracle::exit::Exit;

#[test]
fn the_readme_has_what_the_program_knows() {
    section("exit codes", &Exit::markdown());
    section("configuration", &markdown_table());
}

#[test]
fn the_packaged_configuration_is_that_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/coracle.toml");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, default_toml()).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap();
    assert_eq!(
        found,
        default_toml(),
        "run `UPDATE_DOCS=1 cargo test docs` and commit the file"
    );
}

/// Compares what stands between the two markers called `name` with `expected`.
fn section(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = (
        format!("<!-- {name}: begin -->\n"),
        format!("<!-- {name}: end -->"),
    );
    let (head, rest) = text.split_once(&begin).expect("the begin marker");
    let (found, tail) = rest.split_once(&end).expect("the end marker");
    let expected = format!("{}\n", expected.trim_end());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{head}{begin}{expected}{end}{tail}")).unwrap();
    } else {
        assert_eq!(
            found, expected,
            "run `UPDATE_DOCS=1 cargo test docs` and commit the README"
        );
    }
}
