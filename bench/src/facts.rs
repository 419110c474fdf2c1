//! What the numbers depend on.

use std::{env, fs, path::Path, process::Command, thread};

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// When, where and with what it was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) date: String,
    pub(crate) cores: usize,
    pub(crate) processor: String,
    /// The widest instructions that BLAKE3 uses.
    pub(crate) instructions: String,
    /// Bytes of memory.
    pub(crate) memory: Option<u64>,
    pub(crate) kernel: String,
    pub(crate) file_system: String,
    pub(crate) compiler: String,
    /// Names and versions of those that were measured.
    pub(crate) peers: Vec<String>,
}

/// The packages whose versions are told.
const PEERS: [&str; 5] = ["iroh-blobs", "iroh-bytes", "bao-tree", "cacache", "blake3"];

impl Facts {
    /// Of this machine, and the file system that `place` is on.
    pub(crate) fn gather(place: &Path) -> Result<Self> {
        let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| env::consts::ARCH.into());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Ok(Self {
            date: told(Command::new("date").args(["-u", "+%Y-%m-%d"])),
            cores: thread::available_parallelism()?.get(),
            processor: cpu,
            instructions: instructions().to_owned(),
            memory: memory(),
            kernel: format!("{} {}", env::consts::OS, kernel.trim()),
            file_system: file_system(place),
            compiler: told(Command::new("rustc").arg("--version")),
            peers: versions(),
        })
    }

    /// Whether these are the same, whenever that was.
    pub(crate) fn are_those_of(&self, other: &Self) -> bool {
        let mut same = self.clone();
        same.date.clone_from(&other.date);
        same == *other
    }

    /// In sentences.
    #[allow(clippy::cast_precision_loss, reason = "less than 2^53 bytes of memory")]
    pub(crate) fn tell(&self, rounds: usize) -> String {
        let medians = match rounds {
            1 => "one round".to_owned(),
            _ => format!("medians of {rounds} rounds"),
        };
        let memory = self.memory.map_or_else(String::new, |bytes| {
            format!(", {:.0} GB of memory", bytes as f64 / 1e9)
        });
        format!(
            "Measured on {}: {medians}, on {} with {} cores and {}{memory}; {}, the files on {}; {}; {}.",
            self.date,
            self.processor,
            self.cores,
            self.instructions,
            self.kernel,
            self.file_system,
            self.compiler,
            self.peers.join(", "),
        )
    }
}

/// What a program prints, or nothing where there is no such program.
fn told(command: &mut Command) -> String {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success());
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// The kind of file system, where the system tells.
fn file_system(place: &Path) -> String {
    let table = told(Command::new("df").arg("--output=fstype").arg(place));
    let kind = table.lines().nth(1);
    kind.map_or(table.clone(), |kind| kind.trim().to_owned())
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory() -> Option<u64> {
    let kib: u64 = field("/proc/meminfo", "MemTotal")?
        .strip_suffix(" kB")?
        .parse()
        .ok()?;
    Some(kib * 1024)
}

fn instructions() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
            return "AVX-512";
        }
        if is_x86_feature_detected!("avx2") {
            return "AVX2";
        }
        "SSE"
    }
    #[cfg(not(target_arch = "x86_64"))]
    match cfg!(target_arch = "aarch64") {
        true => "NEON",
        false => "no vector instructions",
    }
}

/// As the lock file has them; of some there is one for each peer that needs it.
fn versions() -> Vec<String> {
    let lock = include_str!("../Cargo.lock");
    let versions = |name: &str| {
        let begin = format!("name = \"{name}\"\nversion = \"");
        let found = lock.split(&begin).skip(1);
        let found: Vec<&str> = found.filter_map(|rest| rest.split('"').next()).collect();
        format!("{name} {}", found.join(" and "))
    };
    PEERS.into_iter().map(versions).collect()
}
