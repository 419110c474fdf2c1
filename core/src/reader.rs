//! Verified reading: no byte leaves here that was not proved to belong to the blob.

use std::{
    io::{self, Read, Seek, SeekFrom},
    ops::{ControlFlow, Range},
    sync::Arc,
};

use crate::{
    Backend, Error, Hash, ReadAt, Result,
    beside::piece,
    content::{Content, Each, RUN_GROUPS, nobody},
    index::Entry,
    parts::SizedParts,
    progress::{Watch, unwatched},
    proof::Step,
    store::{Inner, Store, locked},
    sync::Mutex,
    tree::{GROUP, GROUP_LEN, PAGE_GROUPS, group_range, groups},
};

/// Reads a blob: `Read`, `Seek` and [`ReadAt`].
///
/// Every byte is verified against the blob's hash on its way. When a home of the data is damaged the next
/// one is tried, group by group; when none has the right bytes, the read fails and hands out nothing. The
/// length is exposed only when the last group has been verified, since nothing else proves it.
///
/// A reader is a handle of its opening, like the store itself: the lock is held while one lives.
pub struct BlobReader<B: Backend> {
    inner: Arc<Inner<B>>,
    hash: Hash,
    content: Content<B::Object>,
    /// The groups read last: small reads in sequence verify them once.
    recent: Mutex<Recent>,
    position: u64,
}

/// Verified bytes of neighbouring groups.
#[derive(Default)]
struct Recent {
    /// The first of the groups.
    start: u64,
    bytes: Vec<u8>,
}

impl Recent {
    /// Copies what there is from an offset on; `None` when there is nothing.
    fn serve(&self, offset: u64, buf: &mut [u8]) -> Option<usize> {
        let skip = usize::try_from(offset.checked_sub(self.start * GROUP)?).ok()?;
        let bytes = self.bytes.get(skip..).filter(|bytes| !bytes.is_empty())?;
        let len = bytes.len().min(buf.len());
        buf[..len].copy_from_slice(&bytes[..len]);
        Some(len)
    }

    /// How many groups are worth being read from this one on.
    fn ahead(&self, group: u64) -> u64 {
        let known = self.bytes.len() as u64;
        if known > 0 && self.start * GROUP + known == group * GROUP {
            (2 * groups(known)).min(piece(RUN_GROUPS))
        } else {
            1
        }
    }
}

impl<B: Backend> Store<B> {
    /// Opens a blob for verified reading.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Incomplete`], [`Error::Unreadable`]; [`Error::Corrupt`] when not a
    /// single byte of it can be proved.
    pub fn reader(&self, hash: Hash) -> Result<BlobReader<B>> {
        self.reader_with(hash, &mut unwatched)
    }

    /// As [`reader`](Self::reader), watched: where the outboard has to be made again, all data are hashed
    /// before the first byte comes.
    ///
    /// # Errors
    /// Likewise; [`Error::Cancelled`] when `watch` says so.
    pub fn reader_with(&self, hash: Hash, watch: &mut Watch<'_>) -> Result<BlobReader<B>> {
        self.opened(hash, |inner| inner.reader(hash, true, watch))
    }

    /// Opens a blob of which only a part may be there: what is there reads, verified, and what is not is
    /// [`Error::MissingGroup`]. A size is exposed when the last group is there.
    ///
    /// # Errors
    /// As [`reader`](Self::reader), but for [`Error::Incomplete`]: that only where nothing of the blob can be
    /// proved.
    pub fn partial_reader(&self, hash: Hash) -> Result<BlobReader<B>> {
        self.partial_reader_with(hash, &mut unwatched)
    }

    /// As [`partial_reader`](Self::partial_reader), watched: where partial entries claim several sizes, all
    /// that is there is proved before the first byte comes.
    ///
    /// # Errors
    /// Likewise; [`Error::Cancelled`] when `watch` says so.
    pub fn partial_reader_with(&self, hash: Hash, watch: &mut Watch<'_>) -> Result<BlobReader<B>> {
        self.opened(hash, |inner| {
            let content = inner.content_or_part(hash, watch)?;
            Ok(inner.reader_of(hash, content))
        })
    }

    /// Opens something of a blob, a second time where a writer beside this opening may have added the blob, or
    /// moved it to another home.
    pub(crate) fn opened<T>(
        &self,
        hash: Hash,
        mut open: impl FnMut(&Arc<Inner<B>>) -> Result<T>,
    ) -> Result<T> {
        let outcome = match open(&self.inner) {
            Err(Error::NotFound(_) | Error::Incomplete(_) | Error::Unreadable { .. })
                if self.inner.read_only =>
            {
                self.refresh()?;
                open(&self.inner)
            }
            other => other,
        };
        outcome.inspect_err(|error| self.inner.note_damage(hash, error))
    }

