//! The steps of repair. Each leaves a whole store behind it.

use std::{io, ops::ControlFlow, sync::Arc};

use crate::{
    Backend, BackendError, EntryKind, Error, FileName, Hash, PathSet, Result, Uuid,
    index::Entry,
    io::write_all_at,
    progress::unwatched,
    proof::{Step, Walk},
    store::{
        Batch, ImportOptions, Inner,
        care::{Outcome, examine::Exam, home::HomeExam, mending::dead_paths},
        exclusive, locked, with_uuid,
    },
};

impl<B: Backend> Inner<B> {
    pub(super) fn rebuild_outboard(&self, exam: &Exam<B::Object>) -> Result<Outcome> {
        let hash = exam.hash;
        let Some(open) = exam.whole().and_then(HomeExam::open) else {
            return Ok(Outcome::Changed);
        };
        let (hashed, outboard) = self.hash_home(&open.home, true, &mut unwatched)?;
        if hashed.hash != hash {
            return Ok(Outcome::Changed);
        }
        let is_owned = exam.owned().is_some_and(|home| home.is_whole(exam.size));
        self.publish_outboard(hash, outboard, is_owned)?;
        Ok(Outcome::Done)
    }

    /// Imports the blob once more, through a reader that takes each group from where it is right.
    pub(super) fn rewrite(self: &Arc<Self>, exam: &Exam<B::Object>) -> Result<Outcome> {
        let unwatched = &mut unwatched;
        let reader = self.reader(exam.hash, false, unwatched)?;
        let options = ImportOptions::default().size(exam.size);
        let mut batch = Batch::new(self);
        batch.import_reader_with(reader, options, unwatched)?;
        batch.commit()?;
        Ok(Outcome::Done)
    }

    /// The data get a partial name first, and then their outboard: in between the one with the final name
    /// proves them.
    pub(super) fn demote(&self, exam: &Exam<B::Object>) -> Result<Outcome> {
        let hash = exam.hash;
        let name = FileName::Data(hash);
        let Some(open) = exam.owned().and_then(HomeExam::open) else {
            return Ok(Outcome::Changed);
        };
        let uuid = {
            // What an import publishes meanwhile is not what was looked at.
            let _alone = exclusive(&self.publishing);
            self.kernel.check_writable()?;
            let is_same = |now: &B::Object| -> io::Result<bool> {
                Ok(self.backend.stamp(now)? == self.backend.stamp(&open.home.object)?)
            };
            match self.backend.open(&name)? {
                Some(now) if is_same(&now).map_err(BackendError::io("look at", &name))? => {}
                _ => return Ok(Outcome::Changed),
            }
            self.take_back(hash, &name)?
        };
        self.pair(hash, uuid, exam.size)?;
        Ok(Outcome::Done)
    }

    /// Gives published data a partial name.
    fn take_back(&self, hash: Hash, name: &FileName) -> Result<Uuid> {
        let to = |uuid| FileName::PartialData(hash, uuid);
        let taken = with_uuid(&*self.env.entropy, |uuid| {
            self.backend.demote(name, &to(uuid)).map(|()| uuid)
        });
        match taken {
            Ok(uuid) => {
                let mut state = self.kernel.state();
                state.index.remove(name);
                state.index.insert(&to(uuid), EntryKind::File);
                Ok(uuid)
            }
            Err(error) => {
                let nothing_done = matches!(
                    error,
                    Error::Backend(BackendError::Missing { .. } | BackendError::NotAFile { .. })
                        | Error::Entropy(_)
                        | Error::NoFreeName
                );
                if !nothing_done {
                    // The back end does not say whether the file has its old name or the new one.
                    self.kernel.poison(&error);
                }
                Err(error)
            }
        }
    }

