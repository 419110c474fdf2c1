//! Which files there are: a fold over the listing. A cache, never the authority; 33 bytes a blob that was listed, and some room between.

use std::{collections::BTreeMap, ops::RangeFrom};

use crate::{EntryKind, FileName, Hash, Uuid, index::listed::Listed};

mod listed;

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
///
/// What a listing found is in sorted vectors; only what comes later is in a tree.
#[derive(Debug, Default)]
pub(crate) struct Index {
    listed: Listed,
    /// Blobs that are not among those.
    added: BTreeMap<Hash, Entry>,
    partials: BTreeMap<Hash, Vec<PartialFiles>>,
}

/// An index in the making: names in any order, as a listing has them.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    listed: Listed,
    /// What else there is: few names.
    others: Index,
}

impl Gathering {
    /// As [`Index::insert`], in constant time.
    pub(crate) fn insert(&mut self, name: &FileName, kind: EntryKind) {
        match (name.hash(), Entry::of(name)) {
            (Some(hash), Some(flag)) if kind == EntryKind::File => self.listed.push(hash, flag),
            _ => self.others.insert(name, kind),
        }
    }

    /// The index of what was inserted.
    pub(crate) fn into_index(mut self) -> Index {
        self.listed.settle();
        Index {
            listed: self.listed,
            ..self.others
        }
    }
}

impl Index {
    /// Takes in a name. Only regular files count: what else bears such a name is never served.
    pub(crate) fn insert(&mut self, name: &FileName, kind: EntryKind) {
        if kind != EntryKind::File {
            return;
        }
        match name {
            FileName::PartialData(hash, uuid) => self.partial(*hash, *uuid).data = true,
            FileName::PartialOutboard(hash, uuid) => self.partial(*hash, *uuid).outboard = true,
            other => {
                if let (Some(hash), Some(flag)) = (other.hash(), Entry::of(other)) {
                    self.set(hash, self.get(hash).with(flag));
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
                    self.forget(hash, flag);
                }
            }
        }
    }

