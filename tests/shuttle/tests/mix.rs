//! Many threads at once, under random schedules: nothing that is held or tagged is lost, no byte is wrong, nobody waits
//! for ever, a power loss takes nothing back, and nothing is left over.

use std::{
    env,
    sync::{Arc, Mutex},
};

use flatbao_shuttle::{
    actors::{ALL, Actor},
    explore::run,
    pair::check,
    world::{SETUPS, World},
};
use shuttle::{
    rand::{Rng, thread_rng},
    scheduler::{PctScheduler, RandomScheduler},
    thread,
};

const THREADS: usize = 4;
/// What each of them does, at most.
const ACTS: usize = 3;
/// What a call may say when others act as well.
const FAILURES: [&str; 7] = [
    "Backend Taken",
    "InUse Hash",
    "Incomplete Hash",
    "NoTag Tag",
    "NotFound Hash",
    // A list was tagged that is not there.
    "Root NotFound",
    "Unreadable Hash",
];

/// Runs of each kind.
fn count() -> usize {
    match env::var_os("FLATBAO_INTERLEAVE_ALL") {
        Some(_) => 20_000,
        None => 2_000,
    }
}

fn pick<T: Copy>(from: &[T]) -> T {
    from[thread_rng().gen_range(0..from.len())]
}

fn many() {
    let mut world = World::new(pick(SETUPS));
    // Whoever holds it lets go of it, or does not.
    let mut held = Some(std::mem::take(&mut world.kept));
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut start = |_| {
        let mut kept = held.take().unwrap_or_default();
        let acts: Vec<Actor> = (0..thread_rng().gen_range(1..=ACTS))
            .map(|_| pick(ALL))
            .collect();
        let (store, told) = (world.store.clone(), Arc::clone(&told));
        thread::spawn(move || {
            for actor in acts {
                for step in actor.steps {
                    let outcome = step(&store, &mut kept);
                    told.lock()
                        .unwrap()
                        .push(format!("{}: {outcome}", actor.name));
                }
            }
            kept
        })
    };
    let threads: Vec<_> = (0..THREADS).map(&mut start).collect();
    let kept = threads.into_iter().map(|one| one.join().unwrap()).collect();
    for outcome in told.lock().unwrap().iter() {
        if let Some((_, error)) = outcome.split_once("fails: ") {
            assert!(FAILURES.contains(&error), "{outcome}");
        }
    }
    check(world, kept);
}

#[test]
fn at_random() {
    run(RandomScheduler::new_from_seed(1, count()), &Arc::new(many));
}

/// Few preemptions, where they were not looked for.
#[test]
fn by_priority() {
    for depth in [2, 3, 5] {
        run(
            PctScheduler::new_from_seed(2, depth, count() / 2),
            &Arc::new(many),
        );
    }
}
