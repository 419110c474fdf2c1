//! Runs WebAssembly programs, and tests one by one, for cargo:
//!
//! ```text
//! CARGO_TARGET_WASM32_WASIP1_RUNNER=flatbao-wasm-runner cargo test --target wasm32-wasip1
//! ```
//!
//! In WebAssembly a panic ends the whole program, and with it all tests that were still to come. So each test has a
//! program instance of its own here, with an empty directory at `/tmp`, a limit of memory and one of time; the
//! workspace is there to read, at its own path. Arguments and output are those of any test program. What is no
//! test program is simply run.
//!
//! Three variables change the limits: `FLATBAO_RUNNER_TIMEOUT` in seconds (120), `FLATBAO_RUNNER_MEMORY` in bytes
//! (2 GiB), and `FLATBAO_RUNNER_CACHE`, a directory for compiled code, or `none`.

mod harness;
mod setting;

use std::{env, error::Error, ffi::OsString, path::Path, process::ExitCode};

use flatbao_host::{Input, Output, Program, RunError};

use crate::setting::Setting;

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => {
            eprint!("flatbao-wasm-runner: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprint!(": {cause}");
                source = cause.source();
            }
            eprintln!();
            ExitCode::from(102)
        }
    }
}

fn start() -> Result<ExitCode, Box<dyn Error>> {
    let mut args = env::args_os().skip(1).map(text);
    let path = args
        .next()
        .ok_or("which program? usage: flatbao-wasm-runner PROGRAM [ARGS]")??;
    let args = args.collect::<Result<Vec<_>, _>>()?;
    let setting = Setting::from_environment()?;
    let program = Program::from_file(&setting.runtime, &path)?;
    // Cargo keeps test programs there, and nothing else that it runs.
    let may_be_tests = Path::new(&path)
        .parent()
        .is_some_and(|dir| dir.ends_with("deps"));
    if may_be_tests && let Some(tests) = harness::list(&setting, &program, &path)? {
        return Ok(harness::run(setting, program, path, tests, args));
    }
    run_program(&setting, &program, path, args)
}

fn run_program(
    setting: &Setting,
    program: &Program,
    path: String,
    args: Vec<String>,
) -> Result<ExitCode, Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let sandbox = setting
        .sandbox(scratch.path())
        .stdin(Input::Inherited)
        .stdout(Output::Inherited)
        .stderr(Output::Inherited);
    match sandbox.run(program, [path].into_iter().chain(args)) {
        Ok(finished) => Ok(u8::try_from(finished.code).unwrap_or(1).into()),
        Err(error @ RunError::Stopped(_)) => {
            eprintln!("{error}");
            Ok(ExitCode::from(134))
        }
        Err(error) => Err(error.into()),
    }
}

fn text(arg: OsString) -> Result<String, String> {
    arg.into_string().map_err(|arg| {
        format!("the argument {arg:?} is not Unicode, which is all that programs are given")
    })
}
