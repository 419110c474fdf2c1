//! What the tests of the store share: a simulated machine, contents to put into it, and the one question
//! that all of them ask: whether a wrong byte ever comes out.

// Every test file uses a part of this, and all of it reports by panicking.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

pub mod care;
pub mod tap;

use std::{
    cell::Cell,
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use flatbao_core::{
    Backend, EntryKind, Env, Error, ExternalPath, FileName, FlatDir, Hash, HashAndFormat, ReadAt,
    Recovery, Result, Store, Tag,
    io::read_full_at,
    store::{BlobInfo, State, Status, Swept},
};
use flatbao_mem::{SimDir, SimDisk, seeded_env};

/// Bytes of a group.
pub const GROUP: usize = 16 * 1024;

/// A store in the simulator.
pub type SimStore = Store<FlatDir<SimDir>>;

/// A computer with one store directory, a directory outside it that is granted as `/external`, and another file
/// system that is granted as `/far`.
#[derive(Clone, Debug)]
pub struct Machine {
    pub disk: SimDisk,
}

impl Machine {
    pub fn new() -> Self {
        Self {
            disk: SimDisk::new(),
        }
    }

    pub fn store(&self) -> SimDir {
        self.disk.file_system("disk").plant_dir("store").unwrap()
    }

    pub fn outside(&self) -> SimDir {
        self.disk.file_system("disk").plant_dir("outside").unwrap()
    }

    pub fn far(&self) -> SimDir {
        self.disk.file_system("far")
    }

    pub fn backend(&self) -> FlatDir<SimDir> {
        let mut backend = FlatDir::new(self.store());
        backend.grant_external("/external", self.outside()).unwrap();
        backend.grant_external("/far", self.far()).unwrap();
        backend
    }

    pub fn try_open(&self) -> Result<(SimStore, Recovery)> {
        Store::open(self.backend(), fresh_env())
    }

    pub fn open(&self) -> SimStore {
        self.try_open().unwrap().0
    }

    pub fn open_read_only(&self) -> SimStore {
        Store::open_read_only(self.backend(), fresh_env())
            .unwrap()
            .0
    }

    /// The machine as it is, for trying several ends of one story.
    pub fn fork(&self) -> Self {
        Self {
            disk: self.disk.fork(),
        }
    }

    /// Everything that was not synced is gone.
    pub fn crash(&self) -> Self {
        Self {
            disk: self.disk.crash(),
        }
    }

    /// The process is gone, the cache is not.
    pub fn kill(&self) -> Self {
        Self {
            disk: self.disk.kill(),
        }
    }

    pub fn put_external(&self, name: &str, bytes: &[u8]) -> ExternalPath {
        let dir = self.outside();
        match dir.content(name) {
            Some(_) => dir.change_file(name, bytes).unwrap(),
            None => dir.plant_file(name, bytes).unwrap(),
        }
        external(name)
    }

    /// The bytes of a file of the store.
    pub fn file(&self, name: &FileName) -> Option<Vec<u8>> {
        self.store().content(name.to_string())
    }

    pub fn plant(&self, name: &FileName, bytes: &[u8]) {
        self.store().plant_file(name.to_string(), bytes).unwrap();
    }

    /// All regular files of the store, but the lock.
    pub fn files(&self) -> BTreeMap<OsString, Vec<u8>> {
        let dir = self.store();
        dir.entries()
            .into_iter()
            .filter(|(name, kind)| *kind == EntryKind::File && name != "lock")
            .map(|(name, _)| {
                let bytes = dir.content(&name).unwrap();
                (name, bytes)
            })
            .collect()
    }

    /// Names that mean nothing once their writer is gone.
    pub fn leftovers(&self) -> Vec<FileName> {
        self.files()
            .keys()
            .filter_map(|name| FileName::parse(name))
            .filter(FileName::is_ephemeral)
            .collect()
    }
}

/// An environment of its own for every opening of a test, and the same ones in every run of it.
pub fn fresh_env() -> Env {
    thread_local!(static OPENINGS: Cell<u64> = const { Cell::new(0) });
    OPENINGS.set(OPENINGS.get() + 1);
    seeded_env(OPENINGS.get())
}

pub fn external(name: &str) -> ExternalPath {
    ExternalPath::parse(&format!("/external/{name}")).unwrap()
}

pub fn tag(name: &str) -> Tag {
    Tag::try_from(name).unwrap()
}

pub fn raw(hash: Hash) -> HashAndFormat {
    HashAndFormat::raw(hash)
}

pub fn seq(hash: Hash) -> HashAndFormat {
    HashAndFormat::hash_seq(hash)
}

/// `len` bytes, other ones for every `seed`.
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut out);
    out
}

/// The bytes of a hash sequence.
pub fn sequence(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(Hash::as_bytes).copied().collect()
}

/// The bytes of the outboard of `content`, as bao-tree makes it; `None` when there is none.
pub fn outboard(content: &[u8]) -> Option<Vec<u8>> {
    use bao_tree::{BlockSize, io::outboard::PreOrderMemOutboard};
    if content.len() <= GROUP {
        return None;
    }
    let made = PreOrderMemOutboard::create(content, BlockSize::from_chunk_log(4));
    let mut file = (content.len() as u64).to_le_bytes().to_vec();
    file.extend(made.data);
    Some(file)
}

