//! Sends telemetry by OTLP over HTTP, from threads of the SDK's own.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use opentelemetry::{KeyValue, global};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// How often metrics go out, unless [`INTERVAL`] says otherwise.
const METRICS_EVERY: Duration = Duration::from_secs(5);
/// OpenTelemetry's own variable for it, in milliseconds.
const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";

/// Sends what is left when it is dropped.
pub(crate) struct Telemetry {
    sending: Option<(SdkTracerProvider, SdkMeterProvider, SdkLoggerProvider)>,
}

/// Starts to log to standard error, and to send to `otlp` (`http://host:port`) if there is one.
pub(crate) fn start(service: &'static str, instance: &str, otlp: Option<&str>) -> Result<Telemetry> {
    let own = Targets::new().with_target("kandela_shop", LevelFilter::INFO);
    // Colours are for whoever looks on, not for a file.
    let colours = std::io::stderr().is_terminal();
    let stderr = fmt::layer().with_writer(std::io::stderr).with_ansi(colours).with_filter(own.clone());
    let Some(otlp) = otlp else {
        tracing_subscriber::registry().with(stderr).init();
        return Ok(Telemetry { sending: None });
    };
    let base = otlp.trim_end_matches('/');
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(5)));
    let client = Blocking { agent: agent.build().into(), complained: Arc::default() };
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attributes([
            KeyValue::new("service.namespace", "shop"),
            KeyValue::new("service.instance.id", instance.to_owned()),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ])
        .build();

    let spans = SpanExporter::builder()
        .with_http()
        .with_http_client(client.clone())
        .with_endpoint(format!("{base}/v1/traces"))
        .build()
        .context("OTLP traces")?;
    let metrics = MetricExporter::builder()
        .with_http()
        .with_http_client(client.clone())
        .with_endpoint(format!("{base}/v1/metrics"))
        .build()
        .context("OTLP metrics")?;
    let logs = LogExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(format!("{base}/v1/logs"))
        .build()
        .context("OTLP logs")?;

    let tracers =
        SdkTracerProvider::builder().with_resource(resource.clone()).with_batch_exporter(spans).build();
    let reader = PeriodicReader::builder(metrics).with_interval(metrics_every()?).build();
    let meters = SdkMeterProvider::builder().with_resource(resource.clone()).with_reader(reader).build();
    let loggers = SdkLoggerProvider::builder().with_resource(resource).with_batch_exporter(logs).build();

    global::set_text_map_propagator(TraceContextPropagator::new());
    global::set_tracer_provider(tracers.clone());
    global::set_meter_provider(meters.clone());
    let bridge = OpenTelemetryTracingBridge::new(&loggers).with_filter(own);
    tracing_subscriber::registry().with(stderr).with(bridge).init();
    Ok(Telemetry { sending: Some((tracers, meters, loggers)) })
}

fn metrics_every() -> Result<Duration> {
    let Ok(text) = std::env::var(INTERVAL) else { return Ok(METRICS_EVERY) };
    let millis = text.parse().ok().filter(|millis| *millis > 0);
    let millis =
        millis.with_context(|| format!("{INTERVAL} is {text:?}; give milliseconds, such as 1000"))?;
    Ok(Duration::from_millis(millis))
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let Some((tracers, meters, loggers)) = self.sending.take() else { return };
        // Nobody is left to tell where one of these fails.
        let _ = tracers.shutdown_with_timeout(Duration::from_secs(2));
        let _ = meters.shutdown_with_timeout(Duration::from_secs(2));
        let _ = loggers.shutdown_with_timeout(Duration::from_secs(2));
    }
}

/// The SDK exports from plain threads, where an asynchronous client would find no runtime.
#[derive(Clone, Debug)]
struct Blocking {
    agent: ureq::Agent,
    complained: Arc<AtomicBool>,
}

impl Blocking {
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (parts, body) = request.into_parts();
        let answer = self.agent.run(Request::from_parts(parts, body.to_vec()))?;
        let (parts, mut body) = answer.into_parts();
        Ok(Response::from_parts(parts, Bytes::from(body.read_to_vec()?)))
    }
}

#[async_trait]
impl HttpClient for Blocking {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let to = request.uri().to_string();
        let sent = self.send(request);
        let trouble = match &sent {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(answer.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        // Once: whoever is away for long should not fill the log.
        if let Some(trouble) = trouble.filter(|_| !self.complained.swap(true, Ordering::Relaxed)) {
            tracing::warn!(to, trouble, "telemetry is not taken");
        }
        Ok(sent?)
    }
}
