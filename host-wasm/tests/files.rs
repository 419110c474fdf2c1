//! What a guest can do to directories and files, and what it cannot.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt as _, symlink},
    },
    path::Path,
    time::{Duration, Instant},
};

use flatbao_host::{CodeCache, FileAccess, Name, Program, RunError, Runtime, Sandbox};

mod common;
use common::*;

/// BI-094.
#[test]
fn no_path_leads_out() {
    let scratch = tempfile::tempdir().unwrap();
    let (inside, outside) = (scratch.path().join("in"), scratch.path().join("secret"));
    fs::create_dir(&inside).unwrap();
    fs::write(&outside, "secret").unwrap();
    symlink(&outside, inside.join("absolute")).unwrap();
    symlink("../secret", inside.join("relative")).unwrap();
    symlink("..", inside.join("up")).unwrap();
    let mut guest = Guest::new();
    let absolute = outside.to_str().unwrap();
    for path in [
        "../secret",
        "./../secret",
        absolute,
        "absolute",
        "relative",
        "up/secret",
        "/etc/passwd",
    ] {
        guest.open(PERM, DIR, path, 0, READ);
        guest.open(PERM, DIR, path, TRUNCATE, WRITE);
    }
    for path in ["../secret", absolute, "up/secret"] {
        guest.path(PERM, "path_unlink_file", DIR, path);
        guest.path(PERM, "path_create_directory", DIR, path);
        guest.two_paths(PERM, "path_link", (DIR, path), (DIR, "stolen"));
        guest.two_paths(PERM, "path_rename", (DIR, path), (DIR, "stolen"));
    }
    passes(&guest, &Sandbox::new().directory(&inside, "/d"));
    assert_eq!(fs::read(&outside).unwrap(), b"secret");
    assert!(!inside.join("stolen").exists());
}

/// BI-094.
#[test]
fn planted_links_lead_nowhere() {
    let scratch = tempfile::tempdir().unwrap();
    let (inside, outside) = (scratch.path().join("in"), scratch.path().join("secret"));
    fs::create_dir(&inside).unwrap();
    fs::write(&outside, "secret").unwrap();
    let mut guest = Guest::new();
    // An absolute one cannot even be made. One with dots can, but leads nowhere.
    let [absolute, dots, name] =
        [outside.to_str().unwrap(), "../secret", "link"].map(|text| guest.text(text));
    guest.call(
        PERM,
        format!("$path_symlink {absolute} (i32.const 3) {name}"),
    );
    guest.call(OK, format!("$path_symlink {dots} (i32.const 3) {name}"));
    guest.open(PERM, DIR, "link", 0, READ);
    guest.open(PERM, DIR, "link", CREATE, WRITE);
    guest.open(OK, DIR, "file", CREATE, WRITE);
    guest.two_paths(OK, "path_link", (DIR, "file"), (DIR, "second"));
    guest.two_paths(OK, "path_rename", (DIR, "file"), (DIR, "link"));
    passes(&guest, &Sandbox::new().directory(&inside, "/d"));
    assert_eq!(fs::read(&outside).unwrap(), b"secret");
    assert!(inside.join("link").symlink_metadata().unwrap().is_file());
}

