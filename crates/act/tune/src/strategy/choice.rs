//! Experimental: a deep Q-network that chooses, trial by trial and by context, which of several strategies proposes next.
//!
//! What it has learned on problems that were generated, it applies to others. A portfolio does the same job without having learned
//! anything; docs/tune-dqn.md has how the two compare.

use super::{Propose, nearest};
use crate::dqn::{Dqn, DqnError, End, Transition};
use crate::history::{History, Trial};
use crate::space::Axis;
use crate::strategy::Brief;

/// Strategies of which a network chooses one for each trial. Each sees the whole history.
pub struct Choice {
    members: Vec<Member>,
    network: Dqn,
    /// The least value that the objective has, while the network learns.
    least: Option<f64>,
    /// How many axes there are, and how many of them are categories.
    axes: (usize, usize),
    budget: Option<usize>,
    pending: Vec<Pending>,
}

struct Member {
    strategy: Box<dyn Propose>,
    /// Of late: trials, and how many of them were the best so far.
    asked: f64,
    improved: f64,
}

struct Pending {
    point: Vec<f64>,
    member: usize,
    context: Vec<f32>,
}

/// What is counted fades by this share with each trial.
const FADES: f64 = 0.1;

/// Gaps to the least value are told apart down to this, in learning.
const LEAST_GAP: f64 = 1e-8;

impl Choice {
    /// How many numbers the network observes where it chooses among so many strategies.
    pub const fn context_len(members: usize) -> usize {
        7 + 2 * members
    }

    /// The network chooses, and learns nothing more.
    ///
    /// # Errors
    /// [`DqnError::Size`], where the network was made for another number of strategies.
    pub fn new(members: Vec<Box<dyn Propose>>, network: Dqn, brief: &Brief) -> Result<Choice, DqnError> {
        let (observation, actions) = (network.observation_len(), network.actions());
        if members.is_empty() || (observation, actions) != (Choice::context_len(members.len()), members.len())
        {
            return Err(DqnError::Size { observation, actions });
        }
        let is_category = |axis: &&Axis| matches!(axis, Axis::Category(_));
        let axes = brief.space.axes();
        Ok(Choice {
            members: members
                .into_iter()
                .map(|strategy| Member { strategy, asked: 0.0, improved: 0.0 })
                .collect(),
            network,
            least: None,
            axes: (axes.len(), axes.iter().filter(is_category).count()),
            budget: brief.budget,
            pending: Vec::new(),
        })
    }

    /// The network learns from each trial, by how many powers of ten it brought the best value nearer to `least`, the least that the
    /// objective has: so it is for problems that were generated.
    ///
    /// # Errors
    /// As [`Choice::new`].
    pub fn learning(
        members: Vec<Box<dyn Propose>>,
        network: Dqn,
        brief: &Brief,
        least: f64,
    ) -> Result<Choice, DqnError> {
        Ok(Choice { least: Some(least), ..Choice::new(members, network, brief)? })
    }

    /// The network, with what it learned.
    pub fn into_network(self) -> Dqn {
        self.network
    }

    /// What the network observes: how far the search is, what the space is like, how it has gone of late, and what each strategy
    /// did of late.
    fn context(&self, seen: &History) -> Vec<f32> {
        let count = seen.trials().len() as f64;
        let spent = self.budget.map_or(count / (count + 50.0), |budget| count / budget.max(1) as f64);
        let left = self.budget.map_or(50.0, |budget| (budget as f64 - count).max(0.0));
        let since = seen.lowest().map_or(1.0, |(best, _)| (count - best.id as f64) / count.max(1.0));
        let (axes, categories) = self.axes;
        let values: Vec<f64> = seen.measured().map(|(_, measured)| measured.value).collect();
        let (all, late) = (spread(&values), spread(&values[values.len().saturating_sub(10)..]));
        let noises: Vec<f64> = seen.measured().filter_map(|(_, measured)| measured.noise).collect();
        let noise = noises.iter().sum::<f64>() / noises.len().max(1) as f64;
        let ratio = |part: f64| if all > 0.0 { (part / all).clamp(1e-8, 10.0) } else { 1.0 };
        let mut context = vec![
            spent.min(1.0),
            libm::log(1.0 + left),
            libm::log(axes as f64),
            categories as f64 / axes.max(1) as f64,
            since,
            libm::log10(ratio(late)),
            if noise.is_finite() { ratio(noise) } else { 1.0 },
        ];
        context.extend(self.members.iter().flat_map(|member| [member.asked, member.improved]));
        context.into_iter().map(|number| number as f32).collect()
    }
}

