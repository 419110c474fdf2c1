//! What the directories of a simulated disk hold: in the cache, on the disk, and in between.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    sync::Arc,
};

/// A file, a directory or anything else on one disk.
pub(crate) type NodeId = u64;

/// The entries of one directory.
pub(crate) type Names = BTreeMap<Arc<OsStr>, NodeId>;

/// Which entry of which directory.
type Place = (NodeId, Arc<OsStr>);

/// One step of creating, renaming or removing: from now on this entry of this directory is that node.
#[derive(Debug, Clone)]
pub(crate) struct Effect {
    pub(crate) dir: NodeId,
    pub(crate) name: Arc<OsStr>,
    pub(crate) node: Option<NodeId>,
}

impl Effect {
    fn place(&self) -> Place {
        (self.dir, Arc::clone(&self.name))
    }

    fn apply(&self, tree: &mut BTreeMap<NodeId, Names>) {
        let names = tree.entry(self.dir).or_default();
        match self.node {
            Some(node) => names.insert(Arc::clone(&self.name), node),
            None => names.remove(&self.name),
        };
    }
}

/// A creation, a rename or a removal that no directory sync has made durable. It happens as a whole or not
/// at all: a rename has two effects, in one directory or in two.
#[derive(Debug, Clone)]
pub(crate) struct NameChange {
    effects: Vec<Effect>,
    /// A sync failed that should have made it durable. It may still reach the disk by itself, so that it
    /// stays in the log, but no sync takes it there.
    lost: bool,
}

/// The entries of all directories.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    cache: Arc<BTreeMap<NodeId, Names>>,
    disk: Arc<BTreeMap<NodeId, Names>>,
    /// What separates `cache` from `disk`, oldest first. An explorer of crashes picks from here.
    log: Vec<NameChange>,
}

impl Tree {
    /// What the directory holds, as calls see it.
    pub(crate) fn names(&self, dir: NodeId) -> Option<&Names> {
        self.cache.get(&dir)
    }

    pub(crate) fn get(&self, dir: NodeId, name: &OsStr) -> Option<NodeId> {
        self.cache.get(&dir)?.get(name).copied()
    }

    /// A new, empty, durable directory.
    pub(crate) fn add_dir(&mut self, dir: NodeId) {
        for side in [&mut self.cache, &mut self.disk] {
            Arc::make_mut(side).insert(dir, Names::new());
        }
    }

    /// Changes names in the cache; a sync of one of the directories makes it durable.
    pub(crate) fn change(&mut self, effects: Vec<Effect>) {
        for effect in &effects {
            effect.apply(Arc::make_mut(&mut self.cache));
        }
        self.log.push(NameChange {
            effects,
            lost: false,
        });
    }

    /// Changes one name in cache and disk alike.
    pub(crate) fn plant(&mut self, effect: Effect) {
        self.change(vec![effect]);
        let newest = self.log.len() - 1;
        self.commit(&self.with_older(|index, _| index == newest));
    }

    /// Everything that waits for a sync of `dir` becomes durable, in order. A rename between two
    /// directories is one change and waits for either; what it builds on comes along with it.
    pub(crate) fn sync(&mut self, dir: NodeId) {
        self.commit(&self.waiting_for(dir));
    }

    /// A sync fails: what it should have made durable is left behind by every later one.
    pub(crate) fn fail_sync(&mut self, dir: NodeId) {
        let waiting = self.waiting_for(dir);
        for (change, waits) in self.log.iter_mut().zip(waiting) {
            change.lost |= waits;
        }
    }

    fn waiting_for(&self, dir: NodeId) -> Vec<bool> {
        self.with_older(|_, change| change.effects.iter().any(|e| e.dir == dir))
    }

    /// The changes that are asked for, and the older ones of the same entries: without these the outcome
    /// would be one that never was. What a failed sync lost is never among them.
    fn with_older(&self, asked: impl Fn(usize, &NameChange) -> bool) -> Vec<bool> {
        let mut needed = BTreeSet::new();
        let mut chosen = vec![false; self.log.len()];
        for (index, change) in self.log.iter().enumerate().rev() {
            let mut places = change.effects.iter().map(Effect::place);
            if !change.lost && (asked(index, change) || places.any(|p| needed.contains(&p))) {
                chosen[index] = true;
                needed.extend(change.effects.iter().map(Effect::place));
            }
        }
        chosen
    }

    fn commit(&mut self, chosen: &[bool]) {
        let mut written = BTreeSet::new();
        for (change, _) in self.log.iter().zip(chosen).filter(|(_, chosen)| **chosen) {
            for effect in &change.effects {
                effect.apply(Arc::make_mut(&mut self.disk));
                written.insert(effect.place());
            }
        }
        let mut chosen = chosen.iter();
        self.log.retain(|change| {
            // What was lost must not come back over what is newer.
            let superseded = || change.effects.iter().any(|e| written.contains(&e.place()));
            chosen.next() == Some(&false) && !(change.lost && superseded())
        });
    }

