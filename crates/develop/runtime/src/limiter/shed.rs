//! Whom to turn away at the door, so that those who matter less do not wait in vain.

use super::priority::CLASSES;
use super::sample::Demand;

/// How much more than can be served is let in, so that the queue behind the door does not run dry.
const HEADROOM: f64 = 2.0;
/// How much of the way to what a window says is gone at once.
const FOLLOW: f64 = 0.3;
/// How fast the door opens while the queue behind it turns nobody away, a window.
const OPENING: f64 = 2.0;
/// How much of the mix of priorities is the last window's.
const NEWEST: f64 = 0.2;
/// The door lets in at least this share: a window without a single answer must not close it.
const LEAST: f64 = 0.02;

/// Learns which share of all calls can be served, and closes the door to the least important rest.
///
/// As in DAGOR (Zhou et al., *Overload Control for Scaling WeChat Microservices*, SoCC 2018), calls are let in from the
/// most important class on until the share is used up. The share is not stepped up and down as there: a window in which the queue
/// turned somebody away has measured it, answers over arrivals.
#[derive(Debug)]
pub struct Shedder {
    let_in: f64,
    arrivals: [f64; CLASSES],
}

impl Shedder {
    /// A door that stands open.
    pub fn new() -> Shedder {
        Shedder { let_in: 1.0, arrivals: [0.0; CLASSES] }
    }

    /// The share of each class to let in from now on, by [`Priority::class`](super::Priority::class).
    pub fn update(&mut self, demand: &Demand) -> [f64; CLASSES] {
        for (known, (served, refused)) in
            self.arrivals.iter_mut().zip(demand.served.iter().zip(&demand.refused))
        {
            *known += NEWEST * ((served + refused) as f64 - *known);
        }
        let served: u64 = demand.served.iter().sum();
        let refused: u64 = demand.refused.iter().sum();
        if demand.refused_by_queue == 0 {
            self.let_in = (self.let_in * OPENING).min(1.0);
        } else {
            let measured = (HEADROOM * served as f64 / (served + refused).max(1) as f64).min(1.0);
            self.let_in = (self.let_in + FOLLOW * (measured - self.let_in)).max(LEAST);
        }
        self.shares()
    }

    fn shares(&self) -> [f64; CLASSES] {
        let mut left = self.let_in * self.arrivals.iter().sum::<f64>();
        self.arrivals.map(|arrivals| {
            let share = if arrivals <= left || self.let_in >= 1.0 { 1.0 } else { left / arrivals };
            left = (left - arrivals).max(0.0);
            share
        })
    }
}

impl Default for Shedder {
    fn default() -> Self {
        Shedder::new()
    }
}

/// Lets a share of each class through, evenly and without chance.
#[derive(Debug)]
pub(crate) struct Door {
    shares: [f64; CLASSES],
    credit: [f64; CLASSES],
}

impl Door {
    pub(crate) fn new() -> Door {
        Door { shares: [1.0; CLASSES], credit: [0.0; CLASSES] }
    }

    pub(crate) fn set(&mut self, shares: [f64; CLASSES]) {
        self.shares = shares;
    }

    pub(crate) fn shares(&self) -> [f64; CLASSES] {
        self.shares
    }

    pub(crate) fn is_open(&self) -> bool {
        self.shares.iter().all(|share| *share >= 1.0)
    }

    pub(crate) fn lets_in(&mut self, class: usize) -> bool {
        self.credit[class] += self.shares[class];
        let is_in = self.credit[class] >= 1.0 - 1e-9;
        if is_in {
            self.credit[class] = (self.credit[class] - 1.0).max(0.0);
        }
        is_in
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overload() -> Demand {
        Demand { served: [100, 75, 0, 0], refused: [0, 25, 200, 400], refused_by_queue: 50 }
    }

    #[test]
    fn the_least_important_are_turned_away_first() {
        let mut shedder = Shedder::new();
        let mut shares = [1.0; CLASSES];
        (0..50).for_each(|_| shares = shedder.update(&overload()));
        // 175 of 800 can be served; twice that is let in.
        assert_eq!((shares[0], shares[1], shares[3]), (1.0, 1.0, 0.0));
        assert!((0.7..0.8).contains(&shares[2]), "{shares:?}");
    }

    #[test]
    fn the_door_opens_again_when_the_queue_turns_nobody_away() {
        let mut shedder = Shedder::new();
        let mut shares = [0.0; CLASSES];
        (0..50).for_each(|_| shares = shedder.update(&overload()));
        assert!(shares[3] < 1.0);
        let calm = Demand { served: [50; CLASSES], refused: [0, 0, 0, 10], refused_by_queue: 0 };
        (0..10).for_each(|_| shares = shedder.update(&calm));
        assert_eq!(shares, [1.0; CLASSES]);
    }

    #[test]
    fn a_window_without_answers_leaves_the_door_ajar() {
        let mut shedder = Shedder::new();
        let nothing = Demand { served: [0; CLASSES], refused: [100, 0, 0, 0], refused_by_queue: 100 };
        let mut shares = [0.0; CLASSES];
        (0..100).for_each(|_| shares = shedder.update(&nothing));
        assert!(shares[0] >= LEAST);
    }

    #[test]
    fn a_share_is_let_in_evenly() {
        let mut door = Door::new();
        door.set([1.0, 1.0, 0.25, 0.0]);
        let let_in: Vec<bool> = (0..8).map(|_| door.lets_in(2)).collect();
        assert_eq!(let_in, [false, false, false, true, false, false, false, true]);
        assert!(!door.lets_in(3) && door.lets_in(0));
    }
}
