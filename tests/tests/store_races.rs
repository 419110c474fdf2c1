//! Races, each brought about at the very moment that matters: between two calls of the back end.

// A test reports by panicking.
#![allow(clippy::unwrap_used)]

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
    Backend, BackendError, BatchError, Clock, Env, ExternalPath, FileName, Hash, HashAndFormat,
    Listed, Stamp, Store, Tag,
    store::{GcPlan, Novelty},
};
use flatbao_mem::{MemBackend, MemLock, MemObject, MemStaged, seeded_env};

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
    /// `tags.meta` is the new one, and nobody was told yet.
    after_tags: Hook,
}

impl Backend for Hooked {
    type Object = MemObject;
    type Staged = MemStaged;
    type Lock = MemLock;

    fn lock(&self) -> Result<MemLock, BackendError> {
        self.inner.lock()
    }

    fn list(&self, each: &mut dyn FnMut(Listed<'_>)) -> Result<(), BackendError> {
        self.inner.list(each)
    }

    fn open(&self, name: &FileName) -> Result<Option<MemObject>, BackendError> {
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
        let has_tags = batch.iter().any(|(_, name)| *name == FileName::Tags);
        let outcome = self.inner.publish(batch);
        if has_tags {
            self.after_tags.strike();
        }
        outcome
    }

    fn ensure_durable(&self, names: &[FileName]) -> Result<(), BackendError> {
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
}

fn open() -> (Hooked, Store<Hooked>) {
    let backend = Hooked::default();
    let store = Store::open(backend.clone(), seeded_env(5)).unwrap().0;
    (backend, store)
}

fn tag(name: &str) -> Tag {
    Tag::try_from(name).unwrap()
}

/// While a blob is being removed an import of the same content waits, and then brings it back. PEER-DEFECTS
/// "tagging or importing between mark and sweep: swept although tagged".
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
