//! `flatbao slice`, `receive` and `copy`, as somebody uses them who moves blobs about.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Ran, Scene, fixture, noise};
use flatbao_core::Hash;
use serde_json::json;

const THERE: [&str; 2] = ["--store", "there"];

/// Bytes of six whole groups and a piece of one.
fn content() -> Vec<u8> {
    noise(100_000)
}

/// A scene with a tagged blob.
fn scene() -> (Scene, String) {
    let scene = Scene::new();
    scene.write("file", content());
    scene.ok(["add", "file", "--tag", "it"]);
    (scene, Hash::of(&content()).to_string())
}

fn slice(scene: &Scene, range: &str) -> Vec<u8> {
    scene.ok(["slice", "it", range]).bytes
}

fn receive(scene: &Scene, stream: &[u8], args: &[&str]) -> Ran {
    let args: Vec<&str> = ["receive"]
        .iter()
        .chain(args)
        .chain(&THERE)
        .copied()
        .collect();
    scene.pipe(stream, &args)
}

fn missing(scene: &Scene, hash: &str) -> String {
    let ran = scene.ok(["receive", hash, "--missing", "--store", "there"]);
    ran.out.trim_end().to_owned()
}

fn cat(scene: &Scene, args: &[&str]) -> Ran {
    let args: Vec<&str> = ["cat"].iter().chain(args).chain(&THERE).copied().collect();
    scene.run(args)
}

/// What one store sends the other one has, whole and tagged; a second time nothing is new.
#[test]
fn a_blob_goes_from_store_to_store() {
    let (scene, hash) = scene();
    let stream = scene.ok(["slice", "it"]).bytes;
    assert_eq!(stream.len(), 8 + 6 * 64 + 100_000);
    let ran = receive(&scene, &stream, &[&hash]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.starts_with(&format!(
        "{hash}  complete  97.7 KiB (97.7 KiB new), tag auto-"
    )));
    assert_eq!(cat(&scene, &[&hash]).bytes, content());
    let ran = receive(&scene, &stream, &[&hash, "--json"]);
    assert_eq!(
        ran.object(),
        json!({
            "hash": hash, "size": 100_000, "state": "complete", "new_bytes": 0, "verified": 100_000, "missing": [],
        })
    );
    assert_eq!(missing(&scene, &hash), "");
    scene.ok(["verify", "--store", "there"]);
    assert_eq!(
        scene
            .ok(["tag", "ls", "-q", "--store", "there"])
            .out
            .lines()
            .count(),
        1
    );
}

/// A transfer that breaks off is taken up where it was: what moves then is what is missing.
#[test]
fn a_broken_transfer_goes_on() {
    let (scene, hash) = scene();
    assert_eq!(missing(&scene, &hash), "0..");
    assert!(!scene.path("there").exists());
    let stream = scene.ok(["slice", "it"]).bytes;
    let ran = receive(&scene, &stream[..50_000], &[&hash, "--tag", "got"]);
    ran.fails(3, &["ends 50392 bytes too early", "--missing"]);
    let told = format!(
        "{hash}  partial  48.0 KiB of 97.7 KiB, 49% (48.0 KiB new), missing 49152.., tag got\n"
    );
    assert_eq!(ran.out, told);
    // A collection between the two takes nothing away.
    scene.ok(["gc", "--store", "there"]);
    let ran = scene.ok(["ls", "--partial", "--store", "there"]);
    assert!(ran.out.contains("48.0 KiB verified (49%)"), "{}", ran.out);
    assert_eq!(
        cat(&scene, &[&hash, "--range", "30000..49152"]).bytes,
        content()[30_000..49_152]
    );
    let ran = cat(&scene, &[&hash, "--range", "49000.."]);
    ran.fails(1, &["16 KiB at offset 49152", "--missing"]);
    assert_eq!(ran.bytes, content()[49_000..49_152]);
    cat(&scene, &[&hash]).fails(1, &["incomplete"]);

    let wanted = missing(&scene, &hash);
    assert_eq!(wanted, "49152..");
    let rest = slice(&scene, &wanted);
    // Four groups, and the pairs above them.
    assert_eq!(rest.len(), 8 + 5 * 64 + 50_848);
    let ran = receive(&scene, &rest, &[&hash, "--range", &wanted, "--json"]);
    let object = ran.object();
    assert_eq!(
        (&object["state"], &object["new_bytes"]),
        (&json!("complete"), &json!(50_848))
    );
    assert!(object.get("tag").is_none(), "it has one");
    assert_eq!(cat(&scene, &["got"]).bytes, content());
}

