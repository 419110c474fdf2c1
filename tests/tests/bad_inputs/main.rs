//! The catalogue of bad inputs (`tests/BAD-INPUTS.md`), as far as it concerns names, types, files, tags and imports:
//! on the real file system where the system has a say, in the simulator otherwise. Flipped bits and wrong
//! lengths are in `flips.rs`, failing systems in `faults/`, power losses in `crashes.rs`, streams in `streams.rs`.

// A test reports by panicking, and so do its helpers; what it casts is small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]
#![cfg(unix)]

#[path = "../common/mod.rs"]
mod common;
mod denied;
mod memory;
mod planted;

use std::{
    cell::Cell,
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    io::{self, Read, Seek, SeekFrom, Write},
    ops::ControlFlow,
    os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use common::{
    GROUP, Machine, assert_reads, bytes, external, fresh_env, outboard, raw, read, real_files,
    removed, seq, sequence, tag,
};
use flatbao_core::{
    BackendError, EntryKind, Error, ExternalPath, FileName, Hash, NotWritable, ReadAt, Recovery,
    Store, Tag, TagFile, TagMap, Uuid,
    limits::MAX_TAG_NAME,
    progress::{Progress, unwatched},
    store::{ImportOptions, State, Status, Swept, TagsFound},
};
use flatbao_fs::FsBackend;
use flatbao_mem::{OpKind, SeededEnv};
use flatbao_tests::platform;
use tempfile::TempDir;

/// A store on a real disk, with a granted directory beside it.
struct Real {
    dir: TempDir,
}

impl Real {
    fn new() -> Self {
        let dir = platform::scratch();
        fs::create_dir(dir.path().join("store")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        Self { dir }
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    fn path(&self, name: impl ToString) -> PathBuf {
        self.store().join(name.to_string())
    }

    fn backend(&self) -> FsBackend {
        let mut backend = flatbao_fs::open_ambient(self.store()).unwrap();
        flatbao_fs::grant_ambient(&mut backend, "/external", self.outside()).unwrap();
        backend
    }

    fn told(&self) -> (Store<FsBackend>, Recovery) {
        platform::open(self.backend(), fresh_env()).unwrap()
    }

    fn open(&self) -> Store<FsBackend> {
        self.told().0
    }

    fn empty_tags(&self) {
        fs::write(
            self.path("tags.meta"),
            TagFile::encode(&TagMap::new()).unwrap(),
        )
        .unwrap();
    }
}

fn sweep(store: &Store<FsBackend>) -> Swept {
    store.sweep(store.plan_gc().unwrap()).unwrap()
}

fn uuid(n: u8) -> Uuid {
    Uuid::from_bytes([n; 16])
}

/// Names that are none of the store's, some of them nearly those of this blob.
fn foreign_names(hash: &str) -> Vec<OsString> {
    let digits = "0123456789abcdef0123456789abcdef";
    let mut names: Vec<OsString> = [
        format!("{}.data", hash.to_uppercase()),
        format!(".{hash}.data"),
        "..data".into(),
        ".data".into(),
        ".meta".into(),
        format!("{}.data", &hash[1..]),
        format!("{hash}0.data"),
        format!("{hash}-{}.data", &digits[1..]),
        format!("{hash}-{digits}0.data"),
        format!("{hash}-{digits}-{digits}.data"),
        format!("{hash}-{}.data", digits.to_uppercase()),
        format!("{}.temp", digits.to_uppercase()),
        format!("{hash}.obao"),
        format!("{hash}.obao5"),
        format!("{hash}.data\n"),
        format!("{hash}.data "),
        format!("{hash}.data\x01"),
        "CON".into(),
        "COM¹".into(),
        "LPT0".into(),
        "trailing.".into(),
        "a\x1b[2Jb".into(),
        "\u{202e}atad".into(),
        "n".repeat(255),
    ]
    .map(OsString::from)
    .into();
    names.push(OsStr::from_bytes(b"\xff\xfe.data").to_owned());
    names
}

/// Names that are none of the store's are left alone, reported, and printed so that no terminal obeys them; in the
/// back ends in memory as well.
/// BI-001, BI-003, BI-004, BI-005, BI-006, BI-010, BI-011, BI-012, BI-013.
#[test]
fn foreign_names_are_left_alone() {
    let real = Real::new();
    let hash = Hash::of(b"x").to_string();
    let names = foreign_names(&hash);
    for name in &names {
        fs::write(real.store().join(name), b"x").unwrap();
    }
    fs::write(real.path(&hash).with_extension("data"), b"x").unwrap();
    real.empty_tags();
    let before = real_files(&real.store());
    let (store, recovery) = real.told();
    assert_eq!(recovery.odd_count, names.len() as u64);
    assert_eq!(recovery.odd.len(), names.len());
    for odd in &recovery.odd {
        assert_eq!(odd.kind, EntryKind::File);
        assert!(!odd.name.chars().any(char::is_control), "{:?}", odd.name);
        assert!(!odd.name.contains('\u{202e}'));
    }
    let listed: Vec<Hash> = store.blobs().map(|blob| blob.hash).collect();
    assert_eq!(listed, [Hash::of(b"x")]);
    assert_eq!(sweep(&store).removed.len(), 1);
    let mut after = real_files(&real.store());
    after.remove("lock");
    let mut expected = before;
    expected.remove(&format!("{hash}.data"));
    assert_eq!(after, expected);
}

/// On a disk that ignores case the upper-case twin *is* the entry; on others it is foreign. Either
/// way there is one entry.
/// BI-002.
#[test]
fn twins_in_another_case_are_one_entry() {
    let real = Real::new();
    let hash = Hash::of(b"x");
    fs::write(real.path(FileName::Data(hash)), b"x").unwrap();
    fs::write(
        real.path(hash.to_string().to_uppercase() + ".data"),
        b"other",
    )
    .unwrap();
    real.empty_tags();
    let store = real.open();
    assert_eq!(store.blobs().count(), 1);
    assert_reads(&store, hash, b"x");
}

/// What a dead writer left is removed by an opening that holds the lock, and by no other; a read-only opening removes
/// nothing.
/// BI-007, BI-008, BI-009, BI-084.
#[test]
fn leftovers_are_removed_under_the_lock_only() {
    let real = Real::new();
    let names = [
        FileName::PathsTemp(Hash::EMPTY, uuid(1)),
        FileName::Temp(uuid(2)),
        FileName::TagsTemp(uuid(3)),
    ];
    for name in &names {
        fs::write(real.path(name), b"x").unwrap();
    }
    real.empty_tags();
    let before = real_files(&real.store());
    let (_, recovery) = Store::open_read_only(real.backend(), fresh_env()).unwrap();
    assert_eq!(recovery.removed, []);
    let options = flatbao_core::OpenOptions::default().locking(flatbao_core::store::Locking::None);
    let (store, recovery) =
        Store::open_with(real.backend(), fresh_env(), options, &mut unwatched).unwrap();
    assert_eq!(recovery.removed, []);
    assert_eq!(real_files(&real.store()), before);
    let plan = store.plan_gc().unwrap();
    assert!(matches!(store.sweep(plan), Err(Error::NotLocked)));
    assert!(matches!(
        store.delete(Hash::EMPTY, true),
        Err(Error::NotLocked)
    ));
    let mut removed = real.told().1.removed;
    removed.sort();
    assert_eq!(removed, names);
    for name in &names {
        assert!(!real.path(name).exists());
    }
}

/// What is below a sub-directory is nobody's business.
/// BI-014.
#[test]
fn sub_directories_are_not_entered() {
    let real = Real::new();
    let below = real.path("sub").join("deeper");
    fs::create_dir_all(&below).unwrap();
    fs::write(below.join(FileName::Data(Hash::of(b"x")).to_string()), b"x").unwrap();
    fs::write(below.join(FileName::Temp(uuid(1)).to_string()), b"x").unwrap();
    let (store, recovery) = real.told();
    assert_eq!(recovery.odd_count, 1);
    assert_eq!(store.blobs().count(), 0);
    assert!(sweep(&store).removed.is_empty());
    assert_eq!(fs::read_dir(below).unwrap().count(), 2);
}

/// What may bear a name and is no regular file. The target of every link is `target`.
const STRANGE: [&str; 8] = [
    "link outside",
    "link inside",
    "dangling link",
    "link to itself",
    "link to a device",
    "fifo",
    "socket",
    "directory",
];

fn make_strange(what: &str, at: &Path, target: &Path) {
    match what {
        "link outside" => symlink(target, at).unwrap(),
        "link inside" => {
            fs::write(at.with_file_name("README"), fs::read(target).unwrap()).unwrap();
            symlink("README", at).unwrap();
        }
        "dangling link" => symlink("nowhere", at).unwrap(),
        "link to itself" => symlink(at.file_name().unwrap(), at).unwrap(),
        "link to a device" => symlink("/dev/zero", at).unwrap(),
        "fifo" => {
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            let kind = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, at, kind, mode, 0).unwrap();
        }
        "socket" => {
            // A path for a socket is short; a file can be moved anywhere.
            let short = platform::scratch();
            drop(UnixListener::bind(short.path().join("s")).unwrap());
            fs::rename(short.path().join("s"), at).unwrap();
        }
        "directory" => fs::create_dir(at).unwrap(),
        other => panic!("{other}"),
    }
}

/// Whether the strange thing is still what it was.
fn is_strange(what: &str, at: &Path) -> bool {
    let Ok(metadata) = fs::symlink_metadata(at) else {
        return false;
    };
    let kind = metadata.file_type();
    match what {
        "directory" => kind.is_dir(),
        "fifo" | "socket" => !kind.is_file() && !kind.is_dir() && !kind.is_symlink(),
        _ => kind.is_symlink(),
    }
}

/// Whatever bears the name of an entry and is no regular file is reported, never
/// opened, never waited for, never removed, and its blob is not there; the rest of the store is.
/// BI-015, BI-016, BI-018, BI-019, BI-020.
#[test]
fn strange_things_under_an_entrys_name() {
    let content = bytes(1, 2 * GROUP);
    let hash = Hash::of(&content);
    let names = [
        FileName::Data(hash),
        FileName::Paths(hash),
        FileName::PartialData(hash, uuid(1)),
        FileName::PartialOutboard(hash, uuid(1)),
        FileName::PathsTemp(hash, uuid(1)),
        FileName::Temp(uuid(1)),
        FileName::TagsTemp(uuid(1)),
        FileName::NamedMeta(Box::from(*b"name")),
    ];
    for what in STRANGE {
        for name in &names {
            let real = Real::new();
            let target = real.outside().join("target");
            fs::write(&target, &content).unwrap();
            fs::write(real.path(FileName::Data(Hash::of(b"other"))), b"other").unwrap();
            fs::write(
                real.path(FileName::Outboard(hash)),
                outboard(&content).unwrap(),
            )
            .unwrap();
            real.empty_tags();
            make_strange(what, &real.path(name), &target);
            let (store, recovery) = real.told();
            let told = format!("{what} under {name}");
            assert!(
                recovery.odd.iter().any(|odd| odd.name == name.to_string()),
                "{told}"
            );
            assert_eq!(recovery.removed, [], "{told}");
            assert_eq!(store.status(hash), Status::Missing, "{told}");
            assert!(
                matches!(read(&store, hash), Err(Error::NotFound(_))),
                "{told}"
            );
            assert_eq!(store.partials(hash).unwrap(), [], "{told}");
            assert_reads(&store, Hash::of(b"other"), b"other");
            sweep(&store);
            assert!(is_strange(what, &real.path(name)), "{told} is gone");
            assert_eq!(fs::read(&target).unwrap(), content, "{told}");
            // An import works, or says why not; it never writes through a link.
            match store.import_bytes(&content) {
                Ok(_) => assert_reads(&store, hash, &content),
                Err(error) => assert!(what == "directory", "{told}: {error:?}"),
            }
            assert_eq!(
                fs::read(&target).unwrap(),
                content,
                "{told}: written through"
            );
            store.import_bytes(b"next").unwrap();
        }
    }
}

/// The same under the name of an outboard: the blob does not need it, and what is there stays.
#[test]
fn strange_things_under_an_outboards_name() {
    let content = bytes(1, 2 * GROUP);
    let hash = Hash::of(&content);
    for what in STRANGE {
        let real = Real::new();
        let target = real.outside().join("target");
        fs::write(&target, b"target").unwrap();
        fs::write(real.path(FileName::Data(hash)), &content).unwrap();
        real.empty_tags();
        make_strange(what, &real.path(FileName::Outboard(hash)), &target);
        let (store, recovery) = real.told();
        assert!(recovery.odd_count > 0);
        assert_reads(&store, hash, &content);
        assert_eq!(fs::read(&target).unwrap(), b"target", "{what}");
        // Reading it made the outboard again, but did not put it in the place of what is not the store's.
        assert!(
            is_strange(what, &real.path(FileName::Outboard(hash))),
            "{what} is gone"
        );
        store.set_tag(tag("a"), raw(hash)).unwrap();
    }
}

/// A `tags.meta` that is no regular file: the store opens for reading only, and nothing is deleted or written
/// through it.
/// BI-017.
#[test]
fn strange_things_under_the_tags_name() {
    for what in STRANGE {
        let real = Real::new();
        let target = real.outside().join("target");
        fs::write(&target, TagFile::encode(&TagMap::new()).unwrap()).unwrap();
        fs::write(real.path(FileName::Data(Hash::of(b"x"))), b"x").unwrap();
        make_strange(what, &real.path(FileName::Tags), &target);
        let (store, recovery) = real.told();
        assert!(
            matches!(recovery.tags, TagsFound::Damaged(_)),
            "{what}: {:?}",
            recovery.tags
        );
        assert!(matches!(
            store.plan_gc(),
            Err(Error::NotWritable(NotWritable::TagsDamaged(_)))
        ));
        assert!(store.set_tag(tag("a"), raw(Hash::EMPTY)).is_err());
        assert!(store.import_bytes(b"y").is_err());
        assert_reads(&store, Hash::of(b"x"), b"x");
        assert!(is_strange(what, &real.path(FileName::Tags)), "{what}");
        assert_eq!(
            fs::read(&target).unwrap(),
            TagFile::encode(&TagMap::new()).unwrap()
        );
    }
}

/// A lock that is no regular file cannot be taken, one that a dead process left can, and a second opening is told
/// that the store is busy.
/// BI-086, BI-087, BI-088.
#[test]
fn the_lock() {
    for what in STRANGE {
        let real = Real::new();
        let target = real.outside().join("target");
        fs::write(&target, b"target").unwrap();
        make_strange(what, &real.path("lock"), &target);
        let error = Store::open(real.backend(), fresh_env()).unwrap_err();
        assert!(
            matches!(error, Error::Backend(BackendError::Io { .. })),
            "{what}: {error:?}"
        );
        assert!(is_strange(what, &real.path("lock")), "{what}");
        Store::open_read_only(real.backend(), fresh_env()).unwrap();
    }
    let real = Real::new();
    fs::write(real.path("lock"), b"12345").unwrap();
    let store = real.open();
    assert!(matches!(
        Store::open(real.backend(), fresh_env()),
        Err(Error::Backend(BackendError::Busy))
    ));
    drop(store);
    real.open();
}

/// The directory is swapped for a link after it was opened: the store goes on with what it opened.
/// BI-021.
#[test]
fn the_root_is_swapped_under_an_open_store() {
    let real = Real::new();
    let store = real.open();
    let moved = real.dir.path().join("moved");
    fs::rename(real.store(), &moved).unwrap();
    let elsewhere = real.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, real.store()).unwrap();
    let hash = store.import_bytes(b"x").unwrap().hash;
    store.set_tag(tag("a"), raw(hash)).unwrap();
    assert_reads(&store, hash, b"x");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert!(moved.join(FileName::Data(hash).to_string()).is_file());
}

/// An entry becomes a link between listing and opening; a file is changed through another
/// name of it.
/// BI-022, BI-023.
#[test]
fn an_entry_changes_after_it_was_listed() {
    let real = Real::new();
    let content = bytes(1, 2 * GROUP);
    let hash = real.open().import_bytes(&content).unwrap().hash;
    let name = real.path(FileName::Data(hash));
    let target = real.outside().join("target");
    for what in STRANGE {
        let store = real.open();
        fs::write(&target, &content).unwrap();
        fs::rename(&name, real.outside().join("kept")).unwrap();
        make_strange(what, &name, &target);
        let error = read(&store, hash).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Unreadable {
                    source: BackendError::NotAFile { .. },
                    ..
                }
            ),
            "{what}: {error:?}"
        );
        match what {
            "directory" => fs::remove_dir(&name).unwrap(),
            _ => fs::remove_file(&name).unwrap(),
        }
        fs::rename(real.outside().join("kept"), &name).unwrap();
        assert_reads(&store, hash, &content);
    }
    let store = real.open();
    let twin = real.outside().join("twin");
    fs::hard_link(&name, &twin).unwrap();
    let mut file = fs::OpenOptions::new().write(true).open(&twin).unwrap();
    file.seek(SeekFrom::Start(20_000)).unwrap();
    file.write_all(b"other").unwrap();
    assert!(matches!(read(&store, hash), Err(Error::Corrupt { .. })));
    let mut buf = vec![0; GROUP];
    assert_eq!(
        store.reader(hash).unwrap().read_at(&mut buf, 0).unwrap(),
        GROUP
    );
    assert!(buf == content[..GROUP]);
}

