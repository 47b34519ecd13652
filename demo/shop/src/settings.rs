//! What the shop starts with: the frozen defaults, and what a file says over them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use toml::Value;

const DEFAULTS: &str = include_str!("../defaults.toml");

/// What the shop promises over each simulated minute.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slo {
    /// The most that 99 of 100 requests may take, in milliseconds.
    pub(crate) p99_ms: f64,
    /// The largest share of requests that may fail or be turned away.
    pub(crate) errors: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    slo: Option<Slo>,
    #[serde(default)]
    knobs: BTreeMap<String, Value>,
    #[serde(default)]
    downstream: BTreeMap<String, Value>,
}

/// Where each knob stands at first.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    knobs: BTreeMap<String, Value>,
    downstream: BTreeMap<String, Value>,
    /// The file over the defaults, and what it says: knobs, or their endings.
    file: Option<(PathBuf, BTreeSet<String>)>,
}

impl Settings {
    /// The frozen defaults.
    pub(crate) fn defaults() -> Result<Settings> {
        let file: File = toml::from_str(DEFAULTS).context("defaults.toml")?;
        Ok(Settings { knobs: file.knobs, downstream: file.downstream, file: None })
    }

    /// The frozen defaults, with what the file at `path` says over them.
    pub(crate) fn with_file(path: Option<&Path>) -> Result<Settings> {
        let mut settings = Settings::defaults()?;
        let Some(path) = path else { return Ok(settings) };
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let said = settings.overlay(&text).with_context(|| path.display().to_string())?;
        settings.file = Some((path.to_owned(), said));
        Ok(settings)
    }

    /// Which knobs, or endings, `text` sets.
    fn overlay(&mut self, text: &str) -> Result<BTreeSet<String>> {
        let file: File = toml::from_str(text)?;
        for key in file.downstream.keys() {
            if !self.downstream.contains_key(key) {
                bail!("[downstream] has no {key}; it has {}", names(&self.downstream));
            }
        }
        for name in file.knobs.keys() {
            // Whoever calls somebody has a pool of calls to it.
            let is_of_a_call = |end: &String| {
                let called = name.strip_suffix(end.as_str());
                called.is_some_and(|called| self.knobs.contains_key(&format!("{called}pool.size")))
            };
            let known = self.knobs.contains_key(name) || self.downstream.keys().any(is_of_a_call);
            if !known {
                bail!("no knob is called {name}; GET /knobs of a service lists its own");
            }
        }
        let said = file.knobs.keys().chain(file.downstream.keys()).cloned().collect();
        self.knobs.extend(file.knobs);
        self.downstream.extend(file.downstream);
        Ok(said)
    }

    /// The file over the defaults, if the knob `name` has its value from there.
    pub(crate) fn file_that_sets(&self, name: &str) -> Option<&Path> {
        let (path, said) = self.file.as_ref()?;
        let own = said.contains(name);
        let shared = || !self.knobs.contains_key(name) && said.iter().any(|end| name.ends_with(end));
        (own || shared()).then_some(path)
    }

    /// The value of the knob `name`: its own, or the one that all knobs of that ending have.
    pub(crate) fn get(&self, name: &str) -> Result<&Value> {
        let own = self.knobs.get(name);
        let shared =
            || self.downstream.iter().find(|(end, _)| name.ends_with(end.as_str())).map(|(_, value)| value);
        own.or_else(shared).with_context(|| format!("defaults.toml has no value for the knob {name}"))
    }
}

fn names(values: &BTreeMap<String, Value>) -> String {
    values.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The frozen promise.
pub(crate) fn slo() -> Result<Slo> {
    let file: File = toml::from_str(DEFAULTS).context("defaults.toml")?;
    file.slo.context("defaults.toml has no [slo]")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FNV-1a, which any language has in three lines.
    fn fingerprint(text: &str) -> u64 {
        text.bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    #[test]
    fn the_defaults_are_frozen() {
        let values: Vec<&str> = DEFAULTS
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        assert_eq!(
            fingerprint(&values.join("\n")),
            2_087_150_170_069_353_817,
            "a default of the shop or its SLO changed: figures from before and after can't be compared"
        );
    }

    #[test]
    fn a_file_that_names_no_knob_says_so() {
        let mut settings = Settings::defaults().expect("built in");
        for name in ["gateway.pool", "gateway.nobody.retries", "gatway.cart.retries", "xretries"] {
            let error = settings.overlay(&format!("[knobs]\n\"{name}\" = 3")).expect_err("no such knob");
            assert!(error.to_string().contains(&format!("no knob is called {name}")), "{error}");
        }
    }

    #[test]
    fn a_knob_of_its_own_goes_before_the_one_of_all_downstreams() {
        let mut settings = Settings::defaults().expect("built in");
        settings.overlay("[knobs]\n\"payment.bank.retries\" = 0\n[downstream]\nretries = 1").expect("valid");
        assert_eq!(settings.get("payment.bank.retries").expect("set"), &Value::Integer(0));
        assert_eq!(settings.get("cart.catalogue.retries").expect("shared"), &Value::Integer(1));
    }

    #[test]
    fn the_tuned_set_names_only_knobs_that_exist() {
        let mut settings = Settings::defaults().expect("built in");
        settings.overlay(include_str!("../tuned.toml")).expect("tuned.toml");
    }
}
