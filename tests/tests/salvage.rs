//! A damaged or missing tag database: what is found in it again, and how the store becomes writable.

// A test reports by panicking, and so do its helpers; what it casts is small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod common;

use std::{io, ops::Range};

use common::{
    GROUP, Machine, assert_reads, assert_typed, bytes, fresh_env, raw, seq, sequence, tag,
};
use flatbao_core::{
    BlobFormat, Error, FileName, Hash, HashAndFormat, NotWritable, Store, Tag, TagFile, TagMap,
    Uuid,
    store::{SalvagedFrom, TagsFound},
};
use flatbao_mem::{Fault, Moments};

struct Scene {
    machine: Machine,
    tags: TagMap,
    file: Vec<u8>,
    /// Every blob that a tag reaches, with its content.
    blobs: Vec<(Hash, Vec<u8>)>,
    children: Vec<Hash>,
}

impl Scene {
    /// A store with raw tags, a tag on a sequence, and `more` others.
    fn new(more: usize) -> Self {
        let machine = Machine::new();
        machine.disk.keep_trace(false);
        let store = machine.open();
        let mut blobs: Vec<(Hash, Vec<u8>)> = Vec::new();
        let mut add = |content: Vec<u8>| {
            let hash = store.import_bytes(&content).unwrap().hash;
            blobs.push((hash, content));
            hash
        };
        let small = add(bytes(1, 100));
        let large = add(bytes(2, 2 * GROUP + 1));
        let children = vec![add(bytes(3, 10)), add(bytes(4, GROUP + 1))];
        let list = add(sequence(&children));
        let mut tags: TagMap = [
            (Tag::new(*b"").unwrap(), raw(large)),
            (tag("a"), raw(small)),
            (Tag::new(vec![b'l'; 300]).unwrap(), raw(small)),
            (tag("list"), seq(list)),
            (Tag::new(*b"odd \0\xff\x20name").unwrap(), raw(large)),
        ]
        .into();
        for n in 0..more {
            tags.insert(tag(&format!("more {n}")), raw([small, large][n % 2]));
        }
        drop(store);
        let machine = machine.kill();
        let file = TagFile::encode(&tags).unwrap();
        machine.plant(&FileName::Tags, &file);
        Self {
            machine,
            tags,
            file,
            blobs,
            children,
        }
    }

    /// Where in the file the records are, and in those the hashes.
    fn records(&self) -> Vec<(Tag, HashAndFormat, Range<usize>, Range<usize>)> {
        let mut at = if self.tags.len() > 127 { 2 } else { 1 };
        let mut records = Vec::new();
        for (tag, value) in &self.tags {
            let name = tag.as_bytes().len();
            let hash = at + name + if name > 127 { 2 } else { 1 };
            let end = hash + 33;
            records.push((tag.clone(), *value, at..end, hash..hash + 32));
            at = end;
        }
        assert_eq!(at + 40, self.file.len());
        records
    }

    fn with(&self, file: &[u8]) -> Machine {
        let machine = self.machine.fork();
        machine.disk.keep_trace(false);
        machine.plant(&FileName::Tags, file);
        machine
    }
}

