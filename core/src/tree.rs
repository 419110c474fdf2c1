//! The BLAKE3 tree over chunk groups: where its nodes stand in an outboard, and what they hash to
//! (FORMAT.md, "`.obao4`").
//!
//! The tree is worked on in *pages*: aligned subtrees of [`PAGE_GROUPS`] groups, the last one maybe
//! smaller. In pre-order the pairs of a page stand together, so that a page is read, verified and written
//! in one piece, and the few pairs above the pages are all that an import has to keep in memory.

use std::ops::Range;

use blake3::hazmat::{Mode, merge_subtrees_non_root, merge_subtrees_root};

/// Bytes of a chunk, the leaf of BLAKE3.
pub const CHUNK: u64 = 1024;
/// Chunks of a chunk group.
pub const GROUP_CHUNKS: u64 = 16;
/// Bytes of a chunk group.
pub const GROUP: u64 = GROUP_CHUNKS * CHUNK;
/// [`GROUP`] as a length in memory.
pub const GROUP_LEN: usize = 16 * 1024;
/// Bytes of a pair of chaining values, left and right.
pub const PAIR: u64 = 64;
/// [`PAIR`] as a length in memory.
pub const PAIR_LEN: usize = 64;
/// Bytes of the size prefix of an outboard.
pub const PREFIX: u64 = 8;
/// Groups of a page: 4 MiB of data, 16 KiB of outboard.
pub const PAGE_GROUPS: u64 = 256;

/// A BLAKE3 chaining value: the hash of a subtree that is not the root.
pub(crate) type Cv = [u8; 32];

/// How many chunk groups `size` bytes have. No bytes are one, empty, group.
#[must_use]
pub const fn groups(size: u64) -> u64 {
    match size.div_ceil(GROUP) {
        0 => 1,
        n => n,
    }
}

/// How many chunks `size` bytes have. No bytes are one, empty, chunk.
#[must_use]
pub const fn chunks(size: u64) -> u64 {
    match size.div_ceil(CHUNK) {
        0 => 1,
        n => n,
    }
}

/// Bytes of the complete outboard of `size` bytes of data, size prefix included.
#[must_use]
pub const fn outboard_len(size: u64) -> u64 {
    PREFIX + PAIR * (groups(size) - 1)
}

/// The bytes of group `group` in data of `size` bytes.
#[must_use]
pub const fn group_range(group: u64, size: u64) -> Range<u64> {
    // At most 2^50 groups fit into a size, so that neither product overflows for a group that exists.
    let start = group * GROUP;
    let end = start.saturating_add(GROUP);
    start..if end < size { end } else { size }
}

/// How many of `n` leaves, at least two, are in the left subtree: the largest power of two below `n`.
pub(crate) const fn left_of(n: u64) -> u64 {
    1 << (u64::BITS - 1 - (n - 1).leading_zeros())
}

/// The hash of a parent: of the whole blob when it is the root, a chaining value otherwise.
pub(crate) fn parent(left: &Cv, right: &Cv, is_root: bool) -> Cv {
    if is_root {
        *merge_subtrees_root(left, right, Mode::Hash).as_bytes()
    } else {
        merge_subtrees_non_root(left, right, Mode::Hash)
    }
}

/// Merges the values of neighbouring subtrees of one size, the last one maybe smaller, and appends the
/// pairs on the way to `pairs` in pre-order.
pub(crate) fn merge(values: &[Cv], is_root: bool, pairs: &mut Vec<u8>) -> Cv {
    let [value] = values else {
        let at = pairs.len();
        pairs.extend([0; PAIR_LEN]);
        // The slice is in memory, its length is a usize.
        #[expect(clippy::cast_possible_truncation)]
        let (left, right) = values.split_at(left_of(values.len() as u64) as usize);
        let (left, right) = (merge(left, false, pairs), merge(right, false, pairs));
        pairs[at..at + 32].copy_from_slice(&left);
        pairs[at + 32..at + 64].copy_from_slice(&right);
        return parent(&left, &right, is_root);
    };
    *value
}

/// The two chaining values of a pair.
pub(crate) fn split_pair(pair: &[u8]) -> Option<(Cv, Cv)> {
    let (left, right) = pair.split_at_checked(32)?;
    Some((left.try_into().ok()?, right.try_into().ok()?))
}

/// A subtree on the way from the root to a page or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subtree {
    /// Its first group.
    pub(crate) start: u64,
    /// Its groups.
    pub(crate) groups: u64,
    /// Where its own pair stands in the outboard, in bytes from the start of the file.
    pub(crate) offset: u64,
    /// Whether it is the whole tree.
    pub(crate) is_root: bool,
}

impl Subtree {
    /// The whole tree of `size` bytes.
    pub(crate) const fn root(size: u64) -> Self {
        Self {
            start: 0,
            groups: groups(size),
            offset: PREFIX,
            is_root: true,
        }
    }

    /// A page of `size` bytes; `None` behind the last one.
    pub(crate) const fn page(size: u64, page: u64) -> Option<Self> {
        let mut tree = Self::root(size);
        let first = page.saturating_mul(PAGE_GROUPS);
        if first >= tree.groups {
            return None;
        }
        while tree.groups > PAGE_GROUPS {
            let (left, right) = tree.split();
            tree = if first < right.start { left } else { right };
        }
        Some(tree)
    }

    /// The two halves of a subtree of at least two groups.
    pub(crate) const fn split(self) -> (Self, Self) {
        let left_groups = left_of(self.groups);
        let left = Self {
            start: self.start,
            groups: left_groups,
            offset: self.offset + PAIR,
            is_root: false,
        };
        let right = Self {
            start: self.start + left_groups,
            groups: self.groups - left_groups,
            offset: self.offset + PAIR * left_groups,
            is_root: false,
        };
        (left, right)
    }

    /// The groups of it.
    pub(crate) const fn range(self) -> Range<u64> {
        self.start..self.start + self.groups
    }

    /// Bytes of all its pairs.
    pub(crate) const fn pairs_len(self) -> u64 {
        (self.groups - 1) * PAIR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BI-036, BI-077.
    #[test]
    fn shapes_at_the_boundaries() {
        for (size, count, len) in [
            (0, 1, 8),
            (1, 1, 8),
            (GROUP - 1, 1, 8),
            (GROUP, 1, 8),
            (GROUP + 1, 2, 72),
            (2 * GROUP, 2, 72),
            (2 * GROUP + 1, 3, 136),
            (u64::MAX, 1 << 50, 8 + 64 * ((1 << 50) - 1)),
        ] {
            assert_eq!(groups(size), count, "{size}");
            assert_eq!(outboard_len(size), len, "{size}");
            let last = group_range(count - 1, size);
            assert_eq!(last.end, size);
            assert!(last.end - last.start <= GROUP);
        }
        for (n, left) in [(2, 1), (3, 2), (4, 2), (5, 4), (8, 4), (9, 8)] {
            assert_eq!(left_of(n), left, "{n}");
        }
    }

    #[test]
    fn the_halves_of_a_subtree_tile_it() {
        for groups in 2..200 {
            let whole = Subtree {
                start: 7,
                groups,
                offset: 8,
                is_root: true,
            };
            let (left, right) = whole.split();
            assert_eq!(left.start, whole.start);
            assert_eq!(right.start, left.start + left.groups);
            assert_eq!(left.groups + right.groups, groups);
            assert_eq!(left.offset + left.pairs_len(), right.offset);
            assert_eq!(right.offset + right.pairs_len(), 8 + whole.pairs_len());
        }
    }
}
