//! Pointers and lengths that lead out of the guest's memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use flatbao_host::{RunError, Sandbox, StopReason};

mod common;
use common::{CREATE, DIR, Guest, INVAL, OK, READ, WRITE, trapped};

/// Every function with a pointer, for a descriptor of a file (`F`), of a directory (`D`), and pointers `P`.
const CALLS: &[&str] = &[
    "args_get P (i32.const 0)",
    "args_get (i32.const 0) P",
    "args_sizes_get P (i32.const 0)",
    "environ_get P (i32.const 0)",
    "environ_get (i32.const 0) P",
    "environ_sizes_get P (i32.const 0)",
    "clock_res_get (i32.const 0) P",
    "clock_time_get (i32.const 0) (i64.const 0) P",
    "fd_fdstat_get F P",
    "fd_filestat_get F P",
    "fd_filestat_get D P",
    "fd_pread F P (i32.const 1) (i64.const 0) (i32.const 256)",
    "fd_pread F P (i32.const 0x7fffffff) (i64.const 0) (i32.const 256)",
    "fd_pread F (i32.const 512) (i32.const 1) (i64.const 0) P",
    "fd_prestat_get D P",
    "fd_prestat_dir_name D P (i32.const 100)",
    "fd_pwrite F P (i32.const 1) (i64.const 0) (i32.const 256)",
    "fd_pwrite F (i32.const 512) (i32.const 1) (i64.const 0) P",
    "fd_read F P (i32.const 1) (i32.const 256)",
    "fd_read F P (i32.const -1) (i32.const 256)",
    "fd_read F (i32.const 512) (i32.const 1) P",
    "fd_readdir D P (i32.const 100) (i64.const 0) (i32.const 256)",
    "fd_readdir D (i32.const 65536) (i32.const -1) (i64.const 0) (i32.const 256)",
    "fd_readdir D (i32.const 65536) (i32.const 100) (i64.const 0) P",
    "fd_seek F (i64.const 0) (i32.const 0) P",
    "fd_tell F P",
    "fd_write F P (i32.const 1) (i32.const 256)",
    "fd_write (i32.const 1) P (i32.const 1) (i32.const 256)",
    "fd_write F P (i32.const -1) (i32.const 256)",
    "fd_write F (i32.const 512) (i32.const 1) P",
    "path_create_directory D P (i32.const 100)",
    "path_create_directory D (i32.const 256) (i32.const -1)",
    "path_filestat_get D (i32.const 0) P (i32.const 1) (i32.const 256)",
    "path_filestat_get D (i32.const 0) (i32.const 4096) (i32.const 1) P",
    "path_filestat_set_times D (i32.const 0) P (i32.const 1) (i64.const 0) (i64.const 0) (i32.const 0)",
    "path_link D (i32.const 0) P (i32.const 1) D (i32.const 4096) (i32.const 1)",
    "path_link D (i32.const 0) (i32.const 4096) (i32.const 1) D P (i32.const 1)",
    "path_open D (i32.const 0) P (i32.const 1) (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 256)",
    "path_open D (i32.const 0) (i32.const 4096) (i32.const -1) (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 256)",
    "path_open D (i32.const 0) (i32.const 4096) (i32.const 1) (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) P",
    "path_readlink D P (i32.const 1) (i32.const 65536) (i32.const 100) (i32.const 256)",
    "path_readlink D (i32.const 4097) (i32.const 1) P (i32.const 100) (i32.const 256)",
    "path_readlink D (i32.const 4097) (i32.const 1) (i32.const 65536) (i32.const 100) P",
    "path_remove_directory D P (i32.const 1)",
    "path_rename D P (i32.const 1) D (i32.const 4096) (i32.const 1)",
    "path_rename D (i32.const 4096) (i32.const 1) D P (i32.const 1)",
    "path_symlink P (i32.const 1) D (i32.const 4096) (i32.const 1)",
    "path_symlink (i32.const 4096) (i32.const 1) D P (i32.const 1)",
    "path_unlink_file D P (i32.const 1)",
    "poll_oneoff P (i32.const 2048) (i32.const 1) (i32.const 256)",
    "poll_oneoff P (i32.const 2048) (i32.const 4096) (i32.const 256)",
    "random_get P (i32.const 100)",
    "random_get (i32.const 65536) (i32.const -1)",
];

