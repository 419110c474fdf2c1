//! The names of a store's files: a bijection between what a file is and what it is called.

use std::{ffi::OsStr, fmt};

use crate::Hash;

/// Sixteen random bytes that keep temporary and partial files apart. Written as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// Wraps sixteen random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}

/// The three areas of a store: three directories, or one and the same (FORMAT.md, "Directories").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// Complete blobs, their outboards and external paths.
    Complete,
    /// Imports under way and partial blobs.
    Partial,
    /// The tag database.
    Meta,
}

/// What a file of a store is, told by its name alone (FORMAT.md, "File names").
///
/// [`FileName::parse`] and `Display` are inverse to each other: a name that is not printed by any value
/// here parses to `None`, is *foreign*, and is left alone, reported, never served and never deleted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileName {
    /// `H.data`: complete data, exactly the bytes that hash to H.
    Data(Hash),
    /// `H.obao4`: complete outboard of data larger than one chunk group.
    Outboard(Hash),
    /// `H.paths`: external locations of the data.
    Paths(Hash),
    /// `H-U.data`: partial data.
    PartialData(Hash, Uuid),
    /// `H-U.obao4`: the outboard of the partial data with the same uuid.
    PartialOutboard(Hash, Uuid),
    /// `H-U.paths`: a `.paths` being written.
    PathsTemp(Hash, Uuid),
    /// `U.temp`: an import being copied, whose hash is not known yet.
    Temp(Uuid),
    /// `tags.meta`: the tag database.
    Tags,
    /// `tags-U.meta`: a tag database being written.
    TagsTemp(Uuid),
    /// `<hex of name bytes>.meta`: named metadata, kept whatever it is. A damaged `tags.meta` is put there when it is
    /// replaced.
    NamedMeta(Box<[u8]>),
    /// `lock`: what an exclusive opening holds.
    Lock,
}

impl FileName {
    /// What a file with this name is; `None` for a foreign one.
    #[must_use]
    pub fn parse(name: &OsStr) -> Option<Self> {
        let name = name.as_encoded_bytes();
        let dot = name.iter().rposition(|byte| *byte == b'.');
        let Some((base, extension)) = dot.map(|dot| (&name[..dot], &name[dot + 1..])) else {
            return (name == b"lock").then_some(Self::Lock);
        };
        // A million names are parsed when a large store is opened: what they may be is told by length.
        match (extension, base.len()) {
            (b"data", HASH) => digits(base).map(|hash| Self::Data(Hash::from_bytes(hash))),
            (b"obao4", HASH) => digits(base).map(|hash| Self::Outboard(Hash::from_bytes(hash))),
            (b"paths", HASH) => digits(base).map(|hash| Self::Paths(Hash::from_bytes(hash))),
            (b"data", PAIR) => pair(base).map(|(hash, uuid)| Self::PartialData(hash, uuid)),
            (b"obao4", PAIR) => pair(base).map(|(hash, uuid)| Self::PartialOutboard(hash, uuid)),
            (b"paths", PAIR) => pair(base).map(|(hash, uuid)| Self::PathsTemp(hash, uuid)),
            (b"temp", _) => digits(base).map(|uuid| Self::Temp(Uuid(uuid))),
            (b"meta", _) => match base.strip_prefix(b"tags") {
                Some(b"") => Some(Self::Tags),
                Some([b'-', uuid @ ..]) => digits(uuid).map(|uuid| Self::TagsTemp(Uuid(uuid))),
                Some(_) => None,
                None => named_meta(base),
            },
            _ => None,
        }
    }

    /// The area that files of this kind live in. The lock file lives in every one of them.
    #[must_use]
    pub const fn area(&self) -> Area {
        match self {
            Self::Data(_) | Self::Outboard(_) | Self::Paths(_) | Self::PathsTemp(..) => {
                Area::Complete
            }
            Self::PartialData(..) | Self::PartialOutboard(..) | Self::Temp(_) => Area::Partial,
            Self::Tags | Self::TagsTemp(_) | Self::NamedMeta(_) | Self::Lock => Area::Meta,
        }
    }

    /// Whether the file means nothing once its writer is gone: recovery may remove such a file, and only
    /// such a file, and only while it holds the lock.
    #[must_use]
    pub const fn is_ephemeral(&self) -> bool {
        matches!(
            self,
            Self::PathsTemp(..) | Self::Temp(_) | Self::TagsTemp(_)
        )
    }

    /// The hash in the name, for files that belong to one blob.
    #[must_use]
    pub const fn hash(&self) -> Option<Hash> {
        match self {
            Self::Data(hash)
            | Self::Outboard(hash)
            | Self::Paths(hash)
            | Self::PartialData(hash, _)
            | Self::PartialOutboard(hash, _)
            | Self::PathsTemp(hash, _) => Some(*hash),
            Self::Temp(_) | Self::Tags | Self::TagsTemp(_) | Self::NamedMeta(_) | Self::Lock => {
                None
            }
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(hash) => write!(f, "{hash}.data"),
            Self::Outboard(hash) => write!(f, "{hash}.obao4"),
            Self::Paths(hash) => write!(f, "{hash}.paths"),
            Self::PartialData(hash, uuid) => write!(f, "{hash}-{uuid}.data"),
            Self::PartialOutboard(hash, uuid) => write!(f, "{hash}-{uuid}.obao4"),
            Self::PathsTemp(hash, uuid) => write!(f, "{hash}-{uuid}.paths"),
            Self::Temp(uuid) => write!(f, "{uuid}.temp"),
            Self::Tags => f.write_str("tags.meta"),
            Self::TagsTemp(uuid) => write!(f, "tags-{uuid}.meta"),
            Self::NamedMeta(name) => write!(f, "{}.meta", hex::encode(name)),
            Self::Lock => f.write_str("lock"),
        }
    }
}

