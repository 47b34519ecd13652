//! Which policy to change to, from what each would have hit.

use super::PolicyKind;
use crate::decision::{Decision, Effect, Reason};

/// After this many windows, a window weighs a third.
const FADING: f64 = 40.0;
/// The fewest windows that say anything.
const FEWEST_WINDOWS: f64 = 3.0;
/// A gain counts that is so many standard errors above zero.
const STANDARD_ERRORS: f64 = 2.0;
/// What a change costs, in misses for each entry of the cache: the new policy starts without what it would remember.
const COST_OF_CHANGE: f64 = 0.1;

/// What the shadows saw in one window of lookups.
#[derive(Clone, Debug)]
pub struct Window {
    /// How many lookups.
    pub lookups: u64,
    /// How many of them each policy hit, in the order in which the chooser was given them.
    pub hits: Vec<u64>,
    /// How many entries a shadow holds.
    pub entries: u64,
}

/// A controller that changes to the policy that hits more, once that is beyond doubt and worth the change.
///
/// Hit ratios are compared pair by pair over windows of the same lookups, so what the load does to all of them cancels. A
/// policy is changed to when its mean gain over the present one is two standard errors above zero, and when it would have saved,
/// over the windows that still count, more misses than the change costs (a tenth of the cache's entries). So two policies that
/// are equal are seldom flipped between, and a loop of which each hits another part does not confuse it.
#[derive(Debug)]
pub struct Chooser {
    kinds: Vec<PolicyKind>,
    current: usize,
    windows: f64,
    lookups: f64,
    /// Sums over windows: of hit ratios, and for each of the squared distance to the present policy's.
    ratios: Vec<f64>,
    squares: Vec<Vec<f64>>,
}

impl Chooser {
    /// Chooses among `kinds`; the first is the present one. Nothing is ever chosen from less than two.
    pub fn new(kinds: Vec<PolicyKind>) -> Chooser {
        let count = kinds.len();
        Chooser {
            kinds,
            current: 0,
            windows: 0.0,
            lookups: 0.0,
            ratios: vec![0.0; count],
            squares: vec![vec![0.0; count]; count],
        }
    }

    /// The present policy is another now, whoever changed it.
    pub fn changed_to(&mut self, kind: PolicyKind) {
        if let Some(current) = self.kinds.iter().position(|known| *known == kind) {
            self.current = current;
        }
    }

    /// Adds a window; the policy to change to, if one is better. An empty window says nothing.
    pub fn update(&mut self, window: &Window) -> Option<Decision<PolicyKind>> {
        if window.lookups == 0 || window.hits.len() != self.kinds.len() {
            return None;
        }
        self.add(window);
        let best = (0..self.kinds.len()).max_by(|a, b| self.ratios[*a].total_cmp(&self.ratios[*b]))?;
        let gain = self.gain(best);
        let error = self.standard_error(best, gain);
        let saved = gain * self.lookups;
        let is_better = self.windows >= FEWEST_WINDOWS && gain > STANDARD_ERRORS * error;
        if !is_better || saved < COST_OF_CHANGE * window.entries as f64 {
            return None;
        }
        Some(self.decision(best, gain, error))
    }

    fn add(&mut self, window: &Window) {
        let fades = (-1.0 / FADING).exp();
        let ratio = |hits: u64| hits as f64 / window.lookups as f64;
        self.windows = self.windows * fades + 1.0;
        self.lookups = self.lookups * fades + window.lookups as f64;
        for (kind, hits) in window.hits.iter().enumerate() {
            self.ratios[kind] = self.ratios[kind] * fades + ratio(*hits);
            for (other, other_hits) in window.hits.iter().enumerate() {
                let distance = ratio(*hits) - ratio(*other_hits);
                let square = &mut self.squares[kind][other];
                *square = *square * fades + distance * distance;
            }
        }
    }

    /// The mean gain in the hit ratio over the present policy.
    fn gain(&self, kind: usize) -> f64 {
        (self.ratios[kind] - self.ratios[self.current]) / self.windows
    }

    fn standard_error(&self, kind: usize, gain: f64) -> f64 {
        let variance = self.squares[kind][self.current] / self.windows - gain * gain;
        (variance.max(0.0) / self.windows).sqrt()
    }

    fn decision(&self, best: usize, gain: f64, error: f64) -> Decision<PolicyKind> {
        let (present, better) = (self.kinds[self.current], self.kinds[best]);
        let misses = |kind: usize| 1.0 - self.ratios[kind] / self.windows;
        let why = format!("{better} would have hit more than {present} of the lookups that were sampled");
        let expected =
            Effect { measure: "cache_miss_ratio", before: misses(self.current), after: misses(best) };
        let evidence =
            vec![("gain_in_hit_ratio", gain), ("standard_error", error), ("sampled_lookups", self.lookups)];
        Decision { value: better, reason: Reason { why, evidence, expected: Some(expected) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chooser() -> Chooser {
        Chooser::new(vec![PolicyKind::S3Fifo, PolicyKind::Lru])
    }

    fn window(hits: [u64; 2]) -> Window {
        Window { lookups: 1000, hits: hits.to_vec(), entries: 1000 }
    }

    #[test]
    fn a_policy_that_hits_more_is_changed_to_and_the_reason_has_the_numbers() {
        let mut chooser = chooser();
        let decision = (0..50).find_map(|n| chooser.update(&window([500 + n % 3, 550 + n % 5])));
        let decision = decision.expect("5 points are a gain");
        assert_eq!(decision.value, PolicyKind::Lru);
        let expected = decision.reason.expected.expect("a chooser expects something");
        assert!((expected.before - expected.after - 0.05).abs() < 0.01, "{expected:?}");
    }

    #[test]
    fn policies_that_are_equal_but_for_noise_are_seldom_flipped_between() {
        let mut chooser = chooser();
        let noise = |n: u64| crate::random::mix(n) % 40;
        let mut changes = 0;
        for n in 0..2000 {
            if let Some(decision) = chooser.update(&window([500 + noise(n), 500 + noise(n + 9999)])) {
                chooser.changed_to(decision.value);
                changes += 1;
            }
        }
        assert!(changes <= 20, "{changes} changes in 2,000 windows");
    }

    #[test]
    fn a_gain_that_does_not_pay_for_the_change_is_let_be() {
        let mut chooser = chooser();
        let changed = (0..1000).any(|_| chooser.update(&window([500, 502])).is_some());
        assert!(!changed);
    }

    #[test]
    fn after_the_change_the_old_policy_must_be_better_to_come_back() {
        let mut chooser = chooser();
        assert!((0..50).any(|_| chooser.update(&window([500, 600])).is_some()));
        chooser.changed_to(PolicyKind::Lru);
        assert!((0..50).all(|_| chooser.update(&window([500, 600])).is_none()));
        assert!((0..50).any(|_| chooser.update(&window([700, 600])).is_some()));
    }

    #[test]
    fn an_empty_window_says_nothing() {
        assert!(chooser().update(&Window { lookups: 0, hits: vec![0, 0], entries: 1000 }).is_none());
    }
}
