use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
};

use flatbao_core::{
    BlobFormat, EntryKind, Error, FileName, Hash, HashAndFormat, Tag, TagFile, TempTag,
    progress::unwatched,
    store::{GcOptions, GcPlan, RepairOptions, Swept},
};

use super::{
    contents::{Known, known},
    edit::{self, OUTSIDE},
    input::Input,
    names,
    scene::{Good, looks, machine, right, sends_nothing_wrong},
};
use crate::{
    care::{outside_files, try_repair},
    machine::{Machine, SimStore},
    truth::{assert_reads, assert_typed, read},
};

/// The most files that a script puts into the store's directory.
const FILES: u8 = 12;
/// The most things that are done with it.
const STEPS: usize = 8;

/// Whatever files are in a store's directory, under whatever names: it opens; no wrong byte comes out; whatever is
/// done, nothing that is good is lost but what a collection may remove, and a collection removes nothing that
/// anything reaches, or may reach; what is not the store's stays as it is.
///
/// # Panics
/// When that is not so.
pub fn directory(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let machine = machine();
    plant(&mut input, &machine);
    let mut scene = Scene::new(machine);
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        scene.step(&mut input);
        scene.assert_untouched();
    }
    scene.look();
}

fn plant(input: &mut Input<'_>, machine: &Machine) {
    for name in OUTSIDE {
        if input.flag() {
            machine.put_external(name, &edit::file(input));
        }
    }
    let dir = machine.store();
    for _ in 0..input.few(FILES) {
        let name = names::name(input);
        if name == "lock" {
            continue;
        }
        match input.byte() {
            0xff => drop(dir.plant_dir(&name)),
            0xfe => dir.plant_other(&name).unwrap(),
            0xfd => dir.plant_link(&name, "../outside/one").unwrap(),
            _ => dir.plant_file(&name, &edit::file(input)).unwrap(),
        }
    }
}

struct Scene {
    machine: Machine,
    store: SimStore,
    /// What is good now.
    good: Vec<Good<'static>>,
    plan: Option<GcPlan>,
    held: Vec<TempTag>,
    /// Entries that are not the store's, and files outside.
    foreign: BTreeMap<OsString, (EntryKind, Option<Vec<u8>>)>,
    outside: BTreeMap<String, Option<Vec<u8>>>,
}

impl Scene {
    fn new(machine: Machine) -> Self {
        let before = Good::of_all(&machine);
        let foreign = foreign(&machine);
        let outside = outside_files(&machine);
        looks(&machine, &machine.open_read_only());
        let store = machine.open();
        let good = Good::of_all(&machine);
        for (before, now) in before.iter().zip(&good) {
            before.assert_kept_in(now, "opening");
        }
        Self {
            store,
            good,
            plan: None,
            held: Vec::new(),
            foreign,
            outside,
            machine,
        }
    }

    fn assert_untouched(&self) {
        let now = foreign(&self.machine);
        for (name, was) in &self.foreign {
            assert_eq!(now.get(name), Some(was), "{}", name.display());
        }
        assert!(
            outside_files(&self.machine) == self.outside,
            "a file outside is another one"
        );
    }

