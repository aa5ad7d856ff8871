//! Passwords from a person, who types them unseen, or from a program, which sends them on standard
//! input. They are never an argument: arguments are seen by everybody on the host.

use std::io::{self, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::auth::secret::Secret;

/// The longest password that is read, in bytes; what may be set is shorter.
const BYTES_MAX: usize = 1024;

/// Reads a new password: from standard input as it is, or twice from a person.
///
/// # Errors
/// There is no terminal, the two differ, the person gave up, or it is no text or too long.
pub(super) fn new_password(from_stdin: bool, user: &str) -> io::Result<Secret> {
    if from_stdin {
        return read_all(io::stdin().lock());
    }
    if !io::stdin().is_terminal() {
        return Err(io::Error::other(
            "a password can only be typed on a terminal; send it with --password-stdin",
        ));
    }
    let first = ask(&format!("new password of {user}: "))?;
    let second = ask("the same again: ")?;
    if first != second {
        return Err(io::Error::other(
            "the two passwords differ; nothing was changed",
        ));
    }
    Ok(first)
}

/// Asks on the terminal, showing nothing of what is typed.
fn ask(question: &str) -> io::Result<Secret> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(question.as_bytes())?;
    stderr.flush()?;
    let hidden = Hidden::begin()?;
    let typed = read_typed(io::stdin().lock().bytes());
    drop(hidden);
    // The line break that was typed was not shown either.
    writeln!(stderr)?;
    typed
}

/// A terminal that shows nothing and hands on each key, until it is dropped. Its signals are off:
/// an interrupt would end the program and leave the terminal like this.
struct Hidden {
    usual: Termios,
}

impl Hidden {
    fn begin() -> io::Result<Self> {
        let usual = tcgetattr(io::stdin())?;
        let mut modes = usual.clone();
        modes
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(io::stdin(), OptionalActions::Flush, &modes)?;
        Ok(Self { usual })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Where this fails the terminal is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.usual);
    }
}

/// Reads keys up to the end of the line, with what a person expects of a line: backspace, Ctrl-U
/// (start again), Ctrl-C (give up), Ctrl-D (end).
fn read_typed(keys: impl Iterator<Item = io::Result<u8>>) -> io::Result<Secret> {
    let mut line = Vec::new();
    for key in keys {
        match key? {
            b'\n' | b'\r' => return text(line),
            0x03 => return Err(io::Error::new(io::ErrorKind::Interrupted, "given up")),
            0x04 if !line.is_empty() => return text(line),
            0x04 => break,
            0x08 | 0x7f => {
                // One character, however many bytes it has.
                while let Some(byte) = line.pop() {
                    if byte & 0xc0 != 0x80 {
                        break;
                    }
                }
            }
            0x15 => line.clear(),
            key => line.push(key),
        }
        if line.len() > BYTES_MAX {
            return Err(too_long());
        }
    }
    Err(io::Error::other("no password was given"))
}

/// Reads all of a stream, which is a password and perhaps a line's end.
fn read_all(input: impl Read) -> io::Result<Secret> {
    let mut line = Vec::new();
    input.take(BYTES_MAX as u64 + 3).read_to_end(&mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    if line.len() > BYTES_MAX {
        return Err(too_long());
    }
    if line.is_empty() {
        return Err(io::Error::other("no password came on standard input"));
    }
    if line.contains(&b'\n') {
        return Err(io::Error::other(
            "more than one line came on standard input; send the password alone",
        ));
    }
    text(line)
}

fn text(line: Vec<u8>) -> io::Result<Secret> {
    let text = String::from_utf8(line);
    // The error of std would hold the bytes.
    text.map(Secret::new)
        .map_err(|_| io::Error::other("the password is not UTF-8; choose another"))
}

fn too_long() -> io::Error {
    io::Error::other(format!(
        "the password is longer than {BYTES_MAX} bytes; choose a shorter one"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> Result<String, String> {
        let keys = keys.iter().map(|key| Ok(*key));
        let line = read_typed(keys).map_err(|error| error.to_string());
        line.map(|line| line.reveal().to_owned())
    }

    fn sent(bytes: &[u8]) -> Result<String, String> {
        let line = read_all(bytes).map_err(|error| error.to_string());
        line.map(|line| line.reveal().to_owned())
    }

    #[test]
    fn a_line_is_typed_as_on_any_terminal() {
        for (keys, line) in [
            (&b"hunter22\n"[..], "hunter22"),
            (b"hunter22\rmore", "hunter22"),
            (b"hunx\x7fter22\n", "hunter22"),
            ("hun\u{e9}\x08ter22\n".as_bytes(), "hunter22"),
            (b"\x7f\x7fa\n", "a"),
            (b"wrong\x15hunter22\n", "hunter22"),
            (b"hunter22\x04", "hunter22"),
            (b"\n", ""),
            (b" a b \n", " a b "),
        ] {
            assert_eq!(typed(keys).as_deref(), Ok(line));
        }
        for keys in [&b"hunter22\x03\n"[..], b"\x04", b"hunter22", b"", b"\xff\n"] {
            let said = typed(keys).unwrap_err();
            assert!(!said.contains("hunter22"), "{said}");
        }
        assert!(typed(&b"x".repeat(2000)).unwrap_err().contains("1024"));
    }

    #[test]
    fn a_program_sends_one_line() {
        for (bytes, line) in [
            (&b"hunter22"[..], "hunter22"),
            (b"hunter22\n", "hunter22"),
            (b"hunter22\r\n", "hunter22"),
            (b" a b ", " a b "),
        ] {
            assert_eq!(sent(bytes).as_deref(), Ok(line));
        }
        for bytes in [
            &b""[..],
            b"\n",
            b"hunter22\nmore",
            b"\xff",
            &b"x".repeat(2000),
        ] {
            let said = sent(bytes).unwrap_err();
            assert!(!said.contains("hunter22"), "{said}");
        }
    }
}
