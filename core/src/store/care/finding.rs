//! What can be found wrong with a store, and what mends it.

use std::{fmt, ops::Range};

use crate::{
    EntryKind, FileName, Hash, HashAndFormat, PathError, PathsError, Tag, TagDamage, tree::GROUP,
};

/// Something about a store that is not as it should be.
///
/// `groups` are numbers of groups of 16 KiB, half-open and in order. Text that comes from names and errors
/// has nothing in it that would confuse a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// Owned data are wrong, short, or not to be proved since their outboard is damaged too.
    CorruptData {
        /// The blob.
        hash: Hash,
        /// The groups that cannot be served.
        groups: Vec<Range<u64>>,
        /// Whether another home has every one of them right, so that no byte is lost.
        elsewhere: bool,
    },
    /// Owned data go on behind the end of the blob.
    TrailingData {
        /// The blob.
        hash: Hash,
        /// Bytes of the blob.
        size: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// Owned data are listed and not there: another program has removed them.
    MissingData {
        /// The blob.
        hash: Hash,
    },
    /// An outboard does not prove all of its blob, or claims another size.
    CorruptOutboard {
        /// The blob.
        hash: Hash,
        /// The groups that it does not prove; none when it is only the size or the length that is wrong.
        groups: Vec<Range<u64>>,
    },
    /// A blob of more than 16 KiB has no outboard.
    MissingOutboard {
        /// The blob.
        hash: Hash,
    },
    /// A blob of one group has an outboard, which nothing reads.
    NeedlessOutboard {
        /// The blob.
        hash: Hash,
    },
    /// An outboard has no data and no external path.
    OrphanOutboard {
        /// The blob.
        hash: Hash,
    },
    /// A file of the store cannot be read, for a reason that is not damage.
    Unreadable {
        /// The blob.
        hash: Hash,
        /// The file.
        file: FileName,
        /// What the back end says.
        why: String,
    },
    /// An external file has other bytes than it had.
    ExternalChanged {
        /// The blob.
        hash: Hash,
        /// The file.
        path: String,
        /// The groups that cannot be served from it; none when it only goes on behind the end.
        groups: Vec<Range<u64>>,
    },
    /// An external file is not there, or something else is in its place.
    ExternalMissing {
        /// The blob.
        hash: Hash,
        /// The file.
        path: String,
        /// What the back end says.
        why: String,
    },
    /// An external file cannot be looked at: it lies outside what was granted, or the medium fails.
    ExternalUnreachable {
        /// The blob.
        hash: Hash,
        /// The file.
        path: String,
        /// What the back end says.
        why: String,
    },
    /// A list of external paths has one that is never followed.
    RefusedPath {
        /// The blob.
        hash: Hash,
        /// The path as it stands there.
        path: String,
        /// The rule it breaks.
        why: PathError,
    },
    /// A list of external paths is damaged or empty.
    CorruptPaths {
        /// The blob.
        hash: Hash,
        /// What is wrong with it.
        why: PathsError,
    },
    /// Half of a partial entry, data without outboard or the other way round.
    UnpairedPartial {
        /// The half that is there.
        file: FileName,
        /// Whether an outboard with the final name can be the other half.
        counterpart: bool,
    },
    /// A tag names a blob that is not there as a whole.
    DanglingTag {
        /// The tag.
        tag: Tag,
        /// What it names.
        value: HashAndFormat,
        /// Whether a part of it is there.
        partial: bool,
    },
    /// A tagged hash sequence lists a blob that is not there as a whole.
    MissingChild {
        /// The tag.
        tag: Tag,
        /// The sequence.
        sequence: Hash,
        /// The blob it lists.
        child: Hash,
        /// Whether a part of it is there.
        partial: bool,
    },
    /// What a tag says is a hash sequence cannot be read as one. Nothing is collected as long as that is so.
    BadSequence {
        /// The tag.
        tag: Tag,
        /// The blob.
        hash: Hash,
        /// Why it cannot be read.
        why: String,
    },
    /// `tags.meta` has no checksum: damage to it may go unnoticed.
    UnprotectedTags,
    /// `tags.meta` is missing although the store has data.
    MissingTags,
    /// `tags.meta` is damaged.
    DamagedTags(TagDamage),
    /// A temporary file that nobody writes any more, or that a writer beside this opening is writing.
    AbandonedStaging {
        /// The file.
        file: FileName,
    },
    /// What bears a name of the store is no regular file.
    NotAFile {
        /// The name.
        name: String,
        /// What bears it.
        kind: EntryKind,
    },
    /// An entry of the store's directory that is none of the store's.
    Foreign {
        /// Its name.
        name: String,
        /// What it is.
        kind: EntryKind,
    },
    /// There are more such entries than are told one by one.
    MoreForeign {
        /// How many more.
        count: u64,
    },
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing is wrong: something is odd, or in the way.
    Note,
    /// Something is missing or cannot be reached. No byte is wrong.
    Problem,
    /// Bytes are wrong.
    Damage,
}

