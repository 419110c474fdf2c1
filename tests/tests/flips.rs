//! One flipped bit, or one wrong length, in any file of a store: no wrong byte and no panic ever comes out,
//! and nothing else is the worse for it.

// A search in simulated memory, in which no platform takes part: under WASI it would only take longer.
#![cfg(not(target_os = "wasi"))]
// A test reports by panicking, and so do its helpers; what it casts is small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod common;

use common::{
    GROUP, Machine, SimStore, assert_reads, bytes, fresh_env, groups_that_read, outboard, raw,
    read, seq, sequence, tag,
};
use flatbao_core::{
    Backend, Error, FileName, Hash, NotWritable, Recovery, Store,
    store::{GcOptions, State, Status, TagsFound},
};
use flatbao_mem::MemBackend;

/// A small store, by what is in it.
struct Scene {
    machine: Machine,
    /// Every blob and its bytes.
    blobs: Vec<(Hash, Vec<u8>)>,
    small: Hash,
    two: Hash,
    nine: Hash,
    list: Hash,
    outside: Hash,
    both: Hash,
}

impl Scene {
    fn new() -> Self {
        let machine = Machine::new();
        let store = machine.open();
        let mut blobs = Vec::new();
        let mut import = |content: Vec<u8>, name: &str| {
            let hash = store.import_bytes(&content).unwrap().hash;
            store.set_tag(tag(name), raw(hash)).unwrap();
            blobs.push((hash, content));
            hash
        };
        let small = import(bytes(1, 300), "small");
        let two = import(bytes(2, GROUP + 3000), "two");
        let nine = import(bytes(3, 8 * GROUP + 5000), "nine");
        let both = import(bytes(5, GROUP + 7), "both");
        let list = import(sequence(&[small, two, nine]), "list raw");
        store.set_tag(tag("list"), seq(list)).unwrap();
        let content = bytes(4, GROUP + 1);
        let path = machine.put_external("one", &content);
        let outside = store.import_reference(&path).unwrap().hash;
        store.set_tag(tag("outside"), raw(outside)).unwrap();
        blobs.push((outside, content));
        let path = machine.put_external("both", &bytes(5, GROUP + 7));
        assert_eq!(store.import_reference(&path).unwrap().hash, both);
        drop(store);
        let machine = machine.kill();
        for (hash, content) in &blobs {
            assert_eq!(machine.file(&FileName::Outboard(*hash)), outboard(content));
        }
        machine.disk.keep_trace(false);
        Self {
            machine,
            blobs,
            small,
            two,
            nine,
            list,
            outside,
            both,
        }
    }

    fn truth(&self, hash: Hash) -> &[u8] {
        let found = self.blobs.iter().find(|(other, _)| *other == hash);
        &found.unwrap().1
    }

    fn file(&self, name: &FileName) -> Vec<u8> {
        self.machine.file(name).unwrap()
    }

    /// The scene's machine with other bytes in one file.
    fn with(&self, name: &FileName, bytes: &[u8]) -> Machine {
        let machine = self.machine.fork();
        machine.disk.keep_trace(false);
        machine.plant(name, bytes);
        machine
    }

    /// All blobs but one read as before.
    fn others_read<B: Backend>(&self, store: &Store<B>, but: Hash) {
        for (hash, truth) in self.blobs.iter().filter(|(hash, _)| *hash != but) {
            assert_reads(store, *hash, truth);
        }
    }

    /// The same store in the back end that is no directory, without the external files.
    fn direct(&self, name: &FileName, bytes: &[u8]) -> MemBackend {
        let backend = MemBackend::new();
        for (file, content) in self.machine.files() {
            backend.plant_file(file, content);
        }
        backend.plant_file(name.to_string(), bytes.to_vec());
        backend
    }
}

fn flipped(file: &[u8], bit: usize) -> Vec<u8> {
    let mut file = file.to_vec();
    file[bit / 8] ^= 1 << (bit % 8);
    file
}

