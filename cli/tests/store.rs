//! Finding, making and opening the store.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Scene, noise, ran};
use flatbao_core::{Hash, Store};
use flatbao_fs::{open_ambient, system_env};
use serde_json::json;

const READING: [&[&str]; 6] = [
    &["get", "x", "out", "--force"],
    &["cat", "x"],
    &["ls"],
    &["ls", "--tags"],
    &["tag", "ls"],
    &["gc", "--dry-run"],
];
const WRITING: [&[&str]; 4] = [
    &["tag", "set", "y", "x"],
    &["tag", "rm", "x"],
    &["rm", "x"],
    &["gc"],
];

#[test]
fn a_missing_store_is_not_made_by_those_who_need_one() {
    let scene = Scene::new();
    fs::create_dir(scene.path("empty")).unwrap();
    for args in READING.iter().chain(&WRITING) {
        let ran = scene.run(*args);
        ran.fails(
            4,
            &["no store at ./.flatbao", "flatbao init", "FLATBAO_STORE"],
        );
        let told = scene.run([&["--json", "-s", "empty"], *args].concat());
        assert_eq!((told.code, told.err.as_str()), (4, ""));
        assert_eq!(told.object()["error"], "no_store");
    }
    assert_eq!(scene.tree(".").len(), 1);
    scene.write("other/file", "");
    let ran = scene.run(["-s", "other", "ls"]);
    ran.fails(4, &["other is not a store", "--store"]);
    scene
        .run(["-s", "other/file", "ls"])
        .fails(1, &["other/file"]);
    scene.run(["-s", "", "ls"]).fails(2, &["--store"]);
}

#[test]
fn init_makes_a_store_and_leaves_other_files_alone() {
    let scene = Scene::new();
    let ran = scene.ok(["init"]);
    assert_eq!(ran.out, "made an empty store at ./.flatbao\n");
    assert_eq!(scene.ok(["ls"]).out, "");
    let ran = scene.ok(["init", "--json"]);
    assert_eq!(
        ran.object(),
        json!({"store": "./.flatbao", "action": "exists"})
    );
    scene.write("full/notes.txt", "mine");
    scene.write("a", "a");
    scene
        .run(["-s", "full", "add", "a"])
        .fails(4, &["full is not a store", "flatbao init"]);
    let ran = scene.ok(["-s", "full", "init"]);
    assert!(ran.out.contains("left alone"), "{}", ran.out);
    scene.ok(["-s", "full", "add", "a"]);
    scene.ok(["-s", "full", "gc"]);
    assert_eq!(fs::read(scene.path("full/notes.txt")).unwrap(), b"mine");
    scene.ok(["-s", "deep/er/store", "init"]);
    scene.ok(["-s", "deep/er/store", "ls"]);
}

#[test]
fn the_store_is_named_by_option_or_environment() {
    let scene = Scene::new();
    scene.write("a", "a");
    let with_env = |args: &[&str]| {
        let mut command = scene.command();
        ran(command
            .env("FLATBAO_STORE", "env")
            .args(args)
            .output()
            .unwrap())
    };
    with_env(&["add", "a"]).fails(0, &[]);
    assert!(scene.path("env/tags.meta").exists());
    with_env(&["add", "a", "--store", "option"]).fails(0, &[]);
    assert!(scene.path("option/tags.meta").exists());
    let mut command = scene.command();
    let empty = command.env("FLATBAO_STORE", "").arg("ls").output().unwrap();
    ran(empty).fails(2, &["--store"]);
    assert!(!scene.path(".flatbao").exists());
}

#[test]
fn a_locked_store_is_busy_for_writers_only() {
    let scene = Scene::new();
    scene.write("x", "x");
    scene.ok(["add", "x", "--tag", "x"]);
    let backend = open_ambient(scene.path(".flatbao")).unwrap();
    let (store, _) = Store::open(backend, system_env()).unwrap();
    for args in WRITING.iter().chain(&[&["add", "x"][..], &["init"]]) {
        let ran = scene.run(*args);
        ran.fails(6, &["in use by another process", "reading commands"]);
        let told = scene.run([&["--json"], *args].concat());
        assert_eq!(
            (told.code, told.object()["error"].as_str()),
            (6, Some("busy"))
        );
    }
    for args in READING {
        scene.ok(args);
    }
    // What the writer beside it has added is seen.
    let hash = store.import_bytes(b"just now").unwrap().hash.to_string();
    assert_eq!(scene.ok(["cat", &hash]).out, "just now");
    drop(store);
    scene.ok(["tag", "rm", "x"]);
}