/// What mends a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Remedy {
    /// [`Store::repair`](crate::Store::repair).
    Repair,
    /// Repair keeps what is good; the rest has to be imported or received again.
    RepairThenFill,
    /// The blob has to be imported or received again.
    Fill,
    /// The external file has to come back, or the content be imported again.
    BringBack,
    /// The directory of the external file has to be granted.
    Grant,
    /// Removing the tag, or filling in what it names.
    Untag,
    /// [`Store::sweep`](crate::Store::sweep).
    Collect,
    /// The next opening for writing.
    Reopen,
    /// [`Store::restore_tags`](crate::Store::restore_tags), from a copy or from what can be salvaged.
    RestoreTags,
    /// A person who looks at it: the store leaves it alone.
    LookAtIt,
    /// Nothing has to be done.
    Nothing,
}

impl Finding {
    /// A stable word for the kind of finding, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CorruptData { .. } => "corrupt_data",
            Self::TrailingData { .. } => "trailing_data",
            Self::MissingData { .. } => "missing_data",
            Self::CorruptOutboard { .. } => "corrupt_outboard",
            Self::MissingOutboard { .. } => "missing_outboard",
            Self::NeedlessOutboard { .. } => "needless_outboard",
            Self::OrphanOutboard { .. } => "orphan_outboard",
            Self::Unreadable { .. } => "unreadable",
            Self::ExternalChanged { .. } => "external_changed",
            Self::ExternalMissing { .. } => "external_missing",
            Self::ExternalUnreachable { .. } => "external_unreachable",
            Self::RefusedPath { .. } => "refused_path",
            Self::CorruptPaths { .. } => "corrupt_paths",
            Self::UnpairedPartial { .. } => "unpaired_partial",
            Self::DanglingTag { .. } => "dangling_tag",
            Self::MissingChild { .. } => "missing_child",
            Self::BadSequence { .. } => "bad_sequence",
            Self::UnprotectedTags => "unprotected_tags",
            Self::MissingTags => "missing_tags",
            Self::DamagedTags(_) => "damaged_tags",
            Self::AbandonedStaging { .. } => "abandoned_staging",
            Self::NotAFile { .. } => "not_a_file",
            Self::Foreign { .. } | Self::MoreForeign { .. } => "foreign",
        }
    }

    /// The blob that it is about, if it is about one.
    #[must_use]
    pub fn hash(&self) -> Option<Hash> {
        match self {
            Self::CorruptData { hash, .. }
            | Self::TrailingData { hash, .. }
            | Self::MissingData { hash }
            | Self::CorruptOutboard { hash, .. }
            | Self::MissingOutboard { hash }
            | Self::NeedlessOutboard { hash }
            | Self::OrphanOutboard { hash }
            | Self::Unreadable { hash, .. }
            | Self::ExternalChanged { hash, .. }
            | Self::ExternalMissing { hash, .. }
            | Self::ExternalUnreachable { hash, .. }
            | Self::RefusedPath { hash, .. }
            | Self::CorruptPaths { hash, .. }
            | Self::BadSequence { hash, .. } => Some(*hash),
            Self::DanglingTag { value, .. } => Some(value.hash),
            Self::MissingChild { child, .. } => Some(*child),
            Self::UnpairedPartial { file, .. } | Self::AbandonedStaging { file } => file.hash(),
            _ => None,
        }
    }

    /// The groups that it is about.
    #[must_use]
    pub fn groups(&self) -> &[Range<u64>] {
        match self {
            Self::CorruptData { groups, .. }
            | Self::CorruptOutboard { groups, .. }
            | Self::ExternalChanged { groups, .. } => groups,
            _ => &[],
        }
    }

    /// Bytes from the start of the blob to the first group that it is about.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        Some(self.groups().first()?.start * GROUP)
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::CorruptData { .. }
            | Self::TrailingData { .. }
            | Self::CorruptOutboard { .. }
            | Self::ExternalChanged { .. }
            | Self::CorruptPaths { .. }
            | Self::MissingTags
            | Self::DamagedTags(_) => Severity::Damage,
            Self::MissingData { .. }
            | Self::MissingOutboard { .. }
            | Self::Unreadable { .. }
            | Self::ExternalMissing { .. }
            | Self::ExternalUnreachable { .. }
            | Self::RefusedPath { .. }
            | Self::DanglingTag { .. }
            | Self::MissingChild { .. }
            | Self::BadSequence { .. }
            | Self::NotAFile { .. } => Severity::Problem,
            Self::NeedlessOutboard { .. }
            | Self::OrphanOutboard { .. }
            | Self::UnpairedPartial { .. }
            | Self::UnprotectedTags
            | Self::AbandonedStaging { .. }
            | Self::Foreign { .. }
            | Self::MoreForeign { .. } => Severity::Note,
        }
    }

    /// What mends it.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::CorruptData {
                elsewhere: true, ..
            }
            | Self::TrailingData { .. }
            | Self::CorruptOutboard { .. }
            | Self::MissingOutboard { .. }
            | Self::UnpairedPartial {
                counterpart: true, ..
            }
            | Self::UnprotectedTags => Remedy::Repair,
            Self::CorruptData { .. } => Remedy::RepairThenFill,
            Self::MissingData { .. } => Remedy::Fill,
            Self::ExternalChanged { .. }
            | Self::ExternalMissing { .. }
            | Self::CorruptPaths { .. } => Remedy::BringBack,
            Self::ExternalUnreachable { .. } => Remedy::Grant,
            Self::DanglingTag { .. } | Self::MissingChild { .. } | Self::BadSequence { .. } => {
                Remedy::Untag
            }
            Self::OrphanOutboard { .. } => Remedy::Collect,
            Self::AbandonedStaging { .. } => Remedy::Reopen,
            Self::MissingTags | Self::DamagedTags(_) => Remedy::RestoreTags,
            Self::Unreadable { .. }
            | Self::RefusedPath { .. }
            | Self::NotAFile { .. }
            | Self::Foreign { .. }
            | Self::MoreForeign { .. } => Remedy::LookAtIt,
            Self::NeedlessOutboard { .. } | Self::UnpairedPartial { .. } => Remedy::Nothing,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |partial: &bool| if *partial { "only in part" } else { "not" };
        match self {
            Self::CorruptData {
                groups, elsewhere, ..
            } => {
                write!(f, "data are wrong in {}", Places(groups))?;
                if *elsewhere {
                    f.write_str("; another home has them right")?;
                }
                Ok(())
            }
            Self::TrailingData { size, found, .. } => {
                write!(f, "data have {found} bytes, and the blob {size}")
            }
            Self::MissingData { .. } => f.write_str("data are gone"),
            Self::CorruptOutboard { groups, .. } if groups.is_empty() => {
                f.write_str("the outboard has a wrong size or length")
            }
            Self::CorruptOutboard { groups, .. } => {
                write!(f, "the outboard does not prove {}", Places(groups))
            }
            Self::MissingOutboard { .. } => f.write_str("there is no outboard"),
            Self::NeedlessOutboard { .. } => {
                f.write_str("there is an outboard, which so small a blob does not need")
            }
            Self::OrphanOutboard { .. } => f.write_str("the outboard belongs to no data"),
            Self::Unreadable { file, why, .. } => write!(f, "{file} cannot be read: {why}"),
            Self::ExternalChanged { path, groups, .. } if groups.is_empty() => {
                write!(f, "{path} goes on behind the end of the blob")
            }
            Self::ExternalChanged { path, groups, .. } => {
                write!(f, "{path} has changed in {}", Places(groups))
            }
            Self::ExternalMissing { path, why, .. } => write!(f, "{path} is not there: {why}"),
            Self::ExternalUnreachable { path, why, .. } => {
                write!(f, "{path} cannot be looked at: {why}")
            }
            Self::RefusedPath { path, why, .. } => write!(f, "{path} is never followed: {why}"),
            Self::CorruptPaths { why, .. } => why.fmt(f),
            Self::UnpairedPartial { file, .. } => {
                write!(
                    f,
                    "{file} is half of a partial blob: the other half is missing"
                )
            }
            Self::DanglingTag { tag, partial, .. } => {
                write!(f, "tag {tag} names a blob that is {} there", whole(partial))
            }
            Self::MissingChild {
                tag,
                sequence,
                partial,
                ..
            } => write!(
                f,
                "tag {tag} reaches it through the sequence {sequence}, and it is {} there",
                whole(partial)
            ),
            Self::BadSequence { tag, why, .. } => {
                write!(f, "tag {tag} says that it is a hash sequence: {why}")
            }
            Self::UnprotectedTags => f.write_str("tags.meta has no checksum"),
            Self::MissingTags => f.write_str("tags.meta is missing although the store has data"),
            Self::DamagedTags(damage) => write!(f, "tags.meta is damaged: {damage}"),
            Self::AbandonedStaging { file } => {
                write!(
                    f,
                    "{file} is left over, or being written by another process"
                )
            }
            Self::NotAFile { name, kind } => {
                write!(f, "{name} is {kind}: it is left alone and never served")
            }
            Self::Foreign { name, kind } => {
                write!(f, "{name} is {kind}, none of the store's: it is left alone")
            }
            Self::MoreForeign { count } => {
                write!(f, "{count} more entries are none of the store's")
            }
        }
    }
}

/// How many ranges are told one by one.
const PLACES_TOLD: usize = 4;

/// Groups as offsets, for people.
struct Places<'a>(&'a [Range<u64>]);

impl fmt::Display for Places<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.0.iter().take(PLACES_TOLD).enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            let offset = range.start * GROUP;
            match range.end - range.start {
                1 => write!(f, "the 16 KiB at offset {offset} (group {})", range.start)?,
                count => write!(
                    f,
                    "the {count} groups of 16 KiB from offset {offset} on (groups {}..{})",
                    range.start, range.end
                )?,
            }
        }
        match self.0.len().saturating_sub(PLACES_TOLD) {
            0 => Ok(()),
            more => write!(f, " and {more} more places"),
        }
    }
}
