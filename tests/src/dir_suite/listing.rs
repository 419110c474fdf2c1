//! What a listing promises.

use std::ffi::OsString;

use flatbao_core::{Dir, EntryKind};

use super::{DirHarness, Plant, assert_files, create, entries, name, promptly, skipped};

/// "Every entry but `.` and `..`."
pub fn a_new_directory_is_empty<H: DirHarness>() {
    let world = H::fresh();
    assert_files(&world.open(), &[]);
    assert_files(&world.open_other(), &[]);
}

/// Kinds are told without following a link or opening anything.
pub fn a_listing_has_every_entry_once_with_its_kind<H: DirHarness>() {
    promptly(|| {
        let world = H::fresh();
        let dir = world.open();
        create(&dir, "file", b"hello");
        create(&dir, "empty", b"");
        let mut expected = vec![
            (OsString::from("file"), EntryKind::File),
            (OsString::from("empty"), EntryKind::File),
        ];
        for (at, what, kind) in [
            ("to-file", Plant::Link("file"), EntryKind::Link),
            ("to-directory", Plant::Link("directory"), EntryKind::Link),
            ("dangling", Plant::Link("nothing"), EntryKind::Link),
            ("loop", Plant::Link("loop"), EntryKind::Link),
            ("directory", Plant::Directory, EntryKind::Directory),
            ("fifo", Plant::Fifo, EntryKind::Other),
        ] {
            if world.plant(at, what) {
                expected.push((at.into(), kind));
            } else {
                skipped(&format!("there is no {what:?}"));
            }
        }
        expected.sort();
        assert_eq!(entries(&dir), expected);
    });
}

/// However many there are.
pub fn a_listing_of_thousands_is_whole<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let names: Vec<String> = (0..3000).map(|i| format!("{i:064}.data")).collect();
    for at in &names {
        dir.create_new(name(at)).unwrap();
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_files(&dir, &names);
}

/// A listing does not go on where another ended.
pub fn a_listing_starts_anew<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    for at in ["a", "b", "c"] {
        create(&dir, at, b"");
    }
    assert_files(&dir, &["a", "b", "c"]);
    assert_files(&dir, &["a", "b", "c"]);
    dir.unlink(name("b")).unwrap();
    create(&dir, "d", b"");
    assert_files(&dir, &["a", "c", "d"]);
}

/// What is in a directory below is not an entry of this one.
pub fn a_listing_does_not_descend<H: DirHarness>() {
    let world = H::fresh();
    if !world.plant("sub", Plant::Directory) || !world.plant("sub/inner", Plant::Directory) {
        return skipped("there are no directories in directories");
    }
    let expected = (OsString::from("sub"), EntryKind::Directory);
    assert_eq!(entries(&world.open()), [expected]);
}

/// Creations, renames and removals show at once, whoever did them.
pub fn a_listing_shows_what_other_handles_did<H: DirHarness>() {
    let world = H::fresh();
    let (one, two) = (world.open(), world.open());
    create(&one, "a", b"");
    create(&one, "b", b"");
    assert_files(&two, &["a", "b"]);
    two.rename(name("a"), &two, name("c")).unwrap();
    assert_files(&one, &["b", "c"]);
    one.unlink(name("b")).unwrap();
    assert_files(&two, &["c"]);
}
