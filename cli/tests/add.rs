//! `flatbao add`.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Scene, noise};
use flatbao_core::Hash;
use serde_json::json;

#[test]
fn a_file_is_added_tagged_and_told() {
    let scene = Scene::new();
    let bytes = noise(20_000);
    scene.write("a.bin", &bytes);
    let hash = Hash::of(&bytes);
    let ran = scene.ok(["add", "a.bin", "--tag", "demo"]);
    assert_eq!(
        ran.out,
        format!("{hash}  a.bin  19.5 KiB (19.5 KiB new, 0 B already there), tag demo\n")
    );
    assert_eq!(fs::read(scene.data(hash)).unwrap(), bytes);
    let again = scene.ok(["add", "a.bin", "--json"]).object();
    let tag = again["tag"].as_str().unwrap().to_owned();
    assert!(tag.starts_with("auto-"), "{tag}");
    assert_eq!(
        again,
        json!({
            "hash": hash.to_string(), "size": 20_000, "format": "raw", "path": "a.bin",
            "new_bytes": 0, "tag": tag,
        })
    );
    let quiet = scene.ok(["add", "-q", "a.bin", "--no-tag"]);
    assert_eq!(quiet.out, format!("{hash}\n"));
    assert_eq!(scene.ok(["tag", "ls"]).out.lines().count(), 2);
}

#[test]
fn a_directory_becomes_a_collection() {
    let scene = Scene::new();
    scene.write("src/b/one.txt", "same");
    scene.write("src/b-two.txt", "same");
    scene.write("src/a.bin", noise(40_000));
    fs::create_dir(scene.path("src/empty")).unwrap();
    let ran = scene.ok(["add", "src", "--tag", "src", "--json"]);
    let lines = ran.json();
    assert_eq!(lines.len(), 4);
    // In the order of the walk; the same bytes are new once only.
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["path"].as_str().unwrap(),
                line["format"].as_str().unwrap(),
                line["size"].as_u64().unwrap(),
                line["new_bytes"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("src/a.bin", "raw", 40_000, 40_000),
            ("src/b/one.txt", "raw", 4, 4),
            ("src/b-two.txt", "raw", 4, 0),
            ("src", "hashseq", 40_008, 40_004),
        ]
    );
    assert_eq!(lines[3]["files"], 3);
    assert_eq!(lines[3]["tag"], "src");
    assert_eq!(lines[0].get("tag"), None);
    let names: Vec<String> = scene
        .ok(["ls", "src", "--json"])
        .json()
        .iter()
        .map(|line| line["path"].as_str().unwrap().to_owned())
        .collect();
    // In the order of their names, as a collection is.
    assert_eq!(names, ["a.bin", "b-two.txt", "b/one.txt"]);
    // The same directory gives the same hash, and nothing new.
    let again = scene.ok(["add", "src"]).out;
    assert!(
        again.starts_with(lines[3]["hash"].as_str().unwrap()),
        "{again}"
    );
    assert!(
        again.contains("3 files, 39.1 KiB (0 B new, 39.1 KiB already there)"),
        "{again}"
    );
}

#[test]
fn what_a_tag_names_survives_gc_and_the_rest_does_not() {
    let scene = Scene::new();
    scene.write("src/a", "a");
    scene.ok(["add", "src", "--tag", "src"]);
    let loose = scene.blob(b"loose");
    let ran = scene.ok(["gc"]);
    assert_eq!(ran.out, "removed 1 blob, 5 B freed; reachable: 3\n");
    assert!(!scene.data(loose).exists());
    assert_eq!(scene.ok(["cat", "src/a"]).out, "a");
}

#[test]
fn stdin_and_several_paths() {
    let scene = Scene::new();
    scene.write("a", "a");
    scene.write("b", "b");
    let ran = scene.pipe(b"from stdin", &["add", "a", "-", "b", "--json"]);
    assert_eq!(ran.code, 0);
    let paths: Vec<_> = ran.json().iter().map(|line| line["path"].clone()).collect();
    assert_eq!(paths, ["a", "-", "b"]);
    assert_eq!(scene.ok(["ls", "--tags"]).out.lines().count(), 3);
    let hash = Hash::of(b"from stdin").to_string();
    assert_eq!(scene.ok(["cat", &hash]).out, "from stdin");
    scene
        .run(["add", "a", "b", "--tag", "x"])
        .fails(2, &["--tag", "one by one"]);
    scene.run(["add", "-", "--in-place"]).fails(2, &["stdin"]);
    scene
        .run(["add", "a", "--tag", ""])
        .fails(2, &["not empty"]);
    scene
        .run(["add", "a", "--tag", &hash])
        .fails(2, &["full hash"]);
    scene.run(["add"]).fails(2, &["PATH"]);
}

