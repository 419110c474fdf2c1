//! Streams that come into a store.

// One range is a list of one.
#![allow(clippy::single_range_in_vec_init)]

use std::{
    io::{self, Read},
    ops::ControlFlow,
};

use flatbao_core::{
    Backend, BlobFormat, ChunkRanges, Error, FileName, Hash, NotWritable, Progress, ReadAt as _,
    Store, StreamError,
    progress::unwatched,
    store::{Depth, ReceiveOptions, Received, RepairOptions, State, Status, VerifyOptions},
};

use super::{
    Broken, Files, GROUP, StoreHarness, StoreOf, assert_fails, assert_files, assert_gone,
    assert_reads, bytes, collect, expect_owned, files, flip, fresh_uuid, no_files, open,
    open_read_only, oracle, plan, plant, plant_staged, put, raw, recover, removed, seq, sequence,
    spared, stop_at, tag, tags_file, uproot,
};
use crate::store_suite::send::{groups, oracle_stream, plant_two_parts, some_ranges};

fn receive<B: Backend>(store: &Store<B>, data: &[u8], ranges: &ChunkRanges) -> Received {
    let stream = oracle_stream(data, ranges);
    store.receive(Hash::of(data), ranges, &stream[..]).unwrap()
}

/// The files of a place that has one blob and nothing else.
fn only(data: &[u8]) -> Files {
    let mut expected = no_files();
    expect_owned(&mut expected, data);
    expected
}

/// The partial files of a blob: data, outboard.
fn partial_files<H: StoreHarness>(harness: &H, hash: Hash) -> Vec<(Vec<u8>, Vec<u8>)> {
    let found = files(harness);
    let data = found.iter().filter_map(|(name, bytes)| match name {
        FileName::PartialData(of, uuid) if *of == hash => Some((*uuid, bytes.clone())),
        _ => None,
    });
    data.map(|(uuid, data)| {
        let outboard = &found[&FileName::PartialOutboard(hash, uuid)];
        (data, outboard.clone())
    })
    .collect()
}

/// Whatever a partial file has is the blob's, or a hole.
#[track_caller]
fn assert_no_wrong_byte<H: StoreHarness>(harness: &H, data: &[u8]) {
    for (found, outboard) in partial_files(harness, Hash::of(data)) {
        for (at, byte) in found.iter().enumerate() {
            assert!(*byte == 0 || data.get(at) == Some(byte), "byte {at}");
        }
        assert!(outboard.len() >= 8);
    }
}

/// A whole blob that is received has the files that an import makes, of any size, in any pieces, and not a byte
/// behind the stream is read.
pub fn a_stream_becomes_a_blob<H: StoreHarness>() {
    /// Reads few bytes at once, and some of the time none.
    struct Slow<'a>(&'a [u8], usize);
    impl Read for Slow<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            if self.1.is_multiple_of(3) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let len = buf.len().min(1 + self.1 * 331 % 5000);
            self.0.read(&mut buf[..len])
        }
    }
    let mut expected = no_files();
    let harness = H::fresh();
    let store = open(&harness);
    for size in [0, 1, 1024, 5000, GROUP, GROUP + 1, 100_000, 300 * GROUP + 1] {
        let data = bytes(size, size);
        let mut stream = oracle_stream(&data, &ChunkRanges::all());
        stream.extend(b"what comes next");
        let mut reader = Slow(&stream, 0);
        let hash = Hash::of(&data);
        let received = store
            .receive(hash, &ChunkRanges::all(), &mut reader)
            .unwrap();
        assert_eq!(reader.0, b"what comes next");
        assert_eq!((received.hash, received.size), (hash, size as u64));
        assert_eq!((received.is_complete, received.new), (true, size as u64));
        assert!(received.missing.is_empty());
        assert_eq!(received.tag.value(), raw(hash));
        assert_reads(&store, &data);
        expect_owned(&mut expected, &data);
    }
    assert_files(&harness, &expected);
    drop(store);
    assert_files(&harness, &expected);
}

/// Where the source should end with the stream, more of it is an error; what came before that is there.
/// BI-075.
pub fn a_stream_that_goes_on_is_told<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let data = bytes(1, 50_000);
    let hash = Hash::of(&data);
    let options = ReceiveOptions::default().to_end(true);
    for ranges in [groups(0..2), ChunkRanges::all(), ChunkRanges::empty()] {
        let mut stream = oracle_stream(&data, &ranges);
        let right = stream.len();
        stream.push(0);
        let mut partial = store
            .partial_blob_with(hash, options, &mut unwatched)
            .unwrap();
        let outcome = partial.receive(&ranges, &stream[..], &mut unwatched);
        assert_fails!(
            outcome,
            Error::Stream {
                source: StreamError::TooLong,
                ..
            }
        );
        let received = partial.finish().unwrap();
        let came = if ranges.is_all() { 50_000 } else { 2 * GROUP };
        assert!(received.verified >= came as u64);
        let outcome = store.receive_with(hash, &ranges, &stream[..], options, &mut unwatched);
        assert!(outcome.is_err());
        let outcome = store.receive_with(hash, &ranges, &stream[..right], options, &mut unwatched);
        assert_eq!(outcome.unwrap().verified, received.verified);
    }
    assert_files(&harness, &only(&data));
}

