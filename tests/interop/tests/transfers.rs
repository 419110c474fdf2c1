//! A transfer that one of the two has begun the other one ends: partial entries are the same files for both.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Result, ensure};
use flatbao_core::{ChunkRanges, Hash, HashAndFormat, Store, Tag};
use flatbao_fs::{FsBackend, open_ambient, system_env};
use flatbao_interop::{Peer, fixtures::lcg};

const GROUP: usize = 16 * 1024;

fn open(dir: &Path) -> Result<Store<FsBackend>> {
    Ok(Store::open(open_ambient(dir)?, system_env())?.0)
}

/// What a store that has all of it sends.
fn stream_of(content: &[u8], ranges: &ChunkRanges) -> Result<Vec<u8>> {
    let dir = tempfile::tempdir()?;
    let store = open(dir.path())?;
    let blob = store.import_bytes(content)?;
    let mut stream = Vec::new();
    store.send(blob.hash, ranges, &mut stream)?;
    Ok(stream)
}

/// The partial files below a directory, by what their names have behind the uuid.
fn partial_files(dir: &Path, hash: Hash) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&format!("{hash}-")) {
            let (_, kind) = name.rsplit_once('.').unwrap_or(("", &name));
            found.insert(kind.to_owned(), fs::read(entry.path())?);
        }
    }
    Ok(found)
}

/// We begin, the peer ends; and it would have left the very same files.
#[test]
fn the_peer_ends_what_we_began() -> Result<()> {
    let content = lcg(40 * GROUP + 99);
    let hash = Hash::of(&content);
    let dir = tempfile::tempdir()?;
    let store = open(dir.path())?;
    let ranges = ChunkRanges::of_groups(3..17);
    let stream = stream_of(&content, &ranges)?;
    let received = store.receive(hash, &ranges, &stream[..])?;
    store.set_tag(Tag::try_from("kept")?, HashAndFormat::raw(hash))?;
    drop((received, store));

    // The same part, received by the peer from the beginning.
    let other = tempfile::tempdir()?;
    drop(open(other.path())?);
    let peer = Peer::load(other.path())?;
    peer.receive(&content, 3..17)?;
    peer.close();
    let (ours, theirs) = (
        partial_files(dir.path(), hash)?,
        partial_files(other.path(), hash)?,
    );
    assert_eq!(ours.len(), 2);
    ensure!(ours["data"] == theirs["data"], "other data");
    let trimmed = |bytes: &[u8]| {
        let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
        bytes[..bytes.len() - zeros].to_vec()
    };
    ensure!(
        trimmed(&ours["obao4"]) == trimmed(&theirs["obao4"]),
        "another outboard"
    );

    let peer = Peer::load(dir.path())?;
    let listed: Vec<_> = peer.partial_blobs().into_iter().collect();
    assert_eq!(listed, [(*hash.as_bytes(), content.len() as u64)]);
    peer.receive(&content, 0..3)?;
    peer.receive(&content, 17..41)?;
    peer.complete(hash.as_bytes())?;
    peer.verify(hash.as_bytes())?;
    ensure!(
        peer.read(hash.as_bytes())? == content,
        "the peer reads other bytes"
    );
    peer.close();
    ensure!(
        open(dir.path())?.read(hash, u64::MAX)? == content,
        "we read other bytes"
    );
    Ok(())
}

/// The peer begins, we end: what is really there is found, and the rest alone is received.
#[test]
fn we_end_what_the_peer_began() -> Result<()> {
    let content = lcg(40 * GROUP + 99);
    let hash = Hash::of(&content);
    let dir = tempfile::tempdir()?;
    drop(open(dir.path())?);
    let peer = Peer::load(dir.path())?;
    peer.receive(&content, 30..41)?;
    peer.receive(&content, 2..5)?;
    peer.close();

    let store = open(dir.path())?;
    let found = store.available(hash)?;
    assert_eq!(found.groups, [2..5, 30..41]);
    ensure!(found.is_size_proved, "the last group is there");
    let missing = found.missing();
    let stream = stream_of(&content, &missing)?;
    let received = store.receive(hash, &missing, &stream[..])?;
    ensure!(received.is_complete, "it is not whole");
    assert_eq!(received.new, content.len() as u64 - found.verified());
    store.set_tag(Tag::try_from("kept")?, HashAndFormat::raw(hash))?;
    drop((received, store));

    let peer = Peer::load(dir.path())?;
    peer.verify(hash.as_bytes())?;
    ensure!(
        peer.read(hash.as_bytes())? == content,
        "the peer reads other bytes"
    );
    peer.close();
    Ok(())
}
