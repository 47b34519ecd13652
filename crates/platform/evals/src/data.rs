//! Where the cases of a suite are.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::bail;

pub(crate) enum Location {
    Found(PathBuf),
    /// There is no data, and nobody said that there was; why, and what to do.
    Absent(String),
}

/// The suite's folder: in `given`, else in `KANDELA_DATA`, else in `../shared/data` beside the workspace. Each may be that
/// folder itself or hold it under the suite's name.
pub(crate) fn locate(
    suite: &str,
    given: Option<&Path>,
    cases: impl Fn(&Path) -> anyhow::Result<Vec<String>>,
) -> anyhow::Result<Location> {
    let from_environment =
        || env::var_os("KANDELA_DATA").filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = given.map(Path::to_path_buf).or_else(from_environment) {
        return Ok(Location::Found(suite_folder(suite, &folder, cases)?));
    }
    let default = beside_workspace();
    if !default.join(suite).is_dir() {
        return Ok(Location::Absent(format!(
            "there is no data for the suite {suite} in {}; name its folder with --data DIR or in KANDELA_DATA",
            default.display()
        )));
    }
    Ok(Location::Found(suite_folder(suite, &default, cases)?))
}

fn suite_folder(
    suite: &str,
    folder: &Path,
    cases: impl Fn(&Path) -> anyhow::Result<Vec<String>>,
) -> anyhow::Result<PathBuf> {
    if !folder.is_dir() {
        bail!("{} is no folder; name one that holds the cases of {suite}", folder.display());
    }
    let nested = folder.join(suite);
    let chosen = if nested.is_dir() { nested } else { folder.to_path_buf() };
    if cases(&chosen)?.is_empty() {
        bail!(
            "{} holds no case of the suite {suite}; name the folder that its cases lie in",
            chosen.display()
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
