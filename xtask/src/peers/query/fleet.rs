//! The series that queries are asked about: one counter and one gauge for each endpoint of each pod of a fleet.
//!
//! All are scraped at the same moments, 15 s apart. A pod restarts now and then, and its counters begin at 0 again. The same
//! seed everywhere: two fleets of one shape differ only in when they end.

use crate::peers::load::{STEP_MS, mix};
use crate::peers::remote_write::{self, Label, Sample, TimeSeries, WriteRequest};

/// Bytes that were sent in answer to requests, a counter of whole numbers.
pub(super) const COUNTER: &str = "http_response_bytes_total";
/// Bytes that wait to be sent, a gauge of whole numbers.
pub(super) const GAUGE: &str = "http_response_queue_bytes";

/// `service` is `service-00` to `service-19`.
pub(super) const SERVICES: usize = 20;
const JOBS: [&str; 4] = ["edge", "shop", "payments", "internal"];
const HANDLERS: [&str; 5] =
    ["/api/v1/orders", "/api/v1/orders/{id}", "/api/v1/customers/{id}", "/api/v1/search", "/healthz"];
const CODES: [&str; 2] = ["200", "500"];
const SERIES_OF_A_POD: usize = HANDLERS.len() * CODES.len();

/// A pod restarts once in so many scrapes, 8 h 20 min of them.
const SCRAPES_BETWEEN_RESTARTS: u64 = 2_000;
/// The most that a counter grows between two scrapes.
const MOST_BYTES: u64 = 900_000;
/// The most that a gauge changes between two scrapes, up or down.
const MOST_CHANGE: u64 = 4_096;

const SERIES_OF_A_BODY: usize = 500;
const SCRAPES_OF_A_BODY: usize = 20;

pub(super) struct Fleet {
    members: Vec<Member>,
    /// When the next scrape is.
    next_ms: i64,
    scrapes: u64,
}

struct Member {
    index: usize,
    counts: bool,
    labels: Vec<Label>,
    value: f64,
}

impl Fleet {
    /// `series` counters and as many gauges, whose first `scrapes` scrapes end at `end_ms`.
    pub(super) fn new(series: usize, scrapes: usize, end_ms: i64) -> Self {
        let of = |counts: bool| {
            (0..series).map(move |index| Member { index, counts, labels: labels(index, counts), value: 0.0 })
        };
        let next_ms = end_ms - STEP_MS * (scrapes as i64 - 1);
        Self { members: of(true).chain(of(false)).collect(), next_ms, scrapes: 0 }
    }

