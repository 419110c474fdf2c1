//! Taking a stream apart as it comes, in whatever pieces.

use std::ops::{ControlFlow, Range};

use crate::{
    Hash,
    leaves::subtree_value,
    ranges::{ChunkRanges, Selection},
    stream::{
        StreamError,
        node::{Node, encoded_len},
    },
    tree::{CHUNK, Cv, GROUP_CHUNKS, PAIR_LEN, parent, split_pair},
};
#[cfg(feature = "parallel")]
use crate::{
    beside::{Ahead, has_more_cores, in_order},
    tree::GROUP_LEN,
};

/// What has come, proved.
#[derive(Debug)]
pub(crate) enum Item<'a> {
    /// A pair of the outboard: the groups it is about, where it stands, and itself.
    Pair(Range<u64>, u64, &'a [u8; PAIR_LEN]),
    /// Bytes at this offset: a group, or some chunks of one.
    Data(u64, &'a [u8]),
}

/// Proves a stream. Bytes come in, proved items go out, and nothing is kept but the values on the way and one
/// item that is not whole yet.
#[derive(Debug)]
pub(crate) struct Decoder {
    size: u64,
    selection: Selection,
    /// What comes next, last one first, with its proved value.
    stack: Vec<(Node, Cv)>,
    /// The beginning of the next item.
    begun: Vec<u8>,
    remaining: u64,
}

impl Decoder {
    /// For the stream of these ranges of a blob that has `size` bytes, as is claimed.
    pub(crate) fn new(hash: Hash, size: u64, ranges: &ChunkRanges) -> Self {
        let selection = Selection::new(ranges, size);
        let root = Node::root(size);
        let stack = match root.is_selected(&selection) {
            true => vec![(root, *hash.as_bytes())],
            false => Vec::new(),
        };
        Self {
            remaining: encoded_len(size, &selection),
            size,
            selection,
            stack,
            begun: Vec::new(),
        }
    }

    /// The size that is claimed.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether everything has come.
    pub(crate) fn is_done(&self) -> bool {
        self.stack.is_empty()
    }

    /// Bytes still to come, if the claimed size is right.
    pub(crate) fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Takes what it can of `bytes`, and tells how many that were: all of them but at the end of the stream, or
    /// when `each` stops it. Where there are several cores, the others hash ahead of it.
    ///
    /// After an error nothing is proved any more, and it must not go on.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        each: impl FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<usize, StreamError> {
        #[cfg(feature = "parallel")]
        if has_more_cores() && bytes.len() > 2 * GROUP_LEN {
            let leaves = self.leaves(bytes);
            return in_order(
                &leaves,
                |(node, bytes)| value_of(*node, bytes),
                |next| self.take(bytes, &mut || Some(*next()?.1), each),
            );
        }
        self.take(bytes, &mut || None, each)
    }

    /// Goes through `bytes`. `found` is asked once for each leaf that comes in one piece, in their order, and may know its
    /// value.
    fn take(
        &mut self,
        bytes: &[u8],
        found: &mut dyn FnMut() -> Option<Cv>,
        mut each: impl FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<usize, StreamError> {
        let mut rest = bytes;
        while let Some((node, value)) = self.stack.last().copied() {
            let is_leaf = node.is_leaf(&self.selection);
            let range = node.bytes(self.size);
            let len = self.len_of(node, is_leaf);
            let (now, later) = rest.split_at(rest.len().min(len - self.begun.len()));
            rest = later;
            self.remaining = self.remaining.saturating_sub(now.len() as u64);
            // Where it is in one piece it is not copied.
            let mut begun = Vec::new();
            if now.len() < len {
                self.begun.extend(now);
                if self.begun.len() < len {
                    break;
                }
                begun = std::mem::take(&mut self.begun);
            }
            let item = if begun.is_empty() { now } else { &begun };
            self.stack.pop();
            let flow = match is_leaf {
                true => {
                    let found = match begun.is_empty() {
                        true => found(),
                        false => None,
                    };
                    each(leaf(node, &value, found, range.start, item)?)
                }
                false => self.pair(node, &value, item, &mut each)?,
            };
            if flow.is_break() {
                break;
            }
        }
        Ok(bytes.len() - rest.len())
    }

    /// How many bytes a stream has of a node: of a leaf, which is a group at most, or of a pair.
    fn len_of(&self, node: Node, is_leaf: bool) -> usize {
        let range = node.bytes(self.size);
        match is_leaf {
            true => usize::try_from(range.end - range.start).unwrap_or(usize::MAX),
            false => PAIR_LEN,
        }
    }

    /// The leaves that come in one piece in these bytes, in their order. What comes depends on the size alone: whether it
    /// is right is seen when its turn is.
    #[cfg(feature = "parallel")]
    fn leaves<'a>(&self, bytes: &'a [u8]) -> Vec<Ahead<(Node, &'a [u8]), Cv>> {
        let mut leaves = Vec::new();
        let mut rest = bytes;
        let mut stack: Vec<Node> = self.stack.iter().map(|(node, _)| *node).collect();
        let mut begun = self.begun.len();
        while let Some(node) = stack.pop() {
            let is_leaf = node.is_leaf(&self.selection);
            let len = self.len_of(node, is_leaf);
            let was_begun = begun > 0;
            let Some((now, later)) = rest.split_at_checked(len - std::mem::take(&mut begun)) else {
                break;
            };
            rest = later;
            if !is_leaf {
                let (left, right) = node.split();
                let halves = [right, left].into_iter();
                stack.extend(halves.filter(|half| half.is_selected(&self.selection)));
            } else if !was_begun {
                leaves.push(Ahead::new((node, now)));
            }
        }
        leaves
    }

    fn pair(
        &mut self,
        node: Node,
        value: &Cv,
        pair: &[u8],
        each: &mut impl FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StreamError> {
        let range = node.bytes(self.size);
        let wrong = StreamError::Pair {
            offset: range.start,
            len: range.end - range.start,
        };
        let (left_value, right_value) = split_pair(pair).ok_or(wrong)?;
        if parent(&left_value, &right_value, node.is_root) != *value {
            return Err(wrong);
        }
        let (left, right) = node.split();
        for (half, value) in [(right, right_value), (left, left_value)] {
            if half.is_selected(&self.selection) {
                self.stack.push((half, value));
            }
        }
        Ok(match pair.first_chunk() {
            Some(pair) if node.is_stored() => {
                let groups = node.start / GROUP_CHUNKS..node.end().div_ceil(GROUP_CHUNKS);
                each(Item::Pair(groups, node.offset, pair))
            }
            _ => ControlFlow::Continue(()),
        })
    }
}

fn value_of(node: Node, bytes: &[u8]) -> Cv {
    match node.is_root {
        true => *Hash::of(bytes).as_bytes(),
        false => subtree_value(node.start, bytes),
    }
}

/// `found` is the value of the bytes, if it was computed before.
fn leaf<'a>(
    node: Node,
    value: &Cv,
    found: Option<Cv>,
    offset: u64,
    bytes: &'a [u8],
) -> Result<Item<'a>, StreamError> {
    let found = found.unwrap_or_else(|| value_of(node, bytes));
    debug_assert_eq!(offset, node.start * CHUNK);
    if found == *value {
        Ok(Item::Data(offset, bytes))
    } else {
        let len = bytes.len() as u64;
        Err(StreamError::Data { offset, len })
    }
}

