//! Takes a system in hand: its targets, its space, where it stands, and the manager of it all.

use std::sync::Arc;

use kandela_autopilot::AutonomousPerformanceManager;
use kandela_autopilot::actuator::{Actuator, Standing};
use kandela_autopilot::manager::{Fleet, Running, Settings, SystemClock, TargetSlos};
use kandela_autopilot::watchdog::Watch;
use kandela_model::TenantId;
use kandela_tune::space::Class;
use kandela_tune::{Config, Parameter, Space};

use super::LakeLedger;
use super::config::SystemConfig;
use super::measure::ByPromQl;
use crate::app::App;

/// Begins to manage the system that `config` describes.
///
/// # Errors
/// Why it can't be taken in hand now.
pub(super) async fn begin(app: &Arc<App>, config: &SystemConfig) -> Result<Running, String> {
    let lake = app.lake(&TenantId::default()).await.map_err(|refusal| refusal.message)?;
    let watch = watch(app)?;
    let canary = config.target.open(&watch).await.map_err(|error| error.to_string())?;
    let mut rest = Vec::new();
    for target in &config.rest {
        rest.push(target.open(&watch).await.map_err(|error| error.to_string())?);
    }
    let standings = canary.state().await.map_err(|error| error.to_string())?;
    let space = space(config, canary.as_ref(), &standings)?;
    let initial = standing_now(&space, &standings, canary.target())?;
    let settings = Settings {
        subject: config.name.clone(),
        holder: format!("kandela at {}, process {}", app.addresses.http, std::process::id()),
        mode: config.mode,
        space,
        strategy: config.strategy,
        seed: config.seed,
        policy: config.policy()?,
        plan: config.plan(),
        guard_error: config.alpha,
        alpha: config.alpha,
        expected: config.proposals,
    };
    let manager = AutonomousPerformanceManager {
        settings,
        fleet: Fleet { canary, rest },
        measurements: Arc::new(ByPromQl { app: app.clone(), lake: lake.clone(), system: config.clone() }),
        ledger: Arc::new(LakeLedger::new(lake, &config.name)),
        clock: Arc::new(SystemClock),
    };
    let slos = TargetSlos { objective: config.objective(), constraints: config.constraints()? };
    let running = manager.start_autonomous_management(initial, slos, config.interval()).await;
    running.map_err(|error| error.to_string())
}

/// Watchdogs are this program, and keep what they hold beside the data.
fn watch(app: &App) -> Result<Watch, String> {
    let program =
        std::env::current_exe().map_err(|error| format!("this program's own path is not known: {error}"))?;
    let folder = app.options.data.join("autopilot");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(Watch::new(folder, vec![program.into(), "autopilot".into(), "watchdog".into()]))
}

/// What may be set: as declared, or all that the target shows.
fn space(config: &SystemConfig, target: &dyn Actuator, standings: &[Standing]) -> Result<Space, String> {
    let Some(declared) = config.knobs.as_ref().or_else(|| config.target.knobs()) else {
        let shown = |standing: &Standing| Parameter {
            spec: standing.spec.clone(),
            default: None,
            when: None,
            class: Class::Free,
        };
        return Space::new(standings.iter().map(shown).collect()).map_err(|error| error.to_string());
    };
    let there = |name: &str| standings.iter().any(|standing| standing.spec.name == name);
    match declared.parameters().iter().find(|parameter| !there(&parameter.spec.name)) {
        None => Ok(declared.clone()),
        Some(missing) => {
            let known: Vec<&str> = standings.iter().map(|standing| standing.spec.name.as_str()).collect();
            Err(format!("{} has no knob {}; it has {}", target.target(), missing.spec.name, known.join(", ")))
        }
    }
}

/// The settings that the system stands at, of all that may be set.
fn standing_now(space: &Space, standings: &[Standing], target: &str) -> Result<Config, String> {
    let mut config = Config::new();
    for parameter in space.parameters().iter().filter(|parameter| parameter.class == Class::Free) {
        let name = &parameter.spec.name;
        let standing = standings.iter().find(|standing| standing.spec.name == *name);
        let value = standing.map(|standing| standing.confirmed.clone());
        let value = value.ok_or_else(|| format!("{target} has no knob {name}"))?;
        parameter.spec.check(&value).map_err(|error| {
            format!("{target}: {error}; widen its range in `knobs`, which is to hold where it stands now")
        })?;
        config.insert(name.clone(), value);
    }
    Ok(config)
}
