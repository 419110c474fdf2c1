//! `flatbao doctor`

use std::{cmp::Reverse, ops::ControlFlow};

use flatbao_core::store::{Checked, Finding, State, Verified, VerifyOptions};
use flatbao_fs::{Found, Layout, probe};

use crate::{
    args::Global,
    error::{Exit, Result},
    findings,
    json::{Value, json},
    output::{Out, exact, printable},
    platform,
    store::{self, Store},
};

pub(crate) fn run(global: &Global, out: &mut Out) -> Result<Exit> {
    let store = store::to_read(global, out)?;
    let about = About::new(global, &store)?;
    if !out.is_json() {
        about.tell(out)?;
    }
    out.meter.start("looking the store over", None);
    // The worst first; there are few kinds.
    let mut kinds: Vec<Kind> = Vec::new();
    let mut each = |checked| {
        if let Checked::Finding(finding) = checked {
            let place = |finding: &Finding| (Reverse(finding.severity()), finding.kind());
            let wanted = place(&finding);
            match kinds.binary_search_by_key(&wanted, |kind| place(&kind.example)) {
                Ok(at) => kinds[at].count += 1,
                Err(at) => {
                    let example = finding;
                    kinds.insert(at, Kind { count: 1, example });
                }
            }
        }
        ControlFlow::Continue(())
    };
    let verified = store.verify(&VerifyOptions::default(), &mut each, &mut out.meter.watch())?;
    out.meter.stop();
    for kind in &kinds {
        kind.tell(out)?;
    }
    if out.is_json() {
        out.result(|| about.object(&verified), String::new)?;
    } else if kinds.is_empty() {
        let text = "nothing is odd about it; `flatbao verify` reads all data";
        out.result(|| Value::Null, || text.to_owned())?;
    }
    Ok(findings::exit(verified.problems, verified.damage))
}

/// What the store is like as a whole.
struct About {
    path: String,
    shown: String,
    layout: String,
    /// Whether another process writes; nothing where that cannot be told.
    locked: Option<bool>,
    blobs: u64,
    partial: u64,
    tags: Option<usize>,
}

impl About {
    fn new(global: &Global, store: &Store) -> Result<Self> {
        let (layout, areas) = match probe(&global.store)? {
            Found::Store(Layout::Single) => ("one directory".to_owned(), None),
            Found::Store(layout) => (layout.to_string(), layout.directories()),
            // It was there a moment ago.
            _ => ("unknown".to_owned(), None),
        };
        let areas = areas.map_or(vec![""], Vec::from);
        let locks = areas
            .into_iter()
            .map(|area| global.store.join(area).join("lock"));
        let told: Vec<_> = locks.map(|lock| platform::is_locked(&lock)).collect();
        let locked = if told.contains(&Some(true)) {
            Some(true)
        } else {
            told.into_iter().min().flatten()
        };
        let (mut blobs, mut partial) = (0, 0);
        for blob in store.blobs() {
            match blob.state {
                State::Complete => blobs += 1,
                State::Partial => partial += 1,
            }
        }
        Ok(Self {
            path: exact(&global.store),
            shown: printable(&global.store),
            layout,
            locked,
            blobs,
            partial,
            tags: store.tags().ok().map(|tags| tags.len()),
        })
    }

    fn tell(&self, out: &Out) -> Result<()> {
        if out.is_quiet() {
            return Ok(());
        }
        let lock = match self.locked {
            Some(true) => "held: another process writes",
            Some(false) => "free",
            None => "not to be told",
        };
        let tags = self
            .tags
            .map_or("not to be read".to_owned(), |count| count.to_string());
        for (key, value) in [
            ("store", self.shown.clone()),
            ("layout", self.layout.clone()),
            ("lock", lock.to_owned()),
            (
                "blobs",
                format!("{} complete, {} partial", self.blobs, self.partial),
            ),
            ("tags", tags),
        ] {
            out.result(|| Value::Null, || format!("{key:<8} {value}"))?;
        }
        Ok(())
    }

    fn object(&self, verified: &Verified) -> Value {
        json!({
            "summary": "doctor",
            "store": self.path.as_str(),
            "layout": self.layout.as_str(),
            "locked": self.locked,
            "blobs": self.blobs,
            "partial": self.partial,
            "tags": self.tags,
            "notes": verified.notes,
            "problems": verified.problems,
            "damage": verified.damage,
        })
    }
}

/// All findings of one kind.
struct Kind {
    count: u64,
    example: Finding,
}

impl Kind {
    fn tell(&self, out: &Out) -> Result<()> {
        let Self { count, example } = self;
        // Of several blobs none is named.
        let hash = example.hash().filter(|_| *count == 1);
        let mend = findings::mend(example.remedy(), hash);
        let label = findings::label(example);
        out.result(
            || {
                json!({
                    "finding": example.kind(),
                    "severity": label,
                    "count": *count,
                    "example": findings::text(example),
                    "mend": mend.clone(),
                })
            },
            || {
                let more = match count {
                    1 => String::new(),
                    _ => format!(" ({count} such)"),
                };
                format!("{label:<8} {}{more}", findings::text(example))
            },
        )?;
        if let Some(mend) = mend.filter(|_| !out.is_json() && !out.is_quiet()) {
            out.hint(&mend);
        }
        Ok(())
    }
}
