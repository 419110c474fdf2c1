//! What is done in a story: every operation of a store, the misfortunes between them, and their short names.

use std::{fmt, str::FromStr};

use super::contents::{Blob, Value};

/// One of the two tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Name {
    /// The first.
    X,
    /// The second.
    Y,
}

impl Name {
    /// Both.
    pub const ALL: [Self; 2] = [Self::X, Self::Y];

    /// Its text.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::X => "x",
            Self::Y => "y",
        }
    }
}

/// Which groups of a blob come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Every group.
    All,
    /// The first.
    First,
    /// The last.
    Last,
}

/// How a blob leaves the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// A copy, into a directory that has to be made.
    Copy,
    /// The store refers to the file.
    Reference,
    /// The store forgets the blob.
    Forget,
}

/// What becomes of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// It closes the store.
    Close,
    /// It is killed.
    Kill,
    /// The power fails, and nothing unsynced is left.
    PowerLoss,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// An import of bytes.
    Import(Blob),
    /// An import of several blobs in one batch.
    Batch,
    /// An import by reference of the file outside that has these bytes.
    Refer(Blob),
    /// Groups of a blob are received; it is completed where nothing is missing then.
    Receive(Blob, Part),
    /// A tag is set.
    SetTag(Name, Value),
    /// A tag is removed.
    RemoveTag(Name),
    /// A blob is deleted.
    Delete(Blob),
    /// A temporary tag is taken.
    Hold(Value),
    /// All temporary tags are dropped.
    LetGo,
    /// A collection is planned.
    Plan,
    /// The plan is carried out.
    Sweep,
    /// A blob is exported.
    Export(Blob, Way),
    /// Everything is looked at and mended.
    Repair,
    /// The process ends and another one opens the store.
    Reopen(End),
    /// A byte of the data goes wrong on the disk while the store is closed.
    Spoil(Blob),
    /// The outboard goes wrong likewise.
    Break(Blob),
    /// A blob is imported by a process that syncs nothing, as the peer's did, and which is killed then.
    Careless(Blob),
}

impl Step {
    /// The blobs of a batch.
    pub const BATCH: [Blob; 3] = [Blob::Other, Blob::Large, Blob::List];

    /// Every step that there is, in a fixed order.
    #[must_use]
    pub fn all() -> Vec<Self> {
        use Blob::{Large, List, Other, Small, Wide};
        let mut all: Vec<Self> = Blob::ALL.map(Self::Import).to_vec();
        all.extend([
            Self::Batch,
            Self::Refer(Small),
            Self::Refer(Large),
            Self::Refer(Other),
            Self::Receive(Small, Part::All),
            Self::Receive(Large, Part::First),
            Self::Receive(Large, Part::Last),
            Self::Receive(Wide, Part::First),
            Self::Receive(Wide, Part::Last),
            Self::SetTag(Name::X, Value::Raw(Small)),
            Self::SetTag(Name::X, Value::Raw(Large)),
            Self::SetTag(Name::X, Value::Sequence),
            Self::SetTag(Name::Y, Value::Raw(Large)),
            Self::SetTag(Name::X, Value::Raw(Other)),
            Self::SetTag(Name::Y, Value::Raw(Wide)),
            Self::RemoveTag(Name::X),
            Self::RemoveTag(Name::Y),
            Self::Delete(Small),
            Self::Delete(Large),
            Self::Delete(List),
            Self::Delete(Wide),
            Self::Hold(Value::Raw(Large)),
            Self::Hold(Value::Sequence),
            Self::LetGo,
            Self::Plan,
            Self::Sweep,
            Self::Export(Large, Way::Copy),
            Self::Export(Large, Way::Reference),
            Self::Export(Large, Way::Forget),
            Self::Export(Small, Way::Reference),
            Self::Repair,
            Self::Reopen(End::Close),
            Self::Reopen(End::Kill),
            Self::Reopen(End::PowerLoss),
            Self::Spoil(Large),
            Self::Break(Large),
            Self::Careless(Large),
        ]);
        all
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Import(blob) => write!(f, "import-{blob}"),
            Self::Batch => f.write_str("batch"),
            Self::Refer(blob) => write!(f, "refer-{blob}"),
            Self::Receive(blob, Part::All) => write!(f, "receive-{blob}"),
            Self::Receive(blob, Part::First) => write!(f, "first-{blob}"),
            Self::Receive(blob, Part::Last) => write!(f, "last-{blob}"),
            Self::SetTag(name, value) => write!(f, "tag-{}-{value}", name.text()),
            Self::RemoveTag(name) => write!(f, "untag-{}", name.text()),
            Self::Delete(blob) => write!(f, "delete-{blob}"),
            Self::Hold(value) => write!(f, "hold-{value}"),
            Self::LetGo => f.write_str("let-go"),
            Self::Plan => f.write_str("plan"),
            Self::Sweep => f.write_str("sweep"),
            Self::Export(blob, Way::Copy) => write!(f, "copy-out-{blob}"),
            Self::Export(blob, Way::Reference) => write!(f, "move-out-{blob}"),
            Self::Export(blob, Way::Forget) => write!(f, "forget-{blob}"),
            Self::Repair => f.write_str("repair"),
            Self::Reopen(End::Close) => f.write_str("close"),
            Self::Reopen(End::Kill) => f.write_str("kill"),
            Self::Reopen(End::PowerLoss) => f.write_str("power-loss"),
            Self::Spoil(blob) => write!(f, "spoil-{blob}"),
            Self::Break(blob) => write!(f, "break-{blob}"),
            Self::Careless(blob) => write!(f, "careless-{blob}"),
        }
    }
}

/// A text that no step has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no step of a story")]
pub struct NoStep(pub String);

impl FromStr for Step {
    type Err = NoStep;

    fn from_str(text: &str) -> Result<Self, NoStep> {
        let none = || NoStep(text.to_owned());
        let found = Self::all()
            .into_iter()
            .find(|step| step.to_string() == text);
        if let Some(step) = found {
            return Ok(step);
        }
        // Steps that only stories by hand have.
        let (verb, object) = text.split_once('-').ok_or_else(none)?;
        let blob = || Blob::parse(object).ok_or_else(none);
        match verb {
            "refer" => Ok(Self::Refer(blob()?)),
            "receive" => Ok(Self::Receive(blob()?, Part::All)),
            "spoil" => Ok(Self::Spoil(blob()?)),
            "break" => Ok(Self::Break(blob()?)),
            "careless" => Ok(Self::Careless(blob()?)),
            "tag" => {
                let (name, value) = object.split_once('-').ok_or_else(none)?;
                let name = Name::ALL.into_iter().find(|known| known.text() == name);
                let value = Value::ALL
                    .into_iter()
                    .find(|known| known.to_string() == value);
                Ok(Self::SetTag(
                    name.ok_or_else(none)?,
                    value.ok_or_else(none)?,
                ))
            }
            _ => Err(none()),
        }
    }
}
