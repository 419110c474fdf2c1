//! What goes out of the store.

use std::io;

use flatbao_core::{
    Backend, BackendError, EntryKind, ExternalPath, ReadAt, WriteAt, io::write_all_at,
};

use super::{
    BackendHarness, assert_holds, bytes, data, external, own_names, put, read_all, temp, uuid,
};

/// An outgoing file reads back as written, and appears under its name when it is released; whatever it was
/// that was written last, at whatever position.
pub fn an_outgoing_file_appears_when_it_is_released<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    for (n, len) in (1..).zip([0, 1, 20_000, 3 << 20]) {
        let content = bytes(n, len);
        let path = external(&harness, &format!("file {n}"));
        let mut out = backend.stage_out(&path, uuid(n)).unwrap();
        write_all_at(&mut out, &content[len / 2..], len as u64 / 2).unwrap();
        write_all_at(&mut out, &content[..len / 2], 0).unwrap();
        assert_eq!(read_all(&out), content);
        assert_no_external(&backend, &path);
        backend.release(out, false).unwrap();
        assert_external(&backend, &path, &content);
        assert_external(&harness.open(), &path, &content);
        assert_no_external(&backend, &beside(&path, n));
    }
    let path = external(&harness, "cut");
    let mut out = backend.stage_out(&path, uuid(9)).unwrap();
    write_all_at(&mut out, b"too long", 0).unwrap();
    out.set_len(3).unwrap();
    backend.release(out, false).unwrap();
    assert_external(&backend, &path, b"too");
    assert_eq!(own_names(&backend), []);
}

/// A path that no grant covers is `NotGranted`, and one that leads into the store is `InsideStore`: nothing
/// is made.
pub fn what_goes_out_needs_a_grant<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    put(&backend, 1, &data(1), b"mine");
    let refused = |path: &ExternalPath| {
        let staged = backend.stage_out(path, uuid(1)).err();
        let linked = backend.link_out(&data(1), path, uuid(2)).err();
        [staged.expect("refused"), linked.expect("refused")]
    };
    for path in [
        format!("{}x/file", harness.granted()),
        "/nowhere-near/file".to_owned(),
    ] {
        for error in refused(&ExternalPath::parse(&path).unwrap()) {
            assert!(
                matches!(error, BackendError::NotGranted { .. }),
                "{error:?}"
            );
        }
    }
    for name in [data(1), data(2), temp(3)] {
        let Some(path) = harness.path_inside(&name) else {
            continue;
        };
        let below = ExternalPath::parse(&format!("{path}/below")).unwrap();
        let deep = path.as_str().replace(&name.to_string(), "new/deep");
        for error in refused(&path)
            .into_iter()
            .chain(refused(&below))
            .chain(refused(&ExternalPath::parse(&deep).unwrap()))
        {
            assert!(
                matches!(error, BackendError::InsideStore { .. }),
                "{error:?}"
            );
        }
    }
    assert_eq!(own_names(&backend), [data(1)]);
    assert_holds(&backend, &data(1), b"mine");
}

/// Directories on the way are made where they are missing, once.
pub fn missing_directories_are_made<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    harness.put_external(&external(&harness, "there/before"), b"before");
    for (n, below) in (1..).zip(["there/a", "there/new/a", "there/new/b", "x/y/z/ü", "x/y/w"]) {
        let path = external(&harness, below);
        send(&backend, &path, n, &bytes(n, 100), false).unwrap();
        assert_external(&harness.open(), &path, &bytes(n, 100));
    }
    assert_external(&backend, &external(&harness, "there/before"), b"before");
}

/// A symbolic link among the directories is `NotAFile` and is not followed; neither is a file or a special
/// file a directory.
pub fn nothing_goes_out_through_a_link<H: BackendHarness>() {
    for kind in [EntryKind::Link, EntryKind::File, EntryKind::Other] {
        let harness = H::fresh();
        let backend = harness.open();
        put(&backend, 1, &data(1), b"data");
        let at = external(&harness, "dir/odd");
        if !harness.plant_external(&at, kind) {
            continue;
        }
        for below in ["dir/odd/file", "dir/odd/more/file"] {
            let path = external(&harness, below);
            let staged = backend.stage_out(&path, uuid(1)).err();
            let linked = backend.link_out(&data(1), &path, uuid(2)).err();
            for error in [staged.expect("refused"), linked.expect("refused")] {
                match (kind, error) {
                    (
                        EntryKind::Link,
                        BackendError::NotAFile {
                            kind: EntryKind::Link,
                            ..
                        },
                    ) => {}
                    (EntryKind::File | EntryKind::Other, BackendError::Io { source, .. })
                        if source.kind() == io::ErrorKind::NotADirectory => {}
                    (_, other) => panic!("{kind:?}: {other:?}"),
                }
            }
        }
    }
}

