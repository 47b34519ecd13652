//! Asking both servers, and gathering what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use serde::Serialize;

use super::compare::{Order, Told, compare, compare_samples};
use super::difference::{Difference, Failed, Side, Time};
use super::queries::{Query, order};
use super::selectors::{Need, needs};
use crate::engine::Engine;
use crate::progress::Progress;
use crate::prometheus::{Api, Document, When};

/// Queries that are asked at a time.
const AT_A_TIME: usize = 2;
/// Single times at which a query is asked.
const INSTANTS: i64 = 5;
/// The longest answer with raw samples that is read, and how many of its differences are told.
const MAX_DATA: usize = 64 << 20;
const TOLD_OF_DATA: usize = 20;

/// Who is asked.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Server(Api),
    /// Kandela's engine in this process.
    Engine(Engine),
}

/// The two that are asked.
pub(super) struct Asking {
    pub(super) here: Asked,
    pub(super) there: Asked,
    /// Labels that are as if no series had them.
    pub(super) ignored_labels: Vec<String>,
}

/// The time that is compared, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) step: i64,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) here: String,
    pub(super) there: String,
    pub(super) from: Time,
    pub(super) to: Time,
    pub(super) step_seconds: f64,
    pub(super) queries: usize,
    pub(super) agree: usize,
    /// Of those that agree, the ones that err on both servers.
    pub(super) agree_in_error: Vec<Erring>,
    /// Of those that agree, the ones that have no data on either.
    pub(super) agree_in_nothing: Vec<Silent>,
    /// Of those that do not agree, the ones of which that is only because a server could not be asked.
    pub(super) unasked: usize,
    pub(super) differing: Vec<Differing>,
    pub(super) noted_differently: Vec<NotedDifferently>,
}

/// A query whose answers differ.
#[derive(Debug, Serialize)]
pub(super) struct Differing {
    pub(super) query: String,
    pub(super) source: String,
    pub(super) asked: Vec<Question>,
    pub(super) data: Data,
}

/// One question, and how its answers differ.
#[derive(Debug, Serialize)]
pub(super) struct Question {
    /// The one time of an instant query; none for a range query over the whole stretch.
    pub(super) at: Option<Time>,
    pub(super) differences: Vec<Difference>,
}

/// Whether the samples that a query stands on are the same.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub(super) enum Data {
    Same,
    Differ {
        differences: Vec<Difference>,
        more: usize,
    },
    Unknown {
        why: String,
    },
    /// Only errors or types differ, for which data are not to blame.
    NotAsked,
}

/// A query that errs on both servers in one way.
#[derive(Debug, Serialize)]
pub(super) struct Erring {
    pub(super) query: String,
    pub(super) source: String,
    /// What is said here.
    #[serde(flatten)]
    pub(super) failed: Failed,
}

/// A query without data on either server.
#[derive(Debug, Serialize)]
pub(super) struct Silent {
    pub(super) query: String,
    pub(super) source: String,
}

/// A query whose answers agree, with other warnings or infos.
#[derive(Debug, Serialize)]
pub(super) struct NotedDifferently {
    pub(super) query: String,
    pub(super) source: String,
    pub(super) only_here: BTreeSet<String>,
    pub(super) only_there: BTreeSet<String>,
}

/// What came of one query.
#[derive(Default)]
struct Compared {
    asked: Vec<Question>,
    only_here: BTreeSet<String>,
    only_there: BTreeSet<String>,
    /// What was said here when both erred.
    erred: Option<Failed>,
    has_data: bool,
}

impl Report {
    /// Why it cannot be said whether all queries agree, if so.
    pub(super) fn unknown(&self) -> Option<String> {
        if self.differing.len() > self.unasked {
            None
        } else if self.unasked > 0 {
            Some(format!(
                "{} of {} queries could not be asked; the report says why",
                self.unasked, self.queries
            ))
        } else if !self.agree_in_nothing.is_empty()
            && self.agree_in_nothing.len() + self.agree_in_error.len() == self.queries
        {
            let (from, to) = (self.from, self.to);
            Some(format!(
                "no query has data on either server from {from} to {to} UTC, so nothing was compared; check the names in the queries, and the time with --to and --for"
            ))
        } else {
            None
        }
    }
}

impl Differing {
    /// Whether nothing is known but that a server could not be asked.
    pub(super) fn is_unasked(&self) -> bool {
        let mut differences = self.asked.iter().flat_map(|question| &question.differences);
        differences.all(|difference| matches!(difference, Difference::Unasked { .. }))
    }
}

