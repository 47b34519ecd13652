//! Redaction: takes out of telemetry what must not be stored, before it is.
//!
//! Rules apply to attributes of spans, events, links, log records, resources and scopes, to log bodies, to names and status
//! messages of spans, to labels of exemplars, and, when asked, to labels of metrics. All expressions run in linear time.
//!
//! ```
//! use kandela_ingest::redact::{Config, Redactor, SecretKind, ValueAction, ValuePattern, ValueRule};
//! use kandela_model::Value;
//!
//! let email = ValueRule {
//!     keys: Vec::new(),
//!     pattern: ValuePattern::Known(SecretKind::Email),
//!     action: ValueAction::Replace("***".to_owned()),
//! };
//! let redactor = Redactor::new(&Config { values: vec![email], ..Config::default() })?;
//! let mut body = Value::Str("mail to ann@example.com failed".to_owned());
//! redactor.value(&mut body);
//! assert_eq!(body, Value::Str("mail to *** failed".to_owned()));
//! # Ok::<(), kandela_ingest::redact::RedactError>(())
//! ```

mod config;
mod hash;
mod keys;
mod text;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use kandela_model::{
    Attributes, Labels, LogRecord, METRIC_NAME, MetricBatch, Scope, SeriesIndex, Span, Value,
};

pub use config::{Config, KeyAction, KeyPattern, KeyRule, ValueAction, ValuePattern, ValueRule};
use hash::Hasher;
pub use kandela_config::kandela::SecretKind;
use keys::KeyRules;
use text::{Place, TextRules};

const SERVICE_NAME: &str = "service.name";
const UNKNOWN_SERVICE: &str = "unknown_service";

/// Why rules cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedactError {
    /// A regular expression is invalid or too large.
    #[error("redaction pattern {pattern:?} cannot be used: {error}")]
    Regex {
        /// As it was given.
        pattern: String,
        /// What is wrong with it.
        error: String,
    },
    /// The file with the secret for hashes cannot be read.
    #[error("redact_hash_secret_file {} cannot be read: {error}", file.display())]
    SecretFile {
        /// Which.
        file: PathBuf,
        /// What came back.
        error: String,
    },
    /// A rule hashes, but there is no secret.
    #[error(
        "a redaction rule hashes, but the secret is empty; write a random text that stays the same into redact_hash_secret_file"
    )]
    NoSecret,
}

/// Applies rules of redaction.
#[derive(Debug)]
pub struct Redactor {
    keys: KeyRules,
    text: TextRules,
    hasher: Hasher,
    metric_labels: bool,
}

impl Redactor {
    /// Makes the rules ready.
    ///
    /// # Errors
    /// When an expression is invalid, or a rule hashes without a secret.
    pub fn new(config: &Config) -> Result<Self, RedactError> {
        let keys = KeyRules::new(&config.keys)?;
        let text = TextRules::new(&config.values)?;
        let hashes = text.hashes() || config.keys.iter().any(|rule| rule.action == KeyAction::Hash);
        if hashes && config.hash_secret.is_empty() {
            return Err(RedactError::NoSecret);
        }
        let hasher = Hasher::new(&config.hash_secret);
        Ok(Self { keys, text, hasher, metric_labels: config.metric_labels })
    }

