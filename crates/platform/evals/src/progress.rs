//! A line on the terminal that says how far a run is, once it takes longer than a second.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

pub(crate) struct Progress {
    total: usize,
    of: &'static str,
    next: Option<Instant>,
    shown: bool,
}

impl Progress {
    /// Counts to `total` of what `of` names.
    pub(crate) fn new(total: usize, of: &'static str) -> Self {
        let next = std::io::stderr().is_terminal().then(|| Instant::now() + Duration::from_secs(1));
        Self { total, of, next, shown: false }
    }

    pub(crate) fn show(&mut self, done: usize, now_at: &str) {
        let now = Instant::now();
        if self.next.is_some_and(|next| next <= now) {
            self.next = Some(now + Duration::from_millis(100));
            self.shown = true;
            // A terminal that is gone is no reason to stop.
            let _ = write!(std::io::stderr(), "\r\x1b[K{done} of {} {}, now {now_at}", self.total, self.of);
        }
    }

    pub(crate) fn clear(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
