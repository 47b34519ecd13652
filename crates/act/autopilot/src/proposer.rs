//! What to try next: one search a context, rebuilt from the ledger.

use std::collections::BTreeMap;
use std::sync::Arc;

use kandela_model::{KnobSpec, KnobValue, StepCap, WireValue};
use kandela_tune::history::{History, Measured, Outcome};
use kandela_tune::random::{point, seeded};
use kandela_tune::space::Class;
use kandela_tune::strategy::{Brief, Propose, Strategy};
use kandela_tune::{Config, Space, SpaceError};

use crate::machine::{Candidate, Event, MEMORY, SUGGESTED};
use crate::runbook::{Advice, RUNBOOK, advised};

/// How often a strategy is asked until it says something new.
const ASKS: u32 = 32;
/// In whose name points are drawn once a strategy has nothing but what was declined or failed.
const BY_LOT: &str = "random";
/// A strategy that has nothing new is left alone for so many questions at most, as a power of 2.
const LONGEST_REST: u32 = 10;

/// Strategies with all that they were told. It is the fold of the ledger's rows, as the [state](crate::machine::State) is.
pub struct Proposer {
    space: Arc<Space>,
    strategy: Strategy,
    seed: u64,
    /// The good settings.
    good: Vec<f64>,
    searches: BTreeMap<u64, Search>,
    /// The context and number within its search of the proposal that is open.
    open: Option<(u64, u64)>,
}

/// One trial as it was told.
#[derive(Clone, Debug)]
struct Told {
    proposal: u64,
    point: Vec<f64>,
    asked: u32,
    outcome: Option<Outcome>,
}

struct Search {
    /// The settings that were good when it began: the value of all others is relative to theirs.
    start: Vec<f64>,
    told: Vec<Told>,
    /// Points that somebody declined.
    declined: Vec<Vec<f64>>,
    propose: Box<dyn Propose>,
    history: History,
    /// How often in a row it had nothing new, and how often it is not asked after that: a strategy keeps what it was asked for.
    failed: u32,
    rests: u32,
}

impl Proposer {
    /// A proposer of settings of `space`, which begins at `initial`.
    ///
    /// # Errors
    /// [`SpaceError`], where `initial` are no settings of the space.
    pub fn new(
        space: Space,
        initial: &Config,
        strategy: Strategy,
        seed: u64,
    ) -> Result<Proposer, SpaceError> {
        let good = space.snap(&space.encode(initial)?);
        let space = Arc::new(space);
        Ok(Proposer { space, strategy, seed, good, searches: BTreeMap::new(), open: None })
    }

    /// Takes one more row.
    pub fn apply(&mut self, event: &Event) {
        if matches!(event, Event::Promoted { .. } | Event::RolledBack { .. }) {
            // A step from elsewhere leads elsewhere.
            self.searches.values_mut().for_each(|search| search.rests = 0);
        }
        match event {
            Event::Began { initial: good, .. } | Event::RolledBack { to: good, .. } => {
                // Settings of another space are not taken: the manager has looked at its fingerprint.
                if let Ok(point) = self.space.encode(good) {
                    self.good = self.space.snap(&point);
                }
            }
            Event::Promoted { proposal, .. } => {
                let search = self.open.and_then(|(context, _)| self.searches.get(&context));
                if let Some(told) = search.and_then(|search| search.of(*proposal)) {
                    self.good.clone_from(&told.point);
                }
            }
            Event::Proposed { proposal, point, asked, context, .. } => {
                let told = Told { proposal: *proposal, point: point.clone(), asked: *asked, outcome: None };
                if let Some(search) = self.search(*context) {
                    search.begin(told);
                }
                self.open = Some((*context, *proposal));
            }
            Event::Declined { proposal, .. } => self.forget(*proposal, true),
            Event::Learned { proposal, value, noise, feasible, margins, .. } => {
                let measured = value.map(|value| Measured {
                    value,
                    noise: *noise,
                    feasible: *feasible,
                    margins: margins.clone(),
                    seconds: None,
                });
                match measured.map(Outcome::Measured).or((!feasible).then_some(Outcome::Failed)) {
                    Some(outcome) => self.tell(*proposal, outcome),
                    None => self.forget(*proposal, false),
                }
            }
            _ => {}
        }
    }

