//! Stores go from memory to a directory and back, byte for byte.

// A test reports by panicking.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, ffi::OsString, fs, path::Path};

use flatbao_core::{Backend, FlatDir, Hash, HashAndFormat, Store, Tag};
use flatbao_fs::SystemDir;
use flatbao_mem::{MemBackend, SimDisk, seeded_env};
use flatbao_tests::platform;

fn real_dir(path: &Path) -> SystemDir {
    SystemDir::open_ambient(path).unwrap()
}

fn files(path: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap()))
        .collect()
}

/// Three blobs on both sides of a group, and a tag.
fn fill<B: Backend>(backend: B) -> Vec<(Hash, Vec<u8>)> {
    let (store, _) = platform::open(backend, seeded_env(7)).unwrap();
    let contents = [0, 16_384, 100_000].map(|size| vec![0x5a; size]);
    let import = |bytes: Vec<u8>| (store.import_bytes(&bytes).unwrap().hash, bytes);
    let blobs: Vec<_> = contents.into_iter().map(import).collect();
    let value = HashAndFormat::raw(blobs[2].0);
    store
        .set_tag(Tag::try_from("kept").unwrap(), value)
        .unwrap();
    blobs
}

fn check<B: Backend>(backend: B, blobs: &[(Hash, Vec<u8>)]) {
    let (store, recovery) = Store::open_read_only(backend, seeded_env(8)).unwrap();
    assert_eq!(recovery.odd, []);
    assert_eq!(store.blobs().count(), blobs.len());
    for (hash, bytes) in blobs {
        assert_eq!(store.read(*hash, u64::MAX).unwrap(), *bytes);
    }
    let kept = store.tag(&Tag::try_from("kept").unwrap()).unwrap();
    assert_eq!(kept, HashAndFormat::raw(blobs[2].0));
}

#[test]
fn a_simulated_store_moves_to_a_directory_and_back() {
    let disk = SimDisk::new();
    let blobs = fill(FlatDir::new(disk.file_system("a")));
    let real = platform::scratch();
    disk.file_system("a").dump(&real_dir(real.path())).unwrap();
    check(FlatDir::new(real_dir(real.path())), &blobs);

    // What is none of the store's goes along as well.
    fs::write(real.path().join("README"), "mine").unwrap();
    let again = SimDisk::new().file_system("b");
    again.load(&real_dir(real.path())).unwrap();
    let loaded: BTreeMap<_, _> = again
        .entries()
        .into_iter()
        .map(|(name, _)| (name.clone(), again.content(&name).unwrap()))
        .collect();
    assert_eq!(loaded, files(real.path()));
}

#[test]
fn a_store_in_memory_moves_to_a_directory_and_back() {
    let backend = MemBackend::new();
    let blobs = fill(backend.clone());
    let real = platform::scratch();
    backend.dump(&real_dir(real.path())).unwrap();
    assert_eq!(
        files(real.path()),
        backend.files().into_iter().collect::<BTreeMap<_, _>>()
    );
    check(FlatDir::new(real_dir(real.path())), &blobs);

    let again = MemBackend::new();
    again.load(&real_dir(real.path())).unwrap();
    assert_eq!(again.files(), backend.files());
    check(again, &blobs);
}

/// The same calls with the same seed make the same files, in memory and on a directory.
#[test]
fn one_seed_makes_one_store() {
    let disk = SimDisk::new();
    fill(FlatDir::new(disk.file_system("a")));
    let (simulated, real) = (platform::scratch(), platform::scratch());
    disk.file_system("a")
        .dump(&real_dir(simulated.path()))
        .unwrap();
    fill(FlatDir::new(real_dir(real.path())));
    assert_eq!(files(simulated.path()), files(real.path()));
}
