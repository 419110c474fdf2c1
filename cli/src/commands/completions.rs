//! `flatbao completions`

use clap::CommandFactory;

use crate::{
    args::{Cli, Completions},
    error::{Exit, Result},
    output::Out,
};

pub(crate) fn run(args: &Completions, out: &Out) -> Result<Exit> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    // In memory first: writing to a pipe may fail, which the generator takes for a mistake in itself.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    out.bytes(&script)?;
    Ok(Exit::Done)
}
