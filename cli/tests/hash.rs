//! `flatbao hash`.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Scene, noise};
use flatbao_core::Hash;
use serde_json::json;

#[test]
fn files_are_hashed_without_a_store() {
    let scene = Scene::new();
    scene.write("a", noise(300_000));
    scene.write("b c", "");
    let hash = Hash::of(&noise(300_000));
    let ran = scene.ok(["hash", "a", "b c"]);
    assert_eq!(ran.out, format!("{hash}  a\n{}  b c\n", Hash::EMPTY));
    let told = scene.ok(["hash", "a", "--json"]).object();
    let expected = json!({"hash": hash.to_string(), "path": "a", "size": 300_000});
    assert_eq!(told, expected);
    let ran = scene.pipe(b"from stdin", &["hash", "-"]);
    assert_eq!(ran.out, format!("{}  -\n", Hash::of(b"from stdin")));
    assert!(!scene.path(".flatbao").exists());
    fs::create_dir(scene.path("dir")).unwrap();
    let ran = scene.run(["hash", "dir", "nope", "a"]);
    ran.fails(
        3,
        &["dir is a directory", "flatbao add", "cannot read nope"],
    );
    assert_eq!(ran.out, format!("{hash}  a\n"));
    scene.run(["hash", "nope"]).fails(4, &["nope"]);
    scene.run(["hash"]).fails(2, &["PATH"]);
}

#[test]
fn a_list_is_checked() {
    let scene = Scene::new();
    for (path, bytes) in [("a", "a"), ("b\\\nc", "b"), ("d", "d")] {
        scene.write(path, bytes);
    }
    let list = scene.ok(["hash", "a", "b\\\nc", "d"]).bytes;
    assert!(list.starts_with(Hash::of(b"a").to_string().as_bytes()));
    fs::write(scene.path("list"), &list).unwrap();
    let ran = scene.ok(["hash", "-c", "list"]);
    assert_eq!(ran.out, "a: ok\nb\\\\x0ac: ok\nd: ok\n");
    assert_eq!(scene.pipe(&list, &["hash", "-c", "-", "-q"]).out, "");
    scene.write("a", "changed");
    let ran = scene.run(["hash", "--check", "list"]);
    ran.fails(5, &[]);
    assert!(ran.out.starts_with("a: DIFFERS\n"), "{}", ran.out);
    let lines = scene.run(["hash", "-c", "list", "--json"]).json();
    assert_eq!(lines[0]["ok"], false);
    assert_eq!(lines[0]["found"], Hash::of(b"changed").to_string());
    assert_eq!(
        lines[2],
        json!({"path": "d", "ok": true, "hash": Hash::of(b"d").to_string()})
    );
    fs::remove_file(scene.path("d")).unwrap();
    scene
        .run(["hash", "-c", "list"])
        .fails(5, &["cannot read d"]);
    scene.write("a", "a");
    scene
        .run(["hash", "-c", "list"])
        .fails(3, &["cannot read d"]);
    scene.write("bad", "no list\n");
    scene
        .run(["hash", "-c", "bad"])
        .fails(1, &["line 1 of bad", "flatbao hash"]);
    scene.run(["hash", "-c", "nope"]).fails(4, &["nope"]);
    scene.run(["hash", "-c", "list", "a"]).fails(2, &["PATH"]);
}
