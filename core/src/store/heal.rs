//! Outboards are derived from data: a missing or damaged one is made again on first use.

use crate::{
    Backend, BackendError, Error, FileName, Hash, ReadAt, Result,
    content::{Rebuilt, content_damage},
    hasher::Hashed,
    homes::{Home, Homes},
    index::Entry,
    limits::MAX_REBUILD,
    progress::{Progress, Watch},
    store::{
        ImportOptions, Inner, Stage,
        hashing::{Buffers, Hashing},
        shared,
    },
};

impl<B: Backend> Inner<B> {
    /// Hashes the data of each home until one hashes to the blob's name. They are proved then, and with
    /// them what is returned; where the store may be written the outboard is mended on the way.
    ///
    /// [`Error::NotFound`] when there is no home at all.
    pub(crate) fn rebuild(
        &self,
        hash: Hash,
        homes: &Homes<B::Object>,
        watch: &mut Watch<'_>,
    ) -> Result<Rebuilt> {
        let mut index = 0;
        let mut failed = None;
        while let Some(home) = homes.get(self, index, &mut failed) {
            index += 1;
            if home.is_partial {
                // It could be large and empty.
                continue;
            }
            match self.rebuild_from(hash, &home, homes.mends, watch) {
                Ok(rebuilt) => return Ok(rebuilt),
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(error) => failed = Some(error),
            }
        }
        Err(homes.failure(failed))
    }

    fn rebuild_from(
        &self,
        hash: Hash,
        home: &Home<B::Object>,
        mends: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Rebuilt> {
        let may_write = mends && self.kernel.check_writable().is_ok();
        let (hashed, outboard) = match self.hash_home(home, may_write, watch) {
            // Reading does not depend on room for a new outboard.
            Err(Error::Backend(_) | Error::Entropy(_) | Error::NoFreeName) if may_write => {
                self.hash_home(home, false, watch)
            }
            other => other,
        }
        .map_err(|error| match error {
            Error::Source(e) => Error::Unreadable {
                hash,
                source: BackendError::io("read", &home.name)(e),
            },
            other => other,
        })?;
        if hashed.hash != hash {
            return Err(content_damage(hash, home));
        }
        let is_owned = home.name == FileName::Data(hash).to_string();
        // Reading does not depend on it: an error only ends writing when it leaves the disk in doubt.
        let _ = self.publish_outboard(hash, outboard, is_owned);
        Ok(hashed.into())
    }

    pub(super) fn hash_home(
        &self,
        home: &Home<B::Object>,
        keep_outboard: bool,
        watch: &mut Watch<'_>,
    ) -> Result<(Hashed, Option<Stage<'_, B>>)> {
        let mut hashing = Hashing::new(self, ImportOptions::default().cap(MAX_REBUILD));
        if !keep_outboard {
            hashing = hashing.without_outboard();
        }
        let size = home.object.size().map_err(Error::Source)?;
        if size > MAX_REBUILD {
            return Err(Error::TooLarge { cap: MAX_REBUILD });
        }
        let mut verified = |step| match step {
            Progress::Imported { bytes, .. } => watch(Progress::Verified { bytes, total: size }),
            other => watch(other),
        };
        hashing.over(&home.object, &mut Buffers::default(), &mut verified)?;
        hashing.finish()
    }

    /// Puts a proved outboard into the store.
    pub(super) fn publish_outboard(
        &self,
        hash: Hash,
        outboard: Option<Stage<'_, B>>,
        is_owned: bool,
    ) -> Result<()> {
        let Some(stage) = outboard else {
            return Ok(());
        };
        // Waits for a deletion under way, and keeps the next one off.
        let _held = self.hold(hash);
        self.kernel.check_writable()?;
        if !self.kernel.state().index.get(hash).is_complete() {
            return Err(Error::NotFound(hash));
        }
        let name = FileName::Outboard(hash);
        if let Err(error @ BackendError::NotAFile { .. }) = self.backend.open(&name) {
            // Somebody else's link or FIFO: it stays until they take it away.
            return Err(error.into());
        }
        let Some(staged) = stage.into_inner() else {
            return Ok(());
        };
        let batch = vec![(staged, name)];
        let _publishing = shared(&self.publishing);
        self.checked(self.backend.publish(batch))?;
        self.kernel.state().index.update(hash, |entry| {
            let entry = entry.published(Entry::OUTBOARD);
            // Proved by reading is not enough: what an acknowledged import promises is on the disk.
            if is_owned && entry.has(Entry::DURABLE) {
                entry.with(Entry::VERIFIED)
            } else {
                entry
            }
        });
        Ok(())
    }
}
