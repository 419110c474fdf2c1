//! Garbage collection: mark, then sweep; and explicit deletion, which is a sweep of one.
//!
//! Whatever cannot be read while it is found out what lives means that nothing is deleted at all.

use std::{collections::BTreeSet, fmt, sync::Arc};

use crate::{
    Backend, BlobFormat, Error, FileName, Hash, HashAndFormat, HashSeq, HashSeqError, ReadAt,
    Result, Tag,
    index::Entry,
    kernel::{Doomed, Epoch, Tags},
    progress::{Progress, Watch, unwatched},
    sequence::HASH_LEN,
    store::{Inner, Store},
};

/// Blobs that are removed with one directory sync.
const SWEEP_BATCH: usize = 256;
/// Hashes of the index that are looked at under one lock.
const SCAN_BATCH: usize = 1024;
/// Bytes of a hash sequence that are read at once.
const SEQUENCE_PIECE: usize = 64 * 1024;

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
        self.items.iter().map(|item| item.bytes).sum()
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
        let live = inner.mark(&roots.values, watch)?;
        let items = inner.unreached(&live, watch)?;
        Ok(GcPlan {
            items,
            live: live.len() as u64,
            assumed: roots.assumed,
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
        let mut swept = Swept::default();
        let mut spared_children = SinceMark::default();
        for batch in plan.items.chunks(SWEEP_BATCH) {
            let done = (swept.removed.len() + swept.spared.len()) as u64;
            let total = plan.items.len() as u64;
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
        if inner.kernel.state().index.names(hash).is_empty() {
            return Err(Error::NotFound(hash));
        }
        let leases = inner.kernel.state().leases();
        let held = leases.into_iter().map(|value| (Root::Temporary, value));
        inner.check_unreached(hash, held)?;
        if !force {
            let tags = inner.confirmed_tags()?;
            let tagged = tags.map.iter().map(|(tag, value)| (Root::Tag(tag), *value));
            inner.check_unreached(hash, tagged)?;
            inner.settle_tags()?;
        }
        let item = inner.item(hash);
        let mut since = SinceMark::default();
        let doomed = inner.doom(&[hash], &mut since, false)?;
        if doomed.is_empty() {
            let by = "it was imported or tagged just now".to_owned();
            return Err(Error::InUse { hash, by });
        }
        let mut swept = Swept::default();
        inner.remove_doomed(doomed, &[item], &mut swept)?;
        match swept.spared.pop() {
            Some(Spared {
                reason: Reason::Failed(error),
                ..
            }) => Err(error),
            _ => Ok(item),
        }
    }
}

/// What keeps a root alive.
#[derive(Clone, Copy)]
enum Root<'a> {
    Tag(&'a Tag),
    Temporary,
}

impl fmt::Display for Root<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, "what tag {tag} names"),
            Self::Temporary => f.write_str("what a temporary tag of this process holds"),
        }
    }
}

struct Roots {
    /// Every root with a word on what holds it.
    values: Vec<(String, HashAndFormat)>,
    assumed: bool,
}

/// What was protected since a mark, and what that keeps alive besides itself.
#[derive(Default)]
struct SinceMark {
    read: BTreeSet<Hash>,
    children: BTreeSet<Hash>,
}

impl Spared {
    fn changed(hash: Hash) -> Self {
        Self {
            hash,
            reason: Reason::Changed,
        }
    }
}

impl<B: Backend> Inner<B> {
    fn check_may_delete(&self) -> Result<()> {
        self.kernel.check_writable()?;
        if self.may_delete {
            Ok(())
        } else {
            Err(Error::NotLocked)
        }
    }

    /// Temporary tags first, then tags: what moves from one to the other meanwhile is seen at least once.
    fn roots(&self, assume_no_tags: bool) -> Result<Roots> {
        let temporary = self.kernel.state().leases();
        let missing = matches!(self.kernel.state().tags, Tags::Missing);
        let assumed = missing && assume_no_tags;
        let mut values: Vec<_> = temporary
            .into_iter()
            .map(|value| (Root::Temporary.to_string(), value))
            .collect();
        if !assumed {
            let known = self.confirmed_tags()?;
            let tagged = known.map.iter();
            values.extend(tagged.map(|(tag, value)| (Root::Tag(tag).to_string(), *value)));
        }
        Ok(Roots { values, assumed })
    }

    /// Everything that the roots reach: themselves, and the children of sequences.
    fn mark(
        self: &Arc<Self>,
        roots: &[(String, HashAndFormat)],
        watch: &mut Watch<'_>,
    ) -> Result<BTreeSet<Hash>> {
        let mut live = BTreeSet::new();
        // By format as well: a blob that is tagged raw and as a sequence is a sequence too.
        let mut expanded = BTreeSet::new();
        for (root, value) in roots {
            live.insert(value.hash);
            if value.format == BlobFormat::HashSeq && expanded.insert(value.hash) {
                self.for_each_child(value.hash, |child| {
                    live.insert(child);
                })
                .map_err(|error| Error::Root {
                    root: root.clone(),
                    source: error.into(),
                })?;
            }
            if watch(Progress::Marked {
                blobs: live.len() as u64,
            })
            .is_break()
            {
                return Err(Error::Cancelled);
            }
        }
        Ok(live)
    }

