//! The conformance suite over everything that lives in memory.

// The helpers of a test report by panicking, as the test itself does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{ffi::OsStr, marker::PhantomData};

use flatbao_core::{EntryKind, ExternalPath, FileName, FlatDir};
use flatbao_mem::{MemBackend, SimDir, SimDisk};
use flatbao_tests::{backend_conformance, backend_suite::BackendHarness};

/// The direct back end.
struct Direct(MemBackend);

impl BackendHarness for Direct {
    type Backend = MemBackend;

    fn fresh() -> Self {
        let backend = MemBackend::new();
        backend.grant_external("/granted").unwrap();
        Self(backend)
    }

    fn open(&self) -> MemBackend {
        self.0.clone()
    }

    fn put_external(&self, path: &ExternalPath, bytes: &[u8]) {
        self.0.put_external(path, bytes);
    }

    fn plant(&self, name: &OsStr, kind: EntryKind) -> bool {
        self.0.plant_other(name, kind);
        true
    }
}

/// Where the three areas are: file system and directory of each.
trait Layout {
    const AREAS: [(&'static str, &'static str); 3];
}

struct OneDirectory;

impl Layout for OneDirectory {
    const AREAS: [(&'static str, &'static str); 3] = [("a", "store"); 3];
}

struct ThreeDirectories;

impl Layout for ThreeDirectories {
    const AREAS: [(&'static str, &'static str); 3] =
        [("a", "complete"), ("a", "partial"), ("a", "meta")];
}

/// Publishing crosses file systems wherever it changes the area.
struct ThreeFileSystems;

impl Layout for ThreeFileSystems {
    const AREAS: [(&'static str, &'static str); 3] =
        [("a", "store"), ("b", "store"), ("c", "store")];
}

/// The production protocol over simulated directories.
struct Flat<L> {
    disk: SimDisk,
    layout: PhantomData<L>,
}

impl<L: Layout> Flat<L> {
    fn area(&self, index: usize) -> SimDir {
        let (file_system, dir) = L::AREAS[index];
        self.disk.file_system(file_system).make_dir(dir).unwrap()
    }

    fn outside(&self) -> SimDir {
        self.disk.file_system("outside")
    }
}

impl<L: Layout> BackendHarness for Flat<L> {
    type Backend = FlatDir<SimDir>;

    fn fresh() -> Self {
        Self {
            disk: SimDisk::new(),
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
        let below = path.as_str().strip_prefix("/granted/").unwrap();
        let mut parts: Vec<_> = below.split('/').collect();
        let name = parts.pop().unwrap();
        let dir = parts
            .into_iter()
            .fold(self.outside(), |dir, part| dir.make_dir(part).unwrap());
        match dir.content(name) {
            Some(_) => dir.change_file(name, bytes).unwrap(),
            None => dir.plant_file(name, bytes).unwrap(),
        }
    }

    fn plant(&self, name: &OsStr, kind: EntryKind) -> bool {
        // What belongs to an area has to be there; anything else is foreign anywhere.
        let index = FileName::parse(name).map_or(0, |name| name.area() as usize);
        let dir = self.area(index);
        match kind {
            EntryKind::File => dir.plant_file(name, b"planted"),
            EntryKind::Link => dir.plant_link(name, "README"),
            EntryKind::Directory => dir.make_dir(name).map(drop),
            EntryKind::Other => dir.plant_other(name),
        }
        .unwrap();
        true
    }

    fn put_shadowed(&self, outer: &[u8], inner: &[u8]) -> Option<ExternalPath> {
        let path = ExternalPath::parse("/granted/inner/file").unwrap();
        self.put_external(&path, outer);
        self.disk
            .file_system("inner")
            .plant_file("file", inner)
            .unwrap();
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

backend_conformance!(direct, Direct);
backend_conformance!(one_directory, Flat<OneDirectory>);
backend_conformance!(three_directories, Flat<ThreeDirectories>);
backend_conformance!(three_file_systems, Flat<ThreeFileSystems>);
