//! PromQL queries evaluated over a few series of every kind: no query brings the evaluator down, holds more than its limits, or
//! goes on past its end; and a range answers at one step as an instant query does.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use kandela_promql::script::{Command, MemorySource, parse};
use kandela_promql::{Control, Limits, Options, When, prepare};
use libfuzzer_sys::fuzz_target;

const SERIES: &str = r#"
load 30s
  a_total{job="x", instance="1"} 0+3x10 2+5x10
  a_total{job="x", instance="2"} 7 _ 9 stale 1 NaN Inf -Inf 4x8
  b{job="x", instance="1"} 5-1x20
  b{job="y"} 1e308 1e308 -1e308 0.1x10
  h_bucket{job="x", le="0.1"} 0+1x20
  h_bucket{job="x", le="1"} 0+3x20
  h_bucket{job="x", le="+Inf"} 0+4x20
  n{job="x"} {{schema:0 count:4 sum:5 buckets:[1 2 1]}}+{{schema:0 count:4 sum:5 buckets:[1 2 1]}}x10
  n{job="y"} {{schema:-53 count:4 sum:5 custom_values:[1 2] buckets:[1 2 1]}}x5 3 stale
  target_info{job="x", instance="1", version="7"} 1x20
"#;

static SOURCE: LazyLock<MemorySource> = LazyLock::new(|| {
    let mut source = MemorySource::new();
    for command in parse(SERIES).expect("the series are written right") {
        if let Command::Load(load) = command {
            source.load(&load).expect("the series can be loaded");
        }
    }
    source
});

const SECOND: i64 = 1_000_000;

fuzz_target!(|input: (u8, u8, &str)| {
    let (step, steps, query) = input;
    let step = SECOND * (1 + i64::from(step));
    let range = When::Range { from: 0, through: step * i64::from(steps % 32), step };
    for when in [range, When::Instant(300 * SECOND)] {
        let began = Instant::now();
        let limits = Limits { samples: 200_000, memory: 64 << 20 };
        let control = Arc::new(Control::new(Some(began + Duration::from_secs(1)), limits));
        let prepared = block_on(prepare(&*SOURCE, query, when, Options::default(), &control));
        let Ok(prepared) = prepared else { return };
        drop(prepared.run());
        assert!(began.elapsed() < Duration::from_secs(5), "{query}");
        assert!(control.peak_samples() < 2 * limits.samples, "{query}");
    }
});
