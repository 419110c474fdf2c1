//! The project's own commands: `cargo xtask <command>`.
#![forbid(unsafe_code)]

mod bench;
mod check;
mod elsewhere;
mod exceptions;
mod facts;
mod kills;
mod lists;
mod page;
mod programs;
mod steps;
mod table;
mod wasm;

use std::{env, process::ExitCode};

use anyhow::Result;

const USAGE: &str = "\
usage: cargo xtask <command>

commands:
  test        everything that must pass: formatting, lints, tests natively and under WASI, doc tests, interleavings,
              examples, docs, dependencies
  wasi-test   of these, the tests under WASI, in the sandbox and under Node
  wasm        the command as a WASI program, in target/wasm/: flatbao.wasm runs everywhere, flatbao-assisted.wasm
              has the host of this project hash for it
  wasi-table  measure what a sandbox costs and write the table of host-wasm/MEASURED.md; --help has its options
  bench       measure flatbao, its peers and the floor side by side and write BENCHMARKS.md (a heavy build of its own);
              --help has its options
  explore     look for a crash that breaks a promise, in every story up to a length and in random ones; --help has its
              options
  kills [--kills N] [--seed X]
              kill the command at N random moments (200) and look at its store after each; X is the seed that a
              failure has told
  interleave  run the store under as many schedules of its threads as can be waited for; test runs some of them
  interop     exchange stores with the public crate that defined the format (a heavy build of its own)
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["test"] => check::test(),
        ["wasi-test"] => check::wasi_test(),
        ["wasm"] => build_modules(),
        ["wasi-table", "--help"] => {
            print!("{}", table::USAGE);
            Ok(())
        }
        ["wasi-table", ref options @ ..] => match table::Options::parse(options) {
            Some(options) => table::write(&options),
            None => {
                eprint!("{}", table::USAGE);
                return ExitCode::from(2);
            }
        },
        ["bench", "--help"] => {
            print!("{}", bench::USAGE);
            Ok(())
        }
        ["bench", ref options @ ..] => match bench::Options::parse(options) {
            Some(options) => bench::bench(&options),
            None => {
                eprint!("{}", bench::USAGE);
                return ExitCode::from(2);
            }
        },
        ["explore", ref options @ ..] => check::explore(options),
        ["interleave"] => check::interleave(true),
        ["interop"] => check::interop(),
        ["kills", ref options @ ..] => match kills::Options::parse(options) {
            Some(options) => kills::test(&options),
            None => return usage(),
        },
        _ => return usage(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(2)
}

fn build_modules() -> Result<()> {
    wasm::targets()?;
    wasm::modules().map(drop)
}
