//! What is done at each size, one step a process.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use flatbao_bench::content::{Content, Many, mix};
use flatbao_core::{Durability, Hash, HashAndFormat, Store, Tag};
use flatbao_fs::FsBackend;

use super::Axis;
use crate::{
    digest::Buffer,
    job::hash_file,
    meter::{Check, Meter, Sample, sync_file_system},
    peers::{flatbao, floor::count_names},
    scale::{BUFFER, PIECE, TINY},
};

/// A step; some prepare, and some are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// Makes a file of that size, and writes down its hash.
    MakeFile,
    /// Imports it by reference.
    Reference,
    /// Imports it by copy.
    Copy,
    /// Reads the blob from end to end.
    Read,
    /// Opens a reader and reads one group.
    First,
    /// Fills a store, which is made durable as a whole.
    Fill,
    /// Imports so many blobs in one durable batch.
    Import,
    /// Opens and lists.
    Open,
    /// Makes a store beside it with so many tags.
    MakeTags,
    /// Changes one of them.
    Tag,
    /// Keeps half of the blobs.
    Keep,
    /// Collects the other half.
    Collect,
}

impl Step {
    pub(crate) fn name(self) -> String {
        // Every variant has a name: none is skipped.
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What its curve is called.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Reference => "import by reference",
            Self::Copy => "import by copy, durable",
            Self::Read => "verified sequential read",
            Self::First => "opening a reader, and one group",
            Self::Import => "import, one durable batch",
            Self::Open => "open and list",
            Self::Tag => "one tag change, with as many tags",
            Self::Collect => "gc of half",
            Self::MakeFile | Self::Fill | Self::MakeTags | Self::Keep => "",
        }
    }

    /// What its curve is drawn over, if it is measured.
    pub(crate) fn axis(self) -> Option<Axis> {
        match self {
            Self::Reference | Self::Copy | Self::Read | Self::First => Some(Axis::Bytes),
            Self::Import | Self::Open | Self::Tag | Self::Collect => Some(Axis::Entries),
            Self::MakeFile | Self::Fill | Self::MakeTags | Self::Keep => None,
        }
    }

    /// Does it in a directory, and tells what it took if it is measured.
    pub(crate) fn run(self, dir: &Path, number: u64) -> Result<Option<Sample>> {
        let mut meter = Meter::new(dir);
        let check = match self {
            Self::MakeFile => make_file(dir, number)?,
            Self::Reference => Some(reference(dir, number, &mut meter)?),
            Self::Copy => Some(copy(dir, number, &mut meter)?),
            Self::Read => Some(read(dir, number, &mut meter)?),
            Self::First => Some(first(dir, number, &mut meter)?),
            Self::Fill => fill(dir, number)?,
            Self::Import => Some(import(dir, number, &mut meter)?),
            Self::Open => Some(open(dir, number, &mut meter)?),
            Self::MakeTags => make_tags(dir, number)?,
            Self::Tag => Some(tag(dir, number, &mut meter)?),
            Self::Keep => keep(dir, number)?,
            Self::Collect => Some(collect(dir, number, &mut meter)?),
        };
        match check {
            Some(check) => meter.finish(check).map(Some),
            None => sync_file_system(dir).map(|()| None),
        }
    }
}

/// The file is beside the directories of the repetitions.
fn outside(dir: &Path) -> Result<PathBuf> {
    Ok(dir.parent().context("no directory above")?.to_owned())
}

fn hash_of(dir: &Path) -> Result<blake3::Hash> {
    let text = fs::read_to_string(outside(dir)?.join("hash"))?;
    Ok(blake3::Hash::from_hex(text)?)
}

fn make_file(dir: &Path, size: u64) -> Result<Option<Check>> {
    let path = dir.join("blob");
    let mut file = BufWriter::with_capacity(64 << 10, File::create_new(&path)?);
    io::copy(&mut Content::new(1, size), &mut file)?;
    file.flush()?;
    fs::write(dir.join("hash"), hash_file(&path)?.to_hex().as_str())?;
    Ok(None)
}

fn reference(dir: &Path, _: u64, meter: &mut Meter) -> Result<Check> {
    let outside = outside(dir)?;
    // It comes from memory, if there is enough of that.
    let right = hash_file(&outside.join("blob"))?;
    let store = flatbao::create_beside(&dir.join("reference"), &outside, Durability::Durable)?;
    let path = flatbao::external(&outside.join("blob"))?;
    let imported = meter.section(|| Ok(store.import_reference(&path)?))?;
    ensure!(imported.hash == right.into(), "a wrong hash");
    Ok(Check::new(imported.hash))
}

