//! `flatbao export`.
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, path::Path};

use common::{Scene, fixture, noise};
use flatbao_core::Hash;
use serde_json::json;

const SIZE: usize = 300_000;

/// A store with a large and a small blob, both tagged, and their hashes.
fn scene() -> (Scene, Hash, Hash) {
    let scene = Scene::new();
    scene.write("large", noise(SIZE));
    scene.write("small", "small");
    scene.ok(["add", "large", "--tag", "large"]);
    scene.ok(["add", "small", "--tag", "small"]);
    (scene, Hash::of(&noise(SIZE)), Hash::of(b"small"))
}

fn read(scene: &Scene, path: &str) -> Vec<u8> {
    fs::read(scene.path(path)).unwrap()
}

/// The files below, but those of the store.
fn outside(scene: &Scene) -> Vec<(String, Vec<u8>)> {
    let mut tree = scene.tree(".");
    tree.retain(|(name, _)| !name.starts_with(".flatbao/"));
    tree
}

#[test]
fn a_copy_is_a_file_and_the_store_is_as_it_was() {
    let (scene, large, small) = scene();
    let before = scene.tree(".flatbao");
    let ran = scene.ok(["export", "large", "new/dir/a"]);
    assert_eq!(ran.out, format!("{large}  new/dir/a  293.0 KiB, copied\n"));
    assert_eq!(read(&scene, "new/dir/a"), noise(SIZE));
    let told = scene.ok(["export", &small.to_string()[..8], "b", "--json"]);
    assert_eq!(
        told.object(),
        json!({"hash": small.to_string(), "size": 5, "path": "b", "method": "copied", "in_place": false})
    );
    assert_eq!(scene.ok(["export", "small", "c", "-q"]).out, "c\n");
    assert_eq!(scene.tree(".flatbao"), before);
    // Whatever is granted, DEST is.
    scene.ok(["export", "small", "d", "--no-external"]);
    scene.ok(["export", "small", "e", "--external", "/nowhere=new"]);
    scene.ok(["export", "small", "f", "--read-only"]);
    for name in ["b", "c", "d", "e", "f"] {
        assert_eq!(read(&scene, name), b"small");
    }
}

#[test]
fn in_place_the_store_refers_to_the_file() {
    let (scene, large, small) = scene();
    let ran = scene.ok(["export", "large", "out/a", "--in-place"]);
    assert_eq!(
        ran.out,
        format!("{large}  out/a  293.0 KiB, moved, in place\n")
    );
    let told = scene.ok(["export", "small", "out/b", "--in-place", "--json"]);
    assert_eq!(
        told.object(),
        json!({"hash": small.to_string(), "size": 5, "path": "out/b", "method": "copied", "in_place": true})
    );
    assert!(!scene.data(large).exists());
    assert!(scene.data(small).exists());
    assert_eq!(scene.ok(["cat", "large"]).bytes, noise(SIZE));
    let lines = scene.ok(["ls", "--json"]).json();
    let location = |hash: Hash| {
        let line = lines.iter().find(|line| line["hash"] == hash.to_string());
        line.unwrap()["location"].clone()
    };
    assert_eq!(location(large), "external");
    assert_eq!(location(small), "both");
    // gc keeps what is tagged; without a tag the blob goes, and the file outside stays.
    scene.ok(["gc"]);
    assert_eq!(scene.ok(["cat", "large"]).bytes, noise(SIZE));
    // The file is noticed to have been changed when it is read.
    let mut changed = noise(SIZE);
    changed[77] ^= 1;
    scene.write("out/a", &changed);
    scene.run(["cat", "large"]).fails(5, &["damaged", "out/a"]);
    scene.run(["export", "large", "x"]).fails(5, &["damaged"]);
    assert!(!scene.path("x").exists());
    scene.ok(["tag", "rm", "large", "small"]);
    scene.ok(["gc"]);
    assert_eq!(read(&scene, "out/a"), changed);
    assert_eq!(read(&scene, "out/b"), b"small");
    assert_eq!(scene.ok(["ls"]).out, "");
}