    /// The names that a power loss leaves: those of the cache for a directory that `keeps` them, those of
    /// the disk for another. A rename between two directories needs the same answer for both.
    pub(crate) fn image(&self, keeps: impl Fn(NodeId) -> bool) -> Self {
        let names = self.cache.iter().map(|(dir, cached)| {
            let names = if keeps(*dir) {
                Some(cached)
            } else {
                self.disk.get(dir)
            };
            (*dir, names.cloned().unwrap_or_default())
        });
        let names: Arc<BTreeMap<_, _>> = Arc::new(names.collect());
        Self {
            cache: Arc::clone(&names),
            disk: names,
            log: Vec::new(),
        }
    }

    /// For each change that no sync has made durable, a directory that it is in.
    pub(crate) fn pending(&self) -> impl Iterator<Item = NodeId> {
        // Every change has an effect.
        let dir = |change: &NameChange| change.effects.first().map_or(0, |effect| effect.dir);
        self.log.iter().map(dir)
    }

    /// The steps of all changes that no sync has made durable.
    pub(crate) fn effects(&self) -> impl Iterator<Item = &Effect> {
        self.log.iter().flat_map(|change| &change.effects)
    }

    /// For each change the older ones that it builds on: those of the same entries. What a failed sync lost nothing
    /// builds on.
    pub(crate) fn foundations(&self) -> Vec<Vec<usize>> {
        let mut changed: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
        let each = self.log.iter().enumerate().map(|(index, change)| {
            let mut older = BTreeSet::new();
            for effect in &change.effects {
                let before = changed.entry(effect.place()).or_default();
                older.extend(before.iter().copied());
                if !change.lost {
                    before.push(index);
                }
            }
            older.remove(&index);
            older.into_iter().collect()
        });
        each.collect()
    }

    /// The names that a power loss leaves which kept just these changes.
    pub(crate) fn keeping(&self, kept: &[bool]) -> Self {
        let mut names = BTreeMap::clone(&self.disk);
        for (change, _) in self.log.iter().zip(kept).filter(|(_, kept)| **kept) {
            change
                .effects
                .iter()
                .for_each(|effect| effect.apply(&mut names));
        }
        let names = Arc::new(names);
        Self {
            cache: Arc::clone(&names),
            disk: names,
            log: Vec::new(),
        }
    }

    /// Every directory with what calls see in it.
    pub(crate) fn dirs(&self) -> impl Iterator<Item = (NodeId, &Names)> {
        self.cache.iter().map(|(dir, names)| (*dir, names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = 1;
    const B: NodeId = 2;

    fn set(dir: NodeId, name: &str, node: impl Into<Option<NodeId>>) -> Effect {
        Effect {
            dir,
            name: OsStr::new(name).into(),
            node: node.into(),
        }
    }

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.add_dir(A);
        tree.add_dir(B);
        tree
    }

    fn after(tree: &Tree) -> Vec<(NodeId, String, NodeId)> {
        let mut all = Vec::new();
        for (dir, names) in &*tree.image(|_| false).cache {
            for (name, node) in names {
                all.push((*dir, name.to_string_lossy().into_owned(), *node));
            }
        }
        all
    }

    #[test]
    fn a_sync_is_about_one_directory() {
        let mut tree = tree();
        tree.change(vec![set(A, "x", 7)]);
        tree.change(vec![set(B, "y", 8)]);
        assert_eq!(after(&tree), []);
        tree.sync(B);
        assert_eq!(after(&tree), [(B, "y".into(), 8)]);
        tree.sync(A);
        assert_eq!(after(&tree), [(A, "x".into(), 7), (B, "y".into(), 8)]);
    }

    #[test]
    fn a_rename_between_directories_waits_for_either_sync() {
        for dir in [A, B] {
            let mut tree = tree();
            tree.change(vec![set(A, "x", 7)]);
            tree.change(vec![set(A, "x", None), set(B, "y", 7)]);
            tree.sync(dir);
            assert_eq!(after(&tree), [(B, "y".into(), 7)], "{dir}");
            assert!(tree.log.is_empty());
        }
    }

    /// The older `B/y` must not come back over the newer one by a later sync of `B`.
    #[test]
    fn older_changes_of_the_same_entry_come_first() {
        let mut tree = tree();
        tree.change(vec![set(B, "y", 6)]);
        tree.change(vec![set(B, "z", 5)]);
        tree.change(vec![set(A, "x", None), set(B, "y", 7)]);
        tree.sync(A);
        assert_eq!(after(&tree), [(B, "y".into(), 7)]);
        tree.sync(B);
        assert_eq!(after(&tree), [(B, "y".into(), 7), (B, "z".into(), 5)]);
    }

    #[test]
    fn what_a_failed_sync_lost_stays_lost() {
        let mut tree = tree();
        tree.change(vec![set(A, "x", 7)]);
        tree.change(vec![set(A, "y", 8)]);
        tree.fail_sync(A);
        tree.sync(A);
        assert_eq!(after(&tree), []);
        tree.change(vec![set(A, "x", 9)]);
        tree.sync(A);
        assert_eq!(after(&tree), [(A, "x".into(), 9)]);
        assert_eq!(
            tree.log.len(),
            1,
            "y may reach the disk, the older x no more"
        );
        assert_eq!(tree.image(|_| true).names(A).unwrap().len(), 2);
    }
}
