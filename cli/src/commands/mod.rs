//! One module a command.

#[cfg(target_os = "wasi")]
use crate::error::CliError;
use crate::{
    args::{Cli, Command, TagCommand},
    error::{Exit, Result},
    output::Out,
};

mod add;
mod cat;
#[cfg(not(target_os = "wasi"))]
mod completions;
mod copy;
mod doctor;
mod du;
mod export;
mod gc;
mod get;
pub(crate) mod hash;
mod init;
mod ls;
#[cfg(not(target_os = "wasi"))]
mod man;
mod receive;
mod repair;
mod rm;
mod slice;
mod stat;
mod tag;
mod verify;

pub(crate) fn run(cli: &Cli, out: &mut Out) -> Result<Exit> {
    let global = &cli.global;
    match &cli.command {
        Command::Init(args) => init::run(global, args, out),
        Command::Add(args) => add::run(global, args, out),
        Command::Get(args) => get::run(global, args, out),
        Command::Export(args) => export::run(global, args, out),
        Command::Cat(args) => cat::run(global, args, out),
        Command::Slice(args) => slice::run(global, args, out),
        Command::Receive(args) => receive::run(global, args, out),
        Command::Copy(args) => copy::run(global, args, out),
        Command::Ls(args) => ls::run(global, args, out),
        Command::Stat(args) => stat::run(global, args, out),
        Command::Du(args) => du::run(global, args, out),
        Command::Tag(TagCommand::Set(args)) => tag::set(global, args, out),
        Command::Tag(TagCommand::Rm(args)) => tag::rm(global, args, out),
        Command::Tag(TagCommand::Ls(_)) => tag::ls(global, out),
        Command::Rm(args) => rm::run(global, args, out),
        Command::Gc(args) => gc::run(global, args, out),
        Command::Verify(args) => verify::run(global, args, out),
        Command::Repair(args) => repair::run(global, args, out),
        Command::Doctor(_) => doctor::run(global, out),
        Command::Hash(args) => hash::run(args, out),
        #[cfg(not(target_os = "wasi"))]
        Command::Completions(args) => completions::run(args, out),
        #[cfg(not(target_os = "wasi"))]
        Command::Man(args) => man::run(args, out),
        // What is made once for the shell and the manual is made outside.
        #[cfg(target_os = "wasi")]
        Command::Completions(_) | Command::Man(_) => Err(CliError::usage(
            "this command is not there in a sandbox",
            "run it with the native `flatbao`: what it makes is the same",
        )),
    }
}