/// Both sides of the boundary at which an outboard begins, with an outboard and without.
/// BI-036.
#[test]
fn the_boundary_of_one_group() {
    for len in [GROUP - 1, GROUP, GROUP + 1] {
        let content = bytes(len as u64, len);
        let hash = Hash::of(&content);
        let right = outboard(&content);
        assert_eq!(right.is_some(), len > GROUP);
        let made_up = (len as u64).to_le_bytes().to_vec();
        for board in [None, Some(made_up), right] {
            let machine = Machine::new();
            machine.plant(&FileName::Data(hash), &content);
            if let Some(board) = &board {
                machine.plant(&FileName::Outboard(hash), board);
            }
            assert_reads(&machine.open(), hash, &content);
        }
    }
}

/// Complete data and partial data of one blob. The complete ones are served if they are right; where
/// they are not, the partial ones are, group by group, and both stay.
/// BI-037.
#[test]
fn complete_and_partial_at_once() {
    let content = bytes(1, 3 * GROUP);
    let hash = Hash::of(&content);
    let machine = Machine::new();
    machine.plant(&FileName::Data(hash), &content);
    machine.plant(&FileName::Outboard(hash), &outboard(&content).unwrap());
    machine.plant(&FileName::PartialData(hash, uuid(1)), &content);
    machine.plant(
        &FileName::PartialOutboard(hash, uuid(1)),
        &outboard(&content).unwrap(),
    );
    machine.plant(
        &FileName::Tags,
        &TagFile::encode(&[(tag("a"), raw(hash))].into()).unwrap(),
    );
    let store = machine.fork().open();
    assert_reads(&store, hash, &content);
    machine.plant(&FileName::Data(hash), &[0; 3 * GROUP]);
    let before = machine.files();
    let store = machine.open();
    assert_reads(&store, hash, &content);
    assert!(matches!(store.status(hash), Status::Present(info) if info.damaged));
    assert_eq!(
        store.partials(hash).unwrap()[0].groups,
        std::slice::from_ref(&(0..3))
    );
    assert!(
        store
            .sweep(store.plan_gc().unwrap())
            .unwrap()
            .removed
            .is_empty()
    );
    assert_eq!(machine.files(), before);
}

