//! No progress bar: a sandbox has no terminal to draw one on.

use std::ops::ControlFlow;

use flatbao_core::Progress;

/// What takes the place of the bar of the command.
pub(crate) struct Meter;

impl Meter {
    pub(crate) fn new(_: bool) -> Self {
        Self
    }

    /// Begins a piece of work.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "as where there is a bar")]
    pub(crate) fn start(&mut self, _: &'static str, _: Option<u64>) {}

    /// Ends it.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "as where there is a bar")]
    pub(crate) fn stop(&mut self) {}

    pub(crate) fn advance(&self, _: u64) {}

    /// What the store may call while it works; never stops it.
    #[expect(clippy::unused_self, reason = "as where there is a bar")]
    pub(crate) fn watch(&self) -> impl FnMut(Progress) -> ControlFlow<()> + use<> {
        |_| ControlFlow::Continue(())
    }

    /// Prints.
    #[expect(clippy::unused_self, reason = "as where there is a bar")]
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        print()
    }
}
