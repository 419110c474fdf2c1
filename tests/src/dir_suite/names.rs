//! Creating, opening, renaming and removing.

use std::{ffi::OsString, io};

use flatbao_core::{Access, Dir, EntryKind};

use super::{
    DirHarness, Plant, assert_files, assert_missing, assert_not_a_file, assert_refused, content,
    create, entries, name, open, promptly, read, skipped, write,
};

/// "`AlreadyExists` when the name is taken"; what has it is left as it was.
pub fn creation_refuses_a_taken_name<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "a", b"hello");
    for dir in [&dir, &world.open()] {
        assert_refused(
            dir.create_new(name("a")),
            io::ErrorKind::AlreadyExists,
            "creation over a file",
        );
        assert_eq!(read(dir, "a"), b"hello");
    }
    assert_files(&dir, &["a"]);
}

/// "By whatever kind of entry, a dangling link included"; nothing appears where a link points.
pub fn creation_refuses_links_and_special_files<H: DirHarness>() {
    promptly(|| {
        let world = H::fresh();
        let dir = world.open();
        create(&dir, "file", b"hello");
        let mut planted = 0;
        for (at, what) in [
            ("to-file", Plant::Link("file")),
            ("dangling", Plant::Link("nothing")),
            ("loop", Plant::Link("loop")),
            ("directory", Plant::Directory),
            ("fifo", Plant::Fifo),
        ] {
            if !world.plant(at, what) {
                skipped(&format!("there is no {what:?}"));
                continue;
            }
            planted += 1;
            assert_refused(
                dir.create_new(name(at)),
                io::ErrorKind::AlreadyExists,
                format_args!("creation over {what:?}"),
            );
        }
        assert_missing(&dir, "nothing");
        assert_eq!(read(&dir, "file"), b"hello");
        assert_eq!(entries(&dir).len(), 1 + planted);
    });
}

/// "A name that is not there … is no error but a case of `Opened`"; opening makes nothing.
pub fn a_missing_name_is_missing<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "a", b"hello");
    assert_missing(&dir, "b");
    assert_files(&dir, &["a"]);
}

/// Names tell files apart, and every handle of a directory has the same names.
pub fn a_name_opens_its_own_file<H: DirHarness>() {
    let world = H::fresh();
    let (home, other) = (world.open(), world.open_other());
    create(&home, "a", b"one");
    create(&home, "b", b"two");
    create(&other, "a", b"three");
    assert_eq!(read(&home, "a"), b"one");
    assert_eq!(read(&world.open(), "b"), b"two");
    assert_eq!(read(&other, "a"), b"three");
    assert_missing(&other, "b");
    let file = open(&home, "b", Access::ReadWrite);
    write(&file, b"TW", 0);
    assert_eq!(read(&home, "b"), b"TWo");
    assert_eq!(read(&home, "a"), b"one");
}

/// A name is a name, and no pattern, option or sentence.
pub fn odd_names_are_names<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let longest = "x".repeat(255);
    let names = [
        "-rf",
        "~",
        "...",
        ".hidden",
        " space",
        "%2e",
        "ü🦀",
        "a\u{202e}b",
        &longest,
    ];
    for at in names {
        create(&dir, at, at.as_bytes());
    }
    assert_files(&dir, &names);
    for at in names {
        assert_eq!(read(&dir, at), at.as_bytes());
        dir.rename(name(at), &dir, name("plain")).unwrap();
        assert_missing(&dir, at);
        dir.rename(name("plain"), &dir, name(at)).unwrap();
        dir.unlink(name(at)).unwrap();
        assert_missing(&dir, at);
    }
    assert_files(&dir, &[]);
}

/// "No method follows a symbolic link in one", wherever it leads.
pub fn a_link_is_never_opened<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "file", b"hello");
    create(&world.open_other(), "outside", b"secret");
    for (at, target) in [
        ("to-file", "file"),
        ("to-link", "to-file"),
        ("dangling", "nothing"),
        ("loop", "loop"),
        ("to-self", "."),
        ("up", ".."),
        ("away", "../other/outside"),
        ("absolute", "/"),
    ] {
        if !world.plant(at, Plant::Link(target)) {
            return skipped("there are no links");
        }
        assert_not_a_file(&dir, at, EntryKind::Link);
    }
    assert_missing(&dir, "nothing");
    assert_eq!(read(&dir, "file"), b"hello");
}

