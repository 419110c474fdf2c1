//! The stream of a large blob: sent, and received.

use std::{
    fs::File,
    io::{self, BufReader, Read as _, Write},
};

use ::bao_tree::ChunkRanges;
use anyhow::Result;
use flatbao_core::Durability;

use super::{Contestant, Workload};
use crate::{
    digest::Bytes,
    job::{Job, hash_file},
    meter::{Check, Meter},
    peers::{
        bao_tree::{self, Proved},
        flatbao, groups,
        iroh::Iroh,
    },
    prep::Prep,
    scale::length,
};

pub(super) const SEND: Workload = Workload {
    name: "send",
    title: |scale| format!("sending {} as a stream, verified", length(scale.blob)),
    contestants: &[
        Contestant::new("bao-tree", send_bao_tree).needs(&[Prep::Blob, Prep::Outboard]),
        Contestant::new("iroh-blobs", send_iroh).needs(&[Prep::Blob, Prep::IrohBlob]),
        Contestant::new("flatbao 1t", send_flatbao)
            .threads(1)
            .needs(&[Prep::Blob, Prep::FlatbaoBlob]),
        Contestant::new("flatbao 2t", send_flatbao)
            .threads(2)
            .needs(&[Prep::Blob, Prep::FlatbaoBlob]),
    ],
    is_littering: false,
    entries: None,
};

const RECEIVED: &[Prep] = &[Prep::Blob, Prep::FlatbaoBlob, Prep::Stream];

pub(super) const RECEIVE: Workload = Workload {
    name: "receive",
    title: |scale| format!("receiving {} as a stream", length(scale.blob)),
    contestants: &[
        Contestant::new("taken apart, unverified", |job, meter| {
            take_apart(job, meter, false)
        })
        .needs(RECEIVED),
        Contestant::new("taken apart, unverified + syncfs", |job, meter| {
            take_apart(job, meter, true)
        })
        .needs(RECEIVED),
        Contestant::new("bao-tree, nothing synced", receive_bao_tree).needs(RECEIVED),
        Contestant::new("iroh-blobs, data not synced", receive_iroh).needs(RECEIVED),
        Contestant::new("flatbao 1t, nothing synced", |job, meter| {
            receive_flatbao(job, meter, Durability::Atomic)
        })
        .threads(1)
        .needs(RECEIVED),
        Contestant::new("flatbao 2t, nothing synced", |job, meter| {
            receive_flatbao(job, meter, Durability::Atomic)
        })
        .threads(2)
        .needs(RECEIVED),
        Contestant::new("flatbao 1t, durable", |job, meter| {
            receive_flatbao(job, meter, Durability::Durable)
        })
        .threads(1)
        .needs(RECEIVED),
        Contestant::new("flatbao 2t, durable", |job, meter| {
            receive_flatbao(job, meter, Durability::Durable)
        })
        .threads(2)
        .needs(RECEIVED),
    ],
    is_littering: false,
    entries: None,
};

/// Takes note of a stream and throws it away.
#[derive(Default)]
struct Sink(Bytes);

impl Write for Sink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.append(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn send_bao_tree(job: &Job, meter: &mut Meter) -> Result<Check> {
    job.warm(Prep::Blob)?;
    job.warm(Prep::Outboard)?;
    let pairs = job.prepared(Prep::Outboard).join("pairs");
    let proved = Proved::open(&job.blob(), &pairs, job.blob_hash()?, false)?;
    let mut sink = Sink::default();
    meter.section(|| {
        sink.write_all(&job.scale.blob.to_le_bytes())?;
        proved.encode(&ChunkRanges::all(), &mut sink)
    })?;
    Ok(Check::new(sink.0))
}

fn send_iroh(job: &Job, meter: &mut Meter) -> Result<Check> {
    job.warm(Prep::IrohBlob)?;
    let hash = iroh_blobs::Hash::from(job.blob_hash()?.as_bytes().to_owned());
    let iroh = Iroh::load(&job.prepared(Prep::IrohBlob))?;
    let mut seen = Bytes::default();
    meter.section(|| iroh.send(hash, |bytes| seen.append(bytes)))?;
    iroh.close()?;
    Ok(Check::new(seen))
}

fn send_flatbao(job: &Job, meter: &mut Meter) -> Result<Check> {
    job.warm(Prep::FlatbaoBlob)?;
    let hash = job.blob_hash()?.into();
    let store = flatbao::open(&job.prepared(Prep::FlatbaoBlob))?;
    let mut sink = Sink::default();
    meter.section(|| flatbao::send(&store, hash, &mut sink))?;
    Ok(Check::new(sink.0))
}

/// The stream, in pieces as large as those of a connection.
fn stream(job: &Job) -> Result<BufReader<File>> {
    job.warm(Prep::Stream)?;
    let file = File::open(job.prepared(Prep::Stream).join("stream"))?;
    Ok(BufReader::with_capacity(64 << 10, file))
}

fn take_apart(job: &Job, meter: &mut Meter, is_synced: bool) -> Result<Check> {
    let stream = stream(job)?;
    let (data, pairs) = (job.dir.join("data"), job.dir.join("pairs"));
    meter.section(|| groups::take_apart(stream, &data, &pairs, is_synced))?;
    Ok(Check::new(hash_file(&data)?).with(hash_file(&pairs)?))
}

fn receive_bao_tree(job: &Job, meter: &mut Meter) -> Result<Check> {
    let stream = stream(job)?;
    let root = job.blob_hash()?;
    let (data, pairs) = (job.dir.join("data"), job.dir.join("pairs"));
    meter.section(|| bao_tree::receive(root, stream, &data, &pairs))?;
    Ok(Check::new(hash_file(&data)?).with(hash_file(&pairs)?))
}

fn receive_iroh(job: &Job, meter: &mut Meter) -> Result<Check> {
    let stream = stream(job)?;
    let hash = iroh_blobs::Hash::from(job.blob_hash()?.as_bytes().to_owned());
    let iroh = Iroh::load(&job.dir)?;
    meter.section(|| iroh.receive(hash, stream))?;
    iroh.close()?;
    let data = job.dir.join("data");
    let bytes = hash_file(&data.join(format!("{}.data", hash.to_hex())))?;
    let pairs = hash_file(&data.join(format!("{}.obao4", hash.to_hex())))?;
    Ok(Check::new(bytes).with(pairs))
}

fn receive_flatbao(job: &Job, meter: &mut Meter, durability: Durability) -> Result<Check> {
    let stream = stream(job)?;
    let hash = job.blob_hash()?.into();
    let store = flatbao::create(&job.dir, durability)?;
    let all = flatbao_core::ChunkRanges::all();
    let received = meter.section(|| Ok(store.receive(hash, &all, stream)?))?;
    anyhow::ensure!(received.is_complete, "not all of it came");
    let bytes = hash_file(&job.dir.join(format!("{hash}.data")))?;
    // The size is in front of the pairs, and the other ones have none.
    let mut outboard = File::open(job.dir.join(format!("{hash}.obao4")))?;
    outboard.read_exact(&mut [0; 8])?;
    let mut hasher = blake3::Hasher::new();
    let pairs = hasher.update_reader(outboard)?.finalize();
    Ok(Check::new(bytes).with(pairs))
}
