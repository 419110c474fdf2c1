//! What the fuzz targets hold, each as a function of any bytes: it panics when the promise is broken.
//!
//! The crate in `fuzz/` calls these under a fuzzer, and `tests/fuzz_corpus.rs` over the committed corpus. The
//! bytes are a script that says which files there are, what is wrong with them, and what is done; whatever
//! the bytes are, they say something, and the same ones say the same.

// A test reports by panicking; what it casts is small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod bao_stream;
mod contents;
mod directory;
mod edit;
mod file_name;
mod input;
mod names;
mod outboard_pair;
mod paths;
mod scene;
pub mod seeds;
mod tags;

pub use bao_stream::bao_stream;
pub use directory::directory;
pub use file_name::file_name;
pub use outboard_pair::outboard_pair;
pub use paths::paths;
pub use tags::tags;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What it is called, here and in `fuzz/`.
    pub name: &'static str,
    /// What it holds of any bytes.
    pub run: fn(&[u8]),
    /// How many mutations of its whole corpus an ordinary test tries.
    pub mutations: usize,
}

/// All targets.
pub const TARGETS: [Target; 6] = [
    target("file_name", file_name, 100_000),
    target("tags", tags, 50_000),
    target("paths", paths, 50_000),
    target("outboard_pair", outboard_pair, 1000),
    target("bao_stream", bao_stream, 1500),
    target("directory", directory, 1200),
];

const fn target(name: &'static str, run: fn(&[u8]), mutations: usize) -> Target {
    Target {
        name,
        run,
        mutations,
    }
}
