//! Export on a disk that loses power, fails and says so: wherever it stops, the blob is whole in the store or
//! in the file, and under the file's name there is never anything but the whole blob (DURABILITY.md, "export
//! move").

// A test reports by panicking, and so do its helpers; what it casts is small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod common;

use std::{io, thread};

use common::{
    GROUP, Machine, SimStore, assert_reads, assert_typed, bytes,
    faults::{Count, FROM_THEN_ON, KINDS, LYING, ONCE, Way, never_synced_again},
    fresh_env, outboard, picture, raw, read, tag,
};
use flatbao_core::{
    BackendError, Durability, EntryKind, Error, ExternalPath, FileName, FlatDir, Hash, NotWritable,
    PathError, Result, Store,
    progress::unwatched,
    store::{ExportMethod, ExportMode, ExportOptions, Location, Status},
};
use flatbao_mem::{Fault, Moments, Op, OpKind, SimDir};

/// Bytes from which on an export by reference gives the data away.
const THRESHOLD: usize = 131_072;

/// One export, and what is there before it.
#[derive(Clone, Copy, Debug)]
struct Case {
    mode: ExportMode,
    size: usize,
    path: &'static str,
    /// The target is there already, and is to be replaced.
    before: Before,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    AnotherFile,
    /// What an export that was cut short has left: a second name of the store's own file.
    TheSameFile,
}

const fn case(mode: ExportMode, size: usize, path: &'static str) -> Case {
    Case {
        mode,
        size,
        path,
        before: Before::Nothing,
    }
}

const fn over(before: Before, case: Case) -> Case {
    Case { before, ..case }
}

const NEW: &str = "/external/a/b/file";
const HERE: &str = "/external/file";
const FAR: &str = "/far/a/file";

const CASES: [Case; 12] = [
    case(ExportMode::Copy, 1000, NEW),
    case(ExportMode::Copy, THRESHOLD + 5, HERE),
    over(Before::AnotherFile, case(ExportMode::Copy, 40_000, HERE)),
    case(ExportMode::Reference, THRESHOLD + 5, NEW),
    case(ExportMode::Reference, THRESHOLD, HERE),
    case(ExportMode::Reference, THRESHOLD, FAR),
    case(ExportMode::Reference, 20_000, NEW),
    over(
        Before::AnotherFile,
        case(ExportMode::Reference, THRESHOLD, HERE),
    ),
    over(
        Before::TheSameFile,
        case(ExportMode::Reference, THRESHOLD, HERE),
    ),
    case(ExportMode::Forget, THRESHOLD + 5, NEW),
    case(ExportMode::Forget, THRESHOLD, FAR),
    case(ExportMode::Forget, 20_000, HERE),
];

const OLD: &[u8] = b"what was there";

impl Case {
    fn content(&self) -> Vec<u8> {
        bytes(7, self.size)
    }

    fn hash(&self) -> Hash {
        Hash::of(&self.content())
    }

    fn path(&self) -> ExternalPath {
        ExternalPath::parse(self.path).unwrap()
    }

    fn options(&self) -> ExportOptions {
        ExportOptions::default()
            .mode(self.mode)
            .replace(self.before != Before::Nothing)
    }

    fn is_given_away(&self) -> bool {
        self.mode == ExportMode::Reference && self.size >= THRESHOLD
    }

    /// A machine with the blob, found at open, and with another one that must live.
    fn machine(&self) -> Machine {
        let machine = Machine::new();
        let store = machine.open();
        drop(store.import_bytes(&self.content()).unwrap());
        let bystander = store.import_bytes(&bytes(8, 30_000)).unwrap();
        store
            .set_tag(tag("bystander"), raw(bystander.hash))
            .unwrap();
        if self.mode != ExportMode::Forget {
            store.set_tag(tag("exported"), raw(self.hash())).unwrap();
        }
        drop((bystander, store));
        match self.before {
            Before::Nothing => {}
            Before::AnotherFile => machine.outside().plant_file("file", OLD).unwrap(),
            Before::TheSameFile => {
                use flatbao_core::Dir;
                let name = FileName::Data(self.hash()).to_string();
                machine
                    .store()
                    .link(name.as_ref(), &machine.outside(), "file".as_ref())
                    .unwrap();
                machine.outside().sync().unwrap();
            }
        }
        machine.kill()
    }

    /// The bytes under the target's name.
    fn target(&self, machine: &Machine) -> Option<Vec<u8>> {
        content_at(machine, self.path)
    }

