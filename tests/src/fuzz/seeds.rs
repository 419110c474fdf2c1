//! Scripts to begin with, written by hand: what every target understands, with the names of what they say.
//!
//! They lie in `fuzz/corpus`, beside what a fuzzer has found; `tests/fuzz_corpus.rs` writes them there.

mod scripts;

use std::fs;

use flatbao_core::{FileName, HashAndFormat};

use super::{contents::known, names::typed};
use crate::{
    files::{paths_file, paths_payload, tags_file, tags_payload},
    fixtures,
};

/// A file of the corpus.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The target that it is for.
    pub target: &'static str,
    /// Its name: what it says.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// All that are written by hand.
///
/// # Panics
/// When a fixture is missing.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    [
        file_names(),
        tags(),
        paths(),
        scripts::pairs(),
        scripts::streams(),
        scripts::directories(),
    ]
    .concat()
}

fn seed(target: &'static str, name: &str, bytes: impl Into<Vec<u8>>) -> Seed {
    Seed {
        target,
        name: name.into(),
        bytes: bytes.into(),
    }
}

fn file_names() -> Vec<Seed> {
    let uuid = flatbao_core::Uuid::from_bytes([0xa5; 16]);
    let mut all = Vec::new();
    for kind in 0..11 {
        let name = typed(kind, known()[1].hash, uuid, b"kept").to_string();
        let stem = name.rsplit('.').next().unwrap_or_default();
        let of = if kind < 6 && kind > 2 || kind == 8 {
            "partial-"
        } else {
            ""
        };
        all.push(seed("file_name", &format!("{kind:02}-{of}{stem}"), name));
    }
    let data = FileName::Data(known()[1].hash).to_string();
    for (name, text) in [
        ("upper-case", data.to_uppercase()),
        ("leading-dot", format!(".{data}")),
        ("short", data[1..].to_owned()),
        ("long", format!("0{data}")),
        ("odd-meta", "abc.meta".to_owned()),
        ("no-extension", data[..64].to_owned()),
    ] {
        all.push(seed("file_name", name, text));
    }
    all
}

/// Writes a file about some tags.
type Write = fn(&[(&[u8], HashAndFormat)]) -> Vec<u8>;

fn tags() -> Vec<Seed> {
    let values = |count: usize| -> Vec<(Vec<u8>, HashAndFormat)> {
        let of = |at: usize| {
            let hash = known()[at % known().len()].hash;
            let value = match at % 2 {
                0 => HashAndFormat::raw(hash),
                _ => HashAndFormat::hash_seq(hash),
            };
            (format!("tag-{at:03}").into_bytes(), value)
        };
        (0..count).map(of).collect()
    };
    let named = |list: &[(Vec<u8>, HashAndFormat)], file: Write| {
        let list: Vec<_> = list
            .iter()
            .map(|(name, value)| (&name[..], *value))
            .collect();
        file(&list)
    };
    let mut reversed = values(3);
    reversed.reverse();
    let store = |name| fs::read(fixtures::folder().join(name).join("tags.meta")).unwrap();
    vec![
        seed("tags", "none", tags_file(&[])),
        seed("tags", "none-unprotected", tags_payload(&[])),
        seed("tags", "three", named(&values(3), tags_file)),
        seed("tags", "three-unprotected", named(&values(3), tags_payload)),
        seed("tags", "out-of-order", named(&reversed, tags_payload)),
        seed("tags", "empty-name", tags_file(&[(b"", values(1)[0].1)])),
        seed("tags", "two-byte-count", named(&values(130), tags_payload)),
        seed("tags", "long-count", [0x80, 0]),
        seed(
            "tags",
            "absurd-count",
            [[0xff; 9].as_slice(), &[1]].concat(),
        ),
        seed("tags", "zeros", [0; 64]),
        seed("tags", "of-the-peer", store("golden")),
        seed("tags", "of-the-peer-none", store("emptytags")),
        seed(
            "tags",
            "script",
            [2, 1, b'a', 1, 0, 1, b'b', 2, 1, 0, 1, 0, 3, 0, 0, 0],
        ),
    ]
}

fn paths() -> Vec<Seed> {
    let one = ["/external/one"];
    let three = ["/external/b", "/external/b/x", "/external/b-x"];
    let odd = [
        "",
        "/",
        "relative",
        "/a/../b",
        "/a//b",
        "/dev/sda",
        "/a\0b",
        "/dev/shm/x",
    ];
    let hash = "dee6a79aa7ac0445c4a99a6f3b85e5ae277f9d62638fe9d9cd9800920510595b";
    let peer = fixtures::folder().join("gc").join(format!("{hash}.paths"));
    vec![
        seed("paths", "none", paths_file(&[])),
        seed("paths", "one", paths_file(&one)),
        seed("paths", "one-unprotected", paths_payload(&one)),
        seed("paths", "by-component", paths_file(&three)),
        seed("paths", "twice", paths_payload(&["/b", "/a", "/b"])),
        seed("paths", "never-opened", paths_payload(&odd)),
        seed("paths", "no-text", *b"\x01\x02/\xff"),
        seed(
            "paths",
            "absurd-length",
            [&[1][..], &[0xff; 9], &[1]].concat(),
        ),
        seed("paths", "of-the-peer", fs::read(peer).unwrap()),
        seed("paths", "script", [3, 0, 1, 4, 0, 1, 0, 3, 0, 0, 0]),
    ]
}
