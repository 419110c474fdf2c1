//! Receiving: a stream goes in, and what of it is proved is there.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    ops::ControlFlow,
    sync::Arc,
};

use crate::{
    Backend, BlobFormat, ChunkRanges, Error, Hash, HashAndFormat, Result, StreamError,
    content::Content,
    index::Entry,
    io::read_full_at,
    kernel::TempTag,
    progress::{Progress, Watch, unwatched},
    store::{Available, Inner, Store},
    stream::{Decoder, Item},
    tree::{CHUNK, GROUP, GROUP_CHUNKS, chunks, group_range, groups},
};

mod filling;

use filling::{Filling, Way};

/// Bytes read from a source at once.
const READ_PIECE: u64 = 256 * 1024;
/// Groups that are kept in memory because only some of their chunks have come.
const HELD_GROUPS: usize = 64;

/// How a blob is received.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ReceiveOptions {
    /// What the bytes mean, once they are all there.
    pub format: BlobFormat,
    /// The size of the blob, where the stream does not begin with it.
    pub size: Option<u64>,
    /// How many bytes the blob may have.
    pub cap: Option<u64>,
    /// Whether the source ends with the stream: that it goes on is an error then. Otherwise whatever comes behind
    /// the stream is left to be read.
    pub to_end: bool,
}

impl ReceiveOptions {
    /// These options for bytes of this meaning.
    #[must_use]
    pub fn format(mut self, format: BlobFormat) -> Self {
        self.format = format;
        self
    }

    /// These options for a stream without a size in front of it.
    #[must_use]
    pub fn size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    /// These options for a source that ends with the stream, or for one that goes on.
    #[must_use]
    pub fn to_end(mut self, to_end: bool) -> Self {
        self.to_end = to_end;
        self
    }

    /// These options for a blob of at most so many bytes.
    #[must_use]
    pub fn cap(mut self, cap: u64) -> Self {
        self.cap = Some(cap);
        self
    }
}

/// What came of receiving.
#[derive(Debug)]
#[non_exhaustive]
pub struct Received {
    /// The blob.
    pub hash: Hash,
    /// Its bytes; proved when the last group is there, claimed otherwise, and 0 when nothing is.
    pub size: u64,
    /// Whether all of it is there, durably. What is there of it otherwise is not, and is proved again when it is
    /// used.
    pub is_complete: bool,
    /// Bytes that were not there before.
    pub new: u64,
    /// Bytes that are there now.
    pub verified: u64,
    /// What is missing, in whole groups.
    pub missing: ChunkRanges,
    /// Keeps what is there until dropped; a tag keeps it longer.
    pub tag: TempTag,
}

impl<B: Backend> Store<B> {
    /// Reads a stream of these chunks of a blob, the size in front (FORMAT.md, "Streams"), and not a byte more.
    ///
    /// Every byte is verified before it is written. When all of the blob is there, it is completed. What was there
    /// before counts as well, so that a transfer that broke off goes on with what is [missing](Self::missing).
    ///
    /// # Errors
    /// [`Error::Stream`] for a stream that is not right, ends too early or, with
    /// [`to_end`](ReceiveOptions::to_end), too late; [`Error::Source`] when `reader` fails.
    /// What was verified until then stays. Otherwise as for an import.
    pub fn receive(&self, hash: Hash, ranges: &ChunkRanges, reader: impl Read) -> Result<Received> {
        let options = ReceiveOptions::default();
        self.receive_with(hash, ranges, reader, options, &mut unwatched)
    }

    /// As [`receive`](Self::receive), in some other way.
    ///
    /// # Errors
    /// Likewise; [`Error::TooLarge`] as the options say, before anything is read; [`Error::Cancelled`].
    pub fn receive_with(
        &self,
        hash: Hash,
        ranges: &ChunkRanges,
        reader: impl Read,
        options: ReceiveOptions,
        watch: &mut Watch<'_>,
    ) -> Result<Received> {
        let mut partial = self.partial_blob_with(hash, options, watch)?;
        let outcome = partial.receive(ranges, reader, watch);
        // Also after an error: all of the blob may be there, and something behind the stream.
        let received = match (&outcome, partial.is_filled()) {
            (Err(_), false) => None,
            _ => Some(partial.finish()?),
        };
        outcome.and(received.ok_or(Error::Incomplete(hash)))
    }

