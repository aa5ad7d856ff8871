//! What reaches the log, byte for byte, and what happens when nobody reads it.

use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use log::Log;
use proptest::prelude::*;

use super::access::{Json, Text};
use super::*;

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<Vec<u8>>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// 2024-02-29T12:34:56.789Z
fn then() -> Timestamp {
    Timestamp::from_millisecond(1_709_210_096_789).unwrap()
}

fn style(format: Format, colour: bool) -> Style {
    Style {
        format,
        journal: false,
        colour,
        now: then,
    }
}

/// What is written for one record; each element is one write.
fn logged(style: Style, level: Level, target: &str, args: &std::fmt::Arguments<'_>) -> Vec<String> {
    let output = Output::default();
    let logger = build(LevelFilter::Debug, style, Box::new(output.clone()));
    let mut record = Record::builder();
    logger.log(&record.level(level).target(target).args(*args).build());
    let writes = output.0.lock().unwrap().clone();
    writes
        .into_iter()
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .collect()
}

const RECORD: AccessRecord<'_> = AccessRecord {
    method: "GET",
    path: "/v2/a/tags/list?n=3",
    status: 200,
    bytes_in: 0,
    bytes_out: 1234,
    duration: Duration::from_micros(1_234_567),
    client: "[::1]:40000",
    actor: "user:ada",
    user_agent: "skopeo/1.9.3",
    request_id: "0badcafe-00000001",
    trace_id: "",
    complete: true,
};

#[test]
fn lines_of_text() {
    let plain = style(Format::Text, false);
    assert_eq!(
        logged(
            plain,
            Level::Info,
            "coracle::http",
            &format_args!("listening on {}", 5)
        ),
        ["2024-02-29T12:34:56.789Z INFO  coracle::http: listening on 5\n"]
    );
    assert_eq!(
        logged(
            style(Format::Text, true),
            Level::Error,
            "a",
            &format_args!("b")
        ),
        ["2024-02-29T12:34:56.789Z \u{1b}[31mERROR\u{1b}[0m a: b\n"]
    );
    assert!(logged(plain, Level::Trace, "a", &format_args!("b")).is_empty());
}

#[test]
fn lines_of_json() {
    let json = style(Format::Json, false);
    assert_eq!(
        logged(
            json,
            Level::Warn,
            "a",
            &format_args!("say \"{}\"\n", "hi\\")
        ),
        [
            "{\"time\":\"2024-02-29T12:34:56.789Z\",\"level\":\"warn\",\"target\":\"a\",\
             \"message\":\"say \\\"hi\\\\\\\"\\n\"}\n"
        ]
    );
}

#[test]
fn lines_for_the_journal_begin_with_their_priority() {
    let of = |format, level| {
        let style = Style {
            journal: true,
            ..style(format, false)
        };
        logged(style, level, "a", &format_args!("b\nc"))
    };
    assert_eq!(of(Format::Text, Level::Error), ["<3>a: b\\nc\n"]);
    assert_eq!(of(Format::Text, Level::Warn), ["<4>a: b\\nc\n"]);
    assert_eq!(of(Format::Text, Level::Info), ["<6>a: b\\nc\n"]);
    assert_eq!(of(Format::Text, Level::Debug), ["<7>a: b\\nc\n"]);
    let json = of(Format::Json, Level::Warn).concat();
    assert!(json.starts_with("<4>{\"time\":"), "{json}");
}

#[test]
fn the_journal_is_known_by_device_and_inode() {
    assert!(names("8:4711", 8, 4711));
    for text in [
        "", "8", "8:", ":4711", "8:4712", "9:4711", "8:4711:1", "8:-1",
    ] {
        assert!(!names(text, 8, 4711), "{text}");
    }
}

#[test]
fn a_trace_is_named_where_there_is_one() {
    let record = AccessRecord {
        trace_id: "0af7651916cd43dd8448eb211c80319c",
        ..RECORD
    };
    let (text, json) = (Text(&record).to_string(), Json(&record).to_string());
    assert!(text.ends_with(" trace_id=0af7651916cd43dd8448eb211c80319c"));
    assert!(json.ends_with(",\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\""));
    assert!(!Text(&RECORD).to_string().contains("trace_id"));
}

