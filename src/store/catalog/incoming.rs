//! What waits for the writer, on two ways: that of those for whom somebody waits, and that of
//! background work, which goes after them and rather shares a commit of theirs than make its own.
//!
//! A commit is a flush of the device, and whoever pushes waits for all that go before its own. So
//! while others write, background work waits a moment for one of them to come along.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select_biased};

use super::job::Job;

/// How long after the last of them others count as writing.
const BUSY: Duration = Duration::from_millis(5);

/// How long background work then waits for company.
const COMPANY: Duration = Duration::from_millis(2);

/// So many batches may leave background work out; the next one begins with it. It may hold locks
/// that others wait for, so it must not wait for as long as others write.
const PASSED_MAX: usize = 8;

/// The ways in. Closed when it is dropped.
pub(super) struct Ways {
    urgent: Sender<Box<dyn Job>>,
    patient: Sender<Box<dyn Job>>,
}

/// The other end of them.
pub(super) struct Incoming {
    urgent: Receiver<Box<dyn Job>>,
    patient: Receiver<Box<dyn Job>>,
    /// Background work that has waited for company, which has come.
    held: Option<Box<dyn Job>>,
    /// When the last of the others was taken.
    last: Option<Instant>,
    /// Batches that were begun since background work was taken last.
    passed: usize,
}

/// Both ways, on which `urgent_max` may wait for whom somebody waits, and one of the others.
pub(super) fn ways(urgent_max: usize) -> (Ways, Incoming) {
    // At least one: a queue without room would hold nobody while the writer is busy.
    let (urgent, urgent_in) = bounded(urgent_max.max(1));
    let (patient, patient_in) = bounded(1);
    let incoming = Incoming {
        urgent: urgent_in,
        patient: patient_in,
        held: None,
        last: None,
        passed: 0,
    };
    (Ways { urgent, patient }, incoming)
}

impl Ways {
    /// Puts a closure in line, waiting while the line is full. False when nobody takes them.
    pub(super) fn send(&self, job: Box<dyn Job>, patiently: bool) -> bool {
        let way = if patiently {
            &self.patient
        } else {
            &self.urgent
        };
        way.send(job).is_ok()
    }

    /// How many closures wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.urgent.len() + self.patient.len()
    }
}

impl Incoming {
    /// The first closure of a batch, waiting for one; `None` when all ways in are closed and
    /// nobody waits any more.
    pub(super) fn first(&mut self) -> Option<Box<dyn Job>> {
        self.passed += 1;
        if self.passed > PASSED_MAX
            && let Some(job) = self.patient()
        {
            return Some(job);
        }
        // Its company may have filled the batch. It has waited, and waits for nobody more.
        if self.held.is_some() {
            return self.further();
        }
        select_biased! {
            recv(self.urgent) -> job => match job {
                Ok(job) => Some(self.note(job)),
                Err(_) => self.patient.recv().ok(),
            },
            recv(self.patient) -> job => match job {
                Ok(job) => Some(self.with_company(job)),
                Err(_) => self.urgent.recv().ok(),
            },
        }
    }

    /// A further closure of the same batch, if one waits.
    pub(super) fn further(&mut self) -> Option<Box<dyn Job>> {
        if let Ok(job) = self.urgent.try_recv() {
            return Some(self.note(job));
        }
        self.patient()
    }

    /// Background work that waits.
    fn patient(&mut self) -> Option<Box<dyn Job>> {
        let job = self.held.take().or_else(|| self.patient.try_recv().ok());
        if job.is_some() {
            self.passed = 0;
        }
        job
    }

    fn with_company(&mut self, job: Box<dyn Job>) -> Box<dyn Job> {
        let busy = self.last.is_some_and(|last| last.elapsed() < BUSY);
        if busy && let Ok(company) = self.urgent.recv_timeout(COMPANY) {
            self.held = Some(job);
            return self.note(company);
        }
        self.passed = 0;
        job
    }

    fn note(&mut self, job: Box<dyn Job>) -> Box<dyn Job> {
        self.last = Some(Instant::now());
        job
    }
}
