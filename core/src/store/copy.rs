//! From one store to another: the same streams, and only what is missing.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use crate::{
    Backend, BlobFormat, ChunkRanges, Error, Hash, HashAndFormat, Result,
    gather::gathered,
    kernel::TempTag,
    progress::{Progress, Watch},
    store::{
        Batch, BlobInfo, ImportOptions, PartialBlob, ReceiveOptions, SendOptions, State, Status,
        Store, partial::Unread,
    },
    tree::GROUP,
};

/// What a copy came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Copied {
    /// Blobs that it is about, each counted once.
    pub blobs: u64,
    /// Those of them that were there before.
    pub known: u64,
    /// Bytes of data that moved.
    pub bytes: u64,
    /// Blobs that are not there as a whole, and why. What there is of them was copied.
    pub incomplete: Vec<(Hash, Error)>,
    /// Keeps everything that was copied until dropped; a tag keeps it longer.
    pub tags: Vec<TempTag>,
}

/// Copies a blob from one store to another, and of a hash sequence also the blobs that it lists, one level deep.
/// Only what is missing moves, group by group; of a blob that the source has in part, that part.
///
/// # Errors
/// When the target cannot be written, or what its back end says; for a hash sequence that the source cannot read.
/// That single blobs cannot be copied is no error: it is told. [`Error::Cancelled`] when `watch` says so; what is
/// there by then stays, and the next copy goes on.
pub fn copy<A: Backend, B: Backend>(
    from: &Store<A>,
    to: &Store<B>,
    value: HashAndFormat,
    watch: &mut Watch<'_>,
) -> Result<Copied> {
    let mut hashes = Vec::new();
    if value.format == BlobFormat::HashSeq {
        hashes.extend_from_slice(from.sequence(value.hash)?.hashes());
    }
    // A sequence comes after what it lists.
    let mut seen = gathered::<BTreeSet<Hash>, _>([value.hash]);
    hashes.retain(|hash| seen.insert(*hash));
    hashes.push(value.hash);
    to.inner.kernel.check_writable()?;
    let mut copying = Copying {
        from,
        to,
        batch: to.batch(),
        total: hashes.len() as u64,
        done: Copied {
            blobs: 0,
            known: 0,
            bytes: 0,
            incomplete: Vec::new(),
            tags: Vec::new(),
        },
        told: 0,
        watch,
    };
    for hash in hashes {
        copying.tell()?;
        copying.blob(hash)?;
        copying.done.blobs += 1;
    }
    copying.tell()?;
    let Copying {
        mut done, batch, ..
    } = copying;
    batch.commit()?;
    if value.format == BlobFormat::HashSeq && is_there(to, value.hash) {
        let sequence = to.inner.kernel.protect(value);
        done.tags = vec![sequence];
    }
    Ok(done)
}

struct Copying<'a, 'w, A: Backend, B: Backend> {
    from: &'a Store<A>,
    to: &'a Store<B>,
    /// Blobs of one group: nothing of them can be missing but all.
    batch: Batch<'a, B>,
    total: u64,
    done: Copied,
    /// Bytes that were told of; they never become fewer.
    told: u64,
    watch: &'a mut Watch<'w>,
}

