//! How many of a service there are, by commands that the user gives.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use kandela_model::{KnobSpec, KnobType};
use kandela_tune::Space;

use super::ActuateError;
use super::command::Command;
use super::config::ReplicasConfig;
use super::health::{Health, client};
use super::settings::{Reading, Settings, Texts, parse, same, spec_of, there_and_back};

/// A service whose replicas a command starts and stops.
pub(crate) struct Replicas {
    target: String,
    knob: KnobSpec,
    read: Command,
    set: Command,
    health: Option<Health>,
    client: reqwest::Client,
    space: Space,
}

impl Replicas {
    pub(crate) fn new(name: &str, config: &ReplicasConfig) -> Result<Replicas, String> {
        let [parameter] = config.knobs.parameters() else {
            return Err("replicas: give one knob, the number".to_owned());
        };
        if !matches!(parameter.spec.kind, KnobType::Int { min: 1.., .. }) {
            return Err(format!("replicas: {} is a whole number of at least 1", parameter.spec.name));
        }
        if !config.set.mentions("replicas") {
            return Err("replicas: set does not name {{replicas}}, so it can't know how many".to_owned());
        }
        if let Some(health) = &config.health {
            health.check().map_err(|what| format!("replicas: {what}"))?;
        }
        Ok(Replicas {
            target: format!("replicas of {name}"),
            knob: parameter.spec.clone(),
            read: config.read.clone(),
            set: config.set.clone(),
            health: config.health.clone(),
            client: client(Duration::from_secs(5))?,
            space: config.knobs.clone(),
        })
    }

    async fn count(&self) -> Result<String, ActuateError> {
        let said = self.read.run().await.map_err(|e| ActuateError::unreachable(&self.target, e))?;
        Ok(said.trim().to_owned())
    }

    async fn scale(&self, count: &str) -> Result<(), String> {
        self.set.with("replicas", count).run().await?;
        if let Some(health) = &self.health {
            health.wait(&self.client).await?;
        }
        let got = self.count().await.map_err(|e| e.to_string())?;
        if same(&self.knob, count, &got) { Ok(()) } else { Err(format!("there are {got}, not {count}")) }
    }
}

#[async_trait]
impl Settings for Replicas {
    fn target(&self) -> &str {
        &self.target
    }

    fn space(&self) -> &Space {
        &self.space
    }

    async fn read(&self) -> Result<BTreeMap<String, Reading>, ActuateError> {
        let count = self.count().await?;
        let value = parse(&self.target, &self.knob, &count)?;
        Ok(BTreeMap::from([(self.knob.name.clone(), Reading { value, set: Some(count) })]))
    }

    fn longest_change(&self) -> Duration {
        let commands = [self.read.timeout(), self.set.timeout()];
        there_and_back(commands.into_iter().chain(self.health.as_ref().map(Health::patience)))
    }

    async fn write(&self, texts: &Texts) -> Result<(), ActuateError> {
        for (name, text) in texts {
            spec_of(&self.target, &self.space, name)?;
            let Some(text) = text else {
                return Err(ActuateError::refused(&self.target, name, "there is always a number; give one"));
            };
            let before = self.count().await?;
            let Err(reason) = self.scale(text).await else { continue };
            return Err(match self.scale(&before).await {
                Ok(()) => ActuateError::failed(&self.target, reason),
                Err(error) => {
                    ActuateError::unknown(&self.target, format!("{reason}; and on the way back: {error}"))
                }
            });
        }
        Ok(())
    }
}
