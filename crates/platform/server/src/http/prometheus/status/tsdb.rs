//! `/api/v1/status/tsdb`: where the labels of living series are many.

use kandela_lake::{Cardinality, Counts};
use kandela_model::Timestamp;

use super::super::call::Call;
use super::super::error::ApiError;
use super::super::go::parse_int;
use super::super::json::{push_int, push_key, push_list, push_text};
use super::super::reply::Reply;

const USUAL: usize = 10;
const MOST: usize = 10_000;

pub(crate) async fn tsdb(call: Call) -> Result<Reply, ApiError> {
    let limit = limit(call.form.get("limit"))?;
    let lake = call.lake().await?;
    let (stats, cardinality) = (lake.stats(), lake.cardinality(limit));
    let Cardinality { pairs, series_by_metric, values_by_label, bytes_by_label, series_by_pair } =
        cardinality;
    Ok(Reply::new(|out| {
        out.extend_from_slice(b"{\"headStats\":{\"numSeries\":");
        push_int(out, stats.series);
        out.extend_from_slice(b",\"numLabelPairs\":");
        push_int(out, pairs);
        out.extend_from_slice(b",\"maxTime\":");
        push_int(out, stats.newest.map_or(0, Timestamp::millis));
        out.push(b'}');
        let lists = [
            ("seriesCountByMetricName", series_by_metric),
            ("labelValueCountByLabelName", values_by_label),
            ("memoryInBytesByLabelName", bytes_by_label),
            ("seriesCountByLabelValuePair", series_by_pair),
        ];
        for (key, counts) in lists {
            out.push(b',');
            push_key(out, key);
            push_counts(out, &counts);
        }
        out.push(b'}');
    }))
}

fn limit(text: &str) -> Result<usize, ApiError> {
    if text.is_empty() {
        return Ok(USUAL);
    }
    match parse_int(text).ok().and_then(|limit| usize::try_from(limit).ok()) {
        None | Some(0) => Err(ApiError::bad_data("limit must be a positive number")),
        Some(limit) if limit > MOST => Err(ApiError::bad_data(format!("limit must not exceed {MOST}"))),
        Some(limit) => Ok(limit),
    }
}

fn push_counts(out: &mut Vec<u8>, counts: &Counts) {
    push_list(out, counts, |out, (name, count)| {
        out.extend_from_slice(b"{\"name\":");
        push_text(out, name);
        out.extend_from_slice(b",\"value\":");
        push_int(out, *count);
        out.push(b'}');
    });
}
