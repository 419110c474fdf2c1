//! Every state that a power loss may leave a disk in.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fmt,
};

use crate::{
    SimDisk,
    content::Content,
    machine::{Machine, Node},
    names::{NodeId, Tree},
};

/// In which order changes of names reach a disk that no sync takes them to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameOrder {
    /// In that of the calls, as a journal keeps it (ext4, XFS): a file system has the names of some moment since the
    /// last sync. Several file systems do not wait for each other.
    Journal,
    /// In any (ext2, FAT): each change is there or not, and so is what it builds on. A rename is one change.
    Any,
}

/// The states in which a power loss may leave a disk, one after the other: see [`SimDisk::images`].
pub struct Images {
    machine: Machine,
    order: NameOrder,
    /// The file system of each change of names, by its number.
    file_systems: Vec<usize>,
    /// Which older changes each of them builds on.
    foundations: Vec<Vec<usize>>,
    /// Which changes of names are kept in the next outcome.
    names: Counter,
    /// What may be left of each file that is not whole on the disk, as far as it was asked for.
    bytes: BTreeMap<NodeId, Vec<Content>>,
    /// Whose bytes are of no interest.
    ignored: Box<dyn Fn(&OsStr) -> bool + Send>,
    outcome: Option<Outcome>,
    /// Of the outcome.
    is_in_order: bool,
}

impl Images {
    pub(crate) fn new(machine: Machine, order: NameOrder) -> Self {
        let dirs = machine.tree.pending();
        let file_systems: Vec<usize> = dirs
            .map(|dir| machine.dir(dir).map_or(0, |dir| dir.fs))
            .collect();
        let radices = match order {
            NameOrder::Any => vec![2; file_systems.len()],
            NameOrder::Journal => {
                let of = |fs| file_systems.iter().filter(|other| **other == fs).count();
                (0..machine.roots.len()).map(|fs| of(fs) + 1).collect()
            }
        };
        Self {
            foundations: machine.tree.foundations(),
            machine,
            order,
            file_systems,
            names: Counter::new(radices),
            bytes: BTreeMap::new(),
            ignored: Box::new(|_| false),
            outcome: None,
            is_in_order: true,
        }
    }

    /// The same states, but for the bytes of files that have such names only: of them, what the last sync left is all that
    /// comes. For files that are removed without being read, which makes their bytes one state and not five.
    #[must_use]
    pub fn ignoring(mut self, names: impl Fn(&OsStr) -> bool + Send + 'static) -> Self {
        self.ignored = Box::new(names);
        self
    }

    /// Whether the names of the state that came last may be left by [`NameOrder::Journal`] as well.
    #[must_use]
    pub fn is_in_order(&self) -> bool {
        self.is_in_order
    }

    /// How many changes of names wait for a sync.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.file_systems.len()
    }

    /// No more states than this come: the product of all choices, of which some are never free.
    pub fn at_most(&mut self) -> u64 {
        let mut choices: Vec<usize> = self.names.radices.clone();
        let mut files = BTreeSet::new();
        for (_, names) in self.machine.tree.dirs() {
            files.extend(
                names
                    .iter()
                    .filter(|(name, _)| !(self.ignored)(name))
                    .map(|(_, id)| *id),
            );
        }
        for id in files {
            if let Some(Node::File(file)) = self.machine.nodes.get(&id)
                && !file.content.is_settled()
            {
                let images = || file.content.images();
                choices.push(self.bytes.entry(id).or_insert_with(images).len());
            }
        }
        let product = |all: u64, choice| all.saturating_mul(choice as u64);
        choices.into_iter().fold(1, product)
    }

    /// Whether of each file system the oldest changes are kept.
    fn is_prefix(&self, kept: &[bool]) -> bool {
        let mut missing = BTreeSet::new();
        let mut changes = self.file_systems.iter().zip(kept);
        changes.all(|(fs, kept)| match kept {
            true => !missing.contains(fs),
            false => {
                missing.insert(*fs);
                true
            }
        })
    }

    /// Everything that these names leave.
    fn outcome(&mut self, tree: Tree) -> Outcome {
        let machine = self
            .machine
            .left_by(tree, |_, content| content.image(false));
        let names = machine.tree.dirs().flat_map(|(_, names)| names);
        let mut files = BTreeMap::new();
        for (name, id) in names {
            if let Some(Node::File(file)) = self.machine.nodes.get(id)
                && !(self.ignored)(name)
                && !file.content.is_settled()
            {
                let images = || file.content.images();
                let images = self.bytes.entry(*id).or_insert_with(images);
                files.insert(*id, images.clone());
            }
        }
        let files: Vec<_> = files.into_iter().collect();
        let radices = files.iter().map(|(_, images)| images.len()).collect();
        Outcome {
            machine,
            files,
            bytes: Counter::new(radices),
        }
    }

    /// Which changes of names these digits keep.
    fn chosen(&self, digits: &[usize]) -> Vec<bool> {
        if self.order == NameOrder::Any {
            return digits.iter().map(|digit| *digit == 1).collect();
        }
        let mut left = digits.to_vec();
        let mut keep = |fs: &usize| {
            let keeps = left[*fs] > 0;
            left[*fs] -= usize::from(keeps);
            keeps
        };
        self.file_systems.iter().map(&mut keep).collect()
    }
}

