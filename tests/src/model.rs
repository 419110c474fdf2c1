//! A state machine: random operations on a store beside a plain model of what it must hold.
//!
//! The contents are few and small, and sequences over each other, so that operations meet. After every
//! step the listing, the tags and the very files of the place are those of the model, and every blob reads
//! back.

// A test reports by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use flatbao_core::{
    BlobFormat, Error, ExternalPath, FileName, Hash, HashAndFormat, ReadAt, Tag, TagMap, TempTag,
    io::read_full_at,
    progress::unwatched,
    store::{GcPlan, ImportOptions, Location, Novelty, Reason},
};
use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestRunner},
};

use crate::store_suite::{
    Files, GROUP, StoreHarness, StoreOf, assert_files, bytes, external, open, open_read_only,
    oracle, paths_file, removed, sequence, spared, tags_file,
};

/// How an opening ends. Where the harness cannot bring it about, it is an orderly end.
#[derive(Debug, Clone, Copy)]
enum End {
    Drop,
    Kill,
    PowerLoss,
}

/// Where the bytes of an import come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Bytes,
    File,
    Reference,
}

/// One import of a content.
#[derive(Debug, Clone)]
struct Import {
    content: Index,
    source: Source,
    is_sequence: bool,
}

#[derive(Debug, Clone)]
enum Op {
    /// Several imports that land together; the temporary tags of the results are kept, or not.
    Import {
        imports: Vec<Import>,
        keep: bool,
    },
    /// The same, but the batch is dropped.
    Forget(Vec<Import>),
    SetTag(u8, Index, bool),
    AutoTag(Index, bool),
    RemoveTag(Index),
    TempTag(Index, bool),
    DropTempTag(Index),
    Delete(Index, bool),
    Plan,
    Sweep(Index),
    DropPlan(Index),
    Collect,
    Reopen(End),
    Read(Index, Index, u32),
    ReadOnly,
}

fn import() -> impl Strategy<Value = Import> {
    let source = prop_oneof![
        3 => Just(Source::Bytes),
        1 => Just(Source::File),
        2 => Just(Source::Reference),
    ];
    (any::<Index>(), source, any::<bool>()).prop_map(|(content, source, is_sequence)| Import {
        content,
        source,
        is_sequence,
    })
}

fn op() -> impl Strategy<Value = Op> {
    let imports = || prop::collection::vec(import(), 1..4);
    let (at, flag) = (any::<Index>, any::<bool>);
    let ends = prop_oneof![Just(End::Drop), Just(End::Kill), Just(End::PowerLoss)];
    prop_oneof![
        8 => (imports(), any::<bool>()).prop_map(|(imports, keep)| Op::Import { imports, keep }),
        1 => imports().prop_map(Op::Forget),
        4 => (0..4_u8, at(), flag()).prop_map(|(name, at, seq)| Op::SetTag(name, at, seq)),
        1 => (at(), flag()).prop_map(|(at, seq)| Op::AutoTag(at, seq)),
        3 => at().prop_map(Op::RemoveTag),
        2 => (at(), flag()).prop_map(|(at, seq)| Op::TempTag(at, seq)),
        4 => at().prop_map(Op::DropTempTag),
        3 => (at(), flag()).prop_map(|(at, force)| Op::Delete(at, force)),
        3 => Just(Op::Plan),
        3 => at().prop_map(Op::Sweep),
        1 => at().prop_map(Op::DropPlan),
        3 => Just(Op::Collect),
        2 => ends.prop_map(Op::Reopen),
        2 => (at(), at(), any::<u32>()).prop_map(|(of, at, len)| Op::Read(of, at, len)),
        1 => Just(Op::ReadOnly),
    ]
}

