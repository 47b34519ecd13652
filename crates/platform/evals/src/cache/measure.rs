//! One trace at one size, under every policy.

use std::thread;

use anyhow::Context;
use foldhash::fast::FixedState;
use kandela_runtime::cache::{Cache, PolicyKind, Shadow};

use super::belady;

/// Hashes are seeded alike in every run, so that a run can be repeated.
const SEED: u64 = 2003;
/// Kandela's own policy: no peer from the literature.
pub(super) const OWN: PolicyKind = PolicyKind::Gittins;

/// Miss ratios over one trace at one size, from 0 to 1.
pub(super) struct Row {
    pub(super) trace: String,
    pub(super) accesses: usize,
    pub(super) keys: usize,
    pub(super) capacity: usize,
    pub(super) adaptive: f64,
    /// Which policy it ended with, and how often it changed.
    pub(super) ended_with: PolicyKind,
    pub(super) changes: usize,
    pub(super) fixed: Vec<(PolicyKind, f64)>,
    pub(super) belady: f64,
}

impl Row {
    /// The best of the fixed policies, Kandela's own among them or not.
    pub(super) fn best(&self, with_own: bool) -> (PolicyKind, f64) {
        let peers = self.fixed.iter().filter(|(kind, _)| with_own || *kind != OWN);
        peers.copied().min_by(|a, b| a.1.total_cmp(&b.1)).expect("there are peers")
    }

    pub(super) fn regret(&self) -> f64 {
        self.adaptive - self.best(false).1
    }

    pub(super) fn regret_with_own(&self) -> f64 {
        self.adaptive - self.best(true).1
    }

    /// The regret of one fixed policy.
    pub(super) fn regret_of(&self, kind: PolicyKind) -> f64 {
        let fixed = self.fixed.iter().find(|(known, _)| *known == kind);
        fixed.map_or(f64::NAN, |(_, ratio)| ratio - self.best(false).1)
    }
}

/// Replays `keys` in a cache of `capacity` entries, and in simulated ones.
pub(super) fn row(trace: &str, keys: &[u32], distinct: usize, capacity: usize) -> anyhow::Result<Row> {
    let ratio = |misses: usize| misses as f64 / keys.len() as f64;
    thread::scope(|scope| {
        let adaptive = scope.spawn(|| replay_adaptive(keys, capacity));
        let fixed = PolicyKind::ALL.map(|kind| (kind, ratio(replay_fixed(kind, keys, capacity))));
        let belady = ratio(belady::misses(keys, capacity));
        let (misses, cache) = adaptive.join().expect("a replay does not panic")?;
        Ok(Row {
            trace: trace.to_owned(),
            accesses: keys.len(),
            keys: distinct,
            capacity,
            adaptive: ratio(misses),
            ended_with: cache.policy(),
            changes: cache.steward().map_or(0, |steward| steward.log().entries().len()),
            fixed: fixed.to_vec(),
            belady,
        })
    })
}

type Keys = Cache<u32, (), FixedState>;

fn replay_adaptive(keys: &[u32], capacity: usize) -> anyhow::Result<(usize, Keys)> {
    let builder = Cache::builder("evals", capacity).hasher(FixedState::with_seed(SEED));
    let cache: Keys = builder.build().context("cannot build a cache of that size")?;
    let mut misses = 0;
    for key in keys {
        if cache.get(key).is_none() {
            misses += 1;
            cache.insert(*key, ());
        }
    }
    Ok((misses, cache))
}

fn replay_fixed(kind: PolicyKind, keys: &[u32], capacity: usize) -> usize {
    use std::hash::BuildHasher;
    let hasher = FixedState::with_seed(SEED);
    let mut cache = Shadow::new(kind, capacity as u64);
    keys.iter().filter(|key| !cache.access(hasher.hash_one(key), 1)).count()
}
