//! The optimiser as a conversation of JSON lines, so that any language or harness can drive it.
//!
//! ```text
//! → {"space": {"pool": {"type": "int", "min": 1, "max": 128, "log": true}}, "seed": 7, "budget": 30, "strategy": "auto"}
//! → {"ask": 1}
//! ← {"trials": [{"id": 0, "config": {"pool": 12}}]}
//! → {"tell": [{"id": 0, "value": 241.5}]}
//! ← {"best": {"id": 0, "config": {"pool": 12}, "value": 241.5}}
//! ```
//!
//! The first line is answered only if it is wrong. Values are minimised. `best` is what the study recommends, which under noise is not
//! the lowest value that was told; it is null before the first feasible one.
//!
//! The first line may declare constraints, which strategy `safe` keeps while it searches; every measurement is then told with what each
//! of them gave. What the search has to say of them is in `alarms`, once each.
//!
//! ```text
//! → {"space": {…}, "strategy": "safe", "constraints": [{"name": "p99", "bound": 0.25}]}
//! → {"tell": [{"id": 0, "value": 241.5, "constraints": {"p99": 0.19}}]}
//! ```

use std::collections::{BTreeMap, BTreeSet};

use kandela_model::WireValue;
use serde::{Deserialize, Serialize};

use crate::history::{Measured, Outcome};
use crate::safe::{Bound, Constraint};
use crate::space::{Config, Space, SpaceError};
use crate::strategy::Strategy;
use crate::study::{Asked, Study};

/// One side of the conversation.
#[derive(Default)]
pub struct Conversation {
    open: Option<Open>,
}

/// What the first line has opened.
struct Open {
    study: Study,
    constraints: Vec<Constraint>,
    /// How many alarms were told.
    alarmed: usize,
}

/// What is wrong with a line. The conversation goes on as if the line had not been said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misunderstood(pub String);

/// The first line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    space: Space,
    #[serde(default)]
    seed: u64,
    budget: Option<usize>,
    #[serde(default = "auto")]
    strategy: String,
    #[serde(default)]
    constraints: Vec<Declared>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    name: String,
    bound: DeclaredBound,
    rate: Option<f64>,
    noise: Option<f64>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a bound is a number, at which a value may stay or below, or {\"min\": 5} or {\"max\": 5}"
)]
enum DeclaredBound {
    AtMost(f64),
    Sided(Sided),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sided {
    Max(f64),
    Min(f64),
}

impl From<Declared> for Constraint {
    fn from(Declared { name, bound, rate, noise }: Declared) -> Constraint {
        let bound = match bound {
            DeclaredBound::AtMost(most) | DeclaredBound::Sided(Sided::Max(most)) => Bound::Max(most),
            DeclaredBound::Sided(Sided::Min(least)) => Bound::Min(least),
        };
        Constraint { name, bound, rate, noise }
    }
}

fn auto() -> String {
    "auto".to_owned()
}

/// Every other line; told first, then asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    ask: Option<usize>,
    tell: Option<Vec<Told>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    /// Missing where the trial was not asked for: then `config` says what was measured.
    id: Option<u64>,
    config: Option<BTreeMap<String, WireValue>>,
    /// Missing or null where the trial failed.
    value: Option<f64>,
    #[serde(default = "yes")]
    feasible: bool,
    noise: Option<f64>,
    seconds: Option<f64>,
    /// What each declared constraint gave, by name.
    #[serde(default)]
    constraints: BTreeMap<String, f64>,
}

fn yes() -> bool {
    true
}

#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    best: Option<Option<Shown>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trials: Option<Vec<Shown>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alarms: Vec<String>,
}

#[derive(Serialize)]
struct Shown {
    id: u64,
    config: BTreeMap<String, WireValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
}

/// Most trials that one line may ask for.
const MOST_ASKED: usize = 10_000;

impl Conversation {
    /// A conversation whose first line is still to come.
    pub fn new() -> Conversation {
        Conversation::default()
    }

