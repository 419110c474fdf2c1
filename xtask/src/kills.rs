//! The command, killed many times.

use anyhow::Result;

use crate::steps::{cargo, run};

pub(crate) struct Options {
    kills: u64,
    /// Drawn anew where none is given.
    seed: Option<u64>,
}

impl Options {
    /// `None` where it is not as the usage says.
    pub(crate) fn parse(args: &[&str]) -> Option<Self> {
        let mut options = Self {
            kills: 200,
            seed: None,
        };
        for pair in args.chunks(2) {
            match *pair {
                ["--kills", value] => options.kills = value.parse().ok()?,
                ["--seed", value] => options.seed = Some(value.parse().ok()?),
                _ => return None,
            }
        }
        Some(options)
    }
}

/// Runs that test for long: as it is built for the others, with what that asserts about itself.
pub(crate) fn test(options: &Options) -> Result<()> {
    let mut test = cargo("test --package flatbao --test kills --locked -- --nocapture");
    test.env("FLATBAO_KILLS", options.kills.to_string());
    if let Some(seed) = options.seed {
        test.env("FLATBAO_SEED", seed.to_string());
    }
    run("kills", &mut test)
}
