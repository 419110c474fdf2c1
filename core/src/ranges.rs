//! Sets of chunks: what of a blob is asked for, sent, there, or missing.

use std::{
    fmt,
    ops::{Bound, RangeBounds},
};

use range_collections::RangeSet2;

use crate::{
    stream::encoded_len,
    tree::{CHUNK, GROUP_CHUNKS, chunks},
};

/// A set of chunks of 1024 bytes, as half-open ranges the last of which may go on for ever.
///
/// A set is asked for before the size of a blob is known. So it may lie behind the end, and whatever of it does
/// means the last chunk, which proves the size.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkRanges(RangeSet2<u64>);

/// Boundaries that are not in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the boundary {0} of a range is not above the one before")]
pub struct RangesError(pub u64);

impl ChunkRanges {
    /// No chunk.
    #[must_use]
    pub fn empty() -> Self {
        Self(RangeSet2::empty())
    }

    /// All chunks, however many there are.
    #[must_use]
    pub fn all() -> Self {
        Self(RangeSet2::all())
    }

    /// The last chunk, wherever it is.
    #[must_use]
    pub fn last_chunk() -> Self {
        Self::of_chunks(u64::MAX..)
    }

    /// These chunks; none when the range is empty or ends before it begins.
    #[must_use]
    pub fn of_chunks(range: impl RangeBounds<u64>) -> Self {
        Self::in_units(range, |start| start, |end| end)
    }

    /// The chunks that have one of these bytes.
    #[must_use]
    pub fn of_bytes(range: impl RangeBounds<u64>) -> Self {
        Self::in_units(range, |start| start / CHUNK, |end| end.div_ceil(CHUNK))
    }

    /// The chunks of these groups of 16.
    #[must_use]
    pub fn of_groups(range: impl RangeBounds<u64>) -> Self {
        let first = |group: u64| group.saturating_mul(GROUP_CHUNKS);
        Self::in_units(range, first, first)
    }

    /// The set with these boundaries: where chunks of it begin, where they end, where they begin again. It is
    /// the form that other implementations have it in.
    ///
    /// # Errors
    /// [`RangesError`] when a boundary is not above the one before.
    pub fn from_boundaries(boundaries: &[u64]) -> Result<Self, RangesError> {
        match boundaries.windows(2).find(|pair| pair[0] >= pair[1]) {
            Some(pair) => Err(RangesError(pair[1])),
            None => RangeSet2::new(boundaries.into())
                .map(Self)
                .ok_or(RangesError(0)),
        }
    }

    /// See [`from_boundaries`](Self::from_boundaries). An odd number of them goes on for ever.
    #[must_use]
    pub fn boundaries(&self) -> &[u64] {
        self.0.boundaries()
    }

    /// First chunk and the one after the last, none when it goes on for ever, of each range.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Option<u64>)> {
        let pairs = self.boundaries().chunks(2);
        pairs.map(|pair| (pair[0], pair.get(1).copied()))
    }

    /// Whether there is no chunk in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all chunks are in it.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.is_all()
    }

    /// The chunks of either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0))
    }

    /// The chunks of both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0))
    }

    /// The chunks that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0))
    }

    /// All chunks of the groups that have one of these: what a store asks for, since it keeps nothing less than
    /// a group.
    #[must_use]
    pub fn whole_groups(&self) -> Self {
        let chunks = |group: u64| group.saturating_mul(GROUP_CHUNKS);
        let mut boundaries: Vec<u64> = Vec::new();
        for (start, end) in self.iter() {
            let start = chunks(start / GROUP_CHUNKS);
            match boundaries.last() {
                // The group was rounded up to before.
                Some(last) if start <= *last => drop(boundaries.pop()),
                _ => boundaries.push(start),
            }
            boundaries.extend(end.map(|end| chunks(end.div_ceil(GROUP_CHUNKS))));
        }
        // In order, since those of the set are.
        Self::from_boundaries(&boundaries).unwrap_or_else(|_| Self::all())
    }

    /// Bytes of the stream of these chunks of a blob of `size` bytes, without the size in front of it; `u64::MAX`
    /// when there are more.
    #[must_use]
    pub fn stream_len(&self, size: u64) -> u64 {
        encoded_len(size, &Selection::new(self, size))
    }

    fn in_units(
        range: impl RangeBounds<u64>,
        first: impl Fn(u64) -> u64,
        after: impl Fn(u64) -> u64,
    ) -> Self {
        match ends(&range) {
            None => Self::empty(),
            Some((start, Some(end))) if end <= start => Self::empty(),
            Some((start, end)) => Self::between(first(start), end.map(after)),
        }
    }

    fn between(start: u64, end: Option<u64>) -> Self {
        Self(match end {
            Some(end) if end <= start => RangeSet2::empty(),
            Some(end) => RangeSet2::from(start..end),
            None => RangeSet2::from(start..),
        })
    }
}

/// Start and end, half-open; nothing when it begins behind the last number.
fn ends(range: &impl RangeBounds<u64>) -> Option<(u64, Option<u64>)> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.checked_add(1)?,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        // Nothing comes after the last number.
        Bound::Included(end) => end.checked_add(1),
        Bound::Excluded(end) => Some(*end),
        Bound::Unbounded => None,
    };
    Some((start, end))
}

impl fmt::Display for ChunkRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (start, end)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{start}..")?;
            if let Some(end) = end {
                write!(f, "{end}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ChunkRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkRanges({self})")
    }
}

/// The chunks of a set that a blob of a certain size has.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// In order, and as many ends as beginnings.
    boundaries: Vec<u64>,
}

