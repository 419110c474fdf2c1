//! `flatbao stat`

use flatbao_core::{
    BlobFormat, Error, Hash,
    store::{
        BlobInfo, FileInfo, HomeInfo, PartialInfo, Place, Reached, ReachedBy, State, Status,
        UnreadSequence,
    },
    tree::{GROUP, groups},
};

use crate::{
    args::{Global, Stat},
    collection,
    commands::{ls::percent, tag},
    error::{CliError, Exit, Result},
    json::{self, Value, json},
    output::{Out, Tally, printable, size},
    reference,
    store::{self, Store},
};

pub(crate) fn run(global: &Global, args: &Stat, out: &mut Out) -> Result<Exit> {
    let store = store::to_read(global, out)?;
    let found = reference::resolve(&store, &args.reference)?;
    let mut problems = Vec::new();
    let mut facts = Facts::gather(&store, found.hash, out, &mut problems)?;
    // A blob that cannot be read means something all the same, and nobody knows what.
    facts.format = collection::format(&store, &found).ok();
    out.result_or(found.hash, || facts.object(), || facts.lines())?;
    let mut tally = Tally::default();
    tally.done();
    for error in problems {
        tally.skipped(out, &error.into());
    }
    if !facts.is_whole() {
        tally.note(Exit::Partial);
    }
    let unread = facts.reached.into_iter().flat_map(|reached| reached.unread);
    for unread in unread {
        tally.note(CliError::from(unread.error).exit());
    }
    Ok(tally.exit())
}

/// Everything about one blob.
struct Facts {
    blob: BlobInfo,
    /// In bytes; `None` when not even a claim can be read.
    size: Option<u64>,
    is_proved: bool,
    format: Option<BlobFormat>,
    files: Vec<FileInfo>,
    homes: Vec<HomeInfo>,
    partials: Vec<PartialInfo>,
    /// `None` when the tags cannot be read.
    reached: Option<Reached>,
}

impl Facts {
    fn gather(store: &Store, hash: Hash, out: &mut Out, problems: &mut Vec<Error>) -> Result<Self> {
        let blob = blob(store, hash)?;
        out.meter.start("proving what is there", None);
        let partials = store.partials_with(hash, &mut out.meter.watch());
        let partials = noted(partials, problems).unwrap_or_default();
        let proved = match blob.state {
            State::Complete => {
                let reader = store.reader_with(hash, &mut out.meter.watch());
                noted(reader.and_then(|reader| reader.proven_size()), problems)
            }
            State::Partial => partials
                .iter()
                .find(|partial| proves_its_size(partial))
                .map(|partial| partial.claimed_size),
        };
        out.meter.start("looking for tags that reach it", None);
        let reached = store.reached_by_with(hash, &mut out.meter.watch());
        out.meter.stop();
        Ok(Self {
            blob,
            size: proved.or_else(|| store.claimed_size(hash).ok()),
            is_proved: proved.is_some(),
            format: None,
            files: store.files(hash),
            homes: store.homes(hash),
            partials,
            reached: noted(reached, problems),
        })
    }

    /// Whether everything could be read, and every home has the right length.
    fn is_whole(&self) -> bool {
        let reached = self.reached.as_ref();
        self.homes.iter().all(|home| self.problem(home).is_none())
            && self.files.iter().all(|file| file.len.is_ok())
            && reached.is_some_and(|reached| reached.unread.is_empty())
    }

    /// Why a home cannot be what it should be.
    fn problem(&self, home: &HomeInfo) -> Option<String> {
        match (&home.len, self.size) {
            (Err(error), _) => Some(chain(error)),
            (Ok(len), Some(size)) if *len != size => {
                Some(format!("has {len} bytes where the blob has {size}"))
            }
            _ => None,
        }
    }

    /// Groups whose bytes are there: of a complete blob by the length of its longest home, of a partial one
    /// those that are proved.
    fn present(&self) -> Option<u64> {
        if self.blob.state == State::Partial {
            return Some(self.partials.iter().map(present).max().unwrap_or(0));
        }
        let size = self.size?;
        let lens = self.homes.iter().filter_map(|home| home.len.as_ref().ok());
        let longest = lens.copied().max().unwrap_or(0);
        // Of a last group that is cut short nothing counts.
        Some(
            if longest >= size && self.homes.iter().any(|home| home.len.is_ok()) {
                groups(size)
            } else {
                longest / GROUP
            },
        )
    }

