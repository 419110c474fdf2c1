//! What only some platforms need.

use clap::{Args, ValueEnum};
use flatbao_core::{Durability, store::Locking};

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options for platforms without locks or syncing")]
pub(crate) struct Special {
    /// Who holds the store's lock for writing: own, this command takes it; held, whoever started this command
    /// does; none, nobody does: then nothing is ever deleted, and rm, gc, repair and export --forget fail with
    /// exit code 1
    #[arg(long, global = true, value_name = "WHO", default_value = "own")]
    pub(crate) locking: Locker,
    /// What writing promises: durable, it is synced and survives a power loss; atomic, nothing is synced:
    /// files are old or new if the process dies, not if the power fails
    #[arg(long, global = true, value_name = "HOW", default_value = "durable")]
    pub(crate) durability: Promise,
    /// Where relative paths begin. A guest has no current directory but the one that its host tells.
    #[cfg(target_os = "wasi")]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) current_dir: Option<std::path::PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Locker {
    Own,
    Held,
    None,
}

impl From<Locker> for Locking {
    fn from(locker: Locker) -> Self {
        match locker {
            Locker::Own => Self::Exclusive,
            Locker::Held => Self::HostHolds,
            Locker::None => Self::None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Promise {
    Durable,
    Atomic,
}

impl From<Promise> for Durability {
    fn from(promise: Promise) -> Self {
        match promise {
            Promise::Durable => Self::Durable,
            Promise::Atomic => Self::Atomic,
        }
    }
}
