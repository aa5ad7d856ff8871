//! The address for metrics and health of a server that has one.

use super::exposition::Exposition;
use super::{Client, Server, eventually};

/// What makes a server listen there, on a port that the system chooses.
pub const OPS: &str = "[ops]\nlisten = \"127.0.0.1:0\"\n";

const SAID: &str = "metrics and health are at ";

/// A client of that address of a server that was started with [`OPS`].
#[track_caller]
pub fn ops(server: &Server) -> Client {
    let url = eventually("the address is told", || {
        let log = server.log();
        let line = log.lines().rev().find(|line| line.contains(SAID))?;
        Some(line.split_once(SAID)?.1.to_owned())
    });
    Client::new(&url)
}

/// Its metrics.
#[track_caller]
pub fn scrape(client: &mut Client) -> Exposition {
    let answer = client.get("/metrics").expect(200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    Exposition::parse(&answer.text())
}
