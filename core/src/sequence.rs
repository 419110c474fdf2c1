//! Hash sequences, and collections made of them (FORMAT.md, "Hash sequences and collections").

use std::collections::{BTreeSet, BinaryHeap};

use crate::Hash;

/// Bytes of one hash in a sequence.
pub const HASH_LEN: usize = 32;

/// A list of blobs: on disk a blob itself, of concatenated 32-byte hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HashSeq(Vec<Hash>);

/// The length of a blob that should be a hash sequence is no multiple of 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a hash sequence has a multiple of 32 bytes, not {0}")]
pub struct HashSeqError(pub u64);

impl HashSeq {
    /// Reads the bytes of a sequence.
    ///
    /// # Errors
    /// When their number is no multiple of 32.
    pub fn decode(bytes: &[u8]) -> Result<Self, HashSeqError> {
        let (hashes, rest) = bytes.as_chunks::<HASH_LEN>();
        if !rest.is_empty() {
            return Err(HashSeqError(bytes.len() as u64));
        }
        Ok(Self(hashes.iter().copied().map(Hash::from_bytes).collect()))
    }

    /// The bytes of the sequence.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.0.iter().flat_map(Hash::as_bytes).copied().collect()
    }

    /// The hashes in order.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.0
    }
}

impl FromIterator<Hash> for HashSeq {
    fn from_iter<I: IntoIterator<Item = Hash>>(hashes: I) -> Self {
        Self(hashes.into_iter().collect())
    }
}

/// Leads the metadata of a collection since release 0.12 of the peer.
const META_HEADER: &[u8] = b"CollectionV0.";

/// Named blobs: a hash sequence whose first child holds the names of the others.
///
/// Names are whatever its maker wrote, `..` and absolute paths among it: who makes files of them checks
/// them first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collection {
    entries: Vec<(String, Hash)>,
}

/// Why some blobs are no collection, or some entries cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CollectionError {
    /// The sequence is empty: its first hash is that of the metadata.
    #[error("the sequence has no first hash, so there is no list of names")]
    NoMeta,
    /// The metadata is in neither of the two forms.
    #[error("the first blob of the sequence is no list of names")]
    Meta,
    /// There are not as many names as children.
    #[error("there are {names} names for {children} blobs")]
    Count {
        /// Names in the metadata.
        names: usize,
        /// Children after the metadata.
        children: usize,
    },
    /// Two entries have one name.
    #[error("two entries have the name {0:?}")]
    Duplicate(String),
}

impl Collection {
    /// A collection of these entries, sorted by name.
    ///
    /// # Errors
    /// [`CollectionError::Duplicate`].
    pub fn new(entries: impl IntoIterator<Item = (String, Hash)>) -> Result<Self, CollectionError> {
        // On a heap: a tenth of the code, in wasm, that a sort of the standard library comes to.
        let entries: BinaryHeap<_> = entries.into_iter().collect();
        let entries = entries.into_sorted_vec();
        match entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(CollectionError::Duplicate(pair[0].0.clone())),
            None => Ok(Self { entries }),
        }
    }

    /// Reads a collection: the bytes of its metadata in the form of today or that of releases 0.8 to
    /// 0.11, and its sequence.
    ///
    /// # Errors
    /// When they do not fit each other.
    pub fn decode(meta: &[u8], sequence: &HashSeq) -> Result<Self, CollectionError> {
        let (_, children) = sequence
            .hashes()
            .split_first()
            .ok_or(CollectionError::NoMeta)?;
        let names = decode_names(meta).ok_or(CollectionError::Meta)?;
        if names.len() != children.len() {
            return Err(CollectionError::Count {
                names: names.len(),
                children: children.len(),
            });
        }
        let mut seen = BTreeSet::new();
        if let Some(name) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(CollectionError::Duplicate(name.clone()));
        }
        let entries = names.into_iter().zip(children.iter().copied()).collect();
        Ok(Self { entries })
    }

    /// The bytes of the metadata blob, in the form of today.
    #[must_use]
    pub fn encode_meta(&self) -> Vec<u8> {
        let names: Vec<&str> = self.entries.iter().map(|(name, _)| name.as_str()).collect();
        let mut meta = META_HEADER.to_vec();
        // Writing to memory fails only for sequences of unknown length; a vector knows its own.
        meta.extend(postcard::to_allocvec(&names).unwrap_or_default());
        meta
    }

    /// The sequence, given the hash of the metadata blob.
    #[must_use]
    pub fn sequence(&self, meta: Hash) -> HashSeq {
        let children = self.entries.iter().map(|(_, hash)| *hash);
        std::iter::once(meta).chain(children).collect()
    }

    /// Names and blobs, in the order of the sequence.
    #[must_use]
    pub fn entries(&self) -> &[(String, Hash)] {
        &self.entries
    }

    /// The blob with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Hash> {
        self.entries
            .iter()
            .find_map(|(other, hash)| (other == name).then_some(*hash))
    }
}

