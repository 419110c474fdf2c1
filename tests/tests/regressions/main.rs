//! What once went wrong: each test holds a promise that was once broken.

// The helpers of a test report by panicking, as the test itself does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod collecting;
mod importing;
mod opening;
mod quirky;
mod reading;

use bao_tree::{BlockSize, io::outboard::PreOrderMemOutboard};
use flatbao_core::{
    Error, ExternalPath, FileName, FlatDir, Hash, HashAndFormat, Recovery, Store, Tag, Uuid,
    store::{BlobInfo, Status},
    tree::{GROUP, PAIR, PREFIX},
};
use flatbao_mem::{SimDir, SimDisk, seeded_env};

pub(crate) type SimStore = Store<FlatDir<SimDir>>;

/// More than any blob of these tests has.
pub(crate) const CAP: u64 = 1 << 30;

/// The machine of one test: the directory of a store, and one beside it that external paths may lead into.
/// A store keeps its lock until it is dropped, so that the next one opens.
pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) dir: SimDir,
    pub(crate) outside: SimDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(SimDisk::new())
    }

    pub(crate) fn of(disk: SimDisk) -> Self {
        Self {
            dir: disk.file_system("disk").plant_dir("store").unwrap(),
            outside: disk.file_system("outside"),
            disk,
        }
    }

    pub(crate) fn backend(&self) -> FlatDir<SimDir> {
        let mut backend = FlatDir::new(self.dir.clone());
        backend
            .grant_external("/outside", self.outside.clone())
            .unwrap();
        backend
    }

    pub(crate) fn open(&self) -> (SimStore, Recovery) {
        Store::open(self.backend(), seeded_env(1)).unwrap()
    }

    pub(crate) fn store(&self) -> SimStore {
        self.open().0
    }

    /// A file outside the store.
    pub(crate) fn put_outside(&self, name: &str, bytes: &[u8]) -> ExternalPath {
        self.outside.plant_file(name, bytes).unwrap();
        ExternalPath::parse(&format!("/outside/{name}")).unwrap()
    }

    pub(crate) fn content(&self, name: &FileName) -> Option<Vec<u8>> {
        self.dir.content(name.to_string())
    }

    pub(crate) fn plant(&self, name: &FileName, bytes: &[u8]) {
        self.dir.plant_file(name.to_string(), bytes).unwrap();
    }

    pub(crate) fn uproot(&self, name: &FileName) {
        self.dir.uproot(name.to_string());
    }

    /// Gives a file of the store another name, behind its back.
    pub(crate) fn rename(&self, from: &FileName, to: &FileName) {
        self.plant(to, &self.content(from).unwrap());
        self.uproot(from);
    }

    /// Writes into a file of the store: handles that are open see it.
    pub(crate) fn change(&self, name: &FileName, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.content(name).unwrap();
        edit(&mut bytes);
        self.dir.change_file(name.to_string(), &bytes).unwrap();
    }

    /// The names of the store's temporary files.
    pub(crate) fn leftovers(&self) -> Vec<FileName> {
        let names = self.dir.entries().into_iter();
        names
            .filter_map(|(name, _)| FileName::parse(&name))
            .filter(FileName::is_ephemeral)
            .collect()
    }
}

/// Bytes of which no two groups are the same.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| u8::try_from((i / 251 + i * 7) % 256).unwrap())
        .collect()
}

/// Four groups of 16 KiB, the last of them not full.
pub(crate) fn four_groups() -> Vec<u8> {
    bytes(50_000)
}

pub(crate) fn uuid(n: u8) -> Uuid {
    Uuid::from_bytes([n; 16])
}

pub(crate) fn tag(name: &str) -> Tag {
    Tag::try_from(name).unwrap()
}

pub(crate) fn set_raw_tag(store: &SimStore, name: &str, hash: Hash) {
    store.set_tag(tag(name), HashAndFormat::raw(hash)).unwrap();
}

/// What the store knows of a blob that it has.
pub(crate) fn info(store: &SimStore, hash: Hash) -> BlobInfo {
    match store.status(hash) {
        Status::Present(info) => info,
        Status::Missing => panic!("{hash} is missing"),
    }
}

/// The whole blob is readable, and is what it should be.
#[track_caller]
pub(crate) fn assert_reads(store: &SimStore, expected: &[u8]) {
    match store.read(Hash::of(expected), CAP) {
        Ok(found) => assert!(found == expected, "other bytes"),
        Err(error) => panic!("{error:?}"),
    }
}

#[track_caller]
pub(crate) fn expect_error<T>(result: Result<T, Error>) -> Error {
    match result {
        Ok(_) => panic!("this should have failed"),
        Err(error) => error,
    }
}

/// A blob of 40 groups beside an outboard of another shape: the tree goes down to chunks of 1 KiB, and the
/// prefix claims that those are groups. All its pairs are right, but for the first one of the second page
/// where that is to be `damaged`: only the size is a lie.
pub(crate) fn plant_outboard_of_chunks(world: &World, damaged: bool) -> (Hash, Vec<u8>) {
    let data = bytes(usize::try_from(40 * GROUP).unwrap());
    let outboard = PreOrderMemOutboard::create(&data, BlockSize::ZERO);
    let hash = Hash::of(&data);
    assert_eq!(Hash::from(outboard.root), hash);
    let mut file = outboard.into_inner_with_prefix();
    let claimed = 640 * GROUP;
    let prefix = usize::try_from(PREFIX).unwrap();
    file[..prefix].copy_from_slice(&claimed.to_le_bytes());
    if damaged {
        // Before the second page stand the root, the pair of its left 512 chunks, and the first page.
        file[usize::try_from(PREFIX + PAIR * (1 + 1 + 255)).unwrap()] ^= 1;
    }
    world.plant(&FileName::Data(hash), &data);
    world.plant(&FileName::Outboard(hash), &file);
    (hash, data)
}
