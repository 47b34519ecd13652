//! `autopilot.yaml`: the systems under management, what is to become better, and what must not be broken.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kandela_autopilot::actuator::TargetConfig;
use kandela_autopilot::calendar::{Freeze, Window};
use kandela_autopilot::machine::{Mode, Policy};
use kandela_config::parse_duration;
use kandela_tune::experiment::{Account, Design, Plan};
use kandela_tune::guard::{Better, Bound, Constraint, Guards, Objective, Of};
use kandela_tune::{Space, Strategy};
use serde::{Deserialize, Deserializer};

/// One system under management.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SystemConfig {
    /// What it is called in the ledger and on the command line.
    pub name: String,
    /// How far the autopilot may go.
    #[serde(default = "advise")]
    pub mode: Mode,
    /// What is to become better.
    pub objective: ObjectiveConfig,
    /// What must not be broken.
    #[serde(default)]
    pub constraints: Vec<ConstraintConfig>,
    /// What counts the requests that clients send, where that does not depend on the settings.
    #[serde(default)]
    pub offered: Option<String>,
    /// What is left of each error budget, from 0 to 1.
    #[serde(default)]
    pub error_budgets: BTreeMap<String, String>,
    /// What tells one workload from another, each from 0 to about 1.
    #[serde(default)]
    pub workload: BTreeMap<String, String>,
    /// What a person would turn by hand, and when.
    #[serde(default)]
    pub runbook: Vec<Rule>,
    /// The system, or the part of it that is turned first.
    pub target: TargetConfig,
    /// The rest of it, that is turned with a promotion.
    #[serde(default)]
    pub rest: Vec<TargetConfig>,
    /// What `$arm` stands for, where there is a rest.
    #[serde(default)]
    pub arms: Option<Arms>,
    /// What may be set; the target's own knobs, where it declares some.
    #[serde(default)]
    pub knobs: Option<Space>,
    /// Who proposes.
    #[serde(default, deserialize_with = "strategy")]
    pub strategy: Strategy,
    /// The same seed, measurements and orders give the same decisions.
    #[serde(default)]
    pub seed: u64,
    /// The probability with which anything at all may be promoted by mistake.
    #[serde(default = "twentieth")]
    pub alpha: f64,
    /// For how many proposals that is meant.
    #[serde(default = "hundred")]
    pub proposals: u32,
    /// How often the system is looked at.
    #[serde(default, deserialize_with = "time")]
    pub interval: Option<Duration>,
    /// How long a slice is measured.
    #[serde(default, deserialize_with = "time")]
    pub slice: Option<Duration>,
    /// How long a change takes to show, once knobs are turned.
    #[serde(default, deserialize_with = "time")]
    pub wash_out: Option<Duration>,
    /// How long telemetry takes to arrive.
    #[serde(default, deserialize_with = "time")]
    pub lag: Option<Duration>,
    /// The smallest gain worth having, as a share: 0.02 is 2 %.
    #[serde(default = "twentieth")]
    pub smallest_gain: f64,
    /// When nothing is tried.
    #[serde(default)]
    pub freeze: Vec<Window>,
    /// The most proposals an hour.
    #[serde(default)]
    pub proposals_per_hour: Option<usize>,
    /// The most proposals a day.
    #[serde(default)]
    pub proposals_per_day: Option<usize>,
    /// Nothing is tried while less than this share of an error budget is left.
    #[serde(default)]
    pub error_budget_floor: Option<f64>,
}

/// What is to become better.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectiveConfig {
    /// Its name.
    pub name: String,
    /// PromQL; one value above 0.
    pub expression: String,
    /// Which way it is to go.
    pub better: Better,
}

/// What must not be broken.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConstraintConfig {
    /// Its name.
    pub name: String,
    /// PromQL; one value, 0 or more.
    pub expression: String,
    /// At most this.
    #[serde(default)]
    pub max: Option<f64>,
    /// At least this.
    #[serde(default)]
    pub min: Option<f64>,
    /// The bound is on the ratio to the control.
    #[serde(default)]
    pub ratio_to_control: bool,
    /// How long it counts as held after it was shown.
    #[serde(default, deserialize_with = "time")]
    pub window: Option<Duration>,
    /// The most that one slice counts, as a natural logarithm of the ratio to the bound.
    #[serde(default)]
    pub clip: Option<f64>,
}

