//! Every call of the system fails once, or from some moment on, while the store does each thing that it
//! does: a typed error and no panic; memory and disk agree; nothing is left behind for good; reading goes
//! on; and after a failed sync nothing more is written (BAD-INPUTS 79 to 83; ARCHITECTURE.md,
//! invariants 11 and 12).

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

use std::{collections::BTreeSet, io};

use common::{
    GROUP, Machine, SimStore, assert_reads, assert_typed, bytes, fresh_env, outboard, picture, raw,
    read, seq, sequence, tag,
};
use flatbao_core::{
    ChunkRanges, Error, FileName, Hash, NotWritable, Result, Store, Uuid,
    io::ReadAt as _,
    progress::unwatched,
    store::{Location, Novelty, State, Status, copy},
};
use flatbao_mem::{Fault, MemBackend, OpKind, SeededEnv};

/// What a system may say of a call.
const KINDS: [io::ErrorKind; 14] = [
    io::ErrorKind::StorageFull,
    io::ErrorKind::QuotaExceeded,
    io::ErrorKind::ReadOnlyFilesystem,
    io::ErrorKind::PermissionDenied,
    io::ErrorKind::NotFound,
    io::ErrorKind::AlreadyExists,
    io::ErrorKind::InvalidInput,
    io::ErrorKind::TimedOut,
    io::ErrorKind::BrokenPipe,
    io::ErrorKind::WouldBlock,
    io::ErrorKind::OutOfMemory,
    io::ErrorKind::Unsupported,
    io::ErrorKind::CrossesDevices,
    // What EIO and EMFILE become.
    io::ErrorKind::Other,
];

/// One thing that a store does.
struct Action {
    name: &'static str,
    act: fn(&SimStore, &Scene) -> Result<()>,
}

/// The machine before it, and what is on it.
struct Scene {
    machine: Machine,
    kept: Vec<(Hash, Vec<u8>)>,
    dead: Hash,
    list: Hash,
    /// Bytes of a blob of which the first two groups are there.
    part: Vec<u8>,
}

const ACTIONS: [Action; 20] = [
    Action {
        name: "import a small blob",
        act: |store, _| store.import_bytes(b"new").map(drop),
    },
    Action {
        name: "import several groups",
        act: |store, _| store.import_bytes(&large()).map(drop),
    },
    Action {
        name: "import what was found at open",
        act: |store, scene| store.import_bytes(&scene.kept[1].1).map(drop),
    },
    Action {
        name: "import a file",
        act: |store, _| store.import_file(&common::external("new")).map(drop),
    },
    Action {
        name: "import by reference",
        act: |store, _| store.import_reference(&common::external("new")).map(drop),
    },
    Action {
        name: "import another reference",
        act: |store, _| store.import_reference(&common::external("again")).map(drop),
    },
    Action {
        name: "a batch",
        act: |store, _| {
            let mut batch = store.batch();
            batch.import_reader(&b"one"[..])?;
            batch.import_reader(&large()[..])?;
            batch.import_reader(&b"three"[..])?;
            batch.commit().map(drop)
        },
    },
    Action {
        name: "set a tag",
        act: |store, scene| store.set_tag(tag("new"), raw(scene.kept[1].0)),
    },
    Action {
        name: "set a tag on a sequence",
        act: |store, scene| store.set_tag(tag("new"), seq(scene.list)),
    },
    Action {
        name: "set an automatic tag",
        act: |store, scene| store.auto_tag(raw(scene.kept[0].0)).map(drop),
    },
    Action {
        name: "remove a tag",
        act: |store, _| store.remove_tag(&tag("kept 0")).map(drop),
    },
    Action {
        name: "delete",
        act: |store, scene| store.delete(scene.dead, false).map(drop),
    },
    Action {
        name: "delete by force",
        act: |store, scene| store.delete(scene.kept[1].0, true).map(drop),
    },
    Action {
        name: "collect",
        act: |store, _| {
            let swept = store.sweep(store.plan_gc()?)?;
            match swept.spared.into_iter().next() {
                Some(spared) => match spared.reason {
                    flatbao_core::store::Reason::Failed(error) => Err(error),
                    other => panic!("{other:?}"),
                },
                None => Ok(()),
            }
        },
    },
    Action {
        name: "receive a small blob",
        act: |store, _| receive(store, b"sent", &ChunkRanges::all()),
    },
    Action {
        name: "receive several groups",
        act: |store, _| receive(store, &bytes(30, 3 * GROUP + 5), &ChunkRanges::all()),
    },
    Action {
        name: "receive what is missing",
        act: |store, scene| receive(store, &scene.part, &ChunkRanges::of_groups(2..)),
    },
    Action {
        name: "copy a sequence",
        act: |store, _| {
            let (from, list) = source(&[b"child", &bytes(31, 2 * GROUP + 1)]);
            let copied = copy(&from, store, seq(list), &mut unwatched)?;
            assert!(copied.incomplete.is_empty());
            Ok(())
        },
    },
    Action {
        name: "read and mend an outboard",
        act: |store, scene| {
            let (hash, content) = &scene.kept[2];
            let bytes = read(store, *hash)?;
            assert!(bytes == *content);
            Ok(())
        },
    },
    Action {
        name: "read outside",
        act: |store, scene| {
            let (hash, content) = &scene.kept[3];
            let bytes = read(store, *hash)?;
            assert!(bytes == *content);
            Ok(())
        },
    },
];