    /// The target is whole, or what it was.
    fn target_is_sane(&self, machine: &Machine, told: &str) -> bool {
        match (self.target(machine), self.before) {
            (Some(found), _) if found == self.content() => true,
            (Some(found), Before::AnotherFile) if found == OLD => false,
            (None, Before::Nothing) => false,
            (found, _) => panic!("{told}: {} bytes", found.map_or(0, |found| found.len())),
        }
    }
}

fn root(machine: &Machine, path: &str) -> (SimDir, String) {
    match path.strip_prefix("/external/") {
        Some(below) => (machine.outside(), below.to_owned()),
        None => (
            machine.far(),
            path.strip_prefix("/far/").unwrap().to_owned(),
        ),
    }
}

fn content_at(machine: &Machine, path: &str) -> Option<Vec<u8>> {
    let (mut dir, below) = root(machine, path);
    let mut parts: Vec<&str> = below.split('/').collect();
    let name = parts.pop().unwrap();
    for part in parts {
        let entries = dir.entries();
        let found = entries.iter().find(|(name, _)| name == part)?;
        assert_eq!(found.1, EntryKind::Directory);
        dir = dir.plant_dir(part).unwrap();
    }
    dir.content(name)
}

/// Temporary files outside the store.
fn outside_leftovers(machine: &Machine) -> Vec<String> {
    fn walk(dir: &SimDir, found: &mut Vec<String>) {
        for (name, kind) in dir.entries() {
            match kind {
                EntryKind::Directory => walk(&dir.plant_dir(&name).unwrap(), found),
                _ => found.push(name.into_string().unwrap()),
            }
        }
    }
    let mut found = Vec::new();
    walk(&machine.outside(), &mut found);
    walk(&machine.far(), &mut found);
    found.retain(|name| name.starts_with(".flatbao-"));
    found
}

/// What becomes of a machine. Names reach the disk directory by directory, or those of one directory do not.
fn ends(machine: &Machine) -> Vec<(String, Machine)> {
    let dirs = [
        "disk/store",
        "disk/outside",
        "disk/outside/a",
        "disk/outside/a/b",
        "far",
        "far/a",
    ];
    let of = |disk| Machine { disk };
    let fork = || machine.disk.fork();
    let mut ends = vec![
        ("power lost".to_owned(), of(fork().crash())),
        (
            "power lost, all kept".into(),
            of(fork().crash_keeping_all()),
        ),
        (
            "power lost, all names kept".into(),
            of(fork().crash_keeping_names(|_| true)),
        ),
        ("killed".into(), of(fork().kill())),
    ];
    for dir in dirs {
        let only = fork().crash_keeping_names(|label| label == dir);
        let all_but = fork().crash_keeping_names(|label| label != dir);
        ends.push((format!("power lost, names of {dir} kept"), of(only)));
        ends.push((format!("power lost, names but of {dir} kept"), of(all_but)));
    }
    ends
}

fn export<D: flatbao_core::Dir>(store: &Store<FlatDir<D>>, case: &Case) -> Result<ExportMethod> {
    store
        .export_with(case.hash(), &case.path(), case.options(), &mut unwatched)
        .map(|exported| exported.method)
}

/// PD-06: export by reference renames before `.paths` is written: a crash between loses the blob; overwrites
/// an existing target silently (iroh#2229, #2233).
///
/// Whatever the moment and whatever reached the disk: the store has the blob, or the file has it when it was
/// to be forgotten; the target is whole or as before; and the export can be done again.
#[test]
fn no_moment_loses_the_blob() {
    for case in CASES {
        let machine = case.machine();
        let store = machine.open();
        let mut moments = Moments::of(&machine.disk, false);
        let method = export(&store, &case).unwrap();
        let moves = case.mode != ExportMode::Copy
            && case.size >= THRESHOLD
            && case.path.starts_with("/external");
        assert_eq!(method == ExportMethod::Moved, moves, "{case:?}");
        moments.say(true);
        drop(store);
        let all = moments.end();
        assert!(all.len() > 5, "the export has moments");
        for past in all {
            let machine = Machine { disk: past.disk };
            for (way, image) in ends(&machine) {
                let told = format!("{case:?}: {way} before: {}", past.next);
                nothing_is_lost(&case, &image, past.promise, &told);
            }
        }
    }
}

