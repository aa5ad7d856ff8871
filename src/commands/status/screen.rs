//! A terminal that shows one page, which is drawn over again and again. It is given back as it was
//! when this is dropped.

use std::io::{self, Write};

use rustix::termios::tcgetwinsize;

/// The size of a terminal that does not tell it.
const USUAL: (usize, usize) = (80, 24);

/// The other page of the terminal, without a cursor; and back.
const OPEN: &[u8] = b"\x1b[?1049h\x1b[?25l";
const CLOSE: &[u8] = b"\x1b[?25h\x1b[?1049l";

/// The terminal on standard output.
pub(super) struct Screen(());

impl Screen {
    /// Turns to the other page.
    pub(super) fn open() -> io::Result<Self> {
        let mut out = io::stdout().lock();
        out.write_all(OPEN)?;
        out.flush()?;
        Ok(Self(()))
    }

    /// Draws these lines, as many and as much of them as there is room for.
    #[expect(clippy::unused_self, reason = "there must be one to be drawn on")]
    pub(super) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let size = tcgetwinsize(io::stdout()).map(|size| (size.ws_col.into(), size.ws_row.into()));
        let size = size
            .ok()
            .filter(|(columns, rows)| *columns > 0 && *rows > 0);
        let mut out = io::stdout().lock();
        out.write_all(page(lines, size.unwrap_or(USUAL)).as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        // Where this fails the terminal is gone.
        let _ = out.write_all(CLOSE).and_then(|()| out.flush());
    }
}

/// What draws these lines over what is there.
fn page(lines: &[String], (columns, rows): (usize, usize)) -> String {
    let mut page = "\x1b[H".to_owned();
    for (at, line) in lines.iter().take(rows).enumerate() {
        if at > 0 {
            page.push_str("\r\n");
        }
        page.extend(line.chars().take(columns));
        page.push_str("\x1b[K");
    }
    page.push_str("\x1b[J");
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_fits_on_the_terminal_and_leaves_nothing_of_the_last() {
        let lines = [
            "one".to_owned(),
            "a long line".to_owned(),
            "three".to_owned(),
        ];
        assert_eq!(
            page(&lines, (6, 2)),
            "\x1b[Hone\x1b[K\r\na long\x1b[K\x1b[J"
        );
        assert_eq!(page(&[], (6, 2)), "\x1b[H\x1b[J");
    }
}
