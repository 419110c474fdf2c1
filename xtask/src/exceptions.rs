//! Tables of exceptions: lines of fields with `|` between them, of which the last is the reason.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::steps::root;

/// A line of a table.
pub(crate) struct Line<const FIELDS: usize> {
    pub(crate) number: usize,
    /// All but the reason.
    pub(crate) fields: [String; FIELDS],
}

/// Reads a table, named from the top of the checkout. `form` is what its lines look like; empty ones and those that
/// begin with `#` are none.
pub(crate) fn read<const FIELDS: usize>(table: &str, form: &str) -> Result<Vec<Line<FIELDS>>> {
    let path = root().join(table);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut fields: Vec<String> = line.split('|').map(|field| field.trim().into()).collect();
        let has_reason = fields.pop().is_some_and(|reason| !reason.is_empty());
        match <[String; FIELDS]>::try_from(fields) {
            Ok(fields) if has_reason => lines.push(Line { number, fields }),
            _ => bail!("{table}:{number} has not the form `{form}`"),
        }
    }
    Ok(lines)
}
