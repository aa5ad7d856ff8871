//! How much room the file system has, who may have it, and what is kept back.
//!
//! A *reserve* is kept free, so that what is there can always be read and deleted: whoever brings
//! content takes a [`Claim`] on room before its bytes travel, and is refused when the rest would be
//! less than the reserve. Claims that are not on the disk yet count as used, so that many at a time
//! cannot break into it either. Part of the reserve is the `ballast`, which only the catalog gets.
//! Below a *low-water mark* whoever waits for [`Space::pressure`] is told to make room.
//!
//! Here is the arithmetic, and the one file. What is removed to make room is decided above.

mod ballast;
mod figures;
mod standing;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use self::ballast::OnDisk;
pub use self::figures::{Shortage, human};
pub use self::standing::Standing;
use self::standing::{Marks, Turn};
use super::blobs::disk::{Disk, Room};
use super::layout::Layout;
use super::{Error, ErrorKind};

/// What is kept free at least when the operator names no number, in bytes.
const RESERVE_MIN: u64 = 64 << 20;
/// The longest ballast, in bytes. The catalog's write-ahead log and what it may add to the
/// database file fit into it twice.
const BALLAST_MAX: u64 = 16 << 20;
/// With less room than this at a start the ballast is given up, in bytes: the catalog makes its
/// index and its log, which then has the room that deletions need.
const START_ROOM: u64 = 8 << 20;

/// What is to be kept free; `None` leaves the number to the size of the file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Bytes that pushes leave free. `None`: the larger of 64 MiB and 1 % of the file system.
    pub reserve: Option<u64>,
    /// Bytes below which room is made. `None`: twice the reserve.
    pub low_water: Option<u64>,
}

impl Options {
    /// Nothing is kept free and nothing is watched.
    pub const NONE: Self = Self {
        reserve: Some(0),
        low_water: Some(0),
    };

    /// The reserve and the low-water mark on a file system of `total` bytes.
    pub fn of(&self, total: u64) -> (u64, u64) {
        let Marks { reserve, low_water } = self.marks(total);
        (reserve, low_water)
    }

    fn marks(&self, total: u64) -> Marks {
        let reserve = self.reserve.unwrap_or(RESERVE_MIN.max(total / 100));
        let low_water = self.low_water.unwrap_or(reserve.saturating_mul(2));
        Marks { reserve, low_water }
    }
}

/// What room is measured on, and where the ballast lies.
trait Ground: Send + Sync {
    /// The file system's room.
    fn room(&self) -> io::Result<Room>;
    /// Bytes that the ballast holds.
    fn ballast(&self) -> io::Result<u64>;
    /// Makes the ballast hold so many bytes, really; when that fails it holds none.
    fn set_ballast(&self, bytes: u64) -> io::Result<()>;
    /// Makes that durable.
    fn sync_ballast(&self) -> io::Result<()>;
}

/// The room of one data folder. Share it behind an `Arc`.
pub struct Space {
    /// `None` where nothing is on a disk: then there is always room.
    ground: Option<Box<dyn Ground>>,
    options: Options,
    state: Mutex<State>,
    wake: Sender<()>,
    woken: Receiver<()>,
}

#[derive(Default)]
struct State {
    /// Bytes of all claims that are not on the disk yet.
    announced: u64,
    /// Bytes that the ballast holds. They count as free: it lies inside the reserve.
    ballast: u64,
    /// This process has made it, and knows that it is more than a length.
    proved: bool,
    turn: Turn,
    /// The ballast could not be made, and that was said.
    complained: bool,
}

/// Room that was promised to one push and is not used yet. Dropping it gives up the rest.
pub struct Claim {
    space: Arc<Space>,
    held: u64,
    free: Option<u64>,
}

