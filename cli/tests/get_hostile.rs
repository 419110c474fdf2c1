//! `flatbao get` of collections that are made to lead out of the destination, and into destinations that
//! are.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::Scene;

/// The whole restore is refused before anything is written, inside DEST or outside.
#[test]
fn unsafe_names_restore_nothing() {
    let scene = Scene::new();
    for (index, name) in [
        "..",
        "../x",
        "a/../../x",
        "/tmp/flatbao-escape",
        ".",
        "./x",
        "a/.",
        "",
        "a//b",
        "a/",
        "a\0b",
        "..\\x",
        "a\\b",
        "C:\\x",
        "C:/x",
        "C:x",
        "a:stream",
        "CON",
        "dir/aux.txt",
        "nul",
        "COM1",
        "com¹.txt",
        "LPT³",
        "CONOUT$",
        "trailing.",
        "trailing ",
        "dir./x",
        "...",
    ]
    .into_iter()
    .enumerate()
    {
        scene.collection("evil", &[("0-first", b"harmless"), (name, b"evil")]);
        let before = scene.tree(".");
        let ran = scene.run(["get", "evil", "out"]);
        ran.fails(1, &["nothing was written"]);
        let told = scene.run(["get", "evil", "out", "--json"]).object();
        assert_eq!(told["error"], "unsafe_name", "{name:?}");
        // What leads out stays refused, whatever is asked for.
        let leads_out = index < 11;
        if leads_out {
            let native = scene.run(["get", "evil", "out", "--native-names", "--force"]);
            native.fails(1, &["nothing was written"]);
            assert!(!native.err.contains("--native-names"));
        } else {
            ran.fails(1, &["--native-names"]);
        }
        assert_eq!(scene.tree("."), before, "{name:?}");
    }
    assert!(!std::path::Path::new("/tmp/flatbao-escape").exists());
}

#[test]
fn names_that_clash_restore_nothing() {
    for (names, clash_everywhere) in [
        (["a", "a/b"], true),
        (["a/b/c", "a/b"], true),
        (["readme", "README"], false),
        (["Dir/x", "dir/y"], false),
        (["ä", "Ä"], false),
        (["A", "a/b"], false),
    ] {
        let scene = Scene::new();
        scene.collection("evil", &[(names[0], b"one"), (names[1], b"two")]);
        let before = scene.tree(".");
        let told = scene.run(["get", "evil", "out", "--json"]);
        assert_eq!(told.code, 1);
        assert_eq!(told.object()["error"], "unsafe_name", "{names:?}");
        assert_eq!(scene.tree("."), before, "{names:?}");
        let native = scene.run(["get", "evil", "out", "--native-names"]);
        if clash_everywhere {
            native.fails(1, &["nothing was written"]);
        } else if cfg!(target_os = "linux") {
            native.fails(0, &[]);
            assert_eq!(fs::read(scene.path("out").join(names[0])).unwrap(), b"one");
            assert_eq!(fs::read(scene.path("out").join(names[1])).unwrap(), b"two");
        }
    }
}

#[cfg(unix)]
#[test]
fn links_in_the_destination_are_not_followed() {
    use std::os::unix::fs::symlink;
    let scene = Scene::new();
    scene.write("src/dir/file", "new");
    scene.write("src/top", "new");
    scene.ok(["add", "src", "--tag", "src"]);
    scene.write("victim/file", "old");
    scene.write("inside/x", "");
    for (link, target) in [
        ("out/dir", "../victim"),
        ("out/top", "../victim/file"),
        // Not even where it would stay inside.
        ("out/dir", "sibling"),
        ("out/top", "nowhere"),
    ] {
        let _ = fs::remove_dir_all(scene.path("out"));
        fs::create_dir_all(scene.path("out/sibling")).unwrap();
        symlink(target, scene.path(link)).unwrap();
        let ran = scene.run(["get", "src", "out", "--force"]);
        ran.fails(3, &["symbolic link"]);
        assert_eq!(fs::read(scene.path("victim/file")).unwrap(), b"old");
        assert_eq!(
            fs::read_link(scene.path(link)).unwrap().to_str(),
            Some(target)
        );
        assert_eq!(fs::read_dir(scene.path("out/sibling")).unwrap().count(), 0);
        let told = scene.run(["get", "src", "out", "--force", "--json"]);
        assert!(
            told.json()
                .iter()
                .any(|line| line["error"] == "unsafe_target")
        );
        // Nothing temporary stays behind.
        let tree = scene.tree("out");
        assert!(
            tree.iter().all(|(name, _)| !name.contains(".tmp")),
            "{tree:?}"
        );
    }
    // A single file does not go through a link either.
    symlink("victim/file", scene.path("link")).unwrap();
    scene
        .run(["get", "src/top", "link", "--force"])
        .fails(1, &["symbolic link"]);
    assert_eq!(fs::read(scene.path("victim/file")).unwrap(), b"old");
    // A file in the way of a directory.
    let _ = fs::remove_dir_all(scene.path("out"));
    scene.write("out/dir", "file");
    scene
        .run(["get", "src", "out", "--force"])
        .fails(3, &["in the way"]);
    assert_eq!(fs::read(scene.path("out/dir")).unwrap(), b"file");
}
