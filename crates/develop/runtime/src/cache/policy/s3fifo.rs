//! S3-FIFO: a small queue that newcomers pass, a main queue for those that were asked for again, and a queue of ghosts.

use super::ghosts::Ghosts;
use super::list::{Links, List};
use super::{Policy, Slot, entry_of, share_of};

/// The small queue's share of the capacity, as in the paper.
const SMALL: f64 = 0.1;
/// The ghosts' share.
const GHOSTS: f64 = 0.9;
/// How often an entry of the small queue must have been asked for to move to the main queue.
const PROMOTED_FROM: u8 = 2;
/// Counts stop here.
const MOST: u8 = 3;

pub(super) struct S3Fifo {
    small_limit: u64,
    ghost_limit: u64,
    links: Links,
    small: List,
    main: List,
    small_weight: u64,
    ghosts: Ghosts,
    /// Whether what is about to come in was a ghost.
    returns: bool,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    hash: u64,
    weight: u64,
    count: u8,
    in_main: bool,
}

impl S3Fifo {
    pub(super) fn new(capacity: u64) -> S3Fifo {
        S3Fifo {
            small_limit: share_of(capacity, SMALL),
            ghost_limit: share_of(capacity, GHOSTS),
            links: Links::default(),
            small: List::default(),
            main: List::default(),
            small_weight: 0,
            ghosts: Ghosts::default(),
            returns: false,
            entries: Vec::new(),
        }
    }

    fn push_main(&mut self, slot: Slot) {
        self.entries[slot as usize].in_main = true;
        self.main.push_front(&mut self.links, slot);
    }

    /// Evicts from the small queue, or finds that all of it moves to the main queue.
    fn evict_small(&mut self) -> Option<Slot> {
        while let Some(slot) = self.small.pop_back(&mut self.links) {
            let entry = &mut self.entries[slot as usize];
            self.small_weight -= entry.weight;
            if entry.count < PROMOTED_FROM {
                self.ghosts.push(entry.hash, entry.weight, ());
                self.ghosts.shrink_to(self.ghost_limit);
                return Some(slot);
            }
            entry.count = 0;
            self.push_main(slot);
        }
        None
    }

    fn evict_main(&mut self) -> Option<Slot> {
        while let Some(slot) = self.main.pop_back(&mut self.links) {
            let entry = &mut self.entries[slot as usize];
            if entry.count == 0 {
                return Some(slot);
            }
            entry.count -= 1;
            self.main.push_front(&mut self.links, slot);
        }
        None
    }
}

impl Policy for S3Fifo {
    fn hit(&mut self, slot: Slot) {
        let entry = &mut self.entries[slot as usize];
        entry.count = (entry.count + 1).min(MOST);
    }

    fn miss(&mut self, hash: u64, _weight: u64) {
        self.returns = self.ghosts.take(hash).is_some();
    }

    fn evict(&mut self) -> Slot {
        let small_first = self.small_weight >= self.small_limit || self.main.is_empty();
        let evicted = if small_first { self.evict_small() } else { None };
        evicted.or_else(|| self.evict_main()).or_else(|| self.evict_small()).expect("there is a resident")
    }

    fn insert(&mut self, slot: Slot, hash: u64, weight: u64) {
        *entry_of(&mut self.entries, slot) = Entry { hash, weight, count: 0, in_main: false };
        if self.returns {
            self.push_main(slot);
        } else {
            self.small.push_front(&mut self.links, slot);
            self.small_weight += weight;
        }
    }

    fn remove(&mut self, slot: Slot) {
        let entry = self.entries[slot as usize];
        if entry.in_main {
            self.main.remove(&mut self.links, slot);
        } else {
            self.small.remove(&mut self.links, slot);
            self.small_weight -= entry.weight;
        }
    }

    fn resize(&mut self, capacity: u64) {
        self.small_limit = share_of(capacity, SMALL);
        self.ghost_limit = share_of(capacity, GHOSTS);
        self.ghosts.shrink_to(self.ghost_limit);
    }

    fn coldest_first(&self) -> Vec<Slot> {
        self.small.back_to_front(&self.links).chain(self.main.back_to_front(&self.links)).collect()
    }
}
