//! Review: suspicions, each as a test that fails where it is right.
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unused
)]

mod common;

use std::{io, ops::ControlFlow, ops::Range};

use common::{
    GROUP, Machine, SimStore, assert_reads, bytes, external, fresh_env, groups_that_read, outboard,
    raw, read, seq, sequence, tag,
};
use flatbao_core::{
    BlobFormat, FileName, Hash, Store, TagFile, TagMap, Uuid,
    progress::unwatched,
    store::{
        Checked, Depth, ExportMode, ExportOptions, Finding, ImportOptions, Mending, Outcome,
        Position, Remedy, RepairOptions, Repairing, SalvagedFrom, State, Status, Verified,
        VerifyOptions,
    },
};
use flatbao_mem::{Fault, OpKind};

fn verify_all(store: &SimStore, depth: Depth) -> (Vec<Checked>, Verified) {
    let mut found = Vec::new();
    let mut each = |checked| {
        found.push(checked);
        ControlFlow::Continue(())
    };
    let options = VerifyOptions::default().depth(depth);
    let verified = store.verify(&options, &mut each, &mut unwatched).unwrap();
    (found, verified)
}

fn repair(store: &SimStore) -> Vec<Repairing> {
    let mut steps = Vec::new();
    let mut each = |step| steps.push(step);
    let _ = store.repair(&RepairOptions::default(), &mut each, &mut unwatched);
    steps
}

fn flip(machine: &Machine, name: &FileName, byte: usize) {
    let mut file = machine.file(name).unwrap();
    file[byte] ^= 1;
    machine.plant(name, &file);
}

/// Two external files, each with a part of the blob; the rewrite fails for lack of room.
#[test]
fn a_failed_rewrite_does_not_drop_the_paths_it_needed() {
    let machine = Machine::new();
    let content = bytes(2, 5 * GROUP + 100);
    let store = machine.open();
    let (a, b) = (
        machine.put_external("a", &content),
        machine.put_external("b", &content),
    );
    let hash = store.import_reference(&a).unwrap().hash;
    let _ = store.import_reference(&b).unwrap();
    store.set_tag(tag("t"), raw(hash)).unwrap();
    drop(store);
    let mut changed = content.clone();
    changed[GROUP] ^= 1;
    machine.put_external("a", &changed);
    let mut changed = content.clone();
    changed[3 * GROUP] ^= 1;
    machine.put_external("b", &changed);
    let store = machine.open();
    assert_reads(&store, hash, &content);
    machine.disk.inject(
        Fault::on(OpKind::Write)
            .error(io::ErrorKind::StorageFull)
            .sticky(),
    );
    let steps = repair(&store);
    drop(store);
    let machine = machine.kill();
    let store = machine.open();
    println!("{steps:?}");
    assert_reads(&store, hash, &content);
}

/// The same with owned data.
#[test]
fn a_failed_rewrite_does_not_drop_the_other_half() {
    let machine = Machine::new();
    let content = bytes(2, 5 * GROUP + 100);
    let store = machine.open();
    let hash = store.import_bytes(&content).unwrap().hash;
    let path = machine.put_external("both", &content);
    store.import_reference(&path).unwrap();
    drop(store);
    flip(&machine, &FileName::Data(hash), GROUP);
    let mut changed = content.clone();
    changed[3 * GROUP] ^= 1;
    machine.put_external("both", &changed);
    let store = machine.open();
    assert_reads(&store, hash, &content);
    machine.disk.inject(
        Fault::on(OpKind::Write)
            .error(io::ErrorKind::StorageFull)
            .sticky(),
    );
    let steps = repair(&store);
    drop(store);
    let machine = machine.kill();
    let store = machine.open();
    println!("{steps:?}");
    assert_reads(&store, hash, &content);
}

/// Repair looks at a blob whose external file is gone; meanwhile an export puts the blob there.
#[test]
fn repair_does_not_drop_the_path_an_export_just_made() {
    let machine = Machine::new();
    let content = bytes(3, 20 * GROUP);
    let store = machine.open();
    let path = machine.put_external("p", &content);
    let hash = store.import_reference(&path).unwrap().hash;
    drop(store.import_bytes(&content).unwrap());
    store.set_tag(tag("t"), raw(hash)).unwrap();
    machine.outside().uproot("p");
    let other = store.clone();
    let mut steps = Vec::new();
    let mut each = |step| steps.push(step);
    let mut exported = false;
    let mut watch = |step| {
        if let flatbao_core::Progress::Checked { bytes, .. } = step
            && bytes > 0
            && !exported
        {
            exported = true;
            other
                .export_with(
                    hash,
                    &path,
                    ExportOptions::default().mode(ExportMode::Reference),
                    &mut unwatched,
                )
                .unwrap();
        }
        ControlFlow::Continue(())
    };
    store
        .repair(&RepairOptions::default(), &mut each, &mut watch)
        .unwrap();
    assert!(exported);
    println!("{steps:?}");
    assert_reads(&store, hash, &content);
}

