//! Opening: what recovery mends, and what it must leave alone.

use flatbao_core::{
    FileName, Hash, HashAndFormat,
    store::{State, TagsFound},
};

use crate::{
    World, assert_reads, four_groups, info,
    quirky::{Quirks, QuirkyDir},
    set_raw_tag, tag, uuid,
};

/// A store with one blob, whose completion was interrupted between its two renames: the data still have
/// their partial name.
fn interrupted_completion(data: &[u8]) -> (World, Hash, FileName) {
    let world = World::new();
    let hash = world.store().import_bytes(data).unwrap().hash;
    let partial = FileName::PartialData(hash, uuid(1));
    world.rename(&FileName::Data(hash), &partial);
    (world, hash, partial)
}

/// Recovery finishes such a completion. When it could not be published, the partial data were discarded
/// like something temporary: they were all there was of the blob.
#[test]
fn a_completion_that_cannot_be_published_keeps_its_data() {
    let data = four_groups();
    let (world, hash, partial) = interrupted_completion(&data);
    let final_name = FileName::Data(hash).to_string();
    world.dir.plant_dir(&final_name).unwrap();
    let (store, recovery) = world.open();
    assert_eq!(recovery.completed, []);
    assert_eq!(recovery.unpaired.iter().collect::<Vec<_>>(), [&partial]);
    assert_eq!(recovery.orphan_outboards, [hash]);
    assert_eq!(info(&store, hash).state, State::Partial);
    assert_eq!(world.content(&partial), Some(data.clone()));
    drop(store);

    // With the obstacle gone, the next opening finishes it.
    world.dir.uproot(&final_name);
    let (store, recovery) = world.open();
    assert_eq!(recovery.completed, [hash]);
    assert_reads(&store, &data);
    assert_eq!(world.content(&partial), None);
}

/// A completion was not finished where the partial outboard is there beside the final one, as a completion
/// leaves it that copies from one file system to another.
#[test]
fn a_completion_is_finished_although_both_outboards_are_there() {
    let data = four_groups();
    let (world, hash, partial) = interrupted_completion(&data);
    let outboard = world.content(&FileName::Outboard(hash)).unwrap();
    world.plant(&FileName::PartialOutboard(hash, uuid(1)), &outboard);
    let (store, recovery) = world.open();
    assert_eq!(recovery.completed, [hash]);
    assert_eq!(recovery.orphan_outboards, []);
    assert_eq!(info(&store, hash).state, State::Complete);
    assert_reads(&store, &data);
    assert_eq!(world.content(&FileName::Data(hash)), Some(data));
    assert_eq!(world.content(&partial), None);
}

/// Leftovers were removed before the tags were looked at. Where `tags.meta` is missing or damaged, one of
/// them may be the only good copy of the tags.
#[test]
fn leftovers_stay_while_the_tags_are_in_doubt() {
    for missing in [true, false] {
        let world = World::new();
        let store = world.store();
        let hash = store.import_bytes(b"precious").unwrap().hash;
        set_raw_tag(&store, "kept", hash);
        drop(store);
        let left = FileName::TagsTemp(uuid(1));
        world.rename(&FileName::Tags, &left);
        if !missing {
            world.plant(&FileName::Tags, b"");
        }
        let good = world.content(&left);

        let (store, recovery) = world.open();
        match recovery.tags {
            TagsFound::Missing => assert!(missing),
            TagsFound::Damaged(_) => assert!(!missing),
            other => panic!("{other:?}"),
        }
        assert_eq!(recovery.removed, []);
        assert_eq!(world.content(&left), good);
        drop(store);

        // Whoever finds it can put it back; then other leftovers go.
        world.rename(&left, &FileName::Tags);
        world.plant(&left, b"half of");
        let (store, recovery) = world.open();
        assert_eq!(recovery.tags, TagsFound::Protected);
        assert_eq!(recovery.removed, [left]);
        let kept = store.tag(&tag("kept")).unwrap();
        assert_eq!(kept, HashAndFormat::raw(hash));
    }
}

/// A listing may miss a name that is being replaced. Tags that it missed were taken for none: in a store
/// without data they were overwritten with an empty set.
#[test]
fn tags_that_a_listing_misses_are_not_overwritten() {
    for blob in [None, Some(b"precious")] {
        let world = World::new();
        let store = world.store();
        let value = HashAndFormat::raw(Hash::of(b"precious"));
        store.set_tag(tag("kept"), value).unwrap();
        if let Some(bytes) = blob {
            drop(store.import_bytes(bytes).unwrap());
        }
        drop(store);
        let before = world.content(&FileName::Tags).unwrap();

        let unlisted = Some(FileName::Tags.to_string().into());
        let store = QuirkyDir::open(
            &world.dir,
            Quirks {
                unlisted,
                ..Quirks::default()
            },
        );
        assert_eq!(world.content(&FileName::Tags), Some(before));
        assert_eq!(store.tag(&tag("kept")).unwrap(), value);
        // They also keep alive what they name.
        assert_eq!(store.plan_gc().unwrap().items(), []);
        store.set_tag(tag("another"), value).unwrap();
        drop(store);
        assert_eq!(world.store().tags().unwrap().len(), 2);
    }
}
