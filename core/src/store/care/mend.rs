//! The steps of repair. Each leaves a whole store behind it.

use std::{
    io::{self, Read},
    ops::ControlFlow,
};

use crate::{
    Backend, BackendError, EntryKind, Error, FileName, Hash, PathSet, ReadAt, Result, Uuid,
    index::Entry,
    io::{read_full_at, write_all_at},
    kernel::Claim,
    progress::unwatched,
    proof::{Step, Walk},
    store::{
        Batch, ImportOptions, Inner,
        care::{Outcome, exam::Exam, home::HomeExam, mending::dead_paths},
        exclusive, locked, with_uuid,
    },
    tree::{GROUP, GROUP_LEN, PAIR_LEN, group_range},
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

    /// Imports the blob once more, each group from where it is right.
    pub(super) fn rewrite(&self, exam: &Exam<B::Object>) -> Result<Outcome> {
        let options = ImportOptions::default().size(exam.size);
        let mut batch = Batch::new(self).keeping_parts();
        let pieces = Pieces { exam, at: 0 };
        let (hash, _) = batch.import_reader_with(pieces, options, &mut unwatched)?;
        if hash != exam.hash {
            return Ok(Outcome::Changed);
        }
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
        let (uuid, _claim) = {
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
        self.fill(exam, uuid)?;
        self.pair(hash, uuid, exam.size)?;
        Ok(Outcome::Done)
    }

    /// Takes over what other homes have right, among them partial entries that only the outboard with the
    /// final name proves.
    fn fill(&self, exam: &Exam<B::Object>, uuid: Uuid) -> Result<()> {
        let Some(open) = exam.owned().and_then(HomeExam::open) else {
            return Ok(());
        };
        let name = FileName::PartialData(exam.hash, uuid);
        let mut filled: Option<B::Staged> = None;
        let mut bytes = vec![0; GROUP_LEN];
        for group in open.wrong.iter().cloned().flatten() {
            let Some(home) = exam.home_of(group) else {
                continue;
            };
            let range = group_range(group, exam.size);
            // At most a group.
            let len = usize::try_from(range.end - range.start).unwrap_or_default();
            let bytes = &mut bytes[..len];
            let read = read_full_at(&home.object, bytes, range.start);
            if read.map_err(BackendError::io("read", &home.name))? == len {
                let staged = match &mut filled {
                    Some(staged) => staged,
                    None => filled.insert(self.backend.resume(&name)?),
                };
                write_all_at(staged, bytes, range.start)
                    .map_err(BackendError::io("write", &name))?;
            }
        }
        match filled {
            Some(_) => self.checked(self.backend.ensure_durable(std::slice::from_ref(&name))),
            None => Ok(()),
        }
    }

    /// Gives published data a partial name. Nobody fills the entry until it is whole.
    fn take_back(&self, hash: Hash, name: &FileName) -> Result<(Uuid, Claim)> {
        let to = |uuid| FileName::PartialData(hash, uuid);
        let taken = with_uuid(&*self.env.entropy, |uuid| {
            let claim = self.kernel.claim(uuid);
            let claim = claim.ok_or_else(|| BackendError::Exists { name: to(uuid) })?;
            self.backend.demote(name, &to(uuid)).map(|()| (uuid, claim))
        });
        match taken {
            Ok((uuid, claim)) => {
                let mut state = self.kernel.state();
                state.index.remove(name);
                state.index.insert(&to(uuid), EntryKind::File);
                Ok((uuid, claim))
            }
            Err(error) => {
                // As long as it has its old name, it was not given the new one.
                let nothing_done = matches!(self.backend.open(name), Ok(Some(_)));
                if error.poisons() || !nothing_done {
                    self.kernel.poison(&error);
                }
                Err(error)
            }
        }
    }

    pub(super) fn pair_with_final(&self, hash: Hash, uuid: Uuid) -> Result<Outcome> {
        let Some(_claim) = self.kernel.claim(uuid) else {
            // Somebody fills it, and gives it an outboard.
            return Ok(Outcome::Changed);
        };
        let data = FileName::PartialData(hash, uuid);
        let outboard = self.backend.open(&FileName::Outboard(hash))?;
        let (Some(object), Some(_)) = (self.backend.open(&data)?, outboard) else {
            return Ok(Outcome::Changed);
        };
        let exam = self.examine_partial(hash, &data, object);
        self.pair(hash, uuid, exam.size)?;
        Ok(Outcome::Done)
    }

    /// Makes the outboard of a partial entry out of what the one with the final name proves, which goes then
    /// unless something else needs it.
    fn pair(&self, hash: Hash, uuid: Uuid, size: u64) -> Result<()> {
        let source = self.backend.open(&FileName::Outboard(hash))?;
        let name = FileName::PartialOutboard(hash, uuid);
        let mut stage = self.stage(FileName::Temp)?;
        let io = |e| Error::from(BackendError::io("write", &name)(e));
        write_all_at(stage.file(), &size.to_le_bytes(), 0).map_err(io)?;
        let mut written = Ok(());
        let mut walk = Walk::new(source.as_ref(), size);
        let _ = walk.run(hash, &mut |step| {
            if let Step::Pair(pair) = step {
                written = write_all_at(stage.file(), &pair.bytes, pair.offset);
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
        if source.is_some() {
            self.remove_outboard(hash)?;
        }
        Ok(())
    }

    /// Removes an outboard with the final name, unless it is that of an external home, of data that were
    /// imported meanwhile, or of partial data that have no other.
    pub(super) fn remove_outboard(&self, hash: Hash) -> Result<Outcome> {
        let name = FileName::Outboard(hash);
        let _alone = exclusive(&self.publishing);
        let is_needed = {
            let state = self.kernel.state();
            let mut partials = state.index.partials(hash).iter();
            state.index.get(hash).is_complete()
                || partials.any(|files| files.data && !files.outboard)
        };
        if is_needed {
            return Ok(Outcome::Changed);
        }
        self.checked(self.backend.remove(std::slice::from_ref(&name)))?;
        self.kernel.state().index.remove(&name);
        Ok(Outcome::Done)
    }

    /// Whether a partial entry proves all that an outboard without data does.
    pub(super) fn is_outdone(&self, hash: Hash) -> Result<bool> {
        let name = FileName::Outboard(hash);
        let size = self.outboard_prefix(&name)?;
        let Some(alone) = self.backend.open(&name)? else {
            return Ok(false);
        };
        let partials = self.kernel.state().index.partials(hash).to_vec();
        for files in partials.iter().filter(|files| files.data && files.outboard) {
            let name = FileName::PartialOutboard(hash, files.uuid);
            let Some(other) = self.backend.open(&name)? else {
                continue;
            };
            let mut has_all = size.is_none() || self.outboard_prefix(&name)? == size;
            let mut walk = Walk::new(Some(&alone), size.unwrap_or_default());
            let _ = walk.run(hash, &mut |step| {
                if let Step::Pair(pair) = step {
                    let mut found = [0; PAIR_LEN];
                    let read = read_full_at(&other, &mut found, pair.offset);
                    has_all &= read.is_ok() && found == pair.bytes;
                }
                ControlFlow::Continue(())
            });
            if has_all && walk.failed.is_none() {
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
        if self.stamp_of_paths(hash) != exam.listed {
            // A path may have been proved meanwhile.
            return Ok(Outcome::Changed);
        }
        let left = match self.read_paths(hash) {
            Ok(None) => return Ok(Outcome::Changed),
            Ok(Some(paths)) => paths.without(&dead),
            Err(Error::Paths { .. }) => PathSet::default(),
            Err(error) => return Err(error),
        };
        // What takes their place must survive a power loss as they do.
        self.ensure_durable(&[hash])?;
        if left.is_empty() {
            let _alone = exclusive(&self.publishing);
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

/// The bytes of a blob, each group from a home that has it right.
struct Pieces<'a, O> {
    exam: &'a Exam<O>,
    at: u64,
}

impl<O: ReadAt> Read for Pieces<'_, O> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let group = self.at / GROUP;
        let left = group_range(group, self.exam.size)
            .end
            .saturating_sub(self.at);
        let len = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
        if len == 0 {
            return Ok(0);
        }
        let home = self.exam.home_of(group).ok_or(io::ErrorKind::InvalidData)?;
        let read = read_full_at(&home.object, &mut buf[..len], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
