//! Tries a target's description by hand: `hold` applies values under a lease for as long as it lives, by a watchdog that is this
//! same program. Kill either, and see what is back.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use kandela_autopilot::actuator::config::targets_from_yaml;
use kandela_autopilot::watchdog::{self, Watch};
use kandela_model::{Epoch, Lease, WireValue};
use kandela_tune::Config;

const USAGE: &str = "\
kandela-watchdog watch FOLDER
    what the autopilot starts; FOLDER is the target's
kandela-watchdog hold TARGETS.yaml NAME VALUES LEASE_S EPOCH FOLDER
    applies VALUES, such as {\"work_mem\": 8192}, to the target NAME, says `held`, and renews the lease until it ends
kandela-watchdog confirm TARGETS.yaml NAME VALUES EPOCH FOLDER
    applies VALUES for good
kandela-watchdog show TARGETS.yaml NAME FOLDER
    prints each knob, where it stands, what is confirmed, and when it lapses";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|word| word == "watch") {
        return watchdog::main(&arguments[1..]);
    }
    let words: Option<Vec<&str>> = arguments.iter().map(|word| word.to_str()).collect();
    let done = match words.as_deref() {
        Some(["hold", targets, name, values, lease, epoch, folder]) => {
            number(lease).and_then(|lease| run(targets, name, folder, Act::Hold(values, lease, epoch)))
        }
        Some(["confirm", targets, name, values, epoch, folder]) => {
            run(targets, name, folder, Act::Confirm(values, epoch))
        }
        Some(["show", targets, name, folder]) => run(targets, name, folder, Act::Show),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Clone, Copy)]
enum Act<'a> {
    Hold(&'a str, f64, &'a str),
    Confirm(&'a str, &'a str),
    Show,
}

#[tokio::main(flavor = "current_thread")]
async fn run(targets: &str, name: &str, folder: &str, act: Act<'_>) -> Result<(), String> {
    let text = std::fs::read_to_string(targets).map_err(|e| format!("{targets} can't be read: {e}"))?;
    let all = targets_from_yaml(&text).map_err(|e| e.to_string())?;
    let target = all
        .iter()
        .find(|target| target.name == name)
        .ok_or_else(|| format!("{targets} has no target {name}"))?;
    let program =
        std::env::current_exe().map_err(|e| format!("this program's own path is not known: {e}"))?;
    let watch = Watch::new(PathBuf::from(folder), vec![program.into(), "watch".into()]);
    let actuator = target.open(&watch).await.map_err(|e| e.to_string())?;
    let standings = actuator.state().await.map_err(|e| e.to_string())?;
    let config = |values: &str| -> Result<Config, String> {
        let values: std::collections::BTreeMap<String, WireValue> =
            serde_json::from_str(values).map_err(|e| format!("values are an object of knobs: {e}"))?;
        let typed = |(name, value): (String, WireValue)| {
            let standing = standings.iter().find(|standing| standing.spec.name == name);
            let value = standing.and_then(|standing| value.typed(&standing.spec.kind));
            value
                .map(|value| (name.clone(), value))
                .ok_or_else(|| format!("there is no knob {name} of that type"))
        };
        values.into_iter().map(typed).collect()
    };
    match act {
        Act::Show => {
            for standing in &standings {
                let lapses = standing.lapses_in.map(|time| format!(", lapses in {} s", time.as_secs_f64()));
                let (name, value, confirmed) = (&standing.spec.name, &standing.value, &standing.confirmed);
                println!("{name}: {value}, confirmed {confirmed}{}", lapses.unwrap_or_default());
            }
            Ok(())
        }
        Act::Confirm(values, epoch) => {
            let applied = actuator.apply(&config(values)?, epoch_of(epoch)?, Lease::Confirmed).await;
            applied.map_err(|e| e.to_string())
        }
        Act::Hold(values, lease, epoch) => {
            let (values, epoch) = (config(values)?, epoch_of(epoch)?);
            let lease =
                Duration::try_from_secs_f64(lease).map_err(|e| format!("the lease is no time: {e}"))?;
            let mut said = false;
            loop {
                actuator.apply(&values, epoch, Lease::For(lease)).await.map_err(|e| e.to_string())?;
                if !said {
                    println!("held");
                    std::io::stdout().flush().map_err(|e| e.to_string())?;
                    said = true;
                }
                tokio::time::sleep(lease / 3).await;
            }
        }
    }
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn epoch_of(text: &str) -> Result<Epoch, String> {
    text.parse().map(Epoch).map_err(|_| format!("{text:?} is no epoch; those are whole numbers"))
}
