//! What the old flat store got wrong (`tests/PEER-DEFECTS.md`), as far as it concerns import, tags, collection, opening
//! and reading.

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
    io::{self, Read, Seek, SeekFrom},
    ops::ControlFlow,
};

use common::{
    GROUP, Machine, SimStore, assert_reads, bytes, external, fresh_env, groups_that_read, outboard,
    raw, read, removed, seq, sequence, tag,
};
use flatbao_core::{
    Backend, BackendError, Error, FileName, Hash, ReadAt, TagFile, Uuid,
    store::{Novelty, Reason, State, Status, Swept, TagsFound},
};
use flatbao_mem::{Fault, MemBackend, OpKind};
use flatbao_tests::platform;

fn swept(store: &SimStore) -> Swept {
    store.sweep(store.plan_gc().unwrap()).unwrap()
}

/// PD-01: import from a stream without flush: truncated blob under a wrong hash (iroh#1768, #1778). Whatever
/// the pieces in which a stream comes, all of it is stored, whole, under its own hash, and durable.
#[test]
fn a_stream_is_imported_whole() {
    struct Pieces<'a>(&'a [u8], usize);
    impl Read for Pieces<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            match self.1 % 5 {
                0 => Err(io::ErrorKind::Interrupted.into()),
                n => {
                    let most = buf.len().min(n * 1000 + 1);
                    self.0.read(&mut buf[..most])
                }
            }
        }
    }
    for len in [
        0,
        1,
        1023,
        GROUP - 1,
        GROUP,
        GROUP + 1,
        100_000,
        256 * 1024,
        256 * 1024 + 1,
    ] {
        let machine = Machine::new();
        let content = bytes(1, len);
        let imported = machine.open().import_reader(Pieces(&content, 0)).unwrap();
        assert_eq!(
            (imported.hash, imported.size),
            (Hash::of(&content), len as u64)
        );
        let machine = machine.crash();
        assert_eq!(
            machine.file(&FileName::Data(imported.hash)).as_ref(),
            Some(&content)
        );
        assert_reads(&machine.open(), imported.hash, &content);
    }
}

/// PD-03: tagging or importing between mark and sweep: swept although tagged (iroh#1609, #1810,
/// iroh-blobs#240, #247). Whatever is tagged, held or imported after the plan was made is spared.
#[test]
fn what_is_protected_after_the_mark_is_spared() {
    let machine = Machine::new();
    let store = machine.open();
    let import = |n: u64| {
        store
            .import_bytes(&bytes(n, 20_000 + n as usize))
            .unwrap()
            .hash
    };
    let [tagged, held, imported, referred, automatic, dead] = [1, 2, 3, 4, 5, 6].map(import);
    let path = machine.put_external("x", &bytes(4, 20_004));
    let plan = store.plan_gc().unwrap();
    assert_eq!(plan.items().len(), 6);
    store.set_tag(tag("a"), raw(tagged)).unwrap();
    store.auto_tag(raw(automatic)).unwrap();
    drop(store.temp_tag(raw(held)));
    drop(store.import_bytes(&bytes(3, 20_003)).unwrap());
    drop(store.import_reference(&path).unwrap());
    let swept = store.sweep(plan).unwrap();
    assert_eq!(removed(&swept), [dead]);
    assert_eq!(swept.spared.len(), 5);
    assert!(
        swept
            .spared
            .iter()
            .all(|spared| matches!(spared.reason, Reason::Changed))
    );
    for (n, hash) in (1..).zip([tagged, held, imported, referred, automatic]) {
        assert_reads(&store, hash, &bytes(n, 20_000 + n as usize));
    }
}

/// PD-45: a sequence's temp tag taken after the mark protected only the root. It protects the children, and
/// so does a tag.
#[test]
fn a_sequence_that_is_protected_after_the_mark_keeps_its_children() {
    for durable in [false, true] {
        let machine = Machine::new();
        let store = machine.open();
        let child = store.import_bytes(b"child").unwrap().hash;
        let list = store.import_bytes(&sequence(&[child])).unwrap().hash;
        let plan = store.plan_gc().unwrap();
        let held = if durable {
            store.set_tag(tag("list"), seq(list)).unwrap();
            None
        } else {
            Some(store.temp_tag(seq(list)))
        };
        let swept = store.sweep(plan).unwrap();
        assert_eq!((swept.removed.len(), swept.spared.len()), (0, 2));
        drop(held);
        assert_reads(&store, child, b"child");
    }
}