/// Halves of a partial entry are never served; a huge one of holes costs nothing.
/// BI-039, BI-041.
#[test]
fn odd_partials() {
    let real = Real::new();
    let hash = Hash::of(b"x");
    let data = fs::File::create(real.path(FileName::PartialData(hash, uuid(1)))).unwrap();
    // As much as the file system of the test allows, up to 2^60.
    let size = (30..=60)
        .rev()
        .map(|bits| 1_u64 << bits)
        .find(|size| data.set_len(*size).is_ok());
    let mut board = vec![0; 4096];
    board[..8].copy_from_slice(&size.unwrap().to_le_bytes());
    fs::write(real.path(FileName::PartialOutboard(hash, uuid(1))), &board).unwrap();
    fs::write(real.path(FileName::PartialData(Hash::EMPTY, uuid(2))), b"").unwrap();
    fs::write(
        real.path(FileName::PartialOutboard(Hash::of(b"y"), uuid(3))),
        [255; 64],
    )
    .unwrap();
    for (n, claim) in (10..).zip([0, 1, 1 << 63, u64::MAX - 1, u64::MAX]) {
        board[..8].copy_from_slice(&u64::to_le_bytes(claim));
        fs::write(real.path(FileName::PartialOutboard(hash, uuid(n))), &board).unwrap();
        fs::write(real.path(FileName::PartialData(hash, uuid(n))), b"z").unwrap();
    }
    real.empty_tags();
    let begun = Instant::now();
    let (store, recovery) = real.told();
    assert_eq!(recovery.unpaired.len(), 2);
    for partial in store.partials(hash).unwrap() {
        assert_eq!(partial.groups, []);
        assert_eq!(partial.verified(), 0);
    }
    assert!(matches!(store.reader(hash), Err(Error::Incomplete(_))));
    assert!(matches!(
        store.reader(Hash::of(b"y")),
        Err(Error::NotFound(_)) | Err(Error::Incomplete(_))
    ));
    assert_eq!(store.partials(Hash::EMPTY).unwrap(), []);
    assert!(begun.elapsed() < Duration::from_secs(10), "holes were read");
}

