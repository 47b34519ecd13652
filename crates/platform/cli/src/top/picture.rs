//! What a screen shows, as a server tells it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use kandela_autopilot::machine::Event;
use reqwest::{Client, Method, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::client::{ServerArguments, parse_url, successful};
use crate::output::State;
use crate::when::now;

/// Points of a service's trail.
const TRAIL: u64 = 30;
/// Rows of the ledger that are asked for.
const ROWS: u64 = 40;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// All that is shown at one time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Picture {
    /// When, in seconds since 1970.
    pub at: i64,
    /// Over how many seconds rates and percentiles are.
    pub window: f64,
    /// What each service is to keep.
    pub objective: Objective,
    /// Those that answer requests, by name.
    pub services: Vec<Service>,
    /// The system that the autopilot manages.
    pub system: Option<System>,
    /// Names of all systems under management.
    pub systems: Vec<String>,
    /// What could not be asked.
    pub faults: Vec<String>,
}

/// What a service is to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Objective {
    /// The most that 99 of 100 requests may take, in seconds.
    pub p99: f64,
    /// The largest share of requests that may fail or be turned away.
    pub errors: f64,
    /// The one service that is to keep it; none where all are.
    pub of: Option<&'static str>,
}

/// How a service does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Service {
    pub name: String,
    pub state: State,
    /// Requests a second.
    pub rate: f64,
    /// The share of them that failed or was turned away.
    pub errors: f64,
    /// Seconds.
    pub p50: Option<f64>,
    /// Seconds.
    pub p99: Option<f64>,
    /// The 99th percentile over the last minutes, in seconds.
    pub trail: Vec<Option<f64>>,
}

/// A system under management.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct System {
    pub name: String,
    /// What the manager does.
    pub doing: String,
    pub mode: String,
    /// Why nothing is proposed, or why nobody manages it.
    pub waits_for: Option<String>,
    /// Where guards stand, and what evidence is missing.
    pub guards: Vec<Guard>,
    /// The proposal that waits or is tried.
    pub proposal: Option<Proposal>,
    /// The good settings.
    pub good: BTreeMap<String, String>,
    /// What was promoted and is in force.
    pub promoted: Vec<u64>,
    pub times_as_good: f64,
    pub alpha_left: f64,
    /// What happened lately, the last last.
    pub lately: Vec<Told>,
    /// The ledger's last rows, the last last.
    pub ledger: Vec<Row>,
}

/// A guard, or a piece of evidence that is missing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Guard {
    pub state: State,
    pub what: String,
}

/// A proposal that is neither declined nor over.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Proposal {
    pub number: u64,
    pub strategy: String,
    /// Why it was admitted, or what it waits for.
    pub why: String,
    pub changes: Vec<Change>,
}

/// A knob on trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Change {
    pub knob: String,
    pub from: String,
    pub to: String,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Told {
    pub at: String,
    pub what: String,
}

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    pub seq: u64,
    pub at_micros: i64,
    pub event: Event,
}

/// Asks one server for pictures.
pub(crate) struct Asker {
    server: ServerArguments,
    client: Client,
    system: Option<String>,
    window: Duration,
    objective: Objective,
}

impl Asker {
    /// Of one system's autopilot; the first, where none is named.
    ///
    /// # Errors
    /// Where there can be no client.
    pub(crate) fn new(
        server: ServerArguments,
        system: Option<String>,
        window: Duration,
        objective: Objective,
    ) -> anyhow::Result<Asker> {
        let mut client = Client::builder().timeout(PATIENCE);
        if is_here(&server.server) {
            // No proxy knows this machine.
            client = client.no_proxy();
        }
        let client = client.build().context("making a client")?;
        Ok(Asker { server, client, system, window, objective })
    }

    /// A picture of now.
    ///
    /// # Errors
    /// Where the server does not answer. What it can't tell is noted in the picture.
    pub(crate) async fn ask(&self) -> anyhow::Result<Picture> {
        let mut picture = Picture {
            at: now().millis() / 1_000,
            window: self.window.as_secs_f64(),
            objective: self.objective,
            ..Picture::default()
        };
        let systems = self.get("/api/kandela/v1/autopilot", &[]).await?;
        match self.services(picture.at).await {
            Ok(services) => picture.services = services,
            Err(error) => picture.faults.push(format!("services: {error:#}")),
        }
        let listed = systems["systems"].as_array().cloned().unwrap_or_default();
        picture.systems = listed.iter().map(|system| text(&system["name"])).collect();
        let wanted = |system: &&Value| self.system.as_ref().is_none_or(|name| text(&system["name"]) == *name);
        match (listed.iter().find(wanted), &self.system) {
            (Some(system), _) => picture.system = Some(self.managed(system, &mut picture.faults).await),
            (None, Some(name)) => {
                anyhow::bail!("there is no system {name:?}; there are {}", picture.systems.join(", "))
            }
            (None, None) => {}
        }
        Ok(picture)
    }

