//! What the project wants to reach, line by line, and whether it has.

use std::fmt::Write as _;

use crate::results::{Results, Series};

/// One thing to reach.
struct Aim {
    what: &'static str,
    workload: &'static str,
    /// Who is to reach it.
    who: &'static str,
    measure: Measure,
    /// What it may be at the most.
    bound: f64,
    /// Who, in which workload, does only what nobody gets around here: what cannot be reached on a machine that takes
    /// longer for that.
    limit: Option<(&'static str, &'static str)>,
}

/// What is told by a number.
#[derive(Clone, Copy)]
enum Measure {
    /// Time, as a multiple of what someone else takes.
    Against(&'static str),
    /// Bytes of memory for each entry.
    BytesEach,
    /// Megabytes of memory at the most.
    Megabytes,
}

use Measure::{Against, BytesEach, Megabytes};

const fn aim(
    what: &'static str,
    workload: &'static str,
    who: &'static str,
    measure: Measure,
    bound: f64,
) -> Aim {
    Aim {
        what,
        workload,
        who,
        measure,
        bound,
        limit: None,
    }
}

impl Aim {
    /// This aim, with its limit.
    const fn above(mut self, workload: &'static str, who: &'static str) -> Self {
        self.limit = Some((workload, who));
        self
    }
}

/// Memory of any work on the large blob.
const MEGABYTES: f64 = 16.0;

#[rustfmt::skip]
const AIMS: &[Aim] = &[
    aim("outboard in memory", "outboard", "flatbao 1t", Against("update"), 1.10).above("outboard", "groups one by one"),
    aim("", "outboard", "flatbao 2t", Against("update_rayon"), 1.15).above("outboard", "groups one by one, two threads"),
    aim("import by reference", "reference", "flatbao 1t", Against("read + hash"), 1.05).above("reference", "read + groups, outboard synced"),
    aim("", "reference", "flatbao 1t", Against("iroh-blobs"), 0.6).above("reference", "read + groups, outboard synced"),
    aim("", "reference", "flatbao 2t", Against("iroh-blobs"), 0.4),
    aim("import by copy, durable", "import", "flatbao 2t", Against("cp + syncfs"), 1.25),
    aim("", "import", "flatbao 2t", Against("iroh-blobs, data not synced"), 0.5).above("import", "cp + syncfs"),
    aim("small blobs, one durable batch", "small", "flatbao 2t", Against("create, write, rename + syncfs"), 1.3),
    aim("", "small", "flatbao 2t", Against("iroh-blobs"), 0.75),
    aim("open and list", "open", "flatbao", Against("readdir"), 1.2),
    aim("", "open-many", "flatbao", Against("readdir"), 1.2),
    aim("", "open", "flatbao", BytesEach, 100.0),
    aim("", "open-many", "flatbao", BytesEach, 100.0),
    aim("verified sequential read", "read", "flatbao 1t", Against("read + hash"), 1.05),
    aim("", "read", "flatbao 1t", Against("iroh-blobs"), 0.45).above("read", "read + hash"),
    aim("", "read", "flatbao 2t", Against("iroh-blobs"), 0.3).above("concurrent", "read + hash"),
    aim("random verified reads", "random", "flatbao", Against("pread, unverified"), 2.5).above("random", "pread + hash, outboard in blocks"),
    aim("", "random", "flatbao", Against("iroh-blobs"), 0.15).above("random", "pread + hash, outboard in blocks"),
    aim("gc of half", "gc", "flatbao", Against("parallel unlink"), 1.1),
    aim("", "gc", "flatbao", Against("flat"), 0.3).above("gc", "parallel unlink"),
    aim("export, verified", "export-unsynced", "flatbao 2t", Against("cp"), 1.3),
    aim("", "export", "flatbao 2t", Against("cp + syncfs"), 1.3),
    aim("stream, sent", "send", "flatbao 2t", Against("iroh-blobs"), 0.6),
    aim("stream, received", "receive", "flatbao 2t, nothing synced", Against("iroh-blobs, data not synced"), 0.75).above("receive", "taken apart, unverified"),
    aim("", "receive", "flatbao 2t, durable", Against("iroh-blobs, data not synced"), 0.75).above("receive", "taken apart, unverified + syncfs"),
    aim("memory, on the large blob", "import", "flatbao 2t", Megabytes, MEGABYTES),
    aim("", "reference", "flatbao 2t", Megabytes, MEGABYTES),
    aim("", "read", "flatbao 2t", Megabytes, MEGABYTES),
    aim("", "random", "flatbao", Megabytes, MEGABYTES),
    aim("", "export", "flatbao 2t", Megabytes, MEGABYTES),
    aim("", "send", "flatbao 2t", Megabytes, MEGABYTES),
    aim("", "receive", "flatbao 2t, durable", Megabytes, MEGABYTES),
];

impl Aim {
    /// What is measured, in words.
    fn words(&self, results: &Results) -> String {
        let title = results
            .workload(self.workload)
            .map_or(self.workload, |measured| &measured.title);
        let who = self.who;
        match self.measure {
            Against(other) => format!("{title}: {who} / {other}"),
            BytesEach => format!("{title}: memory of {who} for each entry"),
            Megabytes => format!("{title}: peak memory of {who}"),
        }
    }

    /// What was measured, if it was.
    #[allow(
        clippy::cast_precision_loss,
        reason = "how many entries there are is a small number"
    )]
    fn value(&self, results: &Results) -> Option<f64> {
        let measured = results.workload(self.workload)?;
        let own = measured.series(self.who)?;
        if own.samples.is_empty() {
            return None;
        }
        match self.measure {
            Against(other) => Some(own.ratio(measured.series(other)?)),
            BytesEach => Some(own.growth()? / measured.entries? as f64),
            Megabytes => Series::peak(own).map(|bytes| bytes / 1e6),
        }
    }

    /// What is the least that it can be, where somebody was measured who does nothing else.
    fn limit(&self, results: &Results) -> Option<f64> {
        let (Against(other), Some((workload, who))) = (self.measure, self.limit) else {
            return None;
        };
        let least = results.workload(workload)?.series(who)?;
        let other = results.workload(self.workload)?.series(other)?;
        Some(least.ratio(other))
    }

    fn show(&self, value: f64) -> String {
        match self.measure {
            Against(_) => format!("{value:.2} ×"),
            BytesEach => format!("{value:.0} bytes"),
            Megabytes => format!("{value:.1} MB"),
        }
    }
}

/// The table of all that was measured.
pub(crate) fn table(results: &Results) -> String {
    let mut text =
        "| aim | measured | at most | is | | limit here |\n|---|---|---:|---:|---|---|\n"
            .to_owned();
    let (mut reached, mut all) = (0, 0);
    let mut heading = "";
    for aim in AIMS {
        if !aim.what.is_empty() {
            heading = aim.what;
        }
        let Some(value) = aim.value(results) else {
            continue;
        };
        all += 1;
        let verdict = match value <= aim.bound {
            true => {
                reached += 1;
                "reached".to_owned()
            }
            false => format!("**missed** by {:.0} %", (value / aim.bound - 1.0) * 100.0),
        };
        let limit = aim.limit(results).zip(aim.limit);
        let limit = limit.map_or_else(String::new, |(least, (_, who))| {
            format!("{}, {who}", aim.show(least))
        });
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {verdict} | {limit} |",
            std::mem::take(&mut heading),
            aim.words(results),
            aim.show(aim.bound),
            aim.show(value),
        );
    }
    let _ = writeln!(text, "\n{reached} of {all} reached.");
    text
}
