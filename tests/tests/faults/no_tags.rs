//! A store whose tags are missing or damaged: what makes it usable again, and what fails meanwhile.

use flatbao_core::{
    Error, FileName, Hash, NotWritable, Result, TagFile, TagMap, Uuid, progress::unwatched,
    store::GcOptions,
};

use crate::{
    common::{
        Machine, SimStore, assert_reads, assert_typed, bytes,
        faults::{Count, FROM_THEN_ON, KINDS, LYING, ONCE, never_synced_again},
        raw, seq, sequence, tag,
    },
    misfortune,
};

/// What is done, to a store in which of these states, and the tags that it has then.
struct Case {
    name: &'static str,
    is_damaged: bool,
    act: fn(&SimStore, &TagMap) -> Result<()>,
    tags: fn(&TagMap) -> TagMap,
}

const CASES: [Case; 5] = [
    Case {
        name: "confirm that there are none",
        is_damaged: false,
        act: |store, _| store.confirm_no_tags(),
        tags: |_| TagMap::new(),
    },
    Case {
        name: "collect without any",
        is_damaged: false,
        act: |store, _| {
            let options = GcOptions::default().assume_no_tags(true);
            let plan = store.plan_gc_with(options, &mut unwatched)?;
            let nothing = plan.items().is_empty();
            assert!(nothing, "all of it is held");
            store.sweep(plan).map(drop)
        },
        tags: |_| TagMap::new(),
    },
    Case {
        name: "restore missing ones",
        is_damaged: false,
        act: |store, tags| store.restore_tags(tags.clone()).map(drop),
        tags: TagMap::clone,
    },
    Case {
        name: "restore damaged ones",
        is_damaged: true,
        act: |store, tags| store.restore_tags(tags.clone()).map(drop),
        tags: TagMap::clone,
    },
    Case {
        name: "salvage and restore",
        is_damaged: true,
        act: |store, tags| {
            let salvaged = store.salvage_tags()?;
            assert!(salvaged.tags.len() <= tags.len() + 1);
            store.restore_tags(tags.clone()).map(drop)
        },
        tags: TagMap::clone,
    },
];

/// A store with three blobs, and the tags that it had.
struct Scene {
    machine: Machine,
    blobs: Vec<(Hash, Vec<u8>)>,
    tags: TagMap,
    damaged: Vec<u8>,
}

impl Scene {
    fn new(is_damaged: bool) -> Self {
        let machine = Machine::new();
        let store = machine.open();
        let child = bytes(1, 20_000);
        let list = sequence(&[Hash::of(&child)]);
        let blobs = [child, list, b"small".to_vec()];
        let blobs = blobs.map(|content| (store.import_bytes(&content).unwrap().hash, content));
        store.set_tag(tag("list"), seq(blobs[1].0)).unwrap();
        store.set_tag(tag("small"), raw(blobs[2].0)).unwrap();
        let tags = (*store.tags().unwrap()).clone();
        drop(store);
        let machine = machine.kill();
        let mut damaged = machine.file(&FileName::Tags).unwrap();
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        match is_damaged {
            true => machine.plant(&FileName::Tags, &damaged),
            false => machine.store().uproot(FileName::Tags.to_string()),
        }
        machine.plant(&FileName::TagsTemp(Uuid::from_bytes([1; 16])), b"no tags");
        Self {
            machine,
            blobs: blobs.into(),
            tags,
            damaged,
        }
    }
}

/// At every moment the tags on the disk are what they were or the new ones, whatever fails; damaged
/// ones are kept; and after the next opening the call works.
/// BI-060, BI-063.
#[test]
fn every_operation_of_a_restoration_fails() {
    let mut count = Count::of("every_operation_of_a_restoration_fails");
    for case in &CASES {
        let scene = Scene::new(case.is_damaged);
        let ops = {
            let machine = scene.machine.fork();
            let store = machine.open();
            let held = hold(&store, &scene);
            let before = machine.disk.ops();
            (case.act)(&store, &scene.tags).unwrap();
            drop(held);
            machine.disk.trace().split_off(before as usize)
        };
        for way in [ONCE, FROM_THEN_ON, LYING] {
            for (index, _) in (0..).zip(&ops).filter(|(_, op)| way.matters(op)) {
                for kind in KINDS {
                    let told = format!("{}: {kind:?} at {index}, {way:?}", case.name);
                    let machine = scene.machine.fork();
                    let store = machine.open();
                    let held = hold(&store, &scene);
                    let at = machine.disk.ops() + index;
                    count.inject(&machine, misfortune(at, kind, way));
                    let outcome = (case.act)(&store, &scene.tags);
                    machine.disk.heal();
                    aftermath(case, &scene, &machine, &store, &outcome, &told);
                    drop((held, store));
                    the_next_opening_goes_on(case, &scene, machine, &told);
                }
            }
        }
    }
}

/// What keeps a collection without tags from collecting anything.
fn hold(store: &SimStore, scene: &Scene) -> Vec<flatbao_core::TempTag> {
    let blobs = scene.blobs.iter();
    blobs.map(|(hash, _)| store.temp_tag(raw(*hash))).collect()
}

fn aftermath(
    case: &Case,
    scene: &Scene,
    machine: &Machine,
    store: &SimStore,
    outcome: &Result<()>,
    told: &str,
) {
    never_synced_again(&machine.disk.trace(), told);
    let expected = (case.tags)(&scene.tags);
    let file = machine.file(&FileName::Tags);
    let is_new = file.as_deref() == Some(&TagFile::encode(&expected).unwrap()[..]);
    let is_old = match case.is_damaged {
        true => file.as_ref() == Some(&scene.damaged),
        false => file.is_none(),
    };
    assert!(is_new || is_old, "{told}: neither the old tags nor the new");
    match (outcome, store.tags()) {
        (Ok(()), Ok(tags)) => assert!(*tags == expected && is_new, "{told}"),
        // An error after the tags were replaced, or of a sync before: what is in memory was on the disk.
        (Err(error), Ok(tags)) => {
            assert_typed(error);
            assert!(*tags == expected && is_new, "{told}: {error:?}");
        }
        (Err(error), Err(Error::TagsMissing)) => {
            assert_typed(error);
            assert!(!case.is_damaged, "{told}");
        }
        (Err(error), Err(Error::NotWritable(NotWritable::TagsDamaged(_)))) => {
            assert_typed(error);
            assert!(case.is_damaged, "{told}");
        }
        (outcome, tags) => panic!("{told}: {outcome:?}, {tags:?}"),
    }
    if is_new && case.is_damaged {
        let is_kept = machine.files().values().any(|file| *file == scene.damaged);
        assert!(is_kept, "{told}: the damaged file is not kept");
    }
    for (hash, content) in &scene.blobs {
        assert_reads(store, *hash, content);
    }
}

fn the_next_opening_goes_on(case: &Case, scene: &Scene, machine: Machine, told: &str) {
    let machine = machine.kill();
    let store = machine.open();
    let held = hold(&store, scene);
    let expected = (case.tags)(&scene.tags);
    if store.tags().is_err() {
        (case.act)(&store, &scene.tags).unwrap_or_else(|e| panic!("{told}: again: {e:?}"));
    }
    assert_eq!(*store.tags().unwrap(), expected, "{told}");
    store.set_tag(tag("more"), raw(scene.blobs[2].0)).unwrap();
    for (hash, content) in &scene.blobs {
        assert_reads(&store, *hash, content);
    }
    drop((held, store));
    let machine = machine.kill();
    machine.open();
    assert_eq!(machine.leftovers(), [], "{told}");
}