    /// Whether the first line was understood.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Hears one line; gives the line to answer, if there is one.
    ///
    /// # Errors
    /// [`Misunderstood`], with what is wrong and what to say instead.
    pub fn hear(&mut self, line: &str) -> Result<Option<String>, Misunderstood> {
        match &mut self.open {
            None => {
                self.open = Some(open(line)?);
                Ok(None)
            }
            Some(open) => answer(open, line).map(Some),
        }
    }
}

/// A line that tells of what was not understood.
pub fn error_line(error: &Misunderstood) -> String {
    serde_json::json!({"error": error.0}).to_string()
}

fn open(line: &str) -> Result<Open, Misunderstood> {
    let opening: Opening = serde_json::from_str(line).map_err(|error| {
        Misunderstood(format!("the first line says what is searched, as {{\"space\": {{…}}}}: {error}"))
    })?;
    let strategy: Strategy = opening.strategy.parse().map_err(|error| Misunderstood(format!("{error}")))?;
    if opening.budget == Some(0) {
        return Err(Misunderstood(
            "a budget of 0 trials finds nothing; leave it out if it is not known".to_owned(),
        ));
    }
    let Opening { space, seed, budget, .. } = opening;
    let constraints: Vec<Constraint> = opening.constraints.into_iter().map(Constraint::from).collect();
    let study = Study::constrained(space, constraints.clone(), strategy, budget, seed)
        .map_err(|error| Misunderstood(error.to_string()))?;
    Ok(Open { study, constraints, alarmed: 0 })
}

fn answer(Open { study, constraints, alarmed }: &mut Open, line: &str) -> Result<String, Misunderstood> {
    let line: Line = serde_json::from_str(line).map_err(|error| {
        Misunderstood(format!(
            "a line is {{\"ask\": 1}} or {{\"tell\": [{{\"id\": 0, \"value\": 1.5}}]}}: {error}"
        ))
    })?;
    if line.ask.is_none() && line.tell.is_none() {
        return Err(Misunderstood("a line asks or tells; this one does neither".to_owned()));
    }
    if let Some(count) = line.ask.filter(|count| *count > MOST_ASKED) {
        return Err(Misunderstood(format!(
            "{count} trials at once are more than {MOST_ASKED}; ask more often"
        )));
    }
    let mut ids = BTreeSet::new();
    for told in line.tell.iter().flatten() {
        check(study, constraints, told)?;
        if let Some(id) = told.id.filter(|id| !ids.insert(*id)) {
            return Err(Misunderstood(format!("trial {id} is told twice in one line; tell each once")));
        }
    }
    for told in line.tell.iter().flatten() {
        take(study, constraints, told)?;
    }
    let best = line.tell.map(|_| {
        let best = study.best();
        best.map(|best| Shown { id: best.id, config: shown(&best.config), value: Some(best.value) })
    });
    let trials = line.ask.map(|count| {
        let asked = std::iter::from_fn(|| study.ask()).take(count);
        asked.map(|Asked { id, config }| Shown { id, config: shown(&config), value: None }).collect()
    });
    let alarms: Vec<String> = study.alarms().iter().skip(*alarmed).map(ToString::to_string).collect();
    *alarmed += alarms.len();
    serde_json::to_string(&Answer { best, trials, alarms }).map_err(|error| Misunderstood(error.to_string()))
}

fn check(study: &Study, constraints: &[Constraint], told: &Told) -> Result<(), Misunderstood> {
    let under_way = |id: u64| study.history().trial(id).is_some_and(|trial| trial.outcome.is_none());
    match (told.id, &told.config) {
        (Some(id), _) if !under_way(id) => Err(Misunderstood(format!(
            "no trial {id} is under way: each is told once, by the number that it was asked with"
        ))),
        (None, None) => Err(Misunderstood(
            "what is told has the id of a trial, or the config that was measured without being asked for"
                .to_owned(),
        )),
        (Some(_), _) => Ok(()),
        (None, Some(config)) => settings(study.space(), config).map(|_| ()),
    }?;
    if let Some(noise) = told.noise.filter(|noise| *noise < 0.0) {
        return Err(Misunderstood(format!("noise is a standard error, 0 or more; {noise} is none")));
    }
    let declared = |name: &String| constraints.iter().any(|constraint| constraint.name == *name);
    if let Some(unknown) = told.constraints.keys().find(|name| !declared(name)) {
        return Err(Misunderstood(format!(
            "there is no constraint {unknown}; declare it in the first line, as \"constraints\": [{{\"name\": …, \"bound\": …}}]"
        )));
    }
    let margin =
        |constraint: &Constraint| told.constraints.get(&constraint.name).map(|v| constraint.bound.margin(*v));
    let untold = |constraint: &&Constraint| !margin(constraint).is_some_and(f64::is_finite);
    match constraints.iter().find(untold).filter(|_| told.value.is_some()) {
        Some(Constraint { name, .. }) => Err(Misunderstood(format!(
            "constraint {name} was declared: tell what it gave, as \"constraints\": {{\"{name}\": …}}, or \"value\": null where the trial failed"
        ))),
        None => Ok(()),
    }
}

