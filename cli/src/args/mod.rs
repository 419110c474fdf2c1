//! What can be written on the command line.

mod alone;
mod content;
mod keeping;
mod looking;
mod special;
mod streams;
mod tags;

use std::{convert::Infallible, path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand};
use flatbao_core::{Durability, store::Locking};

pub(crate) use self::{
    alone::{Completions, HashFiles, Man},
    content::{Add, Cat, Export, Get, Init},
    keeping::{Gc, Repair, Rm, Verify},
    looking::{Doctor, Du, Ls, Stat},
    special::{Locker, Promise, Special},
    streams::{Copy, Receive, Slice},
    tags::{TagCommand, TagLs, TagRm, TagSet},
};

const EXIT_CODES: &str = "\
REF is a full hash (hex or base32), a tag, at least four leading hex digits of a hash, or \
REF/path/in/collection. A full hash comes first, then the name of a tag as a whole, then a prefix.

Exit codes:
  0  done
  1  error
  2  wrong usage, or a prefix that fits several hashes
  3  done in part: something was skipped, missing or could not be removed
  4  not found: no such store, blob, tag or file
  5  corruption found; no damaged byte was handed out
  6  the store is locked by another process

With --json every line of stdout is one JSON object; an error is {\"error\", \"message\", \"hint\"}.

Example: flatbao add photos --tag photos && flatbao ls photos";

/// A content-addressed store that never hands out a byte it has not proved
#[derive(Debug, Parser)]
#[command(name = "flatbao", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Whether it is `FLATBAO_STORE` that names the store.
    #[arg(skip)]
    pub(crate) store_is_from_environment: bool,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The store's directory; one with complete/, partial/ and meta/ in it, or with iroh's blobs.v0 trio
    /// or blobs.v1, works as well
    #[arg(
        short,
        long,
        global = true,
        env = "FLATBAO_STORE",
        default_value = "./.flatbao",
        value_name = "DIR"
    )]
    pub(crate) store: PathBuf,
    /// One JSON object per line on stdout, errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No progress and no summaries: only the hash, tag or path that came of it
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Tell more, on stderr also what opening the store mended
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    /// Refuse every command that writes to the store
    #[arg(long, global = true)]
    pub(crate) read_only: bool,
    /// Follow external paths below PREFIX only, looked up in DIR (repeatable; without any of these,
    /// every absolute path is followed)
    #[arg(long, global = true, value_name = "PREFIX[=DIR]")]
    pub(crate) external: Vec<External>,
    /// Follow no external path
    #[arg(long, global = true, conflicts_with = "external")]
    pub(crate) no_external: bool,
    #[command(flatten)]
    pub(crate) special: Special,
}

impl Cli {
    /// Who keeps other writers out of the stores that the command writes to, as the arguments say it.
    #[must_use]
    pub fn locking(&self) -> Locking {
        self.global.special.locking.into()
    }

    /// What a write to a store is worth, as the arguments say it.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.global.special.durability.into()
    }
}

/// Where external paths that begin with a prefix are looked up.
#[derive(Debug, Clone)]
pub(crate) struct External {
    pub(crate) prefix: String,
    pub(crate) dir: PathBuf,
}

impl FromStr for External {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (prefix, dir) = text.split_once('=').unwrap_or((text, text));
        let trimmed = prefix.trim_end_matches('/');
        let prefix = if trimmed.is_empty() { prefix } else { trimmed };
        Ok(Self {
            prefix: prefix.to_owned(),
            dir: dir.into(),
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(Init),
    Add(Add),
    Get(Get),
    Export(Export),
    Cat(Cat),
    Slice(Slice),
    Receive(Receive),
    Copy(Copy),
    Ls(Ls),
    Stat(Stat),
    Du(Du),
    #[command(subcommand)]
    Tag(TagCommand),
    Rm(Rm),
    Gc(Gc),
    Verify(Verify),
    Repair(Repair),
    Doctor(Doctor),
    Hash(HashFiles),
    Completions(Completions),
    Man(Man),
}