/// A rule of a runbook: while the condition gives anything, as an alert's does, these knobs should move.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// PromQL.
    pub when: String,
    /// Knobs that should go up, or on.
    #[serde(default)]
    pub raise: Vec<String>,
    /// Knobs that should go down, or off.
    #[serde(default)]
    pub lower: Vec<String>,
}

/// Label matchers that tell the canary from the rest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arms {
    /// Of the canary: `instance="checkout@127.0.0.1:7713"`.
    pub canary: String,
    /// Of the rest: `instance!="checkout@127.0.0.1:7713"`.
    pub rest: String,
}

/// Why systems can't be managed as a file says.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {what}")]
pub struct ConfigError {
    file: String,
    what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    systems: Vec<SystemConfig>,
}

const DEFAULT_WINDOW: Duration = Duration::from_secs(600);
const DEFAULT_LAG: Duration = Duration::from_secs(5);

fn advise() -> Mode {
    Mode::Advise
}

fn twentieth() -> f64 {
    0.05
}

fn hundred() -> u32 {
    100
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map(Some).map_err(|error| serde::de::Error::custom(format!("{error}, as in 30s")))
}

fn strategy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Strategy, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// Reads the systems that a file describes, and checks each as far as that can be done without asking it.
///
/// # Errors
/// [`ConfigError`] with file and line, or the system's name.
pub(crate) fn read(file: &Path) -> Result<Vec<SystemConfig>, ConfigError> {
    let fault = |what: String| ConfigError { file: file.display().to_string(), what };
    let text = std::fs::read_to_string(file).map_err(|error| fault(error.to_string()))?;
    let File { systems } = serde_saphyr::from_str(&text).map_err(|error| fault(error.to_string()))?;
    if systems.is_empty() {
        return Err(fault("it names no system; describe one, or leave kandela.autopilot out".to_owned()));
    }
    for (place, system) in systems.iter().enumerate() {
        let fault = |what: String| fault(format!("system {}: {what}", system.name));
        if systems.iter().take(place).any(|earlier| earlier.name == system.name) {
            return Err(fault("there are two of this name; give each its own".to_owned()));
        }
        let earlier = systems.iter().take(place);
        let mut earlier = earlier.flat_map(|earlier| std::iter::once(&earlier.target).chain(&earlier.rest));
        let mine = |target: &TargetConfig| {
            std::iter::once(&system.target).chain(&system.rest).any(|mine| mine.name == target.name)
        };
        // What a watchdog holds lies under its target's name.
        if let Some(target) = earlier.find(|target| mine(target)) {
            return Err(fault(format!(
                "another system has a target {} too; a target has one manager, and a name of its own",
                target.name
            )));
        }
        system.check().map_err(fault)?;
    }
    Ok(systems)
}

