//! Whether a system serves again after it was changed.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::command::{Command, time};

const BETWEEN: Duration = Duration::from_millis(50);

/// What has to answer, and within which time. In YAML: `{url: …, timeout_s: 30}` or `{command: […], timeout_s: 30}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Answers 2xx once the system serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Succeeds once the system serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// Seconds that it may take to.
    #[serde(default = "default_timeout_s")]
    pub timeout_s: f64,
}

fn default_timeout_s() -> f64 {
    30.0
}

impl Health {
    /// What is wrong with the check as it was written.
    pub(crate) fn check(&self) -> Result<(), String> {
        time("health: timeout_s", self.timeout_s)?;
        match (&self.url, &self.command) {
            (Some(text), None) => {
                let fault = |why: String| format!("health: url {:?} is none: {why}", after_secret(text));
                let url = reqwest::Url::parse(text).map_err(|e| fault(e.to_string()))?;
                if has_secret(&url) {
                    let what =
                        "it names a user or a password, which errors and ledgers would show; give a command";
                    return Err(fault(what.to_owned()));
                }
                Ok(())
            }
            (None, Some(_)) => Ok(()),
            _ => Err("health: give a url or a command, one of them".to_owned()),
        }
    }

    /// How long it may take until it holds.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.timeout_s)
    }

    /// Waits until it holds.
    ///
    /// # Errors
    /// What was last said, when the time is over.
    pub(crate) async fn wait(&self, client: &reqwest::Client) -> Result<(), String> {
        let patience = self.patience();
        let began = Instant::now();
        loop {
            let left = patience.saturating_sub(began.elapsed());
            let error = match tokio::time::timeout(left, self.look(client)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_) => "it does not answer".to_owned(),
            };
            if began.elapsed() + BETWEEN >= patience {
                return Err(format!("not healthy after {} s: {error}", self.timeout_s));
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    async fn look(&self, client: &reqwest::Client) -> Result<(), String> {
        match (&self.url, &self.command) {
            (Some(url), _) => {
                // A query may hold a token.
                let shown = url.split(['?', '#']).next().unwrap_or_default();
                let sent = client.get(url).send().await;
                let answer = sent.map_err(|error| format!("{shown}: {}", chain(&error.without_url())))?;
                let status = answer.status();
                if status.is_success() { Ok(()) } else { Err(format!("{shown} answers {status}")) }
            }
            (None, Some(command)) => command.run().await.map(drop),
            (None, None) => Ok(()),
        }
    }
}

/// Whether a URL names a user or a password.
pub(crate) fn has_secret(url: &reqwest::Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// An address as errors may show it: without what stands before its last `@`.
pub(crate) fn after_secret(address: &str) -> &str {
    address.rsplit_once('@').map_or(address, |(_, shown)| shown)
}

/// An error with what it came of: the client's own words alone don't say why.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_said = cause.to_string();
        if !said.contains(&cause_said) {
            said = format!("{said}: {cause_said}");
        }
        source = cause.source();
    }
    said
}

/// A client for what lies near: it asks no proxy, and waits for no answer longer than `timeout`.
pub(crate) fn client(timeout: Duration) -> Result<reqwest::Client, String> {
    let built = reqwest::Client::builder().no_proxy().timeout(timeout).build();
    built.map_err(|error| format!("no HTTP client can be had: {}", chain(&error)))
}
