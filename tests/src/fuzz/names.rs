//! Names of files: those that the format has, by patterns and by values, and names that are almost such.

use std::ffi::OsString;

use flatbao_core::{FileName, Hash, Uuid};

use super::input::Input;

/// Every name there is (FORMAT.md, "File names"): `H` stands for 64 digits, `U` for 32, `X` for any even number
/// of them but none.
const PATTERNS: [&str; 11] = [
    "H.data",
    "H.obao4",
    "H.paths",
    "H-U.data",
    "H-U.obao4",
    "H-U.paths",
    "U.temp",
    "tags.meta",
    "tags-U.meta",
    "X.meta",
    "lock",
];

/// Whether a name is one of a store's, found out naively.
pub(super) fn is_canonical(name: &str) -> bool {
    PATTERNS.iter().any(|pattern| matches(pattern, name))
}

fn matches(pattern: &str, name: &str) -> bool {
    let Some(first) = pattern.chars().next() else {
        return name.is_empty();
    };
    let digits = name
        .bytes()
        .take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        .count();
    let rest = &pattern[first.len_utf8()..];
    match first {
        'H' => digits >= 64 && matches(rest, &name[64..]),
        'U' => digits >= 32 && matches(rest, &name[32..]),
        'X' => digits > 0 && digits % 2 == 0 && matches(rest, &name[digits..]),
        other => name
            .strip_prefix(other)
            .is_some_and(|name| matches(rest, name)),
    }
}

/// The name of this number, made of the rest.
pub(super) fn typed(kind: u8, hash: Hash, uuid: Uuid, more: &[u8]) -> FileName {
    match kind % 11 {
        0 => FileName::Data(hash),
        1 => FileName::Outboard(hash),
        2 => FileName::Paths(hash),
        3 => FileName::PartialData(hash, uuid),
        4 => FileName::PartialOutboard(hash, uuid),
        5 => FileName::PathsTemp(hash, uuid),
        6 => FileName::Temp(uuid),
        7 => FileName::Tags,
        8 => FileName::TagsTemp(uuid),
        9 if !more.is_empty() => FileName::NamedMeta(more.into()),
        _ => FileName::Lock,
    }
}

/// A name in a directory: in most cases one of a store's, of a known blob or of another one.
pub(super) fn name(input: &mut Input<'_>) -> OsString {
    let (kind, shape) = (input.byte(), input.byte());
    let hash = match shape & 0x80 {
        0 => input.known().hash,
        _ => Hash::from_bytes([input.byte(); 32]),
    };
    let uuid = input.uuid();
    // A lock is made by opening.
    let kind = if kind % 11 == 10 { 0 } else { kind };
    let mut name = typed(kind, hash, uuid, b"kept").to_string();
    match shape & 0x0f {
        1 => name.make_ascii_uppercase(),
        2 => name.insert(0, '.'),
        3 => name.push('~'),
        4 => drop(name.remove(0)),
        5 => name = name.replace('-', "_"),
        6 => name.insert(0, '0'),
        7 => {
            let text = String::from_utf8_lossy(input.piece()).replace(['/', '\0'], "_");
            // A name has at most 255 bytes.
            name = text.chars().take(60).collect();
        }
        _ => {}
    }
    match &name[..] {
        "" | "." | ".." => "odd".into(),
        _ => name.into(),
    }
}
