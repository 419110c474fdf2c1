//! `A..B`, and several of them.

use std::{fmt, str::FromStr};

use flatbao_core::ChunkRanges;

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
    #[error("there is no byte in it")]
    Empty,
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

/// Several ranges of bytes, with commas between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ByteRanges(Vec<ByteRange>);

impl ByteRanges {
    /// The chunks that have these bytes, in whole groups: what a store sends and keeps.
    pub(crate) fn chunks(&self) -> ChunkRanges {
        let chunks = |range: &ByteRange| match range.end {
            Some(end) => ChunkRanges::of_bytes(range.start..end),
            None => ChunkRanges::of_bytes(range.start..),
        };
        let all = self.0.iter().map(chunks);
        let all = all.fold(ChunkRanges::empty(), |all, one| all.union(&one));
        all.whole_groups()
    }

    /// The bytes of these chunks of a blob, whose size is told where it is known.
    pub(crate) fn of(chunks: &ChunkRanges, size: Option<u64>) -> Self {
        let bytes = |chunk: u64| chunk.saturating_mul(1024);
        let end = |end: Option<u64>| match (end.map(bytes), size) {
            (Some(end), Some(size)) => Some(end.min(size)),
            (end, _) => end,
        };
        let range = |(start, after)| ByteRange {
            start: bytes(start),
            end: end(after),
        };
        Self(chunks.iter().map(range).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ByteRange> {
        self.0.iter()
    }
}

/// What a command that says nothing of ranges means.
pub(crate) fn chunks_or_all(ranges: Option<&ByteRanges>) -> ChunkRanges {
    ranges.map_or_else(ChunkRanges::all, ByteRanges::chunks)
}

impl FromStr for ByteRanges {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let ranges: Result<Vec<ByteRange>, _> = text.split(',').map(str::parse).collect();
        let ranges = ranges?;
        match ranges.iter().all(|range| range.end == Some(range.start)) {
            true => Err(RangeError::Empty),
            false => Ok(Self(ranges)),
        }
    }
}

impl fmt::Display for ByteRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}..", range.start)?;
            if let Some(end) = range.end {
                write!(f, "{end}")?;
            }
        }
        Ok(())
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

    /// BI-076.
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
    fn several_ranges() {
        let chunks = |text: &str| text.parse::<ByteRanges>().unwrap().chunks().to_string();
        assert_eq!(chunks(".."), "0..");
        assert_eq!(chunks("5..6"), "0..16");
        assert_eq!(chunks("5..6,16383..16385"), "0..32");
        assert_eq!(chunks("40000..,0..1"), "0..16,32..");
        assert_eq!(chunks("18446744073709551615.."), "18014398509481968..");
        let empty = |text: &str| text.parse::<ByteRanges>();
        assert_eq!(empty("5..5"), Err(RangeError::Empty));
        assert_eq!(empty("5..5,6..6"), Err(RangeError::Empty));
        assert_eq!(empty("5..6,"), Err(RangeError::Form));
        let missing = ChunkRanges::from_boundaries(&[16, 32, 96, 98]).unwrap();
        let bytes = |size| ByteRanges::of(&missing, size).to_string();
        assert_eq!(bytes(Some(100_000)), "16384..32768,98304..100000");
        assert_eq!(bytes(None), "16384..32768,98304..100352");
        let shown = bytes(Some(100_000)).parse::<ByteRanges>().unwrap();
        assert_eq!(shown.chunks(), missing.whole_groups());
        let open = ByteRanges::of(&ChunkRanges::of_groups(6..), None);
        assert_eq!(open.to_string(), "98304..");
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