/// Runs so many random stories on fresh places of this harness, and shrinks the first that goes wrong.
///
/// # Panics
/// When a store does not do as the model does.
pub fn check<H: StoreHarness>(cases: u32) {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    let story = prop::collection::vec(op(), 1..40);
    let outcome = TestRunner::new(config).run(&story, |ops| {
        let mut machine = Machine::<H>::new();
        for op in &ops {
            machine.step(op);
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// What the model knows of a blob that is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Blob {
    is_owned: bool,
    is_external: bool,
    /// The owned data were proved in this opening.
    is_proved: bool,
}

/// A plan with what the model thinks it says.
struct Plan {
    plan: GcPlan,
    items: BTreeSet<Hash>,
    opening: u32,
}

struct Content {
    hash: Hash,
    data: Vec<u8>,
    outboard: Vec<u8>,
    path: ExternalPath,
}

struct Machine<H: StoreHarness> {
    harness: H,
    store: Option<StoreOf<H>>,
    contents: Vec<Content>,
    blobs: BTreeMap<Hash, Blob>,
    tags: TagMap,
    held: Vec<TempTag>,
    plans: Vec<Plan>,
    /// What was protected since the oldest plan of this opening was made.
    touched: BTreeSet<HashAndFormat>,
    opening: u32,
}

/// Raw blobs on both sides of a group, then sequences over them, over each other, and over nothing; one
/// that has an odd length.
fn contents<H: StoreHarness>(harness: &H) -> Vec<Content> {
    let raw = [0, 1, 40, GROUP, GROUP + 1, 40_000];
    let mut data: Vec<_> = raw.iter().map(|size| bytes(*size, *size)).collect();
    let of = |data: &[Vec<u8>], list: &[usize]| {
        let hashes: Vec<_> = list.iter().map(|at| Hash::of(&data[*at])).collect();
        sequence(&hashes)
    };
    for list in [&[1, 4][..], &[5, 6], &[2, 2, 0], &[7, 3]] {
        let next = of(&data, list);
        data.push(next);
    }
    // More than one group of hashes.
    data.push(sequence(&vec![Hash::of(&data[5]); 600]));
    data.into_iter()
        .enumerate()
        .map(|(at, data)| {
            let (hash, outboard) = oracle(&data);
            let path = external(harness, &format!("file-{at}"));
            harness.put_external(&path, &data);
            Content {
                hash,
                data,
                outboard,
                path,
            }
        })
        .collect()
}

fn value(hash: Hash, is_sequence: bool) -> HashAndFormat {
    match is_sequence {
        true => HashAndFormat::hash_seq(hash),
        false => HashAndFormat::raw(hash),
    }
}

fn tag_name(name: u8) -> Tag {
    Tag::new(vec![b'a' + name]).unwrap()
}

impl<H: StoreHarness> Machine<H> {
    fn new() -> Self {
        let harness = H::fresh();
        Self {
            store: Some(open(&harness)),
            contents: contents(&harness),
            harness,
            blobs: BTreeMap::new(),
            tags: TagMap::new(),
            held: Vec::new(),
            plans: Vec::new(),
            touched: BTreeSet::new(),
            opening: 0,
        }
    }

    fn store(&self) -> &StoreOf<H> {
        self.store.as_ref().expect("it is open between steps")
    }

    fn hash(&self, content: &Index) -> Hash {
        content.get(&self.contents).hash
    }

    /// Whether a plan of this opening is under way.
    fn is_marked(&self) -> bool {
        self.plans.iter().any(|plan| plan.opening == self.opening)
    }

    fn protect(&mut self, value: HashAndFormat) {
        if self.is_marked() {
            self.touched.insert(value);
        }
    }

    fn forget_touched(&mut self) {
        if !self.is_marked() {
            self.touched.clear();
        }
    }

    /// A blob that is there and a sequence: what it lists.
    fn children(&self, hash: Hash) -> Option<Vec<Hash>> {
        self.blobs.get(&hash)?;
        let content = self.contents.iter().find(|content| content.hash == hash)?;
        let (hashes, []) = content.data.as_chunks::<32>() else {
            return None;
        };
        Some(hashes.iter().copied().map(Hash::from_bytes).collect())
    }

    /// What these roots reach; `None` when one of them cannot be read.
    fn reach<'a>(
        &self,
        roots: impl IntoIterator<Item = &'a HashAndFormat>,
    ) -> Option<BTreeSet<Hash>> {
        let mut live = BTreeSet::new();
        for root in roots {
            live.insert(root.hash);
            if root.format == BlobFormat::HashSeq {
                live.extend(self.children(root.hash)?);
            }
        }
        Some(live)
    }

    fn held(&self) -> Vec<HashAndFormat> {
        self.held.iter().map(TempTag::value).collect()
    }

    fn step(&mut self, op: &Op) {
        match op {
            Op::Import { imports, keep } => self.import(imports, *keep),
            Op::Forget(imports) => self.forget(imports),
            Op::SetTag(name, content, is_sequence) => {
                let (tag, value) = (tag_name(*name), value(self.hash(content), *is_sequence));
                let outcome = self.store().set_tag(tag.clone(), value);
                self.tagged(outcome.map(|()| tag), value);
            }
            Op::AutoTag(content, is_sequence) => {
                let value = value(self.hash(content), *is_sequence);
                let outcome = self.store().auto_tag(value);
                if let Ok(tag) = &outcome {
                    assert!(!self.tags.contains_key(tag));
                }
                self.tagged(outcome, value);
            }
            Op::RemoveTag(index) => self.remove_tag(index),
            Op::TempTag(content, is_sequence) => {
                let value = value(self.hash(content), *is_sequence);
                let held = self.store().temp_tag(value);
                self.held.push(held);
                self.protect(value);
            }
            Op::DropTempTag(index) => {
                if !self.held.is_empty() {
                    let at = index.index(self.held.len());
                    drop(self.held.swap_remove(at));
                }
            }
            Op::Delete(content, force) => self.delete(self.hash(content), *force),
            Op::Plan => {
                if let Some(plan) = self.plan() {
                    self.plans.push(plan);
                }
            }
            Op::Sweep(index) => {
                if !self.plans.is_empty() {
                    let at = index.index(self.plans.len());
                    let plan = self.plans.swap_remove(at);
                    self.sweep(plan);
                }
            }
            Op::DropPlan(index) => {
                if !self.plans.is_empty() {
                    let at = index.index(self.plans.len());
                    drop(self.plans.swap_remove(at));
                    self.forget_touched();
                }
            }
            Op::Collect => {
                if let Some(plan) = self.plan() {
                    self.sweep(plan);
                }
            }
            Op::Reopen(end) => self.reopen(*end),
            Op::Read(content, at, len) => self.read(content.get(&self.contents), at, *len),
            Op::ReadOnly => {
                let store = open_read_only(&self.harness);
                self.check_store(&store);
            }
        }
        self.check_store(self.store());
        self.check_files();
    }

    fn import(&mut self, imports: &[Import], keep: bool) {
        let mut expected = Vec::new();
        {
            let mut batch = self.store.as_ref().unwrap().batch();
            for import in imports {
                let content = import.content.get(&self.contents);
                let added = stage::<H>(&mut batch, content, import);
                assert_eq!(added, (content.hash, content.data.len() as u64));
            }
            let landed = batch.commit().unwrap();
            assert_eq!(landed.len(), imports.len());
            let before = self.blobs.clone();
            let (mut owned, mut referred) = (BTreeSet::new(), BTreeSet::new());
            for (import, landed) in imports.iter().zip(landed) {
                let hash = import.content.get(&self.contents).hash;
                let was = before.get(&hash).copied();
                let is_proved = was.is_some_and(|blob| blob.is_proved);
                let is_known = match import.source {
                    Source::Reference => {
                        let known = was.is_some_and(|blob| blob.is_external);
                        let again = !referred.insert(hash) || known;
                        again && is_proved
                    }
                    Source::Bytes | Source::File => !owned.insert(hash) || is_proved,
                };
                let novelty = match was {
                    _ if is_known => Novelty::Known,
                    Some(_) => Novelty::Replaced,
                    None => Novelty::New,
                };
                assert_eq!((landed.hash, landed.novelty), (hash, novelty));
                let value = value(hash, import.is_sequence);
                assert_eq!(landed.tag.value(), value);
                expected.push(value);
                let blob = self.blobs.entry(hash).or_default();
                if import.source == Source::Reference {
                    blob.is_external = true;
                } else {
                    (blob.is_owned, blob.is_proved) = (true, true);
                }
                if keep {
                    self.held.push(landed.tag);
                }
            }
        }
        for value in expected {
            self.protect(HashAndFormat::raw(value.hash));
            self.protect(value);
        }
    }

    fn forget(&mut self, imports: &[Import]) {
        let mut batch = self.store.as_ref().unwrap().batch();
        let mut touched = Vec::new();
        for import in imports {
            let content = import.content.get(&self.contents);
            let (hash, _) = stage::<H>(&mut batch, content, import);
            touched.push(HashAndFormat::raw(hash));
        }
        drop(batch);
        for value in touched {
            self.protect(value);
        }
    }

    fn tagged(&mut self, outcome: Result<Tag, Error>, value: HashAndFormat) {
        self.protect(value);
        let is_odd = value.format == BlobFormat::HashSeq
            && self.blobs.contains_key(&value.hash)
            && self.children(value.hash).is_none();
        match outcome {
            Err(Error::HashSeq { hash, .. }) => assert!(is_odd && hash == value.hash),
            Ok(tag) => {
                assert!(!is_odd);
                self.tags.insert(tag, value);
            }
            other => panic!("{other:?}"),
        }
    }

    fn remove_tag(&mut self, index: &Index) {
        let names: Vec<_> = self.tags.keys().cloned().collect();
        if names.is_empty() {
            let outcome = self.store().remove_tag(&tag_name(0));
            assert!(matches!(outcome, Err(Error::NoTag(_))));
            return;
        }
        let tag = index.get(&names);
        let value = self.store().remove_tag(tag).unwrap();
        assert_eq!(self.tags.remove(tag), Some(value));
    }

    fn delete(&mut self, hash: Hash, force: bool) {
        let outcome = self.store().delete(hash, force);
        if !self.blobs.contains_key(&hash) {
            assert!(matches!(outcome, Err(Error::NotFound(h)) if h == hash));
            return;
        }
        let mut roots = self.held();
        if !force {
            roots.extend(self.tags.values());
        }
        roots.extend(&self.touched);
        let live = self.reach(&roots);
        match outcome {
            Ok(item) => {
                assert_eq!(item.hash, hash);
                assert!(
                    live.is_some_and(|live| !live.contains(&hash)),
                    "{hash} was in use and is gone"
                );
                self.blobs.remove(&hash);
            }
            Err(Error::InUse { hash: h, .. }) => {
                assert_eq!(h, hash);
                assert!(live.is_none_or(|live| live.contains(&hash)));
            }
            Err(Error::Root { .. }) => assert!(live.is_none()),
            other => panic!("{other:?}"),
        }
    }

    fn plan(&mut self) -> Option<Plan> {
        let mut roots = self.held();
        roots.extend(self.tags.values());
        let live = self.reach(&roots);
        let outcome = self.store().plan_gc();
        let Some(live) = live else {
            assert!(matches!(outcome, Err(Error::Root { .. })), "{outcome:?}");
            return None;
        };
        let plan = outcome.unwrap();
        let items: Vec<_> = plan.items().iter().map(|item| item.hash).collect();
        let dead = self.blobs.keys().filter(|hash| !live.contains(hash));
        assert!(items.iter().eq(dead), "what the plan names");
        assert_eq!(plan.live(), live.len() as u64);
        Some(Plan {
            plan,
            items: items.into_iter().collect(),
            opening: self.opening,
        })
    }

    fn sweep(&mut self, plan: Plan) {
        let Plan {
            plan,
            items,
            opening,
        } = plan;
        let outcome = self.store.as_ref().unwrap().sweep(plan);
        let gone: BTreeSet<Hash> = if opening == self.opening {
            let mut roots = self.held();
            roots.extend(&self.touched);
            // What was held before the plan was made is not in it, readable or not.
            let touched = self.reach(&self.touched);
            self.forget_touched();
            let Some(touched) = touched else {
                if items.is_empty() {
                    assert!(outcome.unwrap().removed.is_empty());
                } else {
                    assert!(matches!(outcome, Err(Error::Root { .. })), "{outcome:?}");
                }
                return;
            };
            let held: BTreeSet<_> = roots.iter().map(|value| value.hash).collect();
            let lives = |hash: &&Hash| held.contains(hash) || touched.contains(hash);
            let there = |hash: &&Hash| self.blobs.contains_key(hash);
            let gone = items.iter().filter(|hash| !lives(hash)).filter(there);
            gone.copied().collect()
        } else {
            BTreeSet::new()
        };
        let swept = outcome.unwrap();
        let found = removed(&swept);
        assert!(found.iter().eq(&gone), "what the sweep removed");
        let others: BTreeSet<_> = items.difference(&gone).copied().collect();
        assert!(spared(&swept).iter().eq(&others), "what the sweep spared");
        assert!(
            swept
                .spared
                .iter()
                .all(|one| matches!(one.reason, Reason::Changed))
        );
        for hash in gone {
            self.blobs.remove(&hash);
        }
    }

    fn reopen(&mut self, end: End) {
        self.store = None;
        match end {
            End::Drop => false,
            End::Kill => self.harness.kill(),
            End::PowerLoss => self.harness.lose_power(),
        };
        self.store = Some(open(&self.harness));
        self.opening += 1;
        // Temporary tags of a store that is no more hold nothing.
        self.held.clear();
        self.touched.clear();
        for blob in self.blobs.values_mut() {
            blob.is_proved = false;
        }
    }

    fn read(&self, content: &Content, at: &Index, len: u32) {
        let Content { hash, data, .. } = content;
        let outcome = self.store().reader(*hash);
        if !self.blobs.contains_key(hash) {
            assert!(matches!(outcome, Err(Error::NotFound(h)) if h == *hash));
            return;
        }
        let reader = outcome.unwrap();
        let at = at.index(data.len() + 5);
        let mut buf = vec![0; usize::try_from(len % 40_000).unwrap()];
        let read = read_full_at(&reader, &mut buf, at as u64).unwrap();
        let expected = data.get(at..).unwrap_or_default();
        assert!(buf[..read] == expected[..expected.len().min(buf.len())]);
        assert_eq!(reader.size().unwrap(), data.len() as u64);
    }

    /// Listing, tags and contents are those of the model.
    fn check_store(&self, store: &StoreOf<H>) {
        let listed: Vec<_> = store
            .blobs()
            .map(|blob| (blob.hash, blob.location))
            .collect();
        let expected: Vec<_> = self
            .blobs
            .iter()
            .map(|(hash, blob)| {
                let location = match (blob.is_owned, blob.is_external) {
                    (true, true) => Location::Both,
                    (true, false) => Location::Owned,
                    (false, _) => Location::External,
                };
                (*hash, location)
            })
            .collect();
        assert_eq!(listed, expected);
        assert_eq!(*store.tags().unwrap(), self.tags);
        for content in &self.contents {
            match store.read(content.hash, 1 << 20) {
                Ok(found) => {
                    assert!(found == content.data, "wrong bytes");
                    assert!(self.blobs.contains_key(&content.hash));
                }
                Err(Error::NotFound(_)) => assert!(!self.blobs.contains_key(&content.hash)),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The files of the place are those of FORMAT.md, and no others.
    fn check_files(&self) {
        let mut expected = Files::new();
        let tags: Vec<_> = self.tags.iter().map(|(t, v)| (t.as_bytes(), *v)).collect();
        expected.insert(FileName::Tags, tags_file(&tags));
        for content in &self.contents {
            let hash = content.hash;
            let Some(blob) = self.blobs.get(&hash) else {
                continue;
            };
            if blob.is_owned {
                expected.insert(FileName::Data(hash), content.data.clone());
            }
            if blob.is_external {
                let file = paths_file(&[content.path.as_str()]);
                expected.insert(FileName::Paths(hash), file);
            }
            if content.data.len() > GROUP {
                expected.insert(FileName::Outboard(hash), content.outboard.clone());
            }
        }
        assert_files(&self.harness, &expected);
    }
}

fn stage<H: StoreHarness>(
    batch: &mut flatbao_core::store::Batch<'_, H::Backend>,
    content: &Content,
    import: &Import,
) -> (Hash, u64) {
    let options = ImportOptions::default().format(match import.is_sequence {
        true => BlobFormat::HashSeq,
        false => BlobFormat::Raw,
    });
    match import.source {
        Source::Bytes => batch.import_bytes(&content.data, options),
        Source::File => batch.import_file_with(&content.path, options, &mut unwatched),
        Source::Reference => batch.import_reference_with(&content.path, options, &mut unwatched),
    }
    .unwrap()
}
