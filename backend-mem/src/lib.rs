//! flatbao in memory: a disk that can crash, and a back end that is no disk at all.
//!
//! # Why simulate
//!
//! What a store promises is about bad days: the process dies between two system calls, the power fails
//! between two writes, a sync reports an error and the next one reports success. On a real machine such a
//! day is rare, slow to make, and different every time. Here it is an ordinary test. [`SimDir`]
//! implements the inner seam, [`Dir`](flatbao_core::Dir), so that [`FlatDir`](flatbao_core::FlatDir) runs
//! its production protocol on it, call for call; nothing of that protocol is copied into this crate.
//!
//! # What the disk does
//!
//! - Every file has two contents: the one in the cache, which reads see, and the one that the last sync
//!   left on the disk. Directories have their names twice in the same way.
//! - [`SimDisk::crash`] keeps what is on the disk, [`SimDisk::crash_keeping_all`] what is in the cache,
//!   [`SimDisk::kill`] both, [`SimDisk::crash_keeping`] decides by file system, and
//!   [`SimDisk::crash_keeping_names`] by directory, about names alone.
//! - [`SimDisk::images`] are all the states between: any of the changes of names that wait for a sync, in the order of
//!   the calls or in any, and of every file that waits for one the bytes of before and after, cut off, or zero.
//! - A sync of a file is about its bytes and not about its name; a sync of a directory is about the names
//!   in it and not about the bytes of its files. Syncing a name without the bytes leaves an empty file.
//! - A second name of a file is a name like the first: it waits for a sync of its own directory. So does the name
//!   of a new directory, and with that name goes all that is in it.
//! - A rename between two directories of one file system is *one* change: no crash shows the file in both
//!   or in neither. It becomes durable as soon as either directory is synced, along with the older changes
//!   of the same names that it builds on. Real file systems may be worse; this one orders what a rename
//!   consists of.
//! - A sync that fails loses what it was to make durable: bytes and names count as clean from then on,
//!   and a second sync says `Ok` and does nothing. That is what Linux does. One that is [ignored](Fault::ignored) says `Ok`
//!   and has done nothing.
//! - [`Moments`] keeps every moment of a run at which it might end, with what was promised by then.
//! - Each call of a method of `Dir` or `DirFile` is one numbered [`Op`] on the trace, and [`Fault`]s strike
//!   by number, by kind, by name or by any predicate.
//!
//! # What stays the same in every run
//!
//! Everything. There is no clock, no thread, no hash map and no other randomness than what a seed gives:
//! [`seeded_env`] is the [`Env`](flatbao_core::Env) to go with it, and [`replay`] tells a story by its seed. Entries are listed in the order of
//! their names.
//!
//! # Losing power
//!
//! ```
//! use std::ffi::OsStr;
//!
//! use flatbao_core::{Dir, DirFile};
//! use flatbao_mem::SimDisk;
//!
//! # fn main() -> std::io::Result<()> {
//! let disk = SimDisk::new();
//! let dir = disk.file_system("root").plant_dir("store")?;
//! for name in ["kept", "emptied", "lost"] {
//!     let file = dir.create_new(OsStr::new(name))?;
//!     file.write_at(b"bytes", 0)?;
//!     if name == "kept" {
//!         file.sync()?;
//!     }
//!     if name == "emptied" {
//!         // The names so far are durable from here on.
//!         dir.sync()?;
//!     }
//! }
//! assert_eq!(dir.content("lost").as_deref(), Some(&b"bytes"[..]));
//!
//! let disk = disk.crash();
//! let after = disk.file_system("root").plant_dir("store")?;
//! assert_eq!(after.content("kept").as_deref(), Some(&b"bytes"[..]));
//! assert_eq!(after.content("emptied").as_deref(), Some(&b""[..]));
//! assert_eq!(after.content("lost"), None);
//! // Who opened the directory before the crash has nothing any more.
//! assert!(dir.sync().is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # Two back ends
//!
//! `FlatDir<SimDir>` is one in-memory store. [`MemBackend`] is another, with no directory, no file and
//! no protocol beneath: a map from names to bytes. That both pass one conformance suite is what shows that
//! the outer seam does not secretly mean "a directory".

#![forbid(unsafe_code)]

mod backend;
mod content;
mod dir;
mod disk;
mod dump;
mod env;
mod fault;
mod file;
mod images;
mod machine;
mod moments;
mod names;
mod object;
mod op;
mod path;
mod shelf;

pub use backend::{MemBackend, MemLock};
pub use dir::{SimDir, SimLock};
pub use disk::{SimDisk, Waiting};
pub use env::{SeededEnv, SimClock, SimEntropy, replay, seeded_env};
pub use fault::Fault;
pub use file::SimFile;
pub use images::{Images, NameOrder};
pub use moments::{Moment, Moments, Past};
pub use object::{MemObject, MemOutgoing, MemStaged};
pub use op::{Op, OpKind};
