//! `flatbao du`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;

use common::{Scene, noise};
use flatbao_core::Hash;
use serde_json::{Value, json};

/// Two collections with a file in common, one of which lists it twice; a blob outside; one without a tag.
fn scene() -> Scene {
    let scene = Scene::new();
    let big = noise(40_000);
    scene.collection("one", &[("big", &big), ("again", &big), ("x", b"only one")]);
    scene.collection("two", &[("big", &big), ("y", b"only two!")]);
    scene.write("outside", noise(1000));
    scene.ok(["add", "outside", "--in-place", "--tag", "three"]);
    scene.blob(b"loose");
    scene
}

fn rows(scene: &Scene, args: &[&str]) -> Vec<Value> {
    scene.ok([&["du", "--json"], args].concat()).json()
}

/// The bytes of the hash sequence and of its names, which are blobs as well.
fn overhead(scene: &Scene, tag: &str) -> u64 {
    let files = scene.ok(["ls", tag]).out.lines().count() as u64;
    let object = scene.ok(["stat", tag, "--json"]).object();
    let sequence = fs::read(scene.path(format!(
        ".flatbao/{}.data",
        object["hash"].as_str().unwrap()
    )));
    let meta = Hash::from_bytes(sequence.unwrap()[..32].try_into().unwrap());
    32 * (files + 1) + fs::metadata(scene.data(meta)).unwrap().len()
}

#[test]
fn sums_are_those_of_the_files() {
    let scene = scene();
    let (one, two) = (overhead(&scene, "one"), overhead(&scene, "two"));
    let rows = rows(&scene, &["--long"]);
    let [first, third, second, summary] = &rows[..] else {
        panic!("{rows:?}")
    };
    let expected = |row: &Value, name, total, distinct, own| {
        assert_eq!(row["ref"], name);
        let sums = json!([total, distinct, own, distinct - own, 0, 0]);
        let keys = [
            "total",
            "distinct",
            "own",
            "shared",
            "missing",
            "unmeasured",
        ];
        assert_eq!(
            keys.map(|key| row[key].clone()).to_vec(),
            *sums.as_array().unwrap()
        );
    };
    expected(first, "one", 80_008 + one, 40_008 + one, 8 + one);
    expected(second, "two", 40_009 + two, 40_009 + two, 9 + two);
    expected(third, "three", 1000, 1000, 1000);
    assert_eq!(
        (&first["format"], &first["blobs"]),
        (&json!("hashseq"), &json!(4))
    );

    let logical = 80_008 + one + 40_009 + two + 1000;
    assert_eq!(summary["logical"], logical);
    assert_eq!(summary["shared"], 80_000);
    assert_eq!(
        (&summary["external"], &summary["reclaimable"]),
        (&json!(1000), &json!(5))
    );
    assert_eq!(
        (&summary["complete"], &summary["partial"]),
        (&json!(9), &json!(0))
    );
    // Every file of the store is in exactly one of the kinds.
    let ending = |ending: &str| -> usize {
        let files = scene.tree(".flatbao").into_iter();
        let files = files.filter(|(name, _)| name.ends_with(ending));
        files.map(|(_, bytes)| bytes.len()).sum()
    };
    for (key, end) in [
        ("data", ".data"),
        ("outboards", ".obao4"),
        ("paths", ".paths"),
    ] {
        assert_eq!(summary[key], ending(end), "{key}");
    }
    assert_eq!(summary["tags"], ending("tags.meta"));
    assert_eq!(summary["stored"], ending(""));
    // What it says, gc does.
    let freed = scene.ok(["gc", "--json"]).json();
    assert_eq!(freed.last().unwrap()["bytes"], summary["reclaimable"]);
    assert_eq!(rows_of(&scene, &[])["reclaimable"], 0);
}

fn rows_of(scene: &Scene, args: &[&str]) -> Value {
    rows(scene, args).pop().unwrap()
}

#[test]
fn a_ref_tells_what_would_go_with_it() {
    let scene = scene();
    let (one, two) = (overhead(&scene, "one"), overhead(&scene, "two"));
    // The same as in the table of all.
    let all = rows(&scene, &["--long"]);
    for row in &all[..3] {
        assert_eq!(rows_of(&scene, &[row["ref"].as_str().unwrap()]), *row);
    }
    // A tag is kept by another tag on the same blob; the blob itself goes with both.
    scene.ok(["tag", "set", "also", "one"]);
    assert_eq!(rows_of(&scene, &["one"])["own"], 0);
    let hash = all[0]["hash"].as_str().unwrap();
    assert_eq!(rows_of(&scene, &[hash])["own"], 8 + one);
    assert_eq!(rows_of(&scene, &["two"])["own"], 9 + two);
    let all = rows(&scene, &["--long"]);
    assert_eq!(
        (&all[0]["ref"], &all[0]["own"]),
        (&json!("also"), &json!(0))
    );
    // A file of a collection is kept by the collection, one without a tag by nothing.
    let file = rows_of(&scene, &["two/y"]);
    assert_eq!(
        (&file["total"], &file["own"], &file["shared"]),
        (&json!(9), &json!(0), &json!(9))
    );
    let loose = Hash::of(b"loose").to_string();
    assert_eq!(rows_of(&scene, &[&loose])["own"], 5);
    let ran = scene.run(["du", "two", "nope", "--json"]);
    assert_eq!((ran.code, ran.json().len()), (3, 2));
    scene.run(["du", "nope"]).fails(4, &["no tag and no blob"]);
}

