//! Everything that must pass.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    elsewhere, lists,
    steps::{cargo, root, run, step, target_dir},
    wasm::{self, Modules, Target},
};

/// Everything that must pass.
pub(crate) fn test() -> Result<()> {
    let started = Instant::now();
    wasm::targets()?;
    lock_files()?;
    formatting()?;
    step(
        "lints",
        "clippy --workspace --all-targets --all-features --locked -- -D warnings",
    )?;
    for target in Target::ALL {
        let packages = lists::PACKAGES;
        step(
            &format!("lints under {target}"),
            &format!("clippy {packages} --all-targets --target {target} --locked -- -D warnings"),
        )?;
    }
    let modules = wasm::modules()?;
    step(
        "lints of the command under WASI",
        "clippy --package flatbao --features host-hash --target wasm32-wasip1 --locked -- -D warnings",
    )?;
    let workspace = lists::WORKSPACE;
    step("tests", &format!("test {workspace} --locked"))?;
    explore(&["--length", "2", "--seconds", "120"])?;
    interleave(false)?;
    elsewhere(&modules)?;
    examples()?;
    let mut docs = cargo("doc --workspace --no-deps --document-private-items --locked");
    run("docs", docs.env("RUSTDOCFLAGS", "-D warnings"))?;
    dependencies()?;
    println!("xtask: all passed in {} s", started.elapsed().as_secs());
    Ok(())
}

/// What of [`test()`] is about WASI, once everything is built.
pub(crate) fn wasi_test() -> Result<()> {
    wasm::targets()?;
    let modules = wasm::modules()?;
    let workspace = lists::WORKSPACE;
    step(
        "building the tests",
        &format!("test {workspace} --no-run --locked"),
    )?;
    elsewhere(&modules)
}

/// The same tests under WASI, whether they are the same, and those of the command run as a WASI program. Everything
/// native was built before.
fn elsewhere(modules: &Modules) -> Result<()> {
    let runner = target_dir().join("debug/flatbao-wasm-runner");
    for target in Target::ALL {
        let packages = lists::PACKAGES;
        // Without the programs in the documentation, which are natives.
        let which = "--lib --tests";
        let mut tests = cargo(&format!(
            "test {packages} {which} --target {target} --locked"
        ));
        tests.env(target.runner_variable(), &runner);
        run(&format!("tests under {target}"), &mut tests)?;
        step(
            &format!("building the example guest for {target}"),
            &format!("build --package flatbao-fs --example guest --target {target} --locked"),
        )?;
        let guest = target_dir()
            .join(target.triple())
            .join("debug/examples/guest.wasm");
        let mut example = Command::new(&runner);
        run(
            &format!("example guest under {target}"),
            example.arg(guest).current_dir(root()),
        )?;
    }
    lists::compare(&runner)?;
    elsewhere::test(modules)
}

/// Runs every example there is: each ends with an error when something is not as it says.
fn examples() -> Result<()> {
    let mut found = Vec::new();
    for crate_dir in read_names(&root())? {
        let dir = crate_dir.join("examples");
        if dir.is_dir() {
            found.extend(read_names(&dir)?);
        }
    }
    found.sort();
    // The tests have built them.
    let built = target_dir().join("debug/examples");
    for path in found
        .iter()
        .filter(|path| path.extension() == Some("rs".as_ref()))
    {
        let name = path.file_stem().and_then(|stem| stem.to_str());
        let name = name.with_context(|| format!("{} has no name", path.display()))?;
        let mut example = Command::new(built.join(name));
        run(&format!("example {name}"), example.current_dir(root()))?;
    }
    Ok(())
}

fn read_names(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// The workspaces that have a lock file of their own, which no build here would find to be out of date, or would format.
const WORKSPACES: [&str; 4] = ["bench", "fuzz", "tests/interop", "tests/shuttle"];

/// Whether those lock files know what the packages of this workspace need by now.
fn lock_files() -> Result<()> {
    for workspace in WORKSPACES {
        println!("xtask: lock file of {workspace}");
        let mut update = cargo("update --workspace --locked");
        let output = update.current_dir(root().join(workspace)).output();
        let output = output.with_context(|| format!("cannot run {update:?}"))?;
        let told = String::from_utf8_lossy(&output.stderr);
        if told.contains("because --locked was passed") {
            bail!("{workspace}/Cargo.lock is out of date: `cargo update --workspace` there");
        }
        if !output.status.success() {
            println!("xtask: not checked, since the index of packages cannot be read: {told}");
        }
    }
    Ok(())
}

fn formatting() -> Result<()> {
    step("formatting", "fmt --all --check")?;
    for workspace in WORKSPACES {
        let mut format = cargo("fmt --all --check");
        format.current_dir(root().join(workspace));
        run(&format!("formatting of {workspace}"), &mut format)?;
    }
    Ok(())
}

/// `cargo deny` where it is installed. It is the one check that is left out where it is not, and says so.
fn dependencies() -> Result<()> {
    let version = cargo("deny --version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !version.is_ok_and(|status| status.success()) {
        println!(
            "xtask: dependencies not checked: `cargo install cargo-deny --locked` installs the check"
        );
        return Ok(());
    }
    step("dependencies", "deny check bans licenses sources")?;
    // The advisories come over the network: without it there is no answer, and that is not a failure.
    if !cargo("deny fetch db")
        .status()
        .is_ok_and(|status| status.success())
    {
        println!("xtask: advisories not checked: their database cannot be fetched");
        return Ok(());
    }
    step("advisories", "deny check advisories")
}

/// The search for crashes that break a promise.
pub(crate) fn explore(options: &[&str]) -> Result<()> {
    let mut search =
        cargo("run --release --quiet --package flatbao-tests --bin flatbao-explore --locked --");
    run("exploring crashes", search.args(options))
}

/// What threads can do to each other, schedule by schedule: those with few preemptions, or as many as can be waited for.
pub(crate) fn interleave(all: bool) -> Result<()> {
    let dir = root().join("tests/shuttle");
    let mut test = cargo("test --locked --tests");
    test.current_dir(&dir);
    if all {
        // It tells how many there were.
        test.args(["--", "--nocapture"]);
        test.env("FLATBAO_INTERLEAVE_ALL", "1");
    }
    run("interleavings", &mut test)
}

/// The exchange with the peer.
pub(crate) fn interop() -> Result<()> {
    let mut test = cargo("test --locked");
    run(
        "exchange with the peer",
        test.current_dir(root().join("tests/interop")),
    )
}
