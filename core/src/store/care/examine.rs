//! One blob under the lamp: every home against its outboard, read from the disk, nothing changed.

use std::{
    io,
    ops::{ControlFlow, Range},
};

use crate::{
    Backend, BackendError, Error, FileName, Hash, PathsError, ReadAt, Result, Stamp,
    homes::Home,
    index::Entry,
    io::read_full_at,
    progress::{Watch, unwatched},
    proof::{Step, Walk, append, intersection, union},
    store::{
        Inner,
        care::{
            Finding,
            home::{HomeExam, OpenHome, Place, State, not_opened, opened},
        },
    },
    text::chain,
    tree::{GROUP, GROUP_LEN, PAIR, PREFIX, groups, outboard_len},
};

/// How closely a store is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Depth {
    /// Every outboard in full, and of all data the length and the last group, which proves it.
    #[default]
    Quick,
    /// All bytes of all data, too.
    Deep,
}

/// External homes of a blob that are open at once: a file that lies in a thousand places is no reason to run
/// out of handles.
const AT_ONCE: usize = 16;

/// Is told of the bytes that were read, often, and may stop the work.
pub(super) type Pulse<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

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
    is_size_proved: bool,
    /// Whether the last group was among those that were looked at and could be proved.
    is_proved: bool,
    depth: Depth,
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

impl<B: Backend> Inner<B> {
    /// Looks at a complete blob, from group `from` on.
    pub(super) fn examine(
        &self,
        hash: Hash,
        depth: Depth,
        from: u64,
        pulse: &mut Pulse<'_>,
        watch: &mut Watch<'_>,
    ) -> Exam<B::Object> {
        let entry = self.kernel.state().index.get(hash);
        let listed = self.stamp_of_paths(hash);
        let (homes, paths) = self.open_homes(hash, entry);
        let mut exam = self.begin(hash, homes, depth);
        (exam.paths, exam.listed) = (paths, listed);
        self.look(&mut exam, from, pulse, watch);
        exam
    }

