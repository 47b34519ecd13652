//! What is taken of the machine: by the platform, and by what is no part of the demo.

use std::time::Instant;

use super::report::Cost;

/// Of `/proc/PID/stat`, since the first look and across a restart.
pub(super) struct Meter {
    began: Instant,
    process: Option<u32>,
    /// Seconds of CPU that processes which have ended took, as far as was seen.
    before: f64,
    /// Seconds of CPU of the present one when it was first seen, and last.
    first: f64,
    last: f64,
    memory_mb: f64,
    /// Seconds of CPU that the machine and the demo's other processes had taken at first.
    machine: Option<f64>,
    others: f64,
}

impl Meter {
    /// Of the platform, beside `others` of the demo.
    pub(super) fn of(process: Option<u32>, others: &[u32]) -> Meter {
        let first = process.and_then(cpu_seconds).unwrap_or(0.0);
        let (machine, others) = (machine_seconds(), sum(others));
        let memory_mb = 0.0;
        Meter { began: Instant::now(), process, before: 0.0, first, last: first, memory_mb, machine, others }
    }

    pub(super) fn look(&mut self, process: Option<u32>) {
        if process != self.process {
            self.before += self.last - self.first;
            (self.process, self.first, self.last) = (process, 0.0, 0.0);
        }
        let Some(process) = process else { return };
        self.last = cpu_seconds(process).unwrap_or(self.last);
        self.memory_mb = self.memory_mb.max(memory_mb(process).unwrap_or(0.0));
    }

    /// Until now; `others` are those that there were at first.
    pub(super) fn cost(&self, others: &[u32]) -> Cost {
        let platform = self.before + self.last - self.first;
        let long = self.began.elapsed().as_secs_f64().max(1e-3);
        let all = machine_seconds().zip(self.machine).map(|(now, first)| now - first);
        let strangers = all.map(|all| (all - platform - (sum(others) - self.others)).max(0.0));
        let others_cores = strangers.map(|seconds| seconds / long);
        Cost { cpu_share: platform / long, memory_mb: self.memory_mb, others_cores }
    }
}

fn sum(processes: &[u32]) -> f64 {
    processes.iter().filter_map(|process| cpu_seconds(*process)).sum()
}

/// User's and system's time.
fn cpu_seconds(process: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The program's name, in parentheses, may have spaces; 11 fields lie between it and the two that count.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / rustix::param::clock_ticks_per_second() as f64)
}

/// All cores' time of all processes, and what was stolen by other machines on the same hardware. None in a container that has a
/// part of the cores only: what is busy beside it takes nothing of that.
fn machine_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let mut lines = stat.lines();
    let fields = lines.next()?.strip_prefix("cpu ")?.split_whitespace();
    let cores = lines.take_while(|line| line.starts_with("cpu")).count();
    if std::thread::available_parallelism().map_or(1, usize::from) < cores {
        return None;
    }
    let ticks: Vec<f64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
    // user nice system, not idle and iowait, then irq softirq steal; guests' are in user's and nice's.
    let busy =
        ticks.iter().take(8).enumerate().filter(|(at, _)| ![3, 4].contains(at)).map(|(_, ticks)| ticks);
    Some(busy.sum::<f64>() / rustix::param::clock_ticks_per_second() as f64)
}

fn memory_mb(process: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_time_and_memory() {
        let own = Some(std::process::id());
        let mut meter = Meter::of(own, &[]);
        let mut sum = 0_u64;
        while meter.began.elapsed().as_millis() < 200 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        meter.look(own);
        let cost = meter.cost(&[]);
        assert!(cost.cpu_share > 0.1 && cost.memory_mb > 1.0, "{cost:?}");
    }

    #[test]
    fn what_is_no_part_of_the_demo_is_told_apart() {
        let own = std::process::id();
        let (alone, beside) = (Meter::of(None, &[]), Meter::of(None, &[own]));
        let mut sum = 0_u64;
        while alone.began.elapsed().as_millis() < 400 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        let (all, without) = (alone.cost(&[]).others_cores, beside.cost(&[own]).others_cores);
        // Nothing is told in a container that has a part of the cores.
        if let (Some(all), Some(without)) = (all, without) {
            assert!(all > 0.3 && all - without > 0.3, "{all} and {without}");
        }
    }

    #[test]
    fn what_a_process_took_before_it_was_replaced_counts() {
        let mut meter = Meter::of(None, &[]);
        (meter.process, meter.last) = (Some(0), 3.0);
        meter.look(Some(std::process::id()));
        assert!(meter.before >= 3.0);
    }
}
