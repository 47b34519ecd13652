//! `kandela autopilot`: where a server's autopilot stands, the story of a proposal, and orders.

mod show;

use std::ffi::OsString;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{ServerArguments, successful};
use crate::output::{Format, Outcome, line};

#[derive(Subcommand)]
pub(crate) enum Autopilot {
    /// Where things stand: mode, trial, guards, what each strategy earned
    Status(Asked),
    /// The story of a proposal: what was seen, why it was tried or not, what happened
    Explain(Numbered),
    /// The rows of the ledger
    Ledger(FromRow),
    /// Try nothing new, and end what is tried
    Pause(Paused),
    /// Go on
    Resume(Ordered),
    /// Try a proposal, in mode approve
    Approve(NumberedOrder),
    /// Don't try a proposal
    Decline(NumberedOrder),
    /// Propose settings of your own next, to be tried inside the same guards
    Suggest(Suggest),
    /// Undo a proposal and all that was promoted after it, or everything
    Rollback(RollBack),
    /// Say how far it may go: observe, advise, approve or auto
    Mode(SetMode),
    /// What holds a target's good settings; started by the server
    #[command(hide = true)]
    Watchdog {
        /// The target's folder
        folder: OsString,
    },
}

#[derive(Args)]
pub(crate) struct Asked {
    /// Which system, where there are several
    #[arg(long, value_name = "NAME")]
    system: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Args)]
pub(crate) struct Numbered {
    /// The proposal's number
    proposal: u64,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Args)]
pub(crate) struct FromRow {
    /// The first row
    #[arg(long, value_name = "ROW", default_value_t = 0)]
    from: u64,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Args)]
pub(crate) struct Ordered {
    /// Who orders it, for the ledger
    #[arg(long, value_name = "NAME", env = "USER", default_value = "somebody")]
    by: String,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Args)]
pub(crate) struct Paused {
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    #[command(flatten)]
    ordered: Ordered,
}

#[derive(Args)]
pub(crate) struct NumberedOrder {
    /// The proposal's number
    proposal: u64,
    #[command(flatten)]
    ordered: Ordered,
}

#[derive(Args)]
pub(crate) struct Suggest {
    /// The knobs that are to change, and to what; the others stay where they are
    #[arg(required = true, value_name = "KNOB=VALUE", value_parser = setting)]
    settings: Vec<(String, Value)>,
    #[command(flatten)]
    ordered: Ordered,
}

/// `pool.size=10`; what is no number and no switch is a word.
fn setting(text: &str) -> Result<(String, Value), String> {
    let (knob, word) = text.split_once('=').ok_or("give KNOB=VALUE, such as pool.size=10")?;
    let read =
        serde_json::from_str(word).ok().filter(|value: &Value| value.is_number() || value.is_boolean());
    Ok((knob.to_owned(), read.unwrap_or_else(|| json!(word))))
}

#[derive(Args)]
pub(crate) struct RollBack {
    /// The proposal's number
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    proposal: Option<u64>,
    /// Back to the settings that it began with
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    ordered: Ordered,
}

#[derive(Args)]
pub(crate) struct SetMode {
    /// How far
    #[arg(value_parser = ["observe", "advise", "approve", "auto"])]
    mode: String,
    #[command(flatten)]
    ordered: Ordered,
}

impl Autopilot {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        match self {
            Self::Status(asked) => {
                let answer = asked.standing().await?;
                asked.print(&answer, || show::standing(&answer));
            }
            Self::Explain(Numbered { proposal, asked }) => {
                let answer = asked.get(&format!("explain/{proposal}")).await?;
                asked.print(&answer, || show::text(&answer));
            }
            Self::Ledger(FromRow { from, asked }) => {
                let answer = asked.ask(Method::GET, "ledger", &[("from", from.to_string())], None).await?;
                asked.print(&answer, || show::ledger(&answer));
            }
            Self::Pause(Paused { why, ordered }) => {
                ordered.order(json!({"order": "pause", "why": why}), "paused").await?;
            }
            Self::Resume(ordered) => ordered.order(json!({"order": "resume"}), "resumed").await?,
            Self::Approve(NumberedOrder { proposal, ordered }) => {
                ordered.order(json!({"order": "approve", "proposal": proposal}), "approved").await?;
            }
            Self::Decline(NumberedOrder { proposal, ordered }) => {
                ordered.order(json!({"order": "decline", "proposal": proposal}), "declined").await?;
            }
            Self::Suggest(Suggest { settings, ordered }) => {
                let values: serde_json::Map<String, Value> = settings.into_iter().collect();
                ordered.order(json!({"order": "suggest", "values": values}), "to be proposed next").await?;
            }
            Self::Rollback(RollBack { proposal, ordered, .. }) => {
                ordered.order(json!({"order": "roll_back", "proposal": proposal}), "rolled back").await?;
            }
            Self::Mode(SetMode { mode, ordered }) => {
                ordered.order(json!({"order": "set_mode", "mode": mode}), "set").await?;
            }
            Self::Watchdog { .. } => anyhow::bail!("a watchdog is a process of its own"),
        }
        Ok(Outcome::Done)
    }
}

impl Ordered {
    /// Has an order followed, and says so once the ledger has it.
    async fn order(&self, mut order: Value, done: &str) -> anyhow::Result<()> {
        if let Some(fields) = order.as_object_mut() {
            fields.insert("by".to_owned(), json!(self.by));
        }
        let answer = self.asked.ask(Method::POST, "orders", &[], Some(order)).await?;
        let system = answer["system"].as_str().unwrap_or_default().to_owned();
        self.asked.print(&answer, || vec![format!("{system}: {done}")]);
        Ok(())
    }
}

impl Asked {
    /// How the system stands, or all of them where there are several and none is named.
    async fn standing(&self) -> anyhow::Result<Value> {
        if self.system.is_none() {
            let all = self.get("").await?;
            if all["systems"].as_array().is_some_and(|systems| systems.len() > 1) {
                return Ok(all);
            }
        }
        self.get("status").await
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, &[], None).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, String)],
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let system = self.system.iter().map(|system| ("system", system.clone()));
        let parameters: Vec<(&str, String)> = system.chain(parameters.iter().cloned()).collect();
        let request = self
            .server
            .request(method, format!("/api/kandela/v1/autopilot/{path}").trim_end_matches('/'))?
            .query(&parameters);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        Ok(successful(self.server.send(request).await?).await?.json().await?)
    }

    fn print(&self, answer: &Value, lines: impl FnOnce() -> Vec<String>) {
        match self.format {
            Format::Json => line(&answer.to_string()),
            Format::Table => lines().iter().for_each(|text| line(text)),
        }
    }
}
