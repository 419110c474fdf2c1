//! Random stories, beside a model, on every back end.

mod store_harness;

use flatbao_tests::model;
use store_harness::{Direct, Flat, OnDisk, OneDirectory, ThreeDirectories, ThreeFileSystems};

#[test]
fn direct() {
    model::check::<Direct>(192);
}

#[test]
fn one_simulated_directory() {
    model::check::<Flat<OneDirectory>>(192);
}

#[test]
fn three_simulated_directories() {
    model::check::<Flat<ThreeDirectories>>(96);
}

#[test]
fn three_simulated_file_systems() {
    model::check::<Flat<ThreeFileSystems>>(96);
}

#[test]
fn one_directory() {
    model::check::<OnDisk<false>>(16);
}

#[test]
fn three_directories() {
    model::check::<OnDisk<true>>(16);
}
