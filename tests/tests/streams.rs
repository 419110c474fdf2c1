//! Streams by the thousand: every cut, every wrong byte, every order in which the parts of a blob may come; and
//! the partial entries that the peer left.

// A test reports by panicking, and so do its helpers; what it casts is small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    ops::Range,
    sync::Barrier,
    thread,
};

use bao_tree::{
    BaoTree,
    io::{BaoContentItem, sync::DecodeResponseIter},
};
use common::{GROUP, Machine, bytes, outboard, raw, read, real_files, tag};
use flatbao_core::{
    Backend, ChunkRanges, Env, Error, FileName, FlatDir, Hash, ListedName, Store, StreamError,
    Uuid,
    io::{read_capped, write_all_at},
    store::{PartialBlob, State, Status},
};
use flatbao_fs::{open_ambient, system_env};
use flatbao_mem::{MemBackend, seeded_env};
use flatbao_tests::{
    fixtures::{folder, lcg},
    oracle::{self, stream as stream_of},
    platform,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::Value;

/// Bytes of a stream of 100 KiB: the size, six pairs, seven groups.
const LONG: usize = 100 * 1024;

/// Whether bao-tree's own decoder takes a stream, and finds the data in it.
fn bao_tree_reads(data: &[u8], ranges: &ChunkRanges, stream: &[u8]) -> Result<(), String> {
    let tree = BaoTree::new(data.len() as u64, oracle::GROUPS);
    let ranges = oracle::ranges(ranges);
    let root = blake3::Hash::from_bytes(*Hash::of(data).as_bytes());
    let mut rest = stream;
    for item in DecodeResponseIter::new(root, tree, &mut rest, &ranges) {
        if let BaoContentItem::Leaf(leaf) = item.map_err(|error| error.to_string())? {
            let start = leaf.offset as usize;
            if data.get(start..start + leaf.data.len()) != Some(&leaf.data[..]) {
                return Err(format!("other data at {start}"));
            }
        }
    }
    match rest.len() {
        0 => Ok(()),
        left => Err(format!("{left} bytes left")),
    }
}

fn in_memory() -> (MemBackend, Store<MemBackend>) {
    let backend = MemBackend::new();
    let (store, _) = Store::open(backend.clone(), seeded_env(1)).unwrap();
    (backend, store)
}

/// What a back end has of a blob in partial files: the bytes of the data, or none.
fn partial_data(backend: &MemBackend, hash: Hash) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    backend
        .list(&mut |entry| {
            if let ListedName::Typed(name @ FileName::PartialData(of, _)) = entry.name
                && *of == hash
            {
                names.push(name.clone());
            }
        })
        .unwrap();
    let open = |name| backend.open(name).unwrap().unwrap();
    let read = |name| read_capped(&open(name), 1 << 30).unwrap();
    names.iter().map(read).collect()
}

/// How many whole groups have come when a stream of all of a blob of [`LONG`] bytes was cut here.
fn groups_in(cut: usize) -> u64 {
    let ends = (1..=7).map(|count| {
        let all = ChunkRanges::of_groups(..count);
        // In pre-order the pairs of a group come right before it, so that what is before its end is a stream.
        8 + all.stream_len(LONG as u64) as usize
    });
    ends.filter(|end| *end <= cut).count() as u64
}

/// Issue: every single byte that is wrong in a stream is an error, and no wrong byte is ever stored. What came
/// before it is.
fn wrong_bytes(which: Range<usize>) {
    let data = bytes(1, LONG);
    let hash = Hash::of(&data);
    let all = ChunkRanges::all();
    let mut stream = stream_of(&data, &all);
    let (backend, store) = in_memory();
    for at in which {
        let right = stream[at];
        stream[at] ^= 1 << (at % 8);
        let outcome = store.receive(hash, &all, &stream[..]);
        stream[at] = right;
        match outcome {
            Err(Error::Stream {
                source:
                    StreamError::Pair { .. } | StreamError::Data { .. } | StreamError::Truncated { .. },
                ..
            }) => {}
            other => panic!("byte {at}: {other:?}"),
        }
        // The item with the wrong byte begins behind the last group that is right. A size that is wrong may still
        // leave the shape of the first groups as it is.
        let good = match at {
            0..8 => 0..=6,
            at => groups_in(at)..=groups_in(at),
        };
        let found = partial_data(&backend, hash);
        assert!(found.len() <= 1, "byte {at}");
        let found = found.first().map_or(&[][..], Vec::as_slice);
        assert!(
            data.starts_with(found),
            "byte {at}: a wrong byte was stored"
        );
        let came = found.len() / GROUP;
        assert!(
            found.len().is_multiple_of(GROUP) && good.contains(&(came as u64)),
            "byte {at}: {came}"
        );
        if !found.is_empty() {
            store.delete(hash, true).unwrap();
        }
    }
}

