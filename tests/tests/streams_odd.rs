//! Streams where things go wrong at an odd moment: a full disk, a size that changes, somebody who repairs the blob
//! meanwhile, a crowd of liars.

// A test reports by panicking, and so do its helpers; what it casts is small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]
// One range is a list of one.
#![allow(clippy::single_range_in_vec_init)]

mod common;

use std::{
    ops::{ControlFlow, Range},
    sync::{Arc, Mutex},
};

use bao_tree::{BlockSize, io::outboard::PreOrderMemOutboard};
use common::{
    GROUP, Machine, SimStore, assert_reads, bytes, fresh_env, outboard, raw, read, seq, sequence,
    tap::TapDir,
};
use flatbao_core::{
    ChunkRanges, Error, FileName, FlatDir, Hash, NotWritable, Store, Uuid,
    progress::unwatched,
    store::{
        Depth, PartialBlob, ReceiveOptions, RepairOptions, State, Status, VerifyOptions, copy,
    },
};
use flatbao_mem::{Fault, OpKind, SimDir, SimDisk};
use flatbao_tests::oracle::stream as stream_of;

const LEN: usize = 100_000;

fn groups(range: Range<u64>) -> ChunkRanges {
    ChunkRanges::of_groups(range)
}

/// The stream of another size.
fn lying(data: &[u8], ranges: &ChunkRanges, size: u64) -> Vec<u8> {
    let mut stream = stream_of(data, ranges);
    stream[..8].copy_from_slice(&size.to_le_bytes());
    stream
}

fn flip(machine: &Machine, name: &FileName, at: usize) {
    let mut bytes = machine.file(name).unwrap();
    bytes[at] ^= 1;
    machine
        .store()
        .change_file(name.to_string(), &bytes)
        .unwrap();
}

fn verify(store: &SimStore) {
    let options = VerifyOptions::default().depth(Depth::Deep);
    let mut each = |_| ControlFlow::Continue(());
    store.verify(&options, &mut each, &mut unwatched).unwrap();
}

fn repair<D: flatbao_core::Backend>(store: &Store<D>) {
    store
        .repair(&RepairOptions::default(), &mut |_| {}, &mut unwatched)
        .unwrap();
}

fn feed<B: flatbao_core::Backend>(partial: &mut PartialBlob<B>, data: &[u8], ranges: &ChunkRanges) {
    partial.begin(ranges).unwrap();
    partial.feed(&stream_of(data, ranges)).unwrap();
}

fn receive(store: &SimStore, data: &[u8], ranges: &ChunkRanges) -> flatbao_core::store::Received {
    let stream = stream_of(data, ranges);
    store.receive(Hash::of(data), ranges, &stream[..]).unwrap()
}

/// A store with a blob that is damaged at these bytes.
fn damaged(data: &[u8], at: &[usize]) -> Machine {
    let machine = Machine::new();
    let imported = machine.open().import_bytes(data).unwrap();
    for at in at {
        flip(&machine, &FileName::Data(imported.hash), *at);
    }
    machine
}

/// What has come before the disk is full, or breaks, stays.
#[test]
fn a_full_disk_takes_nothing_back() {
    let data = bytes(1, 4 << 20);
    let hash = Hash::of(&data);
    let stream = stream_of(&data, &ChunkRanges::all());
    for breaks in [false, true] {
        let machine = Machine::new();
        let store = machine.open();
        match breaks {
            true => machine
                .disk
                .inject(Fault::on(OpKind::Write).skip(30).sticky()),
            false => machine.disk.limit_space(2 << 20),
        }
        let outcome = store.receive(hash, &ChunkRanges::all(), &stream[..]);
        assert!(matches!(outcome, Err(Error::Backend(_))), "{outcome:?}");
        machine.disk.heal();
        machine.disk.limit_space(u64::MAX);
        drop(store);
        let found = machine.open().available(hash).unwrap();
        assert!(found.verified() > 1 << 19, "{found:?}");
    }
}

