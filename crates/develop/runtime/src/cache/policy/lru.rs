//! Least recently used.

use super::list::{Links, List};
use super::{Policy, Slot};

#[derive(Default)]
pub(super) struct Lru {
    links: Links,
    order: List,
}

impl Policy for Lru {
    fn hit(&mut self, slot: Slot) {
        self.order.move_to_front(&mut self.links, slot);
    }

    fn miss(&mut self, _hash: u64, _weight: u64) {}

    fn evict(&mut self) -> Slot {
        self.order.pop_back(&mut self.links).expect("there is a resident")
    }

    fn insert(&mut self, slot: Slot, _hash: u64, _weight: u64) {
        self.order.push_front(&mut self.links, slot);
    }

    fn remove(&mut self, slot: Slot) {
        self.order.remove(&mut self.links, slot);
    }

    fn resize(&mut self, _capacity: u64) {}

    fn coldest_first(&self) -> Vec<Slot> {
        self.order.back_to_front(&self.links).collect()
    }
}
