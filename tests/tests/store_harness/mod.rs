//! The places that the tests of the store run on.

// Each test file uses some of them. A harness that cannot do its work fails the test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::{
    ffi::OsStr,
    fs,
    marker::PhantomData,
    path::{Path, PathBuf},
    time::Duration,
};

use flatbao_core::{EntryKind, Env, ExternalPath, FileName, FlatDir, store::Locking};
use flatbao_fs::{FsBackend, SystemDir};
use flatbao_mem::{MemBackend, SeededEnv, SimDir, SimDisk};
use flatbao_tests::{
    backend_suite::BackendHarness,
    platform::{self, symlink},
    store_suite::StoreHarness,
};
use tempfile::TempDir;

/// The direct back end in memory.
pub struct Direct {
    backend: MemBackend,
    env: SeededEnv,
}

impl BackendHarness for Direct {
    type Backend = MemBackend;

    fn fresh() -> Self {
        let backend = MemBackend::new();
        backend.grant_external("/granted").unwrap();
        let env = SeededEnv::new(1);
        Self { backend, env }
    }

    fn open(&self) -> MemBackend {
        self.backend.clone()
    }

    fn put_external(&self, path: &ExternalPath, bytes: &[u8]) {
        self.backend.put_external(path, bytes);
    }

    fn plant(&self, name: &OsStr, kind: EntryKind) -> bool {
        self.backend.plant_other(name, kind);
        true
    }

    fn plant_external(&self, path: &ExternalPath, kind: EntryKind) -> bool {
        if kind == EntryKind::File {
            self.backend.put_external(path, b"planted");
        }
        kind == EntryKind::File
    }
}

impl StoreHarness for Direct {
    fn env(&self) -> Env {
        self.env.env()
    }
}

/// Where the three areas are: file system and directory of each.
pub trait Layout {
    const AREAS: [(&'static str, &'static str); 3];
}

pub struct OneDirectory;

impl Layout for OneDirectory {
    const AREAS: [(&'static str, &'static str); 3] = [("a", "store"); 3];
}

pub struct ThreeDirectories;

impl Layout for ThreeDirectories {
    const AREAS: [(&'static str, &'static str); 3] =
        [("a", "complete"), ("a", "partial"), ("a", "meta")];
}

/// Publishing crosses file systems wherever it changes the area.
pub struct ThreeFileSystems;

impl Layout for ThreeFileSystems {
    const AREAS: [(&'static str, &'static str); 3] =
        [("a", "store"), ("b", "store"), ("c", "store")];
}

/// The production protocol over simulated directories.
pub struct Flat<L> {
    pub disk: SimDisk,
    env: SeededEnv,
    layout: PhantomData<L>,
}

impl<L: Layout> Flat<L> {
    fn area(&self, index: usize) -> SimDir {
        let (file_system, dir) = L::AREAS[index];
        self.disk.file_system(file_system).plant_dir(dir).unwrap()
    }

    fn outside(&self) -> SimDir {
        self.disk.file_system("outside")
    }

    /// The directory of an external path, made where missing, and the name in it.
    fn place<'a>(&self, path: &'a ExternalPath) -> (SimDir, &'a str) {
        let below = path.as_str().strip_prefix("/granted/").unwrap();
        let (parents, name) = below.rsplit_once('/').unwrap_or(("", below));
        let parts = parents.split('/').filter(|part| !part.is_empty());
        let dir = parts.fold(self.outside(), |dir, part| dir.plant_dir(part).unwrap());
        (dir, name)
    }
}

impl<L: Layout> BackendHarness for Flat<L> {
    type Backend = FlatDir<SimDir>;

    fn fresh() -> Self {
        Self {
            disk: SimDisk::new(),
            env: SeededEnv::new(2),
            layout: PhantomData,
        }
    }

    fn open(&self) -> FlatDir<SimDir> {
        let [complete, partial, meta] = [0, 1, 2].map(|index| self.area(index));
        let mut backend = FlatDir::with_areas(complete, partial, meta).unwrap();
        let mut grant = |prefix: &str, dir: SimDir| backend.grant_external(prefix, dir).unwrap();
        grant("/granted", self.outside());
        grant("/granted/inner", self.disk.file_system("inner"));
        grant("/inside", self.disk.file_system(L::AREAS[0].0));
        backend
    }

    fn put_external(&self, path: &ExternalPath, bytes: &[u8]) {
        let (dir, name) = self.place(path);
        match dir.content(name) {
            Some(_) => dir.change_file(name, bytes).unwrap(),
            None => dir.plant_file(name, bytes).unwrap(),
        }
    }

    fn plant(&self, name: &OsStr, kind: EntryKind) -> bool {
        let dir = self.area(FileName::parse(name).map_or(0, |name| name.area() as usize));
        match kind {
            EntryKind::File => dir.plant_file(name, b"planted"),
            EntryKind::Link => dir.plant_link(name, "README"),
            EntryKind::Directory => dir.plant_dir(name).map(drop),
            EntryKind::Other => dir.plant_other(name),
        }
        .unwrap();
        true
    }

