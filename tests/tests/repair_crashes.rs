//! The process dies, the power fails, or a call of the system does, at every moment of a repair: every group
//! that was good is good, and another repair comes to the same end.

// A search in simulated memory, in which no platform takes part: under WASI it would only take longer.
#![cfg(not(target_os = "wasi"))]
// A test reports by panicking, and so do its helpers; what it casts is small; one range is a list of one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::single_range_in_vec_init
)]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use common::{
    GROUP, SimStore, assert_typed, bytes,
    care::{assert_kept, at_hand, repair, sealed_paths, verify},
    external, fresh_env, outboard, picture, raw,
};
use flatbao_core::{
    Error, FileName, FlatDir, Hash, NotWritable, Store, Tag, TagFile, Uuid,
    progress::unwatched,
    store::{Depth, Finding, Mending, Outcome, RepairOptions, Repairing},
};
use flatbao_mem::{Fault, OpKind, SimDir, SimDisk};

/// A store in which every kind of mending is due.
#[derive(Clone)]
struct Scene {
    disk: SimDisk,
    /// Whether each area is on a file system of its own.
    three: bool,
    blobs: Vec<(Hash, Vec<u8>)>,
}

impl Scene {
    fn new(three: bool) -> Self {
        let mut scene = Self {
            disk: SimDisk::new(),
            three,
            blobs: Vec::new(),
        };
        let store = scene.open();
        let mut add = |n: u64, owned: bool, outside: &[&str]| {
            let content = bytes(n, 4 * GROUP + n as usize);
            let hash = Hash::of(&content);
            if owned {
                store.import_bytes(&content).unwrap();
            }
            for name in outside {
                scene.outside().plant_file(name, &content).unwrap();
                store.import_reference(&external(name)).unwrap();
            }
            let name = Tag::new(hash.as_bytes().as_slice()).unwrap();
            store.set_tag(name, raw(hash)).unwrap();
            scene.blobs.push((hash, content));
            hash
        };
        let demoted = add(1, true, &[]);
        let rewritten = add(2, true, &["2"]);
        let rebuilt = add(3, true, &[]);
        let kept = add(4, true, &["4"]);
        let paired = add(5, true, &[]);
        let outdone = add(6, true, &[]);
        add(7, false, &["7", "7-gone"]);
        let bare = add(8, true, &["8"]);
        let tags = store.tags().unwrap();
        drop(store);
        scene.disk = scene.disk.kill();

        scene.flip(&FileName::Data(demoted), 1);
        scene.flip(&FileName::Data(rewritten), 1);
        scene.flip_outside("2", 3);
        scene.plant(&FileName::Outboard(rebuilt), b"damaged");
        scene.flip(&FileName::Data(kept), 2);
        scene.flip_outside("4", 2);
        let uuid = Uuid::from_bytes([9; 16]);
        let content = |hash: Hash| &scene.blobs.iter().find(|(h, _)| *h == hash).unwrap().1;
        for (hash, with_outboard) in [(paired, false), (outdone, true)] {
            scene.uproot(&FileName::Data(hash));
            scene.plant(&FileName::PartialData(hash, uuid), content(hash));
            scene.flip(&FileName::PartialData(hash, uuid), 0);
            if with_outboard {
                let board = outboard(content(hash)).unwrap();
                scene.plant(&FileName::PartialOutboard(hash, uuid), &board);
            }
        }
        scene.outside().uproot("7-gone");
        scene.plant(&FileName::Paths(bare), &sealed_paths(&[]));
        let sealed = TagFile::encode(&tags).unwrap();
        scene.plant(&FileName::Tags, &sealed[..sealed.len() - 40]);
        scene
    }

    fn area(&self, name: &FileName) -> SimDir {
        let file_system = match self.three {
            true => ["a", "b", "c"][name.area() as usize],
            false => "a",
        };
        self.disk
            .file_system(file_system)
            .plant_dir("store")
            .unwrap()
    }

    fn outside(&self) -> SimDir {
        self.disk.file_system("outside")
    }

    fn plant(&self, name: &FileName, bytes: &[u8]) {
        self.area(name).plant_file(name.to_string(), bytes).unwrap();
    }

    fn uproot(&self, name: &FileName) {
        self.area(name).uproot(name.to_string());
    }

    fn flip(&self, name: &FileName, group: usize) {
        let mut file = self.area(name).content(name.to_string()).unwrap();
        file[group * GROUP] ^= 1;
        self.plant(name, &file);
    }

