//! What OpenMetrics 1.0 demands beyond its grammar: how families, metrics and points follow each other, and what a kind of
//! metric may say.
//!
//! A page is a run of families, a family a run of metrics, a metric (one label set) a run of points (one timestamp each), a
//! point a run of samples. Whatever comes back after its run has ended is interleaved, which is forbidden at each level.

use std::collections::{HashMap, HashSet};

use kandela_model::{METRIC_NAME, MetricKind};
use xxhash_rust::xxh3::xxh3_128;

use super::error::{Fault, Quote};
use super::family::{Role, point_label, role, suffixes};
use super::labels::LineLabels;
use super::number::{parse_number, parse_real, same_decimal};
use super::sink::MAX_EXEMPLAR_CHARS;

/// A sample as the grammar read it.
pub(super) struct RuledSample<'a, 'p> {
    pub(super) at: usize,
    pub(super) name: &'p str,
    /// Sorted, the metric's name among them.
    pub(super) labels: &'a LineLabels<'p>,
    pub(super) value: f64,
    /// The timestamp as the page has it.
    pub(super) ts: Option<&'p str>,
    pub(super) exemplar: Option<(f64, &'a LineLabels<'p>)>,
}

/// The state of a page that is being checked.
#[derive(Default)]
pub(super) struct Rules<'p> {
    /// Every family so far but the open one.
    families: HashMap<&'p str, MetricKind>,
    family: Option<Family<'p>>,
    scratch: Vec<u8>,
}

struct Family<'p> {
    at: usize,
    name: &'p str,
    kind: Option<MetricKind>,
    unit: Option<&'p str>,
    has_help: bool,
    has_samples: bool,
    /// Hashes of the label sets of all metrics so far.
    metrics: HashSet<u128>,
    metric: Option<Metric<'p>>,
}

struct Metric<'p> {
    id: u128,
    ts: Option<&'p str>,
    point: Point,
}

/// What the samples of one point have said so far.
#[derive(Default)]
struct Point {
    at: usize,
    value: bool,
    total: bool,
    created: bool,
    sum: Option<f64>,
    count: Option<f64>,
    /// The last bucket's bound and count.
    bucket: Option<(f64, f64)>,
    negative_bound: bool,
    /// Hashes of the quantiles or states so far.
    distinct: HashSet<u128>,
}

impl<'p> Rules<'p> {
    /// A TYPE line.
    pub(super) fn kind(&mut self, at: usize, name: &'p str, kind: MetricKind) -> Result<(), Fault> {
        let family = self.describe(at, name)?;
        if family.kind.replace(kind).is_some() {
            return Err(repeated(at, "TYPE", name));
        }
        family.check_unit(at)
    }

    /// A HELP line.
    pub(super) fn help(&mut self, at: usize, name: &'p str, help: &str) -> Result<(), Fault> {
        let family = self.describe(at, name)?;
        if std::mem::replace(&mut family.has_help, true) {
            return Err(repeated(at, "HELP", name));
        }
        if help.ends_with('\r') {
            return Err(Fault::new(
                at,
                "the line ends with a carriage return",
                "end lines with a line feed alone",
            ));
        }
        let backslashes = help.bytes().rev().take_while(|byte| *byte == b'\\').count();
        if backslashes % 2 == 1 {
            return Err(Fault::new(at, "the HELP text ends within an escape", "write a backslash as \\\\"));
        }
        Ok(())
    }

    /// A UNIT line, whose unit is a suffix of the name already.
    pub(super) fn unit(&mut self, at: usize, name: &'p str, unit: &'p str) -> Result<(), Fault> {
        let family = self.describe(at, name)?;
        if family.unit.replace(unit).is_some() {
            return Err(repeated(at, "UNIT", name));
        }
        family.check_unit(at)
    }

