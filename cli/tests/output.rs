//! Streams, pipes, help and usage.
#![allow(clippy::unwrap_used)]

mod common;

use std::process::Stdio;

use common::{Scene, noise, ran};

/// The reading end is gone before the command starts, as with `| head -0`.
#[test]
fn a_closed_pipe_ends_quietly() {
    let scene = Scene::new();
    scene.write("src/a", noise(300_000));
    scene.write("src/b", "b");
    scene.ok(["add", "src", "--tag", "src"]);
    for args in [
        &["ls"][..],
        &["ls", "src", "--json"],
        &["cat", "src/a"],
        &["tag", "ls"],
        &["gc", "-n", "-v"],
        &["hash", "src/a"],
        &["cat", "src/a", "--json"],
        &["--help"],
        &["add", "--help"],
        &["--version"],
    ] {
        let ran = with_closed_stdout(&scene, args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
    }
    // Those that change something finish all the same, and their exit code stands.
    let run = |args: &[&str], code| {
        let ran = with_closed_stdout(&scene, args);
        assert_eq!(ran.code, code, "{args:?} {}", ran.err);
    };
    run(&["get", "src", "out", "-v"], 0);
    assert_eq!(scene.tree("out"), scene.tree("src"));
    scene.write("c", "c");
    scene.write("d", "d");
    run(&["add", "c", "d", "--json"], 0);
    assert_eq!(scene.ok(["tag", "ls"]).out.lines().count(), 3);
    run(&["tag", "rm", "nope", "src", "--json"], 3);
    run(&["gc", "-v"], 0);
    assert_eq!(scene.ok(["ls"]).out.lines().count(), 2);
    run(&["cat", "nope", "--json"], 4);
    run(&["cat", "--nope", "--json"], 2);
}

fn with_closed_stdout(scene: &Scene, args: &[&str]) -> common::Ran {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = scene.command();
    let child = command.args(args).stdout(writer).stderr(Stdio::piped());
    let child = child.spawn().unwrap();
    drop(command);
    ran(child.wait_with_output().unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let scene = Scene::new();
    scene.write("a", "no line end");
    scene.ok(["add", "a", "--tag", "a"]);
    for args in [&["cat", "a"][..], &["ls"], &["add", "a"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let mut command = scene.command();
        command.args(args).stdout(full.unwrap());
        let ran = ran(command.stderr(Stdio::piped()).output().unwrap());
        ran.fails(1, &["cannot write the output"]);
    }
}

#[test]
fn usage_errors_are_two_and_json_where_that_was_asked_for() {
    let scene = Scene::new();
    for args in [
        &["nope"][..],
        &[],
        &["cat"],
        &["ls", "--nope"],
        &["ls", "-q", "-v"],
        &["tag"],
        &["gc", "extra"],
    ] {
        let ran = scene.run(args);
        ran.fails(2, &[]);
        assert_eq!(ran.out, "");
    }
    let ran = scene.run(["--json", "cat"]);
    assert_eq!((ran.code, ran.err.as_str()), (2, ""));
    let told = ran.object();
    assert_eq!(told["error"], "usage");
    assert!(told["message"].as_str().unwrap().contains("REF"), "{told}");
    // After `--` it is a name.
    assert_eq!(scene.run(["cat", "a", "b", "--", "--json"]).out, "");
}

#[test]
fn help_lists_exit_codes_and_examples() {
    let scene = Scene::new();
    let help = scene.ok(["--help"]).out;
    for code in 0..=6 {
        assert!(help.contains(&format!("\n  {code}  ")), "{code}");
    }
    for command in [
        "init", "add", "get", "cat", "ls", "tag", "tag set", "tag rm", "tag ls", "rm", "gc", "hash",
    ] {
        let args = command.split(' ').chain(["--help"]);
        let help = scene.ok(args).out;
        let last = help.trim_end().lines().last().unwrap();
        assert!(last.starts_with("Example: flatbao "), "{command}: {last}");
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "{command}"
        );
    }
}

#[test]
fn nothing_but_text_where_there_is_no_terminal() {
    let scene = Scene::new();
    scene.write("a", noise(300_000));
    let ran = scene.run(["add", "a"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let ran = scene.run(["cat", "nope"]);
    assert!(ran.err.starts_with("error: no tag"), "{}", ran.err);
    assert!(!ran.err.contains('\x1b'));
}
