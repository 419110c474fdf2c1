//! Garbage collection: mark, then sweep; and explicit deletion, which is a sweep of one.
//!
//! Whatever cannot be read while it is found out what lives means that nothing is deleted at all.

use std::sync::Arc;

use crate::{
    Backend, Error, Hash, Result,
    kernel::Epoch,
    progress::{Progress, Watch, unwatched},
    store::{Inner, Store, mark::Root, sweep::SinceMark},
};

/// Blobs that are removed with the first directory sync; so soon there is something to be told, and to be stopped.
const FIRST_BATCH: usize = 256;
/// How many times as many go with the next one.
const GROWTH: usize = 4;
/// So many at most. Whoever wants one of them back waits for all of them.
const LARGEST_BATCH: usize = 8192;
/// From so many on, it is worth a listing to remove them in its order.
const MANY: usize = 256;

/// How a collection is planned.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct GcOptions {
    /// Where `tags.meta` is missing from a store with data: take it that there are no tags.
    pub assume_no_tags: bool,
}

impl GcOptions {
    /// These options, with or without the assumption.
    #[must_use]
    pub fn assume_no_tags(mut self, assume: bool) -> Self {
        self.assume_no_tags = assume;
        self
    }
}

/// What a collection would remove. From the making of the plan on, whatever is imported, tagged or
/// received is safe from it.
#[must_use = "a plan does nothing until it is swept"]
#[derive(Debug)]
pub struct GcPlan {
    items: Vec<GcItem>,
    live: u64,
    /// Whether the tags are taken to be none although `tags.meta` is missing.
    assumed: bool,
    epoch: Epoch,
}

/// A blob that nothing reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct GcItem {
    /// The blob.
    pub hash: Hash,
    /// Bytes of all its files, as the back end claims.
    pub bytes: u64,
}

impl GcPlan {
    /// The blobs that would go, in the order of their hashes.
    #[must_use]
    pub fn items(&self) -> &[GcItem] {
        &self.items
    }

    /// How many blobs something reaches, there or not.
    #[must_use]
    pub fn live(&self) -> u64 {
        self.live
    }

    /// Bytes of all files that would go.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let sizes = self.items.iter().map(|item| item.bytes);
        sizes.fold(0, u64::saturating_add)
    }
}

/// What a collection did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Swept {
    /// The blobs that are gone.
    pub removed: Vec<GcItem>,
    /// The blobs that the plan names and that are still there.
    pub spared: Vec<Spared>,
}

/// A blob that a collection left, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct Spared {
    /// The blob.
    pub hash: Hash,
    /// Why it is still there.
    pub reason: Reason,
}

/// Why a blob was left.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// It was imported, tagged or received after the plan was made, or something else removed it.
    Changed,
    /// It was found damaged in this opening: it stays until its user decides.
    Quarantined,
    /// Its files cannot be removed.
    Failed(Error),
}

impl<B: Backend> Store<B> {
    /// Finds what nothing reaches. Roots are temporary tags and tags; a hash sequence keeps its children
    /// alive, one level deep.
    ///
    /// # Errors
    /// When not everything that lives can be told: tags missing, damaged or changed by another program, or
    /// a root that should be a readable hash sequence and is not ([`Error::Root`]).
    pub fn plan_gc(&self) -> Result<GcPlan> {
        self.plan_gc_with(GcOptions::default(), &mut unwatched)
    }

    /// As [`plan_gc`](Self::plan_gc), in some other way.
    ///
    /// # Errors
    /// Likewise; [`Error::Cancelled`] when `watch` says so.
    pub fn plan_gc_with(&self, options: GcOptions, watch: &mut Watch<'_>) -> Result<GcPlan> {
        let inner = &self.inner;
        // From here on the kernel remembers what is protected; only then are roots read.
        let epoch = inner.kernel.begin_epoch();
        let roots = inner.roots(options.assume_no_tags)?;
        let live = inner.mark(&roots, watch)?;
        let items = inner.unreached(&live, watch)?;
        Ok(GcPlan {
            items,
            live: live.len() as u64,
            assumed: roots.assume_no_tags(),
            epoch,
        })
    }

    /// Removes what a plan names and nothing has protected since: external paths, data, then outboards.
    /// Files outside the store are never touched.
    ///
    /// # Errors
    /// As [`plan_gc`](Self::plan_gc); nothing more is removed then. Also when the store cannot be written
    /// or the lock is not held. Files that cannot be removed are no error: they are told as spared.
    pub fn sweep(&self, plan: GcPlan) -> Result<Swept> {
        self.sweep_with(plan, &mut unwatched)
    }

