//! What tags and blobs add up to, and what of it they have in common.

use std::collections::BTreeMap;

use crate::{
    Backend, BlobFormat, Error, Hash, HashAndFormat, Result, Tag, TagMap,
    progress::{Progress, Watch, unwatched},
    store::{
        Status, Store, UnreadSequence,
        stat::{ByValue, by_value, unread},
    },
};

/// What the tags of a store add up to.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Tagged {
    /// The sum of all tags, each counted on its own ([`Footprint::total`]).
    pub logical: u64,
    /// What of that need not be kept, since tags or the entries of a sequence have blobs in common.
    pub shared: u64,
    /// What a collection would free now; `None` when it would refuse, since not everything that lives can
    /// be told.
    pub reclaimable: Option<u64>,
    /// Blobs that tags reach and that are not there.
    pub missing: u64,
    /// Every tag, in the order of the names.
    pub tags: Vec<TagUsage>,
    /// Sequences that cannot be read. Their tags are in none of the sums.
    pub unread: Vec<UnreadSequence>,
}

/// What one tag adds up to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagUsage {
    /// The tag.
    pub tag: Tag,
    /// What it names.
    pub value: HashAndFormat,
    /// Its sums; `None` when its sequence cannot be read.
    pub footprint: Option<Footprint>,
}

/// What a blob adds up to, with what it lists if it is a hash sequence. All sizes are in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Footprint {
    /// Different blobs, itself and the names of a collection among them.
    pub blobs: u64,
    /// The sum of the blob and of every entry, however often a blob is listed.
    pub total: u64,
    /// The sum of the different blobs.
    pub distinct: u64,
    /// What of that nothing else reaches, so that it would go with it. `None` when that cannot be told:
    /// the tags are not known, or a tagged sequence cannot be read.
    pub own: Option<u64>,
    /// Different blobs that are not there. No sum counts them.
    pub missing: u64,
    /// Different blobs whose size is not known. No sum counts them.
    pub unmeasured: u64,
}

impl Footprint {
    /// What of the different blobs something else reaches as well.
    #[must_use]
    pub fn shared(&self) -> Option<u64> {
        Some(self.distinct.saturating_sub(self.own?))
    }

    /// Counts an entry. `is_new` says whether it is the first of this blob.
    fn count(&mut self, size: Size, is_new: bool) {
        self.total = self.total.saturating_add(size.bytes());
        if !is_new {
            return;
        }
        self.blobs += 1;
        self.distinct = self.distinct.saturating_add(size.bytes());
        match size {
            Size::Bytes(_) => {}
            Size::Missing => self.missing += 1,
            Size::Unknown => self.unmeasured += 1,
        }
    }
}

/// Whose bytes are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Those of a tag: its own is what no other tag reaches.
    Tag(Tag),
    /// Those of a blob: its own is what no tag reaches but those that name the blob itself.
    Blob(HashAndFormat),
}

/// What a tag or a blob adds up to, and what kept that from being told in full.
#[derive(Debug)]
#[non_exhaustive]
pub struct Share {
    /// The sums.
    pub footprint: Footprint,
    /// Sequences that cannot be read: nobody knows what they have in common with it.
    pub unread: Vec<UnreadSequence>,
}

impl<B: Backend> Store<B> {
    /// What a tag or a blob adds up to, and what of it is its own. Every tagged sequence is read.
    ///
    /// # Errors
    /// [`Error::NoTag`]; when the blob is a sequence that cannot be read, what reading it says.
    pub fn usage_of(&self, subject: &Subject) -> Result<Share> {
        self.usage_of_with(subject, &mut unwatched)
    }

    /// As [`usage_of`](Self::usage_of), watched.
    ///
    /// # Errors
    /// Likewise; [`Error::Cancelled`] when `watch` says so.
    pub fn usage_of_with(&self, subject: &Subject, watch: &mut Watch<'_>) -> Result<Share> {
        let is_whole = |share: &Share| share.footprint.missing == 0 && share.unread.is_empty();
        match self.usage_of_now(subject, watch) {
            Ok(share) if !self.inner.read_only || is_whole(&share) => Ok(share),
            Err(error) if !self.inner.read_only || matches!(error, Error::Cancelled) => Err(error),
            // A writer beside this opening may have replaced what is missing here.
            _ => {
                self.refresh()?;
                self.usage_of_now(subject, watch)
            }
        }
    }

    fn usage_of_now(&self, subject: &Subject, watch: &mut Watch<'_>) -> Result<Share> {
        let value = match subject {
            Subject::Tag(tag) => self.tag(tag)?,
            Subject::Blob(value) => *value,
        };
        let mut footprint = Footprint::default();
        // What is shared is shared with something else.
        let mut reached: BTreeMap<Hash, Live> = BTreeMap::new();
        for hash in self.entries(value)? {
            let is_new = !reached.contains_key(&hash);
            let live = reached
                .entry(hash)
                .or_insert_with(|| Live::new(self.size(hash)));
            footprint.count(live.size, is_new);
        }
        let mut share = Share {
            footprint,
            unread: Vec::new(),
        };
        let Ok(tags) = self.tags() else {
            return Ok(share);
        };
        for (other, names) in by_value(&tags).values {
            if watch(Progress::Marked {
                blobs: share.footprint.blobs,
            })
            .is_break()
            {
                return Err(Error::Cancelled);
            }
            let is_itself = match subject {
                Subject::Tag(tag) => names == [tag],
                Subject::Blob(value) => other.hash == value.hash,
            };
            if is_itself {
                continue;
            }
            let mut each = |hash| {
                if let Some(live) = reached.get_mut(&hash) {
                    live.is_shared = true;
                }
            };
            each(other.hash);
            if other.format == BlobFormat::HashSeq
                && let Err(error) = self.inner.for_each_child(other.hash, each)
            {
                share.unread.push(unread(other.hash, &names, error));
            }
        }
        let own = reached.values().filter(|live| !live.is_shared);
        let own = own.map(|live| live.size.bytes());
        if share.unread.is_empty() {
            share.footprint.own = Some(own.fold(0, u64::saturating_add));
        }
        Ok(share)
    }

