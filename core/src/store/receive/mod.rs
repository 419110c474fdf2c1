//! Receiving: a stream goes in, and what of it is proved is there.

use std::io::Read;

use crate::{
    Backend, BlobFormat, ChunkRanges, Error, Hash, Result,
    kernel::TempTag,
    progress::{Watch, unwatched},
    store::Store,
};

mod files;
mod filling;
mod held;
mod partial_blob;

pub use partial_blob::PartialBlob;

/// How a blob is received.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ReceiveOptions {
    /// What the bytes mean, once they are all there. Bytes whose length is none of a hash sequence's are raw.
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
    /// used. A blob that was complete by its name before is taken for whole until somebody reads it.
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
    /// Likewise; [`Error::TooLarge`] as the options say, before any data are read; [`Error::Cancelled`].
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