impl Propose for Choice {
    fn name(&self) -> &'static str {
        "dqn"
    }

    fn ask(&mut self, seen: &History) -> Vec<f64> {
        let context = self.context(seen);
        let chosen =
            if self.least.is_some() { self.network.act(&context) } else { self.network.greedy(&context) };
        // A context has the length that the network was checked for, and its numbers are finite.
        let member = chosen.unwrap_or(0);
        let point = self.members[member].strategy.ask(seen);
        self.pending.push(Pending { point: point.clone(), member, context });
        point
    }

    fn tell(&mut self, seen: &History, trial: &Trial) {
        let points = self.pending.iter().map(|pending| &pending.point);
        let Some(nearest) = nearest(points, &trial.point) else { return };
        let Pending { member, context, .. } = self.pending.remove(nearest);
        let before = lowest_but(seen, trial.id);
        let improved = trial.feasible().is_some_and(|now| before.is_none_or(|before| now.value < before));
        for (place, other) in self.members.iter_mut().enumerate() {
            let is_it = f64::from(u8::from(place == member));
            other.asked += FADES * (is_it - other.asked);
            other.improved += FADES * (is_it * f64::from(u8::from(improved)) - other.improved);
        }
        self.members[member].strategy.tell(seen, trial);

        let Some(least) = self.least else { return };
        let gap = |value: f64| libm::log10((value - least).max(LEAST_GAP));
        let reward = match (before, trial.feasible()) {
            (Some(before), Some(now)) if now.value < before => gap(before) - gap(now.value),
            _ => 0.0,
        };
        let is_over = self.budget.is_some_and(|budget| seen.trials().len() >= budget);
        let transition = Transition {
            observation: &context,
            action: member,
            reward: reward as f32,
            next: &self.context(seen),
            end: if is_over && self.pending.is_empty() { End::Terminal } else { End::Goes },
        };
        // A value far outside of what rewards may be teaches nothing.
        if self.network.observe(&transition).is_ok() {
            self.network.learn();
        }
    }
}

/// The lowest feasible value of all trials but one.
fn lowest_but(seen: &History, id: u64) -> Option<f64> {
    let others = seen.trials().iter().filter(|trial| trial.id != id);
    others.filter_map(|trial| Some(trial.feasible()?.value)).reduce(f64::min)
}

/// From the lowest to the median: values far above the best say nothing about it.
fn spread(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.first().map_or(0.0, |lowest| sorted[sorted.len() / 2] - lowest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dqn::{Settings, Target};
    use crate::history::{Measured, Outcome};
    use crate::space::Space;
    use std::sync::Arc;

    /// Proposes the same coordinate always.
    struct Fixed(f64);

    impl Propose for Fixed {
        fn name(&self) -> &'static str {
            "fixed"
        }

        fn ask(&mut self, _seen: &History) -> Vec<f64> {
            vec![self.0]
        }

        fn tell(&mut self, _seen: &History, _trial: &Trial) {}
    }

    fn brief() -> Brief {
        let space: Space =
            serde_json::from_str(r#"{"x": {"type": "float", "min": 0, "max": 1}}"#).expect("a space");
        Brief { space: Arc::new(space), budget: Some(10), seed: 1, constraints: Arc::from([]) }
    }

    fn members() -> Vec<Box<dyn Propose>> {
        vec![Box::new(Fixed(0.9)), Box::new(Fixed(0.2))]
    }

    fn network() -> Dqn {
        // Impatient, so that it matters when the best comes down.
        let settings = Settings {
            hidden: vec![8],
            batch: 16,
            warm_up: 20,
            horizon: 400,
            discount: 0.5,
            learning_rate: 5e-3,
            target: Target::Soft(0.1),
            ..Settings::default()
        };
        Dqn::new(Choice::context_len(2), 2, settings, 1).expect("settings within their ranges")
    }

    /// A search of ten trials for the least coordinate; gives the points.
    fn search(choice: &mut Choice) -> Vec<f64> {
        let mut history = History::default();
        for _ in 0..10 {
            let point = choice.ask(&history);
            let id = history.begin(point.clone());
            history.end(id, Outcome::Measured(Measured::of(point[0])));
            let trial = history.trial(id).expect("just told").clone();
            choice.tell(&history, &trial);
        }
        history.trials().iter().map(|trial| trial.point[0]).collect()
    }

    #[test]
    fn it_learns_who_brings_the_best_down() {
        let mut network = network();
        for _ in 0..40 {
            let mut choice =
                Choice::learning(members(), network, &brief(), 0.0).expect("a network that fits");
            search(&mut choice);
            network = choice.into_network();
        }
        let mut choice = Choice::new(members(), network, &brief()).expect("a network that fits");
        let points = search(&mut choice);
        assert!(points[1..3].contains(&0.2), "{points:?}");
    }

    #[test]
    fn a_network_for_other_strategies_is_refused() {
        let three = members().into_iter().chain(members()).take(3).collect();
        assert!(matches!(Choice::new(three, network(), &brief()), Err(DqnError::Size { .. })));
    }
}
