use std::collections::BTreeSet;

use clap::{CommandFactory, Parser};
use flatbao_core::{Durability, Hash, store::Locking};

use super::*;
use crate::args::Cli;

use Access::{
    Export, ReadFile, ReadListed, Refer, Restore, RestoreByHash, UpdateFile, WriteFile, WriteInto,
};
use StoreAccess::{Fill, Make, Read, Write};

const KEEP: bool = false;
const REPLACE: bool = true;
const HASH: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

/// What a command line does with the store, and with what is outside.
type Row = (
    &'static str,
    Option<StoreAccess>,
    &'static [(&'static str, Access)],
);

const ROWS: &[Row] = &[
    ("init", Some(Make), &[]),
    ("init --assume-no-tags", Some(Make), &[]),
    (
        "add a b/c -",
        Some(Fill),
        &[("a", Access::Read), ("b/c", Access::Read)],
    ),
    ("add a --in-place --tag x", Some(Fill), &[("a", Refer)]),
    ("add -", Some(Fill), &[]),
    ("add - --read-only", Some(Read), &[]),
    (
        "get x out",
        Some(Read),
        &[("out", Restore { replace: KEEP })],
    ),
    (
        "get x a/b -f",
        Some(Read),
        &[("a/b", Restore { replace: REPLACE })],
    ),
    ("get x -", Some(Read), &[]),
    (
        "export x out",
        Some(Read),
        &[("out", Export { replace: KEEP })],
    ),
    (
        "export x a/b --in-place",
        Some(Write),
        &[("a/b", Export { replace: KEEP })],
    ),
    (
        "export x a/b --forget --force",
        Some(Write),
        &[("a/b", Export { replace: REPLACE })],
    ),
    (
        "export x a --forget --read-only",
        Some(Read),
        &[("a", Export { replace: KEEP })],
    ),
    ("export x -", Some(Read), &[]),
    ("cat x/y --range 0..5", Some(Read), &[]),
    ("slice x 0..5", Some(Read), &[]),
    ("slice x -o -", Some(Read), &[]),
    (
        "slice x -o a/b",
        Some(Read),
        &[("a/b", WriteFile { replace: KEEP })],
    ),
    (
        "slice x -fo a/b",
        Some(Read),
        &[("a/b", WriteFile { replace: REPLACE })],
    ),
    // Only of a full hash is a store made.
    ("receive x", Some(Write), &[]),
    ("receive HASH", Some(Fill), &[]),
    ("receive HASH a", Some(Fill), &[("a", ReadFile)]),
    ("receive x a", Some(Write), &[("a", ReadFile)]),
    ("receive HASH --missing", Some(Read), &[]),
    ("ls x --long", Some(Read), &[]),
    ("ls --tags", Some(Read), &[]),
    ("stat x", Some(Read), &[]),
    ("du x y", Some(Read), &[]),
    ("tag set a x", Some(Write), &[]),
    ("tag rm a", Some(Write), &[]),
    ("tag rm a --read-only", Some(Read), &[]),
    ("tag ls", Some(Read), &[]),
    ("rm x y --force", Some(Write), &[]),
    ("gc", Some(Write), &[]),
    ("gc --dry-run", Some(Read), &[]),
    ("verify x", Some(Read), &[]),
    ("verify --cursor a/b", Some(Read), &[("a/b", UpdateFile)]),
    // Not every command takes it for stdin.
    ("verify --cursor -", Some(Read), &[("-", UpdateFile)]),
    ("repair", Some(Write), &[]),
    ("repair x -n", Some(Read), &[]),
    ("repair --tags-from a", Some(Write), &[("a", ReadFile)]),
    ("repair -n --tags-from -", Some(Read), &[("-", ReadFile)]),
    ("doctor", Some(Read), &[]),
    ("hash a - b", None, &[("a", ReadFile), ("b", ReadFile)]),
    ("hash -c list", None, &[("list", ReadListed)]),
    ("hash -c -", None, &[]),
    ("completions bash", None, &[]),
    ("man a/b", None, &[("a/b", WriteInto)]),
];

/// What is not told by a row.
const APART: [&str; 1] = ["copy"];

fn parse(line: &str) -> Cli {
    let words = line.split(' ');
    let words = words.map(|word| if word == "HASH" { HASH } else { word });
    let words = ["flatbao", "--store", "blobs"].into_iter().chain(words);
    Cli::try_parse_from(words).unwrap_or_else(|e| panic!("{line}: {e}"))
}

fn places(line: &str) -> Places {
    parse(line).places()
}

fn store(path: &str, access: StoreAccess) -> StorePlace {
    let path = path.into();
    StorePlace { path, access }
}

fn outside(places: &[(&str, Access)]) -> Vec<Place> {
    let place = |(path, access): &(&str, Access)| Place {
        path: path.into(),
        access: *access,
    };
    places.iter().map(place).collect()
}

fn external(prefix: &str, dir: &str, is_written: bool) -> ExternalPlace {
    ExternalPlace {
        prefix: prefix.into(),
        dir: dir.into(),
        is_written,
    }
}

