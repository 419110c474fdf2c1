//! What a listing found, in the order of the hashes.
//!
//! A tree of a million entries takes longer to make than it takes to list them. Hashes are spread evenly; so they are
//! put by their first byte while they are listed, and each of these shelves fits into the processor's cache when it is
//! sorted, by the bytes that follow. It is also a tenth of the code, in wasm, of a sort of the standard library.

use crate::{Hash, index::Entry};

/// So few are compared with one another.
const FEW: usize = 24;

type Item = (Hash, Entry);

/// Blobs that a listing found; none can be added once they are sorted. One that went leaves its place, with an entry
/// that says nothing.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// By the first byte of the hash; none of them when there is nothing.
    shelves: Vec<Vec<Item>>,
}

impl Listed {
    /// Takes in a file of a blob, in no order.
    pub(super) fn push(&mut self, hash: Hash, flag: Entry) {
        if self.shelves.is_empty() {
            self.shelves.resize_with(256, Vec::new);
        }
        self.shelves[first(hash)].push((hash, flag));
    }

    /// Makes one entry of all files of a blob.
    pub(super) fn settle(&mut self) {
        for shelf in &mut self.shelves {
            sort(shelf, 1);
            shelf.dedup_by(|(hash, flag), (kept, entry)| {
                let is_same = hash == kept;
                if is_same {
                    *entry = entry.with(*flag);
                }
                is_same
            });
            shelf.shrink_to_fit();
        }
    }

    /// The entry of a blob that was listed.
    pub(super) fn get(&self, hash: Hash) -> Option<Entry> {
        let shelf = self.shelves.get(first(hash))?;
        Some(shelf[position(shelf, hash)?].1)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, hash: Hash) -> Option<&mut Entry> {
        let shelf = self.shelves.get_mut(first(hash))?;
        let at = position(shelf, hash)?;
        Some(&mut shelf[at].1)
    }

    /// What is still there from `start` on.
    pub(super) fn from(&self, start: Hash) -> impl Iterator<Item = Item> {
        let shelves = self.shelves.get(first(start)..).unwrap_or_default();
        let before = match shelves.first() {
            Some(shelf) => shelf.partition_point(|(hash, _)| *hash < start),
            None => 0,
        };
        let items = shelves.iter().flatten().skip(before).copied();
        items.filter(|(_, entry)| *entry != Entry::default())
    }
}

fn first(hash: Hash) -> usize {
    usize::from(hash.as_bytes()[0])
}

fn position(shelf: &[Item], hash: Hash) -> Option<usize> {
    shelf.binary_search_by(|(other, _)| other.cmp(&hash)).ok()
}

/// Sorts, in place, what is alike in the first `at` bytes. Whatever the hashes are, this takes at most one pass for each
/// of their bytes.
fn sort(items: &mut [Item], at: usize) {
    if items.len() <= FEW {
        return insert_each(items);
    }
    let byte = |item: &Item| item.0.as_bytes().get(at).map(|byte| usize::from(*byte));
    let mut ends = [0; 256];
    for item in &*items {
        // Past the last byte all are the same.
        let Some(byte) = byte(item) else { return };
        ends[byte] += 1;
    }
    let mut free = [0; 256];
    let mut sum = 0;
    for (free, end) in free.iter_mut().zip(&mut ends) {
        *free = sum;
        sum += *end;
        *end = sum;
    }
    for here in 0..256 {
        while free[here] < ends[here] {
            let Some(home) = byte(&items[free[here]]) else {
                return;
            };
            items.swap(free[here], free[home]);
            free[home] += 1;
        }
    }
    let mut start = 0;
    for end in ends {
        sort(&mut items[start..end], at + 1);
        start = end;
    }
}

fn insert_each(items: &mut [Item]) {
    for mut at in 1..items.len() {
        while at > 0 && items[at].0 < items[at - 1].0 {
            items.swap(at, at - 1);
            at -= 1;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Alike in any number of bytes, so that some are sorted by the last one.
    pub(crate) fn alike() -> impl Strategy<Value = Hash> {
        (0..32_usize, 0..3_u8).prop_map(|(at, byte)| {
            let mut bytes = [7; 32];
            bytes[at] += byte;
            Hash::from_bytes(bytes)
        })
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_a_sort(
            hashes in proptest::collection::vec(
                prop_oneof![alike(), any::<[u8; 32]>().prop_map(Hash::from_bytes)],
                0..600,
            ),
        ) {
            let mut sorted: Vec<Item> = hashes.iter().map(|hash| (*hash, Entry::DATA)).collect();
            let mut expected = sorted.clone();
            sort(&mut sorted, 0);
            expected.sort_by_key(|(hash, _)| *hash);
            prop_assert_eq!(sorted, expected);
        }
    }
}
