//! Where a store lies on a disk, and what is at a path.

// A test that cannot set its scene fails.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    error::Error,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use flatbao_core::{Backend, BackendError, ExternalPath, FileName, Hash, ReadAt, Uuid, WriteAt};
use flatbao_fs::{
    Found, FsBackend, FsError, Layout, SystemDir, create_ambient, grant_ambient, open_ambient,
    open_areas, probe,
};
use tempfile::TempDir;

const UUID: Uuid = Uuid::from_bytes([7; 16]);

const V0: [&str; 3] = ["blobs.v0", "blobs-partial.v0", "blobs-meta.v0"];
const V1: [&str; 3] = ["blobs.v1/complete", "blobs.v1/partial", "blobs.v1/meta"];
const AREAS: [&str; 3] = ["complete", "partial", "meta"];

#[test]
fn a_directory_is_a_store_by_itself() {
    let root = tempdir().unwrap();
    let store = open_ambient(root.path()).unwrap();
    fill(&store);
    assert_eq!(tree(root.path()), filled(["", "", ""]));
    assert_eq!(
        probe(root.path()).unwrap(),
        Found::Store(Layout::Single),
        "and is one afterwards"
    );
}

#[test]
fn every_layout_of_three_directories_is_found() {
    for (layout, names) in [
        (Layout::Areas, AREAS),
        (Layout::IrohV0, V0),
        (Layout::IrohV1, V1),
    ] {
        assert_eq!(layout.directories(), Some(names));
        let root = with_dirs(&names);
        assert_eq!(probe(root.path()).unwrap(), Found::Store(layout));
        let store = open_ambient(root.path()).unwrap();
        fill(&store);
        assert_eq!(tree(root.path()), filled(names), "{layout}");
        assert_eq!(probe(root.path()).unwrap(), Found::Store(layout));
        let again = create_ambient(root.path()).unwrap();
        assert_eq!(read(&again, b"hello"), b"hello");
    }
}

