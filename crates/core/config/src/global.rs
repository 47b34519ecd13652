//! `global`: what holds for every job unless the job says otherwise.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::discovery::labels;
use crate::error::Ignored;
use crate::named::{NameEscaping, NameValidation, named};
use crate::read::{Fields, Item};
use crate::units::{serialize_duration, serialize_size_or_none};

/// Looks up an environment variable.
pub(crate) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

named! {
    /// An exposition format that a target may be asked for.
    pub enum ScrapeProtocol {
        /// Length-delimited protobuf; the only one that carries native histograms.
        PrometheusProto = "PrometheusProto",
        /// Prometheus text 0.0.4.
        PrometheusText0_0_4 = "PrometheusText0.0.4",
        /// Prometheus text 1.0.0, which quotes names in UTF-8.
        PrometheusText1_0_0 = "PrometheusText1.0.0",
        /// OpenMetrics 0.0.1.
        OpenMetricsText0_0_1 = "OpenMetricsText0.0.1",
        /// OpenMetrics 1.0.0.
        OpenMetricsText1_0_0 = "OpenMetricsText1.0.0",
    }
}

impl ScrapeProtocol {
    /// What a target is asked for unless the config says otherwise, most wanted first.
    pub const DEFAULT: &'static [Self] = &[
        Self::OpenMetricsText1_0_0,
        Self::OpenMetricsText0_0_1,
        Self::PrometheusText1_0_0,
        Self::PrometheusText0_0_4,
    ];

    /// The same when native histograms are scraped.
    pub const DEFAULT_NATIVE: &'static [Self] = &[
        Self::PrometheusProto,
        Self::OpenMetricsText1_0_0,
        Self::OpenMetricsText0_0_1,
        Self::PrometheusText1_0_0,
        Self::PrometheusText0_0_4,
    ];
}

/// Limits of one scrape; exceeding one fails the scrape. Nothing means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScrapeLimits {
    /// Bytes of an uncompressed body.
    #[serde(serialize_with = "serialize_size_or_none", skip_serializing_if = "Option::is_none")]
    pub body_size_limit: Option<u64>,
    /// Samples after metric relabelling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_limit: Option<u64>,
    /// Targets of the job after relabelling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_limit: Option<u64>,
    /// Labels of a sample after metric relabelling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_limit: Option<u64>,
    /// Bytes of a label's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_name_length_limit: Option<u64>,
    /// Bytes of a label's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_value_length_limit: Option<u64>,
}

/// What holds for every job unless the job says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Global {
    /// How often a target is scraped.
    #[serde(serialize_with = "serialize_duration")]
    pub scrape_interval: Duration,
    /// How long a scrape may take; at most the interval.
    #[serde(serialize_with = "serialize_duration")]
    pub scrape_timeout: Duration,
    /// What targets are asked for; nothing leaves it to [`ScrapeProtocol::DEFAULT`] or
    /// [`ScrapeProtocol::DEFAULT_NATIVE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_protocols: Option<Vec<ScrapeProtocol>>,
    /// How often rules are evaluated.
    #[serde(serialize_with = "serialize_duration")]
    pub evaluation_interval: Duration,
    /// How far rules look back, so that late samples are in.
    #[serde(serialize_with = "serialize_duration")]
    pub rule_query_offset: Duration,
    /// Labels that this server's series and alerts carry when they leave it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub external_labels: BTreeMap<String, String>,
    /// Limits of each scrape.
    #[serde(flatten)]
    pub limits: ScrapeLimits,
    /// Which names metrics and labels may have.
    pub metric_name_validation_scheme: NameValidation,
    /// How targets are asked to write other names; nothing follows from the validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_name_escaping_scheme: Option<NameEscaping>,
    /// Whether native histograms are scraped.
    pub scrape_native_histograms: bool,
    /// Whether classic histograms become native ones with custom buckets.
    pub convert_classic_histograms_to_nhcb: bool,
    /// Whether a classic histogram is kept where it is also exposed as a native one.
    pub always_scrape_classic_histograms: bool,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            scrape_interval: Duration::from_secs(60),
            scrape_timeout: Duration::from_secs(10),
            scrape_protocols: None,
            evaluation_interval: Duration::from_secs(60),
            rule_query_offset: Duration::ZERO,
            external_labels: BTreeMap::new(),
            limits: ScrapeLimits::default(),
            metric_name_validation_scheme: NameValidation::Utf8,
            metric_name_escaping_scheme: None,
            scrape_native_histograms: false,
            convert_classic_histograms_to_nhcb: false,
            always_scrape_classic_histograms: false,
        }
    }
}

