//! `flatbao ls`

use std::{collections::BTreeMap, ffi::OsStr};

use flatbao_core::{
    Hash, Tag,
    store::{Available, BlobInfo, Location, State, Status},
};

use crate::{
    args::{Global, Ls},
    collection,
    commands::tag,
    error::{CliError, Exit, Result},
    json::{Value, json},
    output::{Out, Tally, printable, size},
    reference,
    store::{self, Store},
};

pub(crate) fn run(global: &Global, args: &Ls, out: &mut Out) -> Result<Exit> {
    if args.tags {
        return tag::ls(global, out);
    }
    let store = store::to_read(global, out)?;
    let mut listing = Listing {
        store: &store,
        tags: if args.long { tags(&store)? } else { None },
        out,
        tally: Tally::default(),
    };
    match &args.reference {
        Some(reference) => listing.content(reference)?,
        None => {
            for blob in store.blobs() {
                if args.partial || blob.state == State::Complete {
                    listing.line(blob.hash, Some(&blob), None)?;
                }
            }
        }
    }
    Ok(listing.tally.exit())
}

type TagsByHash = BTreeMap<Hash, Vec<Tag>>;

fn tags(store: &Store) -> Result<Option<TagsByHash>> {
    let mut by_hash = TagsByHash::new();
    for (tag, value) in store.tags()?.iter() {
        by_hash.entry(value.hash).or_default().push(tag.clone());
    }
    Ok(Some(by_hash))
}

struct Listing<'a> {
    store: &'a Store,
    /// With `--long`.
    tags: Option<TagsByHash>,
    out: &'a Out,
    tally: Tally,
}

impl Listing<'_> {
    /// What a collection or a plain hash sequence lists; of any other blob its own line.
    fn content(&mut self, reference: &OsStr) -> Result<()> {
        let found = reference::resolve(self.store, reference)?;
        let entries: Vec<(String, Hash)> = match collection::meant(self.store, &found) {
            Ok(Some(collection)) => collection.entries().to_vec(),
            Ok(None) => vec![(String::new(), found.hash)],
            Err(error) => {
                let CliError::Store(flatbao_core::Error::Collection { hash, .. }) = *error else {
                    return Err(error);
                };
                let sequence = self.store.sequence(hash)?;
                let unnamed = |hash: &Hash| (String::new(), *hash);
                sequence.hashes().iter().map(unnamed).collect()
            }
        };
        for (name, hash) in entries {
            let blob = match self.store.status(hash) {
                Status::Present(blob) => Some(blob),
                Status::Missing => None,
            };
            let name = Some(name).filter(|name| !name.is_empty());
            self.line(hash, blob.as_ref(), name.as_deref())?;
        }
        Ok(())
    }

    /// One line. What cannot be measured is listed all the same.
    fn line(&mut self, hash: Hash, blob: Option<&BlobInfo>, name: Option<&str>) -> Result<()> {
        let partial = match blob {
            Some(blob) if blob.state == State::Partial => self.store.available(hash).map(Some),
            _ => Ok(None),
        };
        let measured = match (blob, &partial) {
            (None, _) => Err(flatbao_core::Error::NotFound(hash)),
            // What is there says more of the size than the first file that claims one.
            (Some(_), Ok(Some(found))) if found.size > 0 => Ok(found.size),
            (Some(_), _) => self.store.claimed_size(hash),
        };
        let row = Row {
            hash,
            size: measured.as_ref().ok().copied(),
            blob,
            partial: partial.as_ref().ok().and_then(Option::as_ref),
            tags: self
                .tags
                .as_ref()
                .map(|tags| tags.get(&hash).map_or(&[][..], Vec::as_slice)),
            name,
        };
        self.out.result_or(hash, || row.object(), || row.line())?;
        match (measured, partial) {
            (Ok(_), Ok(_)) => self.tally.done(),
            (Err(error), _) | (_, Err(error)) => {
                self.out.skipped(&error.into());
                self.tally.note(Exit::Partial);
            }
        }
        Ok(())
    }
}

struct Row<'a> {
    hash: Hash,
    size: Option<u64>,
    /// `None` when a sequence lists a blob that is not there.
    blob: Option<&'a BlobInfo>,
    partial: Option<&'a Available>,
    tags: Option<&'a [Tag]>,
    name: Option<&'a str>,
}

impl Row<'_> {
    fn state(&self) -> &'static str {
        match self.blob.map(|blob| blob.state) {
            Some(State::Complete) => "complete",
            Some(State::Partial) => "partial",
            None => "missing",
        }
    }

    fn location(&self) -> Option<&'static str> {
        Some(match self.blob?.location {
            Location::Owned => "owned",
            Location::External => "external",
            Location::Both => "both",
        })
    }

    fn verified(&self) -> Option<u64> {
        let is_partial = self.blob?.state == State::Partial;
        is_partial.then(|| self.partial.map_or(0, Available::verified))
    }

    fn object(&self) -> Value {
        let mut object = json!({
            "hash": self.hash.to_string(),
            "size": self.size,
            "state": self.state(),
            "location": self.location(),
        });
        if let Some(verified) = self.verified() {
            object.set("verified", verified.into());
        }
        if let Some(tags) = self.tags {
            object.set("tags", tags.iter().map(tag::exact).collect());
        }
        if let Some(name) = self.name {
            object.set("path", name.into());
        }
        object
    }

    fn line(&self) -> String {
        let bytes = match self.size {
            None => "?".to_owned(),
            Some(bytes) if self.tags.is_some() => bytes.to_string(),
            Some(bytes) => size(bytes),
        };
        let location = self.location().unwrap_or("-");
        let mut line = format!(
            "{}  {bytes:>11}  {:<8}  {location:<8}",
            self.hash,
            self.state()
        );
        if let Some(verified) = self.verified() {
            line.push_str(&format!("  {} verified", size(verified)));
            if let Some(total) = self.size.filter(|total| *total > 0) {
                line.push_str(&format!(" ({}%)", percent(verified, total)));
            }
        }
        if let Some(name) = self.name {
            line.push_str(&format!("  {}", printable(name)));
        }
        for tag in self.tags.unwrap_or_default() {
            line.push_str(&format!("  {tag}"));
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Whole percents, rounded down: a hundred means all of it.
pub(crate) fn percent(part: u64, total: u64) -> u128 {
    u128::from(part) * 100 / u128::from(total)
}