/// PD-04: hash sequence unreadable, partial, or not a multiple of 32: a warning, then its children swept.
/// Here nothing is swept, and the error names the tag.
/// BI-069, BI-070.
#[test]
fn a_sequence_that_cannot_be_told_stops_collection() {
    let machine = Machine::new();
    let store = machine.open();
    let child = store.import_bytes(b"child").unwrap().hash;
    let children = sequence(&vec![child; 2000]);
    let list = store.import_bytes(&children).unwrap().hash;
    drop(store);
    let machine = machine.kill();
    let uuid = Uuid::from_bytes([1; 16]);
    let (data, board) = (FileName::Data(list), FileName::Outboard(list));
    type Damage<'a> = (&'a str, &'a dyn Fn(&Machine));
    let cases: [Damage<'_>; 5] = [
        ("missing", &|machine: &Machine| {
            machine.store().uproot(data.to_string());
            machine.store().uproot(board.to_string());
        }),
        ("cut", &|machine: &Machine| {
            machine.plant(&data, &children[..32_000])
        }),
        ("damaged", &|machine: &Machine| {
            machine.plant(&data, &[vec![0; 32], children[32..].to_vec()].concat())
        }),
        ("partial", &|machine: &Machine| {
            machine.store().uproot(data.to_string());
            machine.store().uproot(board.to_string());
            machine.plant(&FileName::PartialData(list, uuid), &children[..2 * GROUP]);
            machine.plant(
                &FileName::PartialOutboard(list, uuid),
                &outboard(&children).unwrap(),
            );
        }),
        ("no file", &|machine: &Machine| {
            machine.store().uproot(data.to_string());
            machine.store().plant_other(data.to_string()).unwrap();
        }),
    ];
    for (what, damage) in cases {
        let machine = machine.fork();
        // The tag is there before the damage, as it is in life.
        machine.open().set_tag(tag("the list"), seq(list)).unwrap();
        let machine = machine.kill();
        damage(&machine);
        let store = machine.open();
        let before = machine.files();
        match store.plan_gc() {
            Err(Error::Root { root, .. }) => assert!(root.contains("the list"), "{what}: {root}"),
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(machine.files(), before, "{what}");
        assert_reads(&store, child, b"child");
    }
    // A length that is no multiple of 32.
    let odd = machine.open().import_bytes(&[7; 33]).unwrap().hash;
    let machine = machine.kill();
    let tags = TagFile::encode(&[(tag("odd"), seq(odd))].into()).unwrap();
    machine.plant(&FileName::Tags, &tags);
    let store = machine.open();
    assert!(matches!(store.plan_gc(), Err(Error::Root { .. })));
    // Damage between plan and sweep, to what was tagged in between.
    machine.plant(&FileName::Tags, &TagFile::encode(&[].into()).unwrap());
    drop(store);
    let machine = machine.kill();
    let store = machine.open();
    let plan = store.plan_gc().unwrap();
    let held = store.temp_tag(seq(list));
    machine.store().uproot(data.to_string());
    assert!(matches!(store.sweep(plan), Err(Error::Root { .. })));
    assert_reads(&store, child, b"child");
    drop(held);
}

/// PD-05: `tags.meta` missing: GC deletes everything. Here collection, tagging and deleting refuse until it
/// is confirmed that there is nothing to lose; what another program has put there meanwhile is not
/// overwritten.
/// BI-060.
#[test]
fn missing_tags_are_no_empty_tags() {
    let machine = Machine::new();
    machine.plant(&FileName::Data(Hash::of(b"x")), b"x");
    let (store, recovery) = machine.try_open().unwrap();
    assert_eq!(recovery.tags, TagsFound::Missing);
    let hash = Hash::of(b"x");
    assert!(matches!(store.plan_gc(), Err(Error::TagsMissing)));
    assert!(matches!(store.tags(), Err(Error::TagsMissing)));
    assert!(matches!(store.delete(hash, false), Err(Error::TagsMissing)));
    assert!(matches!(
        store.set_tag(tag("a"), raw(hash)),
        Err(Error::TagsMissing)
    ));
    assert!(matches!(
        store.remove_tag(&tag("a")),
        Err(Error::TagsMissing)
    ));
    assert_eq!(machine.file(&FileName::Tags), None);
    assert_reads(&store, hash, b"x");

    // The peer takes no lock: it may write its tags while this store is open.
    let theirs = TagFile::encode(&[(tag("theirs"), raw(hash))].into()).unwrap();
    machine.plant(&FileName::Tags, &theirs);
    assert!(store.confirm_no_tags().is_err(), "there are tags now");
    assert_eq!(machine.file(&FileName::Tags), Some(theirs));
    machine.store().uproot(FileName::Tags.to_string());

    store.confirm_no_tags().unwrap();
    assert!(store.tags().unwrap().is_empty());
    assert_eq!(swept(&store).removed.len(), 1);
    drop(store);
    assert_eq!(
        machine.kill().try_open().unwrap().1.tags,
        TagsFound::Protected
    );
}

/// PD-07: completing a partial verified nothing: a hole became a "complete" blob. An interrupted completion
/// is finished only when every group is proved.
/// BI-043.
#[test]
fn a_partial_with_a_hole_is_not_completed() {
    let content = bytes(1, 5 * GROUP + 10);
    let hash = Hash::of(&content);
    let partial = FileName::PartialData(hash, Uuid::from_bytes([1; 16]));
    let board = outboard(&content).unwrap();
    let with = |at: usize, byte: u8| {
        let mut data = content.clone();
        data[at..(at + GROUP).min(content.len())].fill(byte);
        data
    };
    let mut bad_board = board.clone();
    bad_board[100] ^= 1;
    let cases = [
        (with(0, 0), board.clone()),
        (with(2 * GROUP, 0), board.clone()),
        (with(5 * GROUP, 0xff), board.clone()),
        (content[..content.len() - 1].to_vec(), board.clone()),
        (Vec::new(), board.clone()),
        (content.clone(), bad_board),
        (content.clone(), board[..board.len() - 64].to_vec()),
        (content.clone(), vec![0; board.len()]),
    ];
    for (n, (data, board)) in cases.into_iter().enumerate() {
        let machine = Machine::new();
        machine.plant(&FileName::Outboard(hash), &board);
        machine.plant(&partial, &data);
        machine.plant(&FileName::Tags, &TagFile::encode(&[].into()).unwrap());
        let before = machine.files();
        let (store, recovery) = machine.try_open().unwrap();
        assert!(recovery.completed.is_empty(), "case {n}");
        assert_eq!(recovery.unpaired, std::slice::from_ref(&partial));
        assert!(
            matches!(store.reader(hash), Err(Error::Incomplete(_))),
            "case {n}"
        );
        assert_eq!(machine.files(), before, "case {n}: nothing is lost");
    }
    // A whole one is completed, and bytes behind its end are cut off.
    for more in [0, 1, 100_000] {
        let machine = Machine::new();
        machine.plant(&FileName::Outboard(hash), &board);
        machine.plant(&partial, &[content.clone(), vec![9; more]].concat());
        let (store, recovery) = machine.try_open().unwrap();
        assert_eq!(recovery.completed, [hash]);
        assert!(recovery.orphan_outboards.is_empty() && recovery.unpaired.is_empty());
        assert_reads(&store, hash, &content);
        let machine = machine.crash();
        assert_eq!(machine.file(&FileName::Data(hash)).as_ref(), Some(&content));
    }
}

/// PD-43: a good complete blob could be overwritten. Nothing but proved bytes ever replaces it; a damaged one
/// is replaced by an import of its content.
#[test]
fn a_complete_blob_is_replaced_by_proved_bytes_only() {
    let content = bytes(1, 3 * GROUP);
    let hash = Hash::of(&content);
    let (data, partial) = (
        FileName::Data(hash),
        FileName::PartialData(hash, Uuid::from_bytes([1; 16])),
    );
    let machine = Machine::new();
    assert_eq!(
        machine.open().import_bytes(&content).unwrap().novelty,
        Novelty::New
    );
    let machine = machine.kill();
    machine.plant(&partial, &[1; 3 * GROUP]);
    let (store, recovery) = machine.try_open().unwrap();
    assert!(recovery.completed.is_empty());
    assert_reads(&store, hash, &content);
    assert_eq!(
        store.import_bytes(&content).unwrap().novelty,
        Novelty::Replaced
    );
    assert_eq!(
        store.import_bytes(&content).unwrap().novelty,
        Novelty::Known
    );
    drop(store);

    let machine = machine.kill();
    machine.plant(&data, &[2; 3 * GROUP]);
    let store = machine.open();
    assert!(read(&store, hash).is_err());
    assert_eq!(
        store.import_bytes(&content).unwrap().novelty,
        Novelty::Replaced
    );
    assert_reads(&store, hash, &content);
    let Status::Present(info) = store.status(hash) else {
        panic!("it is there");
    };
    assert!(!info.damaged);
    assert_eq!(machine.file(&data), Some(content));
}

/// PD-08: of several partials the longest *file* won, the others were deleted. PD-44: partials up to 16 KiB
/// were deleted at open. PD-17: partial size prefix: a short file accepted; the first caller's size sticks.
/// All are kept, and each is known by what of it is proved.
/// BI-038, BI-039, BI-040.
#[test]
fn all_partials_are_kept_and_proved() {
    let content = bytes(1, 4 * GROUP + 5);
    let hash = Hash::of(&content);
    let board = outboard(&content).unwrap();
    let machine = Machine::new();
    let plant = |n: u8, data: &[u8], board: &[u8]| {
        let uuid = Uuid::from_bytes([n; 16]);
        machine.plant(&FileName::PartialData(hash, uuid), data);
        machine.plant(&FileName::PartialOutboard(hash, uuid), board);
        uuid
    };
    let zeros = vec![0; 50 * GROUP];
    let long_and_wrong = plant(1, &zeros, &board);
    let short_and_right = plant(2, &content[..GROUP], &board);
    let tiny = plant(3, &content[..10], &board);
    let last_only = plant(
        4,
        &[vec![0; 4 * GROUP], content[4 * GROUP..].to_vec()].concat(),
        &board,
    );
    let no_proof = plant(5, &content, &[]);
    let mut lying = board.clone();
    lying[..8].copy_from_slice(&(1_u64 << 60).to_le_bytes());
    let other_size = plant(6, &content, &lying);
    let short_prefix = plant(7, &content, &board[..5]);
    machine.plant(&FileName::Tags, &TagFile::encode(&[].into()).unwrap());
    let before = machine.files();
    let (store, recovery) = machine.try_open().unwrap();
    assert_eq!(recovery.removed, []);
    assert_eq!(machine.files(), before);
    let found = store.partials(hash).unwrap();
    let groups = |uuid| {
        let found = found.iter().find(|found| found.uuid == uuid);
        found.map(|found| (found.claimed_size, found.groups.clone()))
    };
    let size = content.len() as u64;
    let one = |group: u64| std::iter::once(group..group + 1).collect::<Vec<_>>();
    assert_eq!(groups(long_and_wrong), Some((size, vec![])));
    assert_eq!(groups(short_and_right), Some((size, one(0))));
    assert_eq!(groups(tiny), Some((size, vec![])));
    assert_eq!(groups(last_only), Some((size, one(4))));
    assert_eq!(groups(no_proof), None);
    assert!(groups(other_size).is_none_or(|(size, groups)| size == 1 << 60 && groups.is_empty()));
    assert_eq!(groups(short_prefix), None);
    assert!(matches!(store.reader(hash), Err(Error::Incomplete(_))));
    assert_eq!(machine.files(), before, "looking changes nothing");
}

/// PD-11: the store does not open for one corrupt `.paths`.
#[test]
fn a_corrupt_list_of_paths_costs_one_blob() {
    let machine = Machine::new();
    let store = machine.open();
    let path = machine.put_external("x", b"outside");
    let outside = store.import_reference(&path).unwrap().hash;
    let other = store.import_bytes(b"other").unwrap().hash;
    store.set_tag(tag("outside"), raw(outside)).unwrap();
    drop(store);
    let machine = machine.kill();
    for damage in [&b""[..], b"\xff", &[0; 4096], &[0xff; 4096]] {
        let machine = machine.fork();
        machine.plant(&FileName::Paths(outside), damage);
        let store = machine.open();
        assert!(matches!(read(&store, outside), Err(Error::Paths { .. })));
        assert_reads(&store, other, b"other");
        assert_eq!(swept(&store).removed.len(), 1);
        // Importing it again mends the list.
        store.import_reference(&path).unwrap();
        assert_reads(&store, outside, b"outside");
    }
}

/// PD-13: the store does not open for one unreadable outboard. The blob does not even need it.
#[test]
fn an_unreadable_outboard_costs_nothing() {
    let machine = Machine::new();
    let content = bytes(1, 3 * GROUP);
    let hash = machine.open().import_bytes(&content).unwrap().hash;
    let machine = machine.kill();
    let name = FileName::Outboard(hash).to_string();
    for kind in [OpKind::Open, OpKind::Size, OpKind::Read] {
        let machine = machine.fork();
        machine.disk.inject(Fault::on_name(kind, &name).sticky());
        assert_reads(&machine.open(), hash, &content);
    }
    machine.store().uproot(&name);
    machine.store().plant_other(&name).unwrap();
    let (store, recovery) = machine.try_open().unwrap();
    assert_eq!(recovery.odd_count, 1);
    assert_reads(&store, hash, &content);
}

/// PD-14: the store does not open for one undeletable stale file. It is reported, and the others go.
#[test]
fn an_undeletable_leftover_is_reported() {
    let machine = Machine::new();
    let names = [1, 2, 3].map(|n| FileName::Temp(Uuid::from_bytes([n; 16])));
    for name in &names {
        machine.plant(name, b"x");
    }
    let stuck = names[1].to_string();
    machine.disk.inject(
        Fault::on_name(OpKind::Unlink, stuck)
            .error(io::ErrorKind::PermissionDenied)
            .sticky(),
    );
    let (store, recovery) = machine.try_open().unwrap();
    assert_eq!(recovery.removed, [names[0].clone(), names[2].clone()]);
    assert_eq!(recovery.not_removed.len(), 1);
    assert_eq!(recovery.not_removed[0].0, names[1]);
    store.import_bytes(b"x").unwrap();
}

/// PD-19: only the first external path is looked at; when it is gone the blob is gone (iroh-blobs#263).
/// PD-40: stale references are handled: each path is tried in turn, group by group.
#[test]
fn every_external_path_is_tried() {
    let content = bytes(1, 4 * GROUP);
    let machine = Machine::new();
    let store = machine.open();
    for name in ["a", "b", "c"] {
        store
            .import_reference(&machine.put_external(name, &content))
            .unwrap();
    }
    let hash = Hash::of(&content);
    drop(store);
    let machine = machine.kill();
    let dir = machine.outside();
    dir.uproot("a");
    assert_reads(&machine.open(), hash, &content);
    let mut damaged = content.clone();
    damaged[5] ^= 1;
    dir.plant_file("b", &damaged).unwrap();
    assert_reads(&machine.open(), hash, &content);
    // Each of the two has another group wrong: together they have all.
    damaged = content.clone();
    damaged[3 * GROUP] ^= 1;
    dir.plant_file("c", &damaged).unwrap();
    assert_reads(&machine.open(), hash, &content);
    dir.plant_file("c", &content[..GROUP]).unwrap();
    assert_reads(&machine.open(), hash, &content);
    dir.uproot("b");
    let good = groups_that_read(&machine.open(), hash, &content);
    assert_eq!(good, [true, false, false, false]);
    dir.uproot("c");
    let store = machine.open();
    assert!(matches!(read(&store, hash), Err(Error::Unreadable { .. })));
    assert!(
        matches!(store.status(hash), Status::Present(_)),
        "it is listed until its user decides"
    );
}

/// PD-20: upper-case and leading-dot names were indexed under a name that cannot be opened. They are foreign.
#[test]
fn names_have_one_spelling() {
    let machine = Machine::new();
    let hash = Hash::of(b"x");
    for name in [
        hash.to_string().to_uppercase() + ".data",
        format!(".{hash}.data"),
    ] {
        machine.store().plant_file(&name, b"x").unwrap();
    }
    let (store, recovery) = machine.try_open().unwrap();
    assert_eq!(recovery.odd_count, 2);
    assert_eq!(store.blobs().count(), 0);
    assert_eq!(store.status(hash), Status::Missing);
}

/// PD-21: a non-UTF-8 path panics while a lock is held and poisons the store.
#[test]
fn paths_that_are_no_text_cost_one_blob() {
    let machine = Machine::new();
    let content = b"outside".to_vec();
    let store = machine.open();
    let hash = store
        .import_reference(&machine.put_external("x", &content))
        .unwrap()
        .hash;
    drop(store);
    let machine = machine.kill();
    machine.plant(&FileName::Paths(hash), b"\x01\x04/\xff\xfe\xfd");
    let store = machine.open();
    assert!(matches!(read(&store, hash), Err(Error::Paths { .. })));
    // And nothing is poisoned.
    store.import_bytes(b"next").unwrap();
    store
        .set_tag(flatbao_core::Tag::new(*b"\xff\xfe").unwrap(), raw(hash))
        .unwrap();
    store.import_reference(&external("x")).unwrap();
    assert_reads(&store, hash, &content);
}

/// PD-22: leaks: `.temp`, `H-U.paths`, `tags-U.meta`, orphan data, outboards and paths, the temporary files of
/// a failed import.
/// BI-007, BI-008, BI-009, BI-039.
#[test]
fn nothing_leaks() {
    let machine = Machine::new();
    let hash = Hash::of(&bytes(1, 2 * GROUP));
    let uuid = Uuid::from_bytes([1; 16]);
    let temps = [
        FileName::PathsTemp(hash, uuid),
        FileName::Temp(uuid),
        FileName::TagsTemp(uuid),
    ];
    for name in &temps {
        machine.plant(name, b"x");
    }
    machine.plant(&FileName::Tags, &TagFile::encode(&[].into()).unwrap());
    // Orphans of every kind: of a blob that nothing reaches, and halves of partial entries.
    machine.plant(
        &FileName::Outboard(hash),
        &outboard(&bytes(1, 2 * GROUP)).unwrap(),
    );
    machine.plant(&FileName::Paths(Hash::of(b"a")), b"\x01\x0b/external/a");
    machine.plant(&FileName::Data(Hash::of(b"b")), b"b");
    machine.plant(&FileName::PartialData(Hash::of(b"c"), uuid), b"c");
    machine.plant(&FileName::PartialOutboard(Hash::of(b"d"), uuid), b"d");
    let (store, mut recovery) = machine.try_open().unwrap();
    recovery.removed.sort();
    assert_eq!(recovery.removed, temps);
    assert_eq!(recovery.orphan_outboards, [hash]);
    assert_eq!(recovery.unpaired.len(), 2);
    store.import_reader(Failing).unwrap_err();
    let mut stop = |_| ControlFlow::Break(());
    let options = flatbao_core::store::ImportOptions::default();
    let stopped = store.import_reader_with(&bytes(2, 9 * GROUP)[..], options, &mut stop);
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert_eq!(machine.leftovers(), []);
    // What another crash of a read-only or unlocked opening may not remove, collection does.
    assert_eq!(swept(&store).removed.len(), 5);
    assert_eq!(machine.files().keys().collect::<Vec<_>>(), ["tags.meta"]);
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

/// PD-23: every outboard in memory at open, a stat and a read per entry (iroh#1942: over an hour). Opening
/// costs the same number of calls whatever the number of entries.
/// BI-090, BI-091.
#[test]
fn opening_looks_into_no_entry() {
    let ops = |blobs: u64, partials: u64| {
        let machine = Machine::new();
        for n in 0..blobs {
            let hash = Hash::of(&n.to_le_bytes());
            machine.plant(&FileName::Data(hash), b"");
            machine.plant(&FileName::Outboard(hash), b"");
        }
        for n in 0..partials {
            let uuid = Uuid::from_bytes([7; 16]);
            let hash = Hash::of(&[n.to_le_bytes(), [1; 8]].concat());
            machine.plant(&FileName::PartialData(hash, uuid), b"");
            machine.plant(&FileName::PartialOutboard(hash, uuid), b"");
        }
        machine.plant(&FileName::Tags, b"\0");
        let store = machine.open();
        let ops = machine.disk.ops();
        let listed = store
            .blobs()
            .filter(|blob| blob.state == State::Complete)
            .count();
        assert_eq!(listed as u64, blobs);
        assert_eq!(store.blobs().count() as u64, blobs + partials);
        assert_eq!(machine.disk.ops(), ops, "listing looks into no file either");
        ops
    };
    assert_eq!(ops(1, 1), ops(100_000, 20_000));
}

/// PD-24: unbounded cache of small data. Blobs that were not read for a while are read from the disk again;
/// one that was just read is not (PD-36: fast tiny blobs, iroh#2051).
#[test]
fn the_cache_is_bounded() {
    let machine = Machine::new();
    let store = machine.open();
    let hashes: Vec<Hash> = (0..1000_u32)
        .map(|n| store.import_bytes(&n.to_le_bytes()).unwrap().hash)
        .collect();
    let reads = |hash: Hash| {
        let before = machine.disk.ops();
        read(&store, hash).unwrap();
        machine.disk.ops() - before
    };
    for hash in &hashes {
        reads(*hash);
    }
    assert_eq!(reads(hashes[999]), 0);
    assert!(reads(hashes[0]) > 0);
}

/// PD-25: the whole tag file rewritten per change. It still is, since the format has one file; but a change makes as
/// many calls with thousands of tags as with ten, writes the file once, makes it durable, and is all or nothing.
#[test]
fn a_change_of_tags_is_one_file() {
    let changed = |count: u32| {
        let tags = (0..count).map(|n| (tag(&format!("tag {n}")), raw(Hash::of(b"x"))));
        let machine = Machine::new();
        machine.plant(&FileName::Data(Hash::of(b"x")), b"x");
        machine.plant(&FileName::Tags, &TagFile::encode(&tags.collect()).unwrap());
        let store = machine.open();
        // The first change makes durable what the opening found.
        store.remove_tag(&tag("tag 0")).unwrap();
        let before = machine.disk.trace().len();
        store.remove_tag(&tag("tag 5")).unwrap();
        let trace = machine.disk.trace().split_off(before);
        let written = trace.iter().filter(|op| op.kind == OpKind::Write);
        let written: u64 = written.map(|op| op.len).sum();
        assert_eq!(written, machine.file(&FileName::Tags).unwrap().len() as u64);
        let moves = |kind| matches!(kind, OpKind::Read | OpKind::Write);
        let kinds = trace.into_iter().map(|op| op.kind);
        kinds.filter(|kind| !moves(*kind)).collect::<Vec<_>>()
    };
    let kinds = changed(10);
    assert_eq!(changed(20_000), kinds);
    let count = |kind| kinds.iter().filter(|other| **other == kind).count();
    for kind in [
        OpKind::CreateNew,
        OpKind::SyncFile,
        OpKind::Rename,
        OpKind::SyncDir,
    ] {
        assert_eq!(count(kind), 1, "{kind:?}");
    }
}

/// PD-26: a state lock held over file writes. While an import reads its source, and while it tells its
/// progress, the store can be used for anything.
#[test]
fn no_lock_is_held_over_io() {
    struct Nested<'a>(&'a SimStore, &'a [u8], u32);
    impl Read for Nested<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.2 += 1;
            let hash = self.0.import_bytes(&self.2.to_le_bytes())?.hash;
            self.0.set_tag(tag("inner"), raw(hash))?;
            assert_reads(self.0, hash, &self.2.to_le_bytes());
            self.0.remove_tag(&tag("inner"))?;
            assert!(swept(self.0).removed.iter().any(|item| item.hash == hash));
            self.1.read(buf)
        }
    }
    let machine = Machine::new();
    let store = machine.open();
    let content = bytes(1, 8 << 20);
    let seen = RefCell::new(0);
    let mut watch = |_| {
        *seen.borrow_mut() += 1;
        store.import_bytes(b"from a callback").unwrap();
        ControlFlow::Continue(())
    };
    let options = flatbao_core::store::ImportOptions::default();
    let imported = store
        .import_reader_with(Nested(&store, &content, 0), options, &mut watch)
        .unwrap();
    assert_reads(&store, imported.hash, &content);
    assert!(seen.into_inner() > 5);
}

