//! Opening a store and listing what is in it.

use anyhow::Result;

use super::{Contestant, Workload};
use crate::{
    job::Job,
    meter::{Check, Meter},
    peers::{cacache, flat::Flat, flatbao, floor::count_names, iroh::Iroh},
    prep::Prep,
    scale::number,
};

pub(super) const MANY: Workload = Workload {
    name: "open",
    title: |scale| format!("open and list {}", number(scale.entries)),
    contestants: &[
        Contestant::new("readdir", |job, meter| {
            readdir(job, meter, Prep::FlatbaoEntries)
        })
        .needs(&[Prep::FlatbaoEntries]),
        Contestant::new("flat", flat).needs(&[Prep::FlatEntries]),
        Contestant::new("iroh-blobs", iroh).needs(&[Prep::IrohEntries]),
        Contestant::new("cacache", cacache).needs(&[Prep::CacacheEntries]),
        Contestant::new("flatbao", |job, meter| {
            flatbao(job, meter, Prep::FlatbaoEntries)
        })
        .needs(&[Prep::FlatbaoEntries]),
    ],
    is_littering: false,
    entries: Some(|scale| scale.entries),
};

pub(super) const VERY_MANY: Workload = Workload {
    name: "open-many",
    title: |scale| format!("open and list {}", number(scale.many_entries)),
    contestants: &[
        Contestant::new("readdir", |job, meter| {
            readdir(job, meter, Prep::FlatbaoManyEntries)
        })
        .needs(&[Prep::FlatbaoManyEntries]),
        Contestant::new("flatbao", |job, meter| {
            flatbao(job, meter, Prep::FlatbaoManyEntries)
        })
        .needs(&[Prep::FlatbaoManyEntries]),
    ],
    is_littering: false,
    entries: Some(|scale| scale.many_entries),
};

fn readdir(job: &Job, meter: &mut Meter, prep: Prep) -> Result<Check> {
    let dir = job.prepared(prep);
    let count = meter.section(|| count_names(&dir))?;
    Ok(Check::new(count))
}

fn flat(job: &Job, meter: &mut Meter) -> Result<Check> {
    let dir = job.prepared(Prep::FlatEntries);
    let (count, _store) = meter.section(|| {
        let store = Flat::load(&dir)?;
        Ok((store.count(), store))
    })?;
    Ok(Check::new(count))
}

fn iroh(job: &Job, meter: &mut Meter) -> Result<Check> {
    let dir = job.prepared(Prep::IrohEntries);
    let (count, iroh) = meter.section(|| {
        let iroh = Iroh::load(&dir)?;
        Ok((iroh.list()?.len(), iroh))
    })?;
    iroh.close()?;
    Ok(Check::new(count))
}

fn cacache(job: &Job, meter: &mut Meter) -> Result<Check> {
    let dir = job.prepared(Prep::CacacheEntries);
    let count = meter.section(|| cacache::count(&dir))?;
    Ok(Check::new(count))
}

fn flatbao(job: &Job, meter: &mut Meter, prep: Prep) -> Result<Check> {
    let dir = job.prepared(prep);
    let (count, _store) = meter.section(|| {
        let store = flatbao::open(&dir)?;
        Ok((store.blobs().count(), store))
    })?;
    Ok(Check::new(count))
}
