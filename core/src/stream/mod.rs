//! Bao streams (FORMAT.md, "Streams"): in what order they have what, without a file or a wire.
//!
//! A stream is the tree of a blob in pre-order, without what was not asked for. Pairs come before what they
//! prove, so that every byte is proved as it arrives.

mod decoder;
mod node;

pub(crate) use decoder::{Decoder, Item};
pub(crate) use node::{encode_part, encoded_len};

/// What is wrong with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// A pair of chaining values is not what was proved to be there.
    #[error("the pair over the {len} bytes at offset {offset} is not the blob's")]
    Pair {
        /// Bytes from the start of the blob to what the pair is about.
        offset: u64,
        /// Bytes that it is about.
        len: u64,
    },
    /// Data are not what was proved to be there.
    #[error("the {len} bytes at offset {offset} are not the blob's")]
    Data {
        /// Bytes from the start of the blob.
        offset: u64,
        /// Bytes that are wrong.
        len: u64,
    },
    /// It ended too early.
    #[error("it ends {missing} bytes too early")]
    Truncated {
        /// Bytes of the stream that did not come, if the size that it claims is right.
        missing: u64,
    },
    /// It goes on after its end.
    #[error("it has more bytes than the ranges that were asked for")]
    TooLong,
    /// It claims another size than the one that was proved.
    #[error("it is of a blob of {claimed} bytes, and this one has {proved}")]
    Size {
        /// Bytes claimed.
        claimed: u64,
        /// Bytes proved.
        proved: u64,
    },
}
