//! What every descriptor of the program is.

use std::{collections::BTreeMap, fs::File, sync::Arc};

use wasmtime_wasi::p1::types;

use super::{Result, listing::Listing};

/// Standard input, output and error.
const STANDARD: u32 = 3;

/// All that the program has open.
pub(super) struct Descriptors {
    open: BTreeMap<u32, Open>,
    limit: usize,
}

pub(super) enum Open {
    /// One of the three standard streams.
    Standard,
    File(OpenFile),
    Directory(OpenDir),
}

pub(super) struct OpenFile {
    pub(super) handle: Arc<File>,
    /// Whether the grant lets it be changed, however it was opened.
    pub(super) writable: bool,
}

pub(super) struct OpenDir {
    pub(super) grant: usize,
    /// Whether it is, or is below, one that may be replaced by its name: then anything may be done in it.
    pub(super) is_replaceable: bool,
    pub(super) handle: Arc<File>,
    pub(super) listing: Option<Listing>,
}

impl OpenDir {
    pub(super) fn new(grant: usize, is_replaceable: bool, handle: Arc<File>) -> Self {
        Self {
            grant,
            is_replaceable,
            handle,
            listing: None,
        }
    }
}

impl Descriptors {
    pub(super) fn new(limit: usize) -> Self {
        let open = (0..STANDARD).map(|fd| (fd, Open::Standard)).collect();
        Self { open, limit }
    }

    /// A granted directory gets the next number.
    pub(super) fn add_granted(&mut self, dir: OpenDir) {
        let next = self
            .open
            .last_key_value()
            .map_or(STANDARD, |(last, _)| last + 1);
        self.open.insert(next, Open::Directory(dir));
    }

    pub(super) fn get(&self, fd: types::Fd) -> Result<&Open> {
        self.open
            .get(&fd.into())
            .ok_or_else(|| types::Errno::Badf.into())
    }

    pub(super) fn directory_mut(&mut self, fd: types::Fd) -> Result<&mut OpenDir> {
        match self.open.get_mut(&fd.into()) {
            Some(Open::Directory(dir)) => Ok(dir),
            Some(Open::File(_)) => Err(types::Errno::Notdir.into()),
            Some(Open::Standard) | None => Err(types::Errno::Badf.into()),
        }
    }

    pub(super) fn has_room(&self) -> Result<()> {
        if self.open.len() < self.limit {
            return Ok(());
        }
        Err(types::Errno::Mfile.into())
    }

    pub(super) fn insert(&mut self, fd: types::Fd, open: Open) {
        self.open.insert(fd.into(), open);
    }

    pub(super) fn remove(&mut self, fd: types::Fd) {
        self.open.remove(&fd.into());
    }

    pub(super) fn renumber(&mut self, from: types::Fd, to: types::Fd) {
        if let Some(open) = self.open.remove(&from.into()) {
            self.open.insert(to.into(), open);
        }
    }

    /// Memory that the listings of all directories take, in bytes.
    pub(super) fn listed(&self) -> usize {
        let listings = self.open.values().filter_map(|open| match open {
            Open::Directory(dir) => dir.listing.as_ref(),
            Open::File(_) | Open::Standard => None,
        });
        listings.map(Listing::memory).sum()
    }
}
