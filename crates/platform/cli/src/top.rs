//! `kandela top`: services, the autopilot's present step and its ledger, live in a terminal.

pub(crate) mod draw;
pub(crate) mod picture;
pub(crate) mod screen;
pub(crate) mod words;

use std::time::Duration;

use clap::Args;

use crate::client::ServerArguments;
use crate::output::{self, Format, Outcome, line};
use crate::when::parse_step;
use picture::{Asker, Objective, Picture};
use screen::{Key, Screen};

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
        let objective = Objective { p99: self.p99.as_secs_f64(), errors: self.errors / 100.0 };
        let asker = Asker::new(self.server.clone(), self.system.clone(), self.window, objective)?;
        let title = format!("kandela top  {}", self.server.shown());
        // Before the screen is taken: what is wrong at the start is to be read afterwards.
        let first = asker.ask().await?;
        if self.format == Format::Json {
            line(&serde_json::to_string_pretty(&first)?);
            return Ok(Outcome::Done);
        }
        if !output::on_terminal() {
            draw::text(80, ROWS, |frame| draw::picture(frame, &title, Vec::new(), &first))
                .iter()
                .for_each(|row| line(row));
            return Ok(Outcome::Done);
        }
        self.live(&asker, &title, first).await?;
        Ok(Outcome::Done)
    }

    async fn live(&self, asker: &Asker, title: &str, first: Picture) -> anyhow::Result<()> {
        let mut screen = Screen::open()?;
        let mut look = tokio::time::interval(self.interval);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut picture, mut held) = (first, false);
        loop {
            screen.draw(|frame| draw::picture(frame, title, Vec::new(), &picture))?;
            tokio::select! {
                key = screen.key() => match key {
                    Key::Quit => return Ok(()),
                    Key::Hold => held = !held,
                    Key::Other => {}
                },
                _ = look.tick(), if !held => match asker.ask().await {
                    Ok(new) => picture = new,
                    Err(error) => picture.faults = vec![format!("{error:#}")],
                },
            }
        }
    }
}
