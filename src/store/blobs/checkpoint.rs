//! The record beside an upload session: how much of it was acknowledged, and the hash so far.
//!
//! One small write in place, so a process that dies leaves the old record or the new one. What a
//! power cut makes of it is told by the checksum.

use crate::oci::{Algorithm, Digest, Hasher};

/// The only form there has been.
const VERSION: u8 = 1;
/// Version, algorithm, length of the hash state, offset, boot.
const HEAD_LENGTH: usize = 1 + 1 + 2 + 8 + 16;
const CHECKSUM_LENGTH: usize = 16;

/// No record is longer, in bytes.
pub(super) const RECORD_LENGTH_MAX: usize = 512;

/// What was acknowledged of a session.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    /// Bytes acknowledged.
    pub offset: u64,
    /// The hash of those bytes, ready to go on.
    pub hasher: Hasher,
}

impl Checkpoint {
    /// Nothing yet.
    pub fn empty(algorithm: Algorithm) -> Self {
        Self {
            offset: 0,
            hasher: Hasher::new(algorithm),
        }
    }

    /// The record, stamped with the boot in which its bytes were written.
    pub fn encode(&self, boot: [u8; 16]) -> Vec<u8> {
        let state = self.hasher.save();
        let mut record = Vec::with_capacity(HEAD_LENGTH + state.len() + CHECKSUM_LENGTH);
        record.push(VERSION);
        record.push(self.hasher.algorithm().code());
        // A state is a few hundred bytes; one that did not fit would fail to decode, not mislead.
        record.extend(u16::try_from(state.len()).unwrap_or(u16::MAX).to_be_bytes());
        record.extend(self.offset.to_be_bytes());
        record.extend(boot);
        record.extend(state);
        let checksum = Digest::of(Algorithm::Sha256, &record);
        record.extend(&checksum.raw()[..CHECKSUM_LENGTH]);
        record
    }

    /// Reads a record and the boot it was written in; `None` when it is damaged or of another
    /// version. What follows the record is ignored.
    pub fn decode(record: &[u8]) -> Option<(Self, [u8; 16])> {
        let head = record.get(..HEAD_LENGTH)?;
        if head[0] != VERSION {
            return None;
        }
        let state_length = usize::from(u16::from_be_bytes(head[2..4].try_into().ok()?));
        let body = record.get(..HEAD_LENGTH + state_length)?;
        let checksum = record.get(body.len()..body.len() + CHECKSUM_LENGTH)?;
        if &Digest::of(Algorithm::Sha256, body).raw()[..CHECKSUM_LENGTH] != checksum {
            return None;
        }
        let algorithm = Algorithm::from_code(head[1])?;
        let offset = u64::from_be_bytes(head[4..12].try_into().ok()?);
        let boot = head[12..28].try_into().ok()?;
        let hasher = Hasher::restore(algorithm, &body[HEAD_LENGTH..])?;
        Some((Self { offset, hasher }, boot))
    }
}
