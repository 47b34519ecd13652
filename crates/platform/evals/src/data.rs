//! Where the cases of a suite are.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::suite::Suite;

pub(crate) enum Location {
    Found(PathBuf),
    /// There is no data, and nobody said that there was; why, and what to do.
    Absent(String),
}

/// The suite's folder: in `given`, else in `KANDELA_DATA`, else in `../shared/data` beside the workspace. Each may be that
/// folder itself or hold it under the suite's name.
pub(crate) fn locate(suite: &Suite, given: Option<&Path>) -> anyhow::Result<Location> {
    let from_environment =
        || env::var_os("KANDELA_DATA").filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = given.map(Path::to_path_buf).or_else(from_environment) {
        return Ok(Location::Found(suite_folder(suite, &folder)?));
    }
    let default = beside_workspace();
    if !default.join(suite.name).is_dir() {
        return Ok(Location::Absent(format!(
            "there is no data for the suite {} in {}; name its folder with --data DIR or in KANDELA_DATA",
            suite.name,
            default.display()
        )));
    }
    Ok(Location::Found(suite_folder(suite, &default)?))
}

fn suite_folder(suite: &Suite, folder: &Path) -> anyhow::Result<PathBuf> {
    if !folder.is_dir() {
        bail!("{} is no folder; name one that holds the cases of {}", folder.display(), suite.name);
    }
    let nested = folder.join(suite.name);
    let chosen = if nested.is_dir() { nested } else { folder.to_path_buf() };
    if (suite.cases)(&chosen)?.is_empty() {
        bail!(
            "{} holds no case of the suite {}; name the folder that its cases lie in",
            chosen.display(),
            suite.name
        );
    }
    Ok(chosen)
}

/// `../shared/data`, seen from the workspace that the current folder is in, else from the current folder.
fn beside_workspace() -> PathBuf {
    let current = env::current_dir().unwrap_or_default();
    let workspace = current.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    match workspace.and_then(Path::parent) {
        Some(parent) => parent.join("shared").join("data"),
        None => Path::new("..").join("shared").join("data"),
    }
}
