//! A file of OpenMetrics text, piece by piece, so that it may be larger than memory.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, bail};
use kandela_ingest::exposition::{ExpositionError, Format, ParseOptions, parse_as};
use kandela_model::{MetricBatch, Timestamp};

use super::Findings;
use super::intake::Parcel;

/// Bytes that are parsed at once; a longer line makes a longer piece.
const PIECE: usize = 4 << 20;
const END: &[u8] = b"# EOF";
/// Stands for the time of a sample that has none, which no real sample has.
const NO_TIME: Timestamp = Timestamp::MIN;

/// Reads the whole file and keeps nothing, so that a file with a fault changes nothing.
pub(super) fn check(path: &Path) -> anyhow::Result<()> {
    read(path, &mut |_| Ok(())).map(drop)
}

/// Reads the file and gives its points to `take`.
pub(super) fn read(
    path: &Path,
    take: &mut dyn FnMut(Parcel) -> anyhow::Result<()>,
) -> anyhow::Result<Findings> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let total = file.metadata().map_or(0, |metadata| metadata.len());
    let mut pieces = Pieces::new(BufReader::with_capacity(PIECE, file));
    let mut piece = Piece::default();
    while pieces.next(&mut piece).with_context(|| format!("reading {}", path.display()))? {
        let batch = piece.parse().with_context(|| path.display().to_string())?;
        take(Parcel { batch, done: pieces.read, total })?;
    }
    Ok(Findings::default())
}

/// Some lines of the file as an exposition of its own.
#[derive(Debug, Default)]
struct Piece {
    text: Vec<u8>,
    /// Lines at its front that say again what family goes on.
    repeated: usize,
    /// The number of the first line that is not repeated, from 1.
    first_line: usize,
}

impl Piece {
    fn parse(&self) -> anyhow::Result<MetricBatch> {
        let mut batch = MetricBatch::default();
        let parsed = parse_as(Format::OpenMetrics, &self.text, &ParseOptions::scrape(NO_TIME), &mut batch);
        if let Err(error) = parsed {
            return Err(self.in_file(error).into());
        }
        let samples = batch.samples.iter().map(|sample| (sample.series, sample.ts));
        let mut points = samples.chain(batch.histograms.iter().map(|point| (point.series, point.ts)));
        if let Some((series, _)) = points.find(|(_, ts)| *ts == NO_TIME) {
            let labels = batch.labels(series);
            bail!("a sample of {labels} has no time; history needs one, in seconds, behind each value");
        }
        drop(points);
        // An exemplar may leave it out; nothing tells when it was then.
        batch.exemplars.retain(|exemplar| exemplar.exemplar.ts != NO_TIME);
        Ok(batch)
    }

    /// The error with its line counted in the file.
    fn in_file(&self, error: ExpositionError) -> ExpositionError {
        match error {
            ExpositionError::Page { line, column, what, advice } => {
                let line = (line + self.first_line).saturating_sub(self.repeated + 1).max(1);
                ExpositionError::Page { line, column, what, advice }
            }
            other => other,
        }
    }
}

/// Cuts a file between lines.
struct Pieces<R> {
    input: R,
    /// Metadata of the family that goes on, and its name.
    family: Vec<u8>,
    metadata: Vec<u8>,
    line: usize,
    /// Bytes read so far.
    read: u64,
    ended: bool,
}

impl<R: BufRead> Pieces<R> {
    fn new(input: R) -> Self {
        Self { input, family: Vec::new(), metadata: Vec::new(), line: 0, read: 0, ended: false }
    }

