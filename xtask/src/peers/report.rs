//! What a measurement says: each run, each system's median, and the first system's ratio to every other one.

use std::fmt;

use serde::Serialize;

use super::ingest::Cost;
use super::system::System;

/// One system under one load.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    /// When the measurement began; runs of one measurement share it.
    pub(crate) started_unix: u64,
    /// From 1.
    pub(crate) round: u32,
    pub(crate) system: System,
    pub(crate) version: String,
    pub(crate) connections: u32,
    pub(crate) series: u32,
    /// Of all series together.
    pub(crate) samples: u64,
    pub(crate) body: u32,
    /// Of the machine, which the sender shares.
    pub(crate) cores: usize,
    #[serde(flatten)]
    pub(crate) cost: Cost,
}

/// Several values of one quantity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    runs: Vec<Run>,
    systems: Vec<SystemSummary>,
    ratios: Vec<Ratio>,
}

#[derive(Debug, Serialize)]
struct SystemSummary {
    system: System,
    version: String,
    /// Until the last acknowledgement.
    samples_per_cpu_s: Spread,
    /// Once it rests.
    samples_per_cpu_s_settled: Spread,
    resident_peak_bytes: Spread,
    disk_bytes_per_sample: Spread,
}

/// `system` over `peer`, both of the same round.
#[derive(Debug, Serialize)]
struct Ratio {
    system: System,
    peer: System,
    samples_per_cpu_s: Spread,
    samples_per_cpu_s_settled: Spread,
    resident_peak_bytes: Spread,
    disk_bytes: Spread,
}

impl Run {
    fn per_cpu_s(&self) -> f64 {
        self.samples as f64 / self.cost.cpu_s
    }

    fn per_cpu_s_settled(&self) -> f64 {
        self.samples as f64 / self.cost.cpu_settled_s
    }

    fn peak(&self) -> f64 {
        self.cost.resident_peak_bytes as f64
    }

    fn disk(&self) -> f64 {
        self.cost.disk_bytes as f64
    }
}

impl Spread {
    /// `None` of no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { median, min, max })
    }
}

impl Summary {
    /// `runs` in the order in which they were made; the first one's system is set against the others.
    pub(crate) fn new(runs: Vec<Run>) -> Self {
        let mut order: Vec<System> = Vec::new();
        for run in &runs {
            if !order.contains(&run.system) {
                order.push(run.system);
            }
        }
        let systems = order.iter().filter_map(|&system| SystemSummary::of(&runs, system)).collect();
        let ratios = order.iter().skip(1).filter_map(|&peer| Ratio::of(&runs, order[0], peer)).collect();
        Self { runs, systems, ratios }
    }
}

impl SystemSummary {
    fn of(runs: &[Run], system: System) -> Option<Self> {
        let mine: Vec<&Run> = runs.iter().filter(|run| run.system == system).collect();
        let spread = |value: fn(&Run) -> f64| Spread::of(mine.iter().map(|run| value(run)));
        Some(Self {
            system,
            version: mine.first()?.version.clone(),
            samples_per_cpu_s: spread(Run::per_cpu_s)?,
            samples_per_cpu_s_settled: spread(Run::per_cpu_s_settled)?,
            resident_peak_bytes: spread(Run::peak)?,
            disk_bytes_per_sample: spread(|run| run.disk() / run.samples as f64)?,
        })
    }
}

