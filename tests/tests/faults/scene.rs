//! The store before something fails, and what has to hold after.

use std::collections::BTreeSet;

use flatbao_core::{
    ChunkRanges, Collection, Error, FileName, Hash, NotWritable, Result, Store,
    store::{State, Status},
};

use crate::{
    actions::{ACTIONS, Action, Role, large, receive},
    common::{
        GROUP, Machine, SimStore, assert_reads, assert_typed, bytes, faults::never_synced_again,
        fresh_env, picture, raw, read, sequence, tag,
    },
};

/// The machine before an action, and what is on it.
pub(crate) struct Scene {
    pub(crate) machine: Machine,
    pub(crate) kept: Vec<(Hash, Vec<u8>)>,
    pub(crate) dead: Hash,
    pub(crate) list: Hash,
    /// Bytes of a blob of which the first two groups are there.
    pub(crate) part: Vec<u8>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let machine = Machine::new();
        let store = machine.open();
        machine.put_external("new", &bytes(21, GROUP + 50));
        let mut kept = Vec::new();
        let import = |content: Vec<u8>| (store.import_bytes(&content).unwrap().hash, content);
        for (n, len) in [(1, 100), (2, GROUP + 1), (3, 4 * GROUP)] {
            kept.push(import(bytes(n, len)));
        }
        let content = bytes(4, 30_000);
        let path = machine.put_external("old", &content);
        machine.put_external("again", &content);
        kept.push((store.import_reference(&path).unwrap().hash, content));
        kept.push(import(sequence(&[kept[0].0, kept[1].0])));
        let list = kept[4].0;
        let named = [("a", kept[0].0), ("b", kept[1].0)];
        let collection = Collection::new(named.map(|(name, hash)| (name.to_owned(), hash)));
        let collection = collection.unwrap();
        let meta = import(collection.encode_meta());
        kept.push(import(collection.sequence(meta.0).encode()));
        kept.push(meta);
        for (n, (hash, _)) in kept.iter().enumerate() {
            store
                .set_tag(tag(&format!("kept {n}")), raw(*hash))
                .unwrap();
        }
        let dead = store.import_bytes(&bytes(5, 3 * GROUP)).unwrap().hash;
        let path = machine.put_external("dead", &bytes(6, 20_000));
        drop(store.import_reference(&path).unwrap());
        let part = bytes(7, 3 * GROUP + 1);
        let first = ChunkRanges::of_groups(..2);
        assert!(receive(&store, &part, &first).is_err());
        store.set_tag(tag("part"), raw(Hash::of(&part))).unwrap();
        drop(store);
        let machine = machine.kill();
        machine.plant(&FileName::Outboard(kept[2].0), b"damaged");
        Self {
            machine,
            part,
            kept,
            dead,
            list,
        }
    }

    /// The same scene on a machine of its own.
    pub(crate) fn again(&self) -> Self {
        Self {
            machine: self.machine.fork(),
            kept: self.kept.clone(),
            dead: self.dead,
            list: self.list,
            part: self.part.clone(),
        }
    }
}

/// Whether this opening writes no more, since a sync failed.
pub(crate) fn is_poisoned(told: &str, store: &SimStore) -> bool {
    match store.confirm_no_tags() {
        Ok(()) => false,
        Err(Error::NotWritable(NotWritable::Poisoned(_))) => true,
        Err(other) => panic!("{told}: {other:?}"),
    }
}