/// Every part of a trio, but for none and all of it.
fn parts<'a>(names: &[&'a str; 3]) -> Vec<(Vec<&'a str>, Vec<&'a str>)> {
    (1..7)
        .map(|set| {
            names
                .iter()
                .enumerate()
                .map(|(index, name)| (set >> index & 1 == 1, *name))
                .partition::<Vec<_>, _>(|(there, _)| *there)
        })
        .map(|(there, missing)| {
            let names = |part: Vec<(bool, &'a str)>| part.into_iter().map(|(_, name)| name);
            (names(there).collect(), names(missing).collect())
        })
        .collect()
}

#[test]
fn half_a_layout_is_an_error_that_says_what_is_missing() {
    for (expected, names) in [(Layout::IrohV0, V0), (Layout::IrohV1, V1)] {
        for (there, absent) in parts(&names) {
            let root = with_dirs(&there);
            let before = tree(root.path());
            for error in all_refuse(root.path()) {
                let text = error.to_string();
                let FsError::HalfThere {
                    path,
                    layout,
                    missing,
                } = error
                else {
                    panic!("{there:?}: {error:?}");
                };
                assert_eq!((layout, path.as_path()), (expected, root.path()));
                assert_eq!(missing, absent);
                assert!(absent.iter().all(|name| text.contains(name)), "{text}");
            }
            assert_eq!(tree(root.path()), before, "nothing was made");
        }
    }
}

/// The words `complete`, `partial` and `meta` mean nothing one by one, and an empty `blobs.v1` nothing
/// yet.
#[test]
fn what_only_resembles_a_layout_is_none() {
    for (there, _) in parts(&AREAS) {
        let root = with_dirs(&there);
        assert_eq!(probe(root.path()).unwrap(), Found::NotAStore);
        fill(&open_ambient(root.path()).unwrap());
        assert!(root.path().join(data(b"hello")).is_file());
    }
    let root = with_dirs(&["blobs.v1"]);
    assert_eq!(probe(root.path()).unwrap(), Found::NotAStore);
    for name in V0.into_iter().chain(AREAS).chain(["blobs.v1"]) {
        let root = tempdir().unwrap();
        fs::write(root.path().join(name), b"a file").unwrap();
        assert_eq!(probe(root.path()).unwrap(), Found::NotAStore, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn an_area_is_never_a_link() {
    use std::os::unix::fs::symlink;
    for (names, link) in [
        (AREAS, "partial"),
        (V0, "blobs-meta.v0"),
        (V1, "blobs.v1/complete"),
    ] {
        let elsewhere = tempdir().unwrap();
        for target in [elsewhere.path(), Path::new("."), Path::new("nothing")] {
            let root = with_dirs(&names);
            fs::remove_dir(root.path().join(link)).unwrap();
            symlink(target, root.path().join(link)).unwrap();
            for error in all_refuse(root.path()) {
                let FsError::HalfThere { missing, .. } = error else {
                    panic!("{error:?}");
                };
                assert_eq!(missing, [link]);
            }
        }
        assert_eq!(tree(elsewhere.path()), BTreeSet::new());
    }
    let elsewhere = with_dirs(&AREAS);
    let root = tempdir().unwrap();
    symlink(elsewhere.path(), root.path().join("blobs.v1")).unwrap();
    for error in all_refuse(root.path()) {
        assert!(matches!(error, FsError::HalfThere { .. }), "{error:?}");
    }
}

#[test]
fn two_stores_in_one_directory_are_refused() {
    let mixed: Vec<&str> = V0.into_iter().chain(V1).collect();
    let root = with_dirs(&mixed);
    for error in all_refuse(root.path()) {
        let FsError::Ambiguous { layouts, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(layouts, [Layout::IrohV0, Layout::IrohV1]);
    }
    let root = with_dirs(&AREAS);
    fs::write(root.path().join("tags.meta"), b"\0").unwrap();
    for error in all_refuse(root.path()) {
        let FsError::Ambiguous { layouts, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(layouts, [Layout::Single, Layout::Areas]);
    }
}

#[test]
fn areas_can_be_any_directories_and_the_same_one_twice() {
    let root = with_dirs(&["one", "two"]);
    let [a, b, c] = ["one", "two", "one"].map(|name| handle(&root.path().join(name)));
    let store = open_areas(a, b, c).unwrap();
    if let Some(held) = lock(&store) {
        assert_eq!(held.len(), 2, "each directory is locked once");
    }
    fill(&store);
    assert_eq!(tree(root.path()), filled(["one", "two", "one"]));
}

/// What is published from one file system to another is copied, and gone where it was.
/// BI-085.
#[cfg(target_os = "linux")]
#[test]
fn areas_can_be_on_two_file_systems() {
    use std::os::unix::fs::MetadataExt;
    let (disk, Ok(memory)) = (tempdir().unwrap(), TempDir::new_in("/dev/shm")) else {
        return println!("skipped: there is no /dev/shm");
    };
    let device = |dir: &TempDir| dir.path().metadata().unwrap().dev();
    if device(&disk) == device(&memory) {
        return println!("skipped: there is only one file system");
    }
    let store = open_areas(
        handle(disk.path()),
        handle(memory.path()),
        handle(disk.path()),
    )
    .unwrap();
    fill(&store);
    assert_eq!(
        read(&flatbao_fs::open(handle(disk.path())), b"hello"),
        b"hello"
    );
    let [tags, data, lock] = ["tags.meta", &data(b"hello"), "lock"].map(PathBuf::from);
    assert_eq!(tree(disk.path()), [tags, data, lock.clone()].into());
    let temp = FileName::Temp(UUID).to_string().into();
    assert_eq!(tree(memory.path()), [temp, lock].into());
}

#[test]
fn probing_tells_what_is_there_and_changes_nothing() {
    let root = tempdir().unwrap();
    let hash = Hash::of(b"hello");
    let store_names = [
        FileName::Tags,
        FileName::Data(hash),
        FileName::Outboard(hash),
        FileName::Paths(hash),
        FileName::PartialData(hash, UUID),
        FileName::PartialOutboard(hash, UUID),
        FileName::Lock,
    ];
    let store = |names: &[String]| (names.to_vec(), Found::Store(Layout::Single));
    let not_a_store = |names: &[&str]| {
        let names = names.iter().map(|&name| name.into()).collect();
        (names, Found::NotAStore)
    };
    let temp = FileName::Temp(UUID).to_string();
    let tags_temp = FileName::TagsTemp(UUID).to_string();
    let mut cases = vec![
        (vec![], Found::Empty),
        store(&["lock".into(), temp.clone(), tags_temp.clone()]),
        not_a_store(&["lock", "package.json"]),
        not_a_store(&[&temp]),
        not_a_store(&[&tags_temp]),
        not_a_store(&["beef.meta"]),
        not_a_store(&["lock", "beef.meta"]),
        not_a_store(&[".bashrc"]),
        not_a_store(&["notes.txt", "Documents"]),
        not_a_store(&[&format!("{}.data", hash.to_string().to_uppercase())]),
        not_a_store(&[&format!(".{hash}.data")]),
        not_a_store(&["lost+found"]),
    ];
    for name in store_names {
        let alone = [name.to_string()];
        cases.push(store(&alone));
        if name != FileName::Lock {
            cases.push(store(&["notes.txt".into(), name.to_string()]));
        }
    }
    for (index, (names, expected)) in cases.into_iter().enumerate() {
        let path = root.path().join(index.to_string());
        assert_eq!(probe(&path).unwrap(), Found::Missing);
        fs::create_dir(&path).unwrap();
        for name in &names {
            fs::write(path.join(name), b"").unwrap();
        }
        let before = tree(&path);
        assert_eq!(probe(&path).unwrap(), expected, "{names:?}");
        assert_eq!(tree(&path), before);
    }
}

#[test]
fn what_is_no_directory_is_an_error_with_its_cause() {
    let root = tempdir().unwrap();
    let (file, below) = (root.path().join("file"), root.path().join("file/below"));
    fs::write(&file, b"hello").unwrap();
    for path in [&file, &below] {
        for error in all_refuse(path) {
            let cause = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
            assert_eq!(cause.kind(), io::ErrorKind::NotADirectory, "{error:?}");
            assert!(error.to_string().contains("file"), "{error}");
        }
    }
    let missing = root.path().join("missing");
    let error = open_ambient(&missing).unwrap_err();
    let cause = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(cause.kind(), io::ErrorKind::NotFound);
    assert!(!missing.exists(), "opening makes nothing");
    assert_eq!(fs::read(&file).unwrap(), b"hello");
}

#[cfg(unix)]
#[test]
fn a_link_to_a_store_is_followed_and_one_to_nothing_is_an_error() {
    let root = tempdir().unwrap();
    let (link, store) = (root.path().join("link"), root.path().join("store"));
    std::os::unix::fs::symlink("store", &link).unwrap();
    for error in all_refuse(&link) {
        assert!(matches!(error, FsError::Io { .. }), "{error:?}");
    }
    assert!(!store.exists(), "nothing is made through a link");
    fill(&create_ambient(&store).unwrap());
    assert_eq!(probe(&link).unwrap(), Found::Store(Layout::Single));
    assert_eq!(read(&open_ambient(&link).unwrap(), b"hello"), b"hello");
}

#[test]
fn creating_makes_the_parents_and_keeps_what_is_there() {
    let root = tempdir().unwrap();
    let path = root.path().join("a/b/../c");
    fill(&create_ambient(&path).unwrap());
    assert!(root.path().join("a/c").join(data(b"hello")).is_file());
    let again = create_ambient(root.path().join("a/c")).unwrap();
    assert_eq!(read(&again, b"hello"), b"hello");
}

#[test]
fn a_grant_opens_what_is_below_it_and_nothing_else() {
    let root = with_dirs(&["store", "granted/deep", "secret"]);
    let at = |name: &str| root.path().join(name);
    for name in ["granted/file", "granted/deep/file", "secret/file"] {
        fs::write(at(name), name).unwrap();
    }
    let mut store = open_ambient(at("store")).unwrap();
    let external = |store: &FsBackend, path: &str| {
        let file = store.external(&ExternalPath::parse(path).unwrap())?;
        Ok::<_, BackendError>(String::from_utf8(bytes(&file)).unwrap())
    };
    let refused = external(&store, "/external/file").unwrap_err();
    assert!(matches!(refused, BackendError::NotGranted { .. }));

    grant_ambient(&mut store, "/external", at("granted")).unwrap();
    assert_eq!(external(&store, "/external/file").unwrap(), "granted/file");
    assert_eq!(
        external(&store, "/external/deep/file").unwrap(),
        "granted/deep/file"
    );
    let real = at("granted/file").display().to_string();
    let refused = external(&store, &real).unwrap_err();
    assert!(matches!(refused, BackendError::NotGranted { .. }));
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink("../secret", at("granted/out")).unwrap();
        symlink("../secret/file", at("granted/link")).unwrap();
        let refused = external(&store, "/external/out/file").unwrap_err();
        assert_eq!(refused.io_kind(), Some(io::ErrorKind::PermissionDenied));
        let refused = external(&store, "/external/link").unwrap_err();
        assert!(matches!(refused, BackendError::NotAFile { .. }));
    }
    grant_ambient(&mut store, "/all", root.path()).unwrap();
    let refused = external(&store, "/all/store/lock").unwrap_err();
    assert!(matches!(refused, BackendError::InsideStore { .. }));

    let error = grant_ambient(&mut store, "external", at("granted")).unwrap_err();
    assert!(matches!(&error, FsError::Prefix { prefix, .. } if prefix == "external"));
    assert!(error.source().is_some());
    let error = grant_ambient(&mut store, "/x", at("nothing")).unwrap_err();
    assert!(matches!(&error, FsError::Io { path, .. } if *path == at("nothing")));
}

#[test]
#[cfg_attr(target_os = "wasi", ignore = "there are no threads")]
fn a_store_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let root = tempdir().unwrap();
    let store = open_ambient(root.path()).unwrap();
    fill(&store);
    shared(&store);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(read(&store, b"hello"), b"hello"));
        }
    });
}