    async fn services(&self, at: i64) -> anyhow::Result<Vec<Service>> {
        const REQUESTS: &str = "http_server_request_duration_seconds";
        let window = format!("{}ms", self.window.as_millis());
        // Buckets, or a native histogram: whatever the service sends.
        let rate = |matchers: &str| {
            format!(
                "sum by (job) (rate({REQUESTS}_count{{{matchers}}}[{window}])) \
                 or histogram_count(sum by (job) (rate({REQUESTS}{{{matchers}}}[{window}])))"
            )
        };
        let quantile = |q: f64| {
            format!(
                "histogram_quantile({q}, sum by (job, le) (rate({REQUESTS}_bucket[{window}]))) \
                 or histogram_quantile({q}, sum by (job) (rate({REQUESTS}[{window}])))"
            )
        };
        let (all, failed) = (rate(""), rate(r#"http_response_status_code=~"5..|429""#));
        let (middle, high) = (quantile(0.5), quantile(0.99));
        let (rates, failed, p50, p99, mut trails) = tokio::try_join!(
            self.values(&all),
            self.values(&failed),
            self.values(&middle),
            self.values(&high),
            self.trails(&high, at)
        )?;
        let service = |(job, rate): (String, f64)| {
            let errors = if rate > 0.0 { failed.get(&job).copied().unwrap_or(0.0) / rate } else { 0.0 };
            let number =
                |values: &BTreeMap<String, f64>| values.get(&job).copied().filter(|value| value.is_finite());
            let (p50, p99) = (number(&p50), number(&p99));
            let slow = p99.is_some_and(|p99| p99 > self.objective.p99);
            let state = match self.objective.of {
                Some(of) if of != job => State::Open,
                _ if slow || errors > self.objective.errors => State::Fail,
                _ => State::Ok,
            };
            Service {
                state,
                rate,
                errors,
                p50,
                p99,
                trail: trails.remove(&job).unwrap_or_default(),
                name: job,
            }
        };
        Ok(rates.into_iter().map(service).collect())
    }

    /// The value of each job.
    async fn values(&self, query: &str) -> anyhow::Result<BTreeMap<String, f64>> {
        let answer = self.get("/api/v1/query", &[("query", query.to_owned())]).await?;
        let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let value = |series: &Value| Some((text(&series["metric"]["job"]), number(&series["value"][1])?));
        Ok(series.iter().filter_map(value).collect())
    }

    /// The values of each job over the last minutes.
    async fn trails(&self, query: &str, end: i64) -> anyhow::Result<BTreeMap<String, Vec<Option<f64>>>> {
        let step = (self.window.as_secs() / 3).max(1);
        let start = end - (step * (TRAIL - 1)).cast_signed();
        let parameters = [
            ("query", query.to_owned()),
            ("start", start.to_string()),
            ("end", end.to_string()),
            ("step", step.to_string()),
        ];
        let answer = self.get("/api/v1/query_range", &parameters).await?;
        let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let trail = |series: &Value| {
            let mut trail = vec![None; TRAIL as usize];
            for point in series["values"].as_array().into_iter().flatten() {
                let at = point[0].as_f64().unwrap_or_default() as i64;
                let place = usize::try_from((at - start) / step.cast_signed()).ok();
                if let Some(place) = place.and_then(|place| trail.get_mut(place)) {
                    *place = number(&point[1]).filter(|value| value.is_finite());
                }
            }
            (text(&series["metric"]["job"]), trail)
        };
        Ok(series.iter().map(trail).collect())
    }

    async fn managed(&self, listed: &Value, faults: &mut Vec<String>) -> System {
        let status = &listed["status"];
        let name = text(&listed["name"]);
        let notes = status["notes"].as_object().into_iter().flatten();
        let notes =
            notes.map(|(about, what)| Guard { state: State::Warn, what: format!("{about}: {}", text(what)) });
        let guards = status["guards"].as_array().into_iter().flatten().map(guard).chain(notes).collect();
        let proposal = match status["proposal"].as_u64() {
            // One that is over by now is none any more.
            Some(number) => told(self.proposal(&name, number).await, "the proposal", faults).flatten(),
            None => None,
        };
        let from = status["rows"].as_u64().unwrap_or(0).saturating_sub(ROWS);
        let ledger = told(self.rows(&name, from).await, "the ledger", faults).unwrap_or_default();
        let news = |told: &Value| Told { at: text(&told["at"]), what: text(&told["what"]) };
        System {
            doing: text(&status["state"]),
            mode: text(&status["mode"]),
            waits_for: listed["trouble"].as_str().or(status["waits_for"].as_str()).map(str::to_owned),
            guards,
            proposal,
            good: settings(&status["good"]),
            promoted: status["promoted"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect(),
            times_as_good: status["times_as_good"].as_f64().unwrap_or(1.0),
            alpha_left: status["alpha_left"].as_f64().unwrap_or(0.0),
            lately: status["news"].as_array().into_iter().flatten().map(news).collect(),
            ledger,
            name,
        }
    }

    async fn proposal(&self, system: &str, number: u64) -> anyhow::Result<Option<Proposal>> {
        let path = format!("/api/kandela/v1/autopilot/explain/{number}");
        let answer = self.get(&path, &[("system", system.to_owned())]).await?;
        let story = &answer["story"];
        if story.is_null() {
            return Ok(None);
        }
        let mut why = story["steps"].as_array().into_iter().flatten().map(|step| text(&step["what"]));
        let change = |change: &Value| Change {
            knob: text(&change["knob"]),
            from: text(&change["from"]),
            to: text(&change["to"]),
        };
        Ok(Some(Proposal {
            number,
            strategy: text(&story["strategy"]),
            why: why.rfind(|what| what.starts_with("admitted")).unwrap_or_else(|| text(&story["outcome"])),
            changes: story["changes"].as_array().into_iter().flatten().map(change).collect(),
        }))
    }

    /// A ledger's rows from `from` on.
    ///
    /// # Errors
    /// Where the server can't tell them.
    pub(crate) async fn rows(&self, system: &str, from: u64) -> anyhow::Result<Vec<Row>> {
        let parameters = [("system", system.to_owned()), ("from", from.to_string())];
        let answer = self.get("/api/kandela/v1/autopilot/ledger", &parameters).await?;
        let row = |row: &Value| {
            // One that a newer server wrote is not known here.
            let event = serde_json::from_value(row["payload"].clone()).ok()?;
            Some(Row { seq: row["seq"].as_u64()?, at_micros: row["at_micros"].as_i64()?, event })
        };
        Ok(answer["rows"].as_array().into_iter().flatten().filter_map(row).collect())
    }

    /// The good settings of a system.
    ///
    /// # Errors
    /// Where the server can't tell them.
    pub(crate) async fn good(&self, system: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let answer = self.get("/api/kandela/v1/autopilot/status", &[("system", system.to_owned())]).await?;
        Ok(settings(&answer["status"]["good"]))
    }

    /// What the server answers to a question.
    ///
    /// # Errors
    /// Where it does not, or refuses.
    pub(crate) async fn get(&self, path: &str, parameters: &[(&str, String)]) -> anyhow::Result<Value> {
        let request = self.server.request_by(&self.client, Method::GET, path)?.query(parameters);
        let answer = self.server.send(request).await?;
        if answer.status() == StatusCode::NOT_FOUND && path.contains("/explain/") {
            return Ok(Value::Null);
        }
        Ok(successful(answer).await?.json().await?)
    }

    /// Has an order followed.
    ///
    /// # Errors
    /// Where it is refused.
    pub(crate) async fn order(&self, order: Value) -> anyhow::Result<()> {
        let request =
            self.server.request_by(&self.client, Method::POST, "/api/kandela/v1/autopilot/orders")?;
        successful(self.server.send(request.json(&order)).await?).await.map(drop)
    }
}

/// What was asked for, or a note of why it can't be told.
fn told<T>(asked: anyhow::Result<T>, what: &str, faults: &mut Vec<String>) -> Option<T> {
    asked.map_err(|error| faults.push(format!("{what}: {error:#}"))).ok()
}

/// Whether a server's URL names this machine.
fn is_here(url: &str) -> bool {
    let Ok(url) = parse_url(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn guard(guard: &Value) -> Guard {
    let state = match guard["verdict"].as_str() {
        Some("holds") => State::Ok,
        Some("violated") => State::Fail,
        _ => State::Open,
    };
    Guard { state, what: text(&guard["what"]) }
}

fn settings(values: &Value) -> BTreeMap<String, String> {
    let values = values.as_object().into_iter().flatten();
    values.map(|(knob, value)| (knob.clone(), text(value))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A number as Prometheus' API writes it.
fn number(value: &Value) -> Option<f64> {
    value.as_str()?.parse().ok()
}
