//! The tests of the command, run with the command as a WASI program.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    exceptions, lists, programs,
    steps::{root, run, target_dir},
    wasm::{self, Modules},
};

/// What is tried under Node, where every start takes a good part of a second: the pages, and whatever it is that they
/// tell of.
const SCENARIOS: [&str; 13] = [
    "add",
    "care",
    "fixtures",
    "gc",
    "get",
    "hash",
    "read",
    "scenes",
    "stat",
    "store",
    "streams",
    "tags",
    "tags_meta",
];

/// The folder of the command.
const FOLDER: &str = "cli";

/// What a test program is not asked for: the library's own tests, which run no command.
const LIBRARY: &str = "flatbao";

/// Runs them in the sandbox of this project, and under Node with the plain module.
pub(crate) fn test(modules: &Modules) -> Result<()> {
    let all = test_programs()?;
    Elsewhere {
        name: "in a sandbox",
        command: &target_dir().join("debug/flatbao-sandbox"),
        module: &modules.assisted,
        table: "cli/tests/sandbox-exceptions.txt",
    }
    .test(&all)?;
    let Some(version) = wasm::node() else {
        println!(
            "xtask: the command was not tested under Node: there is no Node from version 20 on"
        );
        return Ok(());
    };
    let scenarios = SCENARIOS.map(|name| {
        let path = all.get(name).cloned();
        path.map(|path| (name.to_owned(), path))
            .with_context(|| format!("there are no tests {name}"))
    });
    Elsewhere {
        name: &format!("under Node {version}"),
        command: &root().join("cli/wasi/flatbao-node"),
        module: &modules.plain,
        table: "cli/tests/node-exceptions.txt",
    }
    .test(&scenarios.into_iter().collect::<Result<_>>()?)
}

/// Where the command runs.
struct Elsewhere<'a> {
    name: &'a str,
    /// What stands for the command, and runs the module.
    command: &'a Path,
    module: &'a Path,
    /// The tests that are left out.
    table: &'a str,
}

impl Elsewhere<'_> {
    fn test(&self, programs: &BTreeMap<String, PathBuf>) -> Result<()> {
        let exceptions = exceptions(self.table)?;
        // What a program under Node sees besides the current directory.
        let seen = format!("{}:{}", env::temp_dir().display(), root().display());
        for (name, path) in programs {
            let mut test = Command::new(path);
            test.arg("--exact").current_dir(root().join(FOLDER));
            for (file, exception) in &exceptions {
                if file == name {
                    test.args(["--skip", exception]);
                }
            }
            test.env("FLATBAO_DIRS", &seen)
                .env("FLATBAO_TEST_COMMAND", self.command)
                .env("FLATBAO_MODULE", self.module);
            run(&format!("the command {}: {name}", self.name), &mut test)?;
        }
        Ok(())
    }
}

/// The command's test programs by name.
fn test_programs() -> Result<BTreeMap<String, PathBuf>> {
    let built = programs::built(lists::WORKSPACE, &[FOLDER])?;
    let name = |name: String| Some(name.strip_prefix(FOLDER)?.strip_prefix('/')?.to_owned());
    let named = built
        .into_iter()
        .filter_map(|(program, path)| Some((name(program)?, path)));
    Ok(named.filter(|(name, _)| name != LIBRARY).collect())
}

/// The tests that a table names, with the program that each is in.
fn exceptions(table: &str) -> Result<Vec<(String, String)>> {
    const FORM: &str = "TEST-FILE TEST-NAME | REASON";
    let mut tests = Vec::new();
    for exceptions::Line {
        number,
        fields: [test],
    } in exceptions::read(table, FORM)?
    {
        let place = || format!("{table}:{number}");
        let (file, test) = test.split_once(' ').with_context(place)?;
        ensure_is_there(file, test).with_context(place)?;
        tests.push((file.to_owned(), test.to_owned()));
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
