//! Strategies told as stories: code that measures a point and goes on with the value, turned into ask and tell.
//!
//! A search like a trust region is a straight line of reasoning with loops in it; as a state machine it would be unreadable. Here it is
//! an `async` function that awaits each measurement. [`Story`] polls it when it is asked, hands out the points that it wants, and gives
//! it the values as they come. No executor is involved, and nothing runs by itself.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::Brief;
use crate::history::{History, Trial};
use crate::random::{Random, seeded};
use crate::space::{Axis, Space};

/// A point and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) point: Vec<f64>,
    pub(super) value: f64,
}

/// What a story measures with. Clones are the same laboratory.
#[derive(Clone)]
pub(super) struct Laboratory {
    desk: Arc<Mutex<Desk>>,
    space: Arc<Space>,
    budget: Option<usize>,
}

/// A story that is being told.
pub(super) struct Story {
    laboratory: Laboratory,
    /// None once it has ended.
    plot: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// For points beyond what the story wants.
    random: Random,
}

/// After so many wishes in a row that were answered from memory, points are measured again: a story must not turn in circles.
const REMEMBERED_IN_A_ROW: usize = 24;

#[derive(Default)]
struct Desk {
    wishes: Vec<Wish>,
    /// All feasible measurements, whoever asked for them.
    samples: Vec<Sample>,
    /// Trials that were begun, whoever asked for them.
    begun: usize,
    /// Trials of the history that are known to have ended, as far as there is no gap, and which ended after one.
    settled: usize,
    early: Vec<u64>,
    /// Sum of squared standard errors, and how many were told.
    noise: (f64, usize),
    remembered: usize,
    /// Where else it is worth measuring while wishes are pending.
    focus: Option<(Vec<f64>, f64)>,
}

struct Wish {
    point: Vec<f64>,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Waiting,
    Asked,
    Known(Option<f64>),
    /// The story has heard of it.
    Done,
}

impl Story {
    /// The story that `tell` tells with a laboratory of that brief.
    pub(super) fn new<F>(brief: &Brief, tell: impl FnOnce(Laboratory) -> F) -> Story
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let space = Arc::clone(&brief.space);
        let laboratory = Laboratory { desk: Arc::default(), space, budget: brief.budget };
        let plot: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(tell(laboratory.clone()));
        Story { laboratory, plot: Some(plot), random: seeded(brief.seed, 0x57) }
    }

    /// The point that the story wants next; while it waits for others, a point near them.
    pub(super) fn ask(&mut self, seen: &History) -> Vec<f64> {
        self.go_on(seen);
        let mut desk = self.laboratory.desk();
        if let Some(wish) = desk.wishes.iter_mut().find(|wish| wish.state == State::Waiting) {
            wish.state = State::Asked;
            return wish.point.clone();
        }
        let focus = desk.focus.clone();
        drop(desk);
        self.beside(focus)
    }

    /// Takes what came of a point that was asked for.
    pub(super) fn tell(&mut self, seen: &History, trial: &Trial) {
        let mut desk = self.laboratory.desk();
        desk.learn(seen);
        let asked = |wish: &&mut Wish| wish.state == State::Asked && wish.point == trial.point;
        if let Some(wish) = desk.wishes.iter_mut().find(asked) {
            wish.state = State::Known(trial.feasible().map(|measured| measured.value));
        }
    }

    /// Whether the story has ended: it wants nothing any more.
    pub(super) fn is_over(&mut self, seen: &History) -> bool {
        self.go_on(seen);
        self.plot.is_none()
    }

    /// Tells the story as far as it goes with what is known.
    fn go_on(&mut self, seen: &History) {
        self.laboratory.desk().learn(seen);
        if let Some(plot) = &mut self.plot
            && plot.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
        {
            self.plot = None;
        }
    }

    fn beside(&mut self, focus: Option<(Vec<f64>, f64)>) -> Vec<f64> {
        let random = &mut self.random;
        let Some((centre, radius)) = focus else {
            return (0..self.laboratory.space.axes().len()).map(|_| random.random()).collect();
        };
        let direction: Vec<f64> = centre.iter().map(|_| StandardNormal.sample(random)).collect();
        let length = direction.iter().map(|d: &f64| d * d).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        let beside = centre.iter().zip(&direction).map(|(x, d)| (x + radius * d / length).clamp(0.0, 1.0));
        let mut point: Vec<f64> = beside.collect();
        for (u, axis) in point.iter_mut().zip(self.laboratory.space.axes()) {
            // Categories have no neighbours: one in five goes elsewhere.
            if matches!(axis, Axis::Category(_)) && random.random_bool(0.2) {
                *u = random.random();
            }
        }
        point
    }
}

