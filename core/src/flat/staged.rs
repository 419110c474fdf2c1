//! Files that are being written.

use std::io;

use crate::{DirFile, FileName, ReadAt, Uuid, WriteAt};

/// A file under a temporary or partial name.
#[derive(Debug)]
pub struct StagedFile<F> {
    /// None when it was set aside.
    pub(super) file: Option<F>,
    pub(super) name: FileName,
    /// Which of the directories it is in.
    pub(super) dir: usize,
    /// The length that it must have when it is published.
    pub(super) len: u64,
}

impl<F> StagedFile<F> {
    /// The uuid in the name, for a temporary name at the destination of a copy. Every name that is ever
    /// moved has one on one side.
    pub(super) fn uuid(&self) -> Uuid {
        match &self.name {
            FileName::Temp(uuid)
            | FileName::TagsTemp(uuid)
            | FileName::PathsTemp(_, uuid)
            | FileName::PartialData(_, uuid)
            | FileName::PartialOutboard(_, uuid) => *uuid,
            // A published file on its way back to a partial name: its hash is as unique as a uuid.
            other => {
                let mut bytes = [0; 16];
                if let Some(hash) = other.hash() {
                    bytes.copy_from_slice(&hash.as_bytes()[..16]);
                }
                Uuid::from_bytes(bytes)
            }
        }
    }
}

impl<F> StagedFile<F> {
    pub(super) fn file(&self) -> io::Result<&F> {
        let aside = || io::Error::other("a file that was set aside is published and nothing else");
        self.file.as_ref().ok_or_else(aside)
    }
}

impl<F: DirFile> ReadAt for StagedFile<F> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file()?.read_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.file()?.size()
    }

    fn as_shared(&self) -> Option<&(dyn ReadAt + Sync)> {
        self.file().ok()?.as_shared()
    }
}

impl<F: DirFile> WriteAt for StagedFile<F> {
    fn write_at(&mut self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let written = self.file()?.write_at(buf, offset)?;
        self.len = self.len.max(offset + written as u64);
        Ok(written)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file()?.set_len(len)?;
        self.len = len;
        Ok(())
    }
}