/// BI-075.
#[test]
fn every_wrong_byte_is_refused_first_half() {
    wrong_bytes(0..LONG / 2);
}

/// BI-075.
#[test]
fn every_wrong_byte_is_refused_second_half() {
    wrong_bytes(LONG / 2..8 + 6 * 64 + LONG);
}

/// A stream that ends at any byte is an error, what came of it is there, and the missing groups alone make the blob
/// whole.
fn cuts(which: Range<usize>) {
    let data = bytes(2, LONG);
    let hash = Hash::of(&data);
    let all = ChunkRanges::all();
    let stream = stream_of(&data, &all);
    let mut rests = BTreeMap::new();
    let (_, store) = in_memory();
    for cut in which {
        let outcome = store.receive(hash, &all, &stream[..cut]);
        assert!(
            matches!(
                &outcome,
                Err(Error::Stream {
                    source: StreamError::Truncated { .. },
                    ..
                })
            ),
            "{cut}: {outcome:?}"
        );
        let came = groups_in(cut);
        let found = store.available(hash).unwrap();
        assert_eq!(found.verified(), came * GROUP as u64, "{cut}");
        let missing = found.missing();
        assert_eq!(missing, ChunkRanges::of_groups(came..));
        let rest = rests
            .entry(came)
            .or_insert_with(|| stream_of(&data, &missing));
        let received = store.receive(hash, &missing, &rest[..]).unwrap();
        assert_eq!(received.new, LONG as u64 - came * GROUP as u64);
        assert!(received.is_complete, "{cut}");
        drop(received);
        if cut % 1000 == 0 {
            assert!(read(&store, hash).unwrap() == data, "{cut}");
        }
        store.delete(hash, true).unwrap();
    }
}

/// BI-075.
#[test]
fn a_stream_may_end_anywhere_first_half() {
    cuts(0..LONG / 2);
}

/// BI-075.
#[test]
fn a_stream_may_end_anywhere_second_half() {
    cuts(LONG / 2..8 + 6 * 64 + LONG);
}

/// One request of a transfer: which groups, how much of the stream comes, and what happens then.
#[derive(Debug, Clone)]
struct Request {
    /// Of the groups that belong to it, by their number modulo the number of requests.
    share: usize,
    /// How much of the stream comes, of 1000; more is all of it.
    comes: u32,
    /// Bytes that are fed at once.
    piece: usize,
    then: Then,
}

#[derive(Debug, Clone, Copy)]
enum Then {
    /// The next stream comes in the same breath.
    Nothing,
    Reopen,
    Kill,
    PowerLoss,
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let then = prop_oneof![
        3 => Just(Then::Nothing),
        2 => Just(Then::Reopen),
        1 => Just(Then::Kill),
        1 => Just(Then::PowerLoss),
    ];
    let one = (0..5_usize, 0..1600_u32, 1..40_000_usize, then);
    let one = one.prop_map(|(share, comes, piece, then)| Request {
        share,
        comes,
        piece,
        then,
    });
    proptest::collection::vec(one, 0..12)
}

