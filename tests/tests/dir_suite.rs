//! The directory of the operating system and the simulated one keep every promise of `Dir`.

// A harness that cannot do its work fails the test.
#![allow(clippy::unwrap_used)]

use std::{fs, path::PathBuf};

use flatbao_fs::SystemDir;
use flatbao_mem::{SimDir, SimDisk};
use flatbao_tests::{
    dir_suite::{DirHarness, Plant},
    platform::{scratch, symlink},
};
use tempfile::TempDir;

struct OnDisk {
    root: TempDir,
}

impl OnDisk {
    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn handle(&self, name: &str) -> SystemDir {
        SystemDir::open_ambient(&self.path(name)).unwrap()
    }
}

impl DirHarness for OnDisk {
    type Dir = SystemDir;

    fn fresh() -> Self {
        let this = Self { root: scratch() };
        fs::create_dir(this.path("home")).unwrap();
        fs::create_dir(this.path("other")).unwrap();
        this
    }

    fn open(&self) -> SystemDir {
        self.handle("home")
    }

    fn open_other(&self) -> SystemDir {
        self.handle("other")
    }

    fn plant(&self, at: &str, what: Plant<'_>) -> bool {
        let at = self.path("home").join(at);
        match what {
            Plant::Directory => fs::create_dir(at).unwrap(),
            // A WASI host makes no link that begins with `/`.
            Plant::Link(target) if cfg!(target_os = "wasi") => return symlink(target, at).is_ok(),
            Plant::Link(target) if cfg!(unix) => symlink(target, at).unwrap(),
            Plant::Link(_) => return false,
            #[cfg(unix)]
            Plant::Fifo => {
                let made = std::process::Command::new("mkfifo").arg(at).status();
                assert!(made.unwrap().success());
            }
            #[cfg(not(unix))]
            Plant::Fifo => return false,
        }
        true
    }

    fn displace(&self) -> bool {
        // Windows does not let go of a directory that is open.
        if cfg!(windows) {
            return false;
        }
        fs::rename(self.path("home"), self.path("moved")).unwrap();
        fs::create_dir(self.path("home")).unwrap();
        true
    }
}

struct Simulated {
    disk: SimDisk,
}

impl Simulated {
    fn dir(&self, name: &str) -> SimDir {
        self.disk.file_system("a").plant_dir(name).unwrap()
    }
}

impl DirHarness for Simulated {
    type Dir = SimDir;

    fn fresh() -> Self {
        Self {
            disk: SimDisk::new(),
        }
    }

    fn open(&self) -> SimDir {
        self.dir("home")
    }

    fn open_other(&self) -> SimDir {
        self.dir("other")
    }

    fn plant(&self, at: &str, what: Plant<'_>) -> bool {
        let (parents, name) = at.rsplit_once('/').unwrap_or(("", at));
        let dir = parents
            .split('/')
            .filter(|part| !part.is_empty())
            .fold(self.open(), |dir, part| dir.plant_dir(part).unwrap());
        match what {
            Plant::Directory => dir.plant_dir(name).map(drop),
            Plant::Link(target) => dir.plant_link(name, target),
            Plant::Fifo => dir.plant_other(name),
        }
        .unwrap();
        true
    }

    fn restart(self) -> Self {
        Self {
            disk: self.disk.kill(),
        }
    }
}

flatbao_tests::dir_conformance!(system_dir, OnDisk);
flatbao_tests::dir_conformance!(sim_dir, Simulated);