    /// Whether there is nothing to take out.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.text.is_empty()
    }

    /// Redacts spans in place. A resource or scope that spans share is redacted once.
    pub fn spans(&self, spans: &mut [Span]) {
        if self.is_empty() {
            return;
        }
        let mut shared = Shared::default();
        for span in spans {
            self.text(&mut span.name);
            self.text(&mut span.status.message);
            self.attributes(&mut span.attributes);
            for event in &mut span.events {
                self.text(&mut event.name);
                self.attributes(&mut event.attributes);
            }
            for link in &mut span.links {
                self.attributes(&mut link.attributes);
            }
            shared.redact(self, &mut span.resource, &mut span.service, &mut span.scope);
        }
    }

    /// Redacts log records in place. A resource or scope that records share is redacted once.
    pub fn logs(&self, records: &mut [LogRecord]) {
        if self.is_empty() {
            return;
        }
        let mut shared = Shared::default();
        for record in records {
            self.value(&mut record.body);
            self.attributes(&mut record.attributes);
            shared.redact(self, &mut record.resource, &mut record.service, &mut record.scope);
        }
    }

    /// Redacts labels of exemplars, and labels of series where the configuration says so; never a metric's name.
    pub fn metrics(&self, batch: &mut MetricBatch) {
        if self.is_empty() {
            return;
        }
        for entry in &mut batch.exemplars {
            if let Some(labels) = self.labels(entry.exemplar.labels.iter()) {
                entry.exemplar.labels = labels;
            }
        }
        if self.metric_labels {
            self.series(batch);
        }
    }

    fn series(&self, batch: &mut MetricBatch) {
        let indexes = (0..batch.series().len() as u32).map(SeriesIndex);
        let redacted: Vec<Option<Labels>> =
            indexes.map(|series| self.labels(batch.labels(series).iter())).collect();
        if redacted.iter().all(Option::is_none) {
            return;
        }
        let mut clean = MetricBatch::default();
        for (index, labels) in (0..).map(SeriesIndex).zip(&redacted) {
            let labels = labels.as_ref().map_or_else(|| batch.labels(index), Labels::as_ref);
            let series = clean.add_canonical(labels);
            let described = batch.series().get(index.0 as usize).and_then(|entry| entry.metadata);
            if let Some(metadata) = described {
                clean.describe(series, metadata);
            }
        }
        clean.samples = std::mem::take(&mut batch.samples);
        clean.deltas = std::mem::take(&mut batch.deltas);
        clean.histograms = std::mem::take(&mut batch.histograms);
        clean.exemplars = std::mem::take(&mut batch.exemplars);
        clean.metadata = std::mem::take(&mut batch.metadata);
        *batch = clean;
    }

    /// The label set without what must not be stored; `None` where it has nothing of it.
    fn labels<'l>(&self, labels: impl Iterator<Item = (&'l str, &'l str)>) -> Option<Labels> {
        let mut changed = false;
        let mut kept: Vec<(&str, String)> = Vec::new();
        for (name, value) in labels {
            let redacted = if name == METRIC_NAME { None } else { self.label(name, value) };
            changed |= redacted.is_some();
            kept.push((name, redacted.unwrap_or_else(|| value.to_owned())));
        }
        // Names stay as they were, so these are a label set as well.
        if changed { Some(Labels::new(kept).unwrap_or_default()) } else { None }
    }

    /// What becomes of a label's value; empty where the label goes, `None` where it stays.
    fn label(&self, name: &str, value: &str) -> Option<String> {
        match self.keys.action(name) {
            Some(KeyAction::Drop) => Some(String::new()),
            Some(KeyAction::Replace(replacement)) => Some(replacement.clone()),
            Some(KeyAction::Hash) => Some(self.hasher.hash(value.as_bytes())),
            None => self.text.apply(value, Place::default().under(name), &self.hasher),
        }
    }

    /// Redacts attributes in place, also those of maps within them.
    pub fn attributes(&self, attributes: &mut Attributes) {
        self.attributes_at(attributes, Place::default());
    }

    fn attributes_at(&self, attributes: &mut Attributes, place: Place<'_>) {
        attributes.retain_mut(|(key, value)| {
            match self.keys.action(key) {
                Some(KeyAction::Drop) => return false,
                Some(KeyAction::Replace(replacement)) => *value = Value::Str(replacement.clone()),
                Some(KeyAction::Hash) => *value = Value::Str(self.hash_value(value)),
                None => self.value_at(value, place.under(key)),
            }
            true
        });
    }

    /// Redacts a value in place, also what it holds. Whole numbers are read as text, since card numbers come as such.
    pub fn value(&self, value: &mut Value) {
        self.value_at(value, Place::default());
    }

    fn value_at(&self, value: &mut Value, place: Place<'_>) {
        match value {
            Value::Str(text) => {
                if let Some(redacted) = self.text.apply(text, place, &self.hasher) {
                    *text = redacted;
                }
            }
            Value::List(values) => values.iter_mut().for_each(|value| self.value_at(value, place)),
            Value::Map(entries) => self.attributes_at(entries, place),
            Value::Int(number) if !self.text.is_empty() => {
                if let Some(redacted) = self.text.apply(&number.to_string(), place, &self.hasher) {
                    *value = Value::Str(redacted);
                }
            }
            Value::Int(_) | Value::Bool(_) | Value::Double(_) | Value::Bytes(_) | Value::Empty => {}
        }
    }

    /// Redacts text that is no attribute's.
    fn text(&self, text: &mut String) {
        if let Some(redacted) = self.text.apply(text, Place::default(), &self.hasher) {
            *text = redacted;
        }
    }

    fn hash_value(&self, value: &Value) -> String {
        match value {
            Value::Str(text) => self.hasher.hash(text.as_bytes()),
            Value::Bytes(bytes) => self.hasher.hash(bytes),
            Value::Int(number) => self.hasher.hash(number.to_string().as_bytes()),
            other => self.hasher.hash(format!("{other:?}").as_bytes()),
        }
    }
}

