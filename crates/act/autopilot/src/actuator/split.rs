//! The share of a service's traffic that a canary gets, by `GET` and `PUT /split` of those who call the service.
//!
//! A split has no lease of its own, so a watchdog holds it like a setting.

use std::collections::BTreeMap;

use async_trait::async_trait;
use kandela_model::{ApplyCost, KnobSpec, KnobType, KnobValue, StepCap};
use kandela_tune::space::Class;
use kandela_tune::{Parameter, Space};
use reqwest::Url;
use serde_json::json;

use super::ActuateError;
use super::config::{SplitConfig, timeout};
use super::health::{chain, client};
use super::http::{at, process};
use super::settings::{Reading, Settings, Texts, parse, spec_of};

type Weights = BTreeMap<String, f64>;

/// Callers of one service, and which of its replicas are the canary.
pub(crate) struct Split {
    target: String,
    callers: Vec<Url>,
    service: String,
    canary: Vec<String>,
    client: reqwest::Client,
    space: Space,
}

impl Split {
    pub(crate) fn new(name: &str, config: &SplitConfig) -> Result<Split, String> {
        if config.callers.is_empty() || config.canary.is_empty() {
            return Err("split: give at least one caller and one address of the canary".to_owned());
        }
        if !(config.most > 0.0 && config.most <= 1.0) {
            return Err(format!("split: most is {}; a share is above 0 and at most 1", config.most));
        }
        let spec = KnobSpec {
            name: format!("{}.canary.share", config.service),
            kind: KnobType::Float { min: 0.0, max: config.most, log: false },
            step_cap: StepCap::Unlimited,
            cost: ApplyCost::Live,
        };
        let parameter = Parameter { spec, default: None, when: None, class: Class::Free };
        Ok(Split {
            target: format!("traffic of {} ({name})", config.service),
            callers: config.callers.iter().map(|url| process(url)).collect::<Result<_, _>>()?,
            service: config.service.clone(),
            canary: config.canary.clone(),
            client: client(timeout(config.timeout_s)?)?,
            space: Space::new(vec![parameter]).map_err(|e| e.to_string())?,
        })
    }

    async fn weights(&self, caller: &Url) -> Result<Weights, String> {
        let answer = self
            .client
            .get(at(caller, "split"))
            .send()
            .await
            .map_err(|e| format!("{caller}: {}", chain(&e)))?;
        let splits: BTreeMap<String, Weights> =
            answer.json().await.map_err(|e| format!("{caller}: GET /split is no split: {}", chain(&e)))?;
        let known = splits.keys().cloned().collect::<Vec<_>>().join(", ");
        let ours = splits.into_iter().find(|(service, _)| *service == self.service);
        let (_, weights) =
            ours.ok_or_else(|| format!("{caller} calls no {}; it calls {known}", self.service))?;
        Ok(weights)
    }

    async fn set(&self, caller: &Url, weights: &Weights) -> Result<(), String> {
        let body = json!({ "service": self.service, "weights": weights });
        let sent = self.client.put(at(caller, "split")).json(&body).send().await;
        let answer = sent.map_err(|e| format!("{caller}: {}", chain(&e)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(format!("{caller}: PUT /split answers {status}: {}", answer.text().await.unwrap_or_default()))
    }
}

#[async_trait]
impl Settings for Split {
    fn target(&self) -> &str {
        &self.target
    }

    fn space(&self) -> &Space {
        &self.space
    }

    /// Where callers differ, the largest share counts.
    async fn read(&self) -> Result<BTreeMap<String, Reading>, ActuateError> {
        let mut largest = 0.0_f64;
        for caller in &self.callers {
            let weights =
                self.weights(caller).await.map_err(|e| ActuateError::unreachable(&self.target, e))?;
            largest = largest.max(share(&weights, &self.canary));
        }
        let name = self.space.parameters()[0].spec.name.clone();
        let set = Some(largest.to_string());
        Ok(BTreeMap::from([(name, Reading { value: KnobValue::Float(largest), set })]))
    }

    async fn write(&self, texts: &Texts) -> Result<(), ActuateError> {
        for (name, text) in texts {
            let spec = spec_of(&self.target, &self.space, name)?;
            let parsed = parse(&self.target, spec, text.as_deref().unwrap_or_default())?;
            let KnobValue::Float(share) = parsed else { continue };
            let mut done: Vec<(&Url, Weights)> = Vec::new();
            for caller in &self.callers {
                let turned = match self.weights(caller).await {
                    Ok(before) => {
                        let new = with_share(&before, &self.canary, share);
                        done.push((caller, before));
                        self.set(caller, &new).await
                    }
                    Err(error) => Err(error),
                };
                let Err(reason) = turned else { continue };
                for (caller, before) in &done {
                    self.set(caller, before).await.map_err(|error| {
                        ActuateError::unknown(&self.target, format!("{reason}; and on the way back: {error}"))
                    })?;
                }
                return Err(ActuateError::failed(&self.target, reason));
            }
        }
        Ok(())
    }
}

/// The part of the traffic that goes to the canary.
fn share(weights: &Weights, canary: &[String]) -> f64 {
    let all: f64 = weights.values().sum();
    let of_canary: f64 = canary.iter().filter_map(|address| weights.get(address)).sum();
    if all > 0.0 { of_canary / all } else { 0.0 }
}

/// Weights of which the canary has `share`, evenly; the others keep their proportions to each other.
fn with_share(weights: &Weights, canary: &[String], share: f64) -> Weights {
    let others: Weights = weights.iter().filter(|(address, _)| !canary.contains(address)).map(own).collect();
    let total: f64 = others.values().sum();
    let of_other = |weight: f64| {
        let part = if total > 0.0 { weight / total } else { 1.0 / others.len() as f64 };
        part * (1.0 - share)
    };
    let of_canary = canary.iter().map(|address| (address.clone(), share / canary.len() as f64));
    others.iter().map(|(address, weight)| (address.clone(), of_other(*weight))).chain(of_canary).collect()
}

fn own((address, weight): (&String, &f64)) -> (String, f64) {
    (address.clone(), *weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(pairs: &[(&str, f64)]) -> Weights {
        pairs.iter().map(|(address, weight)| ((*address).to_owned(), *weight)).collect()
    }

    #[test]
    fn a_canary_takes_its_share_from_all_others_alike() {
        let canary = ["c:3".to_owned()];
        let split = with_share(&weights(&[("a:1", 3.0), ("b:2", 1.0), ("c:3", 4.0)]), &canary, 0.2);
        assert_eq!(split, weights(&[("a:1", 0.75 * 0.8), ("b:2", 0.25 * 0.8), ("c:3", 0.2)]));
        assert!((share(&split, &canary) - 0.2).abs() < 1e-12);
    }
}
