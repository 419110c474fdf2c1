//! Every subcommand in every situation: one line of [`ROWS`] is all that a new one needs.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use common::{Ran, Scene, commands, help, noise, ran};
use flatbao_core::{Hash, Store};
use flatbao_fs::{open_ambient, system_env};
use serde_json::Value;

/// What a subcommand does with the store.
#[derive(Clone, Copy, PartialEq)]
enum Needs {
    /// Reads it, without a lock.
    Reading,
    /// Writes to one that is there.
    Writing,
    /// Writes to it, and makes it where there is none.
    Filling,
    Nothing,
}

use Needs::{Filling, Nothing, Reading, Writing};

/// A call that succeeds in [`scene`].
struct Row {
    name: &'static str,
    /// `REF` stands for a blob, by its hash.
    args: &'static str,
    needs: Needs,
    /// Is in what it prints for people.
    shows: &'static str,
    /// Whether it prints bytes, which are the same with `--json`.
    is_bytes: bool,
    /// A call that writes to `TARGET`, outside the store.
    target: Option<&'static str>,
}

impl Row {
    const fn new(
        name: &'static str,
        args: &'static str,
        needs: Needs,
        shows: &'static str,
    ) -> Self {
        Self {
            name,
            args,
            needs,
            shows,
            is_bytes: false,
            target: None,
        }
    }

    const fn bytes(self) -> Self {
        Self {
            is_bytes: true,
            ..self
        }
    }

    const fn target(self, args: &'static str) -> Self {
        Self {
            target: Some(args),
            ..self
        }
    }

    fn names_a_blob(&self) -> bool {
        self.args.split(' ').any(|arg| arg == "REF")
    }

    fn writes(&self) -> bool {
        matches!(self.needs, Writing | Filling)
    }
}

/// A command may have several rows.
const ROWS: &[Row] = &[
    Row::new("init", "init", Filling, "is a store already"),
    Row::new("add", "add dir --tag new", Filling, "tag new"),
    Row::new("add", "add file --in-place", Filling, "tag auto-"),
    Row::new("get", "get REF out", Reading, "19.5 KiB").target("get REF TARGET"),
    Row::new("export", "export REF out", Reading, "19.5 KiB").target("export REF TARGET"),
    Row::new(
        "export",
        "export REF moved --in-place --force",
        Writing,
        "19.5 KiB",
    ),
    Row::new("cat", "cat REF", Reading, "").bytes(),
    Row::new("slice", "slice REF", Reading, "").bytes(),
    Row::new(
        "slice",
        "slice REF 0..5 -o out",
        Reading,
        "16.0 KiB of 19.5 KiB",
    )
    .target("slice REF -o TARGET"),
    Row::new("receive", "receive SENT stream", Filling, "complete  8 B"),
    Row::new(
        "receive",
        "receive SENT stream --tag got",
        Filling,
        "tag got",
    ),
    Row::new("copy", "copy REF --to other", Reading, "19.5 KiB moved")
        .target("copy REF --to TARGET"),
    Row::new("ls", "ls", Reading, "19.5 KiB  complete  owned"),
    Row::new("ls", "ls REF --long", Reading, "20000  complete  owned"),
    Row::new("ls", "ls --tags", Reading, "raw      x"),
    Row::new("stat", "stat REF", Reading, "state     complete"),
    Row::new("du", "du", Reading, "reclaimable     19.6 KiB"),
    Row::new("du", "du --long REF", Reading, "20000"),
    Row::new("tag set", "tag set y REF", Writing, "raw      y"),
    Row::new("tag set", "tag set x REF", Writing, "raw      x (was "),
    Row::new("tag rm", "tag rm x", Writing, "removed x"),
    Row::new("tag ls", "tag ls", Reading, "raw      x"),
    Row::new("rm", "rm REF", Writing, "19.6 KiB freed"),
    Row::new("gc", "gc", Writing, "removed 1 blob"),
    Row::new("gc", "gc --dry-run", Reading, "would remove 1 blob"),
    Row::new("verify", "verify", Reading, "nothing is wrong"),
    Row::new("verify", "verify REF --quick", Reading, "  19.5 KiB"),
    Row::new("repair", "repair", Writing, "mended 0, left 0"),
    Row::new("repair", "repair REF", Writing, "mended 0, left 0"),
    Row::new("repair", "repair --dry-run", Reading, "would mend 0"),
    Row::new("doctor", "doctor", Reading, "nothing is odd about it"),
    Row::new("hash", "hash file", Nothing, "  file"),
    Row::new("completions", "completions bash", Nothing, "complete -F").bytes(),
    Row::new("man", "man pages", Nothing, "pages/flatbao-tag-set.1").target("man TARGET"),
];

