//! A page of an outboard in memory: the pairs of up to [`PAGE_GROUPS`] groups, each proved when it is first needed.
//!
//! A single group needs the pairs above it and no others: eight at most. Proving all 255 would take longer than
//! reading and hashing the group. Whoever reads many groups has all of them proved, also those below the runs that are
//! hashed as one, which is a fiftieth of hashing the page: so that many groups read just where each of them does, and
//! a wrong pair is found as soon as ever.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    Hash,
    leaves::run_value,
    tree::{Cv, PAGE_GROUPS, PAIR, PAIR_LEN, Subtree, merge, parent, split_pair},
};

/// Groups that are proved by one value: 256 KiB hash as fast as any more, and stay in the cache of a core between
/// being read and being hashed.
pub(crate) const RUN_GROUPS: u64 = 16;

/// Words of the set of pairs that are proved: a page of 256 groups has 255 pairs.
const WORDS: usize = 4;
const _: () = assert!(WORDS as u64 * u64::BITS as u64 >= PAGE_GROUPS);

/// The pairs of an aligned subtree, the value of which is proved.
#[derive(Debug)]
pub(crate) struct Page {
    subtree: Subtree,
    /// The hash of the blob when the page is all of it.
    value: Cv,
    pairs: Box<[u8]>,
    /// Which of the pairs are known to be right. Threads that find the same out at once do no harm.
    proved: [AtomicU64; WORDS],
}

/// A subtree of up to [`RUN_GROUPS`] groups, with its proved value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) start: u64,
    pub(crate) groups: u64,
    /// The hash of the blob when the run is all of it.
    pub(crate) value: Cv,
    pub(crate) is_root: bool,
}

impl Run {
    /// Whether these are its bytes.
    pub(crate) fn is_of(&self, bytes: &[u8]) -> bool {
        match self.is_root {
            true => Hash::of(bytes).as_bytes() == &self.value,
            false => run_value(bytes, self.start) == self.value,
        }
    }
}

impl Page {
    /// A page with pairs that nothing proves yet; `None` when they are not as many as the subtree has.
    pub(crate) fn new(subtree: Subtree, value: Cv, pairs: Vec<u8>) -> Option<Self> {
        let is_whole = subtree.groups <= PAGE_GROUPS && pairs.len() as u64 == subtree.pairs_len();
        is_whole.then(|| Self {
            subtree,
            value,
            pairs: pairs.into(),
            proved: Default::default(),
        })
    }

    /// The topmost pair of a subtree that is larger than a page, and nothing else of it.
    pub(crate) fn top(subtree: Subtree, value: Cv, pair: Vec<u8>) -> Self {
        Self {
            subtree,
            value,
            pairs: pair.into(),
            proved: Default::default(),
        }
    }

    /// The page over groups with these values.
    pub(crate) fn of_values(subtree: Subtree, values: &[Cv]) -> Self {
        let mut pairs = Vec::with_capacity(values.len() * PAIR_LEN);
        let value = merge(values, subtree.is_root, &mut pairs);
        Self {
            subtree,
            value,
            pairs: pairs.into(),
            proved: [const { AtomicU64::new(u64::MAX) }; WORDS],
        }
    }

    /// The value of the whole page.
    pub(crate) fn value(&self) -> &Cv {
        &self.value
    }

    /// Whether these groups are among those of the page.
    pub(crate) fn has(&self, groups: &Range<u64>) -> bool {
        let whole = self.subtree.range();
        whole.start <= groups.start && groups.start < groups.end && groups.end <= whole.end
    }

    /// The fewest runs that these groups of the page are made of; `None` when a pair of the page is wrong, or above
    /// the group where there is only one.
    pub(crate) fn runs(&self, groups: Range<u64>) -> Option<Vec<Run>> {
        if groups.end - groups.start > 1 && !self.is_right(self.subtree, &self.value) {
            return None;
        }
        let mut runs = Vec::new();
        let mut next = groups.start;
        while next < groups.end {
            let run = self.run(next, RUN_GROUPS.min(groups.end - next))?;
            next += run.groups;
            runs.push(run);
        }
        Some(runs)
    }

    /// One group of the page; `None` when a pair above it is wrong.
    pub(crate) fn group(&self, group: u64) -> Option<Run> {
        self.run(group, 1)
    }

    /// Whether all pairs of a subtree are right.
    fn is_right(&self, tree: Subtree, value: &Cv) -> bool {
        if tree.groups == 1 {
            return true;
        }
        let Some((left_value, right_value)) = self.halves(tree, value) else {
            return false;
        };
        let (left, right) = tree.split();
        self.is_right(left, &left_value) && self.is_right(right, &right_value)
    }

    /// The largest subtree of at most `most` groups that begins with a group.
    fn run(&self, group: u64, most: u64) -> Option<Run> {
        let (mut tree, mut value) = (self.subtree, self.value);
        while tree.start != group || tree.groups > most {
            let (left_value, right_value) = self.halves(tree, &value)?;
            let (left, right) = tree.split();
            (tree, value) = match group < right.start {
                true => (left, left_value),
                false => (right, right_value),
            };
        }
        Some(Run {
            start: tree.start,
            groups: tree.groups,
            value,
            is_root: tree.is_root,
        })
    }

