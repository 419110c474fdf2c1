//! Directories and files of a simulated disk, by handles as a process has them.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use flatbao_core::{Access, Dir, EntryKind, Opened};

use crate::{
    OpKind, SimDisk, SimFile,
    content::Content,
    disk::Call,
    machine::{DirNode, FileNode, Machine, Node},
    names::{Effect, NodeId},
    path::{checked, walk},
};

/// One directory of a [`SimDisk`].
///
/// The methods of `Dir` are numbered operations and can fail to order. The methods here are the hand of
/// the test: they are no operations, do not fail to order, and what they plant is durable at once.
#[derive(Debug, Clone)]
pub struct SimDir {
    disk: SimDisk,
    node: NodeId,
    label: Arc<str>,
}

impl SimDir {
    pub(crate) fn new(disk: SimDisk, node: NodeId, label: Arc<str>) -> Self {
        Self { disk, node, label }
    }

    /// The disk that the directory is on.
    #[must_use]
    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// The directory `name` in this one, made where missing.
    ///
    /// # Errors
    /// `NotADirectory` when something else bears the name; `InvalidInput` for what is no name.
    pub fn plant_dir(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = checked(name.as_ref())?;
        let (node, label) = self.disk.peek(|machine| {
            if let Some(node) = machine.tree.get(self.node, name) {
                return Ok((node, Arc::clone(&machine.dir(node)?.label)));
            }
            let (node, label) = self.add_dir(machine, name)?;
            self.plant(machine, name, Some(node));
            io::Result::Ok((node, label))
        })?;
        Ok(Self::new(self.disk.clone(), node, label))
    }

    /// Puts a regular file here, in place of what bears the name. The new file is another one: handles
    /// of the old one keep reading that.
    ///
    /// # Errors
    /// `InvalidInput` for what is no name.
    pub fn plant_file(&self, name: impl AsRef<OsStr>, bytes: &[u8]) -> io::Result<()> {
        self.plant_node(
            name.as_ref(),
            Node::File(FileNode {
                content: Content::durable(bytes.to_vec()),
                ..FileNode::default()
            }),
        )
    }

    /// Writes other bytes into a regular file, as some other program would.
    ///
    /// # Errors
    /// `NotFound` when there is no such regular file.
    pub fn change_file(&self, name: impl AsRef<OsStr>, bytes: &[u8]) -> io::Result<()> {
        self.disk.peek(|machine| {
            let node = machine.tree.get(self.node, name.as_ref());
            machine.edit(node.ok_or(io::ErrorKind::NotFound)?, |content| {
                *content = Content::durable(bytes.to_vec());
                Ok(())
            })
        })
    }

    /// Puts a symbolic link here.
    ///
    /// # Errors
    /// `InvalidInput` for what is no name.
    pub fn plant_link(
        &self,
        name: impl AsRef<OsStr>,
        target: impl Into<PathBuf>,
    ) -> io::Result<()> {
        self.plant_node(name.as_ref(), Node::Link(target.into()))
    }

    /// Puts something here that is neither file nor directory nor link.
    ///
    /// # Errors
    /// `InvalidInput` for what is no name.
    pub fn plant_other(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        self.plant_node(name.as_ref(), Node::Other)
    }

    /// Takes away what bears the name, if anything does.
    pub fn uproot(&self, name: impl AsRef<OsStr>) {
        self.disk
            .peek(|machine| self.plant(machine, name.as_ref(), None));
    }

    /// Every entry with its kind, by name.
    #[must_use]
    pub fn entries(&self) -> Vec<(OsString, EntryKind)> {
        self.disk.peek(|machine| {
            let names = machine.tree.names(self.node).into_iter().flatten();
            names
                .map(|(name, node)| (name.to_os_string(), machine.kind(*node)))
                .collect()
        })
    }

    /// The bytes of a regular file as reads see them; `None` when there is no such file.
    #[must_use]
    pub fn content(&self, name: impl AsRef<OsStr>) -> Option<Vec<u8>> {
        self.disk.peek(|machine| {
            let node = machine.tree.get(self.node, name.as_ref())?;
            Some(machine.file(node).ok()?.content.bytes().to_vec())
        })
    }

    /// What kind of entry bears the name; `None` when there is none.
    #[must_use]
    pub fn kind(&self, name: impl AsRef<OsStr>) -> Option<EntryKind> {
        self.disk.peek(|machine| {
            let node = machine.tree.get(self.node, name.as_ref())?;
            Some(machine.kind(node))
        })
    }

    /// The BLAKE3 hash of a regular file as reads see it; `None` when there is no such file.
    #[must_use]
    pub fn digest(&self, name: impl AsRef<OsStr>) -> Option<[u8; 32]> {
        self.disk.peek(|machine| {
            let node = machine.tree.get(self.node, name.as_ref())?;
            Some(machine.file(node).ok()?.content.digest())
        })
    }