    /// Settings worth trying in `context`, one step from `good` at most. Where a person `suggested` some, these and no others; those that
    /// are `remembered`, or as near to them as a step leads, come next, then what a runbook's `advice` leads to, as long as it was not tried.
    ///
    /// # Errors
    /// Why there are none.
    pub fn propose(
        &mut self,
        context: u64,
        good: &Config,
        suggested: Option<&Config>,
        remembered: Option<&Config>,
        advice: &Advice,
    ) -> Result<Candidate, String> {
        if self.space.axes().is_empty() {
            return Err("the space has one point: there is nothing to choose".to_owned());
        }
        let space = Arc::clone(&self.space);
        if let Some(values) = suggested {
            // To the last digit as it was said: a way through the cube and back may lose that one.
            let mut config = good.clone();
            for (name, value) in values {
                if let (Some(parameter), Some(from)) = (space.parameter(name), good.get(name)) {
                    config.insert(name.clone(), step_towards(&parameter.spec, from, value));
                }
            }
            if config == *good {
                return Err("it is where the knobs stand, or no step leads there".to_owned());
            }
            let point = space.encode(&config).map_err(|error| error.to_string())?;
            let (point, strategy) = (space.snap(&point), SUGGESTED.to_owned());
            return Ok(Candidate { config, point, asked: 0, strategy });
        }
        let first = remembered.and_then(|config| within_a_step(&space, good, config));
        if let Some((config, point)) = first.filter(|(config, _)| config != good) {
            return Ok(Candidate { config, point, asked: 0, strategy: MEMORY.to_owned() });
        }
        let seed = self.seed.wrapping_add(context);
        let search = self.search(context).ok_or("there is nothing to search")?;
        let by_hand = advised(&space, good, advice)
            .into_iter()
            .filter_map(|config| within_a_step(&space, good, &config));
        let untried = by_hand.into_iter().find(|(config, point)| config != good && !search.knows(point));
        if let Some((config, point)) = untried {
            return Ok(Candidate { config, point, asked: 0, strategy: RUNBOOK.to_owned() });
        }
        let nothing = "asked time and again, the strategy had nothing new within a step of the good settings; \
                       it is asked more and more rarely";
        if search.rests > 0 {
            search.rests -= 1;
            return Err(nothing.to_owned());
        }
        for asked in 1..=ASKS {
            let asked_for = search.propose.ask(&search.history);
            if asked_for.iter().any(|coordinate| !coordinate.is_finite()) {
                continue;
            }
            let wanted = space.decode(&space.snap(&asked_for));
            let Some((config, point)) = within_a_step(&space, good, &wanted) else { continue };
            if config != *good && !search.shuns(&point) {
                let strategy = search.propose.author().to_owned();
                return Ok(Candidate { config, point, asked, strategy });
            }
        }
        // One that keeps to what was declined or failed would never get away from there: then by lot.
        let tries = search.told.len() + search.declined.len();
        if tries > 0 {
            let mut random = seeded(seed, tries as u64);
            for _ in 0..ASKS {
                let wanted = space.decode(&space.snap(&point(space.axes().len(), &mut random)));
                let Some((config, point)) = within_a_step(&space, good, &wanted) else { continue };
                if config != *good && !search.knows(&point) {
                    return Ok(Candidate { config, point, asked: 0, strategy: BY_LOT.to_owned() });
                }
            }
        }
        search.failed += 1;
        search.rests = (1 << search.failed.min(LONGEST_REST)) - 1;
        Err(nothing.to_owned())
    }

    /// What a person suggests, as values of the space's knobs.
    ///
    /// # Errors
    /// What can't be proposed, and why: a knob that there is none of or that no search may touch, a value outside its range, or further
    /// from `good` than one step leads.
    pub fn suggestible(&self, good: &Config, values: &Config) -> Result<Config, String> {
        if values.is_empty() {
            return Err("name the knobs that are to change, and to what".to_owned());
        }
        let typed = |(name, value): (&String, &KnobValue)| {
            let known = || {
                let free = self.space.parameters().iter().filter(|parameter| parameter.class == Class::Free);
                free.map(|parameter| parameter.spec.name.as_str()).collect::<Vec<_>>().join(", ")
            };
            let parameter = self.space.parameter(name).filter(|parameter| parameter.class == Class::Free);
            let spec = &parameter
                .ok_or_else(|| format!("there is no knob {name} to turn; there are {}", known()))?
                .spec;
            let typed = WireValue::from(value).typed(&spec.kind);
            let typed = typed.ok_or_else(|| format!("{name} takes {}, not {value}", spec.kind))?;
            spec.check(&typed).map_err(|error| error.to_string())?;
            if let Some(from) = good.get(name) {
                spec.check_step(from, &typed).map_err(|error| error.to_string())?;
            }
            Ok((name.clone(), typed))
        };
        values.iter().map(typed).collect()
    }

