//! `kandela top`: services, the autopilot's present step and its ledger, live in a terminal.

pub(crate) mod draw;
pub(crate) mod picture;
pub(crate) mod screen;
pub(crate) mod words;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::client::ServerArguments;
use crate::ends::Ends;
use crate::output::{Format, Outcome, line};
use crate::when::parse_step;
use picture::{Asker, Objective, Picture};
use screen::{Key, Screen};
use tokio::task::JoinHandle;

/// Rows of a picture that goes somewhere else than to a terminal.
const ROWS: u16 = 40;

/// Watch a server live: services, the autopilot, its ledger
#[derive(Args)]
#[command(after_help = "\
Keys: q or Esc ends, space holds the picture. Where output is no terminal, one picture is printed.

Services are those that report http.server.request.duration, OpenTelemetry's metric of HTTP servers, as the SDKs and the collector \
send it.")]
pub(crate) struct Top {
    #[command(flatten)]
    server: ServerArguments,
    /// Which system of the autopilot, where there are several [default: the first]
    #[arg(long, value_name = "NAME")]
    system: Option<String>,
    /// How often to look
    #[arg(long, value_name = "DURATION", value_parser = parse_step, default_value = "2s")]
    interval: Duration,
    /// Rates and percentiles are over so long: two of the services' reports at least
    #[arg(long, value_name = "DURATION", value_parser = parse_step, default_value = "30s")]
    window: Duration,
    /// A service is well whose 99th percentile is at most this
    #[arg(long, value_name = "DURATION", value_parser = parse_step, default_value = "1s")]
    p99: Duration,
    /// A service is well of whose requests at most this percentage fail or are turned away
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    errors: f64,
    /// How to print one picture
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Top {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let objective = Objective { p99: self.p99.as_secs_f64(), errors: self.errors / 100.0, of: None };
        let asker = Asker::new(self.server.clone(), self.system.clone(), self.window, objective)?;
        let title = format!("kandela top  {}", self.server.shown());
        // Before the screen is taken: what is wrong at the start is to be read afterwards.
        let first = asker.ask().await?;
        if self.format == Format::Json {
            line(&serde_json::to_string_pretty(&first)?);
            return Ok(Outcome::Done);
        }
        if !screen::is_possible() {
            draw::text(80, ROWS, |frame| draw::picture(frame, &title, Vec::new(), &first))
                .iter()
                .for_each(|row| line(row));
            return Ok(Outcome::Done);
        }
        self.live(Arc::new(asker), &title, first).await?;
        Ok(Outcome::Done)
    }

    async fn live(&self, asker: Arc<Asker>, title: &str, first: Picture) -> anyhow::Result<()> {
        let mut ends = Ends::listen()?;
        let mut screen = Screen::open()?;
        let mut look = tokio::time::interval(self.interval);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut picture, mut held) = (first, false);
        // Beside what a person wants, which does not wait for an answer.
        let mut asked: Option<JoinHandle<anyhow::Result<Picture>>> = None;
        loop {
            screen.draw(|frame| draw::picture(frame, title, Vec::new(), &picture))?;
            tokio::select! {
                key = screen.key() => match key {
                    Key::Quit => return Ok(()),
                    Key::Hold => held = !held,
                    Key::Other => {}
                },
                () = ends.heard() => return Ok(()),
                _ = look.tick(), if !held && asked.is_none() => {
                    let asker = Arc::clone(&asker);
                    asked = Some(tokio::spawn(async move { asker.ask().await }));
                }
                answer = answered(&mut asked) => {
                    asked = None;
                    match answer {
                        // What was under way when the picture was held is not shown.
                        _ if held => {}
                        Ok(new) => picture = new,
                        Err(error) => picture.faults = vec![format!("{error:#}")],
                    }
                }
            }
        }
    }
}

async fn answered(asked: &mut Option<JoinHandle<anyhow::Result<Picture>>>) -> anyhow::Result<Picture> {
    match asked {
        Some(asked) => asked.await.unwrap_or_else(|error| Err(error.into())),
        None => std::future::pending().await,
    }
}
