//! Every kind of damage to every kind of file: what verification calls it, what repair does about it, what
//! can be read before and after, what a collection and an import make of it.
//!
//! What is expected is written down here. What can be read is found out naively, by `common::care::provable`.

// A search in simulated memory, in which no platform takes part: under WASI it would only take longer.
#![cfg(not(target_os = "wasi"))]
// A test reports by panicking, and so do its helpers; what it casts is small; one range is a list of one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::single_range_in_vec_init
)]

mod common;

use std::ops::Range;

use common::{
    GROUP, Machine, SimStore, assert_reads, bytes,
    care::{
        at_hand, dry_run, groups_of, missing, outside_files, paths_file, provable, repair,
        sealed_paths, try_repair, verify,
    },
    external, fresh_env, groups_that_read, outboard, picture, raw, read, tag,
};
use flatbao_core::{
    EntryKind, ExternalPath, FileName, Hash, PathError, PathsError, Store, Uuid,
    progress::unwatched,
    store::{
        Depth, ExportMode, ExportOptions, Finding, Mending, Outcome, RepairOptions, Severity,
        State, Status,
    },
};
use flatbao_mem::{Fault, OpKind};

/// Ten groups, the last one short.
const TEN: usize = 9 * GROUP + 100;
const ALL: [Range<u64>; 1] = [0..10];

/// A machine with one tagged blob.
struct Place {
    machine: Machine,
    hash: Hash,
    content: Vec<u8>,
    paths: Vec<ExternalPath>,
}

/// What a place comes to.
#[derive(Default, Clone)]
struct Expected {
    quick: Vec<Finding>,
    deep: Vec<Finding>,
    mended: Vec<Mending>,
    left: Vec<Finding>,
    /// What is found once it was repaired.
    after: Vec<Finding>,
    /// Groups that nothing proves any more, before and after.
    lost: Vec<Range<u64>>,
    /// Groups that cannot be read before the repair, where these are more.
    unread: Option<Vec<Range<u64>>>,
    /// What is found once the content was imported again.
    imported: Vec<Finding>,
}

impl Place {
    fn new(size: usize, owned: bool, externals: usize) -> Self {
        let machine = Machine::new();
        machine.disk.keep_trace(false);
        let content = bytes(size as u64, size);
        let store = machine.open();
        let hash = Hash::of(&content);
        if owned {
            store.import_bytes(&content).unwrap();
        }
        let names = ["one", "two", "three"].iter().take(externals);
        let paths: Vec<_> = names
            .map(|name| machine.put_external(name, &content))
            .collect();
        for path in &paths {
            assert_eq!(store.import_reference(path).unwrap().hash, hash);
        }
        store.set_tag(tag("it"), raw(hash)).unwrap();
        store.import_bytes(b"another blob").unwrap();
        drop(store);
        Self {
            machine: machine.kill(),
            hash,
            content,
            paths,
        }
    }

    fn owned(size: usize) -> Self {
        Self::new(size, true, 0)
    }

    fn data(&self) -> FileName {
        FileName::Data(self.hash)
    }

    fn board(&self) -> FileName {
        FileName::Outboard(self.hash)
    }

    fn list(&self) -> FileName {
        FileName::Paths(self.hash)
    }

    fn change(&self, name: &FileName, change: impl FnOnce(&mut Vec<u8>)) {
        let mut file = self.machine.file(name).unwrap();
        change(&mut file);
        self.machine.plant(name, &file);
    }

    fn remove(&self, name: &FileName) {
        self.machine.store().uproot(name.to_string());
    }

    fn change_outside(&self, at: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let mut file = self.content.clone();
        change(&mut file);
        let name = self.paths[at].as_str().rsplit_once('/').unwrap().1;
        self.machine.put_external(name, &file);
    }

    fn path(&self, at: usize) -> String {
        self.paths[at].to_string()
    }

    fn corrupt(&self, groups: impl Into<Vec<Range<u64>>>, elsewhere: bool) -> Finding {
        Finding::CorruptData {
            hash: self.hash,
            groups: groups.into(),
            elsewhere,
        }
    }

    fn corrupt_outboard(&self, groups: impl Into<Vec<Range<u64>>>) -> Finding {
        let (hash, groups) = (self.hash, groups.into());
        Finding::CorruptOutboard { hash, groups }
    }

    fn changed(&self, at: usize, groups: impl Into<Vec<Range<u64>>>) -> Finding {
        let (hash, path, groups) = (self.hash, self.path(at), groups.into());
        Finding::ExternalChanged { hash, path, groups }
    }

    fn gone(&self, at: usize) -> Finding {
        Finding::ExternalMissing {
            hash: self.hash,
            path: self.path(at),
            why: String::new(),
        }
    }

    fn demote(&self, missing: impl Into<Vec<Range<u64>>>, of: u64) -> Mending {
        let (hash, missing) = (self.hash, missing.into());
        Mending::Demote { hash, missing, of }
    }

    fn rewrite(&self, groups: impl Into<Vec<Range<u64>>>) -> Mending {
        let (hash, groups) = (self.hash, groups.into());
        Mending::RewriteData { hash, groups }
    }

    fn drop_paths(&self, paths: &[&str]) -> Mending {
        let (hash, paths) = (self.hash, paths.iter().map(ToString::to_string).collect());
        Mending::DropPaths { hash, paths }
    }

    /// The findings about the blob, without what the system says.
    fn about(&self, found: Vec<Finding>) -> Vec<Finding> {
        let mine = |f: &Finding| f.hash() == Some(self.hash);
        let found = found.into_iter().filter(mine);
        found
            .filter(|f| !matches!(f, Finding::DanglingTag { .. }))
            .map(|mut finding| {
                if let Finding::ExternalMissing { why, .. }
                | Finding::ExternalUnreachable { why, .. }
                | Finding::Unreadable { why, .. } = &mut finding
                {
                    assert!(!why.is_empty());
                    why.clear();
                }
                finding
            })
            .collect()
    }