/// A stream may come without a size, if that is known; and more than is allowed does not.
pub fn the_size_may_be_told<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let data = bytes(1, 100_000);
    let (hash, all) = (Hash::of(&data), ChunkRanges::all());
    let stream = oracle_stream(&data, &all);
    let options = ReceiveOptions::default();
    for (size, cap, refused) in [
        (Some(100_000), None, false),
        (None, Some(99_999), true),
        (Some(100_000), Some(99_999), true),
        (Some(100_001), None, true),
    ] {
        let mut options = options;
        (options.size, options.cap) = (size, cap);
        let begin = if size.is_some() { 8 } else { 0 };
        let outcome = store.receive_with(hash, &all, &stream[begin..], options, &mut unwatched);
        match (refused, cap) {
            (false, _) => assert!(outcome.unwrap().is_complete),
            (true, Some(cap)) => assert_fails!(outcome, Error::TooLarge { cap: c } if c == cap),
            (true, None) => assert_fails!(outcome, Error::Stream { .. }),
        }
        if !refused {
            assert_files(&harness, &only(&data));
        }
        if cap.is_none() {
            // Of one that lies about the end, what comes before it.
            store.delete(hash, false).unwrap();
        }
        assert_eq!(store.status(hash), Status::Missing);
    }
    assert_files(&harness, &no_files());
}

/// Groups come one by one, in any order, over any number of openings; what is there is read, what is missing is
/// told, and the last one completes the blob.
pub fn a_blob_comes_in_parts<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 100_000);
    let hash = Hash::of(&data);
    let mut there = Vec::new();
    for group in [3, 0, 6, 1, 5, 2] {
        let store = open(&harness);
        let received = receive(&store, &data, &groups(group..group + 1));
        there.push(group);
        assert!(!received.is_complete);
        let is_missing = |group: &u64| !there.contains(group);
        let missing: Vec<u64> = (0..7).filter(is_missing).collect();
        let set = |groups_: &[u64]| {
            let sets = groups_.iter().map(|group| groups(*group..*group + 1));
            sets.fold(ChunkRanges::empty(), |all, one| all.union(&one))
        };
        let expected = match there.contains(&6) {
            true => set(&missing),
            false => set(&missing).union(&ChunkRanges::of_groups(7..)),
        };
        assert_eq!(received.missing, expected, "{there:?}");
        drop(received);
        let reader = store.partial_reader(hash).unwrap();
        for other in 0..7_u64 {
            let mut buf = vec![0; GROUP];
            let start = usize::try_from(other).unwrap() * GROUP;
            let outcome = reader.read_verified(&mut buf, start as u64);
            match there.contains(&other) {
                true => {
                    assert!(buf[..outcome.unwrap()] == data[start..data.len().min(start + GROUP)])
                }
                false => assert_fails!(outcome, Error::MissingGroup { .. }),
            }
        }
        drop(reader);
        drop(store);
        assert_no_wrong_byte(&harness, &data);
        assert_eq!(partial_files(&harness, hash).len(), 1, "one entry goes on");
        let store = open_read_only(&harness);
        assert_eq!(store.missing(hash).unwrap(), expected);
        assert!(
            matches!(store.status(hash), Status::Present(info) if info.state == State::Partial)
        );
    }
    let store = open(&harness);
    let received = receive(&store, &data, &groups(4..5));
    assert!(received.is_complete && received.new == GROUP as u64);
    assert_reads(&store, &data);
    assert_files(&harness, &only(&data));
}

/// A partial entry is a sparse file and an outboard of the same uuid, the size in front, the pairs above the
/// groups that are there at their places, and nothing else.
pub fn partial_entries_have_the_format<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let data = bytes(1, 100_000);
    let (hash, outboard) = oracle(&data);
    drop(receive(&store, &data, &groups(2..3)));
    let [(found, pairs)] = &partial_files(&harness, hash)[..] else {
        panic!("one entry");
    };
    let mut expected = vec![0; 2 * GROUP];
    expected.extend(&data[2 * GROUP..3 * GROUP]);
    assert!(*found == expected);
    // The root, the left half, its right half: pairs 0, 1 and 3 of the outboard.
    let mut expected = outboard[..8 + 4 * 64].to_vec();
    expected[8 + 2 * 64..8 + 3 * 64].fill(0);
    assert!(*pairs == expected);
    drop(receive(&store, &data, &groups(6..7)));
    let [(found, pairs)] = &partial_files(&harness, hash)[..] else {
        panic!("one entry");
    };
    let mut expected = vec![0; 100_000];
    for range in [2 * GROUP..3 * GROUP, 6 * GROUP..100_000] {
        expected[range.clone()].copy_from_slice(&data[range]);
    }
    assert!(*found == expected);
    let mut expected = outboard[..8 + 5 * 64].to_vec();
    expected[8 + 2 * 64..8 + 3 * 64].fill(0);
    assert!(pairs[..8 + 5 * 64] == expected && pairs.len() <= outboard.len());
}