/// Bytes of the blob that the file `stream` is of.
const SENT: &[u8] = b"received";

/// Bytes of the blob that `REF` means. No tag reaches it.
fn blob() -> Vec<u8> {
    noise(20_000)
}

/// Some files, and a store with a tag `x` and two blobs.
fn scene() -> Scene {
    let scene = files();
    scene.write("tagged", "what x names");
    scene.ok(["add", "tagged", "--tag", "x"]);
    scene.blob(&blob());
    scene
}

fn files() -> Scene {
    let scene = Scene::new();
    scene.write("file", noise(30_000));
    scene.write("dir/a", "a");
    // Of a blob of one chunk: its size, its bytes.
    let size = (SENT.len() as u64).to_le_bytes();
    scene.write("stream", [&size[..], SENT].concat());
    scene
}

/// The arguments, with these words in the place of those.
fn fill(args: &str, words: &[(&str, &str)]) -> Vec<String> {
    let word = |arg: &str| {
        let found = words.iter().find(|(name, _)| *name == arg);
        found.map_or(arg, |(_, word)| word).to_owned()
    };
    args.split(' ').map(word).collect()
}

fn args(row: &Row) -> Vec<String> {
    let hash = Hash::of(&blob()).to_string();
    let sent = Hash::of(SENT).to_string();
    fill(row.args, &[("REF", &hash), ("SENT", &sent)])
}

fn with(args: &[String], more: &[&str]) -> Vec<String> {
    let more = more.iter().map(|arg| (*arg).to_owned());
    args.iter().cloned().chain(more).collect()
}

/// Fails with this code: in words with a hint on stderr, and as one object.
#[track_caller]
fn refuses(scene: &Scene, args: &[String], code: i32, kind: &str) {
    let ran = scene.run(args);
    ran.fails(code, &["error: ", "hint: "]);
    assert_eq!(ran.out, "", "{args:?}");
    let ran = scene.run(with(args, &["--json"]));
    assert_eq!((ran.code, ran.err.as_str()), (code, ""), "{args:?}");
    let object = ran.object();
    assert_eq!(object["error"], kind, "{args:?} {object}");
    assert!(object["hint"].is_string(), "{args:?} {object}");
}

#[track_caller]
fn succeeds(ran: &Ran, args: &[String]) {
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (0, ""),
        "{args:?} {}",
        ran.out
    );
}

#[test]
fn every_command_has_a_row() {
    let all = commands();
    let is_group = |name: &str| {
        all.iter()
            .any(|other| other.starts_with(&format!("{name} ")))
    };
    let known: BTreeSet<&str> = all.iter().map(String::as_str).collect();
    let known: BTreeSet<&str> = known.into_iter().filter(|name| !is_group(name)).collect();
    let rows: BTreeSet<&str> = ROWS.iter().map(|row| row.name).collect();
    assert_eq!(rows, known);
    for row in ROWS {
        assert!(row.args.starts_with(row.name), "{}", row.args);
    }
}

#[test]
fn people_get_lines() {
    for row in ROWS {
        let scene = scene();
        let args = args(row);
        let ran = scene.ok(&args);
        assert!(ran.out.contains(row.shows), "{args:?} {}", ran.out);
        assert!(!ran.out.is_empty(), "{args:?}");
        if !row.is_bytes {
            assert!(!ran.out.contains(['\x1b', '{']), "{args:?}");
            assert!(ran.out.ends_with('\n'), "{args:?}");
        }
    }
}

/// Every line is one object, and every key of it is in the help.
#[test]
fn programs_get_objects() {
    for row in ROWS {
        let args = args(row);
        let ran = scene().ok(with(&args, &["--json"]));
        if row.is_bytes {
            assert_eq!(ran.bytes, scene().ok(&args).bytes, "{args:?}");
            continue;
        }
        let help = help(row.name);
        let (_, told) = help.split_once("JSON keys: ").unwrap();
        let is_letter = |c: char| c.is_ascii_lowercase() || c == '_';
        let told: BTreeSet<&str> = told.split(|c| !is_letter(c)).collect();
        let objects = ran.json();
        assert!(!objects.is_empty(), "{args:?}");
        for object in objects {
            assert!(object.is_object(), "{args:?} {object}");
            let mut keys = BTreeSet::new();
            keys_of(&object, &mut keys);
            for key in keys {
                assert!(told.contains(key.as_str()), "{}: {key}", row.name);
            }
        }
    }
}

