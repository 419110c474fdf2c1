//! Collecting half of the blobs of a store.

use std::collections::HashSet;

use anyhow::{Result, ensure};

use super::{Contestant, Workload};
use crate::{
    job::Job,
    meter::{Check, Meter},
    peers::{
        flat::{self, Flat},
        flatbao,
        floor::{count_names, unlink_others},
        iroh::collect,
    },
    prep::garbage,
    scale::number,
};

pub(super) const HALF: Workload = Workload {
    name: "gc",
    title: |scale| format!("gc of half of {}", number(scale.entries)),
    contestants: &[
        Contestant::new("parallel unlink", floor).each_time(garbage::flatbao),
        Contestant::new("flat", flat).each_time(garbage::flat),
        Contestant::new("iroh-blobs, rows and no files", iroh).each_time(garbage::iroh),
        Contestant::new("flatbao", flatbao).each_time(garbage::flatbao),
    ],
    is_littering: true,
    entries: None,
};

/// Marking is part of the work for all others; here it was done before.
fn floor(job: &Job, meter: &mut Meter) -> Result<Check> {
    let store = flatbao::open(&job.dir)?;
    let mut kept: HashSet<String> = garbage::kept(job.scale)?
        .into_iter()
        .map(|hash| hash.to_string())
        .collect();
    // The sequence itself.
    kept.extend(store.tags()?.values().map(|value| value.hash.to_string()));
    drop(store);
    meter.section(|| unlink_others(&job.dir, &kept))?;
    Ok(Check::new(count_names(&job.dir)?))
}

fn flat(job: &Job, meter: &mut Meter) -> Result<Check> {
    let store = Flat::load(&job.dir)?;
    meter.section(|| store.collect())?;
    let count = count_names(&job.dir.join(flat::COMPLETE))?;
    ensure!(count == store.count(), "it lists other blobs than it has");
    Ok(Check::new(count))
}

fn iroh(job: &Job, meter: &mut Meter) -> Result<Check> {
    let (iroh, taken) = meter.section(|| collect(&job.dir))?;
    meter.correct(taken);
    let count = iroh.list()?.len();
    iroh.close()?;
    Ok(Check::new(count))
}

fn flatbao(job: &Job, meter: &mut Meter) -> Result<Check> {
    let store = flatbao::open(&job.dir)?;
    let swept = meter.section(|| {
        let plan = store.plan_gc()?;
        Ok(store.sweep(plan)?)
    })?;
    ensure!(swept.spared.is_empty(), "{:?}", swept.spared);
    let count = count_names(&job.dir)?;
    ensure!(
        count == store.blobs().count() as u64,
        "it lists other blobs"
    );
    Ok(Check::new(count))
}
