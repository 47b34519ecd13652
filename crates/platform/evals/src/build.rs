//! Which build of Kandela an outcome comes from.

use std::{env, fs};

use anyhow::Context;
use xxhash_rust::xxh3::xxh3_64;

/// The version and a hash of the running executable: two builds share it only where they are the same bytes.
pub(crate) fn fingerprint() -> anyhow::Result<String> {
    let path = env::current_exe().context("cannot tell which executable is running")?;
    let executable = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(format!("{}-{:016x}", env!("CARGO_PKG_VERSION"), xxh3_64(&executable)))
}
