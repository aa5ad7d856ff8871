//! The checkpoint's record.

use super::super::checkpoint::{Checkpoint, RECORD_LENGTH_MAX};
use crate::oci::{Algorithm, Digest, Hasher};

fn checkpoint(algorithm: Algorithm) -> Checkpoint {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(&[7; 1000]);
    Checkpoint {
        offset: 1000,
        hasher,
    }
}

#[test]
fn comes_back_as_it_was_and_goes_on() {
    for algorithm in Algorithm::ALL {
        let mut record = checkpoint(algorithm).encode([3; 16]);
        assert!(record.len() <= RECORD_LENGTH_MAX);
        record.extend([0; 100]);
        let (found, boot) = Checkpoint::decode(&record).unwrap();
        assert_eq!((found.offset, boot), (1000, [3; 16]));
        let mut hasher = found.hasher;
        hasher.update(&[7; 24]);
        assert_eq!(hasher.finish(), Digest::of(algorithm, &[7; 1024]));
    }
}

#[test]
fn any_damage_is_seen() {
    for algorithm in Algorithm::ALL {
        let record = checkpoint(algorithm).encode([3; 16]);
        for length in 0..record.len() {
            assert!(Checkpoint::decode(&record[..length]).is_none(), "{length}");
        }
        for at in 0..record.len() {
            for change in [1, 0x80, 0xff] {
                let mut record = record.clone();
                record[at] ^= change;
                assert!(Checkpoint::decode(&record).is_none(), "{at} {change}");
            }
        }
    }
}