#[cfg(test)]
mod tests {
    use bao_tree::{
        BaoTree, BlockSize, ChunkNum,
        io::{outboard::PreOrderMemOutboard, sync::encode_ranges_validated},
    };
    use proptest::prelude::*;
    use range_collections::RangeSet2;

    use super::*;
    use crate::{
        stream::encode_part,
        tree::{GROUP, GROUP_LEN, group_range, groups},
    };

    const GROUPS_OF_16_KIB: BlockSize = BlockSize::from_chunk_log(4);

    fn data(size: usize) -> Vec<u8> {
        (0..size)
            .map(|i| u8::try_from((i / 249 + i * 11) % 256).unwrap())
            .collect()
    }

    /// The stream by bao-tree.
    fn oracle(data: &[u8], ranges: &ChunkRanges) -> (Hash, Vec<u8>) {
        let outboard = PreOrderMemOutboard::create(data, GROUPS_OF_16_KIB);
        let boundaries = ranges.boundaries().iter().map(|at| ChunkNum(*at)).collect();
        let ranges: RangeSet2<ChunkNum> = RangeSet2::new(boundaries).unwrap();
        let mut stream = Vec::new();
        encode_ranges_validated(data, &outboard, &ranges, &mut stream).unwrap();
        assert_eq!(
            outboard.tree,
            BaoTree::new(data.len() as u64, GROUPS_OF_16_KIB)
        );
        (outboard.root.into(), stream)
    }

    /// Bytes by offset, offsets of pairs.
    type Found = (Vec<(u64, Vec<u8>)>, Vec<u64>);