    /// Looks, repairs, looks again, repairs again, collects, imports: each step against what is expected.
    #[track_caller]
    fn comes_to(&self, told: &str, expected: &Expected) {
        let Self { hash, content, .. } = self;
        let before = provable(&self.machine, *hash, content);
        assert_eq!(missing(&before), expected.lost, "{told}: the naive look");
        let outside = outside_files(&self.machine);
        for read_only in [true, false] {
            let machine = self.machine.fork();
            let store = match read_only {
                true => machine.open_read_only(),
                false => machine.open(),
            };
            let (files, entries) = (machine.files(), machine.store().entries());
            let quick = self.about(verify(&store, Depth::Quick));
            assert_eq!(quick, expected.quick, "{told}: a quick look");
            let deep = self.about(verify(&store, Depth::Deep));
            assert_eq!(deep, expected.deep, "{told}: a deep look");
            let (planned, left) = dry_run(&store);
            assert_eq!(planned, expected.mended, "{told}: the plan");
            assert_eq!(self.about(left), expected.left, "{told}: what is left out");
            assert_eq!(machine.files(), files, "{told}: looking has changed a file");
            assert_eq!(machine.store().entries(), entries);
            let good = groups_that_read(&store, *hash, content);
            let unread = expected.unread.as_ref().unwrap_or(&expected.lost);
            assert_eq!(&missing(&good), unread, "{told}: what reads");
        }

        let unread = expected.unread.as_ref().unwrap_or(&expected.lost);
        self.exports(told, unread.is_empty());

        let machine = self.machine.fork();
        let store = machine.open();
        let (mended, left) = repair(&store);
        assert_eq!(mended, expected.mended, "{told}: what was mended");
        assert_eq!(self.about(left), expected.left, "{told}: what was left");
        self.is_settled(told, &machine, &store, expected);
        assert_eq!(
            outside_files(&machine),
            outside,
            "{told}: an external file was touched"
        );
        let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
        assert!(swept.removed.iter().all(|item| item.hash != *hash));
        drop(store);
        let machine = machine.crash();
        let store = machine.open();
        self.is_settled(&format!("{told}, reopened"), &machine, &store, expected);
        drop(store);

        // Untagged it goes, whatever it is.
        let untagged = machine.fork();
        let store = untagged.open();
        store.remove_tag(&tag("it")).unwrap();
        store.sweep(store.plan_gc().unwrap()).unwrap();
        let names = untagged.files();
        let left = names.keys().filter_map(|name| FileName::parse(name));
        let left: Vec<_> = left.filter(|name| name.hash() == Some(*hash)).collect();
        assert_eq!(left, [], "{told}: collected");
        assert_eq!(outside_files(&untagged), outside);

        // And comes back by an import.
        let store = machine.open();
        store.import_bytes(content).unwrap();
        assert_reads(&store, *hash, content);
        assert_eq!(
            machine.file(&self.data()).as_ref(),
            Some(content),
            "{told}: imported"
        );
        assert_eq!(
            machine.file(&self.board()),
            outboard(content),
            "{told}: imported"
        );
        let found = self.about(verify(&store, Depth::Deep));
        assert_eq!(found, expected.imported, "{told}: imported");
        repair(&store);
        assert_reads(&machine.kill().open_read_only(), *hash, content);
        assert_eq!(outside_files(&machine), outside);
    }

    /// A file comes out when all of the blob reads, and nothing at all otherwise; what was good stays.
    #[track_caller]
    fn exports(&self, told: &str, is_whole: bool) {
        let Self { hash, content, .. } = self;
        let before = missing(&provable(&self.machine, *hash, content));
        for mode in [ExportMode::Copy, ExportMode::Reference] {
            let machine = self.machine.fork();
            let mut outside = outside_files(&machine);
            let store = machine.open();
            let options = ExportOptions::default().mode(mode);
            let exported = store.export_with(*hash, &external("out"), options, &mut unwatched);
            assert_eq!(exported.is_ok(), is_whole, "{told}: {mode:?} {exported:?}");
            if is_whole {
                outside.insert("out".into(), Some(content.clone()));
                assert_reads(&store, *hash, content);
            }
            assert_eq!(outside_files(&machine), outside, "{told}: {mode:?}");
            drop(store);
            let machine = machine.crash();
            let after = missing(&provable(&machine, *hash, content));
            assert_eq!(after, if is_whole { vec![] } else { before.clone() });
        }
    }

    /// Everything that was good is, nothing more is to be done, and memory and disk agree.
    #[track_caller]
    fn is_settled(&self, told: &str, machine: &Machine, store: &SimStore, expected: &Expected) {
        let Self { hash, content, .. } = self;
        let good = at_hand(&machine.fork().open_read_only(), *hash, content);
        assert_eq!(missing(&good), expected.lost, "{told}: what is left of it");
        assert_eq!(missing(&provable(machine, *hash, content)), expected.lost);
        let fresh = machine.fork().open_read_only();
        assert_eq!(
            picture(store),
            picture(&fresh),
            "{told}: memory and disk differ"
        );
        let found = verify(store, Depth::Deep);
        let is_complete =
            matches!(store.status(*hash), Status::Present(info) if info.state == State::Complete);
        let dangles = |f: &Finding| matches!(f, Finding::DanglingTag { .. });
        assert_eq!(found.iter().any(dangles), !is_complete, "{told}");
        assert_eq!(
            self.about(found),
            expected.after,
            "{told}: a look after the repair"
        );
        let files = machine.files();
        let (mended, left) = repair(store);
        assert_eq!(mended, [], "{told}: a second repair");
        assert_eq!(self.about(left), expected.after, "{told}: a second repair");
        assert_eq!(machine.files(), files, "{told}: a second repair");
    }
}

/// One wrong bit in a group.
fn flip(group: usize) -> impl FnOnce(&mut Vec<u8>) {
    move |file| {
        let at = (group * GROUP + 50).min(file.len() - 1);
        file[at] ^= 0x10;
    }
}

#[test]
fn a_whole_blob_is_found_whole() {
    for size in [0, 1, GROUP, GROUP + 1, TEN, 257 * GROUP] {
        for (owned, externals) in [(true, 0), (false, 1), (true, 1), (false, 3)] {
            let told = format!("{size} {owned} {externals}");
            Place::new(size, owned, externals).comes_to(&told, &Expected::default());
        }
    }
}

/// PD-33: repair. A flipped bit costs its group. A quick look sees it in the last one.
/// BI-029.
#[test]
fn one_flipped_bit_of_owned_data() {
    for (size, group, of) in [
        (1, 0, 1),
        (GROUP, 0, 1),
        (GROUP + 1, 0, 2),
        (GROUP + 1, 1, 2),
        (TEN, 0, 10),
        (TEN, 3, 10),
        (TEN, 9, 10),
        (257 * GROUP, 200, 257),
        (257 * GROUP, 256, 257),
    ] {
        let place = Place::owned(size);
        place.change(&place.data(), flip(group));
        let wrong = [group as u64..group as u64 + 1];
        let found = vec![place.corrupt(wrong.clone(), false)];
        let expected = Expected {
            quick: if wrong[0].end == of {
                found.clone()
            } else {
                vec![]
            },
            deep: found,
            mended: vec![place.demote(wrong.clone(), of)],
            lost: wrong.to_vec(),
            ..Expected::default()
        };
        place.comes_to(&format!("{size} bytes, group {group}"), &expected);
    }
}

