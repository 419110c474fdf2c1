//! Repair, verification, export and the rescue of tags where other work, other hands and a failing medium come
//! in between: a look that is old by the time it is acted on, halves that share an outboard, leftovers that are
//! older than they seem.

// A test reports by panicking, and so do its helpers; what it casts is small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod common;

use std::{
    fs::File,
    io,
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

use common::{
    GROUP, Machine, SimStore, assert_reads, bytes,
    care::{assert_kept, at_hand, groups_of, try_repair, verify},
    external, fresh_env, groups_that_read, outboard, raw, read, seq, sequence, tag,
};
use flatbao_core::{
    BlobFormat, Durability, Entropy, FileName, FlatDir, Hash, Progress, Store, TagMap, Uuid,
    progress::unwatched,
    store::{
        Checked, Depth, ExportMode, ExportOptions, Finding, ImportOptions, Locking, OpenOptions,
        RepairOptions, Repairing, VerifyOptions,
    },
};
use flatbao_fs::open_ambient;
use flatbao_mem::{Fault, Moments, OpKind, SimDisk};
use flatbao_tests::platform;

/// Mends what can be mended, whatever fails meanwhile.
fn repair(store: &SimStore) -> Vec<Repairing> {
    let mut steps = Vec::new();
    let mut each = |step| steps.push(step);
    let _ = store.repair(&RepairOptions::default(), &mut each, &mut unwatched);
    steps
}

/// A deep verification in pieces, each of which is stopped after so many of the calls that count: what each of
/// them told.
fn in_pieces(
    open: impl Fn() -> SimStore,
    limit: u32,
    counts: impl Fn(Progress) -> bool,
) -> Vec<Vec<Checked>> {
    let (mut pieces, mut from) = (Vec::new(), None);
    loop {
        let mut calls = 0;
        let mut watch = |step| {
            calls += u32::from(counts(step));
            if calls > limit {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let mut piece = Vec::new();
        let mut each = |checked| {
            piece.push(checked);
            ControlFlow::Continue(())
        };
        let options = VerifyOptions::default().depth(Depth::Deep).from(from);
        let verified = open().verify(&options, &mut each, &mut watch).unwrap();
        pieces.push(piece);
        from = verified.next;
        if from.is_none() {
            return pieces;
        }
    }
}

/// A machine with one blob in its store.
fn added(content: &[u8]) -> (Machine, Hash) {
    let machine = Machine::new();
    let hash = machine.open().import_bytes(content).unwrap().hash;
    (machine, hash)
}

/// The same, and a tag names the blob.
fn tagged(content: &[u8]) -> (Machine, Hash) {
    let machine = Machine::new();
    let store = machine.open();
    let hash = store.import_bytes(content).unwrap().hash;
    store.set_tag(tag("t"), raw(hash)).unwrap();
    drop(store);
    (machine, hash)
}

fn flipped(content: &[u8], byte: usize) -> Vec<u8> {
    let mut changed = content.to_vec();
    changed[byte] ^= 1;
    changed
}

fn flip(machine: &Machine, name: &FileName, byte: usize) {
    machine.plant(name, &flipped(&machine.file(name).unwrap(), byte));
}

/// From now on there is no room for calls of this kind.
fn no_room_for(machine: &Machine, kind: OpKind) {
    let fault = Fault::on(kind).error(io::ErrorKind::StorageFull);
    machine.disk.inject(fault.sticky());
}

/// A store whose repair was cut short right after it had moved the data, of which the first of eight groups is
/// wrong; the content was added again after that.
fn demoted_and_added_again(content: &[u8]) -> (Machine, Hash) {
    let (machine, hash) = tagged(content);
    flip(&machine, &FileName::Data(hash), 0);
    let store = machine.open();
    no_room_for(&machine, OpKind::CreateNew);
    repair(&store);
    drop(store);
    let machine = machine.kill();
    let store = machine.open();
    assert!(groups_of(&store.partials(hash).unwrap()[0]).eq(1..8));
    store.import_bytes(content).unwrap();
    drop(store);
    (machine, hash)
}

fn is_corrupt_data(finding: &Finding) -> bool {
    matches!(finding, Finding::CorruptData { .. })
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
    machine.put_external("a", &flipped(&content, GROUP));
    machine.put_external("b", &flipped(&content, 3 * GROUP));
    let store = machine.open();
    assert_reads(&store, hash, &content);
    no_room_for(&machine, OpKind::Write);
    repair(&store);
    drop(store);
    assert_reads(&machine.kill().open(), hash, &content);
}

/// The same with data in the store and one external file.
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
    machine.put_external("both", &flipped(&content, 3 * GROUP));
    let store = machine.open();
    assert_reads(&store, hash, &content);
    no_room_for(&machine, OpKind::Write);
    repair(&store);
    drop(store);
    assert_reads(&machine.kill().open(), hash, &content);
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
    let mut exported = false;
    let mut watch = |step| {
        if let Progress::Checked { bytes, .. } = step
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
        .repair(&RepairOptions::default(), &mut |_| {}, &mut watch)
        .unwrap();
    assert!(exported);
    assert_reads(&store, hash, &content);
}

/// Two halves of demotions that were cut short, and one outboard for both.
#[test]
fn two_unpaired_partials_both_get_their_outboard() {
    let content = bytes(4, 8 * GROUP);
    let (machine, hash) = tagged(&content);
    machine.store().uproot(FileName::Data(hash).to_string());
    for (uuid, bad) in [(1, 0), (2, 7)] {
        let name = FileName::PartialData(hash, Uuid::from_bytes([uuid; 16]));
        machine.plant(&name, &flipped(&content, bad * GROUP));
    }
    let store = machine.open();
    let groups = || -> Vec<Vec<u64>> {
        let partials = store.partials(hash).unwrap();
        partials.iter().map(|p| groups_of(p).collect()).collect()
    };
    let both = [Vec::from_iter(1..8), Vec::from_iter(0..7)];
    assert_eq!(groups(), both);
    repair(&store);
    assert_eq!(groups(), both);
}

/// The same from one life of a store: crash in a demotion, content added again, damaged again, repaired.
#[test]
fn a_second_demotion_keeps_the_first_half_provable() {
    let content = bytes(4, 8 * GROUP);
    let (machine, hash) = demoted_and_added_again(&content);
    flip(&machine, &FileName::Data(hash), 7 * GROUP);
    let store = machine.kill().open();
    assert_eq!(groups_that_read(&store, hash, &content), [true; 8]);
    repair(&store);
    assert_eq!(at_hand(&store, hash, &content), [true; 8]);
}

/// Two repairs at once, of which the second is late: it comes to the same half as the first.
#[test]
fn a_late_pairing_does_not_replace_a_good_outboard() {
    let content = bytes(4, 8 * GROUP);
    let (machine, hash) = tagged(&content);
    machine.store().uproot(FileName::Data(hash).to_string());
    let one = FileName::PartialData(hash, Uuid::from_bytes([1; 16]));
    machine.plant(&one, &flipped(&content, 0));
    // An outboard without data: told first, so that the other repair can come between.
    let half = FileName::PartialOutboard(hash, Uuid::from_bytes([0; 16]));
    machine.plant(&half, &outboard(&content).unwrap());
    let store = machine.open();
    let other = store.clone();
    let mut did = false;
    let mut each = |_| {
        if !did {
            did = true;
            repair(&other);
        }
    };
    store
        .repair(&RepairOptions::default(), &mut each, &mut unwatched)
        .unwrap();
    assert!(did);
    assert!(groups_of(&store.partials(hash).unwrap()[0]).eq(1..8));
}

/// A damaged pair and damaged data under it: a run that is asked to stop early, and those that go on where it
/// stopped, find the damaged data as well.
#[test]
fn verification_in_pieces_finds_what_one_run_finds() {
    let content = bytes(5, 64 * GROUP);
    let (machine, hash) = added(&content);
    flip(&machine, &FileName::Data(hash), 0);
    // The pair above groups 0 and 1 is the deepest of the left spine: 64 32 16 8 4 2.
    flip(&machine, &FileName::Outboard(hash), 8 + 5 * 64);
    let store = machine.open_read_only();
    let whole = verify(&store, Depth::Deep);
    assert!(whole.iter().any(is_corrupt_data));
    let reads = |step| matches!(step, Progress::Checked { .. });
    let pieces = in_pieces(|| store.clone(), 5, reads);
    assert!(
        pieces
            .iter()
            .flatten()
            .any(|c| matches!(c, Checked::Finding(finding) if is_corrupt_data(finding))),
        "the damaged data were not found"
    );
}

/// What an earlier piece has found damaged is not said to be ok by the last one.
#[test]
fn the_last_piece_does_not_call_a_damaged_blob_ok() {
    let content = bytes(5, 64 * GROUP);
    let (machine, hash) = added(&content);
    flip(&machine, &FileName::Data(hash), 0);
    let pieces = in_pieces(|| machine.open_read_only(), 20, |_| true);
    assert!(pieces.len() > 1);
    assert!(
        !pieces[pieces.len() - 1]
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
    let file = machine.file(&FileName::Tags).unwrap();
    let at = file.windows(32).position(|w| w == list.as_bytes()).unwrap() + 32;
    assert_eq!(file[at], 1);
    flip(&machine, &FileName::Tags, at);
    let store = machine.open();
    let salvaged = store.salvage_tags().unwrap();
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
    flip(&machine, &FileName::Tags, new.len() - 1);
    let store = machine.open();
    let salvaged = store.salvage_tags().unwrap();
    assert!(
        salvaged.tags.contains_key(&tag("two")) || salvaged.lost > 0,
        "a tag is gone, and nothing says so"
    );
}

/// The outboard with the final name cannot be read right now.
#[test]
fn an_outboard_that_cannot_be_read_is_not_removed() {
    let content = bytes(10, 8 * GROUP);
    let (machine, hash) = tagged(&content);
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
    repair(&store);
    assert!(machine.file(&FileName::Outboard(hash)).is_some());
}

/// Whatever size an outboard claims for data that nothing proves, verification and repair end, nothing is read
/// from the blob, and the bytes of the data stay.
#[test]
fn a_huge_claim_over_garbage() {
    for size in [u64::MAX, u64::MAX - 16384, 1 << 63] {
        for depth in [Depth::Quick, Depth::Deep] {
            let machine = Machine::new();
            drop(machine.open());
            let hash = Hash::of(b"something else");
            let data = bytes(11, 5 * GROUP);
            let mut board = outboard(&data).unwrap();
            board[..8].copy_from_slice(&size.to_le_bytes());
            machine.plant(&FileName::Outboard(hash), &board);
            machine.plant(&FileName::Data(hash), &data);
            let store = machine.open();
            let found = verify(&store, depth);
            assert!(!found.is_empty(), "{size} is taken for the size");
            for finding in &found {
                assert_eq!(finding.hash(), Some(hash));
                let _ = (finding.offset(), finding.groups());
            }
            let (mended, left) = try_repair(&store, &RepairOptions::default());
            assert!(!mended.is_empty() || !left.is_empty());
            assert!(read(&store, hash).is_err());
            for partial in store.partials(hash).unwrap() {
                assert_eq!(partial.verified(), 0);
            }
            assert!(machine.files().values().any(|file| *file == data));
        }
    }
}

/// Tags that cannot be read right now are not gone: whatever takes their place, the file with them stays.
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
    let _ = store.restore_tags(TagMap::new());
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
    let content = bytes(4, 8 * GROUP);
    let (machine, hash) = demoted_and_added_again(&content);
    flip(&machine, &FileName::Data(hash), 0);
    flip(&machine, &FileName::Data(hash), 7 * GROUP);
    let store = machine.kill().open();
    let before = groups_that_read(&store, hash, &content);
    assert_eq!(before[1..], [true; 7]);
    repair(&store);
    let mut have = vec![false; 8];
    for partial in store.partials(hash).unwrap() {
        for group in groups_of(&partial) {
            have[group as usize] = true;
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
    let content = bytes(4, 8 * GROUP);
    let (machine, hash) = added(&content);
    flip(&machine, &FileName::Data(hash), 0);
    let store = machine.open();
    let text = hash.to_string();
    machine.disk.inject(
        Fault::matching(move |op| {
            op.kind == OpKind::Open && op.name.to_string_lossy().starts_with(&format!("{text}-"))
        })
        .error(io::ErrorKind::Other),
    );
    repair(&store);
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
    let pieces = in_pieces(|| store.clone(), 20, |_| true);
    assert!(pieces.len() > 1);
    let about_the_path =
        |c: &&Checked| matches!(c, Checked::Finding(Finding::ExternalMissing { .. }));
    let told = pieces.iter().flatten().filter(about_the_path);
    assert_eq!(told.count(), 1);
}

/// A blob above the cap of a rebuild is not damaged because nobody looked.
#[test]
fn what_was_not_read_is_not_called_damaged() {
    let dir = platform::scratch();
    let hash = Hash::from_bytes([0xaa; 32]);
    let (store, _) = platform::open(open_ambient(dir.path()).unwrap(), fresh_env()).unwrap();
    drop(store);
    let file = File::create(dir.path().join(format!("{hash}.data"))).unwrap();
    file.set_len((1 << 40) + 1).unwrap();
    let (store, _) = platform::open(open_ambient(dir.path()).unwrap(), fresh_env()).unwrap();
    let found = verify(&store, Depth::Deep);
    assert!(!found.iter().any(is_corrupt_data), "{found:?}");
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
    drop(store.import_reference(&p).unwrap());
    drop(store.import_reference(&q).unwrap());
    drop(store.import_bytes(&content).unwrap());
    machine.outside().uproot("p");
    machine.put_external("q", &flipped(&content, 0));
    machine.disk.inject(
        Fault::matching(|op| {
            op.kind == OpKind::Read && *op.name == *"q" && op.offset == 3 * GROUP as u64
        })
        .sticky(),
    );
    let steps = repair(&store);
    let is_told = |step: &Repairing| match step {
        Repairing::Left(Finding::ExternalChanged { path, .. }) => path.ends_with('q'),
        _ => false,
    };
    assert!(steps.iter().any(is_told), "{steps:?}");
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

/// At whatever moment the process dies or the power fails in a repair, every group that could be had before can
/// be had after the next opening, and after the next repair.
#[test]
fn no_crash_in_a_repair_loses_a_group() {
    for (index, one) in SCENES.iter().enumerate() {
        let (machine, hash, content) = scene(one);
        let before = at_hand(&machine.fork().open_read_only(), hash, &content);
        let moments = Moments::of(&machine.disk, ());
        let store = machine.open();
        store
            .repair(&RepairOptions::default(), &mut |_| {}, &mut unwatched)
            .unwrap();
        drop(store);
        for past in moments.end() {
            let (fork, next) = (|| past.disk.fork(), &past.next);
            for (way, disk) in [
                ("crash", fork().crash()),
                ("keep all", fork().crash_keeping_all()),
                ("names", fork().crash_keeping_names(|_| true)),
                ("kill", fork().kill()),
            ] {
                let told = format!("scene {index}: {way} before {next}");
                assert_still_at_hand(Machine { disk }, hash, &content, &before, &told);
            }
        }
    }
}

/// The same where a call of the system fails, once or from then on.
#[test]
fn no_failed_call_in_a_repair_loses_a_group() {
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
                    let before = at_hand(&machine.fork().open_read_only(), hash, &content);
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
                        let told = format!(
                            "scene {index}: {kind} at {n} sticky {sticky}, {way}: {steps:?}"
                        );
                        assert_still_at_hand(Machine { disk }, hash, &content, &before, &told);
                    }
                    if base + n > end {
                        break;
                    }
                }
            }
        }
    }
}

/// Asserts that what was there before a repair is there after the next opening and after the next repair.
#[track_caller]
fn assert_still_at_hand(machine: Machine, hash: Hash, content: &[u8], before: &[bool], told: &str) {
    let store = machine.open();
    let after = at_hand(&store, hash, content);
    assert_kept(before, &after, &format!("{told}: at open"));
    repair(&store);
    let after = at_hand(&store, hash, content);
    assert_kept(before, &after, &format!("{told}: by the next repair"));
}

/// Does something when random bytes are asked for the n-th time: when a file is about to be staged.
struct Hook {
    at: usize,
    count: Mutex<usize>,
    act: Box<dyn Fn() + Send + Sync>,
}

impl Entropy for Hook {
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
    let content = bytes(3, 20 * GROUP);
    let (machine, hash) = tagged(&content);
    let outside = machine.outside();
    let mut env = fresh_env();
    env.entropy = Arc::new(Hook {
        at: 2,
        count: Mutex::default(),
        act: Box::new(move || {
            assert!(outside.content("p").is_some(), "it was released");
            outside.uproot("p");
            outside.plant_file("p", &bytes(99, 20 * GROUP)).unwrap();
        }),
    });
    let store: SimStore = Store::open(machine.backend(), env).unwrap().0;
    let options = ExportOptions::default().mode(ExportMode::Reference);
    let _ = store.export_with(hash, &external("p"), options, &mut unwatched);
    assert_reads(&store, hash, &content);
}

/// Where nobody holds a lock, nothing is ever deleted.
#[test]
fn without_a_lock_an_export_takes_nothing_away() {
    let content = bytes(3, 20 * GROUP);
    let (machine, hash) = added(&content);
    let options = OpenOptions::default().locking(Locking::None);
    let (store, _) =
        Store::open_with(machine.backend(), fresh_env(), options, &mut unwatched).unwrap();
    assert!(
        store
            .repair(&RepairOptions::default(), &mut |_| {}, &mut unwatched)
            .is_err()
    );
    let options = ExportOptions::default().mode(ExportMode::Reference);
    let _ = store.export_with(hash, &external("p"), options, &mut unwatched);
    assert!(machine.file(&FileName::Data(hash)).is_some());
}

/// What a tag promises is durable, however the tag came to be.
#[test]
fn restored_tags_make_what_they_name_durable() {
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
        assert!(store.tag(&tag("t")).is_ok(), "restored: {restore}");
        assert_reads(&store, hash, &content);
    }
}

