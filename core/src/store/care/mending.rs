//! What repair can do about a blob, and how it decides.

use std::{collections::BTreeSet, ops::Range};

use crate::{
    Error, Hash, ReadAt, Uuid,
    gather::gathered,
    store::care::{
        exam::{Exam, Outboard},
        home::{HomeExam, Place},
    },
    text::lossless,
    tree::groups,
};

/// One thing that repair does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mending {
    /// The outboard is made again, from data that hash to the blob's name.
    RebuildOutboard {
        /// The blob.
        hash: Hash,
    },
    /// Owned data are written anew, each group from a home that has it right.
    RewriteData {
        /// The blob.
        hash: Hash,
        /// The groups that were wrong; none when there were no owned data.
        groups: Vec<Range<u64>>,
    },
    /// Owned data become a partial entry: the groups that are right stay, those that another home has right
    /// are added, and only the others have to be received.
    Demote {
        /// The blob.
        hash: Hash,
        /// The groups that are missing from then on.
        missing: Vec<Range<u64>>,
        /// All groups of the blob.
        of: u64,
    },
    /// Partial data get back the outboard that an interrupted step left under its final name.
    Pair {
        /// The blob.
        hash: Hash,
        /// The uuid of the partial entry.
        uuid: Uuid,
    },
    /// An outboard with the final name goes, since the one of a partial entry proves as much.
    RemoveOutboard {
        /// The blob.
        hash: Hash,
    },
    /// External paths that lead to nothing, or to other bytes, are taken from the list: another home is
    /// whole. The files are not touched.
    DropPaths {
        /// The blob.
        hash: Hash,
        /// The paths; none when the list itself cannot be read.
        paths: Vec<String>,
    },
    /// `tags.meta` gets a checksum.
    ProtectTags,
}

impl Mending {
    /// A stable word for it, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RebuildOutboard { .. } => "rebuild_outboard",
            Self::RewriteData { .. } => "rewrite_data",
            Self::Demote { .. } => "demote",
            Self::Pair { .. } => "pair",
            Self::RemoveOutboard { .. } => "remove_outboard",
            Self::DropPaths { .. } => "drop_paths",
            Self::ProtectTags => "protect_tags",
        }
    }

    /// The blob that it is about, if it is about one.
    #[must_use]
    pub fn hash(&self) -> Option<Hash> {
        match self {
            Self::RebuildOutboard { hash }
            | Self::RewriteData { hash, .. }
            | Self::Demote { hash, .. }
            | Self::Pair { hash, .. }
            | Self::RemoveOutboard { hash }
            | Self::DropPaths { hash, .. } => Some(*hash),
            Self::ProtectTags => None,
        }
    }
}

/// What came of it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It would be done.
    Planned,
    /// It was done, durably.
    Done,
    /// Somebody put the blob right meanwhile, or took it away.
    Changed,
    /// It could not be done. Nothing is lost.
    Failed(Error),
}

/// What is to be done about a complete blob.
pub(super) fn plan<O: ReadAt>(exam: &Exam<O>) -> Vec<Mending> {
    let hash = exam.hash;
    let mut plan = Vec::new();
    let mut whole = exam.whole().is_some();
    let damaged = exam.owned().filter(|home| home.is_dead(exam.size));
    match damaged.and_then(HomeExam::open) {
        Some(owned) if exam.lost().is_empty() => {
            let groups = owned.wrong.clone();
            plan.push(Mending::RewriteData { hash, groups });
            whole = true;
        }
        // An outboard that cannot be read now may prove groups the next time.
        Some(_) if matches!(exam.outboard, Outboard::Unreadable(_)) => {}
        Some(_) => plan.push(Mending::Demote {
            hash,
            missing: exam.lost(),
            of: groups(exam.size),
        }),
        None if exam.needs_outboard() && whole => {
            plan.push(Mending::RebuildOutboard { hash });
        }
        // External homes and what the store has in part make a whole blob together.
        None if exam.owned().is_none()
            && exam.has_partial()
            && !whole
            && exam.lost().is_empty() =>
        {
            let groups = Vec::new();
            plan.push(Mending::RewriteData { hash, groups });
            whole = true;
        }
        None => {}
    }
    let dead = dead_paths(exam);
    let is_damaged = matches!(exam.paths, Some(Error::Paths { .. }));
    if whole && (is_damaged || !dead.is_empty()) {
        let paths = dead.iter().map(|path| lossless(path.as_bytes())).collect();
        plan.push(Mending::DropPaths { hash, paths });
    }
    plan
}

/// External paths, as they stand in the list, from which nothing can be had any more.
pub(super) fn dead_paths<O: ReadAt>(exam: &Exam<O>) -> BTreeSet<&str> {
    let dead = exam.homes.iter().filter(|home| home.is_dead(exam.size));
    gathered(dead.filter_map(|home| match &home.place {
        Place::Owned | Place::Partial => None,
        Place::External(path) => Some(path.as_str()),
        Place::Refused(path, _) => Some(path.as_str()),
    }))
}
