//! Commands that write, drawn at random, with what each of them may change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use flatbao_core::Hash;
use serde_json::Value;

use super::{
    Model, Pool, Random,
    model::{Ranges, Target, is_within, ranges},
};
use crate::common::{Ran, Scene};

/// Names of tags: few, so that they are taken.
const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
/// With more tags than these some go.
const MANY: usize = 10;

pub(crate) struct Command {
    /// What takes about the same time.
    pub(crate) kind: String,
    pub(crate) args: Vec<String>,
    pub(crate) changes: Changes,
    pub(crate) codes: &'static [i32],
    /// What was spoiled for it to mend.
    pub(crate) damage: Option<Damage>,
}

/// What a command was told to change.
#[derive(Clone, Default)]
pub(crate) struct Changes {
    /// A tag, and what it names then.
    pub(crate) tag: Option<(String, Option<Target>)>,
    /// What a tag may name that gets a name of its own.
    pub(crate) automatic: Option<Target>,
    /// Blobs that come.
    pub(crate) fills: BTreeSet<Hash>,
    /// Of the blob that comes, what it said that it still lacks.
    pub(crate) partly: Option<(Hash, Ranges)>,
    /// Blobs that go.
    pub(crate) drops: BTreeSet<Hash>,
    /// Files that come outside the store.
    pub(crate) exports: BTreeMap<String, Hash>,
}

/// A blob of whose files one was spoiled.
pub(crate) struct Damage {
    hash: Hash,
    /// The bytes of it that are wrong.
    wrong: Ranges,
}

impl Command {
    /// One that makes sense for what is there.
    pub(crate) fn draw(random: &mut Random, scene: &Scene, pool: &Pool, model: &Model) -> Self {
        loop {
            let drawn = match random.below(20) {
                0..=3 => Some(add(random, pool)),
                4..=5 => Some(add_folder(random, pool)),
                6..=9 => receive(random, pool, model),
                10..=11 => tag_set(random, model),
                12..=13 => tag_rm(random, model),
                14 => Some(collect(pool, model)),
                15 => remove(random, pool, model),
                16..=17 => export(random, scene, pool, model),
                _ => repair(random, scene, pool, model),
            };
            match drawn {
                Some(drawn) if drawn.changes.tag.is_none() || model.tags.len() < MANY => {
                    return drawn;
                }
                // Fewer of them, so that looking at what they name stays quick.
                Some(_) => return tag_rm(random, model).unwrap_or_else(|| collect(pool, model)),
                None => {}
            }
        }
    }

    /// The objects that it printed.
    pub(crate) fn told(&self, ran: &Ran) -> Vec<Value> {
        let mut told = ran.json();
        // An error is one, too.
        told.retain(|line| line.get("error").is_none());
        told
    }

    fn new(kind: &str, args: &[&str], changes: Changes) -> Self {
        let args = args.iter().chain(&["--json"]);
        Self {
            kind: kind.to_owned(),
            args: args.map(|arg| (*arg).to_owned()).collect(),
            changes,
            codes: &[0],
            damage: None,
        }
    }

    /// Of which size what it works on is.
    fn sized(mut self, size: usize) -> Self {
        let class = match size {
            0..100_000 => "small",
            100_000..1_000_000 => "large",
            _ => "huge",
        };
        self.kind = format!("{} {class}", self.kind);
        self
    }
}

impl Changes {
    /// Once it is done, it has done what it said.
    pub(crate) fn settle(&mut self, told: &[Value], model: &Model) {
        let Some(last) = told.last() else { return };
        if let Some(name) = last["tag"].as_str() {
            let target = self
                .automatic
                .or(self.tag.as_ref().and_then(|(_, target)| *target));
            self.tag = Some((name.to_owned(), target));
        } else if self.automatic.is_some() {
            // It has one already.
            self.tag = None;
        }
        if last["state"] == "partial" {
            let hash = last["hash"].as_str().unwrap().parse().unwrap();
            self.partly = Some((hash, ranges(&last["missing"])));
        }
        let said = |hash: &Hash| told.iter().any(|line| line["hash"] == hash.to_string());
        let there =
            |hash: &&Hash| model.complete.contains(hash) || model.partial.contains_key(hash);
        let silent = self.drops.iter().filter(there).find(|hash| !said(hash));
        assert_eq!(silent, None, "{told:?}");
    }
}

