//! What a server is started with, and what of it holds while it runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use kandela_config::kandela::Durability as ConfiguredDurability;
use kandela_config::{Config, Kandela, Otlp, Translation};
use kandela_ingest::label_limits::LabelLimits;
use kandela_ingest::otlp::metrics::{Options as OtlpMetrics, Promote};
use kandela_ingest::otlp::{Limits as OtlpLimits, TranslationStrategy};
use kandela_ingest::redact::{Config as RedactConfig, RedactError, Redactor};
use kandela_lake::{Durability, LakeConfig, QueryLimits, Retention};
use kandela_promql::Limits;

use crate::label_limits;
use crate::net::TlsFiles;
use crate::net::body::BodyLimits;
use crate::promql::{PromQlLimits, micros};

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What a server is started with. The default needs no configuration, no account and no other service.
#[derive(Clone, Debug)]
pub struct Options {
    /// All that the config says.
    pub config: Config,
    /// The folder that keeps everything, one lake a tenant.
    pub data: PathBuf,
    /// Listen beyond loopback although nobody has to prove who they are.
    pub insecure: bool,
}

impl Default for Options {
    /// An empty config, and the folder `data` below the current one.
    fn default() -> Self {
        Self { config: Config::default(), data: PathBuf::from("data"), insecure: false }
    }
}

impl Options {
    pub(crate) fn kandela(&self) -> &Kandela {
        &self.config.kandela
    }

    /// The address that would open the server to others although nobody has to prove who they are.
    pub(crate) fn unguarded(&self) -> Option<SocketAddr> {
        if self.insecure || !self.kandela().users.is_empty() {
            return None;
        }
        let listen = self.kandela().listen;
        let addresses = [listen.http, listen.otlp_grpc, listen.otlp_http];
        addresses.into_iter().find(|address| !address.ip().to_canonical().is_loopback())
    }

    pub(crate) fn tls_files(&self) -> Option<TlsFiles> {
        let tls = self.kandela().tls.as_ref()?;
        Some(TlsFiles { cert: tls.cert_file.clone(), key: tls.key_file.clone() })
    }

    /// The keys in which these options differ from `before` and which hold from a start on.
    pub(crate) fn waiting_since(&self, before: &Self) -> Vec<&'static str> {
        let (new, old) = (self.kandela(), before.kandela());
        let (limits, old_limits) = (new.limits, old.limits);
        let changed = [
            ("remote_write", self.config.remote_write != before.config.remote_write),
            ("kandela.data", self.data != before.data),
            ("kandela.listen", new.listen != old.listen),
            ("kandela.tenants", new.tenants != old.tenants),
            ("kandela.memory_limit", new.memory_limit != old.memory_limit),
            ("kandela.durability", new.durability != old.durability),
            ("kandela.out_of_order_window", new.out_of_order_window != old.out_of_order_window),
            ("kandela.flush_interval", new.flush_interval != old.flush_interval),
            ("kandela.retention", new.retention != old.retention),
            ("kandela.limits.series", limits.series != old_limits.series),
            ("kandela.limits.series_per_target", limits.series_per_target != old_limits.series_per_target),
            ("kandela.limits.body_size", limits.body_size != old_limits.body_size),
            ("kandela.limits.query", limits.query != old_limits.query),
            ("kandela.host_metrics", new.host_metrics != old.host_metrics),
            ("kandela.own_telemetry", new.own_telemetry != old.own_telemetry),
            ("kandela.delayed_name_removal", new.delayed_name_removal != old.delayed_name_removal),
        ];
        changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
    }

    pub(crate) fn memory_limit(&self) -> usize {
        saturated(self.kandela().memory_limit)
    }

    /// A body may have as many bytes on the wire as decompressed: senders that don't compress are no worse off.
    pub(crate) fn body_limits(&self) -> BodyLimits {
        let size = saturated(self.kandela().limits.body_size);
        BodyLimits { wire: size, decompressed: size, timeout: BODY_TIMEOUT }
    }

    /// What one query may cost.
    pub(crate) fn query_limits(&self) -> QueryLimits {
        let limits = &self.kandela().limits.query;
        QueryLimits { timeout: limits.timeout, memory: limits.memory.map(saturated), max_rows: None }
    }

    /// How PromQL is evaluated, on up to `cores` threads a query.
    pub(crate) fn promql_options(&self, cores: usize) -> kandela_promql::Options {
        kandela_promql::Options {
            subquery_step: micros(self.config.global.evaluation_interval),
            threads: cores,
            delayed_name_removal: self.kandela().delayed_name_removal,
            ..kandela_promql::Options::default()
        }
    }

    /// What one PromQL query may cost.
    pub(crate) fn promql_limits(&self) -> PromQlLimits {
        let limits = &self.kandela().limits.query;
        let memory = limits.memory.map_or(usize::MAX, saturated);
        let samples = saturated(limits.samples);
        PromQlLimits { timeout: limits.timeout, limits: Limits { samples, memory } }
    }

    /// The set-up of each lake; its root and memory limit stand for all lakes together.
    pub(crate) fn lake_config(&self) -> LakeConfig {
        let Kandela { durability, out_of_order_window, flush_interval, retention, limits, .. } =
            self.kandela();
        LakeConfig {
            memory_limit: self.memory_limit(),
            durability: match durability {
                ConfiguredDurability::Process => Durability::Process,
                ConfiguredDurability::Fsync => Durability::Fsync,
            },
            out_of_order_window: *out_of_order_window,
            flush_interval: *flush_interval,
            max_series: saturated(limits.series),
            retention: Retention {
                metrics: retention.metrics,
                spans: retention.spans,
                logs: retention.logs,
                profiles: retention.profiles,
                events: retention.events,
                max_bytes: retention.size,
            },
            ..LakeConfig::at(&self.data)
        }
    }
}

