//! Reading: queries, label lookups, and what happens when a file turns out to be damaged.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::error::DataFusionError;
use kandela_config::matcher::Matcher;
use kandela_model::{Metadata, Timestamp};

use super::{Lake, TimeRange};
use crate::error::{LakeError, Result};
use crate::index::{Cardinality, IndexedSeries};
use crate::points::{self, FoundSeries};
use crate::quarantine::{self, Quarantined};
use crate::sql::{self, Answer, QueryLimits, QueryMemory};
use crate::view::View;

impl Lake {
    /// Runs a read-only SQL query on one consistent view.
    ///
    /// # Errors
    /// [`LakeError::BadQuery`], [`LakeError::QueryLimit`] or [`LakeError::QueryTimeout`]; later ones arrive in the stream,
    /// where [`crate::explain`] reads them.
    pub async fn sql(&self, query: &str, limits: &QueryLimits) -> Result<Answer> {
        let inner = &self.inner;
        let (rows, reads) = self
            .past_damage(|view| async move {
                let session =
                    sql::session(inner.runtime.clone(), &view, &inner.registry, &inner.sets, limits)?;
                let (rows, reads) = sql::run(session, query, limits).await?;
                Ok((sql::begun(rows).await?, reads))
            })
            .await?;
        let lake = self.clone();
        let rows = sql::watched(rows, move |error| match lake.inner.damages.last() {
            Some(file) => {
                lake.put_aside_later();
                DataFusionError::External(Box::new(file))
            }
            None => error,
        });
        Ok(Answer { rows, warnings: quarantine::lacking(&inner.config.root, &reads) })
    }

    /// For damage found when part of an answer is already given: the next query does without the file.
    fn put_aside_later(&self) {
        let lake = self.clone();
        tokio::spawn(async move {
            // What fails here is met again by the next reader.
            let _ = lake.put_damaged_aside().await;
        });
    }

    pub(super) fn pinned(&self) -> Arc<View> {
        self.inner.view.load_full()
    }

    /// Series with samples on the days of `range` that match; at most `limit`.
    ///
    /// # Errors
    /// When a series file cannot be read.
    pub async fn series(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        limit: usize,
    ) -> Result<Vec<IndexedSeries>> {
        let (sets, days) = (&self.inner.sets, &days(&range));
        self.past_damage(|view| async move { sets.select(&view, days.clone(), matchers, limit).await }).await
    }

    /// Reads what finding series on the days of `range` needs from files, before anybody asks.
    ///
    /// # Errors
    /// When a series file cannot be read.
    pub async fn read_ahead(&self, range: TimeRange) -> Result<()> {
        let (sets, days) = (&self.inner.sets, &days(&range));
        self.past_damage(|view| async move { sets.read_ahead(&view, days.clone()).await }).await
    }

    /// Finds the series that match and pins their points in `range`, for [`FoundSeries::reader`].
    ///
    /// # Errors
    /// When a series file cannot be read.
    pub async fn points(&self, matchers: &[Matcher], range: TimeRange) -> Result<FoundSeries> {
        let inner = &self.inner;
        let series = self.series(matchers, range.clone(), usize::MAX).await?;
        let found = points::find(series, &range, &inner.registry, &inner.points, || self.pinned());
        Ok(found.with_lacking(quarantine::lacking(&inner.config.root, &points::reads(&days(&range)))))
    }

    /// Memory of the queries' share for a query that is not SQL, empty at first.
    pub fn query_memory(&self) -> QueryMemory {
        QueryMemory::new(&self.inner.runtime.memory_pool, "a query of series")
    }

    /// Names of labels on the days of `range`, sorted.
    ///
    /// # Errors
    /// When a series file cannot be read.
    pub async fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Arc<str>>> {
        let (sets, days) = (&self.inner.sets, &days(&range));
        self.past_damage(|view| async move { sets.label_names(&view, days.clone(), matchers).await }).await
    }

    /// Values of one label on the days of `range`, sorted; at most `limit`.
    ///
    /// # Errors
    /// When a series file cannot be read.
    pub async fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        limit: usize,
    ) -> Result<Vec<Arc<str>>> {
        let (sets, days) = (&self.inner.sets, &days(&range));
        self.past_damage(
            |view| async move { sets.label_values(&view, days.clone(), name, matchers, limit).await },
        )
        .await
    }

    /// What is known of the family that series named `metric` belong to.
    pub fn metadata_of(&self, metric: &str) -> Option<Metadata> {
        self.inner.registry.family_of(metric)
    }

    /// Where the labels of living series are many; of each kind the `limit` largest.
    pub fn cardinality(&self, limit: usize) -> Cardinality {
        self.inner.registry.with_index(|index| index.cardinality(limit))
    }

    /// Takes files that a reader found damaged out of their tables; whether there were any.
    ///
    /// # Errors
    /// When a file cannot be moved, or its table not written.
    pub async fn put_damaged_aside(&self) -> Result<bool> {
        let _only = self.inner.quarantining.lock().await;
        let mut any = false;
        for damaged in self.inner.damages.take() {
            let Some(table) = self.inner.tables.iter().find(|table| table.spec.name == damaged.table) else {
                continue;
            };
            if let Some((state, file)) =
                quarantine::put_aside(&self.inner.config.root, table, &damaged).await?
            {
                self.publish(table.spec.name, state);
                self.inner.put_aside.fetch_add(1, Ordering::Release);
                self.inner.quarantined.tell(file);
                any = true;
            }
        }
        Ok(any)
    }

    /// Waits for the next file that turns out to be damaged and leaves its table. Each is told once.
    pub async fn next_quarantined(&self) -> Option<Quarantined> {
        self.inner.quarantined.next().await
    }

    /// Files that were ever put aside and still lie in the folder `quarantine`.
    pub fn in_quarantine(&self) -> Vec<PathBuf> {
        quarantine::list(&self.inner.config.root)
    }

    /// Reads every file of every table and puts aside what is damaged; `seen` is told of each file's bytes.
    ///
    /// # Errors
    /// When the disk cannot be read, or a table not written.
    pub async fn verify(&self, mut seen: impl FnMut(u64)) -> Result<()> {
        let view = self.pinned();
        for table in &self.inner.tables {
            let files = view.tables.get(table.spec.name).map(|state| state.files.clone());
            for file in files.unwrap_or_default() {
                match table.read_through(&file).await {
                    Err(LakeError::Damaged { .. }) => {
                        self.put_damaged_aside().await?;
                    }
                    other => other?,
                }
                seen(file.size);
            }
        }
        Ok(())
    }

    /// Does `attempt` again for as long as it fails on a damaged file that can be put aside.
    async fn past_damage<T, F: Future<Output = Result<T>>>(
        &self,
        attempt: impl Fn(Arc<View>) -> F,
    ) -> Result<T> {
        loop {
            let before = self.inner.put_aside.load(Ordering::Acquire);
            let answer = attempt(self.pinned()).await;
            if answer.is_ok() {
                return answer;
            }
            self.put_damaged_aside().await?;
            // Another reader may have met the same file.
            if self.inner.put_aside.load(Ordering::Acquire) == before {
                return answer;
            }
        }
    }
}

fn days(range: &TimeRange) -> RangeInclusive<i32> {
    Timestamp::from_micros(*range.start()).day()..=Timestamp::from_micros(*range.end()).day()
}
