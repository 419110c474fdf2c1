//! What a store takes up and what reaches a blob, against a model that asks every tag about every blob.

// A test reports by panicking.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use common::{Machine, SimStore, bytes, raw, seq, sequence, tag};
use flatbao_core::{
    BlobFormat, Error, FileName, Hash, HashAndFormat,
    store::{Footprint, Place, Subject, Tagged},
};
use proptest::{prelude::*, sample::Index};

/// A tag: on a small blob, or on a sequence of these, either as such or as plain bytes.
#[derive(Debug, Clone)]
enum Named {
    Blob(Index),
    Sequence(Vec<Index>, BlobFormat),
}

fn named() -> impl Strategy<Value = Named> {
    let format = prop_oneof![
        4 => Just(BlobFormat::HashSeq),
        1 => Just(BlobFormat::Raw),
    ];
    prop_oneof![
        any::<Index>().prop_map(Named::Blob),
        (prop::collection::vec(any::<Index>(), 0..5), format)
            .prop_map(|(children, format)| Named::Sequence(children, format)),
    ]
}

/// Tags with everything they reach, entry by entry.
type Reach = BTreeMap<String, (HashAndFormat, Vec<Hash>)>;

struct Model {
    reach: Reach,
    sizes: BTreeMap<Hash, u64>,
}

impl Model {
    fn sum<'a>(&self, hashes: impl IntoIterator<Item = &'a Hash>) -> u64 {
        hashes
            .into_iter()
            .map(|hash| self.sizes.get(hash).unwrap_or(&0))
            .sum()
    }

    fn footprint(&self, entries: &[Hash], others: impl Fn(&str, Hash) -> bool) -> Footprint {
        let distinct: BTreeSet<Hash> = entries.iter().copied().collect();
        let elsewhere: BTreeSet<Hash> = self
            .reach
            .iter()
            .filter(|(name, (value, _))| others(name, value.hash))
            .flat_map(|(_, (_, entries))| entries.iter().copied())
            .collect();
        let mut footprint = Footprint::default();
        footprint.blobs = distinct.len() as u64;
        footprint.total = self.sum(entries);
        footprint.distinct = self.sum(&distinct);
        footprint.own = Some(self.sum(distinct.difference(&elsewhere)));
        let is_missing = |hash: &&Hash| !self.sizes.contains_key(hash);
        footprint.missing = distinct.iter().filter(is_missing).count() as u64;
        footprint
    }
}

proptest! {
    #[test]
    fn sums_are_those_of_a_model(
        tags in prop::collection::vec(named(), 0..6),
        held in prop::option::of(any::<Index>()),
        missing in prop::option::of(any::<Index>()),
    ) {
        let machine = Machine::new();
        let store = machine.open();
        let mut model = Model { reach: Reach::new(), sizes: BTreeMap::new() };
        let import = |model: &mut Model, content: &[u8]| {
            let hash = store.import_bytes(content).unwrap().hash;
            model.sizes.insert(hash, content.len() as u64);
            hash
        };
        let pool: Vec<Hash> = (1..7)
            .map(|seed| import(&mut model, &bytes(seed, 9000 * usize::try_from(seed).unwrap())))
            .collect();
        for (number, named) in tags.iter().enumerate() {
            let (value, entries) = match named {
                Named::Blob(at) => (raw(*at.get(&pool)), vec![*at.get(&pool)]),
                Named::Sequence(children, format) => {
                    let children: Vec<Hash> = children.iter().map(|at| *at.get(&pool)).collect();
                    let hash = import(&mut model, &sequence(&children));
                    let mut entries = vec![hash];
                    if *format == BlobFormat::HashSeq {
                        entries.extend(children);
                    }
                    (HashAndFormat { hash, format: *format }, entries)
                }
            };
            let name = number.to_string();
            store.set_tag(tag(&name), value).unwrap();
            model.reach.insert(name, (value, entries));
        }
        let _held = held.map(|at| store.temp_tag(raw(*at.get(&pool))));
        if let Some(at) = missing && held.is_none() {
            let hash = *at.get(&pool);
            store.delete(hash, true).unwrap();
            model.sizes.remove(&hash);
        }
        check(&machine, &store, &model)?;
    }
}

