//! `flatbao cat`

use crate::{
    args::{Cat, Global},
    error::{Exit, Result},
    output::Out,
    reference, store,
};

/// Bytes that are verified and printed at once.
const PIECE: u64 = 1024 * 1024;

pub(crate) fn run(global: &Global, args: &Cat, out: &mut Out) -> Result<Exit> {
    let store = store::to_read(global, out)?;
    let found = reference::resolve(&store, &args.reference)?;
    let range = args.range.unwrap_or_default();
    let end = range.end.unwrap_or(u64::MAX);
    // Of a part that is asked for, no more than that has to be there.
    let reader = match args.range {
        Some(_) => store.partial_reader(found.hash)?,
        None => store.reader(found.hash)?,
    };
    let mut piece = Vec::new();
    let mut at = range.start;
    while at < end {
        let wanted = PIECE.min(end - at);
        piece.resize(usize::try_from(wanted).unwrap_or(0), 0);
        let read = reader.read_verified(&mut piece, at)?;
        if read == 0 {
            break;
        }
        out.bytes(&piece[..read])?;
        at += read as u64;
    }
    Ok(Exit::Done)
}
