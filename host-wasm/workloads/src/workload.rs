//! The workloads: each prepares, takes the time of one thing, and checks what came of it.

use std::{
    fs::{self, File},
    io,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use flatbao_core::{
    Durability, Hash, Store,
    progress::unwatched,
    store::{ImportOptions, Locking, OpenOptions, Recovery, TagsFound},
};
use flatbao_fs::FsBackend;

use crate::content::Content;

/// Length of the blobs of which there are many.
const SMALL: u64 = 4096;
/// Length of those that are only there to be listed.
const TINY: u64 = 64;
/// What is read at once.
const BUFFER: usize = 1 << 20;
/// Where that begins: at a multiple of this.
const ALIGNMENT: usize = 64;

/// One thing to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Workload {
    Import,
    Read,
    Small,
    Open,
    Start,
}

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Bytes of the one large blob.
    pub(crate) size: u64,
    /// How many small ones.
    pub(crate) count: u64,
}

impl Workload {
    const ALL: [Self; 5] = [
        Self::Import,
        Self::Read,
        Self::Small,
        Self::Open,
        Self::Start,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Read => "read",
            Self::Small => "small",
            Self::Open => "open",
            Self::Start => "start",
        }
    }

    /// Runs it in `dir` and returns what it took, where that is told from inside.
    pub(crate) fn run(self, dir: &Path, scale: Scale) -> Result<Option<Duration>> {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        match self {
            Self::Import => import(dir, scale.size).map(Some),
            Self::Read => read(dir, scale.size).map(Some),
            Self::Small => small(dir, scale.count).map(Some),
            Self::Open => open(dir, scale.count).map(Some),
            Self::Start => start(dir).map(|()| None),
        }
    }
}

fn import(dir: &Path, size: u64) -> Result<Duration> {
    let source = dir.join("source");
    let mut file = File::create_new(&source)?;
    io::copy(&mut Content::new(0, size), &mut file)?;
    // Or else the import would wait for these bytes to reach the disk.
    file.sync_all()?;
    drop(file);
    let (store, _) = make_store(dir, Durability::Durable)?;

    let (imported, taken) = timed(|| Ok(store.import_reader(File::open(&source)?)?))?;

    ensure!(imported.size == size, "{} bytes arrived", imported.size);
    check_hash(imported.hash, Content::new(0, size))?;
    Ok(taken)
}

fn read(dir: &Path, size: u64) -> Result<Duration> {
    let (store, _) = make_store(dir, Durability::Durable)?;
    // Only a temporary tag keeps it from being collected, and nothing is collected here.
    let hash = store.import_reader(Content::new(0, size))?.hash;
    drop(store);
    // Nothing is proved yet in a new opening.
    let (store, _) = open_store(flatbao_fs::open_ambient(dir.join("store"))?)?;
    // Some processors copy several times slower to where an allocator may put a vector, 16 bytes into a line. Each
    // platform has an allocator of its own, and it is not allocators that are compared.
    let mut space = vec![0; BUFFER + ALIGNMENT];
    let begin = space.as_ptr().align_offset(ALIGNMENT);
    let buffer = &mut space[begin..][..BUFFER];

    let (len, taken) = timed(|| read_through(&store, hash, buffer, |_| {}))?;

    ensure!(len == size, "{len} bytes were read");
    // Once more, since hashing on the way would have been timed.
    let mut hasher = blake3::Hasher::new();
    read_through(&store, hash, buffer, |bytes| {
        hasher.update(bytes);
    })?;
    let found = Hash::from_bytes(hasher.finalize().into());
    ensure!(found == hash, "bytes that hash to {found} were read");
    Ok(taken)
}

fn small(dir: &Path, count: u64) -> Result<Duration> {
    let contents = (0..count).map(|seed| Content::new(seed, SMALL).bytes());
    let contents = contents.collect::<Result<Vec<_>, _>>()?;
    let (store, _) = make_store(dir, Durability::Durable)?;

    let (imported, taken) = timed(|| {
        let mut batch = store.batch();
        for bytes in &contents {
            batch.import_bytes(bytes, ImportOptions::default())?;
        }
        Ok(batch.commit()?)
    })?;

    ensure!(imported.len() == contents.len(), "some were not imported");
    for (one, bytes) in imported.iter().zip(&contents) {
        ensure!(one.hash == Hash::of(bytes), "{} is a wrong hash", one.hash);
    }
    drop(imported);
    drop(store);
    let (store, _) = open_store(flatbao_fs::open_ambient(dir.join("store"))?)?;
    check_count(&store, count)?;
    Ok(taken)
}

fn open(dir: &Path, count: u64) -> Result<Duration> {
    // The listing is the same, however it came about.
    let (store, _) = make_store(dir, Durability::Atomic)?;
    let mut batch = store.batch();
    for seed in 0..count {
        batch.import_reader(Content::new(seed, TINY))?;
    }
    drop(batch.commit()?);
    drop(store);

    let ((store, recovery), taken) =
        timed(|| open_store(flatbao_fs::open_ambient(dir.join("store"))?))?;

    check_count(&store, count)?;
    ensure!(recovery.odd_count == 0, "there are odd entries");
    ensure!(recovery.removed.is_empty(), "there were leftovers");
    ensure!(recovery.tags == TagsFound::Protected, "the tags are odd");
    Ok(taken)
}

fn start(dir: &Path) -> Result<()> {
    // A sync takes longer than the whole start, and says nothing about it.
    let (store, _) = make_store(dir, Durability::Atomic)?;
    check_count(&store, 0)
}

fn make_store(dir: &Path, durability: Durability) -> Result<(Store<FsBackend>, Recovery)> {
    open_store(flatbao_fs::create_ambient_with(
        dir.join("store"),
        durability,
    )?)
}

fn open_store(backend: FsBackend) -> Result<(Store<FsBackend>, Recovery)> {
    // A guest has no locks; whoever started it gave it a directory of its own.
    let options = OpenOptions::default().locking(match cfg!(target_os = "wasi") {
        true => Locking::HostHolds,
        false => Locking::Exclusive,
    });
    let env = flatbao_fs::system_env();
    Ok(Store::open_with(backend, env, options, &mut unwatched)?)
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let started = Instant::now();
    let result = work()?;
    Ok((result, started.elapsed()))
}

/// Reads a blob from its beginning to its end and returns its length.
fn read_through(
    store: &Store<FsBackend>,
    hash: Hash,
    buffer: &mut [u8],
    mut each: impl FnMut(&[u8]),
) -> Result<u64> {
    let reader = store.reader(hash)?;
    let mut at = 0;
    loop {
        let len = reader.read_verified(buffer, at)?;
        if len == 0 {
            return Ok(at);
        }
        each(&buffer[..len]);
        at += len as u64;
    }
}

fn check_hash(found: Hash, content: Content) -> Result<()> {
    let right = Hash::from_bytes(content.hash()?.into());
    ensure!(found == right, "the hash is {found} instead of {right}");
    Ok(())
}

fn check_count(store: &Store<FsBackend>, count: u64) -> Result<()> {
    let found = store.blobs().count() as u64;
    ensure!(found == count, "there are {found} blobs instead of {count}");
    Ok(())
}
