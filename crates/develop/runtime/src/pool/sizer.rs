//! The controller: how large a pool should be, by what it measured.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::builder::LARGEST_SIZE;
use super::evidence::{Change, Evidence};
use super::meter::Sample;
use super::outlook::{Load, Outlook, outlooks};
use super::usl::{Fit, Usl};
use super::view::{View, draw};
use crate::decision::Decision;
use crate::range::{OutOfRange, within};

/// The measure that sizes are chosen by, and that expected and observed effects are told in.
pub const MEASURE: &str = "pool_wait_p99_seconds";

/// A window is judged once so many uses ended in it.
const ENOUGH_IN_WINDOW: f64 = 20.0;
/// And a size once so many are remembered in all.
const ENOUGH: f64 = 200.0;
/// A better size has to be better by this to be worth a change.
const WORTH_IT: f64 = 0.08;
/// And so sure to be no worse.
pub(super) const SURE: f64 = 0.7;
/// A smaller size that is as good is taken if it is smaller by this factor.
const SMALLER: f64 = 0.75;
/// How many windows a pool whose callers do not wait is left alone after a change.
const PATIENCE: u32 = 10;
/// Where nobody waits, a smaller size has to be better by this, a halving of waits, to be gone to for its own sake.
const DANGER: f64 = 0.7;
/// From one window to the next, what is remembered of who waited counts so much less.
const WAITS_KEPT: f64 = 0.93;
/// How many windows it is left alone at least, where they do not wait and not all is in use.
const CALM: u32 = 5;
/// How many windows lie between two trials of a size.
const REST: u32 = 15;
/// For how many windows a size is kept that is tried against the fit.
const DOUBT_LASTS: u32 = 3;
/// How many windows after a turn another in the opposite direction has to be worth more.
const MEMORY_OF_TURNS: u32 = 60;

/// How large a pool should be. Pure: fed windows of measurements, it returns decisions.
///
/// It [fits](super::usl) the downstream's law to what was measured at each number in use, draws downstreams that fit as well, and
/// takes the size at which the logarithm of the [foretold](super::outlook) 99th percentile of waits is least on average over them;
/// of sizes that are equally good, the smallest. It changes something only where that is clearly better, and is
/// [sure enough](Advice::confidence) to be no worse; where nobody waits, that is better evidence than any forecast. Where the pool is full
/// and nothing is known of other sizes, it tries the double, and after a downstream became slower the half: what it sees there it
/// knows afterwards. Where the pool has been full for long, what it knows of other sizes is old, and it tries one against the fit.
#[derive(Clone, Debug)]
pub struct Sizer {
    sizes: RangeInclusive<usize>,
    evidence: Evidence,
    pending: Sample,
    advice: Option<Advice>,
    turns: Turns,
}

/// What a sizer thinks of a size, whether or not it acts on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// The size that it would choose.
    pub size: usize,
    /// In which nine of ten of the downstreams that fit would have their best size.
    pub interval: RangeInclusive<usize>,
    /// The share of the downstreams that fit for which the chosen size is no worse than the present one. 0 to 1.
    pub confidence: f64,
    /// The downstream that fits best.
    pub downstream: Usl,
    /// What comes to the pool. A lower bound where [`is_full`](Advice::is_full): callers that wait for each other ask for no more.
    pub load: Load,
    /// Whether all of the pool was in use nearly all the time.
    pub is_full: bool,
}

/// What a size would do, and between what bounds nine of ten of the downstreams that fit lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WhatIf {
    /// The size.
    pub size: usize,
    /// Of the likeliest downstream.
    pub likeliest: Outlook,
    /// The lower bounds, each measure for itself.
    pub low: Outlook,
    /// The upper bounds, each measure for itself.
    pub high: Outlook,
    /// Whether more would be in use than ever were: the fit extrapolates.
    pub is_beyond_what_was_seen: bool,
}

impl Sizer {
    /// A sizer that knows nothing yet, and chooses within `sizes`.
    ///
    /// # Errors
    /// [`OutOfRange`] where `sizes` are not within 1 to [`LARGEST_SIZE`].
    pub fn new(sizes: RangeInclusive<usize>) -> Result<Sizer, OutOfRange> {
        within("sizer.sizes, their end", *sizes.end(), 1..=LARGEST_SIZE)?;
        within("sizer.sizes, their start", *sizes.start(), 1..=*sizes.end())?;
        Ok(Sizer {
            sizes,
            evidence: Evidence::default(),
            pending: Sample::default(),
            advice: None,
            turns: Turns::default(),
        })
    }

