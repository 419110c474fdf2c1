//! What `bao-tree` says, where flatbao has code of its own.

use bao_tree::{
    BlockSize, ChunkNum, ChunkRanges as BaoRanges,
    io::{outboard::PreOrderMemOutboard, sync::encode_ranges_validated},
};
use flatbao_core::ChunkRanges;

/// Groups of 16 chunks.
pub const GROUPS: BlockSize = BlockSize::from_chunk_log(4);

/// The same set of chunks.
///
/// # Panics
/// Never: the boundaries of one are in order for the other.
#[must_use]
#[allow(clippy::unwrap_used)]
pub fn ranges(ranges: &ChunkRanges) -> BaoRanges {
    let boundaries = ranges.boundaries().iter().map(|at| ChunkNum(*at)).collect();
    BaoRanges::new(boundaries).unwrap()
}

/// The stream of these chunks of a blob, the size in front.
///
/// # Panics
/// When `bao-tree` fails.
#[must_use]
#[allow(clippy::unwrap_used)]
pub fn stream(data: &[u8], chunks: &ChunkRanges) -> Vec<u8> {
    let outboard = PreOrderMemOutboard::create(data, GROUPS);
    let mut stream = (data.len() as u64).to_le_bytes().to_vec();
    encode_ranges_validated(data, &outboard, &ranges(chunks), &mut stream).unwrap();
    stream
}
