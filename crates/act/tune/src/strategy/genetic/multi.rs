//! Several objectives at once: which points nobody beats in all of them.
//!
//! ```
//! use std::sync::Arc;
//! use kandela_tune::strategy::genetic::multi::{Nsga2, Objectives};
//! use kandela_tune::strategy::Brief;
//!
//! let space = serde_json::from_str(r#"{"x": {"type": "float", "min": -2, "max": 4}}"#).unwrap();
//! let brief = Brief { space: Arc::new(space), budget: Some(200), seed: 1, constraints: [].into() };
//! let mut search = Nsga2::new(&brief);
//! for _ in 0..200 {
//!     let asked = search.ask();
//!     let x: f64 = asked.config["x"].to_string().parse().unwrap();
//!     search.tell(asked.id, Some(Objectives::new(vec![x * x, (x - 2.0).powi(2)]).unwrap())).unwrap();
//! }
//! assert!(search.front().members().len() > 20);
//! ```

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use kandela_algebra::merge::{Commutative, Idempotent, Merge};
use rand::Rng;

use super::super::design::Design;
use super::super::{Brief, DRAWS};
use super::variation;
use crate::history::History;
use crate::random::{Random, seeded};
use crate::space::Space;
use crate::study::Asked;

/// The values of several objectives, each minimised.
#[derive(Clone, Debug, PartialEq)]
pub struct Objectives(Vec<f64>);

/// What can't be taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MultiError {
    /// No values, or one that is no number.
    #[error(
        "{0:?} are no values to minimise; give one finite number for each objective, or tell that the trial failed"
    )]
    NotFinite(Vec<f64>),
    /// Not as many values as the trials before had.
    #[error(
        "trial {id} has {given} values, where those before had {expected}; tell every objective of every trial"
    )]
    Count {
        /// The trial.
        id: u64,
        /// How many values it has.
        given: usize,
        /// How many it should have.
        expected: usize,
    },
    /// No trial of that number is under way.
    #[error("no trial {0} is under way: each is told once, by the number that it was asked with")]
    NotUnderWay(u64),
}

impl Objectives {
    /// These values.
    ///
    /// # Errors
    /// [`MultiError::NotFinite`], also where there are none.
    pub fn new(values: Vec<f64>) -> Result<Objectives, MultiError> {
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return Err(MultiError::NotFinite(values));
        }
        // One zero, so that equal values have one order.
        Ok(Objectives(values.into_iter().map(|value| value + 0.0).collect()))
    }

    /// The values, one for each objective.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// Whether it is nowhere worse than `other`, and better somewhere: a strict partial order. Values of other objectives, in another
    /// number, are neither.
    pub fn dominates(&self, other: &Objectives) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(a, b)| a <= b)
            && self.0.iter().zip(&other.0).any(|(a, b)| a < b)
    }

    fn order(&self, other: &Objectives) -> Ordering {
        let by_value = self.0.iter().zip(&other.0).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne());
        by_value.unwrap_or(Ordering::Equal)
    }
}

/// The points that no other point dominates, in the order of their values.
///
/// Fronts of parts merge to the front of the whole, in any order, and a part that is merged twice changes nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Front {
    members: Vec<(Objectives, Vec<f64>)>,
}

impl Front {
    /// The values of each member and its point of the unit cube.
    pub fn members(&self) -> &[(Objectives, Vec<f64>)] {
        &self.members
    }

    /// Takes a point in, unless one that is there dominates it.
    pub fn observe(&mut self, objectives: Objectives, point: Vec<f64>) {
        if self.members.iter().any(|(other, _)| other.dominates(&objectives)) {
            return;
        }
        self.members.retain(|(other, _)| !objectives.dominates(other));
        let of_points = |a: &[f64], b: &[f64]| {
            let by_coordinate = a.iter().zip(b).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne());
            by_coordinate.unwrap_or(Ordering::Equal)
        };
        let place =
            self.members.binary_search_by(|(o, p)| o.order(&objectives).then_with(|| of_points(p, &point)));
        if let Err(place) = place {
            self.members.insert(place, (objectives, point));
        }
    }
}

impl Merge for Front {
    fn empty(&self) -> Front {
        Front::default()
    }

    fn merge_from(&mut self, other: &Front) {
        for (objectives, point) in &other.members {
            self.observe(objectives.clone(), point.clone());
        }
    }
}

impl Commutative for Front {}
impl Idempotent for Front {}

/// Non-dominated sorting: the places of `all` in fronts, each dominated by members of those before it alone.
pub fn fronts(all: &[&Objectives]) -> Vec<Vec<usize>> {
    let mut beaten_by: Vec<usize> =
        all.iter().map(|one| all.iter().filter(|other| other.dominates(one)).count()).collect();
    let mut left: Vec<usize> = (0..all.len()).collect();
    let mut fronts = Vec::new();
    while !left.is_empty() {
        let (front, rest): (Vec<usize>, Vec<usize>) = left.iter().partition(|place| beaten_by[**place] == 0);
        for one in &rest {
            beaten_by[*one] -= front.iter().filter(|other| all[**other].dominates(all[*one])).count();
        }
        fronts.push(front);
        left = rest;
    }
    fronts
}