fn nothing_is_lost(case: &Case, machine: &Machine, is_acknowledged: bool, told: &str) {
    let (hash, content) = (case.hash(), case.content());
    let is_out = case.target_is_sane(machine, told);
    let (store, recovery) = machine
        .try_open()
        .unwrap_or_else(|e| panic!("{told}: {e:?}"));
    assert!(
        recovery.odd.is_empty() && recovery.not_removed.is_empty(),
        "{told}"
    );
    assert_eq!(machine.leftovers(), [], "{told}");
    assert_reads(&store, Hash::of(&bytes(8, 30_000)), &bytes(8, 30_000));
    let is_in = match read(&store, hash) {
        Ok(found) => {
            assert!(found == content, "{told}: wrong bytes");
            true
        }
        Err(Error::NotFound(_)) if case.mode == ExportMode::Forget => false,
        Err(error) => panic!("{told}: {error:?}"),
    };
    assert!(is_in || is_out, "{told}: the blob is nowhere");
    if is_acknowledged {
        assert!(is_out, "{told}: an acknowledged file is lost");
        match (case.mode, store.status(hash)) {
            (ExportMode::Forget, status) => assert_eq!(status, Status::Missing, "{told}"),
            (_, Status::Present(blob)) => {
                let expected = match case.mode {
                    ExportMode::Reference if case.is_given_away() => Location::External,
                    ExportMode::Reference => Location::Both,
                    _ => Location::Owned,
                };
                assert_eq!(blob.location, expected, "{told}");
            }
            (_, Status::Missing) => panic!("{told}"),
        }
    }
    // The next collection takes nothing that is tagged, and the export can be done again.
    let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
    assert!(swept.spared.is_empty(), "{told}");
    if case.mode != ExportMode::Forget {
        assert_reads(&store, hash, &content);
        let options = case.options().replace(true);
        let again = store.export_with(hash, &case.path(), options, &mut unwatched);
        again.unwrap_or_else(|e| panic!("{told}: again: {e:?}"));
        assert!(case.target(machine) == Some(content.clone()), "{told}");
        drop(store);
        let machine = machine.crash();
        assert!(case.target_is_sane(&machine, told), "{told}");
        assert_reads(&machine.open(), hash, &content);
    }
}

/// Every call fails, once or from then on, undone or done: a typed error, no blob lost, no file that is not
/// whole; temporary files are gone where they could be removed; and only the store's own trouble ends writing.
/// BI-079.
#[test]
#[cfg_attr(target_os = "wasi", ignore = "a search in memory")]
fn no_failure_loses_the_blob() {
    let mut count = Count::of("no_failure_loses_the_blob");
    for case in CASES {
        let machine = case.machine();
        let ops = operations(&case, &machine);
        for way in [ONCE, FROM_THEN_ON, LYING] {
            for (index, _) in (0..).zip(&ops).filter(|(_, op)| way.matters(op)) {
                for kind in KINDS {
                    let told = format!("{case:?}: {kind:?} at {index}, {way:?}");
                    let machine = machine.fork();
                    let store = machine.open();
                    let now = machine.disk.ops();
                    count.inject(&machine, misfortune(now + index, kind, way));
                    let outcome = export(&store, &case);
                    machine.disk.heal();
                    aftermath(&case, &machine, &store, &outcome, now, &told);
                }
            }
        }
    }
}

/// The operations of an export in which nothing fails.
fn operations(case: &Case, machine: &Machine) -> Vec<Op> {
    let machine = machine.fork();
    let store = machine.open();
    let before = machine.disk.ops();
    export(&store, case).unwrap();
    machine.disk.trace().split_off(before as usize)
}

/// What is said to be gone is gone, and what is said to be taken is somebody else's.
fn misfortune(number: u64, kind: io::ErrorKind, way: Way) -> Fault {
    way.fault(number, kind, move |op| {
        let gone = op.kind == OpKind::Unlink && kind == io::ErrorKind::NotFound;
        let made = matches!(op.kind, OpKind::CreateNew | OpKind::Link);
        let taken = made && kind == io::ErrorKind::AlreadyExists;
        !(gone || taken && way.lies)
    })
}

