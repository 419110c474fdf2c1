//! The project's own commands: `cargo xtask <command>`.
#![forbid(unsafe_code)]

mod check;
mod lists;
mod steps;
mod wasm;

use std::{env, process::ExitCode};

use anyhow::Result;

const USAGE: &str = "\
usage: cargo xtask <command>

commands:
  test      everything that must pass: formatting, lints, tests natively and under WASI, doc tests, examples, docs,
            dependencies
  wasm      the command as a WASI program, in target/wasm/: flatbao.wasm runs everywhere, flatbao-assisted.wasm
            has the host of this project hash for it
  interop   exchange stores with the public crate that defined the format (a heavy build of its own)
";

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let outcome = match (args.next().as_deref(), args.next()) {
        (Some("test"), None) => check::test(),
        (Some("wasm"), None) => build_modules(),
        (Some("interop"), None) => check::interop(),
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

fn build_modules() -> Result<()> {
    wasm::targets()?;
    wasm::modules().map(drop)
}
