//! Calls out of a WASI sandbox that the standard library does not make: the one place of flatbao with unsafe
//! code.
//!
//! Every call has a module of its own. What it is handed is checked in safe code, and all that is unsafe is the
//! call itself. Where a target does not have a call, this crate does not have it either.
#![deny(unsafe_code)]

#[cfg(all(target_os = "wasi", target_env = "p1"))]
mod fd_readdir;
// Its checks are tested where tests run.
#[cfg(any(
    test,
    all(feature = "host-hash", target_os = "wasi", target_env = "p1")
))]
mod groups;
#[cfg(all(target_os = "wasi", target_env = "p1"))]
mod path_open;
#[cfg(all(target_os = "wasi", not(target_env = "p1")))]
mod readdir;

#[cfg(all(target_os = "wasi", target_env = "p1"))]
pub use fd_readdir::list;
#[cfg(all(feature = "host-hash", target_os = "wasi", target_env = "p1"))]
pub use groups::hash_groups;
#[cfg(all(target_os = "wasi", target_env = "p1"))]
pub use path_open::open_file;
#[cfg(all(target_os = "wasi", not(target_env = "p1")))]
pub use readdir::list;

/// What a directory entry is, as the system tells it without a look at the entry itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// Something else, or nothing that the system knew.
    Other,
}
