//! LIRS: what was asked for twice within a short distance stays (LIR); all else passes a small queue (HIR).
//!
//! The stack orders entries, and ghosts of those that passed, by when they were last asked for; its bottom is always an entry that
//! stays. The queue holds the others that are resident. How many ghosts are remembered is bounded, as the paper suggests.

use super::list::{Links, List};
use super::{Policy, Slot, share_of};
use crate::cache::hash::HashMap;

/// The passing entries' share of the capacity, as in the paper.
const PASSING: f64 = 0.01;
/// Ghosts weigh this many capacities at most.
const GHOSTS: u64 = 2;

pub(super) struct Lirs {
    capacity: u64,
    /// What the entries that stay weigh at most.
    staying_limit: u64,
    staying_weight: u64,
    nodes: Vec<Node>,
    free: Vec<u32>,
    of_slot: Vec<u32>,
    ghosts: HashMap<u32>,
    ghost_weight: u64,
    stack_links: Links,
    stack: List,
    /// Of resident passing entries, and of ghosts: a node is one or the other.
    queue_links: Links,
    queue: List,
    ghost_order: List,
    /// The ghost of what is about to come in.
    returns: Option<u32>,
}

#[derive(Clone, Copy)]
struct Node {
    hash: u64,
    weight: u64,
    slot: Slot,
    state: State,
    in_stack: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Stays,
    Passes,
    Ghost,
}

impl Lirs {
    pub(super) fn new(capacity: u64) -> Lirs {
        Lirs {
            capacity,
            staying_limit: capacity - share_of(capacity, PASSING).min(capacity),
            staying_weight: 0,
            nodes: Vec::new(),
            free: Vec::new(),
            of_slot: Vec::new(),
            ghosts: HashMap::default(),
            ghost_weight: 0,
            stack_links: Links::default(),
            stack: List::default(),
            queue_links: Links::default(),
            queue: List::default(),
            ghost_order: List::default(),
            returns: None,
        }
    }

    fn new_node(&mut self, node: Node) -> u32 {
        match self.free.pop() {
            Some(index) => {
                self.nodes[index as usize] = node;
                index
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        }
    }

    fn push_stack(&mut self, node: u32) {
        let in_stack = &mut self.nodes[node as usize].in_stack;
        if *in_stack {
            self.stack.move_to_front(&mut self.stack_links, node);
        } else {
            *in_stack = true;
            self.stack.push_front(&mut self.stack_links, node);
        }
    }

    fn leave_stack(&mut self, node: u32) {
        if std::mem::take(&mut self.nodes[node as usize].in_stack) {
            self.stack.remove(&mut self.stack_links, node);
        }
    }

    /// `node`, at the top of the stack, stays from now on; those at the bottom pass if it gets too much.
    fn stay(&mut self, node: u32) {
        let entry = &mut self.nodes[node as usize];
        entry.state = State::Stays;
        self.staying_weight += entry.weight;
        self.keep_within_limit();
    }

    fn keep_within_limit(&mut self) {
        while self.staying_weight > self.staying_limit && self.demote() {}
    }

    /// Has the lowest entry of the stack that stays pass; whether there was one.
    fn demote(&mut self) -> bool {
        if self.staying_weight == 0 {
            return false;
        }
        self.prune();
        let Some(bottom) = self.stack.back() else { return false };
        let entry = &mut self.nodes[bottom as usize];
        entry.state = State::Passes;
        self.staying_weight -= entry.weight;
        self.leave_stack(bottom);
        self.queue.push_front(&mut self.queue_links, bottom);
        self.prune();
        true
    }

    /// Takes from the bottom of the stack what does not stay.
    fn prune(&mut self) {
        while let Some(bottom) = self.stack.back() {
            match self.nodes[bottom as usize].state {
                State::Stays => return,
                State::Passes => self.leave_stack(bottom),
                State::Ghost => self.forget(bottom),
            }
        }
    }

    fn forget(&mut self, ghost: u32) {
        self.leave_stack(ghost);
        let Node { hash, weight, .. } = self.nodes[ghost as usize];
        if self.ghosts.remove(&hash).is_some() {
            self.ghost_order.remove(&mut self.queue_links, ghost);
            self.ghost_weight -= weight;
        }
        self.free.push(ghost);
    }

    fn remember(&mut self, node: u32) {
        let entry = &mut self.nodes[node as usize];
        entry.state = State::Ghost;
        self.ghost_weight += entry.weight;
        self.ghosts.insert(entry.hash, node);
        self.ghost_order.push_front(&mut self.queue_links, node);
        self.forget_what_is_too_much();
    }

    fn forget_what_is_too_much(&mut self) {
        while self.ghost_weight > GHOSTS * self.capacity
            && let Some(oldest) = self.ghost_order.back()
        {
            self.forget(oldest);
        }
    }
}

impl Policy for Lirs {
    fn hit(&mut self, slot: Slot) {
        let node = self.of_slot[slot as usize];
        let Node { state, in_stack, .. } = self.nodes[node as usize];
        self.push_stack(node);
        if state == State::Stays {
            self.prune();
        } else if in_stack {
            self.queue.remove(&mut self.queue_links, node);
            self.stay(node);
        } else {
            self.queue.move_to_front(&mut self.queue_links, node);
        }
    }

    fn miss(&mut self, hash: u64, _weight: u64) {
        self.returns = self.ghosts.remove(&hash);
        if let Some(ghost) = self.returns {
            self.ghost_order.remove(&mut self.queue_links, ghost);
            self.ghost_weight -= self.nodes[ghost as usize].weight;
        }
    }

    fn evict(&mut self) -> Slot {
        if self.queue.is_empty() {
            self.demote();
        }
        let node = self.queue.pop_back(&mut self.queue_links).expect("there is a resident");
        let Node { slot, in_stack, .. } = self.nodes[node as usize];
        if in_stack {
            self.remember(node);
        } else {
            self.free.push(node);
        }
        slot
    }

    fn insert(&mut self, slot: Slot, hash: u64, weight: u64) {
        // Evictions may have taken the ghost from the bottom of the stack.
        let returned = self.returns.take().filter(|ghost| self.nodes[*ghost as usize].in_stack);
        let entry = Node { hash, weight, slot, state: State::Passes, in_stack: returned.is_some() };
        let node = match returned {
            Some(ghost) => {
                self.nodes[ghost as usize] = entry;
                ghost
            }
            None => self.new_node(entry),
        };
        *super::entry_of(&mut self.of_slot, slot) = node;
        self.push_stack(node);
        if returned.is_some() || self.staying_weight + weight <= self.staying_limit {
            self.stay(node);
        } else {
            self.queue.push_front(&mut self.queue_links, node);
        }
    }

    fn remove(&mut self, slot: Slot) {
        let node = self.of_slot[slot as usize];
        let Node { weight, state, .. } = self.nodes[node as usize];
        self.leave_stack(node);
        if state == State::Stays {
            self.staying_weight -= weight;
            self.prune();
        } else {
            self.queue.remove(&mut self.queue_links, node);
        }
        self.free.push(node);
    }

    fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
        self.staying_limit = capacity - share_of(capacity, PASSING).min(capacity);
        self.keep_within_limit();
        self.forget_what_is_too_much();
    }

    fn coldest_first(&self) -> Vec<Slot> {
        let passing = self.queue.back_to_front(&self.queue_links);
        let staying = self.stack.back_to_front(&self.stack_links);
        let staying = staying.filter(|node| self.nodes[*node as usize].state == State::Stays);
        passing.chain(staying).map(|node| self.nodes[node as usize].slot).collect()
    }
}