/// Any split of the groups of a blob into requests, in any order, each broken off anywhere, over openings, deaths
/// and power losses: never a wrong byte, nothing that a death takes away, and in the end the very files of an import.
#[test]
fn any_order_of_parts_makes_the_blob() {
    let mut runner = TestRunner::new(Config {
        cases: 192,
        failure_persistence: None,
        ..Config::default()
    });
    let story = (0..170_000_usize, requests(), any::<u64>());
    let outcome = runner.run(&story, |(size, requests, seed)| {
        let data = bytes(seed, size);
        let hash = Hash::of(&data);
        let mut machine = Machine::new();
        let mut store = machine.open();
        store.set_tag(tag("it"), raw(hash)).unwrap();
        let mut partial: Option<PartialBlob<_>> = None;
        let mut had = BTreeSet::new();
        for request in &requests {
            let groups =
                (0..size.div_ceil(GROUP).max(1)).filter(|group| group % 5 == request.share);
            let set = groups.fold(ChunkRanges::empty(), |all, group| {
                all.union(&ChunkRanges::of_groups(group as u64..group as u64 + 1))
            });
            let stream = stream_of(&data, &set);
            let comes = stream.len() * request.comes.min(1000) as usize / 1000;
            let into = match &mut partial {
                Some(partial) => partial,
                None => partial.insert(store.partial_blob(hash).unwrap()),
            };
            into.begin(&set).unwrap();
            for piece in stream[..comes].chunks(request.piece) {
                prop_assert_eq!(into.feed(piece).unwrap(), piece.len());
            }
            match request.then {
                Then::Nothing => continue,
                Then::Reopen => drop(partial.take().unwrap().finish().unwrap()),
                Then::Kill | Then::PowerLoss => partial = None,
            }
            drop(store);
            machine = match request.then {
                Then::PowerLoss => machine.crash(),
                Then::Kill => machine.kill(),
                _ => machine,
            };
            store = machine.open();
            let found = store.available(hash).unwrap();
            let have: BTreeSet<u64> = found.groups.iter().cloned().flatten().collect();
            match request.then {
                Then::PowerLoss => {}
                _ => prop_assert!(have.is_superset(&had), "{:?} of {:?}", have, had),
            }
            had = have;
            // Whatever is there is right.
            let reader = store.partial_reader(hash);
            for group in &had {
                let start = *group as usize * GROUP;
                let truth = &data[start..size.min(start + GROUP)];
                let mut buf = vec![0; truth.len()];
                let read = reader
                    .as_ref()
                    .unwrap()
                    .read_verified(&mut buf, start as u64);
                prop_assert_eq!(read.unwrap(), truth.len());
                prop_assert!(buf == truth);
            }
        }
        drop(partial);
        let missing = store.missing(hash).unwrap();
        let stream = stream_of(&data, &missing);
        let received = store.receive(hash, &missing, &stream[..]).unwrap();
        prop_assert!(received.is_complete);
        drop(store);
        // What a completion has to clear away is cleared away by the next opening at the latest.
        let machine = machine.crash();
        drop(machine.open());
        let found = machine.files();
        let mut expected =
            BTreeMap::from([(FileName::Data(hash).to_string().into(), data.clone())]);
        if let Some(outboard) = outboard(&data) {
            expected.insert(FileName::Outboard(hash).to_string().into(), outboard);
        }
        let tags = FileName::Tags.to_string();
        expected.insert(
            tags.clone().into(),
            found[std::ffi::OsStr::new(&tags)].clone(),
        );
        prop_assert_eq!(
            found.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>()
        );
        prop_assert!(found == expected);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// Streams of any ranges of any blob are those of bao-tree, and a store that gets them has exactly the groups of
/// which all chunks came.
#[test]
fn any_ranges_are_sent_and_received() {
    let mut runner = TestRunner::new(Config {
        cases: 192,
        failure_persistence: None,
        ..Config::default()
    });
    let sets = proptest::collection::btree_set(0..180_u64, 0..9);
    let outcome = runner.run(&(0..170_000_usize, sets), |(size, boundaries)| {
        let boundaries: Vec<u64> = boundaries.into_iter().collect();
        let ranges = ChunkRanges::from_boundaries(&boundaries).unwrap();
        let data = bytes(3, size);
        let (_, from) = in_memory();
        let hash = from.import_bytes(&data).unwrap().hash;
        let mut stream = Vec::new();
        from.send(hash, &ranges, &mut stream).unwrap();
        prop_assert!(stream == stream_of(&data, &ranges));
        prop_assert_eq!(bao_tree_reads(&data, &ranges, &stream[8..]), Ok(()));
        let (_, to) = in_memory();
        let received = to.receive(hash, &ranges, &stream[..]).unwrap();
        let chunks = (size as u64).div_ceil(1024).max(1);
        let selected = |chunk: u64| {
            let is_in = |chunk: u64| boundaries.iter().filter(|at| **at <= chunk).count() % 2 == 1;
            match chunk == chunks - 1 {
                true => boundaries.len() % 2 == 1 || (chunk..200).any(is_in),
                false => is_in(chunk),
            }
        };
        let whole = (0..chunks.div_ceil(16)).filter(|group| {
            let mut chunks = group * 16..chunks.min(group * 16 + 16);
            chunks.all(selected)
        });
        let whole: Vec<u64> = whole.collect();
        if received.is_complete {
            prop_assert_eq!(whole.len() as u64, chunks.div_ceil(16));
            prop_assert!(read(&to, hash).unwrap() == data);
        } else {
            let found = to.available(hash).unwrap();
            let found: Vec<u64> = found.groups.into_iter().flatten().collect();
            prop_assert_eq!(found, whole);
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// PD-16, PD-18, PD-44: the partial entries that the peer wrote have what the manifest says and no more, and are
/// completed by the rest.
#[test]
fn partial_entries_of_the_peer_are_completed() {
    let manifest = std::fs::read(folder().join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let partials = manifest["partials"].as_object().unwrap();
    assert_eq!(partials.len(), 3);
    for (name, expected) in partials {
        let place = platform::scratch();
        common::copy_dir(&folder().join("golden"), place.path());
        let hash: Hash = expected["hash"].as_str().unwrap().parse().unwrap();
        let size = expected["size"].as_u64().unwrap();
        let data = lcg(size as u32);
        let valid = &expected["really_valid_groups_16k"];
        let valid = valid[0].as_u64().unwrap()..valid[1].as_u64().unwrap();

        let (store, _) = platform::open(open_ambient(place.path()).unwrap(), system_env()).unwrap();
        let found = store.available(hash).unwrap();
        assert_eq!(found.groups, std::slice::from_ref(&valid), "{name}");
        assert_eq!((found.size, found.is_size_proved), (size, false));
        let missing = found.missing();
        let rest = stream_of(&data, &missing);
        let received = store.receive(hash, &missing, &rest[..]).unwrap();
        assert!(received.is_complete, "{name}");
        assert_eq!(
            received.new,
            size - (valid.end - valid.start) * GROUP as u64
        );
        assert!(read(&store, hash).unwrap() == data);
        drop(received);
        drop(store);
        let files = real_files(place.path());
        assert!(files[&FileName::Data(hash).to_string()] == data);
        assert!(files[&FileName::Outboard(hash).to_string()] == outboard(&data).unwrap());
        assert!(
            !files
                .keys()
                .any(|name| name.starts_with(&format!("{hash}-")))
        );
    }
}

/// What we leave of a transfer that broke off is laid out as the peer leaves it: the same bytes in the same places.
#[test]
fn partial_entries_are_laid_out_as_the_peers() {
    let golden = real_files(&folder().join("golden"));
    for (size, groups) in [(1_000_000, 0..10), (100_001, 0..3), (70_000, 1..2)] {
        let data = lcg(size);
        let hash = Hash::of(&data);
        let of_peer = |end: &str| {
            let is_it =
                |name: &&String| name.starts_with(&format!("{hash}-")) && name.ends_with(end);
            golden[golden.keys().find(is_it).unwrap()].clone()
        };
        let machine = Machine::new();
        let store = machine.open();
        let ranges = ChunkRanges::of_groups(groups.clone());
        let stream = stream_of(&data, &ranges);
        drop(store.receive(hash, &ranges, &stream[..]).unwrap());
        drop(store);
        let ours: BTreeMap<String, Vec<u8>> = machine
            .files()
            .into_iter()
            .map(|(name, bytes)| (name.into_string().unwrap(), bytes))
            .collect();
        let names: Vec<_> = ours
            .keys()
            .filter_map(|name| FileName::parse(name.as_ref()))
            .collect();
        let uuid = names.iter().find_map(|name| match name {
            FileName::PartialData(of, uuid) if *of == hash => Some(*uuid),
            _ => None,
        });
        let uuid = uuid.unwrap();
        let found = &ours[&FileName::PartialData(hash, uuid).to_string()];
        // The peer kept a chunk of the fourth group as well; the file ends where that does.
        let end = groups.end as usize * GROUP;
        let peers = of_peer(".data");
        assert!(peers.len() >= end && found.len() == end);
        assert!(*found == peers[..end]);
        let found = &ours[&FileName::PartialOutboard(hash, uuid).to_string()];
        let trimmed = |bytes: &[u8]| {
            let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
            bytes[..bytes.len() - zeros].to_vec()
        };
        let peers = of_peer(".obao4");
        assert!(found.len() <= outboard(&data).unwrap().len());
        // Of the chunk that it kept, it kept the pairs above it.
        let same = trimmed(found).len();
        assert!(trimmed(&peers)[..same] == *trimmed(found), "{size}");
    }
}

/// Many threads fill one blob at once, each from a stream of its own, over one store: it is whole in the end, and
/// nothing is left beside it.
#[test]
#[cfg_attr(target_os = "wasi", ignore = "there are no threads")]
fn many_receive_one_blob() {
    let data = bytes(4, 20 * GROUP + 77);
    let hash = Hash::of(&data);
    let place = platform::scratch();
    for round in 0..8 {
        let backend = flatbao_fs::create_ambient(place.path().join(round.to_string())).unwrap();
        let (store, _) = platform::open(backend, system_env()).unwrap();
        let start = Barrier::new(4);
        let streams: Vec<_> = (0..4_u64)
            .map(|n| {
                let ranges = match (round + n) % 3 {
                    0 => ChunkRanges::all(),
                    1 => ChunkRanges::of_groups(n * 5..),
                    _ => ChunkRanges::of_groups(..n * 5 + 3),
                };
                let stream = stream_of(&data, &ranges);
                (ranges, stream)
            })
            .collect();
        thread::scope(|scope| {
            for (ranges, stream) in &streams {
                scope.spawn(|| {
                    start.wait();
                    let received = store.receive(hash, ranges, &stream[..]).unwrap();
                    if received.is_complete {
                        assert!(read(&store, hash).unwrap() == data);
                    }
                });
            }
        });
        let missing = store.missing(hash).unwrap();
        let stream = stream_of(&data, &missing);
        assert!(
            store
                .receive(hash, &missing, &stream[..])
                .unwrap()
                .is_complete
        );
        assert!(read(&store, hash).unwrap() == data);
        let left = real_files(&place.path().join(round.to_string()));
        assert!(
            left.keys().all(|name| !name.contains('-')),
            "{:?}",
            left.keys()
        );
    }
}

/// A collection beside a transfer takes nothing of it, whenever it is planned and swept.
#[test]
fn a_collection_beside_a_transfer_takes_nothing_of_it() {
    let data = bytes(5, 10 * GROUP);
    let hash = Hash::of(&data);
    let stream = stream_of(&data, &ChunkRanges::all());
    let machine = Machine::new();
    let store = machine.open();
    /// Collects whenever it is asked for bytes.
    struct Collecting<'a, B: Backend>(&'a Store<B>, &'a [u8]);
    impl<B: Backend> Read for Collecting<'_, B> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let swept = self.0.sweep(self.0.plan_gc().unwrap()).unwrap();
            assert!(swept.removed.is_empty() && swept.spared.is_empty());
            let len = buf.len().min(5000);
            self.1.read(&mut buf[..len])
        }
    }
    let before = store.plan_gc().unwrap();
    let received = store.receive(hash, &ChunkRanges::all(), Collecting(&store, &stream));
    let received = received.unwrap();
    assert!(received.is_complete);
    assert!(store.sweep(before).unwrap().removed.is_empty());
    assert!(
        store
            .sweep(store.plan_gc().unwrap())
            .unwrap()
            .removed
            .is_empty()
    );
    assert!(read(&store, hash).unwrap() == data);
    drop(received);
    assert_eq!(
        store.sweep(store.plan_gc().unwrap()).unwrap().removed.len(),
        1
    );
}

/// Whatever sizes partial entries claim, nothing is allocated or read for what is not there; and a
/// stack of them is no obstacle.
/// BI-041, BI-077.
#[test]
fn absurd_partial_entries_are_no_obstacle() {
    let data = bytes(6, 100_000);
    let hash = Hash::of(&data);
    let machine = Machine::new();
    drop(machine.open());
    let board = outboard(&data).unwrap();
    for n in 0..40_u8 {
        let uuid = Uuid::from_bytes([n; 16]);
        let mut lie = board.clone();
        let claim = match n % 4 {
            0 => u64::MAX - u64::from(n),
            1 => 1 << (20 + n),
            2 => u64::from(n),
            _ => 100_000,
        };
        lie[..8].copy_from_slice(&claim.to_le_bytes());
        machine.plant(&FileName::PartialOutboard(hash, uuid), &lie);
        let content = match n % 3 {
            0 => Vec::new(),
            1 => vec![0; 3],
            _ => data[..usize::from(n) * 2000].to_vec(),
        };
        machine.plant(&FileName::PartialData(hash, uuid), &content);
    }
    let store = machine.open();
    let found = store.available(hash).unwrap();
    assert_eq!(found.size, 100_000);
    let missing = found.missing();
    let stream = stream_of(&data, &missing);
    assert!(
        store
            .receive(hash, &missing, &stream[..])
            .unwrap()
            .is_complete
    );
    assert!(read(&store, hash).unwrap() == data);
}

/// On a real disk: a partial file that is huge and empty costs nothing, neither while the blob is
/// received nor when it is whole. It is not an entry's to throw away.
/// BI-041.
#[test]
fn a_huge_partial_file_is_not_read() {
    let data = bytes(8, 100_000);
    let hash = Hash::of(&data);
    let place = platform::scratch();
    let open = || {
        platform::open(open_ambient(place.path()).unwrap(), system_env())
            .unwrap()
            .0
    };
    drop(open());
    let uuid = Uuid::from_bytes([7; 16]);
    let path = |name: FileName| place.path().join(name.to_string());
    let huge = path(FileName::PartialData(hash, uuid));
    let file = std::fs::File::create(&huge).unwrap();
    let Some(bits) = (34..=60).rev().find(|bits| file.set_len(1 << bits).is_ok()) else {
        panic!("no sparse files here");
    };
    for claim in [100_000, 1 << 59] {
        let mut board = outboard(&data).unwrap();
        board[..8].copy_from_slice(&u64::to_le_bytes(claim));
        std::fs::write(path(FileName::PartialOutboard(hash, uuid)), board).unwrap();
        let store = open();
        assert_eq!(store.available(hash).unwrap().verified(), 0);
        let other = stream_of(&data, &ChunkRanges::all());
        let mut wrong = other.clone();
        wrong[50_000] ^= 1;
        assert!(
            store
                .receive(hash, &ChunkRanges::all(), &wrong[..])
                .is_err()
        );
        let received = store
            .receive(hash, &ChunkRanges::all(), &other[..])
            .unwrap();
        assert!(received.is_complete && read(&store, hash).unwrap() == data);
        drop(received);
        if claim > 1 << 20 {
            assert_eq!(std::fs::metadata(&huge).unwrap().len(), 1 << bits);
        }
        store.delete(hash, true).unwrap();
        drop(store);
        std::fs::File::create(&huge)
            .unwrap()
            .set_len(1 << bits)
            .unwrap();
    }
}

/// A back end that loses what was written before it is published is found out: what is proved is proved from what
/// is there.
#[test]
fn what_is_gone_from_a_partial_file_is_missing_again() {
    let data = bytes(7, 100_000);
    let hash = Hash::of(&data);
    let (backend, store) = in_memory();
    let part = ChunkRanges::of_groups(..5);
    let stream = stream_of(&data, &part);
    drop(store.receive(hash, &part, &stream[..]).unwrap());
    let Some(uuid) = store
        .partials(hash)
        .unwrap()
        .pop()
        .map(|partial| partial.uuid)
    else {
        panic!("no partial entry");
    };
    let mut file = backend.resume(&FileName::PartialData(hash, uuid)).unwrap();
    write_all_at(&mut file, &[0; 10], 2 * GROUP as u64).unwrap();
    drop(file);
    assert_eq!(store.available(hash).unwrap().groups, [0..2, 3..5]);
    let rest = ChunkRanges::of_groups(5..);
    let stream = stream_of(&data, &rest);
    let received = store.receive(hash, &rest, &stream[..]).unwrap();
    assert!(!received.is_complete);
    assert_eq!(received.missing, ChunkRanges::of_groups(2..3));
    assert!(matches!(store.status(hash), Status::Present(info) if info.state == State::Partial));
    let stream = stream_of(&data, &received.missing);
    assert!(
        store
            .receive(hash, &received.missing, &stream[..])
            .unwrap()
            .is_complete
    );
    assert!(read(&store, hash).unwrap() == data);
}

/// Stores may be shared by threads, and so may a blob that is being received be handed to another one.
#[test]
fn handles_can_be_sent() {
    fn is_send<T: Send>() {}
    is_send::<PartialBlob<flatbao_fs::FsBackend>>();
    is_send::<PartialBlob<MemBackend>>();
    is_send::<PartialBlob<FlatDir<flatbao_mem::SimDir>>>();
    is_send::<Env>();
}
