//! The tag database: the `tags.meta` file (FORMAT.md, "`tags.meta`").

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    BlobFormat, Hash, HashAndFormat, Tag,
    limits::{MAX_TAG_NAME, MAX_TAGS_FILE},
    sequence::HASH_LEN,
    trailer,
};

/// All tags of a store, in the order of their bytes.
pub type TagMap = BTreeMap<Tag, HashAndFormat>;

/// What the bytes of a `tags.meta` file say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagFile {
    /// The tags.
    pub tags: TagMap,
    /// Whether a trailer protects them. A file that the peer wrote has none: a flipped bit in it
    /// cannot always be told from content.
    pub protected: bool,
}

/// Why a `tags.meta` file is not believed. Nothing may be collected while it is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagFileError {
    /// The file has no byte; even an empty database has one.
    #[error("it is empty")]
    Empty,
    /// The payload ends early, or a name or a format is out of bounds.
    #[error("its content is no tag database")]
    Content,
    /// The tags are not in the order, or not in the encoding, that every writer writes.
    #[error("its content is in no order that a writer writes")]
    Order,
    /// The payload is followed by bytes that are no trailer of it.
    #[error("bytes follow its content that are no checksum of it")]
    Trailing,
    /// The tags would not fit into a file.
    #[error("it would have more than {MAX_TAGS_FILE} bytes")]
    TooLarge,
}

impl TagFile {
    /// Reads a file: a payload consumed exactly (the peer's), or one with a valid trailer (ours).
    ///
    /// # Errors
    /// For everything else, 4096 zero bytes among it, which would otherwise read as "no tags".
    pub fn decode(file: &[u8]) -> Result<Self, TagFileError> {
        if file.is_empty() {
            return Err(TagFileError::Empty);
        }
        let (payload, protected) = match trailer::unseal(file) {
            Some(payload) => (payload, true),
            None => (file, false),
        };
        let (records, rest) = postcard::take_from_bytes::<Vec<Record<'_>>>(payload)
            .map_err(|_| TagFileError::Content)?;
        if !rest.is_empty() {
            return Err(TagFileError::Trailing);
        }
        let count = records.len();
        let mut tags = TagMap::new();
        for Record(name, value) in records {
            let name = Tag::new(name).map_err(|_| TagFileError::Content)?;
            tags.insert(name, value);
        }
        // Every writer, the peer too, writes sorted unique keys in the shortest form. What differs was
        // damaged, and one look tells it.
        if tags.len() != count || encode_payload(&tags) != payload {
            return Err(TagFileError::Order);
        }
        Ok(Self { tags, protected })
    }

    /// The bytes of a file with these tags, with trailer.
    ///
    /// # Errors
    /// [`TagFileError::TooLarge`] when no reader would accept them.
    pub fn encode(tags: &TagMap) -> Result<Vec<u8>, TagFileError> {
        let file = trailer::seal(encode_payload(tags));
        if file.len() as u64 > MAX_TAGS_FILE {
            return Err(TagFileError::TooLarge);
        }
        Ok(file)
    }
}

/// A tag on disk: name, hash, format.
#[derive(Deserialize)]
struct Record<'a>(#[serde(borrow)] &'a [u8], HashAndFormat);

/// What postcard makes of a sequence of records, without going byte by byte through a serializer.
fn encode_payload(tags: &TagMap) -> Vec<u8> {
    let names = tags.keys().map(|tag| tag.as_bytes().len() + HASH_LEN + 3);
    let mut payload = Vec::with_capacity(names.sum::<usize>() + 42);
    put_len(tags.len(), &mut payload);
    for (tag, value) in tags {
        put_len(tag.as_bytes().len(), &mut payload);
        payload.extend_from_slice(tag.as_bytes());
        payload.extend_from_slice(value.hash.as_bytes());
        payload.push(match value.format {
            BlobFormat::Raw => 0,
            BlobFormat::HashSeq => 1,
        });
    }
    payload
}

/// Seven bits a byte, the lowest first, each with a bit that says whether more follow.
fn put_len(mut len: usize, payload: &mut Vec<u8>) {
    while len > 0x7f {
        payload.push(0x80 | low_bits(len));
        len >>= 7;
    }
    payload.push(low_bits(len));
}

fn low_bits(len: usize) -> u8 {
    (len & 0x7f).to_le_bytes()[0]
}

