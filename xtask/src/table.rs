//! The table in `host-wasm/MEASURED.md`: what a sandbox costs, measured in one run.

use std::{
    env, fs,
    path::{self, Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    facts, page,
    steps::{cargo, output, root, run, target_dir},
    wasm::{self, Target},
};

pub(crate) const USAGE: &str = "\
usage: cargo xtask wasi-table [--rounds N] [--size BYTES]

Builds what is measured in release, measures it, and writes the table of host-wasm/MEASURED.md.

options:
  --rounds N     how often everything is measured; the table has medians (5)
  --size BYTES   length of the large blob (1073741824); all of it is written twice into the directory for temporary
                 files, which TMPDIR names

environment:
  FLATBAO_RUNNER   a built flatbao-wasm-runner to measure with, instead of building one in release; the page says so
";

/// Blobs of the workload `small`.
const BLOBS: u64 = 10_000;
/// Entries of the store that is opened.
const ENTRIES: u64 = 20_000;
/// A start takes milliseconds: once a round would tell little.
const STARTS: usize = 10;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Options {
    rounds: usize,
    size: u64,
}

impl Options {
    /// `None` where it is not as the usage says.
    pub(crate) fn parse(args: &[&str]) -> Option<Self> {
        let mut options = Self {
            rounds: 5,
            size: 1 << 30,
        };
        for pair in args.chunks(2) {
            match *pair {
                ["--rounds", value] => options.rounds = value.parse().ok()?,
                ["--size", value] => options.size = value.parse().ok()?,
                _ => return None,
            }
        }
        (options.rounds > 0).then_some(options)
    }
}

/// Measures everything and writes the page.
pub(crate) fn write(options: &Options) -> Result<()> {
    // A page that has no place for a table is to be found out before an hour of work.
    let page = page::Page::read()?;
    let (runner, given) = runner()?;
    let programs = build(&runner)?;
    warm_up(&programs)?;
    let rows = measure(&programs, options)?;
    let facts = facts::tell(options.rounds, given)?;
    let names: Vec<_> = programs.iter().map(|program| program.name).collect();
    page.write(&format!("{facts}\n\n{}", page::table(&names, &rows)))
}

/// One of the programs that are measured against each other.
struct Program {
    name: &'static str,
    path: PathBuf,
    /// What runs it, if it does not run by itself.
    runner: Option<PathBuf>,
}

/// A workload and what it took: for each program one number, in seconds.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) seconds: Vec<f64>,
}

/// The runner, and whether it was given.
fn runner() -> Result<(PathBuf, bool)> {
    if let Some(given) = env::var_os("FLATBAO_RUNNER") {
        // It is run at the top of the checkout, wherever that is told from.
        return Ok((path::absolute(given)?, true));
    }
    let name = "flatbao-wasm-runner";
    let args = format!("build --locked --release --package flatbao-host --bin {name}");
    run("the runner", &mut cargo(&args))?;
    let built = target_dir().join("release").join(executable(name));
    Ok((built, false))
}

/// Builds the programs, native first: all others are compared with that.
fn build(runner: &Path) -> Result<[Program; 4]> {
    wasm::targets()?;
    let place = target_dir().join("wasi-table");
    fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    let program = |name, target, features| build_one(&place, runner, name, target, features);
    Ok([
        program("native", None, "")?,
        program("wasm32-wasip1", Some(Target::P1), "")?,
        program(
            "wasm32-wasip1, host hashing",
            Some(Target::P1),
            " --features host-hash",
        )?,
        program("wasm32-wasip2", Some(Target::P2), "")?,
    ])
}

fn build_one(
    place: &Path,
    runner: &Path,
    name: &'static str,
    target: Option<Target>,
    features: &str,
) -> Result<Program> {
    let package = "flatbao-workloads";
    let mut args = format!("build --locked --release --package {package}{features}");
    let mut built = target_dir();
    let file = match target {
        None => executable(package),
        Some(target) => {
            args += &format!(" --target {target}");
            built.push(target.triple());
            format!("{package}.wasm")
        }
    };
    built.extend(["release", &file]);
    run(&format!("workloads: {name}"), &mut cargo(&args))?;
    // With another set of features cargo builds to the same path.
    let path = place.join(format!(
        "{}-{file}",
        name.replace(", ", "-").replace(' ', "-")
    ));
    fs::copy(&built, &path).with_context(|| built.display().to_string())?;
    Ok(Program {
        name,
        path,
        runner: target.map(|_| runner.to_owned()),
    })
}

