//! What is there, as far as names tell it.

use crate::{
    Backend, BackendError, Error, FileName, Hash, ReadAt, Result, Tag,
    homes::Homes,
    index::Entry,
    io::read_full_at,
    store::{Inner, Store},
};

/// Entries that a listing takes from the index at once.
const PAGE: usize = 1024;

/// How much of a blob is there, by the names of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// All of it. Its bytes are proved when they are read.
    Complete,
    /// A part of it.
    Partial,
}

/// Where a complete blob's data are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Location {
    /// In the store.
    Owned,
    /// In files outside the store.
    External,
    /// In both.
    Both,
}

/// One blob of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobInfo {
    /// The blob.
    pub hash: Hash,
    /// How much of it is there.
    pub state: State,
    /// Where it is; of a partial blob, in the store.
    pub location: Location,
    /// Whether damage was found in this opening.
    pub damaged: bool,
}

/// What a store has of one blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing that counts as data.
    Missing,
    /// Something.
    Present(BlobInfo),
}

impl<B: Backend> Store<B> {
    /// What the store has of a blob, by the names of its files.
    #[must_use]
    pub fn status(&self, hash: Hash) -> Status {
        let state = self.inner.kernel.state();
        let has_partial = state.index.partials(hash).iter().any(|files| files.data);
        info(hash, state.index.get(hash), has_partial).map_or(Status::Missing, Status::Present)
    }

    /// All blobs in the order of their hashes, without looking into a file. What is added or removed
    /// meanwhile may or may not be seen.
    #[must_use]
    pub fn blobs(&self) -> Blobs<'_, B> {
        Blobs {
            store: self,
            page: Vec::new().into_iter(),
            last: None,
        }
    }

    /// The size that a blob's files *claim*: nothing is proved. For a size that is, ask a
    /// [reader](Self::reader).
    ///
    /// # Errors
    /// [`Error::NotFound`], or what the back end says.
    pub fn claimed_size(&self, hash: Hash) -> Result<u64> {
        self.inner.claimed_size(hash)
    }

    /// The blobs whose hash begins with these hex digits, at most `limit` of them.
    ///
    /// Returns none when `prefix` has other characters than lower-case hex digits, or too many.
    #[must_use]
    pub fn find_prefix(&self, prefix: &str, limit: usize) -> Vec<Hash> {
        let first = format!("{prefix:0<64}");
        let Ok(first) = first.parse::<Hash>() else {
            return Vec::new();
        };
        let state = self.inner.kernel.state();
        let matches = |hash: &Hash| hash.to_string().starts_with(prefix);
        let found = state.index.from(first..).take_while(matches);
        found.take(limit).collect()
    }

    /// The tags that name a blob directly.
    ///
    /// # Errors
    /// As [`tags`](Self::tags).
    pub fn tags_of(&self, hash: Hash) -> Result<Vec<Tag>> {
        let tags = self.tags()?;
        let named = tags.iter().filter(|(_, value)| value.hash == hash);
        Ok(named.map(|(tag, _)| tag.clone()).collect())
    }
}

fn info(hash: Hash, entry: Entry, has_partial: bool) -> Option<BlobInfo> {
    let (state, location) = match (entry.has(Entry::DATA), entry.has(Entry::PATHS)) {
        (true, true) => (State::Complete, Location::Both),
        (true, false) => (State::Complete, Location::Owned),
        (false, true) => (State::Complete, Location::External),
        (false, false) if has_partial => (State::Partial, Location::Owned),
        (false, false) => return None,
    };
    Some(BlobInfo {
        hash,
        state,
        location,
        damaged: entry.has(Entry::DAMAGED),
    })
}

/// The blobs of a store, in the order of their hashes.
#[derive(Debug)]
pub struct Blobs<'a, B: Backend> {
    store: &'a Store<B>,
    page: std::vec::IntoIter<BlobInfo>,
    last: Option<Hash>,
}

impl<B: Backend> Iterator for Blobs<'_, B> {
    type Item = BlobInfo;

    fn next(&mut self) -> Option<BlobInfo> {
        loop {
            if let Some(blob) = self.page.next() {
                return Some(blob);
            }
            let state = self.store.inner.kernel.state();
            let page = state.index.page(self.last, PAGE);
            self.last = Some(page.last()?.0);
            let blobs: Vec<BlobInfo> = page
                .into_iter()
                .filter_map(|(hash, entry)| {
                    let has_partial = state.index.partials(hash).iter().any(|files| files.data);
                    info(hash, entry, has_partial)
                })
                .collect();
            self.page = blobs.into_iter();
        }
    }
}

impl<B: Backend> Inner<B> {
    fn claimed_size(&self, hash: Hash) -> Result<u64> {
        let entry = self.kernel.state().index.get(hash);
        if entry.has(Entry::DATA) {
            let name = FileName::Data(hash);
            if let Some(file) = self.backend.open(&name)? {
                return file
                    .size()
                    .map_err(|e| BackendError::io("measure", name)(e).into());
            }
        }
        if entry.has(Entry::OUTBOARD)
            && let Some(size) = self.outboard_prefix(&FileName::Outboard(hash))?
        {
            return Ok(size);
        }
        if entry.has(Entry::PATHS) {
            return self.external_size(hash, entry);
        }
        let partials = self.kernel.state().index.partials(hash).to_vec();
        for files in partials.into_iter().filter(|files| files.outboard) {
            let name = FileName::PartialOutboard(hash, files.uuid);
            if let Some(size) = self.outboard_prefix(&name)? {
                return Ok(size);
            }
        }
        Err(Error::NotFound(hash))
    }

    /// The size of the first external home that opens.
    fn external_size(&self, hash: Hash, entry: Entry) -> Result<u64> {
        let homes = Homes::new(hash, entry.without(Entry::DATA));
        let mut failed = None;
        let home = homes
            .get(self, 0, &mut failed)
            .ok_or_else(|| homes.failure(failed))?;
        Ok(home
            .object
            .size()
            .map_err(BackendError::io("measure", &home.name))?)
    }

    /// The size that an outboard claims; `None` when the file is gone or shorter than that.
    pub(crate) fn outboard_prefix(&self, name: &FileName) -> Result<Option<u64>> {
        let Some(file) = self.backend.open(name)? else {
            return Ok(None);
        };
        let mut prefix = [0; 8];
        let read = read_full_at(&file, &mut prefix, 0).map_err(BackendError::io("read", name))?;
        Ok((read == prefix.len()).then(|| u64::from_le_bytes(prefix)))
    }
}