/// All bits of the first and last bytes and of those around group boundaries, and one in every 37 bytes.
fn dense_sample(len: usize) -> Vec<usize> {
    let near = |byte: usize| {
        let past = byte % GROUP;
        byte < 4 || len - byte < 4 || past < 2 || GROUP - past < 3
    };
    (0..len)
        .flat_map(|byte| match (near(byte), byte % 37) {
            (true, _) => byte * 8..byte * 8 + 8,
            (false, 0) => byte * 8 + byte / 37 % 8..byte * 8 + byte / 37 % 8 + 1,
            (false, _) => 0..0,
        })
        .collect()
}

/// A flipped bit in a data file costs the group it is in, and nothing else: not the other
/// groups, not another blob, and not collection of what is dead.
/// BI-029.
#[test]
fn any_bit_of_owned_data() {
    let scene = Scene::new();
    for hash in [scene.small, scene.two, scene.list, scene.nine] {
        let name = FileName::Data(hash);
        let file = scene.file(&name);
        let bits = if file.len() < 1000 {
            (0..file.len() * 8).collect()
        } else {
            dense_sample(file.len())
        };
        for (turn, bit) in bits.into_iter().enumerate() {
            let damaged = flipped(&file, bit);
            let machine = scene.with(&name, &damaged);
            let store = machine.open();
            let good = groups_that_read(&store, hash, scene.truth(hash));
            for (group, good) in good.iter().enumerate() {
                assert_eq!(
                    *good,
                    group != bit / 8 / GROUP,
                    "{name} bit {bit} group {group}"
                );
            }
            let Status::Present(info) = store.status(hash) else {
                panic!("a damaged blob is still listed");
            };
            assert!(info.damaged);
            if turn % 16 == 0 {
                scene.others_read(&store, hash);
                let direct = Store::open(scene.direct(&name, &damaged), fresh_env())
                    .unwrap()
                    .0;
                assert_eq!(groups_that_read(&direct, hash, scene.truth(hash)), good);
            }
            assert_eq!(
                machine.file(&name).as_ref(),
                Some(&damaged),
                "nothing is repaired unasked"
            );
        }
    }
}

/// The bytes of an external file are verified like any others, and never changed.
#[test]
fn any_bit_of_external_data() {
    let scene = Scene::new();
    let truth = scene.truth(scene.outside);
    for bit in dense_sample(truth.len()).into_iter().step_by(3) {
        let machine = scene.machine.fork();
        let damaged = flipped(truth, bit);
        machine.outside().plant_file("one", &damaged).unwrap();
        let store = machine.open();
        let good = groups_that_read(&store, scene.outside, truth);
        assert_eq!(good, [bit / 8 >= GROUP, bit / 8 < GROUP], "bit {bit}");
        assert_eq!(machine.outside().content("one"), Some(damaged));
    }
}

/// An outboard is derived from data. Whatever is in it, the blob reads completely; where
/// the store may be written the file is mended, and where it may not nothing is changed.
/// BI-031, BI-032, BI-033, BI-034.
#[test]
fn any_bit_of_an_outboard() {
    let scene = Scene::new();
    for hash in [scene.two, scene.nine, scene.outside, scene.both] {
        let name = FileName::Outboard(hash);
        let file = scene.file(&name);
        for bit in 0..file.len() * 8 {
            let damaged = flipped(&file, bit);
            outboard_does_not_matter(&scene, hash, &damaged, bit % 61 == 0);
        }
    }
}

