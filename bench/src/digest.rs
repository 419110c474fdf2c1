//! What was read, and which blobs there are, in a word: cheap enough to be taken while the time runs.

use std::fmt;

use flatbao_bench::content::mix;

/// How far apart the bytes are that are looked at.
const STRIDE: u64 = 4096;

/// Bytes of a blob, whatever the pieces that they came in: the first eight of every 4 KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    len: u64,
    sum: u64,
}

impl Bytes {
    /// Takes note of bytes that stand at `offset` of the blob. Pieces begin at multiples of eight.
    pub(crate) fn feed(&mut self, offset: u64, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        let mut at = offset.next_multiple_of(STRIDE);
        while let Some(word) = usize::try_from(at - offset)
            .ok()
            .and_then(|start| bytes.get(start..)?.first_chunk::<8>())
        {
            self.sum ^= mix(u64::from_le_bytes(*word) ^ at);
            at += STRIDE;
        }
    }

    /// The same, for bytes that follow those before.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.feed(self.len, bytes);
    }

    /// What two parts are together.
    pub(crate) fn with(self, other: Self) -> Self {
        Self {
            len: self.len + other.len,
            sum: self.sum ^ other.sum,
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, {:016x}", self.len, self.sum)
    }
}

/// Blobs, in whichever order.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Blobs {
    count: u64,
    sum: [u8; 32],
}

impl Blobs {
    pub(crate) fn add(&mut self, hash: &[u8; 32]) {
        self.count += 1;
        for (sum, byte) in self.sum.iter_mut().zip(hash) {
            *sum ^= byte;
        }
    }
}

impl<'a> FromIterator<&'a [u8; 32]> for Blobs {
    fn from_iter<I: IntoIterator<Item = &'a [u8; 32]>>(hashes: I) -> Self {
        let mut blobs = Self::default();
        hashes.into_iter().for_each(|hash| blobs.add(hash));
        blobs
    }
}

impl fmt::Display for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = blake3::Hash::from_bytes(self.sum).to_hex();
        write!(f, "{} blobs, {}", self.count, &sum[..16])
    }
}

/// A buffer that begins at a multiple of 64: on some processors reading to where an allocator may put a vector takes
/// twice as long, and it is not allocators that are compared.
#[derive(Debug)]
pub(crate) struct Buffer {
    space: Vec<u8>,
    begin: usize,
    len: usize,
}

impl Buffer {
    const ALIGNMENT: usize = 64;

    pub(crate) fn new(len: usize) -> Self {
        let space = vec![0; len + Self::ALIGNMENT];
        let begin = space.as_ptr().align_offset(Self::ALIGNMENT);
        Self { space, begin, len }
    }

    pub(crate) fn get(&mut self) -> &mut [u8] {
        &mut self.space[self.begin..][..self.len]
    }
}