    /// The open family that metadata for `name` may describe.
    fn describe(&mut self, at: usize, name: &'p str) -> Result<&mut Family<'p>, Fault> {
        let goes_on = self.family.as_ref().is_some_and(|family| family.name == name);
        if !goes_on {
            self.open(at, name)?;
        }
        match &mut self.family {
            Some(family) if !family.has_samples => Ok(family),
            _ => Err(Fault::new(
                at,
                format_args!("metadata of {} follows its samples", Quote(name)),
                "write TYPE, UNIT and HELP before the first sample of their family",
            )),
        }
    }

    /// Ends the open family and begins another.
    fn open(&mut self, at: usize, name: &'p str) -> Result<(), Fault> {
        self.close()?;
        if name.starts_with('_') {
            return Err(Fault::new(
                at,
                format_args!("the name {} starts with an underscore", Quote(name)),
                "names that do are reserved; choose another",
            ));
        }
        if self.families.contains_key(name) {
            return Err(Fault::new(
                at,
                format_args!("family {} was there before", Quote(name)),
                "write all lines of a family in one run, under metadata that say its kind",
            ));
        }
        self.family = Some(Family {
            at,
            name,
            kind: None,
            unit: None,
            has_help: false,
            has_samples: false,
            metrics: HashSet::new(),
            metric: None,
        });
        Ok(())
    }

    /// Ends the open family, if there is one.
    fn close(&mut self) -> Result<(), Fault> {
        let Some(mut family) = self.family.take() else { return Ok(()) };
        family.close_metric()?;
        let kind = family.kind.unwrap_or_default();
        self.check_clash(&family, kind)?;
        self.families.insert(family.name, kind);
        Ok(())
    }

    /// No two families may have a name in common, counting the names of the samples that they could have.
    fn check_clash(&mut self, family: &Family<'p>, kind: MetricKind) -> Result<(), Fault> {
        const EVERY_SUFFIX: [&str; 8] =
            ["_total", "_created", "_count", "_sum", "_bucket", "_gcount", "_gsum", "_info"];
        let mut name = String::with_capacity(family.name.len() + 8);
        let own = suffixes(kind).iter().map(|(suffix, _)| *suffix).filter(|suffix| !suffix.is_empty());
        for suffix in own.chain([""]) {
            name.clear();
            name.push_str(family.name);
            name.push_str(suffix);
            let same_name = self.families.get_key_value(name.as_str()).map(|(other, _)| *other);
            let same_sample = || {
                EVERY_SUFFIX.iter().find_map(|suffix| {
                    let (other, kind) = self.families.get_key_value(name.strip_suffix(suffix)?)?;
                    suffixes(*kind).iter().any(|(known, _)| known == suffix).then_some(*other)
                })
            };
            if let Some(other) = same_name.or_else(same_sample) {
                return Err(Fault::new(
                    family.at,
                    format_args!(
                        "families {} and {} clash over {}",
                        Quote(other),
                        Quote(family.name),
                        Quote(&name)
                    ),
                    "rename one of them",
                ));
            }
        }
        Ok(())
    }

    /// A sample line.
    pub(super) fn sample(&mut self, sample: &RuledSample<'_, 'p>) -> Result<(), Fault> {
        check_label_names(sample.at, sample.labels)?;
        let known = self
            .family
            .as_ref()
            .and_then(|family| role(family.kind.unwrap_or_default(), family.name, sample.name));
        let role = match known {
            Some(role) => role,
            None => {
                self.explain_stranger(sample)?;
                self.open(sample.at, sample.name)?;
                Role::Value
            }
        };
        let Some(family) = &mut self.family else { return Ok(()) };
        family.has_samples = true;
        let kind = family.kind.unwrap_or_default();
        let point_label = point_label(kind, family.name);
        check_point_label(sample, kind, role, point_label)?;
        check_exemplar(sample, kind, role)?;
        let id = metric_id(&mut self.scratch, sample.labels, point_label);
        family.point(sample, id)?.add(sample, kind, role, point_label)
    }

    /// A sample that is no part of the open family opens one of its own, unless it only missed its suffix.
    fn explain_stranger(&self, sample: &RuledSample<'_, 'p>) -> Result<(), Fault> {
        match &self.family {
            Some(family) if family.name == sample.name => {
                let kind = family.kind.unwrap_or_default();
                let expected: Vec<&str> = suffixes(kind).iter().map(|(suffix, _)| *suffix).collect();
                let what = format!(
                    "a family of kind {kind} has no sample called {}; its suffixes are {}",
                    Quote(sample.name),
                    expected.join(", ")
                );
                Err(Fault::new(sample.at, what, "add the suffix that says what the sample is"))
            }
            _ => Ok(()),
        }
    }

    /// Ends the page.
    pub(super) fn finish(mut self) -> Result<(), Fault> {
        self.close()
    }
}

impl<'p> Family<'p> {
    fn check_unit(&self, at: usize) -> Result<(), Fault> {
        match (self.kind, self.unit) {
            (Some(kind @ (MetricKind::Info | MetricKind::StateSet)), Some(unit)) if !unit.is_empty() => {
                let what = format!("{} is of kind {kind} and has the unit {}", Quote(self.name), Quote(unit));
                Err(Fault::new(at, what, "leave out the UNIT line"))
            }
            _ => Ok(()),
        }
    }

