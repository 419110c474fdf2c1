//! The test programs that cargo has built.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};

use crate::steps::{cargo, output};

/// The test programs of the packages in these folders, as `FOLDER/NAME`, and where they are. `which` is what they were
/// built with, so that nothing is built anew.
pub(crate) fn built(which: &str, folders: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
    let args = format!("test --no-run --quiet --locked --message-format json {which}");
    let mut programs = BTreeMap::new();
    for line in output(&mut cargo(&args))?.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        let Some(path) = message["executable"].as_str() else {
            continue;
        };
        if message["profile"]["test"] != true {
            continue;
        }
        let package = message["manifest_path"].as_str().unwrap_or_default();
        let package = Path::new(package).parent().and_then(Path::file_name);
        let package = package.and_then(|name| name.to_str()).unwrap_or_default();
        if !folders.contains(&package) {
            continue;
        }
        let name = message["target"]["name"].as_str().unwrap_or_default();
        programs.insert(format!("{package}/{name}"), path.into());
    }
    ensure!(!programs.is_empty(), "cargo has built no tests");
    Ok(programs)
}
