//! Files that are almost right.

use bao_tree::{BlockSize, io::outboard::PreOrderMemOutboard};
use flatbao_core::{BlobFormat, HashAndFormat};

use super::{contents::Known, input::Input};
use crate::files::{paths_payload, sealed, tags_payload};

/// The most bytes that a file is made longer by at once.
const LONGER: usize = 40_000;

/// The bytes with a few things wrong with them, or none.
pub(super) fn edited(input: &mut Input<'_>, bytes: &[u8]) -> Vec<u8> {
    let mut file = bytes.to_vec();
    for _ in 0..input.few(5) {
        edit(input, &mut file);
    }
    file
}

fn edit(input: &mut Input<'_>, file: &mut Vec<u8>) {
    let kind = input.byte() % 8;
    let at = input.below(file.len() + 1);
    let len = file.len();
    match kind {
        0 => {
            if let Some(byte) = file.get_mut(at) {
                *byte ^= 1 << input.few(8);
            }
        }
        1 => {
            let piece = input.piece();
            file.iter_mut()
                .skip(at)
                .zip(piece)
                .for_each(|(to, from)| *to = *from);
        }
        2 => file.truncate(at),
        3 => {
            let more = input.below(LONGER);
            file.resize(len + more, input.byte());
        }
        4 => {
            let from = input.below(len + 1);
            let most = len - at.max(from);
            let count = input.below(most + 1);
            file.copy_within(from..from + count, at);
        }
        5 => drop(file.splice(at..at, input.piece().iter().copied())),
        6 => {
            let end = at + input.below(len - at + 1);
            file.drain(at..end);
        }
        // A claim: what stands in front of an outboard or a stream.
        _ => {
            let small =
                u64::from_le_bytes([input.byte(), input.byte(), input.byte(), 0, 0, 0, 0, 0]);
            let claim = small.rotate_left(8 * input.few(8) as u32);
            for (to, from) in file.iter_mut().zip(claim.to_le_bytes()) {
                *to = from;
            }
        }
    }
}

/// The bytes of some file of a store, right or wrong.
pub(super) fn file(input: &mut Input<'_>) -> Vec<u8> {
    match input.byte() % 8 {
        0 => input.piece().to_vec(),
        1 | 2 => {
            let known = input.known();
            edited(input, &known.data)
        }
        3 | 4 => {
            let known = input.known();
            edited(input, &known.board())
        }
        5 => {
            let file = tags(input);
            edited(input, &file)
        }
        6 => {
            let file = paths(input);
            edited(input, &file)
        }
        _ => {
            let known = input.known();
            forged(input, known)
        }
    }
}

/// An outboard whose tree goes further down than groups, under the size that makes these pairs those of
/// groups.
pub(super) fn forged(input: &mut Input<'_>, known: &Known) -> Vec<u8> {
    let log = input.few(4) as u8;
    let tree = PreOrderMemOutboard::create(&known.data, BlockSize::from_chunk_log(log));
    let claim = (known.data.len() as u64) << (4 - log);
    let mut file = claim.to_le_bytes().to_vec();
    file.extend(tree.data);
    edited(input, &file)
}

/// A tag database about known blobs, with a trailer or without, in order or not.
pub(super) fn tags(input: &mut Input<'_>) -> Vec<u8> {
    let mut tags: Vec<(&[u8], HashAndFormat)> = Vec::new();
    for _ in 0..input.few(5) {
        let len = input.few(4);
        let name = input.take(len);
        tags.push((name, value(input)));
    }
    let form = input.byte();
    if form & 2 == 0 {
        tags.sort_by_key(|(name, _)| *name);
        tags.dedup_by_key(|(name, _)| *name);
    }
    closed(tags_payload(&tags), form)
}

/// A known blob, as raw bytes or as a sequence.
pub(super) fn value(input: &mut Input<'_>) -> HashAndFormat {
    let hash = input.known().hash;
    let format = match input.flag() {
        true => BlobFormat::HashSeq,
        false => BlobFormat::Raw,
    };
    HashAndFormat { hash, format }
}

/// Names of external files that a script may put there.
pub(super) const OUTSIDE: [&str; 3] = ["one", "two", "three"];

/// Paths that lists of them have.
const PATHS: [&str; 8] = [
    "/external/one",
    "/external/two",
    "/external/three",
    "/external/gone",
    "/external/../store/tags.meta",
    "/far/one",
    "/granted/nowhere",
    "relative",
];

/// A list of paths, with a trailer or without.
pub(super) fn paths(input: &mut Input<'_>) -> Vec<u8> {
    let mut paths = Vec::new();
    for _ in 0..input.few(5) {
        paths.push(PATHS[input.few(PATHS.len() as u8)]);
    }
    closed(paths_payload(&paths), input.byte())
}

fn closed(payload: Vec<u8>, form: u8) -> Vec<u8> {
    match form & 1 {
        0 => sealed(payload),
        _ => payload,
    }
}
