//! `flatbao verify`, `repair`, `doctor` and `export --forget` in places that are seldom visited.

#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, io::Write, process::Stdio, thread, time::Duration};

use common::{Scene, noise};
use flatbao_core::Hash;

#[test]
fn a_budget_of_all_time_does_not_panic() {
    let scene = Scene::new();
    scene.write("a", "a");
    scene.ok(["add", "a", "--tag", "a"]);
    let ran = scene.run(["verify", "--budget", "18446744073709551615"]);
    assert!(ran.code == 0 || ran.code == 2, "{} {}", ran.code, ran.err);
}

/// The file of a cursor is replaced without touching a file of the user's that has a similar name.
#[test]
fn a_cursor_leaves_the_neighbours_alone() {
    let scene = Scene::new();
    scene.write("a", "a");
    scene.write("b", "b");
    scene.ok(["add", "a", "--tag", "a"]);
    scene.ok(["add", "b", "--tag", "b"]);
    scene.write("pos.new", "mine");
    scene.run(["verify", "--budget", "0", "--cursor", "pos"]);
    assert_eq!(fs::read_to_string(scene.path("pos.new")).unwrap(), "mine");
}

/// With nothing to restore, `repair --tags-from` has the same exit code with `--dry-run` and without.
#[test]
fn a_dry_run_ends_as_the_real_one() {
    let scene = Scene::new();
    scene.write("a", "a");
    scene.ok(["add", "a", "--tag", "a"]);
    let meta = scene.path(".flatbao/tags.meta");
    let good = fs::read(&meta).unwrap();
    scene.write("copy.meta", &good);
    let dry = scene
        .run(["repair", "--tags-from", "copy.meta", "--dry-run"])
        .code;
    let real = scene.run(["repair", "--tags-from", "copy.meta"]).code;
    assert_eq!(dry, real, "--tags-from beside good tags");
}

#[test]
fn a_dry_repair_of_a_store_with_damaged_tags_ends_as_the_real_one() {
    let scene = Scene::new();
    scene.write("a", "a");
    scene.ok(["add", "a", "--tag", "a"]);
    let meta = scene.path(".flatbao/tags.meta");
    let mut bytes = fs::read(&meta).unwrap();
    bytes[5] ^= 1;
    fs::write(&meta, bytes).unwrap();
    let dry = scene.run(["repair", "--dry-run"]).code;
    let real = scene.run(["repair"]).code;
    assert_eq!(dry, real, "damaged tags");
}

#[test]
fn repair_does_not_call_a_store_without_tags_mended() {
    let scene = Scene::new();
    scene.write("a", "a");
    scene.ok(["add", "a", "--tag", "a"]);
    fs::remove_file(scene.path(".flatbao/tags.meta")).unwrap();
    let verified = scene.run(["verify"]).code;
    let repaired = scene.run(["repair"]).code;
    assert!(verified == 5 && repaired != 0, "{verified} {repaired}");
}

/// A store in three directories is locked as well while somebody writes to it, and `doctor` says so.
#[test]
fn doctor_sees_the_writer_of_three_directories() {
    let scene = Scene::new();
    for dir in ["blobs.v0", "blobs-meta.v0", "blobs-partial.v0"] {
        fs::create_dir_all(scene.path(format!("t/{dir}"))).unwrap();
    }
    scene.run(["init", "--store", "t"]);
    let mut child = scene
        .command()
        .args(["add", "-", "--tag", "x", "--store", "t"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.as_mut().unwrap().write_all(b"abc").unwrap();
    thread::sleep(Duration::from_millis(700));
    let told = scene.run(["doctor", "--store", "t", "--json"]).out;
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(told.contains("\"locked\":true"), "{told}");
}

/// Two files have the same content, and one of them cannot be exported: the content stays in the store for it.
#[test]
fn what_was_not_exported_is_not_forgotten() {
    let scene = Scene::new();
    scene.write("d/x", "same");
    scene.write("d/y", "same");
    scene.ok(["add", "d", "--no-tag", "-q"]);
    let hash = scene
        .ok(["add", "d", "--no-tag", "-q"])
        .out
        .trim()
        .to_owned();
    // `x` cannot be written.
    fs::create_dir_all(scene.path("out/x")).unwrap();
    let ran = scene.run(["export", &hash, "out", "--forget", "--force"]);
    assert_eq!(ran.code, 3);
    fs::remove_dir(scene.path("out/x")).unwrap();
    let same = Hash::of(b"same").to_string();
    let found = scene.run(["cat", &same]);
    assert_eq!(
        found.code, 0,
        "x was not exported and its bytes are forgotten: {}",
        found.err
    );
}

/// Files of the same content by reference, more than a process may open: verification succeeds all the same.
#[cfg(unix)]
#[test]
fn many_references_to_one_blob_are_no_problem() {
    let scene = Scene::new();
    let bytes = noise(20_000);
    for i in 0..150 {
        scene.write(&format!("d/{i}"), &bytes);
    }
    scene.ok(["add", "d", "--in-place", "--tag", "d"]);
    let path = scene.path(".");
    let out = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!(
            "ulimit -n 64; '{}' verify -q",
            env!("CARGO_BIN_EXE_flatbao")
        ))
        .current_dir(path)
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stdout)
            .lines()
            .last()
            .unwrap_or("")
    );
}

/// Whatever `repair --json` prints, of damaged data and of damaged tags, the help names every key of it.
#[test]
fn all_keys_of_repair_are_in_its_help() {
    let scene = Scene::new();
    let bytes = noise(100_000);
    scene.write("a", &bytes);
    scene.ok(["add", "a", "--tag", "a"]);
    scene.damage(Hash::of(&bytes), 0);
    let help = scene.run(["repair", "--help"]).out;
    let keys = help.split("JSON keys:").nth(1).unwrap();
    let keys: Vec<&str> = keys
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    let mut lines = scene.run(["repair", "--json"]).json();
    let meta = scene.path(".flatbao/tags.meta");
    let mut bytes = fs::read(&meta).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&meta, bytes).unwrap();
    lines.extend(scene.run(["repair", "--salvage-tags", "--json"]).json());
    for line in lines {
        for key in line.as_object().unwrap().keys() {
            assert!(keys.contains(&key.as_str()), "{key}");
        }
    }
}
