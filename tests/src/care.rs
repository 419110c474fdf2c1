//! Verification and repair as the tests call them, and what can be proved about a blob, found out naively.

// A test reports by panicking; what it casts is small.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

use std::{collections::BTreeMap, ops::ControlFlow, ops::Range};

use flatbao_core::{
    Backend, ExternalPath, FileName, Hash, PathSet, Store,
    progress::unwatched,
    store::{
        Checked, Depth, Finding, Mending, Outcome, PartialInfo, RepairOptions, Repairing,
        VerifyOptions,
    },
};

pub use crate::files::paths_file as sealed_paths;
use crate::{
    machine::Machine,
    truth::{GROUP, groups_that_read, outboard},
};

/// Looks at everything.
///
/// # Panics
/// When that fails, or what is told does not add up.
pub fn verify<B: Backend>(store: &Store<B>, depth: Depth) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut blobs = Vec::new();
    let mut each = |checked| {
        match checked {
            Checked::Finding(finding) => found.push(finding),
            Checked::Blob { hash, size, ok } => blobs.push((hash, size, ok)),
            other => panic!("{other:?}"),
        }
        ControlFlow::Continue(())
    };
    let options = VerifyOptions::default().depth(depth);
    let verified = store.verify(&options, &mut each, &mut unwatched).unwrap();
    assert_eq!(verified.next, None);
    assert_eq!(verified.blobs, blobs.len() as u64);
    let told = verified.notes + verified.problems + verified.damage;
    assert_eq!(told, found.len() as u64);
    assert!(blobs.is_sorted_by_key(|(hash, ..)| *hash));
    for finding in &found {
        assert!(!finding.to_string().is_empty() && !finding.kind().is_empty());
    }
    found
}

/// Mends what can be mended. Nothing fails.
///
/// # Panics
/// When something does.
pub fn repair<B: Backend>(store: &Store<B>) -> (Vec<Mending>, Vec<Finding>) {
    let (mended, left) = try_repair(store, &RepairOptions::default());
    let done = |(mending, outcome)| match outcome {
        Outcome::Done => mending,
        other => panic!("{mending:?}: {other:?}"),
    };
    (mended.into_iter().map(done).collect(), left)
}

/// Tells what a repair would do.
///
/// # Panics
/// When that fails.
pub fn dry_run<B: Backend>(store: &Store<B>) -> (Vec<Mending>, Vec<Finding>) {
    let (mended, left) = try_repair(store, &RepairOptions::default().dry_run(true));
    let planned = |(mending, outcome)| match outcome {
        Outcome::Planned => mending,
        other => panic!("{mending:?}: {other:?}"),
    };
    (mended.into_iter().map(planned).collect(), left)
}

/// Mends what can be mended, in some other way.
///
/// # Panics
/// When the store cannot be written.
pub fn try_repair<B: Backend>(
    store: &Store<B>,
    options: &RepairOptions,
) -> (Vec<(Mending, Outcome)>, Vec<Finding>) {
    let (mut mended, mut left) = (Vec::new(), Vec::new());
    let mut each = |step| match step {
        Repairing::Mended(mending, outcome) => mended.push((mending, outcome)),
        Repairing::Left(finding) => left.push(finding),
        other => panic!("{other:?}"),
    };
    let repaired = store.repair(options, &mut each, &mut unwatched).unwrap();
    assert_eq!(repaired.left, left.len() as u64);
    (mended, left)
}

/// Bytes, the outboard that goes with them, and whether they are a home, which is hashed as a whole.
type Source<'a> = (Vec<u8>, Option<&'a Vec<u8>>, bool);

