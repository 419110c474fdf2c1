//! The computer that a story happens on.

use std::{collections::BTreeMap, ffi::OsStr, fmt, io};

use flatbao_core::{
    Backend, Durability, FileName, FlatDir, Hash, Recovery, Result, Store, TempTag, store::GcPlan,
};
use flatbao_mem::{SimDir, SimDisk, Waiting, seeded_env};

use super::{contents::Blob, step::Way};

/// Where the areas of the store are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// All in one directory.
    One,
    /// Each on a file system of its own: publishing copies across.
    Three,
    /// All in one directory, of a file system that is synced as a whole, however few files there are.
    Whole,
}

impl Layout {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::One, Self::Three, Self::Whole];

    /// The directories of the areas that there are.
    #[must_use]
    pub fn areas(self, disk: &SimDisk) -> Vec<SimDir> {
        let names: &[&str] = match self {
            Self::One | Self::Whole => &["complete"],
            Self::Three => &["complete", "partial", "meta"],
        };
        names.iter().map(|name| dir(disk, name, "store")).collect()
    }

    /// A directory outside the store, on the file system of complete blobs, granted as `/outside`.
    #[must_use]
    pub fn outside(self, disk: &SimDisk) -> SimDir {
        dir(disk, "complete", "outside")
    }

    /// The store's back end on this disk.
    fn backend(self, disk: &SimDisk) -> io::Result<FlatDir<SimDir>> {
        disk.sync_whole_from((self == Self::Whole).then_some(1));
        let mut areas = self.areas(disk).into_iter();
        let mut next = || areas.next().ok_or(io::ErrorKind::NotFound);
        let mut flat = match self {
            Self::One | Self::Whole => FlatDir::new(next()?),
            Self::Three => FlatDir::with_areas(next()?, next()?, next()?)?,
        };
        flat.grant_external("/outside", self.outside(disk))
            .map_err(io::Error::other)?;
        Ok(flat)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "one",
            Self::Whole => "whole",
            Self::Three => "three",
        })
    }
}

/// A directory of a disk, made where missing. No story puts anything else in its place.
#[expect(clippy::expect_used)]
fn dir(disk: &SimDisk, file_system: &str, name: &str) -> SimDir {
    let root = disk.file_system(file_system);
    root.plant_dir(name).expect("nothing else bears the name")
}

/// What is explored: how a store is opened, and those of its calls that a mutant gets wrong. The provided methods
/// are the production ones.
pub trait Subject: Sync {
    /// What the store is over.
    type Backend: Backend;

    /// The back end, given the production one.
    fn backend(&self, flat: FlatDir<SimDir>) -> Self::Backend;

    /// Prepares a disk for a process.
    fn prepare(&self, disk: &SimDisk) {
        let _ = disk;
    }

    /// Imports bytes.
    ///
    /// # Errors
    /// As [`Store::import_bytes`].
    fn import(&self, store: &Store<Self::Backend>, bytes: &[u8]) -> Result<Option<TempTag>> {
        store.import_bytes(bytes).map(|imported| Some(imported.tag))
    }

    /// Sweeps, and returns what is gone.
    ///
    /// # Errors
    /// As [`Store::sweep`].
    fn sweep(&self, store: &Store<Self::Backend>, plan: GcPlan) -> Result<Vec<Hash>> {
        let swept = store.sweep(plan)?;
        Ok(swept.removed.iter().map(|item| item.hash).collect())
    }
}

/// The store as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Production;

impl Subject for Production {
    type Backend = FlatDir<SimDir>;

    fn backend(&self, flat: FlatDir<SimDir>) -> FlatDir<SimDir> {
        flat
    }
}

/// A store of the subject, on a disk.
pub(super) type Opened<S> = (Store<<S as Subject>::Backend>, Recovery);