/// What was redacted already of what items share, by address.
#[derive(Default)]
struct Shared {
    resources: HashMap<*const Attributes, CleanResource>,
    scopes: HashMap<*const Scope, CleanScope>,
}

struct CleanResource {
    /// Kept so that its address is not used again.
    _original: Arc<Attributes>,
    resource: Arc<Attributes>,
    /// What the service is called where a rule took its name.
    service: Option<Arc<str>>,
}

struct CleanScope {
    /// Kept so that its address is not used again.
    _original: Arc<Scope>,
    scope: Arc<Scope>,
}

impl Shared {
    fn redact(
        &mut self,
        redactor: &Redactor,
        resource: &mut Arc<Attributes>,
        service: &mut Arc<str>,
        scope: &mut Arc<Scope>,
    ) {
        let known = self.resources.entry(Arc::as_ptr(resource));
        let clean = known.or_insert_with(|| CleanResource::new(redactor, resource));
        *resource = Arc::clone(&clean.resource);
        if let Some(renamed) = &clean.service {
            *service = Arc::clone(renamed);
        }
        let known = self.scopes.entry(Arc::as_ptr(scope));
        let clean = known.or_insert_with(|| CleanScope::new(redactor, scope));
        *scope = Arc::clone(&clean.scope);
    }
}

impl CleanResource {
    fn new(redactor: &Redactor, original: &Arc<Attributes>) -> Self {
        let mut clean = Attributes::clone(original);
        redactor.attributes(&mut clean);
        let service = match (service_name(original), service_name(&clean)) {
            (Some(before), after) if after != Some(before) => Some(after.unwrap_or(UNKNOWN_SERVICE).into()),
            _ => None,
        };
        let resource = if clean == **original { Arc::clone(original) } else { Arc::new(clean) };
        Self { _original: Arc::clone(original), resource, service }
    }
}

impl CleanScope {
    fn new(redactor: &Redactor, original: &Arc<Scope>) -> Self {
        let mut clean = Scope::clone(original);
        redactor.attributes(&mut clean.attributes);
        let scope = if clean == **original { Arc::clone(original) } else { Arc::new(clean) };
        Self { _original: Arc::clone(original), scope }
    }
}

fn service_name(attributes: &Attributes) -> Option<&str> {
    attributes.iter().find_map(|(key, value)| match value {
        Value::Str(name) if key == SERVICE_NAME => Some(name.as_str()),
        _ => None,
    })
}
