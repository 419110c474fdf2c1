//! `flatbao gc`

use flatbao_core::{
    Error, Hash,
    store::{GcItem, GcOptions, GcPlan, Reason, Spared},
};

use crate::{
    args::{Gc, Global},
    error::{CliError, Exit, Result},
    json::{Value, json},
    output::{Out, count, size},
    store::{self, Store},
};

/// How often a plan is made anew when a writer beside it changes the tags.
const ATTEMPTS: usize = 3;

pub(crate) fn run(global: &Global, args: &Gc, out: &mut Out) -> Result<Exit> {
    let options = GcOptions::default().assume_no_tags(args.assume_no_tags);
    if args.dry_run {
        let store = store::to_read(global, out)?;
        return dry_run(&plan(&store, options, out)?, out);
    }
    out.finish_unread();
    let store = store::to_remove(global, "gc", out)?;
    let plan = plan(&store, options, out)?;
    sweep(&store, plan, out)
}

/// In a read-only opening the tags may change at any time, which a second look mends.
fn plan(store: &Store, options: GcOptions, out: &mut Out) -> Result<GcPlan> {
    let mut attempt = 1;
    loop {
        out.meter.start("looking for what is reachable", None);
        let planned = store.plan_gc_with(options, &mut out.meter.watch());
        out.meter.stop();
        match planned {
            Err(Error::TagsChanged) if attempt < ATTEMPTS => {
                attempt += 1;
                store.refresh()?;
            }
            other => return Ok(other?),
        }
    }
}

fn dry_run(plan: &GcPlan, out: &Out) -> Result<Exit> {
    for item in plan.items() {
        tell(item, "would_remove", "would remove", out)?;
    }
    let summary = Summary {
        dry_run: true,
        removed: plan.items().len(),
        kept: 0,
        reachable: plan.live(),
        bytes: plan.bytes(),
    };
    summary.tell(out)?;
    Ok(Exit::Done)
}

fn sweep(store: &Store, plan: GcPlan, out: &mut Out) -> Result<Exit> {
    let reachable = plan.live();
    // In the order of their hashes, as the plan has them.
    let items = plan.items().iter();
    let sizes: Vec<(Hash, u64)> = items.map(|item| (item.hash, item.bytes)).collect();
    out.meter.start("removing", None);
    let swept = store.sweep_with(plan, &mut out.meter.watch());
    out.meter.stop();
    let swept = swept?;
    for item in &swept.removed {
        tell(item, "removed", "removed", out)?;
    }
    let mut exit = Exit::Done;
    let kept = swept.spared.len();
    for spared in swept.spared {
        let at = sizes.binary_search_by_key(&spared.hash, |(hash, _)| *hash);
        let bytes = at.map_or(0, |at| sizes[at].1);
        if tell_kept(spared, bytes, out)? {
            exit = Exit::Partial;
        }
    }
    let summary = Summary {
        dry_run: false,
        removed: swept.removed.len(),
        kept,
        reachable,
        bytes: swept.removed.iter().map(|item| item.bytes).sum(),
    };
    summary.tell(out)?;
    Ok(exit)
}

fn tell(item: &GcItem, action: &str, verb: &str, out: &Out) -> Result<()> {
    if !out.is_json() && !out.is_verbose() && !out.is_quiet() {
        return Ok(());
    }
    out.result_or(
        item.hash,
        || json!({"hash": item.hash.to_string(), "size": item.bytes, "action": action}),
        || format!("{verb} {}  {}", item.hash, size(item.bytes)),
    )
}

/// Returns whether that is a failure.
fn tell_kept(spared: Spared, bytes: u64, out: &Out) -> Result<bool> {
    let hash = spared.hash;
    let (reason, failure) = match spared.reason {
        Reason::Changed => ("changed", None),
        Reason::Quarantined => ("quarantined", None),
        Reason::Failed(error) => ("failed", Some(CliError::from(error))),
        _ => ("other", None),
    };
    let message = failure.as_ref().map(CliError::message);
    match &message {
        Some(message) if !out.is_json() => out.warn(format_args!("kept {hash}: {message}")),
        None if !out.is_json() && !out.is_verbose() => {}
        _ => out.result(
            || kept(hash, bytes, reason, message.as_deref()),
            || format!("kept {hash}: {reason}"),
        )?,
    }
    Ok(failure.is_some())
}

fn kept(hash: Hash, bytes: u64, reason: &str, message: Option<&str>) -> Value {
    let mut object = json!({
        "hash": hash.to_string(),
        "size": bytes,
        "action": "kept",
        "reason": reason,
    });
    if let Some(message) = message {
        object.set("message", message.into());
    }
    object
}

struct Summary {
    dry_run: bool,
    removed: usize,
    kept: usize,
    /// Blobs that something reaches, there or not.
    reachable: u64,
    bytes: u64,
}

impl Summary {
    fn tell(&self, out: &Out) -> Result<()> {
        if out.is_quiet() && !out.is_json() {
            return Ok(());
        }
        out.result(|| self.object(), || self.line())
    }

    fn object(&self) -> Value {
        json!({
            "summary": "gc",
            "dry_run": self.dry_run,
            "removed": self.removed,
            "kept": self.kept,
            "reachable": self.reachable,
            "bytes": self.bytes,
        })
    }

    fn line(&self) -> String {
        let (removed, reachable) = (count(self.removed as u64, "blob"), self.reachable);
        let bytes = size(self.bytes);
        let kept = match self.kept {
            0 => String::new(),
            some => format!("; {some} kept, -v tells why"),
        };
        if self.dry_run {
            format!("would remove {removed}, {bytes}; reachable: {reachable}")
        } else {
            format!("removed {removed}, {bytes} freed; reachable: {reachable}{kept}")
        }
    }
}
