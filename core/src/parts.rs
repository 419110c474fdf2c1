//! What the partial entries of one blob have together.
//!
//! Every entry claims a size, which says where its pairs stand, and any of them may lie. A group that is proved
//! is the blob's all the same, whatever was claimed: below the root nothing hashes right in a wrong place.

use std::{
    collections::BTreeMap,
    io,
    ops::{ControlFlow, Range},
};

use crate::{
    Backend, BackendError, Error, FileName, Hash, ReadAt, Result, Uuid,
    gather::gathered,
    index::{Entry, PartialFiles},
    io::read_full_at,
    limits::{MAX_CLAIMS, PARTIAL_HOMES},
    progress::{Progress, Watch},
    proof::{Leaf, OutboardPairs, Step, Walk, append},
    store::Inner,
    tree::{GROUP_LEN, group_range, groups},
};

/// An open partial entry.
pub(crate) struct Part<O> {
    pub(crate) uuid: Uuid,
    /// The size in front of its outboard.
    pub(crate) claim: u64,
    pub(crate) data: O,
    /// `None` where an interrupted step has left it under the final name only.
    pub(crate) outboard: Option<O>,
}

/// Open partial entries of one blob, and what proves them.
pub(crate) struct Parts<O> {
    pub(crate) hash: Hash,
    pub(crate) entries: Vec<Part<O>>,
    /// `H.obao4`, where there is one, and the size that it claims. It proves what it can of any entry.
    pub(crate) published: Option<(O, u64)>,
}

/// The partial entries of a blob under one size.
pub(crate) struct SizedParts<O> {
    parts: Parts<O>,
    pub(crate) size: u64,
    /// Whether the last group verifies with that size.
    pub(crate) is_proven: bool,
}

/// Is told of a group, of its bytes, and of the index of the first entry that has them.
pub(crate) type Each<'a> = dyn FnMut(&Leaf, usize, &[u8]) -> ControlFlow<()> + 'a;

impl<O: ReadAt> Part<O> {
    /// Reads a group, if the entry has it. The buffer holds a group.
    fn read(&self, leaf: &Leaf, size: u64, buf: &mut [u8]) -> io::Result<Option<usize>> {
        let range = group_range(leaf.group, size);
        let len = usize::try_from(range.end - range.start).ok();
        let Some(bytes) = len.and_then(|len| buf.get_mut(..len)) else {
            return Ok(None);
        };
        let read = read_full_at(&self.data, bytes, range.start)?;
        Ok((read == bytes.len() && leaf.proves(bytes)).then_some(read))
    }
}

