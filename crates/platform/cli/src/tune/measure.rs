//! What a trial's command printed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use kandela_tune::{Measured, Outcome};
use regex::Regex;
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

/// A pattern whose groups are numbers in a command's output.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Pattern, String> {
        let regex = Regex::new(text).map_err(|error| error.to_string())?;
        if regex.captures_len() < 2 {
            return Err("put the number into a group, as in 'tps = ([0-9.]+)'".to_owned());
        }
        Ok(Pattern(regex))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The numbers of one trial: those of `patterns`, a group without a name being `objective`; of the last line that is a JSON object
/// where there are none.
///
/// # Errors
/// With a sentence, where there is no such line, or a pattern matches nothing.
pub(super) fn numbers(output: &str, patterns: &[Pattern], objective: &str) -> Result<Numbers, String> {
    if patterns.is_empty() {
        return of_json(output);
    }
    let mut numbers = Numbers::default();
    for Pattern(regex) in patterns {
        let Some(found) = regex.captures_iter(output).last() else {
            return Err(format!("nothing in its output matches {:?}; {}", regex.as_str(), last_line(output)));
        };
        for (group, name) in found.iter().zip(regex.capture_names()).skip(1) {
            let Some(text) = group.map(|group| group.as_str()) else { continue };
            let number = text
                .parse()
                .map_err(|_| format!("{:?} found {text:?}, which is no number", regex.as_str()))?;
            numbers.0.insert(name.unwrap_or(objective).to_owned(), number);
        }
    }
    Ok(numbers)
}

fn last_line(output: &str) -> String {
    match output.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(last) => format!("the last line is {last:?}"),
        None => "it printed nothing".to_owned(),
    }
}

fn of_json(output: &str) -> Result<Numbers, String> {
    let object = |line: &str| match serde_json::from_str(line.trim()) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    };
    let Some(object) = output.lines().rev().find_map(object) else {
        let like_one = output.lines().rev().map(str::trim).find(|line| line.starts_with('{'));
        if let Some((line, Err(why))) = like_one.map(|line| (line, serde_json::from_str::<Value>(line))) {
            return Err(format!("{line:?} is no JSON ({why}); JSON has no NaN and no infinity"));
        }
        return Err(format!(
            "no line of its output is a JSON object such as {{\"value\": 241.5}}; {}",
            last_line(output)
        ));
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
            format!("it printed no number {key:?}; it printed {}", list(&there))
        })
    }
}

fn list(keys: &[&str]) -> String {
    if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }
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
            of_json("starting\n{\"tps\": 1}\n{\"tps\": 250.5, \"p99\": 80, \"host\": \"a\"}\nbye\n").unwrap();
        let constraints = ["p99<=100".parse().unwrap()];
        let Ok(Outcome::Measured(measured)) = reading(&constraints).outcome(&numbers, 2.0) else {
            panic!("measured")
        };
        assert_eq!((measured.value, measured.feasible, measured.margins), (-250.5, true, vec![20.0]));
    }

    #[test]
    fn a_broken_constraint_makes_the_trial_infeasible() {
        let numbers = of_json("{\"tps\": 250, \"p99\": 180}").unwrap();
        let constraints = ["p99<=100".parse().unwrap(), "tps>=1".parse().unwrap()];
        let Ok(Outcome::Measured(measured)) = reading(&constraints).outcome(&numbers, 2.0) else {
            panic!("measured")
        };
        assert!(!measured.feasible && measured.margins == [-80.0, 249.0]);
    }

    #[test]
    fn groups_are_numbers_by_name_and_the_last_match_counts() {
        let output = "tps = 80.5\nlatency average = 9.1 ms\ntps = 95 (without initial connection time)\n";
        let patterns =
            ["tps = ([0-9.]+)".parse().unwrap(), "latency average = (?<ms>[0-9.]+)".parse().unwrap()];
        let found = numbers(output, &patterns, "tps").unwrap();
        assert_eq!(found.0, BTreeMap::from([("ms".to_owned(), 9.1), ("tps".to_owned(), 95.0)]));
        let error = numbers("failed\n", &patterns, "tps").unwrap_err();
        assert!(error.contains("\"tps = ([0-9.]+)\"; the last line is \"failed\""), "{error}");
        assert!("tps = [0-9]+".parse::<Pattern>().unwrap_err().contains("into a group"));
        let error = numbers("tps = .", &patterns[..1], "tps").unwrap_err();
        assert!(error.contains("found \".\", which is no number"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let of = |output| numbers(output, &[], "value");
        assert!(of("").unwrap_err().contains("printed nothing"));
        assert!(of("done\n").unwrap_err().contains("the last line is \"done\""));
        assert!(of("{\"value\": NaN}\n").unwrap_err().contains("JSON has no NaN"));
        let without = of("{\"value\": 3, \"tps\": null}").unwrap();
        assert_eq!(
            reading(&[]).outcome(&without, 1.0),
            Err("it printed no number \"tps\"; it printed value".to_owned())
        );
    }
}