impl Space {
    /// The room of the file system of a data folder. With little room the ballast is given up, so
    /// that the catalog can be opened.
    ///
    /// # Errors
    /// The folder or the ballast cannot be looked at.
    pub fn open<D: Disk>(disk: D, layout: &Layout, options: Options) -> Result<Arc<Self>, Error> {
        let ground = OnDisk::new(disk, layout);
        let space = Self::over(Box::new(ground), options);
        let looking = |error| Error::io("looking for room in", layout.root().display(), error);
        let free = space.look_at_start().map_err(looking)?;
        if free < START_ROOM && space.release_ballast() {
            log::warn!("there is little room: the ballast was given to the catalog");
        }
        Ok(Arc::new(space))
    }

    /// Room without end, for what is not on a disk or has nothing to keep free.
    pub fn unlimited() -> Arc<Self> {
        let mut space = Self::bare(Options::NONE);
        space.ground = None;
        Arc::new(space)
    }

    fn over(ground: Box<dyn Ground>, options: Options) -> Self {
        let mut space = Self::bare(options);
        space.ground = Some(ground);
        space
    }

    fn bare(options: Options) -> Self {
        let (wake, woken) = bounded(1);
        Self {
            ground: None,
            options,
            state: Mutex::default(),
            wake,
            woken,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_at_start(&self) -> io::Result<u64> {
        let Some(ground) = &self.ground else {
            return Ok(u64::MAX);
        };
        self.lock().ballast = ground.ballast()?;
        Ok(ground.room()?.free)
    }

    /// A claim on nothing yet.
    pub fn claim(self: &Arc<Self>) -> Claim {
        Claim {
            space: Arc::clone(self),
            held: 0,
            free: None,
        }
    }

    /// A claim on room for `bytes`, for what is not written in pieces.
    ///
    /// # Errors
    /// As for [`Claim::take`].
    pub fn claim_all(self: &Arc<Self>, bytes: u64) -> Result<Claim, Error> {
        let mut claim = self.claim();
        claim.take(bytes, bytes)?;
        Ok(claim)
    }

    /// Holds `hold` bytes if `asked` bytes leave the reserve untouched; what is really free.
    fn admit(&self, hold: u64, asked: u64) -> Result<u64, Error> {
        let Some(ground) = &self.ground else {
            return Ok(u64::MAX);
        };
        // Measured under the lock: bytes are written first and settled then, so that every one is
        // in the file system's number or in ours, and perhaps in both for a moment.
        let mut state = self.lock();
        let room = ground
            .room()
            .map_err(|error| Error::io("looking for room for", "content", error))?;
        let standing = self.standing_of(&state, room);
        let shortage = standing.shortage(state.announced, asked);
        let said = state.turn.note(&standing, shortage.as_ref());
        let result = if let Some(shortage) = shortage {
            Err(Error::new(ErrorKind::Full, "making room for", "content").because(shortage))
        } else {
            state.announced = state.announced.saturating_add(hold);
            Ok(room.free)
        };
        drop(state);
        self.say(said);
        result
    }

    fn standing_of(&self, state: &State, room: Room) -> Standing {
        let marks = self.options.marks(room.total);
        Standing {
            total: room.total,
            free: room.free.saturating_add(state.ballast),
            reserve: marks.reserve,
            low_water: marks.low_water,
            is_low: false,
            is_full: false,
        }
    }

    /// Logs what has changed, and wakes whoever makes room.
    fn say(&self, changes: standing::Changes) {
        if changes.log() {
            // One call that waits is enough.
            let _ = self.wake.try_send(());
        }
    }

    /// How it stands at this moment; `None` where nothing is on a disk.
    ///
    /// # Errors
    /// The file system does not tell its room.
    pub fn standing(&self) -> Result<Option<Standing>, Error> {
        let Some(ground) = &self.ground else {
            return Ok(None);
        };
        let mut state = self.lock();
        let room = ground
            .room()
            .map_err(|error| Error::io("looking for room in", "the data folder", error))?;
        let mut standing = self.standing_of(&state, room);
        let said = state.turn.note(&standing, None);
        (standing.is_low, standing.is_full) = state.turn.flags();
        drop(state);
        self.say(said);
        Ok(Some(standing))
    }

    /// Tells that room ran short a moment ago. Whoever makes room waits here.
    pub const fn pressure(&self) -> &Receiver<()> {
        &self.woken
    }

    /// Gives the ballast up if less than `bytes` are free: what the catalog must write next.
    pub fn provide(&self, bytes: u64) {
        if let Some(ground) = &self.ground
            && ground.room().is_ok_and(|room| room.free < bytes)
        {
            self.release_ballast();
        }
    }

    /// Gives the ballast to whoever asks, which only the catalog may; whether there was any.
    pub fn release_ballast(&self) -> bool {
        let Some(ground) = &self.ground else {
            return false;
        };
        let mut state = self.lock();
        if state.ballast == 0 {
            return false;
        }
        let cut = ground.set_ballast(0);
        if cut.is_ok() {
            state.ballast = 0;
        }
        drop(state);
        // Until it is durable a file system may keep the room for itself.
        if let Err(error) = cut.and_then(|()| ground.sync_ballast()) {
            log::error!("the ballast could not be given up: {error}");
            return false;
        }
        true
    }

    /// Makes the ballast where it is missing and there is room above the reserve again.
    pub fn keep_ballast(&self) {
        let made = self.make_ballast(|_| 0);
        let complained = std::mem::replace(&mut self.lock().complained, made.is_err());
        if let (Err(error), false) = (made, complained) {
            log::warn!("the room that only the catalog gets could not be taken: {error}");
        }
    }

    /// At the end of a process, when the catalog has given its log's room back: sees to it that
    /// the next start finds some, however full the disk.
    pub fn keep_ballast_for_next_start(&self) {
        // What is free says little: a file system may keep some for its administrator, who may be
        // us. So it is tried.
        let mut length = START_ROOM;
        while length >= START_ROOM / 16 {
            let made = self.make_ballast(|wanted| wanted.min(length));
            if made.is_ok() {
                break;
            }
            length /= 2;
        }
    }

    /// Makes the ballast as long as is wanted; where there is no room above the reserve, as long as
    /// `at_least` says of what is wanted. When it cannot there is none.
    fn make_ballast(&self, at_least: impl Fn(u64) -> u64) -> io::Result<()> {
        let Some(ground) = &self.ground else {
            return Ok(());
        };
        let mut state = self.lock();
        let room = ground.room()?;
        let reserve = self.options.marks(room.total).reserve;
        let wanted = BALLAST_MAX.min(reserve / 2);
        let is_roomy = room.free.saturating_add(state.ballast) >= reserve;
        let goal = if is_roomy || state.ballast > wanted {
            wanted
        } else {
            at_least(wanted).max(state.ballast)
        };
        // A copy of the folder may have brought a length without room; one that has it stays.
        if goal == state.ballast && (state.proved || goal == 0 || !is_roomy) {
            return Ok(());
        }
        let made = ground.set_ballast(goal);
        state.ballast = if made.is_ok() { goal } else { 0 };
        state.proved = made.is_ok();
        drop(state);
        made.and_then(|()| ground.sync_ballast())
    }
}

impl Claim {
    /// Holds `hold` bytes more, if there is room for `asked` above the reserve. A long content is
    /// asked for whole and held in parts, so that nobody can keep room from others by announcing.
    ///
    /// # Errors
    /// Kind `Full` with a [`Shortage`]; the claim stays as it was.
    pub fn take(&mut self, hold: u64, asked: u64) -> Result<(), Error> {
        self.free = Some(self.space.admit(hold, asked)?);
        self.held = self.held.saturating_add(hold);
        Ok(())
    }

    /// Bytes that were really free when it last took some; `None` before that.
    pub const fn free(&self) -> Option<u64> {
        self.free
    }

    /// So many bytes are on the disk now, and the file system counts them.
    pub fn settle(&mut self, bytes: u64) {
        let bytes = bytes.min(self.held);
        if bytes > 0 {
            self.held -= bytes;
            let mut state = self.space.lock();
            state.announced = state.announced.saturating_sub(bytes);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.settle(self.held);
    }
}
