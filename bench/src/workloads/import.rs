//! One large file into a store: by copy, and by reference.

use std::{fs, path::Path};

use anyhow::Result;
use flatbao_core::{Durability, Hash};

use super::{Contestant, Workload};
use crate::{
    job::{Job, hash_file},
    meter::{Check, Meter, sync_file_system},
    peers::{
        bao_tree, cacache,
        flat::{self, Flat},
        flatbao,
        floor::{cp, read_and_hash},
        groups,
        iroh::Iroh,
    },
    prep::Prep,
    scale::length,
};

const NEEDS: &[Prep] = &[Prep::Blob];

pub(super) const COPY: Workload = Workload {
    name: "import",
    title: |scale| format!("import of {} by copy, durable", length(scale.blob)),
    contestants: &[
        Contestant::new("cp + syncfs", |job, meter| cp_blob(job, meter, true)).needs(NEEDS),
        Contestant::new("bao-tree + syncfs", |job, meter| {
            bao_tree_copy(job, meter, true)
        })
        .needs(NEEDS),
        Contestant::new("flat + syncfs", |job, meter| flat_copy(job, meter, true)).needs(NEEDS),
        Contestant::new("iroh-blobs, data not synced", |job, meter| {
            iroh_copy(job, meter, false)
        })
        .needs(NEEDS),
        Contestant::new("iroh-blobs + syncfs", |job, meter| {
            iroh_copy(job, meter, true)
        })
        .needs(NEEDS),
        Contestant::new("cacache + syncfs", |job, meter| {
            cacache_copy(job, meter, true)
        })
        .needs(NEEDS),
        Contestant::new("flatbao 1t", durable)
            .threads(1)
            .needs(NEEDS),
        Contestant::new("flatbao 2t", durable)
            .threads(2)
            .needs(NEEDS),
    ],
    is_littering: false,
    entries: None,
};

pub(super) const COPY_UNSYNCED: Workload = Workload {
    name: "import-unsynced",
    title: |scale| format!("import of {} by copy, nothing synced", length(scale.blob)),
    contestants: &[
        Contestant::new("cp", |job, meter| cp_blob(job, meter, false)).needs(NEEDS),
        Contestant::new("bao-tree", |job, meter| bao_tree_copy(job, meter, false)).needs(NEEDS),
        Contestant::new("flat", |job, meter| flat_copy(job, meter, false)).needs(NEEDS),
        Contestant::new("cacache", |job, meter| cacache_copy(job, meter, false)).needs(NEEDS),
        Contestant::new("flatbao 1t", unsynced)
            .threads(1)
            .needs(NEEDS),
        Contestant::new("flatbao 2t", unsynced)
            .threads(2)
            .needs(NEEDS),
    ],
    is_littering: false,
    entries: None,
};

pub(super) const REFERENCE: Workload = Workload {
    name: "reference",
    title: |scale| format!("import of {} by reference", length(scale.blob)),
    contestants: &[
        Contestant::new("read + hash", |job, meter| read_hash(job, meter, false)).needs(NEEDS),
        Contestant::new("read + hash 2t", |job, meter| read_hash(job, meter, true))
            .threads(2)
            .needs(NEEDS),
        Contestant::new("read + groups, outboard synced", read_groups).needs(NEEDS),
        Contestant::new("b3sum 1t", b3sum).threads(1).needs(NEEDS),
        Contestant::new("b3sum 2t", b3sum).threads(2).needs(NEEDS),
        Contestant::new("bao-tree", bao_tree_reference).needs(NEEDS),
        Contestant::new("flat", flat_reference).needs(NEEDS),
        Contestant::new("iroh-blobs", iroh_reference).needs(NEEDS),
        Contestant::new("flatbao 1t", reference)
            .threads(1)
            .needs(NEEDS),
        Contestant::new("flatbao 2t", reference)
            .threads(2)
            .needs(NEEDS),
    ],
    is_littering: false,
    entries: None,
};

/// What is synced after a peer that does not do so itself.
fn and_sync(job: &Job, is_synced: bool) -> Result<()> {
    match is_synced {
        true => sync_file_system(&job.dir),
        false => Ok(()),
    }
}

fn cp_blob(job: &Job, meter: &mut Meter, is_synced: bool) -> Result<Check> {
    job.warm(Prep::Blob)?;
    let to = job.dir.join("copy");
    meter.section(|| {
        cp(&job.blob(), &to)?;
        and_sync(job, is_synced)
    })?;
    Ok(Check::new(hash_file(&to)?))
}

fn bao_tree_copy(job: &Job, meter: &mut Meter, is_synced: bool) -> Result<Check> {
    job.warm(Prep::Blob)?;
    let (data, outboard) = (job.dir.join("data"), job.dir.join("outboard"));
    meter.section(|| {
        bao_tree::import(&job.blob(), Some(&data), &outboard)?;
        and_sync(job, is_synced)
    })?;
    Ok(Check::new(hash_file(&data)?).with(hash_file(&outboard)?))
}

fn flat_copy(job: &Job, meter: &mut Meter, is_synced: bool) -> Result<Check> {
    job.warm(Prep::Blob)?;
    let store = Flat::load(&job.dir)?;
    let hash = meter.section(|| {
        let hash = store.import(&job.blob(), false)?;
        and_sync(job, is_synced)?;
        Ok(hash)
    })?;
    check_files(&job.dir.join(flat::COMPLETE), hash.as_bytes())
}

