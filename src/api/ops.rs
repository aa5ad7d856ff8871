//! The address for whoever looks after the registry: metrics and health, with a few threads of its
//! own, so that it answers however busy the registry is. Whoever reaches it may read it.

use std::sync::Arc;

use super::route::Route;
use super::vitals::Vitals;
use super::{exposition, health};
use crate::http::{Handler, Method, Refusal, Request, Response};
use crate::metrics::http::Answered;
use crate::metrics::labels;

/// What is said to whoever asks for nothing in particular.
const INDEX: &str = "Coracle: /metrics, /healthz, /readyz, /debug/health\n";

/// The handler of that address.
pub struct Ops {
    vitals: Arc<Vitals>,
}

impl Ops {
    /// Tells these.
    pub const fn new(vitals: Arc<Vitals>) -> Self {
        Self { vitals }
    }

    fn answer(&self, request: &Request<'_>) -> (labels::Route, Response) {
        let plain = |status: u16, text: &'static str| {
            Response::new(status)
                .header("Content-Type", "text/plain; charset=utf-8")
                .bytes(text)
        };
        if !matches!(request.method, Method::Get | Method::Head) {
            let refused = plain(405, "only GET and HEAD are answered here\n");
            return (labels::Route::None, refused.header("Allow", "GET, HEAD"));
        }
        let route = Route::parse(request.method, &request.path);
        let response = match &route {
            Ok(Route::Home) => plain(200, INDEX),
            Ok(Route::Alive) => health::alive(),
            Ok(Route::Ready) => health::ready(&self.vitals),
            Ok(Route::Checks) => health::checks(&self.vitals),
            Ok(Route::Metrics) => exposition::answer(&self.vitals),
            _ => {
                let text = "there is nothing at this path; the registry has another address\n";
                return (labels::Route::None, plain(404, text));
            }
        };
        let label = route.as_ref().map_or(labels::Route::None, Route::label);
        (label, response)
    }

    fn counted(&self, route: labels::Route, response: Response) -> Response {
        let vitals = Arc::clone(&self.vitals);
        response.on_sent(move |sent| {
            vitals.metrics().http.count(&Answered {
                route,
                method: labels::Method::of(&sent.method_token),
                status: sent.status,
                duration: sent.duration,
                received: sent.bytes_in,
                sent: sent.bytes_out,
            });
        })
    }
}

impl Handler for Ops {
    fn handle(&self, request: &mut Request<'_>) -> Response {
        let (route, response) = self.answer(request);
        self.counted(route, response)
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        self.counted(labels::Route::None, refusal.response())
    }
}
