//! `topk` and `bottomk`: of each group a few candidates a step are kept, however many series it has.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::OnceLock;

use kandela_model::Labels;

use super::annotations::Note;
use super::control::Control;
use super::groups::Groups;
use super::stream::Stream;
use super::value::{Column, Grid, Series, Value, is_absent};
use super::{Evaluated, Evaluator, failed, labels};
use crate::ast::{Aggregate, AggregateOp, Span};
use crate::floats::shortest;

/// Candidates beyond those wanted, after which the worst are dropped.
const SPARE: usize = 16;

/// A value, and which series has it.
type Candidate = (f64, usize);

/// How candidates compare, the best first: NaN last, equal values by labels.
struct Order<'a> {
    stream: &'a dyn Stream,
    is_top: bool,
    /// The place of each series among all by labels, from the first equal values on. Few steps are cheaper without.
    places: Option<OnceLock<Vec<u32>>>,
}

/// Steps from which it pays to sort all labels once.
const WORTH_SORTING: usize = 16;

impl<'a> Order<'a> {
    fn new(stream: &'a dyn Stream, op: AggregateOp, steps: usize) -> Self {
        let places = (steps >= WORTH_SORTING).then(OnceLock::new);
        Self { stream, is_top: op == AggregateOp::Topk, places }
    }

    fn compare(&self, (a, of_a): &Candidate, (b, of_b): &Candidate) -> Ordering {
        let by_value = if self.is_top { b.partial_cmp(a) } else { a.partial_cmp(b) };
        let by_labels = || match &self.places {
            Some(places) => {
                let places = places.get_or_init(|| self.sorted());
                places.get(*of_a).cmp(&places.get(*of_b))
            }
            None => self.labels(*of_a, *of_b),
        };
        a.is_nan().cmp(&b.is_nan()).then(by_value.unwrap_or(Ordering::Equal)).then_with(by_labels)
    }

    fn labels(&self, a: usize, b: usize) -> Ordering {
        labels::compare(self.stream.labels(a), self.stream.labels(b))
    }

    fn sorted(&self) -> Vec<u32> {
        let mut in_order: Vec<usize> = (0..self.stream.len()).collect();
        in_order.sort_unstable_by(|a, b| self.labels(*a, *b));
        let mut places = vec![0; in_order.len()];
        for (place, index) in in_order.into_iter().enumerate() {
            if let Some(of_index) = places.get_mut(index) {
                *of_index = place as u32;
            }
        }
        places
    }
}

/// Candidates of one group at one step.
#[derive(Clone, Default)]
struct Best {
    candidates: Vec<Candidate>,
    /// Once as many as wanted are there: the worst of them, which a new one must beat.
    worst: Option<Candidate>,
}

impl Best {
    /// Whether `candidate` is one for now.
    fn add(&mut self, candidate: Candidate, k: usize, order: &Order<'_>) -> bool {
        let beaten = |worst: Candidate| order.compare(&candidate, &worst) != Ordering::Less;
        if k == 0 || self.worst.is_some_and(beaten) {
            return false;
        }
        self.candidates.push(candidate);
        if self.candidates.len() >= k.saturating_mul(2).saturating_add(SPARE) {
            self.prune(k, order);
        }
        true
    }

    /// Leaves the `k` best, the worst of them last.
    fn prune(&mut self, k: usize, order: &Order<'_>) {
        if let Some(last) = k.checked_sub(1).filter(|last| *last < self.candidates.len()) {
            let (_, worst, _) = self.candidates.select_nth_unstable_by(last, |a, b| order.compare(a, b));
            self.worst = Some(*worst);
        }
        self.candidates.truncate(k);
    }
}

/// A piece of the stream: candidates by group and step, and whether there were histograms.
struct Piece<'a> {
    groups: Groups<'a, Vec<Best>>,
    saw_histograms: bool,
}

