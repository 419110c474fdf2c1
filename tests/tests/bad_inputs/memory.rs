//! The same in memory: what is decided by the store and not by a system is decided in the same way on every back end.

use flatbao_core::{
    Backend, EntryKind, Error, FileName, Hash, Recovery, Store, TagFile, TagMap,
    store::{State, Status},
};
use flatbao_mem::MemBackend;

use crate::{
    common::{
        GROUP, Machine, assert_reads, bytes, care::sealed_paths, external, fresh_env,
        groups_that_read, outboard, raw, read, tag,
    },
    foreign_names, uuid,
};

/// The back end that is no directory, with these files and no tags.
fn direct(files: &[(FileName, Vec<u8>)]) -> MemBackend {
    let backend = MemBackend::new();
    backend.grant_external("/external").unwrap();
    for (name, bytes) in files {
        backend.plant_file(name.to_string(), bytes.clone());
    }
    let tags = TagFile::encode(&TagMap::new()).unwrap();
    backend.plant_file("tags.meta", tags);
    backend
}

/// Names that are none of the store's, in a simulated directory and in no directory.
/// BI-001, BI-003, BI-004, BI-005, BI-006, BI-010, BI-011, BI-012, BI-013.
#[test]
fn foreign_names_are_left_alone_in_memory() {
    fn is_left_alone<B: Backend>(opened: (Store<B>, Recovery), count: usize) {
        let (store, recovery) = opened;
        assert_eq!(recovery.odd_count, count as u64);
        for odd in &recovery.odd {
            assert_eq!((odd.kind, odd.is_typed), (EntryKind::File, false));
            assert!(!odd.name.chars().any(char::is_control), "{:?}", odd.name);
        }
        let hash = Hash::of(b"x");
        let listed: Vec<Hash> = store.blobs().map(|blob| blob.hash).collect();
        assert_eq!(listed, [hash]);
        assert_reads(&store, hash, b"x");
        let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
        assert_eq!(swept.removed.len(), 1);
    }
    let hash = Hash::of(b"x");
    let names = foreign_names(&hash.to_string());
    let machine = Machine::new();
    let backend = direct(&[(FileName::Data(hash), b"x".to_vec())]);
    machine.plant(&FileName::Data(hash), b"x");
    machine.plant(&FileName::Tags, &TagFile::encode(&TagMap::new()).unwrap());
    for name in &names {
        machine.store().plant_file(name, b"aliased").unwrap();
        backend.plant_file(name, b"aliased".to_vec());
    }
    is_left_alone(machine.try_open().unwrap(), names.len());
    is_left_alone(
        Store::open(backend.clone(), fresh_env()).unwrap(),
        names.len(),
    );
    let mut expected = names.clone();
    expected.push("tags.meta".into());
    expected.sort();
    let left = machine.files();
    assert!(left.keys().eq(&expected), "{left:?}");
    for name in &names {
        assert_eq!(left[name], b"aliased");
    }
    for name in &names {
        let found = backend.files().into_iter().find(|(other, _)| other == name);
        assert_eq!(found.unwrap().1, b"aliased");
    }
}

/// What bears a name of the store's and is no file, where there is no directory.
/// BI-015, BI-018, BI-019, BI-020.
#[test]
fn strange_kinds_in_memory() {
    let content = bytes(1, 2 * GROUP);
    let hash = Hash::of(&content);
    for kind in [EntryKind::Link, EntryKind::Directory, EntryKind::Other] {
        for name in [
            FileName::Data(hash),
            FileName::Paths(hash),
            FileName::PartialData(hash, uuid(1)),
            FileName::Temp(uuid(1)),
        ] {
            let told = format!("{kind:?} under {name}");
            let backend = direct(&[
                (FileName::Outboard(hash), outboard(&content).unwrap()),
                (FileName::Data(Hash::of(b"other")), b"other".to_vec()),
            ]);
            backend.plant_other(name.to_string(), kind);
            let (store, recovery) = Store::open(backend, fresh_env()).unwrap();
            let [odd] = &recovery.odd[..] else {
                panic!("{told}: {:?}", recovery.odd);
            };
            assert_eq!((&odd.name, odd.kind), (&name.to_string(), kind), "{told}");
            assert!(recovery.removed.is_empty(), "{told}");
            assert_eq!(store.status(hash), Status::Missing, "{told}");
            assert!(
                matches!(read(&store, hash), Err(Error::NotFound(_))),
                "{told}"
            );
            assert_reads(&store, Hash::of(b"other"), b"other");
        }
    }
}

/// Lists of paths and external files, where the external files are in memory as well.
/// BI-044, BI-045, BI-046, BI-047, BI-048, BI-049, BI-052, BI-053, BI-054, BI-055, BI-056, BI-059.
#[test]
fn lists_of_paths_in_memory() {
    let content = bytes(1, 3 * GROUP + 5);
    let hash = Hash::of(&content);
    let board = (FileName::Outboard(hash), outboard(&content).unwrap());
    let good = sealed_paths(&["/external/a"]);
    let mut flipped = good.clone();
    flipped[3] ^= 1;
    for list in [
        b"".to_vec(),
        b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01/external/a".to_vec(),
        b"\x01\x0b/externa".to_vec(),
        good[..good.len() - 1].to_vec(),
        [&good[..], b"\0"].concat(),
        b"\x01\x04/\xff\xff\xff".to_vec(),
        flipped,
        vec![0; 4096],
    ] {
        let paths = (FileName::Paths(hash), list.clone());
        let backend = direct(&[
            board.clone(),
            paths,
            (FileName::Data(Hash::of(b"x")), b"x".to_vec()),
        ]);
        backend.put_external(&external("a"), &content);
        let (store, _) = Store::open(backend.clone(), fresh_env()).unwrap();
        assert!(
            matches!(read(&store, hash), Err(Error::Paths { .. })),
            "{list:?}"
        );
        assert!(
            matches!(store.status(hash), Status::Present(info) if info.damaged && info.state == State::Complete)
        );
        assert_reads(&store, Hash::of(b"x"), b"x");
        let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
        assert_eq!(swept.removed.len(), 1, "what is damaged stays");
        let name = FileName::Paths(hash).to_string();
        let found = backend
            .files()
            .into_iter()
            .find(|(other, _)| *other == *name);
        assert_eq!(found.unwrap().1, list);
    }
    let mut other = content.clone();
    other[0] ^= 1;
    let shrunk = content[..GROUP].to_vec();
    let grown = [&content[..], b"more"].concat();
    for (what, file, groups) in [
        ("missing", None, [false; 4]),
        ("shrunk", Some(shrunk), [true, false, false, false]),
        ("grown", Some(grown), [true; 4]),
        ("other bytes", Some(other), [false, true, true, true]),
    ] {
        for helped in [false, true] {
            let backend = direct(std::slice::from_ref(&board));
            // In disorder, and one of them twice.
            let list = b"\x03\x0b/external/z\x0b/external/a\x0b/external/z".to_vec();
            backend.plant_file(FileName::Paths(hash).to_string(), list);
            if let Some(file) = &file {
                backend.put_external(&external("a"), file);
            }
            if helped {
                backend.put_external(&external("z"), &content);
            }
            let (store, _) = Store::open(backend, fresh_env()).unwrap();
            let good = groups_that_read(&store, hash, &content);
            let expected = if helped { [true; 4] } else { groups };
            assert_eq!(good, expected, "{what}, {helped}");
            store.set_tag(tag("a"), raw(hash)).unwrap();
        }
    }
}
