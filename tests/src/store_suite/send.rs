//! Streams that leave a store, and what of a blob is there.

// One range is a list of one.
#![allow(clippy::single_range_in_vec_init)]

use std::io::{self, Read, Write};

use flatbao_core::{
    Backend, ChunkRanges, Damage, Error, FileName, Hash, Store,
    progress::unwatched,
    store::{SendOptions, State, Status},
};

use super::{
    GROUP, StoreHarness, assert_fails, bytes, flip, fresh_uuid, open, open_read_only, oracle,
    plant_staged, put, put_external, uproot,
};
pub(crate) use crate::oracle::stream as oracle_stream;

/// What a store sends.
pub(crate) fn stream<B: Backend>(store: &Store<B>, hash: Hash, ranges: &ChunkRanges) -> Vec<u8> {
    let mut stream = Vec::new();
    let sent = store.send(hash, ranges, &mut stream).unwrap();
    assert_eq!(sent.stream, stream.len() as u64);
    stream
}

pub(crate) fn groups(range: std::ops::Range<u64>) -> ChunkRanges {
    ChunkRanges::of_groups(range)
}

/// Sets of every shape: whole groups, parts of them, holes, the end, behind the end, nothing.
pub(crate) fn some_ranges() -> Vec<ChunkRanges> {
    let sets: [&[u64]; 14] = [
        &[],
        &[0],
        &[0, 1],
        &[15, 17],
        &[16, 32],
        &[3, 5, 20, 40, 41],
        &[0, 16, 32, 48],
        &[1],
        &[96, 98],
        &[97],
        &[98],
        &[1 << 40, 1 << 41],
        &[u64::MAX],
        &[0, 2, u64::MAX - 1],
    ];
    let set = |boundaries: &&[u64]| ChunkRanges::from_boundaries(boundaries).unwrap();
    sets.iter().map(set).collect()
}

/// Two halves of one partial blob: the first has groups 0 and 1, the second group 3 and the last one. Returns
/// its bytes.
pub(crate) fn plant_two_parts<H: StoreHarness>(harness: &H) -> Vec<u8> {
    let data = bytes(9, 100_000);
    let (hash, outboard) = oracle(&data);
    drop(open(harness));
    let parts: [&[std::ops::Range<usize>]; 2] =
        [&[0..2 * GROUP], &[3 * GROUP..4 * GROUP, 6 * GROUP..100_000]];
    for ranges in parts {
        let mut sparse = vec![0; ranges.last().unwrap().end];
        for range in ranges {
            sparse[range.clone()].copy_from_slice(&data[range.clone()]);
        }
        let uuid = fresh_uuid();
        plant_staged(harness, &FileName::PartialData(hash, uuid), &sparse);
        plant_staged(harness, &FileName::PartialOutboard(hash, uuid), &outboard);
    }
    data
}

/// What a store sends is what bao-tree encodes, byte for byte, the size in front or not; owned or external, with
/// an outboard or without; and it says how much that is.
pub fn streams_are_those_of_bao_tree<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    for size in [0, 1, 1024, 1025, 10_000, GROUP, GROUP + 1, 100_000, 100_352] {
        let data = bytes(size, size);
        let hash = if size == 100_000 {
            let path = put_external(&harness, "file", &data);
            store.import_reference(&path).unwrap().hash
        } else {
            put(&store, &data)
        };
        for ranges in some_ranges() {
            let expected = oracle_stream(&data, &ranges);
            assert!(
                stream(&store, hash, &ranges) == expected,
                "{size} bytes, {ranges}"
            );
            let options = SendOptions::default().with_size(false);
            let mut bare = Vec::new();
            let sent = store.send_with(hash, &ranges, &mut bare, options, &mut unwatched);
            let sent = sent.unwrap();
            assert!(bare == expected[8..]);
            assert_eq!(
                (sent.size, sent.stream),
                (size as u64, ranges.stream_len(size as u64))
            );
        }
        let sent = store.send(hash, &ChunkRanges::all(), io::sink()).unwrap();
        assert_eq!(sent.data, size as u64);
    }
    // Beyond a page of 256 groups, and without the outboard.
    let data = bytes(1, 300 * GROUP + 5);
    let hash = put(&store, &data);
    let ranges = ChunkRanges::from_boundaries(&[5, 40, 4080, 4100, 4700, 4801]).unwrap();
    drop(store);
    for _ in 0..2 {
        for store in [open_read_only(&harness), open(&harness)] {
            for ranges in [&ranges, &ChunkRanges::all()] {
                assert!(stream(&store, hash, ranges) == oracle_stream(&data, ranges));
            }
        }
        if harness
            .open()
            .open(&FileName::Outboard(hash))
            .unwrap()
            .is_some()
        {
            uproot(&harness, &FileName::Outboard(hash));
        }
    }
}

