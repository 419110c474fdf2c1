//! The core of flatbao: a synchronous, content-addressed store of verified blobs, without a system call of
//! its own.
//!
//! A blob is named by its BLAKE3 hash, and lies in a flat directory of plain files (see [`mod@format`]). Every
//! read is verified on its way, 16 KiB at a time. Tags, temporary tags and hash sequences say what lives,
//! and a mark-and-sweep collection removes the rest.
//!
//! # Where to start
//!
//! [`Store`] is what programs use. It runs over a [`Backend`]; two are at hand: the directory of the crate
//! `flatbao-fs`, and the memory of `flatbao-mem`. Whoever writes another one has two seams to choose from:
//! [`Backend`] for anything that can stage and publish, an object store for example, and [`Dir`] for
//! anything that behaves like a directory, which [`FlatDir`] makes a durable back end of. The crate
//! `flatbao-tests` tells whether it keeps the promises of either.
//!
//! # What is promised
//!
//! - No byte is handed out that was not proved to belong to the blob, and no length.
//! - What a call acknowledges survives a power loss, as far as the medium keeps its word.
//! - A collection deletes nothing that a tag, a temporary tag or work under way reaches, and nothing at all
//!   when it cannot tell.
//! - No content of any file makes it panic, or allocate for more than is really there.
//! - When a sync has failed nothing more is written, until the store is opened anew.
//!
//! Time and randomness are handed in ([`Env`]): with the same ones, the same calls make the same files.
#![forbid(unsafe_code)]

pub mod backend;
mod beside;
mod content;
pub mod dir;
pub mod env;
pub mod error;
pub mod flat;
mod gather;
pub mod hash;
mod hasher;
mod homes;
mod index;
pub mod io;
mod kernel;
mod leaves;
pub mod limits;
pub mod name;
mod outboard;
mod parts;
pub mod paths;
pub mod progress;
mod proof;
mod ranges;
mod reader;
pub mod sequence;
pub mod store;
mod stream;
mod sync;
pub mod tag;
pub mod tag_file;
pub mod text;
mod trailer;
pub mod tree;

#[doc = include_str!("../FORMAT.md")]
pub mod format {}

pub use backend::{Backend, BackendError, BatchError, Listed, ListedName};
pub use dir::{Access, Dir, DirFile, EntryKind, Opened, Stamp, Unlinked, unlink_in_order};
pub use env::{Clock, Entropy, Env};
pub use error::{Damage, Error, NotWritable, Result, TagDamage};
pub use flat::{Durability, FlatDir, OutgoingFile, StagedFile};
pub use hash::{BlobFormat, Hash, HashAndFormat, ParseHashError};
pub use io::{ReadAt, WriteAt};
pub use kernel::TempTag;
pub use name::{Area, FileName, Uuid};
pub use outboard::outboard_of;
pub use paths::{ExternalPath, PathError, PathSet, PathsError};
pub use progress::Progress;
pub use ranges::{ChunkRanges, RangesError};
pub use reader::BlobReader;
pub use sequence::{Collection, CollectionError, HashSeq, HashSeqError};
pub use store::{OpenOptions, Recovery, Store};
pub use stream::StreamError;
pub use tag::{Tag, TagError};
pub use tag_file::{TagFile, TagFileError, TagMap};
