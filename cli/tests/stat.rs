//! `flatbao stat`.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Scene, fixture, noise};
use flatbao_core::Hash;
use serde_json::json;

#[test]
fn everything_about_a_blob() {
    let scene = Scene::new();
    let big = noise(40_000);
    let sequence = scene.collection("demo", &[("big", &big)]).to_string();
    let hash = Hash::of(&big).to_string();
    scene.ok(["tag", "set", "direct", &hash]);
    let (data, outboard) = (format!("{hash}.data"), format!("{hash}.obao4"));
    let expected = json!({
        "hash": hash,
        "size": 40_000,
        "size_proved": true,
        "state": "complete",
        "format": "raw",
        "groups": 3,
        "groups_present": 3,
        "files": [{"name": data, "size": 40_000}, {"name": outboard, "size": 136}],
        "homes": [{"place": "owned", "size": 40_000, "ok": true}],
        "partials": [],
        "tags": [
            {"name": "demo", "name_hex": "64656d6f", "through": sequence},
            {"name": "direct", "name_hex": "646972656374", "through": null},
        ],
        "unread": [],
    });
    for reference in ["demo/big", "direct", &hash, &hash[..6]] {
        assert_eq!(
            scene.ok(["stat", reference, "--json"]).object(),
            expected,
            "{reference}"
        );
    }
    let expected = format!(
        "hash      {hash}\n\
         size      39.1 KiB (40000 bytes), proved\n\
         state     complete\n\
         format    raw\n\
         groups    3 of 3, 16 KiB each\n\
         file         39.1 KiB  {data}\n\
         file            136 B  {outboard}\n\
         home         39.1 KiB  owned\n\
         tag       demo, through {sequence}\n\
         tag       direct\n"
    );
    assert_eq!(scene.ok(["stat", "direct"]).out, expected);
    assert_eq!(
        scene.ok(["stat", "demo/big", "-q"]).out,
        format!("{hash}\n")
    );
    let collection = scene.ok(["stat", "demo", "--json"]).object();
    assert_eq!(
        (&collection["format"], &collection["size"]),
        (&json!("hashseq"), &json!(64))
    );
    // By its hash as well.
    assert_eq!(scene.ok(["stat", &sequence, "--json"]).object(), collection);
    scene.run(["stat", &"0".repeat(64)]).fails(4, &["no blob"]);
}

#[test]
fn homes_say_why_they_are_none() {
    let scene = Scene::new();
    let bytes = noise(20_000);
    for name in ["a", "b", "c"] {
        scene.write(name, &bytes);
        scene.ok(["add", name, "--in-place", "--tag", "t"]);
    }
    fs::remove_file(scene.path("a")).unwrap();
    fs::write(scene.path("b"), &bytes[..19_000]).unwrap();
    let ran = scene.run(["stat", "t", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (3, ""));
    let told = ran.object();
    assert_eq!(
        (&told["size_proved"], &told["groups_present"]),
        (&json!(true), &json!(2))
    );
    let homes = told["homes"].as_array().unwrap();
    assert_eq!(homes.len(), 3);
    for (home, (name, ok, problem)) in homes.iter().zip([
        ("a", false, "cannot open"),
        ("b", false, "has 19000 bytes where the blob has 20000"),
        ("c", true, ""),
    ]) {
        assert_eq!(
            (&home["place"], &home["ok"]),
            (&json!("external"), &json!(ok))
        );
        assert!(home["path"].as_str().unwrap().ends_with(name));
        assert!(
            home["problem"]
                .as_str()
                .unwrap_or_default()
                .contains(problem),
            "{home}"
        );
    }
    let out = scene.run(["stat", "t"]).out;
    assert!(
        out.contains("18.6 KiB  external  ") && out.contains("b: has 19000 bytes"),
        "{out}"
    );
    let ran = scene.run(["stat", "t", "--no-external"]);
    ran.fails(3, &["outside every granted"]);
    assert!(
        ran.out
            .contains("size      19.5 KiB (20000 bytes), not proved"),
        "{}",
        ran.out
    );
    // Its list of paths is damaged: there is no telling where it was.
    let paths = scene.path(format!(".flatbao/{}.paths", Hash::of(&bytes)));
    fs::write(paths, "nonsense").unwrap();
    let ran = scene.run(["stat", "t", "--json"]);
    assert_eq!(ran.code, 5);
    assert_eq!(ran.json()[0]["homes"][0]["place"], "listed");
}

#[test]
fn damage_and_unread_sequences_are_told() {
    let scene = Scene::new();
    let big = noise(40_000);
    let sequence = scene.collection("demo", &[("big", &big)]);
    scene.damage(sequence, 40);
    let hash = Hash::of(&big).to_string();
    let ran = scene.run(["stat", &hash, "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (5, ""));
    let unread = &ran.json()[0]["unread"][0];
    assert_eq!(
        (&unread["hash"], &unread["tags"]),
        (&json!(sequence.to_string()), &json!(["demo"]))
    );
    assert!(unread["problem"].as_str().unwrap().contains("damaged"));
    let out = scene.run(["stat", &hash]).out;
    assert!(
        out.contains("unread    demo may list it, too: blob "),
        "{out}"
    );
    // The last group proves the size; of another one nothing is read.
    scene.ok(["tag", "rm", "demo"]);
    scene.damage(Hash::of(&big), 0);
    assert_eq!(
        scene.ok(["stat", &hash, "--json"]).object()["size_proved"],
        true
    );
    scene.damage(Hash::of(&big), 39_999);
    let ran = scene.run(["stat", &hash]);
    ran.fails(5, &["damaged"]);
    assert!(ran.out.contains("(40000 bytes), not proved"), "{}", ran.out);
    // Tags that cannot be read do not keep the rest from being told.
    fs::write(scene.path(".flatbao/tags.meta"), "nonsense").unwrap();
    let ran = scene.run(["stat", &hash]);
    ran.fails(5, &["tags.meta is damaged"]);
    assert!(ran.out.contains("tags      not known"), "{}", ran.out);
}

#[test]
fn partial_blobs_tell_what_is_proved() {
    let scene = Scene::new();
    fixture("golden", &scene.path(".flatbao"));
    let lines = scene.run(["ls", "--partial", "--json"]).json();
    let partials = lines.iter().filter(|line| line["state"] == "partial");
    let mut proved = 0;
    for line in partials {
        let hash = line["hash"].as_str().unwrap();
        let ran = scene.run(["stat", hash, "--json"]);
        let told = &ran.json()[0];
        assert_eq!(
            (&told["state"], &told["size"]),
            (&line["state"], &line["size"])
        );
        let partials = told["partials"].as_array().unwrap();
        let best = partials
            .iter()
            .map(|partial| partial["verified"].as_u64().unwrap())
            .max();
        assert_eq!(best.unwrap_or(0), line["verified"], "{told}");
        for partial in partials {
            let ranges = partial["ranges"].as_array().unwrap().iter();
            let lens = ranges.map(|range| range[1].as_u64().unwrap() - range[0].as_u64().unwrap());
            assert_eq!(lens.sum::<u64>(), partial["groups_present"]);
            assert!(partial["groups_present"].as_u64() < partial["groups"].as_u64());
            proved += 1;
        }
        assert_eq!(told["homes"], json!([]));
        let out = scene.run(["stat", hash]).out;
        assert!(out.contains("state     partial\n"), "{out}");
    }
    assert!(proved > 0);
}
