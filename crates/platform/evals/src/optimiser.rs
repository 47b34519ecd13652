//! An optimiser under measurement: ours, called, or a peer's, a process that speaks the ask-and-tell protocol on its standard input
//! and output. All of them see the same trials' values and nothing else.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};
use kandela_model::WireValue;
use kandela_tune::{Alarm, Config, Constraint, Measured, Outcome, Space, Strategy, Study};
use serde::Deserialize;
use serde_json::{Value, json};

/// The command that serves other people's optimisers, `peers/tune/peer.py`, or why there is none.
pub(crate) fn peer_command() -> Result<Vec<String>, String> {
    let venv = std::env::var_os("KANDELA_VENV").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/kandela/venv"));
    let python = venv.or(home).map(|venv| venv.join("bin/python")).filter(|python| python.exists());
    let python = python.ok_or("there is no virtual environment of peers: run peers/install optimisers")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../peers/tune/peer.py");
    if !script.exists() {
        return Err(format!("{} is not there", script.display()));
    }
    Ok(vec![python.display().to_string(), script.display().to_string()])
}

/// Who optimises.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Contender {
    /// One of our strategies.
    Ours(Strategy),
    /// A command that speaks the protocol, and the strategy that it is asked for.
    Peer { command: Vec<String>, strategy: String },
}

impl Contender {
    /// What tables call it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Contender::Ours(strategy) => strategy.as_str(),
            Contender::Peer { strategy, .. } => strategy,
        }
    }

    /// Begins a search of `budget` trials, of which the objective is minimised.
    pub(crate) fn begin(&self, space: &Space, budget: usize, seed: u64) -> anyhow::Result<Optimiser> {
        match self {
            Contender::Ours(strategy) => {
                Ok(Optimiser::Ours(Study::new(space.clone(), *strategy, Some(budget), seed)))
            }
            Contender::Peer { command, strategy } => {
                let mut peer = Peer::start(command, space.clone())?;
                let header = json!({"space": space, "seed": seed, "budget": budget, "strategy": strategy});
                peer.send(&header)?;
                Ok(Optimiser::Peer(peer))
            }
        }
    }

    /// The same, where constraints are declared. A peer hears only whether they were kept.
    pub(crate) fn begin_constrained(
        &self,
        space: &Space,
        constraints: Vec<Constraint>,
        budget: usize,
        seed: u64,
    ) -> anyhow::Result<Optimiser> {
        match self {
            Contender::Ours(strategy) => {
                let study = Study::constrained(space.clone(), constraints, *strategy, Some(budget), seed)?;
                Ok(Optimiser::Ours(study))
            }
            Contender::Peer { .. } => self.begin(space, budget, seed),
        }
    }
}

/// A search under way.
pub(crate) enum Optimiser {
    Ours(Study),
    Peer(Peer),
}

impl Optimiser {
    /// The next trial: its number and its settings.
    pub(crate) fn ask(&mut self) -> anyhow::Result<(u64, Config)> {
        match self {
            Optimiser::Ours(study) => {
                let asked = study.ask().context("the budget is spent")?;
                Ok((asked.id, asked.config))
            }
            Optimiser::Peer(peer) => {
                peer.send(&json!({"ask": 1}))?;
                let answer: Trials = peer.receive()?;
                let trial = answer.trials.into_iter().next().context("asked for a trial, got none")?;
                Ok((trial.id, peer.typed(&trial.config)?))
            }
        }
    }

    /// The same, or nothing once `done` trials were all, or the search ended by itself.
    pub(crate) fn ask_within(&mut self, done: usize, budget: usize) -> anyhow::Result<Option<(u64, Config)>> {
        match self {
            Optimiser::Ours(study) => Ok(study.ask().map(|asked| (asked.id, asked.config))),
            Optimiser::Peer(_) if done >= budget => Ok(None),
            Optimiser::Peer(_) => self.ask().map(Some),
        }
    }

    /// What ours has to say besides its proposals.
    pub(crate) fn alarms(&self) -> &[Alarm] {
        match self {
            Optimiser::Ours(study) => study.alarms(),
            Optimiser::Peer(_) => &[],
        }
    }

    /// Tells what a trial measured.
    pub(crate) fn tell(&mut self, id: u64, measured: Measured) -> anyhow::Result<()> {
        match self {
            Optimiser::Ours(study) => Ok(study.tell(id, Outcome::Measured(measured))?),
            Optimiser::Peer(peer) => {
                peer.send(
                    &json!({"tell": [{"id": id, "value": measured.value, "feasible": measured.feasible}]}),
                )?;
                peer.best = peer.receive::<BestAnswer>()?.best;
                Ok(())
            }
        }
    }