/// A directory is told and not opened.
pub fn a_directory_is_never_opened<H: DirHarness>() {
    let world = H::fresh();
    if !world.plant("sub", Plant::Directory) {
        return skipped("there are no directories in directories");
    }
    assert_not_a_file(&world.open(), "sub", EntryKind::Directory);
}

/// "None blocks on a FIFO."
pub fn a_fifo_is_never_opened_nor_waited_for<H: DirHarness>() {
    promptly(|| {
        let world = H::fresh();
        if !world.plant("fifo", Plant::Fifo) {
            return skipped("there are no FIFOs");
        }
        assert_not_a_file(&world.open(), "fifo", EntryKind::Other);
    });
}

/// A renamed file has its new name only, and its content; a file may be given the name that it has.
pub fn rename_gives_a_new_name<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "a", b"hello");
    dir.rename(name("a"), &dir, name("b")).unwrap();
    assert_missing(&dir, "a");
    assert_eq!(read(&dir, "b"), b"hello");
    assert_files(&dir, &["b"]);
    dir.rename(name("b"), &dir, name("b")).unwrap();
    assert_eq!(read(&dir, "b"), b"hello");
}

/// "Replacing a file of that name", a longer or a shorter one, through any handle.
pub fn rename_replaces_a_file<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "b", b"a longer file");
    for bytes in [&b"short"[..], b"another longer file", b""] {
        create(&dir, "a", bytes);
        dir.rename(name("a"), &world.open(), name("b")).unwrap();
        assert_eq!(read(&dir, "b"), bytes);
        assert_files(&dir, &["b"]);
    }
}

/// A link whose name is taken is gone; what it pointed to is as before.
pub fn rename_replaces_a_link_and_not_its_target<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "file", b"hello");
    for target in ["file", "nothing"] {
        if !world.plant("link", Plant::Link(target)) {
            return skipped("there are no links");
        }
        create(&dir, "new", b"new");
        dir.rename(name("new"), &dir, name("link")).unwrap();
        assert_eq!(read(&dir, "link"), b"new");
        assert_eq!(read(&dir, "file"), b"hello");
        assert_files(&dir, &["file", "link"]);
        dir.unlink(name("link")).unwrap();
    }
}

/// Only files are replaced; when one cannot be, both are as before.
pub fn rename_never_replaces_a_directory<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "a", b"hello");
    if !world.plant("sub", Plant::Directory) {
        return skipped("there are no directories in directories");
    }
    assert!(dir.rename(name("a"), &dir, name("sub")).is_err());
    assert_eq!(read(&dir, "a"), b"hello");
    assert_not_a_file(&dir, "sub", EntryKind::Directory);
}

/// There must be something to rename; what has the other name stays.
pub fn rename_of_nothing_is_not_found<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "b", b"hello");
    for to in ["b", "c"] {
        assert_refused(
            dir.rename(name("a"), &dir, name(to)),
            io::ErrorKind::NotFound,
            format_args!("rename of nothing to {to}"),
        );
    }
    assert_eq!(read(&dir, "b"), b"hello");
    assert_files(&dir, &["b"]);
}

/// "Gives the file `from` the name `to` in `to_dir`", and no name here.
pub fn rename_crosses_directories<H: DirHarness>() {
    let world = H::fresh();
    let (home, other) = (world.open(), world.open_other());
    create(&home, "a", b"hello");
    home.rename(name("a"), &other, name("b")).unwrap();
    assert_files(&home, &[]);
    assert_files(&other, &["b"]);
    assert_eq!(read(&other, "b"), b"hello");
    other.rename(name("b"), &home, name("b")).unwrap();
    assert_files(&other, &[]);
    assert_eq!(read(&home, "b"), b"hello");
}

/// A file of the name is replaced there, and none of the name here.
pub fn rename_across_replaces_a_file<H: DirHarness>() {
    let world = H::fresh();
    let (home, other) = (world.open(), world.open_other());
    create(&home, "a", b"new");
    create(&home, "b", b"bystander");
    create(&other, "a", b"bystander too");
    create(&other, "b", b"old and long");
    home.rename(name("a"), &other, name("b")).unwrap();
    assert_files(&home, &["b"]);
    assert_eq!(read(&home, "b"), b"bystander");
    assert_files(&other, &["a", "b"]);
    assert_eq!(read(&other, "a"), b"bystander too");
    assert_eq!(read(&other, "b"), b"new");
}

