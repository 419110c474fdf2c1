//! Misfortune to order.

use std::{ffi::OsStr, fmt, io};

use crate::{Op, OpKind};

/// An operation that is to fail.
///
/// A fault strikes once, the first time that it fits, unless it is [`sticky`](Self::sticky). What a
/// failing operation was to do is not done, but for syncs: those lose what they were to make durable,
/// and no later sync brings it back.
pub struct Fault {
    fits: Box<dyn Fn(&Op) -> bool + Send>,
    error: Reported,
    skip: u64,
    sticky: bool,
    after_effect: bool,
    unheard: bool,
    ignored: bool,
    spent: bool,
}

impl Fault {
    /// Strikes the first operation that `fits`, which sees it with a result of `Ok(0)` and must not touch
    /// the disk.
    #[must_use]
    pub fn matching(fits: impl Fn(&Op) -> bool + Send + 'static) -> Self {
        Self {
            fits: Box::new(fits),
            error: Reported::Kind(io::ErrorKind::Other),
            skip: 0,
            sticky: false,
            after_effect: false,
            unheard: false,
            ignored: false,
            spent: false,
        }
    }

    /// Strikes the operation of this number.
    #[must_use]
    pub fn at(number: u64) -> Self {
        Self::matching(move |op| op.number == number)
    }

    /// Strikes the operation of this number and every one after it.
    #[must_use]
    pub fn from(number: u64) -> Self {
        Self::matching(move |op| op.number >= number).sticky()
    }

    /// The process dies before the operation of this number: from then on no operation has any effect, and
    /// a sync loses nothing, since it was never called. What is left is for
    /// [`kill`](crate::SimDisk::kill) or [`crash`](crate::SimDisk::crash) to take.
    #[must_use]
    pub fn death_at(number: u64) -> Self {
        let mut fault = Self::from(number);
        fault.unheard = true;
        fault
    }

    /// Strikes the first operation of this kind.
    #[must_use]
    pub fn on(kind: OpKind) -> Self {
        Self::matching(move |op| op.kind == kind)
    }

    /// Strikes the first operation of this kind on this name; for a rename, the old name.
    #[must_use]
    pub fn on_name(kind: OpKind, name: impl AsRef<OsStr>) -> Self {
        let name = name.as_ref().to_owned();
        Self::matching(move |op| op.is(kind, &name))
    }

    /// The error that is reported: `Other` unless told.
    #[must_use]
    pub fn error(mut self, kind: io::ErrorKind) -> Self {
        self.error = Reported::Kind(kind);
        self
    }

    /// The error that is reported, by the number that this system has for it.
    #[must_use]
    pub fn errno(mut self, number: i32) -> Self {
        self.error = Reported::Errno(number);
        self
    }

    /// Spares the first so many operations that fit.
    #[must_use]
    pub fn skip(mut self, operations: u64) -> Self {
        self.skip = operations;
        self
    }

    /// Strikes every time.
    #[must_use]
    pub fn sticky(mut self) -> Self {
        self.sticky = true;
        self
    }

    /// The operation does what it was to do, and then reports the error.
    #[must_use]
    pub fn after_effect(mut self) -> Self {
        self.after_effect = true;
        self
    }

    /// The sync is not done, and `Ok` says that it was: as a disk does that answers from its own cache, or a program
    /// that leaves the sync out. Of no effect on what is no sync.
    #[must_use]
    pub fn ignored(mut self) -> Self {
        self.ignored = true;
        self
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("error", &self.error)
            .field("skip", &self.skip)
            .field("sticky", &self.sticky)
            .field("after_effect", &self.after_effect)
            .field("ignored", &self.ignored)
            .field("spent", &self.spent)
            .finish_non_exhaustive()
    }
}

/// An error, as often as it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reported {
    Kind(io::ErrorKind),
    Errno(i32),
}

impl From<Reported> for io::Error {
    fn from(error: Reported) -> Self {
        match error {
            Reported::Kind(kind) => kind.into(),
            Reported::Errno(number) => Self::from_raw_os_error(number),
        }
    }
}

/// What is to become of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Fail(Reported),
    /// The caller is told of a failure, the disk was told nothing.
    NotCalled(Reported),
    FailAfterEffect(Reported),
    /// The caller is told of a success, the disk was told nothing.
    Ignored,
}

/// Everything that is to go wrong on one disk.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) faults: Vec<Fault>,
    /// The most bytes that one read or write moves.
    pub(crate) transfer: Option<usize>,
    /// The bytes that may still be written before the disk is full.
    pub(crate) space: Option<u64>,
}

impl Plan {
    /// The fault that was injected first decides.
    pub(crate) fn judge(&mut self, op: &Op) -> Verdict {
        for fault in &mut self.faults {
            if fault.spent || !(fault.fits)(op) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.spent = !fault.sticky;
            if fault.ignored {
                match op.kind.is_sync() {
                    true => return Verdict::Ignored,
                    false => continue,
                }
            }
            return match (fault.after_effect, fault.unheard) {
                (true, _) => Verdict::FailAfterEffect(fault.error),
                (_, true) => Verdict::NotCalled(fault.error),
                _ => Verdict::Fail(fault.error),
            };
        }
        Verdict::Pass
    }

    /// How many of `len` bytes one call moves.
    pub(crate) fn transfer(&self, len: usize) -> usize {
        self.transfer.map_or(len, |most| len.min(most))
    }

    /// Takes up to `len` bytes from the space that is left.
    ///
    /// # Errors
    /// `StorageFull` when none is.
    pub(crate) fn take_space(&mut self, len: usize) -> io::Result<usize> {
        let Some(left) = &mut self.space else {
            return Ok(len);
        };
        let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(len);
        if taken == 0 && len > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *left -= taken as u64;
        Ok(taken)
    }
}