    /// A blob, and what it lists if it is a sequence.
    fn entries(&self, value: HashAndFormat) -> Result<Vec<Hash>> {
        let mut entries = vec![value.hash];
        if value.format == BlobFormat::HashSeq {
            self.inner
                .for_each_child(value.hash, |child| entries.push(child))?;
        }
        Ok(entries)
    }

    fn size(&self, hash: Hash) -> Size {
        match self.status(hash) {
            Status::Missing => Size::Missing,
            Status::Present(_) => self.claimed_size(hash).map_or(Size::Unknown, Size::Bytes),
        }
    }
}

/// What is known of a blob's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Bytes(u64),
    /// The blob is not there.
    Missing,
    /// It is, and cannot be measured.
    Unknown,
}

impl Size {
    fn bytes(self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Missing | Self::Unknown => 0,
        }
    }
}

/// What the tags reach.
pub(super) struct Reach<'a, B: Backend> {
    store: &'a Store<B>,
    live: BTreeMap<Hash, Live>,
}

/// A blob that tags reach. What tags name is numbered.
struct Live {
    size: Size,
    /// What reached it first.
    first: usize,
    /// What reached it last.
    last: usize,
    /// Whether several tags reach it.
    is_shared: bool,
}

impl Live {
    fn new(size: Size) -> Self {
        Self {
            size,
            first: 0,
            last: 0,
            is_shared: false,
        }
    }
}

impl<'a, B: Backend> Reach<'a, B> {
    pub(super) fn new(store: &'a Store<B>) -> Self {
        Self {
            store,
            live: BTreeMap::new(),
        }
    }

    pub(super) fn tags(&mut self, tags: &TagMap, watch: &mut Watch<'_>) -> Result<Tagged> {
        let mut tagged = Tagged::default();
        let ByValue { values, places } = by_value(tags);
        let mut footprints: Vec<Option<Footprint>> = Vec::with_capacity(values.len());
        for (number, (value, names)) in values.iter().enumerate() {
            // All of it or nothing: half a sequence would make sums that are not true.
            let footprint = match self.store.entries(*value) {
                Ok(entries) => {
                    let footprint = self.count(number, &entries, names.len() > 1);
                    let times = footprint.total.saturating_mul(names.len() as u64);
                    tagged.logical = tagged.logical.saturating_add(times);
                    Some(footprint)
                }
                Err(error) => {
                    tagged.unread.push(unread(value.hash, names, error));
                    None
                }
            };
            footprints.push(footprint);
            let blobs = self.live.len() as u64;
            if watch(Progress::Marked { blobs }).is_break() {
                return Err(Error::Cancelled);
            }
        }
        let mut kept = 0_u64;
        let mut own = vec![0_u64; values.len()];
        for live in self.live.values() {
            kept = kept.saturating_add(live.size.bytes());
            tagged.missing += u64::from(live.size == Size::Missing);
            if !live.is_shared {
                own[live.first] = own[live.first].saturating_add(live.size.bytes());
            }
        }
        tagged.shared = tagged.logical.saturating_sub(kept);
        if tagged.unread.is_empty() {
            for (footprint, own) in footprints.iter_mut().flatten().zip(own) {
                footprint.own = Some(own);
            }
        }
        let usage = |((tag, value), place): ((&Tag, &HashAndFormat), usize)| TagUsage {
            tag: tag.clone(),
            value: *value,
            footprint: footprints[place],
        };
        tagged.tags = tags.iter().zip(places).map(usage).collect();
        Ok(tagged)
    }

    pub(super) fn contains(&self, hash: &Hash) -> bool {
        self.live.contains_key(hash)
    }

    /// Whether a blob is reached, and nobody knows its size.
    pub(super) fn is_open(&self, hash: &Hash) -> bool {
        let live = self.live.get(hash);
        live.is_some_and(|live| live.size == Size::Unknown)
    }

    /// Counts what the `number`-th value reaches; `several` tags name it or one does.
    fn count(&mut self, number: usize, entries: &[Hash], several: bool) -> Footprint {
        let mut footprint = Footprint::default();
        for hash in entries {
            let store = self.store;
            let mut is_new = false;
            let live = self.live.entry(*hash).or_insert_with(|| {
                is_new = true;
                Live {
                    first: number,
                    last: number,
                    is_shared: several,
                    ..Live::new(store.size(*hash))
                }
            });
            if live.last != number {
                is_new = true;
                live.last = number;
                live.is_shared = true;
            }
            footprint.count(live.size, is_new);
        }
        footprint
    }
}