/// Transfers that are interrupted or short are made whole, in all modes; the file is the blob.
/// BI-083.
#[test]
#[cfg_attr(target_os = "wasi", ignore = "a search in memory")]
fn short_and_interrupted_transfers_are_made_whole() {
    let mut count = Count::of("short_and_interrupted_transfers_are_made_whole");
    let moves = |kind| matches!(kind, OpKind::Read | OpKind::Write);
    for case in CASES {
        let machine = case.machine();
        let is_whole = |machine: &Machine, store: &SimStore, told: &str| {
            export(store, &case).unwrap_or_else(|e| panic!("{told}: {e:?}"));
            assert!(case.target(machine) == Some(case.content()), "{told}");
            let crashed = machine.crash();
            assert!(case.target(&crashed) == Some(case.content()), "{told}");
        };
        for (index, _) in (0..)
            .zip(operations(&case, &machine))
            .filter(|(_, op)| moves(op.kind))
        {
            let machine = machine.fork();
            let store = machine.open();
            let at = machine.disk.ops() + index;
            let fault = Fault::matching(move |op| op.number == at && moves(op.kind));
            count.inject(&machine, fault.error(io::ErrorKind::Interrupted));
            is_whole(
                &machine,
                &store,
                &format!("{case:?}: interrupted at {index}"),
            );
        }
        for most in [7, 4096] {
            let machine = machine.fork();
            machine.disk.keep_trace(false);
            let store = machine.open();
            machine.disk.limit_transfer(most);
            is_whole(&machine, &store, &format!("{case:?}: by {most}"));
        }
    }
}

fn aftermath(
    case: &Case,
    machine: &Machine,
    store: &SimStore,
    outcome: &Result<ExportMethod>,
    start: u64,
    told: &str,
) {
    let (hash, content) = (case.hash(), case.content());
    let trace: Vec<_> = machine
        .disk
        .trace()
        .into_iter()
        .skip(start as usize)
        .collect();
    let failed: Vec<_> = trace.iter().filter(|op| op.result.is_err()).collect();
    if let Err(error) = outcome {
        assert_typed(error);
    }
    let is_out = case.target_is_sane(machine, told);
    assert!(is_out || outcome.is_err(), "{told}");
    if !failed.iter().any(|op| op.kind == OpKind::Unlink) {
        assert_eq!(outside_leftovers(machine), [""; 0], "{told}");
    }
    never_synced_again(&trace, told);
    let poisoned = match store.confirm_no_tags() {
        Ok(()) => false,
        Err(Error::NotWritable(NotWritable::Poisoned(_))) => true,
        Err(other) => panic!("{told}: {other:?}"),
    };
    if poisoned {
        assert!(outcome.is_err(), "{told}");
        let own = |dir: &str| dir == "disk/store";
        assert!(
            failed.iter().any(|op| own(&op.dir)),
            "{told}: what failed outside ends writing"
        );
    } else {
        let fresh = Store::open_read_only(machine.fork().backend(), fresh_env())
            .unwrap()
            .0;
        assert_eq!(
            picture(store),
            picture(&fresh),
            "{told}: memory and disk differ"
        );
        let other = bytes(9, GROUP + 1);
        let imported = store.import_bytes(&other).unwrap();
        assert_reads(store, imported.hash, &other);
    }
    // The blob is there, in this opening, in the next, and after a power loss.
    let is_lost = |store: &SimStore, machine: &Machine| match read(store, hash) {
        Ok(found) => {
            assert!(found == content, "{told}: wrong bytes");
            false
        }
        Err(Error::NotFound(_)) if case.mode == ExportMode::Forget => {
            !case.target_is_sane(machine, told)
        }
        Err(error) => panic!("{told}: {error:?}"),
    };
    assert!(!is_lost(store, machine), "{told}: lost");
    for machine in [machine.fork().kill(), machine.fork().crash()] {
        let is_out = case.target_is_sane(&machine, told);
        assert!(is_out || outcome.is_err(), "{told}: acknowledged and lost");
        let store = machine.open();
        assert!(
            !is_lost(&store, &machine),
            "{told}: lost at the next opening"
        );
        assert_eq!(machine.leftovers(), [], "{told}");
        assert_reads(&store, Hash::of(&bytes(8, 30_000)), &bytes(8, 30_000));
    }
}

/// The place outside is full: the export fails, what was written is gone, and the store works on.
/// BI-079.
#[test]
fn a_full_disk_outside_is_no_trouble_of_the_store() {
    for case in CASES {
        for space in [0, 1, 60_000] {
            let machine = case.machine();
            let store = machine.open();
            machine.disk.limit_space(space);
            let outcome = export(&store, &case);
            machine.disk.heal();
            match outcome {
                // What is moved needs no room but for its path.
                Ok(method) => assert!(method == ExportMethod::Moved || (case.size as u64) < space),
                Err(error) => {
                    let error = io::Error::from(error);
                    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{case:?}");
                }
            }
            assert_eq!(outside_leftovers(&machine), [""; 0]);
            assert!(store.confirm_no_tags().is_ok());
            let is_out = case.target_is_sane(&machine, "full");
            match store.status(case.hash()) {
                Status::Missing => assert!(is_out),
                Status::Present(_) => assert_reads(&store, case.hash(), &case.content()),
            }
        }
    }
}

