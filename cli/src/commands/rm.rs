//! `flatbao rm`

use std::ffi::OsStr;

use flatbao_core::store::GcItem;

use crate::{
    args::{Global, Rm},
    error::{Exit, Result},
    json::json,
    output::{Out, Tally, size},
    reference,
    store::{self, Store},
};

pub(crate) fn run(global: &Global, args: &Rm, out: &mut Out) -> Result<Exit> {
    out.finish_unread();
    let store = store::to_remove(global, "rm", out)?;
    let mut tally = Tally::default();
    for reference in &args.references {
        match remove(&store, reference, args.force, out) {
            Ok(item) => {
                tally.done();
                let hash = item.hash;
                out.result_or(
                    hash,
                    || json!({"hash": hash.to_string(), "size": item.bytes, "action": "removed"}),
                    || format!("removed {hash}, {} freed", size(item.bytes)),
                )?;
            }
            Err(error) => tally.failed(out, &error),
        }
    }
    Ok(tally.exit())
}

fn remove(store: &Store, reference: &OsStr, force: bool, out: &Out) -> Result<GcItem> {
    let hash = reference::resolve(store, reference)?.hash;
    let item = store.delete(hash, force)?;
    for tag in store.tags_of(hash).unwrap_or_default() {
        out.warn(format_args!(
            "tag {tag} names {hash}, which is gone: `flatbao tag rm` it"
        ));
    }
    Ok(item)
}
