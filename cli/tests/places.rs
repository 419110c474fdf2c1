//! What the arguments say that a command touches is what it touches.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

use common::{Scene, noise};
use flatbao::{Access, Places, StoreAccess};
use flatbao_core::Hash;

/// Files, and a store with a blob and a collection.
fn scene() -> Scene {
    let scene = Scene::new();
    scene.write("file", noise(200_000));
    scene.write("tree/a", "a");
    scene.write("tree/b/c", "c");
    scene.write("sub/keep", "");
    scene.write("list", format!("{}  tree/a\n", Hash::of(b"a")));
    scene.write("stream", [&8_u64.to_le_bytes()[..], b"received"].concat());
    scene.write("full", "old");
    scene.ok(["add", "file", "--tag", "file", "-q"]);
    scene.ok(["add", "tree", "--tag", "deep/tree", "-q"]);
    scene.ok(["tag", "set", "deep/again", "file"]);
    scene.ok(["slice", "file", "-o", "slice"]);
    scene
}

const LINES: &[&str] = &[
    "init",
    "add tree file",
    "add tree --in-place",
    "get file",
    "get deep/again",
    "get FILE",
    "get FILE/",
    "get deep/tree",
    "get deep/tree/b/c",
    "get file full --force",
    "get file full",
    "get file sub/out",
    "get file new/out",
    "get deep/tree new/out",
    "get deep/tree sub --force",
    "export file new/out",
    "export file sub/out --in-place",
    "export file full --in-place --force",
    "export deep/tree new/out",
    "export deep/tree sub --force --in-place",
    "cat file",
    "slice file -o sub/out",
    "slice file -o full --force",
    "receive SENT stream",
    "receive FILE slice",
    "copy deep/tree --to new/other",
    "ls --long",
    "stat file",
    "du",
    "tag set x file",
    "tag rm file",
    "tag ls",
    "rm FILE --force",
    "gc",
    "verify --cursor sub/cursor",
    "verify --cursor sub/cursor --budget 0",
    "repair",
    "repair --tags-from list",
    "doctor",
    "hash file stream",
    "hash -c list",
    "man new/pages",
];

fn args(line: &str) -> Vec<String> {
    let file = Hash::of(&noise(200_000)).to_string();
    let sent = Hash::of(b"received").to_string();
    let words = line.split(' ').map(|word| match word {
        "SENT" => sent.clone(),
        word => word.replace("FILE", &file),
    });
    words.collect()
}

fn places(args: &[String]) -> Places {
    let words = ["flatbao".to_owned()].into_iter();
    flatbao::parse(words.chain(args.iter().cloned()))
        .unwrap()
        .places()
}

#[test]
fn nothing_else_is_written() {
    for line in LINES {
        let scene = scene();
        let args = args(line);
        let places = places(&args);
        let before: BTreeSet<_> = scene.tree(".").into_iter().collect();
        scene.run(&args);
        let after: BTreeSet<_> = scene.tree(".").into_iter().collect();
        for (name, _) in before.symmetric_difference(&after) {
            let path = Path::new(name.trim_end_matches('/'));
            assert!(may_write(&places, path), "{line}: {name} {places:?}");
        }
    }
}

/// Whether one of the places lets this be written, with what is made on the way to it.
fn may_write(places: &Places, path: &Path) -> bool {
    let stores = places
        .stores
        .iter()
        .filter(|store| store.access != StoreAccess::Read);
    let mut stores = stores.map(|store| plain(&store.path));
    let is_on_the_way = |to: &Path| path.starts_with(to) || to.starts_with(path);
    stores.any(|store| is_on_the_way(&store))
        || places.outside.iter().any(|place| {
            let at = plain(&place.path);
            match place.access {
                Access::WriteFile { .. } | Access::UpdateFile => {
                    path == at || is_temporary(path, &at)
                }
                Access::WriteInto | Access::Restore { .. } | Access::Export { .. } => {
                    is_on_the_way(&at) || is_temporary(path, &at)
                }
                Access::RestoreByHash { .. } => {
                    let below = path.strip_prefix(&at).unwrap_or(Path::new(""));
                    let first = below.iter().next().and_then(|name| name.to_str());
                    first.is_some_and(|name| name.len() == 64 && name.parse::<Hash>().is_ok())
                        || is_temporary(path, &at.join("x"))
                }
                Access::Read | Access::ReadFile | Access::ReadListed | Access::Refer => false,
            }
        })
}

