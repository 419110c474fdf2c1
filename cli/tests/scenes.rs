//! The console blocks of pages, run as they stand: those of `tests/cmd/*.md`, and the README's.
//!
//! A block is fenced with three backquotes and `console`. In it, a line `$ flatbao …` is run, and the lines
//! below it, up to the next such line or the end of the block, are what it has to print, on either stream.
//! What it exits with, if not 0, stands first: `? 4`. In a line `[..]` is any text, and a line `...` any
//! number of lines: hashes are written like that, as far as they do not matter. Blocks of one page are run
//! one after the other in one directory, which begins as a copy of `tests/cmd/files` and a long `diary.txt`.
//! A line goes on when it ends with a backslash; there is no shell, so no `|`, `>`, `*` or comments, and no
//! program but `flatbao` and `dd`. A block that is to be shown and not run is fenced with `console,ignore`,
//! and `$ cargo …` is never run.
//!
//! `TRYCMD=overwrite cargo test -p flatbao --test scenes` writes into the pages what the commands print.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use trycmd::{TestCases, schema::Bin};

#[test]
fn pages_show_what_happens() {
    let pages = fs::read_dir(here("tests/cmd")).unwrap();
    let pages = pages.map(|entry| entry.unwrap().path());
    let pages: Vec<PathBuf> = pages
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    assert!(pages.len() >= 2);
    play(&pages);
}

#[test]
fn the_readme_shows_what_happens() {
    play(&[here("../README.md")]);
}

/// Runs copies of the pages, since a page's directory stands beside it.
fn play(pages: &[PathBuf]) {
    let place = tempfile::tempdir().unwrap();
    let copy_of = |page: &Path| place.path().join(page.file_name().unwrap());
    let cases = TestCases::new();
    cases.register_bin("flatbao", common::program());
    cases.register_bin("dd", Path::new("/bin/dd"));
    cases.register_bin("cargo", Bin::Ignore);
    for page in pages {
        let copy = copy_of(page);
        fs::copy(page, &copy).unwrap();
        let dir = copy.with_extension("in");
        common::copy(&here("tests/cmd/files"), &dir);
        let days = (1..=9000).map(|day| format!("day {day:05}: all is well\n"));
        fs::write(dir.join("diary.txt"), days.collect::<String>()).unwrap();
        cases.case(&copy);
    }
    cases.run();
    if std::env::var_os("TRYCMD").is_some_and(|mode| mode == "overwrite") {
        for page in pages {
            fs::copy(copy_of(page), page).unwrap();
        }
    }
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
