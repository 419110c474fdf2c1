//! Stores that the peer wrote: each opens, everything in them reads back as their manifest says, and what
//! we write from the same contents is what the peer wrote.

// A test reports by panicking, and so do its helpers; what it casts is small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    path::Path,
};

use common::{
    GROUP, Machine, assert_reads, copy_dir, fresh_env, groups_that_read, raw, read, real_files,
    seq, tag,
};
use flatbao_core::{
    Backend, BlobFormat, Collection, Error, ExternalPath, FileName, FlatDir, Hash, HashAndFormat,
    HashSeq, Recovery, Store, Tag, TagMap,
    store::{Location, State, Status, TagsFound},
    tree::{group_range, groups},
};
use flatbao_fs::{FsBackend, Layout, SystemDir};
use flatbao_mem::{MemBackend, SimDir};
use flatbao_tests::{
    fixtures::{content, folder},
    platform,
};
use serde_json::Value;
use tempfile::TempDir;

/// Every folder of the fixtures, with the way its store lies in it. `external` is what the others refer to.
const STORES: [(&str, Layout); 5] = [
    ("emptytags", Layout::Single),
    ("gc", Layout::Single),
    ("gc-after", Layout::Single),
    ("golden", Layout::Single),
    ("split", Layout::Areas),
];

/// Bytes of the trailer that our files have and the peer's have not.
const TRAILER: usize = 40;

