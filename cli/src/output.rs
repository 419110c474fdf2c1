//! What is told: results on stdout, everything else on stderr.
//!
//! With `--json` every line of stdout is one JSON object, errors among them, so that one stream has it all.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    ops::Range,
    path::Path,
};

use flatbao_core::{Hash, text};

use crate::{
    args::Global,
    error::{CliError, Exit, Result},
    json::{self, Value, json},
    progress::Meter,
};

/// The two streams, and the progress bar that must not get mixed up with them.
pub(crate) struct Out {
    json: bool,
    quiet: bool,
    verbose: bool,
    /// Whether work goes on when nobody reads the results any more.
    unread_is_fine: bool,
    pub(crate) meter: Meter,
}

impl Out {
    pub(crate) fn new(global: &Global) -> Self {
        let silent = global.json || global.quiet || !io::stderr().is_terminal();
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            unread_is_fine: false,
            meter: Meter::new(!silent),
        }
    }

    /// For commands that change something: they finish also when their output is closed.
    pub(crate) fn finish_unread(&mut self) {
        self.unread_is_fine = true;
    }

    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    pub(crate) const fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// One result: an object for programs, or a line for people.
    pub(crate) fn result(
        &self,
        object: impl FnOnce() -> Value,
        line: impl FnOnce() -> String,
    ) -> Result<()> {
        let mut text = if self.json {
            object().to_string()
        } else {
            line()
        };
        text.push('\n');
        self.bytes(text.as_bytes())
    }

    /// As [`result`](Self::result), where with `-q` people want no more than the one word.
    pub(crate) fn result_or(
        &self,
        word: impl Display,
        object: impl FnOnce() -> Value,
        line: impl FnOnce() -> String,
    ) -> Result<()> {
        self.result(
            object,
            || {
                if self.quiet { word.to_string() } else { line() }
            },
        )
    }

    /// Bytes of a blob, as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<()> {
        self.settle(self.meter.aside(|| io::stdout().lock().write_all(bytes)))
    }

    /// Ends the output: what could not be written is an error now, and not lost at exit.
    pub(crate) fn flush(&self) -> Result<()> {
        self.settle(io::stdout().flush())
    }

    fn settle(&self, written: io::Result<()>) -> Result<()> {
        match written {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe && self.unread_is_fine => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(Box::new(CliError::Closed)),
            Err(e) => Err(Box::new(CliError::Output(e))),
            Ok(()) => Ok(()),
        }
    }

    /// What only `-v` wants to know.
    pub(crate) fn note(&self, text: impl Display) {
        if self.verbose {
            self.aside("\x1b[1mnote:\x1b[0m", &text);
        }
    }

    /// What everyone should know, though the command does what it was asked.
    pub(crate) fn warn(&self, text: impl Display) {
        self.aside("\x1b[1;33mwarning:\x1b[0m", &text);
    }

    /// Why the command, or a part of it, failed.
    pub(crate) fn error(&self, error: &CliError) {
        if matches!(error, CliError::Closed) {
            return;
        }
        self.problem("\x1b[1;31merror:\x1b[0m", error);
        if let Some(hint) = error.hint().filter(|_| !self.json) {
            self.hint(&hint);
        }
    }

    /// What to do next.
    pub(crate) fn hint(&self, text: &str) {
        self.aside("\x1b[1;36m hint:\x1b[0m", &text);
    }

    /// Why something was left out.
    pub(crate) fn skipped(&self, error: &CliError) {
        self.problem("\x1b[1;33mskipped:\x1b[0m", error);
    }

    fn problem(&self, label: &str, error: &CliError) {
        if self.json {
            let object = json!({
                "error": error.kind(),
                "message": error.message(),
                "hint": error.hint(),
            });
            // The exit code says it as well, should nobody read this.
            let _ = self.result(|| object, String::new);
            return;
        }
        self.aside(label, &error.message());
    }

    /// anstream leaves the colours out where they would not show. An unwritable stderr has nobody to tell.
    fn aside(&self, label: &str, text: &dyn Display) {
        self.meter.aside(|| {
            let _ = writeln!(anstream::stderr(), "{label} {text}");
        });
    }
}

