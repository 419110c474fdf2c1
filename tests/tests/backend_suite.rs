//! Every promise of `Backend`, on every back end.

mod store_harness;

use flatbao_tests::backend_conformance;
use store_harness::{Direct, Flat, OnDisk, OneDirectory, ThreeDirectories, ThreeFileSystems};

backend_conformance!(direct, Direct);
backend_conformance!(one_simulated_directory, Flat<OneDirectory>);
backend_conformance!(three_simulated_directories, Flat<ThreeDirectories>);
backend_conformance!(three_simulated_file_systems, Flat<ThreeFileSystems>);
backend_conformance!(one_directory, OnDisk<false>);
backend_conformance!(three_directories, OnDisk<true>);
