//! Problems from seeds: knobs of real systems with their curves, response surfaces, and mixtures of both, under several kinds of noise.

use kandela_tune::Space;
use kandela_tune::random::{Random, seeded};
use rand::Rng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::problem::{Cost, NoiseOf, Problem, Settings};

/// The instance of that number.
pub(super) fn instance(number: u64) -> anyhow::Result<Problem> {
    let mut random = seeded(number, 10);
    let families: [fn(&mut Random) -> Draft; 6] = [surface, service, database, compiler, cache, modes];
    let draft = families[(number % families.len() as u64) as usize](&mut random);
    let space = read(&draft.knobs)?;
    let noise = *draft.noises.choose(&mut random).unwrap_or(&NoiseOf::Factor(0.05));
    let budget = random.random_range(30..=60);
    Ok(Problem { family: draft.family, space, cost: draft.cost, noise, budget })
}

struct Draft {
    family: &'static str,
    knobs: Vec<(String, Value)>,
    cost: Cost,
    noises: Vec<NoiseOf>,
}

/// Text keeps the order of knobs, which conditions need.
fn read(knobs: &[(String, Value)]) -> anyhow::Result<Space> {
    let members: Vec<String> = knobs.iter().map(|(name, knob)| format!("{}: {knob}", json!(name))).collect();
    Ok(serde_json::from_str(&format!("{{{}}}", members.join(", ")))?)
}

fn between(random: &mut Random, low: f64, high: f64) -> f64 {
    low + random.random::<f64>() * (high - low)
}

fn log_between(random: &mut Random, low: f64, high: f64) -> f64 {
    between(random, low.ln(), high.ln()).exp()
}

fn words(count: usize) -> Value {
    json!({"type": "enum", "values": (0..count).map(|k| format!("w{k}")).collect::<Vec<_>>()})
}

/// Two to twelve knobs of all kinds; a quadratic surface around a hidden optimum with interactions, words that shift it, and a ripple.
fn surface(random: &mut Random) -> Draft {
    let count = random.random_range(2..=12);
    let mut knobs = Vec::new();
    let mut terms: Vec<(String, Term)> = Vec::new();
    for k in 0..count {
        let name = format!("k{k}");
        let weight = log_between(random, 0.05, 1.0);
        let (knob, term) = match random.random_range(0..5) {
            0 => (
                json!({"type": "float", "min": -10, "max": 10}),
                Term::number(-10.0, 10.0, false, weight, random),
            ),
            1 => (
                json!({"type": "float", "min": 1e-4, "max": 1, "log": true}),
                Term::number(1e-4, 1.0, true, weight, random),
            ),
            2 => (
                json!({"type": "int", "min": 1, "max": 512, "log": true}),
                Term::number(1.0, 512.0, true, weight, random),
            ),
            3 => {
                (json!({"type": "int", "min": 0, "max": 10}), Term::number(0.0, 10.0, false, weight, random))
            }
            _ => {
                let values = random.random_range(2..=6);
                let effects = (0..values).map(|_| weight * random.random::<f64>()).collect();
                (words(values), Term::Word(effects))
            }
        };
        knobs.push((name.clone(), knob));
        terms.push((name, term));
    }
    let pairs: Vec<(usize, usize, f64)> = (0..count)
        .map(|_| (random.random_range(0..count), random.random_range(0..count), between(random, -0.6, 0.6)))
        .collect();
    let ripple = if random.random::<f64>() < 0.3 { between(random, 0.02, 0.1) } else { 0.0 };
    let offset = between(random, 0.5, 5.0);
    let cost = move |settings: &Settings<'_>| {
        let at: Vec<f64> = terms.iter().map(|(name, term)| term.off(settings.get(name))).collect();
        let mut sum = offset;
        for (off, (_, term)) in at.iter().zip(&terms) {
            sum += term.cost(*off) + ripple * (1.0 - (9.0 * off).cos());
        }
        for (a, b, strength) in &pairs {
            let scale = (terms[*a].1.cost(at[*a]) * terms[*b].1.cost(at[*b])).max(0.0).sqrt();
            sum += strength * at[*a].signum() * at[*b].signum() * scale;
        }
        Some(sum.max(0.05 * offset))
    };
    let noises =
        vec![NoiseOf::Added(0.15), NoiseOf::Added(0.5), NoiseOf::Factor(0.1), NoiseOf::HeavyFactor(0.05)];
    Draft { family: "surface", knobs, cost: Box::new(cost), noises }
}

