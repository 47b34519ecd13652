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

use std::collections::BTreeMap;

use kandela_model::WireValue;
use serde::{Deserialize, Serialize};

use crate::history::{Measured, Outcome};
use crate::space::{Config, Space, SpaceError};
use crate::strategy::Strategy;
use crate::study::{Asked, Study};

/// One side of the conversation.
#[derive(Default)]
pub struct Conversation {
    study: Option<Study>,
}

/// What is wrong with a line. The conversation goes on as if the line had not been said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misunderstood(String);

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
        self.study.is_some()
    }

    /// Hears one line; gives the line to answer, if there is one.
    ///
    /// # Errors
    /// [`Misunderstood`], with what is wrong and what to say instead.
    pub fn hear(&mut self, line: &str) -> Result<Option<String>, Misunderstood> {
        match &mut self.study {
            None => {
                self.study = Some(open(line)?);
                Ok(None)
            }
            Some(study) => answer(study, line).map(Some),
        }
    }
}

/// A line that tells of what was not understood.
pub fn error_line(error: &Misunderstood) -> String {
    serde_json::json!({"error": error.0}).to_string()
}

fn open(line: &str) -> Result<Study, Misunderstood> {
    let opening: Opening = serde_json::from_str(line).map_err(|error| {
        Misunderstood(format!("the first line says what is searched, as {{\"space\": {{…}}}}: {error}"))
    })?;
    let strategy: Strategy = opening.strategy.parse().map_err(|error| Misunderstood(format!("{error}")))?;
    if opening.budget == Some(0) {
        return Err(Misunderstood(
            "a budget of 0 trials finds nothing; leave it out if it is not known".to_owned(),
        ));
    }
    Ok(Study::new(opening.space, strategy, opening.budget, opening.seed))
}

fn answer(study: &mut Study, line: &str) -> Result<String, Misunderstood> {
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
    for told in line.tell.iter().flatten() {
        check(study, told)?;
    }
    for told in line.tell.iter().flatten() {
        take(study, told)?;
    }
    let best = line.tell.map(|_| {
        let best = study.best();
        best.map(|best| Shown { id: best.id, config: shown(&best.config), value: Some(best.value) })
    });
    let trials = line.ask.map(|count| {
        let asked = std::iter::from_fn(|| study.ask()).take(count);
        asked.map(|Asked { id, config }| Shown { id, config: shown(&config), value: None }).collect()
    });
    serde_json::to_string(&Answer { best, trials }).map_err(|error| Misunderstood(error.to_string()))
}

fn check(study: &Study, told: &Told) -> Result<(), Misunderstood> {
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
    }
}

fn take(study: &mut Study, told: &Told) -> Result<(), Misunderstood> {
    let outcome = match told.value {
        Some(value) => Outcome::Measured(Measured {
            value,
            noise: told.noise.filter(|noise| noise.is_finite() && *noise >= 0.0),
            feasible: told.feasible,
            margins: Vec::new(),
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
}
