//! `flatbao add` of what is no ordinary file: links, FIFOs, names that are not text, secrets.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
        net::UnixListener,
        process::CommandExt,
    },
};

use common::Scene;

fn fifo(scene: &Scene, path: &str) {
    let path = scene.path(path);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
}

/// BI-072.
#[test]
fn links_fifos_and_odd_names_are_skipped_and_told() {
    let scene = Scene::new();
    scene.write("outside", "outside");
    scene.write("src/a", "a");
    symlink(scene.path("outside"), scene.path("src/link")).unwrap();
    symlink(scene.path("."), scene.path("src/up")).unwrap();
    symlink("nowhere", scene.path("src/dangling")).unwrap();
    fifo(&scene, "src/fifo");
    let _socket = UnixListener::bind(scene.path("src/socket")).unwrap();
    fs::write(scene.path("src").join(OsStr::from_bytes(b"b\xff")), "b").unwrap();
    let ran = scene.run(["add", "src", "--tag", "src"]);
    ran.fails(
        3,
        &[
            "src/link is a symbolic link",
            "src/up is a symbolic link",
            "src/dangling is a symbolic link",
            "src/fifo is a special file",
            "src/socket is a special file",
            "src/b\\xff is not UTF-8",
        ],
    );
    assert_eq!(ran.err.lines().count(), 6, "{}", ran.err);
    assert!(ran.out.contains("1 file, 1 B"), "{}", ran.out);
    let ran = scene.run(["add", "src", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (3, ""));
    let kinds: Vec<_> = ran.json().iter().map(|l| l["error"].clone()).collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "not_a_file").count(), 5);
    assert_eq!(kinds.iter().filter(|kind| *kind == "not_utf8").count(), 1);
    let ran = scene.run(["add", "src/fifo"]);
    ran.fails(1, &["special file", "flatbao add -"]);
}

#[test]
fn a_link_that_is_named_is_followed() {
    let scene = Scene::new();
    scene.write("dir/a", "content");
    symlink("dir/a", scene.path("link")).unwrap();
    symlink("dir", scene.path("linkdir")).unwrap();
    scene.ok(["add", "link", "--tag", "link"]);
    assert_eq!(scene.ok(["cat", "link"]).out, "content");
    scene.ok(["add", "linkdir", "--tag", "dir"]);
    assert_eq!(scene.ok(["cat", "dir/a"]).out, "content");
    // What is referred to is the file itself.
    scene.write("other", "other");
    symlink("other", scene.path("link2")).unwrap();
    scene.ok(["add", "--in-place", "link2", "--tag", "in"]);
    fs::remove_file(scene.path("link2")).unwrap();
    assert_eq!(scene.ok(["cat", "in"]).out, "other");
}

#[test]
fn a_path_that_is_not_utf8_is_copied_but_not_referred_to() {
    let scene = Scene::new();
    let name = OsStr::from_bytes(b"b\xff");
    fs::write(scene.path(name), "b").unwrap();
    let ran = scene.ok([OsStr::new("add"), name]);
    assert!(ran.out.contains("  b\\xff  1 B"), "{}", ran.out);
    scene
        .run([OsStr::new("add"), OsStr::new("--in-place"), name])
        .fails(1, &["b\\xff", "not UTF-8"]);
}

/// As another user, where this one may do anything.
#[test]
fn what_may_not_be_read_is_skipped_and_told() {
    let scene = Scene::new();
    scene.write("src/a", "a");
    let secret = scene.write("src/secret", "secret");
    fs::create_dir(scene.path("src/closed")).unwrap();
    let mode = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&secret, 0);
    mode(&scene.path("src/closed"), 0);
    mode(&scene.path("."), 0o777);
    let is_root = rustix::process::getuid().is_root();
    let as_other = |args: &[&str]| {
        let mut command = scene.command();
        if is_root {
            command.uid(65_534).gid(65_534);
        }
        command.args(args).output().map(common::ran)
    };
    let Ok(ran) = as_other(&["add", "src"]) else {
        return println!("skipped: the other user cannot run the command");
    };
    ran.fails(3, &["src/secret", "src/closed", "Permission denied"]);
    assert!(ran.out.contains("1 file, 1 B"), "{}", ran.out);
    let ran = as_other(&["add", "src/secret", "src/closed"]).unwrap();
    ran.fails(1, &["src/secret", "src/closed"]);
    if is_root {
        // A store that may only be read is read.
        scene.ok(["init", "-s", "theirs"]);
        as_other(&["-s", "theirs", "ls"]).unwrap().fails(0, &[]);
        let ran = as_other(&["-s", "theirs", "add", "src/a"]).unwrap();
        ran.fails(1, &["lock", "write access"]);
    }
}

#[test]
fn names_that_get_will_refuse_are_told_at_once() {
    let scene = Scene::new();
    scene.write("src/12:30.log", "x");
    let ran = scene.run(["add", "src"]);
    ran.fails(0, &["--native-names", "12:30.log", "colon"]);
}
