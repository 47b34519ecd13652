//! Time that never runs backwards, made of a clock's that may.

use std::time::Duration;

use crate::clock::Moment;

/// A step back of up to this much is threads that read the clock in one order and came in another.
const RACE: Duration = Duration::from_secs(1);

/// Turns readings of a clock into moments that never go back. After a step backwards of more than a second, time goes on from
/// where it stood, so nothing waits until the clock has caught up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Steady {
    last: Moment,
    skipped: Duration,
}

impl Steady {
    /// The steady moment of the reading `now`; never before an earlier one.
    pub(crate) fn at(&mut self, now: Moment) -> Moment {
        let moment = now.after(self.skipped);
        let back = self.last.since(moment);
        if back > RACE {
            self.skipped += back;
        }
        self.last = self.last.max(moment);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn after_a_long_step_back_time_goes_on_from_where_it_stood() {
        let mut steady = Steady::default();
        let hour = Moment::ORIGIN.after(3600 * SECOND);
        assert_eq!(steady.at(hour), hour);
        assert_eq!(steady.at(Moment::ORIGIN), hour);
        assert_eq!(steady.at(Moment::ORIGIN.after(5 * SECOND)), hour.after(5 * SECOND));
    }

    #[test]
    fn readings_that_overtake_each_other_add_no_time() {
        let mut steady = Steady::default();
        for nanos in [100, 90, 110, 105, 120] {
            steady.at(Moment::from_nanos(nanos));
        }
        assert_eq!(steady.at(Moment::from_nanos(121)).as_nanos(), 121);
    }
}
