//! Runs a WebAssembly program in a sandbox: it gets the directories, files, streams and variables it was
//! granted, and nothing else. What it costs is limited, and whatever it does, the host goes on.
//!
//! ```no_run
//! use std::time::Duration;
//! use flatbao_host::{Program, Runtime, Sandbox};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = Runtime::new()?;
//! let program = Program::from_file(&runtime, "flatbao.wasm")?;
//! let finished = Sandbox::new()
//!     .store("blobs", "/store")
//!     .memory_limit(512 << 20)
//!     .deadline(Duration::from_secs(60))
//!     .run(&program, ["flatbao", "--store", "/store", "list"])?;
//! print!("{}", String::from_utf8_lossy(&finished.success()?.stdout));
//! # Ok(())
//! # }
//! ```
//!
//! # What runs
//! A *core module* made for WASI preview 1, or a *component* made for WASI 0.2; its header tells which. Modules
//! go through a gate of ours that knows what every descriptor is. There, limits on written bytes and open
//! descriptors and grants of single files are enforced; a directory can be made durable; and listing one takes
//! time in proportion to its length. Components talk to the implementation of `wasmtime-wasi` directly: what only the
//! gate can enforce is refused for them ([`RunError::NotForComponents`]), never silently left out.
//!
//! # Stores
//! [`Sandbox::store`] locks a store before the program starts and unlocks it after it has ended, in whatever way.
//! So the program opens it as one that the host has locked.
//!
//! # What is not promised
//! A deadline ends computing and sleeping. It does not interrupt a call to the operating system that blocks, such as
//! reading from an inherited standard input; only ending the process does.

mod gate;
mod hashing;
mod launch;
mod locks;
mod meter;
mod outcome;
mod output;
mod program;
mod run;
mod runtime;
mod sandbox;

pub use hashing::{GROUP_SIZE, HASH_FUNCTION, HASH_MODULE, MAX_HASHED, hash_groups};
pub use outcome::{ExitError, Finished, RunError, StopReason, Stopped, Stream, Usage};
pub use program::{Program, ProgramError};
pub use runtime::{CodeCache, Runtime, RuntimeBuilder, RuntimeError};
pub use sandbox::{FileAccess, Input, Name, Output, Sandbox};