fn large() -> Vec<u8> {
    bytes(20, 2 * GROUP + 9)
}

/// A store in memory with a sequence of these blobs.
fn source(contents: &[&[u8]]) -> (Store<MemBackend>, Hash) {
    let (store, _) = Store::open(MemBackend::new(), fresh_env()).unwrap();
    let put = |content: &[u8]| store.import_bytes(content).unwrap().hash;
    let hashes: Vec<Hash> = contents.iter().map(|content| put(content)).collect();
    let list = put(&sequence(&hashes));
    (store, list)
}

/// Receives these chunks of a content, which is whole with them.
fn receive(store: &SimStore, content: &[u8], ranges: &ChunkRanges) -> Result<()> {
    let (from, _) = source(&[content]);
    let hash = Hash::of(content);
    let mut stream = Vec::new();
    from.send(hash, ranges, &mut stream).unwrap();
    let received = store.receive(hash, ranges, &stream[..])?;
    match received.is_complete {
        true => Ok(()),
        // What was there cannot be read, and so is not.
        false => Err(Error::Incomplete(hash)),
    }
}

impl Scene {
    fn new() -> Self {
        let machine = Machine::new();
        let store = machine.open();
        machine.put_external("new", &bytes(21, GROUP + 50));
        let mut kept = Vec::new();
        for (n, len) in [(1, 100), (2, GROUP + 1), (3, 4 * GROUP)] {
            let content = bytes(n, len);
            kept.push((store.import_bytes(&content).unwrap().hash, content));
        }
        let content = bytes(4, 30_000);
        let path = machine.put_external("old", &content);
        machine.put_external("again", &content);
        kept.push((store.import_reference(&path).unwrap().hash, content));
        let list = sequence(&[kept[0].0, kept[1].0]);
        kept.push((store.import_bytes(&list).unwrap().hash, list.clone()));
        for (n, (hash, _)) in kept.iter().enumerate() {
            store
                .set_tag(tag(&format!("kept {n}")), raw(*hash))
                .unwrap();
        }
        let dead = store.import_bytes(&bytes(5, 3 * GROUP)).unwrap().hash;
        let path = machine.put_external("dead", &bytes(6, 20_000));
        drop(store.import_reference(&path).unwrap());
        let part = bytes(7, 3 * GROUP + 1);
        let first = ChunkRanges::of_groups(..2);
        assert!(receive(&store, &part, &first).is_err());
        store.set_tag(tag("part"), raw(Hash::of(&part))).unwrap();
        drop(store);
        let machine = machine.kill();
        machine.plant(&FileName::Outboard(kept[2].0), b"damaged");
        Self {
            machine,
            part,
            kept,
            dead,
            list: Hash::of(&list),
        }
    }

