//! What a query takes of memory stays near its limit, whatever it asks; it answers, or is refused.
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use kandela_model::Labels;
use kandela_promql::script::{MemorySource, Sample};
use kandela_promql::{Answered, Control, EvalError, Limits, Options, Point, Prepared, When, prepare};

/// The system's allocator, with how much is held and the most that was.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes on to the system's allocator unchanged.
#[allow(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LIMIT: usize = 16 << 20;
const MINUTE: i64 = 60_000_000;
const SERIES: usize = 200;
const STEPS: i64 = 1_000;

/// Gauges of which no two values are the same.
fn source() -> MemorySource {
    let mut source = MemorySource::new();
    for n in 0..SERIES {
        let (pod, le) = (format!("pod-{n}"), format!("{}", n % 10));
        let labels = Labels::new([("__name__", "x"), ("pod", &pod), ("le", &le)]).unwrap();
        for step in 0..STEPS {
            let value = ((n as i64 * STEPS + step) * 7_919 % 1_000_003) as f64 / 3.0;
            source
                .append(&labels, Sample { time: step * MINUTE, start: 0, point: Point::Float(value) })
                .unwrap();
        }
    }
    source
}

/// What comes of a query, and the most it held at a time.
fn asked(source: &MemorySource, query: &str) -> (Result<Answered, EvalError>, usize) {
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let limits = Limits { memory: LIMIT, ..Limits::default() };
    let control = Arc::new(Control::new(Some(Instant::now() + Duration::from_secs(60)), limits));
    let when = When::Range { from: 0, through: (STEPS - 1) * MINUTE, step: MINUTE };
    let prepared = block_on(prepare(source, query, when, Options::default(), &control));
    let result = prepared.and_then(Prepared::run);
    (result, PEAK.load(Ordering::Relaxed) - before)
}

#[test]
fn no_query_takes_much_more_than_its_limit() {
    let source = source();
    let mut longer = "x{pod=\"pod-1\"}".to_owned();
    for _ in 0..9 {
        let ten = "$1".repeat(10);
        longer = format!("label_replace({longer}, \"pod\", \"{ten}\", \"pod\", \"(.*)\")");
    }
    let queries = [
        "x",
        "count_values(\"value\", x)",
        "count_values by (pod) (\"value\", x)",
        "topk(3, x)",
        "bottomk by (le) (1, x)",
        "limitk(5, x)",
        "quantile(0.5, x)",
        "sum by (pod) (x)",
        "histogram_quantile(0.9, x)",
        "x * on (pod) group_left x",
        "x or (x + 1)",
        "sort(x)",
        "max_over_time(x[1h:1m])",
        "rate(x[5h]) > 0",
        "label_join(x, \"both\", \"-\", \"pod\", \"le\")",
        &longer,
    ];
    let mut refused = Vec::new();
    for query in queries {
        let (result, peak) = asked(&source, query);
        assert!(peak < 3 * LIMIT, "{query} took {peak} bytes: {:?}", result.map(|_| "answered"));
        match result {
            Ok(_) => {}
            Err(EvalError::TooMuchMemory { .. } | EvalError::Execution(_)) => refused.push(query),
            Err(error) => panic!("{query}: {error}"),
        }
    }
    assert_eq!(refused, ["count_values(\"value\", x)", "count_values by (pod) (\"value\", x)", &longer]);
}
