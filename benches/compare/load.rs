//! What clients do: push and pull as real ones do, alone or several at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::Outcome;
use crate::client::{Connection, Target, expect};
use crate::content::{Blob, Image, MANIFEST, blob_target, digest};

/// Opens an upload session and gives the target of its closing PUT, digest included.
pub fn open_upload(connection: &mut Connection, repository: &str, blob: &Blob) -> Outcome<String> {
    let target = format!("/v2/{repository}/blobs/uploads/");
    let head = connection.send("POST", &target, "", &[])?;
    let location = expect(head, 202, "POST", &target)?
        .location
        .ok_or_else(|| format!("POST {target} answered without a Location"))?;
    let path = location
        .split_once("://")
        .and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]))
        .unwrap_or(&location);
    let joint = if path.contains('?') { '&' } else { '?' };
    Ok(format!("{path}{joint}digest={}", blob.digest))
}

/// Pushes a blob as containerd and others do: HEAD, POST, one PUT with all bytes.
pub fn push_blob(connection: &mut Connection, repository: &str, blob: &Blob) -> Outcome<()> {
    let known = blob_target(repository, blob);
    let head = connection.ask("HEAD", &known, &mut |_| {})?;
    expect(head, 404, "HEAD", &known)?;
    let target = open_upload(connection, repository, blob)?;
    let head = connection.send("PUT", &target, "application/octet-stream", &blob.parts())?;
    expect(head, 201, "PUT", &target)?;
    Ok(())
}

/// Pushes an image: configuration, layers, then the manifest by tag.
pub fn push_image(connection: &mut Connection, image: &Image) -> Outcome<()> {
    for blob in &image.blobs {
        push_blob(connection, &image.repository, blob)?;
    }
    let target = image.target();
    let head = connection.send("PUT", &target, MANIFEST, &[&image.manifest])?;
    expect(head, 201, "PUT", &target)?;
    Ok(())
}

/// Pulls an image: the manifest by tag, then every blob of it.
pub fn pull_image(connection: &mut Connection, image: &Image) -> Outcome<()> {
    let target = image.target();
    let head = connection.ask("GET", &target, &mut |_| {})?;
    expect(head, 200, "GET", &target)?;
    for blob in &image.blobs {
        pull_blob(connection, &image.repository, blob)?;
    }
    Ok(())
}

/// Pulls a blob and looks at its length only, as fast as a client can.
pub fn pull_blob(connection: &mut Connection, repository: &str, blob: &Blob) -> Outcome<()> {
    let target = blob_target(repository, blob);
    let mut received = 0;
    let head = connection.ask("GET", &target, &mut |bytes| received += bytes.len())?;
    expect(head, 200, "GET", &target)?;
    if received != blob.len() {
        return Err(format!("GET {target} gave {received} bytes of {}", blob.len()).into());
    }
    Ok(())
}

/// Pulls a blob and compares every byte with its digest; done once before the clock runs.
pub fn verify_blob(connection: &mut Connection, repository: &str, blob: &Blob) -> Outcome<()> {
    let target = blob_target(repository, blob);
    let mut hash = Sha256::new();
    let head = connection.ask("GET", &target, &mut |bytes| hash.update(bytes))?;
    expect(head, 200, "GET", &target)?;
    let got = digest(&hash.finalize());
    if got != blob.digest {
        return Err(format!("GET {target} gave bytes with digest {got}").into());
    }
    Ok(())
}

/// Runs `work` on `clients` open connections at once; the first error ends it. The time is that
/// of the work: connections are opened before.
pub fn race(
    target: impl Into<Target>,
    clients: usize,
    work: impl Fn(usize, &mut Connection) -> Outcome<()> + Sync,
) -> Outcome<Duration> {
    let target = target.into();
    let mut connections = (0..clients)
        .map(|_| Connection::open(&target))
        .collect::<Outcome<Vec<_>>>()?;
    let work = &work;
    let started = Instant::now();
    thread::scope(|scope| {
        let running: Vec<_> = connections
            .iter_mut()
            .enumerate()
            .map(|(index, connection)| scope.spawn(move || work(index, connection)))
            .collect();
        let mut ended = Ok(());
        for client in running {
            let one = client
                .join()
                .unwrap_or_else(|_| Err("a client panicked".into()));
            ended = ended.and(one);
        }
        ended
    })?;
    Ok(started.elapsed())
}

/// `clients` share `items`, each taking the next one; every item is done once.
pub fn share<T: Sync>(
    target: impl Into<Target>,
    clients: usize,
    items: &[T],
    each: impl Fn(&mut Connection, &T) -> Outcome<()> + Sync,
) -> Outcome<Duration> {
    let next = AtomicUsize::new(0);
    race(target, clients, |_, connection| {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            each(connection, item)?;
        }
        Ok(())
    })
}

/// `clients` do items over and over for `window`; gives how many were done, per second.
pub fn repeat<T: Sync>(
    target: impl Into<Target>,
    clients: usize,
    window: Duration,
    items: &[T],
    each: impl Fn(&mut Connection, &T) -> Outcome<()> + Sync,
) -> Outcome<Repeated> {
    let next = AtomicUsize::new(0);
    let end = Instant::now() + window;
    let took = race(target, clients, |_, connection| {
        while Instant::now() < end {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            each(connection, &items[turn % items.len()])?;
        }
        Ok(())
    })?;
    Ok(Repeated {
        done: next.into_inner(),
        took,
    })
}

/// What [`repeat`] got done.
#[derive(Clone, Copy, Debug)]
pub struct Repeated {
    /// Items done.
    pub done: usize,
    /// From the first start to the last end.
    pub took: Duration,
}

impl Repeated {
    /// Items per second.
    pub fn rate(self) -> f64 {
        crate::measure::real_len(self.done) / self.took.as_secs_f64()
    }
}