    /// Reads everything there is.
    fn look(&self) {
        for known in known() {
            right(&self.machine, &self.store, known);
        }
        for blob in self.store.blobs() {
            if known().iter().any(|known| known.hash == blob.hash) {
                continue;
            }
            match read(&self.store, blob.hash) {
                Ok(bytes) => assert_eq!(Hash::of(&bytes), blob.hash, "a wrong byte came out"),
                Err(error) => assert_typed(&error),
            }
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let kind = input.byte() % 14;
        let mut may_go = BTreeSet::new();
        match kind {
            0 => self.reopen(),
            1 => self.look(),
            2 => looks(&self.machine, &self.store),
            3 => self.plan(input.flag()),
            4 => may_go = self.sweep(),
            5 => self.repair(),
            6 => self.set_tag(input),
            7 => self.remove_tag(),
            8 => self.import(input.known()),
            9 => self.receive(input),
            10 => may_go = self.delete(input),
            11 => self.restore_tags(),
            12 => self.hold(input),
            _ => sends_nothing_wrong(&self.store, input.known()),
        }
        let now = Good::of_all(&self.machine);
        let kept = self.good.iter().zip(&now);
        for (before, now) in kept.filter(|(good, _)| !may_go.contains(&good.hash())) {
            before.assert_kept_in(now, &format!("step {kind}"));
        }
        self.good = now;
    }

    fn reopen(&mut self) {
        self.plan = None;
        self.held.clear();
        // The old one holds the lock.
        self.machine = self.machine.kill();
        self.store = self.machine.open();
    }

    /// What tags and temporary tags reach; `None` when that cannot be told.
    fn reached(&self) -> Option<BTreeSet<Hash>> {
        let file = self.machine.file(&FileName::Tags)?;
        let tags = TagFile::decode(&file).ok()?.tags;
        let held = self.held.iter().map(TempTag::value);
        let mut reached = BTreeSet::new();
        for value in tags.into_values().chain(held) {
            reached.insert(value.hash);
            if value.format == BlobFormat::HashSeq {
                let bytes = read(&self.store, value.hash).ok()?;
                let (children, []) = bytes.as_chunks::<32>() else {
                    return None;
                };
                reached.extend(children.iter().copied().map(Hash::from_bytes));
            }
        }
        Some(reached)
    }

    fn plan(&mut self, assume: bool) {
        let has_tags = self
            .machine
            .store()
            .entries()
            .iter()
            .any(|(name, _)| name == "tags.meta");
        let options = GcOptions::default().assume_no_tags(assume);
        match self.store.plan_gc_with(options, &mut unwatched) {
            Ok(plan) => {
                let assumed = assume && !has_tags;
                let reached = self.reached().or_else(|| assumed.then(BTreeSet::new));
                let reached = reached.expect("a plan without all roots");
                let items = plan.items().iter();
                assert!(
                    items.clone().all(|item| !reached.contains(&item.hash)),
                    "{plan:?}"
                );
                self.plan = Some(plan);
            }
            Err(error) => {
                assert_typed(&error);
                self.plan = None;
            }
        }
    }

    /// Returns what may be gone.
    fn sweep(&mut self) -> BTreeSet<Hash> {
        let Some(plan) = self.plan.take() else {
            return BTreeSet::new();
        };
        let planned: BTreeSet<Hash> = plan.items().iter().map(|item| item.hash).collect();
        let before = self.machine.files();
        let outcome = self.store.sweep(plan);
        let removed = match outcome {
            Ok(Swept { removed, .. }) => removed.iter().map(|item| item.hash).collect(),
            Err(error) => {
                assert_typed(&error);
                BTreeSet::new()
            }
        };
        assert!(removed.is_subset(&planned));
        if let Some(reached) = self.reached() {
            assert!(removed.is_disjoint(&reached), "{removed:?}");
        } else {
            assert!(removed.is_empty(), "{removed:?} without all roots");
        }
        let after = self.machine.files();
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            let hash = FileName::parse(name).and_then(|name| name.hash());
            let is_told = hash.is_some_and(|hash| removed.contains(&hash));
            assert!(is_told, "{} is gone", name.display());
        }
        removed
    }

    fn repair(&mut self) {
        match self.store.repair(
            &RepairOptions::default().dry_run(true),
            &mut |_| {},
            &mut unwatched,
        ) {
            Ok(_) => {}
            Err(error) => return assert_typed(&error),
        }
        if self
            .store
            .plan_gc()
            .is_err_and(|error| matches!(error, Error::NotWritable(_)))
        {
            return;
        }
        try_repair(&self.store, &RepairOptions::default());
    }