/// A transfer that breaks off keeps what was verified, at whatever byte; what is received after that is only what
/// is missing.
pub fn a_broken_stream_is_resumed<H: StoreHarness>() {
    let data = bytes(1, 100_000);
    let (hash, all) = (Hash::of(&data), ChunkRanges::all());
    let stream = oracle_stream(&data, &all);
    for cut in [
        0,
        3,
        8,
        9,
        72,
        8 + 3 * 64,
        20_000,
        50_000,
        90_000,
        stream.len() - 1,
    ] {
        let harness = H::fresh();
        let store = open(&harness);
        let outcome = store.receive(hash, &all, &stream[..cut]);
        let missing = match outcome {
            Err(Error::Stream {
                source: StreamError::Truncated { missing },
                hash: h,
            }) if h == hash => missing,
            other => panic!("{other:?}"),
        };
        if cut >= 8 {
            assert_eq!(missing, (stream.len() - cut) as u64);
        }
        let outcome = store.receive(hash, &all, (&stream[..cut]).chain(Broken));
        assert_fails!(outcome, Error::Source(e) if e.kind() == io::ErrorKind::ConnectionReset);
        // The pairs, the groups: what has come whole.
        let came = (0..7).filter(|group| {
            let upto = oracle_stream(&data, &groups(0..group + 1)).len();
            // The pairs of the right half come only when they are reached.
            upto <= cut
        });
        let came = came.count() as u64;
        drop(store);
        let store = open(&harness);
        let found = store.available(hash).unwrap();
        assert_eq!(found.verified(), came * GROUP as u64, "cut at {cut}");
        let missing = store.missing(hash).unwrap();
        assert_eq!(missing, ChunkRanges::of_groups(came..));
        let received = receive(&store, &data, &missing);
        assert!(received.is_complete);
        assert_eq!(received.new, 100_000 - came * GROUP as u64);
        assert_files(&harness, &only(&data));
    }
}

/// A wrong stream is an error at its first wrong item, and not a byte of that gets anywhere.
/// BI-075.
pub fn a_wrong_stream_is_refused<H: StoreHarness>() {
    let data = bytes(1, 100_000);
    let (hash, all) = (Hash::of(&data), ChunkRanges::all());
    let stream = oracle_stream(&data, &all);
    let other = oracle_stream(&bytes(2, 100_000), &all);
    let mut swapped = stream.clone();
    let groups_at = 8 + 3 * 64;
    let (left, right) = swapped[groups_at..groups_at + 2 * GROUP].split_at_mut(GROUP);
    left.swap_with_slice(right);
    let edit = |at: usize| {
        let mut wrong = stream.clone();
        wrong[at] ^= 0x40;
        wrong
    };
    let cases: [(&str, Vec<u8>, u64); 8] = [
        ("another blob's", other, 0),
        ("a wrong root", edit(8), 0),
        ("a wrong pair", edit(8 + 64 + 40), 0),
        ("a wrong group", edit(groups_at + 5), 0),
        ("a wrong group later", edit(stream.len() - 1), 6),
        ("groups in the wrong order", swapped, 0),
        (
            "a pair left out",
            [&stream[..72], &stream[136..]].concat(),
            0,
        ),
        (
            "a group twice",
            [&stream[..groups_at + GROUP], &stream[groups_at..]].concat(),
            1,
        ),
    ];
    for (what, wrong, good) in cases {
        let harness = H::fresh();
        let store = open(&harness);
        let outcome = store.receive(hash, &all, &wrong[..]);
        assert_fails!(
            outcome,
            Error::Stream { source: StreamError::Pair { .. } | StreamError::Data { .. }, hash: h } if h == hash
        );
        assert_no_wrong_byte(&harness, &data);
        let found = store.available(hash).unwrap();
        assert_eq!(found.verified(), good * GROUP as u64, "{what}");
        if good == 0 {
            assert_files(&harness, &no_files());
        }
        let missing = store.missing(hash).unwrap();
        assert!(receive(&store, &data, &missing).is_complete, "{what}");
        assert_files(&harness, &only(&data));
    }
}