impl<O: ReadAt> Parts<O> {
    /// A walk with all pairs there are, those of the entries first, in their order.
    pub(crate) fn walk(&self, size: u64) -> Walk<'_> {
        let none: Option<&O> = None;
        let outboards = self.entries.iter().map(|part| {
            let own = part.outboard.as_ref().map(|own| (own, part.claim));
            own.or(self.published.as_ref().map(|(file, claim)| (file, *claim)))
        });
        let published = self.published.as_ref().map(|(file, claim)| (file, *claim));
        let sources = outboards.chain([published]).flatten();
        sources.fold(Walk::new(none, size), |walk, (file, claim)| {
            walk.and(OutboardPairs::new(file), claim)
        })
    }

    /// Reads a group from the first entry that has it, and tells which that is. The buffer holds a group.
    ///
    /// # Errors
    /// Where no entry has it, and one of them cannot be read now: that may be the one.
    pub(crate) fn read<'b>(
        &self,
        leaf: &Leaf,
        size: u64,
        buf: &'b mut [u8],
    ) -> Result<Option<(usize, &'b [u8])>> {
        let mut failed = None;
        for (index, part) in self.entries.iter().enumerate() {
            match part.read(leaf, size, buf) {
                Ok(Some(len)) => return Ok(buf.get(..len).map(|bytes| (index, bytes))),
                Ok(None) => {}
                Err(error) => failed = Some((part.uuid, error)),
            }
        }
        match failed {
            Some((uuid, error)) => {
                Err(self.unreadable(FileName::PartialData(self.hash, uuid), error))
            }
            None => Ok(None),
        }
    }

    fn unreadable(&self, name: impl ToString, error: io::Error) -> Error {
        Error::Unreadable {
            hash: self.hash,
            source: BackendError::io("read", name)(error),
        }
    }

    /// Why pairs could not be had in a walk that did not come by all groups, where it is the system that says so.
    pub(crate) fn failure(&self, walk: &mut Walk<'_>) -> Option<Error> {
        let failed = walk.failed.take()?;
        Some(self.unreadable("a partial outboard", failed))
    }

    /// Hands out every group that an entry has, in order.
    pub(crate) fn each_proved(&self, size: u64, each: &mut Each<'_>) -> ControlFlow<()> {
        self.each_proved_of(self.walk(size), size, each)
    }

    fn each_proved_of(
        &self,
        mut walk: Walk<'_>,
        size: u64,
        each: &mut Each<'_>,
    ) -> ControlFlow<()> {
        let mut buf = vec![0; GROUP_LEN];
        walk.run(self.hash, &mut |step| match step {
            Step::Known(leaf) => match self.read(&leaf, size, &mut buf) {
                Ok(Some((index, bytes))) => each(&leaf, index, bytes),
                // What cannot be read now proves nothing now.
                Ok(None) | Err(_) => ControlFlow::Continue(()),
            },
            _ => ControlFlow::Continue(()),
        })
    }

    /// Whether the last group verifies with this size.
    pub(crate) fn prove(&self, size: u64) -> bool {
        let last = groups(size) - 1;
        let walk = self.walk(size).within(last..last + 1);
        let found = self.each_proved_of(walk, size, &mut |_, _, _| ControlFlow::Break(()));
        found.is_break()
    }

    /// How many bytes are proved under this size.
    fn worth(&self, size: u64, watch: &mut Watch<'_>) -> Result<u64> {
        let mut worth = 0;
        let flow = self.each_proved(size, &mut |_, _, bytes| {
            worth += bytes.len() as u64;
            let (bytes, total) = (worth, size);
            watch(Progress::Verified { bytes, total })
        });
        match flow {
            ControlFlow::Continue(()) => Ok(worth),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }

    /// The groups that an entry has by itself, under the size that it claims. The outboard with the final name is
    /// that of entries that have no other. What cannot be read now is not among them.
    pub(crate) fn groups_of(
        &self,
        part: &Part<O>,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<Range<u64>>> {
        let published = self.published.as_ref().map(|(file, _)| file);
        let outboard = part.outboard.as_ref().or(published);
        let total = part.claim;
        let (mut found, mut buf) = (Vec::new(), vec![0; GROUP_LEN]);
        let flow = Walk::new(outboard, total).run(self.hash, &mut |step| {
            let Step::Known(leaf) = step else {
                return ControlFlow::Continue(());
            };
            if part
                .read(&leaf, total, &mut buf)
                .is_ok_and(|read| read.is_some())
            {
                append(&mut found, leaf.group..leaf.group + 1);
            }
            let bytes = group_range(leaf.group, total).end;
            watch(Progress::Verified { bytes, total })
        });
        match flow {
            ControlFlow::Continue(()) => Ok(found),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }
}

impl<O: ReadAt> SizedParts<O> {
    pub(crate) fn walk(&self) -> Walk<'_> {
        self.parts.walk(self.size)
    }

    /// Reads a group from the first entry that has it. The buffer holds a group.
    ///
    /// # Errors
    /// [`Error::MissingGroup`]; [`Error::Unreadable`] where that cannot be told now.
    pub(crate) fn read<'b>(&self, leaf: &Leaf, buf: &'b mut [u8]) -> Result<&'b [u8]> {
        match self.parts.read(leaf, self.size, buf)? {
            Some((_, bytes)) => Ok(bytes),
            None => Err(self.missing(leaf.group)),
        }
    }

    /// Why a group could not be had to which a walk did not come.
    pub(crate) fn not_come_by(&self, walk: &mut Walk<'_>, group: u64) -> Error {
        let failure = self.parts.failure(walk);
        failure.unwrap_or_else(|| self.missing(group))
    }

    /// The error of a group that no entry has.
    pub(crate) fn missing(&self, group: u64) -> Error {
        let offset = group_range(group, self.size).start;
        let hash = self.parts.hash;
        Error::MissingGroup { hash, offset }
    }
}

impl<B: Backend> Inner<B> {
    /// Opens partial entries of a blob that have data and a proof, and says why others do not open. No more than a
    /// few: those that claim this size first.
    pub(crate) fn open_parts(
        &self,
        hash: Hash,
        wanted: Option<u64>,
    ) -> (Parts<B::Object>, Option<Error>) {
        let mut files = self.kernel.state().index.partials(hash).to_vec();
        files.retain(|files| files.data);
        if files.len() > PARTIAL_HOMES && wanted.is_some() {
            let (first, others): (Vec<_>, Vec<_>) = files
                .into_iter()
                .partition(|files| self.claim_of(hash, *files) == wanted);
            files = [first, others].concat();
        }
        files.truncate(PARTIAL_HOMES);
        self.open_these(hash, &files)
    }

