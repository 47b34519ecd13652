//! What other policies, and other sizes, would have hit: shadows of the cache that see a sample of its keys.
//!
//! A key is sampled or not by its hash, so a shadow sees every access to the keys that it sees at all, and a cache of a share of
//! the size sees what the whole would see (Waldspurger et al., "Cache modeling and optimization using miniature
//! simulations", ATC 2017).

use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use super::choose::{Chooser, Window};
use super::curve::{Curve, MissRatio};
use super::policy::{Learned, PolicyKind};
use super::shadow::Shadow;
use crate::decision::Decision;
use crate::random::mix;

/// Sampled accesses are looked at in batches.
const BATCH: usize = 64;
/// Batches that wait while another thread is at the shadows; what comes on top is not sampled.
const WAITING: usize = 64 * BATCH;
/// A window of lookups is as long as a shadow has entries, and at least this long.
const SHORTEST_WINDOW: u64 = 256;

pub(super) struct Watch {
    kinds: Vec<PolicyKind>,
    /// What an entry weighs, about.
    weight: f64,
    /// About how many entries a shadow is to have.
    sampled: f64,
    /// One key in two to this many is sampled, so that shadows have that many.
    halvings: AtomicU32,
    waiting: Mutex<Vec<(u64, u64)>>,
    state: Mutex<State>,
}

struct State {
    shadows: Vec<Shadow>,
    chooser: Chooser,
    window: Window,
    curve: Curve,
    wanted: Option<Decision<PolicyKind>>,
}

impl Watch {
    /// Watches for a cache of `capacity`, of about `entries` entries, with shadows of about `sampled` entries each. The first of `kinds` is
    /// the present policy.
    pub(super) fn new(kinds: &[PolicyKind], capacity: u64, entries: u64, sampled: u64) -> Watch {
        let (weight, sampled) = (capacity as f64 / entries as f64, sampled as f64);
        let halvings = halvings(entries as f64, sampled);
        Watch {
            kinds: kinds.to_vec(),
            weight,
            sampled,
            halvings: AtomicU32::new(halvings),
            waiting: Mutex::new(Vec::with_capacity(BATCH)),
            state: Mutex::new(State::new(kinds, kinds[0], capacity, entries as f64, halvings)),
        }
    }

    /// Whether accesses to what has `hash` are to be noted.
    pub(super) fn samples(&self, hash: u64) -> bool {
        // Another bit pattern than the one that tables and shards are laid out by.
        mix(hash) <= u64::MAX >> self.halvings.load(Ordering::Relaxed)
    }

    /// An access, to be looked at soon. Whether that was now, so that it is time to see what is wanted.
    pub(super) fn note(&self, hash: u64, weight: u64) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.len() < WAITING {
            waiting.push((hash, weight));
        }
        if waiting.len() < BATCH {
            return false;
        }
        // Whoever is at the shadows already leaves the queue to us, and we to them.
        let Some(mut state) = self.state.try_lock() else { return false };
        let batch = std::mem::replace(&mut *waiting, Vec::with_capacity(BATCH));
        drop(waiting);
        batch.into_iter().for_each(|(hash, weight)| state.access(hash, weight));
        true
    }

    /// The change that is wanted, if one is.
    pub(super) fn take_wanted(&self) -> Option<Decision<PolicyKind>> {
        self.state.lock().wanted.take()
    }

    /// The cache goes on under `kind`.
    pub(super) fn changed_to(&self, kind: PolicyKind) {
        let mut state = self.state.lock();
        state.wanted = None;
        state.chooser.changed_to(kind);
        state.curve.changed_to(kind);
    }

    /// What the shadow of `kind` has learned, for one of as many shards as two to the power of `shard_halvings`.
    pub(super) fn learned(&self, kind: PolicyKind, shard_halvings: u32) -> Option<Learned> {
        let shadow = self.kinds.iter().position(|known| *known == kind)?;
        let learned = self.state.lock().shadows[shadow].learned()?;
        Some(learned.slower(self.halvings.load(Ordering::Relaxed).checked_sub(shard_halvings)?))
    }

    /// The cache, under `kind`, has another capacity: all is measured anew for that.
    pub(super) fn resized(&self, kind: PolicyKind, capacity: u64) {
        let entries = (capacity as f64 / self.weight).max(1.0);
        let halvings = halvings(entries, self.sampled);
        let mut state = self.state.lock();
        self.halvings.store(halvings, Ordering::Relaxed);
        *state = State::new(&self.kinds, kind, capacity, entries, halvings);
    }

    /// The miss ratios that other sizes would have.
    pub(super) fn curve(&self) -> Vec<MissRatio> {
        self.state.lock().curve.points()
    }
}

/// How often the keys are halved until shadows of `entries` have about `sampled`.
fn halvings(entries: f64, sampled: f64) -> u32 {
    (entries / sampled).log2().round().max(0.0) as u32
}

impl State {
    /// Nothing is known yet of a cache that runs `present`.
    fn new(kinds: &[PolicyKind], present: PolicyKind, capacity: u64, entries: f64, halvings: u32) -> State {
        let rate = 0.5_f64.powi(halvings as i32);
        let shadow_capacity = ((capacity as f64 * rate).round() as u64).max(1);
        let mut chooser = Chooser::new(kinds.to_vec());
        chooser.changed_to(present);
        State {
            shadows: kinds.iter().map(|kind| Shadow::new(*kind, shadow_capacity)).collect(),
            chooser,
            window: Window {
                lookups: 0,
                hits: vec![0; kinds.len()],
                entries: ((entries * rate).round() as u64).max(1),
            },
            curve: Curve::new(present, capacity, rate),
            wanted: None,
        }
    }

    fn access(&mut self, hash: u64, weight: u64) {
        self.window.lookups += 1;
        for (shadow, hits) in self.shadows.iter_mut().zip(&mut self.window.hits) {
            *hits += u64::from(shadow.access(hash, weight));
        }
        self.curve.access(hash, weight);
        if self.window.lookups >= self.window.entries.max(SHORTEST_WINDOW) {
            self.wanted = self.chooser.update(&self.window);
            self.window.lookups = 0;
            self.window.hits.fill(0);
        }
    }
}
