//! What the system does not let the store do, in the simulator: `backend-fs/tests/hostile.rs` has real rights.

use std::{io, path::Path};

use flatbao_core::{
    Error, FileName, Hash,
    store::{Reason, Status},
};
use flatbao_mem::{Fault, OpKind};

use crate::common::{
    GROUP, Machine, assert_reads, bytes, care::sealed_paths, groups_that_read, raw, read, removed,
    seq, sequence, tag,
};

/// An entry that may not be read is an error of that entry, and not missing: everything else is served, collection
/// keeps it while a tag names it, and stops where it is to say what lives.
/// BI-024, BI-080.
#[test]
fn an_entry_that_may_not_be_read() {
    let machine = Machine::new();
    let store = machine.open();
    let secret = store.import_bytes(&bytes(1, 2 * GROUP)).unwrap().hash;
    let list = store.import_bytes(&sequence(&[secret])).unwrap().hash;
    let other = store.import_bytes(b"other").unwrap().hash;
    store.set_tag(tag("secret"), raw(secret)).unwrap();
    store.set_tag(tag("other"), raw(other)).unwrap();
    let dead = store.import_bytes(b"dead").unwrap().hash;
    drop(store);
    let machine = machine.kill();
    for hash in [secret, list] {
        let name = FileName::Data(hash).to_string();
        let fault = Fault::on_name(OpKind::Open, name).error(io::ErrorKind::PermissionDenied);
        machine.disk.inject(fault.sticky());
    }
    let store = machine.open();
    for _ in 0..2 {
        match read(&store, secret) {
            Err(Error::Unreadable { hash, source }) => {
                assert_eq!(hash, secret);
                assert_eq!(source.io_kind(), Some(io::ErrorKind::PermissionDenied));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(store.status(secret), Status::Present(info) if !info.damaged));
    }
    assert_reads(&store, other, b"other");
    let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
    let mut gone = removed(&swept);
    gone.sort();
    let mut expected = [list, dead];
    expected.sort();
    assert_eq!(gone, expected);
    drop(store);
    // As a root it has to be read.
    let machine = machine.kill();
    let store = machine.open();
    store.import_bytes(&sequence(&[other])).unwrap();
    let list = Hash::of(&sequence(&[other]));
    store.set_tag(tag("list"), seq(list)).unwrap();
    drop(store);
    let machine = machine.kill();
    let name = FileName::Data(list).to_string();
    let fault = Fault::on_name(OpKind::Open, name).error(io::ErrorKind::PermissionDenied);
    machine.disk.inject(fault.sticky());
    let before = machine.files();
    let store = machine.open();
    assert!(matches!(store.plan_gc(), Err(Error::Root { .. })));
    assert_eq!(machine.files(), before);
}

/// A file that cannot be removed (immutable), and a directory in which nothing can be renamed or removed (append-only):
/// typed errors, nothing is lost or forgotten, reading goes on, and it works once it is allowed again.
/// BI-024.
#[test]
fn what_may_not_be_removed_or_renamed() {
    for is_append_only in [false, true] {
        let machine = Machine::new();
        let store = machine.open();
        let kept = store.import_bytes(b"kept").unwrap().hash;
        let dead = store.import_bytes(&bytes(1, 2 * GROUP)).unwrap().hash;
        let other = store.import_bytes(b"dead too").unwrap().hash;
        store.set_tag(tag("kept"), raw(kept)).unwrap();
        let before = machine.files();
        let stuck = FileName::Data(dead).to_string();
        let denied = Fault::matching(move |op| match is_append_only {
            true => matches!(op.kind, OpKind::Unlink | OpKind::Rename),
            false => op.is(OpKind::Unlink, &stuck),
        });
        let denied = denied.error(io::ErrorKind::PermissionDenied);
        machine.disk.inject(denied.sticky());
        match store.delete(dead, false) {
            Err(Error::Batch(error)) => {
                let kind = error.source.io_kind();
                assert_eq!(kind, Some(io::ErrorKind::PermissionDenied));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(machine.files(), before);
        let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
        let expected = if is_append_only { vec![] } else { vec![other] };
        assert_eq!(removed(&swept), expected);
        assert!(swept.spared.iter().any(|spared| spared.hash == dead));
        for spared in &swept.spared {
            assert!(matches!(spared.reason, Reason::Failed(_)), "{spared:?}");
        }
        assert_reads(&store, dead, &bytes(1, 2 * GROUP));
        assert_reads(&store, kept, b"kept");
        if is_append_only {
            assert!(matches!(store.import_bytes(b"new"), Err(Error::Batch(_))));
            assert!(store.set_tag(tag("new"), raw(kept)).is_err());
            assert_eq!(store.status(Hash::of(b"new")), Status::Missing);
            assert_eq!(store.tags().unwrap().len(), 1);
        }
        machine.disk.heal();
        store.import_bytes(b"new").unwrap();
        store.set_tag(tag("new"), raw(kept)).unwrap();
        store.delete(dead, false).unwrap();
        drop(store);
        let machine = machine.kill();
        assert_reads(&machine.open(), kept, b"kept");
        assert_eq!(machine.leftovers(), []);
    }
}

/// An external file on a mount that does not answer in time: the next path helps; without one it is an error of the
/// system, neither damage nor a missing blob, and neither list nor path is dropped. (A call that never returns holds
/// its caller and nobody else.)
/// BI-058.
#[test]
fn a_mount_that_hangs() {
    let content = bytes(1, 3 * GROUP);
    let hash = Hash::of(&content);
    for helped in [false, true] {
        for (kind, moment) in [
            (io::ErrorKind::TimedOut, None),
            (io::ErrorKind::StaleNetworkFileHandle, None),
            (io::ErrorKind::TimedOut, Some(OpKind::Open)),
            (io::ErrorKind::TimedOut, Some(OpKind::Size)),
            (io::ErrorKind::TimedOut, Some(OpKind::Read)),
        ] {
            let told = format!("{kind:?} at {moment:?}, {helped}");
            let machine = Machine::new();
            let store = machine.open();
            let path = machine.put_external("hung", &content);
            store.import_reference(&path).unwrap();
            if helped {
                let path = machine.put_external("other", &content);
                store.import_reference(&path).unwrap();
            }
            store.set_tag(tag("a"), raw(hash)).unwrap();
            drop(store);
            let machine = machine.kill();
            let list = machine.file(&FileName::Paths(hash));
            let hung = Fault::matching(move |op| {
                let is_due = moment.is_none_or(|moment| op.kind == moment);
                is_due && Path::new(&op.name) == Path::new("hung")
            });
            machine.disk.inject(hung.error(kind).sticky());
            let store = machine.open();
            if helped {
                assert_reads(&store, hash, &content);
            } else {
                // Its length is not needed.
                let is_needed = moment != Some(OpKind::Size);
                match read(&store, hash) {
                    Err(Error::Unreadable { source, .. }) if is_needed => {
                        assert_eq!(source.io_kind(), Some(kind), "{told}");
                    }
                    Ok(found) if !is_needed => assert!(found == content),
                    other => panic!("{told}: {other:?}"),
                }
                let good = groups_that_read(&store, hash, &content);
                assert_eq!(good, [!is_needed; 3], "{told}");
            }
            assert!(matches!(store.status(hash), Status::Present(info) if !info.damaged));
            let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
            assert!(swept.removed.is_empty(), "{told}");
            assert_eq!(machine.file(&FileName::Paths(hash)), list, "{told}");
            machine.disk.heal();
            assert_reads(&store, hash, &content);
        }
    }
}

/// A list of paths that is too large to be one is not read, whatever is in it; the largest that may be, is.
/// BI-051.
#[test]
fn a_list_of_paths_is_measured_before_it_is_read() {
    let content = bytes(1, 20_000);
    let hash = Hash::of(&content);
    let sealed = |count: usize| {
        let more = (0..count).map(|n| format!("/external/{n:0>200}"));
        let paths: Vec<String> = std::iter::once("/external/a".into()).chain(more).collect();
        sealed_paths(&paths.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let limit = flatbao_core::limits::MAX_PATHS_FILE as usize;
    let each = sealed(2).len() - sealed(1).len();
    let most = (limit - sealed(200).len()) / each + 200;
    for (list, is_read) in [(sealed(most), true), (sealed(most + 1), false)] {
        assert_eq!(list.len() <= limit, is_read);
        let machine = Machine::new();
        machine.put_external("a", &content);
        machine.plant(&FileName::Paths(hash), &list);
        let name = FileName::Paths(hash).to_string();
        let store = machine.open();
        match read(&store, hash) {
            Ok(found) => assert!(is_read && found == content),
            Err(Error::Unreadable { source, .. }) => {
                assert!(!is_read);
                assert_eq!(source.io_kind(), Some(io::ErrorKind::FileTooLarge));
            }
            Err(other) => panic!("{other:?}"),
        }
        let trace = machine.disk.trace();
        let was_read = trace.iter().any(|op| op.is(OpKind::Read, &name));
        assert_eq!(was_read, is_read);
        assert_eq!(machine.file(&FileName::Paths(hash)), Some(list));
    }
}
