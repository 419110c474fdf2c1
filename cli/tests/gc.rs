//! `flatbao gc` and `flatbao rm`.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Scene, noise};
use flatbao_core::Hash;
use serde_json::json;

#[test]
fn a_dry_run_tells_and_removes_nothing() {
    let scene = Scene::new();
    scene.write("keep", "keep");
    scene.ok(["add", "keep"]);
    let mut loose = [scene.blob(b"loose"), scene.blob(&noise(20_000))].map(|h| h.to_string());
    loose.sort();
    let before = scene.tree(".flatbao");
    let ran = scene.ok(["gc", "--dry-run"]);
    assert_eq!(ran.out, "would remove 2 blobs, 19.6 KiB; reachable: 1\n");
    let ran = scene.ok(["gc", "-n", "-v"]);
    assert_eq!(ran.out.lines().count(), 3);
    assert!(ran.out.starts_with(&format!("would remove {}", loose[0])));
    let lines = scene.ok(["gc", "-n", "--json"]).json();
    assert_eq!(lines[0]["hash"], loose[0]);
    assert_eq!(lines[1]["action"], "would_remove");
    let summary = json!({
        "summary": "gc", "dry_run": true, "removed": 2, "kept": 0, "reachable": 1,
        // Data, and an outboard of 8 bytes and one pair.
        "bytes": 20_000 + 72 + 5,
    });
    assert_eq!(lines[2], summary);
    assert_eq!(scene.tree(".flatbao"), before);
    let lines = scene.ok(["gc", "--json"]).json();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["action"], "removed");
    assert_eq!(lines[2]["removed"], 2);
    assert_eq!(scene.ok(["ls", "-q"]).out.lines().count(), 1);
    assert_eq!(
        scene.ok(["gc"]).out,
        "removed 0 blobs, 0 B freed; reachable: 1\n"
    );
}

#[test]
fn a_root_that_cannot_be_read_removes_nothing() {
    let scene = Scene::new();
    scene.write("src/a", "a");
    scene.ok(["add", "src", "--tag", "src"]);
    let loose = scene.blob(b"loose");
    let sequence = scene.ok(["tag", "ls", "--json"]).object()["hash"].clone();
    let sequence: Hash = sequence.as_str().unwrap().parse().unwrap();
    scene.damage(sequence, 0);
    for args in [&["gc"][..], &["gc", "-n"]] {
        let words = ["must be a readable hash sequence", "tag src", "flatbao tag"];
        scene.run(args).fails(5, &words);
    }
    fs::remove_file(scene.data(sequence)).unwrap();
    scene
        .run(["gc"])
        .fails(1, &["must be a readable hash sequence"]);
    assert!(scene.data(loose).exists());
}

#[test]
fn rm_removes_what_nothing_reaches() {
    let scene = Scene::new();
    let loose = scene.blob(&noise(20_000));
    let hex = loose.to_string();
    let ran = scene.ok(["rm", &hex[..10]]);
    assert_eq!(ran.out, format!("removed {hex}, 19.6 KiB freed\n"));
    assert!(!scene.data(loose).exists());
    scene.run(["rm", &hex]).fails(4, &["no blob"]);
    scene.write("src/a", "a");
    scene.ok(["add", "src", "--tag", "src"]);
    // Reached by the tag itself, and by what it lists.
    for reference in ["src", "src/a"] {
        let ran = scene.run(["rm", reference]);
        ran.fails(1, &["in use", "tag src", "flatbao tag rm", "--force"]);
    }
    let loose = scene.blob(b"loose").to_string();
    let ran = scene.run(["rm", "src/a", &loose, "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (3, ""));
    assert_eq!(ran.json()[0]["error"], "in_use");
    let removed = json!({"hash": loose, "size": 5, "action": "removed"});
    assert_eq!(ran.json()[1], removed);
    // By force, but the tag that names nothing now is told.
    let ran = scene.run(["rm", "--force", "src"]);
    ran.fails(0, &["tag src names", "which is gone", "flatbao tag rm"]);
    scene
        .run(["gc"])
        .fails(1, &["must be a readable hash sequence"]);
    scene.ok(["tag", "rm", "src"]);
    scene.ok(["gc"]);
    assert_eq!(scene.ok(["ls"]).out, "");
}

#[test]
fn the_peers_stores_are_collected_as_the_peer_does() {
    let scene = Scene::new();
    common::fixture("gc", &scene.path(".flatbao"));
    let lines = scene.ok(["gc", "--json"]).json();
    let summary = lines.last().unwrap();
    assert_eq!(summary["removed"], 6);
    common::fixture("gc-after", &scene.path("after"));
    let names = |path: &str| -> Vec<String> {
        let names = scene.tree(path).into_iter().map(|(name, _)| name);
        names.filter(|name| name != "lock").collect()
    };
    assert_eq!(names(".flatbao"), names("after"));
}

/// In a directory where everyone may write and nobody may remove the files of others.
#[cfg(unix)]
#[test]
fn what_cannot_be_removed_is_told_and_the_rest_goes() {
    use std::os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    };
    if !rustix::process::getuid().is_root() {
        return println!("skipped: this needs a second user");
    }
    const OTHER: u32 = 65_534;
    let scene = Scene::new();
    scene.write("a", "a");
    scene.ok(["add", "a"]);
    let (theirs, ours) = (scene.blob(b"theirs"), scene.blob(b"ours"));
    let store = scene.path(".flatbao");
    for file in [store.join("lock"), scene.data(theirs)] {
        chown(file, Some(OTHER), Some(OTHER)).unwrap();
    }
    for (path, mode) in [(scene.path("."), 0o755), (store, 0o1777)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let run = |args: &[&str]| {
        let mut command = scene.command();
        command.uid(OTHER).gid(OTHER);
        command.args(args).output().map(common::ran)
    };
    let Ok(ran) = run(&["gc", "--json"]) else {
        return println!("skipped: the other user cannot run the command");
    };
    assert_eq!(ran.code, 3, "{ran:?}");
    let lines = ran.json();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["hash"], theirs.to_string());
    assert_eq!(lines[0]["action"], "removed");
    assert_eq!(lines[1]["hash"], ours.to_string());
    assert_eq!(lines[1]["action"], "kept");
    assert_eq!(lines[1]["reason"], "failed");
    assert_eq!(lines[1]["size"], 4);
    assert_eq!(
        (&lines[2]["removed"], &lines[2]["kept"]),
        (&json!(1), &json!(1))
    );
    let ran = run(&["gc"]).unwrap();
    ran.fails(3, &[&ours.to_string(), "not permitted"]);
    assert!(scene.data(ours).exists());
}
