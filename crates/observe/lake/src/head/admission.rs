//! Which times may come in.

use std::ops::Range;

use kandela_model::Timestamp;
use kandela_model::tables::SAMPLES;

use super::append::{Origin, RejectReason};
use crate::config::LakeConfig;

/// How far ahead of this machine's clock a sample may be; as Prometheus allows.
const MAX_AHEAD_MICROS: i64 = 600_000_000;

/// Times that have a date: from the year 1 to the year 9999, in microseconds.
const DATED: Range<i64> = -62_135_596_800_000_000..253_402_300_800_000_000;

pub(super) enum Judgement {
    Take,
    Duplicate,
    Reject(RejectReason),
}

/// The times that points of one batch may have, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admission {
    oldest: i64,
    latest: i64,
    out_of_order: i64,
}

impl Admission {
    pub(super) fn new(config: &LakeConfig, now: Timestamp, origin: Origin) -> Self {
        match origin {
            Origin::Client => Self {
                oldest: config.retention.oldest(SAMPLES.name, now).micros(),
                latest: now.micros().saturating_add(MAX_AHEAD_MICROS),
                out_of_order: i64::try_from(config.out_of_order_window.as_micros()).unwrap_or(i64::MAX),
            },
            Origin::Import => Self { oldest: i64::MIN, latest: i64::MAX, out_of_order: i64::MAX },
        }
    }

    /// What is wrong with a time, whatever its series has.
    pub(super) fn of(&self, ts: i64) -> Result<(), RejectReason> {
        match ts {
            _ if !DATED.contains(&ts) => Err(RejectReason::NoDate),
            _ if ts > self.latest => Err(RejectReason::TooFarAhead),
            _ if ts < self.oldest => Err(RejectReason::PastRetention),
            _ => Ok(()),
        }
    }

    /// Whether a point may come in, given its series' newest.
    pub(super) fn judge(&self, last_ts: i64, ts: i64) -> Judgement {
        match self.of(ts) {
            Err(reason) => Judgement::Reject(reason),
            Ok(()) if ts == last_ts => Judgement::Duplicate,
            Ok(()) if ts < last_ts.saturating_sub(self.out_of_order) => {
                Judgement::Reject(RejectReason::TooOld)
            }
            Ok(()) => Judgement::Take,
        }
    }
}
