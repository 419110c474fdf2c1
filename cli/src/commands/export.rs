//! `flatbao export`

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use flatbao_core::{
    BackendError, Collection, EntryKind, Error, ExternalPath, Hash,
    store::{ExportMethod, ExportMode, ExportOptions, Exported},
};

use crate::{
    args::{Export, Global},
    collection,
    error::{CliError, Exit, Result},
    json::json,
    names::{self, Rules},
    output::{Out, Tally, count, exact, printable, size},
    platform,
    reference::{self, Resolved},
    store::{self, Store},
};

pub(crate) fn run(global: &Global, args: &Export, out: &mut Out) -> Result<Exit> {
    let dest = args.dest.as_path();
    if dest == Path::new("-") {
        return Err(CliError::usage(
            "`flatbao export` writes files, not to stdout",
            "use `flatbao cat REF`",
        ));
    }
    out.finish_unread();
    if args.in_place {
        platform::check_names_a_place(dest)?;
    }
    let place = Place::of(dest)?;
    let mode = match (args.in_place, args.forget) {
        (true, _) => ExportMode::Reference,
        (_, true) => ExportMode::Forget,
        _ => ExportMode::Copy,
    };
    let store = if mode == ExportMode::Copy {
        store::to_export(global, &place.roots, out)?
    } else {
        store::to_export_away(global, &place.roots, out)?
    };
    place.check_outside(&store::directory(global)?)?;
    let exporting = Exporting {
        store: &store,
        options: ExportOptions::default().mode(mode).replace(args.force),
        args,
        place: &place,
    };
    let found = reference::resolve(&store, &args.reference)?;
    match collection::meant(&store, &found)? {
        Some(files) => exporting.collection(&found, &files, out),
        None => exporting.file(found.hash, out),
    }
}

/// Where DEST is, without links on the way.
struct Place {
    /// For a file: its own name may be that of a link.
    file: Option<PathBuf>,
    /// For a directory, which may be named by a link.
    dir: PathBuf,
    /// The directories that are there already, from which the others go out.
    roots: Vec<PathBuf>,
}

impl Place {
    fn of(dest: &Path) -> Result<Self> {
        let (dir_root, dir) = platform::settle(dest)?;
        let mut roots = Vec::new();
        let mut file = None;
        if let Some(name) = dest.file_name() {
            let parent = dest.parent().filter(|parent| *parent != Path::new(""));
            let (root, parent) = platform::settle(parent.unwrap_or(Path::new(".")))?;
            file = Some(parent.join(name));
            roots.push(root);
        }
        if dir_root.is_dir() && !roots.contains(&dir_root) {
            roots.push(dir_root);
        }
        Ok(Self { file, dir, roots })
    }

    fn check_outside(&self, store: &Path) -> Result<()> {
        let mut places = self.file.iter().chain([&self.dir]);
        match places.find(|place| store::is_inside(place, store)) {
            Some(inside) => Err(Box::new(CliError::InsideStore {
                path: printable(inside),
            })),
            None => Ok(()),
        }
    }
}

struct Exporting<'a> {
    store: &'a Store,
    options: ExportOptions,
    args: &'a Export,
    place: &'a Place,
}

