//! Series of floats.

use std::ops::Range;

use kandela_model::STALE_NAN;

use super::{LAST, Point, Series, named, part, random};

const INSTANCES: [(&str, &str); 5] =
    [("api", "api-0"), ("api", "api-1"), ("api", "api-2"), ("web", "web-0"), ("web", "web-1")];
const EVERYWHERE: Range<usize> = 0..LAST + 1;

pub(super) fn series() -> Vec<Series> {
    let groups = [
        requests(),
        cpu(),
        odd_counters(),
        levels(),
        weird(),
        holes(),
        lives(),
        joined(),
        info(),
        sortable(),
        utf8(),
        times(),
    ];
    groups.into_iter().flatten().collect()
}

fn everywhere(name: &str, labels: &[(&str, &str)], value: impl FnMut(usize) -> f64) -> Series {
    let points = EVERYWHERE.map(value).map(Point::Float).collect();
    Series { labels: named(name, labels), late_ms: 0, points }
}

/// A series that is only there within `spans`; a span that is `true` ends with a staleness marker.
fn at_times(
    name: &str,
    labels: &[(&str, &str)],
    spans: &[(Range<usize>, bool)],
    mut value: impl FnMut(usize) -> f64,
) -> Series {
    let point = |step| {
        if spans.iter().any(|(span, _)| span.contains(&step)) {
            Point::Float(value(step))
        } else if spans.iter().any(|(span, ends)| *ends && span.end == step) {
            Point::Float(STALE_NAN)
        } else {
            Point::Nothing
        }
    };
    Series { labels: named(name, labels), late_ms: 0, points: EVERYWHERE.map(point).collect() }
}

/// A counter that grows by up to `most` whole numbers a step, and begins at 0 again at `restarts`.
fn counter(seed: u64, most: u64, restarts: &[usize]) -> impl FnMut(usize) -> f64 {
    let mut value = (random(seed, 0) % 10_000) as f64;
    move |step| {
        value += (random(seed, step) % (most + 1)) as f64;
        if restarts.contains(&step) {
            value = 0.0;
        }
        value
    }
}

/// Where the counters of an instance begin again.
fn restarts(instance: usize) -> &'static [usize] {
    [&[][..], &[100], &[250, 251, 400], &[470], &[]][instance]
}

fn requests() -> Vec<Series> {
    let mut all = Vec::new();
    for (number, (job, instance)) in INSTANCES.into_iter().enumerate() {
        for (method, code, most) in [
            ("GET", "200", 90),
            ("GET", "404", 4),
            ("GET", "500", 2),
            ("POST", "200", 30),
            ("POST", "404", 1),
            ("POST", "500", 1),
        ] {
            for path in ["/orders", "/search"] {
                let labels = [
                    ("job", job),
                    ("instance", instance),
                    ("method", method),
                    ("code", code),
                    ("path", path),
                ];
                let seed = 1_000 + all.len() as u64;
                all.push(everywhere("http_requests_total", &labels, counter(seed, most, restarts(number))));
            }
        }
    }
    all
}

fn cpu() -> Vec<Series> {
    let mut all = Vec::new();
    for (number, (job, instance)) in INSTANCES.into_iter().take(4).enumerate() {
        for (core, mode) in
            [("0", "user"), ("0", "system"), ("0", "idle"), ("1", "user"), ("1", "system"), ("1", "idle")]
        {
            let seed = 2_000 + all.len() as u64;
            let mut milliseconds = counter(seed, 7_500, restarts(number));
            let labels = [("job", job), ("instance", instance), ("cpu", core), ("mode", mode)];
            all.push(everywhere("cpu_seconds_total", &labels, move |step| milliseconds(step) / 1e3));
        }
    }
    all
}

