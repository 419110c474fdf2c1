//! `flatbao get`.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Scene, noise};
use serde_json::json;

#[test]
fn a_blob_becomes_a_file() {
    let scene = Scene::new();
    let bytes = noise(3_000_000);
    scene.write("a.bin", &bytes);
    scene.ok(["add", "a.bin", "--tag", "photos/a"]);
    let hash = flatbao_core::Hash::of(&bytes).to_string();
    // The last part of a tag's name, or the hash.
    let ran = scene.ok(["get", "photos/a"]);
    assert_eq!(ran.out, format!("{hash}  a  2.9 MiB\n"));
    assert_eq!(fs::read(scene.path("a")).unwrap(), bytes);
    scene.ok(["get", &hash[..8]]);
    assert_eq!(fs::read(scene.path(&hash)).unwrap(), bytes);
    let told = scene.ok(["get", "photos/a", "b", "--json"]).object();
    assert_eq!(
        told,
        json!({"hash": hash, "size": 3_000_000, "format": "raw", "path": "b"})
    );
    scene
        .run(["get", "photos/a", "-"])
        .fails(2, &["flatbao cat"]);
    scene
        .run(["get", "photos/a", ".."])
        .fails(2, &["names no file"]);
    scene.run(["get", "photos/a", "no/b"]).fails(4, &["no"]);
    scene
        .run(["get", "photos/a", ".flatbao/b"])
        .fails(1, &["inside it"]);
}

#[test]
fn an_existing_target_is_refused() {
    let scene = Scene::new();
    scene.write("a", "new");
    scene.ok(["add", "a", "--tag", "tag"]);
    scene.write("old", "old");
    scene.write("dir/x", "x");
    let ran = scene.run(["get", "tag", "old"]);
    ran.fails(1, &["old exists already", "--force"]);
    assert_eq!(fs::read(scene.path("old")).unwrap(), b"old");
    scene.ok(["get", "tag", "old", "--force"]);
    assert_eq!(fs::read(scene.path("old")).unwrap(), b"new");
    for args in [
        &["get", "tag", "dir"][..],
        &["get", "tag", "dir", "--force"],
    ] {
        scene
            .run(args)
            .fails(1, &["dir is a directory", "a file in it"]);
    }
    let told = scene.run(["get", "tag", "dir", "--json"]).object();
    assert_eq!(told["error"], "target_exists");
}

#[test]
fn a_collection_becomes_a_directory_again() {
    let scene = Scene::new();
    scene.write("src/a", "a");
    scene.write("src/b/c/d", noise(100_000));
    scene.write("src/b/empty", "");
    scene.ok(["add", "src", "--tag", "v1"]);
    let hash = scene.ok(["tag", "ls", "--json"]).object()["hash"].clone();
    let hash = hash.as_str().unwrap();
    let ran = scene.ok(["get", "v1", "deep/out"]);
    assert_eq!(ran.out, format!("{hash}  deep/out  3 files, 97.7 KiB\n"));
    assert_eq!(scene.tree("deep/out"), scene.tree("src"));
    scene
        .run(["get", "v1", "deep/out"])
        .fails(1, &["not empty", "--force"]);
    scene.ok(["get", "v1", "deep/out", "--force"]);
    scene.write("deep/out/a", "changed");
    scene.ok(["get", "v1", "deep/out", "--force"]);
    assert_eq!(scene.tree("deep/out"), scene.tree("src"));
    // Named by its hash it is a collection all the same, and an empty directory will do.
    fs::create_dir(scene.path("empty")).unwrap();
    let lines = scene.ok(["get", hash, "empty", "--json"]).json();
    assert_eq!(scene.tree("empty"), scene.tree("src"));
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[3]["format"], "hashseq");
    assert_eq!(lines[3]["files"], 3);
    assert_eq!(lines[1]["path"], "empty/b/c/d");
    // A single file of it, under its own name.
    scene.ok(["get", "v1/b/c/d"]);
    assert_eq!(fs::read(scene.path("d")).unwrap(), noise(100_000));
    scene.run(["get", "v1/b"]).fails(1, &["is a directory in"]);
    scene
        .run(["get", "v1/x"])
        .fails(4, &["has no file x", "ls"]);
    scene.write("file", "");
    scene
        .run(["get", "v1", "file"])
        .fails(1, &["not a directory"]);
    scene
        .run(["get", "v1", ".flatbao/out"])
        .fails(1, &["inside it"]);
    // With a tag that says that it is nothing but bytes.
    scene.ok(["tag", "set", "raw", hash, "--format", "raw"]);
    scene.ok(["get", "raw", "bytes"]);
    assert_eq!(fs::read(scene.path("bytes")).unwrap().len(), 4 * 32);
}

#[test]
fn a_hash_sequence_without_names_is_no_directory() {
    let scene = Scene::new();
    let child = scene.blob(b"child");
    let sequence = scene.blob(child.as_bytes()).to_string();
    scene.ok(["tag", "set", "seq", &sequence, "--format", "hashseq"]);
    scene
        .run(["get", "seq"])
        .fails(1, &["no collection", "flatbao ls", "flatbao cat"]);
    let listed = scene.ok(["ls", "seq", "--json"]).object();
    assert_eq!(listed["hash"], child.to_string());
    assert_eq!(scene.ok(["cat", "seq"]).bytes, child.as_bytes());
}

#[test]
fn a_damaged_blob_never_becomes_a_file() {
    let scene = Scene::new();
    let bytes = noise(100_000);
    let hash = scene.blob(&bytes);
    scene.damage(hash, 70_000);
    let hex = hash.to_string();
    scene
        .run(["get", &hex, "out"])
        .fails(5, &["damaged", &hex, "offset 65536", "flatbao add"]);
    assert_eq!(
        scene
            .tree(".")
            .iter()
            .filter(|f| !f.0.starts_with(".flatbao"))
            .count(),
        0
    );
    // In a collection, the others are restored.
    scene.write("src/good", "good");
    scene.write("src/bad", noise(40_000));
    scene.write("src/gone", "gone");
    scene.ok(["add", "src", "--tag", "src"]);
    scene.damage(flatbao_core::Hash::of(&noise(40_000)), 0);
    let ran = scene.run(["get", "src", "out"]);
    ran.fails(5, &["damaged"]);
    assert!(
        ran.out.contains("2 files, 8 B, 1 not restored"),
        "{}",
        ran.out
    );
    let names: Vec<_> = scene
        .tree("out")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["gone", "good"]);
    fs::remove_file(scene.data(flatbao_core::Hash::of(b"gone"))).unwrap();
    fs::remove_dir_all(scene.path("out")).unwrap();
    scene.damage(flatbao_core::Hash::of(&noise(40_000)), 0);
    scene.run(["get", "src", "out"]).fails(3, &["no blob"]);
    assert_eq!(scene.tree("out").len(), 2);
    // A list of names that is damaged: nothing.
    let before = scene.tree("out");
    let sequence = fs::read_dir(scene.path(".flatbao")).unwrap();
    for entry in sequence {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        if bytes.starts_with(b"CollectionV0.") {
            fs::write(&path, [&bytes[..14], b"x"].concat()).unwrap();
        }
    }
    scene.run(["get", "src", "out2"]).fails(5, &["damaged"]);
    assert!(!scene.path("out2").exists());
    assert_eq!(scene.tree("out"), before);
}
