//! Two who act at once: what comes of it must be what comes of one after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, OnceLock},
};

use flatbao_core::{Error, Hash};
use flatbao_mem::SimDisk;
use shuttle::thread;

use crate::{
    actors::{Actor, Step},
    explore::{Explored, Points, explore, trace},
    world::{CHILD, Kept, LIST, Setup, World, name_of, open, state_of},
};

/// Two who act, where they begin, and what may come of it besides what comes of one after the other.
#[derive(Clone, Copy)]
pub struct Pair {
    /// What is there to begin with.
    pub setup: Setup,
    /// Who acts; the first has what was held at the beginning.
    pub actors: [Actor; 2],
    /// Outcomes that only happen at once.
    pub also: &'static [&'static str],
}

/// What has come of one schedule.
pub struct Once {
    /// What both have told, and what is there then.
    pub outcome: String,
    /// What a power loss leaves when the one has ended, when the other one has, and the disk when both have.
    pub disks: [SimDisk; 3],
}

/// What somebody has told, and what a power loss leaves at that moment.
type End = (String, SimDisk);

impl Pair {
    /// Explores its schedules, at most about `most` of them, and tells how many there were.
    ///
    /// # Panics
    /// When something comes of one that must not.
    pub fn explore(self, points: Points, most: usize) -> Explored {
        let name = self.name();
        let allowed: OnceLock<BTreeSet<String>> = OnceLock::new();
        // With the calls that led there first, where it is not allowed.
        let outcomes: Arc<Mutex<BTreeMap<String, Option<String>>>> = Arc::default();
        let all = Arc::clone(&outcomes);
        let explored = explore(points, most, move || {
            let allowed = allowed.get_or_init(|| self.sequential());
            let Once { outcome, .. } = self.at_once();
            let is_allowed = allowed.contains(&outcome) || self.also.contains(&outcome.as_str());
            let mut all = all.lock().unwrap();
            all.entry(outcome)
                .or_insert_with(|| (!is_allowed).then(trace));
        });
        let outcomes = outcomes.lock().unwrap();
        let wrong: Vec<String> = outcomes
            .iter()
            .filter_map(|(outcome, trace)| Some(format!("{outcome}\n  {}", trace.as_ref()?)))
            .collect();
        assert!(
            wrong.is_empty(),
            "{name}: comes of no order:\n{}",
            wrong.join("\n")
        );
        let bound = match explored.preemptions {
            None => "all there are".to_owned(),
            Some(count) => format!("up to {count} preemptions"),
        };
        for also in self.also {
            let is_seen = outcomes.contains_key(*also) || explored.preemptions.is_some();
            assert!(is_seen, "{name}: never comes of it: {also}");
        }
        let (schedules, outcomes) = (explored.schedules, outcomes.len());
        println!("{name}, {points:?}: {schedules} schedules, {bound}, {outcomes} outcomes");
        explored
    }

    fn name(&self) -> String {
        let [a, b] = self.actors.map(|actor| actor.name);
        format!("{a} and {b}, {:?}", self.setup)
    }

    /// What comes of all orders of the calls, each of them done before the next begins.
    fn sequential(self) -> BTreeSet<String> {
        let [a, b] = self.actors.map(|actor| actor.steps.len());
        let mut all = BTreeSet::new();
        // Every choice of those that are the first one's.
        for order in 0_u32..1 << (a + b) {
            if order.count_ones() as usize != a {
                continue;
            }
            let mut world = World::new(self.setup);
            let mut kept = [std::mem::take(&mut world.kept), Kept::default()];
            let mut told = [Vec::new(), Vec::new()];
            for at in 0..a + b {
                let who = usize::from(order >> at & 1 == 0);
                let step: Step = self.actors[who].steps[told[who].len()];
                told[who].push(step(&world.store, &mut kept[who]));
            }
            all.insert(outcome(&told.map(|told| told.join(", ")), &world));
        }
        all
    }