enum Term {
    Number { low: f64, high: f64, log: bool, weight: f64, optimum: f64, power: f64 },
    Word(Vec<f64>),
}

impl Term {
    fn number(low: f64, high: f64, log: bool, weight: f64, random: &mut Random) -> Term {
        let power = *[1.0, 2.0, 2.0, 3.0].choose(random).unwrap_or(&2.0);
        Term::Number { low, high, log, weight: weight * 5.0, optimum: between(random, 0.05, 0.95), power }
    }

    /// How far from the optimum, on the knob's own scale from 0 to 1; a word's place.
    fn off(&self, value: f64) -> f64 {
        match self {
            Term::Number { low, high, log: true, optimum, .. } => {
                (value / low).ln() / (high / low).ln() - optimum
            }
            Term::Number { low, high, optimum, .. } => (value - low) / (high - low) - optimum,
            Term::Word(_) => value,
        }
    }

    fn cost(&self, off: f64) -> f64 {
        match self {
            Term::Number { weight, power, .. } => weight * off.abs().powf(*power),
            Term::Word(effects) => 2.0 * effects.get(off as usize).copied().unwrap_or(0.0),
        }
    }
}

/// Latency of a service: a pool before a queue, threads that contend (the universal scalability law), batches, time-outs and
/// retries, a collector, and knobs that do little.
fn service(random: &mut Random) -> Draft {
    let knobs = vec![
        ("threads".to_owned(), json!({"type": "int", "min": 1, "max": 256, "log": true, "default": 8})),
        ("pool".to_owned(), json!({"type": "int", "min": 1, "max": 128, "log": true, "default": 10})),
        ("batch".to_owned(), json!({"type": "int", "min": 1, "max": 512, "log": true, "default": 1})),
        ("linger_ms".to_owned(), json!({"type": "float", "min": 0, "max": 50, "default": 0})),
        (
            "collector".to_owned(),
            json!({"type": "enum", "values": ["serial", "parallel", "regional", "pauseless"], "default": "parallel"}),
        ),
        ("heap_mb".to_owned(), json!({"type": "int", "min": 128, "max": 8192, "log": true, "default": 512})),
        ("compress".to_owned(), json!({"type": "bool", "default": true})),
        (
            "level".to_owned(),
            json!({"type": "int", "min": 1, "max": 9, "default": 6, "when": {"parameter": "compress", "among": [true]}}),
        ),
        ("log_buffer".to_owned(), json!({"type": "int", "min": 1, "max": 64, "default": 4})),
    ];
    let (contention, coherency) = (log_between(random, 0.005, 0.1), log_between(random, 1e-5, 1e-3));
    let load = between(random, 0.4, 0.85);
    let (live, network) = (log_between(random, 100.0, 1500.0), log_between(random, 2.0, 40.0));
    let connection_best = log_between(random, 6.0, 80.0);
    let pauses = [1.0, 0.5, 0.3, 0.15].map(|p| p * log_between(random, 0.6, 1.6) * 20.0);
    let overhead = [1.0, 1.02, 1.08, 1.2];
    let base = log_between(random, 2.0, 20.0);
    let crash = random.random::<f64>() < 0.5;
    let scale = |n: f64, a: f64, b: f64| n / (1.0 + a * (n - 1.0) + b * n * (n - 1.0));
    let peak = (1..=256).map(|n| scale(f64::from(n), contention, coherency)).fold(0.0, f64::max);
    let cost = move |s: &Settings<'_>| {
        let collector = s.get("collector") as usize;
        let headroom = s.get("heap_mb") / live;
        if crash && headroom < 0.7 {
            return None;
        }
        let batch = s.get("batch");
        let work = base * (0.4 + 0.6 / batch.sqrt()) * overhead[collector];
        let capacity = scale(s.get("threads"), contention, coherency) / (work / base);
        let busy = (load * peak / capacity / 1.4).min(0.98);
        let waiting = work / (1.0 - busy);
        let pool = connection_best / s.get("pool");
        let pooling = base * (0.3 * pool.ln().max(0.0).powi(2) + 0.02 / pool);
        let filling = 0.5 * s.get("linger_ms") * (1.0 - 1.0 / batch) + 0.02 * batch;
        let pause = pauses[collector] / (headroom - 0.6).max(0.1) + 0.0004 * s.get("heap_mb");
        let transfer = if s.get("compress") > 0.5 {
            network * (0.55 - 0.02 * s.get("level")) + 0.15 * base * 1.25_f64.powf(s.get("level"))
        } else {
            network
        };
        Some(waiting + pooling + filling + pause + transfer + 0.05 / s.get("log_buffer"))
    };
    let noises = vec![
        NoiseOf::Factor(0.08),
        NoiseOf::HeavyFactor(0.08),
        NoiseOf::Stalls(0.06, 0.08),
        NoiseOf::Factor(0.2),
    ];
    Draft { family: "service", knobs, cost: Box::new(cost), noises }
}