/// Opens the store for writing, with randomness of this seed.
pub(super) fn open<S: Subject>(
    subject: &S,
    layout: Layout,
    disk: &SimDisk,
    seed: u64,
) -> Result<Opened<S>> {
    subject.prepare(disk);
    let flat = layout.backend(disk).map_err(flatbao_core::Error::Source)?;
    Store::open(subject.backend(flat), seeded_env(seed))
}

/// Opens the store for reading.
pub(super) fn open_read_only<S: Subject>(
    subject: &S,
    layout: Layout,
    disk: &SimDisk,
) -> Result<Opened<S>> {
    let flat = layout.backend(disk).map_err(flatbao_core::Error::Source)?;
    Store::open_read_only(subject.backend(flat), seeded_env(0))
}

/// Imports bytes without a sync, and without a promise about power losses.
pub(super) fn import_carelessly(
    layout: Layout,
    disk: &SimDisk,
    bytes: &[u8],
    seed: u64,
) -> Result<()> {
    let flat = layout.backend(disk).map_err(flatbao_core::Error::Source)?;
    let flat = flat.with_durability(Durability::Atomic);
    // Another seed than any that a story opens with.
    let (store, _) = Store::open(flat, seeded_env(seed | 1 << 33))?;
    store.import_bytes(bytes).map(drop)
}

/// A fresh computer: the files to refer to are there, the store is not.
#[expect(clippy::expect_used)]
pub(super) fn fresh(layout: Layout) -> SimDisk {
    let disk = SimDisk::new();
    disk.keep_trace(false);
    let outside = layout.outside(&disk);
    for blob in Blob::ALL {
        outside
            .plant_file(source(blob), blob.bytes())
            .expect("a letter is a name");
    }
    drop(layout.areas(&disk));
    disk
}

/// The file outside that an import by reference refers to.
pub(super) fn source(blob: Blob) -> String {
    format!("source-{blob}")
}

/// The file outside that a blob is exported to, below the granted directory.
pub(super) fn target(blob: Blob, way: Way) -> String {
    match way {
        Way::Copy => format!("new/copy-{blob}"),
        Way::Reference => format!("moved-{blob}"),
        Way::Forget => format!("forgotten-{blob}"),
    }
}

/// The hash of a file below the granted directory.
pub(super) fn outside(layout: Layout, disk: &SimDisk, path: &str) -> Option<[u8; 32]> {
    let dir = layout.outside(disk);
    match path.split_once('/') {
        None => dir.digest(path),
        Some((parent, name)) => dir
            .kind(parent)
            .and_then(|_| dir.plant_dir(parent).ok()?.digest(name)),
    }
}

/// The bytes of a file of the store, in whichever area.
pub(super) fn stored(layout: Layout, disk: &SimDisk, name: &FileName) -> Option<Vec<u8>> {
    let name = name.to_string();
    layout.areas(disk).iter().find_map(|dir| dir.content(&name))
}

/// Writes other bytes into a file of the store, durably, as a failing medium would.
pub(super) fn damage(layout: Layout, disk: &SimDisk, name: &FileName, bytes: &[u8]) {
    for dir in layout.areas(disk) {
        // In the one area where it is.
        let _ = dir.change_file(name.to_string(), bytes);
    }
}

/// A name that means nothing once its writer is gone: its bytes are never read.
pub(super) fn is_scratch(name: &OsStr) -> bool {
    FileName::parse(name).map_or_else(|| is_outgoing(name), |name| name.is_ephemeral())
}

/// The name of a file on its way out of the store.
fn is_outgoing(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".flatbao-")
}

