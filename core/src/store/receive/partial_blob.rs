//! A blob that is being received: streams go in, what of them is proved goes into an entry.

use std::{
    io::{self, Read},
    ops::ControlFlow,
    sync::Arc,
};

use crate::{
    Backend, BlobFormat, ChunkRanges, Error, Hash, HashAndFormat, Result, StreamError,
    beside::piece,
    content::Content,
    index::Entry,
    io::read_full_at,
    kernel::TempTag,
    progress::{Progress, Watch, unwatched},
    sequence::HASH_LEN,
    store::{
        Available, Inner, ReceiveOptions, Received,
        partial::Unread,
        receive::{
            filling::{Filling, Way},
            held::Held,
        },
    },
    stream::{Decoder, Item},
    tree::{GROUP, group_range, groups},
};

/// Bytes read from a source at once; see [`piece`].
const READ_PIECE: u64 = 256 * 1024;

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
    held: Held,
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

impl<B: Backend> PartialBlob<B> {
    pub(super) fn open(
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
            held: Held::default(),
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
        let missing = match content.proven_size() {
            Some(_) if !is_damaged => ChunkRanges::empty(),
            _ => inner
                .available(hash, &content, Unread::IsMissing, watch)?
                .missing(),
        };
        Ok(Some(Existing { content, missing }))
    }

    /// The blob.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// What is missing of it, in whole groups. Of a blob that counts as complete that is the damage that is known in
    /// this opening.
    #[must_use]
    pub fn missing(&self) -> ChunkRanges {
        match (&self.existing, &self.filling) {
            (Some(existing), None) => existing.missing.clone(),
            (Some(existing), Some(filling)) => {
                let filled = filling.available();
                let missing = existing.missing.intersection(&filled.missing());
                match filled.is_size_proved {
                    true => missing,
                    false => existing.missing.difference(&filled.ranges().whole_groups()),
                }
            }
            (None, Some(filling)) => filling.available().missing(),
            (None, None) => ChunkRanges::all(),
        }
    }

    /// What is there of it in partial entries.
    #[must_use]
    pub fn available(&self) -> Available {
        let filling = self.filling.as_ref();
        filling.map_or_else(Available::default, Filling::available)
    }

