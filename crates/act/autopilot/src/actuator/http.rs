//! Processes that show and turn their knobs themselves, by `GET` and `PUT /knobs`: the shop, and whatever links `kandela-runtime`.
//!
//! Their leases are their own: when one lapses, the process goes back by itself. Several processes are one target: a knob is turned
//! in every process that has it. Each process changes all or nothing; where one of several refuses, those before it are put back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kandela_model::{Epoch, KnobAction, KnobChange, KnobError, KnobState, KnobValue, Lease};
use kandela_tune::Config;
use reqwest::Url;
use serde::Deserialize;

use super::config::{ConfigError, TargetConfig, timeout};
use super::health::{after_secret, chain, client, has_secret};
use super::{ActuateError, Actuator, LONGEST_CALL, Standing};

/// A lease that lapses before anybody could renew it: how a knob is told to go back now, as if its lease had lapsed.
const AT_ONCE: Duration = Duration::from_millis(1);
const BETWEEN: Duration = Duration::from_millis(10);

/// Processes with `/knobs`.
pub struct HttpKnobs {
    target: String,
    processes: Vec<Url>,
    prefixes: Vec<String>,
    client: reqwest::Client,
    timeout: Duration,
}

/// What `PUT /knobs` says when it refuses.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    knob: Option<String>,
}

/// How a request failed.
enum Fault {
    /// The process refused, and nothing changed there.
    Refused(Refusal),
    /// It was never reached.
    Unreachable(String),
    /// It may have heard.
    Unknown(String),
}

/// Changes of one process, and how its knobs stood before.
struct Step<'a> {
    process: &'a Url,
    changes: Vec<KnobChange>,
    before: Vec<KnobState>,
}

impl HttpKnobs {
    /// The processes that `config` names.
    ///
    /// # Errors
    /// [`ConfigError`], where there are none or one has no URL.
    pub fn new(config: &TargetConfig) -> Result<HttpKnobs, ConfigError> {
        let fault = |what: String| config.fault(what);
        let http = config.http.as_ref().ok_or_else(|| fault("it has no http".to_owned()))?;
        if http.processes.is_empty() {
            return Err(fault("http: processes is empty; give the URL of each process".to_owned()));
        }
        let timeout = timeout(http.timeout_s).map_err(|what| fault(format!("http: {what}")))?;
        Ok(HttpKnobs {
            target: config.name.clone(),
            processes: http
                .processes
                .iter()
                .map(|url| process(url).map_err(fault))
                .collect::<Result<_, _>>()?,
            prefixes: http.knobs.clone(),
            client: client(timeout).map_err(fault)?,
            timeout,
        })
    }

