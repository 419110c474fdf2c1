//! Stores that guests write to.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use flatbao_core::{Backend, BackendError};
use flatbao_host::{RunError, Sandbox, StopReason};

mod common;
use common::*;

fn is_free(path: &std::path::Path) -> bool {
    match flatbao_fs::open_ambient(path).unwrap().lock() {
        Ok(_) => true,
        Err(BackendError::Busy) => false,
        Err(error) => panic!("{error}"),
    }
}

fn opens(path: &std::path::Path) {
    let backend = flatbao_fs::open_ambient(path).unwrap();
    flatbao_core::Store::open(backend, flatbao_fs::system_env()).unwrap();
}

#[test]
fn a_store_is_locked_while_its_guest_runs() {
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("store");
    let mut guest = Guest::new();
    guest.open(OK, DIR, "ready", CREATE, WRITE);
    guest
        .raw("(loop $l (br_if $l (i32.ne (call $open (i32.const 3) (i32.const 4096) (i32.const 2)");
    guest.raw("(i32.const 0) (i64.const 2)) (i32.const 0))))");
    // The loop waits for a file "re": the first two letters of "ready".
    let sandbox = Sandbox::new()
        .create_store(&store, "/store")
        .deadline(std::time::Duration::from_secs(60));
    let program = guest.program();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| sandbox.run(&program, ["guest"]));
        while !store.join("ready").exists() {
            std::thread::yield_now();
        }
        assert!(!is_free(&store));
        let second = sandbox.run(&program, ["guest"]);
        assert!(matches!(second, Err(RunError::Busy { .. })), "{second:?}");
        // Readers are free to come.
        let reader = compile(r#"(module (func (export "_start")))"#);
        Sandbox::new()
            .store_read_only(&store, "/store")
            .run(&reader, ["guest"])
            .unwrap();
        std::fs::write(store.join("re"), "").unwrap();
        running.join().unwrap().unwrap().success().unwrap();
    });
    assert!(is_free(&store));
    opens(&store);
}

/// BI-097, BI-098.
#[test]
fn a_store_is_free_again_after_a_trap_with_open_files() {
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("store");
    let mut guest = Guest::new();
    guest
        .open(OK, DIR, "lock", CREATE, READ | WRITE)
        .open(OK, DIR, "half", CREATE, WRITE)
        .write(OK, 9);
    guest.raw("unreachable");
    trapped(
        Sandbox::new()
            .create_store(&store, "/store")
            .run(&guest.program(), ["guest"]),
    );
    assert!(is_free(&store));
    opens(&store);
}

/// BI-095.
#[test]
fn a_lock_cannot_be_taken_away() {
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("store");
    let mut guest = Guest::new();
    guest.open(OK, DIR, "rubbish", CREATE, WRITE);
    for path in ["lock", "LOCK", "./lock", "lock/", "lock/."] {
        guest.path(PERM, "path_unlink_file", DIR, path);
        guest.two_paths(PERM, "path_rename", (DIR, "rubbish"), (DIR, path));
        guest.two_paths(PERM, "path_rename", (DIR, path), (DIR, "away"));
    }
    // Everything else is the guest's own.
    guest.path(OK, "path_unlink_file", DIR, "rubbish");
    passes(&guest, &Sandbox::new().create_store(&store, "/store"));
    opens(&store);
}

/// Nor through a directory that the store lies in.
#[test]
fn a_lock_is_the_same_by_every_path() {
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("store");
    for dir in [&store, &scratch.path().join("other")] {
        std::fs::create_dir(dir).unwrap();
        std::fs::write(dir.join("lock"), "").unwrap();
    }
    let mut guest = Guest::new();
    guest.open(OK, DIR, "rubbish", CREATE, WRITE);
    for path in ["store/lock", "./store/LOCK", "other/../store/lock"] {
        guest.path(PERM, "path_unlink_file", DIR, path);
        guest.two_paths(PERM, "path_rename", (DIR, "rubbish"), (DIR, path));
    }
    let lock = guest.text("lock");
    guest.open(OK, DIR, "store", DIRECTORY, READ);
    guest.call(PERM, format!("$path_unlink_file (call $fd) {lock}"));
    // A file that has the name and is none.
    guest.open(OK, DIR, "other", DIRECTORY, READ);
    guest.call(OK, format!("$path_unlink_file (call $fd) {lock}"));
    guest.two_paths(OK, "path_rename", (DIR, "rubbish"), (DIR, "lock"));
    let sandbox = Sandbox::new()
        .directory(scratch.path(), "/all")
        .store(&store, "/all/store");
    passes(&guest, &sandbox);
    opens(&store);
}

