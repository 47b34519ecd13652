//! The entry goes that is worth least: by the Gittins index of the time to its next access.
//!
//! LHD (see its module) learns only from entries while they are resident, so it must explore, and an entry that returns is a stranger. Here
//! entries that left are remembered for a while with their last distances. So an entry that returns has its class at once, and the
//! times between accesses are known up to several times the cache's size, whatever the present order evicts. On that the
//! index rests; see `curves`.

mod ages;
mod curves;

use super::ghosts::Ghosts;
use super::{Learned, Policy, Slot, entry_of};
use crate::random::mix;
pub(super) use curves::Curves;

/// Residents that an eviction looks at, picked at random.
const SAMPLED: usize = 32;
/// Newcomers that an eviction looks at too.
const NEWCOMERS: usize = 8;
/// The shortest time between updates, in accesses.
const SHORTEST_INTERVAL: u64 = 1024;
/// From this many residents on, one access in `LEARNED_ONE_IN` is learned from: there are enough, and learning costs more than a hit.
const MANY: usize = 4096;
const LEARNED_ONE_IN: u64 = 4;
/// A small cache remembers four times its size, ...
const REMEMBERED_BY_SMALL: u64 = 4;
/// ... a large one twice its size and this.
const REMEMBERED_MORE: u64 = 8192;

pub(super) struct Gittins {
    capacity: u64,
    now: u64,
    random: u64,
    curves: Curves,
    entries: Vec<Entry>,
    /// Of the same slots, apart: a hit needs nothing else.
    histories: Vec<History>,
    residents: usize,
    ghosts: Ghosts<History>,
    newcomers: [Slot; NEWCOMERS],
    next_newcomer: usize,
    next_update: u64,
    /// Whose life is looked at next: first the entries, then the ghosts.
    cursor: usize,
    /// The history of what is about to come in.
    incoming: History,
}

/// What is known of an entry.
#[derive(Clone, Copy, Default)]
struct History {
    /// When it was asked for last.
    accessed: u64,
    /// Accesses between the last two times, and between the two before; zero if there was none.
    distance: u32,
    before: u32,
    /// How often it was asked for.
    asked: u32,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    resident: bool,
    hash: u64,
    weight: u64,
}

impl History {
    fn asked_again(self, now: u64) -> History {
        History {
            accessed: now,
            distance: u32::try_from(now - self.accessed).unwrap_or(u32::MAX),
            before: self.distance,
            asked: self.asked.saturating_add(1),
        }
    }
}

impl Gittins {
    pub(super) fn new(capacity: u64) -> Gittins {
        Gittins {
            capacity,
            now: 0,
            random: mix(capacity),
            curves: Curves::new(),
            entries: Vec::new(),
            histories: Vec::new(),
            residents: 0,
            ghosts: Ghosts::default(),
            newcomers: [0; NEWCOMERS],
            next_newcomer: 0,
            next_update: SHORTEST_INTERVAL,
            cursor: 0,
            incoming: History::default(),
        }
    }

    fn remembered(&self) -> u64 {
        let of_small = REMEMBERED_BY_SMALL * self.capacity;
        of_small.min(2 * self.capacity + REMEMBERED_MORE)
    }

    fn random_slot(&mut self) -> Slot {
        self.random = self.random.wrapping_add(1);
        ((u128::from(mix(self.random)) * self.entries.len() as u128) >> 64) as Slot
    }

    /// One access passes. Now and then one life that goes on is looked at, all in turn, so that no access pays for all of them.
    fn pass(&mut self) {
        self.now += 1;
        if self.learns() {
            self.look_at_one();
        }
        if self.now >= self.next_update {
            self.curves.update();
            self.next_update = self.now + self.interval();
        }
    }

    /// Accesses between two updates.
    fn interval(&self) -> u64 {
        (2 * self.residents as u64).max(SHORTEST_INTERVAL)
    }

    /// Whether this access is one to learn from.
    fn learns(&self) -> bool {
        self.now.is_multiple_of(self.learned_one_in())
    }

    fn learned_one_in(&self) -> u64 {
        if self.residents < MANY { 1 } else { LEARNED_ONE_IN }
    }