impl Global {
    pub(crate) fn read(mut fields: Fields<'_>, variables: Variables<'_>) -> Self {
        let default = Self::default();
        let names = fields
            .parse_word("metric_name_validation_scheme", NameValidation::parse)
            .unwrap_or(NameValidation::Utf8);
        let scrape_interval = fields.period("scrape_interval").unwrap_or(default.scrape_interval);
        let scrape_timeout = match fields.period("scrape_timeout") {
            Some(timeout) if timeout > scrape_interval => {
                fields.whole().invalid("scrape_timeout is longer than scrape_interval; shorten it");
                scrape_interval
            }
            Some(timeout) => timeout,
            None => default.scrape_timeout.min(scrape_interval),
        };
        let global = Self {
            scrape_interval,
            scrape_timeout,
            scrape_protocols: scrape_protocols(&mut fields),
            evaluation_interval: fields.period("evaluation_interval").unwrap_or(default.evaluation_interval),
            rule_query_offset: not_yet(&mut fields, "rule_query_offset").unwrap_or_default(),
            external_labels: external_labels(&mut fields, names, variables),
            limits: ScrapeLimits::read(&mut fields),
            metric_name_validation_scheme: names,
            metric_name_escaping_scheme: fields
                .parse_word("metric_name_escaping_scheme", NameEscaping::parse),
            scrape_native_histograms: fields.boolean("scrape_native_histograms", false),
            convert_classic_histograms_to_nhcb: fields.boolean("convert_classic_histograms_to_nhcb", false),
            always_scrape_classic_histograms: fields.boolean("always_scrape_classic_histograms", false),
        };
        fields.finish(&[
            "query_log_file",
            "scrape_failure_log_file",
            "keep_dropped_targets",
            "extra_scrape_metrics",
        ]);
        global
    }
}

impl ScrapeLimits {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            body_size_limit: fields.size_limit("body_size_limit"),
            sample_limit: fields.limit("sample_limit"),
            target_limit: fields.limit("target_limit"),
            label_limit: fields.limit("label_limit"),
            label_name_length_limit: fields.limit("label_name_length_limit"),
            label_value_length_limit: fields.limit("label_value_length_limit"),
        }
    }

    /// Each limit, or where there is none, `other`'s.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            body_size_limit: self.body_size_limit.or(other.body_size_limit),
            sample_limit: self.sample_limit.or(other.sample_limit),
            target_limit: self.target_limit.or(other.target_limit),
            label_limit: self.label_limit.or(other.label_limit),
            label_name_length_limit: self.label_name_length_limit.or(other.label_name_length_limit),
            label_value_length_limit: self.label_value_length_limit.or(other.label_value_length_limit),
        }
    }
}

/// The list of protocols, if there is one; it may not be empty nor name one twice.
pub(crate) fn scrape_protocols(fields: &mut Fields<'_>) -> Option<Vec<ScrapeProtocol>> {
    let list = fields.get_set("scrape_protocols")?;
    let items = list.items();
    let protocols: Vec<ScrapeProtocol> =
        items.iter().filter_map(|item| item.parse(ScrapeProtocol::parse)).collect();
    if items.is_empty() {
        list.invalid("scrape_protocols is empty; name a protocol, or remove the key");
    }
    for (i, protocol) in protocols.iter().enumerate() {
        if protocols.iter().take(i).any(|earlier| earlier == protocol) {
            list.invalid(format!("{protocol} stands twice; keep one"));
        }
    }
    Some(protocols)
}

fn not_yet(fields: &mut Fields<'_>, key: &'static str) -> Option<Duration> {
    let item = fields.get_set(key)?;
    item.warn(Ignored::NotYet);
    fields.period(key)
}

fn external_labels(
    fields: &mut Fields<'_>,
    names: NameValidation,
    variables: Variables<'_>,
) -> BTreeMap<String, String> {
    let Some(item) = fields.get("external_labels") else { return BTreeMap::new() };
    let places: BTreeMap<&str, Item<'_>> = item.entries().into_iter().collect();
    let mut labels = labels(&item, names);
    for (name, value) in &mut labels {
        *value = expand(value, places.get(name.as_str()).unwrap_or(&item), variables);
    }
    labels.retain(|_, value| !value.is_empty());
    labels
}

/// Environment variables in `text`, as `os.Expand` of Go does it: `$name` and `${name}`; `$$` is a dollar sign.
fn expand(text: &str, item: &Item<'_>, variables: Variables<'_>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, behind) = variable_name(after);
        rest = behind;
        match name {
            // A dollar sign in front of something that is no name stays; `${}` goes.
            None if behind.len() == after.len() => out.push('$'),
            None => {}
            Some("$") => out.push('$'),
            Some(name) => match variables(name).filter(|value| !value.is_empty()) {
                Some(value) => out.push_str(&value),
                None => item.warn(Ignored::EmptyVariable(name.to_owned())),
            },
        }
    }
    out.push_str(rest);
    out
}

/// The variable's name at the front of what follows a `$`, and what follows it. Without a name, what follows is what came
/// unless there was a brace, which goes with its partner if it has one.
fn variable_name(after: &str) -> (Option<&str>, &str) {
    if let Some(inner) = after.strip_prefix('{') {
        return match inner.split_once('}') {
            Some(("", behind)) => (None, behind),
            Some((name, behind)) => (Some(name), behind),
            None => (None, inner),
        };
    }
    if after.starts_with(|c: char| "*#$@!?-".contains(c) || c.is_ascii_digit()) {
        let (name, behind) = after.split_at(1);
        return (Some(name), behind);
    }
    let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
    match after.split_at(end) {
        ("", _) => (None, after),
        (name, behind) => (Some(name), behind),
    }
}