fn check(machine: &Machine, store: &SimStore, model: &Model) -> Result<(), TestCaseError> {
    let usage = store.usage().unwrap();
    let files: u64 = machine
        .files()
        .values()
        .map(|bytes| bytes.len() as u64)
        .sum();
    prop_assert_eq!(usage.stored.total(), files);
    prop_assert_eq!(usage.complete, store.blobs().count() as u64);
    let tagged = usage.tagged.unwrap();
    let plan = store.plan_gc().unwrap();
    prop_assert_eq!(tagged.reclaimable, Some(plan.bytes()));
    let all: Vec<Hash> = model
        .reach
        .values()
        .flat_map(|(_, entries)| entries.clone())
        .collect();
    let union: BTreeSet<Hash> = all.iter().copied().collect();
    prop_assert_eq!(tagged.logical, model.sum(&all));
    prop_assert_eq!(tagged.shared, model.sum(&all) - model.sum(&union));
    let missing = union.iter().filter(|hash| !model.sizes.contains_key(hash));
    prop_assert_eq!(tagged.missing, missing.count() as u64);
    prop_assert_eq!(tagged.tags.len(), model.reach.len());
    for told in &tagged.tags {
        let name = told.tag.as_str().unwrap();
        let (value, entries) = &model.reach[name];
        prop_assert_eq!(told.value, *value);
        let expected = model.footprint(entries, |other, _| other != name);
        prop_assert_eq!(told.footprint, Some(expected));
        let share = store.usage_of(&Subject::Tag(told.tag.clone())).unwrap();
        prop_assert_eq!(share.footprint, expected);
        let share = store.usage_of(&Subject::Blob(*value)).unwrap();
        let expected = model.footprint(entries, |_, other| other != value.hash);
        prop_assert_eq!(share.footprint, expected);
    }
    for hash in union {
        let by = store.reached_by(hash).unwrap().by;
        let by: Vec<_> = by
            .iter()
            .map(|by| (by.tag.as_str().unwrap(), by.through))
            .collect();
        let reaches = |(name, (value, entries)): (&'_ String, &(HashAndFormat, Vec<Hash>))| {
            let through = (value.hash != hash).then_some(value.hash);
            entries.contains(&hash).then(|| (name.clone(), through))
        };
        let expected: Vec<_> = model.reach.iter().filter_map(reaches).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, by)| (name.as_str(), *by))
            .collect();
        prop_assert_eq!(by, expected);
    }
    Ok(())
}

fn tagged(store: &SimStore) -> Tagged {
    store.usage().unwrap().tagged.unwrap()
}

/// Each question is the first that its opening is asked.
#[test]
fn what_a_writer_beside_it_changes_is_seen() {
    let machine = Machine::new();
    let store = machine.open();
    let first = store.import_bytes(&bytes(1, 100)).unwrap().hash;
    let old = store.import_bytes(&sequence(&[first])).unwrap().hash;
    store.set_tag(tag("t"), seq(old)).unwrap();
    let [reached, usage, share] = [(); 3].map(|()| machine.open_read_only());
    // The tag gets another sequence, and the one that the readers know is collected.
    let second = store.import_bytes(&bytes(2, 200)).unwrap().hash;
    let new = sequence(&[first, second]);
    let new = store.import_bytes(&new).unwrap().hash;
    store.set_tag(tag("t"), seq(new)).unwrap();
    let plan = store.plan_gc().unwrap();
    store.sweep(plan).unwrap();
    let reached = reached.reached_by(first).unwrap();
    assert!(reached.unread.is_empty());
    assert_eq!(reached.by[0].through, Some(new));
    assert_eq!(tagged(&usage).logical, 364);
    let share = share.usage_of(&Subject::Tag(tag("t"))).unwrap();
    assert_eq!(
        (share.footprint.total, share.footprint.own),
        (364, Some(364))
    );
}

