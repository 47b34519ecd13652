//! One load for every system: series as a Kubernetes cluster's services expose them, encoded before any clock starts.
//!
//! A body holds one sample each of up to `--body` series at one scrape, as Prometheus' own queue sends them. All bodies
//! of one scrape come before those of the next. The load is the same for the same shape and end.

use super::remote_write::{self, Label, Sample, TimeSeries, WriteRequest};

/// Time between two samples of one series.
pub(crate) const STEP_MS: i64 = 15_000;

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) series: usize,
    /// Samples of each series.
    pub(crate) samples: usize,
    /// Most samples in one body.
    pub(crate) body: usize,
}

/// The bodies to send.
pub(crate) struct Load {
    pub(crate) shape: Shape,
    /// No sample is later than this.
    pub(crate) end_ms: i64,
    pub(crate) bodies: Vec<Body>,
}

pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    /// Bodies of one group hold the same series, and must arrive in order.
    pub(crate) group: usize,
}

const METRICS: [Metric; 20] = [
    counter("http_requests_total", 400),
    counter("http_request_duration_seconds_count", 400),
    counter("http_request_duration_seconds_sum", 90),
    counter("http_request_size_bytes_sum", 90_000),
    counter("http_response_size_bytes_sum", 900_000),
    counter("grpc_server_handled_total", 250),
    counter("grpc_server_msg_received_total", 250),
    counter("grpc_server_msg_sent_total", 250),
    counter("db_client_operations_total", 120),
    counter("db_client_rows_returned_total", 2_000),
    counter("cache_hits_total", 600),
    counter("cache_misses_total", 40),
    counter("retries_total", 2),
    counter("errors_total", 1),
    level("http_requests_in_flight", Noise::Whole, 30),
    level("db_pool_connections_in_use", Noise::Whole, 20),
    level("queue_length", Noise::Whole, 200),
    level("worker_utilisation_ratio", Noise::Fraction, 1),
    level("last_reload_success_timestamp_seconds", Noise::Constant, 1_700_000_000),
    level("config_limit", Noise::Constant, 64),
];
const HANDLERS: [&str; 5] =
    ["/api/v1/orders", "/api/v1/orders/{id}", "/api/v1/customers/{id}", "/api/v1/search", "/healthz"];
const CODES: [&str; 2] = ["200", "500"];
const SERVICES: [&str; 12] = [
    "cart",
    "catalogue",
    "checkout",
    "currency",
    "email",
    "frontend",
    "inventory",
    "payment",
    "recommendation",
    "search",
    "session",
    "shipping",
];
const NAMESPACES: [&str; 4] = ["shop", "shop-canary", "shop-staging", "platform"];

const SERIES_OF_A_POD: usize = METRICS.len() * HANDLERS.len() * CODES.len();
const PODS_OF_A_NODE: usize = 20;

struct Metric {
    name: &'static str,
    noise: Noise,
    /// For a counter the most it grows in one step, else the most it is.
    most: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Noise {
    Counter,
    Whole,
    Fraction,
    Constant,
}

const fn counter(name: &'static str, most: u64) -> Metric {
    Metric { name, noise: Noise::Counter, most }
}

const fn level(name: &'static str, noise: Noise, most: u64) -> Metric {
    Metric { name, noise, most }
}

impl Shape {
    pub(crate) fn total(&self) -> usize {
        self.series * self.samples
    }
}

impl Load {
    /// # Errors
    /// When a body is too long to be encoded.
    pub(crate) fn new(shape: Shape, end_ms: i64) -> anyhow::Result<Self> {
        let groups = shape.series.div_ceil(shape.body);
        let mut by_step: Vec<Vec<Body>> = (0..shape.samples).map(|_| Vec::with_capacity(groups)).collect();
        for group in 0..groups {
            let first = group * shape.body;
            let indices = first..(first + shape.body).min(shape.series);
            let mut values: Vec<f64> = indices.clone().map(start_value).collect();
            let empty = |index| TimeSeries { labels: labels(index), samples: vec![Sample::default()] };
            let mut request = WriteRequest { timeseries: indices.clone().map(empty).collect() };
            for (step, bodies) in by_step.iter_mut().enumerate() {
                let step_end = end_ms - STEP_MS * (shape.samples - 1 - step) as i64;
                for (index, (series, value)) in
                    indices.clone().zip(request.timeseries.iter_mut().zip(values.iter_mut()))
                {
                    *value = next_value(index, step, *value);
                    series.samples[0] =
                        Sample { value: *value, timestamp: step_end - scrape_offset_ms(index) };
                }
                bodies.push(Body { bytes: remote_write::encode(&request)?, group });
            }
        }
        Ok(Self { shape, end_ms, bodies: by_step.into_iter().flatten().collect() })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bodies.iter().map(|body| body.bytes.len()).sum()
    }

    /// Names of the metrics that the series belong to.
    pub(crate) fn metrics() -> impl Iterator<Item = &'static str> {
        METRICS.iter().map(|metric| metric.name)
    }

    /// The last value of the series of this number.
    pub(crate) fn last_value(&self, index: usize) -> f64 {
        (0..self.shape.samples).fold(start_value(index), |value, step| next_value(index, step, value))
    }

    /// A time range that ends at `end_ms` and holds every sample, in seconds.
    pub(crate) fn range_s(&self) -> i64 {
        (STEP_MS * self.shape.samples as i64) / 1000 + 15
    }
}

/// Each target is scraped at its own moment within the step.
fn scrape_offset_ms(index: usize) -> i64 {
    (mix(pod_of(index) as u64, 1) % STEP_MS as u64) as i64
}

fn pod_of(index: usize) -> usize {
    index / SERIES_OF_A_POD
}

fn metric_of(index: usize) -> &'static Metric {
    &METRICS[index % METRICS.len()]
}

