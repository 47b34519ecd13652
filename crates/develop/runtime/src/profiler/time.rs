//! The profiler's clocks.

use std::sync::Arc;

use crate::clock::{Clock, Moment};

/// The processor's own counter, brought to nanoseconds: half the price of the system's clock.
///
/// `quanta` reads it where it runs at one rate on all cores, and the system's monotonic clock elsewhere. The first one made in a
/// process measures the counter's rate, which takes 10 to 20 ms, 200 ms at most; it is off by some parts in a million.
#[derive(Clone, Debug)]
pub struct CounterClock {
    counter: quanta::Clock,
    origin: u64,
}

impl CounterClock {
    /// A clock whose origin is now.
    pub fn new() -> CounterClock {
        let counter = quanta::Clock::new();
        let origin = counter.raw();
        CounterClock { counter, origin }
    }

    #[inline]
    fn nanos(&self) -> u64 {
        self.counter.delta_as_nanos(self.origin, self.counter.raw())
    }
}

impl Default for CounterClock {
    fn default() -> Self {
        CounterClock::new()
    }
}

impl Clock for CounterClock {
    #[inline]
    fn now(&self) -> Moment {
        Moment::from_nanos(self.nanos())
    }
}

/// Where a profiler reads the time: its own clock without a detour, or one that was given.
#[derive(Clone, Debug)]
pub(super) enum Time {
    Counter(CounterClock),
    Given(Arc<dyn Clock>),
}

impl Time {
    /// Nanoseconds since the clock's origin.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        match self {
            Time::Counter(clock) => clock.nanos(),
            Time::Given(clock) => clock.now().as_nanos(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn the_counter_keeps_pace_with_the_systems_clock() {
        let (clock, system) = (CounterClock::new(), Instant::now());
        let began = clock.now();
        std::thread::sleep(Duration::from_millis(50));
        let (counted, elapsed) = (clock.now().since(began), system.elapsed());
        let apart = counted.abs_diff(elapsed);
        assert!(apart < Duration::from_millis(10), "{counted:?} by the counter, {elapsed:?} by the system");
    }
}
