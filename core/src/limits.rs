//! Bounds on what is read from disk before it is believed. Each is far above what a real store needs and
//! far below what would hurt.

/// Bytes of a tag name, written or read: a longer one in `tags.meta` makes the file count as damaged.
pub const MAX_TAG_NAME: usize = 64 * 1024;

/// Bytes of a `tags.meta` file. A million tags with names of 200 bytes fit.
pub const MAX_TAGS_FILE: u64 = 256 * 1024 * 1024;

/// Bytes of a `.paths` file, checked before it is read.
pub const MAX_PATHS_FILE: u64 = 1024 * 1024;

/// Bytes of the metadata blob of a collection, checked before it is read.
pub const MAX_COLLECTION_META: u64 = 64 * 1024 * 1024;

/// How often a name that is taken (a repeated uuid) is tried anew with another uuid.
pub const UUID_ATTEMPTS: usize = 16;

/// Partial entries of one blob that are asked for groups beside its other homes. More are no help, but handles.
pub const PARTIAL_HOMES: usize = 16;

/// Sizes that partial entries of one blob may claim and be asked about.
pub const MAX_CLAIMS: usize = 256;

/// Bytes of data that are hashed to make a missing outboard again: a hostile file may be large and empty.
pub const MAX_REBUILD: u64 = 1 << 40;
