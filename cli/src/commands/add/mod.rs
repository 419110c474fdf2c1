//! `flatbao add`

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use flatbao_core::{
    Error, Hash, HashAndFormat, Tag, TempTag,
    store::{ImportOptions, Imported, Novelty},
};

use crate::{
    args::{Add, Global},
    commands::tag,
    error::{CliError, Exit, Result},
    json::{Value, json},
    output::{Out, Tally, count, exact, printable, size},
    platform,
    store::{self, Store},
};

mod directory;

pub(crate) fn run(global: &Global, args: &Add, out: &mut Out) -> Result<Exit> {
    out.finish_unread();
    let tagging = tagging(args)?;
    if args.in_place && args.paths.iter().any(|path| is_stdin(path)) {
        return Err(CliError::usage(
            "stdin has no place to stay in",
            "leave out --in-place",
        ));
    }
    let mut tally = Tally::default();
    let there = existing(&args.paths, out, &mut tally);
    if there.is_empty() {
        return Ok(tally.exit());
    }
    let store = store::to_fill(global, "add", out)?;
    if !matches!(tagging, Tagging::None) {
        // Better now than after an hour of hashing.
        store.tags()?;
    }
    let mut adding = Adding {
        store: &store,
        directory: store::directory(global)?,
        in_place: args.in_place,
        tagging,
        seen: BTreeSet::new(),
        tally,
    };
    for path in there {
        match adding.path(path, out) {
            Ok(()) => adding.tally.done(),
            Err(error) if matches!(*error, CliError::Output(_)) => return Err(error),
            Err(error) => adding.tally.failed(out, &error),
        }
    }
    Ok(adding.tally.exit())
}

fn tagging(args: &Add) -> Result<Tagging> {
    match &args.tag {
        Some(_) if args.paths.len() > 1 => Err(CliError::usage(
            "--tag names one blob, and there are several paths",
            "add them one by one, or leave out --tag",
        )),
        Some(name) => Ok(Tagging::Named(tag::new_name(name)?)),
        None if args.no_tag => Ok(Tagging::None),
        None => Ok(Tagging::Automatic),
    }
}

/// So that a mistyped path makes no store.
fn existing<'a>(paths: &'a [PathBuf], out: &Out, tally: &mut Tally) -> Vec<&'a Path> {
    let mut there = Vec::new();
    for path in paths {
        match std::fs::metadata(path) {
            Err(error) if !is_stdin(path) => {
                tally.failed(out, &CliError::io("read", path)(error));
            }
            _ => there.push(path.as_path()),
        }
    }
    there
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

enum Tagging {
    Named(Tag),
    Automatic,
    None,
}

struct Adding<'a> {
    store: &'a Store,
    directory: PathBuf,
    in_place: bool,
    tagging: Tagging,
    /// What this command added, so that nothing counts as new twice.
    seen: BTreeSet<Hash>,
    tally: Tally,
}

/// What became of one PATH. Everything in it lives until the tag is set.
struct Added {
    value: HashAndFormat,
    size: u64,
    new_bytes: u64,
    /// Of a collection.
    files: Option<usize>,
    _held: Vec<TempTag>,
}

impl Adding<'_> {
    fn path(&mut self, path: &Path, out: &mut Out) -> Result<()> {
        let added = if is_stdin(path) {
            self.stdin(out)
        } else if path.is_dir() {
            self.directory(path, out)
        } else {
            self.file(path, out)
        };
        out.meter.stop();
        let added = added?;
        let (tag, previous) = self.tag(added.value)?;
        let was = tag::was(previous, added.value.hash);
        out.result_or(
            added.value.hash,
            || added.object(path, tag.as_ref()),
            || added.line(path, tag.as_ref(), &was),
        )
    }

    fn tag(&self, value: HashAndFormat) -> Result<(Option<Tag>, Option<HashAndFormat>)> {
        match &self.tagging {
            Tagging::None => Ok((None, None)),
            Tagging::Automatic => Ok((Some(self.store.auto_tag(value)?), None)),
            Tagging::Named(tag) => {
                let previous = self.store.tags()?.get(tag).copied();
                self.store.set_tag(tag.clone(), value)?;
                Ok((Some(tag.clone()), previous))
            }
        }
    }

    fn stdin(&mut self, out: &mut Out) -> Result<Added> {
        out.meter.start("reading stdin, bytes", None);
        let options = ImportOptions::default();
        let stdin = io::stdin().lock();
        let imported = self
            .store
            .import_reader_with(stdin, options, &mut out.meter.watch());
        Ok(self.blob(imported.map_err(source_of(Path::new("-")))?))
    }

    fn file(&mut self, path: &Path, out: &mut Out) -> Result<Added> {
        let (file, claimed) = platform::open_regular(path, true)?;
        out.meter.start("adding", Some(claimed));
        let mut batch = self.store.batch();
        let watch = &mut out.meter.watch();
        let options = ImportOptions::default();
        let imported = if self.in_place {
            batch.import_reference_with(&platform::external_path(path)?, options, watch)
        } else {
            batch.import_reader_with(file, options, watch)
        };
        let (hash, _) = imported.map_err(source_of(path))?;
        // A commit returns one result an import, and there was one.
        let imported = batch.commit()?.pop().ok_or(Error::NotFound(hash))?;
        Ok(self.blob(imported))
    }

    fn blob(&mut self, imported: Imported) -> Added {
        Added {
            value: HashAndFormat::raw(imported.hash),
            size: imported.size,
            new_bytes: self.new_bytes(&imported),
            files: None,
            _held: vec![imported.tag],
        }
    }

    fn new_bytes(&mut self, imported: &Imported) -> u64 {
        let is_first = self.seen.insert(imported.hash);
        if is_first && imported.novelty == Novelty::New {
            imported.size
        } else {
            0
        }
    }
}

impl Added {
    fn object(&self, path: &Path, tag: Option<&Tag>) -> Value {
        let mut object = object(self.value, self.size, self.new_bytes, path);
        if let Some(files) = self.files {
            object.set("files", files.into());
        }
        if let Some(tag) = tag {
            object.set("tag", tag::exact(tag).into());
        }
        object
    }

    fn line(&self, path: &Path, tag: Option<&Tag>, was: &str) -> String {
        let files = self
            .files
            .map(|files| format!("{}, ", count(files as u64, "file")));
        let tag = tag.map(|tag| format!(", tag {tag}{was}"));
        format!(
            "{}  {}  {}{} ({} new, {} already there){}",
            self.value.hash,
            printable(path),
            files.unwrap_or_default(),
            size(self.size),
            size(self.new_bytes),
            size(self.size - self.new_bytes),
            tag.unwrap_or_default(),
        )
    }
}

fn object(value: HashAndFormat, size: u64, new_bytes: u64, path: &Path) -> Value {
    json!({
        "hash": value.hash.to_string(),
        "size": size,
        "format": value.format.to_string(),
        "path": exact(path),
        "new_bytes": new_bytes,
    })
}

/// The error of an import, with the path where it is the source that failed.
fn source_of(path: &Path) -> impl FnOnce(Error) -> Box<CliError> {
    move |error| match error {
        Error::Source(source) => CliError::io("read", path)(source),
        other => other.into(),
    }
}