/// A huge file of holes in place of a complete blob is refused before it is hashed.
#[test]
fn a_huge_file_of_holes() {
    let real = Real::new();
    let hash = Hash::of(b"x");
    let data = fs::File::create(real.path(FileName::Data(hash))).unwrap();
    let Some(_) = (41..=60).rev().find(|bits| data.set_len(1 << bits).is_ok()) else {
        return;
    };
    let begun = Instant::now();
    let store = real.open();
    assert!(read(&store, hash).is_err());
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// Lists of paths on a real disk. What is damaged costs its blob only; what is in disorder is read and put in order by
/// the next write; what is huge is not read.
/// BI-044, BI-045, BI-046, BI-047, BI-048, BI-049, BI-051, BI-052.
#[test]
fn lists_of_paths() {
    let content = bytes(1, 20_000);
    let hash = Hash::of(&content);
    let overlong = [
        b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec(),
        b"/external/a".to_vec(),
    ]
    .concat();
    for bad in [
        b"".to_vec(),
        overlong,
        b"\x01\x0b/externa".to_vec(),
        b"\x01\x0b/external/a\0".to_vec(),
        b"\x01\x04/\xff\xff\xff".to_vec(),
        vec![0; 4096],
    ] {
        let real = Real::new();
        fs::write(real.outside().join("a"), &content).unwrap();
        fs::write(real.path(FileName::Data(Hash::of(b"x"))), b"x").unwrap();
        fs::write(real.path(FileName::Paths(hash)), &bad).unwrap();
        real.empty_tags();
        let store = real.open();
        assert!(
            matches!(read(&store, hash), Err(Error::Paths { .. })),
            "{bad:?}"
        );
        assert!(
            matches!(store.status(hash), Status::Present(info) if info.damaged && info.state == State::Complete)
        );
        assert_reads(&store, Hash::of(b"x"), b"x");
        assert_eq!(
            fs::read(real.path(FileName::Paths(hash))).unwrap(),
            bad,
            "kept"
        );
        // Found damaged, it stays through a collection until its user decides.
        assert_eq!(sweep(&store).removed.len(), 1);
        assert!(real.path(FileName::Paths(hash)).exists());
    }
    let real = Real::new();
    for name in ["a", "b", "c"] {
        fs::write(real.outside().join(name), &content).unwrap();
    }
    let disorder = b"\x03\x0b/external/b\x0b/external/a\x0b/external/b";
    fs::write(real.path(FileName::Paths(hash)), disorder).unwrap();
    real.empty_tags();
    let store = real.open();
    assert_reads(&store, hash, &content);
    assert_eq!(
        fs::read(real.path(FileName::Paths(hash))).unwrap(),
        disorder
    );
    store.import_reference(&external("c")).unwrap();
    let written = fs::read(real.path(FileName::Paths(hash))).unwrap();
    assert!(written.starts_with(b"\x03\x0b/external/a\x0b/external/b\x0b/external/c"));
    drop(store);

    let huge = fs::File::create(real.path(FileName::Paths(hash))).unwrap();
    huge.set_len(1 << 34).unwrap();
    let begun = Instant::now();
    let store = real.open();
    assert!(read(&store, hash).is_err());
    assert!(begun.elapsed() < Duration::from_secs(5));
    store.import_bytes(b"y").unwrap();
}

/// Paths that are never followed, in a list and as an argument; and, with everything granted, a path into the store
/// itself.
/// BI-050.
#[test]
fn paths_that_are_never_followed() {
    let content = bytes(1, 3 * GROUP);
    let hash = Hash::of(&content);
    let real = Real::new();
    fs::write(real.outside().join("a"), &content).unwrap();
    let inside = real.store().canonicalize().unwrap();
    fs::write(inside.join("planted"), &content).unwrap();
    let inside = inside.join("planted").to_str().unwrap().to_owned();
    let up = format!(
        "{}/../store/planted",
        real.outside().canonicalize().unwrap().display()
    );
    for path in [
        "outside/a",
        "",
        "/",
        "/external/../outside/a",
        "/external/./a",
        "/external//a",
        "/external/a\0",
        "/proc/self/mem",
        "/proc/self/cwd/a",
        "/dev/zero",
        "/sys/kernel/notes",
        "\\\\host\\share\\a",
        "//host/share/a",
        "C:\\a",
        &up,
        &inside,
    ] {
        let list = [
            &[1, u8::try_from(path.len()).unwrap_or(127)][..],
            path.as_bytes(),
        ]
        .concat();
        fs::write(real.path(FileName::Paths(hash)), &list).unwrap();
        fs::write(
            real.path(FileName::Outboard(hash)),
            outboard(&content).unwrap(),
        )
        .unwrap();
        let mut backend = flatbao_fs::open_ambient(real.store()).unwrap();
        flatbao_fs::grant_ambient(&mut backend, "/", "/").unwrap();
        let (store, _) = Store::open_read_only(backend, fresh_env()).unwrap();
        let error = read(&store, hash).unwrap_err();
        if path.len() < 128 {
            let refused = matches!(
                error,
                Error::Path { .. }
                    | Error::Unreadable {
                        source: BackendError::InsideStore { .. },
                        ..
                    }
            );
            assert!(refused, "{path:?}: {error:?}");
        }
    }
    assert!(ExternalPath::parse("/dev/zero").is_err());
    // Without a grant a path is reported and not followed, twice alike.
    fs::write(real.path(FileName::Paths(hash)), b"\x01\x0b/external/a").unwrap();
    let backend = flatbao_fs::open_ambient(real.store()).unwrap();
    let (store, _) = Store::open_read_only(backend, fresh_env()).unwrap();
    for _ in 0..2 {
        let error = read(&store, hash).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Unreadable {
                    source: BackendError::NotGranted { .. },
                    ..
                }
            ),
            "{error:?}"
        );
    }
    assert_reads(&real.open(), hash, &content);
}

