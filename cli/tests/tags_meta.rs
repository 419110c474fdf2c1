//! Stores whose tag database is missing or damaged.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::Scene;
use flatbao_core::Hash;

/// BI-060.
#[test]
fn without_tags_meta_nothing_is_tagged_or_collected() {
    let scene = Scene::new();
    scene.write("x", "x");
    let hash = scene.ok(["add", "x", "--tag", "x", "-q"]).out;
    let hash = hash.trim();
    let file = scene.path(".flatbao/tags.meta");
    fs::remove_file(&file).unwrap();
    let hints = ["tags.meta is missing", "restore"];
    // Reading by hash works, with a warning.
    let ran = scene.run(["cat", hash]);
    ran.fails(0, &hints);
    assert_eq!(ran.out, "x");
    scene.run(["ls"]).fails(0, &hints);
    for args in [
        &["gc"][..],
        &["gc", "-n"],
        &["tag", "ls"],
        &["tag", "set", "y", hash],
        &["add", "x"],
        &["cat", "x"],
        &["rm", hash],
    ] {
        scene.run(args).fails(5, &hints);
    }
    assert_eq!(
        scene.run(["gc", "--json"]).object()["error"],
        "tags_missing"
    );
    // What could not be tagged is not imported first.
    scene.write("new", "new");
    scene.run(["add", "new"]).fails(5, &hints);
    assert!(!scene.data(Hash::of(b"new")).exists());
    assert!(!file.exists());
    scene.run(["add", "x", "--no-tag"]).fails(0, &hints);
    // What would go if there were no tags is told, and only told.
    let ran = scene.run(["gc", "-n", "--assume-no-tags"]);
    assert_eq!((ran.code, file.exists()), (0, false));
    assert!(ran.out.starts_with("would remove 1 blob"), "{}", ran.out);
    // Confirmed without losing a blob.
    scene.run(["init", "--assume-no-tags"]).fails(0, &[]);
    assert_eq!(scene.ok(["tag", "ls"]).out, "");
    assert_eq!(scene.ok(["cat", hash]).out, "x");
    fs::remove_file(&file).unwrap();
    scene.run(["gc", "--assume-no-tags"]).fails(0, &[]);
    assert_eq!(scene.ok(["ls"]).out, "");
}

/// BI-061, BI-062, BI-063, BI-064.
#[test]
fn damaged_tags_leave_the_store_readable_and_nothing_else() {
    let scene = Scene::new();
    scene.write("x", "x");
    let hash = scene.ok(["add", "x", "--tag", "x", "-q"]).out;
    let hash = hash.trim();
    let file = scene.path(".flatbao/tags.meta");
    let good = fs::read(&file).unwrap();
    let mut flipped = good.clone();
    flipped[3] ^= 1;
    for bad in [
        Vec::new(),
        good[..good.len() - 1].to_vec(),
        flipped,
        vec![0; 4096],
    ] {
        fs::write(&file, &bad).unwrap();
        let ran = scene.run(["cat", hash]);
        ran.fails(0, &["tags.meta is damaged", "read-only"]);
        assert_eq!(ran.out, "x");
        for args in [
            &["gc"][..],
            &["gc", "-n"],
            &["gc", "--assume-no-tags"],
            &["tag", "ls"],
            &["tag", "rm", "x"],
            &["add", "x"],
            &["add", "x", "--no-tag"],
            &["init", "--assume-no-tags"],
            &["rm", "--force", hash],
        ] {
            scene.run(args).fails(5, &["damaged", "from a copy"]);
        }
        assert_eq!(fs::read(&file).unwrap(), bad);
        assert!(scene.data(Hash::of(b"x")).exists());
    }
    fs::write(&file, good).unwrap();
    assert_eq!(scene.ok(["cat", "x"]).out, "x");
}
