//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>): which trace a request belongs to, and
//! how the next one says so. What does not keep to the grammar counts as not sent.

use super::headers::Headers;

/// The longest `tracestate` that is passed on, in bytes: what every system must pass on.
const STATE_BYTES_MAX: usize = 512;

/// The trace of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// 32 lower-case hexadecimal digits, not all zero.
    trace_id: String,
    /// The span that a request belongs to: 16 lower-case hexadecimal digits, not all zero.
    parent_id: String,
    /// Two lower-case hexadecimal digits; the last bit says that the trace is recorded.
    flags: String,
    /// What the systems on the way have added; passed on as it is.
    state: Option<String>,
}

impl TraceContext {
    /// The context that a request came with, if it has a valid one.
    pub fn of(headers: &Headers) -> Option<Self> {
        let context = Self::parse(headers.get("traceparent")?)?;
        let state = headers.get("tracestate").filter(|state| {
            let is_plain = |byte: u8| (b' '..=b'~').contains(&byte);
            !state.is_empty() && state.len() <= STATE_BYTES_MAX && state.bytes().all(is_plain)
        });
        Some(Self {
            state: state.map(str::to_owned),
            ..context
        })
    }

    /// Reads the value of `traceparent`: `00-TRACE-PARENT-FLAGS`. A later version may have more
    /// behind that, which is left out.
    fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        if !value.is_ascii() || value.len() < 55 {
            return None;
        }
        let (known, rest) = value.split_at(55);
        let mut parts = known.split('-');
        let mut part = |length: usize| parts.next().filter(|part| is_hex(part, length));
        let (version, trace_id) = (part(2)?, part(32)?);
        let (parent_id, flags) = (part(16)?, part(2)?);
        let is_whole = match version {
            "ff" => false,
            "00" => rest.is_empty(),
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        let is_zero = |id: &str| id.bytes().all(|byte| byte == b'0');
        if !is_whole || is_zero(trace_id) || is_zero(parent_id) {
            return None;
        }
        Some(Self {
            trace_id: trace_id.to_owned(),
            parent_id: parent_id.to_owned(),
            flags: flags.to_owned(),
            state: None,
        })
    }

    /// The trace's id: 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// The context of a request that is made because of this one: the same trace, a span of its
    /// own.
    #[must_use]
    pub fn child(&self) -> Self {
        // Without randomness the span stays the caller's, which is still a part of the trace.
        let span = getrandom::u64().ok().filter(|span| *span != 0);
        Self {
            parent_id: span.map_or_else(|| self.parent_id.clone(), |span| format!("{span:016x}")),
            ..self.clone()
        }
    }

    /// The header fields that tell it: `traceparent`, and `tracestate` where there is one.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let Self {
            trace_id,
            parent_id,
            flags,
            state,
        } = self;
        let parent = format!("00-{trace_id}-{parent_id}-{flags}");
        let mut headers = vec![("traceparent", parent)];
        headers.extend(state.iter().map(|state| ("tracestate", state.clone())));
        headers
    }
}

fn is_hex(part: &str, length: usize) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    part.len() == length && part.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn whatever_is_taken_is_taken_again(
            parent in ".{0,70}|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.{0,3}",
            state in ".{0,20}",
        ) {
            let mut headers = Headers::new();
            headers.push("traceparent", &parent);
            headers.push("tracestate", &state);
            if let Some(context) = TraceContext::of(&headers) {
                let mut again = Headers::new();
                for (name, value) in context.headers() {
                    again.push(name, &value);
                }
                proptest::prop_assert_eq!(TraceContext::of(&again), Some(context));
            }
        }
    }

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_keeps_to_the_grammar_is_taken() {
        let later = format!("01{}-what-ever", &VALID[2..]);
        for value in [VALID, &format!(" {VALID} "), &later] {
            let context = TraceContext::parse(value).expect(value);
            assert_eq!(context.trace_id(), TRACE);
            assert_eq!(context.headers(), [("traceparent", VALID.to_owned())]);
        }
    }

    #[test]
    fn what_does_not_is_left_alone() {
        for value in [
            "",
            "00",
            &VALID[..54],
            &format!("{VALID}-00"),
            &VALID.to_uppercase(),
            &VALID.replacen("00-", "ff-", 1),
            &VALID.replacen("00-", "0-0", 1),
            &VALID.replace(TRACE, &"0".repeat(32)),
            &VALID.replace("b7ad6b7169203331", &"0".repeat(16)),
            &VALID.replace('-', "_"),
            &VALID.replace('7', "é"),
            &format!("01{}x", &VALID[2..]),
        ] {
            assert_eq!(TraceContext::parse(value), None, "{value:?}");
        }
    }

    #[test]
    fn a_child_is_of_the_same_trace_and_another_span() {
        let mut headers = Headers::new();
        headers.push("traceparent", VALID);
        headers.push("tracestate", "a=1,b=2");
        let context = TraceContext::of(&headers).expect("valid");
        let child = context.child();
        assert_eq!(child.trace_id(), TRACE);
        let told = child.headers();
        assert_eq!(told[1], ("tracestate", "a=1,b=2".to_owned()));
        assert_ne!(told[0].1, VALID);
        let again = TraceContext::parse(&told[0].1).expect("valid");
        assert_eq!(again.trace_id(), TRACE);
        for state in [String::new(), "x".repeat(513), "ü".to_owned()] {
            let mut headers = Headers::new();
            headers.push("traceparent", VALID);
            headers.push("tracestate", &state);
            let context = TraceContext::of(&headers).expect("valid");
            assert_eq!(context.headers().len(), 1);
        }
    }
}
