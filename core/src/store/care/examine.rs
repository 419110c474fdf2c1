//! One blob under the lamp: every home against its outboard, read from the disk, nothing changed.

use std::{
    io,
    ops::{ControlFlow, Range},
};

use crate::{
    Backend, BackendError, Error, FileName, Hash, PathsError, ReadAt, Result, Stamp,
    index::Entry,
    io::read_full_at,
    limits::PARTIAL_HOMES,
    progress::{Watch, unwatched},
    proof::union,
    store::{
        Inner,
        care::{
            Finding,
            exam::{Exam, Outboard},
            home::{HomeExam, Place, State, not_opened, opened},
        },
    },
    text::chain,
    tree::groups,
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
        let with_data = partials.iter().filter(|files| files.data);
        for files in with_data.take(PARTIAL_HOMES) {
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
