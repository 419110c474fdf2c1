//! What no store gets under: the same work with the calls of the system, and nothing that a store is for.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{Read as _, Write as _},
    ops::Range,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context as _, Result, ensure};
use flatbao_bench::content::Many;

use crate::{
    digest::{Blobs, Buffer, Bytes},
    scale::{BUFFER, PIECE},
};

/// Threads that unlink at once.
const UNLINKERS: usize = 8;

/// Copies a file with the command that everybody has.
pub(crate) fn cp(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg(from).arg(to).status();
    ensure!(status.context("cp")?.success(), "cp failed");
    Ok(())
}

/// Reads a file and hashes it, on one thread, or with all that there are for each piece.
pub(crate) fn read_and_hash(path: &Path, is_parallel: bool) -> Result<(blake3::Hash, Bytes)> {
    let mut file = File::open(path)?;
    let mut buffer = Buffer::new(BUFFER);
    let buffer = buffer.get();
    let mut hasher = blake3::Hasher::new();
    let mut seen = Bytes::default();
    loop {
        let read = file.read(buffer)?;
        if read == 0 {
            return Ok((hasher.finalize(), seen));
        }
        match is_parallel {
            true => hasher.update_rayon(&buffer[..read]),
            false => hasher.update(&buffer[..read]),
        };
        seen.append(&buffer[..read]);
    }
}

/// Reads a part of a file and hashes it, as one of several that do so.
pub(crate) fn read_and_hash_part(path: &Path, mut part: Range<u64>) -> Result<Bytes> {
    let file = File::open(path)?;
    let mut buffer = Buffer::new(BUFFER);
    let buffer = buffer.get();
    let mut hasher = blake3::Hasher::new();
    let mut seen = Bytes::default();
    while !part.is_empty() {
        let left = usize::try_from(part.end - part.start)?;
        let len = BUFFER.min(left);
        let read = file.read_at(&mut buffer[..len], part.start)?;
        ensure!(read > 0, "the file ends early");
        hasher.update(&buffer[..read]);
        seen.feed(part.start, &buffer[..read]);
        part.start += read as u64;
    }
    ensure!(hasher.count() > 0, "an empty part");
    Ok(seen)
}

/// Reads pieces of a file, and believes them; `is_hashed` adds what nobody who verifies can do without.
pub(crate) fn read_pieces(path: &Path, offsets: &[u64], is_hashed: bool) -> Result<Bytes> {
    let file = File::open(path)?;
    let mut piece = Buffer::new(usize::try_from(PIECE)?);
    let piece = piece.get();
    let mut seen = Bytes::default();
    for &offset in offsets {
        file.read_exact_at(piece, offset)?;
        if is_hashed {
            std::hint::black_box(blake3::hash(piece));
        }
        seen.feed(offset, piece);
    }
    Ok(seen)
}

/// Creates, writes and renames a file for each blob, without a hash.
pub(crate) fn create_many(dir: &Path, count: u64, mut many: Many) -> Result<()> {
    for number in 0..count {
        // Names as long as those of a store.
        let name = format!("{number:064x}");
        let temporary = dir.join(format!("{name}.temp"));
        File::create_new(&temporary)?.write_all(many.get(number))?;
        fs::rename(&temporary, dir.join(format!("{name}.data")))?;
    }
    Ok(())
}

/// The blobs that are in a directory, each a file, read and hashed.
pub(crate) fn hash_all(dir: &Path) -> Result<Blobs> {
    let mut blobs = Blobs::default();
    for path in data_files(dir)? {
        blobs.add(blake3::hash(&fs::read(path)?).as_bytes());
    }
    Ok(blobs)
}

/// How many blobs a directory has by the names in it.
pub(crate) fn count_names(dir: &Path) -> Result<u64> {
    let mut count = 0;
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        count += u64::from(name.as_encoded_bytes().ends_with(b".data"));
    }
    Ok(count)
}

/// The files of blobs in a directory, in the order in which it has them.
pub(crate) fn data_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().ends_with(b".data") {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// Removes every blob that is not to be kept, by its name, with several threads in the order of the directory, and
/// makes that durable.
pub(crate) fn unlink_others(dir: &Path, kept: &HashSet<String>) -> Result<()> {
    let is_kept = |path: &PathBuf| {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        stem.is_some_and(|stem| kept.contains(stem))
    };
    let mut files = data_files(dir)?;
    files.retain(|path| !is_kept(path));
    let share = files.len().div_ceil(UNLINKERS).max(1);
    thread::scope(|scope| {
        let threads: Vec<_> = files
            .chunks(share)
            .map(|files| scope.spawn(|| files.iter().try_for_each(fs::remove_file)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            // A thread that panics has found a mistake in this program, which ends it.
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    File::open(dir)?.sync_all()?;
    Ok(())
}
