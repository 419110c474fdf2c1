//! What a call has acknowledged, and a power loss must not take back.

use flatbao_core::Hash;
use flatbao_mem::SimDisk;

use crate::world::{BLOB, open_read_only, outside, tag};

/// Something that is so when a call has returned, until somebody undoes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// The blob is there, whole.
    Whole,
    /// It is not.
    Gone,
    /// There is this tag.
    Tag(&'static str),
    /// There is not.
    NoTag(&'static str),
    /// The blob is in this file outside.
    File(&'static str),
}

impl Fact {
    /// Looks for it on a disk.
    ///
    /// # Panics
    /// When it is not so.
    pub fn check(self, disk: &SimDisk) {
        let store = open_read_only(disk);
        let hash = Hash::of(&BLOB);
        let is_so = match self {
            Self::Whole => store.read(hash, 1 << 20).is_ok_and(|bytes| bytes == *BLOB),
            Self::Gone => store.reader(hash).is_err(),
            Self::Tag(name) => store.tag(&tag(name)).is_ok(),
            Self::NoTag(name) => store.tag(&tag(name)).is_err(),
            Self::File(name) => outside(disk)
                .content(name)
                .is_some_and(|bytes| bytes == *BLOB),
        };
        assert!(
            is_so,
            "a power loss takes back what was acknowledged: {self:?}"
        );
    }
}
