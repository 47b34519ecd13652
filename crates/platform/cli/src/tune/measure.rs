//! What a trial's command printed.

use std::collections::BTreeMap;

use kandela_tune::{Measured, Outcome};
use serde_json::Value;

use super::constraint::Constraint;

/// Which of the printed numbers mean what.
pub(super) struct Reading<'a> {
    pub objective: &'a str,
    pub maximize: bool,
    pub constraints: &'a [Constraint],
}

/// The numbers of one trial, as printed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Numbers(pub BTreeMap<String, f64>);

/// The numbers of the last line that is a JSON object.
///
/// # Errors
/// With a sentence, where there is no such line.
pub(super) fn numbers(output: &str) -> Result<Numbers, String> {
    let object = |line: &str| match serde_json::from_str(line.trim()) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    };
    let Some(object) = output.lines().rev().find_map(object) else {
        let last = output.lines().rev().find(|line| !line.trim().is_empty());
        return Err(match last {
            Some(last) => format!("no line of its output is a JSON object; the last one is {last:?}"),
            None => "it printed nothing; print a line such as {\"value\": 241.5}".to_owned(),
        });
    };
    let number = |(key, value): (String, Value)| Some((key, value.as_f64()?));
    Ok(Numbers(object.into_iter().filter_map(number).collect()))
}

impl Reading<'_> {
    /// What the numbers say of the trial, its objective as something to minimise.
    ///
    /// # Errors
    /// With a sentence, where the objective or what a constraint looks at is missing.
    pub(super) fn outcome(&self, numbers: &Numbers, seconds: f64) -> Result<Outcome, String> {
        let value = self.number(numbers, self.objective)?;
        let margin = |constraint: &Constraint| Ok(constraint.margin(self.number(numbers, &constraint.key)?));
        let margins = self.constraints.iter().map(margin).collect::<Result<Vec<f64>, String>>()?;
        Ok(Outcome::Measured(Measured {
            value: if self.maximize { -value } else { value },
            noise: numbers.0.get("noise").copied().filter(|noise| *noise >= 0.0),
            feasible: margins.iter().all(|margin| *margin >= 0.0),
            margins,
            seconds: Some(seconds),
        }))
    }

    fn number(&self, numbers: &Numbers, key: &str) -> Result<f64, String> {
        let found = numbers.0.get(key).copied();
        found.filter(|number| number.is_finite()).ok_or_else(|| {
            let there: Vec<&str> = numbers.0.keys().map(String::as_str).collect();
            format!("its JSON has no number {key:?}; it has {}", list(&there))
        })
    }
}

fn list(keys: &[&str]) -> String {
    if keys.is_empty() { "none at all".to_owned() } else { keys.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(constraints: &[Constraint]) -> Reading<'_> {
        Reading { objective: "tps", maximize: true, constraints }
    }

    #[test]
    fn the_last_object_counts_and_what_is_higher_is_turned() {
        let numbers =
            numbers("starting\n{\"tps\": 1}\n{\"tps\": 250.5, \"p99\": 80, \"host\": \"a\"}\nbye\n").unwrap();
        let constraints = ["p99<=100".parse().unwrap()];
        let Ok(Outcome::Measured(measured)) = reading(&constraints).outcome(&numbers, 2.0) else {
            panic!("measured")
        };
        assert_eq!((measured.value, measured.feasible, measured.margins), (-250.5, true, vec![20.0]));
    }

    #[test]
    fn a_broken_constraint_makes_the_trial_infeasible() {
        let numbers = numbers("{\"tps\": 250, \"p99\": 180}").unwrap();
        let constraints = ["p99<=100".parse().unwrap(), "tps>=1".parse().unwrap()];
        let Ok(Outcome::Measured(measured)) = reading(&constraints).outcome(&numbers, 2.0) else {
            panic!("measured")
        };
        assert!(!measured.feasible && measured.margins == [-80.0, 249.0]);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(numbers("").unwrap_err().contains("printed nothing"));
        assert!(numbers("done\n").unwrap_err().contains("the last one is \"done\""));
        let without = numbers("{\"value\": 3, \"tps\": null}").unwrap();
        assert_eq!(
            reading(&[]).outcome(&without, 1.0),
            Err("its JSON has no number \"tps\"; it has value".to_owned())
        );
    }
}
