//! From the places that the command touches to what the program is granted.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read as _},
    path::{Component, Path, PathBuf},
};

use flatbao::{Access as Touch, Cli, Place, Places, StoreAccess, StorePlace};
use flatbao_core::{Backend as _, BackendError, Durability, store::Locking};
use flatbao_fs::{Found, probe};
use flatbao_host::{FileAccess, Input, Name, Sandbox};

use crate::{
    error::{Error, Result},
    fill::Made,
    grants::{Access, Grants},
    skeleton::Skeleton,
    view::{View, cut, text},
};

/// How long a list may be that is read ahead of the program.
const MAX_LIST: u64 = 64 << 20;

/// What the program gets.
pub(crate) struct Plan {
    view: View,
    grants: Grants,
    skeleton: Skeleton,
    made: Vec<Made>,
    stdin: Input,
    /// Directories of files that the store comes to refer to.
    pub(crate) external: Vec<String>,
}

impl Plan {
    pub(crate) fn new(cli: &Cli) -> Result<Self> {
        let places = cli.places();
        let view = View::new()?;
        let mut plan = Self {
            skeleton: Skeleton::new(view.current())?,
            view,
            grants: Grants::default(),
            made: Vec::new(),
            stdin: match places.reads_stdin {
                true => Input::Inherited,
                false => Input::Closed,
            },
            external: Vec::new(),
        };
        for place in &places.outside {
            plan.outside(place, cli, &places)?;
        }
        if places.is_open_ended {
            plan.list_on_stdin()?;
        }
        if cli.limits_external() {
            for place in &places.external {
                let access = match place.is_written {
                    true => Access::Write,
                    false => Access::Read,
                };
                plan.directory(&place.dir, access)?;
            }
        }
        // Last, so that nothing is made when something else is refused; and those that are written first, since one that
        // is read may lie in them.
        let (read, written): (Vec<_>, Vec<_>) = places
            .stores
            .iter()
            .partition(|store| store.access == StoreAccess::Read);
        for store in written.into_iter().chain(read) {
            plan.store(store, cli.locking(), cli.durability())?;
        }
        let stores = places.stores.iter().map(|store| &store.path);
        let external = places.external.iter().map(|place| &place.dir);
        let outside = places.outside.iter().map(|place| &place.path);
        for path in stores.chain(external).chain(outside) {
            plan.look_for(path)?;
        }
        // The program enters it, and would look for it among the single files that are granted above.
        let above = plan.view.current().parent();
        if above.is_some_and(|above| plan.grants.has_files_on_the_way(above)) {
            let nothing = Access::Files(Vec::new());
            plan.grants.directory(&plan.view, Path::new("."), nothing)?;
        }
        Ok(plan)
    }

    /// The current directory, as text.
    pub(crate) fn current(&self) -> Result<&str> {
        text(self.view.current())
    }

    pub(crate) fn sandbox(&self) -> Result<Sandbox> {
        let sandbox = self.grants.sandbox().stdin(self.stdin.clone());
        Ok(match self.grants.has_root() {
            true => sandbox,
            false => sandbox.directory_read_only(self.skeleton.path(), "/"),
        })
    }

    /// After the program has ended.
    pub(crate) fn tidy_up(&self) {
        self.made.iter().for_each(Made::tidy_up);
    }

    fn store(
        &mut self,
        store: &StorePlace,
        locking: Locking,
        durability: Durability,
    ) -> Result<()> {
        let host = self.view.host(&store.path);
        let written = match locking {
            Locking::Exclusive => Access::Store,
            _ => Access::Write,
        };
        let found = probe(&host);
        let access = match (store.access, found) {
            // It is in a directory that is written, or the other way round.
            (StoreAccess::Read, Ok(Found::Store(_)))
                if self.grants.is_written(&host) && can_be_locked(&host) =>
            {
                written
            }
            (StoreAccess::Read, _) => Access::Read,
            (_, Ok(Found::Store(_))) => written,
            (StoreAccess::Fill | StoreAccess::Make, Ok(Found::Missing | Found::Empty))
            | (StoreAccess::Make, Ok(Found::NotAStore))
                if self.can_be_made(&store.path)? =>
            {
                self.made.push(Made::make(&host, durability)?);
                written
            }
            // The program says what is wrong, and nothing there changes.
            _ => Access::Read,
        };
        if !host.is_dir() {
            return self.grants.name(&self.view, &store.path);
        }
        self.directory(&store.path, access)
    }

