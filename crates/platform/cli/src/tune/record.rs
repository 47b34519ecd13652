//! Trials on disk, one line of JSON each, so that a search that was cut off goes on where it stopped.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use kandela_model::WireValue;
use kandela_tune::{Config, Space};
use serde::{Deserialize, Serialize};

/// The first line: what is searched, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Heading {
    pub space: Space,
    pub command: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measure: Vec<String>,
    pub objective: String,
    pub maximize: bool,
    pub constraints: Vec<String>,
    pub strategy: String,
    pub seed: u64,
}

/// What came of one run of the command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// The trial's number; in the check at the end, the round's.
    pub id: u64,
    /// Which part of the search it belongs to.
    pub part: Part,
    pub config: BTreeMap<String, WireValue>,
    /// The numbers that the command printed; none where it failed.
    pub numbers: Option<BTreeMap<String, f64>>,
    /// Why there are none, or none that count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    pub seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Part {
    /// A trial of the search.
    Search,
    /// The recommended settings, measured again.
    Best,
    /// The defaults, measured beside them.
    Defaults,
    /// Other settings, measured beside them: which of those that were named.
    Compared(usize),
}

impl Row {
    /// The settings, which were checked when they were written.
    pub(super) fn settings(&self, space: &Space) -> Option<Config> {
        let typed = |(name, value): (&String, &WireValue)| {
            Some((name.clone(), value.typed(&space.parameter(name)?.spec.kind)?))
        };
        self.config.iter().map(typed).collect()
    }
}

/// Settings as rows and reports have them.
pub(super) fn shown(config: &Config) -> BTreeMap<String, WireValue> {
    config.iter().map(|(name, value)| (name.clone(), WireValue::from(value))).collect()
}

/// The file, open for more rows.
pub(super) struct Record {
    file: File,
    path: PathBuf,
}

impl Record {
    /// Opens the record of a search, or begins one; gives what is in it.
    ///
    /// # Errors
    /// When it is the record of another search, or can't be read or written.
    pub(super) fn open(path: &Path, heading: &Heading) -> anyhow::Result<(Record, Vec<Row>)> {
        let place = || format!("the record of trials {}", path.display());
        let mut file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Record::begin(path, heading),
            opened => opened.with_context(place)?,
        };
        file.try_lock().map_err(|_| anyhow::anyhow!("{} is in use by another search", path.display()))?;
        let (lines, whole) = whole_lines(&file).with_context(place)?;
        let Some((first, rest)) = lines.split_first() else {
            drop(file);
            return Record::begin(path, heading);
        };
        let was: Heading = serde_json::from_str(first)
            .with_context(|| format!("{} is no record of trials; name another by --state", path.display()))?;
        if let Some(what) = difference(&was, heading) {
            bail!(
                "{} holds trials of another search: {what} differs; name another file by --state, or remove it",
                path.display()
            );
        }
        let row = |(line, text): (usize, &String)| {
            serde_json::from_str(text).with_context(|| format!("{}, line {}", path.display(), line + 2))
        };
        let rows = rest.iter().enumerate().map(row).collect::<anyhow::Result<Vec<Row>>>()?;
        // A line that was cut off by a crash is no trial; it is measured again.
        file.set_len(whole).with_context(place)?;
        file.seek(SeekFrom::End(0)).with_context(place)?;
        Ok((Record { file, path: path.to_owned() }, rows))
    }

    fn begin(path: &Path, heading: &Heading) -> anyhow::Result<(Record, Vec<Row>)> {
        let place = || format!("can't write the record of trials {}", path.display());
        let file = File::create(path).with_context(place)?;
        file.try_lock().map_err(|_| anyhow::anyhow!("{} is in use by another search", path.display()))?;
        let mut record = Record { file, path: path.to_owned() };
        record.write(heading)?;
        Ok((record, Vec::new()))
    }

    /// Adds a row; it is on disk when this returns.
    pub(super) fn add(&mut self, row: &Row) -> anyhow::Result<()> {
        self.write(row)
    }

    fn write(&mut self, what: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_string(what)?;
        text.push('\n');
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.with_context(|| format!("can't write the record of trials {}", self.path.display()))
    }
}

/// The space of the search whose record this is, if it is one.
pub(super) fn space(path: &Path) -> Option<Space> {
    let mut first = String::new();
    BufReader::new(File::open(path).ok()?).read_line(&mut first).ok()?;
    serde_json::from_str::<Heading>(&first).ok().map(|heading| heading.space)
}

/// The lines that have an end, and how many bytes they take.
fn whole_lines(file: &File) -> std::io::Result<(Vec<String>, u64)> {
    let mut reader = BufReader::new(file);
    let (mut lines, mut whole) = (Vec::new(), 0);
    loop {
        let mut line = Vec::new();
        let read = reader.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Ok((lines, whole));
        }
        whole += read as u64;
        lines.push(String::from_utf8_lossy(&line).into_owned());
    }
}

/// What of two searches is not the same, if something matters.
fn difference(was: &Heading, is: &Heading) -> Option<&'static str> {
    let parts = [
        (was.space != is.space, "the space"),
        (was.command != is.command, "the command"),
        (was.measure != is.measure, "what is measured"),
        (was.objective != is.objective || was.maximize != is.maximize, "the objective"),
        (was.constraints != is.constraints, "a constraint"),
        (was.strategy != is.strategy, "the strategy"),
        (was.seed != is.seed, "the seed"),
    ];
    parts.into_iter().find(|(differs, _)| *differs).map(|(_, what)| what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heading(seed: u64) -> Heading {
        Heading {
            space: serde_json::from_str(r#"{"pool": {"type": "int", "min": 1, "max": 9}}"#).unwrap(),
            command: "true".to_owned(),
            measure: Vec::new(),
            objective: "value".to_owned(),
            maximize: false,
            constraints: Vec::new(),
            strategy: "random".to_owned(),
            seed,
        }
    }

    fn row(id: u64) -> Row {
        Row {
            id,
            part: Part::Search,
            config: BTreeMap::from([("pool".to_owned(), WireValue::Int(3))]),
            numbers: Some(BTreeMap::from([("value".to_owned(), 1.5)])),
            failed: None,
            seconds: 0.1,
        }
    }

    #[test]
    fn rows_are_there_again_and_a_line_that_was_cut_off_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.jsonl");
        let (mut record, rows) = Record::open(&path, &heading(1)).unwrap();
        assert_eq!(rows, []);
        record.add(&row(0)).unwrap();
        drop(record);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"id\": 1, \"par").unwrap();
        drop(file);
        let (mut record, rows) = Record::open(&path, &heading(1)).unwrap();
        assert_eq!(rows, [row(0)]);
        record.add(&row(1)).unwrap();
        drop(record);
        assert_eq!(Record::open(&path, &heading(1)).unwrap().1, [row(0), row(1)]);
    }

    #[test]
    fn the_record_of_another_search_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.jsonl");
        drop(Record::open(&path, &heading(1)).unwrap());
        let error = Record::open(&path, &heading(2)).err().unwrap().to_string();
        assert!(error.contains("the seed differs") && error.contains("--state"), "{error}");
        std::fs::write(&path, "notes\n").unwrap();
        let error = Record::open(&path, &heading(1)).err().unwrap().to_string();
        assert!(error.contains("is no record of trials"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "notes\n");
    }

    #[test]
    fn two_searches_on_one_record_are_one_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.jsonl");
        let _first = Record::open(&path, &heading(1)).unwrap();
        let error = Record::open(&path, &heading(1)).err().unwrap().to_string();
        assert!(error.contains("in use by another search"), "{error}");
    }
}
