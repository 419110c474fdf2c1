//! Export: blobs become files outside the store. No damaged blob ever bears the name of a whole one, and no
//! blob is without a home for a moment.

use std::{io, ops::ControlFlow};

use crate::{
    Backend, BackendError, BlobReader, Error, ExternalPath, FileName, Hash, Result, WriteAt,
    beside::piece,
    homes::Home,
    index::Entry,
    io::{WRITE_PIECE, write_all_at},
    progress::{Progress, Watch, unwatched},
    store::{
        ImportOptions, Inner, Store, exclusive,
        hashing::{Buffers, Hashing},
        locked,
        publication::Publication,
        with_uuid,
    },
};

/// Bytes that are verified at once; see [`piece`].
const READ_PIECE: usize = 512 * 1024;
/// The size in bytes from which on data are moved out, as the peer has it.
const MOVE_THRESHOLD: u64 = 128 * 1024;

/// What becomes of the blob when it is exported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExportMode {
    /// It stays as it is; the file is a copy.
    #[default]
    Copy,
    /// The store refers to the file. It keeps no data of its own where they reach the threshold, unless
    /// nobody holds the lock, without which nothing is taken away.
    Reference,
    /// The store forgets it. Only what nothing reaches is forgotten.
    Forget,
}

/// How a blob is exported.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ExportOptions {
    /// What becomes of the blob.
    pub mode: ExportMode,
    /// Whether a regular file that is there already is replaced.
    pub replace: bool,
    /// The size in bytes from which on data leave the store in an export by reference; 128 KiB unless told.
    pub threshold: u64,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            mode: ExportMode::default(),
            replace: false,
            threshold: MOVE_THRESHOLD,
        }
    }
}

impl ExportOptions {
    /// These options with another mode.
    #[must_use]
    pub fn mode(mut self, mode: ExportMode) -> Self {
        self.mode = mode;
        self
    }

    /// These options, replacing a file that is there or not.
    #[must_use]
    pub fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// These options with another threshold, in bytes.
    #[must_use]
    pub fn threshold(mut self, threshold: u64) -> Self {
        self.threshold = threshold;
        self
    }
}

/// A blob that is in a file outside the store, whole and durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// The blob.
    pub hash: Hash,
    /// Its bytes.
    pub size: u64,
    /// How they came out.
    pub method: ExportMethod,
    /// Whether the store refers to the file.
    pub referenced: bool,
}

/// How the bytes of a blob came out of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportMethod {
    /// They were written once more.
    Copied,
    /// The store's own file was given away.
    Moved,
}

impl<B: Backend> Store<B> {
    /// Writes a copy of a blob to a file outside the store, under a granted root. The file appears under its
    /// name when all of it is verified, and its directories are made; what is there is never replaced.
    ///
    /// # Errors
    /// As [`reader`](Self::reader), before anything is touched outside. [`Error::Corrupt`] when damage is
    /// found on the way; [`BackendError::Taken`] when the target exists; what the back end says of the place.
    pub fn export(&self, hash: Hash, path: &ExternalPath) -> Result<Exported> {
        self.export_with(hash, path, ExportOptions::default(), &mut unwatched)
    }

    /// As [`export`](Self::export), in some other way.
    ///
    /// An export by reference gives away the store's own file where the medium can, once every byte of it is
    /// verified: file and blob share their bytes from then on until the store has taken its name away, also
    /// when that fails. Data below the threshold stay, and so do external files.
    ///
    /// # Errors
    /// Likewise; [`Error::Cancelled`] when `watch` says so. Other modes than a copy need a store that can be
    /// written. Where the export fails after the file has its name, the store has what it had before.
    /// [`ExportMode::Forget`] fails as [`delete`](Self::delete) does, before anything is written.
    pub fn export_with(
        &self,
        hash: Hash,
        path: &ExternalPath,
        options: ExportOptions,
        watch: &mut Watch<'_>,
    ) -> Result<Exported> {
        match options.mode {
            ExportMode::Copy => {
                let reader = self.reader_with(hash, watch)?;
                self.inner.check_target(path, options.replace)?;
                let out = self.inner.copy_out(&reader, path, watch)?;
                out.release(options.replace)
            }
            ExportMode::Reference => self.export_reference(hash, path, options, watch),
            ExportMode::Forget => self.export_forget(hash, path, options, watch),
        }
    }

