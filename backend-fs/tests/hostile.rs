//! What else can be in a directory of a Unix system, and what it can be on. What every `Dir` promises is tested by
//! the conformance suite.
//!
//! Some scenes need another user, a file system or a limit of their own. Those tests run themselves again
//! in a child process, which says `reached` when the scene was set; what this machine cannot set is
//! skipped, visibly.
#![cfg(unix)]
// A test that cannot set its scene fails.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, net::UnixListener, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use cap_std::ambient_authority;
use flatbao_core::{
    Access, Backend, BackendError, Dir, DirFile, EntryKind, Error, FileName, Hash, ListedName,
    Opened, ReadAt, Store, store::Status,
};
use flatbao_fs::{CapDir, CapFile, Found, Layout, create_ambient, open_ambient, probe, system_env};
use tempfile::tempdir;

/// BI-010.
#[test]
fn a_name_need_not_be_text() {
    let root = tempdir().unwrap();
    let dir = handle(root.path());
    let (bad, other) = (OsStr::from_bytes(b"\xff\xfe.data"), OsStr::new("a\nb"));
    let file = match dir.create_new(bad) {
        Ok(file) => file,
        Err(e) => return println!("skipped: the file system wants text: {e}"),
    };
    assert_eq!(file.write_at(b"hello", 0).unwrap(), 5);
    assert_eq!(entries(&dir), [(bad.to_owned(), EntryKind::File)]);
    assert_eq!(bytes(opened(&dir, bad, Access::Read)), b"hello");
    let mut foreign = Vec::new();
    open_ambient(root.path())
        .unwrap()
        .list(&mut |entry| match entry.name {
            ListedName::Foreign(name) => foreign.push((*name).to_owned()),
            ListedName::Typed(name) => panic!("{name}"),
        })
        .unwrap();
    assert_eq!(foreign, [bad]);
    dir.rename(bad, &dir, other).unwrap();
    assert_eq!(entries(&dir), [(other.to_owned(), EntryKind::File)]);
    dir.unlink(other).unwrap();
    assert_eq!(entries(&dir), []);
}

/// A file that is immutable, and a directory that is append-only: errors of what is concerned. What was there is there
/// and reads, and once it is allowed again everything works and nothing is left over.
/// BI-024.
#[cfg(target_os = "linux")]
#[test]
fn immutable_files_and_append_only_directories() {
    let root = tempdir().unwrap();
    let open = || {
        Store::open(open_ambient(root.path()).unwrap(), system_env())
            .unwrap()
            .0
    };
    let store = open();
    let dead = store.import_bytes(b"hello").unwrap().hash;
    let file = root.path().join(data());
    if !system("chattr", &["+i"], &file) {
        return;
    }
    let denied = store.delete(dead, false);
    let swept = store.sweep(store.plan_gc().unwrap());
    system("chattr", &["-i"], &file);
    assert!(matches!(denied, Err(Error::Batch(_))), "{denied:?}");
    let swept = swept.unwrap();
    assert_eq!((swept.removed.len(), swept.spared.len()), (0, 1));
    assert_eq!(store.read(dead, 10).unwrap(), b"hello");

    if !system("chattr", &["+a"], root.path()) {
        return;
    }
    let imported = store.import_bytes(b"new");
    let deleted = store.delete(dead, false);
    let read = store.read(dead, 10);
    system("chattr", &["-a"], root.path());
    assert!(matches!(imported, Err(Error::Batch(_))), "{imported:?}");
    assert!(matches!(deleted, Err(Error::Batch(_))), "{deleted:?}");
    assert_eq!(read.unwrap(), b"hello");
    assert_eq!(store.status(Hash::of(b"new")), Status::Missing);
    store.import_bytes(b"newer").unwrap();
    store.delete(dead, false).unwrap();
    drop(store);
    drop(open());
    let mut left: Vec<_> = entries(&handle(root.path()))
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    left.sort();
    let mut expected = [
        "lock".into(),
        "tags.meta".into(),
        FileName::Data(Hash::of(b"newer")).to_string(),
    ];
    expected.sort();
    assert_eq!(left, expected.map(OsString::from));
}

/// What listens is not connected to.
/// BI-020.
#[test]
fn a_socket_is_never_opened() {
    let root = tempdir().unwrap();
    let _listening = UnixListener::bind(root.path().join("socket")).unwrap();
    assert_special(&handle(root.path()), "socket");
}

