//! Spans and records whose time no table keeps.

use std::time::{SystemTime, UNIX_EPOCH};

use kandela_lake::Lake;
use kandela_model::Timestamp;

use super::signal::told;

/// How far ahead of this machine's clock an item may be: what is further would stand where no retention comes by.
const MOST_AHEAD_NANOS: i64 = 86_400_000_000_000;

/// How many items were left out for their time.
#[derive(Default)]
pub(super) struct Untimely {
    ahead: u64,
    old: u64,
}

/// Leaves out what is too far ahead, and what the next retention run over `table` would remove.
pub(super) fn leave_out_untimely<T>(
    lake: &Lake,
    table: &str,
    items: &mut Vec<T>,
    time: impl Fn(&T) -> i64,
) -> Untimely {
    let now = now_nanos();
    let latest = now.saturating_add(MOST_AHEAD_NANOS);
    let oldest = lake.config().retention.oldest(table, Timestamp::from_micros(now / 1_000));
    let oldest = oldest.micros().saturating_mul(1_000);
    let mut untimely = Untimely::default();
    items.retain(|item| {
        let (ahead, old) = (time(item) > latest, time(item) < oldest);
        untimely.ahead += u64::from(ahead);
        untimely.old += u64::from(old);
        !ahead && !old
    });
    untimely
}

impl Untimely {
    pub(super) fn count(&self) -> u64 {
        self.ahead + self.old
    }

    /// What the sender is told of them.
    pub(super) fn told(&self) -> String {
        told(&[
            counted(self.ahead, "the time is more than a day ahead of the server's clock"),
            counted(self.old, "the time is past the retention"),
        ])
    }
}

fn counted(count: u64, what: &str) -> String {
    if count == 0 { String::new() } else { format!("{count}× {what}") }
}

pub(super) fn now_nanos() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
}
