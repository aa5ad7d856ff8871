//! Any bytes as the headers of a trace: a context or none, never a panic, and what is passed on is
//! what would be taken again.
#![no_main]

use coracle::http::Headers;
use coracle::http::trace::TraceContext;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (&str, &str)| {
    let mut headers = Headers::new();
    headers.push("traceparent", texts.0);
    headers.push("tracestate", texts.1);
    if let Some(context) = TraceContext::of(&headers) {
        let mut again = Headers::new();
        for (name, value) in context.child().headers() {
            again.push(name, &value);
        }
        let child = TraceContext::of(&again).expect("valid");
        assert_eq!(child.trace_id(), context.trace_id());
    }
});
