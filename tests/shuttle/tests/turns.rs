//! Those who change tags at once, two and three of them: every one is told the truth of its own change, what was
//! acknowledged survives a power loss, and nobody waits for ever.

use std::sync::{Arc, Mutex};

use flatbao_core::{Error, HashAndFormat, Result, TagFile};
use flatbao_mem::SimDisk;
use flatbao_shuttle::{
    explore::{Explored, Points, explore},
    world::{BLOB, CHILD, PointStore, Setup, World, raw, tag},
};
use shuttle::thread;

/// What one of them does, and what the tags have or do not have afterwards.
#[derive(Clone, Copy)]
enum Who {
    Sets(&'static str),
    Removes(&'static str),
}

impl Who {
    fn act(self, store: &PointStore) -> Result<HashAndFormat> {
        match self {
            Self::Sets(name) => store.set_tag(tag(name), raw(&CHILD)).map(|()| raw(&CHILD)),
            Self::Removes(name) => store.remove_tag(&tag(name)),
        }
    }

    /// Whether a database shows what was done. No two of a test change the same tag, but for those who remove it.
    fn shows(self, disk: &SimDisk) -> bool {
        let dir = disk.file_system("disk").plant_dir("store").unwrap();
        let bytes = dir.content("tags.meta").unwrap();
        let tags = TagFile::decode(&bytes).unwrap().tags;
        match self {
            Self::Sets(name) => tags.get(&tag(name)) == Some(&raw(&CHILD)),
            Self::Removes(name) => !tags.contains_key(&tag(name)),
        }
    }
}

fn most() -> usize {
    match std::env::var_os("FLATBAO_INTERLEAVE_ALL") {
        Some(_) => 20_000,
        None => 1_000,
    }
}

/// In the beginning there is the tag `t` alone.
fn together(name: &'static str, all: &'static [Who], fail: usize) {
    for points in [Points::Calls, Points::Locks] {
        let Explored {
            schedules,
            preemptions,
        } = explore(points, most(), move || {
            let world = World::new(Setup::Tagged);
            let failed: Arc<Mutex<usize>> = Arc::default();
            let threads: Vec<_> = all
                .iter()
                .map(|who| {
                    let (store, disk) = (world.store.clone(), world.disk.clone());
                    let failed = Arc::clone(&failed);
                    thread::spawn(move || match who.act(&store) {
                        Ok(_) => assert!(who.shows(&disk.fork().crash()), "not durable"),
                        Err(Error::NoTag(_)) => *failed.lock().unwrap() += 1,
                        Err(error) => panic!("{error:?}"),
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(*failed.lock().unwrap(), fail);
            assert!(all.iter().all(|who| who.shows(&world.disk)), "lost");
            let tags = world.store.tags().unwrap();
            let sets = all.iter().filter(|who| matches!(who, Who::Sets(_)));
            let is_kept = usize::from(tags.get(&tag("t")) == Some(&raw(&BLOB)));
            assert_eq!(tags.len(), sets.count() + is_kept);
        });
        println!("{name}, {points:?}: {schedules} schedules, up to {preemptions:?} preemptions");
    }
}

#[test]
fn two_set_tags() {
    together("two", &[Who::Sets("a"), Who::Sets("b")], 0);
}

#[test]
fn two_remove_one_tag() {
    together("two remove", &[Who::Removes("t"), Who::Removes("t")], 1);
}

#[test]
fn one_that_cannot_fails_alone() {
    together("one fails", &[Who::Sets("a"), Who::Removes("missing")], 1);
}

#[test]
fn three_change_tags() {
    let all = &[Who::Sets("a"), Who::Removes("t"), Who::Sets("c")];
    together("three", all, 0);
    let all = &[Who::Sets("a"), Who::Removes("missing"), Who::Removes("t")];
    together("three, one fails", all, 1);
}
