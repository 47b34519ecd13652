"""Sends a little of every signal with OpenTelemetry's own SDK: PROTOCOL ENDPOINT, where PROTOCOL is grpc or http."""

import logging
import sys
from importlib.metadata import version

protocol, endpoint = sys.argv[1:]
if protocol == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    def exporter(kind, path):
        return kind(endpoint=endpoint, insecure=True)
else:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    def exporter(kind, path):
        return kind(endpoint=endpoint + path)

from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

print("opentelemetry-sdk", version("opentelemetry-sdk"), protocol)
resource = Resource.create({"service.name": "shop", "service.instance.id": protocol})

reader = PeriodicExportingMetricReader(exporter(OTLPMetricExporter, "/v1/metrics"), export_interval_millis=3_600_000)
exponential = View(instrument_name="wait", aggregation=ExponentialBucketHistogramAggregation())
meters = MeterProvider(metric_readers=[reader], resource=resource, views=[exponential])
meter = meters.get_meter("shop.meter", "1.2.3")
orders = meter.create_counter("orders", unit="1")
for item in range(10):
    orders.add(item, {"item": str(item % 2)})
latency = meter.create_histogram("latency", unit="s")
wait = meter.create_histogram("wait", unit="s")
for value in range(100):
    latency.record(value / 100)
    wait.record(value / 100)

spans = TracerProvider(resource=resource)
spans.add_span_processor(BatchSpanProcessor(exporter(OTLPSpanExporter, "/v1/traces")))
tracer = spans.get_tracer("shop.tracer")

logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(exporter(OTLPLogExporter, "/v1/logs")))
logger = logging.getLogger("shop")
logger.setLevel(logging.INFO)
logger.propagate = False
logger.addHandler(LoggingHandler(logger_provider=logs))

for number in range(20):
    with tracer.start_as_current_span("order", attributes={"order.number": number}):
        with tracer.start_as_current_span("pay"):
            logger.warning("order %d was paid", number)

for provider in (meters, spans, logs):
    provider.shutdown()