fn odd_counters() -> Vec<Series> {
    let name = "odd_events_total";
    let mut big = counter(3_000, 1_000, &[]);
    let mut seldom = 5.0;
    let mut all = vec![
        everywhere(name, &[("kind", "never")], |_| 0.0),
        everywhere(name, &[("kind", "constant")], |_| 42.0),
        everywhere(name, &[("kind", "big")], move |step| 9e15 + big(step)),
        everywhere(name, &[("kind", "seldom")], move |step| {
            seldom += f64::from(u8::from(step % 50 == 49));
            seldom
        }),
        // Falls a little, which a counter does not do without a restart.
        everywhere(name, &[("kind", "wobbly")], |step| 1_000.0 + (step / 2) as f64 - (step % 2) as f64),
        // First seen with a value that cannot have been 0 just before.
        at_times(name, &[("kind", "late")], &[(200..LAST + 1, false)], counter(3_001, 10, &[])),
        at_times(
            name,
            &[("kind", "sparse")],
            &[(40..42, false), (60..61, false), (90..92, false), (470..LAST + 1, false)],
            counter(3_002, 10, &[]),
        ),
    ];
    for (late_ms, kind) in [(-11_217, "before"), (-7_000, "between"), (-1, "just_before")] {
        let mut series = everywhere("irregular_total", &[("kind", kind)], counter(3_010, 20, &[300]));
        series.late_ms = late_ms;
        all.push(series);
    }
    all
}

fn levels() -> Vec<Series> {
    let mut all = Vec::new();
    for (number, (job, instance)) in INSTANCES.into_iter().enumerate() {
        let seed = 4_000 + number as u64;
        let mut bytes = 2e8 + 1e7 * number as f64;
        all.push(everywhere("memory_bytes", &[("job", job), ("instance", instance)], move |step| {
            bytes += (random(seed, step) % 8_193) as f64 - 4_000.0;
            bytes
        }));
        let down = number * 90 + 30..number * 90 + 34;
        all.push(everywhere("up", &[("job", job), ("instance", instance)], move |step| {
            f64::from(u8::from(!down.contains(&step)))
        }));
    }
    for (number, (room, sensor)) in
        [("cellar", "a"), ("cellar", "b"), ("attic", "a"), ("attic", "b"), ("garden", "a"), ("garden", "b")]
            .into_iter()
            .enumerate()
    {
        let seed = 4_100 + number as u64;
        all.push(everywhere("temperature_celsius", &[("room", room), ("sensor", sensor)], move |step| {
            let wave = ((step as f64 + 40.0 * number as f64) / 60.0).sin();
            (10.0 * (8.0 * wave - 1.0 + part(seed, step))).round() / 10.0
        }));
        // Whole numbers of a few values, so that there are ties.
        let queue = ["mail", "video", "audit"][number / 2];
        all.push(everywhere("queue_length", &[("queue", queue), ("shard", sensor)], move |step| {
            (random(seed + 50, step / 4) % 4) as f64
        }));
    }
    all
}

fn weird() -> Vec<Series> {
    let of = |kind: &str, value: fn(usize) -> f64| everywhere("weird_value", &[("kind", kind)], value);
    vec![
        of("nan", |_| f64::NAN),
        of("inf", |_| f64::INFINITY),
        of("neg_inf", |_| f64::NEG_INFINITY),
        of("zero", |_| 0.0),
        of("neg_zero", |_| -0.0),
        of("tiny", |_| 5e-324),
        of("huge", |_| 1.7e308),
        of("neg_huge", |_| -1.7e308),
        of("third", |_| 1.0 / 3.0),
        of("mixed", |step| match step % 6 {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => f64::NEG_INFINITY,
            _ => step as f64 - 240.0,
        }),
        of("cancelling", |step| [1e100, 1.0, -1e100, 1.0][step % 4]),
    ]
}

fn holes() -> Vec<Series> {
    let value = |step: usize| (step % 17) as f64 - 8.0;
    let every = |period: usize, width: usize| -> Vec<(Range<usize>, bool)> {
        (0..=LAST / period).map(|number| (number * period..number * period + width, false)).collect()
    };
    vec![
        at_times("gappy", &[("gap", "45s")], &every(4, 1), value),
        at_times("gappy", &[("gap", "4m")], &every(26, 10), value),
        at_times("gappy", &[("gap", "just_5m")], &every(40, 21), value),
        at_times("gappy", &[("gap", "10m")], &every(60, 20), value),
        at_times(
            "gappy",
            &[("gap", "stale")],
            &[(0..50, true), (60..61, true), (62..200, true), (201..470, true)],
            value,
        ),
    ]
}