fn manifest() -> Value {
    serde_json::from_slice(&fs::read(folder().join("manifest.json")).unwrap()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn hash(value: &Value) -> Hash {
    text(value).parse().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// A copy of one store on a real disk.
struct Copied {
    dir: TempDir,
    layout: Layout,
}

impl Copied {
    fn of(name: &str, layout: Layout) -> Self {
        let dir = platform::scratch();
        copy_dir(&folder().join(name), dir.path());
        copy_dir(
            &folder().join("external"),
            &dir.path().with_extension("external"),
        );
        Self { dir, layout }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn outside(&self) -> std::path::PathBuf {
        self.path().with_extension("external")
    }

    fn backend(&self) -> FsBackend {
        let mut backend = flatbao_fs::open_ambient(self.path()).unwrap();
        flatbao_fs::grant_ambient(&mut backend, "/external", self.outside()).unwrap();
        backend
    }

    /// The directories of the areas, each once.
    fn areas(&self) -> Vec<&'static str> {
        match self.layout.directories() {
            None => vec![""],
            Some(areas) => areas.to_vec(),
        }
    }

    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = real_files(self.path());
        files.retain(|name, _| !name.ends_with("lock"));
        files
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.outside());
    }
}

fn real_dir(path: &Path) -> SystemDir {
    SystemDir::open_ambient(path).unwrap()
}

/// The store in simulated directories, laid out as on the real disk.
fn simulated(copied: &Copied) -> FlatDir<SimDir> {
    let machine = Machine::new();
    let mut dirs = Vec::new();
    for area in copied.areas() {
        let name = if area.is_empty() { "store" } else { area };
        let dir = machine.disk.file_system("disk").plant_dir(name).unwrap();
        dir.load(&real_dir(&copied.path().join(area))).unwrap();
        dirs.push(dir);
    }
    let outside = machine.outside();
    outside.load(&real_dir(&copied.outside())).unwrap();
    let below = outside.plant_dir("b").unwrap();
    below.load(&real_dir(&copied.outside().join("b"))).unwrap();
    let mut backend = match <[SimDir; 3]>::try_from(dirs) {
        Ok([complete, partial, meta]) => FlatDir::with_areas(complete, partial, meta).unwrap(),
        Err(mut one) => FlatDir::new(one.remove(0)),
    };
    backend.grant_external("/external", outside).unwrap();
    backend
}

/// The store in the back end that is no directory.
fn direct(copied: &Copied) -> MemBackend {
    let backend = MemBackend::new();
    for area in copied.areas() {
        backend.load(&real_dir(&copied.path().join(area))).unwrap();
    }
    for (name, bytes) in real_files(&copied.outside()) {
        let path = ExternalPath::parse(&format!("/external/{name}")).unwrap();
        backend.put_external(&path, &bytes);
    }
    backend.grant_external("/external").unwrap();
    backend
}

/// Runs `check` on every store of the fixtures, on every back end.
fn on_every_back_end(check: impl Fn(&str, &dyn Fn(&mut Checker))) {
    for (name, layout) in STORES {
        check(name, &|checker| {
            let copied = Copied::of(name, layout);
            checker.run(Store::open_read_only(copied.backend(), fresh_env()).unwrap());
            checker.run(platform::open(copied.backend(), fresh_env()).unwrap());
            checker.run(Store::open(simulated(&copied), fresh_env()).unwrap());
            checker.run(Store::open_read_only(direct(&copied), fresh_env()).unwrap());
            checker.run(Store::open(direct(&copied), fresh_env()).unwrap());
        });
    }
}

/// What the manifest says of one store.
struct Checker {
    name: String,
    manifest: Value,
}

impl Checker {
    fn run<B: Backend>(&mut self, (store, recovery): (Store<B>, Recovery)) {
        assert_eq!(recovery.odd, [], "{}", self.name);
        assert_eq!(recovery.removed, []);
        assert_eq!(recovery.unpaired, []);
        assert_eq!(recovery.orphan_outboards, []);
        // The peer writes no checksum.
        assert_eq!(recovery.tags, TagsFound::Unprotected);
        if let Value::Array(blobs) = &self.manifest["stores"][&self.name]["blobs"] {
            for blob in blobs {
                self.blob(&store, blob);
            }
            assert_eq!(store.blobs().count(), blobs.len());
            self.tags(&store);
        }
        if self.name == "golden" {
            self.collections(&store);
            self.partials(&store);
        }
        // Whatever is there: it is what its name says, or nothing comes out.
        for blob in store.blobs() {
            if blob.state == State::Complete {
                let bytes = read(&store, blob.hash).unwrap();
                assert_eq!(Hash::of(&bytes), blob.hash);
                assert_eq!(store.claimed_size(blob.hash).unwrap(), bytes.len() as u64);
                let all = groups_that_read(&store, blob.hash, &bytes);
                assert!(all.iter().all(|good| *good));
            } else {
                self.partial_is_honest(&store, blob.hash);
            }
        }
    }

    fn blob<B: Backend>(&self, store: &Store<B>, blob: &Value) {
        let (hash, size) = (hash(&blob["hash"]), number(&blob["size"]));
        let (state, location) = match text(&blob["kind"]) {
            "owned" => (State::Complete, Location::Owned),
            "external" => (State::Complete, Location::External),
            "owned+external" => (State::Complete, Location::Both),
            "partial" => (State::Partial, Location::Owned),
            other => panic!("kind {other}"),
        };
        let Status::Present(info) = store.status(hash) else {
            panic!("{hash} is missing");
        };
        assert_eq!((info.state, info.location), (state, location), "{hash}");
        assert_eq!(store.claimed_size(hash).unwrap(), size);
        if state == State::Partial {
            assert!(matches!(store.reader(hash), Err(Error::Incomplete(h)) if h == hash));
            return;
        }
        let bytes = read(store, hash).unwrap();
        assert_eq!(bytes.len() as u64, size);
        for description in list(&blob["content"]) {
            if let Some(content) = content(text(description)) {
                assert_eq!(bytes, content, "{description}");
            }
        }
    }

    fn tags<B: Backend>(&self, store: &Store<B>) {
        assert_eq!(
            *store.tags().unwrap(),
            tags_of(&self.manifest["stores"][&self.name])
        );
    }

    fn collections<B: Backend>(&self, store: &Store<B>) {
        let collections = self.manifest["collections"].as_object().unwrap();
        assert_eq!(
            collections.len(),
            2,
            "the old form of the metadata and the new one"
        );
        for (name, expected) in collections {
            let value = store.tag(&tag(name)).unwrap();
            assert_eq!(value, seq(hash(&expected["hash"])));
            let sequence = HashSeq::decode(&read(store, value.hash).unwrap()).unwrap();
            let meta = sequence.hashes()[0];
            assert_eq!(meta, hash(&expected["meta_hash"]));
            let collection = Collection::decode(&read(store, meta).unwrap(), &sequence).unwrap();
            let entries: Vec<(String, Hash)> = list(&expected["entries"])
                .iter()
                .map(|entry| (text(&entry[0]).to_owned(), hash(&entry[1])))
                .collect();
            assert_eq!(collection.entries(), entries);
        }
    }

    fn partials<B: Backend>(&self, store: &Store<B>) {
        let partials = self.manifest["partials"].as_object().unwrap();
        assert_eq!(
            partials.keys().collect::<Vec<_>>(),
            ["groups", "middle", "odd"]
        );
        for (name, expected) in partials {
            let found = store.partials(hash(&expected["hash"])).unwrap();
            let [found] = &found[..] else {
                panic!("{name}: {found:?}");
            };
            let valid = &expected["really_valid_groups_16k"];
            let valid = number(&valid[0])..number(&valid[1]);
            assert_eq!(found.groups, std::slice::from_ref(&valid), "{name}");
            assert_eq!(found.claimed_size, number(&expected["size"]));
            assert_eq!(found.verified(), (valid.end - valid.start) * GROUP as u64);
        }
    }

    /// What a partial entry is said to have is there, byte for byte.
    fn partial_is_honest<B: Backend>(&self, store: &Store<B>, hash: Hash) {
        let known = [
            "lcg(100000)",
            "mod251(1000000)",
            "lcg(1000000)",
            "lcg(100001)",
            "lcg(70000)",
        ];
        let content = known
            .iter()
            .filter_map(|description| content(description))
            .find(|content| Hash::of(content) == hash)
            .unwrap();
        let found = store.partials(hash).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].claimed_size, content.len() as u64);
        let name = FileName::PartialData(hash, found[0].uuid).to_string();
        let file = self.file(&name);
        let has = |group: u64| {
            let range = group_range(group, content.len() as u64);
            let range = range.start as usize..range.end as usize;
            file.get(range.clone()) == Some(&content[range])
        };
        for group in 0..groups(content.len() as u64) {
            let told = found[0].groups.iter().any(|range| range.contains(&group));
            assert!(!told || has(group), "{name}: group {group} is not there");
        }
        assert!(!found[0].groups.is_empty(), "{name}");
    }

    fn file(&self, name: &str) -> Vec<u8> {
        let files = real_files(&folder().join(&self.name));
        let found = files.into_iter().find(|(path, _)| path.ends_with(name));
        found.unwrap().1
    }
}

