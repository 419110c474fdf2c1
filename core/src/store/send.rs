//! Sending: what a blob has of some ranges, as a stream that proves itself.

use std::{
    io::{BufWriter, Write},
    ops::ControlFlow,
};

use crate::{
    Backend, ChunkRanges, Error, Hash, Result,
    content::{Content, Groups, outboard_damage},
    progress::{Progress, Watch, unwatched},
    proof::{Step, Walk},
    ranges::Selection,
    store::{Inner, Store},
    stream::{encode_part, encoded_len},
    tree::{CHUNK, GROUP, GROUP_CHUNKS, chunks},
};

/// Bytes that are written at once.
const WRITE_PIECE: usize = 64 * 1024;

/// How a blob is sent.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SendOptions {
    /// Whether the stream begins with the size of the blob, 8 bytes, little-endian. Otherwise the receiver has
    /// to be told of it some other way.
    pub with_size: bool,
}

impl Default for SendOptions {
    fn default() -> Self {
        Self { with_size: true }
    }
}

impl SendOptions {
    /// These options, with or without the size in front.
    #[must_use]
    pub fn with_size(mut self, with_size: bool) -> Self {
        self.with_size = with_size;
        self
    }
}

/// A stream that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// Bytes of the blob. Of a partial blob without its last group they are only claimed.
    pub size: u64,
    /// Bytes of data in the stream.
    pub data: u64,
    /// Bytes of the stream, the size in front among them.
    pub stream: u64,
}

impl<B: Backend> Store<B> {
    /// Writes a stream of these chunks of a blob, or of a part of one (FORMAT.md, "Streams"), the size in
    /// front. Everything is verified before it is written.
    ///
    /// What lies behind the end of the blob means its last chunk. The least that a store keeps is a group of 16
    /// chunks: ask for [whole groups](ChunkRanges::whole_groups) where a store receives it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`], [`Error::Unreadable`], and [`Error::MissingGroup`] for what a
    /// partial blob does not have: the stream ends before the group that it is about. [`Error::Sink`] when
    /// `writer` fails.
    pub fn send(&self, hash: Hash, ranges: &ChunkRanges, writer: impl Write) -> Result<Sent> {
        self.send_with(hash, ranges, writer, SendOptions::default(), &mut unwatched)
    }

    /// As [`send`](Self::send), in some other way.
    ///
    /// # Errors
    /// Likewise; [`Error::Cancelled`] when `watch` says so.
    pub fn send_with(
        &self,
        hash: Hash,
        ranges: &ChunkRanges,
        mut writer: impl Write,
        options: SendOptions,
        watch: &mut Watch<'_>,
    ) -> Result<Sent> {
        self.send_to(hash, ranges, &mut writer, options, watch)
    }

    fn send_to(
        &self,
        hash: Hash,
        ranges: &ChunkRanges,
        writer: &mut dyn Write,
        options: SendOptions,
        watch: &mut Watch<'_>,
    ) -> Result<Sent> {
        let content = self.opened(hash, |inner| inner.content_or_part(hash, watch))?;
        let size = self.inner.settled_size(hash, &content);
        let selection = Selection::new(ranges, size);
        let mut sending = Sending {
            inner: &self.inner,
            hash,
            content: &content,
            groups: Groups::new(&self.inner, hash, &content, size),
            size,
            selection: &selection,
            total: encoded_len(size, &selection),
            out: BufWriter::with_capacity(WRITE_PIECE, writer),
            part: Vec::new(),
            sent: Sent {
                size,
                data: 0,
                stream: 0,
            },
        };
        let outcome = sending.run(options, watch);
        // Also what came before an error is worth having.
        let flushed = sending.out.flush().map_err(Error::Sink);
        outcome.and(flushed).map(|()| sending.sent)
    }
}

struct Sending<'a, B: Backend> {
    inner: &'a Inner<B>,
    hash: Hash,
    content: &'a Content<B::Object>,
    groups: Groups<'a, B>,
    size: u64,
    selection: &'a Selection,
    total: u64,
    out: BufWriter<&'a mut dyn Write>,
    /// What there is of a group of which not all is sent.
    part: Vec<u8>,
    sent: Sent,
}

impl<B: Backend> Sending<'_, B> {
    fn run(&mut self, options: SendOptions, watch: &mut Watch<'_>) -> Result<()> {
        if options.with_size {
            self.write(&self.size.to_le_bytes())?;
            self.total = self.total.saturating_add(8);
        }
        let mut walk = self
            .inner
            .walk(self.hash, self.content)
            .selecting(self.selection);
        let mut outcome = Ok(());
        let flow = walk.run(self.hash, &mut |step| {
            outcome = self.step(step);
            if outcome.is_err() {
                return ControlFlow::Break(());
            }
            watch(Progress::Sent {
                bytes: self.sent.stream,
                total: self.total,
            })
        });
        match (outcome, flow) {
            (Err(Failure::Unproved(offset)), _) => Err(self.unproved(&mut walk, offset)),
            (Err(Failure::Error(error)), _) => Err(error),
            (Ok(()), ControlFlow::Break(())) => Err(Error::Cancelled),
            (Ok(()), ControlFlow::Continue(())) => Ok(()),
        }
    }

    fn step(&mut self, step: Step) -> Result<(), Failure> {
        let leaf = match step {
            Step::Pair(pair) => return Ok(self.write(&pair.bytes)?),
            Step::Unknown(groups) => return Err(Failure::Unproved(groups.start * GROUP)),
            Step::Known(leaf) => leaf,
        };
        let selection = self.selection;
        let is_selected = |group: u64| {
            let start = group * GROUP_CHUNKS;
            selection.has_any(start, start + GROUP_CHUNKS)
        };
        let bytes = self.groups.get(&leaf, &is_selected)?;
        let start = leaf.group * GROUP_CHUNKS;
        let end = (start + GROUP_CHUNKS).min(chunks(self.size));
        let (data, bytes) = if selection.has_all(start, end) {
            (bytes.len() as u64, bytes)
        } else {
            self.part.clear();
            let data = encode_part(leaf.group, self.size, bytes, selection, &mut self.part);
            (data, &self.part[..])
        };
        self.out.write_all(bytes).map_err(Error::Sink)?;
        self.sent.data += data;
        self.sent.stream += bytes.len() as u64;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(Error::Sink)?;
        self.sent.stream += bytes.len() as u64;
        Ok(())
    }

    /// Why nothing proves what is at an offset.
    fn unproved(&self, walk: &mut Walk<'_>, offset: u64) -> Error {
        if let Content::Parts(parts) = self.content {
            // Of all that cannot be proved, what was asked for.
            let asked = self.selection.next(offset / CHUNK);
            return parts.not_come_by(walk, asked.unwrap_or_default() / GROUP_CHUNKS);
        }
        walk.failure()
            .unwrap_or_else(|| outboard_damage(self.hash, offset))
    }
}

enum Failure {
    /// Pairs above this offset are not right.
    Unproved(u64),
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl<B: Backend> Inner<B> {
    /// The size that a blob is sent under: proved, if that can be.
    fn settled_size(&self, hash: Hash, content: &Content<B::Object>) -> u64 {
        if let Content::Tree(tree) = content
            && !tree.is_proven()
        {
            // Damage in the last group is none in the others.
            let last = tree.size().div_ceil(GROUP) - 1;
            let _ = self.group(hash, tree, last);
        }
        content.size()
    }
}