impl Desk {
    fn learn(&mut self, seen: &History) {
        self.begun = seen.trials().len();
        let fresh: Vec<&Trial> = seen.trials()[self.settled..]
            .iter()
            .filter(|trial| trial.outcome.is_some() && !self.early.contains(&trial.id))
            .collect();
        for trial in fresh {
            if let Some(measured) = trial.feasible() {
                self.samples.push(Sample { point: trial.point.clone(), value: measured.value });
                if let Some(noise) = measured.noise.filter(|noise| noise.is_finite()) {
                    self.noise = (self.noise.0 + noise * noise, self.noise.1 + 1);
                }
            }
            self.early.push(trial.id);
        }
        while seen.trials().get(self.settled).is_some_and(|trial| trial.outcome.is_some()) {
            self.settled += 1;
        }
        let settled = self.settled as u64;
        self.early.retain(|id| *id >= settled);
    }
}

impl Laboratory {
    /// The value at `point`, coordinates beyond the cube being drawn in; none where it failed or broke a constraint.
    pub(super) async fn measure(&self, point: &[f64]) -> Option<f64> {
        let wished = self.wish(point);
        self.answer(wished).await
    }

    /// The values at all of the points, which may be measured at the same time.
    pub(super) async fn measure_all(&self, points: &[Vec<f64>]) -> Vec<Option<f64>> {
        let wished: Vec<usize> = points.iter().map(|point| self.wish(point)).collect();
        let mut values = Vec::with_capacity(wished.len());
        for wish in wished {
            values.push(self.answer(wish).await);
        }
        values
    }

    /// All feasible measurements so far.
    pub(super) fn samples(&self) -> Vec<Sample> {
        self.desk().samples.clone()
    }

    /// The lowest of them.
    pub(super) fn lowest(&self) -> Option<Sample> {
        let desk = self.desk();
        desk.samples.iter().min_by(|a, b| a.value.total_cmp(&b.value)).cloned()
    }

    /// How many more trials there will be; a great many, where nobody said.
    pub(super) fn remaining(&self) -> usize {
        self.budget.unwrap_or(1 << 40).saturating_sub(self.desk().begun)
    }

    /// The standard error of a measurement, as told; 0 where none was.
    pub(super) fn noise(&self) -> f64 {
        let (sum, count) = self.desk().noise;
        if count == 0 { 0.0 } else { (sum / count as f64).sqrt() }
    }

    /// Where points are worth measuring while the story waits.
    pub(super) fn focus(&self, centre: &[f64], radius: f64) {
        self.desk().focus = Some((centre.to_vec(), radius));
    }

    /// The space.
    pub(super) fn space(&self) -> &Space {
        &self.space
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wish(&self, point: &[f64]) -> usize {
        let sound: Vec<f64> = point.iter().map(|u| if u.is_nan() { 0.5 } else { *u }).collect();
        let point = self.space.snap(&sound);
        let discrete = self.space.axes().iter().all(|axis| *axis != Axis::Real);
        let mut desk = self.desk();
        let known = desk.samples.iter().find(|sample| discrete && sample.point == point).map(|s| s.value);
        let state = match known {
            Some(value) if desk.remembered < REMEMBERED_IN_A_ROW => {
                desk.remembered += 1;
                State::Known(Some(value))
            }
            _ => {
                desk.remembered = 0;
                State::Waiting
            }
        };
        desk.wishes.push(Wish { point, state });
        desk.wishes.len() - 1
    }

    async fn answer(&self, wish: usize) -> Option<f64> {
        poll_fn(|_| {
            let mut desk = self.desk();
            match desk.wishes[wish].state {
                State::Known(value) => {
                    desk.wishes[wish].state = State::Done;
                    Poll::Ready(value)
                }
                _ => Poll::Pending,
            }
        })
        .await
    }
}
