//! Random damage to random homes: nothing good is lost by repair, and looking changes nothing.

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

use common::{
    GROUP, Machine, bytes,
    care::{assert_kept, at_hand, dry_run, outside_files, provable, repair, verify},
    outboard, picture,
};
use flatbao_core::{
    FileName, Hash, PathSet, Uuid,
    store::{Depth, Finding, Remedy},
};
use proptest::{prelude::*, sample::Index};

/// What happens to one file.
#[derive(Debug, Clone)]
enum Damage {
    None,
    Gone,
    Flip(Vec<(Index, u8)>),
    Cut(Index),
    Extend(usize),
    Zero,
}

impl Damage {
    fn done_to(&self, file: &[u8]) -> Option<Vec<u8>> {
        let mut file = file.to_vec();
        match self {
            Self::None => {}
            Self::Gone => return None,
            Self::Flip(bits) if file.is_empty() => drop(bits.clone()),
            Self::Flip(bits) => {
                for (at, bit) in bits {
                    let at = at.index(file.len());
                    file[at] ^= 1 << (bit % 8);
                }
            }
            Self::Cut(at) => file.truncate(at.index(file.len() + 1)),
            Self::Extend(more) => file.resize(file.len() + more, 0x55),
            Self::Zero => file.fill(0),
        }
        Some(file)
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        3 => Just(Damage::None),
        1 => Just(Damage::Gone),
        5 => proptest::collection::vec(any::<(Index, u8)>(), 1..4).prop_map(Damage::Flip),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => (1..40_000_usize).prop_map(Damage::Extend),
        1 => Just(Damage::Zero),
    ]
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        1 => 0..GROUP + 2,
        6 => GROUP + 1..12 * GROUP,
        1 => Just(GROUP),
        1 => Just(2 * GROUP),
    ]
}

/// A place with some homes and partial files, all of them damaged in some way.
fn place(
    content: &[u8],
    owned: Option<&Damage>,
    board: &Damage,
    outside: &[Damage],
    partials: &[(Damage, Option<Damage>)],
) -> Machine {
    let hash = Hash::of(content);
    let machine = Machine::new();
    machine.disk.keep_trace(false);
    let store = machine.open();
    if owned.is_some() {
        store.import_bytes(content).unwrap();
    }
    for n in 0..outside.len() {
        let path = machine.put_external(&n.to_string(), content);
        store.import_reference(&path).unwrap();
    }
    drop(store);
    let machine = machine.kill();
    let put = |name: &FileName, file: &[u8], damage: &Damage| match damage.done_to(file) {
        Some(file) => machine.plant(name, &file),
        None => machine.store().uproot(name.to_string()),
    };
    if let Some(damage) = owned {
        put(&FileName::Data(hash), content, damage);
    }
    let proof = outboard(content);
    if let Some(proof) = &proof {
        put(&FileName::Outboard(hash), proof, board);
    }
    for (n, (data, half)) in partials.iter().enumerate() {
        let uuid = Uuid::from_bytes([n as u8; 16]);
        put(&FileName::PartialData(hash, uuid), content, data);
        if let (Some(half), Some(proof)) = (half, &proof) {
            put(&FileName::PartialOutboard(hash, uuid), proof, half);
        }
    }
    for (n, damage) in outside.iter().enumerate() {
        let dir = machine.outside();
        match damage.done_to(content) {
            Some(file) => dir.change_file(n.to_string(), &file).unwrap(),
            None => dir.uproot(n.to_string()),
        }
    }
    machine
}