/// Chunks that came under one size are none of a group under another one.
#[test]
fn held_chunks_are_those_of_one_size() {
    let data = bytes(1, GROUP + 10 * 1024);
    let hash = Hash::of(&data);
    let (first, last) = (
        ChunkRanges::of_chunks(16..17),
        ChunkRanges::of_chunks(25..26),
    );
    for lie in [data.len() as u64 - 1, data.len() as u64 + 1] {
        // Beside a blob whose size is not proved.
        let machine = damaged(&data, &[data.len() - 1]);
        let store = machine.open();
        let mut partial = store.partial_blob(hash).unwrap();
        partial.begin(&first).unwrap();
        partial.feed(&lying(&data, &first, lie)).unwrap();
        feed(&mut partial, &data, &last);
        feed(&mut partial, &data, &ChunkRanges::of_chunks(17..25));
        assert_eq!(partial.available().groups, []);
        feed(&mut partial, &data, &first);
        assert_eq!(partial.available().groups, [1..2]);
        drop(partial.finish().unwrap());
        assert_reads(&store, hash, &data);

        // After an entry could not be made.
        let machine = Machine::new();
        let store = machine.open();
        let mut partial = store.partial_blob(hash).unwrap();
        partial.begin(&first).unwrap();
        partial.feed(&lying(&data, &first, lie)).unwrap();
        machine.disk.inject(Fault::on(OpKind::CreateNew));
        partial.begin(&groups(0..1)).unwrap();
        let stream = lying(&data, &groups(0..1), lie);
        assert!(partial.feed(&stream).is_err());
        feed(&mut partial, &data, &last);
        feed(&mut partial, &data, &ChunkRanges::all());
        assert!(partial.finish().unwrap().is_complete);
        assert_reads(&store, hash, &data);
    }
}

/// Groups in plenty of which nothing more comes do not keep others from being put together for ever.
#[test]
fn stale_chunks_make_room() {
    let data = bytes(1, 2 << 20);
    let machine = Machine::new();
    let store = machine.open();
    let mut partial = store.partial_blob(Hash::of(&data)).unwrap();
    let boundaries: Vec<u64> = (20..84_u64).flat_map(|i| [i * 16, i * 16 + 8]).collect();
    let high = ChunkRanges::from_boundaries(&boundaries).unwrap();
    feed(&mut partial, &data, &high);
    for _ in 0..3 {
        for half in [0..8, 8..16] {
            feed(&mut partial, &data, &ChunkRanges::of_chunks(half));
        }
    }
    assert_eq!(partial.available().groups, [0..1]);
}

/// While repair takes a blob apart, nobody fills the entry that it makes; what it publishes and what is received
/// meanwhile are both there, and right.
#[test]
fn repair_beside_a_transfer_leaves_it_its_files() {
    let data = bytes(1, LEN);
    let hash = Hash::of(&data);
    let machine = damaged(&data, &[2 * GROUP + 7, 3 * GROUP + 7]);
    // The pair above the two.
    flip(&machine, &FileName::Outboard(hash), 8 + 3 * 64 + 5);
    type Tapped = FlatDir<TapDir>;
    let store: Arc<Mutex<Option<Store<Tapped>>>> = Arc::default();
    let begun: Arc<Mutex<Option<PartialBlob<Tapped>>>> = Arc::default();
    let tap = {
        let (store, begun) = (Arc::clone(&store), Arc::clone(&begun));
        move |what: &str| {
            let is_outboard = what.starts_with("create") && what.ends_with(".temp");
            if let Some(store) = store.lock().unwrap().take_if(|_| is_outboard) {
                *begun.lock().unwrap() = Some(store.partial_blob(hash).unwrap());
            }
        }
    };
    let backend = FlatDir::new(TapDir::new(machine.store(), tap));
    let (opened, _) = Store::open(backend, fresh_env()).unwrap();
    *store.lock().unwrap() = Some(opened.clone());
    repair(&opened);
    let mut partial = begun.lock().unwrap().take().unwrap();
    feed(&mut partial, &data, &groups(2..3));
    let received = partial.finish().unwrap();
    assert_eq!(received.new, GROUP as u64);
    let found = opened.available(hash).unwrap();
    assert!(
        found.groups.iter().any(|range| range.contains(&2)),
        "{found:?}"
    );
    let missing = found.missing();
    let stream = stream_of(&data, &missing);
    let received = opened.receive(hash, &missing, &stream[..]).unwrap();
    assert!(received.is_complete);
    assert!(machine.file(&FileName::Data(hash)).unwrap() == data);
    assert!(machine.file(&FileName::Outboard(hash)) == outboard(&data));
}

