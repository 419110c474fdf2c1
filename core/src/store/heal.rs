//! Outboards are derived from data: a missing or damaged one is made again on first use.

use crate::{
    Backend, FileName, Hash, ReadAt, Result,
    content::Rebuilt,
    homes::Home,
    index::Entry,
    io::read_full_at,
    limits::MAX_REBUILD,
    progress::unwatched,
    store::{ImportOptions, Inner, Stage, import::Hashing},
};

impl<B: Backend> Inner<B> {
    /// Hashes the data of a home. When they hash to the blob's name they are proved, and with them what is
    /// returned; where the store may be written the outboard is published as well.
    pub(crate) fn rebuild_from(
        &self,
        hash: Hash,
        home: &Home<B::Object>,
    ) -> Result<Option<Rebuilt>> {
        if !home.object.size().is_ok_and(|size| size <= MAX_REBUILD) {
            return Ok(None);
        }
        let mut hashing = Hashing::new(self, ImportOptions::default().cap(MAX_REBUILD));
        if self.kernel.check_writable().is_err() {
            hashing = hashing.without_outboard();
        }
        let read = |buf: &mut [u8], at: u64| read_full_at(&home.object, buf, at);
        hashing.run(read, |_, _| Ok(()), &mut unwatched)?;
        let (hashed, outboard) = hashing.finish()?;
        if hashed.hash != hash {
            return Ok(None);
        }
        let is_owned = home.name == FileName::Data(hash).to_string();
        self.publish_outboard(hash, outboard, is_owned);
        Ok(Some(hashed.into()))
    }

    /// Puts a proved outboard into the store. Reading does not depend on it: an error only ends writing
    /// when it leaves the disk in doubt.
    fn publish_outboard(&self, hash: Hash, outboard: Option<Stage<'_, B>>, is_owned: bool) {
        let Some(staged) = outboard else { return };
        // Waits for a deletion under way, and keeps the next one off.
        let _held = self.hold(hash);
        if !self.kernel.state().index.get(hash).is_complete() {
            return;
        }
        let Some(staged) = staged.into_inner() else {
            return;
        };
        let batch = vec![(staged, FileName::Outboard(hash))];
        if self.checked(self.backend.publish(batch)).is_ok() {
            self.kernel.state().index.update(hash, |entry| {
                let entry = entry.published(Entry::OUTBOARD);
                if is_owned {
                    entry.with(Entry::VERIFIED)
                } else {
                    entry
                }
            });
        }
    }
}