    /// Looks at the external homes that were too many to be looked at with the others, and returns what is
    /// wrong with them.
    pub(super) fn examine_more(&self, exam: &Exam<B::Object>) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut first = AT_ONCE;
        while exam.homes.len() >= AT_ONCE {
            let mut homes = Vec::new();
            let opened = self.open_external_homes(exam.hash, first, &mut homes);
            if opened.is_err() || homes.is_empty() {
                break;
            }
            first += AT_ONCE;
            let mut more = self.begin(exam.hash, homes, exam.depth);
            self.look(
                &mut more,
                0,
                &mut |_| ControlFlow::Continue(()),
                &mut unwatched,
            );
            found.extend(more.external_findings());
        }
        found
    }

    fn look(
        &self,
        exam: &mut Exam<B::Object>,
        from: u64,
        pulse: &mut Pulse<'_>,
        watch: &mut Watch<'_>,
    ) {
        let (depth, size) = (exam.depth, exam.size);
        let mut unproved = exam.compare(from, pulse);
        let last = groups(exam.size) - 1;
        // That all of it is one group is known of every blob that is claimed to have no more.
        let is_known = match unproved.last() {
            _ if last == 0 => exam.is_size_proved,
            Some(range) => range.end <= last,
            None => true,
        };
        exam.is_proved = from <= last && (depth == Depth::Deep || is_known);
        if exam.stopped.is_none() {
            // Under a size that is not the blob's even its own bytes look wrong.
            if depth == Depth::Deep && !(exam.is_size_proved && unproved.is_empty()) {
                self.judge_by_hash(exam, &unproved, from, watch);
            }
            exam.judge_by_length(from);
        }
        if exam.size != size {
            unproved = exam.compare_again(from);
        }
        exam.settle(unproved);
    }

    /// Looks at partial data beside an outboard with the final name.
    pub(super) fn examine_partial(
        &self,
        hash: Hash,
        name: &FileName,
        data: B::Object,
    ) -> Exam<B::Object> {
        let place = Place::Partial;
        let state = opened(&place, name.to_string(), data);
        self.begin(hash, vec![HomeExam { place, state }], Depth::Deep)
    }

    /// Opens the outboard and settles on a size.
    fn begin(&self, hash: Hash, homes: Vec<HomeExam<B::Object>>, depth: Depth) -> Exam<B::Object> {
        let outboard = self.open_outboard(hash);
        let mut exam = Exam {
            hash,
            size: 0,
            outboard: outboard.unwrap_or_else(|why| Outboard::Unreadable(chain(&why))),
            homes,
            paths: None,
            stopped: None,
            listed: None,
            is_size_proved: false,
            is_proved: false,
            depth,
        };
        (exam.size, exam.is_size_proved) = exam.likely_size();
        exam
    }

    /// Tells whether a list of external paths has been written meanwhile.
    pub(super) fn stamp_of_paths(&self, hash: Hash) -> Option<Stamp> {
        let file = self.backend.open(&FileName::Paths(hash)).ok()??;
        self.backend.stamp(&file).ok()
    }

    fn open_outboard(&self, hash: Hash) -> Result<Outboard<B::Object>> {
        let name = FileName::Outboard(hash);
        let Some(file) = self.backend.open(&name)? else {
            return Ok(Outboard::Missing);
        };
        let len = file.size().map_err(BackendError::io("measure", &name))?;
        let mut prefix = [0; 8];
        let read = read_full_at(&file, &mut prefix, 0).map_err(BackendError::io("read", &name))?;
        Ok(Outboard::Found {
            file,
            claim: (read == prefix.len()).then(|| u64::from_le_bytes(prefix)),
            len,
            unproved: Vec::new(),
        })
    }

    fn open_homes(&self, hash: Hash, entry: Entry) -> (Vec<HomeExam<B::Object>>, Option<Error>) {
        let mut homes = Vec::new();
        if entry.has(Entry::DATA) {
            let name = FileName::Data(hash);
            let state = match self.backend.open(&name) {
                Ok(Some(object)) => opened(&Place::Owned, name.to_string(), object),
                Ok(None) => State::Gone("it was removed".into()),
                Err(error) => State::Unreachable(chain(&error)),
            };
            let place = Place::Owned;
            homes.push(HomeExam { place, state });
        }
        let failed = if entry.has(Entry::PATHS) {
            self.open_external_homes(hash, 0, &mut homes).err()
        } else {
            None
        };
        let partials = self.kernel.state().index.partials(hash).to_vec();
        for files in partials.iter().filter(|files| files.data) {
            let name = FileName::PartialData(hash, files.uuid);
            let place = Place::Partial;
            if let Ok(Some(object)) = self.backend.open(&name) {
                let state = opened(&place, name.to_string(), object);
                homes.push(HomeExam { place, state });
            }
        }
        (homes, failed)
    }

    /// Opens a few external homes, from the `first` one in the list on.
    fn open_external_homes(
        &self,
        hash: Hash,
        first: usize,
        homes: &mut Vec<HomeExam<B::Object>>,
    ) -> Result<()> {
        let paths = match self.read_paths(hash) {
            Ok(Some(paths)) if paths.is_empty() => {
                let file = FileName::Paths(hash);
                let source = PathsError::Empty;
                return Err(Error::Paths { file, source });
            }
            other => other?.unwrap_or_default(),
        };
        for (text, parsed) in paths.iter().skip(first).take(AT_ONCE) {
            let (place, state) = match parsed {
                Ok(path) => {
                    let found = self.backend.external(&path);
                    let text = path.to_string();
                    let place = Place::External(path);
                    let state = match found {
                        Ok(object) => opened(&place, text, object),
                        Err(error) => not_opened(&error),
                    };
                    (place, state)
                }
                Err(why) => {
                    let gone = State::Gone(why.to_string());
                    (Place::Refused(text.to_owned(), why), gone)
                }
            };
            homes.push(HomeExam { place, state });
        }
        Ok(())
    }

    /// What the outboard does not prove, the hash of the whole does, for each home that has it.
    fn judge_by_hash(
        &self,
        exam: &mut Exam<B::Object>,
        unproved: &[Range<u64>],
        from: u64,
        watch: &mut Watch<'_>,
    ) {
        for home in exam.homes.iter_mut().filter_map(HomeExam::open_mut) {
            if home.home.is_partial {
                // It could be large and empty.
                home.wrong = union(&home.wrong, unproved);
                continue;
            }
            match self.hash_home(&home.home, false, watch) {
                Ok((hashed, _)) if hashed.hash == exam.hash => {
                    exam.size = hashed.size;
                    home.wrong.clear();
                    home.is_hashed = true;
                }
                Err(Error::Cancelled) => {
                    exam.stopped = Some(from);
                    return;
                }
                Err(Error::Source(why)) => {
                    home.unread = union(&home.unread, unproved);
                    home.why.get_or_insert(why);
                }
                Ok(_) => home.wrong = union(&home.wrong, unproved),
                // Not hashed to its end, which says nothing of its bytes.
                Err(error) => {
                    home.unread = union(&home.unread, unproved);
                    home.why.get_or_insert(io::Error::other(error));
                }
            }
        }
    }
}

impl<O: ReadAt> Exam<O> {
    /// The size under which the last group verifies, and `true`; otherwise the one under which most does.
    fn likely_size(&self) -> (u64, bool) {
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
            // A tree goes on above the groups as below them: of a guess, values alone say nothing.
            let found = (right, if guess == Some(*claim) { 0 } else { known });
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
    fn compare(&mut self, from: u64, pulse: &mut Pulse<'_>) -> Vec<Range<u64>> {
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
        if let Some(error) = walk.failed {
            // What cannot be read is not said to be damaged, and repair keeps its hands off it.
            self.outboard = Outboard::Unreadable(chain(&error));
        }
        unproved
    }

    /// A home that is too short lacks groups, also those that were not looked at.
    fn judge_by_length(&mut self, from: u64) {
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
    fn compare_again(&mut self, from: u64) -> Vec<Range<u64>> {
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
    fn settle(&mut self, unproved: Vec<Range<u64>>) {
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
    fn external_findings(&self) -> Vec<Finding> {
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
