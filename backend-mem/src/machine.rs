//! What is left when a process ends: the files and directories of a simulated disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
};

use flatbao_core::EntryKind;

use crate::{
    content::Content,
    names::{NodeId, Tree},
};

/// Everything that outlives the process: the cache and the disk below it. Copies are cheap: they share what neither
/// changes.
#[derive(Clone, Default)]
pub(crate) struct Machine {
    pub(crate) nodes: Arc<BTreeMap<NodeId, Node>>,
    pub(crate) tree: Tree,
    pub(crate) locks: Locks,
    pub(crate) roots: Arc<BTreeMap<String, NodeId>>,
    /// What [`Dir::whole_sync_from`](flatbao_core::Dir::whole_sync_from) says.
    pub(crate) whole_sync_from: Option<usize>,
    /// Whether files can share bytes.
    pub(crate) shares: bool,
    next_node: NodeId,
    /// What stands for the time: it moves with every change of a file.
    ticks: i128,
}

/// The files that are locked. A copy has none: locks belong to the process.
#[derive(Default)]
pub(crate) struct Locks(pub(crate) BTreeSet<NodeId>);

impl Clone for Locks {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[derive(Clone)]
pub(crate) enum Node {
    File(FileNode),
    Dir(DirNode),
    Link(PathBuf),
    Other,
}

#[derive(Clone, Default)]
pub(crate) struct FileNode {
    pub(crate) content: Content,
    pub(crate) modified: i128,
}

#[derive(Clone)]
pub(crate) struct DirNode {
    pub(crate) fs: usize,
    pub(crate) label: Arc<str>,
    /// None for the root of a file system.
    pub(crate) parent: Option<NodeId>,
}

impl Node {
    pub(crate) const fn kind(&self) -> EntryKind {
        match self {
            Self::File(_) => EntryKind::File,
            Self::Dir(_) => EntryKind::Directory,
            Self::Link(_) => EntryKind::Link,
            Self::Other => EntryKind::Other,
        }
    }
}

impl Machine {
    pub(crate) fn add(&mut self, node: Node) -> NodeId {
        let id = self.next_node;
        self.next_node += 1;
        Arc::make_mut(&mut self.nodes).insert(id, node);
        id
    }

    /// Nodes are never taken away while a process runs, so that a handle always finds its own.
    pub(crate) fn file(&self, id: NodeId) -> io::Result<&FileNode> {
        match self.nodes.get(&id) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn file_mut(&mut self, id: NodeId) -> io::Result<&mut FileNode> {
        match Arc::make_mut(&mut self.nodes).get_mut(&id) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn dir(&self, id: NodeId) -> io::Result<&DirNode> {
        match self.nodes.get(&id) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(_) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn label(&self, dir: NodeId) -> &str {
        self.dir(dir).map_or("", |dir| &dir.label)
    }

    pub(crate) fn kind(&self, id: NodeId) -> EntryKind {
        self.nodes.get(&id).map_or(EntryKind::Other, Node::kind)
    }

    /// Changes a file, and its time with it.
    pub(crate) fn edit(
        &mut self,
        id: NodeId,
        edit: impl FnOnce(&mut Content) -> io::Result<()>,
    ) -> io::Result<()> {
        self.ticks += 1;
        let now = self.ticks;
        let file = self.file_mut(id)?;
        edit(&mut file.content)?;
        file.modified = now;
        Ok(())
    }

    /// The directories of a file system, and the files in them.
    fn all_of(&self, fs: usize) -> Vec<(NodeId, Vec<NodeId>)> {
        let dirs = self.tree.dirs();
        dirs.filter(|(dir, _)| self.dir(*dir).is_ok_and(|dir| dir.fs == fs))
            .map(|(dir, names)| (dir, names.values().copied().collect()))
            .collect()
    }

    pub(crate) fn sync_whole(&mut self, fs: usize) {
        for (dir, files) in self.all_of(fs) {
            for file in files {
                if let Ok(file) = self.file_mut(file) {
                    file.content.sync();
                }
            }
            self.tree.sync(dir);
        }
    }

    pub(crate) fn fail_sync_whole(&mut self, dir: NodeId) {
        let Ok(fs) = self.dir(dir).map(|dir| dir.fs) else {
            return;
        };
        for (dir, files) in self.all_of(fs) {
            files.into_iter().for_each(|file| self.fail_sync(file));
            self.tree.fail_sync(dir);
        }
    }

    pub(crate) fn fail_sync(&mut self, id: NodeId) {
        match self.file_mut(id) {
            Ok(file) => file.content.fail_sync(),
            Err(_) => self.tree.fail_sync(id),
        }
    }

    /// The machine after a power loss in which the caches of these file systems happen to have been
    /// written out, with what a name still leads to.
    pub(crate) fn image(&self, keeps: impl Fn(&str) -> bool) -> Self {
        let mut kept_fs = vec![false; self.roots.len()];
        for (name, node) in &*self.roots {
            if let Ok(root) = self.dir(*node) {
                kept_fs[root.fs] = keeps(name);
            }
        }
        let keeps_dir = |dir| self.dir(dir).is_ok_and(|dir| kept_fs[dir.fs]);
        self.image_of(keeps_dir, keeps_dir)
    }

    /// The machine after a power loss in which no byte was written out, but the names in these directories,
    /// by their label, happen to have been.
    pub(crate) fn image_of_names(&self, keeps: impl Fn(&str) -> bool) -> Self {
        let keeps_names = |dir| self.dir(dir).is_ok_and(|dir| keeps(&dir.label));
        self.image_of(keeps_names, |_| false)
    }

    fn image_of(
        &self,
        keeps_names: impl Fn(NodeId) -> bool,
        keeps_bytes: impl Fn(NodeId) -> bool,
    ) -> Self {
        let tree = self.tree.image(keeps_names);
        self.left_by(tree, |dir, content| content.image(keeps_bytes(dir)))
    }

    /// The machine after a power loss that left these names, and of each file that one of them leads to what `left`
    /// says, given the directory that it is in.
    pub(crate) fn left_by(&self, tree: Tree, left: impl Fn(NodeId, &Content) -> Content) -> Self {
        let mut nodes = BTreeMap::new();
        for (dir, names) in tree.dirs() {
            for id in names.values().chain(self.roots.values()) {
                let node = match self.nodes.get(id) {
                    Some(Node::File(file)) => Node::File(FileNode {
                        content: left(dir, &file.content),
                        modified: file.modified,
                    }),
                    Some(other) => other.clone(),
                    None => continue,
                };
                nodes.insert(*id, node);
            }
        }
        Self {
            nodes: nodes.into(),
            tree,
            roots: Arc::clone(&self.roots),
            whole_sync_from: self.whole_sync_from,
            shares: self.shares,
            next_node: self.next_node,
            ticks: self.ticks,
            locks: Locks::default(),
        }
    }
}
