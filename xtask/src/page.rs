//! The page that the table is written into.

use std::{fmt::Write as _, fs};

use anyhow::{Context as _, Result};

use crate::{steps::root, table::Row};

/// The page, from the top of the checkout.
const PAGE: &str = "host-wasm/MEASURED.md";
/// What is between these two is written anew.
const BEGIN: &str = "<!-- table: written by `cargo xtask wasi-table` -->\n";
const END: &str = "<!-- end of table -->\n";

/// What is around the table.
pub(crate) struct Page {
    before: String,
    after: String,
}

impl Page {
    pub(crate) fn read() -> Result<Self> {
        let text = fs::read_to_string(root().join(PAGE)).context(PAGE)?;
        let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
            let (_, after) = rest.split_once(END)?;
            Some(Self {
                before: before.to_owned(),
                after: after.to_owned(),
            })
        });
        parts
            .with_context(|| format!("{PAGE} has not the two comments that the table goes between"))
    }

    /// Puts `text` where the table was, and prints it.
    pub(crate) fn write(&self, text: &str) -> Result<()> {
        let Self { before, after } = self;
        println!("\n{text}");
        let page = format!("{before}{BEGIN}\n{text}\n{END}{after}");
        fs::write(root().join(PAGE), page).context(PAGE)?;
        println!("xtask: {PAGE} is written");
        Ok(())
    }
}

/// The table; the first column is what all others are compared with.
pub(crate) fn table(columns: &[&str], rows: &[Row]) -> String {
    let mut text = format!(
        "| | {} |\n|---|{}\n",
        columns.join(" | "),
        "---|".repeat(columns.len())
    );
    for Row { name, seconds } in rows {
        let mut line = format!("| {name} |");
        for (at, &taken) in seconds.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = match at {
                0 => write!(line, " {} |", duration(taken)),
                _ => write!(line, " {} ({:.2} ×) |", duration(taken), taken / seconds[0]),
            };
        }
        text += &line;
        text.push('\n');
    }
    text
}

fn duration(seconds: f64) -> String {
    match seconds {
        ..0.01 => format!("{:.1} ms", seconds * 1e3),
        ..1.0 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}

/// A number of bytes in the largest unit that leaves it whole.
pub(crate) fn length(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = units
        .iter()
        .find(|(bits, _)| bytes > 0 && bytes.trailing_zeros() >= *bits);
    match whole {
        Some((bits, unit)) => format!("{} {unit}", bytes >> bits),
        None => format!("{bytes} bytes"),
    }
}

/// A number with its thousands apart.
pub(crate) fn number(number: u64) -> String {
    match number / 1000 {
        0 => number.to_string(),
        thousands => format!("{},{:03}", self::number(thousands), number % 1000),
    }
}
