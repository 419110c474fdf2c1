//! What a blob's bytes are proved with: its outboard where that is right, otherwise its data themselves.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use crate::{
    Backend, BackendError, Damage, Error, FileName, Hash, ReadAt, Result,
    hasher::Hashed,
    homes::{Home, Homes},
    index::Entry,
    io::read_full_at,
    leaves::{group_value, group_values},
    parts::SizedParts,
    progress::{Watch, unwatched},
    store::{Inner, locked},
    tree::{
        Cv, GROUP, GROUP_LEN, PAGE_GROUPS, PAIR_LEN, Subtree, group_range, groups, outboard_len,
    },
};

mod page;
mod read;
mod walk;

pub(crate) use page::{Page, RUN_GROUPS, Run};
pub(crate) use read::{Each, nobody};
pub(crate) use walk::Groups;

/// Groups that are read and hashed at once.
const RUN: usize = 16;

/// An opened blob.
pub(crate) enum Content<O> {
    /// A blob of one group, proved.
    Small(Arc<[u8]>),
    Tree(Box<Tree<O>>),
    /// What there is of a blob that is not complete.
    Parts(Box<SizedParts<O>>),
}

/// A blob of several groups.
pub(crate) struct Tree<O> {
    pub(crate) homes: Homes<O>,
    /// The claimed size.
    size: u64,
    /// Whether the last group has verified with that size.
    is_proven: bool,
    /// `H.obao4`, where there is one that may be right.
    outboard: Option<O>,
    /// The values of the pages, computed from data that hash to the blob's name: needs no outboard.
    rebuilt: OnceLock<Option<Rebuilt>>,
}

/// What a proved pass over the data leaves in memory: 32 bytes a page.
pub(crate) struct Rebuilt {
    pub(crate) size: u64,
    pub(crate) pages: Vec<Cv>,
}

impl<O> Content<O> {
    /// Bytes of the blob, claimed or proved.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Small(bytes) => bytes.len() as u64,
            Self::Tree(tree) => tree.size(),
            Self::Parts(parts) => parts.size,
        }
    }

    /// The same, if it is proved.
    pub(crate) fn proven_size(&self) -> Option<u64> {
        let is_proven = match self {
            Self::Small(_) => true,
            Self::Tree(tree) => tree.is_proven(),
            Self::Parts(parts) => parts.is_proven,
        };
        is_proven.then(|| self.size())
    }
}

impl<O> Tree<O> {
    fn rebuilt(&self) -> Option<&Rebuilt> {
        self.rebuilt.get().and_then(Option::as_ref)
    }

    /// The size, claimed or proved.
    pub(crate) fn size(&self) -> u64 {
        self.rebuilt().map_or(self.size, |rebuilt| rebuilt.size)
    }

    /// Whether the size is proved.
    pub(crate) fn is_proven(&self) -> bool {
        self.is_proven || self.rebuilt().is_some()
    }
}

impl From<Hashed> for Rebuilt {
    fn from(hashed: Hashed) -> Self {
        Self {
            size: hashed.size,
            pages: hashed.pages,
        }
    }
}