/// BI-096.
#[test]
fn what_is_granted_read_only_stays_as_it_is() {
    let scratch = tempfile::tempdir().unwrap();
    let (read_only, other) = (scratch.path().join("ro"), scratch.path().join("rw"));
    for dir in [&read_only, &other] {
        fs::create_dir_all(dir.join("sub")).unwrap();
        fs::write(dir.join("file"), "content").unwrap();
    }
    let before = fs::metadata(read_only.join("file")).unwrap();
    let mut guest = Guest::new();
    for (flags, rights) in [
        (TRUNCATE, READ),
        (TRUNCATE, WRITE),
        (CREATE, READ),
        (0, WRITE),
        (0, READ | WRITE),
    ] {
        guest.open(ROFS, DIR, "file", flags, rights);
    }
    guest.open(ROFS, DIR, "new", CREATE, WRITE);
    guest.path(ROFS, "path_unlink_file", DIR, "file");
    guest.path(ROFS, "path_remove_directory", DIR, "sub");
    guest.path(ROFS, "path_create_directory", DIR, "new");
    for function in ["path_link", "path_rename"] {
        guest.two_paths(ROFS, function, (DIR, "file"), (DIR, "new"));
        // Nor in and out through another grant.
        guest.two_paths(ROFS, function, (DIR, "file"), (DIR + 1, "new"));
        guest.two_paths(ROFS, function, (DIR + 1, "file"), (DIR, "new"));
    }
    let [target, name] = ["file", "new"].map(|text| guest.text(text));
    guest.call(ROFS, format!("$path_symlink {target} (i32.const 3) {name}"));
    let times = "(i64.const 0) (i64.const 0) (i32.const 5)";
    guest.call(
        ROFS,
        format!("$path_filestat_set_times (i32.const 3) (i32.const 0) {target} {times}"),
    );
    guest.call(
        ROFS,
        format!("$fd_filestat_set_times (i32.const 3) {times}"),
    );
    guest.open(OK, DIR, "file", 0, READ);
    guest.call(ROFS, format!("$fd_filestat_set_times (call $fd) {times}"));
    guest.call(ROFS, "$fd_filestat_set_size (call $fd) (i64.const 0)");
    guest.write(ROFS, 1);
    guest.call(OK, "$read (call $fd) (i32.const 65536) (i32.const 100)");
    guest.call(
        OK,
        "$write (i32.const 1) (i32.const 65536) (i32.load (i32.const 260))",
    );
    // A directory in it is no better.
    guest.open(OK, DIR, "sub", DIRECTORY, READ);
    let name = guest.text("new");
    guest.call(ROFS, format!("$path_create_directory (call $fd) {name}"));
    let sandbox = Sandbox::new()
        .directory_read_only(&read_only, "/ro")
        .directory(&other, "/rw");
    assert_eq!(passes(&guest, &sandbox).stdout, b"content");
    let after = fs::metadata(read_only.join("file")).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    assert_eq!(names(&read_only), ["file", "sub"]);
    assert_eq!(names(&other), ["file", "sub"]);
}

/// BI-096.
#[test]
fn single_files_are_all_there_is() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    for name in ["in", "sibling"] {
        fs::write(dir.join(name), name).unwrap();
    }
    fs::create_dir(dir.join("dir")).unwrap();
    symlink("sibling", dir.join("link")).unwrap();
    let mut guest = Guest::new();
    guest
        .open(OK, DIR, "in", 0, READ)
        .open(ROFS, DIR, "in", 0, WRITE)
        .open(ROFS, DIR, "in", TRUNCATE, READ);
    guest.open(OK, DIR, "out", CREATE, WRITE).write(OK, 3);
    for path in [
        "sibling", "./in", "in/", "", "..", "../in", "dir/x", "absent",
    ] {
        guest.open(PERM, DIR, path, 0, READ);
        guest.open(PERM, DIR, path, CREATE, WRITE);
    }
    // Granted by name, but no file.
    guest
        .open(PERM, DIR, "dir", 0, READ)
        .open(PERM, DIR, "dir", DIRECTORY, READ);
    guest.open(LOOP, DIR, "link", 0, READ);
    for path in ["in", "out", "sibling"] {
        guest.path(PERM, "path_unlink_file", DIR, path);
        guest.two_paths(PERM, "path_rename", (DIR, path), (DIR, "out"));
        guest.two_paths(PERM, "path_link", (DIR, path), (DIR, "out"));
    }
    guest.path(PERM, "path_create_directory", DIR, "out");
    let [sibling, own] = ["sibling", "in"].map(|text| guest.text(text));
    guest.call(
        PERM,
        format!("$path_filestat_get (i32.const 3) (i32.const 1) {sibling} (i32.const 1024)"),
    );
    guest.call(
        OK,
        format!("$path_filestat_get (i32.const 3) (i32.const 1) {own} (i32.const 1024)"),
    );
    guest.call(
        PERM,
        format!(
            "$path_readlink (i32.const 3) {sibling} (i32.const 1024) (i32.const 9) (i32.const 256)"
        ),
    );
    guest.call(PERM, format!("$path_symlink {sibling} (i32.const 3) {own}"));
    // The directory can be opened to list and sync it, and then it is still the same.
    guest
        .open(OK, DIR, ".", DIRECTORY, READ)
        .last(OK, "fd_sync");
    guest.call(PERM, format!(
        "$path_open (call $fd) (i32.const 1) {sibling} (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 300)"
    ));
    guest.raw(LIST);
    let granted = [
        ("in", FileAccess::Read),
        ("out", FileAccess::Write),
        ("dir", FileAccess::Write),
        ("link", FileAccess::Write),
    ];
    let finished = passes(&guest, &Sandbox::new().files(dir, "/d", granted));
    assert_eq!(
        listed(&finished.stdout),
        names_of(&[b"in", b"out", b"dir", b"link"])
    );
    assert_eq!(finished.usage.directory_syncs, 1);
    assert_eq!(fs::read(dir.join("sibling")).unwrap(), b"sibling");
    assert_eq!(fs::read(dir.join("out")).unwrap(), [0; 3]);
    for name in ["a/b", "..", ""] {
        let sandbox = Sandbox::new().files(dir, "/d", [(name, FileAccess::Read)]);
        let refused = sandbox.run(&guest.program(), ["guest"]);
        assert!(
            matches!(refused, Err(RunError::FileName { .. })),
            "{refused:?}"
        );
    }
}

