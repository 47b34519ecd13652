//! Who may go on and who waits: what threads share of a limiter.
//!
//! How many are in flight, how many wait, and the limit are one atomic word. So "is there room?" and "then I wait" are one step,
//! and whoever leaves learns in the same step whether somebody waits. No wake-up is lost; see `models/src/limiter.rs`.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::priority::Priority;
use super::queue::{Pushed, Queue};
use crate::clock::Moment;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// The highest limit.
pub(crate) const HIGHEST_LIMIT: usize = (1 << 20) - 1;

const ONE_IN_FLIGHT: u64 = 1;
const ONE_WAITING: u64 = 1 << 24;
const LIMIT_AT: u32 = 44;

#[derive(Clone, Copy)]
struct Word(u64);

impl Word {
    fn in_flight(self) -> u64 {
        self.0 & (ONE_WAITING - 1)
    }
    fn waiting(self) -> u64 {
        (self.0 >> 24) & ((1 << 20) - 1)
    }
    fn limit(self) -> u64 {
        self.0 >> LIMIT_AT
    }
    fn has_room(self) -> bool {
        self.in_flight() < self.limit()
    }
}

/// Admits as many as the limit says, and lets others wait.
pub(crate) struct Gate {
    word: AtomicU64,
    queue: Mutex<Queue<Arc<Place>>>,
}

/// What became of somebody who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Waits,
    /// It is in flight.
    Admitted,
    /// Somebody more important took its place.
    Displaced,
    /// It has waited for as long as it may.
    Expired,
    /// It has left.
    Left,
}

/// A place in the queue. Its fate changes under the queue's lock only.
pub(crate) struct Place {
    number: AtomicU64,
    fate: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

/// What became of somebody who came.
pub(crate) enum Entered {
    Admitted,
    Waits(Arc<Place>),
    Full,
}

impl Gate {
    /// Admits `limit`, and lets `capacity` wait for at most `patience`.
    pub(crate) fn new(limit: usize, capacity: usize, patience: Duration) -> Gate {
        let capacity = capacity.min(HIGHEST_LIMIT - 1);
        Gate {
            word: AtomicU64::new((limit.clamp(1, HIGHEST_LIMIT) as u64) << LIMIT_AT),
            queue: Mutex::new(Queue::new(capacity, patience)),
        }
    }