/// What was made outside and could not be made durable is not taken for durable by a second try.
#[test]
fn a_directory_that_was_lost_is_not_trusted() {
    let case = CASES[3];
    let machine = case.machine();
    let store = machine.open();
    let outside = |op: &Op| op.kind == OpKind::SyncDir && &*op.dir == "disk/outside";
    machine.disk.inject(Fault::matching(outside));
    for _ in 0..2 {
        let error = export(&store, &case).unwrap_err();
        assert!(
            matches!(&error, Error::Backend(BackendError::Sync { what, .. }) if what.contains("/external")),
            "{error:?}"
        );
    }
    assert!(machine.file(&FileName::Data(case.hash())).is_some());
    // Elsewhere it goes on, and so does the store.
    let far = ExternalPath::parse("/far/file").unwrap();
    store.export(case.hash(), &far).unwrap();
    drop(store.import_bytes(b"more").unwrap());
    drop(store);
    let machine = machine.crash();
    assert_reads(&machine.open(), case.hash(), &case.content());
}

/// A process dies after it made a directory: the next one does not take that for durable.
#[test]
fn a_directory_of_a_dead_process_is_made_durable() {
    let case = CASES[3];
    for fault in [OpKind::SyncDir, OpKind::Link] {
        let machine = case.machine();
        let store = machine.open();
        let here = machine.disk.ops();
        machine
            .disk
            .inject(Fault::matching(move |op| op.number >= here && op.kind == fault).sticky());
        let _ = export(&store, &case);
        drop(store);
        // The sync that was never called loses nothing.
        let machine = Machine {
            disk: machine.disk.kill(),
        };
        machine.outside().uproot("a");
        use flatbao_core::Dir;
        machine.outside().make_dir("a".as_ref()).unwrap();
        let machine = machine.kill();
        let store = machine.open();
        export(&store, &case).unwrap();
        drop(store);
        let machine = machine.crash();
        assert!(case.target_is_sane(&machine, "dead"));
        assert_reads(&machine.open(), case.hash(), &case.content());
    }
}

/// PD-42: export by reference fails across devices (iroh-blobs#149). It copies, verified, and gives the data
/// away all the same.
/// BI-085.
#[test]
fn across_devices_it_copies() {
    let case = CASES[5];
    let machine = case.machine();
    let store = machine.open();
    assert_eq!(export(&store, &case).unwrap(), ExportMethod::Copied);
    assert_eq!(machine.file(&FileName::Data(case.hash())), None);
    let outboard = outboard(&case.content());
    assert_eq!(machine.file(&FileName::Outboard(case.hash())), outboard);
    assert_reads(&store, case.hash(), &case.content());
    drop(store);
    assert_reads(&machine.crash().open(), case.hash(), &case.content());
}

/// PD-35: move-out-and-delete export (iroh-blobs#167, iroh#2801). One file is left, the one outside, and it is
/// the very file that the store had.
#[test]
fn what_is_moved_out_is_forgotten() {
    let case = CASES[9];
    let machine = case.machine();
    let store = machine.open();
    let before = machine.disk.count(OpKind::Write);
    assert_eq!(export(&store, &case).unwrap(), ExportMethod::Moved);
    assert_eq!(
        machine.disk.count(OpKind::Write),
        before,
        "nothing is written"
    );
    assert_eq!(store.status(case.hash()), Status::Missing);
    assert!(
        machine.files().keys().all(|name| {
            FileName::parse(name).and_then(|name| name.hash()) != Some(case.hash())
        })
    );
    assert!(case.target(&machine) == Some(case.content()));
}

