//! What there is.

use std::ffi::OsString;

use clap::Args;

/// List complete blobs, or what is in a collection
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: hash, size (claimed, not proved), state (complete, partial; in a collection also missing), location (owned, external, both), \
verified (of partial blobs), with --long also tags, of a collection also path; with --tags name (absent when \
not UTF-8), name_hex, hash, format

Example: flatbao ls --partial --long")]
pub(crate) struct Ls {
    /// A collection or hash sequence whose content is listed
    #[arg(value_name = "REF", conflicts_with = "tags")]
    pub(crate) reference: Option<OsString>,
    /// Also partial blobs, with the bytes that are verified
    #[arg(long)]
    pub(crate) partial: bool,
    /// Tags instead of blobs
    #[arg(long, conflicts_with_all = ["partial", "long"])]
    pub(crate) tags: bool,
    /// Exact sizes, and the tags of each blob
    #[arg(short, long)]
    pub(crate) long: bool,
}

/// Tell everything about one blob
///
/// Its size is proved by its last 16 KiB; nothing else of a complete blob is read. Of partial ones everything
/// that is there is proved. Each home is opened, and its length compared.
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: hash, size, size_proved, state (complete, partial), format (raw, hashseq; null where nothing says it), \
groups (of 16 KiB, all), groups_present (those whose bytes are there; of partial blobs proved ones), files (name, \
size), homes (place: owned, external, listed; path, size, ok, problem), partials (uuid, size, verified, groups, \
groups_present, ranges: first group and the one after the last), tags (name, name_hex, through: null or the hash \
sequence), unread (hash and tags of sequences that cannot be read, with problem; they may list it, too)

Example: flatbao stat demo/main.rs")]
pub(crate) struct Stat {
    #[arg(value_name = "REF")]
    pub(crate) reference: OsString,
}

/// Tell what the store takes up, or what single tags and blobs add up to
///
///   logical      what the tags add up to, each counted on its own
///   shared       what of that is kept only once: tags, or entries, have blobs in common
///   stored       the store's files: data, outboards, path lists, partial blobs, tags
///   external     blobs whose data lie outside the store only
///   reclaimable  what gc would free now
///
/// With REF: its total; its own part, which nothing else reaches and which goes with it;
/// and what it shares. Hash sequences and the names of collections are blobs, and count.
///
/// Sizes are what the files claim: nothing is proved. A sum that cannot be told for certain
/// is - or null.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
JSON keys: for a tag or REF one line: ref, hash, format, blobs, total, distinct (each blob once), own, shared, missing, \
unmeasured; without REF then a summary: summary (du), logical, shared, stored, data, outboards, paths, partials, \
tags, external, reclaimable, complete, partial (blobs), missing, unmeasured

Example: flatbao du --long"
)]
pub(crate) struct Du {
    /// Tags or blobs; without any, the store
    #[arg(value_name = "REF")]
    pub(crate) references: Vec<OsString>,
    /// Also each tag, in exact bytes
    #[arg(short, long)]
    pub(crate) long: bool,
}

/// Say what is odd about the store, and what to do next
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: finding, severity, count, example (a message), mend; then a summary: summary (doctor), store, layout, \
locked, blobs, partial, tags, notes, problems, damage

Exit codes: as `verify --quick`

Example: flatbao doctor")]
pub(crate) struct Doctor {}
