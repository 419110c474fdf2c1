//! The ways in which a store lies on a disk (FORMAT.md, "Directories").

use std::{ffi::OsStr, fmt, io, path::Path};

use flatbao_core::{EntryKind, FileName};

use crate::{FsError, SystemDir};

/// Which directories the three areas of a store are, below the directory that one names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// All areas are the directory itself.
    Single,
    /// `complete`, `partial` and `meta`.
    Areas,
    /// `blobs.v0`, `blobs-partial.v0` and `blobs-meta.v0`, as iroh 0.9 has them.
    IrohV0,
    /// `blobs.v1/complete`, `blobs.v1/partial` and `blobs.v1/meta`, as iroh 0.12 has them.
    IrohV1,
}

impl Layout {
    const TRIOS: [(Self, [&'static str; 3]); 3] = [
        (Self::Areas, ["complete", "partial", "meta"]),
        (
            Self::IrohV0,
            ["blobs.v0", "blobs-partial.v0", "blobs-meta.v0"],
        ),
        (
            Self::IrohV1,
            ["blobs.v1/complete", "blobs.v1/partial", "blobs.v1/meta"],
        ),
    ];

    /// The directories of the areas *complete*, *partial* and *meta*, relative to the one that is named,
    /// with `/` between components; `None` when they are that directory itself.
    #[must_use]
    pub fn directories(self) -> Option<[&'static str; 3]> {
        let mut trios = Self::TRIOS.into_iter();
        trios.find_map(|(layout, names)| (layout == self).then_some(names))
    }

    /// The layout of the store in `dir`, whose path only serves errors.
    ///
    /// Links do not count as directories: a store never leads somewhere else without being told to.
    pub(crate) fn detect(dir: &SystemDir, path: &Path) -> Result<Self, FsError> {
        let mut found = None;
        for (layout, names) in Self::TRIOS {
            if !layout.is_in(dir, names, path)? {
                continue;
            }
            if let Some(first) = found.replace(layout) {
                return Err(FsError::ambiguous(path, first, layout));
            }
        }
        match found {
            None => Ok(Self::Single),
            // Every writable opening of a one-directory store leaves this file. To choose either store
            // would hide the blobs of the other.
            Some(trio) => match kind_at(dir, &FileName::Tags.to_string(), path)? {
                Some(_) => Err(FsError::ambiguous(path, Self::Single, trio)),
                None => Ok(trio),
            },
        }
    }

    fn is_in(
        self,
        dir: &SystemDir,
        names: [&'static str; 3],
        path: &Path,
    ) -> Result<bool, FsError> {
        let (mut missing, mut meant) = (Vec::new(), 0);
        for name in names {
            let kind = kind_at(dir, name, path)?;
            if kind != Some(EntryKind::Directory) {
                missing.push(name);
            }
            // Whoever links an area elsewhere wants this layout; a file of the name means nothing.
            meant += usize::from(matches!(kind, Some(EntryKind::Directory | EntryKind::Link)));
        }
        // `complete` and `meta` are words that name many things; all three of them are no accident.
        let enough = if self == Self::Areas { 3 } else { 1 };
        match (missing.is_empty(), meant >= enough) {
            (true, _) => Ok(true),
            (false, false) => Ok(false),
            (false, true) => Err(FsError::HalfThere {
                path: path.to_owned(),
                layout: self,
                missing,
            }),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "one directory",
            Self::Areas => "complete/, partial/ and meta/",
            Self::IrohV0 => "blobs.v0/, blobs-partial.v0/ and blobs-meta.v0/",
            Self::IrohV1 => "blobs.v1/",
        })
    }
}

/// The directory at a relative path no component of which is a link.
pub(crate) fn open_real(dir: &SystemDir, path: &str) -> io::Result<SystemDir> {
    match path.split_once('/') {
        None => dir.child(OsStr::new(path)),
        Some((first, rest)) => open_real(&dir.child(OsStr::new(first))?, rest),
    }
}

/// What is at a relative path, or what stands in its way.
fn kind_at(dir: &SystemDir, name: &str, path: &Path) -> Result<Option<EntryKind>, FsError> {
    let (first, rest) = match name.split_once('/') {
        None => (name, None),
        Some((first, rest)) => (first, Some(rest)),
    };
    let first = OsStr::new(first);
    let kind = dir.kind(first).map_err(FsError::io("look into", path))?;
    match (kind, rest) {
        (Some(EntryKind::Directory), Some(rest)) => {
            let below = dir.child(first).map_err(FsError::io("look into", path))?;
            kind_at(&below, rest, path)
        }
        (kind, _) => Ok(kind),
    }
}
