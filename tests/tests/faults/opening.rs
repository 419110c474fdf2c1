//! Opening, with all the recovery there can be, and openings that only read.

use std::collections::BTreeSet;

use flatbao_core::{Error, FileName, Hash, Store, Uuid};

use crate::{
    actions::large,
    common::{
        Machine, assert_reads, assert_typed,
        faults::{Count, FROM_THEN_ON, KINDS, LYING, ONCE, never_synced_again},
        fresh_env, picture, plant_interrupted,
    },
    misfortune,
    scene::Scene,
};

/// The scene after two deaths: leftovers of every kind, a completion between its two renames, and half of one whose
/// blob is complete.
fn interrupted() -> Scene {
    let scene = Scene::new();
    let machine = &scene.machine;
    plant_interrupted(machine, &large());
    let small = &scene.kept[0];
    let prefix = (small.1.len() as u64).to_le_bytes();
    machine.plant(
        &FileName::PartialOutboard(small.0, Uuid::from_bytes([5; 16])),
        &prefix,
    );
    scene
}

/// Opening fails as a whole, or opens a store that agrees with its disk; the next opening, in which nothing
/// fails, finds everything and finishes what was begun.
/// BI-093.
#[test]
fn every_operation_of_an_opening_fails() {
    let mut count = Count::of("every_operation_of_an_opening_fails");
    let base = interrupted();
    let empty = Scene {
        machine: Machine::new(),
        kept: Vec::new(),
        ..base.again()
    };
    for scene in [&base, &empty] {
        let probe = scene.machine.fork();
        drop(probe.open());
        let ops = probe.disk.trace();
        for way in [ONCE, FROM_THEN_ON, LYING] {
            for (index, _) in (0..).zip(&ops).filter(|(_, op)| way.matters(op)) {
                for kind in KINDS {
                    let told = format!("{kind:?} at {index}, {way:?}");
                    let machine = scene.machine.fork();
                    count.inject(&machine, misfortune(index, kind, way));
                    opens_or_fails(scene, machine, &told);
                }
            }
        }
    }
}

fn opens_or_fails(scene: &Scene, machine: Machine, told: &str) {
    let is_empty = scene.kept.is_empty();
    let opened = machine.try_open();
    machine.disk.heal();
    let trace = machine.disk.trace();
    never_synced_again(&trace, told);
    let failed_sync = trace
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
            for (hash, content) in &scene.kept {
                assert_reads(store, *hash, content);
            }
        }
        Err(error) => assert_typed(error),
    }
    drop(opened);
    let machine = machine.kill();
    let (store, recovery) = machine.try_open().unwrap();
    assert_eq!(machine.leftovers(), [], "{told}");
    assert_eq!(recovery.not_removed, [], "{told}");
    let blobs: BTreeSet<Hash> = store.blobs().map(|blob| blob.hash).collect();
    if is_empty {
        assert!(
            blobs.is_empty() && store.tags().unwrap().is_empty(),
            "{told}"
        );
        return;
    }
    assert_eq!(recovery.unpaired, [], "{told}");
    // What is kept, two that nothing keeps, the part, and the one that was completed.
    assert_eq!(blobs.len(), scene.kept.len() + 4, "{told}");
    // The partial blob has a tag as well.
    assert_eq!(store.tags().unwrap().len(), scene.kept.len() + 1, "{told}");
    for (hash, content) in &scene.kept {
        assert_reads(&store, *hash, content);
    }
    assert_reads(&store, Hash::of(&large()), &large());
}

/// An opening that only reads changes nothing, whatever fails; neither does looking again. Each fails as a whole, or
/// shows what is there.
#[test]
fn every_operation_of_an_opening_that_reads_fails() {
    let mut count = Count::of("every_operation_of_an_opening_that_reads_fails");
    let scene = interrupted();
    let before = scene.machine.files();
    let (expected, ops, again) = {
        let probe = scene.machine.fork();
        let store = probe.open_read_only();
        let ops = probe.disk.ops();
        store.refresh().unwrap();
        (picture(&store), ops, probe.disk.ops())
    };
    assert!(ops > 2 && again > ops + 2);
    for way in [ONCE, FROM_THEN_ON] {
        for index in 0..again {
            for kind in KINDS {
                let told = format!("{kind:?} at {index}, {way:?}");
                let machine = scene.machine.fork();
                count.inject(&machine, misfortune(index, kind, way));
                let opened = Store::open_read_only(machine.backend(), fresh_env());
                match &opened {
                    Ok((store, _)) => {
                        let looked = store.refresh();
                        machine.disk.heal();
                        is_what_is_there(store, &expected, &told);
                        if let Err(error) = looked {
                            assert_typed(&error);
                        }
                        store.refresh().unwrap();
                        assert_eq!(picture(store), expected, "{told}: looked again");
                        for (hash, content) in &scene.kept {
                            assert_reads(store, *hash, content);
                        }
                    }
                    Err(error) => assert_typed(error),
                }
                machine.disk.heal();
                assert_eq!(machine.files(), before, "{told}");
            }
        }
    }
}

/// Tags that could not be read are not told as others.
fn is_what_is_there(
    store: &crate::common::SimStore,
    expected: &(
        Vec<(Hash, flatbao_core::store::State, String)>,
        Option<flatbao_core::TagMap>,
    ),
    told: &str,
) {
    let found = picture(store);
    assert_eq!(found.0, expected.0, "{told}");
    assert!(found.1.is_none() || found.1 == expected.1, "{told}");
}

/// On a medium that cannot be written a store opens for reading, and makes no call that would write. For
/// writing it does not open.
/// BI-084.
#[test]
fn a_medium_that_cannot_be_written() {
    let scene = interrupted();
    let before = scene.machine.files();
    let machine = scene.machine.fork();
    let start = machine.disk.ops();
    let store = machine.open_read_only();
    for (hash, content) in &scene.kept {
        assert_reads(&store, *hash, content);
    }
    for op in machine.disk.trace().iter().skip(start as usize) {
        assert!(!op.kind.is_change() && !op.kind.is_sync(), "{op}");
    }
    drop(store);
    let fault = flatbao_mem::Fault::matching(|op| op.kind.is_change());
    let fault = fault.error(std::io::ErrorKind::ReadOnlyFilesystem).sticky();
    machine.disk.inject(fault);
    match machine.try_open() {
        Err(Error::Backend(error)) => {
            let kind = std::io::ErrorKind::ReadOnlyFilesystem;
            assert_eq!(error.io_kind(), Some(kind), "{error:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(machine.files(), before);
}
