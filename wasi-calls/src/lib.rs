//! Calls out of a WASI sandbox that the standard library does not make: the one place of flatbao with unsafe
//! code.
//!
//! Every call has a module of its own. What it is handed is checked in safe code, and all that is unsafe is the
//! call itself. Where a target does not have a call, this crate does not have it either.
#![deny(unsafe_code)]

// Its checks are tested where tests run.
#[cfg(any(
    test,
    all(feature = "host-hash", target_os = "wasi", target_env = "p1")
))]
mod groups;

#[cfg(all(feature = "host-hash", target_os = "wasi", target_env = "p1"))]
pub use groups::hash_groups;
