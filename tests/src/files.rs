//! The store's own files, written naively from FORMAT.md.

use flatbao_core::{BlobFormat, Hash, HashAndFormat};

/// A payload with the trailer that closes `tags.meta` and `.paths`.
#[must_use]
pub fn sealed(mut payload: Vec<u8>) -> Vec<u8> {
    let hash = Hash::of(&payload);
    payload.extend(b"fbtrail1");
    payload.extend(hash.as_bytes());
    payload
}

/// The bytes of `tags.meta` without trailer, in the order in which the tags come.
#[must_use]
pub fn tags_payload(tags: &[(&[u8], HashAndFormat)]) -> Vec<u8> {
    let mut payload = varint(tags.len());
    for (name, value) in tags {
        payload.extend(varint(name.len()));
        payload.extend(*name);
        payload.extend(value.hash.as_bytes());
        payload.push(u8::from(value.format == BlobFormat::HashSeq));
    }
    payload
}

/// The bytes of `tags.meta`.
#[must_use]
pub fn tags_file(tags: &[(&[u8], HashAndFormat)]) -> Vec<u8> {
    sealed(tags_payload(tags))
}

/// The bytes of a `.paths` file without trailer, in the order in which the paths come.
#[must_use]
pub fn paths_payload(paths: &[&str]) -> Vec<u8> {
    let mut payload = varint(paths.len());
    for path in paths {
        payload.extend(varint(path.len()));
        payload.extend(path.bytes());
    }
    payload
}

/// The bytes of a `.paths` file.
#[must_use]
pub fn paths_file(paths: &[&str]) -> Vec<u8> {
    sealed(paths_payload(paths))
}

/// Seven bits a byte, least significant first, the top bit set on all bytes but the last.
fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = number.to_le_bytes()[0];
        number >>= 7;
        if number == 0 {
            bytes.push(low & 0x7f);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
