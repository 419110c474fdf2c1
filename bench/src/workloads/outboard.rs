//! The outboard of bytes that are in memory.

use std::fs;

use anyhow::Result;
use flatbao_core::outboard_of;

use super::{Contestant, Workload};
use crate::{
    job::Job,
    meter::{Check, Meter},
    peers::{bao_tree, groups},
    prep::Prep,
    scale::length,
};

pub(super) const IN_MEMORY: Workload = Workload {
    name: "outboard",
    title: |scale| format!("outboard of {} in memory", length(scale.blob)),
    contestants: &[
        Contestant::new("update", update)
            .threads(1)
            .needs(&[Prep::Blob]),
        Contestant::new("update_rayon", update_rayon)
            .threads(2)
            .needs(&[Prep::Blob]),
        Contestant::new("groups one by one", |job, meter| groups(job, meter, 1))
            .needs(&[Prep::Blob]),
        Contestant::new("groups one by one, two threads", |job, meter| {
            groups(job, meter, 2)
        })
        .needs(&[Prep::Blob]),
        Contestant::new("bao-tree", bao_tree).needs(&[Prep::Blob]),
        Contestant::new("flatbao 1t", flatbao)
            .threads(1)
            .needs(&[Prep::Blob]),
        Contestant::new("flatbao 2t", flatbao)
            .threads(2)
            .needs(&[Prep::Blob]),
    ],
    is_littering: false,
    entries: None,
};

fn update(job: &Job, meter: &mut Meter) -> Result<Check> {
    let bytes = fs::read(job.blob())?;
    let hash = meter.section(|| Ok(blake3::hash(&bytes)))?;
    Ok(Check::new(hash))
}

fn update_rayon(job: &Job, meter: &mut Meter) -> Result<Check> {
    let bytes = fs::read(job.blob())?;
    let hash = meter.section(|| {
        let mut hasher = blake3::Hasher::new();
        Ok(hasher.update_rayon(&bytes).finalize())
    })?;
    Ok(Check::new(hash))
}

/// What an outboard takes that is made with the public interface of BLAKE3, without the outboard.
fn groups(job: &Job, meter: &mut Meter, threads: usize) -> Result<Check> {
    let bytes = fs::read(job.blob())?;
    let values = meter.section(|| Ok(groups::values(&bytes, threads)))?;
    Ok(Check::new(groups::root(&values)))
}

fn bao_tree(job: &Job, meter: &mut Meter) -> Result<Check> {
    let bytes = fs::read(job.blob())?;
    let outboard = meter.section(|| Ok(bao_tree::of_bytes(&bytes)))?;
    let root = outboard.root;
    let file = outboard.into_inner_with_prefix();
    Ok(Check::new(root).with(blake3::hash(&file)))
}

fn flatbao(job: &Job, meter: &mut Meter) -> Result<Check> {
    let bytes = fs::read(job.blob())?;
    let (hash, file) = meter.section(|| Ok(outboard_of(&bytes)))?;
    Ok(Check::new(hash).with(blake3::hash(&file)))
}