    /// What comes of a stream in pieces of this size.
    fn decoded(
        hash: Hash,
        size: u64,
        ranges: &ChunkRanges,
        stream: &[u8],
        piece: usize,
    ) -> Result<Found, StreamError> {
        let mut decoder = Decoder::new(hash, size, ranges);
        assert_eq!(decoder.remaining(), ranges.stream_len(size));
        let (mut found, mut pairs) = (Vec::new(), Vec::new());
        let mut each = |item: Item<'_>| {
            match item {
                Item::Pair(_, offset, _) => pairs.push(offset),
                Item::Data(offset, bytes) => found.push((offset, bytes.to_vec())),
            }
            ControlFlow::Continue(())
        };
        decoder.feed(&[], &mut each)?;
        let mut fed = 0;
        for piece in stream.chunks(piece) {
            assert_eq!(decoder.feed(piece, &mut each)?, piece.len());
            fed += piece.len() as u64;
            assert_eq!(decoder.remaining(), ranges.stream_len(size) - fed);
        }
        match decoder.is_done() {
            true => Ok((found, pairs)),
            false => Err(StreamError::Truncated {
                missing: decoder.remaining(),
            }),
        }
    }

    fn sets() -> impl Strategy<Value = ChunkRanges> {
        let near = proptest::collection::btree_set(0..200_u64, 0..7);
        let far = prop_oneof![Just(None), Just(Some(u64::MAX)), Just(Some(1 << 53))];
        (near, far).prop_map(|(mut set, far)| {
            set.extend(far);
            let boundaries: Vec<u64> = set.into_iter().collect();
            ChunkRanges::from_boundaries(&boundaries).unwrap()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// The lengths are those of bao-tree, and every stream of it is understood, in any pieces.
        #[test]
        fn streams_of_bao_tree_are_understood(size in 0..180_000_usize, ranges in sets(), piece in 1..70_000_usize) {
            let data = data(size);
            let (hash, stream) = oracle(&data, &ranges);
            let size = data.len() as u64;
            prop_assert_eq!(ranges.stream_len(size), stream.len() as u64);
            let (found, _) = decoded(hash, size, &ranges, &stream, piece).unwrap();
            let selection = Selection::new(&ranges, size);
            let mut expected = vec![false; data.len()];
            for (at, is_expected) in expected.iter_mut().enumerate() {
                let chunk = at as u64 / 1024;
                *is_expected = selection.has_any(chunk, chunk + 1);
            }
            for (offset, bytes) in found {
                let start = usize::try_from(offset).unwrap();
                prop_assert!(data[start..start + bytes.len()] == bytes[..]);
                for is_expected in &mut expected[start..start + bytes.len()] {
                    prop_assert!(std::mem::take(is_expected), "{} came unasked or twice", offset);
                }
            }
            prop_assert!(!expected.contains(&true));
        }

        /// A part of a group, as bao-tree has it.
        #[test]
        fn parts_of_a_group_equal_bao_tree(size in 1..50_000_usize, ranges in sets(), group in 0..4_u64) {
            let data = data(size);
            let size = data.len() as u64;
            let group = group % groups(size);
            let within = ranges.intersection(&ChunkRanges::of_groups(group..group + 1));
            let selection = Selection::new(&within, size);
            let (_, stream) = oracle(&data, &within);
            let range = group_range(group, size);
            let bytes = &data[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
            let mut part = Vec::new();
            encode_part(group, size, bytes, &selection, &mut part);
            // Before it the pairs on the way down to it.
            prop_assert!(stream.ends_with(&part));
            prop_assert_eq!((stream.len() - part.len()) % 64, 0);
        }
    }

    /// However large a size is claimed, what is kept is the way down.
    /// BI-075, BI-077.
    #[test]
    fn absurd_sizes_cost_nothing() {
        let data = data(3 * GROUP_LEN);
        let (hash, stream) = oracle(&data, &ChunkRanges::all());
        for size in [0, 1, GROUP, 4 * GROUP + 1, 1 << 40, 1 << 63, u64::MAX] {
            let mut decoder = Decoder::new(hash, size, &ChunkRanges::all());
            let mut data = 0;
            let outcome = decoder.feed(&stream, |item| {
                data += usize::from(matches!(item, Item::Data(..)));
                ControlFlow::Continue(())
            });
            assert!(outcome.is_err() || !decoder.is_done(), "{size}");
            assert!(decoder.stack.capacity() + decoder.begun.capacity() < 2 * GROUP_LEN);
            // Of the sizes above, only one has the same first groups.
            assert!(data == 0 || size == 4 * GROUP + 1, "{size}");
        }
    }

    /// BI-075.
    #[test]
    fn every_flipped_bit_ends_the_stream_at_its_place() {
        let data = data(2 * GROUP_LEN + 2000);
        let size = data.len() as u64;
        let (hash, stream) = oracle(&data, &ChunkRanges::all());
        let whole = decoded(hash, size, &ChunkRanges::all(), &stream, 5000).unwrap();
        assert_eq!(whole.1, [8, 72]);
        for at in (0..stream.len()).step_by(97).chain([0, 63, 64, 127, 128]) {
            let mut wrong = stream.clone();
            wrong[at] ^= 0x10;
            let error = decoded(hash, size, &ChunkRanges::all(), &wrong, 5000).unwrap_err();
            let expected = match at {
                0..64 => StreamError::Pair {
                    offset: 0,
                    len: size,
                },
                64..128 => StreamError::Pair {
                    offset: 0,
                    len: 2 * GROUP,
                },
                _ => {
                    let offset = ((at - 128) / GROUP_LEN * GROUP_LEN) as u64;
                    let len = (size - offset).min(GROUP);
                    StreamError::Data { offset, len }
                }
            };
            assert_eq!(error, expected, "{at}");
        }
    }
}
