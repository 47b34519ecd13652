//! The results file: one line of JSON for each case that was run, appended as soon as its outcome is known.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The outcome of a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) suite: String,
    /// The folder that the case came from.
    pub(crate) data: String,
    pub(crate) build: String,
    pub(crate) case: String,
    pub(crate) passed: bool,
    pub(crate) expected: String,
    pub(crate) got: String,
}

/// A results file that is being written.
pub(crate) struct Results {
    path: PathBuf,
    file: File,
}

impl Results {
    /// Opens the file, and reads what is in it: outcomes of one type. A line that is no outcome is what a run that was cut off has
    /// left, or another suite's; it is passed over.
    pub(crate) fn open<T: DeserializeOwned>(path: &Path) -> anyhow::Result<(Self, Vec<T>)> {
        let context = || format!("cannot use the results file {}", path.display());
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(context),
        };
        let known = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let mut file = OpenOptions::new().create(true).append(true).open(path).with_context(context)?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n").with_context(context)?;
        }
        Ok((Self { path: path.to_path_buf(), file }, known))
    }

    pub(crate) fn append(&mut self, outcome: &impl Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(outcome)?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .with_context(|| format!("cannot append to the results file {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(case: &str) -> Outcome {
        let text = |text: &str| text.to_owned();
        Outcome {
            suite: text("s"),
            data: text("d"),
            build: text("b"),
            case: text(case),
            passed: true,
            expected: text("e"),
            got: text("g"),
        }
    }

    #[test]
    fn a_line_cut_in_the_middle_costs_that_case_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.jsonl");
        let whole = serde_json::to_string(&outcome("a")).unwrap();
        fs::write(&path, format!("{whole}\n{}", &whole[..whole.len() / 2])).unwrap();

        let (mut results, known) = Results::open::<Outcome>(&path).unwrap();
        assert_eq!(known.iter().map(|known| known.case.as_str()).collect::<Vec<_>>(), ["a"]);
        results.append(&outcome("b")).unwrap();

        let (_, known) = Results::open::<Outcome>(&path).unwrap();
        assert_eq!(known.iter().map(|known| known.case.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }
}