/// DURABILITY.md: target verified, durable with its directory; `.paths` durable; only then are the data
/// unlinked, and the outboard stays.
#[test]
fn the_data_go_last() {
    let case = CASES[3];
    let machine = case.machine();
    let store = machine.open();
    let start = machine.disk.ops() as usize;
    export(&store, &case).unwrap();
    let trace = machine.disk.trace();
    let trace = &trace[start..];
    let position = |what: &str, fits: &dyn Fn(&Op) -> bool| {
        trace
            .iter()
            .position(fits)
            .unwrap_or_else(|| panic!("{what}"))
    };
    let (data, paths) = (
        FileName::Data(case.hash()).to_string(),
        FileName::Paths(case.hash()).to_string(),
    );
    let to = |op: &Op, name: &str| op.to.as_ref().is_some_and(|(_, to)| **to == *name);
    let renamed = trace
        .iter()
        .find(|op| op.kind == OpKind::Rename && to(op, &paths))
        .map_or(0, |op| op.number);
    let order = [
        position("second name", &|op| op.is(OpKind::Link, &data)),
        position("file synced", &|op| {
            op.kind == OpKind::SyncFile && &*op.dir == "disk/outside/a/b"
        }),
        position("final name", &|op| {
            op.kind == OpKind::Link && to(op, "file")
        }),
        position("target's directory synced", &|op| {
            op.kind == OpKind::SyncDir && &*op.dir == "disk/outside/a/b"
        }),
        position("paths", &|op| op.kind == OpKind::Rename && to(op, &paths)),
        position("store synced", &|op| {
            // The first one was about the files as they were found.
            op.kind == OpKind::SyncDir && &*op.dir == "disk/store" && op.number > renamed
        }),
        position("data unlinked", &|op| op.is(OpKind::Unlink, &data)),
    ];
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(trace.last().unwrap().kind, OpKind::SyncDir);
    // All of the file was read through its second name.
    let read: u64 = trace
        .iter()
        .filter(|op| op.kind == OpKind::Read && &*op.dir == "disk/outside/a/b")
        .filter_map(|op| op.result.ok())
        .sum();
    assert_eq!(read, case.size as u64);
    for dir in ["disk/outside", "disk/outside/a"] {
        position(dir, &|op| op.kind == OpKind::SyncDir && &*op.dir == dir);
    }
}

/// Targets that are relative, inside the store, existing, a link, a directory, unwritable, on
/// another device: an error or a copy; nothing is replaced unless asked; the source is never lost.
/// BI-078.
#[test]
fn odd_targets() {
    for path in ["file", "./file", "../file", "/a/../b", "C:\\file"] {
        let refused = ExternalPath::parse(path).unwrap_err();
        assert!(matches!(
            refused,
            PathError::Relative | PathError::Component
        ));
    }
    type Check = fn(&Error) -> bool;
    let taken: Check = |e| matches!(e, Error::Backend(BackendError::Taken { .. }));
    let not_a_file: Check = |e| matches!(e, Error::Backend(BackendError::NotAFile { .. }));
    let inside: Check = |e| matches!(e, Error::Backend(BackendError::InsideStore { .. }));
    let not_granted: Check = |e| matches!(e, Error::Backend(BackendError::NotGranted { .. }));
    let io: Check = |e| matches!(e, Error::Backend(BackendError::Io { .. }));
    let refused: [(&str, bool, Check); 19] = [
        ("/external/existing", false, taken),
        ("/far/existing", false, taken),
        ("/external/link", false, not_a_file),
        ("/external/link", true, not_a_file),
        ("/external/dangling", false, not_a_file),
        ("/external/dangling", true, not_a_file),
        ("/external/dir", false, not_a_file),
        ("/external/dir", true, not_a_file),
        ("/external/fifo", true, not_a_file),
        ("/external/dir-link/file", true, not_a_file),
        ("/external/dir-link/deep/file", false, not_a_file),
        ("/external/dangling/file", true, not_a_file),
        ("/external/existing/file", true, io),
        ("/external/fifo/file", true, io),
        ("/external/locked/file", false, io),
        ("/disk/store/file", false, inside),
        ("/disk/store/new/file", true, inside),
        ("/store/file", false, inside),
        ("/elsewhere/file", false, not_granted),
    ];
    for mode in [ExportMode::Copy, ExportMode::Reference, ExportMode::Forget] {
        let case = case(mode, THRESHOLD + 1, HERE);
        let machine = case.machine();
        let outside = machine.outside();
        for dir in [&outside, &machine.far()] {
            dir.plant_file("existing", OLD).unwrap();
        }
        outside
            .plant_dir("dir")
            .unwrap()
            .plant_file("kept", OLD)
            .unwrap();
        outside.plant_dir("locked").unwrap();
        outside.plant_link("link", "existing").unwrap();
        outside.plant_link("dangling", "nothing").unwrap();
        outside.plant_link("dir-link", "dir").unwrap();
        outside.plant_other("fifo").unwrap();
        let mut backend = machine.backend();
        let disk = machine.disk.file_system("disk");
        backend.grant_external("/disk", disk).unwrap();
        backend.grant_external("/store", machine.store()).unwrap();
        let store = Store::open(backend, fresh_env()).unwrap().0;
        machine.disk.inject(
            Fault::matching(|op| &*op.dir == "disk/outside/locked" && op.kind.is_change())
                .error(io::ErrorKind::PermissionDenied)
                .sticky(),
        );
        let linked = |op: &Op| {
            op.to
                .as_ref()
                .is_some_and(|(dir, _)| &**dir == "disk/outside/locked")
        };
        machine.disk.inject(
            Fault::matching(linked)
                .error(io::ErrorKind::PermissionDenied)
                .sticky(),
        );
        let (before, entries) = (machine.files(), outside.entries());
        for (path, replace, is_right) in refused {
            let path = ExternalPath::parse(path).unwrap();
            let options = ExportOptions::default().mode(mode).replace(replace);
            let error = store
                .export_with(case.hash(), &path, options, &mut unwatched)
                .unwrap_err();
            assert!(is_right(&error), "{mode:?} to {path}, {replace}: {error:?}");
            assert_eq!(machine.files(), before, "{path}");
            assert_eq!(outside.entries(), entries, "{path}");
            assert_eq!(outside_leftovers(&machine), [""; 0], "{path}");
        }
        for dir in [&outside, &machine.far()] {
            assert_eq!(dir.content("existing").unwrap(), OLD);
        }
        let dir = outside.plant_dir("dir").unwrap();
        assert_eq!(dir.entries().len(), 1, "nothing went through the link");
        assert_reads(&store, case.hash(), &case.content());
        for (path, replace) in [("/external/existing", true), ("/far/new/dir/file", false)] {
            let fork = machine.fork();
            let store = fork.open();
            let path = ExternalPath::parse(path).unwrap();
            let options = ExportOptions::default().mode(mode).replace(replace);
            store
                .export_with(case.hash(), &path, options, &mut unwatched)
                .unwrap();
            assert!(content_at(&fork, path.as_str()) == Some(case.content()));
        }
    }
}

