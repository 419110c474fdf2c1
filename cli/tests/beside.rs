//! Several commands at once on one store: one writes and the others are told so, any number read.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use common::{Scene, noise, ran};
use flatbao_core::Hash;

/// After so long something hangs.
const LONG: Duration = Duration::from_secs(60);

/// A scene with a tagged blob.
fn scene() -> Scene {
    let scene = Scene::new();
    scene.write("kept", noise(100_000));
    scene.write("new", noise(50_000));
    scene.ok(["add", "kept", "--tag", "kept"]);
    scene
}

/// A process that holds the store and is in the middle of writing to it: it waits for the rest of its input.
fn writer(scene: &Scene) -> Child {
    let mut child = scene
        .command()
        .args(["add", "-", "--tag", "slow"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .as_mut()
        .unwrap()
        .write_all(&noise(300_000))
        .unwrap();
    let started = Instant::now();
    while leftovers(scene) == 0 {
        assert!(started.elapsed() < LONG, "it does not begin");
        thread::sleep(Duration::from_millis(1));
    }
    child
}

/// How many files the store has that are being imported, or were when somebody died.
fn leftovers(scene: &Scene) -> usize {
    let entries = fs::read_dir(scene.path(".flatbao")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().ends_with(".temp"))
        .count()
}

/// Runs it again and again until nobody else is in its way; how often somebody was.
fn retry(scene: &Scene, args: &[&str]) -> u32 {
    let (mut refused, started) = (0, Instant::now());
    loop {
        let ran = scene.run(args);
        if ran.code == 0 {
            return refused;
        }
        ran.fails(6, &["in use by another process"]);
        assert_eq!(ran.out, "");
        assert!(started.elapsed() < LONG, "{args:?}");
        refused += 1;
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn of_two_writers_one_is_told_that_the_store_is_in_use() {
    let scene = scene();
    let slow = writer(&scene);
    scene
        .run(["add", "new", "--tag", "new"])
        .fails(6, &["in use by another process", "hint: wait"]);
    let told = scene.run(["tag", "rm", "kept", "--json"]);
    assert_eq!(
        (told.code, told.object()["error"].as_str()),
        (6, Some("busy"))
    );
    // What the other one is writing is left alone, by those who read as well.
    assert!(leftovers(&scene) > 0);
    let verified = scene.ok(["verify", "--json"]);
    assert_eq!(verified.json().last().unwrap()["blobs"], 1);
    assert_eq!(scene.ok(["cat", "kept"]).bytes, noise(100_000));
    // Its input ends.
    ran(slow.wait_with_output().unwrap()).fails(0, &[]);
    assert_eq!(scene.ok(["cat", "slow"]).bytes, noise(300_000));
    assert_eq!(scene.ok(["cat", "kept"]).bytes, noise(100_000));
    scene.run(["cat", "new"]).fails(4, &["new"]);
    scene.ok(["add", "new", "--tag", "new"]);
    scene.ok(["verify"]);
}

#[test]
fn who_waits_for_a_writer_that_is_killed_goes_on_and_cleans_up() {
    let scene = scene();
    let mut slow = writer(&scene);
    let refused = AtomicU32::new(0);
    let next = thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            loop {
                let ran = scene.run(["add", "new", "--tag", "new", "-v"]);
                if ran.code != 6 {
                    return ran;
                }
                refused.fetch_add(1, Ordering::Relaxed);
            }
        });
        let started = Instant::now();
        while refused.load(Ordering::Relaxed) < 3 {
            assert!(started.elapsed() < LONG && !waiting.is_finished());
            thread::sleep(Duration::from_millis(1));
        }
        slow.kill().unwrap();
        waiting.join().unwrap()
    });
    slow.wait().unwrap();
    next.fails(0, &[".temp, left over from an interrupted command"]);
    assert_eq!(leftovers(&scene), 0);
    let tags = scene.ok(["tag", "ls", "--json"]).json();
    let names: Vec<_> = tags
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["kept", "new"]);
    assert_eq!(scene.ok(["cat", "new"]).bytes, noise(50_000));
    assert_eq!(scene.ok(["cat", "kept"]).bytes, noise(100_000));
    scene.ok(["verify"]);
}

/// Nobody's tag is lost although each is written with all the others.
#[test]
fn writers_that_try_again_all_get_their_turn() {
    const WRITERS: usize = 3;
    const EACH: usize = 6;
    let scene = scene();
    let content = |name: &str| {
        noise(20_000 + name.len())
            .into_iter()
            .chain(name.bytes())
            .collect::<Vec<u8>>()
    };
    let names: Vec<String> = (0..WRITERS * EACH).map(|at| format!("n{at}")).collect();
    for name in &names {
        scene.write(name, content(name));
    }
    let refused = AtomicU32::new(0);
    thread::scope(|scope| {
        let (scene, refused) = (&scene, &refused);
        for names in names.chunks(EACH) {
            scope.spawn(move || {
                for name in names {
                    let times = retry(scene, &["add", name, "--tag", name]);
                    refused.fetch_add(times, Ordering::Relaxed);
                }
            });
        }
    });
    println!("refused: {refused:?}");
    for name in &names {
        assert_eq!(scene.ok(["cat", name]).bytes, content(name));
    }
    assert_eq!(
        scene.ok(["tag", "ls", "-q"]).out.lines().count(),
        names.len() + 1
    );
    scene.ok(["verify"]);
}

