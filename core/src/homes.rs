//! The places a blob's data may be at, in the order in which they are tried: owned, then each external
//! path, then what partial entries have of it.

use std::sync::Arc;

use crate::{
    Backend, BackendError, Error, ExternalPath, FileName, Hash, PathError, PathSet, PathsError,
    ReadAt, Result, Uuid,
    index::{Entry, PartialFiles},
    io::read_capped,
    limits::{MAX_PATHS_FILE, PARTIAL_HOMES},
    store::{Inner, locked},
    sync::Mutex,
};

/// The homes of one blob. They are opened one after the other, and only when those before do not do. One
/// that does not open now is tried again the next time.
pub(crate) struct Homes<O> {
    hash: Hash,
    slots: Mutex<Vec<Slot<O>>>,
    /// Whether an outboard that is found to be of no use may be made again.
    pub(crate) mends: bool,
}

enum Slot<O> {
    Open(Arc<Home<O>>),
    /// `H.data`.
    Owned,
    /// Wherever `H.paths` says.
    Listed,
    External(ExternalPath),
    /// A path that is never followed, and why.
    Refused(String, PathError),
    /// `H-U.data`, beside which the blob counts as complete by another home.
    Partial(Uuid),
}

/// A home that is open.
pub(crate) struct Home<O> {
    /// A file name, or an external path.
    pub(crate) name: String,
    pub(crate) object: O,
    /// Whether it need not have all groups.
    pub(crate) is_partial: bool,
}

impl<O: ReadAt> Homes<O> {
    pub(crate) fn new(hash: Hash, entry: Entry) -> Self {
        let owned = entry.has(Entry::DATA).then_some(Slot::Owned);
        let listed = entry.has(Entry::PATHS).then_some(Slot::Listed);
        Self {
            hash,
            slots: Mutex::new(owned.into_iter().chain(listed).collect()),
            mends: true,
        }
    }

    /// The same homes, and these partial entries. Each of their groups is proved like any other.
    pub(crate) fn with_partials(self, partials: &[PartialFiles]) -> Self {
        let with_data = partials.iter().filter(|files| files.data);
        let slots = with_data.map(|files| Slot::Partial(files.uuid));
        locked(&self.slots).extend(slots.take(PARTIAL_HOMES));
        self
    }

    /// The same homes, for reading that must leave everything as it is.
    pub(crate) fn mending(mut self, mends: bool) -> Self {
        self.mends = mends;
        self
    }

    /// The blob.
    pub(crate) fn hash(&self) -> Hash {
        self.hash
    }

    /// The `index`-th home that opens. What those say that do not goes to `failed`, the last one last.
    pub(crate) fn get<B: Backend<Object = O>>(
        &self,
        inner: &Inner<B>,
        index: usize,
        failed: &mut Option<Error>,
    ) -> Option<Arc<Home<O>>> {
        let mut slots = locked(&self.slots);
        let (mut at, mut opened) = (0, 0);
        while at < slots.len() {
            let home = match &slots[at] {
                Slot::Open(home) if opened == index => return Some(Arc::clone(home)),
                Slot::Open(_) => {
                    opened += 1;
                    at += 1;
                    continue;
                }
                Slot::Owned => open_file(inner, FileName::Data(self.hash), false),
                Slot::Partial(uuid) => {
                    open_file(inner, FileName::PartialData(self.hash, *uuid), true)
                }
                Slot::External(path) => open_external(inner, path),
                Slot::Refused(path, source) => Err(Error::Path {
                    path: path.clone(),
                    source: source.clone(),
                }),
                Slot::Listed => match self.read_listed(inner) {
                    Ok(listed) => {
                        slots.splice(at..=at, listed);
                        continue;
                    }
                    Err(error) => Err(error),
                },
            };
            match home {
                Ok(home) => slots[at] = Slot::Open(home.into()),
                Err(error) => {
                    // Why there is no home is not for partial entries to say.
                    if !matches!(slots[at], Slot::Partial(_)) {
                        *failed = Some(error);
                    }
                    at += 1;
                }
            }
        }
        None
    }

    fn read_listed<B: Backend<Object = O>>(&self, inner: &Inner<B>) -> Result<Vec<Slot<O>>> {
        let name = FileName::Paths(self.hash);
        let Some(paths) = inner.read_paths(self.hash)? else {
            // Gone since it was listed, which is no damage.
            return Err(BackendError::Missing { name }.into());
        };
        if paths.is_empty() {
            return Err(Error::Paths {
                file: name,
                source: PathsError::Empty,
            });
        }
        let slot = |(path, parsed): (&str, Result<ExternalPath, PathError>)| match parsed {
            Ok(parsed) => Slot::External(parsed),
            Err(why) => Slot::Refused(path.to_owned(), why),
        };
        Ok(paths.iter().map(slot).collect())
    }

    /// Why there is no home that does, given what the last one that did not open said.
    pub(crate) fn failure(&self, failed: Option<Error>) -> Error {
        match failed {
            Some(Error::Backend(source)) => Error::Unreadable {
                hash: self.hash,
                source,
            },
            Some(error) => error,
            None => Error::NotFound(self.hash),
        }
    }
}

fn open_file<B: Backend>(
    inner: &Inner<B>,
    name: FileName,
    is_partial: bool,
) -> Result<Home<B::Object>> {
    match inner.backend.open(&name)? {
        Some(object) => Ok(Home {
            name: name.to_string(),
            object,
            is_partial,
        }),
        None => Err(BackendError::Missing { name }.into()),
    }
}

fn open_external<B: Backend>(inner: &Inner<B>, path: &ExternalPath) -> Result<Home<B::Object>> {
    Ok(Home {
        object: inner.backend.external(path)?,
        name: path.to_string(),
        is_partial: false,
    })
}

impl<B: Backend> Inner<B> {
    /// The list of a blob's external paths; `None` when there is no such file any more.
    pub(crate) fn read_paths(&self, hash: Hash) -> Result<Option<PathSet>> {
        let name = FileName::Paths(hash);
        let Some(file) = self.backend.open(&name)? else {
            return Ok(None);
        };
        let bytes = read_capped(&file, MAX_PATHS_FILE).map_err(BackendError::io("read", &name))?;
        match PathSet::decode(&bytes) {
            Ok(paths) => Ok(Some(paths)),
            Err(source) => Err(Error::Paths { file: name, source }),
        }
    }
}
