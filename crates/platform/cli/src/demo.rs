//! `kandela demo`: a real service misses its objective, Kandela sees it, tunes inside guards, shows that it helped, takes back what
//! did not, and keeps its hands off what is not its to fix.

mod capacity;
mod cost;
mod ideas;
mod play;
mod report;
mod scenario;
mod show;
mod stage;
mod system;
mod trials;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::output::{Outcome, line};
use crate::top::screen;
use play::Play;
use report::Report;
use show::Show;
use stage::Stage;

/// See the whole loop: a shop, its customers, a noon too much, and the autopilot
#[derive(Args)]
#[command(after_help = "\
Nothing else is needed, and nothing is left running. Scripted are the load, two ideas that are slipped in, and a slow payment \
provider; all that is shown is measured. Keys: q ends it.

    kandela demo
    kandela demo --headless --minutes 4 --seed 7")]
pub(crate) struct Demo {
    /// How long it takes
    #[arg(long, value_name = "MINUTES", default_value_t = 10, value_parser = clap::value_parser!(u32).range(4..=60))]
    minutes: u32,
    /// What customers do, which idea comes first, what the autopilot tries
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Plain lines, and a JSON report at the end; exit code 0 only if the loop closed
    #[arg(long)]
    headless: bool,
    /// Leave platform and shop running at the end
    #[arg(long)]
    keep: bool,
    /// Where each demo has a folder of its own, with its data, logs and report
    #[arg(long, value_name = "DIR", default_value = "kandela-demo")]
    data: PathBuf,
}

impl Demo {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let folder = self.data.join(jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S").to_string());
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let live = !self.headless && screen::is_possible();
        let mut incidents = Vec::new();
        let mut say = |what: &str| {
            incidents.push(what.to_owned());
            if !live {
                line(what);
            }
        };
        let strength = capacity::measured().await;
        if let Some(told) = capacity::told(strength) {
            say(&told);
        }
        let stage = Stage::open(&folder, self.seed, self.minutes, self.keep, &mut say).await?;
        if !live {
            let (server, pid) = (stage.server().server, stage.platform().unwrap_or_default());
            line(&format!("platform at {server}, process {pid}; data and logs in {}", folder.display()));
        }
        let mut show = Show::open(live, self.minutes)?;
        let mut play = Play::begin(stage, &self, strength, incidents)?;
        let played = play.play(&mut show).await;
        drop(show);
        let report = match played {
            Ok(true) => Some(play.report(&self).await),
            Ok(false) => {
                // Where the stage is kept, what was done to it is not.
                if let Err(error) = play.end_fault().await {
                    line(&format!("{error:#}"));
                }
                None
            }
            Err(error) => {
                if let Some(left) = play.stage.close().await {
                    line(&left);
                }
                return Err(error.context(format!("data and logs are in {}", folder.display())));
            }
        };
        let left = play.stage.close().await;
        if let Some(left) = left {
            line(&left);
        }
        let Some(report) = report else {
            line(&format!("stopped before its end; data and logs are in {}", folder.display()));
            return Ok(Outcome::CheckFailed);
        };
        self.tell(&report, &folder)
    }

    fn tell(&self, report: &Report, folder: &Path) -> anyhow::Result<Outcome> {
        let path = folder.join("report.json");
        let text = serde_json::to_string_pretty(report)?;
        std::fs::write(&path, &text).with_context(|| format!("writing {}", path.display()))?;
        show::summary(report).iter().for_each(|text| line(text));
        if self.headless {
            line(&text);
        } else {
            line(&format!("\ndata, logs and report: {}", folder.display()));
        }
        Ok(if report.closed { Outcome::Done } else { Outcome::CheckFailed })
    }
}