    /// The values of the halves of a subtree with a proved value; `None` when its pair is wrong.
    pub(crate) fn halves(&self, tree: Subtree, value: &Cv) -> Option<(Cv, Cv)> {
        let (left, right) = split_pair(self.pair(tree)?)?;
        // Of a subtree of the page, which has fewer pairs than its set has room for.
        let nth = usize::try_from((tree.offset - self.subtree.offset) / PAIR).ok()?;
        let (word, bit) = (nth / u64::BITS as usize, 1 << (nth % u64::BITS as usize));
        let proved = self.proved.get(word)?;
        if proved.load(Ordering::Relaxed) & bit == 0 {
            if parent(&left, &right, tree.is_root) != *value {
                return None;
            }
            proved.fetch_or(bit, Ordering::Relaxed);
        }
        Some((left, right))
    }

    /// The pair of a subtree of several groups, proved or not.
    pub(crate) fn pair(&self, tree: Subtree) -> Option<&[u8; PAIR_LEN]> {
        if tree.groups < 2 {
            return None;
        }
        let at = usize::try_from(tree.offset.checked_sub(self.subtree.offset)?).ok()?;
        self.pairs.get(at..)?.first_chunk()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tree::PREFIX;

    fn values(groups: u64) -> Vec<Cv> {
        (0..groups)
            .map(|group| *blake3::hash(&group.to_le_bytes()).as_bytes())
            .collect()
    }

    fn subtree(page: u64, groups: u64, is_root: bool) -> Subtree {
        Subtree {
            start: page * PAGE_GROUPS,
            groups,
            offset: PREFIX + page * 7 * PAIR,
            is_root,
        }
    }

    /// The same page as it comes from a file.
    fn read_back(page: &Page) -> Page {
        Page::new(page.subtree, page.value, page.pairs.to_vec()).unwrap()
    }

    /// What a run must have: the plain merge of the values of its groups.
    fn check(run: &Run, first: u64, values: &[Cv]) {
        let at = usize::try_from(run.start - first).unwrap();
        let values = &values[at..at + usize::try_from(run.groups).unwrap()];
        assert_eq!(run.value, merge(values, run.is_root, &mut Vec::new()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn runs_tile_what_was_asked_for(
            groups in 2..=PAGE_GROUPS, from in 0..PAGE_GROUPS, len in 1..=PAGE_GROUPS, page in 0..3_u64,
        ) {
            let values = values(groups);
            let subtree = subtree(page, groups, page == 0);
            let page = read_back(&Page::of_values(subtree, &values));
            let start = subtree.start + from % groups;
            let asked = start..(start + len).min(subtree.range().end);
            prop_assert!(page.has(&asked));
            // The second time everything is known to be right.
            for _ in 0..2 {
                let runs = page.runs(asked.clone()).unwrap();
                let mut next = asked.start;
                for run in &runs {
                    prop_assert_eq!(run.start, next);
                    prop_assert!(run.groups <= RUN_GROUPS);
                    prop_assert_eq!(run.is_root, subtree.is_root && run.groups == groups);
                    check(run, subtree.start, &values);
                    next += run.groups;
                }
                prop_assert_eq!(next, asked.end);
                // Never two where one would do.
                for pair in runs.windows(2) {
                    let both = pair[0].groups + pair[1].groups;
                    let is_one = pair[0].groups == pair[1].groups && pair[0].start % both == 0;
                    prop_assert!(both > RUN_GROUPS || !is_one);
                }
            }
        }

        #[test]
        fn a_wrong_pair_proves_nothing_below_it(
            groups in 2..=PAGE_GROUPS, bit in 0..PAGE_GROUPS * 512, known in any::<bool>(),
        ) {
            let values = values(groups);
            let subtree = subtree(0, groups, true);
            let right = Page::of_values(subtree, &values);
            let mut pairs = right.pairs.to_vec();
            let bit = usize::try_from(bit).unwrap() % (pairs.len() * 8);
            pairs[bit / 8] ^= 1 << (bit % 8);
            let page = Page::new(subtree, right.value, pairs).unwrap();
            if known {
                // What was proved before, here or there, makes no difference.
                prop_assert_eq!(page.runs(0..groups), None);
            }
            let mut found = 0;
            for (group, value) in (0..).zip(&values) {
                if let Some(of_page) = page.group(group) {
                    prop_assert_eq!(&of_page.value, value);
                    found += 1;
                }
            }
            // Everything below the pair is unknown, and nothing else.
            let mut below = vec![subtree];
            let lost = loop {
                let tree = below.pop().unwrap();
                if tree.offset - PREFIX == (bit as u64 / 512) * PAIR && tree.groups > 1 {
                    break tree.groups;
                }
                if tree.groups > 1 {
                    let (left, right) = tree.split();
                    below.extend([left, right]);
                }
            };
            prop_assert_eq!(found + lost, groups);
        }
    }

    #[test]
    fn what_is_not_of_the_page_is_not_had() {
        let page = Page::of_values(subtree(1, 100, false), &values(100));
        assert!(page.has(&(256..356)));
        for groups in [255..300, 256..357, 400..401, 300..300] {
            assert!(!page.has(&groups), "{groups:?}");
        }
        let pairs = page.pairs.to_vec();
        assert!(Page::new(page.subtree, page.value, pairs[64..].to_vec()).is_none());
        assert!(Page::new(subtree(0, 101, false), page.value, pairs).is_none());
        assert_eq!(
            page.pair(Subtree {
                groups: 1,
                ..page.subtree
            }),
            None
        );
    }
}