impl Iterator for Images {
    type Item = SimDisk;

    fn next(&mut self) -> Option<SimDisk> {
        loop {
            if let Some(disk) = self.outcome.as_mut().and_then(Iterator::next) {
                return Some(disk);
            }
            let digits = self.names.next()?;
            let kept = self.chosen(&digits);
            let stands = |older: &Vec<usize>| older.iter().all(|older| kept[*older]);
            let mut each = kept.iter().zip(&self.foundations);
            if each.all(|(kept, older)| !kept || stands(older)) {
                self.is_in_order = self.is_prefix(&kept);
                let tree = self.machine.tree.keeping(&kept);
                self.outcome = Some(self.outcome(tree));
            }
        }
    }
}

impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Images")
            .field("order", &self.order)
            .field("changes", &self.changes())
            .finish_non_exhaustive()
    }
}

/// One outcome for the names, with every outcome for the bytes of the files that they lead to.
struct Outcome {
    machine: Machine,
    /// Of the files that these names lead to.
    files: Vec<(NodeId, Vec<Content>)>,
    bytes: Counter,
}

impl Iterator for Outcome {
    type Item = SimDisk;

    fn next(&mut self) -> Option<SimDisk> {
        let digits = self.bytes.next()?;
        let mut machine = self.machine.clone();
        for ((id, images), digit) in self.files.iter().zip(digits) {
            if let Ok(file) = machine.file_mut(*id) {
                file.content = images[digit].clone();
            }
        }
        Some(SimDisk::of(machine))
    }
}

/// All numbers of some digits, of which each has its own radix.
struct Counter {
    radices: Vec<usize>,
    next: Option<Vec<usize>>,
}

impl Counter {
    fn new(radices: Vec<usize>) -> Self {
        let next = Some(vec![0; radices.len()]);
        Self { radices, next }
    }
}

impl Iterator for Counter {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        let now = self.next.take()?;
        let mut after = now.clone();
        for (digit, radix) in after.iter_mut().zip(&self.radices) {
            *digit += 1;
            if *digit < *radix {
                self.next = Some(after);
                break;
            }
            *digit = 0;
        }
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use flatbao_core::{Dir, DirFile};

    use super::*;
    use crate::SimDir;

    /// Everything in a disk's file system `a` and the directory `sub` in it.
    type Seen = Vec<(String, Vec<u8>)>;

    fn seen(disk: &SimDisk) -> Seen {
        let root = disk.file_system("a");
        let sub = root.plant_dir("sub").unwrap();
        let mut seen = Seen::new();
        for dir in [root, sub] {
            for (name, _) in dir.entries() {
                let content = dir.content(&name).unwrap_or_default();
                seen.push((name.to_str().unwrap().to_owned(), content));
            }
        }
        seen
    }

    fn images(disk: &SimDisk, order: NameOrder) -> BTreeSet<Seen> {
        disk.images(order).map(|image| seen(&image)).collect()
    }

