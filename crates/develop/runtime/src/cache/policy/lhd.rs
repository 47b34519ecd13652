//! LHD: the entry goes whose expected hits, for the room and the time that it will still take, are fewest.
//!
//! Entries are told apart by the distances of their last two hits, and within such a class by their age since the last access.
//! For each class and age it is counted how many were hit then and how many were evicted then; hit density follows from these.
//! An eviction looks at a sample of residents and at those that came in last. Some newcomers are kept for a while whatever
//! their class says, so that ages which the present ranking evicts before they could be hit are still observed.

use super::{Policy, Slot, entry_of};
use crate::random::mix;

const CLASSES: usize = 16;
/// Ages, in buckets of 2^shift accesses; the last bucket holds all beyond.
const AGES: usize = 1024;
/// Residents that an eviction looks at, picked at random.
const SAMPLED: usize = 32;
/// Newcomers that an eviction looks at too.
const NEWCOMERS: usize = 8;
/// One newcomer in this many is kept to explore, ...
const EXPLORED_ONE_IN: u64 = 32;
/// ... while at most one resident in this many is.
const EXPLORERS_ONE_IN: usize = 100;
/// What counts weigh in the next interval.
const DECAY: f64 = 0.9;

pub(super) struct Lhd {
    now: u64,
    random: u64,
    shift: u32,
    until_update: u64,
    counts: Vec<Class>,
    residents: Vec<Slot>,
    entries: Vec<Entry>,
    newcomers: [Slot; NEWCOMERS],
    next_newcomer: usize,
    explorers: usize,
}

struct Class {
    hits: Vec<f64>,
    evictions: Vec<f64>,
    density: Vec<f64>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    /// Its index among the residents.
    place: u32,
    explores: bool,
    weight: u64,
    accessed: u64,
    /// Accesses between its last two hits, and between the two before; zero if there was none.
    distance: u64,
    distance_before: u64,
}

impl Lhd {
    pub(super) fn new(capacity: u64) -> Lhd {
        // As long as nothing is known, older goes first, and of one age the one that was hit at a longer distance stays.
        let class = |class: usize| Class {
            hits: vec![0.0; AGES],
            evictions: vec![0.0; AGES],
            density: (1..=AGES).map(|age| (class + 1) as f64 / age as f64).collect(),
        };
        let mut lhd = Lhd {
            now: 0,
            random: mix(capacity),
            shift: 0,
            until_update: 0,
            counts: (0..CLASSES).map(class).collect(),
            residents: Vec::new(),
            entries: Vec::new(),
            newcomers: [0; NEWCOMERS],
            next_newcomer: 0,
            explorers: 0,
        };
        lhd.until_update = lhd.interval();
        lhd
    }

    /// Accesses between updates of the densities.
    fn interval(&self) -> u64 {
        (2 * self.residents.len() as u64).max(1024)
    }

    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(1);
        mix(self.random)
    }

    /// The class by both distances: the shorter, the higher. The lowest is for entries that were never hit.
    fn class(&self, entry: &Entry) -> usize {
        let distance = entry.distance + entry.distance_before;
        if distance == 0 {
            return 0;
        }
        let longest = (AGES as u64) << self.shift;
        let doublings = (longest / distance.min(longest)).ilog2() as usize;
        (1 + doublings).min(CLASSES - 1)
    }

    fn age(&self, entry: &Entry) -> usize {
        (((self.now - entry.accessed) >> self.shift) as usize).min(AGES - 1)
    }

    fn pass(&mut self) {
        self.now += 1;
        self.until_update -= 1;
        if self.until_update == 0 {
            self.counts.iter_mut().for_each(Class::update);
            self.until_update = self.interval();
        }
    }

    /// Ages reach sixteen times as far as there are residents.
    fn coarsen(&mut self) {
        while self.residents.len() * 16 > AGES << self.shift {
            self.shift += 1;
            self.counts.iter_mut().for_each(Class::coarsen);
        }
    }

    fn density(&self, slot: Slot) -> f64 {
        let entry = &self.entries[slot as usize];
        if entry.explores {
            return f64::MAX;
        }
        self.counts[self.class(entry)].density[self.age(entry)] / entry.weight as f64
    }

    fn leave(&mut self, slot: Slot) {
        let Entry { place, explores, .. } = self.entries[slot as usize];
        self.residents.swap_remove(place as usize);
        if let Some(moved) = self.residents.get(place as usize) {
            self.entries[*moved as usize].place = place;
        }
        self.explorers -= usize::from(explores);
        self.entries[slot as usize].explores = false;
    }

    fn is_resident(&self, slot: Slot) -> bool {
        let place = self.entries.get(slot as usize).map(|entry| entry.place as usize);
        place.is_some_and(|place| self.residents.get(place) == Some(&slot))
    }
}