fn tags_of(store: &Value) -> TagMap {
    list(&store["tags"])
        .iter()
        .map(|entry| {
            let digits = text(&entry["name_hex"]);
            let name: Vec<u8> = (0..digits.len() / 2)
                .map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap())
                .collect();
            let format = match text(&entry["format"]) {
                "raw" => BlobFormat::Raw,
                "hashseq" => BlobFormat::HashSeq,
                other => panic!("format {other}"),
            };
            let hash = hash(&entry["hash"]);
            (Tag::new(name).unwrap(), HashAndFormat { hash, format })
        })
        .collect()
}

/// PD-18: what of a partial entry is there was always "everything".
///
/// Every store of the fixtures opens; every complete blob, tag, collection, external reference and partial entry is what
/// the manifest says; on the real disk, read-only and not, in one directory and in three, in the simulator and in the back
/// end that is no directory.
#[test]
fn everything_the_peer_wrote_reads_back() {
    on_every_back_end(|name, run| {
        run(&mut Checker {
            name: name.to_owned(),
            manifest: manifest(),
        });
    });
}

/// No folder is forgotten: a new one has to be listed here, and what is listed is there and described.
#[test]
fn every_folder_is_listed() {
    let found: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let mut listed: BTreeSet<String> = STORES.iter().map(|(name, _)| (*name).to_owned()).collect();
    listed.insert("external".into());
    assert_eq!(found, listed);
    let manifest = manifest();
    let mut described: BTreeSet<String> = manifest["stores"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    described.extend(["gc", "gc-after", "external"].map(str::to_owned));
    assert_eq!(described, listed);
    for file in list(&manifest["external_files"]) {
        let bytes = fs::read(folder().join(text(&file["name"]))).unwrap();
        assert_eq!(Hash::of(&bytes), hash(&file["blake3"]));
    }
}

/// A read-only opening changes no byte, takes no lock, and works beside a writer.
#[test]
fn reading_only_changes_nothing() {
    for (name, layout) in STORES {
        let copied = Copied::of(name, layout);
        let (before, outside) = (real_files(copied.path()), real_files(&copied.outside()));
        let (store, _) = Store::open_read_only(copied.backend(), fresh_env()).unwrap();
        for blob in store.blobs().filter(|blob| blob.state == State::Complete) {
            read(&store, blob.hash).unwrap();
        }
        assert!(matches!(
            store.import_bytes(b"new"),
            Err(Error::NotWritable(_))
        ));
        assert_eq!(real_files(copied.path()), before, "{name}");
        let (writer, _) = platform::open(copied.backend(), fresh_env()).unwrap();
        let new = writer.import_bytes(b"new").unwrap();
        assert_reads(&store, new.hash, b"new");
        assert_eq!(real_files(&copied.outside()), outside);
    }
}

/// A writable opening changes nothing but the lock either: what the peer wrote needs no mending.
#[test]
fn a_writable_opening_leaves_the_peers_files_as_they_are() {
    for (name, layout) in STORES {
        let copied = Copied::of(name, layout);
        let before = copied.files();
        drop(platform::open(copied.backend(), fresh_env()).unwrap());
        assert_eq!(copied.files(), before, "{name}");
    }
}

/// `gc` collected by us has what `gc-after`, collected by the peer, has; external files are not touched.
#[test]
fn a_collection_has_the_peers_outcome() {
    let manifest = &manifest()["gc"];
    let roles = manifest["roles"].as_object().unwrap();
    let doomed: BTreeSet<Hash> = roles
        .iter()
        .filter(|(_, role)| role["survives"] == false)
        .map(|(hash, _)| hash.parse().unwrap())
        .collect();
    assert_eq!(doomed.len(), 6);

    let copied = Copied::of("gc", Layout::Single);
    let names = |copied: &Copied| copied.files().into_keys().collect::<Vec<_>>();
    let expected = |key: &str| {
        list(&manifest[key])
            .iter()
            .map(text)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&copied), expected("before"));
    let outside = real_files(&copied.outside());
    let (store, _) = platform::open(copied.backend(), fresh_env()).unwrap();
    let plan = store.plan_gc().unwrap();
    let planned: BTreeSet<Hash> = plan.items().iter().map(|item| item.hash).collect();
    assert_eq!(planned, doomed);
    let before = copied.files();
    let bytes: usize = before
        .iter()
        .filter(|(name, _)| {
            let name = FileName::parse(OsStr::new(name)).unwrap();
            name.hash().is_some_and(|hash| doomed.contains(&hash))
        })
        .map(|(_, bytes)| bytes.len())
        .sum();
    assert_eq!(plan.bytes(), bytes as u64);
    let swept = store.sweep(plan).unwrap();
    assert_eq!(swept.removed.len(), 6);
    assert!(swept.spared.is_empty());
    assert_eq!(names(&copied), expected("after"));
    assert_eq!(
        copied.files(),
        Copied::of("gc-after", Layout::Single).files()
    );
    assert_eq!(real_files(&copied.outside()), outside);
    let present: BTreeSet<Hash> = store.blobs().map(|blob| blob.hash).collect();
    let survive = roles.iter().filter(|(_, role)| role["survives"] == true);
    assert_eq!(
        present,
        survive.map(|(hash, _)| hash.parse().unwrap()).collect()
    );
}

