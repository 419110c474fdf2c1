//! Small things, many times: hashing, outboards, readers, codecs, the index. Public calls only.
//!
//! ```console
//! $ cargo xtask bench --micro
//! ```

#![forbid(unsafe_code)]

use std::{ffi::OsStr, hint::black_box};

use anyhow::{Result, ensure};
use divan::{Bencher, counter::BytesCount};
use flatbao_bench::content::{Content, Many, mix};
use flatbao_core::{
    ChunkRanges, ExternalPath, FileName, Hash, HashAndFormat, PathSet, Store, Tag, TagFile, TagMap,
    outboard_of, store::ImportOptions,
};
use flatbao_mem::{MemBackend, seeded_env};

fn main() {
    divan::main();
}

/// Within a group, a group, within a page, a page, and some of them.
const SIZES: [u64; 5] = [4 << 10, 16 << 10, 1 << 20, 4 << 20, 32 << 20];
const GROUP: usize = 16 << 10;

/// A benchmark whose preparation can fail.
fn or_exit<T>(prepared: Result<T>) -> T {
    prepared.unwrap_or_else(|error| {
        eprintln!("micro: {error:#}");
        std::process::exit(1)
    })
}

fn content(size: u64) -> Result<Vec<u8>> {
    Ok(Content::new(size, size).bytes()?)
}

fn with_blob(size: u64) -> Result<(Store<MemBackend>, Hash)> {
    let (store, _) = Store::open(MemBackend::new(), seeded_env(1))?;
    let hash = store.import_bytes(&content(size)?)?.hash;
    Ok((store, hash))
}

mod hashing {
    use super::*;

    /// What there is to be compared with.
    #[divan::bench(args = SIZES)]
    fn update(bencher: Bencher<'_, '_>, size: u64) {
        let bytes = or_exit(content(size));
        bencher
            .counter(BytesCount::new(size))
            .bench(|| blake3::hash(black_box(&bytes)));
    }

    #[divan::bench(args = SIZES)]
    fn import(bencher: Bencher<'_, '_>, size: u64) {
        let bytes = or_exit(content(size));
        bencher
            .counter(BytesCount::new(size))
            .with_inputs(|| or_exit(open_empty()))
            .bench_refs(|store| store.import_bytes(black_box(&bytes)));
    }

    fn open_empty() -> Result<Store<MemBackend>> {
        Ok(Store::open(MemBackend::new(), seeded_env(1))?.0)
    }
}

mod outboard {
    use super::*;

    #[divan::bench(args = SIZES[2..].iter())]
    fn of_bytes(bencher: Bencher<'_, '_>, size: &u64) {
        let bytes = or_exit(content(*size));
        bencher
            .counter(BytesCount::new(*size))
            .bench(|| outboard_of(black_box(&bytes)));
    }
}

mod reader {
    use super::*;

    #[divan::bench(args = SIZES)]
    fn open(bencher: Bencher<'_, '_>, size: u64) {
        let (store, hash) = or_exit(with_blob(size));
        bencher.bench(|| store.reader(black_box(hash)).is_ok());
    }

    #[divan::bench(args = [GROUP, 64 << 10, 1 << 20])]
    fn sequential(bencher: Bencher<'_, '_>, buffer: usize) {
        const SIZE: u64 = 32 << 20;
        let (store, hash) = or_exit(with_blob(SIZE));
        let mut buffer = vec![0; buffer];
        bencher.counter(BytesCount::new(SIZE)).bench_local(|| {
            let reader = or_exit(store.reader(hash).map_err(Into::into));
            let mut at = 0;
            while at < SIZE {
                let read = or_exit(reader.read_verified(&mut buffer, at).map_err(Into::into));
                at += read as u64;
            }
        });
    }

    /// One group, somewhere in a blob.
    #[divan::bench(args = SIZES[2..].iter())]
    fn random(bencher: Bencher<'_, '_>, size: &u64) {
        let (store, hash) = or_exit(with_blob(*size));
        let reader = or_exit(store.reader(hash).map_err(Into::into));
        let mut group = vec![0; GROUP];
        let mut number = 0;
        bencher.counter(BytesCount::new(GROUP)).bench_local(|| {
            number += 1;
            let offset = mix(number) % (size / GROUP as u64) * GROUP as u64;
            reader.read_verified(&mut group, offset)
        });
    }

