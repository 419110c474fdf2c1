//! Reading: what is only claimed is not believed, and one bad home does not hide a good one.

use flatbao_core::{
    Damage, Error, FileName, Hash, PathsError, ReadAt, Store,
    store::Novelty,
    tree::{GROUP, PAGE_GROUPS},
};
use flatbao_mem::seeded_env;

use crate::{
    World, assert_reads, bytes, expect_error, four_groups, info, plant_outboard_of_chunks,
};

/// A page that only a lying size has was cut out of a rebuilt tree that has fewer, which panicked. No
/// content may do that: such a read is told as damage, and the blob stays readable.
#[test]
fn a_page_beyond_the_real_end_is_damage_and_no_panic() {
    let world = World::new();
    let (hash, data) = plant_outboard_of_chunks(&world, true);
    let store = world.store();
    let reader = store.reader(hash).unwrap();
    let beyond = PAGE_GROUPS * GROUP;
    let mut buf = [0; 100];
    let error = expect_error(reader.read_verified(&mut buf, beyond));
    match error {
        Error::Corrupt {
            hash: found,
            damage: Damage::Outboard { offset },
        } => assert_eq!((found, offset), (hash, beyond)),
        other => panic!("{other:?}"),
    }
    assert_eq!(buf, [0; 100]);
    // The rebuild that the damage led to has corrected the size of the same reader.
    assert_eq!(reader.proven_size().unwrap(), data.len() as u64);
    assert_eq!(reader.read_verified(&mut buf, 300).unwrap(), 100);
    assert_eq!(buf, data[300..400]);
    // And the outboard that lied is of no more use to it, nor through it to others.
    assert_reads(&store, &data);
    assert_eq!(reader.read_verified(&mut buf, beyond).unwrap(), 0);
}

/// Chunk values that were verified under a lying size went into the cache as group values, where they made
/// every later read fail, also after the blob was imported again. What is not proved is not shared.
#[test]
fn an_outboard_of_another_shape_does_not_spoil_later_reads() {
    let world = World::new();
    let (hash, data) = plant_outboard_of_chunks(&world, false);
    let store = world.store();
    let reader = store.reader(hash).unwrap();
    let mut buf = [0; 100];
    // Under the size that is claimed the group does not verify; the data tell that it is another one.
    assert_eq!(reader.read_verified(&mut buf, 0).unwrap(), 100);
    assert_eq!(buf, data[..100]);
    assert_eq!(reader.proven_size().unwrap(), data.len() as u64);
    assert_reads(&store, &data);
    drop((reader, store));
    let store = world.store();
    assert_reads(&store, &data);
    store.import_bytes(&data).unwrap();
    assert_reads(&store, &data);
    assert!(!info(&store, hash).damaged);
}

/// An external home that does not open hid that the owned bytes are wrong: the blob was told as unreadable,
/// was not quarantined, and an import of the right bytes was dismissed as known.
#[test]
fn wrong_bytes_are_told_although_another_home_does_not_open() {
    let world = World::new();
    let store = world.store();
    let data = four_groups();
    let hash = store.import_bytes(&data).unwrap().hash;
    let path = world.put_outside("file", &data);
    drop(store.import_reference(&path).unwrap());
    world.outside.uproot("file");
    let owned = FileName::Data(hash);
    world.change(&owned, |bytes| bytes[20_000] ^= 1);

    let error = expect_error(store.read(hash, 1 << 20));
    match &error {
        Error::Corrupt {
            hash: found,
            damage: Damage::Group { offset, home },
        } => assert_eq!((found, *offset, home), (&hash, GROUP, &owned.to_string())),
        other => panic!("{other:?}"),
    }
    assert_eq!(error.kind(), "corrupt");
    assert!(info(&store, hash).damaged);

    let imported = store.import_bytes(&data).unwrap();
    assert_eq!(imported.novelty, Novelty::Replaced);
    assert!(!info(&store, hash).damaged);
    assert_eq!(world.content(&owned), Some(data.clone()));
    assert_reads(&store, &data);
}