/// All three ways into a directory, each of which must refuse.
fn all_refuse(path: &Path) -> [FsError; 3] {
    [
        open_ambient(path).unwrap_err(),
        create_ambient(path).unwrap_err(),
        probe(path).unwrap_err(),
    ]
}

/// The lock, where the platform has one.
fn lock(store: &FsBackend) -> Option<<FsBackend as Backend>::Lock> {
    match store.lock() {
        Err(BackendError::NoLocks { .. }) if cfg!(target_os = "wasi") => None,
        held => Some(held.unwrap()),
    }
}

/// Puts one file into each area: data, a temporary file, the tag database; and the locks.
fn fill(store: &FsBackend) {
    let held = lock(store);
    let publish = |bytes: &[u8], temp: FileName, to: FileName| {
        let mut staged = store.stage_new(&temp).unwrap();
        assert_eq!(staged.write_at(bytes, 0).unwrap(), bytes.len());
        store.publish(vec![(staged, to)]).unwrap();
    };
    publish(
        b"hello",
        FileName::Temp(UUID),
        FileName::Data(Hash::of(b"hello")),
    );
    publish(b"\0", FileName::TagsTemp(UUID), FileName::Tags);
    drop(store.stage_new(&FileName::Temp(UUID)).unwrap());
    drop(held);
}

