//! What a batch of imports has to publish, and what it need not.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use crate::{
    Backend, BackendError, Error, ExternalPath, FileName, Hash, PathSet, ReadAt, Result,
    index::Entry,
    io::write_all_at,
    store::{Inner, Novelty, Stage, batch::Pending, shared},
};

/// The files of a batch that are published together.
pub(super) struct Publication<'a, B: Backend> {
    files: Vec<Ready<'a, B>>,
    /// Lists of external paths, and whether they have to be written.
    paths: BTreeMap<Hash, (PathSet, bool)>,
    /// Blobs whose data are among the files.
    owned: BTreeSet<Hash>,
}

/// A file that is ready for its final name.
struct Ready<'a, B: Backend> {
    stage: Stage<'a, B>,
    to: FileName,
    flag: Entry,
    /// The partial name that it has until then.
    from: Option<FileName>,
}

impl<B: Backend> Default for Publication<'_, B> {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            paths: BTreeMap::new(),
            owned: BTreeSet::new(),
        }
    }
}

impl<'a, B: Backend> Publication<'a, B> {
    /// Decides what an import needs, and notes its external path.
    pub(super) fn add(&mut self, inner: &Inner<B>, import: &Pending<'_, B>) -> Result<Novelty> {
        let hash = import.hash;
        let entry = inner.kernel.state().index.get(hash);
        let had = if entry.is_complete() {
            Novelty::Replaced
        } else {
            Novelty::New
        };
        let proved = inner.is_proved(hash, import.size);
        let Some(path) = &import.reference else {
            let again = !self.owned.insert(hash);
            return Ok(if proved || again { Novelty::Known } else { had });
        };
        let (paths, changed) = match self.paths.entry(hash) {
            btree_map::Entry::Occupied(known) => known.into_mut(),
            btree_map::Entry::Vacant(new) => new.insert((inner.known_paths(hash, entry)?, false)),
        };
        let is_known = !paths.insert(path) && proved;
        *changed |= !is_known;
        Ok(if is_known { Novelty::Known } else { had })
    }

    /// Notes an external path of a blob, also where it is known: its list is written anew.
    pub(super) fn add_path(
        &mut self,
        inner: &Inner<B>,
        hash: Hash,
        path: &ExternalPath,
    ) -> Result<()> {
        let entry = inner.kernel.state().index.get(hash);
        let mut paths = inner.known_paths(hash, entry)?;
        paths.insert(path);
        self.paths.insert(hash, (paths, true));
        Ok(())
    }

    /// Adds a file, if there is one.
    pub(super) fn push(&mut self, stage: Option<Stage<'a, B>>, name: FileName, flag: Entry) {
        if let Some(stage) = stage {
            self.files.push(Ready {
                stage,
                to: name,
                flag,
                from: None,
            });
        }
    }

    /// Adds a partial file that is whole.
    pub(super) fn push_partial(
        &mut self,
        stage: Stage<'a, B>,
        from: FileName,
        to: FileName,
        flag: Entry,
    ) {
        let from = Some(from);
        self.files.push(Ready {
            stage,
            to,
            flag,
            from,
        });
    }

    /// Adds the lists of external paths that changed.
    pub(super) fn push_paths(&mut self, inner: &'a Inner<B>) -> Result<()> {
        for (hash, (paths, changed)) in std::mem::take(&mut self.paths) {
            if !changed {
                continue;
            }
            let stage = inner.stage_paths(hash, &paths)?;
            self.push(Some(stage), FileName::Paths(hash), Entry::PATHS);
        }
        Ok(())
    }

