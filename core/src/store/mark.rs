//! The mark: what roots there are, and what they reach.

use std::{collections::BTreeSet, fmt, sync::Arc};

use crate::{
    Backend, BlobFormat, Error, Hash, HashAndFormat, HashSeq, HashSeqError, Result, Tag, TagMap,
    index::Entry,
    kernel::Tags,
    progress::{Progress, Watch, unwatched},
    sequence::HASH_LEN,
    store::{GcItem, Inner},
};

/// Hashes of the index that are looked at under one lock.
const SCAN_BATCH: usize = 4096;
/// Bytes of a hash sequence that are read at once.
const SEQUENCE_PIECE: usize = 64 * 1024;

/// What keeps a root alive.
#[derive(Clone, Copy)]
pub(super) enum Root<'a> {
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

/// All roots of a collection.
pub(super) struct Roots {
    pub(super) temporary: Vec<HashAndFormat>,
    /// `None` where there are taken to be none, such as when `tags.meta` is missing.
    pub(super) tags: Option<Arc<TagMap>>,
}

impl Roots {
    /// Whether the tags are taken to be none although `tags.meta` is missing.
    pub(super) fn assume_no_tags(&self) -> bool {
        self.tags.is_none()
    }

    fn each(&self) -> impl Iterator<Item = (Root<'_>, HashAndFormat)> {
        let temporary = self.temporary.iter().map(|value| (Root::Temporary, *value));
        let tags = self.tags.iter().flat_map(|tags| tags.iter());
        temporary.chain(tags.map(|(tag, value)| (Root::Tag(tag), *value)))
    }
}

impl<B: Backend> Inner<B> {
    /// Temporary tags first, then tags: what moves from one to the other meanwhile is seen at least once.
    pub(super) fn roots(&self, assume_no_tags: bool) -> Result<Roots> {
        let temporary = self.kernel.state().leases();
        let missing = matches!(self.kernel.state().tags, Tags::Missing);
        let tags = match missing && assume_no_tags {
            true => None,
            false => Some(self.confirmed_tags()?.map),
        };
        Ok(Roots { temporary, tags })
    }

    /// Everything that the roots reach: themselves, and the children of sequences.
    pub(super) fn mark(
        self: &Arc<Self>,
        roots: &Roots,
        watch: &mut Watch<'_>,
    ) -> Result<BTreeSet<Hash>> {
        let mut live = BTreeSet::new();
        // By format as well: a blob that is tagged raw and as a sequence is a sequence too.
        let mut expanded = BTreeSet::new();
        for (root, value) in roots.each() {
            live.insert(value.hash);
            if value.format == BlobFormat::HashSeq && expanded.insert(value.hash) {
                self.for_each_child_of_root(&root, value.hash, |child| {
                    live.insert(child);
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

    /// As [`for_each_child`](Self::for_each_child) of a root: that it cannot be read keeps everything alive.
    pub(super) fn for_each_child_of_root(
        self: &Arc<Self>,
        root: &dyn fmt::Display,
        hash: Hash,
        each: impl FnMut(Hash),
    ) -> Result<()> {
        self.for_each_child(hash, each)
            .map_err(|error| Error::Root {
                root: root.to_string(),
                source: error.into(),
            })
    }

    /// Reads a hash sequence piece by piece, verified.
    pub(super) fn for_each_child(
        self: &Arc<Self>,
        hash: Hash,
        mut each: impl FnMut(Hash),
    ) -> Result<()> {
        self.read_children(hash, true, &mut each)
    }

    /// As [`for_each_child`](Self::for_each_child), and leaves everything as it is.
    pub(super) fn peek_children(
        self: &Arc<Self>,
        hash: Hash,
        mut each: impl FnMut(Hash),
    ) -> Result<()> {
        self.read_children(hash, false, &mut each)
    }

    fn read_children(
        self: &Arc<Self>,
        hash: Hash,
        mends: bool,
        each: &mut dyn FnMut(Hash),
    ) -> Result<()> {
        let reader = self.reader(hash, mends, &mut unwatched)?;
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
    pub(super) fn unreached(
        &self,
        live: &BTreeSet<Hash>,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<GcItem>> {
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
            let dead: Vec<Hash> = dead.map(|(hash, _)| *hash).collect();
            items.extend(self.items(&dead));
            if watch(Progress::Marked {
                blobs: live.len() as u64,
            })
            .is_break()
            {
                return Err(Error::Cancelled);
            }
        }
    }

    /// Fails when one of the roots is the blob, or a sequence that lists it.
    pub(super) fn check_unreached<'a>(
        self: &Arc<Self>,
        hash: Hash,
        roots: impl Iterator<Item = (Root<'a>, HashAndFormat)>,
    ) -> Result<()> {
        for (root, value) in roots {
            let mut reaches = value.hash == hash;
            if value.format == BlobFormat::HashSeq && !reaches {
                let each = |child| reaches |= child == hash;
                self.for_each_child_of_root(&root, value.hash, each)?;
            }
            if reaches {
                let by = root.to_string();
                return Err(Error::InUse { hash, by });
            }
        }
        Ok(())
    }
}