/// What became of several things.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    done: usize,
    failed: Option<Exit>,
}

impl Tally {
    pub(crate) fn done(&mut self) {
        self.done += 1;
    }

    /// Tells why one of the things was not done.
    pub(crate) fn failed(&mut self, out: &Out, error: &CliError) {
        out.error(error);
        self.note(error.exit());
    }

    /// Tells why one of the things was left out.
    pub(crate) fn skipped(&mut self, out: &Out, error: &CliError) {
        out.skipped(error);
        self.note(error.exit());
    }

    pub(crate) fn note(&mut self, exit: Exit) {
        if self.failed.is_none() || exit == Exit::Corrupt {
            self.failed = Some(exit);
        }
    }

    /// Corruption outdoes everything; some successes make of a failure a part.
    pub(crate) fn exit(&self) -> Exit {
        match self.failed {
            None => Exit::Done,
            Some(Exit::Corrupt) => Exit::Corrupt,
            Some(_) if self.done > 0 => Exit::Partial,
            Some(first) => first,
        }
    }
}

/// Enough of a hash to name the blob on the command line.
pub(crate) fn short(hash: Hash) -> String {
    let mut text = hash.to_string();
    text.truncate(16);
    text
}

/// Ranges for programs: pairs of the first and the one behind the last.
pub(crate) fn exact_ranges(ranges: &[Range<u64>]) -> Value {
    let pairs = ranges
        .iter()
        .map(|range| json::pair(range.start, Some(range.end)));
    pairs.collect()
}

/// So many things: 1 blob, 2 blobs.
pub(crate) fn count(number: u64, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{s}")
}

/// A size for people: exact below 1 KiB, then in the largest unit that it reaches, to a tenth. Without floating
/// point numbers, which nothing else in the command needs.
pub(crate) fn size(bytes: u64) -> String {
    let bytes = u128::from(bytes);
    let tenths = |unit: u128| (10 * bytes + unit / 2) / unit;
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let units = units
        .iter()
        .zip(1_u32..)
        .map(|(name, power)| (name, tenths(1024_u128.pow(power))));
    match units.take_while(|(_, tenths)| *tenths >= 10).last() {
        Some((name, tenths)) if bytes >= 1024 => format!("{}.{} {name}", tenths / 10, tenths % 10),
        _ => format!("{bytes} B"),
    }
}

/// A path or name for programs: as it is, or printable where it is not UTF-8.
pub(crate) fn exact(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    path.to_str().map_or_else(|| printable(path), str::to_owned)
}

/// A path or name that can do nothing to a terminal: what it would not show as itself is written `\xNN`.
pub(crate) fn printable(path: impl AsRef<Path>) -> String {
    text::printable(path.as_ref().as_os_str().as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_nothing_to_a_terminal() {
        assert_eq!(printable("a b/ü\\\"'"), "a b/ü\\\"'");
        assert_eq!(printable("\x1b[2J\n"), "\\x1b[2J\\x0a");
        assert_eq!(printable("\u{202e}x"), "\\xe2\\x80\\xaex");
    }

    #[test]
    fn a_size_is_told_to_a_tenth_of_its_unit() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1587, "1.5 KiB"),
            (1588, "1.6 KiB"),
            // Rounded up it is one of the next unit, not 1024.0 of this one.
            (1024 * 1024 - 1, "1.0 MiB"),
            (16 * 1024 * 1024, "16.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn the_exit_code_of_several_things() {
        let mut tally = Tally::default();
        assert_eq!(tally.exit(), Exit::Done);
        tally.note(Exit::NotFound);
        assert_eq!(tally.exit(), Exit::NotFound);
        tally.done();
        assert_eq!(tally.exit(), Exit::Partial);
        tally.note(Exit::Corrupt);
        tally.note(Exit::Failed);
        assert_eq!(tally.exit(), Exit::Corrupt);
    }
}
