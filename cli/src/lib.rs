//! The command `flatbao`: a store of verified blobs, from a shell.
//!
//! This is the command as a library, for its own program and for a host that runs it somewhere else. [`run`] does
//! all of it. A host that runs it elsewhere [parses](parse) the same arguments first, and grants what [`Cli::places`]
//! says that the command touches.
//!
//! ```
//! use flatbao::{Access, StoreAccess};
//!
//! # fn main() -> Result<(), std::process::ExitCode> {
//! let cli = flatbao::parse(["flatbao", "--store", "blobs", "add", "photos"])?;
//! let places = cli.places();
//! assert_eq!(places.stores[0].access, StoreAccess::Fill);
//! assert_eq!(places.outside[0].path.to_str(), Some("photos"));
//! assert_eq!(places.outside[0].access, Access::Read);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

// `args` says what can be written, each of `commands` does one thing, `output` tells what came of it. Where the
// operating system shows, that is `platform` and `outdir`.
mod args;
mod collection;
mod commands;
mod elsewhere;
mod error;
mod findings;
mod json;
mod names;
mod outdir;
mod output;
mod places;
mod platform;
#[cfg_attr(target_os = "wasi", path = "no_progress.rs")]
mod progress;
mod range;
mod reference;
mod restore;
mod store;
mod walk;

use std::{ffi::OsString, io::Write, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, parser::ValueSource};

pub use crate::{
    args::Cli,
    elsewhere::{Refusal, listed},
    places::{Access, ExternalPlace, Place, Places, StoreAccess, StorePlace},
};
use crate::{error::Exit, output::Out};

/// Runs the command with these arguments, of which the first is the program's name, on this process's standard
/// streams. `--help` lists what the exit code means.
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> ExitCode {
    match parse(arguments) {
        Ok(cli) => code(execute(&cli)),
        Err(code) => code,
    }
}

/// Parses arguments, of which the first is the program's name, and does nothing yet.
///
/// # Errors
/// The exit code, when they are wrong or ask for help: that is told already.
pub fn parse(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Cli, ExitCode> {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    read(&arguments).map_err(|error| code(refuse(&error, &arguments)))
}

fn read(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    cli.store_is_from_environment = matches.value_source("store") == Some(ValueSource::EnvVariable);
    Ok(cli)
}

fn code(exit: Exit) -> ExitCode {
    ExitCode::from(exit as u8)
}

fn execute(cli: &Cli) -> Exit {
    let mut out = Out::new(&cli.global);
    let outcome = platform::begin(&cli.global).and_then(|()| commands::run(cli, &mut out));
    out.meter.stop();
    let outcome = outcome.and_then(|exit| out.flush().map(|()| exit));
    outcome.unwrap_or_else(|error| {
        out.error(&error);
        error.exit()
    })
}

/// Tells what is wrong with the arguments, or what was asked with `--help` and `--version`.
fn refuse(error: &clap::Error, arguments: &[OsString]) -> Exit {
    let mut options = arguments.iter().take_while(|text| *text != "--");
    if error.use_stderr() && options.any(|text| text == "--json") {
        let text = error.to_string();
        let (message, hint) = text.split_once("\n\n").unwrap_or((&text, ""));
        let object = crate::json::json!({
            "error": "usage",
            "message": message.trim_start_matches("error: ").trim(),
            "hint": hint.trim(),
        });
        let _ = writeln!(std::io::stdout(), "{object}");
    } else {
        // A reader that has gone has no use for it.
        let _ = error.print();
    }
    if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Done
    }
}
