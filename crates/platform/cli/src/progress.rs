//! One line on standard error that says how far something is, for work that takes more than a second.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often progress is shown, and after how long for the first time.
const SHOWN_EVERY: Duration = Duration::from_millis(250);
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// Waits for something, and says on the line for how long.
pub(crate) async fn while_waiting<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut progress = Progress::default();
    let mut work = std::pin::pin!(work);
    let mut ticks = tokio::time::interval(SHOWN_EVERY);
    loop {
        tokio::select! {
            done = &mut work => {
                progress.clear();
                return done;
            }
            _ = ticks.tick() => progress.show(|elapsed| format!("{what}, {} s", elapsed.as_secs())),
        }
    }
}

/// The line, which stays empty where standard error is no terminal.
pub(crate) struct Progress {
    began: Instant,
    shown: Option<Instant>,
    terminal: bool,
}

impl Default for Progress {
    fn default() -> Self {
        Self { began: Instant::now(), shown: None, terminal: std::io::stderr().is_terminal() }
    }
}

impl Progress {
    /// Since it began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Shows what `text` gives, unless something was shown a moment ago.
    pub(crate) fn show(&mut self, text: impl FnOnce(Duration) -> String) {
        let due = self.shown.is_none_or(|shown| shown.elapsed() > SHOWN_EVERY);
        if due && self.visible() {
            self.shown = Some(Instant::now());
            self.say(&text(self.elapsed()));
        }
    }

    /// Replaces the line at once.
    pub(crate) fn say(&self, text: &str) {
        if self.visible() {
            // Nobody is helped by a report that progress cannot be shown.
            let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
            let _ = std::io::stderr().flush();
        }
    }

    /// Empties the line.
    pub(crate) fn clear(&self) {
        self.say("");
    }

    fn visible(&self) -> bool {
        self.terminal && self.elapsed() > SHOWN_AFTER
    }
}