/// Missing, empty, cut, extended, zeroed, of another blob, or with an absurd size.
/// BI-030, BI-031, BI-032, BI-033, BI-034.
#[test]
fn any_length_of_an_outboard() {
    let scene = Scene::new();
    for hash in [scene.two, scene.nine, scene.outside] {
        let file = scene.file(&FileName::Outboard(hash));
        for len in 0..file.len() {
            outboard_does_not_matter(&scene, hash, &file[..len], len % 64 == 0);
        }
        for more in [1, 63, 64, 65, 4096] {
            for byte in [0, 0xff] {
                let mut longer = file.clone();
                longer.resize(file.len() + more, byte);
                outboard_does_not_matter(&scene, hash, &longer, true);
            }
        }
        outboard_does_not_matter(&scene, hash, &vec![0; file.len()], true);
        outboard_does_not_matter(&scene, hash, &vec![0xff; file.len()], true);
        let other = if hash == scene.two {
            scene.nine
        } else {
            scene.two
        };
        outboard_does_not_matter(&scene, hash, &scene.file(&FileName::Outboard(other)), true);
        let size = u64::from_le_bytes(file[..8].try_into().unwrap());
        for claim in [
            0,
            1,
            size - 1,
            size + 1,
            16384,
            16385,
            1 << 40,
            1 << 63,
            u64::MAX - 1,
            u64::MAX,
        ] {
            let mut lying = file.clone();
            lying[..8].copy_from_slice(&claim.to_le_bytes());
            outboard_does_not_matter(&scene, hash, &lying, true);
        }
        let machine = scene.machine.fork();
        machine.store().uproot(FileName::Outboard(hash).to_string());
        let store = machine.open();
        let good = groups_that_read(&store, hash, scene.truth(hash));
        assert!(good.into_iter().all(|good| good));
        assert_eq!(
            machine.file(&FileName::Outboard(hash)),
            Some(file),
            "it is made again"
        );
    }
}

fn outboard_does_not_matter(scene: &Scene, hash: Hash, file: &[u8], thorough: bool) {
    let name = FileName::Outboard(hash);
    let right = scene.file(&name);
    if file == right {
        return;
    }
    let machine = scene.with(&name, file);
    if thorough {
        let store = machine.open_read_only();
        let good = groups_that_read(&store, hash, scene.truth(hash));
        assert!(good.into_iter().all(|good| good), "read-only");
        assert_eq!(
            machine.file(&name).as_deref(),
            Some(file),
            "a reader mended it"
        );
    }
    let store = machine.open();
    let good = groups_that_read(&store, hash, scene.truth(hash));
    assert!(good.into_iter().all(|good| good), "{} bytes", file.len());
    let mended = machine.file(&name);
    assert!(
        mended.as_ref() == Some(&right),
        "the outboard of {} bytes, prefix {:?}, was not mended",
        file.len(),
        file.get(..8)
    );
    if thorough {
        scene.others_read(&store, hash);
        let Status::Present(info) = store.status(hash) else {
            panic!("a blob with good data is there");
        };
        assert!(!info.damaged);
        let machine = machine.crash();
        assert_eq!(
            machine.file(&name).as_ref(),
            Some(&right),
            "what was mended is durable"
        );
        if scene.machine.file(&FileName::Data(hash)).is_some() {
            let backend = scene.direct(&name, file);
            let direct = Store::open(backend.clone(), fresh_env()).unwrap().0;
            let good = groups_that_read(&direct, hash, scene.truth(hash));
            assert!(good.into_iter().all(|good| good), "in memory");
            let name = name.to_string();
            let found = backend.files().into_iter().find(|(file, _)| *file == *name);
            assert!(found.is_some_and(|(_, file)| file == right), "in memory");
        }
    }
}

/// Damage to data and outboard at once: still no wrong byte.
#[test]
fn outboard_and_data_damaged_together() {
    let scene = Scene::new();
    for hash in [scene.two, scene.nine] {
        let (data, board) = (FileName::Data(hash), FileName::Outboard(hash));
        let (data_file, board_file) = (scene.file(&data), scene.file(&board));
        for n in 0..400 {
            let machine = scene.with(
                &data,
                &flipped(&data_file, n * 7919 % (data_file.len() * 8)),
            );
            machine.plant(
                &board,
                &flipped(&board_file, n * 104_729 % (board_file.len() * 8)),
            );
            let store = machine.open();
            groups_that_read(&store, hash, scene.truth(hash));
            if n % 50 == 0 {
                scene.others_read(&store, hash);
            }
        }
    }
}

