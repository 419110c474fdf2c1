//! What a store takes up, and what its tags add up to.
//!
//! Sizes are claimed ones, the lengths of files: nothing is proved for them. A sum that cannot be told for
//! certain is not told.

use crate::{
    Backend, Error, FileName, Hash, Result,
    index::Entry,
    progress::{Progress, Watch, unwatched},
    store::{Inner, State, Status, Store, Tagged, footprint::Reach, mark::Roots},
};

/// Blobs that are looked at under one lock.
const BATCH: usize = 1024;
/// How many blobs that cannot be measured are told one by one; the others are counted.
const UNMEASURED_TOLD: usize = 1000;

/// What a store takes up. All sizes are in bytes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Usage {
    /// Complete blobs, by the names of their files.
    pub complete: u64,
    /// Partial blobs.
    pub partial: u64,
    /// The lengths of the store's files.
    pub stored: Stored,
    /// The sizes of the blobs whose data lie outside the store only, each counted once.
    pub external: u64,
    /// What the tags add up to; why that is not known when they are missing or damaged.
    pub tagged: Result<Tagged>,
    /// Why files and blobs could not be measured, which no sum counts then. At most a thousand are told.
    pub unmeasured: Vec<Error>,
    /// How many could not be measured.
    pub unmeasured_count: u64,
}

/// The lengths of a store's files, by kind. Leftover temporary files do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// `H.data`.
    pub data: u64,
    /// `H.obao4`.
    pub outboards: u64,
    /// `H.paths`.
    pub paths: u64,
    /// Partial files of both kinds, with their holes.
    pub partials: u64,
    /// `tags.meta`.
    pub tags: u64,
}

impl Stored {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self {
            data,
            outboards,
            paths,
            partials,
            tags,
        } = *self;
        [data, outboards, paths, partials, tags]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    fn add(&mut self, name: &FileName, len: u64) {
        let sum = match name {
            FileName::Data(_) => &mut self.data,
            FileName::Outboard(_) => &mut self.outboards,
            FileName::Paths(_) => &mut self.paths,
            FileName::PartialData(..) | FileName::PartialOutboard(..) => &mut self.partials,
            FileName::Tags => &mut self.tags,
            _ => return,
        };
        *sum = sum.saturating_add(len);
    }
}

impl<B: Backend> Store<B> {
    /// What the store takes up. Every file is measured, and every tagged sequence is read; a few dozen bytes
    /// of memory are used for each blob that is reached, and for each entry of the longest sequence.
    ///
    /// # Errors
    /// What the back end says. What cannot be read or measured is no error: it is told.
    pub fn usage(&self) -> Result<Usage> {
        self.usage_with(&mut unwatched)
    }

    /// As [`usage`](Self::usage), watched.
    ///
    /// # Errors
    /// Likewise; [`Error::Cancelled`] when `watch` says so.
    pub fn usage_with(&self, watch: &mut Watch<'_>) -> Result<Usage> {
        let usage = self.usage_now(watch)?;
        let is_whole = |tagged: &Tagged| tagged.missing == 0 && tagged.unread.is_empty();
        if !self.inner.read_only || usage.tagged.as_ref().is_ok_and(is_whole) {
            return Ok(usage);
        }
        // A writer beside this opening may have replaced what is missing here.
        self.refresh()?;
        self.usage_now(watch)
    }

    fn usage_now(&self, watch: &mut Watch<'_>) -> Result<Usage> {
        // Before the tags, as in a collection: what moves from one to the other is seen at least once.
        let leases = self.inner.kernel.state().leases();
        let mut reach = Reach::new(self);
        let tagged = match self.tags() {
            Ok(tags) => Ok(reach.tags(&tags, watch)?),
            Err(error) => Err(error),
        };
        let held = Roots {
            temporary: leases,
            tags: None,
        };
        let held = match self.inner.mark(&held, watch) {
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            other => other.ok(),
        };
        let mut usage = Usage {
            complete: 0,
            partial: 0,
            stored: Stored::default(),
            external: 0,
            tagged,
            unmeasured: Vec::new(),
            unmeasured_count: 0,
        };
        let is_live = |hash: &Hash| {
            reach.contains(hash) || held.as_ref().is_some_and(|held| held.contains(hash))
        };
        let dead = self.measure_all(&mut usage, is_live, |hash| reach.is_open(hash), watch)?;
        if let Ok(tagged) = &mut usage.tagged {
            let is_told = tagged.unread.is_empty() && held.is_some();
            tagged.reclaimable = is_told.then_some(dead);
        }
        Ok(usage)
    }

    /// Measures every file, and returns the bytes of those that a collection would remove.
    fn measure_all(
        &self,
        usage: &mut Usage,
        is_live: impl Fn(&Hash) -> bool,
        size_is_open: impl Fn(&Hash) -> bool,
        watch: &mut Watch<'_>,
    ) -> Result<u64> {
        let inner = &*self.inner;
        usage.measure(inner, &FileName::Tags);
        let (mut dead, mut seen) = (0_u64, 0);
        let mut after = None;
        loop {
            let page = inner.kernel.state().index.page(after, BATCH);
            let Some((last, _)) = page.last() else {
                return Ok(dead);
            };
            after = Some(*last);
            for (hash, entry) in &page {
                match self.status(*hash) {
                    Status::Present(blob) if blob.state == State::Complete => usage.complete += 1,
                    Status::Present(_) => usage.partial += 1,
                    Status::Missing => {}
                }
                let names = inner.kernel.state().index.names(*hash);
                let lens = names.iter().map(|name| usage.measure(inner, name));
                let bytes = lens.fold(0, u64::saturating_add);
                if !is_live(hash) && !entry.has(Entry::DAMAGED) {
                    dead = dead.saturating_add(bytes);
                }
                let is_external = entry.has(Entry::PATHS) && !entry.has(Entry::DATA);
                if is_external || size_is_open(hash) {
                    match self.claimed_size(*hash) {
                        Ok(size) if is_external => {
                            usage.external = usage.external.saturating_add(size);
                        }
                        Ok(_) => {}
                        Err(error) => usage.unmeasured(error),
                    }
                }
            }
            seen += page.len() as u64;
            if watch(Progress::Marked { blobs: seen }).is_break() {
                return Err(Error::Cancelled);
            }
        }
    }
}

impl Usage {
    /// Counts a file of the store. One that is gone by now has no bytes.
    fn measure<B: Backend>(&mut self, inner: &Inner<B>, name: &FileName) -> u64 {
        match inner.file_len(name) {
            Ok(len) => {
                let len = len.unwrap_or_default();
                self.stored.add(name, len);
                len
            }
            Err(error) => {
                self.unmeasured(error);
                0
            }
        }
    }

    fn unmeasured(&mut self, error: Error) {
        self.unmeasured_count += 1;
        if self.unmeasured.len() < UNMEASURED_TOLD {
            self.unmeasured.push(error);
        }
    }
}
