//! `scrape_configs`: jobs, their targets, and how they are scraped.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::discovery::{self, Discovery};
use crate::global::{Global, ScrapeLimits, ScrapeProtocol, scrape_protocols};
use crate::http_client::{self, HttpClient};
use crate::named::{NameEscaping, NameValidation, named};
use crate::read::{Fields, Item};
use crate::relabel::{self, Rule};
use crate::units::serialize_duration;

/// Keys of a job that Prometheus knows and Kandela does not serve; discoveries and client settings have lists of their own.
const NOT_SERVED: &[&str] = &[
    "scrape_failure_log_file",
    "native_histogram_bucket_limit",
    "native_histogram_min_bucket_factor",
    "keep_dropped_targets",
    "extra_scrape_metrics",
];

named! {
    /// A URL's scheme.
    pub enum Scheme {
        /// In the clear.
        Http = "http",
        /// Over TLS.
        Https = "https",
    }
}

/// One job, complete: what it did not say has been filled in from `global`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ScrapeConfig {
    /// The job's name, which becomes the label `job`; unique.
    pub job_name: String,
    /// How often each target is scraped.
    #[serde(serialize_with = "serialize_duration")]
    pub scrape_interval: Duration,
    /// How long a scrape may take; at most the interval.
    #[serde(serialize_with = "serialize_duration")]
    pub scrape_timeout: Duration,
    /// What targets are asked for, most wanted first; not empty.
    pub scrape_protocols: Vec<ScrapeProtocol>,
    /// How a body is read whose content type is missing or unknown; nothing fails the scrape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_scrape_protocol: Option<ScrapeProtocol>,
    /// Whether native histograms are scraped.
    pub scrape_native_histograms: bool,
    /// Whether a classic histogram is kept where it is also exposed as a native one.
    pub always_scrape_classic_histograms: bool,
    /// Whether classic histograms become native ones with custom buckets.
    pub convert_classic_histograms_to_nhcb: bool,
    /// The path that is scraped.
    pub metrics_path: String,
    /// The scheme it is scraped with.
    pub scheme: Scheme,
    /// Query parameters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Vec<String>>,
    /// Whether a label of a sample wins over the target's label of that name.
    pub honor_labels: bool,
    /// Whether a sample's own timestamp is kept.
    pub honor_timestamps: bool,
    /// Whether series with own timestamps are marked stale when they disappear.
    pub track_timestamps_staleness: bool,
    /// Whether a compressed body is asked for.
    pub enable_compression: bool,
    /// Limits of each scrape.
    #[serde(flatten)]
    pub limits: ScrapeLimits,
    /// Which names metrics and labels may have.
    pub metric_name_validation_scheme: NameValidation,
    /// How targets are asked to write other names.
    pub metric_name_escaping_scheme: NameEscaping,
    /// How to connect.
    #[serde(flatten)]
    pub client: HttpClient,
    /// Where the targets come from.
    #[serde(flatten)]
    pub discovery: Discovery,
    /// Rules for targets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relabel_configs: Vec<Rule>,
    /// Rules for samples.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metric_relabel_configs: Vec<Rule>,
}

/// Reads the jobs under `scrape_configs`; `others` are jobs whose names are in use.
pub(crate) fn scrape_configs(
    fields: &mut Fields<'_>,
    global: &Global,
    others: &[ScrapeConfig],
) -> Vec<ScrapeConfig> {
    let mut taken: HashSet<String> = others.iter().map(|job| job.job_name.clone()).collect();
    fields.list("scrape_configs", |fields| {
        let whole = fields.whole().clone();
        let job = ScrapeConfig::read(fields, global);
        if !taken.insert(job.job_name.clone()) {
            whole.invalid(format!("job_name {:?} is used by an earlier job; names are unique", job.job_name));
        }
        job
    })
}