    fn set_tag(&mut self, input: &mut Input<'_>) {
        let tag = Tag::new(vec![b'a' + input.byte() % 4]).unwrap();
        let value = edit::value(input);
        match self.store.set_tag(tag.clone(), value) {
            Ok(()) => {
                let file = self.machine.fork().crash().file(&FileName::Tags).unwrap();
                let tags = TagFile::decode(&file).unwrap().tags;
                assert_eq!(tags.get(&tag), Some(&value));
            }
            Err(error) => assert_typed(&error),
        }
    }

    fn remove_tag(&mut self) {
        let Ok(tags) = self.store.tags() else { return };
        let Some(tag) = tags.keys().next() else {
            return;
        };
        if let Err(error) = self.store.remove_tag(tag) {
            assert_typed(&error);
        }
    }

    fn import(&mut self, known: &Known) {
        match self.store.import_bytes(&known.data) {
            Ok(imported) => {
                assert_eq!(imported.hash, known.hash);
                assert_reads(&self.store, known.hash, &known.data);
                let store = self.machine.fork().crash().open_read_only();
                assert_reads(&store, known.hash, &known.data);
            }
            Err(error) => assert_typed(&error),
        }
    }

    fn receive(&mut self, input: &mut Input<'_>) {
        let known = input.known();
        let all = flatbao_core::ChunkRanges::all();
        let stream = crate::oracle::stream(&known.data, &all);
        let stream = edit::edited(input, &stream);
        match self.store.receive(known.hash, &all, &stream[..]) {
            Ok(received) if received.is_complete => {
                assert_reads(&self.store, known.hash, &known.data);
            }
            Ok(_) => {}
            Err(error) => assert_typed(&error),
        }
    }

    /// Returns what may be gone.
    fn delete(&mut self, input: &mut Input<'_>) -> BTreeSet<Hash> {
        let (known, force) = (input.known(), input.flag());
        match self.store.delete(known.hash, force) {
            Ok(_) => {
                let reached = if force { None } else { self.reached() };
                let keeps = reached.is_some_and(|reached| reached.contains(&known.hash));
                assert!(!keeps, "something reaches what is gone");
                [known.hash].into()
            }
            Err(error) => {
                assert_typed(&error);
                BTreeSet::new()
            }
        }
    }

    fn restore_tags(&mut self) {
        let damaged = self.machine.file(&FileName::Tags);
        // There is nothing to keep of an empty one.
        let damaged = damaged.filter(|file| !file.is_empty());
        match self.store.salvage_tags() {
            Ok(found) => match self.store.restore_tags(found.tags.clone()) {
                Ok(kept) => {
                    assert_eq!(*self.store.tags().unwrap(), found.tags);
                    let kept = kept.map(|name| self.machine.file(&name).unwrap());
                    assert_eq!(kept, damaged);
                }
                Err(error) => assert_typed(&error),
            },
            Err(Error::TagsMissing) => {
                if let Err(error) = self.store.confirm_no_tags() {
                    assert_typed(&error);
                }
            }
            Err(error) => assert_typed(&error),
        }
    }

    fn hold(&mut self, input: &mut Input<'_>) {
        if input.flag() {
            self.held.clear();
        }
        let value: HashAndFormat = edit::value(input);
        self.held.push(self.store.temp_tag(value));
    }
}

/// Everything in the store's directory that bears no name of the store's, or is named metadata.
fn foreign(machine: &Machine) -> BTreeMap<OsString, (EntryKind, Option<Vec<u8>>)> {
    let dir = machine.store();
    let is_foreign =
        |name: &OsString| matches!(FileName::parse(name), None | Some(FileName::NamedMeta(_)));
    let entries = dir.entries().into_iter();
    entries
        .filter(|(name, _)| is_foreign(name))
        .map(|(name, kind)| {
            let content = dir.content(&name);
            (name, (kind, content))
        })
        .collect()
}
