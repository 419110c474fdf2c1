//! Copies that share bytes, where a file system can: what is hashed is what landed, and what is damaged is not shared.

// A test reports by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{io, ops::ControlFlow};

use common::{GROUP, Machine, assert_reads, bytes, outboard};
use flatbao_core::{
    Error, ExternalPath, FileName, Hash,
    progress::{Progress, unwatched},
    store::{ExportOptions, ImportOptions, Verified, VerifyOptions},
};
use flatbao_mem::{Fault, OpKind};

const SIZE: usize = 40 * GROUP + 77;

fn machine() -> Machine {
    let machine = Machine::new();
    machine.disk.share_bytes(true);
    machine
}

/// How many bytes were written by the calls from this one on.
fn written(machine: &Machine, from: usize) -> u64 {
    let trace = machine.disk.trace();
    let writes = trace[from..].iter().filter(|op| op.kind == OpKind::Write);
    writes.map(|op| op.len).sum()
}

fn shared(machine: &Machine) -> u64 {
    machine.disk.count(OpKind::Share)
}

fn verify(machine: &Machine) -> Verified {
    let options = VerifyOptions::default();
    machine
        .open()
        .verify(&options, &mut |_| ControlFlow::Continue(()), &mut unwatched)
        .unwrap()
}

/// Only the outboard is written, and a later change of the source changes nothing, nor does a power loss.
#[test]
fn an_import_shares_what_it_can() {
    let machine = machine();
    let content = bytes(1, SIZE);
    let path = machine.put_external("file", &content);
    let store = machine.open();
    let before = machine.disk.trace().len();
    let imported = store.import_file(&path).unwrap();
    assert_eq!(
        (imported.hash, imported.size),
        (Hash::of(&content), SIZE as u64)
    );
    assert_eq!(shared(&machine), 1);
    assert_eq!(
        written(&machine, before),
        outboard(&content).unwrap().len() as u64
    );
    machine.put_external("file", &bytes(2, SIZE));
    assert_reads(&store, imported.hash, &content);
    let machine = machine.crash();
    assert_reads(&machine.open(), imported.hash, &content);
    assert_eq!(verify(&machine).damage, 0);
}

/// What was shared is what is there, also when the source changes while it is hashed: it is no reference.
#[test]
fn a_source_that_changes_meanwhile_does_not_matter() {
    let machine = machine();
    let content = bytes(1, 200 * GROUP);
    let path = machine.put_external("file", &content);
    let store = machine.open();
    let mut batch = store.batch();
    let mut changes = 0;
    let mut watch = |step| {
        if matches!(step, Progress::Imported { .. }) {
            machine.put_external("file", &bytes(3, 200 * GROUP));
            changes += 1;
        }
        ControlFlow::Continue(())
    };
    let (hash, _) = batch
        .import_file_with(&path, ImportOptions::default(), &mut watch)
        .unwrap();
    batch.commit().unwrap();
    assert!(changes > 1);
    assert_eq!(hash, Hash::of(&content));
    assert_reads(&store, hash, &content);
}

/// Small files, and those of another file system, are copied.
#[test]
fn what_cannot_or_need_not_be_shared_is_copied() {
    let machine = machine();
    let store = machine.open();
    let (small, far) = (bytes(1, 1000), bytes(2, SIZE));
    let path = machine.put_external("small", &small);
    assert_reads(&store, store.import_file(&path).unwrap().hash, &small);
    machine.far().plant_file("far", &far).unwrap();
    let path = ExternalPath::parse("/far/far").unwrap();
    assert_reads(&store, store.import_file(&path).unwrap().hash, &far);
    assert_eq!(shared(&machine), 0);
}

#[test]
fn an_export_shares_what_is_right() {
    let machine = machine();
    let content = bytes(1, SIZE);
    let store = machine.open();
    let hash = store.import_bytes(&content).unwrap().hash;
    let before = machine.disk.trace().len();
    let path = ExternalPath::parse("/external/out").unwrap();
    let exported = store.export(hash, &path).unwrap();
    assert_eq!(exported.size, SIZE as u64);
    assert_eq!((shared(&machine), written(&machine, before)), (1, 0));
    let machine = machine.crash();
    assert_eq!(machine.outside().content("out").unwrap(), content);
}

/// Data that are damaged are shared and found out; then the copy comes from where they are right, or not at all.
#[test]
fn an_export_never_shares_damage() {
    for has_another in [true, false] {
        let machine = machine();
        let content = bytes(1, SIZE);
        let store = machine.open();
        let hash = store.import_bytes(&content).unwrap().hash;
        if has_another {
            let other = machine.put_external("other", &content);
            store.import_reference(&other).unwrap();
        }
        let name = FileName::Data(hash).to_string();
        let mut damaged = content.clone();
        damaged[3 * GROUP + 5] ^= 1;
        machine.store().change_file(name, &damaged).unwrap();
        let path = ExternalPath::parse("/external/out").unwrap();
        let outcome = store.export(hash, &path);
        assert_eq!(shared(&machine), 1);
        if has_another {
            assert_eq!(outcome.unwrap().size, SIZE as u64);
            assert_eq!(machine.outside().content("out").unwrap(), content);
        } else {
            assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
            assert!(machine.outside().entries().is_empty());
        }
    }
}

/// A file system that can and does not: nothing is left, and the next call works.
#[test]
fn a_failure_to_share_is_told_and_leaves_nothing() {
    let machine = machine();
    let content = bytes(1, SIZE);
    let path = machine.put_external("file", &content);
    let store = machine.open();
    let names = || machine.store().entries().len();
    let before = names();
    machine
        .disk
        .inject(Fault::on(OpKind::Share).error(io::ErrorKind::StorageFull));
    let error = store.import_file(&path).unwrap_err();
    let told =
        matches!(&error, Error::Backend(e) if e.io_kind() == Some(io::ErrorKind::StorageFull));
    assert!(told, "{error:?}");
    assert_eq!(names(), before);
    let hash = store.import_file(&path).unwrap().hash;
    machine
        .disk
        .inject(Fault::on(OpKind::Share).error(io::ErrorKind::StorageFull));
    let out = ExternalPath::parse("/external/out").unwrap();
    let options = ExportOptions::default();
    let error = store
        .export_with(hash, &out, options, &mut unwatched)
        .unwrap_err();
    let told =
        matches!(&error, Error::Backend(e) if e.io_kind() == Some(io::ErrorKind::StorageFull));
    assert!(told, "{error:?}");
    assert_eq!(machine.outside().entries().len(), 1, "the source alone");
    store.export(hash, &out).unwrap();
}
