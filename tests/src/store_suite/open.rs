//! Opening: what persists, what is mended, what is reported, and who may be there at the same time.

use std::{collections::BTreeSet, ffi::OsStr};

use flatbao_core::{
    BackendError, EntryKind, Error, FileName, Hash, NotWritable, Progress, Recovery,
    progress::unwatched,
    store::{ImportOptions, Locking, Mode, OpenOptions, State, Status, TagsFound},
};

use super::{
    Files, GROUP, StoreHarness, StoreOf, assert_fails, assert_files, assert_gone, assert_reads,
    assert_there, bytes, collect, expect_outboard, expect_owned, files, fresh_uuid, no_files, open,
    open_read_only, oracle, paths_file, plant, plant_staged, put, put_external, raw, recover,
    removed, seq, stop_at, tag, tags_file, uproot, writing,
};

/// What a process leaves that died in the middle of everything: one temporary file of each kind.
fn leftovers() -> BTreeSet<FileName> {
    let hash = Hash::of(b"whatever");
    [
        FileName::Temp(fresh_uuid()),
        FileName::Temp(fresh_uuid()),
        FileName::PathsTemp(hash, fresh_uuid()),
        FileName::TagsTemp(fresh_uuid()),
    ]
    .into()
}

fn nothing_happened(recovery: &Recovery) -> bool {
    recovery.removed.is_empty()
        && recovery.not_removed.is_empty()
        && recovery.completed.is_empty()
        && recovery.unpaired.is_empty()
        && recovery.orphan_outboards.is_empty()
}

/// What was acknowledged is there in the next opening, and in the one after a kill or a power loss, where
/// the harness can bring that about: blobs, references, tags; and what was removed is not.
pub fn a_store_persists<H: StoreHarness>() {
    let mut harness = H::fresh();
    let mut expected = no_files();
    let mut contents: Vec<Vec<u8>> = Vec::new();
    let mut tags = Vec::new();
    let names: Vec<String> = (0..4).map(|n| format!("tag {n}")).collect();
    for (round, name) in names.iter().enumerate() {
        let (store, recovery) = recover(&harness);
        assert!(nothing_happened(&recovery), "{recovery:?}");
        assert_eq!(recovery.tags, TagsFound::Protected);
        assert_files(&harness, &expected);
        for data in &contents {
            assert_reads(&store, data);
        }
        let (data, outside) = (bytes(round, 40_000), bytes(round + 9, 20_000 + round));
        let hash = put(&store, &data);
        let path = put_external(&harness, &format!("{round}"), &outside);
        drop(store.import_reference(&path).unwrap());
        store.set_tag(tag(name), raw(hash)).unwrap();
        tags.push((name.as_bytes(), raw(hash)));
        expect_owned(&mut expected, &data);
        expect_outboard(&mut expected, &outside);
        let name = FileName::Paths(Hash::of(&outside));
        expected.insert(name, paths_file(&[path.as_str()]));
        expected.insert(FileName::Tags, tags_file(&tags));
        contents.extend([data, outside]);
        let dead = put(&store, &bytes(99, 50_000));
        store.delete(dead, false).unwrap();
        drop(store);
        match round {
            1 => harness.kill(),
            2 => harness.lose_power(),
            _ => false,
        };
    }
    let store = open(&harness);
    for data in &contents {
        assert_reads(&store, data);
    }
    assert_files(&harness, &expected);
}

/// Temporary files of a writer that died are removed by the next opening, and told; nothing else is.
/// BI-007, BI-008, BI-009, PD-22.
pub fn what_a_dead_writer_left_is_removed<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 40_000);
    put(&open(&harness), &data);
    let before = files(&harness);
    let left = leftovers();
    for name in &left {
        plant_staged(&harness, name, b"left behind");
    }
    let (store, recovery) = recover(&harness);
    assert_eq!(
        recovery.removed.iter().cloned().collect::<BTreeSet<_>>(),
        left
    );
    assert_eq!(recovery.removed.len(), left.len());
    assert!(recovery.not_removed.is_empty());
    assert_eq!(recovery.odd_count, 0);
    assert_files(&harness, &before);
    assert_reads(&store, &data);
    drop(store);
    assert!(nothing_happened(&recover(&harness).1));
}