/// A writer that adds, retags, moves out, collects and is killed, beside readers: none of them ever sees a wrong byte
/// or half of a change.
#[test]
fn readers_beside_a_writer_see_what_was_or_what_is() {
    const ROUNDS: usize = 12;
    let scene = scene();
    scene.write("dir/a", noise(20_000));
    scene.write("dir/b/c", noise(30_000));
    scene.ok(["add", "dir", "--tag", "dir"]);
    let versions = [noise(200_000), noise(60_000), b"short".to_vec()];
    for (at, version) in versions.iter().enumerate() {
        scene.write(&format!("version{at}"), version);
    }
    scene.ok(["slice", "kept", "-o", "stream"]);
    let kept = Hash::of(&noise(100_000)).to_string();
    let is_over = AtomicBool::new(false);
    let counts = thread::scope(|scope| {
        let readers = ["r1", "r2"].map(|name| {
            let reader = Reader {
                scene: &scene,
                name,
                versions: &versions,
            };
            let is_over = &is_over;
            scope.spawn(move || reader.until(is_over))
        });
        // However it ends, so that they do.
        let over = Over(&is_over);
        for round in 0..ROUNDS {
            let version = format!("version{}", round % versions.len());
            scene.ok(["add", &version, "--tag", "it"]);
            kill_adding(&scene, round);
            scene.ok(["export", "it", &format!("out/{round}"), "--in-place"]);
            scene.ok(["receive", &kept, "stream", "--tag", "again"]);
            scene.ok(["add", "new", "--no-tag"]);
            scene.ok(["gc"]);
            scene.ok(["tag", "rm", "it", "again"]);
            scene.ok(["gc"]);
        }
        drop(over);
        readers.map(|reader| reader.join().unwrap())
    });
    println!("{counts:#?}");
    scene.ok(["verify"]);
}

/// Says so when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Adds all of it, and is killed after some milliseconds.
fn kill_adding(scene: &Scene, after: usize) {
    let mut command = scene.command();
    command
        .args(["add", "dir", "kept", "new", "--no-tag", "-q"])
        .stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    thread::sleep(Duration::from_millis(after as u64));
    child.kill().unwrap();
    child.wait().unwrap();
}

struct Reader<'a> {
    scene: &'a Scene,
    name: &'a str,
    versions: &'a [Vec<u8>],
}

impl Reader<'_> {
    /// How often what ended how.
    fn until(&self, is_over: &AtomicBool) -> BTreeMap<(&'static str, i32), u32> {
        let mut counts = BTreeMap::new();
        while !is_over.load(Ordering::Relaxed) {
            for (kind, code) in self.round() {
                *counts.entry((kind, code)).or_default() += 1;
            }
        }
        counts
    }

    fn round(&self) -> [(&'static str, i32); 6] {
        let scene = self.scene;
        assert!(scene.ok(["cat", "kept"]).bytes == noise(100_000));
        scene.ok(["get", "dir", self.name]);
        assert_eq!(scene.tree(self.name), scene.tree("dir"));
        fs::remove_dir_all(scene.path(self.name)).unwrap();
        // What comes and goes is one of what it was, or not there; of what goes while it is read some may be.
        let it = scene.run(["cat", "it"]);
        let is_begun = |version: &Vec<u8>| version.starts_with(&it.bytes);
        assert!(self.versions.iter().any(is_begun));
        match it.code {
            0 => assert!(self.versions.contains(&it.bytes)),
            _ => it.fails(4, &["error: "]),
        }
        let tags = scene.ok(["tag", "ls", "--json"]);
        for tag in tags.json() {
            let name = tag["name"].as_str().unwrap();
            assert!(["kept", "dir", "it", "again"].contains(&name), "{name}");
        }
        let verified = scene.run(["verify", "--json"]);
        assert!(
            verified
                .json()
                .iter()
                .all(|line| line["severity"] != "damage"),
            "{verified:?}"
        );
        let listed = scene.run(["ls", "--json", "--partial"]);
        let usage = scene.run(["du", "--json"]);
        for ran in [&verified, &listed, &usage] {
            assert!([0, 3].contains(&ran.code), "{ran:?}");
        }
        [
            ("cat kept", 0),
            ("get dir", 0),
            ("cat it", it.code),
            ("verify", verified.code),
            ("ls", listed.code),
            ("du", usage.code),
        ]
    }
}