    /// Hands every entry over with the BLAKE3 hash of its bytes, where it is a regular file: what tells whether two
    /// disks are alike, without a look at the bytes. Hashes are worked out once, however often a disk is copied.
    pub fn each_digest(&self, each: &mut dyn FnMut(&OsStr, Option<[u8; 32]>)) {
        self.disk.peek(|machine| {
            for (name, node) in machine.tree.names(self.node).into_iter().flatten() {
                let digest = match machine.nodes.get(node) {
                    Some(Node::File(file)) => Some(file.content.digest()),
                    _ => None,
                };
                each(name, digest);
            }
        });
    }

    fn plant_node(&self, name: &OsStr, node: Node) -> io::Result<()> {
        let name = checked(name)?;
        self.disk.peek(|machine| {
            let node = machine.add(node);
            if machine.kind(node) == EntryKind::File {
                // The time at which it was made.
                machine.edit(node, |_| Ok(()))?;
            }
            self.plant(machine, name, Some(node));
            Ok(())
        })
    }

    fn plant(&self, machine: &mut Machine, name: &OsStr, node: Option<NodeId>) {
        machine.tree.plant(self.effect(name, node));
    }

    fn effect(&self, name: &OsStr, node: Option<NodeId>) -> Effect {
        Effect {
            dir: self.node,
            name: name.into(),
            node,
        }
    }

    fn file(&self, node: NodeId, name: &OsStr, access: Access) -> SimFile {
        SimFile::new(
            self.disk.clone(),
            node,
            Arc::clone(&self.label),
            name.into(),
            access,
        )
    }

    /// An operation on this directory.
    fn run<T>(
        &self,
        kind: OpKind,
        name: &OsStr,
        act: impl FnOnce(&mut Machine) -> io::Result<T>,
    ) -> io::Result<T> {
        self.disk.run(self.call(kind, name), |machine, _| {
            act(machine).map(|value| (value, 0))
        })
    }

    fn call<'a>(&'a self, kind: OpKind, name: &'a OsStr) -> Call<'a> {
        Call {
            kind,
            node: self.node,
            dir: &self.label,
            name,
            to: None,
            offset: 0,
            len: 0,
        }
    }
}

impl Dir for SimDir {
    type File = SimFile;
    type Lock = SimLock;

    fn create_new(&self, name: &OsStr) -> io::Result<SimFile> {
        let node = self.run(OpKind::CreateNew, name, |machine| {
            let name = checked(name)?;
            if machine.tree.get(self.node, name).is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            self.create(machine, name)
        })?;
        Ok(self.file(node, name, Access::ReadWrite))
    }

    fn open(&self, name: &OsStr, access: Access) -> io::Result<Opened<SimFile>> {
        let found = self.run(OpKind::Open, name, |machine| {
            let node = machine.tree.get(self.node, checked(name)?);
            Ok(node.map(|node| (node, machine.kind(node))))
        })?;
        Ok(match found {
            None => Opened::Missing,
            Some((node, EntryKind::File)) => Opened::File(self.file(node, name, access)),
            Some((_, kind)) => Opened::NotAFile(kind),
        })
    }

    fn rename(&self, from: &OsStr, to_dir: &Self, to: &OsStr) -> io::Result<()> {
        let mut call = self.call(OpKind::Rename, from);
        call.to = Some((&to_dir.label, to));
        self.disk.run(call, |machine, _| {
            let (from, to) = (checked(from)?, checked(to)?);
            if self.is_far(machine, to_dir)? {
                return Err(io::ErrorKind::CrossesDevices.into());
            }
            let node = machine.tree.get(self.node, from);
            let node = node.ok_or(io::ErrorKind::NotFound)?;
            let replaced = machine.tree.get(to_dir.node, to);
            for found in [Some(node), replaced].into_iter().flatten() {
                // Nothing here moves directories, and none must vanish under a file.
                if machine.kind(found) == EntryKind::Directory {
                    return Err(io::ErrorKind::IsADirectory.into());
                }
            }
            if replaced != Some(node) {
                let effects = vec![self.effect(from, None), to_dir.effect(to, Some(node))];
                machine.tree.change(effects);
            }
            Ok(((), 0))
        })
    }