/// A completion that was interrupted between the renames of its two files is finished: the outboard is
/// final, the data still have their partial name, and are proved before they get the other one.
/// BI-043.
pub fn an_interrupted_completion_is_finished<H: StoreHarness>() {
    for size in [GROUP + 1, 100_000, 5_000_000] {
        let harness = H::fresh();
        drop(open(&harness));
        let data = bytes(size, size);
        let (hash, outboard) = oracle(&data);
        // Bytes behind the end belong to no blob.
        let mut longer = data.clone();
        longer.extend(b"junk");
        plant(&harness, &FileName::Outboard(hash), &outboard);
        plant_staged(
            &harness,
            &FileName::PartialData(hash, fresh_uuid()),
            &longer,
        );
        let beside = open_read_only(&harness);
        assert_fails!(beside.reader(hash), Error::Incomplete(h) if h == hash);
        let (store, recovery) = recover(&harness);
        assert_eq!(recovery.completed, [hash]);
        assert!(recovery.unpaired.is_empty() && recovery.orphan_outboards.is_empty());
        assert_reads(&store, &data);
        let mut expected = no_files();
        expect_owned(&mut expected, &data);
        assert_files(&harness, &expected);
        drop(store);
        assert!(nothing_happened(&recover(&harness).1));
    }
}

/// Data that are not whole get no final name, whatever their outboard says; they are kept. PD-07.
/// BI-043.
pub fn an_incomplete_completion_is_kept<H: StoreHarness>() {
    let data = bytes(1, 100_000);
    let (hash, outboard) = oracle(&data);
    let mut hole = data.clone();
    hole[2 * GROUP..3 * GROUP].fill(0);
    let short = data[..data.len() - 1].to_vec();
    for other in [hole, short, Vec::new()] {
        let harness = H::fresh();
        drop(open(&harness));
        let name = FileName::PartialData(hash, fresh_uuid());
        plant(&harness, &FileName::Outboard(hash), &outboard);
        plant_staged(&harness, &name, &other);
        let before = files(&harness);
        let (store, recovery) = recover(&harness);
        assert!(recovery.completed.is_empty());
        assert_eq!(recovery.unpaired, [name]);
        assert_eq!(recovery.orphan_outboards, [hash]);
        assert_fails!(store.reader(hash), Error::Incomplete(h) if h == hash);
        assert_files(&harness, &before);
    }
}

