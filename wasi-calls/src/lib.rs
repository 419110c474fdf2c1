//! The calls of a WASI guest that no safe library makes.
//!
//! All unsafe code of flatbao is here: every other crate forbids it. Each call has a module of its own, with
//! a safe function that checks what the call needs. On any other target the crate is empty.
#![deny(unsafe_code)]

#[cfg(all(target_os = "wasi", target_env = "p1"))]
mod fd_readdir;
#[cfg(all(target_os = "wasi", target_env = "p1"))]
pub use fd_readdir::list;

#[cfg(all(target_os = "wasi", not(target_env = "p1")))]
mod readdir;
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
