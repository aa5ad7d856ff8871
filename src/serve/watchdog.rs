//! Whether the server is alive, as its watchdog sees it: a request through its own listener is
//! answered, or bytes have moved since the last look.
//!
//! The second is for a server all of whose workers are busy with slow transfers: it has no worker
//! for the request, and is anything but hung. A thread of its own looks, which asks neither the
//! catalog nor a disk.

use std::io;
use std::thread;

use crate::http::{Probe, ServerHandle};
use crate::systemd::Watchdog;

/// Starts the thread that calls `feed` for as long as the server is alive, and until that says
/// that nobody is to be fed any more.
///
/// # Errors
/// No thread could be started.
pub(super) fn start(
    watchdog: Watchdog,
    probe: Probe,
    handle: ServerHandle,
    feed: impl Fn() -> bool + Send + 'static,
) -> io::Result<()> {
    let mut look = Look {
        probe,
        moved: handle.moved_bytes(),
        handle,
        is_hung: false,
    };
    thread::Builder::new()
        .name("watchdog".to_owned())
        .stack_size(256 << 10)
        .spawn(move || {
            loop {
                if look.is_alive(watchdog) && !feed() {
                    return;
                }
                thread::sleep(watchdog.interval());
            }
        })?;
    Ok(())
}

struct Look {
    probe: Probe,
    handle: ServerHandle,
    /// Bytes that had moved at the last look.
    moved: u64,
    is_hung: bool,
}

impl Look {
    fn is_alive(&mut self, watchdog: Watchdog) -> bool {
        // Its end has bounds of its own.
        if self.handle.is_stopping() {
            return true;
        }
        let outcome = self.probe.ask(watchdog.patience());
        let moved = self.handle.moved_bytes();
        let has_moved = std::mem::replace(&mut self.moved, moved) != moved;
        let is_served = outcome.as_ref().is_ok_and(|answer| answer.is_served());
        let was_hung = std::mem::replace(&mut self.is_hung, !is_served && !has_moved);
        if self.is_hung && !was_hung {
            let came = outcome.map_or_else(|e| e.to_string(), |it| it.to_string());
            let patience = watchdog.patience();
            log::error!(
                "the watchdog is not fed: a request of our own came to nothing within \
                 {patience:?} ({came}), and no byte has moved"
            );
        }
        !self.is_hung
    }
}