/// The tree that [`fill`] leaves when the areas are these directories.
fn filled([complete, partial, meta]: [&str; 3]) -> BTreeSet<PathBuf> {
    let mut tree: BTreeSet<PathBuf> = [
        (complete, data(b"hello")),
        (complete, "lock".into()),
        (partial, FileName::Temp(UUID).to_string()),
        (partial, "lock".into()),
        (meta, "tags.meta".into()),
        (meta, "lock".into()),
    ]
    .into_iter()
    .map(|(dir, name)| Path::new(dir).join(name))
    .filter(|path| !(cfg!(target_os = "wasi") && path.ends_with("lock")))
    .collect();
    let above: Vec<PathBuf> = tree
        .iter()
        .flat_map(|path| path.ancestors().skip(1).map(Path::to_owned))
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    tree.extend(above);
    tree
}

fn data(bytes: &[u8]) -> String {
    FileName::Data(Hash::of(bytes)).to_string()
}

fn read(store: &FsBackend, expected: &[u8]) -> Vec<u8> {
    let name = FileName::Data(Hash::of(expected));
    bytes(&store.open(&name).unwrap().unwrap())
}

fn bytes(file: &impl ReadAt) -> Vec<u8> {
    flatbao_core::io::read_capped(file, 1 << 20).unwrap()
}

fn handle(path: &Path) -> SystemDir {
    SystemDir::open_ambient(path).unwrap()
}

/// Under WASI the runner grants a directory of its own to each test, at `/tmp`.
fn tempdir() -> io::Result<TempDir> {
    match cfg!(target_os = "wasi") {
        true => TempDir::new_in("/tmp"),
        false => TempDir::new(),
    }
}

fn with_dirs(names: &[&str]) -> TempDir {
    let root = tempdir().unwrap();
    for name in names {
        fs::create_dir_all(root.path().join(name)).unwrap();
    }
    root
}

/// Everything below a directory.
fn tree(root: &Path) -> BTreeSet<PathBuf> {
    fn walk(at: &Path, name: OsString, found: &mut BTreeSet<PathBuf>) {
        for entry in fs::read_dir(at).unwrap() {
            let entry = entry.unwrap();
            let below = Path::new(&name).join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), below.clone().into(), found);
            }
            found.insert(below);
        }
    }
    let mut found = BTreeSet::new();
    walk(root, OsString::new(), &mut found);
    found
}
