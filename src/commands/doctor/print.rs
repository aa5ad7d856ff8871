//! The report for people, or as one object of JSON.

use std::io::{self, Write};

use super::Report;

/// Columns in which text is set.
const COLUMNS: usize = 100;
/// Where the text of a finding begins: behind its level and what was looked at.
const INDENT: usize = 21;

/// Prints the report.
pub(super) fn print(report: &Report, as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        serde_json::to_writer(&mut out, report)?;
        return writeln!(out);
    }
    for finding in &report.findings {
        let head = format!("{:<6}{:<15}", finding.level.as_str(), finding.check);
        writeln!(out, "{}", set(&head, &finding.message))?;
        if let Some(advice) = &finding.advice {
            let head = format!("{:>width$}", "-> ", width = INDENT);
            writeln!(out, "{}", set(&head, advice))?;
        }
    }
    let clients = &report.clients;
    if !clients.lines.is_empty() {
        writeln!(out, "\nClients of {}:", clients.host)?;
    }
    for client in &clients.lines {
        writeln!(out, "\n{}: {}", client.client, client.note)?;
        for line in client.text.lines() {
            writeln!(out, "{}", format!("    {line}").trim_end())?;
        }
    }
    Ok(())
}

/// A text behind `head`, broken into lines that begin below its first one.
fn set(head: &str, text: &str) -> String {
    let mut lines = String::from(head);
    let mut column = head.chars().count();
    for (number, word) in text.split_whitespace().enumerate() {
        let length = word.chars().count();
        if number > 0 && column + 1 + length > COLUMNS {
            lines.push('\n');
            lines.push_str(&" ".repeat(INDENT));
            column = INDENT;
        } else if number > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_go_on_below_their_beginning() {
        let text = set(&" ".repeat(INDENT), &"word ".repeat(40));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() == 3 && lines.iter().all(|line| line.len() <= COLUMNS));
        assert!(lines.iter().all(|line| line.find("word") == Some(INDENT)));
        assert_eq!(set("a ", ""), "a ");
    }
}
