//! Reading a large blob, proved: from end to end, here and there, and with two threads.

use std::{ops::Range, thread};

use ::bao_tree::ChunkRanges;
use anyhow::{Context as _, Result};
use flatbao_bench::content::mix;

use super::{Contestant, Workload};
use crate::{
    digest::{Buffer, Bytes},
    job::Job,
    meter::{Check, Meter},
    peers::{
        bao_tree::Proved,
        flat::Flat,
        flatbao,
        floor::{read_and_hash, read_and_hash_part, read_pieces},
        groups::read_groups_and_blocks,
        iroh::{self, Iroh},
    },
    prep::Prep,
    scale::{BUFFER, PIECE, length, number},
};

const FLOOR: &[Prep] = &[Prep::Blob];
const BAO_TREE: &[Prep] = &[Prep::Blob, Prep::Outboard];
const FLAT: &[Prep] = &[Prep::Blob, Prep::FlatBlob];
const IROH: &[Prep] = &[Prep::Blob, Prep::IrohBlob];
const FLATBAO: &[Prep] = &[Prep::Blob, Prep::FlatbaoBlob];

pub(super) const SEQUENTIAL: Workload = Workload {
    name: "read",
    title: |scale| format!("verified sequential read of {}", length(scale.blob)),
    contestants: &[
        Contestant::new("read + hash", |job, meter| read_hash(job, meter, false)).needs(FLOOR),
        Contestant::new("read + hash 2t", |job, meter| read_hash(job, meter, true))
            .threads(2)
            .needs(FLOOR),
        Contestant::new("bao-tree", bao_tree).needs(BAO_TREE),
        Contestant::new("flat", flat).needs(FLAT),
        Contestant::new("iroh-blobs", iroh).needs(IROH),
        Contestant::new("flatbao 1t", flatbao)
            .threads(1)
            .needs(FLATBAO),
        Contestant::new("flatbao 2t", flatbao)
            .threads(2)
            .needs(FLATBAO),
    ],
    is_littering: false,
    entries: None,
};

pub(super) const RANDOM: Workload = Workload {
    name: "random",
    title: |scale| format!("{} random verified reads of 16 KiB", number(scale.reads)),
    contestants: &[
        Contestant::new("pread, unverified", |job, meter| {
            random_pread(job, meter, false)
        })
        .needs(FLOOR),
        Contestant::new("pread + hash", |job, meter| random_pread(job, meter, true)).needs(FLOOR),
        Contestant::new("pread + hash, outboard in blocks", random_blocks).needs(BAO_TREE),
        Contestant::new("bao-tree, outboard in a file", |job, meter| {
            random_bao_tree(job, meter, false)
        })
        .needs(BAO_TREE),
        Contestant::new("bao-tree, outboard in memory", |job, meter| {
            random_bao_tree(job, meter, true)
        })
        .needs(BAO_TREE),
        Contestant::new("flat", random_flat).needs(FLAT),
        Contestant::new("iroh-blobs", random_iroh).needs(IROH),
        Contestant::new("flatbao", random_flatbao)
            .threads(1)
            .needs(FLATBAO),
    ],
    is_littering: false,
    entries: None,
};

pub(super) const CONCURRENT: Workload = Workload {
    name: "concurrent",
    title: |scale| {
        format!(
            "verified read of {} by two threads, half each",
            length(scale.blob)
        )
    },
    contestants: &[
        Contestant::new("read + hash", halves_floor)
            .threads(1)
            .needs(FLOOR),
        Contestant::new("bao-tree", halves_bao_tree).needs(BAO_TREE),
        Contestant::new("iroh-blobs", halves_iroh).needs(IROH),
        Contestant::new("flatbao", halves_flatbao)
            .threads(1)
            .needs(FLATBAO),
        Contestant::new("flatbao, one thread reads both", both_flatbao)
            .threads(1)
            .needs(FLATBAO),
    ],
    is_littering: false,
    entries: None,
};