    fn with_sub() -> (SimDisk, SimDir, SimDir) {
        let disk = SimDisk::new();
        let root = disk.file_system("a");
        let sub = root.plant_dir("sub").unwrap();
        (disk, root, sub)
    }

    fn create(dir: &SimDir, name: &str, bytes: &[u8], synced: bool) {
        let file = dir.create_new(OsStr::new(name)).unwrap();
        file.write_at(bytes, 0).unwrap();
        if synced {
            file.sync().unwrap();
        }
    }

    #[test]
    fn names_come_in_order_or_in_any() {
        let (disk, root, _) = with_sub();
        for name in ["x", "y", "z"] {
            create(&root, name, b"", true);
        }
        assert_eq!(disk.images(NameOrder::Journal).count(), 4);
        assert_eq!(disk.images(NameOrder::Any).count(), 8);
        root.sync().unwrap();
        for order in [NameOrder::Journal, NameOrder::Any] {
            assert_eq!(disk.images(order).count(), 1);
        }
    }

    #[test]
    fn an_image_tells_whether_its_names_came_in_order() {
        let disk = SimDisk::new();
        for fs in ["a", "b"] {
            let root = disk.file_system(fs);
            create(&root, "x", b"", true);
            create(&root, "y", b"", true);
        }
        let mut images = disk.images(NameOrder::Any);
        let (mut in_order, mut all) = (0, 0);
        while let Some(image) = images.next() {
            let there = |fs: &str, name: &str| image.file_system(fs).content(name).is_some();
            let out_of_order = |fs| there(fs, "y") && !there(fs, "x");
            assert_eq!(
                images.is_in_order(),
                !out_of_order("a") && !out_of_order("b")
            );
            in_order += usize::from(images.is_in_order());
            all += 1;
        }
        assert_eq!((in_order, all), (9, 16));
        assert_eq!(disk.images(NameOrder::Journal).count(), in_order);
    }

    #[test]
    fn a_name_that_is_given_away_is_not_in_two_places() {
        let (disk, root, sub) = with_sub();
        create(&root, "temp", b"bytes", true);
        root.rename(OsStr::new("temp"), &sub, OsStr::new("final"))
            .unwrap();
        for order in [NameOrder::Journal, NameOrder::Any] {
            let names = |seen: &Seen| seen.iter().map(|(name, _)| name.clone()).collect();
            let left: Vec<Vec<String>> = images(&disk, order).iter().map(names).collect();
            assert_eq!(
                left,
                [vec!["sub"], vec!["sub", "final"], vec!["sub", "temp"]]
            );
            assert_eq!(disk.images(order).count(), 3);
        }
        // Nor when it is given away twice, where the second time builds on the first.
        sub.rename(OsStr::new("final"), &root, OsStr::new("last"))
            .unwrap();
        for order in [NameOrder::Journal, NameOrder::Any] {
            let ends = images(&disk, order);
            assert!(ends.iter().all(|seen| seen.len() <= 2), "{ends:?}");
            assert_eq!(disk.images(order).count(), 4);
        }
    }

    #[test]
    fn bytes_are_old_new_cut_or_zero() {
        let (disk, root, _) = with_sub();
        create(&root, "f", b"old!", true);
        root.sync().unwrap();
        let file = root.create_new(OsStr::new("g")).unwrap();
        file.write_at(b"abcd", 0).unwrap();
        let left: BTreeSet<Option<Vec<u8>>> = disk
            .images(NameOrder::Journal)
            .map(|image| image.file_system("a").content("g"))
            .collect();
        let expected = [&b""[..], b"abcd", b"ab", b"\0\0\0\0", b"ab\0\0"];
        let expected = expected.map(|bytes| Some(bytes.to_vec()));
        assert_eq!(left, expected.into_iter().chain([None]).collect());
        // What was synced stays as it is.
        for image in disk.images(NameOrder::Any) {
            assert_eq!(image.file_system("a").content("f").unwrap(), b"old!");
        }
        // There or not, by five ways to be there; of which not being there is one.
        assert_eq!(disk.images(NameOrder::Any).at_most(), 10);
        assert_eq!(disk.images(NameOrder::Any).count(), 6);
    }

