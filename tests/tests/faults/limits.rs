//! No errors, or not at once: interrupted and short transfers, a disk that fills up, a clock and randomness that are
//! no good.

use std::io;

use flatbao_core::{Error, FileName, Hash, Store, Uuid, store::Status};
use flatbao_mem::{Fault, OpKind, SeededEnv};

use crate::{
    Action,
    actions::{ACTIONS, Role, large},
    common::{Machine, assert_reads, faults::Count, raw, tag},
    operations,
    scene::{Scene, aftermath},
};

/// Interruptions are no errors: every call that reads or writes is simply made again.
/// BI-083.
#[test]
fn interruptions_are_not_noticed() {
    let scene = Scene::new();
    let mut count = Count::of("interruptions_are_not_noticed");
    let moves = |kind| matches!(kind, OpKind::Read | OpKind::Write);
    for action in ACTIONS {
        for (index, _) in (0..)
            .zip(operations(&scene, action))
            .filter(|(_, op)| moves(op.kind))
        {
            let scene = scene.again();
            let store = scene.machine.open();
            let at = scene.machine.disk.ops() + index;
            let fault = Fault::matching(move |op| op.number == at && moves(op.kind));
            count.inject(&scene.machine, fault.error(io::ErrorKind::Interrupted));
            (action.act)(&store, &scene)
                .unwrap_or_else(|e| panic!("{} {index}: {e:?}", action.name));
            aftermath(action, action.name, &scene, &store, &Ok(()));
        }
    }
}

/// Short reads and writes are made whole.
/// BI-083.
#[test]
fn short_transfers_are_made_whole() {
    let scene = Scene::new();
    for action in ACTIONS {
        for most in [1, 7, 4096] {
            let scene = scene.again();
            scene.machine.disk.keep_trace(false);
            let store = scene.machine.open();
            scene.machine.disk.limit_transfer(most);
            (action.act)(&store, &scene)
                .unwrap_or_else(|e| panic!("{} by {most}: {e:?}", action.name));
            aftermath(action, action.name, &scene, &store, &Ok(()));
        }
    }
}

/// A system that takes no byte, and gives none, without an error: the store does not ask for ever. Taking none
/// is `WriteZero`; giving none is the end of a file that was to be longer.
/// BI-083.
#[test]
fn empty_transfers_are_no_success() {
    let scene = Scene::new();
    // To who looks for damage, a file that should have bytes and gives none is damaged.
    let looks = |action: &&Action| ["verify", "verify quickly", "repair"].contains(&action.name);
    for action in ACTIONS.iter().filter(|action| !looks(action)) {
        let does = |kind| {
            operations(&scene, action)
                .iter()
                .any(|op| op.kind == kind && op.len > 0)
        };
        let (writes, reads) = (does(OpKind::Write), does(OpKind::Read));
        let scene = scene.again();
        let store = scene.machine.open();
        scene.machine.disk.limit_transfer(0);
        let outcome = (action.act)(&store, &scene);
        let told = format!("{}: {outcome:?}", action.name);
        if writes && !reads {
            let error = outcome.as_ref().unwrap_err();
            assert_eq!(io_kind(error), Some(io::ErrorKind::WriteZero), "{told}");
        }
        assert_eq!(scene.machine.leftovers(), [], "{told}");
        aftermath(action, action.name, &scene, &store, &outcome);
    }
}

/// The disk is full after so many bytes, of all that an action writes: before, in and behind each of
/// its writes. An error, no change, and reading, untagging and collecting still work.
/// BI-073, BI-079.
#[test]
fn a_full_disk() {
    let scene = Scene::new();
    let mut count = Count::of("a_full_disk");
    for action in ACTIONS {
        for space in spaces(&scene, action) {
            let scene = scene.again();
            let store = scene.machine.open();
            scene.machine.disk.limit_space(space);
            count.add();
            let outcome = (action.act)(&store, &scene);
            let told = format!("{} with {space} bytes left: {outcome:?}", action.name);
            if let Err(error) = &outcome {
                assert_eq!(io_kind(error), Some(io::ErrorKind::StorageFull), "{told}");
            } else {
                // What only answers does not need what it would have written.
                assert_eq!(action.role, Role::Reads, "{told}");
            }
            assert_eq!(scene.machine.leftovers(), [], "{told}: temporary files");
            // Deleting needs no space.
            if !matches!(store.status(scene.dead), Status::Missing) {
                store.delete(scene.dead, false).unwrap();
            }
            aftermath(action, action.name, &scene, &store, &outcome);
        }
    }
}