fn iroh_copy(job: &Job, meter: &mut Meter, is_synced: bool) -> Result<Check> {
    job.warm(Prep::Blob)?;
    let iroh = Iroh::load(&job.dir)?;
    let hash = meter.section(|| {
        let hash = iroh.import(&job.blob(), false)?;
        and_sync(job, is_synced)?;
        Ok(hash)
    })?;
    iroh.close()?;
    let data = job.dir.join("data").join(format!("{}.data", hash.to_hex()));
    Ok(Check::new(hash_file(&data)?))
}

fn cacache_copy(job: &Job, meter: &mut Meter, is_synced: bool) -> Result<Check> {
    job.warm(Prep::Blob)?;
    meter.section(|| {
        cacache::import(&job.dir, &job.blob())?;
        and_sync(job, is_synced)
    })?;
    Ok(Check::new(cacache::hash(&job.dir, "blob")?))
}

fn durable(job: &Job, meter: &mut Meter) -> Result<Check> {
    flatbao_copy(job, meter, Durability::Durable)
}

fn unsynced(job: &Job, meter: &mut Meter) -> Result<Check> {
    flatbao_copy(job, meter, Durability::Atomic)
}

fn flatbao_copy(job: &Job, meter: &mut Meter, durability: Durability) -> Result<Check> {
    job.warm(Prep::Blob)?;
    let outside = job.prepared(Prep::Blob);
    let store = flatbao::create_beside(&job.dir, &outside, durability)?;
    let path = flatbao::external(&job.blob())?;
    let imported = meter.section(|| Ok(store.import_file(&path)?))?;
    check_files(&job.dir, imported.hash.as_bytes())
}

/// The bytes of a blob in a flat store, and those of its outboard.
fn check_files(dir: &Path, hash: &[u8; 32]) -> Result<Check> {
    let hash = Hash::from_bytes(*hash);
    let data = hash_file(&dir.join(format!("{hash}.data")))?;
    let outboard = hash_file(&dir.join(format!("{hash}.obao4")))?;
    Ok(Check::new(data).with(outboard))
}

fn read_hash(job: &Job, meter: &mut Meter, is_parallel: bool) -> Result<Check> {
    job.warm(Prep::Blob)?;
    let (hash, _) = meter.section(|| read_and_hash(&job.blob(), is_parallel))?;
    Ok(Check::new(hash))
}

/// What nobody gets around who keeps an outboard, durably.
fn read_groups(job: &Job, meter: &mut Meter) -> Result<Check> {
    job.warm(Prep::Blob)?;
    let outboard = job.dir.join("outboard");
    let values = meter.section(|| groups::read_and_hash_groups(&job.blob(), &outboard))?;
    Ok(Check::new(groups::root(&values)))
}

/// As the command does it, with its library: it maps the file.
fn b3sum(job: &Job, meter: &mut Meter) -> Result<Check> {
    job.warm(Prep::Blob)?;
    let hash = meter.section(|| {
        let mut hasher = blake3::Hasher::new();
        Ok(hasher.update_mmap_rayon(job.blob())?.finalize())
    })?;
    Ok(Check::new(hash))
}

fn bao_tree_reference(job: &Job, meter: &mut Meter) -> Result<Check> {
    job.warm(Prep::Blob)?;
    let outboard = job.dir.join("outboard");
    let root = meter.section(|| bao_tree::import(&job.blob(), None, &outboard))?;
    Ok(Check::new(root).with(hash_file(&outboard)?))
}

fn flat_reference(job: &Job, meter: &mut Meter) -> Result<Check> {
    job.warm(Prep::Blob)?;
    let store = Flat::load(&job.dir)?;
    let hash = meter.section(|| store.import(&job.blob(), true))?;
    let outboard = job
        .dir
        .join(flat::COMPLETE)
        .join(format!("{}.obao4", hash.to_hex()));
    Ok(Check::new(hash.to_hex()).with(hash_file(&outboard)?))
}

fn iroh_reference(job: &Job, meter: &mut Meter) -> Result<Check> {
    job.warm(Prep::Blob)?;
    let iroh = Iroh::load(&job.dir)?;
    let hash = meter.section(|| iroh.import(&job.blob(), true))?;
    iroh.close()?;
    // Nothing was copied, or it would be another workload.
    let data = job.dir.join("data").join(format!("{}.data", hash.to_hex()));
    anyhow::ensure!(!fs::exists(&data)?, "the data were copied");
    Ok(Check::new(hash.to_hex()))
}

fn reference(job: &Job, meter: &mut Meter) -> Result<Check> {
    job.warm(Prep::Blob)?;
    let outside = job.prepared(Prep::Blob);
    let store = flatbao::create_beside(&job.dir, &outside, Durability::Durable)?;
    let path = flatbao::external(&job.blob())?;
    let imported = meter.section(|| Ok(store.import_reference(&path)?))?;
    let outboard = job.dir.join(format!("{}.obao4", imported.hash));
    Ok(Check::new(imported.hash).with(hash_file(&outboard)?))
}
