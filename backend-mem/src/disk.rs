//! A disk that exists in memory only: it counts, it fails to order, and it loses power.

use std::{
    ffi::OsStr,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    Fault, Images, Moment, NameOrder, Op, OpKind, SimDir,
    content::Content,
    fault::{Plan, Verdict},
    machine::{DirNode, Machine, Node},
    moments::Recorder,
    names::NodeId,
    op::Record,
};

/// A simulated disk under a running process: what every [`SimDir`] and `SimFile` of it works on.
///
/// Copies of this value are the same disk. [`crash`](Self::crash), its relatives and
/// [`kill`](Self::kill) end the process: they return the disk as the next process finds it, with no
/// operations on its record and nothing going wrong, while everything that was opened on the old one
/// fails from then on. [`fork`](Self::fork) gives a disk to crash without ending anything.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Machine::default())
    }

    /// The root directory of the file system `name`, made when it is first asked for. A rename between
    /// two file systems fails with `CrossesDevices`.
    #[must_use]
    pub fn file_system(&self, name: &str) -> SimDir {
        let machine = &mut self.lock().machine;
        let node = match machine.roots.get(name) {
            Some(node) => *node,
            None => {
                let node = machine.add(Node::Dir(DirNode {
                    fs: machine.roots.len(),
                    label: name.into(),
                    parent: None,
                }));
                machine.tree.add_dir(node);
                Arc::make_mut(&mut machine.roots).insert(name.to_owned(), node);
                node
            }
        };
        SimDir::new(self.clone(), node, name.into())
    }

    /// The power fails, and nothing survives that was not synced: a file has the content of its last
    /// sync, a directory the names of its last sync. A synced name whose file never was is an empty file.
    #[must_use]
    pub fn crash(&self) -> Self {
        self.crash_keeping(|_| false)
    }

    /// The power fails, but everything in the cache happens to have reached the disk.
    #[must_use]
    pub fn crash_keeping_all(&self) -> Self {
        self.crash_keeping(|_| true)
    }

    /// The power fails, and of each file system, by its name, the cache reached the disk or did not: they do
    /// not wait for each other.
    #[must_use]
    pub fn crash_keeping(&self, keeps: impl Fn(&str) -> bool) -> Self {
        self.end(|machine| machine.image(keeps))
    }

    /// The power fails, and nothing survives that was not synced but the names in those directories that
    /// `keeps` has, by `file-system/sub-directory`: names may reach the disk before the bytes of their files,
    /// and those of one directory before those of another. A rename between two directories needs the same
    /// answer for both.
    #[must_use]
    pub fn crash_keeping_names(&self, keeps: impl Fn(&str) -> bool) -> Self {
        self.end(|machine| machine.image_of_names(keeps))
    }

    /// Every state in which a power loss now may leave the disk, while the process here goes on. Names reach the disk in
    /// this order; of each file that is not as it was synced the bytes are old, new, cut off or zero. Two of these states
    /// may be the same where different losses come to the same.
    #[must_use]
    pub fn images(&self, order: NameOrder) -> Images {
        Images::new(self.lock().machine.clone(), order)
    }

    /// The process dies before the operation of this number: see [`Fault::death_at`]. What it leaves,
    /// [`images`](Self::images), [`crash`](Self::crash) and [`kill`](Self::kill) tell.
    pub fn crash_at(&self, number: u64) {
        self.inject(Fault::death_at(number));
    }

    /// The process dies. The cache stays, unsynced as it is; locks are released.
    #[must_use]
    pub fn kill(&self) -> Self {
        self.end(Machine::clone)
    }

    /// The disk as [`kill`](Self::kill) would leave it, while the process here goes on: for trying several
    /// ends of one story.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::of(self.lock().machine.clone())
    }

    /// Adds something that is to go wrong.
    pub fn inject(&self, fault: Fault) {
        self.lock().plan.faults.push(fault);
    }

    /// Takes back all faults that have not struck, and all limits.
    pub fn heal(&self) {
        self.lock().plan = Plan::default();
    }

    /// From now on one read or write moves at most so many bytes.
    pub fn limit_transfer(&self, bytes: usize) {
        self.lock().plan.transfer = Some(bytes);
    }

    /// From now on the disk has space for so many bytes. Every byte written takes one, over whatever it is
    /// written; nothing gives any back. Beyond them, writes are short and then fail with `StorageFull`.
    pub fn limit_space(&self, bytes: u64) {
        self.lock().plan.space = Some(bytes);
    }

    /// How many operations there were.
    #[must_use]
    pub fn ops(&self) -> u64 {
        self.lock().record.next_number()
    }

    /// How many operations of this kind there were, failed ones included.
    #[must_use]
    pub fn count(&self, kind: OpKind) -> u64 {
        self.lock().record.count(kind)
    }

    /// How many syncs of files and directories there were, failed ones included.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.count(OpKind::SyncFile) + self.count(OpKind::SyncDir) + self.count(OpKind::SyncWhole)
    }

    /// Every operation so far, in order.
    #[must_use]
    pub fn trace(&self) -> Vec<Op> {
        self.lock().record.trace().to_vec()
    }

    /// Whether to keep a trace, as a new disk does. Switching forgets what it holds; counters go on.
    pub fn keep_trace(&self, keep: bool) {
        self.lock().record.set_silent(!keep);
    }

    /// From how many files on a file system of this disk is synced as a whole; `None`, as on a new disk, where it
    /// cannot be. What comes after a crash can do the same.
    pub fn sync_whole_from(&self, files: Option<usize>) {
        self.lock().machine.whole_sync_from = files;
    }

    /// Whether files on this disk can share bytes ([`DirFile::share`](flatbao_core::DirFile::share)); those of a new disk
    /// cannot.
    pub fn share_bytes(&self, can: bool) {
        self.lock().machine.shares = can;
    }

    /// Hands over everything that a power loss may take: changes of names, oldest first, then bytes. With the entries
    /// ([`SimDir::each_digest`]) this is all there is to a disk.
    pub fn each_waiting(&self, each: &mut dyn FnMut(Waiting<'_>)) {
        let machine = &self.lock().machine;
        let file = |node| match machine.nodes.get(node) {
            Some(Node::File(file)) => Some(&file.content),
            _ => None,
        };
        for effect in machine.tree.effects() {
            each(Waiting::Name {
                dir: machine.label(effect.dir),
                name: &effect.name,
                leads_to: effect.node.as_ref().and_then(file).map(Content::digest),
            });
        }
        for (dir, names) in machine.tree.dirs() {
            for (name, node) in names {
                if let Some(content) = file(node).filter(|content| !content.is_settled()) {
                    each(Waiting::Bytes {
                        dir: machine.label(dir),
                        name,
                        seen: content.digest(),
                        synced: content.image(false).digest(),
                    });
                }
            }
        }
    }

    /// Whether to keep every moment from now on at which the process might die: see [`Moments`](crate::Moments).
    pub fn keep_moments(&self, keep: bool) {
        self.lock().moments.is_on = keep;
    }

    /// The moments that were kept and not taken yet: one before each operation that changes or syncs something.
    #[must_use]
    pub fn take_moments(&self) -> Vec<Moment> {
        let kept = std::mem::take(&mut self.lock().moments.kept);
        let moment = |(next, machine)| Moment {
            next,
            disk: Self::of(machine),
        };
        kept.into_iter().map(moment).collect()
    }

    pub(crate) fn of(machine: Machine) -> Self {
        let state = State {
            machine,
            plan: Plan::default(),
            record: Record::default(),
            moments: Recorder::default(),
            gone: false,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn end(&self, image: impl FnOnce(&Machine) -> Machine) -> Self {
        let mut state = self.lock();
        state.gone = true;
        Self::of(image(&state.machine))
    }

    /// Looks at the machine without that being an operation.
    pub(crate) fn peek<T>(&self, look: impl FnOnce(&mut Machine) -> T) -> T {
        look(&mut self.lock().machine)
    }

    /// One numbered operation: judged, done, recorded. `act` returns how many bytes it moved, too.
    pub(crate) fn run<T>(
        &self,
        call: Call<'_>,
        act: impl FnOnce(&mut Machine, &mut Plan) -> io::Result<(T, u64)>,
    ) -> io::Result<T> {
        let state = &mut *self.lock();
        if state.gone {
            return Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "the process that opened this is no more",
            ));
        }
        let mut op = Op {
            number: state.record.next_number(),
            kind: call.kind,
            dir: Arc::clone(call.dir),
            name: call.name.into(),
            to: call.to.map(|(dir, name)| (Arc::clone(dir), name.into())),
            offset: call.offset,
            len: call.len,
            result: Ok(0),
        };
        let verdict = state.plan.judge(&op);
        state.moments.keep(&op, &state.machine);
        let outcome = match verdict {
            Verdict::Pass => act(&mut state.machine, &mut state.plan),
            // A sync has nothing to return. Done to another machine it changes nothing on this one.
            Verdict::Ignored => act(&mut state.machine.clone(), &mut state.plan),
            Verdict::FailAfterEffect(error) => {
                act(&mut state.machine, &mut state.plan).and(Err(error.into()))
            }
            Verdict::NotCalled(error) => Err(error.into()),
            Verdict::Fail(error) => {
                if call.kind == OpKind::SyncWhole {
                    state.machine.fail_sync_whole(call.node);
                } else if call.kind.is_sync() {
                    state.machine.fail_sync(call.node);
                }
                Err(error.into())
            }
        };
        op.result = match &outcome {
            Ok((_, moved)) => Ok(*moved),
            Err(error) => Err(error.kind()),
        };
        state.record.push(op);
        outcome.map(|(value, _)| value)
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }

    /// A panic of a fault's predicate leaves a whole state behind: nothing is half-changed while one runs.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimDisk({} operations)", self.ops())
    }
}

/// Something that waits for a sync: see [`SimDisk::each_waiting`]. Hashes are BLAKE3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting<'a> {
    /// A name was given, or taken away.
    Name {
        /// The directory, as `file-system/sub-directory`.
        dir: &'a str,
        /// The name.
        name: &'a OsStr,
        /// The hash of the bytes that it leads to from then on, where these are the bytes of a file.
        leads_to: Option<[u8; 32]>,
    },
    /// A file was written.
    Bytes {
        /// The directory.
        dir: &'a str,
        /// A name that leads to the file.
        name: &'a OsStr,
        /// The hash of its bytes as reads see them.
        seen: [u8; 32],
        /// The hash of its bytes as the last sync left them.
        synced: [u8; 32],
    },
}

/// A call that is about to become an operation.
pub(crate) struct Call<'a> {
    pub(crate) kind: OpKind,
    /// The file or directory that the call is made on.
    pub(crate) node: NodeId,
    pub(crate) dir: &'a Arc<str>,
    pub(crate) name: &'a OsStr,
    pub(crate) to: Option<(&'a Arc<str>, &'a OsStr)>,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

struct State {
    machine: Machine,
    plan: Plan,
    record: Record,
    moments: Recorder,
    /// The process has ended.
    gone: bool,
}
