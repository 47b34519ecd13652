//! Up to when two servers have data.

use super::ask::{Asked, Asking};
use super::queries::Query;
use super::selectors::needs;
use crate::progress::while_waiting;
use crate::prometheus::{Answer, Number, When};
use crate::when::now;

/// Selectors by which the newest data are found: so many are tried, and so many with an answer are enough.
const TRIED: usize = 20;
const ENOUGH: usize = 5;

/// What one of the two has told so far.
#[derive(Default)]
struct Told {
    /// The newest times, in milliseconds since the Unix epoch.
    times: Vec<i64>,
    /// Whether it has answered at all, were it with an error.
    answered: bool,
    /// Whether a selector came back with an error, which its query's comparison will show.
    refused: bool,
    /// Why it could not be asked, when that was last so.
    unasked: Option<anyhow::Error>,
}

/// What comes of one question.
enum Newest {
    At(i64),
    NoData,
    Refused,
}

impl Told {
    /// # Errors
    /// When nobody answers there.
    fn take(&mut self, newest: anyhow::Result<Newest>) -> anyhow::Result<()> {
        match newest {
            Ok(newest) => {
                self.answered = true;
                self.refused |= matches!(newest, Newest::Refused);
                self.times.extend(match newest {
                    Newest::At(at) => Some(at),
                    Newest::NoData | Newest::Refused => None,
                });
            }
            Err(error) if is_absent(&error) => return Err(error),
            Err(error) => self.unasked = Some(error),
        }
        Ok(())
    }

    /// Its newest time; `None` where it keeps that to itself.
    ///
    /// # Errors
    /// When it has no data, or could not be asked at all.
    fn newest(self, asked: &Asked) -> anyhow::Result<Option<i64>> {
        match (self.times.into_iter().max(), self.unasked) {
            (Some(newest), _) => Ok(Some(newest)),
            (None, Some(error)) if !self.answered => Err(error),
            (None, None) if !self.refused => anyhow::bail!(
                "{} has no series of the queries in the last five minutes; say with --to up to when to compare",
                asked.name()
            ),
            (None, _) => Ok(None),
        }
    }
}

/// Whether nobody listens there, so that asking on is in vain.
fn is_absent(error: &anyhow::Error) -> bool {
    error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect)
}

impl Asking {
    /// The newest time that both have data for, in milliseconds since the Unix epoch, as far as the queries' selectors tell.
    ///
    /// # Errors
    /// When one cannot be asked, or has no data of late.
    pub(super) async fn newest(&self, queries: &[Query]) -> anyhow::Result<i64> {
        let unread = |query: &Query| {
            let error = kandela_promql::parse(&query.text).err()?;
            Some(format!("{}: {error}", query.source))
        };
        if let Some(Some(first)) = queries.iter().map(unread).min_by_key(Option::is_some) {
            anyhow::bail!("no query can be read, as {first}");
        }
        let mut selectors: Vec<String> = Vec::new();
        for need in queries.iter().filter_map(|query| needs(&query.text)).flatten() {
            if !selectors.contains(&need.selector) {
                selectors.push(need.selector);
            }
        }
        let (mut here, mut there) = (Told::default(), Told::default());
        for selector in selectors.iter().take(TRIED) {
            let query = format!("max(timestamp({selector}))");
            let asked = futures::future::join(newest(&self.here, &query), newest(&self.there, &query));
            let (of_here, of_there) = while_waiting("looking for the newest data", asked).await;
            here.take(of_here)?;
            there.take(of_there)?;
            if here.times.len().min(there.times.len()) >= ENOUGH {
                break;
            }
        }
        let told = [here.newest(&self.here)?, there.newest(&self.there)?];
        Ok(told.into_iter().flatten().min().unwrap_or_else(|| now().millis()))
    }
}

async fn newest(asked: &Asked, query: &str) -> anyhow::Result<Newest> {
    let (_, document) = asked.query(query, When::Instant(None)).await?;
    let data = match document.data {
        _ if document.failure.is_some() => return Ok(Newest::Refused),
        Some(Answer::Vector(series)) => series.first().and_then(|one| one.value),
        _ => None,
    };
    Ok(data.map_or(Newest::NoData, |(_, Number(seconds))| Newest::At((seconds * 1e3) as i64)))
}
