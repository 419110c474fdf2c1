//! Files of a [`MemBackend`](crate::MemBackend) by their handles.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use flatbao_core::{ExternalPath, FileName, ReadAt, Stamp, WriteAt};

/// No file is longer: a wrong length must fail, not swallow the machine's memory.
const MAX_LEN: u64 = 1 << 32;

/// A file that still changes: staged, or outside the store.
#[derive(Debug)]
pub(crate) struct Scratch {
    id: u64,
    content: Mutex<Changing>,
}

#[derive(Debug, Default)]
struct Changing {
    bytes: Vec<u8>,
    /// Stands for the time of the last change.
    version: u64,
}

impl Scratch {
    pub(crate) fn new(id: u64, bytes: Vec<u8>) -> Arc<Self> {
        let content = Mutex::new(Changing { bytes, version: 0 });
        Arc::new(Self { id, content })
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    pub(crate) fn replace(&self, bytes: &[u8]) {
        self.change(|content| bytes.clone_into(content));
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let end = checked(offset.saturating_add(buf.len() as u64))?;
        if !buf.is_empty() {
            self.change(|bytes| {
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[end - buf.len()..end].copy_from_slice(buf);
            });
        }
        Ok(buf.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = checked(len)?;
        self.change(|bytes| bytes.resize(len, 0));
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut content = self.lock();
        change(&mut content.bytes);
        content.version += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Changing> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file opened for reading. It stays readable after it is removed or replaced.
#[derive(Debug, Clone)]
pub struct MemObject(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Fixed { bytes: Arc<Vec<u8>>, id: u64 },
    Scratch(Arc<Scratch>),
}

impl MemObject {
    pub(crate) fn fixed(bytes: &Arc<Vec<u8>>, id: u64) -> Self {
        let bytes = Arc::clone(bytes);
        Self(Kind::Fixed { bytes, id })
    }

    pub(crate) fn scratch(scratch: &Arc<Scratch>) -> Self {
        Self(Kind::Scratch(Arc::clone(scratch)))
    }

    pub(crate) fn stamp(&self, len: u64) -> Stamp {
        let (id, version) = match &self.0 {
            Kind::Fixed { id, .. } => (*id, 0),
            Kind::Scratch(scratch) => (scratch.id, scratch.lock().version),
        };
        Stamp {
            len,
            modified: Some(version.into()),
            changed: Some(version.into()),
            id: Some((0, id)),
        }
    }
}

impl ReadAt for MemObject {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match &self.0 {
            Kind::Fixed { bytes, .. } => bytes[..].read_at(buf, offset),
            Kind::Scratch(scratch) => scratch.lock().bytes[..].read_at(buf, offset),
        }
    }

    fn size(&self) -> io::Result<u64> {
        match &self.0 {
            Kind::Fixed { bytes, .. } => bytes[..].size(),
            Kind::Scratch(scratch) => scratch.lock().bytes[..].size(),
        }
    }

    fn as_shared(&self) -> Option<&(dyn ReadAt + Sync)> {
        Some(self)
    }
}

/// A file being written.
#[derive(Debug)]
pub struct MemStaged {
    pub(crate) name: FileName,
    pub(crate) scratch: Arc<Scratch>,
}

impl MemStaged {
    /// The bytes without a copy, unless somebody else still looks at them.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match Arc::try_unwrap(self.scratch) {
            Ok(scratch) => {
                let content = scratch.content.into_inner();
                content.unwrap_or_else(PoisonError::into_inner).bytes
            }
            Err(shared) => shared.bytes(),
        }
    }
}

/// A file being written outside the store.
#[derive(Debug)]
pub struct MemOutgoing {
    pub(crate) path: ExternalPath,
    pub(crate) temp: String,
    pub(crate) scratch: Arc<Scratch>,
}

impl ReadAt for MemStaged {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.scratch.lock().bytes[..].read_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.scratch.lock().bytes[..].size()
    }
}

impl WriteAt for MemStaged {
    fn write_at(&mut self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.scratch.write_at(buf, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.scratch.set_len(len)
    }
}

impl ReadAt for MemOutgoing {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.scratch.lock().bytes[..].read_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.scratch.lock().bytes[..].size()
    }
}

impl WriteAt for MemOutgoing {
    fn write_at(&mut self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.scratch.write_at(buf, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.scratch.set_len(len)
    }
}

fn checked(position: u64) -> io::Result<usize> {
    usize::try_from(position)
        .ok()
        .filter(|_| position <= MAX_LEN)
        .ok_or_else(|| io::ErrorKind::FileTooLarge.into())
}