/// BI-095.
#[test]
fn what_may_be_replaced_is_its_own_and_nothing_beside_it() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let [hash, known] = ["0123456789abcdef", "ffffffffffffffff"].map(|digits| digits.repeat(4));
    for path in ["store", "old", &known] {
        fs::create_dir(dir.join(path)).unwrap();
    }
    for path in ["sibling", "store/file", "old/file", "kept"] {
        fs::write(dir.join(path), path).unwrap();
    }
    fs::hard_link(dir.join("kept"), dir.join("second")).unwrap();
    symlink("store", dir.join("link")).unwrap();
    let (temporary, other) = (".flatbao-0123abcd.tmp", ".flatbao-lock.tmp");
    let mut guest = Guest::new();
    // A file, as a flatbao writes it, with and without another one in its place.
    for publish in ["path_rename", "path_link"] {
        guest.open(OK, DIR, temporary, CREATE | EXCLUSIVE, WRITE);
        guest.write(OK, 3).last(OK, "fd_close");
        guest.two_paths(OK, publish, (DIR, temporary), (DIR, "new"));
        guest.path(OK, "path_unlink_file", DIR, "new");
    }
    guest.path(OK, "path_unlink_file", DIR, temporary);
    guest.open(PERM, DIR, other, CREATE, WRITE);
    // What has other names is replaced, and not written.
    guest.open(OK, DIR, "kept", 0, READ);
    guest.open(ROFS, DIR, "kept", 0, WRITE);
    guest.open(ROFS, DIR, "kept", TRUNCATE, WRITE);
    guest.open(OK, DIR, temporary, CREATE | EXCLUSIVE, WRITE);
    guest.two_paths(OK, "path_rename", (DIR, temporary), (DIR, "kept"));
    // A directory.
    guest.path(NOENT, "path_create_directory", DIR, "new/sub");
    guest.path(OK, "path_create_directory", DIR, "new");
    guest.path(EXIST, "path_create_directory", DIR, "new/");
    guest.path(OK, "path_create_directory", DIR, "new/sub");
    guest.open(OK, DIR, "./new//sub/", DIRECTORY, READ);
    let inside = guest.text("deep");
    guest.call(OK, format!("$path_create_directory (call $fd) {inside}"));
    guest.open(OK, DIR, "new/sub/file", CREATE, WRITE);
    guest.write(OK, 5).last(OK, "fd_close");
    guest.path(OK, "path_create_directory", DIR, &hash);
    guest.open(OK, DIR, "old/file", TRUNCATE, WRITE);
    // What has other names, by whatever path.
    for path in [
        "sibling",
        "./sibling",
        "new/../sibling",
        "store/file",
        "store",
        &known,
        "..",
        "",
    ] {
        guest.open(PERM, DIR, path, 0, READ);
        guest.open(PERM, DIR, path, CREATE, WRITE);
        guest.path(PERM, "path_unlink_file", DIR, path);
        guest.path(PERM, "path_create_directory", DIR, path);
        guest.two_paths(PERM, "path_rename", (DIR, path), (DIR, "new"));
        guest.two_paths(PERM, "path_rename", (DIR, "new"), (DIR, path));
        guest.two_paths(PERM, "path_link", (DIR, path), (DIR, "new"));
        guest.two_paths(PERM, "path_link", (DIR, "new"), (DIR, path));
    }
    // A link that was there leads nowhere, and so does one that is made inside.
    guest.open(LOOP, DIR, "link", 0, READ);
    let [target, name, slash, planted] =
        ["../store", "planted", "planted/", "link"].map(|text| guest.text(text));
    guest.call(
        PERM,
        format!("$path_symlink {target} (i32.const 3) {planted}"),
    );
    guest.open(OK, DIR, "new", DIRECTORY, READ);
    guest.call(OK, format!("$path_symlink {target} (call $fd) {name}"));
    guest.call(
        PERM,
        format!(
            "$path_open (call $fd) (i32.const 1) {name} (i32.const 2) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 300)"
        ),
    );
    // It cannot come under a name that is granted, where somebody else would follow it.
    for publish in [
        "$path_rename (call $fd)",
        "$path_link (call $fd) (i32.const 0)",
    ] {
        guest.call(PERM, format!("{publish} {name} (i32.const 3) {planted}"));
        guest.call(PERM, format!("{publish} {slash} (i32.const 3) {planted}"));
    }
    guest.open(NAMETOOLONG, DIR, &"./".repeat(3000), 0, READ);
    for path in ["new/planted/file", "link/file"] {
        for flags in [0, CREATE] {
            guest.open(LOOP, DIR, path, flags, READ);
        }
    }
    let granted =
        ["new", "old", "link", "kept"].map(|name| (Name::from(name), FileAccess::Replace));
    let granted = granted.into_iter().chain([(
        Name::FullHash {
            but: vec![known.clone()],
        },
        FileAccess::Replace,
    )]);
    passes(&guest, &Sandbox::new().files(dir, "/d", granted));
    let left = [
        hash.as_str(),
        &known,
        "kept",
        "link",
        "new",
        "old",
        "second",
        "sibling",
        "store",
    ];
    assert_eq!(names(dir), left);
    assert_eq!(fs::read(dir.join("kept")).unwrap(), b"");
    assert_eq!(fs::read(dir.join("second")).unwrap(), b"kept");
    assert_eq!(names(&dir.join("new/sub")), ["deep", "file"]);
    assert_eq!(fs::read(dir.join("new/sub/file")).unwrap(), [0; 5]);
    assert_eq!(fs::read(dir.join("old/file")).unwrap(), b"");
    assert_eq!(fs::read(dir.join("sibling")).unwrap(), b"sibling");
    assert_eq!(fs::read(dir.join("store/file")).unwrap(), b"store/file");
}