fn is_temporary(path: &Path, beside: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let is_so = name.is_some_and(|name| name.starts_with(".flatbao-") && name.ends_with(".tmp"));
    is_so && path.parent() == beside.parent()
}

fn plain(path: &Path) -> PathBuf {
    let parts = path.components();
    parts.filter(|part| *part != Component::CurDir).collect()
}

#[cfg(target_os = "linux")]
mod traced {
    //! Also what is gone again, and what is only read, as the system sees it.

    use std::process::Command;

    use flatbao::Place;

    use super::*;

    #[test]
    fn nothing_else_is_opened() {
        for line in LINES {
            let scene = scene();
            let args = args(line);
            let Some(opened) = opened(&scene, &args) else {
                println!("SKIPPED: this needs strace, and the right to trace");
                return;
            };
            let places = places(&args);
            for (path, is_written) in opened {
                let is_fine = match is_written {
                    true => may_write(&places, &path),
                    false => may_read(&places, &path) || may_write(&places, &path),
                };
                assert!(is_fine, "{line}: {path:?} {is_written} {places:?}");
            }
        }
    }

    /// The files below the scene, not the directories, that a command opens or gives names, and whether to write.
    fn opened(scene: &Scene, args: &[String]) -> Option<BTreeSet<(PathBuf, bool)>> {
        let flatbao = scene.command();
        let root = scene.path("").canonicalize().unwrap();
        let output = Command::new("strace")
            .args(["-f", "-qq", "-y", "-s", "4096"])
            .args([
                "-e",
                "trace=open,openat,openat2,rename,renameat,renameat2,link,linkat,unlink,unlinkat",
            ])
            .arg(flatbao.get_program())
            .args(args)
            .env_remove("FLATBAO_STORE")
            .current_dir(&root)
            .output()
            .ok()?;
        let trace = String::from_utf8_lossy(&output.stderr).into_owned();
        if trace.contains("ptrace") {
            return None;
        }
        assert!(trace.contains("openat"), "{trace}");
        let mut found = BTreeSet::new();
        for call in trace.lines().filter(|call| !call.contains(" = -1 ")) {
            if call.contains("O_DIRECTORY") || call.contains("O_PATH") {
                continue;
            }
            let is_open = call.contains("open");
            let is_written = !is_open
                || ["O_WRONLY", "O_RDWR", "O_CREAT"]
                    .iter()
                    .any(|flag| call.contains(flag));
            // Each name comes behind the directory that it is in: `5</dir>, "name"`.
            let mut base = root.clone();
            let mut rest = call;
            while let Some(at) = rest.find(['<', '"']) {
                let end = if rest[at..].starts_with('<') {
                    '>'
                } else {
                    '"'
                };
                let text = &rest[at + 1..];
                let Some(to) = text.find(end) else { break };
                if end == '>' {
                    base = PathBuf::from(&text[..to]);
                } else {
                    let path = base.join(&text[..to]);
                    if let Ok(below) = path.strip_prefix(&root)
                        && !path.is_dir()
                    {
                        found.insert((plain(below), is_written));
                    }
                }
                rest = &text[to + 1..];
                // The descriptor that came of it.
                if rest.trim_start_matches([',', ' ']).starts_with(')') {
                    break;
                }
            }
        }
        Some(found)
    }

    fn may_read(places: &Places, path: &Path) -> bool {
        let in_store = |store: &PathBuf| path.starts_with(plain(store));
        let mut stores = places.stores.iter().map(|store| &store.path);
        stores.any(in_store) || places.outside.iter().any(|place| is_read(place, path))
    }

    fn is_read(place: &Place, path: &Path) -> bool {
        let at = plain(&place.path);
        match place.access {
            Access::Read | Access::Refer => path.starts_with(&at),
            Access::ReadFile | Access::UpdateFile => path == at,
            Access::ReadListed => path == at || path == Path::new("tree/a"),
            _ => false,
        }
    }
}