fn keys_of(value: &Value, keys: &mut BTreeSet<String>) {
    if let Some(object) = value.as_object() {
        for (key, value) in object {
            keys.insert(key.clone());
            keys_of(value, keys);
        }
    }
    for value in value.as_array().into_iter().flatten() {
        keys_of(value, keys);
    }
}

#[test]
fn without_a_store() {
    for row in ROWS {
        let scene = files();
        let args = args(row);
        match row.needs {
            Reading | Writing => {
                refuses(&scene, &args, 4, "no_store");
                assert!(!scene.path(".flatbao").exists(), "{args:?}");
            }
            Filling | Nothing => {
                succeeds(&scene.run(&args), &args);
                let is_made = scene.path(".flatbao").exists();
                assert_eq!(is_made, row.needs == Filling, "{args:?}");
            }
        }
    }
}

#[test]
fn without_the_blob() {
    let scene = scene();
    let nowhere = Hash::of(b"not there").to_string();
    for row in ROWS.iter().filter(|row| row.names_a_blob()) {
        // `ls` lists a blob that is not there as missing: what it lists may be the entries of a sequence.
        if row.name != "ls" {
            refuses(
                &scene,
                &fill(row.args, &[("REF", &nowhere)]),
                4,
                "not_found",
            );
        }
        refuses(
            &scene,
            &fill(row.args, &[("REF", "nobody")]),
            4,
            "not_found",
        );
    }
}

#[test]
fn with_a_prefix_of_several_hashes() {
    let scene = scene();
    for last in ["0", "1"] {
        scene.write(&format!(".flatbao/abcd{}{last}.data", "0".repeat(59)), "");
    }
    for row in ROWS.iter().filter(|row| row.names_a_blob()) {
        refuses(&scene, &fill(row.args, &[("REF", "abcd")]), 2, "ambiguous");
    }
}

/// Below a file nothing can be made, whoever asks.
#[test]
fn with_a_target_that_cannot_be_written() {
    let scene = scene();
    let hash = Hash::of(&blob()).to_string();
    let before = scene.tree(".");
    for row in ROWS {
        let Some(target) = row.target else { continue };
        let args = fill(target, &[("REF", &hash), ("TARGET", "file/below")]);
        let ran = scene.run(&args);
        ran.fails(1, &["error: ", "file"]);
        let told = scene.run(with(&args, &["--json"]));
        assert_eq!((told.code, told.err.as_str()), (1, ""));
        assert!(told.object()["error"].is_string());
    }
    assert_eq!(scene.tree("."), before);
}

#[cfg(target_os = "linux")]
#[test]
fn with_an_output_that_cannot_be_written() {
    for row in ROWS {
        let scene = scene();
        let full = fs::OpenOptions::new().write(true).open("/dev/full");
        let mut command = scene.command();
        command.args(args(row)).stdout(full.unwrap());
        let ran = ran(command.stderr(Stdio::piped()).output().unwrap());
        ran.fails(1, &["cannot write the output"]);
    }
}

#[test]
fn beside_a_writer() {
    for row in ROWS {
        let scene = scene();
        let backend = open_ambient(scene.path(".flatbao")).unwrap();
        let (store, _) = Store::open(backend, system_env()).unwrap();
        let args = args(row);
        if row.writes() {
            refuses(&scene, &args, 6, "busy");
        } else {
            succeeds(&scene.run(&args), &args);
        }
        drop(store);
    }
}

#[test]
fn with_read_only() {
    for row in ROWS {
        let scene = scene();
        let args = with(&args(row), &["--read-only"]);
        if row.writes() {
            refuses(&scene, &args, 1, "read_only");
        } else {
            succeeds(&scene.run(&args), &args);
        }
    }
}

