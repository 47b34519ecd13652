//! Descent of a function that is a sum: each term depends on one coordinate of some basis and is searched by itself.
//!
//! Between samples of a line the next point is that of the parabola through the best three, with Brent's safeguards (*Algorithms for
//! Minimization without Derivatives*, 1973, chapter 5), where one valley is being followed, and that of Swarzberg, Seront & Bersini's
//! STEP (*The easiest way to optimize a function*, ICEC 1994) where there may be several: the interval in which the least curvature would
//! reach below the best. Pošík & Baudiš joined the two for separable functions (*Dimension Selection in Axis-Parallel Brent-STEP Method*,
//! GECCO 2015). Here the valley with most left to gain is followed first, and lines whose terms turn out to move with the others are
//! begun anew.

use nalgebra::{DMatrix, DVector};

use super::frame::Frame;
use super::story::{Laboratory, Sample};

/// Where the lines begin.
pub(super) struct Start {
    pub(super) origin: Sample,
    /// The directions, as orthonormal columns.
    pub(super) basis: DMatrix<f64>,
    /// What is known of each term: distances from the origin along its direction, and values there.
    pub(super) known: Vec<Vec<(f64, f64)>>,
    /// Whether terms may have valleys anywhere; else the one that they begin in is followed first.
    pub(super) wide: bool,
}

/// How the lines ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// There is nothing left to gain along any of them, or no budget.
    Bottom,
    /// Bounds tie lines to each other: they can't be followed one by one from there.
    Tied,
    /// Terms move with each other: it is no sum.
    Coupled,
}

/// Samples that a line gets before it is told whether it has several valleys.
const SURVEYED: usize = 9;
/// Evaluations that it takes to follow a valley to its bottom: what is kept back for each line.
const FOLLOWING: usize = 12;

struct Search<'a> {
    laboratory: &'a Laboratory,
    frame: &'a Frame,
    origin: DVector<f64>,
    basis: DMatrix<f64>,
    at: DVector<f64>,
    best: Sample,
    lines: Vec<Line>,
    restarts: usize,
    /// Steps towards a bound that other lines could move.
    pressed: usize,
}

#[derive(Clone, Debug)]
struct Line {
    /// By place; each with its value in excess of some constant.
    samples: Vec<(f64, f64)>,
    /// How far the first step goes.
    step: f64,
    /// Whether another line moved since the last sample.
    disturbed: bool,
}

/// Follows the lines until nothing is left to gain or the budget is spent, and gives the best point.
pub(super) async fn follow(laboratory: &Laboratory, frame: &Frame, start: Start) -> (Sample, End) {
    let n = frame.dimension();
    let line = |known: &Vec<(f64, f64)>| {
        let mut samples = known.clone();
        samples.push((0.0, start.origin.value));
        samples.sort_by(|a, b| a.0.total_cmp(&b.0));
        samples.dedup_by(|a, b| a.0 == b.0);
        let widest = known.iter().map(|(t, _)| t.abs()).fold(0.0, f64::max);
        Line { samples, step: if widest > 0.0 { widest } else { 0.05 }, disturbed: false }
    };
    let lines: Vec<Line> = start.known.iter().map(line).collect();
    let origin = frame.inner(&start.origin.point);
    let mut search = Search {
        laboratory,
        frame,
        origin,
        basis: start.basis,
        at: DVector::zeros(n),
        best: start.origin,
        lines,
        restarts: 0,
        pressed: 0,
    };
    search.take_known().await;
    if start.wide {
        search.survey().await;
        if search.lines.iter().any(Line::has_valleys) {
            search.explore(|remaining| remaining > n * FOLLOWING, usize::MAX).await;
        }
    }
    loop {
        let before = search.best.value;
        search.descend().await;
        if let Some(end) = search.stuck() {
            return (search.best, end);
        }
        if laboratory.remaining() == 0 {
            break;
        }
        if start.wide {
            let found = search.best.value;
            search.explore(|remaining| remaining > 0, 6 * n).await;
            if search.best.value >= found {
                break;
            }
        } else {
            if before - search.best.value <= 1e-9 * before.abs().min(1.0) {
                break;
            }
            search.begin_anew();
        }
    }
    (search.best, End::Bottom)
}

