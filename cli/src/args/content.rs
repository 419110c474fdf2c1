//! What goes into a store and comes out of it.

use std::{ffi::OsString, path::PathBuf};

use clap::Args;

use crate::range::ByteRange;

/// Make an empty store, also in a directory that has other files (they are left alone)
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: store, action (created, exists)

Example: flatbao init --store /srv/blobs")]
pub(crate) struct Init {
    /// Where a store has lost its tags.meta, confirm that there are no tags to lose: an empty one is
    /// written, and no blob is removed
    #[arg(long)]
    pub(crate) assume_no_tags: bool,
}

/// Put files, directories or stdin into the store, and tag them
///
/// A directory becomes a collection: the names of its files, with /, and their bytes. Empty directories,
/// permissions and times are not kept. Symbolic links, FIFOs, devices and names that are not UTF-8 inside
/// it are skipped, told, and make the exit code 3. The store is made where there is none.
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: hash, size, format (raw, hashseq), path, new_bytes, tag; for a directory one line per file, then \
one for the collection, with files, and size and new_bytes of all files together

Example: flatbao add src --tag demo")]
pub(crate) struct Add {
    /// Files or directories; - is stdin
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Leave the bytes where they are, and refer to them by absolute path
    #[arg(long)]
    pub(crate) in_place: bool,
    /// Tag it with this name instead of an automatic one
    #[arg(long, value_name = "NAME", conflicts_with = "no_tag")]
    pub(crate) tag: Option<OsString>,
    /// Do not tag it: the next gc removes it
    #[arg(long)]
    pub(crate) no_tag: bool,
}

/// Restore a blob to a file, or a collection to a directory
///
/// Nothing appears under its name before all of it is verified. Names that could lead out of DEST refuse
/// the whole restore, and so do names that not every system can hold.
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: hash, size, format, path; for a collection one line per file, then one for it, with files

Example: flatbao get demo restored/")]
pub(crate) struct Get {
    #[arg(value_name = "REF")]
    pub(crate) reference: OsString,
    /// Where to [default: the last part of REF, or the hash]
    pub(crate) dest: Option<PathBuf>,
    /// Replace an existing file; restore into a directory that is not empty
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Take names that only other systems cannot hold, such as a:b, CON, or both a and A
    #[arg(long)]
    pub(crate) native_names: bool,
}

/// Move or copy a blob out to a file, or a collection to a directory, to last
///
/// A file that was told survives a power loss, whole and verified; until then nothing bears its name. With
/// --in-place or --forget the store gives its own file away where it can, without another copy of the bytes:
/// from 128 KiB on, on the same file system. Smaller blobs are copied, and with --in-place kept as well.
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: hash, size, path, method (copied, moved), in_place; for a collection one line per file, then one for \
it, with files and without method

Example: flatbao export demo/video.mp4 /srv/video.mp4 --in-place")]
pub(crate) struct Export {
    #[arg(value_name = "REF")]
    pub(crate) reference: OsString,
    /// Where to; directories are made
    pub(crate) dest: PathBuf,
    /// The store refers to the file, as after `add --in-place`
    #[arg(long)]
    pub(crate) in_place: bool,
    /// The store forgets the blob; refuses when a tag reaches it
    #[arg(long, conflicts_with = "in_place")]
    pub(crate) forget: bool,
    /// Replace an existing file; export into a directory that is not empty
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Take names that only other systems cannot hold, such as a:b, CON, or both a and A
    #[arg(long)]
    pub(crate) native_names: bool,
}

/// Print the verified bytes of a blob
#[derive(Debug, Args)]
#[command(after_help = "\
With --json the bytes are printed as they are, too: only errors are JSON

Example: flatbao cat demo/main.rs --range 0..100")]
pub(crate) struct Cat {
    #[arg(value_name = "REF")]
    pub(crate) reference: OsString,
    /// Bytes A to B, B not among them: A..B, A.. or ..B
    #[arg(long, value_name = "A..B")]
    pub(crate) range: Option<ByteRange>,
}
