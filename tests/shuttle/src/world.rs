//! A store on a simulated disk, and what is there to begin with.

use std::{
    collections::BTreeMap,
    io,
    sync::{LazyLock, Mutex},
};

use flatbao_core::{
    BlobFormat, ChunkRanges, Entropy, Env, Error, ExternalPath, FlatDir, Hash, HashAndFormat,
    HashSeq, Store, Tag, TempTag,
    progress::unwatched,
    store::{GcPlan, Location, ReceiveOptions, State},
};
use flatbao_mem::{MemBackend, SimClock, SimDir, SimDisk, SimEntropy, seeded_env};

use crate::points::PointDir;

/// The store that is explored.
pub type PointStore = Store<FlatDir<PointDir>>;

/// A blob of two groups: it has an outboard.
pub static BLOB: LazyLock<Vec<u8>> = LazyLock::new(|| content(20_000, 7));
/// Another one, which a sequence may list.
pub static CHILD: LazyLock<Vec<u8>> = LazyLock::new(|| content(10, 3));
/// A sequence of that one.
pub static LIST: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let list: HashSeq = [Hash::of(&CHILD)].into_iter().collect();
    list.encode()
});

fn content(len: usize, step: usize) -> Vec<u8> {
    (0..len).map(|at| (at * step % 251) as u8).collect()
}

/// What is there before threads begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Setup {
    /// Nothing.
    Absent,
    /// The blob, found at open: nobody has proved it in this opening.
    Found,
    /// The blob, imported in this opening, and protected by nothing.
    Proved,
    /// The blob as it was found, with the tag `t`.
    Tagged,
    /// The blob, held by a temporary tag.
    Held,
    /// A group of the blob.
    Partial,
    /// The blob, in a file outside that the store refers to.
    External,
    /// The sequence and its child, found at open.
    Sequence,
    /// The child alone, found at open.
    Child,
}

/// All there are.
pub const SETUPS: &[Setup] = &[
    Setup::Absent,
    Setup::Found,
    Setup::Proved,
    Setup::Tagged,
    Setup::Held,
    Setup::Partial,
    Setup::External,
    Setup::Sequence,
    Setup::Child,
];

/// What somebody holds on to.
#[derive(Default)]
pub struct Kept {
    /// Temporary tags.
    pub tags: Vec<TempTag>,
    /// The plan of a collection.
    pub plan: Option<GcPlan>,
}

/// A disk with a store on it, and what somebody held at the beginning.
pub struct World {
    /// The disk.
    pub disk: SimDisk,
    /// The store, open.
    pub store: PointStore,
    /// For the first of the two who act.
    pub kept: Kept,
}

impl World {
    /// A world that begins like this. The first one is made, the others are copies.
    pub fn new(setup: Setup) -> Self {
        static DISKS: Mutex<BTreeMap<Setup, SimDisk>> = Mutex::new(BTreeMap::new());
        // Made before anybody acts: every schedule must lead to the same places.
        stream(&ChunkRanges::all());
        let known = DISKS.lock().unwrap().get(&setup).map(SimDisk::fork);
        let disk = known.unwrap_or_else(|| {
            let disk = setup.disk();
            DISKS.lock().unwrap().insert(setup, disk.fork());
            disk
        });
        disk.keep_trace(false);
        let store = open(&disk);
        let mut kept = Kept::default();
        if matches!(setup, Setup::Proved | Setup::Held) {
            let imported = store.import_bytes(&BLOB).unwrap();
            kept.tags
                .extend((setup == Setup::Held).then_some(imported.tag));
        }
        Self { disk, store, kept }
    }

    /// What is in the store and outside, as the opening at hand has it.
    pub fn state(&self) -> String {
        state(&self.store, &outside(&self.disk))
    }
}

impl Setup {
    fn disk(self) -> SimDisk {
        let disk = SimDisk::new();
        outside(&disk).plant_file("source", &BLOB).unwrap();
        let store = open(&disk);
        match self {
            Self::Absent | Self::Proved | Self::Held => {}
            Self::Found => drop(store.import_bytes(&BLOB).unwrap()),
            Self::Tagged => {
                let imported = store.import_bytes(&BLOB).unwrap();
                store.set_tag(tag("t"), imported.tag.value()).unwrap();
            }
            Self::Partial => {
                let first = ChunkRanges::of_groups(..1);
                let options = ReceiveOptions::default();
                let stream = stream(&first);
                let hash = Hash::of(&BLOB);
                let received =
                    store.receive_with(hash, &first, &stream[..], options, &mut unwatched);
                assert!(!received.unwrap().is_complete);
            }
            Self::External => drop(store.import_reference(&path("source")).unwrap()),
            Self::Sequence => {
                drop(store.import_bytes(&CHILD).unwrap());
                drop(store.import_bytes(&LIST).unwrap());
            }
            Self::Child => drop(store.import_bytes(&CHILD).unwrap()),
        }
        drop(store);
        disk
    }
}