    /// As [`sweep`](Self::sweep), watched.
    ///
    /// # Errors
    /// Likewise; [`Error::Cancelled`] when `watch` says so: what is gone until then stays gone.
    pub fn sweep_with(&self, plan: GcPlan, watch: &mut Watch<'_>) -> Result<Swept> {
        let inner = &self.inner;
        inner.check_may_delete()?;
        if !plan.epoch.is_of(&inner.kernel) {
            // The plan of another opening says nothing about this one's temporary tags.
            return Ok(Swept {
                spared: plan
                    .items
                    .iter()
                    .map(|item| Spared::changed(item.hash))
                    .collect(),
                ..Swept::default()
            });
        }
        if plan.assumed {
            self.confirm_no_tags()?;
        }
        inner.settle_tags()?;
        let items = inner.as_listed(plan.items, MANY);
        let mut swept = Swept::default();
        let mut spared_children = SinceMark::default();
        let (mut rest, mut len) = (&items[..], FIRST_BATCH);
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(len.min(rest.len()));
            (rest, len) = (after, LARGEST_BATCH.min(len * GROWTH));
            let done = (swept.removed.len() + swept.spared.len()) as u64;
            let total = items.len() as u64;
            if watch(Progress::Swept { blobs: done, total }).is_break() {
                return Err(Error::Cancelled);
            }
            inner.sweep_batch(batch, &mut spared_children, &mut swept)?;
        }
        Ok(swept)
    }

    /// Removes one blob now.
    ///
    /// With `force` tags do not keep it; a temporary tag, or work under way, always does.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InUse`] when something reaches it; otherwise as [`sweep`](Self::sweep).
    pub fn delete(&self, hash: Hash, force: bool) -> Result<GcItem> {
        let inner = &self.inner;
        inner.check_may_delete()?;
        let _epoch = inner.kernel.begin_epoch();
        inner.check_unprotected(hash, force)?;
        if !force {
            inner.settle_tags()?;
        }
        let item = inner.item(hash);
        let mut since = SinceMark::default();
        let doomed = loop {
            let doomed = inner.doom(&[hash], &mut since, false)?;
            if !doomed.is_empty() {
                break doomed;
            }
            // Somebody else is removing it, or has.
            inner.kernel.await_deletions(&[hash]);
            let state = inner.kernel.state();
            if state.index.names(hash).is_empty() {
                return Err(Error::NotFound(hash));
            }
            if state.is_protected(hash) || since.spares(hash) {
                return Err(touched(hash));
            }
        };
        let mut swept = Swept::default();
        let groups = doomed.into_iter().map(|doomed| doomed.names).collect();
        inner.remove_doomed(&[item], groups, &mut swept)?;
        match swept.spared.pop() {
            Some(Spared {
                reason: Reason::Failed(error),
                ..
            }) => Err(error),
            _ => Ok(item),
        }
    }

    /// Fails where [`delete`](Self::delete) without force would, before anything is done.
    pub(super) fn check_delete(&self, hash: Hash) -> Result<()> {
        self.inner.check_may_delete()?;
        self.inner.check_unprotected(hash, false)?;
        if self.inner.kernel.state().is_protected(hash) {
            return Err(touched(hash));
        }
        Ok(())
    }
}

impl<B: Backend> Inner<B> {
    /// Fails when a blob is not there, or something reaches it; with `force` tags do not count.
    fn check_unprotected(self: &Arc<Self>, hash: Hash, force: bool) -> Result<()> {
        if self.kernel.state().index.names(hash).is_empty() {
            return Err(Error::NotFound(hash));
        }
        let leases = self.kernel.state().leases();
        let held = leases.into_iter().map(|value| (Root::Temporary, value));
        self.check_unreached(hash, held)?;
        if !force {
            let tags = self.confirmed_tags()?;
            let tagged = tags.map.iter().map(|(tag, value)| (Root::Tag(tag), *value));
            self.check_unreached(hash, tagged)?;
        }
        Ok(())
    }
}

fn touched(hash: Hash) -> Error {
    let by = "it was imported or tagged since a collection was planned".to_owned();
    Error::InUse { hash, by }
}

impl Spared {
    pub(super) fn changed(hash: Hash) -> Self {
        Self {
            hash,
            reason: Reason::Changed,
        }
    }
}
