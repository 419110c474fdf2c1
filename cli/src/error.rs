//! What goes wrong on the command line: kinds, exit codes, and what to do next.

use std::{io, path::Path};

use flatbao_core::{
    BackendError, Error as StoreError, Hash, NotWritable, StreamError, TagFileError, text::chain,
};
use flatbao_fs::FsError;

use crate::output::{printable, short};

/// Boxed, so that what goes well is not moved about with room for what might have gone wrong.
pub(crate) type Result<T, E = Box<CliError>> = std::result::Result<T, E>;

/// What is no regular file, in words.
pub(crate) const DIRECTORY: &str = "a directory";
pub(crate) const LINK: &str = "a symbolic link";
pub(crate) const SPECIAL: &str = "a special file";

/// How the process ends. `--help` lists these; scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Partial = 3,
    NotFound = 4,
    Corrupt = 5,
    Locked = 6,
}

/// Why a command, or one of the things it was asked to do, failed. Paths and names in here are printable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error("{message}")]
    Usage { message: String, hint: String },
    #[error("there is no store at {path}")]
    NoStore { path: String },
    #[error("{path} is not a store: it has files, and none of them is a store's")]
    NotAStore { path: String },
    #[error("`{command}` writes to the store, and --read-only forbids it")]
    ReadOnly { command: &'static str },
    #[error("no tag and no blob is called {text}")]
    NoSuchRef { text: String },
    #[error("{text} begins more than one hash: {}", list(candidates))]
    Ambiguous { text: String, candidates: Vec<Hash> },
    #[error("the collection {hash} has no file {path}")]
    NotInCollection { hash: Hash, path: String },
    #[error("{path} is a directory in the collection {hash}")]
    DirectoryInCollection { hash: Hash, path: String },
    #[error("nothing was written: the collection has the name {name}, which {why}")]
    UnsafeName {
        name: String,
        why: String,
        /// Whether it is only other systems that could not hold it.
        elsewhere: bool,
    },
    #[error("{path} {why}")]
    Target {
        path: String,
        why: &'static str,
        hint: &'static str,
        kind: &'static str,
    },
    #[error("cannot {op} {path}")]
    Io {
        op: &'static str,
        path: String,
        source: io::Error,
    },
    #[error("{path} is {what}, not a regular file")]
    NotAFile { path: String, what: &'static str },
    #[error("the name {path} is not UTF-8")]
    NotUtf8 { path: String },
    #[error("{path} is relative, and what it is relative to is not known in a sandbox")]
    Relative { path: String },
    #[error("{path} is the store itself, or inside it")]
    InsideStore { path: String },
    #[error("{path} is no copy of a tag database")]
    BadCopy { path: String, source: TagFileError },
    #[error("line {line} of {path} is not a hash, two spaces and a path")]
    BadList { path: String, line: usize },
    /// What keeps a host from running the command elsewhere.
    #[error("{message}")]
    Elsewhere {
        kind: &'static str,
        message: String,
        hint: Option<String>,
    },
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// Whoever read the output has seen enough. Nothing is told, and nothing is wrong.
    #[error("the output was closed")]
    Closed,
}

impl From<StoreError> for Box<CliError> {
    fn from(error: StoreError) -> Self {
        Self::new(error.into())
    }
}

impl From<FsError> for Box<CliError> {
    fn from(error: FsError) -> Self {
        Self::new(error.into())
    }
}

impl CliError {
    /// An error of the operating system about a path, ready for `map_err`.
    pub(crate) fn io(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Box<Self> {
        let path = printable(path);
        move |source| Box::new(Self::Io { op, path, source })
    }

    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Box<Self> {
        Box::new(Self::Usage {
            message: message.into(),
            hint: hint.into(),
        })
    }

    /// A stable word for programs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Store(error) => error.kind(),
            Self::Fs(FsError::HalfThere { .. } | FsError::Ambiguous { .. }) => "layout",
            Self::Fs(FsError::Prefix { .. }) | Self::Usage { .. } => "usage",
            Self::Fs(_) => "io",
            Self::NoStore { .. } => "no_store",
            Self::NotAStore { .. } => "not_a_store",
            Self::ReadOnly { .. } => "read_only",
            Self::NoSuchRef { .. } => "not_found",
            Self::Ambiguous { .. } => "ambiguous",
            Self::NotInCollection { .. } => "not_in_collection",
            Self::DirectoryInCollection { .. } => "is_a_directory",
            Self::UnsafeName { .. } => "unsafe_name",
            Self::Target { kind, .. } => kind,
            Self::Io { .. } if self.is_missing_file() => "no_file",
            Self::Io { .. } => "io",
            Self::NotAFile { .. } => "not_a_file",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::Relative { .. } => "relative",
            Self::InsideStore { .. } => "inside_store",
            Self::BadCopy { .. } => "bad_copy",
            Self::BadList { .. } => "bad_list",
            Self::Elsewhere { kind, .. } => kind,
            Self::Output(_) | Self::Closed => "output",
        }
    }

    /// Whether it is only that there is no such file.
    pub(crate) fn is_missing_file(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Store(error) => exit_of(error),
            Self::Usage { .. } | Self::Ambiguous { .. } | Self::Fs(FsError::Prefix { .. }) => {
                Exit::Usage
            }
            Self::NoStore { .. }
            | Self::NotAStore { .. }
            | Self::NoSuchRef { .. }
            | Self::NotInCollection { .. } => Exit::NotFound,
            Self::Fs(FsError::Io { source, .. }) | Self::Io { source, .. }
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Exit::NotFound
            }
            Self::Closed => Exit::Done,
            _ => Exit::Failed,
        }
    }

    /// The error and its causes on one line.
    pub(crate) fn message(&self) -> String {
        chain(self)
    }

    /// What to do next.
    pub(crate) fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Store(error) => return hint_of(error),
            Self::Fs(FsError::HalfThere { .. }) => {
                "bring back what is missing, or name the right directory with --store"
            }
            Self::Fs(FsError::Ambiguous { .. }) => "move one of the two elsewhere",
            Self::Fs(FsError::Prefix { .. }) => {
                "write --external /absolute/prefix or --external /absolute/prefix=DIR"
            }
            Self::Usage { hint, .. } => return Some(hint.clone()),
            Self::Elsewhere { hint, .. } => return hint.clone(),
            Self::NoStore { .. } => {
                "`flatbao add` or `flatbao init` makes one; --store DIR or FLATBAO_STORE names another"
            }
            Self::NotAStore { .. } => {
                "name another directory with --store, or run `flatbao init` to make a store of this one"
            }
            Self::ReadOnly { .. } => "leave out --read-only",
            Self::NoSuchRef { .. } => {
                "`flatbao tag ls` and `flatbao ls` show what there is; a prefix has at least 4 hex digits"
            }
            Self::Ambiguous { .. } => "write more digits of the hash",
            Self::NotInCollection { hash, .. } => {
                return Some(format!("`flatbao ls {hash}` shows its files"));
            }
            Self::DirectoryInCollection { hash, .. } => {
                return Some(format!("restore all of it: flatbao get {hash} DEST"));
            }
            Self::UnsafeName {
                elsewhere: true, ..
            } => {
                "--native-names takes every name that this system can hold; `flatbao cat REF/NAME` prints one file"
            }
            Self::UnsafeName { .. } => "`flatbao cat REF/NAME` prints single files of it",
            Self::Target { hint, .. } => hint,
            Self::NotAFile { what, .. } => match *what {
                DIRECTORY => "name files; `flatbao add` makes a collection of a directory",
                LINK => "add what it points to",
                _ => "pipe its content into `flatbao add -`",
            },
            Self::NotUtf8 { .. } => "rename it, or pipe its content into `flatbao add -`",
            Self::Relative { .. } => "write the whole path: the store refers to the file by it",
            Self::InsideStore { .. } => "name what is outside the store",
            Self::BadCopy { .. } => {
                "name a tags.meta of an earlier day; `flatbao repair --salvage-tags` looks into the damaged one"
            }
            Self::BadList { .. } => "`flatbao hash PATH… > FILE` writes such a list",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

