//! The blobs that all stories are about: few and small, so that what is done to them meets.

use std::{fmt, sync::LazyLock};

use flatbao_core::{Hash, HashAndFormat, HashSeq};

use crate::truth::{self, GROUP};

/// One of the blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Blob {
    /// A few bytes: no outboard.
    Small,
    /// Two groups, the second of one byte: an outboard with one parent.
    Large,
    /// The hash sequence of the first two.
    List,
    /// A few other bytes, which no sequence lists.
    Other,
    /// Two groups as well, which no sequence lists.
    Wide,
}

impl Blob {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Small,
        Self::Large,
        Self::List,
        Self::Other,
        Self::Wide,
    ];

    /// Its bytes.
    #[must_use]
    pub fn bytes(self) -> &'static [u8] {
        &CONTENTS[self as usize].bytes
    }

    /// What it is called.
    #[must_use]
    pub fn hash(self) -> Hash {
        CONTENTS[self as usize].hash
    }

    /// The bytes of its outboard file, as `bao-tree` makes them; empty when it has none.
    #[must_use]
    pub fn outboard(self) -> &'static [u8] {
        &CONTENTS[self as usize].outboard
    }

    /// The blob of this hash.
    #[must_use]
    pub fn of(hash: Hash) -> Option<Self> {
        Self::ALL.into_iter().find(|blob| blob.hash() == hash)
    }

    /// The hash of its outboard file, when it has one.
    pub(super) fn outboard_digest(self) -> [u8; 32] {
        CONTENTS[self as usize].outboard_digest
    }

    /// The letter for it in a story.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Small => 's',
            Self::Large => 'l',
            Self::List => 'q',
            Self::Other => 'o',
            Self::Wide => 'w',
        }
    }

    pub(super) fn parse(letter: &str) -> Option<Self> {
        let is_it = |blob: &Self| letter.chars().eq([blob.letter()]);
        Self::ALL.into_iter().find(is_it)
    }
}

impl fmt::Display for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.letter())
    }
}

struct Content {
    bytes: Vec<u8>,
    hash: Hash,
    outboard: Vec<u8>,
    outboard_digest: [u8; 32],
}

static CONTENTS: LazyLock<[Content; 5]> = LazyLock::new(|| {
    let two_groups = |key: u8| -> Vec<u8> {
        (0..251)
            .map(|at| at ^ key)
            .cycle()
            .take(GROUP + 1)
            .collect()
    };
    let (small, large) = (b"few bytes".to_vec(), two_groups(0x5a));
    let list: HashSeq = [&small, &large]
        .map(|bytes| Hash::of(bytes))
        .into_iter()
        .collect();
    let all = [
        small,
        large,
        list.encode(),
        b"some other bytes".to_vec(),
        two_groups(0xa5),
    ];
    all.map(|bytes| {
        let outboard = truth::outboard(&bytes).unwrap_or_default();
        Content {
            hash: Hash::of(&bytes),
            outboard_digest: *Hash::of(&outboard).as_bytes(),
            outboard,
            bytes,
        }
    })
});

/// Some of the blobs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Blobs(u8);

impl Blobs {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Whether this one is among them.
    #[must_use]
    pub const fn has(self, blob: Blob) -> bool {
        self.0 & (1 << blob as u8) != 0
    }

    /// These, and this one.
    #[must_use]
    pub const fn with(self, blob: Blob) -> Self {
        Self(self.0 | (1 << blob as u8))
    }

    /// Those in either.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These without those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those in both.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = Blob> {
        Blob::ALL.into_iter().filter(move |blob| self.has(*blob))
    }
}

impl From<Blob> for Blobs {
    fn from(blob: Blob) -> Self {
        Self::NONE.with(blob)
    }
}

impl FromIterator<Blob> for Blobs {
    fn from_iter<I: IntoIterator<Item = Blob>>(blobs: I) -> Self {
        blobs.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// What a tag names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Value {
    /// A blob by itself.
    Raw(Blob),
    /// The list as a hash sequence, with what it lists.
    Sequence,
}

impl Value {
    /// All that a tag may name here.
    pub const ALL: [Self; 6] = [
        Self::Raw(Blob::Small),
        Self::Raw(Blob::Large),
        Self::Raw(Blob::List),
        Self::Raw(Blob::Other),
        Self::Raw(Blob::Wide),
        Self::Sequence,
    ];

    /// The same for the store.
    #[must_use]
    pub fn to_core(self) -> HashAndFormat {
        match self {
            Self::Raw(blob) => HashAndFormat::raw(blob.hash()),
            Self::Sequence => HashAndFormat::hash_seq(Blob::List.hash()),
        }
    }

    pub(super) fn of(value: HashAndFormat) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.to_core() == value)
    }

    /// What it keeps alive.
    #[must_use]
    pub fn reach(self) -> Blobs {
        match self {
            Self::Raw(blob) => blob.into(),
            Self::Sequence => [Blob::Small, Blob::Large, Blob::List].into_iter().collect(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw(blob) => blob.fmt(f),
            Self::Sequence => f.write_str("*"),
        }
    }
}
