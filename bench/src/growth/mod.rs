//! How what flatbao takes grows: with the number of entries, and with the size of a blob.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::{
    children,
    facts::Facts,
    meter::Sample,
    results::{self, median},
};

mod steps;

pub(crate) use steps::Step;

/// What the command line asks for.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The most entries.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    entries: u64,
    /// The largest blob, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 10 << 10)]
    mib: u64,
    /// How often each is measured; medians are taken.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Nothing is imported durably, or collected, that will take longer than this.
    #[arg(long, value_name = "SECONDS", default_value_t = 600.0)]
    limit: f64,
    /// Where to work; everything there is removed in the end. By itself this is beside the program.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where to write what was measured.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What grew, and how.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Growth {
    pub(crate) facts: Facts,
    pub(crate) rounds: usize,
    pub(crate) curves: Vec<Curve>,
}

/// One work at several sizes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Curve {
    pub(crate) title: String,
    pub(crate) axis: Axis,
    pub(crate) points: Vec<Point>,
}

/// What a curve is drawn over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Axis {
    Entries,
    Bytes,
}

/// One size.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) at: u64,
    pub(crate) samples: Vec<Sample>,
}

impl Point {
    pub(crate) fn wall(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.wall))
    }

    /// Bytes of memory that came on top.
    #[allow(clippy::cast_precision_loss, reason = "less than 2^53 bytes")]
    pub(crate) fn memory(&self) -> Option<f64> {
        let bytes: Option<Vec<u64>> = self.samples.iter().map(Sample::growth).collect();
        Some(median(bytes?.into_iter().map(|bytes| bytes as f64)))
    }
}

/// Measures all curves.
pub(crate) fn run(options: &Options) -> Result<()> {
    let scratch = children::scratch(options.dir.as_deref())?;
    let mut run = Run {
        root: scratch.path(),
        options,
        growth: Growth {
            facts: Facts::gather(scratch.path())?,
            rounds: usize::try_from(options.repeat)?,
            curves: Vec::new(),
        },
    };
    // What removes many files comes last.
    run.bytes()?;
    run.entries()?;
    println!("{}", crate::page::growth_tables(&run.growth));
    eprintln!("removing what was written");
    scratch.close()?;
    Ok(())
}

struct Run<'a> {
    root: &'a Path,
    options: &'a Options,
    growth: Growth,
}

impl Run<'_> {
    fn bytes(&mut self) -> Result<()> {
        let most = self.options.mib << 20;
        // 1 MiB, 10 MiB, ... up to 10 GiB, which is ten times 1 GiB.
        let sizes = [1, 10, 100, 1 << 10, 10 << 10].map(|mib: u64| mib << 20);
        for size in sizes.into_iter().filter(|size| *size <= most) {
            let outer = self.root.join(format!("bytes-{size}"));
            self.step(Step::MakeFile, &outer, size)?;
            for round in 0..self.options.repeat {
                let dir = outer.join(round.to_string());
                for step in [Step::Reference, Step::Copy, Step::Read, Step::First] {
                    self.step(step, &dir, size)?;
                }
                fs::remove_dir_all(&dir)?;
            }
            fs::remove_dir_all(&outer)?;
            self.save()?;
        }
        Ok(())
    }

    fn entries(&mut self) -> Result<()> {
        let sizes = [1_000, 10_000, 100_000, 1_000_000];
        let mut sizes = sizes.to_vec();
        sizes.retain(|size| *size <= self.options.entries);
        let mut dirs = Vec::new();
        for &size in &sizes {
            for round in 0..self.options.repeat {
                let dir = self.root.join(format!("entries-{size}-{round}"));
                match self.is_affordable(Step::Import, size) {
                    true => self.step(Step::Import, &dir, size)?,
                    false => self.step(Step::Fill, &dir, size)?,
                }
                for step in [Step::Open, Step::MakeTags, Step::Tag, Step::Keep] {
                    self.step(step, &dir, size)?;
                }
                dirs.push((dir, size));
                if size >= 1_000_000 {
                    // That is enough of these files.
                    break;
                }
            }
            self.save()?;
        }
        for (dir, size) in dirs {
            if self.is_affordable(Step::Collect, size) {
                self.step(Step::Collect, &dir, size)?;
            }
        }
        self.save()
    }

    /// Whether a work will end in time, if it grows at most a bit more than linearly.
    #[allow(clippy::cast_precision_loss, reason = "a number of entries")]
    fn is_affordable(&self, step: Step, size: u64) -> bool {
        let curve = self
            .growth
            .curves
            .iter()
            .find(|curve| curve.title == step.title());
        let last = curve.and_then(|curve| curve.points.last());
        last.is_none_or(|point| {
            let times = size as f64 / point.at as f64;
            point.wall() * times <= self.options.limit
        })
    }

    /// Does a step in a process of its own, and takes note of what it took, if it tells.
    fn step(&mut self, step: Step, dir: &Path, number: u64) -> Result<()> {
        fs::create_dir_all(dir)?;
        let mut child = children::again(&["point", &step.name()])?;
        child.arg("--dir").arg(dir);
        child.arg("--number").arg(number.to_string());
        let Some(axis) = step.axis() else {
            return children::run(&mut child);
        };
        let sample = children::sample(&mut child)?;
        eprintln!("{number}: {}: {:.4} s", step.title(), sample.wall);
        let curves = &mut self.growth.curves;
        let title = step.title();
        let at = match curves.iter().position(|curve| curve.title == title) {
            Some(at) => at,
            None => {
                curves.push(Curve {
                    title: title.to_owned(),
                    axis,
                    points: Vec::new(),
                });
                curves.len() - 1
            }
        };
        let points = &mut curves[at].points;
        match points.iter_mut().find(|point| point.at == number) {
            Some(point) => point.samples.push(sample),
            None => points.push(Point {
                at: number,
                samples: vec![sample],
            }),
        }
        Ok(())
    }

    fn save(&self) -> Result<()> {
        match &self.options.out {
            Some(out) => results::write(out, &self.growth),
            None => Ok(()),
        }
    }
}