    /// The same scene on a machine of its own.
    fn again(&self) -> Self {
        Self {
            machine: self.machine.fork(),
            kept: self.kept.clone(),
            dead: self.dead,
            list: self.list,
            part: self.part.clone(),
        }
    }
}

/// What is left after one action in which something failed.
fn aftermath(told: &str, scene: &Scene, store: &SimStore, outcome: &Result<()>) {
    let machine = &scene.machine;
    machine.disk.heal();
    if let Err(error) = outcome {
        assert_typed(error);
    }
    let poisoned = match store.confirm_no_tags() {
        Ok(()) => false,
        Err(Error::NotWritable(NotWritable::Poisoned(_))) => true,
        Err(other) => panic!("{told}: {other:?}"),
    };
    let fresh = Store::open_read_only(machine.fork().backend(), fresh_env())
        .unwrap()
        .0;
    let (ours, theirs) = (picture(store), picture(&fresh));
    if poisoned {
        assert!(
            outcome.is_err() || told.starts_with("read"),
            "{told}: an acknowledged action poisons"
        );
        let known: BTreeSet<_> = theirs.0.iter().map(|blob| blob.0).collect();
        for blob in &ours.0 {
            assert!(known.contains(&blob.0), "{told}: {} is not there", blob.0);
        }
        refuses_to_write(told, store, scene);
    } else {
        assert_eq!(ours, theirs, "{told}: memory and disk differ");
    }
    // Reading goes on, in this opening.
    for (hash, content) in &scene.kept {
        if store.status(*hash) != Status::Missing {
            assert_reads(store, *hash, content);
        }
    }
    if !poisoned && outcome.is_err() {
        // Nothing stands in the way of another try.
        for attempt in 0..2 {
            match store.import_bytes(&large()) {
                Ok(imported) => assert_reads(store, imported.hash, &large()),
                Err(error) => panic!("{told}: attempt {attempt}: {error:?}"),
            }
        }
    }
    // The next process finds what it needs.
    let machine = machine.kill();
    let store = machine.open();
    assert_eq!(machine.leftovers(), [], "{told}");
    let tags = store.tags().unwrap();
    for (hash, content) in &scene.kept {
        if tags.values().any(|value| value.hash == *hash) && !told.starts_with("delete by force") {
            assert_reads(&store, *hash, content);
        }
    }
    for blob in store.blobs() {
        if blob.state == State::Partial {
            // Whatever came before it failed is proved, and kept.
            let found = store.available(blob.hash).unwrap();
            assert!(
                blob.hash != Hash::of(&scene.part) || found.groups[0].end >= 2,
                "{told}"
            );
            continue;
        }
        let bytes = read(&store, blob.hash).unwrap_or_else(|e| panic!("{told}: {blob:?}: {e:?}"));
        assert_eq!(Hash::of(&bytes), blob.hash);
    }
    store.set_tag(tag("after"), raw(scene.kept[0].0)).unwrap();
}

/// Invariant 12: after a failed sync every call that writes is refused, and does nothing.
fn refuses_to_write(told: &str, store: &SimStore, scene: &Scene) {
    let before = scene.machine.files();
    let refused = |result: Result<()>, what: &str| match result {
        Err(Error::NotWritable(NotWritable::Poisoned(_))) => {}
        other => panic!("{told}: {what}: {other:?}"),
    };
    for action in &ACTIONS {
        if action.name == "collect" {
            // It may stop before it comes to writing: what is on the disk is not known any more.
            assert_typed(&(action.act)(store, scene).unwrap_err());
        } else if !action.name.starts_with("read") {
            refused((action.act)(store, scene), action.name);
        }
    }
    refused(store.batch().import_reader(&b"x"[..]).map(drop), "batch");
    assert_eq!(
        scene.machine.files(),
        before,
        "{told}: a refused call wrote"
    );
}