/// PD-02: where the peer was wrong (iroh-blobs#256): a sequence that is tagged raw *and* as a sequence, whichever
/// tag sorts first, keeps its children; so does a root sequence that is another root's child.
/// BI-068.
#[test]
fn a_sequence_that_is_tagged_raw_as_well_keeps_its_children() {
    let hash = |prefix: &str| -> Hash {
        let manifest = manifest();
        let roles = manifest["gc"]["roles"].as_object().unwrap();
        let found = roles.keys().find(|hash| hash.starts_with(prefix));
        found.unwrap().parse().unwrap()
    };
    let (sequence, child) = (hash("49647551"), hash("92f247a4"));
    let (inner, grandchild) = (hash("301bbaac"), hash("fd336ed0"));
    for name in ["!first", "~last"] {
        let copied = Copied::of("gc", Layout::Single);
        let (store, _) = platform::open(copied.backend(), fresh_env()).unwrap();
        // Tagged raw by the fixture.
        assert!(
            store
                .tags()
                .unwrap()
                .values()
                .any(|value| *value == raw(sequence))
        );
        store.set_tag(tag(name), seq(sequence)).unwrap();
        // A child of the outer sequence becomes a root itself, raw and as a sequence.
        store
            .set_tag(tag(&format!("{name} inner raw")), raw(inner))
            .unwrap();
        store
            .set_tag(tag(&format!("{name} inner")), seq(inner))
            .unwrap();
        let plan = store.plan_gc().unwrap();
        assert_eq!(plan.items().len(), 4);
        let swept = store.sweep(plan).unwrap();
        assert!(
            swept
                .removed
                .iter()
                .all(|item| item.hash != child && item.hash != grandchild)
        );
        for hash in [sequence, child, inner, grandchild] {
            assert_eq!(Hash::of(&read(&store, hash).unwrap()), hash);
        }
    }
}

