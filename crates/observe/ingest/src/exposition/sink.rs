//! From lines of a page to the batch: metadata, canonical `le` and `quantile`, times, exemplars.

use std::borrow::Cow;
use std::collections::HashMap;

use kandela_model::{
    BatchSample, Exemplar, Labels, Metadata, MetricBatch, MetricKind, SeriesExemplar, SeriesIndex, Timestamp,
};

use super::error::{Fault, Quote};
use super::family::{Role, loose_role};
use super::labels::LineLabels;
use super::nhcb::{Collator, Part};
use super::number::{parse_number, write_canonical};
use super::{Format, Notes, ParseOptions};

/// How long an exemplar's labels may be: characters of names and values together (OpenMetrics 1.0, "Exemplars").
pub(super) const MAX_EXEMPLAR_CHARS: usize = 128;

/// A sample as its line states it, without its labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineSample {
    /// Where its line starts in the page.
    pub(super) at: usize,
    pub(super) value: f64,
    pub(super) ts: Option<Timestamp>,
}

/// An exemplar as its line states it.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineExemplar {
    pub(super) value: f64,
    pub(super) ts: Option<Timestamp>,
}

/// Where a sample went.
#[derive(Clone, Copy, Debug)]
pub(super) enum Landed {
    Series(SeriesIndex),
    /// Into the native histogram that is being collected.
    Histogram,
    /// Nowhere, as the options wish.
    Nowhere,
}

/// The family that metadata lines spoke of last.
struct Family<'p> {
    name: Cow<'p, str>,
    kind: MetricKind,
    metadata: u32,
}

/// Puts what a page says into a batch.
pub(super) struct Sink<'p, 'b> {
    batch: &'b mut MetricBatch,
    options: &'b ParseOptions,
    family: Option<Family<'p>>,
    described: HashMap<Cow<'p, str>, u32>,
    collator: Collator,
    label_bytes: usize,
    notes: Notes,
}

impl<'p, 'b> Sink<'p, 'b> {
    pub(super) fn new(format: Format, options: &'b ParseOptions, batch: &'b mut MetricBatch) -> Self {
        Self {
            batch,
            options,
            family: None,
            described: HashMap::new(),
            collator: Collator::default(),
            label_bytes: 0,
            notes: Notes { format, ..Notes::default() },
        }
    }

    /// A TYPE line.
    pub(super) fn kind(&mut self, family: Cow<'p, str>, kind: MetricKind) {
        if let Some(metadata) = self.metadata(family) {
            metadata.kind = kind;
        }
        if let Some(family) = &mut self.family {
            family.kind = kind;
        }
    }

    /// A HELP line.
    pub(super) fn help(&mut self, family: Cow<'p, str>, help: Cow<'p, str>) {
        if let Some(metadata) = self.metadata(family) {
            metadata.help = help.into_owned();
        }
    }

    /// A UNIT line.
    pub(super) fn unit(&mut self, family: Cow<'p, str>, unit: &str) {
        if let Some(metadata) = self.metadata(family) {
            metadata.unit = unit.to_owned();
        }
    }

    /// The entry that describes `family`, which is the current one from now on.
    fn metadata(&mut self, family: Cow<'p, str>) -> Option<&mut Metadata> {
        let current = self.family.as_ref().filter(|current| current.name == family).map(|f| f.metadata);
        let index = current.or_else(|| self.described.get(&family).copied()).unwrap_or_else(|| {
            let index = self.batch.metadata.len() as u32;
            self.batch.metadata.push(Metadata { family: family.clone().into_owned(), ..Metadata::default() });
            self.described.insert(family.clone(), index);
            index
        });
        let entry = self.batch.metadata.get_mut(index as usize)?;
        self.family = Some(Family { name: family, kind: entry.kind, metadata: index });
        Some(entry)
    }

    /// A sample line, whose labels are sorted already.
    pub(super) fn sample(
        &mut self,
        labels: &mut LineLabels<'p>,
        sample: LineSample,
    ) -> Result<Landed, Fault> {
        let described = self.family.as_ref().and_then(|family| {
            let role = loose_role(family.kind, &family.name, labels.metric_name())?;
            Some((family.kind, role, family.metadata))
        });
        let ts = self.time(sample.ts);
        if let Some((kind, role, metadata)) = described {
            if role == Role::Created && !self.options.created_series {
                return Ok(Landed::Nowhere);
            }
            let bound = rewrite_point_label(labels, kind, role);
            if self.options.convert_to_nhcb && kind == MetricKind::Histogram {
                let part = match role {
                    Role::Bucket => bound.filter(|le| !le.is_nan()).map(Part::Bucket),
                    Role::Count => Some(Part::Count),
                    Role::Sum => Some(Part::Sum),
                    _ => None,
                };
                if let Some(part) = part {
                    self.collect(labels, metadata, ts, part, sample)?;
                    if !self.options.classic_histograms {
                        return Ok(Landed::Histogram);
                    }
                }
            }
        }
        let series = self.add_series(labels, sample.at)?;
        if let Some((_, _, metadata)) = described {
            self.batch.describe(series, metadata);
        }
        self.batch.samples.push(BatchSample { series, ts, value: sample.value });
        Ok(Landed::Series(series))
    }

