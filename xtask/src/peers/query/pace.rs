//! Things done at set times, whether or not what came before is done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// When each of a row of things is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    began: Instant,
    every: Duration,
}

impl Pace {
    pub(super) fn new(every: Duration) -> Self {
        Self { began: Instant::now(), every }
    }

    /// Waits until the thing of this number is due, and gives when that is; `None` once `stop` is set.
    pub(super) fn wait(&self, number: u32, stop: &AtomicBool) -> Option<Instant> {
        const LONGEST_NAP: Duration = Duration::from_millis(100);
        let due = self.began + self.every * number;
        loop {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(due);
            }
            thread::sleep(left.min(LONGEST_NAP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_is_due_at_its_own_time_all_the_same() {
        let pace = Pace::new(Duration::from_millis(1));
        thread::sleep(Duration::from_millis(20));
        let due = pace.wait(3, &AtomicBool::new(false)).expect("due");
        assert_eq!(due - pace.began, Duration::from_millis(3));
    }

    #[test]
    fn nothing_is_due_once_it_is_over() {
        assert!(Pace::new(Duration::from_secs(3_600)).wait(1, &AtomicBool::new(true)).is_none());
    }
}