    fn flip_outside(&self, name: &str, group: usize) {
        let mut file = self.outside().content(name).unwrap();
        file[group * GROUP] ^= 1;
        self.outside().change_file(name, &file).unwrap();
    }

    fn backend(&self) -> FlatDir<SimDir> {
        let uuid = Uuid::from_bytes([0; 16]);
        let mut backend = match self.three {
            true => FlatDir::with_areas(
                self.area(&FileName::Data(Hash::EMPTY)),
                self.area(&FileName::PartialData(Hash::EMPTY, uuid)),
                self.area(&FileName::Tags),
            )
            .unwrap(),
            false => FlatDir::new(self.area(&FileName::Tags)),
        };
        backend.grant_external("/external", self.outside()).unwrap();
        backend
    }

    fn open(&self) -> SimStore {
        Store::open(self.backend(), fresh_env()).unwrap().0
    }

    fn open_read_only(&self) -> SimStore {
        Store::open_read_only(self.backend(), fresh_env())
            .unwrap()
            .0
    }

    fn on(&self, disk: SimDisk) -> Self {
        Self {
            disk,
            ..self.clone()
        }
    }

    fn fork(&self) -> Self {
        self.on(self.disk.fork())
    }

    /// Which groups of each blob can be had.
    fn good(&self) -> BTreeMap<Hash, Vec<bool>> {
        let store = self.fork().open_read_only();
        let good = |(hash, content): &(Hash, Vec<u8>)| (*hash, at_hand(&store, *hash, content));
        self.blobs.iter().map(good).collect()
    }

    fn assert_kept(&self, before: &BTreeMap<Hash, Vec<bool>>, told: &str) {
        for (hash, after) in self.good() {
            assert_kept(&before[&hash], &after, &format!("{told}: {hash}"));
        }
    }

    /// What becomes of the machine.
    fn ends(&self) -> Vec<(&'static str, Self)> {
        let mut ends = vec![
            ("power lost", self.on(self.disk.crash())),
            ("all kept", self.on(self.disk.crash_keeping_all())),
            ("killed", self.on(self.disk.kill())),
        ];
        if self.three {
            for kept in ["a", "b", "c"] {
                let image = self.disk.crash_keeping(|name| name == kept);
                ends.push(("only one kept", self.on(image)));
                let image = self.disk.crash_keeping(|name| name != kept);
                ends.push(("one lost", self.on(image)));
            }
        }
        ends
    }
}

/// What is left to be said of the blobs once all is mended.
fn findings(store: &SimStore) -> Vec<Finding> {
    let found = verify(store, Depth::Deep).into_iter();
    found.filter(|f| f.hash().is_some()).collect()
}

/// Repairs as long as it can.
fn attempt(store: &SimStore) -> (Vec<(Mending, Outcome)>, Result<(), Error>) {
    let mut mended = Vec::new();
    let mut each = |step| {
        if let Repairing::Mended(mending, outcome) = step {
            mended.push((mending, outcome));
        }
    };
    let outcome = store.repair(&RepairOptions::default(), &mut each, &mut unwatched);
    (mended, outcome.map(drop))
}

#[test]
fn the_scene_needs_every_kind_of_mending() {
    for three in [false, true] {
        let scene = Scene::new(three);
        let before = scene.good();
        let (mended, left) = repair(&scene.open());
        let kinds: BTreeSet<_> = mended.iter().map(Mending::kind).collect();
        assert_eq!(kinds.len(), 7, "{kinds:?}");
        assert_eq!(mended.len(), 10);
        assert_eq!(left.len(), 1, "{left:?}");
        scene.assert_kept(&before, "repaired");
    }
}