impl Search<'_> {
    fn stuck(&self) -> Option<End> {
        let n = self.lines.len();
        if self.restarts > n { Some(End::Coupled) } else { (self.pressed > n).then_some(End::Tied) }
    }

    /// Goes where the known samples of each line are lowest, if that is as low as the terms say.
    async fn take_known(&mut self) {
        let lowest = |line: &Line| {
            line.samples.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0.0, 0.0))
        };
        let places: Vec<f64> = self.lines.iter().map(|line| lowest(line).0).collect();
        let target = DVector::from_vec(places);
        if target == self.at || !self.inside(&target) {
            return;
        }
        if let Some(value) = self.value_at(&target).await
            && value < self.best.value
        {
            self.move_to(target, value);
        }
    }

    /// Spreads samples over each line.
    async fn survey(&mut self) {
        for index in 0..self.lines.len() {
            while self.lines[index].samples.len() < SURVEYED && self.laboratory.remaining() > 0 {
                let (low, high) = self.range(index);
                let place = self.lines[index].widest_gap(low, high);
                self.sample(index, place).await;
            }
        }
    }

    /// Looks for other valleys, at most `most` times, while `may` holds for what is left of the budget.
    async fn explore(&mut self, may: impl Fn(usize) -> bool, most: usize) {
        for _ in 0..most {
            if !may(self.laboratory.remaining()) {
                return;
            }
            let fewest = (0..self.lines.len()).min_by_key(|index| self.lines[*index].samples.len());
            let easiest = fewest.and_then(|index| Some((index, self.lines[index].easiest()?)));
            let Some((index, place)) = easiest else { return };
            self.sample(index, place).await;
        }
    }

    /// Follows valleys down, the one with most to gain first.
    async fn descend(&mut self) {
        while self.laboratory.remaining() > 0 {
            let precision = 2e-16 * self.best.value.abs();
            let candidate = |index: usize| {
                let (low, high) = self.range(index);
                let (place, gain) = self.lines[index].down(self.at[index], low, high)?;
                (gain > precision).then_some((index, place, gain))
            };
            let most = (0..self.lines.len()).filter_map(candidate).max_by(|a, b| a.2.total_cmp(&b.2));
            let Some((index, place, _)) = most else { return };
            let (low, high) = self.range(index);
            let oblique = self.basis.column(index).iter().filter(|d| d.abs() > 1e-12).count() > 1;
            let at_bound = self.at[index] <= low + 1e-12 || self.at[index] >= high - 1e-12;
            self.pressed += usize::from(oblique && at_bound);
            if self.stuck().is_some() {
                return;
            }
            let bracket = self.lines[index].bracket(self.at[index]);
            let was_disturbed = self.lines[index].disturbed;
            let Some(excess) = self.sample(index, place).await else { continue };
            if let Some((left, right)) = bracket
                && was_disturbed
                && place > left.0
                && place < right.0
                && excess > left.1.max(right.1)
            {
                self.restarts += 1;
                self.restart(index, 0.5 * (right.0 - left.0));
            }
        }
    }

    fn begin_anew(&mut self) {
        for index in 0..self.lines.len() {
            let width = self.lines[index].samples.windows(2).map(|pair| pair[1].0 - pair[0].0);
            let finest = width.fold(f64::INFINITY, f64::min);
            let step = if finest.is_finite() { (100.0 * finest).clamp(1e-7, 1e-2) } else { 1e-3 };
            self.restart(index, step);
        }
    }

    fn restart(&mut self, index: usize, step: f64) {
        self.lines[index] = Line { samples: vec![(self.at[index], 0.0)], step, disturbed: false };
    }

    /// Measures with line `index` at `place`, the others where they are; gives the excess there.
    async fn sample(&mut self, index: usize, place: f64) -> Option<f64> {
        let mut target = self.at.clone();
        target[index] = place;
        let here = self.lines[index].excess(self.at[index]);
        let value = self.value_at(&target).await;
        let excess = value.map_or(f64::INFINITY, |value| value - self.best.value + here);
        self.lines[index].insert(place, excess);
        self.lines[index].disturbed = false;
        if let Some(value) = value.filter(|value| *value < self.best.value) {
            self.move_to(target, value);
            for (other, line) in self.lines.iter_mut().enumerate() {
                line.disturbed |= other != index;
            }
        }
        value.map(|_| excess)
    }

    fn move_to(&mut self, target: DVector<f64>, value: f64) {
        let point = self.frame.point(&self.place(&target));
        self.at = target;
        self.best = Sample { point: self.laboratory.space().snap(&point), value };
    }

    async fn value_at(&self, target: &DVector<f64>) -> Option<f64> {
        self.laboratory.focus(&self.best.point, 0.05);
        self.laboratory.measure(&self.frame.point(&self.place(target))).await
    }

    fn place(&self, target: &DVector<f64>) -> DVector<f64> {
        &self.origin + &self.basis * target
    }

    fn inside(&self, target: &DVector<f64>) -> bool {
        self.place(target).iter().all(|u| (-1e-12..=1.0 + 1e-12).contains(u))
    }

    /// How far line `index` reaches within the bounds while the others stay.
    fn range(&self, index: usize) -> (f64, f64) {
        let here = self.place(&self.at);
        let direction = self.basis.column(index);
        let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
        for (u, d) in here.iter().zip(direction.iter()) {
            if d.abs() > 1e-12 {
                let (one, two) = ((0.0 - u) / d, (1.0 - u) / d);
                low = low.max(one.min(two));
                high = high.min(one.max(two));
            }
        }
        (self.at[index] + low.min(0.0), self.at[index] + high.max(0.0))
    }
}

