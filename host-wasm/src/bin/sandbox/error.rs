//! Why the command is not run, or not to its end.

use std::{error::Error as _, io, path::Path, path::PathBuf};

use flatbao::Refusal;
use flatbao_fs::FsError;
use flatbao_host::{ProgramError, RunError, RuntimeError, StopReason};

pub(crate) type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{variable} is not a number of {unit}")]
    Setting {
        variable: &'static str,
        unit: &'static str,
    },
    #[error(
        "there is no flatbao-assisted.wasm or flatbao.wasm in {} or ../wasm of it",
        place.display()
    )]
    NoModule { place: PathBuf },
    #[error("{} cannot be run", path.display())]
    Module { path: PathBuf, source: ProgramError },
    #[error("there is nothing to run the program with")]
    Runtime(#[source] RuntimeError),
    #[error("cannot {op} {what}")]
    Io {
        op: &'static str,
        what: String,
        source: io::Error,
    },
    #[error("{text:?} is not UTF-8, and the sandbox has no other text")]
    NotUtf8 { text: String },
    #[error("{} is a symbolic link, and a sandbox sees none that lead out of it", path.display())]
    Link { path: PathBuf, to: PathBuf },
    #[error("{} is a FIFO, and a sandbox cannot read one", path.display())]
    Fifo { path: PathBuf },
    #[error("{} and {} would have one path in the sandbox, {guest}", first.display(), second.display())]
    Collision {
        guest: String,
        first: PathBuf,
        second: PathBuf,
    },
    #[error("the list on standard input is longer than {limit} bytes")]
    LongList { limit: u64 },
    #[error(transparent)]
    Directory(FsError),
    #[error(transparent)]
    Run(RunError),
}

impl Error {
    pub(crate) fn io(op: &'static str, what: &str) -> impl FnOnce(io::Error) -> Self {
        let what = what.to_owned();
        move |source| Self::Io { op, what, source }
    }

    pub(crate) fn module(path: &Path, source: ProgramError) -> Self {
        let path = path.to_owned();
        Self::Module { path, source }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Setting { .. } => "setting",
            Self::NoModule { .. } | Self::Module { .. } | Self::Runtime(_) => "sandbox",
            Self::Io { .. } | Self::Directory(_) => "io",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::Link { .. } => "link",
            Self::Fifo { .. } => "not_a_file",
            Self::Collision { .. } => "one_path",
            Self::LongList { .. } => "long_list",
            Self::Run(RunError::Stopped(_)) => "stopped",
            Self::Run(_) => "sandbox",
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NoModule { .. } => {
                "`cargo xtask wasm` makes them; FLATBAO_MODULE names one that is elsewhere"
            }
            Self::Module { .. } => "FLATBAO_MODULE names another; `cargo xtask wasm` makes them",
            Self::Setting { .. } => "leave the variable out, or give it a whole number",
            Self::NotUtf8 { .. } => "rename it, or use `flatbao`",
            Self::Link { to, .. } => {
                return Some(format!("name what it leads to: {}", to.display()));
            }
            Self::Fifo { .. } => "pipe it in, and write - in its place",
            Self::Collision { .. } => "write both without .. and without links on the way",
            Self::LongList { .. } => "put the list into a file, or use `flatbao`",
            Self::Run(RunError::Stopped(stopped)) => match &stopped.reason {
                StopReason::Memory { .. } => "FLATBAO_SANDBOX_MEMORY=BYTES allows more",
                StopReason::Deadline { .. } => "FLATBAO_SANDBOX_SECONDS=SECONDS allows more",
                _ => return None,
            },
            _ => return None,
        };
        Some(text.to_owned())
    }

    /// The error and its causes on one line.
    fn message(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let store = |error| Self::Store(flatbao_core::Error::Backend(error));
        match error {
            // In the words of the command.
            Error::Run(RunError::Busy { .. }) => store(flatbao_core::BackendError::Busy),
            Error::Run(RunError::Lock { source, .. }) => store(source),
            Error::Directory(source) | Error::Run(RunError::OpenStore { source, .. }) => {
                Self::Directory(source)
            }
            other => Self::Other {
                kind: other.kind(),
                message: other.message(),
                hint: other.hint(),
            },
        }
    }
}