/// How much room each member of a front has: the sum, over objectives, of the gap between its neighbours as a share of the front's
/// range; infinite at the ends. Of values in different numbers the first count, as many as all have.
pub fn crowding(front: &[&Objectives]) -> Vec<f64> {
    let mut room = vec![0.0; front.len()];
    let mut by_value: Vec<usize> = (0..front.len()).collect();
    for objective in 0..front.iter().map(|one| one.0.len()).min().unwrap_or(0) {
        let value = |place: usize| front[place].0[objective];
        by_value.sort_by(|a, b| value(*a).total_cmp(&value(*b)));
        let (first, last) = (by_value[0], by_value[front.len() - 1]);
        let range = value(last) - value(first);
        for ends in [first, last] {
            room[ends] = f64::INFINITY;
        }
        if range > 0.0 {
            for three in by_value.windows(3) {
                room[three[1]] += (value(three[2]) - value(three[0])) / range;
            }
        }
    }
    room
}

/// NSGA-II (Deb, Pratap, Agarwal and Meyarivan, IEEE Transactions on Evolutionary Computation 6(2), 2002), one child at a time: a new
/// point takes the place of the worst of the population, by front and then by room.
#[derive(Clone, Debug)]
pub struct Nsga2 {
    space: Arc<Space>,
    design: Design,
    random: Random,
    size: usize,
    next: u64,
    pending: BTreeMap<u64, Vec<f64>>,
    /// Best first: by front, within it by room.
    population: Vec<(Objectives, Vec<f64>)>,
    front: Front,
}

impl Nsga2 {
    /// A search of the brief's space, for as many objectives as the first trial has.
    pub fn new(brief: &Brief) -> Nsga2 {
        Nsga2 {
            space: Arc::clone(&brief.space),
            design: Design::new(brief),
            random: seeded(brief.seed, 4),
            size: brief.budget.map_or(50, |budget| (budget / 5).clamp(10, 100)),
            next: 0,
            pending: BTreeMap::new(),
            population: Vec::new(),
            front: Front::default(),
        }
    }

    /// The next trial, also while others are under way.
    pub fn ask(&mut self) -> Asked {
        let proposed = self.propose();
        let point = self.space.snap(&proposed);
        let config = self.space.decode(&point);
        let id = self.next;
        self.next += 1;
        self.pending.insert(id, point);
        Asked { id, config }
    }

    /// Takes what came of trial `id`; `None` where it failed or broke a constraint.
    ///
    /// # Errors
    /// [`MultiError`]; the search then stands where it stood.
    pub fn tell(&mut self, id: u64, objectives: Option<Objectives>) -> Result<(), MultiError> {
        let given = objectives.as_ref().map(|objectives| objectives.0.len());
        let expected = self.population.first().map(|(first, _)| first.0.len());
        if let (Some(given), Some(expected)) = (given, expected)
            && given != expected
        {
            return Err(MultiError::Count { id, given, expected });
        }
        let point = self.pending.remove(&id).ok_or(MultiError::NotUnderWay(id))?;
        if let Some(objectives) = objectives {
            self.front.observe(objectives.clone(), point.clone());
            if !self.population.iter().any(|(_, known)| *known == point) {
                self.population.push((objectives, point));
                self.select();
            }
        }
        Ok(())
    }

    /// The points that no other point dominates, of all that were told.
    pub fn front(&self) -> &Front {
        &self.front
    }

    fn propose(&mut self) -> Vec<f64> {
        // Without a history it does not repeat its best point, which several objectives do not have.
        if let Some(point) = self.design.next(&History::default()) {
            return point;
        }
        if self.population.len() < 2 {
            return (0..self.space.axes().len()).map(|_| self.random.random()).collect();
        }
        let mut point = Vec::new();
        for _ in 0..DRAWS {
            let (a, b) = (self.tournament(), self.tournament());
            let pair = (self.population[a].1.as_slice(), self.population[b].1.as_slice());
            point = self.space.snap(&variation::child(&self.space, pair, &mut self.random));
            if !self.population.iter().any(|(_, known)| *known == point) {
                break;
            }
        }
        point
    }

    fn tournament(&mut self) -> usize {
        let count = self.population.len();
        self.random.random_range(0..count).min(self.random.random_range(0..count))
    }

