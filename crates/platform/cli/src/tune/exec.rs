//! A trial's command and its environment.

use std::collections::BTreeMap;

use kandela_tune::{Config, Space};

/// The variable with the trial's number.
const TRIAL: &str = "KANDELA_TRIAL";

/// The variable that a knob is in: its name, each character that none may have replaced by an underscore.
fn variable(knob: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    knob.chars().map(kept).collect()
}

/// Whether every knob has a variable of its own.
///
/// # Errors
/// Which two knobs have not, or which one would hide what the command needs.
pub(super) fn check_names(space: &Space) -> anyhow::Result<()> {
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    for parameter in space.parameters() {
        let knob = parameter.spec.name.as_str();
        let name = variable(knob);
        anyhow::ensure!(
            !["PATH", "HOME", "IFS", TRIAL].contains(&name.as_str()),
            "knob {knob} would hide the variable {name} that the command needs; call it otherwise"
        );
        anyhow::ensure!(
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'),
            "knob {knob:?} can't be a variable, which starts with a letter; call it otherwise"
        );
        if let Some(other) = taken.insert(name.clone(), knob) {
            anyhow::bail!("knobs {other} and {knob} would both be the variable {name}; call one otherwise");
        }
    }
    Ok(())
}

/// The variables of a trial.
pub(super) fn environment(config: &Config, trial: u64) -> BTreeMap<String, String> {
    let knobs = config.iter().map(|(name, value)| (variable(name), value.to_string()));
    knobs.chain([(TRIAL.to_owned(), trial.to_string())]).collect()
}

#[cfg(test)]
mod tests {
    use kandela_model::KnobValue;

    use super::*;

    fn refused(json: &str) -> String {
        let space: Space = serde_json::from_str(json).unwrap();
        check_names(&space).unwrap_err().to_string()
    }

    #[test]
    fn a_dotted_knob_is_a_variable_with_underscores() {
        let config = Config::from([("pool.size".to_owned(), KnobValue::Int(8))]);
        let environment = environment(&config, 3);
        assert_eq!(environment["pool_size"], "8");
        assert_eq!(environment["KANDELA_TRIAL"], "3");
    }

    #[test]
    fn knobs_that_would_be_one_variable_are_refused() {
        let twice = r#"{"a.b": {"type": "bool"}, "a_b": {"type": "bool"}}"#;
        assert!(refused(twice).contains("a.b and a_b would both be the variable a_b"));
        assert!(refused(r#"{"PATH": {"type": "bool"}}"#).contains("would hide the variable PATH"));
        assert!(refused(r#"{"9a": {"type": "bool"}}"#).contains("starts with a letter"));
    }
}
