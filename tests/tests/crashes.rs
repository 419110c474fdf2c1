//! The process dies, or the power fails, before every call that changes something: what was acknowledged is
//! there, what was under way is old or new, and nothing unproved is served (ARCHITECTURE.md,
//! invariants 2, 3 and 9).

// A test reports by panicking, and so do its helpers; what it casts is small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod common;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::RangeBounds,
    sync::Arc,
};

use common::{
    GROUP, Machine, SimStore, assert_reads, bytes, fresh_env, groups_that_read, outboard,
    plant_interrupted, raw, read, seq, sequence, tag,
};
use flatbao_core::{
    ChunkRanges, Durability, ExternalPath, FileName, Hash, HashAndFormat, PathSet, Store, Tag,
    TagFile, TagMap, Uuid,
    progress::unwatched,
    store::{ImportOptions, Novelty, State, Status, copy},
};
use flatbao_mem::{MemBackend, Moments, SimDisk};

/// What a run has been promised so far.
#[derive(Clone, Default)]
struct Said {
    /// The bytes of every blob that is ever spoken of.
    known: BTreeMap<Hash, Arc<[u8]>>,
    /// Blobs whose import was acknowledged and whose removal was not asked for.
    present: BTreeSet<Hash>,
    /// Blobs that are being imported or removed right now.
    pending: BTreeSet<Hash>,
    /// Blobs whose removal was acknowledged.
    gone: BTreeSet<Hash>,
    tags: TagMap,
    /// The tags as the operation under way will leave them.
    next_tags: Option<TagMap>,
}

/// A run whose every moment is kept.
struct Run {
    machine: Machine,
    moments: RefCell<Moments<Said>>,
    store: Option<SimStore>,
}

impl Run {
    fn on(machine: Machine) -> Self {
        Self {
            moments: RefCell::new(Moments::of(&machine.disk, Said::default())),
            machine,
            store: None,
        }
    }

    fn open(&mut self) {
        self.store = None;
        self.store = Some(self.machine.open());
    }

    fn store(&self) -> &SimStore {
        self.store.as_ref().unwrap()
    }

    fn say(&self, change: impl FnOnce(&mut Said)) {
        self.moments.borrow_mut().change(change);
    }

    fn know(&self, content: &[u8]) -> Hash {
        let hash = Hash::of(content);
        self.say(|said| {
            said.known.insert(hash, content.into());
        });
        hash
    }

    fn begin(&self, hashes: &[Hash]) {
        self.say(|said| {
            said.pending.extend(hashes);
            said.gone.retain(|hash| !hashes.contains(hash));
        });
    }

    fn imported(&self, hashes: &[Hash]) {
        self.say(|said| {
            said.pending.clear();
            said.present.extend(hashes);
        });
    }

    fn import(&self, content: &[u8]) -> Hash {
        let hash = self.know(content);
        self.begin(&[hash]);
        assert_eq!(self.store().import_bytes(content).unwrap().hash, hash);
        self.imported(&[hash]);
        hash
    }

    /// Receives these groups of a content, which is whole with the `last` of them.
    fn receive(&self, content: &[u8], groups: impl RangeBounds<u64>, last: bool) -> Hash {
        let hash = self.know(content);
        self.begin(&[hash]);
        let (_, from) = source(&[content]);
        let ranges = ChunkRanges::of_groups(groups);
        let mut stream = Vec::new();
        from.send(hash, &ranges, &mut stream).unwrap();
        let received = self.store().receive(hash, &ranges, &stream[..]).unwrap();
        assert_eq!(received.is_complete, last);
        if last {
            self.imported(&[hash]);
        }
        hash
    }

    fn import_reference(&self, path: &ExternalPath, content: &[u8]) -> Hash {
        let hash = self.know(content);
        self.begin(&[hash]);
        assert_eq!(self.store().import_reference(path).unwrap().hash, hash);
        self.imported(&[hash]);
        hash
    }

    fn import_batch(&self, contents: &[Vec<u8>]) {
        let hashes: Vec<Hash> = contents.iter().map(|content| self.know(content)).collect();
        self.begin(&hashes);
        let mut batch = self.store().batch();
        for content in contents {
            batch
                .import_bytes(content, ImportOptions::default())
                .unwrap();
        }
        assert_eq!(batch.commit().unwrap().len(), contents.len());
        self.imported(&hashes);
    }