/// BI-020.
#[cfg(target_os = "linux")]
#[test]
fn a_device_is_never_opened() {
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    let root = tempdir().unwrap();
    let dir = handle(root.path());
    // `/dev/null`, `/dev/zero`, and a block device that no machine has.
    for (name, kind, major, minor) in [
        ("null", FileType::CharacterDevice, 1, 3),
        ("zero", FileType::CharacterDevice, 1, 5),
        ("disk", FileType::BlockDevice, 250, 250),
    ] {
        let (path, mode) = (root.path().join(name), Mode::RUSR | Mode::WUSR);
        if let Err(e) = mknodat(CWD, path, kind, mode, makedev(major, minor)) {
            return println!("skipped: only root makes devices: {e}");
        }
        assert_special(&dir, name);
    }
}

/// A special file is told as what it is, is no lock, and is listed.
fn assert_special(dir: &CapDir, name: &str) {
    let name = OsStr::new(name);
    for access in [Access::Read, Access::ReadWrite] {
        let opened = dir.open(name, access).unwrap();
        assert!(matches!(opened, Opened::NotAFile(EntryKind::Other)));
    }
    let taken = dir.create_new(name).unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
    assert!(dir.try_lock(name).is_err());
    assert!(entries(dir).contains(&(name.to_owned(), EntryKind::Other)));
}

/// An error and not "missing", and everything else goes on. What may only be read is read,
/// so no right to write is asked for.
/// BI-024.
#[test]
fn missing_rights_are_errors_of_the_file_concerned() {
    const NAME: &str = "missing_rights_are_errors_of_the_file_concerned";
    let Some(path) = scene() else {
        let root = tempdir().unwrap();
        let store = root.path().join("store");
        fs::create_dir(&store).unwrap();
        // The way to the store may be gone but not looked at.
        mode(root.path(), 0o311);
        for (name, bits) in [("closed", 0o000), ("readable", 0o444), ("lock", 0o444)] {
            fs::write(store.join(name), name).unwrap();
            mode(&store.join(name), bits);
        }
        fs::write(store.join(data()), b"hello").unwrap();
        mode(&store.join(data()), 0o444);
        let secret = store.join(FileName::Data(Hash::of(b"secret")).to_string());
        fs::write(&secret, b"secret").unwrap();
        mode(&secret, 0o000);
        mode(&store, 0o555);
        let mut child = again(NAME, &store);
        // Root may do everything; nobody may not.
        if is_root() {
            child.uid(65_534).gid(65_534);
        }
        run(child);
        mode(root.path(), 0o755);
        return mode(&store, 0o755);
    };
    let dir = handle(&path);
    for access in [Access::Read, Access::ReadWrite] {
        assert_denied(dir.open(OsStr::new("closed"), access));
    }
    assert_eq!(
        bytes(opened(&dir, "readable".as_ref(), Access::Read)),
        b"readable"
    );
    assert_denied(dir.open(OsStr::new("readable"), Access::ReadWrite));
    assert_denied(dir.create_new(OsStr::new("new")));
    assert_denied(dir.unlink(OsStr::new("readable")));
    assert_denied(dir.try_lock(OsStr::new("lock")));
    assert_denied(dir.try_lock(OsStr::new("new")));
    assert_eq!(entries(&dir).len(), 5);
    assert_hello(&path);
    drop(create_ambient(&path).unwrap());
    let backend = open_ambient(&path).unwrap();
    let (store, _) = Store::open_read_only(backend, system_env()).unwrap();
    match store.read(Hash::of(b"secret"), 10) {
        Err(Error::Unreadable { source, .. }) => {
            assert_eq!(source.io_kind(), Some(io::ErrorKind::PermissionDenied));
        }
        other => panic!("{other:?}"),
    }
    let status = store.status(Hash::of(b"secret"));
    assert!(matches!(status, Status::Present(info) if !info.damaged));
    assert_eq!(store.read(Hash::of(b"hello"), 10).unwrap(), b"hello");
    let refused = Store::open(open_ambient(&path).unwrap(), system_env()).unwrap_err();
    assert!(matches!(refused, Error::Backend(_)), "{refused:?}");
    reached();
}

