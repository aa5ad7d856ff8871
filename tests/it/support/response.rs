//! A response as it came over the wire, and the checks tests make on it.
//!
//! The reader is strict: a body that is shorter than its Content-Length, a chunk without its end,
//! two lengths or a head that is not HTTP/1.1 are errors, because clients in the field fail on
//! them.

use serde_json::Value;
use std::fmt;
use std::io::{self, BufRead, Read};

/// One complete response, with the request that led to it for messages of failure.
#[derive(Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names and values in the order of arrival, names as they were written.
    pub headers: Vec<(String, String)>,
    /// The body after its framing was taken off; empty for HEAD, 204 and 304.
    pub body: Vec<u8>,
    /// Status codes of the 1xx responses that came before.
    pub interim: Vec<u16>,
    /// The head of the request that was answered.
    pub request: String,
}

impl Response {
    /// Reads one response. `request` is the request's head; a HEAD request has no response body.
    pub fn read(stream: &mut impl BufRead, request: &str) -> io::Result<Response> {
        let mut interim = Vec::new();
        loop {
            let (status, headers) = read_head(stream)?;
            if (100..200).contains(&status) {
                interim.push(status);
                continue;
            }
            let mut response = Response {
                status,
                headers,
                body: Vec::new(),
                interim,
                request: request.to_owned(),
            };
            if !request.starts_with("HEAD ") && !matches!(status, 204 | 304) {
                response.body = response.read_body(stream)?;
            }
            return Ok(response);
        }
    }

    fn read_body(&self, stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        match (
            self.headers("content-length")[..].as_ref(),
            self.header("transfer-encoding"),
        ) {
            ([length], None) => {
                let length: u64 = length.parse().map_err(|_| bad("Content-Length", length))?;
                stream.take(length).read_to_end(&mut body)?;
                if body.len() as u64 != length {
                    return Err(bad("body", &format!("{} of {length} bytes", body.len())));
                }
            }
            ([], Some("chunked")) => while read_chunk(stream, &mut body)? {},
            ([], None) => {
                stream.read_to_end(&mut body)?;
            }
            (lengths, coding) => return Err(bad("framing", &format!("{lengths:?} {coding:?}"))),
        }
        Ok(body)
    }

    /// The value of a header that must not appear twice.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.headers(name);
        assert!(
            values.len() <= 1,
            "{name} appears {} times\n{self}",
            values.len()
        );
        values.first().copied()
    }

    /// All values of a header, in order.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let same = |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(same)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The body as text; bytes that are not UTF-8 become replacement characters.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON: {e}\n{self}"))
    }

    /// Fails unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Response {
        assert_eq!(self.status, status, "unexpected status\n{self}");
        self
    }

    /// Fails unless the header has exactly this value.
    #[track_caller]
    pub fn expect_header(self, name: &str, value: &str) -> Response {
        assert_eq!(self.header(name), Some(value), "unexpected {name}\n{self}");
        self
    }

    /// Fails unless the body is exactly this.
    #[track_caller]
    pub fn expect_body(self, body: impl AsRef<[u8]>) -> Response {
        assert!(self.body == body.as_ref(), "unexpected body\n{self}");
        self
    }

    /// Fails unless this is an error response of that status whose first error has that code, in
    /// the form of the specification's section "Error Codes".
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Response {
        let response = self.expect(status);
        if !response.request.starts_with("HEAD ") {
            let error = &response.json()["errors"][0];
            assert_eq!(error["code"], code, "unexpected error code\n{response}");
            assert!(error["message"].is_string(), "no message\n{response}");
        }
        response
    }

    /// The path and query of the Location header, whether it came absolute or relative.
    #[track_caller]
    pub fn location(&self) -> String {
        let location = self
            .header("location")
            .unwrap_or_else(|| panic!("no Location\n{self}"));
        match location.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]).to_owned(),
            None => location.to_owned(),
        }
    }
}

/// Request and full response, for messages of failure; long or binary bodies are cut short.
impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_MAX: usize = 4096;
        writeln!(f, "--- request\n{}", self.request.trim_end())?;
        writeln!(f, "--- response\nHTTP/1.1 {}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        let shown = &self.body[..self.body.len().min(SHOWN_MAX)];
        writeln!(f, "\n{}", String::from_utf8_lossy(shown))?;
        write!(f, "--- body of {} bytes", self.body.len())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn read_head(stream: &mut impl BufRead) -> io::Result<(u16, Vec<(String, String)>)> {
    let line = read_line(stream)?;
    let status = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    let status = status
        .and_then(|s| s.parse().ok())
        .ok_or_else(|| bad("status line", &line))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            return Ok((status, headers));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| bad("header", &line))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// Appends one chunk; false at the last one, whose trailers are read and dropped.
fn read_chunk(stream: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<bool> {
    let line = read_line(stream)?;
    let size = u64::from_str_radix(&line, 16).map_err(|_| bad("chunk size", &line))?;
    if size == 0 {
        while !read_line(stream)?.is_empty() {}
        return Ok(false);
    }
    if stream.take(size).read_to_end(body)? as u64 != size {
        return Err(bad("chunk", "ended early"));
    }
    match read_line(stream)?.as_str() {
        "" => Ok(true),
        other => Err(bad("end of chunk", other)),
    }
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    match line.strip_suffix(b"\r\n") {
        Some(text) => Ok(String::from_utf8_lossy(text).into_owned()),
        None if line.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
        None => Err(bad("line", &String::from_utf8_lossy(&line))),
    }
}

fn bad(what: &str, value: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("bad {what} in a response: {value:?}"),
    )
}
