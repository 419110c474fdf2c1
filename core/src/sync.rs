//! The locks of the core: those of the standard library.
//!
//! `tests/shuttle` compiles the same sources from a manifest of its own, with `--cfg flatbao_shuttle` and `shuttle`
//! among the dependencies: there every lock is a point at which another thread may be let run. A lock of the standard
//! library that is held at such a point would stop all of them for ever.

#[cfg(flatbao_shuttle)]
use shuttle::sync;
#[cfg(not(flatbao_shuttle))]
use std::sync;

pub(crate) use sync::{
    Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