/// Negative throughput of a database: buffers with a working set, checkpoints, workers, and a planner's costs. Memory that is not there fails.
fn database(random: &mut Random) -> Draft {
    let knobs = vec![
        (
            "buffers_mb".to_owned(),
            json!({"type": "int", "min": 16, "max": 16384, "log": true, "default": 128}),
        ),
        (
            "work_kb".to_owned(),
            json!({"type": "int", "min": 64, "max": 1048576, "log": true, "default": 4096}),
        ),
        ("log_mb".to_owned(), json!({"type": "int", "min": 32, "max": 16384, "log": true, "default": 1024})),
        ("completion".to_owned(), json!({"type": "float", "min": 0.1, "max": 0.99, "default": 0.9})),
        ("random_page".to_owned(), json!({"type": "float", "min": 1, "max": 8, "default": 4})),
        ("workers".to_owned(), json!({"type": "int", "min": 0, "max": 16, "default": 2})),
        ("depth".to_owned(), json!({"type": "int", "min": 1, "max": 512, "log": true, "default": 1})),
        ("compile".to_owned(), json!({"type": "bool", "default": true})),
        ("delay_us".to_owned(), json!({"type": "int", "min": 0, "max": 1000, "default": 0})),
        (
            "method".to_owned(),
            json!({"type": "enum", "values": ["fdatasync", "fsync", "open", "open_data"], "default": "fdatasync"}),
        ),
        (
            "threshold".to_owned(),
            json!({"type": "float", "min": 1e4, "max": 1e7, "log": true, "default": 1e5, "when": {"parameter": "compile", "among": [true]}}),
        ),
    ];
    let memory = log_between(random, 4000.0, 20000.0);
    let (set, slope) = (log_between(random, 300.0, 8000.0), between(random, 0.8, 2.0));
    let sorts = log_between(random, 500.0, 60000.0);
    let (page, workers) = (between(random, 1.0, 3.0), between(random, 2.0, 12.0));
    let sync = [0, 1, 2, 3].map(|_: i32| between(random, 0.8, 1.25));
    let (delay, compile) = (between(random, 0.0, 600.0), between(random, -0.15, 0.1));
    let clients = between(random, 4.0, 40.0);
    let top = log_between(random, 500.0, 50000.0);
    let cost = move |s: &Settings<'_>| {
        let used = s.get("buffers_mb") + clients * s.get("work_kb") / 1024.0 * 0.5;
        if used > memory {
            return None;
        }
        let cached = 1.0 / (1.0 + (set / s.get("buffers_mb")).powf(slope));
        let doubled = 1.0 - 0.5 * (used / memory).powi(3);
        let spilled = 1.0 / (1.0 + 0.5 * (sorts / s.get("work_kb")).powf(0.7));
        let log = 1.0
            - 0.35 / (1.0 + (s.get("log_mb") / 900.0).powf(1.5))
            - 0.05 * (s.get("completion") - 0.8).abs();
        let plan = 1.0 - 0.04 * (s.get("random_page") - page).abs().min(3.0);
        let parallel = 1.0 - 0.01 * (s.get("workers") - workers).abs();
        let reading = 0.9 + 0.1 * (1.0 - (-s.get("depth") / 30.0).exp());
        let compiled =
            if s.get("compile") > 0.5 { 1.0 + compile * (-(s.get("threshold") / 3e5)).exp() } else { 1.0 };
        let group = 1.0 - 0.1 * ((s.get("delay_us") - delay) / 1000.0).powi(2);
        let rate = top
            * (0.25 + 0.75 * cached)
            * doubled
            * (0.6 + 0.4 * spilled)
            * log
            * plan
            * parallel
            * reading
            * compiled;
        Some(-rate * group * sync[s.get("method") as usize])
    };
    let noises = vec![NoiseOf::Factor(0.03), NoiseOf::Factor(0.1), NoiseOf::HeavyFactor(0.05)];
    Draft { family: "database", knobs, cost: Box::new(cost), noises }
}

