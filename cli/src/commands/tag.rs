//! `flatbao tag`

use std::ffi::OsStr;

use flatbao_core::{BlobFormat, Error, Hash, HashAndFormat, Tag, store::State, store::Status};

use crate::{
    args::{Global, TagRm, TagSet},
    collection,
    error::{CliError, Exit, Result},
    json::{Value, json},
    output::{Out, Tally},
    platform::bytes_of,
    reference,
    store::{self, Store},
};

pub(crate) fn set(global: &Global, args: &TagSet, out: &mut Out) -> Result<Exit> {
    out.finish_unread();
    let tag = new_name(&args.name)?;
    let store = store::to_write(global, "tag set", out)?;
    let found = reference::resolve(&store, &args.reference)?;
    let hash = found.hash;
    let state = match store.status(hash) {
        Status::Missing => return Err(Error::NotFound(hash).into()),
        Status::Present(blob) => blob.state,
    };
    let format = match args.format {
        Some(format) => format.into(),
        None => match found.format {
            Some(format) => format,
            None if state == State::Partial => BlobFormat::Raw,
            None => match collection::meant(&store, &found)? {
                Some(_) => BlobFormat::HashSeq,
                None => BlobFormat::Raw,
            },
        },
    };
    if format == BlobFormat::HashSeq {
        // One that cannot be read would keep every collection from doing anything.
        store.sequence(hash)?;
    }
    let value = HashAndFormat { hash, format };
    let previous = store.tags()?.get(&tag).copied();
    store.set_tag(tag.clone(), value)?;
    out.result(
        || {
            let mut object = object(&tag, &value);
            if let Some(previous) = previous {
                object.set("previous", previous.hash.to_string().into());
            }
            object
        },
        || line(&tag, &value) + &was(previous, hash),
    )?;
    Ok(Exit::Done)
}

pub(crate) fn rm(global: &Global, args: &TagRm, out: &mut Out) -> Result<Exit> {
    out.finish_unread();
    let store = store::to_write(global, "tag rm", out)?;
    let mut tally = Tally::default();
    for name in &args.names {
        match rm_one(&store, name) {
            Ok((tag, value)) => {
                tally.done();
                out.result(
                    || {
                        let mut object = object(&tag, &value);
                        object.set("action", "removed".into());
                        object
                    },
                    || format!("removed {tag}, which named {}", value.hash),
                )?;
            }
            Err(error) => tally.failed(out, &error),
        }
    }
    Ok(tally.exit())
}

fn rm_one(store: &Store, name: &OsStr) -> Result<(Tag, HashAndFormat)> {
    let tags = store.tags()?;
    let Some(tag) = reference::tag_of(&tags, bytes_of(name)) else {
        let tag = Tag::new(bytes_of(name)).map_err(Error::Tag)?;
        return Err(Error::NoTag(tag).into());
    };
    let value = store.remove_tag(&tag)?;
    Ok((tag, value))
}

pub(crate) fn ls(global: &Global, out: &mut Out) -> Result<Exit> {
    let store = store::to_read(global, out)?;
    for (tag, value) in store.tags()?.iter() {
        out.result_or(tag, || object(tag, value), || line(tag, value))?;
    }
    Ok(Exit::Done)
}

/// A name for a new tag: one that could never be used to name a blob is refused.
pub(crate) fn new_name(name: &OsStr) -> Result<Tag> {
    let tag = Tag::new(bytes_of(name)).map_err(Error::Tag)?;
    let why = match tag.as_str() {
        Some("") => "a tag's name is not empty",
        Some(text) if text.parse::<Hash>().is_ok() => "a tag's name is not a full hash",
        _ => return Ok(tag),
    };
    Err(CliError::usage(why, "choose another name"))
}

/// What a tag named before it got another blob.
pub(crate) fn was(previous: Option<HashAndFormat>, hash: Hash) -> String {
    match previous {
        Some(previous) if previous.hash != hash => format!(" (was {})", previous.hash),
        _ => String::new(),
    }
}

/// A name for programs: as it is, or in its printed form where it is not UTF-8.
pub(crate) fn exact(tag: &Tag) -> String {
    tag.as_str().map_or_else(|| tag.to_string(), str::to_owned)
}

/// An object with what a tag is called: its bytes and, where they are UTF-8, its name.
pub(crate) fn names(tag: &Tag) -> Value {
    let hex: String = tag.as_bytes().iter().map(|b| format!("{b:02x}")).collect();
    let mut object = json!({"name_hex": hex});
    if let Some(name) = tag.as_str() {
        object.set("name", name.into());
    }
    object
}

fn object(tag: &Tag, value: &HashAndFormat) -> Value {
    let mut object = names(tag);
    object.set("hash", value.hash.to_string().into());
    object.set("format", value.format.to_string().into());
    object
}

fn line(tag: &Tag, value: &HashAndFormat) -> String {
    format!("{}  {:<7}  {tag}", value.hash, value.format)
}
