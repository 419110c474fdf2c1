//! A blob, or what there is of one, group by group: what proves it, and its bytes.

use std::io;

use super::{Content, Page, RUN_GROUPS, Tree, outboard_damage};
use crate::{
    Backend, Error, Hash, Result,
    beside::piece,
    progress::Watch,
    proof::{Leaf, OutboardPairs, Pairs, Walk},
    store::Inner,
    tree::{Cv, GROUP, GROUP_LEN, PAGE_GROUPS, PAIR_LEN, Subtree, group_range, left_of, merge},
};

impl<B: Backend> Inner<B> {
    /// As [`content`](Self::content), also of a blob of which only a part is there.
    pub(crate) fn content_or_part(
        &self,
        hash: Hash,
        watch: &mut Watch<'_>,
    ) -> Result<Content<B::Object>> {
        match self.content(hash, true, watch) {
            Err(Error::Incomplete(_)) => {}
            other => return other,
        }
        match self.parts(hash, watch)? {
            Some(parts) => Ok(Content::Parts(parts.into())),
            // Meanwhile it was completed, or nothing of it can be proved.
            None => self.content(hash, true, watch),
        }
    }

    /// A walk over what proves a blob.
    pub(crate) fn walk<'a>(&'a self, hash: Hash, content: &'a Content<B::Object>) -> Walk<'a> {
        let no_outboard: Option<&B::Object> = None;
        match content {
            Content::Small(bytes) => Walk::new(no_outboard, bytes.len() as u64),
            Content::Parts(parts) => parts.walk(),
            Content::Tree(tree) => {
                let size = tree.size();
                let rebuilt = RebuiltPairs {
                    inner: self,
                    hash,
                    tree,
                    size,
                    page: None,
                };
                let walk = Walk::new(no_outboard, size);
                match &tree.outboard {
                    // After a rebuild that has found another size it says nothing.
                    Some(outboard) if tree.size == size => {
                        walk.and(OutboardPairs::new(outboard), size)
                    }
                    _ => walk,
                }
                .and(rebuilt, size)
            }
        }
    }
}

/// The bytes of the groups that a walk under this size comes by, verified.
pub(crate) struct Groups<'a, B: Backend> {
    inner: &'a Inner<B>,
    hash: Hash,
    content: &'a Content<B::Object>,
    size: u64,
    /// The first of those that were read last.
    start: u64,
    bytes: Vec<u8>,
}

impl<'a, B: Backend> Groups<'a, B> {
    pub(crate) fn new(
        inner: &'a Inner<B>,
        hash: Hash,
        content: &'a Content<B::Object>,
        size: u64,
    ) -> Self {
        Self {
            inner,
            hash,
            content,
            size,
            start: 0,
            bytes: Vec::new(),
        }
    }

    /// The bytes of a group. `wanted` says whether another one, after it, will be asked for: these are read with it.
    pub(crate) fn get(&mut self, leaf: &Leaf, wanted: &dyn Fn(u64) -> bool) -> Result<&[u8]> {
        if let Content::Small(bytes) = self.content {
            return Ok(bytes);
        }
        let range = group_range(leaf.group, self.size);
        // At most a group, and so a length in memory.
        let len = usize::try_from(range.end - range.start).unwrap_or(GROUP_LEN);
        let place = |start: u64| {
            let skip = usize::try_from((leaf.group - start) * GROUP).unwrap_or(usize::MAX);
            skip..skip.saturating_add(len)
        };
        let is_there = leaf.group >= self.start
            && self
                .bytes
                .get(place(self.start))
                .is_some_and(|bytes| !bytes.is_empty());
        if !is_there {
            self.start = leaf.group;
            self.read(leaf, len, wanted)?;
        }
        // What was read has at least the group that was asked for, or the walk was over another tree.
        let damage = || outboard_damage(self.hash, leaf.group * GROUP);
        self.bytes.get(place(self.start)).ok_or_else(damage)
    }

    fn read(&mut self, leaf: &Leaf, len: usize, wanted: &dyn Fn(u64) -> bool) -> Result<()> {
        let (inner, hash, size) = (self.inner, self.hash, self.size);
        let mut bytes = std::mem::take(&mut self.bytes);
        match self.content {
            Content::Small(_) => {}
            Content::Parts(parts) => {
                bytes.resize(GROUP_LEN, 0);
                let read = parts.read(leaf, &mut bytes)?.len();
                bytes.truncate(read);
            }
            Content::Tree(tree) => {
                if tree.size() != size {
                    // A rebuild has corrected it: the walk was over another tree.
                    return Err(outboard_damage(hash, leaf.group * GROUP));
                }
                let next = leaf.group + 1..leaf.group + piece(RUN_GROUPS);
                let count = 1 + next.take_while(|group| wanted(*group)).count() as u64;
                if count > 1 {
                    // What is wrong with it is told below.
                    let _ = inner.read_ahead(hash, tree, size, leaf.group, count, &mut bytes);
                }
                if count == 1 || bytes.len() < len {
                    let is_proven = tree.is_proven();
                    let value = leaf.value();
                    bytes = inner
                        .read_group(hash, &tree.homes, size, is_proven, leaf.group, value)
                        .inspect_err(|error| inner.note_damage(hash, error))?;
                }
            }
        }
        self.bytes = bytes;
        Ok(())
    }
}

/// The pairs of a tree without an outboard that is right, hashed from its data.
struct RebuiltPairs<'a, B: Backend> {
    inner: &'a Inner<B>,
    hash: Hash,
    tree: &'a Tree<B::Object>,
    size: u64,
    /// The page that was asked for last.
    page: Option<(u64, Page)>,
}

impl<B: Backend> Pairs for RebuiltPairs<'_, B> {
    fn pair(&mut self, tree: Subtree) -> io::Result<Option<[u8; PAIR_LEN]>> {
        let (hash, page) = (self.hash, tree.start / PAGE_GROUPS);
        let rebuilt = self.inner.rebuilt(hash, self.tree, tree.start * GROUP)?;
        if rebuilt.size != self.size {
            return Ok(None);
        }
        let pair_of = |halves: Option<(&[Cv], &[Cv])>| {
            let (left, right) = halves?;
            let value_of = |values| merge(values, false, &mut Vec::new());
            [value_of(left), value_of(right)]
                .as_flattened()
                .try_into()
                .ok()
        };
        if tree.groups > PAGE_GROUPS {
            let pages = tree.groups.div_ceil(PAGE_GROUPS);
            return Ok(pair_of(halves(&rebuilt.pages, page, pages)));
        }
        if !matches!(&self.page, Some((known, _)) if *known == page) {
            let found = self.inner.page_of_rebuilt(hash, self.tree, page)?;
            self.page = Some((page, found));
        }
        let known = self.page.as_ref();
        Ok(known.and_then(|(_, known)| known.pair(tree).copied()))
    }
}

/// The values of the halves of a subtree of `count` neighbours.
fn halves(values: &[Cv], first: u64, count: u64) -> Option<(&[Cv], &[Cv])> {
    let first = usize::try_from(first).ok()?;
    let count_here = usize::try_from(count).ok()?;
    let values = values.get(first..first.checked_add(count_here)?)?;
    values.split_at_checked(usize::try_from(left_of(count)).ok()?)
}