/// Which groups of a blob can be proved from the files there are: the right bytes in some home or partial
/// file, and the right pairs above them in an outboard that goes with it, or all of the bytes.
#[must_use]
pub fn provable(machine: &Machine, hash: Hash, truth: &[u8]) -> Vec<bool> {
    let dir = machine.store();
    let files: BTreeMap<FileName, Vec<u8>> = dir
        .entries()
        .into_iter()
        .filter_map(|(name, _)| FileName::parse(&name))
        .filter(|name| name.hash() == Some(hash))
        .filter_map(|name| Some((name.clone(), machine.file(&name)?)))
        .collect();
    let last = FileName::Outboard(hash);
    let is_complete =
        files.contains_key(&FileName::Data(hash)) || files.contains_key(&FileName::Paths(hash));
    let mut sources: Vec<Source<'_>> = Vec::new();
    for (name, bytes) in &files {
        match name {
            FileName::Data(h) if *h == hash => {
                sources.push((bytes.clone(), files.get(&last), true))
            }
            FileName::Paths(h) if *h == hash => {
                for (path, parsed) in PathSet::decode(bytes).unwrap_or_default().iter() {
                    let below = path.strip_prefix("/external/").filter(|_| parsed.is_ok());
                    if let Some(bytes) = below.and_then(|name| machine.outside().content(name)) {
                        sources.push((bytes, files.get(&last), true));
                    }
                }
            }
            FileName::PartialData(h, uuid) if *h == hash => {
                let own = files.get(&FileName::PartialOutboard(hash, *uuid));
                sources.push((bytes.clone(), own.or_else(|| files.get(&last)), false));
                // Beside other homes it is one of them.
                if is_complete {
                    sources.push((bytes.clone(), files.get(&last), false));
                }
            }
            _ => {}
        }
    }
    let count = truth.len().div_ceil(GROUP).max(1);
    let mut good = vec![false; count];
    if sources.is_empty() {
        return good;
    }
    let right = outboard(truth);
    for (bytes, outboard, is_home) in sources {
        for (group, good) in good.iter_mut().enumerate() {
            let range = group * GROUP..truth.len().min((group + 1) * GROUP);
            let is_right = bytes.get(range.clone()) == Some(&truth[range]);
            let is_cut_right = bytes.len() == truth.len();
            let leads = |file: &Vec<u8>| {
                let right = right.as_deref();
                right.is_some_and(|right| leads_to(file, right, group, count, is_cut_right))
            };
            *good |= (is_home && bytes == truth) || (is_right && outboard.is_some_and(leads));
        }
    }
    good
}

/// Whether every pair from the root down to a group is the right one, and the size is, where that matters.
fn leads_to(file: &[u8], right: &[u8], group: usize, count: usize, is_cut_right: bool) -> bool {
    let (mut start, mut count, mut offset) = (0, count, 8);
    let last = count - 1;
    while count > 1 {
        if file.get(offset..offset + 64) != Some(&right[offset..offset + 64]) {
            return false;
        }
        let left = count.next_power_of_two() / 2;
        if group < start + left {
            (count, offset) = (left, offset + 64);
        } else {
            (start, count, offset) = (start + left, count - left, offset + 64 * left);
        }
    }
    group != last || is_cut_right || file[..8] == right[..8]
}

/// Which groups the store can give out, one way or the other: by reading, or as what a partial entry has.
///
/// # Panics
/// When a wrong byte comes out.
pub fn at_hand<B: Backend>(store: &Store<B>, hash: Hash, truth: &[u8]) -> Vec<bool> {
    let mut good = groups_that_read(store, hash, truth);
    for partial in store.partials(hash).unwrap() {
        for group in groups_of(&partial) {
            good[group as usize] = true;
        }
    }
    good
}

/// The groups that a partial entry has.
pub fn groups_of(partial: &PartialInfo) -> impl Iterator<Item = u64> {
    partial.groups.iter().cloned().flatten()
}

/// The groups that are not good, as ranges.
#[must_use]
pub fn missing(good: &[bool]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for group in (0..good.len()).filter(|group| !good[*group]) {
        let group = group as u64;
        match ranges.last_mut() {
            Some(last) if last.end == group => last.end += 1,
            _ => ranges.push(group..group + 1),
        }
    }
    ranges
}

/// Asserts that everything that was good still is.
///
/// # Panics
/// When something is not.
#[track_caller]
pub fn assert_kept(before: &[bool], after: &[bool], told: &str) {
    for (group, (before, after)) in before.iter().zip(after).enumerate() {
        assert!(!before || *after, "{told}: group {group} is lost");
    }
}

/// The bytes of all external files.
#[must_use]
pub fn outside_files(machine: &Machine) -> BTreeMap<String, Option<Vec<u8>>> {
    let dir = machine.outside();
    let entries = dir.entries().into_iter();
    entries
        .map(|(name, _)| (name.to_string_lossy().into_owned(), dir.content(&name)))
        .collect()
}

/// The bytes of a `.paths` file.
#[must_use]
pub fn paths_file(paths: &[&ExternalPath]) -> Vec<u8> {
    let texts: Vec<&str> = paths.iter().map(|path| path.as_str()).collect();
    sealed_paths(&texts)
}