/// Parts are received in any order, and the holes between them are told.
#[test]
fn parts_make_a_whole() {
    let (scene, hash) = scene();
    let get = |range: &str| {
        let ran = receive(
            &scene,
            &slice(&scene, range),
            &[&hash, "--range", range, "--json"],
        );
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        ran.object()
    };
    assert_eq!(
        get("16384..32768,65000..65001")["missing"],
        json!([[0, 16384], [32768, 49152], [65536, null]])
    );
    let object = get("99999..");
    assert_eq!(
        object["missing"],
        json!([[0, 16384], [32768, 49152], [65536, 98304]])
    );
    assert_eq!(
        (&object["size"], &object["verified"]),
        (&json!(100_000), &json!(34_464))
    );
    let object = scene
        .ok(["receive", &hash, "--missing", "--json", "--store", "there"])
        .object();
    assert_eq!(
        object,
        json!({"hash": hash, "missing": [[0, 16384], [32768, 49152], [65536, 98304]]})
    );
    let wanted = missing(&scene, &hash);
    assert_eq!(wanted, "0..16384,32768..49152,65536..98304");
    assert_eq!(get(&wanted)["state"], "complete");
    assert_eq!(cat(&scene, &[&hash]).bytes, content());
}

/// Of what is not what it should be nothing is kept, and the exit code says so.
#[test]
fn a_wrong_stream_is_told() {
    let (scene, hash) = scene();
    let mut stream = scene.ok(["slice", "it"]).bytes;
    stream[60_000] ^= 1;
    let ran = receive(&scene, &stream, &[&hash, "--no-tag"]);
    ran.fails(
        5,
        &[
            "16384 bytes at offset 49152 are not the blob's",
            "--missing",
        ],
    );
    assert!(ran.out.contains("partial  48.0 KiB"));
    let other = Hash::of(b"other").to_string();
    let ran = receive(&scene, &stream, &[&other]);
    ran.fails(5, &["is not the blob's"]);
    assert_eq!(ran.out, "");
    assert_eq!(scene.ok(["tag", "ls", "--store", "there"]).out, "");
    let ran = receive(&scene, b"", &[&other, "--json"]);
    assert_eq!(
        (ran.code, ran.object()["error"].as_str()),
        (3, Some("stream"))
    );
    // The wrong range: what is right of it is kept.
    let part = slice(&scene, "0..1");
    receive(&scene, &part, &[&hash]).fails(3, &["too early"]);
    let ran = receive(
        &scene,
        &[&part[..], b"more"].concat(),
        &[&hash, "--range", "0..1"],
    );
    ran.fails(1, &["more bytes than", "--range"]);
    // A size that was proved is not argued with.
    let whole = scene.ok(["slice", "it"]).bytes;
    assert_eq!(receive(&scene, &whole, &[&hash]).code, 0);
    let lie = [&5_u64.to_le_bytes()[..], &whole[8..]].concat();
    receive(&scene, &lie, &[&hash]).fails(5, &["of a blob of 5 bytes, and this one has 100000"]);
    scene.ok(["verify", "--store", "there"]);
}

/// A damaged blob is not sent, and one that repair has demoted gets back the group that it lacks.
#[test]
fn one_group_mends_a_blob() {
    let (scene, hash) = scene();
    scene.ok(["copy", "it", "--to", "there"]);
    scene.damage(Hash::of(&content()), 40_000);
    let ran = scene.run(["slice", "it"]);
    ran.fails(5, &["offset 32768", "flatbao repair"]);
    assert!(slice(&scene, "0..32768").len() > 32_768);
    assert_eq!(scene.run(["repair", "-q"]).code, 3);
    let wanted = scene.ok(["receive", &hash, "--missing"]).out;
    assert_eq!(wanted, "32768..49152\n");
    let stream = scene.ok([
        "slice",
        "it",
        wanted.trim(),
        "--store",
        "there",
        "-o",
        "one.bao",
    ]);
    assert_eq!(
        stream.out,
        format!("{hash}  one.bao  16.0 KiB of 97.7 KiB\n")
    );
    let ran = scene.ok(["receive", "it", "one.bao", "--range", wanted.trim()]);
    assert_eq!(
        ran.out,
        format!("{hash}  complete  97.7 KiB (16.0 KiB new)\n")
    );
    assert_eq!(scene.ok(["cat", "it"]).bytes, content());
    scene.ok(["verify"]);
}

