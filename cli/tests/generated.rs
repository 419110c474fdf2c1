//! Completions and manual pages.
#![allow(clippy::unwrap_used)]

mod common;

use std::{collections::BTreeSet, fs};

use common::{Scene, commands};

#[test]
fn every_shell_gets_its_script() {
    let scene = Scene::new();
    for (shell, begins) in [
        ("bash", "_flatbao() {"),
        ("elvish", "\nuse builtin;"),
        ("fish", "# Print an optspec"),
        ("powershell", "\nusing namespace"),
        ("zsh", "#compdef flatbao"),
    ] {
        let script = scene.ok(["completions", shell]).out;
        assert!(script.starts_with(begins), "{shell} {script:.80}");
        for word in ["assume-no-tags", "dry-run", "native-names"] {
            assert!(script.contains(word), "{shell} {word}");
        }
        assert_eq!(scene.ok(["completions", shell, "--json"]).out, script);
    }
    scene
        .run(["completions", "nosh"])
        .fails(2, &["bash", "zsh"]);
    // Neither needs a store, nor makes one.
    assert_eq!(scene.tree("."), []);
}

#[test]
fn every_command_gets_its_page() {
    let scene = Scene::new();
    let told = scene.ok(["man", "deep/man1"]).out;
    let told: BTreeSet<&str> = told.lines().collect();
    let path = |name: &str| format!("deep/man1/{name}.1");
    let mut pages: BTreeSet<String> = commands()
        .iter()
        .map(|command| path(&format!("flatbao-{}", command.replace(' ', "-"))))
        .collect();
    pages.insert(path("flatbao"));
    assert_eq!(told, pages.iter().map(String::as_str).collect());
    assert_eq!(scene.tree("deep/man1").len(), pages.len());
    for page in &pages {
        let text = fs::read_to_string(scene.path(page)).unwrap();
        assert!(
            text.contains(".TH ") && text.contains("Example: flatbao"),
            "{page}"
        );
    }
    let nested = fs::read_to_string(scene.path(path("flatbao-tag-set"))).unwrap();
    assert!(nested.contains("\\fBflatbao tag set\\fR"), "{nested}");
    // Again, over what is there.
    let again = scene.ok(["man", "deep/man1", "--json"]).json();
    assert_eq!(again.len(), pages.len());
    assert_eq!(again[0]["path"], path("flatbao"));
}