    /// Reads a whole blob that is expected to be small: at most `cap` bytes.
    ///
    /// # Errors
    /// As [`reader`](Self::reader); [`Error::TooLarge`]; [`Error::Corrupt`].
    pub fn read(&self, hash: Hash, cap: u64) -> Result<Vec<u8>> {
        let reader = self.reader(hash)?;
        let size = reader.proven_size()?;
        let len = match usize::try_from(size) {
            Ok(len) if size <= cap => len,
            _ => return Err(Error::TooLarge { cap }),
        };
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            filled += reader.read_verified(&mut bytes[filled..], filled as u64)?;
        }
        Ok(bytes)
    }
}

impl<B: Backend> BlobReader<B> {
    /// The blob.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The size in bytes, proved by the last group.
    ///
    /// # Errors
    /// When the last group is damaged: then nothing proves the size.
    pub fn proven_size(&self) -> Result<u64> {
        let tree = match &self.content {
            Content::Small(bytes) => return Ok(bytes.len() as u64),
            Content::Parts(parts) if parts.is_proven => return Ok(parts.size),
            Content::Parts(parts) => {
                // It could not be proved when the reader was opened.
                let last = groups(parts.size) - 1;
                let mut buf = vec![0; GROUP_LEN];
                return self
                    .read_run(parts, last..last + 1, &mut buf)
                    .map(|_| parts.size);
            }
            Content::Tree(tree) => tree,
        };
        if !tree.is_proven() {
            let last = tree.size().div_ceil(GROUP) - 1;
            self.noted(self.inner.group(self.hash, tree, last))?;
        }
        Ok(tree.size())
    }

    /// Reads at most `buf.len()` bytes from `offset` on, all of them verified. Nothing read means the end,
    /// which is proved then.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unreadable`]; `buf` has no unverified byte then either.
    pub fn read_verified(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.pass(buf, offset, &mut nobody)
    }

    /// As [`read_verified`](Self::read_verified); `each` is told of what is read, in its order, while other cores read
    /// what follows.
    ///
    /// # Errors
    /// Likewise. What `each` was told of before is right.
    pub(crate) fn pass(&self, buf: &mut [u8], offset: u64, each: Each<'_>) -> Result<usize> {
        if let Content::Tree(tree) = &self.content
            && let (group, 0) = (offset / GROUP, offset % GROUP)
        {
            let size = tree.size();
            let whole = whole_groups(group, buf.len(), size) as u64;
            let asked = group..group + whole;
            let read = match whole {
                0 => None,
                _ => self.noted(
                    self.inner
                        .read_groups(self.hash, tree, size, asked, buf, each),
                )?,
            };
            // Otherwise a rebuild has corrected the size, which happens once.
            if let Some(read) = read {
                return Ok(read);
            }
        }
        let read = self.read_some(buf, offset)?;
        let _ = each(&buf[..read]);
        Ok(read)
    }

    /// Reads what there is of a group.
    fn read_some(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let tree = match &self.content {
            Content::Small(bytes) => return Ok(bytes.read_at(buf, offset).unwrap_or_default()),
            Content::Parts(parts) => return self.read_parts(parts, buf, offset),
            Content::Tree(tree) => tree,
        };
        if buf.is_empty() {
            return Ok(0);
        }
        let size = tree.size();
        if offset >= size && offset >= self.proven_size()? {
            return Ok(0);
        }
        let (group, skip) = (offset / GROUP, offset % GROUP);
        self.read_piece(buf, group, skip, |ahead, mut bytes| {
            self.noted(
                self.inner
                    .read_ahead(self.hash, tree, size, group, ahead, &mut bytes),
            )?;
            if bytes.is_empty() {
                bytes = self.noted(self.inner.group(self.hash, tree, group))?;
            }
            Ok(bytes)
        })
    }

    /// Reads a part of a group, which is verified once for reads in sequence: these are read ahead of, twice as far
    /// each time. `verified` reads as many groups as it is told, or fewer, into a buffer with any content.
    fn read_piece(
        &self,
        buf: &mut [u8],
        group: u64,
        skip: u64,
        verified: impl FnOnce(u64, Vec<u8>) -> Result<Vec<u8>>,
    ) -> Result<usize> {
        let offset = group * GROUP + skip;
        let mut recent = locked(&self.recent);
        if let Some(len) = recent.serve(offset, buf) {
            return Ok(len);
        }
        let ahead = recent.ahead(group);
        let room = std::mem::take(&mut recent.bytes);
        drop(recent);
        let found = Recent {
            start: group,
            bytes: verified(ahead, room)?,
        };
        let len = found.serve(offset, buf).unwrap_or_default();
        *locked(&self.recent) = found;
        Ok(len)
    }

