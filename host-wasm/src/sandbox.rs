//! What a program is granted.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Finished, Program, RunError, run};

/// What a program is granted, and what it may use. Nothing, unless told otherwise, but memory, time, and its output,
/// which is captured.
///
/// The same sandbox can run several programs, also at the same time.
#[derive(Debug, Clone)]
#[must_use]
pub struct Sandbox {
    pub(crate) grants: Vec<Grant>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) stdin: Input,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
    pub(crate) memory: Option<u64>,
    pub(crate) fuel: Option<u64>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) written: Option<u64>,
    pub(crate) open_files: usize,
    pub(crate) seed: Option<[u8; 32]>,
    pub(crate) trap_at: Option<u64>,
}

/// A directory of the host, and what may be done there.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
    pub(crate) access: Access,
    pub(crate) lock: Option<Lock>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    ReadOnly,
    ReadWrite,
    /// What has these names, and nothing else.
    Files(Vec<(Name, FileAccess)>),
}

/// That a grant is a store, which is locked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lock {
    pub(crate) create: bool,
}

/// What may be done to a single file, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileAccess {
    /// Reading.
    Read,
    /// Reading, writing, and making it if it is not there.
    Write,
    /// Whatever a flatbao does to something that it writes: it may be made, replaced and removed, as a file or as a
    /// directory with anything in it, and read. And so may files beside it with the names that are flatbao's for what
    /// is not whole yet, `.flatbao-….tmp`. A file that is there already is not written, only replaced: it may have
    /// other names.
    Replace,
}

/// What is granted by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// What has this name.
    Is(String),
    /// Whatever has a full hash in hexadecimal for a name, which is what a blob is restored to that has no other; but
    /// not these.
    FullHash {
        /// What was there before.
        but: Vec<String>,
    },
}

impl Name {
    /// Whether it is the name, or one of those, that are granted.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Is(granted) => granted == name,
            Self::FullHash { but } => {
                let is_hash = name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
                is_hash && !but.iter().any(|known| known == name)
            }
        }
    }
}

impl<T: Into<String>> From<T> for Name {
    fn from(name: T) -> Self {
        Self::Is(name.into())
    }
}

/// What a program reads from its standard input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Input {
    /// Nothing.
    #[default]
    Closed,
    /// These bytes.
    Bytes(Vec<u8>),
    /// The standard input of this process. Only one program at a time should have it, and no deadline interrupts it
    /// while it waits for input.
    Inherited,
}

/// Where a program's output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Into memory. A program that writes more is stopped.
    Captured {
        /// How many bytes it may write.
        limit: usize,
    },
    /// To the same stream of this process.
    Inherited,
    /// Nowhere.
    Discarded,
}

impl Default for Output {
    /// Captured, up to 16 MiB.
    fn default() -> Self {
        Self::Captured { limit: 16 << 20 }
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            grants: Vec::new(),
            variables: Vec::new(),
            stdin: Input::default(),
            stdout: Output::default(),
            stderr: Output::default(),
            memory: None,
            fuel: None,
            deadline: None,
            written: None,
            open_files: 512,
            seed: None,
            trap_at: None,
        }
    }
}

impl Sandbox {
    /// An empty sandbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Grants reading and writing the directory `host`, which the program finds at `guest`. It may make, rename and
    /// remove whatever it likes there, also links, but never get out.
    pub fn directory(self, host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        self.grant(host.into(), guest.into(), Access::ReadWrite, None)
    }

    /// Grants reading the directory `host`, which the program finds at `guest`.
    pub fn directory_read_only(self, host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        self.grant(host.into(), guest.into(), Access::ReadOnly, None)
    }

    /// Grants single files of the directory `host`, which the program finds under the same names in `guest`. Of
    /// everything else in that directory it sees nothing. It can open the files, look at what they are, list those of
    /// them that are there, and make the directory durable. Unless they may be [replaced](FileAccess::Replace) it cannot
    /// rename, remove or link them, and does not open a directory with one of the names. A symbolic link is not followed.
    ///
    /// For core modules only.
    pub fn files<N: Into<Name>>(
        self,
        host: impl Into<PathBuf>,
        guest: impl Into<String>,
        names: impl IntoIterator<Item = (N, FileAccess)>,
    ) -> Self {
        let names = names
            .into_iter()
            .map(|(name, access)| (name.into(), access));
        let access = Access::Files(names.collect());
        self.grant(host.into(), guest.into(), access, None)
    }