/// Salvages and restores, and collects by what came of it.
fn restore(scene: &Scene, machine: &Machine, told: &str) {
    let damaged = machine.file(&FileName::Tags).unwrap();
    let store = machine.open();
    assert!(store.set_tag(tag("new"), raw(Hash::EMPTY)).is_err());
    let salvaged = store.salvage_tags().unwrap();
    let kept = store.restore_tags(salvaged.tags.clone()).unwrap().unwrap();
    assert!(matches!(kept, FileName::NamedMeta(_)));
    assert_eq!(machine.file(&kept), Some(damaged), "{told}");
    assert_eq!(*store.tags().unwrap(), salvaged.tags, "{told}");
    match store.plan_gc() {
        Ok(plan) => drop(store.sweep(plan).unwrap()),
        // A raw blob whose format is damaged is no sequence, and stops everything.
        Err(error) => assert!(matches!(error, Error::Root { .. }), "{told}: {error:?}"),
    }
    store.set_tag(tag("new"), raw(scene.blobs[0].0)).unwrap();
    drop(store);
    let machine = machine.crash();
    let (store, recovery) = machine.try_open().unwrap();
    assert_eq!(recovery.tags, TagsFound::Protected, "{told}");
    assert_eq!(store.tags().unwrap().len(), salvaged.tags.len() + 1);
    for (hash, content) in &scene.blobs {
        let is_reached = salvaged.tags.values().any(|value| value.hash == *hash);
        let is_child = scene.children.contains(hash);
        let has_list = salvaged
            .tags
            .values()
            .any(|value| value.format == BlobFormat::HashSeq);
        if is_reached || (is_child && has_list) {
            assert_reads(&store, *hash, content);
        }
    }
    assert!(machine.file(&kept).is_some());
    assert!(matches!(store.salvage_tags(), Err(Error::TagsNotDamaged)));
}

/// One flipped bit costs at most the one tag that it is in, and what a tag keeps is lost only where the bit is
/// one of its hash.
/// BI-063.
#[test]
fn any_bit_of_a_tag_database() {
    for (more, step) in [(0, 1), (130, 41)] {
        let scene = Scene::new(more);
        let records = scene.records();
        for bit in (0..scene.file.len() * 8).step_by(step) {
            let byte = bit / 8;
            let mut file = scene.file.clone();
            file[byte] ^= 1 << (bit % 8);
            let machine = scene.with(&file);
            let told = format!("{more} more, bit {bit}");
            let store = machine.open_read_only();
            assert!(store.tags().is_err(), "{told}");
            let salvaged = store.salvage_tags().unwrap();
            assert_eq!(salvaged.from, SalvagedFrom::Damaged);
            for (tag, value, record, hash) in &records {
                if hash.contains(&byte) {
                    continue;
                }
                let keeps = |found: &HashAndFormat| {
                    found.hash == value.hash
                        && (value.format == BlobFormat::Raw || *found == *value)
                };
                assert!(salvaged.tags.values().any(keeps), "{told}: {tag}");
                if !record.contains(&byte) {
                    assert_eq!(salvaged.tags.get(tag), Some(value), "{told}: {tag}");
                }
            }
            let lost = records.iter().filter(|(.., hash)| hash.contains(&byte));
            if byte > 1 {
                assert_eq!(salvaged.lost, lost.count() as u64, "{told}");
            }
            assert!(salvaged.tags.len() <= scene.tags.len());
            drop(store);
            if bit % 7 == 0 || !(1..120).contains(&byte) {
                restore(&scene, &machine, &told);
            }
        }
    }
}

/// Cut anywhere, every tag before the cut is found; after it, none.
/// BI-062.
#[test]
fn a_tag_database_that_was_cut() {
    let scene = Scene::new(0);
    let records = scene.records();
    for len in 1..scene.file.len() {
        if len == scene.file.len() - 40 {
            // All of the payload: the file of another writer.
            continue;
        }
        let machine = scene.with(&scene.file[..len]);
        let salvaged = machine.open_read_only().salvage_tags().unwrap();
        for (tag, value, _, hash) in &records {
            let found = salvaged.tags.get(tag);
            if hash.end < len {
                assert_eq!(found, Some(value), "{len}");
            } else if hash.end > len {
                assert_eq!(found, None, "{len}");
            }
        }
        if len % 20 == 1 {
            restore(&scene, &machine, &format!("cut to {len}"));
        }
    }
    for file in [vec![0; 4096], vec![0xff; 500], b"x".to_vec()] {
        let machine = scene.with(&file);
        let salvaged = machine.open_read_only().salvage_tags().unwrap();
        assert!(salvaged.tags.is_empty());
        restore(&scene, &machine, "rubbish");
    }
    // Nothing is kept of nothing.
    let machine = scene.with(b"");
    let store = machine.open();
    assert!(store.salvage_tags().unwrap().tags.is_empty());
    assert_eq!(store.restore_tags(scene.tags.clone()).unwrap(), None);
    assert_eq!(*machine.crash().open().tags().unwrap(), scene.tags);
}

