//! The project's own commands: `cargo xtask <command>`.
#![forbid(unsafe_code)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

const USAGE: &str = "\
usage: cargo xtask <command>

commands:
  test      everything that must pass: formatting, lints, tests, doc tests, examples, docs, dependencies
  interop   exchange stores with the public crate that defined the format (a heavy build of its own)
";

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let outcome = match (args.next().as_deref(), args.next()) {
        (Some("test"), None) => test(),
        (Some("interop"), None) => interop(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn test() -> Result<()> {
    let started = Instant::now();
    step("formatting", "fmt --all --check")?;
    step(
        "lints",
        "clippy --workspace --all-targets --all-features --locked -- -D warnings",
    )?;
    step("tests", "test --workspace --all-features --locked")?;
    examples()?;
    let mut docs = cargo("doc --workspace --no-deps --document-private-items --locked");
    run("docs", docs.env("RUSTDOCFLAGS", "-D warnings"))?;
    dependencies()?;
    println!("xtask: all passed in {} s", started.elapsed().as_secs());
    Ok(())
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
    for path in found
        .iter()
        .filter(|path| path.extension() == Some("rs".as_ref()))
    {
        let name = path.file_stem().and_then(|stem| stem.to_str());
        let name = name.with_context(|| format!("{} has no name", path.display()))?;
        let example = format!("example {name}");
        step(&example, &format!("run --quiet --locked --example {name}"))?;
    }
    Ok(())
}

fn read_names(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    entries.map(|entry| Ok(entry?.path())).collect()
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

fn interop() -> Result<()> {
    let mut test = cargo("test --locked");
    run(
        "exchange with the peer",
        test.current_dir(root().join("tests/interop")),
    )
}

fn step(name: &str, args: &str) -> Result<()> {
    run(name, &mut cargo(args))
}

fn run(name: &str, command: &mut Command) -> Result<()> {
    println!("xtask: {name}");
    let status = command
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{name} failed: {command:?}");
    }
    Ok(())
}

fn cargo(args: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args.split(' ')).current_dir(root());
    command
}

/// The top of the checkout: the parent of this crate. Cargo says at run time where that is, also when the
/// checkout was moved after it was built.
fn root() -> PathBuf {
    let own =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let mut root = PathBuf::from(own);
    root.pop();
    root
}
