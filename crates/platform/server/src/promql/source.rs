//! The lake as a source of series.

use std::sync::Arc;

use async_trait::async_trait;
use kandela_lake::{ErrorClass, FoundSeries, Lake, LakeError, PointReader, QueryMemory, TimedHistogram};
use kandela_model::Labels;
use kandela_promql::{
    Samples, Select, SeriesReader, SeriesSet, SeriesSource, SharedMemory, SourceCause, SourceError,
};

use crate::memory;

/// One tenant's lake.
pub(super) struct LakeSource(pub(super) Lake);

#[async_trait]
impl SeriesSource for LakeSource {
    async fn select(&self, select: &Select) -> Result<Arc<dyn SeriesSet>, SourceError> {
        let range = select.from..=select.through.max(select.from);
        let found = self.0.points(&select.matchers, range).await.map_err(|error| told(&error))?;
        Ok(Arc::new(LakeSeries { may_have_histograms: found.may_have_histograms(), found }))
    }
}

struct LakeSeries {
    found: FoundSeries,
    may_have_histograms: bool,
}

impl SeriesSet for LakeSeries {
    fn len(&self) -> usize {
        self.found.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.found.labels(index)
    }

    fn heap_bytes(&self) -> usize {
        self.found.heap_bytes()
    }

    fn reader(&self) -> Box<dyn SeriesReader + '_> {
        let may_have_histograms = self.may_have_histograms;
        Box::new(LakeReader { points: self.found.reader(), may_have_histograms, histograms: Vec::new() })
    }

    fn warnings(&self) -> &[String] {
        self.found.lacking()
    }
}

struct LakeReader<'a> {
    points: PointReader<'a>,
    may_have_histograms: bool,
    histograms: Vec<TimedHistogram>,
}

impl SeriesReader for LakeReader<'_> {
    fn read(&mut self, index: usize) -> Result<Samples<'_>, SourceError> {
        if self.may_have_histograms {
            self.points.histograms(index, &mut self.histograms).map_err(|error| told(&error))?;
        }
        let (times, values) = self.points.samples(index).map_err(|error| told(&error))?;
        Ok(Samples { times, values, starts: &[], histograms: &self.histograms })
    }
}

fn told(error: &LakeError) -> SourceError {
    let cause = match error.class() {
        ErrorClass::LimitExceeded | ErrorClass::Timeout | ErrorClass::BadRequest => SourceCause::Limit,
        ErrorClass::Unavailable => SourceCause::Unavailable,
        ErrorClass::Internal => SourceCause::Internal,
    };
    SourceError { message: error.to_string(), cause }
}

/// The share of memory that all queries of a lake have.
#[derive(Debug)]
pub(super) struct LakeMemory(pub(super) QueryMemory);

impl SharedMemory for LakeMemory {
    fn grow(&self, bytes: usize) -> bool {
        self.0.try_grow(bytes)
    }

    fn shrink(&self, bytes: usize) {
        self.0.shrink(bytes);
        memory::freed(bytes);
    }

    fn limit(&self) -> usize {
        self.0.limit()
    }
}