fn take(study: &mut Study, constraints: &[Constraint], told: &Told) -> Result<(), Misunderstood> {
    let margin =
        |constraint: &Constraint| Some(constraint.bound.margin(*told.constraints.get(&constraint.name)?));
    let margins: Vec<f64> = constraints.iter().filter_map(margin).collect();
    let outcome = match told.value {
        Some(value) => Outcome::Measured(Measured {
            value,
            noise: told.noise,
            feasible: told.feasible && margins.iter().all(|margin| *margin >= 0.0),
            margins,
            seconds: told.seconds,
        }),
        None => Outcome::Failed,
    };
    let taken = match (told.id, &told.config) {
        (Some(id), _) => study.tell(id, outcome).map_err(|error| error.to_string()),
        (None, Some(config)) => {
            let config = settings(study.space(), config)?;
            study.add(&config, outcome).map(|_| ()).map_err(|error| error.to_string())
        }
        (None, None) => Ok(()),
    };
    taken.map_err(Misunderstood)
}

fn settings(space: &Space, config: &BTreeMap<String, WireValue>) -> Result<Config, Misunderstood> {
    let typed = |(name, value): (&String, &WireValue)| {
        let parameter = space.parameter(name).ok_or_else(|| SpaceError::Unknown(name.clone()).to_string())?;
        let kind = &parameter.spec.kind;
        let value = value.typed(kind).ok_or_else(|| format!("parameter {name} takes {kind}"))?;
        Ok((name.clone(), value))
    };
    let config = config.iter().map(typed).collect::<Result<Config, String>>().map_err(Misunderstood)?;
    space.encode(&config).map_err(|error| Misunderstood(error.to_string()))?;
    Ok(config)
}