/// The commands that do something, nested ones with a space.
fn leaves(command: &clap::Command, above: &str) -> Vec<String> {
    let name = |command: &clap::Command| format!("{above} {}", command.get_name());
    let mut found = Vec::new();
    for command in command.get_subcommands() {
        let name = name(command).trim().to_owned();
        match command.has_subcommands() {
            true => found.extend(leaves(command, &name)),
            false => found.push(name),
        }
    }
    found
}

#[test]
fn every_command_has_a_row() {
    let all: BTreeSet<String> = leaves(&Cli::command(), "").into_iter().collect();
    assert!(all.len() > 15 && all.contains("tag set"), "{all:?}");
    let is_of = |line: &str, name: &str| format!("{line} ").starts_with(&format!("{name} "));
    let lines = || ROWS.iter().map(|(line, ..)| *line).chain(APART);
    for name in &all {
        assert!(lines().any(|line| is_of(line, name)), "{name}");
    }
}

#[test]
fn rows() {
    for (line, access, touched) in ROWS {
        let places = places(line);
        let stores: Vec<StorePlace> = access
            .map(|access| store("blobs", access))
            .into_iter()
            .collect();
        assert_eq!(places.stores, stores, "{line}");
        assert_eq!(places.outside, outside(touched), "{line}");
        assert_eq!(places.is_open_ended, *line == "hash -c -", "{line}");
        // Whoever opens a store opens what its paths lead into.
        let everything = platform::everything().filter(|_| access.is_some());
        let everything = everything.map(|(prefix, _)| external(prefix, "/", false));
        assert_eq!(places.external, Vec::from_iter(everything), "{line}");
    }
}

#[test]
fn a_copy_touches_two_stores() {
    let both = [store("blobs", Read), store("other", Fill)];
    assert_eq!(places("copy x --to other").stores, both);
    // It says nothing of the other one.
    let there = places("copy x --to other --read-only");
    assert_eq!(
        (&there.stores[..], &there.outside[..]),
        (&both[..], &[][..])
    );
}

#[test]
fn a_restore_without_a_target_is_called_like_the_reference() {
    let keep = Restore { replace: KEEP };
    let hash = (".", RestoreByHash { replace: KEEP });
    assert_eq!(places("get HASH").outside, outside(&[(HASH, keep)]));
    for (line, name) in [
        ("get demo", "demo"),
        ("get demo/", "demo"),
        ("get a/demo", "demo"),
        ("get demo/sub/main.rs", "main.rs"),
        // A prefix of a hash, or a tag.
        ("get af13", "af13"),
    ] {
        assert_eq!(
            places(line).outside,
            outside(&[(name, keep), hash]),
            "{line}"
        );
    }
    // Names that could mean anything but a file right here.
    for line in [
        "get demo/..",
        "get ..",
        "get a:b",
        "get demo//",
        "get a\\xff",
    ] {
        assert_eq!(places(line).outside, outside(&[hash]), "{line}");
    }
    let replace = Restore { replace: REPLACE };
    let hash = RestoreByHash { replace: REPLACE };
    let both = outside(&[("demo", replace), (".", hash)]);
    assert_eq!(places("get demo --force").outside, both);
    // Base32 becomes hexadecimal.
    let base32 = "v4jutopv7gq2nicajxvdnxgjjgn4wjojvxarfn6mtkj4vza7gjra";
    assert_eq!(base32.parse::<Hash>().unwrap(), Hash::EMPTY);
    assert_eq!(
        places(&format!("get {base32}")).outside,
        outside(&[(HASH, keep)])
    );
}

#[test]
fn external_paths() {
    assert_eq!(places("ls --no-external").external, []);
    assert_eq!(places("hash a --external /a=b").external, []);
    let two = [external("/a", "/a", false), external("/b", "c", false)];
    assert_eq!(places("ls --external /a --external /b/=c").external, two);
    let two = "--external /a/b=here --external /c=there";
    for (dest, written) in [
        ("/a/b/c", true),
        ("/a/b", true),
        // A collection goes through it.
        ("/a", true),
        ("/a/bc", false),
        ("b", false),
    ] {
        for mode in ["", " --in-place", " --forget"] {
            let line = format!("export x {dest}{mode} {two}");
            let expected = [
                external("/a/b", "here", written),
                external("/c", "there", false),
            ];
            assert_eq!(places(&line).external, expected, "{line}");
        }
        let line = format!("get x {dest} {two}");
        assert!(places(&line).external.iter().all(|place| !place.is_written));
    }
    assert!(!places("export x /a/b --external /=d").external[0].is_written);
}

#[test]
fn what_a_host_takes_over() {
    let plain = parse("gc");
    assert_eq!(plain.locking(), Locking::Exclusive);
    assert_eq!(plain.durability(), Durability::Durable);
    assert_eq!(parse("gc --locking held").locking(), Locking::HostHolds);
    let none = parse("add a --locking none --durability atomic");
    assert_eq!(none.locking(), Locking::None);
    assert_eq!(none.durability(), Durability::Atomic);
}