/// A handle is of the file and not of its name.
pub fn an_open_file_goes_along_with_its_new_name<H: DirHarness>() {
    let world = H::fresh();
    let (home, other) = (world.open(), world.open_other());
    let file = create(&home, "a", b"hello");
    home.rename(name("a"), &other, name("b")).unwrap();
    create(&home, "a", b"another");
    write(&file, b"J", 0);
    assert_eq!(content(&file), b"Jello");
    assert_eq!(read(&other, "b"), b"Jello");
    assert_eq!(read(&home, "a"), b"another");
}

/// "Either stays when the other is removed", and both are one file.
pub fn link_gives_a_second_name<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "a", b"hello");
    if let Err(error) = dir.link(name("a"), &dir, name("b")) {
        assert_no_links(&error);
        assert_files(&dir, &["a"]);
        return skipped("files have one name only");
    }
    assert_files(&dir, &["a", "b"]);
    write(&open(&dir, "b", Access::ReadWrite), b"J", 0);
    assert_eq!(read(&dir, "a"), b"Jello");
    dir.unlink(name("a")).unwrap();
    assert_missing(&dir, "a");
    assert_eq!(read(&dir, "b"), b"Jello");
    // A name that is replaced leaves the other.
    dir.link(name("b"), &dir, name("c")).unwrap();
    create(&dir, "new", b"new");
    dir.rename(name("new"), &dir, name("b")).unwrap();
    assert_eq!(read(&dir, "b"), b"new");
    assert_eq!(read(&dir, "c"), b"Jello");
    assert_files(&dir, &["b", "c"]);
}

/// "`to` in `to_dir`", where a file of the old name is another one.
pub fn link_crosses_directories<H: DirHarness>() {
    let world = H::fresh();
    let (home, other) = (world.open(), world.open_other());
    create(&home, "a", b"hello");
    create(&other, "a", b"bystander");
    if home.link(name("a"), &other, name("b")).is_err() {
        return skipped("files have one name only");
    }
    assert_files(&home, &["a"]);
    assert_files(&other, &["a", "b"]);
    assert_eq!(read(&other, "b"), b"hello");
    home.unlink(name("a")).unwrap();
    assert_eq!(read(&other, "b"), b"hello");
    assert_eq!(read(&other, "a"), b"bystander");
}

/// "`AlreadyExists` when the name is taken, by whatever kind of entry"; both are as before.
pub fn link_refuses_a_taken_name<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "a", b"hello");
    create(&dir, "b", b"taken");
    if let Err(error) = dir.link(name("a"), &dir, name("free")) {
        assert_no_links(&error);
        return skipped("files have one name only");
    }
    let mut taken = vec!["b", "a", "free"];
    for (at, what) in [
        ("dangling", Plant::Link("nothing")),
        ("to-file", Plant::Link("b")),
        ("sub", Plant::Directory),
        ("fifo", Plant::Fifo),
    ] {
        if world.plant(at, what) {
            taken.push(at);
        }
    }
    let before = entries(&dir);
    for at in taken {
        assert_refused(
            dir.link(name("a"), &dir, name(at)),
            io::ErrorKind::AlreadyExists,
            format_args!("a link onto {at}"),
        );
    }
    assert_eq!(entries(&dir), before);
    assert_missing(&dir, "nothing");
    assert_eq!(read(&dir, "b"), b"taken");
}

/// There must be a file to link; no name comes of it.
pub fn link_of_nothing_is_not_found<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    match dir.link(name("a"), &dir, name("b")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => assert_no_links(&error),
        Ok(()) => panic!("nothing has a second name"),
    }
    assert_files(&dir, &[]);
    if world.plant("sub", Plant::Directory) {
        assert!(dir.link(name("sub"), &dir, name("b")).is_err());
        assert_missing(&dir, "b");
    }
}