fn shown(config: &Config) -> BTreeMap<String, WireValue> {
    config.iter().map(|(name, value)| (name.clone(), WireValue::from(value))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const OPENING: &str = r#"{"space": {"x0": {"type": "float", "min": -5, "max": 5}, "policy": {"type": "enum", "values": ["a", "b"]}}, "seed": 7, "budget": 3, "strategy": "random"}"#;

    fn opened() -> Conversation {
        let mut conversation = Conversation::new();
        assert_eq!(conversation.hear(OPENING), Ok(None));
        conversation
    }

    fn said(conversation: &mut Conversation, line: &str) -> Value {
        let answer = conversation.hear(line).expect(line).expect("an answer");
        serde_json::from_str(&answer).expect("JSON")
    }

    fn refused(conversation: &mut Conversation, line: &str) -> String {
        conversation.hear(line).expect_err(line).to_string()
    }

    #[test]
    fn trials_are_asked_for_and_told_of_and_the_best_is_recommended() {
        let mut conversation = opened();
        let trials = said(&mut conversation, r#"{"ask": 2}"#);
        assert_eq!(trials["trials"][1]["id"], 1);
        assert!(trials["trials"][1]["config"]["x0"].is_number() && trials.get("best").is_none());
        let best = said(
            &mut conversation,
            r#"{"tell": [{"id": 1, "value": 2.5, "feasible": true, "noise": 0.1, "seconds": 3}]}"#,
        );
        assert_eq!((&best["best"]["id"], &best["best"]["value"]), (&Value::from(1), &Value::from(2.5)));
        assert_eq!(best["best"]["config"], trials["trials"][1]["config"]);
    }

    #[test]
    fn one_line_may_tell_and_ask() {
        let mut conversation = opened();
        said(&mut conversation, r#"{"ask": 1}"#);
        let answer = said(&mut conversation, r#"{"tell": [{"id": 0, "value": 1}], "ask": 1}"#);
        assert_eq!((&answer["best"]["id"], &answer["trials"][0]["id"]), (&Value::from(0), &Value::from(1)));
    }

    #[test]
    fn nothing_is_recommended_before_something_feasible_was_told() {
        let mut conversation = opened();
        said(&mut conversation, r#"{"ask": 2}"#);
        let told = r#"{"tell": [{"id": 0, "value": 1, "feasible": false}, {"id": 1, "value": null}]}"#;
        assert_eq!(said(&mut conversation, told), serde_json::json!({"best": null}));
    }

    #[test]
    fn a_spent_budget_gives_no_more_trials() {
        let mut conversation = opened();
        let count = |answer: &Value| answer["trials"].as_array().map(Vec::len);
        assert_eq!(count(&said(&mut conversation, r#"{"ask": 9}"#)), Some(3));
        assert_eq!(count(&said(&mut conversation, r#"{"ask": 1}"#)), Some(0));
    }

    #[test]
    fn what_was_measured_before_may_be_told_by_its_settings() {
        let mut conversation = opened();
        let best = said(&mut conversation, r#"{"tell": [{"config": {"x0": 1, "policy": "b"}, "value": 4}]}"#);
        assert_eq!(best["best"]["config"], serde_json::json!({"policy": "b", "x0": 1.0}));
        let wrong =
            refused(&mut conversation, r#"{"tell": [{"config": {"x0": 9, "policy": "b"}, "value": 4}]}"#);
        assert!(wrong.contains("x0") && wrong.contains("from -5 to 5"), "{wrong}");
    }

    #[test]
    fn a_line_that_is_wrong_changes_nothing() {
        let mut conversation = opened();
        said(&mut conversation, r#"{"ask": 1}"#);
        let half = r#"{"tell": [{"id": 0, "value": 1}, {"id": 7, "value": 1}]}"#;
        assert!(refused(&mut conversation, half).contains("no trial 7 is under way"));
        assert_eq!(said(&mut conversation, r#"{"tell": [{"id": 0, "value": 1}]}"#)["best"]["id"], 0);
        assert!(refused(&mut conversation, r#"{"tell": [{"id": 0, "value": 1}]}"#).contains("no trial 0"));
        assert!(refused(&mut conversation, "{}").contains("does neither"));
        assert!(refused(&mut conversation, "ask").contains("a line is"));
        assert!(refused(&mut conversation, r#"{"ask": 1000000}"#).contains("more than 10000"));
    }

    #[test]
    fn a_first_line_that_is_wrong_says_what_one_is() {
        let opened_with = |line: &str| refused(&mut Conversation::new(), line);
        assert!(opened_with(r#"{"ask": 1}"#).contains("the first line says what is searched"));
        assert!(
            opened_with(r#"{"space": {"x": {"type": "float", "min": 1}}}"#)
                .contains("parameter x: it has no max")
        );
        assert!(
            opened_with(r#"{"space": {}, "strategy": "luck"}"#).contains("there is no strategy \"luck\"")
        );
        assert!(opened_with(r#"{"space": {}, "strategy": "random", "budget": 0}"#).contains("a budget of 0"));
    }

    #[test]
    fn a_trial_that_is_told_twice_in_one_line_is_not_taken_at_all() {
        let mut conversation = opened();
        said(&mut conversation, r#"{"ask": 1}"#);
        let twice = r#"{"tell": [{"id": 0, "value": 1}, {"id": 0, "value": 2}]}"#;
        assert!(refused(&mut conversation, twice).contains("trial 0 is told twice"));
        assert_eq!(said(&mut conversation, r#"{"tell": [{"id": 0, "value": 3}]}"#)["best"]["value"], 3.0);
    }

    const CONSTRAINED: &str = r#"{"space": {"x": {"type": "float", "min": 0, "max": 1, "default": 0.2}}, "seed": 3, "budget": 25,
        "strategy": "safe", "constraints": [{"name": "p99", "bound": 0.7}, {"name": "rate", "bound": {"min": 0.1}}]}"#;

    /// The lines of a search for the greatest `x`, of which `p99` gives itself; gives every `x`, the last answer, and all alarms.
    fn searched(opening: &str) -> (Vec<f64>, Value, Vec<Value>) {
        let mut conversation = Conversation::new();
        assert_eq!(conversation.hear(opening), Ok(None));
        let (mut tried, mut alarms) = (Vec::new(), Vec::new());
        let mut answer = said(&mut conversation, r#"{"ask": 1}"#);
        while let Some(x) = answer["trials"][0]["config"]["x"].as_f64() {
            tried.push(x);
            let line = format!(
                r#"{{"tell": [{{"id": {}, "value": {}, "constraints": {{"p99": {x}, "rate": {x}}}}}], "ask": 1}}"#,
                answer["trials"][0]["id"], -x,
            );
            answer = said(&mut conversation, &line);
            alarms.extend(answer["alarms"].as_array().cloned().unwrap_or_default());
        }
        (tried, answer, alarms)
    }

    #[test]
    fn declared_constraints_are_kept_by_the_safe_strategy() {
        let (tried, answer, alarms) = searched(CONSTRAINED);
        assert!(tried.len() == 25 && alarms.is_empty(), "{tried:?} {alarms:?}");
        assert!(tried.iter().all(|x| (0.1..=0.7).contains(x)), "{tried:?}");
        assert!(answer["best"]["value"].as_f64().is_some_and(|value| value < -0.6), "{answer}");
    }

    #[test]
    fn an_alarm_is_told_once_and_names_its_constraint() {
        let (tried, answer, alarms) = searched(&CONSTRAINED.replace("0.7", "-9"));
        assert!(tried.len() < 25, "{tried:?}");
        let [alarm] = alarms.as_slice() else { unreachable!("{alarms:?}") };
        assert!(alarm.as_str().is_some_and(|alarm| alarm.starts_with("constraint p99: ")), "{alarm}");
        assert_eq!((&answer["trials"], &answer["best"]), (&serde_json::json!([]), &Value::Null));
    }

    #[test]
    fn other_strategies_recommend_only_what_kept_the_declared_constraints() {
        let (tried, answer, _) = searched(&CONSTRAINED.replace("safe", "random"));
        assert!(tried.iter().any(|x| *x > 0.7), "{tried:?}");
        assert!(answer["best"]["config"]["x"].as_f64().is_some_and(|x| x <= 0.7), "{answer}");
    }

    #[test]
    fn constraints_are_declared_once_and_told_by_name_each_time() {
        let opened_with = |line: &str| refused(&mut Conversation::new(), line);
        assert!(
            opened_with(&CONSTRAINED.replace(r#", "default": 0.2"#, ""))
                .contains("parameter x has no default")
        );
        assert!(
            opened_with(&CONSTRAINED.replace("\"rate\"", "\"p99\""))
                .contains("constraint p99: it is there twice")
        );
        assert!(opened_with(&CONSTRAINED.replace("0.7", r#""low""#)).contains("a bound is a number"));

        let mut conversation = Conversation::new();
        assert_eq!(conversation.hear(CONSTRAINED), Ok(None));
        said(&mut conversation, r#"{"ask": 1}"#);
        let few =
            refused(&mut conversation, r#"{"tell": [{"id": 0, "value": 1, "constraints": {"p99": 0.2}}]}"#);
        assert!(few.starts_with("constraint rate was declared: tell what it gave"), "{few}");
        let other =
            refused(&mut conversation, r#"{"tell": [{"id": 0, "value": null, "constraints": {"p9": 0.2}}]}"#);
        assert!(other.starts_with("there is no constraint p9; declare it"), "{other}");
        said(&mut conversation, r#"{"tell": [{"id": 0, "value": null}]}"#);
    }
}
