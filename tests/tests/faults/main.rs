//! Every call of the system fails once, or from some moment on, while the store does each thing that it
//! does: a typed error and no panic; memory and disk agree; nothing is left behind for good; reading and deleting
//! go on; and after a failed sync nothing more is written (ARCHITECTURE.md, invariants 11 and 12).
//!
//! `actions.rs` has the things that a store does, `scene.rs` what has to hold afterwards. With `--nocapture` every
//! test tells how many faults it has injected.

// A search in simulated memory, in which no platform takes part: under WASI it would only take longer.
#![cfg(not(target_os = "wasi"))]
// A test reports by panicking, and so do its helpers; what it casts is small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod actions;
#[path = "../common/mod.rs"]
mod common;
mod limits;
mod no_tags;
mod opening;
mod reading;
mod scene;

use std::io;

use actions::{ACTIONS, Action, Role};
use common::faults::{Count, FROM_THEN_ON, KINDS, LYING, ONCE, Way};
use flatbao_mem::{Fault, Op, OpKind};
use scene::{Scene, aftermath, goes_on_reading, refuses_to_write};

/// Opens a fresh copy of the scene, lets `inject` order misfortune for the operations from now on, acts, and looks at
/// what that came to.
fn strike(scene: &Scene, action: &Action, told: &str, inject: impl FnOnce(&Scene, u64)) {
    let scene = scene.again();
    let store = scene.machine.open();
    inject(&scene, scene.machine.disk.ops());
    let outcome = (action.act)(&store, &scene);
    let told = format!("{}: {told}", action.name);
    aftermath(action, &told, &scene, &store, &outcome);
}

/// The operations of an action when nothing fails.
fn operations(scene: &Scene, action: &Action) -> Vec<Op> {
    let scene = scene.again();
    let store = scene.machine.open();
    let before = scene.machine.disk.ops();
    (action.act)(&store, &scene).unwrap_or_else(|e| panic!("{}: {e:?}", action.name));
    let mut trace = scene.machine.disk.trace();
    let ops = trace.split_off(before as usize);
    assert!(!ops.is_empty(), "{} is not struck", action.name);
    ops
}

fn every_operation_fails(test: &'static str, way: Way) {
    let scene = Scene::new();
    let mut count = Count::of(test);
    for action in ACTIONS {
        let ops = operations(&scene, action);
        for (index, _) in (0..).zip(&ops).filter(|(_, op)| way.matters(op)) {
            for kind in KINDS {
                let told = format!("{kind:?} at operation {index}, {way:?}");
                strike(&scene, action, &told, |scene, now| {
                    let fault = misfortune(now + index, kind, way);
                    count.inject(&scene.machine, fault);
                });
            }
        }
    }
}

/// What has a meaning is never told wrongly: that a name cannot be removed because it is not there, and that nothing
/// was renamed since that would cross file systems.
fn misfortune(number: u64, kind: io::ErrorKind, way: Way) -> Fault {
    way.fault(number, kind, move |op| {
        let gone = op.kind == OpKind::Unlink && kind == io::ErrorKind::NotFound;
        let far = op.kind == OpKind::Rename && kind == io::ErrorKind::CrossesDevices;
        !(gone || far && way.lies)
    })
}

/// One call fails, once.
/// BI-079.
#[test]
fn every_operation_fails_once() {
    every_operation_fails("every_operation_fails_once", ONCE);
}

/// From one call on all calls fail.
/// BI-079, BI-080, BI-082.
#[test]
fn every_operation_fails_from_then_on() {
    every_operation_fails("every_operation_fails_from_then_on", FROM_THEN_ON);
}

/// One call does what it should and says that it did not.
#[test]
fn every_operation_lies_once() {
    every_operation_fails("every_operation_lies_once", LYING);
}

/// Invariant 12, by name: each of the syncs of everything that syncs fails; the call fails, all later writes
/// are refused until the store is opened anew, and reading works.
/// BI-081.
#[test]
fn after_a_failed_sync_nothing_is_written_until_reopened() {
    let scene = Scene::new();
    let mut count = Count::of("after_a_failed_sync_nothing_is_written_until_reopened");
    let mut syncs = 0;
    for action in ACTIONS {
        for skip in 0.. {
            let scene = scene.again();
            let store = scene.machine.open();
            let before = scene.machine.disk.syncs();
            let fault = Fault::matching(|op| op.kind.is_sync()).skip(skip);
            let fault = fault.error(io::ErrorKind::Other);
            count.inject(&scene.machine, fault);
            let outcome = (action.act)(&store, &scene);
            if scene.machine.disk.syncs() - before <= skip {
                break;
            }
            syncs += 1;
            scene.machine.disk.heal();
            let told = format!("{}: sync {skip} failed", action.name);
            let reads = action.role == Role::Reads;
            assert_eq!(outcome.is_ok(), reads, "{told}: {outcome:?}");
            refuses_to_write(&told, &store, &scene);
            if action.name != "delete by force" {
                goes_on_reading(&told, &store, &scene);
            }
            aftermath(action, &told, &scene, &store, &outcome);
        }
    }
    assert!(syncs > 25, "{syncs} syncs were seen");
}
