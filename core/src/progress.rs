//! What long work says of itself, and how it is stopped.

use std::ops::ControlFlow;

/// A step of long work. Steps come often: at least every few megabytes or a thousand entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Entries of the store's listing so far.
    Listed {
        /// Entries.
        entries: u64,
    },
    /// Bytes of an import read and hashed so far.
    Imported {
        /// Bytes.
        bytes: u64,
        /// All bytes, when the source tells.
        total: Option<u64>,
    },
    /// Bytes of an export proved so far; written as well, unless they are moved. They are counted anew when
    /// data that were to be moved have to be copied.
    Exported {
        /// Bytes.
        bytes: u64,
        /// All bytes.
        total: u64,
    },
    /// Bytes proved while an outboard is rebuilt, or an interrupted completion is finished.
    Verified {
        /// Bytes.
        bytes: u64,
        /// All bytes.
        total: u64,
    },
    /// Bytes of a stream sent so far.
    Sent {
        /// Bytes.
        bytes: u64,
        /// All bytes.
        total: u64,
    },
    /// Bytes of a stream received so far.
    Received {
        /// Bytes.
        bytes: u64,
        /// All bytes, if the size that the stream claims is right.
        total: u64,
    },
    /// Blobs of a copy that are there so far, and the bytes that came for them.
    Copied {
        /// Blobs.
        blobs: u64,
        /// All blobs.
        total: u64,
        /// Bytes.
        bytes: u64,
    },
    /// Blobs looked at so far in a verification, and the bytes that took.
    Checked {
        /// Blobs.
        blobs: u64,
        /// Bytes.
        bytes: u64,
    },
    /// Blobs that were made durable so far, before a tag relies on them.
    Settled {
        /// Blobs.
        blobs: u64,
        /// All that the tag reaches.
        total: u64,
    },
    /// Blobs that were found to be reachable so far.
    Marked {
        /// Blobs.
        blobs: u64,
    },
    /// Blobs that a collection has removed so far.
    Swept {
        /// Blobs.
        blobs: u64,
        /// All that the plan names.
        total: u64,
    },
}

/// Is told of every step, and may answer [`ControlFlow::Break`] to stop the work. Stopped work leaves no
/// trace but what it had completed, and returns [`Error::Cancelled`](crate::Error::Cancelled).
///
/// A callback is never called under a lock, so that it may use the store; while a store is being opened there
/// is none yet, and its back end must be left alone.
pub type Watch<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// The callback of the plain calls: never stops.
pub fn unwatched(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
