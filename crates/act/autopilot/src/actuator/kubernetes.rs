//! A deployment in Kubernetes, by server-side apply.
//!
//! Kandela applies as field manager `kandela`, never by force: where another manager owns a field, the API server answers 409, nothing
//! changes, and a patch file is proposed. What Kandela owns is applied again each time, since leaving it out would delete it.
//!
//! Source: the Kubernetes documentation, "Server-Side Apply" and "Quantity".

mod field;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use kandela_model::{KnobType, KnobValue};
use kandela_tune::Space;
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};

use self::field::{Field, amount};
use super::ActuateError;
use super::config::{KubernetesConfig, secret, timeout};
use super::health::chain;
use super::http::{at, process};
use super::settings::{Reading, Settings, Texts, parse, spec_of, there_and_back};

const MANAGER: &str = "kandela";
const ANSWER: Duration = Duration::from_secs(10);
const BETWEEN: Duration = Duration::from_millis(100);

/// A deployment and the fields of it that are knobs.
pub(crate) struct Kubernetes {
    target: String,
    url: Url,
    client: reqwest::Client,
    token_file: Option<PathBuf>,
    namespace: String,
    deployment: String,
    proposals: PathBuf,
    patience: Duration,
    fields: BTreeMap<String, Field>,
    space: Space,
}

impl Kubernetes {
    pub(crate) fn new(config: &KubernetesConfig) -> Result<Kubernetes, String> {
        let word = |what: &str, text: &str| {
            let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
            if !text.is_empty() && text.chars().all(fine) && !text.contains("..") {
                return Ok(());
            }
            Err(format!("kubernetes: {what} is {text:?}; those are small letters, digits, `-` and `.`"))
        };
        word("namespace", &config.namespace)?;
        word("deployment", &config.deployment)?;
        let mut fields = BTreeMap::new();
        for parameter in config.knobs.parameters() {
            let name = &parameter.spec.name;
            let text = config
                .fields
                .get(name)
                .ok_or_else(|| format!("kubernetes: fields does not say which field {name} is"))?;
            let field = Field::read(text).map_err(|what| format!("kubernetes: field of {name}: {what}"))?;
            let whole = matches!(parameter.spec.kind, KnobType::Int { .. });
            if !whole && !matches!(field, Field::Variable { .. }) {
                return Err(format!("kubernetes: {name} is a whole number, as its field is"));
            }
            fields.insert(name.clone(), field);
        }
        if let Some(name) = config.fields.keys().find(|name| !fields.contains_key(*name)) {
            return Err(format!("kubernetes: fields names {name}, which is no knob"));
        }
        let mut builder = reqwest::Client::builder().no_proxy().timeout(ANSWER);
        if let Some(path) = &config.authority_file {
            let shown = path.display();
            let pem = fs::read(path).map_err(|e| format!("kubernetes: {shown} can't be read: {e}"))?;
            let found = reqwest::Certificate::from_pem_bundle(&pem);
            let certificates =
                found.map_err(|e| format!("kubernetes: {shown} holds no certificates: {}", chain(&e)))?;
            builder = certificates.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
        }
        let (namespace, deployment) = (config.namespace.clone(), config.deployment.clone());
        let path = format!("apis/apps/v1/namespaces/{namespace}/deployments/{deployment}");
        Ok(Kubernetes {
            target: format!("deployment {namespace}/{deployment}"),
            url: at(&process(&config.server)?, &path),
            client: builder.build().map_err(|e| format!("kubernetes: {}", chain(&e)))?,
            token_file: config.token_file.clone(),
            namespace,
            deployment,
            proposals: config.proposals.clone(),
            patience: timeout(config.timeout_s)?,
            fields,
            space: config.knobs.clone(),
        })
    }

    fn request(&self, method: reqwest::Method, url: Url) -> Result<reqwest::RequestBuilder, ActuateError> {
        let request = self.client.request(method, url);
        match &self.token_file {
            // Read anew each time: tokens in a pod are renewed.
            Some(path) => {
                let token = secret(path).map_err(|e| ActuateError::unreachable(&self.target, e))?;
                Ok(request.bearer_auth(token))
            }
            None => Ok(request),
        }
    }

