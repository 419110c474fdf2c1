//! `flatbao verify`, `repair` and `doctor`.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;

use common::{Scene, noise};
use flatbao_core::Hash;
use serde_json::json;

const GROUP: usize = 16 * 1024;

/// A store with one tagged blob of ten groups, of which the fourth is damaged.
fn damaged() -> (Scene, Hash, Vec<u8>) {
    let scene = Scene::new();
    let content = noise(9 * GROUP + 777);
    scene.write("big", &content);
    scene.ok(["add", "big", "--tag", "big"]);
    let hash = Hash::of(&content);
    scene.damage(hash, 3 * GROUP + 5);
    (scene, hash, content)
}

/// The README tells this story.
#[test]
fn one_flipped_byte() {
    let (scene, hash, content) = damaged();
    let hex = hash.to_string();
    let short = &hex[..16];

    let ran = scene.run(["verify"]);
    assert_eq!(ran.code, 5);
    assert_eq!(
        ran.out,
        format!(
            "damage   {hex}  data are wrong in the 16 KiB at offset 49152 (group 3)\n\
             read 1 blob, 144.8 KiB of data: damage: 1, problems: 0, notes: 0\n"
        )
    );
    assert_eq!(
        ran.err,
        format!(
            " hint: `flatbao repair {short}` keeps every good group; then `flatbao add` the same content again\n"
        )
    );

    let good = scene.ok(["cat", "big", "--range", "0..49152"]);
    assert_eq!(good.bytes, &content[..3 * GROUP]);
    let bad = scene.run(["cat", "big", "--range", "49152..49162"]);
    assert_eq!((bad.code, bad.bytes.as_slice()), (5, &[][..]));
    assert!(
        bad.err.contains(&format!("flatbao repair {short}")),
        "{}",
        bad.err
    );

    let planned = scene.run(["repair", "--dry-run"]);
    assert_eq!(planned.code, 3);
    assert!(
        planned.out.starts_with(&format!(
            "planned  {hex}  make it a partial blob: 9 of 10 groups are good, 1 missing\n"
        )),
        "{}",
        planned.out
    );
    assert!(scene.data(hash).exists(), "a dry run does nothing");

    let done = scene.run(["repair", short]);
    assert_eq!(done.code, 3);
    assert_eq!(
        done.out,
        format!(
            "done     {hex}  make it a partial blob: 9 of 10 groups are good, 1 missing\n\
             read 1 blob: mended 1, left 0\n"
        )
    );
    let listed = scene.ok(["ls", "--partial", "--json"]).json();
    assert_eq!(listed[0]["state"], "partial");
    assert_eq!(listed[0]["verified"], content.len() - GROUP);

    let again = scene.ok(["repair"]);
    assert_eq!(again.out, "read 1 blob: mended 0, left 0\n");

    scene.ok(["add", "big", "--tag", "big"]);
    assert_eq!(scene.ok(["cat", "big"]).bytes, content);
    scene.ok(["verify", "-q"]);
}

