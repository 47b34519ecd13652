//! One part of a cache: its entries, and the policy that orders them, behind one lock.

use std::borrow::Borrow;

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::policy::{Learned, Policy, PolicyKind, Slot};
use crate::clock::Moment;

/// Entries that an insertion looks at for whether they have expired.
const SWEPT: usize = 2;

pub(super) struct Shard<K, V> {
    table: HashTable<Slot>,
    /// What a lookup needs, so close together that it touches few cache lines.
    pairs: Vec<Option<(K, V)>>,
    /// The rest, of the same slots.
    entries: Vec<Entry>,
    free: Vec<Slot>,
    weight: u64,
    capacity: u64,
    policy: Box<dyn Policy>,
    swept: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    hash: u64,
    weight: u64,
    expires: Moment,
}

/// What comes in.
pub(super) struct Incoming<K, V> {
    pub(super) hash: u64,
    pub(super) key: K,
    pub(super) value: V,
    pub(super) weight: u64,
    pub(super) expires: Moment,
}

/// What an insertion did. What left is the caller's to drop, once the lock is free: dropping may run anybody's code.
pub(super) struct Inserted<K, V> {
    /// Whether the key was not there.
    pub(super) is_new: bool,
    pub(super) evicted: u64,
    pub(super) expired: u64,
    pub(super) left: SmallVec<[(K, V); 2]>,
}

impl<K, V> Shard<K, V> {
    pub(super) fn new(kind: PolicyKind, capacity: u64) -> Shard<K, V> {
        Shard {
            table: HashTable::new(),
            pairs: Vec::new(),
            entries: Vec::new(),
            free: Vec::new(),
            weight: 0,
            capacity,
            policy: kind.start(capacity),
            swept: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn weight(&self) -> u64 {
        self.weight
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The value of `key` and its slot, which the policy counts as asked for. What has expired by `now` is not there.
    pub(super) fn get<Q>(&mut self, hash: u64, key: &Q, now: Option<Moment>) -> Option<(&V, Slot)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let slot = self.slot(hash, key)?;
        if now.is_some_and(|now| self.entries[slot as usize].expires <= now) {
            return None;
        }
        self.policy.hit(slot);
        let (_, value) = self.pairs[slot as usize].as_ref()?;
        Some((value, slot))
    }

    pub(super) fn weight_of(&self, slot: Slot) -> u64 {
        self.entries[slot as usize].weight
    }

    /// Puts an entry in the place of the one with its key, or evicts until there is room for it. What weighs more than the
    /// capacity does not come in.
    pub(super) fn insert(&mut self, incoming: Incoming<K, V>, now: Moment) -> Inserted<K, V>
    where
        K: Eq,
    {
        let mut inserted = Inserted { is_new: true, evicted: 0, expired: 0, left: SmallVec::new() };
        if let Some(slot) = self.slot(incoming.hash, &incoming.key) {
            let entry = &mut self.entries[slot as usize];
            inserted.is_new = entry.expires <= now;
            if entry.weight == incoming.weight {
                self.policy.hit(slot);
                entry.expires = incoming.expires;
                let pair = self.pairs[slot as usize].replace((incoming.key, incoming.value));
                inserted.left.extend(pair);
                return inserted;
            }
            self.policy.remove(slot);
            inserted.left.extend(self.forget(slot));
        }
        self.sweep(now, &mut inserted);
        if incoming.weight > self.capacity {
            inserted.left.push((incoming.key, incoming.value));
            return inserted;
        }
        self.policy.miss(incoming.hash, incoming.weight);
        self.make_room(self.capacity - incoming.weight, &mut inserted);
        self.put(incoming);
        inserted
    }

    fn put(&mut self, incoming: Incoming<K, V>) {
        let Incoming { hash, key, value, weight, expires } = incoming;
        let (pair, entry) = (Some((key, value)), Entry { hash, weight, expires });
        let slot = match self.free.pop() {
            Some(slot) => {
                self.pairs[slot as usize] = pair;
                self.entries[slot as usize] = entry;
                slot
            }
            None => {
                self.pairs.push(pair);
                self.entries.push(entry);
                (self.entries.len() - 1) as Slot
            }
        };
        let entries = &self.entries;
        self.table.insert_unique(hash, slot, |slot| entries[*slot as usize].hash);
        self.weight += weight;
        self.policy.insert(slot, hash, weight);
    }

    fn make_room(&mut self, limit: u64, inserted: &mut Inserted<K, V>) {
        while self.weight > limit {
            let slot = self.policy.evict();
            inserted.left.extend(self.forget(slot));
            inserted.evicted += 1;
        }
    }

    /// Takes out what has expired, two entries at a time: in as many insertions as half the entries, all have been looked at.
    fn sweep(&mut self, now: Moment, inserted: &mut Inserted<K, V>) {
        for _ in 0..SWEPT.min(self.entries.len()) {
            self.swept = (self.swept + 1) % self.entries.len();
            if self.entries[self.swept].expires <= now && self.pairs[self.swept].is_some() {
                let slot = self.swept as Slot;
                self.policy.remove(slot);
                inserted.left.extend(self.forget(slot));
                inserted.expired += 1;
            }
        }
    }

    /// Takes `key` out; what it was, and whether it had not expired.
    pub(super) fn take_out<Q>(&mut self, hash: u64, key: &Q, now: Moment) -> Option<((K, V), bool)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let slot = self.slot(hash, key)?;
        self.policy.remove(slot);
        let was_current = self.entries[slot as usize].expires > now;
        Some((self.forget(slot)?, was_current))
    }

    fn slot<Q>(&self, hash: u64, key: &Q) -> Option<Slot>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let is_it = |slot: &Slot| {
            let pair = self.pairs[*slot as usize].as_ref();
            pair.is_some_and(|(held, _)| held.borrow() == key)
        };
        self.table.find(hash, is_it).copied()
    }

    /// Takes `slot` out of everything but the policy.
    fn forget(&mut self, slot: Slot) -> Option<(K, V)> {
        let pair = self.pairs[slot as usize].take()?;
        let Entry { hash, weight, .. } = self.entries[slot as usize];
        if let Ok(place) = self.table.find_entry(hash, |held| *held == slot) {
            place.remove();
        }
        self.free.push(slot);
        self.weight -= weight;
        Some(pair)
    }

    /// Goes on under another policy, which starts from the order in which the present one would have evicted, and from what one of its
    /// kind has learned.
    pub(super) fn switch(&mut self, kind: PolicyKind, learned: Option<&Learned>) {
        let mut successor = kind.start(self.capacity);
        if let Some(learned) = learned {
            successor.learn_from(learned);
        }
        for slot in self.policy.coldest_first() {
            let Entry { hash, weight, .. } = self.entries[slot as usize];
            successor.miss(hash, weight);
            successor.insert(slot, hash, weight);
        }
        self.policy = successor;
    }

    /// Holds `capacity` at most from now on; what left.
    pub(super) fn resize(&mut self, capacity: u64) -> Inserted<K, V> {
        let mut left = Inserted { is_new: false, evicted: 0, expired: 0, left: SmallVec::new() };
        self.capacity = capacity;
        self.policy.resize(capacity);
        self.make_room(capacity, &mut left);
        left
    }

    /// Takes everything out.
    pub(super) fn clear(&mut self, kind: PolicyKind) -> Vec<(K, V)> {
        let emptied = std::mem::replace(self, Shard::new(kind, self.capacity));
        emptied.pairs.into_iter().flatten().collect()
    }
}