/// A guest that is told of anything else does not know that it could copy.
#[test]
fn no_file_has_names_on_two_file_systems() {
    let here = tempfile::tempdir().unwrap();
    let Ok(there) = tempfile::tempdir_in("/dev/shm") else {
        return println!("skipped: there is no /dev/shm to write to");
    };
    let device = |dir: &Path| fs::metadata(dir).unwrap().dev();
    if device(here.path()) == device(there.path()) {
        return println!("skipped: /dev/shm is no other file system");
    }
    fs::write(here.path().join("file"), "content").unwrap();
    let mut guest = Guest::new();
    for function in ["path_link", "path_rename"] {
        guest.two_paths(XDEV, function, (DIR, "file"), (DIR + 1, "new"));
        guest.two_paths(OK, function, (DIR, "file"), (DIR, function));
    }
    let sandbox = Sandbox::new()
        .directory(here.path(), "/here")
        .directory(there.path(), "/there");
    passes(&guest, &sandbox);
    assert_eq!(names(here.path()), ["path_link", "path_rename"]);
    assert!(names(there.path()).is_empty());
}

#[test]
fn directories_are_made_durable() {
    let scratch = tempfile::tempdir().unwrap();
    let mut guest = Guest::new();
    guest.path(OK, "path_create_directory", DIR, "sub");
    guest.call(OK, "$fd_sync (i32.const 3)");
    guest
        .open(OK, DIR, "sub", DIRECTORY, READ)
        .last(OK, "fd_sync")
        .last(OK, "fd_datasync");
    // Under another number it is the same directory.
    guest
        .open(OK, DIR, "file", CREATE, WRITE)
        .last(OK, "fd_sync")
        .last(OK, "fd_datasync");
    guest
        .call(OK, "$fd_renumber (i32.const 4) (i32.const 5)")
        .last(OK, "fd_sync");
    guest
        .last(OK, "fd_close")
        .last(BADF, "fd_sync")
        .call(BADF, "$fd_sync (i32.const 4)");
    guest
        .call(BADF, "$fd_sync (i32.const 1)")
        .call(BADF, "$fd_sync (i32.const 99)");
    let finished = passes(&guest, &Sandbox::new().directory(scratch.path(), "/d"));
    assert_eq!(finished.usage.directory_syncs, 4);
}

