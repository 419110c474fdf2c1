//! The one question that all tests of reading ask: whether a wrong byte ever comes out.

// A test reports by panicking.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{Read, Seek, SeekFrom};

use bao_tree::io::outboard::PreOrderMemOutboard;
use flatbao_core::{Backend, BlobReader, Error, Hash, ReadAt, Result, Store, io::read_full_at};

use crate::oracle::GROUPS;

/// Bytes of a group.
pub const GROUP: usize = 16 * 1024;

/// `len` bytes, other ones for every `seed`.
#[must_use]
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut out);
    out
}

/// The bytes of the outboard of `content`, as bao-tree makes it; `None` when there is none.
#[must_use]
pub fn outboard(content: &[u8]) -> Option<Vec<u8>> {
    if content.len() <= GROUP {
        return None;
    }
    let made = PreOrderMemOutboard::create(content, GROUPS);
    let mut file = (content.len() as u64).to_le_bytes().to_vec();
    file.extend(made.data);
    Some(file)
}

/// Reads a whole blob, whatever its size.
///
/// # Errors
/// As [`Store::read`].
pub fn read<B: Backend>(store: &Store<B>, hash: Hash) -> Result<Vec<u8>> {
    store.read(hash, u64::MAX)
}

/// Reads a blob in every way there is and holds that no wrong byte and no wrong length comes out,
/// whatever state the store is in. Returns which of its groups can be read.
///
/// # Panics
/// When one comes out, and when an error has no text.
pub fn groups_that_read<B: Backend>(store: &Store<B>, hash: Hash, truth: &[u8]) -> Vec<bool> {
    let groups = truth.len().div_ceil(GROUP).max(1);
    let mut reader = match store.reader(hash) {
        Ok(reader) => reader,
        Err(error) => {
            assert_typed(&error);
            return vec![false; groups];
        }
    };
    let good: Vec<bool> = (0..groups)
        .map(|group| {
            let start = group * GROUP;
            let expected = &truth[start..truth.len().min(start + GROUP)];
            piece_reads(&reader, truth, start, expected.len())
        })
        .collect();
    // Pieces that are no groups: across a boundary, a few bytes, around the end and beyond it.
    let len = truth.len();
    for (start, count) in [
        (len / 3, 777),
        (GROUP.saturating_sub(3), 7),
        (GROUP / 2, 2 * GROUP),
        (len.saturating_sub(1), 100),
        (len, 1),
        (len + 1, 10),
        (len + 5 * GROUP, GROUP),
        (0, len + 100),
    ] {
        piece_reads(&reader, truth, start, count);
    }
    let all = good.iter().all(|good| *good);
    match reader.proven_size() {
        Ok(size) => assert_eq!(size, len as u64, "a wrong length came out"),
        Err(error) => {
            assert_typed(&error);
            assert!(!good[groups - 1], "the last group proves the length");
        }
    }
    if let Ok(end) = reader.seek(SeekFrom::End(0)) {
        assert_eq!(end, len as u64);
    }
    if let Ok(size) = reader.size() {
        assert_eq!(size, len as u64);
    }
    reader.seek(SeekFrom::Start(0)).unwrap();
    let mut whole = Vec::new();
    let outcome = reader.read_to_end(&mut whole);
    assert!(truth.starts_with(&whole), "a wrong byte came out");
    assert_eq!(outcome.is_ok(), all, "{:?}", outcome.err());
    if all {
        assert_eq!(whole.len(), len);
    }
    good
}

/// Reads `count` bytes from `start`: all that come are right, what does not come was not touched by
/// unverified bytes, and the end is where it should be.
fn piece_reads<B: Backend>(
    reader: &BlobReader<B>,
    truth: &[u8],
    start: usize,
    count: usize,
) -> bool {
    const UNTOUCHED: u8 = 0xee;
    let expected = truth.get(start..).unwrap_or_default();
    let expected = &expected[..count.min(expected.len())];
    let mut buf = vec![UNTOUCHED; count];
    let outcome = read_full_at(reader, &mut buf, start as u64);
    // Byte by byte only where it is neither the one nor the other as a whole: there are many.
    let (filled, rest) = buf.split_at(expected.len());
    let untouched = vec![UNTOUCHED; count];
    if (filled != expected && filled != &untouched[..filled.len()])
        || rest != &untouched[filled.len()..]
    {
        for (at, byte) in buf.iter().enumerate() {
            let right = expected.get(at) == Some(byte);
            assert!(
                right || matches!(*byte, UNTOUCHED | 0),
                "byte {} of the buffer is an unverified one",
                start + at
            );
        }
    }
    match outcome {
        Ok(read) => {
            assert_eq!(&buf[..read], expected, "{count} bytes from {start}");
            true
        }
        Err(_) => false,
    }
}

/// The error has a stable kind and a text.
///
/// # Panics
/// When it has not.
pub fn assert_typed(error: &Error) {
    assert!(!error.kind().is_empty());
    assert!(!error.to_string().is_empty());
}

/// A whole blob that reads back.
///
/// # Panics
/// When it does not.
#[track_caller]
pub fn assert_reads<B: Backend>(store: &Store<B>, hash: Hash, truth: &[u8]) {
    match read(store, hash) {
        Ok(read) => assert!(read == truth, "{hash} reads wrong bytes"),
        Err(error) => panic!("{hash} ({} bytes) does not read: {error:?}", truth.len()),
    }
}
