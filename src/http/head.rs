//! Request heads: from bytes to method, target, headers and framing, strictly (RFC 9112).
//!
//! Pure functions. What two servers in a row could read in two ways is refused here: bare line
//! feeds, folded lines, two lengths, a length beside a coding.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use super::headers::Headers;
use super::limits::Limits;
use super::request::Method;
use super::scan::Scan;

/// A request head that keeps all the rules.
#[derive(Debug, Clone)]
pub struct Head {
    /// The method, where it is one that has a name here.
    pub method: Method,
    /// The method exactly as it was sent.
    pub method_token: Cow<'static, str>,
    /// The target's path, still percent-encoded; `*` for the asterisk form, the authority for
    /// CONNECT.
    pub path: String,
    /// The target's query, still percent-encoded.
    pub query: Option<String>,
    /// The header fields.
    pub headers: Headers,
    /// Where the body ends.
    pub length: BodyLength,
    /// Whether the client wants the connection to stay open after this request.
    pub keep_alive: bool,
    /// Whether the request is HTTP/1.0.
    pub is_http_1_0: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

impl Head {
    /// About how many bytes of memory it holds.
    pub(super) fn bytes(&self) -> usize {
        let fields = self.headers.iter();
        let fields: usize = fields.map(|(name, value)| name.len() + value.len()).sum();
        self.path.len() + self.query.as_ref().map_or(0, String::len) + fields
    }
}

/// How the length of a request body is given (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// This many bytes; zero without any framing header.
    Known(u64),
    /// The chunked coding says where it ends.
    Chunked,
}

/// Why bytes are not a request head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadError {
    /// 400, 414, 417, 431 or 505.
    pub status: u16,
    /// A sentence for people.
    pub why: Cow<'static, str>,
}

impl HeadError {
    pub(super) fn bad(why: &'static str) -> Self {
        Self {
            status: 400,
            why: Cow::Borrowed(why),
        }
    }

    pub(super) fn of(status: u16, why: String) -> Self {
        Self {
            status,
            why: Cow::Owned(why),
        }
    }
}

/// Parses the request head at the start of `bytes`: the head and its length in bytes, or none
/// when its end is not there yet.
///
/// # Errors
/// Why the bytes are not, and will not become, an acceptable head.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Option<(Head, usize)>, HeadError> {
    let mut scan = Scan::default();
    match scan.find_end(bytes, limits)? {
        Some(end) => parse_complete(&bytes[..end], limits).map(|head| Some((head, end))),
        None => Ok(None),
    }
}

/// Parses `bytes`, which [`Scan::find_end`] found to be one head.
pub(super) fn parse_complete(bytes: &[u8], limits: &Limits) -> Result<Head, HeadError> {
    const CEILING: usize = Limits::HEADER_COUNT_CEILING;
    let count_max = limits.header_count_max.min(CEILING);
    let mut fields = [const { MaybeUninit::uninit() }; CEILING];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut fields[..count_max]) {
        Ok(httparse::Status::Complete(end)) if end == bytes.len() => {}
        Ok(_) => return Err(HeadError::bad("the head is malformed")),
        Err(error) => return Err(refusal(error, bytes, count_max)),
    }
    let token = request.method.unwrap_or_default();
    let is_http_1_0 = request.version == Some(0);
    let method = Method::parse(token);
    let (path, query) = target(method, token, request.path.unwrap_or_default())?;
    let text_bytes = request
        .headers
        .iter()
        .map(|field| field.name.len() + field.value.len())
        .sum();
    let mut headers = Headers::with_capacity(request.headers.len(), text_bytes);
    for field in request.headers.iter() {
        headers.push_bytes(field.name, field.value);
    }
    let special = Special::collect(&headers, is_http_1_0)?;
    Ok(Head {
        method,
        method_token: match method {
            Method::Other => Cow::Owned(token.to_owned()),
            known => Cow::Borrowed(known.as_str()),
        },
        path,
        query,
        length: special.length,
        keep_alive: !special.close && (!is_http_1_0 || special.keep_alive),
        is_http_1_0,
        expects_continue: special.expects_continue && !is_http_1_0,
        headers,
    })
}

fn refusal(error: httparse::Error, bytes: &[u8], count_max: usize) -> HeadError {
    match error {
        httparse::Error::TooManyHeaders => HeadError::of(
            431,
            format!("the request has more header fields than the limit of {count_max}"),
        ),
        httparse::Error::Version if names_other_version(bytes) => HeadError {
            status: 505,
            why: Cow::Borrowed("only HTTP/1.1 and HTTP/1.0 are spoken here"),
        },
        httparse::Error::HeaderName => HeadError::bad("a header field's name is malformed"),
        httparse::Error::HeaderValue => HeadError::bad("a header field's value is malformed"),
        _ => HeadError::bad("the request line is malformed"),
    }
}

