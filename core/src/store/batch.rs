//! Batches of imports: stage and hash each, then publish all of them, outboards before data.

use std::io::{self, Read};

use crate::{
    Backend, BackendError, BlobFormat, Collection, Error, ExternalPath, FileName, Hash,
    HashAndFormat, ReadAt, Result,
    hasher::Hashed,
    index::Entry,
    io::{WRITE_PIECE, read_full_at, write_all_at},
    kernel::TempTag,
    progress::{Watch, unwatched},
    store::{
        ImportOptions, Imported, Inner, Novelty, Stage,
        hashing::{self, Buffers, Hashing},
        locked,
        publication::Publication,
    },
};

/// Bytes from which on a file is worth being shared and not copied.
const SHARED: u64 = 64 * 1024;
/// Imports of a batch whose files stay open; of more, all are set aside.
const OPEN: usize = 64;
/// Bytes of data that share one publication: so many are never long unsynced.
const BATCH_BYTES: u64 = 256 * 1024 * 1024;

/// Imports that become durable together. Dropping it forgets those that are not committed.
pub struct Batch<'a, B: Backend> {
    inner: &'a Inner<B>,
    pending: Vec<Pending<'a, B>>,
    /// Bytes of their data.
    bytes: u64,
    done: Vec<Imported>,
    /// Whether a publication failed, so that something that was added is not there.
    failed: bool,
    /// Whether partial entries stay that have nothing but what is imported.
    keeps_parts: bool,
    buffers: Buffers,
}

/// An import whose bytes are staged.
pub(super) struct Pending<'a, B: Backend> {
    pub(super) hash: Hash,
    pub(super) size: u64,
    format: BlobFormat,
    /// The data, unless they stay where they are.
    data: Option<Stage<'a, B>>,
    outboard: Option<Stage<'a, B>>,
    /// Where the data stay.
    pub(super) reference: Option<ExternalPath>,
    held: TempTag,
}

impl<'a, B: Backend> Batch<'a, B> {
    pub(super) fn new(inner: &'a Inner<B>) -> Self {
        Self {
            inner,
            pending: Vec::new(),
            bytes: 0,
            done: Vec::new(),
            failed: false,
            keeps_parts: false,
            buffers: Buffers::default(),
        }
    }

    /// The same batch, which removes nothing.
    pub(super) fn keeping_parts(mut self) -> Self {
        self.keeps_parts = true;
        self
    }

    /// Adds all bytes of a reader: they are staged and hashed now, and in the store when the batch is
    /// committed. Returns hash and size.
    ///
    /// # Errors
    /// As [`Store::import_reader`](crate::Store::import_reader); what was added before is not affected then.
    /// After some hundreds or thousands of imports, or 256 MiB, those so far are published: an error of that ends the
    /// batch, [`Error::BatchFailed`] from then on.
    pub fn import_reader(&mut self, reader: impl Read) -> Result<(Hash, u64)> {
        self.import_reader_with(reader, ImportOptions::default(), &mut unwatched)
    }

    /// As [`import_reader`](Self::import_reader), in some other way.
    ///
    /// # Errors
    /// As [`Store::import_reader_with`](crate::Store::import_reader_with).
    pub fn import_reader_with(
        &mut self,
        mut reader: impl Read,
        options: ImportOptions,
        watch: &mut Watch<'_>,
    ) -> Result<(Hash, u64)> {
        self.check()?;
        let data = self.inner.stage(FileName::Temp)?;
        let mut read = |buf: &mut [u8], _: u64| read_full(&mut reader, buf);
        self.copy(&mut read, data, options, watch)
    }

    /// Adds bytes in memory.
    ///
    /// # Errors
    /// As [`Store::import_bytes`](crate::Store::import_bytes).
    pub fn import_bytes(&mut self, bytes: &[u8], options: ImportOptions) -> Result<(Hash, u64)> {
        self.import_reader_with(bytes, options, &mut unwatched)
    }

    /// Adds a copy of a file outside the store.
    ///
    /// # Errors
    /// As [`Store::import_file`](crate::Store::import_file), and as the options say.
    pub fn import_file_with(
        &mut self,
        path: &ExternalPath,
        options: ImportOptions,
        watch: &mut Watch<'_>,
    ) -> Result<(Hash, u64)> {
        let inner = self.inner;
        self.check()?;
        let file = inner.backend.external(path)?;
        let mut data = inner.stage(FileName::Temp)?;
        let is_shared = file.size().is_ok_and(|size| size >= SHARED)
            && inner
                .backend
                .share(&file, data.file())
                .map_err(BackendError::io("copy", path))?;
        if !is_shared {
            let mut read = |buf: &mut [u8], at: u64| read_full_at(&file, buf, at);
            return self.copy(&mut read, data, options, watch);
        }
        // The bytes that landed, whatever became of the file meanwhile.
        let mut hashing = Hashing::new(inner, options);
        hashing.over(data.file(), &mut self.buffers, watch)?;
        let (hashed, outboard) = hashing.finish()?;
        self.add(hashed, options.format, Some(data), outboard, None)
    }

    /// Adds a file outside the store by reference.
    ///
    /// # Errors
    /// As [`Store::import_reference`](crate::Store::import_reference), and as the options say.
    pub fn import_reference_with(
        &mut self,
        path: &ExternalPath,
        options: ImportOptions,
        watch: &mut Watch<'_>,
    ) -> Result<(Hash, u64)> {
        let inner = self.inner;
        self.check()?;
        let file = inner.backend.external(path)?;
        let stamp = |file| inner.backend.stamp(file).map_err(Error::Source);
        let before = stamp(&file)?;
        let mut hashing = Hashing::new(inner, options);
        hashing.over(&file, &mut self.buffers, watch)?;
        let (hashed, outboard) = hashing.finish()?;
        if stamp(&file)? != before || hashed.size != before.len {
            let path = path.to_string();
            return Err(Error::SourceChanged { path });
        }
        self.add(hashed, options.format, None, outboard, Some(path.clone()))
    }