/// BI-094, BI-095.
#[test]
fn a_store_survives_what_is_put_into_it() {
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("store");
    std::fs::create_dir(&store).unwrap();
    opens(&store);
    let mut guest = Guest::new();
    guest.open(OK, DIR, "rubbish", CREATE, WRITE).write(OK, 99);
    guest.two_paths(OK, "path_rename", (DIR, "rubbish"), (DIR, "tags.meta"));
    let [target, name] = ["../outside", "link.data"].map(|text| guest.text(text));
    guest.call(OK, format!("$path_symlink {target} (i32.const 3) {name}"));
    passes(&guest, &Sandbox::new().store(&store, "/store"));
    // Damage is told, not fallen over.
    let backend = flatbao_fs::open_ambient(&store).unwrap();
    let (_, recovery) = flatbao_core::Store::open(backend, flatbao_fs::system_env()).unwrap();
    assert!(matches!(
        recovery.tags,
        flatbao_core::store::TagsFound::Damaged(_)
    ));
    assert_eq!(recovery.odd_count, 1);
}

#[test]
fn two_grants_of_one_store_lock_it_once() {
    let scratch = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| scratch.path().join(name));
    let program = compile(r#"(module (func (export "_start")))"#);
    for order in [[&a, &b, &a], [&b, &a, &b]] {
        let mut sandbox = Sandbox::new();
        for (i, store) in order.into_iter().enumerate() {
            sandbox = sandbox.create_store(store, format!("/{i}"));
        }
        sandbox.run(&program, ["guest"]).unwrap();
    }
    // One that is busy leaves the others free.
    let held = flatbao_fs::open_ambient(&b).unwrap().lock().unwrap();
    let sandbox = Sandbox::new().store(&a, "/a").store(&b, "/b");
    let busy = sandbox.run(&program, ["guest"]);
    assert!(
        matches!(&busy, Err(RunError::Busy { path }) if path.ends_with("b")),
        "{busy:?}"
    );
    assert!(is_free(&a));
    drop(held);
    sandbox.run(&program, ["guest"]).unwrap();
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let scratch = tempfile::tempdir().unwrap();
    let program = compile(r#"(module (func (export "_start")))"#);
    let missing = Sandbox::new()
        .store(scratch.path().join("a"), "/a")
        .run(&program, ["guest"]);
    assert!(
        matches!(missing, Err(RunError::OpenStore { .. })),
        "{missing:?}"
    );
}

/// BI-098.
#[test]
fn a_guest_can_be_stopped_at_every_call() {
    let mut guest = Guest::new();
    for name in ["1", "2", "3"] {
        guest
            .open(OK, DIR, name, CREATE, WRITE)
            .last(OK, "fd_close");
    }
    guest.raw("(call $hash_groups (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 0))");
    let program = guest.program();
    let run = |call: Option<u64>| {
        let scratch = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::new().create_store(scratch.path(), "/store");
        let sandbox = call.map_or(sandbox.clone(), |call| sandbox.trap_at_call(call));
        let outcome = sandbox.run(&program, ["guest"]);
        assert!(is_free(scratch.path()));
        let made = ["1", "2", "3"].map(|name| scratch.path().join(name).exists());
        (outcome, made.into_iter().filter(|made| *made).count())
    };
    let (whole, made) = run(None);
    assert_eq!((whole.unwrap().usage.host_calls, made), (7, 3));
    for call in 1..=7 {
        let (outcome, made) = run(Some(call));
        assert_eq!(stopped(outcome), StopReason::AtCall { call });
        // The call itself does nothing any more: those before it have.
        assert_eq!(made as u64, (call / 2).min(3));
    }
    assert_eq!(run(Some(8)).0.unwrap().code, 0);
}
