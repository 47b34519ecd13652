//! What was experienced, sampled by priority (Schaul et al., 2016, proportional variant).

use rand::Rng;

use crate::random::Random;

/// One step or several, folded into one: `reward` is the discounted sum along the way, `discount` what the value of `next` counts
/// for; 0 where the episode ended there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Experience {
    pub(super) observation: Vec<f32>,
    pub(super) action: usize,
    pub(super) reward: f32,
    /// The discounted sum of how new each step along the way was.
    pub(super) novelty: f32,
    pub(super) discount: f32,
    pub(super) next: Vec<f32>,
}

/// The latest experiences, up to a capacity.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    width: usize,
    observations: Vec<f32>,
    nexts: Vec<f32>,
    actions: Vec<usize>,
    rewards: Vec<f32>,
    novelties: Vec<f32>,
    discounts: Vec<f32>,
    priorities: SumTree,
    /// Where the next one goes, once all places are taken.
    oldest: usize,
    /// What a new one gets, so that each is seen soon.
    greatest: f64,
}

/// Which experiences a batch has, and how much each counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    pub(super) places: Vec<usize>,
    /// At most 1 each.
    pub(super) weights: Vec<f32>,
}

impl Replay {
    /// Observations have `width` numbers.
    pub(super) fn new(width: usize, capacity: usize) -> Replay {
        Replay {
            width,
            observations: Vec::new(),
            nexts: Vec::new(),
            actions: Vec::new(),
            rewards: Vec::new(),
            novelties: Vec::new(),
            discounts: Vec::new(),
            priorities: SumTree::new(capacity),
            oldest: 0,
            greatest: 1.0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.actions.len()
    }

    pub(super) fn push(&mut self, experience: &Experience) {
        let place = if self.len() < self.priorities.capacity {
            self.observations.extend_from_slice(&experience.observation);
            self.nexts.extend_from_slice(&experience.next);
            self.actions.push(experience.action);
            self.rewards.push(experience.reward);
            self.novelties.push(experience.novelty);
            self.discounts.push(experience.discount);
            self.len() - 1
        } else {
            let place = self.oldest;
            self.oldest = (place + 1) % self.priorities.capacity;
            let numbers = place * self.width..(place + 1) * self.width;
            self.observations[numbers.clone()].copy_from_slice(&experience.observation);
            self.nexts[numbers].copy_from_slice(&experience.next);
            self.actions[place] = experience.action;
            self.rewards[place] = experience.reward;
            self.novelties[place] = experience.novelty;
            self.discounts[place] = experience.discount;
            place
        };
        self.priorities.set(place, self.greatest);
    }

    pub(super) fn observation(&self, place: usize) -> &[f32] {
        &self.observations[place * self.width..(place + 1) * self.width]
    }

    pub(super) fn next(&self, place: usize) -> &[f32] {
        &self.nexts[place * self.width..(place + 1) * self.width]
    }

    pub(super) fn action(&self, place: usize) -> usize {
        self.actions[place]
    }

    /// Reward, novelty, and discount of what follows.
    pub(super) fn outcome(&self, place: usize) -> (f32, f32, f32) {
        (self.rewards[place], self.novelties[place], self.discounts[place])
    }

    /// Draws `count` places, one from each of as many equal shares of all priority. `correction`, from 0 to 1, says how far the weights
    /// make up for the bias of that.
    pub(super) fn sample(&self, count: usize, correction: f64, random: &mut Random, sample: &mut Sample) {
        let total = self.priorities.total();
        let share = total / count as f64;
        sample.places.clear();
        for stratum in 0..count {
            let mark = (stratum as f64 + random.random::<f64>()) * share;
            sample.places.push(self.priorities.find(mark).min(self.len() - 1));
        }
        let least =
            sample.places.iter().map(|place| self.priorities.get(*place)).fold(f64::INFINITY, f64::min);
        let weight = |place: &usize| libm::pow(least / self.priorities.get(*place), correction) as f32;
        sample.weights.clear();
        sample.weights.extend(sample.places.iter().map(weight));
    }

    /// Sets the priority of the experience at `place`; above 0.
    pub(super) fn prioritise(&mut self, place: usize, priority: f64) {
        self.greatest = self.greatest.max(priority);
        self.priorities.set(place, priority);
    }
}

/// Numbers with their sums in a binary tree: setting one and finding by running sum take logarithmic time.
#[derive(Clone, Debug)]
struct SumTree {
    capacity: usize,
    /// A power of two, not below the capacity.
    leaves: usize,
    /// The root at 1, the children of `i` at `2i` and `2i + 1`.
    nodes: Vec<f64>,
}

impl SumTree {
    fn new(capacity: usize) -> SumTree {
        let leaves = capacity.next_power_of_two();
        SumTree { capacity, leaves, nodes: vec![0.0; 2 * leaves] }
    }