impl Compared {
    /// Takes in both answers to one question.
    fn note(&mut self, here: &Told, there: &Told) {
        self.only_here.extend(here.notes.difference(&there.notes).cloned());
        self.only_there.extend(there.notes.difference(&here.notes).cloned());
        if let (Err(failed), Err(_)) = (&here.said, &there.said) {
            self.erred.get_or_insert_with(|| failed.clone());
        }
        self.has_data |= here.has_data() || there.has_data();
    }
}

impl Stretch {
    /// One of this length that ends at the last whole step before `to`.
    pub(super) fn ending(to: i64, length: Duration, step: Duration) -> Self {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let step = millis(step).max(1);
        let to = to.div_euclid(step) * step;
        Self { from: to.saturating_sub(millis(length)), to, step }
    }

    /// Times from its end to its start, evenly.
    fn instants(self) -> impl Iterator<Item = i64> {
        let length = self.to - self.from;
        (0..INSTANTS).map(move |n| self.to - length / (INSTANTS - 1) * n)
    }
}

impl Asked {
    /// What it is called in reports.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Server(api) => api.url(),
            Self::Engine(engine) => format!("Kandela's engine over {}", engine.url()),
        }
    }

    /// What it says, and with which status.
    pub(super) async fn query(&self, query: &str, when: When) -> anyhow::Result<(u16, Document)> {
        match self {
            Self::Server(api) => {
                let reply = api.query(query, when).await?;
                Ok((reply.status.as_u16(), reply.read()?))
            }
            Self::Engine(engine) => {
                let document = engine.query(query, when).await?;
                let status = match document.failure.as_ref().map(|failure| failure.kind.as_str()) {
                    None => 200,
                    Some("bad_data") => 400,
                    Some(_) => 422,
                };
                Ok((status, document))
            }
        }
    }

    /// One that reads no longer answers than this; the engine has a limit of its own.
    fn reading_at_most(self, bytes: usize) -> Self {
        match self {
            Self::Server(api) => Self::Server(api.reading_at_most(bytes)),
            engine @ Self::Engine(_) => engine,
        }
    }
}

impl Asking {
    /// Asks everything.
    pub(super) async fn compare(&self, queries: &[Query], stretch: Stretch) -> Report {
        let mut progress = Progress::default();
        let mut compared: Vec<(usize, Compared)> = Vec::new();
        let mut differ = 0;
        let asked: Vec<_> =
            queries.iter().enumerate().map(|(at, query)| self.ask_numbered(at, query, stretch)).collect();
        let mut asked = futures::stream::iter(asked).buffer_unordered(AT_A_TIME);
        while let Some(one) = asked.next().await {
            differ += usize::from(!one.1.asked.is_empty());
            compared.push(one);
            progress
                .show(|_| format!("asked {} of {} queries, {differ} differ", compared.len(), queries.len()));
        }
        compared.sort_by_key(|(at, _)| *at);
        let mut report = Report {
            here: self.here.name(),
            there: self.there.name(),
            from: Time(stretch.from),
            to: Time(stretch.to),
            step_seconds: stretch.step as f64 / 1e3,
            queries: queries.len(),
            agree: queries.len() - differ,
            agree_in_error: Vec::new(),
            agree_in_nothing: Vec::new(),
            unasked: 0,
            differing: Vec::new(),
            noted_differently: Vec::new(),
        };
        let mut looked_at = BTreeMap::new();
        for (query, (_, compared)) in queries.iter().zip(compared) {
            let (text, source) = (query.text.clone(), query.source.clone());
            let Compared { asked, only_here, only_there, erred, has_data } = compared;
            if !asked.is_empty() {
                progress.show(|_| format!("comparing the data of {differ} queries"));
                let differences = asked.iter().flat_map(|question| &question.differences);
                let data = match differences.into_iter().any(Difference::may_be_of_data) {
                    true => self.data(&text, stretch, &mut looked_at).await,
                    false => Data::NotAsked,
                };
                let differing = Differing { query: text, source, asked, data };
                report.unasked += usize::from(differing.is_unasked());
                report.differing.push(differing);
                continue;
            }
            match erred {
                Some(failed) => {
                    let (query, source) = (text.clone(), source.clone());
                    report.agree_in_error.push(Erring { query, source, failed });
                }
                None if !has_data => {
                    report.agree_in_nothing.push(Silent { query: text.clone(), source: source.clone() });
                }
                None => {}
            }
            if !only_here.is_empty() || !only_there.is_empty() {
                let noted = NotedDifferently { query: text, source, only_here, only_there };
                report.noted_differently.push(noted);
            }
        }
        progress.clear();
        report
    }

