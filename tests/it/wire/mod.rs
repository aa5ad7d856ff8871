//! Malformed and hostile HTTP, byte for byte, against the real program.
//!
//! Whatever comes over a connection: the answer is a 4xx with a JSON error, nothing is changed by
//! it, what follows on the connection is never taken for another request, and the server goes on
//! serving everybody else.

mod bodies;
mod connections;
mod heads;
mod pace;
mod targets;

use crate::support::{Client, Response, Server};

/// A request head with these lines behind the request line, ready to be sent.
pub fn head(line: &str, headers: &[&str]) -> Vec<u8> {
    let mut text = format!("{line}\r\nHost: x\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// Sends these bytes on a connection of their own; answers the client and the first response.
#[track_caller]
pub fn exchange(server: &Server, bytes: &[u8]) -> (Client, Response) {
    let mut client = server.client();
    client.about(&String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]));
    // The server may have answered and closed before all of it was sent.
    let _ = client.try_send(bytes);
    let response = client.receive();
    (client, response)
}

/// Sends bytes that are no request, with a whole request behind them that must never be answered;
/// fails unless this status comes, in JSON, and the connection is closed.
#[track_caller]
pub fn refused(server: &Server, bytes: &[u8], status: u16) {
    let smuggled = head("GET /v2/smuggled/tags/list HTTP/1.1", &[]);
    let (mut client, response) = exchange(server, &[bytes, &smuggled].concat());
    is_refusal(response.expect(status));
    client.expect_closed();
}

/// The answer is an error as the protocol has it.
#[track_caller]
pub fn is_refusal(response: Response) {
    let response = response.expect_header("Content-Type", "application/json");
    let error = &response.json()["errors"][0];
    assert!(error["code"].is_string(), "no code\n{response}");
    assert!(error["message"].is_string(), "no message\n{response}");
    assert!(
        error["detail"]["request_id"].is_string(),
        "no request id\n{response}"
    );
}

/// The server is the process that was started, and serves.
#[track_caller]
pub fn is_well(server: &Server) {
    server.client().get("/v2/").expect(200);
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
}
