//! What a simulated disk remembers of the calls it saw.

use std::{ffi::OsStr, fmt, io, sync::Arc};

/// The call that an operation was: one for each method of `Dir` and `DirFile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpKind {
    /// `Dir::create_new`.
    CreateNew,
    /// `Dir::open`.
    Open,
    /// `Dir::rename`.
    Rename,
    /// `Dir::link`.
    Link,
    /// `Dir::make_dir`.
    MakeDir,
    /// `Dir::unlink`.
    Unlink,
    /// `Dir::list`.
    List,
    /// `Dir::sync`.
    SyncDir,
    /// `Dir::sync_whole`.
    SyncWhole,
    /// `Dir::try_lock`.
    TryLock,
    /// `Dir::descend`.
    Descend,
    /// `Dir::is_same`.
    IsSame,
    /// `ReadAt::read_at`.
    Read,
    /// `ReadAt::size`.
    Size,
    /// `DirFile::write_at`.
    Write,
    /// `DirFile::set_len`.
    SetLen,
    /// `DirFile::share`.
    Share,
    /// `DirFile::sync`.
    SyncFile,
    /// `DirFile::stamp`.
    Stamp,
}

impl OpKind {
    /// How many kinds there are.
    pub(crate) const COUNT: usize = Self::Stamp as usize + 1;

    /// Whether the operation makes something durable.
    #[must_use]
    pub const fn is_sync(self) -> bool {
        matches!(self, Self::SyncDir | Self::SyncFile | Self::SyncWhole)
    }

    /// Whether the operation changes names, and nothing else: whatever a power loss before it may leave, one after it may
    /// leave as well.
    #[must_use]
    pub const fn is_change_of_names(self) -> bool {
        matches!(
            self,
            Self::CreateNew | Self::Rename | Self::Link | Self::MakeDir | Self::Unlink
        )
    }

    /// Whether the operation changes what the cache holds.
    #[must_use]
    pub const fn is_change(self) -> bool {
        matches!(
            self,
            Self::CreateNew
                | Self::Rename
                | Self::Link
                | Self::MakeDir
                | Self::Unlink
                | Self::TryLock
                | Self::Write
                | Self::SetLen
                | Self::Share
        )
    }
}

/// One call of a method of `Dir` or `DirFile`, numbered from 0 in the order of the calls on one disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// The position of the call among all calls on this disk.
    pub number: u64,
    /// Which method.
    pub kind: OpKind,
    /// The directory, as `file-system/sub-directory`; for a file the one that it was opened in.
    pub dir: Arc<str>,
    /// The name in it, for a file the one that it was opened by; empty when the call is about the
    /// directory itself.
    pub name: Arc<OsStr>,
    /// Directory and name that a rename or a link leads to.
    pub to: Option<(Arc<str>, Arc<OsStr>)>,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// How many bytes were asked for, or the length asked for.
    pub len: u64,
    /// How many bytes were moved (0 where none are), or why the call failed.
    pub result: Result<u64, io::ErrorKind>,
}

impl Op {
    /// Whether the call was of this kind and about this name.
    #[must_use]
    pub fn is(&self, kind: OpKind, name: impl AsRef<OsStr>) -> bool {
        self.kind == kind && *self.name == *name.as_ref()
    }
}

/// One line, such as `7 Rename a/0b.temp -> a/9c.data`.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.number, self.kind, self.dir)?;
        if !self.name.is_empty() {
            write!(f, "/{}", self.name.display())?;
        }
        if let Some((dir, name)) = &self.to {
            write!(f, " -> {dir}/{}", name.display())?;
        }
        if matches!(self.kind, OpKind::Read | OpKind::Write | OpKind::SetLen) {
            write!(f, " {}+{}", self.offset, self.len)?;
        }
        match self.result {
            Ok(moved) if matches!(self.kind, OpKind::Read | OpKind::Write) => {
                write!(f, " = {moved}")
            }
            Ok(_) => Ok(()),
            Err(kind) => write!(f, " failed: {kind}"),
        }
    }
}

/// The calls so far.
#[derive(Debug, Default)]
pub(crate) struct Record {
    trace: Vec<Op>,
    counts: [u64; OpKind::COUNT],
    /// A long run may count only: a trace grows without bound.
    silent: bool,
}

impl Record {
    pub(crate) fn next_number(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(crate) fn push(&mut self, op: Op) {
        self.counts[op.kind as usize] += 1;
        if !self.silent {
            self.trace.push(op);
        }
    }

    pub(crate) fn count(&self, kind: OpKind) -> u64 {
        self.counts[kind as usize]
    }

    pub(crate) fn trace(&self) -> &[Op] {
        &self.trace
    }

    pub(crate) fn set_silent(&mut self, silent: bool) {
        self.silent = silent;
        self.trace.clear();
    }
}
