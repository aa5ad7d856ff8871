//! The worker threads: a few when there is little to do, more as connections wait for one, back
//! to a few after a while. It counts workers; what one does with a connection is in `serve`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use super::serve::Worker;
use super::shared::Shared;
use super::table::Conn;

/// The dispatcher's side of the workers. Dropping it lets them end once the queue is empty.
pub(super) struct Pool {
    shared: Arc<Shared>,
    queue: Sender<Box<Conn>>,
    receiver: Receiver<Box<Conn>>,
}

impl Pool {
    /// Starts the workers that always stay.
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let (queue, receiver) = bounded(shared.limits.requests_waiting_max.max(1));
        let pool = Self {
            shared: Arc::clone(shared),
            queue,
            receiver,
        };
        for _ in 0..shared.limits.workers_min.clamp(1, pool.workers_max()) {
            pool.spawn()?;
        }
        Ok(pool)
    }

    fn workers_max(&self) -> usize {
        self.shared.limits.workers_max.max(1)
    }

    /// Hands a connection with something to read to a worker; back when too many wait already.
    pub(super) fn hand_over(&self, conn: Box<Conn>) -> Result<(), Box<Conn>> {
        let counters = &self.shared.counters;
        // Counted before it is sent, so that it is never taken before it was counted.
        let was_available = counters.available.fetch_sub(1, Ordering::SeqCst);
        if let Err(TrySendError::Full(conn) | TrySendError::Disconnected(conn)) =
            self.queue.try_send(conn)
        {
            counters.available.fetch_add(1, Ordering::SeqCst);
            return Err(conn);
        }
        if was_available <= 0
            && counters.workers.load(Ordering::SeqCst) < self.workers_max()
            && let Err(error) = self.spawn()
        {
            log::warn!("cannot start another worker thread, going on without it: {error}");
        }
        Ok(())
    }

    fn spawn(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let receiver = self.receiver.clone();
        shared.counters.workers.fetch_add(1, Ordering::SeqCst);
        let alive = Alive(Arc::clone(&shared));
        thread::Builder::new()
            .name("http-worker".to_owned())
            .stack_size(shared.limits.worker_stack_bytes)
            .spawn(move || {
                work(&alive.0, &receiver);
            })
            .map(drop)
    }
}

/// Counts a worker out, however it ends, also when its thread could not be started.
struct Alive(Arc<Shared>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.counters.workers.fetch_sub(1, Ordering::SeqCst);
        if self.0.is_stopping() {
            self.0.wake();
        }
    }
}

fn work(shared: &Arc<Shared>, receiver: &Receiver<Box<Conn>>) {
    let mut worker = Worker::new(Arc::clone(shared));
    loop {
        shared.counters.available.fetch_add(1, Ordering::SeqCst);
        loop {
            match receiver.recv_timeout(shared.limits.worker_idle_timeout) {
                Ok(conn) => {
                    worker.serve(conn);
                    break;
                }
                Err(RecvTimeoutError::Timeout) if !may_retire(shared) => {}
                Err(_) => return,
            }
        }
    }
}

/// Whether this worker, which found nothing to do, may end. It must not when a connection was
/// counted on it meanwhile.
fn may_retire(shared: &Shared) -> bool {
    let counters = &shared.counters;
    counters.workers.load(Ordering::SeqCst) > shared.limits.workers_min.max(1)
        && counters
            .available
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |available| {
                (available > 0).then(|| available - 1)
            })
            .is_ok()
}
