//! What goes from store to store.

use std::{ffi::OsString, path::PathBuf};

use clap::Args;

use crate::{args::tags::Format, range::ByteRanges};

/// Print a blob, or a part of one, as a stream that proves itself
///
/// A stream has the size of the blob, the data that are asked for, and what proves them: whoever knows the
/// hash can check every byte as it comes. It is what iroh sends. Ranges are widened to whole groups of 16 KiB,
/// the least that a store keeps. Of a partial blob those can be sliced that are there (`flatbao stat` tells).
/// Of a collection the stream has the list alone: `flatbao copy` moves everything in it.
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: with --output: hash, size (of the blob), data (bytes of it in the stream), stream (bytes of all), \
path. Without it the stream is printed as it is, and only errors are JSON

Example: flatbao slice demo/video.mp4 0..1000000 -o head.bao")]
pub(crate) struct Slice {
    #[arg(value_name = "REF")]
    pub(crate) reference: OsString,
    /// Bytes A to B, B not among them: A..B, A.. or ..B, or several of these with commas between them
    /// [default: all]
    #[arg(value_name = "RANGE")]
    pub(crate) range: Option<ByteRanges>,
    /// Write the stream to FILE, which appears when all of it is there; - is stdout
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace an existing FILE
    #[arg(short, long, requires = "output")]
    pub(crate) force: bool,
}

/// Fill a blob from a stream, as `flatbao slice` prints it
///
/// Every byte is proved before it is written. When all of the blob is there it is complete; until then it is a
/// partial blob, which can be read as far as it goes. A stream that breaks off or goes wrong leaves what was
/// proved, and tagged: --missing tells what to ask for after that. The store is made where there is none.
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: hash, size (claimed, until the end is there), state (complete, partial, missing), new_bytes, verified \
(bytes that are there), missing (ranges of bytes: first and the one after the last, null where the end is not known), \
tag; with --missing only hash and missing

Exit codes: 3 when the stream broke off, 5 when it was wrong, 1 when it goes on behind its end; what was proved before \
is kept

Example: flatbao slice demo/video.mp4 | ssh there flatbao receive HASH")]
pub(crate) struct Receive {
    /// The blob: its hash, or whatever names it in this store
    #[arg(value_name = "HASH")]
    pub(crate) reference: OsString,
    /// The stream; - is stdin
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    /// What the stream is of, as it was given to `flatbao slice` [default: all]
    #[arg(long, value_name = "RANGE")]
    pub(crate) range: Option<ByteRanges>,
    /// Receive nothing: print the ranges that are missing, as `flatbao slice` and --range take them; nothing
    /// when nothing is missing
    #[arg(long, conflicts_with_all = ["file", "range", "tag", "no_tag", "format"])]
    pub(crate) missing: bool,
    /// Tag it with this name, once all of it is there if the name is another blob's; without this it gets an
    /// automatic tag if it has none
    #[arg(long, value_name = "NAME", conflicts_with = "no_tag")]
    pub(crate) tag: Option<OsString>,
    /// Do not tag it: the next gc removes it
    #[arg(long)]
    pub(crate) no_tag: bool,
    /// What the bytes mean, once all of them are there [default: as tagged, otherwise raw]
    #[arg(long)]
    pub(crate) format: Option<Format>,
}

/// Copy a blob, or a collection with everything in it, to another store
///
/// Only what is missing there moves, group by group, and every byte is proved on its way. A copy that is
/// interrupted goes on when it is started again: what came is tagged from the beginning. The other store is made
/// where there is none; the one that --store names is only read.
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: hash, format, to, blobs, known (that were there before), bytes (that moved), incomplete (blobs that \
are not there as a whole), tag; what is wrong with those is told as errors are, before

Exit codes: 3 when something of it could not be copied, 5 when that is because it is damaged

Example: flatbao copy demo --to /mnt/backup")]
pub(crate) struct Copy {
    #[arg(value_name = "REF")]
    pub(crate) reference: OsString,
    /// The other store's directory
    #[arg(long, value_name = "STORE")]
    pub(crate) to: PathBuf,
    /// The tag that it gets there, once all of it is there if the name is another blob's [default: the one that REF
    /// is, otherwise an automatic one]
    #[arg(long, value_name = "NAME", conflicts_with = "no_tag")]
    pub(crate) tag: Option<OsString>,
    /// Do not tag it there: the next gc removes it
    #[arg(long)]
    pub(crate) no_tag: bool,
}
