//! The page that collectors write: families described once, samples with the target's labels.

use std::collections::HashMap;

use kandela_model::{METRIC_NAME, Metadata, MetricBatch, MetricKind, Timestamp};

use super::JOB;

/// A batch under construction for one moment and one instance.
pub(super) struct Page<'a> {
    batch: &'a mut MetricBatch,
    now: Timestamp,
    instance: &'a str,
    families: HashMap<String, u32>,
}

/// One family of a page.
pub(super) struct Family<'p, 'a> {
    page: &'p mut Page<'a>,
    name: &'p str,
    metadata: u32,
}

impl<'a> Page<'a> {
    pub(super) fn new(batch: &'a mut MetricBatch, now: Timestamp, instance: &'a str) -> Self {
        Self { batch, now, instance, families: HashMap::new() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// The family of that name, described at its first use.
    pub(super) fn family<'p>(&'p mut self, name: &'p str, kind: MetricKind, help: &str) -> Family<'p, 'a> {
        let metadata = match self.families.get(name) {
            Some(&known) => known,
            None => {
                let index = self.batch.metadata.len() as u32;
                self.batch.metadata.push(Metadata {
                    family: name.to_owned(),
                    kind,
                    unit: unit_of(name).to_owned(),
                    help: help.to_owned(),
                });
                self.families.insert(name.to_owned(), index);
                index
            }
        };
        Family { page: self, name, metadata }
    }

    /// A gauge without labels.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, MetricKind::Gauge, help).add(&[], value);
    }

    /// A counter without labels.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, MetricKind::Counter, help).add(&[], value);
    }
}

impl Family<'_, '_> {
    /// Adds a sample. Label names are the collectors' own constants, each once, so a refusal can't happen; were it to,
    /// the sample is left out.
    pub(super) fn add(&mut self, labels: &[(&str, &str)], value: f64) {
        let target = [(METRIC_NAME, self.name), ("instance", self.page.instance), ("job", JOB)];
        let all = target.iter().chain(labels).copied();
        if let Ok(series) = self.page.batch.add_series(all) {
            self.page.batch.describe(series, self.metadata);
            self.page.batch.add_sample(series, self.page.now, value);
        }
    }
}

/// The unit that a name states by Prometheus' conventions.
fn unit_of(name: &str) -> &'static str {
    let stem = name.strip_suffix("_total").unwrap_or(name);
    ["seconds", "bytes", "hertz", "celsius", "bits", "volts", "amps", "watt", "rpm"]
        .into_iter()
        .find(|unit| stem.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
        .unwrap_or_default()
}

/// `name` with every character that a metric name can't have replaced by an underscore.
pub(super) fn metric_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' }).collect()
}
