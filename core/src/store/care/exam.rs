//! What a look at a blob shows, and how it is judged: by the outboard, by length, by the hash of the whole.

use std::ops::{ControlFlow, Range};

use crate::{
    Error, FileName, Hash, ReadAt, Stamp,
    homes::Home,
    proof::{Step, Walk, append, intersection, union},
    store::care::{
        Depth, Finding,
        examine::Pulse,
        home::{HomeExam, OpenHome, Place},
    },
    text::chain,
    tree::{GROUP, GROUP_LEN, PAIR, PREFIX, groups, outboard_len},
};

/// What a look at a complete blob has shown.
pub(super) struct Exam<O> {
    pub(super) hash: Hash,
    /// Bytes of the blob: proved, or the likeliest claim.
    pub(super) size: u64,
    pub(super) outboard: Outboard<O>,
    pub(super) homes: Vec<HomeExam<O>>,
    /// Why the list of external paths cannot be used.
    pub(super) paths: Option<Error>,
    /// The group before which it was stopped.
    pub(super) stopped: Option<u64>,
    /// What the list of external paths was like when it was read.
    pub(super) listed: Option<Stamp>,
    /// Whether the last group verifies with that size.
    pub(super) is_size_proved: bool,
    /// Whether the last group was among those that were looked at and could be proved.
    pub(super) is_proved: bool,
    pub(super) depth: Depth,
}

/// What a blob's outboard is like.
pub(super) enum Outboard<O> {
    /// There is none.
    Missing,
    Unreadable(String),
    Found {
        file: O,
        /// The size that its prefix claims.
        claim: Option<u64>,
        /// Bytes of the file.
        len: u64,
        /// The groups that it does not prove.
        unproved: Vec<Range<u64>>,
    },
}

impl<O> Outboard<O> {
    fn file(&self) -> Option<&O> {
        match self {
            Self::Found { file, .. } => Some(file),
            Self::Missing | Self::Unreadable(_) => None,
        }
    }
}

impl<O: ReadAt> Exam<O> {
    /// The size under which the last group verifies, and `true`; otherwise the one under which most does.
    pub(super) fn likely_size(&self) -> (u64, bool) {
        let mut claims: Vec<u64> = Vec::new();
        let mut guess = None;
        claims.extend(self.open().map(|home| home.len));
        if let Outboard::Found { claim, len, .. } = &self.outboard {
            claims.splice(0..0, *claim);
            // As many groups as it has pairs for; where pairs stand depends on no more than that.
            let pairs = len.saturating_sub(PREFIX) / PAIR;
            guess = (pairs + 1).checked_mul(GROUP).filter(|_| pairs > 0);
            claims.extend(guess);
        }
        // Where an outboard proves nothing, what it claims says nothing either.
        let first = self.open().next().map(|home| home.len);
        let unproved = first.or(claims.first().copied()).unwrap_or_default();
        let mut likeliest = ((0, 0), unproved);
        for (index, claim) in claims.iter().enumerate() {
            if claims[..index].contains(claim) {
                continue;
            }
            if self.last_group_verifies(*claim) {
                return (*claim, true);
            }
            let (right, known) = self.score(*claim);
            // A tree goes on above the groups as below them: of what is guessed, and claimed by nobody, values alone say
            // nothing. The guess is the last one.
            let is_guess = guess.is_some() && index + 1 == claims.len();
            let found = (right, if is_guess { 0 } else { known });
            if found > likeliest.0 {
                likeliest = (found, *claim);
            }
        }
        (likeliest.1, false)
    }

    fn last_group_verifies(&self, size: u64) -> bool {
        let last = groups(size) - 1;
        let mut verifies = false;
        let mut buf = vec![0; GROUP_LEN];
        let mut walk = Walk::new(self.outboard.file(), size).within(last..last + 1);
        let _ = walk.run(self.hash, &mut |step| {
            if let Step::Known(leaf) = step {
                verifies = self.open().any(|home| {
                    let bytes = home.read(leaf.group, size, &mut buf);
                    bytes.is_ok_and(|bytes| bytes.is_some_and(|bytes| leaf.proves(bytes)))
                });
            }
            ControlFlow::Continue(())
        });
        verifies
    }