/// BI-084.
#[cfg(target_os = "linux")]
#[test]
fn a_medium_that_is_read_only_is_read() {
    const NAME: &str = "a_medium_that_is_read_only_is_read";
    let Some(path) = scene() else {
        let root = tempdir().unwrap();
        return run(in_own_namespace(NAME, root.path()));
    };
    if !system("mount", &["-t", "tmpfs", "none"], &path) {
        return;
    }
    drop(create_ambient(&path).unwrap().lock().unwrap());
    fs::write(path.join(data()), b"hello").unwrap();
    fs::write(path.join(LEFTOVER), b"left").unwrap();
    if !system("mount", &["-o", "remount,ro"], &path) {
        return;
    }
    let dir = handle(&path);
    let read_only = |error: io::Error| {
        assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
    };
    read_only(
        dir.open(OsStr::new(&data()), Access::ReadWrite)
            .unwrap_err(),
    );
    read_only(dir.create_new(OsStr::new("new")).unwrap_err());
    read_only(dir.unlink(OsStr::new("lock")).unwrap_err());
    let refused = open_ambient(&path).unwrap().lock().unwrap_err();
    assert_eq!(refused.io_kind(), Some(io::ErrorKind::ReadOnlyFilesystem));
    assert_eq!(probe(&path).unwrap(), Found::Store(Layout::Single));
    assert_eq!(entries(&dir).len(), 3);
    assert_hello(&path);
    let backend = open_ambient(&path).unwrap();
    let (store, recovery) = Store::open_read_only(backend, system_env()).unwrap();
    assert_eq!((recovery.removed, recovery.not_removed), (vec![], vec![]));
    assert_eq!(store.read(Hash::of(b"hello"), 10).unwrap(), b"hello");
    assert!(matches!(
        store.import_bytes(b"new"),
        Err(Error::NotWritable(_))
    ));
    assert_eq!(entries(&dir).len(), 3);
    // The directory is there and known durable; so an existing store on such a medium can be named.
    drop(create_ambient(&path).unwrap());
    reached();
}

/// ext2 without the feature `filetype` lists names only.
#[cfg(target_os = "linux")]
#[test]
fn kinds_are_asked_for_where_a_listing_does_not_tell_them() {
    const NAME: &str = "kinds_are_asked_for_where_a_listing_does_not_tell_them";
    let Some(path) = scene() else {
        let root = tempdir().unwrap();
        let image = fs::File::create(root.path().join("image")).unwrap();
        image.set_len(1 << 20).unwrap();
        return run(in_own_namespace(NAME, root.path()));
    };
    let (image, mounted) = (path.join("image"), path.join("mounted"));
    fs::create_dir(&mounted).unwrap();
    let options = ["-q", "-F", "-O", "^filetype"];
    let image_arg = image.display().to_string();
    if !system("mkfs.ext2", &options, &image)
        || !system("mount", &["-o", "loop", &image_arg], &mounted)
    {
        return;
    }
    fs::write(mounted.join("file"), b"hello").unwrap();
    fs::create_dir(mounted.join("directory")).unwrap();
    std::os::unix::fs::symlink("file", mounted.join("link")).unwrap();
    let _listening = UnixListener::bind(mounted.join("socket")).unwrap();
    let expected = [
        ("directory", EntryKind::Directory),
        ("file", EntryKind::File),
        ("link", EntryKind::Link),
        ("lost+found", EntryKind::Directory),
        ("socket", EntryKind::Other),
    ];
    assert_eq!(
        entries(&handle(&mounted)),
        expected.map(|(name, kind)| (name.into(), kind))
    );
    reached();
}

