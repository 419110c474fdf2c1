//! The real command as the guest: killed at every call that it makes of the host, and short of room.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use flatbao_core::{BlobFormat, Hash, HashAndFormat, Store, Tag, store::State, store::Status};
use flatbao_fs::FsBackend;
use flatbao_host::{
    CodeCache, FileAccess, Finished, Program, RunError, Runtime, Sandbox, StopReason,
};
use tempfile::TempDir;

/// What is in the store before, and has to be there after, whatever happens.
const KEPT: &[u8] = &[7; 100_000];
/// What goes in meanwhile: more than a group, so that there is an outboard.
const NEW: &[u8] = &[8; 50_000];

struct Scene {
    program: Program,
    place: TempDir,
}

impl Scene {
    fn new() -> Self {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("wasm/flatbao-assisted.wasm");
        let runtime = Runtime::builder().cache(CodeCache::None).build().unwrap();
        let program = Program::from_file(&runtime, &path).unwrap_or_else(|error| {
            panic!("{}: {error}: `cargo xtask wasm` builds it", path.display())
        });
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("new"), NEW).unwrap();
        Self { program, place }
    }

    fn store(&self) -> PathBuf {
        self.place.path().join("store")
    }

    /// A store with a tagged blob and one that nothing keeps, made natively.
    fn fill(&self) {
        let _ = fs::remove_dir_all(self.store());
        let backend = flatbao_fs::create_ambient(self.store()).unwrap();
        let (store, _) = Store::open(backend, flatbao_fs::system_env()).unwrap();
        let kept = store.import_bytes(KEPT).unwrap();
        store
            .set_tag(tag("kept"), HashAndFormat::raw(kept.hash))
            .unwrap();
        drop(store.import_bytes(b"dead").unwrap());
    }

    fn sandbox(&self) -> Sandbox {
        Sandbox::new()
            .store(self.store(), "/store")
            .files(self.place.path(), "/in", [("new", FileAccess::Read)])
            .seed([1; 32])
    }

    fn run(&self, sandbox: &Sandbox, args: &[&str]) -> Result<Finished, RunError> {
        let held = ["flatbao", "--store", "/store", "--locking", "held"];
        sandbox.run(&self.program, held.iter().chain(args).copied())
    }

    /// The store, opened natively: so the lock is free, and what was acknowledged is there.
    fn check(&self) -> Store<FsBackend> {
        let backend = flatbao_fs::open_ambient(self.store()).unwrap();
        let (store, _) = Store::open(backend, flatbao_fs::system_env()).unwrap();
        let kept = HashAndFormat::raw(Hash::of(KEPT));
        assert_eq!(store.tag(&tag("kept")).unwrap(), kept);
        assert!(store.read(kept.hash, 1 << 20).unwrap() == KEPT);
        store
    }
}

fn tag(name: &str) -> Tag {
    Tag::try_from(name).unwrap()
}

/// Runs it to its end once, then stops it before each of its calls of the host.
fn killed_everywhere(args: &[&str], check: impl Fn(&Store<FsBackend>)) {
    let scene = Scene::new();
    scene.fill();
    let whole = scene
        .run(&scene.sandbox(), args)
        .unwrap()
        .success()
        .unwrap();
    check(&scene.check());
    // Fewer would mean that little was done.
    assert!(whole.usage.host_calls > 50, "{}", whole.usage.host_calls);
    for call in 1..=whole.usage.host_calls {
        scene.fill();
        let outcome = scene.run(&scene.sandbox().trap_at_call(call), args);
        match outcome {
            Err(RunError::Stopped(stopped)) => {
                assert_eq!(stopped.reason, StopReason::AtCall { call });
            }
            // The clock has its part in how many calls there are.
            Ok(finished) => drop(finished.success().unwrap()),
            Err(error) => panic!("{error}"),
        }
        check(&scene.check());
    }
}

/// BI-098.
#[test]
fn adding_is_killed_at_every_call() {
    killed_everywhere(&["add", "/in/new", "--tag", "new"], |store| {
        let value = HashAndFormat {
            hash: Hash::of(NEW),
            format: BlobFormat::Raw,
        };
        match store.tag(&tag("new")).ok() {
            Some(found) => {
                assert_eq!(found, value);
                assert!(store.read(value.hash, 1 << 20).unwrap() == NEW);
            }
            // What is there without a tag is whole all the same.
            None => {
                if let Status::Present(blob) = store.status(value.hash) {
                    assert_eq!(blob.state, State::Complete);
                    assert!(store.read(value.hash, 1 << 20).unwrap() == NEW);
                }
            }
        }
    });
}

/// BI-098.
#[test]
fn collecting_is_killed_at_every_call() {
    killed_everywhere(&["gc"], |store| {
        let dead = Hash::of(b"dead");
        if let Status::Present(_) = store.status(dead) {
            assert_eq!(store.read(dead, 100).unwrap(), b"dead");
        }
    });
}

/// The guest may write so much and no more: an error of its own, and nothing is lost.
/// BI-100.
#[test]
fn a_quota_is_an_error() {
    let scene = Scene::new();
    scene.fill();
    for limit in [0, 1, 1000, 49_999, 50_100] {
        let sandbox = scene.sandbox().write_limit(limit);
        let finished = scene.run(&sandbox, &["add", "/in/new", "--tag", "new"]);
        let finished = finished.unwrap();
        let told = String::from_utf8(finished.stderr).unwrap();
        assert_eq!(finished.code, 1, "{limit}: {told}");
        assert!(told.contains("No space left on device"), "{told}");
        let store = scene.check();
        assert!(store.tag(&tag("new")).is_err());
    }
    let finished = scene.run(&scene.sandbox(), &["add", "/in/new", "--tag", "new"]);
    finished.unwrap().success().unwrap();
}
