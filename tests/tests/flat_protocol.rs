//! The durability protocol of `FlatDir`, by what it calls, in which order, and what a power loss leaves.

// The helpers of a test report by panicking, as the test itself does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{ffi::OsStr, io};

use flatbao_core::{
    Backend, BackendError, BatchError, Durability, EntryKind, ExternalPath, FileName, FlatDir,
    Hash, ListedName, Uuid, io::read_full_at, io::write_all_at,
};
use flatbao_core::{Dir as _, ReadAt};
use flatbao_mem::{Fault, Op, OpKind, SimDir, SimDisk};

type Flat = FlatDir<SimDir>;

/// Where the areas are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// One directory.
    One,
    /// Three directories of one file system.
    Three,
    /// Three directories of as many file systems: publishing copies.
    Far,
}

use Layout::{Far, One, Three};

const LAYOUTS: [Layout; 3] = [One, Three, Far];

impl Layout {
    /// The directories of the areas complete, partial, meta, as the trace calls them.
    fn labels(self) -> [&'static str; 3] {
        match self {
            One => ["a/store"; 3],
            Three => ["a/complete", "a/partial", "a/meta"],
            Far => ["a/store", "b/store", "c/store"],
        }
    }

    fn areas(self, disk: &SimDisk) -> [SimDir; 3] {
        self.labels().map(|label| {
            let (file_system, dir) = label.split_once('/').unwrap();
            disk.file_system(file_system).plant_dir(dir).unwrap()
        })
    }

    fn open(self, disk: &SimDisk) -> Flat {
        let [complete, partial, meta] = self.areas(disk);
        FlatDir::with_areas(complete, partial, meta).unwrap()
    }

    /// What the name means to who looks at the disk, with no operation.
    fn content(self, disk: &SimDisk, name: &FileName) -> Option<Vec<u8>> {
        self.areas(disk)[name.area() as usize].content(name.to_string())
    }