/// What the outboard with the final name proves stays proved, whatever becomes of the one that an entry gets.
#[test]
fn a_final_outboard_goes_on_proving() {
    let data = bytes(1, LEN);
    let hash = Hash::of(&data);
    let machine = Machine::new();
    drop(machine.open());
    let mut part = data.clone();
    part[3 * GROUP + 5] ^= 1;
    let uuid = Uuid::from_bytes([7; 16]);
    machine.plant(&FileName::PartialData(hash, uuid), &part);
    machine.plant(&FileName::Outboard(hash), &outboard(&data).unwrap());
    let store = machine.open();
    let before = store.available(hash).unwrap();
    assert_eq!(before.groups, [0..3, 4..7]);
    for stop in 1..6 {
        let mut steps = 0;
        let mut watch = |_| {
            steps += 1;
            match steps < stop {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        };
        let options = ReceiveOptions::default();
        let outcome = store.partial_blob_with(hash, options, &mut watch);
        assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
        assert_eq!(store.available(hash).unwrap(), before, "stopped at {stop}");
    }
    let store = { machine.kill().open() };
    assert_eq!(store.available(hash).unwrap(), before);
    assert!(receive(&store, &data, &before.missing()).is_complete);
    assert_reads(&store, hash, &data);
}

/// A damaged blob is not complete before it has got what it lacks: not for who receives, not for a copy.
#[test]
fn a_damaged_blob_is_not_called_complete() {
    let data = bytes(1, LEN);
    let hash = Hash::of(&data);
    let open = || {
        let store = damaged(&data, &[5, LEN - 1]).open();
        verify(&store);
        store
    };
    let store = open();
    let received = receive(&store, &data, &groups(2..3));
    assert!(!received.is_complete && !received.missing.is_empty());
    drop(received);

    let store = open();
    let mut partial = store.partial_blob(hash).unwrap();
    for _ in 0..2 {
        let missing = partial.missing();
        assert!(!missing.is_empty() && !partial.is_whole());
        feed(&mut partial, &data, &missing);
        if partial.missing().is_empty() {
            break;
        }
    }
    let received = partial.finish().unwrap();
    assert!(received.is_complete && received.missing.is_empty());
    assert_reads(&store, hash, &data);

    let store = open();
    let other = Machine::new().open();
    drop(receive(&other, &data, &groups(2..3)));
    let copied = copy(&other, &store, raw(hash), &mut unwatched).unwrap();
    assert!(matches!(copied.incomplete[..], [(h, _)] if h == hash));
    assert!(read(&store, hash).is_err());

    // Nobody has looked yet, but the end proves no size.
    let store = damaged(&data, &[LEN - 1]).open();
    assert_eq!(
        store.partial_blob(hash).unwrap().missing(),
        ChunkRanges::of_groups(6..)
    );

    // Repair makes a partial blob of it in the meantime.
    let store = damaged(&data, &[5]).open();
    let partial = store.partial_blob(hash).unwrap();
    repair(&store);
    let received = partial.finish().unwrap();
    assert!(!received.is_complete);
    assert_eq!(received.missing, groups(0..1));
    assert!(matches!(store.status(hash), Status::Present(info) if info.state == State::Partial));
}

/// What makes a damaged blob whole again is durable when that is said, also when it had come before.
#[test]
fn what_a_damaged_blob_has_got_is_durable() {
    let data = bytes(1, LEN);
    let hash = Hash::of(&data);
    for parts in [vec![ChunkRanges::all()], vec![groups(0..1), groups(2..3)]] {
        let machine = damaged(&data, &[5, 2 * GROUP + 7]);
        let last = parts.len() - 1;
        for (at, part) in parts.iter().enumerate() {
            let store = machine.open();
            assert!(read(&store, hash).is_err());
            let received = receive(&store, &data, part);
            assert_eq!((received.is_complete, received.new > 0), (at == last, true));
        }
        assert_reads(&machine.fork().crash().open(), hash, &data);
        // Nothing is missing any more, and nothing new comes.
        let received = receive(&machine.open(), &data, &groups(0..1));
        assert!(received.is_complete && received.new == 0);
    }
}

/// Right bytes of a group that nothing proves, since no size is right, are received all the same.
#[test]
fn what_cannot_be_proved_is_received_once_more() {
    for groups in [2, 6] {
        let data = bytes(1, groups * GROUP - 100);
        let hash = Hash::of(&data);
        let machine = damaged(&data, &[]);
        let longer = [&data[..], &[0; 500]].concat();
        machine.plant(&FileName::Data(hash), &longer);
        flip(&machine, &FileName::Outboard(hash), 0);
        let store = machine.open();
        assert!(read(&store, hash).is_err());
        let missing = store.partial_blob(hash).unwrap().missing();
        assert!(!missing.is_empty());
        let received = receive(&store, &data, &missing);
        assert!(
            received.is_complete && received.missing.is_empty(),
            "{received:?}"
        );
        assert_reads(&store, hash, &data);
        drop((received, store));
        assert_reads(&machine.crash().open(), hash, &data);
    }
}

/// What was proved once, and found damaged later, is not taken for proved.
#[test]
fn a_small_blob_is_not_remembered_over_its_damage() {
    let data = bytes(1, 1000);
    let machine = Machine::new();
    let store = machine.open();
    let hash = store.import_bytes(&data).unwrap().hash;
    assert_reads(&store, hash, &data);
    flip(&machine, &FileName::Data(hash), 5);
    verify(&store);
    let received = receive(&store, &data, &ChunkRanges::all());
    assert!(received.is_complete && received.new == 1000);
    drop(received);
    drop(store);
    assert_reads(&machine.open(), hash, &data);
}

/// A blob of one group reads and is received whatever outboard stands beside it.
#[test]
fn a_small_blob_needs_no_outboard() {
    let data = bytes(1, 10_000);
    let hash = Hash::of(&data);
    let deep = PreOrderMemOutboard::create(&data, BlockSize::from_chunk_log(0));
    for claim in [20_000, 10_u64 * 16384] {
        let mut forged = claim.to_le_bytes().to_vec();
        forged.extend(&deep.data);
        let machine = Machine::new();
        drop(machine.open());
        machine.plant(&FileName::Outboard(hash), &forged);
        let store = machine.open();
        assert!(receive(&store, &data, &ChunkRanges::all()).is_complete);
        assert_reads(&store, hash, &data);
        drop(store);
        assert_reads(&machine.open(), hash, &data);
    }
}

/// An outboard that goes on below the groups claims a size of its own: looking at what is there ends with the size
/// that the data have.
#[test]
fn a_forged_outboard_does_not_matter() {
    let data = bytes(1, 512 * 1024);
    let hash = Hash::of(&data);
    let deep = PreOrderMemOutboard::create(&data, BlockSize::from_chunk_log(0));
    let mut forged = (512 * 16384_u64).to_le_bytes().to_vec();
    forged.extend(&deep.data);
    for at in [8 + 64 + 640, 8 + 64 * 300] {
        let mut forged = forged.clone();
        forged[at] ^= 1;
        let machine = Machine::new();
        drop(machine.open());
        machine.plant(&FileName::Data(hash), &data);
        machine.plant(&FileName::Outboard(hash), &forged);
        for store in [machine.open_read_only(), machine.open()] {
            let found = store.available(hash).unwrap();
            assert!(found.is_whole() && found.size == data.len() as u64);
            // Nothing wrong is sent, whatever size it is begun with.
            let mut stream = Vec::new();
            match store.send(hash, &ChunkRanges::all(), &mut stream) {
                Ok(_) => assert!(stream == stream_of(&data, &ChunkRanges::all())),
                Err(error) => assert!(matches!(error, Error::Corrupt { .. }), "{error:?}"),
            }
        }
    }
}

/// Entries whose sizes differ by a flipped bit make a blob together as soon as any of them has the end.
#[test]
fn what_is_not_missing_completes() {
    let data = bytes(1, LEN);
    let hash = Hash::of(&data);
    let machine = Machine::new();
    drop(receive(&machine.open(), &data, &groups(0..1)));
    let mut wrong = outboard(&data).unwrap();
    wrong[0] ^= 1;
    let uuid = Uuid::from_bytes([9; 16]);
    machine.plant(&FileName::PartialData(hash, uuid), &data);
    machine.plant(&FileName::PartialOutboard(hash, uuid), &wrong);
    let store = machine.open();
    assert!(store.missing(hash).unwrap().is_empty());
    assert!(receive(&store, &data, &ChunkRanges::empty()).is_complete);
    assert_reads(&store, hash, &data);
}

/// However many lie about the size, one who does not goes on where it was.
#[test]
fn a_crowd_of_liars_is_no_obstacle() {
    let data = bytes(1, LEN);
    let hash = Hash::of(&data);
    let machine = Machine::new();
    let store = machine.open();
    for lie in 0..40 {
        let stream = lying(&data, &groups(0..1), 99_950 + lie);
        drop(store.receive(hash, &groups(0..1), &stream[..]).unwrap());
    }
    drop(receive(&store, &data, &groups(0..5)));
    drop(receive(&store, &data, &groups(5..6)));
    assert_eq!(store.partials(hash).unwrap().len(), 41);
    assert_eq!(store.available(hash).unwrap().groups, [0..6]);
    let received = receive(&store, &data, &groups(6..7));
    assert!(received.is_complete && received.new == 1696, "{received:?}");
    assert_reads(&store, hash, &data);
    // A prefix alone costs nothing: the entry is not proved again for it.
    let machine = Machine::new();
    let store = machine.open();
    drop(receive(&store, &data, &groups(0..5)));
    let mut partial = store.partial_blob(hash).unwrap();
    let before = machine.disk.ops();
    for lie in 0..20_u64 {
        partial.begin(&ChunkRanges::all()).unwrap();
        partial.feed(&(90_000 + lie).to_le_bytes()).unwrap();
    }
    assert_eq!(machine.disk.ops(), before);
}

/// As long as nothing proves a size, whoever claims another one gets an entry with what came under it, and has nobody's
/// data copied.
#[test]
fn a_lie_copies_nothing() {
    let data = bytes(1, LEN);
    let hash = Hash::of(&data);
    let machine = Machine::new();
    let store = machine.open();
    drop(receive(&store, &data, &groups(1..6)));
    let stream = lying(&data, &groups(0..1), 99_999);
    drop(store.receive(hash, &groups(0..1), &stream[..]).unwrap());
    let mut lengths: Vec<usize> = machine
        .files()
        .into_iter()
        .filter(|(name, _)| matches!(FileName::parse(name), Some(FileName::PartialData(..))))
        .map(|(_, bytes)| bytes.len())
        .collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [GROUP, 6 * GROUP]);
    // The end proves the size: now everything is put together.
    let received = receive(&store, &data, &groups(6..7));
    assert!(received.is_complete && received.new == 1696);
    assert_reads(&store, hash, &data);
}