fn lives() -> Vec<Series> {
    let of = |part: &str, spans: &[(Range<usize>, bool)]| {
        at_times("comes_and_goes", &[("part", part)], spans, |step| (step * step % 97) as f64)
    };
    vec![
        of("begins", &[(241..LAST + 1, false)]),
        of("begins_last", &[(LAST..LAST + 1, false)]),
        of("ends", &[(0..240, false)]),
        of("ends_stale", &[(0..240, true)]),
        of("between", &[(120..360, true)]),
        of("returns", &[(0..100, true), (300..LAST + 1, false)]),
        of("once", &[(240..241, false)]),
        of("ends_now", &[(0..LAST, true)]),
    ]
}

fn joined() -> Vec<Series> {
    let left = [("1", "x", 10.0), ("1", "y", 20.0), ("2", "x", 30.0), ("3", "x", 40.0)];
    let right = [("1", "p", 2.0), ("2", "p", 4.0), ("2", "q", 5.0), ("4", "p", 6.0)];
    let mut all = Vec::new();
    for (a, b, value) in left {
        all.push(everywhere("left_side", &[("a", a), ("b", b)], move |step| value + (step % 5) as f64));
    }
    for (a, c, value) in right {
        all.push(everywhere("right_side", &[("a", a), ("c", c)], move |step| value + (step % 3) as f64));
    }
    for (a, value) in [("1", 100.0), ("2", 200.0), ("3", 0.0)] {
        all.push(everywhere("one_side", &[("a", a), ("note", "n")], move |_| value));
    }
    for (job, value) in [("api", 75.0), ("web", 20.0), ("db", 1.0)] {
        all.push(everywhere("limit", &[("job", job)], move |_| value));
    }
    all
}

fn info() -> Vec<Series> {
    let mut all = Vec::new();
    for (number, (job, instance)) in INSTANCES.into_iter().enumerate() {
        let of = |name: &str, version: &str, spans: &[(Range<usize>, bool)]| {
            let cluster = ["north", "south"][number % 2];
            let labels = [("job", job), ("instance", instance), ("version", version), ("cluster", cluster)];
            at_times(name, &labels, spans, |_| 1.0)
        };
        all.push(of("build_info", "1.0", &[(0..300, true)]));
        all.push(of("build_info", "1.1", &[(300..LAST + 1, false)]));
        all.push(of("target_info", "7", &[(0..200, true)]));
        all.push(of("target_info", "8", &[(200..LAST + 1, false)]));
    }
    all
}

fn sortable() -> Vec<Series> {
    let names = ["a1", "a10", "a2", "A2", "é", "", "z", "10", "9", "x-1.5", "x-1.10"];
    names
        .into_iter()
        .enumerate()
        .map(|(number, name)| {
            let labels = [("name", name), ("group", ["even", "odd"][number % 2])];
            let labels = if name.is_empty() { &labels[1..] } else { &labels[..] };
            everywhere("sortable", labels, move |step| ((number * 7 + step) % 5) as f64)
        })
        .collect()
}

fn utf8() -> Vec<Series> {
    vec![
        everywhere(
            "http.server.requests",
            &[("service.name", "käse"), ("zone", "a")],
            counter(5_000, 9, &[]),
        ),
        everywhere(
            "http.server.requests",
            &[("service.name", "wein"), ("zone", "b")],
            counter(5_001, 9, &[77]),
        ),
        everywhere("größe", &[("einheit", "µs")], |step| step as f64),
        everywhere("quoted", &[("text", "say \"hi\"")], |_| 1.0),
        everywhere("quoted", &[("text", "back\\slash")], |_| 2.0),
        everywhere("quoted", &[("text", "two\nlines")], |_| 3.0),
        everywhere("quoted", &[("text", "日本")], |_| 4.0),
        everywhere("colons:level:rate5m", &[("job", "api")], |step| step as f64 / 7.0),
    ]
}

fn times() -> Vec<Series> {
    let of = |what: &str, value: f64| everywhere("some_time_seconds", &[("what", what)], move |_| value);
    vec![
        of("epoch", 0.0),
        of("leap_day", 1_709_164_799.0),
        of("new_year", 1_735_689_600.0),
        of("year_end", 1_735_689_599.9),
        of("before_epoch", -86_401.0),
        of("far", 253_402_300_799.0),
        of("february", 1_677_000_000.5),
    ]
}