    fn collect(
        &mut self,
        labels: &LineLabels<'p>,
        metadata: u32,
        ts: Timestamp,
        part: Part,
        sample: LineSample,
    ) -> Result<(), Fault> {
        let family = self.family.as_ref().map(|family| family.name.as_ref()).unwrap_or_default();
        let of_metric = labels.iter().filter(|(name, _)| *name != "le");
        let renamed = of_metric.map(|(name, value)| (name, if name == "__name__" { family } else { value }));
        let id = Labels::new(renamed)
            .map_err(|error| Fault::new(sample.at, error, "give every label of a sample its own name"))?;
        if !self.collator.collects(&id, ts) {
            self.flush_histogram()?;
            self.collator.start(id, ts, metadata);
        }
        self.collator.add(part, sample.value);
        Ok(())
    }

    /// Puts the native histogram that has been collected, if one has, into the batch.
    fn flush_histogram(&mut self) -> Result<(), Fault> {
        let Some(collected) = self.collator.take() else { return Ok(()) };
        match collected.histogram {
            Some(histogram) => {
                self.count_label_bytes(collected.labels.as_ref().as_bytes().len())?;
                let series = self.batch.add_canonical(collected.labels.as_ref());
                self.batch.describe(series, collected.metadata);
                self.batch.histograms.push(kandela_model::SeriesHistogram {
                    series,
                    ts: collected.ts,
                    histogram,
                    delta: false,
                });
                for exemplar in collected.exemplars {
                    self.batch.exemplars.push(SeriesExemplar { series, exemplar });
                }
            }
            None => self.notes.dropped_histograms += 1,
        }
        Ok(())
    }

    /// The exemplar at the end of a sample line.
    pub(super) fn exemplar(
        &mut self,
        landed: Landed,
        sample: LineSample,
        labels: &LineLabels<'p>,
        exemplar: LineExemplar,
    ) {
        let chars = labels.iter().map(|(name, value)| name.chars().count() + value.chars().count());
        if chars.sum::<usize>() > MAX_EXEMPLAR_CHARS {
            self.notes.dropped_exemplars += 1;
            return;
        }
        let ts = exemplar.ts.or(sample.ts).unwrap_or(self.options.scraped_at);
        let built = build_exemplar(labels.iter(), exemplar.value, ts);
        match landed {
            Landed::Series(series) => self.batch.exemplars.push(SeriesExemplar { series, exemplar: built }),
            Landed::Histogram => self.collator.add_exemplar(built),
            Landed::Nowhere => {}
        }
    }

    fn add_series(&mut self, labels: &LineLabels<'p>, at: usize) -> Result<SeriesIndex, Fault> {
        self.count_label_bytes(labels.iter().map(|(name, value)| name.len() + value.len() + 2).sum())?;
        self.batch
            .add_series(labels.iter())
            .map_err(|error| Fault::new(at, error, "give every label of a sample its own name"))
    }

    fn count_label_bytes(&mut self, bytes: usize) -> Result<(), Fault> {
        self.label_bytes += bytes;
        let limit = self.options.max_label_bytes;
        if self.label_bytes > limit as usize { Err(Fault::TooLarge { limit }) } else { Ok(()) }
    }

    fn time(&self, stated: Option<Timestamp>) -> Timestamp {
        stated.filter(|_| self.options.honor_timestamps).unwrap_or(self.options.scraped_at)
    }

    /// Ends the page.
    pub(super) fn finish(mut self) -> Result<Notes, Fault> {
        self.flush_histogram()?;
        Ok(self.notes)
    }
}

/// Gives `le` of a histogram's buckets and `quantile` of a summary the reading that Prometheus gives them, so that `1` and
/// `1.0` are one series; the bound or quantile, where it is a number.
fn rewrite_point_label(labels: &mut LineLabels<'_>, kind: MetricKind, role: Role) -> Option<f64> {
    let name = match (kind, role) {
        (MetricKind::Histogram | MetricKind::GaugeHistogram, Role::Bucket) => "le",
        (MetricKind::Summary, Role::Value) => "quantile",
        _ => return None,
    };
    let number = parse_number(labels.get(name)?)?;
    labels.rewrite(name, |out| write_canonical(out, number));
    Some(number)
}

/// An exemplar whose labels may name a trace and a span.
pub(super) fn build_exemplar<'a>(
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    value: f64,
    ts: Timestamp,
) -> Exemplar {
    let (mut trace_id, mut span_id, mut others) = (None, None, Vec::new());
    for (name, value) in labels {
        let hex = value.bytes().all(|byte| byte.is_ascii_hexdigit());
        match name {
            "trace_id" if hex && value.len() == 32 => trace_id = Some(value.to_owned()),
            "span_id" if hex && value.len() == 16 => span_id = Some(value.to_owned()),
            _ => others.push((name, value)),
        }
    }
    // Every caller has looked for names that stand twice.
    let labels = Labels::new(others).unwrap_or_default();
    Exemplar { ts, value, trace_id, span_id, labels }
}

/// Refuses labels with a name that stands twice; `at` is where the label set starts.
pub(super) fn sort_labels(labels: &mut LineLabels<'_>, at: usize) -> Result<(), Fault> {
    match labels.sort() {
        Some(name) => Err(Fault::new(
            at,
            format_args!("label {} stands twice in one label set", Quote(name)),
            "give every label of a sample its own name",
        )),
        None => Ok(()),
    }
}
