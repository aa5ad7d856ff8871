//! Work in the background: jobs that come again and again, in a few rooms of a thread each, until
//! they are told to stop.
//!
//! What a job does is in a file of its own; here is only when. A job that may take long has a room
//! to itself and asks [`Stop`] between its steps. Whoever needs a job at once wakes it.

pub mod gc;
pub mod sweep;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Select, Sender, TryRecvError, bounded, never};

/// A job that comes again and again.
pub struct Job {
    /// Does it once, and says when it is to be done next.
    run: Box<dyn FnMut(&Stop) -> Duration + Send>,
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

/// Whether the jobs are to end.
pub struct Stop(Receiver<()>);

/// Has a job done at once, from any thread.
#[derive(Clone)]
pub struct Waker(Arc<Sender<()>>);

impl Job {
    /// A job that is done for the first time after `first`, and then as it says itself.
    pub fn new(first: Duration, run: impl FnMut(&Stop) -> Duration + Send + 'static) -> Self {
        Self {
            run: Box::new(run),
            first,
            woken: never(),
        }
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

impl Stop {
    /// Whether it is time to end.
    pub fn is_set(&self) -> bool {
        matches!(self.0.try_recv(), Err(TryRecvError::Disconnected))
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
            let stop = Stop(stopped.clone());
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

fn run(mut jobs: Vec<Job>, stop: &Stop) {
    let start = Instant::now();
    let mut due: Vec<Instant> = jobs.iter().map(|job| start + job.first).collect();
    while let Some(at) = wait(&mut jobs, &due, stop) {
        let next = (jobs[at].run)(stop);
        due[at] = Instant::now() + next;
        if stop.is_set() {
            return;
        }
    }
}

/// Waits for the next job that is due or woken; `None` when it is time to end.
fn wait(jobs: &mut [Job], due: &[Instant], stop: &Stop) -> Option<usize> {
    loop {
        let (at, when) = due.iter().enumerate().min_by_key(|(_, when)| **when)?;
        let mut select = Select::new();
        select.recv(&stop.0);
        for job in jobs.iter() {
            select.recv(&job.woken);
        }
        let Ok(ready) = select.select_deadline(*when) else {
            return Some(at);
        };
        let index = ready.index();
        if index == 0 {
            // It is never sent to: its other end is gone.
            let _ = ready.recv(&stop.0);
            return None;
        }
        let woken = index - 1;
        if ready.recv(&jobs[woken].woken).is_ok() {
            return Some(woken);
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
        let mut second = Job::new(NEVER, move |_| {
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
        let (begun, began) = unbounded();
        let long = Job::new(Duration::ZERO, move |stop| {
            begun.send(()).expect("somebody looks");
            while !stop.is_set() {
                thread::yield_now();
            }
            Duration::ZERO
        });
        let jobs = Jobs::start(vec![Room {
            name: "long",
            jobs: vec![long],
        }])
        .expect("a thread");
        began.recv().expect("it began");
        drop(jobs);
        assert!(began.try_recv().is_err(), "it did not begin again");
    }
}
