//! The ladder: which of the seven levels are on in a deployment, which are not built yet, and what turns the next one on.

use serde::{Deserialize, Serialize};

/// What is known of a deployment; nothing, where no server runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployment {
    /// Whether a server runs.
    pub runs: bool,
    /// Whether it keeps this machine's own metrics.
    pub host: bool,
    /// How many others than the server and its machine sent samples.
    pub samplers: usize,
    /// How many spans came in.
    pub spans: u64,
    /// The systems of the autopilot, each with how far it may go, where somebody manages it.
    pub systems: Vec<(String, Option<String>)>,
}

/// A level as it stands here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// 1 to 7.
    pub level: u8,
    /// What it is called.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// What is so.
    pub found: String,
    /// What turns it on, or what of it is still to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How a level stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is at work.
    On,
    /// It waits for somebody to use it.
    Off,
    /// This version does not have it.
    NotBuilt,
}

/// All seven, from the first on.
pub fn ladder(deployment: &Deployment) -> Vec<Level> {
    let level = |level, name: &str, standing, found: String, next: Option<&str>| Level {
        level,
        name: name.to_owned(),
        standing,
        found,
        next: next.map(str::to_owned),
    };
    let on = |is: bool| if is { Standing::On } else { Standing::Off };
    let Deployment { runs, host, samplers, spans, systems } = deployment;
    let start = "start a server: `kandela up`";
    let monitoring = match (runs, samplers) {
        (false, _) => ("no server runs here".to_owned(), Some(start)),
        (true, 0) => (
            match host {
                true => "this machine's own metrics are kept; nothing else sends any yet".to_owned(),
                false => "nothing sends metrics yet".to_owned(),
            },
            Some(
                "point a Prometheus' remote_write or an OpenTelemetry SDK at the server, or name targets in scrape_configs",
            ),
        ),
        (true, 1) => ("one source sends metrics".to_owned(), None),
        (true, sources) => (format!("{sources} sources send metrics"), None),
    };
    let tracing = match (runs, spans) {
        (false, _) => ("no server runs here".to_owned(), Some(start)),
        (true, 0) => (
            "nothing sends spans yet".to_owned(),
            Some("send OTLP traces: OTEL_EXPORTER_OTLP_ENDPOINT is the server's OTLP address"),
        ),
        (true, spans) => (
            format!("{spans} spans came in, and SQL answers over them"),
            Some("service map, critical path and root cause are not built yet"),
        ),
    };
    let platform = if *runs {
        (
            "PromQL, SQL and the API that Grafana calls are there".to_owned(),
            Some("rules, alerts and SLOs are not built yet"),
        )
    } else {
        ("no server runs here".to_owned(), Some(start))
    };
    let managed: Vec<String> = systems
        .iter()
        .map(|(name, mode)| {
            mode.as_ref()
                .map_or_else(|| format!("{name} (nobody manages it)"), |mode| format!("{name} ({mode})"))
        })
        .collect();
    let optimising = if managed.is_empty() {
        (
            "no system is under the autopilot".to_owned(),
            Some(
                "name a file of systems as kandela.autopilot; without a server, `kandela tune` searches for better settings",
            ),
        )
    } else {
        let nobody = systems.iter().all(|(_, mode)| mode.is_none());
        let why = nobody.then_some("`kandela autopilot status` says why nobody manages it");
        (format!("the autopilot has {}", managed.join(", ")), why)
    };
    vec![
        level(
            1,
            "manual profiling",
            Standing::Off,
            "in your own Rust program: the library's profiler".to_owned(),
            Some(
                "link the crate kandela-runtime (docs/runtime-profiler.md); the sampling profiler is not built yet",
            ),
        ),
        level(2, "benchmarking", Standing::NotBuilt, "not built yet".to_owned(), None),
        level(3, "monitoring", on(*host || *samplers > 0), monitoring.0, monitoring.1),
        level(4, "distributed tracing", on(*spans > 0), tracing.0, tracing.1),
        level(5, "platform", on(*runs), platform.0, platform.1),
        level(6, "prediction", Standing::NotBuilt, "not built yet".to_owned(), None),
        level(
            7,
            "self-optimising",
            on(systems.iter().any(|(_, mode)| mode.is_some())),
            optimising.0,
            optimising.1,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standings(deployment: &Deployment) -> Vec<Standing> {
        ladder(deployment).iter().map(|level| level.standing).collect()
    }

    #[test]
    fn each_level_that_is_off_says_what_turns_it_on() {
        for deployment in [Deployment::default(), Deployment { runs: true, ..Deployment::default() }] {
            let levels = ladder(&deployment);
            assert_eq!(levels.iter().map(|level| level.level).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
            for level in levels {
                assert_eq!(
                    level.standing == Standing::NotBuilt,
                    level.next.is_none() && level.standing != Standing::On,
                    "{level:?}"
                );
            }
        }
    }

    #[test]
    fn a_level_is_on_once_something_uses_it() {
        use Standing::{NotBuilt, Off, On};
        assert_eq!(standings(&Deployment::default()), [Off, NotBuilt, Off, Off, Off, NotBuilt, Off]);
        let systems = vec![("shop".to_owned(), Some("auto".to_owned())), ("db".to_owned(), None)];
        let host = Deployment { runs: true, host: true, ..Deployment::default() };
        assert_eq!(standings(&host), [Off, NotBuilt, On, Off, On, NotBuilt, Off]);
        let third = ladder(&host).remove(2);
        assert!(third.found.starts_with("this machine's own") && third.next.is_some(), "{third:?}");
        let used = Deployment { runs: true, host: true, samplers: 2, spans: 7, systems };
        assert_eq!(standings(&used), [Off, NotBuilt, On, On, On, NotBuilt, On]);
        assert_eq!(ladder(&used)[6].found, "the autopilot has shop (auto), db (nobody manages it)");
        let unmanaged = Deployment { systems: vec![("db".to_owned(), None)], ..used };
        let seventh = ladder(&unmanaged).remove(6);
        assert!(seventh.standing == Off && seventh.next.is_some(), "{seventh:?}");
    }
}
