//! Names.

use std::ffi::OsString;

use clap::{Args, Subcommand, ValueEnum};
use flatbao_core::BlobFormat;

/// Set, remove and list tags: what is tagged is kept by gc
#[derive(Debug, Subcommand)]
#[command(after_help = "Example: flatbao tag set release 3f5a && flatbao tag ls")]
pub(crate) enum TagCommand {
    Set(TagSet),
    Rm(TagRm),
    Ls(TagLs),
}

/// Give a blob a name, or a name another blob
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: name (absent when not UTF-8), name_hex, hash, format (raw, hashseq), previous (what it named before)

Example: flatbao tag set release 3f5a")]
pub(crate) struct TagSet {
    pub(crate) name: OsString,
    #[arg(value_name = "REF")]
    pub(crate) reference: OsString,
    /// What the bytes mean; a hashseq keeps what it lists [default: as REF, hashseq for a collection]
    #[arg(long)]
    pub(crate) format: Option<Format>,
}

/// Remove names; their blobs stay until the next gc
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: name (absent when not UTF-8), name_hex, hash, format (raw, hashseq), action (removed)

Example: flatbao tag rm old-release")]
pub(crate) struct TagRm {
    /// As they are, or as `tag ls` prints them
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<OsString>,
}

/// List all tags
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: name (absent when not UTF-8), name_hex, hash, format (raw, hashseq)

Example: flatbao tag ls")]
pub(crate) struct TagLs {}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    Raw,
    Hashseq,
}

impl From<Format> for BlobFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Raw => Self::Raw,
            Format::Hashseq => Self::HashSeq,
        }
    }
}
