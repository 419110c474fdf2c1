//! The peer, driven synchronously.
//!
//! flatbao writes the on-disk bytes of the flat store of the public crate `iroh-bytes` 0.9. The
//! only authority on what those bytes mean is that crate itself, so the exchange tests open our
//! stores with it, and its stores with ours. [`Peer`] is the peer's half: its own code, unchanged,
//! behind plain blocking calls. [`fixtures`] finds and copies the stores that the peer wrote once
//! and that the project keeps.
//!
//! Streams do not depend on how a store keeps its files, so they are also exchanged with the crate
//! that people run today: [`today`] drives the in-memory store of `iroh-blobs` in the same manner.
//!
//! Nothing here repairs what the peer gets wrong: a test sees the peer as it is.

#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures::StreamExt;
use iroh_bytes::{
    BlobFormat, Hash, HashAndFormat, IROH_BLOCK_SIZE, Tag, TempTag,
    store::{
        ExportMode, GcMarkEvent, GcSweepEvent, ImportMode, Map, MapEntry, PartialMap,
        PartialMapEntry, ReadableStore, Store as _,
        bao_tree::{
            ChunkNum, ChunkRanges,
            io::{fsm, outboard::PostOrderMemOutboard, sync},
        },
        flat,
    },
    util::{progress::IgnoreProgressSender, runtime},
};
use iroh_io::AsyncSliceReaderExt;
use tokio::runtime::Runtime;

pub mod fixtures;
pub mod today;

/// The 32 raw bytes of a BLAKE3 hash.
pub type HashBytes = [u8; 32];

/// What a tag points to: the hash, and whether it is tagged as a hash sequence.
pub type Tagged = (HashBytes, bool);

/// A store directory, opened by the peer.
///
/// What is imported stays protected from [`gc`](Peer::gc) until
/// [`release_temp_tags`](Peer::release_temp_tags), as it does for a caller that holds the peer's
/// temp tag. The peer takes no lock: keeping two writers apart is the test's business.
#[derive(Debug)]
pub struct Peer {
    // Fields drop in this order: what uses the runtime goes before the runtime.
    temp_tags: Vec<TempTag>,
    store: flat::Store,
    runtime: Runtime,
}

/// What one garbage collection of the peer did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcReport {
    /// Hashes, complete or partial, that were listed before and are not any more.
    pub deleted: BTreeSet<HashBytes>,
    /// Warnings of both phases, in the peer's words. It warns, and sweeps all the same.
    pub warnings: Vec<String>,
    /// The peer's other messages, each with its phase in front: `mark: …`, `sweep: …`.
    pub messages: Vec<String>,
}