impl SystemConfig {
    fn check(&self) -> Result<(), String> {
        let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || !self.name.chars().all(fine) {
            return Err("a name is letters, digits, `-`, `_` and `.`".to_owned());
        }
        let targets = std::iter::once(&self.target).chain(&self.rest);
        targets.clone().try_for_each(|target| target.check().map_err(|error| error.to_string()))?;
        let names: Vec<&str> = targets.map(|target| target.name.as_str()).collect();
        if let Some(twice) = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name)) {
            return Err(format!("two targets are called {}; give each its own name", twice.1));
        }
        match (&self.arms, self.rest.is_empty()) {
            (None, false) => {
                return Err(
                    "a system with a rest has `arms`, which tell the canary's series from the rest's"
                        .to_owned(),
                );
            }
            (Some(_), true) => return Err("`arms` are for a system with a `rest`".to_owned()),
            _ => {}
        }
        let expressions = self.expressions();
        expressions
            .into_iter()
            .try_for_each(|(name, text)| super::query::check(text).map_err(|e| format!("{name}: {e}")))?;
        for rule in &self.runbook {
            super::query::check(&rule.when).map_err(|e| format!("runbook, {:?}: {e}", rule.when))?;
            if rule.raise.is_empty() && rule.lower.is_empty() {
                return Err(format!("runbook, {:?}: give the knobs to `raise` or `lower`", rule.when));
            }
            if let Some(unknown) = self.unknown_knob(rule) {
                return Err(format!("runbook, {:?}: there is no knob {unknown} in `knobs`", rule.when));
            }
        }
        if !self.smallest_gain.is_finite() || self.smallest_gain <= 0.0 {
            return Err(format!(
                "smallest_gain is {}; give a share above 0, such as 0.05",
                self.smallest_gain
            ));
        }
        Guards::new(self.constraints()?, self.alpha).map_err(|error| error.to_string())?;
        Account::new(self.alpha, self.proposals).map_err(|error| format!("alpha and proposals: {error}"))?;
        let policy = self.policy()?;
        for (name, time) in [("interval", policy.interval), ("slice", policy.slice)] {
            if time.is_zero() {
                return Err(format!("{name} is 0s; give a time above 0, such as 10s"));
            }
        }
        Ok(())
    }

    /// A knob of the rule that is not among those that may be set, where they are declared.
    fn unknown_knob<'a>(&self, rule: &'a Rule) -> Option<&'a String> {
        let knobs = self.knobs.as_ref()?;
        rule.raise.iter().chain(&rule.lower).find(|knob| knobs.parameter(knob).is_none())
    }

    fn expressions(&self) -> Vec<(&str, &str)> {
        let objective = (self.objective.name.as_str(), self.objective.expression.as_str());
        let constraints = self.constraints.iter().map(|c| (c.name.as_str(), c.expression.as_str()));
        let offered = self.offered.iter().map(|text| ("offered", text.as_str()));
        let named = self.error_budgets.iter().chain(&self.workload);
        let named = named.map(|(name, text)| (name.as_str(), text.as_str()));
        std::iter::once(objective).chain(constraints).chain(offered).chain(named).collect()
    }

    /// What is to become better, as experiments take it.
    pub(super) fn objective(&self) -> Objective {
        let ObjectiveConfig { name, expression, better } = self.objective.clone();
        Objective { name, expression, better }
    }

    /// What must not be broken, as guards take it.
    ///
    /// # Errors
    /// Which constraint has no bound, or two.
    pub(super) fn constraints(&self) -> Result<Vec<Constraint>, String> {
        let one = |config: &ConstraintConfig| {
            let bound = match (config.max, config.min) {
                (Some(max), None) => Bound::Max(max),
                (None, Some(min)) => Bound::Min(min),
                _ => return Err(format!("constraint {}: give one of max and min", config.name)),
            };
            Ok(Constraint {
                name: config.name.clone(),
                expression: config.expression.clone(),
                bound,
                of: if config.ratio_to_control { Of::RatioToControl } else { Of::Value },
                window: config.window.unwrap_or(DEFAULT_WINDOW),
                clip: config.clip.unwrap_or(0.7),
            })
        };
        self.constraints.iter().map(one).collect()
    }

    /// How the manager works.
    ///
    /// # Errors
    /// Which freeze window can't be read.
    pub(super) fn policy(&self) -> Result<Policy, String> {
        let default = Policy::default();
        Ok(Policy {
            interval: self.interval(),
            slice: self.slice.unwrap_or(default.slice),
            wash_out: self.wash_out.unwrap_or(default.wash_out),
            grace: default.grace + self.lag(),
            freeze: Freeze::new(&self.freeze).map_err(|error| error.to_string())?,
            per_hour: self.proposals_per_hour.unwrap_or(default.per_hour),
            per_day: self.proposals_per_day.unwrap_or(default.per_day),
            error_budget_floor: self.error_budget_floor.unwrap_or(default.error_budget_floor),
            ..default
        })
    }

    /// The experiment by which a benefit is shown. The wash-out is the policy's own, so the plan has none.
    pub(super) fn plan(&self) -> Plan {
        Plan::new(Design::Switchback { wash_out: 0 }, self.objective.better, self.smallest_gain.ln_1p())
    }

    /// How often the system is looked at.
    pub(super) fn interval(&self) -> Duration {
        self.interval.unwrap_or(Policy::default().interval)
    }

    /// How long telemetry takes to arrive.
    pub(super) fn lag(&self) -> Duration {
        self.lag.unwrap_or(DEFAULT_LAG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<SystemConfig>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("autopilot.yaml");
        std::fs::write(&file, text).unwrap();
        read(&file).map_err(|error| error.to_string())
    }

    const SHOP: &str = r#"
systems:
  - name: shop
    mode: auto
    objective:
      name: p99
      expression: histogram_quantile(0.99, sum by (le) (rate(http_server_request_duration_seconds_bucket{job="gateway"$arm}[$window])))
      better: lower
    constraints:
      - {name: errors, expression: "errors:ratio", max: 0.01, window: 5m}
    target: {name: shop, http: {processes: ["http://127.0.0.1:7700"]}}
    knobs:
      gateway.cache.ttl_seconds: {type: float, min: 0.1, max: 600, log: true}
    slice: 5s
"#;

    #[test]
    fn a_system_is_read_with_its_defaults() {
        let systems = read_text(SHOP).unwrap();
        let system = &systems[0];
        assert_eq!(
            (system.mode, system.alpha, system.slice),
            (Mode::Auto, 0.05, Some(Duration::from_secs(5)))
        );
        assert_eq!(system.constraints().unwrap()[0].bound, Bound::Max(0.01));
        assert_eq!(system.policy().unwrap().slice, Duration::from_secs(5));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_or_its_system() {
        let error = read_text(&SHOP.replace("mode: auto", "mod: auto")).unwrap_err();
        assert!(error.contains("mod") && error.contains("line 4"), "{error}");
        let error = read_text(&SHOP.replace("max: 0.01", "clip: 0.7")).unwrap_err();
        assert!(error.contains("system shop: constraint errors: give one of max and min"), "{error}");
        let error = read_text(&SHOP.replace("errors:ratio", "rate(x[")).unwrap_err();
        assert!(error.contains("system shop: errors: "), "{error}");
        let rule = |rule: &str| read_text(&format!("{SHOP}    runbook: [{rule}]\n")).unwrap_err();
        let error = rule("{when: 'rate(x[', raise: [gateway.cache.ttl_seconds]}");
        assert!(error.contains("runbook, \"rate(x[\": "), "{error}");
        assert!(rule("{when: x > 1}").contains("give the knobs to `raise` or `lower`"));
        assert!(rule("{when: x > 1, raise: [pool]}").contains("there is no knob pool"));
        let error = read_text(&SHOP.replace("slice: 5s", "slice: 5")).unwrap_err();
        assert!(error.contains("as in 30s"), "{error}");
        let two = format!(
            "{SHOP}{}",
            SHOP.replace("systems:\n", "").replace("name: shop\n    mode", "name: other\n    mode")
        );
        let error = read_text(&two).unwrap_err();
        assert!(error.contains("system other: another system has a target shop too"), "{error}");
        let error = read_text(&SHOP.replace("slice: 5s", "slice: 0s")).unwrap_err();
        assert!(error.contains("slice is 0s"), "{error}");
        let error = read_text(&format!("{SHOP}    alpha: 7\n")).unwrap_err();
        assert!(error.contains("system shop: 7 is no"), "{error}");
        assert!(read_text("systems: []").unwrap_err().contains("names no system"));
        let error = read_text(&SHOP.replace("slice: 5s", "arms: {canary: a, rest: b}")).unwrap_err();
        assert!(error.contains("`arms` are for a system with a `rest`"), "{error}");
    }
}
