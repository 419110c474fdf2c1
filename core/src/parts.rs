//! What the partial entries of one blob have together.
//!
//! Every entry claims a size, which says where its pairs stand, and any of them may lie. A group that is proved
//! is the blob's all the same, whatever was claimed: below the root nothing hashes right in a wrong place.

use std::ops::ControlFlow;

use crate::{
    Backend, BackendError, Error, FileName, Hash, ReadAt, Result, Uuid,
    index::{Entry, PartialFiles},
    io::read_full_at,
    limits::PARTIAL_HOMES,
    progress::{Progress, Watch},
    proof::{Leaf, OutboardPairs, Step, Walk},
    store::Inner,
    tree::{GROUP_LEN, group_range, groups},
};

/// An open partial entry.
pub(crate) struct Part<O> {
    pub(crate) uuid: Uuid,
    /// The size in front of its outboard.
    pub(crate) claim: u64,
    pub(crate) data: O,
    pub(crate) outboard: O,
    /// Whether that outboard has the entry's own name. An interrupted step may have left it under the final one.
    pub(crate) is_paired: bool,
}

/// The open partial entries of a blob, under one size.
pub(crate) struct Parts<O> {
    pub(crate) hash: Hash,
    pub(crate) size: u64,
    /// Whether the last group verifies with that size.
    pub(crate) is_proven: bool,
    /// Those that claim that size come first.
    parts: Vec<Part<O>>,
}

impl<O: ReadAt> Part<O> {
    /// Reads a group, if the entry has it. The buffer holds a group.
    pub(crate) fn read<'b>(&self, leaf: &Leaf, size: u64, buf: &'b mut [u8]) -> Option<&'b [u8]> {
        let range = group_range(leaf.group, size);
        let bytes = buf.get_mut(..usize::try_from(range.end - range.start).ok()?)?;
        // What cannot be read is not there: it can be received once more.
        let read = read_full_at(&self.data, bytes, range.start).ok()?;
        (read == bytes.len() && leaf.proves(bytes)).then_some(&*bytes)
    }
}

/// A walk with the pairs of all these entries, under one size.
pub(crate) fn walk_of<O: ReadAt>(parts: &[Part<O>], size: u64) -> Walk<'_> {
    let none: Option<&O> = None;
    parts.iter().fold(Walk::new(none, size), |walk, part| {
        walk.and(OutboardPairs::new(&part.outboard), part.claim)
    })
}

impl<O: ReadAt> Parts<O> {
    /// These entries, at least one, under the size that is proved; otherwise under the one with most of it.
    pub(crate) fn new(
        hash: Hash,
        mut parts: Vec<Part<O>>,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Self>> {
        let mut claims: Vec<u64> = Vec::new();
        for part in &parts {
            if !claims.contains(&part.claim) {
                claims.push(part.claim);
            }
        }
        let proven = claims.iter().copied().find(|claim| {
            let last = groups(*claim) - 1;
            let mut proved = 0;
            let walk = walk_of(&parts, *claim).within(last..last + 1);
            let _ = each_proved(walk, hash, &parts, *claim, &mut |_, _, bytes| {
                proved += 1 + bytes.len();
                ControlFlow::Break(())
            });
            proved > 0
        });
        let size = match (proven, &claims[..]) {
            (Some(size), _) | (None, &[size]) => size,
            (None, []) => return Ok(None),
            (None, _) => likeliest(hash, &parts, &claims, watch)?,
        };
        parts.sort_by_key(|part| part.claim != size);
        Ok(Some(Self {
            hash,
            size,
            is_proven: proven.is_some(),
            parts,
        }))
    }

    pub(crate) fn walk(&self) -> Walk<'_> {
        walk_of(&self.parts, self.size)
    }

    /// Reads a group from the first entry that has it.
    pub(crate) fn read<'b>(&self, leaf: &Leaf, buf: &'b mut [u8]) -> Option<&'b [u8]> {
        let mut parts = self.parts.iter();
        parts.find(|part| part.read(leaf, self.size, buf).is_some())?;
        let range = group_range(leaf.group, self.size);
        buf.get(..usize::try_from(range.end - range.start).ok()?)
    }

    /// The error of a group that no entry has.
    pub(crate) fn missing(&self, group: u64) -> Error {
        let offset = group_range(group, self.size).start;
        let hash = self.hash;
        Error::MissingGroup { hash, offset }
    }
}

