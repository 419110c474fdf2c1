//! Scripts about files of blobs, streams, and directories (`edit`, `names` and the targets say how they are read).

use super::{Seed, known, seed};
use crate::truth::GROUP;

/// Offsets that edits are made at: three bytes.
fn at(offset: u32) -> [u8; 3] {
    let [low, middle, high, _] = offset.to_le_bytes();
    [low, middle, high]
}

fn script(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

const WHOLE: &[u8] = &[0];

/// One bit is another one.
fn flip(offset: u32) -> Vec<u8> {
    script(&[&[1, 0], &at(offset), &[3]])
}

fn cut(offset: u32) -> Vec<u8> {
    script(&[&[1, 2], &at(offset)])
}

fn longer(by: u32) -> Vec<u8> {
    script(&[&[1, 3], &at(0), &at(by), &[0x55]])
}

/// The first eight bytes are another number.
fn claim(small: u32, bytes_up: u8) -> Vec<u8> {
    script(&[&[1, 7], &at(0), &at(small), &[bytes_up]])
}

pub(super) fn pairs() -> Vec<Seed> {
    let mut all = Vec::new();
    let mut add =
        |name: &str, parts: &[&[u8]]| all.push(seed("outboard_pair", name, script(parts)));
    for blob in [0, 1, 2, 3, 4, 5, 7, 8] {
        add(&format!("right-{blob}"), &[&[blob, 2], WHOLE, WHOLE]);
        add(
            &format!("right-partial-{blob}"),
            &[&[blob, 0x82], WHOLE, WHOLE],
        );
    }
    for log in 0..4 {
        add(&format!("finer-{log}"), &[&[4, 1, log], WHOLE, WHOLE]);
        add(
            &format!("finer-partial-{log}"),
            &[&[5, 0x81, log], WHOLE, WHOLE],
        );
    }
    for (form, of) in [(2, ""), (0x82, "partial-")] {
        add(
            &format!("{of}data-flipped"),
            &[&[5, form], WHOLE, &flip(70_000)],
        );
        add(
            &format!("{of}last-group-flipped"),
            &[&[5, form], WHOLE, &flip(81_930)],
        );
        add(
            &format!("{of}pair-flipped"),
            &[&[5, form], &flip(80), WHOLE],
        );
        add(
            &format!("{of}root-and-data-flipped"),
            &[&[5, form], &flip(9), &flip(1)],
        );
        add(&format!("{of}board-cut"), &[&[5, form], &cut(200), WHOLE]);
        add(&format!("{of}data-cut"), &[&[5, form], WHOLE, &cut(40_000)]);
        add(
            &format!("{of}data-longer"),
            &[&[5, form], WHOLE, &longer(20_000)],
        );
        add(
            &format!("{of}claims-more"),
            &[&[5, form], &claim(90_000, 0), WHOLE],
        );
        add(
            &format!("{of}claims-most"),
            &[&[5, form], &claim(0xff, 7), WHOLE],
        );
        add(
            &format!("{of}data-of-another"),
            &[&[4, form | 0x40], WHOLE, &[5], WHOLE],
        );
    }
    add("no-board", &[&[4, 0, 0], WHOLE]);
    all
}

/// Ranges, as scripts have them.
const ALL: &[u8] = &[0];
const LAST: &[u8] = &[1];
/// The stream of these ranges.
const RIGHT: &[u8] = &[5];

pub(super) fn streams() -> Vec<Seed> {
    let mut all = Vec::new();
    let mut add = |name: &str, parts: &[&[u8]]| all.push(seed("bao_stream", name, script(parts)));
    let nothing: &[u8] = &[0];
    for blob in [0, 1, 2, 3, 4, 5, 7] {
        let begin = [blob];
        let of = |what: &str| format!("{what}-{blob}");
        add(&of("all"), &[&begin, nothing, &[0, 0], ALL, RIGHT, WHOLE]);
        add(
            &of("last"),
            &[&begin, nothing, &[0, 0x80], LAST, RIGHT, WHOLE],
        );
        let groups = known()[usize::from(blob)].data.len().div_ceil(GROUP) as u32;
        for group in 0..groups {
            // The first byte of the last group, and some byte of any other one.
            let flipped = flip(8 + 64 * (groups - 1) + group * GROUP as u32);
            let name = format!("flipped-{blob}-{group}");
            add(&name, &[&begin, nothing, &[0, 0], ALL, RIGHT, &flipped]);
        }
    }
    let one: &[u8] = &[0];
    let two: &[u8] = &[1];
    let some: &[u8] = &[2, 1, 2];
    let rest: &[u8] = &[2, 3, 7];
    let pieces = at(999);
    let small_pieces: &[u8] = &pieces;
    for (name, parts) in [
        (
            "some-then-rest",
            &[
                &[5][..],
                nothing,
                two,
                &[0],
                some,
                RIGHT,
                WHOLE,
                &[0x80],
                rest,
                RIGHT,
                WHOLE,
            ][..],
        ),
        (
            "over-a-part",
            &[&[5], &[1], some, one, &[0], ALL, RIGHT, WHOLE],
        ),
        ("over-all", &[&[5], &[2], one, &[0], ALL, RIGHT, WHOLE]),
        (
            "over-damage",
            &[
                &[5],
                &[3],
                &flip(20_000),
                WHOLE,
                one,
                &[0],
                ALL,
                RIGHT,
                WHOLE,
            ],
        ),
        (
            "over-damage-of-both",
            &[
                &[5],
                &[3],
                &flip(20_000),
                &flip(90),
                one,
                &[0],
                some,
                RIGHT,
                WHOLE,
            ],
        ),
        (
            "chunks",
            &[&[5], nothing, one, &[0], &[3, 4, 3, 9, 20, 2], RIGHT, WHOLE],
        ),
        (
            "bytes",
            &[&[5], nothing, one, &[0], &[5], &at(33_000), RIGHT, WHOLE],
        ),
        ("none", &[&[5], nothing, one, &[0], &[4], RIGHT, WHOLE]),
        ("cut", &[&[5], nothing, one, &[0], ALL, RIGHT, &cut(40_000)]),
        (
            "too-long",
            &[&[5], nothing, one, &[1], ALL, RIGHT, &longer(10)],
        ),
        (
            "data-flipped",
            &[&[5], nothing, one, &[0], ALL, RIGHT, &flip(50_000)],
        ),
        (
            "pair-flipped",
            &[&[5], nothing, one, &[0], ALL, RIGHT, &flip(10)],
        ),
        (
            "claims-more",
            &[&[5], nothing, one, &[0], some, RIGHT, &claim(90_000, 0)],
        ),
        (
            "claims-most",
            &[&[5], nothing, one, &[0], ALL, RIGHT, &claim(0xff, 7)],
        ),
        ("size-apart", &[&[5], nothing, one, &[2], ALL, RIGHT, WHOLE]),
        (
            "cap",
            &[&[5], nothing, one, &[4], ALL, RIGHT, WHOLE, &at(10)],
        ),
        (
            "pieces",
            &[&[5], nothing, one, &[0x18], ALL, RIGHT, WHOLE, small_pieces],
        ),
        (
            "pieces-unfinished",
            &[
                &[5],
                nothing,
                one,
                &[0x88],
                some,
                RIGHT,
                WHOLE,
                small_pieces,
            ],
        ),
        (
            "of-other-ranges",
            &[&[5], nothing, one, &[0], ALL, &[1], some, WHOLE],
        ),
        (
            "of-another-blob",
            &[&[5], nothing, one, &[0], ALL, &[2, 4], WHOLE],
        ),
        ("finer", &[&[5], nothing, one, &[0], ALL, &[3, 0, 0], WHOLE]),
        (
            "finer-claimed",
            &[&[5], nothing, one, &[0], ALL, &[3, 0, 1], WHOLE],
        ),
        (
            "coarser",
            &[&[5], nothing, one, &[0], ALL, &[3, 6, 0], WHOLE],
        ),
        ("raw", &[&[5], nothing, one, &[0], ALL, &[0], b"no stream"]),
    ] {
        add(name, parts);
    }
    all
}

/// A file in a directory: its name, that it is one, what is in it.
fn named(kind: u8, blob: u8, content: &[u8]) -> Vec<u8> {
    script(&[&[kind, 0, blob, 0, 0], content])
}

/// Data and outboard of a blob, in files of these kinds.
fn blob(kinds: [u8; 2], blob: u8, data: &[u8], board: &[u8]) -> Vec<u8> {
    let data = named(kinds[0], blob, &script(&[&[1, blob], data]));
    let board = named(kinds[1], blob, &script(&[&[3, blob], board]));
    [data, board].concat()
}

pub(super) fn directories() -> Vec<Seed> {
    const FINAL: [u8; 2] = [0, 1];
    const PARTIAL: [u8; 2] = [3, 4];
    const TAGS: u8 = 7;
    let nothing_outside: &[u8] = &[0, 0, 0];
    // Tag `a` is sequence 6 over blobs 1 and 4.
    let tags = named(TAGS, 0, &[5, 1, 1, b'a', 6, 1, 0, 0]);
    let no_tags = named(TAGS, 0, &[5, 0, 0, 0]);
    let unreadable = named(TAGS, 0, &[5, 1, 1, b'a', 6, 1, 0, 1, 0, 1, 0, 0, 3]);
    let small = |at: u8| named(0, at, &[1, at, 0]);
    let whole = |at: u8| blob(FINAL, at, WHOLE, WHOLE);
    let flipped = |at: u8| blob(FINAL, at, &flip(20_000), WHOLE);
    // Plan, sweep, look; then repair.
    let collect: &[u8] = &[3, 0, 4, 1];
    let mend: &[u8] = &[5, 1, 5];
    let paths = named(2, 4, &[6, 2, 0, 1, 0, 0]);
    let board = named(1, 4, &[3, 4, 0]);
    let temp = named(6, 0, &[1, 3, 0]);
    let foreign = script(&[&[0, 1, 4, 0, 0], &[1, 4, 0]]);
    let link = [0, 0, 5, 0, 0xfd];
    let mut all = Vec::new();
    let mut add = |name: &str, outside: &[u8], files: &[&[u8]], count: u8, steps: &[&[u8]]| {
        let parts = [outside, &[count], &files.concat(), &steps.concat()];
        all.push(seed("directory", name, script(&parts)));
    };
    let none = nothing_outside;
    add("empty", none, &[], 0, &[collect]);
    add(
        "whole",
        none,
        &[&tags, &small(6), &small(1), &whole(4)],
        5,
        &[collect, mend],
    );
    add(
        "dead",
        none,
        &[&tags, &small(6), &small(1), &whole(4), &whole(5)],
        7,
        &[collect, mend],
    );
    add(
        "no-tags",
        none,
        &[&whole(5)],
        2,
        &[collect, &[3, 1, 4], mend],
    );
    add(
        "damaged-tags",
        none,
        &[&unreadable, &small(6), &whole(4)],
        4,
        &[collect, &[11], collect],
    );
    add(
        "sequence-missing",
        none,
        &[&tags, &whole(4)],
        3,
        &[collect, mend],
    );
    let sequence = named(0, 6, &script(&[&[1, 6], &flip(3)]));
    add(
        "sequence-damaged",
        none,
        &[&tags, &sequence, &whole(4)],
        4,
        &[collect, mend],
    );
    add(
        "data-damaged",
        none,
        &[&no_tags, &flipped(4)],
        3,
        &[&[1], mend, collect],
    );
    let halves = blob(PARTIAL, 5, &flip(40_000), WHOLE);
    add(
        "partial",
        none,
        &[&no_tags, &halves],
        3,
        &[&[1, 9, 5, 0], mend],
    );
    let split = [named(3, 4, &[1, 4, 0]), board.clone()].concat();
    add(
        "interrupted",
        none,
        &[&no_tags, &split],
        3,
        &[mend, collect],
    );
    let outside = [&[1, 1, 4, 0][..], &[1, 1, 4], &flip(3), &[0]].concat();
    add(
        "outside",
        &outside,
        &[&no_tags, &paths, &board],
        3,
        &[mend, &[8, 4], mend],
    );
    add(
        "leftovers",
        none,
        &[&no_tags, &temp, &foreign, &link],
        4,
        &[mend, &[8, 5], collect],
    );
    let work = &[6, 0, 5, 0, 8, 5, 3, 0, 7, 3, 0, 4, 12, 0, 4, 1, 10, 4, 0];
    add("work", none, &[&no_tags], 1, &[work]);
    all
}