    fn state(&self) -> &'static str {
        match self.blob.state {
            State::Complete => "complete",
            State::Partial => "partial",
        }
    }

    fn object(&self) -> Value {
        let reached = self.reached.as_ref();
        json!({
            "hash": self.blob.hash.to_string(),
            "size": self.size,
            "size_proved": self.is_proved,
            "state": self.state(),
            "format": self.format.map(|format| format.to_string()),
            "groups": self.size.map(groups),
            "groups_present": self.present(),
            "files": self.files.iter().map(file_object).collect::<Value>(),
            "homes": self.homes.iter().map(|home| self.home_object(home)).collect::<Value>(),
            "partials": self.partials.iter().map(partial_object).collect::<Value>(),
            "tags": reached.map(|reached| reached.by.iter().map(tag_object).collect::<Value>()),
            "unread": reached.map(|reached| reached.unread.iter().map(unread_object).collect::<Value>()),
        })
    }

    fn home_object(&self, home: &HomeInfo) -> Value {
        let problem = self.problem(home);
        let mut object = json!({
            "place": place(home),
            "size": home.len.as_ref().ok().copied(),
            "ok": problem.is_none(),
        });
        if let Place::External(path) = &home.place {
            object.set("path", path.as_str().into());
        }
        if let Some(problem) = problem {
            object.set("problem", problem.into());
        }
        object
    }

    /// One fact a line; what there are several of has several lines.
    fn lines(&self) -> String {
        let mut lines = Lines::default();
        lines.add("hash", self.blob.hash);
        let proved = if self.is_proved {
            "proved"
        } else {
            "not proved"
        };
        lines.add(
            "size",
            match self.size {
                Some(bytes) => format!("{} ({bytes} bytes), {proved}", size(bytes)),
                None => "not known".to_owned(),
            },
        );
        lines.add("state", self.state());
        if let Some(format) = self.format {
            lines.add("format", format);
        }
        if let (Some(present), Some(all)) = (self.present(), self.size.map(groups)) {
            lines.add("groups", format!("{present} of {all}, 16 KiB each"));
        }
        for file in &self.files {
            let len = shown(&file.len);
            lines.add("file", format!("{len}  {}", file.name));
        }
        for home in &self.homes {
            lines.add("home", self.home_line(home));
        }
        for partial in &self.partials {
            lines.add("partial", partial_line(partial));
        }
        match &self.reached {
            Some(reached) => add_tags(reached, &mut lines),
            None => lines.add("tags", "not known"),
        }
        lines.text
    }

    fn home_line(&self, home: &HomeInfo) -> String {
        let (len, place) = (shown(&home.len), place(home));
        let mut line = match &home.place {
            Place::External(path) => format!("{len}  {place}  {}", printable(path)),
            _ => format!("{len}  {place}"),
        };
        if let Some(problem) = self.problem(home) {
            line.push_str(&format!(": {problem}"));
        }
        line
    }
}

/// What is there of the blob. In a read-only opening a writer may just have added it.
fn blob(store: &Store, hash: Hash) -> Result<BlobInfo> {
    if store.status(hash) == Status::Missing {
        store.refresh()?;
    }
    match store.status(hash) {
        Status::Present(blob) => Ok(blob),
        Status::Missing => Err(Error::NotFound(hash).into()),
    }
}

fn noted<T>(result: flatbao_core::Result<T>, problems: &mut Vec<Error>) -> Option<T> {
    result.map_err(|error| problems.push(error)).ok()
}

fn proves_its_size(partial: &PartialInfo) -> bool {
    let last = partial.groups.last();
    last.is_some_and(|last| last.end == groups(partial.claimed_size))
}

fn present(partial: &PartialInfo) -> u64 {
    partial.groups.iter().map(|run| run.end - run.start).sum()
}

fn place(home: &HomeInfo) -> &'static str {
    match home.place {
        Place::Owned => "owned",
        Place::External(_) => "external",
        _ => "listed",
    }
}

fn file_object(file: &FileInfo) -> Value {
    json!({"name": file.name.to_string(), "size": file.len.as_ref().ok().copied()})
}

fn partial_object(partial: &PartialInfo) -> Value {
    let ranges = partial
        .groups
        .iter()
        .map(|run| json::pair(run.start, Some(run.end)));
    json!({
        "uuid": partial.uuid.to_string(),
        "size": partial.claimed_size,
        "verified": partial.verified(),
        "groups": groups(partial.claimed_size),
        "groups_present": present(partial),
        "ranges": ranges.collect::<Value>(),
    })
}

fn partial_line(partial: &PartialInfo) -> String {
    let (verified, total) = (partial.verified(), partial.claimed_size);
    let runs = partial.groups.iter();
    let runs: Vec<String> = runs
        .map(|run| format!("{}..{}", run.start, run.end))
        .collect();
    let percent = percent(verified, total.max(1));
    let mut line = format!(
        "{:>11}  {} verified ({percent}%)",
        size(verified),
        partial.uuid
    );
    if !runs.is_empty() {
        let all = groups(total);
        line.push_str(&format!(", groups {} of {all}", runs.join(" ")));
    }
    line
}

fn tag_object(by: &ReachedBy) -> Value {
    let mut object = tag::names(&by.tag);
    object.set("through", by.through.map(|hash| hash.to_string()).into());
    object
}

fn unread_object(unread: &UnreadSequence) -> Value {
    json!({
        "hash": unread.hash.to_string(),
        "tags": unread.tags.iter().map(tag::exact).collect::<Value>(),
        "problem": chain(&unread.error),
    })
}

fn add_tags(reached: &Reached, lines: &mut Lines) {
    for by in &reached.by {
        lines.add(
            "tag",
            match by.through {
                Some(sequence) => format!("{}, through {sequence}", by.tag),
                None => by.tag.to_string(),
            },
        );
    }
    for unread in &reached.unread {
        let problem = chain(&unread.error);
        for tag in &unread.tags {
            lines.add("unread", format!("{tag} may list it, too: {problem}"));
        }
    }
}

fn shown(len: &flatbao_core::Result<u64>) -> String {
    let len = len
        .as_ref()
        .map_or_else(|_| "?".to_owned(), |len| size(*len));
    format!("{len:>11}")
}

fn chain(error: &Error) -> String {
    flatbao_core::text::chain(error)
}

/// Keys and values, aligned.
#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn add(&mut self, key: &str, value: impl std::fmt::Display) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&format!("{key:<8}  {value}"));
    }
}