    #[divan::bench(args = SIZES)]
    fn send(bencher: Bencher<'_, '_>, size: u64) {
        let (store, hash) = or_exit(with_blob(size));
        bencher
            .counter(BytesCount::new(size))
            .bench(|| store.send(hash, &ChunkRanges::all(), std::io::sink()));
    }
}

mod codec {
    use super::*;

    #[divan::bench]
    fn name_shown(bencher: Bencher<'_, '_>) {
        let name = FileName::Data(Hash::of(b"name"));
        bencher.bench(|| black_box(&name).to_string());
    }

    #[divan::bench]
    fn name_parsed(bencher: Bencher<'_, '_>) {
        let name = FileName::Outboard(Hash::of(b"name")).to_string();
        bencher.bench(|| FileName::parse(OsStr::new(black_box(&name))));
    }

    const TAGS: [u64; 3] = [10, 1_000, 100_000];

    fn tags(count: u64) -> Result<TagMap> {
        let value = HashAndFormat::raw(Hash::of(b"tagged"));
        let tag = |number| Tag::new(format!("tag-{number:08}").into_bytes());
        let tags: Result<TagMap, _> = (0..count).map(|number| Ok((tag(number)?, value))).collect();
        tags.map_err(|error: flatbao_core::TagError| error.into())
    }

    #[divan::bench(args = TAGS)]
    fn tags_encoded(bencher: Bencher<'_, '_>, count: u64) {
        let tags = or_exit(tags(count));
        bencher.bench(|| TagFile::encode(black_box(&tags)));
    }

    #[divan::bench(args = TAGS)]
    fn tags_decoded(bencher: Bencher<'_, '_>, count: u64) {
        let file = or_exit(tags(count).and_then(|tags| Ok(TagFile::encode(&tags)?)));
        bencher.bench(|| TagFile::decode(black_box(&file)));
    }

    fn paths() -> Result<Vec<u8>> {
        let mut set = PathSet::default();
        for number in 0..8 {
            let path = ExternalPath::parse(&format!("/somewhere/else/{number}.bin"))?;
            ensure!(set.insert(&path), "it was there");
        }
        Ok(set.encode()?)
    }

    #[divan::bench]
    fn paths_decoded(bencher: Bencher<'_, '_>) {
        let file = or_exit(paths());
        bencher.bench(|| PathSet::decode(black_box(&file)));
    }

    #[divan::bench]
    fn paths_encoded(bencher: Bencher<'_, '_>) {
        let set = or_exit(paths().and_then(|file| Ok(PathSet::decode(&file)?)));
        bencher.bench(|| black_box(&set).encode());
    }
}

mod index {
    use super::*;

    const ENTRIES: [u64; 3] = [100, 10_000, 100_000];

    fn filled(count: u64) -> Result<MemBackend> {
        let backend = MemBackend::new();
        let (store, _) = Store::open(backend.clone(), seeded_env(1))?;
        let mut many = Many::new(8)?;
        let mut batch = store.batch();
        for number in 0..count {
            batch.import_bytes(many.get(number), ImportOptions::default())?;
        }
        batch.commit()?;
        Ok(backend)
    }

    /// A listing becomes an index.
    #[divan::bench(args = ENTRIES)]
    fn open(bencher: Bencher<'_, '_>, count: u64) {
        let backend = or_exit(filled(count));
        bencher
            .counter(count)
            .bench(|| Store::open_read_only(backend.clone(), seeded_env(1)));
    }

    #[divan::bench(args = ENTRIES)]
    fn list(bencher: Bencher<'_, '_>, count: u64) {
        let (store, _) = or_exit(
            filled(count).and_then(|backend| Ok(Store::open_read_only(backend, seeded_env(1))?)),
        );
        bencher.counter(count).bench(|| store.blobs().count());
    }

    #[divan::bench(args = ENTRIES)]
    fn status(bencher: Bencher<'_, '_>, count: u64) {
        let (store, _) = or_exit(
            filled(count).and_then(|backend| Ok(Store::open_read_only(backend, seeded_env(1))?)),
        );
        let hash = Hash::of(b"nowhere");
        bencher.bench(|| store.status(black_box(hash)));
    }
}
