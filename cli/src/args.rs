//! What can be written on the command line.

use std::{convert::Infallible, ffi::OsString, path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use flatbao_core::BlobFormat;
use jiff::SignedDuration;

use crate::range::ByteRange;

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
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
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
    /// Read all bytes of all data [default]
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
    type Err = jiff::Error;

    /// A number is a number of seconds.
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        if let Ok(seconds) = text.parse() {
            return Ok(Self(Duration::from_secs(seconds)));
        }
        let span: SignedDuration = text.parse()?;
        Ok(Self(span.try_into()?))
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
restore_tags), outcome (planned, done, changed, failed), missing (groups of 16 KiB that a demoted blob lacks), message; \
what is left is told as `verify` tells it; then a summary: summary (repair), dry_run, blobs, mended, failed, left

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

/// Say what is odd about the store, and what to do next
#[derive(Debug, Args)]
#[command(after_help = "\
JSON keys: finding, severity, count, example (a message), mend; then a summary: summary (doctor), store, layout, \
locked, blobs, partial, tags, notes, problems, damage

Exit codes: as `verify --quick`

Example: flatbao doctor")]
pub(crate) struct Doctor {}

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