    /// The point that `sample` belongs to.
    fn point(&mut self, sample: &RuledSample<'_, 'p>, id: u128) -> Result<&mut Point, Fault> {
        let goes_on = match &self.metric {
            Some(metric) if metric.id == id => !metric.is_over(sample)?,
            _ => {
                self.close_metric()?;
                if !self.metrics.insert(id) {
                    return Err(Fault::new(
                        sample.at,
                        "a metric with these labels was there before",
                        "write all samples of a label set in one run, each once",
                    ));
                }
                false
            }
        };
        if !goes_on {
            self.close_metric()?;
        }
        let metric = self.metric.get_or_insert_with(|| Metric {
            id,
            ts: sample.ts,
            point: Point { at: sample.at, ..Point::default() },
        });
        Ok(&mut metric.point)
    }

    fn close_metric(&mut self) -> Result<(), Fault> {
        match self.metric.take() {
            Some(metric) => metric.point.close(self.kind.unwrap_or_default()),
            None => Ok(()),
        }
    }
}

impl Metric<'_> {
    /// Whether `sample`, of the same metric, begins a later point.
    fn is_over(&self, sample: &RuledSample<'_, '_>) -> Result<bool, Fault> {
        let (last, next) = match (self.ts, sample.ts) {
            (None, None) => return Ok(false),
            (Some(last), Some(next)) => (last, next),
            _ => {
                return Err(Fault::new(
                    sample.at,
                    "samples of one metric come with a timestamp and without",
                    "give all of them a timestamp, or none",
                ));
            }
        };
        let (last_seconds, next_seconds) =
            (parse_real(last).unwrap_or_default(), parse_real(next).unwrap_or_default());
        if next_seconds < last_seconds {
            return Err(Fault::new(
                sample.at,
                format_args!("timestamp {} goes back behind {}", Quote(next), Quote(last)),
                "write the points of a metric in the order of their time, and the samples of a point together",
            ));
        }
        Ok(next_seconds > last_seconds || !same_decimal(last, next))
    }
}

impl Point {
    fn add(
        &mut self,
        sample: &RuledSample<'_, '_>,
        kind: MetricKind,
        role: Role,
        point_label: Option<&str>,
    ) -> Result<(), Fault> {
        check_value(sample, kind, role)?;
        let label = point_label.and_then(|name| sample.labels.get(name)).unwrap_or_default();
        let repeated = match (role, kind) {
            (Role::Value, MetricKind::Summary) => {
                let quantile = parse_number(label).unwrap_or_default() + 0.0;
                !self.distinct.insert(u128::from(quantile.to_bits()))
            }
            (Role::Value, MetricKind::StateSet) => !self.distinct.insert(xxh3_128(label.as_bytes())),
            (Role::Value | Role::Info, _) => std::mem::replace(&mut self.value, true),
            (Role::Total, _) => std::mem::replace(&mut self.total, true),
            (Role::Created, _) => std::mem::replace(&mut self.created, true),
            (Role::Sum, _) => self.sum.replace(sample.value).is_some(),
            (Role::Count, _) => self.count.replace(sample.value).is_some(),
            (Role::Bucket, _) => {
                self.add_bucket(sample, parse_number(label).unwrap_or_default())?;
                false
            }
        };
        if repeated {
            return Err(Fault::new(
                sample.at,
                format_args!("sample {} stands twice in one point", Quote(sample.name)),
                "write it once, or give each a timestamp of its own",
            ));
        }
        Ok(())
    }

