//! A progress bar on stderr, where that is a terminal.

use std::ops::ControlFlow;

use flatbao_core::Progress;
use indicatif::{ProgressBar, ProgressStyle};

const BYTES: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec}";
const SPINNER: &str = "{spinner} {msg} {human_pos}";

/// The bar of the command, or nothing at all.
pub(crate) struct Meter {
    enabled: bool,
    bar: ProgressBar,
}

impl Meter {
    pub(crate) fn new(enabled: bool) -> Self {
        Self {
            enabled,
            bar: ProgressBar::hidden(),
        }
    }

    /// Starts a bar of so many bytes, or of nobody knows how many.
    pub(crate) fn start(&mut self, what: &'static str, bytes: Option<u64>) {
        self.stop();
        if !self.enabled {
            return;
        }
        let (bar, template) = match bytes {
            Some(total) => (ProgressBar::new(total), BYTES),
            None => (ProgressBar::new_spinner(), SPINNER),
        };
        // A template that is wrong is a mistake in this file; the plain bar does as well.
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar = bar.with_style(style).with_message(what);
    }

    /// Takes the bar off the screen.
    pub(crate) fn stop(&mut self) {
        self.bar.finish_and_clear();
        self.bar = ProgressBar::hidden();
    }

    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// What the store may call while it works; never stops it. Bytes are counted from where the bar is now.
    pub(crate) fn watch(&self) -> impl FnMut(Progress) -> ControlFlow<()> + use<> {
        let (bar, base) = (self.bar.clone(), self.bar.position());
        move |step| {
            let position = match step {
                Progress::Listed { entries } => entries,
                Progress::Imported { bytes, .. } | Progress::Exported { bytes, .. } => base + bytes,
                Progress::Copied { bytes, .. } => bytes,
                Progress::Verified { bytes, total } => {
                    if bar.length() == Some(0) {
                        bar.set_length(total);
                    }
                    bytes
                }
                Progress::Sent { bytes, total } | Progress::Received { bytes, total } => {
                    bar.set_length(total);
                    bytes
                }
                Progress::Checked { blobs, .. }
                | Progress::Marked { blobs }
                | Progress::Swept { blobs, .. } => blobs,
                _ => return ControlFlow::Continue(()),
            };
            bar.set_position(position);
            ControlFlow::Continue(())
        }
    }

    /// Prints while the bar is out of the way.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}