/// PD-34: cheap consistency check apart from deep validation. What is short is seen by a
/// quick look as well.
/// BI-025, BI-027.
#[test]
fn owned_data_that_were_cut() {
    for (size, len, wrong, of) in [
        (1, 0, 0..1, 1),
        (GROUP, GROUP - 1, 0..1, 1),
        (GROUP, 0, 0..1, 1),
        (GROUP + 1, GROUP, 1..2, 2),
        (GROUP + 1, 0, 0..2, 2),
        (TEN, TEN - 1, 9..10, 10),
        (TEN, TEN / 2, 4..10, 10),
        (TEN, 4 * GROUP, 4..10, 10),
        (TEN, 0, 0..10, 10),
    ] {
        let place = Place::owned(size);
        place.change(&place.data(), |file| file.truncate(len));
        let found = vec![place.corrupt([wrong.clone()], false)];
        let expected = Expected {
            quick: found.clone(),
            deep: found,
            mended: vec![place.demote([wrong.clone()], of)],
            lost: vec![wrong],
            ..Expected::default()
        };
        place.comes_to(&format!("{size} bytes cut to {len}"), &expected);
    }
}

/// Bytes behind the end are cut off. Where there is no outboard, nothing tells where that is.
/// BI-026.
#[test]
fn owned_data_that_were_extended() {
    for (size, more) in [
        (GROUP + 1, 1),
        (TEN, 1),
        (TEN, 20 * 1024),
        (TEN, GROUP - 100),
    ] {
        let place = Place::owned(size);
        place.change(&place.data(), |file| file.resize(size + more, 7));
        let found = Finding::TrailingData {
            hash: place.hash,
            size: size as u64,
            found: (size + more) as u64,
        };
        let expected = Expected {
            quick: vec![found.clone()],
            deep: vec![found],
            mended: vec![place.rewrite([])],
            ..Expected::default()
        };
        place.comes_to(&format!("{size} bytes and {more}"), &expected);
    }
    for (size, more) in [(0, 1), (1, 1), (100, 1000)] {
        let place = Place::owned(size);
        place.change(&place.data(), |file| file.resize(size + more, 7));
        let found = vec![place.corrupt([0..1], false)];
        let expected = Expected {
            quick: found.clone(),
            deep: found,
            mended: vec![place.demote([0..1], 1)],
            lost: vec![0..1],
            ..Expected::default()
        };
        place.comes_to(&format!("{size} bytes and {more}"), &expected);
    }
    for (size, more) in [(0, 20 * 1024), (GROUP, 1)] {
        let place = Place::owned(size);
        place.change(&place.data(), |file| file.resize(size + more, 7));
        let missing = Finding::MissingOutboard { hash: place.hash };
        let expected = Expected {
            quick: vec![missing.clone()],
            deep: vec![missing, place.corrupt([0..2], false)],
            mended: vec![place.demote([0..2], 2)],
            lost: vec![0..1],
            ..Expected::default()
        };
        place.comes_to(&format!("{size} bytes and {more}"), &expected);
    }
}

/// Zeros, and the bytes of another blob.
/// BI-028, BI-035.
#[test]
fn owned_data_of_other_bytes() {
    for (size, of) in [(1, 1), (GROUP, 1), (GROUP + 1, 2), (TEN, 10)] {
        for other in [vec![0; size], bytes(77, size)] {
            let place = Place::owned(size);
            place.machine.plant(&place.data(), &other);
            let found = vec![place.corrupt([0..of], false)];
            let expected = Expected {
                quick: vec![place.corrupt([of - 1..of], false)],
                deep: found,
                mended: vec![place.demote([0..of], of)],
                lost: vec![0..of],
                ..Expected::default()
            };
            place.comes_to(&format!("{size} other bytes"), &expected);
        }
    }
}

/// Without data an outboard is of no use, and goes with the next collection once nothing holds the blob.
#[test]
fn owned_data_that_were_removed() {
    for size in [0, GROUP, TEN] {
        let place = Place::owned(size);
        place.remove(&place.data());
        let found: Vec<_> = (size > GROUP)
            .then_some(Finding::OrphanOutboard { hash: place.hash })
            .into_iter()
            .collect();
        let expected = Expected {
            quick: found.clone(),
            deep: found.clone(),
            left: found.clone(),
            after: found,
            lost: vec![0..size.div_ceil(GROUP).max(1) as u64],
            ..Expected::default()
        };
        place.comes_to(&format!("{size} bytes removed"), &expected);
    }
}

/// Data that another program removes while the store is open.
#[test]
fn owned_data_that_are_removed_meanwhile() {
    for externals in [0, 1] {
        let place = Place::new(TEN, true, externals);
        let store = place.machine.open();
        place.remove(&place.data());
        let found = Finding::MissingData { hash: place.hash };
        for depth in [Depth::Quick, Depth::Deep] {
            assert_eq!(
                place.about(verify(&store, depth)),
                std::slice::from_ref(&found)
            );
        }
        let (mended, left) = repair(&store);
        assert_eq!(mended, []);
        assert_eq!(place.about(left), [found]);
        // An opening that only reads looks again.
        assert_eq!(read(&store, place.hash).is_ok(), externals == 1);
        store.import_bytes(&place.content).unwrap();
        assert_eq!(place.about(verify(&store, Depth::Deep)), []);
    }
}

/// What is no file is left alone, whichever name it bears.
/// BI-015, BI-016, BI-017, BI-018, BI-019, BI-020.
#[test]
fn what_is_no_file_is_left_alone() {
    for kind in [EntryKind::Link, EntryKind::Directory, EntryKind::Other] {
        for name in [
            Place::data as fn(&Place) -> FileName,
            Place::board,
            Place::list,
        ] {
            let place = Place::new(TEN, true, 1);
            let name = name(&place);
            let dir = place.machine.store();
            dir.uproot(name.to_string());
            match kind {
                EntryKind::Link => dir.plant_link(name.to_string(), "elsewhere").unwrap(),
                EntryKind::Directory => drop(dir.plant_dir(name.to_string()).unwrap()),
                _ => dir.plant_other(name.to_string()).unwrap(),
            }
            let told = format!("{kind:?} {name}");
            let entries = dir.entries();
            let store = place.machine.open();
            let odd = Finding::NotAFile {
                name: name.to_string(),
                kind,
            };
            let found = verify(&store, Depth::Deep);
            assert!(found.contains(&odd), "{told}: {found:?}");
            let unreadable = Finding::Unreadable {
                hash: place.hash,
                file: name.clone(),
                why: String::new(),
            };
            let about = match name {
                FileName::Outboard(_) => vec![unreadable],
                _ => vec![],
            };
            assert_eq!(place.about(found), about, "{told}");
            let (mended, left) = repair(&store);
            assert_eq!(mended, [], "{told}");
            assert_eq!(place.about(left), about, "{told}");
            assert_eq!(dir.entries(), entries, "{told}");
            assert_reads(&store, place.hash, &place.content);
        }
    }
}