/// A damaged group ends the stream before any byte of it; what comes before it is right, and what does not
/// touch it is sent. A damaged outboard does not matter.
pub fn no_damage_is_sent<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(3, 100_000);
    let hash = put(&open(&harness), &data);
    flip(&harness, &FileName::Data(hash), 3 * GROUP + 7);
    flip(&harness, &FileName::Outboard(hash), 8 + 64 + 3);
    let store = open(&harness);
    let whole = oracle_stream(&data, &ChunkRanges::all());
    // Data that do not hash to the name cannot make the outboard again: nothing tells what is right below the pair.
    let mut sent = Vec::new();
    let outcome = store.send(hash, &ChunkRanges::all(), &mut sent);
    assert_fails!(
        outcome,
        Error::Corrupt {
            damage: Damage::Outboard { offset: 0 },
            ..
        }
    );
    // The size, and the pair above it.
    assert!(whole.starts_with(&sent) && sent.len() == 8 + 64);
    for good in [groups(4..7), ChunkRanges::last_chunk()] {
        assert!(stream(&store, hash, &good) == oracle_stream(&data, &good));
    }
    drop(store);
    flip(&harness, &FileName::Outboard(hash), 8 + 64 + 3);
    let store = open(&harness);
    let mut sent = Vec::new();
    let outcome = store.send(hash, &ChunkRanges::all(), &mut sent);
    assert_fails!(
        outcome,
        Error::Corrupt { damage: Damage::Group { offset, .. }, .. } if offset == 3 * GROUP as u64
    );
    // The size, four pairs above groups 0 and 1, two groups, a pair, group 2.
    assert!(whole.starts_with(&sent) && sent.len() == 8 + 4 * 64 + 3 * GROUP);
    for good in [groups(0..3), groups(4..7), ChunkRanges::last_chunk()] {
        assert!(stream(&store, hash, &good) == oracle_stream(&data, &good));
    }
    drop(store);
    let small = put(&open(&harness), &bytes(4, 5000));
    flip(&harness, &FileName::Data(small), 4999);
    let mut sent = Vec::new();
    let outcome = open(&harness).send(small, &ChunkRanges::of_bytes(..), &mut sent);
    assert_fails!(outcome, Error::Corrupt { .. });
    assert!(sent.is_empty());
}

/// A writer that fails is told apart from a store that fails, and nothing is there of a blob that is not.
pub fn a_failing_writer_is_told<H: StoreHarness>() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let len = bytes.len().min(self.0);
            self.0 -= len;
            match len {
                0 => Err(io::ErrorKind::StorageFull.into()),
                len => Ok(len),
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let harness = H::fresh();
    let store = open(&harness);
    let hash = put(&store, &bytes(1, 200_000));
    for room in [0, 100, 100_000] {
        let outcome = store.send(hash, &ChunkRanges::all(), Full(room));
        assert_fails!(outcome, Error::Sink(e) if e.kind() == io::ErrorKind::StorageFull);
    }
    let missing = Hash::of(b"missing");
    for store in [open_read_only(&harness), store] {
        let outcome = store.send(missing, &ChunkRanges::all(), io::sink());
        assert_fails!(outcome, Error::NotFound(h) if h == missing);
        let found = store.available(missing).unwrap();
        assert_eq!((found.verified(), found.is_whole()), (0, false));
        assert_eq!(found.missing(), ChunkRanges::all());
    }
}

