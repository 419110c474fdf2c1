//! What lies outside the store: files, directories, and streams of all files. None of it may ever change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use flatbao_core::{Collection, Hash};

use crate::common::{Scene, noise};

const GROUP: usize = 16_384;

/// Around a group, an outboard, and a page of it.
const SIZES: [usize; 10] = [
    0,
    1,
    GROUP - 1,
    GROUP,
    GROUP + 1,
    2 * GROUP,
    3 * GROUP + 1,
    150_000,
    700_000,
    4_300_000,
];

/// What the directories hold: a name, and the size of what it names.
const FOLDERS: [&[(&str, usize)]; 3] = [
    &[("a", 1), ("b/c", GROUP + 1), ("b/d", 500)],
    &[
        ("0", 0),
        ("1", 100_000),
        ("2", 20_000),
        ("3", 20_001),
        ("4/5/6", 700_000),
        ("7", 3),
        ("8", 40_000),
        ("9", 5),
        ("twin", 40_000),
    ],
    &[("only", 300_000)],
];

pub(crate) struct Pool {
    pub(crate) files: Vec<File>,
    pub(crate) folders: Vec<Folder>,
    /// Everything by its hash, but what collections are made of.
    bytes: BTreeMap<Hash, Vec<u8>>,
}

pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) hash: Hash,
    pub(crate) size: usize,
    /// Streams of it, with the range that each is of: of all of it, of both parts, and of all with its end cut off.
    pub(crate) streams: Vec<(String, String)>,
}

pub(crate) struct Folder {
    pub(crate) path: String,
    pub(crate) hash: Hash,
    pub(crate) size: usize,
    pub(crate) files: BTreeMap<String, Hash>,
    /// The blobs that it keeps.
    pub(crate) blobs: BTreeSet<Hash>,
}

impl Pool {
    /// Writes all of it. Without `long` a quick run: nothing of several megabytes.
    pub(crate) fn new(scene: &Scene, long: bool) -> Self {
        let sizes = &SIZES[..if long { SIZES.len() } else { SIZES.len() - 1 }];
        let mut pool = Self {
            files: Vec::new(),
            folders: Vec::new(),
            bytes: BTreeMap::new(),
        };
        for (at, size) in sizes.iter().enumerate() {
            let path = format!("files/{at}");
            let hash = pool.write(scene, &path, *size);
            let mut file = File {
                streams: Vec::new(),
                path,
                hash,
                size: *size,
            };
            file.slice(scene);
            pool.files.push(file);
        }
        for (at, names) in FOLDERS.iter().enumerate() {
            pool.folder(scene, &format!("folders/{at}"), names);
        }
        pool
    }

    fn write(&mut self, scene: &Scene, path: &str, size: usize) -> Hash {
        let bytes = noise(size);
        scene.write(path, &bytes);
        let hash = Hash::of(&bytes);
        self.bytes.insert(hash, bytes);
        hash
    }

    fn folder(&mut self, scene: &Scene, path: &str, names: &[(&str, usize)]) {
        let write = |(name, size): &(&str, usize)| {
            let hash = self.write(scene, &format!("{path}/{name}"), *size);
            ((*name).to_owned(), hash)
        };
        let files: BTreeMap<String, Hash> = names.iter().map(write).collect();
        let collection = Collection::new(files.clone()).unwrap();
        let meta = Hash::of(&collection.encode_meta());
        let hash = Hash::of(&collection.sequence(meta).encode());
        self.folders.push(Folder {
            path: path.to_owned(),
            hash,
            size: names.iter().map(|(_, size)| size).sum(),
            blobs: files.values().copied().chain([meta, hash]).collect(),
            files,
        });
    }

    /// The bytes of a file, wherever it is.
    pub(crate) fn bytes(&self, hash: Hash) -> Option<&Vec<u8>> {
        self.bytes.get(&hash)
    }

    pub(crate) fn folder_of(&self, hash: Hash) -> Option<&Folder> {
        self.folders.iter().find(|folder| folder.hash == hash)
    }

    /// Every file is as it was written.
    pub(crate) fn assert_untouched(&self, scene: &Scene) {
        let folders = self.folders.iter().flat_map(|folder| {
            let path = |name| format!("{}/{name}", folder.path);
            folder
                .files
                .iter()
                .map(move |(name, hash)| (path(name), *hash))
        });
        let files = self.files.iter().map(|file| (file.path.clone(), file.hash));
        for (path, hash) in folders.chain(files) {
            let found = fs::read(scene.path(&path)).unwrap_or_else(|e| panic!("{path}: {e}"));
            assert!(found == self.bytes[&hash], "{path} was changed");
        }
    }
}

impl File {
    /// By another store, as somebody does who sends it.
    fn slice(&mut self, scene: &Scene) {
        const THERE: [&str; 2] = ["--store", "sender"];
        scene.ok([&["add", &self.path, "--no-tag"], &THERE[..]].concat());
        let hash = self.hash.to_string();
        fs::create_dir_all(scene.path("streams")).unwrap();
        let middle = self.size / 2 / GROUP * GROUP;
        let mut ranges = vec!["0..".to_owned()];
        if middle > 0 {
            ranges.extend([format!("0..{middle}"), format!("{middle}..")]);
        }
        for range in ranges {
            let path = format!("streams/{}.{range}", self.hash);
            scene.ok([&["slice", &hash, &range, "-o", &path], &THERE[..]].concat());
            self.streams.push((path, range));
        }
        if middle > 0 {
            let mut stream = fs::read(scene.path(&self.streams[0].0)).unwrap();
            stream.truncate(stream.len() * 2 / 3);
            let path = format!("streams/{}.cut", self.hash);
            scene.write(&path, stream);
            self.streams.push((path, "0..".to_owned()));
        }
    }
}
