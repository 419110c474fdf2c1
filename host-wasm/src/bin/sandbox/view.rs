//! Paths as the program has them: those of the host, as text.

use std::{
    env,
    path::{Component, Path, PathBuf},
};

use crate::error::{Error, Result};

/// Where relative paths begin, outside and inside.
pub(crate) struct View {
    current: PathBuf,
}

impl View {
    pub(crate) fn new() -> Result<Self> {
        let current = env::current_dir().map_err(Error::io("find", "the current directory"))?;
        text(&current)?;
        Ok(Self { current })
    }

    pub(crate) fn current(&self) -> &Path {
        &self.current
    }

    /// The path for this process.
    pub(crate) fn host(&self, path: &Path) -> PathBuf {
        self.current.join(path)
    }

    /// The paths by which the program looks it up: as it was written, and as what the program makes of that when it
    /// takes out `.` and `..`. Its C library compares text.
    pub(crate) fn guest(&self, path: &Path) -> Result<Vec<String>> {
        let plain = text(&self.plain(path))?.to_owned();
        let written = text(path)?;
        let mut below = written;
        while let Some(rest) = below.strip_prefix("./") {
            below = rest.trim_start_matches('/');
        }
        let below = if below == "." { "" } else { below };
        let written = match written.starts_with('/') {
            true => written.to_owned(),
            false => format!("{}/{below}", text(&self.current)?.trim_end_matches('/')),
        };
        let mut paths = vec![plain];
        let written = match written.trim_end_matches('/') {
            "" => "/".to_owned(),
            trimmed => trimmed.to_owned(),
        };
        if !paths.contains(&written) {
            paths.push(written);
        }
        Ok(paths)
    }

    /// The absolute path without `.` and `..`.
    pub(crate) fn plain(&self, path: &Path) -> PathBuf {
        let mut plain = PathBuf::from("/");
        for part in self.host(path).components() {
            match part {
                Component::Normal(name) => plain.push(name),
                Component::ParentDir => {
                    plain.pop();
                }
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        plain
    }
}

/// The text of a path.
pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| Error::NotUtf8 {
        text: path.to_string_lossy().into_owned(),
    })
}

/// The directory that a path is in, and the name that it has there: as text, as the program's C library cuts it.
pub(crate) fn cut(path: &Path) -> Result<(PathBuf, &str)> {
    let text = text(path)?.trim_end_matches('/');
    Ok(match text.rsplit_once('/') {
        None => (PathBuf::from("."), text),
        Some(("", name)) => (PathBuf::from("/"), name),
        Some((parent, name)) => (PathBuf::from(parent), name),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_looks_up() {
        let current = PathBuf::from("/home/me");
        let view = View { current };
        for (path, plain, written) in [
            ("a", "/home/me/a", "/home/me/a"),
            ("./a/", "/home/me/a", "/home/me/a"),
            (".", "/home/me", "/home/me"),
            ("./", "/home/me", "/home/me"),
            ("..", "/home", "/home/me/.."),
            ("../a/./b", "/home/a/b", "/home/me/../a/./b"),
            ("/", "/", "/"),
            ("/a//b", "/a/b", "/a//b"),
            ("/../a", "/a", "/../a"),
        ] {
            let guest = view.guest(Path::new(path)).unwrap();
            assert_eq!(guest.first().unwrap(), plain, "{path}");
            assert_eq!(guest.last().unwrap(), written, "{path}");
        }
    }

    #[test]
    fn a_path_is_cut_at_its_last_slash() {
        for (path, parent, name) in [
            ("a", ".", "a"),
            ("a/b/", "a", "b"),
            ("/a", "/", "a"),
            ("a/./b", "a/.", "b"),
            ("..", ".", ".."),
            ("/", ".", ""),
        ] {
            let cut = cut(Path::new(path)).unwrap();
            assert_eq!(cut, (parent.into(), name), "{path}");
        }
    }
}
