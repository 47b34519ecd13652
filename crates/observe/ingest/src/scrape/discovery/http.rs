//! `http_sd_configs`: a server that answers with target groups in JSON. Label: `__meta_url`.

use std::collections::BTreeMap;

use http::header::{ACCEPT, CONTENT_TYPE};
use kandela_config::discovery::{HttpSd, TargetGroup as WrittenGroup};
use serde::Deserialize;

use super::{TargetGroup, Updates, written_group};
use crate::scrape::client::{Client, explain};

/// The longest answer that is read, uncompressed.
const MAX_ANSWER: usize = 64 << 20;

#[derive(Deserialize)]
struct Group {
    targets: Vec<String>,
    labels: Option<BTreeMap<String, String>>,
}

/// Asks at every refresh interval; an answer that is no good changes nothing.
pub(super) async fn run(config: HttpSd, user_agent: String, updates: Updates) {
    let client = Client::new(config.client.clone(), user_agent, true);
    let mut ticks = tokio::time::interval(config.refresh_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut known = None;
    loop {
        ticks.tick().await;
        let asked = tokio::time::timeout(config.refresh_interval, ask(&client, &config)).await;
        match asked.unwrap_or_else(|_| Err("no answer within the refresh interval".to_owned())) {
            Ok(groups) if known.as_ref() != Some(&groups) => {
                updates.send(groups.clone());
                known = Some(groups);
            }
            Ok(_) => {}
            Err(reason) => tracing::warn!(url = %config.url, reason, "asking for targets failed"),
        }
    }
}

async fn ask(client: &Client, config: &HttpSd) -> Result<Vec<TargetGroup>, String> {
    let url = url::Url::parse(config.url.expose()).map_err(|error| error.to_string())?;
    let request = client.get(url).await.map_err(|error| error.to_string())?;
    let request = request
        .header(ACCEPT, "application/json")
        .header("X-Prometheus-Refresh-Interval-Seconds", config.refresh_interval.as_secs_f64().to_string());
    let mut answer = request.send().await.map_err(|error| explain(&error))?;
    if answer.status() != http::StatusCode::OK {
        return Err(format!("server returned HTTP status {}", answer.status()));
    }
    let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(format!(
            "unsupported content type {media_type:?}; the server must send application/json"
        ));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| explain(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(format!("the answer is longer than {MAX_ANSWER} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    let name = config.url.to_string();
    let groups: Vec<Group> =
        serde_json::from_slice(&body).map_err(|error| format!("in its answer: {error}"))?;
    let made = groups.into_iter().enumerate().map(|(index, group)| {
        let group = WrittenGroup { targets: group.targets, labels: group.labels.unwrap_or_default() };
        written_group(&group, format!("{name}:{index}"), Some(("__meta_url", &name)))
    });
    made.collect::<Result<_, _>>().map_err(|error| error.to_string())
}
