//! The benchmarks: a workspace of its own, built, run, and written into `BENCHMARKS.md`.

use std::process::Command;

use anyhow::Result;

use crate::steps::{cargo, root, run, target_dir};

pub(crate) const USAGE: &str = "\
usage: cargo xtask bench [--only-growth | --no-growth] [--quick] [options]

Builds bench/ in release (its peers take some minutes), measures, and writes bench/results.json, bench/growth.json,
bench/plots/ and the tables of BENCHMARKS.md.

options:
  --quick        small sizes, to see that everything runs and that results are equal
  --repeat N     rounds; medians are taken of these
  --add          adds the rounds of the workloads to those that are there, of the same code on the same machine; not
                 with --only, --only-growth, --page or --micro, which have no rounds that could be added
  --only NAME    only this workload; can be given several times. Nothing is written then, but printed
  --dir DIR      where to work: some 30 GB are taken there, and given back in the end. By itself this is in target/
  --no-growth    all workloads, and not how flatbao grows
  --only-growth  the other way round
  --page         no measurement, only tables and plots anew
  --micro        the micro benchmarks instead, which build no peer
";

/// What the command line asks for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    quick: bool,
    repeat: Option<String>,
    only: Vec<String>,
    dir: Option<String>,
    add: bool,
    no_growth: bool,
    only_growth: bool,
    page: bool,
    micro: bool,
}

impl Options {
    /// `None` where it is not as the usage says.
    pub(crate) fn parse(args: &[&str]) -> Option<Self> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(&arg) = args.next() {
            let mut value = || args.next().map(|value| (*value).to_owned());
            match arg {
                "--quick" => options.quick = true,
                "--repeat" => options.repeat = Some(value()?),
                "--only" => options.only.push(value()?),
                "--dir" => options.dir = Some(value()?),
                "--add" => options.add = true,
                "--no-growth" => options.no_growth = true,
                "--only-growth" => options.only_growth = true,
                "--page" => options.page = true,
                "--micro" => options.micro = true,
                _ => return None,
            }
        }
        let has_none = options.only_growth || options.page || options.micro;
        let has_rounds = options.only.is_empty() && !has_none;
        (has_rounds || !options.add).then_some(options)
    }

    /// What both measurements are told.
    fn tell(&self, command: &mut Command) {
        if let Some(repeat) = &self.repeat {
            command.args(["--repeat", repeat]);
        }
        if let Some(dir) = &self.dir {
            command.args(["--dir", dir]);
        }
    }
}

/// Measures and writes.
pub(crate) fn bench(options: &Options) -> Result<()> {
    if options.micro {
        let args = "bench --manifest-path bench/Cargo.toml --no-default-features --locked";
        return run("micro benchmarks", &mut own(args));
    }
    let args = "build --release --manifest-path bench/Cargo.toml --locked";
    run("building the benchmarks", &mut own(args))?;
    let program = || {
        let mut command = Command::new(build_dir().join("release/flatbao-bench"));
        command.current_dir(root());
        command
    };
    let is_partial = !options.only.is_empty();
    if !options.page && !options.only_growth {
        let mut command = program();
        command.arg("run");
        options.tell(&mut command);
        if options.quick {
            command.arg("--quick");
        }
        for name in &options.only {
            command.args(["--only", name]);
        }
        if !is_partial {
            command.args(["--out", "bench/results.json"]);
            if options.add {
                command.arg("--add");
            }
        }
        run("workloads", &mut command)?;
        if is_partial {
            return Ok(());
        }
    }
    if !options.page && !options.no_growth {
        let mut command = program();
        command.args(["growth", "--out", "bench/growth.json"]);
        options.tell(&mut command);
        if options.quick {
            command.args(["--entries", "10000", "--mib", "100"]);
        }
        run("growth", &mut command)?;
    }
    let mut command = program();
    command.args(["page", "--page", "BENCHMARKS.md"]);
    command.args(["--plots", "bench/plots"]);
    for (option, file) in [
        ("--results", "bench/results.json"),
        ("--growth", "bench/growth.json"),
    ] {
        if root().join(file).is_file() {
            command.args([option, file]);
        }
    }
    run("tables and plots", &mut command)
}

/// `cargo`, building where nothing else is built: the versions of what is shared differ.
fn own(args: &str) -> Command {
    let mut command = cargo(args);
    command.env("CARGO_TARGET_DIR", build_dir());
    command
}

fn build_dir() -> std::path::PathBuf {
    target_dir().join("bench")
}