    /// How many groups verify in the first home, and how many values are proved; an outboard can be forged
    /// to go on below the groups, so that values alone say little.
    fn score(&self, size: u64) -> (u64, u64) {
        let (mut right, mut known) = (0, 0);
        let mut buf = vec![0; GROUP_LEN];
        let first = self.open().next();
        let _ = Walk::new(self.outboard.file(), size).run(self.hash, &mut |step| {
            if let Step::Known(leaf) = step
                && !leaf.is_root
            {
                known += 1;
                let bytes = first.map(|home| home.read(leaf.group, size, &mut buf));
                if let Some(Ok(Some(bytes))) = bytes
                    && self.depth == Depth::Deep
                {
                    right += u64::from(leaf.proves(bytes));
                }
            }
            ControlFlow::Continue(())
        });
        (right, known)
    }

    /// Compares the groups of every home with what the outboard proves. Returns what it does not prove.
    pub(super) fn compare(&mut self, from: u64, pulse: &mut Pulse<'_>) -> Vec<Range<u64>> {
        let size = self.size;
        let last = groups(size) - 1;
        let mut buf = vec![0; GROUP_LEN];
        let mut unproved = Vec::new();
        let mut homes: Vec<_> = self
            .homes
            .iter_mut()
            .filter_map(HomeExam::open_mut)
            .collect();
        let outboard = self.outboard.file();
        let (depth, is_size_proved, stopped) = (self.depth, self.is_size_proved, &mut self.stopped);
        let mut walk = Walk::new(outboard, size).within(from..last + 1);
        let _ = walk.run(self.hash, &mut |step| {
            let leaf = match step {
                Step::Known(leaf) => leaf,
                Step::Unknown(range) => {
                    append(&mut unproved, range);
                    return ControlFlow::Continue(());
                }
                Step::Pair(..) => return ControlFlow::Continue(()),
            };
            if depth == Depth::Quick && leaf.group != last {
                return ControlFlow::Continue(());
            }
            let mut bytes = 0;
            for home in &mut homes {
                if depth == Depth::Quick && !is_size_proved && leaf.is_root && home.len > GROUP {
                    // Of a home with several groups the first one says nothing.
                    continue;
                }
                bytes += home.compare(&leaf, size, &mut buf);
            }
            let flow = pulse(bytes);
            // What is not proved is judged in one piece, at the end.
            let may_stop = leaf.group < last && is_size_proved && unproved.is_empty();
            if flow.is_break() && may_stop {
                *stopped = Some(leaf.group + 1);
                return flow;
            }
            ControlFlow::Continue(())
        });
        let failed = walk.failed.take();
        drop(walk);
        if let Some(error) = failed {
            // What cannot be read is not said to be damaged, and repair keeps its hands off it.
            self.outboard = Outboard::Unreadable(chain(&error));
        }
        unproved
    }

    /// A home that is too short lacks groups, also those that were not looked at.
    pub(super) fn judge_by_length(&mut self, from: u64) {
        if !self.is_proved {
            // Nothing tells how long it should be.
            return;
        }
        let size = self.size;
        for home in self.homes.iter_mut().filter_map(HomeExam::open_mut) {
            let missing = from.max(home.len / GROUP)..groups(size);
            if home.len < size && !missing.is_empty() {
                home.wrong = union(&home.wrong, &[missing]);
            }
        }
    }

    /// Compares once more, under the size that a home has proved by its hash. What the outboard does not
    /// prove, the hash has told of each home.
    pub(super) fn compare_again(&mut self, from: u64) -> Vec<Range<u64>> {
        for home in self.homes.iter_mut().filter_map(HomeExam::open_mut) {
            home.wrong.clear();
            home.unread.clear();
        }
        let unproved = self.compare(from, &mut |_| ControlFlow::Continue(()));
        for home in self.homes.iter_mut().filter_map(HomeExam::open_mut) {
            if home.is_hashed {
                home.wrong.clear();
            } else if home.why.is_some() {
                home.unread = union(&home.unread, &unproved);
            } else {
                home.wrong = union(&home.wrong, &unproved);
            }
        }
        unproved
    }

    /// Notes what the outboard does not prove, and forgets groups of a larger size, which was taken for the
    /// blob's at first.
    pub(super) fn settle(&mut self, unproved: Vec<Range<u64>>) {
        let whole = 0..groups(self.size);
        let all = std::slice::from_ref(&whole);
        if let Outboard::Found {
            unproved: found, ..
        } = &mut self.outboard
        {
            *found = unproved;
        }
        for home in self.homes.iter_mut().filter_map(HomeExam::open_mut) {
            home.wrong = intersection(&home.wrong, all);
            home.unread = intersection(&home.unread, all);
        }
    }

