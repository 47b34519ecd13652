//! Time as an argument: whatever waits, ages or lapses here asks a [`Clock`], so that a day passes in a second in a test.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A point in time, in nanoseconds since its clock's origin: 584 years of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The clock's origin.
    pub const ORIGIN: Moment = Moment(0);
    /// Later than any other.
    pub const NEVER: Moment = Moment(u64::MAX);

    /// `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Moment {
        Moment(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds since the origin.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The time since `earlier`; nothing where a clock stepped backwards.
    pub const fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment and `time` more; [`Moment::NEVER`] where that is beyond the end of time.
    pub fn after(self, time: Duration) -> Moment {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Moment(self.0.saturating_add(nanos))
    }
}

/// Tells the time. Monotonic where it can be; users of it take steps backwards as no time having passed.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now.
    fn now(&self) -> Moment;
}

/// The machine's monotonic clock, from when it was made.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose origin is now.
    pub fn new() -> SystemClock {
        SystemClock { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    #[inline]
    fn now(&self) -> Moment {
        Moment::ORIGIN.after(self.origin.elapsed())
    }
}

/// A clock that stands still until it is set: for tests and simulations. Its copies share one time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    nanos: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that stands at its origin.
    pub fn new() -> ManualClock {
        ManualClock::default()
    }

    /// Lets `time` pass.
    pub fn advance(&self, time: Duration) {
        self.set(self.now().after(time));
    }

    /// Steps to `moment`, backwards too.
    pub fn set(&self, moment: Moment) {
        self.nanos.store(moment.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment(self.nanos.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_backwards_is_no_time() {
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(5));
        let late = clock.now();
        clock.set(Moment::from_nanos(1));
        assert_eq!(clock.now().since(late), Duration::ZERO);
    }

    #[test]
    fn the_end_of_time_is_never_passed() {
        assert_eq!(Moment::from_nanos(7).after(Duration::MAX), Moment::NEVER);
    }
}