/// Whatever an outboard is like, it is made again from data that are whole.
/// BI-030, BI-031, BI-032, BI-033, BI-034.
#[test]
fn an_outboard_that_is_damaged() {
    // In pre-order: the prefix; all; 0..8; 0..4; 0, 1; 2, 3; 4..8; 4, 5; 6, 7; 8, 9.
    const LEN: usize = 8 + 64 * 9;
    type Damage = fn(&mut Vec<u8>);
    let table: [(&str, Damage, &[Range<u64>]); 16] = [
        ("prefix", |file| file[0] ^= 1, &[]),
        ("top of the prefix", |file| file[7] ^= 0x80, &[]),
        ("root", |file| file[8] ^= 1, &[0..10]),
        ("right of root", |file| file[71] ^= 1, &[0..10]),
        ("near the root", |file| file[72] ^= 1, &[0..8]),
        ("near the leaves", |file| file[8 + 4 * 64] ^= 1, &[2..4]),
        (
            "two",
            |file| {
                file[8 + 3 * 64] ^= 1;
                file[8 + 8 * 64 + 40] ^= 1;
            },
            &[0..2, 8..10],
        ),
        ("last", |file| file[LEN - 1] ^= 1, &[8..10]),
        ("cut by one", |file| file.truncate(LEN - 1), &[8..10]),
        ("cut to half", |file| file.truncate(LEN / 2), &[2..10]),
        ("cut in the prefix", |file| file.truncate(5), &[0..10]),
        ("empty", Vec::clear, &[0..10]),
        ("extended by one", |file| file.push(0), &[]),
        ("extended", |file| file.resize(LEN + 20 * 1024, 3), &[]),
        ("zeros", |file| file.fill(0), &[0..10]),
        (
            "of another",
            |file| *file = outboard(&bytes(9, 3 * GROUP)).unwrap(),
            &[0..10],
        ),
    ];
    for (told, damage, groups) in table {
        for (owned, externals) in [(true, 0), (false, 1), (true, 1)] {
            let place = Place::new(TEN, owned, externals);
            place.change(&place.board(), damage);
            let found = vec![place.corrupt_outboard(groups)];
            let expected = Expected {
                quick: found.clone(),
                deep: found,
                mended: vec![Mending::RebuildOutboard { hash: place.hash }],
                ..Expected::default()
            };
            place.comes_to(&format!("{told}, {owned} {externals}"), &expected);
        }
    }
}

/// BI-030, BI-036.
#[test]
fn an_outboard_that_is_missing() {
    for (owned, externals) in [(true, 0), (false, 1), (true, 2)] {
        for size in [GROUP + 1, TEN] {
            let place = Place::new(size, owned, externals);
            place.remove(&place.board());
            let found = vec![Finding::MissingOutboard { hash: place.hash }];
            let expected = Expected {
                quick: found.clone(),
                deep: found,
                mended: vec![Mending::RebuildOutboard { hash: place.hash }],
                ..Expected::default()
            };
            place.comes_to(&format!("{size} bytes"), &expected);
        }
    }
}

/// An outboard that no reader needs is a note, and does not matter.
/// BI-036.
#[test]
fn an_outboard_that_is_not_needed() {
    for size in [0, 1, GROUP] {
        let other = outboard(&bytes(9, 3 * GROUP)).unwrap();
        for file in [vec![], vec![0; 8], vec![0xff; 8], vec![0; 600], other] {
            let place = Place::owned(size);
            place.machine.plant(&place.board(), &file);
            let store = place.machine.open();
            let found = [Finding::NeedlessOutboard { hash: place.hash }];
            for depth in [Depth::Quick, Depth::Deep] {
                assert_eq!(verify(&store, depth), found, "{size}");
            }
            assert_eq!(found[0].severity(), Severity::Note);
            assert_eq!(repair(&store), (vec![], vec![]));
            assert_reads(&store, place.hash, &place.content);
        }
    }
}

/// What can be proved at the moment of repair is kept; what stands below a wrong pair cannot be told from
/// damage.
#[test]
fn data_and_outboard_damaged_together() {
    let board = |at: usize| move |file: &mut Vec<u8>| file[at] ^= 1;
    type Case = (
        usize,
        usize,
        &'static [Range<u64>],
        &'static [Range<u64>],
        &'static [Range<u64>],
    );
    // The byte of the outboard, the group of the data, what the outboard does not prove, what is lost, and
    // what a quick look finds in the data.
    let table: [Case; 6] = [
        (8 + 4 * 64, 3, &[2..4], &[2..4], &[]),
        (8 + 4 * 64, 5, &[2..4], &[2..4, 5..6], &[]),
        (8 + 4 * 64, 9, &[2..4], &[2..4, 9..10], &[9..10]),
        (72, 1, &[0..8], &[0..8], &[]),
        (8, 5, &[0..10], &[0..10], &[]),
        (0, 5, &[], &[5..6], &[]),
    ];
    for (at, group, unproved, lost, quick) in table {
        let place = Place::owned(TEN);
        place.change(&place.board(), board(at));
        place.change(&place.data(), flip(group));
        let outboard = place.corrupt_outboard(unproved);
        let mut expected = Expected {
            quick: vec![outboard.clone()],
            deep: vec![outboard, place.corrupt(lost, false)],
            mended: vec![place.demote(lost, 10)],
            lost: lost.to_vec(),
            // What is proved reads, however damaged the rest of its page is: just what is not lost.
            ..Expected::default()
        };
        if !quick.is_empty() {
            expected.quick.push(place.corrupt(quick, false));
        }
        place.comes_to(&format!("byte {at}, group {group}"), &expected);
    }
    let place = Place::owned(TEN);
    place.remove(&place.board());
    place.change(&place.data(), flip(4));
    let missing = Finding::MissingOutboard { hash: place.hash };
    let expected = Expected {
        quick: vec![missing.clone()],
        deep: vec![missing, place.corrupt(ALL, false)],
        mended: vec![place.demote(ALL, 10)],
        lost: ALL.to_vec(),
        ..Expected::default()
    };
    place.comes_to("no outboard", &expected);
}

