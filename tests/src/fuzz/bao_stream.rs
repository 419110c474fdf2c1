use bao_tree::{
    BlockSize,
    io::{outboard::PreOrderMemOutboard, sync::encode_ranges_validated},
};
use flatbao_core::{
    ChunkRanges, FileName, Result,
    progress::unwatched,
    store::{ReceiveOptions, Received},
};

use super::{
    contents::Known,
    edit::edited,
    input::Input,
    scene::{Good, looks, machine, right},
};
use crate::{
    machine::{Machine, SimStore},
    oracle,
    truth::{assert_reads, assert_typed},
};

/// Whatever comes in as streams of a blob, over whatever is there of it: no wrong byte is kept, nothing that was
/// there is lost, the store opens again with the same, and the right stream makes the blob whole.
///
/// # Panics
/// When that is not so.
pub fn bao_stream(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let known = input.known();
    let machine = machine();
    let is_damaged = prepare(&mut input, &machine, known);
    let mut is_hidden = is_damaged;
    let mut store = machine.open();
    for _ in 0..=input.few(3) {
        let before = Good::of(&machine, known);
        let how = input.byte();
        let ranges = ranges(&mut input, known);
        let stream = stream(&mut input, known, &ranges);
        let outcome = receive(&mut input, &store, known, &ranges, &stream, how);
        check(&store, known, outcome, is_hidden);
        right(&machine, &store, known);
        is_hidden = false;
        before.assert_kept(&machine, "receiving");
        if how & 0x80 != 0 {
            let there = Good::of(&machine, known);
            drop(store);
            store = machine.open();
            there.assert_kept(&machine, "opening");
            is_hidden = is_damaged;
        }
    }
    looks(&machine, &store);
    // Damage is known from here on, and so is what to ask for.
    right(&machine, &store, known);
    let missing = store.partial_blob(known.hash).unwrap().missing();
    let rest = oracle::stream(&known.data, &missing);
    let received = store.receive(known.hash, &missing, &rest[..]).unwrap();
    assert!(received.is_complete && received.missing.is_empty());
    let good = right(&machine, &store, known);
    assert!(good.iter().all(|good| *good), "{good:?}");
    drop((received, store));
    let machine = machine.crash();
    let good = right(&machine, &machine.open(), known);
    assert!(good.iter().all(|good| *good), "{good:?} after a crash");
}

/// What is there before: nothing, a part, all of it, or all of it with something wrong. Returns whether it is
/// the last.
fn prepare(input: &mut Input<'_>, machine: &Machine, known: &Known) -> bool {
    let store = machine.open();
    let form = input.few(4);
    match form {
        0 => {}
        1 => {
            let ranges = ranges(input, known).whole_groups();
            let right = oracle::stream(&known.data, &ranges);
            store.receive(known.hash, &ranges, &right[..]).unwrap();
        }
        _ => {
            store.import_bytes(&known.data).unwrap();
            drop(store);
            if form == 3 {
                let data = edited(input, &known.data);
                machine.plant(&FileName::Data(known.hash), &data);
                let board = edited(input, &known.board());
                machine.plant(&FileName::Outboard(known.hash), &board);
            }
        }
    }
    form == 3
}

fn ranges(input: &mut Input<'_>, known: &Known) -> ChunkRanges {
    match input.byte() % 6 {
        0 => ChunkRanges::all(),
        1 => ChunkRanges::last_chunk(),
        2 => {
            let (start, len) = (input.few(8) as u64, input.few(8) as u64);
            ChunkRanges::of_groups(start..start + len)
        }
        3 => {
            let mut at = 0;
            let steps = input.piece().iter().take(20);
            let boundaries: Vec<u64> = steps
                .map(|step| {
                    at += u64::from(*step) + 1;
                    at - 1
                })
                .collect();
            ChunkRanges::from_boundaries(&boundaries).unwrap()
        }
        4 => ChunkRanges::empty(),
        _ => {
            let start = input.below(known.data.len() + 1) as u64;
            ChunkRanges::of_bytes(start..start + 5000)
        }
    }
}

/// A stream that is right, or almost.
fn stream(input: &mut Input<'_>, known: &Known, ranges: &ChunkRanges) -> Vec<u8> {
    let stream = match input.byte() % 6 {
        0 => input.take(1000).to_vec(),
        1 => {
            let others = self::ranges(input, known);
            oracle::stream(&known.data, &others)
        }
        2 => oracle::stream(&input.known().data, ranges),
        3 => finer(input, known, ranges),
        _ => oracle::stream(&known.data, ranges),
    };
    edited(input, &stream)
}

/// A stream with groups of another size, under the size of the blob or one that makes its pairs those of groups.
fn finer(input: &mut Input<'_>, known: &Known, ranges: &ChunkRanges) -> Vec<u8> {
    let log = input.few(8) as u8;
    let block = BlockSize::from_chunk_log(log);
    let tree = PreOrderMemOutboard::create(&known.data, block);
    let shift = if input.flag() {
        4_u8.saturating_sub(log)
    } else {
        0
    };
    let claim = (known.data.len() as u64) << shift;
    let mut stream = claim.to_le_bytes().to_vec();
    let ranges = oracle::ranges(ranges);
    encode_ranges_validated(&known.data[..], &tree, &ranges, &mut stream).unwrap();
    stream
}

/// Receives it in one of several ways; `None` when it is left unfinished.
fn receive(
    input: &mut Input<'_>,
    store: &SimStore,
    known: &Known,
    ranges: &ChunkRanges,
    stream: &[u8],
    how: u8,
) -> Option<Result<Received>> {
    let mut options = ReceiveOptions::default().to_end(how & 1 != 0);
    let mut bytes = stream;
    if how & 2 != 0 {
        let size = bytes.split_off(..8).unwrap_or_default();
        let size = size.try_into().map(u64::from_le_bytes);
        options = options.size(size.unwrap_or(known.data.len() as u64));
    }
    if how & 4 != 0 {
        options = options.cap(input.below(1 << 18) as u64);
    }
    let hash = known.hash;
    if how & 8 == 0 {
        return Some(store.receive_with(hash, ranges, bytes, options, &mut unwatched));
    }
    let mut blob = match store.partial_blob_with(hash, options, &mut unwatched) {
        Ok(blob) => blob,
        Err(error) => return Some(Err(error)),
    };
    let piece = 1 + input.below(5000);
    let mut outcome = blob.begin(ranges);
    for piece in bytes.chunks(piece) {
        outcome = outcome.and_then(|()| blob.feed(piece).map(drop));
    }
    if let Err(error) = outcome {
        assert_typed(&error);
    }
    (how & 16 != 0).then(|| blob.finish())
}

/// As long as nobody has read what is damaged, it counts as there.
fn check(store: &SimStore, known: &Known, outcome: Option<Result<Received>>, is_hidden: bool) {
    match outcome {
        Some(Ok(received)) => {
            assert_eq!(received.hash, known.hash);
            assert_eq!(received.is_complete, received.missing.is_empty());
            if received.is_complete {
                assert_eq!(received.size, known.data.len() as u64);
                assert_eq!(received.verified, received.size);
                if !is_hidden {
                    assert_reads(store, known.hash, &known.data);
                }
            }
        }
        Some(Err(error)) => assert_typed(&error),
        None => {}
    }
}
