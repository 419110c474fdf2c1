//! Hostile guests, written as text.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "each test program uses a part, and a test reports by panicking"
)]

use std::{fmt::Write as _, sync::OnceLock};

use flatbao_host::{CodeCache, Finished, Program, RunError, Runtime, Sandbox, StopReason};

/// One for all tests of a program: with fuel, with deadlines, without a cache.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let builder = Runtime::builder().cache(CodeCache::None).metered(true);
        builder.build().expect("a runtime")
    })
}

pub(crate) fn compile(wat: &str) -> Program {
    let binary = wat::parse_str(wat).unwrap_or_else(|error| panic!("{error}\n{wat}"));
    Program::compile(runtime(), &binary).unwrap_or_else(|error| panic!("{error:?}"))
}

pub(crate) fn stopped(outcome: Result<Finished, RunError>) -> StopReason {
    match outcome {
        Err(RunError::Stopped(stopped)) => stopped.reason,
        other => panic!("not stopped, but {other:?}"),
    }
}

pub(crate) fn trapped(outcome: Result<Finished, RunError>) -> String {
    match stopped(outcome) {
        StopReason::Trap(reason) => reason,
        other => panic!("no trap, but {other}"),
    }
}

/// Runs a guest whose checks all hold.
pub(crate) fn passes(guest: &Guest, sandbox: &Sandbox) -> Finished {
    let finished = sandbox
        .run(&guest.program(), ["guest"])
        .unwrap_or_else(|error| panic!("{error}"));
    let (check, errno) = (finished.code / 1000, finished.code % 1000);
    assert_eq!(
        finished.code, 0,
        "check {check} got errno {errno} in\n{}",
        guest.body
    );
    finished
}

// Error numbers of preview 1.
pub(crate) const OK: u16 = 0;
pub(crate) const BADF: u16 = 8;
pub(crate) const EXIST: u16 = 20;
pub(crate) const INVAL: u16 = 28;
pub(crate) const LOOP: u16 = 32;
pub(crate) const MFILE: u16 = 33;
pub(crate) const NAMETOOLONG: u16 = 37;
pub(crate) const NOENT: u16 = 44;
pub(crate) const NOSPC: u16 = 51;
pub(crate) const NOTDIR: u16 = 54;
pub(crate) const PERM: u16 = 63;
pub(crate) const ROFS: u16 = 69;
pub(crate) const XDEV: u16 = 75;

// Flags of `path_open`.
pub(crate) const CREATE: u32 = 1;
pub(crate) const DIRECTORY: u32 = 2;
pub(crate) const EXCLUSIVE: u32 = 4;
pub(crate) const TRUNCATE: u32 = 8;
pub(crate) const READ: u64 = 1 << 1;
pub(crate) const WRITE: u64 = 1 << 6;

/// The first granted directory.
pub(crate) const DIR: u32 = 3;

/// A program that makes calls, each with the error it expects. Its exit code tells the first that was wrong.
#[derive(Default)]
pub(crate) struct Guest {
    data: String,
    used: usize,
    checks: u32,
    pub(crate) body: String,
}

impl Guest {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Address and length of a text in the guest's memory.
    pub(crate) fn text(&mut self, text: impl AsRef<[u8]>) -> String {
        let (at, text) = (4096 + self.used, text.as_ref());
        let escaped: String = text.iter().map(|byte| format!("\\{byte:02x}")).collect();
        writeln!(self.data, "(data (i32.const {at}) \"{escaped}\")").unwrap();
        self.used += text.len();
        format!("(i32.const {at}) (i32.const {})", text.len())
    }

    /// Makes a call, which returns `errno`.
    pub(crate) fn call(&mut self, errno: u16, call: impl AsRef<str>) -> &mut Self {
        self.checks += 1;
        let (check, call) = (self.checks, call.as_ref());
        writeln!(
            self.body,
            "(call $want (i32.const {check}) (i32.const {errno}) (call {call}))"
        )
        .unwrap();
        self
    }

    /// Opens a file or directory. `$fd` is its descriptor.
    pub(crate) fn open(
        &mut self,
        errno: u16,
        dir: u32,
        path: &str,
        flags: u32,
        rights: u64,
    ) -> &mut Self {
        let path = self.text(path);
        self.call(
            errno,
            format!("$open (i32.const {dir}) {path} (i32.const {flags}) (i64.const {rights})"),
        )
    }

