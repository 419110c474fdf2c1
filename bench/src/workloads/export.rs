//! A large blob out of a store, into a file.

use std::path::Path;

use anyhow::Result;
use flatbao_core::Durability;

use super::{Contestant, Workload};
use crate::{
    job::{Job, hash_file},
    meter::{Check, Meter, sync_file_system},
    peers::{cacache, flat::Flat, flatbao, floor::cp, iroh::Iroh},
    prep::Prep,
    scale::length,
};

pub(super) const DURABLE: Workload = Workload {
    name: "export",
    title: |scale| format!("export of {}, durable", length(scale.blob)),
    contestants: &[
        Contestant::new("cp + syncfs", |job, meter| cp_blob(job, meter, true)).needs(&[Prep::Blob]),
        Contestant::new("flatbao 1t", |job, meter| {
            flatbao(job, meter, Durability::Durable)
        })
        .threads(1)
        .needs(&[Prep::Blob, Prep::FlatbaoBlob]),
        Contestant::new("flatbao 2t", |job, meter| {
            flatbao(job, meter, Durability::Durable)
        })
        .threads(2)
        .needs(&[Prep::Blob, Prep::FlatbaoBlob]),
    ],
    is_littering: false,
    entries: None,
};

pub(super) const UNSYNCED: Workload = Workload {
    name: "export-unsynced",
    title: |scale| format!("export of {}, nothing synced", length(scale.blob)),
    contestants: &[
        Contestant::new("cp", |job, meter| cp_blob(job, meter, false)).needs(&[Prep::Blob]),
        Contestant::new("flat, unverified", flat).needs(&[Prep::Blob, Prep::FlatBlob]),
        Contestant::new("iroh-blobs, unverified", iroh).needs(&[Prep::Blob, Prep::IrohBlob]),
        Contestant::new("cacache", cacache_copy).needs(&[Prep::Blob]),
        Contestant::new("flatbao 1t", |job, meter| {
            flatbao(job, meter, Durability::Atomic)
        })
        .threads(1)
        .needs(&[Prep::Blob, Prep::FlatbaoBlob]),
        Contestant::new("flatbao 2t", |job, meter| {
            flatbao(job, meter, Durability::Atomic)
        })
        .threads(2)
        .needs(&[Prep::Blob, Prep::FlatbaoBlob]),
    ],
    is_littering: false,
    entries: None,
};

fn checked(target: &Path) -> Result<Check> {
    Ok(Check::new(hash_file(target)?))
}

fn cp_blob(job: &Job, meter: &mut Meter, is_synced: bool) -> Result<Check> {
    job.warm(Prep::Blob)?;
    let target = job.dir.join("exported");
    meter.section(|| {
        cp(&job.blob(), &target)?;
        match is_synced {
            true => sync_file_system(&job.dir),
            false => Ok(()),
        }
    })?;
    checked(&target)
}

fn flat(job: &Job, meter: &mut Meter) -> Result<Check> {
    job.warm(Prep::FlatBlob)?;
    let hash = iroh_bytes::Hash::from(job.blob_hash()?.as_bytes().to_owned());
    let store = Flat::load(&job.prepared(Prep::FlatBlob))?;
    let target = job.dir.join("exported");
    meter.section(|| store.export(hash, &target))?;
    checked(&target)
}

fn iroh(job: &Job, meter: &mut Meter) -> Result<Check> {
    job.warm(Prep::IrohBlob)?;
    let hash = iroh_blobs::Hash::from(job.blob_hash()?.as_bytes().to_owned());
    let iroh = Iroh::load(&job.prepared(Prep::IrohBlob))?;
    let target = job.dir.join("exported");
    meter.section(|| iroh.export(hash, &target))?;
    iroh.close()?;
    checked(&target)
}

/// It verifies.
fn cacache_copy(job: &Job, meter: &mut Meter) -> Result<Check> {
    let cache = job.dir.join("cache");
    cacache::import(&cache, &job.blob())?;
    let target = job.dir.join("exported");
    meter.section(|| cacache::export(&cache, &target))?;
    checked(&target)
}

fn flatbao(job: &Job, meter: &mut Meter, durability: Durability) -> Result<Check> {
    job.warm(Prep::FlatbaoBlob)?;
    let hash = job.blob_hash()?.into();
    let place = job.prepared(Prep::FlatbaoBlob);
    let store = flatbao::create_beside(&place, &job.dir, durability)?;
    let target = job.dir.join("exported");
    let path = flatbao::external(&target)?;
    meter.section(|| Ok(store.export(hash, &path)?))?;
    checked(&target)
}