fn executable(name: &str) -> String {
    format!("{name}{}", env::consts::EXE_SUFFIX)
}

/// Compiled code is cached by the runner. What is measured is what is there every time but the first.
fn warm_up(programs: &[Program]) -> Result<()> {
    for program in programs {
        program.run(&Workload::start())?;
    }
    Ok(())
}

/// Runs all workloads in rounds, so that what else the machine does meets all programs alike.
fn measure(programs: &[Program], options: &Options) -> Result<Vec<Row>> {
    let workloads = Workload::all(options.size);
    let mut samples = vec![vec![Vec::new(); programs.len()]; workloads.len()];
    for round in 0..options.rounds {
        println!("xtask: round {} of {}", round + 1, options.rounds);
        for (workload, samples) in workloads.iter().zip(&mut samples) {
            for turn in 0..programs.len() {
                // Each is the first one in turn, and pays for what was written before.
                let which = (round + turn) % programs.len();
                let program = &programs[which];
                for _ in 0..workload.repeats {
                    let seconds = program.run(workload)?;
                    println!(
                        "xtask: {}, {}: {seconds:.4} s",
                        workload.title, program.name
                    );
                    samples[which].push(seconds);
                }
            }
        }
    }
    let rows = workloads.into_iter().zip(samples);
    Ok(rows
        .map(|(workload, samples)| Row {
            name: workload.title,
            seconds: samples.into_iter().map(median).collect(),
        })
        .collect())
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let half = samples.len() / 2;
    match samples.len() % 2 {
        1 => samples[half],
        _ => f64::midpoint(samples[half - 1], samples[half]),
    }
}

/// What is measured.
struct Workload {
    /// Its name for the program.
    name: &'static str,
    title: String,
    args: Vec<String>,
    /// How often in a round.
    repeats: usize,
    /// Whether the whole process is timed, and not what it tells.
    is_process: bool,
}

impl Workload {
    fn all(size: u64) -> Vec<Self> {
        let length = page::length(size);
        let [blobs, entries] = [BLOBS, ENTRIES].map(page::number);
        vec![
            Self::inside("import", format!("import of {length}"), "--size", size),
            Self::inside("read", format!("verified read of {length}"), "--size", size),
            Self::inside(
                "small",
                format!("{blobs} × 4 KiB in a batch"),
                "--count",
                BLOBS,
            ),
            Self::inside(
                "open",
                format!("opening with {entries} entries"),
                "--count",
                ENTRIES,
            ),
            Self::start(),
        ]
    }

    fn inside(name: &'static str, title: String, option: &str, number: u64) -> Self {
        Self {
            name,
            title,
            args: vec![option.to_owned(), number.to_string()],
            repeats: 1,
            is_process: false,
        }
    }

    fn start() -> Self {
        Self {
            name: "start",
            title: "start-up".to_owned(),
            args: Vec::new(),
            repeats: STARTS,
            is_process: true,
        }
    }
}

impl Program {
    /// Runs a workload in a fresh directory and returns how many seconds it took.
    fn run(&self, workload: &Workload) -> Result<f64> {
        let (mut command, scratch) = match &self.runner {
            None => (Command::new(&self.path), Some(tempfile::tempdir()?)),
            Some(runner) => {
                let mut command = Command::new(runner);
                command.arg(&self.path);
                (command, None)
            }
        };
        // The runner gives each program an empty directory at `/tmp`, which is made where ours is.
        let dir = scratch.as_ref().map_or(Path::new("/tmp"), |dir| dir.path());
        command.arg(workload.name).args(&workload.args);
        command.arg("--dir").arg(dir.join("x")).current_dir(root());
        let started = Instant::now();
        let told = output(&mut command)?;
        let whole = started.elapsed().as_secs_f64();
        let inside = read_result(&told, workload.name)
            .with_context(|| format!("{} under {}: {told}", workload.name, self.name))?;
        match (workload.is_process, inside) {
            (true, None) => Ok(whole),
            (false, Some(seconds)) => Ok(seconds),
            _ => bail!("{} is timed from the other side: {told}", workload.name),
        }
    }
}

/// The seconds in the line that a program has printed.
fn read_result(told: &str, name: &str) -> Result<Option<f64>> {
    let told: serde_json::Value = serde_json::from_str(told)?;
    ensure!(told["workload"] == name, "it is another workload");
    ensure!(told["checked"] == true, "the result was not checked");
    Ok(told["seconds"].as_f64())
}
