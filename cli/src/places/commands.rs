//! What each command touches.

use std::{ffi::OsStr, path::Path};

use flatbao_core::Tag;

use super::{Access, Places, StoreAccess, StorePlace, is_stream};
use crate::{
    args::{
        Add, Cat, Cli, Command, Completions, Copy, Doctor, Du, Export, Gc, Get, Global, HashFiles,
        Init, Ls, Man, Receive, Repair, Rm, Slice, Stat, TagCommand, TagLs, TagRm, TagSet, Verify,
    },
    names::{self, Rules},
    reference,
};

impl Cli {
    /// What the command touches in the file system.
    #[must_use]
    pub fn places(&self) -> Places {
        let global = &self.global;
        // No part of an argument is left out unnamed, so that a new one has to be thought about here.
        match &self.command {
            Command::Init(Init { assume_no_tags: _ }) => Places::of(global, StoreAccess::Make),
            Command::Add(args) => add(global, args),
            Command::Get(args) => get(global, args),
            Command::Export(args) => export(global, args),
            Command::Cat(Cat {
                reference: _,
                range: _,
            }) => Places::reading(global),
            Command::Slice(args) => slice(global, args),
            Command::Receive(args) => receive(global, args),
            Command::Copy(args) => copy(global, args),
            Command::Ls(Ls {
                reference: _,
                partial: _,
                tags: _,
                long: _,
            }) => Places::reading(global),
            Command::Stat(Stat { reference: _ }) => Places::reading(global),
            Command::Du(Du {
                references: _,
                long: _,
            }) => Places::reading(global),
            Command::Tag(TagCommand::Set(TagSet {
                name: _,
                reference: _,
                format: _,
            })) => Places::writing(global),
            Command::Tag(TagCommand::Rm(TagRm { names: _ })) => Places::writing(global),
            Command::Tag(TagCommand::Ls(TagLs {})) => Places::reading(global),
            Command::Rm(Rm {
                references: _,
                force: _,
            }) => Places::writing(global),
            Command::Gc(Gc {
                dry_run,
                assume_no_tags: _,
            }) => Places::writing_unless(*dry_run, global),
            Command::Verify(args) => verify(global, args),
            Command::Repair(args) => repair(global, args),
            Command::Doctor(Doctor {}) => Places::reading(global),
            Command::Hash(args) => hash(args),
            Command::Completions(Completions { shell: _ }) => Places::default(),
            Command::Man(Man { dir }) => Places::default().and(dir, Access::WriteInto),
        }
    }
}

fn add(global: &Global, args: &Add) -> Places {
    let Add {
        paths,
        in_place,
        tag: _,
        no_tag: _,
    } = args;
    let access = match in_place {
        true => Access::Refer,
        false => Access::Read,
    };
    Places::filling(global).and_named(paths, access)
}

fn get(global: &Global, args: &Get) -> Places {
    let Get {
        reference,
        dest,
        force,
        native_names: _,
    } = args;
    let replace = *force;
    let restore = Access::Restore { replace };
    let places = Places::reading(global);
    if let Some(dest) = dest {
        return places.and_named([dest], restore);
    }
    if let Some(hash) = reference::full_hash(reference) {
        return places.and(hash.to_string(), restore);
    }
    default_names(reference)
        .iter()
        .fold(places, |places, name| places.and(name, restore))
        .and(".", Access::RestoreByHash { replace })
}

/// What may become of REF where it does not become a hash: the last part of a path or of a tag, which may be
/// written as it is printed.
fn default_names(reference: &OsStr) -> Vec<String> {
    let Some(text) = reference.to_str() else {
        return Vec::new();
    };
    // A collection may be named with a slash behind it.
    let text = text.strip_suffix('/').unwrap_or(text);
    let tag = text.parse::<Tag>().ok();
    let tag = tag.as_ref().and_then(Tag::as_str);
    let mut names = Vec::new();
    for text in [Some(text), tag].into_iter().flatten() {
        let name = text.rsplit('/').next().unwrap_or_default().to_owned();
        if names::check([name.as_str()], Rules::Portable).is_ok() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn export(global: &Global, args: &Export) -> Places {
    let Export {
        reference: _,
        dest,
        in_place,
        forget,
        force,
        native_names: _,
    } = args;
    let replace = *force;
    let mut places = Places::writing_unless(!in_place && !forget, global);
    for external in &mut places.external {
        external.is_written = is_met(&external.prefix, dest);
    }
    places.and_named([dest], Access::Export { replace })
}

/// Whether an export to this target may be looked up in the directory that stands for a prefix: it is where the
/// prefix goes deeper than the directories on the way to the target that are there.
fn is_met(prefix: &str, dest: &Path) -> bool {
    // That directory is always there.
    if prefix == "/" {
        return false;
    }
    let prefix = Path::new(prefix);
    std::path::absolute(dest).is_ok_and(|dest| dest.starts_with(prefix) || prefix.starts_with(dest))
}

fn slice(global: &Global, args: &Slice) -> Places {
    let Slice {
        reference: _,
        range: _,
        output,
        force,
    } = args;
    let replace = *force;
    Places::reading(global).and_named(output, Access::WriteFile { replace })
}

fn receive(global: &Global, args: &Receive) -> Places {
    let Receive {
        reference,
        file,
        range: _,
        missing,
        tag: _,
        no_tag: _,
        format: _,
    } = args;
    if *missing {
        return Places::reading(global);
    }
    let places = match reference::full_hash(reference) {
        Some(_) => Places::filling(global),
        None => Places::writing(global),
    };
    places.and_named([file], Access::ReadFile)
}

fn copy(global: &Global, args: &Copy) -> Places {
    let Copy {
        reference: _,
        to,
        tag: _,
        no_tag: _,
    } = args;
    let mut places = Places::reading(global);
    // Whatever is said of the other one.
    places.stores.push(StorePlace {
        path: to.clone(),
        access: StoreAccess::Fill,
    });
    places
}

fn verify(global: &Global, args: &Verify) -> Places {
    let Verify {
        references: _,
        deep: _,
        quick: _,
        budget: _,
        cursor,
    } = args;
    Places::reading(global).and_all(cursor, Access::UpdateFile)
}

fn repair(global: &Global, args: &Repair) -> Places {
    let Repair {
        references: _,
        dry_run,
        tags_from,
        salvage_tags: _,
    } = args;
    Places::writing_unless(*dry_run, global).and_all(tags_from, Access::ReadFile)
}

fn hash(args: &HashFiles) -> Places {
    let HashFiles { paths, check } = args;
    let mut places = Places::default()
        .and_named(paths, Access::ReadFile)
        .and_named(check, Access::ReadListed);
    places.is_open_ended = check.as_deref().is_some_and(is_stream);
    places
}
