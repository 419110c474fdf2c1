//! A reader is a slice, whatever is asked of it, and whatever the caches have room for.

// A test reports by panicking.
#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Read, Seek, SeekFrom};

use flatbao_core::{BlobReader, Hash, ReadAt, Store};
use flatbao_mem::{MemBackend, seeded_env};
use proptest::{prelude::*, sample::Index};

/// Pages of values that a store keeps, and small blobs; at least so many others push one out.
const CACHED_PAGES: usize = 512;
const CACHED_BLOBS: usize = 256;

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut stream = blake3::Hasher::new();
    stream
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

fn store() -> Store<MemBackend> {
    Store::open(MemBackend::new(), seeded_env(7)).unwrap().0
}

/// Reads and seeks of a caller, with positions as fractions of the blob and a bit more.
#[derive(Debug, Clone)]
enum Call {
    Read(usize),
    ReadAt(Index, usize),
    Start(Index),
    End(i64),
    Current(i64),
    Size,
}

fn call() -> impl Strategy<Value = Call> {
    let len = || prop_oneof![0..100_usize, 0..40_000_usize, Just(16_384), Just(1 << 20)];
    let delta = || prop_oneof![-5..5_i64, -70_000..70_000_i64, any::<i64>()];
    let at = any::<Index>;
    prop_oneof![
        4 => len().prop_map(Call::Read),
        3 => (at(), len()).prop_map(|(at, len)| Call::ReadAt(at, len)),
        2 => at().prop_map(Call::Start),
        1 => delta().prop_map(Call::End),
        1 => delta().prop_map(Call::Current),
        1 => Just(Call::Size),
    ]
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        0..3000_usize,
        (0..40_usize, 0..3_usize)
            .prop_map(|(groups, off)| (groups * 16_384 + off).saturating_sub(1)),
        0..700_000_usize,
    ]
}

/// Makes the same call on both, and compares.
fn compare(reader: &mut BlobReader<MemBackend>, cursor: &mut Cursor<&[u8]>, call: &Call) {
    let data = *cursor.get_ref();
    let seek = match call {
        Call::Read(len) => {
            let (mut found, mut right) = (vec![0xaa; *len], vec![0xaa; *len]);
            let read = reader.read(&mut found).unwrap();
            assert_eq!(cursor.read(&mut right[..read]).unwrap(), read);
            assert!(found == right, "a read of {len}");
            let at_end = cursor.position() >= data.len() as u64;
            assert!(read > 0 || *len == 0 || at_end, "a false end");
            return;
        }
        Call::ReadAt(at, len) => {
            let at = at.index(data.len() + 1000);
            let mut found = vec![0xaa; *len];
            let read = flatbao_core::io::read_full_at(reader, &mut found, at as u64).unwrap();
            let right = data.get(at..).unwrap_or_default();
            let right = &right[..right.len().min(*len)];
            assert!(found[..read] == *right, "{len} at {at}");
            return;
        }
        Call::Size => {
            assert_eq!(reader.size().unwrap(), data.len() as u64);
            return;
        }
        Call::Start(at) => SeekFrom::Start(at.index(data.len() + 1000) as u64),
        Call::End(delta) => SeekFrom::End(*delta),
        Call::Current(delta) => SeekFrom::Current(*delta),
    };
    let found = reader.seek(seek).map_err(|e| e.kind());
    assert_eq!(found, cursor.seek(seek).map_err(|e| e.kind()), "{seek:?}");
    assert_eq!(reader.stream_position().unwrap(), cursor.position());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_reader_is_a_slice(
        size in size(),
        lost in any::<bool>(),
        calls in prop::collection::vec(call(), 1..30),
    ) {
        let store = store();
        let data = bytes(size as u64, size);
        let hash = store.import_bytes(&data).unwrap().hash;
        let store = if lost {
            // Without its outboard a blob is proved from its data.
            let backend = MemBackend::new();
            backend.plant_file(format!("{hash}.data"), data.clone());
            Store::open_read_only(backend, seeded_env(8)).unwrap().0
        } else {
            store
        };
        let mut reader = store.reader(hash).unwrap();
        let mut cursor = Cursor::new(&data[..]);
        for call in &calls {
            compare(&mut reader, &mut cursor, call);
        }
    }
}

/// A blob of several pages is read on while other blobs take their place in the cache.
#[test]
fn a_reader_goes_on_when_the_caches_are_full() {
    let store = store();
    let data = bytes(1, 9_500_000);
    let hash = store.import_bytes(&data).unwrap().hash;
    let mut batch = store.batch();
    let count = CACHED_PAGES + 10;
    let others: Vec<Hash> = (0..count)
        .map(|n| {
            let size = if n % 2 == 0 { 16_385 } else { 40 };
            batch
                .import_reader(&bytes(n as u64 + 9, size)[..])
                .unwrap()
                .0
        })
        .collect();
    let held = batch.commit().unwrap();
    assert!(others.len() / 2 > CACHED_BLOBS);
    let mut reader = store.reader(hash).unwrap();
    let mut found = vec![0; data.len()];
    let mut at = 0;
    for piece in [1, 3_000_000, 1_300_000, 4_000_000, 2_000_000] {
        let end = (at + piece).min(data.len());
        reader.read_exact(&mut found[at..end]).unwrap();
        at = end;
        for (n, other) in others.iter().enumerate() {
            let size = if n % 2 == 0 { 16_385 } else { 40 };
            assert_eq!(store.read(*other, 1 << 20).unwrap().len(), size);
        }
        // Each large one took one page; twice as many as are kept are needed to push out all of them.
        for page in 0..CACHED_PAGES / 2 + 10 {
            let other = others[page * 2 % others.len()];
            assert_eq!(store.reader(other).unwrap().hash(), other);
        }
    }
    assert!(found == data);
    assert!(store.read(hash, 1 << 30).unwrap() == data);
    drop(held);
}
