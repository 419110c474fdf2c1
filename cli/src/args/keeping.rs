//! What keeps a store in order.

use std::{ffi::OsString, path::PathBuf, str::FromStr, time::Duration};

use clap::Args;

/// Remove blobs now; refuses when a tag reaches one
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: hash, size (bytes freed), action (removed)

Example: flatbao rm 3f5a")]
pub(crate) struct Rm {
    #[arg(required = true, value_name = "HASH")]
    pub(crate) references: Vec<OsString>,
    /// Also when a tag reaches it: the tag then names nothing
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// Remove every blob that no tag reaches; files outside the store are never touched
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: hash, size, action (would_remove, removed, kept), reason (of kept: changed, quarantined, failed); \
then a summary: summary (gc), dry_run, removed, kept, reachable, bytes

Example: flatbao gc --dry-run -v")]
pub(crate) struct Gc {
    /// Only tell what would go
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Where tags.meta is missing, take it that there are no tags: everything goes
    #[arg(long)]
    pub(crate) assume_no_tags: bool,
}

/// Look for damage, and change nothing
///
/// Every byte of every blob is read and proved, and so are outboards, external files and the tags. What is
/// found is told with the place in the blob and the command that mends it.
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: hash, ok, and of a sound blob size; of a finding finding (its kind), severity (note, problem, damage), \
offset and groups (of 16 KiB, [first, behind the last]) where it has a place, message, mend; then a summary: \
summary (verify), depth, blobs, bytes, notes, problems, damage, next

Exit codes: 5 when there is damage, 3 when there are problems but no damage, 0 when there are at most notes

Example: flatbao verify --budget 10m --cursor verify.pos")]
pub(crate) struct Verify {
    /// Only these, and what is in them where they are collections
    #[arg(value_name = "REF")]
    pub(crate) references: Vec<OsString>,
    /// Read all bytes of all data; this is the default
    #[arg(long, conflicts_with = "quick")]
    pub(crate) deep: bool,
    /// Of the data read only the last 16 KiB of each blob, which prove its length; outboards are read in full
    #[arg(long)]
    pub(crate) quick: bool,
    /// Stop after this time, such as 30s, 10m or 1h30m, and say where
    #[arg(long, value_name = "TIME")]
    pub(crate) budget: Option<Budget>,
    /// Go on where FILE says, and write there where this run stops; a run that comes to the end removes it
    #[arg(long, value_name = "FILE")]
    pub(crate) cursor: Option<PathBuf>,
}

/// A span of time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget(pub(crate) Duration);

impl FromStr for Budget {
    type Err = humantime::DurationError;

    /// A number is a number of seconds.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(seconds) => Ok(Self(Duration::from_secs(seconds))),
            Err(_) => humantime::parse_duration(text).map(Self),
        }
    }
}

/// Put right what can be put right without losing a good byte
///
/// Lost outboards are made again. Damaged data are written anew where another copy has them right; otherwise
/// they become a partial blob that keeps every good group. Dead external paths are dropped where another
/// copy is whole. A damaged tags.meta is touched only when one of the two options says so.
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: hash, action (rebuild_outboard, rewrite_data, demote, pair, remove_outboard, drop_paths, protect_tags, \
restore_tags), outcome (planned, done, changed, failed), message, error where it failed; of a demoted blob groups, \
and missing (of 16 KiB, [first, behind the last]); of restored tags tag and hash each, then tags (how many) and kept (the \
name of the damaged file); what is left is told as `verify` tells it; then a summary: summary (repair), dry_run, blobs, mended, failed, left

Exit codes: 3 when something is left to do, a demoted blob for example, 0 when nothing is

Example: flatbao repair --dry-run")]
pub(crate) struct Repair {
    /// Only these, and what is in them where they are collections
    #[arg(value_name = "REF")]
    pub(crate) references: Vec<OsString>,
    /// Only tell what would be done
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Replace a damaged or missing tags.meta by this copy of it, and do nothing else
    #[arg(long, value_name = "COPY", conflicts_with_all = ["references", "salvage_tags"])]
    pub(crate) tags_from: Option<PathBuf>,
    /// Replace a damaged tags.meta by the tags in it that can be proved, and do nothing else
    #[arg(long, conflicts_with = "references")]
    pub(crate) salvage_tags: bool,
}