impl Peer {
    /// Opens one directory that holds complete and partial blobs and the tags, creating it if it
    /// is missing.
    ///
    /// Opening already writes: the peer deletes partial files that it cannot pair or that have a
    /// complete counterpart.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        Self::load_split(dir, dir, dir)
    }

    /// Opens a store whose three areas are directories of their own.
    pub fn load_split(
        complete: impl AsRef<Path>,
        partial: impl AsRef<Path>,
        meta: impl AsRef<Path>,
    ) -> Result<Self> {
        // The peer does all its work in blocking tasks, so one thread is enough to wait for them.
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let store = runtime.block_on(async {
            let handle = runtime::Handle::from_current(1)?;
            flat::Store::load(complete, partial, meta, &handle).await
        })?;
        Ok(Self {
            temp_tags: Vec::new(),
            store,
            runtime,
        })
    }

    /// The complete blobs, owned or external, with the size that the peer took from the data file.
    pub fn blobs(&self) -> BTreeMap<HashBytes, u64> {
        self.with_sizes(self.store.blobs())
    }

    /// The partial blobs with the size that their outboard claims.
    pub fn partial_blobs(&self) -> BTreeMap<HashBytes, u64> {
        self.with_sizes(self.store.partial_blobs())
    }

    /// The data of a complete blob, as the peer reads it: not verified, see [`verify`](Self::verify).
    pub fn read(&self, hash: &HashBytes) -> Result<Vec<u8>> {
        let entry = self.complete_entry(hash)?;
        self.runtime.block_on(async {
            let data = entry.data_reader().await?.read_to_end().await?;
            Ok(data.to_vec())
        })
    }

    /// The outboard of a complete blob: 8 bytes of size and the pairs in pre-order. For a blob of
    /// one chunk group, which has no file, the 8 bytes that the peer makes up.
    pub fn outboard(&self, hash: &HashBytes) -> Result<Vec<u8>> {
        let entry = self.complete_entry(hash)?;
        self.runtime.block_on(async {
            let outboard = entry.outboard().await?.into_inner().read_to_end().await?;
            Ok(outboard.to_vec())
        })
    }

    /// Proves a complete blob: encodes all of it as the peer would for a download, which checks
    /// every pair of the outboard and every chunk group of the data against the hash. The peer
    /// ignores the size in front of the pairs, and what follows them, so both are compared here.
    pub fn verify(&self, hash: &HashBytes) -> Result<()> {
        let entry = self.complete_entry(hash)?;
        self.runtime.block_on(async {
            let mut encoded = Vec::new();
            let (data, outboard) = (entry.data_reader().await?, entry.outboard().await?);
            let ranges = ChunkRanges::all();
            fsm::encode_ranges_validated(data, outboard, &ranges, &mut encoded).await?;
            anyhow::Ok(())
        })?;
        let outboard = self.outboard(hash)?;
        let groups = entry.size().div_ceil(GROUP).max(1);
        ensure!(
            outboard.starts_with(&entry.size().to_le_bytes()),
            "the outboard's size is not the data's"
        );
        ensure!(
            outboard.len() as u64 == 8 + 64 * (groups - 1),
            "an outboard of {} bytes for {groups} groups",
            outboard.len()
        );
        Ok(())
    }

    /// All tags by name; a name is any bytes.
    pub fn tags(&self) -> BTreeMap<Vec<u8>, Tagged> {
        self.store
            .tags()
            .map(|(name, value)| {
                let tagged = (value.hash.into(), value.format.is_hash_seq());
                (name.0.to_vec(), tagged)
            })
            .collect()
    }

    /// Sets a tag, or removes it with `None`. The hash need not be in the store.
    pub fn set_tag(&self, name: &[u8], value: Option<Tagged>) -> Result<()> {
        let name = Tag(Bytes::copy_from_slice(name));
        let value = value.map(hash_and_format);
        Ok(self.runtime.block_on(self.store.set_tag(name, value))?)
    }

    /// Creates a tag with a name that the peer makes up from the time, and returns the name.
    pub fn create_tag(&self, value: Tagged) -> Result<Vec<u8>> {
        let tag = self.store.create_tag(hash_and_format(value));
        Ok(self.runtime.block_on(tag)?.0.to_vec())
    }

    /// Imports bytes as a raw blob and keeps its temp tag.
    pub fn import_bytes(&mut self, bytes: &[u8]) -> Result<HashBytes> {
        let bytes = Bytes::copy_from_slice(bytes);
        let tag = self
            .runtime
            .block_on(self.store.import_bytes(bytes, BlobFormat::Raw))?;
        Ok(self.keep(tag))
    }

    /// Imports a file as a raw blob, by copy or by reference, and keeps its temp tag.
    pub fn import_file(&mut self, path: impl AsRef<Path>, reference: bool) -> Result<HashBytes> {
        // The peer takes absolute paths only; a path it references must also survive a later open.
        let path = std::path::absolute(path)?;
        let mode = if reference {
            ImportMode::TryReference
        } else {
            ImportMode::Copy
        };
        let progress = IgnoreProgressSender::default();
        let (tag, _size) =
            self.runtime.block_on(
                self.store
                    .import_file(path, mode, BlobFormat::Raw, progress),
            )?;
        Ok(self.keep(tag))
    }

    /// Exports a complete blob to `target`. By reference, owned data of 128 KiB or more is moved
    /// out of the store; anything else is copied. The peer overwrites what is at `target`.
    pub fn export(
        &self,
        hash: &HashBytes,
        target: impl AsRef<Path>,
        reference: bool,
    ) -> Result<()> {
        let target = std::path::absolute(target)?;
        let mode = if reference {
            ExportMode::TryReference
        } else {
            ExportMode::Copy
        };
        let export = self
            .store
            .export(Hash::from(*hash), target, mode, |_| io::Result::Ok(()));
        Ok(self.runtime.block_on(export)?)
    }

    /// Receives some chunk groups (16 KiB each) of `content` into a partial blob, as a download
    /// would: continues the partial blob that is in the store, or begins one. It stays partial.
    ///
    /// Parents and groups are verified on the way in. The peer protects the hash until the next
    /// [`gc`](Self::gc) begins, not longer.
    pub fn receive(&self, content: &[u8], groups: Range<u64>) -> Result<HashBytes> {
        let ranges =
            ChunkRanges::from(ChunkNum(groups.start * CHUNKS)..ChunkNum(groups.end * CHUNKS));
        let outboard = PostOrderMemOutboard::create(content, IROH_BLOCK_SIZE);
        let mut encoded = Vec::new();
        sync::encode_ranges_validated(content, &outboard, &ranges, &mut encoded)?;
        let hash = Hash::new(content);
        let entry = self
            .store
            .get_or_create_partial(hash, content.len() as u64)?;
        self.runtime.block_on(async {
            let data = entry.data_writer().await?;
            fsm::decode_response_into(
                hash.into(),
                IROH_BLOCK_SIZE,
                ranges,
                encoded.as_slice(),
                |_, _| entry.outboard_mut(),
                data,
            )
            .await
        })?;
        Ok(hash.into())
    }

    /// Declares a partial blob complete. The peer verifies nothing here: that it is whole is the
    /// caller's claim.
    pub fn complete(&self, hash: &HashBytes) -> Result<()> {
        let entry = self
            .store
            .get_partial(&Hash::from(*hash))
            .with_context(|| format!("no partial blob {}", hex::encode(hash)))?;
        Ok(self.runtime.block_on(self.store.insert_complete(entry))?)
    }

    /// Drops the temp tags of everything imported so far.
    pub fn release_temp_tags(&mut self) {
        self.temp_tags.clear();
    }

    /// Collects garbage as the peer's own loop does: clear the live set, mark, then sweep.
    /// An error of the mark phase ends it before anything is deleted.
    pub fn gc(&self) -> Result<GcReport> {
        let before = self.listed();
        let mut warnings = Vec::new();
        let mut messages = Vec::new();
        self.runtime.block_on(async {
            self.store.clear_live();
            let mut mark = self.store.gc_mark(None);
            while let Some(event) = mark.next().await {
                match event {
                    GcMarkEvent::CustomInfo(text) => messages.push(format!("mark: {text}")),
                    GcMarkEvent::CustomWarning(text, _) => warnings.push(text),
                    GcMarkEvent::Error(error) => return Err(error.context("mark")),
                }
            }
            let mut sweep = self.store.gc_sweep();
            while let Some(event) = sweep.next().await {
                match event {
                    GcSweepEvent::CustomInfo(text) => messages.push(format!("sweep: {text}")),
                    GcSweepEvent::CustomWarning(text, _) => warnings.push(text),
                    GcSweepEvent::Error(error) => return Err(error.context("sweep")),
                }
            }
            Ok(())
        })?;
        let deleted = before.difference(&self.listed()).copied().collect();
        Ok(GcReport {
            deleted,
            warnings,
            messages,
        })
    }

    /// Lets go of the directory: temp tags, the store, then the runtime, which waits for blocking
    /// work in flight. The peer itself has nothing to flush. Dropping does the same.
    pub fn close(self) {}

    fn complete_entry(&self, hash: &HashBytes) -> Result<flat::Entry> {
        let hex = || hex::encode(hash);
        let entry = self
            .store
            .get(&Hash::from(*hash))
            .with_context(|| format!("the peer does not have {}", hex()))?;
        if !entry.is_complete() {
            bail!("the peer has only a part of {}", hex());
        }
        Ok(entry)
    }

    fn with_sizes(&self, hashes: impl Iterator<Item = Hash>) -> BTreeMap<HashBytes, u64> {
        hashes
            .filter_map(|hash| Some((hash.into(), self.store.get(&hash)?.size())))
            .collect()
    }

    fn listed(&self) -> BTreeSet<HashBytes> {
        let partial = self.store.partial_blobs();
        self.store
            .blobs()
            .chain(partial)
            .map(HashBytes::from)
            .collect()
    }

    fn keep(&mut self, tag: TempTag) -> HashBytes {
        let hash = *tag.hash();
        self.temp_tags.push(tag);
        hash.into()
    }
}

/// The file names of a folder, sorted. A subfolder's files are listed with its name in front.
pub fn list(dir: impl AsRef<Path>) -> Result<Vec<String>> {
    let dir = dir.as_ref();
    let mut names = Vec::new();
    for path in files_under(dir)? {
        let name = path.strip_prefix(dir)?;
        names.push(name.to_str().context("a name that is not UTF-8")?.into());
    }
    names.sort();
    Ok(names)
}

/// One chunk group, in bytes.
const GROUP: u64 = IROH_BLOCK_SIZE.bytes() as u64;

/// Chunks in a chunk group.
const CHUNKS: u64 = GROUP / 1024;

fn hash_and_format((hash, is_hash_seq): Tagged) -> HashAndFormat {
    if is_hash_seq {
        HashAndFormat::hash_seq(hash.into())
    } else {
        HashAndFormat::raw(hash.into())
    }
}

fn files_under(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_under(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}
