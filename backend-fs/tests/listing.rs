//! Large directories: they are listed whole, in one order, and as far as somebody wants.

// A test that cannot set its scene fails.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    ops::ControlFlow,
};

use flatbao_core::{Dir as _, EntryKind};
use flatbao_fs::SystemDir;
use tempfile::TempDir;

/// So many names fill several blocks of what is read ahead.
const MANY: usize = 3000;

/// A directory with as many files, with names as long as those of a store, and some directories among them.
fn large() -> (TempDir, BTreeMap<OsString, EntryKind>) {
    // WASI has no directory for temporary files that the standard library knows.
    let temporary = match cfg!(target_os = "wasi") {
        true => TempDir::new_in("/tmp"),
        false => TempDir::new(),
    };
    let temporary = temporary.unwrap();
    let mut expected = BTreeMap::new();
    for number in 0..MANY {
        let name = format!("{number:064x}.data");
        let path = temporary.path().join(&name);
        let kind = match number % 100 {
            99 => {
                fs::create_dir(path).unwrap();
                EntryKind::Directory
            }
            _ => {
                fs::write(path, b"").unwrap();
                EntryKind::File
            }
        };
        expected.insert(name.into(), kind);
    }
    (temporary, expected)
}

#[test]
fn a_large_directory_is_listed_whole_or_as_far_as_wanted() {
    let (temporary, expected) = large();
    let dir = SystemDir::open_ambient(temporary.path()).unwrap();
    let mut all: Vec<(OsString, EntryKind)> = Vec::new();
    let mut note = |name: &OsStr, kind| all.push((name.to_owned(), kind));
    dir.list(&mut note).unwrap();
    assert_eq!(all.len(), MANY, "each of them once");
    assert_eq!(all.iter().cloned().collect::<BTreeMap<_, _>>(), expected);

    for wanted in [1, 100, MANY / 2, MANY - 1, MANY] {
        let mut seen = Vec::new();
        let found = dir.list_until(&mut |name, kind| {
            seen.push((name.to_owned(), kind));
            match seen.len() == wanted {
                true => ControlFlow::Break(wanted),
                false => ControlFlow::Continue(()),
            }
        });
        assert_eq!(found.unwrap(), Some(wanted));
        assert!(seen == all[..wanted], "{wanted}");
    }
    let mut count = 0;
    let none: Option<()> = dir
        .list_until(&mut |_, _| {
            count += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!((none, count), (None, MANY));
}

/// Whoever looks at names may panic; then nothing waits for what is read ahead.
#[test]
#[cfg(not(target_family = "wasm"))]
fn a_panic_ends_a_listing() {
    let (temporary, _) = large();
    let dir = SystemDir::open_ambient(temporary.path()).unwrap();
    let mut count = 0;
    let listed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        dir.list(&mut |_, _| {
            count += 1;
            assert!(count < MANY / 2, "enough");
        })
    }));
    assert!(listed.is_err());
    assert_eq!(count, MANY / 2);
}
