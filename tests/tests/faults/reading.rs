//! What fails outside the store's own files, and reading that fails.

use std::io;

use flatbao_core::{
    ChunkRanges, Error, FileName, Hash,
    io::ReadAt as _,
    store::{Location, Novelty, Status},
};
use flatbao_mem::{Fault, OpKind};

use crate::{
    common::{GROUP, assert_reads, faults::KINDS, read, seq, tag},
    scene::Scene,
};

/// A source that fails at any byte leaves nothing behind.
/// BI-073.
#[test]
fn a_source_that_fails() {
    struct Broken(usize);
    impl io::Read for Broken {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let len = buf.len().min(self.0).min(9000);
            buf[..len].fill(3);
            self.0 -= len;
            Ok(len)
        }
    }
    let scene = Scene::new();
    let store = scene.machine.open();
    let before = scene.machine.files();
    for len in [0, 1, GROUP, GROUP + 1, 5 * GROUP, 300 * GROUP, 5 << 20] {
        let error = store.import_reader(Broken(len)).unwrap_err();
        assert!(matches!(error, Error::Source(_)), "{error:?}");
        assert_eq!(scene.machine.files(), before);
        let mut batch = store.batch();
        batch.import_reader(&b"good"[..]).unwrap();
        batch.import_reader(Broken(len)).unwrap_err();
        drop(batch);
        assert_eq!(
            scene.machine.files(),
            before,
            "a batch that is dropped leaves nothing"
        );
    }
    let imported = store.import_bytes(b"good").unwrap();
    assert_eq!(imported.novelty, Novelty::New);
}

/// An error of reading is that error, never "not there"; it does not last, and
/// collection takes it for a reason to do nothing.
/// BI-080, BI-082.
#[test]
fn a_read_error_is_no_missing_blob() {
    let scene = Scene::new();
    for n in [0, 1, 3, 4] {
        let (hash, content) = &scene.kept[n];
        for kind in [
            OpKind::Open,
            OpKind::Read,
            OpKind::Size,
            OpKind::Descend,
            OpKind::IsSame,
        ] {
            for skip in 0..6 {
                let scene = scene.again();
                let store = scene.machine.open();
                scene
                    .machine
                    .disk
                    .inject(Fault::on(kind).skip(skip).sticky());
                for _ in 0..2 {
                    match read(&store, *hash) {
                        Ok(bytes) => assert!(bytes == *content),
                        Err(Error::Unreadable { .. } | Error::Backend(_)) => {}
                        Err(other) => panic!("{kind:?} {skip} of blob {n}: {other:?}"),
                    }
                }
                scene.machine.disk.heal();
                assert_reads(&store, *hash, content);
                let Status::Present(info) = store.status(*hash) else {
                    panic!("blob {n} is gone");
                };
                assert!(
                    !info.damaged,
                    "an error of the system is not damage of the blob"
                );
                assert_eq!(info.location == Location::External, n == 3);
            }
        }
    }
    // A reader that was open all the time recovers, too.
    let (hash, content) = &scene.kept[1];
    let store = scene.machine.fork();
    let machine = store;
    let store = machine.open();
    let reader = store.reader(*hash).unwrap();
    machine.disk.inject(Fault::on(OpKind::Read).sticky());
    let mut buf = vec![0; content.len()];
    assert!(reader.read_at(&mut buf, 0).is_err());
    machine.disk.heal();
    assert_eq!(reader.read_at(&mut buf, 0).unwrap(), content.len());
    assert!(buf == *content);
}

/// What there is of a partial blob and cannot be read is an error of the system as well, and not `MissingGroup`: not for
/// who asks what is there, not for who reads or sends. Who receives it has it sent once more.
/// BI-080.
#[test]
fn a_part_that_cannot_be_read_is_not_missing() {
    let base = Scene::new();
    let hash = Hash::of(&base.part);
    for file in ["data", "obao4"] {
        let scene = base.again();
        let store = scene.machine.open();
        let reader = store.partial_reader(hash).unwrap();
        let fault = Fault::matching(move |op| {
            let name = op.name.to_string_lossy();
            // The size in front of the outboard can be read.
            op.kind == OpKind::Read && name.contains('-') && name.ends_with(file) && op.len != 8
        });
        scene.machine.disk.inject(fault.sticky());
        let is_unread = |error: Error| {
            let is_it = matches!(&error, Error::Unreadable { hash: of, .. } if *of == hash);
            assert!(is_it, "{file}: {error:?}");
        };
        is_unread(store.available(hash).unwrap_err());
        is_unread(store.missing(hash).unwrap_err());
        let mut buf = vec![0; GROUP];
        is_unread(reader.read_verified(&mut buf, 0).unwrap_err());
        is_unread(reader.read_verified(&mut buf, 5).unwrap_err());
        is_unread(
            store
                .partial_reader(hash)
                .unwrap()
                .read_verified(&mut buf, 0)
                .unwrap_err(),
        );
        let first = ChunkRanges::of_groups(..2);
        is_unread(store.send(hash, &first, &mut Vec::new()).unwrap_err());
        scene.machine.disk.heal();
        assert_eq!(reader.read_verified(&mut buf, 0).unwrap(), GROUP);
        assert!(buf == base.part[..GROUP]);
        let found = store.available(hash).unwrap();
        assert_eq!(found.groups.first(), Some(&(0..2)));
        // What really is not there is missing.
        let missing = reader
            .read_verified(&mut buf, 2 * GROUP as u64)
            .unwrap_err();
        assert!(matches!(missing, Error::MissingGroup { .. }), "{missing:?}");
        assert!(matches!(
            reader.proven_size(),
            Err(Error::MissingGroup { .. })
        ));
    }
}

/// A sequence that cannot be read while it is found out what lives: nothing is deleted.
/// BI-070.
#[test]
fn a_sequence_that_cannot_be_read_stops_collection() {
    let base = Scene::new();
    let store = base.machine.open();
    store.set_tag(tag("list"), seq(base.list)).unwrap();
    drop(store);
    let machine = base.machine.kill();
    let list = FileName::Data(base.list).to_string();
    for kind in [OpKind::Open, OpKind::Read] {
        for error in KINDS {
            let machine = machine.fork();
            let store = machine.open();
            let before = machine.files();
            machine
                .disk
                .inject(Fault::on_name(kind, &list).error(error).sticky());
            match store.plan_gc() {
                Err(Error::Root { root, .. }) => assert!(root.contains("list"), "{root}"),
                other => panic!("{kind:?} {error:?}: {other:?}"),
            }
            assert_eq!(machine.files(), before);
            machine.disk.heal();
            assert_eq!(
                store.sweep(store.plan_gc().unwrap()).unwrap().removed.len(),
                2
            );
        }
    }
}