    /// Grants a flatbao store for reading and writing, which the program finds at `guest`. The store is locked while the
    /// program runs, so the program must open it as locked by its host. A core module cannot take the lock's file away.
    pub fn store(self, host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        let lock = Some(Lock { create: false });
        self.grant(host.into(), guest.into(), Access::ReadWrite, lock)
    }

    /// As [`store`](Self::store), after making the directory if there is none.
    pub fn create_store(self, host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        let lock = Some(Lock { create: true });
        self.grant(host.into(), guest.into(), Access::ReadWrite, lock)
    }

    /// Grants a flatbao store for reading, beside whoever writes to it.
    pub fn store_read_only(self, host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        self.directory_read_only(host, guest)
    }

    /// Gives the program a variable. It has no others.
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// What it reads from its standard input: nothing, unless told otherwise.
    pub fn stdin(mut self, input: Input) -> Self {
        self.stdin = input;
        self
    }

    /// Where its standard output goes.
    pub fn stdout(mut self, output: Output) -> Self {
        self.stdout = output;
        self
    }

    /// Where its standard error goes.
    pub fn stderr(mut self, output: Output) -> Self {
        self.stderr = output;
        self
    }

    /// The most memory it may have, in bytes, tables included. Without, up to 4 GiB.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// How much it may compute. One unit is about one instruction. The same program with the same input always uses the
    /// same. Needs a [metered](crate::RuntimeBuilder::metered) runtime.
    pub fn fuel(mut self, units: u64) -> Self {
        self.fuel = Some(units);
        self
    }

    /// How long it may run. That is noticed within some hundredths of a second, but not while a call to the operating system
    /// blocks. Needs an [interruptible](crate::RuntimeBuilder::interruptible) runtime.
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = Some(limit);
        self
    }

    /// How many bytes it may write to files, all together. More fails as on a full disk. What counts is every byte
    /// written, also over others, and no file may be made longer than the limit; but a file that is only made longer costs
    /// nothing.
    ///
    /// For core modules only.
    pub fn write_limit(mut self, bytes: u64) -> Self {
        self.written = Some(bytes);
        self
    }

    /// How many descriptors it may have open: 512 unless told otherwise. A component has its streams and other
    /// handles counted too, and traps at the limit where a core module gets an error.
    pub fn open_files(mut self, count: usize) -> Self {
        self.open_files = count;
        self
    }

    /// Makes random numbers a function of `seed`, so that a run can be repeated. Whoever knows the seed knows them all.
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Stops the program when it calls the host for the `call`-th time, counted from 1, before that call does
    /// anything: for tests of what a program leaves behind that dies at any point. [`Usage`](crate::Usage) tells how many
    /// calls there are. A program that makes fewer runs to its end.
    pub fn trap_at_call(mut self, call: u64) -> Self {
        self.trap_at = Some(call);
        self
    }

    /// Runs a program. The first one of `args` is its name.
    ///
    /// # Errors
    /// When the sandbox cannot be made, a store is [`Busy`](RunError::Busy), or the program is
    /// [stopped](RunError::Stopped). That the program says that it failed is no error here; see
    /// [`Finished::success`].
    pub fn run<A: Into<String>>(
        &self,
        program: &Program,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Finished, RunError> {
        run::run(self, program, args.into_iter().map(Into::into).collect())
    }

    /// The directories that are granted in some way.
    pub(crate) fn granted(&self) -> impl Iterator<Item = &Path> {
        self.grants.iter().map(|grant| grant.host.as_path())
    }

    fn grant(mut self, host: PathBuf, guest: String, access: Access, lock: Option<Lock>) -> Self {
        self.grants.push(Grant {
            host,
            guest,
            access,
            lock,
        });
        self
    }
}
