//! The same samples, sent to Kandela and to a real Prometheus, and the same requests: statuses and bodies must be the same.

use kandela_ingest::remote_write::read::{MatchKind, Matcher, Query, encode_request};
use kandela_model::{
    BucketSpan, CUSTOM_BOUNDS_SCHEMA, Exemplar, Histogram, Labels, MetricBatch, STALE_NAN, SeriesExemplar,
    SeriesHistogram, TenantId,
};
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use super::federation::page;
use super::peer::Prometheus;
use super::remote_read::{floats, for_samples, points};
use super::{now, seconds, send_to};
use crate::support::{Running, start};

/// A tenant of its own, so that the server's own metrics are not among what is compared.
const TENANT: &str = "compared";

/// A request: path and parameters.
struct Case {
    path: &'static str,
    form: Vec<(&'static str, String)>,
}

struct Told {
    status: u16,
    content_type: String,
    body: String,
}

#[tokio::test]
async fn the_same_requests_have_the_same_answers() {
    let folder = TempDir::new().unwrap();
    let Some(prometheus) = Prometheus::start(folder.path()).await else { return };
    let tenant = TenantId::new(TENANT).unwrap();
    let running = start(|options| options.config.kandela.tenants = vec![tenant]).await;
    let began = now() - 900;
    let batch = samples(began);
    send_to(&prometheus.url("/api/v1/write"), None, &batch).await;
    send_to(&running.url("/api/v1/write"), Some(TENANT), &batch).await;

    let mut different = Vec::new();
    let (mut compared, mut to_the_byte) = (0, 0);
    for Case { path, form } in cases(began) {
        for method in [Method::GET, Method::POST] {
            if method == Method::POST && is_get_only(path) {
                continue;
            }
            let ours = ask(&running.url(path), &method, &form).await;
            let theirs = ask(&prometheus.url(path), &method, &form).await;
            compared += 1;
            to_the_byte += usize::from(ours.body == theirs.body);
            let same = ours.status == theirs.status
                && ours.content_type == theirs.content_type
                && (ours.body == theirs.body
                    || comparable(path, &form, &ours) == comparable(path, &form, &theirs));
            if !same {
                different.push(format!(
                    "{method} {path} {form:?}\n  ours   {} {} {}\n  theirs {} {} {}",
                    ours.status,
                    ours.content_type,
                    ours.body,
                    theirs.status,
                    theirs.content_type,
                    theirs.body
                ));
            }
        }
    }
    assert!(
        different.is_empty(),
        "{} of {compared} answers differ:\n{}",
        different.len(),
        different.join("\n")
    );
    eprintln!("{compared} answers compared, {to_the_byte} the same to the byte");
    same_points(&running, &prometheus, began).await;
    same_pages(&running, &prometheus).await;
}

/// Remote read of every series, in both kinds of answer.
async fn same_points(running: &Running, prometheus: &Prometheus, began: i64) {
    let but = |value: &str| {
        let matcher =
            Matcher { kind: MatchKind::NotEqual, name: "__name__".to_owned(), value: value.to_owned() };
        Query { start: seconds(began), end: seconds(began + 700), matchers: vec![matcher] }
    };
    // Prometheus leaves the bounds out of histograms with custom ones when it answers with samples.
    for body in [encode_request(&[but("")]), for_samples(&[but("custom")])] {
        let ours = read(&running.url("/api/v1/read"), Some(TENANT), body.clone()).await;
        let theirs = read(&prometheus.url("/api/v1/read"), None, body).await;
        // Chunks of Prometheus reach beyond the time asked for.
        let within = |batch: &MetricBatch| -> Vec<_> {
            let all = floats(batch).into_iter();
            all.filter(|(_, at, _)| (seconds(began)..=seconds(began + 700)).contains(at)).collect()
        };
        assert_eq!(within(&ours), within(&theirs));
        let histograms = |batch: &MetricBatch| {
            let plain = |one: &SeriesHistogram| {
                let histogram = Histogram { reset_hint: Default::default(), ..one.histogram.clone() };
                (batch.labels(one.series).to_string(), one.ts, format!("{histogram:?}"))
            };
            let mut all: Vec<_> = batch.histograms.iter().map(plain).collect();
            all.retain(|(_, at, _)| (seconds(began)..=seconds(began + 700)).contains(at));
            all.sort();
            all
        };
        assert_eq!(histograms(&ours), histograms(&theirs));
    }
}

async fn read(url: &str, tenant: Option<&str>, body: Vec<u8>) -> MetricBatch {
    points(super::remote_read::ask(url, tenant, body).await).await
}

/// Federation in every format; of a family the order of metrics is left open. Histograms with custom bounds were not
/// federated before Prometheus 3.6.
async fn same_pages(running: &Running, prometheus: &Prometheus) {
    let protobuf =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    for accept in
        ["*/*", "text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain;escaping=values", protobuf]
    {
        for selector in ["{__name__!=\"\",__name__!=\"custom\"}", "native", "up", "{\"http.status\"}"] {
            if accept == protobuf && selector.contains("!=") {
                continue;
            }
            let form = [("match[]", selector)];
            let (kind, ours) = page(&running.url("/federate"), accept, Some(TENANT), &form).await;
            let (their_kind, theirs) = page(&prometheus.url("/federate"), accept, None, &form).await;
            assert_eq!(kind, their_kind, "{accept}");
            if accept == protobuf {
                assert_eq!(ours.len(), theirs.len(), "{selector}");
                continue;
            }
            let lines = |page: &[u8]| -> Vec<String> {
                let mut lines: Vec<String> =
                    String::from_utf8(page.to_vec()).unwrap().lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            assert_eq!(lines(&ours), lines(&theirs), "{accept} {selector}");
        }
    }
}

fn is_get_only(path: &str) -> bool {
    let both = ["query", "query_range", "query_exemplars", "format_query", "parse_query", "labels", "series"];
    !both.iter().any(|endpoint| path == format!("/api/v1/{endpoint}"))
}

async fn ask(url: &str, method: &Method, form: &[(&str, String)]) -> Told {
    let client = reqwest::Client::new();
    let request = if *method == Method::GET {
        client.get(reqwest::Url::parse_with_params(url, form).unwrap())
    } else {
        let body =
            reqwest::Url::parse_with_params("http://x", form).unwrap().query().unwrap_or("").to_owned();
        client.post(url).header("Content-Type", "application/x-www-form-urlencoded").body(body)
    };
    let answer = request.header("X-Scope-OrgID", TENANT).send().await.unwrap();
    let content_type = answer.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    Told {
        status: answer.status().as_u16(),
        content_type: content_type.unwrap_or_default(),
        body: answer.text().await.unwrap(),
    }
}

/// The answer without what is free: the order of a vector that nothing sorts, of series, and of notes.
fn comparable(path: &str, form: &[(&str, String)], told: &Told) -> Value {
    let Ok(mut document) = serde_json::from_str::<Value>(&told.body) else {
        return Value::String(told.body.clone());
    };
    for key in ["warnings", "infos"] {
        sort(&mut document[key]);
    }
    if path == "/api/v1/parse_query" {
        without_newer(&mut document);
    }
    let query = form.iter().find(|(name, _)| *name == "query").map_or("", |(_, query)| query);
    let ordered = ["sort", "topk", "bottomk"].iter().any(|word| query.starts_with(word));
    if path == "/api/v1/series" {
        sort(&mut document["data"]);
    } else if document["data"]["resultType"] == "vector" && !ordered {
        sort(&mut document["data"]["result"]);
    }
    document
}

/// Without what a tree says since Prometheus 3.6.
fn without_newer(tree: &mut Value) {
    match tree {
        Value::Object(members) => {
            for newer in ["anchored", "smoothed", "offsetExpr", "rangeExpr", "stepExpr"] {
                members.remove(newer);
            }
            members.values_mut().for_each(without_newer);
        }
        Value::Array(items) => items.iter_mut().for_each(without_newer),
        _ => {}
    }
}

fn sort(list: &mut Value) {
    if let Some(list) = list.as_array_mut() {
        list.sort_by_key(Value::to_string);
    }
}

fn samples(began: i64) -> MetricBatch {
    let mut batch = MetricBatch::default();
    let mut series = |name: &str, labels: &[(&str, &str)], value: &dyn Fn(i64) -> Option<f64>| {
        let pairs = labels.iter().copied().chain([("__name__", name)]);
        let index = batch.add_series(pairs).unwrap();
        for place in 0..60 {
            if let Some(value) = value(place) {
                batch.add_sample(index, seconds(began + place * 15), value);
            }
        }
    };
    for (instance, step) in [("a:1", 1.0), ("b:1", 2.5), ("c:1", 1e7)] {
        for (code, share) in [("200", 1.0), ("500", 0.125)] {
            let labels = [("instance", instance), ("job", "shop"), ("code", code)];
            series("http_requests_total", &labels, &|place| Some(place as f64 * step * share));
        }
        series("up", &[("instance", instance), ("job", "shop")], &|place| {
            Some(f64::from(u8::from(place % 7 > 0)))
        });
    }
    series("up", &[("instance", "d:1"), ("job", "stock")], &|_| Some(1.0));
    series("temperature", &[("room", "<cold> & \"dark\"\n")], &|place| Some(-273.15 + place as f64 / 3.0));
    series("tiny", &[], &|place| Some(1.5e-9 * place as f64));
    series("huge", &[], &|place| Some(1.5e21 * (place as f64 + 1.0)));
    series("odd", &[("kind", "nan")], &|_| Some(f64::NAN));
    series("odd", &[("kind", "inf")], &|_| Some(f64::INFINITY));
    series("odd", &[("kind", "minus")], &|_| Some(f64::NEG_INFINITY));
    series("gone", &[("job", "shop")], &|place| match place {
        0..30 => Some(1.0),
        30 => Some(STALE_NAN),
        _ => None,
    });
    series("http.status", &[("service.name", "shöp")], &|place| Some(place as f64));
    for (bound, share) in [("0.1", 1.0), ("0.5", 4.0), ("1", 9.0), ("+Inf", 10.0)] {
        series("latency_seconds_bucket", &[("le", bound), ("job", "shop")], &|place| {
            Some(place as f64 * share)
        });
    }
    for (name, is_float, custom) in
        [("native", false, false), ("native_float", true, false), ("custom", false, true)]
    {
        let index = batch.add_series([("__name__", name), ("job", "shop")]).unwrap();
        for place in 0..60 {
            let histogram = histogram((place + 1) as f64, is_float, custom);
            let ts = seconds(began + place * 15);
            batch.histograms.push(SeriesHistogram { series: index, ts, histogram, delta: false });
        }
    }
    let index = batch.add_series([("__name__", "exemplified_total"), ("job", "shop")]).unwrap();
    for place in 0..60 {
        batch.add_sample(index, seconds(began + place * 15), place as f64);
    }
    for (place, trace) in [(3, "0af7651916cd43dd8448eb211c80319c"), (20, "1af7651916cd43dd8448eb211c80319d")]
    {
        let exemplar = Exemplar {
            ts: seconds(began + place * 15),
            value: place as f64 / 4.0,
            trace_id: Some(trace.to_owned()),
            span_id: None,
            labels: Labels::new([("user", "ana")]).unwrap(),
        };
        batch.exemplars.push(SeriesExemplar { series: index, exemplar });
    }
    batch
}

fn histogram(scale: f64, is_float: bool, custom: bool) -> Histogram {
    let part = if is_float { 0.5 } else { 1.0 };
    let counts = [1.0, 0.0, 4.0].map(|count| count * scale * part);
    let zero = if custom { 0.0 } else { scale };
    Histogram {
        schema: if custom { CUSTOM_BOUNDS_SCHEMA } else { 1 },
        count: counts.iter().sum::<f64>() + zero,
        sum: scale * 3.3,
        zero_threshold: if custom { 0.0 } else { 0.001 },
        zero_count: zero,
        positive_spans: vec![BucketSpan { offset: i32::from(!custom), length: 3 }],
        positive_buckets: counts.to_vec(),
        custom_bounds: if custom { vec![0.5, 1.0, 2.5] } else { Vec::new() },
        is_float,
        ..Histogram::default()
    }
}

/// Times as tests see them: `@0` is when the samples begin, in seconds.
fn cases(began: i64) -> Vec<Case> {
    let at = |text: &str| match text.strip_prefix('@') {
        Some(offset) => (began + offset.parse::<i64>().unwrap()).to_string(),
        None => text.to_owned(),
    };
    let listed = requests();
    let case = |(path, form): (&'static str, Vec<(&'static str, &'static str)>)| Case {
        path,
        form: form.into_iter().map(|(name, value)| (name, at(value))).collect(),
    };
    listed.into_iter().map(case).collect()
}

type Listed = (&'static str, Vec<(&'static str, &'static str)>);

fn requests() -> Vec<Listed> {
    let mut all: Vec<Listed> = Vec::new();
    let instant = [
        "up",
        "http_requests_total",
        "sum by (code) (rate(http_requests_total[5m]))",
        "sort_desc(http_requests_total)",
        "topk(2, http_requests_total)",
        "http_requests_total{code=\"200\"}[1m]",
        "tiny",
        "huge",
        "odd",
        "temperature",
        "gone",
        "native",
        "native_float",
        "custom",
        "rate(native[5m])",
        "histogram_quantile(0.5, native)",
        "histogram_count(rate(native[5m]))",
        "histogram_quantile(0.9, rate(latency_seconds_bucket[5m]))",
        "native[1m]",
        "{\"http.status\"}",
        "1.5e-9",
        "1e22",
        "-1/0",
        "\"a <text> & \\\"more\\\"\"",
        "vector(1)",
        "absent(nothing)",
        "nothing",
        "rate(temperature[5m])",
        "up + on (instance) http_requests_total{code=\"200\"}",
        "label_replace(up, \"x\", \"$1\", \"instance\", \"(.*):1\")",
        "",
        "up{",
        "up[5m",
        "sum(",
        "foo(up)",
        "up @ -1",
        "rate(up)",
        "1 + \"a\"",
        "{}",
    ];
    for query in instant {
        all.push(("/api/v1/query", vec![("query", query), ("time", "@600")]));
    }
    for form in [
        vec![("query", "up"), ("time", "@600"), ("limit", "2")],
        vec![("query", "up"), ("time", "@600"), ("limit", "0")],
        vec![("query", "up"), ("time", "@600"), ("limit", "100")],
        vec![("query", "1"), ("time", "@600"), ("limit", "1")],
        vec![("query", "up"), ("limit", "-1")],
        vec![("query", "up"), ("limit", "x")],
        vec![("query", "up"), ("time", "yesterday")],
        vec![("query", "up"), ("time", "2015-07-01T20:10:51.781Z")],
        vec![("query", "1"), ("time", "2015-07-01T20:10:51.781Z")],
        vec![("query", "1"), ("time", "1435781430.781")],
        vec![("query", "1"), ("time", "1435781430.7816")],
        vec![("query", "1"), ("time", "-5.25")],
        vec![("query", "\"x\""), ("time", "1435781430.781")],
        vec![("query", "up"), ("timeout", "soon")],
        vec![("query", "up"), ("time", "@600"), ("timeout", "5s")],
        vec![("query", "up"), ("time", "@600"), ("timeout", "1e30")],
        vec![("query", "up"), ("time", "@600"), ("lookback_delta", "1s")],
        vec![("query", "up"), ("time", "@605"), ("lookback_delta", "1s")],
        vec![("query", "up"), ("lookback_delta", "x")],
    ] {
        all.push(("/api/v1/query", form));
    }
    for query in [
        "up",
        "http_requests_total",
        "sum(rate(http_requests_total[2m])) by (instance)",
        "gone",
        "native",
        "custom",
        "native or up",
        "1",
        "time()",
        "odd",
        "tiny * 2",
        "nothing",
        "rate(temperature[5m])",
        "\"text\"",
        "up[5m]",
        "up{",
    ] {
        let form = vec![("query", query), ("start", "@300"), ("end", "@800"), ("step", "30")];
        all.push(("/api/v1/query_range", form));
    }
    for form in [
        vec![("query", "up"), ("start", "@300"), ("end", "@800"), ("step", "1m30s")],
        vec![("query", "up"), ("start", "@300"), ("end", "@800"), ("step", "7.5")],
        vec![("query", "up"), ("start", "@300"), ("end", "@300"), ("step", "30")],
        vec![("query", "up"), ("start", "@300"), ("end", "@800"), ("step", "30"), ("limit", "1")],
        vec![("query", "up"), ("start", "@800"), ("end", "@300"), ("step", "30")],
        vec![("query", "up"), ("start", "@300"), ("end", "@800"), ("step", "0")],
        vec![("query", "up"), ("start", "@300"), ("end", "@800"), ("step", "-1")],
        vec![("query", "up"), ("start", "@300"), ("end", "@800"), ("step", "x")],
        vec![("query", "up"), ("start", "@300"), ("end", "@800"), ("step", "1e30")],
        vec![("query", "up"), ("start", "@300"), ("end", "@800"), ("step", "0.01")],
        vec![("query", "up"), ("start", "@300"), ("end", "@800")],
        vec![("query", "up"), ("end", "@800"), ("step", "30")],
        vec![("query", "up"), ("start", "@300"), ("step", "30")],
        vec![("query", "up"), ("start", "x"), ("end", "@800"), ("step", "30")],
        vec![("query", "up"), ("start", "0"), ("end", "11000"), ("step", "1")],
        vec![("query", "up"), ("start", "0"), ("end", "11001"), ("step", "1")],
        vec![("query", "up"), ("start", "@300"), ("end", "@800"), ("step", "30"), ("timeout", "x")],
        vec![],
    ] {
        all.push(("/api/v1/query_range", form));
    }
    for form in [
        vec![("match[]", "up")],
        vec![("match[]", "up"), ("match[]", "http_requests_total{code=\"200\"}")],
        vec![("match[]", "up"), ("match[]", "{job=\"stock\"}")],
        vec![("match[]", "{__name__=~\"t.*|odd\"}")],
        vec![("match[]", "up"), ("limit", "10")],
        vec![("match[]", "up"), ("limit", "x")],
        vec![("match[]", "nothing")],
        vec![("match[]", "up"), ("start", "@0"), ("end", "@900")],
        vec![("match[]", "up"), ("start", "@900"), ("end", "@0")],
        vec![("match[]", "up"), ("start", "x")],
        vec![("match[]", "up"), ("end", "x")],
        vec![("match[]", "{}")],
        vec![("match[]", "{job=~\".*\"}")],
        vec![("match[]", "up{")],
        vec![("match[]", "up"), ("match[]", "{a=\"b\"")],
        vec![("match[]", "{\"http.status\"}")],
        vec![],
    ] {
        all.push(("/api/v1/series", form.clone()));
        let names = if form.is_empty() { vec![("start", "@0")] } else { form };
        all.push(("/api/v1/labels", names.clone()));
        all.push(("/api/v1/label/job/values", names.clone()));
        all.push(("/api/v1/label/__name__/values", names));
    }
    for (path, form) in [
        ("/api/v1/labels", vec![]),
        ("/api/v1/labels", vec![("limit", "3")]),
        ("/api/v1/label/code/values", vec![]),
        ("/api/v1/label/nothing/values", vec![]),
        ("/api/v1/label/U__service_2e_name/values", vec![]),
        ("/api/v1/label/service.name/values", vec![]),
        ("/api/v1/label/room/values", vec![]),
        ("/api/v1/label/__name__/values", vec![("limit", "200")]),
        ("/api/v1/query_exemplars", vec![("query", "exemplified_total"), ("start", "@0"), ("end", "@900")]),
        ("/api/v1/query_exemplars", vec![("query", "rate(exemplified_total[1m]) + up")]),
        ("/api/v1/query_exemplars", vec![("query", "exemplified_total"), ("start", "@100"), ("end", "@900")]),
        ("/api/v1/query_exemplars", vec![("query", "nothing")]),
        ("/api/v1/query_exemplars", vec![("query", "1")]),
        ("/api/v1/query_exemplars", vec![("query", "up{")]),
        ("/api/v1/query_exemplars", vec![("query", "up"), ("start", "x")]),
        ("/api/v1/query_exemplars", vec![("query", "up"), ("start", "@9"), ("end", "@0")]),
        ("/api/v1/format_query", vec![("query", "sum(rate(up[5m]))by(job)")]),
        ("/api/v1/format_query", vec![("query", "sum(")]),
        ("/api/v1/format_query", vec![]),
        ("/api/v1/parse_query", vec![("query", "sum by (job) (rate(up{a!=\"b\"}[5m] offset 1m)) > bool 3")]),
        ("/api/v1/parse_query", vec![("query", "sum(")]),
        ("/api/v1/rules", vec![]),
        ("/api/v1/rules", vec![("type", "alert")]),
        ("/api/v1/rules", vec![("type", "other")]),
        ("/api/v1/rules", vec![("exclude_alerts", "maybe")]),
        ("/api/v1/rules", vec![("group_limit", "0")]),
        ("/api/v1/rules", vec![("group_limit", "x")]),
        ("/api/v1/rules", vec![("group_limit", "3")]),
        ("/api/v1/rules", vec![("group_next_token", "a")]),
        ("/api/v1/rules", vec![("match[]", "{")]),
        ("/api/v1/alerts", vec![]),
        ("/api/v1/alertmanagers", vec![]),
        ("/api/v1/targets", vec![]),
        ("/api/v1/targets", vec![("state", "active")]),
        ("/api/v1/targets", vec![("state", "dropped")]),
        ("/api/v1/targets", vec![("state", "other")]),
        ("/api/v1/targets/metadata", vec![]),
        ("/api/v1/targets/metadata", vec![("limit", "x")]),
        ("/api/v1/targets/metadata", vec![("match_target", "{")]),
        ("/api/v1/scrape_pools", vec![]),
        ("/api/v1/metadata", vec![]),
        ("/api/v1/metadata", vec![("limit", "x")]),
        ("/api/v1/metadata", vec![("limit_per_metric", "x")]),
        ("/api/v1/status/tsdb", vec![("limit", "0")]),
        ("/api/v1/status/tsdb", vec![("limit", "x")]),
    ] {
        all.push((path, form));
    }
    all
}