/// Whether the request line is well-formed but for a version that is not spoken.
fn names_other_version(bytes: &[u8]) -> bool {
    let line = bytes
        .split(|byte| *byte == b'\r')
        .find(|line| line.len() > 1)
        .unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    match (
        words.next().and_then(|word| word.strip_prefix(b"HTTP/")),
        words.next(),
    ) {
        (Some([major, b'.', minor]), None) => major.is_ascii_digit() && minor.is_ascii_digit(),
        _ => false,
    }
}

/// Path and query of a request target in any of its forms (RFC 9112 section 3.2).
fn target(
    method: Method,
    token: &str,
    target: &str,
) -> Result<(String, Option<String>), HeadError> {
    if !target
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#')
    {
        return Err(HeadError::bad(
            "the request target holds a character that must be encoded",
        ));
    }
    let is_asterisk = target == "*" && method == Method::Options;
    let rest = if target.starts_with('/') || is_asterisk || token == "CONNECT" {
        target
    } else {
        let scheme_end = ["http://", "https://"]
            .iter()
            .find(|scheme| {
                target
                    .get(..scheme.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            })
            .map(|scheme| scheme.len())
            .ok_or_else(|| HeadError::bad("the request target is neither a path nor a URL"))?;
        let authority_on = &target[scheme_end..];
        &authority_on[authority_on.find(['/', '?']).unwrap_or(authority_on.len())..]
    };
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (rest, None),
    };
    let path = if path.is_empty() { "/" } else { path };
    Ok((path.to_owned(), query))
}

/// What the header fields say that the server itself acts on.
struct Special {
    length: BodyLength,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

impl Special {
    fn collect(headers: &Headers, is_http_1_0: bool) -> Result<Self, HeadError> {
        let mut content_length = None;
        let mut is_chunked = false;
        let mut hosts = 0;
        let mut special = Self {
            length: BodyLength::Known(0),
            close: false,
            keep_alive: false,
            expects_continue: false,
        };
        for (name, value) in headers.iter() {
            // Lengths first: nearly all names differ from these five by it.
            match name.len() {
                4 if name.eq_ignore_ascii_case("host") => hosts += 1,
                6 if name.eq_ignore_ascii_case("expect") => special.expect(value)?,
                10 if name.eq_ignore_ascii_case("connection") => special.connection(value),
                14 if name.eq_ignore_ascii_case("content-length") => {
                    let earlier = content_length.replace(length(value)?);
                    if earlier.is_some() {
                        return Err(HeadError::bad("the request has two Content-Length fields"));
                    }
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    if is_chunked || !value.eq_ignore_ascii_case("chunked") {
                        return Err(HeadError::bad(
                            "the only Transfer-Encoding understood is a single 'chunked'",
                        ));
                    }
                    is_chunked = true;
                }
                _ => {}
            }
        }
        if hosts > 1 || (hosts == 0 && !is_http_1_0) {
            return Err(HeadError::bad(
                "the request must have exactly one Host field",
            ));
        }
        special.length = match (content_length, is_chunked) {
            (Some(_), true) => {
                return Err(HeadError::bad(
                    "the request has both Content-Length and Transfer-Encoding",
                ));
            }
            (None, true) if is_http_1_0 => {
                return Err(HeadError::bad("HTTP/1.0 has no Transfer-Encoding"));
            }
            (None, true) => BodyLength::Chunked,
            (length, false) => BodyLength::Known(length.unwrap_or(0)),
        };
        Ok(special)
    }

    fn connection(&mut self, value: &str) {
        for token in value.split(',') {
            let token = token.trim_matches([' ', '\t']);
            self.close |= token.eq_ignore_ascii_case("close");
            self.keep_alive |= token.eq_ignore_ascii_case("keep-alive");
        }
    }

    fn expect(&mut self, value: &str) -> Result<(), HeadError> {
        if !value.eq_ignore_ascii_case("100-continue") {
            return Err(HeadError::of(
                417,
                "the only expectation understood is '100-continue'".to_owned(),
            ));
        }
        self.expects_continue = true;
        Ok(())
    }
}

/// A Content-Length: digits and nothing else, within 64 bits.
fn length(value: &str) -> Result<u64, HeadError> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HeadError::bad("the Content-Length is not a number"));
    }
    value
        .parse()
        .map_err(|_| HeadError::bad("the Content-Length does not fit 64 bits"))
}