/// What partial entries have is read and sent, wherever it is, and everything else is an error: a byte of it
/// never zeros, an end never guessed.
pub fn what_is_there_of_a_blob_is_served<H: StoreHarness>() {
    let harness = H::fresh();
    let data = plant_two_parts(&harness);
    let hash = Hash::of(&data);
    for store in [open_read_only(&harness), open(&harness)] {
        assert!(
            matches!(store.status(hash), Status::Present(info) if info.state == State::Partial)
        );
        assert_fails!(store.reader(hash), Error::Incomplete(h) if h == hash);
        let found = store.available(hash).unwrap();
        assert_eq!((found.size, found.is_size_proved), (100_000, true));
        assert_eq!(found.groups, [0..2, 3..4, 6..7]);
        assert_eq!(found.verified(), 3 * GROUP as u64 + 1696);
        assert_eq!(
            found.ranges(),
            ChunkRanges::from_boundaries(&[0, 32, 48, 64, 96, 98]).unwrap()
        );
        let missing = ChunkRanges::from_boundaries(&[32, 48, 64, 96]).unwrap();
        assert_eq!(store.missing(hash).unwrap(), missing);

        let mut reader = store.partial_reader(hash).unwrap();
        assert_eq!(reader.proven_size().unwrap(), 100_000);
        for (offset, len) in [
            (0, 5),
            (GROUP - 3, 7),
            (3 * GROUP, GROUP),
            (6 * GROUP, 1696),
            (99_999, 9),
        ] {
            let mut buf = vec![0xaa; len];
            let read = flatbao_core::io::read_full_at(&reader, &mut buf, offset as u64).unwrap();
            assert!(buf[..read] == data[offset..data.len().min(offset + len)] && read > 0);
        }
        // Up to the hole, and not a byte of it.
        let mut found = Vec::new();
        let outcome = reader.read_to_end(&mut found);
        assert!(outcome.is_err() && found == data[..2 * GROUP]);
        for offset in [2 * GROUP, 2 * GROUP + 5, 5 * GROUP, 6 * GROUP - 1] {
            for len in [1, GROUP, 2 * GROUP] {
                let mut buf = vec![0xaa; len];
                let outcome = reader.read_verified(&mut buf, offset as u64);
                let first = offset / GROUP * GROUP;
                assert_fails!(outcome, Error::MissingGroup { offset, .. } if offset == first as u64);
                assert!(buf.iter().all(|byte| *byte == 0xaa));
            }
        }
        assert_eq!(reader.read_verified(&mut [0; 9], 100_000).unwrap(), 0);

        for ranges in [
            groups(0..2),
            groups(3..4),
            groups(6..9),
            ChunkRanges::of_chunks(50..51),
            ChunkRanges::last_chunk(),
        ] {
            assert!(
                stream(&store, hash, &ranges) == oracle_stream(&data, &ranges),
                "{ranges}"
            );
        }
        let mut sent = Vec::new();
        let outcome = store.send(hash, &groups(1..4), &mut sent);
        assert_fails!(outcome, Error::MissingGroup { offset, .. } if offset == 2 * GROUP as u64);
        assert!(oracle_stream(&data, &groups(1..4)).starts_with(&sent));
    }
}

/// As long as the last group is missing nothing says where the end is, whatever a file claims.
pub fn a_claimed_size_is_not_exposed<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(2, 70_000);
    let (hash, mut outboard) = oracle(&data);
    drop(open(&harness));
    let uuid = fresh_uuid();
    plant_staged(&harness, &FileName::PartialData(hash, uuid), &data[..GROUP]);
    // As many groups, and another size.
    outboard[..8].copy_from_slice(&66_000_u64.to_le_bytes());
    plant_staged(&harness, &FileName::PartialOutboard(hash, uuid), &outboard);
    for store in [open_read_only(&harness), open(&harness)] {
        let found = store.available(hash).unwrap();
        assert_eq!((found.size, found.is_size_proved), (66_000, false));
        assert_eq!(found.groups, [0..1]);
        assert_eq!(found.missing(), ChunkRanges::of_groups(1..));
        let reader = store.partial_reader(hash).unwrap();
        assert_fails!(
            reader.proven_size(),
            Error::MissingGroup { offset: 65_536, .. }
        );
        for offset in [65_999, 66_000, 70_000, u64::MAX] {
            let outcome = reader.read_verified(&mut [0; 4], offset);
            assert_fails!(outcome, Error::MissingGroup { .. });
        }
        let mut buf = vec![0; GROUP];
        assert_eq!(reader.read_verified(&mut buf, 0).unwrap(), GROUP);
        assert!(buf == data[..GROUP]);
        let outcome = store.send(hash, &ChunkRanges::last_chunk(), io::sink());
        assert_fails!(outcome, Error::MissingGroup { .. });
    }
}