/// Run time under switches and words, many of which matter little and some only together.
fn compiler(random: &mut Random) -> Draft {
    let count = random.random_range(4..=10);
    let mut knobs = vec![
        ("level".to_owned(), json!({"type": "int", "min": 0, "max": 3, "default": 2})),
        ("inline".to_owned(), json!({"type": "int", "min": 1, "max": 2000, "log": true, "default": 225})),
    ];
    knobs.extend((0..count).map(|k| {
        let knob = if k % 3 == 2 { words(3 + k % 2) } else { json!({"type": "bool"}) };
        (format!("f{k}"), knob)
    }));
    let effects: Vec<Vec<f64>> = (0..count)
        .map(|_| {
            let strength = log_between(random, 0.003, 0.15);
            (0..5).map(|_| between(random, -1.0, 1.0) * strength).collect()
        })
        .collect();
    let pairs: Vec<(usize, usize, f64)> = (0..count)
        .map(|_| (random.random_range(0..count), random.random_range(0..count), between(random, -0.1, 0.1)))
        .collect();
    let inline = log_between(random, 20.0, 1500.0);
    let time = log_between(random, 0.5, 60.0);
    let cost = move |s: &Settings<'_>| {
        let at: Vec<usize> = (0..count).map(|k| s.get(&format!("f{k}")) as usize).collect();
        let mut sum =
            [0.9, 0.3, 0.02, 0.0][s.get("level") as usize] + 0.03 * (s.get("inline") / inline).ln().powi(2);
        sum += at.iter().enumerate().map(|(k, value)| effects[k][*value]).sum::<f64>();
        sum +=
            pairs.iter().filter(|(a, b, _)| at[*a] == at[*b]).map(|(_, _, strength)| strength).sum::<f64>();
        Some(time * sum.exp())
    };
    let noises = vec![NoiseOf::Factor(0.02), NoiseOf::Factor(0.08), NoiseOf::Stalls(0.03, 0.1)];
    Draft { family: "compiler", knobs, cost: Box::new(cost), noises }
}

