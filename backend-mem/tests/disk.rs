//! What the simulated disk does, seen through the seam.

// The helpers of a test report by panicking, as the test itself does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{ffi::OsStr, io};

use flatbao_core::{
    Access, ChunkRanges, Dir, DirFile, EntryKind, FlatDir, HashAndFormat, Opened, ReadAt, Store,
};
use flatbao_mem::{Fault, MemBackend, OpKind, SimDir, SimDisk, SimFile, Waiting, replay};

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

fn store() -> (SimDisk, SimDir) {
    let disk = SimDisk::new();
    let dir = disk.file_system("a");
    (disk, dir)
}

fn file(dir: &SimDir, text: &str, bytes: &[u8]) -> SimFile {
    let file = dir.create_new(name(text)).unwrap();
    assert_eq!(file.write_at(bytes, 0).unwrap(), bytes.len());
    file
}

#[test]
fn handles_are_shared_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<SimDisk>();
    check::<SimDir>();
    check::<SimFile>();
    check::<MemBackend>();
}

#[test]
fn the_ends_of_a_process_differ() {
    let (disk, dir) = store();
    file(&dir, "synced", b"old").sync().unwrap();
    dir.sync().unwrap();
    let Opened::File(open) = dir.open(name("synced"), Access::ReadWrite).unwrap() else {
        panic!()
    };
    open.write_at(b"new", 0).unwrap();
    file(&dir, "unsynced", b"x");
    let lock = dir.try_lock(name("lock")).unwrap().unwrap();
    let found = |disk: &SimDisk| {
        let dir = disk.file_system("a");
        (dir.content("synced"), dir.content("unsynced"))
    };
    let (old, new) = (Some(b"old".to_vec()), Some(b"new".to_vec()));
    let unsynced = Some(b"x".to_vec());
    assert_eq!(found(&disk.fork().crash()), (old.clone(), None));
    assert_eq!(
        found(&disk.fork().crash_keeping_all()),
        (new.clone(), unsynced.clone())
    );
    let next = disk.kill();
    assert_eq!(found(&next), (new, unsynced));
    assert_eq!((next.ops(), next.trace().len()), (0, 0));
    next.file_system("a")
        .try_lock(name("lock"))
        .unwrap()
        .expect("locks die with the process");
    // The dead process has nothing, and harms nothing.
    for error in [
        open.sync().unwrap_err(),
        dir.sync().unwrap_err(),
        open.size().unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    }
    drop(lock);
    assert_eq!(
        found(&next.crash()),
        (old, None),
        "the cache was not synced"
    );
}

#[test]
fn every_call_is_on_the_record() {
    let (disk, dir) = store();
    let open = file(&dir, "x", b"abc");
    open.read_at(&mut [0; 8], 1).unwrap();
    dir.open(name("y"), Access::Read).unwrap();
    dir.unlink(name("y")).unwrap_err();
    dir.rename(name("x"), &dir, name("z")).unwrap();
    open.sync().unwrap();
    dir.sync().unwrap();
    let trace: Vec<_> = disk.trace().iter().map(ToString::to_string).collect();
    assert_eq!(
        trace,
        [
            "0 CreateNew a/x",
            "1 Write a/x 0+3 = 3",
            "2 Read a/x 1+8 = 2",
            "3 Open a/y",
            "4 Unlink a/y failed: entity not found",
            "5 Rename a/x -> a/z",
            "6 SyncFile a/x",
            "7 SyncDir a",
        ]
    );
    assert_eq!(
        (disk.ops(), disk.syncs(), disk.count(OpKind::Open)),
        (8, 2, 1)
    );
    disk.keep_trace(false);
    dir.sync().unwrap();
    assert_eq!((disk.ops(), disk.trace().len()), (9, 0));
}

