//! Streams, pipes, help and usage.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use common::{Scene, commands, help, noise, ran};
use flatbao_core::{Hash, HashAndFormat, Tag, TagFile};

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
    let general = help("");
    for code in 0..=6 {
        assert!(general.contains(&format!("\n  {code}  ")), "{code}");
    }
    for command in commands() {
        let help = help(&command);
        let last = help.trim_end().lines().last().unwrap();
        assert!(last.starts_with("Example: flatbao "), "{command}: {last}");
        // An example shows the very command; that of a group any of it.
        assert!(last.contains(&format!("flatbao {command}")), "{last}");
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{command}: {line}");
        }
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

const ESCAPE: char = '\x1b';

/// As anstream documents it: NO_COLOR outdoes CLICOLOR_FORCE, and CLICOLOR does nothing without a terminal.
#[test]
fn colours_are_for_terminals_or_where_they_are_forced() {
    let scene = Scene::new();
    scene.write("a", "a");
    scene.ok(["add", "a", "--tag", "a"]);
    let run = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = scene.command();
        command.args(args).envs(variables.iter().copied());
        ran(command.output().unwrap())
    };
    let told: [&[&str]; 4] = [
        &["--help"],
        &["du", "--help"],
        &["cat", "nope"],
        &["--nope"],
    ];
    let results: [&[&str]; 6] = [
        &["ls"],
        &["ls", "--json"],
        &["tag", "ls"],
        &["stat", "a"],
        &["du", "-l"],
        &["cat", "a"],
    ];
    let force = ("CLICOLOR_FORCE", "1");
    for plain in [
        &[][..],
        &[("CLICOLOR", "1")],
        &[("CLICOLOR_FORCE", "")],
        &[("NO_COLOR", "1"), force],
        &[("CLICOLOR", "0")],
    ] {
        for args in told.iter().chain(&results) {
            let ran = run(args, plain);
            assert!(!(ran.out + &ran.err).contains(ESCAPE), "{args:?} {plain:?}");
        }
    }
    // CLICOLOR=0 is weaker than CLICOLOR_FORCE, and an empty NO_COLOR is none.
    for colourful in [
        &[force][..],
        &[force, ("CLICOLOR", "0")],
        &[force, ("NO_COLOR", "")],
    ] {
        for args in told {
            let ran = run(args, colourful);
            assert!(
                (ran.out + &ran.err).contains(ESCAPE),
                "{args:?} {colourful:?}"
            );
        }
        // Results are for programs as well.
        for args in results {
            let ran = run(args, colourful);
            assert!(!ran.out.contains(ESCAPE), "{args:?} {colourful:?}");
        }
    }
}

/// The reader takes one line and goes, as `head -1` does.
#[test]
fn a_listing_ends_quietly_where_its_reader_does() {
    let scene = Scene::new();
    scene.ok(["init"]);
    // More than a pipe holds. A listing looks at names and lengths only.
    for number in 0..4000_u32 {
        let hash = Hash::of(&number.to_le_bytes());
        std::fs::write(scene.data(hash), number.to_string()).unwrap();
    }
    let value = HashAndFormat::raw(Hash::of(&0_u32.to_le_bytes()));
    let name = |number| Tag::try_from(format!("{number:030}").as_str()).unwrap();
    let tags = (0..2000).map(|number| (name(number), value)).collect();
    let tags = TagFile::encode(&tags).unwrap();
    std::fs::write(scene.path(".flatbao/tags.meta"), tags).unwrap();
    for args in [
        &["ls"][..],
        &["ls", "--json"],
        &["ls", "--long"],
        &["tag", "ls"],
        &["tag", "ls", "--json"],
        &["du", "--long", "--json"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = scene.command();
        let child = command.args(args).stdout(writer).stderr(Stdio::piped());
        let child = child.spawn().unwrap();
        drop(command);
        let mut first = String::new();
        let mut reader = BufReader::with_capacity(1, reader);
        reader.read_line(&mut first).unwrap();
        assert!(first.len() > 30, "{args:?} {first}");
        drop(reader);
        let ran = ran(child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
        let all = scene.ok(args).out;
        assert!(all.starts_with(&first) && all.len() > 100_000, "{args:?}");
    }
}
