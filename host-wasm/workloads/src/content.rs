//! Bytes to store: the same in every run, and without a pattern that any layer could shorten.

use std::io::{self, Read};

/// A stream of pseudo-random bytes.
pub(crate) struct Content {
    seed: u64,
    at: u64,
    size: u64,
}

impl Content {
    /// `size` bytes. Those of different seeds differ, however few they are from 8 on.
    pub(crate) fn new(seed: u64, size: u64) -> Self {
        Self { seed, at: 0, size }
    }

    /// All of it, for what fits into memory.
    pub(crate) fn bytes(mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// What it hashes to.
    pub(crate) fn hash(self) -> io::Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(self)?;
        Ok(hasher.finalize())
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

/// The finaliser of SplitMix64: a bijection.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