/// A whole database under a temporary name has all the tags; one that is damaged, or has no checksum, has none.
#[test]
fn a_leftover_with_a_good_checksum_is_preferred() {
    let scene = Scene::new(0);
    let mut newer = scene.tags.clone();
    newer.insert(tag("newer"), raw(Hash::EMPTY));
    let good = TagFile::encode(&newer).unwrap();
    let name = |n| FileName::TagsTemp(Uuid::from_bytes([n; 16]));
    for is_missing in [false, true] {
        let machine = scene.with(&scene.file[..50]);
        if is_missing {
            machine.store().uproot("tags.meta");
        }
        machine.plant(&name(1), &good[..good.len() - 40]);
        machine.plant(&name(2), &good[..90]);
        if is_missing {
            let none = machine.open_read_only().salvage_tags();
            assert!(matches!(none, Err(Error::TagsMissing)), "{none:?}");
        }
        machine.plant(&name(3), &good);
        let store = machine.open();
        let salvaged = store.salvage_tags().unwrap();
        assert_eq!(salvaged.from, SalvagedFrom::Leftover(name(3)));
        assert_eq!((&salvaged.tags, salvaged.lost), (&newer, 0));
        let kept = store.restore_tags(salvaged.tags).unwrap();
        assert_eq!(kept.is_some(), !is_missing);
        drop(store);
        let machine = machine.crash();
        let store = machine.open();
        assert_eq!(*store.tags().unwrap(), newer);
        assert_eq!(machine.leftovers(), []);
    }
}

#[test]
fn good_tags_are_never_replaced() {
    let scene = Scene::new(0);
    let store = scene.machine.open();
    for outcome in [
        store.restore_tags(TagMap::new()).map(drop),
        store.salvage_tags().map(drop),
    ] {
        assert!(matches!(outcome, Err(Error::TagsNotDamaged)), "{outcome:?}");
    }
    assert_eq!(
        scene.machine.file(&FileName::Tags).as_ref(),
        Some(&scene.file)
    );
    drop(store);
    // Damaged while it is open: what is in memory is no reason to write anything.
    let machine = scene.with(&scene.file[..60]);
    let store = machine.open();
    machine.plant(&FileName::Tags, &scene.file);
    let outcome = store.restore_tags(TagMap::new());
    assert!(matches!(outcome, Err(Error::TagsChanged)), "{outcome:?}");
    assert_eq!(machine.file(&FileName::Tags).as_ref(), Some(&scene.file));
    drop(store);
    assert_eq!(*machine.kill().open().tags().unwrap(), scene.tags);
    // A reader, and whoever has no lock, restores nothing.
    let machine = scene.with(&scene.file[..60]);
    let outcome = machine.open_read_only().restore_tags(TagMap::new());
    assert!(
        matches!(outcome, Err(Error::NotWritable(NotWritable::ReadOnly))),
        "{outcome:?}"
    );
    let options =
        flatbao_core::store::OpenOptions::default().locking(flatbao_core::store::Locking::None);
    let watch = &mut flatbao_core::progress::unwatched;
    let (store, _) = Store::open_with(machine.backend(), fresh_env(), options, watch).unwrap();
    let outcome = store.restore_tags(TagMap::new());
    assert!(matches!(outcome, Err(Error::NotLocked)), "{outcome:?}");
    assert_eq!(machine.file(&FileName::Tags).unwrap(), scene.file[..60]);
}