impl Line {
    fn insert(&mut self, place: f64, excess: f64) {
        let after = self.samples.partition_point(|(t, _)| *t < place);
        self.samples.insert(after, (place, excess));
    }

    fn excess(&self, place: f64) -> f64 {
        self.samples.iter().find(|(t, _)| *t == place).map_or(0.0, |(_, excess)| *excess)
    }

    /// Whether the samples fall and rise more than once.
    fn has_valleys(&self) -> bool {
        let excesses: Vec<f64> = self.samples.iter().map(|(_, excess)| *excess).collect();
        let lower = |i: usize, j: Option<usize>| {
            j.and_then(|j| excesses.get(j)).is_none_or(|other| excesses[i] < *other)
        };
        (0..excesses.len()).filter(|i| lower(*i, i.checked_sub(1)) && lower(*i, Some(i + 1))).count() > 1
    }

    fn widest_gap(&self, low: f64, high: f64) -> f64 {
        if self.samples.first().is_none_or(|(t, _)| *t > low + 1e-9) {
            return low;
        }
        if self.samples.last().is_none_or(|(t, _)| *t < high - 1e-9) {
            return high;
        }
        let widest = self.samples.windows(2).max_by(|a, b| (a[1].0 - a[0].0).total_cmp(&(b[1].0 - b[0].0)));
        widest.map_or(low, |pair| 0.5 * (pair[0].0 + pair[1].0))
    }

