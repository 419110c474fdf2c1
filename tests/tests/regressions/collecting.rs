//! Collecting and deleting: what it is planned by, and who waits for whom.

use std::{
    ffi::OsStr,
    sync::{
        Mutex,
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::Duration,
};

use flatbao_core::{
    Error, FileName, Hash, HashAndFormat, HashSeq,
    progress::unwatched,
    store::{GcOptions, Status, TagsFound},
};

use crate::{
    World, assert_reads, bytes, expect_error, four_groups, info,
    quirky::{Quirks, QuirkyDir},
    set_raw_tag, tag, uuid,
};

/// Sparse files may claim any length. The sum of a few overflowed, which panicked, or told a small number,
/// both within a blob and over all of a plan.
#[test]
fn claimed_lengths_are_added_up_without_overflow() {
    let world = World::new();
    // So that there are tags to go by.
    drop(world.store());
    let mut hashes = [Hash::of(b"one"), Hash::of(b"two")];
    hashes.sort();
    for hash in hashes {
        for n in 0..3 {
            world.plant(&FileName::PartialData(hash, uuid(n)), b"sparse");
        }
    }
    let claim = Some((".data", i64::MAX.unsigned_abs()));
    let store = QuirkyDir::open(
        &world.dir,
        Quirks {
            claim,
            ..Quirks::default()
        },
    );
    let plan = store.plan_gc().unwrap();
    let items = plan.items().iter();
    let planned: Vec<_> = items.map(|item| (item.hash, item.bytes)).collect();
    assert_eq!(planned, hashes.map(|hash| (hash, u64::MAX)));
    assert_eq!(plan.bytes(), u64::MAX);
    assert_eq!(store.sweep(plan).unwrap().removed.len(), 2);
    assert_eq!(store.blobs().count(), 0);
}

/// Whoever restored `tags.meta`, as the error advises, between a plan that assumes that there are no tags and
/// its sweep, had them overwritten with an empty set and what they name deleted.
#[test]
fn restored_tags_are_not_overwritten_by_the_assumption_that_there_are_none() {
    let world = World::new();
    let store = world.store();
    let hash = store.import_bytes(b"precious").unwrap().hash;
    set_raw_tag(&store, "kept", hash);
    drop(store);
    let backup = world.content(&FileName::Tags).unwrap();
    world.uproot(&FileName::Tags);

    let (store, recovery) = world.open();
    assert_eq!(recovery.tags, TagsFound::Missing);
    let options = GcOptions::default().assume_no_tags(true);
    let plan = store.plan_gc_with(options, &mut unwatched).unwrap();
    let planned: Vec<_> = plan.items().iter().map(|item| item.hash).collect();
    assert_eq!(planned, [hash]);
    world.plant(&FileName::Tags, &backup);
    for error in [
        expect_error(store.sweep(plan)),
        expect_error(store.confirm_no_tags()),
    ] {
        assert!(matches!(error, Error::TagsChanged), "{error:?}");
    }
    assert_eq!(world.content(&FileName::Tags), Some(backup));
    assert_reads(&store, b"precious");
    drop(store);

    let (store, recovery) = world.open();
    assert_eq!(recovery.tags, TagsFound::Protected);
    assert_eq!(store.plan_gc().unwrap().items(), []);
    assert_reads(&store, b"precious");
}

/// While a plan is held, what was imported since it was made counts as in use. The error said that this had
/// happened just now, which it need not have; it now says since when, and ends with the plan.
#[test]
fn a_blob_is_in_use_as_long_as_a_plan_older_than_it_is_held() {
    let world = World::new();
    let store = world.store();
    let plan = store.plan_gc().unwrap();
    let hash = store.import_bytes(b"imported since").unwrap().hash;
    let error = expect_error(store.delete(hash, true));
    let why = "it was imported or tagged since a collection was planned";
    match &error {
        Error::InUse { hash: found, by } => assert_eq!((*found, by.as_str()), (hash, why)),
        other => panic!("{other:?}"),
    }
    assert_eq!(error.to_string(), format!("blob {hash} is in use: {why}"));
    assert_reads(&store, b"imported since");

    drop(plan);
    assert_eq!(store.delete(hash, true).unwrap().hash, hash);
    assert_eq!(store.status(hash), Status::Missing);
    assert_eq!(world.content(&FileName::Data(hash)), None);
}

/// Tagging a sequence makes its children durable. One that was just being deleted was there by name and its
/// file gone, so that tagging failed; now it waits for the outcome of the deletion.
#[test]
#[cfg_attr(target_os = "wasi", ignore = "there are no threads")]
fn tagging_a_sequence_waits_for_a_child_that_is_being_deleted() {
    let world = World::new();
    let data = four_groups();
    let child = Hash::of(&data);
    let kept = bytes(20_000);
    let children = [Hash::of(&kept), child];
    let sequence = children.into_iter().collect::<HashSeq>().encode();
    let store = world.store();
    for blob in [&data, &kept, &sequence] {
        drop(store.import_bytes(blob).unwrap());
    }
    // The next opening does not know that all of them are durable.
    drop(store);

    // A deletion stops half-way, the data gone, until it is told to go on.
    let (entered, has_entered) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let half_way = FileName::Outboard(child).to_string();
    let before_unlink = move |name: &OsStr| {
        if name == &*half_way {
            entered.send(()).unwrap();
            may_go_on.lock().unwrap().recv().unwrap();
        }
    };
    let store = QuirkyDir::open(
        &world.dir,
        Quirks {
            before_unlink: Some(Box::new(before_unlink)),
            ..Quirks::default()
        },
    );
    let value = HashAndFormat::hash_seq(Hash::of(&sequence));
    let (tagged, outcome) = channel();
    thread::scope(|scope| {
        let deleting = scope.spawn(|| store.delete(child, false));
        let patience = Duration::from_secs(60);
        has_entered.recv_timeout(patience).unwrap();
        assert_eq!(world.content(&FileName::Data(child)), None);
        scope.spawn(|| tagged.send(store.set_tag(tag("sequence"), value)).unwrap());
        // It cannot be seen to wait, only not to be done; that takes it far less when it does not wait.
        let early = outcome.recv_timeout(Duration::from_millis(200));
        go_on.send(()).unwrap();
        assert!(matches!(early, Err(RecvTimeoutError::Timeout)), "{early:?}");
        assert_eq!(deleting.join().unwrap().unwrap().hash, child);
        outcome.recv().unwrap().unwrap();
    });
    assert_eq!(store.tag(&tag("sequence")).unwrap(), value);
    assert_eq!(store.status(child), Status::Missing);
    drop(store);

    // The tag keeps what is left of the sequence, and what comes back of it.
    let store = world.store();
    assert_eq!(store.plan_gc().unwrap().items(), []);
    drop(store.import_bytes(&data).unwrap());
    let error = expect_error(store.delete(child, false));
    assert!(matches!(error, Error::InUse { hash, .. } if hash == child));
    assert!(!info(&store, child).damaged);
}
