//! Options for platforms without locks or syncing.
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, path::PathBuf, process::Command};

use common::{Scene, commands, help, noise};
use flatbao_core::{Hash, Store};
use flatbao_fs::{FsBackend, open_ambient, system_env};

/// A store with one tagged blob and one that nothing reaches, and two files.
fn scene() -> (Scene, Hash) {
    let scene = Scene::new();
    scene.write("kept", noise(20_000));
    scene.write("more", "more");
    scene.ok(["add", "kept", "--tag", "kept"]);
    let loose = scene.blob(b"loose");
    (scene, loose)
}

/// Holds the lock.
fn writer(scene: &Scene) -> Store<FsBackend> {
    let backend = open_ambient(scene.path(".flatbao")).unwrap();
    Store::open(backend, system_env()).unwrap().0
}

/// A file that an interrupted command has left over.
fn leftover(scene: &Scene) -> PathBuf {
    let name = "0123456789abcdef0123456789abcdef.temp";
    scene.write(&format!(".flatbao/{name}"), "half")
}

#[test]
fn without_a_lock_everything_is_kept() {
    let (scene, loose) = scene();
    let _writer = writer(&scene);
    let left = leftover(&scene);
    scene.run(["add", "more"]).fails(6, &["another process"]);
    scene.ok(["--locking", "none", "add", "more", "--tag", "more"]);
    scene.ok(["tag", "set", "again", "more", "--locking", "none"]);
    assert_eq!(scene.ok(["cat", "again"]).out, "more");
    let loose = loose.to_string();
    let before = scene.tree(".flatbao");
    for args in [
        &["gc"][..],
        &["rm", &loose],
        &["rm", &loose, "--force"],
        &["repair"],
        &["export", &loose, "out", "--forget"],
    ] {
        let args = [args, &["--locking", "none"]].concat();
        scene.run(&args).fails(
            1,
            &["error: ", "needs the store's lock", "hint: ", "--locking"],
        );
        let told = scene.run([&args[..], &["--json"]].concat());
        assert_eq!((told.code, told.err.as_str()), (1, ""));
        assert_eq!(told.object()["error"], "not_locked", "{args:?}");
    }
    assert_eq!(scene.tree(".flatbao"), before);
    assert!(left.exists() && !scene.path("out").exists());
    // Given away, but not taken away.
    let large = scene.write("large", noise(200_000));
    scene.ok(["add", "large", "--tag", "large", "--locking", "none"]);
    fs::remove_file(&large).unwrap();
    let args = ["export", "large", "large", "--in-place"];
    let ran = scene.ok([&args[..], &["--locking", "none"]].concat());
    assert!(ran.out.contains("copied, in place"), "{}", ran.out);
    assert!(scene.data(Hash::of(&noise(200_000))).exists());
}

#[test]
fn a_held_lock_is_as_good_as_an_own_one() {
    let (scene, loose) = scene();
    let writer = writer(&scene);
    let left = leftover(&scene);
    scene.run(["gc"]).fails(6, &["another process"]);
    let ran = scene.ok(["gc", "--locking", "held"]);
    assert!(ran.out.contains("removed 1 blob"), "{}", ran.out);
    assert!(!left.exists() && !scene.data(loose).exists());
    scene.ok(["add", "more", "--no-tag", "-q", "--locking", "held"]);
    let more = Hash::of(b"more").to_string();
    scene.ok(["rm", &more, "--locking", "held"]);
    scene.ok(["repair", "--locking", "held"]);
    drop(writer);
    scene.ok(["gc", "--locking", "own"]);
}

#[test]
fn readers_do_not_care() {
    let (scene, _) = scene();
    let _writer = writer(&scene);
    let before = scene.tree(".flatbao");
    for args in [
        &["ls"][..],
        &["cat", "kept"],
        &["stat", "kept"],
        &["du"],
        &["verify"],
        &["doctor"],
        &["tag", "ls"],
        &["get", "kept", "out", "--force"],
        &["export", "kept", "out", "--force"],
        &["gc", "--dry-run"],
        &["repair", "--dry-run"],
    ] {
        let plain = scene.ok(args).bytes;
        for more in [
            ["--locking", "none"],
            ["--locking", "held"],
            ["--durability", "atomic"],
        ] {
            assert_eq!(scene.ok([args, &more].concat()).bytes, plain, "{args:?}");
        }
    }
    assert_eq!(scene.tree(".flatbao"), before);
}

#[test]
fn a_store_is_made_without_syncing() {
    let scene = Scene::new();
    scene.write("a", noise(20_000));
    let atomic = ["--durability", "atomic", "--store", "deep/store"];
    let with = |args: &[&str]| scene.ok([&atomic, args].concat());
    with(&["add", "a", "--tag", "a"]);
    with(&["copy", "a", "--to", "deep/other"]);
    with(&["export", "a", "moved", "--in-place"]);
    with(&["gc"]);
    assert_eq!(with(&["cat", "a"]).bytes, noise(20_000));
    let other = scene.ok(["--store", "deep/other", "cat", "a"]);
    assert_eq!(other.bytes, noise(20_000));
}

#[cfg(target_os = "linux")]
#[test]
fn atomic_syncs_nothing() {
    let scene = Scene::new();
    scene.write("a", noise(20_000));
    let traced = |how: &str| {
        let flatbao = scene.command();
        let mut command = Command::new("strace");
        command
            .args(["-f", "-qq", "-e", "trace=fsync,fdatasync,syncfs,sync"])
            .arg(flatbao.get_program())
            .args(["add", "a", "--store", how, "--durability", how])
            .current_dir(scene.path("."));
        match command.output() {
            Ok(output) if !String::from_utf8_lossy(&output.stderr).contains("ptrace") => {
                assert!(output.status.success(), "{output:?}");
                Some(String::from_utf8_lossy(&output.stderr).contains("sync("))
            }
            _ => None,
        }
    };
    let Some(is_synced) = traced("durable") else {
        println!("SKIPPED: this needs strace, and the right to trace");
        return;
    };
    assert!(is_synced);
    assert_eq!(traced("atomic"), Some(false));
}

#[test]
fn the_help_of_every_command_tells_of_them_last() {
    for command in commands() {
        let help = help(&command);
        // However it is broken into lines.
        let words: Vec<&str> = help.split_whitespace().collect();
        let help = words.join(" ");
        let (before, after) = help.split_once("--locking <WHO>").unwrap();
        assert!(before.contains("--no-external"), "{command}");
        let values = ["own, held, none", "--durability <HOW>", "durable, atomic"];
        for text in values {
            assert!(after.contains(text), "{command} {text}");
        }
    }
    let scene = Scene::new();
    let ran = scene.run(["ls", "--locking", "maybe"]);
    ran.fails(2, &["own, held, none"]);
}
