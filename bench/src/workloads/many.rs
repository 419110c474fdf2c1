//! Many blobs from memory, in one batch.

use anyhow::Result;
use flatbao_bench::content::Many;
use flatbao_core::Durability;

use super::{Contestant, Workload};
use crate::{
    job::Job,
    meter::{Check, Meter, sync_file_system},
    peers::{
        cacache,
        flat::Flat,
        flatbao,
        floor::{create_many, hash_all},
        iroh::Iroh,
    },
    scale::{MEDIUM, SMALL, Scale, length, number},
};

/// How many blobs of how many bytes.
type Blobs = fn(Scale) -> (u64, u64);

const SMALL_ONES: Blobs = |scale| (scale.small, SMALL);
const MEDIUM_ONES: Blobs = |scale| (scale.medium, MEDIUM);

pub(super) const SMALL_BLOBS: Workload = Workload {
    name: "small",
    title: |scale| title(SMALL_ONES(scale)),
    contestants: &[
        Contestant::new("create, write, rename + syncfs", |job, meter| {
            floor(job, meter, SMALL_ONES)
        }),
        Contestant::new("flat + syncfs", |job, meter| flat(job, meter, SMALL_ONES)),
        Contestant::new("iroh-blobs", |job, meter| iroh(job, meter, SMALL_ONES)),
        Contestant::new("cacache + syncfs", |job, meter| {
            cacache(job, meter, SMALL_ONES)
        }),
        Contestant::new("flatbao 1t", |job, meter| flatbao(job, meter, SMALL_ONES)).threads(1),
        Contestant::new("flatbao 2t", |job, meter| flatbao(job, meter, SMALL_ONES)).threads(2),
    ],
    is_littering: true,
    entries: None,
};

pub(super) const MEDIUM_BLOBS: Workload = Workload {
    name: "medium",
    title: |scale| title(MEDIUM_ONES(scale)),
    contestants: &[
        Contestant::new("create, write, rename + syncfs", |job, meter| {
            floor(job, meter, MEDIUM_ONES)
        }),
        Contestant::new("flat + syncfs", |job, meter| flat(job, meter, MEDIUM_ONES)),
        Contestant::new("iroh-blobs, data not synced", |job, meter| {
            iroh(job, meter, MEDIUM_ONES)
        }),
        Contestant::new("cacache + syncfs", |job, meter| {
            cacache(job, meter, MEDIUM_ONES)
        }),
        Contestant::new("flatbao 1t", |job, meter| flatbao(job, meter, MEDIUM_ONES)).threads(1),
        Contestant::new("flatbao 2t", |job, meter| flatbao(job, meter, MEDIUM_ONES)).threads(2),
    ],
    is_littering: true,
    entries: None,
};

fn title((count, len): (u64, u64)) -> String {
    format!("{} × {} in one batch, durable", number(count), length(len))
}

fn floor(job: &Job, meter: &mut Meter, blobs: Blobs) -> Result<Check> {
    let (count, len) = blobs(job.scale);
    let many = Many::new(len)?;
    meter.section(|| {
        create_many(&job.dir, count, many)?;
        sync_file_system(&job.dir)
    })?;
    Ok(Check::new(hash_all(&job.dir)?))
}

fn flat(job: &Job, meter: &mut Meter, blobs: Blobs) -> Result<Check> {
    let (count, len) = blobs(job.scale);
    let store = Flat::load(&job.dir)?;
    let many = Many::new(len)?;
    let found = meter.section(|| {
        let found = store.import_many(count, many)?;
        sync_file_system(&job.dir)?;
        Ok(found)
    })?;
    Ok(Check::new(found))
}

fn iroh(job: &Job, meter: &mut Meter, blobs: Blobs) -> Result<Check> {
    let (count, len) = blobs(job.scale);
    let iroh = Iroh::load(&job.dir)?;
    let many = Many::new(len)?;
    let found = meter.section(|| iroh.import_many(count, many))?;
    iroh.close()?;
    Ok(Check::new(found))
}

fn cacache(job: &Job, meter: &mut Meter, blobs: Blobs) -> Result<Check> {
    let (count, len) = blobs(job.scale);
    let many = Many::new(len)?;
    meter.section(|| {
        cacache::import_many(&job.dir, count, many)?;
        sync_file_system(&job.dir)
    })?;
    Ok(Check::new(cacache::hash_all(&job.dir, count)?))
}

fn flatbao(job: &Job, meter: &mut Meter, blobs: Blobs) -> Result<Check> {
    let (count, len) = blobs(job.scale);
    let store = flatbao::create(&job.dir, Durability::Durable)?;
    let many = Many::new(len)?;
    let found = meter.section(|| flatbao::import_many(&store, count, many))?;
    Ok(Check::new(found))
}
