//! Where a change comes from: the request that this thread answers. The floors above name it once
//! for a request, so that the rules need not hand it around.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};

/// What an event tells of the request that caused it, with the names that its record has in the
/// envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestFacts {
    /// The id that the logs have too.
    pub id: String,
    /// Who asked: an address, with its port where nothing stands between.
    pub addr: String,
    /// By which name the registry was asked.
    pub host: String,
    /// The method.
    pub method: String,
    /// What the client calls itself.
    pub useragent: String,
    /// The address by which the registry was reached, without a slash at its end: what the URLs of
    /// content begin with. No part of the record in the envelope.
    #[serde(default)]
    pub base: String,
}

/// The longest text of one field, in bytes.
const TEXT_BYTES_MAX: usize = 512;

impl RequestFacts {
    /// The same, with no text longer than its bound.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let texts = [
            &mut self.id,
            &mut self.addr,
            &mut self.host,
            &mut self.method,
            &mut self.useragent,
            &mut self.base,
        ];
        for text in texts {
            let mut end = text.len().min(TEXT_BYTES_MAX);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        self
    }
}

/// Who asked, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Who was verified, as rules and logs write it: `user:ada`.
    pub actor: Option<String>,
    /// The request.
    pub request: RequestFacts,
}

thread_local! {
    static CURRENT: RefCell<Option<Origin>> = const { RefCell::new(None) };
}

impl Origin {
    /// From now on this thread answers this request, until what is returned is dropped.
    #[must_use]
    pub fn begin(self) -> Answering {
        CURRENT.set(Some(self));
        Answering(())
    }

    /// The request that this thread answers; `None` outside of one.
    pub(super) fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }
}

/// The time of one request on this thread.
pub struct Answering(());

impl Drop for Answering {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_answers_one_request_at_a_time_and_no_text_grows() {
        assert_eq!(Origin::current(), None);
        let origin = Origin {
            actor: Some("user:ada".to_owned()),
            request: RequestFacts {
                useragent: "ä".repeat(400),
                ..RequestFacts::default()
            }
            .bounded(),
        };
        assert_eq!(origin.request.useragent.len(), 512);
        let answering = origin.clone().begin();
        assert_eq!(Origin::current(), Some(origin));
        drop(answering);
        assert_eq!(Origin::current(), None);
    }
}
