//! Which files there are: a fold over the listing. A cache, never the authority; a few dozen bytes a blob.

use std::{collections::BTreeMap, ops::RangeFrom};

use crate::{EntryKind, FileName, Hash, Uuid};

/// What is known of one blob's complete files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Entry(u8);

impl Entry {
    /// `H.data` is there.
    pub(crate) const DATA: Self = Self(1);
    /// `H.obao4` is there.
    pub(crate) const OUTBOARD: Self = Self(2);
    /// `H.paths` is there.
    pub(crate) const PATHS: Self = Self(4);
    /// All of those.
    pub(crate) const FILES: Self = Self(1 | 2 | 4);
    /// All its files are known to survive a power loss.
    pub(crate) const DURABLE: Self = Self(8);
    /// The owned data are there, were proved in this opening, and survive a power loss.
    pub(crate) const VERIFIED: Self = Self(16);
    /// Something in the blob's homes was found damaged in this opening: quarantined.
    pub(crate) const DAMAGED: Self = Self(32);

    pub(crate) const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub(crate) const fn with(self, flag: Self) -> Self {
        Self(self.0 | flag.0)
    }

    pub(crate) const fn without(self, flag: Self) -> Self {
        Self(self.0 & !flag.0)
    }

    /// The files alone.
    pub(crate) const fn files(self) -> Self {
        Self(self.0 & Self::FILES.0)
    }

    /// Whether the blob counts as complete: by name, its bytes have not been looked at.
    pub(crate) const fn is_complete(self) -> bool {
        self.has(Self(Self::DATA.0 | Self::PATHS.0))
    }

    /// This entry after the files `new` were published, whole and durable.
    pub(crate) const fn published(self, new: Self) -> Self {
        let others = self.without(new).0 & Self::FILES.0;
        let durable = others == 0 || self.has(Self::DURABLE);
        let mut merged = self.with(new);
        if durable {
            merged = merged.with(Self::DURABLE);
        }
        if new.has(Self::DATA) {
            merged = merged.with(Self::VERIFIED).without(Self::DAMAGED);
        }
        merged
    }

    const fn of(name: &FileName) -> Option<Self> {
        match name {
            FileName::Data(_) => Some(Self::DATA),
            FileName::Outboard(_) => Some(Self::OUTBOARD),
            FileName::Paths(_) => Some(Self::PATHS),
            _ => None,
        }
    }
}

/// The two files of a partial entry that share a uuid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartialFiles {
    pub(crate) uuid: Uuid,
    pub(crate) data: bool,
    pub(crate) outboard: bool,
}

impl PartialFiles {
    /// Those that are there.
    pub(crate) fn names(self, hash: Hash) -> impl Iterator<Item = FileName> {
        let data = FileName::PartialData(hash, self.uuid);
        let outboard = FileName::PartialOutboard(hash, self.uuid);
        let data = self.data.then_some(data);
        data.into_iter().chain(self.outboard.then_some(outboard))
    }
}

/// All blobs by hash.
#[derive(Debug, Default)]
pub(crate) struct Index {
    blobs: BTreeMap<Hash, Entry>,
    partials: BTreeMap<Hash, Vec<PartialFiles>>,
}

impl Index {
    /// Takes in a listed name. Only regular files count: what else bears such a name is never served.
    pub(crate) fn insert(&mut self, name: &FileName, kind: EntryKind) {
        if kind != EntryKind::File {
            return;
        }
        match name {
            FileName::PartialData(hash, uuid) => self.partial(*hash, *uuid).data = true,
            FileName::PartialOutboard(hash, uuid) => self.partial(*hash, *uuid).outboard = true,
            other => {
                if let (Some(hash), Some(flag)) = (other.hash(), Entry::of(other)) {
                    let entry = self.blobs.entry(hash).or_default();
                    *entry = entry.with(flag);
                }
            }
        }
    }

    fn partial(&mut self, hash: Hash, uuid: Uuid) -> &mut PartialFiles {
        let list = self.partials.entry(hash).or_default();
        let at = list
            .iter()
            .position(|files| files.uuid == uuid)
            .unwrap_or_else(|| {
                list.push(PartialFiles {
                    uuid,
                    data: false,
                    outboard: false,
                });
                list.len() - 1
            });
        &mut list[at]
    }

    /// Forgets a name that is gone.
    pub(crate) fn remove(&mut self, name: &FileName) {
        match name {
            FileName::PartialData(hash, uuid) => {
                self.partial(*hash, *uuid).data = false;
                self.tidy(*hash);
            }
            FileName::PartialOutboard(hash, uuid) => {
                self.partial(*hash, *uuid).outboard = false;
                self.tidy(*hash);
            }
            other => {
                if let (Some(hash), Some(flag)) = (other.hash(), Entry::of(other)) {
                    let left = self.get(hash).without(flag);
                    if left.has(Entry::FILES) {
                        let left = left.without(Entry::VERIFIED);
                        self.blobs.insert(hash, left);
                    } else {
                        self.blobs.remove(&hash);
                    }
                }
            }
        }
    }

    fn tidy(&mut self, hash: Hash) {
        if let Some(list) = self.partials.get_mut(&hash) {
            list.retain(|files| files.data || files.outboard);
            if list.is_empty() {
                self.partials.remove(&hash);
            }
        }
    }