/// An external file that is all there is stays as it is, and so does its path: it may
/// come back.
/// BI-054, BI-055, BI-056.
#[test]
fn an_external_file_that_has_changed() {
    type Damage = fn(&mut Vec<u8>);
    let last = 9..10;
    let table: [(&str, Damage, Vec<Range<u64>>, bool); 7] = [
        ("bytes", |file| file[3 * GROUP] ^= 1, vec![3..4], false),
        (
            "the last byte",
            |file| file[TEN - 1] ^= 1,
            vec![last.clone()],
            true,
        ),
        (
            "shrunk by one",
            |file| file.truncate(TEN - 1),
            vec![last],
            true,
        ),
        (
            "shrunk to half",
            |file| file.truncate(TEN / 2),
            vec![4..10],
            true,
        ),
        ("emptied", Vec::clear, vec![0..10], true),
        ("grown by one", |file| file.push(0), vec![], true),
        (
            "grown",
            |file| file.resize(TEN + 20 * 1024, 1),
            vec![],
            true,
        ),
    ];
    for (told, damage, wrong, is_quick) in table {
        let place = Place::new(TEN, false, 1);
        place.change_outside(0, damage);
        let found = vec![place.changed(0, wrong.clone())];
        let expected = Expected {
            quick: if is_quick { found.clone() } else { vec![] },
            deep: found.clone(),
            left: found.clone(),
            after: found.clone(),
            lost: wrong.clone(),
            imported: found.clone(),
            ..Expected::default()
        };
        place.comes_to(told, &expected);

        // Where another home is whole the path goes, and the file stays.
        for (owned, externals, list) in [(true, 1, vec![]), (false, 2, vec![1])] {
            let place = Place::new(TEN, owned, externals);
            place.change_outside(0, damage);
            let expected = Expected {
                mended: vec![place.drop_paths(&[&place.path(0)])],
                left: vec![],
                after: vec![],
                lost: vec![],
                imported: vec![],
                quick: expected.quick.clone(),
                deep: found.clone(),
                unread: None,
            };
            place.comes_to(&format!("{told}, {owned} {externals}"), &expected);
            repair(&place.machine.open());
            let left: Vec<_> = list.iter().map(|at| &place.paths[*at]).collect();
            let left = (!left.is_empty()).then(|| paths_file(&left));
            assert_eq!(place.machine.file(&place.list()), left, "{told}");
        }
    }
    for size in [0, 1, GROUP] {
        let place = Place::new(size, false, 1);
        place.change_outside(0, |file| file.push(9));
        let store = place.machine.open();
        let found = verify(&store, Depth::Quick);
        let groups = if size == GROUP { 0..2 } else { 0..1 };
        match size {
            GROUP => assert_eq!(found, [Finding::MissingOutboard { hash: place.hash }]),
            _ => assert_eq!(found, [place.changed(0, [groups.clone()])]),
        }
        let found = verify(&store, Depth::Deep);
        assert_eq!(found.last(), Some(&place.changed(0, [groups])));
        assert_eq!(repair(&store), (vec![], found));
    }
}

/// BI-053, BI-057, BI-059.
#[test]
fn an_external_file_that_is_not_there() {
    type Damage = fn(&Place);
    let remove: Damage = |place| place.machine.outside().uproot("one");
    let replace: Damage = |place| {
        remove_and(place, |place| {
            drop(place.machine.outside().plant_dir("one").unwrap());
        });
    };
    let link: Damage = |place| {
        remove_and(place, |place| {
            place.machine.outside().plant_link("one", "two").unwrap();
        });
    };
    let fifo: Damage = |place| {
        remove_and(place, |place| {
            place.machine.outside().plant_other("one").unwrap();
        });
    };
    for (told, damage) in [
        ("gone", remove),
        ("directory", replace),
        ("link", link),
        ("fifo", fifo),
    ] {
        let place = Place::new(TEN, false, 1);
        damage(&place);
        let found = vec![place.gone(0)];
        let expected = Expected {
            quick: found.clone(),
            deep: found.clone(),
            left: found.clone(),
            after: found.clone(),
            lost: ALL.to_vec(),
            imported: found,
            ..Expected::default()
        };
        place.comes_to(told, &expected);
        for (owned, externals) in [(true, 1), (false, 3)] {
            let place = Place::new(TEN, owned, externals);
            damage(&place);
            let expected = Expected {
                quick: vec![place.gone(0)],
                deep: vec![place.gone(0)],
                mended: vec![place.drop_paths(&[&place.path(0)])],
                ..Expected::default()
            };
            place.comes_to(&format!("{told}, {owned} {externals}"), &expected);
        }
    }
}

fn remove_and(place: &Place, then: impl FnOnce(&Place)) {
    place.machine.outside().uproot("one");
    then(place);
}

/// A path that is never followed goes where another home is whole, and is told otherwise.
/// BI-050.
#[test]
fn a_path_that_is_refused() {
    for (odd, why) in [
        ("relative/file", PathError::Relative),
        ("/proc/self/mem", PathError::Device),
        ("/a/../b", PathError::Component),
    ] {
        for owned in [true, false] {
            let place = Place::new(TEN, owned, 1);
            place.machine.plant(&place.list(), &sealed_paths(&[odd]));
            let found = vec![Finding::RefusedPath {
                hash: place.hash,
                path: odd.into(),
                why: why.clone(),
            }];
            let mut expected = Expected {
                quick: found.clone(),
                deep: found.clone(),
                ..Expected::default()
            };
            if owned {
                expected.mended = vec![place.drop_paths(&[odd])];
            } else {
                (expected.left, expected.after) = (found.clone(), found.clone());
                expected.imported = found;
                expected.lost = ALL.to_vec();
            }
            place.comes_to(&format!("{odd} {owned}"), &expected);
        }
    }
    // Into the store itself.
    let place = Place::new(TEN, true, 1);
    let store = place.machine.store();
    let mut backend = place.machine.backend();
    backend.grant_external("/inside", store).unwrap();
    let path = format!("/inside/{}", place.data());
    place.machine.plant(&place.list(), &sealed_paths(&[&path]));
    let (store, _) = Store::open(backend, fresh_env()).unwrap();
    let found = place.about(verify(&store, Depth::Deep));
    assert!(
        matches!(&found[..], [Finding::ExternalMissing { path: p, .. }] if *p == path),
        "{found:?}"
    );
    assert_eq!(repair(&store).0, [place.drop_paths(&[&path])]);
    assert_reads(&store, place.hash, &place.content);
}

/// A list that cannot be read goes where another home is whole.
/// BI-044, BI-045, BI-046, BI-047, BI-048, BI-049, BI-051.
#[test]
fn a_list_of_paths_that_is_damaged() {
    let good = sealed_paths(&["/external/one"]);
    let mut flipped = good.clone();
    flipped[4] ^= 1;
    for (file, why) in [
        (sealed_paths(&[]), PathsError::Empty),
        (vec![], PathsError::Damaged),
        (vec![0xff; 10], PathsError::Damaged),
        (good[..good.len() - 1].to_vec(), PathsError::Damaged),
        ([&good[..], b"x"].concat(), PathsError::Damaged),
        (flipped, PathsError::Damaged),
        (vec![0; 4096], PathsError::Damaged),
    ] {
        for owned in [true, false] {
            let place = Place::new(TEN, owned, 1);
            place.machine.plant(&place.list(), &file);
            let found = vec![Finding::CorruptPaths {
                hash: place.hash,
                why: why.clone(),
            }];
            let mut expected = Expected {
                quick: found.clone(),
                deep: found.clone(),
                ..Expected::default()
            };
            if owned {
                expected.mended = vec![place.drop_paths(&[])];
            } else {
                (expected.left, expected.after) = (found.clone(), found.clone());
                expected.imported = found;
                expected.lost = ALL.to_vec();
            }
            place.comes_to(&format!("{why:?} {} {owned}", file.len()), &expected);
        }
    }
}