/// PD-27: the outboard built twice in memory on one thread. It is written as the bytes come by, once; the data
/// are not read back.
#[test]
fn an_import_is_one_pass() {
    let machine = Machine::new();
    let store = machine.open();
    let content = bytes(1, 20 << 20);
    let before = machine.disk.trace().len();
    store.import_bytes(&content).unwrap();
    let trace = machine.disk.trace().split_off(before);
    let moved = |kind| -> u64 {
        let ops = trace.iter().filter(|op| op.kind == kind);
        ops.map(|op| op.result.unwrap()).sum()
    };
    let board = outboard(&content).unwrap().len() as u64;
    assert!(moved(OpKind::Write) <= content.len() as u64 + 2 * board);
    assert!(
        moved(OpKind::Read) <= board,
        "only pages of the outboard are shifted"
    );
    let largest = trace.iter().map(|op| op.len).max().unwrap();
    assert!(largest <= 256 * 1024, "nothing grows with the blob");
}

/// PD-28: no lock file: two processes collect each other's data (iroh#1281).
/// BI-086.
#[test]
fn a_second_process_is_told_that_the_store_is_busy() {
    let machine = Machine::new();
    let store = machine.open();
    let hash = store.import_bytes(b"x").unwrap().hash;
    assert!(matches!(
        machine.try_open(),
        Err(Error::Backend(BackendError::Busy))
    ));
    // Reading works beside it, and sees what it does.
    let reader = machine.open_read_only();
    assert_reads(&reader, hash, b"x");
    assert!(matches!(
        reader.plan_gc().and_then(|plan| reader.sweep(plan)),
        Err(Error::NotWritable(_))
    ));
    let later = store.import_bytes(b"y").unwrap().hash;
    assert_reads(&reader, later, b"y");
    drop(store);
    machine.open();
}