/// A stream that lies about the size proves nothing about the end, takes no space, and does not get into the way of
/// one that does not lie.
/// BI-040, BI-075, BI-077.
pub fn a_lying_size_does_no_harm<H: StoreHarness>() {
    let data = bytes(1, 100_000);
    let (hash, all) = (Hash::of(&data), ChunkRanges::all());
    let stream = oracle_stream(&data, &all);
    let lies = [
        0,
        1,
        99_999,
        100_001,
        1 << 20,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ];
    for (index, lie) in lies.into_iter().enumerate() {
        let harness = H::fresh();
        let store = open(&harness);
        // A part under the right size, before or after.
        let honest = |store: &StoreOf<H>| drop(receive(store, &data, &groups(1..2)));
        if index % 2 == 0 {
            honest(&store);
        }
        let mut wrong = stream.clone();
        wrong[..8].copy_from_slice(&lie.to_le_bytes());
        let outcome = store.receive(hash, &all, &wrong[..]);
        assert_fails!(outcome, Error::Stream { .. });
        if index % 2 == 1 {
            honest(&store);
        }
        assert_no_wrong_byte(&harness, &data);
        for (found, outboard) in partial_files(&harness, hash) {
            assert!(found.len() <= data.len() && outboard.len() < 1000, "{lie}");
        }
        // Where the other end says how long it is, that is not believed; where the last group does, it is.
        drop(store);
        let store = open(&harness);
        let received = receive(&store, &data, &groups(6..7));
        assert_eq!(received.size, 100_000);
        assert!(
            receive(&store, &data, &received.missing).is_complete,
            "{lie}"
        );
        drop(received);
        // And from now on it is known.
        let outcome = store.receive(hash, &all, &wrong[..]);
        assert_fails!(outcome, Error::Stream {
            source: StreamError::Size { claimed, proved: 100_000 }, ..
        } if claimed == lie);
        assert_files(&harness, &only(&data));
    }
}

/// What came under a wrong size is not received again once the right one is proved.
pub fn what_came_under_a_wrong_size_is_kept<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 100_000);
    let hash = Hash::of(&data);
    let store = open(&harness);
    let mut wrong = oracle_stream(&data, &groups(0..6));
    // As many groups, so that all of these verify.
    wrong[..8].copy_from_slice(&100_001_u64.to_le_bytes());
    drop(store.receive(hash, &groups(0..6), &wrong[..]).unwrap());
    assert_eq!(store.available(hash).unwrap().size, 100_001);
    let received = receive(&store, &data, &groups(6..7));
    assert!(received.is_complete && received.new == 1696);
    assert_files(&harness, &only(&data));
}

/// Several partial entries are one blob: the one with most goes on, and gets what the others have; none goes before
/// the blob is whole.
pub fn parts_of_several_entries_are_put_together<H: StoreHarness>() {
    let harness = H::fresh();
    let data = plant_two_parts(&harness);
    let hash = Hash::of(&data);
    let before = files(&harness);
    let store = open(&harness);
    let partial = store.partial_blob(hash).unwrap();
    assert_eq!(partial.missing(), store.missing(hash).unwrap());
    assert_eq!(partial.available(), store.available(hash).unwrap());
    drop(partial);
    let after = files(&harness);
    assert!(before.keys().all(|name| after.contains_key(name)));
    // Groups 0 and 1 are more than group 3 and the end.
    let changed: Vec<_> = before
        .iter()
        .filter(|(name, bytes)| after[*name] != **bytes)
        .collect();
    assert!(
        matches!(&changed[..], [(FileName::PartialData(..), bytes)] if bytes.len() == 2 * GROUP)
    );
    let received = receive(&store, &data, &groups(2..3));
    assert!(!received.is_complete && received.new == GROUP as u64);
    let received = receive(&store, &data, &received.missing.clone());
    assert!(received.is_complete && received.new == 2 * GROUP as u64);
    assert_files(&harness, &only(&data));
}

/// Not the longest file wins but the one with most that is right: damage and holes are received again.
pub fn what_is_damaged_of_a_part_is_missing<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 100_000);
    let (hash, outboard) = oracle(&data);
    drop(open(&harness));
    let mut large = data.clone();
    for group in 1..7 {
        large[group * GROUP] ^= 1;
    }
    let small = data[..3 * GROUP].to_vec();
    for content in [&large, &small] {
        let uuid = fresh_uuid();
        plant_staged(&harness, &FileName::PartialData(hash, uuid), content);
        plant_staged(&harness, &FileName::PartialOutboard(hash, uuid), &outboard);
    }
    let store = open(&harness);
    assert_eq!(store.available(hash).unwrap().groups, [0..3]);
    drop(receive(&store, &data, &groups(3..4)));
    let found = partial_files(&harness, hash);
    assert!(
        found.iter().any(|(bytes, _)| *bytes == large),
        "the other one is untouched"
    );
    assert!(found.iter().any(|(bytes, _)| *bytes == data[..4 * GROUP]));
    let missing = store.missing(hash).unwrap();
    assert_eq!(missing, ChunkRanges::of_groups(4..));
    assert!(receive(&store, &data, &missing).is_complete);
    // What has bytes that are not the blob's is nobody's to throw away.
    let mut found = files(&harness);
    let left = found.extract_if(.., |name, _| matches!(name, FileName::PartialData(..)));
    let left: Vec<_> = left.map(|(_, bytes)| bytes).collect();
    assert!(left == [large]);
    found.retain(|name, _| !matches!(name, FileName::PartialOutboard(..)));
    assert!(found == only(&data));
}