impl Selection {
    /// What is behind the end means the last chunk, also where that is not in the set.
    pub(crate) fn new(ranges: &ChunkRanges, size: u64) -> Self {
        let chunks = chunks(size);
        let last = ChunkRanges::of_chunks(chunks - 1..chunks);
        let mut inside = ranges.intersection(&ChunkRanges::of_chunks(..chunks));
        if !ranges
            .intersection(&ChunkRanges::of_chunks(chunks - 1..))
            .is_empty()
        {
            inside = inside.union(&last);
        }
        Self {
            boundaries: inside.boundaries().to_vec(),
        }
    }

    /// Whether one of these chunks is selected.
    pub(crate) fn has_any(&self, start: u64, end: u64) -> bool {
        let behind = self.boundaries.partition_point(|at| *at <= start);
        behind % 2 == 1 || self.boundaries.get(behind).is_some_and(|next| *next < end)
    }

    /// The first selected chunk from this one on.
    pub(crate) fn next(&self, start: u64) -> Option<u64> {
        let behind = self.boundaries.partition_point(|at| *at <= start);
        match behind % 2 {
            1 => Some(start),
            _ => self.boundaries.get(behind).copied(),
        }
    }

    /// Whether all of these chunks are selected.
    pub(crate) fn has_all(&self, start: u64, end: u64) -> bool {
        let behind = self.boundaries.partition_point(|at| *at <= start);
        behind % 2 == 1 && self.boundaries.get(behind).is_some_and(|next| *next >= end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(boundaries: &[u64]) -> ChunkRanges {
        ChunkRanges::from_boundaries(boundaries).unwrap()
    }

    #[test]
    fn bytes_and_groups_are_rounded_outward() {
        assert_eq!(ChunkRanges::of_bytes(0..0), ChunkRanges::empty());
        assert_eq!(ChunkRanges::of_bytes(0..1), set(&[0, 1]));
        assert_eq!(ChunkRanges::of_bytes(1023..1025), set(&[0, 2]));
        assert_eq!(ChunkRanges::of_bytes(1024..), set(&[1]));
        assert_eq!(ChunkRanges::of_bytes(..=1024), set(&[0, 2]));
        assert_eq!(ChunkRanges::of_groups(1..3), set(&[16, 48]));
        assert_eq!(
            ChunkRanges::of_groups(..u64::MAX),
            ChunkRanges::of_chunks(..u64::MAX)
        );
        assert_eq!(ChunkRanges::of_bytes(u64::MAX..), set(&[u64::MAX / 1024]));
        assert_eq!(ChunkRanges::of_bytes(..=u64::MAX), ChunkRanges::all());
        assert_eq!(set(&[3, 5, 17, 18]).whole_groups(), set(&[0, 32]));
        assert_eq!(set(&[40]).whole_groups(), set(&[32]));
        assert_eq!(
            ChunkRanges::last_chunk().whole_groups().boundaries().len(),
            1
        );
        // Rust's own ranges that end before they begin are empty.
        let (three, five) = (3, 5);
        assert!(ChunkRanges::of_chunks(five..three).is_empty());
        let behind = (Bound::Excluded(u64::MAX), Bound::Unbounded);
        assert!(ChunkRanges::of_chunks(behind).is_empty());
        assert_eq!(set(&[3, 5, 7, 9, 15, 17, 40]).whole_groups(), set(&[0]));
        assert_eq!(
            set(&[3, 5, 7, 9, 40, 41]).whole_groups(),
            set(&[0, 16, 32, 48])
        );
        assert!(ChunkRanges::of_bytes(five..three).is_empty());
    }

    /// From elsewhere come boundaries, and those are looked at.
    /// BI-076.
    #[test]
    fn boundaries_out_of_order_are_refused() {
        for (boundaries, why) in [
            (&[5, 5][..], 5),
            (&[5, 3], 3),
            (&[1, 2, 2], 2),
            (&[7, u64::MAX, 0], 0),
        ] {
            assert_eq!(
                ChunkRanges::from_boundaries(boundaries),
                Err(RangesError(why))
            );
        }
        assert_eq!(set(&[]), ChunkRanges::empty());
        assert_eq!(set(&[0]), ChunkRanges::all());
        assert_eq!(set(&[1, 2, 9]).to_string(), "1..2,9..");
    }

    proptest! {
        /// Against the plain definition, chunk by chunk.
        #[test]
        fn a_selection_is_what_a_blob_has_of_a_set(
            mut boundaries in proptest::collection::btree_set(0..60_u64, 0..8), size in 0..50_000_u64,
            start in 0..50_u64, len in 1..20_u64,
        ) {
            if size % 7 == 0 {
                boundaries.insert(u64::MAX);
            }
            let boundaries: Vec<u64> = boundaries.into_iter().collect();
            let ranges = set(&boundaries);
            let is_in = |chunk: u64| boundaries.iter().filter(|at| **at <= chunk).count() % 2 == 1;
            let count = size.div_ceil(1024).max(1);
            let beyond = boundaries.len() % 2 == 1 || (count - 1..100).any(is_in)
                || boundaries.contains(&u64::MAX);
            let is_selected = |chunk: u64| match chunk {
                _ if chunk >= count => false,
                _ if chunk == count - 1 => beyond,
                _ => is_in(chunk),
            };
            let selection = Selection::new(&ranges, size);
            let end = (start + len).min(count);
            if start < end {
                let mut chunks = (start..end).map(is_selected);
                prop_assert_eq!(selection.has_all(start, end), chunks.clone().all(|is| is));
                prop_assert_eq!(selection.has_any(start, end), chunks.any(|is| is));
            }
        }
    }
}
