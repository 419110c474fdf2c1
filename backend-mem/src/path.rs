//! Which names and paths a simulated directory takes.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    io,
    path::{Component, Path},
};

use crate::{
    machine::{Machine, Node},
    names::NodeId,
};

/// The longest name that the common file systems take, in bytes.
const MAX_NAME: usize = 255;
/// How many symbolic links one path may lead through.
const MAX_LINKS: usize = 40;

/// A name that is one component and that a file system takes.
pub(crate) fn checked(name: &OsStr) -> io::Result<&OsStr> {
    let bytes = name.as_encoded_bytes();
    if matches!(bytes, b"" | b"." | b"..") || bytes.iter().any(|b| matches!(b, b'/' | 0)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if bytes.len() > MAX_NAME {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    Ok(name)
}

/// The directory that a path below `top` leads to.
pub(crate) fn walk(machine: &Machine, top: NodeId, path: &Path) -> io::Result<NodeId> {
    let parts = |path: &Path| -> io::Result<Vec<OsString>> {
        path.components()
            .map(|part| match part {
                Component::Normal(_) | Component::CurDir | Component::ParentDir => {
                    Ok(part.as_os_str().to_owned())
                }
                Component::RootDir | Component::Prefix(_) => {
                    Err(io::ErrorKind::PermissionDenied.into())
                }
            })
            .collect()
    };
    let mut left = VecDeque::from(parts(path)?);
    let (mut at, mut links) = (top, 0);
    while let Some(part) = left.pop_front() {
        if part == "." {
            continue;
        }
        if part == ".." {
            let parent = machine.dir(at)?.parent.filter(|_| at != top);
            at = parent.ok_or(io::ErrorKind::PermissionDenied)?;
            continue;
        }
        machine.dir(at)?;
        let node = machine.tree.get(at, checked(&part)?);
        let node = node.ok_or(io::ErrorKind::NotFound)?;
        match machine.nodes.get(&node) {
            Some(Node::Dir(_)) => at = node,
            Some(Node::Link(target)) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(io::Error::other("too many symbolic links"));
                }
                for part in parts(target)?.into_iter().rev() {
                    left.push_front(part);
                }
            }
            _ => return Err(io::ErrorKind::NotADirectory.into()),
        }
    }
    Ok(at)
}
