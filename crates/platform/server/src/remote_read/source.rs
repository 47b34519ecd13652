//! A remote server's samples as a source for PromQL.

use std::collections::HashMap;
use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use kandela_ingest::remote_write::read::{MatchKind, Matcher, Query};
use kandela_model::{Histogram, Labels, MetricBatch, SeriesIndex, Timestamp};
use kandela_promql::{
    MatchOp, SampleBuffer, Samples, Select, SeriesReader, SeriesSet, SeriesSource, SourceCause, SourceError,
};

use super::client::{RemotePiece, RemoteRead, RemoteReadError};

/// What a series costs beside its labels and samples.
const SERIES_BYTES: usize = size_of::<Labels>() * 2 + size_of::<SampleBuffer>();

/// Series of a server that answers remote read, for one query: what all its selectors find is held in memory, up to a limit.
/// Start times do not come this way, so each is as if it were not known.
pub struct RemoteSource {
    remote: RemoteRead,
    max_bytes: usize,
    bytes: AtomicUsize,
}

impl RemoteSource {
    /// A source that holds at most about `max_bytes`.
    pub fn new(remote: RemoteRead, max_bytes: usize) -> Self {
        Self { remote, max_bytes, bytes: AtomicUsize::new(0) }
    }

    fn take(&self, bytes: usize) -> Result<(), SourceError> {
        let all = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if all <= self.max_bytes {
            return Ok(());
        }
        let (url, mib) = (self.remote.url(), self.max_bytes >> 20);
        Err(SourceError {
            message: format!(
                "the query needs more than {mib} MiB of samples of {url}; ask for less time or fewer series"
            ),
            cause: SourceCause::Limit,
        })
    }
}

#[async_trait]
impl SeriesSource for RemoteSource {
    async fn select(&self, select: &Select) -> Result<Arc<dyn SeriesSet>, SourceError> {
        let query = query(select);
        let mut answer = self.remote.ask(&[query]).await.map_err(failed)?;
        let mut gathered = Gathered::default();
        while let Some(RemotePiece { batch, skipped }) = answer.next().await.map_err(failed)? {
            self.take(gathered.add(batch, select.from..=select.through))?;
            gathered.warnings.extend(
                skipped
                    .into_iter()
                    .map(|(count, why)| format!("{count} parts of the data were left out: {why}")),
            );
        }
        Ok(Arc::new(gathered.settled()))
    }
}

/// In milliseconds, so a little wider than what is asked for.
fn query(select: &Select) -> Query {
    let millis = |micros: i64| Timestamp::from_millis(micros.div_euclid(1_000));
    let matcher = |of: &kandela_promql::Matcher| {
        let kind = match of.op {
            MatchOp::Equal => MatchKind::Equal,
            MatchOp::NotEqual => MatchKind::NotEqual,
            MatchOp::Regex => MatchKind::Regex,
            MatchOp::NotRegex => MatchKind::NotRegex,
        };
        Matcher { kind, name: of.name.clone(), value: of.value.clone() }
    };
    Query {
        start: millis(select.from),
        end: millis(select.through.saturating_add(999)),
        matchers: select.matchers.iter().map(matcher).collect(),
    }
}

fn failed(error: RemoteReadError) -> SourceError {
    let cause = match error {
        RemoteReadError::TooLarge { .. } => SourceCause::Limit,
        RemoteReadError::Passing(_) | RemoteReadError::Final(_) => SourceCause::Unavailable,
    };
    SourceError { message: error.to_string(), cause }
}

/// Series as their points come in, in any order.
#[derive(Default)]
struct Gathered {
    places: HashMap<Labels, usize>,
    series: Vec<(Labels, SampleBuffer)>,
    warnings: Vec<String>,
}

impl Gathered {
    /// Adds the points within the times, in microseconds; gives the bytes that it grew by, about.
    fn add(&mut self, batch: MetricBatch, times: std::ops::RangeInclusive<i64>) -> usize {
        let series = self.series.len();
        let mut bytes = 0;
        let places: Vec<usize> = (0..batch.series().len())
            .map(|index| self.place(batch.labels(SeriesIndex(index as u32)).to_owned()))
            .collect();
        for sample in &batch.samples {
            let Some(buffer) = self.buffer(&places, sample.series) else { continue };
            if times.contains(&sample.ts.micros()) {
                buffer.times.push(sample.ts.micros());
                buffer.values.push(sample.value);
                bytes += size_of::<i64>() + size_of::<f64>();
            }
        }
        for of_series in batch.histograms {
            let Some(buffer) = self.buffer(&places, of_series.series) else { continue };
            if times.contains(&of_series.ts.micros()) {
                bytes += size_of::<(i64, Arc<Histogram>)>()
                    + size_of::<Histogram>()
                    + of_series.histogram.heap_bytes();
                buffer.histograms.push((of_series.ts.micros(), Arc::new(of_series.histogram)));
            }
        }
        let of_labels =
            |(labels, _): &(Labels, SampleBuffer)| labels.as_ref().as_bytes().len() * 2 + SERIES_BYTES;
        bytes + self.series.iter().skip(series).map(of_labels).sum::<usize>()
    }

    fn place(&mut self, labels: Labels) -> usize {
        let next = self.series.len();
        let place = *self.places.entry(labels.clone()).or_insert(next);
        if place == next {
            self.series.push((labels, SampleBuffer::default()));
        }
        place
    }

    fn buffer(&mut self, places: &[usize], series: SeriesIndex) -> Option<&mut SampleBuffer> {
        let place = places.get(series.0 as usize)?;
        self.series.get_mut(*place).map(|(_, buffer)| buffer)
    }

