//! Work in the background: jobs that come again and again, in a few rooms of a thread each, until
//! they are told to stop.
//!
//! What a job does is in a file of its own; here is only when. A job that may take long has a room
//! to itself and asks [`Turn::is_over`] between its steps. Whoever needs a job at once wakes it.

pub mod gc;
pub mod relief;
pub mod sweep;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Select, Sender, TryRecvError, bounded, never};

/// A job that comes again and again.
pub struct Job {
    /// Does it once, and says when it is to be done next.
    run: Box<dyn FnMut(&Turn<'_>) -> Duration + Send>,
    first: Duration,
    woken: Receiver<()>,
}

/// Jobs that share a thread, one after the other.
pub struct Room {
    /// The thread's name.
    pub name: &'static str,
    /// The jobs.
    pub jobs: Vec<Job>,
}

/// The running threads; dropping it stops and joins them.
pub struct Jobs {
    stop: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// One time that a job is done.
pub struct Turn<'t> {
    /// Whether somebody has asked for it.
    pub woken: bool,
    stop: &'t Receiver<()>,
}

/// Has a job done at once, from any thread.
#[derive(Clone)]
pub struct Waker(Arc<Sender<()>>);

impl Job {
    /// A job that is done for the first time after `first`, and then as it says itself.
    pub fn new(first: Duration, run: impl FnMut(&Turn<'_>) -> Duration + Send + 'static) -> Self {
        Self {
            run: Box::new(run),
            first,
            woken: never(),
        }
    }

    /// Has whoever sends to this channel wake it.
    #[must_use]
    pub fn woken_by(mut self, woken: Receiver<()>) -> Self {
        self.woken = woken;
        self
    }

    /// What wakes it. A call while it is at work has it done once more.
    pub fn waker(&mut self) -> Waker {
        let (sender, woken) = bounded(1);
        self.woken = woken;
        Waker(Arc::new(sender))
    }
}

impl Waker {
    /// Has the job done now, or once more when it is at work.
    pub fn wake(&self) {
        // A full channel says it already.
        let _ = self.0.try_send(());
    }
}

impl Turn<'_> {
    /// Whether the jobs are to end.
    pub fn is_over(&self) -> bool {
        matches!(self.stop.try_recv(), Err(TryRecvError::Disconnected))
    }
}

impl Jobs {
    /// Starts a thread for each room.
    ///
    /// # Errors
    /// One could not be started.
    pub fn start(rooms: Vec<Room>) -> std::io::Result<Self> {
        let (stop, stopped) = bounded(0);
        // Dropped on the way out of an error, it ends those that run already.
        let mut jobs = Self {
            stop: Some(stop),
            threads: Vec::new(),
        };
        for Room { name, jobs: work } in rooms {
            let stop = stopped.clone();
            let thread = thread::Builder::new()
                .name(name.to_owned())
                .stack_size(256 << 10)
                .spawn(move || run(work, &stop))?;
            jobs.threads.push(thread);
        }
        Ok(jobs)
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        drop(self.stop.take());
        for thread in self.threads.drain(..) {
            // A panic in there was printed when it happened.
            let _ = thread.join();
        }
    }
}

fn run(mut jobs: Vec<Job>, stop: &Receiver<()>) {
    let start = Instant::now();
    let mut due: Vec<Instant> = jobs.iter().map(|job| start + job.first).collect();
    while let Some((at, woken)) = wait(&mut jobs, &due, stop) {
        let turn = Turn { woken, stop };
        let next = (jobs[at].run)(&turn);
        due[at] = Instant::now() + next;
        if turn.is_over() {
            return;
        }
    }
}

/// Waits for the next job that is due or woken, and tells which of the two; `None` when it is time
/// to end.
fn wait(jobs: &mut [Job], due: &[Instant], stop: &Receiver<()>) -> Option<(usize, bool)> {
    loop {
        let (at, when) = due.iter().enumerate().min_by_key(|(_, when)| **when)?;
        let mut select = Select::new();
        select.recv(stop);
        for job in jobs.iter() {
            select.recv(&job.woken);
        }
        let Ok(ready) = select.select_deadline(*when) else {
            return Some((at, false));
        };
        let index = ready.index();
        if index == 0 {
            // It is never sent to: its other end is gone.
            let _ = ready.recv(stop);
            return None;
        }
        let woken = index - 1;
        if ready.recv(&jobs[woken].woken).is_ok() {
            return Some((woken, true));
        }
        // Nobody is left to wake it.
        jobs[woken].woken = never();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::unbounded;

    const NEVER: Duration = Duration::from_secs(3600);

    #[test]
    fn a_job_comes_when_it_said_and_when_it_is_woken() {
        let (done, saw) = unbounded();
        let mut often = 0;
        let own = done.clone();
        let first = Job::new(Duration::ZERO, move |_| {
            often += 1;
            own.send(("often", often)).expect("somebody looks");
            if often < 3 { Duration::ZERO } else { NEVER }
        });
        let mut second = Job::new(NEVER, move |turn| {
            assert!(turn.woken);
            done.send(("woken", 0)).expect("somebody looks");
            NEVER
        });
        let waker = second.waker();
        let jobs = Jobs::start(vec![Room {
            name: "both",
            jobs: vec![first, second],
        }])
        .expect("a thread");
        for count in 1..=3 {
            assert_eq!(saw.recv().expect("it came"), ("often", count));
        }
        waker.wake();
        assert_eq!(saw.recv().expect("it came"), ("woken", 0));
        drop(waker);
        drop(jobs);
        assert!(saw.try_recv().is_err());
    }

    #[test]
    fn a_long_job_is_told_to_stop() {
        let (begun, seen) = unbounded();
        let long = Job::new(Duration::ZERO, move |turn| {
            begun.send(()).expect("somebody looks");
            while !turn.is_over() {
                thread::yield_now();
            }
            Duration::ZERO
        });
        let jobs = Jobs::start(vec![Room {
            name: "long",
            jobs: vec![long],
        }])
        .expect("a thread");
        seen.recv().expect("it began");
        drop(jobs);
        assert!(seen.try_recv().is_err(), "it did not begin again");
    }
}