    async fn states(&self, process: &Url) -> Result<Vec<KnobState>, ActuateError> {
        let lost = |what: String| ActuateError::unreachable(&self.target, format!("{process}: {what}"));
        let answer = self.client.get(at(process, "knobs")).send().await.map_err(|e| lost(chain(&e)))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(lost(format!("GET /knobs answers {status}")));
        }
        let states: Vec<KnobState> = answer
            .json()
            .await
            .map_err(|e| lost(format!("GET /knobs is no list of knobs: {}", chain(&e))))?;
        let ours = |name: &str| {
            self.prefixes.is_empty() || self.prefixes.iter().any(|p| name.starts_with(p.as_str()))
        };
        Ok(states.into_iter().filter(|state| ours(&state.spec.name)).collect())
    }

    async fn all(&self) -> Result<Vec<(&Url, Vec<KnobState>)>, ActuateError> {
        let mut all = Vec::new();
        for process in &self.processes {
            all.push((process, self.states(process).await?));
        }
        Ok(all)
    }

    async fn put(&self, process: &Url, changes: &[KnobChange]) -> Result<(), Fault> {
        let sent = self.client.put(at(process, "knobs")).json(changes).send().await;
        let answer = sent.map_err(|error| {
            let what = format!("{process}: {}", chain(&error));
            if error.is_connect() || error.is_builder() {
                Fault::Unreachable(what)
            } else {
                Fault::Unknown(what)
            }
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let text = answer.text().await.unwrap_or_default();
        if !status.is_client_error() {
            return Err(Fault::Unknown(format!("{process}: PUT /knobs answers {status}: {text}")));
        }
        let refusal = serde_json::from_str(&text)
            .unwrap_or_else(|_| Refusal { error: format!("{status}: {text}"), knob: None });
        Err(Fault::Refused(refusal))
    }

    /// What each process is to be told, and how it stands.
    fn plan<'a>(
        &self,
        all: Vec<(&'a Url, Vec<KnobState>)>,
        values: &Config,
        epoch: Epoch,
        lease: Lease,
    ) -> Result<Vec<Step<'a>>, ActuateError> {
        let known: Vec<String> =
            all.iter().flat_map(|(_, states)| states.iter().map(|state| state.spec.name.clone())).collect();
        if let Some(knob) = values.keys().find(|name| !known.contains(name)) {
            return Err(ActuateError::NoKnob { target: self.target.clone(), knob: knob.clone(), known });
        }
        let mut steps = Vec::new();
        for (process, states) in all {
            let named: Vec<KnobState> =
                states.into_iter().filter(|state| values.contains_key(&state.spec.name)).collect();
            let mut changes = Vec::new();
            for state in &named {
                let value = &values[&state.spec.name];
                may(state, value, epoch)
                    .map_err(|error| ActuateError::Refused { target: self.target.clone(), error })?;
                changes.push(change(state, KnobAction::Set(value.into(), lease), epoch));
            }
            if !changes.is_empty() {
                steps.push(Step { process, changes, before: named });
            }
        }
        Ok(steps)
    }

    /// Puts processes back to how they stood.
    async fn undo(&self, steps: &[Step<'_>], epoch: Epoch) -> Result<(), String> {
        let mut faults = Vec::new();
        for step in steps {
            for changes in step.back(epoch) {
                if let Err(fault) = self.put(step.process, &changes).await {
                    faults.push(fault.said());
                }
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }

    async fn revert_one(&self, process: &Url, knobs: &[String], epoch: Epoch) -> Result<(), ActuateError> {
        let leased = |state: &KnobState| state.hold.lapses_in.is_some() && knobs.contains(&state.spec.name);
        let states = self.states(process).await?;
        if !states.iter().any(leased) {
            return Ok(());
        }
        if let Some(state) = states.iter().find(|state| leased(state) && epoch < state.hold.seen) {
            let (knob, seen) = (state.spec.name.clone(), state.hold.seen);
            let error = KnobError::StaleEpoch { knob, offered: epoch, seen };
            return Err(ActuateError::Refused { target: self.target.clone(), error });
        }
        let lapse = |to: fn(&KnobState) -> &KnobValue| -> Vec<KnobChange> {
            let held = states.iter().filter(|state| leased(state));
            held.map(|state| change(state, KnobAction::Set(to(state).into(), Lease::For(AT_ONCE)), epoch))
                .collect()
        };
        let put = match self.put(process, &lapse(|state| &state.value)).await {
            // It does not bear by now what it stands at. The value that it goes back to is sound, if not too far for one step.
            Err(first @ Fault::Refused(_)) => {
                self.put(process, &lapse(|state| &state.hold.confirmed)).await.map_err(|_| first)
            }
            other => other,
        };
        put.map_err(|fault| match fault {
            Fault::Refused(refusal) => self.refusal(refusal, process),
            Fault::Unreachable(what) => ActuateError::unreachable(&self.target, what),
            Fault::Unknown(what) => ActuateError::unknown(&self.target, what),
        })?;
        let began = Instant::now();
        while let Some(held) = self.states(process).await?.into_iter().find(leased) {
            if began.elapsed() >= self.timeout {
                let what = format!("{process}: {} is still held under a lease", held.spec.name);
                return Err(ActuateError::unknown(&self.target, what));
            }
            tokio::time::sleep(BETWEEN).await;
        }
        Ok(())
    }

    fn refusal(&self, refusal: Refusal, process: &Url) -> ActuateError {
        match refusal.knob {
            Some(knob) => ActuateError::refused(&self.target, &knob, refusal.error),
            None => ActuateError::failed(&self.target, format!("{process}: {}", refusal.error)),
        }
    }
}

#[async_trait]
impl Actuator for HttpKnobs {
    fn target(&self) -> &str {
        &self.target
    }

    /// A knob that several processes have stands where it stands in the one whose lease lapses first.
    async fn state(&self) -> Result<Vec<Standing>, ActuateError> {
        let mut standings: BTreeMap<String, Standing> = BTreeMap::new();
        for state in self.all().await?.into_iter().flat_map(|(_, states)| states) {
            let (name, confirmed, lapses_in) =
                (state.spec.name.clone(), state.hold.confirmed, state.hold.lapses_in);
            let standing = Standing { spec: state.spec, value: state.value, confirmed, lapses_in };
            let known = standings.entry(name).or_insert_with(|| standing.clone());
            if standing.lapses_in.is_some_and(|time| known.lapses_in.is_none_or(|known| time < known)) {
                *known = standing;
            }
        }
        Ok(standings.into_values().collect())
    }

    /// Each process is asked how it stands, told, and told again where another refuses.
    fn longest_call(&self) -> Duration {
        LONGEST_CALL + 3 * self.timeout * u32::try_from(self.processes.len()).unwrap_or(u32::MAX)
    }

    async fn seen(&self) -> Result<Epoch, ActuateError> {
        let all = self.all().await?;
        let epochs = all.iter().flat_map(|(_, states)| states).map(|state| state.hold.seen);
        Ok(epochs.max().unwrap_or(Epoch(0)))
    }

    async fn apply(&self, values: &Config, epoch: Epoch, lease: Lease) -> Result<(), ActuateError> {
        let steps = self.plan(self.all().await?, values, epoch, lease)?;
        for (place, step) in steps.iter().enumerate() {
            let Err(fault) = self.put(step.process, &step.changes).await else { continue };
            // One that may have heard is put back too, which does no harm if it has not.
            let heard = if matches!(fault, Fault::Unknown(_)) { place + 1 } else { place };
            let undone = self.undo(&steps[..heard], epoch).await;
            let why = match fault {
                Fault::Refused(refusal) => self.refusal(refusal, step.process),
                Fault::Unreachable(what) => ActuateError::unreachable(&self.target, what),
                Fault::Unknown(what) => ActuateError::failed(&self.target, what),
            };
            return Err(match undone {
                Ok(()) => why,
                Err(error) => {
                    ActuateError::unknown(&self.target, format!("{why}; and on the way back: {error}"))
                }
            });
        }
        Ok(())
    }

    /// A process that can't be reached keeps none of the others from going back.
    async fn revert(&self, knobs: &[String], epoch: Epoch) -> Result<(), ActuateError> {
        let mut first = None;
        for process in &self.processes {
            if let Err(error) = self.revert_one(process, knobs, epoch).await {
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(()), Err)
    }
}

impl Step<'_> {
    /// What leads back to how the knobs stood, one request after the other.
    fn back(&self, epoch: Epoch) -> Vec<Vec<KnobChange>> {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for (state, made) in self.before.iter().zip(&self.changes) {
            let to = |value: &KnobValue, lease| change(state, KnobAction::Set(value.into(), lease), epoch);
            match (&made.action, state.hold.lapses_in) {
                // As if the lease had lapsed: confirming the old value would take the knob from the target's own controller.
                (KnobAction::Set(value, Lease::For(_)), None) => {
                    first.push(change(state, KnobAction::Set(value.clone(), Lease::For(AT_ONCE)), epoch));
                }
                (KnobAction::Set(_, Lease::For(_)), Some(left)) => {
                    first.push(to(&state.value, Lease::For(left.max(AT_ONCE))));
                }
                (KnobAction::Set(_, Lease::Confirmed) | KnobAction::HandBack, left) => {
                    first.push(to(&state.hold.confirmed, Lease::Confirmed));
                    second.extend(left.map(|left| to(&state.value, Lease::For(left.max(AT_ONCE)))));
                }
            }
        }
        [first, second].into_iter().filter(|changes| !changes.is_empty()).collect()
    }
}

impl Fault {
    fn said(self) -> String {
        match self {
            Fault::Refused(refusal) => refusal.error,
            Fault::Unreachable(what) | Fault::Unknown(what) => what,
        }
    }
}

/// Whether the knob would take `value`; the process says so too, but only once others have been turned.
fn may(state: &KnobState, value: &KnobValue, epoch: Epoch) -> Result<(), KnobError> {
    if epoch < state.hold.seen {
        let knob = state.spec.name.clone();
        return Err(KnobError::StaleEpoch { knob, offered: epoch, seen: state.hold.seen });
    }
    state.spec.check(value)?;
    state.spec.check_step(&state.value, value)
}

fn change(state: &KnobState, action: KnobAction, epoch: Epoch) -> KnobChange {
    KnobChange { name: state.spec.name.clone(), epoch, action }
}

/// The URL of a process, so that paths can be put behind it.
pub(crate) fn process(text: &str) -> Result<Url, String> {
    let wrong = |why: String| {
        let text = after_secret(text);
        format!("{text:?} is no URL of a process ({why}); give one like http://127.0.0.1:7703")
    };
    let url = Url::parse(text).map_err(|e| wrong(e.to_string()))?;
    if !["http", "https"].contains(&url.scheme()) || url.cannot_be_a_base() || url.query().is_some() {
        return Err(wrong("it is http or https, with no query".to_owned()));
    }
    if has_secret(&url) {
        return Err(wrong("it names a user or a password, which errors and ledgers would show".to_owned()));
    }
    Ok(url)
}

pub(crate) fn at(process: &Url, path: &str) -> Url {
    let mut url = process.clone();
    url.set_path(&format!("{}/{path}", process.path().trim_end_matches('/')));
    url
}