/// Cost of a cache: size against misses, a policy with a knob of its own each, shards, a time to live.
fn cache(random: &mut Random) -> Draft {
    let policies = ["lru", "segmented", "sampled"];
    let knobs = vec![
        ("size_mb".to_owned(), json!({"type": "float", "min": 1, "max": 4096, "log": true})),
        ("policy".to_owned(), json!({"type": "enum", "values": policies})),
        (
            "protected".to_owned(),
            json!({"type": "float", "min": 0.05, "max": 0.95, "when": {"parameter": "policy", "among": ["segmented"]}}),
        ),
        (
            "samples".to_owned(),
            json!({"type": "int", "min": 2, "max": 64, "log": true, "when": {"parameter": "policy", "among": ["sampled"]}}),
        ),
        ("shards".to_owned(), json!({"type": "int", "min": 1, "max": 256, "log": true})),
        ("ttl_s".to_owned(), json!({"type": "float", "min": 1, "max": 86400, "log": true})),
    ];
    let (knee, skew) = (log_between(random, 10.0, 800.0), between(random, 0.5, 1.5));
    let miss = log_between(random, 5.0, 50.0);
    let rent = log_between(random, 0.002, 0.02);
    let gains = [0, 1, 2].map(|_: i32| between(random, 0.7, 1.0));
    let (protected, samples) = (between(random, 0.2, 0.9), log_between(random, 4.0, 40.0));
    let (shards, stale) = (log_between(random, 4.0, 100.0), log_between(random, 60.0, 20000.0));
    let cost = move |s: &Settings<'_>| {
        let policy = s.get("policy") as usize;
        let fit = match policy {
            1 => 0.8 * (s.get("protected") - protected).powi(2),
            2 => 0.06 * (s.get("samples") / samples).ln().powi(2),
            _ => 0.0,
        };
        let misses = (gains[policy] + fit) / (1.0 + (s.get("size_mb") / knee).powf(skew));
        let expired = 0.3 / (1.0 + s.get("ttl_s") / stale);
        let wrong = 0.02 * (s.get("ttl_s") / stale).sqrt();
        let locks = 0.3 * (s.get("shards") / shards).ln().powi(2);
        Some(1.0 + miss * (misses + expired + wrong) + rent * s.get("size_mb") + locks)
    };
    let noises = vec![
        NoiseOf::Factor(0.05),
        NoiseOf::Factor(0.15),
        NoiseOf::HeavyFactor(0.1),
        NoiseOf::Stalls(0.05, 0.1),
    ];
    Draft { family: "cache", knobs, cost: Box::new(cost), noises }
}

/// Several valleys, of which one is deepest: a mode switch with an optimum of its own each, and a cliff.
fn modes(random: &mut Random) -> Draft {
    let numbers = random.random_range(2..=6);
    let modes = random.random_range(2..=4);
    let mut knobs = vec![("mode".to_owned(), words(modes))];
    knobs.extend((0..numbers).map(|k| (format!("x{k}"), json!({"type": "float", "min": 0, "max": 1}))));
    knobs.push(("retries".to_owned(), json!({"type": "int", "min": 0, "max": 8})));
    let valleys: Vec<(Vec<f64>, f64, f64)> = (0..modes * 2)
        .map(|_| {
            let middle = (0..numbers).map(|_| between(random, 0.1, 0.9)).collect();
            (middle, between(random, 0.4, 1.0), between(random, 0.25, 0.7))
        })
        .collect();
    let retries = between(random, 0.0, 6.0);
    let cliff = between(random, 0.75, 1.0);
    let cost = move |s: &Settings<'_>| {
        let x: Vec<f64> = (0..numbers).map(|k| s.get(&format!("x{k}"))).collect();
        if x[0] > cliff && x[1] > 0.5 {
            return None;
        }
        let mode = s.get("mode") as usize;
        let depth = |(middle, depth, width): &(Vec<f64>, f64, f64)| {
            let squared: f64 = middle.iter().zip(&x).map(|(m, x)| (m - x) * (m - x)).sum();
            depth * (-squared / (width * width * numbers as f64 / 2.0)).exp()
        };
        let deepest = valleys[mode * 2..mode * 2 + 2].iter().map(depth).fold(0.0, f64::max);
        Some(10.0 * (1.2 - deepest) + 0.1 * (s.get("retries") - retries).powi(2))
    };
    let noises = vec![NoiseOf::Added(0.3), NoiseOf::Added(1.0), NoiseOf::Factor(0.08)];
    Draft { family: "modes", knobs, cost: Box::new(cost), noises }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_the_same_every_time_and_has_something_to_gain() {
        for number in 0..12 {
            let (one, two) = (instance(number).expect("an instance"), instance(number).expect("an instance"));
            assert_eq!((&one.space, one.budget), (&two.space, two.budget));
            let yardstick = super::super::problem::Yardstick::of(&one, number);
            assert!(yardstick.typical > yardstick.lowest, "instance {number}");
        }
    }
}