#[test]
fn a_forgotten_blob_is_gone_from_the_store() {
    let (scene, large, small) = scene();
    let before = scene.tree(".flatbao");
    scene
        .run(["export", "large", "a", "--forget"])
        .fails(1, &["in use", "tag large", "flatbao tag rm"]);
    assert!(!scene.path("a").exists());
    assert_eq!(scene.tree(".flatbao"), before);
    scene.ok(["tag", "rm", "large", "small"]);
    let ran = scene.ok(["export", &large.to_string(), "a", "--forget"]);
    assert_eq!(ran.out, format!("{large}  a  293.0 KiB, moved\n"));
    scene.ok(["export", &small.to_string(), "b", "--forget"]);
    assert_eq!(read(&scene, "a"), noise(SIZE));
    assert_eq!(read(&scene, "b"), b"small");
    assert_eq!(scene.ok(["ls", "--partial"]).out, "");
    scene
        .run(["export", &large.to_string(), "c", "--forget"])
        .fails(4, &["no blob"]);
    scene
        .run(["export", "x", "c", "--forget", "--in-place"])
        .fails(2, &["--in-place"]);
}

#[test]
fn a_collection_goes_to_a_directory() {
    let scene = Scene::new();
    scene.write("src/a", noise(SIZE));
    scene.write("src/b/c/d", noise(200_000));
    scene.write("src/b/twin", noise(200_000));
    scene.write("src/empty", "");
    scene.ok(["add", "src", "--tag", "src"]);
    let hash = scene.ok(["tag", "ls", "--json"]).object()["hash"].clone();
    let hash = hash.as_str().unwrap();
    let ran = scene.ok(["export", "src", "deep/copy"]);
    assert_eq!(ran.out, format!("{hash}  deep/copy  4 files, 683.6 KiB\n"));
    assert_eq!(scene.tree("deep/copy"), scene.tree("src"));
    scene
        .run(["export", "src", "deep/copy"])
        .fails(1, &["not empty", "--force"]);
    scene.ok(["export", "src", "deep/copy", "--force"]);
    let lines = scene
        .ok(["export", "src", "out", "--in-place", "--json"])
        .json();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0]["path"], "out/a");
    assert_eq!(lines[0]["method"], "moved");
    assert_eq!(lines[1]["path"], "out/b/c/d");
    assert_eq!(
        lines[4],
        json!({"hash": hash, "size": SIZE + 400_000, "path": "out", "in_place": true, "files": 4})
    );
    assert_eq!(scene.tree("out"), scene.tree("src"));
    assert_eq!(scene.ok(["cat", "src/b/c/d"]).bytes, noise(200_000));
    scene.ok(["gc"]);
    scene.ok(["get", "src", "again"]);
    assert_eq!(scene.tree("again"), scene.tree("src"));
    let ran = scene.ok(["export", "src", "told", "-v"]);
    assert_eq!(ran.out.lines().count(), 5);
    // A single file of it.
    scene.ok(["export", "src/b/twin", "one"]);
    assert_eq!(read(&scene, "one"), noise(200_000));
    // A tag on the collection keeps all of it; without one all of it goes, its names too.
    scene
        .run(["export", "src", "gone", "--forget"])
        .fails(1, &["in use", "tag src"]);
    assert!(!scene.path("gone").exists());
    scene.ok(["tag", "rm", "src"]);
    scene.ok(["export", hash, "gone", "--forget"]);
    assert_eq!(scene.tree("gone"), scene.tree("src"));
    assert_eq!(scene.ok(["ls"]).out, "");
    assert_eq!(scene.tree("out"), scene.tree("src"));
}

#[test]
fn a_part_is_better_than_nothing() {
    let scene = Scene::new();
    scene.write("src/bad", noise(40_000));
    scene.write("src/gone", "gone");
    scene.write("src/good", "good");
    scene.ok(["add", "src", "--tag", "src"]);
    scene.write("out/good", "mine");
    let ran = scene.run(["export", "src", "part", "--in-place"]);
    ran.fails(0, &[]);
    fs::remove_file(scene.data(Hash::of(b"gone"))).unwrap();
    fs::remove_file(scene.path("part/gone")).unwrap();
    let ran = scene.run(["export", "src", "one"]);
    ran.fails(3, &["cannot be read"]);
    assert!(ran.out.contains("2 files") && ran.out.contains("1 not exported"));
    scene.damage(Hash::of(&noise(40_000)), 0);
    fs::remove_file(scene.path("part/bad")).unwrap();
    scene.run(["export", "src", "two"]).fails(5, &["damaged"]);
    let names: Vec<_> = scene
        .tree("two")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["good"]);
}