    fn link(&self, from: &OsStr, to_dir: &Self, to: &OsStr) -> io::Result<()> {
        let mut call = self.call(OpKind::Link, from);
        call.to = Some((&to_dir.label, to));
        self.disk.run(call, |machine, _| {
            let (from, to) = (checked(from)?, checked(to)?);
            if self.is_far(machine, to_dir)? {
                return Err(io::ErrorKind::CrossesDevices.into());
            }
            let node = machine.tree.get(self.node, from);
            let node = node.ok_or(io::ErrorKind::NotFound)?;
            if machine.kind(node) == EntryKind::Directory {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            if machine.tree.get(to_dir.node, to).is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            machine.tree.change(vec![to_dir.effect(to, Some(node))]);
            Ok(((), 0))
        })
    }

    fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        self.run(OpKind::MakeDir, name, |machine| {
            let name = checked(name)?;
            if machine.tree.get(self.node, name).is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let (node, _) = self.add_dir(machine, name)?;
            machine.tree.change(vec![self.effect(name, Some(node))]);
            Ok(())
        })
    }

    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        self.run(OpKind::Unlink, name, |machine| {
            let node = machine.tree.get(self.node, checked(name)?);
            if machine.kind(node.ok_or(io::ErrorKind::NotFound)?) == EntryKind::Directory {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            machine.tree.change(vec![self.effect(name, None)]);
            Ok(())
        })
    }

    /// Hands the entries over in the order of their names.
    fn list(&self, each: &mut dyn FnMut(&OsStr, EntryKind)) -> io::Result<()> {
        let entries = self.run(OpKind::List, OsStr::new(""), |machine| {
            let names = machine.tree.names(self.node).into_iter().flatten();
            let entries = names.map(|(name, node)| (Arc::clone(name), machine.kind(*node)));
            Ok(entries.collect::<Vec<_>>())
        })?;
        for (name, kind) in entries {
            each(&name, kind);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.run(OpKind::SyncDir, OsStr::new(""), |machine| {
            machine.tree.sync(self.node);
            Ok(())
        })
    }

    fn whole_sync_from(&self) -> Option<usize> {
        self.disk.peek(|machine| machine.whole_sync_from)
    }

    fn sync_whole(&self) -> io::Result<()> {
        self.run(OpKind::SyncWhole, OsStr::new(""), |machine| {
            if machine.whole_sync_from.is_none() {
                return Err(io::ErrorKind::Unsupported.into());
            }
            machine.sync_whole(machine.dir(self.node)?.fs);
            Ok(())
        })
    }

    fn try_lock(&self, name: &OsStr) -> io::Result<Option<SimLock>> {
        let node = self.run(OpKind::TryLock, name, |machine| {
            let name = checked(name)?;
            let node = match machine.tree.get(self.node, name) {
                None => self.create(machine, name)?,
                Some(node) if machine.kind(node) == EntryKind::File => node,
                Some(_) => return Err(io::ErrorKind::InvalidInput.into()),
            };
            Ok(machine.locks.0.insert(node).then_some(node))
        })?;
        Ok(node.map(|node| SimLock {
            disk: self.disk.clone(),
            node,
        }))
    }

    /// Follows symbolic links as long as they stay below this directory.
    fn descend(&self, path: &Path) -> io::Result<Self> {
        let (node, label) = self.run(OpKind::Descend, path.as_os_str(), |machine| {
            let node = walk(machine, self.node, path)?;
            Ok((node, Arc::clone(&machine.dir(node)?.label)))
        })?;
        Ok(Self::new(self.disk.clone(), node, label))
    }

    fn is_same(&self, other: &Self) -> io::Result<bool> {
        self.run(OpKind::IsSame, OsStr::new(""), |_| {
            Ok(self.disk.is(&other.disk) && self.node == other.node)
        })
    }
}

impl SimDir {
    /// Whether the other directory is on another file system.
    fn is_far(&self, machine: &Machine, other: &Self) -> io::Result<bool> {
        Ok(!self.disk.is(&other.disk) || machine.dir(self.node)?.fs != machine.dir(other.node)?.fs)
    }

    /// A directory that has no name here yet.
    fn add_dir(&self, machine: &mut Machine, name: &OsStr) -> io::Result<(NodeId, Arc<str>)> {
        let label: Arc<str> = format!("{}/{}", self.label, name.display()).into();
        let node = machine.add(Node::Dir(DirNode {
            fs: machine.dir(self.node)?.fs,
            label: Arc::clone(&label),
            parent: Some(self.node),
        }));
        machine.tree.add_dir(node);
        Ok((node, label))
    }

    fn create(&self, machine: &mut Machine, name: &OsStr) -> io::Result<NodeId> {
        let node = machine.add(Node::File(FileNode::default()));
        machine.edit(node, |_| Ok(()))?;
        machine.tree.change(vec![self.effect(name, Some(node))]);
        Ok(node)
    }
}

/// Exclusive use of a [`SimDir`].
#[derive(Debug)]
pub struct SimLock {
    disk: SimDisk,
    node: NodeId,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.peek(|machine| machine.locks.0.remove(&self.node));
    }
}
