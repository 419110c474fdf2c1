//! A program in a sandbox, driven from one's own host.
//!
//! ```text
//! cargo run -p flatbao-host --example sandbox                        # a small guest that tries to get out
//! cargo run -p flatbao-host --example sandbox -- PROGRAM.wasm ARGS   # a program with an empty store at /store
//! ```

use std::{env, error::Error, fs, time::Duration};

use flatbao_host::{FileAccess, Input, Program, RunError, Runtime, Sandbox, StopReason};

/// Copies its input to its output and to the file `copy`, then looks for a file outside; exits with 0 if that was refused.
const GUEST: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 2)
    (data (i32.const 64) "copy../secret")
    (func $must (param $errno i32) (if (local.get $errno) (then (call $exit (i32.const 1)))))
    (func (export "_start")
        (i32.store (i32.const 0) (i32.const 65536))
        (i32.store (i32.const 4) (i32.const 1000))
        (call $must (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
        (call $must (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (call $must (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 1)
            (i64.const 64) (i64.const 64) (i32.const 0) (i32.const 16)))
        (call $must (call $write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 8)))
        (call $must (i32.eqz (call $open (i32.const 3) (i32.const 0) (i32.const 68) (i32.const 9) (i32.const 0)
            (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 16))))))"#;

/// Never ends by itself.
const ENDLESS: &str = r#"(module (func (export "_start") (loop $again (br $again))))"#;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::new()?;
    let mut args = env::args().skip(1);
    match args.next() {
        None => small_guest(&runtime),
        Some(path) => {
            let program = Program::from_file(&runtime, &path)?;
            run(&program, [path].into_iter().chain(args))
        }
    }
}

fn small_guest(runtime: &Runtime) -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let granted = scratch.path().join("granted");
    fs::create_dir(&granted)?;
    fs::write(scratch.path().join("secret"), "not for guests")?;

    let program = Program::compile(runtime, &wat::parse_str(GUEST)?)?;
    let finished = Sandbox::new()
        .files(&granted, "/out", [("copy", FileAccess::Write)])
        .stdin(Input::Bytes(b"hello".to_vec()))
        .memory_limit(1 << 20)
        .write_limit(1000)
        .deadline(Duration::from_secs(10))
        .run(&program, ["guest"])?
        .success()?;
    let copy = fs::read(granted.join("copy"))?;
    if finished.stdout != b"hello" || copy != b"hello" || finished.usage.written != 5 {
        return Err(format!("the guest did not do what it says: {finished:?}").into());
    }
    println!(
        "the guest copied 5 bytes in {} calls, and found no way out",
        finished.usage.host_calls
    );

    let endless = Program::compile(runtime, &wat::parse_str(ENDLESS)?)?;
    let limit = Duration::from_millis(200);
    match Sandbox::new().deadline(limit).run(&endless, ["endless"]) {
        Err(RunError::Stopped(stopped)) if stopped.reason == (StopReason::Deadline { limit }) => {
            println!("an endless guest was stopped: {stopped}");
            Ok(())
        }
        other => Err(format!("the endless guest was not stopped in time: {other:?}").into()),
    }
}

fn run(program: &Program, args: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let finished = Sandbox::new()
        .create_store(scratch.path().join("store"), "/store")
        .memory_limit(1 << 30)
        .run(program, args)?
        .success()?;
    print!("{}", String::from_utf8_lossy(&finished.stdout));
    eprintln!("{:?}", finished.usage);
    Ok(())
}
