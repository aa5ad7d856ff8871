//! A closure on its way to the writer, and its answer on the way back.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::failure::Failure;
use super::transaction::WriteTx;
use crate::store::{Error, ErrorKind};

/// A closure of any type that waits for the writer, or for the commit of what it did.
pub(super) trait Job: Send {
    /// Runs the closure; whether it succeeded, so that what it did is to be kept.
    fn run(&mut self, transaction: &mut WriteTx<'_>) -> bool;

    /// Answers the caller: with the failure, or without one with what the closure returned. A
    /// closure's own error stands in either case.
    fn answer(self: Box<Self>, failure: Option<&Failure>);
}

struct Work<F, T, E> {
    closure: Option<F>,
    outcome: Option<Result<T, E>>,
    reply: Sender<Result<T, E>>,
}

/// Wraps a closure; its answer arrives at the receiver.
pub(super) fn job<F, T, E>(closure: F) -> (Box<dyn Job>, Receiver<Result<T, E>>)
where
    F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let (reply, answer) = bounded(1);
    let work = Work {
        closure: Some(closure),
        outcome: None,
        reply,
    };
    (Box::new(work), answer)
}

impl<F, T, E> Job for Work<F, T, E>
where
    F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&mut self, transaction: &mut WriteTx<'_>) -> bool {
        let Some(closure) = self.closure.take() else {
            return false;
        };
        // What a panic leaves behind is in the transaction, and that is rolled back.
        let result = catch_unwind(AssertUnwindSafe(|| closure(transaction)));
        let outcome = result.unwrap_or_else(|panic| Err(E::from(panicked(&*panic))));
        let succeeded = outcome.is_ok();
        self.outcome = Some(outcome);
        succeeded
    }

    fn answer(self: Box<Self>, failure: Option<&Failure>) {
        let result = match (self.outcome, failure) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(_)) | None, Some(failure)) => Err(E::from(failure.to_error())),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => Err(E::from(closed())),
        };
        // A caller that is gone (its thread panicked) needs no answer.
        let _ = self.reply.send(result);
    }
}

/// The catalog takes no more writes.
pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "writing to", "the catalog")
}

/// The error of a closure that panicked.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> Error {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Error::new(ErrorKind::Io, "writing to", "the catalog").because(format!("panicked: {message}"))
}