    async fn get(&self) -> Result<Value, ActuateError> {
        let unreachable = |what: String| ActuateError::unreachable(&self.target, what);
        let sent = self.request(reqwest::Method::GET, self.url.clone())?.send().await;
        let answer = sent.map_err(|e| unreachable(chain(&e)))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|e| unreachable(chain(&e)))?;
        if !status.is_success() {
            return Err(unreachable(format!("the API server answers {status}: {}", message(&text))));
        }
        serde_json::from_str(&text)
            .map_err(|e| unreachable(format!("the API server's answer is no JSON: {e}")))
    }

    /// What is set for each knob.
    fn texts(&self, object: &Value) -> Result<Texts, ActuateError> {
        let text = |(name, field): (&String, &Field)| {
            let read = field.text(object).map_err(|what| ActuateError::refused(&self.target, name, what));
            Ok((name.clone(), read?))
        };
        self.fields.iter().map(text).collect()
    }

    /// Has the API server own `texts` in Kandela's name, with nothing else.
    async fn apply(&self, texts: &Texts) -> Result<Value, ActuateError> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("fieldManager", MANAGER).append_pair("force", "false");
        let body = self.patch(texts).to_string();
        let request =
            self.request(reqwest::Method::PATCH, url)?.header("content-type", "application/apply-patch+yaml");
        let answer = request.body(body).send().await.map_err(|e| {
            let said = chain(&e);
            if e.is_connect() {
                ActuateError::unreachable(&self.target, said)
            } else {
                ActuateError::unknown(&self.target, said)
            }
        })?;
        let status = answer.status();
        let text = answer.text().await.map_err(|e| ActuateError::unknown(&self.target, chain(&e)))?;
        if status.is_success() {
            return serde_json::from_str(&text).map_err(|e| ActuateError::unknown(&self.target, e));
        }
        if status == StatusCode::CONFLICT {
            return Err(self.conflict(&text, texts));
        }
        let said = format!("the API server answers {status}: {}", message(&text));
        Err(if status.is_client_error() {
            ActuateError::failed(&self.target, said)
        } else {
            ActuateError::unknown(&self.target, said)
        })
    }

    fn patch(&self, texts: &Texts) -> Value {
        let mut patch = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self.deployment, "namespace": self.namespace},
        });
        for (name, field) in &self.fields {
            if let Some(Some(text)) = texts.get(name) {
                field.put(&mut patch, text);
            }
        }
        patch
    }

    /// Writes down what to change by hand, where others own it.
    fn conflict(&self, answer: &str, texts: &Texts) -> ActuateError {
        let status: Value = serde_json::from_str(answer).unwrap_or_default();
        let cause = &status["details"]["causes"][0];
        let said = cause["message"]
            .as_str()
            .unwrap_or_else(|| status["message"].as_str().unwrap_or("another manager"));
        let owner = said.split('"').nth(1).unwrap_or(said).to_owned();
        let path = cause["field"].as_str().unwrap_or_default();
        let named =
            self.fields.iter().find(|(name, field)| texts.contains_key(*name) && field.shown() == path);
        let knob = named
            .map_or_else(|| texts.keys().cloned().collect::<Vec<_>>().join(", "), |(name, _)| name.clone());
        match self.propose(&owner, path, texts) {
            Ok(proposal) => ActuateError::Foreign { target: self.target.clone(), knob, owner, proposal },
            Err(error) => {
                let why = format!(
                    "{owner} owns its field, so it is left alone, and no patch file could be written: {error}"
                );
                ActuateError::refused(&self.target, &knob, why)
            }
        }
    }

    fn propose(&self, owner: &str, path: &str, texts: &Texts) -> Result<String, String> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("{}-{}-{}.yaml", self.namespace, self.deployment, since.as_millis());
        let file = self.proposals.join(name);
        let patch = serde_saphyr::to_string(&self.patch(texts)).map_err(|e| e.to_string())?;
        let text = format!(
            "# Proposed by Kandela, not applied: {owner} owns {path}.\n\
             # Make the change where {owner} takes it from, or apply it as {owner}.\n{patch}"
        );
        let written = fs::create_dir_all(&self.proposals).and_then(|()| fs::write(&file, text));
        written.map_err(|e| format!("{}: {e}", file.display()))?;
        Ok(file.display().to_string())
    }

    /// Waits until all replicas are of the newest template.
    async fn roll_out(&self) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let object = self.get().await.map_err(|e| e.to_string())?;
            let status = &object["status"];
            let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
            let count = |name: &str| status[name].as_i64().unwrap_or(0);
            let seen = count("observedGeneration") >= object["metadata"]["generation"].as_i64().unwrap_or(0);
            let all =
                ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|name| count(name) == wanted);
            if seen && all {
                return Ok(());
            }
            let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
            if seen && let Some(stuck) = conditions.iter().find(|c| c["reason"] == "ProgressDeadlineExceeded")
            {
                return Err(format!(
                    "the rollout is stuck: {}",
                    stuck["message"].as_str().unwrap_or_default()
                ));
            }
            if began.elapsed() >= self.patience {
                let seconds = self.patience.as_secs_f64();
                return Err(format!(
                    "{} of {wanted} replicas are available after {seconds} s",
                    count("availableReplicas")
                ));
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }
}

