//! Clients that push and delete without pause and keep account of what was acknowledged, for
//! tests that end the server in the middle of it.
//!
//! The account is exact: what was answered with success must be so afterwards; what was sent
//! without an answer may or may not be; nothing else may have changed.

use super::image::{Manifest, OCI_EMPTY, OCI_LAYER, OCI_MANIFEST, bytes, descriptor, digest};
use super::session::{last_byte, with_query};
use super::{Client, Response, Server};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// Tags that each pusher moves around.
const TAGS: u64 = 3;

/// What a path can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// It is there, with these bytes.
    There(Vec<u8>),
    /// It is unknown.
    Gone,
}

/// An upload whose offset was acknowledged.
#[derive(Clone, Debug)]
struct Session {
    location: String,
    blob: Vec<u8>,
    acknowledged: usize,
    /// Where it would be if the last chunk, sent without an answer, was kept.
    possible: usize,
}

/// What is asked of an upload that was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resume {
    /// It goes on at the offset that was acknowledged.
    Exact,
    /// It is gone, or goes on at no more than that; what it holds is what was sent.
    Right,
}

/// One client and its account.
#[derive(Debug)]
struct Pusher {
    repository: String,
    seed: u64,
    /// What each path may answer: one state where it was acknowledged, several where a request
    /// about it was sent and not answered.
    paths: BTreeMap<String, Vec<State>>,
    sessions: Vec<Session>,
}

/// Several clients, each in a repository of its own, all pushing some of the same blobs.
pub struct Pushers {
    pushers: Vec<Pusher>,
}

impl Pushers {
    /// This many clients; nothing is sent yet.
    pub fn new(count: u64) -> Pushers {
        let pusher = |number: u64| Pusher {
            repository: format!("pusher/{number}"),
            seed: number * 1_000_000,
            paths: BTreeMap::new(),
            sessions: Vec::new(),
        };
        Pushers {
            pushers: (1..=count).map(pusher).collect(),
        }
    }

    /// Pushes from all clients until `count` requests were acknowledged, then calls `end`, which
    /// must make the server fail, and returns when every client has failed.
    pub fn run(&mut self, server: &Server, count: u64, end: impl FnOnce()) {
        self.run_until(server, count, &AtomicBool::new(false), end);
    }

    /// As [`Pushers::run`], where `cut` takes the power from the disk. The system call that does
    /// it is not atomic: a sync that is under way at that moment can return success and be lost
    /// all the same (a program of twenty lines shows it). So what is answered once the cut has
    /// begun may or may not be there; the clients go on all the while.
    pub fn run_into_power_cut(&mut self, server: &Server, count: u64, cut: impl FnOnce()) {
        let cutting = AtomicBool::new(false);
        self.run_until(server, count, &cutting, || {
            cutting.store(true, Ordering::SeqCst);
            cut();
        });
    }

    fn run_until(&mut self, server: &Server, count: u64, cutting: &AtomicBool, end: impl FnOnce()) {
        let acknowledged = AtomicU64::new(0);
        thread::scope(|scope| {
            for pusher in &mut self.pushers {
                let (client, acknowledged) = (server.client(), &acknowledged);
                scope.spawn(move || {
                    let mut line = Line { client, cutting };
                    while let Ok(more) = pusher.push(&mut line) {
                        acknowledged.fetch_add(more, Ordering::Relaxed);
                    }
                });
            }
            super::eventually("enough was acknowledged", || {
                (acknowledged.load(Ordering::Relaxed) >= count).then_some(())
            });
            end();
        });
    }

    /// Fails unless the server serves exactly what it has acknowledged; finishes every upload
    /// that was under way.
    pub fn verify(&mut self, server: &Server) {
        self.verify_all(server, Resume::Exact);
    }

    /// As [`Pushers::verify`], after the disk has lost its power: an upload that was under way
    /// may be gone or have fallen back, and what is left of it must still be right.
    pub fn verify_after_power_cut(&mut self, server: &Server) {
        self.verify_all(server, Resume::Right);
    }

    fn verify_all(&mut self, server: &Server, resume: Resume) {
        let mut client = server.client();
        for pusher in &mut self.pushers {
            pusher.verify(&mut client, resume);
        }
    }

