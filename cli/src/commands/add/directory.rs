//! A directory becomes a collection.

use std::path::Path;

use flatbao_core::{
    Collection, Error, Hash, HashAndFormat,
    store::{Batch, ImportOptions, Imported},
};
use flatbao_fs::FsBackend;

use super::{Added, Adding, object, source_of};
use crate::{
    error::{CliError, Result},
    names,
    output::{Out, printable, size},
    platform, store,
    walk::{self, Found},
};

impl Adding<'_> {
    pub(super) fn directory(&mut self, path: &Path, out: &mut Out) -> Result<Added> {
        let root = platform::canonical(path)?;
        if store::is_inside(&root, &self.directory) {
            let path = printable(path);
            return Err(Box::new(CliError::InsideStore { path }));
        }
        // A directory inside it that cannot be listed is left out; this one is all there is.
        std::fs::read_dir(&root).map_err(CliError::io("list", path))?;
        let files = walk::files(&root, &self.directory, out, &mut self.tally);
        let total = files.iter().map(|file| file.size).sum();
        out.meter.start("adding", Some(total));
        let mut batch = self.store.batch();
        // In the order of the walk, as the batch returns them: the collection has an order of its own.
        let mut entries = Vec::new();
        for file in files {
            match import(&mut batch, &file, self.in_place, out) {
                Ok(hash) => entries.push((file.name, hash)),
                Err(error) if is_of_source(&error) => self.tally.skipped(out, &error),
                Err(error) => return Err(error),
            }
        }
        let collection = Collection::new(entries.iter().cloned())
            .map_err(|e| CliError::io("make a collection of", path)(std::io::Error::other(e)))?;
        let hash = batch.import_collection(&collection)?;
        let imported = batch.commit()?;
        if let Some(odd) = names::not_portable(collection.entries().iter().map(|(n, _)| n.as_str()))
        {
            out.warn(format_args!(
                "not every system can hold the names in {}, so `flatbao get` will want --native-names: {}",
                printable(path),
                odd
            ));
        }
        self.summed(path, &entries, hash, imported, out)
    }

    /// Tells each file where that is asked for, and sums them up.
    fn summed(
        &mut self,
        path: &Path,
        entries: &[(String, Hash)],
        hash: Hash,
        imported: Vec<Imported>,
        out: &Out,
    ) -> Result<Added> {
        let (mut bytes, mut new_bytes) = (0, 0);
        for ((name, hash), imported) in entries.iter().zip(&imported) {
            let new = self.new_bytes(imported);
            bytes += imported.size;
            new_bytes += new;
            if !out.is_json() && !out.is_verbose() {
                continue;
            }
            let path = path.join(name);
            out.result(
                || object(HashAndFormat::raw(*hash), imported.size, new, &path),
                || {
                    let path = printable(&path);
                    let news = if new > 0 { "new" } else { "already there" };
                    format!("{hash}  {path}  {} ({news})", size(imported.size))
                },
            )?;
        }
        Ok(Added {
            value: HashAndFormat::hash_seq(hash),
            size: bytes,
            new_bytes,
            files: Some(entries.len()),
            _held: imported.into_iter().map(|imported| imported.tag).collect(),
        })
    }
}

fn import(
    batch: &mut Batch<'_, FsBackend>,
    found: &Found,
    in_place: bool,
    out: &Out,
) -> Result<Hash> {
    let path = &found.path;
    // The walk saw a file here; what is here now may be anything.
    let (file, _) = platform::open_regular(path, false)?;
    let options = ImportOptions::default();
    let watch = &mut out.meter.watch();
    let imported = if in_place {
        batch.import_reference_with(&platform::external_path(path)?, options, watch)
    } else {
        batch.import_reader_with(file, options, watch)
    };
    let (hash, _) = imported.map_err(source_of(path))?;
    Ok(hash)
}

/// Whether an error is one of a single file: the others can still be added.
fn is_of_source(error: &CliError) -> bool {
    matches!(
        error,
        CliError::Io { .. }
            | CliError::NotAFile { .. }
            | CliError::NotUtf8 { .. }
            | CliError::Store(Error::SourceChanged { .. } | Error::Path { .. })
    )
}