/// Without `replace` whatever bears the name stays as it is, and the outgoing file is gone.
pub fn what_bears_an_outside_name_stays<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    let path = external(&harness, "file");
    harness.put_external(&path, b"mine");
    let taken = send(&backend, &path, 1, b"new", false).unwrap_err();
    assert!(matches!(&taken, BackendError::Taken { path: p } if *p == path));
    assert_eq!(taken.io_kind(), Some(io::ErrorKind::AlreadyExists));
    assert_external(&backend, &path, b"mine");
    assert_no_external(&backend, &beside(&path, 1));
    // One that came after the file was staged.
    let late = external(&harness, "late");
    let mut out = backend.stage_out(&late, uuid(2)).unwrap();
    write_all_at(&mut out, b"new", 0).unwrap();
    harness.put_external(&late, b"faster");
    let taken = backend.release(out, false).unwrap_err();
    assert!(matches!(taken, BackendError::Taken { .. }), "{taken:?}");
    assert_external(&backend, &late, b"faster");
    assert_no_external(&backend, &beside(&late, 2));
}

/// With `replace` a regular file is replaced, whose old bytes stay readable to who has it open; what is no
/// regular file never is.
pub fn only_a_file_is_replaced<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    let path = external(&harness, "file");
    send(&backend, &path, 1, b"the first one", true).unwrap();
    assert_external(&backend, &path, b"the first one");
    let old = backend.external(&path).unwrap();
    send(&backend, &path, 2, b"second", true).unwrap();
    assert_external(&backend, &path, b"second");
    assert_eq!(read_all(&old), b"the first one");
    let below = external(&harness, "dir/file");
    harness.put_external(&below, b"below");
    let mut odd = vec![(external(&harness, "dir"), EntryKind::Directory)];
    for (at, kind) in [("link", EntryKind::Link), ("pipe", EntryKind::Other)] {
        let path = external(&harness, at);
        if harness.plant_external(&path, kind) {
            odd.push((path, kind));
        }
    }
    for (n, (path, kind)) in (10..).zip(odd) {
        for replace in [false, true] {
            match send(&backend, &path, n, b"new", replace) {
                Err(BackendError::NotAFile { kind: found, .. }) => assert_eq!(found, kind),
                other => panic!("{path}, {replace}: {other:?}"),
            }
            assert_no_external(&backend, &beside(&path, n));
        }
    }
    assert_external(&backend, &below, b"below");
}

/// A discarded file leaves no name, and its temporary one is free again; a uuid that is in use says so.
pub fn a_discarded_outgoing_file_leaves_nothing<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    let path = external(&harness, "file");
    for _ in 0..2 {
        let mut out = backend.stage_out(&path, uuid(1)).unwrap();
        write_all_at(&mut out, b"unwanted", 0).unwrap();
        let taken = backend.stage_out(&path, uuid(1)).err();
        assert!(matches!(taken, Some(BackendError::Exists { .. })));
        backend.discard_out(out).unwrap();
        assert_no_external(&backend, &path);
        assert_no_external(&backend, &beside(&path, 1));
    }
    send(&backend, &path, 1, b"wanted", false).unwrap();
    assert_external(&backend, &path, b"wanted");
}