#[test]
fn long_directories_are_listed_in_one_go() {
    let scratch = tempfile::tempdir().unwrap();
    let mut wanted = BTreeSet::new();
    for i in 0..20_000 {
        let name = format!("{i:0100}");
        fs::write(scratch.path().join(&name), "").unwrap();
        wanted.insert(name.into_bytes());
    }
    let mut guest = Guest::new();
    guest.raw(LIST_SLOWLY);
    let start = Instant::now();
    let finished = passes(&guest, &Sandbox::new().directory(scratch.path(), "/d"));
    assert_eq!(listed(&finished.stdout), wanted);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn names_that_are_no_text_are_listed() {
    let scratch = tempfile::tempdir().unwrap();
    let wanted = names_of(&[b"\xff\xfe", b"a\x80", "ä".as_bytes()]);
    for name in &wanted {
        fs::write(scratch.path().join(OsStr::from_bytes(name)), "").unwrap();
    }
    let mut guest = Guest::new();
    guest.open(OK, DIR, ".", DIRECTORY, READ).raw(LIST);
    let finished = passes(&guest, &Sandbox::new().directory(scratch.path(), "/d"));
    assert_eq!(listed(&finished.stdout), wanted);
}

#[test]
fn a_listing_is_of_one_moment() {
    let scratch = tempfile::tempdir().unwrap();
    let mut guest = Guest::new();
    for i in 0..100 {
        guest
            .open(OK, DIR, &format!("{i}"), CREATE, WRITE)
            .last(OK, "fd_close");
    }
    guest.open(OK, DIR, ".", DIRECTORY, READ);
    // The first entries; then all files go; then the others.
    guest.call(
        OK,
        "$fd_readdir (call $fd) (i32.const 65536) (i32.const 500) (i64.const 0) (i32.const 260)",
    );
    for i in 0..100 {
        guest.path(OK, "path_unlink_file", DIR, &format!("{i}"));
    }
    guest.call(
        OK,
        "$fd_readdir (call $fd) (i32.const 65536) (i32.const 100000) (i64.const 2) (i32.const 260)",
    );
    guest.call(
        OK,
        "$write (i32.const 1) (i32.const 65536) (i32.load (i32.const 260))",
    );
    // From the beginning again it is what is there now.
    guest.call(
        OK,
        "$fd_readdir (call $fd) (i32.const 65536) (i32.const 100000) (i64.const 0) (i32.const 260)",
    );
    guest.raw("(if (i32.ne (i32.load (i32.const 260)) (i32.const 51)) (then unreachable))");
    guest.call(OK, "$fd_readdir (call $fd) (i32.const 65536) (i32.const 100000) (i64.const -1) (i32.const 260)");
    guest.raw("(if (i32.load (i32.const 260)) (then unreachable))");
    guest.call(
        NOTDIR,
        "$open (call $fd) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 2)",
    );
    guest.body = guest.body.rsplit_once("(call $want").unwrap().0.to_owned();
    let finished = passes(&guest, &Sandbox::new().directory(scratch.path(), "/d"));
    assert_eq!(listed(&finished.stdout).len(), 100);
}

#[test]
fn reading_at_a_place_takes_large_buffers() {
    let scratch = tempfile::tempdir().unwrap();
    let data: Vec<u8> = (0..3_000_000u32).map(|i| (i >> 5) as u8).collect();
    fs::write(scratch.path().join("a"), &data).unwrap();
    let mut guest = Guest::new();
    guest.open(OK, DIR, "a", 0, READ);
    guest.raw("(i32.store (i32.const 512) (i32.const 65536)) (i32.store (i32.const 516) (i32.const 4000000))");
    guest.call(
        OK,
        "$fd_pread (call $fd) (i32.const 512) (i32.const 1) (i64.const 1000) (i32.const 260)",
    );
    guest.call(
        OK,
        "$write (i32.const 1) (i32.const 65536) (i32.load (i32.const 260))",
    );
    // Not a byte of what was only opened for writing.
    guest.open(OK, DIR, "a", 0, WRITE);
    guest.call(
        BADF,
        "$fd_pread (call $fd) (i32.const 512) (i32.const 1) (i64.const 0) (i32.const 260)",
    );
    let finished = passes(&guest, &Sandbox::new().directory(scratch.path(), "/d"));
    assert!(finished.stdout == data[1000..]);
}

#[test]
fn compiled_code_is_out_of_reach() {
    let scratch = tempfile::tempdir().unwrap();
    let cache = scratch.path().join("granted/cache");
    fs::create_dir_all(&cache).unwrap();
    let runtime = Runtime::builder()
        .cache(CodeCache::Directory(cache.clone()))
        .build()
        .unwrap();
    let program = wat::parse_str(r#"(module (func (export "_start")))"#).unwrap();
    let program = Program::compile(&runtime, &program).unwrap();
    symlink(scratch.path(), scratch.path().join("link")).unwrap();
    for granted in [
        "granted",
        "granted/cache",
        "",
        "link/granted",
        "granted/cache/..",
    ] {
        let granted = scratch.path().join(granted);
        let grants = [
            Sandbox::new().directory(&granted, "/d"),
            Sandbox::new().directory_read_only(&granted, "/d"),
            Sandbox::new().create_store(&granted, "/d"),
        ];
        for sandbox in grants {
            let refused = sandbox.run(&program, ["guest"]);
            assert!(
                matches!(refused, Err(RunError::CacheGranted { .. })),
                "{refused:?}"
            );
        }
    }
    let beside = scratch.path().join("beside");
    fs::create_dir(&beside).unwrap();
    Sandbox::new()
        .directory(beside, "/d")
        .run(&program, ["guest"])
        .unwrap();
}

#[test]
fn what_is_not_there_cannot_be_granted() {
    let program = compile(r#"(module (func (export "_start")))"#);
    let refused = Sandbox::new()
        .directory("/no/such/place", "/d")
        .run(&program, ["guest"]);
    assert!(
        matches!(refused, Err(RunError::Grant { .. })),
        "{refused:?}"
    );
}

/// Writes the listing of the descriptor that was opened last, in one piece.
const LIST: &str = "
    (drop (call $fd_readdir (call $fd) (i32.const 65536) (i32.const 100000) (i64.const 0) (i32.const 260)))
    (drop (call $write (i32.const 1) (i32.const 65536) (i32.load (i32.const 260))))";

/// Writes the listing of the granted directory, one entry a call: 124 bytes for each but the two first.
const LIST_SLOWLY: &str = "
    (i64.store (i32.const 1024) (i64.const 2))
    (loop $more
        (if (call $fd_readdir (i32.const 3) (i32.const 65536) (i32.const 124) (i64.load (i32.const 1024)) (i32.const 260))
            (then unreachable))
        (if (i32.load (i32.const 260)) (then
            (drop (call $write (i32.const 1) (i32.const 65536) (i32.load (i32.const 260))))
            (i64.store (i32.const 1024) (i64.load (i32.const 65536)))
            (br $more))))";

/// Names in a listing as preview 1 has it.
fn listed(mut bytes: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut names = BTreeSet::new();
    while !bytes.is_empty() {
        let length = u32::from_le_bytes(bytes[16..20].try_into().unwrap()) as usize;
        names.insert(bytes[24..24 + length].to_vec());
        bytes = &bytes[24 + length..];
    }
    names.retain(|name| name != b"." && name != b"..");
    names
}

fn names_of(names: &[&[u8]]) -> BTreeSet<Vec<u8>> {
    names.iter().map(|name| name.to_vec()).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
