//! Finding, opening and making the store that the options name.

use std::path::{Path, PathBuf};

use flatbao_core::{
    Durability, Error, Hash, OpenOptions, Recovery,
    store::{Mode, State, Status, TagsFound},
};
use flatbao_fs::{
    Found, FsBackend, create_ambient_with, grant_ambient, open_ambient, probe, system_env,
};

use crate::{
    args::{Global, Locker, Promise},
    error::{CliError, Result},
    output::{Out, printable},
    platform,
};

pub(crate) type Store = flatbao_core::Store<FsBackend>;

/// Opens for reading: works beside a writer and on a read-only medium.
pub(crate) fn to_read(global: &Global, out: &mut Out) -> Result<Store> {
    to_export(global, &[], out)
}

/// As [`to_read`], with these directories to write into besides.
pub(crate) fn to_export(global: &Global, roots: &[PathBuf], out: &mut Out) -> Result<Store> {
    existing(global)?;
    open_granting(Mode::ReadOnly, global, roots, out)
}

/// As [`to_export`], for exports that change the store.
pub(crate) fn to_export_away(global: &Global, roots: &[PathBuf], out: &mut Out) -> Result<Store> {
    check_writing(global, "export")?;
    existing(global)?;
    open_granting(Mode::ReadWrite, global, roots, out)
}

/// Opens for writing; `command` is told where that is forbidden.
pub(crate) fn to_write(global: &Global, command: &'static str, out: &mut Out) -> Result<Store> {
    check_writing(global, command)?;
    existing(global)?;
    open(open_ambient(&global.store)?, Mode::ReadWrite, global, out)
}

/// As [`to_write`], for commands that only take away. Without a lock they could do nothing, which is told before
/// they look for what they would take.
pub(crate) fn to_remove(global: &Global, command: &'static str, out: &mut Out) -> Result<Store> {
    check_writing(global, command)?;
    existing(global)?;
    if global.special.locking == Locker::None {
        return Err(Error::NotLocked.into());
    }
    to_write(global, command, out)
}

/// Opens for writing, and makes the store where there is nothing.
pub(crate) fn to_fill(global: &Global, command: &'static str, out: &mut Out) -> Result<Store> {
    check_writing(global, command)?;
    if look(global)? == Found::NotAStore {
        let path = printable(&global.store);
        return Err(Box::new(CliError::NotAStore { path }));
    }
    make(global, out)
}

/// As [`to_fill`], another store than the one that the options name, and whatever they say of writing.
pub(crate) fn other_to_fill(global: &Global, path: &Path, out: &mut Out) -> Result<Store> {
    let other = Global {
        store: path.to_owned(),
        read_only: false,
        ..global.clone()
    };
    to_fill(&other, "copy", out)
}

/// What was there when a store was made.
pub(crate) fn init(global: &Global, out: &mut Out) -> Result<(Store, Found)> {
    check_writing(global, "init")?;
    let found = match look(global)? {
        // Whoever holds the lock has made its file.
        Found::Store(_) if global.special.locking == Locker::Held && has_only_a_lock(global)? => {
            Found::Empty
        }
        found => found,
    };
    Ok((make(global, out)?, found))
}

fn has_only_a_lock(global: &Global) -> Result<bool> {
    let path = &global.store;
    let entries = std::fs::read_dir(path).map_err(CliError::io("list", path))?;
    let mut names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    Ok(names.all(|name| name.is_ok_and(|name| name == "lock")))
}

/// The directory of a store that is there, without links.
pub(crate) fn directory(global: &Global) -> Result<PathBuf> {
    platform::canonical(&global.store)
}

fn make(global: &Global, out: &mut Out) -> Result<Store> {
    let backend = create_ambient_with(&global.store, global.special.durability.into())?;
    open(backend, Mode::ReadWrite, global, out)
}

fn check_writing(global: &Global, command: &'static str) -> Result<()> {
    if global.read_only {
        return Err(Box::new(CliError::ReadOnly { command }));
    }
    Ok(())
}

fn existing(global: &Global) -> Result<()> {
    let path = printable(&global.store);
    match look(global)? {
        Found::Store(_) => Ok(()),
        Found::Missing | Found::Empty => Err(Box::new(CliError::NoStore { path })),
        Found::NotAStore => Err(Box::new(CliError::NotAStore { path })),
    }
}

