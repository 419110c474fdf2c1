//! The locks of the core: those of the standard library.
//!
//! `tests/shuttle` compiles the same sources with `--cfg flatbao_shuttle`, and with `shuttle` among the
//! dependencies: there every lock is a point at which another thread may be let run.

#[cfg(flatbao_shuttle)]
use shuttle::sync;
#[cfg(not(flatbao_shuttle))]
use std::sync;

pub(crate) use sync::{
    Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