/// In a partial store in three directories collection and tagging work as in one.
#[test]
fn three_directories_are_one_store() {
    let copied = Copied::of("split", Layout::Areas);
    let (store, _) = platform::open(copied.backend(), fresh_env()).unwrap();
    let imported = store.import_bytes(&common::bytes(1, 40_000)).unwrap();
    store.set_tag(tag("new"), raw(imported.hash)).unwrap();
    drop(imported.tag);
    let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
    assert_eq!(swept.removed.len(), 1, "the partial entry has no tag");
    drop(store);
    let names: Vec<String> = copied.files().into_keys().collect();
    let count = |area: &str| names.iter().filter(|name| name.starts_with(area)).count();
    assert_eq!(
        (count("complete/"), count("partial/"), count("meta/")),
        (8, 0, 1)
    );
    assert_eq!(names.len(), 9);
    let (store, _) = platform::open(copied.backend(), fresh_env()).unwrap();
    assert_reads(&store, imported.hash, &common::bytes(1, 40_000));
}

/// The same contents, tags and references put into an empty store make the peer's files: the same names and
/// the same bytes, but for lock and trailers.
#[test]
fn what_we_write_is_what_the_peer_writes() {
    let copied = Copied::of("golden", Layout::Single);
    let dir = platform::scratch();
    let mut backend = flatbao_fs::create_ambient(dir.path().join("store")).unwrap();
    flatbao_fs::grant_ambient(&mut backend, "/external", copied.outside()).unwrap();
    let (store, _) = platform::open(backend, fresh_env()).unwrap();
    let manifest = manifest();
    let golden = &manifest["stores"]["golden"];
    // Before the blobs: one of the tags calls a blob of one byte a sequence, which is refused once it is there.
    for (tag, value) in tags_of(golden) {
        store.set_tag(tag, value).unwrap();
    }
    for blob in list(&golden["blobs"]) {
        let kind = text(&blob["kind"]);
        if kind.starts_with("owned") {
            let name = format!("{}.data", text(&blob["hash"]));
            let bytes =
                content(text(&blob["content"][0])).unwrap_or_else(|| copied.files()[&name].clone());
            assert_eq!(
                store.import_bytes(&bytes).unwrap().hash,
                hash(&blob["hash"])
            );
        }
        if kind.ends_with("external") {
            // The order in which they are added must not matter.
            for path in list(&blob["external"]).iter().rev() {
                let path = ExternalPath::parse(text(path)).unwrap();
                let imported = store.import_reference(&path).unwrap();
                assert_eq!(imported.hash, hash(&blob["hash"]));
            }
        }
    }
    drop(store);

    let mut ours = real_files(&dir.path().join("store"));
    // Where there are locks.
    assert_eq!(ours.remove("lock").is_some(), !cfg!(target_os = "wasi"));
    let mut peers = copied.files();
    peers.retain(|name, _| !name.contains('-'));
    assert_eq!(
        ours.keys().collect::<Vec<_>>(),
        peers.keys().collect::<Vec<_>>()
    );
    let mut sealed = 0;
    for (name, bytes) in &ours {
        let expected = &peers[name];
        if name.ends_with(".paths") || name == "tags.meta" {
            let (payload, trailer) = bytes.split_at(bytes.len() - TRAILER);
            assert_eq!(payload, expected, "{name}");
            assert_eq!(&trailer[8..], Hash::of(payload).as_bytes(), "{name}");
            sealed += 1;
        } else {
            assert!(bytes == expected, "{name} has other bytes than the peer's");
        }
    }
    assert_eq!(sealed, 6, "five lists of paths and the tags");
}

