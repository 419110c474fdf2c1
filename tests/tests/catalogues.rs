//! The two catalogues that tests are held against: every row of `tests/BAD-INPUTS.md` and of `tests/PEER-DEFECTS.md`
//! names the tests that hold it, and those tests are there and name the row (`BI-041`, `PD-07`) in their documentation.
//! A test that names a row which does not name it fails as well: so each of the two tells what the other one does.

// It reads the sources, which no guest is granted.
#![cfg(not(target_os = "wasi"))]
// A test reports by panicking.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Where tests are, from the top of the checkout.
const SOURCES: [&str; 6] = [
    "backend-fs",
    "backend-mem",
    "cli",
    "core",
    "host-wasm",
    "tests",
];

/// A test, `file.rs::function`, with the file from the top of the checkout.
type Test = String;
/// The tests of every row.
type Held = BTreeMap<String, BTreeSet<Test>>;

#[test]
fn every_bad_input_is_held() {
    is_held("tests/BAD-INPUTS.md", 100, |n| format!("BI-{n:03}"));
}

#[test]
fn every_defect_of_the_old_store_is_held() {
    is_held("tests/PEER-DEFECTS.md", 45, |n| format!("PD-{n:02}"));
}

/// The table has the rows 1 to `count`, in order, and just those tests that name them.
fn is_held(table: &str, count: u32, id: impl Fn(u32) -> String) {
    let text = fs::read_to_string(top().join(table)).unwrap();
    let listed = rows(&text);
    let ids: Vec<String> = (1..=count).map(id).collect();
    assert!(listed.iter().map(|(id, _)| id).eq(&ids), "{table}: rows");
    let mut named = named_in_sources();
    let mut wrong = Vec::new();
    for (id, tests) in listed {
        let named = named.remove(&id).unwrap_or_default();
        for test in tests.difference(&named) {
            wrong.push(format!("{id}: {test} is no test, or does not name it"));
        }
        for test in named.difference(&tests) {
            wrong.push(format!("{id}: {test} is not in the table"));
        }
        if tests.is_empty() {
            wrong.push(format!("{id}: no test"));
        }
    }
    let prefix = &ids[0][..3];
    let unknown = named.keys().filter(|id| id.starts_with(prefix));
    wrong.extend(unknown.map(|id| format!("{id}: no such row")));
    assert!(wrong.is_empty(), "{table}:\n{}", wrong.join("\n"));
}

/// The rows of a table: what stands in the first column, and the tests in the last one. All columns have something.
fn rows(text: &str) -> Vec<(String, BTreeSet<Test>)> {
    let lines = text.lines().filter(|line| line.starts_with("| "));
    // Without the head.
    lines
        .skip(1)
        .map(|line| {
            let columns: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [id, _, _, tests] = columns[..] else {
                panic!("{line}: four columns");
            };
            assert!(columns.iter().all(|column| !column.is_empty()), "{line}");
            let tests = tests.split(", ").map(|test| test.replace('`', ""));
            (id.to_owned(), tests.collect())
        })
        .collect()
}

fn named_in_sources() -> Held {
    let mut held = Held::new();
    for folder in SOURCES {
        walk(&top().join(folder), &mut held);
    }
    held
}

fn walk(dir: &Path, held: &mut Held) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            walk(&path, held);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            take(&path, held);
        }
    }
}

/// The rows that the tests of a file name. A promise of a conformance suite is a test of every back end.
fn take(path: &Path, held: &mut Held) {
    let relative = path.strip_prefix(top()).unwrap().to_str().unwrap();
    let is_suite = relative.contains("_suite");
    let text = fs::read_to_string(path).unwrap();
    let (mut ids, mut is_test) = (Vec::new(), is_suite);
    for line in text.lines().map(str::trim_start) {
        if let Some(words) = line.strip_prefix("///") {
            ids.extend(
                words
                    .split(|c: char| !is_of_id(c))
                    .filter(|word| is_id(word)),
            );
        } else if line.starts_with("#[") {
            is_test |= line == "#[test]";
        } else {
            let function = line.strip_prefix("pub ").unwrap_or(line);
            if let Some(function) = function.strip_prefix("fn ").filter(|_| is_test) {
                let name = function.split(['(', '<']).next().unwrap();
                for id in &ids {
                    let tests = held.entry((*id).to_owned()).or_default();
                    tests.insert(format!("{relative}::{name}"));
                }
            }
            (ids, is_test) = (Vec::new(), is_suite);
        }
    }
}

fn is_of_id(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

fn is_id(word: &str) -> bool {
    let digits = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    match word.split_once('-') {
        Some(("BI", number)) => number.len() == 3 && digits(number),
        Some(("PD", number)) => number.len() == 2 && digits(number),
        _ => false,
    }
}

/// The top of the checkout.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}