/// PD-16: outboard prefix and length never compared with the data; truncated data listed as complete.
///
/// Cut by one, extended by one, empty, zeroed. What is left of a blob with an outboard
/// reads, and the length is the right one or none.
/// BI-025, BI-026, BI-027, BI-028.
#[test]
fn any_length_of_data() {
    let scene = Scene::new();
    for (hash, truth) in &scene.blobs {
        let name = FileName::Data(*hash);
        let Some(file) = scene.machine.file(&name) else {
            continue;
        };
        let mut variants = vec![Vec::new(), vec![0; file.len()], vec![0xff; file.len()]];
        for len in [1, file.len() / 2, file.len() - 1] {
            variants.push(file[..len].to_vec());
        }
        for len in (GROUP - 1..file.len()).step_by(GROUP) {
            variants.extend([
                file[..len].to_vec(),
                file[..(len + 1).min(file.len() - 1)].to_vec(),
            ]);
        }
        for more in [1, 1000, GROUP, 5 * GROUP] {
            let mut longer = file.clone();
            longer.resize(file.len() + more, 7);
            variants.push(longer);
        }
        for variant in variants {
            let machine = scene.with(&name, &variant);
            let store = machine.open();
            let good = groups_that_read(&store, *hash, truth);
            if *hash == scene.both {
                // The external copy helps out.
                assert!(good.into_iter().all(|good| good));
            } else if truth.len() <= GROUP {
                assert_eq!(good, [false], "{} bytes", variant.len());
            } else {
                for (group, good) in good.into_iter().enumerate() {
                    let range = group * GROUP..truth.len().min(group * GROUP + GROUP);
                    let intact = variant.get(range.clone()) == Some(&truth[range]);
                    assert_eq!(good, intact, "{} bytes, group {group}", variant.len());
                }
            }
            scene.others_read(&store, *hash);
            if *hash != scene.both {
                let direct = Store::open(scene.direct(&name, &variant), fresh_env());
                let (direct, good) = (direct.unwrap().0, groups_that_read(&store, *hash, truth));
                assert_eq!(groups_that_read(&direct, *hash, truth), good, "in memory");
            }
            assert_eq!(machine.file(&name), Some(variant));
        }
    }
}

/// Bytes under the hash of no bytes, and no bytes under another hash.
/// BI-035.
#[test]
fn the_empty_blob_is_empty() {
    let scene = Scene::new();
    for file in [&b"x"[..], &[0; 20_000]] {
        let machine = scene.with(&FileName::Data(Hash::EMPTY), file);
        assert_eq!(groups_that_read(&machine.open(), Hash::EMPTY, b""), [false]);
        let backend = scene.direct(&FileName::Data(Hash::EMPTY), file);
        let direct = Store::open(backend, fresh_env()).unwrap().0;
        assert_eq!(groups_that_read(&direct, Hash::EMPTY, b""), [false]);
    }
    let machine = scene.with(&FileName::Data(Hash::EMPTY), b"");
    assert_eq!(groups_that_read(&machine.open(), Hash::EMPTY, b""), [true]);
    // An outboard where none should be is not believed, whatever it says.
    for size in [0_u64, 1, 16384, 16385, u64::MAX] {
        let machine = scene.with(&FileName::Data(Hash::EMPTY), b"");
        machine.plant(&FileName::Outboard(Hash::EMPTY), &size.to_le_bytes());
        assert_eq!(groups_that_read(&machine.open(), Hash::EMPTY, b""), [true]);
        let machine = scene.with(&FileName::Outboard(scene.small), &size.to_le_bytes());
        assert_eq!(
            groups_that_read(&machine.open(), scene.small, scene.truth(scene.small)),
            [true]
        );
    }
}

