//! Stores that get one thing wrong, for the search to find.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    sync::Mutex,
};

use flatbao_core::{
    Backend, BackendError, BatchError, Dir, ExternalPath, FileName, FlatDir, Hash, Listed, Result,
    Stamp, Store, TempTag, Uuid,
    store::{GcPlan, State, Status},
};
use flatbao_mem::{Fault, Op, OpKind, SimDir, SimDisk};
use flatbao_tests::explore::{Blob, Layout, Subject};

type Flat = FlatDir<SimDir>;

/// One sync of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Site {
    /// Of data, before they are published.
    BytesOfData,
    /// Of an outboard, likewise.
    BytesOfOutboard,
    /// Of a list of external paths, likewise.
    BytesOfPaths,
    /// Of the tags, likewise.
    BytesOfTags,
    /// Of partial data, before they are completed.
    BytesOfPartialData,
    /// Of their outboard, likewise.
    BytesOfPartialOutboard,
    /// Of a file outside, before it gets its name.
    BytesOfOutgoing,
    /// Of data that were found and are about to be relied on.
    BytesOfFoundData,
    /// Of their outboard, likewise.
    BytesOfFoundOutboard,
    /// Of a copy on another file system, before it gets its final name.
    BytesOfCopy,
    /// Of everything on the file system, before anything is published.
    Everything,
    /// Of the directory, after data and outboard got their names.
    NamesOfBlobs,
    /// Of the directory, after a list of paths got its name.
    NamesOfPaths,
    /// Of the directory, after the tags were replaced.
    NamesOfTags,
    /// Of the directory, after files were removed.
    NamesRemoved,
    /// Of the directory, after files of blobs in it were found and synced.
    NamesOfFound,
    /// Of the directory, after the tags in it were.
    NamesOfFoundTags,
    /// Of the directory, after data were taken back to a partial name.
    NamesDemoted,
    /// Of a directory outside, after a file got its name.
    NamesOutside,
    /// Of the directory outside in which a directory was made.
    DirsOutside,
}

/// What the store did last, as far as it tells syncs apart.
#[derive(Default)]
struct Before {
    /// How long each temporary file is, by name.
    lengths: BTreeMap<OsString, u64>,
    /// The last change of names or sync of bytes in each directory, and the name that it was about.
    last: BTreeMap<String, (Option<OpKind>, OsString)>,
}

impl Before {
    fn note(&mut self, op: &Op) {
        match op.kind {
            OpKind::Write => {
                let end = self.lengths.entry(op.name.to_os_string()).or_default();
                *end = (*end).max(op.offset + op.len);
            }
            OpKind::Rename | OpKind::Link => {
                if let Some((dir, name)) = &op.to {
                    self.last
                        .insert(dir.to_string(), (Some(op.kind), name.to_os_string()));
                }
            }
            OpKind::Unlink | OpKind::MakeDir | OpKind::SyncFile => {
                let about = (Some(op.kind), op.name.to_os_string());
                self.last.insert(op.dir.to_string(), about);
            }
            _ => {}
        }
    }

    fn is_blob(&self, name: &OsStr) -> bool {
        let len = self.lengths.get(name).copied();
        Blob::ALL
            .iter()
            .any(|blob| len == Some(blob.bytes().len() as u64))
    }

    fn is_of(&self, op: &Op, site: Site) -> bool {
        if op.kind == OpKind::SyncWhole || site == Site::Everything {
            return op.kind == OpKind::SyncWhole && site == Site::Everything;
        }
        let is_outside = op.dir.contains("outside");
        let typed = FileName::parse(&op.name);
        if op.kind == OpKind::SyncFile {
            let is_temp = matches!(typed, Some(FileName::Temp(_)));
            let area = op.dir.split('/').next();
            return match site {
                Site::BytesOfData => is_temp && self.is_blob(&op.name),
                Site::BytesOfOutboard => is_temp && !self.is_blob(&op.name),
                Site::BytesOfPaths => matches!(typed, Some(FileName::PathsTemp(..))),
                Site::BytesOfTags => matches!(typed, Some(FileName::TagsTemp(_))),
                Site::BytesOfPartialData => matches!(typed, Some(FileName::PartialData(..))),
                Site::BytesOfPartialOutboard => {
                    matches!(typed, Some(FileName::PartialOutboard(..)))
                }
                Site::BytesOfOutgoing => is_outside,
                Site::BytesOfFoundData => matches!(typed, Some(FileName::Data(_))),
                Site::BytesOfFoundOutboard => matches!(typed, Some(FileName::Outboard(_))),
                // Imports begin in the area of partial blobs.
                Site::BytesOfCopy => is_temp && area == Some("complete"),
                _ => false,
            };
        }
        let nothing = (None, OsString::new());
        let (last, about) = self.last.get(&*op.dir).unwrap_or(&nothing);
        let about = FileName::parse(about);
        let is_final = matches!(about, Some(FileName::Data(_) | FileName::Outboard(_)));
        let is_partial = matches!(
            about,
            Some(FileName::PartialData(..) | FileName::PartialOutboard(..))
        );
        match (site, last) {
            (Site::NamesOfBlobs, Some(OpKind::Rename)) => is_final,
            (Site::NamesOfPaths, Some(OpKind::Rename)) => matches!(about, Some(FileName::Paths(_))),
            (Site::NamesOfTags, Some(OpKind::Rename)) => about == Some(FileName::Tags),
            (Site::NamesRemoved, Some(OpKind::Unlink)) => is_final && !is_outside,
            (Site::NamesOfFound, Some(OpKind::SyncFile)) => is_final,
            (Site::NamesOfFoundTags, Some(OpKind::SyncFile)) => about == Some(FileName::Tags),
            (Site::NamesDemoted, Some(OpKind::Rename)) => is_partial,
            (Site::NamesOutside, Some(OpKind::Rename | OpKind::Link | OpKind::Unlink)) => {
                is_outside
            }
            (Site::DirsOutside, Some(OpKind::MakeDir)) => is_outside,
            _ => false,
        }
    }
}

