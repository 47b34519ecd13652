//! Entries that left, by their hash, the oldest forgotten first.

use super::list::{Links, List};
use crate::cache::hash::HashMap;

/// Hashes of entries that left, with the weights that they had and what else is to be remembered of them.
pub(super) struct Ghosts<T = ()> {
    links: Links,
    order: List,
    by_hash: HashMap<u32>,
    nodes: Vec<Option<Ghost<T>>>,
    free: Vec<u32>,
    weight: u64,
}

/// An entry that left.
#[derive(Clone, Copy)]
pub(super) struct Ghost<T> {
    hash: u64,
    weight: u64,
    pub(super) memory: T,
}

impl<T> Default for Ghosts<T> {
    fn default() -> Self {
        Ghosts {
            links: Links::default(),
            order: List::default(),
            by_hash: HashMap::default(),
            nodes: Vec::new(),
            free: Vec::new(),
            weight: 0,
        }
    }
}

impl<T: Copy> Ghosts<T> {
    pub(super) fn weight(&self) -> u64 {
        self.weight
    }

    pub(super) fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Remembers `hash`, which is not remembered yet, as the newest.
    pub(super) fn push(&mut self, hash: u64, weight: u64, memory: T) {
        let ghost = Some(Ghost { hash, weight, memory });
        let node = match self.free.pop() {
            Some(node) => {
                self.nodes[node as usize] = ghost;
                node
            }
            None => {
                self.nodes.push(ghost);
                (self.nodes.len() - 1) as u32
            }
        };
        self.order.push_front(&mut self.links, node);
        self.by_hash.insert(hash, node);
        self.weight += weight;
    }

    /// Forgets `hash`; what was remembered of it.
    pub(super) fn take(&mut self, hash: u64) -> Option<T> {
        let node = self.by_hash.remove(&hash)?;
        let ghost = self.nodes[node as usize].take()?;
        self.order.remove(&mut self.links, node);
        self.weight -= ghost.weight;
        self.free.push(node);
        Some(ghost.memory)
    }

    /// Forgets the oldest, if all weigh more than `limit`.
    pub(super) fn pop_beyond(&mut self, limit: u64) -> Option<T> {
        if self.weight <= limit {
            return None;
        }
        let oldest = self.nodes[self.order.back()? as usize].as_ref()?.hash;
        self.take(oldest)
    }

    /// Forgets the oldest until the rest weighs `limit` at most.
    pub(super) fn shrink_to(&mut self, limit: u64) {
        while self.pop_beyond(limit).is_some() {}
    }

    /// How many places there are for ghosts, and who is at one.
    pub(super) fn places(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn at(&self, place: usize) -> Option<&T> {
        self.nodes[place].as_ref().map(|ghost| &ghost.memory)
    }
}
