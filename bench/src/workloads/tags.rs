//! Changes of tags where there are many: each is waited for.

use std::{fs::File, io::Write as _, thread};

use anyhow::{Context as _, Result, ensure};
use flatbao_core::{Hash, HashAndFormat, Tag};

use super::{Contestant, Workload};
use crate::{
    job::Job,
    meter::{Check, Meter},
    peers::{flatbao, iroh::Iroh},
    prep::{Prep, TAGGED},
    scale::{CHANGES, TAGGERS, number},
};

/// What is said of tags that were looked for.
const ALL_THERE: &str = "all there";

pub(super) const ALONE: Workload = Workload {
    name: "tag",
    title: |scale| {
        format!(
            "{CHANGES} tag changes one after the other, with {} tags",
            number(scale.entries)
        )
    },
    contestants: &[
        Contestant::new("append + fdatasync", floor),
        Contestant::new("iroh-blobs, not synced", |job, meter| {
            iroh(job, meter, 1, CHANGES, false)
        })
        .needs(&[Prep::IrohTags]),
        Contestant::new("iroh-blobs, durable", |job, meter| {
            iroh(job, meter, 1, CHANGES, true)
        })
        .needs(&[Prep::IrohTags]),
        Contestant::new("flatbao", |job, meter| flatbao(job, meter, 1, CHANGES))
            .needs(&[Prep::FlatbaoTags]),
    ],
    is_littering: false,
    entries: None,
};

pub(super) const AT_ONCE: Workload = Workload {
    name: "tags-at-once",
    title: |scale| {
        format!(
            "{TAGGERS} threads change {CHANGES} tags each, with {} tags",
            number(scale.entries)
        )
    },
    contestants: &[
        Contestant::new("append + fdatasync, shared", floor),
        Contestant::new("iroh-blobs, not synced", |job, meter| {
            iroh(job, meter, TAGGERS, CHANGES, false)
        })
        .needs(&[Prep::IrohTags]),
        Contestant::new("iroh-blobs, durable", |job, meter| {
            iroh(job, meter, TAGGERS, CHANGES, true)
        })
        .needs(&[Prep::IrohTags]),
        Contestant::new("flatbao", |job, meter| {
            flatbao(job, meter, TAGGERS, CHANGES)
        })
        .needs(&[Prep::FlatbaoTags]),
    ],
    is_littering: false,
    entries: None,
};

/// One log of changes, which is durable after each; those of several threads go together.
fn floor(job: &Job, meter: &mut Meter) -> Result<Check> {
    let mut log = File::create_new(job.dir.join("log"))?;
    meter.section(|| {
        for _ in 0..CHANGES {
            log.write_all(TAGGED)?;
            log.sync_data()?;
        }
        Ok(())
    })?;
    Ok(Check::new(ALL_THERE))
}

fn iroh(job: &Job, meter: &mut Meter, rows: u64, each: u64, is_durable: bool) -> Result<Check> {
    let iroh = Iroh::load(&job.prepared(Prep::IrohTags))?;
    let hash = iroh_blobs::Hash::new(TAGGED);
    meter.section(|| iroh.change_tags(hash, rows, each, is_durable))?;
    let count = iroh.count_tags()? as u64;
    // One keeps the blob, and is not in the count of the others.
    let count = count.checked_sub(1).context("no tag at all")?;
    iroh.close()?;
    check(job, count, rows)
}

fn flatbao(job: &Job, meter: &mut Meter, rows: u64, each: u64) -> Result<Check> {
    let store = flatbao::open(&job.prepared(Prep::FlatbaoTags))?;
    let value = HashAndFormat::raw(Hash::of(TAGGED));
    let change = |row: u64| -> Result<()> {
        for number in 0..each {
            let tag = Tag::new(format!("change-{row}-{number}").into_bytes())?;
            store.set_tag(tag, value)?;
        }
        Ok(())
    };
    meter.section(|| {
        thread::scope(|scope| {
            let change = &change;
            let threads: Vec<_> = (0..rows)
                .map(|row| scope.spawn(move || change(row)))
                .collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().ok().context("a thread panicked")?)
        })
    })?;
    check(job, store.tags()?.len() as u64, rows)
}

/// All of those that were there are there, and those that were set; earlier repetitions have set some, or all, of them.
fn check(job: &Job, count: u64, rows: u64) -> Result<Check> {
    let most = job.scale.entries + TAGGERS * CHANGES;
    let least = job.scale.entries + rows * CHANGES;
    ensure!((least..=most).contains(&count), "there are {count} tags");
    Ok(Check::new(ALL_THERE))
}
