//! `flatbao tag`.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Scene, noise};
use flatbao_core::Hash;
use serde_json::json;

#[test]
fn tags_are_set_listed_and_removed() {
    let scene = Scene::new();
    let hash = scene.blob(b"content").to_string();
    let ran = scene.ok(["tag", "set", "Grüße", &hash[..8]]);
    assert_eq!(ran.out, format!("{hash}  raw      Grüße\n"));
    let told = scene.ok(["tag", "set", "b", "Grüße", "--json"]).object();
    let expected = json!({"name": "b", "name_hex": "62", "hash": hash, "format": "raw"});
    assert_eq!(told, expected);
    assert_eq!(scene.ok(["tag", "ls", "--json"]).json()[1], expected);
    let other = scene.blob(b"other").to_string();
    let ran = scene.ok(["tag", "set", "b", &other]);
    assert_eq!(ran.out, format!("{other}  raw      b (was {hash})\n"));
    let ran = scene.run(["tag", "rm", "nope", "b"]);
    ran.fails(3, &["no tag nope", "tag ls"]);
    assert_eq!(ran.out, format!("removed b, which named {other}\n"));
    scene.run(["tag", "rm", "b"]).fails(4, &["no tag b"]);
    assert_eq!(scene.ok(["tag", "ls", "-q"]).out, "Grüße\n");
}

#[test]
fn a_tag_keeps_what_its_format_says() {
    let scene = Scene::new();
    scene.write("src/a", "a");
    let hash = scene.ok(["add", "src", "--no-tag", "-q"]).out;
    let hash = hash.trim();
    let set = |args: &[&str]| {
        let told = scene
            .ok([&["tag", "set", "--json"], args].concat())
            .object();
        told["format"].as_str().unwrap().to_owned()
    };
    // A collection is seen to be one; a tag's format goes on to the next tag; what is asked for wins.
    assert_eq!(set(&["c", hash]), "hashseq");
    assert_eq!(set(&["r", hash, "--format", "raw"]), "raw");
    assert_eq!(set(&["r2", "r"]), "raw");
    assert_eq!(set(&["c2", "c"]), "hashseq");
    assert_eq!(set(&["file", "c/a"]), "raw");
    // The hash of a collection whose only tag is raw is still a collection.
    assert_eq!(set(&["c3", hash]), "hashseq");
    scene
        .run(["tag", "set", "x", "c/a", "--format", "hashseq"])
        .fails(1, &["no hash sequence"]);
    scene
        .run(["tag", "set", "x", &"0".repeat(64)])
        .fails(4, &["no blob"]);
    scene
        .run(["tag", "set", hash, "c"])
        .fails(2, &["full hash"]);
    scene.run(["tag", "set", "", "c"]).fails(2, &["not empty"]);
    let long = "x".repeat(64 * 1024 + 1);
    scene.run(["tag", "set", &long, "c"]).fails(2, &["65537"]);
    assert_eq!(scene.ok(["tag", "ls"]).out.lines().count(), 6);
}

#[test]
fn a_blob_is_not_tagged_as_a_sequence_that_cannot_be_read() {
    let scene = Scene::new();
    let children = noise(32 * 1000);
    let hash = scene.blob(&children);
    scene.damage(hash, 31_999);
    scene
        .run(["tag", "set", "x", &hash.to_string(), "--format", "hashseq"])
        .fails(5, &["damaged"]);
    assert_eq!(scene.ok(["tag", "ls"]).out, "");
}

#[cfg(unix)]
#[test]
fn a_name_may_be_any_bytes() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let scene = Scene::new();
    let hash = scene.blob(b"content").to_string();
    let name = OsStr::from_bytes(b"\xff\x1b[2J");
    let set = [
        OsStr::new("tag"),
        OsStr::new("set"),
        name,
        OsStr::new(&hash),
    ];
    let printed = "\\xff\\x1b[2J";
    assert_eq!(scene.ok(set).out, format!("{hash}  raw      {printed}\n"));
    let told = scene.ok(["tag", "ls", "--json"]).object();
    let expected = json!({"name_hex": "ff1b5b324a", "hash": hash, "format": "raw"});
    assert_eq!(told, expected);
    // Named by its bytes, or as it is printed.
    assert_eq!(scene.ok([OsStr::new("cat"), name]).out, "content");
    assert_eq!(scene.ok(["cat", printed]).out, "content");
    scene.ok(["tag", "rm", printed]);
    assert_eq!(scene.ok(["tag", "ls"]).out, "");
    // Its last part is no safe name for a file, nor is that of a tag that is made to lead out.
    for name in ["a/..", "..", "a/CON", "/", "\x1b[2J"] {
        scene.ok(["tag", "set", name, &hash]);
        let told = scene.ok(["get", name, "--force", "--json"]).object();
        let path = told["path"].as_str().unwrap().to_owned();
        if name.starts_with('\x1b') {
            assert_eq!(path, name);
        } else {
            assert_eq!(path, hash);
        }
    }
    assert_eq!(
        Hash::of(&fs::read(scene.path(&hash)).unwrap()).to_string(),
        hash
    );
}
