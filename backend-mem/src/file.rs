//! One open file of a simulated disk.

use std::{ffi::OsStr, io, sync::Arc};

use flatbao_core::{Access, DirFile, ReadAt, Stamp};

use crate::{OpKind, SimDisk, disk::Call, fault::Plan, machine::Machine, names::NodeId};

/// An open file of a [`SimDisk`]. It means the same file whatever becomes of its name.
#[derive(Debug)]
pub struct SimFile {
    disk: SimDisk,
    node: NodeId,
    dir: Arc<str>,
    name: Arc<OsStr>,
    access: Access,
}

impl SimFile {
    pub(crate) fn new(
        disk: SimDisk,
        node: NodeId,
        dir: Arc<str>,
        name: Arc<OsStr>,
        access: Access,
    ) -> Self {
        Self {
            disk,
            node,
            dir,
            name,
            access,
        }
    }

    fn run<T>(
        &self,
        kind: OpKind,
        offset: u64,
        len: u64,
        act: impl FnOnce(&mut Machine, &mut Plan) -> io::Result<(T, u64)>,
    ) -> io::Result<T> {
        let call = Call {
            kind,
            node: self.node,
            dir: &self.dir,
            name: &self.name,
            to: None,
            offset,
            len,
        };
        self.disk.run(call, act)
    }

    fn writable(&self) -> io::Result<()> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::Read => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

impl ReadAt for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.run(OpKind::Read, offset, buf.len() as u64, |machine, plan| {
            let most = plan.transfer(buf.len());
            let bytes = machine.file(self.node)?.content.bytes();
            let read = bytes.read_at(&mut buf[..most], offset)?;
            Ok((read, read as u64))
        })
    }

    fn size(&self) -> io::Result<u64> {
        self.run(OpKind::Size, 0, 0, |machine, _| {
            let size = machine.file(self.node)?.content.bytes().len() as u64;
            Ok((size, 0))
        })
    }
}

impl DirFile for SimFile {
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.run(OpKind::Write, offset, buf.len() as u64, |machine, plan| {
            self.writable()?;
            let taken = plan.take_space(plan.transfer(buf.len()))?;
            machine.edit(self.node, |content| content.write(&buf[..taken], offset))?;
            Ok((taken, taken as u64))
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.run(OpKind::SetLen, 0, len, |machine, _| {
            self.writable()?;
            machine.edit(self.node, |content| content.set_len(len))?;
            Ok(((), 0))
        })
    }

    /// As a write of all the bytes at once, which takes no space.
    fn share(&self, from: &Self) -> io::Result<bool> {
        let fs = |file: &Self| file.dir.split('/').next().map(str::to_owned);
        let is_near = self.disk.is(&from.disk) && fs(self) == fs(from);
        // Where it cannot be there is nothing to fail.
        if !is_near || !self.disk.peek(|machine| machine.shares) {
            return Ok(false);
        }
        self.run(OpKind::Share, 0, 0, |machine, _| {
            self.writable()?;
            let bytes = machine.file(from.node)?.content.bytes().to_vec();
            machine.edit(self.node, |content| content.write(&bytes, 0))?;
            Ok((true, 0))
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.run(OpKind::SyncFile, 0, 0, |machine, _| {
            machine.file_mut(self.node)?.content.sync();
            Ok(((), 0))
        })
    }

    /// The time is a count of the changes that the disk has seen.
    fn stamp(&self) -> io::Result<Stamp> {
        self.run(OpKind::Stamp, 0, 0, |machine, _| {
            let file = machine.file(self.node)?;
            let stamp = Stamp {
                len: file.content.bytes().len() as u64,
                modified: Some(file.modified),
                changed: Some(file.modified),
                id: Some((0, self.node)),
            };
            Ok((stamp, 0))
        })
    }
}
