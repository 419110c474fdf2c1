//! Two processes and one store.

// Under WASI there are no processes, and no locks to hold against them.
#![cfg(not(target_os = "wasi"))]
// A test that cannot set its scene fails.
#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use flatbao_core::{Backend, BackendError};
use flatbao_fs::open_ambient;
use tempfile::tempdir;

const STORE: &str = "FLATBAO_TEST_STORE";

/// The other process: holds the lock until its input ends.
#[test]
fn holder() {
    let Some(path) = std::env::var_os(STORE).map(PathBuf::from) else {
        return;
    };
    let store = open_ambient(path).unwrap();
    let held = store.lock().unwrap();
    println!("\nheld");
    let _ = std::io::stdin().read(&mut [0]);
    drop(held);
}

/// BI-086, BI-088.
#[test]
fn a_lock_is_held_against_another_process_until_that_ends() {
    let root = tempdir().unwrap();
    let store = open_ambient(root.path()).unwrap();
    for killed in [false, true] {
        let mut child = start(root.path().into());
        for _ in 0..3 {
            let busy = store.lock().unwrap_err();
            assert!(matches!(busy, BackendError::Busy), "{busy:?}");
        }
        if killed {
            child.kill().unwrap();
        }
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().success(), !killed);
        let held = store.lock().unwrap();
        assert!(root.path().join("lock").is_file());
        drop(held);
    }
}

/// A child process that is started while the lock is held does not hold it too.
#[test]
fn a_child_inherits_no_lock() {
    let (ours, theirs) = (tempdir().unwrap(), tempdir().unwrap());
    let store = open_ambient(ours.path()).unwrap();
    let held = store.lock().unwrap();
    let mut child = start(theirs.path().into());
    drop(held);
    drop(store.lock().unwrap());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

/// Starts a [`holder`] and waits until it holds.
fn start(store: PathBuf) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "holder", "--nocapture"])
        .env(STORE, store)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(output.any(|line| line.unwrap() == "held"));
    // Kept open, so that the child can go on to print.
    std::thread::spawn(move || output.count());
    child
}