#[test]
fn a_sequence_that_cannot_be_read_leaves_sums_out() {
    let machine = Machine::new();
    let store = machine.open();
    let child = store.import_bytes(&bytes(1, 100)).unwrap().hash;
    let list = store.import_bytes(&sequence(&[child])).unwrap().hash;
    store.import_bytes(&bytes(2, 50)).unwrap();
    store.set_tag(tag("good"), raw(child)).unwrap();
    store.set_tag(tag("bad"), seq(list)).unwrap();
    store.set_tag(tag("bad too"), seq(list)).unwrap();
    drop(store);
    let data = FileName::Data(list);
    machine
        .store()
        .change_file(data.to_string(), &[0; 32])
        .unwrap();
    let store = machine.open();
    let tagged = tagged(&store);
    assert_eq!(
        (tagged.logical, tagged.shared, tagged.reclaimable),
        (100, 0, None)
    );
    assert_eq!(tagged.unread[0].tags, [tag("bad"), tag("bad too")]);
    assert!(matches!(tagged.unread[0].error, Error::Corrupt { .. }));
    for told in &tagged.tags {
        let own = told.footprint.map(|footprint| footprint.own);
        assert_eq!(own, (told.tag == tag("good")).then_some(None));
    }
    let reached = store.reached_by(child).unwrap();
    assert_eq!((reached.by.len(), reached.unread.len()), (1, 1));
    // Its own tags reach it all the same.
    assert_eq!(store.reached_by(list).unwrap().by.len(), 2);
    let share = store.usage_of(&Subject::Tag(tag("good"))).unwrap();
    assert_eq!((share.footprint.own, share.unread.len()), (None, 1));
    let refused = store.usage_of(&Subject::Tag(tag("bad")));
    assert!(matches!(refused, Err(Error::Corrupt { .. })));
    let refused = store.usage_of(&Subject::Tag(tag("nobody")));
    assert!(matches!(refused, Err(Error::NoTag(_))));

    // Without tags nothing is told of them, and everything else is.
    drop(store);
    machine.store().change_file("tags.meta", b"?").unwrap();
    let store = machine.open();
    let usage = store.usage().unwrap();
    assert_eq!((usage.complete, usage.stored.data), (3, 182));
    assert!(usage.tagged.is_err() && store.reached_by(child).is_err());
    let share = store.usage_of(&Subject::Blob(raw(child))).unwrap();
    assert_eq!((share.footprint.total, share.footprint.own), (100, None));
}

#[test]
fn homes_and_files_are_told_one_by_one() {
    let machine = Machine::new();
    let store = machine.open();
    let content = bytes(1, 20_000);
    for name in ["x", "y"] {
        let path = machine.put_external(name, &content);
        store.import_reference(&path).unwrap();
    }
    let hash = Hash::of(&content);
    let usage = store.usage().unwrap();
    assert_eq!((usage.external, usage.stored.data), (20_000, 0));
    machine.outside().change_file("y", b"short").unwrap();
    store.import_bytes(&content).unwrap();
    let homes = store.homes(hash);
    let told: Vec<_> = homes
        .iter()
        .map(|home| (&home.place, home.len.as_ref().ok()))
        .collect();
    let external = |name: &str| Place::External(format!("/external/{name}"));
    assert_eq!(
        told,
        [
            (&Place::Owned, Some(&20_000)),
            (&external("x"), Some(&20_000)),
            (&external("y"), Some(&5)),
        ]
    );
    // What is in the store as well does not lie outside.
    assert_eq!(store.usage().unwrap().external, 0);
    let files = store.files(hash);
    assert_eq!(files.len(), 3);
    let total: u64 = files.iter().map(|file| *file.len.as_ref().unwrap()).sum();
    let usage = store.usage().unwrap();
    assert_eq!(total + usage.stored.tags, usage.stored.total());
    let list = FileName::Paths(hash);
    machine.store().change_file(list.to_string(), b"?").unwrap();
    let listed = &store.homes(hash)[1];
    assert_eq!(listed.place, Place::Listed);
    assert!(matches!(listed.len, Err(Error::Paths { .. })));
    assert!(store.homes(Hash::EMPTY).is_empty() && store.files(Hash::EMPTY).is_empty());
}

#[test]
fn measuring_stops_on_request() {
    let store = Machine::new().open();
    let hash = store.import_bytes(b"x").unwrap().hash;
    store.set_tag(tag("t"), raw(hash)).unwrap();
    let mut stop = |_| ControlFlow::Break(());
    let subject = Subject::Blob(raw(hash));
    assert!(matches!(store.usage_with(&mut stop), Err(Error::Cancelled)));
    assert!(matches!(
        store.reached_by_with(hash, &mut stop),
        Err(Error::Cancelled)
    ));
    assert!(matches!(
        store.usage_of_with(&subject, &mut stop),
        Err(Error::Cancelled)
    ));
}