fn every_crash(three: bool) {
    let scene = Scene::new(three);
    let before = scene.good();
    let whole = scene.fork();
    let store = whole.open();
    let start = whole.disk.ops();
    repair(&store);
    let mut moments = writes(&whole.disk, start);
    moments.push(whole.disk.ops() - start);
    scene.disk.keep_trace(false);
    let (end, left) = (whole.good(), findings(&store));
    let picture_then = picture(&store);
    drop(store);
    // Reads change nothing: a death before one is that before the next change.
    assert!(moments.len() > 60);
    for index in moments {
        let scene = scene.fork();
        let store = scene.open();
        let at = scene.disk.ops() + index;
        scene.disk.inject(Fault::death_at(at));
        let _ = attempt(&store);
        drop(store);
        scene.disk.heal();
        for (way, scene) in scene.ends() {
            scene.disk.keep_trace(false);
            let told = format!("{way} at {index}");
            let store = scene.open();
            scene.assert_kept(&before, &told);
            repair(&store);
            assert_eq!(scene.good(), end, "{told}");
            assert_eq!(findings(&store), left, "{told}");
            assert_eq!(picture(&store).0, picture_then.0, "{told}");
            let again = attempt(&store).0;
            assert!(again.is_empty(), "{told}: {again:?}");
            drop(store);
            let scene = scene.on(scene.disk.crash());
            assert_eq!(scene.good(), end, "{told}: durable");
        }
    }
}

/// Which operations from `start` on change something, or make it durable.
fn writes(disk: &SimDisk, start: u64) -> Vec<u64> {
    let trace = disk.trace().into_iter();
    trace
        .filter(|op| op.number >= start && (op.kind.is_change() || op.kind.is_sync()))
        .map(|op| op.number - start)
        .collect()
}

/// BI-093, PD-33.
#[test]
fn a_death_at_any_moment_in_one_directory() {
    every_crash(false);
}

#[test]
fn a_death_at_any_moment_over_three_file_systems() {
    every_crash(true);
}

fn every_fault(three: bool, sticky: bool, lies: bool) {
    let scene = Scene::new(three);
    let before = scene.good();
    let whole = scene.fork();
    let store = whole.open();
    let start = whole.disk.ops();
    repair(&store);
    let end = whole.good();
    let moments = match sticky || lies || three {
        true => writes(&whole.disk, start),
        false => (0..whole.disk.ops() - start).collect(),
    };
    drop(store);
    for index in moments {
        {
            let kind = [io::ErrorKind::Other, io::ErrorKind::StorageFull][index as usize % 2];
            let told = format!("{kind:?} at {index}, sticky {sticky}, lies {lies}");
            let scene = scene.fork();
            let store = scene.open();
            let at = scene.disk.ops() + index;
            let due = move |number| number == at || (sticky && number > at);
            let mut fault = Fault::matching(move |op| due(op.number)).error(kind);
            if sticky {
                fault = fault.sticky();
            }
            if lies {
                fault = fault.after_effect();
            }
            scene.disk.inject(fault);
            let (mended, outcome) = attempt(&store);
            scene.disk.heal();
            for (_, outcome) in &mended {
                if let Outcome::Failed(error) = outcome {
                    assert_typed(error);
                }
            }
            let poisoned = match store.confirm_no_tags() {
                Ok(()) => false,
                Err(Error::NotWritable(NotWritable::Poisoned(_))) => true,
                Err(other) => panic!("{told}: {other:?}"),
            };
            let trace = scene.disk.trace();
            let failed_sync = trace
                .iter()
                .position(|op| op.number >= at && op.kind.is_sync() && op.result.is_err());
            if let Some(failed) = failed_sync {
                assert!(poisoned, "{told}: a failed sync is final");
                let changed = trace[failed + 1..].iter().find(|op| {
                    let ends_a_stage = op.kind == OpKind::Unlink;
                    op.kind.is_change() && !ends_a_stage && op.result.is_ok()
                });
                assert_eq!(changed, None, "{told}: written after a failed sync");
            }
            assert_eq!(outcome.is_err(), poisoned, "{told}: {outcome:?}");
            scene.assert_kept(&before, &told);
            if !poisoned {
                let fresh = scene.fork().open_read_only();
                assert_eq!(picture(&store), picture(&fresh), "{told}: memory and disk");
                // Nothing stands in the way of another try.
                repair(&store);
                assert_eq!(scene.good(), end, "{told}: a second try");
            }
            drop(store);
            let scene = scene.on(scene.disk.kill());
            let store = scene.open();
            scene.assert_kept(&before, &told);
            repair(&store);
            assert_eq!(scene.good(), end, "{told}: after another opening");
        }
    }
}

#[test]
fn every_operation_fails_once() {
    every_fault(false, false, false);
}

#[test]
fn every_operation_fails_from_then_on() {
    every_fault(false, true, false);
}

#[test]
fn every_operation_lies_once() {
    every_fault(false, false, true);
}

#[test]
fn every_operation_fails_over_three_file_systems() {
    every_fault(true, false, false);
}
