//! What flatbao's repair makes of a damaged blob, the peer takes for a partial blob of its own: it receives the
//! one group that is missing, and the blob is whole again for both.

use std::{fs, path::Path};

use anyhow::{Result, ensure};
use flatbao_core::{
    HashAndFormat, Store, Tag,
    progress::unwatched,
    store::{RepairOptions, VerifyOptions},
};
use flatbao_fs::{FsBackend, open_ambient, system_env};
use flatbao_interop::{Peer, fixtures::lcg};

const GROUP: usize = 16 * 1024;

fn open(dir: &Path) -> Result<Store<FsBackend>> {
    Ok(Store::open(open_ambient(dir)?, system_env())?.0)
}

#[test]
fn the_peer_fills_in_what_repair_left_out() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let content = lcg(300 * GROUP + 99);
    let store = open(dir.path())?;
    let imported = store.import_bytes(&content)?;
    let value = HashAndFormat::raw(imported.hash);
    store.set_tag(Tag::try_from("kept")?, value)?;
    drop((store, imported.tag));

    let data = dir.path().join(format!("{}.data", imported.hash));
    let mut bytes = fs::read(&data)?;
    bytes[7 * GROUP + 1] ^= 0x10;
    fs::write(&data, &bytes)?;
    let store = open(dir.path())?;
    let repaired = store.repair(&RepairOptions::default(), &mut |_| {}, &mut unwatched)?;
    assert_eq!((repaired.mended, repaired.failed), (1, 0));
    let partials = store.partials(imported.hash)?;
    assert_eq!(partials[0].groups, [0..7, 8..301]);
    drop(store);

    let peer = Peer::load(dir.path())?;
    let hash = *imported.hash.as_bytes();
    let listed: Vec<_> = peer.partial_blobs().into_iter().collect();
    assert_eq!(listed, [(hash, content.len() as u64)]);
    assert_eq!(peer.receive(&content, 7..8)?, hash);
    peer.complete(&hash)?;
    peer.verify(&hash)?;
    ensure!(peer.read(&hash)? == content, "the peer reads other bytes");
    peer.close();

    let store = open(dir.path())?;
    ensure!(
        store.read(imported.hash, u64::MAX)? == content,
        "we read other bytes"
    );
    let mut each = |_| std::ops::ControlFlow::Continue(());
    let verified = store.verify(&VerifyOptions::default(), &mut each, &mut unwatched)?;
    assert_eq!((verified.problems, verified.damage), (0, 0));
    Ok(())
}
