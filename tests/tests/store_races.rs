//! Races, each brought about at the very moment that matters: between two calls of the back end.

// Under WASI there are no threads.
#![cfg(not(target_os = "wasi"))]
// A test reports by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    io,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use flatbao_core::{
    Backend, BackendError, BatchError, Clock, Env, Error, ExternalPath, FileName, Hash,
    HashAndFormat, Listed, Stamp, Store, Tag, Uuid,
    progress::unwatched,
    store::{ExportMode, ExportOptions, GcPlan, Novelty},
};
use flatbao_mem::{MemBackend, MemLock, MemObject, MemOutgoing, MemStaged, seeded_env};

type Act = Box<dyn FnOnce() + Send>;

/// What happens once, at the next call of a kind.
#[derive(Clone, Default)]
struct Hook(Arc<Mutex<Option<Act>>>);

impl Hook {
    fn set(&self, act: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(act));
    }

    fn strike(&self) {
        let act = self.0.lock().unwrap().take();
        if let Some(act) = act {
            act();
        }
    }

    /// Starts a thread at that moment and gives it time to come as far as it can.
    fn start<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> Receiver<JoinHandle<T>> {
        let (sender, receiver) = channel();
        self.set(move || {
            sender.send(thread::spawn(act)).unwrap();
            thread::sleep(Duration::from_millis(100));
        });
        receiver
    }
}

fn outcome<T>(receiver: &Receiver<JoinHandle<T>>) -> T {
    receiver.try_recv().unwrap().join().unwrap()
}

/// The back end in memory, with somebody else about.
#[derive(Clone, Default)]
struct Hooked {
    inner: MemBackend,
    before_remove: Hook,
    /// Files are about to be made durable.
    before_durable: Hook,
    /// `tags.meta` is the new one, and nobody was told yet.
    after_tags: Hook,
    /// The same for a list of external paths.
    after_paths: Hook,
    /// The same for data.
    after_data: Hook,
    /// Data are about to be opened.
    before_data: Hook,
}

impl Backend for Hooked {
    type Object = MemObject;
    type Staged = MemStaged;
    type Outgoing = MemOutgoing;
    type Lock = MemLock;

    fn lock(&self) -> Result<MemLock, BackendError> {
        self.inner.lock()
    }

