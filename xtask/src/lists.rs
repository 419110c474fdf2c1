//! Whether the tests that ran natively are those that ran under WASI.
//!
//! A test that is missing on one side fails the comparison, unless `tests/wasm-exceptions.txt` names it with
//! its reason; so does a line of that table that no test needs any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    steps::{cargo, output, root},
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

/// The test programs of the packages on a platform: what they are called, and where they are.
fn programs(target: Option<Target>) -> Result<BTreeMap<String, PathBuf>> {
    // Just as they were built for their run, so that nothing is built anew.
    let which = match target {
        None => WORKSPACE.to_owned(),
        Some(target) => format!("{PACKAGES} --target {target}"),
    };
    let args = format!("test --no-run --quiet --locked --message-format json {which}");
    let mut programs = BTreeMap::new();
    for line in output(&mut cargo(&args))?.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        let Some(path) = message["executable"].as_str() else {
            continue;
        };
        if message["profile"]["test"] != true {
            continue;
        }
        let package = message["manifest_path"].as_str().unwrap_or_default();
        let package = Path::new(package).parent().and_then(Path::file_name);
        let package = package.and_then(|name| name.to_str()).unwrap_or_default();
        if !FOLDERS.contains(&package) {
            continue;
        }
        let name = message["target"]["name"].as_str().unwrap_or_default();
        programs.insert(format!("{package}/{name}"), path.into());
    }
    ensure!(!programs.is_empty(), "cargo has built no tests");
    Ok(programs)
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
        let path = root().join(TABLE);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let mut lines = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            lines.insert(
                number,
                Exception::parse(line).with_context(|| format!("{TABLE}:{number}"))?,
            );
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
    /// `WHERE | PROGRAM TEST | REASON`.
    fn parse(line: &str) -> Result<Self> {
        let parts: Vec<&str> = line.split('|').map(str::trim).collect();
        let [targets, pattern, reason] = parts[..] else {
            bail!("it has not the form `WHERE | PROGRAM TEST | REASON`");
        };
        ensure!(!reason.is_empty(), "an exception has a reason");
        let targets = match targets {
            "p1" => vec![Target::P1],
            "p2" => vec![Target::P2],
            "wasi" => Target::ALL.to_vec(),
            other => bail!("{other} is none of p1, p2, wasi"),
        };
        Ok(Self {
            targets,
            pattern: pattern.to_owned(),
        })
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
