//! The command `flatbao`: a store of verified blobs, from a shell.
//!
//! `args` says what can be written, each of `commands` does one thing, `output` tells what came of it.
//! Where the operating system shows, that is `platform` and `outdir`.
#![forbid(unsafe_code)]

mod args;
mod collection;
mod commands;
mod error;
mod findings;
mod names;
mod outdir;
mod output;
mod platform;
mod progress;
mod range;
mod reference;
mod restore;
mod store;
mod walk;

use std::{ffi::OsString, io::Write, process::ExitCode};

use clap::Parser;

use crate::{args::Cli, error::Exit, output::Out};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let exit = match Cli::try_parse_from(&arguments) {
        Ok(cli) => run(&cli),
        Err(error) => refuse(&error, &arguments),
    };
    ExitCode::from(exit as u8)
}

fn run(cli: &Cli) -> Exit {
    let mut out = Out::new(&cli.global);
    let outcome = commands::run(cli, &mut out);
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
        let object = serde_json::json!({
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