/// An external file that is gone, shorter, longer, other, or no file. The next path
/// helps; without one it is an error, no wrong byte comes out, and collection touches nothing outside.
/// BI-053, BI-054, BI-055, BI-056, BI-057, BI-059.
#[test]
fn external_files_that_changed() {
    let content = bytes(1, 3 * GROUP + 50);
    for helped in [false, true] {
        for what in STRANGE
            .iter()
            .copied()
            .chain(["missing", "shrunk", "grown", "other bytes"])
        {
            let real = Real::new();
            let first = real.outside().join("a");
            fs::write(&first, &content).unwrap();
            fs::write(real.outside().join("z"), &content).unwrap();
            let store = real.open();
            let hash = store.import_reference(&external("a")).unwrap().hash;
            if helped {
                store.import_reference(&external("z")).unwrap();
            }
            drop(store);
            fs::remove_file(&first).unwrap();
            match what {
                "missing" => {}
                "shrunk" => fs::write(&first, &content[..GROUP]).unwrap(),
                "grown" => fs::write(&first, [&content[..], b"more"].concat()).unwrap(),
                "other bytes" => fs::write(&first, bytes(2, content.len())).unwrap(),
                strange => make_strange(strange, &first, &real.outside().join("z")),
            }
            let outside = real_files(&real.outside());
            let store = real.open();
            if helped || what == "grown" {
                assert_reads(&store, hash, &content);
            } else {
                let good = common::groups_that_read(&store, hash, &content);
                assert!(good.contains(&false), "{what}");
                assert!(good.iter().skip(1).all(|good| !good), "{what}");
            }
            sweep(&store);
            assert_eq!(real_files(&real.outside()), outside, "{what}");
        }
    }
}