/// Bytes of space that are too few for an action: up to the end of each of its writes, one less, and half of it.
fn spaces(scene: &Scene, action: &Action) -> Vec<u64> {
    let mut written = 0;
    let mut spaces = Vec::new();
    for op in operations(scene, action) {
        if op.kind == OpKind::Write {
            spaces.extend([written, written + op.len / 2, written + op.len - 1]);
            written += op.len;
        }
    }
    spaces.sort_unstable();
    spaces.dedup();
    spaces
}

fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    match error {
        Error::Backend(source) => source.io_kind(),
        Error::Batch(error) => error.source.io_kind(),
        _ => None,
    }
}

/// Whatever the clock says, and if it goes backwards between any two looks at it: everything works.
/// BI-089.
#[test]
fn a_clock_that_is_no_good() {
    let scene = Scene::new();
    for action in ACTIONS {
        for millis in [i64::MIN, -1, 0, 18_446_744_073_709, i64::MAX - 1000] {
            let scene = scene.again();
            let env = SeededEnv::new(7);
            let (store, _) = Store::open(scene.machine.backend(), env.env()).unwrap();
            let value = raw(scene.kept[0].0);
            env.clock.set(1000);
            let first = store.auto_tag(value).unwrap();
            env.clock.set(millis);
            (action.act)(&store, &scene)
                .unwrap_or_else(|e| panic!("{} at {millis}: {e:?}", action.name));
            // Back to where it was: the name of then is taken.
            env.clock.set(1000);
            let second = store.auto_tag(value).unwrap();
            assert_ne!(first, second);
            let tags = store.tags().unwrap();
            assert_eq!(
                (tags.get(&first), tags.get(&second)),
                (Some(&value), Some(&value))
            );
            aftermath(action, action.name, &scene, &store, &Ok(()));
        }
    }
}

/// Randomness that says the same a few times is asked again; that says the same for ever, or fails, is a typed
/// error that changes nothing. Whoever has the name that it says keeps it.
/// BI-042.
#[test]
fn randomness_that_is_no_good() {
    let scene = Scene::new();
    for action in ACTIONS {
        for draws in [1, 5, 10_000] {
            let scene = scene.again();
            let env = SeededEnv::new(7);
            let (store, _) = Store::open(scene.machine.backend(), env.env()).unwrap();
            let taken = draw(&env);
            let names = [FileName::Temp(taken), FileName::TagsTemp(taken)];
            for name in &names {
                scene.machine.plant(name, b"somebody else's");
            }
            env.entropy.stick(draws);
            let outcome = (action.act)(&store, &scene);
            let told = format!("{} with {draws}: {outcome:?}", action.name);
            match &outcome {
                Ok(()) => {}
                Err(Error::NoFreeName) => assert_eq!(draws, 10_000, "{told}"),
                Err(_) => panic!("{told}"),
            }
            env.entropy.stick(0);
            for name in &names {
                let found = scene.machine.file(name);
                assert_eq!(found.as_deref(), Some(&b"somebody else's"[..]), "{told}");
            }
            assert_eq!(scene.machine.leftovers().len(), 2, "{told}");
            aftermath(action, action.name, &scene, &store, &outcome);
        }
        let scene = scene.again();
        let env = SeededEnv::new(7);
        let (store, _) = Store::open(scene.machine.backend(), env.env()).unwrap();
        env.entropy.fail_with(Some(io::ErrorKind::Other));
        let outcome = (action.act)(&store, &scene);
        match &outcome {
            Ok(()) | Err(Error::Entropy(_)) => {}
            Err(error) => panic!("{}: {error:?}", action.name),
        }
        env.entropy.fail_with(None);
        assert_eq!(scene.machine.leftovers(), [], "{}", action.name);
        aftermath(action, action.name, &scene, &store, &outcome);
    }
}

/// What randomness says next, and goes on saying when it is stuck.
fn draw(env: &SeededEnv) -> Uuid {
    let mut bytes = [0; 16];
    env.env().entropy.fill(&mut bytes).unwrap();
    Uuid::from_bytes(bytes)
}

/// A random source that repeats itself is asked again, a bounded number of times, and a broken one
/// is an error; either way nothing stays behind.
/// BI-042.
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