/// A path that nobody has granted may be as good as ever.
#[test]
fn a_path_that_is_not_granted_stays() {
    for owned in [true, false] {
        let place = Place::new(TEN, owned, 0);
        let list = sealed_paths(&["/nowhere/one"]);
        place.machine.plant(&place.list(), &list);
        if owned {
            place.change(&place.data(), flip(2));
        }
        let unreachable = Finding::ExternalUnreachable {
            hash: place.hash,
            path: "/nowhere/one".into(),
            why: String::new(),
        };
        let store = place.machine.open();
        let mut expected = vec![unreachable.clone()];
        if owned {
            expected.insert(0, place.corrupt([2..3], false));
        }
        assert_eq!(place.about(verify(&store, Depth::Deep)), expected);
        let (mended, left) = repair(&store);
        let demoted = place.demote([2..3], 10);
        assert_eq!(mended, Vec::from_iter(owned.then_some(demoted)));
        assert_eq!(place.about(left), [unreachable]);
        assert_eq!(place.machine.file(&place.list()), Some(list));
        // The outboard is that of the external home, too.
        assert_eq!(
            place.machine.file(&place.board()),
            outboard(&place.content).filter(|_| owned)
        );
    }
}

/// Damage in one home is made good from the other one, and only what no home has is lost.
#[test]
fn two_homes_that_are_damaged() {
    let place = Place::new(TEN, true, 1);
    place.change(&place.data(), flip(3));
    let found = vec![place.corrupt([3..4], true)];
    let expected = Expected {
        deep: found,
        mended: vec![place.rewrite([3..4])],
        ..Expected::default()
    };
    place.comes_to("owned", &expected);

    let place = Place::new(TEN, true, 1);
    place.change(&place.data(), flip(3));
    place.change_outside(0, flip(5));
    let both = Expected {
        deep: vec![place.corrupt([3..4], true), place.changed(0, [5..6])],
        mended: vec![place.rewrite([3..4]), place.drop_paths(&[&place.path(0)])],
        ..Expected::default()
    };
    place.comes_to("both", &both);
    // Although no reader uses an outboard of a wrong length.
    place.change(&place.board(), |file| file.push(0));
    let mut expected = both.clone();
    expected.quick = vec![place.corrupt_outboard([])];
    expected.deep.insert(0, place.corrupt_outboard([]));
    expected.unread = Some(ALL.to_vec());
    place.comes_to("both, and the outboard is too long", &expected);

    let place = Place::new(TEN, true, 1);
    place.change(&place.data(), |file| file.truncate(4 * GROUP));
    place.change_outside(0, |file| file.drain(..2 * GROUP).for_each(drop));
    let found = place.corrupt([4..10], false);
    let changed = place.changed(0, ALL);
    let expected = Expected {
        quick: vec![found.clone(), place.changed(0, [7..10])],
        deep: vec![found, changed.clone()],
        mended: vec![place.demote([4..10], 10)],
        left: vec![changed.clone()],
        after: vec![changed.clone()],
        lost: vec![4..10],
        unread: None,
        imported: vec![changed],
    };
    place.comes_to("cut and shifted", &expected);

    let place = Place::new(TEN, true, 1);
    place.change(&place.data(), |file| {
        flip(3)(file);
        flip(5)(file);
    });
    place.change_outside(0, flip(5));
    let changed = place.changed(0, [5..6]);
    let expected = Expected {
        deep: vec![place.corrupt([3..4, 5..6], false), changed.clone()],
        // The external file lends its group 3.
        mended: vec![place.demote([5..6], 10)],
        left: vec![changed.clone()],
        after: vec![changed.clone()],
        lost: vec![5..6],
        imported: vec![changed],
        ..Expected::default()
    };
    place.comes_to("both in one group", &expected);

    let place = Place::new(TEN, true, 1);
    place.change(&place.data(), flip(3));
    place.remove(&place.board());
    let missing = Finding::MissingOutboard { hash: place.hash };
    let expected = Expected {
        quick: vec![missing.clone()],
        deep: vec![missing, place.corrupt(ALL, true)],
        mended: vec![place.rewrite(ALL)],
        ..Expected::default()
    };
    place.comes_to("owned, without an outboard", &expected);

    // Whatever length is the first to be believed.
    for len in [GROUP / 2, 3 * GROUP, TEN + 5, TEN + 3 * GROUP] {
        let place = Place::new(TEN, true, 1);
        place.change(&place.data(), |file| file.resize(len, 1));
        place.remove(&place.board());
        let missing = Finding::MissingOutboard { hash: place.hash };
        let mut expected = Expected {
            deep: vec![missing.clone(), place.corrupt(ALL, true)],
            mended: vec![place.rewrite(ALL)],
            ..Expected::default()
        };
        expected.quick = vec![missing];
        if len < GROUP {
            // As if the blob had one group, which says nothing of the other home.
            expected.quick = vec![place.corrupt([0..1], false)];
        }
        place.comes_to(&format!("owned {len}, without an outboard"), &expected);
    }

    let place = Place::new(TEN, false, 2);
    place.change_outside(0, flip(3));
    place.change_outside(1, flip(5));
    let found = vec![place.changed(0, [3..4]), place.changed(1, [5..6])];
    let expected = Expected {
        deep: found.clone(),
        left: found.clone(),
        after: found.clone(),
        imported: found,
        ..Expected::default()
    };
    place.comes_to("two external ones", &expected);
}

/// A size that only the last home proves, by its hash, is the one under which the others are judged.
#[test]
fn a_size_that_only_the_last_home_proves() {
    let place = Place::new(2 * GROUP, true, 2);
    place.change(&place.data(), Vec::clear);
    place.change_outside(0, |file| file.fill(0));
    place.remove(&place.board());
    let store = place.machine.open();
    let expected = [
        Finding::MissingOutboard { hash: place.hash },
        place.corrupt([0..2], true),
        place.changed(0, [0..2]),
    ];
    assert_eq!(place.about(verify(&store, Depth::Deep)), expected);
    let mended = vec![place.rewrite([0..2]), place.drop_paths(&[&place.path(0)])];
    assert_eq!(repair(&store), (mended, vec![]));
    assert_reads(&store, place.hash, &place.content);
    assert_eq!(verify(&store, Depth::Deep), []);
}

