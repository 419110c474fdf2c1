//! flatbao, as its users call it.

use std::path::Path;

use anyhow::{Context as _, Result};
use flatbao_core::{
    BlobFormat, ChunkRanges, Durability, ExternalPath, Hash, HashAndFormat, HashSeq, Store, Tag,
    TagFile, TagMap, store::ImportOptions,
};
use flatbao_fs::FsBackend;

use flatbao_bench::content::Many;

use crate::digest::{Blobs, Bytes};

/// A store in this directory, which is made.
pub(crate) fn create(dir: &Path, durability: Durability) -> Result<Store<FsBackend>> {
    let backend = flatbao_fs::create_ambient_with(dir, durability)?;
    Ok(Store::open(backend, flatbao_fs::system_env())?.0)
}

/// The store in this directory.
pub(crate) fn open(dir: &Path) -> Result<Store<FsBackend>> {
    let backend = flatbao_fs::open_ambient(dir)?;
    Ok(Store::open(backend, flatbao_fs::system_env())?.0)
}

/// As [`create`], and what lies in `outside` is in reach.
pub(crate) fn create_beside(
    dir: &Path,
    outside: &Path,
    durability: Durability,
) -> Result<Store<FsBackend>> {
    let mut backend = flatbao_fs::create_ambient_with(dir, durability)?;
    flatbao_fs::grant_ambient(&mut backend, text(outside)?, outside)?;
    Ok(Store::open(backend, flatbao_fs::system_env())?.0)
}

/// The path of a file outside of a store.
pub(crate) fn external(path: &Path) -> Result<ExternalPath> {
    Ok(ExternalPath::parse(text(path)?)?)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the directory has an odd name")
}

/// Reads `from..to` of a blob, verified, into this buffer.
pub(crate) fn read_through(
    store: &Store<FsBackend>,
    hash: Hash,
    mut range: std::ops::Range<u64>,
    buffer: &mut [u8],
) -> Result<Bytes> {
    let reader = store.reader(hash)?;
    let mut seen = Bytes::default();
    while !range.is_empty() {
        let left = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let len = buffer.len().min(left);
        let read = reader.read_verified(&mut buffer[..len], range.start)?;
        if read == 0 {
            break;
        }
        seen.feed(range.start, &buffer[..read]);
        range.start += read as u64;
    }
    Ok(seen)
}

/// Imports many blobs in one batch.
pub(crate) fn import_many(store: &Store<FsBackend>, count: u64, mut many: Many) -> Result<Blobs> {
    let mut batch = store.batch();
    for number in 0..count {
        batch.import_bytes(many.get(number), ImportOptions::default())?;
    }
    let imported = batch.commit()?;
    Ok(imported.iter().map(|one| one.hash.as_bytes()).collect())
}

/// Keeps these blobs, and nothing else, by a tag on the sequence of them.
pub(crate) fn keep(store: &Store<FsBackend>, hashes: impl IntoIterator<Item = Hash>) -> Result<()> {
    let sequence: HashSeq = hashes.into_iter().collect();
    let mut batch = store.batch();
    let options = ImportOptions::default().format(BlobFormat::HashSeq);
    let (hash, _) = batch.import_bytes(&sequence.encode(), options)?;
    let imported = batch.commit()?;
    store.set_tag(Tag::new(&b"keep"[..])?, HashAndFormat::hash_seq(hash))?;
    drop(imported);
    Ok(())
}

/// Writes a tag database with so many tags on one blob, as a copy of it would be brought back.
pub(crate) fn write_tags(dir: &Path, count: u64, hash: Hash) -> Result<()> {
    let mut tags = TagMap::new();
    for number in 0..count {
        let name = format!("tag-{number:08}").into_bytes();
        tags.insert(Tag::new(name)?, HashAndFormat::raw(hash));
    }
    let name = flatbao_core::FileName::Tags.to_string();
    std::fs::write(dir.join(name), TagFile::encode(&tags)?)?;
    Ok(())
}

/// Sends all of a blob.
pub(crate) fn send(
    store: &Store<FsBackend>,
    hash: Hash,
    writer: impl std::io::Write,
) -> Result<u64> {
    Ok(store.send(hash, &ChunkRanges::all(), writer)?.stream)
}