    /// What is missing of a path is made name by name, and `..` of what is missing is no name.
    fn can_be_made(&self, path: &Path) -> Result<bool> {
        let there = self.there(path)?;
        let count = |path: &Path| path.components().count();
        let missing = count(path).saturating_sub(count(&there));
        let mut names = path.components().rev().take(missing);
        Ok(names.all(|part| matches!(part, Component::Normal(_))))
    }

    fn outside(&mut self, place: &Place, cli: &Cli, places: &Places) -> Result<()> {
        let path = place.path.as_path();
        let (parent, name) = cut(path)?;
        self.tell_file_on_the_way(&parent)?;
        match place.access {
            Touch::ReadFile => self.grants.stream(&self.view, path),
            Touch::Read => self.read(path),
            Touch::Refer => {
                self.read(path)?;
                if !cli.limits_external() {
                    self.refer(path)?;
                }
                Ok(())
            }
            Touch::ReadListed => {
                self.grants.stream(&self.view, path)?;
                match File::open(self.view.host(path)) {
                    Ok(list) => self.listed(BufReader::new(list.take(MAX_LIST))),
                    // The program says so.
                    Err(_) => Ok(()),
                }
            }
            Touch::WriteFile { replace } => self.named(&parent, name, replace),
            Touch::UpdateFile => {
                self.check_is_no_link(path)?;
                self.named(&parent, name, true)
            }
            Touch::WriteInto => self.written(path, true).map(drop),
            Touch::Restore { replace } => self.written(path, replace).map(drop),
            Touch::RestoreByHash { replace } => self.by_hash(path, replace),
            Touch::Export { replace } => {
                let root = self.written(path, replace)?;
                // Whatever changes the store may leave a path in it.
                let refers = places.stores.iter();
                match refers
                    .map(|store| store.access)
                    .any(|a| a != StoreAccess::Read)
                {
                    true => self.check_no_links(&root),
                    false => Ok(()),
                }
            }
        }
    }

    fn directory(&mut self, path: &Path, access: Access) -> Result<()> {
        self.grants.directory(&self.view, path, access)
    }

    fn read(&mut self, path: &Path) -> Result<()> {
        match self.view.host(path).is_dir() {
            true => self.directory(path, Access::Read),
            false => self.grants.file(&self.view, path),
        }
    }

    /// What may become a file, or a directory with files in it. Returns what of it was there.
    fn written(&mut self, path: &Path, replace: bool) -> Result<PathBuf> {
        if self.view.host(path).is_dir() {
            self.directory(path, Access::Write)?;
            self.grants.name(&self.view, path)?;
            return Ok(path.to_owned());
        }
        let (parent, name) = cut(path)?;
        let there = self.there(&parent)?;
        // What is there is the beginning of it. The name behind that becomes the file, or the directory that all the
        // rest comes into.
        let missing: Vec<_> = missing(&parent, &there).components().collect();
        match missing[..] {
            [] => self.named(&there, name, replace)?,
            [Component::Normal(first), ref rest @ ..]
                if rest.iter().all(|part| matches!(part, Component::Normal(_))) =>
            {
                self.named(&there, text(Path::new(first))?, replace)?;
            }
            // It leads up again: what it becomes is known when it is made.
            _ => self.directory(&there, Access::Write)?,
        }
        Ok(there)
    }

    /// What is written under a name. What is there and will not be replaced the program only has to see.
    fn named(&mut self, parent: &Path, name: &str, replace: bool) -> Result<()> {
        let path = parent.join(name);
        match fs::symlink_metadata(self.view.host(&path)) {
            Ok(found) if !(found.is_file() && replace) => self.grants.name(&self.view, &path),
            _ => self.replaced(parent, name.into()),
        }
    }

