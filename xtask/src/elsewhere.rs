//! The tests of the command, run with the command as a WASI program.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    lists,
    steps::{cargo, root, run, target_dir},
    wasm::{self, Modules},
};

/// Runs them in the sandbox of this project, and under Node with the plain module.
pub(crate) fn test(modules: &Modules) -> Result<()> {
    let sandbox = target_dir().join("debug/flatbao-sandbox");
    let table = "cli/tests/sandbox-exceptions.txt";
    command(
        "the command in a sandbox",
        &sandbox,
        &modules.assisted,
        table,
    )?;
    let Some(version) = wasm::node() else {
        println!(
            "xtask: the command was not tested under Node: there is no Node from version 20 on"
        );
        return Ok(());
    };
    let name = format!("the command under Node {version}");
    let node = root().join("cli/wasi/flatbao-node");
    command(
        &name,
        &node,
        &modules.plain,
        "cli/tests/node-exceptions.txt",
    )
}

/// Runs the tests of the command on a program that runs this module, but for those that a table names.
fn command(name: &str, program: &Path, module: &Path, table: &str) -> Result<()> {
    let exceptions = Exceptions::read(table)?;
    let mut tests = cargo(&format!("test {} --locked", lists::WORKSPACE));
    for file in test_files()? {
        if !exceptions.whole_files.contains(&file) {
            tests.args(["--test", &file]);
        }
    }
    tests.args(["--", "--exact"]);
    for test in &exceptions.tests {
        tests.args(["--skip", test]);
    }
    tests
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

/// Tests that are about something that is not there elsewhere.
struct Exceptions {
    whole_files: Vec<String>,
    tests: Vec<String>,
}

impl Exceptions {
    /// Lines of `FILE TEST | REASON`, with `*` for all tests of a file.
    fn read(table: &str) -> Result<Self> {
        let path = root().join(table);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let mut this = Self {
            whole_files: Vec::new(),
            tests: Vec::new(),
        };
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let parts = line
                .split_once('|')
                .map(|(name, reason)| (name.trim(), reason.trim()));
            let name = parts.filter(|(_, reason)| !reason.is_empty());
            match name.and_then(|(name, _)| name.split_once(' ')) {
                Some((file, "*")) => this.whole_files.push(file.to_owned()),
                Some((file, test)) => {
                    ensure_is_there(file, test).with_context(|| format!("{table}:{number}"))?;
                    this.tests.push(test.to_owned());
                }
                None => bail!("{table}:{number} has not the form `FILE TEST | REASON`"),
            }
        }
        Ok(this)
    }
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
