//! What a store's directories have under final names.

use flatbao_core::FileName;
use flatbao_mem::SimDisk;

use crate::explore::{
    contents::{Blob, Blobs},
    world::Layout,
};

/// The files with final names that a disk has, by the hashes of their bytes.
#[derive(Default)]
pub(in crate::explore) struct Files {
    data: [Option<[u8; 32]>; Blob::ALL.len()],
    outboards: [Option<[u8; 32]>; Blob::ALL.len()],
    pub(super) paths: Blobs,
}

impl Files {
    pub(in crate::explore) fn of(layout: Layout, disk: &SimDisk) -> Self {
        let mut files = Self::default();
        for dir in layout.areas(disk) {
            dir.each_digest(&mut |name, digest| match FileName::parse(name) {
                Some(FileName::Data(hash)) => {
                    if let Some(blob) = Blob::of(hash) {
                        files.data[blob as usize] = digest;
                    }
                }
                Some(FileName::Outboard(hash)) => {
                    if let Some(blob) = Blob::of(hash) {
                        files.outboards[blob as usize] = digest;
                    }
                }
                Some(FileName::Paths(hash)) => {
                    files.paths = Blob::of(hash).map_or(files.paths, |blob| files.paths.with(blob))
                }
                _ => {}
            });
        }
        files
    }

    pub(super) fn data(&self, blob: Blob) -> Option<[u8; 32]> {
        self.data[blob as usize]
    }

    pub(super) fn outboard(&self, blob: Blob) -> Option<[u8; 32]> {
        self.outboards[blob as usize]
    }

    /// Whether what bears the names of the blob's own data and outboard is right, where anything does.
    pub(in crate::explore) fn is_right(&self, blob: Blob) -> bool {
        let data = self
            .data(blob)
            .is_none_or(|digest| digest == *blob.hash().as_bytes());
        data && self
            .outboard(blob)
            .is_none_or(|digest| digest == blob.outboard_digest())
    }
}