/// Where files have one name only, a taken name is told all the same, and nothing is replaced unless asked.
#[test]
fn without_links_nothing_is_replaced_either() {
    for kind in [io::ErrorKind::Unsupported, io::ErrorKind::PermissionDenied] {
        for case in [CASES[1], CASES[4], CASES[9]] {
            let machine = case.machine();
            let store = machine.open();
            let no_links = || Fault::on(OpKind::Link).error(kind).sticky();
            machine.disk.inject(no_links());
            let (dir, below) = root(&machine, case.path);
            let (dir, name) = match below.rsplit_once('/') {
                Some(_) => (dir.plant_dir("a").unwrap().plant_dir("b").unwrap(), "file"),
                None => (dir, "file"),
            };
            dir.plant_file(name, OLD).unwrap();
            let error = export(&store, &case).unwrap_err();
            assert_eq!(error.kind(), "target_exists");
            assert_eq!(dir.content(name).unwrap(), OLD);
            dir.uproot(name);
            assert_eq!(export(&store, &case).unwrap(), ExportMethod::Copied);
            assert!(dir.content(name) == Some(case.content()));
            drop(store);
            let machine = machine.crash();
            assert!(case.target_is_sane(&machine, "no links"));
        }
    }
    // The name is taken between the first look and the last one.
    let case = CASES[1];
    let machine = case.machine();
    let store = machine.open();
    let outside = machine.outside();
    let path = case.path();
    let taken = std::cell::Cell::new(false);
    let mut watch = |step| {
        if !taken.replace(true) {
            outside.plant_file("file", OLD).unwrap();
        }
        unwatched(step)
    };
    for no_links in [false, true] {
        if no_links {
            machine.disk.inject(
                Fault::on(OpKind::Link)
                    .error(io::ErrorKind::Unsupported)
                    .sticky(),
            );
        }
        let error = store
            .export_with(case.hash(), &path, case.options(), &mut watch)
            .unwrap_err();
        assert_eq!(error.kind(), "target_exists");
        assert_eq!(outside.content("file").unwrap(), OLD);
        assert_eq!(outside_leftovers(&machine), [""; 0]);
        outside.uproot("file");
        taken.set(false);
    }
}

