//! What a verification finds, for people and for programs, and the command that mends it.

use flatbao_core::{
    Hash,
    store::{Finding, Remedy, Severity},
};

use crate::{
    error::Exit,
    json::{Value, json},
    output::{exact_ranges, short},
};

/// The word that a line begins with.
pub(crate) fn label(finding: &Finding) -> &'static str {
    match finding.severity() {
        Severity::Note => "note",
        Severity::Problem => "problem",
        Severity::Damage => "damage",
    }
}

/// A line for people.
pub(crate) fn line(finding: &Finding) -> String {
    format!("{:<8} {}", label(finding), text(finding))
}

/// What was found about which blob.
pub(crate) fn text(finding: &Finding) -> String {
    match finding.hash() {
        Some(hash) => format!("{hash}  {finding}"),
        None => finding.to_string(),
    }
}

/// An object for programs.
pub(crate) fn object(finding: &Finding) -> Value {
    let mut object = json!({
        "ok": finding.severity() == Severity::Note,
        "finding": finding.kind(),
        "severity": label(finding),
        "message": finding.to_string(),
        "mend": mend(finding.remedy(), finding.hash()),
    });
    if let Some(hash) = finding.hash() {
        object.set("hash", hash.to_string().into());
    }
    if let Some(offset) = finding.offset() {
        object.set("offset", offset.into());
        object.set("groups", exact_ranges(finding.groups()));
    }
    object
}

/// What to do about it, of one blob or of all.
pub(crate) fn mend(remedy: Remedy, hash: Option<Hash>) -> Option<String> {
    let reference = hash.map_or(String::new(), |hash| format!(" {}", short(hash)));
    Some(match remedy {
        Remedy::Repair => format!("`flatbao repair{reference}`"),
        Remedy::RepairThenFill => format!(
            "`flatbao repair{reference}` keeps every good group; then `flatbao add` the same content again"
        ),
        Remedy::Fill => "`flatbao add` the same content again".into(),
        Remedy::BringBack => format!(
            "bring it back as it was, or `flatbao add` the same content; `flatbao repair{reference}` then drops the dead path"
        ),
        Remedy::Grant => "say where it is with --external PREFIX=DIR, or leave out --no-external".into(),
        Remedy::Untag => {
            "`flatbao add` the missing content again, `flatbao receive` what is missing of it, or `flatbao tag rm` the tag".into()
        }
        Remedy::Collect => "`flatbao gc` removes it, unless a tag names it".into(),
        Remedy::Reopen => "the next command that writes removes it".into(),
        Remedy::RestoreTags => {
            "`flatbao repair --tags-from COPY`; `flatbao repair --salvage-tags --dry-run` shows what is left of it; \
             if there were no tags, `flatbao init --assume-no-tags`"
                .into()
        }
        Remedy::LookAtIt => "have a look at it: flatbao leaves it alone".into(),
        _ => return None,
    })
}

/// What mends what was found, so that each remedy is told once.
#[derive(Default)]
pub(crate) struct Remedies {
    /// In the order of their texts, of which there are few.
    by_text: Vec<(String, Remedy, Option<Hash>)>,
}

impl Remedies {
    pub(crate) fn add(&mut self, finding: &Finding) {
        let remedy = finding.remedy();
        let Some(text) = mend(remedy, None) else {
            return;
        };
        let hash = finding.hash();
        match self
            .by_text
            .binary_search_by(|(other, ..)| other.cmp(&text))
        {
            // Of several blobs none is named.
            Ok(at) => {
                let known = &mut self.by_text[at].2;
                *known = known.filter(|known| Some(*known) == hash);
            }
            Err(at) => self.by_text.insert(at, (text, remedy, hash)),
        }
    }

    /// The remedies, each once; with the blob where it is only one.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let remedies = self.by_text.iter();
        remedies.filter_map(|(_, remedy, hash)| mend(*remedy, *hash))
    }

    /// As [`lines`](Self::lines), for what repair has left: that it would mend it is not true of that.
    pub(crate) fn lines_after_repair(mut self) -> impl Iterator<Item = String> {
        let is_other = |remedy: Remedy| !matches!(remedy, Remedy::Repair | Remedy::RepairThenFill);
        self.by_text.retain(|(_, remedy, _)| is_other(*remedy));
        self.by_text
            .into_iter()
            .filter_map(|(_, remedy, hash)| mend(remedy, hash))
    }
}

/// How a run ends that found so much.
pub(crate) fn exit(problems: u64, damage: u64) -> Exit {
    match (problems, damage) {
        (0, 0) => Exit::Done,
        (_, 0) => Exit::Partial,
        _ => Exit::Corrupt,
    }
}