/// What is left after one action in which something failed.
pub(crate) fn aftermath(
    action: &Action,
    told: &str,
    scene: &Scene,
    store: &SimStore,
    outcome: &Result<()>,
) {
    let machine = &scene.machine;
    machine.disk.heal();
    never_synced_again(&machine.disk.trace(), told);
    if let Err(error) = outcome {
        assert_typed(error);
    }
    let poisoned = is_poisoned(told, store);
    let fresh = Store::open_read_only(machine.fork().backend(), fresh_env())
        .unwrap()
        .0;
    let (ours, theirs) = (picture(store), picture(&fresh));
    if poisoned {
        assert!(
            outcome.is_err() || action.role == Role::Reads,
            "{told}: an acknowledged action poisons"
        );
        let known: BTreeSet<_> = theirs.0.iter().map(|blob| blob.0).collect();
        for blob in &ours.0 {
            assert!(known.contains(&blob.0), "{told}: {} is not there", blob.0);
        }
        refuses_to_write(told, store, scene);
    } else {
        assert_eq!(ours, theirs, "{told}: memory and disk differ");
    }
    // Reading goes on, in this opening.
    for (hash, content) in &scene.kept {
        if store.status(*hash) != Status::Missing {
            assert_reads(store, *hash, content);
        }
    }
    let found = store.available(Hash::of(&scene.part)).unwrap();
    let has_first = found.groups.first().is_some_and(|groups| groups.end >= 2);
    // Where no call is answered any more nothing tells that files have got their final names.
    let is_deaf = poisoned && told.contains("sticky: true");
    assert!(
        has_first || is_deaf,
        "{told}: of the part there is {found:?}"
    );
    if !poisoned && outcome.is_err() {
        nothing_is_in_the_way(action, told, store, scene);
    }
    // The next process finds what it needs.
    let machine = machine.kill();
    let store = machine.open();
    assert_eq!(machine.leftovers(), [], "{told}");
    let tags = store.tags().unwrap();
    for (hash, content) in &scene.kept {
        if tags.values().any(|value| value.hash == *hash) && action.name != "delete by force" {
            assert_reads(&store, *hash, content);
        }
    }
    for blob in store.blobs() {
        if blob.state == State::Partial {
            // Whatever came before it failed is proved, and kept.
            let found = store.available(blob.hash).unwrap();
            assert!(
                blob.hash != Hash::of(&scene.part) || found.groups[0].end >= 2,
                "{told}"
            );
            continue;
        }
        let bytes = read(&store, blob.hash).unwrap_or_else(|e| panic!("{told}: {blob:?}: {e:?}"));
        assert_eq!(Hash::of(&bytes), blob.hash);
    }
    store.set_tag(tag("after"), raw(scene.kept[0].0)).unwrap();
}

/// An error that does not end writing: importing, deleting and trying again work in the same opening.
fn nothing_is_in_the_way(action: &Action, told: &str, store: &SimStore, scene: &Scene) {
    for attempt in 0..2 {
        match store.import_bytes(&large()) {
            Ok(imported) => assert_reads(store, imported.hash, &large()),
            Err(error) => panic!("{told}: attempt {attempt}: {error:?}"),
        }
    }
    match (action.act)(store, scene) {
        Ok(()) => {}
        // What was said to have failed was done.
        Err(Error::NotFound(_)) if action.name.starts_with("delete") => {}
        Err(Error::NoTag(_)) if action.name == "remove a tag" => {}
        Err(error) => panic!("{told}: again: {error:?}"),
    }
    if store.status(scene.dead) != Status::Missing {
        store.delete(scene.dead, false).unwrap();
    }
}

/// Invariant 12: after a failed sync every call that writes is refused, and does nothing.
pub(crate) fn refuses_to_write(told: &str, store: &SimStore, scene: &Scene) {
    let before = scene.machine.files();
    let refused = |result: Result<()>, what: &str| match result {
        Err(Error::NotWritable(NotWritable::Poisoned(_))) => {}
        other => panic!("{told}: {what}: {other:?}"),
    };
    for action in ACTIONS {
        match action.role {
            Role::Writes => refused((action.act)(store, scene), action.name),
            // What is on the disk is not known any more.
            Role::Collects => assert_typed(&(action.act)(store, scene).unwrap_err()),
            Role::Reads => {}
        }
    }
    refused(store.batch().import_reader(&b"x"[..]).map(drop), "batch");
    assert_eq!(
        scene.machine.files(),
        before,
        "{told}: a refused call wrote"
    );
}

/// Everything that only answers goes on answering, and writes nothing.
pub(crate) fn goes_on_reading(told: &str, store: &SimStore, scene: &Scene) {
    let before = scene.machine.files();
    for action in ACTIONS.iter().filter(|action| action.role == Role::Reads) {
        match (action.act)(store, scene) {
            Ok(()) => {}
            // What lives is not told by tags that are not those of this opening.
            Err(Error::TagsChanged) if action.name == "plan a collection" => {}
            Err(error) => panic!("{told}: {}: {error:?}", action.name),
        }
    }
    assert_eq!(scene.machine.files(), before, "{told}: an answer wrote");
}