/// Partial entries of blobs of one group are kept over an opening, whole ones as well, and completed when somebody
/// asks for them.
pub fn small_partial_blobs_survive<H: StoreHarness>() {
    for size in [0, 1, 5000, GROUP] {
        let harness = H::fresh();
        let data = bytes(1, size);
        let hash = Hash::of(&data);
        drop(open(&harness));
        let uuid = fresh_uuid();
        let prefix = (size as u64).to_le_bytes();
        plant_staged(&harness, &FileName::PartialData(hash, uuid), &data);
        plant_staged(&harness, &FileName::PartialOutboard(hash, uuid), &prefix);
        let before = files(&harness);
        let store = open(&harness);
        assert_files(&harness, &before);
        assert!(store.available(hash).unwrap().is_whole());
        assert!(store.missing(hash).unwrap().is_empty());
        let received = store.partial_blob(hash).unwrap().finish().unwrap();
        assert!(received.is_complete && received.new == 0);
        assert_reads(&store, &data);
        assert_files(&harness, &only(&data));
    }
    // What a crash between the two steps of a completion leaves.
    let harness = H::fresh();
    let data = bytes(1, 5000);
    put(&open(&harness), &data);
    let half = FileName::PartialOutboard(Hash::of(&data), fresh_uuid());
    plant_staged(&harness, &half, &5000_u64.to_le_bytes());
    let (store, recovery) = recover(&harness);
    assert_eq!(recovery.removed, [half]);
    assert!(recovery.unpaired.is_empty());
    drop(store);
    assert_files(&harness, &only(&data));
}

/// Partial data whose outboard has its final name already, since a step was interrupted, are completed by what is
/// missing.
pub fn a_part_with_a_final_outboard_is_completed<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 100_000);
    let (hash, outboard) = oracle(&data);
    drop(open(&harness));
    plant(&harness, &FileName::Outboard(hash), &outboard);
    plant_staged(
        &harness,
        &FileName::PartialData(hash, fresh_uuid()),
        &data[..3 * GROUP],
    );
    let store = open(&harness);
    assert_eq!(store.available(hash).unwrap().groups, [0..3]);
    let received = receive(&store, &data, &ChunkRanges::of_groups(3..));
    assert!(received.is_complete && received.new == 100_000 - 3 * GROUP as u64);
    assert_files(&harness, &only(&data));
}

/// A complete blob is not touched by a stream of it; a wrong one is told.
pub fn a_complete_blob_stays<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    for size in [5000, 100_000] {
        let data = bytes(size, size);
        let hash = put(&store, &data);
        let before = files(&harness);
        for ranges in some_ranges() {
            let received = receive(&store, &data, &ranges);
            assert!(received.is_complete && received.missing.is_empty());
            assert_eq!((received.new, received.size), (0, size as u64));
        }
        let mut wrong = oracle_stream(&data, &ChunkRanges::all());
        *wrong.last_mut().unwrap() ^= 1;
        let outcome = store.receive(hash, &ChunkRanges::all(), &wrong[..]);
        assert_fails!(outcome, Error::Stream { .. });
        wrong[0] ^= 1;
        let outcome = store.receive(hash, &ChunkRanges::all(), &wrong[..]);
        assert_fails!(
            outcome,
            Error::Stream {
                source: StreamError::Size { .. },
                ..
            }
        );
        assert_files(&harness, &before);
    }
}

/// A group that a complete blob has wrong is kept beside it: the blob reads, and repair puts it in its place.
pub fn a_damaged_group_is_received<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 100_000);
    let hash = put(&open(&harness), &data);
    flip(&harness, &FileName::Data(hash), 2 * GROUP);
    let damaged = files(&harness).remove(&FileName::Data(hash)).unwrap();
    let store = open(&harness);
    assert!(store.read(hash, 1 << 20).is_err());
    assert_eq!(store.partial_blob(hash).unwrap().missing(), groups(2..3));
    let received = receive(&store, &data, &ChunkRanges::all());
    assert_eq!((received.is_complete, received.new), (true, GROUP as u64));
    assert!(store.read(hash, 1 << 20).unwrap() == data);
    assert!(files(&harness)[&FileName::Data(hash)] == damaged);
    drop(store);
    let store = open(&harness);
    assert!(store.read(hash, 1 << 20).unwrap() == data);
    store
        .repair(&RepairOptions::default(), &mut |_| {}, &mut unwatched)
        .unwrap();
    // The data are whole without what was kept beside them.
    let received = store.partial_blob(hash).unwrap().finish().unwrap();
    assert!(received.is_complete && received.new == 0);
    assert_files(&harness, &only(&data));
}

