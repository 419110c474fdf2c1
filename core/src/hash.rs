//! The name of a blob: its BLAKE3 hash, and how that hash is written down.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The prefix of the CID form: CIDv1, codec raw, multihash BLAKE3 with 32 bytes (FORMAT.md, "Text forms").
const CID_PREFIX: [u8; 4] = [0x01, 0x55, 0x1e, 0x20];

/// Length of the lower-case hexadecimal form.
const HEX_LEN: usize = 64;
/// Length of the unpadded base32 form of 32 bytes.
const BASE32_LEN: usize = 52;
/// Length of the CID form: `b` and the unpadded base32 of 36 bytes.
const CID_LEN: usize = 59;

/// The BLAKE3 hash of a blob's bytes, which is the blob's name.
///
/// `Display` prints 64 lower-case hex digits. `FromStr` reads those (in either case), the 52
/// characters of unpadded base32, and the 59 characters of the CID form (FORMAT.md, "Text forms").
/// serde writes 32 raw bytes to binary formats and the hex form to human-readable ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of no bytes at all.
    pub const EMPTY: Hash = Hash([
        0xaf, 0x13, 0x49, 0xb9, 0xf5, 0xf9, 0xa1, 0xa6, 0xa0, 0x40, 0x4d, 0xea, 0x36, 0xdc, 0xc9,
        0x49, 0x9b, 0xcb, 0x25, 0xc9, 0xad, 0xc1, 0x12, 0xb7, 0xcc, 0x9a, 0x93, 0xca, 0xe4, 0x1f,
        0x32, 0x62,
    ]);

    /// Hashes `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Wraps 32 bytes that are known to be a BLAKE3 hash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first ten hex digits: enough for a log line, never enough for a look-up.
    #[must_use]
    pub fn short(&self) -> String {
        hex::encode(&self.0[..5])
    }
}

impl Ord for Hash {
    fn cmp(&self, other: &Self) -> Ordering {
        // Eight bytes nearly always tell, and are compared without a call: a search in a large store has no other work.
        let head = |hash: &Self| {
            let [a, b, c, d, e, f, g, h, ..] = hash.0;
            u64::from_be_bytes([a, b, c, d, e, f, g, h])
        };
        let by_head = head(self).cmp(&head(other));
        by_head.then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Hash {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<blake3::Hash> for Hash {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl From<Hash> for blake3::Hash {
    fn from(hash: Hash) -> Self {
        Self::from_bytes(hash.0)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({})", self.short())
    }
}

/// The text is not a hash in any of the three forms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseHashError {
    /// The length fits none of the three forms.
    #[error("a hash has 64 hex digits, 52 base32 characters or 59 characters of a CID, not {0}")]
    Length(usize),
    /// The length fits, the characters do not.
    #[error("not a hash: a character or the prefix does not fit its form")]
    Form,
}

impl FromStr for Hash {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        match text.len() {
            HEX_LEN => hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseHashError::Form)?,
            BASE32_LEN => bytes = base32(text)?,
            CID_LEN => {
                let base = text.strip_prefix(['b', 'B']).ok_or(ParseHashError::Form)?;
                let cid: [u8; 36] = base32(base)?;
                let hash = cid.strip_prefix(&CID_PREFIX).ok_or(ParseHashError::Form)?;
                bytes.copy_from_slice(hash);
            }
            other => return Err(ParseHashError::Length(other)),
        }
        Ok(Self(bytes))
    }
}

/// Decodes unpadded RFC 4648 base32 in either case into exactly `N` bytes.
fn base32<const N: usize>(text: &str) -> Result<[u8; N], ParseHashError> {
    data_encoding::BASE32_NOPAD_NOCASE
        .decode(text.as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(ParseHashError::Form)
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(TextVisitor)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}

struct TextVisitor;

impl serde::de::Visitor<'_> for TextVisitor {
    type Value = Hash;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a BLAKE3 hash as text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Hash, E> {
        text.parse().map_err(E::custom)
    }
}

/// What the bytes of a blob mean to garbage collection.
///
/// On disk: a varint, `00` raw, `01` hash sequence (FORMAT.md, "`tags.meta`").
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum BlobFormat {
    /// Bytes without a meaning.
    #[default]
    Raw,
    /// A concatenation of 32-byte hashes; what is listed lives as long as the list does.
    HashSeq,
}

impl fmt::Display for BlobFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Raw => "raw",
            Self::HashSeq => "hashseq",
        })
    }
}

/// A blob and what its bytes mean: the value of a tag.
///
/// `Display` prints the hash in hex, led by `s` for a hash sequence; `FromStr` reads that back, with
/// the hash in any of its forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HashAndFormat {
    /// The blob.
    pub hash: Hash,
    /// What its bytes mean.
    pub format: BlobFormat,
}

