//! What there is of one blob: its files, its homes, and what reaches it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Backend, BackendError, BlobFormat, Error, ExternalPath, FileName, Hash, HashAndFormat, ReadAt,
    Result, Tag, TagMap,
    index::Entry,
    progress::{Progress, Watch, unwatched},
    store::{Inner, Store},
};

/// A place where a complete blob's data may be.
#[derive(Debug)]
#[non_exhaustive]
pub struct HomeInfo {
    /// Which one.
    pub place: Place,
    /// Its length in bytes as the medium tells it, or why it cannot be told. A home of the blob's length may
    /// still be damaged: only reading proves it.
    pub len: Result<u64>,
}

/// Where a home is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// In the store.
    Owned,
    /// Outside, at this path as the blob's list has it; it may be one that is never followed.
    External(String),
    /// At whatever paths the blob's list names, which cannot be read.
    Listed,
}

/// A file of the store that belongs to a blob.
#[derive(Debug)]
#[non_exhaustive]
pub struct FileInfo {
    /// The file.
    pub name: FileName,
    /// Its length in bytes, or why it cannot be told.
    pub len: Result<u64>,
}

/// What keeps a blob, as far as tags do.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Reached {
    /// The tags that reach it, in the order of their names.
    pub by: Vec<ReachedBy>,
    /// Sequences that cannot be read: they may reach it as well.
    pub unread: Vec<UnreadSequence>,
}

/// A tag that reaches a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReachedBy {
    /// The tag.
    pub tag: Tag,
    /// The hash sequence that it names and that lists the blob; `None` when it names the blob itself.
    pub through: Option<Hash>,
}

/// A hash sequence that tags name and that cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub struct UnreadSequence {
    /// The sequence.
    pub hash: Hash,
    /// The tags that name it, in the order of their names.
    pub tags: Vec<Tag>,
    /// Why it cannot be read.
    pub error: Error,
}

impl<B: Backend> Store<B> {
    /// The places where a complete blob's data may be, in the order in which a reader tries them. Each is
    /// opened, and nothing is read from it.
    #[must_use]
    pub fn homes(&self, hash: Hash) -> Vec<HomeInfo> {
        let inner = &*self.inner;
        let entry = inner.kernel.state().index.get(hash);
        let mut homes = Vec::new();
        if entry.has(Entry::DATA) {
            homes.push(HomeInfo {
                place: Place::Owned,
                len: inner.expected_len(FileName::Data(hash)),
            });
        }
        if entry.has(Entry::PATHS) {
            homes.extend(inner.external_homes(hash));
        }
        homes
    }

    /// The files of the store that belong to a blob, complete and partial ones.
    #[must_use]
    pub fn files(&self, hash: Hash) -> Vec<FileInfo> {
        let names = self.inner.kernel.state().index.names(hash);
        let info = |name: FileName| FileInfo {
            len: self.inner.expected_len(name.clone()),
            name,
        };
        names.into_iter().map(info).collect()
    }

    /// The tags that reach a blob: by name, or through a hash sequence. Every sequence that is tagged is
    /// read.
    ///
    /// # Errors
    /// As [`tags`](Self::tags). A sequence that cannot be read is no error: it is told.
    pub fn reached_by(&self, hash: Hash) -> Result<Reached> {
        self.reached_by_with(hash, &mut unwatched)
    }

    /// As [`reached_by`](Self::reached_by), watched.
    ///
    /// # Errors
    /// Likewise; [`Error::Cancelled`] when `watch` says so.
    pub fn reached_by_with(&self, hash: Hash, watch: &mut Watch<'_>) -> Result<Reached> {
        let reached = self.reached_now(hash, watch)?;
        if reached.unread.is_empty() || !self.inner.read_only {
            return Ok(reached);
        }
        // A writer beside this opening may have replaced what is missing here.
        self.refresh()?;
        self.reached_now(hash, watch)
    }

    fn reached_now(&self, hash: Hash, watch: &mut Watch<'_>) -> Result<Reached> {
        let tags = self.tags()?;
        let mut reached = Reached::default();
        let mut listing = BTreeSet::new();
        for (count, (value, names)) in (0..).zip(by_value(&tags).values) {
            if watch(Progress::Marked { blobs: count }).is_break() {
                return Err(Error::Cancelled);
            }
            if value.hash == hash || value.format == BlobFormat::Raw {
                continue;
            }
            let mut lists_it = false;
            let each = |child| lists_it |= child == hash;
            let read = self.inner.for_each_child(value.hash, each);
            if lists_it {
                listing.insert(value.hash);
            }
            if let Err(error) = read {
                reached.unread.push(unread(value.hash, &names, error));
            }
        }
        let by = tags.iter().filter_map(|(tag, value)| {
            let is_it = value.hash == hash;
            let lists_it = value.format == BlobFormat::HashSeq && listing.contains(&value.hash);
            (is_it || lists_it).then(|| ReachedBy {
                tag: tag.clone(),
                through: (!is_it).then_some(value.hash),
            })
        });
        reached.by = by.collect();
        Ok(reached)
    }
}

/// Tags by what they name: however many name a sequence, it is read once.
#[derive(Default)]
pub(super) struct ByValue<'a> {
    /// What they name, each with its tags.
    pub(super) values: Vec<(HashAndFormat, Vec<&'a Tag>)>,
    /// For every tag, in order, where in `values` it is.
    pub(super) places: Vec<usize>,
}

pub(super) fn by_value(tags: &TagMap) -> ByValue<'_> {
    let mut all = ByValue::default();
    let mut places: BTreeMap<HashAndFormat, usize> = BTreeMap::new();
    for (tag, value) in tags {
        let place = *places.entry(*value).or_insert_with(|| {
            all.values.push((*value, Vec::new()));
            all.values.len() - 1
        });
        all.values[place].1.push(tag);
        all.places.push(place);
    }
    all
}

pub(super) fn unread(hash: Hash, tags: &[&Tag], error: Error) -> UnreadSequence {
    UnreadSequence {
        hash,
        tags: tags.iter().map(|tag| (*tag).clone()).collect(),
        error,
    }
}

impl<B: Backend> Inner<B> {
    /// The length of a file of the store; `None` when it is gone.
    pub(super) fn file_len(&self, name: &FileName) -> Result<Option<u64>> {
        let Some(file) = self.backend.open(name)? else {
            return Ok(None);
        };
        let len = file.size().map_err(BackendError::io("measure", name))?;
        Ok(Some(len))
    }

    fn expected_len(&self, name: FileName) -> Result<u64> {
        let len = self.file_len(&name)?;
        Ok(len.ok_or(BackendError::Missing { name })?)
    }

    fn external_homes(&self, hash: Hash) -> Vec<HomeInfo> {
        let listed = |error| HomeInfo {
            place: Place::Listed,
            len: Err(error),
        };
        let name = FileName::Paths(hash);
        let paths = match self.read_paths(hash) {
            Ok(Some(paths)) => paths,
            Ok(None) => return vec![listed(BackendError::Missing { name }.into())],
            Err(error) => return vec![listed(error)],
        };
        let home = |(path, parsed): (&str, Result<_, _>)| HomeInfo {
            place: Place::External(path.to_owned()),
            len: match parsed {
                Ok(parsed) => self.external_len(&parsed),
                Err(source) => Err(Error::Path {
                    path: path.to_owned(),
                    source,
                }),
            },
        };
        paths.iter().map(home).collect()
    }

    fn external_len(&self, path: &ExternalPath) -> Result<u64> {
        let file = self.backend.external(path)?;
        Ok(file.size().map_err(BackendError::io("measure", path))?)
    }
}
