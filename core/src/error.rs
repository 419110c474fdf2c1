//! What can go wrong with a store, and what its user can do about it.

use std::io;

use crate::{
    BackendError, BatchError, CollectionError, FileName, Hash, HashSeqError, PathError, PathsError,
    StreamError, Tag, TagError, TagFileError,
};

/// The result of a store's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such blob.
    #[error("no blob {0} in this store")]
    NotFound(Hash),
    /// Only a part of the blob is there.
    #[error("blob {0} is incomplete")]
    Incomplete(Hash),
    /// This part of the blob is not there.
    #[error("the 16 KiB at offset {offset} of blob {hash} are not there")]
    MissingGroup {
        /// The blob.
        hash: Hash,
        /// Bytes from the start of the blob to the first group that is missing.
        offset: u64,
    },
    /// What was received is not what was asked for. What was proved before is kept.
    #[error("the stream of blob {hash} is not what was asked for")]
    Stream {
        /// The blob.
        hash: Hash,
        /// What is wrong with it.
        source: StreamError,
    },
    /// Bytes of the blob do not hash to what they should. None of them was handed out.
    #[error("blob {hash} is damaged: {damage}")]
    Corrupt {
        /// The blob.
        hash: Hash,
        /// What is wrong with which file.
        damage: Damage,
    },
    /// A blob cannot be read for a reason that is not damage: none of its homes opens.
    #[error("blob {hash} cannot be read")]
    Unreadable {
        /// The blob.
        hash: Hash,
        /// What the last home that was tried said.
        source: BackendError,
    },
    /// The list of a blob's external homes is damaged.
    #[error("{file} cannot be used")]
    Paths {
        /// The file.
        file: FileName,
        /// What is wrong with it.
        source: PathsError,
    },
    /// This opening does not write.
    #[error("this store cannot be written")]
    NotWritable(#[source] NotWritable),
    /// The source of an import, or of a stream, failed.
    #[error("cannot read what is to go into the store")]
    Source(#[source] io::Error),
    /// Whatever a stream was sent to failed.
    #[error("cannot write the stream")]
    Sink(#[source] io::Error),
    /// There are more bytes than are allowed, in the source of an import or in a blob.
    #[error("there are more than {cap} bytes, which is the most allowed")]
    TooLarge {
        /// The most bytes allowed.
        cap: u64,
    },
    /// The source of an import has another number of bytes than was claimed.
    #[error("the import has {found} bytes where {claimed} were claimed")]
    WrongSize {
        /// Bytes claimed.
        claimed: u64,
        /// Bytes found, or found so far when they are already too many.
        found: u64,
    },
    /// A file changed while it was hashed for an import by reference.
    #[error("{path} changed while it was read")]
    SourceChanged {
        /// The file.
        path: String,
    },
    /// An external path that is never followed.
    #[error("the path {path:?} cannot be referred to")]
    Path {
        /// The path.
        path: String,
        /// The rule it breaks.
        source: PathError,
    },
    /// A tag name is out of bounds.
    #[error("not a tag name")]
    Tag(#[from] TagError),
    /// No such tag.
    #[error("no tag {0} in this store")]
    NoTag(Tag),
    /// The new tag database cannot be written.
    #[error("the tag database cannot be written")]
    TagFile(#[source] TagFileError),
    /// The tag database on disk is not the one that this opening read or wrote.
    #[error("tags.meta was changed by another program while this store was open")]
    TagsChanged,
    /// `tags.meta` is as it should be, and is not replaced.
    #[error("tags.meta is not damaged")]
    TagsNotDamaged,
    /// `tags.meta` is missing from a store with data.
    #[error("tags.meta is missing although the store has data")]
    TagsMissing,
    /// A blob that should be a hash sequence is not.
    #[error("blob {hash} is no hash sequence")]
    HashSeq {
        /// The blob.
        hash: Hash,
        /// What is wrong with it.
        source: HashSeqError,
    },
    /// A blob that should be a collection is not.
    #[error("blob {hash} is no collection")]
    Collection {
        /// The blob.
        hash: Hash,
        /// What is wrong with it.
        source: CollectionError,
    },
    /// Nothing was collected, since not everything that lives could be told.
    #[error("nothing was deleted: {root} must be a readable hash sequence")]
    Root {
        /// The root, a tag or a temporary tag, as text.
        root: String,
        /// Why it cannot be read.
        source: Box<Error>,
    },
    /// The blob is still needed.
    #[error("blob {hash} is in use: {by}")]
    InUse {
        /// The blob.
        hash: Hash,
        /// What needs it, as text.
        by: String,
    },
    /// Locking is off, and what was asked for needs the lock.
    #[error("what takes files away needs the store's lock, and locking is off")]
    NotLocked,
    /// A callback stopped the work.
    #[error("stopped on request")]
    Cancelled,
    /// The back end failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A publication of this batch of imports failed before.
    #[error("an earlier part of this batch could not be published: import it again")]
    BatchFailed,
    /// The back end did a part of a batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// No random bytes.
    #[error("the system gives no random bytes")]
    Entropy(#[source] io::Error),
    /// Every name that was tried for a temporary file is taken.
    #[error("no free name for a temporary file: the random source repeats itself")]
    NoFreeName,
}

/// Why an opening of a store does not write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotWritable {
    /// It was opened for reading.
    #[error("it was opened read-only")]
    ReadOnly,
    /// The tag database is damaged; what it protected must not be lost.
    #[error("its tag database is damaged: {0}")]
    TagsDamaged(TagDamage),
    /// A file or directory could not be made durable, or a batch of files is in an unknown state.
    #[error("an earlier operation left it in an unknown state: {0}")]
    Poisoned(String),
}

/// What is wrong with `tags.meta`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagDamage {
    /// It is not a regular file, or cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// Its content is not believed.
    #[error("{0}")]
    Content(#[from] TagFileError),
}

/// What is wrong with a blob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The 16 KiB group at this offset is wrong, short or gone in every home of the data.
    #[error("the 16 KiB at offset {offset} of {home} are not what they should be")]
    Group {
        /// Bytes from the start of the blob to the group.
        offset: u64,
        /// The last home that was tried: a file name or an external path.
        home: String,
    },
    /// The bytes do not hash to the name, and there is no outboard that tells which are wrong.
    #[error("the bytes of {home} do not hash to it")]
    Content {
        /// The last home that was tried.
        home: String,
    },
    /// The outboard is damaged or missing, and the data do not hash to the name either.
    #[error("neither its outboard nor its data can be proved at offset {offset}")]
    Outboard {
        /// Bytes from the start of the blob to the first group that cannot be proved.
        offset: u64,
    },
}

impl Error {
    /// A stable word for the kind of error, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Incomplete(_) | Self::MissingGroup { .. } => "incomplete",
            Self::Stream { .. } => "stream",
            Self::Sink(_) => "sink",
            Self::Corrupt { .. } | Self::Paths { .. } => "corrupt",
            Self::Unreadable { .. } => "unreadable",
            Self::NotWritable(NotWritable::ReadOnly) => "read_only",
            Self::NotWritable(NotWritable::TagsDamaged(_)) => "tags_damaged",
            Self::NotWritable(NotWritable::Poisoned(_)) => "poisoned",
            Self::Source(_) => "source",
            Self::TooLarge { .. } => "too_large",
            Self::WrongSize { .. } => "wrong_size",
            Self::SourceChanged { .. } => "source_changed",
            Self::Path { .. } => "path",
            Self::Tag(_) => "tag_name",
            Self::NoTag(_) => "no_tag",
            Self::TagFile(_) => "tags_too_large",
            Self::TagsChanged => "tags_changed",
            Self::TagsNotDamaged => "tags_not_damaged",
            Self::TagsMissing => "tags_missing",
            Self::HashSeq { .. } => "hash_sequence",
            Self::Collection { .. } => "not_a_collection",
            Self::Root { .. } => "root",
            Self::InUse { .. } => "in_use",
            Self::NotLocked => "not_locked",
            Self::Cancelled => "cancelled",
            Self::BatchFailed => "batch_failed",
            Self::Backend(BackendError::Busy) => "busy",
            Self::Backend(BackendError::NoLocks { .. }) => "no_locks",
            Self::Backend(BackendError::NoSync) => "no_sync",
            Self::Backend(BackendError::Taken { .. }) => "target_exists",
            Self::Backend(_) | Self::Batch(_) | Self::Entropy(_) => "io",
            Self::NoFreeName => "no_free_name",
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Corrupt { .. } => {
                "import the same content again: its good bytes replace the damaged ones"
            }
            Self::Unreadable {
                source: BackendError::NotGranted { .. },
                ..
            } => "grant the directory that holds the external file",
            Self::Unreadable {
                source: BackendError::NotAFile { .. },
                ..
            } => "move that entry out of the store's directory, then import the content again",
            Self::Unreadable { .. } => {
                "bring the file back to where it was, or import the same content again"
            }
            Self::Incomplete(_) | Self::MissingGroup { .. } => "import or receive the rest of it",
            Self::Stream {
                source: StreamError::TooLong,
                ..
            } => "receive the very ranges that were sent",
            Self::Stream {
                source: StreamError::Truncated { .. },
                ..
            } => "receive what is still missing: what came is kept",
            Self::Stream { .. } => {
                "receive it from somewhere else: what came before that is kept, and only the rest is missing"
            }
            Self::NotWritable(NotWritable::ReadOnly) => "open the store for writing",
            Self::NotWritable(NotWritable::TagsDamaged(_)) => {
                "restore tags.meta from a copy; reading works meanwhile, and nothing is collected"
            }
            Self::NotWritable(NotWritable::Poisoned(_)) => {
                "check the disk, then open the store anew: it finds out what is there"
            }
            Self::SourceChanged { .. } => "import it when nobody writes to it, or import a copy",
            Self::TagsChanged => "open the store anew to see the other program's tags",
            Self::TagsMissing => {
                "restore tags.meta from a copy, or confirm that there are no tags to lose"
            }
            Self::Root { .. } => "complete that sequence, or remove its tag or tag it as raw",
            Self::InUse { .. } => "remove what needs it first",
            Self::Backend(BackendError::Busy) => {
                "wait for the other process, or open the store read-only"
            }
            Self::Backend(BackendError::NoLocks { .. }) => {
                "have whoever starts this program hold the lock (`Locking::HostHolds`), or keep other writers \
                 out yourself (`Locking::None`, which deletes nothing)"
            }
            Self::Backend(BackendError::NoSync) => {
                "run it under a host that syncs directories, or do without (`Durability::Atomic`)"
            }
            Self::Backend(BackendError::Taken { .. }) => {
                "name another target, or ask for this one to be replaced"
            }
            Self::Backend(BackendError::NotGranted { .. }) => {
                "grant the directory that the path leads into"
            }
            Self::Backend(BackendError::InsideStore { .. }) => "name a path outside the store",
            Self::NoFreeName => "check the random source",
            _ => return None,
        };
        Some(text.to_owned())
    }

    /// Whether what was promised before may be lost by a power loss, so that nothing more is promised.
    pub(crate) fn poisons(&self) -> bool {
        let is_sync = |e: &BackendError| matches!(e, BackendError::Sync { .. });
        match self {
            Self::Backend(error) => is_sync(error),
            Self::Batch(error) => error.unknown > 0 || is_sync(&error.source),
            _ => false,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::NotFound(_) | Error::NoTag(_) => io::ErrorKind::NotFound,
            Error::Stream {
                source: StreamError::Truncated { .. },
                ..
            } => io::ErrorKind::UnexpectedEof,
            Error::Incomplete(_)
            | Error::MissingGroup { .. }
            | Error::Stream { .. }
            | Error::Corrupt { .. }
            | Error::Paths { .. }
            | Error::HashSeq { .. }
            | Error::Collection { .. } => io::ErrorKind::InvalidData,
            Error::NotWritable(NotWritable::ReadOnly) => io::ErrorKind::ReadOnlyFilesystem,
            Error::Source(source) | Error::Sink(source) | Error::Entropy(source) => source.kind(),
            Error::TooLarge { .. } => io::ErrorKind::FileTooLarge,
            Error::Path { .. } | Error::Tag(_) => io::ErrorKind::InvalidInput,
            Error::InUse { .. } | Error::Backend(BackendError::Busy) => io::ErrorKind::ResourceBusy,
            Error::Backend(source)
            | Error::Unreadable { source, .. }
            | Error::Batch(BatchError { source, .. }) => {
                source.io_kind().unwrap_or(io::ErrorKind::Other)
            }
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
