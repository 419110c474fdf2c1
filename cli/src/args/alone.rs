//! What needs no store.

use std::path::PathBuf;

use clap::Args;
#[cfg(not(target_os = "wasi"))]
use clap_complete::Shell;

/// Whatever it is: the command is not there in a sandbox, and says so.
#[cfg(target_os = "wasi")]
type Shell = String;

/// Print BLAKE3 hashes of files as b3sum does, or check such a list; needs no store
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: hash, path, size; with --check path, ok, hash, and found where it differs

Example: flatbao hash *.iso > list && flatbao hash -c list")]
pub(crate) struct HashFiles {
    /// Files; - is stdin
    #[arg(required_unless_present = "check", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Check the files of a list of hashes; - is stdin
    #[arg(short, long, value_name = "FILE", conflicts_with = "paths")]
    pub(crate) check: Option<PathBuf>,
}

/// Print a script that completes commands and options in a shell; needs no store
#[derive(Debug, Args)]
#[command(after_help = "\
With --json the script is printed as it is, too: only errors are JSON

Example: flatbao completions bash > ~/.local/share/bash-completion/completions/flatbao")]
pub(crate) struct Completions {
    pub(crate) shell: Shell,
}

/// Write manual pages, one for each command, into a directory; needs no store
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: path

Example: flatbao man ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// Where to; made if it is not there
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}
