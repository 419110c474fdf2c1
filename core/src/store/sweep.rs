//! The sweep: what is still dead goes, file by file.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    Backend, Error, FileName, Hash, ListedName, Result,
    index::Entry,
    kernel::{Doomed, Tags},
    store::{GcItem, Inner, Reason, Spared, Swept, mark::Root},
};

/// What was protected since a mark, and what that keeps alive besides itself.
#[derive(Default)]
pub(super) struct SinceMark {
    read: BTreeSet<Hash>,
    children: BTreeSet<Hash>,
}

impl SinceMark {
    /// Whether a sequence that was protected lists the blob.
    pub(super) fn spares(&self, hash: Hash) -> bool {
        self.children.contains(&hash)
    }
}

impl<B: Backend> Inner<B> {
    /// Whether this opening may delete anything.
    pub(super) fn check_may_delete(&self) -> Result<()> {
        self.kernel.check_writable()?;
        self.check_lock()
    }

    /// Whether the lock is held, here or by a host for this process.
    pub(super) fn check_lock(&self) -> Result<()> {
        if self.may_delete {
            Ok(())
        } else {
            Err(Error::NotLocked)
        }
    }

    /// A blob with the size of its files. A file that cannot be measured counts as none.
    pub(super) fn item(&self, hash: Hash) -> GcItem {
        let names = self.kernel.state().index.names(hash);
        let bytes = sum(self.backend.lens_of(&names));
        GcItem { hash, bytes }
    }

    /// As [`item`](Self::item), of many.
    pub(super) fn items(&self, hashes: &[Hash]) -> Vec<GcItem> {
        let names: Vec<Vec<FileName>> = {
            let state = self.kernel.state();
            hashes.iter().map(|hash| state.index.names(*hash)).collect()
        };
        let mut lens = self.backend.lens_of(&names.concat()).into_iter();
        let items = hashes.iter().zip(names).map(|(hash, names)| GcItem {
            hash: *hash,
            bytes: sum(lens.by_ref().take(names.len())),
        });
        items.collect()
    }

    /// The items in the order in which the back end lists them: file systems take names away in that order several
    /// times as fast as in any other. Where they are few it is not worth a listing.
    pub(super) fn as_listed(&self, items: Vec<GcItem>, many: usize) -> Vec<GcItem> {
        if items.len() < many {
            return items;
        }
        let mut is_taken = vec![false; items.len()];
        let mut ordered = Vec::with_capacity(items.len());
        let mut take = |at: usize| {
            if !std::mem::replace(&mut is_taken[at], true) {
                ordered.push(items[at]);
            }
        };
        // What a listing does not have, even if it fails, goes at the end: it is an order and no more.
        let _ = self.backend.list(&mut |listed| {
            if let ListedName::Typed(name) = listed.name
                && let Some(hash) = name.hash()
                && let Ok(at) = items.binary_search_by(|item| item.hash.cmp(&hash))
            {
                take(at);
            }
        });
        (0..items.len()).for_each(take);
        ordered
    }

    /// Before anything goes, the tags that let it go must be those on disk, and durable: a power loss must
    /// not bring back a tag whose blob is gone.
    pub(super) fn settle_tags(&self) -> Result<()> {
        let known = self.confirmed_tags()?;
        if !known.durable {
            self.checked(self.backend.ensure_durable(&[FileName::Tags]))?;
            if let Tags::Known(known) = &mut self.kernel.state().tags {
                known.durable = true;
            }
        }
        Ok(())
    }

    /// Removes what of a batch is still dead, and says why the rest is not.
    pub(super) fn sweep_batch(
        self: &Arc<Self>,
        batch: &[GcItem],
        since: &mut SinceMark,
        swept: &mut Swept,
    ) -> Result<()> {
        let hashes: Vec<Hash> = batch.iter().map(|item| item.hash).collect();
        let mut doomed = self.doom(&hashes, since, true)?.into_iter().peekable();
        let (mut going, mut groups) = (Vec::new(), Vec::new());
        for item in batch {
            // In the same order, without those that are spared.
            if let Some(doomed) = doomed.next_if(|doomed| doomed.hash == item.hash) {
                going.push(*item);
                groups.push(doomed.names);
                continue;
            }
            let damaged = self.kernel.state().index.get(item.hash).has(Entry::DAMAGED);
            let reason = if damaged {
                Reason::Quarantined
            } else {
                Reason::Changed
            };
            swept.spared.push(Spared {
                hash: item.hash,
                reason,
            });
        }
        self.remove_doomed(&going, groups, swept)
    }

    /// Marks as being deleted what nothing has protected since the mark. Sequences that were protected
    /// meanwhile are read first, outside the lock, until there is no new one.
    pub(super) fn doom(
        self: &Arc<Self>,
        hashes: &[Hash],
        since: &mut SinceMark,
        spare_damaged: bool,
    ) -> Result<Vec<Doomed>> {
        loop {
            let (count, sequences) = self.kernel.state().touched_sequences();
            for sequence in sequences {
                if since.read.insert(sequence) {
                    let children = &mut since.children;
                    self.for_each_child_of_root(&Root::Temporary, sequence, |child| {
                        children.insert(child);
                    })?;
                }
            }
            let spared = |hash: Hash, entry: Entry| {
                since.spares(hash) || (spare_damaged && entry.has(Entry::DAMAGED))
            };
            if let Some(doomed) = self.kernel.begin_deleting(hashes, count, spared)? {
                return Ok(doomed);
            }
        }
    }

    /// Removes the files, and settles in memory what is gone. A blob that cannot be removed does not keep
    /// others from going.
    pub(super) fn remove_doomed(
        &self,
        items: &[GcItem],
        mut groups: Vec<Vec<FileName>>,
        swept: &mut Swept,
    ) -> Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        let outcomes = self.backend.remove_groups(&groups);
        let mut failed = Ok(());
        // From here on the groups are what is gone.
        groups.truncate(outcomes.len());
        for ((item, names), outcome) in items.iter().zip(&mut groups).zip(outcomes) {
            let Err(error) = outcome else {
                swept.removed.push(*item);
                continue;
            };
            names.truncate(error.done + error.unknown);
            let error = Error::from(error);
            if error.poisons() {
                self.kernel.poison_on(&error);
                failed = failed.and(Err(error));
            } else {
                swept.spared.push(Spared {
                    hash: item.hash,
                    reason: Reason::Failed(error),
                });
            }
        }
        let hashes: Vec<Hash> = items.iter().map(|item| item.hash).collect();
        self.kernel.end_deleting(&hashes, &groups);
        failed
    }
}

fn sum(lens: impl IntoIterator<Item = Option<u64>>) -> u64 {
    lens.into_iter().flatten().fold(0, u64::saturating_add)
}
