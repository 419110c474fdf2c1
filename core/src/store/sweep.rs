//! The sweep: what is still dead goes, file by file.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    Backend, Error, FileName, Hash, ReadAt, Result,
    gather::gathered,
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
        let size = |name: &FileName| {
            let file = self.backend.open(name).ok().flatten()?;
            file.size().ok()
        };
        GcItem {
            hash,
            bytes: names.iter().filter_map(size).fold(0, u64::saturating_add),
        }
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
        let doomed = self.doom(&hashes, since, true)?;
        let going: BTreeSet<Hash> = gathered(doomed.iter().map(|doomed| doomed.hash));
        for hash in hashes.iter().filter(|hash| !going.contains(hash)) {
            let damaged = self.kernel.state().index.get(*hash).has(Entry::DAMAGED);
            let reason = if damaged {
                Reason::Quarantined
            } else {
                Reason::Changed
            };
            swept.spared.push(Spared {
                hash: *hash,
                reason,
            });
        }
        self.remove_doomed(doomed, batch, swept)
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
    /// the next ones from going.
    pub(super) fn remove_doomed(
        &self,
        doomed: Vec<Doomed>,
        items: &[GcItem],
        swept: &mut Swept,
    ) -> Result<()> {
        let all: Vec<Hash> = doomed.iter().map(|doomed| doomed.hash).collect();
        let mut gone: Vec<FileName> = Vec::new();
        let mut rest = &doomed[..];
        let mut outcome = Ok(());
        while !rest.is_empty() {
            let names: Vec<FileName> = rest.iter().flat_map(|d| d.names.iter().cloned()).collect();
            match self.backend.remove(&names) {
                Ok(()) => {
                    gone.extend(names);
                    rest = &[];
                }
                Err(error) => {
                    let done = error.done;
                    gone.extend(names.into_iter().take(done + error.unknown));
                    let error = Error::from(error);
                    if error.poisons() {
                        self.kernel.poison_on(&error);
                        outcome = Err(error);
                        break;
                    }
                    // The blob that holds the first name that did not go.
                    let mut before = 0;
                    let stuck = rest
                        .iter()
                        .position(|doomed| {
                            before += doomed.names.len();
                            done < before
                        })
                        .unwrap_or(rest.len() - 1);
                    swept.spared.push(Spared {
                        hash: rest[stuck].hash,
                        reason: Reason::Failed(error),
                    });
                    rest = &rest[stuck + 1..];
                }
            }
        }
        self.kernel.end_deleting(&all, &gone);
        let gone: BTreeSet<FileName> = gathered(gone);
        for doomed in &doomed {
            if doomed.names.iter().all(|name| gone.contains(name)) {
                let item = items.iter().find(|item| item.hash == doomed.hash);
                swept.removed.extend(item);
            }
        }
        outcome
    }
}