fn decode_names(meta: &[u8]) -> Option<Vec<String>> {
    if let Some(names) = meta.strip_prefix(META_HEADER) {
        return match postcard::take_from_bytes(names) {
            Ok((names, [])) => Some(names),
            _ => None,
        };
    }
    match postcard::take_from_bytes::<(Vec<String>, u64)>(meta) {
        Ok(((names, _total_size), [])) => Some(names),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_of_the_metadata_are_read() {
        let child = Hash::of(b"child");
        let sequence: HashSeq = [Hash::of(b"meta"), child].into_iter().collect();
        let expected = Collection::new([("a".into(), child)]).unwrap();
        for meta in [&b"CollectionV0.\x01\x01a"[..], b"\x01\x01a\x80\x01"] {
            assert_eq!(Collection::decode(meta, &sequence), Ok(expected.clone()));
        }
        assert_eq!(expected.encode_meta(), b"CollectionV0.\x01\x01a");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let of = |n: usize| std::iter::repeat_n(Hash::EMPTY, n).collect::<HashSeq>();
        let two = b"CollectionV0.\x02\x01a\x01a";
        for (meta, sequence, why) in [
            (&two[..], of(0), CollectionError::NoMeta),
            (
                two,
                of(2),
                CollectionError::Count {
                    names: 2,
                    children: 1,
                },
            ),
            (two, of(3), CollectionError::Duplicate("a".into())),
            (b"CollectionV0.\x01\x01a\x00", of(2), CollectionError::Meta),
            (b"CollectionV0.", of(1), CollectionError::Meta),
            (b"", of(1), CollectionError::Meta),
            (b"\x01\x01a", of(2), CollectionError::Meta),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                of(2),
                CollectionError::Meta,
            ),
        ] {
            assert_eq!(Collection::decode(meta, &sequence), Err(why));
        }
        let twice = [
            ("a".to_owned(), Hash::EMPTY),
            ("a".to_owned(), Hash::of(b"x")),
        ];
        assert_eq!(
            Collection::new(twice),
            Err(CollectionError::Duplicate("a".into()))
        );
    }

    #[test]
    fn a_sequence_of_odd_length_is_refused() {
        assert_eq!(HashSeq::decode(&[0; 33]), Err(HashSeqError(33)));
        assert_eq!(HashSeq::decode(&[]), Ok(HashSeq::default()));
    }

    proptest! {
        #[test]
        fn a_collection_reads_back(entries in proptest::collection::btree_map(".{0,9}", any::<[u8; 32]>(), 0..6)) {
            let entries = entries.into_iter().map(|(name, hash)| (name, Hash::from_bytes(hash)));
            let collection = Collection::new(entries).unwrap();
            let meta = collection.encode_meta();
            let sequence = collection.sequence(Hash::of(&meta));
            let sequence = HashSeq::decode(&sequence.encode()).unwrap();
            prop_assert_eq!(sequence.hashes()[0], Hash::of(&meta));
            prop_assert_eq!(Collection::decode(&meta, &sequence), Ok(collection));
        }

        #[test]
        fn no_bytes_panic(meta: Vec<u8>, sequence: Vec<u8>) {
            if let Ok(sequence) = HashSeq::decode(&sequence) {
                let _ = Collection::decode(&meta, &sequence);
            }
        }
    }
}
