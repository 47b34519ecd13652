//! speedscope's file format: <https://www.speedscope.app/file-format-schema.json>, a sampled profile.

use std::collections::BTreeMap;

use serde_json::json;

use crate::profiler::TraceSummary;

pub(in crate::profiler) fn write(summary: &TraceSummary, name: &str) -> String {
    let rows = summary.rows();
    let mut frames: BTreeMap<&str, usize> = BTreeMap::new();
    let mut names = Vec::new();
    let (mut samples, mut weights) = (Vec::new(), Vec::new());
    for row in rows.iter().filter(|row| row.times.own.0 > 0) {
        let mut sample = Vec::with_capacity(row.path.len());
        for &frame in &row.path {
            sample.push(*frames.entry(frame).or_insert_with(|| {
                names.push(json!({ "name": frame }));
                names.len() - 1
            }));
        }
        samples.push(sample);
        weights.push(row.times.own.0 as u64);
    }
    let file = json!({
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": concat!("kandela-runtime ", env!("CARGO_PKG_VERSION")),
        "name": name,
        "activeProfileIndex": 0,
        "shared": { "frames": names },
        "profiles": [{
            "type": "sampled",
            "name": name,
            "unit": "nanoseconds",
            "startValue": 0,
            "endValue": weights.iter().sum::<u64>(),
            "samples": samples,
            "weights": weights,
        }],
    });
    file.to_string()
}