#[test]
fn control_characters_never_reach_the_log() {
    let hostile = "a\r\n2024 INFO forged\u{1b}[2J\u{0}\u{9b}31m\u{202e}\u{2028}\u{7f}é";
    for format in [Format::Text, Format::Json] {
        let lines = logged(
            style(format, false),
            Level::Info,
            "t",
            &format_args!("{hostile}"),
        );
        assert_eq!(lines.len(), 1);
        let line = lines[0].strip_suffix('\n').unwrap();
        assert!(
            line.chars()
                .all(|c| !c.is_control() && c != '\u{202e}' && c != '\u{2028}')
        );
        assert!(line.contains('é'));
    }
    let text = logged(
        style(Format::Text, false),
        Level::Info,
        "t",
        &format_args!("{hostile}"),
    );
    assert!(text[0].ends_with(
        "t: a\\r\\n2024 INFO forged\\u{1b}[2J\\u{0}\\u{9b}31m\\u{202e}\\u{2028}\\u{7f}é\n"
    ));
}

#[test]
fn long_messages_are_cut_at_a_character() {
    let long = "é".repeat(MESSAGE_BYTES_MAX);
    let odd = format!("x{long}");
    for message in [&long, &odd] {
        let lines = logged(
            style(Format::Text, false),
            Level::Info,
            "t",
            &format_args!("{message}"),
        );
        assert!(lines[0].ends_with("é…\n"));
        assert!(lines[0].len() <= MESSAGE_BYTES_MAX + 64);
    }
    let pieces = logged(
        style(Format::Text, false),
        Level::Info,
        "t",
        &format_args!("{long}{odd}"),
    );
    assert!(pieces[0].ends_with("é…\n") || pieces[0].ends_with("é\n"));
    assert!(pieces[0].len() <= MESSAGE_BYTES_MAX + 64);
}

#[test]
fn access_records_as_text() {
    let args = Text(&RECORD);
    let plain = style(Format::Text, false);
    assert_eq!(
        logged(plain, Level::Info, ACCESS_TARGET, &format_args!("{args}")),
        [
            "2024-02-29T12:34:56.789Z INFO  access: method=GET path=/v2/a/tags/list?n=3 status=200 \
             bytes_in=0 bytes_out=1234 duration_ms=1234.567 client=[::1]:40000 \
             actor=user:ada user_agent=skopeo/1.9.3 request_id=0badcafe-00000001 complete=true\n"
        ]
    );
}

#[test]
fn access_records_as_json() {
    let args = Json(&RECORD);
    let lines = logged(
        style(Format::Json, false),
        Level::Info,
        ACCESS_TARGET,
        &format_args!("{args}"),
    );
    assert_eq!(lines.len(), 1);
    let value: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    let expected = serde_json::json!({
        "time": "2024-02-29T12:34:56.789Z", "level": "info", "target": "access",
        "message": "request", "method": "GET", "path": "/v2/a/tags/list?n=3", "status": 200,
        "bytes_in": 0, "bytes_out": 1234, "duration_ms": 1234.567, "client": "[::1]:40000",
        "actor": "user:ada", "user_agent": "skopeo/1.9.3", "request_id": "0badcafe-00000001", "complete": true,
    });
    assert_eq!(value, expected);
}

