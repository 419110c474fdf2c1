//! Whole directories out of memory and into it, byte for byte.

use std::{ffi::OsStr, io};

use flatbao_core::{Access, Dir, DirFile, EntryKind, Opened, ReadAt};

use crate::{MemBackend, SimDir};

/// How much is moved at a time.
const PIECE: usize = 64 * 1024;

impl SimDir {
    /// Writes every regular file of this directory, as reads see it, into `to` and syncs there. Other
    /// entries have no bytes to write: they are left out.
    ///
    /// # Errors
    /// `AlreadyExists` when a name is taken there; whatever `to` says.
    pub fn dump(&self, to: &impl Dir) -> io::Result<()> {
        for (name, kind) in self.entries() {
            if let (EntryKind::File, Some(bytes)) = (kind, self.content(&name)) {
                write_new(to, &name, &bytes)?;
            }
        }
        to.sync()
    }

    /// Plants every regular file of `from` here, in place of what bears its name. What is neither file
    /// nor link nor directory is planted as such; links and directories are left out.
    ///
    /// # Errors
    /// Whatever `from` says.
    pub fn load(&self, from: &impl Dir) -> io::Result<()> {
        load_into(from, |name, found| match found {
            Ok(bytes) => self.plant_file(name, &bytes),
            Err(EntryKind::Other) => self.plant_other(name),
            Err(_) => Ok(()),
        })
    }
}

impl MemBackend {
    /// Writes every file, staged and foreign ones included, into `to` and syncs there. External files are
    /// no part of a store.
    ///
    /// # Errors
    /// `AlreadyExists` when a name is taken there; whatever `to` says.
    pub fn dump(&self, to: &impl Dir) -> io::Result<()> {
        for (name, bytes) in self.files() {
            write_new(to, &name, &bytes)?;
        }
        to.sync()
    }

    /// Takes over every entry of `from`, in place of what bears its name. Files under the store's own
    /// names become files of the store; everything else is foreign.
    ///
    /// # Errors
    /// Whatever `from` says.
    pub fn load(&self, from: &impl Dir) -> io::Result<()> {
        load_into(from, |name, found| {
            match found {
                Ok(bytes) => self.plant_file(name, bytes),
                Err(kind) => self.plant_other(name, kind),
            }
            Ok(())
        })
    }
}

fn write_new(to: &impl Dir, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
    let file = to.create_new(name)?;
    let mut written = 0;
    while written < bytes.len() {
        match file.write_at(&bytes[written..], written as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => written += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    file.sync()
}

/// Hands over every entry: its bytes, or what else it is.
fn load_into(
    from: &impl Dir,
    mut each: impl FnMut(&OsStr, Result<Vec<u8>, EntryKind>) -> io::Result<()>,
) -> io::Result<()> {
    let mut names = Vec::new();
    from.list(&mut |name, _| names.push(name.to_owned()))?;
    for name in names {
        match from.open(&name, Access::Read)? {
            Opened::File(file) => each(&name, Ok(read_whole(&file)?))?,
            Opened::NotAFile(kind) => each(&name, Err(kind))?,
            // Gone since it was listed.
            Opened::Missing => {}
        }
    }
    Ok(())
}

fn read_whole(file: &impl ReadAt) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let read = flatbao_core::io::read_full_at(file, &mut piece, bytes.len() as u64)?;
        bytes.extend_from_slice(&piece[..read]);
        if read < piece.len() {
            return Ok(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use flatbao_core::{Backend, FileName, Hash, ListedName};

    use super::*;
    use crate::SimDisk;

    #[test]
    fn a_store_moves_between_all_shapes_byte_for_byte() {
        let disk = SimDisk::new();
        let source = disk.file_system("source");
        let data = FileName::Data(Hash::of(b"long")).to_string();
        let long: Vec<u8> = (0..PIECE * 2).map(|i| i.to_le_bytes()[1]).collect();
        for (name, bytes) in [
            (&*data, &*long),
            ("tags.meta", b"\0"),
            ("foreign \u{fc}", b"x"),
        ] {
            source.plant_file(name, bytes).unwrap();
        }
        source.plant_link("link", "tags.meta").unwrap();
        source.plant_other("pipe").unwrap();

        let backend = MemBackend::new();
        backend.load(&source).unwrap();
        let (mut typed, mut foreign) = (0, 0);
        let count = &mut |entry: flatbao_core::Listed<'_>| match entry.name {
            ListedName::Typed(_) => typed += 1,
            ListedName::Foreign(_) => foreign += 1,
        };
        backend.list(count).unwrap();
        assert_eq!((typed, foreign), (2, 3));

        let second = disk.file_system("second");
        backend.dump(&second).unwrap();
        let third = disk.file_system("third");
        third.load(&source).unwrap();
        assert_eq!(third.entries().len(), 4, "all but the link");
        let fourth = disk.file_system("fourth");
        third.dump(&fourth).unwrap();

        let disk = disk.crash();
        for name in ["second", "third", "fourth"] {
            let dir = disk.file_system(name);
            let files = dir.entries().into_iter().filter(|e| e.1 == EntryKind::File);
            assert_eq!(files.count(), 3, "{name}");
            for file in [&*data, "tags.meta", "foreign \u{fc}"] {
                assert_eq!(dir.content(file), source.content(file), "{name}: {file}");
            }
        }
    }

    #[test]
    fn a_dump_overwrites_nothing() {
        let disk = SimDisk::new();
        let (from, to) = (disk.file_system("from"), disk.file_system("to"));
        from.plant_file("name", b"new").unwrap();
        to.plant_file("name", b"old").unwrap();
        let error = from.dump(&to).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(to.content("name").unwrap(), b"old");
    }
}
