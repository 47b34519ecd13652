//! Traces: zstd of little-endian `u64` keys, one an access.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, bail};

const SUFFIX: &str = ".u64le.zst";

/// The traces of a folder, by name.
pub(super) fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let context = || format!("cannot list {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(context)? {
        let file = entry.with_context(context)?.file_name();
        names.extend(file.to_str().and_then(|name| name.strip_suffix(SUFFIX)).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// The keys of a trace, numbered in the order in which they first come.
pub(super) fn read(folder: &Path, name: &str) -> anyhow::Result<Vec<u32>> {
    let path = folder.join(format!("{name}{SUFFIX}"));
    let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut bytes = Vec::new();
    zstd::Decoder::new(BufReader::new(file))
        .and_then(|mut decoder| decoder.read_to_end(&mut bytes))
        .with_context(|| format!("{} is no whole zstd stream", path.display()))?;
    let (keys, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        bail!("{} holds {} bytes, which are no whole keys of 8 bytes", path.display(), bytes.len());
    }
    if keys.is_empty() {
        bail!("{} holds no keys", path.display());
    }
    let mut numbers = std::collections::HashMap::new();
    let number = |key: &[u8; 8]| {
        let next = u32::try_from(numbers.len()).context("more than 4 billion distinct keys")?;
        Ok(*numbers.entry(u64::from_le_bytes(*key)).or_insert(next))
    };
    keys.iter().map(number).collect()
}

/// How many distinct keys there are.
pub(super) fn distinct(keys: &[u32]) -> usize {
    keys.iter().max().map_or(0, |highest| *highest as usize + 1)
}
