//! A place in a store, between two runs of a verification.

use std::{fmt, str::FromStr};

use crate::{Hash, tree::GROUP};

/// Where a verification stopped, and the next one goes on. As text it is `HASH:OFFSET`, the offset in bytes,
/// and `:damaged` behind that where something was found in the blob already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The blob that is next. It need not be there any more by then.
    pub hash: Hash,
    /// The group of it that is next.
    pub group: u64,
    /// Whether something worse than a note was found in the groups before.
    pub damaged: bool,
}

impl Position {
    /// The beginning of a blob.
    pub(super) fn start(hash: Hash) -> Self {
        Self {
            hash,
            group: 0,
            damaged: false,
        }
    }
}

const DAMAGED: &str = ":damaged";

/// A text is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a position: 64 hex digits, a colon, and a number of bytes that is a multiple of 16384"
)]
pub struct ParsePositionError(());

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}",
            self.hash,
            u128::from(self.group) * u128::from(GROUP)
        )?;
        f.write_str(if self.damaged { DAMAGED } else { "" })
    }
}

impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, ParsePositionError> {
        let wrong = || ParsePositionError(());
        let (text, damaged) = match text.strip_suffix(DAMAGED) {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (hash, offset) = text.split_once(':').ok_or_else(wrong)?;
        let offset: u64 = offset.parse().map_err(|_| wrong())?;
        if !offset.is_multiple_of(GROUP) {
            return Err(wrong());
        }
        Ok(Self {
            hash: hash.parse().map_err(|_| wrong())?,
            group: offset / GROUP,
            damaged,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written() {
        let position = Position {
            hash: Hash::EMPTY,
            group: 7,
            damaged: false,
        };
        let text = position.to_string();
        assert!(text.ends_with(":114688"));
        assert_eq!(text.parse(), Ok(position));
        let position = Position {
            damaged: true,
            ..position
        };
        assert_eq!(position.to_string().parse(), Ok(position));
        for wrong in [
            "",
            ":",
            "x:0",
            &format!("{}:1", Hash::EMPTY),
            &format!("{}:-16384", Hash::EMPTY),
        ] {
            assert!(wrong.parse::<Position>().is_err(), "{wrong}");
        }
    }
}
