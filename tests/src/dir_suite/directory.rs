//! What the handle of a directory promises: identity, durability, and its bounds.

use std::{io, path::Path};

use flatbao_core::{Dir, DirFile, EntryKind};

use super::{
    DirHarness, Plant, assert_files, assert_missing, assert_not_a_file, assert_refused, create,
    entries, name, promptly, read, skipped,
};

/// "`Unsupported` where the platform cannot do it"; any other failure would be a loss. Nothing that can be
/// read is changed.
pub fn sync_is_done_or_not_supported<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let mut outcomes = vec![dir.sync()];
    create(&dir, "a", b"one").sync().unwrap();
    outcomes.push(dir.sync());
    create(&dir, "b", b"two");
    dir.rename(name("b"), &dir, name("a")).unwrap();
    outcomes.push(dir.sync());
    create(&dir, "c", b"three");
    dir.unlink(name("a")).unwrap();
    outcomes.push(dir.sync());
    assert_files(&dir, &["c"]);
    assert_eq!(read(&dir, "c"), b"three");
    let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    if done == 0 {
        skipped("the platform cannot sync a directory");
        for outcome in outcomes {
            assert_refused(outcome, io::ErrorKind::Unsupported, "sync");
        }
    } else {
        assert_eq!(done, outcomes.len(), "{outcomes:?}");
    }
}

/// Where a file system says that it can be synced as a whole it is, and elsewhere it says so. Files need not be open.
pub fn a_sync_of_everything_is_done_where_it_is_said<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "a", b"one");
    let outcome = dir.sync_whole();
    match dir.whole_sync_from() {
        Some(files) => {
            assert!(files > 0);
            outcome.unwrap();
        }
        None => {
            skipped("the platform cannot sync a file system, or does not tell of losses");
            assert_refused(outcome, io::ErrorKind::Unsupported, "sync everything");
        }
    }
    create(&dir, "b", b"two");
    assert_eq!(dir.sync_whole().is_ok(), dir.whole_sync_from().is_some());
    assert_files(&dir, &["a", "b"]);
    assert_eq!(read(&dir, "b"), b"two");
}

/// What a process did is there for the next one.
pub fn a_restart_keeps_everything<H: DirHarness>() {
    let world = H::fresh();
    {
        let (home, other) = (world.open(), world.open_other());
        create(&home, "a", b"one");
        create(&home, "b", b"two");
        create(&home, "c", b"three").set_len(2).unwrap();
        home.rename(name("b"), &other, name("d")).unwrap();
        home.unlink(name("a")).unwrap();
    }
    let world = world.restart();
    assert_files(&world.open(), &["c"]);
    assert_eq!(read(&world.open(), "c"), b"th");
    assert_files(&world.open_other(), &["d"]);
    assert_eq!(read(&world.open_other(), "d"), b"two");
}

/// "A handle that keeps meaning the same directory whatever happens to its path."
pub fn a_handle_outlives_its_path<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "a", b"one");
    if !world.displace() {
        return skipped("directories have no place from which they could be moved");
    }
    let new = world.open();
    assert_files(&new, &[]);
    assert!(!dir.is_same(&new).unwrap());
    assert_eq!(read(&dir, "a"), b"one");
    create(&dir, "b", b"two");
    dir.rename(name("a"), &dir, name("c")).unwrap();
    assert_files(&dir, &["b", "c"]);
    assert_files(&new, &[]);
}

/// "Whether the two are one directory", through whichever handles.
pub fn handles_of_one_directory_are_the_same<H: DirHarness>() {
    let world = H::fresh();
    let (one, two) = (world.open(), world.open());
    assert!(one.is_same(&one).unwrap());
    assert!(one.is_same(&two).unwrap());
    create(&one, "a", b"one");
    assert!(two.is_same(&one).unwrap());
    if world.plant("sub", Plant::Directory) {
        let (one, two) = (descend(&one, "sub"), descend(&two, "sub"));
        assert!(one.is_same(&two).unwrap());
    }
}

/// Directories are not the same for having the same content or the same parent.
pub fn different_directories_are_not_the_same<H: DirHarness>() {
    let world = H::fresh();
    let (home, other) = (world.open(), world.open_other());
    assert!(!home.is_same(&other).unwrap());
    assert!(!other.is_same(&home).unwrap());
    let elsewhere = H::fresh();
    assert!(!home.is_same(&elsewhere.open()).unwrap());
    if world.plant("one", Plant::Directory) && world.plant("two", Plant::Directory) {
        let (one, two) = (descend(&home, "one"), descend(&home, "two"));
        assert!(!one.is_same(&two).unwrap());
        assert!(!one.is_same(&home).unwrap());
        assert!(!home.is_same(&two).unwrap());
    }
}

/// "Makes a directory, an empty one", which is one like any other.
pub fn a_made_directory_is_empty_and_there<H: DirHarness>() {
    let world = H::fresh();
    let home = world.open();
    home.make_dir(name("sub")).unwrap();
    assert_not_a_file(&home, "sub", EntryKind::Directory);
    let sub = descend(&world.open(), "sub");
    assert_files(&sub, &[]);
    create(&sub, "a", b"below");
    sub.make_dir(name("more")).unwrap();
    create(&descend(&home, "sub/more"), "a", b"further below");
    assert_eq!(read(&sub, "a"), b"below");
    assert_eq!(entries(&home), [("sub".into(), EntryKind::Directory)]);
    assert_eq!(read(&descend(&home, "sub/more"), "a"), b"further below");
}