/// The tags in a damaged file whose hash `is_there`, and how many more it says it had. Where the format of
/// one is damaged, `format` tells it.
///
/// A hash of a blob that is there is not in the file by chance. What stands before it is its name if a
/// length fits; where none does, the tag gets a name of its hash, so that what it protected stays protected.
pub(crate) fn salvage(
    file: &[u8],
    is_there: impl Fn(&Hash) -> bool,
    format: impl Fn(&Hash) -> BlobFormat,
) -> (TagMap, u64) {
    let mut tags = TagMap::new();
    let (count, mut floor) = match postcard::take_from_bytes::<u64>(file) {
        Ok((count, rest)) => (count, file.len() - rest.len()),
        Err(_) => (0, 0),
    };
    // Where the first record may begin, if it is the count that is damaged.
    let mut starts = vec![floor, 1, 2];
    let mut at = 1;
    while let Some(bytes) = file
        .get(at..)
        .and_then(|rest| rest.first_chunk::<HASH_LEN>())
    {
        let hash = Hash::from_bytes(*bytes);
        if !is_there(&hash) {
            at += 1;
            continue;
        }
        let after = at + HASH_LEN;
        let format = match file.get(after) {
            Some(1) => BlobFormat::HashSeq,
            // It may have been the damage that made it raw, and what a sequence lists must live.
            _ => format(&hash),
        };
        let value = HashAndFormat { hash, format };
        let tag = starts
            .iter()
            .find_map(|start| name_in_line(file, *start, at))
            .or_else(|| name_before(file, floor, at))
            .filter(|tag| !tags.contains_key(tag))
            .unwrap_or_else(|| Tag::made_up(value));
        tags.insert(tag, value);
        at = after + 1;
        floor = at;
        starts = vec![floor];
    }
    // A count that is damaged itself may be anything; no more records than there are bytes for.
    let most = file.len() / (HASH_LEN + 2);
    let lost = count.min(most as u64).saturating_sub(tags.len() as u64);
    (tags, lost)
}

/// The name that ends where a hash begins, when records follow one another up to there.
fn name_in_line(file: &[u8], mut start: usize, end: usize) -> Option<Tag> {
    while start < end {
        let (name, rest) = postcard::take_from_bytes::<&[u8]>(&file[start..end]).ok()?;
        if rest.is_empty() {
            return Tag::new(name).ok();
        }
        start = end - rest.len() + HASH_LEN + 1;
    }
    None
}