    fn add_bucket(&mut self, sample: &RuledSample<'_, '_>, bound: f64) -> Result<(), Fault> {
        if let Some((last_bound, last_count)) = self.bucket {
            if bound <= last_bound {
                return Err(Fault::new(
                    sample.at,
                    format_args!("the bucket up to {bound} follows the one up to {last_bound}"),
                    "write buckets in ascending order of le, each once",
                ));
            }
            if sample.value < last_count {
                return Err(Fault::new(
                    sample.at,
                    format_args!(
                        "the bucket up to {bound} holds {} and the one before {last_count}",
                        sample.value
                    ),
                    "let each bucket count all values up to its bound",
                ));
            }
        }
        self.bucket = Some((bound, sample.value));
        self.negative_bound |= bound < 0.0;
        Ok(())
    }

    fn close(&self, kind: MetricKind) -> Result<(), Fault> {
        match kind {
            MetricKind::Counter if !self.total => {
                Err(Fault::new(self.at, "a counter has no _total sample", "write it"))
            }
            MetricKind::Histogram | MetricKind::GaugeHistogram => self.close_histogram(kind),
            _ => Ok(()),
        }
    }

    fn close_histogram(&self, kind: MetricKind) -> Result<(), Fault> {
        let (sum, count) = match kind {
            MetricKind::GaugeHistogram => ("_gsum", "_gcount"),
            _ => ("_sum", "_count"),
        };
        let refuse = |what: String, advice| Err(Fault::new(self.at, what, advice));
        let Some((last_bound, last_count)) = self.bucket else {
            return refuse(
                format!("a point of kind {kind} has no buckets"),
                "write at least the bucket le=\"+Inf\"",
            );
        };
        if last_bound != f64::INFINITY {
            return refuse(
                format!("a point of kind {kind} has no bucket le=\"+Inf\""),
                "write it after the other buckets",
            );
        }
        if self.sum.is_some() != self.count.is_some() {
            return refuse(
                format!("a point of kind {kind} has only one of {sum} and {count}"),
                "write both, or neither",
            );
        }
        if self.count.is_some_and(|stated| stated != last_count) {
            return refuse(
                format!("{count} differs from the bucket le=\"+Inf\""),
                "let both count all values",
            );
        }
        match (kind, self.sum) {
            (MetricKind::Histogram, Some(_)) if self.negative_bound => refuse(
                format!("a histogram with negative bounds has a {sum}"),
                "leave out _sum and _count, since such a sum could fall",
            ),
            (MetricKind::GaugeHistogram, Some(value)) if value < 0.0 && !self.negative_bound => refuse(
                format!("{sum} is negative but no bound is"),
                "write the buckets that hold negative values",
            ),
            _ => Ok(()),
        }
    }
}

fn repeated(at: usize, word: &str, name: &str) -> Fault {
    Fault::new(at, format_args!("a second {word} line for {}", Quote(name)), "write one")
}

/// Names that start with an underscore are reserved.
fn check_label_names(at: usize, labels: &LineLabels<'_>) -> Result<(), Fault> {
    match labels.iter().find(|(name, _)| name.starts_with('_') && *name != METRIC_NAME) {
        Some((name, _)) => Err(Fault::new(
            at,
            format_args!("label {} starts with an underscore", Quote(name)),
            "names that do are reserved; choose another",
        )),
        None => Ok(()),
    }
}