    /// What is written under a hash that only the store tells. What is there is left alone, but for files that are to
    /// be replaced.
    fn by_hash(&mut self, parent: &Path, replace: bool) -> Result<()> {
        let entries = fs::read_dir(self.view.host(parent)).into_iter().flatten();
        let there = entries.flatten().filter(|entry| {
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            !(is_file && replace)
        });
        let names = there.filter_map(|entry| entry.file_name().into_string().ok());
        let any = Name::FullHash { but: Vec::new() };
        let but: Vec<_> = names.filter(|name| any.matches(name)).collect();
        for name in &but {
            self.grants.name(&self.view, &parent.join(name))?;
        }
        self.replaced(parent, Name::FullHash { but })
    }

    /// A link is not followed, and what it leads to is not known to be wanted.
    fn check_is_no_link(&self, path: &Path) -> Result<()> {
        let host = self.view.host(path);
        match fs::read_link(&host) {
            Ok(to) => Err(Error::Link {
                path: path.to_owned(),
                to: host.canonicalize().unwrap_or(to),
            }),
            Err(_) => Ok(()),
        }
    }

    /// Lets the program find out that a path leads to nothing, where it would be told otherwise that it may not look.
    fn look_for(&mut self, path: &Path) -> Result<()> {
        let there = self.there(path)?;
        let first = missing(path, &there).components().next();
        let (Some(Component::Normal(first)), true) = (
            first,
            self.grants.has_files_on_the_way(&self.view.plain(&there)),
        ) else {
            return Ok(());
        };
        self.grants.name(&self.view, &there.join(first))
    }

    fn replaced(&mut self, parent: &Path, name: Name) -> Result<()> {
        let access = Access::Files(vec![(name, FileAccess::Replace)]);
        self.directory(parent, access)
    }

    /// What of a path is there.
    fn there(&self, path: &Path) -> Result<PathBuf> {
        let mut there = path.to_owned();
        while !self.view.host(&there).exists() {
            there = cut(&there)?.0;
        }
        Ok(there)
    }

    fn tell_file_on_the_way(&self, parent: &Path) -> Result<()> {
        let there = self.there(parent)?;
        match self.view.host(&there).is_dir() {
            true => Ok(()),
            false => self.skeleton.file(&self.view.plain(&there)),
        }
    }

    /// Lets the program refer to what is at `path`.
    fn refer(&mut self, path: &Path) -> Result<()> {
        let host = self.view.host(path);
        if !host.exists() {
            return Ok(());
        }
        let dir = match host.is_dir() {
            true => path.to_owned(),
            false => cut(path)?.0,
        };
        self.check_no_links(path)?;
        let dir = text(&self.view.plain(&dir))?.to_owned();
        if !self.external.contains(&dir) {
            self.external.push(dir);
        }
        Ok(())
    }

    /// The program cannot see links on the way, and a store refers to files without.
    fn check_no_links(&self, path: &Path) -> Result<()> {
        let real = self.view.host(path).canonicalize();
        match real {
            Ok(real) if real != self.view.plain(path) => Err(Error::Link {
                path: path.to_owned(),
                to: real,
            }),
            _ => Ok(()),
        }
    }

    /// Files that are named by a list.
    fn listed(&mut self, list: impl io::BufRead) -> Result<()> {
        // What cannot be read the program cannot read either.
        for path in flatbao::listed(list).unwrap_or_default() {
            if text(&path).is_ok() {
                self.grants.stream(&self.view, &path)?;
            }
        }
        Ok(())
    }

    fn list_on_stdin(&mut self) -> Result<()> {
        let mut list = Vec::new();
        let read = io::stdin().lock().take(MAX_LIST + 1).read_to_end(&mut list);
        read.map_err(Error::io("read", "standard input"))?;
        if list.len() as u64 > MAX_LIST {
            return Err(Error::LongList { limit: MAX_LIST });
        }
        self.listed(list.as_slice())?;
        self.stdin = Input::Bytes(list);
        Ok(())
    }
}

/// What of a path is not there, given what is.
fn missing<'a>(path: &'a Path, there: &Path) -> &'a Path {
    match path.strip_prefix(there) {
        Ok(below) => below,
        // It begins with the current directory without saying so.
        Err(_) => path,
    }
}

/// Whether there is a lock to be held, by this process or by somebody else. Where there is none, nobody who is granted
/// the directory could write either.
fn can_be_locked(store: &Path) -> bool {
    let locked = flatbao_fs::open_ambient(store).map(|backend| backend.lock().map(drop));
    matches!(locked, Ok(Ok(()) | Err(BackendError::Busy)))
}