#[test]
fn json_has_the_place_and_a_summary() {
    let (scene, hash, _) = damaged();
    let small = scene.blob(b"small");
    let ran = scene.run(["verify", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (5, ""));
    let lines = ran.json();
    let found = lines.iter().find(|line| line["ok"] == false).unwrap();
    assert_eq!(found["hash"], hash.to_string());
    assert_eq!(found["finding"], "corrupt_data");
    assert_eq!(found["severity"], "damage");
    assert_eq!(found["offset"], 3 * GROUP);
    assert_eq!(found["groups"], json!([[3, 4]]));
    assert!(found["mend"].as_str().unwrap().contains("flatbao repair"));
    let sound = lines.iter().find(|line| line["ok"] == true).unwrap();
    assert_eq!(sound["hash"], small.to_string());
    assert_eq!(sound["size"], 5);
    let summary = lines.last().unwrap();
    assert_eq!(summary["summary"], "verify");
    assert_eq!(
        (&summary["blobs"], &summary["damage"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(summary["next"], json!(null));

    let ran = scene.run(["repair", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (3, ""));
    let lines = ran.json();
    assert_eq!(lines[0]["action"], "demote");
    assert_eq!(lines[0]["outcome"], "done");
    assert_eq!(lines[0]["missing"], json!([[3, 4]]));
    assert_eq!(lines[0]["groups"], 10);
    assert_eq!(lines[1]["summary"], "repair");
    assert_eq!(
        (&lines[1]["mended"], &lines[1]["left"]),
        (&json!(1), &json!(0))
    );
}

#[test]
fn a_quick_look_reads_outboards_and_ends() {
    let (scene, hash, content) = damaged();
    let ran = scene.ok(["verify", "--quick", "--json"]);
    let summary = ran.json().pop().unwrap();
    assert_eq!(summary["depth"], "quick");
    assert_eq!(summary["bytes"], 777, "the last group only");
    let outboard = scene.path(format!(".flatbao/{hash}.obao4"));
    let mut bytes = fs::read(&outboard).unwrap();
    bytes[8 + 64 * 3] ^= 1;
    fs::write(&outboard, &bytes).unwrap();
    let ran = scene.run(["verify", "--quick", "--json"]);
    assert_eq!(ran.code, 5);
    assert_eq!(ran.json()[0]["finding"], "corrupt_outboard");
    fs::write(scene.data(hash), &content).unwrap();
    fs::remove_file(&outboard).unwrap();
    let ran = scene.run(["verify", "--quick", "--json"]);
    assert_eq!(ran.code, 3);
    assert_eq!(ran.json()[0]["finding"], "missing_outboard");
    let ran = scene.ok(["repair", "--json"]);
    assert_eq!(ran.json()[0]["action"], "rebuild_outboard");
    bytes[8 + 64 * 3] ^= 1;
    assert_eq!(fs::read(&outboard).unwrap(), bytes);
}

#[test]
fn only_what_is_named_and_what_is_in_it() {
    let scene = Scene::new();
    scene.write("dir/a", noise(20_000));
    scene.write("dir/b", b"b");
    scene.write("other", b"other");
    scene.ok(["add", "dir", "--tag", "dir"]);
    scene.ok(["add", "other", "--tag", "other"]);
    let summary = |args: &[&str]| scene.ok(args).json().pop().unwrap();
    assert_eq!(summary(&["verify", "--json"])["blobs"], 5);
    assert_eq!(summary(&["verify", "--json", "dir"])["blobs"], 4);
    assert_eq!(summary(&["verify", "--json", "dir/a", "other"])["blobs"], 2);
    assert_eq!(scene.run(["verify", "nothing"]).code, 4);
    assert_eq!(scene.run(["repair", "nothing"]).code, 4);
}

#[test]
fn a_budget_and_a_cursor() {
    let scene = Scene::new();
    let count = 7;
    for i in 0..count {
        scene.blob(&[i]);
    }
    let mut hashes = Vec::new();
    loop {
        let ran = scene.ok(["verify", "--budget", "0", "--cursor", "cursor", "--json"]);
        let mut lines = ran.json();
        let summary = lines.pop().unwrap();
        assert_eq!(summary["blobs"], 1, "at least one, and no more");
        hashes.extend(lines.iter().map(|line| line["hash"].to_string()));
        if summary["next"].is_null() {
            break;
        }
        let cursor = fs::read_to_string(scene.path("cursor")).unwrap();
        assert_eq!(summary["next"], cursor.trim());
    }
    assert_eq!(hashes.len(), usize::from(count));
    assert!(hashes.is_sorted());
    assert!(
        !scene.path("cursor").exists(),
        "the next run begins at the beginning"
    );

    let ran = scene.run(["verify", "--budget", "0s"]);
    assert_eq!(ran.code, 0);
    assert!(ran.err.contains("with --cursor FILE"), "{}", ran.err);
    scene.write("cursor", "x");
    let ran = scene.run(["verify", "--cursor", "cursor"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    for wrong in ["--budget=", "--budget=soon", "--budget=-1s"] {
        assert_eq!(scene.run(["verify", wrong]).code, 2, "{wrong}");
    }
    scene.ok(["verify", "--budget", "1h30m"]);
}

#[test]
fn an_edited_external_file_is_named() {
    let scene = Scene::new();
    let bytes = noise(40_000);
    let path = scene.write("outside", &bytes);
    scene.ok(["add", "outside", "--in-place", "--tag", "outside"]);
    scene.ok(["verify", "-q"]);
    let mut edited = bytes.clone();
    edited[20_000] ^= 1;
    fs::write(&path, &edited).unwrap();
    let ran = scene.run(["verify", "--json"]);
    assert_eq!(ran.code, 5);
    assert_eq!(ran.json()[0]["finding"], "external_changed");
    assert_eq!(ran.json()[0]["offset"], GROUP);
    let ran = scene.run(["repair", "--json"]);
    assert_eq!(ran.code, 3, "nothing else has it");
    assert_eq!(ran.json()[0]["finding"], "external_changed");
    assert_eq!(
        fs::read(&path).unwrap(),
        edited,
        "no file outside is touched"
    );
    scene.pipe(&bytes, &["add", "-", "--no-tag"]);
    let ran = scene.ok(["repair", "--json"]);
    assert_eq!(ran.json()[0]["action"], "drop_paths");
    assert_eq!(fs::read(&path).unwrap(), edited);
    assert_eq!(scene.ok(["cat", "outside"]).bytes, bytes);
    fs::remove_file(&path).unwrap();
    scene.ok(["verify", "-q"]);
}

#[test]
fn damaged_tags_come_back_from_a_copy() {
    let (scene, _, _) = damaged();
    let file = scene.path(".flatbao/tags.meta");
    let good = fs::read(&file).unwrap();
    scene.write("copy", &good);
    let mut bad = good.clone();
    bad[2] ^= 1;
    fs::write(&file, &bad).unwrap();
    let ran = scene.run(["repair"]);
    assert_eq!(ran.code, 5, "the store is not written");
    assert!(ran.err.contains("--tags-from COPY"), "{}", ran.err);
    scene.write("no copy", b"xx");
    let ran = scene.run(["repair", "--tags-from", "no copy"]);
    assert_eq!(ran.code, 1);
    assert_eq!(fs::read(&file).unwrap(), bad);
    let ran = scene.run(["repair", "--tags-from", "copy", "--dry-run"]);
    assert!(ran.out.contains("would restore 1 tag"), "{}", ran.out);
    assert_eq!(fs::read(&file).unwrap(), bad);
    let ran = scene.run(["repair", "--tags-from", "copy"]);
    assert_eq!(ran.code, 0);
    assert!(
        ran.out
            .contains("restored 1 tag; the damaged file is kept as "),
        "{}",
        ran.out
    );
    let kept = ran.out.trim().rsplit(' ').next().unwrap();
    assert_eq!(fs::read(scene.path(".flatbao").join(kept)).unwrap(), bad);
    assert_eq!(scene.ok(["tag", "ls", "-q"]).out, "big\n");
    let ran = scene.run(["repair", "--tags-from", "copy"]);
    assert_eq!(ran.code, 1, "good tags are not replaced");
}

#[test]
fn what_is_left_of_damaged_tags() {
    let scene = Scene::new();
    for name in ["one", "two", "three"] {
        scene.write(name, name);
        scene.ok(["add", name, "--tag", name]);
    }
    let file = scene.path(".flatbao/tags.meta");
    let mut bytes = fs::read(&file).unwrap();
    // The hash of the first tag by name, behind the count, a length and its name.
    bytes[1 + 1 + 3 + 9] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let ran = scene.run(["repair", "--salvage-tags", "--json"]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    let lines = ran.json();
    assert_eq!(lines[0]["tag"], "three");
    assert_eq!(lines[1]["tag"], "two");
    assert_eq!(lines[2]["action"], "restore_tags");
    assert!(
        ran.err.contains("1 more tags cannot be proved"),
        "{}",
        ran.err
    );
    assert_eq!(scene.ok(["tag", "ls", "-q"]).out, "three\ntwo\n");
}

#[test]
fn a_doctor_tells_each_oddity_once_and_the_next_step() {
    let (scene, _, _) = damaged();
    let ran = scene.ok(["doctor"]);
    assert_eq!(
        ran.out,
        "store    ./.flatbao\nlayout   one directory\nlock     free\nblobs    1 complete, 0 partial\n\
         tags     1\nnothing is odd about it; `flatbao verify` reads all data\n"
    );
    for name in ["notes.txt", "old.txt"] {
        fs::write(scene.path(".flatbao").join(name), "mine").unwrap();
    }
    let orphan = Hash::of(b"gone");
    fs::write(scene.path(format!(".flatbao/{orphan}.obao4")), "x").unwrap();
    scene.write("later", "later");
    scene.ok(["add", "later", "--tag", "later"]);
    assert_eq!(scene.run(["rm", "--force", "later"]).code, 0);
    let ran = scene.run(["doctor", "--json"]);
    assert_eq!(ran.code, 3);
    let lines = ran.json();
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["finding"].as_str().unwrap_or("-"),
                line["count"].as_u64(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("dangling_tag", Some(1)),
            ("foreign", Some(2)),
            ("orphan_outboard", Some(1)),
            ("-", None)
        ]
    );
    let summary = lines.last().unwrap();
    assert_eq!(summary["locked"], false);
    assert_eq!(
        (&summary["notes"], &summary["problems"]),
        (&json!(3), &json!(1))
    );
    let ran = scene.run(["doctor"]);
    assert!(ran.err.contains("flatbao gc"), "{}", ran.err);
    scene.ok(["tag", "rm", "later"]);
    scene.ok(["gc", "-q"]);
    assert_eq!(scene.run(["doctor"]).code, 0, "notes are no problem");
}

#[test]
fn a_locked_store_is_verified_and_not_repaired() {
    let (scene, _, _) = damaged();
    let lock = fs::File::options()
        .write(true)
        .open(scene.path(".flatbao/lock"))
        .unwrap();
    lock.lock().unwrap();
    assert_eq!(scene.run(["verify"]).code, 5);
    assert_eq!(scene.run(["repair"]).code, 6);
    assert_eq!(scene.run(["repair", "--dry-run"]).code, 3);
    let ran = scene.run(["doctor", "--json"]);
    assert_eq!(ran.json().pop().unwrap()["locked"], true);
    drop(lock);
    assert_eq!(scene.run(["--read-only", "repair"]).code, 1);
    assert_eq!(scene.run(["--read-only", "verify"]).code, 5);
}