    fn search(&mut self, context: u64) -> Option<&mut Search> {
        if self.space.axes().is_empty() {
            return None;
        }
        let brief = self.brief(context);
        let (strategy, good) = (self.strategy, &self.good);
        Some(self.searches.entry(context).or_insert_with(|| Search::new(strategy, &brief, good)))
    }

    fn brief(&self, context: u64) -> Brief {
        Brief {
            space: Arc::clone(&self.space),
            budget: None,
            seed: self.seed.wrapping_add(context),
            constraints: [].into(),
        }
    }

    fn tell(&mut self, proposal: u64, outcome: Outcome) {
        let Some((context, _)) = self.open.take_if(|(_, open)| *open == proposal) else { return };
        if let Some(search) = self.searches.get_mut(&context) {
            search.tell(proposal, outcome);
        }
    }

    /// The proposal was not tried to its end: as if it had not been made.
    fn forget(&mut self, proposal: u64, declined: bool) {
        let Some((context, _)) = self.open.take_if(|(_, open)| *open == proposal) else { return };
        let brief = self.brief(context);
        let Some(search) = self.searches.get_mut(&context) else { return };
        let place = search.told.iter().position(|told| told.proposal == proposal);
        let forgotten = place.map(|place| search.told.remove(place));
        if declined {
            search.declined.extend(forgotten.map(|told| told.point));
        }
        let mut again = Search::new(self.strategy, &brief, &search.start);
        again.declined = std::mem::take(&mut search.declined);
        for told in std::mem::take(&mut search.told) {
            let (proposal, outcome) = (told.proposal, told.outcome.clone());
            // It is being rebuilt: nobody has asked it yet.
            (0..told.asked).for_each(|_| {
                again.propose.ask(&again.history);
            });
            again.begin(told);
            if let Some(outcome) = outcome {
                again.tell(proposal, outcome);
            }
        }
        *search = again;
    }
}

impl Search {
    /// A search that knows the settings which it starts from.
    fn new(strategy: Strategy, brief: &Brief, start: &[f64]) -> Search {
        let mut history = History::default();
        let id = history.begin(start.to_vec());
        history.end(id, Outcome::Measured(Measured::of(0.0)));
        Search {
            start: start.to_vec(),
            told: Vec::new(),
            declined: Vec::new(),
            propose: strategy.begin(brief),
            history,
            failed: 0,
            rests: 0,
        }
    }

    fn of(&self, proposal: u64) -> Option<&Told> {
        self.told.iter().find(|told| told.proposal == proposal)
    }

    /// Whether somebody tried these settings, or declined them.
    fn knows(&self, point: &[f64]) -> bool {
        self.declined.iter().chain(self.told.iter().map(|told| &told.point)).any(|known| known == point)
    }

    /// Whether somebody declined these settings, or the system did not bear them.
    fn shuns(&self, point: &[f64]) -> bool {
        let failed = |told: &Told| told.outcome == Some(Outcome::Failed) && told.point == point;
        self.declined.iter().any(|declined| declined == point) || self.told.iter().any(failed)
    }

    fn begin(&mut self, told: Told) {
        self.history.begin(told.point.clone());
        self.told.push(told);
        (self.failed, self.rests) = (0, 0);
    }

    fn tell(&mut self, proposal: u64, outcome: Outcome) {
        let Some(place) = self.told.iter().position(|told| told.proposal == proposal) else { return };
        let told = &mut self.told[place];
        told.outcome = Some(outcome.clone());
        // What it starts from is trial 0.
        let id = place as u64 + 1;
        self.history.end(id, outcome);
        let asked_for = told.asked > 0;
        if let Some(trial) = self.history.trial(id).filter(|_| asked_for) {
            self.propose.tell(&self.history, trial);
        }
    }
}

/// The settings nearest to `wanted` that one step from `good` leads to, with their point.
fn within_a_step(space: &Space, good: &Config, wanted: &Config) -> Option<(Config, Vec<f64>)> {
    let mut config = wanted.clone();
    for (name, value) in &mut config {
        if let (Some(parameter), Some(from)) = (space.parameter(name), good.get(name)) {
            *value = step_towards(&parameter.spec, from, value);
        }
    }
    let point = space.encode(&config).ok()?;
    let point = space.snap(&point);
    let config = space.decode(&point);
    // A middle of a cell may lie further than the step led.
    let allowed = config.iter().all(|(name, to)| match (space.parameter(name), good.get(name)) {
        (Some(parameter), Some(from)) => parameter.spec.check_step(from, to).is_ok(),
        _ => true,
    });
    allowed.then_some((config, point))
}

