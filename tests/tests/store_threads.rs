//! Many threads on one store: readers, importers, receivers, a collector, and those who export, delete and untag.

// Under WASI there are no threads.
#![cfg(not(target_os = "wasi"))]
// A test reports by panicking.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
mod store_harness;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use common::tap::TapDir;
use flatbao_core::{
    Backend, BackendError, BlobFormat, ChunkRanges, Error, ExternalPath, FlatDir, Hash,
    HashAndFormat, HashSeq, Store, Tag, TagFile,
    io::read_full_at,
    progress::unwatched,
    store::{ExportMode, ExportOptions, ImportOptions},
};
use flatbao_fs::FsBackend;
use flatbao_mem::{MemBackend, SimDisk, seeded_env};
use flatbao_tests::{backend_suite::BackendHarness, store_suite::StoreHarness};
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

/// The contents as streams.
fn streams(contents: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let harness = Direct::fresh();
    let store = Store::open(harness.open(), harness.env()).unwrap().0;
    let send = |data: &Vec<u8>| {
        let imported = store.import_bytes(data).unwrap();
        let mut stream = Vec::new();
        store
            .send(imported.hash, &ChunkRanges::all(), &mut stream)
            .unwrap();
        stream
    };
    contents.iter().map(send).collect()
}

struct World<'a, B: Backend> {
    store: &'a Store<B>,
    /// Another look at what lies outside.
    backend: B,
    contents: Vec<Vec<u8>>,
    streams: Vec<Vec<u8>>,
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

    /// Receives, and refers to files outside: what is held is there until it is let go of.
    fn bring(&self) {
        for round in 0..ROUNDS {
            let index = round * 5 % self.contents.len();
            let hash = Hash::of(&self.contents[index]);
            let (all, stream) = (ChunkRanges::all(), &self.streams[index][..]);
            let received = self.store.receive(hash, &all, stream).unwrap();
            assert!(received.is_complete);
            self.assert_reads(index);
            let other = (index + 1) % self.contents.len();
            let imported = self.store.import_reference(&source(other)).unwrap();
            drop(received);
            self.assert_reads(other);
            drop(imported);
        }
    }

    /// Exports what is there, by copy and by reference, and deletes what nobody holds.
    fn take(&self) {
        for round in 0..ROUNDS {
            let data = &self.contents[round * 3 % self.contents.len()];
            let hash = Hash::of(data);
            for (name, mode) in [("copy", ExportMode::Copy), ("moved", ExportMode::Reference)] {
                let path = ExternalPath::parse(&format!("/granted/{name}-{round}")).unwrap();
                let options = ExportOptions::default().mode(mode).threshold(0);
                let exported = self.store.export_with(hash, &path, options, &mut unwatched);
                if or_gone(exported).is_none() {
                    continue;
                }
                let file = self.backend.external(&path).unwrap();
                let mut found = vec![0; data.len() + 1];
                assert_eq!(read_full_at(&file, &mut found, 0).unwrap(), data.len());
                assert!(found[..data.len()] == *data, "wrong bytes in {path}");
            }
            match self.store.delete(hash, false) {
                Ok(_) | Err(Error::NotFound(_) | Error::InUse { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    /// Reads whatever is there: the right bytes, or that it is not there.
    fn read(&self, thread: usize) {
        let mut at = thread;
        while !self.is_over.load(Ordering::SeqCst) {
            at += 1;
            let data = &self.contents[at % self.contents.len()];
            if let Some(found) = or_gone(self.store.read(Hash::of(data), 1 << 20)) {
                assert!(found == *data, "wrong bytes");
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

/// Where a content lies outside.
fn source(index: usize) -> ExternalPath {
    ExternalPath::parse(&format!("/granted/source-{index}")).unwrap()
}

/// `None` of a blob that is not there, or not yet.
fn or_gone<T>(outcome: flatbao_core::Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(Error::NotFound(_) | Error::Incomplete(_)) => None,
        // It went between a look at the index and one at the file.
        Err(Error::Unreadable {
            source: BackendError::Missing { .. },
            ..
        }) => None,
        Err(error) => panic!("{error:?}"),
    }
}

/// Nothing tagged is ever lost, no byte is ever wrong, and no call fails for what another thread does.
fn run<H: StoreHarness>()
where
    Store<H::Backend>: Sync,
    H::Backend: Sync,
{
    let harness = H::fresh();
    let store = Store::open(harness.open(), harness.env()).unwrap().0;
    let contents = contents();
    for (index, data) in contents.iter().enumerate() {
        harness.put_external(&source(index), data);
    }
    let world = World {
        store: &store,
        backend: harness.open(),
        streams: streams(&contents),
        contents,
        is_over: AtomicBool::new(false),
        collected: AtomicUsize::new(0),
    };
    thread::scope(|scope| {
        let world = &world;
        let mut workers: Vec<_> = (0..IMPORTERS)
            .map(|thread| scope.spawn(move || world.import(thread)))
            .collect();
        workers.push(scope.spawn(|| world.bring()));
        workers.push(scope.spawn(|| world.take()));
        for thread in 0..READERS {
            scope.spawn(move || world.read(thread));
        }
        scope.spawn(|| world.collect());
        let outcomes: Vec<_> = workers.into_iter().map(|one| one.join()).collect();
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

/// Those who change tags while others are writing share what is written next. Every acknowledged tag survives a power
/// loss, and a change that cannot be made fails alone.
#[test]
fn changes_of_tags_share_a_publication() {
    const THREADS: usize = 24;
    let disk = SimDisk::new();
    let dir = disk.file_system("disk").plant_dir("store").unwrap();
    let publications = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&publications);
    let tap = TapDir::new(dir.clone(), move |what| {
        if what == "rename to tags.meta" && counted.fetch_add(1, Ordering::SeqCst) > 0 {
            // Time for all others to come.
            thread::sleep(Duration::from_millis(100));
        }
    });
    let store = Store::open(FlatDir::new(tap), seeded_env(1)).unwrap().0;
    assert_eq!(publications.load(Ordering::SeqCst), 1, "an empty database");
    let tag = |n: usize| Tag::try_from(format!("tag {n}").as_str()).unwrap();
    let value = |n: usize| HashAndFormat::raw(Hash::of(&n.to_le_bytes()));
    let removed = thread::scope(|scope| {
        let change = |n| {
            let (store, disk) = (&store, &disk);
            scope.spawn(move || {
                if n % 4 == 3 {
                    return store.remove_tag(&tag(1000 + n));
                }
                store.set_tag(tag(n), value(n))?;
                let left = disk.fork().crash().file_system("disk").plant_dir("store");
                let bytes = left.unwrap().content("tags.meta").unwrap();
                let found = TagFile::decode(&bytes).unwrap().tags;
                assert_eq!(found.get(&tag(n)), Some(&value(n)), "acknowledged");
                Ok(value(n))
            })
        };
        let changes: Vec<_> = (0..THREADS).map(change).collect();
        let outcomes = changes.into_iter().map(|one| one.join().unwrap());
        outcomes.collect::<Vec<_>>()
    });
    for (n, outcome) in removed.into_iter().enumerate() {
        match outcome {
            Ok(_) => assert!(n % 4 != 3),
            Err(Error::NoTag(missing)) => assert_eq!(missing, tag(1000 + n)),
            Err(error) => panic!("{error:?}"),
        }
    }
    let count = publications.load(Ordering::SeqCst) - 1;
    assert!((1..THREADS / 2).contains(&count), "{count} publications");
    let tags = store.tags().unwrap();
    let expected = (0..THREADS).filter(|n| n % 4 != 3);
    assert_eq!(*tags, expected.map(|n| (tag(n), value(n))).collect());
}