#[test]
fn what_clients_send_stays_within_its_field_of_the_access_log() {
    let record = AccessRecord {
        path: "/a b\" status=500 \\",
        user_agent: "x\ny=\"z\"\u{1b}[0m",
        client: "",
        ..RECORD
    };
    let text = Text(&record).to_string();
    assert!(
        text.contains(r#"path="/a b\" status=500 \\" status=200 "#),
        "{text}"
    );
    assert!(
        text.contains(r#"client="" actor=user:ada user_agent="x\ny=\"z\"\u{1b}[0m" request_id="#),
        "{text}"
    );
    let line = format!("{{{}}}", Json(&record));
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["path"], record.path);
    assert_eq!(value["user_agent"], record.user_agent);
}

#[test]
fn an_access_record_is_one_small_write_whatever_clients_send() {
    let nasty = "\u{1}".repeat(100_000);
    let record = AccessRecord {
        method: &nasty,
        path: &nasty,
        client: &nasty,
        user_agent: &nasty,
        request_id: &nasty,
        ..RECORD
    };
    assert!(Text(&record).to_string().len() < 16 << 10);
    assert!(Json(&record).to_string().len() < 16 << 10);
    let long = "x".repeat(100_000);
    let record = AccessRecord {
        method: &long,
        path: &long,
        user_agent: &long,
        ..RECORD
    };
    assert!(Text(&record).to_string().len() < 2048);
}

proptest! {
    #[test]
    fn json_lines_are_json_whatever_is_logged(path in "(?s).{0,200}", agent in "\\PC{0,50}") {
        let record = AccessRecord { path: &path, user_agent: &agent, ..RECORD };
        let args = Json(&record);
        let style = style(Format::Json, false);
        let access = logged(style, Level::Info, ACCESS_TARGET, &format_args!("{args}"));
        let value: serde_json::Value = serde_json::from_str(&access[0]).unwrap();
        prop_assert_eq!(value["path"].as_str().unwrap(), &path);
        let other = logged(style, Level::Info, &agent, &format_args!("{path}"));
        let value: serde_json::Value = serde_json::from_str(&other[0]).unwrap();
        prop_assert_eq!(value["message"].as_str().unwrap(), &path);
        prop_assert_eq!(access[0].matches('\n').count(), 1);
    }
}

#[test]
fn audit_records_name_what_is_known_and_nothing_else() {
    let record = AuditRecord {
        attempted: "ada\" actor=root\n",
        client: "192.0.2.7",
        outcome: "refused",
        reason: "wrong name or password",
        ..AuditRecord::new(Event::LoginFailed)
    };
    let text = super::audit::Text(&record).to_string();
    assert_eq!(
        text,
        r#"event=login_failed attempted="ada\" actor=root\n" client=192.0.2.7 outcome=refused reason="wrong name or password""#
    );
    let args = super::audit::Json(&record);
    let json = style(Format::Json, false);
    let lines = logged(json, Level::Info, AUDIT_TARGET, &format_args!("{args}"));
    let value: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    let expected = serde_json::json!({
        "time": "2024-02-29T12:34:56.789Z", "level": "info", "target": "audit",
        "message": "audit", "event": "login_failed", "attempted": record.attempted,
        "client": "192.0.2.7", "outcome": "refused", "reason": "wrong name or password",
    });
    assert_eq!(value, expected);
    let long = "x".repeat(100_000);
    let record = AuditRecord {
        actor: &long,
        reference: &long,
        ..record
    };
    assert!(super::audit::Text(&record).to_string().len() < 1024);
}

/// A pipe whose writing end is a sink, and its reading end.
fn piped(format: Format) -> (File, Sink) {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    (reader.into(), Sink::new(Some(writer.into()), format, then))
}

/// Writes lines until some were lost, and returns how many were written before.
fn fill(sink: &mut Sink) -> usize {
    let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
    for count in 0..100_000 {
        sink.write_all(&line).unwrap();
        if sink.lost() > 0 {
            return count;
        }
    }
    panic!("the pipe never filled");
}

#[test]
fn a_reader_that_stopped_loses_lines_and_is_told_how_many() {
    let (mut reader, mut sink) = piped(Format::Text);
    let written = fill(&mut sink);
    for _ in 0..1000 {
        sink.write_all(b"lost too\n").unwrap();
    }
    assert_eq!(sink.lost(), 1001);
    let mut read = vec![0; written * 1024];
    reader.read_exact(&mut read).unwrap();
    sink.write_all(b"heard again\n").unwrap();
    assert_eq!(sink.lost(), 0);
    drop(sink);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(
        rest,
        "2024-02-29T12:34:56.789Z WARN  coracle::logging: 1001 log lines were lost because \
         nothing read them\nheard again\n"
    );
}

#[test]
fn a_line_that_was_cut_off_is_ended_before_the_next() {
    let (mut reader, mut sink) = piped(Format::Json);
    sink.write_all(&b"y".repeat(1 << 20)).unwrap();
    assert_eq!(sink.lost(), 1);
    let mut read = vec![0; 1 << 16];
    reader.read_exact(&mut read).unwrap();
    assert!(read.iter().all(|byte| *byte == b'y'));
    sink.write_all(b"next\n").unwrap();
    drop(sink);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    let lines: Vec<&str> = rest.lines().collect();
    let note: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
    assert_eq!(
        note["message"],
        "1 log lines were lost because nothing read them"
    );
    assert_eq!(lines[2..], ["next"]);
}

#[test]
fn a_reader_that_is_gone_is_no_error() {
    let (reader, mut sink) = piped(Format::Text);
    drop(reader);
    sink.write_all(b"x\n").unwrap();
    let mut none = Sink::new(None, Format::Text, then);
    none.write_all(b"x\n").unwrap();
}
