//! Bytes to store: the same in every run, and without a pattern that any layer could shorten.

use std::io::{self, Read};

/// A stream of pseudo-random bytes.
#[derive(Debug, Clone)]
pub struct Content {
    seed: u64,
    at: u64,
    size: u64,
}

impl Content {
    /// `size` bytes. Those of different seeds differ, however few they are from 8 on.
    #[must_use]
    pub fn new(seed: u64, size: u64) -> Self {
        Self { seed, at: 0, size }
    }

    /// All of it, for what fits into memory.
    ///
    /// # Errors
    /// Never, but reading can say so.
    pub fn bytes(mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The eight bytes at `8 * index`.
    fn word(&self, index: u64) -> [u8; 8] {
        mix(mix(self.seed) ^ index).to_le_bytes()
    }
}

impl Read for Content {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size - self.at).unwrap_or(usize::MAX);
        let len = buf.len().min(left);
        let mut rest = &mut buf[..len];
        while !rest.is_empty() {
            let word = self.word(self.at / 8);
            let bytes = &word[(self.at % 8) as usize..];
            let (now, later) = rest.split_at_mut(bytes.len().min(rest.len()));
            now.copy_from_slice(&bytes[..now.len()]);
            self.at += now.len() as u64;
            rest = later;
        }
        Ok(len)
    }
}

/// Many blobs of one length that cost next to nothing to make: the same bytes, but for the first eight.
#[derive(Debug, Clone)]
pub struct Many {
    bytes: Vec<u8>,
}

impl Many {
    /// Blobs of `len` bytes, at least eight.
    ///
    /// # Errors
    /// Never, but reading can say so.
    pub fn new(len: u64) -> io::Result<Self> {
        let bytes = Content::new(len, len.max(8)).bytes()?;
        Ok(Self { bytes })
    }

    /// The blob of this number, until the next one is asked for.
    pub fn get(&mut self, number: u64) -> &[u8] {
        self.bytes[..8].copy_from_slice(&mix(number).to_le_bytes());
        &self.bytes
    }
}

/// The finaliser of SplitMix64: a bijection. Also a source of numbers that look random.
#[must_use]
pub fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
