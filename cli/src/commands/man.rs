//! `flatbao man`

use std::{fs, path::Path};

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::{
    args::{Cli, Man as Args},
    error::{CliError, Exit, Result},
    json::json,
    output::{Out, exact, printable},
};

pub(crate) fn run(args: &Args, out: &mut Out) -> Result<Exit> {
    out.finish_unread();
    fs::create_dir_all(&args.dir).map_err(CliError::io("make", &args.dir))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    // Gives nested commands the names by which they are called.
    command.build();
    page(&command, &args.dir, out)?;
    Ok(Exit::Done)
}

/// The page of a command, then those of its subcommands.
fn page(command: &Command, dir: &Path, out: &Out) -> Result<()> {
    let man = Man::new(command.clone());
    let path = dir.join(man.get_filename());
    let mut text = Vec::new();
    let rendered = man.render(&mut text);
    rendered
        .and_then(|()| fs::write(&path, text))
        .map_err(CliError::io("write", &path))?;
    let shown = printable(&path);
    out.result_or(&shown, || json!({"path": exact(&path)}), || shown.clone())?;
    command
        .get_subcommands()
        .try_for_each(|command| page(command, dir, out))
}