/// Opens a fresh copy of the scene, lets `inject` order misfortune for the operations from now on, and acts.
fn strike(scene: &Scene, action: &Action, told: &str, inject: impl FnOnce(&Machine, u64)) {
    let scene = scene.again();
    let store = scene.machine.open();
    inject(&scene.machine, scene.machine.disk.ops());
    let outcome = (action.act)(&store, &scene);
    let told = format!("{}: {told}", action.name);
    never_synced_again(&scene.machine, &told);
    aftermath(&told, &scene, &store, &outcome);
}

/// A sync that failed is not tried again: not on the same file, not on the same directory.
fn never_synced_again(machine: &Machine, told: &str) {
    let mut failed = BTreeSet::new();
    for op in machine.disk.trace().iter().filter(|op| op.kind.is_sync()) {
        let what = (op.dir.clone(), op.name.clone());
        assert!(!failed.contains(&what), "{told}: {op} again");
        if op.result.is_err() {
            failed.insert(what);
        }
    }
}

/// How many operations an action has when nothing fails.
fn operations(scene: &Scene, action: &Action) -> u64 {
    let scene = scene.again();
    let store = scene.machine.open();
    let before = scene.machine.disk.ops();
    (action.act)(&store, &scene).unwrap_or_else(|e| panic!("{}: {e:?}", action.name));
    scene.machine.disk.ops() - before
}

fn every_operation_fails(sticky: bool, after_effect: bool) {
    let scene = Scene::new();
    for action in &ACTIONS {
        let count = operations(&scene, action);
        assert!(count > 0, "{}", action.name);
        for index in 0..count {
            for kind in KINDS {
                let told =
                    format!("{kind:?} at operation {index}, sticky {sticky}, after {after_effect}");
                strike(&scene, action, &told, |machine, now| {
                    let fault = misfortune(now + index, kind, sticky, after_effect);
                    machine.disk.inject(fault);
                });
            }
        }
    }
}

/// An error at this operation, or from it on, told after the operation was done or instead of it. What has
/// a meaning is never told wrongly: that a name cannot be removed because it is not there, and that nothing
/// was renamed since that would cross file systems.
fn misfortune(number: u64, kind: io::ErrorKind, sticky: bool, lies: bool) -> Fault {
    let fault = Fault::matching(move |op| {
        let due = op.number == number || (sticky && op.number > number);
        let gone = op.kind == OpKind::Unlink && kind == io::ErrorKind::NotFound;
        let far = op.kind == OpKind::Rename && kind == io::ErrorKind::CrossesDevices;
        due && !gone && !(far && lies)
    });
    let fault = fault.error(kind);
    let fault = if sticky { fault.sticky() } else { fault };
    if lies { fault.after_effect() } else { fault }
}

/// One call fails, once.
#[test]
fn every_operation_fails_once() {
    every_operation_fails(false, false);
}

/// From one call on all calls fail.
#[test]
fn every_operation_fails_from_then_on() {
    every_operation_fails(true, false);
}

/// One call does what it should and says that it did not.
#[test]
fn every_operation_lies_once() {
    every_operation_fails(false, true);
}

/// Interruptions are no errors: every call that reads or writes is simply made again.
#[test]
fn interruptions_are_not_noticed() {
    let scene = Scene::new();
    for action in &ACTIONS {
        for index in 0..operations(&scene, action) {
            let scene = scene.again();
            let store = scene.machine.open();
            let at = scene.machine.disk.ops() + index;
            let moves = |kind| matches!(kind, OpKind::Read | OpKind::Write);
            let fault = Fault::matching(move |op| op.number == at && moves(op.kind));
            scene
                .machine
                .disk
                .inject(fault.error(io::ErrorKind::Interrupted));
            (action.act)(&store, &scene)
                .unwrap_or_else(|e| panic!("{} {index}: {e:?}", action.name));
            aftermath(action.name, &scene, &store, &Ok(()));
        }
    }
}

