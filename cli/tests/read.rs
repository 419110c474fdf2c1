//! `flatbao cat`, `flatbao ls`, and what REF may be.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Scene, noise};
use flatbao_core::Hash;
use serde_json::json;

#[test]
fn ranges_are_half_open_and_clipped() {
    let scene = Scene::new();
    let bytes = noise(70_000);
    scene.write("a", &bytes);
    scene.ok(["add", "a", "--tag", "a"]);
    let all = bytes.len();
    for (range, expected) in [
        ("..", 0..all),
        ("0..10", 0..10),
        ("..10", 0..10),
        ("16383..16385", 16_383..16_385),
        ("5..5", 5..5),
        ("69999..", 69_999..all),
        ("60000..99999999", 60_000..all),
        ("70000..", all..all),
        ("99999999..", all..all),
        ("18446744073709551615..", all..all),
    ] {
        let ran = scene.ok(["cat", "a", "--range", range]);
        assert_eq!(ran.bytes, bytes[expected], "{range}");
    }
    assert_eq!(scene.ok(["cat", "a"]).bytes, bytes);
    for range in ["5..4", "a..b", "5", "-1..", ""] {
        let ran = scene.run(["cat", "a", &format!("--range={range}")]);
        ran.fails(2, &["range"]);
    }
}

/// Past the end, the last group proves that it is the end.
/// BI-076.
#[test]
fn damage_ends_the_output_and_leaves_the_rest_readable() {
    let scene = Scene::new();
    let bytes = noise(100_000);
    scene.write("a", &bytes);
    scene.ok(["add", "a", "--tag", "a"]);
    let hash = Hash::of(&bytes);
    scene.damage(hash, 40_000);
    let ran = scene.run(["cat", "a"]);
    ran.fails(5, &["damaged", "32768", &hash.to_string(), "flatbao add"]);
    assert_eq!(ran.bytes, bytes[..32_768]);
    let good = scene.ok(["cat", "a", "--range", "49152.."]);
    assert_eq!(good.bytes, bytes[49_152..]);
    let bad = scene.run(["cat", "a", "--range", "40001..40002", "--json"]);
    assert_eq!((bad.code, bad.err.as_str()), (5, ""));
    assert_eq!(bad.object()["error"], "corrupt");
    // Adding the content again mends it.
    scene.ok(["add", "a"]);
    assert_eq!(scene.ok(["cat", "a"]).bytes, bytes);
    scene.damage(hash, 99_999);
    scene
        .run(["cat", "a", "--range", "200000.."])
        .fails(5, &["damaged"]);
    // A blob of one group.
    let small = scene.blob(b"small");
    scene.damage(small, 1);
    let ran = scene.run(["cat", &small.to_string()]);
    ran.fails(5, &["damaged"]);
    assert_eq!(ran.out, "");
}

#[test]
fn ls_tells_state_size_and_location() {
    let scene = Scene::new();
    scene.write("a", noise(20_000));
    scene.ok(["add", "a", "--tag", "one"]);
    scene.ok(["add", "a", "--tag", "two words"]);
    let hash = Hash::of(&noise(20_000)).to_string();
    let ran = scene.ok(["ls"]);
    assert_eq!(ran.out, format!("{hash}     19.5 KiB  complete  owned\n"));
    let ran = scene.ok(["ls", "--long"]);
    let expected = format!("{hash}        20000  complete  owned     one  two words\n");
    assert_eq!(ran.out, expected);
    let object = json!({"hash": hash, "size": 20_000, "state": "complete", "location": "owned"});
    assert_eq!(scene.ok(["ls", "--json"]).object(), object);
    let mut long = object;
    long["tags"] = json!(["one", "two words"]);
    assert_eq!(scene.ok(["ls", "--long", "--json"]).object(), long);
    assert_eq!(scene.ok(["ls", "-q"]).out, format!("{hash}\n"));
    let tags = scene.ok(["ls", "--tags"]).out;
    assert_eq!(tags, scene.ok(["tag", "ls"]).out);
    scene.run(["ls", "--tags", "--long"]).fails(2, &["--long"]);
}

