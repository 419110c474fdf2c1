//! What an outboard proves: the values of groups, as far down as its pairs are right.

use std::{
    io,
    ops::{ControlFlow, Range},
};

use range_collections::{RangeSet2, range_set::RangeSetRange};

use crate::{
    Error, Hash, ReadAt,
    io::read_full_at,
    leaves::group_value,
    ranges::Selection,
    tree::{Cv, GROUP_CHUNKS, PAIR_LEN, Subtree, groups, parent, split_pair},
};

/// Bytes of the outboard that are read at once.
const BLOCK: usize = 16 * 1024;

/// A group whose value is proved under the size that is claimed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaf {
    pub(crate) group: u64,
    value: Cv,
    /// Whether it is the whole blob.
    pub(crate) is_root: bool,
}

impl Leaf {
    /// Its chaining value; the hash of the blob when it is the whole of it.
    pub(crate) fn value(&self) -> &Cv {
        &self.value
    }

    /// Whether these are the group's bytes.
    pub(crate) fn proves(&self, bytes: &[u8]) -> bool {
        if self.is_root {
            Hash::of(bytes).as_bytes() == &self.value
        } else {
            group_value(self.group, bytes) == self.value
        }
    }
}

/// What a walk comes by, in the order of the groups.
#[derive(Debug)]
pub(crate) enum Step {
    /// A pair that is right.
    Pair(Pair),
    Known(Leaf),
    /// Groups above which a pair is wrong, missing or cannot be read.
    Unknown(Range<u64>),
}

/// A pair that is right.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    /// The groups it is about.
    pub(crate) groups: Range<u64>,
    /// Where it stands in the outboard.
    pub(crate) offset: u64,
    pub(crate) bytes: [u8; PAIR_LEN],
    /// Which of the sources had it, the first one being 0.
    pub(crate) source: usize,
}

/// Where pairs come from. They need not be right.
pub(crate) trait Pairs {
    /// The pair of a subtree of several groups; `None` when there is none.
    fn pair(&mut self, tree: Subtree) -> io::Result<Option<[u8; PAIR_LEN]>>;
}

/// A walk over the tree of a blob, down from its root as far as pairs are right. A hole is a pair of zeros,
/// and never right: the walk is as long as what is really there.
pub(crate) struct Walk<'a> {
    sources: Vec<Source<'a>>,
    size: u64,
    within: Range<u64>,
    selection: Option<&'a Selection>,
    /// Why pairs could not be read, where that is the reason.
    pub(crate) failed: Option<io::Error>,
}

struct Source<'a> {
    pairs: Box<dyn Pairs + 'a>,
    /// The size under which they stand where they do.
    size: u64,
}

impl<'a> Walk<'a> {
    /// A walk over the groups of a blob that has `size` bytes, as is claimed.
    pub(crate) fn new<O: ReadAt>(outboard: Option<&'a O>, size: u64) -> Self {
        let walk = Self {
            sources: Vec::new(),
            size,
            within: 0..groups(size),
            selection: None,
            failed: None,
        };
        match outboard {
            Some(outboard) => walk.and(OutboardPairs::new(outboard), size),
            None => walk,
        }
    }

    /// Also with these pairs, where those before are not right. They may stand where they do by another size:
    /// as long as the way down is the same, a pair is a pair.
    pub(crate) fn and(mut self, pairs: impl Pairs + 'a, size: u64) -> Self {
        self.sources.push(Source {
            pairs: Box::new(pairs),
            size,
        });
        self
    }

    /// Only over these groups.
    pub(crate) fn within(mut self, within: Range<u64>) -> Self {
        self.within = within;
        self
    }

    /// Only over the groups that have a selected chunk.
    pub(crate) fn selecting(mut self, selection: &'a Selection) -> Self {
        self.selection = Some(selection);
        self
    }

    /// Why pairs could not be had, where that is known.
    pub(crate) fn failure(&mut self) -> Option<Error> {
        let failed = self.failed.take()?;
        failed.downcast::<Error>().ok()
    }

    pub(crate) fn run(
        &mut self,
        hash: Hash,
        each: &mut dyn FnMut(Step) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let is_one_shape = self.sources.iter().all(|source| source.size == self.size);
        let shapes = self.sources.iter().map(|source| Subtree::root(source.size));
        let shapes: Option<Vec<_>> = (!is_one_shape).then(|| shapes.collect());
        let root = Subtree::root(self.size);
        self.visit(root, shapes.as_deref(), hash.as_bytes(), each)
    }

