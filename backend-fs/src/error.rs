//! Why a store's directory cannot be used.

use std::{
    io,
    path::{Path, PathBuf},
};

use flatbao_core::PathError;

use crate::Layout;

/// Why a store's directory cannot be used. Nothing was changed in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FsError {
    /// The system refused something.
    #[error("cannot {op} {path:?}")]
    Io {
        /// What was attempted, as a verb.
        op: &'static str,
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Some directories of a layout are there and others are not: to go on would be to open an empty
    /// store in place of a damaged one.
    #[error("{path:?} is laid out as {layout}, but {} is no directory there", .missing.join(", "))]
    HalfThere {
        /// The directory that was named.
        path: PathBuf,
        /// What it is half of.
        layout: Layout,
        /// What is missing, or is a link or file, relative to `path`.
        missing: Vec<&'static str>,
    },
    /// Two stores are in one directory; which of them is meant cannot be told.
    #[error("{path:?} holds two stores, one laid out as {} and one as {}", .layouts[0], .layouts[1])]
    Ambiguous {
        /// The directory that was named.
        path: PathBuf,
        /// How the two are laid out.
        layouts: [Layout; 2],
    },
    /// A granted prefix is not one that an external path could begin with.
    #[error("{prefix:?} cannot be granted")]
    Prefix {
        /// What was to be granted.
        prefix: String,
        /// Which rule it breaks.
        source: PathError,
    },
}

impl FsError {
    pub(crate) fn io(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            op,
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn ambiguous(path: &Path, first: Layout, second: Layout) -> Self {
        Self::Ambiguous {
            path: path.to_owned(),
            layouts: [first, second],
        }
    }
}