/// What takes the place of a dropped path is on the disk, and not in the cache alone.
#[test]
fn a_path_is_dropped_for_data_that_are_durable() {
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
    machine.put_external("p", &flipped(&content, 2 * GROUP));
    let before = Machine {
        disk: machine.disk.fork().crash(),
    };
    let before = at_hand(&before.open(), hash, &content);
    let store = machine.open();
    repair(&store);
    drop(store);
    let after = at_hand(&machine.crash().open(), hash, &content);
    assert_kept(&before, &after, "a power loss after the repair");
}

/// Whatever an outboard is cut to: good data are good data, and stay where they are.
#[test]
fn a_truncated_outboard_does_not_make_good_data_bad() {
    let mut wrong = Vec::new();
    for size in [3 * GROUP, 5 * GROUP + 1, 19 * GROUP - 5, 64 * GROUP] {
        let content = bytes(77, size);
        let (machine, hash) = tagged(&content);
        let whole = machine.file(&FileName::Outboard(hash)).unwrap();
        for len in (0..whole.len()).filter(|len| matches!(len % 64, 8 | 36)) {
            let machine = machine.fork();
            machine.plant(&FileName::Outboard(hash), &whole[..len]);
            let store = machine.open();
            if verify(&store, Depth::Deep).iter().any(is_corrupt_data) {
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

/// Random damage to the outboard alone, whose length stays or grows: the data stay where they are, and read.
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
        let content = bytes(77, size);
        let (machine, hash) = added(&content);
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
                        board.resize(board.len() + more, 0);
                    }
                }
            }
            let machine = machine.fork();
            machine.plant(&FileName::Outboard(hash), &board);
            let store = machine.open();
            repair(&store);
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

/// The store's own data are short, and of the whole groups that the outboard has room for only a partial entry has the
/// first. Since the claim of the outboard is what would be guessed as well, it counted as a guess, and the blob as one
/// of a single group, which was lost.
#[test]
fn a_claim_that_would_be_guessed_as_well_is_no_guess() {
    for (groups, short) in [(2, 0), (2, 100), (2, GROUP), (5, 0), (5, 3 * GROUP)] {
        let content = bytes(1, groups * GROUP);
        let hash = Hash::of(&content);
        let machine = Machine::new();
        drop(machine.open().import_bytes(&content).unwrap());
        let proof = outboard(&content).unwrap();
        let uuid = Uuid::from_bytes([7; 16]);
        let mut part = content.clone();
        (1..groups).for_each(|group| part[group * GROUP + 7] ^= 1);
        let mut claim = proof;
        claim[0] ^= 1;
        machine.plant(&FileName::PartialData(hash, uuid), &part);
        machine.plant(&FileName::PartialOutboard(hash, uuid), &claim);
        let data = FileName::Data(hash).to_string();
        machine
            .store()
            .change_file(data, &content[..short])
            .unwrap();
        let before = at_hand(&machine.fork().open_read_only(), hash, &content);
        assert!(before[0], "{groups} groups, {short} bytes");
        let told = format!(
            "{groups} groups, {short} bytes: {:?}",
            repair(&machine.open())
        );
        let after = at_hand(&machine.fork().open_read_only(), hash, &content);
        assert_kept(&before, &after, &told);
    }
}