    /// Opens these partial entries.
    pub(crate) fn open_these(
        &self,
        hash: Hash,
        files: &[PartialFiles],
    ) -> (Parts<B::Object>, Option<Error>) {
        let mut parts = Parts {
            hash,
            entries: Vec::new(),
            published: None,
        };
        let has_published = self.kernel.state().index.get(hash).has(Entry::OUTBOARD);
        if has_published && let Ok(Some(file)) = self.backend.open(&FileName::Outboard(hash)) {
            parts.published = prefix_of(&file).ok().flatten().map(|claim| (file, claim));
        }
        let claim = parts.published.as_ref().map(|(_, claim)| *claim);
        let mut failed = None;
        for files in files {
            match self.open_part(hash, *files, claim) {
                Ok(part) => parts.entries.extend(part),
                Err(error) => failed = Some(error),
            }
        }
        (parts, failed)
    }

    /// `None` when there is no outboard that claims a size, or the files are gone.
    fn open_part(
        &self,
        hash: Hash,
        files: PartialFiles,
        published: Option<u64>,
    ) -> Result<Option<Part<B::Object>>> {
        let name = FileName::PartialOutboard(hash, files.uuid);
        let data = FileName::PartialData(hash, files.uuid);
        let outboard = match files.outboard {
            true => self.backend.open(&name)?,
            false => None,
        };
        let claim = match &outboard {
            Some(file) => prefix_of(file).map_err(BackendError::io("read", name))?,
            None => published,
        };
        let (Some(claim), Some(data)) = (claim, self.backend.open(&data)?) else {
            return Ok(None);
        };
        Ok(Some(Part {
            uuid: files.uuid,
            claim,
            data,
            outboard,
        }))
    }

    /// The size that an entry's own outboard claims, if it has one that can be read.
    fn claim_of(&self, hash: Hash, files: PartialFiles) -> Option<u64> {
        let name = FileName::PartialOutboard(hash, files.uuid);
        self.outboard_prefix(&name).ok().flatten()
    }

    /// The partial entries of a blob, under the size that is proved; otherwise under the one with most of it. `None`
    /// when there is none.
    pub(crate) fn parts(
        &self,
        hash: Hash,
        watch: &mut Watch<'_>,
    ) -> Result<Option<SizedParts<B::Object>>> {
        let (few, failed) = self.open_parts(hash, None);
        let by_claim = self.by_claim(hash, &few);
        let is_few = by_claim.values().all(Vec::is_empty);
        // Of many entries, those that claim a size speak for it.
        let parts_for = |files: &[PartialFiles]| match is_few {
            true => None,
            false => Some(self.open_these(hash, files).0),
        };
        let mut best: Option<(bool, u64, u64)> = None;
        for (claim, files) in &by_claim {
            let parts = parts_for(files);
            let parts = parts.as_ref().unwrap_or(&few);
            if parts.prove(*claim) {
                best = Some((true, 0, *claim));
                break;
            }
            // A single claim has no rival.
            let worth = match by_claim.len() {
                1 => 0,
                _ => parts.worth(*claim, watch)?,
            };
            if best.is_none_or(|(_, most, _)| worth > most) {
                best = Some((false, worth, *claim));
            }
        }
        match (best, failed) {
            (Some((is_proven, _, size)), _) => Ok(Some(SizedParts {
                parts: match is_few {
                    true => few,
                    false => self.open_parts(hash, Some(size)).0,
                },
                size,
                is_proven,
            })),
            // That one does not open now does not mean that it has nothing.
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }

    /// The sizes that the partial entries of a blob claim. With many entries, also a few that claim it, and not more
    /// than so many sizes: each of these costs a look.
    fn by_claim(&self, hash: Hash, few: &Parts<B::Object>) -> BTreeMap<u64, Vec<PartialFiles>> {
        let claims = few.entries.iter().map(|part| (part.claim, Vec::new()));
        let mut by_claim: BTreeMap<u64, Vec<PartialFiles>> = gathered(claims);
        let files = self.kernel.state().index.partials(hash).to_vec();
        if files.len() <= PARTIAL_HOMES {
            return by_claim;
        }
        for files in files.into_iter().filter(|files| files.data) {
            let Some(claim) = self.claim_of(hash, files) else {
                continue;
            };
            if by_claim.len() < MAX_CLAIMS || by_claim.contains_key(&claim) {
                let same = by_claim.entry(claim).or_default();
                if same.len() < PARTIAL_HOMES {
                    same.push(files);
                }
            }
        }
        by_claim
    }
}

/// The size in front of an outboard; `None` when the file is shorter than that.
fn prefix_of(outboard: &impl ReadAt) -> io::Result<Option<u64>> {
    let mut prefix = [0; 8];
    let read = read_full_at(outboard, &mut prefix, 0)?;
    Ok((read == prefix.len()).then(|| u64::from_le_bytes(prefix)))
}
