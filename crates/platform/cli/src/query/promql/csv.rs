//! Answers as CSV (RFC 4180): a row for each value.

use std::collections::BTreeSet;

use crate::prometheus::{Answer, Histogram, LabelSet, Millis, Number, number_text};
use crate::when::rfc3339;

/// The header and the rows. Labels come first, then `time`, `value`, and where there are histograms `count`, `sum` and
/// `buckets`, in which a bucket is written as `(0.5,1]:3`.
pub(super) fn lines(answer: &Answer) -> Vec<String> {
    let rows = rows(answer);
    let names: BTreeSet<&String> = rows.iter().flat_map(|row| row.labels.keys()).collect();
    let has_histograms = rows.iter().any(|row| matches!(row.value, Cell::Histogram(_)));
    let mut columns = vec!["time", "value"];
    if has_histograms {
        columns.extend(["count", "sum", "buckets"]);
    }
    // A label may be called as a column is.
    let label = |name: &&String| {
        if columns.contains(&name.as_str()) { format!("label_{name}") } else { (*name).clone() }
    };
    let header = names.iter().map(label).chain(columns.iter().map(|column| (*column).to_owned()));
    let mut lines = vec![joined(header)];
    for row in &rows {
        let labels = names.iter().map(|name| row.labels.get(*name).cloned().unwrap_or_default());
        let mut cells: Vec<String> = labels.chain([rfc3339(row.at)]).collect();
        match &row.value {
            Cell::Text(text) => cells.push(text.clone()),
            Cell::Histogram(histogram) => {
                let buckets = histogram.buckets.iter();
                let buckets: Vec<String> =
                    buckets.map(|b| format!("{}:{}", b.interval(), number_text(b.3.0))).collect();
                cells.push(String::new());
                cells.extend([
                    number_text(histogram.count.0),
                    number_text(histogram.sum.0),
                    buckets.join(" "),
                ]);
            }
        }
        cells.resize(names.len() + columns.len(), String::new());
        lines.push(joined(cells.into_iter()));
    }
    lines
}

struct Row<'a> {
    labels: &'a LabelSet,
    at: i64,
    value: Cell<'a>,
}

enum Cell<'a> {
    Text(String),
    Histogram(&'a Histogram),
}

fn rows(answer: &Answer) -> Vec<Row<'_>> {
    static NONE: LabelSet = LabelSet::new();
    let float = |labels, (Millis(at), Number(value)): &(Millis, Number)| Row {
        labels,
        at: *at,
        value: Cell::Text(number_text(*value)),
    };
    match answer {
        Answer::Scalar(point) => vec![float(&NONE, point)],
        Answer::String((Millis(at), text)) => {
            vec![Row { labels: &NONE, at: *at, value: Cell::Text(text.clone()) }]
        }
        Answer::Vector(series) => series
            .iter()
            .flat_map(|one| {
                let floats = one.value.iter().map(|point| float(&one.metric, point));
                floats.chain(one.histogram.iter().map(|point| of_histogram(&one.metric, point)))
            })
            .collect(),
        Answer::Matrix(series) => series
            .iter()
            .flat_map(|one| {
                let floats = one.values.iter().map(|point| float(&one.metric, point));
                let histograms = one.histograms.iter().map(|point| of_histogram(&one.metric, point));
                let mut rows: Vec<Row<'_>> = floats.chain(histograms).collect();
                rows.sort_by_key(|row| row.at);
                rows
            })
            .collect(),
    }
}

fn of_histogram<'a>(labels: &'a LabelSet, (Millis(at), histogram): &'a (Millis, Histogram)) -> Row<'a> {
    Row { labels, at: *at, value: Cell::Histogram(histogram) }
}

fn joined(cells: impl Iterator<Item = String>) -> String {
    let quoted = cells.map(|cell| {
        let plain = !cell.contains([',', '"', '\n', '\r']);
        if plain { cell } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
    });
    quoted.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(result: &str) -> Vec<String> {
        lines(&serde_json::from_str(result).unwrap())
    }

    #[test]
    fn every_label_has_a_column_and_every_value_a_row() {
        let told = told(
            r#"{"resultType":"matrix","result":[
                {"metric":{"__name__":"up","job":"a,b"},"values":[[1,"1"],[2,"0.1"]]},
                {"metric":{"zone":"\"z\""},"values":[[1,"NaN"]]}]}"#,
        );
        assert_eq!(
            told,
            [
                "__name__,job,zone,time,value",
                "up,\"a,b\",,1970-01-01T00:00:01Z,1",
                "up,\"a,b\",,1970-01-01T00:00:02Z,0.1",
                ",,\"\"\"z\"\"\",1970-01-01T00:00:01Z,NaN",
            ]
        );
    }

    #[test]
    fn histograms_have_columns_of_their_own() {
        let told = told(
            r#"{"resultType":"vector","result":[
                {"metric":{"value":"x"},"histogram":[1,{"count":"3","sum":"2.5","buckets":[[0,"0.5","1","3"]]}]},
                {"metric":{},"value":[1,"7"]}]}"#,
        );
        assert_eq!(told[0], "label_value,time,value,count,sum,buckets");
        assert_eq!(told[1], "x,1970-01-01T00:00:01Z,,3,2.5,\"(0.5,1]:3\"");
        assert_eq!(told[2], ",1970-01-01T00:00:01Z,7,,,");
    }

    #[test]
    fn no_series_leave_the_header_alone() {
        assert_eq!(told(r#"{"resultType":"vector","result":[]}"#), ["time,value"]);
    }
}
