//! `flatbao get`

use std::path::{Path, PathBuf};

use flatbao_core::{BlobFormat, Collection, Hash};

use crate::{
    args::{Get, Global},
    collection,
    error::{CliError, Exit, Result},
    json::json,
    names::{self, Rules},
    output::{Out, Tally, count, exact, printable, size},
    reference::{self, Resolved},
    restore::{Restored, Target},
    store::{self, Store},
};

pub(crate) fn run(global: &Global, args: &Get, out: &mut Out) -> Result<Exit> {
    if args.dest.as_deref() == Some(Path::new("-")) {
        return Err(CliError::usage(
            "`flatbao get` writes files, not to stdout",
            "use `flatbao cat REF`",
        ));
    }
    out.finish_unread();
    let store = store::to_read(global, out)?;
    let found = reference::resolve(&store, &args.reference)?;
    let dest = match &args.dest {
        Some(dest) => dest.clone(),
        None => default_dest(&found),
    };
    let target = Target {
        dest: &dest,
        store: &store::directory(global)?,
        force: args.force,
    };
    match collection::meant(&store, &found)? {
        Some(files) => {
            let rules = if args.native_names {
                Rules::Native
            } else {
                Rules::Portable
            };
            collection(&store, found.hash, &files, &target, rules, out)
        }
        None => file(&store, found.hash, &target, out),
    }
}

/// The last part of the name, unless that could mean anything but a file right here.
fn default_dest(found: &Resolved) -> PathBuf {
    let name = &found.file_name;
    match names::check([name.as_str()], Rules::Portable) {
        Ok(()) if !name.contains('/') => name.into(),
        _ => found.hash.to_string().into(),
    }
}

fn file(store: &Store, hash: Hash, target: &Target<'_>, out: &mut Out) -> Result<Exit> {
    out.meter.start("restoring", store.claimed_size(hash).ok());
    let bytes = target.file(store, hash, out)?;
    let path = printable(target.dest);
    out.result_or(
        &path,
        || json!({"hash": hash.to_string(), "size": bytes, "format": BlobFormat::Raw.to_string(), "path": exact(target.dest)}),
        || format!("{hash}  {path}  {}", size(bytes)),
    )?;
    Ok(Exit::Done)
}

fn collection(
    store: &Store,
    hash: Hash,
    collection: &Collection,
    target: &Target<'_>,
    rules: Rules,
    out: &mut Out,
) -> Result<Exit> {
    let sizes = collection.entries().iter();
    let total = sizes.filter_map(|(_, hash)| store.claimed_size(*hash).ok());
    let total = total.fold(0, u64::saturating_add);
    out.meter.start("restoring", Some(total));
    let mut tally = Tally::default();
    let (mut files, mut bytes) = (0_u64, 0);
    let each = |file: &Restored<'_>| {
        files += 1;
        bytes += file.size;
        tell_file(file, out)
    };
    target.collection(store, collection, rules, out, &mut tally, each)?;
    let path = printable(target.dest);
    let missing = collection.entries().len() as u64 - files;
    out.result_or(
        &path,
        || {
            let format = BlobFormat::HashSeq.to_string();
            json!({"hash": hash.to_string(), "size": bytes, "format": format, "path": exact(target.dest), "files": files})
        },
        || {
            let rest = match missing {
                0 => String::new(),
                some => format!(", {some} not restored"),
            };
            format!("{hash}  {path}  {}, {}{rest}", count(files, "file"), size(bytes))
        },
    )?;
    Ok(tally.exit())
}

fn tell_file(file: &Restored<'_>, out: &Out) -> Result<()> {
    if !out.is_json() && !out.is_verbose() {
        return Ok(());
    }
    let path = printable(&file.path);
    out.result(
        || json!({"hash": file.hash.to_string(), "size": file.size, "format": BlobFormat::Raw.to_string(), "path": exact(&file.path), "name": file.name}),
        || format!("{}  {path}  {}", file.hash, size(file.size)),
    )
}
