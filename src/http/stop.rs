//! Ending a server: what is here is still served, what is idle is closed, what takes too long is
//! cut off.

use std::io;
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::epoll::Event;

use super::dispatcher::{Dispatcher, wait_for};
use super::shared::{NEW_TIMEOUT, Phase};
use super::table::Waiting;

/// How long workers have to let go of connections that were cut off.
const CUT_OFF_TIMEOUT: Duration = Duration::from_secs(2);

impl Dispatcher {
    /// Waits until the workers have ended, so that nobody uses the handler any more. One whose
    /// handler never returns is left behind.
    pub(super) fn finish(self, events: &mut Vec<Event>) -> io::Result<()> {
        let Self { shared, pool, .. } = self;
        drop(pool);
        let deadline = Instant::now() + CUT_OFF_TIMEOUT;
        while shared.counters.workers.load(Ordering::SeqCst) > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                log::warn!("a request did not end in time; its thread is left behind");
                break;
            }
            wait_for(&shared, events, Some(left))?;
            shared.woken();
        }
        Ok(())
    }

    /// Goes on with stopping; whether it is done.
    pub(super) fn is_stopped(&mut self, now: Instant, events: &mut Vec<Event>) -> io::Result<bool> {
        let stop_deadline = if let Some(deadline) = self.stop_deadline {
            deadline
        } else {
            self.begin_to_stop(events)?;
            let deadline = now + self.shared.limits.stop_timeout;
            *self.stop_deadline.insert(deadline)
        };
        if self.shared.table().open() == 0 {
            return Ok(true);
        }
        if self.shared.phase() == Phase::StoppingNow || stop_deadline <= now {
            self.shared.advance(Phase::StoppingNow);
            return Ok(self.cut_off(now));
        }
        Ok(false)
    }

    /// Accepts nothing more, and closes what is idle.
    fn begin_to_stop(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        // Connections and requests that are here already are still served.
        for _ in 0..2 {
            wait_for(&self.shared, events, Some(Duration::ZERO))?;
            self.handle_events(events);
        }
        self.forget_listeners();
        self.paused_until = None;
        self.deferred = None;
        let now = Instant::now();
        self.close_old(Waiting::Idle, now);
        self.close_old(Waiting::Handshake, now);
        Ok(())
    }

    /// Closes what waits so, but leaves a moment to whoever has just come.
    fn close_old(&mut self, waiting: Waiting, now: Instant) {
        let mut new = Vec::new();
        loop {
            let longest = self.shared.table().take_longest(waiting);
            let Some((conn, _)) = longest else { break };
            let deadline = conn.accepted_at + NEW_TIMEOUT;
            if conn.wire.written > 0 || deadline <= now {
                self.shared.close(conn);
            } else {
                new.push((conn, deadline));
            }
        }
        for (conn, deadline) in new {
            self.shared.park(conn, waiting, deadline);
        }
    }

    /// Ends all connections under the feet of whoever has them; whether all are let go of, or
    /// will not be.
    fn cut_off(&mut self, now: Instant) -> bool {
        for waiting in Waiting::ALL {
            self.close_all(waiting);
        }
        while let Some(conn) = self.shared.shares.take_any() {
            self.shared.close(conn);
        }
        for socket in self.shared.table().sockets() {
            socket.shutdown(Shutdown::Both);
        }
        // From now on only this deadline counts.
        let deadline = *self.cut_off_deadline.get_or_insert(now + CUT_OFF_TIMEOUT);
        self.stop_deadline = Some(deadline);
        self.shared.table().open() == 0 || deadline <= now
    }

    fn close_all(&mut self, waiting: Waiting) {
        loop {
            let longest = self.shared.table().take_longest(waiting);
            let Some((conn, _)) = longest else { return };
            self.shared.close(conn);
        }
    }
}
