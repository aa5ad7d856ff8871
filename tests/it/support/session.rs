//! Upload sessions step by step, for tests that look between the steps.

use super::{Client, Response};

/// What an upload answers of how far it has come: the number behind `0-`.
#[track_caller]
pub fn last_byte(response: &Response) -> u64 {
    let range = response
        .header("range")
        .unwrap_or_else(|| panic!("no Range\n{response}"));
    let last = range.strip_prefix("0-").and_then(|last| last.parse().ok());
    last.unwrap_or_else(|| panic!("Range {range:?} is not 0-<last byte>\n{response}"))
}

/// The location of a session with one more query parameter, wherever it has its own already.
pub fn with_query(location: &str, parameter: &str) -> String {
    let joint = if location.contains('?') { '&' } else { '?' };
    format!("{location}{joint}{parameter}")
}

/// The steps of an upload. They check what every step promises.
impl Client {
    /// Starts a session; answers its location.
    #[track_caller]
    pub fn start_upload(&mut self, repository: &str) -> String {
        self.post(&format!("/v2/{repository}/blobs/uploads/"), b"")
            .expect(202)
            .location()
    }

    /// Starts a session that has acknowledged these bytes; answers its location.
    #[track_caller]
    pub fn start_upload_with(&mut self, repository: &str, bytes: &[u8]) -> String {
        let location = self.start_upload(repository);
        self.patch(&location, bytes).expect(202).location()
    }

    /// Begins a request with a body of this length and returns when the server reads the body:
    /// from then on the request holds its session. The body goes with [`Client::send`].
    #[track_caller]
    pub fn begin(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) {
        let expect = [("Expect", "100-continue")];
        self.send_head(method, path, &[headers, &expect].concat());
        self.receive_continue();
    }

    /// Sends a chunk that says where it belongs.
    #[track_caller]
    pub fn patch_range(&mut self, location: &str, range: &str, bytes: &[u8]) -> Response {
        self.request("PATCH", location, &[("Content-Range", range)], Some(bytes))
    }

    /// Finishes a session with these last bytes.
    #[track_caller]
    pub fn finish_upload(&mut self, location: &str, digest: &str, bytes: &[u8]) -> Response {
        self.put(&with_query(location, &format!("digest={digest}")), bytes)
    }

    /// Fails unless the session is there and has acknowledged this many bytes (1 and 0 look the
    /// same).
    #[track_caller]
    pub fn expect_offset(&mut self, location: &str, offset: u64) {
        let status = self.get(location).expect(204);
        assert_eq!(last_byte(&status), offset.saturating_sub(1), "{status}");
    }
}