/// BI-099.
#[test]
fn pointers_out_of_memory_trap() {
    for call in CALLS {
        // Just behind the 4 MiB there are, and where adding wraps around.
        for pointer in ["(i32.const 4194304)", "(i32.const -8)"] {
            let scratch = tempfile::tempdir().unwrap();
            let mut guest = Guest::new();
            // The text "a" is at 4096, "l" at 4097.
            guest.open(OK, DIR, "a", CREATE, READ | WRITE);
            guest.text("l");
            guest.write(OK, 8);
            // A buffer that is all in memory, for the calls whose other pointer is not.
            let call = call
                .replace('F', "(call $fd)")
                .replace('D', "(i32.const 3)")
                .replace('P', pointer);
            guest.raw(&format!(
                "(call $proc_exit (i32.add (i32.const 1000) (call ${call})))"
            ));
            std::os::unix::fs::symlink("a", scratch.path().join("l")).unwrap();
            let sandbox = Sandbox::new()
                .directory(scratch.path(), "/d")
                .variable("A", "b");
            match sandbox.run(&guest.program(), ["guest"]) {
                // A text that long is refused for its length alone, before anybody looks where it is.
                Ok(finished) => assert_eq!(
                    (finished.code, call.contains("-1)")),
                    (1048, true),
                    "{call}"
                ),
                Err(RunError::Stopped(stopped)) => {
                    let StopReason::Trap(reason) = stopped.reason else {
                        panic!("{call}: {}", stopped.reason);
                    };
                    assert!(
                        reason.contains("ointer") || reason.contains("bound"),
                        "{call}: {reason}"
                    );
                }
                Err(error) => panic!("{call}: {error}"),
            }
        }
    }
}

/// BI-099.
#[test]
fn hashing_stays_in_memory() {
    for arguments in [
        "(i32.const 4194304) (i32.const 1) (i64.const 0) (i32.const 0)",
        "(i32.const 0) (i32.const 4194305) (i64.const 0) (i32.const 0)",
        "(i32.const -1) (i32.const 2) (i64.const 0) (i32.const 0)",
        "(i32.const 0) (i32.const -1) (i64.const 0) (i32.const 0)",
        "(i32.const 0) (i32.const 1) (i64.const 0) (i32.const 4194273)",
        "(i32.const 0) (i32.const 16385) (i64.const 0) (i32.const 4194272)",
        "(i32.const 0) (i32.const 1) (i64.const 0) (i32.const -1)",
        "(i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0)",
        "(i32.const 0) (i32.const 1) (i64.const -16) (i32.const 0)",
        "(i32.const 0) (i32.const 1) (i64.const 8) (i32.const 0)",
        "(i32.const 0) (i32.const 1) (i64.const 0x7ffffffffffffff0) (i32.const 0)",
    ] {
        let mut guest = Guest::new();
        guest.raw(&format!("(call $hash_groups {arguments})"));
        trapped(Sandbox::new().run(&guest.program(), ["guest"]));
    }
}

#[test]
fn hashes_are_those_of_blake3() {
    let mut guest = Guest::new();
    // Two groups and a bit, the output over the input.
    guest.call(
        OK,
        "$read (i32.const 0) (i32.const 65536) (i32.const 40000)",
    );
    guest.raw(
        "(call $hash_groups (i32.const 65536) (i32.const 40000) (i64.const 32) (i32.const 65536))",
    );
    guest.call(OK, "$write (i32.const 1) (i32.const 65536) (i32.const 96)");
    let data: Vec<u8> = (0..40000u32).map(|i| ((i * i) >> 3) as u8).collect();
    let wanted = flatbao_host::hash_groups(&data, 32).unwrap();
    let sandbox = Sandbox::new().stdin(flatbao_host::Input::Bytes(data));
    assert_eq!(passes_stdout(&guest, &sandbox), wanted.as_flattened());
}

#[test]
fn hashing_costs_fuel() {
    let mut guest = Guest::new();
    guest.raw("(call $hash_groups (i32.const 0) (i32.const 4000000) (i64.const 0) (i32.const 0))");
    let fuel = common::passes(&guest, &Sandbox::new().fuel(2_000_000))
        .usage
        .fuel
        .unwrap();
    assert!((1_000_100..1_001_000).contains(&fuel), "{fuel}");
    let outcome = Sandbox::new()
        .fuel(1_000_000)
        .run(&guest.program(), ["guest"]);
    assert!(matches!(common::stopped(outcome), StopReason::Fuel { .. }));
}

/// BI-097.
#[test]
fn very_many_buffers_are_no_burden() {
    let scratch = tempfile::tempdir().unwrap();
    let mut guest = Guest::new();
    guest.open(OK, DIR, "a", CREATE, READ | WRITE);
    // Half a million of them, all empty, then as many that overlap.
    for _ in 0..100 {
        for function in ["fd_write", "fd_read"] {
            guest.call(
                OK,
                format!(
                    "${function} (call $fd) (i32.const 65536) (i32.const 500000) (i32.const 256)"
                ),
            );
            guest.raw("(i32.store (i32.const 256) (i32.const 4))");
        }
    }
    let start = std::time::Instant::now();
    common::passes(&guest, &Sandbox::new().directory(scratch.path(), "/d"));
    assert!(start.elapsed() < std::time::Duration::from_secs(20));
    let mut guest = Guest::new();
    guest.call(
        INVAL,
        "$poll_oneoff (i32.const 0) (i32.const 0) (i32.const 1000000) (i32.const 256)",
    );
    common::passes(&guest, &Sandbox::new());
}

fn passes_stdout(guest: &Guest, sandbox: &Sandbox) -> Vec<u8> {
    common::passes(guest, sandbox).stdout
}