/// Damage that another home made up for was not remembered: an import of the same bytes was dismissed as
/// known, and with the other home went the blob.
#[test]
fn damage_is_remembered_although_another_home_served_the_read() {
    let world = World::new();
    let store = world.store();
    let data = four_groups();
    let hash = store.import_bytes(&data).unwrap().hash;
    let path = world.put_outside("file", &data);
    drop(store.import_reference(&path).unwrap());
    world.change(&FileName::Data(hash), |bytes| bytes[20_000] ^= 1);

    assert_reads(&store, &data);
    assert!(info(&store, hash).damaged);
    let imported = store.import_bytes(&data).unwrap();
    assert_eq!(imported.novelty, Novelty::Replaced);
    world.outside.uproot("file");
    assert_reads(&store, &data);
}

/// Only the lengths of the first two homes were tried where the prefix of the outboard is wrong, so that a
/// blob with a good third home could not be read.
#[test]
fn a_wrong_size_is_made_good_by_any_home() {
    let world = World::new();
    let store = world.store();
    let data = four_groups();
    let mut hash = Hash::EMPTY;
    // The homes are tried in this order.
    for name in ["1", "2", "3", "4"] {
        let path = world.put_outside(name, &data);
        hash = store.import_reference(&path).unwrap().hash;
    }
    world.change(&FileName::Outboard(hash), |bytes| bytes[0] ^= 1);
    for name in ["1", "2", "3"] {
        world.put_outside(name, b"something else");
    }
    assert_reads(&store, &data);
}

/// A rebuild corrects the size of an open blob. A read that had measured its buffer by the claimed one then
/// sliced beyond its end, which panicked.
#[test]
fn a_size_that_is_corrected_during_a_read_fits_the_buffer() {
    let world = World::new();
    let data = bytes(30_000);
    let cut = 20_000;
    let path = world.put_outside("file", &data);
    let hash = world.store().import_reference(&path).unwrap().hash;
    let outboard = FileName::Outboard(hash);
    // As many groups, but fewer bytes: the file was cut, and the prefix says so.
    world.change(&outboard, |bytes| {
        bytes[..8].copy_from_slice(&(cut as u64).to_le_bytes());
    });
    world.outside.change_file("file", &data[..cut]).unwrap();
    let store = world.store();
    let reader = store.reader(hash).unwrap();
    // Now the file is whole again, and the outboard of no more use.
    world.outside.change_file("file", &data).unwrap();
    world.change(&outboard, |bytes| bytes[8] ^= 1);

    let mut buf = vec![0; cut];
    let mut filled = 0;
    while filled < cut {
        let read = reader
            .read_verified(&mut buf[filled..], filled as u64)
            .unwrap();
        assert_ne!(read, 0, "the end is not at {filled}");
        filled += read;
    }
    assert!(buf == data[..cut]);
    assert_eq!(reader.size().unwrap(), 30_000);
    assert_reads(&store, &data);
}

/// Beside a writer that moved a blob to another home, a read-only opening failed although it looks again at
/// what changed: an outboard that still fitted kept it from noticing that no home is left where it looked.
#[test]
fn a_reader_follows_a_writer_that_moves_a_blob() {
    let world = World::new();
    let writer = world.store();
    let data = four_groups();
    let hash = writer.import_bytes(&data).unwrap().hash;
    let (reader, _) = Store::open_read_only(world.backend(), seeded_env(3)).unwrap();
    writer.delete(hash, true).unwrap();
    let path = world.put_outside("file", &data);
    drop(writer.import_reference(&path).unwrap());
    assert_eq!(world.content(&FileName::Data(hash)), None);
    assert_reads(&reader, &data);
}

/// An empty list of external paths made the blob count as complete and its read say that there is no such
/// blob. It is damage, and a new reference mends it.
#[test]
fn an_empty_list_of_paths_is_damage() {
    for with_outboard in [true, false] {
        let world = World::new();
        let data = four_groups();
        let hash = world.store().import_bytes(&data).unwrap().hash;
        let paths = FileName::Paths(hash);
        world.uproot(&FileName::Data(hash));
        if !with_outboard {
            world.uproot(&FileName::Outboard(hash));
        }
        world.plant(&paths, b"\0");

        let store = world.store();
        let error = expect_error(store.read(hash, 1 << 20));
        match &error {
            Error::Paths { file, source } => {
                assert_eq!((file, source), (&paths, &PathsError::Empty));
            }
            other => panic!("outboard: {with_outboard}: {other:?}"),
        }
        assert_eq!(error.kind(), "corrupt");
        assert!(info(&store, hash).damaged);

        let path = world.put_outside("file", &data);
        let imported = store.import_reference(&path).unwrap();
        assert_eq!(imported.novelty, Novelty::Replaced);
        assert_reads(&store, &data);
    }
}