    fn load(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    fn replace(&self, old: Word, new: u64) -> bool {
        self.word.compare_exchange(old.0, new, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.load().in_flight() as usize
    }

    pub(crate) fn waiting(&self) -> usize {
        self.load().waiting() as usize
    }

    pub(crate) fn limit(&self) -> usize {
        self.load().limit() as usize
    }

    /// Admits one if there is room and nobody waits.
    #[inline]
    pub(crate) fn try_enter(&self) -> bool {
        loop {
            let word = self.load();
            if !word.has_room() || word.waiting() > 0 {
                return false;
            }
            if self.replace(word, word.0 + ONE_IN_FLIGHT) {
                return true;
            }
        }
    }

    /// Admits one, or lets it wait.
    pub(crate) fn enter(&self, priority: Priority, now: Moment) -> Entered {
        let mut queue = self.queue.lock();
        loop {
            let word = self.load();
            if word.has_room() && word.waiting() == 0 {
                if self.replace(word, word.0 + ONE_IN_FLIGHT) {
                    return Entered::Admitted;
                }
            } else if self.replace(word, word.0 + ONE_WAITING) {
                break;
            }
        }
        let place = Arc::new(Place::new());
        let mut settled = self.expire(&mut queue, now);
        let entered = match queue.push(priority, now, place.clone()) {
            Pushed::Waits(number) => {
                place.number.store(number, Ordering::Release);
                Entered::Waits(place)
            }
            Pushed::Displaces(number, other) => {
                self.word.fetch_sub(ONE_WAITING, Ordering::AcqRel);
                other.set(Fate::Displaced);
                settled.push(other);
                place.number.store(number, Ordering::Release);
                Entered::Waits(place)
            }
            Pushed::Full(_) => {
                self.word.fetch_sub(ONE_WAITING, Ordering::AcqRel);
                Entered::Full
            }
        };
        self.admit(&mut queue, now, &mut settled);
        drop(queue);
        wake(settled);
        entered
    }

    /// One that was in flight is no longer.
    #[inline]
    pub(crate) fn leave(&self, now: Moment) {
        let before = Word(self.word.fetch_sub(ONE_IN_FLIGHT, Ordering::AcqRel));
        if before.waiting() > 0 {
            self.settle(now);
        }
    }

    /// Lets `limit` in from now on. Who is in stays in.
    pub(crate) fn set_limit(&self, limit: usize, now: Moment) {
        let limit = limit.clamp(1, HIGHEST_LIMIT) as u64;
        loop {
            let word = self.load();
            let others = word.0 & ((1 << LIMIT_AT) - 1);
            if self.replace(word, others | limit << LIMIT_AT) {
                break;
            }
        }
        if self.load().waiting() > 0 {
            self.settle(now);
        }
    }

    /// How long one may wait from now on, those included who wait already.
    pub(crate) fn set_patience(&self, patience: Duration) {
        self.queue.lock().set_patience(patience);
    }

    /// Somebody who waits leaves. Returns its fate, had it stayed; an admission is given back.
    pub(crate) fn quit(&self, place: &Place, now: Moment) -> Fate {
        let mut queue = self.queue.lock();
        let fate = place.fate();
        match fate {
            Fate::Waits => {
                if queue.remove(place.number.load(Ordering::Acquire)).is_some() {
                    self.word.fetch_sub(ONE_WAITING, Ordering::AcqRel);
                }
            }
            Fate::Admitted => {
                self.word.fetch_sub(ONE_IN_FLIGHT, Ordering::AcqRel);
            }
            Fate::Displaced | Fate::Expired | Fate::Left => {}
        }
        place.set(Fate::Left);
        let mut settled = Vec::new();
        self.admit(&mut queue, now, &mut settled);
        drop(queue);
        wake(settled);
        fate
    }

    /// Lets those in for whom there is room, and sends those away who have waited too long.
    pub(crate) fn settle(&self, now: Moment) {
        let mut queue = self.queue.lock();
        let mut settled = self.expire(&mut queue, now);
        self.admit(&mut queue, now, &mut settled);
        drop(queue);
        wake(settled);
    }

    fn expire(&self, queue: &mut Queue<Arc<Place>>, now: Moment) -> Vec<Arc<Place>> {
        let expired: Vec<_> = std::iter::from_fn(|| queue.pop_expired(now)).collect();
        expired.iter().for_each(|place| place.set(Fate::Expired));
        self.word.fetch_sub(ONE_WAITING * expired.len() as u64, Ordering::AcqRel);
        expired
    }

    fn admit(&self, queue: &mut Queue<Arc<Place>>, now: Moment, settled: &mut Vec<Arc<Place>>) {
        while queue.len() > 0 {
            let word = self.load();
            if !word.has_room() {
                return;
            }
            if !self.replace(word, word.0 + ONE_IN_FLIGHT - ONE_WAITING) {
                continue;
            }
            if let Some(place) = queue.pop(now) {
                place.set(Fate::Admitted);
                settled.push(place);
            }
        }
    }
}

/// Outside of the lock: a waker may do anything.
fn wake(settled: Vec<Arc<Place>>) {
    for place in settled {
        let waker = place.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Place {
    fn new() -> Place {
        Place {
            number: AtomicU64::new(u64::MAX),
            fate: AtomicU64::new(Fate::Waits as u64),
            waker: Mutex::new(None),
        }
    }

    fn set(&self, fate: Fate) {
        self.fate.store(fate as u64, Ordering::Release);
    }

    pub(crate) fn fate(&self) -> Fate {
        const FATES: [Fate; 5] = [Fate::Waits, Fate::Admitted, Fate::Displaced, Fate::Expired, Fate::Left];
        FATES[self.fate.load(Ordering::Acquire) as usize]
    }

    /// What became of it; `waker` is woken once something did.
    pub(crate) fn poll(&self, waker: &Waker) -> Fate {
        *self.waker.lock() = Some(waker.clone());
        self.fate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(10);
    const START: Moment = Moment::ORIGIN;

    fn waits(gate: &Gate, priority: Priority) -> Arc<Place> {
        match gate.enter(priority, START) {
            Entered::Waits(place) => place,
            _ => panic!("there is no room, and place to wait"),
        }
    }

    #[test]
    fn whoever_leaves_lets_the_next_in() {
        let gate = Gate::new(1, 4, PATIENCE);
        assert!(gate.try_enter());
        let place = waits(&gate, Priority::Normal);
        gate.leave(START);
        assert_eq!((place.fate(), gate.in_flight(), gate.waiting()), (Fate::Admitted, 1, 0));
    }

    #[test]
    fn nobody_overtakes_those_who_wait() {
        let gate = Gate::new(1, 4, PATIENCE);
        assert!(gate.try_enter());
        let _place = waits(&gate, Priority::Normal);
        assert!(!gate.try_enter());
    }

    #[test]
    fn a_higher_limit_lets_those_in_who_wait() {
        let gate = Gate::new(1, 4, PATIENCE);
        assert!(gate.try_enter());
        let places = [waits(&gate, Priority::Normal), waits(&gate, Priority::Normal)];
        gate.set_limit(3, START);
        assert!(places.iter().all(|place| place.fate() == Fate::Admitted));
    }

    #[test]
    fn a_lower_limit_sends_nobody_out() {
        let gate = Gate::new(2, 0, PATIENCE);
        assert!(gate.try_enter() && gate.try_enter());
        gate.set_limit(1, START);
        assert_eq!(gate.in_flight(), 2);
        gate.leave(START);
        assert!(!gate.try_enter());
    }

    #[test]
    fn an_admission_that_nobody_took_goes_to_the_next() {
        let gate = Gate::new(1, 4, PATIENCE);
        assert!(gate.try_enter());
        let (first, second) = (waits(&gate, Priority::Normal), waits(&gate, Priority::Normal));
        gate.leave(START);
        assert_eq!(gate.quit(&first, START), Fate::Admitted);
        assert_eq!((second.fate(), gate.in_flight()), (Fate::Admitted, 1));
    }

    #[test]
    fn whoever_waited_too_long_is_sent_away_when_somebody_leaves() {
        let gate = Gate::new(1, 4, PATIENCE);
        assert!(gate.try_enter());
        let place = waits(&gate, Priority::Normal);
        gate.leave(START.after(2 * PATIENCE));
        assert_eq!((place.fate(), gate.in_flight(), gate.waiting()), (Fate::Expired, 0, 0));
    }
}