/// What is no file is moved away by whoever put it there.
#[test]
fn a_link_in_place_of_the_tags_is_left_alone() {
    let scene = Scene::new(0);
    let machine = scene.machine.fork();
    machine.store().uproot("tags.meta");
    machine
        .store()
        .plant_link("tags.meta", "elsewhere")
        .unwrap();
    let entries = machine.store().entries();
    let store = machine.open();
    assert_typed(&store.salvage_tags().unwrap_err());
    assert_typed(&store.restore_tags(scene.tags.clone()).unwrap_err());
    assert_eq!(machine.store().entries(), entries);
}

/// At every moment of a restoration the tags are the damaged ones or the new ones, and the damaged file is
/// where it was or kept.
#[test]
fn a_death_at_any_moment_of_a_restoration() {
    let scene = Scene::new(0);
    let mut damaged = scene.file.clone();
    damaged[20] ^= 1;
    let machine = scene.with(&damaged);
    let mut moments = Moments::of(&machine.disk, false);
    let store = machine.open();
    let kept = store.restore_tags(scene.tags.clone()).unwrap().unwrap();
    moments.say(true);
    let all = moments.end();
    assert!(all.len() > 8);
    for past in all {
        let (done, next) = (past.promise, past.next);
        let machine = Machine { disk: past.disk };
        let keeping = Machine {
            disk: machine.fork().disk.crash_keeping_all(),
        };
        for image in [machine.fork().crash(), keeping, machine.fork().kill()] {
            let now = image.file(&FileName::Tags).unwrap();
            assert!(now == scene.file || (now == damaged && !done), "{next}");
            let found = image.file(&kept);
            assert!(found.is_none_or(|file| file == damaged), "{next}");
            if now == scene.file {
                assert_eq!(image.file(&kept).as_ref(), Some(&damaged), "{next}");
            }
            let store = image.open();
            if now == scene.file {
                assert_eq!(*store.tags().unwrap(), scene.tags);
                continue;
            }
            if now == damaged {
                assert_eq!(
                    store.restore_tags(scene.tags.clone()).unwrap().as_ref(),
                    Some(&kept)
                );
            }
            drop(store);
            let image = image.crash();
            assert_eq!(*image.open().tags().unwrap(), scene.tags);
            assert_eq!(image.leftovers(), []);
        }
    }
}

/// A call of the system that fails leaves the damaged tags or the new ones, and after a failed sync nothing
/// is written.
#[test]
fn a_restoration_that_fails() {
    let scene = Scene::new(0);
    let mut damaged = scene.file.clone();
    damaged[20] ^= 1;
    for lies in [false, true] {
        for index in 0.. {
            let machine = scene.with(&damaged);
            let store = machine.open();
            let at = machine.disk.ops() + index;
            let fault = Fault::at(at).error(io::ErrorKind::Other);
            machine
                .disk
                .inject(if lies { fault.after_effect() } else { fault });
            let outcome = store.restore_tags(scene.tags.clone());
            if machine.disk.ops() <= at {
                assert!(index > 10);
                outcome.unwrap();
                break;
            }
            machine.disk.heal();
            let now = machine.file(&FileName::Tags).unwrap();
            assert!(now == damaged || now == scene.file, "{index}");
            match (&outcome, store.set_tag(tag("more"), raw(Hash::EMPTY))) {
                (Ok(_), Ok(())) => {}
                (Err(error), Err(_)) => {
                    assert_typed(error);
                    // Unless that was a sync, it may be tried again.
                    let again = store.restore_tags(scene.tags.clone());
                    assert!(
                        matches!(
                            again,
                            Ok(_)
                                | Err(Error::NotWritable(NotWritable::Poisoned(_))
                                    | Error::TagsChanged)
                        ),
                        "{index}: {again:?}"
                    );
                }
                other => panic!("{index}: {other:?}"),
            }
            drop(store);
            let store = machine.kill().open();
            if store.tags().is_err() {
                store.restore_tags(scene.tags.clone()).unwrap();
            }
            let tags = store.tags().unwrap();
            assert!(
                scene
                    .tags
                    .iter()
                    .all(|(tag, value)| tags.get(tag) == Some(value))
            );
        }
    }
}
