//! The bytes of a fuzzer, read as a script.

use flatbao_core::Uuid;

use super::contents::{Known, known};

/// Bytes that are taken from the front. Behind the end there are zeros, so that every script is a whole one.
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// At most so many bytes.
    pub(super) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number of three bytes, below the bound.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let [low, middle, high] = [self.byte(), self.byte(), self.byte()];
        let number = u32::from_le_bytes([low, middle, high, 0]);
        number as usize % bound.max(1)
    }

    /// A number of one byte, below the bound.
    pub(super) fn few(&mut self, bound: u8) -> usize {
        usize::from(self.byte() % bound)
    }

    /// Bytes with their length, of one byte, in front.
    pub(super) fn piece(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte());
        self.take(len)
    }

    /// One of the blobs whose bytes are known.
    pub(super) fn known(&mut self) -> &'static Known {
        let all = known();
        &all[usize::from(self.byte()) % all.len()]
    }

    /// One of a few uuids.
    pub(super) fn uuid(&mut self) -> Uuid {
        Uuid::from_bytes([self.byte() % 4; 16])
    }
}