#[test]
fn on_a_read_only_medium() {
    for row in ROWS {
        let scene = scene();
        let Some(medium) = Medium::of(&scene, "1m") else {
            return;
        };
        let before = scene.tree("medium");
        medium.remount("ro");
        let args = with(&args(row), &["--store", "medium/store"]);
        if row.writes() {
            let ran = scene.run(&args);
            ran.fails(1, &["error: ", "hint: ", "ead-only file system"]);
            let ran = scene.run(with(&args, &["--json"]));
            assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{args:?}");
            assert_eq!(ran.object()["error"], "io", "{args:?}");
        } else {
            succeeds(&scene.run(&args), &args);
        }
        assert_eq!(scene.tree("medium"), before, "{args:?}");
    }
}

/// Whatever had no room leaves what was there as it was.
#[test]
fn on_a_full_disk() {
    let scene = scene();
    let big = Row::new("add", "add file --no-tag", Filling, "");
    let hash = Hash::of(&blob()).to_string();
    let mut failed = BTreeSet::new();
    for row in ROWS.iter().chain([&big]).filter(|row| row.writes()) {
        let Some(medium) = Medium::of(&scene, "256k") else {
            return;
        };
        let before = medium.store();
        let filler = medium.fill();
        let args = with(&args(row), &["--store", "medium/store"]);
        let ran = scene.run(&args);
        if ran.code == 0 {
            continue;
        }
        failed.insert(row.name);
        ran.fails(1, &["error: ", "No space left on device"]);
        assert_eq!(ran.out, "", "{args:?}");
        // The next one who opens it for writing clears away what the failure left.
        let init = scene.run(["init", "--store", "medium/store"]);
        init.fails(0, &[]);
        assert_eq!(medium.store(), before, "{args:?}");
        let reads = scene.ok(["cat", &hash, "--store", "medium/store"]);
        assert_eq!(reads.bytes, blob());
        // With room again it does what it could not do.
        fs::remove_file(filler).unwrap();
        succeeds(&scene.run(&args), &args);
    }
    assert!(failed.is_superset(&["add", "tag rm", "tag set"].into()));
}

#[test]
fn with_a_target_on_a_full_disk() {
    let scene = scene();
    let hash = Hash::of(&blob()).to_string();
    for row in ROWS {
        let Some(target) = row.target else { continue };
        let Some(medium) = Medium::of(&scene, "256k") else {
            return;
        };
        medium.fill();
        let before = scene.tree("medium");
        let args = fill(target, &[("REF", &hash), ("TARGET", "medium/out")]);
        let ran = scene.run(&args);
        ran.fails(1, &["error: ", "No space left on device"]);
        // A file that is not whole is not left under its name.
        let left = scene.tree("medium");
        let left: Vec<_> = left.iter().filter(|file| !before.contains(file)).collect();
        assert!(
            left.iter()
                .all(|(name, bytes)| name.ends_with('/') || bytes.is_empty()),
            "{args:?}"
        );
    }
}

/// A small file system of its own with a copy of the scene's store, taken away at the end.
struct Medium {
    root: PathBuf,
}

impl Medium {
    /// `None`, and said so, where nothing can be mounted.
    fn of(scene: &Scene, size: &str) -> Option<Self> {
        let root = scene.path("medium");
        fs::create_dir_all(&root).unwrap();
        let options = format!("size={size}");
        let mount = ["-t", "tmpfs", "-o", &options, "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(&root).output();
        if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
            println!("SKIPPED: this needs the right to mount a tmpfs: {mounted:?}");
            return None;
        }
        let medium = Self { root };
        common::copy(&scene.path(".flatbao"), &medium.root.join("store"));
        Some(medium)
    }

    fn remount(&self, option: &str) {
        let option = format!("remount,{option}");
        let mut command = Command::new("mount");
        let status = command.args(["-o", &option]).arg(&self.root).status();
        assert!(status.unwrap().success());
    }

    /// Leaves no room, and returns the file that takes it.
    fn fill(&self) -> PathBuf {
        use std::io::Write;
        let path = self.root.join("filler");
        let mut file = fs::File::create(&path).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        path
    }

    /// The store's files.
    fn store(&self) -> Vec<(String, Vec<u8>)> {
        let read = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        };
        let entries = fs::read_dir(self.root.join("store")).unwrap();
        let mut files: Vec<_> = entries.map(|entry| read(entry.unwrap())).collect();
        files.sort();
        files
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        // At once: a process that another test has just forked may still have a file of it open.
        let mut command = Command::new("umount");
        let unmounted = command.arg("-l").arg(&self.root).status();
        let is_gone = unmounted.is_ok_and(|status| status.success());
        if !is_gone && !std::thread::panicking() {
            println!("{} is still mounted", self.root.display());
        }
    }
}
