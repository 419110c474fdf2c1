//! The wrapper is sane: the peer reads back the stores that it wrote itself.
//!
//! Without this, a failing exchange could as well be the fault of [`Peer`].

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use flatbao_interop::{
    Peer,
    fixtures::{self, Copy, Kind, Manifest, lcg, mod251},
    list,
};

#[test]
fn golden_reads_back() -> Result<()> {
    let copy = Copy::of("golden")?;
    check(&Peer::load(copy.store())?, "golden")
}

#[test]
fn split_and_empty_tags_read_back() -> Result<()> {
    let split = Copy::of("split")?;
    let area = |name| split.store().join(name);
    let peer = Peer::load_split(area("complete"), area("partial"), area("meta"))?;
    check(&peer, "split")?;
    let empty = Copy::of("emptytags")?;
    check(&Peer::load(empty.store())?, "emptytags")
}

#[test]
fn opening_changes_no_byte() -> Result<()> {
    let copy = Copy::of("golden")?;
    let before = copy.files()?;
    Peer::load(copy.store())?.close();
    ensure!(copy.files()? == before, "opening changed the store");
    Ok(())
}

#[test]
fn gc_leaves_what_the_manifest_says() -> Result<()> {
    let manifest = Manifest::load()?;
    let copy = Copy::of("gc")?;
    assert_eq!(list(copy.store())?, manifest.gc.before);
    let before = copy.files()?;
    let peer = Peer::load(copy.store())?;
    let report = peer.gc()?;
    assert_eq!(report.messages.last(), Some(&manifest.gc.peer_says));
    assert_eq!(report.deleted.len(), 6);
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    peer.close();
    assert_eq!(list(copy.store())?, manifest.gc.after);
    assert_eq!(list(fixtures::dir().join("gc-after"))?, manifest.gc.after);
    for (name, bytes) in copy.files()? {
        ensure!(before.get(&name) == Some(&bytes), "gc changed {name}");
    }
    ensure!(
        copy.external().join("gc-40000.bin").exists(),
        "gc removed an external file"
    );
    Ok(())
}

#[test]
fn imports_live_while_their_temp_tag_does() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let outside = dir.path().join("outside.bin");
    std::fs::write(&outside, mod251(40_000))?;
    let store = dir.path().join("store");
    let mut peer = Peer::load(&store)?;
    let bytes = peer.import_bytes(&lcg(100_000))?;
    let copied = peer.import_file(&outside, false)?;
    let tagged = peer.import_bytes(&lcg(5))?;
    peer.set_tag(b"\xff kept", Some((tagged, false)))?;
    assert_eq!(peer.import_file(&outside, true)?, copied);
    assert!(peer.gc()?.deleted.is_empty());
    let auto = peer.create_tag((bytes, true))?;
    assert!(auto.starts_with(b"auto-"));
    peer.set_tag(&auto, None)?;
    peer.release_temp_tags();
    assert_eq!(peer.gc()?.deleted, BTreeSet::from([bytes, copied]));
    peer.close();

    let peer = Peer::load(&store)?;
    assert_eq!(peer.blobs().into_keys().collect::<Vec<_>>(), [tagged]);
    assert_eq!(peer.read(&tagged)?, lcg(5));
    assert_eq!(
        peer.tags().into_iter().collect::<Vec<_>>(),
        [(b"\xff kept".to_vec(), (tagged, false))]
    );
    assert!(peer.read(&bytes).is_err());
    ensure!(outside.exists(), "gc removed an external file");
    Ok(())
}

#[test]
fn a_partial_blob_survives_reopening_and_completes() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let content = lcg(100_001);
    let peer = Peer::load(dir.path())?;
    let hash = peer.receive(&content, 1..3)?;
    peer.close();

    let peer = Peer::load(dir.path())?;
    assert_eq!(peer.partial_blobs().get(&hash), Some(&100_001));
    assert!(peer.read(&hash).is_err());
    peer.receive(&content, 0..1)?;
    peer.receive(&content, 3..7)?;
    peer.complete(&hash)?;
    assert!(peer.partial_blobs().is_empty());
    peer.verify(&hash)?;
    assert_eq!(peer.read(&hash)?, content);
    Ok(())
}

#[test]
fn verify_sees_damage_that_read_does_not() -> Result<()> {
    let copy = Copy::of("gc")?;
    let hash = fixtures::hash("d93c23eedaf165a7e0be908ba86f1a7a520d568d2d13cde787c8580c5c72cc54")?;
    let outboard = copy.store().join(format!("{}.obao4", hex::encode(hash)));
    let good = std::fs::read(&outboard)?;
    for position in [0, 8, good.len() - 1] {
        let mut bad = good.clone();
        *bad.get_mut(position).context("shorter than thought")? ^= 1;
        std::fs::write(&outboard, bad)?;
        let peer = Peer::load(copy.store())?;
        assert_eq!(peer.read(&hash)?, mod251(100_000));
        assert!(peer.verify(&hash).is_err(), "byte {position}");
    }
    std::fs::write(&outboard, &good)?;
    let peer = Peer::load(copy.store())?;
    peer.verify(&hash)?;
    assert_eq!(peer.outboard(&hash)?, good);
    Ok(())
}

#[test]
fn export_by_reference_moves_large_data_out() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (store, target) = (dir.path().join("store"), dir.path().join("out/large"));
    let mut peer = Peer::load(&store)?;
    let hash = peer.import_bytes(&lcg(200_000))?;
    peer.export(&hash, &target, true)?;
    peer.close();
    let hex = hex::encode(hash);
    assert_eq!(
        list(&store)?,
        [format!("{hex}.obao4"), format!("{hex}.paths")]
    );
    assert_eq!(std::fs::read(target)?, lcg(200_000));
    let peer = Peer::load(&store)?;
    peer.verify(&hash)
}

/// The listings, the tags and every byte of content are those of the manifest.
fn check(peer: &Peer, name: &str) -> Result<()> {
    let manifest = Manifest::load()?;
    let store = manifest.store(name)?;
    assert_eq!(peer.blobs(), store.complete()?);
    assert_eq!(peer.partial_blobs(), store.partial()?);
    assert_eq!(peer.tags(), store.tags()?);
    for blob in &store.blobs {
        if blob.kind == Kind::Partial {
            continue;
        }
        let hash = fixtures::hash(&blob.hash)?;
        let data = peer.read(&hash)?;
        ensure!(!blob.content.is_empty(), "no formula for {}", blob.hash);
        for formula in &blob.content {
            ensure!(
                data == manifest.content(formula)?,
                "{} is not {formula}",
                blob.hash
            );
        }
        peer.verify(&hash)
            .with_context(|| format!("{} does not verify", blob.hash))?;
    }
    Ok(())
}