fn read_hash(job: &Job, meter: &mut Meter, is_parallel: bool) -> Result<Check> {
    job.warm(Prep::Blob)?;
    let (_, seen) = meter.section(|| read_and_hash(&job.blob(), is_parallel))?;
    Ok(Check::new(seen))
}

fn proved(job: &Job, is_in_memory: bool) -> Result<Proved> {
    job.warm(Prep::Blob)?;
    job.warm(Prep::Outboard)?;
    let pairs = job.prepared(Prep::Outboard).join("pairs");
    Proved::open(&job.blob(), &pairs, job.blob_hash()?, is_in_memory)
}

fn bao_tree(job: &Job, meter: &mut Meter) -> Result<Check> {
    let proved = proved(job, false)?;
    let seen = meter.section(|| proved.read(&ChunkRanges::all(), 0))?;
    Ok(Check::new(seen))
}

fn flat(job: &Job, meter: &mut Meter) -> Result<Check> {
    job.warm(Prep::FlatBlob)?;
    let hash = iroh_bytes::Hash::from(job.blob_hash()?.as_bytes().to_owned());
    let store = Flat::load(&job.prepared(Prep::FlatBlob))?;
    let seen = meter.section(|| store.read(hash, 0, job.scale.blob))?;
    Ok(Check::new(seen))
}

fn open_iroh(job: &Job) -> Result<(Iroh, iroh_blobs::Hash)> {
    job.warm(Prep::IrohBlob)?;
    let hash = iroh_blobs::Hash::from(job.blob_hash()?.as_bytes().to_owned());
    Ok((Iroh::load(&job.prepared(Prep::IrohBlob))?, hash))
}

fn iroh(job: &Job, meter: &mut Meter) -> Result<Check> {
    let (iroh, hash) = open_iroh(job)?;
    let mut seen = Bytes::default();
    meter.section(|| iroh.read(hash, ChunkRanges::all(), |at, bytes| seen.feed(at, bytes)))?;
    iroh.close()?;
    Ok(Check::new(seen))
}

fn open_flatbao(job: &Job) -> Result<flatbao_core::Store<flatbao_fs::FsBackend>> {
    job.warm(Prep::FlatbaoBlob)?;
    flatbao::open(&job.prepared(Prep::FlatbaoBlob))
}

fn flatbao(job: &Job, meter: &mut Meter) -> Result<Check> {
    let store = open_flatbao(job)?;
    let hash = job.blob_hash()?.into();
    let mut buffer = Buffer::new(BUFFER);
    let seen =
        meter.section(|| flatbao::read_through(&store, hash, 0..job.scale.blob, buffer.get()))?;
    Ok(Check::new(seen))
}

/// Where is read: the same in every run.
fn offsets(job: &Job) -> Vec<u64> {
    let groups = job.scale.blob / PIECE;
    (0..job.scale.reads)
        .map(|number| mix(number) % groups * PIECE)
        .collect()
}

fn random_pread(job: &Job, meter: &mut Meter, is_hashed: bool) -> Result<Check> {
    job.warm(Prep::Blob)?;
    let offsets = offsets(job);
    let seen = meter.section(|| read_pieces(&job.blob(), &offsets, is_hashed))?;
    Ok(Check::new(seen))
}

fn random_blocks(job: &Job, meter: &mut Meter) -> Result<Check> {
    job.warm(Prep::Blob)?;
    job.warm(Prep::Outboard)?;
    let pairs = job.prepared(Prep::Outboard).join("pairs");
    let offsets = offsets(job);
    let seen = meter.section(|| read_groups_and_blocks(&job.blob(), &pairs, &offsets))?;
    Ok(Check::new(seen))
}

fn random_bao_tree(job: &Job, meter: &mut Meter, is_in_memory: bool) -> Result<Check> {
    let proved = proved(job, is_in_memory)?;
    let mut seen = Bytes::default();
    meter.section(|| {
        for offset in offsets(job) {
            seen = seen.with(proved.read(&iroh::group(offset), offset)?);
        }
        Ok(())
    })?;
    Ok(Check::new(seen))
}