/// Short reads and writes are made whole (BAD-INPUTS 83).
#[test]
fn short_transfers_are_made_whole() {
    let scene = Scene::new();
    for action in &ACTIONS {
        for most in [1, 7, 4096] {
            let scene = scene.again();
            scene.machine.disk.keep_trace(false);
            let store = scene.machine.open();
            scene.machine.disk.limit_transfer(most);
            (action.act)(&store, &scene)
                .unwrap_or_else(|e| panic!("{} by {most}: {e:?}", action.name));
            aftermath(action.name, &scene, &store, &Ok(()));
        }
    }
}

/// A full disk (BAD-INPUTS 79): an error, no change, and reading, untagging and collecting still work.
#[test]
fn a_full_disk() {
    let scene = Scene::new();
    for action in &ACTIONS {
        for space in [
            0,
            1,
            40,
            100,
            1000,
            GROUP as u64,
            GROUP as u64 + 60,
            2 * GROUP as u64 + 20,
        ] {
            let scene = scene.again();
            let store = scene.machine.open();
            scene.machine.disk.limit_space(space);
            let outcome = (action.act)(&store, &scene);
            if let Err(error) = &outcome {
                let io: io::Error = match outcome_kind(error) {
                    Some(kind) => kind.into(),
                    None => panic!("{}: {error:?}", action.name),
                };
                assert_eq!(io.kind(), io::ErrorKind::StorageFull, "{}", action.name);
                assert_eq!(
                    scene.machine.leftovers(),
                    [],
                    "{}: temporary files stay",
                    action.name
                );
            }
            // Deleting needs no space.
            if !matches!(store.status(scene.dead), Status::Missing) {
                store.delete(scene.dead, false).unwrap();
            }
            aftermath(action.name, &scene, &store, &outcome);
        }
    }
}

fn outcome_kind(error: &Error) -> Option<io::ErrorKind> {
    match error {
        Error::Backend(source) => source.io_kind(),
        Error::Batch(error) => error.source.io_kind(),
        _ => None,
    }
}

/// Opening fails as a whole or works: also when it has leftovers to remove and a completion to finish.
#[test]
fn every_operation_of_an_opening_fails() {
    let base = Scene::new();
    let hash = Hash::of(&large());
    let uuid = |n| Uuid::from_bytes([n; 16]);
    base.machine.plant(&FileName::Temp(uuid(1)), b"x");
    base.machine
        .plant(&FileName::PathsTemp(hash, uuid(2)), b"x");
    base.machine.plant(&FileName::TagsTemp(uuid(3)), b"x");
    base.machine
        .plant(&FileName::Outboard(hash), &outboard(&large()).unwrap());
    base.machine
        .plant(&FileName::PartialData(hash, uuid(4)), &large());
    for empty in [false, true] {
        let machine = if empty {
            Machine::new()
        } else {
            base.machine.clone()
        };
        let probe = machine.fork();
        drop(probe.open());
        for index in 0..probe.disk.ops() {
            for kind in KINDS {
                for sticky in [false, true] {
                    for lies in [false, true] {
                        let machine = machine.fork();
                        machine.disk.inject(misfortune(index, kind, sticky, lies));
                        let told = format!("{kind:?} at {index}, sticky {sticky}, lies {lies}");
                        let opened = machine.try_open();
                        machine.disk.heal();
                        never_synced_again(&machine, &told);
                        let failed_sync = machine
                            .disk
                            .trace()
                            .iter()
                            .any(|op| op.kind.is_sync() && op.result.is_err());
                        match &opened {
                            Ok((store, _)) => {
                                let fresh = machine.fork().open_read_only();
                                let ours = picture(store);
                                if ours.1.is_some() {
                                    assert_eq!(ours, picture(&fresh), "{told}");
                                }
                                if failed_sync {
                                    let refused = store.import_bytes(b"x").unwrap_err();
                                    assert!(
                                        matches!(refused, Error::NotWritable(_)),
                                        "{told}: {refused:?}"
                                    );
                                }
                                if !empty {
                                    for (hash, content) in &base.kept {
                                        assert_reads(store, *hash, content);
                                    }
                                }
                            }
                            Err(error) => assert_typed(error),
                        }
                        drop(opened);
                        let machine = machine.kill();
                        let store = machine.open();
                        assert_eq!(machine.leftovers(), [], "{told}");
                        if !empty {
                            // The partial blob has one as well.
                            assert_eq!(store.tags().unwrap().len(), base.kept.len() + 1, "{told}");
                            for (hash, content) in &base.kept {
                                assert_reads(&store, *hash, content);
                            }
                            assert_reads(&store, hash, &large());
                        }
                    }
                }
            }
        }
    }
}