/// Two halves of demotions that were cut short, and one outboard for both.
#[test]
fn two_unpaired_partials_both_get_their_outboard() {
    let machine = Machine::new();
    let content = bytes(4, 8 * GROUP);
    let store = machine.open();
    let hash = store.import_bytes(&content).unwrap().hash;
    store.set_tag(tag("t"), raw(hash)).unwrap();
    drop(store);
    machine.store().uproot(FileName::Data(hash).to_string());
    for (uuid, bad) in [(1, 0), (2, 7)] {
        let mut data = content.clone();
        data[bad * GROUP] ^= 1;
        let name = FileName::PartialData(hash, Uuid::from_bytes([uuid; 16]));
        machine.plant(&name, &data);
    }
    let store = machine.open();
    let groups = |store: &SimStore| -> Vec<Vec<Range<u64>>> {
        let partials = store.partials(hash).unwrap();
        partials.into_iter().map(|p| p.groups).collect()
    };
    let before = groups(&store);
    assert_eq!(before, [vec![1..8], vec![0..7]]);
    println!("{:?}", repair(&store));
    assert_eq!(groups(&store), before);
}

/// The same from one life of a store: crash in a demotion, content added again, damaged again, repaired.
#[test]
fn a_second_demotion_keeps_the_first_half_provable() {
    let machine = Machine::new();
    let content = bytes(4, 8 * GROUP);
    let store = machine.open();
    let hash = store.import_bytes(&content).unwrap().hash;
    store.set_tag(tag("t"), raw(hash)).unwrap();
    drop(store);
    flip(&machine, &FileName::Data(hash), 0);
    let store = machine.open();
    // Repair is killed right after it has moved the data.
    let mut steps = Vec::new();
    machine.disk.inject(
        Fault::on(OpKind::CreateNew)
            .error(io::ErrorKind::StorageFull)
            .sticky(),
    );
    let mut each = |step| steps.push(step);
    let _ = store.repair(&RepairOptions::default(), &mut each, &mut unwatched);
    println!("{steps:?}");
    drop(store);
    let machine = machine.kill();
    let store = machine.open();
    assert_eq!(store.partials(hash).unwrap()[0].groups, [1..8]);
    store.import_bytes(&content).unwrap();
    drop(store);
    flip(&machine, &FileName::Data(hash), 7 * GROUP);
    let machine = machine.kill();
    let store = machine.open();
    let before = groups_that_read(&store, hash, &content);
    assert_eq!(before, [true; 8]);
    println!("{:?}", repair(&store));
    println!("{:?}", store.partials(hash).unwrap());
    let mut have = vec![false; 8];
    let readable = groups_that_read(&store, hash, &content);
    for partial in store.partials(hash).unwrap() {
        for run in partial.groups {
            for g in run {
                have[g as usize] = true;
            }
        }
    }
    let kept: Vec<bool> = have.iter().zip(&readable).map(|(a, b)| *a || *b).collect();
    assert_eq!(kept, before);
}

/// Two repairs at once, of which the second is late: it comes to the same half as the first.
#[test]
fn a_late_pairing_does_not_replace_a_good_outboard() {
    let machine = Machine::new();
    let content = bytes(4, 8 * GROUP);
    let store = machine.open();
    let hash = store.import_bytes(&content).unwrap().hash;
    store.set_tag(tag("t"), raw(hash)).unwrap();
    drop(store);
    machine.store().uproot(FileName::Data(hash).to_string());
    let mut data = content.clone();
    data[0] ^= 1;
    let one = FileName::PartialData(hash, Uuid::from_bytes([1; 16]));
    machine.plant(&one, &data);
    // An outboard without data: told first, so that the other repair can come between.
    let half = FileName::PartialOutboard(hash, Uuid::from_bytes([0; 16]));
    machine.plant(&half, &outboard(&content).unwrap());
    let store = machine.open();
    let other = store.clone();
    let mut did = false;
    let mut each = |step| {
        if !did {
            did = true;
            println!("inner {:?}", repair(&other));
        }
        println!("outer {step:?}");
    };
    store
        .repair(&RepairOptions::default(), &mut each, &mut unwatched)
        .unwrap();
    assert_eq!(store.partials(hash).unwrap()[0].groups, [1..8]);
}