/// Digits of a hash.
const HASH: usize = 64;
/// Digits of a hash, a dash, and digits of a uuid.
const PAIR: usize = HASH + 1 + 32;

fn pair(base: &[u8]) -> Option<(Hash, Uuid)> {
    let (hash, uuid) = base.split_at_checked(HASH)?;
    let uuid = uuid.strip_prefix(b"-")?;
    Some((Hash::from_bytes(digits(hash)?), Uuid(digits(uuid)?)))
}

/// Exactly `2 * N` lower-case hex digits.
fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, []) = text.as_chunks::<2>() else {
        return None;
    };
    if pairs.len() != N {
        return None;
    }
    // Looked at afterwards: a loop without an exit is done many digits at once.
    let mut all = 0;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (digit(*high), digit(*low));
        all |= high | low;
        *byte = high << 4 | low;
    }
    (all < 16).then_some(bytes)
}

/// The value of a lower-case hex digit, or more than any has.
fn digit(text: u8) -> u8 {
    let (decimal, letter) = (text.wrapping_sub(b'0'), text.wrapping_sub(b'a'));
    let letter = if letter < 6 { letter + 10 } else { 0xff };
    if decimal < 10 { decimal } else { letter }
}

fn named_meta(base: &[u8]) -> Option<FileName> {
    if base.is_empty() || base.iter().any(|byte| digit(*byte) > 15) {
        return None;
    }
    Some(FileName::NamedMeta(hex::decode(base).ok()?.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_name() -> impl Strategy<Value = FileName> {
        let hash = any::<[u8; 32]>().prop_map(Hash::from_bytes);
        let uuid = any::<[u8; 16]>().prop_map(Uuid);
        prop_oneof![
            hash.clone().prop_map(FileName::Data),
            hash.clone().prop_map(FileName::Outboard),
            hash.clone().prop_map(FileName::Paths),
            (hash.clone(), uuid.clone()).prop_map(|(h, u)| FileName::PartialData(h, u)),
            (hash.clone(), uuid.clone()).prop_map(|(h, u)| FileName::PartialOutboard(h, u)),
            (hash, uuid.clone()).prop_map(|(h, u)| FileName::PathsTemp(h, u)),
            uuid.clone().prop_map(FileName::Temp),
            Just(FileName::Tags),
            uuid.prop_map(FileName::TagsTemp),
            proptest::collection::vec(any::<u8>(), 1..120)
                .prop_map(|name| FileName::NamedMeta(name.into())),
            Just(FileName::Lock),
        ]
    }

    proptest! {
        #[test]
        fn every_name_parses_back_to_itself(name in any_name()) {
            prop_assert_eq!(FileName::parse(OsStr::new(&name.to_string())), Some(name));
        }

        #[test]
        fn what_parses_is_canonical(text in "[0-9a-fA-F.-]{0,70}(-[0-9a-f]{31,33})?\\.(data|obao4|paths|temp|meta)|.{0,40}") {
            if let Some(name) = FileName::parse(OsStr::new(&text)) {
                prop_assert_eq!(name.to_string(), text);
            }
        }

        /// One edit of a real name is either another canonical name or foreign, never an alias.
        #[test]
        fn an_edited_name_never_aliases(name in any_name(), at: prop::sample::Index, with: char) {
            let mut chars: Vec<char> = name.to_string().chars().collect();
            let at = at.index(chars.len());
            chars[at] = with;
            let text: String = chars.into_iter().collect();
            if let Some(parsed) = FileName::parse(OsStr::new(&text)) {
                prop_assert_eq!(parsed.to_string(), text);
            }
        }
    }

    /// BI-001, BI-002, BI-003, BI-004, BI-005, BI-006, BI-010, BI-011, BI-012, BI-013.
    #[test]
    fn everything_else_is_foreign() {
        let hash = Hash::EMPTY.to_string();
        let uuid = "0123456789abcdef0123456789abcdef";
        for name in [
            format!("{}.data", hash.to_uppercase()),
            format!("{}{}.data", hash[..1].to_uppercase(), &hash[1..]),
            format!(".{hash}.data"),
            "..data".into(),
            ".data".into(),
            ".meta".into(),
            String::new(),
            ".".into(),
            "..".into(),
            format!("{}.data", &hash[..63]),
            format!("{hash}0.data"),
            format!("{hash}-{}.data", &uuid[..31]),
            format!("{hash}-{uuid}0.data"),
            format!("{hash}-{uuid}-{uuid}.data"),
            format!("{hash}-{}.data", uuid.to_uppercase()),
            format!("{hash}-.data"),
            format!("-{uuid}.data"),
            format!("{hash}.obao"),
            format!("{hash}.obao5"),
            format!("{hash}.DATA"),
            format!("{hash}.data."),
            format!("{hash}.data "),
            format!("{hash}.data\n"),
            format!("{hash} .data"),
            format!("{}.temp", uuid.to_uppercase()),
            format!("tags-{}.meta", uuid.to_uppercase()),
            "Tags.meta".into(),
            "LOCK".into(),
            "CON".into(),
            "COM¹".into(),
            "a".repeat(255),
        ] {
            assert_eq!(FileName::parse(OsStr::new(&name)), None, "{name:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_not_text_is_foreign() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(FileName::parse(OsStr::from_bytes(b"\xff\xfe.data")), None);
    }
}
