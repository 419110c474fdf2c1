//! Running other programs, one step at a time.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

/// Runs `cargo` with these arguments, which have no spaces in them, as a step of this name.
pub(crate) fn step(name: &str, args: &str) -> Result<()> {
    run(name, &mut cargo(args))
}

/// Runs a program as a step of this name: its output goes where this program's goes, and its failure is an
/// error.
pub(crate) fn run(name: &str, command: &mut Command) -> Result<()> {
    println!("xtask: {name}");
    let status = command
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{name} failed: {command:?}");
    }
    Ok(())
}

/// Runs a program and returns what it prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed: {told}");
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// `cargo` at the top of the checkout.
pub(crate) fn cargo(args: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args.split(' ')).current_dir(root());
    command
}

/// The top of the checkout: the parent of this crate. Cargo says at run time where that is, also when the
/// checkout was moved after it was built.
pub(crate) fn root() -> PathBuf {
    let own =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let mut root = PathBuf::from(own);
    root.pop();
    root
}

/// Where cargo builds.
pub(crate) fn target_dir() -> PathBuf {
    let told = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    told.map_or_else(|| root().join("target"), |dir| root().join(dir))
}
