//! Verification in pieces, and repair beside imports and collections.

// A test reports by panicking, and so do its helpers; what it casts is small; one range is a list of one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::single_range_in_vec_init
)]

mod common;

use std::{collections::BTreeSet, ops::ControlFlow, thread};

use common::{
    GROUP, Machine, SimStore, assert_reads, bytes,
    care::{at_hand, provable, repair, verify},
    groups_that_read, outboard, picture, raw, read, seq, sequence, tag,
};
use flatbao_core::{
    Error, FileName, Hash, Uuid,
    progress::unwatched,
    store::{
        Checked, Depth, Finding, Mending, Outcome, Position, RepairOptions, Repairing, State,
        Status, Verified, VerifyOptions,
    },
};
use flatbao_mem::OpKind;

/// What a finding says, group by group.
fn said(findings: &[Finding]) -> BTreeSet<String> {
    let mut said = BTreeSet::new();
    for finding in findings {
        let about = (finding.kind(), finding.hash());
        for group in finding.groups().iter().cloned().flatten() {
            said.insert(format!("{about:?} {group}"));
        }
        match finding {
            Finding::CorruptData { .. }
            | Finding::CorruptOutboard { .. }
            | Finding::ExternalChanged { .. } => said.insert(format!("{about:?}")),
            other => said.insert(format!("{other:?}")),
        };
    }
    said
}

/// A store with something of everything.
fn scene() -> (Machine, Vec<(Hash, Vec<u8>)>) {
    let machine = Machine::new();
    machine.disk.keep_trace(false);
    let store = machine.open();
    let mut blobs = Vec::new();
    for n in 0..9 {
        let content = bytes(n, if n == 0 { 300 } else { 9 * GROUP + n as usize });
        if n != 5 {
            store.import_bytes(&content).unwrap();
        }
        if n >= 5 {
            let path = machine.put_external(&n.to_string(), &content);
            store.import_reference(&path).unwrap();
        }
        blobs.push((Hash::of(&content), content));
    }
    let missing = Hash::of(b"missing");
    for name in ["a", "b", "c"] {
        store.set_tag(tag(name), raw(missing)).unwrap();
    }
    let list = sequence(&[missing, blobs[0].0, Hash::of(b"missing too")]);
    let list = store.import_bytes(&list).unwrap().hash;
    store.set_tag(tag("list"), seq(list)).unwrap();
    drop(store);
    let machine = machine.kill();
    let data = |n: usize| FileName::Data(blobs[n].0);
    let board = |n: usize| FileName::Outboard(blobs[n].0);
    flip(&machine, &data(0), 7);
    flip(&machine, &data(1), 3 * GROUP);
    flip(&machine, &data(1), 8 * GROUP);
    machine.store().uproot(board(2).to_string());
    flip(&machine, &data(2), 0);
    // Groups 0 to 3 are not proved, of which 2 is wrong, and so is 6.
    flip(&machine, &board(3), 8 + 2 * 64);
    flip(&machine, &data(3), 2 * GROUP);
    flip(&machine, &data(3), 6 * GROUP);
    flip(&machine, &board(4), 8 + 8 * 64);
    machine.outside().uproot("5");
    // What is wrong in both is lost, and only that.
    let mut cut = blobs[6].1.clone();
    cut.truncate(3 * GROUP);
    machine.plant(&data(6), &cut);
    let mut outside = blobs[6].1.clone();
    outside[4 * GROUP] ^= 1;
    machine.put_external("6", &outside);
    flip(&machine, &data(7), 5 * GROUP);
    machine.plant(&FileName::Paths(blobs[8].0), b"damaged");
    let uuid = Uuid::from_bytes([1; 16]);
    machine.plant(&FileName::PartialData(Hash::of(b"half"), uuid), b"x");
    for n in 0..3 {
        machine.store().plant_file(format!("odd {n}"), b"").unwrap();
    }
    (machine, blobs)
}

fn flip(machine: &Machine, name: &FileName, byte: usize) {
    let mut file = machine.file(name).unwrap();
    file[byte] ^= 1;
    machine.plant(name, &file);
}

/// Who stops a run, and at which of the calls.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stop {
    Watch(u64),
    Each(u64),
    AlwaysWatch,
    AlwaysEach,
}