impl Evaluator {
    pub(super) fn ranked(
        &mut self,
        aggregate: &Aggregate,
        params: &[f64],
        span: Span,
        grid: Grid,
    ) -> Evaluated {
        let Aggregate { op, expr, grouping, .. } = aggregate;
        let wanted = counts(params)?;
        let stream = self.stream(expr, grid)?;
        let order = Order::new(&*stream, *op, grid.count);
        let control = self.control.clone();
        let delayed = self.options.delayed_name_removal;
        let pieces = self.fold(
            &*stream,
            grid,
            || Piece { groups: Groups::new(grouping), saw_histograms: false },
            |piece: &mut Piece<'_>, index, column: &mut Column| {
                piece.saw_histograms |=
                    column.histograms.iter().zip(&wanted).any(|(histogram, k)| histogram.is_some() && *k > 0);
                let has_name = delayed || !stream.drops_name(index);
                let group =
                    piece.groups.of(stream.labels(index), has_name, || vec![Best::default(); grid.count]);
                let Some(group) = group else { return Ok(()) };
                let mut added = 0;
                for ((value, best), k) in column.floats.iter().zip(group).zip(&wanted) {
                    added += usize::from(!is_absent(*value) && best.add((*value, index), *k, &order));
                }
                control.hold(added, added * size_of::<Candidate>())
            },
        )?;
        let mut groups: Groups<'_, Vec<Best>> = Groups::new(grouping);
        let mut saw_histograms = false;
        for piece in pieces {
            saw_histograms |= piece.saw_histograms;
            groups.merge(piece.groups, |here, there| {
                for ((here, there), k) in here.iter_mut().zip(there).zip(&wanted) {
                    here.candidates.extend(there.candidates);
                    here.prune(*k, &order);
                }
            });
        }
        if saw_histograms {
            self.note(Note::HistogramIgnoredInAggregation(op.name()), span);
        }
        chosen(groups.found, &wanted, &order, (grid, &control)).map(Value::Vector)
    }
}

/// The candidates that are chosen, as series in the order of their first choice.
fn chosen(
    groups: Vec<(Labels, Vec<Best>)>,
    wanted: &[usize],
    order: &Order<'_>,
    (grid, control): (Grid, &Control),
) -> Evaluated<Vec<Series>> {
    let mut series: Vec<Series> = Vec::new();
    let mut places: HashMap<usize, usize> = HashMap::new();
    for (_, at_steps) in groups {
        for ((n, mut best), k) in at_steps.into_iter().enumerate().zip(wanted) {
            best.candidates.sort_unstable_by(|a, b| order.compare(a, b));
            for (value, index) in best.candidates.into_iter().take(*k) {
                let place = match places.entry(index) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(new) => {
                        let labels = order.stream.labels(index).clone();
                        series.push(control.series(labels, order.stream.drops_name(index), grid.count)?);
                        *new.insert(series.len() - 1)
                    }
                };
                if let Some(out) = series.get_mut(place) {
                    out.set_float(n, value);
                }
            }
        }
    }
    Ok(series)
}

/// From where on a number is no count: Prometheus takes the greatest float below 2^63.
const TOO_MANY: f64 = 9_223_372_036_854_774_784.0;

/// How many are wanted at each step.
pub(super) fn counts(params: &[f64]) -> Evaluated<Vec<usize>> {
    if params.iter().any(|param| param.is_nan()) {
        return failed("Parameter value is NaN");
    }
    if params.iter().any(|param| *param >= 1.0) {
        if let Some(least) = params.iter().copied().reduce(f64::min).filter(|least| *least <= -TOO_MANY) {
            return failed(format!("Scalar value {} underflows int64", shortest(least)));
        }
        if let Some(most) = params.iter().copied().reduce(f64::max).filter(|most| *most >= TOO_MANY) {
            return failed(format!("Scalar value {} overflows int64", shortest(most)));
        }
    }
    Ok(params.iter().map(|param| if *param < 1.0 { 0 } else { *param as usize }).collect())
}