#[test]
fn names_that_lead_out_export_nothing() {
    let scene = Scene::new();
    for name in ["../x", "/tmp/flatbao-escape", "a/../../x"] {
        scene.collection("evil", &[("0-first", b"harmless"), (name, b"evil")]);
        let before = scene.tree(".");
        scene
            .run(["export", "evil", "out", "--native-names", "--force"])
            .fails(1, &["the collection has the name"]);
        assert_eq!(scene.tree("."), before);
    }
    scene.collection("odd", &[("a:b", b"odd")]);
    scene
        .run(["export", "odd", "out"])
        .fails(1, &["--native-names"]);
    #[cfg(unix)]
    scene.ok(["export", "odd", "out", "--native-names"]);
}

/// BI-078.
#[test]
fn odd_targets_are_refused() {
    let (scene, large, _) = scene();
    scene.write("old", "old");
    scene.write("dir/kept", "kept");
    let before = (outside(&scene), scene.tree(".flatbao"));
    for in_place in [false, true] {
        let run = |dest: &str, force: bool| {
            let mut args = vec!["export", "large", dest];
            args.extend(in_place.then_some("--in-place"));
            args.extend(force.then_some("--force"));
            scene.run(args)
        };
        run("old", false).fails(1, &["old exists already", "--force"]);
        for force in [false, true] {
            run("dir", force).fails(1, &["dir is a directory", "a file in it"]);
            run(".flatbao/x", force).fails(1, &["inside"]);
            run(".flatbao/new/x", force).fails(1, &["inside"]);
            run("old/x", force).fails(1, &["old/x"]);
            run("..", force).fails(2, &["names no file"]);
            run("-", force).fails(2, &["flatbao cat"]);
            run("", force).fails(2, &["DEST"]);
        }
        #[cfg(unix)]
        for (link, target) in [("link", "old"), ("dangling", "nothing"), ("loop", "dir")] {
            let at = scene.path(link);
            std::os::unix::fs::symlink(target, &at).unwrap();
            for force in [false, true] {
                run(link, force).fails(1, &["symbolic link"]);
            }
            fs::remove_file(at).unwrap();
        }
        assert_eq!((outside(&scene), scene.tree(".flatbao")), before);
    }
    let told = scene.run(["export", "large", "old", "--json"]).object();
    assert_eq!(told["error"], "target_exists");
    #[cfg(unix)]
    {
        // A link among the parents is where the user wrote it, and is followed to what it is.
        std::os::unix::fs::symlink("dir", scene.path("by-link")).unwrap();
        scene.ok(["export", "large", "by-link/new/x", "--in-place"]);
        assert_eq!(read(&scene, "dir/new/x"), noise(SIZE));
        let list = fs::read(scene.path(format!(".flatbao/{large}.paths"))).unwrap();
        assert!(String::from_utf8_lossy(&list).contains("/dir/new/x"));
        assert_eq!(scene.ok(["cat", "large"]).bytes, noise(SIZE));
        scene
            .run(["export", "small", ".flatbao/../.flatbao/y"])
            .fails(1, &["inside"]);
    }
    scene.ok(["export", "large", "old", "--force", "--in-place"]);
    assert_eq!(read(&scene, "old"), noise(SIZE));
}

