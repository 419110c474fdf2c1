//! The command is killed at random moments, over and over on one store: what it acknowledged is there, what was
//! under way is old or new, and nothing outside the store is touched.
//!
//! `FLATBAO_KILLS` says how often; `FLATBAO_SEED` draws the same commands and moments again, as far as processes can be
//! the same twice.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
mod killing;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    hash::{BuildHasher, RandomState},
    os::unix::process::ExitStatusExt,
    process::{Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{Scene, noise, ran};
use killing::{Command, Model, Outcome, Pool, Random, STORE, abandoned, ephemeral};

/// So many fit between the other tests.
const FEW: u64 = 25;

#[test]
fn what_was_acknowledged_outlives_every_kill() {
    let kills = number("FLATBAO_KILLS").unwrap_or(FEW);
    let seed = number("FLATBAO_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    println!("FLATBAO_KILLS={kills} FLATBAO_SEED={seed}");
    let is_long = kills > FEW;
    let mut runner = Runner::new(is_long);
    let mut step = 0;
    while runner.figures.kills < kills {
        let random = Random::of_step(seed, step);
        print!("{step}: ");
        runner.step(random);
        step += 1;
    }
    runner.end();
    let figures = &runner.figures;
    println!("{figures:#?}");
    let hits: u64 = figures.hits.values().sum();
    println!("{step} commands, {kills} kills, {hits} of them while it ran");
    if is_long {
        assert!(hits * 2 >= kills, "{hits} of {kills} kills hit");
    }
}

/// A store that is being made is one or none, and whoever begins again makes it.
#[test]
fn a_store_that_is_being_made_outlives_kills() {
    const TIMES: u32 = 8;
    let scene = Scene::new();
    let content = noise(300_000);
    scene.write("file", &content);
    scene.ok(["add", "file", "--tag", "it"]);
    for args in [
        &["add", "file", "--tag", "it", "--store"][..],
        &["copy", "it", "--to"],
    ] {
        let run = |store: &str, moment| run(&scene, &[args, &[store]].concat(), moment);
        let (_, usual) = run("unkilled", None);
        for time in 0..TIMES {
            let store = format!("{}{time}", args[0]);
            // The last one ends, as a rule.
            run(&store, Some(usual * time / (TIMES - 1)));
            let seen = scene.run(["verify", "--json", "--store", &store]);
            // There is none, there is a part of the blob, or all of it.
            assert!([0, 3, 4].contains(&seen.code), "{seen:?}");
            assert!(
                seen.json().iter().all(|line| line["severity"] != "damage"),
                "{seen:?}"
            );
            let (output, _) = run(&store, None);
            assert!(output.status.success(), "{output:?}");
            assert!(scene.ok(["cat", "it", "--store", &store]).bytes == content);
            scene.ok(["verify", "--store", &store]);
            assert_eq!(ephemeral(&scene, &store), [""; 0]);
        }
    }
}

/// Runs a command, to its end or until it is killed; what came of it, and how long that took.
fn run(scene: &Scene, args: &[impl AsRef<OsStr>], moment: Option<Duration>) -> (Output, Duration) {
    let mut command = scene.command();
    command
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let started = Instant::now();
    if let Some(moment) = moment {
        thread::sleep(moment.saturating_sub(started.elapsed()));
        // Also one that has ended: nobody has waited for it.
        child.kill().unwrap();
    }
    (child.wait_with_output().unwrap(), started.elapsed())
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|e| panic!("{name}: {e}")))
}

struct Runner {
    scene: Scene,
    pool: Pool,
    model: Model,
    /// How long each kind of command takes that nobody kills.
    usual: BTreeMap<String, Duration>,
    figures: Figures,
}

#[derive(Default, Debug)]
struct Figures {
    kills: u64,
    /// Kills of a process that was still running.
    hits: BTreeMap<String, u64>,
    /// Of these, those that left a file behind that meant nothing any more.
    left: u64,
    /// Files outside that exports had begun.
    outside: usize,
    /// Of the hits, those whose command had changed what tags there are.
    tagged: u64,
}

impl Runner {
    fn new(is_long: bool) -> Self {
        let scene = Scene::new();
        let pool = Pool::new(&scene, is_long);
        scene.ok(["init"]);
        Self {
            scene,
            pool,
            model: Model::default(),
            usual: BTreeMap::new(),
            figures: Figures::default(),
        }
    }

    /// Runs a command, to its end or not, and looks at what there is then.
    fn step(&mut self, mut random: Random) {
        let command = Command::draw(&mut random, &self.scene, &self.pool, &self.model);
        // What was never measured has to be, and some are left alone so that there is progress.
        let usual = self.usual.get(&command.kind);
        let usual = usual.filter(|_| !random.one_in(5));
        let moment = usual.map(|usual| usual.mul_f64(random.part()));
        print!("flatbao {}", command.args.join(" "));
        let outcome = self.run(&command, moment);
        let tags = self.model.tags.clone();
        match &command.damage {
            Some(damage) => {
                damage.mend(&self.scene, &self.pool);
                let mended = &Outcome::Killed;
                self.model.check(&self.scene, &self.pool, &command, mended);
            }
            None => self
                .model
                .check(&self.scene, &self.pool, &command, &outcome),
        }
        if matches!(outcome, Outcome::Killed) && self.model.tags != tags {
            self.figures.tagged += 1;
        }
    }

    fn run(&mut self, command: &Command, moment: Option<Duration>) -> Outcome {
        let (output, took) = run(&self.scene, &command.args, moment);
        match moment {
            Some(_) => self.figures.kills += 1,
            None => drop(self.usual.insert(command.kind.clone(), took)),
        }
        let moment = moment.unwrap_or_default();
        if output.status.signal().is_some() {
            println!(" # killed after {moment:?}");
            *self.figures.hits.entry(command.kind.clone()).or_default() += 1;
            self.figures.left += u64::from(!ephemeral(&self.scene, STORE).is_empty());
            return Outcome::Killed;
        }
        println!(" # ended");
        Outcome::Done(ran(output))
    }

    /// The next command that writes removes what is left of all of them.
    fn end(&mut self) {
        self.scene.ok(["gc"]);
        assert_eq!(ephemeral(&self.scene, STORE), [""; 0]);
        self.pool.assert_untouched(&self.scene);
        self.figures.outside = abandoned(&self.scene);
    }
}