    /// `shapes` are what the sources have in this place, where their sizes differ.
    fn visit(
        &mut self,
        tree: Subtree,
        shapes: Option<&[Subtree]>,
        value: &Cv,
        each: &mut dyn FnMut(Step) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let whole = tree.range();
        let asked = whole.start.max(self.within.start)..whole.end.min(self.within.end);
        let is_selected = |selection: &Selection| {
            selection.has_any(whole.start * GROUP_CHUNKS, whole.end * GROUP_CHUNKS)
        };
        if asked.is_empty() || !self.selection.is_none_or(is_selected) {
            return ControlFlow::Continue(());
        }
        if tree.groups == 1 {
            return each(Step::Known(Leaf {
                group: tree.start,
                value: *value,
                is_root: tree.is_root,
            }));
        }
        let Some((pair, left_value, right_value)) = self.right_pair(tree, shapes, value) else {
            return each(Step::Unknown(asked));
        };
        each(Step::Pair(pair))?;
        let (left, right) = tree.split();
        let halves = shapes.map(|shapes| shapes.iter().map(|shape| half_of(*shape)).unzip());
        let (lefts, rights): (Option<Vec<_>>, Option<Vec<_>>) = halves.unzip();
        self.visit(left, lefts.as_deref(), &left_value, each)?;
        self.visit(right, rights.as_deref(), &right_value, each)
    }

    /// The first pair that hashes to what was proved to be there.
    fn right_pair(
        &mut self,
        tree: Subtree,
        shapes: Option<&[Subtree]>,
        value: &Cv,
    ) -> Option<(Pair, Cv, Cv)> {
        for (index, source) in self.sources.iter_mut().enumerate() {
            let place = shapes.map_or(tree, |shapes| shapes[index]);
            if place.groups < 2 {
                continue;
            }
            let bytes = match source.pairs.pair(place) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => continue,
                Err(error) => {
                    // Of several, the one that says more.
                    let is_typed = error.get_ref().is_some_and(|inner| inner.is::<Error>());
                    if is_typed || self.failed.is_none() {
                        self.failed = Some(error);
                    }
                    continue;
                }
            };
            if let Some((left, right)) = split_pair(&bytes)
                && parent(&left, &right, tree.is_root) == *value
            {
                let pair = Pair {
                    groups: tree.range(),
                    offset: tree.offset,
                    bytes,
                    source: index,
                };
                return Some((pair, left, right));
            }
        }
        None
    }
}

/// The halves of a subtree of another shape: below a single group there is nothing.
fn half_of(shape: Subtree) -> (Subtree, Subtree) {
    match shape.groups {
        0 | 1 => {
            let nothing = Subtree { groups: 0, ..shape };
            (nothing, nothing)
        }
        _ => shape.split(),
    }
}

/// The pairs of an outboard file. In pre-order the next one is most often in the block that was read last.
pub(crate) struct OutboardPairs<'a, O> {
    outboard: &'a O,
    block: Vec<u8>,
    block_at: u64,
}

impl<'a, O> OutboardPairs<'a, O> {
    pub(crate) fn new(outboard: &'a O) -> Self {
        Self {
            outboard,
            block: Vec::new(),
            block_at: 0,
        }
    }
}

impl<O: ReadAt> Pairs for OutboardPairs<'_, O> {
    fn pair(&mut self, tree: Subtree) -> io::Result<Option<[u8; PAIR_LEN]>> {
        let offset = tree.offset;
        let in_block = |at: u64, block: &[u8]| {
            let start = usize::try_from(offset.checked_sub(at)?).ok()?;
            block.get(start..)?.first_chunk().copied()
        };
        if let Some(pair) = in_block(self.block_at, &self.block) {
            return Ok(Some(pair));
        }
        self.block.resize(BLOCK, 0);
        let read = read_full_at(self.outboard, &mut self.block, offset);
        self.block.truncate(*read.as_ref().unwrap_or(&0));
        self.block_at = offset;
        read?;
        Ok(in_block(offset, &self.block))
    }
}

/// Appends groups to ranges that are in order.
pub(crate) fn append(ranges: &mut Vec<Range<u64>>, more: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if last.end == more.start => last.end = more.end,
        _ if more.is_empty() => {}
        _ => ranges.push(more),
    }
}

/// All groups of either, in order.
pub(crate) fn union(a: &[Range<u64>], b: &[Range<u64>]) -> Vec<Range<u64>> {
    ranges_of(&(set_of(a) | set_of(b)))
}

/// The groups of both, in order.
pub(crate) fn intersection(a: &[Range<u64>], b: &[Range<u64>]) -> Vec<Range<u64>> {
    ranges_of(&(set_of(a) & set_of(b)))
}

/// Of ranges in order, between any two of which something is missing.
fn set_of(ranges: &[Range<u64>]) -> RangeSet2<u64> {
    debug_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
    let boundaries = ranges.iter().flat_map(|range| [range.start, range.end]);
    RangeSet2::new(boundaries.collect()).unwrap_or_else(RangeSet2::empty)
}

