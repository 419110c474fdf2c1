//! What was measured, as it is kept.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{facts::Facts, meter::Sample, scale::Scale};

/// One run of all workloads.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) facts: Facts,
    pub(crate) is_quick: bool,
    pub(crate) scale: Scale,
    pub(crate) rounds: usize,
    pub(crate) workloads: Vec<Measured>,
}

/// One workload.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) title: String,
    /// Blobs in what is opened, where memory is told for each of them.
    pub(crate) entries: Option<u64>,
    /// The floor first.
    pub(crate) contestants: Vec<Series>,
}

/// What one contestant took, round by round.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) samples: Vec<Sample>,
}

impl Results {
    /// Takes in the rounds of a run before this one, which has not begun.
    pub(crate) fn add(&mut self, before: Self) -> Result<()> {
        let Self {
            facts,
            scale,
            workloads,
            rounds,
            ..
        } = before;
        ensure!(
            scale == self.scale && facts.are_those_of(&self.facts),
            "what was measured before was something else, or on another machine: {facts:?}"
        );
        let names = |all: &[Measured]| -> Vec<(String, Vec<String>)> {
            let own = |one: &Measured| one.contestants.iter().map(|who| who.name.clone()).collect();
            all.iter().map(|one| (one.name.clone(), own(one))).collect()
        };
        ensure!(
            names(&workloads) == names(&self.workloads),
            "other workloads were measured before, or by others"
        );
        self.rounds += rounds;
        self.workloads = workloads;
        Ok(())
    }

    pub(crate) fn workload(&self, name: &str) -> Option<&Measured> {
        self.workloads.iter().find(|measured| measured.name == name)
    }
}

impl Measured {
    pub(crate) fn series(&self, name: &str) -> Option<&Series> {
        self.contestants.iter().find(|series| series.name == name)
    }
}

impl Series {
    pub(crate) fn wall(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.wall))
    }

    pub(crate) fn processor(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.user + sample.sys))
    }

    /// Bytes of memory at the most, where that was told.
    pub(crate) fn peak(&self) -> Option<f64> {
        whole(self.samples.iter().map(|sample| sample.peak))
    }

    /// Of these, what came on top while the time ran.
    pub(crate) fn growth(&self) -> Option<f64> {
        whole(self.samples.iter().map(Sample::growth))
    }

    /// How many times as long as another one: the median of the ratios of each round, since what else the machine did
    /// in a round has met both.
    pub(crate) fn ratio(&self, other: &Self) -> f64 {
        let pairs = self.samples.iter().zip(&other.samples);
        median(pairs.map(|(own, other)| own.wall / other.wall))
    }
}

/// The median of bytes, if they are known each time.
#[allow(clippy::cast_precision_loss, reason = "less than 2^53 bytes")]
fn whole(values: impl Iterator<Item = Option<u64>>) -> Option<f64> {
    let values: Option<Vec<u64>> = values.collect();
    Some(median(values?.into_iter().map(|bytes| bytes as f64)))
}

/// The one in the middle; of nothing it is not a number.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

pub(crate) fn write<T: Serialize>(path: &Path, results: &T) -> Result<()> {
    let mut text = serde_json::to_string_pretty(results)?;
    text.push('\n');
    fs::write(path, text).with_context(|| path.display().to_string())
}