/// PD-29: synchronous Read + Seek handles (iroh-blobs#60). PD-31: no hidden runtime (#249): they are plain
/// values that any thread can use.
#[test]
#[cfg_attr(target_os = "wasi", ignore = "there are no threads")]
fn a_reader_is_an_ordinary_file() {
    fn ordinary<T: Read + Seek + ReadAt + Send + Sync>(_: &T) {}
    let machine = Machine::new();
    let store = machine.open();
    let content = bytes(1, 3 * GROUP + 9);
    let hash = store.import_bytes(&content).unwrap().hash;
    let mut reader = store.reader(hash).unwrap();
    ordinary(&reader);
    reader.seek(SeekFrom::End(-9)).unwrap();
    let mut end = String::new();
    assert!(reader.read_to_string(&mut end).is_err() || end.len() == 9);
    reader.rewind().unwrap();
    let copied = std::thread::scope(|scope| {
        let copy = scope.spawn(|| {
            let mut bytes = Vec::new();
            io::copy(&mut reader, &mut bytes).unwrap();
            bytes
        });
        copy.join().unwrap()
    });
    assert!(copied == content);
}

/// PD-30: a storage-agnostic store (iroh-blobs#84): the same code over a back end without a directory. PD-38:
/// one directory (iroh#1662).
#[test]
fn a_back_end_need_not_be_a_directory() {
    fn story<B: Backend>(backend: B) {
        let (store, _) = platform::open(backend, fresh_env()).unwrap();
        let hash = store.import_bytes(&bytes(1, 50_000)).unwrap().hash;
        store.set_tag(tag("a"), raw(hash)).unwrap();
        let dead = store.import_bytes(b"dead").unwrap().hash;
        let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
        assert_eq!(swept.removed[0].hash, dead);
        assert_reads(&store, hash, &bytes(1, 50_000));
    }
    story(MemBackend::new());
    // One directory is all that a store on a disk needs.
    story(Machine::new().backend());
    let dir = platform::scratch();
    story(flatbao_fs::open_ambient(dir.path()).unwrap());
}

