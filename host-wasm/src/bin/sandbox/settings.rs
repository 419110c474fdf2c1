//! What the environment of this process says.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use flatbao_host::Sandbox;

use crate::error::{Error, Result};

const MODULE: &str = "FLATBAO_MODULE";
const MEMORY: &str = "FLATBAO_SANDBOX_MEMORY";
const SECONDS: &str = "FLATBAO_SANDBOX_SECONDS";

/// The most memory of the program, unless told otherwise.
const DEFAULT_MEMORY: u64 = 1 << 30;

/// The best one first: it has the host hash.
const MODULES: [&str; 2] = ["flatbao-assisted.wasm", "flatbao.wasm"];

pub(crate) struct Settings {
    module: PathBuf,
    memory: u64,
    deadline: Option<Duration>,
}

impl Settings {
    pub(crate) fn from_environment() -> Result<Self> {
        let module = match env::var_os(MODULE).filter(|path| !path.is_empty()) {
            Some(path) => path.into(),
            None => find_module()?,
        };
        Ok(Self {
            module,
            memory: number(MEMORY, "bytes")?.unwrap_or(DEFAULT_MEMORY),
            deadline: number(SECONDS, "seconds")?.map(Duration::from_secs),
        })
    }

    pub(crate) fn module(&self) -> &Path {
        &self.module
    }

    pub(crate) fn has_deadline(&self) -> bool {
        self.deadline.is_some()
    }

    pub(crate) fn limit(&self, sandbox: Sandbox) -> Sandbox {
        let sandbox = sandbox.memory_limit(self.memory);
        match self.deadline {
            Some(limit) => sandbox.deadline(limit),
            None => sandbox,
        }
    }
}

/// Beside this program, or where the build puts it.
fn find_module() -> Result<PathBuf> {
    let here = env::current_exe().map_err(Error::io("find", "this program"))?;
    let here = here.parent().unwrap_or(Path::new("."));
    let places = [here.to_owned(), here.join("../wasm")];
    let mut candidates = places
        .iter()
        .flat_map(|place| MODULES.map(|name| place.join(name)));
    candidates
        .find(|path| path.is_file())
        .ok_or_else(|| Error::NoModule {
            place: here.to_owned(),
        })
}

fn number(variable: &'static str, unit: &'static str) -> Result<Option<u64>> {
    let Some(text) = env::var_os(variable).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let number = text.to_str().and_then(|text| text.parse().ok());
    number.map(Some).ok_or(Error::Setting { variable, unit })
}
