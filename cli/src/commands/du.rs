//! `flatbao du`

use std::ffi::OsStr;

use flatbao_core::{
    BlobFormat, HashAndFormat, Tag,
    store::{Footprint, State, Status, Subject, Tagged, UnreadSequence, Usage},
};

use crate::{
    args::{Du, Global},
    collection,
    commands::tag,
    error::{CliError, Exit, Result},
    json::{Value, json},
    output::{Out, Tally, count, exact, printable, size},
    reference::{self, Resolved},
    store::{self, Store},
};

pub(crate) fn run(global: &Global, args: &Du, out: &mut Out) -> Result<Exit> {
    let store = store::to_read(global, out)?;
    let mut tally = Tally::default();
    let mut table = Table {
        is_exact: args.long,
        has_head: false,
        out,
    };
    if args.references.is_empty() {
        whole(&store, args.long, &mut table, &mut tally)?;
        return Ok(tally.exit());
    }
    if let Err(error) = store.tags() {
        tally.skipped(table.out, &error.into());
    }
    for reference in &args.references {
        if let Err(error) = single(&store, reference, &mut table, &mut tally) {
            tally.failed(table.out, &error);
        }
    }
    Ok(tally.exit())
}

fn whole(store: &Store, long: bool, table: &mut Table<'_>, tally: &mut Tally) -> Result<()> {
    table.out.meter.start("measuring", None);
    let usage = store.usage_with(&mut table.out.meter.watch());
    table.out.meter.stop();
    let usage = usage?;
    tally.done();
    if long && let Ok(tagged) = &usage.tagged {
        for usage in &tagged.tags {
            let footprint = usage.footprint.as_ref();
            table.row(&Named::tag(&usage.tag), &usage.value, footprint)?;
        }
        table.end()?;
    }
    let out = &*table.out;
    let summary = Summary { usage: &usage };
    out.result(|| summary.object(), || summary.lines())?;
    let untold = usage.unmeasured_count - usage.unmeasured.len() as u64;
    for error in usage.unmeasured {
        tally.skipped(out, &error.into());
    }
    if untold > 0 {
        out.warn(format_args!("{untold} more cannot be measured"));
    }
    match usage.tagged {
        Ok(tagged) => {
            if tagged.missing > 0 {
                tally.note(Exit::Partial);
            }
            tell_unread(tagged.unread, out, tally);
        }
        Err(error) => tally.skipped(out, &error.into()),
    }
    Ok(())
}

fn single(
    store: &Store,
    reference: &OsStr,
    table: &mut Table<'_>,
    tally: &mut Tally,
) -> Result<()> {
    let found = reference::resolve(store, reference)?;
    let value = HashAndFormat {
        hash: found.hash,
        format: format(store, &found)?,
    };
    let (named, subject) = match found.tag {
        Some(tag) => (Named::tag(&tag), Subject::Tag(tag)),
        None => (Named::argument(reference), Subject::Blob(value)),
    };
    let out = &mut *table.out;
    out.meter.start("measuring", None);
    let share = store.usage_of_with(&subject, &mut out.meter.watch());
    out.meter.stop();
    let share = share?;
    table.row(&named, &value, Some(&share.footprint))?;
    tally.done();
    if share.footprint.missing > 0 || share.footprint.unmeasured > 0 {
        tally.note(Exit::Partial);
    }
    tell_unread(share.unread, table.out, tally);
    Ok(())
}

/// What is only partly there is measured as a blob: what it may list is not known.
fn format(store: &Store, found: &Resolved) -> Result<BlobFormat> {
    match store.status(found.hash) {
        Status::Present(blob) if blob.state == State::Partial => {
            Ok(found.format.unwrap_or(BlobFormat::Raw))
        }
        _ => collection::format(store, found),
    }
}

fn tell_unread(unread: Vec<UnreadSequence>, out: &Out, tally: &mut Tally) {
    for unread in unread {
        let error = CliError::from(unread.error);
        if out.is_json() {
            out.skipped(&error);
        } else {
            let problem = error.message();
            for tag in unread.tags {
                out.warn(format_args!(
                    "what tag {tag} adds up to is not known: {problem}"
                ));
            }
        }
        tally.note(error.exit());
    }
}

/// What a row is about, for people and for programs.
struct Named {
    shown: String,
    exact: String,
}

impl Named {
    fn tag(name: &Tag) -> Self {
        Self {
            shown: name.to_string(),
            exact: tag::exact(name),
        }
    }

    fn argument(reference: &OsStr) -> Self {
        Self {
            shown: printable(reference),
            exact: exact(reference),
        }
    }
}

/// One row for each tag or blob, below a head.
struct Table<'a> {
    is_exact: bool,
    has_head: bool,
    out: &'a mut Out,
}

