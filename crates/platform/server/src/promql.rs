//! Queries in PromQL over the lake.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kandela_lake::{FoundSeries, Lake, PointReader};
use kandela_model::Labels;
use kandela_promql::{
    Answered, EvalError, Options, SampleBuffer, Samples, Select, SeriesReader, SeriesSet, SeriesSource,
    SourceCause, SourceError, When, evaluate,
};

pub(crate) struct Asked {
    pub query: String,
    pub when: When,
    pub lookback: Option<Duration>,
    pub timeout: Option<Duration>,
}

pub(crate) struct PromQl;

impl PromQl {
    pub(crate) async fn answer(&self, lake: Lake, asked: Asked) -> Result<Answered, EvalError> {
        let mut options = Options::default();
        if let Some(lookback) = asked.lookback {
            options.lookback = lookback.as_micros() as i64;
        }
        if asked.timeout == Some(Duration::ZERO) {
            return Err(EvalError::Timeout);
        }
        evaluate(&LakeSource(lake), &asked.query, asked.when, options).await
    }
}

struct LakeSource(Lake);
struct Found(FoundSeries);
struct Reader<'a>(PointReader<'a>, SampleBuffer);

fn failed(error: impl std::fmt::Display) -> SourceError {
    SourceError { message: error.to_string(), cause: SourceCause::Internal }
}

#[async_trait]
impl SeriesSource for LakeSource {
    async fn select(&self, select: &Select) -> Result<Arc<dyn SeriesSet>, SourceError> {
        let found = self.0.points(&select.matchers, select.from..=select.through).await.map_err(failed)?;
        Ok(Arc::new(Found(found)))
    }
}

impl SeriesSet for Found {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn labels(&self, index: usize) -> &Labels {
        self.0.labels(index).expect("index")
    }
    fn reader(&self) -> Box<dyn SeriesReader + '_> {
        Box::new(Reader(self.0.reader(), SampleBuffer::default()))
    }
}

impl SeriesReader for Reader<'_> {
    fn read(&mut self, index: usize) -> Result<Samples<'_>, SourceError> {
        let (times, values) = self.0.samples(index).map_err(failed)?;
        self.1.times = times.to_vec();
        self.1.values = values.to_vec();
        self.0.histograms(index, &mut self.1.histograms).map_err(failed)?;
        Ok(self.1.samples())
    }
}