/// Names a blob by one of the names or by one of its own, or not at all.
fn tagging(random: &mut Random, target: Target, args: &mut Vec<&str>) -> Changes {
    let mut changes = Changes::default();
    match random.below(6) {
        0 => changes.automatic = Some(target),
        1 => args.push("--no-tag"),
        _ => {
            let name = NAMES[random.below(NAMES.len())];
            args.extend(["--tag", name]);
            changes.tag = Some((name.to_owned(), Some(target)));
        }
    }
    changes
}

fn add(random: &mut Random, pool: &Pool) -> Command {
    let file = &pool.files[random.below(pool.files.len())];
    let in_place = random.one_in(3);
    let mut args = vec!["add", &file.path];
    if in_place {
        args.push("--in-place");
    }
    let mut changes = tagging(random, (file.hash, false), &mut args);
    changes.fills.insert(file.hash);
    let kind = if in_place { "add in place" } else { "add" };
    Command::new(kind, &args, changes).sized(file.size)
}

fn add_folder(random: &mut Random, pool: &Pool) -> Command {
    let folder = &pool.folders[random.below(pool.folders.len())];
    let in_place = random.one_in(3);
    let mut args = vec!["add", &folder.path];
    if in_place {
        args.push("--in-place");
    }
    let mut changes = tagging(random, (folder.hash, true), &mut args);
    changes.fills.clone_from(&folder.blobs);
    Command::new("add folder", &args, changes).sized(folder.size)
}

fn receive(random: &mut Random, pool: &Pool, model: &Model) -> Option<Command> {
    // What has begun goes on, as often as not.
    let begun = |hash: &Hash| model.partial.contains_key(hash);
    let begun = pool
        .files
        .iter()
        .filter(|file| begun(&file.hash))
        .collect::<Vec<_>>();
    let file = match random.pick(&begun) {
        Some(file) if random.one_in(2) => file,
        _ => random.pick(&pool.files)?,
    };
    let (stream, range) = random.pick(&file.streams)?;
    let hash = file.hash.to_string();
    let mut args = vec!["receive", &hash, stream, "--range", range];
    let mut changes = tagging(random, (file.hash, false), &mut args);
    changes.fills.insert(file.hash);
    let mut command = Command::new("receive", &args, changes).sized(file.size);
    if command.changes.tag.is_some() {
        // While there is only a part of it, it may have another tag.
        command.changes.automatic = Some((file.hash, false));
    }
    // A stream that was cut off.
    command.codes = &[0, 3];
    Some(command)
}

fn tag_set(random: &mut Random, model: &Model) -> Option<Command> {
    let tags: Vec<_> = model.tags.iter().collect();
    let (from, target) = random.pick(&tags)?;
    let name = NAMES[random.below(NAMES.len())];
    let changes = Changes {
        tag: Some((name.to_owned(), Some(**target))),
        ..Changes::default()
    };
    Some(Command::new(
        "tag set",
        &["tag", "set", name, from],
        changes,
    ))
}

fn tag_rm(random: &mut Random, model: &Model) -> Option<Command> {
    let names: Vec<_> = model.tags.keys().collect();
    let name = *random.pick(&names)?;
    let changes = Changes {
        tag: Some((name.clone(), None)),
        ..Changes::default()
    };
    Some(Command::new("tag rm", &["tag", "rm", name], changes))
}

fn collect(pool: &Pool, model: &Model) -> Command {
    let changes = Changes {
        drops: model.loose(pool),
        ..Changes::default()
    };
    Command::new("gc", &["gc"], changes)
}

fn remove(random: &mut Random, pool: &Pool, model: &Model) -> Option<Command> {
    let loose: Vec<Hash> = model.loose(pool).into_iter().collect();
    let hash = *random.pick(&loose)?;
    let changes = Changes {
        drops: BTreeSet::from([hash]),
        ..Changes::default()
    };
    Some(Command::new("rm", &["rm", &hash.to_string()], changes))
}