#[test]
fn a_path_that_is_missing_makes_no_store() {
    let scene = Scene::new();
    scene.run(["add", "nope"]).fails(4, &["cannot read nope"]);
    assert!(!scene.path(".flatbao").exists());
    scene.write("a", "a");
    scene.run(["add", "nope", "a"]).fails(3, &["nope"]);
    assert_eq!(scene.ok(["ls"]).out.lines().count(), 1);
    let ran = scene.run(["add", "nope", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (4, ""));
    assert_eq!(ran.object()["error"], "no_file");
}

#[test]
fn the_store_is_not_added_to_itself() {
    let scene = Scene::new();
    scene.write("a", "a");
    scene.ok(["add", "a"]);
    let ran = scene.ok(["add", ".", "--tag", "all", "--json"]);
    assert_eq!(ran.json().len(), 2, "{}", ran.out);
    scene.run(["add", ".flatbao"]).fails(1, &["inside it"]);
    fs::create_dir(scene.path(".flatbao/sub")).unwrap();
    scene.run(["add", ".flatbao/sub"]).fails(1, &["inside it"]);
    // A file of the store is a file like any other, but it cannot be referred to.
    let data = format!(".flatbao/{}.data", Hash::of(b"a"));
    scene.ok(["add", &data]);
    scene
        .run(["add", "--in-place", &data])
        .fails(1, &["inside the store"]);
}

#[test]
fn what_was_tagged_before_is_told() {
    let scene = Scene::new();
    scene.write("a", "a");
    scene.write("b", "b");
    scene.ok(["add", "a", "--tag", "x"]);
    let ran = scene.ok(["add", "b", "--tag", "x"]);
    let was = format!("tag x (was {})\n", Hash::of(b"a"));
    assert!(ran.out.ends_with(&was), "{}", ran.out);
}

#[test]
fn in_place_keeps_the_bytes_where_they_are() {
    let scene = Scene::new();
    let bytes = noise(50_000);
    let hash = Hash::of(&bytes);
    let path = scene.write("dir/big.bin", &bytes);
    scene.write("dir/small", "small");
    scene.ok(["add", "--in-place", "dir", "--tag", "dir"]);
    assert!(!scene.data(hash).exists());
    let listed = scene.ok(["ls", "--json"]).json();
    let of = |hash: Hash| {
        let found = listed.iter().find(|line| line["hash"] == hash.to_string());
        found.unwrap().clone()
    };
    assert_eq!(of(hash)["location"], "external");
    assert_eq!(of(hash)["size"], 50_000);
    assert_eq!(of(Hash::of(b"small"))["location"], "external");
    assert_eq!(scene.ok(["cat", "dir/big.bin"]).bytes, bytes);
    let cat = ["cat", "dir/big.bin"];
    scene
        .run(cat.iter().chain(&["--no-external"]))
        .fails(1, &["outside every granted", "--external"]);
    // Mapped: the same absolute path, looked up elsewhere.
    let real = fs::canonicalize(scene.path("dir")).unwrap();
    fs::rename(scene.path("dir"), scene.path("moved")).unwrap();
    scene
        .run(cat)
        .fails(1, &["cannot be read", "bring the file back"]);
    let map = format!("--external={}=moved", real.display());
    assert_eq!(scene.ok(cat.iter().chain(&[&*map])).bytes, bytes);
    // Changed: noticed, and told by the name of the file.
    fs::rename(scene.path("moved"), scene.path("dir")).unwrap();
    let mut changed = bytes.clone();
    changed[20_000] ^= 1;
    fs::write(&path, changed).unwrap();
    let ran = scene.run(cat);
    ran.fails(5, &["offset 16384", "big.bin"]);
    assert_eq!(ran.bytes, bytes[..16_384]);
    // Both homes, and the good one serves.
    fs::write(&path, &bytes).unwrap();
    scene.ok(["add", "dir/big.bin"]);
    let listed = scene.ok(["ls", "--json"]).json();
    let both = listed
        .iter()
        .find(|line| line["location"] == "both")
        .unwrap();
    assert_eq!(both["hash"], hash.to_string());
    // gc never touches what is outside.
    scene.ok(["tag", "rm", "dir"]);
    let auto = scene.ok(["tag", "ls", "--json"]).object();
    scene.ok(["tag", "rm", auto["name"].as_str().unwrap()]);
    scene.ok(["gc"]);
    assert_eq!(scene.ok(["ls"]).out, "");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn the_same_bytes_in_two_places_are_new_once() {
    let scene = Scene::new();
    scene.write("src/a", "twice");
    scene.write("src/b", "twice");
    let ran = scene.ok(["add", "--in-place", "src"]);
    assert!(
        ran.out.contains("10 B (5 B new, 5 B already there)"),
        "{}",
        ran.out
    );
    // The second home serves when the first is gone.
    fs::remove_file(scene.path("src/a")).unwrap();
    let hash = Hash::of(b"twice").to_string();
    assert_eq!(scene.ok(["cat", &hash]).out, "twice");
}
