//! The file store of `iroh-blobs` as it is released, with the options that it has by itself.

use std::{
    future,
    io::{self, Read},
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use bao_tree::{ChunkNum, ChunkRanges};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use iroh::endpoint::VarInt;
use iroh_blobs::{
    BlobFormat, Hash, HashAndFormat,
    api::{
        TempTag,
        blobs::{AddPathOptions, EncodedItem, ImportMode},
    },
    hashseq::HashSeq,
    store::{
        GcConfig, ProtectCb, ProtectOutcome,
        fs::{FsStore, options::Options},
    },
    util::RecvStream,
};
use tokio::runtime::Runtime;

use flatbao_bench::content::Many;

use crate::digest::{self, Blobs};

/// How many small imports are under way at once: one after the other they would wait for each other's transactions.
const AT_ONCE: usize = 64;

/// A store, open.
pub(crate) struct Iroh {
    // Fields drop in this order: what uses the runtime goes before the runtime.
    store: FsStore,
    runtime: Runtime,
}

impl Iroh {
    pub(crate) fn load(dir: &Path) -> Result<Self> {
        Self::start(async { FsStore::load(dir).await.map_err(told) })
    }

    /// The store does its work on threads of its own: this one only waits for it.
    fn start(load: impl Future<Output = Result<FsStore>>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let store = runtime.block_on(load)?;
        Ok(Self { store, runtime })
    }

    /// Imports a file, by copy or by reference.
    pub(crate) fn import(&self, path: &Path, is_reference: bool) -> Result<Hash> {
        let options = AddPathOptions {
            path: path.to_owned(),
            format: BlobFormat::Raw,
            mode: match is_reference {
                true => ImportMode::TryReference,
                false => ImportMode::Copy,
            },
        };
        self.runtime.block_on(async {
            let tag = self.store.add_path_with_opts(options).temp_tag().await?;
            self.store.sync_db().await?;
            Ok(tag.hash())
        })
    }

    /// Adds bytes, for good.
    pub(crate) fn add(&self, bytes: &[u8]) -> Result<Hash> {
        let added = self.store.add_slice(bytes).with_named_tag("kept");
        Ok(self.runtime.block_on(added)?.hash)
    }

    /// Imports many blobs, and waits for the transactions that they are in.
    pub(crate) fn import_many(&self, count: u64, mut many: Many) -> Result<Blobs> {
        let imports = stream::iter(0..count).map(|number| {
            let bytes = Bytes::copy_from_slice(many.get(number));
            self.store.add_bytes(bytes).temp_tag()
        });
        self.runtime.block_on(async {
            let tags: Vec<TempTag> = imports.buffer_unordered(AT_ONCE).try_collect().await?;
            self.store.sync_db().await?;
            Ok(tags.iter().map(|tag| tag.hash()).collect::<Listed>().0)
        })
    }

    /// All blobs that it lists.
    pub(crate) fn list(&self) -> Result<Vec<Hash>> {
        Ok(self.runtime.block_on(self.store.list().hashes())?)
    }

    /// Reads chunks of a blob, verified, and hands on each piece with its offset.
    pub(crate) fn read(
        &self,
        hash: Hash,
        chunks: ChunkRanges,
        each: impl FnMut(u64, &[u8]),
    ) -> Result<()> {
        self.runtime.block_on(self.read_async(hash, chunks, each))
    }

    async fn read_async(
        &self,
        hash: Hash,
        chunks: ChunkRanges,
        mut each: impl FnMut(u64, &[u8]),
    ) -> Result<()> {
        let mut items = self.store.export_bao(hash, chunks).stream().boxed_local();
        while let Some(item) = items.next().await {
            match item {
                EncodedItem::Leaf(leaf) => each(leaf.offset, &leaf.data),
                EncodedItem::Error(error) => bail!("{error}"),
                EncodedItem::Size(_) | EncodedItem::Parent(_) | EncodedItem::Done => {}
            }
        }
        Ok(())
    }

    /// Reads parts of a blob at once, each as a task of its own.
    pub(crate) fn read_at_once(
        &self,
        hash: Hash,
        parts: Vec<ChunkRanges>,
    ) -> Result<digest::Bytes> {
        // A thread for each of them, so that nobody waits for another one's pieces.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(parts.len())
            .build()?;
        let tasks = parts.into_iter().map(|chunks| {
            let store = self.store.clone();
            runtime.spawn(async move {
                let mut seen = digest::Bytes::default();
                let mut items = store.export_bao(hash, chunks).stream().boxed();
                while let Some(item) = items.next().await {
                    match item {
                        EncodedItem::Leaf(leaf) => seen.feed(leaf.offset, &leaf.data),
                        EncodedItem::Error(error) => bail!("{error}"),
                        EncodedItem::Size(_) | EncodedItem::Parent(_) | EncodedItem::Done => {}
                    }
                }
                Ok(seen)
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let mut seen = digest::Bytes::default();
        for task in tasks {
            seen = seen.with(runtime.block_on(task)??);
        }
        Ok(seen)
    }

    pub(crate) fn export(&self, hash: Hash, target: &Path) -> Result<u64> {
        let export = self.store.export(hash, target);
        Ok(self.runtime.block_on(export.finish())?)
    }

    /// Writes the stream of a whole blob.
    pub(crate) fn send(&self, hash: Hash, mut each: impl FnMut(&[u8])) -> Result<()> {
        let export = self.store.export_bao(hash, ChunkRanges::all());
        self.runtime.block_on(async {
            let mut stream = export.into_byte_stream().boxed_local();
            while let Some(bytes) = stream.next().await {
                each(&bytes?);
            }
            Ok(())
        })
    }

    /// Receives the stream of a whole blob.
    pub(crate) fn receive(&self, hash: Hash, stream: impl Read + Send) -> Result<()> {
        let stream = Blocking(stream);
        let import = self
            .store
            .import_bao_reader(hash, ChunkRanges::all(), stream);
        self.runtime.block_on(async {
            import.await?;
            self.store.sync_db().await?;
            Ok(())
        })
    }

    /// Puts so many tags on one blob.
    pub(crate) fn write_tags(&self, count: u64, hash: Hash) -> Result<()> {
        let changes = stream::iter(0..count).map(|number| {
            let name = format!("tag-{number:08}");
            self.store.tags().set(name, HashAndFormat::raw(hash))
        });
        self.runtime.block_on(async {
            let done: Vec<()> = changes.buffer_unordered(AT_ONCE).try_collect().await?;
            ensure!(done.len() as u64 == count, "some tags are missing");
            self.store.sync_db().await?;
            Ok(())
        })
    }

    /// Changes tags, `each` of them in a row and `rows` of these at once. Each change is waited for, and with
    /// `is_durable` the transaction that it is in, too.
    pub(crate) fn change_tags(
        &self,
        hash: Hash,
        rows: u64,
        each: u64,
        is_durable: bool,
    ) -> Result<()> {
        let row = |row| async move {
            for number in 0..each {
                let name = format!("change-{row}-{number}");
                let value = HashAndFormat::raw(hash);
                self.store.tags().set(name, value).await?;
                if is_durable {
                    self.store.sync_db().await?;
                }
            }
            anyhow::Ok(())
        };
        self.runtime
            .block_on(futures::future::try_join_all((0..rows).map(row)))?;
        Ok(())
    }

    pub(crate) fn count_tags(&self) -> Result<usize> {
        self.runtime.block_on(async {
            let tags = self.store.tags().list().await?;
            Ok(tags.count().await)
        })
    }

    /// Keeps these blobs, and nothing else, by a tag on the sequence of them.
    pub(crate) fn keep(&self, hashes: impl IntoIterator<Item = Hash>) -> Result<()> {
        let sequence: HashSeq = hashes.into_iter().collect();
        let options = (Bytes::from(sequence), BlobFormat::HashSeq);
        self.runtime.block_on(async {
            let add = self.store.blobs().add_bytes_with_opts(options);
            add.with_named_tag("keep").await?;
            self.store.sync_db().await?;
            Ok(())
        })
    }

    /// Ends in order: what is in memory reaches the database.
    pub(crate) fn close(self) -> Result<()> {
        Ok(self.runtime.block_on(self.store.shutdown())?)
    }
}

/// Opens a store with its garbage collection on, waits for the end of one, and returns the store and how long that
/// took. One cannot be asked for: it runs at intervals, and says when it is about to begin.
pub(crate) fn collect(dir: &Path) -> Result<(Iroh, Duration)> {
    const INTERVAL: Duration = Duration::from_secs(1);
    let (begins, begun) = mpsc::channel();
    let announce: ProtectCb = Arc::new(move |_| {
        // Nobody listens any more when the time was taken.
        let _ = begins.send(Instant::now());
        Box::pin(future::ready(ProtectOutcome::Continue))
    });
    let mut options = Options::new(dir);
    options.gc = Some(GcConfig {
        interval: INTERVAL,
        add_protected: Some(announce),
    });
    let database = dir.join("blobs.db");
    let iroh = Iroh::start(async {
        FsStore::load_with_opts(database, options)
            .await
            .map_err(told)
    })?;
    let first = begun.recv().context("no collection began")?;
    let second = begun.recv().context("the collection failed")?;
    let taken = (second - first).saturating_sub(INTERVAL);
    Ok((iroh, taken))
}

/// A whole group of a blob.
pub(crate) fn group(offset: u64) -> ChunkRanges {
    chunks(offset, offset + crate::scale::PIECE)
}

/// The chunks of some bytes, which begin and end with chunks.
pub(crate) fn chunks(from: u64, to: u64) -> ChunkRanges {
    ChunkRanges::from(ChunkNum(from / 1024)..ChunkNum(to / 1024))
}

struct Listed(Blobs);

impl FromIterator<Hash> for Listed {
    fn from_iter<I: IntoIterator<Item = Hash>>(hashes: I) -> Self {
        let mut blobs = Blobs::default();
        for hash in hashes {
            blobs.add(hash.as_bytes());
        }
        Self(blobs)
    }
}

/// A file as the stream of a connection: reading it blocks, but nobody waits meanwhile.
struct Blocking<R>(R);

impl<R: Read + Send> RecvStream for Blocking<R> {
    async fn recv_bytes(&mut self, len: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; len];
        let read = self.0.read(&mut bytes)?;
        bytes.truncate(read);
        Ok(bytes.into())
    }

    async fn recv_bytes_exact(&mut self, len: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }

    async fn recv_exact(&mut self, target: &mut [u8]) -> io::Result<()> {
        self.0.read_exact(target)
    }

    fn stop(&mut self, _code: VarInt) -> io::Result<()> {
        Ok(())
    }

    fn id(&self) -> u64 {
        0
    }
}

/// Its errors are of a crate of its own.
fn told(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}