/// "`AlreadyExists` when the name is taken", by a directory too; what has it is as before.
pub fn making_a_directory_refuses_a_taken_name<H: DirHarness>() {
    let world = H::fresh();
    let home = world.open();
    create(&home, "file", b"hello");
    home.make_dir(name("sub")).unwrap();
    create(&descend(&home, "sub"), "a", b"below");
    let mut taken = vec!["file", "sub"];
    for (at, what) in [
        ("dangling", Plant::Link("nothing")),
        ("to-sub", Plant::Link("sub")),
        ("fifo", Plant::Fifo),
    ] {
        if world.plant(at, what) {
            taken.push(at);
        }
    }
    let before = entries(&home);
    for at in taken {
        assert_refused(
            home.make_dir(name(at)),
            io::ErrorKind::AlreadyExists,
            format_args!("a directory onto {at}"),
        );
    }
    assert_eq!(entries(&home), before);
    assert_missing(&home, "nothing");
    assert_eq!(read(&home, "file"), b"hello");
    assert_eq!(read(&descend(&home, "sub"), "a"), b"below");
}

/// "The directory at `path`", one or more below, is a directory like any other.
pub fn descend_reaches_what_is_below<H: DirHarness>() {
    let world = H::fresh();
    let home = world.open();
    if !world.plant("one", Plant::Directory) || !world.plant("one/two", Plant::Directory) {
        return skipped("there are no directories in directories");
    }
    let two = descend(&home, "one/two");
    assert!(
        two.is_same(&descend(&descend(&home, "one"), "two"))
            .unwrap()
    );
    create(&two, "a", b"below");
    create(&home, "a", b"above");
    assert_eq!(read(&descend(&world.open(), "one/two"), "a"), b"below");
    home.rename(name("a"), &two, name("b")).unwrap();
    assert_files(&two, &["a", "b"]);
    assert_eq!(read(&two, "b"), b"above");
    assert_eq!(
        entries(&home),
        [("one".into(), EntryKind::Directory)],
        "nothing is left here"
    );
}

/// "`NotFound`"; descending makes nothing.
pub fn descend_tells_what_is_not_there<H: DirHarness>() {
    let world = H::fresh();
    let home = world.open();
    for path in ["nothing", "nothing/more"] {
        assert_refused(
            home.descend(Path::new(path)),
            io::ErrorKind::NotFound,
            format_args!("descending to {path}"),
        );
    }
    if world.plant("dangling", Plant::Link("nothing")) {
        assert!(home.descend(Path::new("dangling")).is_err());
    }
    if world.plant("loop", Plant::Link("loop")) {
        assert!(home.descend(Path::new("loop")).is_err());
    }
    assert_missing(&home, "nothing");
}

/// "`NotADirectory`", at the end of the path or on the way.
pub fn descend_tells_what_is_no_directory<H: DirHarness>() {
    promptly(|| {
        let world = H::fresh();
        let home = world.open();
        create(&home, "file", b"hello");
        let mut paths = vec!["file", "file/more"];
        if world.plant("fifo", Plant::Fifo) {
            paths.push("fifo");
        }
        for path in paths {
            assert_refused(
                home.descend(Path::new(path)),
                io::ErrorKind::NotADirectory,
                format_args!("descending to {path}"),
            );
        }
        assert_eq!(read(&home, "file"), b"hello");
    });
}

/// "`PermissionDenied` when the path leads outside", as `..` and absolute paths do.
pub fn descend_never_goes_up<H: DirHarness>() {
    let world = H::fresh();
    let home = world.open();
    let mut paths = vec!["..", "../other", "/", "/tmp"];
    if world.plant("sub", Plant::Directory) {
        paths.extend(["sub/../..", "sub/../../other"]);
        let sub = descend(&home, "sub");
        assert_refused(
            sub.descend(Path::new("..")),
            io::ErrorKind::PermissionDenied,
            "descending up from below",
        );
    }
    for path in paths {
        assert_refused(
            home.descend(Path::new(path)),
            io::ErrorKind::PermissionDenied,
            format_args!("descending to {path}"),
        );
    }
}

/// The same for a link that leads outside, at the end of the path or on the way.
pub fn descend_follows_no_link_outside<H: DirHarness>() {
    let world = H::fresh();
    let home = world.open();
    for (at, target) in [
        ("up", ".."),
        ("other", "../other"),
        ("root", "/"),
        ("absolute", "/tmp"),
        ("through", "up"),
    ] {
        if !world.plant(at, Plant::Link(target)) {
            return skipped("there are no links");
        }
        for path in [at.to_owned(), format!("{at}/x")] {
            assert_refused(
                home.descend(Path::new(&path)),
                io::ErrorKind::PermissionDenied,
                format_args!("descending to {path} through a link to {target}"),
            );
        }
        assert_not_a_file(&home, at, EntryKind::Link);
    }
}

/// A link that stays below may be followed or not, but leads to nothing else than it says.
pub fn descend_may_follow_a_link_inside<H: DirHarness>() {
    let world = H::fresh();
    let home = world.open();
    if !world.plant("sub", Plant::Directory) || !world.plant("link", Plant::Link("sub")) {
        return skipped("there are no links or no directories in directories");
    }
    match home.descend(Path::new("link")) {
        Ok(followed) => assert!(followed.is_same(&descend(&home, "sub")).unwrap()),
        Err(_) => skipped("links to directories are not followed"),
    }
}

fn descend<D: Dir>(dir: &D, path: &str) -> D {
    dir.descend(Path::new(path))
        .expect("the directory is there")
}
