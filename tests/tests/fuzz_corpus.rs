//! What the fuzz targets hold, of the committed corpus and of mutations of it, the same in every run.
//!
//! A fuzzer goes on from there: see `fuzz/README.md`.

// A search in simulated memory, in which no platform takes part: under WASI it would only take longer.
#![cfg(not(target_os = "wasi"))]
// A test reports by panicking, and so do its helpers; what it casts is small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::{collections::BTreeSet, fs, path::PathBuf, thread};

use flatbao_tests::fuzz::{
    TARGETS, Target,
    seeds::{Seed, seeds},
};

/// Bytes that a fuzzer takes for a script at most.
const MAX_LEN: usize = 4096;

fn corpus() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus"))
}

/// The files of one target, by name and in the order of their names.
fn files(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(corpus().join(target)).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// Tells the bytes that a target has panicked over.
struct Told<'a>(&'a str, &'a [u8]);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let hex: String = self.1.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("{} fails over {hex}", self.0);
        }
    }
}

fn run(target: Target, bytes: &[u8]) {
    let _told = Told(target.name, bytes);
    (target.run)(bytes);
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound.max(1)
    }
}

/// The bytes with one to four changes, some of them from another file.
fn mutated(numbers: &mut Numbers, bytes: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        match numbers.below(7) {
            0 | 1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << numbers.below(8);
                }
            }
            2 | 3 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = numbers.below(256) as u8;
                }
            }
            4 => bytes.insert(at, numbers.below(256) as u8),
            5 => {
                let end = (at + 1 + numbers.below(8)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let start = numbers.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend(&other[start..]);
            }
        }
    }
    bytes.truncate(MAX_LEN);
    bytes
}

fn holds(name: &str) {
    let target = TARGETS.into_iter().find(|target| target.name == name);
    let target = target.unwrap();
    let files = files(name);
    assert!(!files.is_empty());
    for (_, bytes) in &files {
        run(target, bytes);
    }
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for turn in 0..target.mutations {
        let bytes = &files[turn % files.len()].1;
        let other = &files[numbers.below(files.len())].1;
        run(target, &mutated(&mut numbers, bytes, other));
    }
}

#[test]
fn file_name() {
    holds("file_name");
}

#[test]
fn tags() {
    holds("tags");
}

#[test]
fn paths() {
    holds("paths");
}

#[test]
fn outboard_pair() {
    holds("outboard_pair");
}

#[test]
fn bao_stream() {
    holds("bao_stream");
}

#[test]
fn directory() {
    holds("directory");
}

/// Every folder of the corpus is that of a target and the other way round, and so is every program.
#[test]
fn every_target_has_its_corpus_and_its_program() {
    let names = |folder: PathBuf| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap();
        let name = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        entries.map(|entry| name(entry.unwrap().path())).collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.into()).collect();
    assert_eq!(names(corpus()), targets);
    assert_eq!(names(corpus().join("../fuzz_targets")), targets);
}

/// What a run has found is chosen before it is committed: the corpus is read by every test run, and by people.
#[test]
fn the_corpus_is_small() {
    let files: Vec<_> = TARGETS
        .iter()
        .flat_map(|target| files(target.name))
        .collect();
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(
        files.len() <= 250 && bytes <= 200_000,
        "{} files, {bytes} bytes",
        files.len()
    );
}

/// The corpus has what was written by hand, as it is written now, under names of their own.
#[test]
fn what_is_written_by_hand_is_in_the_corpus() {
    let seeds = seeds();
    let names: BTreeSet<_> = seeds.iter().map(|seed| (seed.target, &seed.name)).collect();
    assert_eq!(names.len(), seeds.len());
    for Seed {
        target,
        name,
        bytes,
    } in seeds
    {
        let file = fs::read(corpus().join(target).join(&name));
        assert!(
            file.is_ok_and(|file| file == bytes),
            "{target}/{name}: run `write_seeds`"
        );
    }
}

/// `cargo test --package flatbao-tests --test fuzz_corpus -- --ignored write_seeds`
#[test]
#[ignore = "writes into the source tree"]
fn write_seeds() {
    for Seed {
        target,
        name,
        bytes,
    } in seeds()
    {
        let folder = corpus().join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    }
}
