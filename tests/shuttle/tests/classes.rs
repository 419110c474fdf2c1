//! That one schedule of each class is enough, looked at where all schedules that there are can be waited for: those of
//! a class come to the same, and each class is there once.

use std::{
    collections::BTreeMap,
    env,
    sync::{Arc, Mutex},
};

use flatbao_mem::SimDisk;
use flatbao_shuttle::{
    actors::{
        Actor, COLLECT, DELETE, DROP, EXPORT, EXPORT_FORGET, IMPORT, IMPORT_REFERENCE, READ,
        RECEIVE, TAG, TAG_CHILD, UNTAG,
    },
    explore::{Class, Explored, Points, class, explore, explore_each, trace_of},
    pair::Pair,
    world::{Setup, World, outside, raw, tag},
};
use shuttle::thread;

/// What comes of each class, in so far as anybody can tell.
type Outcomes = BTreeMap<Class, String>;

/// All that is on a disk. Names wait in the order in which they were given, but only those of one entry build on each
/// other.
fn content(disk: &SimDisk) -> Vec<String> {
    let mut all = Vec::new();
    let store = disk.file_system("disk").plant_dir("store").unwrap();
    for dir in [store, outside(disk)] {
        dir.each_digest(&mut |name, digest| all.push(format!("{name:?} {digest:?}")));
    }
    let mut waiting = Vec::new();
    disk.each_waiting(&mut |what| waiting.push(format!("{what:?}")));
    waiting.sort();
    all.extend(waiting);
    all
}

/// Compares all schedules that there are with one of each class.
fn compare(name: &str, body: impl Fn() -> String + Send + Sync + 'static) {
    const MOST: usize = 200_000;
    let body = Arc::new(body);
    let outcomes: Arc<Mutex<Outcomes>> = Arc::default();
    let (each, all) = (Arc::clone(&body), Arc::clone(&outcomes));
    let count = explore_each(MOST, move || {
        let outcome = each();
        let mut all = all.lock().unwrap();
        let known = all.entry(class()).or_insert_with(|| outcome.clone());
        assert_eq!(*known, outcome, "of one class, but not the same");
    });
    let count = count.unwrap_or_else(|| panic!("{name}: there are more"));
    let outcomes = std::mem::take(&mut *outcomes.lock().unwrap());
    let reduced: Arc<Mutex<Outcomes>> = Arc::default();
    let all = Arc::clone(&reduced);
    let explored = explore(Points::Calls, MOST, move || {
        let outcome = body();
        let known = all.lock().unwrap().insert(class(), outcome);
        assert_eq!(known, None, "a class comes twice");
    });
    println!("{name}: {count} schedules, of {} classes", outcomes.len());
    let expected = Explored {
        schedules: outcomes.len(),
        preemptions: None,
    };
    assert_eq!(explored, expected, "{name}");
    assert!(
        *reduced.lock().unwrap() == outcomes,
        "{name}: something else"
    );
}

fn pair(setup: Setup, a: Actor, b: Actor) {
    let pair = Pair {
        setup,
        actors: [a, b],
        also: &[],
    };
    let name = format!("{} and {}, {setup:?}", a.name, b.name);
    compare(&name, move || {
        let once = pair.at_once();
        let calls = [1, 2].map(trace_of);
        let disks = once.disks.map(|disk| content(&disk));
        format!("{}\n{calls:#?}\n{disks:#?}", once.outcome)
    });
}

#[test]
fn two_threads() {
    use Setup::{Absent, Found, Held, Tagged};
    pair(Held, DROP, COLLECT);
    pair(Held, DROP, DELETE);
    pair(Tagged, UNTAG, DELETE);
    pair(Found, READ, DELETE);
    pair(Found, TAG, TAG_CHILD);
    pair(Absent, COLLECT, IMPORT);
    // One waits for a lock, and again for one that it has come too late for.
    pair(Found, COLLECT, TAG);
}

#[test]
fn three_threads() {
    compare("three of which one removes a tag", || {
        let world = World::new(Setup::Tagged);
        let start = |name: &'static str| {
            let store = world.store.clone();
            thread::spawn(move || match name {
                "t" => drop(store.remove_tag(&tag("t")).unwrap()),
                _ => drop(store.temp_tag(raw(name.as_bytes()))),
            })
        };
        let threads = ["t", "u", "v"].map(start);
        threads.into_iter().for_each(|one| one.join().unwrap());
        let calls = [1, 2, 3].map(trace_of);
        format!("{calls:#?}\n{:#?}", content(&world.disk))
    });
}

#[test]
fn larger_ones() {
    use Setup::{Found, Held, Proved, Tagged};
    // They take minutes.
    if env::var_os("FLATBAO_INTERLEAVE_ALL").is_none() {
        return println!("skipped: only `cargo xtask interleave` waits for them");
    }
    pair(Found, COLLECT, READ);
    pair(Tagged, COLLECT, UNTAG);
    pair(Proved, COLLECT, IMPORT_REFERENCE);
    pair(Found, COLLECT, RECEIVE);
    pair(Found, IMPORT, DELETE);
    pair(Held, DROP, EXPORT_FORGET);
    pair(Found, COLLECT, EXPORT);
}
