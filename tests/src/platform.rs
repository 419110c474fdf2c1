//! What differs between the platforms that tests run on.
//!
//! Under WASI a test has a scratch directory of its own at `/tmp`, and nothing else to write to; the runner
//! (`flatbao-wasm-runner`) makes it, and nobody else is in it. So the runner stands for the host that holds the
//! lock.

// A test that has no place to run in fails.
#![allow(clippy::unwrap_used)]

use std::{io, path::Path};

use flatbao_core::{
    Backend, Env, Recovery, Result, Store,
    progress::unwatched,
    store::{Locking, OpenOptions},
};
use tempfile::TempDir;

/// A new directory for one test, removed with the value.
#[must_use]
pub fn scratch() -> TempDir {
    if cfg!(target_os = "wasi") {
        tempfile::tempdir_in("/tmp").unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// How a store on a real directory is opened for writing.
#[must_use]
pub fn options() -> OpenOptions {
    OpenOptions::default().locking(match cfg!(target_os = "wasi") {
        true => Locking::HostHolds,
        false => Locking::Exclusive,
    })
}

/// Opens a store on a real directory for writing.
///
/// # Errors
/// As [`Store::open`].
pub fn open<B: Backend>(backend: B, env: Env) -> Result<(Store<B>, Recovery)> {
    Store::open_with(backend, env, options(), &mut unwatched)
}

/// Makes a symbolic link.
///
/// # Errors
/// Whatever the system says; a WASI host refuses targets that begin with `/`.
pub fn symlink(target: impl AsRef<Path>, at: impl AsRef<Path>) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::symlink(target, at);
    #[cfg(target_os = "wasi")]
    return {
        let bytes = |path: &Path| path.as_os_str().as_encoded_bytes().to_vec();
        Ok(rustix::fs::symlink(
            bytes(target.as_ref()),
            bytes(at.as_ref()),
        )?)
    };
    #[cfg(not(any(unix, target_os = "wasi")))]
    return {
        let _ = (target, at);
        Err(io::ErrorKind::Unsupported.into())
    };
}
