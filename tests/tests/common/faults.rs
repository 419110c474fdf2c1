//! Errors of the system to order, and how many were.

use std::{
    collections::BTreeSet,
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use flatbao_mem::{Fault, Op};

use super::Machine;

/// What a system may say of a call.
pub const KINDS: [io::ErrorKind; 15] = [
    io::ErrorKind::StorageFull,
    io::ErrorKind::QuotaExceeded,
    io::ErrorKind::ReadOnlyFilesystem,
    io::ErrorKind::PermissionDenied,
    io::ErrorKind::NotFound,
    io::ErrorKind::AlreadyExists,
    io::ErrorKind::InvalidInput,
    io::ErrorKind::TimedOut,
    io::ErrorKind::BrokenPipe,
    io::ErrorKind::WouldBlock,
    io::ErrorKind::OutOfMemory,
    io::ErrorKind::Unsupported,
    io::ErrorKind::CrossesDevices,
    io::ErrorKind::TooManyLinks,
    // What EIO and EMFILE become.
    io::ErrorKind::Other,
];

/// How often an operation fails, and when it says so.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Every operation from there on fails, not that one only.
    pub sticky: bool,
    /// The operation is done, and then said to have failed.
    pub lies: bool,
}

pub const ONCE: Way = Way {
    sticky: false,
    lies: false,
};
pub const FROM_THEN_ON: Way = Way {
    sticky: true,
    lies: false,
};
pub const LYING: Way = Way {
    sticky: false,
    lies: true,
};

impl Way {
    /// Whether it makes a difference to this operation: one that changes nothing and fails was as good as not made.
    pub fn matters(self, op: &Op) -> bool {
        !self.lies || op.kind.is_change() || op.kind.is_sync()
    }

    /// The fault that does so to the operations that `due` has, of which those from `number` on are asked.
    pub fn fault(
        self,
        number: u64,
        kind: io::ErrorKind,
        due: impl Fn(&Op) -> bool + Send + 'static,
    ) -> Fault {
        let fault = Fault::matching(move |op| {
            let is_it = op.number == number || (self.sticky && op.number > number);
            is_it && due(op)
        });
        let fault = fault.error(kind);
        let fault = if self.sticky { fault.sticky() } else { fault };
        match self.lies {
            true => fault.after_effect(),
            false => fault,
        }
    }
}

static INJECTED: AtomicU64 = AtomicU64::new(0);

/// How many faults one test has ordered. It tells when it ends, along with how many all tests of this program have
/// by then.
pub struct Count {
    test: &'static str,
    own: u64,
}

impl Count {
    pub fn of(test: &'static str) -> Self {
        Self { test, own: 0 }
    }

    /// Orders one.
    pub fn inject(&mut self, machine: &Machine, fault: Fault) {
        self.add();
        machine.disk.inject(fault);
    }

    /// One was ordered elsewhere.
    pub fn add(&mut self) {
        self.own += 1;
        INJECTED.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        let all = INJECTED.load(Ordering::Relaxed);
        println!(
            "faults: {all} injected, {} of them by {}",
            self.own, self.test
        );
    }
}

/// A sync that failed is not tried again: not on the same file, not on the same directory.
pub fn never_synced_again(trace: &[Op], told: &str) {
    let mut failed = BTreeSet::new();
    for op in trace.iter().filter(|op| op.kind.is_sync()) {
        let what = (op.dir.clone(), op.name.clone());
        assert!(!failed.contains(&what), "{told}: {op} again");
        if op.result.is_err() {
            failed.insert(what);
        }
    }
}
