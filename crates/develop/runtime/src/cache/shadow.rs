//! A cache of hashes alone: what a policy would have hit.

use super::hash::HashMap;
use super::policy::{Learned, Policy, PolicyKind, Slot};

/// A simulated cache under one policy. It holds hashes and weights, no keys and no values: 50 to 200 bytes an entry.
pub struct Shadow {
    policy: Box<dyn Policy>,
    capacity: u64,
    weight: u64,
    slots: HashMap<Slot>,
    held: Vec<(u64, u64)>,
    free: Vec<Slot>,
}

impl Shadow {
    /// An empty cache for entries that weigh `capacity` at most; a capacity of zero is taken as one.
    pub fn new(kind: PolicyKind, capacity: u64) -> Shadow {
        let capacity = capacity.max(1);
        Shadow {
            policy: kind.start(capacity),
            capacity,
            weight: 0,
            slots: HashMap::default(),
            held: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Asks for what has `hash`, and takes it in if it is not there; whether it was. What weighs more than the capacity is never
    /// taken in; a weight of zero counts as one.
    pub fn access(&mut self, hash: u64, weight: u64) -> bool {
        let weight = weight.max(1);
        if let Some(slot) = self.slots.get(&hash) {
            self.policy.hit(*slot);
            return true;
        }
        if weight <= self.capacity {
            self.policy.miss(hash, weight);
            self.make_room(weight);
            self.insert(hash, weight);
        }
        false
    }

    pub(super) fn learned(&self) -> Option<Learned> {
        self.policy.learned()
    }

    /// What it holds weighs this much.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    fn make_room(&mut self, weight: u64) {
        while self.weight + weight > self.capacity {
            let slot = self.policy.evict();
            let (hash, weight) = self.held[slot as usize];
            self.slots.remove(&hash);
            self.weight -= weight;
            self.free.push(slot);
        }
    }

    fn insert(&mut self, hash: u64, weight: u64) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.held[slot as usize] = (hash, weight);
                slot
            }
            None => {
                self.held.push((hash, weight));
                (self.held.len() - 1) as Slot
            }
        };
        self.slots.insert(hash, slot);
        self.weight += weight;
        self.policy.insert(slot, hash, weight);
    }
}