/// The claim under which most bytes are proved.
fn likeliest<O: ReadAt>(
    hash: Hash,
    parts: &[Part<O>],
    claims: &[u64],
    watch: &mut Watch<'_>,
) -> Result<u64> {
    let mut best = (0, claims.first().copied().unwrap_or_default());
    for claim in claims {
        let mut bytes = 0;
        let walk = walk_of(parts, *claim);
        let flow = each_proved(walk, hash, parts, *claim, &mut |_, _, found| {
            bytes += found.len() as u64;
            let total = *claim;
            watch(Progress::Verified { bytes, total })
        });
        if flow.is_break() {
            return Err(Error::Cancelled);
        }
        if bytes > best.0 {
            best = (bytes, *claim);
        }
    }
    Ok(best.1)
}

/// Is told of a group, of its bytes, and of the index of the first entry that has them.
pub(crate) type Each<'a> = dyn FnMut(&Leaf, usize, &[u8]) -> ControlFlow<()> + 'a;

/// Hands out every group that an entry has, in order.
pub(crate) fn each_proved<O: ReadAt>(
    mut walk: Walk<'_>,
    hash: Hash,
    parts: &[Part<O>],
    size: u64,
    each: &mut Each<'_>,
) -> ControlFlow<()> {
    let mut buf = vec![0; GROUP_LEN];
    walk.run(hash, &mut |step| {
        if let Step::Known(leaf) = step {
            for (index, part) in parts.iter().enumerate() {
                if let Some(bytes) = part.read(&leaf, size, &mut buf) {
                    return each(&leaf, index, bytes);
                }
            }
        }
        ControlFlow::Continue(())
    })
}

impl<B: Backend> Inner<B> {
    /// Opens the partial entries of a blob that have data and an outboard, and says why others do not open.
    pub(crate) fn open_parts(&self, hash: Hash) -> (Vec<Part<B::Object>>, Option<Error>) {
        let (files, has_final) = {
            let state = self.kernel.state();
            let entry = state.index.get(hash);
            (
                state.index.partials(hash).to_vec(),
                entry.has(Entry::OUTBOARD),
            )
        };
        let (mut parts, mut failed) = (Vec::new(), None);
        let with_data = files.iter().filter(|files| files.data);
        for files in with_data.take(PARTIAL_HOMES) {
            match self.open_part(hash, *files, has_final) {
                Ok(part) => parts.extend(part),
                Err(error) => failed = Some(error),
            }
        }
        (parts, failed)
    }

    /// `None` when there is no outboard that claims a size, or the files are gone.
    pub(crate) fn open_part(
        &self,
        hash: Hash,
        files: PartialFiles,
        has_final: bool,
    ) -> Result<Option<Part<B::Object>>> {
        let name = match files.outboard {
            true => FileName::PartialOutboard(hash, files.uuid),
            false if has_final => FileName::Outboard(hash),
            false => return Ok(None),
        };
        let data = self
            .backend
            .open(&FileName::PartialData(hash, files.uuid))?;
        let (Some(data), Some(outboard)) = (data, self.backend.open(&name)?) else {
            return Ok(None);
        };
        let mut prefix = [0; 8];
        let read =
            read_full_at(&outboard, &mut prefix, 0).map_err(BackendError::io("read", name))?;
        Ok((read == prefix.len()).then(|| Part {
            uuid: files.uuid,
            claim: u64::from_le_bytes(prefix),
            data,
            outboard,
            is_paired: files.outboard,
        }))
    }

    /// The partial entries of a blob, under the size that they say most for; `None` when there is none.
    pub(crate) fn parts(
        &self,
        hash: Hash,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Parts<B::Object>>> {
        let (parts, failed) = self.open_parts(hash);
        match (Parts::new(hash, parts, watch)?, failed) {
            // That one does not open now does not mean that it has nothing.
            (None, Some(error)) => Err(error),
            (parts, _) => Ok(parts),
        }
    }
}
