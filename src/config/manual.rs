//! The table of settings as a manual page: `coracle.toml(5)`, in the macros of man(7).

use std::fmt::Write as _;

use super::file::TABLES;
use super::load::{CONFIG_VARIABLE, Effective};
use super::settings::SECTIONS;
use super::{Key, Value};
use crate::clock::made_on;

/// The page, with every key: its meaning, default, bounds, variable and flag.
pub fn manual_page() -> String {
    let (version, date) = (env!("CARGO_PKG_VERSION"), made_on());
    let mut page = Page(format!(
        ".TH coracle.toml 5 {date} \"coracle {version}\" Coracle\n"
    ));
    page.heading("NAME");
    // What mandb and lexgrog take apart.
    page.0
        .push_str("coracle.toml \\- settings of the container registry coracle\n");
    page.heading("DESCRIPTION");
    page.text(&format!(
        "A configuration file of coracle(1), in TOML. It is named by --config or by the variable \
         {CONFIG_VARIABLE}; without it every setting has its default. Each key can also be set by \
         an environment variable, and some by a flag: flags win over variables, and variables over \
         the file. A key that does not exist, and a value out of its bounds, are errors in \
         whichever of them they stand. Sizes may be written as \"4MiB\", durations as \"24h\"."
    ));
    page.text(
        "`coracle config default` prints a file with every key at its default, `coracle config \
         check` tells what is wrong with one, and `coracle config show` what holds and where it \
         comes from.",
    );
    page.settings();
    page.heading("TABLES");
    for kind in TABLES {
        page.literal(kind.example.trim_end());
    }
    page.heading("SEE ALSO");
    page.0
        .push_str(".BR coracle (1),\n.BR coracle\\-config (1)\n");
    page.0
}

struct Page(String);

impl Page {
    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // A text grows without fail.
        let _ = self.0.write_fmt(text);
    }

    fn heading(&mut self, title: &str) {
        self.push(format_args!(".SH \"{}\"\n", escape(title)));
    }

    /// A paragraph.
    fn text(&mut self, text: &str) {
        self.push(format_args!(".PP\n{}\n", line(text)));
    }

    /// Lines as they stand.
    fn literal(&mut self, text: &str) {
        self.0.push_str(".PP\n.nf\n");
        for own in text.lines() {
            self.0.push_str(&line(own));
            self.0.push('\n');
        }
        self.0.push_str(".fi\n");
    }

    fn settings(&mut self) {
        let defaults = Effective::defaults();
        for (section, meaning) in SECTIONS {
            self.heading(&format!("[{section}]"));
            self.text(meaning);
            for (key, value, _) in defaults
                .entries()
                .filter(|(key, ..)| key.section == *section)
            {
                self.setting(key, value);
            }
        }
    }

    fn setting(&mut self, key: &Key, value: &Value) {
        let default = match value.to_toml(&key.kind) {
            Some(value) => format!("{} = {value}", key.name),
            None => format!("{} (not set)", key.name),
        };
        let flag = key
            .flag
            .map_or_else(String::new, |flag| format!(" or {flag}"));
        self.push(format_args!(
            ".TP\n\\fB{}\\fR\n{}\n.br\n{}\n",
            escape(&default),
            line(key.doc),
            line(&format!("{}. {}{flag}", key.kind.allowed(), key.variable()))
        ));
    }
}

/// A line of text: nothing in it is taken for a request.
fn line(text: &str) -> String {
    let text = escape(text);
    match text.chars().next() {
        Some('.' | '\'') => format!("\\&{text}"),
        _ => text,
    }
}

/// The characters that have a meaning in man(7), or that a typesetter would make pretty where a
/// reader wants to copy them.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for own in text.chars() {
        match own {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '"' => out.push_str("\\(dq"),
            '\'' => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '~' => out.push_str("\\(ti"),
            '^' => out.push_str("\\(ha"),
            '…' => out.push_str("..."),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;

    #[test]
    fn the_page_has_every_key_with_its_variable() {
        let page = manual_page();
        for key in KEYS {
            assert!(page.contains(&escape(&key.variable())), "{}", key.path());
            assert!(page.contains(&line(key.doc)), "{}", key.path());
        }
        for kind in TABLES {
            assert!(
                page.contains(&format!("[[{}]]", kind.name)),
                "{}",
                kind.name
            );
        }
    }

    #[test]
    fn no_text_is_taken_for_a_request() {
        assert_eq!(line(".TH \\fB"), "\\&.TH \\efB");
        assert_eq!(line("'x' a-b"), "\\(aqx\\(aq a\\-b");
        let requests = [".TH", ".SH", ".PP", ".TP", ".br", ".nf", ".fi", ".BR"];
        for own in manual_page()
            .lines()
            .filter(|own| own.starts_with(['.', '\'']))
        {
            assert!(
                requests.iter().any(|request| own.starts_with(request)),
                "{own}"
            );
        }
    }
}
