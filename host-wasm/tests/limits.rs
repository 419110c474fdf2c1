//! Programs that take more than they were given.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::time::{Duration, Instant};

use flatbao_host::{
    CodeCache, Input, Output, Program, ProgramError, RunError, Runtime, Sandbox, StopReason, Stream,
};

mod common;
use common::{
    CREATE, DIR, Guest, MFILE, NOSPC, OK, READ, WRITE, compile, passes, runtime, stopped, trapped,
};

const ENDLESS: &str =
    r#"(module (memory (export "memory") 1) (func (export "_start") (loop $l (br $l))))"#;

/// BI-097.
#[test]
fn an_endless_loop_ends_at_the_deadline() {
    let limit = Duration::from_millis(100);
    let start = Instant::now();
    let outcome = Sandbox::new()
        .deadline(limit)
        .run(&compile(ENDLESS), ["guest"]);
    assert_eq!(stopped(outcome), StopReason::Deadline { limit });
    assert!(start.elapsed() >= limit);
    assert!(start.elapsed() < Duration::from_secs(20));
}

/// BI-097.
#[test]
fn an_endless_loop_ends_with_its_fuel() {
    let outcome = Sandbox::new()
        .fuel(1_000_000)
        .run(&compile(ENDLESS), ["guest"]);
    assert_eq!(stopped(outcome), StopReason::Fuel { limit: 1_000_000 });
}

#[test]
fn the_same_run_uses_the_same_fuel() {
    let mut guest = Guest::new();
    guest.open(OK, DIR, "a", CREATE, WRITE).write(OK, 10);
    let run = || {
        let scratch = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::new()
            .directory(scratch.path(), "/d")
            .fuel(u64::MAX);
        passes(&guest, &sandbox).usage.fuel.unwrap()
    };
    let fuel = run();
    assert!(fuel > 0);
    assert_eq!(fuel, run());
}

#[test]
fn a_limit_that_the_runtime_cannot_keep_is_refused() {
    let runtime = Runtime::builder()
        .cache(CodeCache::None)
        .interruptible(false)
        .build()
        .unwrap();
    let program = Program::compile(&runtime, &wat::parse_str(ENDLESS).unwrap()).unwrap();
    let fuel = Sandbox::new().fuel(1).run(&program, ["guest"]);
    assert!(
        matches!(
            fuel,
            Err(RunError::Runtime {
                with: "metered(true)",
                ..
            })
        ),
        "{fuel:?}"
    );
    let deadline = Sandbox::new()
        .deadline(Duration::ZERO)
        .run(&program, ["guest"]);
    assert!(
        matches!(
            deadline,
            Err(RunError::Runtime {
                with: "interruptible(true)",
                ..
            })
        ),
        "{deadline:?}"
    );
}

#[test]
fn sleeping_ends_at_the_deadline() {
    for flags in [0, 1] {
        let mut guest = Guest::new();
        // A subscription to the monotonic clock, as far off as it goes.
        guest.raw(&format!(
            "(i32.store8 (i32.const 1032) (i32.const 0)) (i32.store (i32.const 1040) (i32.const 1))
             (i64.store (i32.const 1048) (i64.const -1)) (i32.store16 (i32.const 1064) (i32.const {flags}))"
        ));
        guest.call(
            OK,
            "$poll_oneoff (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 256)",
        );
        let limit = Duration::from_millis(100);
        let start = Instant::now();
        let outcome = Sandbox::new()
            .deadline(limit)
            .run(&guest.program(), ["guest"]);
        assert_eq!(stopped(outcome), StopReason::Deadline { limit });
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn sleeping_takes_its_time() {
    let mut guest = Guest::new();
    guest.raw(
        "(i32.store8 (i32.const 1032) (i32.const 0)) (i32.store (i32.const 1040) (i32.const 1))
         (i64.store (i32.const 1048) (i64.const 50000000)) (i64.store (i32.const 1024) (i64.const 77))",
    );
    guest.call(
        OK,
        "$poll_oneoff (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 256)",
    );
    // One event, with the number that was given.
    guest.raw("(if (i32.ne (i32.load (i32.const 256)) (i32.const 1)) (then unreachable))");
    guest.raw("(if (i64.ne (i64.load (i32.const 2048)) (i64.const 77)) (then unreachable))");
    let start = Instant::now();
    passes(&guest, &Sandbox::new());
    assert!(start.elapsed() >= Duration::from_millis(50));
}

/// BI-097.
#[test]
fn memory_has_a_limit() {
    let program = compile(
        r#"(module (memory (export "memory") 1)
            (func (export "_start") (loop $l (drop (memory.grow (i32.const 16))) (br $l))))"#,
    );
    let limit = 10 << 20;
    let outcome = Sandbox::new().memory_limit(limit).run(&program, ["guest"]);
    let Err(RunError::Stopped(stopped)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(stopped.reason, StopReason::Memory { limit });
    assert!(stopped.usage.peak_memory > limit - (1 << 20) && stopped.usage.peak_memory <= limit);
}

#[test]
fn memory_has_a_limit_from_the_beginning() {
    let program = compile(r#"(module (memory (export "memory") 65536) (func (export "_start")))"#);
    let outcome = Sandbox::new()
        .memory_limit(1 << 20)
        .run(&program, ["guest"]);
    assert_eq!(stopped(outcome), StopReason::Memory { limit: 1 << 20 });
}

#[test]
fn four_gigabytes_are_all_there_is() {
    // Without a limit of ours the guest is told that there is no more.
    let program = compile(
        r#"(module (memory (export "memory") 1)
            (func (export "_start")
                (if (i32.eq (memory.grow (i32.const 65535)) (i32.const -1)) (then unreachable))
                (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))))"#,
    );
    let finished = Sandbox::new().run(&program, ["guest"]).unwrap();
    assert_eq!(finished.usage.peak_memory, 4 << 30);
}

#[test]
fn tables_count_as_memory() {
    let program = compile(
        r#"(module (table $t 1 funcref)
            (func (export "_start") (loop $l (drop (table.grow $t (ref.null func) (i32.const 10000))) (br $l))))"#,
    );
    let outcome = Sandbox::new()
        .memory_limit(1 << 20)
        .run(&program, ["guest"]);
    assert_eq!(stopped(outcome), StopReason::Memory { limit: 1 << 20 });
}

