//! Names that people and programs give to blobs.

use std::{fmt, str::FromStr, sync::Arc};

use crate::{HashAndFormat, limits::MAX_TAG_NAME, text::lossless};

/// The name of a tag: any bytes, at most [`MAX_TAG_NAME`] of them, in most cases UTF-8.
///
/// `Display` is lossless: printable characters stand for themselves, a backslash is doubled, and every
/// other byte is written `\xNN`. `FromStr` reads that form back. Clones share their bytes: of all tags there is a copy
/// with every change.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Arc<[u8]>);

impl Tag {
    /// A tag of these very bytes.
    ///
    /// # Errors
    /// When there are more than [`MAX_TAG_NAME`] bytes.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Result<Self, TagError> {
        let bytes = bytes.into();
        if bytes.len() > MAX_TAG_NAME {
            return Err(TagError::TooLong(bytes.len()));
        }
        Ok(Self(bytes.into()))
    }

    /// A tag for a blob whose real name is lost.
    pub(crate) fn made_up(value: HashAndFormat) -> Self {
        Self(format!("salvaged-{value}").into_bytes().into())
    }

    /// The bytes of the name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as text, when it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

/// Why some bytes or some text are no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// The name is too long.
    #[error("a tag name has at most {MAX_TAG_NAME} bytes, not {0}")]
    TooLong(usize),
    /// A backslash is neither doubled nor followed by `x` and two hex digits.
    #[error("in the printed form of a tag, byte {0} starts no escape: write `\\\\` or `\\xNN`")]
    Escape(usize),
}

impl AsRef<[u8]> for Tag {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&str> for Tag {
    type Error = TagError;

    /// The tag of the text's own bytes: nothing is unescaped here.
    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::new(text.as_bytes())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&lossless(&self.0))
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({self})")
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let [first, tail @ ..] = rest {
            (rest, bytes) = match (first, tail) {
                (b'\\', [b'\\', tail @ ..]) => (tail, push(bytes, b'\\')),
                (b'\\', [b'x', hi, lo, tail @ ..]) => {
                    let mut byte = [0];
                    hex::decode_to_slice([*hi, *lo], &mut byte)
                        .map_err(|_| TagError::Escape(text.len() - rest.len()))?;
                    (tail, push(bytes, byte[0]))
                }
                (b'\\', _) => return Err(TagError::Escape(text.len() - rest.len())),
                (other, tail) => (tail, push(bytes, *other)),
            };
        }
        Self::new(bytes)
    }
}

fn push(mut bytes: Vec<u8>, byte: u8) -> Vec<u8> {
    bytes.push(byte);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_printed_form_hides_nothing_and_does_nothing_to_a_terminal() {
        for (bytes, printed) in [
            (&b"photos/2024"[..], "photos/2024"),
            ("Grüße 🦀".as_bytes(), "Grüße 🦀"),
            (b"it's \"so\"", "it's \"so\""),
            (b"a\\b", "a\\\\b"),
            (b"\x1b[2J", "\\x1b[2J"),
            (b"\xff\x00", "\\xff\\x00"),
            // Right-to-left override: could make a name look like another one.
            ("\u{202e}gpj".as_bytes(), "\\xe2\\x80\\xaegpj"),
        ] {
            let tag = Tag::new(bytes).unwrap();
            assert_eq!(tag.to_string(), printed);
            assert_eq!(printed.parse(), Ok(tag));
        }
    }

    #[test]
    fn a_lone_backslash_is_an_error_that_says_where() {
        assert_eq!("ab\\".parse::<Tag>(), Err(TagError::Escape(2)));
        assert_eq!("\\x4".parse::<Tag>(), Err(TagError::Escape(0)));
        assert_eq!("\\n".parse::<Tag>(), Err(TagError::Escape(0)));
        assert_eq!("\\xzz".parse::<Tag>(), Err(TagError::Escape(0)));
    }

    #[test]
    fn a_name_is_capped() {
        assert!(Tag::new(vec![b'a'; MAX_TAG_NAME]).is_ok());
        let over = MAX_TAG_NAME + 1;
        assert_eq!(Tag::new(vec![b'a'; over]), Err(TagError::TooLong(over)));
    }

    proptest! {
        #[test]
        fn any_bytes_survive_printing(bytes: Vec<u8>) {
            let tag = Tag::new(bytes).unwrap();
            prop_assert_eq!(tag.to_string().parse(), Ok(tag.clone()));
            prop_assert!(!tag.to_string().chars().any(char::is_control));
        }

        #[test]
        fn any_text_survives_printing(text: String) {
            let tag = Tag::try_from(text.as_str()).unwrap();
            prop_assert_eq!(tag.to_string().parse(), Ok(tag));
        }
    }
}