    fn export_reference(
        &self,
        hash: Hash,
        path: &ExternalPath,
        options: ExportOptions,
        watch: &mut Watch<'_>,
    ) -> Result<Exported> {
        let inner = &*self.inner;
        inner.kernel.check_writable()?;
        let _held = inner.hold(hash);
        let out = self.move_out(hash, path, options, watch)?;
        let exported = out.release(options.replace)?;
        inner.refer_to(hash, path)?;
        if exported.size >= options.threshold && inner.may_delete {
            inner.check_home(path, &exported)?;
            inner.give_away(hash)?;
        }
        Ok(Exported {
            referenced: true,
            ..exported
        })
    }

    fn export_forget(
        &self,
        hash: Hash,
        path: &ExternalPath,
        options: ExportOptions,
        watch: &mut Watch<'_>,
    ) -> Result<Exported> {
        self.check_delete(hash)?;
        let out = self.move_out(hash, path, options, watch)?;
        let exported = out.release(options.replace)?;
        match self.delete(hash, false) {
            // Whoever else has removed it meanwhile has forgotten it as well.
            Err(Error::NotFound(_)) | Ok(_) => Ok(exported),
            Err(error) => Err(error),
        }
    }

    /// The blob on its way out: the store's own file where it is large enough and proves right, else a copy.
    fn move_out(
        &self,
        hash: Hash,
        path: &ExternalPath,
        options: ExportOptions,
        watch: &mut Watch<'_>,
    ) -> Result<Out<'_, B>> {
        let inner = &*self.inner;
        let reader = self.reader_with(hash, watch)?;
        let size = reader.proven_size()?;
        inner.check_target(path, options.replace)?;
        let is_owned = inner.kernel.state().index.get(hash).has(Entry::DATA);
        if is_owned
            && inner.may_delete
            && size >= options.threshold
            && let Some(out) = inner.link_out(hash, size, path, watch)?
        {
            return Ok(out);
        }
        inner.copy_out(&reader, path, watch)
    }
}

impl<B: Backend> Inner<B> {
    /// Tells of a target that is taken before all the work is done. The release looks again.
    fn check_target(&self, path: &ExternalPath, replace: bool) -> Result<()> {
        match self.backend.external(path) {
            Ok(_) if replace => Ok(()),
            Ok(_) => Err(BackendError::Taken { path: path.clone() }.into()),
            Err(
                error @ (BackendError::NotGranted { .. }
                | BackendError::InsideStore { .. }
                | BackendError::NotAFile { .. }),
            ) => Err(error.into()),
            // Most often there is nothing yet.
            Err(_) => Ok(()),
        }
    }