    #[test]
    fn bytes_behind_ignored_names_come_once() {
        let (disk, root, _) = with_sub();
        create(&root, "scratch", b"abcd", false);
        let of = |disk: &SimDisk, order| disk.images(order).ignoring(|name| name == "scratch");
        assert_eq!(of(&disk, NameOrder::Any).count(), 2);
        // A second name is looked at, and then its bytes matter.
        let (from, to) = (OsStr::new("scratch"), OsStr::new("used"));
        root.rename(from, &root, to).unwrap();
        let used = |image: &SimDisk| image.file_system("a").content("used").is_some();
        assert_eq!(of(&disk, NameOrder::Any).filter(used).count(), 5);
        assert_eq!(of(&disk, NameOrder::Any).count(), 7);
    }

    #[test]
    fn file_systems_do_not_wait_for_each_other() {
        let disk = SimDisk::new();
        for fs in ["a", "b"] {
            let root = disk.file_system(fs);
            create(&root, "x", b"", true);
            create(&root, "y", b"", true);
        }
        assert_eq!(disk.images(NameOrder::Journal).count(), 9);
    }

    #[test]
    fn what_a_failed_sync_lost_may_still_be_there() {
        let (disk, root, _) = with_sub();
        create(&root, "x", b"", true);
        disk.inject(crate::Fault::on(crate::OpKind::SyncDir));
        assert!(root.sync().is_err());
        root.sync().unwrap();
        create(&root, "y", b"", true);
        root.sync().unwrap();
        let names = |seen: Seen| seen.into_iter().map(|(name, _)| name).collect();
        let left: Vec<Vec<String>> = images(&disk, NameOrder::Any)
            .into_iter()
            .map(names)
            .collect();
        assert_eq!(left, [vec!["sub", "x", "y"], vec!["sub", "y"]]);
    }

    /// Whatever was done: the ends that there were before are among the images, those in order among those in any, and
    /// no sync takes back what another one made durable.
    #[test]
    fn the_known_ends_are_among_them() {
        for seed in 0..300 {
            let (disk, root, sub) = with_sub();
            let mut state = seed;
            let mut choose = |below: u64| {
                state = blake3::hash(&u64::to_le_bytes(state)).as_bytes()[..8]
                    .iter()
                    .fold(0, |all, byte| (all << 8) | u64::from(*byte));
                state % below
            };
            for _ in 0..choose(7) {
                let dirs = [&root, &sub];
                let dir = dirs[usize::from(choose(2) == 1)];
                let other = dirs[usize::from(choose(2) == 1)];
                let [name, new] = [choose(3), choose(3)].map(|n| format!("n{n}"));
                let (name, new) = (OsStr::new(&name), OsStr::new(&new));
                // Most of this cannot be done to what is there, which is as well.
                let _: io::Result<()> = match choose(6) {
                    0 | 1 => dir.create_new(name).and_then(|file| {
                        file.write_at(b"abcdef", 0)?;
                        if choose(2) == 1 { file.sync() } else { Ok(()) }
                    }),
                    2 | 3 => dir.rename(name, other, new),
                    4 => dir.unlink(name),
                    _ => dir.sync(),
                };
            }
            let any = images(&disk, NameOrder::Any);
            let journal = images(&disk, NameOrder::Journal);
            assert!(journal.is_subset(&any), "{seed}: {:#?}", disk.trace());
            let ends = [
                disk.fork().crash(),
                disk.fork().crash_keeping_all(),
                disk.fork().crash_keeping_names(|_| true),
            ];
            for end in ends {
                assert!(any.contains(&seen(&end)), "{seed}: {:#?}", disk.trace());
                assert!(journal.contains(&seen(&end)), "{seed}: {:#?}", disk.trace());
            }
            root.sync().unwrap();
            sub.sync().unwrap();
            let names = |seen: &Seen| -> Vec<String> {
                seen.iter().map(|(name, _)| name.clone()).collect()
            };
            let durable: BTreeSet<_> = images(&disk, NameOrder::Any).iter().map(names).collect();
            assert_eq!(durable.len(), 1, "{seed}");
        }
    }
}