impl Ratio {
    fn of(runs: &[Run], system: System, peer: System) -> Option<Self> {
        let of = |system: System| runs.iter().filter(move |run| run.system == system);
        let pairs: Vec<(&Run, &Run)> = of(system)
            .flat_map(|mine| {
                of(peer).filter(|theirs| theirs.round == mine.round).map(move |theirs| (mine, theirs))
            })
            .collect();
        let spread = |value: fn(&Run) -> f64| {
            Spread::of(pairs.iter().map(|(mine, theirs)| value(mine) / value(theirs)))
        };
        Some(Self {
            system,
            peer,
            samples_per_cpu_s: spread(Run::per_cpu_s)?,
            samples_per_cpu_s_settled: spread(Run::per_cpu_s_settled)?,
            resident_peak_bytes: spread(Run::peak)?,
            disk_bytes: spread(Run::disk)?,
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "round  {:<17} {:>14} {:>14} {:>7} {:>12} {:>9} {:>9} {:>8}",
            "system",
            "samples/CPU-s",
            "once settled",
            "wall s",
            "resident MB",
            "peak MB",
            "disk MB",
            "retries"
        )?;
        for run in &self.runs {
            let (cost, mega) = (&run.cost, |bytes: u64| bytes as f64 / 1e6);
            writeln!(
                f,
                "{:>5}  {:<17} {:>14.0} {:>14.0} {:>7.2} {:>12.0} {:>9.0} {:>9.1} {:>8}",
                run.round,
                run.system.name(),
                run.per_cpu_s(),
                run.per_cpu_s_settled(),
                cost.wall_s,
                mega(cost.resident_bytes),
                mega(cost.resident_peak_bytes),
                mega(cost.disk_bytes),
                cost.retries
            )?;
        }
        writeln!(f, "\nmedian (min to max) over rounds")?;
        for system in &self.systems {
            writeln!(f, "{} {}", system.system.name(), system.version)?;
            writeln!(f, "  samples per CPU-second  {}", whole(system.samples_per_cpu_s))?;
            writeln!(f, "  once settled            {}", whole(system.samples_per_cpu_s_settled))?;
            writeln!(f, "  peak resident bytes     {}", whole(system.resident_peak_bytes))?;
            writeln!(f, "  disk bytes per sample   {}", system.disk_bytes_per_sample)?;
        }
        for ratio in &self.ratios {
            writeln!(f, "{} / {}, of the same round", ratio.system.name(), ratio.peer.name())?;
            writeln!(f, "  samples per CPU-second  {}", ratio.samples_per_cpu_s)?;
            writeln!(f, "  once settled            {}", ratio.samples_per_cpu_s_settled)?;
            writeln!(f, "  peak resident bytes     {}", ratio.resident_peak_bytes)?;
            writeln!(f, "  disk bytes              {}", ratio.disk_bytes)?;
        }
        Ok(())
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2} to {:.2})", self.median, self.min, self.max)
    }
}

fn whole(spread: Spread) -> String {
    format!("{:.0} ({:.0} to {:.0})", spread.median, spread.min, spread.max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(system: System, round: u32, cpu_s: f64) -> Run {
        Run {
            started_unix: 0,
            round,
            system,
            version: "1".to_owned(),
            connections: 1,
            series: 10,
            samples: 100,
            body: 10,
            cores: 2,
            cost: Cost {
                wall_s: 1.0,
                cpu_s,
                cpu_settled_s: 2.0 * cpu_s,
                resident_bytes: 1,
                resident_peak_bytes: 2,
                disk_bytes: 50,
                retries: 0,
            },
        }
    }

    #[test]
    fn a_spread_is_the_middle_and_the_ends() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_ratio_pairs_runs_of_the_same_round() {
        let runs = vec![
            run(System::Kandela, 1, 1.0),
            run(System::Prometheus, 1, 2.0),
            run(System::Prometheus, 2, 30.0),
            run(System::Kandela, 2, 10.0),
        ];
        let summary = Summary::new(runs);
        assert_eq!(summary.ratios.len(), 1);
        let ratio = &summary.ratios[0];
        assert_eq!((ratio.system, ratio.peer), (System::Kandela, System::Prometheus));
        assert_eq!(ratio.samples_per_cpu_s, Spread { median: 2.5, min: 2.0, max: 3.0 });
        assert_eq!(
            summary.systems[0].samples_per_cpu_s_settled,
            Spread { median: 27.5, min: 5.0, max: 50.0 }
        );
    }

    #[test]
    fn one_system_alone_has_no_ratio() {
        let summary = Summary::new(vec![run(System::Prometheus, 1, 1.0)]);
        assert!(summary.ratios.is_empty());
        assert!(summary.to_string().contains("samples per CPU-second  100 (100 to 100)"));
    }
}
