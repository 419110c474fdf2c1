//! The calls of flatbao that are not in every version of it, in one place.

use anyhow::{Context as _, Result};
use flatbao_core::{Backend as _, FileName, Hash, ReadAt as _, Store};
use flatbao_mem::{MemBackend, seeded_env};

/// The outboard of bytes in memory, as it stands in a file, and their hash.
///
/// For want of a call that does only that, they go into a store in memory, which copies them.
///
/// # Errors
/// When the store in memory fails.
pub fn outboard_of(bytes: &[u8]) -> Result<(Hash, Vec<u8>)> {
    let backend = MemBackend::new();
    let (store, _) = Store::open(backend.clone(), seeded_env(1))?;
    let hash = store.import_bytes(bytes)?.hash;
    let object = backend.open(&FileName::Outboard(hash))?;
    let object = object.context("what fits into a group has no outboard")?;
    let mut outboard = vec![0; usize::try_from(object.size()?)?];
    let mut filled = 0;
    while filled < outboard.len() {
        filled += object.read_at(&mut outboard[filled..], filled as u64)?;
    }
    Ok((hash, outboard))
}
