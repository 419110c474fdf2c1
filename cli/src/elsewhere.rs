//! For a host that runs the command somewhere else: what it has to know of the arguments besides the
//! [places](crate::Places), and how it tells what goes wrong before the command begins.

use std::{
    io::{self, BufRead},
    path::{Path, PathBuf},
    process::ExitCode,
};

use flatbao_core::Error;
use flatbao_fs::FsError;

use crate::{
    args::{Cli, Command},
    code,
    commands::hash,
    error::CliError,
    output::Out,
};

/// Why a host does not run the command.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// A store cannot be used. It is told as the command tells it.
    Store(Error),
    /// The directory of a store cannot be used. It is told as the command tells it.
    Directory(FsError),
    /// Something of the host's own.
    Other {
        /// A stable word for programs.
        kind: &'static str,
        /// What is wrong.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
}

impl Cli {
    /// Whether the command can be run in a sandbox. What is made once for all, for the shell or the manual, is not
    /// made there.
    #[must_use]
    pub fn is_for_sandboxes(&self) -> bool {
        !matches!(self.command, Command::Completions(_) | Command::Man(_))
    }

    /// The store, if it is only the environment of this process that names it.
    #[must_use]
    pub fn store_from_environment(&self) -> Option<&Path> {
        let store = self.global.store.as_path();
        self.store_is_from_environment.then_some(store)
    }

    /// Whether the arguments say which files outside a store may be read that it refers to. Where they do not, all
    /// may that the process can read.
    #[must_use]
    pub fn limits_external(&self) -> bool {
        self.global.no_external || !self.global.external.is_empty()
    }

    /// Tells why the command is not run, as it tells its own errors, and returns the exit code for it.
    #[must_use]
    pub fn refuse(&self, refusal: Refusal) -> ExitCode {
        let error = match refusal {
            Refusal::Store(error) => CliError::Store(error),
            Refusal::Directory(error) => CliError::Fs(error),
            Refusal::Other {
                kind,
                message,
                hint,
            } => CliError::Elsewhere {
                kind,
                message,
                hint,
            },
        };
        Out::new(&self.global).error(&error);
        code(error.exit())
    }
}

/// The paths that a list of hashes names, up to the first line that is none of a list's: what `hash --check` reads.
///
/// # Errors
/// When the list cannot be read.
pub fn listed(list: impl BufRead) -> io::Result<Vec<PathBuf>> {
    hash::listed(list)
}
