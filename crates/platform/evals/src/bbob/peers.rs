//! Where the peers are.

use std::env;
use std::path::{Path, PathBuf};

use crate::optimiser::Contender;

/// The peers of these names; none, and a word on standard error, where there is nothing to run them with.
pub(super) fn named(names: &[String]) -> Vec<Contender> {
    if names.is_empty() {
        return Vec::new();
    }
    match command() {
        Ok(command) => {
            let peer = |name: &String| Contender::Peer { command: command.clone(), strategy: name.clone() };
            names.iter().map(peer).collect()
        }
        Err(why) => {
            eprintln!("skipped: {}: {why}", names.join(", "));
            Vec::new()
        }
    }
}

fn command() -> Result<Vec<String>, String> {
    let python = python()
        .ok_or("there is no Python of the peers; run peers/install, or name its venv in KANDELA_VENV")?;
    let script =
        script().ok_or("peers/tune/peer.py is in no folder above this one; run it within the workspace")?;
    Ok([python, script].iter().map(|path| path.display().to_string()).collect())
}

fn python() -> Option<PathBuf> {
    let named = env::var_os("KANDELA_VENV").filter(|value| !value.is_empty()).map(PathBuf::from);
    let usual = || env::var_os("HOME").map(|home| Path::new(&home).join(".cache/kandela/venv"));
    named.or_else(usual).map(|venv| venv.join("bin/python")).filter(|python| python.is_file())
}

fn script() -> Option<PathBuf> {
    let current = env::current_dir().ok()?;
    current.ancestors().map(|folder| folder.join("peers/tune/peer.py")).find(|script| script.is_file())
}