    /// One schedule, in which nothing may go wrong.
    ///
    /// # Panics
    /// When it does.
    pub fn at_once(self) -> Once {
        let mut world = World::new(self.setup);
        let kept = [std::mem::take(&mut world.kept), Kept::default()];
        let ends: Arc<Mutex<[Option<End>; 2]>> = Arc::default();
        let start = |(who, mut kept): (usize, Kept)| {
            let (store, disk, ends) = (world.store.clone(), world.disk.clone(), Arc::clone(&ends));
            let steps = self.actors[who].steps;
            thread::spawn(move || {
                let told: Vec<String> = steps.iter().map(|step| step(&store, &mut kept)).collect();
                let end = (told.join(", "), disk.fork().crash());
                ends.lock().unwrap()[who] = Some(end);
                kept
            })
        };
        let threads: Vec<_> = kept.into_iter().enumerate().map(start).collect();
        let kept: Vec<Kept> = threads.into_iter().map(|one| one.join().unwrap()).collect();
        let ends = std::mem::take(&mut *ends.lock().unwrap()).map(Option::unwrap);
        for (who, (told, left)) in ends.iter().enumerate() {
            if told.contains("fails") {
                continue;
            }
            let other = self.actors[1 - who];
            for fact in (self.actors[who].facts)(told) {
                if !other.undoes.contains(&fact) {
                    fact.check(left);
                }
            }
        }
        let [(a, left_by_a), (b, left_by_b)] = ends;
        let outcome = outcome(&[a, b], &world);
        let disks = [left_by_a, left_by_b, world.disk.fork()];
        check(world, kept);
        Once { outcome, disks }
    }
}

fn outcome(told: &[String; 2], world: &World) -> String {
    format!("{} | {} | {}", told[0], told[1], world.state())
}

/// What must be so after every schedule, whoever acted.
pub fn check(world: World, kept: Vec<Kept>) {
    let now = world.state();
    assert_eq!(
        now,
        state_of(&world.disk),
        "memory is not what the disk has"
    );
    let after = state_of(&world.disk.fork().crash());
    assert_eq!(
        durable(&now),
        durable(&after),
        "a power loss takes something back"
    );
    // Whatever is held stays.
    let has = |state: &str, hash| state.split(", ").any(|what| is_of(what, hash));
    let held: Vec<Hash> = kept
        .iter()
        .flat_map(|kept| &kept.tags)
        .map(|tag| tag.hash())
        .collect();
    collect(&world);
    let collected = world.state();
    for hash in held {
        assert!(
            has(&collected, hash) || !has(&now, hash),
            "collected although it was held: {now}"
        );
    }
    // And nothing is held any more when nobody holds it.
    drop(kept);
    let is_collected = collect(&world);
    let tags = world.store.tags().unwrap();
    let is_tagged = |hash| tags.values().any(|value| value.hash == hash);
    for blob in world.store.blobs() {
        let is_child = blob.hash == Hash::of(&CHILD) && is_tagged(Hash::of(&LIST));
        let is_reached = is_tagged(blob.hash) || is_child;
        assert!(
            is_reached || !is_collected,
            "still there: {}",
            world.state()
        );
    }
    let World { disk, store, .. } = world;
    drop((tags, store));
    drop(open(&disk));
}

/// Whether an item of a state is about this blob.
fn is_of(what: &str, hash: Hash) -> bool {
    what.split_once(' ')
        .is_some_and(|(name, _)| name == name_of(hash))
}

/// A collection, which only a list that is not there may stop.
fn collect(world: &World) -> bool {
    match world.store.plan_gc() {
        Err(Error::Root { .. }) => false,
        plan => {
            drop(world.store.sweep(plan.unwrap()).unwrap());
            true
        }
    }
}

/// What of a state a power loss must leave. Nothing is promised of a partial entry; and a file that was not released
/// may be there again, under a name that says so.
fn durable(state: &str) -> Vec<&str> {
    let is_promised = |what: &&str| !what.contains("partial") && !what.contains(".flatbao-");
    state.split(", ").filter(is_promised).collect()
}