/// An error that passes, and no entry is taken for missing.
/// BI-082.
#[test]
fn too_many_open_files_hide_nothing() {
    const NAME: &str = "too_many_open_files_hide_nothing";
    let Some(path) = scene() else {
        let root = tempdir().unwrap();
        fs::write(root.path().join(data()), b"hello").unwrap();
        let limited = again(NAME, root.path());
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""]);
        shell.arg(limited.get_program()).args(limited.get_args());
        shell.env(SCENE, root.path());
        return run(shell);
    };
    let (store, dir) = (open_ambient(&path).unwrap(), handle(&path));
    let data = FileName::Data(Hash::of(b"hello"));
    let mut open = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        open.push(file);
    }
    let error = dir
        .open(OsStr::new(&data.to_string()), Access::Read)
        .unwrap_err();
    assert_eq!(error.raw_os_error(), Some(24), "EMFILE");
    let error = store.open(&data).unwrap_err();
    assert!(matches!(error, BackendError::Io { .. }), "{error:?}");
    assert!(dir.try_lock(OsStr::new("lock")).is_err());
    drop(open);
    assert_hello(&path);
    let (store, _) = Store::open_read_only(store, system_env()).unwrap();
    let mut open = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        open.push(file);
    }
    let hash = Hash::of(b"hello");
    let error = store.read(hash, 10).unwrap_err();
    assert!(
        matches!(error, Error::Unreadable { .. } | Error::Backend(_)),
        "{error:?}"
    );
    assert!(matches!(store.status(hash), Status::Present(info) if !info.damaged));
    drop(open);
    assert_eq!(store.read(hash, 10).unwrap(), b"hello");
    reached();
}

/// A temporary file.
const LEFTOVER: &str = "0123456789abcdef0123456789abcdef.temp";

const SCENE: &str = "FLATBAO_TEST_SCENE";

/// In the child process: where the scene is.
fn scene() -> Option<PathBuf> {
    std::env::var_os(SCENE).map(PathBuf::from)
}

/// This test alone, in a process of its own.
fn again(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    command.env(SCENE, path);
    command
}

/// The same where mounting is seen by nobody else and ends with the process.
#[cfg(target_os = "linux")]
fn in_own_namespace(test: &str, path: &Path) -> Command {
    let command = again(test, path);
    let mut unshare = Command::new("unshare");
    unshare.arg("--mount").arg(command.get_program());
    unshare.args(command.get_args()).env(SCENE, path);
    unshare
}

/// Says, in the child, that everything was looked at.
fn reached() {
    println!("reached");
}

/// Runs the child: it may say why it could not set its scene, but it must not fail.
fn run(mut child: Command) {
    let output = match child.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(e) => return println!("skipped: {e}"),
    };
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    if out.contains("reached") {
        assert!(output.status.success(), "{out}{err}");
    } else if out.contains("skipped") || err.starts_with("unshare:") {
        println!("skipped: {out}{err}");
    } else {
        panic!("{}: {out}{err}", output.status);
    }
}

/// Runs a program of the system on a path; what it cannot do is a reason to skip.
#[cfg(target_os = "linux")]
fn system(program: &str, options: &[&str], path: &Path) -> bool {
    match Command::new(program).args(options).arg(path).status() {
        Ok(status) if status.success() => true,
        outcome => {
            println!("skipped: {program} {options:?}: {outcome:?}");
            false
        }
    }
}

fn is_root() -> bool {
    // The owner of a file that this process has just made.
    use std::os::unix::fs::MetadataExt;
    tempdir().unwrap().path().metadata().unwrap().uid() == 0
}

fn mode(path: &Path, bits: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(bits)).unwrap();
}

fn data() -> String {
    FileName::Data(Hash::of(b"hello")).to_string()
}

fn assert_hello(path: &Path) {
    let store = open_ambient(path).unwrap();
    let found = store.open(&FileName::Data(Hash::of(b"hello"))).unwrap();
    assert_eq!(bytes(found.unwrap()), b"hello");
}

#[track_caller]
fn assert_denied<T>(result: io::Result<T>) {
    match result {
        Ok(_) => panic!("this was allowed"),
        Err(e) => assert_eq!(e.kind(), io::ErrorKind::PermissionDenied, "{e}"),
    }
}

fn handle(path: &Path) -> CapDir {
    cap_std::fs::Dir::open_ambient_dir(path, ambient_authority())
        .unwrap()
        .into()
}

fn opened(dir: &CapDir, name: &OsStr, access: Access) -> CapFile {
    match dir.open(name, access).unwrap() {
        Opened::File(file) => file,
        other => panic!("{other:?}"),
    }
}

fn bytes(file: impl ReadAt) -> Vec<u8> {
    flatbao_core::io::read_capped(&file, 1 << 20).unwrap()
}

fn entries(dir: &CapDir) -> Vec<(OsString, EntryKind)> {
    let mut entries = Vec::new();
    dir.list(&mut |name, kind| entries.push((name.to_owned(), kind)))
        .unwrap();
    entries.sort();
    entries
}