/// Reads a whole blob, whatever its size.
pub fn read<B: Backend>(store: &Store<B>, hash: Hash) -> Result<Vec<u8>> {
    store.read(hash, u64::MAX)
}

/// What every opening must agree on: blobs and tags.
pub fn picture<B: Backend>(
    store: &Store<B>,
) -> (Vec<(Hash, State, String)>, Option<flatbao_core::TagMap>) {
    let blobs: Vec<BlobInfo> = store.blobs().collect();
    for blob in &blobs {
        assert_eq!(store.status(blob.hash), Status::Present(*blob));
    }
    let blobs = blobs
        .into_iter()
        .map(|blob| (blob.hash, blob.state, format!("{:?}", blob.location)))
        .collect();
    (blobs, store.tags().ok().map(|tags| (*tags).clone()))
}

/// Reads a blob in every way there is and holds that no wrong byte and no wrong length comes out,
/// whatever state the store is in. Returns which of its groups can be read.
pub fn groups_that_read<B: Backend>(store: &Store<B>, hash: Hash, truth: &[u8]) -> Vec<bool> {
    let groups = truth.len().div_ceil(GROUP).max(1);
    let mut reader = match store.reader(hash) {
        Ok(reader) => reader,
        Err(error) => {
            assert_typed(&error);
            return vec![false; groups];
        }
    };
    let good: Vec<bool> = (0..groups)
        .map(|group| {
            let start = group * GROUP;
            let expected = &truth[start..truth.len().min(start + GROUP)];
            piece_reads(&reader, truth, start, expected.len())
        })
        .collect();
    // Pieces that are no groups: across a boundary, a few bytes, around the end and beyond it.
    let len = truth.len();
    for (start, count) in [
        (len / 3, 777),
        (GROUP.saturating_sub(3), 7),
        (GROUP / 2, 2 * GROUP),
        (len.saturating_sub(1), 100),
        (len, 1),
        (len + 1, 10),
        (len + 5 * GROUP, GROUP),
        (0, len + 100),
    ] {
        piece_reads(&reader, truth, start, count);
    }
    let all = good.iter().all(|good| *good);
    match reader.proven_size() {
        Ok(size) => assert_eq!(size, len as u64, "a wrong length came out"),
        Err(error) => {
            assert_typed(&error);
            assert!(!good[groups - 1], "the last group proves the length");
        }
    }
    if let Ok(end) = reader.seek(SeekFrom::End(0)) {
        assert_eq!(end, len as u64);
    }
    if let Ok(size) = reader.size() {
        assert_eq!(size, len as u64);
    }
    reader.seek(SeekFrom::Start(0)).unwrap();
    let mut whole = Vec::new();
    let outcome = reader.read_to_end(&mut whole);
    assert!(truth.starts_with(&whole), "a wrong byte came out");
    assert_eq!(outcome.is_ok(), all, "{:?}", outcome.err());
    if all {
        assert_eq!(whole.len(), len);
    }
    good
}

/// Reads `count` bytes from `start`: all that come are right, what does not come was not touched by
/// unverified bytes, and the end is where it should be.
fn piece_reads<B: Backend>(
    reader: &flatbao_core::BlobReader<B>,
    truth: &[u8],
    start: usize,
    count: usize,
) -> bool {
    const UNTOUCHED: u8 = 0xee;
    let expected = truth.get(start..).unwrap_or_default();
    let expected = &expected[..count.min(expected.len())];
    let mut buf = vec![UNTOUCHED; count];
    let outcome = read_full_at(reader, &mut buf, start as u64);
    for (at, byte) in buf.iter().enumerate() {
        let right = expected.get(at) == Some(byte);
        assert!(
            right || matches!(*byte, UNTOUCHED | 0),
            "byte {} of the buffer is an unverified one",
            start + at
        );
    }
    match outcome {
        Ok(read) => {
            assert_eq!(&buf[..read], expected, "{count} bytes from {start}");
            true
        }
        Err(_) => false,
    }
}

/// What a collection removed, in its order.
pub fn removed(swept: &Swept) -> Vec<Hash> {
    swept.removed.iter().map(|item| item.hash).collect()
}

/// The error has a stable kind and a text.
pub fn assert_typed(error: &Error) {
    assert!(!error.kind().is_empty());
    assert!(!error.to_string().is_empty());
}

/// A whole blob that reads back.
#[track_caller]
pub fn assert_reads<B: Backend>(store: &Store<B>, hash: Hash, truth: &[u8]) {
    match read(store, hash) {
        Ok(read) => assert!(read == truth, "{hash} reads wrong bytes"),
        Err(error) => panic!("{hash} ({} bytes) does not read: {error:?}", truth.len()),
    }
}

/// Every file below a real directory, by its relative path.
pub fn real_files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(top: &Path, dir: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            let path = entry.path();
            let relative = path
                .strip_prefix(top)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            if kind.is_dir() {
                walk(top, &path, found);
            } else if kind.is_file() {
                found.insert(relative, fs::read(&path).unwrap());
            } else {
                found.insert(relative, format!("{kind:?}").into_bytes());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(dir, dir, &mut found);
    found
}

/// Copies a real directory with what is below it.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (name, bytes) in real_files(from) {
        let target = to.join(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, bytes).unwrap();
    }
}