    /// What is known of a blob; nothing when it is not there.
    pub(crate) fn get(&self, hash: Hash) -> Entry {
        self.blobs.get(&hash).copied().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, hash: Hash, entry: Entry) {
        self.blobs.insert(hash, entry);
    }

    /// Changes what is known of a blob that is there.
    pub(crate) fn update(&mut self, hash: Hash, change: impl FnOnce(Entry) -> Entry) {
        if let Some(entry) = self.blobs.get_mut(&hash) {
            *entry = change(*entry);
        }
    }

    pub(crate) fn partials(&self, hash: Hash) -> &[PartialFiles] {
        self.partials.get(&hash).map_or(&[], Vec::as_slice)
    }

    /// Whether there is any data that tags may protect.
    pub(crate) fn has_data(&self) -> bool {
        !self.blobs.is_empty() || !self.partials.is_empty()
    }

    /// The complete files of a blob, in the order in which they are removed: paths, data, outboard. A crash
    /// in between leaves what recovery or the next collection understands.
    pub(crate) fn complete_names(&self, hash: Hash) -> impl Iterator<Item = FileName> {
        let entry = self.get(hash);
        [
            FileName::Paths(hash),
            FileName::Data(hash),
            FileName::Outboard(hash),
        ]
        .into_iter()
        .filter(move |name| Entry::of(name).is_some_and(|flag| entry.has(flag)))
    }

    /// All files of a blob, in the order in which they are removed.
    pub(crate) fn names(&self, hash: Hash) -> Vec<FileName> {
        let partials = self.partials(hash).iter();
        self.complete_names(hash)
            .chain(partials.flat_map(|files| files.names(hash)))
            .collect()
    }

    /// The first hashes after `after`, at most `limit`, with their entries; of complete and partial blobs
    /// alike.
    pub(crate) fn page(&self, after: Option<Hash>, limit: usize) -> Vec<(Hash, Entry)> {
        let first = after.unwrap_or(Hash::from_bytes([0; 32]));
        self.from(first..)
            .filter(|hash| Some(*hash) != after)
            .take(limit)
            .map(|hash| (hash, self.get(hash)))
            .collect()
    }

    /// All hashes from `first` on, complete and partial ones, for a search by prefix.
    pub(crate) fn from(&self, range: RangeFrom<Hash>) -> impl Iterator<Item = Hash> {
        let mut complete = self.blobs.range(range.clone()).map(|(h, _)| *h).peekable();
        let mut partial = self.partials.range(range).map(|(h, _)| *h).peekable();
        std::iter::from_fn(move || match (complete.peek(), partial.peek()) {
            (Some(a), Some(b)) if a == b => {
                partial.next();
                complete.next()
            }
            (Some(a), Some(b)) if a > b => partial.next(),
            (Some(_), _) => complete.next(),
            (None, _) => partial.next(),
        })
    }

    /// All hashes, of complete and partial blobs alike.
    pub(crate) fn all_hashes(&self) -> impl Iterator<Item = Hash> {
        self.from(Hash::from_bytes([0; 32])..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishing_makes_durable_only_what_was_published() {
        let found = Entry::DATA.with(Entry::OUTBOARD);
        assert!(!found.published(Entry::OUTBOARD).has(Entry::DURABLE));
        assert!(!found.published(Entry::PATHS).has(Entry::VERIFIED));
        let replaced = found.published(Entry::DATA.with(Entry::OUTBOARD));
        assert!(replaced.has(Entry::DURABLE) && replaced.has(Entry::VERIFIED));
        let external = Entry::default().published(Entry::PATHS);
        assert!(external.has(Entry::DURABLE) && !external.has(Entry::VERIFIED));
    }

    #[test]
    fn names_go_in_and_out() {
        let mut index = Index::default();
        let (hash, uuid) = (Hash::EMPTY, Uuid::from_bytes([7; 16]));
        let names = [
            FileName::Paths(hash),
            FileName::Data(hash),
            FileName::Outboard(hash),
            FileName::PartialData(hash, uuid),
            FileName::PartialOutboard(hash, uuid),
        ];
        for name in &names {
            index.insert(name, EntryKind::Link);
        }
        assert!(!index.has_data(), "what is not a file does not count");
        for name in names.iter().rev() {
            index.insert(name, EntryKind::File);
        }
        assert_eq!(index.names(hash), names);
        assert_eq!(index.all_hashes().collect::<Vec<_>>(), [hash]);
        for name in &names {
            index.remove(name);
        }
        assert!(!index.has_data());
    }

    #[test]
    fn pages_walk_over_complete_and_partial_blobs_once() {
        let mut index = Index::default();
        let mut all: Vec<Hash> = (0..20_u8).map(|i| Hash::of(&[i])).collect();
        for (i, hash) in all.iter().enumerate() {
            let uuid = Uuid::from_bytes([0; 16]);
            if i % 3 != 0 {
                index.insert(&FileName::Data(*hash), EntryKind::File);
            }
            if i % 3 != 1 {
                index.insert(&FileName::PartialData(*hash, uuid), EntryKind::File);
            }
        }
        all.sort();
        assert_eq!(index.all_hashes().collect::<Vec<_>>(), all);
        let mut seen = Vec::new();
        while let [.., (last, _)] = index.page(seen.last().copied(), 3)[..] {
            seen.extend(index.page(seen.last().copied(), 3).iter().map(|(h, _)| *h));
            assert_eq!(seen.last(), Some(&last));
        }
        assert_eq!(seen, all);
    }
}