/// The collection of today is written as the peer writes it; the old form is read only.
#[test]
fn a_collection_is_written_in_the_form_of_today() {
    let manifest = manifest();
    let expected = &manifest["collections"]["collection-v0"];
    let entries = list(&expected["entries"])
        .iter()
        .map(|entry| (text(&entry[0]).to_owned(), hash(&entry[1])));
    let collection = Collection::new(entries).unwrap();
    let meta = Hash::of(&collection.encode_meta());
    assert_eq!(meta, hash(&expected["meta_hash"]));
    assert_eq!(
        Hash::of(&collection.sequence(meta).encode()),
        hash(&expected["hash"])
    );
}

/// The dangling sequence that `golden` tags keeps collection from doing anything, and says which tag it is.
#[test]
fn a_dangling_sequence_stops_collection() {
    let copied = Copied::of("golden", Layout::Single);
    let before = copied.files();
    let (store, _) = platform::open(copied.backend(), fresh_env()).unwrap();
    match store.plan_gc() {
        Err(Error::Root { root, .. }) => assert!(root.contains("dangling"), "{root}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(copied.files(), before);
    store.remove_tag(&tag("dangling")).unwrap();
    // The next one in the way: a sequence of one byte, under a name of 300 bytes.
    let odd = match store.plan_gc() {
        Err(Error::Root { source, .. }) => source,
        other => panic!("{other:?}"),
    };
    assert!(matches!(*odd, Error::HashSeq { .. }), "{odd:?}");
    let tags = store.tags().unwrap();
    let (name, _) = tags
        .iter()
        .find(|(name, _)| name.as_bytes().starts_with(b"nnn"))
        .unwrap();
    store.remove_tag(name).unwrap();
    let swept = store.sweep(store.plan_gc().unwrap()).unwrap();
    assert!(swept.spared.is_empty());
    for blob in store.blobs().filter(|blob| blob.state == State::Complete) {
        assert_eq!(Hash::of(&read(&store, blob.hash).unwrap()), blob.hash);
    }
}