    fn change_tags(&self, change: impl Fn(&mut TagMap), act: impl FnOnce(&SimStore)) {
        let mut next = TagMap::new();
        self.say(|said| {
            next = said.tags.clone();
            change(&mut next);
            said.next_tags = Some(next.clone());
        });
        act(self.store());
        self.say(|said| {
            said.tags = next;
            said.next_tags = None;
        });
    }

    fn set_tag(&self, name: &str, value: HashAndFormat) {
        self.change_tags(
            |tags| {
                tags.insert(tag(name), value);
            },
            |store| store.set_tag(tag(name), value).unwrap(),
        );
    }

    fn remove_tag(&self, name: &str) {
        self.change_tags(
            |tags| {
                tags.remove(&tag(name));
            },
            |store| {
                store.remove_tag(&tag(name)).unwrap();
            },
        );
    }

    /// Removes blobs by what `act` does.
    fn remove(&self, hashes: &[Hash], act: impl FnOnce(&SimStore)) {
        self.say(|said| {
            said.present.retain(|hash| !hashes.contains(hash));
            said.pending.extend(hashes);
        });
        act(self.store());
        self.say(|said| {
            said.pending.clear();
            said.gone.extend(hashes);
        });
    }

    fn collect(&self, expected: &[Hash]) {
        self.remove(expected, |store| {
            let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
            let removed: BTreeSet<Hash> = swept.removed.iter().map(|item| item.hash).collect();
            assert_eq!(removed, expected.iter().copied().collect());
        });
    }

    /// Dies in every moment of the run so far, in every way, and looks at what is left.
    fn check(self) {
        drop(self.store);
        let all = self.moments.into_inner().end();
        assert!(all.len() > 3, "the run has moments");
        for past in all {
            let (said, next) = (past.promise, past.next);
            for (way, image) in ends(&past.disk) {
                let told = format!("{way} before: {next}");
                files_are_whole(&image, &said, &told);
                let recovery = Moments::of(&image.disk, ());
                let opened = image.try_open();
                drop(opened.unwrap_or_else(|e| panic!("{told}: {e:?}")));
                for past in recovery.end() {
                    for (way, image) in ends(&past.disk) {
                        let told = format!("{told}; then {way} before: {}", past.next);
                        files_are_whole(&image, &said, &told);
                        promises_hold(&image, &said, &told);
                    }
                }
                promises_hold(&image, &said, &told);
                life_goes_on(&image, &said, &told);
            }
        }
    }
}

/// A store in memory that has these blobs, the last one a list of the others.
fn source(contents: &[&[u8]]) -> (Hash, Store<MemBackend>) {
    let (store, _) = Store::open(MemBackend::new(), fresh_env()).unwrap();
    let hashes: Vec<Hash> = contents
        .iter()
        .map(|content| store.import_bytes(content).unwrap().hash)
        .collect();
    let list = store.import_bytes(&sequence(&hashes)).unwrap().hash;
    (list, store)
}

