//! Every promise of the store, on every back end; and the order of an import, which only the simulator sees.

// A test reports by panicking.
#![allow(clippy::unwrap_used, clippy::panic)]

mod store_harness;

use flatbao_core::{FileName, Hash, Store, store::Status};
use flatbao_mem::{Fault, Op, OpKind};
use flatbao_tests::{
    backend_suite::BackendHarness as _, store_conformance, store_suite::StoreHarness as _,
};
use store_harness::{Direct, Flat, OnDisk, OneDirectory, ThreeDirectories, ThreeFileSystems};

store_conformance!(direct, Direct);
store_conformance!(one_simulated_directory, Flat<OneDirectory>);
store_conformance!(three_simulated_directories, Flat<ThreeDirectories>);
store_conformance!(three_simulated_file_systems, Flat<ThreeFileSystems>);
store_conformance!(one_directory, OnDisk<false>);
store_conformance!(three_directories, OnDisk<true>);

/// Where in a trace an operation of this kind is about this name; of a rename, the new one.
fn position(trace: &[Op], kind: OpKind, name: &FileName) -> usize {
    let name = name.to_string();
    trace
        .iter()
        .position(|op| {
            let about = op.to.as_ref().map_or(&*op.name, |(_, to)| &**to);
            op.kind == kind && about == name.as_str()
        })
        .unwrap_or_else(|| panic!("no {kind:?} of {name}"))
}

/// The outboard is there before the data are, both are synced before either has its name, and the directory
/// is synced after. PD-09, PD-10.
#[test]
fn an_import_publishes_its_outboard_first() {
    let harness = Flat::<OneDirectory>::fresh();
    let store = Store::open(harness.open(), harness.env()).unwrap().0;
    let data = vec![7; 100_000];
    let before = harness.disk.trace().len();
    drop(store.import_bytes(&data).unwrap());
    let trace = &harness.disk.trace()[before..];
    let hash = Hash::of(&data);
    let outboard = position(trace, OpKind::Rename, &FileName::Outboard(hash));
    let data = position(trace, OpKind::Rename, &FileName::Data(hash));
    assert!(outboard < data);
    for rename in [outboard, data] {
        let staged = &trace[rename].name;
        let last_write = trace.iter().rposition(|op| op.is(OpKind::Write, staged));
        let sync = trace.iter().position(|op| op.is(OpKind::SyncFile, staged));
        assert!(last_write < sync && sync < Some(outboard));
    }
    let last = trace.iter().rposition(|op| op.kind == OpKind::SyncDir);
    assert!(last > Some(data));
}

/// Whenever the power fails during an import, the next opening has the blob whole or not at all, and once
/// the import was acknowledged it has it.
#[test]
fn a_power_loss_during_an_import_loses_nothing_acknowledged() {
    let data = vec![9; 40_000];
    let hash = Hash::of(&data);
    for number in 0.. {
        let mut harness = Flat::<OneDirectory>::fresh();
        let store = Store::open(harness.open(), harness.env()).unwrap().0;
        let start = harness.disk.ops();
        harness.disk.inject(Fault::from(start + number));
        let outcome = store.import_bytes(&data).map(drop);
        let is_over = harness.disk.ops() <= start + number;
        drop(store);
        harness.disk = match number % 2 {
            0 => harness.disk.crash(),
            _ => harness.disk.crash_keeping_all(),
        };
        let (store, _) = Store::open(harness.open(), harness.env()).unwrap();
        match store.status(hash) {
            Status::Present(_) => assert!(store.read(hash, 1 << 20).unwrap() == data),
            Status::Missing => assert!(outcome.is_err()),
        }
        if is_over {
            assert!(outcome.is_ok() && number > 10);
            return;
        }
    }
}
