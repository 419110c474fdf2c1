//! The page: tables between comments, and what was written by hand around them.

use std::{fmt::Write as _, fs, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::{
    aims,
    growth::{Axis, Curve, Growth, Point},
    plot,
    results::{self, Measured, Results},
    scale::{length, number},
};

/// What the command line asks for.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What a run has written.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// What a growth has written.
    #[arg(long, value_name = "FILE")]
    growth: Option<PathBuf>,
    /// The page.
    #[arg(long, value_name = "FILE")]
    page: PathBuf,
    /// Where plots go; the page refers to them by this path.
    #[arg(long, value_name = "DIR")]
    plots: PathBuf,
}

/// Writes what was measured; what was not stays as it is on the page.
pub(crate) fn write(options: &Options) -> Result<()> {
    let shown = options.page.display();
    let mut page = fs::read_to_string(&options.page).with_context(|| shown.to_string())?;
    fs::create_dir_all(&options.plots)?;
    if let Some(path) = &options.results {
        let results: Results = results::read(path)?;
        fs::write(options.plots.join("workloads.svg"), plot::bars(&results))?;
        page = between(&page, "workloads", &workloads(&results))?;
        page = between(&page, "aims", &aims::table(&results))?;
    }
    if let Some(path) = &options.growth {
        let growth: Growth = results::read(path)?;
        for (name, axis) in [("entries", Axis::Entries), ("bytes", Axis::Bytes)] {
            let file = options.plots.join(format!("growth-{name}.svg"));
            fs::write(file, plot::curves(&growth, axis))?;
        }
        page = between(&page, "growth", &growth_tables(&growth))?;
    }
    fs::write(&options.page, page).with_context(|| shown.to_string())?;
    println!("{shown} is written");
    Ok(())
}

/// Puts text between the two comments of this name.
fn between(page: &str, name: &str, text: &str) -> Result<String> {
    let begin = format!("<!-- {name}: written by `cargo xtask bench` -->\n");
    let end = format!("<!-- end of {name} -->\n");
    let parts = page.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some((before, after))
    });
    let (before, after) = parts.with_context(|| format!("the page has no place for {name}"))?;
    Ok(format!("{before}{begin}\n{text}\n{end}{after}"))
}

fn workloads(results: &Results) -> String {
    let mut text = results.facts.tell(results.rounds);
    if results.is_quick {
        text += "\n\n**This was a quick run**: sizes are small, and the numbers say only that everything runs and that \
                 results are equal.";
    }
    text.push('\n');
    for measured in &results.workloads {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{}", table(measured));
    }
    text.trim_end().to_owned()
}

/// The table of a workload.
pub(crate) fn table(measured: &Measured) -> String {
    let mut text = format!(
        "### {}\n\n| | time | | processor | peak memory | of it, on top |\n|---|---:|---:|---:|---:|---:|\n",
        measured.title
    );
    for series in &measured.contestants {
        let ratio = measured
            .contestants
            .first()
            .map(|floor| series.ratio(floor));
        let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2} ×"));
        let _ = writeln!(
            text,
            "| {} | {} | {ratio} | {} | {} | {} |",
            series.name,
            duration(series.wall()),
            duration(series.processor()),
            megabytes(series.peak()),
            megabytes(series.growth()),
        );
    }
    text
}

/// What grew, and how fast.
pub(crate) fn growth_tables(growth: &Growth) -> String {
    let mut text = growth.facts.tell(growth.rounds);
    text.push('\n');
    for axis in [Axis::Entries, Axis::Bytes] {
        let curves = growth.curves.iter().filter(|curve| curve.axis == axis);
        let curves: Vec<&Curve> = curves.collect();
        let mut sizes: Vec<u64> = curves
            .iter()
            .flat_map(|curve| curve.points.iter().map(|point| point.at))
            .collect();
        sizes.sort_unstable();
        sizes.dedup();
        let heads: Vec<String> = sizes.iter().map(|size| axis.show(*size)).collect();
        for (title, show) in [
            (
                "time",
                (|point| duration(point.wall())) as fn(&Point) -> String,
            ),
            ("memory on top", |point| megabytes(point.memory())),
        ] {
            let _ = write!(
                text,
                "\n| {title} | {} | grows |\n|---|{}---|\n",
                heads.join(" | "),
                "---:|".repeat(sizes.len())
            );
            for curve in &curves {
                let cell = |size: &u64| {
                    let point = curve.points.iter().find(|point| point.at == *size);
                    point.map_or_else(|| "–".to_owned(), show)
                };
                let cells: Vec<String> = sizes.iter().map(cell).collect();
                let word = match title {
                    "time" => curve.word(|point| Some(point.wall()), 100e-6),
                    _ => curve.word(|point| Some(point.memory()?.max(4096.0)), 1e6),
                };
                let _ = writeln!(text, "| {} | {} | {word} |", curve.title, cells.join(" | "));
            }
        }
    }
    text
}

impl Axis {
    pub(crate) fn show(self, size: u64) -> String {
        match self {
            Self::Entries => number(size),
            Self::Bytes => length(size),
        }
    }
}

impl Curve {
    /// How it grows from the last size but one to the last: the exponent, and what that means. What is never more than
    /// `little` is not worth one.
    #[allow(clippy::cast_precision_loss, reason = "sizes that are drawn")]
    fn word(&self, value: fn(&Point) -> Option<f64>, little: f64) -> String {
        let [.., before, last] = &self.points[..] else {
            return String::new();
        };
        let (Some(from), Some(to)) = (value(before), value(last)) else {
            return String::new();
        };
        if from <= little && to <= little {
            return "next to nothing".to_owned();
        }
        let exponent = (to / from).ln() / (last.at as f64 / before.at as f64).ln();
        let word = match exponent {
            ..0.1 => "not at all",
            ..0.9 => "less than linearly",
            ..1.1 => "linearly",
            _ => "**more than linearly**",
        };
        format!("{word} (n^{exponent:.2})")
    }
}

pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        ..0.000_01 => format!("{:.1} µs", seconds * 1e6),
        ..0.001 => format!("{:.0} µs", seconds * 1e6),
        ..0.01 => format!("{:.1} ms", seconds * 1e3),
        ..1.0 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}

fn megabytes(bytes: Option<f64>) -> String {
    bytes.map_or_else(|| "–".to_owned(), |bytes| format!("{:.1} MB", bytes / 1e6))
}
