//! The conformance suite of flatbao, for anybody's back end, and flatbao's own tests over all of its own.
//!
//! There is a level for either seam. Implement [`dir_suite::DirHarness`] for a [`Dir`](flatbao_core::Dir) and
//! expand [`dir_conformance!`] once in a test file, or [`backend_suite::BackendHarness`] for a
//! [`Backend`](flatbao_core::Backend) and [`backend_conformance!`]: each promise of the trait's documentation
//! becomes a test of its own. [`store_suite`] does the same for a whole store over a back end, and [`model`]
//! compares one with a plain map, call by call.
//!
//! Tests name what they hold. `PD-07` is the seventh thing that the old flat store got wrong, as it was reproduced
//! against it, and `BI-041` a row of a catalogue of hostile names, files, paths, tags, streams and environments:
//! `tests/PEER-DEFECTS.md` and `tests/BAD-INPUTS.md` say which tests hold each of them, and `tests/catalogues.rs` that
//! those tests are there and say so.
#![forbid(unsafe_code)]

pub mod backend_suite;
pub mod care;
pub mod dir_suite;
pub mod explore;
pub mod files;
pub mod fixtures;
pub mod fuzz;
pub mod machine;
pub mod model;
pub mod oracle;
pub mod platform;
pub mod store_suite;
pub mod truth;

/// The programs of the README run as they stand there.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
