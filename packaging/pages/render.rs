//! Manual pages and completions as the program itself knows them: from the definition of its
//! command line and from the table of its settings. Only makes texts; `main.rs` writes them.

use std::io;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use coracle::cli::Cli;
use coracle::clock::made_on;
use coracle::config::manual_page;

/// A file, by its path below the folder that is written.
pub struct Page {
    /// `man/coracle-serve.1`, `completions/coracle.bash`.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// All of them: a manual page for each command, one for the configuration file, and completions
/// for three shells.
///
/// # Errors
/// Never in practice: they are written to memory.
pub fn all() -> io::Result<Vec<Page>> {
    let mut pages = Vec::new();
    // `coracle help` stands in its parent's page.
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    manuals(&root, &mut pages)?;
    pages.push(Page {
        path: "man/coracle.toml.5".to_owned(),
        bytes: manual_page().into_bytes(),
    });
    for (shell, name) in [
        (Shell::Bash, "coracle.bash"),
        (Shell::Zsh, "_coracle"),
        (Shell::Fish, "coracle.fish"),
    ] {
        let mut bytes = Vec::new();
        generate(shell, &mut Cli::command(), "coracle", &mut bytes);
        pages.push(Page {
            path: format!("completions/{name}"),
            bytes,
        });
    }
    Ok(pages)
}

/// The page of a command, and those of the commands below it.
fn manuals(command: &Command, pages: &mut Vec<Page>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or("coracle").to_owned();
    let below: Vec<&Command> = command
        .get_subcommands()
        .filter(|own| !own.is_hide_set())
        .collect();
    let man = Man::new(command.clone())
        .date(made_on())
        .source(concat!("coracle ", env!("CARGO_PKG_VERSION")))
        .manual("Coracle");
    let mut bytes = Vec::new();
    man.render_title(&mut bytes)?;
    man.render_name_section(&mut bytes)?;
    man.render_synopsis_section(&mut bytes)?;
    man.render_description_section(&mut bytes)?;
    man.render_options_section(&mut bytes)?;
    if !below.is_empty() {
        man.render_subcommands_section(&mut bytes)?;
    }
    bytes.extend(closing(command).into_bytes());
    bytes.extend(see_also(&name, &below).into_bytes());
    pages.push(Page {
        path: format!("man/{name}.1"),
        bytes,
    });
    below.into_iter().try_for_each(|own| manuals(own, pages))
}

/// What closes the help text: paragraphs, and lists that begin with a title such as `Examples:`.
fn closing(command: &Command) -> String {
    let text = command
        .get_after_long_help()
        .or_else(|| command.get_after_help());
    let text = text.map(ToString::to_string).unwrap_or_default();
    text.split("\n\n").map(paragraph).collect()
}

/// A paragraph, or a list under its title.
fn paragraph(text: &str) -> String {
    match text.trim_end().split_once(":\n") {
        Some((title, list)) if !title.contains('\n') => {
            let lines = list.lines().map(|line| escape(line) + "\n");
            let (title, list) = (title.to_uppercase(), lines.collect::<String>());
            format!(".SH \"{title}\"\n.nf\n{list}.fi\n")
        }
        _ if text.trim().is_empty() => String::new(),
        _ => format!(".PP\n{}\n", escape(&text.replace('\n', " "))),
    }
}

fn see_also(name: &str, below: &[&Command]) -> String {
    let mut names: Vec<String> = name
        .rmatch_indices('-')
        .map(|(at, _)| name[..at].to_owned())
        // `coracle-garbage` is no command.
        .filter(|own| own != "coracle-garbage")
        .map(|own| format!("{own}(1)"))
        .collect();
    names.extend(
        below
            .iter()
            .filter_map(|own| Some(format!("{}(1)", own.get_display_name()?))),
    );
    names.push("coracle.toml(5)".to_owned());
    format!(".SH \"SEE ALSO\"\n{}\n", escape(&names.join(", ")))
}

/// A line in which nothing is a request, and in which a dash is one that can be copied.
fn escape(line: &str) -> String {
    let mut out = String::new();
    if line.starts_with(['.', '\'']) {
        out.push_str("\\&");
    }
    for own in line.chars() {
        match own {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '…' => out.push_str("..."),
            other => out.push(other),
        }
    }
    out
}
