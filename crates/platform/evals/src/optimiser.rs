//! An optimiser under measurement: ours, called, or a peer's, a process that speaks the ask-and-tell protocol on its standard input
//! and output. All of them see the same trials' values and nothing else.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};
use kandela_model::WireValue;
use kandela_tune::{Config, Measured, Outcome, Space, Strategy, Study};
use serde::Deserialize;
use serde_json::{Value, json};

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
    best: Option<Trial>,
}

#[derive(Deserialize)]
struct Trials {
    trials: Vec<Trial>,
}

#[derive(Deserialize)]
struct BestAnswer {
    best: Option<Trial>,
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
