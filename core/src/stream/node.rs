//! The tree down to its chunks: a stream may end a group early, or begin it late.

use std::ops::Range;

use crate::{
    leaves::subtree_value,
    ranges::Selection,
    tree::{CHUNK, Cv, GROUP_CHUNKS, PAIR, PREFIX, chunks, left_of},
};

/// A subtree, in chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its first chunk.
    pub(crate) start: u64,
    /// Its chunks.
    pub(crate) chunks: u64,
    /// Where its pair stands in the outboard, if it [has one there](Self::is_stored).
    pub(crate) offset: u64,
    /// Whether it is the whole tree.
    pub(crate) is_root: bool,
}

impl Node {
    /// The whole tree of `size` bytes.
    pub(crate) const fn root(size: u64) -> Self {
        Self {
            start: 0,
            chunks: chunks(size),
            offset: PREFIX,
            is_root: true,
        }
    }

    /// Whether its pair is one of the outboard's: it has more than one group.
    pub(crate) const fn is_stored(self) -> bool {
        self.chunks > GROUP_CHUNKS
    }

    pub(crate) const fn end(self) -> u64 {
        self.start + self.chunks
    }

    /// The two halves of a subtree of at least two chunks.
    pub(crate) const fn split(self) -> (Self, Self) {
        let left_chunks = left_of(self.chunks);
        let left = Self {
            start: self.start,
            chunks: left_chunks,
            offset: self.offset + PAIR,
            is_root: false,
        };
        let right = Self {
            start: self.start + left_chunks,
            chunks: self.chunks - left_chunks,
            // Of no meaning below the groups.
            offset: self.offset + PAIR * (left_chunks / GROUP_CHUNKS),
            is_root: false,
        };
        (left, right)
    }

    /// Its bytes in a blob of `size` bytes.
    pub(crate) const fn bytes(self, size: u64) -> Range<u64> {
        let start = self.start * CHUNK;
        let end = self.end().saturating_mul(CHUNK);
        start..if end < size { end } else { size }
    }

    /// Whether its bytes come in one piece. Nothing above a group does.
    pub(crate) fn is_leaf(self, selection: &Selection) -> bool {
        self.chunks == 1 || (!self.is_stored() && selection.has_all(self.start, self.end()))
    }

    pub(crate) fn is_selected(self, selection: &Selection) -> bool {
        selection.has_any(self.start, self.end())
    }
}

/// Bytes of the stream of what is selected, without the size in front of it.
pub(crate) fn encoded_len(size: u64, selection: &Selection) -> u64 {
    fn len(node: Node, size: u64, selection: &Selection) -> u64 {
        if !node.is_selected(selection) {
            return 0;
        }
        let bytes = node.bytes(size);
        let bytes = bytes.end - bytes.start;
        if node.is_leaf(selection) {
            return bytes;
        }
        if node.is_stored() && selection.has_all(node.start, node.end()) {
            let pairs = (node.chunks.div_ceil(GROUP_CHUNKS) - 1) * PAIR;
            return bytes.saturating_add(pairs);
        }
        let (left, right) = node.split();
        len(left, size, selection)
            .saturating_add(len(right, size, selection))
            .saturating_add(PAIR)
    }
    len(Node::root(size), size, selection)
}

/// Appends what a stream has of a group of which not all chunks are selected, and tells how many bytes of data
/// that has. The bytes are all of the group's, and proved.
pub(crate) fn encode_part(
    group: u64,
    size: u64,
    bytes: &[u8],
    selection: &Selection,
    stream: &mut Vec<u8>,
) -> u64 {
    let start = group * GROUP_CHUNKS;
    let node = Node {
        start,
        chunks: GROUP_CHUNKS.min(chunks(size) - start),
        offset: 0,
        is_root: false,
    };
    encode_node(node, bytes, selection, stream)
}

fn encode_node(node: Node, bytes: &[u8], selection: &Selection, stream: &mut Vec<u8>) -> u64 {
    if !node.is_selected(selection) {
        return 0;
    }
    if node.is_leaf(selection) {
        stream.extend(bytes);
        return bytes.len() as u64;
    }
    let (left, right) = node.split();
    // At most a group.
    let at = usize::try_from(left.chunks * CHUNK).unwrap_or(bytes.len());
    let (left_bytes, right_bytes) = bytes.split_at(at.min(bytes.len()));
    let values: [Cv; 2] = [
        subtree_value(left.start, left_bytes),
        subtree_value(right.start, right_bytes),
    ];
    stream.extend(values.as_flattened());
    encode_node(left, left_bytes, selection, stream)
        + encode_node(right, right_bytes, selection, stream)
}
