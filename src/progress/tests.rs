//! What progress looks like, in each style.

use std::sync::{Arc, Mutex};

use super::*;

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn line(done: u64, total: Option<u64>, millis: u64, unit: Unit) -> String {
    let elapsed = Duration::from_millis(millis);
    let state = State {
        done,
        total,
        elapsed,
    };
    state.line("hashing", unit)
}

#[test]
fn lines() {
    let blobs = Unit::Items("blobs");
    let cases = [
        (line(0, None, 0, blobs), "hashing: 0 blobs"),
        (line(7, None, 1000, blobs), "hashing: 7 blobs, 7/s"),
        (
            line(10, Some(40), 2000, blobs),
            "hashing: 10 of 40 blobs, 25 %, 5/s, 6 s left",
        ),
        (
            line(40, Some(40), 2000, blobs),
            "hashing: 40 of 40 blobs, 100 %, 20/s",
        ),
        (line(0, Some(0), 0, blobs), "hashing: 0 of 0 blobs, 100 %"),
        (
            line(1 << 30, Some(3 << 30), 1000, Unit::Bytes),
            "hashing: 1.0 GiB of 3.0 GiB, 33 %, 1.0 GiB/s, 2 s left",
        ),
        (
            line(1, Some(7200), 1000, Unit::Bytes),
            "hashing: 1 B of 7.0 KiB, 0 %, 1 B/s, 1 h 59 min left",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(line, expected);
    }
}

#[test]
fn no_number_is_too_large() {
    let line = line(u64::MAX, Some(u64::MAX), 101, Unit::Bytes);
    assert!(
        line.starts_with("hashing: 16383.9 PiB of 16383.9 PiB, 100 %"),
        "{line}"
    );
}

#[test]
fn silence_is_silent() {
    let output = Output::default();
    let mut progress = Progress::new(
        Box::new(output.clone()),
        Style::Silent,
        "x",
        Unit::Bytes,
        None,
    );
    progress.advance(1);
    progress.finish();
    assert_eq!(output.text(), "");
}

#[test]
fn the_last_line_is_always_shown_and_ended() {
    for (style, begin) in [
        (Style::Redrawn, "\rchecking: 3 of 3 rows, 100 %"),
        (Style::Lines, "checking: 3 of 3 rows, 100 %"),
    ] {
        let output = Output::default();
        let mut progress = Progress::new(
            Box::new(output.clone()),
            style,
            "checking",
            Unit::Items("rows"),
            Some(3),
        );
        progress.advance(3);
        progress.finish();
        let text = output.text();
        assert!(text.contains(begin), "{text:?}");
        assert!(text.ends_with('\n'), "{text:?}");
    }
}