impl Exporting<'_> {
    fn file(&self, hash: Hash, out: &mut Out) -> Result<Exit> {
        let dest = self.args.dest.as_path();
        let file = self.place.file.as_ref().ok_or_else(|| {
            CliError::usage(
                format!("{} names no file", printable(dest)),
                "name a file that is to be written",
            )
        })?;
        out.meter
            .start("exporting", self.store.claimed_size(hash).ok());
        let exported = self.export(hash, file, self.options, out)?;
        out.meter.stop();
        self.tell(&exported, dest, out)?;
        Ok(Exit::Done)
    }

    /// What cannot be exported is told, and does not keep the rest from being exported; but a name that is not
    /// safe keeps anything from being written.
    fn collection(&self, found: &Resolved, files: &Collection, out: &mut Out) -> Result<Exit> {
        let hash = found.hash;
        let entries = files.entries();
        let rules = if self.args.native_names {
            Rules::Native
        } else {
            Rules::Portable
        };
        names::check(entries.iter().map(|(name, _)| name.as_str()), rules)?;
        check_directory(&self.place.dir, self.args.force)?;
        let own = self.own_blobs(hash)?;
        let sizes = entries.iter();
        let total = sizes.filter_map(|(_, hash)| self.store.claimed_size(*hash).ok());
        let total = total.fold(0, u64::saturating_add);
        out.meter.start("exporting", Some(total));
        // A blob under several names is forgotten with the last of them.
        let mut later = BTreeSet::new();
        let is_last = entries.iter().rev().map(|(_, hash)| later.insert(*hash));
        let is_last: Vec<bool> = is_last.collect();
        let mut tally = Tally::default();
        let (mut done, mut bytes) = (0_usize, 0);
        // What could not be exported under one of its names stays.
        let mut stuck = BTreeSet::new();
        for ((name, hash), is_last) in entries.iter().zip(is_last.into_iter().rev()) {
            let options = match self.options.mode {
                ExportMode::Forget if !is_last || stuck.contains(hash) => {
                    self.options.mode(ExportMode::Copy)
                }
                _ => self.options,
            };
            match self.export(*hash, &self.place.dir.join(name), options, out) {
                Ok(exported) => {
                    tally.done();
                    done += 1;
                    bytes += exported.size;
                    if out.is_json() || out.is_verbose() {
                        self.tell(&exported, &self.args.dest.join(name), out)?;
                    }
                }
                // The next file would not fit either.
                Err(error) if is_full(&error) => return Err(error),
                Err(error) => {
                    stuck.insert(*hash);
                    tally.failed(out, &error);
                }
            }
        }
        out.meter.stop();
        let missing = entries.len() - done;
        if missing == 0 {
            own.into_iter().try_for_each(|hash| self.forget(hash))?;
        }
        let path = printable(&self.args.dest);
        let in_place = self.args.in_place;
        out.result_or(
            &path,
            || {
                let path = exact(&self.args.dest);
                json!({"hash": hash.to_string(), "size": bytes, "path": path, "in_place": in_place, "files": done})
            },
            || {
                let rest = match missing {
                    0 => String::new(),
                    some => format!(", {some} not exported"),
                };
                format!("{hash}  {path}  {}, {}{rest}", count(done as u64, "file"), size(bytes))
            },
        )?;
        Ok(tally.exit())
    }

    /// The blobs that make the collection itself, if they are to be forgotten with it. Then no tag may name it:
    /// better told once and now than for every file.
    fn own_blobs(&self, hash: Hash) -> Result<Vec<Hash>> {
        if self.options.mode != ExportMode::Forget {
            return Ok(Vec::new());
        }
        if let Some(tag) = self.store.tags_of(hash)?.first() {
            let by = format!("tag {tag}");
            return Err(Error::InUse { hash, by }.into());
        }
        let mut first = [0; 32];
        let reader = self.store.reader(hash)?;
        let read = reader.read_verified(&mut first, 0)?;
        let meta = (read == first.len()).then(|| Hash::from_bytes(first));
        Ok([Some(hash), meta].into_iter().flatten().collect())
    }

    fn forget(&self, hash: Hash) -> Result<()> {
        match self.store.delete(hash, false) {
            // Another collection has the same names, or it was a file of this one.
            Ok(_) | Err(Error::InUse { .. } | Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn export(
        &self,
        hash: Hash,
        path: &Path,
        options: ExportOptions,
        out: &Out,
    ) -> Result<Exported> {
        let path = platform::plain_external_path(path)?;
        self.store
            .export_with(hash, &path, options, &mut out.meter.watch())
            .map_err(|error| of_target(error, &path))
    }

    fn tell(&self, exported: &Exported, path: &Path, out: &Out) -> Result<()> {
        let hash = exported.hash;
        let method = match exported.method {
            ExportMethod::Copied => "copied",
            ExportMethod::Moved => "moved",
        };
        let in_place = exported.referenced;
        out.result_or(
            printable(path),
            || {
                json!({"hash": hash.to_string(), "size": exported.size, "path": exact(path), "method": method, "in_place": in_place})
            },
            || {
                let stays = if in_place { ", in place" } else { "" };
                let (path, size) = (printable(path), size(exported.size));
                format!("{hash}  {path}  {size}, {method}{stays}")
            },
        )
    }
}

/// A collection goes to a directory that is missing or empty, or among what is there.
fn check_directory(dir: &Path, force: bool) -> Result<()> {
    let target = |why, hint| {
        Box::new(CliError::Target {
            path: printable(dir),
            why,
            hint,
            kind: "target_exists",
        })
    };
    let mut entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(_) if dir.is_file() => {
            return Err(target("exists and is not a directory", "name another DEST"));
        }
        Err(e) => return Err(CliError::io("list", dir)(e)),
    };
    if !force && entries.next().is_some() {
        return Err(target(
            "exists and is not empty",
            "name another DEST, or use --force to export among what is there",
        ));
    }
    Ok(())
}

fn is_full(error: &CliError) -> bool {
    matches!(error, CliError::Store(Error::Backend(error))
        if matches!(error.io_kind(), Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded)))
}

/// What is wrong with the target, in the words of the command.
fn of_target(error: Error, path: &ExternalPath) -> Box<CliError> {
    let target = |path: String, why, hint, kind| {
        Box::new(CliError::Target {
            path,
            why,
            hint,
            kind,
        })
    };
    match error {
        Error::Backend(BackendError::Taken { path }) => target(
            path.to_string(),
            "exists already",
            "name another DEST, or replace it with --force",
            "target_exists",
        ),
        Error::Backend(BackendError::InsideStore { path }) => Box::new(CliError::InsideStore {
            path: path.to_string(),
        }),
        Error::Backend(BackendError::NotAFile { name, kind }) if name.starts_with('/') => {
            match kind {
                EntryKind::Link => target(
                    name,
                    "is a symbolic link, which an export does not follow",
                    "remove it, or name another DEST",
                    "unsafe_target",
                ),
                EntryKind::Directory => target(
                    path.to_string(),
                    "is a directory",
                    "name a file in it, or another DEST",
                    "target_exists",
                ),
                EntryKind::File | EntryKind::Other => target(
                    name,
                    "exists and is not a regular file",
                    "name another DEST",
                    "target_exists",
                ),
            }
        }
        other => other.into(),
    }
}
