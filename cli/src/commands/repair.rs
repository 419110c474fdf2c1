//! `flatbao repair`

use std::path::Path;

use flatbao_core::{
    Error as StoreError, Tag, TagFile, TagMap,
    limits::MAX_TAGS_FILE,
    store::{
        Finding, Mending, Outcome, RepairOptions, Repaired, Repairing, SalvagedFrom, Severity,
    },
};

use crate::{
    args::{Global, Repair},
    commands::{tag, verify},
    error::{CliError, Exit, Result},
    findings::{self, Remedies},
    json::{Value, json},
    output::{Out, count, exact_ranges, printable},
    platform,
    store::{self, Store},
};

pub(crate) fn run(global: &Global, args: &Repair, out: &mut Out) -> Result<Exit> {
    out.finish_unread();
    // A copy that is no good is told before the store is opened.
    let copy = args.tags_from.as_deref().map(read_copy).transpose()?;
    let store = if args.dry_run {
        store::to_read(global, out)?
    } else {
        store::to_write(global, "repair", out)?
    };
    if let Some(tags) = copy {
        return restore(&store, tags, args.dry_run, out);
    }
    if args.salvage_tags {
        return salvage(&store, args.dry_run, out);
    }
    let options = RepairOptions::default()
        .dry_run(args.dry_run)
        .only(verify::targets(&store, &args.references)?);
    out.meter.start("repairing", None);
    let (mut failed, mut unfinished) = (None, false);
    let mut remedies = Remedies::default();
    let mut each = |step| {
        unfinished |= is_unfinished(&step);
        if let Err(error) = tell(&step, &mut remedies, out) {
            failed.get_or_insert(error);
        }
    };
    let repaired = store.repair(&options, &mut each, &mut out.meter.watch());
    out.meter.stop();
    let repaired = repaired?;
    if let Some(error) = failed {
        return Err(error);
    }
    if !out.is_quiet() || out.is_json() {
        let object = || object(&repaired, args.dry_run);
        out.result(object, || line(&repaired, args.dry_run))?;
    }
    if !out.is_quiet() && !out.is_json() {
        remedies
            .lines_after_repair()
            .for_each(|text| out.hint(&text));
    }
    Ok(if unfinished {
        Exit::Partial
    } else {
        Exit::Done
    })
}

/// Whether somebody has to do something yet.
fn is_unfinished(step: &Repairing) -> bool {
    match step {
        Repairing::Mended(_, Outcome::Failed(_)) => true,
        Repairing::Mended(mending, _) => matches!(mending, Mending::Demote { .. }),
        Repairing::Left(finding) => finding.severity() > Severity::Note,
        _ => false,
    }
}

fn tell(step: &Repairing, remedies: &mut Remedies, out: &Out) -> Result<()> {
    match step {
        Repairing::Left(finding) => left(finding, remedies, out),
        Repairing::Mended(mending, outcome) => mended(mending, outcome, out),
        _ => Ok(()),
    }
}

fn left(finding: &Finding, remedies: &mut Remedies, out: &Out) -> Result<()> {
    if out.is_quiet() && finding.severity() == Severity::Note {
        return Ok(());
    }
    out.result(|| findings::object(finding), || findings::line(finding))?;
    remedies.add(finding);
    Ok(())
}

fn mended(mending: &Mending, outcome: &Outcome, out: &Out) -> Result<()> {
    let (word, failure) = match outcome {
        Outcome::Planned => ("planned", None),
        Outcome::Done => ("done", None),
        Outcome::Failed(error) => ("failed", Some(flatbao_core::text::chain(error))),
        _ => ("changed", None),
    };
    let object = || {
        let mut object = json!({
            "action": mending.kind(),
            "outcome": word,
            "message": what(mending),
        });
        if let Some(hash) = mending.hash() {
            object.set("hash", hash.to_string().into());
        }
        if let Mending::Demote { missing, of, .. } = mending {
            object.set("missing", exact_ranges(missing));
            object.set("groups", (*of).into());
        }
        if let Some(failure) = &failure {
            object.set("error", failure.as_str().into());
        }
        object
    };
    out.result(object, || {
        let hash = mending
            .hash()
            .map_or(String::new(), |hash| format!("{hash}  "));
        let why = failure
            .as_ref()
            .map_or(String::new(), |why| format!(": {why}"));
        format!("{word:<8} {hash}{}{why}", what(mending))
    })?;
    if let (Mending::Demote { .. }, Outcome::Done, false) =
        (mending, outcome, out.is_json() || out.is_quiet())
    {
        out.hint(
            "`flatbao add` the same content again to make it whole, or `flatbao receive` what is missing",
        );
    }
    Ok(())
}