/// The name that begins at or after `floor`, with its length, and ends where a hash begins.
fn name_before(file: &[u8], floor: usize, end: usize) -> Option<Tag> {
    let earliest = floor.max(end.saturating_sub(MAX_TAG_NAME + 5));
    (earliest..end).find_map(|start| {
        let (name, rest) = postcard::take_from_bytes::<&[u8]>(&file[start..end]).ok()?;
        let fits = rest.is_empty() && (!name.is_empty() || start == floor);
        Tag::new(name).ok().filter(|_| fits)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tag_map() -> impl Strategy<Value = TagMap> {
        let value = (any::<[u8; 32]>(), any::<bool>()).prop_map(|(hash, seq)| HashAndFormat {
            hash: Hash::from_bytes(hash),
            format: if seq {
                BlobFormat::HashSeq
            } else {
                BlobFormat::Raw
            },
        });
        let tag = any::<Vec<u8>>().prop_map(|name| Tag::new(name).unwrap());
        proptest::collection::btree_map(tag, value, 0..5)
    }

    fn one_tag() -> TagMap {
        [(
            Tag::try_from("a").unwrap(),
            HashAndFormat::hash_seq(Hash::EMPTY),
        )]
        .into()
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let mut expected = vec![1, 1, b'a'];
        expected.extend(Hash::EMPTY.as_bytes());
        expected.push(1);
        assert_eq!(encode_payload(&one_tag()), expected);
        assert_eq!(encode_payload(&TagMap::new()), [0]);
    }

    /// PD-12, BI-061, BI-062, BI-063, BI-064.
    #[test]
    fn what_no_writer_wrote_is_refused() {
        let payload = encode_payload(&one_tag());
        let with = |edit: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = payload.clone();
            edit(&mut bytes);
            TagFile::decode(&bytes)
        };
        assert_eq!(TagFile::decode(b""), Err(TagFileError::Empty));
        assert_eq!(TagFile::decode(&[0; 4096]), Err(TagFileError::Trailing));
        assert_eq!(with(&|b| b.truncate(20)), Err(TagFileError::Content));
        assert_eq!(with(&|b| b.push(0)), Err(TagFileError::Trailing));
        assert_eq!(with(&|b| b[35] = 2), Err(TagFileError::Content));
        // Overlong count.
        assert_eq!(
            with(&|b| drop(b.splice(0..1, [0x81, 0]))),
            Err(TagFileError::Order)
        );
        // The same key twice.
        assert_eq!(
            with(&|b| {
                b[0] = 2;
                b.extend_from_within(1..);
            }),
            Err(TagFileError::Order)
        );
        // A count of 2^64-1, and a name of 2^63 bytes.
        assert_eq!(
            TagFile::decode(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            Err(TagFileError::Content)
        );
        assert_eq!(
            TagFile::decode(b"\x01\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01a"),
            Err(TagFileError::Content)
        );
    }

    #[test]
    fn a_file_of_the_peer_is_accepted_and_known_to_be_unprotected() {
        let decoded = TagFile::decode(&encode_payload(&one_tag())).unwrap();
        assert_eq!(
            decoded,
            TagFile {
                tags: one_tag(),
                protected: false
            }
        );
    }

    fn value(n: u8, format: BlobFormat) -> HashAndFormat {
        let hash = Hash::of(&[n, 1]);
        HashAndFormat { hash, format }
    }

    /// Everything named by `value` is there, and `seq` are those that list something.
    fn salvaged(file: &[u8], seq: &[u8]) -> (TagMap, u64) {
        let lists = |hash: &Hash| seq.iter().any(|n| Hash::of(&[*n, 1]) == *hash);
        salvage(
            file,
            |hash| (0..=255).any(|n| Hash::of(&[n, 1]) == *hash),
            |hash| match lists(hash) {
                true => BlobFormat::HashSeq,
                false => BlobFormat::Raw,
            },
        )
    }

    #[test]
    fn undamaged_records_are_salvaged_as_they_are() {
        for count in [0, 1, 2, 127, 128, 200] {
            let tags: TagMap = (0..count)
                .map(|n| {
                    let name = vec![b'x'; 1 + usize::from(n)];
                    (Tag::new(name).unwrap(), value(n, BlobFormat::Raw))
                })
                .collect();
            let file = TagFile::encode(&tags).unwrap();
            assert!(salvaged(&file, &[]) == (tags.clone(), 0), "{count}");
            // The count itself is damaged: records are found without it.
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[0] ^= 1 << bit;
                assert!(salvaged(&damaged, &[]).0 == tags, "{count} {bit}");
            }
        }
    }

    /// A format that says "raw" may be damaged as well as one that says nothing: what lists blobs keeps them.
    #[test]
    fn a_sequence_is_never_salvaged_as_raw() {
        let tags: TagMap = [(Tag::new(*b"a").unwrap(), value(1, BlobFormat::HashSeq))].into();
        let file = TagFile::encode(&tags).unwrap();
        for format in 0..=255 {
            let mut damaged = file.clone();
            damaged[3 + HASH_LEN] = format;
            assert_eq!(salvaged(&damaged, &[1]).0, tags, "{format}");
        }
    }

    #[test]
    fn what_was_lost_is_counted_and_what_has_no_name_gets_one() {
        let tags: TagMap = (0..4)
            .map(|n| (Tag::new(vec![b'a' + n]).unwrap(), value(n, BlobFormat::Raw)))
            .collect();
        let file = TagFile::encode(&tags).unwrap();
        // The hash of the last one, and the length of the name of the third.
        let mut damaged = file.clone();
        damaged[1 + 105 + 2 + 5] ^= 1;
        damaged[1 + 70] = 77;
        let (found, lost) = salvaged(&damaged, &[]);
        assert_eq!(lost, 1);
        let third = value(2, BlobFormat::Raw);
        let expected: BTreeMap<Tag, HashAndFormat> = [
            (Tag::new(*b"a").unwrap(), value(0, BlobFormat::Raw)),
            (Tag::made_up(third), third),
            (Tag::new(*b"b").unwrap(), value(1, BlobFormat::Raw)),
        ]
        .into();
        assert_eq!(found, expected);
        // An absurd count is none.
        let mut absurd = vec![0xff; 9];
        absurd.push(1);
        absurd.extend(&file[1..]);
        let (found, lost) = salvaged(&absurd, &[]);
        assert_eq!(found.len(), 4);
        assert!(lost < 8);
    }

    proptest! {
        #[test]
        fn tags_read_back(tags in tag_map()) {
            let file = TagFile::encode(&tags).unwrap();
            prop_assert_eq!(TagFile::decode(&file), Ok(TagFile { tags, protected: true }));
        }

        /// The peer's type is a map of byte strings: its bytes and ours are one.
        #[test]
        fn the_payload_is_that_of_a_postcard_map(tags in tag_map()) {
            let peer: BTreeMap<&[u8], ([u8; 32], BlobFormat)> = tags
                .iter()
                .map(|(tag, value)| (tag.as_bytes(), (*value.hash.as_bytes(), value.format)))
                .collect();
            prop_assert_eq!(postcard::to_allocvec(&peer).unwrap(), encode_payload(&tags));
        }

        #[test]
        fn no_flipped_bit_of_a_sealed_file_goes_unseen(tags in tag_map(), bit: prop::sample::Index) {
            let mut file = TagFile::encode(&tags).unwrap();
            let bit = bit.index(file.len() * 8);
            file[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(TagFile::decode(&file).is_err());
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = TagFile::decode(&bytes);
            let _ = salvage(&bytes, |_| true, |_| BlobFormat::Raw);
            let _ = salvage(&bytes, |hash| hash.as_bytes()[0] % 7 == 0, |_| BlobFormat::HashSeq);
        }
    }
}