    /// Reads the next piece; `false` behind the last.
    fn next(&mut self, piece: &mut Piece) -> anyhow::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        piece.text.clear();
        piece.text.extend_from_slice(&self.metadata);
        piece.repeated = self.metadata.iter().filter(|byte| **byte == b'\n').count();
        piece.first_line = self.line + 1;
        let repeated = piece.text.len();
        while piece.text.len() - repeated < PIECE {
            let start = piece.text.len();
            let read = self.input.read_until(b'\n', &mut piece.text)?;
            self.read += read as u64;
            self.line += 1;
            let line = piece.text.get(start..).unwrap_or_default();
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if line == END {
                self.end()?;
                piece.text.truncate(start);
                break;
            }
            if read == 0 {
                bail!(
                    "line {}: the file does not end with # EOF; it was cut off, or is no OpenMetrics text",
                    self.line
                );
            }
            let line = line.to_vec();
            self.note(&line);
        }
        piece.text.extend_from_slice(END);
        piece.text.push(b'\n');
        Ok(true)
    }

    fn end(&mut self) -> anyhow::Result<()> {
        self.ended = true;
        if self.input.fill_buf()?.is_empty() {
            Ok(())
        } else {
            bail!("line {}: text follows # EOF", self.line + 1)
        }
    }

    /// Remembers metadata, which also speak for samples in the next piece.
    fn note(&mut self, line: &[u8]) {
        let mut words = line.splitn(4, |byte| *byte == b' ');
        let (Some(b"#"), Some(b"TYPE" | b"HELP" | b"UNIT"), Some(family)) =
            (words.next(), words.next(), words.next())
        else {
            return;
        };
        if family != self.family.as_slice() {
            self.family = family.to_vec();
            self.metadata.clear();
        }
        self.metadata.extend_from_slice(line);
        self.metadata.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> anyhow::Result<(usize, MetricBatch)> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("history.om");
        std::fs::write(&path, text)?;
        check(&path)?;
        let mut batches = Vec::new();
        read(&path, &mut |parcel| {
            batches.push(parcel.batch);
            Ok(())
        })?;
        let mut all = MetricBatch::default();
        for batch in &batches {
            for sample in &batch.samples {
                let series = all.add_canonical(batch.labels(sample.series));
                all.add_sample(series, sample.ts, sample.value);
            }
        }
        Ok((batches.len(), all))
    }

    #[test]
    fn a_file_larger_than_a_piece_gives_every_sample_once() {
        let mut text = "# HELP requests Served.\n# TYPE requests counter\n".to_owned();
        for second in 0..200_000 {
            text.push_str(&format!(
                "requests_total{{path=\"/shop/checkout\"}} {second} {}\n",
                1_700_000_000 + second
            ));
        }
        text.push_str("# TYPE up gauge\nup 1 1700000000\n# EOF\n");
        let (pieces, batch) = read_text(&text).unwrap();
        assert!(pieces > 1);
        assert_eq!(batch.samples.len(), 200_001);
        let sum: f64 = batch.samples.iter().map(|sample| sample.value).sum();
        assert_eq!(sum, 199_999.0 * 100_000.0 + 1.0);
    }

    #[test]
    fn a_fault_is_named_by_its_line_in_the_file() {
        let mut text = "# TYPE a gauge\n".to_owned();
        (0..300_000)
            .for_each(|second| text.push_str(&format!("a{{b=\"c\"}} 1 {}\n", 1_700_000_000 + second)));
        text.push_str("a{b=} 1 1700000000\n# EOF\n");
        let error = format!("{:#}", read_text(&text).unwrap_err());
        assert!(error.contains("line 300002,"), "{error}");
    }

    #[test]
    fn a_sample_without_a_time_is_refused_by_name() {
        let error = read_text("# TYPE a gauge\na{b=\"c\"} 1\n# EOF\n").unwrap_err();
        assert!(format!("{error:#}").contains("a sample of a{b=\"c\"} has no time"), "{error:#}");
    }

    #[test]
    fn a_file_that_was_cut_off_is_refused() {
        let error = read_text("# TYPE a gauge\na 1 1700000000\n").unwrap_err();
        assert!(format!("{error:#}").contains("line 3: the file does not end with # EOF"), "{error:#}");
        let error = read_text("# EOF\na 1 1700000000\n").unwrap_err();
        assert!(format!("{error:#}").contains("line 2: text follows # EOF"), "{error:#}");
    }
}