/// Halves of partial entries and outboards without data are told and kept; whole partial entries of any
/// size are kept, all of them, and told what they really have. PD-08, PD-18, PD-44.
/// BI-039.
pub fn half_entries_are_kept_and_reported<H: StoreHarness>() {
    let harness = H::fresh();
    drop(open(&harness));
    let data = bytes(1, 100_000);
    let (hash, outboard) = oracle(&data);
    let [one, two, three, four] = [(); 4].map(|()| fresh_uuid());
    let mut sparse = vec![0; 4 * GROUP];
    sparse[GROUP..2 * GROUP].copy_from_slice(&data[GROUP..2 * GROUP]);
    sparse[3 * GROUP..].copy_from_slice(&data[3 * GROUP..4 * GROUP]);
    let partial = Hash::of(&data);
    for (name, content) in [
        (FileName::PartialData(hash, one), &data[..GROUP]),
        (FileName::PartialOutboard(hash, one), &outboard[..]),
        (FileName::PartialData(hash, two), &sparse),
        (FileName::PartialOutboard(hash, two), &outboard),
        (FileName::PartialData(hash, three), &data[..7]),
        (FileName::PartialOutboard(hash, four), &outboard[..8]),
    ] {
        plant_staged(&harness, &name, content);
    }
    let lonely = Hash::of(b"lonely");
    plant(&harness, &FileName::Outboard(lonely), &outboard);
    let before = files(&harness);
    let (store, recovery) = recover(&harness);
    let unpaired: BTreeSet<_> = recovery.unpaired.into_iter().collect();
    let expected = [
        FileName::PartialData(hash, three),
        FileName::PartialOutboard(hash, four),
    ];
    assert_eq!(unpaired, expected.into());
    assert_eq!(recovery.orphan_outboards, [lonely]);
    assert!(recovery.removed.is_empty() && recovery.completed.is_empty());
    assert_files(&harness, &before);
    assert!(matches!(store.status(partial), Status::Present(blob) if blob.state == State::Partial));
    let mut found = store.partials(hash).unwrap();
    found.sort_by_key(|partial| partial.uuid);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].uuid, one);
    assert!(found[0].groups.iter().eq(std::iter::once(&(0..1))));
    assert_eq!(
        (found[1].uuid, found[1].groups.clone()),
        (two, vec![1..2, 3..4])
    );
    assert_eq!(found[0].verified(), GROUP as u64);
    assert_eq!(found[1].verified(), 2 * GROUP as u64);
    assert!(found.iter().all(|partial| partial.claimed_size == 100_000));
    // The whole content makes those superfluous that have nothing else.
    let odd = fresh_uuid();
    let other = FileName::PartialData(hash, odd);
    plant_staged(&harness, &other, b"something else");
    drop(store);
    let store = open(&harness);
    put(&store, &data);
    assert_reads(&store, &data);
    let left: Vec<_> = files(&harness)
        .into_keys()
        .filter(|name| {
            matches!(name, FileName::PartialData(of, _) | FileName::PartialOutboard(of, _) if *of == hash)
        })
        .collect();
    assert_eq!(left, [other]);
}

/// Names that are none of the store's are left alone and reported, and so is what bears a name of the
/// store's and is no regular file: it is never served, never followed, never removed. PD-20.
/// BI-001, BI-003, BI-014, BI-015, BI-020.
pub fn what_is_not_the_stores_is_left_alone<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 20_000);
    put(&open(&harness), &data);
    let hash = Hash::of(b"elsewhere");
    let upper = format!("{}.data", hash.to_string().to_uppercase());
    let dotted = format!(".{hash}.data");
    let (link, fifo, dir) = (
        FileName::Data(hash).to_string(),
        FileName::Paths(hash).to_string(),
        FileName::Temp(fresh_uuid()).to_string(),
    );
    let entries = [
        ("README", EntryKind::File),
        (upper.as_str(), EntryKind::File),
        (dotted.as_str(), EntryKind::File),
        (link.as_str(), EntryKind::Link),
        (fifo.as_str(), EntryKind::Other),
        (dir.as_str(), EntryKind::Directory),
    ];
    let before = files(&harness);
    let mut planted = BTreeSet::new();
    for (name, kind) in entries {
        if harness.plant(OsStr::new(name), kind) {
            planted.insert((name.to_owned(), kind));
        }
    }
    for mode in [Mode::ReadOnly, Mode::ReadWrite] {
        let options = writing(&harness).mode(mode);
        let (backend, env) = (harness.open(), harness.env());
        let (store, recovery) =
            StoreOf::<H>::open_with(backend, env, options, &mut unwatched).unwrap();
        let odd: BTreeSet<_> = recovery
            .odd
            .iter()
            .map(|odd| (odd.name.clone(), odd.kind))
            .collect();
        assert_eq!(odd, planted);
        assert_eq!(recovery.odd_count, planted.len() as u64);
        assert!(nothing_happened(&recovery), "{recovery:?}");
        assert_fails!(store.reader(hash), Error::NotFound(_));
        assert_eq!(store.blobs().count(), 1);
        assert_reads(&store, &data);
        if mode == Mode::ReadWrite {
            store.set_tag(tag("a"), raw(Hash::of(&data))).unwrap();
            assert!(removed(&collect(&store)).is_empty());
            store.remove_tag(&tag("a")).unwrap();
        }
    }
    assert_files(&harness, &before);
}

