//! The stores that the peer wrote once, and what their manifest says about them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::{HashBytes, Tagged, files_under};

/// The root under which the fixtures' `.paths` files expect the external files.
const EXTERNAL_ROOT: &str = "/external";

/// Where the project keeps the fixtures.
pub fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/iroh-flat")
}

/// The parts of `manifest.json` that the exchange needs.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    /// What a collection of the store `gc` leaves.
    pub gc: Gc,
    /// The collections in the store `golden`, by tag.
    pub collections: BTreeMap<String, Collection>,
    /// The stores by folder.
    pub stores: BTreeMap<String, Store>,
}

/// The record of the garbage collection of the store `gc`, made by the peer.
#[derive(Debug, Deserialize)]
pub struct Gc {
    /// File names before, sorted.
    pub before: Vec<String>,
    /// File names after, sorted.
    pub after: Vec<String>,
    /// The last message of the peer.
    pub peer_says: String,
}

/// A collection: a hash sequence of a metadata blob and the children.
#[derive(Debug, Deserialize)]
pub struct Collection {
    /// Of the metadata blob, in hex.
    pub meta_hash: String,
    /// Name and hash (in hex) of each child, in order.
    pub entries: Vec<(String, String)>,
}

/// One store.
#[derive(Debug, Deserialize)]
pub struct Store {
    /// Complete and partial blobs.
    pub blobs: Vec<Blob>,
    /// Tags, sorted by name.
    pub tags: Vec<Tag>,
}

/// One blob of a store.
#[derive(Debug, Deserialize)]
pub struct Blob {
    /// In hex.
    pub hash: String,
    /// Bytes of the whole content.
    pub size: u64,
    /// Where the data is.
    pub kind: Kind,
    /// Formulas for the content, all of them of the same bytes; see [`Manifest::content`].
    pub content: Vec<String>,
}

/// Where the data of a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Kind {
    /// In the store.
    #[serde(rename = "owned")]
    Owned,
    /// Outside, named by a `.paths` file.
    #[serde(rename = "external")]
    External,
    /// In both places.
    #[serde(rename = "owned+external")]
    OwnedAndExternal,
    /// In the store, in part.
    #[serde(rename = "partial")]
    Partial,
}

/// One tag of a store.
#[derive(Debug, Deserialize)]
pub struct Tag {
    /// The bytes of the name, in hex.
    pub name_hex: String,
    /// In hex.
    pub hash: String,
    /// `raw` or `hashseq`.
    pub format: String,
}

impl Manifest {
    /// Reads the manifest of the kept fixtures.
    pub fn load() -> Result<Self> {
        let path = dir().join("manifest.json");
        let text = fs::read(&path).with_context(|| path.display().to_string())?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// The record of one store.
    pub fn store(&self, name: &str) -> Result<&Store> {
        let store = self.stores.get(name);
        store.with_context(|| format!("the manifest has no store {name}"))
    }

    /// The bytes that a content formula stands for: `mod251(n)`, `lcg(n)`, `text "…"`,
    /// `meta of <collection>`, `hash seq of <collection>`.
    pub fn content(&self, formula: &str) -> Result<Vec<u8>> {
        let argument = |name: &str| formula.strip_prefix(name);
        if let Some(n) = argument("mod251(") {
            return Ok(mod251(size_argument(n)?));
        }
        if let Some(n) = argument("lcg(") {
            return Ok(lcg(size_argument(n)?));
        }
        if let Some(text) = argument("text ") {
            return Ok(text.trim_matches('"').into());
        }
        if let Some(name) = argument("meta of ") {
            return self.collection_meta(name);
        }
        if let Some(name) = argument("hash seq of ") {
            let collection = self.collection(name)?;
            let children = collection.entries.iter().map(|(_, hash)| hash);
            let hashes = [&collection.meta_hash].into_iter().chain(children);
            return Ok(hashes.map(hash).collect::<Result<Vec<_>>>()?.concat());
        }
        anyhow::bail!("unknown content formula {formula}")
    }

    fn collection(&self, name: &str) -> Result<&Collection> {
        let collection = self.collections.get(name);
        collection.with_context(|| format!("the manifest has no collection {name}"))
    }

    /// FORMAT.md, "Hash sequences and collections": the old form counts the bytes of the children,
    /// the new one begins with a header instead.
    fn collection_meta(&self, name: &str) -> Result<Vec<u8>> {
        let entries = &self.collection(name)?.entries;
        let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
        if name == "collection-v0" {
            let header = b"CollectionV0.".to_vec();
            return Ok(postcard::to_extend(&names, header)?);
        }
        let mut total = 0;
        for (_, hash) in entries {
            let mut blobs = self.stores.values().flat_map(|store| &store.blobs);
            let blob = blobs.find(|blob| blob.hash == *hash);
            total += blob.context("a child that no store has")?.size;
        }
        Ok(postcard::to_stdvec(&(names, total))?)
    }
}

impl Store {
    /// Complete blobs, owned or external: hash and size.
    pub fn complete(&self) -> Result<BTreeMap<HashBytes, u64>> {
        self.sizes(|kind| kind != Kind::Partial)
    }

