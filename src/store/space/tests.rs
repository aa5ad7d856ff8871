//! The arithmetic of room, on a ground whose numbers a test sets, and on a disk that can be full.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::standing::Turn;
use super::*;
use crate::store::blobs::crash_disk::{CrashDisk, EIO, Faults, Names, Tail};

const MIB: u64 = 1 << 20;

/// A file system whose numbers a test sets.
#[derive(Clone, Default)]
struct Fake(Arc<Numbers>);

#[derive(Default)]
struct Numbers {
    free: AtomicU64,
    total: AtomicU64,
    ballast: AtomicU64,
    failure: Mutex<Option<i32>>,
}

impl Fake {
    fn new(free: u64) -> Self {
        let fake = Self::default();
        fake.0.total.store(1000 * MIB, Ordering::Relaxed);
        fake.set_free(free);
        fake
    }

    fn set_free(&self, bytes: u64) {
        self.0.free.store(bytes, Ordering::Relaxed);
    }

    fn free(&self) -> u64 {
        self.0.free.load(Ordering::Relaxed)
    }

    fn ballast(&self) -> u64 {
        self.0.ballast.load(Ordering::Relaxed)
    }

    fn fail(&self, number: Option<i32>) {
        *self.0.failure.lock().unwrap() = number;
    }

    fn check(&self) -> io::Result<()> {
        let failure = *self.0.failure.lock().unwrap();
        failure.map_or(Ok(()), |number| Err(io::Error::from_raw_os_error(number)))
    }

    fn space(&self, reserve: u64, low_water: u64) -> Arc<Space> {
        let options = Options {
            reserve: Some(reserve),
            low_water: Some(low_water),
        };
        let space = Space::over(Box::new(self.clone()), options);
        space.look_at_start().unwrap();
        Arc::new(space)
    }
}

impl Ground for Fake {
    fn room(&self) -> io::Result<Room> {
        self.check()?;
        Ok(Room {
            free: self.free(),
            total: self.0.total.load(Ordering::Relaxed),
        })
    }

    fn ballast(&self) -> io::Result<u64> {
        Ok(Fake::ballast(self))
    }

    fn set_ballast(&self, bytes: u64) -> io::Result<()> {
        self.check()?;
        let free = self.free() + Fake::ballast(self);
        self.0.ballast.store(0, Ordering::Relaxed);
        self.set_free(free);
        if bytes > free {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.ballast.store(bytes, Ordering::Relaxed);
        self.set_free(free - bytes);
        Ok(())
    }

    fn sync_ballast(&self) -> io::Result<()> {
        self.check()
    }
}

fn shortage(result: Result<Claim, Error>) -> Shortage {
    let error = result.err().expect("refused");
    assert_eq!(error.kind(), ErrorKind::Full);
    *error.shortage().expect("figures")
}

#[test]
fn the_reserve_is_kept_to_the_byte() {
    for reserve in [0, 1, 1000] {
        let fake = Fake::new(reserve + 500);
        let space = fake.space(reserve, 0);
        let refused = shortage(space.claim_all(501));
        let figures = Shortage {
            asked: 501,
            free: reserve + 500,
            reserve,
        };
        assert_eq!(refused, figures);
        drop(space.claim_all(500).unwrap());
        let claim = space.claim_all(499).unwrap();
        assert_eq!(shortage(space.claim_all(2)).free, reserve + 1);
        drop(space.claim_all(1).unwrap());
        // Nothing asked for is never too much.
        fake.set_free(0);
        drop(space.claim_all(0).unwrap());
        drop(claim);
        assert_eq!(space.lock().announced, 0);
    }
}

#[test]
fn what_is_not_on_the_disk_yet_is_not_promised_twice() {
    let fake = Fake::new(1000);
    let space = fake.space(100, 0);
    let mut first = space.claim_all(600).unwrap();
    let mut second = space.claim();
    assert_eq!(second.free(), None);
    assert!(second.take(301, 301).is_err());
    second.take(300, 300).unwrap();
    assert_eq!(second.free(), Some(1000), "what is really free");
    // 400 of the first are written, and the file system counts them.
    fake.set_free(600);
    first.settle(400);
    assert_eq!(shortage(space.claim_all(1)).free, 100);
    // More than was claimed is nobody else's.
    fake.set_free(200);
    first.settle(10_000);
    assert_eq!(space.lock().announced, 300);
    drop((first, second));
    assert_eq!(space.lock().announced, 0);
    drop(space.claim_all(100).unwrap());
}

/// A long content is asked for whole, and held as far as it is about to come.
#[test]
fn what_is_announced_is_compared_and_not_held() {
    let fake = Fake::new(10_000);
    let space = fake.space(100, 0);
    let mut long = space.claim();
    assert!(long.take(64, 9_901).is_err());
    long.take(64, 9_900).unwrap();
    drop(space.claim_all(9_836).unwrap());
    assert!(space.claim_all(9_837).is_err());
}

#[test]
fn a_file_system_that_tells_nothing_admits_nothing() {
    let fake = Fake::new(1000);
    let space = fake.space(0, 0);
    fake.fail(Some(EIO));
    let error = space.claim_all(1).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.shortage().is_none());
    assert!(space.standing().is_err());
    fake.fail(None);
    drop(space.claim_all(1).unwrap());
}

