//! Stores that the peer wrote, as the command shows them.
#![allow(clippy::unwrap_used)]

mod common;

use std::{collections::BTreeMap, fs, path::Path};

use common::{Scene, fixture};
use flatbao_core::Hash;
use serde_json::Value;

const MAP: &str = "--external=/external=external";

fn manifest() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/iroh-flat");
    serde_json::from_slice(&fs::read(path.join("manifest.json")).unwrap()).unwrap()
}

fn scene(store: &str) -> Scene {
    let scene = Scene::new();
    fixture(store, &scene.path(".flatbao"));
    fixture("external", &scene.path("external"));
    scene
}

#[test]
fn every_blob_is_listed_and_read() {
    let manifest = manifest();
    let stores = manifest["stores"].as_object().unwrap();
    assert!(stores.len() >= 3);
    for store in stores.keys() {
        let scene = scene(store);
        let before = scene.tree(".flatbao");
        let lines = scene.ok(["ls", "--partial", "--json", MAP]).json();
        let listed: BTreeMap<&str, &Value> = lines
            .iter()
            .map(|line| (line["hash"].as_str().unwrap(), line))
            .collect();
        let blobs = manifest["stores"][store]["blobs"].as_array().unwrap();
        assert_eq!(listed.len(), blobs.len(), "{store}");
        for blob in blobs {
            let hash = blob["hash"].as_str().unwrap();
            let line = listed[hash];
            assert_eq!(line["size"], blob["size"], "{store} {hash}");
            let kind = blob["kind"].as_str().unwrap();
            let told = match line["state"].as_str().unwrap() {
                "complete" => match line["location"].as_str().unwrap() {
                    "both" => "owned+external",
                    other => other,
                },
                other => other,
            };
            assert_eq!(told, kind, "{store} {hash}");
            let read = scene.run(["cat", hash, MAP]);
            if kind == "partial" {
                read.fails(1, &["is incomplete"]);
                assert!(line["verified"].is_u64());
            } else {
                read.fails(0, &[]);
                assert_eq!(Hash::of(&read.bytes).to_string(), hash);
            }
        }
        // Reading leaves no trace: no lock, nothing mended.
        assert_eq!(scene.tree(".flatbao"), before, "{store}");
    }
}

#[test]
fn partial_blobs_tell_what_is_verified() {
    let scene = scene("golden");
    let lines = scene.ok(["ls", "--partial", "--json", MAP]).json();
    for partial in manifest()["partials"].as_object().unwrap().values() {
        let line = lines.iter().find(|line| line["hash"] == partial["hash"]);
        let groups = &partial["really_valid_groups_16k"];
        let count = groups[1].as_u64().unwrap() - groups[0].as_u64().unwrap();
        assert_eq!(line.unwrap()["verified"], count * 16_384);
    }
    let ran = scene.ok(["ls", "--partial", MAP]);
    assert!(
        ran.out
            .contains("partial   owned     160.0 KiB verified (16%)"),
        "{}",
        ran.out
    );
    let complete = scene.ok(["ls", MAP]).out;
    assert!(!complete.contains("partial"));
}

#[test]
fn tags_and_collections_are_those_of_the_peer() {
    let manifest = manifest();
    let scene = scene("golden");
    let tags = scene.ok(["tag", "ls", "--json"]).json();
    let expected = manifest["stores"]["golden"]["tags"].as_array().unwrap();
    assert_eq!(tags.len(), expected.len());
    for tag in expected {
        let hex = &tag["name_hex"];
        let found = tags.iter().find(|line| line["name_hex"] == *hex).unwrap();
        assert_eq!(found["hash"], tag["hash"]);
    }
    for collection in manifest["collections"].as_object().unwrap().values() {
        let hash = collection["hash"].as_str().unwrap();
        let _ = fs::remove_dir_all(scene.path("out"));
        scene.ok(["get", hash, "out", MAP]);
        for entry in collection["entries"].as_array().unwrap() {
            let bytes = fs::read(scene.path("out").join(entry[0].as_str().unwrap()));
            assert_eq!(
                Hash::of(&bytes.unwrap()).to_string(),
                entry[1].as_str().unwrap()
            );
        }
    }
}

#[test]
fn external_files_are_followed_only_where_that_is_allowed() {
    let scene = scene("golden");
    let blobs = &manifest()["stores"]["golden"]["blobs"];
    let external = blobs.as_array().unwrap().iter();
    let external: Vec<String> = external
        .filter(|blob| blob["kind"] == "external")
        .map(|blob| blob["hash"].as_str().unwrap().to_owned())
        .collect();
    assert!(!external.is_empty());
    for hash in &external {
        // By default the absolute path itself, which is not there.
        scene.run(["cat", hash]).fails(1, &["cannot be read"]);
        scene
            .run(["cat", hash, "--no-external"])
            .fails(1, &["outside every granted"]);
        scene
            .run(["cat", hash, "--external=/elsewhere=external"])
            .fails(1, &["outside every granted"]);
        scene.ok(["cat", hash, MAP]);
    }
    // Where only an external file would tell the size: null, and the others all the same.
    let ran = scene.run(["ls", "--json", "--no-external"]);
    let sizes = ran.json();
    assert!(
        sizes
            .iter()
            .filter(|line| line.get("hash").is_some())
            .count()
            > 10
    );
    assert_eq!(
        ran.code == 3,
        sizes
            .iter()
            .any(|line| line["size"].is_null() && line.get("hash").is_some())
    );
}
