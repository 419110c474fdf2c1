//! The peer opens what flatbao wrote, changes it, and flatbao opens the result.
//!
//! Everything the peer reads back is compared with the content, and proved with the peer's own validated
//! encoder against the outboard that flatbao wrote.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, ensure};
use flatbao_core::{
    Collection, ExternalPath, Hash, HashAndFormat, OpenOptions, Store, Tag,
    store::{ImportOptions, TagsFound},
};
use flatbao_fs::{FsBackend, grant_ambient, open_ambient, system_env};
use flatbao_interop::{Peer, fixtures::lcg};
use tempfile::TempDir;

/// Both sides of every boundary that the format knows, and one blob of several pages.
const SIZES: [usize; 14] = [
    0, 1, 1023, 1024, 1025, 16_383, 16_384, 16_385, 32_768, 32_769, 65_536, 1_000_000, 4_194_305,
    9_000_000,
];

fn open(dir: &Path) -> Result<Store<FsBackend>> {
    let mut backend = open_ambient(dir)?;
    grant_ambient(&mut backend, "/", Path::new("/"))?;
    let (store, recovery) = Store::open(backend, system_env())?;
    ensure!(recovery.not_removed.is_empty(), "{recovery:?}");
    Ok(store)
}

fn tag(name: &str) -> Result<Tag> {
    Ok(Tag::try_from(name)?)
}

/// A store that flatbao wrote, and what it holds.
struct Written {
    dir: TempDir,
    /// Content by hash: owned and external blobs alike.
    blobs: BTreeMap<[u8; 32], Vec<u8>>,
    tags: BTreeMap<Vec<u8>, ([u8; 32], bool)>,
}

impl Written {
    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("store")
    }

    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        std::fs::create_dir(dir.path().join("store"))?;
        let mut this = Self {
            dir,
            blobs: BTreeMap::new(),
            tags: BTreeMap::new(),
        };
        let store = open(&this.path())?;
        let mut entries = Vec::new();
        let mut held = Vec::new();
        for size in SIZES {
            let imported = store.import_bytes(&lcg(size))?;
            entries.push((format!("lcg-{size}"), imported.hash));
            this.blobs.insert(*imported.hash.as_bytes(), lcg(size));
            held.push(imported.tag);
        }
        for size in [3000, 200_001] {
            let path = this.dir.path().join(format!("external-{size}"));
            std::fs::write(&path, lcg(size))?;
            let path = path.canonicalize()?;
            let path = ExternalPath::parse(path.to_str().context("a path in UTF-8")?)?;
            let imported = store.import_reference(&path)?;
            let name = format!("reference-{size}");
            this.set_tag(&store, &name, HashAndFormat::raw(imported.hash))?;
            this.blobs.insert(*imported.hash.as_bytes(), lcg(size));
        }
        let collection = Collection::new(entries)?;
        let meta = store.import_bytes(&collection.encode_meta())?;
        let sequence = collection.sequence(meta.hash).encode();
        let root = store.import_reader_with(
            &sequence[..],
            ImportOptions::default().format(flatbao_core::BlobFormat::HashSeq),
            &mut flatbao_core::progress::unwatched,
        )?;
        this.blobs
            .insert(*meta.hash.as_bytes(), collection.encode_meta());
        this.blobs.insert(*root.hash.as_bytes(), sequence);
        this.set_tag(&store, "collection", HashAndFormat::hash_seq(root.hash))?;
        this.set_tag(&store, "", HashAndFormat::raw(meta.hash))?;
        // Not the sequence once more: the peer sweeps the children of one that is tagged raw as well.
        let unnamed = store.auto_tag(HashAndFormat::raw(meta.hash))?;
        this.tags
            .insert(unnamed.as_bytes().into(), (*meta.hash.as_bytes(), false));
        let orphan = store.import_bytes(b"nothing names this")?;
        this.blobs
            .insert(*orphan.hash.as_bytes(), b"nothing names this".to_vec());
        Ok(this)
    }

    fn set_tag(
        &mut self,
        store: &Store<FsBackend>,
        name: &str,
        value: HashAndFormat,
    ) -> Result<()> {
        store.set_tag(tag(name)?, value)?;
        let is_sequence = value == HashAndFormat::hash_seq(value.hash);
        self.tags
            .insert(name.into(), (*value.hash.as_bytes(), is_sequence));
        Ok(())
    }

    fn check_peer(&self, peer: &Peer) -> Result<()> {
        let sizes: BTreeMap<_, _> = self
            .blobs
            .iter()
            .map(|(hash, bytes)| (*hash, bytes.len() as u64))
            .collect();
        assert_eq!(peer.blobs(), sizes);
        assert_eq!(peer.tags(), self.tags);
        assert_eq!(peer.partial_blobs(), BTreeMap::new());
        for (hash, bytes) in &self.blobs {
            ensure!(peer.read(hash)? == *bytes, "{}", hex::encode(hash));
            peer.verify(hash)?;
        }
        Ok(())
    }

    fn check_ours(&self, store: &Store<FsBackend>) -> Result<()> {
        let tags: BTreeMap<_, _> = store
            .tags()?
            .iter()
            .map(|(tag, value)| {
                let is_sequence = *value == HashAndFormat::hash_seq(value.hash);
                (
                    tag.as_bytes().to_vec(),
                    (*value.hash.as_bytes(), is_sequence),
                )
            })
            .collect();
        assert_eq!(tags, self.tags);
        let hashes: Vec<_> = store.blobs().map(|blob| *blob.hash.as_bytes()).collect();
        assert_eq!(hashes, self.blobs.keys().copied().collect::<Vec<_>>());
        for (hash, bytes) in &self.blobs {
            let read = store.read(Hash::from_bytes(*hash), u64::MAX)?;
            ensure!(read == *bytes, "{}", hex::encode(hash));
        }
        Ok(())
    }
}

