//! The command `flatbao`, in a sandbox: `flatbao-sandbox -s DIR add FILE` takes the arguments of `flatbao` and does the
//! same, but what reads and writes the store is a WebAssembly program that has nothing except what these arguments name.
//!
//! All arguments are those of `flatbao`, so that what is this program's own comes from variables: `FLATBAO_MODULE`, the
//! program to run; `FLATBAO_SANDBOX_MEMORY`, what it may have, in bytes (1 GiB); `FLATBAO_SANDBOX_SECONDS`, how long it
//! may take (for ever). The program itself has no variables.
//!
//! Arguments are read here, so that what is wrong with them is told, and `--help` shown, without the program. So is what
//! makes scripts for the shell and pages for the manual: it touches no store. A program that is stopped, for whatever
//! reason, ends with exit code 1, and the locks that were held for it are released.
//!
//! # What the program is granted
//! The stores; locked by this process where they are written, read-only where they are read. Files that are read, one
//! by one. Directories that are added, to read. What is written, by its name, and `.flatbao-….tmp` beside it, under which
//! a file appears first; of a directory that is written into, and is there, everything in it. If a store that is only
//! read is there, it is locked. Files that a store refers to only below what `--external` names.
//! Everything has the path that it has outside; but the program sees no links on the way to what it was granted.

mod arguments;
mod error;
mod fill;
mod grants;
mod plan;
mod settings;
mod skeleton;
mod view;

use std::{
    env,
    ffi::OsString,
    io::{Write as _, stdout},
    process::ExitCode,
};

use flatbao::Cli;
use flatbao_host::{CodeCache, Output, Program, RunError, Runtime, Sandbox};

use crate::{
    error::{Error, Result},
    plan::Plan,
    settings::Settings,
};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    let cli = match flatbao::parse(&arguments) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    if !cli.is_for_sandboxes() {
        return flatbao::run(arguments);
    }
    run(&cli, &arguments).unwrap_or_else(|error| cli.refuse(error.into()))
}

fn run(cli: &Cli, arguments: &[OsString]) -> Result<ExitCode> {
    let settings = Settings::from_environment()?;
    let plan = Plan::new(cli)?;
    let ended = run_planned(cli, arguments, &settings, &plan);
    plan.tidy_up();
    // A reader that has gone is none that could be told.
    let _ = stdout().flush();
    Ok(ExitCode::from(u8::try_from(ended?).unwrap_or(1)))
}

fn run_planned(cli: &Cli, arguments: &[OsString], settings: &Settings, plan: &Plan) -> Result<i32> {
    let arguments = arguments::for_program(cli, arguments, plan)?;
    let sandbox = settings.limit(plan.sandbox()?);
    // Whoever can write to compiled code leaves the sandbox. So where it would be granted it is not used.
    match start(settings, CodeCache::User, &sandbox, &arguments) {
        Err(Error::Run(RunError::CacheGranted { .. })) => {
            start(settings, CodeCache::None, &sandbox, &arguments)
        }
        other => other,
    }
}

fn start(
    settings: &Settings,
    cache: CodeCache,
    sandbox: &Sandbox,
    arguments: &[String],
) -> Result<i32> {
    let runtime = Runtime::builder()
        .cache(cache)
        .interruptible(settings.has_deadline())
        .build()
        .map_err(Error::Runtime)?;
    let program = Program::from_file(&runtime, settings.module())
        .map_err(|source| Error::module(settings.module(), source))?;
    let sandbox = sandbox
        .clone()
        .stdout(Output::Inherited)
        .stderr(Output::Inherited);
    Ok(sandbox.run(&program, arguments).map_err(Error::Run)?.code)
}