    /// Publishes, and tells the index what is there: also after an error, as far as it is known.
    pub(super) fn run(self, inner: &Inner<B>) -> Result<()> {
        if self.files.is_empty() {
            return Ok(());
        }
        // What is refused is discarded with its stages.
        inner.kernel.check_writable()?;
        let mut batch = Vec::new();
        let mut names = Vec::new();
        for ready in self.files {
            if let (Some(staged), Some(hash)) = (ready.stage.into_inner(), ready.to.hash()) {
                batch.push((staged, ready.to));
                names.push((hash, ready.flag, ready.from));
            }
        }
        let _publishing = shared(&inner.publishing);
        let outcome = inner.backend.publish(batch);
        let (done, unknown) = match &outcome {
            Ok(()) => (names.len(), 0),
            Err(error) => (error.done, error.unknown),
        };
        let unsure = names.split_off(done.min(names.len()));
        // What was there as a part goes on being read, under the name that it has.
        let moved = unsure.into_iter().take(unknown);
        names.extend(
            moved.filter(|(hash, flag, from)| inner.has_moved(*hash, *flag, from.as_ref())),
        );
        let mut published: BTreeMap<Hash, Entry> = BTreeMap::new();
        for (hash, flag, _) in &names {
            let entry = published.entry(*hash).or_default();
            *entry = entry.with(*flag);
        }
        {
            let mut state = inner.kernel.state();
            for name in names.iter().filter_map(|(_, _, from)| from.as_ref()) {
                state.index.remove(name);
            }
            for (hash, new) in published {
                let entry = state.index.get(hash).published(new);
                state.index.set(hash, entry);
            }
        }
        inner.checked(outcome)?;
        // What another thread's failed sync may have taken along is not acknowledged.
        inner.kernel.check_writable()
    }
}

impl<B: Backend> Inner<B> {
    /// Whether a file that had a partial name has its final one, as far as that can be told.
    fn has_moved(&self, hash: Hash, flag: Entry, from: Option<&FileName>) -> bool {
        let to = match flag.has(Entry::DATA) {
            true => FileName::Data(hash),
            false => FileName::Outboard(hash),
        };
        let Some(from) = from else {
            return false;
        };
        let is_gone = matches!(self.backend.open(from), Ok(None));
        is_gone && matches!(self.backend.open(&to), Ok(Some(_)))
    }

    fn stage_paths(&self, hash: Hash, paths: &PathSet) -> Result<Stage<'_, B>> {
        let name = FileName::Paths(hash);
        let bytes = paths.encode().map_err(|source| Error::Paths {
            file: name.clone(),
            source,
        })?;
        let mut stage = self.stage(|uuid| FileName::PathsTemp(hash, uuid))?;
        write_all_at(stage.file(), &bytes, 0).map_err(BackendError::io("write", &name))?;
        Ok(stage)
    }

    /// Replaces a blob's list of external paths. The caller holds `path_writer`.
    pub(super) fn publish_paths(&self, hash: Hash, paths: &PathSet) -> Result<()> {
        let mut publication = Publication::default();
        let stage = self.stage_paths(hash, paths)?;
        publication.push(Some(stage), FileName::Paths(hash), Entry::PATHS);
        publication.run(self)
    }

    /// The external paths of a blob. A list that cannot be read holds nothing that could be lost: a new
    /// one, with a path that was just proved, replaces it.
    fn known_paths(&self, hash: Hash, entry: Entry) -> Result<PathSet> {
        if !entry.has(Entry::PATHS) {
            return Ok(PathSet::default());
        }
        match self.read_paths(hash) {
            Ok(paths) => Ok(paths.unwrap_or_default()),
            Err(Error::Paths { .. }) => Ok(PathSet::default()),
            // Not damage: what it lists would be lost.
            Err(error) => Err(error),
        }
    }

    /// Whether owned data are there that were proved in this opening, and survive a power loss.
    pub(super) fn is_proved(&self, hash: Hash, size: u64) -> bool {
        if !self.kernel.state().index.get(hash).has(Entry::VERIFIED) {
            return false;
        }
        // The index is a cache: another program may have removed the file.
        let file = self.backend.open(&FileName::Data(hash)).ok().flatten();
        file.is_some_and(|file| file.size().is_ok_and(|found| found == size))
    }
}
