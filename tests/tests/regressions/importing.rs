//! Importing: what is acknowledged is there, and what is not there is told.

use std::io;

use flatbao_core::{
    BackendError, Error, FileName, Hash, HashAndFormat, NotWritable, PathSet,
    progress::unwatched,
    store::{ImportOptions, Novelty, Status},
};
use flatbao_mem::{Fault, Op, OpKind};

use crate::{World, assert_reads, expect_error, four_groups, set_raw_tag, tag};

/// A file that another program had removed, or cut, was still taken for proved: import and tag were
/// acknowledged, and there was nothing. The index is a cache, never the authority.
#[test]
fn an_import_of_what_is_gone_puts_it_back() {
    let data = four_groups();
    let name = FileName::Data(Hash::of(&data));
    let gone = |world: &World| world.uproot(&name);
    let cut = |world: &World| world.change(&name, |bytes| bytes.truncate(20_000));
    for vandalise in [&gone as &dyn Fn(&World), &cut] {
        let world = World::new();
        let store = world.store();
        let hash = store.import_bytes(&data).unwrap().hash;
        vandalise(&world);
        let imported = store.import_bytes(&data).unwrap();
        assert_eq!(imported.novelty, Novelty::Replaced);
        set_raw_tag(&store, "kept", hash);
        assert_eq!(world.content(&name), Some(data.clone()));
        assert_reads(&store, &data);
        let imported = store.import_bytes(&data).unwrap();
        assert_eq!(imported.novelty, Novelty::Known, "what is there is known");
        drop((imported, store));

        // Not only as long as the power stays on.
        let world = World::of(world.disk.crash());
        assert_reads(&world.store(), &data);
    }
}

/// A batch publishes what has gathered every so often. When that failed, later imports and the commit
/// succeeded, and what had gathered was missing from an acknowledged batch.
#[test]
fn a_batch_of_which_a_part_failed_is_not_acknowledged() {
    let world = World::new();
    let store = world.store();
    let blobs: Vec<_> = (0..200_u32).map(u32::to_le_bytes).collect();
    // Nothing can be published under the name of one of the first, in the middle of them.
    let stuck = FileName::Data(Hash::of(&blobs[50]));
    world.dir.plant_dir(stuck.to_string()).unwrap();

    let mut batch = store.batch();
    let mut results = blobs
        .iter()
        .map(|blob| batch.import_bytes(blob, ImportOptions::default()));
    let added = results.by_ref().take_while(Result::is_ok).count();
    let failed = results
        .by_ref()
        .inspect(|result| {
            let error = result.as_ref().unwrap_err();
            assert!(matches!(error, Error::BatchFailed), "{error:?}");
            assert_eq!(error.kind(), "batch_failed");
        })
        .count();
    assert_eq!(added + 1 + failed, blobs.len());
    assert!(added > 50 && failed > 0, "{added}, {failed}");
    let error = expect_error(batch.commit());
    assert!(matches!(error, Error::BatchFailed), "{error:?}");

    // What was published until then stays; of the others nothing is said to be there, nor left over.
    for (index, blob) in blobs.iter().enumerate() {
        if index < 50 {
            assert_reads(&store, blob);
        } else {
            assert_eq!(store.status(Hash::of(blob)), Status::Missing, "{index}");
        }
    }
    assert_eq!(world.leftovers(), []);

    // As the error says: import it again.
    world.uproot(&stuck);
    let mut batch = store.batch();
    for blob in &blobs {
        batch.import_bytes(blob, ImportOptions::default()).unwrap();
    }
    assert_eq!(batch.commit().unwrap().len(), blobs.len());
    for blob in &blobs {
        assert_reads(&store, blob);
    }
}

/// Whatever was added after a failed publication was taken, and refused at the commit only. The import that
/// publishes in vain says why, and everything after it is refused at once.
#[test]
fn the_import_that_publishes_in_vain_says_why() {
    let world = World::new();
    let store = world.store();
    let stuck = FileName::Data(Hash::of(b"stuck"));
    world.dir.plant_dir(stuck.to_string()).unwrap();
    let mut batch = store.batch();
    let mut import = |bytes: &[u8]| batch.import_bytes(bytes, ImportOptions::default());
    import(b"stuck").unwrap();
    let error = (0..200_u32)
        .find_map(|n| import(&n.to_le_bytes()).err())
        .expect("a batch does not gather without end");
    match error {
        Error::Batch(error) => {
            assert_eq!((error.done, error.unknown), (0, 0));
            assert_eq!(error.source.io_kind(), Some(io::ErrorKind::IsADirectory));
        }
        other => panic!("{other:?}"),
    }
    let path = world.put_outside("file", b"outside");
    let error =
        expect_error(batch.import_reference_with(&path, ImportOptions::default(), &mut unwatched));
    assert!(matches!(error, Error::BatchFailed), "{error:?}");
}

/// A batch that was begun before a sync failed elsewhere was still published and acknowledged, although
/// from then on a sync that succeeds proves nothing.
#[test]
fn a_failed_sync_ends_batches_that_are_under_way() {
    let world = World::new();
    let store = world.store();
    let mut batch = store.batch();
    batch
        .import_bytes(b"staged before", ImportOptions::default())
        .unwrap();
    world.disk.inject(Fault::on(OpKind::SyncDir));
    let empty = HashAndFormat::raw(Hash::EMPTY);
    let error = expect_error(store.set_tag(tag("unlucky"), empty));
    assert!(
        matches!(&error, Error::Batch(error) if matches!(error.source, BackendError::Sync { .. })),
        "{error:?}"
    );

    let before = world.disk.trace().len();
    for error in [
        expect_error(store.import_bytes(b"begun later")),
        expect_error(batch.commit()),
    ] {
        assert!(
            matches!(error, Error::NotWritable(NotWritable::Poisoned(_))),
            "{error:?}"
        );
    }
    let renamed = |op: &Op| op.kind == OpKind::Rename;
    assert!(!world.disk.trace()[before..].iter().any(renamed));
    let published = FileName::Data(Hash::of(b"staged before"));
    assert_eq!(world.content(&published), None);
}

/// A list of external paths that could not be opened for the moment (too many open files) was taken for
/// damaged, and replaced by a list of the new path alone.
#[test]
fn external_paths_are_not_forgotten_for_want_of_a_file_handle() {
    let world = World::new();
    let store = world.store();
    let first = world.put_outside("first", b"same");
    let second = world.put_outside("second", b"same");
    let hash = store.import_reference(&first).unwrap().hash;
    let name = FileName::Paths(hash);
    let listed = || {
        let paths = PathSet::decode(&world.content(&name).unwrap()).unwrap();
        let paths = paths.iter().map(|(path, _)| path.to_owned());
        paths.collect::<Vec<_>>()
    };

    let too_many = Fault::on_name(OpKind::Open, name.to_string()).error(io::ErrorKind::OutOfMemory);
    world.disk.inject(too_many);
    match expect_error(store.import_reference(&second)) {
        Error::Backend(error) => assert_eq!(error.io_kind(), Some(io::ErrorKind::OutOfMemory)),
        other => panic!("{other:?}"),
    }
    assert_eq!(listed(), ["/outside/first"]);
    drop(store.import_reference(&second).unwrap());
    assert_eq!(listed(), ["/outside/first", "/outside/second"]);
}