/// Repair makes a damaged blob a partial one, and the one group that it lacks makes it whole.
pub fn a_demoted_blob_lacks_its_damage_only<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 100_000);
    let hash = put(&open(&harness), &data);
    flip(&harness, &FileName::Data(hash), 5 * GROUP + 9);
    let store = open(&harness);
    store
        .repair(&RepairOptions::default(), &mut |_| {}, &mut unwatched)
        .unwrap();
    assert_eq!(store.missing(hash).unwrap(), groups(5..6));
    let received = receive(&store, &data, &groups(5..6));
    assert!(received.is_complete && received.new == GROUP as u64);
    assert_reads(&store, &data);
    assert_files(&harness, &only(&data));
    let mut found = Vec::new();
    let mut each = |checked| {
        if let flatbao_core::store::Checked::Finding(finding) = checked {
            found.push(finding);
        }
        ControlFlow::Continue(())
    };
    let options = VerifyOptions::default().depth(Depth::Deep);
    store.verify(&options, &mut each, &mut unwatched).unwrap();
    assert_eq!(found, []);
}

/// Bytes are fed as they arrive, one at a time if need be; less than a group is held until the rest of it comes,
/// also with another stream.
pub fn a_partial_blob_is_fed<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let data = bytes(1, 40_000);
    let hash = Hash::of(&data);
    let mut partial = store.partial_blob(hash).unwrap();
    assert_eq!(partial.hash(), hash);
    assert_eq!(partial.missing(), ChunkRanges::all());
    assert_eq!(partial.remaining(), Some(0));
    assert_eq!(partial.feed(b"nobody asked").unwrap(), 0);
    // Chunks 0 to 9, then the rest of the first group and half of the second.
    for (chunks, missing) in [
        (0..9, ChunkRanges::all()),
        (9..24, ChunkRanges::of_groups(1..)),
    ] {
        let ranges = ChunkRanges::of_chunks(chunks);
        let stream = oracle_stream(&data, &ranges);
        partial.begin(&ranges).unwrap();
        assert_eq!(partial.remaining(), None);
        for (at, byte) in stream.iter().enumerate() {
            assert_eq!(partial.feed(&[*byte]).unwrap(), 1);
            let left = (stream.len() - at - 1) as u64;
            assert_eq!(partial.remaining(), (at >= 7).then_some(left));
        }
        assert_eq!(partial.feed(b"behind the end").unwrap(), 0);
        assert_eq!(partial.missing(), missing);
    }
    partial.flush().unwrap();
    assert_eq!(store.available(hash).unwrap().groups, [0..1]);
    // The end, and the rest of the second group; in one piece, with something behind it.
    let ranges = ChunkRanges::of_chunks(24..);
    let mut stream = oracle_stream(&data, &ranges);
    let len = stream.len();
    stream.extend(b"more");
    partial.begin(&ranges).unwrap();
    assert_eq!(partial.feed(&stream).unwrap(), len);
    assert!(partial.is_whole() && partial.missing().is_empty());
    assert!(matches!(store.status(hash), Status::Present(info) if info.state == State::Partial));
    let received = partial.finish().unwrap();
    assert!(received.is_complete && received.new == 40_000);
    assert_files(&harness, &only(&data));
}

/// Groups of which only some chunks have come are held in memory, but no more than a few of them: the others have to
/// be received once more.
pub fn few_parts_of_groups_are_held<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let data = bytes(1, 100 * GROUP);
    let mut partial = store.partial_blob(Hash::of(&data)).unwrap();
    let chunks_of = |first: u64, count: u64| {
        let chunks = |group: u64| {
            let start = group * 16 + first;
            ChunkRanges::of_chunks(start..start + count)
        };
        let all = (0..100).map(chunks);
        all.fold(ChunkRanges::empty(), |all, one| all.union(&one))
    };
    for ranges in [chunks_of(0, 5), chunks_of(5, 11)] {
        partial.begin(&ranges).unwrap();
        let stream = oracle_stream(&data, &ranges);
        assert_eq!(partial.feed(&stream).unwrap(), stream.len());
    }
    // The second stream has the rest of every group; of the last ones the beginning was not kept.
    let found = partial.available().groups;
    let [found] = &found[..] else {
        panic!("{found:?}");
    };
    assert!(
        found.start == 0 && (50..70).contains(&found.end),
        "{found:?}"
    );
    let missing = partial.missing();
    partial.begin(&missing).unwrap();
    partial.feed(&oracle_stream(&data, &missing)).unwrap();
    assert!(partial.finish().unwrap().is_complete);
    assert_files(&harness, &only(&data));
}