fn exit_of(error: &StoreError) -> Exit {
    match error {
        StoreError::NotFound(_) | StoreError::NoTag(_) => Exit::NotFound,
        StoreError::Corrupt { .. }
        | StoreError::Paths { .. }
        | StoreError::NotWritable(NotWritable::TagsDamaged(_))
        | StoreError::TagsMissing => Exit::Corrupt,
        StoreError::Stream {
            source: StreamError::Truncated { .. },
            ..
        } => Exit::Partial,
        StoreError::Stream {
            source: StreamError::TooLong,
            ..
        } => Exit::Failed,
        StoreError::Stream { .. } => Exit::Corrupt,
        StoreError::Backend(BackendError::Busy) => Exit::Locked,
        StoreError::Root { source, .. } if exit_of(source) == Exit::Corrupt => Exit::Corrupt,
        StoreError::Tag(_) => Exit::Usage,
        _ => Exit::Failed,
    }
}

/// In the words of the command where it has some, in those of the library otherwise.
fn hint_of(error: &StoreError) -> Option<String> {
    if let Some(text) = hint_of_platform(error) {
        return Some(text.to_owned());
    }
    let text = match error {
        StoreError::Collection { hash, .. } => {
            return Some(format!(
                "`flatbao ls {hash}` shows what it lists, `flatbao cat` prints a blob"
            ));
        }
        StoreError::Incomplete(hash) | StoreError::MissingGroup { hash, .. } => {
            return Some(format!(
                "`flatbao receive {} --missing` tells what to ask for; `flatbao add` the content makes it whole as well",
                short(*hash)
            ));
        }
        StoreError::Stream { hash, source } => {
            return Some(match source {
                StreamError::TooLong => {
                    "receive it with the --range that it was sliced with; what was proved is kept"
                        .to_owned()
                }
                StreamError::Truncated { .. } => format!(
                    "`flatbao receive {hash} --missing` tells what to ask for now; if nothing broke off, \
                     receive it with the --range that it was sliced with"
                ),
                _ => format!(
                    "is it a stream of this blob, and of this --range? What was proved before is kept: \
                     `flatbao receive {hash} --missing` tells what to ask for now"
                ),
            });
        }
        StoreError::NotFound(_) => "`flatbao ls` shows what there is",
        StoreError::NoTag(_) => "`flatbao tag ls` shows what there is",
        StoreError::Corrupt { hash, .. } => {
            return Some(format!(
                "`flatbao verify {0}` tells what is good of it, `flatbao repair {0}` keeps that; `flatbao add` \
                 the same content again to make it whole",
                short(*hash)
            ));
        }
        StoreError::Unreadable { source, .. } | StoreError::Backend(source) => match source {
            BackendError::NotGranted { .. } => {
                "allow it with --external PREFIX[=DIR], or leave out --no-external"
            }
            BackendError::Io { op: "lock", .. } => {
                "whoever writes to a store needs write access to its directory; reading commands do not"
            }
            BackendError::Busy => "wait for the other process; reading commands work meanwhile",
            BackendError::Io { .. } if matches!(error, StoreError::Unreadable { .. }) => {
                "bring the file back, say where it is with --external PREFIX=DIR, or add a copy of it"
            }
            _ => return error.hint(),
        },
        StoreError::NotWritable(NotWritable::TagsDamaged(_)) => {
            "`flatbao repair --tags-from COPY`, or `flatbao repair --salvage-tags --dry-run` to see what is left of it"
        }
        StoreError::TagsMissing => {
            "`flatbao repair --tags-from COPY` brings them back; if there are no tags to lose, `flatbao init --assume-no-tags`"
        }
        StoreError::InUse { .. } => {
            "remove the tag first with `flatbao tag rm`; `flatbao rm --force` deletes a tagged blob"
        }
        StoreError::NotLocked => {
            "leave out --locking none, or write --locking held if whoever started this command holds the lock"
        }
        StoreError::Root { .. } => {
            "add the missing content again, or `flatbao tag rm` the tag, or `flatbao tag set --format raw` it"
        }
        _ => return error.hint(),
    };
    Some(text.to_owned())
}

/// What to do where the platform has no locks, or cannot sync.
fn hint_of_platform(error: &StoreError) -> Option<&'static str> {
    let StoreError::Backend(source) = error else {
        return None;
    };
    match source {
        BackendError::NoLocks { .. } => Some(
            "write --locking held if whoever started this command holds the lock; --locking none does without, and \
             deletes nothing",
        ),
        BackendError::NoSync => {
            Some("run it under a host that syncs directories; --durability atomic does without")
        }
        _ => None,
    }
}

fn list(hashes: &[Hash]) -> String {
    let hashes: Vec<String> = hashes.iter().map(Hash::to_string).collect();
    hashes.join(", ")
}