/// The bytes of every file that holds data of the blob.
fn data_files(machine: &Machine, hash: Hash) -> Vec<Vec<u8>> {
    let is_data = |name: &FileName| matches!(name, FileName::Data(h) | FileName::PartialData(h, _) if *h == hash);
    let files = machine.files().into_iter();
    files
        .filter(|(name, _)| FileName::parse(name).is_some_and(|name| is_data(&name)))
        .map(|(_, bytes)| bytes)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_good_is_lost(
        size in size(),
        owned in proptest::option::weighted(0.8, damage()),
        board in damage(),
        outside in proptest::collection::vec(damage(), 0..3),
        partials in proptest::collection::vec((damage(), proptest::option::of(damage())), 0..3),
    ) {
        let content = bytes(size as u64, size);
        let hash = Hash::of(&content);
        let machine = place(&content, owned.as_ref(), &board, &outside, &partials);
        let before = provable(&machine, hash, &content);
        let read_before = at_hand(&machine.fork().open_read_only(), hash, &content);
        let external = outside_files(&machine);
        let files_before = data_files(&machine, hash);

        // Looking changes nothing, whoever looks.
        let mut told = Vec::new();
        for read_only in [true, false] {
            let machine = machine.fork();
            let store = if read_only { machine.open_read_only() } else { machine.open() };
            let files = machine.files();
            for depth in [Depth::Quick, Depth::Deep] {
                for finding in verify(&store, depth) {
                    check_claims(&finding, &before);
                }
            }
            let plan = dry_run(&store);
            prop_assert_eq!(&machine.files(), &files);
            if read_only && machine.fork().open().blobs().next() != store.blobs().next() {
                // A completion that was interrupted is finished by an opening for writing.
                continue;
            }
            told.push(plan);
        }

        let store = machine.open();
        let done = repair(&store);
        for plan in &told {
            prop_assert_eq!(plan, &done);
        }
        prop_assert_eq!(&outside_files(&machine), &external);
        let after = at_hand(&machine.fork().open_read_only(), hash, &content);
        assert_kept(&read_before, &after, &format!("{done:?}"));
        // What no reader makes use of, such as an outboard that was cut, still proves as much.
        let naive = provable(&machine, hash, &content);
        let either: Vec<bool> = naive.iter().zip(&after).map(|(a, b)| *a || *b).collect();
        assert_kept(&before, &either, &format!("{done:?}"));
        // Memory and disk agree, and there is nothing more to do.
        let fresh = machine.fork().open_read_only();
        prop_assert_eq!(picture(&store), picture(&fresh));
        let files = machine.files();
        let again = repair(&store);
        prop_assert_eq!(&again.0, &[]);
        prop_assert_eq!(&machine.files(), &files);
        let found = verify(&store, Depth::Deep);
        let of_blobs = |f: &Finding| f.hash().is_some() && f.remedy() != Remedy::Nothing;
        let left: Vec<_> = again.1.into_iter().filter(of_blobs).collect();
        prop_assert_eq!(found.into_iter().filter(of_blobs).collect::<Vec<_>>(), left);
        // Data go only where all of the blob is in their place.
        let left = data_files(&machine, hash);
        let is_whole = left.contains(&content);
        for file in files_before {
            // Groups that were wrong may have become right, behind a hole where data were short.
            let is_kept = |now: &Vec<u8>| {
                let was = |at: usize, byte: &u8| file.get(at).unwrap_or(&0) == byte;
                let is_right = |at: usize, byte| content.get(at) == Some(byte);
                let mut bytes = now.iter().enumerate();
                now.len() >= file.len() && bytes.all(|(at, byte)| was(at, byte) || is_right(at, byte))
            };
            let is_there = is_whole || left.iter().any(is_kept);
            prop_assert!(is_there, "a file of {} bytes is gone", file.len());
        }
        // Whoever is in a list of paths was in it before.
        if let Some(list) = machine.file(&FileName::Paths(hash)) {
            prop_assert!(PathSet::decode(&list).unwrap().iter().count() <= outside.len());
        }
        // And an import makes it whole.
        store.import_bytes(&content).unwrap();
        prop_assert!(at_hand(&store, hash, &content).iter().all(|good| *good));
        repair(&store);
        let machine = machine.crash();
        prop_assert!(at_hand(&machine.open(), hash, &content).iter().all(|good| *good));
        prop_assert_eq!(&outside_files(&machine), &external);
    }
}

/// That no byte is lost, and that the data are right, is only said where it is so.
fn check_claims(finding: &Finding, before: &[bool]) {
    if let Finding::CorruptData {
        groups,
        elsewhere: true,
        ..
    } = finding
    {
        // The last group may also be proved by the length of another home.
        let last = before.len() as u64 - 1;
        for group in groups.iter().cloned().flatten().filter(|g| *g < last) {
            assert!(before[group as usize], "{finding:?}");
        }
    }
}
