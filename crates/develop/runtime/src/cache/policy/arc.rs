//! ARC: a list of entries seen once and one of entries seen again, whose shares follow what the ghosts of each would have hit.

use super::ghosts::Ghosts;
use super::list::{Links, List};
use super::{Policy, Slot, entry_of};

pub(super) struct Arc {
    capacity: u64,
    /// What the list of entries seen once aims at.
    target: u64,
    links: Links,
    once: List,
    again: List,
    once_weight: u64,
    again_weight: u64,
    once_ghosts: Ghosts,
    again_ghosts: Ghosts,
    returns: Returns,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    hash: u64,
    weight: u64,
    again: bool,
}

impl Arc {
    pub(super) fn new(capacity: u64) -> Arc {
        Arc {
            capacity,
            target: 0,
            links: Links::default(),
            once: List::default(),
            again: List::default(),
            once_weight: 0,
            again_weight: 0,
            once_ghosts: Ghosts::default(),
            again_ghosts: Ghosts::default(),
            returns: Returns::No,
            entries: Vec::new(),
        }
    }

    fn push_again(&mut self, slot: Slot) {
        let entry = &mut self.entries[slot as usize];
        entry.again = true;
        self.again_weight += entry.weight;
        self.again.push_front(&mut self.links, slot);
    }

    /// The paper's directory: both lists of what was seen once hold the capacity together, all four twice as much.
    fn forget(&mut self) {
        self.once_ghosts.shrink_to(self.capacity.saturating_sub(self.once_weight));
        let residents = self.once_weight + self.again_weight;
        let others = residents + self.once_ghosts.weight();
        self.again_ghosts.shrink_to((2 * self.capacity).saturating_sub(others));
    }
}

/// Whether what is about to come in is remembered, and from which list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Returns {
    No,
    SeenOnce,
    SeenAgain,
}

/// How far a hit among the ghosts of one list, of `own` many, moves the target.
fn step(own: usize, other: usize) -> u64 {
    (other / own.max(1)).max(1) as u64
}

impl Policy for Arc {
    fn hit(&mut self, slot: Slot) {
        let entry = self.entries[slot as usize];
        if entry.again {
            self.again.move_to_front(&mut self.links, slot);
        } else {
            self.once.remove(&mut self.links, slot);
            self.once_weight -= entry.weight;
            self.push_again(slot);
        }
    }

    fn miss(&mut self, hash: u64, _weight: u64) {
        let (once, again) = (self.once_ghosts.len(), self.again_ghosts.len());
        self.returns = if self.once_ghosts.take(hash).is_some() {
            self.target = (self.target + step(once, again)).min(self.capacity);
            Returns::SeenOnce
        } else if self.again_ghosts.take(hash).is_some() {
            self.target = self.target.saturating_sub(step(again, once));
            Returns::SeenAgain
        } else {
            Returns::No
        };
    }

    fn evict(&mut self) -> Slot {
        let at_target = self.once_weight == self.target && self.returns == Returns::SeenAgain;
        let over = self.once_weight > self.target || at_target;
        let take_once = !self.once.is_empty() && (over || self.again.is_empty());
        let (list, ghosts, weight) = if take_once {
            (&mut self.once, &mut self.once_ghosts, &mut self.once_weight)
        } else {
            (&mut self.again, &mut self.again_ghosts, &mut self.again_weight)
        };
        let slot = list.pop_back(&mut self.links).expect("there is a resident");
        let entry = self.entries[slot as usize];
        *weight -= entry.weight;
        ghosts.push(entry.hash, entry.weight, ());
        slot
    }

    fn insert(&mut self, slot: Slot, hash: u64, weight: u64) {
        *entry_of(&mut self.entries, slot) = Entry { hash, weight, again: false };
        if self.returns == Returns::No {
            self.once.push_front(&mut self.links, slot);
            self.once_weight += weight;
        } else {
            self.push_again(slot);
        }
        self.forget();
    }

    fn remove(&mut self, slot: Slot) {
        let entry = self.entries[slot as usize];
        if entry.again {
            self.again.remove(&mut self.links, slot);
            self.again_weight -= entry.weight;
        } else {
            self.once.remove(&mut self.links, slot);
            self.once_weight -= entry.weight;
        }
    }

    fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
        self.target = self.target.min(capacity);
        self.forget();
    }

    fn coldest_first(&self) -> Vec<Slot> {
        self.once.back_to_front(&self.links).chain(self.again.back_to_front(&self.links)).collect()
    }
}