/// One file that is damaged keeps no store from opening, and no other blob from being read. PD-11, PD-12, PD-13.
pub fn damaged_files_do_not_keep_a_store_from_opening<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let good = [bytes(1, 10), bytes(2, 40_000)];
    for data in &good {
        put(&store, data);
    }
    let broken = bytes(3, 40_000);
    let hash = put(&store, &broken);
    drop(store);
    plant(&harness, &FileName::Data(hash), b"");
    plant(&harness, &FileName::Outboard(hash), b"");
    plant(&harness, &FileName::Paths(hash), b"\xff");
    plant_staged(
        &harness,
        &FileName::PartialOutboard(hash, fresh_uuid()),
        b"",
    );
    plant(&harness, &FileName::Outboard(Hash::of(b"x")), &[0xff; 50]);
    plant(&harness, &FileName::Data(Hash::of(b"y")), &[0xff; 50]);
    for store in [open_read_only(&harness), open(&harness)] {
        for data in &good {
            assert_reads(&store, data);
        }
        assert!(store.reader(hash).is_err());
        assert_fails!(store.reader(Hash::of(b"y")), Error::Corrupt { .. });
    }
    let store = open(&harness);
    put(&store, &broken);
    assert_reads(&store, &broken);
}

/// While a store is open for writing a second writer is told that it is busy, and changes nothing; when
/// the last handle is gone, a reader's among them, the next writer may come. Where there are no locks, every
/// writer is told so that does not say who keeps the others out.
pub fn a_second_opening_is_busy<H: StoreHarness>() {
    let harness = H::fresh();
    if harness.locking() != Locking::Exclusive {
        return a_writer_is_told_that_there_are_no_locks(&harness);
    }
    let store = open(&harness);
    let data = bytes(1, 40_000);
    let hash = put(&store, &data);
    let left = FileName::Temp(fresh_uuid());
    plant_staged(&harness, &left, b"being written");
    let before = files(&harness);
    let busy = || {
        let outcome = StoreOf::<H>::open(harness.open(), harness.env());
        let error = outcome.unwrap_err();
        assert!(error.hint().is_some());
        matches!(error, Error::Backend(BackendError::Busy))
    };
    assert!(busy());
    assert_files(&harness, &before);
    let clone = store.clone();
    drop(store);
    assert!(busy());
    let reader = clone.reader(hash).unwrap();
    let held = clone.temp_tag(raw(hash));
    drop(clone);
    assert!(busy(), "a reader may still mend an outboard");
    drop(reader);
    let (store, recovery) = recover(&harness);
    assert_eq!(recovery.removed, [left]);
    assert_reads(&store, &data);
    drop(held);
}

fn a_writer_is_told_that_there_are_no_locks<H: StoreHarness>(harness: &H) {
    let before = files(harness);
    let error = StoreOf::<H>::open(harness.open(), harness.env()).unwrap_err();
    assert!(matches!(
        error,
        Error::Backend(BackendError::NoLocks { .. })
    ));
    assert!(error.hint().unwrap().contains("HostHolds"));
    assert_files(harness, &before);
    let hash = put(&open(harness), b"data");
    assert_reads(&open_read_only(harness), b"data");
    assert_eq!(hash, Hash::of(b"data"));
}

/// An opening that is stopped while it lists has changed nothing, and holds nothing.
pub fn a_cancelled_opening_changes_nothing<H: StoreHarness>() {
    let harness = H::fresh();
    let outcome = StoreOf::<H>::open_with(
        harness.open(),
        harness.env(),
        writing(&harness),
        &mut stop_at(|step| matches!(step, Progress::Listed { .. })),
    );
    assert_fails!(outcome, Error::Cancelled);
    assert_files(&harness, &Files::new());
    put(&open(&harness), b"data");
    for name in leftovers() {
        plant_staged(&harness, &name, b"left behind");
    }
    let before = files(&harness);
    for mode in [Mode::ReadOnly, Mode::ReadWrite] {
        let outcome = StoreOf::<H>::open_with(
            harness.open(),
            harness.env(),
            writing(&harness).mode(mode),
            &mut stop_at(|_| true),
        );
        assert_fails!(outcome, Error::Cancelled);
        assert_files(&harness, &before);
    }
    assert_eq!(recover(&harness).1.removed.len(), 4);
}

