//! What the tests of the store share: a simulated machine, contents to put into it, and the one question
//! that all of them ask: whether a wrong byte ever comes out.

// Every test file uses a part of this, and all of it reports by panicking.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

pub mod faults;
pub mod tap;

use std::{collections::BTreeMap, fs, path::Path};

use flatbao_core::{
    Backend, FileName, Hash, HashAndFormat, Store, Tag, Uuid,
    store::{BlobInfo, State, Status, Swept},
};
pub use flatbao_tests::{
    care,
    machine::{Machine, SimStore, external, fresh_env},
    truth::{GROUP, assert_reads, assert_typed, bytes, groups_that_read, outboard, read},
};

pub fn tag(name: &str) -> Tag {
    Tag::try_from(name).unwrap()
}

pub fn raw(hash: Hash) -> HashAndFormat {
    HashAndFormat::raw(hash)
}

pub fn seq(hash: Hash) -> HashAndFormat {
    HashAndFormat::hash_seq(hash)
}

/// The bytes of a hash sequence.
pub fn sequence(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(Hash::as_bytes).copied().collect()
}

/// What every opening must agree on: blobs and tags.
pub fn picture<B: Backend>(
    store: &Store<B>,
) -> (Vec<(Hash, State, String)>, Option<flatbao_core::TagMap>) {
    let blobs: Vec<BlobInfo> = store.blobs().collect();
    for blob in &blobs {
        assert_eq!(store.status(blob.hash), Status::Present(*blob));
    }
    let blobs = blobs
        .into_iter()
        .map(|blob| (blob.hash, blob.state, format!("{:?}", blob.location)))
        .collect();
    (blobs, store.tags().ok().map(|tags| (*tags).clone()))
}

/// What a collection removed, in its order.
pub fn removed(swept: &Swept) -> Vec<Hash> {
    swept.removed.iter().map(|item| item.hash).collect()
}

/// Every file below a real directory, by its relative path.
pub fn real_files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(top: &Path, dir: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            let path = entry.path();
            let relative = path
                .strip_prefix(top)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            if kind.is_dir() {
                walk(top, &path, found);
            } else if kind.is_file() {
                found.insert(relative, fs::read(&path).unwrap());
            } else {
                found.insert(relative, format!("{kind:?}").into_bytes());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(dir, dir, &mut found);
    found
}

/// Copies a real directory with what is below it.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (name, bytes) in real_files(from) {
        let target = to.join(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, bytes).unwrap();
    }
}

/// What a process leaves that dies in the midst of everything: a temporary file of every kind, and a completion of this
/// content between its two renames.
pub fn plant_interrupted(machine: &Machine, content: &[u8]) {
    let hash = Hash::of(content);
    let uuid = |n| Uuid::from_bytes([n; 16]);
    machine.plant(&FileName::Temp(uuid(1)), b"x");
    machine.plant(&FileName::PathsTemp(hash, uuid(2)), b"x");
    machine.plant(&FileName::TagsTemp(uuid(3)), b"x");
    machine.plant(&FileName::Outboard(hash), &outboard(content).unwrap());
    machine.plant(&FileName::PartialData(hash, uuid(4)), content);
}