impl HashAndFormat {
    /// A blob without a meaning.
    #[must_use]
    pub const fn raw(hash: Hash) -> Self {
        Self {
            hash,
            format: BlobFormat::Raw,
        }
    }

    /// A hash sequence.
    #[must_use]
    pub const fn hash_seq(hash: Hash) -> Self {
        Self {
            hash,
            format: BlobFormat::HashSeq,
        }
    }
}

impl fmt::Display for HashAndFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.format {
            BlobFormat::Raw => write!(f, "{}", self.hash),
            BlobFormat::HashSeq => write!(f, "s{}", self.hash),
        }
    }
}

impl FromStr for HashAndFormat {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A base32 hash may begin with `s` as well: only the length tells a prefix from a digit.
        match text.len() {
            HEX_LEN | BASE32_LEN | CID_LEN => text.parse().map(Self::raw),
            _ => match text.strip_prefix('s') {
                Some(hash) => hash.parse().map(Self::hash_seq),
                None => Err(ParseHashError::Length(text.len())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_empty_hash_is_the_hash_of_nothing() {
        assert_eq!(Hash::EMPTY, Hash::of(b""));
    }

    #[test]
    fn the_three_text_forms_of_one_hash() {
        let cid = "bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlpte2spfoihzsmi";
        let base32 = "v4jutopv7gq2nicajxvdnxgjjgn4wjojvxarfn6mtkj4vza7gjra";
        assert_eq!(cid.parse(), Ok(Hash::EMPTY));
        assert_eq!(base32.parse(), Ok(Hash::EMPTY));
        assert_eq!(base32.to_uppercase().parse(), Ok(Hash::EMPTY));
        assert_eq!(
            Hash::EMPTY.to_string().to_uppercase().parse(),
            Ok(Hash::EMPTY)
        );
    }

    #[test]
    fn what_is_not_a_hash_is_refused() {
        for (text, why) in [
            ("", ParseHashError::Length(0)),
            ("af1349", ParseHashError::Length(6)),
            (&"g".repeat(64), ParseHashError::Form),
            (&"1".repeat(52), ParseHashError::Form),
            (&"a".repeat(59), ParseHashError::Form),
            // A CID of another codec.
            (&format!("b{}", "a".repeat(58)), ParseHashError::Form),
            // 13 four-byte characters: the right number of bytes, no base32.
            (&"🦀".repeat(13), ParseHashError::Form),
        ] {
            assert_eq!(text.parse::<Hash>(), Err(why), "{text}");
        }
    }

    proptest! {
        /// Alike in any number of bytes.
        #[test]
        fn the_order_is_that_of_the_bytes(bytes: [u8; 32], at in 0..32_usize, with: [u8; 32]) {
            let mut other = bytes;
            other[at..].copy_from_slice(&with[at..]);
            prop_assert_eq!(Hash(bytes).cmp(&Hash(other)), bytes.cmp(&other));
            prop_assert_eq!(Hash(other).cmp(&Hash(bytes)), other.cmp(&bytes));
        }

        #[test]
        fn text_is_a_bijection(bytes: [u8; 32]) {
            let hash = Hash(bytes);
            let mut cid = CID_PREFIX.to_vec();
            cid.extend(bytes);
            let cid = format!("b{}", data_encoding::BASE32_NOPAD.encode(&cid).to_lowercase());
            let base32 = data_encoding::BASE32_NOPAD.encode(&bytes).to_lowercase();
            prop_assert_eq!(cid.parse(), Ok(hash));
            prop_assert_eq!(base32.parse(), Ok(hash));
            prop_assert_eq!(hash.to_string().parse(), Ok(hash));
            for value in [HashAndFormat::raw(hash), HashAndFormat::hash_seq(hash)] {
                prop_assert_eq!(value.to_string().parse(), Ok(value));
            }
            for text in [cid, base32] {
                prop_assert_eq!(text.parse(), Ok(HashAndFormat::raw(hash)));
                prop_assert_eq!(format!("s{text}").parse(), Ok(HashAndFormat::hash_seq(hash)));
            }
        }

        #[test]
        fn binary_serde_is_32_raw_bytes(bytes: [u8; 32]) {
            let written = postcard::to_allocvec(&Hash(bytes)).unwrap();
            prop_assert_eq!(&written[..], &bytes[..]);
            prop_assert_eq!(postcard::from_bytes::<Hash>(&written).unwrap(), Hash(bytes));
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = text.parse::<Hash>();
            let _ = text.parse::<HashAndFormat>();
        }
    }
}