#[test]
fn faults_strike_as_ordered() {
    let (disk, dir) = store();
    disk.inject(
        Fault::on(OpKind::CreateNew)
            .skip(1)
            .error(io::ErrorKind::StorageFull),
    );
    file(&dir, "one", b"");
    let error = dir.create_new(name("two")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(dir.entries().len(), 1);
    file(&dir, "two", b"");
    disk.inject(Fault::on_name(OpKind::Unlink, "one").after_effect());
    dir.unlink(name("two")).unwrap();
    dir.unlink(name("one")).unwrap_err();
    assert_eq!(dir.entries().len(), 0);
    disk.inject(Fault::from(disk.ops() + 1));
    dir.sync().unwrap();
    for _ in 0..2 {
        dir.sync().unwrap_err();
    }
    disk.heal();
    dir.sync().unwrap();
}

/// A lock that is taken and then reported as failed is not held by anybody who could release it.
#[test]
fn a_fault_after_the_effect_does_not_hang() {
    let (disk, dir) = store();
    disk.inject(Fault::on(OpKind::TryLock).after_effect());
    dir.try_lock(name("lock")).unwrap_err();
    assert!(dir.try_lock(name("lock")).unwrap().is_none());
}

#[test]
fn a_failed_directory_sync_is_final_and_a_death_before_it_is_not() {
    for (fault, kept) in [
        (Fault::on(OpKind::SyncDir), false),
        (Fault::death_at(2), true),
    ] {
        let (disk, dir) = store();
        file(&dir, "x", b"");
        disk.inject(fault);
        dir.sync().unwrap_err();
        let disk = disk.kill();
        disk.file_system("a").sync().unwrap();
        let after = disk.crash().file_system("a");
        assert_eq!(after.content("x").is_some(), kept);
    }
}

/// Imports, parts, tags, a collection: every call, its place and its length, and every byte that is left.
#[test]
fn a_seed_says_every_call_and_every_byte() {
    let story = |seed| {
        let told = replay(seed, |disk, env| {
            let (store, _) = Store::open(FlatDir::new(disk.file_system("a")), env).unwrap();
            let large = vec![7; 40_000];
            let hash = store.import_bytes(&large).unwrap().hash;
            store.import_bytes(b"small").unwrap();
            let mut stream = Vec::new();
            store
                .send(hash, &ChunkRanges::of_groups(..1), &mut stream)
                .unwrap();
            store.delete(hash, false).unwrap();
            let part = store.receive(hash, &ChunkRanges::of_groups(..1), &stream[..]);
            assert!(!part.unwrap().is_complete);
            store.auto_tag(HashAndFormat::raw(hash)).unwrap();
            store.sweep(store.plan_gc().unwrap()).unwrap();
        });
        let mut left = Vec::new();
        told.1
            .file_system("a")
            .each_digest(&mut |name, digest| left.push((name.to_owned(), digest)));
        (told.1.trace(), left)
    };
    let once = story(1);
    assert!(once.0.len() > 40 && once.1.len() == 4, "{once:#?}");
    assert_eq!(story(1), once);
    assert_ne!(story(2).0, once.0, "random names are others");
}

#[test]
fn a_fault_reports_the_very_number() {
    let (disk, dir) = store();
    disk.inject(Fault::on(OpKind::CreateNew).errno(5).sticky());
    let error = dir.create_new(name("x")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(5));
    assert_eq!(dir.content("x"), None);
}

/// A sync that is left out says `Ok`, and nothing is durable.
#[test]
fn a_sync_that_is_ignored_leaves_things_as_they_were() {
    let (disk, dir) = store();
    disk.inject(
        Fault::matching(|op| op.kind != OpKind::SyncDir)
            .ignored()
            .sticky(),
    );
    let written = file(&dir, "x", b"bytes");
    written.sync().unwrap();
    dir.sync().unwrap();
    assert_eq!(
        dir.content("x").unwrap(),
        b"bytes",
        "what is no sync is done"
    );
    assert_eq!(
        disk.fork().crash().file_system("a").content("x").unwrap(),
        b""
    );
    // It is not lost either, as it is by a sync that fails.
    disk.heal();
    written.sync().unwrap();
    assert_eq!(
        disk.crash().file_system("a").content("x").unwrap(),
        b"bytes"
    );
}

#[test]
fn what_waits_for_a_sync_is_told() {
    let (disk, dir) = store();
    let digest = |bytes: &[u8]| *blake3::hash(bytes).as_bytes();
    let told = |disk: &SimDisk| {
        let mut told = Vec::new();
        disk.each_waiting(&mut |waiting| {
            told.push(match waiting {
                Waiting::Name {
                    dir,
                    name,
                    leads_to,
                } => (format!("{dir}/{}", name.display()), leads_to, None),
                Waiting::Bytes {
                    dir,
                    name,
                    seen,
                    synced,
                } => (
                    format!("{dir}/{}", name.display()),
                    Some(seen),
                    Some(synced),
                ),
            });
        });
        told
    };
    let written = file(&dir, "x", b"bytes");
    dir.rename(name("x"), &dir, name("y")).unwrap();
    let (new, old) = (digest(b"bytes"), digest(b""));
    let of = |at: &str, seen, synced| (format!("a/{at}"), seen, synced);
    assert_eq!(
        told(&disk),
        [
            of("x", Some(new), None),
            of("x", None, None),
            of("y", Some(new), None),
            of("y", Some(new), Some(old)),
        ]
    );
    written.sync().unwrap();
    dir.sync().unwrap();
    assert_eq!(told(&disk), []);
    assert_eq!(dir.digest("y"), Some(new));
    let mut all = Vec::new();
    dir.each_digest(&mut |name, digest| all.push((name.to_owned(), digest)));
    assert_eq!(all, [("y".into(), Some(new))]);
    assert_eq!(
        (dir.kind("y"), dir.kind("x")),
        (Some(EntryKind::File), None)
    );
}

#[test]
fn limits_make_calls_short() {
    let (disk, dir) = store();
    let open = dir.create_new(name("x")).unwrap();
    disk.limit_transfer(4);
    disk.limit_space(6);
    assert_eq!(open.write_at(b"abcdef", 0).unwrap(), 4);
    assert_eq!(open.write_at(b"abcdef", 4).unwrap(), 2);
    let error = open.write_at(b"a", 6).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(open.read_at(&mut [0; 8], 0).unwrap(), 4);
    assert_eq!(open.size().unwrap(), 6);
}

#[test]
fn renames_stay_on_one_file_system_and_off_directories() {
    let (disk, dir) = store();
    file(&dir, "x", b"x");
    let sub = dir.plant_dir("sub").unwrap();
    let kind = |to: &SimDir, text: &str| {
        let result = dir.rename(name("x"), to, name(text));
        result.unwrap_err().kind()
    };
    assert_eq!(
        kind(&disk.file_system("b"), "x"),
        io::ErrorKind::CrossesDevices
    );
    assert_eq!(
        kind(&SimDisk::new().file_system("a"), "x"),
        io::ErrorKind::CrossesDevices
    );
    assert_eq!(kind(&dir, "sub"), io::ErrorKind::IsADirectory);
    assert_eq!(kind(&dir, "a/b"), io::ErrorKind::InvalidInput);
    assert_eq!(kind(&dir, &"n".repeat(256)), io::ErrorKind::InvalidFilename);
    dir.rename(name("x"), &dir, name("x")).unwrap();
    dir.rename(name("x"), &sub, name("x")).unwrap();
    assert_eq!(sub.content("x").unwrap(), b"x");
    assert_eq!(dir.entries(), [("sub".into(), EntryKind::Directory)]);
}

#[test]
fn the_tests_hand_is_no_operation_and_durable() {
    let (disk, dir) = store();
    file(&dir, "x", b"cache only");
    dir.plant_file("x", b"planted").unwrap();
    dir.plant_file("y", b"gone").unwrap();
    dir.uproot("y");
    dir.plant_file("z", b"one").unwrap();
    dir.change_file("z", b"two").unwrap();
    assert!(dir.change_file("nothing", b"").is_err());
    assert!(dir.plant_dir("x").is_err() && dir.plant_file("a/b", b"").is_err());
    assert_eq!(disk.ops(), 2);
    dir.sync().unwrap();
    let after = disk.crash().file_system("a");
    assert_eq!(after.content("x").unwrap(), b"planted");
    assert_eq!(after.content("z").unwrap(), b"two");
    assert_eq!(after.entries().len(), 2);
}

#[test]
fn a_file_opened_for_reading_is_not_written() {
    let (_, dir) = store();
    dir.plant_file("x", b"x").unwrap();
    let Opened::File(open) = dir.open(name("x"), Access::Read).unwrap() else {
        panic!()
    };
    assert_eq!(
        open.write_at(b"y", 0).unwrap_err().kind(),
        io::ErrorKind::PermissionDenied
    );
    assert_eq!(
        open.set_len(0).unwrap_err().kind(),
        io::ErrorKind::PermissionDenied
    );
    open.sync().unwrap();
}

#[test]
fn a_second_name_and_a_new_directory_wait_for_their_sync() {
    let (disk, dir) = store();
    let sub = dir.plant_dir("sub").unwrap();
    file(&dir, "x", b"bytes").sync().unwrap();
    dir.sync().unwrap();
    dir.link(name("x"), &sub, name("y")).unwrap();
    dir.make_dir(name("new")).unwrap();
    let new = dir.descend("new".as_ref()).unwrap();
    file(&new, "z", b"below").sync().unwrap();
    new.sync().unwrap();
    let names = |disk: &SimDisk, at: &str| {
        let root = disk.file_system("a");
        let dir = match at {
            "" => root,
            sub => root.plant_dir(sub).unwrap(),
        };
        let names = dir.entries().into_iter();
        names
            .map(|(name, _)| name.into_string().unwrap())
            .collect::<Vec<_>>()
    };
    let lost = disk.fork().crash();
    assert_eq!(names(&lost, ""), ["sub", "x"]);
    assert_eq!(names(&lost, "sub"), [""; 0]);
    assert_eq!(names(&lost, "new"), [""; 0], "what was in it went with it");
    let kept = disk.fork().crash_keeping_names(|dir| dir == "a/sub");
    assert_eq!(names(&kept, ""), ["sub", "x"]);
    assert_eq!(names(&kept, "sub"), ["y"]);
    sub.sync().unwrap();
    dir.sync().unwrap();
    // Both names are of one file, whose bytes need one sync; the names need their own.
    let open = file(&sub, "fresh", b"never synced");
    open.set_len(5).unwrap();
    dir.unlink(name("x")).unwrap();
    let names_only = disk.fork().crash_keeping_names(|_| true);
    assert_eq!(names(&names_only, ""), ["new", "sub"]);
    let after = names_only.file_system("a").plant_dir("sub").unwrap();
    assert_eq!(after.content("fresh").unwrap(), b"");
    assert_eq!(after.content("y").unwrap(), b"bytes");
    let lost = disk.crash();
    assert_eq!(names(&lost, ""), ["new", "sub", "x"]);
    assert_eq!(names(&lost, "sub"), ["y"]);
    assert_eq!(names(&lost, "new"), ["z"]);
}

#[test]
fn links_stay_on_one_file_system_and_off_directories() {
    let (disk, dir) = store();
    file(&dir, "x", b"x");
    dir.plant_dir("sub").unwrap();
    let kind = |from: &str, to: &SimDir, text: &str| {
        let result = dir.link(name(from), to, name(text));
        result.unwrap_err().kind()
    };
    let far = disk.file_system("b");
    assert_eq!(kind("x", &far, "y"), io::ErrorKind::CrossesDevices);
    assert_eq!(kind("sub", &dir, "y"), io::ErrorKind::PermissionDenied);
    assert_eq!(kind("nothing", &dir, "y"), io::ErrorKind::NotFound);
    assert_eq!(kind("x", &dir, "x"), io::ErrorKind::AlreadyExists);
    assert_eq!(kind("x", &dir, "a/b"), io::ErrorKind::InvalidInput);
    assert_eq!(dir.entries().len(), 2);
}
