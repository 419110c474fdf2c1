//! Hashing a stream of bytes of unknown length into group values, page by page.

use crate::{
    Hash,
    beside::beside,
    leaves::{group_value, group_values},
    tree::{Cv, GROUP, GROUP_LEN, PAGE_GROUPS, merge},
};

/// Takes bytes in any pieces.
pub(crate) struct TreeHasher {
    /// Groups of a page; another number than [`PAGE_GROUPS`] in tests.
    page_groups: usize,
    /// The bytes of a group that came in several pieces, as far as they came. A group that is all there is waits
    /// here for more: it may be the root.
    begun: Vec<u8>,
    size: u64,
    /// Values of the finished groups of the current page. It is finished when more bytes come, since the last one
    /// may be the root.
    page: Vec<Cv>,
    /// Values of the finished pages.
    pages: Vec<Cv>,
    /// Room for values that were just computed.
    values: Vec<Cv>,
}

/// What a whole stream hashed to.
pub(crate) struct Hashed {
    pub(crate) hash: Hash,
    pub(crate) size: u64,
    /// The groups of the last page.
    pub(crate) last_page: Vec<Cv>,
    /// One value a page; a single one is of no use, since it is the root.
    pub(crate) pages: Vec<Cv>,
}

impl TreeHasher {
    pub(crate) fn new() -> Self {
        // Small enough for any width.
        Self::with_page_groups(usize::try_from(PAGE_GROUPS).unwrap_or(usize::MAX))
    }