/// Invariant 12, by name: each of the syncs of an import, a tag and a deletion fails; the call fails, all
/// later writes are refused until the store is opened anew, and reading works.
#[test]
fn after_a_failed_sync_nothing_is_written_until_reopened() {
    let scene = Scene::new();
    let mut syncs = 0;
    for action in &ACTIONS {
        for skip in 0.. {
            let scene = scene.again();
            let store = scene.machine.open();
            let before = scene.machine.disk.syncs();
            let fault = Fault::matching(|op| op.kind.is_sync()).skip(skip);
            scene.machine.disk.inject(fault.error(io::ErrorKind::Other));
            let outcome = (action.act)(&store, &scene);
            if scene.machine.disk.syncs() - before <= skip {
                break;
            }
            syncs += 1;
            let reads = action.name.starts_with("read");
            assert_eq!(
                outcome.is_ok(),
                reads,
                "{}: sync {skip} failed: {outcome:?}",
                action.name
            );
            refuses_to_write(action.name, &store, &scene);
            aftermath(action.name, &scene, &store, &outcome);
        }
    }
    assert!(syncs > 25, "{syncs} syncs were seen");
}

/// A random source that repeats itself is asked again, a bounded number of times, and a broken one
/// is an error; either way nothing stays behind.
#[test]
fn a_stuck_random_source() {
    let machine = Machine::new();
    let env = SeededEnv::new(1);
    let (store, _) = Store::open(machine.backend(), env.env()).unwrap();
    let mut batch = store.batch();
    // Two names of one import, and the names of several in one batch, all want the same uuid.
    batch.import_reader(&large()[..]).unwrap();
    env.entropy.stick(10);
    batch.import_reader(&b"second"[..]).unwrap();
    assert_eq!(batch.commit().unwrap().len(), 2);

    let mut batch = store.batch();
    batch.import_reader(&b"first"[..]).unwrap();
    env.entropy.stick(1000);
    let before = machine.disk.ops();
    assert!(matches!(
        batch.import_reader(&b"second"[..]),
        Err(Error::NoFreeName)
    ));
    assert!(machine.disk.ops() - before < 40, "the attempts are bounded");
    assert_eq!(batch.commit().unwrap().len(), 1);
    env.entropy.stick(0);

    env.entropy.fail_with(Some(io::ErrorKind::Other));
    assert!(matches!(
        store.import_bytes(b"third"),
        Err(Error::Entropy(_))
    ));
    let hash = Hash::of(b"first");
    assert!(matches!(
        store.set_tag(tag("a"), raw(hash)),
        Err(Error::Entropy(_))
    ));
    assert!(store.tags().unwrap().is_empty());
    env.entropy.fail_with(None);
    assert_eq!(machine.leftovers(), []);
    store.set_tag(tag("a"), raw(hash)).unwrap();
    for content in [&large()[..], b"first"] {
        assert_reads(&store, Hash::of(content), content);
    }
}