    fn list(&self, each: &mut dyn FnMut(Listed<'_>)) -> Result<(), BackendError> {
        self.inner.list(each)
    }

    fn open(&self, name: &FileName) -> Result<Option<MemObject>, BackendError> {
        if matches!(name, FileName::Data(_)) {
            self.before_data.strike();
        }
        self.inner.open(name)
    }

    fn stage_new(&self, name: &FileName) -> Result<MemStaged, BackendError> {
        self.inner.stage_new(name)
    }

    fn resume(&self, name: &FileName) -> Result<MemStaged, BackendError> {
        self.inner.resume(name)
    }

    fn discard(&self, staged: MemStaged) -> Result<(), BackendError> {
        self.inner.discard(staged)
    }

    fn publish(&self, batch: Vec<(MemStaged, FileName)>) -> Result<(), BatchError> {
        let names: Vec<FileName> = batch.iter().map(|(_, name)| name.clone()).collect();
        let outcome = self.inner.publish(batch);
        for name in names {
            match name {
                FileName::Tags => self.after_tags.strike(),
                FileName::Paths(_) => self.after_paths.strike(),
                FileName::Data(_) => self.after_data.strike(),
                _ => {}
            }
        }
        outcome
    }

    fn ensure_durable(&self, names: &[FileName]) -> Result<(), BackendError> {
        self.before_durable.strike();
        self.inner.ensure_durable(names)
    }

    fn demote(&self, name: &FileName, to: &FileName) -> Result<(), BackendError> {
        self.inner.demote(name, to)
    }

    fn remove(&self, names: &[FileName]) -> Result<(), BatchError> {
        self.before_remove.strike();
        self.inner.remove(names)
    }

    fn external(&self, path: &ExternalPath) -> Result<MemObject, BackendError> {
        self.inner.external(path)
    }

    fn stamp(&self, object: &MemObject) -> io::Result<Stamp> {
        self.inner.stamp(object)
    }

    fn stage_out(&self, path: &ExternalPath, uuid: Uuid) -> Result<MemOutgoing, BackendError> {
        self.inner.stage_out(path, uuid)
    }

    fn link_out(
        &self,
        name: &FileName,
        path: &ExternalPath,
        uuid: Uuid,
    ) -> Result<Option<MemOutgoing>, BackendError> {
        self.inner.link_out(name, path, uuid)
    }

    fn release(&self, outgoing: MemOutgoing, replace: bool) -> Result<(), BackendError> {
        self.inner.release(outgoing, replace)
    }

    fn discard_out(&self, outgoing: MemOutgoing) -> Result<(), BackendError> {
        self.inner.discard_out(outgoing)
    }
}

fn open() -> (Hooked, Store<Hooked>) {
    let backend = Hooked::default();
    let store = Store::open(backend.clone(), seeded_env(5)).unwrap().0;
    (backend, store)
}

fn tag(name: &str) -> Tag {
    Tag::try_from(name).unwrap()
}

/// PD-26: a state lock held over file writes. While files are opened, published, replaced and removed, others ask the
/// store what it has, read, and hold blobs.
#[test]
fn the_state_is_free_during_io() {
    type Place = fn(&Hooked) -> &Hook;
    type Step = fn(&Store<Hooked>);
    let steps: [(&str, Place, Step); 4] = [
        (
            "publishing data",
            |hooked| &hooked.after_data,
            |store| {
                drop(store.import_bytes(b"new").unwrap());
            },
        ),
        (
            "replacing tags",
            |hooked| &hooked.after_tags,
            |store| {
                let value = HashAndFormat::raw(Hash::of(b"old"));
                store.set_tag(tag("a"), value).unwrap();
            },
        ),
        (
            "opening data",
            |hooked| &hooked.before_data,
            |store| {
                assert_eq!(store.read(Hash::of(b"old"), 9).unwrap(), b"old");
            },
        ),
        (
            "removing",
            |hooked| &hooked.before_remove,
            |store| {
                store.delete(Hash::of(b"dead"), false).unwrap();
            },
        ),
    ];
    for (told, place, step) in steps {
        let (backend, store) = open();
        for data in [&b"old"[..], b"dead", b"another"] {
            store.import_bytes(data).unwrap();
        }
        drop(store);
        let store = Store::open(backend.clone(), seeded_env(6)).unwrap().0;
        let (asking, (sender, receiver)) = (store.clone(), channel());
        place(&backend).set(move || {
            let (told, tells) = channel();
            thread::spawn(move || {
                let hash = Hash::of(b"another");
                let held = asking.temp_tag(HashAndFormat::raw(hash));
                let found = (asking.blobs().count(), asking.read(hash, 9).unwrap());
                drop(held);
                told.send((found, asking.tags().unwrap().len())).unwrap();
            });
            // With the state locked it would never come.
            sender
                .send(tells.recv_timeout(Duration::from_secs(20)))
                .unwrap();
        });
        step(&store);
        let ((blobs, read), _) = receiver.try_recv().unwrap().expect(told);
        assert!(blobs >= 2, "{told}");
        assert_eq!(read, b"another", "{told}");
    }
}

/// While a blob is being removed an import of the same content waits, and then brings it back. PD-03.
#[test]
fn an_import_waits_for_the_removal_of_its_blob() {
    for by_delete in [false, true] {
        let (backend, store) = open();
        let data = vec![7; 40_000];
        let hash = store.import_bytes(&data).unwrap().hash;
        let (other, content) = (store.clone(), data.clone());
        let import = backend
            .before_remove
            .start(move || other.import_bytes(&content).unwrap());
        if by_delete {
            store.delete(hash, false).unwrap();
        } else {
            let plan = store.plan_gc().unwrap();
            assert_eq!(store.sweep(plan).unwrap().removed.len(), 1);
        }
        let imported = outcome(&import);
        assert_eq!(imported.novelty, Novelty::New);
        assert!(store.read(hash, 1 << 20).unwrap() == data);
        drop((imported, store));
        let store = Store::open(backend, seeded_env(6)).unwrap().0;
        assert!(store.read(hash, 1 << 20).unwrap() == data);
    }
}

/// A tag that is set while its blob is being removed waits as well, and says what it names: nothing yet.
#[test]
fn a_tag_waits_for_the_removal_of_its_blob() {
    let (backend, store) = open();
    let hash = store.import_bytes(b"data").unwrap().hash;
    let other = store.clone();
    let value = HashAndFormat::raw(hash);
    let tagging = backend
        .before_remove
        .start(move || other.set_tag(tag("a"), value).unwrap());
    let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
    assert_eq!(swept.removed.len(), 1);
    outcome(&tagging);
    assert_eq!(store.tag(&tag("a")).unwrap(), value);
    assert!(store.reader(hash).is_err());
    drop(store.import_bytes(b"data").unwrap());
    let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
    assert!(swept.removed.is_empty());
}

/// Whoever deletes a blob that is being removed waits for that, and is told that there is none.
#[test]
fn a_deletion_waits_for_the_removal_of_its_blob() {
    for forgets in [false, true] {
        let (backend, store) = open();
        backend.inner.grant_external("/out").unwrap();
        let hash = store.import_bytes(b"data").unwrap().hash;
        let (other, path) = (store.clone(), ExternalPath::parse("/out/file").unwrap());
        let deleting = backend.before_remove.start(move || match forgets {
            true => {
                let options = ExportOptions::default().mode(ExportMode::Forget);
                let exported = other.export_with(hash, &path, options, &mut unwatched);
                exported.map(|exported| exported.hash)
            }
            false => other.delete(hash, false).map(|item| item.hash),
        });
        let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
        assert_eq!(swept.removed.len(), 1);
        match outcome(&deleting) {
            Ok(found) => assert!(forgets && found == hash),
            Err(error) => assert!(!forgets && matches!(error, Error::NotFound(_)), "{error:?}"),
        }
        assert!(store.blobs().next().is_none());
    }
}

/// Between the two steps of a change of tags, on disk and in memory, a collection takes neither for the work
/// of another program, and keeps what the change protects.
#[test]
fn a_change_of_tags_is_one_step_to_others() {
    let (backend, store) = open();
    let hash = store.import_bytes(b"data").unwrap().hash;
    let other = store.clone();
    let collecting = backend
        .after_tags
        .start(move || other.plan_gc().and_then(|plan| other.sweep(plan)));
    store.set_tag(tag("a"), HashAndFormat::raw(hash)).unwrap();
    assert!(outcome(&collecting).unwrap().removed.is_empty());
    assert_eq!(store.read(hash, 9).unwrap(), b"data");
    let other = store.clone();
    let deleting = backend.after_tags.start(move || other.delete(hash, false));
    store.remove_tag(&tag("a")).unwrap();
    outcome(&deleting).unwrap();
}

/// A blob is held from the first moment of a change that names it: a plan that is made in the midst of it,
/// before the tag is written, names it not, whenever it is swept.
#[test]
fn a_tag_protects_before_it_is_written() {
    struct Asked {
        store: Mutex<Option<Store<Hooked>>>,
        plan: Arc<Mutex<Option<GcPlan>>>,
    }
    impl Clock for Asked {
        fn now_millis(&self) -> i64 {
            if let Some(store) = self.store.lock().unwrap().take() {
                *self.plan.lock().unwrap() = Some(store.plan_gc().unwrap());
            }
            0
        }
    }
    let plan = Arc::new(Mutex::new(None));
    let clock = Arc::new(Asked {
        store: Mutex::default(),
        plan: Arc::clone(&plan),
    });
    let env = Env {
        clock: Arc::<Asked>::clone(&clock),
        entropy: seeded_env(1).entropy,
    };
    let store = Store::open(Hooked::default(), env).unwrap().0;
    let hash = store.import_bytes(b"data").unwrap().hash;
    assert_eq!(store.plan_gc().unwrap().items().len(), 1);
    *clock.store.lock().unwrap() = Some(store.clone());
    store.auto_tag(HashAndFormat::raw(hash)).unwrap();
    let plan = plan.lock().unwrap().take().unwrap();
    assert!(store.sweep(plan).unwrap().removed.is_empty());
    assert_eq!(store.read(hash, 9).unwrap(), b"data");
    assert_eq!(Hash::of(b"data"), hash);
}

/// A store in which a blob was found at open, and the path that it is to be exported to.
fn exporting() -> (Hooked, Store<Hooked>, Vec<u8>, ExternalPath) {
    let data = vec![9; 200_000];
    let (backend, store) = open();
    backend.inner.grant_external("/out").unwrap();
    drop(store.import_bytes(&data).unwrap());
    drop(store);
    let store = Store::open(backend.clone(), seeded_env(7)).unwrap().0;
    let path = ExternalPath::parse("/out/file").unwrap();
    (backend, store, data, path)
}

fn refer(store: &Store<Hooked>, hash: Hash, path: &ExternalPath) -> flatbao_core::Result<()> {
    let options = ExportOptions::default().mode(ExportMode::Reference);
    store
        .export_with(hash, path, options, &mut unwatched)
        .map(drop)
}

/// Whoever takes the exported file away before the store has let go of its own data does not take the blob.
#[test]
fn data_are_not_given_away_for_a_file_that_is_gone() {
    for shorter in [false, true] {
        let (backend, store, data, path) = exporting();
        let hash = Hash::of(&data);
        let (inner, target) = (backend.inner.clone(), path.clone());
        backend.after_paths.set(move || match shorter {
            true => inner.put_external(&target, b"short"),
            false => assert!(inner.remove_external(&target)),
        });
        assert!(refer(&store, hash, &path).is_err());
        assert!(store.read(hash, 1 << 20).unwrap() == data);
        let store = Store::open_read_only(backend, seeded_env(8)).unwrap().0;
        assert!(store.read(hash, 1 << 20).unwrap() == data);
    }
}

/// Between the publication of data and the moment at which the store knows of them, no export takes them away:
/// what is known is what is there.
#[test]
fn an_export_waits_for_a_publication() {
    let (backend, store, data, path) = exporting();
    let hash = Hash::of(&data);
    let other = store.clone();
    let exporting = backend.after_data.start(move || refer(&other, hash, &path));
    assert_eq!(
        store.import_bytes(&data).unwrap().novelty,
        Novelty::Replaced
    );
    outcome(&exporting).unwrap();
    let fresh = Store::open_read_only(backend, seeded_env(8)).unwrap().0;
    assert_eq!(store.status(hash), fresh.status(hash));
    assert!(store.read(hash, 1 << 20).unwrap() == data);
}

/// No export gives data away that a tag is about to make durable.
#[test]
fn an_export_waits_for_a_tag() {
    let (backend, store, data, path) = exporting();
    let hash = Hash::of(&data);
    let other = store.clone();
    let exporting = backend
        .before_durable
        .start(move || refer(&other, hash, &path));
    store.set_tag(tag("a"), HashAndFormat::raw(hash)).unwrap();
    outcome(&exporting).unwrap();
    assert_eq!(store.tag(&tag("a")).unwrap().hash, hash);
    assert!(store.read(hash, 1 << 20).unwrap() == data);
    assert!(backend.inner.open(&FileName::Data(hash)).unwrap().is_none());
}

/// Data that leave between the moment at which a reader learns of them and the one at which it opens them are
/// read where they went.
#[test]
fn a_reader_follows_the_data() {
    let (backend, store, data, path) = exporting();
    let hash = Hash::of(&data);
    let other = store.clone();
    backend
        .before_data
        .set(move || refer(&other, hash, &path).unwrap());
    assert!(store.read(hash, 1 << 20).unwrap() == data);
    assert!(backend.inner.open(&FileName::Data(hash)).unwrap().is_none());
}

/// A blob that nothing reaches is kept while it is exported by reference, however long that takes.
#[test]
fn a_collection_spares_what_is_being_exported() {
    let (backend, store, data, path) = exporting();
    let hash = Hash::of(&data);
    let other = store.clone();
    backend.after_paths.set(move || {
        let swept = other.sweep(other.plan_gc().unwrap()).unwrap();
        assert!(swept.removed.is_empty());
    });
    refer(&store, hash, &path).unwrap();
    assert!(store.read(hash, 1 << 20).unwrap() == data);
    let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
    assert_eq!(swept.removed.len(), 1, "and no longer");
    assert!(backend.external(&path).is_ok());
}
