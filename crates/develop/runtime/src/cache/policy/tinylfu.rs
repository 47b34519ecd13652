//! W-TinyLFU: newcomers pass a small window; into the rest comes only what was asked for more often than what would have to go.

mod sketch;

use super::list::{Links, List};
use super::{Policy, Slot, entry_of, share_of};
use sketch::Sketch;

/// The window's share of the capacity, as in the paper.
const WINDOW: f64 = 0.01;
/// The share of the rest that is protected.
const PROTECTED: f64 = 0.8;

pub(super) struct TinyLfu {
    capacity: u64,
    sketch: Sketch,
    links: Links,
    window: Segment,
    probation: Segment,
    protected: Segment,
    entries: Vec<Entry>,
    /// The weight of what is about to come in.
    incoming: u64,
}

#[derive(Clone, Copy, Default)]
struct Segment {
    list: List,
    weight: u64,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    hash: u64,
    weight: u64,
    place: Place,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Window,
    Probation,
    Protected,
}

impl TinyLfu {
    pub(super) fn new(capacity: u64) -> TinyLfu {
        TinyLfu {
            capacity,
            sketch: Sketch::default(),
            links: Links::default(),
            window: Segment::default(),
            probation: Segment::default(),
            protected: Segment::default(),
            entries: Vec::new(),
            incoming: 0,
        }
    }

    fn window_limit(&self) -> u64 {
        share_of(self.capacity, WINDOW)
    }

    fn main_limit(&self) -> u64 {
        self.capacity.saturating_sub(self.window_limit())
    }

    fn segment(&mut self, place: Place) -> &mut Segment {
        match place {
            Place::Window => &mut self.window,
            Place::Probation => &mut self.probation,
            Place::Protected => &mut self.protected,
        }
    }

    fn push(&mut self, slot: Slot, place: Place) {
        let entry = &mut self.entries[slot as usize];
        entry.place = place;
        let weight = entry.weight;
        let mut segment = *self.segment(place);
        segment.list.push_front(&mut self.links, slot);
        segment.weight += weight;
        *self.segment(place) = segment;
    }

    fn take(&mut self, slot: Slot) {
        let Entry { weight, place, .. } = self.entries[slot as usize];
        let mut segment = *self.segment(place);
        segment.list.remove(&mut self.links, slot);
        segment.weight -= weight;
        *self.segment(place) = segment;
    }

    fn move_to(&mut self, slot: Slot, place: Place) {
        self.take(slot);
        self.push(slot, place);
    }

    /// What overflows the window goes into the rest while that has room.
    fn fill_main(&mut self) {
        while self.window.weight > self.window_limit()
            && let Some(slot) = self.window.list.back()
        {
            let main = self.probation.weight + self.protected.weight;
            if main + self.entries[slot as usize].weight > self.main_limit() {
                return;
            }
            self.move_to(slot, Place::Probation);
        }
    }

    fn frequency(&self, slot: Slot) -> u8 {
        self.sketch.frequency(self.entries[slot as usize].hash)
    }
}

impl Policy for TinyLfu {
    fn hit(&mut self, slot: Slot) {
        let Entry { hash, place, .. } = self.entries[slot as usize];
        self.sketch.count(hash);
        if place != Place::Probation {
            return self.move_to(slot, place);
        }
        self.move_to(slot, Place::Protected);
        let limit = (self.main_limit() as f64 * PROTECTED) as u64;
        while self.protected.weight > limit
            && let Some(oldest) = self.protected.list.back()
        {
            self.move_to(oldest, Place::Probation);
        }
    }

    fn miss(&mut self, hash: u64, weight: u64) {
        self.sketch.count(hash);
        self.incoming = weight;
    }

    fn evict(&mut self) -> Slot {
        let overflows = self.window.weight + self.incoming > self.window_limit();
        let candidate = self.window.list.back().filter(|_| overflows);
        let victim = self.probation.list.back().or(self.protected.list.back());
        let evicted = match (candidate, victim) {
            (Some(candidate), Some(victim)) if self.frequency(candidate) > self.frequency(victim) => victim,
            (Some(candidate), _) => candidate,
            (None, Some(victim)) => victim,
            (None, None) => self.window.list.back().expect("there is a resident"),
        };
        self.take(evicted);
        evicted
    }

    fn insert(&mut self, slot: Slot, hash: u64, weight: u64) {
        *entry_of(&mut self.entries, slot) = Entry { hash, weight, place: Place::Window };
        self.sketch.fit(self.entries.len());
        self.push(slot, Place::Window);
        self.fill_main();
    }

    fn remove(&mut self, slot: Slot) {
        self.take(slot);
    }

    fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
    }

    fn coldest_first(&self) -> Vec<Slot> {
        let segments = [self.probation, self.window, self.protected];
        segments.into_iter().flat_map(|segment| segment.list.back_to_front(&self.links)).collect()
    }
}