/// A claim that somebody made is not the size of a blob that somebody else has completed.
#[test]
fn a_claimed_size_is_not_told_of_a_whole_blob() {
    let data = bytes(1, LEN);
    let machine = Machine::new();
    let store = machine.open();
    let mut partial = store.partial_blob(Hash::of(&data)).unwrap();
    partial.begin(&groups(0..1)).unwrap();
    partial.feed(&lying(&data, &groups(0..1), 99_999)).unwrap();
    drop(store.import_bytes(&data).unwrap());
    let received = partial.finish().unwrap();
    assert!(received.is_complete && received.missing.is_empty());
    assert_eq!((received.size, received.verified), (LEN as u64, LEN as u64));
}

/// A copy takes what a source has, whatever the rest of it is like: it lies about a size, it is cut, a sector of it
/// cannot be read.
#[test]
fn a_copy_goes_around_everything() {
    let data = bytes(1, LEN);
    let hash = Hash::of(&data);
    let source = Machine::new().open();
    let stream = lying(&data, &groups(0..1), 99_999);
    drop(source.receive(hash, &groups(0..1), &stream[..]).unwrap());
    let good = source.import_bytes(&bytes(2, 50_000)).unwrap().hash;
    let list = sequence(&[hash, good]);
    let list = source.import_bytes(&list).unwrap().hash;
    let target = Machine::new().open();
    drop(receive(&target, &data, &groups(6..7)));
    let copied = copy(&source, &target, seq(list), &mut unwatched).unwrap();
    assert!(matches!(copied.incomplete[..], [(h, Error::Stream { .. })] if h == hash));
    assert_reads(&target, good, &bytes(2, 50_000));

    for with_home in [false, true] {
        let machine = Machine::new();
        let store = machine.open();
        drop(store.import_bytes(&data).unwrap());
        if with_home {
            let path = machine.put_external("file", &data);
            drop(store.import_reference(&path).unwrap());
        }
        drop(store);
        let name = FileName::Data(hash).to_string();
        machine.store().change_file(name, &data[..GROUP]).unwrap();
        let target = Machine::new().open();
        let copied = copy(&machine.open(), &target, raw(hash), &mut unwatched).unwrap();
        assert_eq!(copied.incomplete.is_empty(), with_home);
        match with_home {
            true => assert_reads(&target, hash, &data),
            false => assert_eq!(target.available(hash).unwrap().groups, [0..1]),
        }
    }

    let machine = Machine::new();
    let source = machine.open();
    drop(source.import_bytes(&data).unwrap());
    let offset = 3 * GROUP as u64;
    machine.disk.inject(
        Fault::matching(move |op| {
            op.kind == OpKind::Read
                && op.name.to_string_lossy().ends_with(".data")
                && (op.offset..op.offset + op.len).contains(&offset)
        })
        .sticky(),
    );
    let target = Machine::new().open();
    let copied = copy(&source, &target, raw(hash), &mut unwatched).unwrap();
    assert!(
        matches!(copied.incomplete[..], [(_, Error::Unreadable { .. })]),
        "{copied:?}"
    );
    assert_eq!(target.available(hash).unwrap().groups, [0..3, 4..7]);
}