/// PD-37: protection from lying sizes (iroh#2051): a size that was claimed is a size that is checked.
#[test]
fn a_claimed_size_is_checked() {
    let machine = Machine::new();
    let store = machine.open();
    let content = bytes(1, 40_000);
    for claimed in [0, 1, 39_999, 40_001, u64::MAX] {
        let options = flatbao_core::store::ImportOptions::default().size(claimed);
        let result = store.import_reader_with(
            &content[..],
            options,
            &mut flatbao_core::progress::unwatched,
        );
        assert!(
            matches!(result, Err(Error::WrongSize { .. })),
            "{claimed}: {result:?}"
        );
    }
    assert_eq!(store.blobs().count(), 0);
    assert_eq!(machine.leftovers(), []);
}

/// PD-39: explicit delete (iroh#2657): refused while a tag or a sequence reaches the blob, unless forced; never
/// while it is held.
#[test]
fn a_blob_is_deleted_on_demand() {
    let machine = Machine::new();
    let store = machine.open();
    let child = store.import_bytes(&bytes(1, 20_000)).unwrap();
    let hash = child.hash;
    let list = store.import_bytes(&sequence(&[hash])).unwrap().hash;
    let missing = Hash::of(b"missing");
    assert!(matches!(
        store.delete(missing, true),
        Err(Error::NotFound(_))
    ));
    assert!(
        matches!(store.delete(hash, true), Err(Error::InUse { .. })),
        "it is held"
    );
    drop(child);
    store.set_tag(tag("list"), seq(list)).unwrap();
    assert!(
        matches!(store.delete(hash, false), Err(Error::InUse { .. })),
        "a sequence lists it"
    );
    assert!(matches!(
        store.delete(list, false),
        Err(Error::InUse { .. })
    ));
    let held = store.temp_tag(seq(list));
    assert!(
        matches!(store.delete(hash, true), Err(Error::InUse { .. })),
        "a held sequence lists it"
    );
    drop(held);
    let item = store.delete(hash, true).unwrap();
    assert_eq!(item.bytes, 20_000 + 8 + 64);
    assert_eq!(store.status(hash), Status::Missing);
    store.remove_tag(&tag("list")).unwrap();
    store.delete(list, false).unwrap();
    let machine = machine.crash();
    assert_eq!(machine.open().blobs().count(), 0);
}