    /// Adds the two blobs that make a collection, its metadata and then its sequence, whose hash is returned.
    /// The blobs it names are not looked at.
    ///
    /// # Errors
    /// As [`Store::import_bytes`](crate::Store::import_bytes).
    pub fn import_collection(&mut self, collection: &Collection) -> Result<Hash> {
        let (meta, _) = self.import_bytes(&collection.encode_meta(), ImportOptions::default())?;
        let sequence = collection.sequence(meta).encode();
        let options = ImportOptions::default().format(BlobFormat::HashSeq);
        Ok(self.import_bytes(&sequence, options)?.0)
    }

    /// Puts everything that was added into the store, durably, and returns it in the order in which it
    /// was added.
    ///
    /// # Errors
    /// What the back end says. What was published until then stays, unprotected.
    pub fn commit(mut self) -> Result<Vec<Imported>> {
        self.flush()?;
        Ok(std::mem::take(&mut self.done))
    }

    /// Whether anything can be added: nothing to what would not be acknowledged.
    fn check(&self) -> Result<()> {
        if self.failed {
            return Err(Error::BatchFailed);
        }
        self.inner.kernel.check_writable()
    }

    fn copy(
        &mut self,
        read: &mut hashing::Read<'_>,
        mut data: Stage<'a, B>,
        options: ImportOptions,
        watch: &mut Watch<'_>,
    ) -> Result<(Hash, u64)> {
        let mut hashing = Hashing::new(self.inner, options);
        let mut write = |bytes: &[u8], at: u64| {
            let mut at = at;
            for piece in bytes.chunks(WRITE_PIECE) {
                write_all_at(data.file(), piece, at)?;
                at += piece.len() as u64;
            }
            Ok(())
        };
        hashing.run(&mut self.buffers, read, &mut write, watch)?;
        let (hashed, outboard) = hashing.finish()?;
        self.add(hashed, options.format, Some(data), outboard, None)
    }

    fn add(
        &mut self,
        hashed: Hashed,
        format: BlobFormat,
        data: Option<Stage<'a, B>>,
        outboard: Option<Stage<'a, B>>,
        reference: Option<ExternalPath>,
    ) -> Result<(Hash, u64)> {
        let Hashed { hash, size, .. } = hashed;
        let inner = self.inner;
        self.pending.push(Pending {
            hash,
            size,
            format,
            data,
            outboard,
            reference,
            // As raw, until it is there: a collection could not read a sequence that is not.
            held: inner.hold(hash),
        });
        self.bytes = self.bytes.saturating_add(size);
        self.set_aside();
        if 2 * self.pending.len() >= inner.backend.batch_size() || self.bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok((hash, size))
    }

    /// Gives back handles, as soon as there are many. A file that is not what was written keeps its own, and says so
    /// when it is published.
    fn set_aside(&mut self) {
        let imports = match self.pending.len() {
            0..OPEN => return,
            OPEN => &mut self.pending[..],
            more => &mut self.pending[more - 1..],
        };
        let stages = imports
            .iter_mut()
            .flat_map(|import| [&mut import.data, &mut import.outboard]);
        for stage in stages.flatten() {
            let _ = self.inner.backend.set_aside(stage.file());
        }
    }

    /// Publishes what is pending: outboards before data and paths, one directory sync for all.
    fn flush(&mut self) -> Result<()> {
        if self.failed {
            return Err(Error::BatchFailed);
        }
        self.failed = true;
        self.flush_pending()?;
        self.failed = false;
        Ok(())
    }

    fn flush_pending(&mut self) -> Result<()> {
        let inner = self.inner;
        let has_references = self.pending.iter().any(|import| import.reference.is_some());
        let _writer = has_references.then(|| locked(&inner.path_writer));
        let mut publication = Publication::default();
        let mut landed = Vec::new();
        self.bytes = 0;
        for import in std::mem::take(&mut self.pending) {
            let novelty = publication.add(inner, &import)?;
            let Pending {
                hash,
                size,
                format,
                data,
                outboard,
                held,
                ..
            } = import;
            if novelty == Novelty::Known {
                drop((data, outboard));
            } else {
                // The outboard comes first, the data are the commit.
                publication.push(outboard, FileName::Outboard(hash), Entry::OUTBOARD);
                publication.push(data, FileName::Data(hash), Entry::DATA);
            }
            landed.push((hash, size, format, novelty, held));
        }
        publication.push_paths(inner)?;
        publication.run(inner)?;
        for (hash, size, format, novelty, held) in landed {
            if !self.keeps_parts {
                inner.drop_needless_parts(hash)?;
            }
            let tag = match format {
                BlobFormat::Raw => held,
                BlobFormat::HashSeq => inner.kernel.protect(HashAndFormat::hash_seq(hash)),
            };
            self.done.push(Imported {
                hash,
                size,
                novelty,
                tag,
            });
        }
        Ok(())
    }
}

impl<B: Backend> std::fmt::Debug for Batch<'_, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({} pending)", self.pending.len())
    }
}

/// Fills the buffer from a reader, over short reads and interruptions.
fn read_full(reader: &mut dyn Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match reader.read(&mut buf[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