/// A write that failed ends the stream, whoever asked for it; what is said to be there afterwards is there.
#[test]
fn a_failed_flush_ends_the_stream() {
    let data = bytes(1, LEN);
    let hash = Hash::of(&data);
    let machine = Machine::new();
    let store = machine.open();
    drop(receive(&store, &data, &groups(6..7)));
    let mut partial = store.partial_blob(hash).unwrap();
    let stream = stream_of(&data, &groups(0..4));
    let cut = 8 + 4 * 64 + GROUP;
    partial.begin(&groups(0..4)).unwrap();
    partial.feed(&stream[..cut]).unwrap();
    machine.disk.inject(Fault::on(OpKind::Write).sticky());
    assert!(partial.flush().is_err());
    machine.disk.heal();
    assert_eq!(partial.feed(&stream[cut..]).unwrap(), 0);
    feed(&mut partial, &data, &groups(1..4));
    let available = partial.available();
    drop(partial.finish().unwrap());
    assert_eq!(store.available(hash).unwrap(), available);
}

/// After a failed sync nothing is written any more, not even what was verified before.
#[test]
fn nothing_is_written_after_a_failed_sync() {
    let data = bytes(1, LEN);
    let machine = Machine::new();
    let store = machine.open();
    let mut partial = store.partial_blob(Hash::of(&data)).unwrap();
    feed(&mut partial, &data, &groups(0..2));
    machine.disk.inject(Fault::on(OpKind::SyncFile));
    assert!(store.import_bytes(b"x").is_err());
    let written = || {
        (
            machine.disk.count(OpKind::Write),
            machine.disk.count(OpKind::Unlink),
        )
    };
    let before = written();
    let outcome = partial.begin(&groups(2..3));
    assert!(matches!(
        outcome,
        Err(Error::NotWritable(NotWritable::Poisoned(_)))
    ));
    drop(partial);
    assert_eq!(written(), before);
}