fn ranges_of(set: &RangeSet2<u64>) -> Vec<Range<u64>> {
    let bounded = |range: RangeSetRange<&u64>| match range {
        RangeSetRange::Range(range) => Some(*range.start..*range.end),
        // No set of groups is without an end.
        RangeSetRange::RangeFrom(_) => None,
    };
    set.iter().filter_map(bounded).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        hasher::TreeHasher,
        tree::{GROUP, GROUP_LEN, group_range, left_of, merge, outboard_len},
    };

    fn bytes(size: usize) -> Vec<u8> {
        (0..size)
            .map(|i| u8::try_from((i / 253 + i * 5) % 256).unwrap())
            .collect()
    }

    /// Hash and outboard.
    fn outboard_of(data: &[u8]) -> (Hash, Vec<u8>) {
        let mut hasher = TreeHasher::new();
        hasher.update(data, |_, _| Ok::<(), ()>(())).unwrap();
        let hashed = hasher.finish();
        let mut file = hashed.size.to_le_bytes().to_vec();
        if hashed.size > GROUP {
            merge(&hashed.last_page, true, &mut file);
        }
        (hashed.hash, file)
    }

    /// What a walk comes by: pairs by offset, known groups, unknown ones.
    #[derive(Debug, Default, PartialEq)]
    struct Seen {
        pairs: Vec<u64>,
        known: BTreeSet<u64>,
        unknown: BTreeSet<u64>,
    }

    fn seen(file: Option<&[u8]>, size: u64, hash: Hash, within: Range<u64>) -> Seen {
        let mut seen = Seen::default();
        let mut last = 0;
        let file = file.as_ref();
        let _ = Walk::new(file, size).within(within).run(hash, &mut |step| {
            match step {
                Step::Pair(pair) => {
                    let at = usize::try_from(pair.offset).unwrap();
                    assert_eq!(file.unwrap()[at..at + PAIR_LEN], pair.bytes);
                    seen.pairs.push(pair.offset);
                }
                Step::Known(leaf) => {
                    assert!(leaf.group >= last, "groups come in order");
                    last = leaf.group;
                    seen.known.insert(leaf.group);
                }
                Step::Unknown(range) => {
                    assert!(range.start >= last && !range.is_empty());
                    last = range.end - 1;
                    seen.unknown.extend(range);
                }
            }
            ControlFlow::Continue(())
        });
        seen
    }

    /// The plain recursive definition, kept as an oracle: a pair is good when it is the right one.
    fn naive(
        file: &[u8],
        right: &[u8],
        tree: (u64, u64, u64),
        within: &Range<u64>,
        seen: &mut Seen,
    ) {
        let (start, groups, offset) = tree;
        let asked: Vec<u64> = (start..start + groups)
            .filter(|g| within.contains(g))
            .collect();
        if asked.is_empty() {
            return;
        }
        if groups == 1 {
            seen.known.extend(asked);
            return;
        }
        let at = usize::try_from(offset).unwrap();
        if file.get(at..at + PAIR_LEN) != Some(&right[at..at + PAIR_LEN]) {
            seen.unknown.extend(asked);
            return;
        }
        seen.pairs.push(offset);
        let left = left_of(groups);
        naive(file, right, (start, left, offset + 64), within, seen);
        let right_half = (start + left, groups - left, offset + 64 * left);
        naive(file, right, right_half, within, seen);
    }

    #[test]
    fn leaves_prove_their_bytes_and_no_others() {
        for size in [0, 1, GROUP_LEN, GROUP_LEN + 1, 5 * GROUP_LEN + 7] {
            let data = bytes(size);
            let (hash, file) = outboard_of(&data);
            let size = data.len() as u64;
            let mut count = 0;
            let _ = Walk::new(Some(&&file[..]), size).run(hash, &mut |step| {
                if let Step::Known(leaf) = step {
                    count += 1;
                    let range = group_range(leaf.group, size);
                    let range =
                        usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                    let mut bytes = data[range].to_vec();
                    assert!(leaf.proves(&bytes));
                    if bytes.len() < GROUP_LEN {
                        bytes.push(0);
                        assert!(!leaf.proves(&bytes));
                        bytes.pop();
                    }
                    if let Some(first) = bytes.first_mut() {
                        *first ^= 1;
                        assert!(!leaf.proves(&bytes));
                    }
                }
                ControlFlow::Continue(())
            });
            assert_eq!(count, groups(size));
        }
    }

    /// However large a size is claimed, the walk is as long as what is there.
    /// BI-032, BI-077.
    #[test]
    fn absurd_sizes_end_at_once() {
        let (hash, file) = outboard_of(&bytes(3 * GROUP_LEN));
        for size in [1 << 40, 1 << 60, u64::MAX - 1, u64::MAX] {
            for file in [None, Some(&[][..]), Some(&[0; 4096][..]), Some(&file[..])] {
                let mut steps = 0;
                let mut covered = 0;
                let _ = Walk::new(file.as_ref(), size).run(hash, &mut |step| {
                    steps += 1;
                    match step {
                        Step::Unknown(range) => covered += range.end - range.start,
                        Step::Known(_) => covered += 1,
                        Step::Pair(..) => {}
                    }
                    ControlFlow::Continue(())
                });
                assert!(steps < 10, "{size}: {steps}");
                assert_eq!(covered, groups(size), "{size}");
            }
        }
    }

    #[test]
    fn a_walk_stops_where_it_is_told() {
        let (hash, file) = outboard_of(&bytes(9 * GROUP_LEN));
        for stop in 0..17 {
            let mut steps = 0;
            let flow = Walk::new(Some(&&file[..]), 9 * GROUP).run(hash, &mut |_| {
                steps += 1;
                match steps > stop {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
            assert_eq!((flow.is_break(), steps), (true, stop + 1));
        }
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        struct Broken;
        impl ReadAt for Broken {
            fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
            fn size(&self) -> io::Result<u64> {
                Ok(1000)
            }
        }
        let mut walk = Walk::new(Some(&Broken), 9 * GROUP);
        let mut unknown = 0..0;
        let _ = walk.run(Hash::EMPTY, &mut |step| {
            if let Step::Unknown(range) = step {
                unknown = range;
            }
            ControlFlow::Continue(())
        });
        assert_eq!(unknown, 0..9);
        let kind = walk.failed.map(|error| error.kind());
        assert_eq!(kind, Some(io::ErrorKind::ConnectionReset));
    }

    fn ranges() -> impl Strategy<Value = Vec<Range<u64>>> {
        proptest::collection::vec((0..4_u64, 1..6_u64), 0..8).prop_map(|steps| {
            let mut ranges = Vec::new();
            let mut at = 0;
            for (gap, len) in steps {
                append(&mut ranges, at + gap..at + gap + len);
                at += gap + len;
            }
            ranges
        })
    }

    fn set(ranges: &[Range<u64>]) -> BTreeSet<u64> {
        ranges.iter().cloned().flatten().collect()
    }

    /// In order, none empty, and something missing between any two.
    fn is_tidy(ranges: &[Range<u64>]) -> bool {
        ranges.iter().all(|range| !range.is_empty())
            && ranges.windows(2).all(|pair| pair[0].end < pair[1].start)
    }

    proptest! {
        #[test]
        fn sets_of_groups_are_sets(a in ranges(), b in ranges()) {
            prop_assert!(is_tidy(&a));
            let (either, both) = (union(&a, &b), intersection(&a, &b));
            prop_assert!(is_tidy(&either) && is_tidy(&both));
            prop_assert_eq!(set(&either), &set(&a) | &set(&b));
            prop_assert_eq!(set(&both), &set(&a) & &set(&b));
            let mut one_by_one = Vec::new();
            for group in set(&a) {
                append(&mut one_by_one, group..group);
                append(&mut one_by_one, group..group + 1);
            }
            prop_assert_eq!(one_by_one, a);
        }

        /// Every damage to an outboard, holes and cuts among it, costs what is below it.
        #[test]
        fn a_walk_sees_what_the_definition_says(
            size in 0..600_000_usize,
            damage in proptest::collection::vec((any::<prop::sample::Index>(), 1..255_u8), 0..4),
            hole in proptest::option::of(any::<prop::sample::Index>()),
            cut in proptest::option::of(any::<prop::sample::Index>()),
            within in (0..40_u64, 0..40_u64),
        ) {
            let data = bytes(size);
            let (hash, right) = outboard_of(&data);
            let size = size as u64;
            prop_assert!(size <= GROUP || right.len() as u64 == outboard_len(size));
            let mut file = right.clone();
            for (at, bits) in damage {
                let at = at.index(file.len());
                file[at] ^= bits;
            }
            if let Some(at) = hole {
                let at = at.index(file.len());
                let end = file.len().min(at + 4096);
                file[at..end].fill(0);
            }
            if let Some(len) = cut {
                file.truncate(len.index(file.len()));
            }
            let within = within.0..within.1;
            let mut expected = Seen::default();
            naive(&file, &right, (0, groups(size), 8), &within, &mut expected);
            prop_assert_eq!(seen(Some(&file), size, hash, within.clone()), expected);
            let none = seen(None, size, hash, within);
            prop_assert!(size <= GROUP || none.known.is_empty());
        }
    }
}