/// Damage that a first look does not see never ends up under the target's name, and the blob keeps all its
/// files.
#[test]
fn damage_never_becomes_a_file() {
    for case in CASES {
        let (hash, content) = (case.hash(), case.content());
        let flipped = |at: usize| {
            let mut bytes = content.clone();
            bytes[at] ^= 4;
            bytes
        };
        let data = FileName::Data(hash);
        let ways = [
            ("first bit", flipped(0)),
            ("in the middle", flipped(case.size / 2)),
            ("last byte", flipped(case.size - 1)),
            ("cut", content[..case.size - 1].to_vec()),
            ("cut in half", content[..case.size / 2].to_vec()),
            ("zeros", vec![0; case.size]),
            ("empty", Vec::new()),
        ];
        for (way, bytes) in ways {
            for without_outboard in [false, true] {
                let told = format!("{case:?}, {way}, {without_outboard}");
                let machine = case.machine();
                // A new file: another name of the old one keeps the old bytes.
                machine.plant(&data, &bytes);
                if without_outboard {
                    machine.store().uproot(FileName::Outboard(hash).to_string());
                }
                let store = machine.open();
                let before = machine.files();
                let error = export(&store, &case).unwrap_err();
                assert!(matches!(error, Error::Corrupt { .. }), "{told}: {error:?}");
                match (case.target(&machine), case.before) {
                    (None, Before::Nothing) => {}
                    (Some(found), Before::AnotherFile) => assert_eq!(found, OLD),
                    (Some(found), Before::TheSameFile) => assert!(found == content),
                    _ => panic!("{told}: the target was touched"),
                }
                assert_eq!(outside_leftovers(&machine), [""; 0], "{told}");
                assert_eq!(machine.files(), before, "{told}");
            }
        }
    }
}

/// Imports, readers and exports of one blob at once: it reads at any time, and memory and disk agree.
#[test]
#[cfg_attr(target_os = "wasi", ignore = "there are no threads")]
fn threads_never_lose_the_blob() {
    let machine = Machine::new();
    let store = machine.open();
    let content = bytes(3, THRESHOLD + 77);
    let hash = Hash::of(&content);
    let imported = store.import_bytes(&content).unwrap();
    store.set_tag(tag("kept"), raw(hash)).unwrap();
    drop(imported);
    machine.disk.keep_trace(false);
    thread::scope(|scope| {
        for n in 0..2 {
            let (store, content) = (&store, &content);
            scope.spawn(move || {
                for round in 0..60 {
                    let path = ["/external/x/file", "/external/file", "/far/file"][round % 3];
                    let path = ExternalPath::parse(&format!("{path}{n}")).unwrap();
                    let options = ExportOptions::default()
                        .mode(ExportMode::Reference)
                        .replace(true);
                    store
                        .export_with(hash, &path, options, &mut unwatched)
                        .unwrap();
                }
            });
            scope.spawn(move || {
                for _ in 0..60 {
                    assert_eq!(store.import_bytes(content).unwrap().hash, hash);
                }
            });
            scope.spawn(move || {
                for _ in 0..120 {
                    assert_reads(store, hash, content);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..30 {
                let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
                assert!(swept.removed.is_empty() && swept.spared.is_empty());
            }
        });
    });
    let fresh = machine.open_read_only();
    assert_eq!(picture(&store), picture(&fresh));
    drop(store);
    let machine = machine.crash();
    let store = machine.open();
    assert_reads(&store, hash, &content);
    assert_eq!(machine.leftovers(), []);
    assert_eq!(outside_leftovers(&machine), [""; 0]);
}

/// What a process left that never synced it is made durable before it is shared with the outside: a sync that
/// fails there loses nothing that a tag promises later.
#[test]
fn a_failed_sync_outside_takes_nothing_along() {
    let case = CASES[4];
    let machine = Machine::new();
    let backend = machine.backend().with_durability(Durability::Atomic);
    let store = Store::open(backend, fresh_env()).unwrap().0;
    drop(store.import_bytes(&case.content()).unwrap());
    drop(store);
    let machine = machine.kill();
    let store = machine.open();
    let outside = |op: &Op| op.kind == OpKind::SyncFile && &*op.dir == "disk/outside";
    machine.disk.inject(Fault::matching(outside));
    let error = export(&store, &case).unwrap_err();
    assert!(matches!(error, Error::Backend(BackendError::Sync { .. })));
    store.set_tag(tag("kept"), raw(case.hash())).unwrap();
    drop(store);
    assert_reads(&machine.crash().open(), case.hash(), &case.content());
}
