//! Blobs whose bytes are known, so that a wrong one is seen.

use std::sync::OnceLock;

use flatbao_core::{Collection, Hash};

use crate::truth::{GROUP, bytes, outboard};

/// A blob.
pub(super) struct Known {
    pub(super) hash: Hash,
    pub(super) data: Vec<u8>,
    /// The file that proves it, if it has one.
    pub(super) outboard: Option<Vec<u8>>,
}

impl Known {
    fn new(data: Vec<u8>) -> Self {
        Self {
            hash: Hash::of(&data),
            outboard: outboard(&data),
            data,
        }
    }

    /// The outboard, or the eight bytes that a partial entry of one group has instead.
    pub(super) fn board(&self) -> Vec<u8> {
        let size = (self.data.len() as u64).to_le_bytes();
        self.outboard.clone().unwrap_or_else(|| size.to_vec())
    }
}

/// Blobs on both sides of a group, then sequences over them, one of an odd length, and a collection.
pub(super) fn known() -> &'static [Known] {
    static KNOWN: OnceLock<Vec<Known>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let sizes = [0, 40, GROUP, GROUP + 1, 3 * GROUP - 100, 5 * GROUP + 17];
        let raw = sizes.iter().enumerate();
        let mut all: Vec<Known> = raw
            .map(|(seed, size)| Known::new(bytes(seed as u64, *size)))
            .collect();
        let hashes = |all: &[Known], list: &[usize]| -> Vec<u8> {
            let of = |at: &usize| *all[*at].hash.as_bytes();
            list.iter().flat_map(of).collect()
        };
        all.push(Known::new(hashes(&all, &[1, 4])));
        // More than one group, over what lists something itself.
        all.push(Known::new(hashes(&all, &[3, 6].repeat(300))));
        let mut odd = hashes(&all, &[5]);
        odd.push(0);
        all.push(Known::new(odd));
        let entries = [
            ("a".to_owned(), all[1].hash),
            ("b/c".to_owned(), all[3].hash),
        ];
        let collection = Collection::new(entries).unwrap();
        let meta = Known::new(collection.encode_meta());
        let sequence = collection.sequence(meta.hash).encode();
        all.extend([meta, Known::new(sequence)]);
        all
    })
}