#[test]
fn read_only_forbids_writing_and_nothing_else() {
    let scene = Scene::new();
    scene.write("x", "x");
    scene.ok(["add", "x", "--tag", "x"]);
    for args in READING {
        scene.ok([&["--read-only"], args].concat());
    }
    let before = scene.tree(".flatbao");
    for args in WRITING.iter().chain(&[&["add", "x"][..], &["init"]]) {
        let ran = scene.run([*args, &["--read-only"]].concat());
        ran.fails(1, &["--read-only", args[0]]);
        let told = scene.run([&["--json", "--read-only"], *args].concat());
        assert_eq!(told.object()["error"], "read_only");
    }
    assert_eq!(scene.tree(".flatbao"), before);
}

#[test]
fn what_an_opening_mended_is_told_to_those_who_ask() {
    let scene = Scene::new();
    scene.write("x", noise(20_000));
    scene.ok(["add", "x"]);
    let leftover = scene.write(&format!(".flatbao/{:032x}.temp", 7), "left");
    scene.write(".flatbao/notes.txt", "mine");
    scene.write(&format!(".flatbao/{}.obao4", "0".repeat(64)), "orphan");
    // A reader mends nothing.
    let ran = scene.run(["ls", "-v"]);
    ran.fails(0, &["note:", "notes.txt", "obao4 belongs to no data"]);
    assert!(leftover.exists());
    assert_eq!(ran.out, scene.ok(["ls"]).out);
    let ran = scene.run(["gc", "-v"]);
    ran.fails(0, &["removed", "left over", "notes.txt"]);
    assert!(!leftover.exists());
    assert!(scene.path(".flatbao/notes.txt").exists());
    scene.ok(["gc"]);
}

#[test]
fn three_directories_are_a_store() {
    for names in [
        ["complete", "partial", "meta"],
        ["blobs.v0", "blobs-partial.v0", "blobs-meta.v0"],
        ["blobs.v1/complete", "blobs.v1/partial", "blobs.v1/meta"],
    ] {
        let scene = Scene::new();
        for name in names {
            fs::create_dir_all(scene.path("store").join(name)).unwrap();
        }
        scene.write("x", noise(20_000));
        scene.ok(["-s", "store", "add", "x", "--tag", "x"]);
        let hash = Hash::of(&noise(20_000));
        let complete = scene.path("store").join(names[0]);
        assert!(complete.join(format!("{hash}.data")).exists());
        assert!(
            scene
                .path("store")
                .join(names[2])
                .join("tags.meta")
                .exists()
        );
        assert_eq!(scene.ok(["-s", "store", "cat", "x"]).bytes, noise(20_000));
        let ran = scene.ok(["-s", "store", "init"]);
        assert!(ran.out.contains("already, laid out as"), "{}", ran.out);
        // Half of it gone is no empty store.
        fs::remove_dir_all(&complete).unwrap();
        let half = scene.run(["-s", "store", "ls"]);
        if names[0] == "complete" {
            half.fails(4, &["is not a store"]);
        } else {
            half.fails(1, &["laid out as", names[0], "bring back"]);
        }
    }
    // Two stores in one directory.
    let scene = Scene::new();
    scene.ok(["init"]);
    for name in ["complete", "partial", "meta"] {
        fs::create_dir(scene.path(".flatbao").join(name)).unwrap();
    }
    scene.run(["ls"]).fails(1, &["two stores", "move one"]);
}

#[test]
fn external_prefixes_must_be_absolute() {
    let scene = Scene::new();
    scene.ok(["init"]);
    for prefix in ["relative", "/a/../b", "/a//b"] {
        let ran = scene.run(["ls", "--external", &format!("{prefix}=.")]);
        ran.fails(2, &[prefix, "--external"]);
    }
    scene.ok(["ls", "--external", "/mapped/=."]);
    scene
        .run(["ls", "--external", "/mapped=nowhere"])
        .fails(4, &["nowhere"]);
    scene
        .run(["ls", "--external", "/", "--no-external"])
        .fails(2, &["--no-external"]);
}