    /// Opens a blob for receiving what of it is missing.
    ///
    /// # Errors
    /// When the store cannot be written, or what the back end says.
    pub fn partial_blob(&self, hash: Hash) -> Result<PartialBlob<B>> {
        self.partial_blob_with(hash, ReceiveOptions::default(), &mut unwatched)
    }

    /// As [`partial_blob`](Self::partial_blob), in some other way.
    ///
    /// # Errors
    /// Likewise; [`Error::Cancelled`] when `watch` says so.
    pub fn partial_blob_with(
        &self,
        hash: Hash,
        options: ReceiveOptions,
        watch: &mut Watch<'_>,
    ) -> Result<PartialBlob<B>> {
        PartialBlob::open(&self.inner, hash, options, watch)
    }
}

/// A blob that is being received, for whoever has streams in pieces and an event loop of their own.
///
/// Any number of streams may come one after the other, each [begun](Self::begin) with the ranges that it is of,
/// and [fed](Self::feed) as its bytes arrive; none of it waits for anything but the store's own files. As long as
/// it lives the blob is not collected. Dropping it keeps what was verified; [`finish`](Self::finish) completes the
/// blob when all of it is there.
pub struct PartialBlob<B: Backend> {
    inner: Arc<Inner<B>>,
    hash: Hash,
    options: ReceiveOptions,
    lease: TempTag,
    /// The blob, where it counts as complete: only groups that it does not have right are kept.
    existing: Option<Existing<B>>,
    filling: Option<Filling<B>>,
    stream: Option<Stream>,
    way: Way,
    held: BTreeMap<u64, Held>,
    new: u64,
}

struct Existing<B: Backend> {
    content: Content<B::Object>,
    missing: ChunkRanges,
}

enum Stream {
    /// The size comes first.
    Size(ChunkRanges, Vec<u8>),
    Items(Decoder),
}

/// A group of which some chunks have come.
struct Held {
    bytes: Vec<u8>,
    /// The chunks that have, a bit each.
    chunks: u32,
}

impl<B: Backend> PartialBlob<B> {
    fn open(
        inner: &Arc<Inner<B>>,
        hash: Hash,
        options: ReceiveOptions,
        watch: &mut Watch<'_>,
    ) -> Result<Self> {
        inner.kernel.check_writable()?;
        let mut this = Self {
            // As raw, until it is there: a collection could not read a sequence that is not.
            lease: inner.hold(hash),
            inner: Arc::clone(inner),
            hash,
            options,
            existing: None,
            filling: None,
            stream: None,
            way: Way::default(),
            held: BTreeMap::new(),
            new: 0,
        };
        this.existing = this.look(watch)?;
        if this.existing.is_some() {
            return Ok(this);
        }
        match inner.parts(hash, watch) {
            Ok(Some(parts)) if options.cap.is_none_or(|cap| parts.size <= cap) => {
                this.filling = Some(Filling::open(inner, hash, parts.size, watch)?);
            }
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            // What does not open now is received once more.
            Ok(_) | Err(_) => {}
        }
        Ok(this)
    }

    /// The blob, if it counts as complete and anything of it can be proved.
    fn look(&self, watch: &mut Watch<'_>) -> Result<Option<Existing<B>>> {
        let (inner, hash) = (&self.inner, self.hash);
        let content = match inner.content(hash, true, watch) {
            Ok(content) => content,
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(_) => return Ok(None),
        };
        let is_damaged = inner.kernel.state().index.get(hash).has(Entry::DAMAGED);
        let missing = match is_damaged {
            true => inner.available(hash, &content, watch)?.missing(),
            false => ChunkRanges::empty(),
        };
        Ok(Some(Existing { content, missing }))
    }