/// Work that is stopped between two steps has left no trace, and is done the next time: finishing a
/// completion, making an outboard again, settling what a tag relies on.
pub fn work_that_is_stopped_is_done_the_next_time<H: StoreHarness>() {
    let verifying = || stop_at(|step| matches!(step, Progress::Verified { .. }));
    let harness = H::fresh();
    let (data, other) = (bytes(1, 600_000), bytes(2, 600_000));
    let hash = put(&open(&harness), &data);
    let (completing, outboard) = oracle(&other);
    plant(&harness, &FileName::Outboard(completing), &outboard);
    let name = FileName::PartialData(completing, fresh_uuid());
    plant_staged(&harness, &name, &other);
    let before = files(&harness);
    let outcome = StoreOf::<H>::open_with(
        harness.open(),
        harness.env(),
        writing(&harness),
        &mut verifying(),
    );
    assert_fails!(outcome, Error::Cancelled);
    assert_files(&harness, &before);
    let (store, recovery) = recover(&harness);
    assert_eq!(recovery.completed, [completing]);
    assert_reads(&store, &other);
    drop(store);

    let mut whole = no_files();
    expect_owned(&mut whole, &data);
    expect_owned(&mut whole, &other);
    assert_files(&harness, &whole);
    uproot(&harness, &FileName::Outboard(hash));
    let before = files(&harness);
    let store = open(&harness);
    assert_fails!(store.reader_with(hash, &mut verifying()), Error::Cancelled);
    assert_files(&harness, &before);
    assert_reads(&store, &data);
    assert_files(&harness, &whole);
    drop(store);

    let store = open(&harness);
    let mut settling = stop_at(|step| matches!(step, Progress::Settled { .. }));
    let outcome = store.set_tag_with(tag("a"), raw(hash), &mut settling);
    assert_fails!(outcome, Error::Cancelled);
    assert!(store.tags().unwrap().is_empty());
    assert_files(&harness, &whole);
    store.set_tag(tag("a"), raw(hash)).unwrap();
    assert_eq!(store.tag(&tag("a")).unwrap(), raw(hash));
}

/// A read-only opening, of a store or of an empty place, writes nothing and removes nothing, not even what
/// it could mend.
pub fn a_read_only_opening_changes_nothing<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open_read_only(&harness);
    assert_eq!(store.blobs().count(), 0);
    assert!(store.tags().unwrap().is_empty());
    drop(store);
    assert_files(&harness, &Files::new());

    let data = bytes(1, 40_000);
    let hash = put(&open(&harness), &data);
    for name in leftovers() {
        plant_staged(&harness, &name, b"left behind");
    }
    let (other, outboard) = oracle(&bytes(2, 40_000));
    plant(&harness, &FileName::Outboard(other), &outboard);
    let partial = FileName::PartialData(other, fresh_uuid());
    plant_staged(&harness, &partial, &bytes(2, 40_000));
    uproot(&harness, &FileName::Outboard(hash));
    uproot(&harness, &FileName::Tags);
    let before = files(&harness);
    let opened = StoreOf::<H>::open_read_only(harness.open(), harness.env());
    let (store, recovery) = opened.unwrap();
    assert_eq!(recovery.tags, TagsFound::Missing);
    assert!(recovery.removed.is_empty() && recovery.completed.is_empty());
    assert_reads(&store, &data);
    drop(store);
    assert_files(&harness, &before);
}