/// What becomes of a machine: the power fails and nothing unsynced, or everything, survives; or only the
/// process dies.
fn ends(disk: &SimDisk) -> [(&'static str, Machine); 3] {
    let machine = |disk| Machine { disk };
    [
        ("power lost", machine(disk.fork().crash())),
        (
            "power lost, all kept",
            machine(disk.fork().crash_keeping_all()),
        ),
        ("killed", machine(disk.fork().kill())),
    ]
}

/// "A published file is whole": under a final name there are only whole files, and no data without outboard.
fn files_are_whole(machine: &Machine, said: &Said, told: &str) {
    for (name, bytes) in machine.files() {
        let Some(name) = FileName::parse(&name) else {
            continue;
        };
        match name {
            FileName::Data(hash) => {
                let known = &said.known[&hash];
                assert!(**known == *bytes, "{told}: {name} is not whole");
                if known.len() > GROUP {
                    let found = machine.file(&FileName::Outboard(hash));
                    assert!(found.is_some(), "{told}: {name} has no outboard");
                }
            }
            FileName::Outboard(hash) => {
                let right = outboard(&said.known[&hash]).unwrap();
                assert!(right == bytes, "{told}: {name} is not whole");
            }
            FileName::Paths(_) => assert!(PathSet::decode(&bytes).is_ok(), "{told}: {name}"),
            FileName::Tags => {
                let tags = TagFile::decode(&bytes);
                assert!(tags.is_ok_and(|tags| tags.protected), "{told}: {name}");
            }
            _ => {}
        }
    }
}

/// "What was acknowledged is there": tags and blobs; what was under way is old or new.
fn promises_hold(machine: &Machine, said: &Said, told: &str) {
    let (store, recovery) = machine
        .try_open()
        .unwrap_or_else(|e| panic!("{told}: {e:?}"));
    assert!(
        recovery.not_removed.is_empty() && recovery.odd.is_empty(),
        "{told}"
    );
    assert_eq!(machine.leftovers(), [], "{told}");
    let tags = store.tags().unwrap_or_else(|e| panic!("{told}: {e:?}"));
    assert!(
        *tags == said.tags || Some(&*tags) == said.next_tags.as_ref(),
        "{told}: the tags are neither the old nor the new ones: {tags:?}"
    );
    for hash in &said.present {
        match read(&store, *hash) {
            Ok(bytes) => assert!(*bytes == *said.known[hash], "{told}: {hash}"),
            Err(error) => panic!("{told}: {hash} was acknowledged and is lost: {error:?}"),
        }
    }
    for hash in &said.pending {
        let good = groups_that_read(&store, *hash, &said.known[hash]);
        let all = good.iter().all(|good| *good);
        assert!(all || good.iter().all(|good| !good), "{told}: half a blob");
        let complete =
            matches!(store.status(*hash), Status::Present(info) if info.state == State::Complete);
        assert_eq!(all, complete, "{told}: {hash} is listed and does not read");
    }
    for (hash, content) in &said.known {
        parts_are_right(&store, *hash, content, told);
    }
    for hash in &said.gone {
        assert_eq!(
            store.status(*hash),
            Status::Missing,
            "{told}: {hash} was deleted"
        );
    }
}

/// "What is there of a blob is right", whatever has become of its files.
fn parts_are_right(store: &SimStore, hash: Hash, content: &[u8], told: &str) {
    let found = store.available(hash).unwrap();
    let Ok(reader) = store.partial_reader(hash) else {
        assert_eq!(found.groups, [], "{told}");
        return;
    };
    for group in found.groups.into_iter().flatten() {
        let start = group as usize * GROUP;
        let truth = &content[start..content.len().min(start + GROUP)];
        let mut buf = vec![0; truth.len()];
        let read = reader.read_verified(&mut buf, start as u64);
        assert_eq!(read.unwrap(), truth.len(), "{told}");
        assert!(buf == truth, "{told}: a wrong byte in group {group}");
    }
}

/// "The entry found at open, tagged, power lost": whatever a process that died has left can be tagged,
/// collected around and imported again, and is durable from then on.
fn life_goes_on(machine: &Machine, said: &Said, told: &str) {
    let machine = machine.fork();
    let store = machine.open();
    let found: Vec<Hash> = store
        .blobs()
        .filter(|blob| blob.state == State::Complete)
        .map(|blob| blob.hash)
        .collect();
    for hash in &found {
        store.set_tag(tag(&hash.to_string()), raw(*hash)).unwrap();
    }
    for hash in &found {
        store.remove_tag(&tag(&hash.to_string())).unwrap();
    }
    let tags = store.tags().unwrap();
    let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
    assert!(swept.spared.is_empty(), "{told}");
    for (hash, content) in &said.known {
        let imported = store.import_bytes(content).unwrap();
        let name = Tag::new(hash.as_bytes().as_slice()).unwrap();
        store.set_tag(name, raw(imported.hash)).unwrap();
    }
    let machine = machine.crash();
    let store = machine.open();
    for value in tags.values() {
        if let Some(content) = said.known.get(&value.hash) {
            assert_reads(&store, value.hash, content);
        }
    }
    for (hash, content) in &said.known {
        assert_reads(&store, *hash, content);
    }
    assert_eq!(
        store.tags().unwrap().len(),
        tags.len() + said.known.len(),
        "{told}"
    );
}

fn small() -> Vec<u8> {
    bytes(1, 1000)
}

fn large() -> Vec<u8> {
    bytes(2, 3 * GROUP + 100)
}

/// PD-10, PD-41.
#[test]
fn import_of_a_small_blob() {
    let mut run = Run::on(Machine::new());
    run.open();
    let hash = run.import(&small());
    run.set_tag("a", raw(hash));
    run.check();
}

/// PD-09, PD-10, PD-41.
#[test]
fn import_of_several_groups() {
    let mut run = Run::on(Machine::new());
    run.open();
    let hash = run.import(&large());
    run.set_tag("a", raw(hash));
    run.import(&bytes(3, 2 * GROUP));
    run.import(b"");
    run.check();
}

#[test]
fn a_small_blob_is_received() {
    let mut run = Run::on(Machine::new());
    run.open();
    let hash = run.receive(&small(), .., true);
    run.set_tag("one", raw(hash));
    run.receive(b"", .., true);
    run.check();
}

/// PD-07, PD-10: a blob that comes in parts, over openings: nothing half is ever served as whole, what was
/// acknowledged as whole is, and a completion that is interrupted anywhere is finished or goes on.
#[test]
fn a_blob_is_received_in_parts() {
    let mut run = Run::on(Machine::new());
    run.open();
    let hash = run.receive(&large(), 1..2, false);
    run.set_tag("one", raw(hash));
    run.open();
    run.receive(&large(), 3.., false);
    run.receive(&large(), ..1, false);
    run.receive(&large(), 2..3, true);
    run.open();
    run.check();
}

/// Two entries of one blob, put together.
#[test]
fn parts_of_two_entries_are_put_together() {
    let machine = Machine::new();
    let hash = Hash::of(&large());
    machine.plant(&FileName::Tags, &TagFile::encode(&TagMap::new()).unwrap());
    let board = outboard(&large()).unwrap();
    for (uuid, groups) in [([1; 16], 0..2), ([2; 16], 2..3)] {
        let uuid = Uuid::from_bytes(uuid);
        let mut sparse = vec![0; groups.end * GROUP];
        let range = groups.start * GROUP..groups.end * GROUP;
        sparse[range.clone()].copy_from_slice(&large()[range]);
        machine.plant(&FileName::PartialData(hash, uuid), &sparse);
        machine.plant(&FileName::PartialOutboard(hash, uuid), &board);
    }
    let mut run = Run::on(machine);
    run.know(&large());
    run.open();
    run.receive(&large(), 3.., true);
    assert_reads(run.store(), hash, &large());
    run.check();
}

/// A sequence is copied with what it lists, small and large.
#[test]
fn a_copy() {
    let mut run = Run::on(Machine::new());
    run.open();
    let contents = [small(), large(), b"x".to_vec()];
    let (list, from) = source(&[&contents[0], &contents[1], &contents[2]]);
    let mut hashes: Vec<Hash> = contents.iter().map(|content| run.know(content)).collect();
    hashes.push(run.know(&sequence(&hashes)));
    run.begin(&hashes);
    let copied = copy(&from, run.store(), seq(list), &mut unwatched).unwrap();
    assert_eq!(copied.blobs, 4);
    run.imported(&hashes);
    run.set_tag("all", seq(list));
    drop(copied);
    run.collect(&[]);
    run.check();
}

#[test]
fn import_by_reference() {
    let machine = Machine::new();
    let one = machine.put_external("one", &large());
    let two = machine.put_external("two", &large());
    let three = machine.put_external("three", &small());
    let mut run = Run::on(machine);
    run.open();
    let hash = run.import_reference(&one, &large());
    run.set_tag("a", raw(hash));
    run.import_reference(&two, &large());
    run.import(&large());
    run.import_reference(&three, &small());
    run.check();
}

#[test]
fn a_batch() {
    let mut run = Run::on(Machine::new());
    run.open();
    run.import(&small());
    run.import_batch(&[small(), large(), bytes(4, 20), large(), bytes(5, GROUP + 1)]);
    run.check();
}

/// PD-10, PD-41.
#[test]
fn tags_set_replaced_and_removed() {
    let mut run = Run::on(Machine::new());
    run.open();
    let (one, two) = (run.import(&small()), run.import(&large()));
    run.set_tag("a", raw(one));
    run.set_tag("b", raw(two));
    run.set_tag("a", raw(two));
    run.remove_tag("b");
    run.remove_tag("a");
    run.set_tag("c", raw(one));
    run.check();
}

#[test]
fn a_sequence_with_children() {
    let mut run = Run::on(Machine::new());
    run.open();
    let (one, two) = (run.import(&small()), run.import(&large()));
    let list = run.import(&sequence(&[one, two]));
    run.set_tag("list", seq(list));
    let dead = run.import(b"dead");
    run.collect(&[dead]);
    run.check();
}

#[test]
fn a_collection() {
    let machine = Machine::new();
    let path = machine.put_external("one", &bytes(8, 20_000));
    let mut run = Run::on(machine);
    run.open();
    let keep = run.import(&small());
    run.set_tag("keep", raw(keep));
    let outside = run.import_reference(&path, &bytes(8, 20_000));
    let (two, three) = (run.import(&large()), run.import(b"three"));
    run.set_tag("two", raw(two));
    run.remove_tag("two");
    run.collect(&[outside, two, three]);
    run.import(&large());
    run.check();
}

#[test]
fn an_explicit_deletion() {
    let mut run = Run::on(Machine::new());
    run.open();
    let (one, two) = (run.import(&small()), run.import(&large()));
    run.set_tag("two", raw(two));
    run.remove(&[one], |store| {
        store.delete(one, false).unwrap();
    });
    run.remove_tag("two");
    run.remove(&[two], |store| {
        store.delete(two, false).unwrap();
    });
    run.import(&small());
    run.check();
}

/// A process that syncs nothing died: whatever it left is in the cache only.
fn unsynced(machine: &Machine, act: impl FnOnce(&SimStore)) -> Machine {
    let backend = machine.backend().with_durability(Durability::Atomic);
    let (store, _) = Store::open(backend, fresh_env()).unwrap();
    act(&store);
    drop(store);
    machine.kill()
}

/// Leftovers of every kind, and a completion that was interrupted between its renames.
/// BI-043, BI-093.
#[test]
fn an_opening_with_everything_to_mend() {
    let machine = Machine::new();
    let hash = Hash::of(&large());
    plant_interrupted(&machine, &large());
    machine.plant(&FileName::Tags, &TagFile::encode(&TagMap::new()).unwrap());
    let mut run = Run::on(machine);
    run.know(&large());
    run.begin(&[hash]);
    run.open();
    run.imported(&[hash]);
    assert_reads(run.store(), hash, &large());
    run.open();
    run.check();
}

/// The outboard that is made again on first use is published like any other.
#[test]
fn an_outboard_that_is_made_again() {
    let machine = Machine::new();
    let hash = machine.open().import_bytes(&large()).unwrap().hash;
    let machine = machine.kill();
    machine.plant(&FileName::Outboard(hash), b"damaged");
    let moments = Moments::of(&machine.disk, ());
    assert_reads(&machine.open(), hash, &large());
    for past in moments.end() {
        let next = past.next;
        for (way, image) in ends(&past.disk) {
            assert_reads(&image.open(), hash, &large());
            assert_eq!(image.leftovers(), [], "{way} before {next}");
            assert_eq!(image.file(&FileName::Outboard(hash)), outboard(&large()));
        }
    }
}

/// A process is killed before it has synced; the same content is imported again and found to
/// be there already; it is tagged; then the power fails. The tag and the bytes are there.
/// BI-092.
#[test]
fn killed_then_imported_again_then_tagged_then_power_lost() {
    for content in [small(), large()] {
        for read_before in [false, true] {
            let machine = unsynced(&Machine::new(), |store| {
                drop(store.import_bytes(&content).unwrap());
            });
            let store = machine.open();
            if read_before {
                assert_reads(&store, Hash::of(&content), &content);
            }
            let again = store.import_bytes(&content).unwrap();
            assert_ne!(again.novelty, Novelty::New);
            store.set_tag(tag("a"), raw(again.hash)).unwrap();
            let store = machine.crash().open();
            assert_eq!(store.tag(&tag("a")).unwrap(), raw(again.hash));
            assert_reads(&store, again.hash, &content);
        }
    }
}

/// Every moment of the run that is killed, not only its end.
/// BI-092.
#[test]
fn killed_at_any_moment_then_imported_again_then_tagged_then_power_lost() {
    let machine = Machine::new();
    let moments = Moments::of(&machine.disk, ());
    machine.open().import_bytes(&large()).unwrap();
    let mut found = BTreeSet::new();
    for past in moments.end() {
        let (next, disk) = (past.next, past.disk.kill());
        let machine = Machine { disk };
        let store = machine.open();
        let again = store.import_bytes(&large()).unwrap();
        found.insert(format!("{:?}", again.novelty));
        store.set_tag(tag("a"), raw(again.hash)).unwrap();
        let store = machine.crash().open();
        assert_eq!(store.tags().unwrap().len(), 1, "{next}");
        assert_reads(&store, again.hash, &large());
    }
    assert_eq!(
        found.len(),
        2,
        "new in some moments, replaced in others: {found:?}"
    );
}

/// An entry found at open and tagged without another import is made durable first: data, outboard, list of
/// paths, and of a sequence all its children.
#[test]
fn found_at_open_then_tagged_then_power_lost() {
    let machine = Machine::new();
    let path = machine.put_external("one", &bytes(7, 40_000));
    let contents = [small(), large(), bytes(6, GROUP + 1)];
    let list = sequence(&contents.each_ref().map(|content| Hash::of(content)));
    let machine = unsynced(&machine, |store| {
        for content in contents.iter().chain([&list]) {
            drop(store.import_bytes(content).unwrap());
        }
        drop(store.import_reference(&path).unwrap());
    });
    let outside = Hash::of(&bytes(7, 40_000));
    for value in [
        raw(Hash::of(&small())),
        raw(Hash::of(&large())),
        raw(outside),
        seq(Hash::of(&list)),
    ] {
        for automatic in [false, true] {
            let machine = machine.fork();
            let store = machine.open();
            if automatic {
                store.auto_tag(value).unwrap();
            } else {
                store.set_tag(tag("a"), value).unwrap();
            }
            let store = machine.crash().open();
            assert!(store.tags().unwrap().values().eq([&value]));
            let mut expected: Vec<&[u8]> = Vec::new();
            if value.hash == outside {
                assert_reads(&store, outside, &bytes(7, 40_000));
            } else if value == seq(Hash::of(&list)) {
                expected.extend(contents.iter().chain([&list]).map(Vec::as_slice));
            } else {
                expected.extend(
                    contents
                        .iter()
                        .map(Vec::as_slice)
                        .filter(|c| Hash::of(c) == value.hash),
                );
            }
            for content in expected {
                assert_reads(&store, Hash::of(content), content);
            }
        }
    }
}

/// What an import acknowledges is durable, also when it found the blob there and had read it before:
/// "proved" is not "synced".
#[test]
fn an_import_that_finds_proved_but_unsynced_data_makes_them_durable() {
    let machine = unsynced(&Machine::new(), |store| {
        drop(store.import_bytes(&large()).unwrap());
    });
    let hash = Hash::of(&large());
    // Reading makes the outboard again, and so proves the data in this opening.
    machine.plant(&FileName::Outboard(hash), b"damaged");
    let store = machine.open();
    assert_reads(&store, hash, &large());
    store.import_bytes(&large()).unwrap();
    let store = machine.crash().open();
    assert_reads(&store, hash, &large());
}

/// A collection that goes by tags which are in the cache only makes them durable first: a power loss must
/// not bring back the tag of a blob that is gone.
#[test]
fn a_collection_by_unsynced_tags() {
    for delete in [false, true] {
        let machine = Machine::new();
        let store = machine.open();
        let hash = store.import_bytes(&large()).unwrap().hash;
        store.set_tag(tag("a"), raw(hash)).unwrap();
        drop(store);
        let machine = unsynced(&machine.kill(), |store| {
            store.remove_tag(&tag("a")).unwrap();
        });
        let store = machine.open();
        if delete {
            store.delete(hash, false).unwrap();
        } else {
            assert_eq!(
                store.sweep(store.plan_gc().unwrap()).unwrap().removed.len(),
                1
            );
        }
        let store = machine.crash().open();
        assert!(
            store.tags().unwrap().is_empty(),
            "the tag of a deleted blob came back"
        );
        assert_eq!(store.status(hash), Status::Missing);
    }
}

/// Invariant 9: the confirmation that there are no tags is old or new as well.
/// BI-060.
#[test]
fn a_confirmation_that_there_are_no_tags() {
    let machine = Machine::new();
    machine.plant(&FileName::Data(Hash::of(b"x")), b"x");
    let mut moments = Moments::of(&machine.disk, false);
    let store = machine.open();
    assert!(store.tags().is_err());
    store.confirm_no_tags().unwrap();
    moments.say(true);
    for past in moments.end() {
        let (done, next) = (past.promise, past.next);
        for (way, image) in ends(&past.disk) {
            let store = image.open();
            assert!(
                !done || store.tags().unwrap().is_empty(),
                "{way} before {next}"
            );
            assert!(store.tags().map_or(true, |tags| tags.is_empty()));
            assert_reads(&store, Hash::of(b"x"), b"x");
        }
    }
}