/// A list of paths with a trailer that was touched is not followed; the blob is not
/// served from outside, its own data still are, and the rest of the store does not notice.
/// BI-044, BI-045, BI-046, BI-047, BI-048, BI-049.
#[test]
fn any_bit_and_any_length_of_a_list_of_paths() {
    let scene = Scene::new();
    for hash in [scene.outside, scene.both] {
        let name = FileName::Paths(hash);
        let file = scene.file(&name);
        let payload = file.len() - 40;
        let check = |damaged: &[u8], thorough: bool| {
            let machine = scene.with(&name, damaged);
            let store = machine.open();
            let owned = hash == scene.both;
            let good = groups_that_read(&store, hash, scene.truth(hash));
            assert_eq!(good, [owned; 2]);
            if !owned {
                let error = read(&store, hash).unwrap_err();
                assert!(matches!(error, Error::Paths { .. }), "{error:?}");
            }
            if thorough {
                scene.others_read(&store, hash);
            }
            assert_eq!(machine.file(&name).as_deref(), Some(damaged));
        };
        for bit in 0..file.len() * 8 {
            check(&flipped(&file, bit), bit % 64 == 0);
        }
        for len in (0..file.len()).filter(|len| *len != payload) {
            check(&file[..len], false);
        }
        for more in [1, 40, 4096] {
            let mut longer = file.clone();
            longer.resize(file.len() + more, 0);
            check(&longer, true);
        }
        // Zeros read as an empty list to who does not look further.
        check(&vec![0; file.len()], true);
        check(&[0; 4096], true);
        // The peer's form of the very same list is believed.
        let machine = scene.with(&name, &file[..payload]);
        assert_reads(&machine.open(), hash, scene.truth(hash));
    }
}

/// PD-12: the store does not open for an empty or corrupt `tags.meta`.
///
/// Whatever is wrong with the tags, nothing is deleted and nothing is written, and
/// everything still reads.
/// BI-061, BI-062, BI-063, BI-064.
#[test]
fn any_bit_and_any_length_of_the_tags() {
    let scene = Scene::new();
    let name = FileName::Tags;
    let file = scene.file(&name);
    let payload = file.len() - 40;
    let check = |damaged: &[u8], thorough: bool| {
        let machine = scene.with(&name, damaged);
        // Something to collect, if anybody dared.
        machine.plant(&FileName::Data(Hash::of(b"dead")), b"dead");
        let before = machine.files();
        let (store, recovery) = machine.try_open().unwrap();
        assert!(
            matches!(recovery.tags, TagsFound::Damaged(_)),
            "{recovery:?}"
        );
        nothing_is_deleted_or_written(&store);
        if thorough {
            for (hash, truth) in &scene.blobs {
                assert_reads(&store, *hash, truth);
            }
            let (reader, recovery): (SimStore, Recovery) =
                Store::open_read_only(machine.backend(), fresh_env()).unwrap();
            assert!(matches!(recovery.tags, TagsFound::Damaged(_)));
            assert!(reader.tags().is_err());
        }
        assert_eq!(machine.files(), before);
    };
    for bit in 0..file.len() * 8 {
        check(&flipped(&file, bit), bit % 128 == 0);
    }
    for len in (0..file.len()).filter(|len| *len != payload) {
        check(&file[..len], len % 32 == 0);
    }
    for more in [1, 40, 4096] {
        for byte in [0, 0xff] {
            let mut longer = file.clone();
            longer.resize(file.len() + more, byte);
            check(&longer, true);
        }
    }
    check(&vec![0; file.len()], true);
    check(&[0; 4096], true);
    check(&[0; 2], true);
    // Twice the same file.
    check(&[&file[..], &file[..]].concat(), true);
    check(&[&file[..payload], &file[..]].concat(), true);
    // The peer's form of the very same tags is believed, and told to be unprotected.
    let machine = scene.with(&name, &file[..payload]);
    let (store, recovery) = machine.try_open().unwrap();
    assert_eq!(recovery.tags, TagsFound::Unprotected);
    assert_eq!(store.tags().unwrap().len(), 7);
    assert!(store.plan_gc().unwrap().items().is_empty());
}

