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
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Tags that each pusher moves around.
const TAGS: u64 = 3;

/// What must be so of one path, as far as answers have told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    /// It is there, with these bytes.
    There(Vec<u8>),
    /// It was deleted.
    Gone,
    /// A request about it was sent and not answered: one of these.
    OneOf(Vec<Known>),
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
    paths: BTreeMap<String, Known>,
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
        let acknowledged = AtomicU64::new(0);
        thread::scope(|scope| {
            for pusher in &mut self.pushers {
                let (mut client, acknowledged) = (server.client(), &acknowledged);
                scope.spawn(move || {
                    while let Ok(more) = pusher.push(&mut client) {
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
        let there = |known: &&Known| matches!(known, Known::There(_));
        self.pushers
            .iter()
            .map(|pusher| pusher.paths.values().filter(there).count())
            .sum()
    }
}

impl Pusher {
    /// One image, one upload left in the middle, sometimes a delete; answers how many requests
    /// were acknowledged.
    fn push(&mut self, client: &mut Client) -> io::Result<u64> {
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
            self.push_blob(client, blob, way)?;
        }
        let manifest = Manifest::new(&json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(OCI_EMPTY, b"{}"),
            "layers": [descriptor(OCI_LAYER, &shared), descriptor(OCI_LAYER, &own)],
        }));
        self.push_manifest(client, &manifest)?;
        self.leave_session(client, &own)?;
        if seed.is_multiple_of(3) {
            self.delete(client, &format!("manifests/{}", manifest.digest()))?;
            self.delete(client, &format!("blobs/{}", digest(&own)))?;
        }
        Ok(7)
    }

    fn push_blob(&mut self, client: &mut Client, blob: &[u8], way: u64) -> io::Result<()> {
        let (own, uploads) = (digest(blob), self.path("blobs/uploads/"));
        let path = self.path(&format!("blobs/{own}"));
        self.may_be_there(&path, blob);
        if way.is_multiple_of(3) {
            let line = format!("{uploads}?digest={own}");
            send(client, "POST", &line, &[], blob, 201)?;
        } else {
            let session = send(client, "POST", &uploads, &[], b"", 202)?.location();
            let end = with_query(&session, &format!("digest={own}"));
            if way % 3 == 1 {
                send(client, "PUT", &end, &[], blob, 201)?;
            } else {
                let (first, last) = blob.split_at(blob.len() / 2);
                send(client, "PATCH", &session, &[], first, 202)?;
                send(client, "PUT", &end, &[], last, 201)?;
            }
        }
        self.paths.insert(path, Known::There(blob.to_vec()));
        Ok(())
    }

    fn push_manifest(&mut self, client: &mut Client, manifest: &Manifest) -> io::Result<()> {
        let by_digest = self.path(&format!("manifests/{}", manifest.digest()));
        let by_tag = self.path(&format!("manifests/t{}", self.seed % TAGS));
        for path in [&by_digest, &by_tag] {
            self.may_be_there(path, &manifest.bytes);
        }
        let headers = [("Content-Type", manifest.media_type.as_str())];
        send(client, "PUT", &by_tag, &headers, &manifest.bytes, 201)?;
        for path in [by_digest, by_tag] {
            self.paths
                .insert(path, Known::There(manifest.bytes.clone()));
        }
        Ok(())
    }

    /// Starts an upload and leaves it after some chunks.
    fn leave_session(&mut self, client: &mut Client, blob: &[u8]) -> io::Result<()> {
        let uploads = self.path("blobs/uploads/");
        let location = send(client, "POST", &uploads, &[], b"", 202)?.location();
        let blob = blob.to_vec();
        let session = Session {
            location,
            blob,
            acknowledged: 0,
            possible: 0,
        };
        self.sessions.push(session);
        let Some(session) = self.sessions.last_mut() else {
            return Ok(());
        };
        let step = session.blob.len() / 4 + 1;
        for _ in 0..self.seed % 3 {
            let end = (session.acknowledged + step).min(session.blob.len());
            session.possible = end;
            let chunk = session.blob[session.acknowledged..end].to_vec();
            send(client, "PATCH", &session.location, &[], &chunk, 202)?;
            session.acknowledged = end;
        }
        Ok(())
    }

    fn delete(&mut self, client: &mut Client, what: &str) -> io::Result<()> {
        let path = self.path(what);
        // A manifest takes its tags with it.
        let bytes = match self.paths.get(&path) {
            Some(Known::There(bytes)) => Known::There(bytes.clone()),
            _ => return Ok(()),
        };
        let manifest = what.starts_with("manifests/");
        let taken: Vec<String> = self
            .paths
            .iter()
            .filter(|(other, known)| **other == path || (manifest && **known == bytes))
            .map(|(other, _)| other.clone())
            .collect();
        for path in &taken {
            let maybe = Known::OneOf(vec![bytes.clone(), Known::Gone]);
            self.paths.insert(path.clone(), maybe);
        }
        send(client, "DELETE", &path, &[], b"", 202)?;
        for path in taken {
            self.paths.insert(path, Known::Gone);
        }
        Ok(())
    }

    fn verify(&mut self, client: &mut Client, resume: Resume) {
        for (path, known) in &mut self.paths {
            let answer = client.get(path);
            let found = match answer.status {
                200 => Known::There(answer.body.clone()),
                404 => Known::Gone,
                _ => panic!("neither there nor gone\n{answer}"),
            };
            let allowed = match &known {
                Known::OneOf(several) => several.contains(&found),
                one => **one == found,
            };
            assert!(allowed, "not what was acknowledged\n{answer}");
            *known = found;
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
        self.paths.insert(path, Known::There(blob));
    }

    fn path(&self, what: &str) -> String {
        format!("/v2/{}/{what}", self.repository)
    }

    /// Bytes are about to be sent to this path.
    fn may_be_there(&mut self, path: &str, bytes: &[u8]) {
        let there = Known::There(bytes.to_vec());
        let before = self.paths.get(path).cloned().unwrap_or(Known::Gone);
        let both = if before == there {
            before
        } else {
            Known::OneOf(vec![before, there])
        };
        self.paths.insert(path.to_owned(), both);
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a small size")
}

/// One request; an error when it is not answered, or with another status.
fn send(
    client: &mut Client,
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
    client.about(&head);
    client.try_send(&[head.as_bytes(), body].concat())?;
    let answer = client.try_receive()?;
    if answer.status == status {
        Ok(answer)
    } else {
        Err(io::Error::other(format!("{answer}")))
    }
}
