//! The bytes that were read from a connection and not yet consumed. It never grows by itself.

/// A contiguous buffer, filled at its end and consumed at its start.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    data: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(super) const fn new() -> Self {
        Self {
            data: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    /// The unconsumed bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    /// The unconsumed bytes, to be changed in place.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.data[self.start..self.end]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Marks the first `count` unconsumed bytes as consumed.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
        if self.is_empty() {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Moves as many unconsumed bytes as fit into `out`; how many those were.
    pub(super) fn take_into(&mut self, out: &mut [u8]) -> usize {
        let count = out.len().min(self.len());
        out[..count].copy_from_slice(&self.bytes()[..count]);
        self.consume(count);
        count
    }

    /// Room for more bytes behind the unconsumed ones, in a buffer of `capacity` bytes in all.
    /// Empty when the unconsumed bytes fill it. After writing, call [`Buffer::filled`].
    pub(super) fn room(&mut self, capacity: usize) -> &mut [u8] {
        if self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.data.len() < capacity {
            self.data.resize(capacity, 0);
        }
        let limit = capacity.max(self.end);
        &mut self.data[self.end..limit]
    }

    /// Says that `count` bytes were written to the start of the room.
    pub(super) fn filled(&mut self, count: usize) {
        self.end = self.data.len().min(self.end + count);
    }

    /// Appends `bytes`.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let capacity = self.len() + bytes.len();
        self.room(capacity)[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// Forgets everything, and gives memory beyond `capacity` bytes back.
    pub(super) fn reset(&mut self, capacity: usize) {
        self.start = 0;
        self.end = 0;
        if self.data.len() > capacity {
            self.data.truncate(capacity);
            self.data.shrink_to_fit();
        }
    }
}