/// A copy across file systems that failed half-way does not keep the next one from succeeding.
/// BI-085.
#[test]
fn a_completion_across_file_systems_is_tried_again() {
    let data = bytes(1, LEN);
    let hash = Hash::of(&data);
    let disk = SimDisk::new();
    let dir = |name: &str| -> SimDir { disk.file_system(name).plant_dir("store").unwrap() };
    let backend = FlatDir::with_areas(dir("a"), dir("b"), dir("a")).unwrap();
    let (store, _) = Store::open(backend, fresh_env()).unwrap();
    let part = groups(0..6);
    let stream = stream_of(&data, &part);
    drop(store.receive(hash, &part, &stream[..]).unwrap());
    // The copy cannot be synced to its end, nor can it be taken away.
    disk.inject(Fault::on(OpKind::Unlink));
    disk.inject(Fault::on(OpKind::Rename).skip(1));
    let stream = stream_of(&data, &groups(6..7));
    let first = store.receive(hash, &groups(6..7), &stream[..]);
    assert!(first.is_err(), "{first:?}");
    disk.heal();
    let received = store.partial_blob(hash).unwrap().finish().unwrap();
    assert!(received.is_complete);
    assert!(store.read(hash, 1 << 20).unwrap() == data);
}

/// What is asked for and not there is what an error names.
#[test]
fn the_missing_group_is_one_that_was_asked_for() {
    let data = bytes(1, LEN);
    let hash = Hash::of(&data);
    let store = Machine::new().open();
    drop(receive(&store, &data, &groups(6..7)));
    let outcome = store.send(hash, &groups(3..5), &mut Vec::new());
    assert!(
        matches!(outcome, Err(Error::MissingGroup { offset, .. }) if offset == 3 * GROUP as u64)
    );
}

/// A blob without an outboard is sent with few looks at its data, and a set of very many ranges is no trouble.
#[test]
fn nothing_here_is_quadratic() {
    let size = 24 << 20;
    let data = bytes(1, size);
    let hash = Hash::of(&data);
    let machine = Machine::new();
    drop(machine.open().import_bytes(&data).unwrap());
    let name = FileName::Outboard(hash).to_string();
    machine.store().uproot(name);
    let store = machine.open_read_only();
    let mut stream = Vec::new();
    store.send(hash, &ChunkRanges::all(), &mut stream).unwrap();
    assert!(stream == stream_of(&data, &ChunkRanges::all()));
    // To prove it, to send it, and the values of each page.
    let reads = machine.disk.count(OpKind::Read);
    assert!(reads < 5 * (size / GROUP) as u64, "{reads} reads");
    let boundaries: Vec<u64> = (0..200_000).flat_map(|i| [i * 32, i * 32 + 1]).collect();
    let ranges = ChunkRanges::from_boundaries(&boundaries).unwrap();
    assert_eq!(ranges.whole_groups().boundaries().len(), 400_000);
}
