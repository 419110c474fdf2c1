//! The old flat store: `iroh-bytes` in the last release that had it. Its layout is the one of three directories.

use std::{fs, future, io, path::Path};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use flatbao_bench::content::Many;
use futures::StreamExt as _;
use iroh_bytes::{
    BlobFormat, Hash, TempTag,
    store::{
        ExportMode, GcMarkEvent, GcSweepEvent, ImportMode, Map as _, MapEntry as _,
        ReadableStore as _, Store as _,
        bao_tree::{ChunkNum, ChunkRanges, io::fsm::encode_ranges_validated},
        flat,
    },
    util::progress::IgnoreProgressSender,
};
use iroh_io::AsyncStreamWriter;
use tokio::runtime::Runtime;

use crate::digest::{self, Blobs};

/// Where its complete blobs are, in its directory.
pub(crate) const COMPLETE: &str = "complete";

/// Makes the directories by which flatbao knows this layout, so that it can fill a store for this peer.
pub(crate) fn make_layout(dir: &Path) -> io::Result<()> {
    [COMPLETE, "partial", "meta"]
        .iter()
        .try_for_each(|name| fs::create_dir_all(dir.join(name)))
}

/// A store, open.
pub(crate) struct Flat {
    // Fields drop in this order: what uses the runtime goes before the runtime.
    store: flat::Store,
    runtime: Runtime,
}

impl Flat {
    /// It does its work in blocking tasks, so that one thread is enough to wait for them.
    pub(crate) fn load(dir: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let store = runtime.block_on(async { flat::Store::load(dir).await })?;
        Ok(Self { store, runtime })
    }

    pub(crate) fn import(&self, path: &Path, is_reference: bool) -> Result<Hash> {
        let mode = match is_reference {
            true => ImportMode::TryReference,
            false => ImportMode::Copy,
        };
        let progress = IgnoreProgressSender::default();
        // A task begins when it is made, and that can only be where tasks run.
        self.runtime.block_on(async {
            let path = path.to_owned();
            let import = self
                .store
                .import_file(path, mode, BlobFormat::Raw, progress);
            Ok(*import.await?.0.hash())
        })
    }

    pub(crate) fn import_many(&self, count: u64, mut many: Many) -> Result<Blobs> {
        let mut tags: Vec<TempTag> = Vec::new();
        self.runtime.block_on(async {
            for number in 0..count {
                let bytes = Bytes::copy_from_slice(many.get(number));
                tags.push(self.store.import_bytes(bytes, BlobFormat::Raw).await?);
            }
            anyhow::Ok(())
        })?;
        let mut blobs = Blobs::default();
        tags.iter().for_each(|tag| blobs.add(tag.hash().as_bytes()));
        Ok(blobs)
    }

    pub(crate) fn count(&self) -> u64 {
        self.store.blobs().count() as u64
    }

    /// Reads bytes of a blob, verified, as its provider does before it sends them.
    pub(crate) fn read(&self, hash: Hash, from: u64, to: u64) -> Result<digest::Bytes> {
        let entry = self.store.get(&hash).context("the blob is not there")?;
        let chunks = ChunkRanges::from(ChunkNum(from / 1024)..ChunkNum(to / 1024));
        let mut data = OnlyData {
            at: from,
            seen: digest::Bytes::default(),
        };
        self.runtime.block_on(async {
            let (bytes, outboard) = (entry.data_reader().await?, entry.outboard().await?);
            encode_ranges_validated(bytes, outboard, &chunks, &mut data).await?;
            anyhow::Ok(())
        })?;
        Ok(data.seen)
    }

    pub(crate) fn export(&self, hash: Hash, target: &Path) -> Result<()> {
        self.runtime.block_on(async {
            let (target, mode) = (target.to_owned(), ExportMode::Copy);
            let export = self.store.export(hash, target, mode, |_| Ok(()));
            Ok(export.await?)
        })
    }

    /// Collects garbage as its own loop does: mark, then sweep.
    pub(crate) fn collect(&self) -> Result<()> {
        self.runtime.block_on(async {
            self.store.clear_live();
            let mut mark = self.store.gc_mark(None);
            while let Some(event) = mark.next().await {
                match event {
                    GcMarkEvent::CustomDebug(_) => {}
                    GcMarkEvent::CustomWarning(text, _) => bail!("mark: {text}"),
                    GcMarkEvent::Error(error) => return Err(error.context("mark")),
                }
            }
            let mut sweep = self.store.gc_sweep();
            while let Some(event) = sweep.next().await {
                match event {
                    GcSweepEvent::CustomDebug(_) => {}
                    GcSweepEvent::CustomWarning(text, _) => bail!("sweep: {text}"),
                    GcSweepEvent::Error(error) => return Err(error.context("sweep")),
                }
            }
            Ok(())
        })
    }
}

const GROUP: usize = 16 << 10;

/// Of a stream only the data: the size, each pair and each group come in one piece, and no blob here ends with less than
/// a chunk.
struct OnlyData {
    at: u64,
    seen: digest::Bytes,
}

impl OnlyData {
    fn take(&mut self, bytes: &[u8]) -> future::Ready<io::Result<()>> {
        // A range that begins with a group may be sent as if it began within: the pairs above the first chunk, in front
        // of all data.
        let pairs = bytes.len().saturating_sub(GROUP);
        let data = &bytes[pairs..];
        if data.len() >= 1024 {
            self.seen.feed(self.at, data);
            self.at += data.len() as u64;
        }
        future::ready(Ok(()))
    }
}

impl AsyncStreamWriter for OnlyData {
    type WriteFuture<'a> = future::Ready<io::Result<()>>;
    type WriteBytesFuture<'a> = future::Ready<io::Result<()>>;
    type SyncFuture<'a> = future::Ready<io::Result<()>>;

    fn write<'a>(&'a mut self, data: &'a [u8]) -> Self::WriteFuture<'a> {
        self.take(data)
    }

    fn write_bytes(&mut self, data: Bytes) -> Self::WriteBytesFuture<'_> {
        self.take(&data)
    }

    fn sync(&mut self) -> Self::SyncFuture<'_> {
        future::ready(Ok(()))
    }
}