impl ScrapeConfig {
    fn read(mut fields: Fields<'_>, global: &Global) -> Self {
        let job_name = fields.word("job_name").unwrap_or_else(|| {
            fields.missing("job_name");
            String::new()
        });
        let (scrape_interval, scrape_timeout) = interval_and_timeout(&mut fields, global);
        let (names, escaping) = name_schemes(&mut fields, global);
        let native = fields.boolean("scrape_native_histograms", global.scrape_native_histograms);
        let protocols = scrape_protocols(&mut fields).or_else(|| global.scrape_protocols.clone());
        let job = Self {
            job_name,
            scrape_interval,
            scrape_timeout,
            scrape_protocols: protocols.unwrap_or_else(|| {
                if native { ScrapeProtocol::DEFAULT_NATIVE } else { ScrapeProtocol::DEFAULT }.to_vec()
            }),
            fallback_scrape_protocol: fields.parse_word("fallback_scrape_protocol", ScrapeProtocol::parse),
            scrape_native_histograms: native,
            always_scrape_classic_histograms: fields
                .boolean("always_scrape_classic_histograms", global.always_scrape_classic_histograms),
            convert_classic_histograms_to_nhcb: fields
                .boolean("convert_classic_histograms_to_nhcb", global.convert_classic_histograms_to_nhcb),
            metrics_path: fields.word("metrics_path").unwrap_or_else(|| "/metrics".to_owned()),
            scheme: fields.parse_word("scheme", Scheme::parse).unwrap_or(Scheme::Http),
            params: params(&mut fields),
            honor_labels: fields.boolean("honor_labels", false),
            honor_timestamps: fields.boolean("honor_timestamps", true),
            track_timestamps_staleness: fields.boolean("track_timestamps_staleness", false),
            enable_compression: fields.boolean("enable_compression", true),
            limits: ScrapeLimits::read(&mut fields).or(global.limits),
            metric_name_validation_scheme: names,
            metric_name_escaping_scheme: escaping,
            client: HttpClient::read(&mut fields, true),
            discovery: Discovery::read(&mut fields),
            relabel_configs: relabel::rules(&mut fields, "relabel_configs", names),
            metric_relabel_configs: relabel::rules(&mut fields, "metric_relabel_configs", names),
        };
        if job.relabel_configs.is_empty() {
            job.discovery.check_static_targets(&fields);
        }
        fields.finish(&[NOT_SERVED, http_client::NOT_SERVED, discovery::NOT_SERVED].concat());
        job
    }

    /// The files that this names, to be resolved against the config's folder.
    pub(crate) fn paths(&mut self) -> Vec<&mut PathBuf> {
        let mut paths = self.client.paths();
        paths.extend(self.discovery.paths());
        paths
    }
}

fn interval_and_timeout(fields: &mut Fields<'_>, global: &Global) -> (Duration, Duration) {
    let interval = fields.period("scrape_interval").unwrap_or(global.scrape_interval);
    match fields.period("scrape_timeout") {
        Some(timeout) if timeout > interval => {
            fields.whole().invalid("scrape_timeout is longer than the job's scrape_interval; shorten it");
            (interval, interval)
        }
        Some(timeout) => (interval, timeout),
        None => (interval, global.scrape_timeout.min(interval)),
    }
}

/// The job's validation is `global`'s unless set; its escaping follows from the job's validation if that is set, else from
/// `global`.
fn name_schemes(fields: &mut Fields<'_>, global: &Global) -> (NameValidation, NameEscaping) {
    let follows = |names| match names {
        NameValidation::Utf8 => NameEscaping::AllowUtf8,
        NameValidation::Legacy => NameEscaping::Underscores,
    };
    let own_names = fields.parse_word("metric_name_validation_scheme", NameValidation::parse);
    let own_escaping = fields.parse_word("metric_name_escaping_scheme", NameEscaping::parse);
    let names = own_names.unwrap_or(global.metric_name_validation_scheme);
    let inherited = match own_names {
        Some(names) => follows(names),
        None => global.metric_name_escaping_scheme.unwrap_or(follows(names)),
    };
    let escaping = own_escaping.unwrap_or(inherited);
    if names == NameValidation::Legacy && escaping == NameEscaping::AllowUtf8 {
        fields.whole().invalid(
            "metric_name_escaping_scheme allow-utf-8 needs metric_name_validation_scheme utf8; change one of them",
        );
    }
    (names, escaping)
}

fn params(fields: &mut Fields<'_>) -> BTreeMap<String, Vec<String>> {
    let Some(item) = fields.get("params") else { return BTreeMap::new() };
    let values = |item: &Item<'_>| -> Vec<String> {
        item.items().iter().filter_map(|value| value.text().map(str::to_owned)).collect()
    };
    item.entries().iter().map(|(name, item)| ((*name).to_owned(), values(item))).collect()
}