fn labels(index: usize) -> Vec<Label> {
    let pod = pod_of(index);
    let within = index % SERIES_OF_A_POD / METRICS.len();
    let service = SERVICES[pod % SERVICES.len()];
    let node = pod / PODS_OF_A_NODE;
    let replica_set = mix((pod / 6) as u64, 2) & 0xff_ffff_ffff;
    let suffix = mix(pod as u64, 3) & 0xf_ffff;
    let pairs = [
        ("__name__", metric_of(index).name.to_owned()),
        ("code", CODES[within % CODES.len()].to_owned()),
        ("container", service.to_owned()),
        ("handler", HANDLERS[within / CODES.len() % HANDLERS.len()].to_owned()),
        ("instance", format!("10.{}.{}.{}:8080", node / 250, node % 250, pod % 250)),
        ("job", "kubernetes-pods".to_owned()),
        ("namespace", NAMESPACES[pod / SERVICES.len() % NAMESPACES.len()].to_owned()),
        ("node", format!("node-{node:05}.eu-central.internal")),
        ("pod", format!("{service}-{replica_set:010x}-{suffix:05x}")),
        ("service", service.to_owned()),
    ];
    pairs.into_iter().map(|(name, value)| Label { name: name.to_owned(), value }).collect()
}

fn start_value(index: usize) -> f64 {
    match metric_of(index).noise {
        Noise::Counter => (mix(index as u64, 4) % 10_000_000) as f64,
        Noise::Whole | Noise::Fraction | Noise::Constant => 0.0,
    }
}

fn next_value(index: usize, step: usize, last: f64) -> f64 {
    let metric = metric_of(index);
    let random = mix(index as u64, 5 + step as u64);
    match metric.noise {
        Noise::Counter => last + (random % (metric.most + 1)) as f64,
        Noise::Whole => (random % (metric.most + 1)) as f64,
        // The upper 53 bits make a fraction of full precision.
        Noise::Fraction => metric.most as f64 * (random >> 11) as f64 / (1_u64 << 53) as f64,
        Noise::Constant => metric.most as f64,
    }
}

/// A selector in PromQL of the series of this number and no other.
pub(crate) fn selector(index: usize) -> String {
    let matcher = |label: Label| format!("{}=\"{}\"", label.name, label.value);
    let chosen = labels(index).into_iter().filter(|label| ["code", "handler", "pod"].contains(&&*label.name));
    format!("{}{{{}}}", metric_of(index).name, chosen.map(matcher).collect::<Vec<_>>().join(","))
}

/// SplitMix64 (Steele, Lea, Flood 2014) over two numbers.
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(b.wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use std::collections::{BTreeMap, BTreeSet};

    const END: i64 = 1_800_000_000_000;

    fn decoded(load: &Load) -> Vec<WriteRequest> {
        let decode = |body: &Body| {
            let plain = snap::raw::Decoder::new().decompress_vec(&body.bytes).expect("block");
            WriteRequest::decode(plain.as_slice()).expect("request")
        };
        load.bodies.iter().map(decode).collect()
    }

    fn identity(series: &TimeSeries) -> String {
        series.labels.iter().map(|label| format!("{}={};", label.name, label.value)).collect()
    }

    #[test]
    fn every_series_has_its_samples_in_order_and_a_step_apart() {
        let load = Load::new(Shape { series: 1_003, samples: 4, body: 250 }, END).expect("load");
        let mut times: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for request in decoded(&load) {
            assert!(request.timeseries.len() <= 250);
            for series in &request.timeseries {
                times
                    .entry(identity(series))
                    .or_default()
                    .extend(series.samples.iter().map(|sample| sample.timestamp));
            }
        }
        assert_eq!(times.len(), 1_003, "label sets are distinct");
        for times in times.values() {
            assert_eq!(times.len(), 4);
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] == STEP_MS));
            assert!(times[3] <= END && times[0] > END - load.range_s() * 1000);
        }
    }

    #[test]
    fn bodies_of_one_group_hold_the_same_series() {
        let load = Load::new(Shape { series: 30, samples: 3, body: 20 }, END).expect("load");
        let mut groups: BTreeMap<usize, BTreeSet<Vec<String>>> = BTreeMap::new();
        for (body, request) in load.bodies.iter().zip(decoded(&load)) {
            groups.entry(body.group).or_default().insert(request.timeseries.iter().map(identity).collect());
        }
        assert_eq!(groups.len(), 2);
        assert!(groups.values().all(|contents| contents.len() == 1));
    }

    #[test]
    fn label_sets_are_what_a_receiver_accepts() {
        for index in [0, 7, 199, 200, 54_321] {
            let names: Vec<String> = labels(index).into_iter().map(|label| label.name).collect();
            assert_eq!(names.len(), 10);
            assert!(names.is_sorted(), "{names:?}");
        }
    }

    #[test]
    fn each_series_has_a_selector_and_a_last_value_of_its_own() {
        let load = Load::new(Shape { series: 450, samples: 3, body: 450 }, END).expect("load");
        let last = decoded(&load).pop().expect("request");
        let selectors: BTreeSet<String> = (0..450).map(selector).collect();
        assert_eq!(selectors.len(), 450);
        for (index, series) in last.timeseries.iter().enumerate() {
            assert_eq!(series.samples[0].value, load.last_value(index));
        }
    }

    #[test]
    fn counters_never_fall() {
        let load = Load::new(Shape { series: 14, samples: 20, body: 14 }, END).expect("load");
        let mut last = [0.0; 14];
        for request in decoded(&load) {
            for (last, series) in last.iter_mut().zip(&request.timeseries) {
                assert!(series.samples[0].value >= *last);
                *last = series.samples[0].value;
            }
        }
    }
}
