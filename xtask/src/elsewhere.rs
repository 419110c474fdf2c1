//! The tests of the command, run with the command as a WASI program.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    lists,
    steps::{cargo, root, run, target_dir},
    wasm::{self, Modules},
};

/// What is tried under Node, where every start takes a good part of a second: the pages, and what they tell most of.
const SCENARIOS: [&str; 5] = ["scenes", "read", "hash", "stat", "tags"];

/// Runs them in the sandbox of this project, and under Node with the plain module.
pub(crate) fn test(modules: &Modules) -> Result<()> {
    let all = test_files()?;
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    command(
        "the command in a sandbox",
        &target_dir().join("debug/flatbao-sandbox"),
        &modules.assisted,
        &all,
        "cli/tests/sandbox-exceptions.txt",
    )?;
    let Some(version) = wasm::node() else {
        println!(
            "xtask: the command was not tested under Node: there is no Node from version 20 on"
        );
        return Ok(());
    };
    command(
        &format!("the command under Node {version}"),
        &root().join("cli/wasi/flatbao-node"),
        &modules.plain,
        &SCENARIOS,
        "cli/tests/node-exceptions.txt",
    )
}

/// Runs these tests of the command on a program that runs this module, but for those that a table names.
fn command(name: &str, program: &Path, module: &Path, files: &[&str], table: &str) -> Result<()> {
    let exceptions = exceptions(table)?;
    let mut tests = cargo(&format!("test {} --locked", lists::WORKSPACE));
    for file in files {
        tests.args(["--test", file]);
    }
    tests.args(["--", "--exact"]);
    for test in &exceptions {
        tests.args(["--skip", test]);
    }
    // What a program under Node sees besides the current directory.
    let seen = format!("{}:{}", env::temp_dir().display(), root().display());
    tests
        .env("FLATBAO_DIRS", seen)
        .env("FLATBAO_TEST_COMMAND", program)
        .env("FLATBAO_MODULE", module);
    run(name, &mut tests)
}

/// The names of the command's test programs.
fn test_files() -> Result<Vec<String>> {
    let dir = root().join("cli/tests");
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
        let path: PathBuf = entry?.path();
        if path.extension() == Some("rs".as_ref()) {
            let name = path.file_stem().and_then(|name| name.to_str());
            names.extend(name.map(str::to_owned));
        }
    }
    names.sort();
    ensure!(!names.is_empty(), "the command has no tests");
    Ok(names)
}

/// The tests that a table names: about something that is not there elsewhere. Its lines are `FILE TEST | REASON`.
fn exceptions(table: &str) -> Result<Vec<String>> {
    let path = root().join(table);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut tests = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let parts = line
            .split_once('|')
            .filter(|(_, reason)| !reason.trim().is_empty());
        let Some((file, test)) = parts.and_then(|(name, _)| name.trim().split_once(' ')) else {
            bail!("{table}:{number} has not the form `FILE TEST | REASON`");
        };
        ensure_is_there(file, test).with_context(|| format!("{table}:{number}"))?;
        tests.push(test.to_owned());
    }
    Ok(tests)
}

/// An exception from a test that is not there any more would hide the next one of its name.
fn ensure_is_there(file: &str, test: &str) -> Result<()> {
    let path = root().join("cli/tests").join(file).with_extension("rs");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let name = test.rsplit("::").next().unwrap_or(test);
    ensure!(
        text.contains(&format!("fn {name}()")),
        "there is no test {test} in {file}"
    );
    Ok(())
}