fn run(
    store: &SimStore,
    options: &VerifyOptions,
    stop: Stop,
    found: &mut Vec<Finding>,
) -> (Verified, Vec<Hash>) {
    let mut blobs = Vec::new();
    let (mut told, mut watched) = (0, 0);
    let flow = |stops| match stops {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let mut each = |checked| {
        match checked {
            Checked::Finding(finding) => found.push(finding),
            Checked::Blob { hash, .. } => blobs.push(hash),
            other => panic!("{other:?}"),
        }
        told += 1;
        flow(stop == Stop::AlwaysEach || stop == Stop::Each(told))
    };
    let mut watch = |_| {
        watched += 1;
        flow(stop == Stop::AlwaysWatch || stop == Stop::Watch(watched))
    };
    let verified = store.verify(options, &mut each, &mut watch).unwrap();
    (verified, blobs)
}

/// Goes on until the end, and returns what was found, and the blobs that were finished.
fn in_pieces(store: &SimStore, depth: Depth, stop: Stop) -> (Vec<Finding>, Vec<Hash>, usize) {
    let (mut found, mut blobs, mut runs) = (Vec::new(), Vec::new(), 0);
    let mut from: Option<Position> = None;
    loop {
        runs += 1;
        assert!(runs < 1000, "{stop:?} comes to no end");
        let options = VerifyOptions::default().depth(depth).from(from);
        let always = matches!(stop, Stop::AlwaysWatch | Stop::AlwaysEach);
        let stop = if runs == 1 || always {
            stop
        } else {
            Stop::Watch(0)
        };
        let (verified, done) = run(store, &options, stop, &mut found);
        blobs.extend(done);
        let Some(next) = verified.next else {
            return (found, blobs, runs);
        };
        assert!(from < Some(next), "{stop:?} gets no further than {next}");
        assert_eq!(next.to_string().parse(), Ok(next));
        from = Some(next);
    }
}

/// PD-15: validate unimplemented. However often it is stopped, and by whom, a verification that goes on finds
/// what one in a single run finds, and finishes every blob once.
#[test]
fn a_verification_may_be_stopped_anywhere() {
    let (machine, blobs) = scene();
    let store = machine.open_read_only();
    for depth in [Depth::Quick, Depth::Deep] {
        let (found, done, runs) = in_pieces(&store, depth, Stop::Watch(0));
        assert_eq!(runs, 1);
        assert_eq!(found, verify(&store, depth));
        let expected = said(&found);
        assert!(expected.len() > if depth == Depth::Deep { 50 } else { 20 });
        let mut stops = vec![Stop::AlwaysWatch, Stop::AlwaysEach];
        let count = if depth == Depth::Deep { 130 } else { 30 };
        stops.extend((1..count).flat_map(|n| [Stop::Watch(n), Stop::Each(n)]));
        let mut stopped = 0;
        for stop in stops {
            let (parts, done_in_parts, runs) = in_pieces(&store, depth, stop);
            assert_eq!(said(&parts), expected, "{depth:?} {stop:?}");
            assert_eq!(done_in_parts, done, "{depth:?} {stop:?}");
            stopped += usize::from(runs > 1);
            for finding in parts {
                let Finding::CorruptData {
                    hash,
                    groups,
                    elsewhere: true,
                } = finding
                else {
                    continue;
                };
                let (_, content) = blobs.iter().find(|(h, _)| *h == hash).unwrap();
                let good = provable(&machine, hash, content);
                for group in groups.into_iter().flatten() {
                    assert!(good[group as usize], "{stop:?}: {group} is lost");
                }
            }
        }
        assert!(stopped > 20);
    }
}

/// Where it cannot stop within a blob, it stops behind it.
#[test]
fn a_verification_stops_behind_a_blob_without_outboard() {
    let machine = Machine::new();
    let store = machine.open();
    for n in 0..3 {
        let hash = store.import_bytes(&bytes(n, 5 * GROUP)).unwrap().hash;
        machine.store().uproot(FileName::Outboard(hash).to_string());
    }
    let options = VerifyOptions::default().depth(Depth::Deep);
    let (verified, done) = run(&store, &options, Stop::Watch(1), &mut Vec::new());
    assert_eq!((verified.blobs, done.len()), (1, 1));
    assert!(
        verified
            .next
            .is_some_and(|next| next.hash > done[0] && next.group == 0)
    );
}

/// What is gone when a verification goes on is passed over.
#[test]
fn a_blob_may_go_between_two_runs() {
    let (machine, _) = scene();
    machine.store().uproot("tags.meta");
    let store = machine.open();
    store.confirm_no_tags().unwrap();
    let whole = said(&verify(&store, Depth::Deep));
    let (mut found, mut from, mut gone) = (Vec::new(), None, Vec::new());
    loop {
        let options = VerifyOptions::default().depth(Depth::Deep).from(from);
        let stop = if gone.len() < 3 {
            Stop::AlwaysWatch
        } else {
            Stop::Watch(0)
        };
        let (verified, _) = run(&store, &options, stop, &mut found);
        let Some(next) = verified.next else { break };
        if gone.len() < 3 {
            store.delete(next.hash, true).unwrap();
            gone.push(next.hash);
        }
        from = Some(next);
    }
    assert_eq!(gone.len(), 3);
    let found = said(&found);
    assert!(found.is_subset(&whole));
    let is_gone = |text: &&String| gone.iter().any(|hash| text.contains(&format!("{hash:?}")));
    for text in whole.difference(&found) {
        assert!(is_gone(&text), "{text} was not found");
    }
}

#[test]
fn any_position_is_a_text_and_no_panic() {
    let (machine, blobs) = scene();
    let store = machine.open_read_only();
    for hash in [Hash::EMPTY, blobs[1].0, Hash::of(b"not there")] {
        for group in [0, 9, 10, 1 << 50, u64::MAX] {
            let position = Position {
                hash,
                group,
                damaged: false,
            };
            assert!(position.to_string().starts_with(&hash.to_string()));
            let options = VerifyOptions::default()
                .depth(Depth::Deep)
                .from(Some(position));
            let mut found = Vec::new();
            let (verified, _) = run(&store, &options, Stop::Watch(0), &mut found);
            assert_eq!(verified.next, None);
            assert!(found.iter().all(|f| f.hash().is_some_and(|h| h >= hash)));
        }
    }
    let text = format!("{}:16384", "0".repeat(64));
    assert_eq!(text.parse::<Position>().unwrap().group, 1);
    for wrong in ["1", "18446744073709551616", "0x4000", "+16384 ", ""] {
        let text = format!("{}:{wrong}", "0".repeat(64));
        assert!(text.parse::<Position>().is_err(), "{wrong}");
    }
}

/// A size is told only where it is proved: a quick look at a cut blob without outboard proves none.
#[test]
fn a_size_is_proved_or_not_told() {
    let machine = Machine::new();
    let content = bytes(1, 5 * GROUP);
    let hash = machine.open().import_bytes(&content).unwrap().hash;
    let sizes = |machine: &Machine, depth| {
        let mut told = Vec::new();
        let mut each = |checked| {
            if let Checked::Blob { size, ok, .. } = checked {
                told.push((size, ok));
            }
            ControlFlow::Continue(())
        };
        let options = VerifyOptions::default().depth(depth).only(vec![raw(hash)]);
        let store = machine.open_read_only();
        store.verify(&options, &mut each, &mut unwatched).unwrap();
        told
    };
    let size = content.len() as u64;
    for depth in [Depth::Quick, Depth::Deep] {
        assert_eq!(sizes(&machine, depth), [(Some(size), true)]);
    }
    machine.store().uproot(FileName::Outboard(hash).to_string());
    assert_eq!(sizes(&machine, Depth::Quick), [(None, false)]);
    assert_eq!(sizes(&machine, Depth::Deep), [(Some(size), false)]);
    machine.plant(&FileName::Data(hash), &content[..3 * GROUP]);
    assert_eq!(sizes(&machine, Depth::Quick), [(None, false)]);
    assert_eq!(sizes(&machine, Depth::Deep), [(None, false)]);
}

#[test]
fn only_some_blobs_and_what_they_list() {
    let (machine, blobs) = scene();
    let store = machine.open();
    let list = store
        .import_bytes(&sequence(&[blobs[1].0, blobs[3].0]))
        .unwrap()
        .hash;
    for (only, expected) in [
        (vec![raw(blobs[1].0)], vec![blobs[1].0]),
        (vec![raw(list)], vec![list]),
        (
            vec![seq(list), raw(blobs[7].0)],
            vec![list, blobs[1].0, blobs[3].0, blobs[7].0],
        ),
    ] {
        let mut expected = expected;
        expected.sort();
        let options = VerifyOptions::default().only(only.clone());
        let (_, looked_at) = run(&store, &options, Stop::Watch(0), &mut Vec::new());
        assert_eq!(looked_at, expected);
        let options = RepairOptions::default().only(only).dry_run(true);
        let repaired = store.repair(&options, &mut |_| {}, &mut unwatched).unwrap();
        assert_eq!(repaired.blobs, expected.len() as u64);
    }
    let missing = VerifyOptions::default().only(vec![raw(Hash::EMPTY)]);
    let outcome = store.verify(&missing, &mut |_| ControlFlow::Continue(()), &mut unwatched);
    assert!(matches!(outcome, Err(Error::NotFound(hash)) if hash == Hash::EMPTY));
}

/// A repair that is stopped has mended some blobs, and not half of one.
#[test]
fn a_repair_may_be_stopped_anywhere() {
    let (machine, blobs) = scene();
    let whole = machine.fork();
    repair(&whole.open());
    for stop in 1..200 {
        let machine = machine.fork();
        let store = machine.open();
        let mut watched = 0;
        let mut watch = |_| {
            watched += 1;
            match watched == stop {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let outcome = store.repair(&RepairOptions::default(), &mut |_| {}, &mut watch);
        if outcome.is_ok() {
            assert!(stop > 50);
            break;
        }
        assert!(matches!(outcome, Err(Error::Cancelled)));
        repair(&store);
        for (hash, content) in &blobs {
            let (ours, theirs) = (machine.open_read_only(), whole.open_read_only());
            assert_eq!(
                at_hand(&ours, *hash, content),
                at_hand(&theirs, *hash, content),
                "stopped at {stop}"
            );
        }
        assert_eq!(picture(&store).0, picture(&whole.open_read_only()).0);
    }
}

/// Damage that a verification has seen is not collected in this opening, and repaired blobs are as any other.
#[test]
fn what_was_seen_to_be_damaged_is_kept() {
    let machine = Machine::new();
    let content = bytes(1, 5 * GROUP);
    let hash = machine.open().import_bytes(&content).unwrap().hash;
    let machine = machine.kill();
    flip(&machine, &FileName::Data(hash), 0);
    let store = machine.open();
    verify(&store, Depth::Deep);
    assert!(
        store
            .sweep(store.plan_gc().unwrap())
            .unwrap()
            .removed
            .is_empty()
    );
    repair(&store);
    let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
    assert_eq!(common::removed(&swept), [hash]);
}

/// Data that have gone bad since this very opening imported them are written anew all the same.
#[test]
fn what_this_opening_wrote_is_not_trusted_blindly() {
    let machine = Machine::new();
    let content = bytes(1, 5 * GROUP);
    let path = machine.put_external("one", &content);
    let store = machine.open();
    let hash = store.import_bytes(&content).unwrap().hash;
    store.import_reference(&path).unwrap();
    assert_reads(&store, hash, &content);
    flip(&machine, &FileName::Data(hash), 2 * GROUP);
    let groups = vec![2..3];
    assert_eq!(repair(&store).0, [Mending::RewriteData { hash, groups }]);
    assert_eq!(machine.file(&FileName::Data(hash)), Some(content));
}

/// An import of the same content in the middle of a repair's look at it is what is there afterwards.
#[test]
fn an_import_in_the_middle_of_a_repair_wins() {
    for by_reference in [false, true] {
        for at in 1..20 {
            let machine = Machine::new();
            let content = bytes(1, 5 * GROUP + 1);
            let path = machine.put_external("one", &content);
            let store = machine.open();
            let hash = store.import_bytes(&content).unwrap().hash;
            if by_reference {
                store.import_reference(&path).unwrap();
                machine.outside().uproot("one");
            }
            drop(store);
            let machine = machine.kill();
            if !by_reference {
                flip(&machine, &FileName::Data(hash), 2 * GROUP);
            }
            let store = machine.open();
            let mut watched = 0;
            let mut watch = |_| {
                watched += 1;
                if watched == at && by_reference {
                    machine.put_external("one", &content);
                    store.import_reference(&path).unwrap();
                } else if watched == at {
                    store.import_bytes(&content).unwrap();
                }
                ControlFlow::Continue(())
            };
            let mut mended = Vec::new();
            let mut each = |step| {
                if let Repairing::Mended(mending, outcome) = step {
                    mended.push((mending, outcome));
                }
            };
            store
                .repair(&RepairOptions::default(), &mut each, &mut watch)
                .unwrap();
            if watched < at {
                break;
            }
            for (mending, outcome) in &mended {
                assert!(
                    matches!(outcome, Outcome::Changed),
                    "{at}: {mending:?} {outcome:?}"
                );
            }
            let Status::Present(info) = store.status(hash) else {
                panic!("{at}: an imported blob is gone");
            };
            assert_eq!(info.state, State::Complete, "{at}");
            assert_reads(&store, hash, &content);
            let list = machine.file(&FileName::Paths(hash));
            assert_eq!(list.is_some(), by_reference, "{at}: a proved path is gone");
            let machine = machine.crash();
            assert_reads(&machine.open(), hash, &content);
            assert_eq!(machine.file(&FileName::Data(hash)), Some(content));
        }
    }
}

/// A collection in the middle of a repair does not take the blob away that is being repaired.
#[test]
fn a_collection_in_the_middle_of_a_repair_waits_its_turn() {
    let machine = Machine::new();
    let content = bytes(1, 5 * GROUP);
    let hash = machine.open().import_bytes(&content).unwrap().hash;
    let machine = machine.kill();
    flip(&machine, &FileName::Outboard(hash), 100);
    let store = machine.open();
    let mut collections = 0;
    let mut collect = |_| {
        let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
        assert_eq!(common::removed(&swept), []);
        collections += 1;
        ControlFlow::Continue(())
    };
    let mut mended = Vec::new();
    let mut each = |step| {
        if let Repairing::Mended(mending, Outcome::Done) = step {
            mended.push(mending);
        }
    };
    store
        .repair(&RepairOptions::default(), &mut each, &mut collect)
        .unwrap();
    assert_eq!(mended, [Mending::RebuildOutboard { hash }]);
    assert!(collections > 0);
    assert_reads(&store, hash, &content);
    let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
    assert_eq!(common::removed(&swept), [hash]);
}

/// A callback may use the store, import included.
#[test]
fn a_callback_may_import() {
    let (machine, blobs) = scene();
    let store = machine.open();
    let mut each = |_| {
        for (_, content) in &blobs {
            store.import_bytes(content).unwrap();
        }
    };
    store
        .repair(&RepairOptions::default(), &mut each, &mut unwatched)
        .unwrap();
    for (hash, content) in &blobs {
        assert_reads(&store, *hash, content);
    }
}

/// Imports, repairs and collections at once: what was imported and tagged is there, whole, with its outboard.
#[test]
#[cfg_attr(target_os = "wasi", ignore = "there are no threads")]
fn repair_beside_import_and_collection() {
    const ROUNDS: usize = 300;
    let machine = Machine::new();
    machine.disk.keep_trace(false);
    let content = bytes(1, 3 * GROUP + 1);
    let other = bytes(2, 2 * GROUP);
    let store = machine.open();
    let hash = store.import_bytes(&content).unwrap().hash;
    store.set_tag(tag("it"), raw(hash)).unwrap();
    for round in 0..ROUNDS {
        flip(&machine, &FileName::Data(hash), round % content.len());
        thread::scope(|scope| {
            scope.spawn(|| {
                store.import_bytes(&other).unwrap();
                drop(store.import_bytes(&content).unwrap());
            });
            scope.spawn(|| {
                let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
                assert!(!common::removed(&swept).contains(&hash));
            });
            let mut each = |step| {
                if let Repairing::Mended(mending, Outcome::Failed(error)) = step {
                    panic!("{mending:?}: {error:?}");
                }
            };
            store
                .repair(&RepairOptions::default(), &mut each, &mut unwatched)
                .unwrap();
        });
        if machine.file(&FileName::Data(hash)).is_some() {
            let board = machine.file(&FileName::Outboard(hash));
            assert_eq!(board, outboard(&content), "round {round}");
        }
        assert_eq!(picture(&store), picture(&machine.open_read_only()));
        // Rot may have come after the import had looked, or before.
        store.import_bytes(&content).unwrap();
        assert_eq!(
            read(&store, hash).ok(),
            Some(content.clone()),
            "round {round}"
        );
    }
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
    assert!(
        matches!(&mended[..], [Mending::Demote { missing, .. }] if missing.iter().cloned().flatten().eq([3]))
    );
    assert!(
        matches!(&left[..], [Finding::ExternalChanged { groups, .. }] if groups.iter().cloned().flatten().eq(2..4))
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

/// PD-34: a cheap consistency check apart from deep validation: a quick look reads a group of each blob, however large
/// they are, and a deep one all of them.
#[test]
fn a_quick_look_is_cheap() {
    let machine = Machine::new();
    let store = machine.open();
    let mut size = 0;
    for n in 0..3 {
        let content = bytes(n, 100 * GROUP + n as usize);
        store.import_bytes(&content).unwrap();
        size += content.len() as u64;
    }
    let read = |depth| {
        let before = machine.disk.trace().len();
        assert_eq!(verify(&store, depth), []);
        let trace = machine.disk.trace().split_off(before);
        let reads = trace.iter().filter(|op| op.kind == OpKind::Read);
        reads.map(|op| op.result.unwrap()).sum::<u64>()
    };
    assert!(read(Depth::Quick) < 3 * 2 * GROUP as u64);
    assert!(read(Depth::Deep) >= size);
}