/// A store that leaves out one sync, everywhere.
#[derive(Debug)]
pub(crate) struct Forgetful(pub(crate) Site);

impl Subject for Forgetful {
    type Backend = Flat;

    fn backend(&self, flat: Flat) -> Flat {
        flat
    }

    fn prepare(&self, disk: &SimDisk) {
        let (site, before) = (self.0, Mutex::new(Before::default()));
        let fault = Fault::matching(move |op| {
            let mut before = before.lock().unwrap();
            let is_it = op.kind.is_sync() && before.is_of(op, site);
            before.note(op);
            is_it
        });
        disk.inject(fault.sticky().ignored());
    }
}

/// A store that removes what a plan names without looking again.
#[derive(Debug, Default)]
pub(crate) struct Hasty(Mutex<Option<SimDisk>>);

impl Subject for Hasty {
    type Backend = Flat;

    fn backend(&self, flat: Flat) -> Flat {
        flat
    }

    fn prepare(&self, disk: &SimDisk) {
        *self.0.lock().unwrap() = Some(disk.clone());
    }

    fn sweep(&self, _: &Store<Flat>, plan: GcPlan) -> Result<Vec<Hash>> {
        let disk = self.0.lock().unwrap().clone().unwrap();
        let is_doomed = |name: &OsStr| {
            let hash = FileName::parse(name).and_then(|name| name.hash());
            hash.is_some_and(|hash| plan.items().iter().any(|item| item.hash == hash))
        };
        for dir in Layout::One.areas(&disk) {
            for (name, _) in dir
                .entries()
                .into_iter()
                .filter(|(name, _)| is_doomed(name))
            {
                dir.unlink(&name).unwrap();
            }
            dir.sync().unwrap();
        }
        Ok(plan.items().iter().map(|item| item.hash).collect())
    }
}

/// A store that takes the name of a file for its bytes.
#[derive(Debug)]
pub(crate) struct Trusting;

impl Subject for Trusting {
    type Backend = Flat;

    fn backend(&self, flat: Flat) -> Flat {
        flat
    }

    fn import(&self, store: &Store<Flat>, bytes: &[u8]) -> Result<Option<TempTag>> {
        match store.status(Hash::of(bytes)) {
            Status::Present(blob) if blob.state == State::Complete => Ok(None),
            _ => store.import_bytes(bytes).map(|imported| Some(imported.tag)),
        }
    }
}

/// A store that publishes in the wrong order.
#[derive(Debug)]
pub(crate) struct Swapped;

impl Subject for Swapped {
    type Backend = Reversed;

    fn backend(&self, flat: Flat) -> Reversed {
        Reversed(flat)
    }
}

/// A back end that gives the last file of a batch its name first.
#[derive(Debug)]
pub(crate) struct Reversed(Flat);

impl Backend for Reversed {
    type Object = <Flat as Backend>::Object;
    type Staged = <Flat as Backend>::Staged;
    type Outgoing = <Flat as Backend>::Outgoing;
    type Lock = <Flat as Backend>::Lock;

    fn publish(&self, mut batch: Vec<(Self::Staged, FileName)>) -> Result<(), BatchError> {
        batch.reverse();
        self.0.publish(batch)
    }

    fn lock(&self) -> Result<Self::Lock, BackendError> {
        self.0.lock()
    }

    fn list(&self, each: &mut dyn FnMut(Listed<'_>)) -> Result<(), BackendError> {
        self.0.list(each)
    }

    fn open(&self, name: &FileName) -> Result<Option<Self::Object>, BackendError> {
        self.0.open(name)
    }

    fn stage_new(&self, name: &FileName) -> Result<Self::Staged, BackendError> {
        self.0.stage_new(name)
    }

    fn resume(&self, name: &FileName) -> Result<Self::Staged, BackendError> {
        self.0.resume(name)
    }

    fn discard(&self, staged: Self::Staged) -> Result<(), BackendError> {
        self.0.discard(staged)
    }

    fn ensure_durable(&self, names: &[FileName]) -> Result<(), BackendError> {
        self.0.ensure_durable(names)
    }

    fn demote(&self, name: &FileName, to: &FileName) -> Result<(), BackendError> {
        self.0.demote(name, to)
    }

    fn remove(&self, names: &[FileName]) -> Result<(), BatchError> {
        self.0.remove(names)
    }

    fn external(&self, path: &ExternalPath) -> Result<Self::Object, BackendError> {
        self.0.external(path)
    }

    fn stamp(&self, object: &Self::Object) -> io::Result<Stamp> {
        self.0.stamp(object)
    }

    fn stage_out(&self, path: &ExternalPath, uuid: Uuid) -> Result<Self::Outgoing, BackendError> {
        self.0.stage_out(path, uuid)
    }

    fn link_out(
        &self,
        name: &FileName,
        path: &ExternalPath,
        uuid: Uuid,
    ) -> Result<Option<Self::Outgoing>, BackendError> {
        self.0.link_out(name, path, uuid)
    }

    fn release(&self, outgoing: Self::Outgoing, replace: bool) -> Result<(), BackendError> {
        self.0.release(outgoing, replace)
    }

    fn discard_out(&self, outgoing: Self::Outgoing) -> Result<(), BackendError> {
        self.0.discard_out(outgoing)
    }
}