    pub(super) fn pair_with_final(&self, hash: Hash, uuid: Uuid) -> Result<Outcome> {
        let data = FileName::PartialData(hash, uuid);
        let Some(object) = self.backend.open(&data)? else {
            return Ok(Outcome::Changed);
        };
        let exam = self.examine_partial(hash, &data, object);
        self.pair(hash, uuid, exam.size)?;
        Ok(Outcome::Done)
    }

    /// Makes the outboard of a partial entry out of what the one with the final name proves, which goes then
    /// unless an external home needs it.
    fn pair(&self, hash: Hash, uuid: Uuid, size: u64) -> Result<()> {
        let source = self.backend.open(&FileName::Outboard(hash))?;
        let name = FileName::PartialOutboard(hash, uuid);
        let mut stage = self.stage(FileName::Temp)?;
        let io = |e| Error::from(BackendError::io("write", &name)(e));
        write_all_at(stage.file(), &size.to_le_bytes(), 0).map_err(io)?;
        let mut written = Ok(());
        let mut walk = Walk::new(source.as_ref(), size);
        let _ = walk.run(hash, &mut |step| {
            if let Step::Pair(offset, pair) = step {
                written = write_all_at(stage.file(), &pair, offset);
            }
            match written {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        written.map_err(io)?;
        if let Some(error) = walk.failed {
            let name = FileName::Outboard(hash);
            return Err(BackendError::io("read", name)(error).into());
        }
        if let Some(staged) = stage.into_inner() {
            self.checked(self.backend.publish(vec![(staged, name.clone())]))?;
            let mut state = self.kernel.state();
            state.index.insert(&name, EntryKind::File);
        }
        if source.is_some() && !self.kernel.state().index.get(hash).is_complete() {
            self.remove_outboard(hash)?;
        }
        Ok(())
    }

    pub(super) fn remove_outboard(&self, hash: Hash) -> Result<Outcome> {
        let name = FileName::Outboard(hash);
        let _alone = exclusive(&self.publishing);
        if self.kernel.state().index.get(hash).is_complete() {
            return Ok(Outcome::Changed);
        }
        self.checked(self.backend.remove(std::slice::from_ref(&name)))?;
        self.kernel.state().index.remove(&name);
        Ok(Outcome::Done)
    }

    /// Whether a partial entry proves all that an outboard without data does.
    pub(super) fn is_outdone(&self, hash: Hash) -> Result<bool> {
        let known = |name: &FileName| -> Result<u64> {
            let (Some(size), Some(file)) = (self.outboard_prefix(name)?, self.backend.open(name)?)
            else {
                return Ok(0);
            };
            let mut known = 0;
            let mut walk = Walk::new(Some(&file), size);
            let _ = walk.run(hash, &mut |step| {
                known += u64::from(matches!(step, Step::Pair(..)));
                ControlFlow::Continue(())
            });
            Ok(known)
        };
        let alone = known(&FileName::Outboard(hash))?;
        let partials = self.kernel.state().index.partials(hash).to_vec();
        for files in partials.iter().filter(|files| files.data && files.outboard) {
            if known(&FileName::PartialOutboard(hash, files.uuid))? >= alone {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn drop_paths(&self, exam: &Exam<B::Object>) -> Result<Outcome> {
        let hash = exam.hash;
        let name = FileName::Paths(hash);
        let dead = dead_paths(exam);
        let _writer = locked(&self.path_writer);
        self.kernel.check_writable()?;
        let left = match self.read_paths(hash) {
            Ok(None) => return Ok(Outcome::Changed),
            Ok(Some(paths)) => paths.without(&dead),
            Err(Error::Paths { .. }) => PathSet::default(),
            Err(error) => return Err(error),
        };
        if left.is_empty() {
            self.checked(self.backend.remove(std::slice::from_ref(&name)))?;
            self.kernel.state().index.remove(&name);
        } else {
            self.publish_paths(hash, &left)?;
        }
        let mut state = self.kernel.state();
        state
            .index
            .update(hash, |entry| entry.without(Entry::DAMAGED));
        Ok(Outcome::Done)
    }
}
