//! What the numbers of a table depend on, in words.

use std::{env, fs, process::Command, thread};

use anyhow::{Context as _, Result};

use crate::steps::{output, root};

/// When, where and with what it was measured, in sentences.
pub(crate) fn tell(rounds: usize, is_runner_given: bool) -> Result<String> {
    let date = output(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let compiler = output(Command::new("rustc").arg("--version"))?;
    let cores = thread::available_parallelism()?;
    let medians = match rounds {
        1 => "one round".to_owned(),
        _ => format!("medians of {rounds} rounds"),
    };
    let runner = match is_runner_given {
        true => ", with a runner that was not built for it",
        false => "",
    };
    Ok(format!(
        "Measured on {}: {medians}, on {} ({}) with {cores} cores{}{};\n{}, wasmtime {}{runner}.",
        date.trim(),
        env::consts::OS,
        env::consts::ARCH,
        instructions().map_or_else(String::new, |widest| format!(" and {widest}")),
        file_system().map_or_else(String::new, |kind| format!(", the files on {kind}")),
        compiler.trim(),
        wasmtime_version()?,
    ))
}

/// The version in the lock file, which is what the runner is built with.
fn wasmtime_version() -> Result<String> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).context("Cargo.lock")?;
    let version = lock
        .split_once("name = \"wasmtime\"\nversion = \"")
        .and_then(|(_, rest)| rest.split_once('"'));
    let (version, _) = version.context("Cargo.lock names no wasmtime")?;
    Ok(version.to_owned())
}

/// The widest instructions that native BLAKE3 uses, most of what tells it from BLAKE3 in wasm.
fn instructions() -> Option<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
            return Some("AVX-512");
        }
        if is_x86_feature_detected!("avx2") {
            return Some("AVX2");
        }
        Some("SSE")
    }
    #[cfg(not(target_arch = "x86_64"))]
    cfg!(target_arch = "aarch64").then_some("NEON")
}

/// The kind of file system that temporary files are on, where the system tells: syncing costs nothing on some.
fn file_system() -> Option<String> {
    let mut df = Command::new("df");
    let told = output(df.arg("--output=fstype").arg(env::temp_dir())).ok()?;
    Some(told.lines().nth(1)?.trim().to_owned())
}