/// A linked file has the bytes of the published one, keeps them when that is removed or replaced, and is not
/// written through. A file that is not there cannot be shared.
pub fn a_linked_file_is_the_published_one<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    let content = bytes(1, 200_000);
    for (n, name) in (1..).zip([data(1), data(2), data(3)]) {
        put(&backend, n, &name, &content);
    }
    let path = |below| harness.path_on_the_medium(below);
    let missing = backend.link_out(&data(9), &path("dir/none"), uuid(20));
    assert!(missing.unwrap().is_none());
    let linked = backend
        .link_out(&data(1), &path("dir/a"), uuid(21))
        .unwrap();
    let Some(mut out) = linked else {
        // Then it cannot be done for any file.
        let other = backend.link_out(&data(2), &path("dir/b"), uuid(22));
        return assert!(other.unwrap().is_none());
    };
    assert_eq!(out.size().unwrap(), content.len() as u64);
    assert!(read_all(&out) == content);
    assert!(out.write_at(b"x", 0).is_err());
    assert!(out.set_len(1).is_err());
    assert_holds(&backend, &data(1), &content);
    backend.release(out, false).unwrap();
    backend.remove(&[data(1)]).unwrap();
    assert_external(&backend, &path("dir/a"), &content);
    // Discarded, it leaves the published one.
    let out = backend
        .link_out(&data(2), &path("dir/b"), uuid(23))
        .unwrap();
    backend.discard_out(out.unwrap()).unwrap();
    assert_holds(&backend, &data(2), &content);
    assert_no_external(&backend, &path("dir/b"));
    // Replacing another name of the same file is replacing a file.
    for n in [24, 25] {
        let out = backend.link_out(&data(3), &path("dir/c"), uuid(n)).unwrap();
        backend.release(out.unwrap(), true).unwrap();
        assert_external(&backend, &path("dir/c"), &content);
        assert_no_external(&backend, &beside(&path("dir/c"), n));
    }
    put(&backend, 4, &data(3), b"replaced");
    assert_external(&backend, &path("dir/c"), &content);
    // Taken names stay.
    let out = backend
        .link_out(&data(2), &path("dir/c"), uuid(26))
        .unwrap();
    let taken = backend.release(out.unwrap(), false).unwrap_err();
    assert!(matches!(taken, BackendError::Taken { .. }), "{taken:?}");
}

/// After `release` returned `Ok`, a power loss keeps content and name, and the directories that lead to it;
/// also those that a process before had made that died.
pub fn what_is_released_survives_a_power_loss<H: BackendHarness>() {
    let mut harness = H::fresh();
    let backend = harness.open();
    put(&backend, 1, &data(1), &bytes(1, 5000));
    drop(backend.stage_out(&external(&harness, "dead/file"), uuid(1)));
    let backend = match harness.kill() {
        true => harness.open(),
        false => backend,
    };
    let files = ["file", "a/b/c/file", "dead/other", "dead/more/file"];
    for (n, below) in (10..).zip(files) {
        let path = external(&harness, below);
        send(&backend, &path, n, &bytes(n, 5000), false).unwrap();
    }
    let path = harness.path_on_the_medium("linked/deep/file");
    let linked = backend.link_out(&data(1), &path, uuid(9)).unwrap();
    let is_linked = linked.is_some();
    if let Some(out) = linked {
        backend.release(out, false).unwrap();
    }
    let replaced = external(&harness, "file");
    send(&backend, &replaced, 20, b"replaced", true).unwrap();
    if harness.lose_power() {
        let backend = harness.open();
        assert_external(&backend, &replaced, b"replaced");
        for (n, below) in (10..).zip(files).skip(1) {
            assert_external(&backend, &external(&harness, below), &bytes(n, 5000));
        }
        if is_linked {
            assert_external(&backend, &path, &bytes(1, 5000));
        }
    }
}

/// Writes a file outside, under the temporary name `n`.
fn send<B: Backend>(
    backend: &B,
    path: &ExternalPath,
    n: u8,
    content: &[u8],
    replace: bool,
) -> Result<(), BackendError> {
    let mut out = backend.stage_out(path, uuid(n))?;
    write_all_at(&mut out, content, 0).unwrap();
    backend.release(out, replace)
}

/// The path of the temporary name `n`.
fn beside(path: &ExternalPath, n: u8) -> ExternalPath {
    let (dir, _) = path.as_str().rsplit_once('/').unwrap();
    ExternalPath::parse(&format!("{dir}/.flatbao-{}.tmp", uuid(n))).unwrap()
}

#[track_caller]
fn assert_external<B: Backend>(backend: &B, path: &ExternalPath, content: &[u8]) {
    let object = backend.external(path);
    let object = object.unwrap_or_else(|e| panic!("{path}: {e:?}"));
    assert!(read_all(&object) == content, "the content of {path}");
}

#[track_caller]
fn assert_no_external<B: Backend>(backend: &B, path: &ExternalPath) {
    match backend.external(path) {
        Err(BackendError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        Err(other) => panic!("{path}: {other:?}"),
        Ok(_) => panic!("{path} is there"),
    }
}
