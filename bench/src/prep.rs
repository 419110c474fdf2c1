//! What is made once, before anything is measured, each in a process of its own.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use flatbao_bench::content::{Content, Many};
use flatbao_core::{Durability, Hash, Store};
use flatbao_fs::FsBackend;

use crate::{
    job::{Job, prepared},
    meter::sync_file_system,
    peers::{cacache, flat, flat::Flat, flatbao, iroh::Iroh},
    scale::{Scale, TINY},
};

/// One of these things. What comes later is made of what comes before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Prep {
    /// The large file, and its hash.
    Blob,
    /// A store of flatbao with that as a blob.
    FlatbaoBlob,
    /// Its outboard, without a size in front, as `bao-tree` has it.
    Outboard,
    /// The stream of it.
    Stream,
    /// A flat store with it.
    FlatBlob,
    /// A store of `iroh-blobs` with it.
    IrohBlob,
    /// A store of flatbao with many tiny blobs, which the floor lists as well.
    FlatbaoEntries,
    /// A flat store with those.
    FlatEntries,
    /// A store of `iroh-blobs` with those.
    IrohEntries,
    /// A cache with those.
    CacacheEntries,
    /// A store of flatbao with very many.
    FlatbaoManyEntries,
    /// A store of flatbao with many tags.
    FlatbaoTags,
    /// A store of `iroh-blobs` with many tags.
    IrohTags,
}

/// The blob that all tags are on.
pub(crate) const TAGGED: &[u8] = b"a blob with many tags";

impl Prep {
    pub(crate) fn name(self) -> String {
        // Every variant has a name: none is skipped.
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Makes it in the directory of a run. It is on the disk when this returns.
    pub(crate) fn make(self, root: &Path, scale: Scale) -> Result<()> {
        let dir = prepared(root, self);
        fs::create_dir_all(&dir)?;
        let job = Job::new(root.to_owned(), dir.clone(), scale);
        match self {
            Self::Blob => make_blob(&job)?,
            Self::FlatbaoBlob => import_blob(&job, &dir)?,
            Self::Outboard => make_outboard(&job)?,
            Self::Stream => make_stream(&job)?,
            Self::FlatBlob => {
                flat::make_layout(&dir)?;
                import_blob(&job, &dir)?;
            }
            Self::IrohBlob => {
                let iroh = Iroh::load(&dir)?;
                let hash = iroh.import(&job.blob(), false)?;
                ensure!(*hash.as_bytes() == *job.blob_hash()?.as_bytes());
                iroh.close()?;
            }
            Self::FlatbaoEntries => {
                fill(&flatbao_unsynced(&dir)?, scale.entries)?;
            }
            Self::FlatEntries => {
                flat::make_layout(&dir)?;
                fill(&flatbao_unsynced(&dir)?, scale.entries)?;
                // What it makes when it is opened first is not to be timed.
                Flat::load(&dir)?;
            }
            Self::IrohEntries => {
                let iroh = Iroh::load(&dir)?;
                iroh.import_many(scale.entries, Many::new(TINY)?)?;
                iroh.close()?;
            }
            Self::CacacheEntries => {
                cacache::import_many(&dir, scale.entries, Many::new(TINY)?)?;
            }
            Self::FlatbaoManyEntries => {
                fill(&flatbao_unsynced(&dir)?, scale.many_entries)?;
            }
            Self::FlatbaoTags => {
                let hash = flatbao_unsynced(&dir)?.import_bytes(TAGGED)?.hash;
                flatbao::write_tags(&dir, scale.entries, hash)?;
            }
            Self::IrohTags => {
                let iroh = Iroh::load(&dir)?;
                let hash = iroh.add(TAGGED)?;
                iroh.write_tags(scale.entries, hash)?;
                iroh.close()?;
            }
        }
        sync_file_system(&dir)
    }
}

fn make_blob(job: &Job) -> Result<()> {
    let mut file = BufWriter::with_capacity(64 << 10, File::create_new(job.blob())?);
    io::copy(&mut Content::new(0, job.scale.blob), &mut file)?;
    file.flush()?;
    let hash = crate::job::hash_file(&job.blob())?;
    fs::write(job.dir.join("hash"), hash.to_hex().as_str())?;
    Ok(())
}

fn import_blob(job: &Job, dir: &Path) -> Result<()> {
    let imported = flatbao_unsynced(dir)?.import_reader(File::open(job.blob())?)?;
    ensure!(imported.hash == Hash::from(job.blob_hash()?));
    Ok(())
}

fn make_outboard(job: &Job) -> Result<()> {
    let to = job.dir.join("with-size");
    crate::peers::bao_tree::import(&job.blob(), None, &to)?;
    let outboard = fs::read(&to)?;
    let pairs = outboard.get(8..).context("no size in front")?;
    fs::write(job.dir.join("pairs"), pairs)?;
    Ok(())
}

fn make_stream(job: &Job) -> Result<()> {
    let store = flatbao::open(&job.prepared(Prep::FlatbaoBlob))?;
    let mut file = BufWriter::with_capacity(64 << 10, File::create_new(job.dir.join("stream"))?);
    flatbao::send(&store, job.blob_hash()?.into(), &mut file)?;
    file.flush()?;
    Ok(())
}

/// A store that is made now, and made durable as a whole when it is filled.
fn flatbao_unsynced(dir: &Path) -> Result<Store<FsBackend>> {
    flatbao::create(dir, Durability::Atomic)
}

fn fill(store: &Store<FsBackend>, count: u64) -> Result<()> {
    flatbao::import_many(store, count, Many::new(TINY)?)?;
    Ok(())
}

/// What a collection is measured with, for one repetition: half of the blobs are kept by a tag on their sequence.
pub(crate) mod garbage {
    use super::{
        Durability, FsBackend, Hash, Iroh, Many, Path, Result, Scale, Store, TINY, flat, flatbao,
    };

    /// For flatbao, and for the floor.
    pub(crate) fn flatbao(dir: &Path, scale: Scale) -> Result<()> {
        fill(&flatbao::create(dir, Durability::Atomic)?, scale)
    }

    /// For the flat store.
    pub(crate) fn flat(dir: &Path, scale: Scale) -> Result<()> {
        flat::make_layout(dir)?;
        fill(&flatbao::create(dir, Durability::Atomic)?, scale)
    }

    fn fill(store: &Store<FsBackend>, scale: Scale) -> Result<()> {
        flatbao::import_many(store, scale.entries, Many::new(TINY)?)?;
        flatbao::keep(store, kept(scale)?.into_iter().map(Hash::from))
    }

    /// For `iroh-blobs`.
    pub(crate) fn iroh(dir: &Path, scale: Scale) -> Result<()> {
        let iroh = Iroh::load(dir)?;
        iroh.import_many(scale.entries, Many::new(TINY)?)?;
        let kept = kept(scale)?.into_iter().map(|hash| *hash.as_bytes());
        iroh.keep(kept.map(iroh_blobs::Hash::from))?;
        iroh.close()
    }

    /// Every other blob.
    pub(crate) fn kept(scale: Scale) -> Result<Vec<blake3::Hash>> {
        let mut many = Many::new(TINY)?;
        let numbers = (0..scale.entries).step_by(2);
        Ok(numbers
            .map(|number| blake3::hash(many.get(number)))
            .collect())
    }
}