/// A source that fails at any byte leaves nothing behind (BAD-INPUTS 73).
#[test]
fn a_source_that_fails() {
    struct Broken(usize);
    impl io::Read for Broken {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let len = buf.len().min(self.0).min(9000);
            buf[..len].fill(3);
            self.0 -= len;
            Ok(len)
        }
    }
    let scene = Scene::new();
    let store = scene.machine.open();
    let before = scene.machine.files();
    for len in [0, 1, GROUP, GROUP + 1, 5 * GROUP, 300 * GROUP, 5 << 20] {
        let error = store.import_reader(Broken(len)).unwrap_err();
        assert!(matches!(error, Error::Source(_)), "{error:?}");
        assert_eq!(scene.machine.files(), before);
        let mut batch = store.batch();
        batch.import_reader(&b"good"[..]).unwrap();
        batch.import_reader(Broken(len)).unwrap_err();
        drop(batch);
        assert_eq!(
            scene.machine.files(),
            before,
            "a batch that is dropped leaves nothing"
        );
    }
    let imported = store.import_bytes(b"good").unwrap();
    assert_eq!(imported.novelty, Novelty::New);
}

/// BAD-INPUTS 80 and 82: an error of reading is that error, never "not there"; it does not last, and
/// collection takes it for a reason to do nothing.
#[test]
fn a_read_error_is_no_missing_blob() {
    let scene = Scene::new();
    for n in [0, 1, 3, 4] {
        let (hash, content) = &scene.kept[n];
        for kind in [
            OpKind::Open,
            OpKind::Read,
            OpKind::Size,
            OpKind::Descend,
            OpKind::IsSame,
        ] {
            for skip in 0..6 {
                let scene = scene.again();
                let store = scene.machine.open();
                scene
                    .machine
                    .disk
                    .inject(Fault::on(kind).skip(skip).sticky());
                for _ in 0..2 {
                    match read(&store, *hash) {
                        Ok(bytes) => assert!(bytes == *content),
                        Err(Error::Unreadable { .. } | Error::Backend(_)) => {}
                        Err(other) => panic!("{kind:?} {skip} of blob {n}: {other:?}"),
                    }
                }
                scene.machine.disk.heal();
                assert_reads(&store, *hash, content);
                let Status::Present(info) = store.status(*hash) else {
                    panic!("blob {n} is gone");
                };
                assert!(
                    !info.damaged,
                    "an error of the system is not damage of the blob"
                );
                assert_eq!(info.location == Location::External, n == 3);
            }
        }
    }
    // A reader that was open all the time recovers, too.
    let (hash, content) = &scene.kept[1];
    let store = scene.machine.fork();
    let machine = store;
    let store = machine.open();
    let reader = store.reader(*hash).unwrap();
    machine.disk.inject(Fault::on(OpKind::Read).sticky());
    let mut buf = vec![0; content.len()];
    assert!(reader.read_at(&mut buf, 0).is_err());
    machine.disk.heal();
    assert_eq!(reader.read_at(&mut buf, 0).unwrap(), content.len());
    assert!(buf == *content);
}

/// BAD-INPUTS 70: a sequence that cannot be read while it is found out what lives: nothing is deleted.
#[test]
fn a_sequence_that_cannot_be_read_stops_collection() {
    let base = Scene::new();
    let store = base.machine.open();
    store.set_tag(tag("list"), seq(base.list)).unwrap();
    drop(store);
    let machine = base.machine.kill();
    let list = FileName::Data(base.list).to_string();
    for kind in [OpKind::Open, OpKind::Read] {
        for error in KINDS {
            let machine = machine.fork();
            let store = machine.open();
            let before = machine.files();
            machine
                .disk
                .inject(Fault::on_name(kind, &list).error(error).sticky());
            match store.plan_gc() {
                Err(Error::Root { root, .. }) => assert!(root.contains("list"), "{root}"),
                other => panic!("{kind:?} {error:?}: {other:?}"),
            }
            assert_eq!(machine.files(), before);
            machine.disk.heal();
            assert_eq!(
                store.sweep(store.plan_gc().unwrap()).unwrap().removed.len(),
                2
            );
        }
    }
}
