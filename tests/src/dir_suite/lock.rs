//! What the lock promises, where the platform has locks.

use std::io;

use flatbao_core::{Dir, EntryKind};

use super::{
    DirHarness, Plant, assert_files, assert_missing, assert_not_a_file, create, name, promptly,
    read, skipped,
};

/// "`None` when another holds it", be it through the same handle or another.
pub fn a_lock_is_exclusive<H: DirHarness>() {
    let world = H::fresh();
    let (one, two) = (world.open(), world.open());
    let Some(held) = lock(&one, "lock") else {
        return;
    };
    let held = held.expect("nobody holds it");
    assert!(lock(&one, "lock").unwrap().is_none());
    assert!(lock(&two, "lock").unwrap().is_none());
    drop(held);
}

/// "Until dropped"; an attempt that failed has left nothing behind.
pub fn a_lock_ends_when_it_is_dropped<H: DirHarness>() {
    let world = H::fresh();
    let (one, two) = (world.open(), world.open());
    for _ in 0..3 {
        let Some(held) = lock(&one, "lock") else {
            return;
        };
        let held = held.expect("the one before was dropped");
        assert!(lock(&two, "lock").unwrap().is_none());
        drop(held);
        let held = lock(&two, "lock").unwrap().expect("it was dropped");
        assert!(lock(&one, "lock").unwrap().is_none());
        drop(held);
    }
}

/// A lock is held by its value, not by the handle that it was taken through.
pub fn a_lock_outlives_the_handle_of_its_directory<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let Some(held) = lock(&dir, "lock") else {
        return;
    };
    drop(dir);
    let dir = world.open();
    assert!(lock(&dir, "lock").unwrap().is_none());
    drop(held);
    assert!(lock(&dir, "lock").unwrap().is_some());
}

/// "The system releases it when the holder dies": a file named `lock` is no lock.
pub fn a_lock_ends_with_the_process<H: DirHarness>() {
    let world = H::fresh();
    {
        let Some(held) = lock(&world.open(), "lock") else {
            return;
        };
        assert!(held.is_some());
    }
    let world = world.restart();
    assert!(lock(&world.open(), "lock").unwrap().is_some());
}

/// "Created where missing", and otherwise left as it is.
pub fn a_lock_makes_its_file_and_keeps_its_content<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let Some(held) = lock(&dir, "lock") else {
        return;
    };
    assert_files(&dir, &["lock"]);
    drop(held);
    assert_files(&dir, &["lock"]);
    assert_eq!(read(&dir, "lock"), b"");

    create(&dir, "used", b"hello");
    let held = lock(&dir, "used").unwrap().expect("nobody holds it");
    drop(held);
    assert_eq!(read(&dir, "used"), b"hello");
}

/// Exclusive use is of one directory, by one name.
pub fn locks_of_other_names_and_directories_are_free<H: DirHarness>() {
    let world = H::fresh();
    let (home, other) = (world.open(), world.open_other());
    let Some(held) = lock(&home, "lock") else {
        return;
    };
    let more = [
        lock(&home, "lock2").unwrap(),
        lock(&other, "lock").unwrap(),
        lock(&other, "lock2").unwrap(),
    ];
    assert!(held.is_some() && more.iter().all(Option::is_some));
}

/// "When `name` is not a regular file": a link is an error, and nothing appears where it points.
pub fn a_lock_follows_no_link<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "file", b"hello");
    for (at, target) in [
        ("to-file", "file"),
        ("dangling", "nothing"),
        ("loop", "loop"),
    ] {
        if !world.plant(at, Plant::Link(target)) {
            return skipped("there are no links");
        }
        assert!(dir.try_lock(name(at)).is_err(), "a link to {target}");
        assert_not_a_file(&dir, at, EntryKind::Link);
    }
    assert_missing(&dir, "nothing");
    assert_eq!(read(&dir, "file"), b"hello");
}

/// The same for what is no file at all, without waiting for it.
pub fn a_lock_is_no_directory_and_no_fifo<H: DirHarness>() {
    promptly(|| {
        let world = H::fresh();
        let dir = world.open();
        for (at, what, kind) in [
            ("directory", Plant::Directory, EntryKind::Directory),
            ("fifo", Plant::Fifo, EntryKind::Other),
        ] {
            if !world.plant(at, what) {
                skipped(&format!("there is no {what:?}"));
                continue;
            }
            assert!(dir.try_lock(name(at)).is_err(), "{what:?}");
            assert_not_a_file(&dir, at, kind);
        }
    });
}

/// The outcome of an attempt; `None` where the platform has no locks.
fn lock<D: Dir>(dir: &D, at: &str) -> Option<Option<D::Lock>> {
    match dir.try_lock(name(at)) {
        Err(e) if e.kind() == io::ErrorKind::Unsupported => {
            skipped("the platform has no locks");
            None
        }
        outcome => Some(outcome.expect("the lock can be tried")),
    }
}
