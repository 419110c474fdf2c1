//! Verification and repair: what each kind of damage is called, what mends it, and what is still readable.

// A test reports by panicking, and so do its helpers; what it casts is small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod common;

use std::{
    ffi::OsString,
    ops::{ControlFlow, Range},
};

use common::{GROUP, Machine, SimStore, assert_reads, bytes, groups_that_read, read};
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

fn range(range: Range<u64>) -> Vec<Range<u64>> {
    std::iter::once(range).collect()
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
        groups: range(3..4),
        elsewhere: false,
    };
    assert_eq!(verify(&store, Depth::Deep), [damage]);
    let demoted = Mending::Demote {
        hash,
        missing: range(3..4),
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
    let names: Vec<_> = machine.files().into_keys().collect();
    let whole = [
        FileName::Data(hash),
        FileName::Outboard(hash),
        FileName::Tags,
    ];
    assert_eq!(names, whole.map(|name| OsString::from(name.to_string())));
}

/// A blob of six groups in two homes, with these groups damaged in each.
fn two_homes(owned: &[usize], outside: &[usize]) -> (Machine, Hash, Vec<u8>) {
    let machine = Machine::new();
    let content = bytes(2, 5 * GROUP + 100);
    let store = machine.open();
    let hash = store.import_bytes(&content).unwrap().hash;
    let path = machine.put_external("both", &content);
    store.import_reference(&path).unwrap();
    drop(store);
    for group in owned {
        flip(&machine, &FileName::Data(hash), group * GROUP);
    }
    let mut changed = content.clone();
    for group in outside {
        changed[group * GROUP] ^= 1;
    }
    machine.put_external("both", &changed);
    (machine, hash, content)
}

#[test]
fn two_damaged_homes_make_a_whole_one() {
    let (machine, hash, content) = two_homes(&[1, 4], &[2]);
    let store = machine.open();
    let (mended, left) = repair(&store);
    assert_eq!(mended.len(), 2, "{mended:?}");
    assert!(matches!(&mended[0], Mending::RewriteData { groups, .. } if *groups == [1..2, 4..5]));
    assert!(matches!(&mended[1], Mending::DropPaths { .. }));
    assert_eq!(left, []);
    assert_eq!(machine.file(&FileName::Data(hash)), Some(content.clone()));
    assert_reads(&store, hash, &content);
    assert_eq!(verify(&machine.kill().open(), Depth::Deep), []);
}

/// What reads before a repair reads after it.
#[test]
fn partial_data_stay_a_home_beside_an_external_one() {
    let (machine, hash, content) = two_homes(&[1, 3, 4], &[2, 3]);
    let store = machine.open();
    let before = groups_that_read(&store, hash, &content);
    assert_eq!(before, [true, true, true, false, true, true]);
    let (mended, left) = repair(&store);
    assert!(matches!(&mended[..], [Mending::Demote { missing, .. }] if *missing == [1..2, 3..5]));
    assert!(
        matches!(&left[..], [Finding::ExternalChanged { groups, .. }] if *groups == range(2..4))
    );
    assert_eq!(groups_that_read(&store, hash, &content), before);
    let store = machine.kill().open();
    assert_eq!(groups_that_read(&store, hash, &content), before);
    assert_eq!(repair(&store).0, []);
    // The external file comes back: now the two make a whole blob.
    let mut better = content.clone();
    better[2 * GROUP] ^= 1;
    machine.put_external("both", &better);
    let machine = machine.kill();
    let store = machine.open();
    let (mended, _) = repair(&store);
    assert!(
        matches!(&mended[0], Mending::RewriteData { .. }),
        "{mended:?}"
    );
    assert_eq!(machine.file(&FileName::Data(hash)), Some(content.clone()));
    assert_reads(&store, hash, &content);
}
