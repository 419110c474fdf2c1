//! Whether a blob is a collection, where nobody says so.

use flatbao_core::{BlobFormat, Collection, Hash, ReadAt, store::Status};

use crate::{error::Result, reference::Resolved, store::Store};

const HASH_LEN: u64 = 32;

/// Bytes of a blob that is read as a whole to see if it is a collection: two million hashes.
const MAX_SEQUENCE: u64 = 64 * 1024 * 1024;

/// The collection that a reference means, if it means one: its tag says so or, where there is no tag that
/// says anything, the bytes do.
pub(crate) fn meant(store: &Store, resolved: &Resolved) -> Result<Option<Collection>> {
    let hash = resolved.hash;
    match resolved.format {
        Some(BlobFormat::Raw) => Ok(None),
        Some(BlobFormat::HashSeq) => Ok(Some(store.collection(hash)?)),
        None if is_tagged_sequence(store, hash) => Ok(Some(store.collection(hash)?)),
        None if !may_be_sequence(store, hash)? => Ok(None),
        None => Ok(store.collection(hash).ok()),
    }
}

/// What the bytes of a blob mean: as [`meant`], where a hash sequence need not be a collection.
pub(crate) fn format(store: &Store, resolved: &Resolved) -> Result<BlobFormat> {
    let hash = resolved.hash;
    Ok(match resolved.format {
        Some(format) => format,
        None if is_tagged_sequence(store, hash) => BlobFormat::HashSeq,
        None => match meant(store, resolved)? {
            Some(_) => BlobFormat::HashSeq,
            None => BlobFormat::Raw,
        },
    })
}

fn is_tagged_sequence(store: &Store, hash: Hash) -> bool {
    store.tags().is_ok_and(|tags| {
        tags.values()
            .any(|value| value.hash == hash && value.format == BlobFormat::HashSeq)
    })
}

/// Whether it is worth reading all of a blob to see if it is a collection: its first 32 bytes name a blob
/// that is there.
fn may_be_sequence(store: &Store, hash: Hash) -> Result<bool> {
    let reader = store.reader(hash)?;
    let size = reader.proven_size()?;
    if size == 0 || size % HASH_LEN != 0 || size > MAX_SEQUENCE {
        return Ok(false);
    }
    let mut first = [0; 32];
    let read = reader.read_at(&mut first, 0).unwrap_or_default();
    let is_there = |hash| store.status(hash) != Status::Missing;
    Ok(read == first.len() && is_there(Hash::from_bytes(first)))
}