/// Buckets have `le`, quantiles `quantile`, states the label called like their family; other samples of their metrics do not.
fn check_point_label(
    sample: &RuledSample<'_, '_>,
    kind: MetricKind,
    role: Role,
    point_label: Option<&str>,
) -> Result<(), Fault> {
    let Some(label) = point_label else { return Ok(()) };
    let wanted = matches!(role, Role::Bucket | Role::Value);
    let text = match (sample.labels.get(label), wanted) {
        (None, false) => return Ok(()),
        (Some(_), false) => {
            return Err(Fault::new(
                sample.at,
                format_args!("sample {} has the label {}", Quote(sample.name), Quote(label)),
                "keep that label to the samples that it tells apart",
            ));
        }
        (None, true) => {
            return Err(Fault::new(
                sample.at,
                format_args!("sample {} lacks the label {}", Quote(sample.name), Quote(label)),
                "write it: it says which bucket, quantile or state this is",
            ));
        }
        (Some(text), true) => text,
    };
    let number = parse_number(text);
    let fits = match kind {
        MetricKind::Histogram | MetricKind::GaugeHistogram => {
            number.is_some_and(|bound| !bound.is_nan() && (bound != f64::INFINITY || text == "+Inf"))
        }
        MetricKind::Summary => number.is_some_and(|quantile| (0.0..=1.0).contains(&quantile)),
        _ => true,
    };
    if fits {
        return Ok(());
    }
    let what = format!("{label}={} is no {}", Quote(text), if label == "le" { "bound" } else { "quantile" });
    Err(Fault::new(
        sample.at,
        what,
        "write bounds as decimal numbers or +Inf, quantiles as numbers from 0 to 1",
    ))
}

fn check_value(sample: &RuledSample<'_, '_>, kind: MetricKind, role: Role) -> Result<(), Fault> {
    let value = sample.value;
    let whole = value.fract() == 0.0;
    let (fits, rule) = match (kind, role) {
        (MetricKind::StateSet, _) => (value == 0.0 || value == 1.0, "a state is 0 or 1"),
        (_, Role::Info) => (value == 1.0, "an info is always 1"),
        (MetricKind::Summary, Role::Value) => (value.is_nan() || value >= 0.0, "a quantile is not negative"),
        (MetricKind::GaugeHistogram, Role::Sum) => (!value.is_nan(), "a sum is a number"),
        (_, Role::Total | Role::Sum) => (value >= 0.0, "a counter is a number and not negative"),
        (_, Role::Bucket | Role::Count) => {
            (value >= 0.0 && whole, "a count is a whole number and not negative")
        }
        (_, Role::Created) => (value.is_finite(), "a creation time is a time"),
        (_, Role::Value) => (true, ""),
    };
    if fits {
        return Ok(());
    }
    let what = format!("sample {} has the value {value}", Quote(sample.name));
    Err(Fault::new(sample.at, format_args!("{what}, but {rule}"), "correct the exporter"))
}

/// Exemplars belong to counters and buckets, lie in their bucket, and are short.
fn check_exemplar(sample: &RuledSample<'_, '_>, kind: MetricKind, role: Role) -> Result<(), Fault> {
    let Some((value, labels)) = sample.exemplar else { return Ok(()) };
    if !matches!(role, Role::Total | Role::Bucket) {
        return Err(Fault::new(
            sample.at,
            format_args!("sample {} of kind {kind} has an exemplar", Quote(sample.name)),
            "give exemplars to the _total of counters and the _bucket of histograms only",
        ));
    }
    check_label_names(sample.at, labels)?;
    let chars: usize = labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
    if chars > MAX_EXEMPLAR_CHARS {
        return Err(Fault::new(
            sample.at,
            format_args!("the labels of an exemplar have {chars} characters"),
            "keep them to 128",
        ));
    }
    let bound = sample.labels.get("le").filter(|_| role == Role::Bucket).and_then(parse_number);
    if bound.is_some_and(|bound| value.is_nan() || value > bound) {
        return Err(Fault::new(
            sample.at,
            format_args!("the exemplar's value {value} lies outside its bucket"),
            "attach it to the bucket that counts it",
        ));
    }
    Ok(())
}

/// Which metric of its family a sample belongs to: a hash of its labels less those that only tell its parts apart. An empty
/// label is an absent one.
fn metric_id(scratch: &mut Vec<u8>, labels: &LineLabels<'_>, point_label: Option<&str>) -> u128 {
    scratch.clear();
    for (name, value) in labels.iter() {
        if name != METRIC_NAME && Some(name) != point_label && !value.is_empty() {
            scratch.extend_from_slice(&(name.len() as u64).to_le_bytes());
            scratch.extend_from_slice(name.as_bytes());
            scratch.extend_from_slice(&(value.len() as u64).to_le_bytes());
            scratch.extend_from_slice(value.as_bytes());
        }
    }
    xxh3_128(scratch)
}