/// A damaged pair and damaged data under it; the run is stopped after that.
#[test]
fn verification_in_pieces_finds_what_one_run_finds() {
    let machine = Machine::new();
    let content = bytes(5, 64 * GROUP);
    let store = machine.open();
    let hash = store.import_bytes(&content).unwrap().hash;
    drop(store);
    flip(&machine, &FileName::Data(hash), 0);
    // The pair above groups 0 and 1 is the deepest of the left spine: 64 32 16 8 4 2.
    flip(&machine, &FileName::Outboard(hash), 8 + 5 * 64);
    let store = machine.open_read_only();
    let (one, _) = verify_all(&store, Depth::Deep);
    assert!(
        one.iter()
            .any(|c| matches!(c, Checked::Finding(Finding::CorruptData { .. })))
    );
    let mut pieces = Vec::new();
    let mut from = None;
    loop {
        let mut calls = 0;
        let mut watch = |step| {
            if matches!(step, flatbao_core::Progress::Checked { .. }) {
                calls += 1;
            }
            if calls > 5 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let mut each = |checked| {
            pieces.push(checked);
            ControlFlow::Continue(())
        };
        let options = VerifyOptions::default().depth(Depth::Deep).from(from);
        let verified = store.verify(&options, &mut each, &mut watch).unwrap();
        from = verified.next;
        if from.is_none() {
            break;
        }
    }
    println!("{pieces:?}");
    assert!(
        pieces
            .iter()
            .any(|c| matches!(c, Checked::Finding(Finding::CorruptData { .. }))),
        "the damaged data were not found"
    );
}

/// What an earlier piece has found damaged is not said to be ok by the last one.
#[test]
fn the_last_piece_does_not_call_a_damaged_blob_ok() {
    let machine = Machine::new();
    let content = bytes(5, 64 * GROUP);
    let store = machine.open();
    let hash = store.import_bytes(&content).unwrap().hash;
    drop(store);
    flip(&machine, &FileName::Data(hash), 0);
    let mut from = None;
    let mut last = Vec::new();
    loop {
        let store = machine.open_read_only();
        let mut calls = 0;
        let mut watch = |_| {
            calls += 1;
            if calls > 20 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        last.clear();
        let mut each = |checked| {
            last.push(checked);
            ControlFlow::Continue(())
        };
        let options = VerifyOptions::default().depth(Depth::Deep).from(from);
        let verified = store.verify(&options, &mut each, &mut watch).unwrap();
        from = verified.next;
        if from.is_none() {
            break;
        }
    }
    println!("{last:?}");
    assert!(
        !last
            .iter()
            .any(|c| matches!(c, Checked::Blob { ok: true, .. }))
    );
}

/// The one damaged bit of `tags.meta` is the one that makes a sequence of a blob.
#[test]
fn a_salvaged_sequence_keeps_its_children() {
    let machine = Machine::new();
    let store = machine.open();
    let child = store.import_bytes(&bytes(6, 50_000)).unwrap().hash;
    let list = store
        .import_reader_with(
            &sequence(&[child])[..],
            ImportOptions::default().format(BlobFormat::HashSeq),
            &mut unwatched,
        )
        .unwrap()
        .hash;
    store.set_tag(tag("collection"), seq(list)).unwrap();
    drop(store);
    let mut file = machine.file(&FileName::Tags).unwrap();
    let at = file.windows(32).position(|w| w == list.as_bytes()).unwrap() + 32;
    assert_eq!(file[at], 1);
    file[at] ^= 1;
    machine.plant(&FileName::Tags, &file);
    let store = machine.open();
    let salvaged = store.salvage_tags().unwrap();
    println!("{salvaged:?}");
    store.restore_tags(salvaged.tags).unwrap();
    let _ = store.sweep(store.plan_gc().unwrap()).unwrap();
    assert_reads(&store, child, &bytes(6, 50_000));
}

/// A temporary file of an old change of tags is older than the damaged database.
#[test]
fn an_old_leftover_is_not_all_tags_there_were() {
    let machine = Machine::new();
    let store = machine.open();
    let one = store.import_bytes(&bytes(7, 1000)).unwrap();
    let two = store.import_bytes(&bytes(8, 1000)).unwrap();
    store.set_tag(tag("one"), raw(one.hash)).unwrap();
    let old = machine.file(&FileName::Tags).unwrap();
    store.set_tag(tag("two"), raw(two.hash)).unwrap();
    drop((one, two));
    drop(store);
    // Left over from the change to `one`; the peer, or an opening without lock, leaves such files.
    let new = machine.file(&FileName::Tags).unwrap();
    machine.plant(&FileName::TagsTemp(Uuid::from_bytes([3; 16])), &old);
    let mut damaged = new.clone();
    *damaged.last_mut().unwrap() ^= 1;
    machine.plant(&FileName::Tags, &damaged);
    let store = machine.open();
    let salvaged = store.salvage_tags().unwrap();
    println!("{salvaged:?}");
    assert!(
        salvaged.tags.contains_key(&tag("two")) || salvaged.lost > 0,
        "a tag is gone, and nothing says so"
    );
}

/// The outboard with the final name cannot be read right now.
#[test]
fn an_outboard_that_cannot_be_read_is_not_removed() {
    let machine = Machine::new();
    let content = bytes(10, 8 * GROUP);
    let store = machine.open();
    let hash = store.import_bytes(&content).unwrap().hash;
    store.set_tag(tag("t"), raw(hash)).unwrap();
    drop(store);
    machine.store().uproot(FileName::Data(hash).to_string());
    let uuid = Uuid::from_bytes([1; 16]);
    machine.plant(&FileName::PartialData(hash, uuid), &content[..GROUP]);
    machine.plant(
        &FileName::PartialOutboard(hash, uuid),
        &outboard(&content).unwrap()[..8 + 64],
    );
    let store = machine.open();
    let name = FileName::Outboard(hash).to_string();
    machine.disk.inject(
        Fault::matching(move |op| op.kind == OpKind::Read && *op.name == *name && op.len > 8)
            .sticky(),
    );
    println!("{:?}", repair(&store));
    assert!(machine.file(&FileName::Outboard(hash)).is_some());
}

/// A size that nothing proves, as large as can be.
#[test]
fn a_huge_claim_over_garbage() {
    for size in [u64::MAX, u64::MAX - 16384, 1 << 63] {
        for depth in [Depth::Quick, Depth::Deep] {
            let machine = Machine::new();
            drop(machine.open());
            let hash = Hash::of(b"something else");
            let mut board = outboard(&bytes(11, 5 * GROUP)).unwrap();
            board[..8].copy_from_slice(&size.to_le_bytes());
            machine.plant(&FileName::Outboard(hash), &board);
            machine.plant(&FileName::Data(hash), &bytes(11, 5 * GROUP));
            let store = machine.open();
            let (found, _) = verify_all(&store, depth);
            for checked in found {
                if let Checked::Finding(finding) = checked {
                    println!("{finding}; {:?}; {:?}", finding.offset(), finding.groups());
                }
            }
            for step in repair(&store) {
                println!("{step:?}");
            }
            for partial in store.partials(hash).unwrap() {
                println!("{partial:?} {}", partial.verified());
            }
        }
    }
}

/// Data of a right blob whose outboard has a wrong size: the size of the data is the better claim.
#[test]
fn tags_meta_that_cannot_be_read_is_kept() {
    let machine = Machine::new();
    let store = machine.open();
    let one = store.import_bytes(&bytes(7, 1000)).unwrap();
    store.set_tag(tag("one"), raw(one.hash)).unwrap();
    drop((one, store));
    let good = machine.file(&FileName::Tags).unwrap();
    machine
        .disk
        .inject(Fault::on_name(OpKind::Read, "tags.meta").sticky());
    let store = machine.open();
    let kept = store.restore_tags(TagMap::new());
    println!("{kept:?}");
    let files = machine.files();
    assert!(
        files.values().any(|bytes| *bytes == good),
        "the good tags are nowhere"
    );
}

/// A repair that was cut short, the content added again and damaged in two places: what the first half had
/// that the second has not.
#[test]
fn a_demotion_does_not_take_the_outboard_another_half_needs() {
    let machine = Machine::new();
    let content = bytes(4, 8 * GROUP);
    let store = machine.open();
    let hash = store.import_bytes(&content).unwrap().hash;
    store.set_tag(tag("t"), raw(hash)).unwrap();
    drop(store);
    flip(&machine, &FileName::Data(hash), 0);
    let store = machine.open();
    machine.disk.inject(
        Fault::on(OpKind::CreateNew)
            .error(io::ErrorKind::StorageFull)
            .sticky(),
    );
    let _ = repair(&store);
    drop(store);
    let machine = machine.kill();
    let store = machine.open();
    assert_eq!(store.partials(hash).unwrap()[0].groups, [1..8]);
    store.import_bytes(&content).unwrap();
    drop(store);
    flip(&machine, &FileName::Data(hash), 0);
    flip(&machine, &FileName::Data(hash), 7 * GROUP);
    let machine = machine.kill();
    let store = machine.open();
    let before = groups_that_read(&store, hash, &content);
    assert_eq!(before[1..], [true; 7]);
    println!("{:?}", repair(&store));
    println!("{:?}", store.partials(hash).unwrap());
    let mut have = vec![false; 8];
    for partial in store.partials(hash).unwrap() {
        for g in partial.groups.into_iter().flatten() {
            have[g as usize] = true;
        }
    }
    assert_eq!(
        have, before,
        "a group that was read before is nowhere proved"
    );
}

/// Nothing was done, and nothing is in doubt.
#[test]
fn a_demotion_that_did_nothing_does_not_end_writing() {
    let machine = Machine::new();
    let content = bytes(4, 8 * GROUP);
    let store = machine.open();
    let hash = store.import_bytes(&content).unwrap().hash;
    drop(store);
    flip(&machine, &FileName::Data(hash), 0);
    let store = machine.open();
    let text = hash.to_string();
    machine.disk.inject(
        Fault::matching(move |op| {
            op.kind == OpKind::Open && op.name.to_string_lossy().starts_with(&format!("{text}-"))
        })
        .error(io::ErrorKind::Other),
    );
    println!("{:?}", repair(&store));
    store.import_bytes(b"something else").unwrap();
}

/// The same path is told once, however many pieces a verification has.
#[test]
fn a_finding_about_the_whole_blob_is_told_once() {
    let machine = Machine::new();
    let content = bytes(5, 64 * GROUP);
    let store = machine.open();
    let path = machine.put_external("p", &content);
    let _ = store.import_reference(&path).unwrap();
    drop(store.import_bytes(&content).unwrap());
    machine.outside().uproot("p");
    let (mut from, mut told) = (None, 0);
    loop {
        let mut calls = 0;
        let mut watch = |_| {
            calls += 1;
            if calls > 20 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let mut each = |checked| {
            told += u32::from(matches!(
                checked,
                Checked::Finding(Finding::ExternalMissing { .. })
            ));
            ControlFlow::Continue(())
        };
        let options = VerifyOptions::default().depth(Depth::Deep).from(from);
        from = store.verify(&options, &mut each, &mut watch).unwrap().next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(told, 1);
}

/// A blob above the cap of a rebuild is not damaged because nobody looked.
#[test]
fn what_was_not_read_is_not_called_damaged() {
    use flatbao_fs::open_ambient;
    let dir = tempfile::tempdir().unwrap();
    let hash = Hash::from_bytes([0xaa; 32]);
    let (store, _) = Store::open(open_ambient(dir.path()).unwrap(), fresh_env()).unwrap();
    drop(store);
    let file = std::fs::File::create(dir.path().join(format!("{hash}.data"))).unwrap();
    file.set_len((1 << 40) + 1).unwrap();
    let (store, _) = Store::open(open_ambient(dir.path()).unwrap(), fresh_env()).unwrap();
    let mut found = Vec::new();
    let mut each = |checked| {
        found.push(checked);
        ControlFlow::Continue(())
    };
    let options = VerifyOptions::default().depth(Depth::Deep);
    let verified = store.verify(&options, &mut each, &mut unwatched).unwrap();
    println!("{found:?} {verified:?}");
    assert!(
        !found
            .iter()
            .any(|c| matches!(c, Checked::Finding(Finding::CorruptData { .. }))),
        "{} bytes were read, and all are said to be wrong",
        verified.bytes
    );
}

/// One dead path is dropped; another one that changed and cannot be read in full is not, and has to be told.
#[test]
fn a_path_that_stays_is_told() {
    let machine = Machine::new();
    let content = bytes(5, 6 * GROUP);
    let store = machine.open();
    let (p, q) = (
        machine.put_external("p", &content),
        machine.put_external("q", &content),
    );
    let hash = store.import_reference(&p).unwrap().hash;
    let _ = store.import_reference(&q).unwrap();
    drop(store.import_bytes(&content).unwrap());
    machine.outside().uproot("p");
    let mut changed = content.clone();
    changed[0] ^= 1;
    machine.put_external("q", &changed);
    machine.disk.inject(
        Fault::matching(|op| {
            op.kind == OpKind::Read && *op.name == *"q" && op.offset == 3 * GROUP as u64
        })
        .sticky(),
    );
    let steps = repair(&store);
    println!("{steps:?}");
    assert!(steps.iter().any(|s| matches!(s, Repairing::Left(Finding::ExternalChanged { path, .. }) if path.ends_with('q'))));
}

fn provable<D: flatbao_core::Dir>(
    store: &Store<flatbao_core::FlatDir<D>>,
    hash: Hash,
    truth: &[u8],
) -> Vec<bool> {
    let mut have = groups_that_read(store, hash, truth);
    for partial in store.partials(hash).unwrap() {
        for g in partial.groups.into_iter().flatten() {
            have[g as usize] = true;
        }
    }
    have
}

/// Which groups are wrong in the store's data and in each of two external files; `None` where there is no such
/// home; and whether the outboard is damaged or missing.
type Scene = (
    Option<&'static [usize]>,
    Option<&'static [usize]>,
    Option<&'static [usize]>,
    u8,
);

const SCENES: [Scene; 9] = [
    (Some(&[1]), None, None, 0),
    (Some(&[1]), Some(&[2]), None, 0),
    (Some(&[1, 3]), Some(&[3, 4]), None, 0),
    (None, Some(&[1]), Some(&[2]), 0),
    (Some(&[]), Some(&[1]), None, 1),
    (Some(&[]), None, None, 2),
    (Some(&[4]), None, None, 1),
    (Some(&[5]), Some(&[5]), Some(&[]), 1),
    (None, Some(&[]), Some(&[0]), 2),
];

fn scene(scene: &Scene) -> (Machine, Hash, Vec<u8>) {
    let machine = Machine::new();
    let content = bytes(31, 5 * GROUP + 100);
    let store = machine.open();
    let hash = Hash::of(&content);
    let damaged = |groups: &[usize]| {
        let mut bytes = content.clone();
        for g in groups {
            bytes[g * GROUP] ^= 1;
        }
        bytes
    };
    for (name, home) in [("p", scene.1), ("q", scene.2)] {
        if home.is_some() {
            let path = machine.put_external(name, &content);
            let _ = store.import_reference(&path).unwrap();
        }
    }
    if scene.0.is_some() {
        drop(store.import_bytes(&content).unwrap());
    }
    store.set_tag(tag("t"), raw(hash)).unwrap();
    drop(store);
    for (name, home) in [("p", scene.1), ("q", scene.2)] {
        if let Some(groups) = home {
            machine.put_external(name, &damaged(groups));
        }
    }
    if let Some(groups) = scene.0 {
        machine.plant(&FileName::Data(hash), &damaged(groups));
    }
    match scene.3 {
        1 => flip(&machine, &FileName::Outboard(hash), 8 + 2 * 64),
        2 => machine.store().uproot(FileName::Outboard(hash).to_string()),
        _ => {}
    }
    (machine.kill(), hash, content)
}

fn covers(after: &[bool], before: &[bool]) -> bool {
    before.iter().zip(after).all(|(b, a)| *a || !b)
}

#[test]
fn no_crash_in_a_repair_loses_a_group() {
    use common::tap::{Moments, TapDir};
    let mut lost = Vec::new();
    for (index, one) in SCENES.iter().enumerate() {
        let (machine, hash, content) = scene(one);
        let before = provable(&machine.fork().open_read_only(), hash, &content);
        let moments = Moments::<u8>::default();
        let store: Store<flatbao_core::FlatDir<TapDir>> =
            Store::open(moments.backend(&machine), fresh_env())
                .unwrap()
                .0;
        let mut each = |_| {};
        store
            .repair(&RepairOptions::default(), &mut each, &mut unwatched)
            .unwrap();
        moments.take(&machine.disk, "the end");
        drop(store);
        for (moment, _, next) in moments.end() {
            let fork = || moment.disk.fork();
            for (way, disk) in [
                ("crash", fork().crash()),
                ("keep all", fork().crash_keeping_all()),
                ("names", fork().crash_keeping_names(|_| true)),
                ("kill", fork().kill()),
            ] {
                let machine = Machine { disk };
                let store = machine.open();
                let told = format!("scene {index}: {way} before {next}");
                if !covers(&provable(&store, hash, &content), &before) {
                    lost.push(format!("{told}: lost at open"));
                }
                repair(&store);
                if !covers(&provable(&store, hash, &content), &before) {
                    lost.push(format!("{told}: lost by the next repair"));
                }
            }
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn no_failed_call_in_a_repair_loses_a_group() {
    let mut lost = Vec::new();
    for (index, one) in SCENES.iter().enumerate() {
        for sticky in [false, true] {
            for kind in [
                io::ErrorKind::StorageFull,
                io::ErrorKind::Other,
                io::ErrorKind::PermissionDenied,
            ] {
                for n in 0..400 {
                    let (machine, hash, content) = scene(one);
                    let store = machine.open();
                    let before = provable(&machine.fork().open_read_only(), hash, &content);
                    let base = machine.disk.ops();
                    let fault = if sticky {
                        Fault::from(base + n)
                    } else {
                        Fault::at(base + n)
                    };
                    machine.disk.inject(fault.error(kind));
                    let steps = repair(&store);
                    let end = machine.disk.ops();
                    drop(store);
                    for (way, disk) in [
                        ("crash", machine.disk.fork().crash()),
                        ("kill", machine.disk.fork().kill()),
                    ] {
                        let machine = Machine { disk };
                        let store = machine.open();
                        let told = format!("scene {index}: {kind} at {n} sticky {sticky}, {way}");
                        if !covers(&provable(&store, hash, &content), &before) {
                            lost.push(format!("{told}: lost at open: {steps:?}"));
                            continue;
                        }
                        repair(&store);
                        if !covers(&provable(&store, hash, &content), &before) {
                            lost.push(format!("{told}: lost by the next repair: {steps:?}"));
                        }
                    }
                    if base + n > end {
                        break;
                    }
                }
            }
        }
    }
    for line in &lost {
        println!("{}", &line[..line.len().min(400)]);
    }
    assert!(lost.is_empty(), "{}", lost.len());
}

/// Does something when random bytes are asked for the n-th time: when a file is about to be staged.
struct Hook {
    at: usize,
    count: std::sync::Mutex<usize>,
    act: Box<dyn Fn() + Send + Sync>,
}

impl flatbao_core::Entropy for Hook {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        let mut count = self.count.lock().unwrap();
        *count += 1;
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = (*count * 17 + i) as u8;
        }
        if *count == self.at {
            (self.act)();
        }
        Ok(())
    }
}

/// After the release and before the store gives its own file away, somebody puts another file of the same
/// length at the target: the store still has the whole blob, and must keep it.
#[test]
fn the_stores_own_file_is_not_given_away_for_another_one() {
    let machine = Machine::new();
    let content = bytes(3, 20 * GROUP);
    let store = machine.open();
    let hash = store.import_bytes(&content).unwrap().hash;
    store.set_tag(tag("t"), raw(hash)).unwrap();
    drop(store);
    let outside = machine.outside();
    let mut env = fresh_env();
    env.entropy = std::sync::Arc::new(Hook {
        at: 2,
        count: Default::default(),
        act: Box::new(move || {
            assert!(outside.content("p").is_some(), "it was released");
            outside.uproot("p");
            outside.plant_file("p", &bytes(99, 20 * GROUP)).unwrap();
        }),
    });
    let store: SimStore = Store::open(machine.backend(), env).unwrap().0;
    let options = ExportOptions::default().mode(ExportMode::Reference);
    println!(
        "{:?}",
        store.export_with(hash, &external("p"), options, &mut unwatched)
    );
    assert_reads(&store, hash, &content);
}

/// "Nobody. Then nothing is ever deleted."
#[test]
fn without_a_lock_an_export_takes_nothing_away() {
    use flatbao_core::store::{Locking, OpenOptions};
    let machine = Machine::new();
    let content = bytes(3, 20 * GROUP);
    let store = machine.open();
    let hash = store.import_bytes(&content).unwrap().hash;
    drop(store);
    let options = OpenOptions::default().locking(Locking::None);
    let (store, _) =
        Store::open_with(machine.backend(), fresh_env(), options, &mut unwatched).unwrap();
    assert!(
        store
            .repair(&RepairOptions::default(), &mut |_| {}, &mut unwatched)
            .is_err()
    );
    let options = ExportOptions::default().mode(ExportMode::Reference);
    println!(
        "{:?}",
        store.export_with(hash, &external("p"), options, &mut unwatched)
    );
    assert!(machine.file(&FileName::Data(hash)).is_some());
}

/// What a tag promises is durable, however the tag came to be.
#[test]
fn restored_tags_make_what_they_name_durable() {
    use flatbao_core::FlatDir;
    use flatbao_mem::{SimDir, SimDisk};
    let dir = |disk: &SimDisk, name: &str| disk.file_system("disk").plant_dir(name).unwrap();
    let open = |disk: &SimDisk| {
        let (complete, partial, meta) = (
            dir(disk, "complete"),
            dir(disk, "partial"),
            dir(disk, "meta"),
        );
        let backend = FlatDir::with_areas(complete, partial, meta).unwrap();
        Store::open(backend, fresh_env()).unwrap().0
    };
    let content = bytes(1, 1000);
    let hash = Hash::of(&content);
    let name = FileName::Data(hash).to_string();
    let has = |disk: &SimDisk| dir(disk, "complete").content(&name).is_some();
    let first = SimDisk::new();
    drop(open(&first));
    // Killed when the data have their name, and the name is not durable.
    let mut image = None;
    for n in 0..200 {
        let disk = first.fork().kill();
        let store = open(&disk);
        disk.inject(Fault::death_at(disk.ops() + n));
        let _ = store.import_bytes(&content);
        drop(store);
        let killed = disk.kill();
        if has(&killed) && !has(&killed.fork().crash()) {
            image = Some(killed);
            break;
        }
    }
    let image = image.expect("such a moment");
    for restore in [false, true] {
        let disk = image.fork();
        if restore {
            dir(&disk, "meta")
                .change_file("tags.meta", b"\xff")
                .unwrap();
        }
        let store = open(&disk);
        if restore {
            let tags: TagMap = [(tag("t"), raw(hash))].into();
            store.restore_tags(tags).unwrap();
        } else {
            store.set_tag(tag("t"), raw(hash)).unwrap();
        }
        drop(store);
        let store = open(&disk.crash());
        assert!(store.tag(&tag("t")).is_ok());
        println!("restore: {restore}");
        assert_reads(&store, hash, &content);
    }
}

/// What takes the place of a dropped path is on the disk, and not in the cache alone.
#[test]
fn a_path_is_dropped_for_data_that_are_durable() {
    use flatbao_core::Durability;
    let machine = Machine::new();
    let content = bytes(5, 5 * GROUP + 100);
    let store = machine.open();
    let path = machine.put_external("p", &content);
    let hash = store.import_reference(&path).unwrap().hash;
    store.set_tag(tag("t"), raw(hash)).unwrap();
    drop(store);
    // Another program, or an opening that leaves syncing to its host, adds the data; nothing syncs them.
    let backend = machine.backend().with_durability(Durability::Atomic);
    let store: SimStore = Store::open(backend, fresh_env()).unwrap().0;
    drop(store.import_bytes(&content).unwrap());
    drop(store);
    let machine = machine.kill();
    let mut changed = content.clone();
    changed[2 * GROUP] ^= 1;
    machine.put_external("p", &changed);
    let before = Machine {
        disk: machine.disk.fork().crash(),
    };
    let before = provable(&before.open(), hash, &content);
    println!("a power loss before the repair leaves {before:?}");
    let store = machine.open();
    println!("{:?}", repair(&store));
    drop(store);
    let machine = machine.crash();
    let after = provable(&machine.open(), hash, &content);
    println!("and after it {after:?}");
    assert!(covers(&after, &before));
}

/// Whatever an outboard is cut to: good data are good data, and stay where they are.
#[test]
fn a_truncated_outboard_does_not_make_good_data_bad() {
    let mut wrong = Vec::new();
    for size in [3 * GROUP, 5 * GROUP + 1, 19 * GROUP - 5, 64 * GROUP] {
        let machine = Machine::new();
        let content = bytes(77, size);
        let store = machine.open();
        let hash = store.import_bytes(&content).unwrap().hash;
        store.set_tag(tag("t"), raw(hash)).unwrap();
        drop(store);
        let whole = machine.file(&FileName::Outboard(hash)).unwrap();
        for len in 0..whole.len() {
            if len % 64 != 8 && len % 64 != 36 {
                continue;
            }
            let machine = machine.fork();
            machine.plant(&FileName::Outboard(hash), &whole[..len]);
            let store = machine.open();
            let (found, _) = verify_all(&store, Depth::Deep);
            if found
                .iter()
                .any(|c| matches!(c, Checked::Finding(Finding::CorruptData { .. })))
            {
                wrong.push(format!(
                    "{size} bytes, outboard of {len}: verify calls good data corrupt"
                ));
            }
            drop(store);
            let store = machine.open();
            repair(&store);
            if !read(&store, hash).is_ok_and(|read| read == content) {
                wrong.push(format!(
                    "{size} bytes, outboard of {len}: the blob does not read after a repair"
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(12)]
    );
}

/// Random damage to the outboard alone, its length left as it is (or made longer).
#[test]
fn no_damage_to_an_outboard_makes_good_data_bad() {
    let mut wrong = Vec::new();
    let mut seed = 1_u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    for size in [2 * GROUP, 3 * GROUP, 5 * GROUP + 1, 19 * GROUP - 5] {
        let machine = Machine::new();
        let content = bytes(77, size);
        let store = machine.open();
        let hash = store.import_bytes(&content).unwrap().hash;
        drop(store);
        let whole = machine.file(&FileName::Outboard(hash)).unwrap();
        for _ in 0..600 {
            let mut board = whole.clone();
            let mut told = format!("{size}:");
            for _ in 0..1 + next(3) {
                match next(4) {
                    0 => {
                        let claim = match next(4) {
                            0 => next(30 * GROUP) as u64,
                            1 => (next(30) * GROUP) as u64,
                            2 => size as u64 ^ (1 << next(20)),
                            _ => u64::MAX,
                        };
                        told += &format!(" prefix {claim}");
                        board[..8].copy_from_slice(&claim.to_le_bytes());
                    }
                    1 => {
                        let at = 8 + next(board.len() - 8);
                        told += &format!(" flip {at}");
                        board[at] ^= 1;
                    }
                    2 => {
                        let at = 8 + next(board.len() - 8);
                        told += &format!(" zero from {at}");
                        board[at..].fill(0);
                    }
                    _ => {
                        let more = next(5) * 64 + next(2);
                        told += &format!(" longer by {more}");
                        board.extend(vec![0; more]);
                    }
                }
            }
            let machine = machine.fork();
            machine.plant(&FileName::Outboard(hash), &board);
            let store = machine.open();
            let steps = repair(&store);
            if machine.file(&FileName::Data(hash)).as_ref() != Some(&content)
                || !read(&store, hash).is_ok_and(|read| read == content)
            {
                wrong.push(told);
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(25)]
    );
}
