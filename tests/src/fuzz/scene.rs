//! What every target with a store in it asks: whether a wrong byte comes out, and whether what was good still is.

use flatbao_core::{ChunkRanges, FileName, Hash, io::read_full_at, store::Depth};

use super::contents::{Known, known};
use crate::{
    care::{at_hand, groups_of, provable, verify},
    machine::{Machine, SimStore, reset_envs},
    oracle,
    truth::{GROUP, assert_typed},
};

/// A machine on which nothing has happened yet.
pub(super) fn machine() -> Machine {
    reset_envs();
    let machine = Machine::new();
    machine.disk.keep_trace(false);
    machine
}

/// Which groups the store can give out, one way or the other; none of them is wrong.
pub(super) fn right(machine: &Machine, store: &SimStore, known: &Known) -> Vec<bool> {
    let (hash, data) = (known.hash, &known.data);
    let range = |group: usize| group * GROUP..data.len().min((group + 1) * GROUP);
    for partial in store.partials(hash).unwrap() {
        let file = machine.file(&FileName::PartialData(hash, partial.uuid));
        let file = file.expect("what has groups has a file");
        for group in groups_of(&partial) {
            let range = range(group as usize);
            assert_eq!(file.get(range.clone()), Some(&data[range]), "group {group}");
        }
    }
    if let Ok(reader) = store.partial_reader(hash) {
        for group in 0..data.len().div_ceil(GROUP) {
            let range = range(group);
            let mut found = vec![0; range.len()];
            if let Ok(read) = read_full_at(&reader, &mut found, range.start as u64) {
                assert_eq!(found[..read], data[range][..read], "group {group}");
            }
        }
    }
    at_hand(store, hash, data)
}

/// What a store sends is right where it says so, and otherwise does nobody any harm.
pub(super) fn sends_nothing_wrong(store: &SimStore, known: &Known) {
    let (hash, all) = (known.hash, ChunkRanges::all());
    let mut stream = Vec::new();
    match store.send(hash, &all, &mut stream) {
        Ok(_) => assert!(
            stream == oracle::stream(&known.data, &all),
            "a wrong stream"
        ),
        Err(error) => assert_typed(&error),
    }
    let there = Machine::new();
    there.disk.keep_trace(false);
    let other = there.open();
    if let Err(error) = other.receive(hash, &all, &stream[..]) {
        assert_typed(&error);
    }
    right(&there, &other, known);
}

/// Looking at everything fails nowhere, and changes nothing.
pub(super) fn looks(machine: &Machine, store: &SimStore) {
    let files = machine.files();
    for depth in [Depth::Quick, Depth::Deep] {
        verify(store, depth);
    }
    for blob in store.blobs() {
        let _ = (store.homes(blob.hash), store.files(blob.hash));
        let claimed = store.claimed_size(blob.hash).map(drop);
        let reached = store.reached_by(blob.hash).map(drop);
        for error in [claimed.err(), reached.err()].into_iter().flatten() {
            assert_typed(&error);
        }
    }
    if let Err(error) = store.usage() {
        assert_typed(&error);
    }
    assert!(machine.files() == files, "looking has changed a file");
}

/// What could be proved of a blob, or can be: from its files, or by the store.
pub(super) struct Good<'a> {
    known: &'a Known,
    provable: Vec<bool>,
    at_hand: Vec<bool>,
}

impl<'a> Good<'a> {
    /// What is good now of a blob. The store is one of its own, which changes nothing.
    pub(super) fn of(machine: &Machine, known: &'a Known) -> Self {
        Self::seen_by(&machine.open_read_only(), machine, known)
    }

    /// The same of all blobs.
    pub(super) fn of_all(machine: &Machine) -> Vec<Good<'static>> {
        let reader = machine.open_read_only();
        let all = known().iter();
        all.map(|known| Good::seen_by(&reader, machine, known))
            .collect()
    }

    fn seen_by(reader: &SimStore, machine: &Machine, known: &'a Known) -> Self {
        Self {
            known,
            provable: match claims_size(machine, known) {
                true => provable(machine, known.hash, &known.data),
                // Pairs are at other places under another size: only who knows the blob sees that they are right.
                false => vec![false; known.data.len().div_ceil(GROUP).max(1)],
            },
            at_hand: right(machine, reader, known),
        }
    }

    /// Nothing that was good is lost.
    pub(super) fn assert_kept(&self, machine: &Machine, told: &str) {
        self.assert_kept_in(&Good::of(machine, self.known), told);
    }

    /// The same, where it is known what is good later. What no reader makes use of may still prove as much.
    pub(super) fn assert_kept_in(&self, now: &Good<'_>, told: &str) {
        for group in 0..self.provable.len() {
            let still = now.at_hand[group] || now.provable[group] && !self.at_hand[group];
            let was = self.at_hand[group] || self.provable[group];
            assert!(!was || still, "{told}: group {group} is lost");
        }
    }

    pub(super) fn hash(&self) -> Hash {
        self.known.hash
    }
}

/// Whether any file of a blob has its length, or says it.
fn claims_size(machine: &Machine, known: &Known) -> bool {
    let size = known.data.len() as u64;
    let is_own = |name: &FileName| name.hash() == Some(known.hash);
    let entries = machine.store().entries().into_iter();
    let mut names = entries.filter_map(|(name, _)| FileName::parse(&name).filter(is_own));
    names.any(|name| {
        let Some(file) = machine.file(&name) else {
            return false;
        };
        match name {
            FileName::Data(_) | FileName::PartialData(..) => file.len() as u64 == size,
            FileName::Outboard(_) | FileName::PartialOutboard(..) => {
                file.first_chunk() == Some(&size.to_le_bytes())
            }
            // What is outside may have it.
            _ => true,
        }
    })
}