/// A slice appears as a file when all of it is there, takes no other file's place, and is no part of the store.
#[test]
fn a_slice_is_a_file() {
    let (scene, hash) = scene();
    scene.write("here", "mine");
    scene
        .run(["slice", "it", "-o", "here"])
        .fails(1, &["exists already", "--force"]);
    assert_eq!(fs::read(scene.path("here")).unwrap(), b"mine");
    let ran = scene.ok(["slice", "it", "5..6", "-o", "here", "--force", "--json"]);
    let expected = json!({"hash": hash, "size": 100_000, "data": 16384, "stream": 8 + 3 * 64 + 16384, "path": "here"});
    assert_eq!(ran.object(), expected);
    assert_eq!(fs::read(scene.path("here")).unwrap(), slice(&scene, "5..6"));
    scene
        .run(["slice", "it", "-o", ".flatbao/x"])
        .fails(1, &["inside"]);
    scene.damage(Hash::of(&content()), 99_999);
    scene
        .run(["slice", "it", "-o", "whole"])
        .fails(5, &["98304"]);
    assert!(!scene.path("whole").exists());
    for (range, why) in [
        ("5..5", "no byte"),
        ("1-2", "A..B"),
        ("2..1", "ends before"),
        ("..x", "not a number"),
    ] {
        scene.run(["slice", "it", range]).fails(2, &[why]);
    }
    scene
        .run(["slice", "it", "--force"])
        .fails(2, &["--output"]);
}

/// A collection is copied with everything in it, only what is missing of it moves, and it is called the same.
#[test]
fn a_collection_is_copied() {
    let (scene, _) = scene();
    scene.write("dir/large", content());
    scene.write("dir/small", "small");
    scene.ok(["add", "dir", "--tag", "all"]);
    let ran = scene.ok(["copy", "all", "--to", "there"]);
    assert!(
        ran.out
            .contains("  there  4 blobs, 0 already there, 97.8 KiB moved, tag all\n"),
        "{}",
        ran.out
    );
    scene.ok(["get", "all", "restored", "--store", "there"]);
    assert_eq!(scene.tree("restored"), scene.tree("dir"));
    let again = scene
        .ok(["copy", "all", "--to", "there", "--json"])
        .object();
    assert_eq!(
        (&again["known"], &again["bytes"], &again["tag"]),
        (&json!(4), &json!(0), &json!("all"))
    );
    assert_eq!(
        scene.ok(["gc", "--store", "there", "--json"]).object()["removed"],
        0
    );
    // One file of it by its path: the blob alone, with a tag of its own.
    let ran = scene.ok(["copy", "all/small", "--to", "third", "--tag", "one", "-q"]);
    assert_eq!(ran.out, format!("{}\n", Hash::of(b"small")));
    assert_eq!(scene.ok(["cat", "one", "--store", "third"]).out, "small");
    // A tag that nobody named does not replace another one's.
    scene.ok([
        "tag",
        "set",
        "all",
        &Hash::of(b"small").to_string(),
        "--store",
        "third",
    ]);
    let ran = scene.run(["copy", "all", "--to", "third"]);
    ran.fails(2, &["names another blob there", "--tag all"]);
    scene.ok(["copy", "all", "--to", "third", "--tag", "all"]);
    scene.ok(["get", "all", "restored3", "--store", "third"]);
    assert_eq!(scene.tree("restored3"), scene.tree("dir"));
    scene.ok(["copy", "it", "--to", "fourth", "--no-tag"]);
    assert_eq!(scene.ok(["tag", "ls", "--store", "fourth"]).out, "");
}