fn copy(dir: &Path, _: u64, meter: &mut Meter) -> Result<Check> {
    let outside = outside(dir)?;
    let store = flatbao::create_beside(&dir.join("copy"), &outside, Durability::Durable)?;
    let path = flatbao::external(&outside.join("blob"))?;
    let imported = meter.section(|| Ok(store.import_file(&path)?))?;
    ensure!(imported.hash == hash_of(dir)?.into(), "a wrong hash");
    Ok(Check::new(imported.hash))
}

fn read(dir: &Path, size: u64, meter: &mut Meter) -> Result<Check> {
    let hash: Hash = hash_of(dir)?.into();
    let store = flatbao::open(&dir.join("copy"))?;
    let mut buffer = Buffer::new(BUFFER);
    let seen = meter.section(|| flatbao::read_through(&store, hash, 0..size, buffer.get()))?;
    Ok(Check::new(seen))
}

fn first(dir: &Path, size: u64, meter: &mut Meter) -> Result<Check> {
    let hash: Hash = hash_of(dir)?.into();
    let store = flatbao::open(&dir.join("copy"))?;
    let mut piece = Buffer::new(usize::try_from(PIECE)?);
    let offset = mix(size) % (size / PIECE) * PIECE;
    let read = meter.section(|| {
        let reader = store.reader(hash)?;
        Ok(reader.read_verified(piece.get(), offset)?)
    })?;
    ensure!(read as u64 == PIECE, "{read} bytes were read");
    Ok(Check::new(read))
}

fn fill_with(dir: &Path, count: u64, durability: Durability) -> Result<Store<FsBackend>> {
    let store = flatbao::create(dir, durability)?;
    flatbao::import_many(&store, count, Many::new(TINY)?)?;
    Ok(store)
}

fn fill(dir: &Path, count: u64) -> Result<Option<Check>> {
    fill_with(&dir.join("store"), count, Durability::Atomic)?;
    Ok(None)
}

fn import(dir: &Path, count: u64, meter: &mut Meter) -> Result<Check> {
    let dir = dir.join("store");
    let store = flatbao::create(&dir, Durability::Durable)?;
    let many = Many::new(TINY)?;
    let found = meter.section(|| flatbao::import_many(&store, count, many))?;
    ensure!(count_names(&dir)? == count, "some are missing");
    Ok(Check::new(found))
}

fn open(dir: &Path, count: u64, meter: &mut Meter) -> Result<Check> {
    let dir = dir.join("store");
    let (found, _store) = meter.section(|| {
        let store = flatbao::open(&dir)?;
        Ok((store.blobs().count() as u64, store))
    })?;
    ensure!(found == count, "{found} are listed");
    Ok(Check::new(found))
}

fn make_tags(dir: &Path, count: u64) -> Result<Option<Check>> {
    let dir = dir.join("tags");
    let store = fill_with(&dir, 1, Durability::Atomic)?;
    let hash = store.blobs().next().context("nothing was imported")?.hash;
    drop(store);
    flatbao::write_tags(&dir, count, hash)?;
    Ok(None)
}

fn tag(dir: &Path, count: u64, meter: &mut Meter) -> Result<Check> {
    let store = flatbao::open(&dir.join("tags"))?;
    let hash = store.blobs().next().context("there is no blob")?.hash;
    let tag = Tag::new(&b"one more"[..])?;
    meter.section(|| Ok(store.set_tag(tag, HashAndFormat::raw(hash))?))?;
    let found = store.tags()?.len() as u64;
    ensure!(found == count + 1, "there are {found} tags");
    Ok(Check::new(found))
}

fn keep(dir: &Path, count: u64) -> Result<Option<Check>> {
    let store = flatbao::create(&dir.join("store"), Durability::Atomic)?;
    let mut many = Many::new(TINY)?;
    let kept = (0..count)
        .step_by(2)
        .map(|number| Hash::of(many.get(number)));
    flatbao::keep(&store, kept.collect::<Vec<_>>())?;
    Ok(None)
}

fn collect(dir: &Path, count: u64, meter: &mut Meter) -> Result<Check> {
    let dir = dir.join("store");
    let store = flatbao::open(&dir)?;
    let swept = meter.section(|| {
        let plan = store.plan_gc()?;
        Ok(store.sweep(plan)?)
    })?;
    ensure!(swept.removed.len() as u64 == count / 2, "not half of them");
    Ok(Check::new(swept.removed.len()))
}