#[async_trait]
impl Settings for Kubernetes {
    fn target(&self) -> &str {
        &self.target
    }

    fn space(&self) -> &Space {
        &self.space
    }

    fn longest_change(&self) -> Duration {
        there_and_back([self.patience])
    }

    async fn read(&self) -> Result<BTreeMap<String, Reading>, ActuateError> {
        let object = self.get().await?;
        let reading = |(name, set): (String, Option<String>)| {
            let spec = spec_of(&self.target, &self.space, &name)?;
            let default = self.space.parameter(&name).and_then(|parameter| parameter.default.clone());
            let value = match (&set, &self.fields[&name], default) {
                (Some(text), Field::Resource { resource, .. }, _) => {
                    let amount =
                        amount(resource, text).map_err(|e| ActuateError::refused(&self.target, &name, e))?;
                    KnobValue::Int(amount)
                }
                (Some(text), _, _) => parse(&self.target, spec, text)?,
                (None, _, Some(default)) => default,
                (None, _, None) => {
                    let what = "it is not set, and the space does not say what then holds; give a default";
                    return Err(ActuateError::refused(&self.target, &name, what));
                }
            };
            Ok((name, Reading { value, set }))
        };
        self.texts(&object)?.into_iter().map(reading).collect()
    }

    async fn write(&self, texts: &Texts) -> Result<(), ActuateError> {
        let object = self.get().await?;
        let live = self.texts(&object)?;
        for name in texts.keys() {
            let field = self.fields.get(name);
            let field = field.ok_or_else(|| ActuateError::NoKnob {
                target: self.target.clone(),
                knob: name.clone(),
                known: self.fields.keys().cloned().collect(),
            })?;
            field.exists(&object).map_err(|what| ActuateError::refused(&self.target, name, what))?;
        }
        let owned: Texts = self
            .fields
            .iter()
            .filter(|(_, field)| field.is_owned(&object, MANAGER))
            .filter_map(|(name, _)| Some((name.clone(), live.get(name)?.clone())))
            .collect();
        let mut wanted = owned.clone();
        wanted.extend(texts.clone());
        self.apply(&wanted).await?;
        let Err(reason) = self.roll_out().await else { return Ok(()) };
        // What was there before without being owned is given back its value; what was not there is left out, and so goes.
        let mut back = owned;
        back.extend(texts.keys().map(|name| (name.clone(), live.get(name).cloned().flatten())));
        Err(match self.apply(&back).await {
            Ok(_) => ActuateError::failed(&self.target, reason),
            Err(error) => ActuateError::unknown(
                &self.target,
                format!("{reason}; and it could not be taken back: {error}"),
            ),
        })
    }

    fn spell(&self, name: &str, value: &KnobValue) -> String {
        match (self.fields.get(name), value) {
            (Some(Field::Resource { resource, .. }), KnobValue::Int(amount)) if resource == "cpu" => {
                format!("{amount}m")
            }
            _ => value.to_string(),
        }
    }
}

/// What an answer that is a `Status` says.
fn message(text: &str) -> String {
    let status: Value = serde_json::from_str(text).unwrap_or_default();
    status["message"].as_str().unwrap_or(text).to_owned()
}
