//! Reading small files of `/proc` and `/sys`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::HostError;

/// No file that a collector reads comes near this; one that does is refused.
const MAX_FILE: u64 = 16 << 20;

/// The whole of a text file.
pub(super) fn text(path: &Path) -> Result<String, HostError> {
    read(path).map_err(|source| HostError::Read { path: path.to_owned(), source })
}

/// The whole of a text file, `None` where the kernel does not offer it.
pub(super) fn optional(path: &Path) -> Result<Option<String>, HostError> {
    match read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(source) => Err(HostError::Read { path: path.to_owned(), source }),
    }
}

/// A one-line attribute of `/sys`, trimmed; `None` where it is missing or the driver does not answer, which it says with
/// all sorts of error codes.
pub(super) fn attribute(path: &Path) -> Option<String> {
    read(path).ok().map(|text| text.trim().to_owned())
}

/// A one-line attribute of `/sys` that is a number.
pub(super) fn attribute_number(path: &Path) -> Option<f64> {
    integer(&attribute(path)?)
}

/// A file that holds one number.
pub(super) fn single(path: &Path) -> Result<f64, HostError> {
    number(path, text(path)?.trim())
}

/// `field` of the file `path` as a number.
pub(super) fn number(path: &Path, field: &str) -> Result<f64, HostError> {
    field.parse().map_err(|_| form(path, format!("{field:?} stands where a number should")))
}

/// The file `path` is not as it should be.
pub(super) fn form(path: &Path, what: impl Into<String>) -> HostError {
    HostError::Form { path: path.to_owned(), what: what.into() }
}

/// Names in a folder in ascending order; none where the folder is absent.
pub(super) fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, HostError> {
    let failed = |source| HostError::Read { path: folder.to_owned(), source };
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    let mut found = Vec::new();
    for entry in listing {
        let entry = entry.map_err(failed)?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("longer than {MAX_FILE} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Absent, or offered by no driver: a kernel built without a feature answers `EOPNOTSUPP` for its file.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::Unsupported)
}

/// Decimal, or hexadecimal after `0x`, as `/sys` writes numbers.
fn integer(text: &str) -> Option<f64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(|n| n as f64),
        None => text.parse().ok(),
    }
}
