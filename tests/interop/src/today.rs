//! Today's peer: the in-memory store of `iroh-blobs`, driven synchronously.
//!
//! Ranges are boundaries of chunks of 1024 bytes, strictly ascending, each of them switching between
//! outside and inside: `[]` is nothing, `[0]` everything, `[2, 5]` chunks 2 to 4, `[2, 5, 9]` those
//! and all from 9 on. [`chunk_ranges`] makes the type of `bao-tree` out of them.
//!
//! A stream is what iroh's wire carries for one blob: the size as 8 bytes, little-endian, then the
//! bao encoding of the ranges over groups of 16 KiB.
//!
//! As everywhere in this crate, nothing repairs what the peer gets wrong.

use std::{future, io};

use anyhow::{Context, Result, ensure};
use bao_tree::{ChunkNum, ChunkRanges};
use bytes::Bytes;
use iroh::endpoint::VarInt;
use iroh_blobs::{
    Hash,
    api::blobs::BlobStatus,
    format::collection::Collection,
    get,
    protocol::GetRequest,
    provider::{self, events::EventSender},
    store::mem::MemStore,
    util::SendStream,
};
use tokio::runtime::Runtime;

use crate::HashBytes;

/// A store of today's peer, in memory.
///
/// Nothing is ever collected: the store is made without its garbage collection.
#[derive(Debug)]
pub struct Peer {
    // Fields drop in this order: what uses the runtime goes before the runtime.
    store: MemStore,
    runtime: Runtime,
}

impl Peer {
    /// An empty store.
    pub fn new() -> Result<Self> {
        // The store's tasks run whenever a call below waits for them, on the caller's thread.
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let store = runtime.block_on(async { MemStore::new() });
        Ok(Self { store, runtime })
    }

    /// Adds bytes as a complete blob.
    pub fn add(&self, bytes: &[u8]) -> Result<HashBytes> {
        let tag = self
            .runtime
            .block_on(self.store.add_slice(bytes).temp_tag())?;
        Ok(tag.hash().into())
    }

    /// Adds a collection of blobs by name, and returns the hash of its sequence. The blobs need not be
    /// there.
    pub fn add_collection(&self, entries: &[(String, HashBytes)]) -> Result<HashBytes> {
        let entries = entries
            .iter()
            .map(|(name, hash)| (name.clone(), Hash::from(*hash)));
        let collection: Collection = entries.collect();
        let tag = self
            .runtime
            .block_on(collection.store(self.store.as_ref()))?;
        Ok(tag.hash().into())
    }

    /// The stream of some ranges of a blob, from the store's own export.
    ///
    /// An error if a requested chunk is missing, or another chunk of its group, which the hashes
    /// are made of. A blob of which the store knows the hash but no chunk, as a failed import leaves
    /// it behind, is exported as if it were empty: 8 zero bytes.
    pub fn export_bao(&self, hash: &HashBytes, ranges: &[u64]) -> Result<Vec<u8>> {
        let export = self
            .store
            .export_bao(Hash::from(*hash), chunk_ranges(ranges)?);
        let mut stream = Vec::new();
        self.runtime.block_on(export.write(&mut stream))?;
        Ok(stream)
    }

    /// Imports a stream of some ranges of a blob, verified on the way in; they must be the ranges
    /// that it was encoded for.
    ///
    /// What is verified before an error stays in the store. Bytes behind the encoding are an error
    /// too, though the store itself leaves them to its caller and has imported all the rest by then.
    pub fn import_bao(&self, hash: &HashBytes, ranges: &[u64], stream: &[u8]) -> Result<()> {
        let stream = Bytes::copy_from_slice(stream);
        let import = self
            .store
            .import_bao_reader(Hash::from(*hash), chunk_ranges(ranges)?, stream);
        let rest = self.runtime.block_on(import)?;
        ensure!(rest.is_empty(), "{} bytes behind the encoding", rest.len());
        Ok(())
    }

    /// Answers a get request for some ranges of a blob with the provider's own handler, and returns
    /// what that writes to the connection. For no ranges at all it writes nothing, not even a size.
    pub fn provide(&self, hash: &HashBytes, ranges: &[u64]) -> Result<Vec<u8>> {
        let ranges = chunk_ranges(ranges)?;
        self.answer(GetRequest::blob_ranges(Hash::from(*hash), ranges))
    }