    fn forget(&mut self, hash: Hash, flag: Entry) {
        let left = |entry: Entry| match entry.without(flag) {
            left if left.has(Entry::FILES) => left.without(Entry::VERIFIED),
            _ => Entry::default(),
        };
        if let Some(entry) = self.listed.get_mut(hash) {
            *entry = left(*entry);
        } else if let Some(entry) = self.added.get_mut(&hash) {
            *entry = left(*entry);
            if *entry == Entry::default() {
                self.added.remove(&hash);
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
        let listed = self.listed.get(hash);
        listed.unwrap_or_else(|| self.added.get(&hash).copied().unwrap_or_default())
    }

    pub(crate) fn set(&mut self, hash: Hash, entry: Entry) {
        match self.listed.get_mut(hash) {
            Some(listed) => *listed = entry,
            None => drop(self.added.insert(hash, entry)),
        }
    }

    /// Changes what is known of a blob that is there.
    pub(crate) fn update(&mut self, hash: Hash, change: impl FnOnce(Entry) -> Entry) {
        let entry = self.get(hash);
        if entry != Entry::default() {
            self.set(hash, change(entry));
        }
    }

    pub(crate) fn partials(&self, hash: Hash) -> &[PartialFiles] {
        self.partials.get(&hash).map_or(&[], Vec::as_slice)
    }

    /// All partial blobs with their entries and files.
    pub(crate) fn all_partials(&self) -> impl Iterator<Item = (Hash, Entry, &[PartialFiles])> {
        let partials = self.partials.iter();
        partials.map(|(hash, files)| (*hash, self.get(*hash), &files[..]))
    }

    /// Whether there is any data that tags may protect.
    pub(crate) fn has_data(&self) -> bool {
        self.entries().next().is_some()
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
        self.entries_from(first..)
            .filter(|(hash, _)| Some(*hash) != after)
            .take(limit)
            .collect()
    }

    /// All hashes from `first` on, complete and partial ones, for a search by prefix.
    pub(crate) fn from(&self, range: RangeFrom<Hash>) -> impl Iterator<Item = Hash> {
        self.entries_from(range).map(|(hash, _)| hash)
    }

    /// All hashes with their entries, of complete and partial blobs alike.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Hash, Entry)> {
        self.entries_from(Hash::from_bytes([0; 32])..)
    }

    /// In a box: it is large, and would be there once for each way in which it is used.
    fn entries_from(&self, range: RangeFrom<Hash>) -> Box<dyn Iterator<Item = (Hash, Entry)> + '_> {
        let mut listed = self.listed.from(range.start).peekable();
        let mut added = self.added.range(range.clone()).peekable();
        let mut partials = self.partials.range(range).peekable();
        Box::new(std::iter::from_fn(move || {
            // In a store that was just opened nothing was added, and few blobs are partial.
            if added.peek().is_none() && partials.peek().is_none() {
                return listed.next();
            }
            let heads = [
                listed.peek().map(|(hash, _)| *hash),
                added.peek().map(|(hash, _)| **hash),
                partials.peek().map(|(hash, _)| **hash),
            ];
            let next = heads.into_iter().flatten().min()?;
            // A partial blob may be complete as well; a complete one is in one of the two.
            partials.next_if(|(hash, _)| **hash == next);
            let listed = listed.next_if(|(hash, _)| *hash == next);
            let added = added.next_if(|(hash, _)| **hash == next);
            let listed = listed.map(|(_, entry)| entry);
            let entry = listed.or(added.map(|(_, entry)| *entry));
            Some((next, entry.unwrap_or_default()))
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{listed::tests::alike, *};

    fn hashes(index: &Index) -> impl Iterator<Item = Hash> {
        index.entries().map(|(hash, _)| hash)
    }

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
        assert_eq!(hashes(&index).collect::<Vec<_>>(), [hash]);
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
        assert_eq!(hashes(&index).collect::<Vec<_>>(), all);
        let mut seen = Vec::new();
        while let [.., (last, _)] = index.page(seen.last().copied(), 3)[..] {
            seen.extend(index.page(seen.last().copied(), 3).iter().map(|(h, _)| *h));
            assert_eq!(seen.last(), Some(&last));
        }
        assert_eq!(seen, all);
    }

    fn listed_name() -> impl Strategy<Value = (FileName, EntryKind)> {
        let hash = prop_oneof![alike(), any::<[u8; 32]>().prop_map(Hash::from_bytes)];
        let kind = prop_oneof![9 => Just(EntryKind::File), 1 => Just(EntryKind::Link)];
        (hash, 0..5, 0..3_u8, kind).prop_map(|(hash, which, uuid, kind)| {
            let uuid = Uuid::from_bytes([uuid; 16]);
            let name = match which {
                0 => FileName::Data(hash),
                1 => FileName::Outboard(hash),
                2 => FileName::Paths(hash),
                3 => FileName::PartialData(hash, uuid),
                _ => FileName::PartialOutboard(hash, uuid),
            };
            (name, kind)
        })
    }

    /// What an index says of every hash.
    fn told(index: &Index) -> Vec<(Hash, Entry, Vec<FileName>)> {
        let entries = index.entries();
        let told = entries.map(|(hash, entry)| (hash, entry, index.names(hash)));
        told.collect()
    }

    proptest! {
        /// The simple way: into the tree, name by name.
        #[test]
        fn gathering_is_inserting_one_by_one(
            names in proptest::collection::vec(listed_name(), 0..400),
            later in proptest::collection::vec((any::<bool>(), listed_name()), 0..40),
        ) {
            let (mut gathering, mut simple) = (Gathering::default(), Index::default());
            for (name, kind) in &names {
                gathering.insert(name, *kind);
                simple.insert(name, *kind);
            }
            let mut index = gathering.into_index();
            prop_assert_eq!(told(&index), told(&simple));
            for (is_removed, (name, kind)) in &later {
                for index in [&mut index, &mut simple] {
                    match is_removed {
                        true => index.remove(name),
                        false => index.insert(name, *kind),
                    }
                }
                prop_assert_eq!(index.has_data(), simple.has_data());
            }
            prop_assert_eq!(told(&index), told(&simple));
            for (hash, entry, _) in told(&simple) {
                prop_assert_eq!(index.get(hash), entry);
                prop_assert_eq!(index.page(Some(hash), 3), simple.page(Some(hash), 3));
                for index in [&mut index, &mut simple] {
                    index.update(hash, |entry| entry.with(Entry::DAMAGED));
                }
            }
            prop_assert_eq!(told(&index), told(&simple));
        }
    }
}