    /// Writes a verified copy.
    fn copy_out(
        &self,
        reader: &BlobReader<B>,
        path: &ExternalPath,
        watch: &mut Watch<'_>,
    ) -> Result<Out<'_, B>> {
        let size = reader.proven_size()?;
        let file = with_uuid(&*self.env.entropy, |uuid| {
            self.backend.stage_out(path, uuid)
        })?;
        let mut out = Out {
            backend: &self.backend,
            file: Some(file),
            exported: Exported {
                hash: reader.hash(),
                size,
                method: ExportMethod::Copied,
                referenced: false,
            },
        };
        if size >= MOVE_THRESHOLD && self.share_out(&mut out, watch)? {
            return Ok(out);
        }
        let mut buf = vec![0; piece(READ_PIECE)];
        let mut at = 0;
        loop {
            let mut written = Ok(());
            let from = at;
            reader.pass(&mut buf, from, &mut |bytes| {
                for bytes in bytes.chunks(WRITE_PIECE) {
                    written = out.write(bytes, at);
                    if written.is_err() {
                        return ControlFlow::Break(());
                    }
                    at += bytes.len() as u64;
                }
                ControlFlow::Continue(())
            })?;
            written.map_err(BackendError::io("write", path))?;
            if at == from {
                return Ok(out);
            }
            if watch(Progress::Exported {
                bytes: at,
                total: size,
            })
            .is_break()
            {
                return Err(Error::Cancelled);
            }
        }
    }

    /// The store's own file, under a second name outside, proved from its first byte to its last. `None` where
    /// it cannot be had, or is not right: another home may have what this one has lost.
    fn link_out(
        &self,
        hash: Hash,
        size: u64,
        path: &ExternalPath,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Out<'_, B>>> {
        // A sync that fails outside must find nothing that the store could lose by it.
        match self.ensure_durable(&[hash]) {
            Err(Error::Backend(BackendError::Missing { .. })) => return Ok(None),
            outcome => outcome?,
        }
        let name = FileName::Data(hash);
        let linked = with_uuid(&*self.env.entropy, |uuid| {
            self.backend.link_out(&name, path, uuid)
        })?;
        let Some(file) = linked else {
            return Ok(None);
        };
        let out = Out {
            backend: &self.backend,
            file: Some(file),
            exported: Exported {
                hash,
                size,
                method: ExportMethod::Moved,
                referenced: false,
            },
        };
        Ok(self.proves(&out, watch)?.then_some(out))
    }

    /// Makes the file on its way out share the bytes of the store's own, where the medium can, and proves them there.
    /// Otherwise it is as empty as it was: another home may have what this one has lost.
    fn share_out(&self, out: &mut Out<'_, B>, watch: &mut Watch<'_>) -> Result<bool> {
        let Some(own) = self.backend.open(&FileName::Data(out.exported.hash))? else {
            return Ok(false);
        };
        let Some(file) = &mut out.file else {
            return Ok(false);
        };
        let cannot = |e| Error::from(BackendError::io("copy", "the exported data")(e));
        if !self.backend.share_out(&own, file).map_err(cannot)? {
            return Ok(false);
        }
        if self.proves(out, watch)? {
            return Ok(true);
        }
        if let Some(file) = &mut out.file {
            file.set_len(0).map_err(cannot)?;
        }
        Ok(false)
    }

    /// Whether the file on its way out has the bytes of the blob, read from the first to the last.
    fn proves(&self, out: &Out<'_, B>, watch: &mut Watch<'_>) -> Result<bool> {
        let Exported { hash, size, .. } = out.exported;
        let options = ImportOptions::default().size(size);
        let mut hashing = Hashing::new(self, options).without_outboard();
        let mut exported = |step| match step {
            Progress::Imported { bytes, .. } => watch(Progress::Exported { bytes, total: size }),
            other => watch(other),
        };
        let Some(file) = &out.file else {
            return Ok(false);
        };
        let hashed = hashing
            .over(file, &mut Buffers::default(), &mut exported)
            .and_then(|()| hashing.finish());
        match hashed {
            Ok((hashed, _)) => Ok(hashed.hash == hash),
            Err(Error::Cancelled) => Err(Error::Cancelled),
            Err(_) => Ok(false),
        }
    }

    /// Adds the path to those of the blob, durably.
    fn refer_to(&self, hash: Hash, path: &ExternalPath) -> Result<()> {
        let _writer = locked(&self.path_writer);
        let mut publication = Publication::default();
        publication.add_path(self, hash, path)?;
        publication.push_paths(self)?;
        publication.run(self)
    }

    /// Whether the path leads to the blob, by the way in which it will be read: to the very file that was given
    /// away, or to a copy, which is read once more.
    fn check_home(&self, path: &ExternalPath, exported: &Exported) -> Result<()> {
        let found = self.backend.external(path)?;
        let id = |object: &B::Object| self.backend.stamp(object).ok()?.id;
        let is_own = exported.method == ExportMethod::Moved
            && self
                .backend
                .open(&FileName::Data(exported.hash))?
                .is_some_and(|own| id(&own).is_some() && id(&own) == id(&found));
        if is_own {
            return Ok(());
        }
        let home = Home {
            name: path.to_string(),
            object: found,
            is_partial: false,
        };
        match self.hash_home(&home, false, &mut unwatched) {
            Ok((hashed, _)) if hashed.hash == exported.hash => Ok(()),
            Ok(_) => Err(Error::SourceChanged { path: home.name }),
            Err(error) => Err(error),
        }
    }

    /// Removes the store's own data of a blob that has another home. The outboard stays.
    fn give_away(&self, hash: Hash) -> Result<()> {
        let name = FileName::Data(hash);
        let _alone = exclusive(&self.publishing);
        self.kernel.check_writable()?;
        if !self.kernel.state().index.get(hash).has(Entry::DATA) {
            return Ok(());
        }
        let outcome = self.backend.remove(std::slice::from_ref(&name));
        let is_gone = match &outcome {
            Ok(()) => true,
            Err(error) => error.done + error.unknown > 0,
        };
        if is_gone {
            self.kernel.state().index.remove(&name);
        }
        self.checked(outcome)
    }
}

/// A blob on its way out: discarded unless it is released.
struct Out<'a, B: Backend> {
    backend: &'a B,
    file: Option<B::Outgoing>,
    exported: Exported,
}

impl<B: Backend> Out<'_, B> {
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match &mut self.file {
            Some(file) => write_all_at(file, bytes, offset),
            None => Ok(()),
        }
    }

    /// What fails outside the store leaves no doubt about the store.
    fn release(mut self, replace: bool) -> Result<Exported> {
        if let Some(file) = self.file.take() {
            self.backend.release(file, replace)?;
        }
        Ok(self.exported)
    }
}

impl<B: Backend> Drop for Out<'_, B> {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // The first error is the one to tell; the name says that this is no one's file.
            let _ = self.backend.discard_out(file);
        }
    }
}