/// What of the options a reload may change between two requests.
#[derive(Debug)]
pub(crate) struct Settings {
    /// All that the config said, for those who ask.
    pub config: Config,
    pub otlp_metrics: OtlpMetrics,
    pub otlp_limits: OtlpLimits,
    pub redactor: Redactor,
    pub label_limits: LabelLimits,
}

impl Settings {
    /// # Errors
    /// When a redaction rule cannot be used.
    pub(crate) fn of(options: &Options) -> Result<Self, RedactError> {
        let limits = OtlpLimits {
            batch_bytes: saturated(options.kandela().limits.body_size).saturating_mul(2),
            ..OtlpLimits::default()
        };
        Ok(Self {
            config: options.config.clone(),
            otlp_metrics: otlp_metrics(&options.config.otlp, limits),
            otlp_limits: limits,
            label_limits: label_limits::of(&options.kandela().limits),
            redactor: Redactor::new(&RedactConfig::of(options.kandela())?)?,
        })
    }
}

fn otlp_metrics(otlp: &Otlp, limits: OtlpLimits) -> OtlpMetrics {
    let promote = if otlp.promote_all_resource_attributes {
        Promote::AllBut(otlp.ignore_resource_attributes.iter().cloned().collect())
    } else {
        Promote::Only(otlp.promote_resource_attributes.iter().cloned().collect())
    };
    OtlpMetrics {
        translation_strategy: match otlp.translation_strategy {
            Translation::UnderscoreEscapingWithSuffixes => {
                TranslationStrategy::UnderscoreEscapingWithSuffixes
            }
            Translation::UnderscoreEscapingWithoutSuffixes => {
                TranslationStrategy::UnderscoreEscapingWithoutSuffixes
            }
            Translation::NoUtf8EscapingWithSuffixes => TranslationStrategy::NoUtf8EscapingWithSuffixes,
            Translation::NoTranslation => TranslationStrategy::NoTranslation,
        },
        promote_resource_attributes: promote,
        keep_identifying_resource_attributes: otlp.keep_identifying_resource_attributes,
        convert_histograms_to_nhcb: otlp.convert_histograms_to_nhcb,
        limits,
        ..OtlpMetrics::default()
    }
}

fn saturated(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
