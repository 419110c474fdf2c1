//! core
pub mod backend;
pub mod dir;
pub mod env;
pub mod flat;
pub mod hash;
pub mod io;
pub mod limits;
pub mod name;
pub mod paths;
pub mod tag;

pub use backend::{Backend, BackendError, BatchError, Listed, ListedName};
pub use dir::{Access, Dir, DirFile, EntryKind, Opened, Stamp};
pub use env::{Clock, Entropy, Env};
pub use flat::{Durability, FlatDir, StagedFile};
pub use hash::{BlobFormat, Hash, HashAndFormat, ParseHashError};
pub use io::{ReadAt, WriteAt};
pub use name::{Area, FileName, Uuid};
pub use paths::{ExternalPath, PathError, PathSet};
pub use tag::{Tag, TagError};
pub mod tag_file;
mod trailer;
pub use tag_file::{TagFile, TagFileError, TagMap};