    pub(crate) fn with_page_groups(page_groups: usize) -> Self {
        Self {
            page_groups,
            begun: Vec::new(),
            size: 0,
            page: Vec::new(),
            pages: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Bytes hashed so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// As [`update_beside`](Self::update_beside), with nothing else to do.
    #[cfg(test)]
    pub(crate) fn update<E>(
        &mut self,
        bytes: &[u8],
        full: impl FnMut(u64, &[Cv]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.update_beside(bytes, || (), full)
    }

    /// Hashes more bytes, and does something else meanwhile where there is another core. Every page that is full, and
    /// known not to be the last one, goes to `full` with its number and the values of its groups.
    ///
    /// Groups that lie whole in `bytes` are hashed where they are, all at once: pieces of many whole groups are the
    /// fastest.
    pub(crate) fn update_beside<T, E>(
        &mut self,
        bytes: &[u8],
        meanwhile: impl FnOnce() -> T,
        mut full: impl FnMut(u64, &[Cv]) -> Result<(), E>,
    ) -> Result<T, E> {
        let rest = self.go_on(bytes, &mut full)?;
        // A single group may be the root.
        let is_all = self.size == 0 && rest.len() <= GROUP_LEN;
        let count = if is_all { 0 } else { rest.len() / GROUP_LEN };
        let (whole, rest) = rest.split_at(count * GROUP_LEN);
        let first = self.size / GROUP;
        let mut values = std::mem::take(&mut self.values);
        values.resize(count, [0; 32]);
        let hash = || group_values(whole, first, &mut values);
        let outcome = beside(count, hash, meanwhile);
        self.add(&values, &mut full)?;
        self.values = values;
        self.go_on(rest, &mut full)?;
        Ok(outcome)
    }

    /// Adds whole groups that were hashed elsewhere. They come behind whole ones, and are not all of the stream.
    pub(crate) fn add<E>(
        &mut self,
        values: &[Cv],
        mut full: impl FnMut(u64, &[Cv]) -> Result<(), E>,
    ) -> Result<(), E> {
        let is_behind_whole_ones = self.size.is_multiple_of(GROUP) && self.begun.is_empty();
        debug_assert!(is_behind_whole_ones || values.is_empty());
        for value in values {
            self.push(*value, &mut full)?;
        }
        self.size += values.len() as u64 * GROUP;
        Ok(())
    }

    /// Adds to the group that has begun, or begins one where less than a group is left. Returns what it did not
    /// take: nothing, or what comes behind the end of that group.
    fn go_on<'b, E>(
        &mut self,
        bytes: &'b [u8],
        full: &mut impl FnMut(u64, &[Cv]) -> Result<(), E>,
    ) -> Result<&'b [u8], E> {
        let is_short = bytes.len() < GROUP_LEN || (self.size == 0 && bytes.len() == GROUP_LEN);
        if bytes.is_empty() || (self.begun.is_empty() && !is_short) {
            return Ok(bytes);
        }
        if self.begun.len() == GROUP_LEN {
            self.finish_begun();
        }
        if self.page.len() == self.page_groups {
            self.finish_page(full)?;
        }
        let (now, later) = bytes.split_at(bytes.len().min(GROUP_LEN - self.begun.len()));
        self.begun.extend_from_slice(now);
        self.size += now.len() as u64;
        if !later.is_empty() {
            self.finish_begun();
        }
        Ok(later)
    }

    /// Adds the value of a group.
    fn push<E>(
        &mut self,
        value: Cv,
        full: &mut impl FnMut(u64, &[Cv]) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.page.len() == self.page_groups {
            self.finish_page(full)?;
        }
        self.page.push(value);
        Ok(())
    }

    fn finish_begun(&mut self) {
        // All bytes so far are in groups before it, or in it.
        let group = self.size.div_ceil(GROUP) - 1;
        self.page.push(group_value(group, &self.begun));
        self.begun.clear();
    }

    fn finish_page<E>(
        &mut self,
        full: &mut impl FnMut(u64, &[Cv]) -> Result<(), E>,
    ) -> Result<(), E> {
        full(self.pages.len() as u64, &self.page)?;
        self.pages.push(merge(&self.page, false, &mut Vec::new()));
        self.page.clear();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Hashed {
        let hash = if self.size <= GROUP {
            Hash::of(&self.begun)
        } else {
            if !self.begun.is_empty() {
                self.finish_begun();
            }
            let is_one_page = self.pages.is_empty();
            let last = merge(&self.page, is_one_page, &mut Vec::new());
            Hash::from_bytes(if is_one_page {
                last
            } else {
                self.pages.push(last);
                merge(&self.pages, true, &mut Vec::new())
            })
        };
        Hashed {
            hash,
            size: self.size,
            last_page: self.page,
            pages: self.pages,
        }
    }
}

#[cfg(test)]
mod tests {
    use blake3::hazmat::HasherExt;
    use proptest::prelude::*;

    use super::*;
    use crate::tree::{CHUNK, groups};

    fn bytes(size: usize) -> Vec<u8> {
        (0..size)
            .map(|i| u8::try_from((i / 247 + i * 13) % 256).unwrap())
            .collect()
    }

    /// All that comes of a hasher.
    #[derive(Debug, PartialEq)]
    struct Outcome {
        hash: Hash,
        size: u64,
        full: Vec<(u64, Vec<Cv>)>,
        last_page: Vec<Cv>,
        pages: Vec<Cv>,
    }

    /// The plain way, kept as an oracle: all groups one by one, then all pages.
    fn simple(data: &[u8], page_groups: usize) -> Outcome {
        let value_of = |(group, bytes): (u64, &[u8])| {
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset(group * 16 * CHUNK);
            hasher.update(bytes);
            hasher.finalize_non_root()
        };
        let values: Vec<Cv> = (0..).zip(data.chunks(GROUP_LEN)).map(value_of).collect();
        let mut pages: Vec<Vec<Cv>> = values.chunks(page_groups).map(<[_]>::to_vec).collect();
        let value_of_page = |page: &Vec<Cv>| merge(page, false, &mut Vec::new());
        let page_values: Vec<Cv> = pages.iter().map(value_of_page).collect();
        let last_page = pages.pop().filter(|_| data.len() > GROUP_LEN);
        Outcome {
            hash: blake3::hash(data).into(),
            size: data.len() as u64,
            last_page: last_page.unwrap_or_default(),
            pages: match pages.is_empty() {
                true => Vec::new(),
                false => page_values,
            },
            full: (0..).zip(pages).collect(),
        }
    }

    /// The hasher under test, fed in pieces of these lengths, over and over.
    fn in_pieces(data: &[u8], page_groups: usize, pieces: &[usize]) -> Outcome {
        let mut hasher = TreeHasher::with_page_groups(page_groups);
        let mut full = Vec::new();
        let (mut rest, mut pieces) = (data, pieces.iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(*pieces.next().unwrap()));
            rest = later;
            hasher
                .update(now, |page, values: &[Cv]| {
                    full.push((page, values.to_vec()));
                    Ok::<(), ()>(())
                })
                .unwrap();
            let fed = (data.len() - rest.len()) as u64;
            assert_eq!(hasher.size(), fed);
            // As soon as it is known that more follows, and not before.
            assert_eq!(full.len() as u64, (groups(fed) - 1) / page_groups as u64);
            assert!(hasher.begun.capacity() < 2 * GROUP_LEN);
        }
        let hashed = hasher.finish();
        Outcome {
            hash: hashed.hash,
            size: hashed.size,
            full,
            last_page: hashed.last_page,
            pages: hashed.pages,
        }
    }

    /// Lengths, most of them on either side of a boundary.
    fn lengths(most: usize) -> impl Strategy<Value = usize> {
        let near = (0..=most, 0..3_usize)
            .prop_map(|(groups, beside)| (groups * GROUP_LEN + beside).saturating_sub(1));
        prop_oneof![3 => near, 1 => 0..=most * GROUP_LEN]
    }

    #[test]
    fn single_bytes_are_a_stream_like_any_other() {
        for size in [
            0,
            1,
            GROUP_LEN,
            GROUP_LEN + 1,
            4 * GROUP_LEN,
            4 * GROUP_LEN + 1,
        ] {
            let data = bytes(size);
            assert_eq!(in_pieces(&data, 2, &[1]), simple(&data, 2), "{size}");
        }
    }

    #[test]
    fn pages_of_the_real_size_come_in_any_pieces() {
        let page = usize::try_from(PAGE_GROUPS).unwrap() * GROUP_LEN;
        let data = bytes(2 * page + GROUP_LEN);
        for size in [page - 1, page, page + 1, 2 * page, 2 * page + 1, data.len()] {
            let data = &data[..size];
            let expected = simple(data, page / GROUP_LEN);
            for pieces in [
                &[data.len()][..],
                &[256 * 1024],
                &[GROUP_LEN],
                &[1, page],
                &[page, 7],
                &[10_000],
            ] {
                let found = in_pieces(data, page / GROUP_LEN, pieces);
                assert!(found == expected, "{size} {pieces:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn any_pieces_are_hashed_as_the_whole(
            size in lengths(24),
            page_log in 1..5_u32,
            pieces in proptest::collection::vec(lengths(9), 1..6),
        ) {
            let data = bytes(size);
            // An update with no bytes is one, too, if it is not the only one.
            let pieces: Vec<usize> = pieces.into_iter().chain([4099]).collect();
            let page_groups = 1 << page_log;
            prop_assert_eq!(in_pieces(&data, page_groups, &pieces), simple(&data, page_groups));
        }
    }
}