    /// Every file of the areas, but the locks.
    fn names(self, disk: &SimDisk) -> Vec<String> {
        let mut names: Vec<_> = self
            .areas(disk)
            .iter()
            .flat_map(SimDir::entries)
            .map(|(name, _)| name.into_string().unwrap())
            .filter(|name| name != "lock")
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

fn data(n: u8) -> FileName {
    FileName::Data(Hash::from_bytes([n; 32]))
}

fn temp(n: u8) -> FileName {
    FileName::Temp(Uuid::from_bytes([n; 16]))
}

fn partial(n: u8) -> FileName {
    FileName::PartialData(Hash::from_bytes([n; 32]), Uuid::from_bytes([n; 16]))
}

/// More than one piece of a copy.
fn bytes(n: u8) -> Vec<u8> {
    (0..70_000u32)
        .map(|i| (i / 7).to_le_bytes()[0] ^ n)
        .collect()
}

type Staged = <Flat as Backend>::Staged;

fn stage(backend: &Flat, name: &FileName, content: &[u8]) -> Staged {
    let mut staged = backend.stage_new(name).unwrap();
    write_all_at(&mut staged, content, 0).unwrap();
    staged
}

fn batch(backend: &Flat, count: u8) -> Vec<(Staged, FileName)> {
    (0..count)
        .map(|n| (stage(backend, &temp(n), &bytes(n)), data(n)))
        .collect()
}

fn put(backend: &Flat, n: u8, content: &[u8]) {
    let staged = stage(backend, &temp(n), content);
    backend.publish(vec![(staged, data(n))]).unwrap();
}

fn read(backend: &Flat, name: &FileName) -> Option<Vec<u8>> {
    let object = backend.open(name).unwrap()?;
    let mut content = vec![0; usize::try_from(object.size().unwrap()).unwrap()];
    let read = read_full_at(&object, &mut content, 0).unwrap();
    assert_eq!(read, content.len());
    Some(content)
}

/// How the machine may go down: process, power, or power with the caches of some file systems written out.
fn ends(disk: &SimDisk) -> Vec<SimDisk> {
    let mut ends = vec![
        disk.fork().crash(),
        disk.fork().crash_keeping_all(),
        disk.fork(),
    ];
    for one in ["a", "b", "c"] {
        ends.push(disk.fork().crash_keeping(|fs| fs == one));
        ends.push(disk.fork().crash_keeping(|fs| fs != one));
    }
    ends
}

/// What was called while `act` ran.
fn traced<T>(disk: &SimDisk, act: impl FnOnce() -> T) -> (T, Vec<Op>) {
    let before = disk.trace().len();
    let value = act();
    (value, disk.trace().split_off(before))
}

fn of_kind(trace: &[Op], kind: OpKind) -> Vec<&Op> {
    trace.iter().filter(|op| op.kind == kind).collect()
}

/// The directories that were synced, in order.
fn synced_dirs(trace: &[Op]) -> Vec<&str> {
    let syncs = of_kind(trace, OpKind::SyncDir);
    syncs.into_iter().map(|op| &*op.dir).collect()
}

fn is_sync_error(error: &BackendError) -> bool {
    matches!(error, BackendError::Sync { .. })
}

#[test]
fn what_is_acknowledged_survives_a_crash() {
    for layout in LAYOUTS {
        let disk = SimDisk::new();
        let backend = layout.open(&disk);
        put(&backend, 1, b"replaced below");
        backend.publish(batch(&backend, 5)).unwrap();
        stage(&backend, &temp(9), b"under way");
        let disk = disk.crash();
        for n in 0..5 {
            assert!(
                layout.content(&disk, &data(n)) == Some(bytes(n)),
                "{layout:?}"
            );
        }
        assert_eq!(layout.names(&disk).len(), 5, "{layout:?}: nothing else");
    }
}

#[test]
fn contents_are_synced_after_the_last_write_and_before_any_rename() {
    for layout in LAYOUTS {
        let disk = SimDisk::new();
        let backend = layout.open(&disk);
        backend.publish(batch(&backend, 4)).unwrap();
        let trace = disk.trace();
        let first_rename = of_kind(&trace, OpKind::Rename)[0].number;
        for n in 0..4 {
            let name = temp(n).to_string();
            let number = |kind| {
                trace
                    .iter()
                    .rfind(|op| op.is(kind, &name) && op.dir == layout.labels()[1].into())
                    .unwrap()
                    .number
            };
            assert!(
                number(OpKind::Write) < number(OpKind::SyncFile),
                "{layout:?}"
            );
            let first_sync = trace
                .iter()
                .find(|op| op.is(OpKind::SyncFile, &name))
                .unwrap();
            assert!(first_sync.number < first_rename, "{layout:?}");
        }
    }
}

#[test]
fn a_batch_of_a_hundred_costs_one_sync_a_directory_destination_first() {
    for layout in LAYOUTS {
        let disk = SimDisk::new();
        let backend = layout.open(&disk);
        let batch = (0..100)
            .map(|n| (stage(&backend, &temp(n), &[n]), data(n)))
            .collect();
        let (result, trace) = traced(&disk, || backend.publish(batch));
        result.unwrap();
        let [complete, partial, _] = layout.labels();
        let expected: &[_] = if layout == One {
            &[complete]
        } else {
            &[complete, partial]
        };
        assert_eq!(synced_dirs(&trace), expected, "{layout:?}");
        let files = if layout == Far { 200 } else { 100 };
        assert_eq!(of_kind(&trace, OpKind::SyncFile).len(), files, "{layout:?}");
        // Names are made durable when all of them are given.
        let last_rename = of_kind(&trace, OpKind::Rename).last().unwrap().number;
        assert!(last_rename < of_kind(&trace, OpKind::SyncDir)[0].number);
        let disk = disk.crash();
        for n in 0..100 {
            assert_eq!(layout.content(&disk, &data(n)), Some(vec![n]), "{layout:?}");
        }
    }
}

/// Where the file system can be synced as a whole that is what many files cost, and few cost one sync each.
#[test]
fn many_files_are_synced_as_a_whole() {
    for layout in LAYOUTS {
        for (count, is_many) in [(15, false), (16, true), (40, true)] {
            let disk = SimDisk::new();
            disk.sync_whole_from(Some(16));
            let backend = layout.open(&disk);
            assert!(backend.batch_size() > 1000);
            let batch = batch(&backend, count);
            let (result, trace) = traced(&disk, || backend.publish(batch));
            result.unwrap();
            let (single, whole) = match (is_many, layout) {
                (false, Far) => (2 * usize::from(count), 0),
                (false, _) => (usize::from(count), 0),
                // Copies are made one by one.
                (true, Far) => (usize::from(count), 1),
                (true, _) => (0, 1),
            };
            let told = format!("{layout:?}, {count} files");
            assert_eq!(of_kind(&trace, OpKind::SyncFile).len(), single, "{told}");
            let wholes = of_kind(&trace, OpKind::SyncWhole);
            assert_eq!(wholes.len(), whole, "{told}");
            // Before any of them has its final name; and the names come last.
            let first_rename = of_kind(&trace, OpKind::Rename)[0].number;
            assert!(wholes.iter().all(|op| op.number < first_rename), "{told}");
            assert_eq!(trace.last().unwrap().kind, OpKind::SyncDir, "{told}");
            let disk = disk.crash();
            for n in 0..count {
                assert!(layout.content(&disk, &data(n)) == Some(bytes(n)), "{told}");
            }
        }
    }
}

/// What is set aside has no handle, and is as durable; where there is no sync of everything it keeps its handle.
#[test]
fn what_was_set_aside_is_published_like_the_rest() {
    for layout in LAYOUTS {
        for whole in [None, Some(16)] {
            let disk = SimDisk::new();
            disk.sync_whole_from(whole);
            let backend = layout.open(&disk);
            let mut batch = batch(&backend, 3);
            for (staged, _) in &mut batch[..2] {
                backend.set_aside(staged).unwrap();
                assert_eq!(staged.size().is_err(), whole.is_some());
            }
            let (result, trace) = traced(&disk, || backend.publish(batch));
            result.unwrap();
            let wholes = of_kind(&trace, OpKind::SyncWhole).len();
            assert_eq!(wholes, usize::from(whole.is_some()), "{layout:?}");
            let disk = disk.crash();
            for n in 0..3 {
                assert!(
                    layout.content(&disk, &data(n)) == Some(bytes(n)),
                    "{layout:?}"
                );
            }
            assert_eq!(layout.names(&disk).len(), 3, "{layout:?}");
        }
    }
}

/// A file that is not what was written is told when it is set aside: later nobody could.
#[test]
fn a_file_of_another_length_is_not_set_aside() {
    let disk = SimDisk::new();
    disk.sync_whole_from(Some(16));
    let backend = One.open(&disk);
    let mut staged = stage(&backend, &temp(1), b"four");
    One.areas(&disk)[0]
        .change_file(temp(1).to_string(), b"fo")
        .unwrap();
    let error = backend.set_aside(&mut staged).unwrap_err();
    assert!(
        matches!(
            error,
            BackendError::Length {
                expected: 4,
                found: 2,
                ..
            }
        ),
        "{error:?}"
    );
}

/// As a failed sync of a file, for all that the file system held.
#[test]
fn a_failed_sync_of_everything_publishes_nothing_and_is_final() {
    for layout in LAYOUTS {
        let disk = SimDisk::new();
        disk.sync_whole_from(Some(16));
        let backend = layout.open(&disk);
        let mut batch = batch(&backend, 20);
        backend.set_aside(&mut batch[7].0).unwrap();
        disk.inject(Fault::on(OpKind::SyncWhole).error(io::ErrorKind::StorageFull));
        let (result, trace) = traced(&disk, || backend.publish(batch));
        let error = result.unwrap_err();
        assert_eq!((error.done, error.unknown), (0, 0), "{layout:?}");
        assert!(is_sync_error(&error.source), "{layout:?}: {error:?}");
        assert_eq!(error.source.io_kind(), Some(io::ErrorKind::StorageFull));
        assert_eq!(of_kind(&trace, OpKind::Rename).len(), 0, "{layout:?}");
        assert_eq!(of_kind(&trace, OpKind::SyncWhole).len(), 1, "{layout:?}");
        assert_eq!(layout.names(&disk), [""; 0], "{layout:?}");
    }
}

/// Two areas may be one directory: it is locked, listed and synced once.
#[test]
fn areas_that_share_a_directory_share_its_sync() {
    let disk = SimDisk::new();
    let dir = |name| disk.file_system("a").plant_dir(name).unwrap();
    let backend = FlatDir::with_areas(dir("x"), dir("y"), dir("x")).unwrap();
    let (lock, trace) = traced(&disk, || backend.lock().unwrap());
    assert_eq!(of_kind(&trace, OpKind::TryLock).len(), 2);
    drop(lock);
    let tags = FileName::TagsTemp(Uuid::from_bytes([1; 16]));
    let batch = vec![
        (stage(&backend, &temp(1), b"data"), data(1)),
        (stage(&backend, &tags, b"tags"), FileName::Tags),
    ];
    let (result, trace) = traced(&disk, || backend.publish(batch));
    result.unwrap();
    assert_eq!(synced_dirs(&trace), ["a/x", "a/y"]);
    let mut listed = 0;
    backend.list(&mut |_| listed += 1).unwrap();
    assert_eq!(listed, 4, "two files, two locks");
}

/// A copy: durable under a temporary name, renamed there, that name durable, and only then the source
/// removed.
/// BI-085.
#[test]
fn a_copy_across_file_systems_keeps_the_source_to_the_end() {
    let disk = SimDisk::new();
    let backend = Far.open(&disk);
    let staged = stage(&backend, &partial(1), &bytes(1));
    let (result, trace) = traced(&disk, || backend.publish(vec![(staged, data(1))]));
    result.unwrap();
    let (complete, copy) = (Far.labels()[0], temp(1).to_string());
    let at = |what: &str, fits: &dyn Fn(&Op) -> bool| {
        let found: Vec<_> = trace.iter().filter(|op| fits(op)).collect();
        assert_eq!(found.len(), 1, "{what}: {trace:#?}");
        found[0].number
    };
    let order = [
        at("copy synced", &|op| op.is(OpKind::SyncFile, &copy)),
        at("copy renamed", &|op| op.is(OpKind::Rename, &copy)),
        at("destination synced", &|op| {
            op.kind == OpKind::SyncDir && *op.dir == *complete
        }),
        at("source removed", &|op| {
            op.is(OpKind::Unlink, partial(1).to_string())
        }),
        at("source synced", &|op| {
            op.kind == OpKind::SyncDir && *op.dir != *complete
        }),
    ];
    assert!(order.is_sorted(), "{order:?}");
    let last_write = trace
        .iter()
        .rfind(|op| op.is(OpKind::Write, &copy))
        .unwrap();
    let measured = trace.iter().rfind(|op| op.is(OpKind::Size, &copy)).unwrap();
    assert!(last_write.number < measured.number && measured.number < order[0]);
    assert_eq!(Far.names(&disk), [data(1).to_string()]);
}

/// A story of calls that is cut short, or disturbed, at each of its operations in turn.
struct Story<R> {
    /// What is there, durably, before.
    prepare: fn(&Flat) -> Vec<(Staged, FileName)>,
    act: fn(&Flat, Vec<(Staged, FileName)>) -> R,
    /// Judges the outcome by what the disk then holds.
    check: fn(&Scene<R>),
}

/// One telling of a story.
struct Scene<R> {
    layout: Layout,
    /// The disk after each of its [`ends`].
    ends: Vec<SimDisk>,
    /// The disk as the process saw it in the end.
    cache: SimDisk,
    result: R,
    told: String,
}

impl<R> Story<R> {
    fn tell(&self) {
        for layout in LAYOUTS {
            let (first, last) = self.scene(layout, |_| None, "undisturbed".into());
            for number in first..last {
                let tell = |mood: &str, fault: &dyn Fn(u64) -> Fault| {
                    let told = format!("{layout:?}: operation {number} of {first}..{last} {mood}");
                    self.scene(layout, |_| Some(fault(number)), told);
                };
                tell("fails", &Fault::at);
                tell("fails after its effect", &|n| Fault::at(n).after_effect());
                tell("and all after it fail", &Fault::from);
                tell("is never called", &Fault::death_at);
            }
        }
    }

    /// The numbers of the first operation of the act, and of the one after it.
    fn scene(
        &self,
        layout: Layout,
        fault: impl Fn(u64) -> Option<Fault>,
        told: String,
    ) -> (u64, u64) {
        let disk = SimDisk::new();
        let backend = layout.open(&disk);
        let batch = (self.prepare)(&backend);
        let first = disk.ops();
        if let Some(fault) = fault(first) {
            disk.inject(fault);
        }
        let (result, trace) = traced(&disk, || (self.act)(&backend, batch));
        let last = disk.ops();
        assert_no_sync_is_retried(&trace, &told);
        (self.check)(&Scene {
            layout,
            ends: ends(&disk),
            cache: disk.kill(),
            result,
            told,
        });
        (first, last)
    }
}

fn assert_no_sync_is_retried(trace: &[Op], told: &str) {
    for (index, failed) in trace.iter().enumerate() {
        if failed.kind.is_sync() && failed.result.is_err() {
            let again = trace[index + 1..].iter().find(|op| {
                op.kind == failed.kind && op.dir == failed.dir && op.name == failed.name
            });
            assert_eq!(again, None, "{told}: after {failed}");
        }
    }
}

impl<R> Scene<R> {
    /// On every disk one of the two has this content.
    fn assert_either(&self, one: &FileName, other: &FileName, content: &[u8]) {
        for disk in &self.ends {
            let there =
                [one, other].map(|n| self.layout.content(disk, n).as_deref() == Some(content));
            assert!(there != [false; 2], "{}: {one} is nowhere", self.told);
        }
    }

    /// The name has one of these contents, on every disk.
    fn assert_one_of(&self, name: &FileName, allowed: &[Option<&[u8]>]) {
        for disk in &self.ends {
            let found = self.layout.content(disk, name);
            let fits = allowed.contains(&found.as_deref());
            assert!(
                fits,
                "{}: {name} has {:?} bytes",
                self.told,
                found.map(|f| f.len())
            );
        }
    }
}

/// Three durable partial files, one of which will replace something.
fn prepare_partials(backend: &Flat) -> Vec<(Staged, FileName)> {
    put(backend, 1, b"old");
    for n in 0..3 {
        stage(backend, &partial(n), &bytes(n));
    }
    backend
        .ensure_durable(&[partial(0), partial(1), partial(2)])
        .unwrap();
    (0..3)
        .map(|n| (backend.resume(&partial(n)).unwrap(), data(n)))
        .collect()
}

fn old(n: u8) -> Option<&'static [u8]> {
    (n == 1).then_some(b"old")
}

#[test]
fn publishing_tells_the_truth_whatever_fails_and_loses_nothing() {
    Story {
        prepare: prepare_partials,
        act: |backend, batch| backend.publish(batch),
        check: |scene: &Scene<Result<(), BatchError>>| {
            let (done, unknown) = match &scene.result {
                Ok(()) => (3, 0),
                Err(error) => (error.done, error.unknown),
            };
            for n in 0..3u8 {
                let (index, new) = (usize::from(n), bytes(n));
                if index < done {
                    scene.assert_one_of(&data(n), &[Some(&new)]);
                } else if index < done + unknown {
                    scene.assert_one_of(&data(n), &[Some(&new), old(n)]);
                    scene.assert_either(&partial(n), &data(n), &new);
                } else {
                    scene.assert_one_of(&data(n), &[old(n)]);
                    // It may be all there is of its blob.
                    scene.assert_one_of(&partial(n), &[Some(&new)]);
                }
            }
            if scene.result.is_ok() {
                let names = scene.layout.names(&scene.cache);
                assert!(!names.contains(&temp(0).to_string()), "{}", scene.told);
            }
        },
    }
    .tell();
}

/// As above, but what counts is the moment: at every end of the story there is the source or the whole
/// destination, also where nobody discards in between.
#[test]
fn at_every_operation_there_is_the_source_or_the_whole_destination() {
    for layout in LAYOUTS {
        let start = || {
            let disk = SimDisk::new();
            let backend = layout.open(&disk);
            let batch = prepare_partials(&backend);
            (disk, backend, batch)
        };
        let (disk, backend, batch) = start();
        let first = disk.ops();
        backend.publish(batch).unwrap();
        for number in first..=disk.ops() {
            let (disk, backend, batch) = start();
            disk.inject(Fault::death_at(number));
            let _ = backend.publish(batch);
            for disk in ends(&disk) {
                for n in 0..3 {
                    let whole = Some(bytes(n));
                    let found = [partial(n), data(n)].map(|name| layout.content(&disk, &name));
                    assert!(found.contains(&whole), "{layout:?}: {n} at {number}");
                    let fits = found[1] == whole || found[1].as_deref() == old(n);
                    assert!(fits, "{layout:?}: {n} at {number}");
                }
                // The next process finds nothing that it does not know how to handle.
                let known = |name: &String| FileName::parse(OsStr::new(name)).is_some();
                assert!(layout.names(&disk).iter().all(known));
            }
        }
    }
}

#[test]
fn removing_tells_the_truth_whatever_fails() {
    Story {
        prepare: |backend| {
            for n in 0..4 {
                put(backend, n, &bytes(n));
            }
            Vec::new()
        },
        act: |backend, _| backend.remove(&[data(0), data(1), data(9), data(2)]),
        check: |scene: &Scene<Result<(), BatchError>>| {
            let (done, unknown) = match &scene.result {
                Ok(()) => (4, 0),
                Err(error) => (error.done, error.unknown),
            };
            for (index, n) in [(0, 0), (1, 1), (3, 2)] {
                let there = bytes(n);
                let allowed: &[Option<&[u8]>] = match index {
                    _ if index < done => &[None],
                    _ if index < done + unknown => &[None, Some(&there)],
                    _ => &[Some(&there)],
                };
                scene.assert_one_of(&data(n), allowed);
            }
            scene.assert_one_of(&data(3), &[Some(&bytes(3))]);
        },
    }
    .tell();
}

#[test]
fn demoting_loses_nothing_whatever_fails() {
    Story {
        prepare: |backend| {
            put(backend, 1, &bytes(1));
            Vec::new()
        },
        act: |backend, _| backend.demote(&data(1), &partial(1)),
        check: |scene| {
            scene.assert_either(&data(1), &partial(1), &bytes(1));
            let whole = bytes(1);
            let both = [None, Some(&*whole)];
            scene.assert_one_of(
                &data(1),
                if scene.result.is_ok() {
                    &both[..1]
                } else {
                    &both
                },
            );
            scene.assert_one_of(
                &partial(1),
                if scene.result.is_ok() {
                    &both[1..]
                } else {
                    &both
                },
            );
        },
    }
    .tell();
}

#[test]
fn ensuring_durability_tells_the_truth_whatever_fails() {
    Story {
        prepare: |backend| {
            stage(backend, &partial(1), &bytes(1));
            stage(backend, &partial(2), &bytes(2));
            Vec::new()
        },
        act: |backend, _| backend.ensure_durable(&[partial(1), partial(2)]),
        check: |scene| {
            if scene.result.is_ok() {
                for n in 1..3 {
                    scene.assert_one_of(&partial(n), &[Some(&bytes(n))]);
                }
            }
        },
    }
    .tell();
}

/// A file that is demoted need not have been published by this process, nor durably.
#[test]
fn demoting_makes_durable_what_a_dead_process_left() {
    for layout in LAYOUTS {
        let disk = SimDisk::new();
        let careless = layout.open(&disk).with_durability(Durability::Atomic);
        put(&careless, 1, &bytes(1));
        let disk = disk.kill();
        layout.open(&disk).demote(&data(1), &partial(1)).unwrap();
        let disk = disk.crash();
        let content = layout.content(&disk, &partial(1));
        assert!(content == Some(bytes(1)), "{layout:?}");
        assert_eq!(layout.names(&disk), [partial(1).to_string()], "{layout:?}");
    }
}

#[test]
fn ensuring_durability_syncs_each_file_and_then_the_directory_once() {
    let disk = SimDisk::new();
    let backend = One.open(&disk);
    let names: Vec<_> = (0..100).map(partial).collect();
    for name in &names {
        stage(&backend, name, b"x");
    }
    let disk = disk.kill();
    let backend = One.open(&disk);
    let (result, trace) = traced(&disk, || backend.ensure_durable(&names));
    result.unwrap();
    assert_eq!(of_kind(&trace, OpKind::SyncFile).len(), 100);
    assert_eq!(synced_dirs(&trace), ["a/store"]);
    assert_eq!(trace.last().unwrap().kind, OpKind::SyncDir);
    let again = disk.fork().kill();
    again.sync_whole_from(Some(16));
    let backend = One.open(&again);
    let (result, trace) = traced(&again, || backend.ensure_durable(&names));
    result.unwrap();
    assert_eq!(of_kind(&trace, OpKind::SyncFile).len(), 0);
    assert_eq!(of_kind(&trace, OpKind::SyncWhole).len(), 1);
    assert_eq!(trace.last().unwrap().kind, OpKind::SyncDir);
    let disk = disk.crash();
    assert!(
        names
            .iter()
            .all(|name| One.content(&disk, name).as_deref() == Some(b"x"))
    );
}

/// Of each directory that may have had files of the blobs: a process that died may have taken some away.
#[test]
fn a_removal_is_durable_by_one_sync_at_the_end() {
    for layout in LAYOUTS {
        let disk = SimDisk::new();
        let backend = layout.open(&disk);
        let names: Vec<_> = (0..50).map(data).collect();
        for n in 0..50 {
            put(&backend, n, &[n]);
        }
        let (result, trace) = traced(&disk, || backend.remove(&names));
        result.unwrap();
        let mut dirs = layout.labels()[..2].to_vec();
        dirs.dedup();
        assert_eq!(synced_dirs(&trace), dirs, "{layout:?}");
        let last = trace
            .iter()
            .rposition(|op| op.kind == OpKind::Unlink)
            .unwrap();
        assert!(
            trace[last + 1..]
                .iter()
                .all(|op| op.kind == OpKind::SyncDir)
        );
        let unlinked: Vec<_> = of_kind(&trace, OpKind::Unlink)
            .iter()
            .map(|op| op.name.to_str().unwrap().to_owned())
            .collect();
        let expected: Vec<_> = names.iter().map(FileName::to_string).collect();
        assert_eq!(unlinked, expected, "in order");
        assert_eq!(layout.names(&disk.crash()), [""; 0], "{layout:?}");
    }
}

/// Wherever a process died while it removed or published, the next one can make it good: what it is told
/// is gone stays gone, what it is told is durable is.
#[test]
fn what_a_process_left_undone_the_next_one_finishes() {
    for layout in LAYOUTS {
        for number in 0.. {
            let disk = SimDisk::new();
            let backend = layout.open(&disk);
            put(&backend, 8, b"content");
            put(&backend, 9, b"content");
            let batch = batch(&backend, 2);
            disk.inject(Fault::death_at(disk.ops() + number));
            let published = backend.publish(batch);
            let removed = backend.remove(&[data(8), data(9)]);
            // Two ways to go on, since the sync of one would do for the other, too.
            let (ensuring, removing) = (disk.fork(), disk.kill());
            let backend = layout.open(&ensuring);
            let found: Vec<_> = (0..2)
                .map(data)
                .filter(|name| read(&backend, name).is_some())
                .collect();
            backend.ensure_durable(&found).unwrap();
            let disk = ensuring.crash();
            for n in 0..2 {
                let expected = found.contains(&data(n)).then(|| bytes(n));
                let content = layout.content(&disk, &data(n));
                assert!(
                    found.is_empty() || content == expected,
                    "{layout:?}: {n} at {number}"
                );
            }
            let backend = layout.open(&removing);
            backend.remove(&[data(8), data(9)]).unwrap();
            let disk = removing.crash();
            for n in 8..10 {
                let content = layout.content(&disk, &data(n));
                assert_eq!(content, None, "{layout:?}: {n} at {number}");
            }
            if published.is_ok() && removed.is_ok() {
                break;
            }
        }
    }
}

/// BI-081.
#[test]
fn a_failed_file_sync_publishes_nothing_and_is_final() {
    for layout in LAYOUTS {
        let disk = SimDisk::new();
        let backend = layout.open(&disk);
        let batch = batch(&backend, 4);
        disk.inject(
            Fault::on_name(OpKind::SyncFile, temp(2).to_string()).error(io::ErrorKind::StorageFull),
        );
        let (result, trace) = traced(&disk, || backend.publish(batch));
        let error = result.unwrap_err();
        assert_eq!((error.done, error.unknown), (0, 0), "{layout:?}");
        assert!(is_sync_error(&error.source), "{layout:?}: {error:?}");
        assert_eq!(error.source.io_kind(), Some(io::ErrorKind::StorageFull));
        assert_eq!(of_kind(&trace, OpKind::Rename).len(), 0);
        assert_no_sync_is_retried(&trace, "publish");
        assert_eq!(
            layout.names(&disk),
            [""; 0],
            "{layout:?}: the files are discarded"
        );
        assert_eq!(layout.names(&disk.crash()), [""; 0]);
    }
}

#[test]
fn a_failed_sync_of_a_copy_publishes_nothing_of_it() {
    let disk = SimDisk::new();
    let backend = Far.open(&disk);
    let batch = batch(&backend, 3);
    let copy = temp(1).to_string();
    disk.inject(Fault::matching(move |op| {
        op.is(OpKind::SyncFile, &copy) && *op.dir == *"a/store"
    }));
    let error = backend.publish(batch).unwrap_err();
    assert_eq!((error.done, error.unknown), (1, 0));
    assert!(is_sync_error(&error.source), "{error:?}");
    assert_eq!(Far.names(&disk), [data(0).to_string()]);
    let disk = disk.crash();
    assert_eq!(Far.content(&disk, &data(0)), Some(bytes(0)));
}

/// BI-081.
#[test]
fn a_failed_directory_sync_leaves_all_unknown_and_is_final() {
    for layout in LAYOUTS {
        for skip in 0..if layout == One { 1 } else { 2 } {
            let disk = SimDisk::new();
            let backend = layout.open(&disk);
            let batch = batch(&backend, 3);
            disk.inject(Fault::on(OpKind::SyncDir).skip(skip));
            let (result, trace) = traced(&disk, || backend.publish(batch));
            let error = result.unwrap_err();
            assert_eq!((error.done, error.unknown), (0, 3), "{layout:?}, {skip}");
            assert!(is_sync_error(&error.source), "{layout:?}: {error:?}");
            assert_no_sync_is_retried(&trace, "publish");
        }
        let disk = SimDisk::new();
        let backend = layout.open(&disk);
        backend.publish(batch(&backend, 3)).unwrap();
        disk.inject(Fault::on(OpKind::SyncDir));
        let error = backend.remove(&[data(0), data(9), data(1)]).unwrap_err();
        assert_eq!((error.done, error.unknown), (0, 3), "{layout:?}");
        assert!(is_sync_error(&error.source));
    }
}

#[test]
fn a_failed_rename_leaves_what_came_before_it() {
    for layout in LAYOUTS {
        for k in 0..4 {
            let disk = SimDisk::new();
            let backend = layout.open(&disk);
            put(&backend, 3, b"before");
            let batch = batch(&backend, 4);
            // Across file systems the first of two attempts fails anyhow.
            let to = data(k).to_string();
            disk.inject(Fault::matching(move |op| {
                let crosses = op.dir.split('/').next()
                    != op.to.as_ref().and_then(|to| to.0.split('/').next());
                op.kind == OpKind::Rename
                    && !crosses
                    && op
                        .to
                        .as_ref()
                        .is_some_and(|(_, name)| **name == *to.as_str())
            }));
            let error = backend.publish(batch).unwrap_err();
            assert_eq!(
                (error.done, error.unknown),
                (usize::from(k), 0),
                "{layout:?}"
            );
            assert!(matches!(error.source, BackendError::Io { .. }), "{error:?}");
            let mut expected: Vec<_> = (0..k).chain([3]).map(|n| data(n).to_string()).collect();
            expected.dedup();
            for disk in [disk.fork(), disk.crash()] {
                assert_eq!(layout.names(&disk), expected, "{layout:?}");
                for n in 0..k {
                    assert!(layout.content(&disk, &data(n)) == Some(bytes(n)));
                }
                assert_eq!(
                    layout.content(&disk, &data(3)).as_deref(),
                    Some(&b"before"[..])
                );
            }
        }
    }
}

#[test]
fn without_durability_nothing_is_synced() {
    for layout in LAYOUTS {
        let disk = SimDisk::new();
        let backend = layout.open(&disk).with_durability(Durability::Atomic);
        backend.publish(batch(&backend, 3)).unwrap();
        backend.ensure_durable(&[data(0)]).unwrap();
        backend.demote(&data(1), &partial(1)).unwrap();
        backend.remove(&[data(2)]).unwrap();
        assert_eq!(disk.syncs(), 0, "{layout:?}");
        let disk = disk.kill();
        let mut expected = [data(0).to_string(), partial(1).to_string()];
        expected.sort();
        assert_eq!(
            layout.names(&disk),
            expected,
            "a dead process takes nothing along"
        );
        assert!(layout.content(&disk, &partial(1)) == Some(bytes(1)));
        assert_eq!(
            layout.names(&disk.crash()),
            [""; 0],
            "a power loss takes everything"
        );
    }
}

/// BI-083.
#[test]
fn short_and_interrupted_transfers_are_survived() {
    for layout in LAYOUTS {
        let disk = SimDisk::new();
        let backend = layout.open(&disk);
        disk.limit_transfer(777);
        let transfers = [OpKind::Read, OpKind::Write];
        disk.inject(
            Fault::matching(move |op| transfers.contains(&op.kind) && op.number % 3 == 0)
                .error(io::ErrorKind::Interrupted)
                .sticky(),
        );
        backend.publish(batch(&backend, 2)).unwrap();
        backend.demote(&data(1), &partial(1)).unwrap();
        for name in [data(0), partial(1)] {
            assert!(
                read(&backend, &name)
                    .is_some_and(|found| found == bytes(u8::from(name != data(0))))
            );
        }
        let disk = disk.crash();
        assert!(
            layout.content(&disk, &data(0)) == Some(bytes(0)),
            "{layout:?}"
        );
        assert!(
            layout.content(&disk, &partial(1)) == Some(bytes(1)),
            "{layout:?}"
        );
    }
}

/// BI-079.
#[test]
fn a_full_disk_publishes_nothing() {
    let disk = SimDisk::new();
    let backend = One.open(&disk);
    disk.limit_space(100_000);
    let first = stage(&backend, &temp(0), &bytes(0));
    let mut second = backend.stage_new(&temp(1)).unwrap();
    let error = write_all_at(&mut second, &bytes(1), 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(
        second.size().unwrap(),
        30_000,
        "as much as there was space for"
    );
    backend.discard(second).unwrap();
    backend.publish(vec![(first, data(0))]).unwrap();
    assert_eq!(One.names(&disk.crash()), [data(0).to_string()]);
}

#[test]
fn a_full_disk_at_the_destination_of_a_copy_publishes_nothing_of_it() {
    let disk = SimDisk::new();
    let backend = Far.open(&disk);
    let batch = batch(&backend, 3);
    disk.limit_space(100_000);
    let error = backend.publish(batch).unwrap_err();
    assert_eq!((error.done, error.unknown), (1, 0));
    assert_eq!(error.source.io_kind(), Some(io::ErrorKind::StorageFull));
    for disk in [disk.fork(), disk.crash()] {
        assert_eq!(
            Far.names(&disk),
            [data(0).to_string()],
            "no copy is left behind"
        );
        assert!(Far.content(&disk, &data(0)) == Some(bytes(0)));
    }
}

#[test]
fn a_file_that_is_shorter_than_written_is_not_published() {
    for layout in LAYOUTS {
        let disk = SimDisk::new();
        let backend = layout.open(&disk);
        let batch = batch(&backend, 2);
        let dir = &layout.areas(&disk)[1];
        dir.change_file(temp(1).to_string(), b"cut").unwrap();
        let error = backend.publish(batch).unwrap_err();
        assert_eq!((error.done, error.unknown), (0, 0));
        match error.source {
            BackendError::Length {
                expected, found, ..
            } => assert_eq!((expected, found), (70_000, 3)),
            other => panic!("{other:?}"),
        }
        assert_eq!(layout.names(&disk), [""; 0], "{layout:?}");
    }
}

/// A source that somebody took away is published from its handle, or not at all; never half.
#[test]
fn a_source_that_vanished_is_told() {
    for layout in LAYOUTS {
        let disk = SimDisk::new();
        let backend = layout.open(&disk);
        let batch = batch(&backend, 3);
        layout.areas(&disk)[1].uproot(temp(1).to_string());
        let result = backend.publish(batch);
        let disk = disk.crash();
        match result {
            Ok(()) => assert!((0..3).all(|n| layout.content(&disk, &data(n)) == Some(bytes(n)))),
            Err(error) => {
                assert_eq!(error.done, 1, "{layout:?}");
                assert!(layout.content(&disk, &data(0)) == Some(bytes(0)));
                assert_eq!(layout.content(&disk, &data(2)), None);
            }
        }
    }
}

/// A copy that a crash interrupted leaves a temporary name where its kind is not at home. It is one of the
/// store's own, so that recovery may remove it; a final name there is not.
#[test]
fn temporary_names_count_in_every_area_and_final_ones_in_their_own() {
    let disk = SimDisk::new();
    let backend = Three.open(&disk);
    let areas = Three.areas(&disk);
    for dir in &areas {
        dir.plant_file(temp(1).to_string(), b"left over").unwrap();
        dir.plant_file(data(1).to_string(), b"data").unwrap();
        dir.plant_file("tags.meta", b"tags").unwrap();
    }
    let (mut typed, mut foreign) = (Vec::new(), 0);
    backend
        .list(&mut |entry| match entry.name {
            ListedName::Typed(name) => typed.push(name.clone()),
            ListedName::Foreign(_) => foreign += 1,
        })
        .unwrap();
    typed.sort();
    assert_eq!(typed, [data(1), temp(1), temp(1), temp(1), FileName::Tags]);
    assert_eq!(foreign, 4);
    backend.remove(&[temp(1), data(1), FileName::Tags]).unwrap();
    let disk = disk.crash();
    let [complete, partial, meta] = Three.areas(&disk).map(|dir| dir.entries().len());
    assert_eq!(
        [complete, partial, meta],
        [1, 2, 1],
        "what is foreign is left alone"
    );
}

#[test]
fn every_directory_is_locked_or_none() {
    for layout in LAYOUTS {
        let disk = SimDisk::new();
        let areas = layout.areas(&disk);
        let backend = layout.open(&disk);
        for dir in &areas {
            let held = dir.try_lock(OsStr::new("lock")).unwrap().unwrap();
            assert!(
                matches!(backend.lock(), Err(BackendError::Busy)),
                "{layout:?}"
            );
            drop(held);
        }
        let lock = backend.lock().unwrap();
        for dir in &areas {
            assert!(dir.try_lock(OsStr::new("lock")).unwrap().is_none());
        }
        // A dead process holds nothing.
        let disk = disk.kill();
        layout.open(&disk).lock().unwrap();
        drop(lock);
    }
}

#[test]
fn an_external_path_leads_to_regular_files_below_its_grant() {
    let disk = SimDisk::new();
    let mut backend = One.open(&disk);
    let outside = disk.file_system("outside");
    let sub = outside.plant_dir("sub").unwrap();
    sub.plant_file("file", b"content").unwrap();
    sub.plant_link("link", "file").unwrap();
    sub.plant_other("pipe").unwrap();
    outside.plant_link("door", "sub").unwrap();
    outside.plant_link("escape", "/etc").unwrap();
    outside.plant_link("up", "../x").unwrap();
    backend.grant_external("/out", outside).unwrap();
    let open = |path: &str| backend.external(&ExternalPath::parse(path).unwrap());
    for path in ["/out/sub/file", "/out/door/file"] {
        assert_eq!(open(path).unwrap().size().unwrap(), 7);
    }
    for (path, expected) in [("link", EntryKind::Link), ("pipe", EntryKind::Other)] {
        match open(&format!("/out/sub/{path}")) {
            Err(BackendError::NotAFile { kind, .. }) => assert_eq!(kind, expected),
            other => panic!("{other:?}"),
        }
    }
    for (path, kind) in [
        ("/out/escape/passwd", io::ErrorKind::PermissionDenied),
        ("/out/up/file", io::ErrorKind::PermissionDenied),
        ("/out/sub/file/x", io::ErrorKind::NotADirectory),
        ("/out/nothing/x", io::ErrorKind::NotFound),
    ] {
        assert_eq!(open(path).unwrap_err().io_kind(), Some(kind), "{path}");
    }
}