/// An older, valid copy of the tags cannot be told from the right one (FORMAT.md, "Tag database"). An absurd one is not read,
/// or not believed.
/// BI-065, BI-066.
#[test]
fn old_and_absurd_tags() {
    let real = Real::new();
    let store = real.open();
    let hash = store.import_bytes(b"x").unwrap().hash;
    store.set_tag(tag("a"), raw(hash)).unwrap();
    let old = fs::read(real.path("tags.meta")).unwrap();
    store.set_tag(tag("b"), raw(hash)).unwrap();
    // While the store is open it is noticed, and nothing is overwritten or collected by it.
    fs::write(real.path("tags.meta"), &old).unwrap();
    assert!(matches!(store.plan_gc(), Err(Error::TagsChanged)));
    assert!(matches!(
        store.set_tag(tag("c"), raw(hash)),
        Err(Error::TagsChanged)
    ));
    assert!(matches!(store.delete(hash, false), Err(Error::TagsChanged)));
    assert_eq!(fs::read(real.path("tags.meta")).unwrap(), old);
    drop(store);
    assert_eq!(real.open().tags().unwrap().len(), 1);

    let long = MAX_TAG_NAME + 1;
    assert!(Tag::new(vec![b'n'; long]).is_err());
    let begun = Instant::now();
    // A name of 16 MiB, sealed as it should be.
    let mut payload = vec![1, 0x80, 0x80, 0x80, 0x08];
    payload.resize(payload.len() + (16 << 20), b'n');
    payload.extend([0; 33]);
    let seal = Hash::of(&payload);
    payload.extend(b"fbtrail1");
    payload.extend(seal.as_bytes());
    fs::write(real.path("tags.meta"), &payload).unwrap();
    assert!(matches!(real.told().1.tags, TagsFound::Damaged(_)));
    fs::File::create(real.path("tags.meta"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    assert!(matches!(real.told().1.tags, TagsFound::Damaged(_)));
    // A count of 2^64-1 and nothing behind it allocates nothing.
    fs::write(
        real.path("tags.meta"),
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    )
    .unwrap();
    assert!(matches!(real.told().1.tags, TagsFound::Damaged(_)));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// Many tags are no trouble.
/// BI-066.
#[test]
fn many_tags() {
    let tags: TagMap = (0..1_000_000_u32)
        .map(|n| (tag(&format!("tag {n}")), raw(Hash::of(&n.to_le_bytes()))))
        .collect();
    let machine = Machine::new();
    machine.plant(&FileName::Tags, &TagFile::encode(&tags).unwrap());
    let store = machine.open();
    assert_eq!(*store.tags().unwrap(), tags);
    store.remove_tag(&tag("tag 5")).unwrap();
    assert_eq!(store.plan_gc().unwrap().live(), 999_999);
}

/// A raw tag whose blob is missing or partial stays, and collection goes on.
/// BI-067.
#[test]
fn a_dangling_raw_tag() {
    let machine = Machine::new();
    let content = bytes(1, 2 * GROUP);
    let partial = Hash::of(&content);
    machine.plant(&FileName::PartialData(partial, uuid(1)), &content[..GROUP]);
    machine.plant(
        &FileName::PartialOutboard(partial, uuid(1)),
        &outboard(&content).unwrap(),
    );
    let tags: TagMap = [
        (tag("missing"), raw(Hash::of(b"missing"))),
        (tag("partial"), raw(partial)),
    ]
    .into();
    machine.plant(&FileName::Tags, &TagFile::encode(&tags).unwrap());
    let store = machine.open();
    store.import_bytes(b"dead").unwrap();
    let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
    assert_eq!(swept.removed.len(), 1);
    assert_eq!(*store.tags().unwrap(), tags);
    assert_eq!(
        store.partials(partial).unwrap()[0].groups,
        std::slice::from_ref(&(0..1))
    );
}

/// A sequence that is listed by another root, by itself as far as that can be, and a million children.
/// BI-069.
#[test]
fn odd_sequences() {
    let machine = Machine::new();
    let store = machine.open();
    // No blob lists its own hash; but it may be tagged twice, and list another that is tagged.
    let inner = store
        .import_bytes(&sequence(&[Hash::EMPTY; 3]))
        .unwrap()
        .hash;
    let outer = store
        .import_bytes(&sequence(&[inner, inner, Hash::EMPTY]))
        .unwrap()
        .hash;
    let mut many: Vec<Hash> = (0..1_u32 << 20)
        .map(|n| Hash::of(&n.to_le_bytes()))
        .collect();
    many.push(outer);
    let many = store.import_bytes(&sequence(&many)).unwrap().hash;
    for (name, value) in [
        ("inner", seq(inner)),
        ("outer", seq(outer)),
        ("many", seq(many)),
        ("raw", raw(many)),
    ] {
        store.set_tag(tag(name), value).unwrap();
    }
    let dead = store.import_bytes(b"dead").unwrap().hash;
    let kept = store.import_bytes(&7_u32.to_le_bytes()).unwrap().hash;
    let plan = store.plan_gc().unwrap();
    // The children, the three sequences, and the empty blob.
    assert_eq!(plan.live(), (1 << 20) + 4);
    let swept = store.sweep(plan).unwrap();
    assert_eq!(removed(&swept), [dead]);
    assert_reads(&store, kept, &7_u32.to_le_bytes());
    // An empty sequence is one.
    let empty = store.import_bytes(b"").unwrap().hash;
    store.set_tag(tag("empty"), seq(empty)).unwrap();
    assert!(store.plan_gc().unwrap().items().is_empty());
}

/// A source that changes while it is read. A copy is what was stored, whatever that was; a reference is refused.
/// BI-071.
#[test]
fn a_source_that_changes_while_it_is_read() {
    // More than is read at once, however many cores there are.
    const SIZE: u64 = 5 << 20;
    let content = bytes(1, 5 << 20);
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("grows", |path| {
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(b"more").unwrap();
        }),
        ("shrinks", |path| {
            fs::OpenOptions::new()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(300_000)
                .unwrap()
        }),
        ("changes", |path| {
            let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.write_all(b"other").unwrap();
        }),
        ("changes back in size", |path| {
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(5).unwrap();
            file.set_len(SIZE).unwrap();
        }),
    ];
    for (what, change) in changes {
        let real = Real::new();
        let path = real.outside().join("a");
        fs::write(&path, &content).unwrap();
        let store = real.open();
        let is_changed = Cell::new(false);
        let once = |progress: Progress| {
            if matches!(progress, Progress::Imported { .. }) && !is_changed.replace(true) {
                change(&path);
            }
            ControlFlow::Continue(())
        };
        let mut batch = store.batch();
        let error = batch
            .import_reference_with(&external("a"), ImportOptions::default(), &mut { once })
            .unwrap_err();
        assert!(
            matches!(error, Error::SourceChanged { .. }),
            "{what}: {error:?}"
        );
        drop(batch);
        assert_eq!(store.blobs().count(), 0);

        fs::write(&path, &content).unwrap();
        is_changed.set(false);
        let mut batch = store.batch();
        batch
            .import_file_with(&external("a"), ImportOptions::default(), &mut { once })
            .unwrap();
        let imported = batch.commit().unwrap().remove(0);
        let stored = read(&store, imported.hash).unwrap();
        assert_eq!(
            (Hash::of(&stored), stored.len() as u64),
            (imported.hash, imported.size)
        );
        assert!(
            fs::read_dir(real.store()).unwrap().count() <= 4,
            "{what}: leftovers"
        );
    }
}

/// A source that is no regular file.
/// BI-072.
#[test]
fn a_source_that_is_no_file() {
    for what in STRANGE {
        let real = Real::new();
        fs::write(real.outside().join("z"), b"z").unwrap();
        make_strange(what, &real.outside().join("a"), &real.outside().join("z"));
        let store = real.open();
        for error in [
            store.import_file(&external("a")).unwrap_err(),
            store.import_reference(&external("a")).unwrap_err(),
        ] {
            assert!(
                matches!(error, Error::Backend(BackendError::NotAFile { .. })),
                "{what}: {error:?}"
            );
        }
        assert_eq!(store.blobs().count(), 0);
    }
    let real = Real::new();
    let store = real.open();
    assert!(matches!(
        store.import_file(&external("none")),
        Err(Error::Backend(_))
    ));
    let inside = real.store().canonicalize().unwrap().join("tags.meta");
    let inside = ExternalPath::parse(inside.to_str().unwrap()).unwrap();
    assert!(matches!(
        store.import_reference(&inside),
        Err(Error::Backend(BackendError::NotGranted { .. }))
    ));
    // A link on the way to a file leads no further than the grant.
    fs::create_dir(real.dir.path().join("elsewhere")).unwrap();
    fs::write(real.dir.path().join("elsewhere/a"), b"secret").unwrap();
    symlink("../elsewhere", real.outside().join("way")).unwrap();
    symlink(
        real.dir.path().join("elsewhere"),
        real.outside().join("far"),
    )
    .unwrap();
    for path in ["way/a", "far/a"] {
        assert!(
            matches!(store.import_file(&external(path)), Err(Error::Backend(_))),
            "{path}"
        );
    }
    assert_eq!(store.blobs().count(), 0);
}

/// A source without end is capped; a size that was claimed is checked.
/// BI-073, BI-074.
#[test]
fn an_endless_source() {
    let machine = Machine::new();
    let store = machine.open();
    let before = machine.files();
    for cap in [0, 1, 16_384, 1 << 20] {
        let options = ImportOptions::default().cap(cap);
        let result = store.import_reader_with(io::repeat(7), options, &mut unwatched);
        assert!(
            matches!(result, Err(Error::TooLarge { cap: told }) if told == cap),
            "{result:?}"
        );
        assert_eq!(machine.files(), before);
        let options = ImportOptions::default().size(cap);
        let result = store.import_reader_with(io::repeat(7), options, &mut unwatched);
        assert!(matches!(result, Err(Error::WrongSize { .. })), "{result:?}");
        // Exactly as much as is allowed is allowed.
        let options = ImportOptions::default().cap(cap).size(cap);
        let source = io::repeat(7).take(cap);
        let imported = store
            .import_reader_with(source, options, &mut unwatched)
            .unwrap();
        assert_eq!(imported.size, cap);
        drop(imported);
        store.sweep(store.plan_gc().unwrap()).unwrap();
    }
    // Stopped by its watcher.
    let mut stop = |progress| match progress {
        Progress::Imported { bytes, .. } if bytes > 1 << 20 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let result = store.import_reader_with(io::repeat(7), ImportOptions::default(), &mut stop);
    assert!(matches!(result, Err(Error::Cancelled)));
    assert_eq!(machine.files(), before);
}

/// Seeking past the end, before the start, by the largest numbers; reading there.
/// BI-076.
#[test]
fn absurd_seeks() {
    let machine = Machine::new();
    let store = machine.open();
    for len in [0, 1, GROUP, 2 * GROUP + 5] {
        let content = bytes(3, len);
        let hash = store.import_bytes(&content).unwrap().hash;
        let mut reader = store.reader(hash).unwrap();
        let end = len as i64;
        for (to, expected) in [
            (SeekFrom::Start(u64::MAX), Some(u64::MAX)),
            (SeekFrom::Current(1), None),
            (SeekFrom::Current(i64::MIN), Some(u64::MAX - (1 << 63))),
            (SeekFrom::Start(0), Some(0)),
            (SeekFrom::Current(-1), None),
            (SeekFrom::Current(i64::MAX), Some((1 << 63) - 1)),
            (SeekFrom::End(-end), Some(0)),
            (SeekFrom::End(-end - 1), None),
            (SeekFrom::End(i64::MIN), None),
            (SeekFrom::End(i64::MAX), Some(len as u64 + (1 << 63) - 1)),
            (SeekFrom::End(0), Some(len as u64)),
        ] {
            let before = reader.stream_position().unwrap();
            match (reader.seek(to), expected) {
                (Ok(at), Some(expected)) => assert_eq!(at, expected, "{to:?}"),
                (Err(e), None) => {
                    assert_eq!(e.kind(), io::ErrorKind::InvalidInput);
                    assert_eq!(reader.stream_position().unwrap(), before);
                }
                other => panic!("{to:?} of {len}: {other:?}"),
            }
            let at = reader.stream_position().unwrap();
            let mut buf = [0; 10];
            let read = reader.read(&mut buf).unwrap();
            assert_eq!(read, (len as u64).saturating_sub(at).min(10) as usize);
            assert_eq!(reader.read_at(&mut buf, u64::MAX).unwrap(), 0);
            assert_eq!(reader.read_at(&mut [], at).unwrap(), 0);
            reader.seek(SeekFrom::Start(at)).unwrap();
        }
    }
    // The end of a damaged blob is not told.
    let content = bytes(3, 2 * GROUP + 5);
    let hash = Hash::of(&content);
    drop(store);
    let machine = machine.kill();
    machine.plant(&FileName::Data(hash), &content[..2 * GROUP]);
    let store = machine.open();
    let mut reader = store.reader(hash).unwrap();
    assert!(reader.seek(SeekFrom::End(0)).is_err());
    assert!(
        reader.read_at(&mut [0; 10], 1 << 40).is_err(),
        "nothing proves that this is the end"
    );
    assert_eq!(reader.read_at(&mut [0; 10], 0).unwrap(), 10);
}

/// Whatever the clock says, automatic names are unique and nothing panics.
/// BI-089.
#[test]
fn odd_clocks() {
    let machine = Machine::new();
    let env = SeededEnv::new(9);
    let (store, _) = Store::open(machine.backend(), env.env()).unwrap();
    let value = raw(Hash::of(b"x"));
    let mut names = BTreeMap::new();
    for millis in [
        0,
        -1,
        1_704_067_200_000,
        18_446_744_073_709,
        i64::MAX,
        i64::MIN,
        0,
        0,
        i64::MAX,
    ] {
        env.clock.set(millis);
        let name = store.auto_tag(value).unwrap();
        assert!(name.as_str().unwrap().starts_with("auto-"));
        assert_eq!(names.insert(name, millis), None);
        if millis == i64::MAX {
            env.clock.set(0);
        }
    }
    assert_eq!(store.tags().unwrap().len(), names.len());
    assert!(
        names
            .keys()
            .any(|name| name.to_string() == "auto-1970-01-01T00:00:00.000Z-2")
    );
}

/// With a smaller number: opening many entries and asking for them is fast. (That it makes no call an entry is PD-23 in
/// `defects.rs`.)
/// BI-090, BI-091.
#[test]
fn many_entries() {
    let real = Real::new();
    for n in 0..5000_u32 {
        fs::write(
            real.path(FileName::Data(Hash::of(&n.to_le_bytes()))),
            n.to_le_bytes(),
        )
        .unwrap();
    }
    real.empty_tags();
    let begun = Instant::now();
    let store = real.open();
    assert_eq!(store.blobs().count(), 5000);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(sweep(&store).removed.len(), 5000);
    assert_eq!(fs::read_dir(real.store()).unwrap().count(), 2);
    // One directory sync for many files, not one each.
    let machine = Machine::new();
    for n in 0..1000_u32 {
        machine.plant(&FileName::Data(Hash::of(&n.to_le_bytes())), b"");
    }
    machine.plant(&FileName::Tags, &TagFile::encode(&TagMap::new()).unwrap());
    let store = machine.open();
    let before = machine.disk.count(OpKind::SyncDir);
    store.sweep(store.plan_gc().unwrap()).unwrap();
    assert!(machine.disk.count(OpKind::SyncDir) - before < 10);
}