    /// Reads a hash sequence piece by piece, verified.
    fn for_each_child(self: &Arc<Self>, hash: Hash, mut each: impl FnMut(Hash)) -> Result<()> {
        let reader = self.reader(hash)?;
        let size = reader.proven_size()?;
        if size % HASH_LEN as u64 != 0 {
            return Err(Error::HashSeq {
                hash,
                source: HashSeqError(size),
            });
        }
        let mut piece = vec![0; SEQUENCE_PIECE];
        let mut offset = 0;
        while offset < size {
            let read = reader.read_verified(&mut piece, offset)?;
            for child in piece[..read].as_chunks::<HASH_LEN>().0 {
                each(Hash::from_bytes(*child));
            }
            offset += read as u64;
        }
        Ok(())
    }

    /// A hash sequence, verified.
    pub(crate) fn sequence(self: &Arc<Self>, hash: Hash) -> Result<HashSeq> {
        let mut hashes = Vec::new();
        self.for_each_child(hash, |child| hashes.push(child))?;
        Ok(hashes.into_iter().collect())
    }

    /// What is in the index and not alive, quarantined blobs aside.
    fn unreached(&self, live: &BTreeSet<Hash>, watch: &mut Watch<'_>) -> Result<Vec<GcItem>> {
        let mut items = Vec::new();
        let mut after = None;
        loop {
            let page = self.kernel.state().index.page(after, SCAN_BATCH);
            let Some((last, _)) = page.last() else {
                return Ok(items);
            };
            after = Some(*last);
            let dead = page
                .iter()
                .filter(|(hash, entry)| !live.contains(hash) && !entry.has(Entry::DAMAGED));
            items.extend(dead.map(|(hash, _)| self.item(*hash)));
            if watch(Progress::Marked {
                blobs: live.len() as u64,
            })
            .is_break()
            {
                return Err(Error::Cancelled);
            }
        }
    }

    /// A blob with the size of its files. A file that cannot be measured counts as none.
    fn item(&self, hash: Hash) -> GcItem {
        let names = self.kernel.state().index.names(hash);
        let size = |name: &FileName| {
            let file = self.backend.open(name).ok().flatten()?;
            file.size().ok()
        };
        GcItem {
            hash,
            bytes: names.iter().filter_map(size).sum(),
        }
    }

    /// Before anything goes, the tags that let it go must be those on disk, and durable: a power loss must
    /// not bring back a tag whose blob is gone.
    fn settle_tags(&self) -> Result<()> {
        let known = self.confirmed_tags()?;
        if !known.durable {
            self.checked(self.backend.ensure_durable(&[FileName::Tags]))?;
            if let Tags::Known(known) = &mut self.kernel.state().tags {
                known.durable = true;
            }
        }
        Ok(())
    }

    fn sweep_batch(
        self: &Arc<Self>,
        batch: &[GcItem],
        since: &mut SinceMark,
        swept: &mut Swept,
    ) -> Result<()> {
        let hashes: Vec<Hash> = batch.iter().map(|item| item.hash).collect();
        let doomed = self.doom(&hashes, since, true)?;
        let going: BTreeSet<Hash> = doomed.iter().map(|doomed| doomed.hash).collect();
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
    fn doom(
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
                    self.for_each_child(sequence, |child| {
                        children.insert(child);
                    })
                    .map_err(|error| Error::Root {
                        root: Root::Temporary.to_string(),
                        source: error.into(),
                    })?;
                }
            }
            let spared = |hash: Hash, entry: Entry| {
                since.children.contains(&hash) || (spare_damaged && entry.has(Entry::DAMAGED))
            };
            if let Some(doomed) = self.kernel.begin_deleting(hashes, count, spared)? {
                return Ok(doomed);
            }
        }
    }

    /// Removes the files, and settles in memory what is gone. A blob that cannot be removed does not keep
    /// the next ones from going.
    fn remove_doomed(
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
                    let (done, in_doubt) = (error.done, error.unknown > 0);
                    gone.extend(names.into_iter().take(done + error.unknown));
                    // The blob that holds the first name that did not go.
                    let mut before = 0;
                    let stuck = rest
                        .iter()
                        .position(|doomed| {
                            before += doomed.names.len();
                            done < before
                        })
                        .unwrap_or(rest.len() - 1);
                    let hash = rest[stuck].hash;
                    rest = &rest[stuck + 1..];
                    let error = self.checked::<(), _>(Err(error)).err();
                    match error {
                        Some(error) if in_doubt => {
                            outcome = Err(error);
                            rest = &[];
                        }
                        Some(error) => swept.spared.push(Spared {
                            hash,
                            reason: Reason::Failed(error),
                        }),
                        None => {}
                    }
                }
            }
        }
        self.kernel.end_deleting(&all, &gone);
        let gone: BTreeSet<FileName> = gone.into_iter().collect();
        for doomed in &doomed {
            if doomed.names.iter().all(|name| gone.contains(name)) {
                let item = items.iter().find(|item| item.hash == doomed.hash);
                swept.removed.extend(item);
            }
        }
        outcome
    }

    /// Fails when one of the roots is the blob, or a sequence that lists it.
    fn check_unreached<'a>(
        self: &Arc<Self>,
        hash: Hash,
        roots: impl Iterator<Item = (Root<'a>, HashAndFormat)>,
    ) -> Result<()> {
        for (root, value) in roots {
            let mut reaches = value.hash == hash;
            if value.format == BlobFormat::HashSeq && !reaches {
                self.for_each_child(value.hash, |child| reaches |= child == hash)
                    .map_err(|error| Error::Root {
                        root: root.to_string(),
                        source: error.into(),
                    })?;
            }
            if reaches {
                let by = root.to_string();
                return Err(Error::InUse { hash, by });
            }
        }
        Ok(())
    }
}
