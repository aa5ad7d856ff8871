//! Lists for people, in columns, and for programs, as JSON; sizes as people read them.

use std::io::{self, Write};

use serde::Serialize;

use crate::serve::Error;

/// A table whose columns grow with what comes.
pub(super) struct Table {
    columns: &'static [Column],
    widths: Vec<usize>,
    is_begun: bool,
}

/// A column: its title, and whether it holds numbers.
pub(super) type Column = (&'static str, Align);

/// On which side the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

impl Table {
    /// A table with these columns.
    pub(super) fn new(columns: &'static [Column]) -> Self {
        Self {
            columns,
            widths: columns.iter().map(|(title, _)| title.len()).collect(),
            is_begun: false,
        }
    }

    /// Writes rows, below the titles when they are the first.
    pub(super) fn write(&mut self, out: &mut impl Write, rows: &[Vec<String>]) -> io::Result<()> {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if !self.is_begun && !rows.is_empty() {
            self.is_begun = true;
            let titles = self.columns.iter().map(|(title, _)| (*title).to_owned());
            self.line(out, &titles.collect::<Vec<_>>())?;
        }
        rows.iter().try_for_each(|row| self.line(out, row))
    }

    fn line(&self, out: &mut impl Write, cells: &[String]) -> io::Result<()> {
        let mut line = String::new();
        for ((cell, width), (_, align)) in cells.iter().zip(&self.widths).zip(self.columns) {
            let cell = match align {
                Align::Left => format!("{cell:<width$}  "),
                Align::Right => format!("{cell:>width$}  "),
            };
            line.push_str(&cell);
        }
        writeln!(out, "{}", line.trim_end())
    }
}

/// Prints a list that comes in pages: rows of a table, or all of it as one object of JSON under
/// `key`.
pub(super) fn print_pages<T: Serialize, P>(
    json: bool,
    key: &str,
    columns: &'static [Column],
    page: impl FnMut(Option<P>) -> Result<(Vec<T>, Option<P>), Error>,
    row: impl Fn(&T) -> Vec<String>,
) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    if json {
        let all = all(page)?;
        writeln!(out, "{}", serde_json::json!({ key: all }))?;
        return Ok(());
    }
    rows(&mut out, &mut Table::new(columns), page, row)
}

/// Writes a list that comes in pages as rows of a table.
pub(super) fn rows<T, P>(
    out: &mut impl Write,
    table: &mut Table,
    mut page: impl FnMut(Option<P>) -> Result<(Vec<T>, Option<P>), Error>,
    row: impl Fn(&T) -> Vec<String>,
) -> Result<(), Error> {
    let mut after = None;
    loop {
        let (items, next) = page(after)?;
        let rows: Vec<Vec<String>> = items.iter().map(&row).collect();
        table.write(out, &rows)?;
        after = next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// All of a list that comes in pages.
pub(super) fn all<T, P>(
    mut page: impl FnMut(Option<P>) -> Result<(Vec<T>, Option<P>), Error>,
) -> Result<Vec<T>, Error> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let (items, next) = page(after)?;
        all.extend(items);
        after = next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

/// The place after a page whose list goes on behind its last name.
pub(super) fn next<T>(items: &[T], more: bool, name: impl Fn(&T) -> &String) -> Option<String> {
    items.last().filter(|_| more).map(name).cloned()
}

/// A size in MiB.
pub(super) fn mib(bytes: u64) -> String {
    let tenths = (u128::from(bytes) * 10 + (1 << 19)) >> 20;
    if bytes > 0 && tenths == 0 {
        return "<0.1 MiB".to_owned();
    }
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// A number and what is counted: `1 tag`, `2 tags`.
pub(super) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// What stands in a cell without a value.
pub(super) fn or_dash(text: Option<&String>) -> String {
    text.map_or("-", String::as_str).to_owned()
}

/// A server of another version answered what was not asked.
pub(super) fn unexpected() -> Error {
    Error::Io(io::Error::other(
        "the server answered what was not asked for; is it of another version?",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let mut table = Table::new(&[("NAME", Align::Left), ("N", Align::Right)]);
        let mut out = Vec::new();
        let row = |name: &str, n: &str| vec![name.to_owned(), n.to_owned()];
        table.write(&mut out, &[]).expect("written");
        table
            .write(&mut out, &[row("a", "1"), row("a/long", "23")])
            .expect("written");
        table.write(&mut out, &[row("b", "4")]).expect("written");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "NAME     N\na        1\na/long  23\nb        4\n");
    }

    #[test]
    fn sizes_are_told_in_mib() {
        let mib_ = 1 << 20;
        let rows = [
            (0, "0.0 MiB"),
            (1, "<0.1 MiB"),
            (mib_ / 10, "0.1 MiB"),
            (mib_, "1.0 MiB"),
            (mib_ * 3 / 2, "1.5 MiB"),
            (mib_ * 1234, "1234.0 MiB"),
            (u64::MAX, "17592186044416.0 MiB"),
        ];
        for (bytes, told) in rows {
            assert_eq!(mib(bytes), told, "{bytes}");
        }
        assert_eq!(count(1, "tag"), "1 tag");
        assert_eq!(count(0, "tag"), "0 tags");
    }
}