    fn select(&mut self) {
        let all: Vec<&Objectives> = self.population.iter().map(|(objectives, _)| objectives).collect();
        let mut order = Vec::with_capacity(all.len());
        for front in fronts(&all) {
            let room = crowding(&front.iter().map(|place| all[*place]).collect::<Vec<_>>());
            let mut by_room: Vec<(usize, f64)> = front.into_iter().zip(room).collect();
            by_room.sort_by(|a, b| b.1.total_cmp(&a.1));
            order.extend(by_room.into_iter().map(|(place, _)| place));
        }
        order.truncate(self.size);
        self.population = order.into_iter().map(|place| self.population[place].clone()).collect();
    }
}

#[cfg(test)]
mod tests {
    use kandela_algebra::laws;
    use proptest::prelude::*;

    use super::*;

    fn objectives(values: &[f64]) -> Objectives {
        Objectives::new(values.to_vec()).expect("finite")
    }

    /// Few distinct values, so that ties and dominance both happen.
    fn any_objectives() -> impl Strategy<Value = Objectives> {
        prop::collection::vec(0..4_i32, 3)
            .prop_map(|values| objectives(&values.into_iter().map(f64::from).collect::<Vec<_>>()))
    }

    fn any_front() -> impl Strategy<Value = Front> {
        prop::collection::vec((any_objectives(), 0..3_i32), 0..6).prop_map(|points| {
            let mut front = Front::default();
            points.into_iter().for_each(|(o, at)| front.observe(o, vec![f64::from(at)]));
            front
        })
    }

    proptest! {
        #[test]
        fn dominance_is_a_strict_partial_order(a in any_objectives(), b in any_objectives(), c in any_objectives()) {
            prop_assert!(!a.dominates(&a));
            prop_assert!(!(a.dominates(&b) && b.dominates(&a)));
            prop_assert!(!(a.dominates(&b) && b.dominates(&c)) || a.dominates(&c));
        }

        #[test]
        fn fronts_merge_in_any_order_and_any_number_of_times(fronts in prop::collection::vec(any_front(), 3..5)) {
            prop_assert_eq!(laws::merge(fronts.clone()), Ok(()));
            prop_assert_eq!(laws::commutative(fronts.clone(), Front::eq), Ok(()));
            prop_assert_eq!(laws::idempotent(fronts), Ok(()));
        }

        #[test]
        fn a_front_holds_what_nobody_dominates_and_nothing_else(all in prop::collection::vec(any_objectives(), 1..12)) {
            let mut front = Front::default();
            all.iter().for_each(|one| front.observe(one.clone(), vec![]));
            for one in &all {
                let is_in = front.members().iter().any(|(member, _)| member == one);
                prop_assert_eq!(is_in, !all.iter().any(|other| other.dominates(one)));
            }
        }

        #[test]
        fn sorting_puts_each_point_right_behind_those_that_dominate_it(all in prop::collection::vec(any_objectives(), 1..12)) {
            let sorted = fronts(&all.iter().collect::<Vec<_>>());
            let rank = |place: usize| sorted.iter().position(|front| front.contains(&place));
            prop_assert_eq!(sorted.iter().map(Vec::len).sum::<usize>(), all.len());
            for place in 0..all.len() {
                let above = (0..all.len()).filter(|other| all[*other].dominates(&all[place])).map(rank).max();
                prop_assert_eq!(rank(place), Some(above.flatten().map_or(0, |last| last + 1)));
            }
        }
    }

    #[test]
    fn the_ends_of_a_front_have_all_the_room() {
        let front = [objectives(&[0.0, 4.0]), objectives(&[1.0, 1.0]), objectives(&[4.0, 0.0])];
        let room = crowding(&front.iter().collect::<Vec<_>>());
        assert_eq!(room, [f64::INFINITY, 2.0, f64::INFINITY]);
    }

    #[test]
    fn values_in_different_numbers_have_room_by_those_that_all_have() {
        let front = [objectives(&[0.0, 4.0]), objectives(&[1.0]), objectives(&[4.0, 0.0])];
        assert_eq!(crowding(&front.iter().collect::<Vec<_>>()), [f64::INFINITY, 1.0, f64::INFINITY]);
        assert!(crowding(&[]).is_empty());
    }

    #[test]
    fn trials_are_told_once_and_with_every_objective() {
        let space = serde_json::from_str(r#"{"x": {"type": "float", "min": 0, "max": 1}}"#).expect("a space");
        let mut search =
            Nsga2::new(&Brief { space: Arc::new(space), budget: None, seed: 1, constraints: Arc::from([]) });
        let (a, b) = (search.ask(), search.ask());
        search.tell(a.id, Some(objectives(&[1.0, 2.0]))).expect("told");
        assert_eq!(search.tell(a.id, None), Err(MultiError::NotUnderWay(a.id)));
        let few = search.tell(b.id, Some(objectives(&[1.0])));
        assert_eq!(few, Err(MultiError::Count { id: b.id, given: 1, expected: 2 }));
        search.tell(b.id, None).expect("still under way");
        assert!(Objectives::new(vec![1.0, f64::NAN]).is_err() && Objectives::new(vec![]).is_err());
        assert_eq!(search.front().members().len(), 1);
    }
}