fn random_flat(job: &Job, meter: &mut Meter) -> Result<Check> {
    job.warm(Prep::FlatBlob)?;
    let hash = iroh_bytes::Hash::from(job.blob_hash()?.as_bytes().to_owned());
    let store = Flat::load(&job.prepared(Prep::FlatBlob))?;
    let mut seen = Bytes::default();
    meter.section(|| {
        for offset in offsets(job) {
            seen = seen.with(store.read(hash, offset, offset + PIECE)?);
        }
        Ok(())
    })?;
    Ok(Check::new(seen))
}

fn random_iroh(job: &Job, meter: &mut Meter) -> Result<Check> {
    let (iroh, hash) = open_iroh(job)?;
    let mut seen = Bytes::default();
    meter.section(|| {
        for offset in offsets(job) {
            iroh.read(hash, iroh::group(offset), |at, bytes| seen.feed(at, bytes))?;
        }
        Ok(())
    })?;
    iroh.close()?;
    Ok(Check::new(seen))
}

fn random_flatbao(job: &Job, meter: &mut Meter) -> Result<Check> {
    let store = open_flatbao(job)?;
    let hash = job.blob_hash()?.into();
    let mut piece = Buffer::new(usize::try_from(PIECE)?);
    let piece = piece.get();
    let mut seen = Bytes::default();
    meter.section(|| {
        let reader = store.reader(hash)?;
        for offset in offsets(job) {
            let read = reader.read_verified(piece, offset)?;
            seen.feed(offset, &piece[..read]);
        }
        Ok(())
    })?;
    Ok(Check::new(seen))
}

fn halves(job: &Job) -> [Range<u64>; 2] {
    let middle = job.scale.blob / 2;
    [0..middle, middle..job.scale.blob]
}

/// Reads both halves at once.
fn at_once(job: &Job, read: impl Fn(Range<u64>) -> Result<Bytes> + Sync) -> Result<Bytes> {
    let [first, second] = halves(job);
    thread::scope(|scope| {
        let other = scope.spawn(|| read(second));
        let seen = read(first)?;
        let other = other.join().ok().context("a thread panicked")??;
        Ok(seen.with(other))
    })
}

fn halves_floor(job: &Job, meter: &mut Meter) -> Result<Check> {
    job.warm(Prep::Blob)?;
    let seen = meter.section(|| at_once(job, |part| read_and_hash_part(&job.blob(), part)))?;
    Ok(Check::new(seen))
}

fn halves_bao_tree(job: &Job, meter: &mut Meter) -> Result<Check> {
    let proved = proved(job, false)?;
    let seen = meter.section(|| {
        at_once(job, |part| {
            proved.read(&iroh::chunks(part.start, part.end), part.start)
        })
    })?;
    Ok(Check::new(seen))
}

fn halves_iroh(job: &Job, meter: &mut Meter) -> Result<Check> {
    let (iroh, hash) = open_iroh(job)?;
    let parts = halves(job).map(|part| iroh::chunks(part.start, part.end));
    let seen = meter.section(|| iroh.read_at_once(hash, parts.to_vec()))?;
    iroh.close()?;
    Ok(Check::new(seen))
}

fn halves_flatbao(job: &Job, meter: &mut Meter) -> Result<Check> {
    let store = open_flatbao(job)?;
    let hash = job.blob_hash()?.into();
    let seen = meter.section(|| {
        at_once(job, |part| {
            flatbao::read_through(&store, hash, part, Buffer::new(BUFFER).get())
        })
    })?;
    Ok(Check::new(seen))
}

fn both_flatbao(job: &Job, meter: &mut Meter) -> Result<Check> {
    let store = open_flatbao(job)?;
    let hash = job.blob_hash()?.into();
    let mut buffer = Buffer::new(BUFFER);
    let seen = meter.section(|| {
        let [first, second] = halves(job);
        let seen = flatbao::read_through(&store, hash, first, buffer.get())?;
        Ok(seen.with(flatbao::read_through(&store, hash, second, buffer.get())?))
    })?;
    Ok(Check::new(seen))
}