#[test]
fn without_a_disk_there_is_always_room() {
    let space = Space::unlimited();
    let mut claim = space.claim_all(u64::MAX).unwrap();
    claim.take(u64::MAX, u64::MAX).unwrap();
    assert_eq!(claim.free(), Some(u64::MAX));
    assert_eq!(space.standing().unwrap(), None);
    assert!(!space.release_ballast());
    space.keep_ballast();
    space.provide(u64::MAX);
}

#[test]
fn the_numbers_that_nobody_chose_come_from_the_file_system() {
    let marks = |reserve, low_water, total| {
        let marks = Options { reserve, low_water }.marks(total);
        (marks.reserve, marks.low_water)
    };
    assert_eq!(marks(None, None, 1000 * MIB), (64 * MIB, 128 * MIB));
    assert_eq!(marks(None, None, 100_000 * MIB), (1000 * MIB, 2000 * MIB));
    assert_eq!(marks(Some(5), None, 1000 * MIB), (5, 10));
    assert_eq!(marks(Some(0), None, 1000 * MIB), (0, 0));
    assert_eq!(marks(Some(0), Some(7), 1000 * MIB), (0, 7));
    assert_eq!(marks(Some(u64::MAX), None, 0), (u64::MAX, u64::MAX));
}

#[test]
fn the_ballast_is_made_inside_the_reserve_and_given_up_once() {
    let fake = Fake::new(100 * MIB);
    let space = fake.space(64 * MIB, 0);
    let admitted = |bytes| space.claim_all(bytes).is_ok();
    assert!(admitted(36 * MIB) && !admitted(36 * MIB + 1));
    space.keep_ballast();
    assert_eq!((fake.ballast(), fake.free()), (16 * MIB, 84 * MIB));
    assert!(
        admitted(36 * MIB) && !admitted(36 * MIB + 1),
        "it counts as free"
    );
    // Somebody else fills the disk.
    fake.set_free(MIB);
    space.provide(MIB);
    space.keep_ballast();
    assert_eq!(fake.ballast(), 16 * MIB, "not needed yet, and not grown");
    space.provide(MIB + 1);
    assert_eq!((fake.ballast(), fake.free()), (0, 17 * MIB));
    assert!(!space.release_ballast(), "there is no more");
    assert!(!admitted(1), "pushes do not get it");
    space.keep_ballast();
    assert_eq!(fake.ballast(), 0);
    fake.set_free(64 * MIB - 1);
    space.keep_ballast();
    assert_eq!(fake.ballast(), 0);
    fake.set_free(64 * MIB);
    space.keep_ballast();
    assert_eq!(
        (fake.ballast(), fake.free()),
        (16 * MIB, 48 * MIB),
        "made again"
    );
}

#[test]
fn the_ballast_follows_the_reserve() {
    for (reserve, ballast) in [
        (0, 0),
        (MIB, MIB / 2),
        (20 * MIB, 10 * MIB),
        (500 * MIB, 16 * MIB),
    ] {
        let fake = Fake::new(900 * MIB);
        // Left by a process with another reserve.
        fake.0.ballast.store(12 * MIB, Ordering::Relaxed);
        fake.space(reserve, 0).keep_ballast();
        assert_eq!(fake.ballast(), ballast, "{reserve}");
    }
}

