//! What hangs together with nothing: names of what is not there, and files that are of no use as they are.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    Backend, BlobFormat, FileName, Hash, Tag,
    index::Entry,
    kernel::Tags,
    store::{Inner, care::Finding, open::load_tags},
    text::chain,
};

impl<B: Backend> Inner<B> {
    /// What is wrong with the tags on the disk, and with what they name; and nothing for every tag, so that
    /// somebody may watch.
    pub(super) fn tag_findings(self: &Arc<Self>, find: &mut dyn FnMut(Option<Finding>)) {
        let has_data = self.kernel.state().index.has_data();
        let map = match load_tags(&self.backend, has_data) {
            Tags::Known(known) => {
                if known.file.is_some() && !known.protected {
                    find(Some(Finding::UnprotectedTags));
                }
                known.map
            }
            Tags::Missing => return find(Some(Finding::MissingTags)),
            Tags::Damaged(damage) => return find(Some(Finding::DamagedTags(damage))),
        };
        let mut read = BTreeSet::new();
        for (tag, value) in map.iter() {
            find(None);
            let (tag, value) = (tag.clone(), *value);
            if let Some(partial) = self.missing(value.hash) {
                find(Some(Finding::DanglingTag {
                    tag,
                    value,
                    partial,
                }));
            } else if value.format == BlobFormat::HashSeq && read.insert(value.hash) {
                self.sequence_findings(&tag, value.hash, find);
            }
        }
    }

    /// What is missing of a sequence, told for the first of the tags that name it.
    fn sequence_findings(
        self: &Arc<Self>,
        tag: &Tag,
        sequence: Hash,
        find: &mut dyn FnMut(Option<Finding>),
    ) {
        let mut missing = BTreeSet::new();
        let read = self.peek_children(sequence, |child| {
            if self.missing(child).is_some() {
                missing.insert(child);
            }
        });
        let tag = tag.clone();
        if let Err(error) = read {
            let (hash, why) = (sequence, chain(&error));
            return find(Some(Finding::BadSequence { tag, hash, why }));
        }
        for child in missing {
            // Something may have come meanwhile.
            let Some(partial) = self.missing(child) else {
                continue;
            };
            find(Some(Finding::MissingChild {
                tag: tag.clone(),
                sequence,
                child,
                partial,
            }));
        }
    }

    /// Whether a part of a blob is there, where it is not there as a whole.
    fn missing(&self, hash: Hash) -> Option<bool> {
        let state = self.kernel.state();
        let is_partial = || state.index.partials(hash).iter().any(|files| files.data);
        (!state.index.get(hash).is_complete()).then(is_partial)
    }

    /// What of a blob's files is of no use as it is, or once the outboard is made again.
    pub(super) fn loose_ends(&self, hash: Hash, with_outboard: bool) -> Vec<Finding> {
        let (entry, partials) = {
            let state = self.kernel.state();
            (state.index.get(hash), state.index.partials(hash).to_vec())
        };
        let has_final = entry.has(Entry::OUTBOARD) || with_outboard;
        let mut found = Vec::new();
        let mut pairs = false;
        for files in partials {
            let (file, counterpart) = match (files.data, files.outboard) {
                (true, false) => (FileName::PartialData(hash, files.uuid), has_final),
                (false, true) => (FileName::PartialOutboard(hash, files.uuid), false),
                _ => continue,
            };
            pairs |= counterpart;
            found.push(Finding::UnpairedPartial { file, counterpart });
        }
        if has_final && !entry.is_complete() && !pairs {
            found.push(Finding::OrphanOutboard { hash });
        }
        found
    }
}
