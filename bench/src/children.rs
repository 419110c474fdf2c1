//! The processes in which everything happens.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::meter::Sample;

/// This program again, with these arguments.
pub(crate) fn again(args: &[&str]) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(args).stderr(Stdio::inherit());
    // How many threads there are is told to each of them, or to none.
    command.env_remove("RAYON_NUM_THREADS");
    Ok(command)
}

/// Runs a child that prints nothing.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

/// Runs a child that prints what it took.
pub(crate) fn sample(command: &mut Command) -> Result<Sample> {
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?} failed");
    let text = String::from_utf8(output.stdout)?;
    // Whatever a peer prints comes before.
    let line = text.lines().last().context("a child printed nothing")?;
    serde_json::from_str(line).with_context(|| line.to_owned())
}

/// A directory for a run, which is removed with all that is in it when the run ends: in this one, or where cargo builds.
pub(crate) fn scratch(dir: Option<&Path>) -> Result<TempDir> {
    let place = match dir {
        Some(dir) => dir.to_owned(),
        None => beside_program()?,
    };
    std::fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    // Some of the peers take no path that is not absolute.
    let place = place.canonicalize()?;
    let scratch = tempfile::Builder::new()
        .prefix("flatbao-bench-")
        .tempdir_in(&place)?;
    Ok(scratch)
}

/// The directory for temporary files may be in memory, where nothing costs what it does on a disk.
fn beside_program() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let dir = program.parent().context("a program without a directory")?;
    Ok(dir.to_owned())
}