/// Opens the store on a disk: nothing is left over there, and nothing half.
pub fn open(disk: &SimDisk) -> PointStore {
    let (store, recovery) = Store::open(backend(disk), env()).unwrap();
    assert!(recovery.removed.is_empty(), "left over: {recovery:?}");
    assert!(recovery.completed.is_empty(), "interrupted: {recovery:?}");
    assert!(recovery.unpaired.is_empty(), "half: {recovery:?}");
    assert!(recovery.orphan_outboards.is_empty(), "half: {recovery:?}");
    assert_eq!(recovery.odd_count, 0, "foreign: {recovery:?}");
    store
}

/// Each thread draws for itself: what it draws must not depend on who was first.
#[derive(Default)]
struct Draws(Mutex<BTreeMap<usize, SimEntropy>>);

impl Entropy for Draws {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        let who = usize::from(shuttle::current::me());
        let mut all = self.0.lock().unwrap();
        let own = all
            .entry(who)
            .or_insert_with(|| SimEntropy::new(10 + who as u64));
        own.fill(bytes)
    }
}

fn env() -> Env {
    Env::new(SimClock::new(), Draws::default())
}

/// What is on a disk, as somebody finds it who opens the store for reading.
pub fn state_of(disk: &SimDisk) -> String {
    state(&open_read_only(disk), &outside(disk))
}

/// A view of a disk.
pub fn open_read_only(disk: &SimDisk) -> PointStore {
    Store::open_read_only(backend(disk), seeded_env(2))
        .unwrap()
        .0
}

fn backend(disk: &SimDisk) -> FlatDir<PointDir> {
    let store = disk.file_system("disk").plant_dir("store").unwrap();
    let mut backend = FlatDir::new(PointDir::new(store, "store"));
    backend
        .grant_external("/external", PointDir::new(outside(disk), "outside"))
        .unwrap();
    backend
}

/// The directory outside the store.
pub fn outside(disk: &SimDisk) -> SimDir {
    disk.file_system("disk").plant_dir("outside").unwrap()
}

/// A file there.
pub fn path(name: &str) -> ExternalPath {
    ExternalPath::parse(&format!("/external/{name}")).unwrap()
}

/// A tag of this name.
pub fn tag(name: &str) -> Tag {
    Tag::try_from(name).unwrap()
}

/// The blob itself, and nothing that it may list.
pub fn raw(bytes: &[u8]) -> HashAndFormat {
    HashAndFormat::raw(Hash::of(bytes))
}

/// The stream of these chunks of the blob.
pub fn stream(ranges: &ChunkRanges) -> Vec<u8> {
    static STREAMS: Mutex<Vec<(ChunkRanges, Vec<u8>)>> = Mutex::new(Vec::new());
    let known = STREAMS
        .lock()
        .unwrap()
        .iter()
        .find(|(known, _)| known == ranges)
        .cloned();
    if let Some((_, stream)) = known {
        return stream;
    }
    let store = Store::open(MemBackend::default(), seeded_env(3)).unwrap().0;
    let imported = store.import_bytes(&BLOB).unwrap();
    let mut stream = Vec::new();
    store.send(imported.hash, ranges, &mut stream).unwrap();
    STREAMS
        .lock()
        .unwrap()
        .push((ranges.clone(), stream.clone()));
    stream
}

/// What an error is, without what it is about.
pub fn said(error: &Error) -> String {
    let text = format!("{error:?}");
    let words: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.starts_with(char::is_uppercase))
        .take(2)
        .collect();
    words.join(" ")
}

/// Blobs with where they are and what reads of them, tags, files outside. No byte of it may be wrong.
fn state(store: &PointStore, outside: &SimDir) -> String {
    let mut all = Vec::new();
    for info in store.blobs() {
        let name = name_of(info.hash);
        let at = match info.location {
            Location::Owned => "owned",
            Location::External => "external",
            Location::Both => "both",
        };
        all.push(match info.state {
            State::Complete => match store.read(info.hash, 1 << 20) {
                Ok(bytes) => {
                    assert_eq!(Hash::of(&bytes), info.hash, "wrong bytes");
                    format!("{name} {at}")
                }
                Err(error) => format!("{name} {at} unreadable: {}", said(&error)),
            },
            State::Partial => {
                let available = store.available(info.hash).unwrap();
                format!("{name} partial {}", available.verified())
            }
        });
    }
    for (tag, value) in store.tags().unwrap().iter() {
        let list = if value.format == BlobFormat::HashSeq {
            " as a list"
        } else {
            ""
        };
        all.push(format!("tag {}={}{list}", tag, name_of(value.hash)));
    }
    for (file, _) in outside.entries() {
        let bytes = outside.content(&file).unwrap();
        all.push(format!(
            "file {}={}",
            file.display(),
            name_of(Hash::of(&bytes))
        ));
    }
    all.join(", ")
}

/// What the tests call a blob.
pub fn name_of(hash: Hash) -> &'static str {
    let known = [(&*BLOB, "blob"), (&*CHILD, "child"), (&*LIST, "list")];
    let found = known.iter().find(|(bytes, _)| Hash::of(bytes) == hash);
    found.map_or("something else", |(_, name)| name)
}