#[test]
fn endless_recursion_is_a_trap() {
    let program =
        compile(r#"(module (memory (export "memory") 1) (func $f (export "_start") (call $f)))"#);
    assert!(trapped(Sandbox::new().run(&program, ["guest"])).contains("stack"));
}

#[test]
fn a_flood_of_output_ends_at_its_limit() {
    for (fd, stream) in [(1, Stream::Stdout), (2, Stream::Stderr)] {
        let mut guest = Guest::new();
        guest.raw(&format!(
            "(loop $l (drop (call $write (i32.const {fd}) (i32.const 65536) (i32.const 1000))) (br $l))"
        ));
        let captured = Output::Captured { limit: 12345 };
        let sandbox = Sandbox::new().stdout(captured).stderr(captured);
        let Err(RunError::Stopped(stopped)) = sandbox.run(&guest.program(), ["guest"]) else {
            panic!("not stopped");
        };
        assert_eq!(
            stopped.reason,
            StopReason::Output {
                stream,
                limit: 12345
            }
        );
        assert_eq!(stopped.stdout.len() + stopped.stderr.len(), 12345);
    }
}

#[test]
fn discarded_output_has_no_limit() {
    let mut guest = Guest::new();
    guest.call(
        OK,
        "$write (i32.const 1) (i32.const 65536) (i32.const 1000000)",
    );
    let finished = passes(&guest, &Sandbox::new().stdout(Output::Discarded));
    assert!(finished.stdout.is_empty());
}

#[test]
fn what_was_said_before_a_trap_is_told() {
    let mut guest = Guest::new();
    let text = guest.text("dying \x1b[2J");
    guest
        .call(OK, format!("$write (i32.const 2) {text}"))
        .raw("unreachable");
    let error = Sandbox::new().run(&guest.program(), ["guest"]).unwrap_err();
    let RunError::Stopped(stopped) = &error else {
        panic!("{error}");
    };
    assert_eq!(stopped.stderr, b"dying \x1b[2J");
    let text = error.to_string();
    assert!(text.contains("dying") && !text.contains('\x1b'), "{text}");
}

/// BI-097.
#[test]
fn descriptors_have_a_limit() {
    let scratch = tempfile::tempdir().unwrap();
    let mut guest = Guest::new();
    for _ in 0..6 {
        guest.open(OK, DIR, "a", CREATE, WRITE);
    }
    guest.open(MFILE, DIR, "a", 0, READ);
    // Closed ones are free again, and so are those that another one replaces.
    guest
        .last(OK, "fd_close")
        .open(OK, DIR, "a", 0, READ)
        .open(MFILE, DIR, "a", 0, READ);
    guest.call(OK, "$fd_renumber (i32.const 4) (i32.const 5)");
    guest
        .open(OK, DIR, "a", 0, READ)
        .open(MFILE, DIR, "a", 0, READ);
    passes(
        &guest,
        &Sandbox::new()
            .directory(scratch.path(), "/d")
            .open_files(10),
    );
}

/// BI-100.
#[test]
fn writing_has_a_limit() {
    let scratch = tempfile::tempdir().unwrap();
    let mut guest = Guest::new();
    guest
        .open(OK, DIR, "a", CREATE, WRITE)
        .write(OK, 600)
        .write(NOSPC, 500)
        .write(OK, 400);
    guest.write(NOSPC, 1).write(OK, 0);
    guest.raw("(i32.store (i32.const 516) (i32.const 1))");
    guest.call(
        NOSPC,
        "$fd_pwrite (call $fd) (i32.const 512) (i32.const 1) (i64.const 0) (i32.const 260)",
    );
    guest.call(NOSPC, "$fd_filestat_set_size (call $fd) (i64.const 1001)");
    guest.call(OK, "$fd_filestat_set_size (call $fd) (i64.const 900)");
    // Output is no file.
    guest.call(
        OK,
        "$write (i32.const 1) (i32.const 65536) (i32.const 5000)",
    );
    let sandbox = Sandbox::new()
        .directory(scratch.path(), "/d")
        .write_limit(1000);
    let finished = passes(&guest, &sandbox);
    assert_eq!(finished.usage.written, 1000);
    assert_eq!(scratch.path().join("a").metadata().unwrap().len(), 900);
}

#[test]
fn exit_codes_are_no_traps() {
    for code in [0, 1, 101, 125, 126, 255, 256] {
        let mut guest = Guest::new();
        guest.raw(&format!("(call $proc_exit (i32.const {code}))"));
        let finished = Sandbox::new().run(&guest.program(), ["guest"]).unwrap();
        assert_eq!(finished.code, code);
        assert_eq!(finished.success().is_ok(), code == 0);
    }
    let mut guest = Guest::new();
    guest.raw("unreachable");
    assert!(trapped(Sandbox::new().run(&guest.program(), ["guest"])).contains("unreachable"));
}

#[test]
fn a_guest_has_what_it_was_given_and_no_more() {
    let mut guest = Guest::new();
    guest.call(OK, "$environ_sizes_get (i32.const 256) (i32.const 260)");
    guest.raw("(if (i32.ne (i32.load (i32.const 256)) (i32.const 1)) (then unreachable))");
    guest.raw("(if (i32.ne (i32.load (i32.const 260)) (i32.const 4)) (then unreachable))");
    guest.call(OK, "$read (i32.const 0) (i32.const 65536) (i32.const 100)");
    guest.call(
        OK,
        "$write (i32.const 1) (i32.const 65536) (i32.load (i32.const 260))",
    );
    // There is no directory.
    guest.open(common::BADF, DIR, ".", 0, READ);
    let sandbox = Sandbox::new()
        .variable("A", "b")
        .stdin(Input::Bytes(b"in".to_vec()));
    assert_eq!(passes(&guest, &sandbox).stdout, b"in");
    let refused = Sandbox::new()
        .variable("A=", "b")
        .run(&guest.program(), ["guest"]);
    assert!(matches!(refused, Err(RunError::Text(_))));
    let refused = Sandbox::new().run(&guest.program(), ["gu\0est"]);
    assert!(matches!(refused, Err(RunError::Text(_))));
}

#[test]
fn a_seed_makes_runs_the_same() {
    let mut guest = Guest::new();
    guest.call(OK, "$random_get (i32.const 65536) (i32.const 20000)");
    guest.call(
        OK,
        "$write (i32.const 1) (i32.const 65536) (i32.const 20000)",
    );
    let run = |sandbox: Sandbox| passes(&guest, &sandbox).stdout;
    let one = run(Sandbox::new().seed([1; 32]));
    assert_eq!(one.len(), 20000);
    assert_eq!(one, run(Sandbox::new().seed([1; 32])));
    assert_ne!(one, run(Sandbox::new().seed([2; 32])));
    assert_ne!(run(Sandbox::new()), run(Sandbox::new()));
    assert_ne!(one[..4096], one[4096..8192]);
}

#[test]
fn what_is_no_program_is_refused() {
    let compile = |wat: &str| {
        let binary = wat::parse_str(wat).unwrap();
        Program::compile(runtime(), &binary).err().unwrap()
    };
    assert!(matches!(compile("(module)"), ProgramError::NoStart));
    assert!(matches!(
        compile(r#"(module (import "a" "b" (func)) (func (export "_start")))"#),
        ProgramError::Imports(_)
    ));
    assert!(matches!(
        compile(r#"(component (import "a:b/c" (func)))"#),
        ProgramError::Imports(_)
    ));
    for bytes in [&b""[..], b"\0asm", b"\0asm\x02\0\0\0", b"#!/bin/sh"] {
        let error = Program::compile(runtime(), bytes).err().unwrap();
        assert!(matches!(error, ProgramError::Header), "{error:?}");
    }
    let error = Program::compile(runtime(), b"\0asm\x01\0\0\0rubbish")
        .err()
        .unwrap();
    assert!(matches!(error, ProgramError::Compile(_)), "{error:?}");
}