/// The value nearest to `to` that one step from `from` leads to.
pub(crate) fn step_towards(spec: &KnobSpec, from: &KnobValue, to: &KnobValue) -> KnobValue {
    let reach = |from: f64| match spec.step_cap {
        StepCap::Unlimited => (f64::NEG_INFINITY, f64::INFINITY),
        StepCap::Absolute(cap) => (from - cap, from + cap),
        StepCap::Factor(cap) if from > 0.0 => (from / cap, from * cap),
        StepCap::Factor(cap) if from < 0.0 => (from * cap, from / cap),
        StepCap::Factor(_) => (from, from),
    };
    if spec.step_cap == StepCap::Unlimited {
        return to.clone();
    }
    match (from, to) {
        (KnobValue::Int(from), KnobValue::Int(to)) => {
            let (low, high) = reach(*from as f64);
            // A step that is too short for a whole number leads nowhere.
            KnobValue::Int(within(low.ceil(), high.floor(), *from as f64, *to as f64) as i64)
        }
        (KnobValue::Float(from), KnobValue::Float(to)) => {
            let (low, high) = reach(*from);
            KnobValue::Float(within(low, high, *from, *to))
        }
        _ => to.clone(),
    }
}

/// The number nearest to `to` from `low` to `high`, which include `from`: a target may declare a cap that is none.
fn within(low: f64, high: f64, from: f64, to: f64) -> f64 {
    // A maximum and a minimum with what is no number are the other one; `clamp` would panic.
    to.max(low.min(from)).min(high.max(from))
}

/// What tells spaces apart: the same for equal spaces on every machine.
pub fn fingerprint(space: &Space) -> String {
    let text = serde_json::to_string(space).unwrap_or_default();
    // FNV-1a: std's hashes may change between versions.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use kandela_model::{ApplyCost, KnobType};

    use super::*;

    fn spec(step_cap: StepCap) -> KnobSpec {
        let kind = KnobType::Float { min: 0.0, max: 100.0, log: false };
        KnobSpec { name: "ratio".to_owned(), kind, step_cap, cost: ApplyCost::Live }
    }

    #[test]
    fn a_cap_that_is_none_leads_nowhere_and_panics_nowhere() {
        let from = KnobValue::Float(8.0);
        for cap in [
            StepCap::Absolute(-1.0),
            StepCap::Absolute(f64::NAN),
            StepCap::Factor(0.5),
            StepCap::Factor(f64::NAN),
        ] {
            assert_eq!(step_towards(&spec(cap), &from, &KnobValue::Float(50.0)), from, "{cap:?}");
        }
        let wide = step_towards(&spec(StepCap::Factor(2.0)), &from, &KnobValue::Float(50.0));
        assert_eq!(wide, KnobValue::Float(16.0));
    }

    #[test]
    fn a_number_too_large_for_a_float_is_reached_where_steps_have_no_cap() {
        let to = KnobValue::Int((1 << 53) + 1);
        assert_eq!(step_towards(&spec(StepCap::Unlimited), &KnobValue::Int(1), &to), to);
    }

    #[test]
    fn a_strategy_that_has_nothing_new_is_left_alone_until_the_good_settings_are_others() {
        let space = r#"{"n": {"type": "int", "min": 10, "max": 12, "step_cap": {"absolute": 0.5}}}"#;
        let space: Space = serde_json::from_str(space).expect("a space");
        let good = |n: i64| Config::from([("n".to_owned(), KnobValue::Int(n))]);
        let mut proposer = Proposer::new(space, &good(11), Strategy::Random, 1).expect("within the space");
        let rests = |proposer: &Proposer| proposer.searches.get(&0).map(|search| search.rests);
        for expected in [1, 0, 3, 2, 1, 0, 7] {
            let what = proposer
                .propose(0, &good(11), None, None, &Advice::new())
                .expect_err("half a step leads nowhere");
            assert!(what.contains("nothing new"), "{what}");
            assert_eq!(rests(&proposer), Some(expected));
        }
        let back =
            Event::RolledBack { undone: vec![], to: good(12), by: "ann".to_owned(), why: String::new() };
        proposer.apply(&back);
        assert_eq!(rests(&proposer), Some(0));
    }
}
