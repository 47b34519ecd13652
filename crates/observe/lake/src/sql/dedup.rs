//! Drops rows whose key stands in the row before: the last step of a sorted merge.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow_array::{BooleanArray, RecordBatch};
use arrow_ord::ord::make_comparator;
use arrow_schema::{SchemaRef, SortOptions};
use arrow_select::filter::filter_record_batch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, LexOrdering, OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{CardinalityEffect, ReplaceChildrenOptions};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{Stream, StreamExt};

/// Keeps the first row of each run of rows that agree in the key columns. It asks for one partition in a given order, which
/// begins with the key; an optimiser that did not know of the wish would drop the merge below.
#[derive(Debug)]
pub(crate) struct DedupExec {
    input: Arc<dyn ExecutionPlan>,
    key: Vec<usize>,
    order: LexOrdering,
    properties: Arc<PlanProperties>,
}

impl DedupExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, key: Vec<usize>, order: LexOrdering) -> Self {
        let properties = Arc::clone(input.properties());
        Self { input, key, order, properties }
    }
}

impl DisplayAs for DedupExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DedupExec: key={:?}", self.key)
    }
}

impl ExecutionPlan for DedupExec {
    fn name(&self) -> &'static str {
        "DedupExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![Some(OrderingRequirements::from(self.order.clone()))]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(children.swap_remove(0), self.key.clone(), self.order.clone())))
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(children.swap_remove(0), self.key.clone(), self.order.clone())))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        Ok(Box::pin(DedupStream { input, key: self.key.clone(), last: None }))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::LowerEqual
    }
}

struct DedupStream {
    input: SendableRecordBatchStream,
    key: Vec<usize>,
    /// The last row that came by, to compare the next batch's first with.
    last: Option<RecordBatch>,
}

impl Stream for DedupStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let batch = match ready!(self.input.poll_next_unpin(cx)) {
                Some(Ok(batch)) if batch.num_rows() == 0 => continue,
                Some(Ok(batch)) => batch,
                other => return Poll::Ready(other),
            };
            let kept = first_of_each_run(&batch, &self.key, self.last.as_ref());
            self.last = Some(batch.slice(batch.num_rows() - 1, 1));
            match kept {
                Ok(kept) if kept.num_rows() == 0 => {}
                kept => return Poll::Ready(Some(kept)),
            }
        }
    }
}

impl RecordBatchStream for DedupStream {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}

/// The rows of `batch` whose key differs from the row before; `previous` is the row before the first.
pub(crate) fn first_of_each_run(
    batch: &RecordBatch,
    key: &[usize],
    previous: Option<&RecordBatch>,
) -> Result<RecordBatch> {
    let mut differs = vec![false; batch.num_rows()];
    for column in key {
        let values = batch.column(*column);
        let within = make_comparator(values.as_ref(), values.as_ref(), SortOptions::default())?;
        for (row, differs) in differs.iter_mut().enumerate().skip(1) {
            *differs |= within(row - 1, row).is_ne();
        }
        if let (Some(previous), Some(first)) = (previous, differs.first_mut()) {
            let across =
                make_comparator(previous.column(*column).as_ref(), values.as_ref(), SortOptions::default())?;
            *first |= across(0, 0).is_ne();
        }
    }
    if let (None, Some(first)) = (previous, differs.first_mut()) {
        *first = true;
    }
    if differs.iter().all(|differs| *differs) {
        return Ok(batch.clone());
    }
    Ok(filter_record_batch(batch, &BooleanArray::from(differs))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Int64Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use proptest::prelude::*;

    fn batch(keys: &[i64]) -> RecordBatch {
        RecordBatch::try_from_iter([("key", Arc::new(Int64Array::from(keys.to_vec())) as _)]).unwrap()
    }

    proptest! {
        #[test]
        fn runs_that_cross_batches_are_one_run(mut keys in proptest::collection::vec(0i64..6, 1..60), cut in 1usize..10) {
            keys.sort_unstable();
            let mut kept = Vec::new();
            let mut last: Option<RecordBatch> = None;
            for part in keys.chunks(cut) {
                let part = batch(part);
                let first = first_of_each_run(&part, &[0], last.as_ref()).unwrap();
                kept.extend_from_slice(first.column(0).as_primitive::<Int64Type>().values());
                last = Some(part.slice(part.num_rows() - 1, 1));
            }
            keys.dedup();
            prop_assert_eq!(kept, keys);
        }
    }
}