#[test]
fn what_cannot_be_measured_is_listed_all_the_same() {
    let scene = Scene::new();
    scene.write("small", "small");
    scene.write("other", "other");
    scene.ok(["add", "small", "--in-place"]);
    scene.ok(["add", "other"]);
    fs::remove_file(scene.path("small")).unwrap();
    let ran = scene.run(["ls", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (3, ""));
    let lines = ran.json();
    assert_eq!(lines.len(), 3);
    let gone = lines.iter().find(|line| line["location"] == "external");
    let gone = gone.unwrap();
    assert_eq!(gone["hash"], Hash::of(b"small").to_string());
    assert!(gone["size"].is_null());
    assert!(lines.iter().any(|line| line.get("error").is_some()));
    assert!(lines.iter().any(|line| line["size"] == 5));
    let ran = scene.run(["ls"]);
    ran.fails(3, &["skipped"]);
    assert_eq!(ran.out.lines().count(), 2);
}

#[test]
fn what_a_sequence_lists_may_be_missing() {
    let scene = Scene::new();
    scene.write("src/a", "a");
    scene.write("src/b", "b");
    scene.ok(["add", "src", "--tag", "src"]);
    fs::remove_file(scene.data(Hash::of(b"a"))).unwrap();
    let ran = scene.run(["ls", "src"]);
    ran.fails(3, &["no blob"]);
    assert!(ran.out.contains("missing"), "{}", ran.out);
    assert_eq!(ran.out.lines().count(), 2);
    scene.run(["cat", "src/a"]).fails(4, &["no blob"]);
}

#[test]
fn a_reference_is_a_hash_a_tag_a_prefix_or_a_path() {
    let scene = Scene::new();
    scene.write("src/a/b", "in the collection");
    scene.ok(["add", "src", "--tag", "rel/1"]);
    let hash = Hash::of(b"in the collection");
    let hex = hash.to_string();
    let base32 = data_encoding::BASE32_NOPAD.encode(hash.as_bytes());
    let mut cid = vec![1, 0x55, 0x1e, 0x20];
    cid.extend(hash.as_bytes());
    let cid = format!(
        "b{}",
        data_encoding::BASE32_NOPAD.encode(&cid).to_lowercase()
    );
    let collection = scene.ok(["tag", "ls", "--json"]).object()["hash"].clone();
    let inside = format!("{}/a/b", collection.as_str().unwrap());
    let inside_prefix = format!("{}/a/b", &collection.as_str().unwrap()[..6]);
    for reference in [
        hex.as_str(),
        &hex.to_uppercase(),
        &base32,
        &base32.to_lowercase(),
        &cid,
        &hex[..4],
        &hex[..5].to_uppercase(),
        &hex[..63],
        "rel/1/a/b",
        &inside,
        &inside_prefix,
    ] {
        let ran = scene.ok(["cat", reference]);
        assert_eq!(ran.out, "in the collection", "{reference}");
    }
    for reference in ["nope", &hex[..3], "rel", "rel/2", "rel/2/a/b", ""] {
        scene
            .run(["cat", reference])
            .fails(4, &["no tag and no blob", "tag ls"]);
    }
    scene
        .run(["cat", &"0".repeat(64)])
        .fails(4, &["no blob 0000"]);
    // A tag with a slash, and a shorter one with such a file: the longer one first.
    scene.write("other/1/a/c", "in the other");
    scene.ok(["add", "other", "--tag", "rel"]);
    assert_eq!(scene.ok(["cat", "rel/1/a/b"]).out, "in the collection");
    assert_eq!(scene.ok(["cat", "rel/1/a/c"]).out, "in the other");
    scene
        .run(["cat", "rel/1/a/d"])
        .fails(4, &["has no file a/d"]);
    // A tag's name wins over a prefix, and a hash over everything.
    let tag = &hex[..6];
    scene.write("tagged", "tagged");
    scene.ok(["add", "tagged", "--tag", tag]);
    assert_eq!(scene.ok(["cat", tag]).out, "tagged");
    assert_eq!(scene.ok(["cat", &hex[..7]]).out, "in the collection");
}

#[test]
fn a_prefix_of_several_hashes_lists_them() {
    let scene = Scene::new();
    // Two that begin with the same four digits.
    let (a, b) = (b"blob 99".to_vec(), twin(b"blob 99"));
    let hashes = [scene.blob(&a), scene.blob(&b)].map(|hash| hash.to_string());
    let prefix = &hashes[0][..4];
    let ran = scene.run(["cat", prefix]);
    ran.fails(2, &[&hashes[0], &hashes[1], "more digits"]);
    let told = scene.run(["cat", prefix, "--json"]).object();
    assert_eq!(told["error"], "ambiguous");
    assert_eq!(scene.ok(["cat", &hashes[1]]).bytes, b);
}

/// Bytes whose hash begins with the same four digits, and no more.
fn twin(bytes: &[u8]) -> Vec<u8> {
    let wanted = Hash::of(bytes).to_string();
    (0_u32..)
        .map(|number| format!("twin {number}").into_bytes())
        .find(|bytes| Hash::of(bytes).to_string()[..4] == wanted[..4])
        .unwrap()
}