    /// Things of which it is known that they must be there.
    pub fn known(&self) -> usize {
        let there = |states: &&Vec<State>| matches!(states[..], [State::There(_)]);
        self.pushers
            .iter()
            .map(|pusher| pusher.paths.values().filter(there).count())
            .sum()
    }
}

/// A client's connection, and whether answers on it still promise something.
struct Line<'c> {
    client: Client,
    cutting: &'c AtomicBool,
}

impl Pusher {
    /// One image, one upload left in the middle, sometimes a delete; answers how many requests
    /// were acknowledged.
    fn push(&mut self, line: &mut Line<'_>) -> io::Result<u64> {
        self.seed += 1;
        let seed = self.seed;
        // Blobs of few seeds are shared by all repositories, so that pushes of the same race.
        let shared = bytes(seed % 1000 / 4, 1000 + size(seed % 7 * 3000));
        let own = bytes(seed, size(seed % 5 * 17_000 + 1));
        for (blob, way) in [
            (&shared, seed),
            (&own, seed + 1),
            (&b"{}".to_vec(), seed + 2),
        ] {
            self.push_blob(line, blob, way)?;
        }
        let manifest = Manifest::new(&json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(OCI_EMPTY, b"{}"),
            "layers": [descriptor(OCI_LAYER, &shared), descriptor(OCI_LAYER, &own)],
        }));
        self.push_manifest(line, &manifest)?;
        self.leave_session(line, &own)?;
        if seed.is_multiple_of(3) {
            self.delete(line, &format!("manifests/{}", manifest.digest()))?;
            self.delete(line, &format!("blobs/{}", digest(&own)))?;
        }
        Ok(7)
    }

    fn push_blob(&mut self, line: &mut Line<'_>, blob: &[u8], way: u64) -> io::Result<()> {
        let (own, uploads) = (digest(blob), self.path("blobs/uploads/"));
        let path = self.path(&format!("blobs/{own}"));
        let there = State::There(blob.to_vec());
        self.may_become(&path, &there);
        if way.is_multiple_of(3) {
            let whole = format!("{uploads}?digest={own}");
            line.send("POST", &whole, &[], blob, 201)?;
        } else {
            let session = line.send("POST", &uploads, &[], b"", 202)?.location();
            let end = with_query(&session, &format!("digest={own}"));
            if way % 3 == 1 {
                line.send("PUT", &end, &[], blob, 201)?;
            } else {
                let (first, last) = blob.split_at(blob.len() / 2);
                line.send("PATCH", &session, &[], first, 202)?;
                line.send("PUT", &end, &[], last, 201)?;
            }
        }
        self.is_now(line, path, there);
        Ok(())
    }

    fn push_manifest(&mut self, line: &mut Line<'_>, manifest: &Manifest) -> io::Result<()> {
        let by_digest = self.path(&format!("manifests/{}", manifest.digest()));
        let by_tag = self.path(&format!("manifests/t{}", self.seed % TAGS));
        let there = State::There(manifest.bytes.clone());
        for path in [&by_digest, &by_tag] {
            self.may_become(path, &there);
        }
        let headers = [("Content-Type", manifest.media_type.as_str())];
        line.send("PUT", &by_tag, &headers, &manifest.bytes, 201)?;
        for path in [by_digest, by_tag] {
            self.is_now(line, path, there.clone());
        }
        Ok(())
    }

    /// Starts an upload and leaves it after some chunks.
    fn leave_session(&mut self, line: &mut Line<'_>, blob: &[u8]) -> io::Result<()> {
        let uploads = self.path("blobs/uploads/");
        let location = line.send("POST", &uploads, &[], b"", 202)?.location();
        let blob = blob.to_vec();
        self.sessions.push(Session {
            location,
            blob,
            acknowledged: 0,
            possible: 0,
        });
        let Some(session) = self.sessions.last_mut() else {
            return Ok(());
        };
        let step = session.blob.len() / 4 + 1;
        for _ in 0..self.seed % 3 {
            let end = (session.acknowledged + step).min(session.blob.len());
            session.possible = end;
            let chunk = session.blob[session.acknowledged..end].to_vec();
            line.send("PATCH", &session.location, &[], &chunk, 202)?;
            session.acknowledged = end;
        }
        Ok(())
    }

    fn delete(&mut self, line: &mut Line<'_>, what: &str) -> io::Result<()> {
        let path = self.path(what);
        let Some([there @ State::There(_)]) = self.paths.get(&path).map(Vec::as_slice) else {
            return Ok(());
        };
        // A manifest takes its tags with it.
        let (there, is_manifest) = (there.clone(), what.starts_with("manifests/"));
        let goes = |(other, states): &(&String, &Vec<State>)| {
            **other == path || (is_manifest && states.contains(&there))
        };
        let taken: Vec<String> = self
            .paths
            .iter()
            .filter(goes)
            .map(|(other, _)| other.clone())
            .collect();
        for path in &taken {
            self.may_become(path, &State::Gone);
        }
        line.send("DELETE", &path, &[], b"", 202)?;
        for path in taken {
            self.is_now(line, path, State::Gone);
        }
        Ok(())
    }

    fn verify(&mut self, client: &mut Client, resume: Resume) {
        for (path, states) in &mut self.paths {
            let answer = client.get(path);
            let found = match answer.status {
                200 => State::There(answer.body.clone()),
                404 => State::Gone,
                _ => panic!("neither there nor gone\n{answer}"),
            };
            assert!(
                states.contains(&found),
                "not what was acknowledged\n{answer}"
            );
            *states = vec![found];
        }
        for session in std::mem::take(&mut self.sessions) {
            self.resume(client, session, resume);
        }
    }

    /// An upload goes on exactly where it was acknowledged, or behind a chunk whose answer was
    /// lost, and finishes right.
    fn resume(&mut self, client: &mut Client, session: Session, resume: Resume) {
        let Session {
            location,
            blob,
            acknowledged,
            possible,
        } = session;
        let answer = client.get(&location);
        if resume == Resume::Right && answer.status == 404 {
            return;
        }
        let answer = answer.expect(204);
        let offset = match (last_byte(&answer), acknowledged, possible) {
            // One byte and none look the same.
            (0, 0, 1) | (0, 1, _) if resume == Resume::Right || acknowledged == 0 => {
                client.delete(&location).expect(204);
                return;
            }
            (0, 1, _) => 1,
            (0, ..) => 0,
            (last, ..) => usize::try_from(last).expect("an offset") + 1,
        };
        let allowed = match resume {
            Resume::Exact => [acknowledged, possible].contains(&offset),
            Resume::Right => offset <= acknowledged.max(possible),
        };
        assert!(
            allowed,
            "acknowledged {acknowledged}, possibly {possible}\n{answer}"
        );
        let own = digest(&blob);
        client
            .finish_upload(&location, &own, &blob[offset..])
            .expect(201);
        let path = self.path(&format!("blobs/{own}"));
        self.paths.insert(path, vec![State::There(blob)]);
    }

    fn path(&self, what: &str) -> String {
        format!("/v2/{}/{what}", self.repository)
    }

    /// A request is about to be sent that may bring this path into this state.
    fn may_become(&mut self, path: &str, state: &State) {
        let states = self
            .paths
            .entry(path.to_owned())
            .or_insert_with(|| vec![State::Gone]);
        if !states.contains(state) {
            states.push(state.clone());
        }
    }

    /// It was answered that this path is in this state.
    fn is_now(&mut self, line: &Line<'_>, path: String, state: State) {
        if !line.cutting.load(Ordering::SeqCst) {
            self.paths.insert(path, vec![state]);
        }
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a small size")
}

impl Line<'_> {
    /// One request; an error when it is not answered, or with another status.
    fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        status: u16,
    ) -> io::Result<Response> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n");
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
        self.client.about(&head);
        self.client.try_send(&[head.as_bytes(), body].concat())?;
        let answer = self.client.try_receive()?;
        if answer.status == status {
            Ok(answer)
        } else {
            Err(io::Error::other(format!("{answer}")))
        }
    }
}