    /// Learns from a window in which the pool was of `size`, and says what the size should be; none where all may stay as it is, or
    /// where too little is known. Windows of a second or so; shorter ones than two mean holds are put together.
    pub fn update(&mut self, sample: &Sample, size: usize) -> Option<Decision<usize>> {
        self.pending.append(sample);
        let ended: f64 = self.pending.levels.iter().map(|level| level.ended).sum();
        let mean_hold = self.pending.holds.sum() / self.pending.holds.count().max(1) as f64;
        let length = self.pending.length;
        if ended < ENOUGH_IN_WINDOW || length < Duration::from_secs_f64((2.0 * mean_hold).min(60.0)) {
            return None;
        }
        let window = std::mem::take(&mut self.pending);
        let size = size.max(1);
        self.turns.count_window(size);
        if let Some(change) = self.evidence.learn(&window) {
            self.turns.note_change(change);
        }
        let fit = self.evidence.fit()?;
        if fit.ended < ENOUGH && self.turns.changed.is_none() {
            return None;
        }
        let view = View::of(&self.evidence, fit, &window, size, &self.sizes);
        self.turns.count_waits(&window, view.negligible);
        self.advice = Some(view.advice());
        let decision = self.turns.judge(&view, &self.sizes)?;
        self.turns.note_turn(decision.value > size);
        Some(decision)
    }

    /// What it thinks, since the last window; none while too little is known.
    pub fn advice(&self) -> Option<&Advice> {
        self.advice.as_ref()
    }

    /// What it knows of the downstream.
    pub fn fit(&self) -> Option<&Fit> {
        self.evidence.fit()
    }

    /// What a pool of `size` would do under the present load; none while nothing is known, or for a size outside of 1 to
    /// [`LARGEST_SIZE`].
    pub fn what_if(&self, size: usize) -> Option<WhatIf> {
        let fit = self.evidence.fit()?;
        within("size", size, 1..=LARGEST_SIZE).ok()?;
        let load = self.evidence.load();
        let outlook = |usl: &Usl, load: &Load| outlooks(usl, load, size..=size)[0];
        let drawn = draw(fit, &load, self.evidence.rate_error(), 0.0);
        let drawn: Vec<Outlook> = drawn.iter().map(|(usl, load)| outlook(usl, load)).collect();
        let bound = |share: f64| {
            let of = |measure: fn(&Outlook) -> f64| {
                let mut values: Vec<f64> = drawn.iter().map(measure).collect();
                values.sort_by(f64::total_cmp);
                values[(share * (values.len() - 1) as f64).round() as usize]
            };
            Outlook {
                wait_mean: of(|outlook| outlook.wait_mean),
                wait_p99: of(|outlook| outlook.wait_p99),
                throughput: of(|outlook| outlook.throughput),
                utilisation: of(|outlook| outlook.utilisation),
            }
        };
        let likeliest = outlook(&fit.usl, &load);
        let in_use = likeliest.utilisation * size as f64;
        let is_beyond_what_was_seen = in_use > fit.most_in_use as f64 + 1.0;
        Some(WhatIf { size, likeliest, low: bound(0.05), high: bound(0.95), is_beyond_what_was_seen })
    }
}

/// What was done lately, and whether more is to be done now.
#[derive(Clone, Debug, Default)]
struct Turns {
    /// Windows since the size was last another.
    unchanged: u32,
    last_size: usize,
    /// How the downstream changed, and how many windows ago.
    changed: Option<(Change, u32)>,
    /// Whether the last turn was up, and how many windows ago.
    turn: Option<(bool, u32)>,
    /// How often the direction turned around lately with no change of the downstream.
    reversals: u32,
    /// How many windows ago a size was tried.
    probed: Option<u32>,
    /// For how many windows all has been in use, while ever more waited.
    full_for: u32,
    waiting_before: usize,
    /// How often the fit was doubted since the downstream changed, and how many windows ago.
    doubts: u32,
    doubted: Option<u32>,
    /// How many asked lately, at the present size, and how many of them had to wait.
    asked: f64,
    late: f64,
}

impl Turns {
    fn count_window(&mut self, size: usize) {
        self.unchanged = if size == self.last_size { self.unchanged.saturating_add(1) } else { 0 };
        self.last_size = size;
        let count = |windows: u32| Some(windows + 1).filter(|windows| *windows < MEMORY_OF_TURNS);
        self.turn = self.turn.and_then(|(up, ago)| Some((up, count(ago)?)));
        self.changed = self.changed.and_then(|(change, ago)| Some((change, count(ago)?)));
        self.probed = self.probed.and_then(count).filter(|ago| *ago < REST);
        self.doubted = self.doubted.map(|ago| ago.saturating_add(1));
        if self.turn.is_none() {
            self.reversals = 0;
        }
    }

    fn count_waits(&mut self, window: &Sample, negligible: f64) {
        if self.unchanged == 0 {
            (self.asked, self.late) = (0.0, 0.0);
        }
        let asked = window.waits.count() as f64;
        let on_time = window.waits.fraction_below(negligible).unwrap_or(1.0);
        self.asked = self.asked * WAITS_KEPT + asked;
        self.late = self.late * WAITS_KEPT + asked * (1.0 - on_time);
    }

