//! Many threads on one store: readers, importers, and a collector.

// Under WASI there are no threads.
#![cfg(not(target_os = "wasi"))]
// A test reports by panicking.
#![allow(clippy::unwrap_used, clippy::panic)]

mod store_harness;

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use flatbao_core::{
    Backend, BackendError, BlobFormat, Error, Hash, HashAndFormat, HashSeq, Store, Tag,
    store::ImportOptions,
};
use flatbao_fs::FsBackend;
use flatbao_mem::MemBackend;
use flatbao_tests::store_suite::StoreHarness;
use store_harness::{Direct, Flat, OnDisk, ThreeFileSystems};

const fn is_send_and_sync<T: Send + Sync>() {}
const _: () = is_send_and_sync::<Store<FsBackend>>();
const _: () = is_send_and_sync::<Store<MemBackend>>();

const IMPORTERS: usize = 3;
const READERS: usize = 3;
const ROUNDS: usize = 40;

/// Few contents, so that threads meet; the last ones are sequences of others.
fn contents() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [0, 10, 3000, 16_384, 16_385, 30_000, 50_000, 70_000]
        .iter()
        .map(|size| {
            let mut bytes = vec![0; *size];
            blake3::Hasher::new()
                .update(&(*size as u64).to_le_bytes())
                .finalize_xof()
                .fill(&mut bytes);
            bytes
        })
        .collect();
    for list in [[1, 4], [5, 2], [7, 1]] {
        let hashes = list.iter().map(|at| Hash::of(&all[*at]));
        let list: HashSeq = hashes.collect();
        all.push(list.encode());
    }
    all
}

/// The contents that a sequence keeps, by index.
fn children(contents: &[Vec<u8>], index: usize) -> Vec<usize> {
    let Ok(list) = HashSeq::decode(&contents[index]) else {
        return Vec::new();
    };
    let position = |hash: &Hash| contents.iter().position(|data| Hash::of(data) == *hash);
    list.hashes().iter().filter_map(position).collect()
}

struct World<'a, B: Backend> {
    store: &'a Store<B>,
    contents: Vec<Vec<u8>>,
    is_over: AtomicBool,
    collected: AtomicUsize,
}

impl<B: Backend> World<'_, B> {
    fn assert_reads(&self, index: usize) {
        let data = &self.contents[index];
        let found = self.store.read(Hash::of(data), 1 << 20).unwrap();
        assert!(found == *data, "wrong bytes");
    }

    /// Imports, tags, checks that the tag keeps what it names, and lets go again.
    fn import(&self, thread: usize) {
        let mut tagged: Vec<Option<(usize, bool)>> = vec![None; 4];
        let mut state = thread as u64 + 1;
        for _ in 0..ROUNDS {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let random = usize::try_from(state >> 40).unwrap();
            let (index, slot) = (random % self.contents.len(), random / 97 % 4);
            let is_sequence = index >= 8;
            let format = match is_sequence {
                true => BlobFormat::HashSeq,
                false => BlobFormat::Raw,
            };
            let mut batch = self.store.batch();
            for child in children(&self.contents, index)
                .into_iter()
                .filter(|_| is_sequence)
            {
                let options = ImportOptions::default();
                batch.import_bytes(&self.contents[child], options).unwrap();
            }
            let options = ImportOptions::default().format(format);
            let data = &self.contents[index];
            let (hash, _) = batch.import_bytes(data, options).unwrap();
            let held = batch.commit().unwrap();
            let tag = Tag::try_from(format!("{thread} {slot}").as_str()).unwrap();
            self.store
                .set_tag(tag, HashAndFormat { hash, format })
                .unwrap();
            drop(held);
            tagged[slot] = Some((index, is_sequence));
            for (slot, content) in tagged.iter_mut().enumerate() {
                let Some((index, is_sequence)) = *content else {
                    continue;
                };
                self.assert_reads(index);
                if is_sequence {
                    for child in children(&self.contents, index) {
                        self.assert_reads(child);
                    }
                }
                if slot == random / 7 % 9 {
                    let tag = Tag::try_from(format!("{thread} {slot}").as_str()).unwrap();
                    self.store.remove_tag(&tag).unwrap();
                    *content = None;
                }
            }
        }
    }

    /// Reads whatever is there: the right bytes, or that it is not there.
    fn read(&self, thread: usize) {
        let mut at = thread;
        while !self.is_over.load(Ordering::SeqCst) {
            at += 1;
            let data = &self.contents[at % self.contents.len()];
            match self.store.read(Hash::of(data), 1 << 20) {
                Ok(found) => assert!(found == *data, "wrong bytes"),
                Err(Error::NotFound(_)) => {}
                // It went between a look at the index and one at the file.
                Err(Error::Unreadable {
                    source: BackendError::Missing { .. },
                    ..
                }) => {}
                Err(error) => panic!("{error:?}"),
            }
            let _ = self.store.blobs().count();
        }
    }

    fn collect(&self) {
        while !self.is_over.load(Ordering::SeqCst) {
            let plan = self.store.plan_gc().unwrap();
            let swept = self.store.sweep(plan).unwrap();
            self.collected
                .fetch_add(swept.removed.len(), Ordering::SeqCst);
        }
    }
}

/// Nothing tagged is ever lost, no byte is ever wrong, and no call fails for what another thread does.
fn run<H: StoreHarness>()
where
    Store<H::Backend>: Sync,
{
    let harness = H::fresh();
    let store = Store::open(harness.open(), harness.env()).unwrap().0;
    let world = World {
        store: &store,
        contents: contents(),
        is_over: AtomicBool::new(false),
        collected: AtomicUsize::new(0),
    };
    thread::scope(|scope| {
        let world = &world;
        let importers: Vec<_> = (0..IMPORTERS)
            .map(|thread| scope.spawn(move || world.import(thread)))
            .collect();
        for thread in 0..READERS {
            scope.spawn(move || world.read(thread));
        }
        scope.spawn(|| world.collect());
        let outcomes: Vec<_> = importers.into_iter().map(|one| one.join()).collect();
        world.is_over.store(true, Ordering::SeqCst);
        assert!(outcomes.iter().all(Result::is_ok));
    });
    assert!(world.collected.load(Ordering::SeqCst) > 0, "it did nothing");
    let tags = store.tags().unwrap();
    drop(store.sweep(store.plan_gc().unwrap()).unwrap());
    drop(store);
    // What memory says is what the disk says.
    let (store, recovery) = Store::open(harness.open(), harness.env()).unwrap();
    assert!(recovery.removed.is_empty() && recovery.orphan_outboards.is_empty());
    assert_eq!(*store.tags().unwrap(), *tags);
    let mut live = std::collections::BTreeSet::new();
    for value in tags.values() {
        live.insert(value.hash);
        if value.format == BlobFormat::HashSeq {
            let list = store.read(value.hash, 1 << 20).unwrap();
            live.extend(HashSeq::decode(&list).unwrap().hashes());
        }
    }
    assert!(store.blobs().map(|blob| blob.hash).eq(live.iter().copied()));
    for hash in live {
        assert_eq!(Hash::of(&store.read(hash, 1 << 20).unwrap()), hash);
    }
}

#[test]
fn threads_on_one_directory() {
    run::<OnDisk<false>>();
}

#[test]
fn threads_on_three_simulated_file_systems() {
    run::<Flat<ThreeFileSystems>>();
}

#[test]
fn threads_in_memory() {
    run::<Direct>();
}