/// What the source has damaged is told, the rest arrives; another source brings what is missing.
#[test]
fn two_damaged_copies_make_a_whole_one() {
    let (scene, hash) = scene();
    scene.ok(["copy", "it", "--to", "there"]);
    scene.damage(Hash::of(&content()), 5);
    let other = scene.path(format!("there/{hash}.data"));
    let mut bytes = fs::read(&other).unwrap();
    bytes[99_000] ^= 1;
    fs::write(&other, bytes).unwrap();
    let ran = scene.run(["copy", "it", "--to", "third"]);
    ran.fails(5, &["skipped: ", "offset 0 "]);
    assert!(
        ran.out
            .contains("1 blob, 0 already there, 1 not whole, 81.7 KiB moved, tag it"),
        "{}",
        ran.out
    );
    let ran = scene.run(["copy", "it", "--to", "third", "--store", "there", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(ran.object()["bytes"], 16_384);
    assert_eq!(scene.ok(["cat", "it", "--store", "third"]).bytes, content());
}

/// A copy onto itself is a mistake, one to a place that is no store as well.
#[test]
fn a_copy_needs_two_stores() {
    let (scene, _) = scene();
    scene
        .run(["copy", "it", "--to", ".flatbao/../.flatbao"])
        .fails(2, &["are one"]);
    scene.write("docs/readme", "mine");
    scene
        .run(["copy", "it", "--to", "docs"])
        .fails(4, &["is not a store"]);
    scene.run(["copy", "it"]).fails(2, &["--to"]);
    scene
        .run(["copy", "nobody", "--to", "there"])
        .fails(4, &["nobody"]);
    assert!(!scene.path("there").exists());
    scene
        .run(["receive", "nobody", "docs/readme", "--store", "there"])
        .fails(4, &["no store at there"]);
    scene
        .run(["receive", &"0".repeat(64), "not-there", "--store", "fifth"])
        .fails(4, &["not-there"]);
    assert!(!scene.path("fifth").exists());
}

/// A hash sequence is tagged as one when all of it is there.
#[test]
fn a_sequence_is_received_as_one() {
    let scene = Scene::new();
    scene.write("dir/a", "a");
    scene.ok(["add", "dir", "--tag", "all"]);
    let hash = scene.ok(["tag", "ls", "--json"]).object()["hash"]
        .as_str()
        .unwrap()
        .to_owned();
    // Told, since who slices a collection may want more.
    let sliced = scene.run(["slice", "all"]);
    sliced.fails(0, &["the list alone", "flatbao copy"]);
    let stream = sliced.bytes;
    let args = [hash.as_str(), "--tag", "list", "--format", "hashseq"];
    receive(&scene, &stream[..50], &args).fails(3, &[]);
    let ran = receive(&scene, &stream, &args);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let listed = scene.ok(["tag", "ls", "--store", "there"]).out;
    assert_eq!(listed, format!("{hash}  hashseq  list\n"));
}

/// The partial blobs that the peer left are listed with what is really there of them, and filled.
#[test]
fn partial_blobs_of_the_peer_are_filled() {
    let scene = Scene::new();
    fixture("golden", &scene.path(".flatbao"));
    let hash = "ab9cb7aeb1da282b343646d87913d5cb0fcf654813996f95cca0797f43391881";
    // What lies outside is not there, which is told.
    let ran = scene.run(["ls", "--partial"]);
    let line = ran.out.lines().find(|line| line.starts_with(hash)).unwrap();
    assert!(line.ends_with("160.0 KiB verified (16%)"), "{line}");
    assert_eq!(scene.ok(["receive", hash, "--missing"]).out, "163840..\n");
    // `lcg(1000000)` of the manifest.
    let mut state = 1_000_000_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let content: Vec<u8> = (0..1_000_000).map(|_| next()).collect();
    scene.write("content", &content);
    scene.ok(["add", "content", "--tag", "it", "--store", "there"]);
    let wanted = "163840..";
    let stream = scene.ok(["slice", "it", wanted, "--store", "there"]).bytes;
    let ran = scene.pipe(&stream, &["receive", hash, "--range", wanted, "--json"]);
    assert_eq!(ran.object()["new_bytes"], 1_000_000 - 163_840);
    assert_eq!(scene.ok(["cat", hash]).bytes, content);
}

/// What names another blob goes on naming it until the new one is whole: a broken transfer loses nothing that was
/// tagged before, and what came of it is kept under another name meanwhile.
#[test]
fn a_tag_moves_when_all_is_there() {
    let (scene, hash) = scene();
    scene.write("old", "the old backup");
    scene.ok(["add", "old", "--tag", "backup", "--store", "there"]);
    let stream = scene.ok(["slice", "it"]).bytes;
    let ran = receive(&scene, &stream[..50_000], &[&hash, "--tag", "backup"]);
    ran.fails(3, &[]);
    assert!(ran.out.contains(", tag auto-"), "{}", ran.out);
    assert_eq!(cat(&scene, &["backup"]).out, "the old backup");
    assert_eq!(
        scene.ok(["gc", "--store", "there", "--json"]).object()["removed"],
        0
    );
    let wanted = missing(&scene, &hash);
    let rest = slice(&scene, &wanted);
    let ran = receive(
        &scene,
        &rest,
        &[&hash, "--range", &wanted, "--tag", "backup"],
    );
    assert!(ran.out.ends_with(", tag backup\n"), "{}", ran.out);
    assert_eq!(cat(&scene, &["backup"]).bytes, content());

    // The same of a copy whose source is not whole.
    scene.damage(Hash::of(&content()), 5);
    scene.ok(["add", "old", "--tag", "backup", "--store", "third"]);
    let ran = scene.run(["copy", "it", "--to", "third", "--tag", "backup"]);
    ran.fails(5, &["skipped: "]);
    assert_eq!(
        scene.ok(["cat", "backup", "--store", "third"]).out,
        "the old backup"
    );
    assert_eq!(
        scene.ok(["gc", "--store", "third", "--json"]).object()["removed"],
        0
    );
    let ran = scene.ok([
        "copy", &hash, "--to", "third", "--tag", "backup", "--store", "there",
    ]);
    assert!(ran.out.ends_with(", tag backup\n"), "{}", ran.out);
    assert_eq!(
        scene.ok(["cat", "backup", "--store", "third"]).bytes,
        content()
    );
}

/// Where a tag says that a blob is a hash sequence, nothing that comes later takes that back: it would let the next
/// collection take what the blob lists.
#[test]
fn a_sequence_stays_one() {
    let scene = Scene::new();
    scene.write("dir/a", "a");
    scene.write("dir/b", "b");
    scene.ok(["add", "dir", "--tag", "all"]);
    scene.ok(["copy", "all", "--to", "there"]);
    let hash = scene.ok(["tag", "ls", "--json"]).object()["hash"]
        .as_str()
        .unwrap()
        .to_owned();
    scene.ok(["tag", "set", "all", &hash, "--format", "raw"]);
    scene.ok(["copy", "all", "--to", "there"]);
    scene.ok(["copy", "all", "--to", "there", "--tag", "all"]);
    let ran = scene.run(["slice", "all"]);
    receive(&scene, &ran.bytes, &[&hash, "--tag", "all"]);
    receive(&scene, &ran.bytes, &[&hash]);
    let listed = scene.ok(["tag", "ls", "--store", "there"]).out;
    assert_eq!(listed, format!("{hash}  hashseq  all\n"));
    assert_eq!(
        scene.ok(["gc", "--store", "there", "--json"]).object()["removed"],
        0
    );
    scene.ok(["get", "all", "restored", "--store", "there"]);
    // And what was received as bytes becomes one when somebody says so.
    receive(&scene, &ran.bytes[..40], &[&hash, "--store", "third"]);
    let args = ["receive", &hash, "--format", "hashseq", "--store", "third"];
    assert_eq!(scene.pipe(&ran.bytes, &args).code, 0);
    let listed = scene.ok(["tag", "ls", "--store", "third"]).out;
    assert!(
        listed.starts_with(&format!("{hash}  hashseq  auto-")),
        "{listed}"
    );
    assert_eq!(listed.lines().count(), 1);
}

/// A blob of which everything is there, and that nobody has completed, is completed without another byte; one that is
/// complete needs none.
#[test]
fn nothing_is_missing() {
    let (scene, hash) = scene();
    scene.ok(["init", "--store", "there"]);
    // As a process leaves it that is killed before the last step.
    let uuid = "0".repeat(32);
    let outboard = fs::read(scene.path(format!(".flatbao/{hash}.obao4"))).unwrap();
    scene.write(&format!("there/{hash}-{uuid}.data"), content());
    scene.write(&format!("there/{hash}-{uuid}.obao4"), outboard);
    let ran = scene.run(["receive", &hash, "--missing", "--store", "there"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert!(ran.err.contains("completes it"), "{}", ran.err);
    let ran = scene.ok(["receive", &hash, "--store", "there"]);
    assert!(
        ran.out
            .starts_with(&format!("{hash}  complete  97.7 KiB (0 B new), tag auto-")),
        "{}",
        ran.out
    );
    assert_eq!(cat(&scene, &[&hash]).bytes, content());
    let ran = scene.ok(["receive", &hash, "--store", "there"]);
    assert_eq!(ran.out, format!("{hash}  complete  97.7 KiB (0 B new)\n"));
}

/// Damage of a complete blob is looked for when somebody asks what is missing, and what comes for it is said to need a
/// repair.
#[test]
fn damage_is_missing() {
    let (scene, hash) = scene();
    let whole = scene.ok(["slice", "it"]).bytes;
    scene.damage(Hash::of(&content()), 20_000);
    let wanted = scene.ok(["receive", "it", "--missing"]).out;
    assert_eq!(wanted, "16384..32768\n");
    let ran = scene.pipe(&whole, &["receive", "it"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.err.contains(&format!("`flatbao repair {hash}`")),
        "{}",
        ran.err
    );
    assert_eq!(scene.ok(["cat", "it"]).bytes, content());
    scene.ok(["repair"]);
    scene.ok(["verify"]);
}

/// A stream may come out of a FIFO; a directory is no stream. Names of what is not there make no store.
#[cfg(unix)]
#[test]
fn streams_come_from_anything_that_reads() {
    let (scene, hash) = scene();
    let fifo = scene.path("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let stream = scene.ok(["slice", "it"]).bytes;
    let writer = std::thread::spawn({
        let stream = stream.clone();
        move || fs::write(fifo, stream).unwrap()
    });
    let ran = scene.ok(["receive", &hash, "fifo", "--store", "there"]);
    assert!(ran.out.contains("complete"));
    writer.join().unwrap();
    scene.write("dir/x", "");
    scene
        .run(["receive", &hash, "dir", "--store", "fifth"])
        .fails(1, &["a directory"]);
    scene
        .run(["receive", "nobody", "file", "--store", "fifth"])
        .fails(4, &["no store"]);
    assert!(!scene.path("fifth").exists());
    scene
        .run(["copy", "it", "--to", "not/there/../../.flatbao"])
        .fails(4, &["cannot find"]);
    scene
        .run(["copy", "it", "--to", ".flatbao/inner"])
        .fails(1, &["inside it"]);
    assert!(!scene.path("not").exists() && !scene.path(".flatbao/inner").exists());
    assert_eq!(scene.ok(["slice", "it", "-o", "-"]).bytes, stream);
}

/// A process that is killed in the middle of a transfer leaves what came, tagged.
#[cfg(unix)]
#[test]
fn a_killed_transfer_is_kept() {
    use std::io::Write;
    let scene = Scene::new();
    let content = noise(3_000_000);
    scene.write("file", &content);
    scene.ok(["add", "file", "--tag", "it"]);
    let hash = Hash::of(&content).to_string();
    let stream = scene.ok(["slice", "it"]).bytes;
    let mut child = scene
        .command()
        .args(["receive", &hash, "--tag", "film", "--store", "there"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&stream[..2_000_000]).unwrap();
    // Until what was written has been taken.
    let came = || scene.run(["ls", "--partial", "--json", "--store", "there"]);
    let far = |ran: &Ran| {
        let objects = ran.json();
        let verified = objects
            .first()
            .and_then(|object| object["verified"].as_u64());
        verified.is_some_and(|verified| verified > 1_500_000)
    };
    while !far(&came()) {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    drop(stdin);
    assert_eq!(
        scene.ok(["gc", "--store", "there", "--json"]).object()["removed"],
        0
    );
    assert_eq!(
        scene.ok(["tag", "ls", "-q", "--store", "there"]).out,
        "film\n"
    );
    let wanted = missing(&scene, &hash);
    let rest = slice(&scene, &wanted);
    assert!(rest.len() < 1_600_000);
    let ran = receive(&scene, &rest, &[&hash, "--range", &wanted]);
    assert!(ran.out.contains("complete"), "{ran:?}");
    assert_eq!(cat(&scene, &["film"]).bytes, content);
}
