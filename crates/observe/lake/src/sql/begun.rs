//! Answers whose first rows are there already, so that what fails early fails before anything is given.

use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};

use super::explain;
use crate::error::Result;

/// Waits for the first rows, or for the end.
pub(crate) async fn begun(mut answer: SendableRecordBatchStream) -> Result<SendableRecordBatchStream> {
    let schema = answer.schema();
    let first = answer.next().await.transpose().map_err(|e| explain(&e))?;
    let whole = stream::iter(first.map(Ok)).chain(answer);
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, whole)))
}

/// Lets `explained` say what an error is that ends an answer.
pub(crate) fn watched(
    answer: SendableRecordBatchStream,
    explained: impl Fn(DataFusionError) -> DataFusionError + Send + 'static,
) -> SendableRecordBatchStream {
    let schema = answer.schema();
    let watched = answer.map(move |rows| rows.map_err(&explained));
    Box::pin(RecordBatchStreamAdapter::new(schema, watched))
}
