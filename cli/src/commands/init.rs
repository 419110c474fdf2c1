//! `flatbao init`

use flatbao_fs::{Found, Layout};

use crate::{
    args::{Global, Init},
    error::{Exit, Result},
    json::json,
    output::{Out, exact, printable},
    store,
};

pub(crate) fn run(global: &Global, args: &Init, out: &mut Out) -> Result<Exit> {
    out.finish_unread();
    let (store, found) = store::init(global, out)?;
    if args.assume_no_tags {
        store.confirm_no_tags()?;
    }
    let path = printable(&global.store);
    let (action, line) = match found {
        Found::Store(Layout::Single) => ("exists", format!("{path} is a store already")),
        Found::Store(layout) => (
            "exists",
            format!("{path} is a store already, laid out as {layout}"),
        ),
        Found::NotAStore => (
            "created",
            format!("made a store of {path}; the files that are there are left alone"),
        ),
        Found::Missing | Found::Empty => ("created", format!("made an empty store at {path}")),
    };
    out.result_or(
        &path,
        || json!({"store": exact(&global.store), "action": action}),
        || line,
    )?;
    Ok(Exit::Done)
}