    /// Partial blobs: hash and size of the whole.
    pub fn partial(&self) -> Result<BTreeMap<HashBytes, u64>> {
        self.sizes(|kind| kind == Kind::Partial)
    }

    /// Tags in the form of [`Peer::tags`](crate::Peer::tags).
    pub fn tags(&self) -> Result<BTreeMap<Vec<u8>, Tagged>> {
        let tag = |tag: &Tag| {
            let is_hash_seq = match tag.format.as_str() {
                "raw" => false,
                "hashseq" => true,
                other => anyhow::bail!("unknown format {other}"),
            };
            Ok((hex::decode(&tag.name_hex)?, (hash(&tag.hash)?, is_hash_seq)))
        };
        self.tags.iter().map(tag).collect()
    }

    fn sizes(&self, wanted: impl Fn(Kind) -> bool) -> Result<BTreeMap<HashBytes, u64>> {
        let blobs = self.blobs.iter().filter(|blob| wanted(blob.kind));
        blobs
            .map(|blob| Ok((hash(&blob.hash)?, blob.size)))
            .collect()
    }
}

/// A writable copy of one fixture store and of the external files, in a temporary folder.
#[derive(Debug)]
pub struct Copy {
    root: tempfile::TempDir,
}

impl Copy {
    /// Copies the store `name`. Its `.paths` files are rewritten to name the copied external
    /// files, because the peer follows absolute paths only and drops what it cannot find.
    pub fn of(name: &str) -> Result<Self> {
        let copy = Self {
            root: tempfile::tempdir()?,
        };
        copy_files(&dir().join(name), &copy.store())?;
        copy_files(&dir().join("external"), &copy.external())?;
        for file in files_under(&copy.store())? {
            if file.extension().is_some_and(|e| e == "paths") {
                relocate(&file, &copy.external())?;
            }
        }
        Ok(copy)
    }

    /// The store's directory.
    pub fn store(&self) -> PathBuf {
        self.root.path().join("store")
    }

    /// The directory of the external files.
    pub fn external(&self) -> PathBuf {
        self.root.path().join("external")
    }

    /// Name and bytes of every file of the store.
    pub fn files(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let store = self.store();
        let file = |name: String| {
            let bytes = fs::read(store.join(&name))?;
            Ok((name, bytes))
        };
        crate::list(&store)?.into_iter().map(file).collect()
    }
}

/// A hash from its 64 hex digits.
pub fn hash(hex: impl AsRef<str>) -> Result<HashBytes> {
    let mut hash = HashBytes::default();
    hex::decode_to_slice(hex.as_ref(), &mut hash).with_context(|| hex.as_ref().to_owned())?;
    Ok(hash)
}

/// `n` bytes, byte i = i % 251.
pub fn mod251(n: usize) -> Vec<u8> {
    (0..251).cycle().take(n).collect()
}

/// `n` bytes of a linear congruential generator seeded with `n`: the top byte of each state.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the formula is 32 bits wide"
)]
pub fn lcg(n: usize) -> Vec<u8> {
    let mut x = n as u32;
    let mut next = || {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (x >> 24) as u8
    };
    (0..n).map(|_| next()).collect()
}

/// The number in front of a closing parenthesis.
fn size_argument(text: &str) -> Result<usize> {
    let digits = text.strip_suffix(')').context("no closing parenthesis")?;
    Ok(digits.parse()?)
}

/// Copies bytes, not permissions: the kept fixtures may be read-only.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for file in files_under(from)? {
        let target = to.join(file.strip_prefix(from)?);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(target, fs::read(file)?)?;
    }
    Ok(())
}

fn relocate(paths_file: &Path, external: &Path) -> Result<()> {
    let (old, rest): (BTreeSet<PathBuf>, _) =
        postcard::take_from_bytes(&fs::read(paths_file)?).map(|(set, rest)| (set, rest.len()))?;
    ensure!(rest == 0, "{} has a trailer", paths_file.display());
    let new = old
        .iter()
        .map(|path| Ok(external.join(path.strip_prefix(EXTERNAL_ROOT)?)))
        .collect::<Result<BTreeSet<PathBuf>>>()?;
    fs::write(paths_file, postcard::to_stdvec(&new)?)?;
    Ok(())
}
