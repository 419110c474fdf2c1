//! `flatbao-bench`: real peers, the floor and flatbao at the same work, in one run.
//!
//! Every repetition is a process of its own, which prepares itself, takes the time of one section, and prints what that
//! took and what came out.

#![forbid(unsafe_code)]

mod aims;
mod children;
mod digest;
mod driver;
mod facts;
mod growth;
mod job;
mod meter;
mod page;
mod peers;
mod plot;
mod prep;
mod results;
mod scale;
mod workloads;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{growth::Step, job::Job, meter::Meter, prep::Prep, scale::Scale};

/// What flatbao takes, beside real peers and beside the floor that no store gets under.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures all workloads in rounds and writes what they took.
    Run(driver::Options),
    /// Measures flatbao with more and more entries, and with larger and larger blobs.
    Growth(growth::Options),
    /// Writes tables and plots of what was measured.
    Page(page::Options),
    /// Tells the names of the workloads.
    List,
    /// Prepares one thing for all repetitions; the other commands run this.
    #[command(hide = true)]
    Prepare {
        what: Prep,
        #[command(flatten)]
        place: Place,
    },
    /// Prepares one repetition.
    #[command(hide = true)]
    PrepareOne {
        workload: String,
        contestant: String,
        #[command(flatten)]
        place: Place,
    },
    /// Measures one repetition.
    #[command(hide = true)]
    One {
        workload: String,
        contestant: String,
        #[command(flatten)]
        place: Place,
    },
    /// Does one step of the growth.
    #[command(hide = true)]
    Point {
        step: Step,
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        number: u64,
    },
}

/// Where a child works.
#[derive(Debug, clap::Args)]
struct Place {
    /// The directory of the whole run.
    #[arg(long)]
    root: PathBuf,
    /// The directory of this repetition.
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    quick: bool,
}

impl Place {
    fn job(self) -> Job {
        Job::new(self.root, self.dir, Scale::of(self.quick))
    }
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Run(options) => driver::run(&options),
        Command::Growth(options) => growth::run(&options),
        Command::Page(options) => page::write(&options),
        Command::List => {
            for workload in workloads::ALL {
                println!("{}: {}", workload.name, (workload.title)(Scale::FULL));
            }
            Ok(())
        }
        Command::Prepare { what, place } => what.make(&place.root, Scale::of(place.quick)),
        Command::PrepareOne {
            workload,
            contestant,
            place,
        } => {
            let contestant = workloads::named(&workload)?.contestant(&contestant)?;
            let job = place.job();
            if let Some(make) = contestant.each_time {
                make(&job.dir, job.scale)?;
            }
            meter::sync_file_system(&job.dir)
        }
        Command::One {
            workload,
            contestant,
            place,
        } => {
            let contestant = workloads::named(&workload)?.contestant(&contestant)?;
            let job = place.job();
            let mut meter = Meter::new(&job.dir);
            let check = (contestant.work)(&job, &mut meter)?;
            print(&meter.finish(check)?)
        }
        Command::Point { step, dir, number } => match step.run(&dir, number)? {
            Some(sample) => print(&sample),
            None => Ok(()),
        },
    }
}

fn print(sample: &meter::Sample) -> Result<()> {
    println!("{}", serde_json::to_string(sample)?);
    Ok(())
}
