//! The rounds: everyone does everything in turn, and results are compared.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    aims, children,
    facts::Facts,
    meter::Sample,
    prep::Prep,
    results::{self, Measured, Results, Series},
    scale::Scale,
    workloads::{self, Contestant, Workload},
};

/// What the command line asks for.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only this workload; can be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Rounds: medians are taken of these.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Small sizes, to see that everything runs and that results are equal.
    #[arg(long)]
    quick: bool,
    /// Where to work; everything there is removed in the end. By itself this is beside the program.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where to write what was measured.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Adds the rounds to those that are written there: of the same works, the same code, and the same machine.
    #[arg(long, requires = "out")]
    add: bool,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let chosen = choose(&options.only)?;
    let scratch = children::scratch(options.dir.as_deref())?;
    let run = Run {
        root: scratch.path(),
        is_quick: options.quick,
        scale: Scale::of(options.quick),
    };
    let rounds = usize::try_from(options.repeat)?;
    let mut results = Results {
        facts: Facts::gather(run.root)?,
        is_quick: options.quick,
        scale: run.scale,
        rounds,
        workloads: chosen.iter().map(|one| run.nothing_yet(one)).collect(),
    };
    if let Some(out) = options.out.as_ref().filter(|_| options.add) {
        results.add(results::read(out)?)?;
    }
    run.prepare(&chosen)?;
    // What removes many files comes when nothing else is to come.
    let (last, first): (Vec<_>, Vec<_>) = (0..chosen.len()).partition(|&at| uses_up(chosen[at]));
    for phase in [first, last] {
        for round in 0..rounds {
            for &at in &phase {
                run.prepare_each(chosen[at], round)?;
            }
        }
        for round in 0..rounds {
            for &at in &phase {
                run.round(chosen[at], &mut results.workloads[at], round)?;
            }
            // A run that is broken off has something to show.
            if let Some(out) = &options.out {
                results::write(out, &results)?;
            }
        }
    }
    for measured in &results.workloads {
        println!("\n{}", crate::page::table(measured));
    }
    println!("{}", aims::table(&results));
    eprintln!("removing what was written");
    scratch.close()?;
    Ok(())
}

fn choose(only: &[String]) -> Result<Vec<&'static Workload>> {
    if only.is_empty() {
        return Ok(workloads::ALL.iter().collect());
    }
    only.iter().map(|name| workloads::named(name)).collect()
}

/// Whether someone needs a store of its own each time.
fn uses_up(workload: &Workload) -> bool {
    let mut all = workload.contestants.iter();
    all.any(|contestant| contestant.each_time.is_some())
}

/// Where and how large.
struct Run<'a> {
    root: &'a Path,
    is_quick: bool,
    scale: Scale,
}

impl Run<'_> {
    fn nothing_yet(&self, workload: &Workload) -> Measured {
        let series = |contestant: &Contestant| Series {
            name: contestant.name.to_owned(),
            samples: Vec::new(),
        };
        Measured {
            name: workload.name.to_owned(),
            title: (workload.title)(self.scale),
            entries: workload.entries.map(|entries| entries(self.scale)),
            contestants: workload.contestants.iter().map(series).collect(),
        }
    }

    fn child(&self, args: &[&str], dir: &Path) -> Result<std::process::Command> {
        let mut command = children::again(args)?;
        command.arg("--root").arg(self.root);
        command.arg("--dir").arg(dir);
        if self.is_quick {
            command.arg("--quick");
        }
        Ok(command)
    }

    /// Prepares what is needed by anyone.
    fn prepare(&self, chosen: &[&Workload]) -> Result<()> {
        let contestants = chosen.iter().flat_map(|workload| workload.contestants);
        let needed: BTreeSet<Prep> = contestants
            .flat_map(|contestant| contestant.needs)
            .copied()
            .collect();
        for prep in needed {
            let name = prep.name();
            eprintln!("preparing {name}");
            children::run(&mut self.child(&["prepare", &name], self.root)?)?;
        }
        Ok(())
    }

    /// Prepares what is used up in a round.
    fn prepare_each(&self, workload: &Workload, round: usize) -> Result<()> {
        for (at, contestant) in workload.contestants.iter().enumerate() {
            if contestant.each_time.is_none() {
                continue;
            }
            eprintln!("preparing {}, {}", workload.name, contestant.name);
            let dir = self.dir_of(workload, at, round);
            fs::create_dir_all(&dir)?;
            let args = ["prepare-one", workload.name, contestant.name];
            children::run(&mut self.child(&args, &dir)?)?;
        }
        Ok(())
    }

    /// Everyone does a work once, each time beginning with another one.
    fn round(&self, workload: &Workload, measured: &mut Measured, round: usize) -> Result<()> {
        let all = workload.contestants.len();
        let mut samples = vec![None; all];
        for turn in 0..all {
            let at = (round + turn) % all;
            let contestant = &workload.contestants[at];
            let dir = self.dir_of(workload, at, round);
            fs::create_dir_all(&dir)?;
            let sample = self.measure(workload, contestant, &dir)?;
            eprintln!(
                "round {}: {}, {}: {:.4} s",
                round + 1,
                workload.name,
                contestant.name,
                sample.wall
            );
            samples[at] = Some(sample);
            if !workload.is_littering {
                fs::remove_dir_all(&dir)?;
            }
        }
        let samples: Option<Vec<Sample>> = samples.into_iter().collect();
        let samples = samples.context("someone had no turn")?;
        compare(workload, &samples)?;
        for (series, sample) in measured.contestants.iter_mut().zip(samples) {
            series.samples.push(sample);
        }
        Ok(())
    }

    fn measure(&self, workload: &Workload, who: &Contestant, dir: &Path) -> Result<Sample> {
        let mut child = self.child(&["one", workload.name, who.name], dir)?;
        if let Some(threads) = who.threads {
            child.env("RAYON_NUM_THREADS", threads.to_string());
        }
        children::sample(&mut child)
    }

    fn dir_of(&self, workload: &Workload, at: usize, round: usize) -> PathBuf {
        let name = format!("{}-{at}-{round}", workload.name);
        self.root.join("fresh").join(name)
    }
}

/// Whether all have done the same.
fn compare(workload: &Workload, samples: &[Sample]) -> Result<()> {
    let checks: Vec<&str> = samples.iter().map(|sample| sample.check.as_str()).collect();
    let details: Vec<&str> = samples
        .iter()
        .filter_map(|sample| sample.detail.as_deref())
        .collect();
    for told in [checks, details] {
        ensure!(
            told.windows(2).all(|pair| pair[0] == pair[1]),
            "{}: the results are not the same: {told:#?}",
            workload.name
        );
    }
    Ok(())
}