    /// Tells that a trial gave no value.
    pub(crate) fn fail(&mut self, id: u64) -> anyhow::Result<()> {
        match self {
            Optimiser::Ours(study) => Ok(study.tell(id, Outcome::Failed)?),
            Optimiser::Peer(peer) => {
                peer.send(&json!({"tell": [{"id": id, "value": null, "feasible": false}]}))?;
                peer.best = peer.receive::<BestAnswer>()?.best;
                Ok(())
            }
        }
    }

    /// The settings that it recommends, once something was told.
    pub(crate) fn recommend(&self) -> anyhow::Result<Option<Config>> {
        match self {
            Optimiser::Ours(study) => Ok(study.best().map(|best| best.config)),
            Optimiser::Peer(peer) => peer.best.as_ref().map(|best| peer.typed(&best.config)).transpose(),
        }
    }
}

/// A process that speaks the protocol; it ends when its standard input does.
pub(crate) struct Peer {
    process: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    space: Space,
    best: Option<Recommended>,
}

#[derive(Deserialize)]
struct Trials {
    trials: Vec<Trial>,
}

#[derive(Deserialize)]
struct BestAnswer {
    best: Option<Recommended>,
}

#[derive(Deserialize)]
struct Recommended {
    config: Value,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

#[derive(Deserialize)]
struct Trial {
    id: u64,
    config: Value,
}

impl Peer {
    fn start(command: &[String], space: Space) -> anyhow::Result<Peer> {
        let (program, arguments) = command.split_first().context("the peer's command is empty")?;
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't start the peer {program}"))?;
        let to = process.stdin.take();
        let from = BufReader::new(process.stdout.take().context("the peer has no standard output")?);
        Ok(Peer { process, to, from, space, best: None })
    }

    fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        let to = self.to.as_mut().context("the peer's standard input is closed")?;
        writeln!(to, "{message}").context("the peer ended")?;
        to.flush().context("the peer ended")
    }

    fn receive<T: serde::de::DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            bail!("the peer ended without an answer; its standard error says why");
        }
        let refused = serde_json::from_str::<Refusal>(&line);
        if let Ok(Refusal { error }) = refused {
            bail!("the peer refuses: {error}");
        }
        serde_json::from_str(&line).with_context(|| format!("the peer answered {}", line.trim_end()))
    }

    fn typed(&self, config: &Value) -> anyhow::Result<Config> {
        let settings = config.as_object().context("a configuration is an object")?;
        let typed = |(name, value): (&String, &Value)| {
            let parameter =
                self.space.parameter(name).with_context(|| format!("there is no parameter {name}"))?;
            let wire: WireValue = serde_json::from_value(value.clone())?;
            let value =
                wire.typed(&parameter.spec.kind).with_context(|| format!("{name} can't be {value}"))?;
            Ok((name.clone(), value))
        };
        settings.iter().map(typed).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Its input ends, so it ends; one that does not is stopped.
        self.to = None;
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Space {
        let json = r#"{
            "x": {"type": "float", "min": -5, "max": 5},
            "n": {"type": "int", "min": 1, "max": 64, "log": true},
            "word": {"type": "enum", "values": ["a", "b"]},
            "deep": {"type": "bool", "when": {"parameter": "word", "among": ["b"]}}
        }"#;
        serde_json::from_str(json).expect("a space")
    }

    fn peer(strategy: &str) -> Option<Contender> {
        match peer_command() {
            Ok(command) => Some(Contender::Peer { command, strategy: strategy.to_owned() }),
            Err(why) => {
                eprintln!("skipped: {why}");
                None
            }
        }
    }

    #[test]
    fn a_peer_is_asked_and_told_and_recommends_the_lowest() {
        let Some(peer) = peer("random") else { return };
        let space = space();
        let mut optimiser = peer.begin(&space, 12, 3).expect("begins");
        let mut lowest: Option<(f64, Config)> = None;
        for step in 0..12 {
            let (id, config) = optimiser.ask().expect("a trial");
            space.encode(&config).expect("settings of the space");
            if step == 5 {
                optimiser.fail(id).expect("told");
                continue;
            }
            let value = f64::from((step * 7 + 3) % 12);
            if lowest.as_ref().is_none_or(|(least, _)| value < *least) {
                lowest = Some((value, config));
            }
            optimiser.tell(id, Measured::of(value)).expect("told");
        }
        assert_eq!(optimiser.recommend().expect("typed"), lowest.map(|(_, config)| config));
    }

    #[test]
    fn what_a_peer_refuses_is_told_in_its_words() {
        let Some(peer) = peer("nonsense") else { return };
        let mut optimiser = peer.begin(&space(), 3, 3).expect("starts");
        let refusal = optimiser.ask().expect_err("no such strategy").to_string();
        assert!(refusal.contains("there is no strategy 'nonsense'"), "{refusal}");
    }
}