#[test]
fn people_get_columns() {
    let scene = scene();
    let out = scene.ok(["du"]).out;
    let keys = ["logical", "shared", "stored", "external", "reclaimable"];
    assert_eq!(out.lines().count(), keys.len());
    for (line, key) in out.lines().zip(keys) {
        assert!(line.starts_with(&format!("{key:<11}  ")), "{line}");
        assert!(
            line[13..24].ends_with('B') && line[13..].starts_with(' '),
            "{line}"
        );
    }
    assert!(out.contains("9 blobs: data "), "{out}");
    assert!(out.ends_with("        5 B  flatbao gc\n"), "{out}");
    let out = scene.ok(["du", "three", "two/y"]).out;
    let row = |total, own, shared, name| format!("{total:>14}  {own:>14}  {shared:>14}  {name}\n");
    let expected = row("total", "own", "shared", "ref")
        + &row("1000 B", "1000 B", "0 B", "three")
        + &row("9 B", "0 B", "9 B", "two/y");
    assert_eq!(out, expected);
    let exact = scene.ok(["du", "--long", "three"]).out;
    assert!(
        exact.ends_with(&row("1000", "1000", "0", "three")),
        "{exact}"
    );
    assert_eq!(
        scene.ok(["du", "-q", "three", "two/y"]).out,
        "three\ntwo/y\n"
    );
    let long = scene.ok(["du", "-l"]).out;
    let (table, summary) = long.split_once("\n\n").unwrap();
    assert_eq!(
        (table.lines().count(), summary.lines().count()),
        (4, keys.len())
    );
    // An empty store has sums as well.
    let empty = Scene::new();
    empty.ok(["init"]);
    assert_eq!(empty.ok(["du", "-l", "--json"]).object()["logical"], 0);
    assert_eq!(empty.ok(["du"]).out.lines().count(), keys.len());
}

#[test]
fn what_cannot_be_told_is_not_told() {
    let scene = scene();
    // A blob that is gone: no sum has it, and that is said.
    fs::remove_file(scene.data(Hash::of(b"only one"))).unwrap();
    let ran = scene.run(["du", "-l", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (3, ""));
    let lines = ran.json();
    assert_eq!(
        (&lines[0]["missing"], &lines[3]["missing"]),
        (&json!(1), &json!(1))
    );
    scene.run(["du", "one"]).fails(3, &[]);
    scene.run(["du"]).fails(3, &[]);
    assert!(
        scene
            .run(["du", "-l"])
            .out
            .contains("one  (1 blob missing)")
    );

    // A file outside that is gone: it is not measured, and not counted as nothing.
    fs::remove_file(scene.path("outside")).unwrap();
    let ran = scene.run(["du", "--json"]);
    let summary = &ran.json()[0];
    assert_eq!(
        (&summary["unmeasured"], &summary["external"]),
        (&json!(1), &json!(0))
    );
    scene.run(["du"]).fails(3, &["outside", "cannot be read"]);
    assert_eq!(
        scene.run(["du", "three", "--json"]).object()["unmeasured"],
        1
    );

    // A sequence that cannot be read: nobody knows what it shares with the others.
    let hash = scene.run(["du", "two", "--json"]).object()["hash"].clone();
    let hash: Hash = hash.as_str().unwrap().parse().unwrap();
    scene.damage(hash, 3);
    let ran = scene.run(["du", "-l", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (5, ""));
    assert_eq!(ran.json().last().unwrap()["error"], "corrupt");
    let lines: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["own"], &lines[0]["shared"]),
        (&Value::Null, &Value::Null)
    );
    assert!(lines[0]["total"].is_u64());
    assert!(lines[2]["total"].is_null(), "{}", lines[2]);
    assert!(
        lines
            .iter()
            .any(|line| line["summary"] == "du" && line["reclaimable"].is_null())
    );
    let ran = scene.run(["du"]);
    ran.fails(5, &["tag two", "damaged"]);
    assert!(ran.out.contains("gc would refuse"), "{}", ran.out);
    scene.run(["gc", "-n"]).fails(5, &["nothing was deleted"]);
    scene.run(["du", "two"]).fails(5, &["damaged"]);
    scene.run(["du", "three"]).fails(5, &["tag two"]);

    // Without tags only what is stored can be told.
    fs::write(scene.path(".flatbao/tags.meta"), "nonsense").unwrap();
    let ran = scene.run(["du"]);
    ran.fails(5, &["tags.meta is damaged"]);
    assert!(
        ran.out
            .starts_with("logical                -  the tags are not known\n"),
        "{}",
        ran.out
    );
    let loose = Hash::of(b"loose").to_string();
    let ran = scene.run(["du", &loose, "--json"]);
    assert_eq!(ran.code, 5);
    let row = ran
        .json()
        .into_iter()
        .find(|line| line["ref"] == loose)
        .unwrap();
    assert_eq!((&row["total"], &row["own"]), (&json!(5), &Value::Null));
}

/// What is there of a partial blob, as its outboard claims.
#[test]
fn partial_blobs_count_as_blobs() {
    let scene = Scene::new();
    common::fixture("golden", &scene.path(".flatbao"));
    let lines = scene.run(["ls", "--partial", "--json"]).json();
    let partials: Vec<_> = lines
        .iter()
        .filter(|line| line["state"] == "partial")
        .collect();
    assert!(!partials.is_empty());
    for line in &partials {
        let hash = line["hash"].as_str().unwrap();
        if line["size"].is_null() {
            continue;
        }
        let row = scene.run(["du", hash, "--json"]).json().remove(0);
        assert_eq!(
            (&row["total"], &row["blobs"]),
            (&line["size"], &json!(1)),
            "{row}"
        );
    }
    let summary = scene.run(["du", "--json"]).json();
    let summary = summary.iter().find(|line| line["summary"] == "du").unwrap();
    assert_eq!(summary["partial"], partials.len());
    assert!(summary["partials"].as_u64() > Some(0));
}
