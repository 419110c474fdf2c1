//! Import: what users call, and how it can be told to go.

use std::io::Read;

use crate::{
    Backend, BlobFormat, Error, ExternalPath, Hash, Result,
    kernel::TempTag,
    progress::{Watch, unwatched},
    store::{Batch, Store},
};

/// How something is imported.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ImportOptions {
    /// What the bytes mean.
    pub format: BlobFormat,
    /// How many bytes there must be; another number is an error.
    pub size: Option<u64>,
    /// How many bytes there may be. An endless source ends here.
    pub cap: Option<u64>,
}

impl ImportOptions {
    /// These options for bytes of this meaning.
    #[must_use]
    pub fn format(mut self, format: BlobFormat) -> Self {
        self.format = format;
        self
    }

    /// These options for exactly so many bytes.
    #[must_use]
    pub fn size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    /// These options for at most so many bytes.
    #[must_use]
    pub fn cap(mut self, cap: u64) -> Self {
        self.cap = Some(cap);
        self
    }

    /// The error of a source that has had `found` bytes so far.
    pub(super) fn check_progress(&self, found: u64) -> Result<()> {
        match (self.size, self.cap) {
            (Some(claimed), _) if found > claimed => Err(Error::WrongSize { claimed, found }),
            (_, Some(cap)) if found > cap => Err(Error::TooLarge { cap }),
            _ => Ok(()),
        }
    }

    pub(super) fn check_end(&self, found: u64) -> Result<()> {
        match self.size {
            Some(claimed) if found != claimed => Err(Error::WrongSize { claimed, found }),
            _ => Ok(()),
        }
    }
}

/// A blob that is in the store, whole and durable.
#[derive(Debug)]
#[non_exhaustive]
pub struct Imported {
    /// The blob.
    pub hash: Hash,
    /// Its bytes.
    pub size: u64,
    /// Whether it was there before.
    pub novelty: Novelty,
    /// Keeps it alive until dropped; a tag keeps it longer.
    pub tag: TempTag,
}

/// Whether an imported blob was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// It was not.
    New,
    /// It was, by name. Its bytes had not been proved in this opening: those just proved replaced them.
    Replaced,
    /// It was, proved in this opening. Nothing was written.
    Known,
}

impl<B: Backend> Store<B> {
    /// Imports all bytes of a reader.
    ///
    /// # Errors
    /// [`Error::Source`] when the reader fails; when the store cannot be written, or what the back end says.
    /// Nothing stays behind then.
    pub fn import_reader(&self, reader: impl Read) -> Result<Imported> {
        self.import_reader_with(reader, ImportOptions::default(), &mut unwatched)
    }

    /// As [`import_reader`](Self::import_reader), in some other way.
    ///
    /// # Errors
    /// Likewise; [`Error::WrongSize`], [`Error::TooLarge`] as the options say; [`Error::Cancelled`].
    pub fn import_reader_with(
        &self,
        reader: impl Read,
        options: ImportOptions,
        watch: &mut Watch<'_>,
    ) -> Result<Imported> {
        self.import_one(|batch| batch.import_reader_with(reader, options, watch))
    }

    /// Imports bytes in memory.
    ///
    /// # Errors
    /// As [`import_reader`](Self::import_reader).
    pub fn import_bytes(&self, bytes: &[u8]) -> Result<Imported> {
        self.import_reader(bytes)
    }

    /// Imports a copy of a file outside the store, under a granted root.
    ///
    /// # Errors
    /// As [`import_reader`](Self::import_reader), and when the file cannot be opened.
    pub fn import_file(&self, path: &ExternalPath) -> Result<Imported> {
        self.import_file_with(path, ImportOptions::default(), &mut unwatched)
    }

    /// As [`import_file`](Self::import_file), in some other way.
    ///
    /// # Errors
    /// Likewise, and as [`import_reader_with`](Self::import_reader_with).
    pub fn import_file_with(
        &self,
        path: &ExternalPath,
        options: ImportOptions,
        watch: &mut Watch<'_>,
    ) -> Result<Imported> {
        self.import_one(|batch| batch.import_file_with(path, options, watch))
    }

    /// Imports a file outside the store by reference: only its outboard and its path are kept. When the
    /// file changes later, reading says so.
    ///
    /// # Errors
    /// As [`import_file`](Self::import_file); [`Error::SourceChanged`] when it changed while it was hashed.
    pub fn import_reference(&self, path: &ExternalPath) -> Result<Imported> {
        self.import_reference_with(path, ImportOptions::default(), &mut unwatched)
    }

    /// As [`import_reference`](Self::import_reference), in some other way.
    ///
    /// # Errors
    /// Likewise, and as [`import_reader_with`](Self::import_reader_with).
    pub fn import_reference_with(
        &self,
        path: &ExternalPath,
        options: ImportOptions,
        watch: &mut Watch<'_>,
    ) -> Result<Imported> {
        self.import_one(|batch| batch.import_reference_with(path, options, watch))
    }

    /// Starts a batch of imports that share directory syncs.
    #[must_use]
    pub fn batch(&self) -> Batch<'_, B> {
        Batch::new(&self.inner)
    }

    fn import_one(
        &self,
        stage: impl FnOnce(&mut Batch<'_, B>) -> Result<(Hash, u64)>,
    ) -> Result<Imported> {
        let mut batch = self.batch();
        let (hash, _) = stage(&mut batch)?;
        // A commit returns one result an import, and there was one.
        batch.commit()?.pop().ok_or(Error::NotFound(hash))
    }
}
