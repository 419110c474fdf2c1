//! `A..B`.

use std::str::FromStr;

/// Bytes of a blob, half-open. Without an end they go to the end of the blob.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ByteRange {
    pub(crate) start: u64,
    pub(crate) end: Option<u64>,
}

/// The text is no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RangeError {
    #[error("a range is A..B, A.. or ..B, in bytes")]
    Form,
    #[error("{0} is not a number of bytes")]
    Number(String),
    #[error("the range ends before it begins")]
    Inverted,
}

impl FromStr for ByteRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let (start, end) = text.split_once("..").ok_or(RangeError::Form)?;
        let start = number(start)?.unwrap_or(0);
        let end = number(end)?;
        if end.is_some_and(|end| end < start) {
            return Err(RangeError::Inverted);
        }
        Ok(Self { start, end })
    }
}

/// Digits only: the standard library would take a sign as well.
fn number(text: &str) -> Result<Option<u64>, RangeError> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    let number = number.ok_or_else(|| RangeError::Number(text.to_owned()))?;
    Ok(Some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BAD-INPUTS 76.
    #[test]
    fn ranges() {
        let range = |start, end| Ok(ByteRange { start, end });
        assert_eq!("3..5".parse(), range(3, Some(5)));
        assert_eq!("3..".parse(), range(3, None));
        assert_eq!("..5".parse(), range(0, Some(5)));
        assert_eq!("..".parse(), range(0, None));
        assert_eq!("5..5".parse(), range(5, Some(5)));
        let max = "18446744073709551615..";
        assert_eq!(max.parse(), range(u64::MAX, None));
    }

    #[test]
    fn no_ranges() {
        use RangeError::{Form, Inverted};
        let number = |text: &str| RangeError::Number(text.to_owned());
        for (text, why) in [
            ("", Form),
            ("5", Form),
            ("1-2", Form),
            ("5..3", Inverted),
            ("a..", number("a")),
            ("..-1", number("-1")),
            ("+1..", number("+1")),
            ("1...2", number(".2")),
            ("18446744073709551616..", number("18446744073709551616")),
        ] {
            assert_eq!(text.parse::<ByteRange>(), Err(why), "{text:?}");
        }
    }
}