    fn plant_external(&self, path: &ExternalPath, kind: EntryKind) -> bool {
        let (dir, name) = self.place(path);
        match kind {
            EntryKind::File => dir.plant_file(name, b"planted"),
            EntryKind::Link => dir.plant_link(name, ".."),
            EntryKind::Directory => dir.plant_dir(name).map(drop),
            EntryKind::Other => dir.plant_other(name),
        }
        .unwrap();
        true
    }

    fn path_on_the_medium(&self, below: &str) -> ExternalPath {
        ExternalPath::parse(&format!("/inside/outside/{below}")).unwrap()
    }

    fn put_shadowed(&self, outer: &[u8], inner: &[u8]) -> Option<ExternalPath> {
        let path = ExternalPath::parse("/granted/inner/file").unwrap();
        self.put_external(&path, outer);
        let shadow = self.disk.file_system("inner");
        shadow.plant_file("file", inner).unwrap();
        Some(path)
    }

    fn path_inside(&self, name: &FileName) -> Option<ExternalPath> {
        let path = format!("/inside/{}/{name}", L::AREAS[0].1);
        Some(ExternalPath::parse(&path).unwrap())
    }

    fn lose_power(&mut self) -> bool {
        self.disk = self.disk.crash();
        true
    }

    fn kill(&mut self) -> bool {
        self.disk = self.disk.kill();
        true
    }
}

impl<L: Layout> StoreHarness for Flat<L> {
    fn env(&self) -> Env {
        self.env.env()
    }
}

/// A directory of the operating system, or three.
pub struct OnDisk<const THREE: bool> {
    root: TempDir,
    env: SeededEnv,
}

impl<const THREE: bool> OnDisk<THREE> {
    fn area(&self, index: usize) -> PathBuf {
        let name = match THREE {
            true => ["complete", "partial", "meta"][index],
            false => "store",
        };
        self.root.path().join(name)
    }
}

impl<const THREE: bool> BackendHarness for OnDisk<THREE> {
    type Backend = FsBackend;

    fn fresh() -> Self {
        let root = platform::scratch();
        let env = SeededEnv::new(3);
        let this = Self { root, env };
        for area in 0..3 {
            fs::create_dir_all(this.area(area)).unwrap();
        }
        for dir in ["outside", "inner"] {
            fs::create_dir(this.root.path().join(dir)).unwrap();
        }
        this
    }

    fn open(&self) -> FsBackend {
        let dir = |at| SystemDir::open_ambient(&self.area(at)).unwrap();
        let mut backend = match THREE {
            true => flatbao_fs::open_areas(dir(0), dir(1), dir(2)).unwrap(),
            false => flatbao_fs::open(dir(0)),
        };
        let mut grant = |prefix: &str, dir: &str| {
            let dir = self.root.path().join(dir);
            flatbao_fs::grant_ambient(&mut backend, prefix, dir).unwrap();
        };
        grant("/granted", "outside");
        grant("/granted/inner", "inner");
        grant("/inside", ".");
        backend
    }

    fn put_external(&self, path: &ExternalPath, bytes: &[u8]) {
        let below = path.as_str().strip_prefix("/granted/").unwrap();
        let path = self.root.path().join("outside").join(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let modified = || fs::metadata(&path).and_then(|found| found.modified()).ok();
        let before = modified();
        loop {
            fs::write(&path, bytes).unwrap();
            // A clock that ticks slowly gives two writes one time.
            if modified() != before {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn plant(&self, name: &OsStr, kind: EntryKind) -> bool {
        let area = FileName::parse(name).map_or(0, |name| name.area() as usize);
        plant(&self.area(area).join(name), kind, "README")
    }

    fn plant_external(&self, path: &ExternalPath, kind: EntryKind) -> bool {
        let below = path.as_str().strip_prefix("/granted/").unwrap();
        let path = self.root.path().join("outside").join(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        plant(&path, kind, "..")
    }

    fn put_shadowed(&self, outer: &[u8], inner: &[u8]) -> Option<ExternalPath> {
        let path = ExternalPath::parse("/granted/inner/file").unwrap();
        self.put_external(&path, outer);
        fs::write(self.root.path().join("inner/file"), inner).unwrap();
        Some(path)
    }

    fn path_inside(&self, name: &FileName) -> Option<ExternalPath> {
        let area = if THREE { "complete" } else { "store" };
        Some(ExternalPath::parse(&format!("/inside/{area}/{name}")).unwrap())
    }
}

/// Puts an entry of this kind at a real path; a link has this target.
fn plant(path: &Path, kind: EntryKind, target: &str) -> bool {
    match kind {
        EntryKind::File => fs::write(path, b"planted").unwrap(),
        EntryKind::Directory => fs::create_dir(path).unwrap(),
        EntryKind::Link => return symlink(target, path).is_ok(),
        #[cfg(unix)]
        EntryKind::Other => {
            assert!(
                std::process::Command::new("mkfifo")
                    .arg(path)
                    .status()
                    .unwrap()
                    .success()
            );
        }
        #[cfg(not(unix))]
        _ => return false,
    }
    let _ = target;
    true
}

impl<const THREE: bool> StoreHarness for OnDisk<THREE> {
    fn env(&self) -> Env {
        self.env.env()
    }

    fn locking(&self) -> Locking {
        platform::options().locking
    }
}
