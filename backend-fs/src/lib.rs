//! flatbao on a directory of the operating system.
//!
//! # What is handed in
//!
//! A store gets a *directory*, not a path. A path means something else as soon as somebody renames a
//! parent or puts a link in its place; an open directory goes on meaning what it meant. That is why
//! [`open()`] takes an open directory, such as a [`cap_std::fs::Dir`], and why everything that looks up a path with the rights of the
//! whole process says so in its name: [`open_ambient`], [`create_ambient`], [`grant_ambient`]. A program
//! that calls none of them gives its store no right but those to the directories that it hands over.
//!
//! # What is in the directory is not trusted
//!
//! Whoever else can write there can put a link to `/etc/passwd` under a blob's name, or a FIFO that would
//! let a reader wait forever. [`CapDir`] opens a name without following it and without waiting, and then
//! asks the open file what it is, not the name: between two questions about a name anything may be
//! swapped in. What is not a regular file is never read, written or followed.
//!
//! # What a sync is worth
//!
//! On Linux a file and a directory are durable when `fsync` returns, as far as the disk keeps its word.
//! On macOS the stronger `F_FULLFSYNC` is used, because `fsync` there leaves bytes in the disk's cache.
//! Windows cannot sync a directory: a store there promises
//! [atomicity only](flatbao_core::Durability::Atomic), and no more is pretended.
//!
//! # Under WASI
//!
//! Every directory is a capability there: a guest has those that its host granted, and paths that lead out of
//! them lead nowhere. `WasiDir` takes the place of [`CapDir`]; both have the same promises and the same tests.
//! Two of them a guest cannot keep alone:
//!
//! - *Locks.* WASI has none. The host takes the lock before it starts the guest, and the guest opens with
//!   [`Locking::HostHolds`]; or nobody does, and it says so with [`Locking::None`], which deletes nothing.
//!   Otherwise opening for writing is [`BackendError::NoLocks`].
//! - *Directories that are synced.* Under preview 2 they can be, and under preview 1 where the host knows how
//!   (Node's does, wasmtime's does not). Whether it does is asked at every opening for writing; where it does
//!   not, that is [`BackendError::NoSync`], unless the store is told to promise [`Durability::Atomic`] only.
//!
//! The host of this project (`flatbao-host`) does both. A name that is not UTF-8 cannot be told under preview 2,
//! where it is listed as U+FFFD; under preview 1 wasmtime refuses to list a directory with such a name.
//!
//! [`Locking::HostHolds`]: flatbao_core::store::Locking::HostHolds
//! [`Locking::None`]: flatbao_core::store::Locking::None
//! [`BackendError::NoLocks`]: flatbao_core::BackendError::NoLocks
//! [`BackendError::NoSync`]: flatbao_core::BackendError::NoSync
//! [`Durability::Atomic`]: flatbao_core::Durability::Atomic
//!
//! # One directory or three
//!
//! A store of this project lies in one directory. Those of the peer lie in three, under the names that it
//! gave them through its versions; [`open_ambient`] knows these [`Layout`]s, and [`open_areas`] takes any
//! three directories.
//!
//! # Example
//!
//! ```
//! use flatbao_core::{Backend, FileName, Hash, ReadAt, WriteAt, Uuid};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let temporary = tempfile::tempdir()?;
//! let path = temporary.path().join("store");
//! let store = flatbao_fs::create_ambient(&path)?;
//!
//! // A store does this for every import: stage, then publish.
//! let lock = store.lock()?;
//! let mut staged = store.stage_new(&FileName::Temp(Uuid::from_bytes([7; 16])))?;
//! staged.write_at(b"hello", 0)?;
//! let name = FileName::Data(Hash::of(b"hello"));
//! store.publish(vec![(staged, name.clone())])?;
//! drop(lock);
//!
//! // Whoever holds the directory, and nothing but the directory, can read it.
//! let dir = cap_std::fs::Dir::open_ambient_dir(&path, cap_std::ambient_authority())?;
//! let object = flatbao_fs::open(dir).open(&name)?.ok_or("not there")?;
//! let mut bytes = [0; 16];
//! assert_eq!(object.read_at(&mut bytes, 0)?, 5);
//! assert_eq!(&bytes[..5], b"hello");
//!
//! use flatbao_fs::{Found, Layout, probe};
//! assert_eq!(probe(&path)?, Found::Store(Layout::Single));
//! assert_eq!(probe(temporary.path())?, Found::NotAStore);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

#[cfg(not(target_os = "wasi"))]
mod cap_dir;
#[cfg(not(target_os = "wasi"))]
mod cap_file;
mod env;
mod error;
mod layout;
mod open;
#[cfg(target_os = "wasi")]
mod wasi_dir;
#[cfg(target_os = "wasi")]
mod wasi_file;

#[cfg(not(target_os = "wasi"))]
pub use cap_dir::{CapDir, CapLock};
#[cfg(not(target_os = "wasi"))]
pub use cap_file::CapFile;
pub use env::{SystemClock, SystemEntropy, system_env};
pub use error::FsError;
pub use layout::Layout;
pub use open::{
    Found, FsBackend, create_ambient, create_ambient_with, grant_ambient, open, open_ambient,
    open_areas, probe,
};
#[cfg(target_os = "wasi")]
pub use wasi_dir::WasiDir;
#[cfg(target_os = "wasi")]
pub use wasi_file::WasiFile;

/// The directory of this platform.
#[cfg(not(target_os = "wasi"))]
pub type SystemDir = CapDir;
/// The directory of this platform.
#[cfg(target_os = "wasi")]
pub type SystemDir = WasiDir;
