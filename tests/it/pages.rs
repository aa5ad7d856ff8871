//! Manual pages and completions, which packages install: every command has its page, nothing in
//! one is taken for a request, and a shell completes what it should.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use clap::CommandFactory;
use coracle::cli::Cli;
use tempfile::TempDir;

#[path = "../../packaging/pages/render.rs"]
mod render;

fn text(path: &str) -> String {
    let pages = render::all().unwrap();
    let page = pages.into_iter().find(|page| page.path == path);
    String::from_utf8(page.unwrap_or_else(|| panic!("no {path}")).bytes).unwrap()
}

#[test]
fn every_command_has_a_manual_page() {
    fn names(command: &clap::Command, name: &str, all: &mut BTreeSet<String>) {
        all.insert(format!("man/{name}.1"));
        for own in command.get_subcommands().filter(|own| !own.is_hide_set()) {
            names(own, &format!("{name}-{}", own.get_name()), all);
        }
    }
    let mut expected = BTreeSet::new();
    names(&Cli::command(), "coracle", &mut expected);
    let pages = render::all().unwrap();
    let found: BTreeSet<String> = pages
        .iter()
        .map(|page| page.path.clone())
        .filter(|path| path.ends_with(".1"))
        .collect();
    assert_eq!(found, expected);
    assert!(found.len() > 30, "{found:?}");
}

#[test]
fn a_manual_page_has_what_the_help_says() {
    let page = text("man/coracle-backup.1");
    for part in [
        ".TH coracle-backup 1 ",
        ".SH NAME\ncoracle\\-backup \\- ",
        "\\-\\-verify",
        ".SH \"EXAMPLES\"\n.nf\n",
        "coracle backup /mnt/usb/registry",
        ".SH \"SEE ALSO\"\ncoracle(1), coracle.toml(5)\n",
    ] {
        assert!(page.contains(part), "{part} in\n{page}");
    }
    let page = text("man/coracle.1");
    assert!(page.contains(".SH \"EXIT CODES\"\n.nf\n"), "{page}");
    assert!(page.contains("coracle-tag(1)") || page.contains("coracle\\-tag(1)"));
}

/// What a page shows of a text that begins with a dot would be lost otherwise.
#[test]
fn manual_pages_have_known_requests_only() {
    const KNOWN: [&str; 13] = [
        ".TH", ".SH", ".PP", ".TP", ".br", ".nf", ".fi", ".BR", ".RS", ".RE", ".ie", ".el", ".ds",
    ];
    for page in render::all().unwrap() {
        if !page.path.starts_with("man/") {
            continue;
        }
        let text = String::from_utf8(page.bytes).unwrap();
        for line in text.lines().filter(|line| line.starts_with(['.', '\''])) {
            let request = line.split_whitespace().next().unwrap_or_default();
            assert!(KNOWN.contains(&request), "{}: {line}", page.path);
        }
    }
}

#[test]
fn bash_completes_commands_and_flags() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("coracle.bash");
    fs::write(&file, text("completions/coracle.bash")).unwrap();
    let complete = |words: &str, last: usize| {
        let script = format!(
            "source \"$1\"; COMP_WORDS=({words}); COMP_CWORD={last}; COMPREPLY=(); \
             _coracle coracle \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{}]}}\"; \
             echo \"${{COMPREPLY[@]}}\"",
            last - 1
        );
        let output = Command::new("bash")
            .args(["-c", &script, "bash"])
            .arg(&file)
            .output()
            .expect("bash");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(complete("coracle ser", 1).trim(), "serve");
    assert!(complete("coracle tag ''", 2).contains("rollback"));
    assert!(complete("coracle gc --dr", 2).contains("--dry-run"));
}

#[test]
fn zsh_and_fish_know_the_commands() {
    for (file, word) in [
        ("_coracle", "rollback:"),
        ("coracle.fish", "-a \"rollback\""),
    ] {
        let text = text(&format!("completions/{file}"));
        assert!(text.contains(word), "{word} in {file}");
    }
}
