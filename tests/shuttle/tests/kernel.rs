//! Leases, deletions and epochs under every order in which their locks can be taken: over a back end without calls that
//! another thread could notice.

use flatbao_core::{Error, Hash, HashAndFormat, Result, Store, TempTag, store::GcItem};
use flatbao_mem::{MemBackend, seeded_env};
use flatbao_shuttle::explore::{Explored, Points, explore};
use shuttle::thread::{self, JoinHandle};

const DATA: &[u8] = b"data";

type MemStore = Store<MemBackend>;

/// A store with a blob that nothing protects.
fn open() -> MemStore {
    let store = Store::open(MemBackend::default(), seeded_env(1)).unwrap().0;
    drop(store.import_bytes(DATA).unwrap());
    store
}

fn hash() -> Hash {
    Hash::of(DATA)
}

fn start<T: Send + 'static>(
    store: &MemStore,
    act: impl FnOnce(&MemStore) -> T + Send + 'static,
) -> JoinHandle<T> {
    let store = store.clone();
    thread::spawn(move || act(&store))
}

fn delete(store: &MemStore) -> Result<GcItem> {
    store.delete(hash(), false)
}

fn collect(store: &MemStore) -> usize {
    let plan = store.plan_gc().unwrap();
    store.sweep(plan).unwrap().removed.len()
}

/// Holds the blob, and tells whether it is there.
fn hold(store: &MemStore) -> (TempTag, bool) {
    let tag = store.temp_tag(HashAndFormat::raw(hash()));
    match store.read(hash(), 9) {
        Ok(bytes) => assert_eq!(bytes, DATA),
        Err(Error::NotFound(_)) => return (tag, false),
        Err(error) => panic!("{error:?}"),
    }
    (tag, true)
}

/// Explores, and tells how much. Where `all` says so, these must be all the schedules there are.
fn explore_all(name: &str, all: bool, body: impl Fn() + Send + Sync + 'static) {
    let Explored {
        schedules,
        preemptions,
    } = explore(Points::Locks, 50_000, body);
    println!("{name}: {schedules} schedules, up to {preemptions:?} preemptions");
    assert!(preemptions.is_none() || !all, "there are more");
}

#[test]
fn what_is_held_is_not_deleted() {
    explore_all("hold and delete", false, || {
        let store = open();
        let holding = start(&store, hold);
        let deleting = start(&store, delete);
        let (tag, is_there) = holding.join().unwrap();
        match deleting.join().unwrap() {
            Ok(_) => assert!(!is_there, "deleted although it was held"),
            Err(Error::InUse { .. }) => assert!(is_there, "not deleted, and not there"),
            Err(error) => panic!("{error:?}"),
        }
        assert_eq!(store.read(hash(), 9).is_ok(), is_there);
        drop(tag);
        assert_eq!(delete(&store).is_ok(), is_there, "held by nobody");
    });
}

#[test]
fn counts_go_back_to_nothing() {
    explore_all("hold and hold", true, || {
        let store = open();
        let value = HashAndFormat::raw(hash());
        let once = start(&store, move |store| drop(store.temp_tag(value)));
        let twice = start(&store, move |store| {
            let first = store.temp_tag(value);
            let second = store.temp_tag(value);
            drop((first, second));
        });
        for one in [once, twice] {
            one.join().unwrap();
        }
        delete(&store).unwrap();
    });
}

#[test]
fn two_deletions_are_one() {
    explore_all("delete and delete", false, || {
        let store = open();
        let both = [start(&store, delete), start(&store, delete)];
        let outcomes = both.map(|one| one.join().unwrap());
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        let not_found = |outcome: &Result<GcItem>| matches!(outcome, Err(Error::NotFound(_)));
        assert!(outcomes.iter().any(not_found), "{outcomes:?}");
        assert!(store.blobs().next().is_none());
    });
}

#[test]
fn what_is_held_lives_through_two_collections() {
    explore_all("hold, and two collections", false, || {
        let store = open();
        let collecting = [start(&store, collect), start(&store, collect)];
        let holding = start(&store, hold);
        let removed: usize = collecting.map(|one| one.join().unwrap()).iter().sum();
        let (tag, is_there) = holding.join().unwrap();
        assert_eq!(removed, usize::from(!is_there));
        assert_eq!(store.read(hash(), 9).is_ok(), is_there);
        drop(tag);
        // No epoch is left that would remember it.
        assert_eq!(collect(&store), usize::from(is_there));
    });
}

#[test]
fn an_import_brings_back_what_goes() {
    explore_all("import, delete and collection", false, || {
        let store = open();
        let deleting = start(&store, delete);
        let collecting = start(&store, collect);
        let importing = start(&store, |store| store.import_bytes(DATA).unwrap().tag);
        let tag = importing.join().unwrap();
        let removed = collecting.join().unwrap() + usize::from(deleting.join().unwrap().is_ok());
        assert!(removed <= 1, "removed twice, but there once");
        assert_eq!(store.read(hash(), 9).unwrap(), DATA);
        drop(tag);
        delete(&store).unwrap();
    });
}