    fn get(&self, place: usize) -> f64 {
        self.nodes[self.leaves + place]
    }

    fn total(&self) -> f64 {
        self.nodes[1]
    }

    /// Sums are made anew, not adjusted, so that rounding does not pile up.
    fn set(&mut self, place: usize, number: f64) {
        let mut node = self.leaves + place;
        self.nodes[node] = number;
        while node > 1 {
            node /= 2;
            self.nodes[node] = self.nodes[2 * node] + self.nodes[2 * node + 1];
        }
    }

    /// The first place whose running sum is above `mark`.
    fn find(&self, mut mark: f64) -> usize {
        let mut node = 1;
        while node < self.leaves {
            node *= 2;
            // Rounding may carry a mark past the last number: it stays with what has priority at all.
            if mark >= self.nodes[node] && self.nodes[node + 1] > 0.0 {
                mark -= self.nodes[node];
                node += 1;
            }
        }
        node - self.leaves
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::seeded;

    fn experience(mark: f32) -> Experience {
        Experience {
            observation: vec![mark],
            action: 0,
            reward: mark,
            novelty: 0.0,
            discount: 0.0,
            next: vec![mark],
        }
    }

    proptest! {
        #[test]
        fn a_sum_tree_finds_what_a_running_sum_finds(
            numbers in prop::collection::vec(0.01..10.0_f64, 1..40),
            share in 0.0..1.0_f64,
        ) {
            let mut tree = SumTree::new(numbers.len());
            numbers.iter().enumerate().for_each(|(place, number)| tree.set(place, *number));
            let total: f64 = numbers.iter().sum();
            prop_assert!((tree.total() - total).abs() < 1e-9);
            let found = tree.find(share * total);
            let before: f64 = numbers[..found].iter().sum();
            prop_assert!(before <= share * total + 1e-9 && share * total <= before + numbers[found] + 1e-9);
        }
    }

    #[test]
    fn what_has_thrice_the_priority_is_drawn_thrice_as_often_and_counts_a_third() {
        let mut replay = Replay::new(1, 4);
        (0..2).for_each(|mark| replay.push(&experience(mark as f32)));
        replay.prioritise(0, 1.0);
        replay.prioritise(1, 3.0);
        let (mut random, mut sample) = (seeded(3, 0), Sample::default());
        replay.sample(4000, 1.0, &mut random, &mut sample);
        let often = sample.places.iter().filter(|place| **place == 1).count();
        assert!(often.abs_diff(3000) <= 1, "{often} of 4000");
        let at = sample.places.iter().position(|place| *place == 1).expect("drawn");
        assert!((sample.weights[at] - 1.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut replay = Replay::new(1, 3);
        (0..5).for_each(|mark| replay.push(&experience(mark as f32)));
        let mut kept: Vec<f32> = (0..replay.len()).map(|place| replay.outcome(place).0).collect();
        kept.sort_by(f32::total_cmp);
        assert_eq!(kept, [2.0, 3.0, 4.0]);
    }
}
