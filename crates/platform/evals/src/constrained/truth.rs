//! What only the maker of a problem knows: the best that can be reached, and the greatest rate of change.

use std::collections::VecDeque;

use kandela_tune::random::{Random, seeded};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::problem::{Limit, Problem};

/// The lowest objective where all constraints are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Optimum {
    /// In the whole space.
    pub(crate) anywhere: f64,
    /// In the part that a path of kept points joins to the start.
    pub(crate) joined: f64,
}

/// Both optima, as far as some thousand points and a climb from the best of them tell.
pub(crate) fn optimum(problem: &Problem, number: u64) -> Optimum {
    let mut random = seeded(number, 78);
    let axes = problem.start.len();
    let mut points = vec![problem.start.clone()];
    points.extend(
        (0..4000)
            .map(|_| (0..axes).map(|_| random.random()).collect::<Vec<f64>>())
            .map(|point| problem.snapped(&point)),
    );
    points.retain(|point| problem.kept(point));
    let joined = reached(problem, &points);
    let of = |which: &dyn Fn(usize) -> bool, random: &mut Random| {
        let mut chosen: Vec<&Vec<f64>> =
            (0..points.len()).filter(|i| which(*i)).map(|i| &points[i]).collect();
        chosen.sort_by(|a, b| problem.objective(a).total_cmp(&problem.objective(b)));
        let climbs = chosen.iter().take(8).map(|from| climb(problem, from, random));
        climbs.fold(f64::INFINITY, f64::min)
    };
    let joined = of(&|i| joined[i], &mut random);
    let anywhere = of(&|_| true, &mut random).min(joined);
    let snapped = |best: f64| best.min(problem.objective(&problem.start));
    Optimum { anywhere: snapped(anywhere), joined: snapped(joined) }
}

/// Which of the points a chain of kept segments between neighbours joins to the first.
fn reached(problem: &Problem, points: &[Vec<f64>]) -> Vec<bool> {
    let mut joined = vec![false; points.len()];
    joined[0] = true;
    let mut waiting = VecDeque::from([0]);
    while let Some(at) = waiting.pop_front() {
        let mut near: Vec<(f64, usize)> =
            (0..points.len()).filter(|i| !joined[*i]).map(|i| (square(&points[at], &points[i]), i)).collect();
        let nearest = near.len().min(12);
        if nearest < near.len() {
            near.select_nth_unstable_by(nearest, |a, b| a.0.total_cmp(&b.0));
        }
        for (_, next) in near.into_iter().take(nearest) {
            if kept_between(problem, &points[at], &points[next]) {
                joined[next] = true;
                waiting.push_back(next);
            }
        }
    }
    joined
}

fn kept_between(problem: &Problem, a: &[f64], b: &[f64]) -> bool {
    (1..=12).all(|step| {
        let part = f64::from(step) / 12.0;
        problem
            .kept(&problem.snapped(&a.iter().zip(b).map(|(a, b)| a + part * (b - a)).collect::<Vec<f64>>()))
    })
}

/// Downhill by random steps that stay within what is kept.
fn climb(problem: &Problem, from: &[f64], random: &mut Random) -> f64 {
    let (mut at, mut value, mut step) = (from.to_vec(), problem.objective(from), 0.1);
    for _ in 0..1500 {
        let next: Vec<f64> = (at.iter())
            .map(|x| {
                let z: f64 = StandardNormal.sample(random);
                (x + step * z).clamp(0.0, 1.0)
            })
            .collect();
        let next = problem.snapped(&next);
        let lower = problem.objective(&next);
        if lower < value && kept_between(problem, &at, &next) {
            (at, value) = (next, lower);
            step = f64::min(step * 1.6, 0.3);
        } else {
            step = f64::max(step * 0.95, 1e-4);
        }
    }
    value
}

/// The greatest slope of a constraint's quantity in any direction where it is kept, as far as some thousand points tell.
pub(crate) fn steepest(limit: &Limit, axes: usize, number: u64) -> f64 {
    const STEP: f64 = 1e-4;
    let mut random = seeded(number, 79);
    let slope = |p: &[f64]| {
        let along = |k: usize| {
            let (mut low, mut high) = (p.to_vec(), p.to_vec());
            low[k] = (low[k] - STEP).max(0.0);
            high[k] = (high[k] + STEP).min(1.0);
            (limit.margin(&high) - limit.margin(&low)) / (high[k] - low[k])
        };
        (0..axes).map(|k| along(k).powi(2)).sum::<f64>().sqrt()
    };
    let sample = (0..3000).map(|_| (0..axes).map(|_| random.random()).collect::<Vec<f64>>());
    sample.filter(|p| limit.margin(p) >= 0.0).map(|p| slope(&p)).fold(0.0, f64::max)
}

fn square(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}
