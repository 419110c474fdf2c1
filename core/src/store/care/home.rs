//! One home of a blob under the lamp.

use std::{io, ops::Range};

use crate::{
    BackendError, ExternalPath, FileName, Hash, PathError, ReadAt,
    homes::Home,
    io::read_full_at,
    proof::{Leaf, append, intersection},
    store::care::Finding,
    text::{chain, lossless},
    tree::group_range,
};

/// One home under the lamp.
pub(super) struct HomeExam<O> {
    pub(super) place: Place,
    pub(super) state: State<O>,
}

#[derive(Clone)]
pub(super) enum Place {
    Owned,
    External(ExternalPath),
    /// A path that is never followed.
    Refused(String, PathError),
    /// Partial data, which need not have all groups.
    Partial,
}

pub(super) enum State<O> {
    Open(OpenHome<O>),
    /// Not there, or not a file; and no other look will find it.
    Gone(String),
    /// Not to be looked at now.
    Unreachable(String),
}

pub(super) struct OpenHome<O> {
    pub(super) home: Home<O>,
    pub(super) len: u64,
    /// Groups that are not the blob's, or not proved to be.
    pub(super) wrong: Vec<Range<u64>>,
    /// Groups that could not be read, and why.
    pub(super) unread: Vec<Range<u64>>,
    pub(super) why: Option<io::Error>,
    /// Whether all of it hashes to the blob's name.
    pub(super) is_hashed: bool,
}

impl<O: ReadAt> HomeExam<O> {
    pub(super) fn open(&self) -> Option<&OpenHome<O>> {
        match &self.state {
            State::Open(open) => Some(open),
            _ => None,
        }
    }

    pub(super) fn open_mut(&mut self) -> Option<&mut OpenHome<O>> {
        match &mut self.state {
            State::Open(open) => Some(open),
            _ => None,
        }
    }

    /// Whether it should have all groups.
    pub(super) fn is_home(&self) -> bool {
        !matches!(self.place, Place::Partial)
    }

    /// Whether every byte of it is the blob's, after a deep look, and it stays that way.
    pub(super) fn is_whole(&self, size: u64) -> bool {
        self.is_home() && self.open().is_some_and(|open| open.is_right(size))
    }

    /// Whether bytes of it are wrong.
    pub(super) fn is_wrong(&self) -> bool {
        self.is_home() && self.open().is_some_and(|open| !open.wrong.is_empty())
    }

    /// Whether nothing can be had from it any more, or only wrong bytes.
    pub(super) fn is_dead(&self, size: u64) -> bool {
        match &self.state {
            State::Open(open) => self.is_home() && open.why.is_none() && !open.is_right(size),
            State::Gone(_) => self.is_home(),
            State::Unreachable(_) => false,
        }
    }

    pub(super) fn findings(
        &self,
        hash: Hash,
        size: u64,
        lost: Option<&[Range<u64>]>,
    ) -> Vec<Finding> {
        if !self.is_home() {
            return Vec::new();
        }
        let why = match &self.state {
            State::Open(open) => return self.open_findings(open, hash, size, lost),
            State::Gone(why) | State::Unreachable(why) => why.clone(),
        };
        let is_gone = matches!(self.state, State::Gone(_));
        vec![match &self.place {
            Place::Owned if is_gone => Finding::MissingData { hash },
            Place::Owned => {
                let file = FileName::Data(hash);
                Finding::Unreadable { hash, file, why }
            }
            Place::External(path) => {
                let path = path.to_string();
                if is_gone {
                    Finding::ExternalMissing { hash, path, why }
                } else {
                    Finding::ExternalUnreachable { hash, path, why }
                }
            }
            Place::Refused(path, why) => {
                let (path, why) = (lossless(path.as_bytes()), why.clone());
                Finding::RefusedPath { hash, path, why }
            }
            Place::Partial => return Vec::new(),
        }]
    }

    fn open_findings(
        &self,
        open: &OpenHome<O>,
        hash: Hash,
        size: u64,
        lost: Option<&[Range<u64>]>,
    ) -> Vec<Finding> {
        let mut found = Vec::new();
        let groups = open.wrong.clone();
        let (is_wrong, is_long) = (!groups.is_empty(), open.len > size);
        let path = open.home.name.clone();
        match &self.place {
            Place::Owned if is_wrong => {
                let elsewhere = lost.is_some_and(|lost| intersection(&groups, lost).is_empty());
                found.push(Finding::CorruptData {
                    hash,
                    groups,
                    elsewhere,
                });
            }
            Place::Owned if is_long => {
                let found_len = open.len;
                found.push(Finding::TrailingData {
                    hash,
                    size,
                    found: found_len,
                });
            }
            Place::Owned => {}
            _ if is_wrong || is_long => {
                let path = path.clone();
                found.push(Finding::ExternalChanged { hash, path, groups });
            }
            _ => {}
        }
        if let Some(why) = &open.why {
            let why = chain(why);
            found.push(match self.place {
                Place::Owned => {
                    let file = FileName::Data(hash);
                    Finding::Unreadable { hash, file, why }
                }
                _ => Finding::ExternalUnreachable { hash, path, why },
            });
        }
        found
    }
}

impl<O: ReadAt> OpenHome<O> {
    fn is_right(&self, size: u64) -> bool {
        self.wrong.is_empty() && self.unread.is_empty() && self.len == size
    }

    /// The bytes of a group; none when there are not as many.
    pub(super) fn read<'b>(
        &self,
        group: u64,
        size: u64,
        buf: &'b mut [u8],
    ) -> io::Result<Option<&'b [u8]>> {
        let range = group_range(group, size);
        // At most a group.
        let len = usize::try_from(range.end - range.start).unwrap_or_default();
        let bytes = &mut buf[..len];
        let read = read_full_at(&self.home.object, bytes, range.start)?;
        Ok((read == len).then_some(bytes))
    }

    /// Looks at one group. Returns how many bytes of the blob that took; partial data are read on the side.
    pub(super) fn compare(&mut self, leaf: &Leaf, size: u64, buf: &mut [u8]) -> u64 {
        let group = leaf.group..leaf.group + 1;
        match self.read(leaf.group, size, buf) {
            Ok(Some(bytes)) => {
                if !leaf.proves(bytes) {
                    append(&mut self.wrong, group);
                }
                if self.home.is_partial {
                    0
                } else {
                    bytes.len() as u64
                }
            }
            Ok(None) => {
                append(&mut self.wrong, group);
                0
            }
            Err(error) => {
                append(&mut self.unread, group);
                self.why.get_or_insert(error);
                0
            }
        }
    }
}

pub(super) fn opened<O: ReadAt>(place: &Place, name: String, object: O) -> State<O> {
    let is_partial = matches!(place, Place::Partial);
    match object.size() {
        Ok(len) => State::Open(OpenHome {
            home: Home {
                name,
                object,
                is_partial,
            },
            len,
            wrong: Vec::new(),
            unread: Vec::new(),
            why: None,
            is_hashed: false,
        }),
        Err(error) => State::Unreachable(chain(&error)),
    }
}

/// Whether an external file is gone for good, as far as anyone can tell.
pub(super) fn not_opened<O>(error: &BackendError) -> State<O> {
    let gone = match error {
        BackendError::NotAFile { .. } | BackendError::InsideStore { .. } => true,
        other => matches!(
            other.io_kind(),
            Some(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        ),
    };
    if gone {
        State::Gone(chain(error))
    } else {
        State::Unreachable(chain(error))
    }
}
