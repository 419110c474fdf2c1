//! The runner, with a test program that was written by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

mod common;
use common::PRELUDE;

/// Does what a test program does, as far as the runner can see: with four arguments it lists its tests, with five the
/// ignored ones, and with six it runs the one whose name is the third. A test is told by its first letter.
fn tests() -> String {
    format!(
        r#"(module {PRELUDE}
        (data (i32.const 4096) "good: test\npanics: test\nignored: test\nslow: test\nunlucky: test\n")
        (data (i32.const 5000) "ignored: test\n")
        (data (i32.const 6000) "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n")
        (data (i32.const 7000) "the message\n")
        (data (i32.const 8000) "test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n")
        (func $name (result i32)
            (drop (call $args_get (i32.const 65536) (i32.const 70000)))
            (i32.load8_u (i32.load (i32.const 65544))))
        (func (export "_start")
            (drop (call $args_sizes_get (i32.const 256) (i32.const 260)))
            (if (i32.eq (i32.load (i32.const 256)) (i32.const 4)) (then
                (drop (call $write (i32.const 1) (i32.const 4096) (i32.const 63))) (return)))
            (if (i32.eq (i32.load (i32.const 256)) (i32.const 5)) (then
                (drop (call $write (i32.const 1) (i32.const 5000) (i32.const 14))) (return)))
            (if (i32.eq (call $name) (i32.const 112)) (then
                (drop (call $write (i32.const 2) (i32.const 7000) (i32.const 12))) unreachable))
            (if (i32.eq (call $name) (i32.const 115)) (then (loop $again (br $again))))
            (if (i32.eq (call $name) (i32.const 117)) (then
                (drop (call $write (i32.const 1) (i32.const 8000) (i32.const 75))) (return)))
            (drop (call $write (i32.const 1) (i32.const 6000) (i32.const 75)))))"#
    )
}

fn write(dir: &Path, name: &str, wat: &str) -> PathBuf {
    fs::create_dir_all(dir).unwrap();
    let path = dir.join(name);
    fs::write(&path, wat::parse_str(wat).unwrap()).unwrap();
    path
}

fn run(program: &Path, args: &[&str]) -> (i32, String, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_flatbao-wasm-runner"))
        .arg(program)
        .args(args)
        .current_dir(program.parent().unwrap())
        .env("FLATBAO_RUNNER_CACHE", "none")
        .env("FLATBAO_RUNNER_TIMEOUT", "1")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn every_test_has_an_instance_of_its_own() {
    let scratch = tempfile::tempdir().unwrap();
    let program = write(&scratch.path().join("deps"), "t.wasm", &tests());
    let (code, stdout, _) = run(&program, &[]);
    assert_eq!(code, 101, "{stdout}");
    for wanted in [
        "test good    ... ok",
        "test panics  ... FAILED",
        "test slow    ... FAILED",
        "test ignored ... ignored",
        "test unlucky ... ignored (not to be run on this platform)",
        "the message",
        "stopped after 1s",
        "test result: FAILED. 1 passed; 2 failed; 2 ignored; 0 measured; 0 filtered out;",
    ] {
        assert!(stdout.contains(wanted), "{wanted} is not in\n{stdout}");
    }
}

#[test]
fn tests_are_chosen_as_everywhere() {
    let scratch = tempfile::tempdir().unwrap();
    let program = write(&scratch.path().join("deps"), "t.wasm", &tests());
    let good = "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 4 filtered out;";
    for args in [
        &["good"][..],
        &["goo", "--test-threads=1"],
        &["--exact", "good"],
        &[
            "--skip", "panics", "--skip", "slow", "--skip", "u", "--skip", "ignored",
        ],
        &["ignored", "--include-ignored"],
    ] {
        let (code, stdout, _) = run(&program, args);
        assert!(code == 0 && stdout.contains(good), "{args:?}\n{stdout}");
    }
    let (code, stdout, stderr) = run(&program, &["panics", "--nocapture"]);
    assert_eq!((code, stderr.as_str()), (101, "the message\n"), "{stdout}");
    let (code, stdout, _) = run(&program, &["--list"]);
    assert_eq!(code, 0);
    assert_eq!(
        stdout
            .lines()
            .filter(|line| line.ends_with(": test"))
            .count(),
        5,
        "{stdout}"
    );
}

#[test]
fn other_programs_are_simply_run() {
    let scratch = tempfile::tempdir().unwrap();
    let program = write(scratch.path(), "p.wasm", &tests());
    let (code, stdout, _) = run(&program, &["1", "2", "3"]);
    assert_eq!((code, stdout.starts_with("good: test\n")), (0, true));
    let program = write(
        scratch.path(),
        "q.wasm",
        &format!("(module {PRELUDE} (func (export \"_start\") (call $proc_exit (i32.const 7))))"),
    );
    assert_eq!(run(&program, &[]).0, 7);
    // Also one that lies where tests do.
    let program = write(
        &scratch.path().join("deps"),
        "q.wasm",
        &format!("(module {PRELUDE} (func (export \"_start\") (call $proc_exit (i32.const 7))))"),
    );
    assert_eq!(run(&program, &[]).0, 7);
    let program = write(
        scratch.path(),
        "r.wasm",
        "(module (func (export \"_start\") unreachable))",
    );
    let (code, _, stderr) = run(&program, &[]);
    assert!(code == 134 && stderr.contains("unreachable"), "{stderr}");
    fs::write(scratch.path().join("s.wasm"), "no program").unwrap();
    let (code, _, stderr) = run(&scratch.path().join("s.wasm"), &[]);
    assert!(code == 102 && stderr.contains("no WebAssembly"), "{stderr}");
}
