//! A directory to play in, and the real command.
// Each test crate uses some of this.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use flatbao_core::{Collection, Hash};
use serde_json::Value;
use tempfile::TempDir;

/// A temporary directory in which the command runs, with its store at `./.flatbao`.
pub(crate) struct Scene {
    root: TempDir,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The command that is tested: the native one, or what `FLATBAO_TEST_COMMAND` names, a program that runs it
/// elsewhere with the same arguments.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("FLATBAO_TEST_COMMAND")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_flatbao").into())
        .into()
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(relative)
    }

    /// Writes a file, with its directories.
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(program());
        command
            .current_dir(self.root.path())
            .env_remove("FLATBAO_STORE")
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR")
            .env_remove("CLICOLOR_FORCE")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
        ran(self.command().args(args).output().unwrap())
    }

    /// Runs and expects success with nothing on stderr.
    pub(crate) fn ok(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
        ran
    }

    /// Runs with this on stdin.
    pub(crate) fn pipe(&self, input: &[u8], args: &[&str]) -> Ran {
        let mut child = self
            .command()
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        match child.stdin.take().unwrap().write_all(input) {
            // It has seen enough.
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => {}
            written => written.unwrap(),
        }
        ran(child.wait_with_output().unwrap())
    }

    /// Adds a blob without a tag, if it is not there.
    pub(crate) fn blob(&self, bytes: &[u8]) -> Hash {
        if self.data(Hash::of(bytes)).exists() {
            return Hash::of(bytes);
        }
        let ran = self.pipe(bytes, &["add", "-", "--no-tag", "-q"]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        let hash = ran.out.trim().parse().unwrap();
        assert_eq!(hash, Hash::of(bytes));
        hash
    }

    /// Makes a collection of these names, as anybody may, and tags it.
    pub(crate) fn collection(&self, tag: &str, files: &[(&str, &[u8])]) -> Hash {
        let entries = files
            .iter()
            .map(|(name, bytes)| ((*name).to_owned(), self.blob(bytes)));
        let collection = Collection::new(entries.collect::<Vec<_>>()).unwrap();
        let meta = self.blob(&collection.encode_meta());
        let hash = self.blob(&collection.sequence(meta).encode());
        let hex = hash.to_string();
        self.ok(["tag", "set", tag, &hex, "--format", "hashseq"]);
        hash
    }

    /// The path of a blob's data in the store.
    pub(crate) fn data(&self, hash: Hash) -> PathBuf {
        self.path(format!(".flatbao/{hash}.data"))
    }

    /// Flips a bit of a blob's data.
    pub(crate) fn damage(&self, hash: Hash, offset: usize) {
        let path = self.data(hash);
        let mut bytes = fs::read(&path).unwrap();
        bytes[offset] ^= 1;
        fs::write(path, bytes).unwrap();
    }

    /// Everything below a directory, with its bytes; directories end in `/`, links tell their target.
    pub(crate) fn tree(&self, path: &str) -> Vec<(String, Vec<u8>)> {
        let root = self.path(path);
        let mut tree = Vec::new();
        for entry in walkdir::WalkDir::new(&root)
            .min_depth(1)
            .sort_by_file_name()
        {
            let entry = entry.unwrap();
            let name = entry.path().strip_prefix(&root).unwrap();
            let name = name.to_string_lossy().into_owned();
            tree.push(if entry.file_type().is_dir() {
                (name + "/", Vec::new())
            } else if entry.path_is_symlink() {
                let target = fs::read_link(entry.path()).unwrap();
                (name, format!("-> {}", target.display()).into_bytes())
            } else {
                (name, fs::read(entry.path()).unwrap())
            });
        }
        tree
    }
}

impl Ran {
    /// Every line as a JSON object.
    pub(crate) fn json(&self) -> Vec<Value> {
        let parse =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.out.lines().map(parse).collect()
    }

    /// The only line as a JSON object.
    pub(crate) fn object(&self) -> Value {
        let objects = self.json();
        assert_eq!(objects.len(), 1, "{}", self.out);
        objects[0].clone()
    }

    /// Expects a failure with this code, and all of these words on stderr.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "{word:?} in {}", self.err);
        }
    }
}

/// Every command that the help lists, nested ones with a space: `tag set`.
pub(crate) fn commands() -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), vec![String::new()]);
    while let Some(above) = open.pop() {
        let help = help(&above);
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        for line in listed.take_while(|line| !line.is_empty()) {
            let name = line.split_whitespace().next().unwrap();
            if line.starts_with("  ") && !line.starts_with("   ") && name != "help" {
                let name = format!("{above} {name}").trim().to_owned();
                open.push(name.clone());
                found.push(name);
            }
        }
    }
    assert!(found.len() > 12, "{found:?}");
    found
}

/// The help of a command.
pub(crate) fn help(command: &str) -> String {
    let args = command.split_whitespace().chain(["--help"]);
    Scene::new().ok(args).out
}

pub(crate) fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        bytes: output.stdout,
    }
}

/// Bytes that do not repeat within a group.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 12345_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A copy of a fixture that the peer wrote.
pub(crate) fn fixture(name: &str, to: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/iroh-flat");
    copy(&from.join(name), to);
}

/// Copies a directory with what is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::write(&to, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}
