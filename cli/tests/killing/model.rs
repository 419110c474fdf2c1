//! What a store has to have: all that was acknowledged, and of what was under way the old or the new.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use flatbao_core::{FileName, Hash};
use serde_json::Value;

use super::{
    Pool,
    commands::{Changes, Command},
};
use crate::common::{Ran, Scene};

/// Where the store is.
pub(crate) const STORE: &str = ".flatbao";

/// What the tag names, and whether as a hash sequence.
pub(crate) type Target = (Hash, bool);

/// The store, as it was seen when the last command had ended, however that ended.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) tags: BTreeMap<String, Target>,
    pub(crate) complete: BTreeSet<Hash>,
    /// The partial blobs, each with the bytes that it lacks.
    pub(crate) partial: BTreeMap<Hash, Ranges>,
    /// Files that the store was told to move out, by their paths: it may refer to them.
    pub(crate) exported: BTreeMap<String, Hash>,
}

/// First byte, and the one after the last: none for those to an end that is not known.
pub(crate) type Ranges = Vec<(u64, Option<u64>)>;

/// How a command ended.
pub(crate) enum Outcome {
    Killed,
    Done(Ran),
}

impl Model {
    /// Looks at everything, and holds it against what was there and what the command may have changed of it.
    pub(crate) fn check(
        &mut self,
        scene: &Scene,
        pool: &Pool,
        command: &Command,
        outcome: &Outcome,
    ) {
        let seen = Self::see(scene);
        let mut may = command.changes.clone();
        if let Outcome::Done(ran) = outcome {
            let codes = command.codes;
            assert!(codes.contains(&ran.code), "{ran:?}");
            may.settle(&command.told(ran), self);
            assert_eq!(ephemeral(scene, STORE), [""; 0]);
        }
        let is_done = matches!(outcome, Outcome::Done(_));
        self.check_tags(&seen, &may, is_done);
        self.check_blobs(&seen, &may, is_done);
        seen.check_proved(scene);
        let exported = std::mem::take(&mut self.exported);
        *self = seen;
        self.exported = exported;
        self.check_bytes(scene, pool);
        self.check_outside(scene, pool, &may, is_done);
    }

    fn see(scene: &Scene) -> Self {
        let mut seen = Self::default();
        for line in scene.ok(["tag", "ls", "--json"]).json() {
            let name = line["name"].as_str().unwrap().to_owned();
            let target = (hash(&line), line["format"] == "hashseq");
            seen.tags.insert(name, target);
        }
        for line in scene.ok(["ls", "--partial", "--json"]).json() {
            let hash = hash(&line);
            if line["state"] == "complete" {
                seen.complete.insert(hash);
                continue;
            }
            let hex = hash.to_string();
            let told = scene.ok(["receive", &hex, "--missing", "--json"]);
            seen.partial.insert(hash, ranges(&told.object()["missing"]));
        }
        seen
    }

    /// Nothing is wrong with any of it, but that of some tagged blobs there is only a part.
    fn check_proved(&self, scene: &Scene) {
        let verified = scene.run(["verify", "--json"]);
        let is_part = |line: &Value| {
            line["finding"] == "dangling_tag" && self.partial.contains_key(&hash(line))
        };
        let mut wrong = verified.json();
        wrong.retain(|line| line["ok"] == false);
        assert!(wrong.iter().all(is_part), "{wrong:#?}");
        let code = if wrong.is_empty() { 0 } else { 3 };
        assert_eq!((verified.code, verified.err.as_str()), (code, ""));
    }

    /// Every tag is as it was but those that the command was told to change: of a dead one they are the old or
    /// the new ones, and never something between.
    fn check_tags(&self, seen: &Self, may: &Changes, is_done: bool) {
        let mut expected = self.tags.clone();
        if let Some((name, new)) = &may.tag
            && (is_done || seen.tags.get(name) == new.as_ref())
        {
            match new {
                Some(target) => drop(expected.insert(name.clone(), *target)),
                None => drop(expected.remove(name)),
            }
        }
        if let (false, Some(target)) = (is_done, may.automatic) {
            let is_new = |name: &String| name.starts_with("auto-") && !expected.contains_key(name);
            let new = seen.tags.iter().find(|(name, _)| is_new(name));
            if let Some((name, found)) = new {
                assert_eq!(*found, target, "{name}");
                expected.insert(name.clone(), target);
            }
        }
        assert_eq!(seen.tags, expected);
    }

    fn check_blobs(&self, seen: &Self, may: &Changes, is_done: bool) {
        let is_seen = |hash: &Hash| seen.complete.contains(hash) || seen.partial.contains_key(hash);
        for hash in &self.complete {
            assert!(
                seen.complete.contains(hash) || may.drops.contains(hash),
                "{hash} is gone"
            );
        }
        for (hash, lacked) in &self.partial {
            let Some(lacking) = seen.partial.get(hash) else {
                let is_whole = seen.complete.contains(hash);
                assert!(is_whole || may.drops.contains(hash), "{hash} is gone");
                continue;
            };
            assert!(
                is_within(lacking, lacked),
                "{hash}: {lacking:?}, {lacked:?}"
            );
        }
        for hash in seen.complete.iter().chain(seen.partial.keys()) {
            let was_there = self.complete.contains(hash) || self.partial.contains_key(hash);
            assert!(was_there || may.fills.contains(hash), "{hash} is new");
        }
        if !is_done {
            return;
        }
        match &may.partly {
            Some((hash, lacking)) => assert_eq!(seen.partial.get(hash), Some(lacking), "{hash}"),
            None => {
                let made = may.fills.iter().find(|hash| !seen.complete.contains(hash));
                assert_eq!(made, None, "was not made");
            }
        }
        let left = may.drops.iter().find(|hash| is_seen(hash));
        assert_eq!(left, None, "was not dropped");
    }