    /// Calls a function of a directory and a path.
    pub(crate) fn path(&mut self, errno: u16, function: &str, dir: u32, path: &str) -> &mut Self {
        let path = self.text(path);
        self.call(errno, format!("${function} (i32.const {dir}) {path}"))
    }

    /// Calls a function of two directories and paths.
    pub(crate) fn two_paths(
        &mut self,
        errno: u16,
        function: &str,
        from: (u32, &str),
        to: (u32, &str),
    ) -> &mut Self {
        let flags = if function == "path_link" {
            "(i32.const 0)"
        } else {
            ""
        };
        let [old, new] = [from.1, to.1].map(|path| self.text(path));
        let [from, to] = [from.0, to.0];
        self.call(
            errno,
            format!("${function} (i32.const {from}) {flags} {old} (i32.const {to}) {new}"),
        )
    }

    /// Calls a function of the descriptor that was opened last.
    pub(crate) fn last(&mut self, errno: u16, function: &str) -> &mut Self {
        self.call(errno, format!("${function} (call $fd)"))
    }

    /// Writes to the descriptor that was opened last.
    pub(crate) fn write(&mut self, errno: u16, bytes: u32) -> &mut Self {
        self.call(
            errno,
            format!("$write (call $fd) (i32.const 65536) (i32.const {bytes})"),
        )
    }

    pub(crate) fn raw(&mut self, code: &str) -> &mut Self {
        self.body.push_str(code);
        self
    }

    pub(crate) fn program(&self) -> Program {
        compile(&self.source())
    }

    pub(crate) fn source(&self) -> String {
        format!(
            "(module {PRELUDE} {} (func (export \"_start\") {}))",
            self.data, self.body
        )
    }
}

/// All of preview 1, 4 MiB of memory (results at 256, buffer descriptions at 512, texts at 4096, buffer at 65536), and
/// the functions that guests are made of.
pub(crate) const PRELUDE: &str = r#"
    (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_res_get" (func $clock_res_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_advise" (func $fd_advise (param i32 i64 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_datasync" (func $fd_datasync (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fd_fdstat_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_filestat_get" (func $fd_filestat_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $fd_filestat_set_size (param i32 i64) (result i32)))
    (import "wasi_snapshot_preview1" "fd_filestat_set_times"
        (func $fd_filestat_set_times (param i32 i64 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_pread" (func $fd_pread (param i32 i32 i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_prestat_get" (func $fd_prestat_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_prestat_dir_name" (func $fd_prestat_dir_name (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_pwrite" (func $fd_pwrite (param i32 i32 i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_readdir" (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_renumber" (func $fd_renumber (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_sync" (func $fd_sync (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_tell" (func $fd_tell (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_create_directory"
        (func $path_create_directory (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_filestat_get"
        (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_filestat_set_times"
        (func $path_filestat_set_times (param i32 i32 i32 i32 i64 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_link" (func $path_link (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_readlink" (func $path_readlink (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_remove_directory"
        (func $path_remove_directory (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_rename" (func $path_rename (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_symlink" (func $path_symlink (param i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_unlink_file" (func $path_unlink_file (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "sched_yield" (func $sched_yield (result i32)))
    (import "flatbao_host_1" "hash_groups" (func $hash_groups (param i32 i32 i64 i32)))
    (memory (export "memory") 64)
    (func $want (param $check i32) (param $wanted i32) (param $got i32)
        (if (i32.ne (local.get $wanted) (local.get $got))
            (then (call $proc_exit
                (i32.add (i32.mul (local.get $check) (i32.const 1000)) (local.get $got))))))
    (func $open (param $dir i32) (param $path i32) (param $len i32) (param $flags i32) (param $rights i64) (result i32)
        (call $path_open (local.get $dir) (i32.const 1) (local.get $path) (local.get $len) (local.get $flags)
            (local.get $rights) (local.get $rights) (i32.const 0) (i32.const 256)))
    (func $fd (result i32) (i32.load (i32.const 256)))
    (func $write (param $fd i32) (param $at i32) (param $len i32) (result i32)
        (i32.store (i32.const 512) (local.get $at))
        (i32.store (i32.const 516) (local.get $len))
        (call $fd_write (local.get $fd) (i32.const 512) (i32.const 1) (i32.const 260)))
    (func $read (param $fd i32) (param $at i32) (param $len i32) (result i32)
        (i32.store (i32.const 512) (local.get $at))
        (i32.store (i32.const 516) (local.get $len))
        (call $fd_read (local.get $fd) (i32.const 512) (i32.const 1) (i32.const 260)))
"#;