    fn settled(self) -> RemoteSeries {
        let mut series = self.series;
        series.iter_mut().for_each(|(_, buffer)| settle(buffer));
        series.retain(|(_, buffer)| !buffer.times.is_empty() || !buffer.histograms.is_empty());
        RemoteSeries { series, warnings: self.warnings }
    }
}

/// Puts the points in the order of time, each time once: chunks may overlap.
fn settle(buffer: &mut SampleBuffer) {
    let ascends = |times: &[i64]| times.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    if !ascends(&buffer.times) {
        let mut points: Vec<(i64, f64)> =
            buffer.times.iter().copied().zip(buffer.values.iter().copied()).collect();
        points.sort_by_key(|(at, _)| *at);
        points.dedup_by_key(|(at, _)| *at);
        (buffer.times, buffer.values) = points.into_iter().unzip();
    }
    if !buffer.histograms.is_empty() {
        buffer.histograms.sort_by_key(|(at, _)| *at);
        buffer.histograms.dedup_by_key(|(at, _)| *at);
        let SampleBuffer { times, histograms, .. } = buffer;
        histograms.retain(|(at, _)| times.binary_search(at).is_err());
    }
}

/// The series that a server gave.
struct RemoteSeries {
    series: Vec<(Labels, SampleBuffer)>,
    warnings: Vec<String>,
}

impl SeriesSet for RemoteSeries {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        static NONE: std::sync::LazyLock<Labels> = std::sync::LazyLock::new(Labels::default);
        self.series.get(index).map_or(&NONE, |(labels, _)| labels)
    }

    fn reader(&self) -> Box<dyn SeriesReader + '_> {
        Box::new(Reader(&self.series))
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

struct Reader<'a>(&'a [(Labels, SampleBuffer)]);

impl SeriesReader for Reader<'_> {
    fn read(&mut self, index: usize) -> Result<Samples<'_>, SourceError> {
        match self.0.get(index) {
            Some((_, buffer)) => Ok(buffer.samples()),
            None => Err(SourceError {
                message: format!("there is no series {index}"),
                cause: SourceCause::Internal,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(points: &[(&str, i64, f64)]) -> MetricBatch {
        let mut batch = MetricBatch::default();
        for (name, millis, value) in points {
            let series = batch.add_series([("__name__", *name)]).unwrap();
            batch.add_sample(series, Timestamp::from_millis(*millis), *value);
        }
        batch
    }

    fn histogram(batch: &mut MetricBatch, name: &str, millis: i64) {
        let series = batch.add_series([("__name__", name)]).unwrap();
        let (ts, histogram) = (Timestamp::from_millis(millis), Histogram::default());
        batch.histograms.push(kandela_model::SeriesHistogram { series, ts, histogram, delta: false });
    }

    #[test]
    fn points_that_come_in_pieces_and_twice_are_one_series_in_order() {
        let mut gathered = Gathered::default();
        gathered.add(batch(&[("a", 2, 2.0), ("b", 1, 9.0), ("a", 3, 3.0)]), 0..=i64::MAX);
        gathered.add(batch(&[("a", 1, 1.0), ("a", 2, 7.0)]), 0..=i64::MAX);
        let series = gathered.settled();
        assert_eq!(series.len(), 2);
        assert_eq!(series.labels(0).get("__name__"), Some("a"));
        let mut reader = series.reader();
        let samples = reader.read(0).unwrap();
        assert_eq!(samples.times, [1_000, 2_000, 3_000]);
        assert_eq!(samples.values, [1.0, 2.0, 3.0]);
        assert!(reader.read(2).is_err());
    }

    #[test]
    fn points_outside_of_the_time_and_series_without_others_are_left_out() {
        let mut gathered = Gathered::default();
        gathered.add(batch(&[("a", 1, 1.0), ("a", 2, 2.0), ("b", 3, 3.0)]), 1_500..=2_000);
        let series = gathered.settled();
        assert_eq!(series.len(), 1);
        assert_eq!(series.reader().read(0).unwrap().times, [2_000]);
    }

    #[test]
    fn a_histogram_never_has_the_time_of_a_float() {
        let mut both = batch(&[("a", 1, 1.0)]);
        histogram(&mut both, "a", 2);
        histogram(&mut both, "a", 1);
        let mut gathered = Gathered::default();
        gathered.add(both, 0..=i64::MAX);
        let series = gathered.settled();
        let mut reader = series.reader();
        let samples = reader.read(0).unwrap();
        let times: Vec<i64> = samples.histograms.iter().map(|(at, _)| *at).collect();
        assert_eq!((samples.times, times.as_slice()), (&[1_000][..], &[2_000][..]));
    }

    #[test]
    fn what_is_held_beyond_the_limit_is_refused_with_it() {
        let url = "http://user:secret@127.0.0.1:1".parse().unwrap();
        let remote = RemoteRead::new(url, reqwest::header::HeaderMap::new(), None).unwrap();
        let source = RemoteSource::new(remote, 4 << 20);
        assert!(source.take(3 << 20).is_ok());
        let error = source.take(2 << 20).unwrap_err();
        assert_eq!(error.cause, SourceCause::Limit);
        assert!(
            error.message.contains("4 MiB") && error.message.contains("http://user@127.0.0.1:1/api/v1/read")
        );
    }

    #[test]
    fn the_time_asked_for_is_widened_to_whole_milliseconds() {
        let query = query(&Select { matchers: Vec::new(), from: 1_500, through: 2_001 });
        assert_eq!((query.start.millis(), query.end.millis()), (1, 3));
    }
}
