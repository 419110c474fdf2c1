//! What an outboard proves: the values of groups, as far down as its pairs are right.

use std::{
    io,
    ops::{ControlFlow, Range},
};

use range_collections::{RangeSet2, range_set::RangeSetRange};

use crate::{
    Hash, ReadAt,
    io::read_full_at,
    tree::{Cv, PAIR_LEN, Subtree, group_cv, groups, parent, split_pair},
};

/// Bytes of the outboard that are read at once.
const BLOCK: usize = 16 * 1024;

/// A group whose value is proved under the size that is claimed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaf {
    pub(crate) group: u64,
    value: Cv,
    /// Whether it is the whole blob.
    is_root: bool,
}

impl Leaf {
    /// Whether these are the group's bytes.
    pub(crate) fn proves(&self, bytes: &[u8]) -> bool {
        if self.is_root {
            Hash::of(bytes).as_bytes() == &self.value
        } else {
            group_cv(self.group, bytes) == self.value
        }
    }
}

/// What a walk comes by, in the order of the groups.
#[derive(Debug)]
pub(crate) enum Step {
    /// A pair that is right, and where it stands in the outboard.
    Pair(u64, [u8; PAIR_LEN]),
    Known(Leaf),
    /// Groups above which a pair is wrong, missing or cannot be read.
    Unknown(Range<u64>),
}

/// A walk over the tree of a blob, down from its root as far as pairs are right. A hole is a pair of zeros,
/// and never right: the walk is as long as what is really there.
pub(crate) struct Walk<'a, O> {
    outboard: Option<&'a O>,
    size: u64,
    within: Range<u64>,
    block: Vec<u8>,
    block_at: u64,
    /// Why pairs could not be read, where that is the reason.
    pub(crate) failed: Option<io::Error>,
}

impl<'a, O: ReadAt> Walk<'a, O> {
    /// A walk over the groups of a blob that has `size` bytes, as is claimed.
    pub(crate) fn new(outboard: Option<&'a O>, size: u64) -> Self {
        Self {
            outboard,
            size,
            within: 0..groups(size),
            block: Vec::new(),
            block_at: 0,
            failed: None,
        }
    }

    /// Only over these groups.
    pub(crate) fn within(mut self, within: Range<u64>) -> Self {
        self.within = within;
        self
    }

    pub(crate) fn run(
        &mut self,
        hash: Hash,
        each: &mut dyn FnMut(Step) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.visit(Subtree::root(self.size), hash.as_bytes(), each)
    }

    fn visit(
        &mut self,
        tree: Subtree,
        value: &Cv,
        each: &mut dyn FnMut(Step) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let end = tree.start + tree.groups;
        let asked = tree.start.max(self.within.start)..end.min(self.within.end);
        if asked.is_empty() {
            return ControlFlow::Continue(());
        }
        if tree.groups == 1 {
            return each(Step::Known(Leaf {
                group: tree.start,
                value: *value,
                is_root: tree.is_root,
            }));
        }
        let pair = self.pair(tree.offset);
        match pair
            .as_ref()
            .and_then(|pair| Some((pair, split_pair(pair)?)))
        {
            Some((pair, (left_value, right_value)))
                if parent(&left_value, &right_value, tree.is_root) == *value =>
            {
                each(Step::Pair(tree.offset, *pair))?;
                let (left, right) = tree.split();
                self.visit(left, &left_value, each)?;
                self.visit(right, &right_value, each)
            }
            _ => each(Step::Unknown(asked)),
        }
    }

    /// The pair at an offset. In pre-order the next one is most often in the block that was read last.
    fn pair(&mut self, offset: u64) -> Option<[u8; PAIR_LEN]> {
        let outboard = self.outboard?;
        let in_block = |at: u64, block: &[u8]| {
            let start = usize::try_from(offset.checked_sub(at)?).ok()?;
            block.get(start..)?.first_chunk().copied()
        };
        if let Some(pair) = in_block(self.block_at, &self.block) {
            return Some(pair);
        }
        self.block.resize(BLOCK, 0);
        let read = read_full_at(outboard, &mut self.block, offset).unwrap_or_else(|error| {
            self.failed.get_or_insert(error);
            0
        });
        self.block.truncate(read);
        self.block_at = offset;
        in_block(offset, &self.block)
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