/// After an error the blob goes on with another stream; dropped without an end, it keeps what was verified.
pub fn a_partial_blob_outlives_a_wrong_stream<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let data = bytes(1, 100_000);
    let (hash, all) = (Hash::of(&data), ChunkRanges::all());
    let mut wrong = oracle_stream(&data, &all);
    let at = wrong.len() - 5000;
    wrong[at] ^= 1;
    let mut partial = store.partial_blob(hash).unwrap();
    partial.begin(&all).unwrap();
    assert_fails!(partial.feed(&wrong), Error::Stream { .. });
    assert_eq!(
        partial.feed(&wrong[100..]).unwrap(),
        0,
        "that stream is over"
    );
    assert_eq!(partial.missing(), ChunkRanges::of_groups(5..));
    // Another one, broken off in the middle of a group.
    let rest = partial.missing();
    let stream = oracle_stream(&data, &rest);
    partial.begin(&rest).unwrap();
    partial.feed(&stream[..stream.len() - 1000]).unwrap();
    partial.begin(&groups(6..7)).unwrap();
    drop(partial);
    let store_again = open_read_only(&harness);
    assert_eq!(store_again.available(hash).unwrap().groups, [0..6]);
    assert!(receive(&store, &data, &groups(6..7)).is_complete);
    assert_files(&harness, &only(&data));
}

/// Two receive one blob at once: each has an entry of its own, the first that is whole completes it, and nothing
/// is left of the other.
pub fn two_receive_one_blob<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let data = bytes(1, 100_000);
    let (hash, all) = (Hash::of(&data), ChunkRanges::all());
    let stream = oracle_stream(&data, &all);
    let mut one = store.partial_blob(hash).unwrap();
    let mut two = store.partial_blob(hash).unwrap();
    for partial in [&mut one, &mut two] {
        partial.begin(&all).unwrap();
    }
    for piece in [0..40_000, 40_000..70_000] {
        for partial in [&mut one, &mut two] {
            partial.feed(&stream[piece.clone()]).unwrap();
            partial.flush().unwrap();
        }
    }
    assert_eq!(partial_files(&harness, hash).len(), 2);
    // What others are filling is left to them.
    let three = store.partial_blob(hash).unwrap();
    assert_eq!(three.missing(), ChunkRanges::all());
    drop(three);
    two.feed(&stream[70_000..]).unwrap();
    assert!(two.finish().unwrap().is_complete);
    assert_reads(&store, &data);
    one.feed(&stream[70_000..90_000]).unwrap();
    let received = one.finish().unwrap();
    assert!(received.is_complete && received.missing.is_empty());
    assert_files(&harness, &only(&data));
    // Also when an import is faster.
    store.delete(hash, true).unwrap_err();
    drop(received);
    store.delete(hash, true).unwrap();
    let mut partial = store.partial_blob(hash).unwrap();
    partial.begin(&all).unwrap();
    partial.feed(&stream[..50_000]).unwrap();
    put(&store, &data);
    partial.feed(&stream[50_000..]).unwrap();
    assert!(partial.finish().unwrap().is_complete);
    assert_files(&harness, &only(&data));
}

/// What is being received is not collected, nor what was, as long as it is held; after that only a tag keeps it.
pub fn what_is_received_is_kept_while_it_is_held<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let data = bytes(1, 100_000);
    let (hash, all) = (Hash::of(&data), ChunkRanges::all());
    let stream = oracle_stream(&data, &all);
    let early = plan(&store);
    let mut partial = store.partial_blob(hash).unwrap();
    partial.begin(&all).unwrap();
    partial.feed(&stream[..50_000]).unwrap();
    assert!(removed(&collect(&store)).is_empty());
    let late = plan(&store);
    assert_fails!(store.delete(hash, true), Error::InUse { .. });
    partial.feed(&stream[50_000..60_000]).unwrap();
    let received = partial.finish().unwrap();
    assert!(!received.is_complete);
    assert!(removed(&collect(&store)).is_empty());
    // Tagged, it is kept though it is not whole.
    store.set_tag(tag("part"), raw(hash)).unwrap();
    drop(received);
    for plan in [early, late] {
        let swept = store.sweep(plan).unwrap();
        assert!(removed(&swept).is_empty() && spared(&swept).is_empty());
    }
    assert!(removed(&collect(&store)).is_empty());
    assert!(store.available(hash).unwrap().verified() > 0);
    store.remove_tag(&tag("part")).unwrap();
    // Planned while nothing held it, begun again before it is swept.
    let planned = plan(&store);
    assert_eq!(planned.items().len(), 1);
    let partial = store.partial_blob(hash).unwrap();
    assert_eq!(spared(&store.sweep(planned).unwrap()), [hash]);
    drop(partial);
    assert_eq!(removed(&collect(&store)), [hash]);
    assert_gone(&harness, &store, hash);
    assert_files(&harness, &no_files());
}