#[test]
fn the_next_start_finds_room_however_full_the_disk() {
    let left = |free, ballast| {
        let fake = Fake::new(free);
        fake.0.ballast.store(ballast, Ordering::Relaxed);
        fake.space(64 * MIB, 0).keep_ballast_for_next_start();
        fake.ballast()
    };
    assert_eq!(left(100 * MIB, 0), 16 * MIB);
    assert_eq!(left(20 * MIB, 0), START_ROOM);
    assert_eq!(left(5 * MIB, 0), 4 * MIB, "most of what the log gave back");
    assert_eq!(left(0, 0), 0);
    assert_eq!(left(0, 16 * MIB), 16 * MIB, "it is there");
    assert_eq!(left(6 * MIB, 2 * MIB), 8 * MIB, "it grows");
}

#[test]
fn a_ballast_that_cannot_be_made_keeps_nothing() {
    let fake = Fake::new(100 * MIB);
    let space = fake.space(64 * MIB, 0);
    fake.fail(Some(EIO));
    space.keep_ballast();
    fake.fail(None);
    assert_eq!(space.lock().ballast, 0);
    space.keep_ballast();
    assert_eq!(space.lock().ballast, 16 * MIB);
    fake.fail(Some(EIO));
    assert!(!space.release_ballast());
    assert_eq!(space.lock().ballast, 16 * MIB, "it is still there");
}

#[test]
fn pressure_is_told_once_when_room_runs_short_and_once_when_there_is_none() {
    let fake = Fake::new(200 * MIB);
    let space = fake.space(64 * MIB, 128 * MIB);
    let told = |free| {
        fake.set_free(free);
        let standing = space.standing().unwrap().unwrap();
        let told = space.pressure().try_recv().is_ok();
        (told, standing.is_low, standing.is_full)
    };
    assert_eq!(told(128 * MIB), (false, false, false));
    assert_eq!(told(128 * MIB - 1), (true, true, false));
    assert_eq!(told(100 * MIB), (false, true, false));
    assert_eq!(told(64 * MIB + 1), (false, true, false));
    assert_eq!(told(64 * MIB), (true, true, true));
    assert_eq!(told(66 * MIB - 1), (false, true, true), "not yet");
    assert_eq!(told(66 * MIB), (false, true, false));
    assert_eq!(told(135 * MIB), (false, true, false), "not yet");
    assert_eq!(told(136 * MIB), (false, false, false));
    // Nobody has listened meanwhile: one call waits.
    fake.set_free(10 * MIB);
    space.standing().unwrap();
    assert!(space.pressure().try_recv().is_ok());
    assert!(space.pressure().try_recv().is_err());
}

#[test]
fn a_short_push_that_finds_no_room_means_that_there_is_none() {
    let fake = Fake::new(64 * MIB + 1000);
    let space = fake.space(64 * MIB, 0);
    let is_full = || space.standing().unwrap().unwrap().is_full;
    assert!(space.claim_all(500 * MIB).is_err());
    assert!(!is_full(), "it was just too much");
    let claim = space.claim_all(1000).unwrap();
    assert!(space.claim_all(1001).is_err());
    drop(claim);
    assert!(is_full());
    drop(space.claim_all(1000).unwrap());
    // What only others' promises keep from being admitted is no sign of it.
    let fake = Fake::new(80 * MIB);
    let space = fake.space(64 * MIB, 0);
    let _claim = space.claim_all(16 * MIB).unwrap();
    assert!(space.claim_all(1).is_err());
    assert!(!space.standing().unwrap().unwrap().is_full);
}

#[test]
fn figures_are_for_people() {
    let figures = [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (10 * MIB + MIB / 2, "10 MiB"),
        (2 * MIB - 1, "1.9 MiB"),
        (3 << 29, "1.5 GiB"),
        (u64::MAX, "16777215 TiB"),
    ];
    for (bytes, text) in figures {
        assert_eq!(human(bytes), text);
    }
    let mut standing = Standing {
        total: u64::MAX,
        free: 12 * MIB,
        reserve: 64 * MIB,
        low_water: 128 * MIB,
        is_low: true,
        is_full: true,
    };
    let said = "writes are refused: 12 MiB free, 64 MiB reserved";
    assert_eq!(standing.to_string(), said);
    standing.is_full = false;
    let said = "there is little room: 12 MiB free, less than 128 MiB";
    assert_eq!(standing.to_string(), said);
    let error = standing.shortage(2 * MIB, 5 * MIB).unwrap().to_string();
    let said = "5 MiB asked for, 10 MiB free, 64 MiB reserved; ";
    assert!(error.starts_with(said), "{error}");
}