    fn look_at_one(&mut self) {
        let places = self.entries.len() + self.ghosts.places();
        if places == 0 {
            return;
        }
        let place = self.cursor % places;
        self.cursor = place + 1;
        let history = match place.checked_sub(self.entries.len()) {
            Some(ghost) => self.ghosts.at(ghost),
            None => self.entries[place].resident.then(|| &self.histories[place]),
        };
        if let Some(history) = history.copied() {
            let looked_at = self.interval() / self.learned_one_in();
            self.curves.goes_on(&history, self.now, places as f32 / looked_at as f32);
        }
    }

    /// The entry of `history` is asked for now.
    fn asked_for(&mut self, history: History) -> History {
        if self.learns() {
            self.curves.ended(&history, self.now, self.learned_one_in() as f32);
        }
        history.asked_again(self.now)
    }

    fn worth(&self, slot: Slot) -> f32 {
        let weight = self.entries[slot as usize].weight;
        self.curves.worth(&self.histories[slot as usize], self.now) / weight as f32
    }

    /// The least worth of a sample; of all, if they are few.
    fn least_worth(&mut self) -> Option<Slot> {
        let mut least = None;
        let mut lowest = f32::INFINITY;
        let few = self.entries.len() <= SAMPLED + NEWCOMERS;
        let looked_at = if few { self.entries.len() } else { SAMPLED + NEWCOMERS };
        for number in 0..looked_at {
            let slot = match number.checked_sub(SAMPLED) {
                _ if few => number as Slot,
                Some(newcomer) => self.newcomers[newcomer],
                None => self.random_slot(),
            };
            if !self.entries[slot as usize].resident {
                continue;
            }
            let worth = self.worth(slot);
            if worth < lowest {
                (least, lowest) = (Some(slot), worth);
            }
        }
        least
    }

    fn any_resident(&self) -> Option<Slot> {
        self.entries.iter().position(|entry| entry.resident).map(|slot| slot as Slot)
    }

    fn leave(&mut self, slot: Slot) -> Entry {
        self.residents -= 1;
        std::mem::take(&mut self.entries[slot as usize])
    }

    fn forget(&mut self) {
        while let Some(history) = self.ghosts.pop_beyond(self.remembered()) {
            self.curves.gave_up(&history, self.now);
        }
    }
}

impl Policy for Gittins {
    fn hit(&mut self, slot: Slot) {
        self.pass();
        let history = self.histories[slot as usize];
        self.histories[slot as usize] = self.asked_for(history);
    }

    fn miss(&mut self, hash: u64, _weight: u64) {
        self.pass();
        self.incoming = match self.ghosts.take(hash) {
            Some(history) => self.asked_for(history),
            None => History { accessed: self.now, asked: 1, ..History::default() },
        };
    }

    fn evict(&mut self) -> Slot {
        let slot = self.least_worth().or_else(|| self.any_resident()).expect("there is a resident");
        let Entry { hash, weight, .. } = self.leave(slot);
        self.ghosts.push(hash, weight, self.histories[slot as usize]);
        self.forget();
        slot
    }

    fn insert(&mut self, slot: Slot, hash: u64, weight: u64) {
        *entry_of(&mut self.entries, slot) = Entry { resident: true, hash, weight };
        *entry_of(&mut self.histories, slot) = self.incoming;
        self.residents += 1;
        self.newcomers[self.next_newcomer] = slot;
        self.next_newcomer = (self.next_newcomer + 1) % NEWCOMERS;
        // The shortest ages told apart are a 128th of the residents.
        while self.residents as u64 > 256 * self.curves.unit() {
            self.curves.coarsen();
        }
    }

    fn remove(&mut self, slot: Slot) {
        self.leave(slot);
    }

    fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
        self.forget();
    }

    fn coldest_first(&self) -> Vec<Slot> {
        let residents = self.entries.iter().enumerate().filter(|(_, entry)| entry.resident);
        let mut ranked: Vec<(f32, Slot)> =
            residents.map(|(slot, _)| (self.worth(slot as Slot), slot as Slot)).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        ranked.into_iter().map(|(_, slot)| slot).collect()
    }

    fn learned(&self) -> Option<Learned> {
        Some(Learned(self.curves.clone()))
    }

    fn learn_from(&mut self, learned: &Learned) {
        self.curves = learned.0.clone();
    }
}