    /// Whether nothing is known to be missing.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.missing().is_empty()
    }

    /// Whether every group was proved here.
    pub(super) fn is_filled(&self) -> bool {
        self.filling.as_ref().is_some_and(Filling::is_whole)
    }

    /// Begins a stream of these chunks, which starts with the size unless the options say it. What was left of
    /// the one before is not expected any more.
    ///
    /// # Errors
    /// [`Error::Stream`] and [`Error::TooLarge`] for a size that cannot be the blob's, or what the back end says.
    pub fn begin(&mut self, ranges: &ChunkRanges) -> Result<()> {
        self.way = Way::default();
        self.held.begin();
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

    fn check_size(&self, claimed: u64) -> Result<()> {
        if let Some(cap) = self.options.cap.filter(|cap| claimed > *cap) {
            return Err(Error::TooLarge { cap });
        }
        let filling = self.filling.as_ref();
        let filled = filling.filter(|filling| filling.is_size_proved());
        let existing = self.existing.as_ref();
        let proved = filled
            .map(Filling::size)
            .or(existing.and_then(|existing| existing.content.proven_size()));
        match proved {
            Some(proved) if proved != claimed => {
                Err(self.wrong(StreamError::Size { claimed, proved }))
            }
            _ => Ok(()),
        }
    }

    /// The entry for groups under this size. It is changed for the first of them, not for a size: that costs
    /// whoever lies nothing.
    fn filling(&mut self, size: u64) -> Result<&mut Filling<B>> {
        let known = self.filling.take();
        let filling = match known.filter(|filling| filling.size() == size) {
            Some(filling) => filling,
            None => Filling::open(&self.inner, self.hash, size, &mut unwatched)?,
        };
        Ok(self.filling.insert(filling))
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
        let filling = self.filling.as_ref();
        if filling.is_some_and(|filling| filling.size() == size && filling.has(group)) {
            return Ok(());
        }
        if bytes.len() as u64 == range.end - range.start {
            self.held.forget(group);
            return self.group(size, group, bytes);
        }
        match self.held.take(size, offset, bytes) {
            Some(whole) => self.group(size, group, &whole),
            None => Ok(()),
        }
    }

    fn group(&mut self, size: u64, group: u64, bytes: &[u8]) -> Result<()> {
        if let Some(existing) = &self.existing {
            let chunks = ChunkRanges::of_groups(group..group + 1);
            let is_missing = !existing.missing.intersection(&chunks).is_empty();
            // Right bytes that nothing proves are none: no reader would get them.
            if !is_missing && self.inner.has_right(&existing.content, group, bytes) {
                return Ok(());
            }
            self.inner.quarantine(self.hash);
        }
        let mut way = std::mem::take(&mut self.way);
        let stored = self
            .filling(size)
            .and_then(|filling| filling.store(group, bytes, &mut way));
        self.way = way;
        if stored? {
            self.new += bytes.len() as u64;
            if group == groups(size) - 1 {
                self.filling(size)?.adopt(&mut unwatched)?;
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
            // What it has is on the disk as far as it got there. The next stream looks.
            self.filling = None;
            self.stream = None;
        }
        outcome
    }

    /// Begins a stream of these chunks, reads all of it, and not a byte more unless the options say that there is
    /// none.
    ///
    /// That the stream is wrong or ends too early is no error when nothing was missing any more by then.
    ///
    /// # Errors
    /// As [`Store::receive_with`](crate::Store::receive_with). The blob goes on with another stream, or is finished.
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
        let mut now = Vec::new();
        let mut bytes = 0;
        loop {
            let remaining = match &self.stream {
                None => return Ok(()),
                Some(Stream::Size(_, prefix)) => 8 - prefix.len() as u64,
                Some(Stream::Items(decoder)) => decoder.remaining(),
            };
            // At most some times `READ_PIECE`.
            let len = usize::try_from(remaining.min(piece(READ_PIECE)));
            now.resize(len.unwrap_or_default(), 0);
            let read = read_some(reader, &mut now)?;
            if read == 0 {
                let missing = remaining;
                return Err(self.wrong(StreamError::Truncated { missing }));
            }
            self.feed(&now[..read])?;
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
        let (inner, hash) = (Arc::clone(&self.inner), self.hash);
        let is_complete = || inner.kernel.state().index.get(hash).is_complete();
        let mut found = self.available();
        let mut missing = self.missing();
        match self.filling.take() {
            Some(filling) if filling.is_whole() => filling.complete()?,
            filling => {
                drop(filling);
                inner.drop_needless_parts(hash)?;
            }
        }
        let was_complete = self.existing.is_some() || found.is_whole();
        if was_complete != is_complete() {
            // Somebody else has completed it meanwhile, or taken it apart to repair it.
            self.existing = self.look(&mut unwatched)?;
            missing = self.missing();
            if self.existing.is_none() {
                found = self.partly()?;
                missing = found.missing();
            }
        }
        let is_complete = is_complete() && missing.is_empty();
        if is_complete && self.existing.is_some() {
            // A process that died may have left it in memory only.
            inner.ensure_durable(&[hash])?;
            inner.settle_parts(hash)?;
        }
        let size = match &self.existing {
            Some(existing) => existing.content.proven_size(),
            None => None,
        };
        let size = size.unwrap_or(found.size);
        let is_sequence = size % HASH_LEN as u64 == 0;
        let tag = match self.options.format {
            // Anything else would keep every collection from doing anything.
            BlobFormat::HashSeq if is_complete && is_sequence => {
                inner.kernel.protect(HashAndFormat::hash_seq(hash))
            }
            _ => self.lease,
        };
        Ok(Received {
            hash,
            size,
            is_complete,
            new: self.new,
            verified: if is_complete { size } else { found.verified() },
            missing,
            tag,
        })
    }

    /// What is there in partial entries now.
    fn partly(&self) -> Result<Available> {
        let Some(parts) = self.inner.parts(self.hash, &mut unwatched)? else {
            return Ok(Available::default());
        };
        let content = Content::Parts(parts.into());
        let unread = Unread::IsMissing;
        self.inner
            .available(self.hash, &content, unread, &mut unwatched)
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
