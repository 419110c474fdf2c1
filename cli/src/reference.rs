//! REF: what a user may write to mean a blob.

use std::ffi::OsStr;

use flatbao_core::{BlobFormat, Hash, Tag, TagMap, store::Status};

use crate::{
    error::{CliError, Result},
    output::printable,
    platform::{bytes_of, path_of},
    store::Store,
};

/// Digits that a prefix has at least.
const MIN_PREFIX: usize = 4;
/// Candidates that are told when a prefix fits several.
const CANDIDATES: usize = 8;

/// A blob that was named somehow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) hash: Hash,
    /// What its bytes mean, where the name says so.
    pub(crate) format: Option<BlobFormat>,
    /// The tag that was named.
    pub(crate) tag: Option<Tag>,
    /// What a file made of it is called: the last part of the name.
    pub(crate) file_name: String,
}

/// Finds the blob.
pub(crate) fn resolve(store: &Store, text: &OsStr) -> Result<Resolved> {
    let bytes = bytes_of(text);
    // Tags that cannot be read do not keep anyone from naming a blob by its hash.
    let tags = store.tags();
    let names = Names {
        store,
        tags: tags.as_deref().ok(),
    };
    if let Some(found) = names.whole(bytes)? {
        return Ok(found);
    }
    if let Some(found) = names.split(bytes)? {
        return Ok(found);
    }
    Err(match tags {
        Ok(_) => Box::new(CliError::NoSuchRef {
            text: printable(text),
        }),
        Err(error) => error.into(),
    })
}

/// The hash that an argument is, if it is a full one: then it means that blob and no other, wherever it is.
pub(crate) fn full_hash(text: &OsStr) -> Option<Hash> {
    text.to_str()?.parse().ok()
}

/// The tag that an argument means: its bytes as they are or, where there is no such tag, what they are the
/// printed form of.
pub(crate) fn tag_of(tags: &TagMap, bytes: &[u8]) -> Option<Tag> {
    let verbatim = Tag::new(bytes).ok();
    let printed = || std::str::from_utf8(bytes).ok()?.parse::<Tag>().ok();
    verbatim
        .filter(|tag| tags.contains_key(tag))
        .or_else(|| printed().filter(|tag| tags.contains_key(tag)))
}

struct Names<'a> {
    store: &'a Store,
    tags: Option<&'a TagMap>,
}

impl Names<'_> {
    /// A full hash, a tag, or a prefix: in this order, so that no tag can take the place of a hash.
    fn whole(&self, bytes: &[u8]) -> Result<Option<Resolved>> {
        let text = std::str::from_utf8(bytes).ok();
        if let Some(hash) = text.and_then(|text| text.parse::<Hash>().ok()) {
            return Ok(Some(by_hash(hash)));
        }
        if let Some(found) = self.tag(bytes) {
            return Ok(Some(found));
        }
        match text.and_then(prefix_of) {
            Some(prefix) => self.prefix(&prefix),
            None => Ok(None),
        }
    }

    fn tag(&self, bytes: &[u8]) -> Option<Resolved> {
        let tags = self.tags?;
        let tag = tag_of(tags, bytes)?;
        let value = tags.get(&tag)?;
        let last = tag.as_str().and_then(|name| name.rsplit('/').next());
        Some(Resolved {
            hash: value.hash,
            format: Some(value.format),
            file_name: last.unwrap_or_default().to_owned(),
            tag: Some(tag),
        })
    }

    fn prefix(&self, prefix: &str) -> Result<Option<Resolved>> {
        // A few more, since those of which nothing but an outboard is left do not count.
        let mut candidates = self.store.find_prefix(prefix, 4 * CANDIDATES);
        candidates.retain(|hash| self.store.status(*hash) != Status::Missing);
        candidates.truncate(CANDIDATES);
        match candidates[..] {
            [] => Ok(None),
            [hash] => Ok(Some(by_hash(hash))),
            _ => Err(Box::new(CliError::Ambiguous {
                text: prefix.to_owned(),
                candidates,
            })),
        }
    }

    /// `REF/path/in/collection`, the longest REF first: a tag may have slashes of its own. When that one
    /// has no such file the next one is asked, and the first failure is told if all fail.
    fn split(&self, bytes: &[u8]) -> Result<Option<Resolved>> {
        let mut failure = None;
        let slashes = bytes.iter().enumerate().rev();
        for (at, _) in slashes.filter(|(_, byte)| **byte == b'/') {
            let Some(left) = self.whole(&bytes[..at])? else {
                continue;
            };
            let path = &bytes[at + 1..];
            match self.inside(left, path) {
                Ok(found) => return Ok(Some(found)),
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        failure.map_or(Ok(None), Err)
    }

    fn inside(&self, left: Resolved, path: &[u8]) -> Result<Resolved> {
        if path.is_empty() {
            return Ok(left);
        }
        let hash = left.hash;
        let collection = self.store.collection(hash)?;
        let shown = || path_of(path).map(printable).unwrap_or_default();
        let missing = || {
            Box::new(CliError::NotInCollection {
                hash,
                path: shown(),
            })
        };
        let path = std::str::from_utf8(path).map_err(|_| missing())?;
        if let Some(found) = collection.get(path) {
            return Ok(Resolved {
                hash: found,
                format: Some(BlobFormat::Raw),
                tag: None,
                file_name: path.rsplit('/').next().unwrap_or_default().to_owned(),
            });
        }
        let below = format!("{}/", path.trim_end_matches('/'));
        let mut entries = collection.entries().iter();
        Err(if entries.any(|(name, _)| name.starts_with(&below)) {
            Box::new(CliError::DirectoryInCollection {
                hash,
                path: shown(),
            })
        } else {
            missing()
        })
    }
}

fn by_hash(hash: Hash) -> Resolved {
    Resolved {
        hash,
        format: None,
        tag: None,
        file_name: hash.to_string(),
    }
}

/// The text in lower case, if it may begin a hash.
fn prefix_of(text: &str) -> Option<String> {
    let fits = (MIN_PREFIX..64).contains(&text.len());
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (fits && digits).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use flatbao_core::HashAndFormat;

    use super::*;

    #[test]
    fn prefixes() {
        assert_eq!(prefix_of("AbCd"), Some("abcd".to_owned()));
        assert_eq!(prefix_of("abc"), None);
        assert_eq!(prefix_of("abcg"), None);
        assert_eq!(prefix_of(&"a".repeat(63)).map(|text| text.len()), Some(63));
        assert_eq!(prefix_of(&"a".repeat(64)), None);
    }

    #[test]
    fn a_tag_is_found_by_its_bytes_before_its_printed_form() {
        let tag = |bytes: &[u8]| Tag::new(bytes).unwrap();
        let value = HashAndFormat::raw(Hash::EMPTY);
        let mut tags = TagMap::new();
        tags.insert(tag(b"a\xff"), value);
        assert_eq!(tag_of(&tags, b"a\xff"), Some(tag(b"a\xff")));
        assert_eq!(tag_of(&tags, b"a\\xff"), Some(tag(b"a\xff")));
        assert_eq!(tag_of(&tags, b"a\\\\xff"), None);
        // A tag that has the printed form of the other one for its name.
        tags.insert(tag(b"a\\xff"), value);
        assert_eq!(tag_of(&tags, b"a\\xff"), Some(tag(b"a\\xff")));
        assert_eq!(tag_of(&tags, b"a\\\\xff"), Some(tag(b"a\\xff")));
        assert_eq!(tag_of(&tags, b"\xff\xfe"), None);
    }
}
