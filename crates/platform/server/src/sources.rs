//! Who sends telemetry, and how much of it: what the first page shows.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

use crate::telemetry::events::TelemetryReceived;

/// Sources remembered; a new one replaces the one that has been silent longest.
const MAX_SOURCES: usize = 256;
/// Rates are averages over this many seconds.
const WINDOW: usize = 60;

/// All that sends.
#[derive(Default)]
pub(crate) struct Sources(Mutex<HashMap<Key, State>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    protocol: &'static str,
    name: String,
    tenant: String,
}

struct State {
    first: Instant,
    last: Instant,
    seconds: [u64; WINDOW],
    second: u64,
    totals: TelemetryReceived,
}

/// One source as the status page shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceStatus {
    /// How it sends: `remote_write`, `otlp_grpc`, `otlp_http`, `scrape`, `host`, `self`.
    pub protocol: &'static str,
    /// Its address, job or name.
    pub name: String,
    /// Whose telemetry it is.
    pub tenant: String,
    /// Samples, histograms, spans and logs a second, over the last minute.
    pub per_second: f64,
    /// Float samples and histograms in all.
    pub samples: u64,
    /// Spans in all.
    pub spans: u64,
    /// Log records in all.
    pub logs: u64,
    /// Bytes over the wire in all.
    pub bytes: u64,
    /// Seconds since it last sent.
    pub silent_seconds: f64,
}

impl Sources {
    /// Notes what a source sent.
    pub(crate) fn note(&self, name: &str, tenant: &str, received: &TelemetryReceived, now: Instant) {
        let key = Key { protocol: received.protocol, name: name.to_owned(), tenant: tenant.to_owned() };
        let mut sources = self.0.lock();
        if !sources.contains_key(&key) && sources.len() >= MAX_SOURCES {
            let silent = sources.iter().min_by_key(|(_, state)| state.last).map(|(key, _)| key.clone());
            if let Some(silent) = silent {
                sources.remove(&silent);
            }
        }
        let state = match sources.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(State::new(now)),
        };
        state.add(received, now);
    }

    /// What is known, the busiest first.
    pub(crate) fn status(&self, now: Instant) -> Vec<SourceStatus> {
        let mut sources = self.0.lock();
        let mut listed: Vec<SourceStatus> = sources
            .iter_mut()
            .map(|(key, state)| SourceStatus {
                protocol: key.protocol,
                name: key.name.clone(),
                tenant: key.tenant.clone(),
                per_second: state.per_second(now),
                samples: state.totals.samples + state.totals.histograms,
                spans: state.totals.spans,
                logs: state.totals.logs,
                bytes: state.totals.bytes,
                silent_seconds: now.saturating_duration_since(state.last).as_secs_f64(),
            })
            .collect();
        listed.sort_by(|a, b| b.per_second.total_cmp(&a.per_second).then_with(|| a.name.cmp(&b.name)));
        listed
    }
}

impl State {
    fn new(now: Instant) -> Self {
        let totals = TelemetryReceived::default();
        Self { first: now, last: now, seconds: [0; WINDOW], second: 0, totals }
    }

    fn add(&mut self, received: &TelemetryReceived, now: Instant) {
        self.advance(now);
        let TelemetryReceived { samples, histograms, exemplars, spans, logs, bytes, .. } = *received;
        if let Some(slot) = self.seconds.get_mut(self.second as usize % WINDOW) {
            *slot += samples + histograms + spans + logs;
        }
        self.last = now;
        self.totals.samples += samples;
        self.totals.histograms += histograms;
        self.totals.exemplars += exemplars;
        self.totals.spans += spans;
        self.totals.logs += logs;
        self.totals.bytes += bytes;
    }

    /// Empties the slots of the seconds that went by without a word.
    fn advance(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.first).as_secs();
        let passed = second.saturating_sub(self.second).min(WINDOW as u64);
        for past in 1..=passed {
            if let Some(slot) = self.seconds.get_mut((self.second + past) as usize % WINDOW) {
                *slot = 0;
            }
        }
        self.second = self.second.max(second);
    }

    fn per_second(&mut self, now: Instant) -> f64 {
        self.advance(now);
        let known = now.saturating_duration_since(self.first) + Duration::from_secs(1);
        let span = known.as_secs_f64().min(WINDOW as f64);
        self.seconds.iter().sum::<u64>() as f64 / span
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(count: u64) -> TelemetryReceived {
        TelemetryReceived { protocol: "remote_write", samples: count, bytes: 10, ..Default::default() }
    }

    #[test]
    fn a_rate_is_that_of_the_last_minute() {
        let sources = Sources::default();
        let start = Instant::now();
        for second in 0..120 {
            sources.note("10.0.0.1", "default", &samples(50), start + Duration::from_secs(second));
        }
        let [busy] = &sources.status(start + Duration::from_secs(119))[..] else { panic!("one source") };
        assert_eq!(busy.per_second, 50.0);
        assert_eq!((busy.samples, busy.bytes), (6000, 1200));
        let [silent] = &sources.status(start + Duration::from_secs(400))[..] else { panic!("one source") };
        assert_eq!(silent.per_second, 0.0);
        assert_eq!(silent.silent_seconds, 281.0);
    }

    #[test]
    fn a_crowd_of_sources_replaces_the_silent_ones() {
        let sources = Sources::default();
        let start = Instant::now();
        for number in 0..1000 {
            let now = start + Duration::from_millis(number);
            sources.note(&format!("host-{number}"), "default", &samples(1), now);
        }
        let listed = sources.status(start + Duration::from_secs(1));
        assert_eq!(listed.len(), MAX_SOURCES);
        assert!(listed.iter().any(|source| source.name == "host-999"));
        assert!(!listed.iter().any(|source| source.name == "host-0"));
    }
}