fn look(global: &Global) -> Result<Found> {
    Ok(probe(&global.store)?)
}

/// Opens with these directories granted as what they are, whatever the options say of them. They are without
/// links.
fn open_granting(mode: Mode, global: &Global, roots: &[PathBuf], out: &mut Out) -> Result<Store> {
    let mut backend = open_ambient(&global.store)?;
    grant(&mut backend, global)?;
    for root in roots {
        let prefix = root.to_str().ok_or_else(|| CliError::NotUtf8 {
            path: printable(root),
        })?;
        grant_ambient(&mut backend, prefix, root)?;
    }
    open_granted(backend, mode, global, out)
}

fn open(mut backend: FsBackend, mode: Mode, global: &Global, out: &mut Out) -> Result<Store> {
    grant(&mut backend, global)?;
    open_granted(backend, mode, global, out)
}

fn open_granted(
    mut backend: FsBackend,
    mode: Mode,
    global: &Global,
    out: &mut Out,
) -> Result<Store> {
    // What the platform promises is not raised.
    if global.special.durability == Promise::Atomic {
        backend = backend.with_durability(Durability::Atomic);
    }
    out.meter.start("opening the store", None);
    let options = OpenOptions::default()
        .mode(mode)
        .locking(global.special.locking.into());
    let opened = Store::open_with(backend, system_env(), options, &mut out.meter.watch());
    out.meter.stop();
    let (store, recovery) = opened?;
    tell(&recovery, mode, out);
    Ok(store)
}

fn grant(backend: &mut FsBackend, global: &Global) -> Result<()> {
    if global.no_external {
        return Ok(());
    }
    for external in &global.external {
        grant_ambient(backend, &external.prefix, &external.dir)?;
    }
    match platform::everything() {
        Some((prefix, dir)) if global.external.is_empty() => {
            Ok(grant_ambient(backend, prefix, dir)?)
        }
        _ => Ok(()),
    }
}

/// What the opening mended or found odd. Only what concerns the tags is told to everyone.
fn tell(recovery: &Recovery, mode: Mode, out: &Out) {
    match &recovery.tags {
        TagsFound::Protected => {}
        TagsFound::Unprotected if mode == Mode::ReadOnly => {
            out.note("tags.meta has no checksum yet; the next change of a tag adds one");
        }
        TagsFound::Unprotected => {}
        TagsFound::Missing => out.warn(
            "tags.meta is missing although the store has data: nothing is tagged or collected until it is \
             restored, or `flatbao init --assume-no-tags` confirms that there are no tags to lose",
        ),
        TagsFound::Damaged(damage) => out.warn(format_args!(
            "tags.meta is damaged ({damage}): the store is read-only until it is restored from a copy"
        )),
    }
    if !out.is_verbose() {
        return;
    }
    for name in &recovery.removed {
        out.note(format_args!(
            "removed {name}, left over from an interrupted command"
        ));
    }
    for (name, why) in &recovery.not_removed {
        out.note(format_args!(
            "{name} is left over and cannot be removed: {why}"
        ));
    }
    for hash in &recovery.completed {
        out.note(format_args!(
            "finished the interrupted completion of {hash}"
        ));
    }
    for name in &recovery.unpaired {
        out.note(format_args!(
            "{name} is half of a partial blob: the other half is missing"
        ));
    }
    for hash in &recovery.orphan_outboards {
        out.note(orphan(hash));
    }
    for odd in &recovery.odd {
        out.note(format_args!(
            "{} is {}, none of the store's: left alone",
            odd.name, odd.kind
        ));
    }
    let untold = recovery.odd_count.saturating_sub(recovery.odd.len() as u64);
    if untold > 0 {
        out.note(format_args!(
            "{untold} more entries are none of the store's"
        ));
    }
}

fn orphan(hash: &Hash) -> String {
    format!("{hash}.obao4 belongs to no data; gc removes it")
}

/// Whether a blob is there, and in this state.
pub(crate) fn is_in_state(store: &Store, hash: Hash, state: State) -> bool {
    matches!(store.status(hash), Status::Present(blob) if blob.state == state)
}

/// Whether a path is the store's directory or inside it. Both are without links.
pub(crate) fn is_inside(path: &Path, store: &Path) -> bool {
    path.starts_with(store)
}