/// What cannot be read is not called damaged, is not taken apart, and is found whole the next
/// time.
/// BI-080.
#[test]
fn a_medium_that_fails() {
    for (name, externals) in [
        (Place::data as fn(&Place) -> FileName, 0),
        (Place::board, 0),
        (Place::board, 1),
        (Place::list, 1),
    ] {
        for kind in [OpKind::Open, OpKind::Read, OpKind::Size] {
            for damaged in [false, true] {
                let place = Place::new(TEN, true, externals);
                let name = name(&place);
                if damaged {
                    place.change(&place.data(), flip(7));
                }
                let machine = place.machine.fork();
                let store = machine.open();
                machine
                    .disk
                    .inject(Fault::on_name(kind, name.to_string()).sticky());
                let told = format!("{kind:?} {name} {externals} {damaged}");
                let files = machine.files();
                let found = place.about(verify(&store, Depth::Deep));
                let unreadable =
                    |f: &Finding| matches!(f, Finding::Unreadable { file, .. } if *file == name);
                let lists_size = kind == OpKind::Size && matches!(name, FileName::Paths(_));
                if !lists_size {
                    assert!(found.iter().any(unreadable), "{told}: {found:?}");
                }
                let is_board = matches!(name, FileName::Outboard(_));
                let whole_outside = externals > 0;
                for (mending, outcome) in try_repair(&store, &RepairOptions::default()).0 {
                    let is_due = match &mending {
                        // All but the outboard can be read.
                        Mending::RewriteData { .. } => damaged && whole_outside,
                        Mending::Demote { .. } => {
                            damaged && !is_board && !matches!(name, FileName::Data(_))
                        }
                        _ => false,
                    };
                    assert!(is_due, "{told}: {mending:?} {outcome:?}");
                }
                machine.disk.heal();
                if !damaged {
                    assert_eq!(machine.files(), files, "{told}");
                }
                drop(store);
                let store = machine.kill().open_read_only();
                let good = at_hand(&store, place.hash, &place.content);
                let before = provable(&place.machine, place.hash, &place.content);
                assert_eq!(good, before, "{told}");
            }
        }
    }
}

/// An outboard whose pairs cannot be read, although its prefix can, may prove all of the data the next time.
#[test]
fn an_outboard_whose_pairs_cannot_be_read() {
    for damaged in [false, true] {
        let place = Place::owned(TEN);
        if damaged {
            place.change(&place.data(), flip(7));
        }
        let store = place.machine.open();
        let name = place.board().to_string();
        let pairs = Fault::matching(move |op| op.is(OpKind::Read, &name) && op.len > 8);
        place.machine.disk.inject(pairs.sticky());
        let files = place.machine.files();
        let found = place.about(verify(&store, Depth::Deep));
        let unreadable = Finding::Unreadable {
            hash: place.hash,
            file: place.board(),
            why: String::new(),
        };
        let mut expected = vec![unreadable];
        if damaged {
            expected.push(place.corrupt(ALL, false));
        }
        assert_eq!(found, expected);
        let (mended, left) = repair(&store);
        assert_eq!(mended, []);
        assert_eq!(place.about(left), expected);
        assert_eq!(place.machine.files(), files);
    }
}

/// A group that cannot be read is taken from another home; where there is none, nothing is done.
#[test]
fn a_group_that_cannot_be_read() {
    for (owned, externals) in [(true, 0), (true, 1), (false, 1)] {
        let place = Place::new(TEN, owned, externals);
        let name = match owned {
            true => place.data().to_string(),
            false => "one".into(),
        };
        let store = place.machine.open();
        let sector = Fault::matching(move |op| {
            op.is(OpKind::Read, &name) && op.offset <= 70_000 && op.offset + op.len > 70_000
        });
        place.machine.disk.inject(sector.sticky());
        let files = place.machine.files();
        let found = place.about(verify(&store, Depth::Deep));
        let expected = match owned {
            true => Finding::Unreadable {
                hash: place.hash,
                file: place.data(),
                why: String::new(),
            },
            false => Finding::ExternalUnreachable {
                hash: place.hash,
                path: place.path(0),
                why: String::new(),
            },
        };
        assert_eq!(found, std::slice::from_ref(&expected));
        let (mended, left) = repair(&store);
        assert_eq!(mended, []);
        assert_eq!(place.about(left), [expected]);
        assert_eq!(place.machine.files(), files);
    }
}

/// A partial entry beside the blob, or alone, with every kind of damage: what it has is what can be proved,
/// and repair takes nothing from it.
/// BI-037, BI-038, BI-039, BI-040.
#[test]
fn partial_entries() {
    let content = bytes(3, TEN);
    let hash = Hash::of(&content);
    let board = outboard(&content).unwrap();
    let uuid = Uuid::from_bytes([5; 16]);
    let (data, half) = (
        FileName::PartialData(hash, uuid),
        FileName::PartialOutboard(hash, uuid),
    );
    type Damage = fn(&mut Vec<u8>);
    let table: [Damage; 9] = [
        |_| {},
        |file| file[0] ^= 1,
        |file| file[80] ^= 1,
        |file| *file.last_mut().unwrap() ^= 1,
        |file| file.truncate(file.len() - 1),
        |file| file.truncate(file.len() / 2),
        Vec::clear,
        |file| file.resize(file.len() + 20 * 1024, 0),
        |file| file.fill(0),
    ];
    for (n, damage_data) in table.iter().enumerate() {
        for (m, damage_board) in table.iter().enumerate() {
            let machine = Machine::new();
            machine.open().import_bytes(b"x").unwrap();
            let (mut file, mut proof) = (content.clone(), board.clone());
            damage_data(&mut file);
            damage_board(&mut proof);
            machine.plant(&data, &file);
            machine.plant(&half, &proof);
            let told = format!("data {n}, outboard {m}");
            let store = machine.open();
            let before = machine.files();
            assert_eq!(verify(&store, Depth::Deep), [], "{told}");
            assert_eq!(repair(&store), (vec![], vec![]), "{told}");
            assert_eq!(machine.files(), before, "{told}");
            let mut good = vec![false; 10];
            for partial in store.partials(hash).unwrap() {
                for group in groups_of(&partial).filter(|group| *group < 10) {
                    good[group as usize] = true;
                }
            }
            let naive = provable(&machine, hash, &content);
            // The prefix is all that a partial entry has for a size.
            if m != 1 && m != 8 {
                assert_eq!(good, naive, "{told}");
            }
        }
    }
}