/// "A symbolic link is never followed": what it points to gets no name.
pub fn link_never_follows_a_link<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "file", b"hello");
    for target in ["file", "nothing"] {
        if !world.plant("link", Plant::Link(target)) {
            return skipped("there are no links");
        }
        if dir.link(name("link"), &dir, name("b")).is_ok() {
            assert_not_a_file(&dir, "b", EntryKind::Link);
            dir.unlink(name("b")).unwrap();
        }
        assert_missing(&dir, "b");
        dir.unlink(name("link")).unwrap();
        assert_files(&dir, &["file"]);
    }
}

/// What a directory says in which files have one name only.
#[track_caller]
fn assert_no_links(error: &io::Error) {
    assert!(
        matches!(
            error.kind(),
            io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
        ),
        "a link of a file: {error}"
    );
}

/// A removed name is gone from every handle; others stay.
pub fn unlink_removes_a_name<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "a", b"one");
    create(&dir, "b", b"two");
    dir.unlink(name("a")).unwrap();
    assert_missing(&dir, "a");
    assert_missing(&world.open(), "a");
    assert_files(&dir, &["b"]);
    assert_eq!(read(&dir, "b"), b"two");
}

/// "`NotFound` when there is no such name", also the second time.
pub fn unlink_of_nothing_is_not_found<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    assert_refused(
        dir.unlink(name("a")),
        io::ErrorKind::NotFound,
        "unlink of nothing",
    );
    create(&dir, "a", b"one");
    dir.unlink(name("a")).unwrap();
    assert_refused(
        dir.unlink(name("a")),
        io::ErrorKind::NotFound,
        "a second unlink",
    );
}

/// "A symbolic link itself, not what it points to."
pub fn unlink_removes_a_link_and_not_its_target<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "file", b"hello");
    for target in ["file", "nothing", "link"] {
        if !world.plant("link", Plant::Link(target)) {
            return skipped("there are no links");
        }
        dir.unlink(name("link")).unwrap();
        assert_files(&dir, &["file"]);
        assert_eq!(read(&dir, "file"), b"hello");
    }
}

/// "A name that is not a directory", without opening it.
pub fn unlink_removes_a_fifo<H: DirHarness>() {
    promptly(|| {
        let world = H::fresh();
        let dir = world.open();
        if !world.plant("fifo", Plant::Fifo) {
            return skipped("there are no FIFOs");
        }
        dir.unlink(name("fifo")).unwrap();
        assert_missing(&dir, "fifo");
    });
}

/// A directory is not removed, not even an empty one.
pub fn unlink_refuses_a_directory<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    if !world.plant("sub", Plant::Directory) {
        return skipped("there are no directories in directories");
    }
    assert!(dir.unlink(name("sub")).is_err());
    let kept = (OsString::from("sub"), EntryKind::Directory);
    assert_eq!(entries(&dir), [kept]);
}

fn groups(names: &[&[&str]]) -> Vec<Vec<OsString>> {
    let group = |names: &&[&str]| names.iter().map(OsString::from).collect();
    names.iter().map(group).collect()
}

/// "One that is not there counts as gone"; what is in no group stays.
pub fn groups_are_unlinked_and_what_is_gone_counts<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    for at in ["a", "b", "c", "d", "e"] {
        create(&dir, at, at.as_bytes());
    }
    let unlinked = dir.unlink_groups(&groups(&[&["a", "b"], &[], &["nothing", "d", "d"]]));
    let gone: Vec<usize> = unlinked.iter().map(|unlinked| unlinked.gone).collect();
    assert_eq!(gone, [2, 0, 3]);
    assert!(unlinked.iter().all(|unlinked| unlinked.stopped.is_ok()));
    assert_files(&dir, &["c", "e"]);
    assert_eq!(read(&dir, "c"), b"c");
    assert!(dir.unlink_groups(&[]).is_empty());
}

/// "Up to the first that cannot go, which keeps no other group from going."
pub fn a_group_that_stops_keeps_no_other<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    if !world.plant("sub", Plant::Directory) {
        return skipped("there are no directories in directories");
    }
    for at in ["a", "b", "c", "d"] {
        create(&dir, at, b"");
    }
    let names: &[&[&str]] = &[&["a"], &["b", "sub", "c"], &["d"]];
    let unlinked = dir.unlink_groups(&groups(names));
    let gone: Vec<usize> = unlinked.iter().map(|unlinked| unlinked.gone).collect();
    assert_eq!(gone, [1, 1, 1]);
    let stopped: Vec<bool> = unlinked.iter().map(|one| one.stopped.is_err()).collect();
    assert_eq!(stopped, [false, true, false]);
    let left = [("c", EntryKind::File), ("sub", EntryKind::Directory)];
    assert_eq!(entries(&dir), left.map(|(at, kind)| (at.into(), kind)));
}