    /// Reads of what partial entries have, up to the first group that none has.
    fn read_parts(
        &self,
        parts: &SizedParts<B::Object>,
        buf: &mut [u8],
        offset: u64,
    ) -> Result<usize> {
        if offset >= parts.size {
            // Where the end is, only the last group proves.
            return self.proven_size().map(|_| 0);
        }
        if buf.is_empty() {
            return Ok(0);
        }
        let (group, skip) = (offset / GROUP, offset % GROUP);
        let whole = match skip {
            0 => whole_groups(group, buf.len(), parts.size) as u64,
            _ => 0,
        };
        if whole == 0 {
            return self.read_piece(buf, group, skip, |_, mut bytes| {
                bytes.resize(GROUP_LEN, 0);
                let read = self.read_run(parts, group..group + 1, &mut bytes)?;
                bytes.truncate(read);
                Ok(bytes)
            });
        }
        self.read_run(parts, group..group + whole, buf)
    }

    /// Reads groups one after the other, as long as they are there.
    ///
    /// # Errors
    /// As [`SizedParts::read`], for the first of them.
    fn read_run(
        &self,
        parts: &SizedParts<B::Object>,
        groups: Range<u64>,
        buf: &mut [u8],
    ) -> Result<usize> {
        let first = groups.start;
        let mut group = vec![0; GROUP_LEN];
        let mut filled = 0;
        let mut failed = None;
        let mut walk = parts.walk().within(groups);
        let _ = walk.run(self.hash, &mut |step| {
            let leaf = match step {
                Step::Pair(_) => return ControlFlow::Continue(()),
                Step::Unknown(_) => return ControlFlow::Break(()),
                Step::Known(leaf) => leaf,
            };
            match parts.read(&leaf, &mut group) {
                Ok(bytes) => {
                    buf[filled..filled + bytes.len()].copy_from_slice(bytes);
                    filled += bytes.len();
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        match filled {
            0 => Err(failed.unwrap_or_else(|| parts.not_come_by(&mut walk, first))),
            _ => Ok(filled),
        }
    }

    fn noted<T>(&self, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| self.inner.note_damage(self.hash, error))
    }
}

/// How many whole groups from `group` on fit into `len` bytes, up to the end of the page. The last group of
/// the blob is whole when all of it fits.
fn whole_groups(group: u64, len: usize, size: u64) -> usize {
    let page_end = (group / PAGE_GROUPS + 1) * PAGE_GROUPS;
    let mut count = 0;
    let mut room = len as u64;
    for group in group..page_end {
        let range = group_range(group, size);
        let bytes = range.end.saturating_sub(range.start);
        if bytes == 0 || bytes > room {
            break;
        }
        room -= bytes;
        count += 1;
    }
    count
}

impl<B: Backend> Inner<B> {
    /// `mends` says whether a useless outboard may be made again.
    pub(crate) fn reader(
        self: &Arc<Self>,
        hash: Hash,
        mends: bool,
        watch: &mut Watch<'_>,
    ) -> Result<BlobReader<B>> {
        let files = || self.kernel.state().index.get(hash).files();
        let before = files();
        let content = match self.content(hash, mends, watch) {
            // Meanwhile an export has moved the data to another home.
            Err(Error::Unreadable { .. }) if files() != before => {
                return self.reader(hash, mends, watch);
            }
            content => content.inspect_err(|error| self.note_damage(hash, error))?,
        };
        Ok(self.reader_of(hash, content))
    }

    fn reader_of(self: &Arc<Self>, hash: Hash, content: Content<B::Object>) -> BlobReader<B> {
        BlobReader {
            inner: Arc::clone(self),
            hash,
            content,
            recent: Mutex::default(),
            position: 0,
        }
    }

    /// Remembers what an error says of a blob, for listings, and so that nothing takes it for proved.
    pub(crate) fn note_damage(&self, hash: Hash, error: &Error) {
        if let Error::Corrupt { .. } | Error::Paths { .. } = error {
            self.quarantine(hash);
        }
    }

    /// Remembers that a blob is damaged.
    pub(crate) fn quarantine(&self, hash: Hash) {
        // What was proved once is not what lies there now.
        locked(&self.small).pop(&hash);
        let mut state = self.kernel.state();
        state.index.update(hash, |entry| {
            entry.with(Entry::DAMAGED).without(Entry::VERIFIED)
        });
    }
}

impl<B: Backend> ReadAt for BlobReader<B> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(self.read_verified(buf, offset)?)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.proven_size()?)
    }
}

impl<B: Backend> Read for BlobReader<B> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.read_verified(buf, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl<B: Backend> Seek for BlobReader<B> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
            SeekFrom::End(delta) => self.proven_size()?.checked_add_signed(delta),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        Ok(self.position)
    }
}

impl<B: Backend> std::fmt::Debug for BlobReader<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlobReader({})", self.hash)
    }
}