impl Class {
    /// Hit density at an age: of those that reach it, the hits that are to come over the time that they will stay.
    fn update(&mut self) {
        let (mut hits, mut ends, mut time) = (0.0, 0.0, 0.0);
        for age in (0..AGES).rev() {
            hits += self.hits[age];
            ends += self.hits[age] + self.evictions[age];
            time += ends;
            self.density[age] = if ends > 1e-5 { hits / time } else { 0.0 };
            self.hits[age] *= DECAY;
            self.evictions[age] *= DECAY;
        }
    }

    /// Two neighbouring ages become one.
    fn coarsen(&mut self) {
        let halve = |counts: &mut Vec<f64>| {
            *counts = counts.chunks(2).map(|pair| pair.iter().sum()).collect();
            counts.resize(AGES, 0.0);
        };
        halve(&mut self.hits);
        halve(&mut self.evictions);
        let last = self.density[AGES - 1];
        self.density = self.density.chunks(2).map(|pair| pair.iter().sum::<f64>() / 2.0).collect();
        self.density.resize(AGES, last);
    }
}

impl Policy for Lhd {
    fn hit(&mut self, slot: Slot) {
        self.pass();
        let entry = self.entries[slot as usize];
        let (class, age) = (self.class(&entry), self.age(&entry));
        self.counts[class].hits[age] += 1.0;
        self.explorers -= usize::from(entry.explores);
        self.entries[slot as usize] = Entry {
            explores: false,
            accessed: self.now,
            distance: self.now - entry.accessed,
            distance_before: entry.distance,
            ..entry
        };
    }

    fn miss(&mut self, _hash: u64, _weight: u64) {
        self.pass();
    }

    fn evict(&mut self) -> Slot {
        let mut coldest = self.residents[0];
        let mut lowest = f64::INFINITY;
        for looked_at in 0..SAMPLED + NEWCOMERS {
            let slot = match looked_at.checked_sub(SAMPLED) {
                Some(newcomer) => self.newcomers[newcomer],
                None => {
                    let at_random = (u128::from(self.random()) * self.residents.len() as u128) >> 64;
                    self.residents[at_random as usize]
                }
            };
            let density = self.density_if_resident(slot);
            if density < lowest {
                (coldest, lowest) = (slot, density);
            }
        }
        let entry = self.entries[coldest as usize];
        let (class, age) = (self.class(&entry), self.age(&entry));
        self.counts[class].evictions[age] += 1.0;
        self.leave(coldest);
        coldest
    }

    fn insert(&mut self, slot: Slot, _hash: u64, weight: u64) {
        let may_explore = self.explorers < (self.residents.len() / EXPLORERS_ONE_IN).max(1);
        let explores = may_explore && self.random().is_multiple_of(EXPLORED_ONE_IN);
        self.explorers += usize::from(explores);
        let place = self.residents.len() as u32;
        self.residents.push(slot);
        *entry_of(&mut self.entries, slot) =
            Entry { place, explores, weight, accessed: self.now, distance: 0, distance_before: 0 };
        self.newcomers[self.next_newcomer] = slot;
        self.next_newcomer = (self.next_newcomer + 1) % NEWCOMERS;
        self.coarsen();
    }

    fn remove(&mut self, slot: Slot) {
        self.leave(slot);
    }

    fn resize(&mut self, _capacity: u64) {}

    fn coldest_first(&self) -> Vec<Slot> {
        let mut ranked: Vec<(f64, Slot)> =
            self.residents.iter().map(|slot| (self.density(*slot), *slot)).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        ranked.into_iter().map(|(_, slot)| slot).collect()
    }
}

impl Lhd {
    fn density_if_resident(&self, slot: Slot) -> f64 {
        if self.is_resident(slot) { self.density(slot) } else { f64::INFINITY }
    }
}
