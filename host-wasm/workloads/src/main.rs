//! What flatbao is measured with: one workload a run, natively and under WASI.
//!
//! `cargo xtask wasi-table` runs all of them and makes a table of what they take.
#![forbid(unsafe_code)]

mod content;
mod workload;

use std::{env, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::workload::{Scale, Workload};

const USAGE: &str = "\
usage: flatbao-workloads NAME [--size BYTES] [--count N] --dir DIR

Runs one workload in DIR, which is made where it is missing and holds nothing, checks its result, and prints one line
of JSON: {\"workload\":NAME,\"seconds\":SECONDS,\"checked\":true}. Preparing and checking are not timed.

workloads:
  import  a file of SIZE bytes into a durable store
  read    a blob of SIZE bytes, verified, from its beginning to its end in buffers of 1 MiB
  small   COUNT blobs of 4 KiB into a durable store, in one batch
  open    a store of COUNT blobs, for writing
  start   makes and opens an empty store and ends: its seconds are null, since the whole process is to be timed
          from outside

SIZE is 1 GiB and COUNT is 10000 unless they are given.
";

fn main() -> ExitCode {
    let job = match Job::parse(env::args().skip(1)) {
        Ok(job) => job,
        Err(error) => {
            eprint!("flatbao-workloads: {error:#}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match job.workload.run(&job.dir, job.scale) {
        Ok(taken) => {
            let seconds = taken.map_or_else(|| "null".to_owned(), |t| t.as_secs_f64().to_string());
            let name = job.workload.name();
            println!(r#"{{"workload":"{name}","seconds":{seconds},"checked":true}}"#);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("flatbao-workloads: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
struct Job {
    workload: Workload,
    scale: Scale,
    dir: PathBuf,
}

impl Job {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let name = args.next().context("which workload?")?;
        let workload = Workload::named(&name)
            .with_context(|| format!("there is no workload of the name {name}"))?;
        let mut scale = Scale {
            size: 1 << 30,
            count: 10_000,
        };
        let mut dir = None;
        while let Some(option) = args.next() {
            let value = args
                .next()
                .with_context(|| format!("{option} needs a value"))?;
            let number = || value.parse().with_context(|| format!("{option} {value}"));
            match option.as_str() {
                "--size" => scale.size = number()?,
                "--count" => scale.count = number()?,
                "--dir" => dir = Some(value.into()),
                _ => bail!("there is no option {option}"),
            }
        }
        Ok(Self {
            workload,
            scale,
            dir: dir.context("--dir is missing")?,
        })
    }
}