    fn open(&self) -> impl Iterator<Item = &OpenHome<O>> {
        self.homes.iter().filter_map(HomeExam::open)
    }

    /// The owned data, if there are such.
    pub(super) fn owned(&self) -> Option<&HomeExam<O>> {
        let is_owned = |home: &&HomeExam<O>| matches!(home.place, Place::Owned);
        self.homes.iter().find(is_owned)
    }

    /// Whether there are partial data.
    pub(super) fn has_partial(&self) -> bool {
        self.homes.iter().any(|home| !home.is_home())
    }

    /// The first home that is whole, after a deep look.
    pub(super) fn whole(&self) -> Option<&HomeExam<O>> {
        self.homes.iter().find(|home| home.is_whole(self.size))
    }

    /// The size, if the last group proves it.
    pub(super) fn proved_size(&self) -> Option<u64> {
        let is_proved = self.is_proved && self.stopped.is_none() && self.whole().is_some();
        is_proved.then_some(self.size)
    }

    /// The first home that has a group right, after a deep look.
    pub(super) fn home_of(&self, group: u64) -> Option<&Home<O>> {
        let lacks = |ranges: &[Range<u64>]| ranges.iter().any(|range| range.contains(&group));
        let mut homes = self.open();
        let home = homes.find(|home| !lacks(&home.wrong) && !lacks(&home.unread))?;
        Some(&home.home)
    }

    /// The groups that no home has right.
    pub(super) fn lost(&self) -> Vec<Range<u64>> {
        let mut lost: Vec<_> = std::iter::once(0..groups(self.size)).collect();
        for home in self.open() {
            lost = intersection(&lost, &union(&home.wrong, &home.unread));
        }
        lost
    }

    /// Whether the outboard has to be made again.
    pub(super) fn needs_outboard(&self) -> bool {
        self.size > GROUP
            && match &self.outboard {
                Outboard::Missing => true,
                Outboard::Unreadable(_) => false,
                Outboard::Found {
                    claim,
                    len,
                    unproved,
                    ..
                } => {
                    !unproved.is_empty()
                        || *claim != Some(self.size)
                        || *len != outboard_len(self.size)
                }
            }
    }

    /// What is wrong with the external homes.
    pub(super) fn external_findings(&self) -> Vec<Finding> {
        let mut found = self.findings();
        found.retain(|finding| {
            matches!(
                finding,
                Finding::ExternalChanged { .. }
                    | Finding::ExternalMissing { .. }
                    | Finding::ExternalUnreachable { .. }
                    | Finding::RefusedPath { .. }
            )
        });
        found
    }

    /// What is wrong.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let hash = self.hash;
        let mut found = Vec::new();
        match &self.outboard {
            Outboard::Missing if self.size > GROUP && self.open().next().is_some() => {
                found.push(Finding::MissingOutboard { hash });
            }
            Outboard::Missing => {}
            Outboard::Unreadable(why) => {
                let (file, why) = (FileName::Outboard(hash), why.clone());
                found.push(Finding::Unreadable { hash, file, why });
            }
            Outboard::Found { .. } if self.size <= GROUP => {
                if self.is_proved {
                    found.push(Finding::NeedlessOutboard { hash });
                }
            }
            Outboard::Found { unproved, .. } if self.needs_outboard() => {
                let groups = unproved.clone();
                found.push(Finding::CorruptOutboard { hash, groups });
            }
            Outboard::Found { .. } => {}
        }
        match &self.paths {
            Some(Error::Paths { source, .. }) => {
                let why = source.clone();
                found.push(Finding::CorruptPaths { hash, why });
            }
            Some(error) => {
                let (file, why) = (FileName::Paths(hash), chain(error));
                found.push(Finding::Unreadable { hash, file, why });
            }
            None => {}
        }
        // A quick look at the other homes says nothing of what they have.
        let lost = (self.depth == Depth::Deep).then(|| self.lost());
        for home in &self.homes {
            let size = if self.is_proved { self.size } else { u64::MAX };
            found.extend(home.findings(hash, size, lost.as_deref()));
        }
        found
    }
}