/// Moves a file or a folder out, to where nothing is yet.
fn export(random: &mut Random, scene: &Scene, pool: &Pool, model: &Model) -> Option<Command> {
    let dest = (0..)
        .map(|at| format!("out/{at}"))
        .find(|dest| !scene.path(dest).exists())?;
    let folders = pool
        .folders
        .iter()
        .filter(|folder| folder.blobs.is_subset(&model.complete));
    let folders: Vec<_> = folders.collect();
    if let (Some(folder), true) = (random.pick(&folders), random.one_in(3)) {
        let files = folder.files.iter();
        let changes = Changes {
            exports: files
                .map(|(name, hash)| (format!("{dest}/{name}"), *hash))
                .collect(),
            ..Changes::default()
        };
        let hash = folder.hash.to_string();
        let args = ["export", &hash, &dest, "--in-place"];
        return Some(Command::new("export folder", &args, changes).sized(folder.size));
    }
    let there = pool
        .files
        .iter()
        .filter(|file| model.complete.contains(&file.hash));
    let file = *random.pick(&there.collect::<Vec<_>>())?;
    let changes = Changes {
        exports: BTreeMap::from([(dest.clone(), file.hash)]),
        ..Changes::default()
    };
    let args = ["export", &file.hash.to_string(), &dest, "--in-place"];
    Some(Command::new("export", &args, changes).sized(file.size))
}

/// Spoils a file of a blob, if there is one that can be spoiled, and repairs everything.
fn repair(random: &mut Random, scene: &Scene, pool: &Pool, model: &Model) -> Option<Command> {
    let is_owned = |hash: &&Hash| pool.bytes(**hash).is_some() && scene.data(**hash).exists();
    let owned: Vec<&Hash> = model.complete.iter().filter(is_owned).collect();
    let hash = **random.pick(&owned)?;
    let damage = Damage::new(random, scene, hash)?;
    let size = pool.bytes(hash)?.len();
    let mut command = Command::new("repair", &["repair"], Changes::default()).sized(size);
    // Part of it is gone, and somebody has to bring it.
    command.codes = &[0, 3];
    command.damage = Some(damage);
    Some(command)
}

impl Damage {
    fn new(random: &mut Random, scene: &Scene, hash: Hash) -> Option<Self> {
        let path = scene.data(hash);
        let outboard = path.with_extension("obao4");
        if outboard.exists() && random.one_in(3) {
            fs::remove_file(outboard).unwrap();
            let wrong = Vec::new();
            return Some(Self { hash, wrong });
        }
        let mut bytes = fs::read(&path).unwrap();
        if bytes.is_empty() {
            return None;
        }
        let at = random.below(bytes.len());
        bytes[at] ^= 1;
        // As a new file: the old one may have a second name, outside, by an export that died.
        fs::remove_file(&path).unwrap();
        fs::write(&path, &bytes).unwrap();
        let start = at as u64 / 16_384 * 16_384;
        let end = (start + 16_384).min(bytes.len() as u64);
        let wrong = vec![(start, Some(end))];
        Some(Self { hash, wrong })
    }

    /// Ends the repair, which lost nothing but what was wrong, and adds the content again.
    pub(crate) fn mend(&self, scene: &Scene, pool: &Pool) {
        let ran = scene.run(["repair", "--json"]);
        assert!([0, 3].contains(&ran.code), "{ran:?}");
        let hex = self.hash.to_string();
        let told = scene.ok(["receive", &hex, "--missing", "--json"]);
        let mut lacking = ranges(&told.object()["missing"]);
        let bytes = pool.bytes(self.hash).unwrap();
        for (_, end) in &mut lacking {
            // Without the last group nothing proves the size.
            end.get_or_insert(bytes.len() as u64);
        }
        assert!(
            is_within(&lacking, &self.wrong),
            "{lacking:?}, {:?}",
            self.wrong
        );
        scene.write("again", bytes);
        scene.ok(["add", "again", "--no-tag"]);
    }
}
