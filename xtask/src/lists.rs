//! Whether the tests that ran natively are those that ran under WASI.
//!
//! A test that is missing on one side fails the comparison, unless `tests/wasm-exceptions.txt` names it with
//! its reason; so does a line of that table that no test needs any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    exceptions, programs,
    steps::{output, root},
    wasm::Target,
};

/// What holds the packages whose tests run everywhere.
pub(crate) const PACKAGES: &str = "--package flatbao-core --package flatbao-fs --package flatbao-mem --package \
                                   flatbao-tests";

/// Their folders.
const FOLDERS: [&str; 4] = ["core", "backend-fs", "backend-mem", "tests"];

/// What all tests are run with natively.
pub(crate) const WORKSPACE: &str = "--workspace --all-features";

/// The table of exceptions, from the top of the checkout.
const TABLE: &str = "tests/wasm-exceptions.txt";

/// What its lines look like.
const FORM: &str = "WHERE | PROGRAM TEST | REASON";

/// Names of tests, each with the package and the test program before it.
type Names = BTreeSet<String>;

/// Compares the lists. All test programs were built before.
pub(crate) fn compare(runner: &Path) -> Result<()> {
    println!("xtask: the tests that ran natively are those that ran under WASI");
    let native = list(None, runner)?;
    ensure!(!native.is_empty(), "there are no native tests");
    let table = Table::read()?;
    let mut told = Vec::new();
    let mut used = BTreeSet::new();
    for target in Target::ALL {
        let here = list(Some(target), runner)?;
        println!(
            "xtask: {} tests natively, {} under {target}",
            native.len(),
            here.len()
        );
        for name in native.difference(&here) {
            match table.line_for(target, name) {
                Some(line) => drop(used.insert(line)),
                None => told.push(format!("{name}: runs natively, not under {target}")),
            }
        }
        for name in here.difference(&native) {
            told.push(format!("{name}: runs under {target}, not natively"));
        }
    }
    for (line, exception) in &table.0 {
        if !used.contains(line) {
            let about = &exception.pattern;
            told.push(format!("{TABLE}:{line}: {about} is no exception any more"));
        }
    }
    match told.is_empty() {
        true => Ok(()),
        false => bail!("the lists of tests differ:\n  {}", told.join("\n  ")),
    }
}

/// Every test of the packages on a platform, but for those that are ignored there.
fn list(target: Option<Target>, runner: &Path) -> Result<Names> {
    let mut names = Names::new();
    for (program, path) in programs(target)? {
        let all = tests(target, runner, &path, &[])?;
        let ignored = tests(target, runner, &path, &["--ignored"])?;
        let run = all.difference(&ignored);
        names.extend(run.map(|test| format!("{program} {test}")));
    }
    Ok(names)
}

/// The tests of one program.
fn tests(target: Option<Target>, runner: &Path, path: &Path, which: &[&str]) -> Result<Names> {
    let mut command = match target {
        None => Command::new(path),
        Some(_) => {
            let mut command = Command::new(runner);
            command.arg(path);
            command
        }
    };
    command
        .args(["--list", "--format", "terse"])
        .args(which)
        .current_dir(root());
    let listed = output(&mut command)?;
    let names = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(str::to_owned).collect())
}

/// The test programs of the packages on a platform, just as they were built for their run.
fn programs(target: Option<Target>) -> Result<BTreeMap<String, PathBuf>> {
    let which = match target {
        None => WORKSPACE.to_owned(),
        Some(target) => format!("{PACKAGES} --target {target}"),
    };
    programs::built(&which, &FOLDERS)
}

/// The exceptions, by line.
struct Table(BTreeMap<usize, Exception>);

struct Exception {
    targets: Vec<Target>,
    /// What the name of a test begins with.
    pattern: String,
}

impl Table {
    fn read() -> Result<Self> {
        let mut lines = BTreeMap::new();
        for exceptions::Line { number, fields } in exceptions::read(TABLE, FORM)? {
            let exception =
                Exception::parse(fields).with_context(|| format!("{TABLE}:{number}"))?;
            lines.insert(number, exception);
        }
        Ok(Self(lines))
    }

    fn line_for(&self, target: Target, name: &str) -> Option<usize> {
        let mut lines = self.0.iter();
        lines
            .find(|(_, exception)| exception.covers(target, name))
            .map(|(line, _)| *line)
    }
}

impl Exception {
    fn parse([targets, pattern]: [String; 2]) -> Result<Self> {
        let targets = match targets.as_str() {
            "p1" => vec![Target::P1],
            "p2" => vec![Target::P2],
            "wasi" => Target::ALL.to_vec(),
            other => bail!("{other} is none of p1, p2, wasi"),
        };
        Ok(Self { targets, pattern })
    }

    /// A pattern that ends in `*` covers what begins like it.
    fn covers(&self, target: Target, name: &str) -> bool {
        self.targets.contains(&target)
            && match self.pattern.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => name == self.pattern,
            }
    }
}