impl<A: Backend, B: Backend> Copying<'_, '_, A, B> {
    fn tell(&mut self) -> Result<()> {
        self.told = self.told.max(self.done.bytes);
        let step = Progress::Copied {
            blobs: self.done.blobs,
            total: self.total,
            bytes: self.told,
        };
        match (self.watch)(step).is_break() {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }

    /// Copies one blob. An error is one of the target; those of the source are told.
    fn blob(&mut self, hash: Hash) -> Result<()> {
        self.done.tags.push(self.to.inner.hold(hash));
        if is_there(self.to, hash) {
            self.done.known += 1;
            return Ok(());
        }
        if self.small(hash)? {
            return Ok(());
        }
        if let Err(error) = self.large(hash)? {
            self.done.incomplete.push((hash, error));
        }
        Ok(())
    }

    /// Copies a blob of one group, if it is one and can be read.
    fn small(&mut self, hash: Hash) -> Result<bool> {
        let seems_small = self.from.claimed_size(hash).is_ok_and(|size| size <= GROUP);
        let bytes = match seems_small {
            true => self.from.read(hash, GROUP),
            false => return Ok(false),
        };
        let Ok(bytes) = bytes else {
            // Whatever it is, the other way tells.
            return Ok(false);
        };
        self.batch.import_bytes(&bytes, ImportOptions::default())?;
        self.done.bytes += bytes.len() as u64;
        Ok(true)
    }

    fn large(&mut self, hash: Hash) -> Result<Result<()>> {
        let options = ReceiveOptions::default();
        let mut partial = self.to.partial_blob_with(hash, options, self.watch)?;
        let moved = self.missing(hash, &mut partial);
        let received = partial.finish()?;
        self.done.bytes += received.new;
        match moved {
            Err(Failure::Target(error)) => Err(error),
            Err(Failure::Source(Error::Cancelled)) => Err(Error::Cancelled),
            Err(Failure::Source(error)) if !received.is_complete => Ok(Err(error)),
            Ok(()) if !received.is_complete => Ok(Err(Error::Incomplete(hash))),
            _ => Ok(Ok(())),
        }
    }

    /// Moves what is missing, as far as the source has it.
    fn missing(&mut self, hash: Hash, partial: &mut PartialBlob<B>) -> Result<(), Failure> {
        let wanted = partial.missing();
        if wanted.is_empty() {
            return Ok(());
        }
        let source = self.from;
        let is_partial = |info: BlobInfo| info.state == State::Partial || info.damaged;
        let failed = match source.status(hash) {
            Status::Present(info) if is_partial(info) => Error::Incomplete(hash),
            _ => match self.transfer(hash, &wanted, partial) {
                Err(Failure::Source(
                    error @ (Error::Corrupt { .. } | Error::Unreadable { .. }),
                )) => error,
                other => return other,
            },
        };
        // Around what it does not have.
        let available = source.available_as(hash, Unread::IsMissing, self.watch);
        let available = available.map_err(Failure::Source)?.ranges();
        let wanted = partial.missing().intersection(&available);
        if !wanted.is_empty() {
            self.transfer(hash, &wanted, partial)?;
        }
        Err(Failure::Source(failed))
    }

    fn transfer(
        &mut self,
        hash: Hash,
        wanted: &ChunkRanges,
        partial: &mut PartialBlob<B>,
    ) -> Result<(), Failure> {
        partial.begin(wanted).map_err(Failure::of_target)?;
        let mut pipe = Pipe {
            partial,
            failed: None,
        };
        let (done, total, told) = (&self.done, self.total, &mut self.told);
        let watch = &mut *self.watch;
        let mut watch = |step| match step {
            Progress::Sent { bytes, .. } => {
                // With the pairs of a stream it would be more, and then less again.
                *told = (*told).max(done.bytes + bytes);
                watch(Progress::Copied {
                    blobs: done.blobs,
                    total,
                    bytes: *told,
                })
            }
            other => watch(other),
        };
        let sent = self
            .from
            .send_with(hash, wanted, &mut pipe, SendOptions::default(), &mut watch);
        match (pipe.failed, sent) {
            (Some(error), _) => Err(Failure::of_target(error)),
            (None, Err(error)) => Err(Failure::Source(error)),
            (None, Ok(_)) => Ok(()),
        }
    }
}

enum Failure {
    Source(Error),
    Target(Error),
}

impl Failure {
    /// What the target says of a stream that lies is not its own failure.
    fn of_target(error: Error) -> Self {
        match error {
            Error::Stream { .. } => Self::Source(error),
            error => Self::Target(error),
        }
    }
}

/// Whether a blob counts as complete, and nothing else is known of it.
fn is_there<B: Backend>(store: &Store<B>, hash: Hash) -> bool {
    matches!(
        store.status(hash),
        Status::Present(BlobInfo {
            state: State::Complete,
            damaged: false,
            ..
        })
    )
}

/// A stream that goes from one store right into another.
struct Pipe<'a, B: Backend> {
    partial: &'a mut PartialBlob<B>,
    failed: Option<Error>,
}

impl<B: Backend> Write for Pipe<'_, B> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.partial.feed(bytes).map_err(|error| {
            self.failed = Some(error);
            io::Error::other("the target failed")
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
