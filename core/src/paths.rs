//! External locations of a blob's data: the `.paths` file (FORMAT.md, "`.paths`").

use std::{cmp::Ordering, collections::BTreeSet, fmt};

use crate::gather::gathered;
use crate::{limits::MAX_PATHS_FILE, text::lossless, trailer};

/// An absolute path outside the store that may be opened: no `.` or `..`, no empty component, no NUL, and
/// not in `/proc`, `/sys` or `/dev` (but `/dev/shm` is memory like any other).
///
/// `Display` escapes what would confuse a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExternalPath(String);

/// Why a path is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// It does not begin with `/`.
    #[error("the path is not absolute")]
    Relative,
    /// It has a component `.`, `..` or an empty one.
    #[error("the path has a component that is empty, `.` or `..`")]
    Component,
    /// It has a NUL byte.
    #[error("the path contains a NUL byte")]
    Nul,
    /// It names devices or the kernel's own files.
    #[error("the path leads to a device or the kernel's own files")]
    Device,
}

impl ExternalPath {
    /// Checks a path.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        let path = Self::prefix(path)?;
        let mut components = path.split('/').skip(1);
        let device = match components.next() {
            Some("proc" | "sys") => true,
            Some("dev") => components.next() != Some("shm"),
            _ => false,
        };
        if device {
            return Err(PathError::Device);
        }
        Ok(Self(path))
    }

    /// Checks the form of a path only.
    pub(crate) fn prefix(path: &str) -> Result<String, PathError> {
        let below = path.strip_prefix('/').ok_or(PathError::Relative)?;
        if path.contains('\0') {
            return Err(PathError::Nul);
        }
        if below.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(PathError::Component);
        }
        Ok(path.to_owned())
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ExternalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&lossless(self.0.as_bytes()))
    }
}

/// A path as it stands in a file, valid or not, in the peer's order: component by component, so that
/// `b/x` sorts before `b-x`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry(String);

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0
            .split('/')
            .cmp(other.0.split('/'))
            .then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a `.paths` file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathSet {
    entries: BTreeSet<Entry>,
}

/// Why a `.paths` file cannot be used. The blob's other homes still can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathsError {
    /// The bytes are no list of paths, or are followed by something that is no trailer of theirs.
    #[error("the list of external paths is damaged")]
    Damaged,
    /// There is no path in it.
    #[error("the list of external paths is empty")]
    Empty,
    /// The new list would not fit into a file.
    #[error("the list of external paths would have more than {MAX_PATHS_FILE} bytes")]
    TooLarge,
}

impl PathSet {
    /// Reads the bytes of a `.paths` file: a payload consumed exactly, or one with a valid trailer. The
    /// order is not checked; the next write restores it.
    ///
    /// # Errors
    /// [`PathsError::Damaged`] for everything else.
    pub fn decode(file: &[u8]) -> Result<Self, PathsError> {
        let payload = trailer::unseal(file).unwrap_or(file);
        // postcard allocates no more than the bytes that are really there can hold.
        match postcard::take_from_bytes::<Vec<String>>(payload) {
            Ok((paths, [])) => Ok(Self {
                entries: gathered(paths.into_iter().map(Entry)),
            }),
            _ => Err(PathsError::Damaged),
        }
    }

    /// The bytes of a `.paths` file, with trailer.
    ///
    /// # Errors
    /// [`PathsError::TooLarge`] when no reader would accept them.
    pub fn encode(&self) -> Result<Vec<u8>, PathsError> {
        let paths: Vec<&str> = self.entries.iter().map(|entry| entry.0.as_str()).collect();
        // Writing to memory fails only for sequences of unknown length; a vector knows its own.
        let payload = postcard::to_allocvec(&paths).map_err(|_| PathsError::TooLarge)?;
        let file = trailer::seal(payload);
        if file.len() as u64 > MAX_PATHS_FILE {
            return Err(PathsError::TooLarge);
        }
        Ok(file)
    }

    /// Adds a path; `false` when it is there already.
    pub fn insert(&mut self, path: &ExternalPath) -> bool {
        self.entries.insert(Entry(path.0.clone()))
    }

    /// The paths that are not among these.
    pub(crate) fn without(mut self, gone: &BTreeSet<&str>) -> Self {
        self.entries
            .retain(|Entry(path)| !gone.contains(path.as_str()));
        self
    }

