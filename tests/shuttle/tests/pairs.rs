//! Two threads at once, whatever they do: only what comes of one after the other may come of it, a power loss takes
//! nothing back that was acknowledged, and memory says what the disk has.

use std::env;

use flatbao_shuttle::{
    actors::{
        Actor, COLLECT, DELETE, DROP, EXPORT, EXPORT_FORGET, EXPORT_OTHER, EXPORT_REFERENCE,
        IMPORT, IMPORT_LIST, IMPORT_REFERENCE, READ, RECEIVE, TAG, TAG_CHILD, TAG_LIST, TAG_OTHER,
        UNTAG,
    },
    explore::Points,
    pair::Pair,
    world::Setup,
};

/// Schedules of a pair: all there are, if there are not more than about so many. Where calls begin and end, all that
/// there are can be waited for, one of each class; at every lock they are beyond counting.
fn most(points: Points) -> usize {
    match (env::var_os("FLATBAO_INTERLEAVE_ALL"), points) {
        (Some(_), Points::Calls) => 1_000_000,
        (Some(_), Points::Locks) => 20_000,
        (None, _) => 400,
    }
}

fn explore(setups: &[Setup], a: Actor, b: Actor) {
    explore_also(setups, a, b, &[]);
}

fn explore_also(setups: &[Setup], a: Actor, b: Actor, also: &'static [&'static str]) {
    for setup in setups {
        let pair = Pair {
            setup: *setup,
            actors: [a, b],
            also,
        };
        for points in [Points::Calls, Points::Locks] {
            pair.explore(points, most(points));
        }
    }
}

#[test]
fn a_collection_and_whoever_brings_a_blob() {
    use Setup::{Absent, External, Found, Partial, Proved};
    explore(&[Absent, Found, Proved, External, Partial], COLLECT, IMPORT);
    explore(&[Absent, Found, Proved], COLLECT, IMPORT_REFERENCE);
    explore(&[Absent, Found, Partial], COLLECT, RECEIVE);
}

#[test]
fn a_collection_and_whoever_protects_a_blob_or_no_longer() {
    use Setup::{Child, External, Found, Held, Partial, Proved, Sequence, Tagged};
    explore(&[Found, Proved, External, Partial], COLLECT, TAG);
    explore(&[Tagged], COLLECT, UNTAG);
    explore(&[Held], DROP, COLLECT);
    explore(&[Sequence], COLLECT, TAG_LIST);
    // Nobody has protected what it lists before it is there.
    let also = &["plans, removes 1 | done | list owned, file source=blob"];
    explore_also(&[Sequence], COLLECT, IMPORT_LIST, also);
    explore(&[Child], COLLECT, IMPORT_LIST);
}

#[test]
fn a_collection_and_whoever_takes_a_blob_out() {
    use Setup::{External, Found, Proved};
    // It goes between a look at the index and one at the file.
    let also = &["plans, removes 1 | fails: Unreadable Hash | file source=blob"];
    explore_also(&[Found, External], COLLECT, READ, also);
    explore_also(&[Found], COLLECT, EXPORT, also);
    explore(&[Found, Proved], COLLECT, EXPORT_REFERENCE);
    let also = &[
        "plans, removes 1 | fails: Unreadable Hash | file source=blob",
        // It goes once it is on its way out.
        "plans, removes 1 | done | file out=blob, file source=blob",
    ];
    explore_also(&[Found], COLLECT, EXPORT_FORGET, also);
    explore(&[Found, External], COLLECT, DELETE);
    explore(&[Found], COLLECT, COLLECT);
}

#[test]
fn two_who_bring_a_blob() {
    use Setup::{Absent, External, Found, Partial, Proved};
    explore(&[Absent, Found, External, Partial], IMPORT, IMPORT);
    explore(&[Absent, Found], IMPORT, IMPORT_REFERENCE);
    explore(&[Absent, Found], IMPORT_REFERENCE, IMPORT_REFERENCE);
    explore(&[Absent, Partial], IMPORT, RECEIVE);
    explore(&[Absent, Partial, Found], RECEIVE, RECEIVE);
    explore(&[Found, Proved, External], IMPORT, DELETE);
    explore(&[Found, Partial], RECEIVE, DELETE);
    explore(&[Found], IMPORT_REFERENCE, DELETE);
}

#[test]
fn two_who_change_tags() {
    use Setup::{Found, Proved, Tagged};
    explore(&[Found, Proved], TAG, TAG_OTHER);
    explore(&[Found, Tagged], TAG, TAG_CHILD);
    explore(&[Found, Tagged], TAG, UNTAG);
    explore(&[Tagged], UNTAG, UNTAG);
    explore(&[Found, Proved, Tagged], TAG, DELETE);
    explore(&[Tagged], UNTAG, DELETE);
    explore(&[Found, Tagged], TAG, IMPORT);
}

#[test]
fn two_of_whom_one_takes_a_blob_out() {
    use Setup::{External, Found, Held, Proved, Tagged};
    explore(&[Found, Proved, External], EXPORT_REFERENCE, IMPORT);
    // Work under way keeps it.
    let also = &["done | fails: InUse Hash | blob external, file out=blob, file source=blob"];
    explore_also(&[Found, Proved], EXPORT_REFERENCE, DELETE, also);
    explore(&[Found], EXPORT_REFERENCE, EXPORT_OTHER);
    explore(&[Found], EXPORT_REFERENCE, IMPORT_REFERENCE);
    explore(&[Found], EXPORT_REFERENCE, TAG);
    explore(&[Found], EXPORT, EXPORT);
    // It goes between a look at the index and one at the file.
    let also = &["fails: Unreadable Hash | done | file source=blob"];
    explore_also(&[Found], EXPORT, DELETE, also);
    explore_also(&[Found], READ, DELETE, also);
    explore(&[Found, External], READ, EXPORT_REFERENCE);
    // Somebody wants it once it is on its way out.
    let also = &["fails: InUse Hash | done | blob owned, file out=blob, file source=blob"];
    explore_also(&[Found], EXPORT_FORGET, IMPORT, also);
    let also =
        &["fails: InUse Hash | done | blob owned, tag t=blob, file out=blob, file source=blob"];
    explore_also(&[Found], EXPORT_FORGET, TAG, also);
    explore(&[Tagged], EXPORT_FORGET, TAG);
    explore(&[Held], DROP, EXPORT_FORGET);
    explore(&[Held], DROP, DELETE);
}