/// What is done.
fn what(mending: &Mending) -> String {
    match mending {
        Mending::RebuildOutboard { .. } => "make the outboard again".into(),
        Mending::RewriteData { .. } => "write the data anew from good copies".into(),
        Mending::Demote { missing, of, .. } => {
            let lost: u64 = missing.iter().map(|range| range.end - range.start).sum();
            let kept = of.saturating_sub(lost);
            format!("make it a partial blob: {kept} of {of} groups are good, {lost} missing")
        }
        Mending::Pair { uuid, .. } => format!("give the partial data {uuid} their outboard back"),
        Mending::RemoveOutboard { .. } => {
            "remove the outboard: the one of its partial data proves as much".into()
        }
        Mending::DropPaths { paths, .. } if paths.is_empty() => {
            "drop the list of external paths, which cannot be read".into()
        }
        Mending::DropPaths { paths, .. } => format!("drop the dead path {}", paths.join(", ")),
        Mending::ProtectTags => "give tags.meta a checksum".into(),
        other => other.kind().into(),
    }
}

fn object(repaired: &Repaired, dry_run: bool) -> Value {
    json!({
        "summary": "repair",
        "dry_run": dry_run,
        "blobs": repaired.blobs,
        "mended": repaired.mended,
        "failed": repaired.failed,
        "left": repaired.left,
    })
}

fn line(repaired: &Repaired, dry_run: bool) -> String {
    let Repaired {
        blobs,
        mended,
        failed,
        left,
        ..
    } = repaired;
    let verb = if dry_run { "would mend" } else { "mended" };
    let failures = match failed {
        0 => String::new(),
        some => format!(", {some} failed"),
    };
    format!(
        "read {}: {verb} {mended}{failures}, left {left}",
        count(*blobs, "blob")
    )
}

fn read_copy(path: &Path) -> Result<TagMap> {
    let bytes = platform::read_capped(path, MAX_TAGS_FILE)?;
    match TagFile::decode(&bytes) {
        Ok(file) => Ok(file.tags),
        Err(source) => Err(Box::new(CliError::BadCopy {
            path: printable(path),
            source,
        })),
    }
}

fn restore(store: &Store, tags: TagMap, dry_run: bool, out: &Out) -> Result<Exit> {
    if dry_run && store.tags().is_ok() {
        return Err(StoreError::TagsNotDamaged.into());
    }
    let found = tags.len() as u64;
    let kept = if dry_run {
        None
    } else {
        store.restore_tags(tags.clone())?
    };
    for (name, value) in &tags {
        told(name, out, || value.hash.to_string())?;
    }
    let verb = if dry_run { "would restore" } else { "restored" };
    let outcome = if dry_run { "planned" } else { "done" };
    let kept = kept.map(|name| name.to_string());
    out.result(
        || {
            json!({"action": "restore_tags", "outcome": outcome, "tags": found, "kept": kept.as_deref()})
        },
        || {
            let beside = kept.as_ref().map_or(String::new(), |name| {
                format!("; the damaged file is kept as {name}")
            });
            format!("{verb} {}{beside}", count(found, "tag"))
        },
    )?;
    Ok(Exit::Done)
}

fn told(name: &Tag, out: &Out, hash: impl Fn() -> String) -> Result<()> {
    out.result(
        || json!({"tag": tag::exact(name), "hash": hash()}),
        || format!("{}  {name}", hash()),
    )
}

fn salvage(store: &Store, dry_run: bool, out: &Out) -> Result<Exit> {
    let salvaged = store.salvage_tags()?;
    match &salvaged.from {
        SalvagedFrom::Leftover(file) => {
            out.warn(format_args!("{file} has all tags of an interrupted change"));
        }
        _ => out.warn(
            "what a tag names is proved, since the store has it; a name may be damaged, so have a look at each",
        ),
    }
    let lost = salvaged.lost;
    let exit = restore(store, salvaged.tags, dry_run, out)?;
    if lost == 0 {
        return Ok(exit);
    }
    out.warn(format_args!(
        "{lost} more tags cannot be proved: what they named is damaged, or not in the store. Tag what should \
         stay before the next gc"
    ));
    Ok(Exit::Partial)
}
