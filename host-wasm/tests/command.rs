//! `flatbao-sandbox`, with the real module, and with guests that try more than they may.
//!
//! That it is the same command is tested by the tests of the command, which run against it as well. Here is what only a
//! sandbox promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use flatbao_core::{Backend as _, Hash};
use tempfile::TempDir;

mod common;
use common::*;

/// A directory to play in, with its store at `./.flatbao`.
struct Scene {
    root: TempDir,
}

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { root }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flatbao-sandbox"));
        command
            .args(line.split_whitespace())
            .current_dir(self.root.path())
            .env("FLATBAO_MODULE", module())
            .env_remove("FLATBAO_STORE")
            .env_remove("FLATBAO_SANDBOX_MEMORY")
            .env_remove("FLATBAO_SANDBOX_SECONDS")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Ran {
        ran(self.command(line).output().unwrap())
    }

    fn ok(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}: {}", ran.out);
        ran.out
    }

    /// Runs a guest in place of the command, which is granted what these arguments need. Its checks all hold.
    fn hostile(&self, line: &str, guest: &Guest) {
        let code = wat::parse_str(guest.source()).unwrap();
        let module = self.root.path().parent().unwrap().join(format!(
            "{}.wasm",
            self.root.path().file_name().unwrap().display()
        ));
        fs::write(&module, code).unwrap();
        let ran = ran(self
            .command(line)
            .env("FLATBAO_MODULE", &module)
            .output()
            .unwrap());
        fs::remove_file(module).unwrap();
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}");
    }

    /// Every file below, with its bytes.
    fn tree(&self, path: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let root = self.path(path);
        let entries = walkdir::WalkDir::new(&root).into_iter().map(Result::unwrap);
        let files = entries.filter(|entry| !entry.file_type().is_dir());
        let named = files.map(|file| {
            let name = file.path().strip_prefix(&root).unwrap().to_owned();
            (name, fs::read(file.path()).unwrap_or_default())
        });
        named.collect()
    }

    fn is_free(&self, store: &str) -> bool {
        let backend = flatbao_fs::open_ambient(self.path(store)).unwrap();
        backend.lock().is_ok()
    }
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The real one. Without it there is nothing to test, and that is no success.
fn module() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_flatbao-sandbox")).parent();
    let built = built.unwrap().join("../wasm/flatbao-assisted.wasm");
    let module = std::env::var_os("FLATBAO_MODULE").map_or(built, PathBuf::from);
    let why = "is not there: `cargo xtask wasm` makes it";
    assert!(module.is_file(), "{} {why}", module.display());
    module
}

fn noise(len: usize) -> Vec<u8> {
    let mut stream = blake3::Hasher::new().finalize_xof();
    let mut bytes = vec![0; len];
    stream.fill(&mut bytes);
    bytes
}

/// PD-32.
#[test]
fn from_adding_to_removing() {
    let scene = Scene::new();
    scene.write("tree/deep/a", noise(200_000));
    scene.write("tree/b", "b");
    let out = scene.ok("add tree --tag tree");
    assert!(out.contains("2 files, 195.3 KiB"), "{out}");
    scene.ok("add tree/deep/a --tag a");
    let a = Hash::of(&noise(200_000));
    assert!(scene.ok("ls").contains(&a.to_string()));
    let cat = scene.command("cat tree/deep/a").output().unwrap();
    assert_eq!((cat.status.code(), cat.stdout), (Some(0), noise(200_000)));
    scene.ok("get tree out");
    assert_eq!(scene.tree("out"), scene.tree("tree"));
    scene.ok("get a");
    scene.ok("export a new/dir/a");
    for path in ["a", "new/dir/a"] {
        assert_eq!(fs::read(scene.path(path)).unwrap(), noise(200_000));
    }
    scene.ok("slice a -o slice");
    scene.ok(&format!("-s deep/other receive {a} slice --tag b"));
    scene.ok("copy tree --to third/store");
    assert_eq!(scene.ok("-s third/store tag ls").lines().count(), 1);
    scene.ok("verify");
    let data = format!(".flatbao/{a}.data");
    let mut damaged = noise(200_000);
    damaged[100_000] ^= 1;
    scene.write(&data, damaged);
    assert_eq!(scene.run("verify").code, 5);
    assert_eq!(scene.run("repair").code, 3);
    scene.ok("add tree/deep/a --no-tag");
    scene.ok("verify");
    scene.ok("tag rm a tree");
    scene.ok("gc");
    assert_eq!(scene.ok("ls"), "");
    assert!(scene.is_free(".flatbao"));
}

