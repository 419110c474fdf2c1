//! The two files of a partial entry that is being filled.

use std::io;

use crate::{
    Backend, BackendError, FileName, Hash, ReadAt, Result, WriteAt,
    index::Entry,
    io::{WRITE_PIECE, write_all_at},
    kernel::Claim,
    store::{Inner, Stage, publication::Publication},
    tree::{GROUP, outboard_len},
};

/// Its files, and what is not written to them yet.
pub(super) struct Files<B: Backend> {
    pub(super) claim: Claim,
    pub(super) data: B::Staged,
    pub(super) outboard: B::Staged,
    /// What is not written yet.
    pub(super) data_run: Run,
    pub(super) pair_run: Run,
    /// Whether they were made here.
    pub(super) is_new: bool,
}

impl<B: Backend> Files<B> {
    pub(super) fn new(claim: Claim, data: B::Staged, outboard: B::Staged) -> Self {
        Self {
            claim,
            data,
            outboard,
            data_run: Run::default(),
            pair_run: Run::default(),
            is_new: false,
        }
    }

    /// Removes an entry that has nothing.
    pub(super) fn discard(self, inner: &Inner<B>, hash: Hash) {
        let uuid = self.claim.uuid();
        let gone = [
            (self.data, FileName::PartialData(hash, uuid)),
            (self.outboard, FileName::PartialOutboard(hash, uuid)),
        ];
        for (staged, name) in gone {
            if inner.backend.discard(staged).is_ok() {
                inner.kernel.state().index.remove(&name);
            }
        }
    }

    pub(super) fn publish(self, inner: &Inner<B>, hash: Hash, size: u64) -> Result<()> {
        let uuid = self.claim.uuid();
        let (data_name, outboard_name) = (
            FileName::PartialData(hash, uuid),
            FileName::PartialOutboard(hash, uuid),
        );
        let mut data = self.data;
        cut(&mut data, size).map_err(BackendError::io("cut", &data_name))?;
        let mut outboard = Some(self.outboard);
        let mut publication = Publication::default();
        if size > GROUP
            && let Some(mut outboard) = outboard.take()
        {
            cut(&mut outboard, outboard_len(size))
                .map_err(BackendError::io("cut", &outboard_name))?;
            publication.push_partial(
                Stage::partial(&inner.backend, outboard),
                outboard_name.clone(),
                FileName::Outboard(hash),
                Entry::OUTBOARD,
            );
        }
        publication.push_partial(
            Stage::partial(&inner.backend, data),
            data_name,
            FileName::Data(hash),
            Entry::DATA,
        );
        publication.run(inner)?;
        // A blob of one group has no outboard. One that stays is removed when the store is opened.
        if let Some(outboard) = outboard
            && inner.backend.discard(outboard).is_ok()
        {
            inner.kernel.state().index.remove(&outboard_name);
        }
        Ok(())
    }
}

/// Bytes behind the end belong to no blob. Where some are missing, publishing says so.
fn cut(file: &mut (impl ReadAt + WriteAt), len: u64) -> io::Result<()> {
    match file.size()? > len {
        true => file.set_len(len),
        false => Ok(()),
    }
}

/// Bytes that stand one after the other, gathered before they are written.
#[derive(Default)]
pub(super) struct Run {
    at: u64,
    bytes: Vec<u8>,
    /// Whether anything of it has reached the file.
    pub(super) has_written: bool,
}

impl Run {
    /// Whether it goes on here. Otherwise it has to be flushed first.
    pub(super) fn takes(&self, at: u64) -> bool {
        let goes_on = self.at + self.bytes.len() as u64 == at && self.bytes.len() < WRITE_PIECE;
        goes_on || self.bytes.is_empty()
    }

    pub(super) fn put(&mut self, at: u64, bytes: &[u8]) {
        if self.bytes.is_empty() {
            self.at = at;
        }
        self.bytes.extend(bytes);
    }

    pub(super) fn flush(&mut self, file: &mut impl WriteAt) -> io::Result<()> {
        write_all_at(file, &self.bytes, self.at)?;
        self.has_written |= !self.bytes.is_empty();
        self.at += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }
}
