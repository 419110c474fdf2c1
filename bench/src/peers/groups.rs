//! What is done with groups by whoever has an outboard of them, and nothing else: limits, where floors do less.

use std::{
    fs::File,
    io::{BufWriter, Read, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
    thread,
};

use anyhow::{Context as _, Result};
use blake3::{
    Hasher,
    hazmat::{HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root},
};

use crate::{
    digest::{Buffer, Bytes},
    meter::sync_file_system,
    scale::PIECE,
};

/// Bytes of a group.
const GROUP: usize = 16 << 10;
/// Bytes of a pair of values.
const PAIR: usize = 64;
/// Bytes of a block of an outboard, and of the data that it is of.
const BLOCK: u64 = 16 << 10;
const BLOCK_OF: u64 = 4 << 20;
/// Bytes read at once, where each is hashed before the next come.
const READ: usize = 256 << 10;
/// Bytes written at once.
const WRITE: usize = 128 << 10;

type Value = [u8; 32];

/// The values of the groups of a blob, which has several, each hashed by itself.
pub(crate) fn values(bytes: &[u8], threads: usize) -> Vec<Value> {
    let mut values = vec![[0; 32]; bytes.len().div_ceil(GROUP)];
    let share = values.len().div_ceil(threads);
    let shares = bytes
        .chunks(share * GROUP)
        .zip(values.chunks_mut(share))
        .enumerate();
    thread::scope(|scope| {
        for (at, (bytes, values)) in shares {
            let mut work = move || hash_groups(bytes, at * share, values);
            match threads {
                1 => work(),
                _ => drop(scope.spawn(work)),
            }
        }
    });
    values
}

fn hash_groups(bytes: &[u8], first: usize, values: &mut [Value]) {
    for ((at, bytes), value) in (first..).zip(bytes.chunks(GROUP)).zip(values) {
        let mut hasher = Hasher::new();
        hasher.set_input_offset((at * GROUP) as u64);
        *value = hasher.update(bytes).finalize_non_root();
    }
}

/// The hash of the blob whose groups, several, have these values.
pub(crate) fn root(values: &[Value]) -> blake3::Hash {
    let (left, right) = values.split_at(left_of(values.len()));
    merge_subtrees_root(&merge(left), &merge(right), Mode::Hash)
}

fn merge(values: &[Value]) -> Value {
    match values {
        [value] => *value,
        _ => {
            let (left, right) = values.split_at(left_of(values.len()));
            merge_subtrees_non_root(&merge(left), &merge(right), Mode::Hash)
        }
    }
}

/// How many of so many groups, at least two, are in the left subtree.
const fn left_of(groups: usize) -> usize {
    groups.next_power_of_two() / 2
}

/// Reads a file, hashes its groups, and writes and syncs as many bytes as their outboard has, all of them zeros.
pub(crate) fn read_and_hash_groups(from: &Path, to: &Path) -> Result<Vec<Value>> {
    let mut file = File::open(from)?;
    let mut buffer = Buffer::new(READ);
    let buffer = buffer.get();
    let mut values = Vec::new();
    let mut outboard = File::create_new(to)?;
    loop {
        let read = file.read(buffer)?;
        if read == 0 {
            break;
        }
        let first = values.len();
        values.resize(first + read.div_ceil(GROUP), [0; 32]);
        hash_groups(&buffer[..read], first, &mut values[first..]);
        outboard.write_all(&vec![0; read.div_ceil(GROUP) * PAIR])?;
    }
    outboard.sync_all()?;
    Ok(values)
}

/// Reads groups of a file and hashes them, and beside each the block of the outboard that has what proves it, if it was
/// not read before. Nothing is proved.
pub(crate) fn read_groups_and_blocks(path: &Path, pairs: &Path, offsets: &[u64]) -> Result<Bytes> {
    let (file, pairs) = (File::open(path)?, File::open(pairs)?);
    let end = pairs.metadata()?.len();
    let mut blocks: Vec<Option<Vec<u8>>> = vec![None; usize::try_from(end.div_ceil(BLOCK))?];
    let mut piece = Buffer::new(usize::try_from(PIECE)?);
    let piece = piece.get();
    let mut seen = Bytes::default();
    for &offset in offsets {
        let at = offset / BLOCK_OF;
        let slot = blocks.get_mut(usize::try_from(at)?);
        let slot = slot.context("an offset behind the end")?;
        if slot.is_none() {
            let len = BLOCK.min(end - at * BLOCK);
            let mut block = vec![0; usize::try_from(len)?];
            pairs.read_exact_at(&mut block, at * BLOCK)?;
            *slot = Some(block);
        }
        file.read_exact_at(piece, offset)?;
        std::hint::black_box(blake3::hash(piece));
        seen.feed(offset, piece);
    }
    std::hint::black_box(blocks);
    Ok(seen)
}

/// Takes the stream of a whole blob of several groups apart into two files, and believes it.
pub(crate) fn take_apart(
    mut stream: impl Read,
    data: &Path,
    pairs: &Path,
    is_synced: bool,
) -> Result<()> {
    let mut size = [0; 8];
    stream.read_exact(&mut size)?;
    let size = usize::try_from(u64::from_le_bytes(size))?;
    let mut parts = Parts {
        stream,
        left: size,
        data: BufWriter::with_capacity(WRITE, File::create_new(data)?),
        pairs: BufWriter::with_capacity(WRITE, File::create_new(pairs)?),
        item: vec![0; GROUP],
    };
    parts.subtree(size.div_ceil(GROUP))?;
    parts.data.flush()?;
    parts.pairs.flush()?;
    match (is_synced, data.parent()) {
        (true, Some(dir)) => sync_file_system(dir),
        _ => Ok(()),
    }
}

struct Parts<R> {
    stream: R,
    /// Bytes of data that are still to come.
    left: usize,
    data: BufWriter<File>,
    pairs: BufWriter<File>,
    item: Vec<u8>,
}

impl<R: Read> Parts<R> {
    fn subtree(&mut self, groups: usize) -> Result<()> {
        if groups == 1 {
            let item = &mut self.item[..GROUP.min(self.left)];
            self.stream.read_exact(item)?;
            self.left -= item.len();
            self.data.write_all(item)?;
            return Ok(());
        }
        let item = &mut self.item[..PAIR];
        self.stream.read_exact(item)?;
        self.pairs.write_all(item)?;
        let left = left_of(groups);
        self.subtree(left)?;
        self.subtree(groups - left)
    }
}