/// What tells two disks apart, whatever random names their files have: the sum of what tells their files apart.
pub(super) fn fingerprint(layout: Layout, disk: &SimDisk) -> u128 {
    let mut sum = 0_u128;
    // The files that bear the same uuid belong together.
    let mut named: BTreeMap<[u8; 16], u128> = BTreeMap::new();
    let mut add = |place: u8, name: &OsStr, typed: Option<FileName>, digest: Option<[u8; 32]>| {
        let digest = digest.unwrap_or_default();
        let (kind, place) = (kind(name), [place]);
        let partial = match typed {
            Some(FileName::PartialData(hash, uuid)) => Some((hash, uuid)),
            Some(FileName::PartialOutboard(hash, uuid)) => Some((hash, uuid)),
            Some(other) if other.is_ephemeral() => {
                return sum = sum.wrapping_add(mix([&place, kind]));
            }
            None if is_outgoing(name) => return sum = sum.wrapping_add(mix([&place, kind])),
            _ => None,
        };
        match partial {
            Some((hash, uuid)) => {
                let line = mix([&place, hash.as_bytes(), kind, &digest]);
                let all = named.entry(*uuid.as_bytes()).or_default();
                *all = all.wrapping_add(line);
            }
            None => sum = sum.wrapping_add(mix([&place, name.as_encoded_bytes(), &digest])),
        }
    };
    let areas = layout.areas(disk);
    for (place, dir) in (1_u8..).zip(&areas) {
        dir.each_digest(&mut |name, digest| add(place, name, FileName::parse(name), digest));
    }
    let outside = layout.outside(disk);
    outside.each_digest(&mut |name, digest| add(0, name, None, digest));
    let groups = named.into_values().map(|all| mix([&all.to_le_bytes()]));
    groups.fold(sum, u128::wrapping_add)
}

/// The hash of these, one after the other.
fn mix<const N: usize>(parts: [&[u8]; N]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    short(&hasher)
}

/// What tells two moments of a disk apart: as [`fingerprint`], with everything that a power loss may take.
pub(super) fn moment(layout: Layout, disk: &SimDisk) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&fingerprint(layout, disk).to_le_bytes());
    let mut uuids: Vec<[u8; 16]> = Vec::new();
    // A random name by how many others there were before.
    let mut named = |hasher: &mut blake3::Hasher, name: &OsStr| {
        let name = match FileName::parse(name) {
            Some(FileName::PartialData(hash, uuid) | FileName::PartialOutboard(hash, uuid)) => {
                let at = uuids.iter().position(|known| known == uuid.as_bytes());
                let at = at.unwrap_or_else(|| {
                    uuids.push(*uuid.as_bytes());
                    uuids.len() - 1
                });
                [hash.as_bytes(), &at.to_le_bytes()[..], kind(name)].concat()
            }
            _ if is_scratch(name) => kind(name).to_vec(),
            _ => name.as_encoded_bytes().to_vec(),
        };
        hasher.update(&name);
    };
    disk.each_waiting(&mut |waiting| match waiting {
        Waiting::Name {
            dir,
            name,
            leads_to,
        } => {
            hasher.update(dir.as_bytes());
            named(&mut hasher, name);
            let digest = leads_to.filter(|_| !is_scratch(name));
            hasher.update(&digest.unwrap_or_default());
            hasher.update(&[u8::from(leads_to.is_some())]);
        }
        Waiting::Bytes { name, .. } if is_scratch(name) => {}
        Waiting::Bytes {
            dir,
            name,
            seen,
            synced,
        } => {
            hasher.update(dir.as_bytes());
            named(&mut hasher, name);
            hasher.update(&seen).update(&synced);
        }
    });
    short(&hasher)
}

/// Whether anything waits for a sync: if not, a kill leaves what a power loss does.
pub(super) fn is_waiting(disk: &SimDisk) -> bool {
    let mut waits = false;
    disk.each_waiting(&mut |_| waits = true);
    waits
}

/// The end of a name: what kind of file it is.
fn kind(name: &OsStr) -> &[u8] {
    let mut parts = name.as_encoded_bytes().rsplit(|byte| *byte == b'.');
    parts.next().unwrap_or_default()
}

/// Half of a hash: enough that two of some millions are never the same by chance.
pub(super) fn short(hasher: &blake3::Hasher) -> u128 {
    let [bytes, _] = *hasher.finalize().as_bytes().as_chunks().0 else {
        return 0;
    };
    u128::from_le_bytes(bytes)
}