/// A read-only opening works beside a writer, before it and after it, and takes no lock. It sees new blobs
/// when it is asked for them, and everything when it is refreshed.
pub fn a_read_only_opening_works_beside_a_writer<H: StoreHarness>() {
    let harness = H::fresh();
    let early = open_read_only(&harness);
    let store = open(&harness);
    let late = open_read_only(&harness);
    let (one, two) = (bytes(1, 40_000), bytes(2, 300));
    let (first, second) = (put(&store, &one), put(&store, &two));
    store.set_tag(tag("a"), raw(first)).unwrap();
    assert_reads(&early, &one);
    assert_eq!(late.blobs().count(), 0, "a listing is as old as it is");
    late.refresh().unwrap();
    assert_eq!(late.blobs().count(), 2);
    assert_eq!(late.tag(&tag("a")).unwrap(), raw(first));
    assert_reads(&late, &two);
    // What the writer takes away is read to its end, and then it is gone.
    let reader = early.reader(first).unwrap();
    store.remove_tag(&tag("a")).unwrap();
    assert_eq!(collect(&store).removed.len(), 2);
    let mut found = vec![0; one.len()];
    let read = flatbao_core::io::read_full_at(&reader, &mut found, 0).unwrap();
    assert!(read == one.len() && found == one);
    assert_fails!(early.reader(first), Error::NotFound(h) if h == first);
    late.refresh().unwrap();
    assert_eq!(late.blobs().count(), 0);
    assert_gone(&harness, &late, second);
    assert!(late.tags().unwrap().is_empty());
    // What moved to another home is found there.
    let path = put_external(&harness, "file", &one);
    drop(store.import_reference(&path).unwrap());
    assert_reads(&early, &one);
    store.delete(first, false).unwrap();
    put(&store, &one);
    assert_reads(&early, &one);
    // The writer's own picture is the true one.
    plant(&harness, &FileName::Data(Hash::of(b"x")), b"x");
    store.refresh().unwrap();
    assert_fails!(store.reader(Hash::of(b"x")), Error::NotFound(_));
}

/// A read-only opening refuses every change, one by one, and says why.
pub fn a_read_only_opening_refuses_to_write<H: StoreHarness>() {
    let harness = H::fresh();
    let hash = put(&open(&harness), &bytes(1, 40_000));
    let path = put_external(&harness, "file", &bytes(2, 40_000));
    let before = files(&harness);
    let store = open_read_only(&harness);
    let refuses = |outcome: Result<(), Error>| {
        let error = outcome.unwrap_err();
        assert!(error.hint().is_some());
        assert_eq!(error.kind(), "read_only");
        assert_fails!(
            Err::<(), _>(error),
            Error::NotWritable(NotWritable::ReadOnly)
        );
        assert_files(&harness, &before);
    };
    refuses(store.import_reader(&b"x"[..]).map(drop));
    refuses(store.import_bytes(b"x").map(drop));
    refuses(store.import_file(&path).map(drop));
    refuses(store.import_reference(&path).map(drop));
    let mut batch = store.batch();
    refuses(batch.import_reader(&b"x"[..]).map(drop));
    let options = ImportOptions::default();
    refuses(batch.import_bytes(b"x", options).map(drop));
    assert!(batch.commit().unwrap().is_empty());
    refuses(store.set_tag(tag("a"), raw(hash)));
    refuses(store.set_tag(tag("a"), seq(hash)));
    refuses(store.auto_tag(raw(hash)).map(drop));
    refuses(store.remove_tag(&tag("a")).map(drop));
    refuses(store.confirm_no_tags());
    refuses(store.delete(hash, true).map(drop));
    refuses(store.sweep(store.plan_gc().unwrap()).map(drop));
    assert_there(&store, &[hash]);
}

/// A writer without lock leaves what may be another's: temporary files stay. It writes like any other.
pub fn an_opening_without_lock_removes_no_leftovers<H: StoreHarness>() {
    let harness = H::fresh();
    drop(open(&harness));
    for name in leftovers() {
        plant_staged(&harness, &name, b"another's");
    }
    let mut expected = files(&harness);
    let options = OpenOptions::default().locking(Locking::None);
    let (store, recovery) =
        StoreOf::<H>::open_with(harness.open(), harness.env(), options, &mut unwatched).unwrap();
    assert!(recovery.removed.is_empty());
    put(&store, b"data");
    expect_owned(&mut expected, b"data");
    assert_files(&harness, &expected);
    // The lock is free, and whoever has it cleans up.
    assert_eq!(recover(&harness).1.removed.len(), 4);
    expected.retain(|name, _| !name.is_ephemeral());
    assert_files(&harness, &expected);
}
