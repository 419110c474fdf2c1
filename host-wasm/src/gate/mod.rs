//! Between a core module and `wasmtime-wasi`'s implementation of preview 1.
//!
//! The gate knows what every descriptor of the program is. So it can refuse what was not granted without relying on
//! anybody else, and mend what the implementation behind it does badly: directories can be made durable, a
//! listing is one snapshot and takes time in proportion to its length, sleeping respects the deadline, and
//! positioned reads go straight into the program's memory.
//!
//! The traits it is built on are public in `wasmtime-wasi`, but meant for that crate alone. They stay what they are
//! within a long-term release, and an upgrade to another one has to look at them anyway.

mod descriptors;
mod files;
mod listing;
mod locked;
mod paths;
mod poll;
mod preview1;

use std::{io, sync::Arc};

use wasmtime::{Linker, component::Resource};
use wasmtime_wasi::{
    WasiView,
    filesystem::{Descriptor, WasiFilesystemView},
    p1::{
        WasiP1Ctx, types,
        wasi_snapshot_preview1::{self, WasiSnapshotPreview1 as _},
    },
    p2::{StreamError, bindings::filesystem::preopens::Host as _},
};
use wiggle::GuestMemory;

use crate::{Sandbox, meter::Deadline, run::CoreState, sandbox::Access};
use descriptors::{Descriptors, Open, OpenDir};
use locked::Locked;

pub(crate) type Result<T> = std::result::Result<T, types::Error>;

/// What a program talks to in place of `wasmtime-wasi`.
pub(crate) struct Gate {
    inner: WasiP1Ctx,
    /// By grant.
    access: Vec<Access>,
    locked: Locked,
    open: Descriptors,
    write_limit: Option<u64>,
    written: u64,
    directory_syncs: u64,
    deadline: Option<Deadline>,
}

pub(crate) fn add_to_linker(linker: &mut Linker<CoreState>) -> wasmtime::Result<()> {
    wasi_snapshot_preview1::add_to_linker(linker, |state: &mut CoreState| &mut state.wasi)
}

impl Gate {
    pub(crate) fn new(
        mut inner: WasiP1Ctx,
        sandbox: &Sandbox,
        deadline: Option<Deadline>,
    ) -> wasmtime::Result<Self> {
        let mut open = Descriptors::new(sandbox.open_files);
        for (grant, handle) in granted_directories(&mut inner)?.into_iter().enumerate() {
            open.add_granted(OpenDir::new(grant, false, handle));
        }
        // The implementation makes its own table at the first call. From then on, what it adds to its resources when a
        // file is opened is that file alone, which `opened` relies on.
        let _ = inner.fd_tell(&mut GuestMemory::Unshared(&mut []), types::Fd::from(0));
        Ok(Self {
            inner,
            locked: Locked::new(&sandbox.grants),
            access: sandbox
                .grants
                .iter()
                .map(|grant| grant.access.clone())
                .collect(),
            open,
            write_limit: sandbox.written,
            written: 0,
            directory_syncs: 0,
            deadline,
        })
    }

    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    pub(crate) fn directory_syncs(&self) -> u64 {
        self.directory_syncs
    }

    fn access(&self, grant: usize) -> &Access {
        // Every descriptor comes from a grant; were one to come from nowhere, it would be worth nothing.
        self.access.get(grant).unwrap_or(&Access::ReadOnly)
    }

    /// The directory behind `fd`, and what may be done there.
    fn directory(&self, fd: types::Fd) -> Result<(&OpenDir, &Access)> {
        match self.open.get(fd)? {
            Open::Directory(dir) if dir.is_replaceable => Ok((dir, &Access::ReadWrite)),
            Open::Directory(dir) => Ok((dir, self.access(dir.grant))),
            Open::File(_) => Err(types::Errno::Notdir.into()),
            Open::Standard => Err(types::Errno::Badf.into()),
        }
    }

    /// Whether names may be made, changed and removed in the directory behind `fd`.
    fn may_change_names(&self, fd: types::Fd) -> Result<()> {
        match self.directory(fd)?.1 {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(types::Errno::Rofs.into()),
            Access::Files(_) => Err(types::Errno::Perm.into()),
        }
    }
}

/// What the implementation has opened for the grants, in their order.
fn granted_directories(inner: &mut WasiP1Ctx) -> wasmtime::Result<Vec<Arc<std::fs::File>>> {
    let copies = inner.filesystem().get_directories()?;
    let mut handles = Vec::with_capacity(copies.len());
    for (copy, _) in copies {
        if let Descriptor::Dir(dir) = inner.ctx().table.delete(copy)? {
            handles.push(dir.dir);
        }
    }
    Ok(handles)
}

/// The number of the resource that the implementation makes next.
fn next_resource(inner: &mut WasiP1Ctx) -> Result<u32> {
    let table = inner.ctx().table;
    let place = table.push(())?;
    let number = place.rep();
    table.delete(place)?;
    Ok(number)
}

/// What the implementation has opened as its resource `number`.
fn opened(inner: &mut WasiP1Ctx, number: u32) -> Result<&Descriptor> {
    Ok(inner.ctx().table.get(&Resource::new_borrow(number))?)
}

fn io_error(error: io::Error) -> types::Error {
    StreamError::LastOperationFailed(error.into()).into()
}