impl Table<'_> {
    fn row(
        &mut self,
        named: &Named,
        value: &HashAndFormat,
        footprint: Option<&Footprint>,
    ) -> Result<()> {
        if !self.has_head && !self.out.is_json() && !self.out.is_quiet() {
            self.has_head = true;
            let head = || format!("{:>14}  {:>14}  {:>14}  ref", "total", "own", "shared");
            self.out.result(|| Value::Null, head)?;
        }
        self.out.result_or(
            &named.shown,
            || object(named, value, footprint),
            || self.line(named, footprint),
        )
    }

    /// Sets what follows apart.
    fn end(&self) -> Result<()> {
        if self.has_head {
            self.out.bytes(b"\n")?;
        }
        Ok(())
    }

    fn line(&self, named: &Named, footprint: Option<&Footprint>) -> String {
        let shown = |bytes: Option<u64>| match bytes {
            None => "-".to_owned(),
            Some(bytes) if self.is_exact => bytes.to_string(),
            Some(bytes) => size(bytes),
        };
        let total = shown(footprint.map(|footprint| footprint.total));
        let own = shown(footprint.and_then(|footprint| footprint.own));
        let shared = shown(footprint.and_then(Footprint::shared));
        let mut line = format!("{total:>14}  {own:>14}  {shared:>14}  {}", named.shown);
        let missing = footprint.map_or(0, |footprint| footprint.missing);
        if missing > 0 {
            line.push_str(&format!("  ({} missing)", count(missing, "blob")));
        }
        line
    }
}

fn object(named: &Named, value: &HashAndFormat, footprint: Option<&Footprint>) -> Value {
    json!({
        "ref": named.exact.as_str(),
        "hash": value.hash.to_string(),
        "format": value.format.to_string(),
        "blobs": footprint.map(|footprint| footprint.blobs),
        "total": footprint.map(|footprint| footprint.total),
        "distinct": footprint.map(|footprint| footprint.distinct),
        "own": footprint.and_then(|footprint| footprint.own),
        "shared": footprint.and_then(Footprint::shared),
        "missing": footprint.map(|footprint| footprint.missing),
        "unmeasured": footprint.map(|footprint| footprint.unmeasured),
    })
}

struct Summary<'a> {
    usage: &'a Usage,
}

impl Summary<'_> {
    fn tagged(&self) -> Option<&Tagged> {
        self.usage.tagged.as_ref().ok()
    }

    fn object(&self) -> Value {
        let (usage, tagged) = (self.usage, self.tagged());
        let stored = &usage.stored;
        json!({
            "summary": "du",
            "logical": tagged.map(|tagged| tagged.logical),
            "shared": tagged.map(|tagged| tagged.shared),
            "stored": stored.total(),
            "data": stored.data,
            "outboards": stored.outboards,
            "paths": stored.paths,
            "partials": stored.partials,
            "tags": stored.tags,
            "external": usage.external,
            "reclaimable": tagged.and_then(|tagged| tagged.reclaimable),
            "complete": usage.complete,
            "partial": usage.partial,
            "missing": tagged.map(|tagged| tagged.missing),
            "unmeasured": usage.unmeasured_count,
        })
    }

    fn lines(&self) -> String {
        let (usage, tagged) = (self.usage, self.tagged());
        let stored = &usage.stored;
        let line = |key: &str, bytes: Option<u64>, word: String| {
            let bytes = bytes.map_or_else(|| "-".to_owned(), size);
            let line = format!("{key:<11}  {bytes:>11}  {word}");
            line.trim_end().to_owned()
        };
        let tags = match tagged {
            Some(tagged) => count(tagged.tags.len() as u64, "tag"),
            None => "the tags are not known".to_owned(),
        };
        let mut lines = vec![
            line("logical", tagged.map(|tagged| tagged.logical), tags),
            line("shared", tagged.map(|tagged| tagged.shared), String::new()),
            line("stored", Some(stored.total()), self.parts()),
            line("external", Some(usage.external), String::new()),
        ];
        let reclaimable = tagged.and_then(|tagged| tagged.reclaimable);
        let word = match reclaimable {
            Some(0) => "",
            Some(_) => "flatbao gc",
            None => "gc would refuse: not everything that lives can be told",
        };
        lines.push(line("reclaimable", reclaimable, word.to_owned()));
        let missing = tagged.map_or(0, |tagged| tagged.missing);
        if missing > 0 {
            lines.push(format!(
                "{:<11}  {missing:>11}  blobs that tags reach are not there",
                "missing"
            ));
        }
        lines.join("\n")
    }

    /// What is stored, by kind.
    fn parts(&self) -> String {
        let stored = &self.usage.stored;
        let kinds = [
            (stored.data, "data"),
            (stored.outboards, "outboards"),
            (stored.paths, "path lists"),
            (stored.partials, "partial"),
            (stored.tags, "tags"),
        ];
        let kinds = kinds.iter().filter(|(bytes, _)| *bytes > 0);
        let kinds: Vec<String> = kinds
            .map(|(bytes, kind)| format!("{kind} {}", size(*bytes)))
            .collect();
        let blobs = count(self.usage.complete + self.usage.partial, "blob");
        format!("{blobs}: {}", kinds.join(", "))
    }
}