/// A hash sequence that is received keeps what it lists from the moment on it is whole, and stops no collection
/// before.
pub fn a_received_sequence_keeps_its_children<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let children: Vec<Hash> = (0..1000).map(|i| Hash::of(&bytes(i, 10))).collect();
    let child = put(&store, &bytes(7, 10));
    let held = store.temp_tag(raw(child));
    let data = sequence(&children);
    let options = ReceiveOptions::default().format(BlobFormat::HashSeq);
    let part = groups(0..1);
    let stream = oracle_stream(&data, &part);
    let hash = Hash::of(&data);
    let received = store
        .receive_with(hash, &part, &stream[..], options, &mut unwatched)
        .unwrap();
    assert_eq!(received.tag.value(), raw(hash));
    assert!(removed(&collect(&store)).is_empty());
    let rest = received.missing.clone();
    let stream = oracle_stream(&data, &rest);
    drop(received);
    let received = store
        .receive_with(hash, &rest, &stream[..], options, &mut unwatched)
        .unwrap();
    assert_eq!(received.tag.value(), seq(hash));
    drop(held);
    assert!(removed(&collect(&store)).is_empty());
    drop(received);
    assert_eq!(removed(&collect(&store)).len(), 2);
}

/// An opening that does not write receives nothing, one that cannot delete keeps every entry.
pub fn receiving_needs_a_store_that_is_written<H: StoreHarness>() {
    let harness = H::fresh();
    let data = plant_two_parts(&harness);
    let hash = Hash::of(&data);
    let before = files(&harness);
    let store = open_read_only(&harness);
    let outcome = store.receive(hash, &ChunkRanges::all(), &[][..]);
    assert_fails!(outcome, Error::NotWritable(NotWritable::ReadOnly));
    assert_fails!(
        store.partial_blob(hash),
        Error::NotWritable(NotWritable::ReadOnly)
    );
    assert_files(&harness, &before);
    let options = flatbao_core::OpenOptions::default().locking(flatbao_core::store::Locking::None);
    let (store, _) =
        Store::open_with(harness.open(), harness.env(), options, &mut unwatched).unwrap();
    let missing = store.missing(hash).unwrap();
    assert!(receive(&store, &data, &missing).is_complete);
    assert_reads(&store, &data);
    assert_eq!(
        partial_files(&harness, hash).len(),
        1,
        "the other one stays"
    );
    drop(store);
    let store = open(&harness);
    assert!(
        store
            .partial_blob(hash)
            .unwrap()
            .finish()
            .unwrap()
            .is_complete
    );
    assert_eq!(
        partial_files(&harness, hash).len(),
        1,
        "nobody proved the other one"
    );
    put(&store, &data);
    assert!(
        store
            .partial_blob(hash)
            .unwrap()
            .finish()
            .unwrap()
            .is_complete
    );
    assert_files(&harness, &only(&data));
}

/// Receiving is watched and stopped; looking at what is there as well. What came stays.
pub fn receiving_can_be_stopped<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let data = bytes(1, 3_000_000);
    let (hash, all) = (Hash::of(&data), ChunkRanges::all());
    let stream = oracle_stream(&data, &all);
    let options = ReceiveOptions::default();
    let len = stream.len() as u64;
    let mut stop = stop_at(
        |step| matches!(step, Progress::Received { bytes, total } if bytes > 900_000 && total == len),
    );
    let outcome = store.receive_with(hash, &all, &stream[..], options, &mut stop);
    assert_fails!(outcome, Error::Cancelled);
    let found = store.available(hash).unwrap();
    assert!(found.verified() > 800_000 && !found.is_whole());
    let looks = || stop_at(|step| matches!(step, Progress::Verified { .. }));
    assert_fails!(store.available_with(hash, &mut looks()), Error::Cancelled);
    let outcome = store.receive_with(hash, &all, &stream[..], options, &mut looks());
    assert_fails!(outcome, Error::Cancelled);
    assert_eq!(store.available(hash).unwrap(), found);
    assert!(receive(&store, &data, &found.missing()).is_complete);
    assert_files(&harness, &only(&data));
}

/// A tag on a blob that is there in part is durable, and so is its blob once it is complete.
pub fn a_completed_blob_is_durable<H: StoreHarness>() {
    let mut harness = H::fresh();
    let data = bytes(1, 100_000);
    let hash = Hash::of(&data);
    let store = open(&harness);
    store.set_tag(tag("it"), raw(hash)).unwrap();
    drop(receive(&store, &data, &groups(0..3)));
    let rest = store.missing(hash).unwrap();
    drop(receive(&store, &data, &rest));
    drop(store);
    if !harness.lose_power() {
        return;
    }
    let store = open(&harness);
    assert_reads(&store, &data);
    drop(store);
    let mut expected = only(&data);
    expected.insert(FileName::Tags, tags_file(&[(b"it", raw(hash))]));
    assert_files(&harness, &expected);
    uproot(&harness, &FileName::Outboard(hash));
    assert_reads(&open(&harness), &data);
    let reader = open_read_only(&harness).reader(hash).unwrap();
    assert_eq!(reader.size().unwrap(), 100_000);
}