impl<B: Backend> Inner<B> {
    /// Opens a blob and proves what its claimed size allows to prove.
    pub(crate) fn content(
        &self,
        hash: Hash,
        mends: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Content<B::Object>> {
        let (entry, partials) = {
            let state = self.kernel.state();
            (state.index.get(hash), state.index.partials(hash).to_vec())
        };
        if !entry.is_complete() {
            return Err(if partials.is_empty() {
                Error::NotFound(hash)
            } else {
                Error::Incomplete(hash)
            });
        }
        if let Some(bytes) = locked(&self.small).get(&hash) {
            return Ok(Content::Small(Arc::clone(bytes)));
        }
        let homes = Homes::new(hash, entry)
            .with_partials(&partials)
            .mending(mends);
        if let Some(tree) = self.tree_of_outboard(hash, &homes, entry)? {
            // An outboard that proves no size may be one that nobody needs.
            if !tree.is_proven
                && let Some(small) = self.small_home(hash, &homes, &mut None)
            {
                return Ok(small);
            }
            return Ok(Content::Tree(Box::new(Tree { homes, ..tree })));
        }
        self.content_of_homes(hash, homes, watch)
    }

    /// Without a usable outboard: a home of one group proves itself, a larger one is hashed.
    fn content_of_homes(
        &self,
        hash: Hash,
        homes: Homes<B::Object>,
        watch: &mut Watch<'_>,
    ) -> Result<Content<B::Object>> {
        let mut failed = None;
        if let Some(small) = self.small_home(hash, &homes, &mut failed) {
            return Ok(small);
        }
        match self.rebuild(hash, &homes, watch) {
            Ok(rebuilt) => Ok(Content::Tree(Box::new(Tree {
                size: rebuilt.size,
                is_proven: true,
                outboard: None,
                rebuilt: Some(rebuilt).into(),
                homes,
            }))),
            // A small home that is damaged, or does not open, says more than that there is no other.
            Err(Error::NotFound(_)) => Err(homes.failure(failed)),
            Err(error) => Err(error),
        }
    }

    /// A home of one group that proves itself.
    fn small_home(
        &self,
        hash: Hash,
        homes: &Homes<B::Object>,
        failed: &mut Option<Error>,
    ) -> Option<Content<B::Object>> {
        let mut index = 0;
        while let Some(home) = homes.get(self, index, failed) {
            index += 1;
            match self.small_content(hash, &home) {
                Ok(Some(bytes)) => {
                    locked(&self.small).put(hash, Arc::clone(&bytes));
                    return Some(Content::Small(bytes));
                }
                Ok(None) => {}
                Err(error) => *failed = Some(error),
            }
        }
        None
    }

    /// The bytes of a home of at most one group; `None` when it is larger.
    fn small_content(&self, hash: Hash, home: &Home<B::Object>) -> Result<Option<Arc<[u8]>>> {
        let cannot = |e| Error::Unreadable {
            hash,
            source: BackendError::io("read", &home.name)(e),
        };
        let mut bytes = vec![0; GROUP_LEN + 1];
        let read = read_full_at(&home.object, &mut bytes, 0).map_err(cannot)?;
        if read > GROUP_LEN {
            return Ok(None);
        }
        bytes.truncate(read);
        if Hash::of(&bytes) == hash {
            return Ok(Some(bytes.into()));
        }
        Err(content_damage(hash, home))
    }

    /// A tree whose outboard fits together, with a size that is proved if any is. `None` when the outboard
    /// is of no use.
    fn tree_of_outboard(
        &self,
        hash: Hash,
        homes: &Homes<B::Object>,
        entry: Entry,
    ) -> Result<Option<Tree<B::Object>>> {
        if !entry.has(Entry::OUTBOARD) {
            return Ok(None);
        }
        let name = FileName::Outboard(hash);
        // An outboard that cannot be read is derived data: the blob can do without.
        let Ok(Some(outboard)) = self.backend.open(&name) else {
            return Ok(None);
        };
        let Ok(len) = outboard.size() else {
            return Ok(None);
        };
        let mut prefix = [0; 8];
        if !matches!(read_full_at(&outboard, &mut prefix, 0), Ok(8)) {
            return Ok(None);
        }
        let mut tree = Tree {
            homes: Homes::new(hash, Entry::default()),
            size: u64::from_le_bytes(prefix),
            is_proven: false,
            outboard: Some(outboard),
            rebuilt: OnceLock::new(),
        };
        let mut usable = None;
        for claim in 0.. {
            if claim > 0 {
                // Not one byte of the prefix is hashed: the length of the data is as good a claim.
                let Some(home) = homes.get(self, claim - 1, &mut None) else {
                    break;
                };
                tree.size = home.object.size().unwrap_or_default();
            }
            if tree.size <= GROUP || outboard_len(tree.size) != len {
                continue;
            }
            let last = groups(tree.size) - 1;
            let page = self.page_of_outboard(hash, &tree, last / PAGE_GROUPS);
            let Some(Run { value, .. }) = page.and_then(|page| page.group(last)) else {
                continue;
            };
            usable.get_or_insert(tree.size);
            if self
                .read_group(hash, homes, tree.size, false, last, &value)
                .is_ok()
            {
                tree.is_proven = true;
                if claim > 0 && homes.mends && self.kernel.check_writable().is_ok() {
                    // The pairs are right and the prefix is not. Reading does without it, others may not.
                    let _ = self.rebuild(hash, homes, &mut unwatched);
                }
                return Ok(Some(tree));
            }
        }
        let mut failed = None;
        if usable.is_some() && homes.get(self, 0, &mut failed).is_none() {
            return Err(homes.failure(failed));
        }
        Ok(usable.map(|size| Tree { size, ..tree }))
    }

    /// A page, the value of which is proved. Its pairs need not be right: see [`mended_page`](Self::mended_page).
    pub(crate) fn page(&self, hash: Hash, tree: &Tree<B::Object>, page: u64) -> Result<Arc<Page>> {
        // Under an unproved size an outboard may have a shape that is not the blob's: nothing of it is shared.
        let is_proven = tree.is_proven();
        if is_proven && let Some(known) = locked(&self.pages).get(&(hash, page)) {
            return Ok(Arc::clone(known));
        }
        // An outboard says nothing any more where a rebuild has found another size.
        let fits = tree.size == tree.size();
        let of_outboard = || self.page_of_outboard(hash, tree, page).map(Arc::new);
        match fits.then(of_outboard).flatten() {
            Some(found) => {
                if is_proven {
                    locked(&self.pages).put((hash, page), Arc::clone(&found));
                }
                Ok(found)
            }
            None => self.mended_page(hash, tree, page),
        }
    }

    /// The same page from the data themselves, where a pair of it is not right.
    pub(crate) fn mended_page(
        &self,
        hash: Hash,
        tree: &Tree<B::Object>,
        page: u64,
    ) -> Result<Arc<Page>> {
        let mended = Arc::new(self.page_of_rebuilt(hash, tree, page)?);
        if tree.is_proven() {
            locked(&self.pages).put((hash, page), Arc::clone(&mended));
        }
        Ok(mended)
    }

    /// The runs that these groups of one page are made of, with their proved values: the fewest, or, where the page
    /// is damaged, group by group, up to one that nothing proves.
    ///
    /// # Errors
    /// When nothing proves the first of them.
    pub(crate) fn runs(
        &self,
        hash: Hash,
        tree: &Tree<B::Object>,
        groups: Range<u64>,
    ) -> Result<Vec<Run>> {
        let number = groups.start / PAGE_GROUPS;
        let page = self.page(hash, tree, number)?;
        if !page.has(&groups) {
            // The claimed size was wrong, and with it the number of groups.
            return Err(outboard_damage(hash, groups.start * GROUP));
        }
        if let Some(runs) = page.runs(groups.clone()) {
            return Ok(runs);
        }
        let failed = match self.mended_page(hash, tree, number) {
            Ok(mended) if mended.has(&groups) => {
                let damage = || outboard_damage(hash, groups.start * GROUP);
                return mended.runs(groups.clone()).ok_or_else(damage);
            }
            Ok(_) => outboard_damage(hash, groups.start * GROUP),
            Err(error) => error,
        };
        let single: Vec<Run> = groups.map_while(|group| page.group(group)).collect();
        match single.is_empty() {
            true => Err(failed),
            false => Ok(single),
        }
    }

    /// One group, verified.
    pub(crate) fn group(&self, hash: Hash, tree: &Tree<B::Object>, group: u64) -> Result<Vec<u8>> {
        let (size, is_proven) = (tree.size(), tree.is_proven());
        let runs = self.runs(hash, tree, group..group + 1);
        if tree.size() != size {
            // A rebuild, of this thread or another one, has corrected the size, which happens once.
            return self.group(hash, tree, group);
        }
        let found = match runs?[..] {
            [Run { value, .. }] if group < groups(size) => {
                self.read_group(hash, &tree.homes, size, is_proven, group, &value)
            }
            _ => Err(outboard_damage(hash, group * GROUP)),
        };
        match found {
            // The size may be what is wrong, which the data themselves tell if anything does.
            Err(Error::Corrupt { .. })
                if !is_proven && self.rebuilt(hash, tree, group * GROUP).is_ok() =>
            {
                self.group(hash, tree, group)
            }
            found => found,
        }
    }

    /// Walks from the root to a page, verifying each pair, then reads the page's own pairs. `None` when a pair on
    /// the way is wrong, or one cannot be read.
    fn page_of_outboard(&self, hash: Hash, tree: &Tree<B::Object>, page: u64) -> Option<Page> {
        let outboard = tree.outboard.as_ref()?;
        let is_proven = tree.is_proven();
        let first = page * PAGE_GROUPS;
        let mut subtree = Subtree::root(tree.size);
        let mut value = *hash.as_bytes();
        while subtree.groups > PAGE_GROUPS {
            // Where a pair stands is unambiguous under the right size only.
            let known = is_proven.then_some((hash, subtree.offset));
            let (left_value, right_value) = self.pair_above(known, outboard, subtree, &value)?;
            let (left, right) = subtree.split();
            (subtree, value) = if first < right.start {
                (left, left_value)
            } else {
                (right, right_value)
            };
        }
        let mut pairs = vec![0; usize::try_from(subtree.pairs_len()).ok()?];
        if read_full_at(outboard, &mut pairs, subtree.offset).ok()? != pairs.len() {
            return None;
        }
        Page::new(subtree, value, pairs)
    }

    /// The values of the halves of a subtree above the pages; `None` when its pair is wrong or cannot be read.
    fn pair_above(
        &self,
        known: Option<(Hash, u64)>,
        outboard: &B::Object,
        subtree: Subtree,
        value: &Cv,
    ) -> Option<(Cv, Cv)> {
        if let Some(known) = &known
            && let Some(top) = locked(&self.above).get(known)
        {
            return top.halves(subtree, value);
        }
        let mut pair = vec![0; PAIR_LEN];
        if read_full_at(outboard, &mut pair, subtree.offset).ok()? != pair.len() {
            return None;
        }
        let top = Page::top(subtree, *value, pair);
        let halves = top.halves(subtree, value)?;
        if let Some(known) = known {
            locked(&self.above).put(known, Arc::new(top));
        }
        Some(halves)
    }

    /// A page without the outboard: from data that hash to the blob's name.
    fn page_of_rebuilt(&self, hash: Hash, tree: &Tree<B::Object>, page: u64) -> Result<Page> {
        let offset = page * PAGE_GROUPS * GROUP;
        let rebuilt = self.rebuilt(hash, tree, offset)?;
        self.page_of_data(tree, rebuilt, page)
            .map_err(|failed| failed.unwrap_or_else(|| outboard_damage(hash, offset)))
    }

    /// What the data themselves prove. `offset` is where that is needed.
    fn rebuilt<'t>(
        &self,
        hash: Hash,
        tree: &'t Tree<B::Object>,
        offset: u64,
    ) -> Result<&'t Rebuilt> {
        if tree.rebuilt.get().is_none() {
            let rebuilt = match self.rebuild(hash, &tree.homes, &mut unwatched) {
                Ok(rebuilt) => Some(rebuilt),
                Err(Error::Corrupt { .. }) => None,
                // What cannot be read now is no damage, and may be read the next time.
                Err(error) => return Err(error),
            };
            tree.rebuilt.get_or_init(|| rebuilt);
        }
        tree.rebuilt().ok_or_else(|| outboard_damage(hash, offset))
    }

    /// A page, hashed from a home whose bytes still give its value. The error is none when it is the bytes that
    /// are wrong.
    fn page_of_data(
        &self,
        tree: &Tree<B::Object>,
        rebuilt: &Rebuilt,
        page: u64,
    ) -> Result<Page, Option<Error>> {
        // None when the claimed size had more pages than the blob has.
        let subtree = Subtree::page(rebuilt.size, page).ok_or(None)?;
        let Range {
            start: first,
            end: last,
        } = subtree.range();
        let (mut index, mut failed) = (0, None);
        let mut buf = vec![0; RUN * GROUP_LEN];
        'homes: while let Some(home) = tree.homes.get(self, index, &mut failed) {
            index += 1;
            let mut values = vec![[0; 32]; in_page(last - 1) + 1];
            for (group, values) in (first..).step_by(RUN).zip(values.chunks_mut(RUN)) {
                let start = group_range(group, rebuilt.size).start;
                let end = group_range(group + values.len() as u64 - 1, rebuilt.size).end;
                let bytes = &mut buf[..len_of(&(start..end))];
                match read_full_at(&home.object, bytes, start) {
                    Ok(read) if read == bytes.len() => group_values(bytes, group, values),
                    Ok(_) => continue 'homes,
                    Err(e) => {
                        failed = Some(Error::Unreadable {
                            hash: tree.homes.hash(),
                            source: BackendError::io("read", &home.name)(e),
                        });
                        continue 'homes;
                    }
                }
            }
            let found = Page::of_values(subtree, &values);
            let expected = usize::try_from(page)
                .ok()
                .and_then(|page| rebuilt.pages.get(page));
            // A single page is the root, which its maker compared with the hash.
            if found.value() == expected.unwrap_or(tree.homes.hash().as_bytes()) {
                return Ok(found);
            }
        }
        Err(failed)
    }

    /// Reads one group from the first home that has it right.
    fn read_group(
        &self,
        hash: Hash,
        homes: &Homes<B::Object>,
        size: u64,
        is_proven: bool,
        group: u64,
        value: &Cv,
    ) -> Result<Vec<u8>> {
        let range = group_range(group, size);
        let mut bytes = vec![0; len_of(&range)];
        let mut index = 0;
        let mut failed = None;
        let mut damaged = None;
        while let Some(home) = homes.get(self, index, &mut failed) {
            index += 1;
            match read_full_at(&home.object, &mut bytes, range.start) {
                Ok(read) if read == bytes.len() && group_value(group, &bytes) == *value => {
                    return Ok(bytes);
                }
                // It was never said to have it.
                Ok(_) if home.is_partial => {}
                Ok(_) => {
                    let (offset, home) = (range.start, home.name.clone());
                    let damage = Damage::Group { offset, home };
                    let error = Error::Corrupt { hash, damage };
                    if is_proven {
                        // Also when the next home has it right: this one counts as proved no more.
                        self.note_damage(hash, &error);
                    }
                    damaged = Some(error);
                }
                Err(_) if home.is_partial => {}
                Err(e) => {
                    failed = Some(Error::Unreadable {
                        hash,
                        source: BackendError::io("read", &home.name)(e),
                    });
                }
            }
        }
        // That bytes are wrong says more than that another home does not open.
        Err(damaged.unwrap_or_else(|| homes.failure(failed)))
    }
}

/// The damage of an outboard and of data that prove nothing from an offset on.
pub(crate) fn outboard_damage(hash: Hash, offset: u64) -> Error {
    let damage = Damage::Outboard { offset };
    Error::Corrupt { hash, damage }
}

/// The damage of bytes that do not hash to the name, with nothing to tell which of them are wrong.
pub(crate) fn content_damage<O>(hash: Hash, home: &Home<O>) -> Error {
    let home = home.name.clone();
    Error::Corrupt {
        hash,
        damage: Damage::Content { home },
    }
}

/// Where a group's value stands among those of its page.
fn in_page(group: u64) -> usize {
    // Less than `PAGE_GROUPS`, and so a length in memory.
    usize::try_from(group % PAGE_GROUPS).unwrap_or(usize::MAX)
}

/// The length of a range of a few groups.
fn len_of(range: &Range<u64>) -> usize {
    // Less than a page, and so a length in memory.
    usize::try_from(range.end - range.start).unwrap_or(GROUP_LEN)
}
