//! The places a blob's data may be at, in the order in which they are tried: owned, then each external
//! path.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use crate::{
    Backend, BackendError, Error, ExternalPath, FileName, Hash, PathSet, ReadAt, Result,
    index::Entry,
    io::read_capped,
    limits::MAX_PATHS_FILE,
    store::{Inner, locked},
};

/// The homes of one blob. They are opened one after the other, and only when those before do not do.
pub(crate) struct Homes<O> {
    hash: Hash,
    state: Mutex<State<O>>,
}

struct State<O> {
    opened: Vec<Arc<Home<O>>>,
    rest: VecDeque<Place>,
    /// What the last home that did not open said.
    failed: Option<Error>,
}

/// A home that is open.
pub(crate) struct Home<O> {
    /// A file name, or an external path.
    pub(crate) name: String,
    pub(crate) object: O,
}

enum Place {
    Owned,
    /// Wherever `H.paths` says.
    Listed,
    External(ExternalPath),
}

impl<O: ReadAt> Homes<O> {
    fn new(hash: Hash, entry: Entry) -> Self {
        let mut rest = VecDeque::new();
        if entry.has(Entry::DATA) {
            rest.push_back(Place::Owned);
        }
        if entry.has(Entry::PATHS) {
            rest.push_back(Place::Listed);
        }
        Self {
            hash,
            state: Mutex::new(State {
                opened: Vec::new(),
                rest,
                failed: None,
            }),
        }
    }

    /// No home at all.
    pub(crate) fn none(hash: Hash) -> Self {
        Self::new(hash, Entry::default())
    }

    /// The blob.
    pub(crate) fn hash(&self) -> Hash {
        self.hash
    }

    /// The `index`-th home that opens.
    pub(crate) fn get<B: Backend<Object = O>>(
        &self,
        inner: &Inner<B>,
        index: usize,
    ) -> Option<Arc<Home<O>>> {
        let mut state = locked(&self.state);
        loop {
            if let Some(home) = state.opened.get(index) {
                return Some(Arc::clone(home));
            }
            let place = state.rest.pop_front()?;
            match self.visit(inner, place, &mut state.rest) {
                Ok(Some(home)) => state.opened.push(home.into()),
                Ok(None) => {}
                Err(error) => state.failed = Some(error),
            }
        }
    }

    fn visit<B: Backend<Object = O>>(
        &self,
        inner: &Inner<B>,
        place: Place,
        rest: &mut VecDeque<Place>,
    ) -> Result<Option<Home<O>>> {
        match place {
            Place::Owned => {
                let name = FileName::Data(self.hash);
                let object = inner.backend.open(&name)?.ok_or_else(|| {
                    let name = name.clone();
                    BackendError::Missing { name }
                })?;
                let name = name.to_string();
                Ok(Some(Home { name, object }))
            }
            Place::External(path) => {
                let object = inner.backend.external(&path)?;
                let name = path.to_string();
                Ok(Some(Home { name, object }))
            }
            Place::Listed => {
                let paths = inner.read_paths(self.hash)?.unwrap_or_default();
                let mut refused = None;
                for (path, parsed) in paths.iter() {
                    match parsed {
                        Ok(parsed) => rest.push_back(Place::External(parsed)),
                        Err(source) => {
                            let path = path.to_owned();
                            refused = Some(Error::Path { path, source });
                        }
                    }
                }
                refused.map_or(Ok(None), Err)
            }
        }
    }

    /// Why there is no home that does: what the last one that did not open said.
    pub(crate) fn failure(&self) -> Error {
        match locked(&self.state).failed.take() {
            Some(Error::Backend(source)) => Error::Unreadable {
                hash: self.hash,
                source,
            },
            Some(error) => error,
            None => Error::NotFound(self.hash),
        }
    }

    /// The size that the first home claims.
    pub(crate) fn first_size<B: Backend<Object = O>>(&self, inner: &Inner<B>) -> Result<u64> {
        let home = self.get(inner, 0).ok_or_else(|| self.failure())?;
        home.object
            .size()
            .map_err(|e| BackendError::io("measure", &home.name)(e).into())
    }
}

impl<B: Backend> Inner<B> {
    pub(crate) fn homes(&self, hash: Hash, entry: Entry) -> Homes<B::Object> {
        Homes::new(hash, entry)
    }

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