    /// Every path of the file in order, each with the reason when it is never opened.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Result<ExternalPath, PathError>)> {
        self.entries
            .iter()
            .map(|Entry(path)| (path.as_str(), ExternalPath::parse(path)))
    }

    /// How many paths there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no path at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(paths: &[&str]) -> PathSet {
        PathSet {
            entries: paths.iter().map(|p| Entry((*p).into())).collect(),
        }
    }

    /// BI-050.
    #[test]
    fn what_is_never_opened() {
        for (path, why) in [
            ("", PathError::Relative),
            ("a/b", PathError::Relative),
            ("C:\\x", PathError::Relative),
            ("\\\\host\\share", PathError::Relative),
            ("//host/share", PathError::Component),
            ("/", PathError::Component),
            ("/a/", PathError::Component),
            ("/a//b", PathError::Component),
            ("/a/../b", PathError::Component),
            ("/a/./b", PathError::Component),
            ("/a\0b", PathError::Nul),
            ("/proc/self/mem", PathError::Device),
            ("/dev/sda", PathError::Device),
            ("/sys/power/state", PathError::Device),
        ] {
            assert_eq!(ExternalPath::parse(path), Err(why), "{path:?}");
        }
        for path in ["/a", "/process/x", "/dev/shm/x", "/a/..b/c..", "/ü/🦀"] {
            assert_eq!(ExternalPath::parse(path).unwrap().as_str(), path);
        }
    }

    #[test]
    fn paths_sort_by_component_as_the_peer_sorts_them() {
        // The bytes of a file that the peer wrote (fixture `golden`).
        let written =
            b"\x03\x15/external/a-20000.bin\x15/external/b/20000.bin\x15/external/b-20000.bin";
        let decoded = PathSet::decode(written).unwrap();
        let paths: Vec<_> = decoded.iter().map(|(path, _)| path).collect();
        assert_eq!(
            paths,
            [
                "/external/a-20000.bin",
                "/external/b/20000.bin",
                "/external/b-20000.bin"
            ]
        );
        let encoded = decoded.encode().unwrap();
        assert_eq!(&encoded[..written.len()], written);
    }

    /// BI-044, BI-045, BI-046, BI-047, BI-048, BI-049, BI-052.
    #[test]
    fn damaged_lists_are_refused_and_disorder_is_not() {
        let good = set(&["/a", "/b"]).encode().unwrap();
        let payload = &good[..7];
        assert_eq!(payload, b"\x02\x02/a\x02/b");
        assert_eq!(PathSet::decode(payload), Ok(set(&["/a", "/b"])));
        for bad in [
            &b""[..],
            b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            &payload[..6],
            b"\x02\x02/a\x02/b\x00",
            b"\x01\x02/\xff",
            &[0; 4096],
            &good[..good.len() - 1],
        ] {
            assert_eq!(PathSet::decode(bad), Err(PathsError::Damaged), "{bad:?}");
        }
        assert_eq!(
            PathSet::decode(b"\x03\x02/b\x02/a\x02/b"),
            Ok(set(&["/a", "/b"]))
        );
    }

    #[test]
    fn a_list_that_no_reader_would_accept_is_not_written() {
        let path = format!("/{}", "x".repeat(usize::try_from(MAX_PATHS_FILE).unwrap()));
        assert_eq!(set(&[&path]).encode(), Err(PathsError::TooLarge));
    }

    proptest! {
        #[test]
        fn a_list_reads_back(paths in proptest::collection::btree_set("/[a-c/-]{0,6}", 0..6)) {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let set = set(&paths);
            prop_assert_eq!(PathSet::decode(&set.encode().unwrap()), Ok(set));
        }

        /// The order is the one of the standard library's paths, which the peer sorts by.
        #[test]
        fn the_order_is_that_of_paths(a in "(/[a-c-]{1,2}){1,3}", b in "(/[a-c-]{1,2}){1,3}") {
            let ours = Entry(a.clone()).cmp(&Entry(b.clone()));
            prop_assert_eq!(ours, std::path::Path::new(&a).cmp(std::path::Path::new(&b)));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = PathSet::decode(&bytes);
        }

        #[test]
        fn no_flipped_bit_of_a_sealed_list_goes_unseen(bit: prop::sample::Index) {
            let mut file = set(&["/external/one", "/external/two"]).encode().unwrap();
            let bit = bit.index(file.len() * 8);
            file[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(PathSet::decode(&file), Err(PathsError::Damaged));
        }
    }
}