/// An interrupted step left partial data and an outboard with the final name.
/// BI-039, BI-043.
#[test]
fn partial_data_get_their_outboard_back() {
    let content = bytes(3, TEN);
    let hash = Hash::of(&content);
    let board = outboard(&content).unwrap();
    for halves in [1, 2, 3] {
        for outside in [false, true] {
            let machine = Machine::new();
            let store = machine.open();
            if outside {
                let path = machine.put_external("one", &content);
                store.import_reference(&path).unwrap();
                machine.put_external("one", b"changed");
            }
            drop(store);
            machine.plant(&FileName::Outboard(hash), &board);
            for n in 0..halves {
                let mut file = content.clone();
                (0..10)
                    .filter(|group| group % 3 != n || *group == 9)
                    .for_each(|group| flip(group)(&mut file));
                if n == 1 {
                    // What was not received yet.
                    file.truncate(8 * GROUP);
                }
                let uuid = Uuid::from_bytes([n as u8; 16]);
                machine.plant(&FileName::PartialData(hash, uuid), &file);
            }
            let before = provable(&machine, hash, &content);
            assert_eq!(
                before.iter().filter(|good| !**good).count() == 1,
                halves == 3
            );
            let store = machine.open();
            let unpaired = |n| Finding::UnpairedPartial {
                file: FileName::PartialData(hash, Uuid::from_bytes([n as u8; 16])),
                counterpart: true,
            };
            let found = verify(&store, Depth::Quick);
            for n in 0..halves {
                assert!(found.contains(&unpaired(n)), "{n}: {found:?}");
            }
            let pair = |n| Mending::Pair {
                hash,
                uuid: Uuid::from_bytes([n as u8; 16]),
            };
            let pairs: Vec<_> = (0..halves).map(pair).collect();
            assert_eq!(dry_run(&store).0, pairs);
            assert_eq!(repair(&store).0, pairs);
            assert_eq!(at_hand(&store, hash, &content), before);
            assert_eq!(
                machine.file(&FileName::Outboard(hash)),
                Some(board.clone()).filter(|_| outside)
            );
            assert_eq!(repair(&store).0, []);
            let machine = machine.kill();
            assert_eq!(at_hand(&machine.open(), hash, &content), before);
        }
    }
}

/// Data are taken back while a partial entry still relies on the same outboard.
#[test]
fn a_demotion_leaves_another_partial_entry_what_it_needs() {
    let place = Place::owned(TEN);
    place.change(&place.data(), flip(3));
    let mut other = place.content.clone();
    flip(3)(&mut other);
    flip(6)(&mut other);
    let uuid = Uuid::from_bytes([1; 16]);
    place
        .machine
        .plant(&FileName::PartialData(place.hash, uuid), &other);
    let before = provable(&place.machine, place.hash, &place.content);
    assert!(missing(&before).into_iter().flatten().eq([3]));
    let store = place.machine.open();
    let hash = place.hash;
    let expected = [place.demote([3..4], 10), Mending::Pair { hash, uuid }];
    assert_eq!(dry_run(&store).0, expected);
    assert_eq!(repair(&store).0, expected);
    assert_eq!(at_hand(&store, hash, &place.content), before);
    assert_eq!(place.machine.file(&place.board()), None);
    assert_eq!(repair(&store), (vec![], vec![]));
}

/// An outboard with the final name goes when that of a partial entry proves as much, and not before.
#[test]
fn an_outboard_that_is_outdone() {
    let place = Place::owned(TEN);
    let (hash, board) = (place.hash, outboard(&place.content).unwrap());
    place.remove(&place.data());
    let uuid = Uuid::from_bytes([1; 16]);
    let half = FileName::PartialOutboard(hash, uuid);
    place
        .machine
        .plant(&FileName::PartialData(hash, uuid), &place.content[..GROUP]);
    let mut right = board.clone();
    right[8 + 8 * 64] ^= 1;
    let mut left = board.clone();
    left[8 + 4 * 64] ^= 1;
    let cut = board[..board.len() - 1].to_vec();
    for (partial, last, goes) in [
        (&board, &board, true),
        (&left, &right, false),
        (&right, &left, false),
        (&cut, &board, false),
        (&board, &cut, true),
        (&board, &vec![], true),
    ] {
        let machine = place.machine.fork();
        machine.plant(&half, partial);
        machine.plant(&place.board(), last);
        let (store, recovery) = machine.try_open().unwrap();
        assert_eq!(recovery.unpaired, []);
        assert_eq!(
            verify(&store, Depth::Quick)
                .iter()
                .filter(|f| matches!(f, Finding::OrphanOutboard { .. }))
                .count(),
            1
        );
        let (mended, left) = repair(&store);
        let remove = Mending::RemoveOutboard { hash };
        assert_eq!(mended, Vec::from_iter(goes.then_some(remove)));
        let orphan = Finding::OrphanOutboard { hash };
        assert_eq!(left, Vec::from_iter((!goes).then_some(orphan)));
        let expected = Some(last.clone()).filter(|_| !goes);
        assert_eq!(machine.file(&place.board()), expected);
    }
    // What cannot be read now may prove more the next time.
    let machine = place.machine.fork();
    machine.plant(&half, &right);
    machine.plant(&place.board(), &board);
    let store = machine.open();
    let name = place.board().to_string();
    machine
        .disk
        .inject(Fault::matching(move |op| op.is(OpKind::Read, &name) && op.len > 8).sticky());
    assert_eq!(repair(&store).0, []);
    assert_eq!(machine.file(&place.board()), Some(board));
}

/// A rewrite that fails keeps the paths that the bytes were to come from.
#[test]
fn a_failed_rewrite_drops_no_path() {
    let place = Place::new(TEN, true, 1);
    place.change(&place.data(), flip(3));
    place.change_outside(0, flip(5));
    let store = place.machine.open();
    place.machine.disk.limit_space(1000);
    let (mended, _) = try_repair(&store, &RepairOptions::default());
    assert!(
        matches!(
            &mended[..],
            [(Mending::RewriteData { .. }, Outcome::Failed(_))]
        ),
        "{mended:?}"
    );
    assert_reads(&store, place.hash, &place.content);
    place.machine.disk.heal();
    let both = [place.rewrite([3..4]), place.drop_paths(&[&place.path(0)])];
    assert_eq!(repair(&store).0, both);
    assert_reads(&place.machine.open_read_only(), place.hash, &place.content);
}

/// A file system full of the bytes of one blob under the names of others: each is told, none is mixed up.
#[test]
fn files_that_were_swapped() {
    let machine = Machine::new();
    let store = machine.open();
    let contents: Vec<_> = (0..3).map(|n| bytes(n, (3 + n as usize) * GROUP)).collect();
    let hashes: Vec<_> = contents
        .iter()
        .map(|content| store.import_bytes(content).unwrap().hash)
        .collect();
    drop(store);
    let machine = machine.kill();
    for (n, hash) in hashes.iter().enumerate() {
        machine.plant(&FileName::Data(*hash), &contents[(n + 1) % 3]);
        let other = outboard(&contents[(n + 2) % 3]).unwrap();
        machine.plant(&FileName::Outboard(*hash), &other);
    }
    let store = machine.open();
    let (mended, left) = repair(&store);
    assert_eq!(left, []);
    let demoted: Vec<_> = mended.iter().filter_map(Mending::hash).collect();
    let mut all = hashes.clone();
    all.sort();
    assert_eq!(demoted, all);
    for (hash, content) in hashes.iter().zip(&contents) {
        assert!(at_hand(&store, *hash, content).iter().all(|good| !good));
        // No byte of the others is gone.
        let file = machine.files().into_values().find(|file| file == content);
        assert!(file.is_some());
        store.import_bytes(content).unwrap();
        assert_reads(&store, *hash, content);
    }
}
