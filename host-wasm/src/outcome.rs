//! How a run can end.

use std::{fmt, io, path::PathBuf, time::Duration};

use flatbao_core::BackendError;
use flatbao_fs::FsError;

/// What a program did that ran to its end, whatever its exit code.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Finished {
    /// The exit code; 0 when the program just returned.
    pub code: i32,
    /// What it wrote to its standard output, if that was captured.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error, if that was captured.
    pub stderr: Vec<u8>,
    /// What it used.
    pub usage: Usage,
}

impl Finished {
    /// This, if the exit code is 0.
    ///
    /// # Errors
    /// The exit code and what the program wrote to its standard error.
    pub fn success(self) -> Result<Self, ExitError> {
        match self.code {
            0 => Ok(self),
            code => Err(ExitError {
                code,
                stdout: self.stdout,
                stderr: self.stderr,
            }),
        }
    }
}

/// A program said that it failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the program ended with exit code {code}{}", Tail(.stderr))]
#[non_exhaustive]
pub struct ExitError {
    /// The exit code, never 0.
    pub code: i32,
    /// What was captured of its standard output.
    pub stdout: Vec<u8>,
    /// What was captured of its standard error.
    pub stderr: Vec<u8>,
}

/// What a run used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Fuel, if it was limited. One unit is about one instruction.
    pub fuel: Option<u64>,
    /// The most memory and tables there were, in bytes.
    pub peak_memory: u64,
    /// Bytes written to files. Only counted for core modules.
    pub written: u64,
    /// How often the program called the host.
    pub host_calls: u64,
    /// How many times a directory was made durable. Only counted for core modules.
    pub directory_syncs: u64,
}

/// Why a program did not run, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It was stopped.
    #[error(transparent)]
    Stopped(Box<Stopped>),
    /// Somebody else writes to the store.
    #[error(
        "the store at {} is being written by another process; wait for it, or grant the store read-only",
        path.display()
    )]
    Busy {
        /// Where the store is.
        path: PathBuf,
    },
    /// The store could not be opened to lock it.
    #[error("the store at {} cannot be opened", path.display())]
    OpenStore {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: FsError,
    },
    /// The store could not be locked.
    #[error("the store at {} cannot be locked", path.display())]
    Lock {
        /// Where the store is.
        path: PathBuf,
        /// Why not.
        source: BackendError,
    },
    /// What was to be granted could not be looked at.
    #[error("cannot grant {}", path.display())]
    Grant {
        /// What was to be granted.
        path: PathBuf,
        /// Why it was not.
        source: io::Error,
    },
    /// A name of a file that was to be granted is none.
    #[error(
        "`{name}` is not the name of a single file; grant its directory instead, or name the file"
    )]
    FileName {
        /// What was given.
        name: String,
    },
    /// Compiled code is machine code: whoever can write to it leaves the sandbox.
    #[error(
        "the code cache at {} and the granted directory {} are one inside the other; choose another cache",
        cache.display(), grant.display()
    )]
    CacheGranted {
        /// Where compiled code is kept.
        cache: PathBuf,
        /// What was to be granted.
        grant: PathBuf,
    },
    /// An argument or a variable has a zero byte, which programs cannot be given.
    #[error("`{0}` contains a zero byte or, in the name of a variable, an equals sign")]
    Text(String),
    /// Components do not go through the gate that enforces this.
    #[error("{what} cannot be enforced for a component; use the program's core module")]
    NotForComponents {
        /// What was asked for.
        what: &'static str,
    },
    /// The runtime was made without what this limit needs.
    #[error("{what} needs a runtime made with `{with}`")]
    Runtime {
        /// What was asked for.
        what: &'static str,
        /// What the runtime would need.
        with: &'static str,
    },
    /// The host could not prepare the run.
    #[error("the sandbox could not be made")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A program that was stopped before its end.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}{}", Tail(.stderr))]
#[non_exhaustive]
pub struct Stopped {
    /// Why.
    pub reason: StopReason,
    /// What was captured of its standard output.
    pub stdout: Vec<u8>,
    /// What was captured of its standard error.
    pub stderr: Vec<u8>,
    /// What it had used.
    pub usage: Usage,
}

/// What stopped a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StopReason {
    /// It did what no program may do, or gave up: a panic ends this way.
    #[error("the program trapped: {0}")]
    Trap(String),
    /// It asked for more memory.
    #[error("the program needs more memory than the {limit} bytes it may have")]
    Memory {
        /// What it may have, in bytes.
        limit: u64,
    },
    /// It used up its fuel.
    #[error("the program used up its {limit} units of fuel")]
    Fuel {
        /// What it had.
        limit: u64,
    },
    /// Its time was up.
    #[error("the program was stopped after {limit:?}")]
    Deadline {
        /// What it had.
        limit: Duration,
    },
    /// It wrote too much.
    #[error("the program wrote more than {limit} bytes to its standard {stream}")]
    Output {
        /// Where to.
        stream: Stream,
        /// What it may write, in bytes.
        limit: usize,
    },
    /// It was to be stopped there; see [`Sandbox::trap_at_call`](crate::Sandbox::trap_at_call).
    #[error("the program was stopped at its host call {call}, as was asked for")]
    AtCall {
        /// At which call, counted from 1.
        call: u64,
    },
    /// A defect of the host itself. Please report it.
    #[error("a defect of the host stopped the program: {0}")]
    Defect(String),
}

/// One of a program's output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "output",
            Self::Stderr => "error",
        })
    }
}

/// The end of what a program said, which is where it says what went wrong.
struct Tail<'a>(&'a [u8]);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 2000;
        let start = self.0.len().saturating_sub(SHOWN);
        let text = String::from_utf8_lossy(&self.0[start..]);
        let text = text.trim();
        if text.is_empty() {
            return Ok(());
        }
        f.write_str("; it said: ")?;
        // Escaped, so that a hostile program cannot write to somebody's terminal through an error message.
        for c in text.chars() {
            if c.is_control() && c != '\n' {
                write!(f, "{}", c.escape_default())?;
            } else {
                fmt::Write::write_char(f, c)?;
            }
        }
        Ok(())
    }
}