fn nothing_is_deleted_or_written(store: &SimStore) {
    let refused = |error: Error| {
        assert!(
            matches!(error, Error::NotWritable(NotWritable::TagsDamaged(_))),
            "{error:?}"
        );
    };
    refused(store.tags().unwrap_err());
    refused(store.plan_gc().unwrap_err());
    let assume = GcOptions::default().assume_no_tags(true);
    refused(
        store
            .plan_gc_with(assume, &mut flatbao_core::progress::unwatched)
            .unwrap_err(),
    );
    refused(store.delete(Hash::of(b"dead"), false).unwrap_err());
    refused(store.delete(Hash::of(b"dead"), true).unwrap_err());
    refused(store.set_tag(tag("new"), raw(Hash::EMPTY)).unwrap_err());
    refused(store.remove_tag(&tag("small")).unwrap_err());
    refused(store.auto_tag(raw(Hash::EMPTY)).unwrap_err());
    refused(store.import_bytes(b"new").unwrap_err());
    refused(store.confirm_no_tags().unwrap_err());
}

/// The same for a blob of several pages, whose outboard has pairs above them and is read in parts.
#[test]
fn a_blob_of_several_pages() {
    let machine = Machine::new();
    let truth = bytes(9, 600 * GROUP + 17);
    let hash = machine.open().import_bytes(&truth).unwrap().hash;
    let machine = machine.kill();
    machine.disk.keep_trace(false);
    let (data, board) = (FileName::Data(hash), FileName::Outboard(hash));
    let (data_file, board_file) = (machine.file(&data).unwrap(), machine.file(&board).unwrap());
    assert_eq!(outboard(&truth).as_ref(), Some(&board_file));
    let pages = [0, 1, 255, 256, 257, 511, 512, 599, 600];
    let reads = |store: &SimStore, group: usize| {
        let reader = store.reader(hash).unwrap();
        let range = group * GROUP..truth.len().min(group * GROUP + GROUP);
        let mut buf = vec![0; range.len()];
        let outcome = flatbao_core::io::read_full_at(&reader, &mut buf, range.start as u64);
        assert!(outcome.is_err() || buf == truth[range]);
        outcome.is_ok()
    };
    // Pairs above the pages, at the edges of pages, inside, and the last one.
    let len = board_file.len();
    for pair in [
        8,
        8 + 64,
        8 + 2 * 64,
        8 + 255 * 64,
        8 + 256 * 64,
        8 + 257 * 64,
        8 + 400 * 64,
        8 + 512 * 64,
        len - 64,
    ] {
        let fork = machine.fork();
        fork.plant(&board, &flipped(&board_file, pair * 8 + 77));
        let store = fork.open();
        for group in pages {
            assert!(reads(&store, group), "pair at {pair}, group {group}");
        }
        assert_reads(&store, hash, &truth);
        assert_eq!(
            fork.file(&board).as_ref(),
            Some(&board_file),
            "pair at {pair}"
        );
    }
    for bad in pages {
        let fork = machine.fork();
        fork.plant(&data, &flipped(&data_file, (bad * GROUP + 5) * 8));
        let store = fork.open();
        for group in pages {
            assert_eq!(
                reads(&store, group),
                group != bad,
                "{bad} is damaged, {group}"
            );
        }
        assert!(read(&store, hash).is_err());
    }
    // Outboard gone and a group damaged: nothing proves any byte, and none comes out.
    let fork = machine.fork();
    fork.plant(&data, &flipped(&data_file, 300 * GROUP * 8));
    fork.store().uproot(board.to_string());
    let store = fork.open();
    assert!(store.reader(hash).is_err());
    assert!(
        store
            .blobs()
            .all(|blob| blob.state == State::Complete && blob.damaged)
    );
}