#[test]
fn streams_go_through() {
    let scene = Scene::new();
    let mut adding = scene.command("add - --tag x");
    let adding = adding.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut adding = adding.spawn().unwrap();
    let big = noise(8 << 20);
    adding.stdin.take().unwrap().write_all(&big).unwrap();
    assert!(adding.wait_with_output().unwrap().status.success());
    // A reader that has seen enough.
    let mut cat = scene.command("cat x");
    let mut cat = cat
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut head = vec![0; 1000];
    let mut stdout = cat.stdout.take().unwrap();
    stdout.read_exact(&mut head).unwrap();
    drop(stdout);
    let ran = ran(cat.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(head, big[..1000]);
}

/// PD-32.
#[test]
fn a_store_is_the_same_byte_for_byte() {
    let scene = Scene::new();
    scene.write("large", noise(5 << 20));
    scene.write("tree/a", noise(20_000));
    scene.write("tree/b/c", "c");
    scene.ok("-s inside add large --tag large");
    scene.ok("-s inside add tree --tag tree");
    scene.ok("-s inside slice large -o slice --quiet");
    scene.ok("-s inside tag set other large");
    let [store, large, tree] = ["native", "large", "tree"].map(|name| scene.path(name));
    let run = |tail: Vec<PathBuf>| {
        let head = ["flatbao", "-q", "-s"].map(PathBuf::from).into_iter();
        let _ = flatbao::run(head.chain([store.clone()]).chain(tail));
    };
    let words =
        |path: &Path, tag: &str| vec!["add".into(), path.to_owned(), "--tag".into(), tag.into()];
    run(words(&large, "large"));
    run(words(&tree, "tree"));
    run(["tag", "set", "other", "large"].map(PathBuf::from).into());
    assert_eq!(scene.tree("inside"), scene.tree("native"));
}

#[test]
fn a_busy_store_is_told_as_ever() {
    let scene = Scene::new();
    scene.ok("init");
    let backend = flatbao_fs::open_ambient(scene.path(".flatbao")).unwrap();
    let _held = backend.lock().unwrap();
    let busy = scene.run("gc");
    assert_eq!(busy.code, 6);
    assert!(
        busy.err.contains("reading commands work meanwhile"),
        "{}",
        busy.err
    );
    let busy = scene.run("gc --json");
    let object: serde_json::Value = serde_json::from_str(&busy.out).unwrap();
    assert_eq!((busy.code, &object["error"]), (6, &"busy".into()));
    scene.ok("ls");
}

#[test]
fn what_is_no_store_stays_as_it_is() {
    let scene = Scene::new();
    scene.write("home/letter", "dear");
    scene.write("file", "file");
    for line in ["add file", "gc", "ls", "repair", "add home --no-tag"] {
        let ran = scene.run(&format!("-s home {line}"));
        assert_eq!(ran.code, 4, "{line}");
        assert!(ran.err.contains("not a store"), "{line}: {}", ran.err);
        assert_eq!(scene.tree("home").len(), 1, "{line}");
    }
    // Nor is a store made where there is nothing to add.
    assert_eq!(scene.run("-s new/store add nothing").code, 4);
    assert!(!scene.path("new").exists());
    scene.ok("-s home init");
}

#[cfg(unix)]
#[test]
fn links_that_were_planted_lead_nowhere() {
    let scene = Scene::new();
    scene.write("secret", "secret");
    scene.ok("init");
    let hash = Hash::of(b"secret");
    let link = scene.path(&format!(".flatbao/{hash}.data"));
    std::os::unix::fs::symlink(scene.path("secret"), link).unwrap();
    let cat = scene.run(&format!("cat {hash}"));
    assert_eq!((cat.code, cat.out.as_str()), (4, ""), "{}", cat.err);
    let get = scene.run(&format!("get {hash} out"));
    assert_ne!(get.code, 0);
    assert!(!scene.path("out").exists());
    // A directory is added with the links in it left out.
    scene.write("tree/a", "a");
    std::os::unix::fs::symlink("/etc", scene.path("tree/etc")).unwrap();
    assert_eq!(scene.run("add tree").code, 3);
}

#[test]
fn of_a_file_the_guest_gets_nothing_but_the_file() {
    let scene = Scene::new();
    scene.write("dir/file", "file");
    scene.write("dir/sibling", "sibling");
    let mut guest = Guest::new();
    guest
        .open(BADF, DIR + 2, "etc/passwd", 0, READ)
        .open(OK, DIR, "file", 0, READ)
        .open(PERM, DIR, "sibling", 0, READ)
        .open(PERM, DIR, "../dir/sibling", 0, READ)
        .open(ROFS, DIR, "file", 0, WRITE)
        .open(PERM, DIR, "new", CREATE, WRITE)
        .path(PERM, "path_unlink_file", DIR, "file")
        // Behind everything else is an empty directory.
        .open(NOENT, DIR + 1, "etc/passwd", 0, READ);
    scene.hostile("hash dir/file", &guest);
}

#[test]
fn who_reads_a_store_cannot_write_it() {
    let scene = Scene::new();
    scene.write("a", "a");
    scene.ok("add a --tag a");
    let before = scene.tree(".");
    for line in [
        "ls",
        "cat a",
        "verify",
        "gc --dry-run",
        "doctor",
        "add a --read-only",
    ] {
        let mut guest = Guest::new();
        let store = match line {
            // The directory of `a` comes first.
            "add a --read-only" => DIR + 1,
            _ => DIR,
        };
        guest
            .open(OK, store, "tags.meta", 0, READ)
            .open(ROFS, store, "tags.meta", 0, WRITE)
            .open(ROFS, store, "new", CREATE, WRITE)
            .path(ROFS, "path_unlink_file", store, "tags.meta")
            .path(ROFS, "path_create_directory", store, "new")
            .two_paths(ROFS, "path_rename", (store, "tags.meta"), (store, "lock"));
        scene.hostile(line, &guest);
    }
    assert_eq!(scene.tree("."), before);
}

/// A store lies beside what is written, as it mostly does.
#[test]
fn who_writes_beside_a_store_cannot_write_it() {
    let scene = Scene::new();
    scene.write("a", "a");
    scene.ok("add a --tag a");
    let hash = Hash::of(b"a").to_string();
    let before = scene.tree(".");
    for line in [
        "get a new",
        "get a new/sub/file",
        "slice a -o new",
        "export a new",
        "verify --cursor new",
        &format!("get {} ./new", &hash[..8]),
    ] {
        let mut guest = Guest::new();
        let (here, store) = (DIR, DIR + 1);
        guest.open(ROFS, store, "tags.meta", 0, WRITE);
        for path in [".flatbao/tags.meta", "a", "./.flatbao/tags.meta"] {
            guest
                .open(PERM, here, path, 0, READ)
                .open(PERM, here, path, TRUNCATE, WRITE)
                .path(PERM, "path_unlink_file", here, path)
                .two_paths(PERM, "path_rename", (here, path), (here, "new"))
                .two_paths(PERM, "path_link", (here, path), (here, "new"));
        }
        guest
            .path(PERM, "path_remove_directory", here, ".flatbao")
            .two_paths(PERM, "path_rename", (here, ".flatbao"), (here, "new"))
            .path(OK, "path_create_directory", here, "new")
            .path(OK, "path_remove_directory", here, "new");
        scene.hostile(line, &guest);
        assert_eq!(scene.tree("."), before, "{line}");
    }
    // What is there and would not be replaced is not granted.
    scene.write("new", "new");
    let mut guest = Guest::new();
    guest
        .open(ROFS, DIR, "new", 0, WRITE)
        .path(PERM, "path_unlink_file", DIR, "new");
    scene.hostile("get a new", &guest);
    fs::remove_file(scene.path("new")).unwrap();
    // A store that is not there is not there, whatever lies beside it.
    let ran = scene.run("-s nope/store get a new");
    assert_eq!(ran.code, 4, "{}", ran.err);
    // The other way round, and where the directory is granted for another reason.
    for (line, dir) in [
        ("verify --cursor .flatbao/pos", ".flatbao"),
        ("--external . get a new", "."),
    ] {
        let backend = flatbao_fs::open_ambient(scene.path(".flatbao")).unwrap();
        let lock = backend.lock().unwrap();
        assert_eq!(scene.run(line).code, 6, "{line} writes {dir}");
        drop(lock);
    }
    // Where everything in the directory is written the store is locked meanwhile.
    let backend = flatbao_fs::open_ambient(scene.path(".flatbao")).unwrap();
    let lock = backend.lock().unwrap();
    let line = "get a . --force";
    assert_eq!(scene.run(line).code, 6, "{line}");
    drop(lock);
    assert_eq!(scene.run("get a new").code, 0);
}

#[test]
fn a_program_that_does_not_end_is_stopped() {
    let scene = Scene::new();
    scene.ok("init");
    let code = wat::parse_str(
        r#"(module (memory (export "memory") 3) (func (export "_start") (loop $l (br $l))))"#,
    );
    scene.write("loop.wasm", code.unwrap());
    let endless = |variable, value| {
        let mut command = scene.command("gc");
        let command = command.env("FLATBAO_MODULE", scene.path("loop.wasm"));
        ran(command.env(variable, value).output().unwrap())
    };
    for (variable, value, why) in [
        ("FLATBAO_SANDBOX_SECONDS", "1", "stopped after 1s"),
        (
            "FLATBAO_SANDBOX_MEMORY",
            "65536",
            "more memory than the 65536 bytes",
        ),
        ("FLATBAO_SANDBOX_MEMORY", "much", "not a number of bytes"),
        ("FLATBAO_MODULE", "nothing.wasm", "cargo xtask wasm"),
    ] {
        let stopped = endless(variable, value);
        assert_eq!(
            (stopped.code, stopped.out.as_str()),
            (1, ""),
            "{variable}={value}"
        );
        assert!(
            stopped.err.contains(why),
            "{variable}={value}: {}",
            stopped.err
        );
        assert!(scene.is_free(".flatbao"));
    }
}

#[test]
fn the_environment_is_resolved_outside() {
    let scene = Scene::new();
    scene.write("a", "a");
    let add = |line: &str| {
        let mut command = scene.command(line);
        command.env("FLATBAO_STORE", "named").output().unwrap()
    };
    assert!(add("add a").status.success());
    assert!(scene.path("named").exists());
    // Who says it, too, is heard.
    assert!(add("add a -s said").status.success());
    assert!(scene.path("said").exists());
    assert!(!scene.path(".flatbao").exists());
    for own in [
        "--locking own",
        "--locking=own",
        "--locking held",
        "--locking none",
    ] {
        scene.ok(&format!("-s {} {own} add a", "said"));
    }
}

#[cfg(unix)]
#[test]
fn paths_mean_what_they_mean_outside() {
    let scene = Scene::new();
    scene.write("dir/a", "a");
    scene.write("b", "b");
    let base = scene.path("").canonicalize().unwrap();
    let inside = |line: &str| {
        let mut command = scene.command(line);
        ran(command.current_dir(base.join("dir")).output().unwrap())
    };
    let absolute = base.join("b");
    for path in [
        "a",
        "./a",
        ".//a",
        "../b",
        "./../dir/a",
        "../dir/./a",
        absolute.to_str().unwrap(),
    ] {
        let ran = inside(&format!("-s ../store add {path} -q"));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{path}");
    }
    assert_eq!(inside("-s ../store ls").out.lines().count(), 2);
    for path in [".", "../dir", "..", "../dir/"] {
        let ran = inside(&format!("-s ../store add {path} -q --tag t"));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{path}");
    }
    std::os::unix::fs::symlink("dir/a", scene.path("link")).unwrap();
    let linked = scene.run("add link");
    assert_eq!(linked.code, 1);
    assert!(
        linked.err.contains("symbolic link") && linked.err.contains("dir/a"),
        "{}",
        linked.err
    );
    // In place, a relative one too.
    let ran = inside("-s ../store add --in-place a");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let paths = scene.tree("store");
    let paths = paths
        .iter()
        .find(|(name, _)| name.extension().is_some_and(|e| e == "paths"));
    let text = String::from_utf8_lossy(paths.unwrap().1);
    assert!(
        text.contains(base.join("dir/a").to_str().unwrap()),
        "{text}"
    );
}