/// However many go at once.
pub fn hundreds_of_groups_are_told_in_their_order<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    // One more name in each third group, and what is to stay.
    let names = |n: usize| match n % 3 {
        0 => vec![format!("{n}-data").into(), format!("{n}-outboard").into()],
        _ => vec![OsString::from(format!("{n}-data"))],
    };
    let groups: Vec<Vec<OsString>> = (0..500).map(names).collect();
    for at in groups.iter().flatten() {
        dir.create_new(at).unwrap();
    }
    for n in 0..100 {
        create(&dir, &format!("{n}-kept"), n.to_string().as_bytes());
    }
    let all: Vec<OsString> = groups.concat();
    assert!(
        dir.lens_of(&all)
            .into_iter()
            .all(|len| len.unwrap() == Some(0))
    );
    let unlinked = dir.unlink_groups(&groups);
    for (names, unlinked) in groups.iter().zip(&unlinked) {
        assert_eq!(unlinked.gone, names.len(), "{names:?}");
        assert!(unlinked.stopped.is_ok());
    }
    assert_eq!(unlinked.len(), groups.len());
    assert!(
        dir.lens_of(&all)
            .into_iter()
            .all(|len| len.unwrap().is_none())
    );
    let kept: Vec<OsString> = (0..100).map(|n| format!("{n}-kept").into()).collect();
    let lens = dir.lens_of(&kept).into_iter().map(Result::unwrap);
    assert!(lens.eq((0..100_u64).map(|n| Some(n.to_string().len() as u64))));
    assert_eq!(entries(&dir).len(), 100);
}

/// "`None` of a name that is not there or is something else": a link is not followed, a FIFO not waited for.
pub fn lengths_are_those_of_regular_files<H: DirHarness>() {
    promptly(|| {
        let world = H::fresh();
        let dir = world.open();
        create(&dir, "empty", b"");
        create(&dir, "file", b"hello");
        for (at, what) in [
            ("to-file", Plant::Link("file")),
            ("sub", Plant::Directory),
            ("fifo", Plant::Fifo),
        ] {
            if !world.plant(at, what) {
                skipped(&format!("there is no {what:?}"));
            }
        }
        let names = ["file", "to-file", "nothing", "sub", "empty", "fifo", "file"];
        let lens = dir.lens_of(&names.map(OsString::from));
        let lens: Vec<Option<u64>> = lens.into_iter().map(Result::unwrap).collect();
        assert_eq!(lens, [Some(5), None, None, None, Some(0), None, Some(5)]);
    });
}

/// "It stays readable after its name is gone", for who wrote it and for who reads it.
pub fn a_file_is_readable_after_unlink<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let written = create(&dir, "a", b"hello");
    let reader = open(&world.open(), "a", Access::Read);
    dir.unlink(name("a")).unwrap();
    drop(dir);
    assert_eq!(content(&written), b"hello");
    assert_eq!(content(&reader), b"hello");
    write(&written, b"J", 0);
    assert_eq!(content(&reader), b"Jello");
    assert_files(&world.open(), &[]);
}

/// The same when another file took its name.
pub fn a_file_is_readable_after_it_was_replaced<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "a", b"old content");
    let old = open(&dir, "a", Access::Read);
    create(&dir, "b", b"new");
    dir.rename(name("b"), &dir, name("a")).unwrap();
    assert_eq!(content(&old), b"old content");
    assert_eq!(read(&dir, "a"), b"new");
}

/// A new file of a removed name has nothing of the old one.
pub fn a_removed_name_is_free_again<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let old = create(&dir, "a", b"old content");
    dir.unlink(name("a")).unwrap();
    let new = dir.create_new(name("a")).unwrap();
    assert_eq!(content(&new), b"");
    write(&new, b"new", 0);
    assert_eq!(content(&old), b"old content");
    assert_eq!(read(&dir, "a"), b"new");
}