    async fn ask_numbered(&self, at: usize, query: &Query, stretch: Stretch) -> (usize, Compared) {
        (at, self.ask(query, stretch).await)
    }

    async fn ask(&self, query: &Query, stretch: Stretch) -> Compared {
        let mut compared = Compared::default();
        let Stretch { from, to, step } = stretch;
        let order = order(&query.text);
        let instants = query.instant.then(|| stretch.instants()).into_iter().flatten();
        let instants = instants.map(|at| (Some(Time(at)), When::Instant(Some(at)), order));
        let range = query.range.then_some((None, When::Range { from, to, step }, Order::Free));
        for (at, when, order) in instants.chain(range) {
            let asked = futures::future::join(
                self.told(&self.here, &query.text, when),
                self.told(&self.there, &query.text, when),
            );
            let differences = match asked.await {
                (Ok(here), Ok(there)) => {
                    compared.note(&here, &there);
                    compare(&here, &there, order)
                }
                (here, there) => {
                    let unasked = |side, told: anyhow::Result<Told>| {
                        told.err().map(|error| Difference::Unasked { side, error: format!("{error:#}") })
                    };
                    unasked(Side::Here, here).into_iter().chain(unasked(Side::There, there)).collect()
                }
            };
            if !differences.is_empty() {
                compared.asked.push(Question { at, differences });
            }
        }
        compared
    }

    async fn told(&self, asked: &Asked, query: &str, when: When) -> anyhow::Result<Told> {
        let (status, document) = asked.query(query, when).await?;
        Ok(Told::new(status, document).without(&self.ignored_labels))
    }

    /// Compares the samples that a query stands on, each selector once.
    async fn data(&self, query: &str, stretch: Stretch, looked_at: &mut BTreeMap<Need, Data>) -> Data {
        let Some(needs) = needs(query) else {
            return Data::Unknown { why: "the query names times of its own, or is not read here".to_owned() };
        };
        let (mut all, mut more) = (Vec::new(), 0);
        for need in needs {
            let data = match looked_at.get(&need) {
                Some(data) => data.clone(),
                None => {
                    let data = self.samples(&need, stretch).await;
                    looked_at.insert(need, data.clone());
                    data
                }
            };
            match data {
                Data::Same | Data::NotAsked => {}
                Data::Differ { differences, more: also } => {
                    all.extend(differences);
                    more += also;
                }
                unknown @ Data::Unknown { .. } if all.is_empty() => return unknown,
                Data::Unknown { .. } => {}
            }
        }
        if all.is_empty() { Data::Same } else { Data::Differ { differences: all, more } }
    }

    async fn samples(&self, need: &Need, stretch: Stretch) -> Data {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4);
        let (back, ahead) = (millis(need.back), millis(need.ahead));
        let length = (stretch.to - stretch.from).saturating_add(back).saturating_add(ahead);
        let query = format!("{}[{length}ms]", need.selector);
        let when = When::Instant(Some(stretch.to.saturating_add(ahead)));
        let (here, there) =
            (self.here.clone().reading_at_most(MAX_DATA), self.there.clone().reading_at_most(MAX_DATA));
        match futures::future::join(self.told(&here, &query, when), self.told(&there, &query, when)).await {
            (Ok(here), Ok(there)) => match (&here.said, &there.said) {
                (Ok(here), Ok(there)) => match compare_samples(here, there) {
                    same if same.is_empty() => Data::Same,
                    mut differences => {
                        let more = differences.len().saturating_sub(TOLD_OF_DATA);
                        differences.truncate(TOLD_OF_DATA);
                        Data::Differ { differences, more }
                    }
                },
                (here, there) => {
                    let failed = here.as_ref().err().or(there.as_ref().err());
                    let why = failed.map(|failed| failed.message.clone()).unwrap_or_default();
                    Data::Unknown { why }
                }
            },
            (Err(error), _) | (_, Err(error)) => Data::Unknown { why: format!("{error:#}") },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_ends_at_a_whole_step_and_is_asked_at_both_ends() {
        let stretch = Stretch::ending(3_700_500, Duration::from_secs(3_600), Duration::from_secs(60));
        assert_eq!(stretch, Stretch { from: 60_000, to: 3_660_000, step: 60_000 });
        let instants: Vec<i64> = stretch.instants().collect();
        assert_eq!(instants, [3_660_000, 2_760_000, 1_860_000, 960_000, 60_000]);
    }
}
