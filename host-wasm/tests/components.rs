//! Components, which do not go through the gate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use flatbao_host::{FileAccess, Program, RunError, Sandbox, StopReason};

mod common;
use common::{runtime, stopped, trapped};

/// A command whose `run` does `body` and returns 0 if that went well.
fn component(body: &str) -> Program {
    let wat = format!(
        r#"(component
            (core module $m (memory (export "memory") 1) (func (export "run") (result i32) {body}))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $run (export "run" (func $run)))
            (export "wasi:cli/run@0.2.6" (instance $run)))"#
    );
    let binary = wat::parse_str(wat).unwrap();
    Program::compile(runtime(), &binary).unwrap_or_else(|error| panic!("{error:?}"))
}

#[test]
fn a_component_runs() {
    let program = component("(i32.const 0)");
    assert!(program.is_component());
    let finished = Sandbox::new().run(&program, ["guest"]).unwrap();
    assert_eq!(finished.code, 0);
    let finished = Sandbox::new()
        .run(&component("(i32.const 1)"), ["guest"])
        .unwrap();
    assert_eq!(finished.success().unwrap_err().code, 1);
}

#[test]
fn a_component_is_limited() {
    let endless = component("(loop $l (br $l)) (i32.const 0)");
    let limit = Duration::from_millis(100);
    let outcome = Sandbox::new().deadline(limit).run(&endless, ["guest"]);
    assert_eq!(stopped(outcome), StopReason::Deadline { limit });
    let outcome = Sandbox::new().fuel(1000).run(&endless, ["guest"]);
    assert_eq!(stopped(outcome), StopReason::Fuel { limit: 1000 });
    let growing = component("(loop $l (drop (memory.grow (i32.const 16))) (br $l)) (i32.const 0)");
    let outcome = Sandbox::new()
        .memory_limit(1 << 20)
        .run(&growing, ["guest"]);
    assert_eq!(stopped(outcome), StopReason::Memory { limit: 1 << 20 });
    assert!(
        trapped(Sandbox::new().run(&component("unreachable"), ["guest"])).contains("unreachable")
    );
}

#[test]
fn what_cannot_be_enforced_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let program = component("(i32.const 0)");
    let quota = Sandbox::new().write_limit(1 << 40);
    let files = Sandbox::new().files(scratch.path(), "/d", [("a", FileAccess::Read)]);
    for sandbox in [quota, files] {
        let refused = sandbox.run(&program, ["guest"]);
        assert!(
            matches!(refused, Err(RunError::NotForComponents { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn a_store_of_a_component_is_locked_too() {
    let scratch = tempfile::tempdir().unwrap();
    let store = flatbao_fs::open_ambient(scratch.path()).unwrap();
    let sandbox = Sandbox::new().store(scratch.path(), "/store");
    let held = flatbao_core::Backend::lock(&store).unwrap();
    let busy = sandbox.run(&component("(i32.const 0)"), ["guest"]);
    assert!(matches!(busy, Err(RunError::Busy { .. })), "{busy:?}");
    drop(held);
    trapped(sandbox.run(&component("unreachable"), ["guest"]));
    flatbao_core::Backend::lock(&store).unwrap();
}
