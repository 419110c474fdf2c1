//! `cacache`: content by its hash (SHA-256), and an index of keys.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    path::Path,
};

use anyhow::Result;
use cacache::SyncReader;
use flatbao_bench::content::Many;

use crate::digest::Blobs;

/// Bytes that are copied at once.
const PIECE: usize = 64 << 10;

/// Imports a file.
pub(crate) fn import(cache: &Path, path: &Path) -> Result<()> {
    let mut file = File::open(path)?;
    let size = usize::try_from(file.metadata()?.len())?;
    let mut writer = cacache::WriteOpts::new()
        .size(size)
        .open_sync(cache, "blob")?;
    let mut buffer = vec![0; PIECE];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        writer.write_all(&buffer[..read])?;
    }
    writer.commit()?;
    Ok(())
}

/// What BLAKE3 says of what was imported.
pub(crate) fn hash(cache: &Path, key: &str) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut reader = SyncReader::open(cache, key)?;
    let mut buffer = vec![0; PIECE];
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Ok(hasher.finalize());
        }
        hasher.update(&buffer[..read]);
    }
}

/// Imports many blobs, each with its number as its key.
pub(crate) fn import_many(cache: &Path, count: u64, mut many: Many) -> Result<()> {
    for number in 0..count {
        cacache::write_sync(cache, number.to_string(), many.get(number))?;
    }
    Ok(())
}

/// What BLAKE3 says of all that was imported.
pub(crate) fn hash_all(cache: &Path, count: u64) -> Result<Blobs> {
    let mut blobs = Blobs::default();
    for number in 0..count {
        blobs.add(hash(cache, &number.to_string())?.as_bytes());
    }
    Ok(blobs)
}

/// How many keys it lists.
pub(crate) fn count(cache: &Path) -> Result<u64> {
    let mut count = 0;
    for entry in cacache::list_sync(cache) {
        entry?;
        count += 1;
    }
    Ok(count)
}

/// Exports what was imported last, verified.
pub(crate) fn export(cache: &Path, target: &Path) -> Result<u64> {
    Ok(cacache::copy_sync(cache, "blob", target)?)
}