fn opened(disk: &CrashDisk, reserve: u64) -> Arc<Space> {
    let layout = Layout::new("/data");
    let options = Options {
        reserve: Some(reserve),
        low_water: Some(0),
    };
    Space::open(disk.clone(), &layout, options).unwrap()
}

fn ballast_of(disk: &CrashDisk) -> Option<usize> {
    let path = Layout::new("/data").ballast();
    disk.contents(&path).map(|bytes| bytes.len())
}

#[test]
fn a_start_with_little_room_gives_the_ballast_up() {
    let disk = CrashDisk::new(Path::new("/data"));
    let limit = |mib: u64| {
        disk.set_faults(Faults {
            bytes_max: Some(mib * MIB),
            ..Faults::default()
        });
    };
    limit(100);
    opened(&disk, 64 * MIB).keep_ballast();
    assert_eq!(ballast_of(&disk), Some(16 << 20));
    let next = disk.crash(Names::Synced, Tail::Lost);
    assert_eq!(ballast_of(&next), Some(16 << 20), "it is durable");
    limit(24);
    drop(opened(&disk, 64 * MIB));
    assert_eq!(ballast_of(&disk), Some(16 << 20), "8 MiB are free");
    limit(23);
    let space = opened(&disk, 64 * MIB);
    assert_eq!(ballast_of(&disk), Some(0));
    space.keep_ballast_for_next_start();
    assert_eq!(ballast_of(&disk), Some(8 << 20));
}

/// Whatever call fails: the count and the file agree, or the file is shorter than nobody thinks.
#[test]
fn a_failing_disk_leaves_no_ballast_that_is_not_there() {
    for at in 1..20 {
        let disk = CrashDisk::new(Path::new("/data"));
        let space = opened(&disk, 64 * MIB);
        disk.set_faults(Faults {
            fail_at_call: Some((at, EIO)),
            ..Faults::default()
        });
        space.keep_ballast();
        let length = ballast_of(&disk).unwrap_or(0) as u64;
        assert!(space.lock().ballast <= length, "{at}");
        disk.set_faults(Faults::default());
        space.keep_ballast();
        assert_eq!(ballast_of(&disk), Some(16 << 20), "{at}");
        assert_eq!(space.lock().ballast, 16 * MIB, "{at}");
    }
}

proptest! {
    /// Many who claim, write and settle in any order: what is free never falls below the reserve.
    #[test]
    fn no_order_of_claims_breaks_into_the_reserve(
        steps in proptest::collection::vec((0usize..4, 0u64..400), 1..200),
    ) {
        let (fake, reserve) = (Fake::new(1000), 300);
        let space = fake.space(reserve, 0);
        let mut claims: Vec<Claim> = (0..4).map(|_| space.claim()).collect();
        for (who, bytes) in steps {
            let claim = &mut claims[who];
            if claim.held == 0 {
                let free = fake.free();
                let announced = space.lock().announced;
                let fits = announced + bytes + reserve <= free;
                prop_assert_eq!(claim.take(bytes, bytes).is_ok(), fits || bytes == 0);
            } else {
                let written = bytes.min(claim.held);
                fake.set_free(fake.free() - written);
                claim.settle(written);
            }
            prop_assert!(fake.free() >= reserve);
            prop_assert!(fake.free() - space.lock().announced >= reserve);
        }
        drop(claims);
        prop_assert_eq!(space.lock().announced, 0);
    }
}

#[test]
fn a_state_is_left_above_where_it_was_entered() {
    let mut turn = Turn::default();
    let mut lines = 0;
    // A push and a delete of half a mebibyte, a hundred times, at the edge of both states.
    for mark in [64 * MIB, 128 * MIB] {
        for round in 0..200 {
            let standing = Standing {
                total: u64::MAX,
                free: mark - MIB / 4 + (round % 2) * MIB / 2,
                reserve: 64 * MIB,
                low_water: 128 * MIB,
                is_low: false,
                is_full: false,
            };
            let changes = turn.note(&standing, None);
            lines += u32::from(changes.low.is_some()) + u32::from(changes.full.is_some());
        }
    }
    assert_eq!(lines, 3, "low and full are entered, full is left");
}
