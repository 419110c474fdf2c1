//! Verification and repair: what each kind of damage is called, what mends it, and what is still readable.

// A test reports by panicking, and so do its helpers; what it casts is small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod common;

use std::ops::ControlFlow;

use common::{GROUP, Machine, SimStore, bytes, read};
use flatbao_core::{
    FileName, Hash,
    progress::unwatched,
    store::{
        Checked, Depth, Finding, Mending, Outcome, RepairOptions, Repairing, State, Status,
        VerifyOptions,
    },
};

fn verify(store: &SimStore, depth: Depth) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut each = |checked| {
        if let Checked::Finding(finding) = checked {
            found.push(finding);
        }
        ControlFlow::Continue(())
    };
    let options = VerifyOptions::default().depth(depth);
    store.verify(&options, &mut each, &mut unwatched).unwrap();
    found
}

fn repair(store: &SimStore) -> (Vec<Mending>, Vec<Finding>) {
    let (mut mended, mut left) = (Vec::new(), Vec::new());
    let mut each = |step| match step {
        Repairing::Mended(mending, Outcome::Done) => mended.push(mending),
        Repairing::Left(finding) => left.push(finding),
        other => panic!("{other:?}"),
    };
    store
        .repair(&RepairOptions::default(), &mut each, &mut unwatched)
        .unwrap();
    (mended, left)
}

fn flip(machine: &Machine, name: &FileName, byte: usize) {
    let mut file = machine.file(name).unwrap();
    file[byte] ^= 1;
    machine.plant(name, &file);
}

#[test]
fn one_flipped_byte() {
    let machine = Machine::new();
    let store = machine.open();
    let content = bytes(1, 9 * GROUP + 100);
    let hash = store.import_bytes(&content).unwrap().hash;
    drop(store);
    assert_eq!(verify(&machine.open(), Depth::Deep), []);
    flip(&machine, &FileName::Data(hash), 3 * GROUP + 5);

    let store = machine.open();
    assert_eq!(verify(&store, Depth::Quick), []);
    let damage = Finding::CorruptData {
        hash,
        groups: vec![3..4],
        elsewhere: false,
    };
    assert_eq!(verify(&store, Depth::Deep), [damage]);
    let demoted = Mending::Demote {
        hash,
        missing: vec![3..4],
        of: 10,
    };
    assert_eq!(repair(&store), (vec![demoted], vec![]));
    let Status::Present(info) = store.status(hash) else {
        panic!("gone");
    };
    assert_eq!(info.state, State::Partial);
    assert_eq!(store.partials(hash).unwrap()[0].groups, [0..3, 4..10]);
    assert_eq!(verify(&store, Depth::Deep), []);
    assert_eq!(repair(&store), (vec![], vec![]));
    drop(store);
    let store = machine.open();
    assert_eq!(store.partials(hash).unwrap()[0].groups, [0..3, 4..10]);
    assert!(read(&store, hash).is_err());
    store.import_bytes(&content).unwrap();
    assert_eq!(read(&store, hash).unwrap(), content);
    let _ = Hash::EMPTY;
}