    /// Where the least curvature would reach below the best.
    fn easiest(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.samples.iter().map(|(_, e)| *e).filter(|e| e.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (lowest, middle) = (*sorted.first()?, sorted[sorted.len() / 2]);
        let target = lowest - 0.002 * (middle - lowest) - f64::MIN_POSITIVE;
        let difficulty = |pair: &[(f64, f64)]| {
            let (left, right) = ((pair[0].1 - target).sqrt(), (pair[1].1 - target).sqrt());
            let width = pair[1].0 - pair[0].0;
            let lean = if left + right > 0.0 { left / (left + right) } else { 0.5 };
            let place = pair[0].0 + width * lean.clamp(0.25, 0.75);
            ((left + right) / width, place, width)
        };
        let intervals = self.samples.windows(2).map(difficulty);
        let open = intervals.filter(|(difficulty, _, width)| difficulty.is_finite() && *width > 1e-7);
        open.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, place, _)| place)
    }

    fn bracket(&self, at: f64) -> Option<((f64, f64), (f64, f64))> {
        let here = self.samples.iter().position(|(t, _)| *t == at)?;
        Some((*self.samples.get(here.checked_sub(1)?)?, *self.samples.get(here + 1)?))
    }

    /// The next place down the valley around `at`, and about how much there is to gain; none where the bottom is reached.
    fn down(&self, at: f64, low: f64, high: f64) -> Option<(f64, f64)> {
        let here = self.samples.iter().position(|(t, _)| *t == at)?;
        let best = self.samples[here];
        let left = here.checked_sub(1).map(|i| self.samples[i]);
        let right = self.samples.get(here + 1).copied();
        match (left, right) {
            (Some(left), Some(right)) => inside(left, best, right),
            (None, right) if at > low + 1e-12 => {
                Some((beyond(at, right.map(|r| r.0), self.step, -1.0).max(low), f64::INFINITY))
            }
            (left, None) if at < high - 1e-12 => {
                Some((beyond(at, left.map(|l| l.0), self.step, 1.0).min(high), f64::INFINITY))
            }
            // At a bound: nearer to it may be lower still.
            (None, Some(other)) | (Some(other), None) => {
                let near = (other.0 - at).abs() < 1e-4;
                (!near).then_some((at + 0.1 * (other.0 - at), 0.01 * (other.1 - best.1)))
            }
            (None, None) => None,
        }
    }
}

/// Twice as far as the last step, the other way from where it came.
fn beyond(at: f64, other: Option<f64>, step: f64, side: f64) -> f64 {
    at + side * other.map_or(step, |other| 2.0 * (other - at).abs())
}

/// The next place between `left` and `right`, of which `best` is lower, and about how much there is to gain.
fn inside(left: (f64, f64), best: (f64, f64), right: (f64, f64)) -> Option<(f64, f64)> {
    let (a, b) = (best.0 - left.0, right.0 - best.0);
    let width = a + b;
    if width < 1e-11 {
        return None;
    }
    let (rise_left, rise_right) = (left.1 - best.1, right.1 - best.1);
    let larger = if a > b { best.0 - 0.38 * a } else { best.0 + 0.38 * b };
    let curvature = (rise_left / a + rise_right / b) / width;
    let slope = (rise_right / b * a - rise_left / a * b) / width;
    let shallow = 0.05 * rise_left.min(rise_right);
    if !(curvature.is_finite() && curvature > 0.0) {
        return Some((larger, if shallow.is_finite() { shallow } else { f64::MAX }));
    }
    let step = -0.5 * slope / curvature;
    let gain = 0.25 * slope * slope / curvature + shallow;
    // One side that is much wider than the other tells little: it is cut first.
    let lopsided = a.max(b) > 30.0 * a.min(b);
    let least = 0.02 * a.min(b).max(0.01 * width);
    let place = if lopsided && step.abs() < 0.3 * a.min(b) {
        // Just across the best, so that the wide side falls away.
        if a > b { best.0 - 2.0 * b.min(0.3 * a) } else { best.0 + 2.0 * a.min(0.3 * b) }
    } else if step.abs() < least {
        best.0 + if a > b { -least } else { least }
    } else {
        best.0 + step.clamp(-0.7 * a, 0.7 * b)
    };
    Some((place, gain))
}
