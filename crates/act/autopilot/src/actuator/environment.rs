//! Variables in a file, and a service that reads them when it starts.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use kandela_tune::Space;

use super::ActuateError;
use super::claim::Beside;
use super::command::Command;
use super::config::EnvironmentConfig;
use super::file::replace;
use super::health::{Health, client};
use super::settings::{Reading, Settings, Texts, parse, spec_of, there_and_back};

/// Readers of such files take these in different ways.
const ODD: [char; 7] = ['\n', '"', '\'', '\\', '$', '`', '#'];
const PLAIN: &str = "a value has no line breaks, quotes, `\\`, `$`, `#` or backticks, which readers of such files take in different ways";

/// A file of variables and what restarts whoever reads it.
pub(crate) struct Environment {
    target: String,
    file: PathBuf,
    restart: Command,
    health: Health,
    client: reqwest::Client,
    space: Space,
    claim: Beside,
}

impl Environment {
    pub(crate) fn new(config: &EnvironmentConfig) -> Result<Environment, String> {
        config.health.check().map_err(|what| format!("environment: {what}"))?;
        for parameter in config.knobs.parameters() {
            let name = &parameter.spec.name;
            let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(fine) {
                return Err(format!(
                    "environment: {name:?} is no variable's name; those are letters, digits and `_`"
                ));
            }
        }
        Ok(Environment {
            target: format!("environment in {}", config.file.display()),
            file: config.file.clone(),
            restart: config.restart.clone(),
            health: config.health.clone(),
            client: client(Duration::from_secs(5))?,
            space: config.knobs.clone(),
            claim: Beside::of(&config.file),
        })
    }

    fn text(&self) -> Result<String, ActuateError> {
        let read = fs::read_to_string(&self.file);
        read.map_err(|e| ActuateError::unreachable(&self.target, format!("it can't be read: {e}")))
    }

    async fn restart(&self) -> Result<(), String> {
        self.restart.run().await?;
        self.health.wait(&self.client).await
    }
}

#[async_trait]
impl Settings for Environment {
    fn target(&self) -> &str {
        &self.target
    }

    fn space(&self) -> &Space {
        &self.space
    }

    async fn read(&self) -> Result<BTreeMap<String, Reading>, ActuateError> {
        let text = self.text()?;
        let variables = variables(&text);
        let reading = |parameter: &kandela_tune::Parameter| {
            let name = &parameter.spec.name;
            let set = variables.get(name.as_str()).cloned();
            if set.as_ref().is_some_and(|text| text.contains(ODD)) {
                let what = format!("{PLAIN}, and what stands in the file has some: it could not be put back");
                return Err(ActuateError::refused(&self.target, name, what));
            }
            let value = match (&set, &parameter.default) {
                (Some(text), _) => parse(&self.target, &parameter.spec, text)?,
                (None, Some(default)) => default.clone(),
                (None, None) => {
                    let what = "it is not set, and the space does not say what the service then takes; give a default";
                    return Err(ActuateError::refused(&self.target, name, what));
                }
            };
            Ok((name.clone(), Reading { value, set }))
        };
        self.space.parameters().iter().map(reading).collect()
    }

    fn longest_change(&self) -> Duration {
        there_and_back([self.restart.timeout(), self.health.patience()])
    }

    async fn claim(&self) -> Result<(), ActuateError> {
        self.claim.claim(&self.target)
    }

    async fn is_free(&self) -> Result<(), ActuateError> {
        self.claim.is_free(&self.target)
    }

    async fn write(&self, texts: &Texts) -> Result<(), ActuateError> {
        for (name, text) in texts {
            spec_of(&self.target, &self.space, name)?;
            if text.as_ref().is_some_and(|text| text.contains(ODD)) {
                return Err(ActuateError::refused(&self.target, name, PLAIN));
            }
        }
        let old = self.text()?;
        let failed = |reason: String| ActuateError::failed(&self.target, reason);
        replace(&self.file, edit(&old, texts).as_bytes()).map_err(failed)?;
        let Err(reason) = self.restart().await else { return Ok(()) };
        let back = match replace(&self.file, old.as_bytes()) {
            Ok(()) => self.restart().await,
            Err(error) => Err(error),
        };
        Err(match back {
            Ok(()) => failed(reason),
            Err(error) => {
                ActuateError::unknown(&self.target, format!("{reason}; and with the old variables: {error}"))
            }
        })
    }
}

/// The variable that a line sets, and its value without quotes.
fn variable(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let value = value.trim();
    let bare = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    Some((name.trim(), bare.unwrap_or(value)))
}

fn variables(text: &str) -> BTreeMap<&str, String> {
    text.lines().filter_map(variable).map(|(name, value)| (name, value.to_owned())).collect()
}

/// The file with `texts` in it. A variable stands where it stood, and at the end if it was not there.
fn edit(text: &str, texts: &Texts) -> String {
    let mut left = texts.clone();
    let mut edited = String::new();
    for line in text.lines() {
        match variable(line) {
            Some((name, _)) if texts.contains_key(name) => {
                if let Some(Some(value)) = left.remove(name) {
                    // A shell that reads the file would keep to itself what is not exported.
                    let exported = if line.trim_start().starts_with("export ") { "export " } else { "" };
                    edited.push_str(&format!("{exported}{}", assignment(name, &value)));
                }
            }
            _ => edited.push_str(&format!("{line}\n")),
        }
    }
    for (name, value) in left {
        if let Some(value) = value {
            edited.push_str(&assignment(&name, &value));
        }
    }
    edited
}

fn assignment(name: &str, value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:/+@%".contains(c);
    if value.chars().all(plain) { format!("{name}={value}\n") } else { format!("{name}=\"{value}\"\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_knobs_stay_as_they_are() {
        let file = "# pool\nexport POOL=5\nSECRET='a b' \nPOOL=6\n";
        let set = Texts::from([
            ("POOL".to_owned(), Some("9".to_owned())),
            ("NEW".to_owned(), Some("x y".to_owned())),
        ]);
        assert_eq!(edit(file, &set), "# pool\nexport POOL=9\nSECRET='a b' \nNEW=\"x y\"\n");
        let unset = Texts::from([("POOL".to_owned(), None)]);
        assert_eq!(edit(file, &unset), "# pool\nSECRET='a b' \n");
        assert_eq!(variables(file)["SECRET"], "a b");
    }

    #[tokio::test]
    async fn a_value_that_could_not_be_put_back_is_not_taken_in_hand() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("env");
        let yaml = format!(
            "- {{name: a, environment: {{file: {}, restart: [\"true\"], health: {{command: [\"true\"]}}, \
             knobs: {{MODE: {{type: enum, values: [a, b]}}}}}}}}\n",
            file.display()
        );
        let targets = super::super::config::targets_from_yaml(&yaml).expect("a target");
        let settings = targets[0].settings().expect("it is one");
        for text in ["MODE=$OTHER\n", "MODE=a # for now\n", "MODE='it'\"'\"'s'\n"] {
            fs::write(&file, text).expect("writable");
            let error = settings.read().await.expect_err(text).to_string();
            assert!(error.contains("it could not be put back"), "{error}");
        }
        fs::write(&file, "MODE=\"a\"\n").expect("writable");
        assert_eq!(settings.read().await.expect("plain")["MODE"].set.as_deref(), Some("a"));
    }
}