    /// Hands the bodies of the next `scrapes` scrapes to `send`, in the order of time.
    ///
    /// # Errors
    /// What `send` gives.
    pub(super) fn scrape(
        &mut self,
        scrapes: usize,
        mut send: impl FnMut(Vec<u8>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut left = scrapes;
        while left > 0 {
            let now = left.min(SCRAPES_OF_A_BODY);
            for members in self.members.chunks_mut(SERIES_OF_A_BODY) {
                let timeseries = members
                    .iter_mut()
                    .map(|member| TimeSeries {
                        samples: (0..now)
                            .map(|step| member.sample(self.next_ms, self.scrapes, step))
                            .collect(),
                        labels: member.labels.clone(),
                    })
                    .collect();
                send(remote_write::encode(&WriteRequest { timeseries })?)?;
            }
            self.next_ms += STEP_MS * now as i64;
            self.scrapes += now as u64;
            left -= now;
        }
        Ok(())
    }

    /// Chooses one counter.
    pub(super) fn one_counter(&self) -> String {
        let middle = &self.members[self.members.len() / 4];
        let matchers =
            middle.labels.iter().filter(|label| ["code", "handler", "pod"].contains(&&*label.name));
        let matchers: Vec<_> = matchers.map(|label| format!("{}=\"{}\"", label.name, label.value)).collect();
        format!("{COUNTER}{{{}}}", matchers.join(","))
    }
}

impl Member {
    fn sample(&mut self, first_ms: i64, first: u64, step: usize) -> Sample {
        self.value = if self.counts {
            let scrape = first + step as u64;
            let chance = mix(pod_of(self.index) as u64, 11 + scrape);
            let restarts = chance.is_multiple_of(SCRAPES_BETWEEN_RESTARTS);
            let grown = mix(self.index as u64, 12 + scrape) % (MOST_BYTES + 1);
            if restarts { 0.0 } else { self.value + grown as f64 }
        } else {
            let random = mix(!(self.index as u64), first + step as u64) % (2 * MOST_CHANGE + 1);
            (self.value + random as f64 - MOST_CHANGE as f64).max(0.0)
        };
        Sample { value: self.value, timestamp: first_ms + STEP_MS * step as i64 }
    }
}

fn pod_of(index: usize) -> usize {
    index / SERIES_OF_A_POD
}

fn labels(index: usize, counts: bool) -> Vec<Label> {
    let (pod, within) = (pod_of(index), index % SERIES_OF_A_POD);
    let service = pod % SERVICES;
    let pairs = [
        ("__name__", if counts { COUNTER } else { GAUGE }.to_owned()),
        ("code", CODES[within % CODES.len()].to_owned()),
        ("handler", HANDLERS[within / CODES.len()].to_owned()),
        ("instance", format!("10.0.{}.{}:8080", pod / 250, pod % 250)),
        ("job", JOBS[service % JOBS.len()].to_owned()),
        ("pod", format!("service-{service:02}-{:05x}", mix(pod as u64, 13) & 0xf_ffff)),
        ("service", format!("service-{service:02}")),
    ];
    pairs.into_iter().map(|(name, value)| Label { name: name.to_owned(), value }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use prost::Message;

    use super::*;

    const END: i64 = 1_800_000_000_000;

    /// Samples by the text of their labels.
    fn sent(series: usize, scrapes: usize) -> BTreeMap<String, Vec<Sample>> {
        let mut sent: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
        let keep = |body: Vec<u8>| {
            let plain = snap::raw::Decoder::new().decompress_vec(&body).expect("block");
            for series in WriteRequest::decode(plain.as_slice()).expect("request").timeseries {
                let identity = series.labels.iter().map(|label| format!("{}={};", label.name, label.value));
                sent.entry(identity.collect()).or_default().extend(series.samples);
            }
            Ok(())
        };
        Fleet::new(series, scrapes, END).scrape(scrapes, keep).expect("sent");
        sent
    }

    #[test]
    fn every_counter_and_gauge_has_its_samples_in_order_until_the_end() {
        let sent = sent(130, 43);
        assert_eq!(sent.len(), 2 * 130, "label sets are distinct");
        for samples in sent.values() {
            assert_eq!(samples.len(), 43);
            assert!(samples.windows(2).all(|pair| pair[1].timestamp - pair[0].timestamp == STEP_MS));
            assert_eq!(samples[42].timestamp, END);
        }
    }

    #[test]
    fn counters_grow_but_for_restarts_and_gauges_are_never_negative() {
        let sent = sent(20, 5_000);
        let mut resets = BTreeSet::new();
        for (identity, samples) in &sent {
            assert!(samples.iter().all(|sample| sample.value >= 0.0 && sample.value.fract() == 0.0));
            let falls = samples.windows(2).filter(|pair| pair[1].value < pair[0].value);
            if identity.contains(COUNTER) {
                assert!(falls.clone().all(|pair| pair[1].value == 0.0));
                resets.extend(falls.map(|pair| pair[1].timestamp));
            } else {
                assert!(falls.count() > 1_000);
            }
        }
        assert!((1..20).contains(&resets.len()), "two pods restart a few times: {resets:?}");
    }

    #[test]
    fn one_counter_is_chosen_by_what_no_other_has() {
        let fleet = Fleet::new(400, 1, END);
        let (chosen, identities) = (fleet.one_counter(), sent(400, 1));
        let matchers: Vec<_> = chosen.split(['{', '}', ',']).filter(|part| part.contains('=')).collect();
        assert_eq!(matchers.len(), 3, "{chosen}");
        let has = |identity: &str| {
            matchers.iter().all(|matcher| identity.contains(&format!("{};", matcher.replace('"', ""))))
        };
        assert_eq!(
            identities.keys().filter(|identity| identity.contains(COUNTER) && has(identity)).count(),
            1
        );
    }
}