#[test]
fn what_cannot_be_found_or_written_is_told() {
    let (scene, _, _) = scene();
    let run = |args: &[&str]| scene.run(args);
    run(&["export", "nope", "out"]).fails(4, &["nope"]);
    run(&["export", &"0".repeat(64), "out"]).fails(4, &["no blob"]);
    run(&["export", "small", "out", "--store", "elsewhere"]).fails(4, &["no store"]);
    run(&["export", "small"]).fails(2, &["DEST"]);
    run(&["export", "small", "out", "--in-place", "--read-only"])
        .fails(1, &["export", "--read-only"]);
    // Two blobs whose hashes begin alike.
    let mut seen = std::collections::BTreeMap::new();
    let (one, two) = (0_u32..)
        .find_map(|n| {
            let bytes = n.to_le_bytes();
            let prefix = Hash::of(&bytes).to_string()[..4].to_owned();
            seen.insert(prefix, bytes).map(|other| (other, bytes))
        })
        .unwrap();
    let (one, _) = (scene.blob(&one), scene.blob(&two));
    run(&["export", &one.to_string()[..4], "out"]).fails(2, &["more than one hash"]);
    assert!(!scene.path("out").exists());
}

/// A device that is always full, and a directory that may not be written (root may write anywhere).
#[cfg(unix)]
#[test]
fn an_unwritable_target_is_told() {
    let (scene, large, _) = scene();
    for extra in [&[][..], &["--in-place"]] {
        let args = ["export", "large", "/proc/flatbao-export"]
            .iter()
            .chain(extra);
        scene.run(args).fails(1, &["/proc/flatbao-export"]);
    }
    assert!(scene.data(large).exists());
    if !rustix::process::geteuid().is_root() {
        use std::os::unix::fs::PermissionsExt;
        scene.write("locked/x", "");
        let mode = |mode| fs::Permissions::from_mode(mode);
        fs::set_permissions(scene.path("locked"), mode(0o555)).unwrap();
        let ran = scene.run(["export", "large", "locked/y", "--in-place"]);
        ran.fails(1, &["locked/y"]);
        fs::set_permissions(scene.path("locked"), mode(0o755)).unwrap();
        assert!(scene.data(large).exists());
    }
}

/// Another file system: the bytes are copied, and leave the store all the same.
#[cfg(target_os = "linux")]
#[test]
fn across_devices_it_copies() {
    use std::os::unix::fs::MetadataExt;
    let (scene, large, _) = scene();
    let Ok(far) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    let method = if device(far.path()) == device(&scene.path(".")) {
        "moved"
    } else {
        "copied"
    };
    let path = far.path().join("deep/file");
    let args = [
        "export",
        "large",
        path.to_str().unwrap(),
        "--in-place",
        "--json",
    ];
    assert_eq!(scene.ok(args).object()["method"], method);
    assert_eq!(fs::read(&path).unwrap(), noise(SIZE));
    assert!(!scene.data(large).exists());
    assert_eq!(scene.ok(["cat", "large"]).bytes, noise(SIZE));
}

#[test]
fn a_locked_store_is_copied_from_only() {
    let (scene, large, _) = scene();
    let lock = fs::File::open(scene.path(".flatbao/lock")).unwrap();
    lock.lock().unwrap();
    scene.ok(["export", "large", "copy"]);
    for option in ["--in-place", "--forget"] {
        scene
            .run(["export", "large", "out", option])
            .fails(6, &["in use by another process"]);
        assert!(!scene.path("out").exists());
    }
    drop(lock);
    scene.ok(["export", "large", "out", "--in-place"]);
    assert!(!scene.data(large).exists());
}

/// A store on a medium that cannot be written, as another program left it.
#[cfg(unix)]
#[test]
fn a_store_that_cannot_be_written_is_copied_from() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new();
    fixture("golden", &scene.path("peer"));
    let store = "--store=peer";
    let hash = scene.run(["ls", "--json", store]).json()[0]["hash"].clone();
    for entry in walkdir::WalkDir::new(scene.path("peer")) {
        let entry = entry.unwrap();
        let mode = if entry.file_type().is_dir() {
            0o555
        } else {
            0o444
        };
        fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode)).unwrap();
    }
    let before = scene.tree("peer");
    let hash = hash.as_str().unwrap();
    let ran = scene.run(["export", hash, "out", "--read-only", store]);
    ran.fails(0, &[]);
    assert_eq!(Hash::of(&read(&scene, "out")).to_string(), hash);
    assert_eq!(scene.tree("peer"), before);
    for entry in walkdir::WalkDir::new(scene.path("peer")) {
        let entry = entry.unwrap();
        fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o755)).unwrap();
    }
}