#[test]
fn the_peer_reads_every_blob_and_tag_that_we_wrote() -> Result<()> {
    let written = Written::new()?;
    let peer = Peer::load(written.path())?;
    written.check_peer(&peer)?;
    peer.close();
    // Opening and reading changed nothing that we rely on.
    written.check_ours(&open(&written.path())?)
}

#[test]
fn the_peer_tags_imports_and_collects_and_we_open_the_result() -> Result<()> {
    let mut written = Written::new()?;
    let mut peer = Peer::load(written.path())?;

    let imported = peer.import_bytes(&lcg(123_456))?;
    written.blobs.insert(imported, lcg(123_456));
    peer.set_tag(b"from the peer \xff", Some((imported, false)))?;
    written
        .tags
        .insert(b"from the peer \xff".to_vec(), (imported, false));
    peer.set_tag(b"reference-3000", None)?;
    written.tags.remove(&b"reference-3000"[..]);
    peer.release_temp_tags();

    let collected = peer.gc()?;
    ensure!(collected.warnings.is_empty(), "{:?}", collected.warnings);
    for hash in [Hash::of(b"nothing names this"), Hash::of(&lcg(3000))] {
        ensure!(collected.deleted.contains(hash.as_bytes()), "{hash}");
        written.blobs.remove(hash.as_bytes());
    }
    assert_eq!(collected.deleted.len(), 2);
    written.check_peer(&peer)?;
    peer.close();
    ensure!(
        written.dir.path().join("external-3000").exists(),
        "an external file was removed"
    );

    let backend = open_ambient(written.path())?;
    let options = OpenOptions::default();
    let (store, recovery) = Store::open_with(
        backend,
        system_env(),
        options,
        &mut flatbao_core::progress::unwatched,
    )?;
    // The peer wrote the tags, so there is no checksum; the next write brings it back.
    assert_eq!(recovery.tags, TagsFound::Unprotected);
    drop(store);

    let store = open(&written.path())?;
    written.check_ours(&store)?;
    let plan = store.plan_gc()?;
    assert_eq!(plan.items(), [], "the peer left nothing behind to collect");

    // And back again: what we change on top of the peer's changes, the peer reads.
    store.remove_tag(&tag("collection")?)?;
    written.tags.remove(&b"collection"[..]);
    let swept = store.sweep(store.plan_gc()?)?;
    ensure!(swept.spared.is_empty(), "{:?}", swept.spared);
    for item in &swept.removed {
        written.blobs.remove(item.hash.as_bytes());
    }
    assert_eq!(
        swept.removed.len(),
        SIZES.len() + 1,
        "the children and their list"
    );
    written.check_ours(&store)?;
    drop(store);
    written.check_peer(&Peer::load(written.path())?)
}

#[test]
fn names_and_bytes_are_those_that_the_peer_writes() -> Result<()> {
    let (ours, theirs) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let store = open(ours.path())?;
    let mut peer = Peer::load(theirs.path())?;
    let mut names = Vec::new();
    for size in SIZES {
        let imported = store.import_bytes(&lcg(size))?;
        let hash = peer.import_bytes(&lcg(size))?;
        assert_eq!(imported.hash.as_bytes(), &hash);
        store.set_tag(tag(&format!("t{size}"))?, HashAndFormat::raw(imported.hash))?;
        peer.set_tag(format!("t{size}").as_bytes(), Some((hash, false)))?;
    }
    peer.close();
    drop(store);
    for entry in std::fs::read_dir(ours.path())? {
        let name = entry?.file_name();
        if name == "lock" {
            continue;
        }
        let our_bytes = std::fs::read(ours.path().join(&name))?;
        let mut their_bytes = std::fs::read(theirs.path().join(&name))?;
        if name == "tags.meta" {
            ensure!(our_bytes.starts_with(&their_bytes), "the payload differs");
            their_bytes.clone_from(&our_bytes);
        }
        ensure!(our_bytes == their_bytes, "{name:?} differs");
        names.push(name);
    }
    let mut theirs: Vec<_> = std::fs::read_dir(theirs.path())?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<_>>()?;
    theirs.sort();
    names.sort();
    assert_eq!(names, theirs);
    Ok(())
}