    /// Whatever a tag names reads back, byte for byte.
    fn check_bytes(&self, scene: &Scene, pool: &Pool) {
        let by_hash: BTreeMap<Hash, &String> = self
            .tags
            .iter()
            .map(|(name, (hash, _))| (*hash, name))
            .collect();
        for (hash, tag) in by_hash {
            if let Some(folder) = pool.folder_of(hash) {
                scene.ok(["get", tag, "got"]);
                for (name, hash) in &folder.files {
                    let found = fs::read(scene.path("got").join(name)).unwrap();
                    assert!(Some(&found) == pool.bytes(*hash), "{tag}/{name}");
                }
                fs::remove_dir_all(scene.path("got")).unwrap();
                continue;
            }
            let bytes = pool.bytes(hash).unwrap();
            let Some(lacking) = self.partial.get(&hash) else {
                assert!(scene.ok(["cat", tag]).bytes == *bytes, "{tag}");
                continue;
            };
            for range in between(lacking, bytes.len()) {
                let text = format!("{}..{}", range.start, range.end);
                let read = scene.ok(["cat", tag, "--range", &text]);
                assert!(read.bytes == bytes[range], "{tag} {text}");
            }
        }
    }

    /// What was moved out stays as it is, and so does everything that was there before.
    fn check_outside(&mut self, scene: &Scene, pool: &Pool, may: &Changes, is_done: bool) {
        pool.assert_untouched(scene);
        for (path, hash) in &may.exports {
            if is_done || scene.path(path).exists() {
                self.exported.insert(path.clone(), *hash);
            }
        }
        for (path, hash) in &self.exported {
            let found = fs::read(scene.path(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
            assert!(Some(&found) == pool.bytes(*hash), "{path}");
        }
        for path in outside(scene) {
            assert!(
                self.exported.contains_key(&path) || is_temporary(&path),
                "{path} is new"
            );
        }
    }

    /// What tags reach.
    pub(crate) fn reached(&self, pool: &Pool) -> BTreeSet<Hash> {
        let blobs = |(hash, is_sequence): &Target| match pool.folder_of(*hash) {
            Some(folder) if *is_sequence => folder.blobs.clone(),
            _ => BTreeSet::from([*hash]),
        };
        self.tags.values().flat_map(blobs).collect()
    }

    /// What is there, and nothing reaches.
    pub(crate) fn loose(&self, pool: &Pool) -> BTreeSet<Hash> {
        let reached = self.reached(pool);
        let there = self.complete.iter().chain(self.partial.keys());
        there
            .filter(|hash| !reached.contains(hash))
            .copied()
            .collect()
    }
}

/// A store's files that mean nothing without the process that wrote them.
pub(crate) fn ephemeral(scene: &Scene, store: &str) -> Vec<String> {
    let entries = fs::read_dir(scene.path(store)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_ephemeral =
        |name: &String| FileName::parse(name.as_ref()).is_some_and(|name| name.is_ephemeral());
    names.filter(is_ephemeral).collect()
}

/// The files that were moved out, and what is left of those that were about to be.
fn outside(scene: &Scene) -> impl Iterator<Item = String> {
    let entries = walkdir::WalkDir::new(scene.path("out")).into_iter();
    let files = entries
        .flatten()
        .filter(|entry| entry.file_type().is_file());
    let root = scene.path("");
    files.map(move |file| {
        let path = file.path().strip_prefix(&root).unwrap();
        path.to_str().unwrap().to_owned()
    })
}

fn is_temporary(path: &str) -> bool {
    let (_, name) = path.rsplit_once('/').unwrap();
    name.starts_with(".flatbao-") && name.ends_with(".tmp")
}

/// How many files outside an export has begun that was killed: nobody knows of them any more.
pub(crate) fn abandoned(scene: &Scene) -> usize {
    outside(scene).filter(|path| is_temporary(path)).count()
}

fn hash(line: &Value) -> Hash {
    line["hash"].as_str().unwrap().parse().unwrap()
}

pub(crate) fn ranges(told: &Value) -> Ranges {
    let pairs = told.as_array().unwrap().iter();
    pairs
        .map(|pair| (pair[0].as_u64().unwrap(), pair[1].as_u64()))
        .collect()
}

/// Whether every one of these ranges is in one of those, none of which touches another.
pub(crate) fn is_within(these: &Ranges, those: &Ranges) -> bool {
    let end = |end: &Option<u64>| end.unwrap_or(u64::MAX);
    these.iter().all(|(from, to)| {
        those
            .iter()
            .any(|(first, last)| first <= from && end(to) <= end(last))
    })
}

/// What is there of a blob that lacks these.
fn between(lacking: &Ranges, len: usize) -> Vec<std::ops::Range<usize>> {
    let at = |byte: u64| usize::try_from(byte).unwrap().min(len);
    let mut there = Vec::new();
    let mut from = 0;
    for (first, last) in lacking {
        there.push(from..at(*first));
        from = last.map_or(len, at);
    }
    there.push(from..len);
    there.retain(|range| !range.is_empty());
    there
}