    /// Answers a get request for a hash sequence and all blobs that it lists, likewise: their streams
    /// one after the other, that of the sequence first.
    pub fn provide_all(&self, root: &HashBytes) -> Result<Vec<u8>> {
        self.answer(GetRequest::all(*root))
    }

    fn answer(&self, request: GetRequest) -> Result<Vec<u8>> {
        let mut written = Written::default();
        // The handler wants to see that nothing follows the request.
        let pair = provider::StreamPair::new(0, Bytes::new(), &mut written, EventSender::DEFAULT);
        let store = self.store.as_ref().clone();
        self.runtime
            .block_on(provider::handle_get(pair, store, request))?;
        Ok(written.0)
    }

    /// Downloads some ranges of a blob with the getter's own state machine, from a provider that
    /// answers with `stream`. The getter only logs that bytes follow the encoding.
    pub fn fetch(&self, hash: &HashBytes, ranges: &[u64], stream: &[u8]) -> Result<()> {
        let ranges = chunk_ranges(ranges)?;
        self.get(GetRequest::blob_ranges(Hash::from(*hash), ranges), stream)
    }

    /// Downloads a hash sequence and all blobs that it lists, likewise.
    pub fn fetch_all(&self, root: &HashBytes, stream: &[u8]) -> Result<()> {
        self.get(GetRequest::all(*root), stream)
    }

    fn get(&self, request: GetRequest, stream: &[u8]) -> Result<()> {
        let stream = Bytes::copy_from_slice(stream);
        let pair = get::StreamPair::new(0, stream, Written::default());
        let get = self.store.remote().execute_get(pair, request);
        self.runtime.block_on(get.complete())?;
        Ok(())
    }

    /// The bytes of a complete blob, verified against its hash.
    pub fn read(&self, hash: &HashBytes) -> Result<Vec<u8>> {
        ensure!(
            self.is_complete(hash)?,
            "the peer does not have all of {}",
            hex::encode(hash)
        );
        let bytes = self.runtime.block_on(self.store.get_bytes(*hash))?;
        Ok(bytes.to_vec())
    }

    /// Whether every chunk of a blob is present. The empty blob always is.
    pub fn is_complete(&self, hash: &HashBytes) -> Result<bool> {
        Ok(self.runtime.block_on(self.store.has(*hash))?)
    }

    /// The chunks that are present, `[]` for an unknown hash.
    ///
    /// The peer rounds up to what the size implies: a complete blob is `[0]`, and with the last chunk
    /// everything behind it is present too, so that the ranges end open.
    pub fn present(&self, hash: &HashBytes) -> Result<Vec<u64>> {
        let bitfield = self.runtime.block_on(async {
            // To observe a hash that is unknown would make an entry for it.
            match self.store.status(*hash).await? {
                BlobStatus::NotFound => Ok(None),
                _ => anyhow::Ok(Some(self.store.observe(*hash).await?)),
            }
        })?;
        let boundaries = bitfield.iter().flat_map(|b| b.ranges.boundaries());
        Ok(boundaries.map(|chunk| chunk.0).collect())
    }
}

/// The ranges with these boundaries, which must be strictly ascending.
pub fn chunk_ranges(boundaries: &[u64]) -> Result<ChunkRanges> {
    let ranges = ChunkRanges::new(boundaries.iter().map(|&chunk| ChunkNum(chunk)).collect());
    ranges.with_context(|| format!("boundaries out of order: {boundaries:?}"))
}

/// The writing half of a connection that nobody closes.
#[derive(Debug, Default)]
struct Written(Vec<u8>);

impl SendStream for Written {
    async fn send_bytes(&mut self, bytes: Bytes) -> io::Result<()> {
        self.send(&bytes).await
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    async fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset(&mut self, _code: VarInt) -> io::Result<()> {
        Ok(())
    }

    async fn stopped(&mut self) -> io::Result<Option<VarInt>> {
        future::pending().await
    }

    fn id(&self) -> u64 {
        0
    }
}