    /// The blob.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// What is missing of it, in whole groups. Of a blob that counts as complete that is the damage that was found
    /// in this opening.
    #[must_use]
    pub fn missing(&self) -> ChunkRanges {
        match (&self.existing, &self.filling) {
            (Some(existing), None) => existing.missing.clone(),
            (Some(existing), Some(filling)) => {
                let found = filling.available().ranges().whole_groups();
                existing.missing.difference(&found)
            }
            (None, Some(filling)) => filling.available().missing(),
            (None, None) => ChunkRanges::all(),
        }
    }

    /// What is there of it; nothing when it counts as complete.
    #[must_use]
    pub fn available(&self) -> Available {
        let filling = self.filling.as_ref();
        filling.map_or_else(Available::default, Filling::available)
    }

    /// Whether all of it is there: it counted as complete, or every group was proved.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_filled() || self.existing.is_some()
    }

    /// Whether every group was proved here.
    fn is_filled(&self) -> bool {
        self.filling.as_ref().is_some_and(Filling::is_whole)
    }

    /// Begins a stream of these chunks, which starts with the size unless the options say it. What was left of
    /// the one before is not expected any more.
    ///
    /// # Errors
    /// [`Error::Stream`] and [`Error::TooLarge`] for a size that cannot be the blob's, or what the back end says.
    pub fn begin(&mut self, ranges: &ChunkRanges) -> Result<()> {
        self.way = Way::default();
        self.stream = None;
        match self.options.size {
            None => self.stream = Some(Stream::Size(ranges.clone(), Vec::new())),
            Some(size) => self.begin_items(ranges, size)?,
        }
        // The stream of an empty blob has no bytes.
        self.feed(&[]).map(|_| ())
    }

    fn begin_items(&mut self, ranges: &ChunkRanges, size: u64) -> Result<()> {
        self.check_size(size)?;
        let decoder = Decoder::new(self.hash, size, ranges);
        self.stream = Some(Stream::Items(decoder));
        Ok(())
    }

    fn check_size(&mut self, claimed: u64) -> Result<()> {
        if let Some(cap) = self.options.cap.filter(|cap| claimed > *cap) {
            return Err(Error::TooLarge { cap });
        }
        let proved = match (&self.existing, &self.filling) {
            (Some(existing), _) => match &existing.content {
                Content::Small(bytes) => Some(bytes.len() as u64),
                Content::Tree(tree) => tree.is_proven().then(|| tree.size()),
                Content::Parts(_) => None,
            },
            (None, Some(filling)) => filling.is_size_proved().then(|| filling.size()),
            (None, None) => None,
        };
        if let Some(proved) = proved.filter(|proved| *proved != claimed) {
            return Err(self.wrong(StreamError::Size { claimed, proved }));
        }
        let is_other = |filling: &Filling<B>| filling.size() != claimed;
        if self.filling.as_ref().is_some_and(is_other) {
            // Chunks under another size are chunks of other groups.
            self.held.clear();
            self.filling = None;
        }
        if self.filling.is_none() && self.existing.is_none() {
            self.refill(claimed)?;
        }
        Ok(())
    }

    /// Goes on with the partial entry that has most under this size.
    fn refill(&mut self, size: u64) -> Result<()> {
        let filling = Filling::open(&self.inner, self.hash, size, &mut unwatched)?;
        self.filling = Some(filling);
        Ok(())
    }

    /// Bytes of the stream that are still to come, if the size that it claims is right; `None` as long as that
    /// has not come itself.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match &self.stream {
            Some(Stream::Size(..)) => None,
            Some(Stream::Items(decoder)) => Some(decoder.remaining()),
            None => Some(0),
        }
    }

    /// Takes bytes of the stream, and tells how many of these: all but what lies behind its end. What they prove
    /// goes into the store.
    ///
    /// # Errors
    /// [`Error::Stream`] where they are wrong, or what the back end says. What was verified until then stays; the
    /// stream is at an end, and another one may be begun.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize> {
        let outcome = self.take(bytes);
        if outcome.is_err() {
            self.stream = None;
            // The first error is the one to report.
            let _ = self.flush();
        }
        outcome
    }

    fn take(&mut self, bytes: &[u8]) -> Result<usize> {
        self.inner.kernel.check_writable()?;
        let mut taken = 0;
        if let Some(Stream::Size(ranges, prefix)) = &mut self.stream {
            let len = bytes.len().min(8 - prefix.len());
            prefix.extend(&bytes[..len]);
            let Ok(size) = prefix[..].try_into().map(u64::from_le_bytes) else {
                return Ok(len);
            };
            let ranges = ranges.clone();
            self.begin_items(&ranges, size)?;
            taken = len;
        }
        let Some(Stream::Items(mut decoder)) = self.stream.take() else {
            return Ok(taken);
        };
        let size = decoder.size();
        let mut stored = Ok(());
        let fed = decoder.feed(&bytes[taken..], |item| {
            stored = match item {
                Item::Pair(groups, offset, pair) => {
                    self.way.add(groups, offset, *pair, false);
                    Ok(())
                }
                Item::Data(offset, bytes) => self.data(size, offset, bytes),
            };
            match stored {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        if stored.is_err() {
            // What it has is on the disk as far as it got there. The next stream looks.
            self.filling = None;
        }
        stored?;
        taken += fed.map_err(|source| self.wrong(source))?;
        if !decoder.is_done() {
            self.stream = Some(Stream::Items(decoder));
        }
        Ok(taken)
    }

    fn wrong(&self, source: StreamError) -> Error {
        let hash = self.hash;
        Error::Stream { hash, source }
    }

    /// Takes a group, or chunks of one, that were proved.
    fn data(&mut self, size: u64, offset: u64, bytes: &[u8]) -> Result<()> {
        let group = offset / GROUP;
        let range = group_range(group, size);
        if bytes.len() as u64 == range.end - range.start {
            self.held.remove(&group);
            return self.group(size, group, bytes);
        }
        if self
            .filling
            .as_ref()
            .is_some_and(|filling| filling.has(group))
        {
            return Ok(());
        }
        let held = self.held.entry(group).or_insert_with(|| Held {
            // At most a group.
            bytes: vec![0; usize::try_from(range.end - range.start).unwrap_or_default()],
            chunks: 0,
        });
        let at = usize::try_from(offset - range.start).unwrap_or_default();
        held.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        let first = (offset - range.start) / CHUNK;
        for chunk in first..first + chunks(bytes.len() as u64) {
            held.chunks |= 1 << chunk;
        }
        let count = GROUP_CHUNKS.min(chunks(size) - group * GROUP_CHUNKS);
        if u64::from(held.chunks.count_ones()) == count
            && let Some(held) = self.held.remove(&group)
        {
            return self.group(size, group, &held.bytes);
        }
        if self.held.len() > HELD_GROUPS {
            // It can be received once more.
            self.held.pop_first();
        }
        Ok(())
    }

    fn group(&mut self, size: u64, group: u64, bytes: &[u8]) -> Result<()> {
        if let Some(existing) = &self.existing
            && self.inner.has_right(&existing.content, group, bytes)
        {
            return Ok(());
        }
        if self.filling.is_none() {
            self.refill(size)?;
        }
        if let Some(filling) = &mut self.filling
            && filling.store(group, bytes, &mut self.way)?
        {
            self.new += bytes.len() as u64;
            if group == groups(size) - 1 {
                filling.adopt(&mut unwatched)?;
            }
        }
        Ok(())
    }

    /// Writes what was verified to its files.
    ///
    /// # Errors
    /// What the back end says.
    pub fn flush(&mut self) -> Result<()> {
        let outcome = self.filling.as_mut().map_or(Ok(()), Filling::flush);
        if outcome.is_err() {
            self.filling = None;
        }
        outcome
    }

    /// Begins a stream of these chunks, reads all of it, and not a byte more unless the options say that there is
    /// none.
    ///
    /// That the stream is wrong or ends too early is no error when nothing was missing any more by then.
    ///
    /// # Errors
    /// As [`Store::receive_with`]. The blob goes on with another stream, or is finished.
    pub fn receive(
        &mut self,
        ranges: &ChunkRanges,
        mut reader: impl Read,
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        self.begin(ranges)?;
        match self.drain(&mut reader, watch) {
            Err(error) if matches!(error, Error::Cancelled) || !self.is_filled() => Err(error),
            Err(_) => Ok(()),
            Ok(()) if self.options.to_end && read_some(&mut reader, &mut [0])? > 0 => {
                Err(self.wrong(StreamError::TooLong))
            }
            Ok(()) => Ok(()),
        }
    }

    fn drain(&mut self, reader: &mut impl Read, watch: &mut Watch<'_>) -> Result<()> {
        let mut piece = Vec::new();
        let mut bytes = 0;
        loop {
            let remaining = match &self.stream {
                None => return Ok(()),
                Some(Stream::Size(_, prefix)) => 8 - prefix.len() as u64,
                Some(Stream::Items(decoder)) => decoder.remaining(),
            };
            // At most `READ_PIECE`.
            piece.resize(
                usize::try_from(remaining.min(READ_PIECE)).unwrap_or_default(),
                0,
            );
            let read = read_some(reader, &mut piece)?;
            if read == 0 {
                let missing = remaining;
                return Err(self.wrong(StreamError::Truncated { missing }));
            }
            self.feed(&piece[..read])?;
            bytes += read as u64;
            let total = bytes.saturating_add(self.remaining().unwrap_or_default());
            if watch(Progress::Received { bytes, total }).is_break() {
                return Err(Error::Cancelled);
            }
        }
    }

    /// Ends receiving: completes the blob if all of it is there, durably, and tells what is missing otherwise.
    ///
    /// # Errors
    /// What the back end says. What was verified stays.
    pub fn finish(mut self) -> Result<Received> {
        self.flush()?;
        let missing = self.missing();
        let mut verified = self.available().verified();
        let size = match (&self.filling, &self.existing) {
            (Some(filling), _) => filling.size(),
            (None, Some(existing)) => self.inner.settled_size(self.hash, &existing.content),
            (None, None) => 0,
        };
        let mut is_complete = self.is_whole();
        match self.filling.take() {
            Some(filling) if filling.is_whole() => filling.complete()?,
            filling => {
                drop(filling);
                // Somebody else may have completed it meanwhile.
                self.inner.drop_needless_parts(self.hash)?;
                let state = self.inner.kernel.state();
                is_complete |= state.index.get(self.hash).has(Entry::VERIFIED);
            }
        }
        let missing = match is_complete && self.existing.is_none() {
            true => ChunkRanges::empty(),
            false => missing,
        };
        if is_complete {
            verified = size;
        }
        let tag = match self.options.format {
            BlobFormat::HashSeq if is_complete => {
                let value = HashAndFormat::hash_seq(self.hash);
                self.inner.kernel.protect(value)
            }
            _ => self.lease,
        };
        Ok(Received {
            hash: self.hash,
            size,
            is_complete,
            new: self.new,
            verified,
            missing,
            tag,
        })
    }
}

/// Reads what comes next, over interruptions; nothing at the end.
fn read_some(reader: &mut impl Read, buf: &mut [u8]) -> Result<usize> {
    loop {
        match reader.read(buf) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map_err(Error::Source),
        }
    }
}

impl<B: Backend> Inner<B> {
    /// Whether any home of a complete blob has these bytes, which were proved, for a group.
    fn has_right(&self, content: &Content<B::Object>, group: u64, bytes: &[u8]) -> bool {
        let tree = match content {
            Content::Small(_) => return true,
            Content::Parts(_) => return false,
            Content::Tree(tree) => tree,
        };
        let mut found = vec![0; bytes.len()];
        let mut index = 0;
        while let Some(home) = tree.homes.get(self, index, &mut None) {
            index += 1;
            let read = read_full_at(&home.object, &mut found, group * GROUP);
            if read.is_ok() && found == bytes {
                return true;
            }
        }
        false
    }
}

impl<B: Backend> std::fmt::Debug for PartialBlob<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PartialBlob({})", self.hash)
    }
}