    fn note_change(&mut self, change: Change) {
        self.changed = Some((change, 0));
        self.reversals = 0;
        (self.doubts, self.doubted) = (0, None);
    }

    fn note_turn(&mut self, up: bool) {
        if self.changed.is_none() && self.turn.is_some_and(|(before, _)| before != up) {
            self.reversals += 1;
        }
        self.turn = Some((up, 0));
    }

    fn judge(&mut self, view: &View<'_>, sizes: &RangeInclusive<usize>) -> Option<Decision<usize>> {
        // A backlog that is being worked off is no reason for doubt.
        let is_stuck = view.is_full && view.waiting >= self.waiting_before;
        self.full_for =
            if is_stuck { self.full_for.saturating_add(1) } else { self.full_for.saturating_sub(2) };
        self.waiting_before = view.waiting;
        if self.doubted.is_some_and(|ago| ago < DOUBT_LASTS) {
            return None;
        }
        let turns_around = self.turn.is_some_and(|(up, _)| up != (view.best > view.size));
        let factor = f64::from(1 << self.reversals.min(4)) * if turns_around { 2.0 } else { 1.0 };
        let worth_it = WORTH_IT * factor;
        if !view.is_full && !self.waits_matter() {
            return self.judge_calmly(view, worth_it);
        }
        if view.best != view.size && view.gain >= worth_it && view.confidence >= SURE {
            let why = if view.best > view.size {
                "all are in use or callers wait; with more they are foretold to wait less"
            } else {
                "all are in use or callers wait; the downstream is foretold to do more with fewer at once"
            };
            return Some(view.decide(view.best, why));
        }
        self.probe(view, sizes).or_else(|| self.doubt(view, sizes))
    }

    /// Where all have been in use for long, what is known of other sizes is old, and the downstream may have become another that does
    /// as much at this size only. So another size is tried against the fit, ever more rarely if that finds nothing.
    fn doubt(&mut self, view: &View<'_>, sizes: &RangeInclusive<usize>) -> Option<Decision<usize>> {
        let rest = REST << self.doubts.min(4);
        if self.full_for < rest || self.doubted.is_some_and(|ago| ago < rest) {
            return None;
        }
        let goes_up = self.doubts.is_multiple_of(2) && view.size < *sizes.end();
        let size = if goes_up { view.size + view.size.div_ceil(2) } else { view.size * 2 / 3 };
        let size = size.clamp(*sizes.start(), *sizes.end());
        if size == view.size {
            return None;
        }
        self.doubts += 1;
        self.doubted = Some(0);
        Some(view.decide(
            size,
            "all have been in use for long; what is known of other sizes is old, and is tried again",
        ))
    }

    /// Where nobody waits, that is better evidence than any forecast: a size that does is left only for one that is sure to do, too, or
    /// out of serious danger.
    fn judge_calmly(&self, view: &View<'_>, worth_it: f64) -> Option<Decision<usize>> {
        if self.unchanged < CALM {
            return None;
        }
        let is_sure = view.best != view.size && view.confidence >= SURE;
        if is_sure && view.best > view.size && view.gain >= worth_it {
            return Some(view.decide(view.best, "nobody waits yet; with a little more load they would"));
        }
        let enough = view.smallest_enough();
        if enough.is_some_and(|enough| enough as f64 <= SMALLER * view.size as f64)
            && self.unchanged >= PATIENCE
        {
            return Some(view.decide(enough?, "nobody waits, and with fewer nobody would"));
        }
        if is_sure && view.best < view.size && view.gain >= worth_it.max(DANGER) {
            return Some(
                view.decide(view.best, "nobody waits yet; were all in use, the downstream would do less"),
            );
        }
        None
    }

    /// Of those who got a resource lately, at the present size, more than one in a hundred had to wait.
    fn waits_matter(&self) -> bool {
        self.late > 0.01 * self.asked
    }

    /// Tries another size to see what is there, where the pool is full and the fit is sure of none.
    fn probe(&mut self, view: &View<'_>, sizes: &RangeInclusive<usize>) -> Option<Decision<usize>> {
        if self.probed.is_some() || self.unchanged < 1 || !view.is_full || !self.waits_matter() {
            return None;
        }
        let is_slower = matches!(self.changed, Some((Change::Slower, ago)) if ago < 10);
        let size = if is_slower { view.size / 2 } else { view.size * 2 };
        let size = size.clamp(*sizes.start(), *sizes.end());
        let is_unknown = is_slower || size > view.fit.most_in_use + 1;
        if size == view.size || !is_unknown || view.is_surely_worse(size) {
            return None;
        }
        self.probed = Some(0);
        let why = if is_slower {
            "all are in use, and the downstream became slower: fewer at once may be served faster"
        } else {
            "all are in use and callers wait; what more would do is not known and can be tried"
        };
        Some(view.decide(size, why))
    }
}
